// SPDX-License-Identifier: GPL-2.0-only
/* Must not compile: else every probe would say yes. */
#include <linux/fs.h>

int flint_probe(const struct inode *inode);
int flint_probe(const struct inode *inode)
{
	return flint_no_such_function(inode);
}
