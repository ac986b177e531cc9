// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a file has data: SEEK_DATA, SEEK_HOLE and FIEMAP.
 *
 * Each chain of the file is asked for the extents of the chunks that it has
 * (EXTENTS), and answers for as many as fit into a reply; alike chunks are told at
 * once. A struct flint_extmap keeps the last answer of each chain while one call
 * goes through the file, in rising order.
 *
 * Extents end at multiples of FLINT_EXT_ALIGN, or at the end of file. A server of
 * before EXTENTS makes the whole file data, which is always right.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/fiemap.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include "flint.h"

#define FLINT_EXT_ALIGN		4096u
#define FLINT_EXT_PAUSE		(HZ / 20)
#define FLINT_EXT_PERMITS	8	/* shown in vain; some may have been forgotten */

/**
 * struct flint_extslot - what is known of one chain's chunks
 * @known: there is an answer
 * @all: which told everything from @from on
 * @from: first chunk that was asked for
 * @from_off: offset in it
 * @rep: the answer
 */
struct flint_extslot {
	bool known;
	bool all;
	u32 from;
	u32 from_off;
	struct {
		struct flint_extents h;
		struct flint_extent e[FLINT_EXTENTS_MAX];
	} rep;
};

struct flint_extmap {
	struct inode *inode;
	u64 end;		/* nothing is looked for from here on */
	u32 width;
	u8 shift;
	struct flint_extslot slot[];
};

static u64 flint_ext_place(u32 index, u32 offset)
{
	return (u64)index << 32 | offset;
}

/* ---- asking ----------------------------------------------------------- */

static int flint_ext_check(const struct flint_extmap *m, const struct flint_extslot *s, u32 len)
{
	u32 i, nr = le32_to_cpu(s->rep.h.nr);
	u64 next = flint_ext_place(le32_to_cpu(s->rep.h.next_index),
				   le32_to_cpu(s->rep.h.next_offset));

	if (nr > FLINT_EXTENTS_MAX || len < sizeof(s->rep.h) + nr * sizeof(s->rep.e[0]))
		return -EPROTO;
	if (next && next <= flint_ext_place(s->from, s->from_off))
		return -EPROTO;
	for (i = 0; i < nr; i++) {
		const struct flint_extent *e = &s->rep.e[i];
		u64 end = (u64)le32_to_cpu(e->offset) + le32_to_cpu(e->length);

		if (!e->count || !e->length || end > 1ull << m->shift)
			return -EPROTO;
	}
	return 0;
}

/* One attempt. Return: 0, -EAGAIN to try again, or an error. */
static int flint_ext_try(struct flint_extmap *m, struct flint_extslot *s, unsigned long deadline,
			 u32 *avoid, u32 *permits)
{
	struct flint_inode *fi = flint_i(m->inode);
	struct flint_fs *fs = flint_fs(m->inode->i_sb);
	struct flint_mapref *map = flint_map_get(fs);
	struct flint_route route;
	struct flint_req *req;
	struct flint_io *io;
	int err = -EIO;

	if (!map)
		return -EIO;
	if (READ_ONCE(fs->shutdown))
		goto put_map;
	err = flint_route(m->inode, s->from, false, *avoid, false, map, &route);
	if (err)
		goto put_map;
	err = -ENOMEM;
	req = flint_req_alloc(FLINT_OP_EXTENTS, sizeof(*io), GFP_KERNEL);
	if (!req)
		goto put_map;
	io = req->body;
	io->chain = cpu_to_le32(route.chain);
	io->chain_ver = cpu_to_le32(route.chain_ver);
	io->target = cpu_to_le32(route.target);
	io->fs = cpu_to_le32(fs->fsid);
	io->ino = cpu_to_le64(m->inode->i_ino);
	io->gen = cpu_to_le32(fi->gen);
	io->trunc_epoch = cpu_to_le32(READ_ONCE(fi->trunc_epoch));
	io->index = cpu_to_le32(s->from);
	io->offset = cpu_to_le32(s->from_off);
	io->length = cpu_to_le32(m->width);
	io->chunk_shift = m->shift;
	req->deadline = deadline;
	err = flint_call(route.peer, req, &s->rep, sizeof(s->rep), sizeof(s->rep.h));
	*avoid = route.target;
	if (err == -ENOTCONN || err == -ETIMEDOUT)
		err = -EAGAIN;
	if (err)
		goto put_req;
	flint_map_seen(fs, req->rep_epoch);
	switch (req->status) {
	case FLINT_OK:
		err = flint_ext_check(m, s, req->rep_len);
		break;
	case FLINT_ST_STALE_MAP:
	case FLINT_ST_NOT_SERVING:
		flint_map_refresh(fs);
		fallthrough;
	case FLINT_ST_RETRY:
	case FLINT_ST_SHUTDOWN:
		err = -EAGAIN;
		break;
	case FLINT_ST_NEED_PERMIT:
		err = -EACCES;
		if (++*permits > FLINT_EXT_PERMITS)
			break;
		err = flint_permit_show(m->inode, route.target, deadline);
		if (!err)
			err = -EAGAIN;
		break;
	case FLINT_ST_BAD_REQUEST:
		err = -EOPNOTSUPP;	/* a server that has no EXTENTS */
		break;
	default:
		err = flint_status_errno(req->status);
	}
put_req:
	flint_req_put(req);
put_map:
	flint_map_put(map);
	return err;
}

