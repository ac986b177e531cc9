/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A look through what a target says of itself, on the device: superblocks, log, checkpoints
 * (check.c). Of the store's thread, like all else of it.
 */
#ifndef FLINT_CHUNK_CHECK_H
#define FLINT_CHUNK_CHECK_H

#include "store.h"

/**
 * struct flint_check - one look, in steps
 * @buf: FLINT_STORE_MAX_IO bytes, aligned; needed while a step is under way only
 * @done: a step is over; perhaps called from inside flint_check_step()
 * @found: something at @off of the device was not what had been written
 * @mended: what was found last is not needed any more, or was written again
 * @moved: bytes of the last step
 * @bad, @fixed: how many of each kind
 */
struct flint_check {
	u8 *buf;
	void (*done)(struct flint_check *k);
	void (*found)(struct flint_check *k, enum flint_own what);
	void (*mended)(struct flint_check *k, enum flint_own what);
	u64 off;
	u32 moved;
	u32 bad[FLINT_OWN_NR], fixed[FLINT_OWN_NR];

	/* check.c's */
	struct flint_store *st;
	u8 phase, copy, area;
	enum flint_own want;		/* waits for checkpoints because of it, */
	u64 until;			/* up to this one */
	u64 pos, from, end;		/* log: next group; where what was read begins; up to here */
	u64 newest, seq;		/* checkpoint: the newest; the one that is looked at */
	u64 seg, nr_segs;
	u32 len, looks, pending;
	int err;
	struct flint_dio io[2];
};

/* From the start. The caller's part of @k is kept; @st is online and stays that long. */
void flint_check_begin(struct flint_check *k, struct flint_store *st);
/* The next step, unless flint_check_over(). */
void flint_check_step(struct flint_check *k);
/* It waits for a checkpoint: the next step need not come before some milliseconds. */
bool flint_check_waits(const struct flint_check *k);
/* Everything was looked at, or the store has gone offline or is closing. */
bool flint_check_over(const struct flint_check *k);

#endif /* FLINT_CHUNK_CHECK_H */
