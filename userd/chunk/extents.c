// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * EXTENTS: where a file has data, for SEEK_DATA, SEEK_HOLE and FIEMAP.
 *
 * The index knows it without looking at the disk: a block that the chunk's map does not
 * name is a hole, and so is what lies beyond the chunk's size. Chunks are tried one
 * after the other, @width apart; where one is missing, the next is looked for in the
 * inode's list, which is in no order. Chunks that are alike are told in one record, so
 * that a file without holes takes one request for each of its chains.
 */
#include "extents.h"

#define LOOK_MAX	4096u	/* chunks, in one request */
#define SCAN_MAX	64u	/* times that the list is walked for it */

static const struct flint_chunk *chunk_at(const struct flint_index *ix,
					  const struct flint_inode *in, u32 index)
{
	const struct flint_chunk *c = flint_chunk_find(ix, in->fs, in->ino, index);

	return c && c->version && !(c->flags & FLINT_CHUNK_DEAD) ? c : NULL;
}

/* The chunk with the lowest index that is not below @from, or NULL. */
static const struct flint_chunk *chunk_from(const struct flint_index *ix,
					    const struct flint_inode *in, u32 from)
{
	const struct flint_chunk *best = NULL;
	u32 slot;

	for (slot = in->chunks; slot; slot = flint_chunk_at(ix, slot)->next) {
		const struct flint_chunk *c = flint_chunk_at(ix, slot);

		if (c->version && !(c->flags & FLINT_CHUNK_DEAD) && c->index >= from &&
		    (!best || c->index < best->index))
			best = c;
	}
	return best;
}

/* The first bytes at or above *@at that are there. Return: how many, 0: none. */
static u32 chunk_data(const struct flint_chunk *c, u32 bs, u32 *at)
{
	u32 pos = *at, end, run, dev;
	bool inside = false;

	while (pos < c->size) {
		run = flint_chunk_run(c, pos >> bs, ~0u, &dev);
		end = c->size;
		if (((u64)(pos >> bs) + run) << bs < end)
			end = ((pos >> bs) + run) << bs;
		if (dev && !inside) {
			*at = pos;
			inside = true;
		} else if (!dev && inside) {
			return pos - *at;
		}
		pos = end;
	}
	return inside ? c->size - *at : 0;
}

static bool joins(const struct flint_extent *e, u32 index, u32 offset, u32 len, u32 width)
{
	return le32_to_cpu(e->offset) == offset && le32_to_cpu(e->length) == len && !offset &&
	       (u64)le32_to_cpu(e->index) + (u64)le32_to_cpu(e->count) * width == index;
}

u32 flint_extents_find(const struct flint_index *ix, u32 bs, const struct flint_inode *in,
		       u32 index, u32 offset, u32 width, struct flint_extents *h,
		       struct flint_extent *e)
{
	const struct flint_chunk *c;
	u32 nr = 0, looked, scans = 0, len;

	for (looked = 0; looked < LOOK_MAX; looked++) {
		c = chunk_at(ix, in, index);
		if (!c) {
			if (scans++ == SCAN_MAX)
				goto more;
			c = chunk_from(ix, in, index);
			if (!c)
				goto all;
			index = c->index;
			offset = 0;
		}
		while ((len = chunk_data(c, bs, &offset))) {
			if (nr && joins(&e[nr - 1], index, offset, len, width)) {
				e[nr - 1].count = cpu_to_le32(le32_to_cpu(e[nr - 1].count) + 1);
			} else if (nr < FLINT_EXTENTS_MAX) {
				e[nr++] = (struct flint_extent){
					.index = cpu_to_le32(index), .count = cpu_to_le32(1),
					.offset = cpu_to_le32(offset), .length = cpu_to_le32(len),
				};
			} else {
				goto more;
			}
			offset += len;
		}
		if (index > UINT32_MAX - width)
			goto all;
		index += width;
		offset = 0;
	}
more:
	h->next_index = cpu_to_le32(index);
	h->next_offset = cpu_to_le32(offset);
all:
	h->nr = cpu_to_le32(nr);
	return nr;
}
