// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Clones of chunks: nothing is copied, nothing of one shows in the other, blocks
 * are freed when the last chunk lets go, and the counts are proved after every step.
 * Power cuts among clones: chunk_crash_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "../../userd/base/log.h"
#include "chunk_drive.h"

struct world {
	struct test_dev *d;
	struct flint_store *st;
	u64 seq;
};

static void verify(struct world *w)
{
	char err[256] = "";

	settle(w->d, w->st);
	if (flint_store_verify(w->st, err, sizeof(err)))
		fail_msg("%s", err);
}

static u32 clone(struct world *w, u64 ino, u32 index, u64 src_ino, u32 src_index)
{
	struct flint_sop *op = new_op(FLINT_SOP_CLONE, ino, index, 0, 0);
	u32 status;

	op->src_ino = src_ino;
	op->src_index = src_index;
	op->src_gen = 1;
	op->seq = ++w->seq;
	wait_op(w->d, w->st, op);
	status = op->status;
	free_op(op);
	verify(w);
	return status;
}

static void put(struct world *w, u64 ino, u32 index, u32 offset, u32 length, u8 fill)
{
	assert_int_equal(write_one(w->d, w->st, ino, index, offset, length, fill, ++w->seq),
			 FLINT_OK);
	verify(w);
}

/* Every byte of [from, to) is @want; the chunk has @size bytes. */
static void expect(struct world *w, u64 ino, u32 index, u32 size, u32 from, u32 to, u8 want)
{
	struct flint_sop *op = new_op(FLINT_SOP_READ, ino, index, 0, CHUNK);
	u32 i;

	op->epoch = 99;		/* newer than any CUT here */
	wait_op(w->d, w->st, op);
	assert_int_equal(op->status, FLINT_OK);
	assert_int_equal(le32_to_cpu(op->rep.io.length), size);
	for (i = from; i < to; i++)
		assert_int_equal(op->data[op->out_off + i], want);
	free_op(op);
}

static void restart(struct world *w, bool checkpoint)
{
	if (checkpoint) {
		flint_ckpt_start(w->st);
		settle(w->d, w->st);
	}
	close_store(w->d, w->st);
	w->st = open_store(w->d);
	verify(w);
}

static void start(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->d = td_new(DISK, NULL, 1);
	format_disk(w->d, 12);
	w->st = open_store(w->d);
}

static void stop(struct world *w)
{
	close_store(w->d, w->st);
	td_free(w->d);
}

static void test_sharing(void **state)
{
	struct world w;
	u64 used, written;

	start(&w);
	put(&w, 100, 0, 0, CHUNK, 1);
	used = flint_store_used(w.st);
	written = w.st->stats.device_write_bytes;
	assert_int_equal(clone(&w, 200, 5, 100, 0), FLINT_OK);
	assert_int_equal(clone(&w, 300, 0, 200, 5), FLINT_OK);
	assert_int_equal(flint_store_used(w.st), used);
	assert_int_equal(w.st->stats.device_write_bytes, written);
	assert_int_equal(w.st->share.nr, CHUNK >> w.st->bs);
	/* Each goes its own way, through restarts by the log and by a checkpoint. */
	put(&w, 200, 5, 5000, 100, 2);
	restart(&w, false);
	put(&w, 100, 0, 60000, 30000, 3);
	restart(&w, true);
	expect(&w, 100, 0, CHUNK, 0, 60000, 1);
	expect(&w, 100, 0, CHUNK, 60000, 90000, 3);
	expect(&w, 100, 0, CHUNK, 90000, CHUNK, 1);
	expect(&w, 200, 5, CHUNK, 5000, 5100, 2);
	expect(&w, 200, 5, CHUNK, 5100, CHUNK, 1);
	expect(&w, 300, 0, CHUNK, 0, CHUNK, 1);
	/* The first goes, then the second; the last has all of it. */
	assert_int_equal(cut_one(w.d, w.st, 100, 1, 1, 0, FLINT_CUT_REMOVE), FLINT_OK);
	verify(&w);
	assert_int_equal(cut_one(w.d, w.st, 200, 1, 1, 5ull * CHUNK + 70000, 0), FLINT_OK);
	restart(&w, false);
	expect(&w, 200, 5, 70000, 5100, 70000, 1);
	expect(&w, 300, 0, CHUNK, 0, CHUNK, 1);
	assert_int_equal(cut_one(w.d, w.st, 200, 1, 2, 0, FLINT_CUT_REMOVE), FLINT_OK);
	restart(&w, true);
	expect(&w, 300, 0, CHUNK, 0, CHUNK, 1);
	assert_int_equal(flint_store_used(w.st), used);
	assert_int_equal(w.st->share.nr, 0);
	assert_int_equal(cut_one(w.d, w.st, 300, 1, 2, 0, FLINT_CUT_REMOVE), FLINT_OK);
	verify(&w);
	assert_int_equal(flint_store_used(w.st), 0);
	stop(&w);
}

