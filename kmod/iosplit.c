// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a range of a file to pieces of chunks; see iosplit.h.
 *
 * Invariants: the pieces of a range, taken one after the other, cover it
 * exactly, in order and without overlap; no piece crosses a chunk.
 */
#include "iosplit.h"
#include "../uapi/flintfs/placement.h"

/* Cuts inside a chunk fall on this boundary, which every checksum block divides. */
#define FLINT_CUT_ALIGN	65536u

/**
 * flint_iosplit_limit() - first byte that no file of this layout can have
 * @chunk_shift: log2 of the chunk size
 *
 * Chunk indices have 32 bits; a file offset has 63.
 */
u64 flint_iosplit_limit(u8 chunk_shift)
{
	return 1ull << (32 + chunk_shift);
}

/**
 * flint_iosplit_next() - the first piece of a range
 * @pos: first byte in the file
 * @len: bytes
 * @chunk_shift: log2 of the chunk size, FLINT_CHUNK_SHIFT_MIN..MAX
 * @part: result
 *
 * Return: 1 with a piece, 0 when @len is 0, -EFBIG when the piece lies
 * beyond the last chunk, -EINVAL for a chunk size that cannot be.
 */
int flint_iosplit_next(u64 pos, u64 len, u8 chunk_shift, struct flint_iopart *part)
{
	u32 room;

	if (chunk_shift < FLINT_CHUNK_SHIFT_MIN || chunk_shift > FLINT_CHUNK_SHIFT_MAX)
		return -EINVAL;
	if (!len)
		return 0;
	if (pos >= flint_iosplit_limit(chunk_shift))
		return -EFBIG;

	part->index = (u32)(pos >> chunk_shift);
	part->offset = (u32)(pos & ((1ull << chunk_shift) - 1));
	room = (1u << chunk_shift) - part->offset;
	part->len = len < room ? (u32)len : room;
	return 1;
}

/**
 * flint_iosplit_cut() - shorten a piece to what one request can carry
 * @offset: of the piece in its chunk
 * @len: of the piece
 * @max: bytes one request can carry, at least 1
 *
 * A cut falls on a 64 KiB boundary of the chunk where one is in reach, so that
 * no checksum block is read by two requests.
 *
 * Return: bytes for the first request, 1..min(@len, @max).
 */
u32 flint_iosplit_cut(u32 offset, u32 len, u32 max)
{
	u32 end;

	if (len <= max)
		return len;
	end = (offset + max) & ~(FLINT_CUT_ALIGN - 1);
	return end > offset ? end - offset : max;
}
