// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Totals, quotas, trash and recursive removal step by step; sessions by token;
 * hostile commands: each is refused with its own error and changes nothing.
 */
#include "meta_state.h"
#include "../../uapi/flintfs/token.h"
#include "../../userd/meta/admin.h"

#define DIR1	(S_IFDIR | 0755)
#define REG	(S_IFREG | 0644)

static struct flint_dirstat dirstat(struct state *st, u64 ino)
{
	struct flint_ino_req b = { .ino = cpu_to_le64(ino) };
	u64 rep[META_ADMIN_REP / 8];
	struct flint_dirstat d;
	u32 used, len;

	assert_int_equal(meta_admin_read(&st->s, meta_session_by_id(&st->s, st->sid), false,
					 FLINT_OP_DIRSTAT, &b, sizeof(b), 1, NULL, 0, &used, rep,
					 &len), 0);
	assert_int_equal(len, sizeof(d));
	memcpy(&d, rep, sizeof(d));
	return d;
}

static void totals(struct state *st, u64 ino, u64 bytes, u64 files, u64 dirs)
{
	struct flint_dirstat d = dirstat(st, ino);

	assert_int_equal(le64_to_cpu(d.bytes), bytes);
	assert_int_equal(le64_to_cpu(d.files), files);
	assert_int_equal(le64_to_cpu(d.dirs), dirs);
}

static u32 quota_set(struct state *st, u32 kind, u64 id, u64 space, u64 inodes, u64 soft, u32 grace)
{
	struct flint_quota_set b = {
		.kind = cpu_to_le32(kind), .id = cpu_to_le64(id), .space_hard = cpu_to_le64(space),
		.inode_hard = cpu_to_le64(inodes), .space_soft = cpu_to_le64(soft),
		.grace = cpu_to_le32(grace), .cred = { cpu_to_le32(st->uid), cpu_to_le32(st->gid) },
	};

	return op2(st, FLINT_OP_QUOTA_SET, &b, sizeof(b), NULL, 0, NULL, 0);
}

static u32 trash_set(struct state *st, u64 ino, u32 keep)
{
	struct flint_trash_set b = { .ino = cpu_to_le64(ino), .keep = cpu_to_le32(keep),
				     .cred = { cpu_to_le32(st->uid) } };

	return op2(st, FLINT_OP_TRASH_SET, &b, sizeof(b), NULL, 0, NULL, 0);
}

static u32 restore(struct state *st, u64 id, u64 parent, const char *name)
{
	struct flint_trash_restore b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .name_len = cpu_to_le32(strlen(name)),
		.id = cpu_to_le64(id), .parent = cpu_to_le64(parent),
		.cred = { cpu_to_le32(st->uid), cpu_to_le32(st->gid) },
	};

	return op2(st, FLINT_OP_TRASH_RESTORE, &b, sizeof(b), name, strlen(name), NULL, 0);
}

static u32 empty(struct state *st, u64 id)
{
	struct flint_trash_empty b = { .id = cpu_to_le64(id), .cred = { cpu_to_le32(st->uid) } };

	return op2(st, FLINT_OP_TRASH_EMPTY, &b, sizeof(b), NULL, 0, NULL, 0);
}

static u32 rmtree(struct state *st, u64 dir, const char *name)
{
	struct flint_name_req b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .parent = cpu_to_le64(dir),
		.name_len = cpu_to_le32(strlen(name)),
		.cred = { cpu_to_le32(st->uid), cpu_to_le32(st->gid) },
	};

	return op2(st, FLINT_OP_RMTREE, &b, sizeof(b), name, strlen(name), NULL, 0);
}

/* ---- totals ------------------------------------------------------------------------ */

