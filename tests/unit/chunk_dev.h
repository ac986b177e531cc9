/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk in memory for the tests of the chunk store: requests complete in
 * random order when the test says so; every write is journalled, so that the
 * disk can be rebuilt as a power cut at any moment would have left it: what was
 * synced is there, of everything else any part may be missing, in units of a
 * sector.
 */
#ifndef CHUNK_DEV_H
#define CHUNK_DEV_H

#include <stdlib.h>
#include "../../userd/chunk/dev.h"

#define TD_PAGE		4096u
#define TD_SECTOR	512u
#define TD_DISCARDED	0xd5	/* what is read where nothing is any more */

enum td_event_kind { TD_SUBMIT, TD_COMPLETE, TD_SYNCED, TD_MARK };

struct td_event {
	enum td_event_kind kind;
	u32 write;		/* SUBMIT, COMPLETE: which write */
	u64 mark;		/* MARK: the test's */
};

struct td_write {
	u64 off;
	u32 len;
	u8 *data;
	bool dsync;
};

struct test_dev {
	struct flint_dev dev;
	u8 **pages;
	struct test_dev *base;		/* pages not here are there */
	struct flint_dio **queue;
	u32 nr_queue, cap_queue;
	bool journal;
	struct td_event *events;
	u32 nr_events, cap_events;
	struct td_write *writes;
	u32 nr_writes, cap_writes;
	u64 rng;
	int fail_writes, fail_reads;	/* errno for the next requests, 0: none */
	u64 nr_write_bytes, nr_discard_bytes;
};

static inline u64 td_random(struct test_dev *d)
{
	return flint_splitmix64(&d->rng);
}

static inline const u8 *td_page(const struct test_dev *d, u64 n)
{
	static const u8 zero[TD_PAGE];

	for (; d; d = d->base)
		if (d->pages[n])
			return d->pages[n];
	return zero;
}

static inline u8 *td_page_own(struct test_dev *d, u64 n)
{
	if (!d->pages[n]) {
		u8 *p = malloc(TD_PAGE);

		memcpy(p, td_page(d, n), TD_PAGE);
		d->pages[n] = p;
	}
	return d->pages[n];
}

static inline void td_read(struct test_dev *d, void *buf, u32 len, u64 off)
{
	while (len) {
		u32 at = off % TD_PAGE, n = TD_PAGE - at < len ? TD_PAGE - at : len;

		memcpy(buf, td_page(d, off / TD_PAGE) + at, n);
		buf = (u8 *)buf + n;
		off += n;
		len -= n;
	}
}

static inline void td_write_raw(struct test_dev *d, const void *buf, u32 len, u64 off)
{
	while (len) {
		u32 at = off % TD_PAGE, n = TD_PAGE - at < len ? TD_PAGE - at : len;

		memcpy(td_page_own(d, off / TD_PAGE) + at, buf, n);
		buf = (const u8 *)buf + n;
		off += n;
		len -= n;
	}
}

static inline void td_discard(struct test_dev *d, u32 len, u64 off)
{
	u8 *poison = malloc(len);

	memset(poison, TD_DISCARDED, len);
	td_write_raw(d, poison, len, off);
	d->nr_discard_bytes += len;
	free(poison);
}

static inline void td_event(struct test_dev *d, enum td_event_kind kind, u32 write, u64 mark)
{
	if (!d->journal)
		return;
	if (d->nr_events == d->cap_events) {
		d->cap_events = d->cap_events ? d->cap_events * 2 : 1024;
		d->events = realloc(d->events, d->cap_events * sizeof(*d->events));
	}
	d->events[d->nr_events++] = (struct td_event){ kind, write, mark };
}

