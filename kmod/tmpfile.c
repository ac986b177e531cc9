// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_TMPFILE: a file without a name. The server makes it together with the handle that
 * holds it; linkat(2) gives it a name like any other, and without one it goes with
 * its last handle, whatever becomes of this machine.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include "flint.h"

static int flint_tmpfile_make(struct inode *dir, struct file *file, umode_t mode,
			      struct flint_open_rep *rep, struct flint_mcall *c)
{
	struct flint_open body = {
		.fixed_len = cpu_to_le32(sizeof(body)),
		.flags = cpu_to_le32((flint_open_flags(file->f_flags) & ~FLINT_OPEN_EXCL) |
				     FLINT_OPEN_CREATE | FLINT_OPEN_TMPFILE),
		.ino = cpu_to_le64(dir->i_ino),
		.mode = cpu_to_le32(mode & S_IALLUGO),
	};

	*c = (struct flint_mcall){
		.op = FLINT_OP_OPEN, .mutates = true, .umask = true,
		.lease = FLINT_LEASE_READ,
		.body = &body, .body_len = sizeof(body),
		.rep = rep, .rep_size = sizeof(*rep),
	};
	flint_cred_fill(&body.cred);
	if (dir->i_mode & S_ISGID)
		body.cred.gid = cpu_to_le32(from_kgid(&init_user_ns, dir->i_gid));
	return flint_meta_call(flint_fs(dir->i_sb), c);
}

/**
 * flint_tmpfile() - open(2) with O_TMPFILE
 * @idmap: of the mount
 * @dir: directory in whose tree it counts
 * @file: to be opened
 * @mode: permission bits, before umask
 *
 * Return: 0, or an error of flint_meta_call(); -EOPNOTSUPP from a server that does not
 * know them.
 */
int flint_tmpfile(FLINT_IDMAP *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	struct flint_open_rep rep;
	struct flint_handle *h;
	struct inode *inode;
	struct flint_mcall c;
	int err;

	h = flint_handle_new(flint_fs(dir->i_sb), 0);
	if (!h)
		return -ENOMEM;
	err = flint_tmpfile_make(dir, file, mode, &rep, &c);
	if (err == -EINVAL)
		err = -EOPNOTSUPP;
	else if (!err && !rep.handle)
		err = -EPROTO;
	if (err) {
		kfree(h);
		return err;
	}
	h->handle = le64_to_cpu(rep.handle);
	h->ino = le64_to_cpu(rep.attr.ino);
	inode = flint_iget(dir->i_sb, &rep.attr, c.sent);
	err = PTR_ERR_OR_ZERO(inode);
	if (err)
		goto close;
	flint_lease_take(&c, NULL, inode, &rep.attr);
	set_nlink(inode, 1);	/* d_tmpfile() takes it away */
	d_tmpfile(file, inode);
	file->private_data = h;
	err = finish_open(file, file->f_path.dentry, flint_file_adopt);
	if (!err || (file->f_mode & FMODE_OPENED))
		return err;	/* ->release() gives the handle back */
	file->private_data = NULL;
close:
	flint_handle_close(h);
	return err;
}
