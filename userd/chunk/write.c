// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changing a chunk: WRITE, PUNCH, and the part of CUT that shortens the chunk
 * in which the new end lies. All three are one update of a range [from, to) of
 * the chunk, with data or with zeros:
 *
 *	flint_write_start	window entered; find the chunk, wait for it
 *	flint_update_begin	ours: plan, allocate, read the blocks at the edges
 *	update_merge		check the old content, lay the new over it, CRCs
 *	update_write		new blocks to the device
 *	update_log		admission again, one record
 *	update_logged		durable and applied: answer
 *
 * A replica in front of us, recovery and repair make changes too, in the same
 * way: what they are is given, only whether they fit is found out here.
 *
 * A range is written in whole allocation blocks. The block at either edge that
 * is covered in part is built in scratch memory; what lies between goes to the
 * device from the payload's own buffer.
 */
#include <stdlib.h>
#include "store.h"
#include "../base/crc.h"
#include "../base/log.h"

static void update_merge(struct flint_sop *op);
static void update_log(struct flint_sop *op);
static bool payload_sound(const struct flint_sop *op);

/* Give back blocks that no record names. */
static void update_abandon(struct flint_sop *op)
{
	u32 i;

	for (i = 0; i < op->nr_new; i++)
		flint_alloc_put(&op->st->alloc, op->new_ext[i].start, op->new_ext[i].nr);
	op->nr_new = 0;
	flint_sop_plan(op, false);
	flint_sop_grow(op, 0);
	if (op->scratch) {
		flint_scratch_put(op->st, op->scratch);
		op->scratch = NULL;
	}
}

static void update_fail(struct flint_sop *op, u32 status)
{
	update_abandon(op);
	if (op->kind == FLINT_SOP_CUT)
		flint_cut_end(op, status);
	else
		flint_sop_finish(op, status);
}

/* A CUT is under way on the inode: start again when it is over. */
static void update_park(struct flint_sop *op, struct flint_inode *in)
{
	update_abandon(op);
	flint_inode_park(in, op, flint_write_start);	/* first: that keeps the inode's record */
	flint_chunk_release(op);
}

/* A CUT went by while this waited: what it read may be gone. It begins anew. */
static bool update_overtaken(struct flint_sop *op, struct flint_inode *in)
{
	if ((op->cut_seq == in->cut_seq || flint_chunk_host(op, op->chunk)) &&
	    !(op->chunk->flags & FLINT_CHUNK_DEAD))
		return false;
	update_park(op, in);
	if (!in->cuts)
		flint_inode_unpark(op->st, in);
	return true;
}

/*
 * Old content that was to be kept is damaged. A client's change begins anew when
 * it is repaired; what a predecessor gave asks it for the whole chunk; a CUT is
 * sent again by who sent it.
 */
static void update_mend(struct flint_sop *op, u32 status)
{
	struct flint_store *st = op->st;
	bool again = !op->given && op->kind != FLINT_SOP_CUT;

	if (st->offline || !st->damaged) {
		again = false;
	} else if (again) {
		update_abandon(op);
		flint_chunk_release(op);
		if (st->damaged(st->damaged_arg, op, flint_write_start))
			return;
	} else {
		st->damaged(st->damaged_arg, op, NULL);
	}
	update_fail(op, op->given && op->kind != FLINT_SOP_CUT ? FLINT_ST_NEED_WHOLE : status);
}

/* ---- start -------------------------------------------------------------- */

/* The inode number is used again: an internal CUT removes what the old one left. */
static bool raise_generation(struct flint_store *st, struct flint_inode *in, u32 gen, u32 epoch)
{
	struct flint_sop *cut = calloc(1, sizeof(*cut));

	if (!cut)
		return false;
	cut->kind = FLINT_SOP_CUT;
	cut->internal = true;
	cut->fs = in->fs;
	cut->ino = in->ino;
	cut->gen = gen;
	cut->epoch = epoch;
	cut->shift = FLINT_CHUNK_SHIFT_DEF;
	cut->st = st;
	st->inflight++;
	flint_cut_start(cut);
	return true;
}

/* Nothing to change, but the result must be remembered. */
static void result_logged(struct flint_wal_waiter *w, int err)
{
	struct flint_sop *op = (void *)((u8 *)w - offsetof(struct flint_sop, wal));

	op->applied = !err;
	flint_sop_finish(op, err ? EIO : FLINT_OK);
}