static inline void td_submit(struct flint_dev *dev, struct flint_dio *io)
{
	struct test_dev *d = (struct test_dev *)dev;

	if (d->nr_queue == d->cap_queue) {
		d->cap_queue = d->cap_queue ? d->cap_queue * 2 : 64;
		d->queue = realloc(d->queue, d->cap_queue * sizeof(*d->queue));
	}
	d->queue[d->nr_queue++] = io;
	if (io->op != FLINT_DIO_SYNC && ((io->off | io->len | (uintptr_t)io->buf) % TD_PAGE ||
					 !io->len || io->off + io->len > dev->size))
		abort();	/* O_DIRECT would refuse it */
	if ((io->op == FLINT_DIO_WRITE || io->op == FLINT_DIO_DISCARD) && d->journal) {
		struct td_write *w;

		if (d->nr_writes == d->cap_writes) {
			d->cap_writes = d->cap_writes ? d->cap_writes * 2 : 1024;
			d->writes = realloc(d->writes, d->cap_writes * sizeof(*d->writes));
		}
		w = &d->writes[d->nr_writes];
		*w = (struct td_write){ io->off, io->len, malloc(io->len),
					io->flags & FLINT_DIO_DSYNC };
		if (io->op == FLINT_DIO_WRITE)
			memcpy(w->data, io->buf, io->len);
		else
			memset(w->data, TD_DISCARDED, io->len);
		io->moved = d->nr_writes++;
		td_event(d, TD_SUBMIT, io->moved, 0);
	}
}

static inline int td_pread(struct flint_dev *dev, void *buf, u32 len, u64 off)
{
	td_read((struct test_dev *)dev, buf, len, off);
	return 0;
}

static inline int td_pwrite(struct flint_dev *dev, const void *buf, u32 len, u64 off)
{
	td_write_raw((struct test_dev *)dev, buf, len, off);
	return 0;
}

static inline int td_sync(struct flint_dev *dev)
{
	return 0;
}

static inline void td_close(struct flint_dev *dev)
{
}

/* Complete one request, any of them. Return: false when there is none. */
static inline bool td_step(struct test_dev *d)
{
	struct flint_dio *io;
	u32 i;
	int err = 0;

	if (!d->nr_queue)
		return false;
	i = (u32)(td_random(d) % d->nr_queue);
	io = d->queue[i];
	d->queue[i] = d->queue[--d->nr_queue];
	switch (io->op) {
	case FLINT_DIO_READ:
		err = d->fail_reads;
		if (!err)
			td_read(d, io->buf, io->len, io->off);
		break;
	case FLINT_DIO_WRITE:
		err = d->fail_writes;
		if (!err) {
			td_write_raw(d, io->buf, io->len, io->off);
			d->nr_write_bytes += io->len;
			td_event(d, TD_COMPLETE, io->moved, 0);
		}
		break;
	case FLINT_DIO_DISCARD:
		td_discard(d, io->len, io->off);
		td_event(d, TD_COMPLETE, io->moved, 0);
		break;
	default:
		td_event(d, TD_SYNCED, 0, 0);
	}
	io->done(io, -err);
	return true;
}

static const struct flint_dev_ops td_ops = {
	.submit = td_submit,
	.pread = td_pread,
	.pwrite = td_pwrite,
	.sync = td_sync,
	.close = td_close,
};

static inline struct test_dev *td_new(u64 size, struct test_dev *base, u64 seed)
{
	struct test_dev *d = calloc(1, sizeof(*d));

	d->dev.ops = &td_ops;
	d->dev.size = size;
	d->dev.prewritten = base ? base->dev.prewritten : false;
	d->dev.volatile_cache = base ? base->dev.volatile_cache : false;
	d->pages = calloc(size / TD_PAGE, sizeof(*d->pages));
	d->base = base;
	d->rng = seed;
	return d;
}

static inline void td_free(struct test_dev *d)
{
	u64 i;

	for (i = 0; i < d->dev.size / TD_PAGE; i++)
		free(d->pages[i]);
	for (i = 0; i < d->nr_writes; i++)
		free(d->writes[i].data);
	free(d->pages);
	free(d->queue);
	free(d->events);
	free(d->writes);
	free(d);
}

/* Write what a power cut leaves of a write that was not safe: all, nothing, or some sectors. */
static inline void td_tear(struct test_dev *d, const struct td_write *w)
{
	u32 how = (u32)(td_random(d) % 4), at;

	if (how == 0)
		return;
	for (at = 0; at < w->len; at += TD_SECTOR)
		if (how == 1 || (how == 2 && at < w->len / 2) || (how == 3 && td_random(d) % 2))
			td_write_raw(d, w->data + at, TD_SECTOR, w->off + at);
}

/* ---- what a power cut leaves --------------------------------------------- */

enum td_state { TD_NOT, TD_STARTED, TD_CACHED, TD_SAFE };

/**
 * struct td_player - a journal, played up to some event
 * @base: what no power cut takes away any more
 * @order: writes that completed and are not in @base, in the order of completion;
 *	the first of them is not safe, so that none behind it can be in @base
 */
