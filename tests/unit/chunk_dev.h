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
	u64 nr_write_bytes;
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
	if (io->op == FLINT_DIO_WRITE && d->journal) {
		struct td_write *w;

		if (d->nr_writes == d->cap_writes) {
			d->cap_writes = d->cap_writes ? d->cap_writes * 2 : 1024;
			d->writes = realloc(d->writes, d->cap_writes * sizeof(*d->writes));
		}
		w = &d->writes[d->nr_writes];
		*w = (struct td_write){ io->off, io->len, malloc(io->len),
					io->flags & FLINT_DIO_DSYNC };
		memcpy(w->data, io->buf, io->len);
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

/**
 * td_crash() - the disk as of event @upto of @src's journal
 * @start: the disk when the journal began
 * @seed: decides what of the unsafe writes survived
 */
static inline struct test_dev *td_crash(const struct test_dev *src, struct test_dev *start,
					u32 upto, u64 seed)
{
	struct test_dev *d = td_new(src->dev.size, start, seed);
	enum { NOT, STARTED, CACHED, SAFE } *state = calloc(src->nr_writes + 1, sizeof(*state));
	u32 *order = calloc(src->nr_writes + 1, sizeof(*order));
	u32 nr = 0, i, j;

	d->dev.prewritten = src->dev.prewritten;
	d->dev.volatile_cache = src->dev.volatile_cache;
	for (i = 0; i < upto; i++) {
		const struct td_event *e = &src->events[i];

		if (e->kind == TD_SUBMIT) {
			state[e->write] = STARTED;
		} else if (e->kind == TD_COMPLETE) {
			bool safe = !src->dev.volatile_cache || src->writes[e->write].dsync;

			state[e->write] = safe ? SAFE : CACHED;
			order[nr++] = e->write;
		} else if (e->kind == TD_SYNCED) {
			for (j = 0; j < nr; j++)
				state[order[j]] = SAFE;
		}
	}
	for (i = 0; i < nr; i++) {
		const struct td_write *w = &src->writes[order[i]];

		if (state[order[i]] == SAFE)
			td_write_raw(d, w->data, w->len, w->off);
		else
			td_tear(d, w);
	}
	for (i = 0; i < src->nr_writes; i++)
		if (state[i] == STARTED)
			td_tear(d, &src->writes[i]);
	free(state);
	free(order);
	return d;
}

#endif /* CHUNK_DEV_H */
