// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-back: what stands in the page cache and not at the servers yet.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/pagemap.h>
#include "flint.h"

/**
 * flint_flush_range() - bring what was written so far to the servers
 * @inode: regular file, locked or not
 * @start: first byte
 * @end: last byte; LLONG_MAX: to the end
 *
 * For operations that the servers carry out on a file's data. Afterwards the
 * range's data is at the chunk servers, and the metadata server knows the size.
 *
 * Context: process; waits for the network, killable.
 * Return: 0, -EINTR, or the error that the data met.
 */
int flint_flush_range(struct inode *inode, loff_t start, loff_t end)
{
	if (!inode->i_mapping->nrpages)
		return 0;
	return filemap_write_and_wait_range(inode->i_mapping, start, end);
}
