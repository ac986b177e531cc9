// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a target says of itself, spoilt while it runs: superblocks, log and checkpoints are found and
 * made good (userd/chunk/check.c), also while the store changes, and nothing else is taken for damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "../../userd/base/log.h"
#include "../../userd/chunk/check.h"
#include "chunk_drive.h"

struct look {
	struct flint_check k;
	bool busy;
	u32 told;
};

static void look_done(struct flint_check *k)
{
	((struct look *)k)->busy = false;
}

static void look_found(struct flint_check *k, enum flint_own what)
{
	((struct look *)k)->told |= 1u << what;
}

static void look_mended(struct flint_check *k, enum flint_own what)
{
	((struct look *)k)->told |= 0x100u << what;
}

/* Look through everything; between steps @writes changes are made. Return: places that were found. */
static u32 look(struct test_dev *d, struct flint_store *st, u32 writes, u32 expect)
{
	static u64 seq = 1000000;
	struct look l = { 0 };
	u32 steps = 0, idle = 0, sum = 0, i;
	void *buf = NULL;

	assert_int_equal(posix_memalign(&buf, 4096, FLINT_STORE_MAX_IO), 0);
	l.k.buf = buf;
	l.k.done = look_done;
	l.k.found = look_found;
	l.k.mended = look_mended;
	flint_check_begin(&l.k, st);
	while (!flint_check_over(&l.k)) {
		assert_true(++steps < 1000);
		l.busy = true;
		flint_check_step(&l.k);
		for (idle = 0; l.busy; idle = pump(d, st) ? 0 : idle + 1)
			assert_true(idle < 10);
		for (i = 0; i < writes; i++, seq++)
			assert_int_equal(write_one(d, st, 200, 0, (u32)(seq % 30) * 4096, 4096, 7, seq),
					 FLINT_OK);
		settle(d, st);
	}
	assert_false(st->offline);
	for (i = 0; i < FLINT_OWN_NR; i++) {
		assert_int_equal(l.k.bad[i], l.k.fixed[i]);
		sum += l.k.bad[i];
	}
	assert_int_equal(l.told, expect | expect << 8);
	free(buf);
	return sum;
}

static void spoil(struct test_dev *d, u64 at)
{
	u8 b;

	td_read(d, &b, 1, at);
	b ^= 0x10;
	td_write_raw(d, &b, 1, at);
}

/* A chunk's content is one byte, again and again. */
static void expect_chunk(struct test_dev *d, struct flint_store *st, u32 index, u8 fill)
{
	struct flint_sop *op = new_op(FLINT_SOP_READ, 100, index, 0, CHUNK);
	u32 i;

	wait_op(d, st, op);
	assert_int_equal(op->status, FLINT_OK);
	assert_int_equal(le32_to_cpu(op->rep.io.length), CHUNK);
	for (i = 0; i < CHUNK; i++)
		assert_int_equal(op->data[op->out_off + i], fill);
	free_op(op);
}

#define FOUND(what)	(1u << FLINT_OWN_##what)

static void test_check(void **state)
{
	struct test_dev *d = td_new(DISK, NULL, 5);
	struct flint_store *st;
	u64 seq = 1;
	u32 i;

	format_disk(d, 12);
	st = open_store(d);
	for (; seq < 100; seq++)
		write_one(d, st, 100, seq % 50, 0, CHUNK, (u8)(seq % 50), seq);
	assert_int_equal(look(d, st, 0, 0), 0);
	spoil(d, 20);
	spoil(d, 4096 + 100);
	assert_int_equal(look(d, st, 0, FOUND(SUPER)), 2);
	assert_int_equal(look(d, st, 0, 0), 0);
	spoil(d, st->wal.off + st->wal.tail % st->wal.len + 40);
	assert_int_equal(look(d, st, 0, FOUND(LOG)), 1);
	assert_int_equal(look(d, st, 3, 0), 0);
	for (i = 0; i < 2; i++) {	/* the newest one: header, segment; then the one before it */
		spoil(d, st->ckpt_off[st->ckpt_seq & 1] + 24 + i * 5000);
		assert_int_equal(look(d, st, i, FOUND(CHECKPOINT)), 1);
		assert_int_equal(look(d, st, 0, 0), 0);
	}
	spoil(d, st->ckpt_off[~st->ckpt_seq & 1] + 24);
	assert_int_equal(look(d, st, 0, FOUND(CHECKPOINT)), 1);
	/* Across the end of the log's ring, and while it goes round under the look. */
	while (st->wal.tail % st->wal.len <= st->wal.head % st->wal.len)
		write_one(d, st, 100, 0, 0, 4096, 0, seq++);
	assert_int_equal(look(d, st, 0, 0), 0);
	assert_int_equal(look(d, st, 400, 0), 0);
	close_store(d, st);
	st = open_store(d);
	for (i = 0; i < 50; i++)
		expect_chunk(d, st, i, (u8)i);
	close_store(d, st);
	td_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
	};

	flint_log_init("test", FLINT_LOG_ERR - 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
