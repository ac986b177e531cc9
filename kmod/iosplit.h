/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a range of a file to pieces of chunks. Pure arithmetic, no allocation
 * and no state: the module and the unit tests compile the same lines.
 */
#ifndef _FLINT_IOSPLIT_H
#define _FLINT_IOSPLIT_H

#include "../uapi/flintfs/wire.h"

/**
 * struct flint_iopart - the first piece of a range
 * @index: chunk index in the file
 * @offset: first byte in the chunk
 * @len: bytes, never 0; offset + len <= chunk size
 */
struct flint_iopart {
	u32 index;
	u32 offset;
	u32 len;
};

u64 flint_iosplit_limit(u8 chunk_shift);
int flint_iosplit_next(u64 pos, u64 len, u8 chunk_shift, struct flint_iopart *part);
u32 flint_iosplit_cut(u32 offset, u32 len, u32 max);

#endif /* _FLINT_IOSPLIT_H */
