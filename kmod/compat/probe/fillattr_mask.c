// SPDX-License-Identifier: GPL-2.0-only
/* 6.6: generic_fillattr() is told what was asked for */
#include <linux/fs.h>

void flint_probe(struct mnt_idmap *idmap, u32 mask, struct inode *inode, struct kstat *stat);
void flint_probe(struct mnt_idmap *idmap, u32 mask, struct inode *inode, struct kstat *stat)
{
	generic_fillattr(idmap, mask, inode, stat);
}