static void origin_fill(const struct flint_sop *op, struct flint_rec_origin *o)
{
	memset(o, 0, sizeof(*o));
	if (!op->seq || op->kind == FLINT_SOP_CUT || op->kind == FLINT_SOP_REPAIR ||
	    (op->kind == FLINT_SOP_REPLACE && !(op->whole & FLINT_FWD_LAST)))
		return;
	memcpy(o->client, op->client, sizeof(o->client));
	o->session = cpu_to_le64(op->session);
	o->seq = cpu_to_le64(op->seq);
	o->seq_low = cpu_to_le64(op->seq_low);
	o->print = cpu_to_le32(op->print);
	o->length = op->rep.io.length;
}

static void result_log(struct flint_sop *op)
{
	struct flint_rec_result *r = flint_wal_reserve(&op->st->wal, sizeof(*r));

	if (!r) {
		flint_sop_block(op, result_log);
		return;
	}
	memset(r, 0, sizeof(*r));
	r->h.type = cpu_to_le16(FLINT_REC_RESULT);
	r->h.len = cpu_to_le32(sizeof(*r));
	r->version = op->rep.io.version;
	origin_fill(op, &r->from);
	op->wal.done = result_logged;
	flint_wal_commit(&op->st->wal, sizeof(*r), 1, &op->wal);
}

static bool makes_chunk(const struct flint_sop *op)
{
	return op->kind == FLINT_SOP_WRITE || op->kind == FLINT_SOP_REPLACE ||
	       op->kind == FLINT_SOP_HOLD || op->kind == FLINT_SOP_CLONE;
}

/* Is it a change within a chunk, whose size must be what the request says? */
static bool fits_shift(const struct flint_sop *op)
{
	return op->kind == FLINT_SOP_WRITE || op->kind == FLINT_SOP_PUNCH ||
	       op->kind == FLINT_SOP_CLONE ||
	       (op->kind == FLINT_SOP_REPLACE && !(op->whole & FLINT_FWD_FIRST));
}

/*
 * A change that was given to us before a CUT that is done here: it was done
 * then. This is a copy that was long on its way.
 */
static bool given_stale(const struct flint_sop *op, const struct flint_inode *in)
{
	if (!op->given || op->kind == FLINT_SOP_HOLD || (in->flags & FLINT_INODE_UNSURE))
		return false;
	if (op->gen != in->gen)
		return op->gen < in->gen;
	return op->seq && ((in->flags & FLINT_CUT_REMOVE) || op->epoch < in->cut_epoch);
}

/* There is no chunk, and the change does not make one. */
static void write_nothing(struct flint_sop *op)
{
	op->have_version = 0;
	op->have_tag = 0;
	if (op->kind == FLINT_SOP_DROP) {
		op->already = true;
		flint_sop_applied(op, 0);
	} else if (op->kind == FLINT_SOP_PUNCH && !op->given) {
		result_log(op);
	} else if (op->kind == FLINT_SOP_PUNCH && op->was_done && !op->syncing) {
		flint_sop_finish(op, FLINT_OK);
	} else if (op->given && !makes_chunk(op)) {
		flint_sop_finish(op, FLINT_ST_NEED_WHOLE);
	} else {
		flint_sop_finish(op, ENOSPC);
	}
}

