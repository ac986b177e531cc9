// SPDX-License-Identifier: GPL-2.0-or-later
/* CRC-32C: published values, continuation, joining. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../userd/base/crc.h"

/* Bit by bit, from the definition. */
static uint32_t slow_crc(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;
	int i;

	while (len--) {
		crc ^= *p++;
		for (i = 0; i < 8; i++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

static void test_published(void **state)
{
	uint8_t buf[32];
	int i;

	assert_int_equal(flint_crc32c(0, "123456789", 9), 0xe3069283u);
	assert_int_equal(flint_crc32c(0, "", 0), 0);
	/* RFC 3720, B.4 */
	memset(buf, 0, sizeof(buf));
	assert_int_equal(flint_crc32c(0, buf, sizeof(buf)), 0x8a9136aau);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(flint_crc32c(0, buf, sizeof(buf)), 0x62a8ab43u);
	for (i = 0; i < 32; i++)
		buf[i] = i;
	assert_int_equal(flint_crc32c(0, buf, sizeof(buf)), 0x46dd794eu);
}

static void test_lengths(void **state)
{
	uint8_t buf[700];
	size_t i;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 37 + (i >> 3));
	for (i = 0; i < sizeof(buf); i++)
		assert_int_equal(flint_crc32c(0, buf, i), slow_crc(buf, i));
	for (i = 0; i < 16; i++)	/* unaligned */
		assert_int_equal(flint_crc32c(0, buf + i, 512), slow_crc(buf + i, 512));
}

static void test_continue_and_combine(void **state)
{
	uint8_t buf[513];
	size_t cut;
	uint32_t all;

	for (cut = 0; cut < sizeof(buf); cut++)
		buf[cut] = (uint8_t)(cut * 131 + 5);
	all = flint_crc32c(0, buf, sizeof(buf));
	for (cut = 0; cut <= sizeof(buf); cut++) {
		uint32_t a = flint_crc32c(0, buf, cut);
		uint32_t b = flint_crc32c(0, buf + cut, sizeof(buf) - cut);

		assert_int_equal(flint_crc32c(a, buf + cut, sizeof(buf) - cut), all);
		assert_int_equal(flint_crc32c_combine(a, b, sizeof(buf) - cut), all);
	}
}

static void test_combine_large(void **state)
{
	size_t len = 3 << 20;
	uint8_t *buf = calloc(1, len);
	uint32_t a = flint_crc32c(0, "abc", 3);
	uint32_t want = flint_crc32c(a, buf, len);

	assert_int_equal(flint_crc32c_combine(a, flint_crc32c(0, buf, len), len), want);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_continue_and_combine),
		cmocka_unit_test(test_combine_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
