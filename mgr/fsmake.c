// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making a file system: the one change that needs two daemons.
 *
 *	1. The manager chooses an id and stores the file system without a root.
 *	2. It asks flint-metad for the root (FS_CREATE, idempotent by id).
 *	3. It stores the root; from then on the file system is in the map.
 *
 * A crash or a lost answer anywhere leaves a record without a root, which no
 * map shows; asking again for the same name goes on with the same id.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/addr.h"
#include "../userd/base/log.h"
#include "mgrd.h"

#define MGR_FS_TIMEOUT_MS	10000

/* A connection to one metadata server; replaced when its address changes. */
struct mgr_meta_peer {
	struct mgr_meta_peer *next;
	u32 node;
	struct sockaddr_storage addr;
	struct flint_peer *peer;
};

void mgr_meta_peers_free(struct mgr *m)
{
	struct mgr_meta_peer *mp;

	while ((mp = m->metas)) {
		m->metas = mp->next;
		flint_peer_free(mp->peer);
		free(mp);
	}
}

static int mgr_node_tcp(const struct mgr_node *n, struct sockaddr_storage *sa)
{
	int i;

	for (i = 0; i < FLINT_NODE_ADDRS; i++)
		if (n->addrs[i].proto == FLINT_PROTO_TCP && n->addrs[i].family)
			return flint_addr_from_wire(&n->addrs[i], sa);
	return -ENOENT;
}

struct flint_peer *mgr_meta_peer(struct mgr *m, const struct mgr_node *n)
{
	struct flint_peer_config cfg = {
		.loop = m->loop,
		.proto = FLINT_PROTO_TCP,
		.role = FLINT_ROLE_MGR,
		.key = m->key,
		.name = m->name,
	};
	struct mgr_meta_peer **pp, *mp;

	if (mgr_node_tcp(n, &cfg.addr))
		return NULL;
	for (pp = &m->metas; (mp = *pp); pp = &mp->next) {
		if (mp->node != n->id)
			continue;
		if (flint_addr_equal(&mp->addr, &cfg.addr))
			return mp->peer;
		*pp = mp->next;
		flint_peer_free(mp->peer);
		free(mp);
		break;
	}

	mp = calloc(1, sizeof(*mp));
	if (!mp)
		return NULL;
	memcpy(cfg.client_id, m->client_id, sizeof(cfg.client_id));
	mp->node = n->id;
	mp->addr = cfg.addr;
	mp->peer = flint_peer_new(&cfg);
	if (!mp->peer) {
		free(mp);
		return NULL;
	}
	mp->next = m->metas;
	m->metas = mp;
	return mp->peer;
}

static void mgr_fsmake_end(struct mgr_fsmake *fm, int err)
{
	if (err)
		flint_warn("file system %s was not made: %s", fm->name, fm->why);
	fm->done(fm, err);
}

/* The managers did not agree on a step. */
static void mgr_fsmake_lost(struct mgr_fsmake *fm, int err)
{
	if (err == -ENOSPC)
		snprintf(fm->why, sizeof(fm->why),
			 "the disk of the managers' log is nearly full: free space in their state directories, then repeat the command");
	else
		snprintf(fm->why, sizeof(fm->why),
			 "another manager leads now, or none: repeat the command");
	mgr_fsmake_end(fm, err == -ENOSPC ? err : -ENOTCONN);
}

static void mgr_fsmake_forgotten(struct mgr *m, void *arg, int err)
{
	struct mgr_fsmake *fm = arg;

	mgr_fsmake_end(fm, fm->err);
}

/* Forget a file system that the metadata server will not have, then end with @err. */
static void mgr_fsmake_forget(struct mgr_fsmake *fm, int err)
{
	struct mgr *m = fm->mgr;
	struct mgr_fs *fs = m->next ? mgr_fs_find(m->next, fm->fs) : NULL;

	if (!fs || fs->root_ino)
		return mgr_fsmake_end(fm, err);
	fs->gone = true;
	fm->err = err;
	mgr_commit(m, false, mgr_fsmake_forgotten, fm);
}

