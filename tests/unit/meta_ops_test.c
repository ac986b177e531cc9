// SPDX-License-Identifier: GPL-2.0-or-later
/* Every metadata operation with its errors, applied to a real database. */
#include "meta_state.h"
#include "../../userd/meta/lease.h"

#define DIR1	(S_IFDIR | 0755)
#define REG	(S_IFREG | 0644)

static void test_fs_create(void **p)
{
	struct state *st = *p;
	u64 root = st->root;

	assert_int_equal(fs_create(st, 1, "fs"), 0);		/* again: the same */
	assert_int_equal(rep_ino(st), root);
	assert_int_equal(fs_create(st, 1, "other"), EEXIST);
	assert_int_equal(fs_create(st, 2, "fs"), EEXIST);
	assert_int_equal(fs_create(st, 0, "zero"), EINVAL);
	assert_int_equal(fs_create(st, 3, ""), EINVAL);
	assert_int_equal(fs_create(st, 3, "a/b"), EINVAL);
	assert_int_equal(fs_create(st, 2, "second"), 0);
	assert_int_not_equal(rep_ino(st), root);
	assert_int_equal(get(st, root).nlink, 2);
	assert_int_equal(get(st, root).parent, root);
}

static void test_session(void **p)
{
	struct state *st = *p;
	u64 a = made(st, st->root, "a", DIR1), b = made(st, a, "b", DIR1);
	struct flint_session_rep r;
	u64 sid;

	made(st, a, "file", REG);
	made(st, a, "link", S_IFLNK);
	assert_int_equal(session_open(st, 2, "none", "", 0), ENODEV);
	assert_int_equal(session_open(st, 2, "fs", "/a/none", 0), ENOENT);
	assert_int_equal(session_open(st, 2, "fs", "/a/file", 0), ENOTDIR);
	assert_int_equal(session_open(st, 2, "fs", "/a/link", 0), ENOTDIR);
	assert_int_equal(session_open(st, 2, "fs", "/a/file/x", 0), ENOTDIR);
	assert_int_equal(session_open(st, 2, "fs", "/a/../a", 0), EINVAL);
	assert_int_equal(session_open(st, 2, "fs", "", 0x80), EINVAL);
	assert_int_equal(session_open(st, 2, "fs", "//a//b/", 0), 0);
	memcpy(&r, st->rep.body, sizeof(r));
	assert_int_equal(le64_to_cpu(r.root.ino), b);
	sid = le64_to_cpu(r.session_epoch);
	assert_int_not_equal(sid, st->sid);
	assert_int_equal(session_open(st, 2, "fs", "a/b", 0), 0);	/* a lost answer */
	assert_int_equal(rep_session(st), sid);
	assert_int_equal(session_open(st, 2, "fs", "", 0), EBUSY);	/* another mount, same id */

	st->sid = sid;
	assert_int_equal(session_close(st), 0);
	assert_int_equal(session_close(st), FLINT_ST_NO_SESSION);
	assert_int_equal(do_mknod(st, a, "x", REG, NULL), FLINT_ST_NO_SESSION);
	assert_int_equal(session_open(st, 2, "fs", "", 0), 0);
	assert_int_not_equal(rep_session(st), sid);		/* epochs are not used again */
}

static void test_rdonly(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG);
	struct flint_open_rep o;

	assert_int_equal(session_open(st, 2, "fs", "", FLINT_SESSION_RDONLY), 0);
	st->sid = rep_session(st);
	st->seq = 0;
	assert_int_equal(do_mknod(st, st->root, "x", REG, NULL), EROFS);
	assert_int_equal(do_unlink(st, st->root, "f", 0), EROFS);
	assert_int_equal(do_truncate(st, f, 0), EROFS);
	assert_int_equal(do_rename(st, st->root, "f", st->root, "g", 0), EROFS);
	assert_int_equal(do_open(st, st->root, "x", FLINT_OPEN_CREATE, 0644), EROFS);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_WRITE, 0), EROFS);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_TRUNC, 0), EROFS);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_READ, 0), 0);
	o = rep_open(st);
	assert_int_equal(do_close(st, le64_to_cpu(o.handle), f), 0);
}

static void test_mknod(void **p)
{
	struct state *st = *p;
	struct flint_attr a;
	char name[300];
	u64 d;

	assert_int_equal(do_mknod(st, st->root, "f", S_IFREG | 04751, NULL), 0);
	a = rep_attr(st);
	assert_int_equal(le32_to_cpu(a.mode), S_IFREG | 04751);
	assert_int_equal(le32_to_cpu(a.nlink), 1);
	assert_int_equal(le32_to_cpu(a.uid), 1000);
	assert_int_equal(le32_to_cpu(a.gid), 100);
	assert_int_equal(a.layout.chunk_shift, 20);
	assert_int_equal(le16_to_cpu(a.layout.stripe), 4);
	assert_true(a.layout.seed != 0);
	assert_true(a.atime == a.mtime && a.mtime == a.ctime && a.ctime == a.btime);
	assert_int_equal(do_mknod(st, st->root, "f", REG, NULL), EEXIST);
	d = made(st, st->root, "d", DIR1);
	assert_int_equal(get(st, d).nlink, 2);
	assert_int_equal(get(st, d).parent, st->root);
	assert_int_equal(get(st, st->root).nlink, 3);
	assert_int_equal(get(st, st->root).size, 2);
	assert_int_equal(do_mknod(st, d, "chr", S_IFCHR | 0600, NULL), 0);
	a = rep_attr(st);
	assert_int_equal(le32_to_cpu(a.rdev_major), 8);
	assert_int_equal(le32_to_cpu(a.rdev_minor), 1);
	assert_int_equal(do_mknod(st, d, "blk", S_IFBLK | 0600, NULL), 0);
	assert_int_equal(do_mknod(st, d, "fifo", S_IFIFO | 0600, NULL), 0);
	assert_int_equal(do_mknod(st, d, "sock", S_IFSOCK | 0600, NULL), 0);
	assert_int_equal(do_mknod(st, d, "none", 0644, NULL), EINVAL);
	assert_int_equal(do_mknod(st, d, "f", REG, "target"), EINVAL);

	assert_int_equal(do_mknod(st, d, "l", S_IFLNK, "../f"), 0);
	a = rep_attr(st);
	assert_int_equal(le32_to_cpu(a.mode), S_IFLNK | 0777);
	assert_int_equal(le64_to_cpu(a.size), 4);
	assert_int_equal(meta_read_link(&st->s, le64_to_cpu(a.ino), (u8 *)name, sizeof(name)), 4);
	assert_memory_equal(name, "../f", 4);
	assert_int_equal(do_mknod(st, d, "l2", S_IFLNK, NULL), ENOENT);

	memset(name, 'n', sizeof(name));
	assert_int_equal(mknod_n(st, d, name, 255, REG, NULL), 0);
	assert_int_equal(mknod_n(st, d, name, 256, REG, NULL), ENAMETOOLONG);
	assert_int_equal(mknod_n(st, d, "\xff\x01\n \\", 5, REG, NULL), 0);
	assert_int_equal(mknod_n(st, d, "a/b", 3, REG, NULL), EINVAL);
	assert_int_equal(mknod_n(st, d, "a\0b", 3, REG, NULL), EINVAL);
	assert_int_equal(mknod_n(st, d, ".", 1, REG, NULL), EINVAL);
	assert_int_equal(mknod_n(st, d, "..", 2, REG, NULL), EINVAL);
	assert_int_equal(mknod_n(st, d, "...", 3, REG, NULL), 0);
	assert_int_equal(do_mknod(st, 999999, "x", REG, NULL), ESTALE);
	assert_int_equal(do_mknod(st, at(st, st->root, "f"), "x", REG, NULL), ENOTDIR);
}