void flint_write_start(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	struct flint_inode *in;
	struct flint_chunk *c;
	u32 status;

	memset(&op->rep.io, 0, sizeof(op->rep.io));
	op->rep.io.crc_shift = st->cs;
	/* A piece says nothing of what the client wrote; a clone's length is that of the chunk. */
	op->rep.io.length = cpu_to_le32(op->kind == FLINT_SOP_REPLACE ? op->size : op->length);
	op->nr_new = 0;
	op->scratch = NULL;
	op->chunk = NULL;
	op->err = 0;
	in = flint_inode_get(&st->index, op->fs, op->ino, op->gen, op->epoch);
	if (!in) {
		flint_sop_finish(op, ENOMEM);
		return;
	}
	status = flint_sop_admit(st, op, in);
	if (status != FLINT_OK) {
		flint_sop_finish(op, status);
		return;
	}
	if (given_stale(op, in)) {
		flint_sop_finish(op, FLINT_OK);
		return;
	}
	if (op->kind == FLINT_SOP_HOLD) {
		op->gen = in->gen;
		op->epoch = in->epoch;
	} else if (!in->cuts && op->gen != in->gen && op->kind != FLINT_SOP_DROP &&
		   !raise_generation(st, in, op->gen, op->epoch)) {
		flint_sop_finish(op, ENOMEM);
		return;
	}
	c = flint_chunk_find(&st->index, op->fs, op->ino, op->index);
	if (in->cuts && !flint_chunk_host(op, c)) {
		update_park(op, in);
		return;
	}
	if (!c && makes_chunk(op) && (op->given || !flint_store_index_full(st)))
		c = flint_chunk_get(&st->index, in, op->index,
				    op->kind == FLINT_SOP_HOLD ? 0 : op->shift);
	if (!c) {
		write_nothing(op);
		return;
	}
	if (!c->shift)		/* made by who only looked */
		c->shift = op->kind == FLINT_SOP_HOLD ? 0 : op->shift;
	if (c->shift != op->shift && fits_shift(op))
		flint_sop_finish(op, op->given ? FLINT_ST_NEED_WHOLE : FLINT_ST_BAD_REQUEST);
	else if (flint_chunk_take(op, c, flint_update_begin))
		flint_update_begin(op);
}

/* ---- plan --------------------------------------------------------------- */

/* What of the chunk changes. Return: false if nothing does. */
static bool update_range(struct flint_sop *op)
{
	const struct flint_chunk *c = op->chunk;
	u32 bmask = (1u << op->st->bs) - 1;

	op->keep = ~0u;
	op->from = op->offset;
	op->to = op->offset + op->length;
	op->zero = op->kind != FLINT_SOP_WRITE;
	op->new_size = c->size;
	switch (op->kind) {
	case FLINT_SOP_REPLACE:
		op->new_size = op->whole & FLINT_FWD_FIRST ? 0 : c->size;
		op->zero = false;
		if (op->to > op->new_size)
			op->new_size = op->to;
		if (op->whole & FLINT_FWD_LAST)
			op->new_size = op->size;
		return true;
	case FLINT_SOP_REPAIR:
		op->zero = false;
		return op->to <= c->size && !(op->from & bmask) &&
		       (op->to == c->size || !(op->to & bmask));
	case FLINT_SOP_WRITE:
		if (op->to > c->size)
			op->new_size = op->to;
		return true;
	case FLINT_SOP_PUNCH:
		if (op->to >= c->size)	/* beyond the end all is zero anyway */
			op->to = (c->size + bmask) & ~bmask;
		return op->from < c->size;
	default:
		op->from = (u32)(op->cut_size & ((1u << op->shift) - 1));
		op->to = (op->from + bmask) & ~bmask;
		op->keep = op->to >> op->st->bs;
		op->new_size = op->from;
		return op->from < c->size;
	}
}

/* Does the chunk begin anew with this change? */
static bool begins_anew(const struct flint_sop *op)
{
	return op->kind == FLINT_SOP_REPLACE && (op->whole & FLINT_FWD_FIRST);
}

static void plan_edge(struct flint_sop *op, struct flint_edge *e, u32 blk)
{
	u32 start = blk << op->st->bs, end = start + (1u << op->st->bs);
	bool mapped = !begins_anew(op) && flint_chunk_block(op->chunk, blk) != 0;

	e->used = false;
	if (op->from <= start && op->to >= end)
		return;
	if (op->zero && !mapped)
		return;
	e->used = true;
	e->read = mapped && op->kind != FLINT_SOP_REPAIR;	/* that ends with the chunk */
	e->blk = blk;
}

static void plan_edges(struct flint_sop *op)
{
	u32 first, last;

	op->edge[0].used = false;
	op->edge[1].used = false;
	if (op->from >= op->to)
		return;
	first = op->from >> op->st->bs;
	last = (op->to - 1) >> op->st->bs;
	plan_edge(op, &op->edge[0], first);
	if (last != first)
		plan_edge(op, &op->edge[1], last);
}

/* Take blocks for @nr blocks of the chunk from @blk on. */
static bool take_blocks(struct flint_sop *op, u32 blk, u32 nr)
{
	struct flint_alloc *a = &op->st->alloc;
	u32 hint = ~0u, prev;

	prev = blk && !begins_anew(op) ? flint_chunk_block(op->chunk, blk - 1) : 0;
	if (prev && !flint_chunk_block(op->chunk, blk))
		hint = prev;	/* append: behind what is there */
	while (nr) {
		struct flint_run *run = &op->new_ext[op->nr_new];

		if (op->nr_new == FLINT_OP_MAX_RUNS || !flint_alloc_get(a, nr, hint, run))
			return false;
		op->new_blk[op->nr_new++] = blk;
		blk += run->nr;
		nr -= run->nr;
		hint = run->start + run->nr;
	}
	return true;
}

