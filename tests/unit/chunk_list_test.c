// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What recovery compares and copies: sums of ranges, pages of chunks, inodes and
 * results, and merging them into another target.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "../../userd/base/log.h"
#include "chunk_drive.h"

#define NR_SAME		60u	/* chunks of one range */
#define PAGE		16u

static bool sums_equal(const struct flint_store *a, const struct flint_store *b)
{
	return !memcmp(flint_store_sums(a), flint_store_sums(b),
		       FLINT_SYNC_RANGES * sizeof(u64));
}

static u32 sums_differ(const struct flint_store *a, const struct flint_store *b)
{
	u32 i, n = 0;

	for (i = 0; i < FLINT_SYNC_RANGES; i++)
		n += flint_store_sums(a)[i] != flint_store_sums(b)[i];
	return n;
}

static struct flint_store *reopen(struct test_dev *d, struct flint_store *st)
{
	close_store(d, st);
	return open_store(d);
}

static void test_sums(void **state)
{
	struct test_dev *d[2] = { td_new(DISK, NULL, 1), td_new(DISK, NULL, 2) };
	struct flint_store *st[2];
	u64 seq[2] = { 0, 0 };
	u32 i, s;

	for (s = 0; s < 2; s++) {
		format_disk(d[s], s ? 12 : 14);
		st[s] = open_store(d[s]);
		for (i = 0; i < 200; i++)	/* another order, other places, other block sizes */
			assert_int_equal(write_one(d[s], st[s], 100 + i % 5,
						   s ? i / 5 : 39 - i / 5, 0, 4096, 1, ++seq[s]),
					 FLINT_OK);
	}
	st[1] = reopen(d[1], st[1]);
	flint_ckpt_start(st[0]);
	settle(d[0], st[0]);
	st[0] = reopen(d[0], st[0]);
	for (s = 0; s < 2; s++) {
		assert_int_equal(cut_one(d[s], st[s], 100, 1, 2, 0, FLINT_CUT_REMOVE), FLINT_OK);
		assert_int_equal(cut_one(d[s], st[s], 101, 1, 2, 5 * CHUNK, 0), FLINT_OK);
	}
	for (i = 0; i < 5; i++) {
		for (s = 0; s < 2; s++)
			assert_int_equal(cut_one(d[s], st[s], 100 + i, 1, 9, 0, FLINT_CUT_REMOVE),
					 FLINT_OK);
	}
	assert_true(sums_equal(st[0], st[1]));	/* nothing is left: all sums are 0 */
	for (i = 0; i < FLINT_SYNC_RANGES; i++)
		assert_true(!flint_store_sums(st[0])[i]);
	/* The same requests make the same sums, one more changes one. */
	for (s = 0; s < 2; s++)
		for (i = 0; i < 30; i++)
			assert_int_equal(write_one(d[s], st[s], 200, i, 0, 4096, 1, 1000 + i),
					 FLINT_OK);
	assert_true(sums_equal(st[0], st[1]));
	assert_int_equal(write_one(d[0], st[0], 200, 3, 0, 4096, 1, 2000), FLINT_OK);
	assert_int_equal(sums_differ(st[0], st[1]), 1);
	st[0] = reopen(d[0], st[0]);
	assert_int_equal(sums_differ(st[0], st[1]), 1);
	assert_int_equal(write_one(d[1], st[1], 200, 3, 0, 4096, 1, 2000), FLINT_OK);
	assert_true(sums_equal(st[0], st[1]));
	for (s = 0; s < 2; s++) {
		close_store(d[s], st[s]);
		td_free(d[s]);
	}
}

/* Indices of inode 100 whose keys lie in the range. */
static void same_range(u32 range, u32 *index, u32 nr)
{
	u32 i, n = 0;

	for (i = 0; n < nr; i++)
		if (flint_key_range(flint_chunk_key(1, 100, i)) == range)
			index[n++] = i;
}

