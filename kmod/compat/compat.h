/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that the module is built for. The code is written for the newest
 * one's names; this file supplies them on older ones. What a kernel has is found out by compiling
 * compat/probe/NAME.c (Kbuild), which gives FLINT_HAVE_NAME, not by its version: distributions
 * bring changes back. Transport files, which know nothing of the VFS, use compat/unaligned.h and
 * compat/sock.h.
 */
#ifndef _FLINT_COMPAT_H
#define _FLINT_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/uio.h>
#include <linux/version.h>
#include "compat_gen.h"
#ifdef FLINT_HAVE_FILELOCK
#include <linux/filelock.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "flintfs needs Linux 6.1 or newer"
#endif

#ifdef FLINT_HAVE_MNT_IDMAP
#define FLINT_IDMAP	struct mnt_idmap
#define FLINT_NOP_IDMAP	(&nop_mnt_idmap)
#else
#define FLINT_IDMAP	struct user_namespace
#define FLINT_NOP_IDMAP	(&init_user_ns)
#define file_mnt_idmap	file_mnt_user_ns
#endif

#ifndef FLINT_HAVE_FILLATTR_MASK
#define generic_fillattr(idmap, mask, inode, stat)	generic_fillattr(idmap, inode, stat)
#endif

#ifdef FLINT_HAVE_GET_INODE_ACL
#define FLINT_ACL_NODE	struct dentry

static inline struct inode *flint_acl_inode(const struct dentry *node)
{
	return d_inode(node);
}
#else
#define FLINT_ACL_NODE	struct inode
#define get_inode_acl	get_acl

static inline struct inode *flint_acl_inode(struct inode *node)
{
	return node;
}
#endif

#ifndef FLINT_HAVE_INODE_TIMES
static inline struct timespec64 inode_get_atime(const struct inode *inode)
{
	return inode->i_atime;
}

static inline struct timespec64 inode_get_mtime(const struct inode *inode)
{
	return inode->i_mtime;
}

static inline void inode_set_atime_to_ts(struct inode *inode, struct timespec64 t)
{
	inode->i_atime = t;
}

static inline void inode_set_mtime_to_ts(struct inode *inode, struct timespec64 t)
{
	inode->i_mtime = t;
}
#endif

#ifndef FLINT_HAVE_INODE_CTIME
static inline struct timespec64 inode_get_ctime(const struct inode *inode)
{
	return inode->i_ctime;
}

static inline void inode_set_ctime_to_ts(struct inode *inode, struct timespec64 t)
{
	inode->i_ctime = t;
}
#endif

#ifdef FLINT_HAVE_PIPE_ITER
#define filemap_splice_read	generic_file_splice_read
#else
static inline bool iov_iter_is_pipe(const struct iov_iter *iter)
{
	return false;
}
#endif

#ifndef iter_iov_addr
static inline void __user *iter_iov_addr(const struct iov_iter *iter)
{
	return iter->iov->iov_base + iter->iov_offset;
}

static inline size_t iter_iov_len(const struct iov_iter *iter)
{
	return iter->iov->iov_len - iter->iov_offset;
}
#endif

#ifndef FLINT_HAVE_ERROR_REMOVE_FOLIO
static inline int generic_error_remove_folio(struct address_space *mapping, struct folio *folio)
{
	return generic_error_remove_page(mapping, &folio->page);
}
#endif

/* What write_cache_pages() hands over. */
#ifdef FLINT_HAVE_WRITE_CACHE_FOLIOS
#define FLINT_WB_PAGE		struct folio
#define FLINT_WB_TO_FOLIO(p)	(p)
#else
#define FLINT_WB_PAGE		struct page
#define FLINT_WB_TO_FOLIO(p)	page_folio(p)
#endif

/* Of a struct file_lock, what it shares with leases. */
#ifdef FLINT_HAVE_FILE_LOCK_CORE
#define flint_flc(fl)	(&(fl)->c)
#define FLINT_FLC_LIST	c.flc_list
#else
#define flint_flc(fl)	(fl)
#define FLINT_FLC_LIST	fl_list
#define file_lock_core	file_lock
#define flc_file	fl_file
#define flc_flags	fl_flags
#define flc_owner	fl_owner
#define flc_pid		fl_pid
#define flc_type	fl_type
#endif

#endif /* _FLINT_COMPAT_H */
