// SPDX-License-Identifier: GPL-2.0-or-later
/* Placement: the published vectors, the properties that the design relies on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../uapi/flintfs/placement.h"
#include "placement_vectors.h"

#define NR(a) (sizeof(a) / sizeof((a)[0]))

static struct flint_layout layout(u64 seed, u16 stripe)
{
	struct flint_layout l = {
		.version = FLINT_PLACEMENT_V1, .chunk_shift = FLINT_CHUNK_SHIFT_DEF,
		.stripe = cpu_to_le16(stripe), .table = cpu_to_le32(1),
		.table_ver = cpu_to_le32(1), .seed = cpu_to_le64(seed),
	};

	return l;
}

static void test_generator(void **state)
{
	u64 s = 0;
	size_t i;

	for (i = 0; i < NR(flint_splitmix64_vectors); i++)
		assert_true(flint_splitmix64(&s) == flint_splitmix64_vectors[i]);
}

static void test_vectors(void **state)
{
	size_t i;
	u32 c;

	for (i = 0; i < NR(flint_placement_vectors); i++) {
		const struct flint_placement_vector *v = &flint_placement_vectors[i];
		struct flint_layout l = layout(v->seed, v->stripe);
		u64 h = 0xcbf29ce484222325ull;
		struct flint_placement p;

		assert_int_equal(flint_placement_init(&p, &l, v->nr_chains), 0);
		assert_int_equal(p.width, v->stripe < v->nr_chains ? v->stripe : v->nr_chains);
		for (c = 0; c < FLINT_PLACEMENT_SUMMED; c++) {
			u32 slot = flint_placement_chain(&p, c), b;

			if (c < FLINT_PLACEMENT_SHOWN)
				assert_int_equal(slot, v->slot[c]);
			for (b = 0; b < 4; b++)
				h = (h ^ (slot >> (8 * b) & 0xff)) * 0x100000001b3ull;
		}
		assert_true(h == v->fnv1a);
	}
}

/* One stripe uses different chains, all of them in the table. */
static void test_distinct(void **state)
{
	struct flint_placement p;
	u32 round, i;
	u64 rng = 99;

	for (round = 0; round < 2000; round++) {
		u32 n = 1 + flint_rng_below(&rng, 600);
		u16 stripe = 1 + flint_rng_below(&rng, FLINT_STRIPE_MAX);
		struct flint_layout l = layout(flint_splitmix64(&rng), stripe);
		u8 seen[600] = { 0 };

		assert_int_equal(flint_placement_init(&p, &l, n), 0);
		for (i = 0; i < p.width; i++) {
			assert_true(p.slot[i] < n);
			assert_false(seen[p.slot[i]]);
			seen[p.slot[i]] = 1;
		}
		assert_int_equal(flint_placement_chain(&p, p.width), p.slot[0]);
		assert_int_equal(flint_placement_chain(&p, 0xffffffffu),
				 p.slot[0xffffffffu % p.width]);
	}
}

/* Many files spread evenly: no chain gets 20 % more or less than its share. */
static void test_even(void **state)
{
	enum { CHAINS = 30, FILES = 30000 };
	unsigned int count[CHAINS] = { 0 };
	struct flint_placement p;
	u64 rng = 5;
	u32 i, c;

	for (i = 0; i < FILES; i++) {
		struct flint_layout l = layout(flint_splitmix64(&rng), 1);

		assert_int_equal(flint_placement_init(&p, &l, CHAINS), 0);
		count[flint_placement_chain(&p, 0)]++;
	}
	for (c = 0; c < CHAINS; c++)
		assert_in_range(count[c], FILES / CHAINS * 8 / 10, FILES / CHAINS * 12 / 10);
}

static void test_refused(void **state)
{
	struct flint_placement p;
	struct flint_layout l;

	l = layout(1, 4);
	assert_int_equal(flint_placement_init(&p, &l, 0), -EINVAL);
	assert_int_equal(flint_placement_init(&p, &l, 0x80000000u), -EINVAL);
	l = layout(1, 0);
	assert_int_equal(flint_placement_init(&p, &l, 4), -EINVAL);
	l = layout(1, FLINT_STRIPE_MAX + 1);
	assert_int_equal(flint_placement_init(&p, &l, 4), -EINVAL);
	l = layout(1, 4);
	l.version = 0;
	assert_int_equal(flint_placement_init(&p, &l, 4), -EINVAL);
	l.version = 2;
	assert_int_equal(flint_placement_init(&p, &l, 4), -EINVAL);
	l = layout(1, 4);
	l.chunk_shift = FLINT_CHUNK_SHIFT_MIN - 1;
	assert_int_equal(flint_placement_init(&p, &l, 4), -EINVAL);
	l.chunk_shift = FLINT_CHUNK_SHIFT_MAX + 1;
	assert_int_equal(flint_placement_init(&p, &l, 4), -EINVAL);
	l.chunk_shift = FLINT_CHUNK_SHIFT_MAX;
	assert_int_equal(flint_placement_init(&p, &l, 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generator),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_distinct),
		cmocka_unit_test(test_even),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
