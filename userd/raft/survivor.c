// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A majority is lost for good: one replica goes on alone.
 *
 * A configuration entry that names only this replica is added to its log, in a
 * term of its own. The latest configuration of a log is in force, so at its next
 * start the replica elects itself and commits everything that it has. What only
 * the others had acknowledged is lost; and if one of them ever came back with its
 * old state, there would be two groups. Both is the operator's to know.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "codec.h"
#include "node.h"
#include "../base/daemon.h"
#include "../base/log.h"

/* The end of the log, and the configuration in force there. */
struct end {
	u64 index;
	struct raft_conf conf;
};

static int look(void *arg, struct flint_raft_ent *e)
{
	struct end *end = arg;
	int err = 0;

	end->index = e->index;
	if (e->type == RAFT_CONF)
		err = raft_conf_decode(&end->conf, e->data, e->len) ? -EUCLEAN : 0;
	flint_raft_ent_put(e);
	return err;
}

/* What the others were, for the record. */
static void tell(const struct raft_conf *conf, u64 self)
{
	struct flint_raft_info info;
	u32 i;

	for (i = 0; i < conf->nr; i++) {
		flint_raft_info_decode(&conf->m[i], &info);
		if (conf->m[i].id != self)
			flint_warn("%s (%016llx) is a member no longer: never start it again with its old"
				   " state, empty its directory first", info.name,
				   (unsigned long long)conf->m[i].id);
	}
}

static int promote(struct flint_raft_db *db, struct flint_raft_root *root, char *err, size_t errlen)
{
	struct end end = { .index = root->base };
	const struct raft_member *me;
	struct raft_conf alone = { .nr = 1 };
	u8 buf[RAFT_CONF_BYTES_MAX];
	struct flint_raft_ent *e;
	struct flint_raft_job job = { .root = root, .nr = 1, .ents = &e };
	u32 len;
	int ret;

	if (raft_conf_decode(&end.conf, root->conf, root->conf_len))
		memset(&end.conf, 0, sizeof(end.conf));
	ret = flint_raft_db_load(db, look, &end, err, errlen);
	if (ret)
		return ret;
	if (!root->group || root->loading || !end.conf.nr) {
		snprintf(err, errlen, "this replica holds no whole state of a group: it cannot go on alone;"
			 " take another one, or restore a backup");
		return -EINVAL;
	}
	alone.m[0].id = root->id;
	me = raft_conf_find(&end.conf, root->id);
	if (me)
		alone.m[0] = *me;
	alone.m[0].voter = true;
	len = raft_conf_encode(&alone, buf);
	root->term++;
	root->vote = 0;
	root->removed = false;
	e = flint_raft_ent_new(end.index + 1, root->term, RAFT_CONF, buf, len);
	if (!e) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	ret = flint_raft_db_write_now(db, &job, err, errlen);
	flint_raft_ent_put(e);
	if (!ret)
		tell(&end.conf, root->id);
	return ret;
}

int flint_raft_promote_survivor(const char *dir, char *err, size_t errlen)
{
	struct flint_raft_root root;
	struct flint_raft_db *db;
	char path[512];
	int dirfd, lockfd, ret;

	snprintf(path, sizeof(path), "%s/raft.db", dir);
	if (access(path, F_OK)) {
		snprintf(err, errlen, "there is no %s: this directory is no replica's", path);
		return -ENOENT;
	}
	dirfd = flint_state_open(dir, err, errlen);
	if (dirfd < 0)
		return dirfd;
	lockfd = flint_state_lock(dirfd, dir, err, errlen);
	close(dirfd);
	if (lockfd < 0)
		return lockfd;
	ret = flint_raft_db_open(&db, dir, "flint meta replace", &root, err, errlen);
	if (!ret) {
		ret = promote(db, &root, err, errlen);
		flint_raft_db_close(db);
	}
	close(lockfd);
	return ret;
}