/* Ask the chain of slot @i for what it has from a place on. Killable. */
static int flint_ext_fetch(struct flint_extmap *m, u32 i, u32 index, u32 offset)
{
	struct flint_fs *fs = flint_fs(m->inode->i_sb);
	unsigned long end = jiffies + msecs_to_jiffies(fs->opts.io_timeo);
	bool forever = !fs->opts.soft && !(current->flags & PF_KTHREAD);
	struct flint_extslot *s = &m->slot[i];
	u32 avoid = 0, permits = 0;
	int err;

	s->known = false;
	s->from = index;
	s->from_off = offset;
	for (;;) {
		unsigned long until = jiffies + FLINT_RPC_TIMEO;

		if (!forever && time_after(until, end))
			until = end;
		err = flint_ext_try(m, s, until, &avoid, &permits);
		if (err != -EAGAIN)
			break;
		if (!forever && time_after_eq(jiffies + FLINT_EXT_PAUSE, end))
			return -EIO;
		flint_stat_inc(fs, FLINT_STAT_RETRIES);
		if (schedule_timeout_killable(FLINT_EXT_PAUSE) && fatal_signal_pending(current))
			return -EINTR;
	}
	if (err)
		return err;
	s->known = true;
	s->all = !s->rep.h.next_index && !s->rep.h.next_offset;
	return 0;
}

/* Does the slot's answer tell about this place? */
static bool flint_ext_covers(const struct flint_extslot *s, u32 index, u32 offset)
{
	u64 at = flint_ext_place(index, offset);

	return s->known && at >= flint_ext_place(s->from, s->from_off) &&
	       (s->all || at < flint_ext_place(le32_to_cpu(s->rep.h.next_index),
					       le32_to_cpu(s->rep.h.next_offset)));
}

/* ---- looking ---------------------------------------------------------- */

/* Is @index one of the record's chunks? */
static bool flint_ext_has(const struct flint_extmap *m, const struct flint_extent *e, u32 index)
{
	u32 first = le32_to_cpu(e->index), d;

	if (index < first)
		return false;
	d = index - first;
	return !(d % m->width) && d / m->width < le32_to_cpu(e->count);
}

/*
 * The first data at or behind @pos in the chunk that @pos is in.
 * Return: 1 with [*start, *end), 0: none, or an error.
 */
static int flint_ext_chunk(struct flint_extmap *m, u64 pos, u64 *start, u64 *end)
{
	u32 index = pos >> m->shift, offset = pos & ((1u << m->shift) - 1), i;
	u64 base = (u64)index << m->shift, size = 1ull << m->shift;
	struct flint_extslot *s = &m->slot[index % m->width];
	int err;

	for (;;) {
		u32 next;

		if (!flint_ext_covers(s, index, offset)) {
			err = flint_ext_fetch(m, index % m->width, index, offset);
			if (err < 0)
				return err;
		}
		for (i = 0; i < le32_to_cpu(s->rep.h.nr); i++) {
			const struct flint_extent *e = &s->rep.e[i];
			u64 to = (u64)le32_to_cpu(e->offset) + le32_to_cpu(e->length);

			to = min(round_up(to, FLINT_EXT_ALIGN), size);
			if (!flint_ext_has(m, e, index) || to <= offset)
				continue;
			*start = base + max(offset, le32_to_cpu(e->offset));
			*end = base + to;
			return 1;
		}
		next = le32_to_cpu(s->rep.h.next_offset);
		if (s->all || le32_to_cpu(s->rep.h.next_index) != index || next <= offset)
			return 0;
		offset = next;	/* the answer ended within this chunk */
	}
}