static void test_pages(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 1);
	u32 index[2 * NR_SAME], seen[2 * NR_SAME] = { 0 }, i, j, n, late = NR_SAME, gone = 0;
	struct flint_sync_chunk out[PAGE];
	struct flint_store *st;
	u64 cursor = 0, key, last = 0, seq = 0;

	same_range(77, index, 2 * NR_SAME);
	format_disk(d, 12);
	st = open_store(d);
	for (i = 0; i < NR_SAME; i++)
		assert_int_equal(write_one(d, st, 100, index[i], 0, 4096, 1, ++seq), FLINT_OK);
	do {
		n = flint_store_list_range(st, 77, &cursor, out, PAGE, true);
		assert_true(n <= PAGE);
		for (i = 0; i < n; i++) {
			assert_true(le64_to_cpu(out[i].version) == 1);
			assert_true(out[i].crcs != 0);
			key = flint_chunk_key(1, 100, le32_to_cpu(out[i].index));
			assert_true(key > last);
			last = key;
			for (j = 0; index[j] != le32_to_cpu(out[i].index); j++)
				;
			seen[j]++;
		}
		/* Meanwhile: new ones in the range, and elsewhere, so that the table grows. */
		for (i = 0; i < 4 && late < 2 * NR_SAME; i++)
			assert_int_equal(write_one(d, st, 100, index[late++], 0, 4096, 1, ++seq),
					 FLINT_OK);
		for (i = 0; i < 300 && gone < 1200; i++)
			assert_int_equal(write_one(d, st, 300, gone++, 0, 512, 1, ++seq), FLINT_OK);
	} while (cursor);
	for (i = 0; i < NR_SAME; i++)
		assert_int_equal(seen[i], 1);
	for (; i < 2 * NR_SAME; i++)
		assert_true(seen[i] <= 1);
	/* Every chunk is in exactly one range. */
	for (n = 0, i = 0; i < FLINT_SYNC_RANGES; i++) {
		cursor = 0;
		do {
			n += flint_store_list_range(st, i, &cursor, out, PAGE, false);
		} while (cursor);
	}
	assert_int_equal(n, st->index.chunks.used);
	close_store(d, st);
	td_free(d);
}

static u64 content(struct flint_store *st, u32 index)
{
	return flint_chunk_content(st, flint_chunk_find(&st->index, 1, 100, index));
}

static void test_content(void **state)
{
	static const u8 shifts[] = { 12, 14, 16 };
	u64 want[3] = { 0 };
	u32 i;

	for (i = 0; i < 3; i++) {
		struct test_dev *d = td_new(DISK, NULL, i);
		struct flint_store *st;
		u64 seq = 0;

		format_disk(d, shifts[i]);
		st = open_store(d);
		/* 0: a hole between data; 1: zeros in its place; 2: one byte differs */
		write_one(d, st, 100, 0, 0, 4096, 1, ++seq);
		write_one(d, st, 100, 0, 100000, 5000, 2, ++seq);
		write_one(d, st, 100, 1, 0, CHUNK, 0, ++seq);
		write_one(d, st, 100, 1, 100000, 5000, 2, ++seq);
		write_one(d, st, 100, 1, 0, 4096, 1, ++seq);
		write_one(d, st, 100, 2, 0, 4096, 1, ++seq);
		write_one(d, st, 100, 2, 100000, 5000, 2, ++seq);
		write_one(d, st, 100, 2, 70000, 1, 1, ++seq);
		assert_int_equal(cut_one(d, st, 100, 1, 1, 2ull * CHUNK - (CHUNK - 105000), 0),
				 FLINT_OK);
		if (!i) {
			want[0] = content(st, 0);
			want[1] = content(st, 1);
		}
		assert_true(content(st, 0) == want[0]);
		assert_true(content(st, 1) == want[1]);
		assert_true(want[0] == want[1]);
		write_one(d, st, 101, 0, 0, 4096, 1, ++seq);
		close_store(d, st);
		td_free(d);
	}
	assert_true(want[0] != 0);
}

/* ---- merging ------------------------------------------------------------- */

static u32 merge(struct test_dev *d, struct flint_store *st, u8 kind, const void *data, u32 len)
{
	struct flint_sop *op = new_op(kind, 0, 0, 0, len);
	u32 status;

	memcpy(op->data, data, len);
	wait_op(d, st, op);
	status = op->status;
	free_op(op);
	return status;
}

static void copy_inodes(struct flint_store *from, struct test_dev *d, struct flint_store *to)
{
	struct flint_sync_inode page[7];
	u64 cursor = 0;
	u32 n;

	do {
		n = flint_store_list_inodes(from, &cursor, page, 7);
		if (n)
			assert_int_equal(merge(d, to, FLINT_SOP_INODES, page,
					       n * (u32)sizeof(page[0])), FLINT_OK);
	} while (cursor);
}

