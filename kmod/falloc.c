// SPDX-License-Identifier: GPL-2.0-only
/*
 * fallocate(2).
 *
 *  allocate	the file grows as with ftruncate(); the space of its new length is
 *		charged to quotas at once, and must be free at present
 *  keep size	the space must be free at present; nothing is reserved
 *  punch, zero	the servers make holes
 *  collapse,	in units of chunk size times stripe width: the servers let chunks be
 *  insert	what others are. Not atomic: after a crash in between, part of the
 *		data may stand twice
 *
 * All of it under the inode's locks, taken killably. Pages are dropped before, and
 * once more after, for those that were read in between.
 *
 * When a server is silent the locks are given up, and the system call begins again.
 * Collapse and insert cannot, as they are not the same the second time: they wait.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/mm.h>
#include <linux/falloc.h>
#include <linux/pagemap.h>
#include "flint.h"

#define FLINT_FALLOC_MODES	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | \
				 FALLOC_FL_ZERO_RANGE | FALLOC_FL_COLLAPSE_RANGE | \
				 FALLOC_FL_INSERT_RANGE)

static int flint_falloc_extend(struct inode *inode, loff_t end, unsigned long *leave)
{
	flint_zero_grow(inode, end);
	return flint_extend(inode, end, READ_ONCE(flint_i(inode)->trunc_epoch),
			    flint_hold_step(leave));
}

static int flint_punch(struct inode *inode, loff_t pos, loff_t end, unsigned long *leave)
{
	int err = 0;

	while (pos < end && !err) {
		size_t n = min_t(loff_t, end - pos, FLINT_DIO_MAX);

		err = flint_dio_punch(inode, pos, n, flint_hold_step(leave));
		pos += n;
	}
	return err;
}

/* Would what lies beyond the end of file, and in [offset, end), find room? */
static int flint_falloc_room(struct inode *inode, loff_t offset, loff_t end)
{
	loff_t need = end - max(offset, i_size_read(inode));
	struct flint_statfs st;
	int err;

	if (need <= 0)
		return 0;
	err = flint_statfs_ask(inode, &st);
	/* An answer that does not come is no reason to refuse: nothing is promised by it. */
	if (err)
		return err == -EINTR ? err : 0;
	return (u64)need > le64_to_cpu(st.free) ? -ENOSPC : 0;
}

static int flint_falloc_grow(struct inode *inode, loff_t offset, loff_t end, bool keep,
			     unsigned long *leave)
{
	int err = keep ? 0 : inode_newsize_ok(inode, end);

	if (!err)
		err = flint_falloc_room(inode, offset, end);
	if (!err && !keep && end > i_size_read(inode))
		err = flint_falloc_extend(inode, end, leave);
	return err;
}

static int flint_falloc_holes(struct inode *inode, loff_t offset, loff_t end, bool keep,
			      unsigned long *leave)
{
	loff_t stop = min_t(loff_t, end, i_size_read(inode));
	int err = 0;

	if (!keep)
		err = inode_newsize_ok(inode, end);
	if (!err && offset < stop) {
		err = flint_flush_range(inode, offset, stop - 1, flint_hold_step(leave));
		if (err)
			return err;
		truncate_pagecache_range(inode, offset, stop - 1);
		err = flint_punch(inode, offset, stop, leave);
		truncate_pagecache_range(inode, offset, stop - 1);
	}
	if (!err && !keep && end > i_size_read(inode))
		return flint_falloc_extend(inode, end, leave);
	/* Only the times. */
	return err ? err : flint_falloc_extend(inode, 0, leave);
}

/* ---- moving chunks ---------------------------------------------------- */

/* Chunks that collapse and insert count in. 0: the file's chains are not known. */
static u32 flint_falloc_unit(struct inode *inode)
{
	struct flint_mapref *map = flint_map_get(flint_fs(inode->i_sb));
	const struct flint_place *place;
	u32 width = 0;

	if (!map)
		return 0;
	if (!flint_inode_place(inode, map)) {
		place = READ_ONCE(flint_i(inode)->place);
		width = place ? place->width : 0;
	}
	flint_map_put(map);
	return width;
}

/* At most so many chunks at a time: nothing is read and changed by the same call. */
static u32 flint_falloc_batch(const struct inode *inode, u32 by)
{
	return min_t(u32, by, FLINT_DIO_MAX >> flint_i(inode)->layout.chunk_shift);
}

