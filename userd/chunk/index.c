// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The index: slabs, two hash tables, and the block map of a chunk in its two
 * forms.
 */
#include <stdlib.h>
#include "format.h"
#include "index.h"
#include "../base/hash.h"

/* What a chunk and an inode take in a checkpoint, without maps and CRCs. */
#define CKPT_CHUNK	(sizeof(struct flint_rec_chunk) + sizeof(struct flint_rec_ext) + 8)
#define CKPT_INODE	sizeof(struct flint_rec_inode)

/* The members that every element of a slab begins with. */
struct slab_elem {
	u64 ino;
	u32 link;
};

static u32 slab_get(struct flint_slab *s)
{
	u32 slot = s->free;

	if (slot) {
		s->free = ((struct slab_elem *)flint_slab_at(s, slot))->link;
	} else {
		if (s->high == s->nr_pages * FLINT_SLAB_PAGE) {
			u8 **pages = realloc(s->pages, (s->nr_pages + 1) * sizeof(*pages));

			if (!pages)
				return 0;
			s->pages = pages;
			pages[s->nr_pages] = calloc(FLINT_SLAB_PAGE, s->elem);
			if (!pages[s->nr_pages])
				return 0;
			s->nr_pages++;
		}
		slot = ++s->high;
	}
	memset(flint_slab_at(s, slot), 0, s->elem);
	s->used++;
	return slot;
}

static void slab_put(struct flint_slab *s, u32 slot)
{
	struct slab_elem *e = flint_slab_at(s, slot);

	memset(e, 0, s->elem);
	e->link = s->free;
	s->free = slot;
	s->used--;
}

static void slab_free(struct flint_slab *s)
{
	u32 i;

	for (i = 0; i < s->nr_pages; i++)
		free(s->pages[i]);
	free(s->pages);
}

int flint_index_init(struct flint_index *ix, u64 expect_chunks)
{
	u32 n;

	memset(ix, 0, sizeof(*ix));
	ix->chunk_bits = 10;
	while ((1ull << ix->chunk_bits) < expect_chunks && ix->chunk_bits < 28)
		ix->chunk_bits++;
	n = 1u << ix->chunk_bits;
	ix->chunks.elem = sizeof(struct flint_chunk);
	ix->inodes.elem = sizeof(struct flint_inode);
	ix->inode_mask = n / 4 - 1;
	ix->chunk_hash = calloc(n, sizeof(u32));
	ix->inode_hash = calloc(n / 4, sizeof(u32));
	if (!ix->chunk_hash || !ix->inode_hash) {
		flint_index_free(ix);
		return -ENOMEM;
	}
	return 0;
}

void flint_index_free(struct flint_index *ix)
{
	u32 i;

	for (i = 1; i <= ix->chunks.high; i++) {
		struct flint_chunk *c = flint_chunk_at(ix, i);

		if (c->ino) {
			free(c->map);
			free(c->crc);
		}
	}
	slab_free(&ix->chunks);
	slab_free(&ix->inodes);
	free(ix->chunk_hash);
	free(ix->inode_hash);
	memset(ix, 0, sizeof(*ix));
}

u64 flint_chunk_key(u32 fs, u64 ino, u32 index)
{
	__le64 raw[2] = { cpu_to_le64(ino), cpu_to_le64((u64)fs << 32 | index) };

	return XXH3_64bits(raw, sizeof(raw));
}

static u32 inode_hash(const struct flint_index *ix, u32 fs, u64 ino)
{
	return (u32)flint_chunk_key(fs, ino, ~0u) & ix->inode_mask;
}

static u32 bucket_of(const struct flint_index *ix, u64 key)
{
	return (u32)(key >> (64 - ix->chunk_bits));
}

static u64 chunk_key(const struct flint_index *ix, const struct flint_chunk *c)
{
	return flint_chunk_key(flint_inode_at(ix, c->inode)->fs, c->ino, c->index);
}

