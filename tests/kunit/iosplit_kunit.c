// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmod/iosplit.c in the kernel: the same promises as tests/unit/iosplit_test.c
 * with the kernel's types and compiler flags.
 */
#include <kunit/test.h>
#include "iosplit.h"
#include "../uapi/flintfs/placement.h"

static void iosplit_covers(struct kunit *test)
{
	static const u64 lens[] = { 1, 4096, 65537, (1 << 20) + 1, (3 << 20) + 77 };
	struct flint_iopart part;
	u64 at, end, pos;
	unsigned int i;
	u8 shift;

	for (shift = FLINT_CHUNK_SHIFT_MIN; shift <= FLINT_CHUNK_SHIFT_MAX; shift += 4)
		for (i = 0; i < ARRAY_SIZE(lens); i++)
			for (pos = 0; pos < 1ull << 34; pos = pos * 7 + 65535) {
				end = pos + lens[i];
				for (at = pos; at < end; at += part.len) {
					KUNIT_ASSERT_EQ(test, 1, flint_iosplit_next(at, end - at,
										    shift, &part));
					KUNIT_ASSERT_GT(test, part.len, 0u);
					KUNIT_ASSERT_LE(test, (u64)part.offset + part.len,
							1ull << shift);
					KUNIT_ASSERT_EQ(test, ((u64)part.index << shift) +
							part.offset, at);
				}
				KUNIT_ASSERT_EQ(test, at, end);
			}
}

static void iosplit_limits(struct kunit *test)
{
	struct flint_iopart part;

	KUNIT_EXPECT_EQ(test, 0, flint_iosplit_next(5, 0, 20, &part));
	KUNIT_EXPECT_EQ(test, 1, flint_iosplit_next((1ull << 52) - 1, 10, 20, &part));
	KUNIT_EXPECT_EQ(test, 1u, part.len);
	KUNIT_EXPECT_EQ(test, U32_MAX, part.index);
	KUNIT_EXPECT_EQ(test, -EFBIG, flint_iosplit_next(1ull << 52, 1, 20, &part));
	KUNIT_EXPECT_EQ(test, -EINVAL, flint_iosplit_next(0, 1, 15, &part));
	KUNIT_EXPECT_EQ(test, -EINVAL, flint_iosplit_next(0, 1, 25, &part));
}

static void iosplit_cuts(struct kunit *test)
{
	u32 max, off, left, n;

	KUNIT_EXPECT_EQ(test, 983040u, flint_iosplit_cut(0, 1 << 20, (1 << 20) - 4096));
	KUNIT_EXPECT_EQ(test, 65436u, flint_iosplit_cut(100, 1 << 20, 70000));
	KUNIT_EXPECT_EQ(test, 4096u, flint_iosplit_cut(100, 70000, 4096));
	for (max = 1; max < 200000; max = max * 3 + 1)
		for (off = 12345, left = 300000; left; off += n, left -= n) {
			n = flint_iosplit_cut(off, left, max);
			KUNIT_ASSERT_TRUE(test, n >= 1 && n <= left && n <= max);
		}
}

static struct kunit_case iosplit_cases[] = {
	KUNIT_CASE(iosplit_covers),
	KUNIT_CASE(iosplit_limits),
	KUNIT_CASE(iosplit_cuts),
	{}
};

static struct kunit_suite iosplit_suite = {
	.name = "flint-iosplit",
	.test_cases = iosplit_cases,
};

kunit_test_suites(&iosplit_suite);
