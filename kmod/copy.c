// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies that the servers make: FICLONE, FICLONERANGE and, through the VFS,
 * copy_file_range(2).
 *
 * A chunk server lets one chunk be what another one of the same target is, without
 * moving data. So whole chunks can be cloned, from and to the same chain: within
 * one file at a distance of its stripe's width, and between two files that have the
 * same layout. An empty file that nobody else has open takes the source's layout
 * first. What cannot be cloned is refused, and copy_file_range() copies it by
 * reading and writing.
 *
 * Not atomic: what was cloned before an error stays, as after a short write.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include "flint.h"

/* Both locked killably, in the order of their addresses. */
static int flint_lock_two(struct inode *a, struct inode *b)
{
	if (a > b)
		swap(a, b);
	if (mutex_lock_killable(&flint_i(a)->write_lock))
		return -EINTR;
	if (a != b && mutex_lock_killable_nested(&flint_i(b)->write_lock, SINGLE_DEPTH_NESTING))
		goto write_a;
	if (down_write_killable(&a->i_rwsem))
		goto write_b;
	if (a != b && down_write_killable_nested(&b->i_rwsem, I_MUTEX_NONDIR2))
		goto lock_a;
	return 0;
lock_a:
	inode_unlock(a);
write_b:
	if (a != b)
		mutex_unlock(&flint_i(b)->write_lock);
write_a:
	mutex_unlock(&flint_i(a)->write_lock);
	return -EINTR;
}

static void flint_unlock_two(struct inode *a, struct inode *b)
{
	inode_unlock(a);
	mutex_unlock(&flint_i(a)->write_lock);
	if (a == b)
		return;
	inode_unlock(b);
	mutex_unlock(&flint_i(b)->write_lock);
}

/* The empty file @inode takes the layout of @like. */
static int flint_layout_take(struct inode *inode, const struct inode *like)
{
	struct flint_setattr body = {
		.ino = cpu_to_le64(inode->i_ino),
		.gen = cpu_to_le32(flint_i(inode)->gen),
		.valid = cpu_to_le32(FLINT_SET_LAYOUT),
		.like = cpu_to_le64(like->i_ino),
	};
	struct flint_attr rep;
	struct flint_mcall c = {
		.op = FLINT_OP_SETATTR, .mutates = true, .yield = FLINT_YIELD_CHANGE,
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep),
	};
	int err;

	flint_cred_fill(&body.cred);
	err = flint_meta_call(flint_fs(inode->i_sb), &c);
	return err ? err : flint_inode_apply(inode, &rep, c.sent);
}

static bool flint_same_layout(const struct inode *a, const struct inode *b)
{
	return !memcmp(&flint_i(a)->layout, &flint_i(b)->layout, sizeof(struct flint_layout));
}

/* Are the chunks of the same chains, so far apart? */
static int flint_clone_fits(struct inode *inode, u32 index, struct inode *src, u32 src_index)
{
	struct flint_mapref *map = flint_map_get(flint_fs(inode->i_sb));
	const struct flint_place *place;
	int err;

	if (!map)
		return -EIO;
	err = flint_inode_place(inode, map);
	if (!err)
		err = flint_inode_place(src, map);
	flint_map_put(map);
	place = READ_ONCE(flint_i(inode)->place);
	if (err || !place)
		return err ? err : -EIO;
	return flint_same_layout(inode, src) && index % place->width == src_index % place->width ?
	       0 : -EOPNOTSUPP;
}

/* Clone @len bytes. @leave: of flint_hold_begin(). Return: how many of them, or an error. */
static loff_t flint_clone(struct inode *inode, loff_t pos, struct inode *src, loff_t src_pos,
			  loff_t len, unsigned long *leave)
{
	u8 shift = flint_i(inode)->layout.chunk_shift;
	u32 index = pos >> shift, src_index = src_pos >> shift, n;
	u64 left = DIV_ROUND_UP_ULL(len, 1u << shift);
	loff_t done = 0;
	bool beyond;
	int err = 0;

	truncate_pagecache_range(inode, pos, pos + len - 1);
	for (; left && !err; left -= n) {
		n = min_t(u64, left, FLINT_DIO_MAX >> shift);
		err = flint_dio_clone(inode, index, src, src_index, n, flint_hold_step(leave));
		if (err)
			break;
		index += n;
		src_index += n;
		done = min_t(loff_t, len, done + ((loff_t)n << shift));
		if (fatal_signal_pending(current))
			err = -EINTR;
	}
	truncate_pagecache_range(inode, pos, pos + len - 1);
	if (!done || (err == -EIO && flint_hold_over(*leave)))
		return err;
	flint_zero_grow(inode, pos + done);
	beyond = pos + done > i_size_read(inode);
	err = flint_extend(inode, beyond ? pos + done : 0, READ_ONCE(flint_i(inode)->trunc_epoch),
			   flint_hold_step(leave));
	if (beyond)
		flint_write_drop(inode, pos, done);	/* as in flint_write_end() */
	return err ? err : done;
}