/* Double a table whose chains have grown long. A failure only costs speed. */
static void chunk_rehash(struct flint_index *ix)
{
	u32 n = 2u << ix->chunk_bits, i;
	u32 *table = ix->chunk_bits < 31 ? calloc(n, sizeof(*table)) : NULL;

	if (!table)
		return;
	ix->chunk_bits++;
	for (i = 1; i <= ix->chunks.high; i++) {
		struct flint_chunk *c = flint_chunk_at(ix, i);
		u32 h;

		if (!c->ino || (c->flags & FLINT_CHUNK_DEAD))
			continue;
		h = bucket_of(ix, chunk_key(ix, c));
		c->link = table[h];
		table[h] = i;
	}
	free(ix->chunk_hash);
	ix->chunk_hash = table;
}

static void inode_rehash(struct flint_index *ix)
{
	u32 n = (ix->inode_mask + 1) * 2, i;
	u32 *table = calloc(n, sizeof(*table));

	if (!table)
		return;
	ix->inode_mask = n - 1;
	for (i = 1; i <= ix->inodes.high; i++) {
		struct flint_inode *in = flint_inode_at(ix, i);
		u32 h;

		if (!in->ino)
			continue;
		h = inode_hash(ix, in->fs, in->ino);
		in->link = table[h];
		table[h] = i;
	}
	free(ix->inode_hash);
	ix->inode_hash = table;
}

struct flint_chunk *flint_chunk_find(const struct flint_index *ix, u32 fs, u64 ino, u32 index)
{
	u32 slot = ix->chunk_hash[bucket_of(ix, flint_chunk_key(fs, ino, index))];

	while (slot) {
		struct flint_chunk *c = flint_chunk_at(ix, slot);

		if (c->ino == ino && c->index == index && flint_inode_at(ix, c->inode)->fs == fs)
			return c;
		slot = c->link;
	}
	return NULL;
}

struct flint_inode *flint_inode_find(const struct flint_index *ix, u32 fs, u64 ino)
{
	u32 slot = ix->inode_hash[inode_hash(ix, fs, ino)];

	while (slot) {
		struct flint_inode *in = flint_inode_at(ix, slot);

		if (in->ino == ino && in->fs == fs)
			return in;
		slot = in->link;
	}
	return NULL;
}

struct flint_inode *flint_inode_get(struct flint_index *ix, u32 fs, u64 ino, u32 gen, u32 epoch)
{
	struct flint_inode *in = flint_inode_find(ix, fs, ino);
	u32 slot, h;

	if (in)
		return in;
	if (ix->inodes.used > ix->inode_mask * 2)
		inode_rehash(ix);
	slot = slab_get(&ix->inodes);
	if (!slot)
		return NULL;
	in = flint_inode_at(ix, slot);
	in->ino = ino;
	in->fs = fs;
	in->gen = gen;
	in->adm_gen = gen;
	in->epoch = epoch;
	h = inode_hash(ix, fs, ino);
	in->link = ix->inode_hash[h];
	ix->inode_hash[h] = slot;
	ix->ckpt_bytes += CKPT_INODE;
	return in;
}

u32 flint_inode_slot(const struct flint_index *ix, const struct flint_inode *in)
{
	u32 slot = ix->inode_hash[inode_hash(ix, in->fs, in->ino)];

	while (flint_inode_at(ix, slot) != in)
		slot = flint_inode_at(ix, slot)->link;
	return slot;
}

