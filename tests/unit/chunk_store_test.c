// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The chunk store against a model, on a disk in memory: random operations, a
 * power cut at every moment, damaged bytes, a full disk, failing disks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "../../uapi/flintfs/codec.h"
#include "../../userd/base/crc.h"
#include "../../userd/base/log.h"
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

static u64 rnd(struct world *w, u64 below)
{
	return flint_splitmix64(&w->rng) % below;
}

/* The CRCs of a reply must be those of its payload, piece by piece. */
static void check_reply_crcs(const struct flint_sop *op)
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

static struct state *newest(struct model_chunk *c)
{
	return &c->states[c->nr - 1];
}

static struct state *push_state(struct model_chunk *c)
{
	struct state *s = &c->states[c->nr];

	assert_true(c->nr < MAX_STATES);
	s->size = newest(c)->size;
	s->data = malloc(CHUNK);
	memcpy(s->data, newest(c)->data, CHUNK);
	c->nr++;
	return s;
}

static void world_init(struct world *w, u8 crc_shift, bool volatile_cache, bool prewritten,
		       u64 seed)
{
	u32 i;

	memset(w, 0, sizeof(*w));
	w->rng = seed;
	w->disk = td_new(DISK, NULL, seed + 1);
	w->disk->dev.volatile_cache = volatile_cache;
	w->disk->dev.prewritten = prewritten;
	format_disk(w->disk, crc_shift);
	for (i = 0; i < NR_CHUNKS; i++) {
		w->chunk[i].states[0].data = calloc(1, CHUNK);
		w->chunk[i].nr = 1;
	}
	w->st = open_store(w->disk);
}

static void world_free(struct world *w)
{
	u32 i, j;

	for (i = 0; i < NR_CHUNKS; i++)
		for (j = 0; j < w->chunk[i].nr; j++)
			free(w->chunk[i].states[j].data);
	for (i = 0; i < w->nr_ops; i++) {
		free(w->ops[i]->mem);
		free(w->ops[i]->sop.data);
		free(w->ops[i]);
	}
	free(w->ops);
	td_free(w->disk);
	free(w);
}

static void model_op_done(struct flint_sop *sop)
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
	td_event(w->disk, TD_MARK, 0, (u64)(uintptr_t)o);
}

static struct op *add_op(struct world *w, struct flint_sop *sop)
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

static u64 seq_low(const struct world *w)
{
	u32 i;

	for (i = 0; i < w->nr_ops; i++)
		if (!w->ops[i]->done && w->ops[i]->sop.seq)
			return w->ops[i]->sop.seq;
	return w->seq;		/* the one that is being made */
}

/* Random range; the ends favour block edges and odd bytes alike. */
static void random_range(struct world *w, u32 *off, u32 *len)
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

static void start_change(struct world *w, u32 ci)
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

static void start_cut(struct world *w, u32 ino)
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

static bool inode_busy(const struct world *w, u32 ino)
{
	u32 i;

	for (i = 0; i < NR_IDX; i++)
		if (w->chunk[ino * NR_IDX + i].busy)
			return true;
	return false;
}

