// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kmod/iosplit.c in user space: pieces cover a range exactly, stay inside
 * chunks, and cuts fall on checksum boundaries where they can.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../kmod/iosplit.h"
#include "../../uapi/flintfs/placement.h"

static void covers(u64 pos, u64 len, u8 shift)
{
	struct flint_iopart part;
	u64 at = pos, end = pos + len;

	while (at < end) {
		assert_int_equal(flint_iosplit_next(at, end - at, shift, &part), 1);
		assert_true(part.len > 0);
		assert_true((u64)part.offset + part.len <= 1ull << shift);
		assert_true(((u64)part.index << shift) + part.offset == at);
		at += part.len;
	}
	assert_true(at == end);
	assert_int_equal(flint_iosplit_next(at, 0, shift, &part), 0);
}

static void test_cover(void **state)
{
	static const u64 at[] = { 0, 1, 511, 65535, 65536, 65537, (1 << 20) - 1, 1 << 20,
				  (1ull << 40) + 12345 };
	static const u64 len[] = { 1, 2, 4095, 4096, 65536, 65537, 1 << 20, (1 << 20) + 1,
				   (5 << 20) + 77 };

	for (u8 shift = FLINT_CHUNK_SHIFT_MIN; shift <= FLINT_CHUNK_SHIFT_MAX; shift++)
		for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
			for (size_t j = 0; j < sizeof(len) / sizeof(len[0]); j++)
				covers(at[i], len[j], shift);
}

static void test_limits(void **state)
{
	struct flint_iopart part;
	u64 limit = flint_iosplit_limit(20);

	assert_true(limit == 1ull << 52);
	assert_int_equal(flint_iosplit_next(limit - 1, 10, 20, &part), 1);
	assert_int_equal(part.len, 1);
	assert_int_equal(part.index, 0xffffffffu);
	assert_int_equal(flint_iosplit_next(limit, 1, 20, &part), -EFBIG);
	assert_int_equal(flint_iosplit_next(0, 1, FLINT_CHUNK_SHIFT_MIN - 1, &part), -EINVAL);
	assert_int_equal(flint_iosplit_next(0, 1, FLINT_CHUNK_SHIFT_MAX + 1, &part), -EINVAL);
}

static void test_cut(void **state)
{
	assert_int_equal(flint_iosplit_cut(0, 4096, 65536), 4096);
	assert_int_equal(flint_iosplit_cut(0, 1 << 20, (1 << 20) - 4096), (1 << 20) - 65536);
	assert_int_equal(flint_iosplit_cut(100, 1 << 20, 70000), 65436);
	assert_int_equal(flint_iosplit_cut(0, 70000, 65536), 65536);
	/* No boundary in reach: as much as goes. */
	assert_int_equal(flint_iosplit_cut(100, 70000, 4096), 4096);
	assert_int_equal(flint_iosplit_cut(0, 2, 1), 1);
}

static void test_cut_terminates(void **state)
{
	for (u32 max = 1; max < 200000; max = max * 3 + 1) {
		u32 off = 12345, left = 1000000;

		while (left) {
			u32 n = flint_iosplit_cut(off, left, max);

			assert_true(n >= 1 && n <= left && n <= max);
			off += n;
			left -= n;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cover),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_terminates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