static void test_totals(void **p)
{
	struct state *st = *p;
	u64 a = made(st, st->root, "a", DIR1), b = made(st, a, "b", DIR1), f, z;

	f = made(st, b, "f", REG);
	z = made(st, st->root, "z", DIR1);
	assert_int_equal(do_truncate(st, f, 5000), 0);
	totals(st, st->root, 8192, 1, 3);
	totals(st, a, 8192, 1, 1);
	totals(st, b, 8192, 1, 0);

	/* A second name counts nothing; the home follows the names. */
	assert_int_equal(do_link(st, f, z, "g"), 0);
	assert_int_equal(do_link(st, f, a, "h"), 0);
	totals(st, z, 0, 0, 0);
	assert_int_equal(do_unlink(st, b, "f", 0), 0);
	totals(st, b, 0, 0, 0);
	totals(st, a, 8192, 1, 1);
	assert_int_equal(do_unlink(st, a, "h", 0), 0);
	totals(st, a, 0, 0, 1);
	totals(st, z, 8192, 1, 0);
	totals(st, st->root, 8192, 1, 3);

	/* Subtrees move with what they hold. */
	assert_int_equal(do_rename(st, st->root, "z", b, "zz", 0), 0);
	totals(st, a, 8192, 1, 2);
	assert_int_equal(do_rename(st, st->root, "a", b, "loop", 0), EINVAL);
	assert_int_equal(do_unlink(st, z, "g", 0), 0);
	assert_int_equal(own(st, META_OP_ORPHAN_DONE, f, 0), 0);
	totals(st, st->root, 0, 0, 3);
}

static void test_many_links(void **p)
{
	struct state *st = *p;
	u64 d = made(st, st->root, "d", DIR1), e = made(st, st->root, "e", DIR1);
	u64 f = made(st, d, "f", REG);
	char name[32];
	int i;

	st->gen_objects = 100000;
	state_restart(st);
	for (i = 0; i < 66000; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		assert_int_equal(do_link(st, f, i & 1 ? d : e, name), 0);
	}
	assert_int_equal(get(st, f).nlink, 66001);
	totals(st, d, 0, 1, 0);
	st->uid = 5;
	assert_int_equal(rmtree(st, st->root, "d"), EACCES);
	st->uid = 0;
	assert_int_equal(rmtree(st, st->root, "d"), 0);
	assert_int_equal(own(st, META_OP_RMTREE_STEP, 1, 100000), 0);
	assert_int_equal(get(st, f).nlink, 33000);
	totals(st, e, 0, 1, 0);
}

static void test_deep(void **p)
{
	struct state *st = *p;
	u64 dir = st->root, top = 0;
	int i;

	st->uid = 0;
	st->gen_objects = 100000;
	state_restart(st);
	for (i = 0; i < 4096; i++) {
		dir = made(st, dir, "d", DIR1);
		top = i ? top : dir;
	}
	made(st, dir, "f", REG);
	totals(st, st->root, 0, 1, 4096);
	assert_int_equal(do_rename(st, st->root, "d", dir, "x", 0), EINVAL);
	assert_int_equal(rmtree(st, st->root, "d"), 0);
	totals(st, st->root, 0, 0, 0);
	/* A few at a time, across restarts. */
	for (i = 0; i < 10000 && !gone(st, top); i++) {
		assert_int_equal(own(st, META_OP_RMTREE_STEP, 1, 7), 0);
		if (i % 400 == 0)
			state_restart(st);
	}
	assert_true(gone(st, top) && gone(st, dir));
}

/* ---- quotas ------------------------------------------------------------------------- */