static int flint_collapse(struct inode *inode, loff_t offset, loff_t len)
{
	u8 shift = flint_i(inode)->layout.chunk_shift;
	u32 by = len >> shift, at = offset >> shift, end, n, step;
	loff_t size = i_size_read(inode);
	struct iattr attr = { .ia_valid = ATTR_SIZE, .ia_size = size - len };
	int err;

	if (offset + len >= size)
		return -EINVAL;
	err = flint_flush_range(inode, offset, LLONG_MAX, 0);
	if (err)
		return err;
	truncate_pagecache(inode, offset);
	end = DIV_ROUND_UP_ULL(size - len, 1u << shift);
	step = flint_falloc_batch(inode, by);
	for (; at < end && !err; at += n) {
		n = min(step, end - at);
		err = flint_dio_clone(inode, at, inode, at + by, n, 0);
	}
	truncate_pagecache(inode, offset);
	if (err)
		return err;
	/* Not by notify_change(): the chunks have moved, and the call must not begin again. */
	err = flint_setattr_at(inode, &attr, 0, FLINT_YIELD_NONE, 0);
	if (!err)
		truncate_pagecache(inode, attr.ia_size);
	return err;
}

static int flint_insert(struct inode *inode, loff_t offset, loff_t len)
{
	u8 shift = flint_i(inode)->layout.chunk_shift;
	loff_t size = i_size_read(inode);
	u32 by = len >> shift, first = offset >> shift, end, n, step;
	unsigned long never = 0;
	int err;

	if (offset >= size)
		return -EINVAL;
	if ((u64)size + len > flint_iosplit_limit(shift))
		return -EFBIG;
	err = inode_newsize_ok(inode, size + len);
	if (!err)
		err = flint_falloc_room(inode, size, size + len);
	if (!err)
		err = flint_flush_range(inode, offset, LLONG_MAX, 0);
	if (err)
		return err;
	truncate_pagecache_range(inode, offset, LLONG_MAX);
	end = DIV_ROUND_UP_ULL(size, 1u << shift);
	err = flint_falloc_extend(inode, size + len, &never);
	step = flint_falloc_batch(inode, by);
	for (; end > first && !err; end -= n) {
		n = min(step, end - first);
		err = flint_dio_clone(inode, end - n + by, inode, end - n, n, 0);
	}
	if (!err)
		err = flint_punch(inode, offset, offset + len, &never);
	truncate_pagecache_range(inode, offset, LLONG_MAX);
	return err ? err : flint_falloc_extend(inode, 0, &never);
}

static int flint_falloc_move(struct inode *inode, int mode, loff_t offset, loff_t len)
{
	u64 unit = (u64)flint_falloc_unit(inode) << flint_i(inode)->layout.chunk_shift;
	u64 rest, rest_len;

	if (!unit)
		return -EIO;
	div64_u64_rem(offset, unit, &rest);
	div64_u64_rem(len, unit, &rest_len);
	if (rest || rest_len)
		return -EOPNOTSUPP;
	return mode & FALLOC_FL_COLLAPSE_RANGE ? flint_collapse(inode, offset, len) :
						 flint_insert(inode, offset, len);
}

/**
 * flint_fallocate() - fallocate(2)
 * @file: regular file, open for writing
 * @mode: FALLOC_FL_*, one of the combinations that the VFS lets through
 * @offset: first byte
 * @len: bytes, not 0
 *
 * Return: 0, -EOPNOTSUPP (a mode that we do not have, or collapse and insert in other
 * units than those above), -EINVAL, -EFBIG, -ENOSPC, -EINTR when killed, or an error
 * of the servers.
 */
long flint_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	struct flint_inode *fi = flint_i(inode);
	loff_t end = offset + len;
	unsigned long leave;
	int err;

	if (mode & ~FLINT_FALLOC_MODES)
		return -EOPNOTSUPP;
	if ((u64)end > flint_iosplit_limit(flint_i(inode)->layout.chunk_shift))
		return -EFBIG;
	if (mutex_lock_killable(&fi->write_lock))
		return -EINTR;
	err = -EINTR;
	if (down_write_killable(&inode->i_rwsem))
		goto unlock_write;
	err = flint_inode_revalidate(inode);
	if (!err)
		err = file_remove_privs(file);
	if (err)
		goto unlock;
	if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) {
		err = flint_falloc_move(inode, mode, offset, len);
		goto unlock;
	}
	err = flint_hold_file(inode, &leave);
	if (err)
		goto unlock;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		err = flint_falloc_holes(inode, offset, end, keep, &leave);
	else
		err = flint_falloc_grow(inode, offset, end, keep, &leave);
	err = flint_hold_file_end(inode, leave, err);
unlock:
	inode_unlock(inode);
unlock_write:
	mutex_unlock(&fi->write_lock);
	return err;
}
