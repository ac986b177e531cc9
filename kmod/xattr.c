// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended attributes of the user, trusted and security name spaces, and POSIX
 * ACLs, which are two more. Values travel as payload; only ACLs are cached, and
 * that there is nothing at all, which an inode's attributes tell: `ls -l` asks
 * each file for its security label.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/fs.h>
#include <linux/posix_acl_xattr.h>
#include <linux/xattr.h>
#include "flint.h"

#define FLINT_ACL_MAX	8192	/* bytes of an ACL as an xattr: some 1,000 entries */

static void flint_xattr_body(struct flint_xattr *body, const struct inode *inode,
			     const char *name, size_t room, u32 flags)
{
	*body = (struct flint_xattr){
		.fixed_len = cpu_to_le32(sizeof(*body)),
		.flags = cpu_to_le32(flags),
		.ino = cpu_to_le64(inode->i_ino),
		.name_len = cpu_to_le32(name ? strlen(name) : 0),
		.max_len = cpu_to_le32(room),
	};
	flint_cred_fill(&body->cred);
}

/* GETXATTR and LISTXATTR. @size 0 asks how much there is. */
static ssize_t flint_xattr_fetch(struct inode *inode, u16 op, const char *name, void *value,
				 size_t size)
{
	size_t room = min_t(size_t, size, FLINT_XATTR_VALUE_MAX);
	struct flint_xattr_rep rep;
	struct flint_xattr body;
	struct flint_mcall c = {
		.op = op, .yield = FLINT_YIELD_PART,
		.body = &body, .body_len = sizeof(body),
		.s1 = name, .s1_len = name ? strlen(name) : 0,
		.rep = &rep, .rep_size = sizeof(rep),
	};
	ssize_t ret;

	flint_xattr_body(&body, inode, name, room, 0);
	if (room) {
		c.buf = flint_buf_alloc(room, GFP_KERNEL);
		if (!c.buf)
			return -ENOMEM;
		c.dir = FLINT_DIR_IN;
		c.data_len = room;
	}
	ret = flint_meta_call(flint_fs(inode->i_sb), &c);
	if (!ret && !room) {
		ret = min_t(u32, le32_to_cpu(rep.total_len), FLINT_XATTR_VALUE_MAX);
	} else if (!ret) {
		ret = c.got;
		flint_buf_read(c.buf, value, c.got);
	}
	flint_buf_put(c.buf);
	return ret;
}

/* SETXATTR, or REMOVEXATTR without a @value. */
static int flint_xattr_change(struct inode *inode, const char *name, const void *value,
			      size_t size, u32 flags)
{
	struct flint_attr attr;
	struct flint_xattr body;
	struct flint_mcall c = {
		.op = value ? FLINT_OP_SETXATTR : FLINT_OP_REMOVEXATTR, .mutates = true,
		.yield = FLINT_YIELD_CHANGE,
		.body = &body, .body_len = sizeof(body),
		.s1 = name, .s1_len = strlen(name),
		.rep = &attr, .rep_size = sizeof(attr),
	};
	int err;

	if (size > FLINT_XATTR_VALUE_MAX)
		return -E2BIG;
	/*
	 * A mode that was set comes before what an ACL makes of it, and a write before the
	 * capabilities that the next one takes away.
	 */
	err = flint_inode_pay_first(inode, value && !strcmp(name, XATTR_NAME_CAPS));
	if (err)
		return err;
	flint_xattr_body(&body, inode, name, value ? size : 0, flags);
	if (value && size) {
		c.buf = flint_buf_alloc(size, GFP_KERNEL);
		if (!c.buf)
			return -ENOMEM;
		flint_buf_write(c.buf, value, size);
		c.dir = FLINT_DIR_OUT;
		c.data_len = size;
	}
	err = flint_meta_call(flint_fs(inode->i_sb), &c);
	if (c.unknown) {
		flint_attr_unknown(inode, false);
		forget_all_cached_acls(inode);
	}
	if (!err)
		err = flint_inode_apply(inode, &attr, c.sent);
	flint_buf_put(c.buf);
	return err;
}

static bool flint_xattr_none(const struct inode *inode)
{
	return flint_attr_good(inode) && (READ_ONCE(flint_i(inode)->told) & FLINT_INO_NO_XATTR);
}

static int flint_xattr_get(const struct xattr_handler *handler, struct dentry *dentry,
			   struct inode *inode, const char *name, void *buffer, size_t size)
{
	const char *full = xattr_full_name(handler, name);

	if (strlen(full) > FLINT_NAME_MAX)
		return -ERANGE;
	if (flint_xattr_none(inode))
		return -ENODATA;
	return flint_xattr_fetch(inode, FLINT_OP_GETXATTR, full, buffer, size);
}

static int flint_xattr_set(const struct xattr_handler *handler, FLINT_IDMAP *idmap,
			   struct dentry *dentry, struct inode *inode, const char *name,
			   const void *value, size_t size, int flags)
{
	const char *full = xattr_full_name(handler, name);

	if (strlen(full) > FLINT_NAME_MAX)
		return -ERANGE;
	return flint_xattr_change(inode, full, value, size,
				  (flags & XATTR_CREATE ? FLINT_XATTR_CREATE : 0) |
				  (flags & XATTR_REPLACE ? FLINT_XATTR_REPLACE : 0));
}

/* ---- POSIX ACLs --------------------------------------------------------- */

#ifdef CONFIG_FS_POSIX_ACL

static const char *flint_acl_name(int type)
{
	return type == ACL_TYPE_ACCESS ? XATTR_NAME_POSIX_ACL_ACCESS : XATTR_NAME_POSIX_ACL_DEFAULT;
}

