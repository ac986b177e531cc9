// SPDX-License-Identifier: GPL-2.0-only
/* Must compile: else the kernel's headers or the compiler are broken, and no answer counts. */
#include <linux/fs.h>
#include <linux/module.h>

int flint_probe(const struct inode *inode);
int flint_probe(const struct inode *inode)
{
	return inode->i_mode;
}