struct flint_chunk *flint_chunk_get(struct flint_index *ix, struct flint_inode *in,
				    u32 index, u8 shift)
{
	struct flint_chunk *c = flint_chunk_find(ix, in->fs, in->ino, index);
	u32 slot, h;

	if (c)
		return c;
	if (ix->chunks.used > 2ull << ix->chunk_bits)
		chunk_rehash(ix);
	slot = slab_get(&ix->chunks);
	if (!slot)
		return NULL;
	c = flint_chunk_at(ix, slot);
	c->ino = in->ino;
	c->slot = slot;
	c->index = index;
	c->shift = shift;
	c->inode = flint_inode_slot(ix, in);
	c->next = in->chunks;
	if (c->next)
		flint_chunk_at(ix, c->next)->prev = slot;
	in->chunks = slot;
	in->nr_chunks++;
	h = bucket_of(ix, flint_chunk_key(in->fs, in->ino, index));
	c->link = ix->chunk_hash[h];
	ix->chunk_hash[h] = slot;
	ix->ckpt_bytes += CKPT_CHUNK;
	return c;
}

/* ---- sums and order ------------------------------------------------------ */

static u64 stamp_sum(u64 key, const struct flint_chunk *c)
{
	__le64 raw[3] = { cpu_to_le64(key), cpu_to_le64(c->version), cpu_to_le64(c->tag) };

	return XXH3_64bits(raw, sizeof(raw));
}

u64 flint_chunk_sum(const struct flint_index *ix, const struct flint_chunk *c)
{
	return stamp_sum(chunk_key(ix, c), c);
}

void flint_chunk_stamp(struct flint_index *ix, struct flint_chunk *c, u64 version, u64 tag)
{
	u64 key = chunk_key(ix, c), *sum = &ix->sums[flint_key_range(key)];

	if (c->flags & FLINT_CHUNK_STAMPED)
		*sum -= stamp_sum(key, c);
	ix->nr_half -= flint_chunk_half(c);
	c->version = version;
	c->tag = tag;
	c->flags |= FLINT_CHUNK_STAMPED;
	*sum += stamp_sum(key, c);
	ix->nr_half += flint_chunk_half(c);
}

u32 flint_chunk_next(const struct flint_index *ix, u64 from, u64 *key,
		     struct flint_chunk **list, u32 max)
{
	u32 b = bucket_of(ix, from), slot, n = 0;

	for (;; b++) {
		for (slot = ix->chunk_hash[b]; slot; slot = flint_chunk_at(ix, slot)->link) {
			struct flint_chunk *c = flint_chunk_at(ix, slot);
			u64 k = chunk_key(ix, c);

			if (k < from || !(c->flags & FLINT_CHUNK_STAMPED) || (n && k > *key))
				continue;
			if (n && k < *key)
				n = 0;
			*key = k;
			if (n < max)
				list[n] = c;
			n++;
		}
		if (n || b == (u32)((1ull << ix->chunk_bits) - 1))
			return n;
	}
}

static void chunk_memory_free(struct flint_index *ix, struct flint_chunk *c)
{
	ix->bytes -= (u64)(c->cap_map + c->cap_crc) * sizeof(u32);
	ix->ckpt_bytes -= (u64)c->cap_map * sizeof(struct flint_rec_ext) +
			  (u64)c->cap_crc * sizeof(u32);
	free(c->map);
	free(c->crc);
	c->map = NULL;
	c->crc = NULL;
	c->cap_map = 0;
	c->cap_crc = 0;
}

void flint_chunk_forget(struct flint_index *ix, struct flint_chunk *c)
{
	flint_inode_at(ix, c->inode)->nr_chunks--;
	slab_put(&ix->chunks, c->slot);
}

void flint_chunk_drop(struct flint_index *ix, struct flint_chunk *c)
{
	struct flint_inode *in = flint_inode_at(ix, c->inode);
	u32 *p = &ix->chunk_hash[bucket_of(ix, chunk_key(ix, c))];

	while (*p != c->slot)
		p = &flint_chunk_at(ix, *p)->link;
	*p = c->link;
	if (c->prev)
		flint_chunk_at(ix, c->prev)->next = c->next;
	else
		in->chunks = c->next;
	if (c->next)
		flint_chunk_at(ix, c->next)->prev = c->prev;
	if (c->flags & FLINT_CHUNK_STAMPED)
		ix->sums[flint_key_range(chunk_key(ix, c))] -= flint_chunk_sum(ix, c);
	ix->nr_half -= flint_chunk_half(c);
	c->flags &= ~FLINT_CHUNK_STAMPED;
	chunk_memory_free(ix, c);
	ix->ckpt_bytes -= CKPT_CHUNK;
	c->flags |= FLINT_CHUNK_DEAD;
	c->nr_blocks = 0;
	if (!c->owner)
		flint_chunk_forget(ix, c);
}

