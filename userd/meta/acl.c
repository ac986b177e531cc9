// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POSIX ACLs, kept as the extended attributes that getxattr(2) shows: a
 * version word and entries of (tag, permissions, id), see acl(5).
 *
 * Invariants: an access ACL that says no more than a mode is not kept; where
 * one is kept, the mode's owner, group and other bits equal its USER_OBJ, its
 * MASK (or GROUP_OBJ without one) and its OTHER entry; META_INO_ACL and
 * META_INO_DACL tell whether the attributes exist.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "command.h"

#define ACL_VERSION	2
#define USER_OBJ	0x01
#define USER		0x02
#define GROUP_OBJ	0x04
#define GROUP		0x08
#define MASK		0x10
#define OTHER		0x20

struct acl_entry {
	__le16 tag;
	__le16 perm;
	__le32 id;
};

FLINT_ASSERT_SIZE(struct acl_entry, 8);

static u32 acl_nr(u32 len)
{
	return (len - 4) / sizeof(struct acl_entry);
}

static struct acl_entry entry_get(const u8 *value, u32 n)
{
	struct acl_entry e;

	memcpy(&e, value + 4 + n * sizeof(e), sizeof(e));
	return e;
}

static void entry_perm_set(u8 *value, u32 n, u32 perm)
{
	struct acl_entry e = entry_get(value, n);

	e.perm = cpu_to_le16(perm);
	memcpy(value + 4 + n * sizeof(e), &e, sizeof(e));
}

/* Position of the only entry with a tag, -1: none. */
static int entry_find(const u8 *value, u32 len, u16 tag)
{
	u32 n;

	for (n = 0; n < acl_nr(len); n++)
		if (le16_to_cpu(entry_get(value, n).tag) == tag)
			return n;
	return -1;
}

static u32 entry_perm(const u8 *value, int n)
{
	return n < 0 ? 0 : le16_to_cpu(entry_get(value, n).perm);
}

int meta_acl_check(const u8 *value, u32 len)
{
	u16 tag, last = 0;
	bool named = false;
	__le32 version;
	u32 n;

	if (len < 4 || (len - 4) % sizeof(struct acl_entry) || acl_nr(len) > META_ACL_MAX)
		return EINVAL;
	memcpy(&version, value, sizeof(version));
	if (le32_to_cpu(version) != ACL_VERSION)
		return EOPNOTSUPP;
	for (n = 0; n < acl_nr(len); n++) {
		struct acl_entry e = entry_get(value, n);
		bool many;

		tag = le16_to_cpu(e.tag);
		many = tag == USER || tag == GROUP;
		if (le16_to_cpu(e.perm) & ~7u)
			return EINVAL;
		if (!tag || (tag & (tag - 1)) || tag > OTHER || tag < last ||
		    (tag == last && !many))
			return EINVAL;
		/* A named entry stands behind its class' own one. */
		if ((tag != USER_OBJ && !last) || (tag > GROUP_OBJ && last < GROUP_OBJ))
			return EINVAL;
		if (many && le32_to_cpu(e.id) == 0xffffffffu)
			return EINVAL;
		named |= many;
		last = tag;
	}
	if (last != OTHER || (named && entry_find(value, len, MASK) < 0))
		return EINVAL;
	return 0;
}

/* The permission bits that the ACL amounts to; @exact: it says nothing else. */
static u32 acl_mode(const u8 *value, u32 len, bool *exact)
{
	int mask = entry_find(value, len, MASK);
	int group = mask >= 0 ? mask : entry_find(value, len, GROUP_OBJ);

	*exact = acl_nr(len) == 3;
	return entry_perm(value, entry_find(value, len, USER_OBJ)) << 6 |
	       entry_perm(value, group) << 3 | entry_perm(value, entry_find(value, len, OTHER));
}

int meta_acl_permission(struct meta_store *s, const struct meta_inode *i,
			const struct meta_cred *c, u32 want)
{
	bool in_group = false;
	const u8 *value;
	u32 len, n, mask = 7;
	int err, m;

	err = meta_xattr_get(s, i->ino, META_ACL_ACCESS, strlen(META_ACL_ACCESS), &value, &len);
	if (err != 1)
		return err < 0 ? err : EACCES;
	m = entry_find(value, len, MASK);
	if (m >= 0)
		mask = entry_perm(value, m);
	for (n = 0; n < acl_nr(len); n++) {
		struct acl_entry e = entry_get(value, n);
		u32 perm = le16_to_cpu(e.perm), id = le32_to_cpu(e.id);

		switch (le16_to_cpu(e.tag)) {
		case USER:
			if (c->uid == id)
				return (perm & mask & want) == want ? 0 : EACCES;
			break;
		case GROUP_OBJ:
			id = i->gid;
			/* fallthrough */
		case GROUP:
			if (!meta_in_group(c, id))
				break;
			in_group = true;
			if ((perm & want) == want)
				return (mask & want) == want ? 0 : EACCES;
			break;
		case OTHER:
			if (in_group)
				return EACCES;
			return (perm & want) == want ? 0 : EACCES;
		}
	}
	return EACCES;
}

