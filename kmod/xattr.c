// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended attributes of the user, trusted and security name spaces. Values
 * travel as payload; nothing is cached.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/xattr.h>
#include "flint.h"

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
		.op = op,
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

static int flint_xattr_get(const struct xattr_handler *handler, struct dentry *dentry,
			   struct inode *inode, const char *name, void *buffer, size_t size)
{
	const char *full = xattr_full_name(handler, name);

	if (strlen(full) > FLINT_NAME_MAX)
		return -ERANGE;
	return flint_xattr_fetch(inode, FLINT_OP_GETXATTR, full, buffer, size);
}

static int flint_xattr_set(const struct xattr_handler *handler, FLINT_IDMAP *idmap,
			   struct dentry *dentry, struct inode *inode, const char *name,
			   const void *value, size_t size, int flags)
{
	const char *full = xattr_full_name(handler, name);
	struct flint_attr attr;
	struct flint_xattr body;
	struct flint_mcall c = {
		.op = value ? FLINT_OP_SETXATTR : FLINT_OP_REMOVEXATTR, .mutates = true,
		.body = &body, .body_len = sizeof(body),
		.s1 = full, .s1_len = strlen(full),
		.rep = &attr, .rep_size = sizeof(attr),
	};
	int err;

	if (strlen(full) > FLINT_NAME_MAX)
		return -ERANGE;
	if (size > FLINT_XATTR_VALUE_MAX)
		return -E2BIG;
	flint_xattr_body(&body, inode, full, value ? size : 0,
			 (flags & XATTR_CREATE ? FLINT_XATTR_CREATE : 0) |
			 (flags & XATTR_REPLACE ? FLINT_XATTR_REPLACE : 0));
	if (value && size) {
		c.buf = flint_buf_alloc(size, GFP_KERNEL);
		if (!c.buf)
			return -ENOMEM;
		flint_buf_write(c.buf, value, size);
		c.dir = FLINT_DIR_OUT;
		c.data_len = size;
	}
	err = flint_meta_call(flint_fs(inode->i_sb), &c);
	if (!err)
		err = flint_inode_apply(inode, &attr, c.sent);
	flint_buf_put(c.buf);
	return err;
}

ssize_t flint_listxattr(struct dentry *dentry, char *list, size_t size)
{
	return flint_xattr_fetch(d_inode(dentry), FLINT_OP_LISTXATTR, NULL, list, size);
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
	NULL
};