/* Read a chunk in a random way and give its content; size as the store has it. */
static u32 read_chunk(struct test_dev *d, struct flint_store *st, u32 ci, u32 epoch, u8 *out,
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

static bool same(const struct state *s, const u8 *data, u32 size)
{
	return s->size == size && !memcmp(s->data, data, CHUNK);
}

static void check_newest(struct world *w)
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

static void check_piece(struct world *w, u32 ci)
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

static void run_ops(struct world *w, u32 count)
{
	while (count) {
		u32 ci = (u32)rnd(w, NR_CHUNKS), ino = ci / NR_IDX;

		if (w->inflight > 5 || rnd(w, 3) == 0) {
			pump(w->disk, w->st);
			continue;
		}
		if (rnd(w, 12) == 0 && !inode_busy(w, ino)) {
			start_cut(w, ino);
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

static void reopen(struct world *w)
{
	close_store(w->disk, w->st);
	w->st = open_store(w->disk);
}

static void random_ops(u8 crc_shift, bool prewritten)
{
	struct world *w = calloc(1, sizeof(*w));
	int i;

	world_init(w, crc_shift, false, prewritten, 77 + crc_shift);
	for (i = 0; i < 4; i++) {
		run_ops(w, 120);
		check_newest(w);
		reopen(w);
		check_newest(w);
	}
	close_store(w->disk, w->st);
	world_free(w);
}

static void test_random_4k(void **state)
{
	random_ops(12, false);
}

static void test_random_16k(void **state)
{
	random_ops(14, true);
}

static void test_random_64k(void **state)
{
	random_ops(16, false);
}

/* ---- power cuts ---------------------------------------------------------- */

/* Which states were acknowledged, which may be there, as of an event. */
struct cut_view {
	u32 acked[NR_CHUNKS], nr[NR_CHUNKS];
	u32 epoch[NR_INO];
	u32 low;		/* first operation not done */
};

static void view_at(const struct world *w, u32 upto, struct cut_view *v, bool *started, bool *done)
{
	u32 i, j, k;

	memset(v, 0, sizeof(*v));
	for (i = 0; i < NR_CHUNKS; i++)
		v->nr[i] = 1;
	for (i = 0; i < upto; i++) {
		const struct td_event *e = &w->disk->events[i];

		if (e->kind != TD_MARK)
			continue;
		for (k = 0; k < w->nr_ops; k++)
			if ((u64)(uintptr_t)w->ops[k] == e->mark)
				break;
		for (j = 0; j < (w->ops[k]->nr_cut ? w->ops[k]->nr_cut : 1); j++) {
			u32 c = w->ops[k]->chunk + j;

			if (e->write)
				v->nr[c]++;
			else
				v->acked[c] = v->nr[c] - 1;
		}
		if (e->write) {
			started[k] = true;
			if (w->ops[k]->nr_cut)
				v->epoch[w->ops[k]->chunk / NR_IDX] = w->ops[k]->sop.epoch;
		} else {
			done[k] = true;
		}
	}
}

/* Every operation that began and was not answered is sent again, with its old sequence. */
static void retry_all(struct world *w, struct test_dev *d, struct flint_store *st,
		      const bool *started, const bool *done, u64 low)
{
	u32 k;

	for (k = 0; k < w->nr_ops; k++) {
		const struct op *o = w->ops[k];
		struct flint_sop *op;

		if (!started[k] || (done[k] && (o->nr_cut || o->sop.seq < low)))
			continue;
		op = new_op(o->sop.kind, o->sop.ino, o->sop.index, o->sop.offset, o->sop.length);
		op->epoch = o->sop.epoch;
		op->seq = o->sop.seq;
		op->seq_low = low < op->seq ? low : op->seq;
		op->cut_size = o->sop.cut_size;
		if (o->sop.kind == FLINT_SOP_WRITE)
			memcpy(op->data, o->mem, o->sop.length);
		wait_op(d, st, op);
		assert_int_equal(op->status, FLINT_OK);
		free_op(op);
	}
}

static void check_crash(struct world *w, struct test_dev *start, u32 upto, u64 seed)
{
	struct test_dev *d = td_crash(w->disk, start, upto, seed);
	bool *started = calloc(w->nr_ops + 1, 1), *done = calloc(w->nr_ops + 1, 1);
	u8 *buf = malloc(CHUNK);
	struct flint_store *st;
	struct cut_view v;
	u32 i, j, size = 0;
	u64 low = ~0ull;

	view_at(w, upto, &v, started, done);
	st = open_store(d);
	for (i = 0; i < NR_CHUNKS; i++) {
		assert_int_equal(read_chunk(d, st, i, v.epoch[i / NR_IDX], buf, &size), FLINT_OK);
		for (j = v.acked[i]; j < v.nr[i]; j++)
			if (same(&w->chunk[i].states[j], buf, size))
				break;
		if (j == v.nr[i])
			fail_msg("cut at event %u: chunk %u has none of its states %u..%u", upto, i,
				 v.acked[i], v.nr[i] - 1);
	}
	for (i = 0; i < w->nr_ops; i++)
		if (started[i] && !done[i] && w->ops[i]->sop.seq && w->ops[i]->sop.seq < low)
			low = w->ops[i]->sop.seq;
	retry_all(w, d, st, started, done, low);
	for (i = 0; i < NR_CHUNKS; i++) {
		assert_int_equal(read_chunk(d, st, i, v.epoch[i / NR_IDX], buf, &size), FLINT_OK);
		if (!same(&w->chunk[i].states[v.nr[i] - 1], buf, size))
			fail_msg("cut at event %u: chunk %u is wrong after retries", upto, i);
	}
	close_store(d, st);
	free(buf);
	free(started);
	free(done);
	td_free(d);
}

/* Every third moment; with FLINT_TEST_LONG set, every one. */
static void power_cuts(bool volatile_cache, bool prewritten, u32 ops)
{
	u32 step = getenv("FLINT_TEST_LONG") ? 1 : 3;
	struct world *w = calloc(1, sizeof(*w));
	struct test_dev *start;
	u32 i;

	world_init(w, 12, volatile_cache, prewritten, 4242);
	/* The journal begins with the formatted disk. */
	start = w->disk;
	w->disk = td_new(DISK, start, 99);
	w->disk->journal = true;
	flint_store_close(w->st);
	w->st = open_store(w->disk);
	run_ops(w, ops);
	check_newest(w);
	for (i = 0; i <= w->disk->nr_events; i += step)
		check_crash(w, start, i, i * 31 + 7);
	close_store(w->disk, w->st);
	world_free(w);
	td_free(start);
}

static void test_power_cut(void **state)
{
	power_cuts(false, true, 60);
}

static void test_power_cut_volatile(void **state)
{
	power_cuts(true, false, 40);
}

/* ---- damage -------------------------------------------------------------- */

/* Where the last group of the log lies: damage there looks like a torn write. */
static void last_group(const struct flint_store *st, u64 *from, u64 *to)
{
	u64 pos = st->wal.tail, prev = pos;

	while (pos < st->wal.head) {
		struct flint_wal_group g;

		td_read((struct test_dev *)st->dev, &g, sizeof(g), st->wal.off + pos % st->wal.len);
		prev = pos;
		pos += (le32_to_cpu(g.len) + 4095) & ~4095u;
	}
	*from = st->wal.off + prev % st->wal.len;
	*to = st->wal.off + st->wal.head % st->wal.len;
}

static void flip(struct world *w, u64 at, bool torn_allowed, u32 *refused, u32 *detected)
{
	struct test_dev *d = td_new(DISK, w->disk, at);
	struct flint_store *st;
	u8 *buf = malloc(CHUNK);
	char err[512] = "";
	u32 i, j, size = 0;

	td_page_own(d, at / TD_PAGE)[at % TD_PAGE] ^= (u8)(1u << at % 8);
	st = try_open(d, err, sizeof(err));
	if (!st) {
		assert_true(strlen(err) > 10);
		(*refused)++;
		goto out;
	}
	for (i = 0; i < NR_CHUNKS; i++) {
		const struct model_chunk *c = &w->chunk[i];
		u32 status = read_chunk(d, st, i, w->epoch[i / NR_IDX], buf, &size);

		if (status == FLINT_ST_CHECKSUM) {
			(*detected)++;
			continue;
		}
		assert_int_equal(status, FLINT_OK);
		for (j = torn_allowed ? 0 : c->nr - 1; j < c->nr; j++)
			if (same(&c->states[j], buf, size))
				break;
		if (j == c->nr)
			fail_msg("a bit flipped at %llu made wrong data", (unsigned long long)at);
	}
	settle(d, st);
	flint_store_close(st);
out:
	free(buf);
	td_free(d);
}

/* A byte of some chunk on the disk. */
static u64 random_data(struct world *w)
{
	for (;;) {
		const struct flint_chunk *c;
		u32 ci = (u32)rnd(w, NR_CHUNKS), dev;

		c = flint_chunk_find(&w->st->index, 1, 100 + ci / NR_IDX, ci % NR_IDX);
		dev = c && c->nr_blocks ? flint_chunk_block(c, (u32)rnd(w, c->nr_blocks)) : 0;
		if (dev)
			return flint_block_off(w->st, dev - 1) + rnd(w, 1u << w->st->bs);
	}
}

static void test_flips(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	u32 refused = 0, detected = 0, i;
	u64 from, to;

	world_init(w, 12, false, true, 31337);
	run_ops(w, 100);
	flint_ckpt_start(w->st);
	settle(w->disk, w->st);
	run_ops(w, 40);
	last_group(w->st, &from, &to);
	for (i = 0; i < 240; i++) {
		const struct flint_store *st = w->st;
		u64 at;

		switch (i % 4) {
		case 0:
			at = rnd(w, 8192);
			break;
		case 1:
			at = st->wal.off + st->wal.tail % st->wal.len + rnd(w, 160) +
			     rnd(w, (st->wal.head - st->wal.tail) / 4096) * 4096;
			break;
		case 2:
			at = st->ckpt_off[i / 4 % 2] + rnd(w, 12000);
			break;
		default:
			at = random_data(w);
		}
		flip(w, at, at >= from && at < to, &refused, &detected);
	}
	assert_true(refused > 10);
	assert_true(detected > 10);
	close_store(w->disk, w->st);
	world_free(w);
}

/* ---- rules --------------------------------------------------------------- */

static void test_dedupe(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 1);
	struct flint_store *st;
	u8 *buf = malloc(CHUNK);
	u32 size;

	format_disk(d, 12);
	st = open_store(d);
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 1, 5), FLINT_OK);
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 2, 6), FLINT_OK);
	/* The old request again: answered, not carried out. */
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 1, 5), FLINT_OK);
	close_store(d, st);
	st = open_store(d);
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 1, 5), FLINT_OK);
	assert_int_equal(read_chunk(d, st, 0, 0, buf, &size), FLINT_OK);
	assert_int_equal(buf[0], 2);
	/* The same sequence for another request, and one that is forgotten. */
	assert_int_equal(write_one(d, st, 100, 1, 0, 4096, 1, 6), FLINT_ST_BAD_SEQ);
	flint_client_get(&st->windows, (u8[16]){ 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9 },
			 4)->seq_low = 6;
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 1, 5), FLINT_ST_BAD_SEQ);
	/* Also after a checkpoint, when the log no longer tells. */
	flint_ckpt_start(st);
	settle(d, st);
	close_store(d, st);
	st = open_store(d);
	assert_int_equal(flint_wal_used(&st->wal), 0);
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 1, 5), FLINT_ST_BAD_SEQ);
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 2, 6), FLINT_OK);
	assert_int_equal(write_one(d, st, 100, 1, 0, 4096, 1, 6), FLINT_ST_BAD_SEQ);
	close_store(d, st);
	td_free(d);
	free(buf);
}