/* ---- changes ------------------------------------------------------------------- */

static int acl_store(struct meta_op *o, struct meta_inode *i, bool dflt, const u8 *value, u32 len)
{
	const char *name = dflt ? META_ACL_DEFAULT : META_ACL_ACCESS;
	u32 bit = dflt ? META_INO_DACL : META_INO_ACL;
	int err;

	if (!value) {
		if (!(i->flags & bit))
			return 0;
		i->flags &= ~bit;
		return meta_xattr_del(o->s, i->ino, name, strlen(name));
	}
	err = meta_xattr_set(o->s, i->ino, name, strlen(name), value, len);
	if (!err)
		i->flags |= bit | META_INO_XATTR;
	return err;
}

int meta_acl_set(struct meta_op *o, struct meta_inode *i, bool dflt, const u8 *value, u32 len)
{
	bool exact;
	u32 mode;

	if (dflt)
		return meta_is_dir(i) ? acl_store(o, i, true, value, len) : EACCES;
	mode = acl_mode(value, len, &exact);
	i->mode = (i->mode & ~0777u) | mode;
	if ((i->mode & S_ISGID) && o->cred.check && o->cred.uid &&
	    !meta_in_group(&o->cred, i->gid))
		i->mode &= ~S_ISGID;
	return acl_store(o, i, false, exact ? NULL : value, len);
}

int meta_acl_remove(struct meta_op *o, struct meta_inode *i, bool dflt)
{
	if (!(i->flags & (dflt ? META_INO_DACL : META_INO_ACL)))
		return ENODATA;
	return acl_store(o, i, dflt, NULL, 0);
}

/* A copy of an ACL attribute, malloced. 1, 0 or -errno. */
static int acl_copy(struct meta_store *s, u64 ino, const char *name, u8 **copy, u32 *len)
{
	const u8 *value;
	int err;

	err = meta_xattr_get(s, ino, name, strlen(name), &value, len);
	if (err != 1)
		return err;
	*copy = malloc(*len);
	if (!*copy)
		return -ENOMEM;
	memcpy(*copy, value, *len);
	return 1;
}

int meta_acl_chmod(struct meta_op *o, struct meta_inode *i)
{
	u8 *acl;
	u32 len;
	int err, n;

	if (!(i->flags & META_INO_ACL))
		return 0;
	err = acl_copy(o->s, i->ino, META_ACL_ACCESS, &acl, &len);
	if (err != 1)
		return err;
	n = entry_find(acl, len, MASK);
	if (n < 0)
		n = entry_find(acl, len, GROUP_OBJ);
	entry_perm_set(acl, n, i->mode >> 3 & 7);
	entry_perm_set(acl, entry_find(acl, len, USER_OBJ), i->mode >> 6 & 7);
	entry_perm_set(acl, entry_find(acl, len, OTHER), i->mode & 7);
	err = acl_store(o, i, false, acl, len);
	free(acl);
	return err;
}

int meta_acl_inherit(struct meta_op *o, const struct meta_inode *dir, struct meta_inode *i)
{
	bool exact;
	u8 *acl;
	u32 len;
	int err, n;

	if (meta_is_lnk(i))
		return 0;
	if (!(dir->flags & META_INO_DACL)) {
		if (o->cred.has_umask)
			i->mode &= ~(o->cred.umask & 0777);
		return 0;
	}
	err = acl_copy(o->s, dir->ino, META_ACL_DEFAULT, &acl, &len);
	if (err != 1)
		return err;
	err = 0;
	if (meta_is_dir(i))
		err = acl_store(o, i, true, acl, len);
	if (!err) {
		/* Mode and ACL limit each other. */
		n = entry_find(acl, len, MASK);
		if (n < 0)
			n = entry_find(acl, len, GROUP_OBJ);
		entry_perm_set(acl, n, entry_perm(acl, n) & (i->mode >> 3));
		n = entry_find(acl, len, USER_OBJ);
		entry_perm_set(acl, n, entry_perm(acl, n) & (i->mode >> 6));
		n = entry_find(acl, len, OTHER);
		entry_perm_set(acl, n, entry_perm(acl, n) & i->mode);
		i->mode = (i->mode & ~0777u) | acl_mode(acl, len, &exact);
		if (!exact)
			err = acl_store(o, i, false, acl, len);
	}
	free(acl);
	return err;
}