static void test_quota(void **p)
{
	struct state *st = *p;
	u64 d = made(st, st->root, "d", DIR1), e = made(st, st->root, "e", DIR1), f;

	assert_int_equal(quota_set(st, FLINT_QUOTA_TREE, d, 10000, 3, 0, 0), EPERM);
	st->uid = 0;
	assert_int_equal(quota_set(st, FLINT_QUOTA_TREE, d, 10000, 3, 20000, 0), EINVAL);
	assert_int_equal(quota_set(st, 9, d, 10000, 3, 0, 0), EINVAL);
	assert_int_equal(quota_set(st, FLINT_QUOTA_PROJECT, 0, 1, 1, 0, 0), EINVAL);
	assert_int_equal(quota_set(st, FLINT_QUOTA_TREE, 999, 1, 1, 0, 0), ESTALE);
	assert_int_equal(quota_set(st, FLINT_QUOTA_TREE, d, 10000, 3, 0, 0), 0);
	st->uid = 1000;
	f = made(st, d, "f", REG);
	made(st, d, "g", REG);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 8192, 0), 0);
	assert_int_equal(do_extend(st, FLINT_OP_APPEND, f, 0, 0, 1), EDQUOT);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 8000, 0), 0);
	assert_int_equal(do_truncate(st, f, 8193), EDQUOT);
	made(st, d, "h", REG);
	assert_int_equal(do_mknod(st, d, "i", REG, NULL), EDQUOT);
	assert_int_equal(do_mknod(st, d, "i", DIR1, NULL), EDQUOT);
	made(st, e, "i", REG);
	assert_int_equal(do_rename(st, e, "i", d, "i", 0), EDQUOT);
	assert_int_equal(do_rename(st, d, "f", e, "f", 0), 0);
	assert_int_equal(do_rename(st, e, "i", d, "i", 0), 0);
	assert_int_equal(do_rename(st, e, "f", d, "f", 0), EDQUOT);

	/* By user, at a change of owner too. */
	st->uid = 0;
	assert_int_equal(quota_set(st, FLINT_QUOTA_USER, 7, 4096, 10, 0, 0), 0);
	assert_int_equal(do_setattr(st, f, FLINT_SET_UID, &(struct flint_setattr){
				    .uid = cpu_to_le32(7) }), EDQUOT);
	assert_int_equal(quota_set(st, FLINT_QUOTA_USER, 7, 0, 0, 0, 0), 0);
	assert_int_equal(do_setattr(st, f, FLINT_SET_UID, &(struct flint_setattr){
				    .uid = cpu_to_le32(7) }), 0);

	/* A soft limit holds after its time of grace. */
	assert_int_equal(quota_set(st, FLINT_QUOTA_USER, 7, 0, 0, 4096, 10), 0);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 20000, 0), 0);
	st->clock += 11ull * 1000000000;
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 30000, 0), EDQUOT);
	assert_int_equal(do_truncate(st, f, 100), META_ST_PENDING);
	assert_int_equal(own(st, META_OP_TRUNC_DONE, f, 1), 0);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 1, 20000, 0), 0);

	/* Projects are inherited, and are borders for names. */
	assert_int_equal(do_setattr(st, e, FLINT_SET_PROJECT, &(struct flint_setattr){
				    .project = cpu_to_le32(5) }), 0);
	assert_int_equal(get(st, made(st, e, "p", REG)).project, 5);
	assert_int_equal(do_rename(st, d, "g", e, "g", 0), EXDEV);
	assert_int_equal(do_link(st, at(st, d, "g"), e, "g"), EXDEV);
	assert_int_equal(quota_set(st, FLINT_QUOTA_PROJECT, 5, 0, 2, 0, 0), 0);
	assert_int_equal(do_mknod(st, e, "q", REG, NULL), EDQUOT);
}

/* ---- trash ------------------------------------------------------------------------------ */

static void test_trash(void **p)
{
	struct state *st = *p;
	u64 d = made(st, st->root, "d", DIR1), s, f, g;
	struct meta_inode i;

	assert_int_equal(trash_set(st, d, 60), 0);
	f = made(st, d, "f", REG);
	s = made(st, d, "s", DIR1);
	g = made(st, s, "g", REG);
	assert_int_equal(do_link(st, f, d, "f2"), 0);
	assert_int_equal(do_unlink(st, d, "f2", 0), 0);		/* not the last name */
	assert_int_equal(restore(st, f, 0, ""), ENOENT);
	assert_int_equal(do_unlink(st, d, "f", 0), 0);
	assert_false(gone(st, f));
	totals(st, d, 0, 1, 1);
	assert_int_equal(do_link(st, f, d, "f3"), ENOENT);
	i = get(st, f);
	assert_int_equal(i.nlink, 1);

	/* Only its owner or root; where it was, when that is free and there. */
	st->uid = 8;
	assert_int_equal(restore(st, f, 0, ""), EPERM);
	assert_int_equal(empty(st, f), EPERM);
	st->uid = 1000;
	made(st, d, "f", REG);
	assert_int_equal(restore(st, f, 0, ""), EEXIST);
	assert_int_equal(restore(st, f, st->root, "back"), 0);
	assert_int_equal(at(st, st->root, "back"), f);

	/* Bottom up, as rm -r does; then top down back. */
	assert_int_equal(do_unlink(st, s, "g", 0), 0);
	assert_int_equal(do_unlink(st, d, "s", FLINT_NAME_DIR), 0);
	assert_int_equal(restore(st, g, 0, ""), ENOENT);
	assert_int_equal(do_mknod(st, s, "x", REG, NULL), ENOENT);
	assert_int_equal(restore(st, s, 0, ""), 0);
	assert_int_equal(restore(st, g, 0, ""), 0);
	assert_int_equal(at(st, s, "g"), g);

	/* A tree in one piece; a replaced file; what expires is gone. */
	assert_int_equal(rmtree(st, d, "s"), 0);
	assert_int_equal(at(st, d, "s"), 0);
	assert_int_equal(restore(st, s, 0, ""), 0);
	assert_int_equal(at(st, s, "g"), g);
	made(st, d, "new", REG);
	assert_int_equal(do_rename(st, d, "new", s, "g", 0), 0);
	assert_int_equal(rmtree(st, d, "s"), 0);
	verify(st);
	assert_int_equal(own(st, META_OP_TRASH_EXPIRE, 0, 100), 0);
	assert_false(gone(st, s) || gone(st, g));
	st->clock += 61ull * 1000000000;
	assert_int_equal(own(st, META_OP_TRASH_EXPIRE, 0, 100), 0);
	assert_true(gone(st, g));
	assert_int_equal(own(st, META_OP_RMTREE_STEP, 1, 100), 0);
	assert_true(gone(st, s));
}