/* A window of more results than a segment of a checkpoint holds survives. */
static void test_large_window(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 1);
	struct flint_sop *op = new_op(FLINT_SOP_PUNCH, 100, 0, 0, 4096);
	struct flint_store *st;
	u64 seq;

	format_disk(d, 12);
	st = open_store(d);
	for (seq = 1; seq <= 25000; seq++) {
		op->seq = seq;
		op->seq_low = 1;
		wait_op(d, st, op);
		assert_int_equal(op->status, FLINT_OK);
	}
	flint_ckpt_start(st);
	settle(d, st);
	close_store(d, st);
	st = open_store(d);
	assert_int_equal(flint_wal_used(&st->wal), 0);
	/* Another request with a remembered sequence is refused, each of them. */
	op->length = 512;
	for (seq = 1; seq <= 25000; seq++) {
		op->seq = seq;
		wait_op(d, st, op);
		assert_int_equal(op->status, FLINT_ST_BAD_SEQ);
	}
	free_op(op);
	close_store(d, st);
	td_free(d);
}

static void test_epochs(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 1);
	struct flint_store *st;
	struct flint_sop *op;
	u8 *buf = malloc(CHUNK);
	u32 size = 1;

	format_disk(d, 12);
	st = open_store(d);
	assert_int_equal(write_one(d, st, 100, 0, 0, CHUNK, 1, 1), FLINT_OK);
	assert_int_equal(cut_one(d, st, 100, 1, 3, 5000, 0), FLINT_OK);
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 1, 2), FLINT_ST_STALE_EPOCH);
	assert_int_equal(read_chunk(d, st, 0, 2, buf, &size), FLINT_ST_STALE_EPOCH);
	assert_int_equal(read_chunk(d, st, 0, 3, buf, &size), FLINT_OK);
	assert_int_equal(size, 5000);
	/* Carried out once: what was written since stays. */
	op = new_op(FLINT_SOP_WRITE, 100, 0, 8000, 1000);
	memset(op->data, 5, 1000);
	op->epoch = 3;
	op->seq = 3;
	wait_op(d, st, op);
	assert_int_equal(op->status, FLINT_OK);
	free_op(op);
	assert_int_equal(cut_one(d, st, 100, 1, 3, 5000, 0), FLINT_OK);
	assert_int_equal(read_chunk(d, st, 0, 3, buf, &size), FLINT_OK);
	assert_int_equal(size, 9000);
	assert_int_equal(buf[4999], 1);
	assert_int_equal(buf[5000], 0);
	assert_int_equal(buf[7999], 0);
	assert_int_equal(buf[8000], 5);
	/* Gone, and the tombstone outlives a restart. */
	assert_int_equal(cut_one(d, st, 100, 1, 4, 0, FLINT_CUT_REMOVE), FLINT_OK);
	assert_int_equal(read_chunk(d, st, 0, 9, buf, &size), FLINT_ST_STALE_EPOCH);
	assert_int_equal(flint_store_used(st), 0);
	close_store(d, st);
	st = open_store(d);
	assert_int_equal(read_chunk(d, st, 0, 9, buf, &size), FLINT_ST_STALE_EPOCH);
	/* The number is used again by another inode. */
	op = new_op(FLINT_SOP_WRITE, 100, 0, 0, 100);
	op->gen = 2;
	op->seq = 9;
	wait_op(d, st, op);
	assert_int_equal(op->status, FLINT_OK);
	free_op(op);
	assert_int_equal(cut_one(d, st, 100, 1, 5, 0, FLINT_CUT_REMOVE), FLINT_OK);
	op = new_op(FLINT_SOP_READ, 100, 0, 0, 100);
	op->gen = 2;
	wait_op(d, st, op);
	assert_int_equal(op->status, FLINT_OK);
	assert_int_equal(le32_to_cpu(op->rep.io.length), 100);
	free_op(op);
	close_store(d, st);
	td_free(d);
	free(buf);
}