bool flint_inode_idle(const struct flint_inode *in)
{
	return !in->nr_chunks && !in->cuts && !in->held && !in->parked;
}

void flint_inode_drop(struct flint_index *ix, struct flint_inode *in)
{
	u32 slot = flint_inode_slot(ix, in);
	u32 *p = &ix->inode_hash[inode_hash(ix, in->fs, in->ino)];

	while (*p != slot)
		p = &flint_inode_at(ix, *p)->link;
	*p = in->link;
	ix->ckpt_bytes -= CKPT_INODE;
	slab_put(&ix->inodes, slot);
}

void flint_inode_tidy(struct flint_index *ix, struct flint_inode *in)
{
	if (flint_inode_idle(in) && !in->epoch && !in->cut_epoch && !in->stamp_s &&
	    !(in->flags & ~FLINT_INODE_UNSURE))
		flint_inode_drop(ix, in);
}

void flint_index_doubt(struct flint_index *ix)
{
	u32 slot;

	for (slot = 1; slot <= ix->inodes.high; slot++) {
		struct flint_inode *in = flint_inode_at(ix, slot);

		if (!in->ino)
			continue;
		in->epoch = 0;
		in->cut_epoch = 0;
		in->stamp_s = 0;
		in->flags = FLINT_INODE_UNSURE;
		flint_inode_tidy(ix, in);
	}
}

u32 flint_chunk_run(const struct flint_chunk *c, u32 blk, u32 max, u32 *dev)
{
	u32 n = 1, d = flint_chunk_block(c, blk);

	*dev = d;
	if (blk >= c->nr_blocks)
		return max;
	if (c->nr_blocks - blk < max)
		max = c->nr_blocks - blk;
	if (!(c->flags & FLINT_CHUNK_MAPPED))
		return max;
	while (n < max && c->map[blk + n] == (d ? d + n : 0))
		n++;
	return n;
}

u32 flint_chunk_used(const struct flint_chunk *c)
{
	u32 i, n = 0;

	if (!(c->flags & FLINT_CHUNK_MAPPED))
		return c->nr_blocks;
	for (i = 0; i < c->nr_blocks; i++)
		n += c->map[i] != 0;
	return n;
}

/* Let an array of words have room for @nr; what is new is zero. */
static int array_grow(struct flint_index *ix, u32 **array, u32 *cap, u32 nr, u32 ckpt)
{
	u32 want = *cap ? *cap : 4, *p;

	if (nr <= *cap)
		return 0;
	while (want < nr)
		want *= 2;
	p = realloc(*array, want * sizeof(u32));
	if (!p)
		return -ENOMEM;
	memset(p + *cap, 0, (want - *cap) * sizeof(u32));
	ix->bytes += (u64)(want - *cap) * sizeof(u32);
	ix->ckpt_bytes += (u64)(want - *cap) * ckpt;
	*array = p;
	*cap = want;
	return 0;
}

int flint_chunk_crcs(struct flint_index *ix, struct flint_chunk *c, u32 nr)
{
	return array_grow(ix, &c->crc, &c->cap_crc, nr, sizeof(u32));
}

/* From (start, nr_blocks) to a map with room for @nr blocks. */
static int chunk_make_map(struct flint_index *ix, struct flint_chunk *c, u32 nr)
{
	u32 i;

	if (array_grow(ix, &c->map, &c->cap_map, nr, sizeof(struct flint_rec_ext)))
		return -ENOMEM;
	if (!(c->flags & FLINT_CHUNK_MAPPED)) {
		for (i = 0; i < c->nr_blocks; i++)
			c->map[i] = c->start + i + 1;
		for (; i < c->cap_map; i++)
			c->map[i] = 0;
		c->flags |= FLINT_CHUNK_MAPPED;
	}
	return 0;
}