/* Blocks of the range that are holes now. */
static u32 holes(const struct flint_chunk *c, u32 blk, u32 nr)
{
	u32 n = 0, dev, run;

	for (; nr; blk += run, nr -= run) {
		run = flint_chunk_run(c, blk, nr, &dev);
		if (!dev)
			n += run;
	}
	return n;
}

/*
 * Does anything go on that frees blocks? Who waits for space itself, or for one who does,
 * frees none.
 */
static bool space_may_come(const struct flint_store *st)
{
	return st->nr_planned || st->alloc.later || st->wal.busy || st->wal.nr_recs;
}

/* Return: FLINT_OK, ENOSPC, or EAGAIN to wait. */
static u32 plan_blocks(struct flint_sop *op)
{
	struct flint_alloc *a = &op->st->alloc;
	u32 avail = flint_alloc_free_blocks(a), need = 0, grow = 0, i;
	u32 first = op->from >> op->st->bs, status;

	if (op->zero) {
		need = op->edge[0].used + op->edge[1].used;
	} else if (op->from < op->to) {
		need = ((op->to - 1) >> op->st->bs) - first + 1;
		grow = begins_anew(op) ? need : holes(op->chunk, first, need);
	}
	if (op->given)
		grow = 0;
	status = flint_room_behind(op->st, grow);
	if (status == ENOSPC)
		return status;
	if (need > avail || (grow && avail - need < op->st->reserve))
		return !grow && space_may_come(op->st) ? EAGAIN : ENOSPC;
	if (status != FLINT_OK)
		return status;
	if (need > flint_alloc_ready(a))
		return EAGAIN;
	if (!op->zero && !take_blocks(op, first, need))
		return EAGAIN;
	for (i = 0; i < 2 && op->zero; i++)
		if (op->edge[i].used && !take_blocks(op, op->edge[i].blk, 1))
			return EAGAIN;
	flint_sop_grow(op, grow);
	return FLINT_OK;
}

static void edge_done(struct flint_dio *io, int err)
{
	struct flint_sop *op = io->arg;

	if (err)
		op->err = err;
	if (--op->pending)
		return;
	if (op->err) {
		op->st->stats.io_errors++;
		flint_err_rl("%s: cannot read chunk %u of inode %llu to change a part of it: %s",
			     op->st->name, op->index, (unsigned long long)op->ino,
			     strerror(-op->err));
		update_mend(op, EIO);
		return;
	}
	update_merge(op);
}

static void read_edges(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	u32 i, n = 0;

	for (i = 0; i < 2; i++) {
		struct flint_edge *e = &op->edge[i];
		struct flint_dio *io = &op->dio[n];

		if (!e->used)
			continue;
		e->buf = op->scratch + ((size_t)i << st->bs);
		if (!e->read)
			continue;
		io->op = FLINT_DIO_READ;
		io->flags = 0;
		io->off = flint_block_off(st, flint_chunk_block(op->chunk, e->blk) - 1);
		io->len = 1u << st->bs;
		io->buf = e->buf;
		io->done = edge_done;
		io->arg = op;
		st->stats.device_read_bytes += io->len;
		n++;
	}
	op->pending = (int)n;
	if (!n) {
		update_merge(op);
		return;
	}
	for (i = 0; i < n; i++)
		flint_dio_submit(st, &op->dio[i]);
}

/* How a given change fits the chunk as it is. */
enum fit { FIT_APPLY, FIT_ALREADY, FIT_STALE, FIT_NOT };

static enum fit given_fit(struct flint_sop *op)
{
	const struct flint_chunk *c = op->chunk;
	bool partial = flint_chunk_half(c);

