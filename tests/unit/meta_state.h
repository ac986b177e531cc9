/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A metadata store in a scratch directory, and one short function per
 * operation, for the meta_*_test.c programs. Each call encodes a command,
 * applies it in a transaction of its own, and returns the reply's status;
 * the reply stays in st->rep. st->log, when set, keeps every encoded command.
 */
#ifndef META_STATE_H
#define META_STATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../userd/meta/command.h"
#include "../../userd/meta/verify.h"

#define ROOT(st)	((st)->root)

struct logged {
	struct logged *next;
	u32 len;
	u8 cmd[];
};

struct state {
	struct meta_store s;
	u64 index;
	char dir[64];
	u64 sid, seq, low;
	u64 root;
	u64 clock;
	u32 uid, gid;
	u32 gen_objects;	/* of the next state_open(); 0: few */
	struct meta_reply rep;
	struct logged *log, **log_tail;
};

static inline void state_remove_dir(const char *dir)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	if (system(cmd))
		fprintf(stderr, "cannot remove %s\n", dir);
}

static inline void state_fatal(void *arg, const char *why)
{
	fprintf(stderr, "%s\n", why);
}

/* Small generations, so that short tests have several. */
static inline void state_open(struct state *st)
{
	const struct meta_store_config cfg = {
		.dir = st->dir, .cache_bytes = 64 << 20,
		.gen_objects = st->gen_objects ? st->gen_objects : 200,
		.fatal = state_fatal,
	};
	char err[512] = "";

	if (meta_store_open(&st->s, &cfg, err, sizeof(err)))
		fail_msg("%s", err);
	st->index = st->s.index;
}

static inline void state_close(struct state *st)
{
	assert_int_equal(meta_store_flush(&st->s), 0);
	meta_store_close(&st->s);
}

static inline void state_restart(struct state *st)
{
	u64 sum = meta_store_checksum(&st->s);

	state_close(st);
	state_open(st);
	assert_true(meta_store_checksum(&st->s) == sum);
}

/* What is in the file, changed by something else. */
static inline void state_sql(struct state *st, const char *sql)
{
	char path[128];
	sqlite3 *db;

	state_close(st);
	snprintf(path, sizeof(path), "%s/" META_STORE_FILE, st->dir);
	assert_int_equal(sqlite3_open(path, &db), 0);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), 0);
	/* NULL: to be computed anew */
	assert_int_equal(sqlite3_exec(db, "UPDATE state SET checksum=NULL", NULL, NULL, NULL), 0);
	sqlite3_close(db);
	state_open(st);
}

/* An entry of the log with one command. */
static inline u32 apply_bytes(struct state *st, const u8 *cmd, u32 len)
{
	int err = meta_apply(&st->s, cmd, len, &st->rep);

	if (err)
		fail_msg("apply: %s: %s", strerror(-err), st->s.err);
	meta_store_applied(&st->s, ++st->index, 1);
	return st->rep.status;
}

static inline u32 apply(struct state *st, struct meta_command *c)
{
	struct logged *l = malloc(sizeof(*l) + meta_command_size(c));
	u32 status;

	assert_non_null(l);
	l->next = NULL;
	l->len = meta_command_size(c);
	c->ts = ++st->clock;
	meta_command_encode(c, l->cmd);
	status = apply_bytes(st, l->cmd, l->len);
	if (st->log_tail) {
		*st->log_tail = l;
		st->log_tail = &l->next;
	} else {
		free(l);
	}
	return status;
}

/* A mutation of the session with @body and up to two strings. */
static inline u32 op2(struct state *st, u16 op, const void *fixed, u32 len, const void *a, u32 alen,
		      const void *b, u32 blen)
{
	u8 body[8192];
	struct meta_command c = {
		.op = op, .sid = st->sid, .seq = ++st->seq, .seq_low = st->low ? st->low : st->seq,
		.body = body, .body_len = len + alen + blen,
	};

	assert_true(c.body_len <= sizeof(body));
	memcpy(body, fixed, len);
	if (alen)
		memcpy(body + len, a, alen);
	if (blen)
		memcpy(body + len + alen, b, blen);
	return apply(st, &c);
}

static inline u64 rep_ino(struct state *st)
{
	struct flint_attr a;

	memcpy(&a, st->rep.body, sizeof(a));
	return le64_to_cpu(a.ino);
}

static inline struct flint_attr rep_attr(struct state *st)
{
	struct flint_attr a;

	assert_int_equal(st->rep.len, sizeof(a));
	memcpy(&a, st->rep.body, sizeof(a));
	return a;
}

static inline u32 fs_create(struct state *st, u32 id, const char *name)
{
	struct flint_fs_create b = {
		.fs = cpu_to_le32(id), .mode = cpu_to_le32(0755),
		.layout = { .version = FLINT_PLACEMENT_V1, .chunk_shift = 20,
			    .stripe = cpu_to_le16(4), .table = cpu_to_le32(1),
			    .table_ver = cpu_to_le32(1) },
	};
	struct meta_command c = { .op = FLINT_OP_FS_CREATE, .body = &b, .body_len = sizeof(b) };

	snprintf((char *)b.name, sizeof(b.name), "%s", name);
	return apply(st, &c);
}