/* Open files are kept by their handles, in the trash and out of it. */
static void test_trash_open(void **p)
{
	struct state *st = *p;
	struct flint_open_rep r;
	u64 f = made(st, st->root, "f", REG);

	assert_int_equal(trash_set(st, st->root, 60), EPERM);
	st->uid = 0;
	assert_int_equal(trash_set(st, st->root, 60), 0);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_WRITE, 0), 0);
	r = rep_open(st);
	assert_int_equal(do_unlink(st, st->root, "f", 0), 0);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 5000, 0), 0);
	assert_int_equal(empty(st, f), 0);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 6000, 0), 0);
	assert_int_equal(le32_to_cpu(rep_attr(st).nlink), 0);
	assert_int_equal(do_close(st, le64_to_cpu(r.handle), f), 0);
	assert_int_equal(own(st, META_OP_ORPHAN_DONE, f, 0), 0);
	assert_true(gone(st, f));
}

/* ---- tokens --------------------------------------------------------------------------- */

static u32 token_open(struct state *st, u8 client, u32 fs, const char *token_path, u32 flags,
		      u64 expires, const char *path)
{
	u8 id[16] = { client }, body[sizeof(struct flint_session_open) + 64];
	u64 buf[32] = { 0 };
	struct flint_token *t = (struct flint_token *)buf;
	struct flint_session_open b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .path_len = cpu_to_le32(strlen(path)),
		.fs_name = "fs",
	};
	struct meta_command c = {
		.op = FLINT_OP_SESSION_OPEN, .client = id, .body = body,
		.body_len = sizeof(b) + strlen(path), .data = t,
		.data_len = sizeof(*t) + strlen(token_path),
	};

	memcpy(body, &b, sizeof(b));
	memcpy(body + sizeof(b), path, strlen(path));
	*t = (struct flint_token){
		.magic = cpu_to_le32(FLINT_TOKEN_MAGIC), .version = FLINT_TOKEN_V1,
		.fixed_len = cpu_to_le16(sizeof(*t)), .path_len = cpu_to_le16(strlen(token_path)),
		.fs = cpu_to_le32(fs), .id = cpu_to_le64(9), .flags = cpu_to_le32(flags),
		.expires = cpu_to_le64(expires) };
	memcpy(t + 1, token_path, strlen(token_path));
	if (flags & FLINT_TOKEN_ROOT_SQUASH)
		t->squash_uid = t->squash_gid = cpu_to_le32(65534);
	return apply(st, &c);
}

