// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Power cuts (rule R5): random operations run on a disk that records every write
 * and flush. Then, for every prefix of the record, disks are made as a cut there
 * may leave them: when few writes are unsafe, with every subset of them; and by
 * chance with writes missing, torn at sectors, and in another order. From each the
 * store is opened:
 *
 *  - every chunk has one of the contents between the last acknowledged change and
 *    the last that began, never a mixture;
 *  - after all unanswered requests are repeated with their sequences, every chunk
 *    is exactly what all of them make: windows and data agree;
 *  - flint_store_verify() finds nothing;
 *  - nothing that is discarded is needed: every block that becomes free is, at once,
 *    and reads as garbage from then on;
 *  - sometimes the power is cut again during the repetitions.
 *
 * FLINT_CRASH_ROUNDS, FLINT_CRASH_SEED and FLINT_CRASH_DENSE=1 make it a soak test
 * (make soak-store).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "../../userd/base/log.h"
#include "chunk_model.h"

#define EXHAUSTIVE	4u	/* unsafe writes of which every subset is tried */

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

static void repeat(const struct op *o, struct test_dev *d, struct flint_store *st, u64 low)
{
	struct flint_sop *op = new_op(o->sop.kind, o->sop.ino, o->sop.index, o->sop.offset,
				      o->sop.length);

	op->epoch = o->sop.epoch;
	op->seq = o->sop.seq;
	op->seq_low = low < op->seq ? low : op->seq;
	op->cut_size = o->sop.cut_size;
	op->src_ino = o->sop.src_ino;
	op->src_index = o->sop.src_index;
	op->src_gen = o->sop.src_gen;
	op->src_epoch = o->sop.src_epoch;
	if (o->sop.kind == FLINT_SOP_WRITE)
		memcpy(op->data, o->mem, o->sop.length);
	wait_op(d, st, op);
	assert_int_equal(op->status, FLINT_OK);
	free_op(op);
}

/*
 * Every operation that began and was not answered is sent again, with its old
 * sequence. Then those that were answered and may still be asked for: carried out
 * again they would bring back what is older than the chunk.
 */
static void repeat_all(struct world *w, struct test_dev *d, struct flint_store *st,
		       const bool *started, const bool *done, u64 low)
{
	u32 k;

	for (k = 0; k < w->nr_ops; k++)
		if (started[k] && !done[k])
			repeat(w->ops[k], d, st, low);
	for (k = 0; k < w->nr_ops; k++)
		if (done[k] && !w->ops[k]->nr_cut && w->ops[k]->sop.seq >= low)
			repeat(w->ops[k], d, st, low);
}

/* The store on @d, a disk after a cut: what must be true of it. */
static void check_image(struct world *w, struct test_dev *d, u32 upto)
{
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
	repeat_all(w, d, st, started, done, low);
	for (i = 0; i < NR_CHUNKS; i++) {
		assert_int_equal(read_chunk(d, st, i, v.epoch[i / NR_IDX], buf, &size), FLINT_OK);
		if (!same(&w->chunk[i].states[v.nr[i] - 1], buf, size))
			fail_msg("cut at event %u: chunk %u is wrong after retries", upto, i);
	}
	close_store(d, st);
	free(buf);
	free(started);
	free(done);
}

/* Cut again while the store recovers and requests are repeated. */
static void cut_again(struct world *w, struct test_dev *first, u32 upto, u64 seed)
{
	struct test_dev *d = td_new(DISK, first, seed);
	struct td_player p;
	u32 n = 4;

	d->journal = true;
	d->dev.prewritten = w->disk->dev.prewritten;
	d->dev.volatile_cache = w->disk->dev.volatile_cache;
	check_image(w, d, upto);
	td_player_init(&p, d, first);
	while (n--) {
		u32 at = p.at + (u32)(flint_splitmix64(&seed) % (d->nr_events - p.at + 1));
		struct test_dev *again;

		td_play(&p, at);
		again = td_image(&p, ~0u, seed);
		check_image(w, again, upto);
		td_free(again);
	}
	td_player_free(&p);
	td_free(d);
}

struct extent {
	u32 images, cuts, subsets;
};

static void check_prefix(struct world *w, struct td_player *p, u32 upto, u32 chance, u64 seed,
			 struct extent *x)
{
	u32 mask, all = p->nr_loose <= EXHAUSTIVE ? 1u << p->nr_loose : 0, i;
	struct test_dev *d;

	x->cuts++;
	x->subsets += all != 0;
	for (mask = 0; mask < all; mask++) {
		d = td_image(p, mask, seed);
		check_image(w, d, upto);
		td_free(d);
		x->images++;
	}
	if (!p->nr_loose)
		return;
	for (i = 0; i < chance; i++) {
		d = td_image(p, ~0u, ++seed * 31);
		if (seed % 16)
			check_image(w, d, upto);
		else
			cut_again(w, d, upto, seed);
		td_free(d);
		x->images++;
	}
}

static void power_cuts(u8 block_shift, bool volatile_cache, bool prewritten, u32 ops, u32 step, u64 seed)
{
	bool dense = getenv("FLINT_CRASH_DENSE") != NULL;
	struct world *w = calloc(1, sizeof(*w));
	struct extent x = { 0 };
	struct test_dev *start;
	struct td_player p;
	u32 i;

	world_init(w, block_shift, 12, volatile_cache, prewritten, seed);
	/* The record begins with the formatted disk. */
	start = w->disk;
	w->disk = td_new(DISK, start, seed + 9);
	w->disk->journal = true;
	flint_store_close(w->st);
	w->st = open_store(w->disk);
	discard_all(w->st);
	run_ops(w, ops);
	check_newest(w);
	assert_true(w->disk->nr_discard_bytes > 0);
	td_player_init(&p, w->disk, start);
	for (i = 0; i <= w->disk->nr_events; i += dense ? 1 : step) {
		td_play(&p, i);
		check_prefix(w, &p, i, dense ? 12 : 1, seed * 1000003 + i, &x);
	}
	print_message("%u events: %u cuts, %u disks, every subset at %u cuts (seed %llu)\n",
		      w->disk->nr_events, x.cuts, x.images, x.subsets, (unsigned long long)seed);
	td_player_free(&p);
	close_store(w->disk, w->st);
	world_free(w);
	td_free(start);
}

static u64 env_number(const char *name, u64 def)
{
	const char *v = getenv(name);

	return v ? strtoull(v, NULL, 0) : def;
}

static void test_cuts(void **state)
{
	u64 rounds = env_number("FLINT_CRASH_ROUNDS", 1), seed = env_number("FLINT_CRASH_SEED", 4242);

	for (; rounds; rounds--, seed++)
		power_cuts(12, false, true, 60, 10, seed);
}

static void test_cuts_volatile(void **state)
{
	u64 rounds = env_number("FLINT_CRASH_ROUNDS", 1), seed = env_number("FLINT_CRASH_SEED", 17);

	for (; rounds; rounds--, seed++)
		power_cuts(14, true, false, 40, 10, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_cuts_volatile),
	};

	flint_log_init("chunk_crash_test", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
