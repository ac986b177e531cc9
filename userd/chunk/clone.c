// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CLONE: a chunk becomes what another one of the same target is, without moving
 * data: both name the same blocks until one of them is changed, which always
 * happens in new blocks.
 *
 * The source is looked at, its blocks are counted as shared, and the record that
 * names them and their CRCs is logged, all at one instant. So a change of the
 * source that is logged before or after frees nothing that the clone names, and
 * replay needs nothing but the record.
 */
#include "store.h"

/* The chunk to be cloned; @c NULL: there is none. Return: enum flint_status. */
static u32 source_find(struct flint_sop *op, struct flint_chunk **c)
{
	struct flint_store *st = op->st;
	struct flint_inode *in = flint_inode_find(&st->index, op->fs, op->src_ino);

	*c = NULL;
	if (op->src_ino == op->ino && op->src_index == op->index)
		return op->given ? FLINT_ST_NEED_WHOLE : FLINT_ST_BAD_REQUEST;
	if (in && (op->src_gen < in->adm_gen ||
		   (op->src_gen == in->gen && ((in->flags & FLINT_CUT_REMOVE) ||
					       op->src_epoch < in->epoch))))
		return op->given ? FLINT_ST_NEED_WHOLE : FLINT_ST_STALE_EPOCH;
	if (in && op->src_gen == in->gen)
		*c = flint_chunk_find(&st->index, op->fs, op->src_ino, op->src_index);
	if (*c && flint_chunk_half(*c) && !op->given) {
		op->half = true;
		return FLINT_ST_NOT_SERVING;
	}
	if (*c && !(*c)->version)
		*c = NULL;
	if (op->given && (*c ? (*c)->version : 0) != op->src_version)
		return FLINT_ST_NEED_WHOLE;
	if (op->given && *c && (*c)->tag != op->src_tag)
		return FLINT_ST_NEED_WHOLE;
	if (*c && (*c)->shift != op->shift)
		return op->given ? FLINT_ST_NEED_WHOLE : FLINT_ST_BAD_REQUEST;
	return FLINT_OK;
}

/* One more reference to each block of @c. Return: 0 or -ENOMEM (none was taken). */
static int share_blocks(struct flint_store *st, const struct flint_chunk *c)
{
	u32 blk, dev;

	for (blk = 0; blk < c->nr_blocks; blk++) {
		dev = flint_chunk_block(c, blk);
		if (!dev || !flint_share_add(&st->share, dev - 1))
			continue;
		while (blk--) {
			dev = flint_chunk_block(c, blk);
			if (dev)
				flint_share_drop(&st->share, dev - 1);
		}
		return -ENOMEM;
	}
	return 0;
}

static void clone_logged(struct flint_wal_waiter *w, int err)
{
	flint_sop_applied((void *)((u8 *)w - offsetof(struct flint_sop, wal)), err);
}

void flint_clone_begin(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	struct flint_rec_chunk *r;
	struct flint_chunk *src;
	u32 status = source_find(op, &src), len, grow;

	/* Replicas behind us may have to take a copy. */
	grow = status == FLINT_OK && src && !op->given ? flint_chunk_used(src) : 0;
	if (status == FLINT_OK)
		status = flint_room_behind(st, grow);
	if (status == EAGAIN) {
		flint_sop_block(op, flint_update_begin);
		return;
	}
	if (status != FLINT_OK) {
		flint_sop_finish(op, status);
		return;
	}
	len = src ? flint_snapshot_len(st, src) : (u32)sizeof(*r);
	r = flint_wal_reserve(&st->wal, len);
	if (!r) {
		flint_sop_block(op, flint_update_begin);
		return;
	}
	if (src && share_blocks(st, src)) {
		flint_sop_finish(op, ENOMEM);
		return;
	}
	memset(r, 0, len);
	r->keep = cpu_to_le32(~0u);
	r->shift = op->shift;
	r->h.type = cpu_to_le16(FLINT_REC_CHUNK);
	r->h.len = cpu_to_le32(len);
	if (src)
		flint_snapshot_fill(st, src, r);
	r->h.flags = cpu_to_le16(FLINT_REC_EMPTY | FLINT_REC_SHARED);
	op->src_version = src ? src->version : 0;
	op->src_tag = src ? src->tag : 0;
	op->new_size = src ? src->size : 0;
	op->length = op->new_size;
	op->rep.io.length = cpu_to_le32(op->length);
	flint_update_identity(op, r);
	flint_sop_grow(op, grow);
	flint_sop_count(op, flint_inode_at(&st->index, op->chunk->inode));
	op->wal.done = clone_logged;
	flint_wal_commit(&st->wal, len, 1, &op->wal);
}
