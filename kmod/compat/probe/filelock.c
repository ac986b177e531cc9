// SPDX-License-Identifier: GPL-2.0-only
/* 6.3: file locks leave linux/fs.h for a header of their own */
#include <linux/filelock.h>

void flint_probe(struct file_lock *fl);
void flint_probe(struct file_lock *fl)
{
	locks_init_lock(fl);
}
