// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rules by which recovery compares two replicas (userd/chunk/compare.c), and
 * the pace of background work (throttle.c) in invented time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "../../userd/chunk/compare.h"
#include "../../userd/chunk/throttle.h"

#define MS	1000000ull
#define MiB	(1ull << 20)

static struct flint_sync_chunk chunk(u64 ino, u64 version, u64 tag, u32 size, u64 crcs)
{
	return (struct flint_sync_chunk){
		.ino = cpu_to_le64(ino), .fs = cpu_to_le32(1), .index = cpu_to_le32(7),
		.version = cpu_to_le64(version), .tag = cpu_to_le64(tag), .gen = cpu_to_le32(3),
		.size = cpu_to_le32(size), .crcs = cpu_to_le64(crcs),
	};
}

static void authority_decides(void **state)
{
	struct flint_sync_chunk a = chunk(5, 4, 99, 4096, 1), b = a;

	assert_int_equal(compare_chunk(NULL, NULL), COMPARE_SAME);
	assert_int_equal(compare_chunk(&a, &b), COMPARE_SAME);
	assert_int_equal(compare_chunk(&a, NULL), COMPARE_SEND);
	assert_int_equal(compare_chunk(NULL, &b), COMPARE_DROP);
	b = chunk(5, 3, 98, 4096, 2);			/* behind */
	assert_int_equal(compare_chunk(&a, &b), COMPARE_SEND);
	b = chunk(5, 9, 98, 9000, 2);			/* ahead: by what nobody was told of */
	assert_int_equal(compare_chunk(&a, &b), COMPARE_SEND);
	b = chunk(5, 4, 98, 4096, 2);			/* the version went to another change */
	assert_int_equal(compare_chunk(&a, &b), COMPARE_SEND);
	b = chunk(5, 0, 0, 0, 0);			/* a replacement that was interrupted */
	assert_int_equal(compare_chunk(&a, &b), COMPARE_SEND);
}

static void one_version_two_contents(void **state)
{
	struct flint_sync_chunk a = chunk(5, 4, 99, 4096, 1), b;

	b = chunk(5, 4, 99, 4096, 2);
	assert_int_equal(compare_chunk(&a, &b), COMPARE_CONFLICT);
	b = chunk(5, 4, 99, 8192, 1);
	assert_int_equal(compare_chunk(&a, &b), COMPARE_CONFLICT);
	b = a;
	b.gen = cpu_to_le32(4);
	assert_int_equal(compare_chunk(&a, &b), COMPARE_CONFLICT);
	b = chunk(5, 4, 99, 4096, 0);			/* not told: not compared */
	assert_int_equal(compare_chunk(&a, &b), COMPARE_SAME);
	a = chunk(5, 0, 0, 0, 0);			/* a serving target has no such thing */
	assert_int_equal(compare_chunk(&a, NULL), COMPARE_CONFLICT);
}

static void groups(void **state)
{
	struct flint_sync_chunk ours[3] = {
		chunk(1, 2, 2, 10, 1), chunk(2, 2, 2, 10, 1), chunk(3, 2, 2, 10, 1),
	};
	struct flint_sync_chunk theirs[3] = {
		chunk(4, 1, 1, 10, 1), chunk(3, 2, 2, 10, 1), chunk(2, 1, 1, 10, 1),
	};
	struct compare_todo todo[2 * COMPARE_GROUP];

	assert_int_equal(compare_group(ours, 3, theirs, 3, todo), 3);
	assert_int_equal(todo[0].verdict, COMPARE_SEND);
	assert_int_equal(le64_to_cpu(todo[0].chunk.ino), 1);
	assert_int_equal(todo[1].verdict, COMPARE_SEND);
	assert_int_equal(le64_to_cpu(todo[1].chunk.version), 2);
	assert_int_equal(todo[2].verdict, COMPARE_DROP);
	assert_int_equal(le64_to_cpu(todo[2].chunk.ino), 4);
	assert_int_equal(compare_group(ours, 3, ours, 3, todo), 0);
	assert_int_equal(compare_group(NULL, 0, theirs, 3, todo), 3);
	assert_int_equal(compare_group(ours, 3, NULL, 0, todo), 3);
}

/* Move as much as is let through in @ms, with @queued requests of clients. */
static u64 moved(struct flint_throttle *t, u64 *now, u64 ms, u32 queued, u64 piece)
{
	u64 end = *now + ms * MS, sum = 0;

	while (*now < end) {
		u64 wait = flint_throttle_take(t, piece, queued, *now);

		if (wait) {
			*now += wait;
		} else {
			sum += piece;
			*now += 100000;		/* the work itself: 0.1 ms */
		}
	}
	return sum;
}

static void limit_is_kept(void **state)
{
	struct flint_throttle t;
	u64 now = 5 * MS, sum;

	flint_throttle_init(&t, 100 * MiB, now);
	sum = moved(&t, &now, 10000, 0, MiB);
	assert_in_range(sum, 950 * MiB, 1050 * MiB);
	flint_throttle_limit(&t, 10 * MiB);
	sum = moved(&t, &now, 10000, 0, MiB);
	assert_in_range(sum, 90 * MiB, 120 * MiB);
	flint_throttle_limit(&t, 0);		/* none: as fast as the work itself */
	moved(&t, &now, 5000, 0, MiB);
	sum = moved(&t, &now, 1000, 0, MiB);
	assert_in_range(sum, 9000 * MiB, 10001 * MiB);
}

static void clients_go_first(void **state)
{
	struct flint_throttle t;
	u64 now = 0, sum;

	flint_throttle_init(&t, 0, now);
	moved(&t, &now, 3000, 0, MiB);
	moved(&t, &now, 5000, 16, MiB);
	sum = moved(&t, &now, 10000, 16, MiB);	/* the floor, but not less */
	assert_in_range(sum, 10 * FLINT_THROTTLE_FLOOR * 8 / 10, 10 * FLINT_THROTTLE_FLOOR * 12 / 10);
	moved(&t, &now, 8000, 0, MiB);
	sum = moved(&t, &now, 1000, 0, MiB);	/* they are gone */
	assert_true(sum > 1000 * MiB);
	/* A limit below the floor is a limit all the same. */
	flint_throttle_init(&t, MiB, now);
	sum = moved(&t, &now, 20000, 16, 64 << 10);
	assert_in_range(sum, 18 * MiB, 21 * MiB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(authority_decides),
		cmocka_unit_test(one_version_two_contents),
		cmocka_unit_test(groups),
		cmocka_unit_test(limit_is_kept),
		cmocka_unit_test(clients_go_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