static void copy_clients(struct flint_store *from, struct test_dev *d, struct flint_store *to)
{
	struct flint_client_cursor cur = { .began = false };
	u8 page[4096];
	u32 nr, len, pages = 0;

	while (true) {
		int ret = flint_store_list_clients(from, &cur, page, sizeof(page), &nr);

		assert_true(ret >= 0);
		len = (u32)ret;
		if (!nr)
			break;
		assert_int_equal(merge(d, to, FLINT_SOP_CLIENTS, page, len), FLINT_OK);
		assert_true(pages++ < 1000);
	}
	assert_true(pages > 3);
}

static void test_merge_inodes(void **state)
{
	struct test_dev *d[2] = { td_new(DISK, NULL, 1), td_new(DISK, NULL, 2) };
	struct flint_sync_inode bad = { .ino = 0 };
	struct flint_store *st[2];
	struct flint_inode *in;
	u32 i;

	for (i = 0; i < 2; i++) {
		format_disk(d[i], 12);
		st[i] = open_store(d[i]);
	}
	for (i = 0; i < 40; i++)
		assert_int_equal(cut_one(d[0], st[0], 100 + i, 1 + i % 2, 5 + i, 0,
					 i % 3 ? 0 : FLINT_CUT_REMOVE), FLINT_OK);
	/* There: an older generation with data, a newer epoch, a newer generation. */
	assert_int_equal(write_one(d[1], st[1], 101, 0, 0, 4096, 1, 1), FLINT_OK);
	assert_int_equal(cut_one(d[1], st[1], 104, 1, 99, 0, 0), FLINT_OK);
	assert_int_equal(cut_one(d[1], st[1], 106, 7, 1, 0, 0), FLINT_OK);
	copy_inodes(st[0], d[1], st[1]);
	copy_inodes(st[0], d[1], st[1]);
	for (i = 0; i < 2; i++) {
		in = flint_inode_find(&st[1]->index, 1, 101);
		assert_int_equal(in->gen, 2);
		assert_int_equal(in->nr_chunks, 0);
		in = flint_inode_find(&st[1]->index, 1, 104);
		assert_int_equal(in->epoch, 99);
		in = flint_inode_find(&st[1]->index, 1, 106);
		assert_int_equal(in->gen, 7);
		assert_int_equal(in->epoch, 1);
		in = flint_inode_find(&st[1]->index, 1, 103);
		assert_int_equal(in->epoch, 8);
		assert_int_equal(in->cut_epoch, 8);
		assert_int_equal(in->flags, FLINT_CUT_REMOVE);
		st[1] = reopen(d[1], st[1]);
	}
	assert_int_equal(flint_store_used(st[1]), 0);
	assert_int_equal(merge(d[1], st[1], FLINT_SOP_INODES, &bad, sizeof(bad)),
			 FLINT_ST_BAD_REQUEST);
	assert_int_equal(merge(d[1], st[1], FLINT_SOP_INODES, &bad, 39), FLINT_ST_BAD_REQUEST);
	for (i = 0; i < 2; i++) {
		close_store(d[i], st[i]);
		td_free(d[i]);
	}
}

static void held(struct flint_sop *op)
{
}

