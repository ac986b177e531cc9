/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A model of a store with a few chunks, and random operations on both: every
 * content that a chunk may have had is remembered, with which of them was
 * acknowledged last. For tests that include cmocka.h before.
 */
#ifndef CHUNK_MODEL_H
#define CHUNK_MODEL_H

#include "../../uapi/flintfs/codec.h"
#include "../../userd/base/crc.h"
#include "chunk_drive.h"

#define NR_INO		3u
#define NR_IDX		3u
#define NR_CHUNKS	(NR_INO * NR_IDX)
#define MAX_STATES	400u

/* What a chunk may look like; content beyond size is zero. */
struct state {
	u32 size;
	u8 *data;
};

struct model_chunk {
	struct state states[MAX_STATES];
	u32 nr;			/* states[nr - 1] is the newest, acknowledged or not */
	u32 acked;		/* the newest acknowledged */
	bool busy;
};

struct op {
	struct flint_sop sop;
	struct world *w;
	u32 chunk, state;
	u32 nr_cut;
	u32 src;		/* CLONE: the other chunk + 1 */
	bool done, inflight;
	u8 *mem;
};

struct world {
	struct test_dev *disk;
	struct flint_store *st;
	struct model_chunk chunk[NR_CHUNKS];
	u32 epoch[NR_INO];
	u64 seq;
	u64 rng;
	struct op **ops;
	u32 nr_ops, cap_ops;
	u32 inflight;
};

static inline u64 rnd(struct world *w, u64 below)
{
	return flint_splitmix64(&w->rng) % below;
}

/* The CRCs of a reply must be those of its payload, piece by piece. */
static inline void check_reply_crcs(const struct flint_sop *op)
{
	u32 len = le32_to_cpu(op->rep.io.length), cs = op->rep.io.crc_shift;
	u32 pos = op->offset, i, n = le16_to_cpu(op->rep.io.nr_crc);

	if (!len)
		return;
	assert_int_equal(n, flint_crc_pieces(op->offset, len, (u8)cs));
	for (i = 0; i < n; i++) {
		u32 end = ((pos >> cs) + 1) << cs;

		if (end > op->offset + len)
			end = op->offset + len;
		assert_int_equal(le32_to_cpu(op->rep.crc[i]),
				 flint_crc32c(0, op->data + op->out_off + (pos - op->offset),
					      end - pos));
		pos = end;
	}
}

/* ---- the model ---------------------------------------------------------- */

static inline struct state *newest(struct model_chunk *c)
{
	return &c->states[c->nr - 1];
}

static inline struct state *push_state(struct model_chunk *c)
{
	struct state *s = &c->states[c->nr];

	assert_true(c->nr < MAX_STATES);
	s->size = newest(c)->size;
	s->data = malloc(CHUNK);
	memcpy(s->data, newest(c)->data, CHUNK);
	c->nr++;
	return s;
}

static inline void world_init(struct world *w, u8 block_shift, u8 crc_shift, bool volatile_cache,
			      bool prewritten, u64 seed)
{
	u32 i;

	memset(w, 0, sizeof(*w));
	w->rng = seed;
	w->disk = td_new(DISK, NULL, seed + 1);
	w->disk->dev.volatile_cache = volatile_cache;
	w->disk->dev.prewritten = prewritten;
	format_blocks(w->disk, block_shift, crc_shift);
	for (i = 0; i < NR_CHUNKS; i++) {
		w->chunk[i].states[0].data = calloc(1, CHUNK);
		w->chunk[i].nr = 1;
	}
	w->st = open_store(w->disk);
}

static inline void world_free(struct world *w)
{
	u32 i, j;

	for (i = 0; i < NR_CHUNKS; i++)
		for (j = 0; j < w->chunk[i].nr; j++)
			free(w->chunk[i].states[j].data);
	for (i = 0; i < w->nr_ops; i++) {
		free(w->ops[i]->mem);
		free((void *)((uintptr_t)w->ops[i]->sop.data & ~4095ul));
		free(w->ops[i]);
	}
	free(w->ops);
	td_free(w->disk);
	free(w);
}

static inline void model_op_done(struct flint_sop *sop)
{
	struct op *o = sop->arg;
	struct world *w = o->w;
	u32 i;

	assert_int_equal(sop->status, FLINT_OK);
	o->done = true;
	w->inflight--;
	for (i = 0; i < (o->nr_cut ? o->nr_cut : 1); i++) {
		struct model_chunk *c = &w->chunk[o->chunk + i];

		c->busy = false;
		/* With a CUT every chunk got one state. */
		c->acked = o->nr_cut ? c->nr - 1 : o->state;
	}
	if (o->src)
		w->chunk[o->src - 1].busy = false;
	td_event(w->disk, TD_MARK, 0, (u64)(uintptr_t)o);
}

