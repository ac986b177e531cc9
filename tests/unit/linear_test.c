// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The linearizability checker (tests/chaos/linear.c) on histories whose answer
 * is known, and on random ones made by executing operations one at a time at
 * an instant inside of their interval, whole and then with one read falsified.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "../../uapi/flintfs/placement.h"
#include "../chaos/linear.h"

#define V(n)	(1ull << 32 | (n))

static void put(struct lin_history *h, enum lin_kind kind, uint64_t inv, uint64_t ret,
		uint32_t first, uint32_t count, uint64_t value)
{
	struct lin_op op = { .kind = kind, .client = (uint32_t)h->nr, .inv = inv, .ret = ret,
			     .first = first, .count = count };
	uint32_t i;

	if (kind == LIN_WRITE)
		op.value = value;
	if (kind == LIN_READ) {
		op.seen = malloc(count * sizeof(*op.seen));
		assert_non_null(op.seen);
		for (i = 0; i < count; i++)
			op.seen[i] = value;
	}
	assert_true(lin_add(h, &op));
}

/* On cell 0: a write, a read. */
static void w(struct lin_history *h, uint64_t inv, uint64_t ret, uint64_t value)
{
	put(h, LIN_WRITE, inv, ret, 0, 1, value);
}

static void r(struct lin_history *h, uint64_t inv, uint64_t ret, uint64_t value)
{
	put(h, LIN_READ, inv, ret, 0, 1, value);
}

/* Check, free. Return: the operations of the example, 0 if it is linearizable. */
static size_t verdict(struct lin_history *h, enum lin_verdict want)
{
	struct lin_result res;
	size_t nr;

	lin_check(h, LIN_STEPS, &res);
	if (res.verdict != want) {
		lin_print(stderr, h);
		print_error("%s\n", res.why);
	}
	assert_int_equal(res.verdict, want);
	nr = res.core.nr;
	lin_result_free(&res);
	lin_free(h);
	return nr;
}

static void test_simple(void **state)
{
	struct lin_history h = { .cells = 1 };

	assert_int_equal(verdict(&h, LIN_YES), 0);
	h.cells = 1;
	r(&h, 0, 1, 0);
	w(&h, 2, 3, V(1));
	r(&h, 4, 5, V(1));
	w(&h, 6, 7, V(2));
	r(&h, 8, 9, V(2));
	verdict(&h, LIN_YES);
}

static void test_concurrent(void **state)
{
	struct lin_history h = { .cells = 1 };

	/* Two writes at once, reads that show first one, then the other. */
	w(&h, 0, 100, V(1));
	w(&h, 0, 100, V(2));
	r(&h, 10, 20, V(2));
	r(&h, 30, 40, V(1));
	r(&h, 110, 120, V(1));
	verdict(&h, LIN_YES);
	h.cells = 1;
	w(&h, 0, 100, V(1));
	r(&h, 10, 20, 0);
	r(&h, 15, 30, V(1));	/* overlaps the read of zeros */
	verdict(&h, LIN_YES);
	/* Equal times are concurrent. */
	h.cells = 1;
	w(&h, 0, 10, V(1));
	r(&h, 10, 20, 0);
	verdict(&h, LIN_YES);
}

static void test_stale_read(void **state)
{
	struct lin_history h = { .cells = 1 };

	w(&h, 0, 1, V(1));
	r(&h, 1, 3, V(1));
	w(&h, 2, 3, V(2));
	r(&h, 4, 5, V(1));
	r(&h, 6, 7, V(2));
	assert_int_equal(verdict(&h, LIN_NO), 3);	/* both writes, the stale read */
}

static void test_inversion(void **state)
{
	struct lin_history h = { .cells = 1 };

	/* While a write is under way: new, and after that old. */
	w(&h, 0, 1, V(1));
	w(&h, 2, 100, V(2));
	r(&h, 3, 90, V(1));
	r(&h, 10, 20, V(2));
	r(&h, 30, 40, V(1));
	r(&h, 50, 60, V(2));
	assert_int_equal(verdict(&h, LIN_NO), 4);
}