static void test_token(void **p)
{
	struct state *st = *p;
	u64 a = made(st, st->root, "a", S_IFDIR | 0777), b = made(st, a, "b", S_IFDIR | 0777);
	u64 other = made(st, st->root, "other", S_IFDIR | 0777), f = made(st, other, "f", REG);
	u64 g = made(st, b, "g", S_IFREG | 0600), h = made(st, b, "h", S_IFREG | 0600);

	assert_int_equal(token_open(st, 9, 2, "", 0, 0, ""), FLINT_ST_AUTH);
	assert_int_equal(token_open(st, 9, 1, "a/b", 0, 0, ""), FLINT_ST_AUTH);
	assert_int_equal(token_open(st, 9, 1, "a/b", 0, 0, "a"), FLINT_ST_AUTH);
	assert_int_equal(token_open(st, 9, 1, "a/none", 0, 0, "a"), FLINT_ST_AUTH);
	st->clock = 5ull * 1000000000;
	assert_int_equal(token_open(st, 9, 1, "a", 0, 5, "a"), FLINT_ST_AUTH);
	assert_int_equal(token_open(st, 9, 1, "a/..", 0, 0, "a"), FLINT_ST_BAD_REQUEST);
	assert_int_equal(token_open(st, 9, 1, "a", 0, 9, "a"), 0);
	assert_int_equal(token_open(st, 9, 1, "a", FLINT_TOKEN_RDONLY, 9, "a"), EBUSY);
	st->sid = rep_session(st);
	st->seq = 0;
	assert_int_equal(do_mknod(st, b, "x", REG, NULL), 0);
	assert_int_equal(do_mknod(st, other, "x", REG, NULL), ESTALE);
	assert_int_equal(do_mknod(st, st->root, "x", REG, NULL), ESTALE);
	assert_int_equal(do_truncate(st, f, 9), ESTALE);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_READ, 0), ESTALE);
	assert_int_equal(do_link(st, f, b, "f"), ESTALE);
	assert_int_equal(do_rename(st, b, "g", other, "g", 0), ESTALE);
	assert_int_equal(do_rename(st, other, "f", b, "f", 0), ESTALE);
	assert_int_equal(rmtree(st, st->root, "other"), ESTALE);
	st->uid = 0;
	assert_int_equal(quota_set(st, FLINT_QUOTA_USER, 1, 1, 1, 0, 0), EPERM);
	/* What it has open stays its own without a name, however it was opened. */
	assert_int_equal(do_open(st, b, "g", 0, 0), 0);
	assert_int_equal(do_unlink(st, b, "g", 0), 0);
	assert_int_equal(do_truncate(st, g, 0), 0);
	st->clock = 10ull * 1000000000;
	assert_int_equal(do_mknod(st, b, "y", REG, NULL), FLINT_ST_AUTH);	/* it ended */

	assert_int_equal(token_open(st, 10, 1, "", FLINT_TOKEN_ROOT_SQUASH, 0, ""), 0);
	st->sid = rep_session(st);
	st->seq = 0;
	assert_int_equal(do_open(st, h, NULL, FLINT_OPEN_READ, 0), EACCES);
	assert_int_equal(do_mknod(st, other, "n", REG, NULL), 0);
	assert_int_equal(le32_to_cpu(rep_attr(st).uid), 65534);
	assert_int_equal(do_setattr(st, h, FLINT_SET_UID, &(struct flint_setattr){ 0 }), EPERM);
	assert_int_equal(do_mknod(st, other, "dev", S_IFCHR | 0666, NULL), EPERM);

	assert_int_equal(token_open(st, 11, 1, "a", FLINT_TOKEN_RDONLY, 0, "a/b"), 0);
	st->sid = rep_session(st);
	st->seq = 0;
	assert_int_equal(do_unlink(st, b, "h", 0), EROFS);
}

/* What a request is answered by each kind of session. */
enum { AS_KEY, AS_TOKEN, AS_RDONLY, AS_SQUASH, AS_SUBTREE, AS_ADMIN, AS_NR };

struct try {
	struct state *st;
	u64 dir, file;		/* below /a, which the subtree's token is for */
	u64 hidden, inside;	/* a directory of mode 0700, and a file in it */
};

static u32 read_by(struct state *st, u16 op, const void *body, u32 len)
{
	return meta_read_may(&st->s, meta_session_by_id(&st->s, st->sid), false, op, body, &len, 0);
}

static u32 try_quota(struct try *t)
{
	return quota_set(t->st, FLINT_QUOTA_USER, 7, 1 << 30, 0, 0, 0);
}

static u32 try_tree_quota(struct try *t)
{
	return quota_set(t->st, FLINT_QUOTA_TREE, t->dir, 1 << 30, 0, 0, 0);
}

static u32 try_trash(struct try *t)
{
	return trash_set(t->st, t->dir, 60);
}