static void test_setgid(void **p)
{
	struct state *st = *p;
	struct flint_setattr v = { .mode = cpu_to_le32(02775), .gid = cpu_to_le32(555) };
	u64 d = made(st, st->root, "d", DIR1), s;

	assert_int_equal(do_setattr(st, d, FLINT_SET_MODE | FLINT_SET_GID, &v), 0);
	s = made(st, d, "sub", DIR1);
	assert_int_equal(get(st, s).gid, 555);
	assert_int_equal(get(st, s).mode, S_IFDIR | 02755);
	s = made(st, s, "f", REG);
	assert_int_equal(get(st, s).gid, 555);
	assert_int_equal(get(st, s).mode, REG);
}

static void test_open(void **p)
{
	struct state *st = *p;
	u64 d = made(st, st->root, "d", DIR1), f, h;
	struct flint_open_rep o;

	assert_int_equal(do_open(st, d, "f", FLINT_OPEN_READ, 0), ENOENT);
	assert_int_equal(do_open(st, d, "f", FLINT_OPEN_WRITE | FLINT_OPEN_CREATE, 0640), 0);
	o = rep_open(st);
	f = le64_to_cpu(o.attr.ino);
	h = le64_to_cpu(o.handle);
	assert_int_equal(le32_to_cpu(o.created), 1);
	assert_int_equal(le32_to_cpu(o.attr.mode), S_IFREG | 0640);
	assert_int_equal(do_open(st, d, "f", FLINT_OPEN_CREATE | FLINT_OPEN_EXCL, 0640), EEXIST);
	assert_int_equal(do_open(st, d, "f", FLINT_OPEN_CREATE | FLINT_OPEN_READ, 0600), 0);
	o = rep_open(st);
	assert_int_equal(le32_to_cpu(o.created), 0);
	assert_int_equal(le64_to_cpu(o.attr.ino), f);
	assert_int_equal(do_close(st, le64_to_cpu(o.handle), f), 0);
	assert_int_equal(do_close(st, le64_to_cpu(o.handle), f), EBADF);
	assert_int_equal(do_close(st, h, f + 1), EBADF);
	assert_int_equal(do_close(st, h, f), 0);
	assert_int_equal(do_open(st, f, "x", FLINT_OPEN_READ, 0), ENOTDIR);
	assert_int_equal(do_open(st, f, NULL, 0x1000, 0), EINVAL);
	assert_int_equal(do_open(st, 424242, NULL, FLINT_OPEN_READ, 0), ESTALE);
	/* What is not a file is described, and not opened. */
	assert_int_equal(do_open(st, st->root, "d", FLINT_OPEN_READ, 0), 0);
	o = rep_open(st);
	assert_true(!o.handle && S_ISDIR(le32_to_cpu(o.attr.mode)));
	made(st, d, "l", S_IFLNK);
	assert_int_equal(do_open(st, d, "l", FLINT_OPEN_CREATE, 0), 0);
	o = rep_open(st);
	assert_true(!o.handle && S_ISLNK(le32_to_cpu(o.attr.mode)));
}

static void test_link_unlink(void **p)
{
	struct state *st = *p;
	u64 d = made(st, st->root, "d", DIR1), f = made(st, st->root, "f", REG);
	struct flint_unlink_rep u;

	assert_int_equal(do_link(st, f, d, "g"), 0);
	assert_int_equal(get(st, f).nlink, 2);
	assert_int_equal(do_link(st, f, d, "g"), EEXIST);
	assert_int_equal(do_link(st, d, st->root, "d2"), EPERM);
	assert_int_equal(do_link(st, 777777, d, "x"), ESTALE);
	assert_int_equal(do_link(st, f, f, "x"), ENOTDIR);

	assert_int_equal(do_unlink(st, st->root, "none", 0), ENOENT);
	assert_int_equal(do_unlink(st, st->root, "d", 0), EISDIR);
	assert_int_equal(do_unlink(st, st->root, "f", FLINT_NAME_DIR), ENOTDIR);
	assert_int_equal(do_unlink(st, st->root, "d", FLINT_NAME_DIR), ENOTEMPTY);
	assert_int_equal(do_unlink(st, st->root, "f", 0), 0);
	memcpy(&u, st->rep.body, sizeof(u));
	assert_int_equal(le64_to_cpu(u.ino), f);
	assert_int_equal(le32_to_cpu(u.nlink), 1);
	assert_int_equal(do_unlink(st, d, "g", 0), 0);
	assert_true(gone(st, f));
	assert_int_equal(do_unlink(st, st->root, "d", FLINT_NAME_DIR), 0);
	assert_true(gone(st, d));
	assert_int_equal(get(st, st->root).nlink, 2);
	assert_int_equal(get(st, st->root).size, 0);
	assert_int_equal(do_mknod(st, d, "x", REG, NULL), ESTALE);
}