static inline struct op *add_op(struct world *w, struct flint_sop *sop)
{
	struct op *o = calloc(1, sizeof(*o));

	if (w->nr_ops == w->cap_ops) {
		w->cap_ops = w->cap_ops ? w->cap_ops * 2 : 64;
		w->ops = realloc(w->ops, w->cap_ops * sizeof(*w->ops));
	}
	w->ops[w->nr_ops++] = o;
	o->sop = *sop;
	free(sop);
	o->w = w;
	o->sop.done = model_op_done;
	o->sop.arg = o;
	return o;
}

static inline u64 seq_low(const struct world *w)
{
	u32 i;

	for (i = 0; i < w->nr_ops; i++)
		if (!w->ops[i]->done && w->ops[i]->sop.seq)
			return w->ops[i]->sop.seq;
	return w->seq;		/* the one that is being made */
}

/* Random range; the ends favour block edges and odd bytes alike. */
static inline void random_range(struct world *w, u32 *off, u32 *len)
{
	static const u32 grain[] = { 1, 512, 4096, 16384, 65536 };
	u32 g = grain[rnd(w, 5)];

	*off = (u32)rnd(w, CHUNK / g) * g;
	*len = (u32)(1 + rnd(w, (CHUNK - *off + g - 1) / g)) * g;
	if (*len > CHUNK - *off)
		*len = CHUNK - *off;
	if (rnd(w, 2) && *len > 40000)
		*len = 1 + (u32)rnd(w, 40000);
}

static inline void start_change(struct world *w, u32 ci)
{
	struct model_chunk *c = &w->chunk[ci];
	bool punch = rnd(w, 5) == 0;
	struct flint_sop *sop;
	struct state *s;
	u32 off, len, i;
	struct op *o;

	random_range(w, &off, &len);
	sop = new_op(punch ? FLINT_SOP_PUNCH : FLINT_SOP_WRITE, 100 + ci / NR_IDX, ci % NR_IDX, off,
		     len);
	s = push_state(c);
	if (punch) {
		memset(s->data + off, 0, len);
	} else {
		for (i = 0; i < len; i++)
			sop->data[i] = (u8)flint_splitmix64(&w->rng);
		memcpy(s->data + off, sop->data, len);
		if (off + len > s->size)
			s->size = off + len;
		sop->check_crc = rnd(w, 2);
		sop->crc = flint_crc32c(0, sop->data, len);
	}
	sop->epoch = w->epoch[ci / NR_IDX];
	sop->seq = ++w->seq;
	sop->seq_low = seq_low(w);
	o = add_op(w, sop);
	o->chunk = ci;
	o->state = c->nr - 1;
	o->mem = malloc(len);
	memcpy(o->mem, o->sop.data, len);
	c->busy = true;
	w->inflight++;
	td_event(w->disk, TD_MARK, 1, (u64)(uintptr_t)o);
	flint_store_submit(w->st, &o->sop);
}

/* Chunk @ci becomes what @cj is; both rest meanwhile, so that it is known what that is. */
static inline void start_clone(struct world *w, u32 ci, u32 cj)
{
	struct flint_sop *sop = new_op(FLINT_SOP_CLONE, 100 + ci / NR_IDX, ci % NR_IDX, 0, 0);
	struct model_chunk *c = &w->chunk[ci];
	struct state *s = push_state(c);
	struct op *o;

	s->size = newest(&w->chunk[cj])->size;
	memcpy(s->data, newest(&w->chunk[cj])->data, CHUNK);
	sop->src_ino = 100 + cj / NR_IDX;
	sop->src_index = cj % NR_IDX;
	sop->src_gen = 1;
	sop->src_epoch = w->epoch[cj / NR_IDX];
	sop->epoch = w->epoch[ci / NR_IDX];
	sop->seq = ++w->seq;
	sop->seq_low = seq_low(w);
	o = add_op(w, sop);
	o->chunk = ci;
	o->src = cj + 1;
	o->state = c->nr - 1;
	c->busy = true;
	w->chunk[cj].busy = true;
	w->inflight++;
	td_event(w->disk, TD_MARK, 1, (u64)(uintptr_t)o);
	flint_store_submit(w->st, &o->sop);
}