static void test_lost_write(void **state)
{
	struct lin_history h = { .cells = 1 };

	w(&h, 0, 10, V(1));
	r(&h, 20, 30, 0);
	assert_int_equal(verdict(&h, LIN_NO), 2);
}

static void test_unknown(void **state)
{
	struct lin_history h = { .cells = 1 };

	/* Never seen, seen late, and seen although another write came between. */
	w(&h, 0, LIN_NEVER, V(1));
	w(&h, 0, LIN_NEVER, V(2));
	w(&h, 5, 6, V(3));
	r(&h, 10, 20, V(3));
	r(&h, 30, 40, V(2));
	r(&h, 50, LIN_NEVER, 0);
	verdict(&h, LIN_YES);
	/* But only once. */
	h.cells = 1;
	w(&h, 0, LIN_NEVER, V(1));
	r(&h, 10, 20, V(1));
	w(&h, 30, 40, V(2));
	r(&h, 50, 60, V(1));
	assert_int_equal(verdict(&h, LIN_NO), 4);
	/* And not before it was called. */
	h.cells = 1;
	r(&h, 0, 1, V(1));
	w(&h, 5, LIN_NEVER, V(1));
	assert_int_equal(verdict(&h, LIN_NO), 2);
}

static void test_torn(void **state)
{
	struct lin_history h = { .cells = 1 };

	w(&h, 0, 10, V(1));
	r(&h, 20, 30, V(1));
	r(&h, 40, 50, LIN_TORN);
	assert_int_equal(verdict(&h, LIN_NO), 1);
	h.cells = 1;
	w(&h, 0, 10, V(1));
	r(&h, 0, 10, V(7));
	assert_int_equal(verdict(&h, LIN_NO), 1);
}

/* Writes of several cells are seen whole or not at all. */
static void test_ranges(void **state)
{
	struct lin_history h = { .cells = 4 };

	put(&h, LIN_WRITE, 0, 10, 0, 4, V(1));
	put(&h, LIN_WRITE, 20, 100, 1, 3, V(2));
	put(&h, LIN_WRITE, 20, 100, 0, 2, V(3));
	put(&h, LIN_READ, 30, 90, 0, 4, V(1));
	put(&h, LIN_READ, 110, 120, 0, 2, V(3));
	put(&h, LIN_READ, 110, 120, 2, 2, V(2));
	verdict(&h, LIN_YES);
	/* Half of it: each cell for itself can be explained, the range cannot. */
	h.cells = 4;
	put(&h, LIN_WRITE, 0, 10, 0, 4, V(1));
	put(&h, LIN_WRITE, 20, 100, 0, 4, V(2));
	put(&h, LIN_READ, 30, 90, 0, 4, V(1));
	h.ops[2].seen[3] = V(2);
	put(&h, LIN_READ, 30, 90, 1, 2, V(1));
	assert_int_equal(verdict(&h, LIN_NO), 3);
	/* Two writes that overlap, each on top of the other. */
	h.cells = 2;
	put(&h, LIN_WRITE, 0, 10, 0, 2, V(1));
	put(&h, LIN_WRITE, 0, 10, 0, 2, V(2));
	put(&h, LIN_READ, 20, 30, 0, 2, V(1));
	h.ops[2].seen[1] = V(2);
	assert_int_equal(verdict(&h, LIN_NO), 3);
}

