/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The write-ahead log: a ring of 4 KiB-aligned groups in a pre-written area.
 *
 * Records are gathered in one buffer while the group before is being written:
 * one write in flight, everything that arrived meanwhile goes with the next
 * (group commit without a timer). A group that is on stable storage is applied,
 * record by record, and then the operations that wait for it go on.
 *
 * Because only one group is in flight, a torn group can only be the last one:
 * replay ends at the first group that does not check. A valid group with a
 * higher number anywhere in the ring then proves that the log was damaged, not
 * torn, and the store is refused.
 *
 * The ring never runs over the tail, from which the newest checkpoint needs the
 * log; records wait instead.
 */
#ifndef FLINT_CHUNK_WAL_H
#define FLINT_CHUNK_WAL_H

#include "dev.h"

#define FLINT_WAL_BUF	(512u << 10)	/* largest group */

struct flint_store;

struct flint_wal_waiter {
	void (*done)(struct flint_wal_waiter *w, int err);
	struct flint_wal_waiter *next;
};

struct flint_wal {
	struct flint_store *st;
	u64 off, len;			/* the area */
	u64 head;			/* position of the group being filled */
	u64 seq;			/* and its number */
	u64 tail;			/* needed from here */
	u8 *buf[2];
	u32 fill;			/* which buffer is filled */
	u32 used, nr_recs;		/* in it */
	bool busy;			/* a group is in flight */
	bool failed;
	u64 flight_pos, flight_seq;	/* its position and number */
	u32 flight_used, flight_recs;
	int pending;
	int err;
	struct flint_wal_waiter *waiters, **waiters_tail;
	struct flint_wal_waiter *flight;
	struct flint_dio io[2];
};

int flint_wal_init(struct flint_wal *w, struct flint_store *st, u64 off, u64 len, u8 *mem);

/**
 * flint_wal_reserve() - room for @len bytes of records in one group
 * Return: where to write them, or NULL: block until something is freed.
 */
void *flint_wal_reserve(struct flint_wal *w, u32 len);
/* The reserved bytes are filled in with @nr records; @waiter may be NULL. */
void flint_wal_commit(struct flint_wal *w, u32 len, u32 nr, struct flint_wal_waiter *waiter);
/* Start writing what was gathered, if nothing is in flight. */
void flint_wal_kick(struct flint_wal *w);

/* From where a checkpoint that begins now needs the log. */
void flint_wal_mark(const struct flint_wal *w, u64 *pos, u64 *seq);
void flint_wal_recycle(struct flint_wal *w, u64 pos);
/* Bytes of the ring in use. */
static inline u64 flint_wal_used(const struct flint_wal *w)
{
	return w->head - w->tail;
}

/**
 * flint_wal_replay() - apply the log from a checkpoint on
 * @pos, @seq: from the checkpoint
 *
 * Return: 0, or -errno with one sentence in @err (-EUCLEAN: damaged).
 */
int flint_wal_replay(struct flint_wal *w, u64 pos, u64 seq, char *err, size_t errlen);

#endif /* FLINT_CHUNK_WAL_H */