/* Back to (start, nr_blocks) when the blocks are consecutive. */
static void chunk_flatten(struct flint_index *ix, struct flint_chunk *c)
{
	u32 dev, n;

	if (!(c->flags & FLINT_CHUNK_MAPPED))
		return;
	while (c->nr_blocks && !c->map[c->nr_blocks - 1])
		c->nr_blocks--;
	if (c->nr_blocks) {
		n = flint_chunk_run(c, 0, c->nr_blocks, &dev);
		if (n < c->nr_blocks || !dev)
			return;
		c->start = dev - 1;
	}
	c->flags &= ~FLINT_CHUNK_MAPPED;
	ix->bytes -= (u64)c->cap_map * sizeof(u32);
	ix->ckpt_bytes -= (u64)c->cap_map * sizeof(struct flint_rec_ext);
	free(c->map);
	c->map = NULL;
	c->cap_map = 0;
}

static void report_old(const struct flint_chunk *c, u32 blk, u32 end,
		       void (*old)(void *arg, u32 start, u32 nr), void *arg)
{
	while (old && blk < end && blk < c->nr_blocks) {
		u32 dev, n = flint_chunk_run(c, blk, end - blk, &dev);

		if (dev)
			old(arg, dev - 1, n);
		blk += n;
	}
}

int flint_chunk_set(struct flint_index *ix, struct flint_chunk *c, u32 blk, u32 nr, u32 dev,
		    void (*old)(void *arg, u32 start, u32 nr), void *arg)
{
	bool flat = !(c->flags & FLINT_CHUNK_MAPPED);
	u32 i, end = blk + nr;

	if (!dev && blk >= c->nr_blocks)
		return 0;
	if (dev && blk == 0 && nr >= c->nr_blocks) {	/* replaces all of it */
		report_old(c, 0, c->nr_blocks, old, arg);
		if (!flat)
			c->nr_blocks = 0;
		chunk_flatten(ix, c);
		c->start = dev - 1;
		c->nr_blocks = (u16)nr;
		return 0;
	}
	if (dev && flat && blk == c->nr_blocks && dev - 1 == c->start + blk) {
		c->nr_blocks = (u16)end;
		return 0;
	}
	if (chunk_make_map(ix, c, end > c->nr_blocks ? end : c->nr_blocks))
		return -ENOMEM;
	report_old(c, blk, end, old, arg);
	for (i = blk; i < end; i++)
		c->map[i] = dev ? dev + (i - blk) : 0;
	if (end > c->nr_blocks)
		c->nr_blocks = (u16)end;
	if (!dev || nr * 2 >= c->nr_blocks)
		chunk_flatten(ix, c);
	return 0;
}

void flint_chunk_trim(struct flint_index *ix, struct flint_chunk *c, u32 keep,
		      void (*old)(void *arg, u32 start, u32 nr), void *arg)
{
	if (keep >= c->nr_blocks)
		return;
	report_old(c, keep, c->nr_blocks, old, arg);
	if (c->flags & FLINT_CHUNK_MAPPED)
		memset(c->map + keep, 0, (c->nr_blocks - keep) * sizeof(u32));
	c->nr_blocks = (u16)keep;
	chunk_flatten(ix, c);
}

u64 flint_index_memory(const struct flint_index *ix)
{
	return ix->bytes + (u64)ix->chunks.nr_pages * FLINT_SLAB_PAGE * sizeof(struct flint_chunk) +
	       (u64)ix->inodes.nr_pages * FLINT_SLAB_PAGE * sizeof(struct flint_inode) +
	       ((1ull << ix->chunk_bits) + ix->inode_mask + 1) * sizeof(u32);
}
