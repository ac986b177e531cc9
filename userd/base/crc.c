// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Joining CRCs: the CRC register after appending n zero bytes is a linear map
 * over GF(2) of the register before. Its matrix for one zero bit is squared
 * until the bits of the length are used up.
 */
#include "crc.h"

#define CRC32C_POLY_REFLECTED	0x82f63b78u

static uint32_t gf2_times(const uint32_t *mat, uint32_t vec)
{
	uint32_t sum = 0;

	for (; vec; vec >>= 1, mat++)
		if (vec & 1)
			sum ^= *mat;
	return sum;
}

static void gf2_square(uint32_t *square, const uint32_t *mat)
{
	int i;

	for (i = 0; i < 32; i++)
		square[i] = gf2_times(mat, mat[i]);
}

uint32_t flint_crc32c_combine(uint32_t crc1, uint32_t crc2, uint64_t len2)
{
	uint32_t a[32], b[32], *cur = a, *next = b, *t;
	int i;

	if (!len2)
		return crc1;
	/* One zero bit shifts the register right and folds the bit that falls out. */
	a[0] = CRC32C_POLY_REFLECTED;
	for (i = 1; i < 32; i++)
		a[i] = 1u << (i - 1);
	for (i = 0; i < 3; i++) {	/* 2, 4, 8 bits: one byte */
		gf2_square(next, cur);
		t = cur;
		cur = next;
		next = t;
	}
	for (;;) {
		if (len2 & 1)
			crc1 = gf2_times(cur, crc1);
		len2 >>= 1;
		if (!len2)
			return crc1 ^ crc2;
		gf2_square(next, cur);
		t = cur;
		cur = next;
		next = t;
	}
}