static void mgr_fsmake_stored(struct mgr *m, void *arg, int err)
{
	struct mgr_fsmake *fm = arg;

	if (err)
		return mgr_fsmake_lost(fm, err);
	flint_info("file system %s (id %u) made", fm->name, fm->fs);
	mgr_fsmake_end(fm, 0);
}

/* The metadata server said no. */
static void mgr_fsmake_refused(struct mgr_fsmake *fm, u32 status)
{
	int err = flint_status_errno(status);

	switch (status) {
	case FLINT_ST_RETRY:
	case FLINT_ST_SHUTDOWN:
	case FLINT_ST_STALE_MAP:
	case FLINT_ST_NOT_LEADER:
		snprintf(fm->why, sizeof(fm->why),
			 "no metadata server leads at this moment: repeat the command");
		return mgr_fsmake_end(fm, -ENOTCONN);
	default:
		snprintf(fm->why, sizeof(fm->why),
			 "the metadata server refused with status %u (%s): look at its log",
			 status, strerror(-err));
		mgr_fsmake_forget(fm, err);
	}
}

static void mgr_fsmake_made(struct flint_rpc *rpc)
{
	struct mgr_fsmake *fm = rpc->priv;
	struct mgr *m = fm->mgr;
	struct flint_attr attr;
	struct mgr_fs *fs;

	if (rpc->err) {
		snprintf(fm->why, sizeof(fm->why),
			 "the metadata server did not answer (%s): look at its log, then repeat the command",
			 strerror(-rpc->err));
		return mgr_fsmake_end(fm, rpc->err);
	}
	if (rpc->status)
		return mgr_fsmake_refused(fm, rpc->status);
	if (flint_body_get(&attr, sizeof(attr), sizeof(attr), rpc->rep_body, rpc->rep_len) ||
	    !le64_to_cpu(attr.ino)) {
		snprintf(fm->why, sizeof(fm->why),
			 "the metadata server's answer makes no sense: check that all daemons have the same version");
		return mgr_fsmake_end(fm, -EPROTO);
	}
	fs = m->next ? mgr_fs_find(m->next, fm->fs) : NULL;
	if (!fs)
		return mgr_fsmake_lost(fm, -EAGAIN);
	fs->root_ino = le64_to_cpu(attr.ino);
	fs->dirty = true;
	mgr_commit(m, true, mgr_fsmake_stored, fm);
}

/* With several that say so, the one of the highest term; one without a group leads itself. */
struct mgr_node *mgr_meta_leader(struct mgr_state *st)
{
	struct mgr_node *best = NULL;
	u32 i;

	for (i = 0; i < st->nr_nodes; i++) {
		struct mgr_node *n = &st->nodes[i];

		if (n->role != FLINT_ROLE_META || n->state != FLINT_NODE_UP ||
		    (n->replica.id && n->replica.role != FLINT_REPLICA_LEADER))
			continue;
		if (!best || le64_to_cpu(n->replica.term) > le64_to_cpu(best->replica.term))
			best = n;
	}
	return best;
}

