// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One record of the log or of a checkpoint becomes part of the state: the same
 * function for the live system, for replay and for loading a checkpoint.
 *
 * A checkpoint is fuzzy: it may hold effects of records that are replayed on
 * top of it. A chunk record is skipped when the chunk's version is not older. A
 * cut, a drop and a record with FLINT_REC_ALWAYS, which may lower a version, are
 * always carried out again: whatever came after them is in the log after them
 * and, its version being higher then, is carried out again too. What replay
 * passes through need not be consistent; what it ends with is. Blocks are
 * therefore freed in the live system only: after replay the allocator is derived
 * from the index.
 */
#include "store.h"
#include "../base/log.h"

static void old_blocks(void *arg, u32 start, u32 nr)
{
	struct flint_store *st = arg;
	u32 n;

	for (; st->share.nr && nr; start += n, nr -= n) {	/* what others name stays */
		for (n = 0; n < nr && !flint_share_drop(&st->share, start + n); n++)
			;
		if (n)
			flint_alloc_put_later(&st->alloc, start, n);
		n += n < nr;
	}
	if (nr)
		flint_alloc_put_later(&st->alloc, start, nr);
}

static void drop_chunk(struct flint_store *st, struct flint_chunk *c, bool replay)
{
	if (!replay)
		flint_chunk_trim(&st->index, c, 0, old_blocks, st);
	flint_chunk_drop(&st->index, c);
}

static void drop_chunks(struct flint_store *st, struct flint_inode *in, u32 first, bool replay)
{
	u32 slot = in->chunks;

	while (slot) {
		struct flint_chunk *c = flint_chunk_at(&st->index, slot);

		slot = c->next;
		if (c->index >= first)
			drop_chunk(st, c, replay);
	}
}

/*
 * A record speaks of a generation of the inode: a newer one, or any if ours is unsure,
 * begins anew. Return: false if it speaks of an older one.
 */
static bool generation(struct flint_store *st, struct flint_inode *in, u32 gen, bool replay)
{
	bool unsure = in->flags & FLINT_INODE_UNSURE;

	if (gen < in->gen && !unsure)
		return false;
	in->flags &= ~FLINT_INODE_UNSURE;
	if (gen != in->gen) {
		drop_chunks(st, in, 0, replay);
		in->gen = gen;
		in->epoch = 0;
		in->cut_epoch = 0;
		in->flags = 0;
		in->stamp_s = 0;
	}
	if (unsure || in->adm_gen < gen)
		in->adm_gen = gen;
	return true;
}

static int apply_origin(struct flint_store *st, const struct flint_rec_origin *from, u64 version)
{
	struct flint_client *client;

	if (!from->seq)
		return 0;
	client = flint_client_get(&st->windows, from->client, le64_to_cpu(from->session));
	if (!client)
		return -ENOMEM;
	flint_window_done(client, le64_to_cpu(from->seq), le64_to_cpu(from->seq_low),
			  le32_to_cpu(from->print), version, le32_to_cpu(from->length));
	return 0;
}

/* Is the geometry of a chunk record sound? It has passed a CRC, so this is for our own bugs. */
static bool chunk_sound(const struct flint_store *st, const struct flint_rec_chunk *r)
{
	u32 nr_ext = le32_to_cpu(r->nr_ext), nr_crc = le32_to_cpu(r->nr_crc);
	const struct flint_rec_ext *ext = (const void *)(r + 1);
	u32 blocks, crcs, i;

	if (r->shift < FLINT_CHUNK_SHIFT_MIN || r->shift > FLINT_CHUNK_SHIFT_MAX)
		return false;
	blocks = 1u << (r->shift - st->bs);
	crcs = 1u << (r->shift - st->cs);
	if (nr_ext > blocks || nr_crc > crcs || le32_to_cpu(r->first_crc) > crcs - nr_crc ||
	    le32_to_cpu(r->h.len) < sizeof(*r) + nr_ext * sizeof(*ext) + nr_crc * sizeof(u32) ||
	    le32_to_cpu(r->size) > 1u << r->shift || !r->ino)
		return false;
	for (i = 0; i < nr_ext; i++) {
		u32 blk = le32_to_cpu(ext[i].blk), nr = le32_to_cpu(ext[i].nr);
		u32 dev = le32_to_cpu(ext[i].dev);

		if (!nr || blk > blocks || nr > blocks - blk || dev > st->alloc.nr_blocks ||
		    (dev && nr > st->alloc.nr_blocks - dev + 1))
			return false;
	}
	return true;
}