static u32 try_project(struct try *t)
{
	return do_setattr(t->st, t->file, FLINT_SET_PROJECT,
			  &(struct flint_setattr){ .project = cpu_to_le32(3) });
}

static u32 try_quota_list(struct try *t)
{
	struct flint_list b = { .kind = cpu_to_le32(FLINT_QUOTA_USER), .max_len = cpu_to_le32(4096) };
	u64 rep[META_ADMIN_REP / 8];
	u8 buf[4096];
	u32 used, len;

	return meta_admin_read(&t->st->s, meta_session_by_id(&t->st->s, t->st->sid), false,
			       FLINT_OP_QUOTA_LIST, &b, sizeof(b), 0, buf, sizeof(buf), &used, rep, &len);
}

/* Without a word on who asks. */
static u32 try_readdir(struct try *t)
{
	return read_by(t->st, FLINT_OP_READDIR, &(struct flint_readdir){ .ino = cpu_to_le64(t->hidden) },
		       sizeof(struct flint_readdir));
}

static u32 try_getattr(struct try *t)
{
	return read_by(t->st, FLINT_OP_GETATTR, &(struct flint_ino_req){ .ino = cpu_to_le64(t->inside) },
		       sizeof(struct flint_ino_req));
}

static u32 try_getattr_dir(struct try *t)
{
	return read_by(t->st, FLINT_OP_GETATTR, &(struct flint_ino_req){ .ino = cpu_to_le64(t->hidden) },
		       sizeof(struct flint_ino_req));
}

static u32 try_chmod(struct try *t)
{
	return do_setattr(t->st, t->file, FLINT_SET_MODE,
			  &(struct flint_setattr){ .mode = cpu_to_le32(0644) });
}

static void test_token_table(void **p)
{
	static const struct {
		const char *what;
		u32 (*fn)(struct try *t);
		u32 want[AS_NR];
	} table[] = {
		/*				  key	token	ro	squash	subtree	admin */
		{ "quota", try_quota,		{ 0,	EPERM,	EROFS,	EPERM,	EPERM,	0 } },
		{ "tree quota", try_tree_quota,	{ 0,	EPERM,	EROFS,	EPERM,	EPERM,	0 } },
		{ "trash set", try_trash,	{ 0,	EPERM,	EROFS,	EPERM,	EPERM,	0 } },
		{ "project", try_project,	{ 0,	EPERM,	EROFS,	EPERM,	EPERM,	0 } },
		{ "quota list", try_quota_list,	{ 0,	EPERM,	EPERM,	EPERM,	EPERM,	0 } },
		{ "readdir", try_readdir,	{ 0,	0,	0,	EACCES,	0,	0 } },
		{ "getattr", try_getattr,	{ 0,	0,	0,	EACCES,	0,	0 } },
		{ "of the directory", try_getattr_dir, { 0, 0,	0,	0,	0,	0 } },
		{ "chmod", try_chmod,		{ 0,	0,	EROFS,	EPERM,	0,	0 } },
	};
	static const u32 flags[AS_NR] = {
		[AS_RDONLY] = FLINT_TOKEN_RDONLY, [AS_SQUASH] = FLINT_TOKEN_ROOT_SQUASH,
		[AS_ADMIN] = FLINT_TOKEN_ADMIN };
	struct state *st = *p;
	struct try t = { .st = st };
	u64 a, key = st->sid, key_seq;
	size_t i;
	int as;
	u32 got;

	a = made(st, st->root, "a", S_IFDIR | 0755);
	t.dir = made(st, a, "d", S_IFDIR | 0755);
	t.file = made(st, a, "f", S_IFREG | 0600);
	t.hidden = made(st, a, "h", S_IFDIR | 0700);
	t.inside = made(st, t.hidden, "i", S_IFREG | 0644);
	key_seq = st->seq;
	st->uid = 0;
	for (as = 0; as < AS_NR; as++) {
		const char *path = as == AS_SUBTREE ? "a" : "";

		st->sid = key;
		st->seq = key_seq;
		if (as != AS_KEY) {
			assert_int_equal(token_open(st, 20 + as, 1, path, flags[as], 0, path), 0);
			st->sid = rep_session(st);
			st->seq = 0;
		}
		for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
			got = table[i].fn(&t);
			if (got != table[i].want[as])
				fail_msg("%s by session kind %d: %u, wanted %u", table[i].what, as, got,
					 table[i].want[as]);
		}
		key_seq = as == AS_KEY ? st->seq : key_seq;
	}
}