/* Step 2: ask for the root. */
static void mgr_fsmake_ask(struct mgr_fsmake *fm)
{
	struct mgr *m = fm->mgr;
	struct mgr_fs *fs = m->next ? mgr_fs_find(m->next, fm->fs) : NULL;
	struct mgr_node *meta = m->next ? mgr_meta_leader(m->next) : NULL;
	struct flint_peer *peer = meta ? mgr_meta_peer(m, meta) : NULL;

	if (!fs)
		return mgr_fsmake_lost(fm, -EAGAIN);
	if (!peer) {
		snprintf(fm->why, sizeof(fm->why),
			 "no metadata server that leads is up: start flint-metad, then repeat the command");
		return mgr_fsmake_end(fm, -ENOTCONN);
	}
	fm->body.fs = cpu_to_le32(fs->id);
	fm->body.mode = cpu_to_le32(fm->mode ? fm->mode : 0755);
	fm->body.layout = fs->layout;
	fm->body.owner.uid = cpu_to_le32(fm->uid);
	fm->body.owner.gid = cpu_to_le32(fm->gid);
	memcpy(fm->body.name, fs->name, sizeof(fm->body.name));
	memset(&fm->rpc, 0, sizeof(fm->rpc));
	fm->rpc.op = FLINT_OP_FS_CREATE;
	fm->rpc.timeout_ms = MGR_FS_TIMEOUT_MS;
	fm->rpc.seq = ++m->next_seq;
	fm->rpc.seq_low = fm->rpc.seq;
	fm->rpc.body = &fm->body;
	fm->rpc.body_len = sizeof(fm->body);
	fm->rpc.done = mgr_fsmake_made;
	fm->rpc.priv = fm;
	flint_peer_call(peer, &fm->rpc);
}

static void mgr_fsmake_recorded(struct mgr *m, void *arg, int err)
{
	struct mgr_fsmake *fm = arg;

	if (err)
		return mgr_fsmake_lost(fm, err);
	mgr_fsmake_ask(fm);
}

/* Step 1: store the new file system, without a root yet. Return: 0 or -errno, fm->why set. */
static int mgr_fsmake_record(struct mgr *m, struct mgr_fsmake *fm)
{
	const struct mgr_table *table = mgr_table_newest(m->next, 1);	/* for new ones */
	struct mgr_node *meta = mgr_meta_leader(m->next);
	u32 meta_id, stripe;
	struct mgr_fs *fs;

	if (!meta) {
		snprintf(fm->why, sizeof(fm->why),
			 "no metadata server is up: start flint-metad, then repeat the command");
		return -ENOTCONN;
	}
	if (!table) {
		snprintf(fm->why, sizeof(fm->why),
			 "there is no chain table yet: run 'flint chain create' first");
		return -ENODEV;
	}
	meta_id = meta->id;
	fs = mgr_fs_add(m->next, fm->name);
	if (!fs) {
		snprintf(fm->why, sizeof(fm->why), "out of memory");
		return -ENOMEM;
	}
	stripe = fm->stripe ? fm->stripe : table->nr;
	if (stripe > table->nr)
		stripe = table->nr;
	if (stripe > FLINT_STRIPE_MAX)
		stripe = FLINT_STRIPE_MAX;
	fs->meta_node = meta_id;
	fs->layout.version = FLINT_PLACEMENT_V1;
	fs->layout.chunk_shift = fm->chunk_shift ? fm->chunk_shift : FLINT_CHUNK_SHIFT_DEF;
	fs->layout.stripe = cpu_to_le16(stripe);
	fs->layout.table = cpu_to_le32(table->id);
	fs->layout.table_ver = cpu_to_le32(table->version);
	fm->fs = fs->id;
	return 0;
}

/**
 * mgr_fsmake_start() - make a file system
 * @m: the daemon, which leads
 * @fm: the request; fm->done is called with 0 or -errno, perhaps before this
 *	returns; fm->why then holds a sentence
 *
 * A name that exists already is success with fm->existed set.
 */
void mgr_fsmake_start(struct mgr *m, struct mgr_fsmake *fm)
{
	struct mgr_fs *fs = mgr_fs_find_name(m->next, fm->name);
	int err;

	fm->mgr = m;
	if (fs) {
		fm->fs = fs->id;
		fm->existed = fs->root_ino != 0;
		if (fm->existed)
			return fm->done(fm, 0);
		/* Half made, or about to be recorded for somebody else: then after that. */
		return mgr_barrier(m, mgr_fsmake_recorded, fm);
	}
	err = mgr_fsmake_record(m, fm);
	if (err)
		return mgr_fsmake_end(fm, err);
	mgr_commit(m, false, mgr_fsmake_recorded, fm);
}
