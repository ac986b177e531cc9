// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The block allocator: best fit by classes of groups over a bitmap, and the grace
 * period that keeps a freed block from being overwritten under a reader.
 *
 * A group's bound is raised when blocks are freed (by the run that they become a
 * part of) and lowered when a search finds that it was too high. A search that
 * fails in a group therefore pays for itself: the group leaves the class.
 */
#include <stdlib.h>
#include "alloc.h"

#define WORD_BITS	64u
#define BETTER_FIT	64u	/* runs looked at after the first that is long enough */

int flint_alloc_init(struct flint_alloc *a, u32 nr_blocks)
{
	u32 groups = (u32)(((u64)nr_blocks + FLINT_ALLOC_GROUP - 1) / FLINT_ALLOC_GROUP);

	memset(a, 0, sizeof(*a));
	a->nr_blocks = nr_blocks;
	/* Whole groups, so that a search need not look where the map ends. */
	a->map = calloc(groups ? groups : 1, FLINT_ALLOC_GROUP / 8);
	a->groups = calloc(groups ? groups : 1, sizeof(*a->groups));
	if (!a->map || !a->groups) {
		flint_alloc_free(a);
		return -ENOMEM;
	}
	return 0;
}

void flint_alloc_free(struct flint_alloc *a)
{
	free(a->map);
	free(a->stale);
	free(a->groups);
	free(a->now.runs);
	free(a->next.runs);
	memset(a, 0, sizeof(*a));
}

/* ---- runs of the map ------------------------------------------------------ */

static bool bit_get(const struct flint_alloc *a, u32 b)
{
	return a->map[b / WORD_BITS] >> (b % WORD_BITS) & 1;
}

/* Length of the free run at @b that ends before @end. */
static u32 run_length(const struct flint_alloc *a, u32 b, u32 end)
{
	u32 from = b;

	while (b < end) {
		u64 word = a->map[b / WORD_BITS] >> (b % WORD_BITS);
		u32 left = WORD_BITS - b % WORD_BITS;
		u32 zeros = word ? (u32)__builtin_ctzll(word) : left;

		b += zeros < left ? zeros : left;
		if (zeros < left)
			break;
	}
	return (b < end ? b : end) - from;
}

/* Free blocks directly before @b, down to @start. */
static u32 run_before(const struct flint_alloc *a, u32 b, u32 start)
{
	u32 from = b;

	while (b > start) {
		u32 n = (b - 1) % WORD_BITS + 1;
		u64 word = a->map[(b - 1) / WORD_BITS] << (WORD_BITS - n);
		u32 zeros = word ? (u32)__builtin_clzll(word) : n;

		b -= zeros < n ? zeros : n;
		if (zeros < n)
			break;
	}
	return from - (b > start ? b : start);
}

/* First free block from @b on, before @end; @end if there is none. */
static u32 next_free(const struct flint_alloc *a, u32 b, u32 end)
{
	while (b < end) {
		u64 word = ~a->map[b / WORD_BITS] >> (b % WORD_BITS);

		if (word) {
			b += (u32)__builtin_ctzll(word);
			break;
		}
		b += WORD_BITS - b % WORD_BITS;
	}
	return b < end ? b : end;
}

/* Return: bits that are different now. */
static u32 bits_change(u64 *map, u32 start, u32 nr, bool set)
{
	u32 changed = 0;

	while (nr) {
		u32 bit = start % WORD_BITS;
		u32 n = WORD_BITS - bit < nr ? WORD_BITS - bit : nr;
		u64 mask = (n == WORD_BITS ? ~0ull : (1ull << n) - 1) << bit;
		u64 *word = &map[start / WORD_BITS], old = *word;

		*word = set ? old | mask : old & ~mask;
		changed += (u32)__builtin_popcountll(old ^ *word);
		start += n;
		nr -= n;
	}
	return changed;
}

/* ---- groups --------------------------------------------------------------- */

static u32 class_of(u32 run)
{
	return 31 - (u32)__builtin_clz(run);
}