	op->have_version = c->version;
	op->have_tag = c->tag;
	switch (op->kind) {
	case FLINT_SOP_REPLACE:
		return (op->whole & FLINT_FWD_FIRST) || partial ? FIT_APPLY : FIT_NOT;
	case FLINT_SOP_DROP:
		return c->flags & FLINT_CHUNK_STAMPED ? FIT_APPLY : FIT_ALREADY;
	case FLINT_SOP_HOLD:
		return FIT_ALREADY;
	case FLINT_SOP_REPAIR:
		return c->version == op->version && c->tag == op->tag ? FIT_APPLY : FIT_NOT;
	}
	if (c->version == op->version && c->tag == op->tag)
		return FIT_ALREADY;
	if (c->version == op->prev_version && c->tag == op->prev_tag && !partial)
		return FIT_APPLY;
	return op->was_done && !op->syncing ? FIT_STALE : FIT_NOT;
}

/* Return: true when it is to be applied; else it has ended, or is held. */
static bool given_begin(struct flint_sop *op, struct flint_inode *in)
{
	switch (given_fit(op)) {
	case FIT_APPLY:
		return true;
	case FIT_ALREADY:
		op->already = true;
		if (!payload_sound(op)) {	/* it is passed on */
			flint_sop_finish(op, FLINT_ST_CHECKSUM);
			return false;
		}
		op->rep.io.version = cpu_to_le64(op->have_version);
		flint_sop_count(op, in);
		flint_sop_applied(op, 0);
		return false;
	case FIT_STALE:
		flint_sop_finish(op, FLINT_OK);
		return false;
	default:
		flint_sop_finish(op, FLINT_ST_NEED_WHOLE);
		return false;
	}
}

void flint_update_begin(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	struct flint_inode *in = flint_inode_at(&st->index, op->chunk->inode);
	u32 status = flint_sop_admit(st, op, in);

	if (status != FLINT_OK) {
		update_fail(op, status);
		return;
	}
	/* A CUT that has begun still waits for a held change, and that for its guest. */
	if (op->kind != FLINT_SOP_CUT && in->cuts && !flint_chunk_host(op, op->chunk)) {
		update_park(op, in);
		return;
	}
	/* Who gave it its first piece is gone: the next ones never come, others have the chunk. */
	if (!op->given && flint_chunk_half(op->chunk)) {
		op->half = true;
		update_fail(op, FLINT_ST_NOT_SERVING);
		return;
	}
	if (op->kind != FLINT_SOP_CUT)
		op->cut_seq = in->cut_seq;
	if (op->given && op->kind != FLINT_SOP_CUT && !given_begin(op, in))
		return;
	if (op->kind == FLINT_SOP_DROP) {
		update_log(op);
		return;
	}
	if (op->kind == FLINT_SOP_CLONE) {
		flint_clone_begin(op);
		return;
	}
	if (!update_range(op)) {
		op->rep.io.version = cpu_to_le64(op->chunk->version);
		if (op->kind == FLINT_SOP_CUT)
			flint_cut_log(op);
		else if (op->given)
			update_fail(op, FLINT_ST_NEED_WHOLE);
		else
			result_log(op);
		return;
	}
	plan_edges(op);
	if (op->edge[0].used || op->edge[1].used) {
		op->scratch = flint_scratch_get(st);
		if (!op->scratch) {
			flint_sop_block(op, flint_update_begin);
			return;
		}
	}
	status = plan_blocks(op);
	if (status == EAGAIN) {
		update_abandon(op);
		flint_sop_block(op, flint_update_begin);
	} else if (status != FLINT_OK) {
		update_fail(op, status);
	} else {
		flint_sop_plan(op, true);
		read_edges(op);
	}
}

/* ---- merge -------------------------------------------------------------- */

/* Check the parts of an old block that survive. Return: false on damage. */
static bool edge_verify(struct flint_sop *op, const struct flint_edge *e)
{
	struct flint_store *st = op->st;
	u32 step = 1u << st->cs, start = e->blk << st->bs, at;

	for (at = 0; at < 1u << st->bs; at += step) {
		u32 pos = start + at;

		if (op->from <= pos && op->to >= pos + step)
			continue;
		if (flint_crc32c(0, e->buf + at, step) == op->chunk->crc[pos >> st->cs])
			continue;
		st->stats.crc_errors++;
		flint_err_rl("%s: checksum error in chunk %u of inode %llu (file system %u), bytes from %u: the change of a part of it was refused",
			     st->name, op->index, (unsigned long long)op->ino, op->fs, pos);
		return false;
	}
	return true;
}

