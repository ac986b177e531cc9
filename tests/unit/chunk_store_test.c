// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The chunk store against a model, on a disk in memory: random operations,
 * damaged bytes, a full disk, failing disks. Power cuts: chunk_crash_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "../../uapi/flintfs/codec.h"
#include "../../userd/base/crc.h"
#include "../../userd/base/log.h"
#include "chunk_model.h"

static void random_ops(u8 block_shift, u8 crc_shift, bool prewritten)
{
	struct world *w = calloc(1, sizeof(*w));
	int i;

	world_init(w, block_shift, crc_shift, false, prewritten, 77 + crc_shift);
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
	random_ops(0, 12, false);
}

static void test_random_16k(void **state)
{
	random_ops(0, 14, true);
}

static void test_random_64k(void **state)
{
	random_ops(0, 16, false);
}

/* As targets of version 2 are. */
static void test_random_4k_of_16k(void **state)
{
	random_ops(14, 12, true);
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

	world_init(w, 0, 12, false, true, 31337);
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

static u32 read_spoilt(struct test_dev *d, struct flint_store *st, u32 offset, u32 len, bool unchecked)
{
	struct flint_sop *op = new_op(FLINT_SOP_READ, 100, 0, offset, len);
	u32 status;

	op->unchecked = unchecked;
	wait_op(d, st, op);
	status = op->status;
	if (status == FLINT_OK)		/* the reader can tell */
		assert_int_not_equal(flint_crc32c(0, op->data + op->out_off, 4096),
				     le32_to_cpu(op->rep.crc[0]));
	free_op(op);
	return status;
}

/* Damage leaves only with a CRC that does not fit, to who said that he looks at it. */
static void test_damage(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 1);
	struct flint_store *st;
	u64 at;

	format_disk(d, 12);
	st = open_store(d);
	assert_int_equal(write_one(d, st, 100, 0, 0, 65536, 7, 1), FLINT_OK);
	at = flint_block_off(st, flint_chunk_block(flint_chunk_find(&st->index, 1, 100, 0), 0) - 1);
	td_page_own(d, at / TD_PAGE)[at % TD_PAGE] ^= 1;
	assert_int_equal(read_spoilt(d, st, 0, 8192, false), FLINT_ST_CHECKSUM);
	assert_int_equal(read_spoilt(d, st, 0, 8192, true), FLINT_OK);
	/* The CRCs of parts of blocks are made here: of nothing that is damaged. */
	assert_int_equal(read_spoilt(d, st, 0, 5000, true), FLINT_ST_CHECKSUM);
	assert_int_equal(read_spoilt(d, st, 100, 4096, true), FLINT_ST_CHECKSUM);
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
	format_blocks(d, 14, 12);
	sb = (void *)td_page_own(d, 0);
	assert_int_equal(le32_to_cpu(sb->version), 2);	/* older programs can use it, too */
	format_disk(d, 12);
	assert_int_equal(le32_to_cpu(sb->version), FLINT_SB_VERSION);
	sb->version = cpu_to_le32(9);
	sb = (void *)td_page_own(d, 1);
	sb->version = cpu_to_le32(9);
	assert_null(try_open(d, err, sizeof(err)));
	assert_non_null(strstr(err, "format version 9"));
	td_free(d);
}

/* A target belongs to the first cluster that it meets, also when the power fails there. */
static void test_bind(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 3);
	const u8 ours[16] = "our cluster", theirs[16] = "another cluster";
	struct flint_store *st;
	char err[512] = "";
	u32 i;

	format_disk(d, 12);
	for (i = 0; i < 2; i++) {
		st = open_store(d);
		assert_int_equal(flint_store_bind(st, ours, err, sizeof(err)), 0);
		assert_int_equal(flint_store_bind(st, theirs, err, sizeof(err)), -EXDEV);
		assert_non_null(strstr(err, "another cluster"));
		close_store(d, st);
	}
	td_page_own(d, 0)[20] ^= 1;	/* the first copy was being written */
	st = open_store(d);
	assert_memory_equal(st->cluster, ours, 16);
	close_store(d, st);
	td_free(d);
}

/* A whole chunk of one byte? */
static u32 read_fill(struct test_dev *d, struct flint_store *st, u64 ino, u32 index, u8 fill)
{
	struct flint_sop *op = new_op(FLINT_SOP_READ, ino, index, 0, CHUNK);
	u32 status, i;

	wait_op(d, st, op);
	status = op->status;
	for (i = 0; i < CHUNK && status == FLINT_OK; i++)
		if (op->data[i] != fill)
			status = EIO;
	free_op(op);
	return status;
}

/* What is freed goes back to the disk but for a stock, once, and is used again later. */
static void test_discard(void **state)
{
	const u32 blocks = CHUNK >> FLINT_BLOCK_SHIFT_MIN;
	struct test_dev *d = td_new(DISK, NULL, 5);
	struct flint_store *st;
	u32 i, used;

	format_disk(d, 12);
	st = open_store(d);
	assert_false(flint_store_discard(st));	/* off until it is asked for */
	flint_store_discard_on(st);
	for (i = 0; i < 80; i++)
		assert_int_equal(write_one(d, st, 100 + i % 2, i, 0, CHUNK, (u8)i, i + 1), FLINT_OK);
	used = st->alloc.used;
	assert_false(flint_store_discardable(st));
	assert_int_equal(cut_one(d, st, 100, 1, 2, 0, FLINT_CUT_REMOVE), FLINT_OK);
	assert_int_equal(st->alloc.used, used - 40 * blocks);
	settle(d, st);
	st->discard_keep = 16 * blocks;
	st->discard_least = 1;
	assert_true(flint_store_discardable(st));
	assert_true(flint_store_discard(st));
	assert_false(flint_store_discard(st));	/* one after the other */
	assert_true(st->discarding && st->alloc.later);
	assert_int_equal(flint_alloc_free_blocks(&st->alloc),
			 st->alloc.nr_blocks - (used - 40 * blocks));
	/* What is being discarded is not given to anyone. */
	assert_int_equal(write_one(d, st, 102, 0, 0, CHUNK, 77, 1000), FLINT_OK);
	for (i = 0; i < 1000; i++) {
		settle(d, st);
		flint_store_discard(st);
	}
	assert_false(flint_store_discardable(st));
	assert_true(st->alloc.nr_stale <= 16 * blocks);
	assert_int_equal(d->nr_discard_bytes, st->stats.discard_bytes);
	assert_true(d->nr_discard_bytes >= 23 * CHUNK && d->nr_discard_bytes <= 24 * CHUNK);
	for (i = 0; i < 20; i++)
		assert_int_equal(write_one(d, st, 103, i, 0, CHUNK, (u8)i, 2000 + i), FLINT_OK);
	for (i = 1; i < 80; i += 2)
		assert_int_equal(read_fill(d, st, 101, i, (u8)i), FLINT_OK);
	for (i = 0; i < 20; i++)
		assert_int_equal(read_fill(d, st, 103, i, (u8)i), FLINT_OK);
	close_store(d, st);
	td_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_4k),
		cmocka_unit_test(test_random_16k),
		cmocka_unit_test(test_random_64k),
		cmocka_unit_test(test_random_4k_of_16k),
		cmocka_unit_test(test_dedupe),
		cmocka_unit_test(test_large_window),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_bad_crc_refused),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_races),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_log_wraps),
		cmocka_unit_test(test_io_errors),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_flips),
	};

	flint_log_init("chunk_store_test", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
