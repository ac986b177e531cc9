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
	struct meta_row r = { 0 };
	u8 at[FLINT_NAME_MAX];
	u32 alen = 0;
	int err, found = 0;

	*total = 0;
	while ((err = meta_xattr_next(s, ino, at, alen, &r)) == 1) {
		alen = r.klen - 8;
		memcpy(at, r.key + 8, alen);
		*total += alen + 1;
		if (alen == len && !memcmp(at, name, len))
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

	err = meta_xattr_set(o->s, i->ino, name, len, o->c->data, o->c->data_len);
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
	const u8 *name;
	u32 len, total;
	int err, found;

	err = xattr_target(o, &b, &name, &len, &i);
	if (err)
		return err;
	found = xattr_find(o->s, i->ino, name, len, &total);
	if (found <= 0)
		return found < 0 ? found : ENODATA;
	err = meta_xattr_del(o->s, i->ino, name, len);
	if (err)
		return err;
	meta_touch(o, i);
	meta_reply_attr(o, i);
	return 0;
}