static int chunk_change(struct flint_store *st, struct flint_chunk *c,
			const struct flint_rec_chunk *r, bool replay)
{
	const struct flint_rec_ext *ext = (const void *)(r + 1);
	u32 nr_ext = le32_to_cpu(r->nr_ext), nr_crc = le32_to_cpu(r->nr_crc), i;
	u32 first = le32_to_cpu(r->first_crc);
	const __le32 *crc = (const void *)(ext + nr_ext);

	if (le16_to_cpu(r->h.flags) & FLINT_REC_EMPTY) {
		flint_chunk_trim(&st->index, c, 0, replay ? NULL : old_blocks, st);
		c->shift = r->shift;
		c->flags &= ~FLINT_CHUNK_SHARES;
	}
	if (le16_to_cpu(r->h.flags) & FLINT_REC_SHARED)
		c->flags |= FLINT_CHUNK_SHARES;
	if (le32_to_cpu(r->keep) != ~0u)
		flint_chunk_trim(&st->index, c, le32_to_cpu(r->keep),
				 replay ? NULL : old_blocks, st);
	for (i = 0; i < nr_ext; i++)
		if (flint_chunk_set(&st->index, c, le32_to_cpu(ext[i].blk),
				    le32_to_cpu(ext[i].nr), le32_to_cpu(ext[i].dev),
				    replay ? NULL : old_blocks, st))
			return -ENOMEM;
	if (nr_crc && flint_chunk_crcs(&st->index, c, first + nr_crc))
		return -ENOMEM;
	for (i = 0; i < nr_crc; i++)
		c->crc[first + i] = le32_to_cpu(crc[i]);
	c->size = le32_to_cpu(r->size);
	flint_chunk_stamp(&st->index, c, le64_to_cpu(r->version),
			  le64_to_cpu(r->tag));
	return 0;
}

static int apply_chunk(struct flint_store *st, const struct flint_rec_chunk *r, bool replay)
{
	u32 gen = le32_to_cpu(r->gen), epoch = le32_to_cpu(r->epoch);
	bool snapshot = le16_to_cpu(r->h.flags) & FLINT_REC_SNAPSHOT;
	struct flint_inode *in;
	struct flint_chunk *c;

	if (replay && !chunk_sound(st, r))
		return -EUCLEAN;
	in = flint_inode_get(&st->index, le32_to_cpu(r->fs), le64_to_cpu(r->ino), gen, epoch);
	if (!in)
		return -ENOMEM;
	/* That of a checkpoint is our own word, not the chain's: what was unsure stays so. */
	if (!(snapshot && gen == in->gen) && !generation(st, in, gen, replay))
		goto origin;
	if (epoch > in->epoch)
		in->epoch = epoch;
	c = flint_chunk_get(&st->index, in, le32_to_cpu(r->index), r->shift);
	if (!c)
		return -ENOMEM;
	if (replay && c->version >= le64_to_cpu(r->version) && !snapshot &&
	    !(le16_to_cpu(r->h.flags) & FLINT_REC_ALWAYS))
		goto origin;
	if (chunk_change(st, c, r, replay))
		return -ENOMEM;
origin:
	return apply_origin(st, &r->from, le64_to_cpu(r->version));
}

static int apply_cut(struct flint_store *st, const struct flint_rec_cut *r, bool replay)
{
	u32 gen = le32_to_cpu(r->gen), epoch = le32_to_cpu(r->epoch);
	u32 first = le32_to_cpu(r->first);
	struct flint_inode *in;

	in = flint_inode_get(&st->index, le32_to_cpu(r->fs), le64_to_cpu(r->ino), gen, epoch);
	if (!in)
		return -ENOMEM;
	if (!generation(st, in, gen, replay))
		return 0;
	if (first != ~0u)
		drop_chunks(st, in, first, replay);
	if (epoch > in->epoch)
		in->epoch = epoch;
	in->cut_epoch = epoch;
	in->flags |= le32_to_cpu(r->flags) & FLINT_CUT_REMOVE;
	in->stamp_s = le64_to_cpu(r->stamp_s);
	return 0;
}

static int apply_drop(struct flint_store *st, const struct flint_rec_drop *r, bool replay)
{
	struct flint_chunk *c = flint_chunk_find(&st->index, le32_to_cpu(r->fs),
						 le64_to_cpu(r->ino), le32_to_cpu(r->index));
	struct flint_inode *in;

	if (!c)
		return 0;
	in = flint_inode_at(&st->index, c->inode);
	drop_chunk(st, c, replay);
	flint_inode_tidy(&st->index, in);
	return 0;
}

