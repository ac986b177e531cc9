/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which allocation blocks are free: a bitmap in memory, derived from the index
 * when a store is opened and never stored.
 *
 * Invariants
 *  - Blocks at or above the zeroed mark have never been written; they are free
 *    but not offered until flint_alloc_zeroed() moves the mark.
 *  - A freed block is offered again only after a grace period: every reader
 *    that began before the block was freed has ended. Readers bracket
 *    themselves by flint_alloc_read_begin() and flint_alloc_read_end().
 */
#ifndef FLINT_CHUNK_ALLOC_H
#define FLINT_CHUNK_ALLOC_H

#include "../../uapi/flintfs/types.h"

#define FLINT_ALLOC_GROUP	4096u	/* blocks that share a free count */

/* Consecutive blocks. */
struct flint_run {
	u32 start;
	u32 nr;
};

struct flint_run_list {
	struct flint_run *runs;
	u32 nr, cap;
};

struct flint_alloc {
	u64 *map;			/* 1: taken */
	u16 *group_free;		/* free blocks below the mark */
	u32 nr_blocks;
	u32 zeroed;			/* the mark */
	u32 used;			/* taken, with those in a grace period */
	u32 later;			/* of them: waiting for readers */
	u32 cursor;
	u32 readers[2];			/* by phase */
	u32 phase;
	bool grace;			/* readers of the other phase are waited for */
	struct flint_run_list now, next;	/* freed before the flip, since the flip */
};

int flint_alloc_init(struct flint_alloc *a, u32 nr_blocks);
void flint_alloc_free(struct flint_alloc *a);

/* Recovery. Return: 0, or -EUCLEAN when a block is taken or out of range. */
int flint_alloc_mark(struct flint_alloc *a, u32 start, u32 nr);
/* All blocks below @blocks have been written. */
void flint_alloc_zeroed(struct flint_alloc *a, u32 blocks);

/**
 * flint_alloc_get() - take consecutive blocks
 * @want: how many, 1 or more
 * @hint: where to look first, or ~0
 * @run: result: @want blocks, or fewer if there is no such run near
 *
 * Return: false when no block is offered.
 */
bool flint_alloc_get(struct flint_alloc *a, u32 want, u32 hint, struct flint_run *run);
/* Give back what no one can have read. */
void flint_alloc_put(struct flint_alloc *a, u32 start, u32 nr);
/* Give back what readers may be reading. */
void flint_alloc_put_later(struct flint_alloc *a, u32 start, u32 nr);

static inline u32 flint_alloc_read_begin(struct flint_alloc *a)
{
	a->readers[a->phase]++;
	return a->phase;
}

void flint_alloc_read_end(struct flint_alloc *a, u32 phase);

/* Blocks offered now. */
static inline u32 flint_alloc_ready(const struct flint_alloc *a)
{
	u32 above = a->nr_blocks - a->zeroed;

	return a->nr_blocks - a->used - above;
}

/* Blocks that are or will soon be free. */
static inline u32 flint_alloc_free_blocks(const struct flint_alloc *a)
{
	return a->nr_blocks - a->used + a->later;
}

#endif /* FLINT_CHUNK_ALLOC_H */