/* Shorten to what can be cloned. Return: 0 with *len, perhaps 0, or -EINVAL. */
static int flint_clone_align(struct inode *inode, loff_t pos, struct inode *src, loff_t src_pos,
			     loff_t *len, unsigned int flags)
{
	loff_t chunk = 1ll << flint_i(src)->layout.chunk_shift;
	bool ends = src_pos + *len == i_size_read(src) && pos + *len >= i_size_read(inode);

	if ((pos | src_pos) & (chunk - 1))
		return -EINVAL;
	if (!(*len & (chunk - 1)) || ends)
		return 0;
	if (!(flags & REMAP_FILE_CAN_SHORTEN) || *len < chunk)
		return -EINVAL;
	*len &= ~(chunk - 1);
	return 0;
}

/**
 * flint_remap_file_range() - FICLONE, FICLONERANGE, and copy_file_range() by the servers
 * @in: source
 * @pos_in: first byte there
 * @out: open for writing, of the same mount
 * @pos_out: first byte there
 * @len: bytes, 0: to the end of @in
 * @flags: REMAP_FILE_*
 *
 * Return: bytes done, -EINVAL (not whole chunks, or what ioctl_ficlonerange(2) says),
 * -EOPNOTSUPP (other chains, or deduplication), -EINTR when killed, or an error.
 */
loff_t flint_remap_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			      loff_t len, unsigned int flags)
{
	struct inode *src = file_inode(in), *dst = file_inode(out);
	unsigned long leave;
	loff_t ret;
	int err;

	if (flags & REMAP_FILE_DEDUP)
		return -EOPNOTSUPP;
	if (flags & ~REMAP_FILE_ADVISORY)
		return -EINVAL;
	ret = flint_lock_two(src, dst);
	if (ret)
		return ret;
	ret = flint_inode_revalidate(src);
	if (!ret)
		ret = flint_inode_revalidate(dst);
	if (!ret)
		ret = flint_hold_file(dst, &leave);
	if (ret)
		goto unlock;
	ret = flint_delegate_settle(dst, leave);
	if (!ret)
		ret = flint_flush_range(src, 0, LLONG_MAX, leave);
	if (!ret)
		ret = flint_flush_range(dst, 0, LLONG_MAX, leave);
	if (!ret)
		ret = generic_remap_file_range_prep(in, pos_in, out, pos_out, &len, flags);
	if (ret < 0 || !len)
		goto end;
	ret = flint_clone_align(dst, pos_out, src, pos_in, &len, flags);
	if (!ret && !flint_same_layout(src, dst) && !i_size_read(dst)) {
		ret = flint_layout_take(dst, src);
		if (ret == -EBUSY || ret == -EACCES || ret == -EINVAL || ret == -EPROTO)
			ret = -EOPNOTSUPP;
	}
	if (!ret && (u64)pos_out + len > flint_iosplit_limit(flint_i(dst)->layout.chunk_shift))
		ret = -EFBIG;
	if (!ret)
		ret = flint_clone_fits(dst, pos_out >> flint_i(dst)->layout.chunk_shift, src,
				       pos_in >> flint_i(src)->layout.chunk_shift);
	if (!ret)
		ret = flint_clone(dst, pos_out, src, pos_in, len, &leave);
end:
	err = flint_hold_file_end(dst, leave, min_t(loff_t, ret, 0));
	WRITE_ONCE(flint_i(src)->silent, READ_ONCE(flint_i(dst)->silent));
	ret = err ? err : ret;
unlock:
	flint_unlock_two(src, dst);
	return ret;
}
