// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lsattr, chattr and project quota tools see and set: the flags immutable and
 * append-only, and the project. The server keeps and enforces them for every
 * client. A directory's project is what is made in it belongs to, so a directory
 * with one always has FS_PROJINHERIT_FL.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/fs.h>
#include <linux/fileattr.h>
#include "flint.h"

#define FLINT_FL_KNOWN	(FS_IMMUTABLE_FL | FS_APPEND_FL | FS_PROJINHERIT_FL)

/**
 * flint_fileattr_get() - FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR
 * @dentry: of any inode but a special file or symlink
 * @fa: result
 * Return: 0 or an error of flint_meta_call().
 */
int flint_fileattr_get(struct dentry *dentry, struct fileattr *fa)
{
	struct inode *inode = d_inode(dentry);
	struct flint_inode *fi = flint_i(inode);
	u32 flags = 0;
	int err = flint_inode_revalidate(inode);

	if (err)
		return err;
	if (inode->i_flags & S_IMMUTABLE)
		flags |= FS_IMMUTABLE_FL;
	if (inode->i_flags & S_APPEND)
		flags |= FS_APPEND_FL;
	if (S_ISDIR(inode->i_mode) && READ_ONCE(fi->project))
		flags |= FS_PROJINHERIT_FL;
	fileattr_fill_flags(fa, flags);
	fa->fsx_projid = READ_ONCE(fi->project);
	return 0;
}

/**
 * flint_fileattr_set() - FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR
 * @idmap: of the mount
 * @dentry: of any inode but a special file or symlink
 * @fa: what to set; who may was checked
 *
 * Context: the inode is locked.
 * Return: 0, -EOPNOTSUPP (a flag that we do not have), -EPERM (projects are set by who
 * has the cluster's key), -EDQUOT, or another error of flint_meta_call().
 */
int flint_fileattr_set(FLINT_IDMAP *idmap, struct dentry *dentry, struct fileattr *fa)
{
	struct inode *inode = d_inode(dentry);
	struct flint_setattr body = {
		.ino = cpu_to_le64(inode->i_ino),
		.gen = cpu_to_le32(flint_i(inode)->gen),
	};
	struct flint_attr rep;
	struct flint_mcall c = {
		.op = FLINT_OP_SETATTR, .mutates = true, .yield = FLINT_YIELD_CHANGE,
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep),
	};
	u32 valid = FLINT_SET_FLAGS, flags = 0;
	int err;

	if ((fa->flags & ~FLINT_FL_KNOWN) || fa->fsx_extsize || fa->fsx_cowextsize)
		return -EOPNOTSUPP;
	if (fa->fsx_valid && (fa->fsx_xflags & ~FS_XFLAG_COMMON))
		return -EOPNOTSUPP;
	if (fa->flags & FS_IMMUTABLE_FL)
		flags |= FLINT_INO_IMMUTABLE;
	if (fa->flags & FS_APPEND_FL)
		flags |= FLINT_INO_APPEND;
	if (fa->fsx_valid && fa->fsx_projid != READ_ONCE(flint_i(inode)->project)) {
		valid |= FLINT_SET_PROJECT;
		body.project = cpu_to_le32(fa->fsx_projid);
	}
	/* An immutable file takes nothing any more, so what is owed goes first. */
	err = flint_inode_pay_first(inode, true);
	if (err)
		return err;
	body.flags = cpu_to_le32(flags);
	body.valid = cpu_to_le32(valid);
	flint_cred_fill(&body.cred);
	err = flint_meta_call(flint_fs(inode->i_sb), &c);
	if (c.unknown)
		flint_attr_unknown(inode, false);
	if (S_ISDIR(inode->i_mode) && (valid & FLINT_SET_PROJECT))
		flint_delegate_end(inode);
	return err ? err : flint_inode_apply(inode, &rep, c.sent);
}