static void test_link_limit(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG), d = made(st, st->root, "d", DIR1);
	char sql[128];

	snprintf(sql, sizeof(sql), "UPDATE inode SET nlink=%u WHERE ino IN (%llu,%llu)",
		 META_LINK_MAX, (unsigned long long)f, (unsigned long long)d);
	state_sql(st, sql);
	assert_int_equal(do_link(st, f, st->root, "g"), EMLINK);
	assert_int_equal(do_mknod(st, d, "s", DIR1, NULL), EMLINK);
	assert_int_equal(do_mknod(st, d, "s", REG, NULL), 0);
	made(st, st->root, "m", DIR1);
	assert_int_equal(do_rename(st, st->root, "m", d, "m", 0), EMLINK);
	snprintf(sql, sizeof(sql), "UPDATE inode SET nlink=CASE ino WHEN %llu THEN 1 ELSE 2 END"
		 " WHERE ino IN (%llu,%llu)", (unsigned long long)f, (unsigned long long)f,
		 (unsigned long long)d);
	state_sql(st, sql);
}

static void test_many_links(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG);
	char name[32];
	int i;

	for (i = 0; i < 1500; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		assert_int_equal(do_link(st, f, st->root, name), 0);
	}
	assert_int_equal(get(st, f).nlink, 1501);
}

static void test_setattr(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG), d = made(st, st->root, "d", DIR1), change;
	struct flint_setattr v = {
		.mode = cpu_to_le32(S_IFDIR | 06711), .uid = cpu_to_le32(5), .gid = cpu_to_le32(6),
		.atime = cpu_to_le64(-5000000000ll), .mtime = cpu_to_le64(77),
		.project = cpu_to_le32(9),
	};
	struct meta_inode i;

	change = get(st, f).change;
	assert_int_equal(do_setattr(st, f, FLINT_SET_MODE | FLINT_SET_UID | FLINT_SET_GID |
				    FLINT_SET_ATIME | FLINT_SET_MTIME | FLINT_SET_PROJECT, &v), 0);
	i = get(st, f);
	assert_int_equal(i.mode, S_IFREG | 06711);
	assert_int_equal(i.uid, 5);
	assert_int_equal(i.gid, 6);
	assert_true(i.atime == -5000000000ll && i.mtime == 77);
	assert_int_equal(i.project, 9);
	assert_true(i.change > change && i.ctime > i.btime);
	assert_int_equal(do_setattr(st, f, FLINT_SET_ATIME_NOW | FLINT_SET_MTIME_NOW, NULL), 0);
	i = get(st, f);
	assert_true(i.atime == i.ctime && i.mtime == i.ctime);
	assert_int_equal(do_setattr(st, f, 0x80000000, NULL), EINVAL);
	assert_int_equal(do_truncate(st, d, 1), EISDIR);
	assert_int_equal(do_truncate(st, made(st, st->root, "p", S_IFIFO), 1), EINVAL);
	assert_int_equal(do_truncate(st, f, 1ull << 53), EFBIG);
	assert_int_equal(do_truncate(st, f, 1ull << 52), 0);	/* 2^32 chunks of 1 MiB */
	assert_int_equal(do_setattr(st, 55555, FLINT_SET_MODE, NULL), ESTALE);
	v.gen = cpu_to_le32(7);
	assert_int_equal(do_setattr(st, f, FLINT_SET_MODE, &v), ESTALE);
}

static void test_flags(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG), d = made(st, st->root, "d", DIR1);

	made(st, d, "x", REG);
	assert_int_equal(set_flags(st, f, 0x80), EINVAL);
	assert_int_equal(set_flags(st, f, FLINT_INO_IMMUTABLE), 0);
	assert_int_equal(do_setattr(st, f, FLINT_SET_MODE, NULL), EPERM);
	assert_int_equal(do_truncate(st, f, 5), EPERM);
	assert_int_equal(do_unlink(st, st->root, "f", 0), EPERM);
	assert_int_equal(do_rename(st, st->root, "f", st->root, "g", 0), EPERM);
	assert_int_equal(do_rename(st, d, "x", st->root, "f", 0), EPERM);
	assert_int_equal(do_link(st, f, st->root, "g"), EPERM);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_WRITE, 0), EPERM);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 10, 0), EPERM);
	assert_int_equal(do_xattr(st, FLINT_OP_SETXATTR, f, "user.a", "v", 1, 0), EPERM);
	assert_int_equal(set_flags(st, f, FLINT_INO_APPEND), 0);
	assert_int_equal(do_extend(st, FLINT_OP_APPEND, f, 0, 0, 10), 0);
	assert_int_equal(do_truncate(st, f, 0), EPERM);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_TRUNC, 0), EPERM);
	assert_int_equal(set_flags(st, f, 0), 0);

	assert_int_equal(set_flags(st, d, FLINT_INO_IMMUTABLE), 0);
	assert_int_equal(do_mknod(st, d, "y", REG, NULL), EPERM);
	assert_int_equal(do_open(st, d, "y", FLINT_OPEN_CREATE, 0644), EPERM);
	assert_int_equal(do_unlink(st, d, "x", 0), EPERM);
	assert_int_equal(do_rename(st, d, "x", st->root, "x", 0), EPERM);
	assert_int_equal(do_rename(st, st->root, "f", d, "y", 0), EPERM);
	assert_int_equal(do_link(st, f, d, "y"), EPERM);
	assert_int_equal(set_flags(st, d, FLINT_INO_APPEND), 0);
	assert_int_equal(do_mknod(st, d, "y", REG, NULL), 0);
	assert_int_equal(do_unlink(st, d, "y", 0), EPERM);
	assert_int_equal(set_flags(st, d, 0), 0);
}

