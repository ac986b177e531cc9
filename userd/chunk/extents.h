/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which bytes of a file's chunks are no holes, as far as one target has them.
 */
#ifndef FLINT_CHUNK_EXTENTS_H
#define FLINT_CHUNK_EXTENTS_H

#include "index.h"

/**
 * flint_extents_find() - fill an answer to EXTENTS
 * @bs: log2 of the target's block size
 * @in: the file's inode here
 * @index, @offset: first place of interest
 * @width: distance of two neighbouring chunks here, from @index on; 1 or more
 * @h: result; zeroed
 * @e: room for FLINT_EXTENTS_MAX
 *
 * Looks at a bounded number of chunks, however many there are. Return: extents.
 */
u32 flint_extents_find(const struct flint_index *ix, u32 bs, const struct flint_inode *in,
		       u32 index, u32 offset, u32 width, struct flint_extents *h,
		       struct flint_extent *e);

#endif /* FLINT_CHUNK_EXTENTS_H */
