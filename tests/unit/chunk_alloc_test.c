// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The block allocator against a plain array: what it hands out was free and below
 * the mark, what is counted is true, a run is found whenever a group has one, and
 * no block is offered while a reader may read it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../uapi/flintfs/placement.h"
#include "../../userd/chunk/alloc.h"

#define BLOCKS	(3 * FLINT_ALLOC_GROUP + 1234)

struct world {
	struct flint_alloc a;
	u8 taken[BLOCKS];
	u64 rng;
};

static u32 rnd(struct world *w, u32 below)
{
	return (u32)(flint_splitmix64(&w->rng) % below);
}

/* The longest free run within one group, below the mark. */
static u32 longest(const struct world *w, u32 g)
{
	u32 b = g * FLINT_ALLOC_GROUP, end = b + FLINT_ALLOC_GROUP, n = 0, max = 0;

	for (; b < end && b < w->a.zeroed; b++) {
		n = w->taken[b] ? 0 : n + 1;
		if (n > max)
			max = n;
	}
	return max;
}

static void check(struct world *w)
{
	u32 g, b, groups = (BLOCKS + FLINT_ALLOC_GROUP - 1) / FLINT_ALLOC_GROUP, used = 0, c, n = 0;

	for (b = 0; b < BLOCKS; b++) {
		assert_int_equal(w->a.map[b / 64] >> b % 64 & 1, w->taken[b]);
		used += w->taken[b];
	}
	assert_int_equal(w->a.used, used);
	for (g = 0; g < groups; g++) {
		const struct flint_alloc_group *p = &w->a.groups[g];
		u32 free = 0;

		for (b = g * FLINT_ALLOC_GROUP; b < (g + 1) * FLINT_ALLOC_GROUP; b++)
			free += b < w->a.zeroed && !w->taken[b];
		assert_int_equal(p->free, free);
		assert_true(p->max >= longest(w, g));
		n += p->max != 0;
	}
	for (c = 0; c < FLINT_ALLOC_CLASSES; c++) {
		for (g = w->a.classes[c]; g; g = w->a.groups[g - 1].next, n--)
			assert_int_equal(31 - __builtin_clz(w->a.groups[g - 1].max), c);
	}
	assert_int_equal(n, 0);
}

static void get(struct world *w, u32 want, u32 hint)
{
	u32 g, b, best = 0, groups = (BLOCKS + FLINT_ALLOC_GROUP - 1) / FLINT_ALLOC_GROUP;
	struct flint_run run;

	for (g = 0; g < groups; g++)
		if (longest(w, g) > best)
			best = longest(w, g);
	if (!flint_alloc_get(&w->a, want, hint, &run)) {
		assert_int_equal(best, 0);
		return;
	}
	assert_true(run.nr >= 1 && run.nr <= want);
	if (hint >= w->a.zeroed || w->taken[hint]) {
		/* For powers of two what there is is found; for others it may be half. */
		if (best >= want && !(want & (want - 1)))
			assert_int_equal(run.nr, want);
		else
			assert_true(run.nr * 2 > (best < want ? best : want) / 2);
	} else {
		assert_int_equal(run.start, hint);
	}
	for (b = run.start; b < run.start + run.nr; b++) {
		assert_true(b < w->a.zeroed);
		assert_false(w->taken[b]);
		w->taken[b] = 1;
	}
}

static void put(struct world *w)
{
	u32 b = rnd(w, BLOCKS), n = 0, max = 1 + rnd(w, 5000);

	while (b + n < BLOCKS && n < max && w->taken[b + n])
		w->taken[b + n++] = 0;
	if (n)
		flint_alloc_put(&w->a, b, n);
}

static void test_random(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	u32 i, zeroed = 0;

	w->rng = 7;
	assert_int_equal(flint_alloc_init(&w->a, BLOCKS), 0);
	for (i = 0; i < 30000; i++) {
		u32 want = rnd(w, 3) ? 1 + rnd(w, 64) : 1u << rnd(w, 8);

		if (i % 1000 == 0 && zeroed < BLOCKS) {
			zeroed += 1 + rnd(w, 2000);
			flint_alloc_zeroed(&w->a, zeroed);
		}
		if (rnd(w, 100) < (i / 3000 % 2 ? 30 : 85))
			get(w, want, rnd(w, 4) ? ~0u : rnd(w, BLOCKS));
		else
			put(w);
		if (i % 300 == 0)
			check(w);
		if (i % 5000 == 0)
			flint_alloc_settle(&w->a);
	}
	check(w);
	flint_alloc_free(&w->a);
	free(w);
}

static void test_mark(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_int_equal(flint_alloc_init(&w->a, BLOCKS), 0);
	flint_alloc_zeroed(&w->a, BLOCKS);
	assert_int_equal(flint_alloc_mark(&w->a, 100, 5000), 0);
	memset(w->taken + 100, 1, 5000);
	assert_int_equal(flint_alloc_mark(&w->a, 99, 2), -EUCLEAN);
	assert_int_equal(flint_alloc_mark(&w->a, 5099, 1), -EUCLEAN);
	assert_int_equal(flint_alloc_mark(&w->a, BLOCKS - 1, 2), -EUCLEAN);
	assert_int_equal(flint_alloc_mark(&w->a, ~0u, 1), -EUCLEAN);
	assert_int_equal(flint_alloc_mark(&w->a, BLOCKS - 1, 1), 0);
	w->taken[BLOCKS - 1] = 1;
	flint_alloc_settle(&w->a);
	check(w);
	flint_alloc_free(&w->a);
	free(w);
}

static void test_grace(void **state)
{
	struct flint_alloc a;
	struct flint_run run;
	u32 phase[2];

	assert_int_equal(flint_alloc_init(&a, 64), 0);
	flint_alloc_zeroed(&a, 64);
	assert_true(flint_alloc_get(&a, 64, ~0u, &run));
	assert_int_equal(run.nr, 64);
	phase[0] = flint_alloc_read_begin(&a);
	flint_alloc_put_later(&a, 0, 64);
	assert_int_equal(flint_alloc_ready(&a), 0);
	assert_int_equal(flint_alloc_free_blocks(&a), 64);
	phase[1] = flint_alloc_read_begin(&a);	/* began after: is not waited for */
	flint_alloc_read_end(&a, phase[0]);
	assert_int_equal(flint_alloc_ready(&a), 64);
	flint_alloc_read_end(&a, phase[1]);
	assert_true(flint_alloc_get(&a, 64, ~0u, &run));
	flint_alloc_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_grace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