static inline u32 session_open(struct state *st, u8 client, const char *fs, const char *path,
			       u32 flags)
{
	u8 id[16] = { client };
	u8 body[sizeof(struct flint_session_open) + FLINT_PATH_MAX + 1];
	struct flint_session_open b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .flags = cpu_to_le32(flags),
		.path_len = cpu_to_le32(strlen(path)),
	};
	struct meta_command c = { .op = FLINT_OP_SESSION_OPEN, .client = id, .body = body,
				  .body_len = sizeof(b) + strlen(path) };

	snprintf((char *)b.fs_name, sizeof(b.fs_name), "%s", fs);
	memcpy(body, &b, sizeof(b));
	memcpy(body + sizeof(b), path, strlen(path));
	return apply(st, &c);
}

static inline u64 rep_session(struct state *st)
{
	struct flint_session_rep r;

	memcpy(&r, st->rep.body, sizeof(r));
	return le64_to_cpu(r.session_epoch);
}

static inline u32 own(struct state *st, u16 op, u64 ino, u32 epoch)
{
	struct meta_ino_arg a = { .ino = cpu_to_le64(ino), .epoch = cpu_to_le32(epoch) };
	struct meta_command c = { .op = op, .body = &a, .body_len = sizeof(a) };

	return apply(st, &c);
}

static inline u32 do_settle(struct state *st, u64 ino, u64 size, u32 epoch)
{
	struct meta_settle_arg a = { .ino = cpu_to_le64(ino), .size = cpu_to_le64(size),
				     .epoch = cpu_to_le32(epoch) };
	struct meta_command c = { .op = META_OP_SETTLE, .body = &a, .body_len = sizeof(a) };

	return apply(st, &c);
}

static inline u32 session_close(struct state *st)
{
	struct meta_command c = { .op = FLINT_OP_SESSION_CLOSE, .sid = st->sid };

	return apply(st, &c);
}

static inline u32 mknod_n(struct state *st, u64 dir, const void *name, u32 len, u32 mode,
			  const char *target)
{
	u32 tlen = target ? strlen(target) : 0;
	struct flint_mknod b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .mode = cpu_to_le32(mode),
		.parent = cpu_to_le64(dir), .name_len = cpu_to_le32(len),
		.target_len = cpu_to_le32(tlen), .rdev_major = cpu_to_le32(8),
		.rdev_minor = cpu_to_le32(1),
		.cred = { cpu_to_le32(st->uid), cpu_to_le32(st->gid) },
	};

	return op2(st, FLINT_OP_MKNOD, &b, sizeof(b), name, len, target, tlen);
}

static inline u32 do_mknod(struct state *st, u64 dir, const char *name, u32 mode,
			   const char *target)
{
	return mknod_n(st, dir, name, strlen(name), mode, target);
}

/* Make it, and return its number. */
static inline u64 made(struct state *st, u64 dir, const char *name, u32 mode)
{
	assert_int_equal(do_mknod(st, dir, name, mode, (mode & S_IFMT) == S_IFLNK ? "t" : NULL), 0);
	return rep_ino(st);
}

static inline u32 do_open(struct state *st, u64 ino, const char *name, u32 flags, u32 mode)
{
	u32 len = name ? strlen(name) : 0;
	struct flint_open b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .flags = cpu_to_le32(flags),
		.ino = cpu_to_le64(ino), .mode = cpu_to_le32(mode), .name_len = cpu_to_le32(len),
		.cred = { cpu_to_le32(st->uid), cpu_to_le32(st->gid) },
	};

	return op2(st, FLINT_OP_OPEN, &b, sizeof(b), name, len, NULL, 0);
}

static inline struct flint_open_rep rep_open(struct state *st)
{
	struct flint_open_rep r;

	assert_int_equal(st->rep.len, sizeof(r));
	memcpy(&r, st->rep.body, sizeof(r));
	return r;
}

static inline u32 do_close(struct state *st, u64 handle, u64 ino)
{
	struct flint_close b = { .handle = cpu_to_le64(handle), .ino = cpu_to_le64(ino) };

	return op2(st, FLINT_OP_CLOSE, &b, sizeof(b), NULL, 0, NULL, 0);
}

static inline u32 do_unlink(struct state *st, u64 dir, const char *name, u32 flags)
{
	struct flint_name_req b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .flags = cpu_to_le32(flags),
		.parent = cpu_to_le64(dir), .name_len = cpu_to_le32(strlen(name)),
	};

	return op2(st, FLINT_OP_UNLINK, &b, sizeof(b), name, strlen(name), NULL, 0);
}

