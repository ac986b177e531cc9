// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CUT: an inode's data at and beyond a size is removed, or all of it.
 *
 * From the moment a CUT begins, requests with an older generation or truncate
 * epoch are refused and other changes of the inode wait. Changes that were
 * under way look again before they are logged. So the log's order is: changes
 * that were logged before, the CUT, changes that were planned after it.
 *
 * Changes that are held (store.h) end before the CUT goes on, so that a CUT has
 * the same place in the order of changes at every replica of the chain.
 *
 * The chunk in which the new end lies is shortened first (its last block is
 * rewritten with zeros behind the end); its record and the CUT's go into one
 * group, so that a crash sees both or neither.
 */
#include <stdlib.h>
#include "store.h"

static struct flint_inode *cut_inode(struct flint_sop *op)
{
	return flint_inode_find(&op->st->index, op->fs, op->ino);
}

void flint_inode_park(struct flint_inode *in, struct flint_sop *op,
		      void (*resume)(struct flint_sop *op))
{
	op->resume = resume;
	op->next = in->parked;
	in->parked = op;
}

void flint_inode_unpark(struct flint_store *st, struct flint_inode *in)
{
	struct flint_sop *op = in->parked;

	in->parked = NULL;
	while (op) {
		struct flint_sop *next = op->next;

		flint_sop_block(op, op->resume);
		op = next;
	}
	st->unblock = true;
	st->kick(st->kick_arg);
}

void flint_cut_end(struct flint_sop *op, u32 status)
{
	struct flint_inode *in = cut_inode(op);

	flint_chunk_release(op);
	if (in && !op->already) {
		in->cuts--;
		flint_inode_unpark(op->st, in);
	}
	flint_sop_finish(op, status);
}

/* Blocks that a CUT from chunk @first on gives up. */
static u64 cut_blocks(const struct flint_sop *op, const struct flint_inode *in, u32 first)
{
	const struct flint_index *ix = &op->st->index;
	u64 n = 0;
	u32 slot;

	if (first == ~0u)
		return 0;
	for (slot = in->chunks; slot; slot = flint_chunk_at(ix, slot)->next)
		if (flint_chunk_at(ix, slot)->index >= first)
			n += flint_chunk_used(flint_chunk_at(ix, slot));
	return n;
}

static void cut_logged(struct flint_wal_waiter *w, int err)
{
	struct flint_sop *op = (void *)((u8 *)w - offsetof(struct flint_sop, wal));

	op->nr_new = 0;
	flint_sop_applied(op, err);
}

/* First chunk that goes as a whole; ~0: none. */
static u32 cut_first(const struct flint_sop *op, const struct flint_inode *in)
{
	u64 size = op->cut_size + (1u << op->shift) - 1;

	if (op->gen != in->gen || (op->cut_flags & FLINT_CUT_REMOVE))
		return 0;
	if (size < op->cut_size || size >> op->shift >= ~0u)
		return ~0u;
	return (u32)(size >> op->shift);
}

void flint_cut_log(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	struct flint_inode *in = cut_inode(op);
	struct flint_chunk *c = op->chunk;
	bool shorten = c && !(c->flags & FLINT_CHUNK_DEAD) && c->size > op->new_size;
	u32 rec = shorten ? flint_update_record_len(op) : 0, first = cut_first(op, in);
	struct flint_rec_cut *r;
	u8 *p = flint_wal_reserve(&st->wal, rec + sizeof(*r));

	if (!p) {
		flint_sop_block(op, flint_cut_log);
		return;
	}
	if (shorten)
		flint_update_record(op, p);
	r = (void *)(p + rec);
	memset(r, 0, sizeof(*r));
	r->h.type = cpu_to_le16(FLINT_REC_CUT);
	r->h.len = cpu_to_le32(sizeof(*r));
	r->ino = cpu_to_le64(op->ino);
	r->fs = cpu_to_le32(op->fs);
	r->gen = cpu_to_le32(op->gen);
	r->epoch = cpu_to_le32(op->epoch);
	r->first = cpu_to_le32(first);
	r->flags = cpu_to_le32(op->cut_flags & FLINT_CUT_REMOVE);
	r->stamp_s = cpu_to_le64(flint_now_s());
	op->freed = cut_blocks(op, in, first) << st->bs;
	op->wal.done = cut_logged;
	flint_wal_commit(&st->wal, rec + sizeof(*r), 1 + shorten, &op->wal);
}

/* Was this CUT, or a later one, carried out already? */
static bool cut_done_before(const struct flint_sop *op, const struct flint_inode *in)
{
	if (op->gen != in->gen)
		return op->gen < in->adm_gen && !(in->flags & FLINT_INODE_UNSURE);
	if (in->flags & FLINT_CUT_REMOVE)
		return true;
	return !(op->cut_flags & FLINT_CUT_REMOVE) && op->epoch <= in->cut_epoch;
}

/* Nothing of the inode is held any more. */
static void cut_go(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	u32 mask = (1u << op->shift) - 1;
	struct flint_inode *in = cut_inode(op);
	struct flint_chunk *c = NULL;

	if (op->gen == in->gen && !(op->cut_flags & FLINT_CUT_REMOVE) &&
	    (op->cut_size & mask) && op->cut_size >> op->shift < ~0u)
		c = flint_chunk_find(&st->index, op->fs, op->ino, op->index);
	if (!c || c->shift != op->shift)
		flint_cut_log(op);
	else if (flint_chunk_take(op, c, flint_update_begin))
		flint_update_begin(op);
}

void flint_cut_start(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	u32 status = op->check ? op->check(op) : FLINT_OK;
	struct flint_inode *in;

	op->freed = 0;
	op->nr_new = 0;
	op->nr_crc = 0;
	op->scratch = NULL;
	op->chunk = NULL;
	op->err = 0;
	op->index = (u32)(op->cut_size >> op->shift);
	in = status == FLINT_OK ?
		flint_inode_get(&st->index, op->fs, op->ino, op->gen, op->epoch) : NULL;
	if (!in) {
		flint_sop_finish(op, status == FLINT_OK ? ENOMEM : status);
		return;
	}
	if (in->cuts) {
		flint_inode_park(in, op, flint_cut_start);
		return;
	}
	if (cut_done_before(op, in)) {
		op->already = true;
		flint_sop_applied(op, 0);
		return;
	}
	in->cuts++;
	in->cut_seq++;
	if (op->gen > in->adm_gen)
		in->adm_gen = op->gen;
	if (op->gen == in->gen && op->epoch > in->epoch)
		in->epoch = op->epoch;
	if (in->held) {
		in->drain = op;
		op->resume = cut_go;
	} else {
		cut_go(op);
	}
}
