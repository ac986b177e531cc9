// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a token for the directory "team" gives of the data that chunk servers have:
 *
 *	flint-permittest --mgr HOST:PORT --key FILE --token FILE
 *
 * Makes team/ours and other/theirs with the cluster key, then speaks with the token,
 * also as a client would that guesses inode numbers. TAP. For one chain of one target.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/base/token.h"
#include "../../userd/client/fs_int.h"
#include "options.h"

#define LEN	8192u

struct options {
	char *mgr, *key, *token;
};

#define OFF(m) offsetof(struct options, m)
static const struct flint_conf_opt table[] = {
	TEST_OPT_CLUSTER(struct options),
	{ .key = "token", .type = FLINT_CONF_STR, .off = OFF(token), .arg = "FILE",
	  .flags = FLINT_CONF_REQUIRED, .help = "token for the directory \"team\"" },
	{ 0 }
};
static const struct flint_conf_spec spec = {
	.prog = "flint-permittest", .opts = table,
	.doc = "Test what a token for a directory gives of the data.",
};

static struct options o;
static int checks, failures;

static void ok(bool good, const char *what)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++checks, what);
	failures += !good;
}

/* A file in a new directory, full of @c. */
static int make(struct flint_fs *fs, const char *dir, const char *name, int c,
		struct flint_attr *attr)
{
	u64 root = le64_to_cpu(flint_fs_root(fs)->ino);
	struct flint_file *f;
	struct flint_attr d;
	char buf[LEN];
	int err;

	memset(buf, c, LEN);
	err = flint_fs_mkdir(fs, root, dir, 0755, &d);
	if (!err)
		err = flint_fs_open_file(fs, le64_to_cpu(d.ino), name,
					 FLINT_OPEN_WRITE | FLINT_OPEN_CREATE, 0644, &f);
	if (err)
		return err;
	if (flint_file_pwrite(f, buf, LEN, 0) != LEN)
		err = -EIO;
	flint_file_attr(f, attr);
	return flint_file_close(f) ?: err;
}

/* ---- raw requests to the chunk server ------------------------------------------ */

struct raw {
	struct fs_op op;
	struct flint_io io;
	u32 status;
	sem_t done;
	u8 buf[LEN];
};

static int raw_route(struct fs_op *op, uint32_t *node)
{
	struct raw *r = op->priv;
	struct flint_map_ref *ref = flint_cluster_map(op->fs->cluster);
	const struct flint_map_chain *c = ref->map.chains;
	const struct flint_map_target *t = flint_map_target(&ref->map, le32_to_cpu(c->targets[0]));

	r->io.chain = c->id;
	r->io.chain_ver = c->version;
	r->io.target = t->id;
	*node = le32_to_cpu(t->node);
	flint_map_put(ref);
	return 0;
}

static void raw_done(struct fs_op *op, int err)
{
	struct raw *r = op->priv;

	r->status = err ? 9999 : op->rpc.status;
	sem_post(&r->done);
}

static void raw_start(void *arg)
{
	fs_op_start(&((struct raw *)arg)->op);
}

static u32 raw_run(struct flint_fs *fs, struct raw *r)
{
	r->op.fs = fs;
	r->op.priv = r;
	r->op.route = raw_route;
	r->op.done = raw_done;
	r->op.deadline_ns = flint_now_ns() + 20000000000ull;
	sem_init(&r->done, 0, 0);
	fs_run_on_loop(fs, raw_start, r);
	sem_wait(&r->done);
	sem_destroy(&r->done);
	return r->status;
}

/* READ or WRITE of an inode's first bytes, as if it were ours. Return: the answer's status. */
static u32 raw_io(struct flint_fs *fs, u16 op, const struct flint_attr *a)
{
	struct raw r = {
		.io = {
			.fs = cpu_to_le32(fs->fs_id), .ino = a->ino, .gen = a->gen,
			.trunc_epoch = a->trunc_epoch, .length = cpu_to_le32(LEN),
			.chunk_shift = a->layout.chunk_shift,
		},
	};

	r.op.mutating = op == FLINT_OP_WRITE;
	r.op.rpc = (struct flint_rpc){ .op = op, .body = &r.io, .body_len = sizeof(r.io) };
	if (op == FLINT_OP_WRITE) {
		r.op.rpc.out = r.buf;
		r.op.rpc.out_len = LEN;
	} else {
		r.op.rpc.in = r.buf;
		r.op.rpc.in_len = LEN;
	}
	return raw_run(fs, &r);
}

static u32 raw_permit(struct flint_fs *fs, const struct flint_permit *p)
{
	struct raw r = { .op.rpc = { .op = FLINT_OP_PERMIT, .body = p, .body_len = sizeof(*p) } };

	return raw_run(fs, &r);
}