static void test_rules(void **state)
{
	struct flint_sop *op;
	struct world w;

	start(&w);
	put(&w, 100, 0, 0, 50000, 1);
	put(&w, 100, 1, 0, 100, 9);
	assert_int_equal(clone(&w, 100, 0, 100, 0), FLINT_ST_BAD_REQUEST);
	/* Over what is there already, and of what is not there. */
	assert_int_equal(clone(&w, 100, 1, 100, 0), FLINT_OK);
	expect(&w, 100, 1, 50000, 0, 50000, 1);
	assert_int_equal(clone(&w, 100, 1, 100, 0), FLINT_OK);
	assert_int_equal(clone(&w, 100, 0, 777, 0), FLINT_OK);
	expect(&w, 100, 0, 0, 0, 0, 0);
	expect(&w, 100, 1, 50000, 0, 50000, 1);
	/* Repeated: answered, not done again; and still when the source has changed. */
	op = new_op(FLINT_SOP_CLONE, 100, 7, 0, 0);
	op->src_ino = 100;
	op->src_index = 1;
	op->src_gen = 1;
	op->seq = ++w.seq;
	wait_op(w.d, w.st, op);
	assert_int_equal(op->status, FLINT_OK);
	put(&w, 100, 1, 0, 50000, 4);
	put(&w, 100, 7, 0, 10, 5);
	op->length = 0;
	wait_op(w.d, w.st, op);
	assert_int_equal(op->status, FLINT_OK);
	expect(&w, 100, 7, 50000, 0, 10, 5);
	expect(&w, 100, 7, 50000, 10, 50000, 1);
	free_op(op);
	/* An epoch that is over, of source or clone. */
	assert_int_equal(cut_one(w.d, w.st, 500, 1, 3, 0, 0), FLINT_OK);
	assert_int_equal(clone(&w, 100, 8, 500, 0), FLINT_ST_STALE_EPOCH);
	assert_int_equal(clone(&w, 500, 0, 100, 1), FLINT_ST_STALE_EPOCH);
	restart(&w, false);
	stop(&w);
}

/* Two chunks that claim a block without being clones are damage, not sharing. */
static void test_damage(void **state)
{
	struct flint_chunk *a, *b;
	struct world w;
	char err[512] = "";

	start(&w);
	put(&w, 100, 0, 0, CHUNK, 1);
	assert_int_equal(clone(&w, 100, 1, 100, 0), FLINT_OK);
	a = flint_chunk_find(&w.st->index, 1, 100, 0);
	b = flint_chunk_find(&w.st->index, 1, 100, 1);
	assert_false(a->flags & FLINT_CHUNK_SHARES);
	assert_true(b->flags & FLINT_CHUNK_SHARES);
	b->flags &= ~FLINT_CHUNK_SHARES;
	assert_int_equal(flint_store_verify(w.st, err, sizeof(err)), -EUCLEAN);
	assert_non_null(strstr(err, "two chunks claim"));
	b->flags |= FLINT_CHUNK_SHARES;
	flint_share_add(&w.st->share, b->start);
	assert_int_equal(flint_store_verify(w.st, err, sizeof(err)), -EUCLEAN);
	assert_non_null(strstr(err, "is counted for 2 clones"));
	flint_share_drop(&w.st->share, b->start);
	stop(&w);
}

/* As a predecessor gives it: only of the very version that it cloned. */
static void test_given(void **state)
{
	struct flint_chunk *a;
	struct flint_sop *op;
	struct world w;
	u64 seq;

	start(&w);
	put(&w, 100, 0, 0, CHUNK, 1);
	a = flint_chunk_find(&w.st->index, 1, 100, 0);
	for (seq = 50; seq < 54; seq++) {
		op = new_op(FLINT_SOP_CLONE, 100, 1, 0, 0);
		op->given = true;
		op->seq = seq;
		op->version = 1;
		op->tag = flint_request_tag(op->client, op->session, 53);
		op->src_ino = seq == 52 ? 102 : 100;
		op->src_gen = 1;
		op->src_version = a->version + (seq == 50);
		op->src_tag = a->tag ^ (seq == 51);
		wait_op(w.d, w.st, op);
		assert_int_equal(op->status, seq == 53 ? FLINT_OK : FLINT_ST_NEED_WHOLE);
		free_op(op);
		verify(&w);
	}
	assert_true(flint_chunk_find(&w.st->index, 1, 100, 1)->flags & FLINT_CHUNK_SHARES);
	assert_int_equal(flint_chunk_find(&w.st->index, 1, 100, 1)->start, a->start);
	expect(&w, 100, 1, CHUNK, 0, CHUNK, 1);
	stop(&w);
}

/* The table against an array. */
static void test_table(void **state)
{
	struct flint_share s = { 0 };
	u32 count[3000] = { 0 }, i, n = 0, b;
	u64 rng = 5;

	for (i = 0; i < 200000; i++) {
		b = (u32)(flint_splitmix64(&rng) % 3000);
		if (flint_splitmix64(&rng) % 100 < (i / 20000 % 2 ? 40 : 60)) {
			assert_int_equal(flint_share_add(&s, b), 0);
			n += !count[b]++;
		} else {
			assert_int_equal(flint_share_drop(&s, b), count[b] != 0);
			n -= count[b] == 1;
			count[b] -= count[b] != 0;
		}
		assert_int_equal(s.nr, n);
		if (i % 5000)
			continue;
		for (b = 0; b < 3000; b++)
			assert_int_equal(flint_share_extra(&s, b), count[b]);
	}
	flint_share_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sharing),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_table),
	};

	flint_log_init("chunk_clone_test", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
