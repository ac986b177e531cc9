// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Extended attributes: names carry their prefix; the list of an inode's names
 * stays within what listxattr(2) can return.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "command.h"

static const char *const prefixes[] = { "user.", "trusted.", "security." };

static bool is_name(const u8 *name, u32 len, const char *want)
{
	return len == strlen(want) && !memcmp(name, want, len);
}

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
	return is_name(name, len, META_ACL_ACCESS) || is_name(name, len, META_ACL_DEFAULT) ?
	       0 : EOPNOTSUPP;
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

static bool has_prefix(const u8 *name, u32 len, const char *prefix)
{
	u32 n = strlen(prefix);

	return len > n && !memcmp(name, prefix, n);
}

/* May the caller change this attribute? xattr(7). 0, EPERM, EACCES or EOPNOTSUPP. */
static int may_change(struct meta_op *o, const struct meta_inode *i, const u8 *name, u32 len)
{
	if (i->flags & (FLINT_INO_IMMUTABLE | FLINT_INO_APPEND))
		return EPERM;
	if (has_prefix(name, len, "system.")) {
		if (meta_is_lnk(i))
			return EOPNOTSUPP;
		return meta_is_owner(o, i) ? 0 : EPERM;
	}
	if (has_prefix(name, len, "trusted.") || has_prefix(name, len, "security."))
		return meta_is_root(o) ? 0 : EPERM;
	if (!meta_is_reg(i) && !meta_is_dir(i))
		return EPERM;
	if (meta_is_dir(i) && (i->mode & S_ISVTX) && !meta_is_owner(o, i))
		return EPERM;
	return meta_access(o, i, META_WRITE);
}

static int xattr_target(struct meta_op *o, struct flint_xattr *b, const u8 **name, u32 *len,
			struct meta_inode **i)
{
	int err;

	if (flint_body_get_var(b, sizeof(*b), sizeof(*b), o->c->body, o->c->body_len, name, len))
		return FLINT_ST_BAD_REQUEST;
	meta_cred_body(o, &b->cred);
	err = name_check(*name, *len);
	if (err)
		return err;
	err = meta_op_inode(o, le64_to_cpu(b->ino), 0, i);
	return err ? err : may_change(o, *i, *name, *len);
}

/* One of the two ACLs: its own rules. 0, a status or -errno. */
static int set_acl(struct meta_op *o, struct meta_inode *i, bool dflt)
{
	int err;

	if (!o->c->data_len) {
		err = meta_acl_remove(o, i, dflt);
		return err == ENODATA ? 0 : err;
	}
	err = meta_acl_check(o->c->data, o->c->data_len);
	return err ? err : meta_acl_set(o, i, dflt, o->c->data, o->c->data_len);
}

static int set_plain(struct meta_op *o, struct meta_inode *i, const u8 *name, u32 len, bool fresh,
		     u32 total)
{
	if (fresh && total + len + 1 > META_XATTR_LIST_MAX)
		return ENOSPC;
	if (is_name(name, len, "security.capability"))
		i->flags |= META_INO_CAPS;
	i->flags |= META_INO_XATTR;
	return meta_xattr_set(o->s, i->ino, name, len, o->c->data, o->c->data_len);
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
	if (is_name(name, len, META_ACL_ACCESS))
		err = set_acl(o, i, false);
	else if (is_name(name, len, META_ACL_DEFAULT))
		err = set_acl(o, i, true);
	else
		err = set_plain(o, i, name, len, !found, total);
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
	if (is_name(name, len, META_ACL_ACCESS) || is_name(name, len, META_ACL_DEFAULT)) {
		err = meta_acl_remove(o, i, is_name(name, len, META_ACL_DEFAULT));
	} else {
		if (is_name(name, len, "security.capability"))
			i->flags &= ~META_INO_CAPS;
		err = meta_xattr_del(o->s, i->ino, name, len);
	}
	if (err)
		return err;
	meta_touch(o, i);
	meta_reply_attr(o, i);
	return 0;
}