/* The first chunk from @first on with data in the slot that @first is of. 1, 0 or an error. */
static int flint_ext_slot_next(struct flint_extmap *m, u32 first, u32 *index)
{
	u32 last = (m->end - 1) >> m->shift, slot = first % m->width, i;
	struct flint_extslot *s = &m->slot[slot];
	u32 at = first, off = 0;
	int err;

	while (at <= last) {
		if (!flint_ext_covers(s, at, off)) {
			err = flint_ext_fetch(m, slot, at, off);
			if (err < 0)
				return err;
		}
		for (i = 0; i < le32_to_cpu(s->rep.h.nr); i++) {
			const struct flint_extent *e = &s->rep.e[i];
			u32 from = le32_to_cpu(e->index);

			if (from % m->width != slot)
				continue;
			if (from >= first || flint_ext_has(m, e, first)) {
				*index = max(from, first);
				return *index <= last;
			}
		}
		if (s->all)
			return 0;
		at = le32_to_cpu(s->rep.h.next_index);
		off = le32_to_cpu(s->rep.h.next_offset);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/* The first data at or behind @pos, within one chunk. 1, 0: there is none, or an error. */
static int flint_ext_next(struct flint_extmap *m, u64 pos, u64 *start, u64 *end)
{
	u64 best;
	u32 i;
	int err;

	while (pos < m->end) {
		u32 index = pos >> m->shift;

		err = flint_ext_chunk(m, pos, start, end);
		if (err < 0)
			return err;
		if (err) {
			*end = min(*end, m->end);
			return *start < *end;
		}
		best = U64_MAX;
		for (i = 1; i <= m->width && index <= U32_MAX - i; i++) {
			u32 found;

			err = flint_ext_slot_next(m, index + i, &found);
			if (err < 0)
				return err;
			if (err && found < best)
				best = found;
		}
		if (best == U64_MAX)
			return 0;
		pos = best << m->shift;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* The end of the data that begins at @start, through neighbouring chunks. */
static int flint_ext_run(struct flint_extmap *m, u64 start, u64 *end)
{
	u64 from, to;
	int err;

	for (*end = start; *end < m->end; *end = min(to, m->end)) {
		err = flint_ext_chunk(m, *end, &from, &to);
		if (err < 0)
			return err;
		if (!err || from != *end)
			break;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static struct flint_extmap *flint_ext_open(struct inode *inode, u64 end)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	const struct flint_place *place;
	struct flint_mapref *map;
	struct flint_extmap *m;
	int err = -EIO;

	map = flint_map_get(fs);
	if (map)
		err = flint_inode_place(inode, map);
	if (map)
		flint_map_put(map);
	if (err)
		return ERR_PTR(err);
	place = READ_ONCE(flint_i(inode)->place);
	if (!place)
		return ERR_PTR(-EIO);
	m = kvzalloc(struct_size(m, slot, place->width), GFP_KERNEL);
	if (!m)
		return ERR_PTR(-ENOMEM);
	m->inode = inode;
	m->end = end;
	m->width = place->width;
	m->shift = flint_i(inode)->layout.chunk_shift;
	return m;
}

/* ---- lseek ------------------------------------------------------------ */

static loff_t flint_seek_ext(struct inode *inode, loff_t offset, int whence, loff_t size)
{
	struct flint_extmap *m = flint_ext_open(inode, size);
	u64 start, end;
	int err;

	if (IS_ERR(m))
		return PTR_ERR(m);
	if (whence == SEEK_HOLE) {
		err = flint_ext_run(m, offset, &end);
		start = end;
	} else {
		err = flint_ext_next(m, offset, &start, &end);
		if (!err)
			err = -ENXIO;
	}
	kvfree(m);
	return err < 0 ? err : start;
}

/**
 * flint_llseek() - lseek(2)
 * @file: regular file
 * @offset: as given
 * @whence: as given
 *
 * Return: the new position, -EINVAL, -ENXIO, -EINTR when killed, or an error of the servers.
 */
loff_t flint_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	loff_t size, at;
	int err;

	if (whence == SEEK_SET || whence == SEEK_CUR)
		return generic_file_llseek(file, offset, whence);
	err = flint_inode_revalidate(inode);
	if (err)
		return err;
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);
	err = flint_flush_range(inode, 0, LLONG_MAX, 0);
	if (err)
		return err;
	size = i_size_read(inode);
	if (offset < 0 || offset >= size)
		return -ENXIO;
	at = flint_seek_ext(inode, offset, whence, size);
	if (at == -EOPNOTSUPP)
		return generic_file_llseek(file, offset, whence);
	return at < 0 ? at : vfs_setpos(file, at, inode->i_sb->s_maxbytes);
}

/* ---- FIEMAP ----------------------------------------------------------- */

/**
 * flint_fiemap() - FS_IOC_FIEMAP
 * @inode: regular file
 * @info: what is wanted, and where it goes
 * @start: first byte
 * @len: bytes
 *
 * Where on which servers' disks an extent lies is not told: FIEMAP_EXTENT_UNKNOWN.
 * Return: 0, -EBADR (flags that are not known), -EINTR, or an error of the servers.
 */
int flint_fiemap(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 len)
{
	u64 from = start, run = 0, to = 0, next, size;
	struct flint_extmap *m;
	int err, more;

	err = fiemap_prep(inode, info, start, &len, 0);
	if (!err)
		err = flint_inode_revalidate(inode);
	if (!err)
		err = flint_flush_range(inode, 0, LLONG_MAX, 0);
	if (err)
		return err;
	size = i_size_read(inode);
	if (start >= size)
		return 0;
	m = flint_ext_open(inode, size);
	if (IS_ERR(m))
		return PTR_ERR(m);
	err = flint_ext_next(m, from, &run, &to);
	while (err == 1 && run < start + len) {
		u64 begin = run;

		err = flint_ext_run(m, run, &to);
		if (!err)
			err = flint_ext_next(m, to, &run, &next);
		if (err < 0)
			break;
		more = err;
		err = fiemap_fill_next_extent(info, begin, 0, to - begin, FIEMAP_EXTENT_UNKNOWN |
					      (more ? 0 : FIEMAP_EXTENT_LAST));
		if (err || !more)
			break;
		err = 1;
	}
	kvfree(m);
	return err < 0 ? err : 0;
}