/* What of a group is offered. */
static u32 group_end(const struct flint_alloc *a, u32 g)
{
	u64 end = ((u64)g + 1) * FLINT_ALLOC_GROUP;

	return end < a->zeroed ? (u32)end : a->zeroed;
}

static void group_max(struct flint_alloc *a, u32 g, u32 max)
{
	struct flint_alloc_group *p = &a->groups[g];

	if (max > p->free)
		max = p->free;
	if (p->max && max && class_of(p->max) == class_of(max)) {
		p->max = (u16)max;
		return;
	}
	if (p->max) {
		if (p->prev)
			a->groups[p->prev - 1].next = p->next;
		else
			a->classes[class_of(p->max)] = p->next;
		if (p->next)
			a->groups[p->next - 1].prev = p->prev;
	}
	p->max = (u16)max;
	p->prev = 0;
	p->next = 0;
	if (!max)
		return;
	p->next = a->classes[class_of(max)];
	if (p->next)
		a->groups[p->next - 1].prev = g + 1;
	a->classes[class_of(max)] = g + 1;
}

/**
 * group_search() - the smallest run of at least @want blocks in a group
 * @longest: result: the longest run, if there was none
 */
static bool group_search(const struct flint_alloc *a, u32 g, u32 want, struct flint_run *run,
			 struct flint_run *longest)
{
	u32 b = g * FLINT_ALLOC_GROUP, end = group_end(a, g), looks = BETTER_FIT;

	run->nr = 0;
	longest->nr = 0;
	while (looks && (b = next_free(a, b, end)) < end) {
		u32 n = run_length(a, b, end);

		if (n >= want && (!run->nr || n < run->nr)) {
			run->start = b;
			run->nr = n;
			if (n == want)
				break;
		}
		if (n > longest->nr) {
			longest->start = b;
			longest->nr = n;
		}
		looks -= run->nr != 0;
		b += n + 1;
	}
	return run->nr != 0;
}

/* Take or free blocks, and keep count and bound of their groups. */
static void blocks_change(struct flint_alloc *a, u32 start, u32 nr, bool set)
{
	bits_change(a->map, start, nr, set);
	if (set && a->stale)
		a->nr_stale -= bits_change(a->stale, start, nr, false);
	while (nr && start < a->zeroed) {
		u32 g = start / FLINT_ALLOC_GROUP, end = group_end(a, g);
		u32 n = end - start < nr ? end - start : nr;
		struct flint_alloc_group *p = &a->groups[g];

		if (set) {
			p->free -= (u16)n;
			group_max(a, g, p->max);
		} else {
			u32 run = n + run_before(a, start, g * FLINT_ALLOC_GROUP) +
				  run_length(a, start + n, end);

			p->free += (u16)n;
			group_max(a, g, run > p->max ? run : p->max);
		}
		start += n;
		nr -= n;
	}
}

int flint_alloc_mark(struct flint_alloc *a, u32 start, u32 nr)
{
	if (start > a->nr_blocks || nr > a->nr_blocks - start ||
	    run_length(a, start, start + nr) != nr)
		return -EUCLEAN;
	blocks_change(a, start, nr, true);
	a->used += nr;
	return 0;
}

/* Count a group's free blocks and find its longest run. */
static void group_settle(struct flint_alloc *a, u32 g)
{
	u32 b = g * FLINT_ALLOC_GROUP, end = group_end(a, g), free = 0, max = 0;

	while ((b = next_free(a, b, end)) < end) {
		u32 n = run_length(a, b, end);

		free += n;
		if (n > max)
			max = n;
		b += n + 1;
	}
	a->groups[g].free = (u16)free;
	group_max(a, g, max);
}

void flint_alloc_settle(struct flint_alloc *a)
{
	u32 g;

	for (g = 0; (u64)g * FLINT_ALLOC_GROUP < a->zeroed; g++)
		group_settle(a, g);
}