/* Lay the new bytes over the block. */
static void edge_merge(struct flint_sop *op, const struct flint_edge *e)
{
	u32 start = e->blk << op->st->bs, end = start + (1u << op->st->bs);
	u32 from = op->from > start ? op->from : start, to = op->to < end ? op->to : end;

	if (!e->read)
		memset(e->buf, 0, end - start);
	if (op->zero)
		memset(e->buf + (from - start), 0, to - from);
	else
		memcpy(e->buf + (from - start), op->data + (from - op->from), to - from);
}

/* CRC of the checksum block at @pos as it will be. */
static u32 new_crc(const struct flint_sop *op, u32 pos)
{
	const struct flint_store *st = op->st;
	u32 step = 1u << st->cs, blk = pos >> st->bs, i;

	for (i = 0; i < 2; i++) {
		const struct flint_edge *e = &op->edge[i];

		if (!e->used || e->blk != blk)
			continue;
		if (e->read && (op->to <= pos || op->from >= pos + step))
			return op->chunk->crc[pos >> st->cs];	/* kept, and verified */
		return flint_crc32c(0, e->buf + (pos - (blk << st->bs)), step);
	}
	if (op->zero)
		return st->zero_crc;
	return flint_crc32c(0, op->data + (pos - op->from), step);
}

static void new_crcs(struct flint_sop *op)
{
	const struct flint_store *st = op->st;
	u32 step = 1u << st->cs, pos, end, i = 0;

	op->first_crc = 0;
	op->nr_crc = 0;
	if (op->from >= op->to)
		return;
	pos = op->from >> st->bs << st->bs;
	end = (((op->to - 1) >> st->bs) + 1) << st->bs;
	op->first_crc = pos >> st->cs;
	op->nr_crc = (end - pos) >> st->cs;
	for (; pos < end; pos += step)
		op->rep.crc[i++] = cpu_to_le32(new_crc(op, pos));
}

bool flint_payload_whole(const struct flint_store *st, const struct flint_sop *op)
{
	return op->length && !((op->offset | op->length) & ((1u << st->cs) - 1));
}

/* After new_crcs(), for what flint_payload_whole() said. */
static u32 payload_join(const struct flint_sop *op)
{
	return flint_store_crc_join(op->st, &op->rep.crc[(op->offset >> op->st->cs) - op->first_crc],
				    op->length);
}

u32 flint_sop_payload_crc(const struct flint_sop *op)
{
	if (op->check_crc)
		return op->crc;
	return !op->already && flint_payload_whole(op->st, op) ? payload_join(op) :
								 flint_crc32c(0, op->data, op->length);
}

/*
 * A payload of whole checksum blocks was not looked at when it came
 * (flint_store_submit()): their CRCs say whether it is what was sent, too. Of a change
 * that was here already they are not made.
 */
static bool payload_sound(const struct flint_sop *op)
{
	u32 crc;

	if (!op->check_crc || (op->kind != FLINT_SOP_WRITE && op->kind != FLINT_SOP_REPLACE) ||
	    !flint_payload_whole(op->st, op))
		return true;
	crc = op->already ? flint_crc32c(0, op->data, op->length) : payload_join(op);
	if (crc == op->crc)
		return true;
	op->st->stats.crc_errors++;
	return false;
}

/* ---- write -------------------------------------------------------------- */

static void write_done(struct flint_dio *io, int err)
{
	struct flint_sop *op = io->arg;

	if (err)
		op->err = err;
	if (--op->pending)
		return;
	if (op->scratch) {
		flint_scratch_put(op->st, op->scratch);
		op->scratch = NULL;
	}
	if (op->err) {
		flint_store_fail(op->st, "write data", op->err);
		update_fail(op, EIO);
		return;
	}
	update_log(op);
}

static void add_write(struct flint_sop *op, u32 dev, u8 *buf, u32 blocks)
{
	struct flint_dio *io = &op->dio[op->nr_dio++];

	io->op = FLINT_DIO_WRITE;
	io->flags = 0;
	io->off = flint_block_off(op->st, dev);
	io->len = blocks << op->st->bs;
	io->buf = buf;
	io->done = write_done;
	io->arg = op;
}

