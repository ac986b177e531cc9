/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that the module is built for. Everything
 * else is written once.
 *
 *  6.3	struct user_namespace * becomes struct mnt_idmap * in inode operations
 *  6.5	generic_file_splice_read() becomes filemap_splice_read()
 *  6.6	i_ctime is reached through accessors only
 */
#ifndef _FLINT_COMPAT_H
#define _FLINT_COMPAT_H

#include <linux/fs.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "flintfs needs Linux 6.1 or newer"
#endif

#define FLINT_IDMAP	struct user_namespace

#endif /* _FLINT_COMPAT_H */
