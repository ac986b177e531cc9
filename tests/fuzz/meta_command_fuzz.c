// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as a metadata request: what the check lets pass is applied to a
 * real store, which must stay consistent. Byte 0 chooses the operation, its top
 * bit says that credentials end the body; the rest is the body. Reads are
 * checked and, those of administration, answered. Small inode numbers of delegated
 * creates count from the session's grant: nobody guesses those.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sanitizer/lsan_interface.h>
#include "../../userd/meta/admin.h"
#include "../../userd/meta/command.h"
#include "../../uapi/flintfs/lease.h"
#include "../../userd/meta/verify.h"

#define BATCH	256

static const u16 ops[] = {
	FLINT_OP_SESSION_OPEN, FLINT_OP_SETATTR, FLINT_OP_OPEN, FLINT_OP_CLOSE, FLINT_OP_MKNOD,
	FLINT_OP_LINK, FLINT_OP_UNLINK, FLINT_OP_RENAME, FLINT_OP_SETXATTR,
	FLINT_OP_REMOVEXATTR, FLINT_OP_EXTEND, FLINT_OP_APPEND, FLINT_OP_FS_CREATE,
	META_OP_TRUNC_DONE, META_OP_ORPHAN_DONE, FLINT_OP_QUOTA_SET, FLINT_OP_TRASH_SET,
	FLINT_OP_TRASH_RESTORE, FLINT_OP_TRASH_EMPTY, FLINT_OP_RMTREE, META_OP_TRASH_EXPIRE,
	META_OP_RMTREE_STEP, FLINT_OP_INO_GRANT, FLINT_OP_DIR_CREATE, META_OP_SETTLE, META_OP_HINTS,
};

static const u16 reads[] = {
	FLINT_OP_LOOKUP, FLINT_OP_GETATTR, FLINT_OP_READDIR, FLINT_OP_READLINK, FLINT_OP_STATFS,
	FLINT_OP_GETXATTR, FLINT_OP_LISTXATTR, FLINT_OP_DIRSTAT, FLINT_OP_QUOTA_GET,
	FLINT_OP_QUOTA_LIST, FLINT_OP_TRASH_LIST, FLINT_OP_RMTREE_STAT, FLINT_OP_PERMIT_GET,
};

static struct meta_store store;
static char dir[] = "/tmp/flint_meta_fuzz.XXXXXX";
static u64 sid, seq, log_index;
static unsigned int in_batch;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, store.err);
	abort();
}

static void clean(void)
{
	char cmd[64];

	meta_store_close(&store);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd))
		perror(dir);
}

static u32 apply(const struct meta_command *c, struct meta_reply *rep)
{
	static u8 cmd[1 << 20];
	u32 len = meta_command_size(c);

	if (len > sizeof(cmd))
		return 0;
	meta_command_encode(c, cmd);
	if (meta_apply(&store, cmd, len, rep))
		die("apply");
	if (++in_batch == BATCH) {
		in_batch = 0;
		meta_store_applied(&store, ++log_index, 1);
	}
	return rep->status;
}

static void start(void)
{
	struct flint_fs_create f = {
		.fs = cpu_to_le32(1), .mode = cpu_to_le32(0755), .name = "fs",
		.layout = { .version = FLINT_PLACEMENT_V1, .chunk_shift = 20,
			    .stripe = cpu_to_le16(1), .table = cpu_to_le32(1),
			    .table_ver = cpu_to_le32(1) },
	};
	struct flint_session_open so = { .fixed_len = cpu_to_le32(sizeof(so)), .fs_name = "fs" };
	struct meta_command c = { .op = FLINT_OP_FS_CREATE, .body = &f, .body_len = sizeof(f) };
	struct flint_session_rep sr;
	struct meta_reply rep;
	const struct meta_store_config cfg = { .dir = dir, .cache_bytes = 1 << 20 };
	char err[512];

	meta_sqlite_init();
	if (!mkdtemp(dir) || meta_store_open(&store, &cfg, err, sizeof(err)))
		abort();
	atexit(clean);
	c.ts = 1;
	apply(&c, &rep);
	c.op = FLINT_OP_SESSION_OPEN;
	c.body = &so;
	c.body_len = sizeof(so);
	if (apply(&c, &rep))
		abort();
	memcpy(&sr, rep.body, sizeof(sr));
	sid = le64_to_cpu(sr.session_epoch);
}