static void update_write(struct flint_sop *op)
{
	u32 first = ~0u, end = 0, i, j;
	u8 *middle = NULL;

	op->nr_dio = 0;
	if (!op->zero && op->from < op->to) {
		first = (op->from >> op->st->bs) + op->edge[0].used;
		end = ((op->to - 1) >> op->st->bs) + 1 - op->edge[1].used;
		if (first < end)
			middle = op->data + ((first << op->st->bs) - op->from);
	}
	for (i = 0; i < op->nr_new; i++) {
		u32 blk = op->new_blk[i], dev = op->new_ext[i].start;
		u32 stop = blk + op->new_ext[i].nr;

		for (j = 0; j < 2; j++) {	/* an edge is the first or the last of a run */
			const struct flint_edge *e = &op->edge[j];

			if (!e->used || e->blk < blk || e->blk >= stop)
				continue;
			add_write(op, dev + (e->blk - blk), e->buf, 1);
		}
		if (op->zero)
			continue;
		if (blk < first) {
			dev += first - blk;
			blk = first;
		}
		if (stop > end)
			stop = end;
		if (blk < stop)
			add_write(op, dev, middle + ((size_t)(blk - first) << op->st->bs),
				  stop - blk);
	}
	op->pending = (int)op->nr_dio;
	if (!op->pending) {
		update_log(op);
		return;
	}
	for (i = 0; i < op->nr_dio; i++) {
		op->st->stats.device_write_bytes += op->dio[i].len;
		flint_dio_submit(op->st, &op->dio[i]);
	}
}

static void update_merge(struct flint_sop *op)
{
	u32 i;

	if (op->kind != FLINT_SOP_CUT &&
	    update_overtaken(op, flint_inode_at(&op->st->index, op->chunk->inode)))
		return;
	for (i = 0; i < 2; i++) {
		if (!op->edge[i].used)
			continue;
		if (op->edge[i].read && !edge_verify(op, &op->edge[i])) {
			update_mend(op, FLINT_ST_CHECKSUM);
			return;
		}
		edge_merge(op, &op->edge[i]);
	}
	new_crcs(op);
	if (payload_sound(op))
		update_write(op);
	else
		update_fail(op, FLINT_ST_CHECKSUM);
}

/* ---- log ---------------------------------------------------------------- */

/* Holes between the edges of a range of zeros. */
static bool update_hole(const struct flint_sop *op, struct flint_rec_ext *ext)
{
	u32 bs = op->st->bs, first, end;

	if (!op->zero || op->from >= op->to)
		return false;
	first = (op->from + (1u << bs) - 1) >> bs;
	end = op->to >> bs;
	if (first >= end)
		return false;
	ext->blk = cpu_to_le32(first);
	ext->dev = 0;
	ext->nr = cpu_to_le32(end - first);
	return true;
}

u32 flint_update_record_len(const struct flint_sop *op)
{
	struct flint_rec_ext ext;
	u32 n = op->nr_new + update_hole(op, &ext);

	return (u32)((sizeof(struct flint_rec_chunk) + n * sizeof(ext) +
		      op->nr_crc * sizeof(u32) + 7) & ~7ul);
}

static u16 record_flags(const struct flint_sop *op)
{
	if (op->kind == FLINT_SOP_REPAIR)
		return FLINT_REC_ALWAYS;
	if (op->kind == FLINT_SOP_CUT && !op->chunk->version)	/* half of a replacement */
		return FLINT_REC_ALWAYS;
	if (op->kind != FLINT_SOP_REPLACE)
		return 0;
	return op->whole & FLINT_FWD_FIRST ? FLINT_REC_ALWAYS | FLINT_REC_EMPTY : FLINT_REC_ALWAYS;
}

/* Version and tag that the chunk will have. */
static void update_identity(struct flint_sop *op)
{
	const struct flint_chunk *c = op->chunk;
	u64 version = c->version + 1, tag;

	if (op->kind == FLINT_SOP_CUT) {
		/* The same at every replica, and told from a cut of another history. */
		tag = flint_tag_mix(flint_tag_mix(c->tag, op->cut_size),
				    (u64)op->gen << 32 | op->epoch);
		if (!c->version) {	/* half of a replacement */
			version = 0;
			tag = 0;
		}
	} else if (!op->given) {
		op->prev_version = c->version;
		op->prev_tag = c->tag;
		op->version = version;
		op->tag = flint_request_tag(op->client, op->session, op->seq);
		tag = op->tag;
	} else {
		bool half = op->kind == FLINT_SOP_REPLACE && !(op->whole & FLINT_FWD_LAST);

		version = half ? 0 : op->version;
		tag = half ? 0 : op->tag;
	}
	op->rec_tag = tag;
	op->rep.io.version = cpu_to_le64(version);
}