static void test_xattr(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG);
	char *big = calloc(1, FLINT_XATTR_VALUE_MAX), name[300];
	u8 buf[64];
	u32 total;
	int i;

	assert_int_equal(do_xattr(st, FLINT_OP_SETXATTR, f, "user.a", "hello", 5, 0), 0);
	assert_int_equal(meta_read_xattr(&st->s, f, (u8 *)"user.a", 6, buf, 64, &total), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(meta_read_xattr(&st->s, f, (u8 *)"user.a", 6, buf, 0, &total), 0);
	assert_int_equal(total, 5);
	assert_int_equal(meta_read_xattr(&st->s, f, (u8 *)"user.a", 6, buf, 4, &total), -ERANGE);
	assert_int_equal(meta_read_xattr(&st->s, f, (u8 *)"user.b", 6, buf, 4, &total), -ENODATA);
	assert_int_equal(do_xattr(st, FLINT_OP_SETXATTR, f, "user.a", "x", 1, FLINT_XATTR_CREATE),
			 EEXIST);
	assert_int_equal(do_xattr(st, FLINT_OP_SETXATTR, f, "user.b", "x", 1, FLINT_XATTR_REPLACE),
			 ENODATA);
	assert_int_equal(do_xattr(st, FLINT_OP_SETXATTR, f, "user.b", "x", 1, 3), EINVAL);
	assert_int_equal(do_xattr(st, FLINT_OP_SETXATTR, f, "user.", "x", 1, 0), EOPNOTSUPP);
	assert_int_equal(do_xattr(st, FLINT_OP_SETXATTR, f, "what.b", "x", 1, 0), EOPNOTSUPP);
	assert_int_equal(do_xattr(st, FLINT_OP_SETXATTR, f, "", "x", 1, 0), ERANGE);
	assert_int_equal(do_xattr(st, FLINT_OP_SETXATTR, f, "user.a", "", 0, FLINT_XATTR_REPLACE), 0);
	assert_int_equal(meta_read_xattr(&st->s, f, (u8 *)"user.a", 6, buf, 64, &total), 0);
	assert_int_equal(do_xattr(st, FLINT_OP_SETXATTR, f, "trusted.big", big,
				  FLINT_XATTR_VALUE_MAX, 0), 0);
	assert_int_equal(meta_read_xattr_list(&st->s, f, buf, 64, &total), 19);
	assert_memory_equal(buf, "trusted.big\0user.a\0", 19);
	assert_int_equal(meta_read_xattr_list(&st->s, f, buf, 18, &total), -ERANGE);
	assert_int_equal(total, 19);
	assert_int_equal(do_xattr(st, FLINT_OP_REMOVEXATTR, f, "user.a", NULL, 0, 0), 0);
	assert_int_equal(do_xattr(st, FLINT_OP_REMOVEXATTR, f, "user.a", NULL, 0, 0), ENODATA);
	/* The list must stay within listxattr(2)'s limit. */
	for (i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "user.%0250d", i);
		if (do_xattr(st, FLINT_OP_SETXATTR, f, name, "", 0, 0))
			break;
	}
	assert_int_equal(st->rep.status, ENOSPC);
	assert_int_equal(i, (META_XATTR_LIST_MAX - 12) / 256);
	assert_int_equal(do_unlink(st, st->root, "f", 0), 0);
	assert_int_equal(meta_read_xattr_list(&st->s, f, NULL, 0, &total), 0);
	assert_int_equal(total, 0);
	free(big);
}

static void test_extend_append(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG);
	struct flint_append_rep a;
	struct flint_attr at;

	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 5000, 0), 0);
	at = rep_attr(st);
	assert_int_equal(le64_to_cpu(at.size), 5000);
	assert_int_equal(le64_to_cpu(at.bytes), 8192);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 100, 0), 0);
	assert_int_equal(get(st, f).size, 5000);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 1, 9000, 0), FLINT_ST_STALE_EPOCH);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 0, 0), 0);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 1ull << 60, 0), EFBIG);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, st->root, 0, 10, 0), EISDIR);
	assert_int_equal(do_extend(st, FLINT_OP_APPEND, f, 0, 0, 0), EINVAL);
	assert_int_equal(do_extend(st, FLINT_OP_APPEND, f, 0, 0, 123), 0);
	memcpy(&a, st->rep.body, sizeof(a));
	assert_int_equal(le64_to_cpu(a.offset), 5000);
	assert_int_equal(le64_to_cpu(a.attr.size), 5123);
	assert_int_equal(do_extend(st, FLINT_OP_APPEND, f, 0, 0, ~0ull), EFBIG);
}

static void test_other_fs(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG), root2;
	struct meta_inode i;

	assert_int_equal(fs_create(st, 2, "two"), 0);
	root2 = rep_ino(st);
	assert_int_equal(do_mknod(st, root2, "x", REG, NULL), ESTALE);
	assert_int_equal(do_rename(st, st->root, "f", root2, "f", 0), ESTALE);
	assert_int_equal(do_link(st, f, root2, "f"), ESTALE);
	assert_int_equal(meta_read_lookup(&st->s, 2, st->root, (u8 *)"f", 1, &i), -ESTALE);
	assert_int_equal(meta_read_lookup(&st->s, 1, f, (u8 *)"f", 1, &i), -ENOTDIR);
	assert_int_equal(meta_read_lookup(&st->s, 1, 989898, (u8 *)"f", 1, &i), -ESTALE);
}

static void test_malformed(void **p)
{
	struct state *st = *p;
	struct flint_mknod b = { .fixed_len = cpu_to_le32(sizeof(b)), .name_len = cpu_to_le32(9) };
	struct meta_command c = { .op = FLINT_OP_MKNOD, .sid = st->sid, .seq = 100, .body = &b,
				  .body_len = sizeof(b) };
	u8 cmd[512];

	assert_int_equal(meta_command_check(FLINT_OP_MKNOD, &b, sizeof(b), 0), -EPROTO);
	assert_int_equal(meta_command_check(FLINT_OP_MKNOD, &b, 8, 0), -EPROTO);
	assert_int_equal(meta_command_check(FLINT_OP_READ, &b, sizeof(b), 0), -EPROTO);
	b.name_len = 0;
	assert_int_equal(meta_command_check(FLINT_OP_MKNOD, &b, sizeof(b), 0), 0);
	assert_int_equal(meta_command_check(FLINT_OP_MKNOD, &b, sizeof(b), 1), -EPROTO);
	b.fixed_len = cpu_to_le32(4);
	assert_int_equal(meta_command_check(FLINT_OP_MKNOD, &b, sizeof(b), 0), -EPROTO);
	b.fixed_len = cpu_to_le32(sizeof(b));
	assert_int_equal(apply(st, &c), EINVAL);		/* empty name */
	meta_command_encode(&c, cmd);
	cmd[70] ^= 1;
	assert_int_equal(apply_bytes(st, cmd, meta_command_size(&c)), FLINT_ST_BAD_REQUEST);
	assert_int_equal(apply_bytes(st, cmd, 63), FLINT_ST_BAD_REQUEST);
	c.seq = 0;
	assert_int_equal(apply(st, &c), FLINT_ST_BAD_REQUEST);
}