static void test_bad_crc_refused(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 1);
	struct flint_sop *op = new_op(FLINT_SOP_WRITE, 100, 0, 0, 4096);
	struct flint_store *st;

	format_disk(d, 12);
	st = open_store(d);
	op->seq = 1;
	op->check_crc = true;
	op->crc = 12345;
	wait_op(d, st, op);
	assert_int_equal(op->status, FLINT_ST_CHECKSUM);
	assert_int_equal(flint_store_used(st), 0);
	free_op(op);
	close_store(d, st);
	td_free(d);
}

/* Writers, cutters and readers of the same chunk at once: every read is one writer's. */
struct race {
	struct flint_sop *op;
	bool done;
};

static void race_done(struct flint_sop *op)
{
	struct race *r = op->arg;

	r->done = true;
}

static void check_uniform(const struct flint_sop *op)
{
	u32 len = le32_to_cpu(op->rep.io.length), i;

	if (op->kind != FLINT_SOP_READ || op->status != FLINT_OK)
		return;
	for (i = 1; i < len; i++)
		assert_int_equal(op->data[op->out_off + i], op->data[op->out_off]);
}

static void test_races(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 5);
	struct race r[24];
	struct flint_store *st;
	u64 rng = 8, seq = 0;
	u32 round, i, epoch = 0;

	format_disk(d, 12);
	st = open_store(d);
	for (round = 0; round < 60; round++) {
		for (i = 0; i < 24; i++) {
			u32 what = (u32)(flint_splitmix64(&rng) % 16);
			struct flint_sop *op = new_op(what < 8 ? FLINT_SOP_WRITE : FLINT_SOP_READ,
						      100, 0, 100, 70000);

			if (!what) {	/* a CUT to nothing: what follows is new */
				op->kind = FLINT_SOP_CUT;
				op->cut_size = 100;
				epoch++;
			}
			memset(op->data, (int)(1 + flint_splitmix64(&rng) % 255), 70000);
			op->epoch = epoch;
			op->seq = ++seq;
			op->done = race_done;
			op->arg = &r[i];
			r[i] = (struct race){ op, false };
			flint_store_submit(st, op);
			if (flint_splitmix64(&rng) % 2)
				pump(d, st);
		}
		settle(d, st);
		for (i = 0; i < 24; i++) {
			assert_true(r[i].done);
			assert_true(r[i].op->status == FLINT_OK ||
				    r[i].op->status == FLINT_ST_STALE_EPOCH);
			check_uniform(r[i].op);
			free_op(r[i].op);
		}
	}
	close_store(d, st);
	td_free(d);
}