static void test_zeros(void **state)
{
	struct lin_history h = { .cells = 2 };

	put(&h, LIN_WRITE, 0, 10, 0, 2, V(1));
	put(&h, LIN_ZERO, 20, 30, 1, 1, 0);
	put(&h, LIN_READ, 40, 50, 0, 2, 0);
	h.ops[2].seen[0] = V(1);
	put(&h, LIN_WRITE, 60, 70, 1, 1, V(2));
	put(&h, LIN_READ, 80, 90, 1, 1, V(2));
	put(&h, LIN_ZERO, 80, LIN_NEVER, 0, 2, 0);
	put(&h, LIN_READ, 100, 110, 0, 2, 0);
	verdict(&h, LIN_YES);
	/* What was cut off comes back. */
	h.cells = 2;
	put(&h, LIN_WRITE, 0, 10, 0, 2, V(1));
	put(&h, LIN_ZERO, 20, 30, 0, 2, 0);
	put(&h, LIN_READ, 40, 50, 0, 1, V(1));
	assert_int_equal(verdict(&h, LIN_NO), 3);
	/* One half of a truncation. It belongs to the example: without it the zeros mean nothing. */
	h.cells = 2;
	put(&h, LIN_WRITE, 0, 10, 0, 2, V(1));
	put(&h, LIN_ZERO, 0, 100, 0, 2, 0);
	put(&h, LIN_READ, 20, 30, 0, 2, 0);
	h.ops[2].seen[0] = V(1);
	assert_int_equal(verdict(&h, LIN_NO), 3);
}

/*
 * @n operations by @clients at once, each executed at an instant of its own; one
 * in @unknown of the writes has no known outcome, and half of these no effect.
 */
static void random_history(struct lin_history *h, uint64_t *rng, uint32_t cells, unsigned int n,
			   unsigned int clients, unsigned int unknown)
{
	uint64_t *value = calloc(cells, sizeof(*value)), *busy = calloc(clients, sizeof(*busy));
	uint64_t now = 0;
	unsigned int i;

	*h = (struct lin_history){ .cells = cells };
	for (i = 0; i < n; i++) {
		unsigned int c = flint_rng_below(rng, clients);
		uint32_t first = flint_rng_below(rng, cells);
		uint32_t count = 1 + flint_rng_below(rng, cells - first), k;
		bool write = flint_rng_below(rng, 2), lost, drop;
		uint64_t inv;

		now += 1 + flint_rng_below(rng, 5);
		if (now <= busy[c])
			now = busy[c] + 1;
		inv = now - flint_rng_below(rng, now - busy[c]);
		busy[c] = now + flint_rng_below(rng, 10 * clients);
		lost = write && unknown && !flint_rng_below(rng, unknown);
		drop = lost && flint_rng_below(rng, 2);
		put(h, write ? LIN_WRITE : LIN_READ, inv, lost ? LIN_NEVER : busy[c], first, count,
		    V(i + 1));
		for (k = first; k < first + count; k++)
			if (!write)
				h->ops[i].seen[k - first] = value[k];
			else if (!drop)
				value[k] = V(i + 1);
	}
	free(value);
	free(busy);
}

static void test_random(void **state)
{
	uint64_t rng = 1;
	struct lin_history h;
	int i;

	for (i = 0; i < 150; i++) {
		random_history(&h, &rng, 1 + i % 8, 300, 2 + i % 12, i % 3 ? 10 : 0);
		verdict(&h, LIN_YES);
	}
	random_history(&h, &rng, 16, 6000, 16, 20);
	verdict(&h, LIN_YES);
}

/* A read of the last value before the newest one that was acknowledged in time. */
static void test_random_stale(void **state)
{
	struct lin_history h;
	uint64_t rng = 5, end;
	int i;

	for (i = 0; i < 30; i++) {
		random_history(&h, &rng, 4, 200, 8, 10);
		end = 1ull << 40;
		put(&h, LIN_WRITE, end, end + 1, 1, 2, V(100001));
		put(&h, LIN_WRITE, end + 2, end + 3, 0, 4, V(100002));
		put(&h, LIN_READ, end + 4, end + 5, 1, 1, V(100001));
		assert_int_equal(verdict(&h, LIN_NO), 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_concurrent),
		cmocka_unit_test(test_stale_read),
		cmocka_unit_test(test_inversion),
		cmocka_unit_test(test_lost_write),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_zeros),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
