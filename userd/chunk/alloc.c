// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The block allocator: next fit over a bitmap, with a count of free blocks per
 * group so that full groups cost one comparison, and the grace period that
 * keeps a freed block from being overwritten under a reader.
 */
#include <stdlib.h>
#include "alloc.h"

#define WORD_BITS	64u
#define SEARCH_GROUPS	64u	/* looked through for a run that is long enough */

int flint_alloc_init(struct flint_alloc *a, u32 nr_blocks)
{
	u32 words = (nr_blocks + WORD_BITS - 1) / WORD_BITS;
	u32 groups = (nr_blocks + FLINT_ALLOC_GROUP - 1) / FLINT_ALLOC_GROUP;

	memset(a, 0, sizeof(*a));
	a->nr_blocks = nr_blocks;
	a->map = calloc(words ? words : 1, sizeof(*a->map));
	a->group_free = calloc(groups ? groups : 1, sizeof(*a->group_free));
	if (!a->map || !a->group_free) {
		flint_alloc_free(a);
		return -ENOMEM;
	}
	return 0;
}

void flint_alloc_free(struct flint_alloc *a)
{
	free(a->map);
	free(a->group_free);
	free(a->now.runs);
	free(a->next.runs);
	memset(a, 0, sizeof(*a));
}

static bool bit_get(const struct flint_alloc *a, u32 b)
{
	return a->map[b / WORD_BITS] >> (b % WORD_BITS) & 1;
}

/* Set or clear a run of bits and keep the groups' counts; all of them change. */
static void bits_change(struct flint_alloc *a, u32 start, u32 nr, bool set)
{
	while (nr) {
		u32 bit = start % WORD_BITS;
		u32 n = WORD_BITS - bit < nr ? WORD_BITS - bit : nr;
		u64 mask = (n == WORD_BITS ? ~0ull : (1ull << n) - 1) << bit;

		if (set)
			a->map[start / WORD_BITS] |= mask;
		else
			a->map[start / WORD_BITS] &= ~mask;
		if (start < a->zeroed) {
			u32 below = a->zeroed - start < n ? a->zeroed - start : n;

			a->group_free[start / FLINT_ALLOC_GROUP] += set ? -(int)below : (int)below;
		}
		start += n;
		nr -= n;
	}
}

int flint_alloc_mark(struct flint_alloc *a, u32 start, u32 nr)
{
	u32 b;

	if (start > a->nr_blocks || nr > a->nr_blocks - start)
		return -EUCLEAN;
	for (b = start; b < start + nr; b++)
		if (bit_get(a, b))
			return -EUCLEAN;
	bits_change(a, start, nr, true);
	a->used += nr;
	return 0;
}

void flint_alloc_zeroed(struct flint_alloc *a, u32 blocks)
{
	u32 b;

	if (blocks > a->nr_blocks)
		blocks = a->nr_blocks;
	for (b = a->zeroed; b < blocks; b++)
		if (!bit_get(a, b))
			a->group_free[b / FLINT_ALLOC_GROUP]++;
	if (blocks > a->zeroed)
		a->zeroed = blocks;
}

/* Length of the free run at @b, at most @max. */
static u32 run_length(const struct flint_alloc *a, u32 b, u32 max)
{
	u32 n = 0;

	while (n < max && b + n < a->zeroed) {
		u32 bit = (b + n) % WORD_BITS;
		u64 word = a->map[(b + n) / WORD_BITS] >> bit;
		u32 left = WORD_BITS - bit;
		u32 zeros = word ? (u32)__builtin_ctzll(word) : left;

		if (zeros > left)
			zeros = left;
		n += zeros;
		if (zeros < left)
			break;
	}
	if (n > max)
		n = max;
	return b + n > a->zeroed ? a->zeroed - b : n;
}

