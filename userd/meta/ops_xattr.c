// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Extended attributes: names carry their prefix; the list of an inode's names
 * stays within what listxattr(2) can return.
 */
#include <errno.h>
#include <string.h>
#include "command.h"

static const char *const prefixes[] = { "user.", "trusted.", "security.", "system." };

static int name_check(const u8 *name, u32 len)
{
	size_t i;

	if (!len || len > FLINT_NAME_MAX)
		return ERANGE;
	if (memchr(name, 0, len))
		return EINVAL;
	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t n = strlen(prefixes[i]);

		if (len > n && !memcmp(name, prefixes[i], n))
			return 0;
	}
	return EOPNOTSUPP;
}

/* Does it exist? 1, 0 or -errno. @total: bytes of all names, each with its NUL. */
static int xattr_find(struct meta_store *s, u64 ino, const u8 *name, u32 len, u32 *total)
{
	sqlite3_stmt *st = meta_stmt(s, ST_XATTR_LIST);
	int err, found = 0;

	*total = 0;
	sqlite3_bind_int64(st, 1, ino);
	while ((err = meta_step(s, st)) == 1) {
		u32 n = sqlite3_column_bytes(st, 0);

		*total += n + 1;
		if (n == len && !memcmp(sqlite3_column_blob(st, 0), name, len))
			found = 1;
	}
	return err ? err : found;
}

static int xattr_target(struct meta_op *o, struct flint_xattr *b, const u8 **name, u32 *len,
			struct meta_inode **i)
{
	int err;

	if (flint_body_get_var(b, sizeof(*b), sizeof(*b), o->c->body, o->c->body_len, name, len))
		return FLINT_ST_BAD_REQUEST;
	err = name_check(*name, *len);
	if (err)
		return err;
	err = meta_op_inode(o, le64_to_cpu(b->ino), 0, i);
	if (err)
		return err;
	return (*i)->flags & (FLINT_INO_IMMUTABLE | FLINT_INO_APPEND) ? EPERM : 0;
}

int meta_op_setxattr(struct meta_op *o)
{
	struct flint_xattr b;
	struct meta_inode *i;
	sqlite3_stmt *st;
	const u8 *name;
	u32 len, total, flags;
	int err, found;

	err = xattr_target(o, &b, &name, &len, &i);
	if (err)
		return err;
	flags = le32_to_cpu(b.flags);
	if ((flags & ~(FLINT_XATTR_CREATE | FLINT_XATTR_REPLACE)) ||
	    flags == (FLINT_XATTR_CREATE | FLINT_XATTR_REPLACE))
		return EINVAL;
	found = xattr_find(o->s, i->ino, name, len, &total);
	if (found < 0)
		return found;
	if (found && (flags & FLINT_XATTR_CREATE))
		return EEXIST;
	if (!found && (flags & FLINT_XATTR_REPLACE))
		return ENODATA;
	if (!found && total + len + 1 > META_XATTR_LIST_MAX)
		return ENOSPC;

	st = meta_stmt(o->s, ST_XATTR_PUT);
	sqlite3_bind_int64(st, 1, i->ino);
	sqlite3_bind_blob(st, 2, name, len, SQLITE_STATIC);
	if (o->c->data_len)
		sqlite3_bind_blob(st, 3, o->c->data, o->c->data_len, SQLITE_STATIC);
	else
		sqlite3_bind_zeroblob(st, 3, 0);
	err = meta_run(o->s, st);
	if (err)
		return err;
	meta_touch(o, i);
	meta_reply_attr(o, i);
	return 0;
}

int meta_op_removexattr(struct meta_op *o)
{
	struct flint_xattr b;
	struct meta_inode *i;
	sqlite3_stmt *st;
	const u8 *name;
	u32 len, total;
	int err, found;

	err = xattr_target(o, &b, &name, &len, &i);
	if (err)
		return err;
	found = xattr_find(o->s, i->ino, name, len, &total);
	if (found <= 0)
		return found < 0 ? found : ENODATA;
	st = meta_stmt(o->s, ST_XATTR_DEL);
	sqlite3_bind_int64(st, 1, i->ino);
	sqlite3_bind_blob(st, 2, name, len, SQLITE_STATIC);
	err = meta_run(o->s, st);
	if (err)
		return err;
	meta_touch(o, i);
	meta_reply_attr(o, i);
	return 0;
}