/* ---- hostile commands --------------------------------------------------------------------- */

/* No row has changed but the memory of the answer. */
static void sum_same(struct state *st, u64 before, u64 sid, u64 seq)
{
	u8 key[META_KEY_MAX];

	if (sid && seq)
		assert_int_equal(meta_row_del(&st->s, META_T_REPLY, key, meta_key2(key, sid, seq)),
				 0);
	meta_store_settle(&st->s);
	assert_true(st->s.sum == before);
}

/* The command is refused with this status, and changes nothing. */
static void refused(struct state *st, const struct meta_command *c, u32 want)
{
	u8 *bytes = malloc(meta_command_size(c));
	u64 before;

	meta_store_settle(&st->s);
	before = st->s.sum;
	meta_command_encode(c, bytes);
	assert_int_equal(apply_bytes(st, bytes, meta_command_size(c)), want);
	sum_same(st, before, c->sid, c->seq);
	free(bytes);
}

static const u16 all_ops[] = {
	FLINT_OP_SESSION_OPEN, FLINT_OP_SETATTR, FLINT_OP_OPEN, FLINT_OP_CLOSE, FLINT_OP_MKNOD,
	FLINT_OP_LINK, FLINT_OP_UNLINK, FLINT_OP_RENAME, FLINT_OP_SETXATTR, FLINT_OP_REMOVEXATTR,
	FLINT_OP_EXTEND, FLINT_OP_APPEND, FLINT_OP_FS_CREATE, FLINT_OP_QUOTA_SET,
	FLINT_OP_TRASH_SET, FLINT_OP_TRASH_RESTORE, FLINT_OP_TRASH_EMPTY, FLINT_OP_RMTREE,
};

static void test_malformed(void **p)
{
	struct state *st = *p;
	u8 body[512];
	size_t i;
	u32 n;

	for (i = 0; i < sizeof(all_ops) / sizeof(all_ops[0]); i++) {
		struct meta_command c = { .op = all_ops[i], .sid = st->sid, .body = body };

		/* Every length that is too short, then lengths that lie. */
		memset(body, 0, sizeof(body));
		for (n = 0; n < 16; n++) {
			c.seq = c.seq_low = ++st->seq;
			c.ts = ++st->clock;
			c.body_len = n;
			refused(st, &c, FLINT_ST_BAD_REQUEST);
		}
		memset(body, 0xff, sizeof(body));
		for (n = 16; n < sizeof(body); n += 37) {
			struct meta_reply was;
			u64 before;

			c.body_len = n;
			c.seq = c.seq_low = ++st->seq;
			c.ts = ++st->clock;
			meta_store_settle(&st->s);
			before = st->s.sum;
			was.status = apply(st, &c);
			assert_int_not_equal(was.status, 0);
			if (was.status == FLINT_ST_BAD_REQUEST) {
				sum_same(st, before, st->sid, c.seq);
			}
		}
		/* Payload where none belongs; more credentials than there may be. */
		c.seq = c.seq_low = ++st->seq;
		c.body_len = 0;
		c.data = body;
		c.data_len = sizeof(body);
		refused(st, &c, FLINT_ST_BAD_REQUEST);
		c.data_len = 0;
		c.op |= META_OP_CRED;
		c.body_len = sizeof(body);
		refused(st, &c, FLINT_ST_BAD_REQUEST);
	}
}