/* A dead writer's size: only grows, and a truncation in between knows better. */
static void test_settle(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "settle", S_IFREG | 0644), d = made(st, st->root, "dir", S_IFDIR | 0755);
	u64 change = get(st, f).change;

	assert_int_equal(do_settle(st, f, 5000, 0), 0);
	assert_int_equal(get(st, f).size, 5000);
	assert_int_equal(get(st, f).data, 1);
	assert_int_equal(get(st, f).change, change + 1);
	assert_int_equal(do_settle(st, f, 4000, 0), 0);
	assert_int_equal(get(st, f).size, 5000);
	assert_int_equal(do_truncate(st, f, 100), META_ST_PENDING);
	assert_int_equal(do_settle(st, f, 5000, 0), FLINT_ST_STALE_EPOCH);
	assert_int_equal(do_settle(st, f, 5000, 1), FLINT_ST_STALE_EPOCH);	/* not cut yet */
	assert_int_equal(own(st, META_OP_TRUNC_DONE, f, 1), 0);
	assert_int_equal(do_settle(st, f, 5000, 0), FLINT_ST_STALE_EPOCH);
	assert_int_equal(do_settle(st, f, 300, 1), 0);
	assert_int_equal(get(st, f).size, 300);
	assert_int_equal(do_settle(st, f, ~0ull, 1), EFBIG);
	assert_int_equal(do_settle(st, d, 5000, 0), 0);
	assert_int_equal(get(st, d).size, 0);
	assert_int_equal(do_settle(st, 1 << 30, 5000, 0), 0);
	verify(st);
}

static u32 hints(struct state *st, const struct meta_hint_arg *a, u32 len)
{
	struct meta_command c = { .op = META_OP_HINTS, .body = a, .body_len = len };

	return apply(st, &c);
}

/* Hints belong to a session that takes part, grow, and go with it. */
static void test_hints(void **p)
{
	struct state *st = *p;
	struct meta_hint_arg a[2] = { { .buckets = { 4 } }, { .sid = cpu_to_le64(99), .buckets = { 1 } } };
	u8 bits[LEASE_HINT_BYTES];
	u64 sid;

	assert_int_equal(meta_hint_get(&st->s, st->sid, bits), 0);	/* it may hold anything */
	assert_int_equal(session_open(st, 7, "fs", "", FLINT_SESSION_LEASES), 0);
	sid = rep_session(st);
	assert_int_equal(meta_hint_get(&st->s, sid, bits), 1);
	assert_true(lease_hint_test(bits, st->root));
	a[0].sid = cpu_to_le64(sid);
	assert_int_equal(hints(st, a, sizeof(a) - 1), FLINT_ST_BAD_REQUEST);
	assert_int_equal(hints(st, a, sizeof(a)), 0);
	assert_int_equal(meta_hint_get(&st->s, sid, bits), 1);
	assert_true((bits[0] & 4) && lease_hint_test(bits, st->root));
	assert_int_equal(meta_hint_get(&st->s, 99, bits), 0);
	a[0].sid = cpu_to_le64(st->sid);
	assert_int_equal(hints(st, a, sizeof(a[0])), 0);
	assert_int_equal(meta_hint_get(&st->s, st->sid, bits), 0);
	assert_int_equal(own(st, META_OP_EXPIRE, sid, 0), 0);
	assert_int_equal(meta_hint_get(&st->s, sid, bits), 0);
	verify(st);
}

/* O_TMPFILE: no name, no directory's sum, gone with its handle or named by LINK. */
static void test_nameless(void **p)
{
	struct state *st = *p;
	u32 how = FLINT_OPEN_TMPFILE | FLINT_OPEN_CREATE | FLINT_OPEN_WRITE;
	u64 d = made(st, st->root, "d", DIR1), a, b, files;
	struct flint_open_rep o;
	struct meta_inode i;

	assert_int_equal(do_open(st, d, "x", how, 0600), EINVAL);
	assert_int_equal(do_open(st, d, NULL, how & ~FLINT_OPEN_CREATE, 0600), EINVAL);
	assert_int_equal(meta_read_files(&st->s, 1, &files), 0);
	assert_int_equal(do_open(st, d, NULL, how, 0600), 0);
	o = rep_open(st);
	a = le64_to_cpu(o.attr.ino);
	assert_int_equal(le32_to_cpu(o.attr.nlink), 0);
	assert_int_equal(le32_to_cpu(o.attr.mode), S_IFREG | 0600);
	assert_int_equal(le32_to_cpu(o.created), 1);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, a, 0, 5000, 0), 0);
	assert_int_equal(meta_read_inode(&st->s, d, &i), 0);
	assert_true(!i.tree_files && !i.tree_bytes && !i.size);
	verify(st);
	assert_int_equal(do_link(st, a, d, "n"), 0);
	assert_int_equal(le32_to_cpu(rep_attr(st).nlink), 1);
	assert_int_equal(meta_read_inode(&st->s, d, &i), 0);
	assert_true(i.tree_files == 1 && i.tree_bytes == 8192 && i.size == 1);
	verify(st);
	assert_int_equal(do_link(st, a, st->root, "m"), 0);
	assert_int_equal(do_unlink(st, d, "n", 0), 0);
	assert_int_equal(do_unlink(st, st->root, "m", 0), 0);
	/* What had a name once does not get another. */
	assert_int_equal(do_link(st, a, d, "again"), ENOENT);
	assert_int_equal(do_close(st, le64_to_cpu(o.handle), a), 0);
	verify(st);
	assert_int_equal(do_open(st, d, NULL, how, 0600), 0);
	o = rep_open(st);
	b = le64_to_cpu(o.attr.ino);
	state_restart(st);
	assert_int_equal(do_close(st, le64_to_cpu(o.handle), b), 0);
	assert_int_equal(meta_read_inode(&st->s, b, &i), -ESTALE);
	assert_int_equal(do_link(st, b, d, "late"), ESTALE);
	assert_int_equal(set_flags(st, d, FLINT_INO_IMMUTABLE), 0);
	assert_int_equal(do_open(st, d, NULL, how, 0600), EPERM);
	assert_int_equal(set_flags(st, d, 0), 0);
	verify(st);
}