void flint_update_identity(struct flint_sop *op, struct flint_rec_chunk *r)
{
	update_identity(op);
	r->ino = cpu_to_le64(op->ino);
	r->fs = cpu_to_le32(op->fs);
	r->gen = cpu_to_le32(op->gen);
	r->epoch = cpu_to_le32(op->epoch);
	r->index = cpu_to_le32(op->chunk->index);
	r->version = op->rep.io.version;
	r->tag = cpu_to_le64(op->rec_tag);
	r->size = cpu_to_le32(op->new_size);
	origin_fill(op, &r->from);
}

void flint_update_record(struct flint_sop *op, void *p)
{
	const struct flint_chunk *c = op->chunk;
	struct flint_rec_chunk *r = p;
	struct flint_rec_ext *ext = (void *)(r + 1), hole;
	u32 len = flint_update_record_len(op), i, n = 0;

	memset(r, 0, sizeof(*r));
	r->h.type = cpu_to_le16(FLINT_REC_CHUNK);
	r->h.flags = cpu_to_le16(record_flags(op));
	r->h.len = cpu_to_le32(len);
	flint_update_identity(op, r);
	r->first_crc = cpu_to_le32(op->first_crc);
	r->keep = cpu_to_le32(op->keep);
	r->shift = begins_anew(op) ? op->shift : c->shift;
	for (i = 0; i < op->nr_new; i++) {
		ext[n].blk = cpu_to_le32(op->new_blk[i]);
		ext[n].dev = cpu_to_le32(op->new_ext[i].start + 1);
		ext[n++].nr = cpu_to_le32(op->new_ext[i].nr);
	}
	if (update_hole(op, &hole))
		ext[n++] = hole;
	r->nr_ext = cpu_to_le32(n);
	r->nr_crc = cpu_to_le32(op->nr_crc);
	memcpy(&ext[n], op->rep.crc, op->nr_crc * sizeof(u32));
	memset((u8 *)&ext[n] + op->nr_crc * sizeof(u32), 0,
	       len - sizeof(*r) - n * sizeof(*ext) - op->nr_crc * sizeof(u32));
}

static void update_logged(struct flint_wal_waiter *w, int err)
{
	struct flint_sop *op = (void *)((u8 *)w - offsetof(struct flint_sop, wal));

	op->nr_new = 0;		/* the map's now */
	op->st->stats.write_bytes += op->kind == FLINT_SOP_WRITE ? op->length : 0;
	flint_sop_applied(op, err);
}

static void drop_record(const struct flint_sop *op, struct flint_rec_drop *r)
{
	memset(r, 0, sizeof(*r));
	r->h.type = cpu_to_le16(FLINT_REC_DROP);
	r->h.len = cpu_to_le32(sizeof(*r));
	r->ino = cpu_to_le64(op->ino);
	r->fs = cpu_to_le32(op->fs);
	r->index = cpu_to_le32(op->index);
}

static void update_log(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	struct flint_inode *in = flint_inode_at(&st->index, op->chunk->inode);
	u32 status, len;
	void *p;

	if (op->kind == FLINT_SOP_CUT) {
		flint_cut_log(op);
		return;
	}
	status = flint_sop_admit(st, op, in);
	if (status != FLINT_OK) {
		update_fail(op, status);
		return;
	}
	if (update_overtaken(op, in))
		return;
	len = op->kind == FLINT_SOP_DROP ? sizeof(struct flint_rec_drop) :
					   flint_update_record_len(op);
	p = flint_wal_reserve(&st->wal, len);
	if (!p) {
		flint_sop_block(op, update_log);
		return;
	}
	if (op->kind == FLINT_SOP_DROP)
		drop_record(op, p);
	else
		flint_update_record(op, p);
	flint_sop_count(op, in);
	op->wal.done = update_logged;
	flint_wal_commit(&st->wal, len, 1, &op->wal);
}

void flint_forget_log(struct flint_sop *op)
{
	struct flint_rec_hdr *r = flint_wal_reserve(&op->st->wal, sizeof(*r));

	if (!r) {
		flint_sop_block(op, flint_forget_log);
		return;
	}
	memset(r, 0, sizeof(*r));
	r->type = cpu_to_le16(FLINT_REC_FORGET);
	r->len = cpu_to_le32(sizeof(*r));
	op->wal.done = result_logged;
	flint_wal_commit(&op->st->wal, sizeof(*r), 1, &op->wal);
}