/* First free block at or after @b, before @end; @end if there is none. */
static u32 next_free(const struct flint_alloc *a, u32 b, u32 end)
{
	while (b < end) {
		u64 word;

		if (b % FLINT_ALLOC_GROUP == 0 && !a->group_free[b / FLINT_ALLOC_GROUP]) {
			b += FLINT_ALLOC_GROUP;
			continue;
		}
		word = ~a->map[b / WORD_BITS] >> (b % WORD_BITS);
		if (word) {
			b += __builtin_ctzll(word);
			break;
		}
		b += WORD_BITS - b % WORD_BITS;
	}
	return b < end ? b : end;
}

/* Look for a run in [from, end); remembers the longest. Return: long enough. */
static bool search(const struct flint_alloc *a, u32 from, u32 end, u32 want,
		   struct flint_run *best)
{
	u32 stop = SEARCH_GROUPS * FLINT_ALLOC_GROUP, b = from;

	while ((b = next_free(a, b, end)) < end) {
		u32 n = run_length(a, b, want);

		if (n > best->nr) {
			best->start = b;
			best->nr = n;
			if (n == want)
				return true;
		}
		b += n + 1;
		if (b - from > stop && best->nr)
			return true;
	}
	return false;
}

bool flint_alloc_get(struct flint_alloc *a, u32 want, u32 hint, struct flint_run *run)
{
	run->nr = 0;
	if (!flint_alloc_ready(a))
		return false;
	if (hint < a->zeroed && !bit_get(a, hint)) {
		run->start = hint;
		run->nr = run_length(a, hint, want);
	} else if (!search(a, a->cursor, a->zeroed, want, run)) {
		search(a, 0, a->cursor < a->zeroed ? a->cursor : a->zeroed, want, run);
	}
	if (!run->nr)
		return false;
	bits_change(a, run->start, run->nr, true);
	a->used += run->nr;
	a->cursor = run->start + run->nr;
	return true;
}

void flint_alloc_put(struct flint_alloc *a, u32 start, u32 nr)
{
	bits_change(a, start, nr, false);
	a->used -= nr;
}

static void list_release(struct flint_alloc *a, struct flint_run_list *l)
{
	u32 i;

	for (i = 0; i < l->nr; i++) {
		a->later -= l->runs[i].nr;
		flint_alloc_put(a, l->runs[i].start, l->runs[i].nr);
	}
	l->nr = 0;
}

/* Start a grace period if there is something to wait for, end it if it is over. */
static void grace_step(struct flint_alloc *a)
{
	struct flint_run_list t;

	if (a->grace) {
		if (a->readers[a->phase ^ 1])
			return;
		a->grace = false;
		list_release(a, &a->now);
	}
	if (!a->next.nr)
		return;
	t = a->now;
	a->now = a->next;
	a->next = t;
	if (!a->readers[a->phase]) {
		list_release(a, &a->now);
		return;
	}
	a->phase ^= 1;
	a->grace = true;
}

void flint_alloc_put_later(struct flint_alloc *a, u32 start, u32 nr)
{
	struct flint_run_list *l = &a->next;

	if (!a->readers[0] && !a->readers[1]) {
		flint_alloc_put(a, start, nr);
		return;
	}
	if (l->nr && l->runs[l->nr - 1].start + l->runs[l->nr - 1].nr == start) {
		l->runs[l->nr - 1].nr += nr;
	} else {
		if (l->nr == l->cap) {
			u32 cap = l->cap ? l->cap * 2 : 64;
			struct flint_run *runs = realloc(l->runs, cap * sizeof(*runs));

			if (!runs)
				abort();	/* a few bytes: the machine is done for */
			l->runs = runs;
			l->cap = cap;
		}
		l->runs[l->nr].start = start;
		l->runs[l->nr++].nr = nr;
	}
	a->later += nr;
	grace_step(a);
}

void flint_alloc_read_end(struct flint_alloc *a, u32 phase)
{
	if (!--a->readers[phase])
		grace_step(a);
}