static inline void start_cut(struct world *w, u32 ino)
{
	struct flint_sop *sop = new_op(FLINT_SOP_CUT, 100 + ino, 0, 0, 0);
	u64 size = rnd(w, 3) ? rnd(w, NR_IDX * CHUNK) : rnd(w, NR_IDX * 8) * 16384;
	struct op *o;
	u32 i;

	for (i = 0; i < NR_IDX; i++) {
		struct model_chunk *c = &w->chunk[ino * NR_IDX + i];
		u64 base = (u64)i * CHUNK;
		u32 keep = size <= base ? 0 : size - base > CHUNK ? CHUNK : (u32)(size - base);
		struct state *s = push_state(c);

		if (s->size > keep) {
			memset(s->data + keep, 0, CHUNK - keep);
			s->size = keep;
		}
		c->busy = true;
	}
	sop->cut_size = size;
	sop->epoch = ++w->epoch[ino];
	o = add_op(w, sop);
	o->chunk = ino * NR_IDX;
	o->nr_cut = NR_IDX;
	w->inflight++;
	td_event(w->disk, TD_MARK, 1, (u64)(uintptr_t)o);
	flint_store_submit(w->st, &o->sop);
}

static inline bool inode_busy(const struct world *w, u32 ino)
{
	u32 i;

	for (i = 0; i < NR_IDX; i++)
		if (w->chunk[ino * NR_IDX + i].busy)
			return true;
	return false;
}

/* Read a chunk in a random way and give its content; size as the store has it. */
static inline u32 read_chunk(struct test_dev *d, struct flint_store *st, u32 ci, u32 epoch, u8 *out,
		      u32 *size)
{
	struct flint_sop *op = new_op(FLINT_SOP_READ, 100 + ci / NR_IDX, ci % NR_IDX, 0, CHUNK);
	u32 status;

	op->epoch = epoch;
	wait_op(d, st, op);
	status = op->status;
	memset(out, 0, CHUNK);
	if (status == FLINT_OK) {
		*size = le32_to_cpu(op->rep.io.length);
		check_reply_crcs(op);
		memcpy(out, op->data + op->out_off, *size);
	}
	free_op(op);
	return status;
}

static inline bool same(const struct state *s, const u8 *data, u32 size)
{
	return s->size == size && !memcmp(s->data, data, CHUNK);
}

static inline void check_newest(struct world *w)
{
	u8 *buf = malloc(CHUNK);
	u32 i, size = 0;

	for (i = 0; i < NR_CHUNKS; i++) {
		assert_int_equal(read_chunk(w->disk, w->st, i, w->epoch[i / NR_IDX], buf, &size),
				 FLINT_OK);
		if (!same(newest(&w->chunk[i]), buf, size))
			fail_msg("chunk %u is not what was written (size %u, expected %u)", i, size,
				 newest(&w->chunk[i])->size);
	}
	free(buf);
}

static inline void check_piece(struct world *w, u32 ci)
{
	const struct state *s = newest(&w->chunk[ci]);
	struct flint_sop *op;
	u32 off, len, want;

	random_range(w, &off, &len);
	op = new_op(FLINT_SOP_READ, 100 + ci / NR_IDX, ci % NR_IDX, off, len);
	op->epoch = w->epoch[ci / NR_IDX];
	wait_op(w->disk, w->st, op);
	assert_int_equal(op->status, FLINT_OK);
	want = off >= s->size ? 0 : s->size - off < len ? s->size - off : len;
	assert_int_equal(le32_to_cpu(op->rep.io.length), want);
	check_reply_crcs(op);
	assert_memory_equal(op->data + op->out_off, s->data + off, want);
	free_op(op);
}

static inline void run_ops(struct world *w, u32 count)
{
	while (count) {
		u32 ci = (u32)rnd(w, NR_CHUNKS), ino = ci / NR_IDX;

		if (w->st->discard)
			flint_store_discard(w->st);
		if (w->inflight > 5 || rnd(w, 3) == 0) {
			pump(w->disk, w->st);
			continue;
		}
		if (rnd(w, 12) == 0 && !inode_busy(w, ino)) {
			start_cut(w, ino);
			count--;
		} else if (!w->chunk[ci].busy && rnd(w, 8) == 0) {
			u32 cj = (u32)rnd(w, NR_CHUNKS);

			if (cj == ci || w->chunk[cj].busy)
				continue;
			start_clone(w, ci, cj);
			count--;
		} else if (!w->chunk[ci].busy && rnd(w, 4) == 0) {
			check_piece(w, ci);
		} else if (!w->chunk[ci].busy) {
			start_change(w, ci);
			count--;
		} else {
			pump(w->disk, w->st);
		}
		if (rnd(w, 60) == 0 && !flint_ckpt_running(w->st))
			flint_ckpt_start(w->st);
	}
	settle(w->disk, w->st);
	assert_int_equal(w->inflight, 0);
}

static inline void reopen(struct world *w)
{
	close_store(w->disk, w->st);
	w->st = open_store(w->disk);
}

#endif /* CHUNK_MODEL_H */