/* An empty file takes another one's layout, if nobody else can be writing to it. */
static void test_layout(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG), g = made(st, st->root, "g", REG);
	u64 d = made(st, st->root, "d", DIR1);
	struct flint_setattr b = { .like = cpu_to_le64(f) };
	struct flint_attr was, is;
	u64 h1, h2;

	assert_int_equal(do_setattr(st, f, FLINT_SET_MODE, NULL), 0);
	was = rep_attr(st);
	assert_int_equal(do_setattr(st, g, FLINT_SET_LAYOUT, &b), EACCES);
	assert_int_equal(do_open(st, g, NULL, FLINT_OPEN_WRITE, 0), 0);
	h1 = le64_to_cpu(rep_open(st).handle);
	assert_int_equal(do_setattr(st, g, FLINT_SET_LAYOUT | FLINT_SET_MODE, &b), EINVAL);
	assert_int_equal(do_open(st, g, NULL, FLINT_OPEN_READ, 0), 0);
	h2 = le64_to_cpu(rep_open(st).handle);
	assert_int_equal(do_setattr(st, g, FLINT_SET_LAYOUT, &b), EBUSY);
	assert_int_equal(do_close(st, h2, g), 0);
	b.like = cpu_to_le64(g);
	assert_int_equal(do_setattr(st, g, FLINT_SET_LAYOUT, &b), EINVAL);
	b.like = cpu_to_le64(d);
	assert_int_equal(do_setattr(st, g, FLINT_SET_LAYOUT, &b), EINVAL);
	b.like = cpu_to_le64(9999);
	assert_int_equal(do_setattr(st, g, FLINT_SET_LAYOUT, &b), ESTALE);
	b.like = cpu_to_le64(f);
	assert_int_equal(do_setattr(st, g, FLINT_SET_LAYOUT, &b), 0);
	is = rep_attr(st);
	assert_memory_equal(&is.layout, &was.layout, sizeof(is.layout));
	assert_int_equal(le32_to_cpu(is.trunc_epoch), 1);
	state_restart(st);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, g, 1, 4096, 0), 0);
	is = rep_attr(st);
	assert_memory_equal(&is.layout, &was.layout, sizeof(is.layout));
	assert_int_equal(do_setattr(st, g, FLINT_SET_LAYOUT, &b), EINVAL);
	assert_int_equal(do_close(st, h1, g), 0);
	verify(st);
}

/* What df shows: the tightest of the trees' and the project's limits. */
static void test_room(void **p)
{
	struct state *st = *p;
	u64 d = made(st, st->root, "d", DIR1), e = made(st, d, "e", DIR1), f = made(st, e, "f", REG);
	struct flint_quota_set q = { .kind = cpu_to_le32(FLINT_QUOTA_TREE),
		.id = cpu_to_le64(d), .space_hard = cpu_to_le64(1 << 20),
		.inode_soft = cpu_to_le64(10) };
	struct flint_setattr b = { .project = cpu_to_le32(7) };
	struct meta_room r;

	assert_int_equal(meta_quota_left(&st->s, f, &r), 0);
	assert_true(!r.bytes && !r.inodes);
	assert_int_equal(op2(st, FLINT_OP_QUOTA_SET, &q, sizeof(q), NULL, 0, NULL, 0), 0);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 10000, 0), 0);
	assert_int_equal(meta_quota_left(&st->s, e, &r), 0);
	assert_true(r.bytes == 1 << 20 && r.bytes_used == 12288 && r.inodes == 10 &&
		    r.inodes_used == 2);
	assert_int_equal(meta_quota_left(&st->s, st->root, &r), 0);
	assert_true(!r.bytes && !r.inodes);
	q.kind = cpu_to_le32(FLINT_QUOTA_PROJECT);
	q.id = cpu_to_le64(7);
	q.space_hard = cpu_to_le64(20480);
	q.inode_soft = 0;
	assert_int_equal(op2(st, FLINT_OP_QUOTA_SET, &q, sizeof(q), NULL, 0, NULL, 0), 0);
	assert_int_equal(do_setattr(st, f, FLINT_SET_PROJECT, &b), 0);
	assert_int_equal(meta_quota_left(&st->s, f, &r), 0);
	assert_true(r.bytes == 20480 && r.bytes_used == 12288 && r.inodes == 10);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 30000, 0), EDQUOT);
	assert_int_equal(meta_quota_left(&st->s, 9999, &r), -ESTALE);
}

/* ---- delegated creates ------------------------------------------------------- */

struct batch {
	u32 nr, len;
	u8 data[4096];
};

static void add_rec(struct batch *b, u64 ino, u64 parent, const char *name, u32 mode, u32 flags)
{
	const char *target = S_ISLNK(mode) ? "there" : "";
	struct flint_dir_rec r = {
		.rec_len = cpu_to_le16(flint_dir_rec_len(strlen(name), strlen(target))),
		.name_len = cpu_to_le16(strlen(name)), .target_len = cpu_to_le16(strlen(target)),
		.flags = cpu_to_le16(flags), .mode = cpu_to_le32(mode), .ino = cpu_to_le64(ino),
		.parent = cpu_to_le64(parent), .time = cpu_to_le64(2),
		.cred = { .uid = cpu_to_le32(1000), .gid = cpu_to_le32(100) },
	};
	u8 *p = b->data + b->len;

	assert_true(b->len + le16_to_cpu(r.rec_len) <= sizeof(b->data));
	memset(p, 0, le16_to_cpu(r.rec_len));
	memcpy(p, &r, sizeof(r));
	memcpy(p + sizeof(r), name, strlen(name));
	memcpy(p + sizeof(r) + strlen(name), target, strlen(target));
	b->len += le16_to_cpu(r.rec_len);
	b->nr++;
}

