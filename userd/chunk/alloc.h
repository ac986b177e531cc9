/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which allocation blocks are free: a bitmap in memory, derived from the index
 * when a store is opened and never stored.
 *
 * Blocks are grouped. Of each group is known how many blocks are free and a bound
 * for its longest free run; groups hang in lists by the power of two of that
 * bound. So a run of any length is found by looking into a group or two, however
 * large and full the target is: the smallest class of groups that can have it,
 * there the smallest run that is long enough.
 *
 * Invariants
 *  - Blocks at or above the zeroed mark have never been written; they are free
 *    but not offered until flint_alloc_zeroed() moves the mark.
 *  - A freed block is offered again only after a grace period: every reader
 *    that began before the block was freed has ended. Readers bracket
 *    themselves by flint_alloc_read_begin() and flint_alloc_read_end().
 *  - A block that is marked stale is free and below the zeroed mark.
 */
#ifndef FLINT_CHUNK_ALLOC_H
#define FLINT_CHUNK_ALLOC_H

#include "../../uapi/flintfs/types.h"

#define FLINT_ALLOC_GROUP	4096u	/* blocks; a run that is looked for lies in one group */
#define FLINT_ALLOC_CLASSES	13u	/* log2 of a group's longest run: 0..12 */

/* Consecutive blocks. */
struct flint_run {
	u32 start;
	u32 nr;
};

struct flint_run_list {
	struct flint_run *runs;
	u32 nr, cap;
};

/**
 * struct flint_alloc_group
 * @next, @prev: group + 1 in the list of its class; 0: none
 * @free: free blocks below the mark
 * @max: no free run in the group is longer; 0: it is in no list
 */
struct flint_alloc_group {
	u32 next, prev;
	u16 free;
	u16 max;
};

struct flint_alloc {
	u64 *map;			/* 1: taken */
	u64 *stale;			/* 1: free, and the device may hold space for it; or NULL */
	u32 nr_stale;
	u32 stale_at;			/* where the next look for stale ones begins */
	struct flint_alloc_group *groups;
	u32 classes[FLINT_ALLOC_CLASSES];	/* first group + 1 of each list */
	u32 nr_blocks;
	u32 zeroed;			/* the mark */
	u32 used;			/* taken, with those in a grace period */
	u32 later;			/* of them: waiting for readers */
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
/* All blocks were marked: look at every group once. */
void flint_alloc_settle(struct flint_alloc *a);

/**
 * flint_alloc_get() - take consecutive blocks
 * @want: how many, 1 or more
 * @hint: taken from here if this block is free; ~0: anywhere
 * @run: result: @want blocks, or fewer: from @hint on, or the longest run there is
 *	within a factor of two
 *
 * Return: false when no block is offered.
 */
bool flint_alloc_get(struct flint_alloc *a, u32 want, u32 hint, struct flint_run *run);
/* Give back what no one can have read. */
void flint_alloc_put(struct flint_alloc *a, u32 start, u32 nr);
/* Give back what readers may be reading. */
void flint_alloc_put_later(struct flint_alloc *a, u32 start, u32 nr);

/* From now on, know which free blocks are stale: all, to begin with. Return: 0 or -ENOMEM. */
int flint_alloc_track(struct flint_alloc *a);
/**
 * flint_alloc_take_stale() - take consecutive stale blocks, to discard them
 * @least, @most: how many
 *
 * They are taken as readers' blocks are, which will soon be free.
 *
 * Return: false when no run is that long; the look may have ended at the map's end.
 */
bool flint_alloc_take_stale(struct flint_alloc *a, u32 least, u32 most, struct flint_run *run);
/* Give back what flint_alloc_take_stale() took: free, and not stale any more. */
void flint_alloc_give(struct flint_alloc *a, const struct flint_run *run);

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