/* Of a checkpoint, or what another replica knows: the newer of each field counts. */
static int apply_inode(struct flint_store *st, const struct flint_rec_inode *r, bool replay)
{
	u32 gen = le32_to_cpu(r->gen), epoch = le32_to_cpu(r->epoch);
	struct flint_inode *in;

	in = flint_inode_get(&st->index, le32_to_cpu(r->fs), le64_to_cpu(r->ino), gen, epoch);
	if (!in)
		return -ENOMEM;
	if (!generation(st, in, gen, replay))
		return 0;
	if (epoch > in->epoch)
		in->epoch = epoch;
	if (le32_to_cpu(r->cut_epoch) > in->cut_epoch)
		in->cut_epoch = le32_to_cpu(r->cut_epoch);
	if (le64_to_cpu(r->stamp_s) > in->stamp_s)
		in->stamp_s = le64_to_cpu(r->stamp_s);
	in->flags |= le32_to_cpu(r->flags) & (FLINT_CUT_REMOVE | FLINT_INODE_UNSURE);
	return 0;
}

static int apply_client(struct flint_store *st, const struct flint_rec_client *r)
{
	const struct flint_rec_seq *s = (const void *)(r + 1);
	u32 nr = le32_to_cpu(r->nr), i;
	struct flint_client *c;

	if (nr > (le32_to_cpu(r->h.len) - sizeof(*r)) / sizeof(*s))
		return -EUCLEAN;
	c = flint_client_get(&st->windows, r->client, le64_to_cpu(r->session));
	if (!c)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		flint_window_merge(c, le64_to_cpu(s[i].seq), le64_to_cpu(r->seq_low),
				   le32_to_cpu(s[i].print), le64_to_cpu(s[i].version),
				   le32_to_cpu(s[i].length));
	if (le64_to_cpu(r->seq_low) > c->seq_low)
		c->seq_low = le64_to_cpu(r->seq_low);
	if (le16_to_cpu(r->h.flags) & FLINT_REC_SNAPSHOT)
		c->stamp_s = le64_to_cpu(r->stamp_s);
	return 0;
}

static u32 rec_min(u16 type)
{
	switch (type) {
	case FLINT_REC_CHUNK:
		return sizeof(struct flint_rec_chunk);
	case FLINT_REC_CUT:
		return sizeof(struct flint_rec_cut);
	case FLINT_REC_ZEROED:
		return sizeof(struct flint_rec_zeroed);
	case FLINT_REC_INODE:
		return sizeof(struct flint_rec_inode);
	case FLINT_REC_CLIENT:
		return sizeof(struct flint_rec_client);
	case FLINT_REC_RESULT:
		return sizeof(struct flint_rec_result);
	case FLINT_REC_DROP:
		return sizeof(struct flint_rec_drop);
	case FLINT_REC_FORGET:
		return sizeof(struct flint_rec_hdr);
	default:
		return ~0u;
	}
}

int flint_store_apply(struct flint_store *st, const struct flint_rec_hdr *h, bool replay)
{
	u16 type = le16_to_cpu(h->type);

	if (le32_to_cpu(h->len) < rec_min(type))
		return -EUCLEAN;
	switch (type) {
	case FLINT_REC_CHUNK:
		return apply_chunk(st, (const void *)h, replay);
	case FLINT_REC_CUT:
		return apply_cut(st, (const void *)h, replay);
	case FLINT_REC_ZEROED:
		flint_alloc_zeroed(&st->alloc,
				   (u32)le64_to_cpu(((const struct flint_rec_zeroed *)h)->blocks));
		return 0;
	case FLINT_REC_DROP:
		return apply_drop(st, (const void *)h, replay);
	case FLINT_REC_FORGET:
		flint_windows_forget(&st->windows);
		flint_index_doubt(&st->index);
		return 0;
	case FLINT_REC_INODE:
		return apply_inode(st, (const void *)h, replay);
	case FLINT_REC_CLIENT:
		return apply_client(st, (const void *)h);
	case FLINT_REC_RESULT: {
		const struct flint_rec_result *r = (const void *)h;

		return apply_origin(st, &r->from, le64_to_cpu(r->version));
	}
	default:
		return -EUCLEAN;
	}
}
