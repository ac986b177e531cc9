// SPDX-License-Identifier: GPL-2.0-only
/* until 6.4: generic_file_splice_read() calls ->read_iter() with an iterator over a pipe */
#include <linux/fs.h>
#include <linux/uio.h>

ssize_t flint_probe(struct iov_iter *to, struct file *in, loff_t *pos,
		    struct pipe_inode_info *pipe, size_t len);
ssize_t flint_probe(struct iov_iter *to, struct file *in, loff_t *pos,
		    struct pipe_inode_info *pipe, size_t len)
{
	return iov_iter_is_pipe(to) ? 0 : generic_file_splice_read(in, pos, pipe, len, 0);
}
