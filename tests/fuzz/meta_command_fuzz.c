// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as a metadata request: what the check lets pass is applied to a
 * real store, which must stay consistent. Byte 0 chooses the operation, the
 * rest is the body.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../userd/meta/command.h"
#include "../../userd/meta/verify.h"

#define BATCH	256

static const u16 ops[] = {
	FLINT_OP_SESSION_OPEN, FLINT_OP_SETATTR, FLINT_OP_OPEN, FLINT_OP_CLOSE, FLINT_OP_MKNOD,
	FLINT_OP_LINK, FLINT_OP_UNLINK, FLINT_OP_RENAME, FLINT_OP_SETXATTR,
	FLINT_OP_REMOVEXATTR, FLINT_OP_EXTEND, FLINT_OP_APPEND, FLINT_OP_FS_CREATE,
	META_OP_TRUNC_DONE, META_OP_ORPHAN_DONE,
};

static struct meta_store store;
static char dir[] = "/tmp/flint_meta_fuzz.XXXXXX";
static u64 sid, seq, index;
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
		meta_store_applied(&store, ++index, 1);
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

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
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
	c.op = ops[data[0] % (sizeof(ops) / sizeof(ops[0]))];
	c.sid = sid;
	c.seq = c.seq_low = ++seq;
	/* 8-byte alignment is the network's promise for bodies; the codec copies all the same. */
	c.body = data + 1;
	c.body_len = len - 1;
	if (!meta_command_check(c.op, c.body, c.body_len, 0) && c.op != FLINT_OP_SESSION_CLOSE)
		apply(&c, &rep);
	if (++runs % 4096)
		return 0;
	meta_store_applied(&store, ++index, 1);
	in_batch = 0;
	if (meta_store_flush(&store))
		die("flush");
	if (meta_verify(store.path, &v, NULL, NULL) || v.problems) {
		fprintf(stderr, "%s\n", v.text);
		abort();
	}
	return 0;
}
