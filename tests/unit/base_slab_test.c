// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The slab: objects never overlap, come back, and their memory serves other
 * sizes once a chunk is empty.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The real thing, also under AddressSanitizer. */
#define PLAIN false
#include "../../userd/base/slab.c"

#define N	20000

static struct {
	uint8_t *p;
	size_t size;
	uint8_t mark;
} obj[N];

static void check_and_put(struct flint_slab *s, size_t i)
{
	size_t n;

	for (n = 0; n < obj[i].size; n++)
		assert_int_equal(obj[i].p[n], obj[i].mark);
	flint_slab_put(s, obj[i].p, obj[i].size);
	obj[i].p = NULL;
}

/* Random sizes and order; each object holds its mark until it goes. */
static void mixed(void **state)
{
	struct flint_slab *s = flint_slab_new();
	size_t i, round;

	srand(7);
	for (round = 0; round < 200000; round++) {
		i = (size_t)rand() % N;
		if (obj[i].p) {
			check_and_put(s, i);
			continue;
		}
		obj[i].size = 1 + (size_t)rand() % (rand() % 50 ? 300 : 3000);
		obj[i].p = flint_slab_get(s, obj[i].size);
		assert_non_null(obj[i].p);
		assert_int_equal((uintptr_t)obj[i].p % 16, 0);
		obj[i].mark = (uint8_t)rand();
		memset(obj[i].p, obj[i].mark, obj[i].size);
	}
	for (i = 0; i < N; i++)
		if (obj[i].p)
			check_and_put(s, i);
	flint_slab_free(s);
}

/* What one size leaves, another one takes. */
static void reuse(void **state)
{
	struct flint_slab *s = flint_slab_new();
	size_t i, size, most = 0;

	for (size = 16; size <= FLINT_SLAB_MAX; size += 112) {
		for (i = 0; i < N; i++) {
			obj[i].size = size;
			obj[i].p = flint_slab_get(s, size);
			assert_non_null(obj[i].p);
			memset(obj[i].p, 1, size);
		}
		for (i = 0; i < N; i++)
			flint_slab_put(s, obj[i].p, size);
		most = N * flint_slab_cost(size);
	}
	assert_true(flint_slab_footprint(s) <= most + (4u << 20));
	flint_slab_free(s);
}

/* Everything goes with the slab, also what was not given back. */
static void freed(void **state)
{
	struct flint_slab *s = flint_slab_new();

	flint_slab_put(s, flint_slab_get(s, 2000), 2000);
	flint_slab_put(s, flint_slab_get(s, 100), 100);
	flint_slab_free(s);
	flint_slab_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mixed),
		cmocka_unit_test(reuse),
		cmocka_unit_test(freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