static int permit_get(struct flint_fs *fs, const struct flint_attr *a, struct flint_permit *p)
{
	struct flint_ino_req b = { .ino = a->ino, .gen = a->gen };
	struct fs_call c = {
		.op = FLINT_OP_PERMIT_GET, .body = &b, .body_len = sizeof(b), .rep = p,
		.rep_size = sizeof(*p), .rep_min = sizeof(*p),
	};

	return fs_call(fs, &c);
}

/* ---- the test -------------------------------------------------------------------- */

static bool reads(struct flint_fs *fs, const struct flint_attr *a, int c)
{
	char buf[LEN] = "", want[LEN];
	struct flint_file *f;
	bool same;

	memset(want, c, LEN);
	if (flint_fs_open_file(fs, le64_to_cpu(a->ino), NULL, FLINT_OPEN_READ, 0, &f))
		return false;
	same = flint_file_pread(f, buf, LEN, 0) == LEN && !memcmp(buf, want, LEN);
	return !flint_file_close(f) && same;
}

static void forged(struct flint_fs *fs, const struct flint_permit *good,
		   const struct flint_attr *theirs)
{
	struct flint_permit p = *good;
	bool refused = true;

	p.ino = theirs->ino;
	refused &= raw_permit(fs, &p) == FLINT_ST_AUTH;
	p = *good;
	p.expires = cpu_to_le64(le64_to_cpu(p.expires) + 1);
	refused &= raw_permit(fs, &p) == FLINT_ST_AUTH;
	p = *good;
	p.mac[15] ^= 1;
	refused &= raw_permit(fs, &p) == FLINT_ST_AUTH;
	ok(refused, "a permit that was changed is refused");
}

static void as_tenant(struct flint_fs *all, struct flint_fs *fs, const struct flint_attr *ours,
		      const struct flint_attr *theirs)
{
	u64 root = le64_to_cpu(flint_fs_root(all)->ino);
	struct flint_attr team, other;
	struct flint_permit p;

	ok(raw_io(fs, FLINT_OP_READ, ours) == FLINT_ST_NEED_PERMIT,
	   "without a permit not even our own data is given");
	ok(reads(fs, ours, 'o'), "the library shows one, and reads our file");
	ok(raw_io(fs, FLINT_OP_READ, ours) == FLINT_OK, "which is remembered");
	ok(raw_io(fs, FLINT_OP_READ, theirs) == FLINT_ST_NEED_PERMIT, "theirs is not read");
	ok(raw_io(fs, FLINT_OP_WRITE, theirs) == FLINT_ST_NEED_PERMIT, "nor written");
	ok(permit_get(fs, theirs, &p) == -ESTALE, "there is no permit for it");
	ok(!permit_get(fs, ours, &p) && raw_permit(fs, &p) == FLINT_OK, "for ours there is");
	forged(fs, &p, theirs);
	ok(raw_permit(all, &p) == FLINT_ST_AUTH, "nobody else can show it");
	ok(!flint_fs_lookup(all, root, "team", &team) && !flint_fs_lookup(all, root, "other", &other) &&
	   !flint_fs_rename(all, le64_to_cpu(team.ino), "ours", le64_to_cpu(other.ino), "ours", 0) &&
	   permit_get(fs, ours, &p) == -ESTALE, "nor is there one for what was ours");
	ok(reads(all, theirs, 't'), "theirs is as it was");
}

int main(int argc, char **argv)
{
	struct flint_fs_config cfg = { .fs_name = "default", .timeout_ms = 20000 };
	struct flint_token_full token;
	struct flint_attr ours, theirs;
	struct flint_fs *all, *fs;
	uint8_t key[FLINT_KEY_LEN];
	char err[512] = "";
	bool verbose;

	flint_conf_parse_or_exit(&spec, argc, argv, &o, &verbose);
	flint_log_init("permittest", verbose ? FLINT_LOG_INFO : FLINT_LOG_ERR);
	if (flint_key_load(o.key, key, err, sizeof(err)) ||
	    flint_token_load(o.token, &token, err, sizeof(err))) {
		printf("Bail out! %s\n", err);
		return 1;
	}
	cfg.mgrs = o.mgr;
	cfg.key = key;
	all = flint_fs_open(&cfg, err, sizeof(err));
	if (!all || make(all, "team", "ours", 'o', &ours) || make(all, "other", "theirs", 't', &theirs)) {
		printf("Bail out! %s\n", err);
		return 1;
	}
	cfg.key = token.secret;
	cfg.token = &token.claims;
	cfg.subtree = "team";
	fs = flint_fs_open(&cfg, err, sizeof(err));
	ok(fs, "a session with the token");
	if (fs) {
		as_tenant(all, fs, &ours, &theirs);
		flint_fs_close(fs);
	} else {
		printf("# %s\n", err);
	}
	flint_fs_close(all);
	printf("1..%d\n", checks);
	flint_conf_free(&spec, &o);
	return failures != 0;
}