/* What is known of an inode does not come before the CUT that it speaks of, which is still held. */
static void test_cut_on_its_way(void **state)
{
	static const u32 flags[2] = { 0, FLINT_CUT_REMOVE };
	struct test_dev *d[2] = { td_new(DISK, NULL, 1), td_new(DISK, NULL, 2) };
	struct flint_sop *cut[2];
	struct flint_store *st[2];
	bool done[2] = { false };
	u32 i, k;

	for (i = 0; i < 2; i++) {
		format_disk(d[i], 12);
		st[i] = open_store(d[i]);
		for (k = 0; k < 4; k++)
			assert_int_equal(write_one(d[i], st[i], 300 + k / 2, k % 2, 0, 4096, 1, 1 + k),
					 FLINT_OK);
	}
	for (k = 0; k < 2; k++) {
		cut[k] = new_op(FLINT_SOP_CUT, 300 + k, 0, 0, 0);
		cut[k]->epoch = 5;
		cut[k]->cut_size = 100;
		cut[k]->cut_flags = flags[k];
		cut[k]->durable = held;
		cut[k]->done = set_done;
		cut[k]->arg = &done[k];
		flint_store_submit(st[0], cut[k]);
		settle(d[0], st[0]);
		assert_true(cut[k]->held && !done[k]);
	}
	copy_inodes(st[0], d[1], st[1]);
	for (k = 0; k < 2; k++) {
		assert_int_equal(cut_one(d[1], st[1], 300 + k, 1, 5, 100, flags[k]), FLINT_OK);
		flint_sop_release(cut[k], FLINT_OK);
		assert_true(done[k]);
		free_op(cut[k]);
		assert_null(flint_chunk_find(&st[1]->index, 1, 300 + k, 1));
	}
	assert_int_equal(flint_chunk_find(&st[1]->index, 1, 300, 0)->size, 100);
	assert_true(sums_equal(st[0], st[1]));
	copy_inodes(st[0], d[1], st[1]);	/* and from now on it does */
	assert_int_equal(flint_inode_find(&st[1]->index, 1, 301)->flags, FLINT_CUT_REMOVE);
	for (i = 0; i < 2; i++) {
		close_store(d[i], st[i]);
		td_free(d[i]);
	}
}

static u32 punch_as(struct test_dev *d, struct flint_store *st, u8 client, u64 seq, u64 low)
{
	struct flint_sop *op = new_op(FLINT_SOP_PUNCH, 100, 0, 0, (u32)seq);
	u32 status;

	memset(op->client, client, sizeof(op->client));
	op->seq = seq;
	op->seq_low = low;
	wait_op(d, st, op);
	status = op->status;
	free_op(op);
	return status;
}

static void test_merge_clients(void **state)
{
	struct test_dev *d[2] = { td_new(DISK, NULL, 1), td_new(DISK, NULL, 2) };
	struct { struct flint_sync_client c; struct flint_sync_result r; } bad = { 0 };
	struct flint_store *st[2];
	u32 i, round;
	u64 seq;

	for (i = 0; i < 2; i++) {
		format_disk(d[i], 12);
		st[i] = open_store(d[i]);
	}
	for (i = 1; i <= 30; i++)
		for (seq = 1; seq <= 60 * (i % 4 + 1); seq++)
			assert_int_equal(punch_as(d[0], st[0], (u8)i, seq, seq > 40 ? 20 : 0), FLINT_OK);
	copy_clients(st[0], d[1], st[1]);
	for (round = 0; round < 2; round++) {
		for (i = 1; i <= 30; i++) {
			u64 n = 60 * (i % 4 + 1);

			/* A repetition is answered; another request under its number is not. */
			assert_int_equal(punch_as(d[1], st[1], (u8)i, n, 20), FLINT_OK);
			assert_int_equal(punch_as(d[1], st[1], (u8)i, 20, 20), FLINT_OK);
			assert_int_equal(punch_as(d[1], st[1], (u8)i, 19, 0), FLINT_ST_BAD_SEQ);
			assert_int_equal(flint_client_get(&st[1]->windows,
							  (u8[16]){ i, i, i, i, i, i, i, i, i,
								    i, i, i, i, i, i, i }, 4)->used,
					 n - 19);
		}
		st[1] = reopen(d[1], st[1]);
	}
	bad.c.nr = cpu_to_le32(1);
	assert_int_equal(merge(d[1], st[1], FLINT_SOP_CLIENTS, &bad, sizeof(bad)),
			 FLINT_ST_BAD_REQUEST);
	bad.r.seq = ~0ull;
	assert_int_equal(merge(d[1], st[1], FLINT_SOP_CLIENTS, &bad, sizeof(bad)),
			 FLINT_ST_BAD_REQUEST);
	bad.r.seq = cpu_to_le64(4);
	bad.c.nr = cpu_to_le32(0x10000001);
	assert_int_equal(merge(d[1], st[1], FLINT_SOP_CLIENTS, &bad, sizeof(bad)),
			 FLINT_ST_BAD_REQUEST);
	for (i = 0; i < 2; i++) {
		close_store(d[i], st[i]);
		td_free(d[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_merge_inodes),
		cmocka_unit_test(test_cut_on_its_way),
		cmocka_unit_test(test_merge_clients),
	};

	flint_log_init("chunk_list_test", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
