// SPDX-License-Identifier: GPL-2.0-only
/* 6.9: what struct file_lock shares with leases is in its member c */
#include <linux/fs.h>
#include <linux/filelock.h>

pid_t flint_probe(const struct file_lock *fl);
pid_t flint_probe(const struct file_lock *fl)
{
	return fl->c.flc_pid;
}
