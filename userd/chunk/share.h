/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks that more than one chunk names: how many more. A table of those blocks
 * only, in memory, derived from the index when a store is opened. Eight bytes for
 * a block, at most two thirds full.
 *
 * The rule that a checker can prove: of the chunks that name a block, all but one
 * came to it by a clone and say so (FLINT_CHUNK_SHARES). A block named twice by
 * chunks that do not is damage.
 */
#ifndef FLINT_CHUNK_SHARE_H
#define FLINT_CHUNK_SHARE_H

#include "../../uapi/flintfs/types.h"

struct flint_share_ent {
	u32 block;		/* + 1; 0: free */
	u32 extra;		/* references beyond the first */
};

struct flint_share {
	struct flint_share_ent *tab;
	u32 cap;		/* a power of two, or 0 */
	u32 nr;
};

void flint_share_free(struct flint_share *s);
/* One more chunk names the block. Return: 0 or -ENOMEM. */
int flint_share_add(struct flint_share *s, u32 block);
/* One names it no longer. Return: true when others still do. */
bool flint_share_drop(struct flint_share *s, u32 block);
/* References beyond the first. */
u32 flint_share_extra(const struct flint_share *s, u32 block);

#endif /* FLINT_CHUNK_SHARE_H */
