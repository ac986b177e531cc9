/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4), the one checksum of FlintFS.
 *
 * flint_crc32c(0, "123456789", 9) is 0xe3069283. The value is complete: initial
 * value and final inversion are applied inside, so that a CRC can be continued
 * by passing it in again, and equals the kernel's ~crc32c(~crc, buf, len) in
 * every step.
 */
#ifndef FLINT_BASE_CRC_H
#define FLINT_BASE_CRC_H

#include <isa-l/crc.h>
#include <stddef.h>
#include <stdint.h>

/**
 * flint_crc32c() - checksum of bytes, or continue one
 * @crc: 0, or the CRC of what precedes @buf
 * @buf, @len: bytes; @len may be 0
 */
static inline uint32_t flint_crc32c(uint32_t crc, const void *buf, size_t len)
{
	/* ISA-L takes and returns the register without inversion, and an int length. */
	const unsigned char *p = buf;

	crc = ~crc;
	while (len > 0x40000000) {
		crc = crc32_iscsi((unsigned char *)p, 0x40000000, crc);
		p += 0x40000000;
		len -= 0x40000000;
	}
	if (len)
		crc = crc32_iscsi((unsigned char *)p, (int)len, crc);
	return ~crc;
}

/**
 * flint_crc32c_combine() - CRC of two pieces from the CRCs of each
 * @crc1: of the first piece
 * @crc2: of the second piece, started from 0
 * @len2: bytes of the second piece
 */
uint32_t flint_crc32c_combine(uint32_t crc1, uint32_t crc2, uint64_t len2);

#endif /* FLINT_BASE_CRC_H */