static void test_full(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 1);
	u32 cycle, i, n, status;
	struct flint_store *st;
	u64 seq = 0;

	format_disk(d, 12);
	st = open_store(d);
	for (cycle = 1; cycle <= 4; cycle++) {
		for (n = 0;; n++) {
			status = write_one(d, st, 100, n, 0, CHUNK, (u8)n, ++seq);
			if (status != FLINT_OK)
				break;
			assert_true(n < DISK / CHUNK);
		}
		assert_int_equal(status, ENOSPC);
		assert_true(n > 100);
		/* Overwriting, whole and in part, and shortening still work. */
		for (i = 0; i < n; i++)
			assert_int_equal(write_one(d, st, 100, i, 5000 * (i % 7), 30000, 3, ++seq),
					 FLINT_OK);
		assert_int_equal(write_one(d, st, 100, n, 0, CHUNK, 1, ++seq), ENOSPC);
		close_store(d, st);
		st = open_store(d);
		assert_int_equal(cut_one(d, st, 100, 1, cycle, 70000, 0), FLINT_OK);
		settle(d, st);
		assert_true(flint_store_used(st) <= 5 * 16384);
		assert_int_equal(cut_one(d, st, 100, 1, 1000, 0, FLINT_CUT_REMOVE), FLINT_OK);
		settle(d, st);
		assert_int_equal(flint_store_used(st), 0);
		/* the next cycle is another inode */
		close_store(d, st);
		td_free(d);
		d = td_new(DISK, NULL, cycle);
		format_disk(d, 12);
		st = open_store(d);
	}
	close_store(d, st);
	td_free(d);
}

