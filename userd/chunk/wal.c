// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The write-ahead log: gathering, writing and replaying groups.
 *
 * Order on a device with a volatile cache: data writes complete, their records
 * are gathered, the device is flushed, then the group is written durably. So a
 * record on stable storage always finds its data there.
 */
#include <stdio.h>
#include <stdlib.h>
#include "store.h"
#include "../base/crc.h"
#include "../base/log.h"

static u64 align_up(u64 n)
{
	return (n + FLINT_STORE_ALIGN - 1) & ~(u64)(FLINT_STORE_ALIGN - 1);
}

int flint_wal_init(struct flint_wal *w, struct flint_store *st, u64 off, u64 len, u8 *mem)
{
	memset(w, 0, sizeof(*w));
	w->st = st;
	w->off = off;
	w->len = len;
	w->buf[0] = mem;
	w->buf[1] = mem + FLINT_WAL_BUF;
	w->used = sizeof(struct flint_wal_group);
	w->waiters_tail = &w->waiters;
	return 0;
}

void *flint_wal_reserve(struct flint_wal *w, u32 len)
{
	if (w->used + len > FLINT_WAL_BUF ||
	    w->head + align_up(w->used + len) - w->tail > w->len)
		return NULL;
	return w->buf[w->fill] + w->used;
}

void flint_wal_commit(struct flint_wal *w, u32 len, u32 nr, struct flint_wal_waiter *waiter)
{
	w->used += len;
	w->nr_recs += nr;
	if (waiter) {
		waiter->next = NULL;
		*w->waiters_tail = waiter;
		w->waiters_tail = &waiter->next;
	}
	/* A change without device I/O of its own (CUT, PUNCH) wakes nobody else. */
	w->st->kick(w->st->kick_arg);
}

void flint_wal_mark(const struct flint_wal *w, u64 *pos, u64 *seq)
{
	*pos = w->busy ? w->flight_pos : w->head;
	*seq = w->busy ? w->flight_seq : w->seq;
}

void flint_wal_recycle(struct flint_wal *w, u64 pos)
{
	w->tail = pos;
	w->st->unblock = true;
}

/* The group in flight is on stable storage: its records become the state. */
static int group_apply(struct flint_wal *w)
{
	const u8 *p = w->buf[w->fill ^ 1] + sizeof(struct flint_wal_group);
	u32 i;

	for (i = 0; i < w->flight_recs; i++) {
		const struct flint_rec_hdr *h = (const void *)p;
		int err = flint_store_apply(w->st, h, false);

		if (err)
			return err;
		p += le32_to_cpu(h->len);
	}
	return 0;
}

static void waiters_call(struct flint_wal_waiter *waiter, int err)
{
	while (waiter) {
		struct flint_wal_waiter *next = waiter->next;

		waiter->done(waiter, err);
		waiter = next;
	}
}

/* The log failed: nothing more will be written, nobody may wait for it. */
static void gathered_fail(struct flint_wal *w)
{
	struct flint_wal_waiter *waiter = w->waiters;

	w->waiters = NULL;
	w->waiters_tail = &w->waiters;
	w->used = sizeof(struct flint_wal_group);
	w->nr_recs = 0;
	waiters_call(waiter, -EIO);
}

static void group_done(struct flint_wal *w)
{
	struct flint_wal_waiter *waiter = w->flight;
	struct flint_store *st = w->st;
	int err = w->err;

	if (!err)
		err = group_apply(w);
	if (err) {
		w->failed = true;
		flint_store_fail(st, "write to the log", err);
	}
	w->flight = NULL;
	w->busy = false;
	waiters_call(waiter, err);
	st->unblock = true;
	st->kick(st->kick_arg);
}

static void io_done(struct flint_dio *io, int err)
{
	struct flint_wal *w = io->arg;

	if (err)
		w->err = err;
	if (!--w->pending)
		group_done(w);
}

/* Write the group; in two parts where the ring ends. */
static void group_write(struct flint_wal *w)
{
	struct flint_store *st = w->st;
	u32 len = (u32)align_up(w->flight_used);
	u64 at = w->flight_pos % w->len;
	u32 first = w->len - at < len ? (u32)(w->len - at) : len;
	u32 i;

	w->pending = first < len ? 2 : 1;
	for (i = 0; i < 2; i++) {
		struct flint_dio *io = &w->io[i];

		io->op = FLINT_DIO_WRITE;
		io->flags = st->dev->volatile_cache ? FLINT_DIO_DSYNC : 0;
		io->done = io_done;
		io->arg = w;
		io->buf = w->buf[w->fill ^ 1] + (i ? first : 0);
		io->off = w->off + (i ? 0 : at);
		io->len = i ? len - first : first;
		if (!io->len)
			break;
		flint_dio_submit(st, io);
	}
	st->stats.log_write_bytes += len;
}

static void sync_done(struct flint_dio *io, int err)
{
	struct flint_wal *w = io->arg;

	if (err) {
		w->err = err;
		group_done(w);
		return;
	}
	group_write(w);
}

