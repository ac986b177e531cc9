// SPDX-License-Identifier: GPL-2.0-only
/* 6.3: inode operations take a struct mnt_idmap * instead of a user name space */
#include <linux/fs.h>

int flint_probe(struct mnt_idmap *idmap, struct inode *inode, int mask);
int flint_probe(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	return generic_permission(idmap, inode, mask);
}