/* The log wraps many times; checkpoints keep it from running over. */
static void test_log_wraps(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 3);
	struct flint_store *st;
	u8 *buf = malloc(CHUNK);
	u32 i, size = 0;

	format_disk(d, 12);
	st = open_store(d);
	for (i = 0; i < 4000; i++)
		assert_int_equal(write_one(d, st, 100, i % 3, (i % 8) * 4096, 4096, (u8)i, i + 1),
				 FLINT_OK);
	assert_true(st->stats.checkpoints >= 3);
	assert_true(st->wal.head > 2 * st->wal.len);
	assert_true(flint_wal_used(&st->wal) <= st->wal.len);
	close_store(d, st);
	st = open_store(d);
	assert_int_equal(read_chunk(d, st, 3999 % 3, 0, buf, &size), FLINT_OK);
	assert_int_equal(buf[(3999 % 8) * 4096], (u8)3999);
	close_store(d, st);
	td_free(d);
	free(buf);
}

static void test_io_errors(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 3);
	struct flint_store *st;
	u8 *buf = malloc(CHUNK);
	u32 size;

	format_disk(d, 12);
	st = open_store(d);
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 1, 1), FLINT_OK);
	settle(d, st);
	d->fail_reads = EIO;
	assert_int_equal(read_chunk(d, st, 0, 0, buf, &size), EIO);
	assert_false(st->offline);
	d->fail_reads = 0;
	assert_int_equal(read_chunk(d, st, 0, 0, buf, &size), FLINT_OK);
	d->fail_writes = EIO;
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 2, 2), EIO);
	assert_true(st->offline);
	assert_int_equal(write_one(d, st, 100, 0, 0, 4096, 2, 3), EIO);
	settle(d, st);
	flint_store_close(st);
	/* After the disk works again: the old content. */
	d->fail_writes = 0;
	st = open_store(d);
	assert_int_equal(read_chunk(d, st, 0, 0, buf, &size), FLINT_OK);
	assert_int_equal(buf[0], 1);
	close_store(d, st);
	td_free(d);
	free(buf);
}

static void test_foreign(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 3);
	struct flint_disk_super *sb;
	char err[256] = "";

	assert_null(try_open(d, err, sizeof(err)));
	assert_non_null(strstr(err, "not a FlintFS target"));
	format_disk(d, 12);
	sb = (void *)td_page_own(d, 0);
	sb->version = cpu_to_le32(9);
	sb = (void *)td_page_own(d, 1);
	sb->version = cpu_to_le32(9);
	assert_null(try_open(d, err, sizeof(err)));
	assert_non_null(strstr(err, "format version 9"));
	td_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_4k),
		cmocka_unit_test(test_random_16k),
		cmocka_unit_test(test_random_64k),
		cmocka_unit_test(test_dedupe),
		cmocka_unit_test(test_large_window),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_bad_crc_refused),
		cmocka_unit_test(test_races),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_log_wraps),
		cmocka_unit_test(test_io_errors),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_power_cut),
		cmocka_unit_test(test_power_cut_volatile),
	};

	flint_log_init("chunk_store_test", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