void flint_wal_kick(struct flint_wal *w)
{
	struct flint_wal_group *g = (void *)w->buf[w->fill];
	struct flint_store *st = w->st;
	u32 len = (u32)align_up(w->used);

	if (w->busy || !w->nr_recs)
		return;
	if (w->failed) {
		gathered_fail(w);
		return;
	}
	/* What lies behind it in its last page does not matter. */
	g->magic = cpu_to_le32(FLINT_WAL_MAGIC);
	g->crc = 0;
	g->seq = cpu_to_le64(w->seq);
	g->pos = cpu_to_le64(w->head);
	g->len = cpu_to_le32(w->used);
	g->nr_recs = cpu_to_le32(w->nr_recs);
	g->crc = cpu_to_le32(flint_crc32c(st->uuid_crc, g, w->used));

	w->busy = true;
	w->err = 0;
	w->flight_pos = w->head;
	w->flight_seq = w->seq;
	w->flight_used = w->used;
	w->flight_recs = w->nr_recs;
	w->flight = w->waiters;
	w->waiters = NULL;
	w->waiters_tail = &w->waiters;
	w->fill ^= 1;
	w->head += len;
	w->seq++;
	w->used = sizeof(struct flint_wal_group);
	w->nr_recs = 0;
	st->unblock = true;	/* the other buffer is empty */
	st->stats.log_groups++;
	st->stats.log_records += w->flight_recs;

	if (st->dev->volatile_cache) {
		w->io[0].op = FLINT_DIO_SYNC;
		w->io[0].flags = 0;
		w->io[0].len = 0;
		w->io[0].done = sync_done;
		w->io[0].arg = w;
		flint_dio_submit(st, &w->io[0]);
	} else {
		group_write(w);
	}
}

/* ---- replay ------------------------------------------------------------- */

/* Copy from the ring, across its end if need be. */
static void ring_copy(const struct flint_wal *w, const u8 *ring, u64 pos, void *dst, u64 len)
{
	u64 at = pos % w->len;
	u64 first = w->len - at < len ? w->len - at : len;

	memcpy(dst, ring + at, first);
	memcpy((u8 *)dst + first, ring, len - first);
}

/* Is there a sound group at @pos? Then it is in the first buffer. */
static bool group_read(const struct flint_wal *w, const u8 *ring, u64 pos,
		       struct flint_wal_group *g)
{
	struct flint_wal_group *h = (void *)w->buf[0];
	u32 len, crc;

	ring_copy(w, ring, pos, g, sizeof(*g));
	len = le32_to_cpu(g->len);
	if (g->magic != cpu_to_le32(FLINT_WAL_MAGIC) || len < sizeof(*g) || len > FLINT_WAL_BUF)
		return false;
	ring_copy(w, ring, pos, h, len);
	crc = le32_to_cpu(h->crc);
	h->crc = 0;
	return flint_crc32c(w->st->uuid_crc, h, len) == crc;
}

static int group_replay(struct flint_wal *w, const struct flint_wal_group *g)
{
	u32 at = sizeof(*g), len = le32_to_cpu(g->len), n = le32_to_cpu(g->nr_recs);

	while (n--) {
		const struct flint_rec_hdr *h = (const void *)(w->buf[0] + at);
		u32 rec;

		if (len - at < sizeof(*h))
			return -EUCLEAN;
		rec = le32_to_cpu(h->len);
		if (rec < sizeof(*h) || (rec & 7) || rec > len - at ||
		    flint_store_apply(w->st, h, true))
			return -EUCLEAN;
		at += rec;
	}
	return 0;
}

/* After the end of the log nothing newer may be found. */
static int ring_check_end(struct flint_wal *w, const u8 *ring, char *err, size_t errlen)
{
	struct flint_wal_group g;
	u64 at;

	for (at = 0; at < w->len; at += FLINT_STORE_ALIGN) {
		if (!group_read(w, ring, at, &g) || le64_to_cpu(g.seq) < w->seq ||
		    le64_to_cpu(g.pos) % w->len != at)
			continue;
		snprintf(err, errlen,
			 "%s: the log is damaged at group %llu, but group %llu after it is sound: acknowledged changes would be lost; restore this target from its replicas",
			 w->st->name, (unsigned long long)w->seq,
			 (unsigned long long)le64_to_cpu(g.seq));
		return -EUCLEAN;
	}
	return 0;
}

int flint_wal_replay(struct flint_wal *w, u64 pos, u64 seq, char *err, size_t errlen)
{
	const struct flint_dev *dev = w->st->dev;
	struct flint_wal_group g;
	u8 *ring = NULL;
	u64 at;
	int ret = -ENOMEM;

	if (posix_memalign((void **)&ring, FLINT_STORE_ALIGN, w->len)) {
		snprintf(err, errlen, "%s: no memory to read the log", w->st->name);
		return ret;
	}
	for (at = 0; at < w->len; at += FLINT_WAL_BUF) {
		u32 n = w->len - at < FLINT_WAL_BUF ? (u32)(w->len - at) : FLINT_WAL_BUF;

		ret = dev->ops->pread((struct flint_dev *)dev, ring + at, n, w->off + at);
		if (ret) {
			snprintf(err, errlen, "%s: cannot read the log: %s", w->st->name,
				 strerror(-ret));
			goto out;
		}
	}
	w->tail = pos;
	w->head = pos;
	w->seq = seq;
	while (w->head - w->tail < w->len && group_read(w, ring, w->head, &g) &&
	       le64_to_cpu(g.seq) == w->seq && le64_to_cpu(g.pos) == w->head) {
		ret = group_replay(w, &g);
		if (ret) {
			snprintf(err, errlen,
				 "%s: group %llu of the log contradicts what is stored; restore this target from its replicas",
				 w->st->name, (unsigned long long)w->seq);
			goto out;
		}
		w->head += align_up(le32_to_cpu(g.len));
		w->seq++;
	}
	ret = ring_check_end(w, ring, err, errlen);
out:
	free(ring);
	return ret;
}