/* Return: the request's status, or that of the record that was refused; *@nr were executed. */
static u32 do_batch(struct state *st, const struct batch *b, u32 *nr)
{
	struct flint_dir_create body = { .nr = cpu_to_le32(b->nr) };
	struct meta_command c = {
		.op = FLINT_OP_DIR_CREATE, .sid = st->sid, .seq = ++st->seq, .seq_low = st->seq,
		.body = &body, .body_len = sizeof(body), .data = b->data, .data_len = b->len,
	};
	struct flint_dir_created rep = { 0 };
	u32 status = apply(st, &c);

	if (!status)
		memcpy(&rep, st->rep.body, sizeof(rep));
	*nr = le32_to_cpu(rep.nr);
	return status ? status : le32_to_cpu(rep.status);
}

static u64 grant(struct state *st, u32 nr)
{
	struct flint_ino_grant b = { .nr = cpu_to_le32(nr) };
	struct flint_ino_granted g;

	assert_int_equal(op2(st, FLINT_OP_INO_GRANT, &b, sizeof(b), NULL, 0, NULL, 0), 0);
	memcpy(&g, st->rep.body, sizeof(g));
	assert_int_equal(le64_to_cpu(g.end) - le64_to_cpu(g.first), nr);
	return le64_to_cpu(g.first);
}

static void test_dir_create(void **p)
{
	struct state *st = *p;
	u64 first = grant(st, 10), d = made(st, st->root, "d", DIR1);
	struct batch b = { 0 };
	struct meta_inode i;
	u32 nr;

	assert_int_equal(d, first + 10);
	add_rec(&b, first, d, "sub", S_IFDIR | 0750, 0);
	add_rec(&b, first + 1, first, "f", S_IFREG | 0640, FLINT_OPEN_WRITE);
	add_rec(&b, first + 4, d, "l", S_IFLNK | 0777, 0);
	assert_int_equal(do_batch(st, &b, &nr), 0);
	assert_int_equal(nr, 3);
	assert_int_equal(at(st, first, "f"), first + 1);
	i = get(st, first + 1);
	assert_int_equal(i.mode, S_IFREG | 0640);
	assert_int_equal(i.uid, 1000);
	assert_true(i.btime == 2 && i.mtime == 2);
	assert_int_equal(get(st, d).size, 2);
	assert_int_equal(get(st, d).nlink, 3);
	assert_int_equal(get(st, first + 4).size, 5);
	/* Open since it was made: it outlives its name. */
	assert_int_equal(do_unlink(st, first, "f", 0), 0);
	assert_false(gone(st, first + 1));
	assert_int_equal(do_close(st, FLINT_DIR_HANDLE(first + 1), first + 1), 0);
	assert_true(gone(st, first + 1));

	/* Up to the first that is refused. */
	b = (struct batch){ 0 };
	add_rec(&b, first + 5, d, "a", REG, 0);
	add_rec(&b, first + 6, d, "l", REG, 0);
	add_rec(&b, first + 7, d, "b", REG, 0);
	assert_int_equal(do_batch(st, &b, &nr), EEXIST);
	assert_int_equal(nr, 1);
	assert_int_equal(get(st, d).size, 3);
	verify(st);
}

/* One record for each of @modes: all refused with EINVAL. */
static void refused_recs(struct state *st, u64 ino, u64 dir)
{
	static const u32 modes[] = { S_IFDIR | 0755, S_IFIFO | 0600, 0644 };
	struct batch b;
	u32 nr, i;

	for (i = 0; i < 3; i++) {	/* not to be opened, no type */
		b = (struct batch){ 0 };
		add_rec(&b, ino, dir, "x", modes[i], i < 2 ? FLINT_OPEN_READ : 0);
		assert_int_equal(do_batch(st, &b, &nr), EINVAL);
	}
	b = (struct batch){ 0 };
	add_rec(&b, ino, dir, "a/b", REG, 0);
	assert_int_equal(do_batch(st, &b, &nr), EINVAL);
	b = (struct batch){ 0 };
	add_rec(&b, ino, 999999, "x", REG, 0);
	assert_int_equal(do_batch(st, &b, &nr), ESTALE);
	b.nr = 2;			/* there is one */
	assert_int_equal(do_batch(st, &b, &nr), FLINT_ST_BAD_REQUEST);
	b.nr = 1;
	b.len -= 8;
	assert_int_equal(do_batch(st, &b, &nr), FLINT_ST_BAD_REQUEST);
}

static u32 one_rec(struct state *st, u64 ino, u64 dir, const char *name)
{
	struct batch b = { 0 };
	u32 nr;

	add_rec(&b, ino, dir, name, REG, 0);
	return do_batch(st, &b, &nr);
}

static void test_dir_create_refused(void **p)
{
	struct flint_ino_grant none = { 0 }, many = { .nr = cpu_to_le32(FLINT_INO_GRANT_MAX + 1) };
	struct state *st = *p;
	u64 d = made(st, st->root, "d", DIR1), first = grant(st, 4);

	assert_int_equal(op2(st, FLINT_OP_INO_GRANT, &none, sizeof(none), NULL, 0, NULL, 0), EINVAL);
	assert_int_equal(op2(st, FLINT_OP_INO_GRANT, &many, sizeof(many), NULL, 0, NULL, 0), EINVAL);
	assert_int_equal(one_rec(st, first - 1, d, "x"), EINVAL);	/* not granted */
	assert_int_equal(one_rec(st, first + 4, d, "x"), EINVAL);
	refused_recs(st, first, d);
	assert_int_equal(one_rec(st, first + 1, d, "x"), 0);
	assert_int_equal(one_rec(st, first, d, "y"), EINVAL);		/* numbers rise */
	assert_int_equal(one_rec(st, first + 1, d, "y"), EINVAL);
	/* A new grant ends the old one; a session's end ends it, too. */
	assert_true(grant(st, 1) > first + 3);
	assert_int_equal(one_rec(st, first + 2, d, "z"), EINVAL);
	assert_int_equal(session_close(st), 0);
	verify(st);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, state_setup, state_teardown)