/*
 * struct inode_operations.get_acl
 *
 * The VFS keeps the answer until flint_inode_apply() sees a change of the inode
 * or its lease ends. An inode's attributes tell whether there is one to be asked
 * for.
 */
struct posix_acl *flint_get_acl(struct inode *inode, int type, bool rcu)
{
	u32 bit = type == ACL_TYPE_ACCESS ? FLINT_INO_ACL : FLINT_INO_DEFAULT_ACL;
	struct posix_acl *acl = NULL;
	ssize_t len;
	void *value;
	int err;

	if (rcu)
		return ERR_PTR(-ECHILD);
	err = flint_inode_revalidate(inode);
	if (err)
		return ERR_PTR(err);
	if (!flint_attr_good(inode))
		forget_cached_acl(inode, type);	/* what the VFS is about to keep */
	if (!(READ_ONCE(flint_i(inode)->told) & bit))
		return NULL;
	value = kmalloc(FLINT_ACL_MAX, GFP_NOFS);
	if (!value)
		return ERR_PTR(-ENOMEM);
	len = flint_xattr_fetch(inode, FLINT_OP_GETXATTR, flint_acl_name(type), value,
				FLINT_ACL_MAX);
	if (len > 0)
		acl = posix_acl_from_xattr(&init_user_ns, value, len);
	else if (len < 0 && len != -ENODATA)
		acl = ERR_PTR(len);
	kfree(value);
	return acl;
}

/*
 * Who sets an ACL on a file of a group that they are not in does not keep set-group-id. The server
 * sees to it where it checks who asks; elsewhere that is ours. Context: the ACL is set.
 */
static int flint_acl_sgid(FLINT_IDMAP *idmap, struct inode *inode, struct posix_acl *acl)
{
	struct iattr attr = { .ia_valid = ATTR_MODE };
	int err = posix_acl_update_mode(idmap, inode, &attr.ia_mode, &acl);

	if (err || !(inode->i_mode & ~attr.ia_mode & S_ISGID))
		return err;
	return flint_setattr_at(inode, &attr, 0, FLINT_YIELD_CHANGE, 0);
}

/* struct inode_operations.set_acl; the server lets mode and ACL agree. */
int flint_set_acl(FLINT_IDMAP *idmap, FLINT_ACL_NODE *node, struct posix_acl *acl, int type)
{
	struct inode *inode = flint_acl_inode(node);
	void *value = NULL;
	int len = 0, err;

	if (acl) {
		len = posix_acl_xattr_size(acl->a_count);
		if (len > FLINT_ACL_MAX)
			return -E2BIG;
		value = kmalloc(len, GFP_NOFS);
		if (!value)
			return -ENOMEM;
		len = posix_acl_to_xattr(&init_user_ns, acl, value, len);
		if (len < 0) {
			kfree(value);
			return len;
		}
	}
	err = flint_xattr_change(inode, flint_acl_name(type), value, len, 0);
	if (err == -ENODATA && !acl)
		err = 0;
	if (!err && acl && type == ACL_TYPE_ACCESS)
		err = flint_acl_sgid(idmap, inode, acl);
	kfree(value);
	forget_cached_acl(inode, type);
	return err;
}
#endif

/* Leave out names that begin with "trusted."; a NUL ends the last. Return: bytes that are left. */
static size_t flint_list_untrusted(char *list, size_t len)
{
	char *end = list + len, *to = list, *name;
	size_t n;

	for (name = list; name < end; name += n) {
		n = strlen(name) + 1;
		if (strstarts(name, XATTR_TRUSTED_PREFIX))
			continue;
		memmove(to, name, n);
		to += n;
	}
	return to - list;
}

/* What who is not privileged may see: the length, too, is known when all names are here. */
static ssize_t flint_list_some(struct inode *inode, char *list, size_t size)
{
	char *all = kvmalloc(FLINT_XATTR_VALUE_MAX, GFP_KERNEL);
	ssize_t len;

	if (!all)
		return -ENOMEM;
	len = flint_xattr_fetch(inode, FLINT_OP_LISTXATTR, NULL, all, FLINT_XATTR_VALUE_MAX);
	if (len > 0)
		len = all[len - 1] ? -EPROTO : flint_list_untrusted(all, len);
	if (size && len > (ssize_t)size)
		len = -ERANGE;
	if (size && len > 0)
		memcpy(list, all, len);
	kvfree(all);
	return len;
}

ssize_t flint_listxattr(struct dentry *dentry, char *list, size_t size)
{
	struct inode *inode = d_inode(dentry);

	if (flint_xattr_none(inode))
		return 0;
	if (!ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN))
		return flint_list_some(inode, list, size);
	return flint_xattr_fetch(inode, FLINT_OP_LISTXATTR, NULL, list, size);
}

static const struct xattr_handler flint_xattr_user = {
	.prefix	= XATTR_USER_PREFIX,
	.get	= flint_xattr_get,
	.set	= flint_xattr_set,
};

static const struct xattr_handler flint_xattr_trusted = {
	.prefix	= XATTR_TRUSTED_PREFIX,
	.get	= flint_xattr_get,
	.set	= flint_xattr_set,
};

static const struct xattr_handler flint_xattr_security = {
	.prefix	= XATTR_SECURITY_PREFIX,
	.get	= flint_xattr_get,
	.set	= flint_xattr_set,
};

const struct xattr_handler *flint_xattr_handlers[] = {
	&flint_xattr_user,
	&flint_xattr_trusted,
	&flint_xattr_security,
#if defined(CONFIG_FS_POSIX_ACL) && !defined(FLINT_HAVE_GET_INODE_ACL)
	&posix_acl_access_xattr_handler,
	&posix_acl_default_xattr_handler,
#endif
	NULL
};