static void test_unauthorised(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG);
	struct flint_extend b = { .ino = cpu_to_le64(f), .end = cpu_to_le64(10) };
	struct meta_command c = { .op = FLINT_OP_EXTEND, .body = &b, .body_len = sizeof(b) };
	u8 bytes[512];
	u64 before;
	u32 len;

	c.sid = 77;
	c.seq = 1;
	refused(st, &c, FLINT_ST_NO_SESSION);
	c.sid = st->sid;
	c.seq = 0;
	refused(st, &c, FLINT_ST_BAD_REQUEST);
	c.seq = ++st->seq;
	c.seq_low = c.seq + 1;
	refused(st, &c, FLINT_ST_BAD_REQUEST);
	c.seq = 1ull << 63;
	refused(st, &c, FLINT_ST_BAD_REQUEST);
	c.op = 0x3fff;
	c.seq = st->seq;
	c.seq_low = 1;
	refused(st, &c, FLINT_ST_BAD_REQUEST);
	c.op = META_OP_EXPIRE | META_OP_CRED;
	refused(st, &c, FLINT_ST_BAD_REQUEST);

	/* Again with other arguments; then below what was acknowledged. */
	c.op = FLINT_OP_EXTEND;
	c.seq = ++st->seq;
	assert_int_equal(apply(st, &c), 0);
	b.end = cpu_to_le64(20);
	meta_store_settle(&st->s);
	before = st->s.sum;
	assert_int_equal(apply(st, &c), FLINT_ST_BAD_SEQ);
	meta_store_settle(&st->s);
	assert_true(st->s.sum == before);
	st->seq += 40;
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 30, 0), 0);
	meta_store_settle(&st->s);
	before = st->s.sum;
	assert_int_equal(apply(st, &c), FLINT_ST_BAD_SEQ);

	/* Any flipped bit of a command. */
	c.seq = c.seq_low = ++st->seq;
	len = meta_command_size(&c);
	for (u32 bit = 0; bit < len * 8; bit += 3) {
		u32 at = bit / 8;

		if (at >= offsetof(struct meta_command_hdr, ts) &&
		    at < offsetof(struct meta_command_hdr, sid))
			continue;	/* the leader's stamp is not covered, nor is seq_low */
		if (at >= offsetof(struct meta_command_hdr, seq_low) &&
		    at < offsetof(struct meta_command_hdr, client))
			continue;
		meta_command_encode(&c, bytes);
		bytes[at] ^= 1 << bit % 8;
		assert_int_equal(apply_bytes(st, bytes, len), FLINT_ST_BAD_REQUEST);
	}
	meta_store_settle(&st->s);
	assert_true(st->s.sum == before);
	assert_int_equal(get(st, f).size, 30);
}

/* Names of every byte but the two that cannot be. */
static void test_names(void **p)
{
	struct state *st = *p;
	char name[2] = "";
	int i, n = 0;

	for (i = 0; i < 256; i++) {
		u8 raw[3] = { 'x', i, 'y' };

		if (!i || i == '/')
			assert_int_equal(mknod_n(st, st->root, raw, 3, REG, NULL), EINVAL);
		else
			assert_int_equal(mknod_n(st, st->root, raw, 3, REG, NULL), 0);
		n += i && i != '/';
		name[0] = i;
		if (i && i != '/' && i != '.')
			made(st, st->root, name, DIR1);
	}
	totals(st, st->root, 0, n, 253);
}

/* As many clients as a large cluster has, each with a file open. */
static void test_many_sessions(void **p)
{
	struct flint_session_open b = { .fixed_len = cpu_to_le32(sizeof(b)), .fs_name = "fs" };
	u8 id[16] = { 0xcc };
	struct meta_command c = { .op = FLINT_OP_SESSION_OPEN, .client = id, .body = &b,
				  .body_len = sizeof(b) };
	struct state *st = *p;
	u64 first = 0, f = made(st, st->root, "f", REG);
	u32 i;

	st->gen_objects = 1000000;
	state_restart(st);
	for (i = 0; i < 100000; i++) {
		memcpy(id + 4, &i, sizeof(i));
		assert_int_equal(apply(st, &c), 0);
		st->sid = rep_session(st);
		first = first ? first : st->sid;
		st->seq = 0;
		assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_READ, 0), 0);
	}
	state_restart(st);
	assert_int_equal(meta_open_count(&st->s, f), 100000);
	for (i = 0; i < 100000; i += 2)
		assert_int_equal(own(st, META_OP_EXPIRE, first + i, 0), 0);
	assert_int_equal(meta_open_count(&st->s, f), 50000);
	assert_int_equal(do_unlink(st, st->root, "f", 0), 0);
	assert_false(gone(st, f));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, state_setup, state_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_totals), TEST(test_many_links), TEST(test_deep), TEST(test_quota),
		TEST(test_trash), TEST(test_trash_open), TEST(test_token), TEST(test_token_table),
		TEST(test_malformed),
		TEST(test_unauthorised), TEST(test_names), TEST(test_many_sessions),
	};

	meta_sqlite_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