/* Who holds the lease says when it wrote. */
static struct flint_attr wrote(struct state *st, u64 ino, u64 when, u32 body_len)
{
	struct flint_extend b = {
		.ino = cpu_to_le64(ino), .end = cpu_to_le64(100), .when = cpu_to_le64(when),
	};

	assert_int_equal(op2(st, FLINT_OP_EXTEND, &b, body_len, NULL, 0, NULL, 0), 0);
	return rep_attr(st);
}

static void test_written_when(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG), first = st->clock, change;
	struct flint_setattr mode = { .mode = cpu_to_le32(0600) };
	struct flint_attr a;

	st->clock += 1000;
	a = wrote(st, f, first + 500, sizeof(struct flint_extend));
	assert_int_equal(le64_to_cpu(a.mtime), first + 500);
	assert_int_equal(le64_to_cpu(a.ctime), first + 500);
	change = le64_to_cpu(a.change);
	/* Not before an earlier write, not in the future; each is a change. */
	a = wrote(st, f, 1, sizeof(struct flint_extend));
	assert_int_equal(le64_to_cpu(a.mtime), first + 500);
	a = wrote(st, f, st->clock + 1000, sizeof(struct flint_extend));
	assert_int_equal(le64_to_cpu(a.mtime), st->clock);
	assert_int_equal(le64_to_cpu(a.ctime), st->clock);
	assert_int_equal(le64_to_cpu(a.change), change + 2);
	/* A change of the mode is later than what is told after it. */
	st->clock += 1000;
	assert_int_equal(do_setattr(st, f, FLINT_SET_MODE, &mode), 0);
	a = wrote(st, f, st->clock - 500, sizeof(struct flint_extend));
	assert_int_equal(le64_to_cpu(a.mtime), st->clock - 1 - 500);
	assert_int_equal(le64_to_cpu(a.ctime), st->clock - 1);
	/* Nothing is said, as by clients of version 1.0. */
	st->clock += 1000;
	a = wrote(st, f, 0, sizeof(struct flint_extend));
	assert_int_equal(le64_to_cpu(a.mtime), st->clock);
	a = wrote(st, f, 0, FLINT_EXTEND_MIN);
	assert_int_equal(le64_to_cpu(a.mtime), st->clock);
}

/* It also says what it set; what it may not set leaves no trace, of the size neither. */
static void test_extend_attr(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG), first = st->clock;
	struct flint_extend b = {
		.ino = cpu_to_le64(f), .end = cpu_to_le64(100), .when = cpu_to_le64(first + 700),
		.valid = cpu_to_le32(FLINT_SET_MODE | FLINT_SET_MTIME),
		.mode = cpu_to_le32(0751), .atime = cpu_to_le64(5), .mtime = cpu_to_le64(7),
	};
	struct flint_setattr set = { .mode = cpu_to_le32(0640) };
	struct flint_attr a;

	st->clock += 1000;
	assert_int_equal(op2(st, FLINT_OP_EXTEND, &b, sizeof(b), NULL, 0, NULL, 0), 0);
	a = rep_attr(st);
	assert_int_equal(le32_to_cpu(a.mode), S_IFREG | 0751);
	assert_int_equal(le64_to_cpu(a.size), 100);
	assert_int_equal(le64_to_cpu(a.mtime), 7);
	assert_int_equal(le64_to_cpu(a.atime), first);
	assert_int_equal(le64_to_cpu(a.ctime), first + 700);
	/* So does SETATTR; ctime does not go back, and is not in the future. */
	set.when = cpu_to_le64(first + 800);
	assert_int_equal(do_setattr(st, f, FLINT_SET_MODE, &set), 0);
	a = rep_attr(st);
	assert_int_equal(le32_to_cpu(a.mode), S_IFREG | 0640);
	assert_int_equal(le64_to_cpu(a.ctime), first + 800);
	assert_int_equal(le64_to_cpu(a.mtime), 7);
	set.when = cpu_to_le64(first);
	assert_int_equal(do_setattr(st, f, FLINT_SET_MODE, &set), 0);
	assert_int_equal(le64_to_cpu(rep_attr(st).ctime), first + 800);
	set.when = cpu_to_le64(st->clock + 5000);
	assert_int_equal(do_setattr(st, f, FLINT_SET_MODE, &set), 0);
	assert_true(le64_to_cpu(rep_attr(st).ctime) < st->clock + 5000);

	b.valid = cpu_to_le32(FLINT_SET_UID);
	b.end = cpu_to_le64(500);
	assert_int_equal(op2(st, FLINT_OP_EXTEND, &b, sizeof(b), NULL, 0, NULL, 0), EINVAL);
	b.valid = cpu_to_le32(FLINT_SET_MODE);
	set.flags = cpu_to_le32(FLINT_INO_APPEND);
	assert_int_equal(do_setattr(st, f, FLINT_SET_FLAGS, &set), 0);
	assert_int_equal(op2(st, FLINT_OP_EXTEND, &b, sizeof(b), NULL, 0, NULL, 0), EPERM);
	b.valid = 0;
	b.end = 0;
	assert_int_equal(op2(st, FLINT_OP_EXTEND, &b, sizeof(b), NULL, 0, NULL, 0), 0);
	assert_int_equal(le64_to_cpu(rep_attr(st).size), 100);
	verify(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_fs_create), T(test_session), T(test_rdonly), T(test_mknod), T(test_setgid),
		T(test_open), T(test_link_unlink), T(test_link_limit), T(test_many_links),
		T(test_setattr), T(test_flags), T(test_xattr), T(test_extend_append), T(test_written_when),
		T(test_extend_attr),
		T(test_other_fs), T(test_malformed), T(test_settle),
		T(test_hints), T(test_nameless), T(test_layout), T(test_room),
		T(test_dir_create), T(test_dir_create_refused),
	};

	meta_sqlite_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
