// SPDX-License-Identifier: GPL-2.0-or-later
/* The choice of a replica: least loaded, equals by lot, failed ones last, old words forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "userd/client/replica.h"

#define MB (1u << 20)

/**
 * struct three - a chain of three on servers of their own
 */
struct three {
	struct flint_replica_load node[3], target[3];
	struct flint_replica r[3];
};

static void three_make(struct three *t)
{
	u32 i;

	*t = (struct three){ 0 };
	for (i = 0; i < 3; i++)
		t->r[i] = (struct flint_replica){ &t->node[i], &t->target[i] };
}

static void test_lot(void **state)
{
	u32 got[3] = { 0 }, i;
	struct three t;
	u64 rng = 1;

	three_make(&t);
	for (i = 0; i < 3000; i++)
		got[flint_replica_pick(t.r, 3, 0, &rng)]++;
	for (i = 0; i < 3; i++)
		assert_true(got[i] > 850 && got[i] < 1150);
	assert_int_equal(flint_replica_pick(t.r, 1, 0, &rng), 0);
}

static void test_least(void **state)
{
	struct three t;
	u64 rng = 1;

	three_make(&t);
	flint_replica_begin(&t.r[0], MB);
	flint_replica_begin(&t.r[1], MB);
	assert_int_equal(flint_replica_pick(t.r, 3, 0, &rng), 2);
	flint_replica_begin(&t.r[2], 2 * MB);
	flint_replica_end(&t.r[1], MB, true, 0, 5);
	assert_int_equal(flint_replica_pick(t.r, 3, 5, &rng), 1);
	flint_replica_end(&t.r[0], MB, true, 0, 5);
	flint_replica_end(&t.r[2], 2 * MB, true, 0, 5);
	assert_int_equal(t.node[0].bytes + t.node[1].bytes + t.node[2].bytes, 0);
	assert_int_equal(t.target[0].bytes + t.target[1].bytes + t.target[2].bytes, 0);
	/* Ended once too often: not a huge load. */
	flint_replica_end(&t.r[0], MB, true, 0, 5);
	assert_int_equal(t.node[0].bytes, 0);
}

static void test_said(void **state)
{
	u32 got[3] = { 0 }, i;
	struct three t;
	u64 rng = 1, now = 1000000000;

	three_make(&t);
	for (i = 0; i < 2; i++) {
		flint_replica_begin(&t.r[i], MB);
		flint_replica_end(&t.r[i], MB, true, 64 * MB, now);
	}
	assert_int_equal(flint_replica_pick(t.r, 3, now, &rng), 2);
	flint_replica_begin(&t.r[2], MB);
	assert_int_equal(flint_replica_pick(t.r, 3, now, &rng), 2);
	/* What was said long ago counts no longer. */
	now += 40 * FLINT_REPLICA_HALF_NS;
	flint_replica_end(&t.r[2], MB, true, 0, now);
	for (i = 0; i < 300; i++)
		got[flint_replica_pick(t.r, 3, now, &rng)]++;
	assert_true(got[0] > 60 && got[1] > 60 && got[2] > 60);
	/* What the server counts is ours, too: not twice. */
	flint_replica_begin(&t.r[0], MB);
	flint_replica_begin(&t.r[0], MB);
	flint_replica_end(&t.r[0], MB, true, MB, now);
	assert_int_equal(t.node[0].said, 0);
}

static void test_failed(void **state)
{
	struct three t;
	u64 rng = 1, now = 5;
	u32 i;

	three_make(&t);
	flint_replica_end(&t.r[0], MB, false, 0, now);
	flint_replica_begin(&t.r[1], MB);
	flint_replica_begin(&t.r[2], 2 * MB);
	assert_int_equal(flint_replica_pick(t.r, 3, now, &rng), 1);
	/* Only failed ones are left: the least loaded of them. */
	flint_replica_end(&t.r[1], MB, false, 0, now);
	flint_replica_end(&t.r[2], MB, false, 0, now);
	assert_true(flint_replica_pick(t.r, 3, now, &rng) < 2);
	/* Its time is over. */
	assert_true(flint_replica_pick(t.r, 1, now + FLINT_REPLICA_AVOID_NS, &rng) == 0);
	/* Every further failure doubles the time, up to a limit. */
	for (i = 0; i < 100; i++)
		flint_replica_end(&t.r[0], MB, false, 0, now);
	assert_true(t.target[0].avoid_ns ==
		    now + (FLINT_REPLICA_AVOID_NS << FLINT_REPLICA_FAILS_MAX));
	flint_replica_end(&t.r[0], MB, true, 0, now);
	assert_true(t.target[0].avoid_ns == 0 && t.target[0].fails == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lot),
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_said),
		cmocka_unit_test(test_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