struct td_player {
	const struct test_dev *src;
	struct test_dev *base;
	u32 at;
	u8 *state;		/* enum td_state, of each write */
	u32 *order, nr;
	u32 *loose, nr_loose;	/* writes that may be missing, in part or as a whole */
};

static inline void td_player_init(struct td_player *p, const struct test_dev *src,
				  struct test_dev *start)
{
	memset(p, 0, sizeof(*p));
	p->src = src;
	p->base = td_new(src->dev.size, start, 0);
	p->base->dev.prewritten = src->dev.prewritten;
	p->base->dev.volatile_cache = src->dev.volatile_cache;
	p->state = calloc(src->nr_writes + 1, 1);
	p->order = calloc(src->nr_writes + 1, sizeof(u32));
	p->loose = calloc(src->nr_writes + 1, sizeof(u32));
}

static inline void td_player_free(struct td_player *p)
{
	td_free(p->base);
	free(p->state);
	free(p->order);
	free(p->loose);
}

static inline void td_player_settle(struct td_player *p)
{
	u32 n = 0, i;

	while (n < p->nr && p->state[p->order[n]] == TD_SAFE) {
		const struct td_write *w = &p->src->writes[p->order[n++]];

		td_write_raw(p->base, w->data, w->len, w->off);
	}
	p->nr -= n;
	memmove(p->order, p->order + n, p->nr * sizeof(u32));
	p->nr_loose = 0;
	for (i = 0; i < p->nr; i++)
		if (p->state[p->order[i]] == TD_CACHED)
			p->loose[p->nr_loose++] = p->order[i];
	for (i = 0; i < p->src->nr_writes; i++)
		if (p->state[i] == TD_STARTED)
			p->loose[p->nr_loose++] = i;
}

/* Play the events before @upto. */
static inline void td_play(struct td_player *p, u32 upto)
{
	u32 j;

	for (; p->at < upto; p->at++) {
		const struct td_event *e = &p->src->events[p->at];

		if (e->kind == TD_SUBMIT) {
			p->state[e->write] = TD_STARTED;
		} else if (e->kind == TD_COMPLETE) {
			bool safe = !p->src->dev.volatile_cache || p->src->writes[e->write].dsync;

			p->state[e->write] = safe ? TD_SAFE : TD_CACHED;
			p->order[p->nr++] = e->write;
		} else if (e->kind == TD_SYNCED) {
			for (j = 0; j < p->nr; j++)
				p->state[p->order[j]] = TD_SAFE;
		}
	}
	td_player_settle(p);
}

/* Is a loose write there? By @mask (whole or not at all), or with @mask ~0 by chance. */
static inline void td_loose_write(struct test_dev *d, const struct td_player *p, u32 write,
				  u32 mask)
{
	const struct td_write *w = &p->src->writes[write];
	u32 i = 0;

	if (mask == ~0u) {
		td_tear(d, w);
		return;
	}
	while (p->loose[i] != write)
		i++;
	if (mask >> i & 1)
		td_write_raw(d, w->data, w->len, w->off);
}

/**
 * td_image() - a disk as a power cut after the played events may leave it
 * @mask: which loose writes are there; ~0: any part of any of them, and those in
 *	flight before, between or behind those that completed
 */
static inline struct test_dev *td_image(const struct td_player *p, u32 mask, u64 seed)
{
	struct test_dev *d = td_new(p->src->dev.size, p->base, seed);
	u32 i, j;

	/* In flight: each at a place of its own among the completed ones. */
	for (i = 0; i <= p->nr; i++) {
		for (j = 0; j < p->nr_loose; j++) {
			u64 r = seed ^ p->loose[j];

			if (p->state[p->loose[j]] == TD_STARTED &&
			    (mask == ~0u ? flint_splitmix64(&r) % (p->nr + 1) : p->nr) == i)
				td_loose_write(d, p, p->loose[j], mask);
		}
		if (i == p->nr)
			break;
		if (p->state[p->order[i]] == TD_SAFE) {
			const struct td_write *w = &p->src->writes[p->order[i]];

			td_write_raw(d, w->data, w->len, w->off);
		} else {
			td_loose_write(d, p, p->order[i], mask);
		}
	}
	return d;
}

#endif /* CHUNK_DEV_H */