void flint_alloc_zeroed(struct flint_alloc *a, u32 blocks)
{
	u32 g = a->zeroed / FLINT_ALLOC_GROUP;

	if (blocks > a->nr_blocks)
		blocks = a->nr_blocks;
	if (blocks <= a->zeroed)
		return;
	a->zeroed = blocks;
	for (; (u64)g * FLINT_ALLOC_GROUP < blocks; g++)
		group_settle(a, g);
}

/* ---- taking and giving back ----------------------------------------------- */

/* The best run for @want in the groups of a class. Return: false when none has one. */
static bool class_search(struct flint_alloc *a, u32 class, u32 want, struct flint_run *run)
{
	struct flint_run longest;
	u32 g;

	while ((g = a->classes[class])) {
		if (group_search(a, g - 1, want, run, &longest)) {
			run->nr = want;
			return true;
		}
		group_max(a, g - 1, longest.nr);
		if (a->classes[class] != g)
			continue;
		*run = longest;		/* it stays: this is as good as the class is */
		return false;
	}
	run->nr = 0;
	return false;
}

bool flint_alloc_get(struct flint_alloc *a, u32 want, u32 hint, struct flint_run *run)
{
	u32 first = want > 1 ? class_of(want - 1) + 1 : 0, class;

	run->nr = 0;
	if (!flint_alloc_ready(a))
		return false;
	if (hint < a->zeroed && !bit_get(a, hint)) {
		run->start = hint;
		run->nr = run_length(a, hint, a->zeroed - hint < want ? a->zeroed : hint + want);
		goto take;
	}
	for (class = first; class < FLINT_ALLOC_CLASSES; class++)
		if (class_search(a, class, want, run))
			goto take;
	/* None is that long: the longest, or nearly. */
	for (class = first < FLINT_ALLOC_CLASSES ? first : FLINT_ALLOC_CLASSES; class--;) {
		class_search(a, class, want, run);
		if (run->nr)
			goto take;
	}
	return false;
take:
	blocks_change(a, run->start, run->nr, true);
	a->used += run->nr;
	return true;
}

void flint_alloc_put(struct flint_alloc *a, u32 start, u32 nr)
{
	blocks_change(a, start, nr, false);
	if (a->stale)
		a->nr_stale += bits_change(a->stale, start, nr, true);
	a->used -= nr;
}

/* ---- space that the device may have back ---------------------------------- */

int flint_alloc_track(struct flint_alloc *a)
{
	u32 b = 0, n;

	a->stale = calloc((a->nr_blocks + WORD_BITS) / WORD_BITS, sizeof(u64));
	if (!a->stale)
		return -ENOMEM;
	for (; (b = next_free(a, b, a->zeroed)) < a->zeroed; b += n) {
		n = run_length(a, b, a->zeroed);
		a->nr_stale += bits_change(a->stale, b, n, true);
	}
	return 0;
}

/* Stale blocks from @b on, at most @most. */
static u32 stale_length(const struct flint_alloc *a, u32 b, u32 most)
{
	u32 n = 0;

	while (n < most && b + n < a->zeroed &&
	       a->stale[(b + n) / WORD_BITS] >> ((b + n) % WORD_BITS) & 1)
		n++;
	return n;
}

bool flint_alloc_take_stale(struct flint_alloc *a, u32 least, u32 most, struct flint_run *run)
{
	u32 b = a->stale_at, n;

	for (; b < a->zeroed; b += n ? n : 1) {
		u64 word = a->stale[b / WORD_BITS] >> (b % WORD_BITS);

		if (!word) {
			n = WORD_BITS - b % WORD_BITS;
			continue;
		}
		b += (u32)__builtin_ctzll(word);
		n = stale_length(a, b, most);
		if (n < least)
			continue;
		run->start = b;
		run->nr = n;
		a->stale_at = b + n;
		blocks_change(a, b, n, true);
		a->used += n;
		a->later += n;
		return true;
	}
	a->stale_at = 0;
	return false;
}

void flint_alloc_give(struct flint_alloc *a, const struct flint_run *run)
{
	blocks_change(a, run->start, run->nr, false);
	a->used -= run->nr;
	a->later -= run->nr;
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