static inline u32 do_link(struct state *st, u64 ino, u64 dir, const char *name)
{
	struct flint_link b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .name_len = cpu_to_le32(strlen(name)),
		.ino = cpu_to_le64(ino), .parent = cpu_to_le64(dir),
	};

	return op2(st, FLINT_OP_LINK, &b, sizeof(b), name, strlen(name), NULL, 0);
}

static inline u32 do_rename(struct state *st, u64 od, const char *on, u64 nd, const char *nn,
			    u32 flags)
{
	struct flint_rename b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .flags = cpu_to_le32(flags),
		.old_parent = cpu_to_le64(od), .new_parent = cpu_to_le64(nd),
		.old_len = cpu_to_le32(strlen(on)), .new_len = cpu_to_le32(strlen(nn)),
	};

	return op2(st, FLINT_OP_RENAME, &b, sizeof(b), on, strlen(on), nn, strlen(nn));
}

static inline u32 do_setattr(struct state *st, u64 ino, u32 valid, const struct flint_setattr *v)
{
	struct flint_setattr b = { 0 };

	if (v)
		b = *v;
	b.ino = cpu_to_le64(ino);
	b.valid = cpu_to_le32(valid);
	return op2(st, FLINT_OP_SETATTR, &b, sizeof(b), NULL, 0, NULL, 0);
}

static inline u32 do_truncate(struct state *st, u64 ino, u64 size)
{
	struct flint_setattr b = { .size = cpu_to_le64(size) };

	return do_setattr(st, ino, FLINT_SET_SIZE, &b);
}

static inline u32 set_flags(struct state *st, u64 ino, u32 flags)
{
	struct flint_setattr b = { .flags = cpu_to_le32(flags) };

	return do_setattr(st, ino, FLINT_SET_FLAGS, &b);
}

static inline u32 do_extend(struct state *st, u16 op, u64 ino, u32 epoch, u64 end, u64 len)
{
	struct flint_extend b = {
		.ino = cpu_to_le64(ino), .trunc_epoch = cpu_to_le32(epoch),
		.end = cpu_to_le64(end), .len = cpu_to_le64(len),
	};

	return op2(st, op, &b, sizeof(b), NULL, 0, NULL, 0);
}

static inline u32 do_xattr(struct state *st, u16 op, u64 ino, const char *name, const void *value,
			   u32 len, u32 flags)
{
	u8 body[sizeof(struct flint_xattr) + 512];
	struct flint_xattr b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .flags = cpu_to_le32(flags),
		.ino = cpu_to_le64(ino), .name_len = cpu_to_le32(strlen(name)),
	};
	struct meta_command c = {
		.op = op, .sid = st->sid, .seq = ++st->seq, .seq_low = st->seq, .body = body,
		.body_len = sizeof(b) + strlen(name), .data = value, .data_len = len,
	};

	memcpy(body, &b, sizeof(b));
	memcpy(body + sizeof(b), name, strlen(name));
	return apply(st, &c);
}

static inline struct meta_inode get(struct state *st, u64 ino)
{
	struct meta_inode i;

	assert_int_equal(meta_read_inode(&st->s, ino, &i), 0);
	return i;
}

static inline bool gone(struct state *st, u64 ino)
{
	struct meta_inode i;

	return meta_read_inode(&st->s, ino, &i) == -ESTALE;
}

/* Number behind a name; 0: none. */
static inline u64 at(struct state *st, u64 dir, const char *name)
{
	struct meta_inode i;
	int err = meta_read_lookup(&st->s, 0, dir, (const u8 *)name, strlen(name), &i);

	if (err == -ENOENT)
		return 0;
	assert_int_equal(err, 0);
	return i.ino;
}

static inline void verify(struct state *st)
{
	struct meta_verdict v;

	assert_int_equal(meta_store_flush(&st->s), 0);
	if (meta_verify(st->s.path, &v, NULL, NULL) || v.problems)
		fail_msg("%s", v.text);
	assert_true(v.checksum == meta_store_checksum(&st->s));
}

/* cmocka: a store with file system "fs" and an open session. */
static inline int state_setup(void **p)
{
	struct state *st = calloc(1, sizeof(*st));
	struct flint_session_rep r;

	if (!st)
		return -1;
	snprintf(st->dir, sizeof(st->dir), "/tmp/flint_meta_test.XXXXXX");
	if (!mkdtemp(st->dir))
		return -1;
	st->clock = 1000000;
	st->uid = 1000;
	st->gid = 100;
	state_open(st);
	assert_int_equal(fs_create(st, 1, "fs"), 0);
	assert_int_equal(session_open(st, 1, "fs", "", 0), 0);
	memcpy(&r, st->rep.body, sizeof(r));
	st->sid = le64_to_cpu(r.session_epoch);
	st->root = le64_to_cpu(r.root.ino);
	*p = st;
	return 0;
}

static inline int state_teardown(void **p)
{
	struct state *st = *p;

	verify(st);
	state_close(st);
	state_remove_dir(st->dir);
	free(st);
	return 0;
}

#endif /* META_STATE_H */