static void read_one(const u8 *data, u32 len)
{
	u16 op = reads[data[0] % (sizeof(reads) / sizeof(reads[0]))];
	struct meta_session *sn = meta_session_by_id(&store, sid);
	u32 used, rep_len, body_len = len - 1;
	u64 rep[META_ADMIN_REP / 8];
	static u8 buf[16384];
	bool tail = data[0] & 0x80;

	if (!sn)
		abort();
	if (op < FLINT_OP_DIRSTAT || op == FLINT_OP_PERMIT_GET)
		meta_read_may(&store, sn, tail, op, data + 1, &body_len, 1000);
	else
		meta_admin_read(&store, sn, tail, op, data + 1, body_len, 1000, buf,
				data[0] & 0x40 ? sizeof(buf) : 100, &used, rep, &rep_len);
}

/* Numbers of delegated creates, and of parents made by them, from the grant on. */
static void relate(u8 *recs, u32 len)
{
	struct meta_inogrant g;
	struct flint_dir_rec r;
	u32 pos = 0, at = 0;
	const u8 *name;
	u64 first;

	if (meta_inogrant_get(&store, sid, &g))
		return;
	first = g.first;
	for (; flint_dir_rec_next(recs, len, &pos, &r, &name) > 0; at = pos) {
		if (le64_to_cpu(r.ino) < FLINT_INO_GRANT_MAX)
			r.ino = cpu_to_le64(first + le64_to_cpu(r.ino));
		/* The root is 16; 256 and more: one of those before it. */
		if (le64_to_cpu(r.parent) >= 256 && le64_to_cpu(r.parent) < FLINT_INO_GRANT_MAX)
			r.parent = cpu_to_le64(first + le64_to_cpu(r.parent) - 256);
		memcpy(recs + at, &r, sizeof(r));
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	static u8 recs[FLINT_DIR_BATCH_MAX];
	static unsigned int runs;
	struct meta_command c = { 0 };
	struct meta_reply rep;
	struct meta_verdict v;
	u32 digest;

	if (!sid)
		start();
	if (!len)
		return 0;
	meta_command_decode(data, len, &c, &digest);
	memset(&c, 0, sizeof(c));
	c.op = ops[(data[0] & 0x7f) % (sizeof(ops) / sizeof(ops[0]))];
	if ((data[0] & 0x80) && c.op < 0x8000)
		c.op |= META_OP_CRED;
	c.sid = sid;
	c.seq = c.seq_low = ++seq;
	/* 8-byte alignment is the network's promise for bodies; the codec copies all the same. */
	c.body = data + 1;
	c.body_len = len - 1;
	if (c.op == FLINT_OP_DIR_CREATE && c.body_len > sizeof(struct flint_dir_create)) {
		c.body_len = sizeof(struct flint_dir_create);
		c.data_len = len - 1 - c.body_len < sizeof(recs) ? len - 1 - c.body_len : sizeof(recs);
		memcpy(recs, data + 1 + c.body_len, c.data_len);
		relate(recs, c.data_len);
		c.data = recs;
	}
	/* What comes into memory hangs in a table that LeakSanitizer does not look into. */
	__lsan_disable();
	if (!meta_command_check(c.op, c.body, c.body_len, c.data_len) && c.op != FLINT_OP_SESSION_CLOSE)
		apply(&c, &rep);
	read_one(data, len);
	__lsan_enable();
	if (++runs % 4096)
		return 0;
	meta_store_applied(&store, ++log_index, 1);
	in_batch = 0;
	if (meta_store_flush(&store))
		die("flush");
	if (meta_verify(store.path, &v, NULL, NULL) || v.problems) {
		fprintf(stderr, "%s\n", v.text);
		abort();
	}
	return 0;
}
