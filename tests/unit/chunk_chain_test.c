// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replication, as far as it needs no network: the place of a target in a map,
 * forwarded bodies, and what a store does with changes that are held and with
 * changes that are given (userd/chunk/store.h, Documentation/replication.rst).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "../../userd/chunk/chain.h"
#include "../../userd/base/crc.h"
#include "../../userd/base/log.h"
#include "chunk_drive.h"

/* ---- places ------------------------------------------------------------- */

struct small_map {
	struct flint_map map;
	struct flint_map_target t[5];
	struct flint_map_chain c;
};

/* Chain 9 of targets 1 .. nr on nodes 11 .. with these states. */
static void make_map(struct small_map *m, const u8 *states, u32 nr)
{
	u32 i;

	memset(m, 0, sizeof(*m));
	m->c.id = cpu_to_le32(9);
	m->c.version = cpu_to_le32(4);
	m->c.nr = (u8)nr;
	for (i = 0; i < nr; i++) {
		m->t[i].id = cpu_to_le32(i + 1);
		m->t[i].node = cpu_to_le32(i + 11);
		m->t[i].chain = cpu_to_le32(9);
		m->t[i].state = states[i];
		m->c.targets[i] = cpu_to_le32(i + 1);
	}
	m->map.targets = m->t;
	m->map.nr_targets = nr;
	m->map.chains = &m->c;
	m->map.nr_chains = 1;
}

static struct flint_place place_of(const u8 *states, u32 nr, u32 target)
{
	struct small_map m;
	struct flint_place p;

	make_map(&m, states, nr);
	flint_place_find(&m.map, target, &p);
	return p;
}

static void test_places(void **state)
{
	static const u8 three[] = { FLINT_TARGET_SERVING, FLINT_TARGET_SERVING,
				    FLINT_TARGET_SERVING };
	static const u8 mixed[] = { FLINT_TARGET_OFFLINE, FLINT_TARGET_SYNCING,
				    FLINT_TARGET_SERVING, FLINT_TARGET_WAITING,
				    FLINT_TARGET_SERVING };
	static const u8 last[] = { FLINT_TARGET_LASTSRV, FLINT_TARGET_OFFLINE };
	struct flint_place p = place_of(three, 3, 1);

	assert_int_equal(p.role, FLINT_CHAIN_SERVING);
	assert_int_equal(p.chain, 9);
	assert_int_equal(p.chain_ver, 4);
	assert_true(p.pos == 0 && !p.pred && p.succ == 2 && p.succ_node == 12 && !p.succ_syncing);
	p = place_of(three, 3, 2);
	assert_true(p.pos == 1 && p.pred == 1 && p.pred_node == 11 && p.succ == 3);
	p = place_of(three, 3, 3);
	assert_true(p.pos == 2 && p.pred == 2 && !p.succ);
	/* Those that serve come first, whatever stands between; then the one that catches up. */
	p = place_of(mixed, 5, 3);
	assert_true(p.role == FLINT_CHAIN_SERVING && p.pos == 0 && p.succ == 5);
	p = place_of(mixed, 5, 5);
	assert_true(p.pos == 1 && p.pred == 3 && p.succ == 2 && p.succ_syncing);
	p = place_of(mixed, 5, 2);
	assert_true(p.role == FLINT_CHAIN_SYNCING && p.pos == 2 && p.pred == 5 && !p.succ);
	p = place_of(mixed, 5, 4);
	assert_true(p.role == FLINT_CHAIN_NONE && p.chain == 9 && !p.succ && !p.pred);
	p = place_of(last, 2, 1);
	assert_int_equal(p.role, FLINT_CHAIN_NONE);
	p = place_of(three, 3, 77);
	assert_int_equal(p.chain, 0);
}

/* Recovered in one chain is not recovered in another, whatever the versions are. */
static void test_recovered(void **state)
{
	struct flint_hb_order o = { .chain = cpu_to_le32(2), .chain_ver = cpu_to_le32(9),
				    .state = FLINT_TARGET_SYNCING, .flags = FLINT_HB_ADMITTED };

	assert_int_equal(flint_order_state(&o, 0), FLINT_LOCAL_ONLINE);
	assert_int_equal(flint_order_state(&o, flint_chain_at(2, 8)), FLINT_LOCAL_ONLINE);
	assert_int_equal(flint_order_state(&o, flint_chain_at(1, 9)), FLINT_LOCAL_ONLINE);
	assert_int_equal(flint_order_state(&o, flint_chain_at(2, 9)), FLINT_LOCAL_UPTODATE);
	o.flags = 0;
	assert_int_equal(flint_order_state(&o, flint_chain_at(2, 9)), FLINT_LOCAL_ONLINE);
	o.flags = FLINT_HB_ADMITTED;
	o.state = FLINT_TARGET_SERVING;
	assert_int_equal(flint_order_state(&o, 0), FLINT_LOCAL_UPTODATE);
	o.state = FLINT_TARGET_WAITING;
	assert_int_equal(flint_order_state(&o, flint_chain_at(2, 9)), FLINT_LOCAL_ONLINE);
}

/* A target with half of a chunk is not to be the first that returns. */
static void test_half_returns(void **state)
{
	struct flint_hb_order o = { .target_id = 0 };

	assert_true(flint_order_unsafe(&o));	/* the first heartbeat decides already */
	o.target_id = cpu_to_le32(3);
	assert_false(flint_order_unsafe(&o));	/* left out */
	o.state = FLINT_TARGET_LASTSRV;
	assert_true(flint_order_unsafe(&o));
	o.state = FLINT_TARGET_SERVING;
	assert_true(flint_order_unsafe(&o));
	o.flags = FLINT_HB_ADMITTED;
	assert_false(flint_order_unsafe(&o));	/* the next pieces come from in front */
	o.state = FLINT_TARGET_WAITING;
	o.flags = 0;
	assert_false(flint_order_unsafe(&o));
	o.state = FLINT_TARGET_SYNCING;
	assert_false(flint_order_unsafe(&o));
}

/* ---- bodies ------------------------------------------------------------- */

static struct flint_forward good_write(void)
{
	struct flint_forward b = {
		.io = { .chain = cpu_to_le32(1), .chain_ver = cpu_to_le32(1),
			.target = cpu_to_le32(2), .fs = cpu_to_le32(1), .ino = cpu_to_le64(5),
			.length = cpu_to_le32(100), .chunk_shift = SHIFT,
			.flags = cpu_to_le32(FLINT_IO_CRC) },
		.seq = cpu_to_le64(3), .version = cpu_to_le64(1), .tag = cpu_to_le64(7),
		.from = cpu_to_le32(1), .kind = FLINT_FWD_WRITE, .size = cpu_to_le32(100),
	};

	return b;
}

static void test_bodies(void **state)
{
	struct flint_forward b = good_write(), w;

	assert_int_equal(flint_forward_kind(&b, 100), FLINT_SOP_WRITE);
	assert_int_equal(flint_forward_kind(&b, 99), -1);
	assert_int_equal(flint_forward_kind(&b, 0), -1);
#define BAD(change) do { w = b; change; assert_int_equal(flint_forward_kind(&w, 100), -1); } while (0)
	BAD(w.io.flags = 0);
	BAD(w.from = 0);
	BAD(w.io.ino = 0);
	BAD(w.version = 0);
	BAD(w.version = 0; w.prev_version = cpu_to_le64(~0ull));
	BAD(w.version = cpu_to_le64(2));
	BAD(w.prev_version = cpu_to_le64(1));
	BAD(w.prev_version = cpu_to_le64(2));
	BAD(w.tag = 0);
	BAD(w.seq = 0);
	BAD(w.kind = 9);
	BAD(w.flags = FLINT_FWD_FIRST);
	BAD(w.io.chunk_shift = 40);
	BAD(w.io.offset = cpu_to_le32(CHUNK - 99));
	BAD(w.io.offset = cpu_to_le32(~0u));
	BAD(w.size = cpu_to_le32(CHUNK + 1));
	BAD(w.io.length = 0);
#undef BAD
	b.kind = FLINT_FWD_PUNCH;
	assert_int_equal(flint_forward_kind(&b, 0), FLINT_SOP_PUNCH);
	assert_int_equal(flint_forward_kind(&b, 100), -1);
	b.kind = FLINT_FWD_WHOLE;
	b.flags = FLINT_FWD_FIRST | FLINT_FWD_LAST;
	assert_int_equal(flint_forward_kind(&b, 100), FLINT_SOP_REPLACE);
	b.flags = FLINT_FWD_FIRST;		/* but nothing follows */
	assert_int_equal(flint_forward_kind(&b, 100), -1);
	b.size = cpu_to_le32(8192);
	assert_int_equal(flint_forward_kind(&b, 100), FLINT_SOP_REPLACE);
	b.io.offset = cpu_to_le32(4096);	/* a later piece is not the first */
	assert_int_equal(flint_forward_kind(&b, 100), -1);
	b.flags = 0;
	assert_int_equal(flint_forward_kind(&b, 100), FLINT_SOP_REPLACE);
	b.io.offset = cpu_to_le32(4097);
	assert_int_equal(flint_forward_kind(&b, 100), -1);
	memset(&b.io.offset, 0, sizeof(b.io.offset));
	b.io.length = 0;
	b.io.flags = 0;
	b.kind = FLINT_FWD_DROP;
	assert_int_equal(flint_forward_kind(&b, 0), -1);
	w = b;
	w.kind = FLINT_FWD_CLONE;
	w.flags = 0;
	w.io.offset = 0;
	w.io.length = 0;
	assert_int_equal(flint_forward_kind(&w, 0), FLINT_SOP_CLONE);
	assert_int_equal(flint_forward_kind(&w, 1), -1);
	w.flags = FLINT_FWD_FIRST;
	assert_int_equal(flint_forward_kind(&w, 0), -1);
	b.flags = FLINT_FWD_SYNC;
	b.seq = 0;
	assert_int_equal(flint_forward_kind(&b, 0), FLINT_SOP_DROP);
	b.kind = FLINT_FWD_WHOLE;	/* an empty chunk */
	b.flags = FLINT_FWD_SYNC | FLINT_FWD_FIRST | FLINT_FWD_LAST;
	b.size = 0;
	assert_int_equal(flint_forward_kind(&b, 0), FLINT_SOP_REPLACE);
}

/* ---- stores ------------------------------------------------------------- */

struct host {
	struct test_dev *d;
	struct flint_store *st;
};

static void host_open_blocks(struct host *h, u8 block_shift, u64 seed)
{
	h->d = td_new(DISK, NULL, seed);
	format_blocks(h->d, block_shift, 0);
	h->st = open_store(h->d);
}

static void host_open(struct host *h, u64 seed)
{
	host_open_blocks(h, 0, seed);
}

static void host_reopen(struct host *h)
{
	close_store(h->d, h->st);
	h->st = open_store(h->d);
}

static void host_close(struct host *h)
{
	close_store(h->d, h->st);
	td_free(h->d);
}

/* An operation that may be held. */
struct hop {
	struct flint_sop *op;
	bool durable, done;
};

static void hop_durable(struct flint_sop *op)
{
	((struct hop *)op->arg)->durable = true;
}

static void hop_done(struct flint_sop *op)
{
	((struct hop *)op->arg)->done = true;
}

static struct hop *hop_submit(struct host *h, struct flint_sop *op, bool hold)
{
	struct hop *p = calloc(1, sizeof(*p));

	p->op = op;
	op->durable = hold ? hop_durable : NULL;
	op->done = hop_done;
	op->arg = p;
	flint_store_submit(h->st, op);
	return p;
}

static struct hop *hop_start(struct host *h, struct flint_sop *op, bool hold)
{
	struct hop *p = hop_submit(h, op, hold);

	settle(h->d, h->st);
	return p;
}

static u32 hop_free(struct hop *p)
{
	u32 status = p->op->status;

	assert_true(p->done);
	free_op(p->op);
	free(p);
	return status;
}

static struct flint_sop *write_op(u32 offset, u32 length, u8 fill, u64 seq)
{
	struct flint_sop *op = new_op(FLINT_SOP_WRITE, 100, 0, offset, length);

	memset(op->data, fill, length);
	op->seq = seq;
	return op;
}

/* The same as a predecessor gives it: version @v upon @prev, tags as requests have them. */
static struct flint_sop *given_op(u32 offset, u32 length, u8 fill, u64 seq, u64 v, u64 prev_seq)
{
	struct flint_sop *op = write_op(offset, length, fill, seq);

	op->given = true;
	op->version = v;
	op->tag = flint_request_tag(op->client, op->session, seq);
	op->prev_version = v - 1;
	op->prev_tag = prev_seq ? flint_request_tag(op->client, op->session, prev_seq) : 0;
	return op;
}

static struct flint_sop *of(struct flint_sop *op, u64 ino, u32 index, u32 gen, u32 epoch)
{
	op->ino = ino;
	op->index = index;
	op->gen = gen;
	op->epoch = epoch;
	return op;
}

static u32 run(struct host *h, struct flint_sop *op)
{
	u32 status;

	wait_op(h->d, h->st, op);
	status = op->status;
	free_op(op);
	return status;
}

/* Bytes of chunk 0 of inode 100 are all @fill; @size of them exist. */
static void expect(struct host *h, u32 size, u8 fill)
{
	struct flint_sop *op = new_op(FLINT_SOP_READ, 100, 0, 0, CHUNK);
	u32 i;

	op->as_is = true;
	wait_op(h->d, h->st, op);
	assert_int_equal(op->status, FLINT_OK);
	assert_int_equal(le32_to_cpu(op->rep.io.length), size);
	for (i = 0; i < size; i++)
		assert_int_equal(op->data[op->out_off + i], fill);
	free_op(op);
}

static void test_hold(void **state)
{
	struct host h;
	struct hop *a, *b, *r1, *r2, *dup;

	host_open(&h, 1);
	h.st->authority = false;
	assert_int_equal(run(&h, write_op(0, 5000, 1, 1)), FLINT_OK);
	a = hop_start(&h, write_op(0, 5000, 2, 2), true);
	assert_true(a->durable && !a->done && a->op->held);
	assert_int_equal(a->op->version, 2);
	assert_int_equal(a->op->prev_version, 1);
	assert_int_equal(a->op->prev_tag, flint_request_tag(a->op->client, 4, 1));
	/* Not seen before the others have it; nor by the next writer's readers. */
	r1 = hop_start(&h, new_op(FLINT_SOP_READ, 100, 0, 0, 5000), false);
	b = hop_start(&h, write_op(0, 5000, 3, 3), true);
	r2 = hop_start(&h, new_op(FLINT_SOP_READ, 100, 0, 0, 5000), false);
	dup = hop_start(&h, write_op(0, 5000, 2, 2), true);
	assert_false(r1->done || r2->done || b->durable || dup->done);
	flint_sop_release(a->op, FLINT_OK);
	settle(h.d, h.st);
	assert_true(a->done && dup->done && r1->done && r2->done && b->durable && !b->done);
	assert_int_equal(le64_to_cpu(dup->op->rep.io.version), 2);
	assert_int_equal(r1->op->data[0], 2);
	assert_int_equal(r2->op->data[4999], 2);
	hop_free(r1);
	/* The last of the chain answers with what it has. */
	h.st->authority = true;
	r1 = hop_start(&h, new_op(FLINT_SOP_READ, 100, 0, 0, 5000), false);
	assert_true(r1->done);
	assert_int_equal(r1->op->data[0], 3);
	/* Not acknowledged, but applied: whoever asks again is told so. */
	flint_sop_release(b->op, FLINT_ST_STALE_MAP);
	assert_int_equal(hop_free(b), FLINT_ST_STALE_MAP);
	assert_int_equal(hop_free(a), FLINT_OK);
	assert_int_equal(hop_free(dup), FLINT_OK);
	assert_int_equal(run(&h, write_op(0, 5000, 3, 3)), FLINT_OK);
	expect(&h, 5000, 3);
	hop_free(r1);
	hop_free(r2);
	assert_int_equal(h.st->nr_held, 0);
	host_close(&h);
}

static void test_cut_waits(void **state)
{
	struct host h;
	struct flint_sop *cut = new_op(FLINT_SOP_CUT, 100, 0, 0, 0);
	struct hop *a, *c, *r, *w;

	host_open(&h, 2);
	h.st->authority = false;
	a = hop_start(&h, write_op(0, 5000, 1, 1), true);
	cut->epoch = 1;
	cut->cut_size = 100;
	c = hop_start(&h, cut, true);
	assert_false(c->durable);
	w = hop_start(&h, write_op(0, 10, 9, 2), true);
	w->op->epoch = 1;
	r = hop_start(&h, new_op(FLINT_SOP_READ, 100, 0, 0, 5000), false);
	flint_sop_release(a->op, FLINT_OK);
	settle(h.d, h.st);
	assert_true(a->done && c->durable && !c->done);
	flint_sop_release(c->op, FLINT_OK);
	settle(h.d, h.st);
	assert_true(c->done && w->done && r->done);
	assert_int_equal(hop_free(w), FLINT_ST_STALE_EPOCH);
	assert_int_equal(hop_free(c), FLINT_OK);
	assert_int_equal(hop_free(a), FLINT_OK);
	hop_free(r);
	expect(&h, 100, 1);
	/* Done before: passed on again all the same. */
	cut = new_op(FLINT_SOP_CUT, 100, 0, 0, 0);
	cut->epoch = 1;
	cut->cut_size = 100;
	c = hop_start(&h, cut, true);
	assert_true(c->durable && c->op->already);
	flint_sop_release(c->op, FLINT_OK);
	assert_int_equal(hop_free(c), FLINT_OK);
	host_close(&h);
}

/* The chunk is gone when the old content of a block has been read that a write changes in part. */
static void test_cut_overtakes(void **state)
{
	struct flint_sop *cut = new_op(FLINT_SOP_CUT, 100, 0, 0, 0);
	struct flint_dio *read;
	struct hop *w, *c;
	struct host h;
	u32 i;

	host_open(&h, 4);
	assert_int_equal(run(&h, write_op(0, 5000, 1, 1)), FLINT_OK);
	w = hop_submit(&h, write_op(10, 20, 2, 2), false);
	for (i = 0; h.d->queue[i]->op != FLINT_DIO_READ; i++)
		assert_true(i + 1 < h.d->nr_queue);
	read = h.d->queue[i];
	h.d->queue[i] = h.d->queue[--h.d->nr_queue];
	cut->epoch = 1;
	c = hop_start(&h, cut, false);
	assert_true(c->done && !w->done);
	assert_null(flint_chunk_find(&h.st->index, 1, 100, 0));
	h.d->queue[h.d->nr_queue++] = read;
	settle(h.d, h.st);
	assert_int_equal(hop_free(w), FLINT_ST_STALE_EPOCH);
	assert_int_equal(hop_free(c), FLINT_OK);
	host_close(&h);
}

static void test_given(void **state)
{
	struct flint_sop *op;
	struct host h;
	struct hop *a, *b;

	host_open(&h, 3);
	/* Upon what is here; again; upon something else. */
	assert_int_equal(run(&h, given_op(0, 5000, 1, 1, 1, 0)), FLINT_OK);
	assert_int_equal(run(&h, given_op(0, 5000, 2, 2, 2, 1)), FLINT_OK);
	a = hop_start(&h, given_op(0, 5000, 2, 2, 2, 1), true);
	assert_true(a->durable && a->op->already);	/* and is passed on again */
	b = hop_start(&h, given_op(0, 5000, 2, 2, 2, 1), true);	/* sent again meanwhile */
	assert_false(b->done);
	flint_sop_release(a->op, FLINT_OK);
	settle(h.d, h.st);
	if (!b->done)
		flint_sop_release(b->op, FLINT_OK);
	assert_int_equal(hop_free(a), FLINT_OK);
	assert_int_equal(hop_free(b), FLINT_OK);
	expect(&h, 5000, 2);
	op = given_op(0, 5000, 4, 4, 4, 3);
	wait_op(h.d, h.st, op);
	assert_int_equal(op->status, FLINT_ST_NEED_WHOLE);
	assert_int_equal(op->have_version, 2);
	assert_int_equal(op->have_tag, flint_request_tag(op->client, op->session, 2));
	free_op(op);
	/* The same version of another request: another history (rule R3). */
	op = given_op(0, 5000, 4, 5, 2, 1);
	wait_op(h.d, h.st, op);
	assert_int_equal(op->status, FLINT_ST_NEED_WHOLE);
	free_op(op);
	/* A copy that comes late is no news, but who is being brought up to date asks. */
	assert_int_equal(run(&h, given_op(0, 5000, 1, 1, 1, 0)), FLINT_OK);
	expect(&h, 5000, 2);
	op = given_op(0, 5000, 1, 1, 1, 0);
	op->syncing = true;
	assert_int_equal(run(&h, op), FLINT_ST_NEED_WHOLE);
	/* After a CUT it would make the chunk anew: it must not. */
	assert_int_equal(cut_one(h.d, h.st, 100, 1, 1, 0, 0), FLINT_OK);
	expect(&h, 0, 0);
	assert_int_equal(run(&h, given_op(0, 5000, 1, 1, 1, 0)), FLINT_OK);
	expect(&h, 0, 0);
	/* Window and data come back together. */
	op = given_op(0, 300, 7, 6, 1, 0);
	op->epoch = 1;
	assert_int_equal(run(&h, op), FLINT_OK);
	host_reopen(&h);
	op = write_op(0, 300, 7, 6);
	op->epoch = 1;
	op->seq_low = 6;
	wait_op(h.d, h.st, op);
	assert_int_equal(op->status, FLINT_ST_BAD_SEQ);	/* another fingerprint: given without */
	free_op(op);
	expect(&h, 300, 7);
	host_close(&h);
}

/* It is here already, and would be passed on: what was damaged on the way is not. */
static void test_given_damaged(void **state)
{
	struct flint_sop *op;
	struct host h;
	u32 i, crc = 0;

	host_open(&h, 20);
	for (i = 0; i < 3; i++) {
		op = given_op(0, 8192, 5, 1, 1, 0);
		op->check_crc = true;
		op->crc = i ? crc : flint_crc32c(0, op->data, op->length);
		crc = op->crc;
		op->data[4097] ^= i == 1;
		assert_int_equal(run(&h, op), i == 1 ? FLINT_ST_CHECKSUM : FLINT_OK);
	}
	expect(&h, 8192, 5);
	host_close(&h);
}

/* What a head made is taken over by the next head: the client's repetition is known there. */
static void test_window_across(void **state)
{
	struct flint_sop *g;
	struct host a, b;
	struct hop *w, *again;

	host_open(&a, 4);
	host_open(&b, 5);
	w = hop_start(&a, write_op(10, 300, 8, 1), true);
	g = new_op(FLINT_SOP_WRITE, 100, 0, 10, 300);
	memcpy(g->data, w->op->data, 300);
	g->given = true;
	g->seq = 1;
	g->version = w->op->version;
	g->tag = w->op->tag;
	g->print = w->op->print;
	again = hop_start(&b, g, true);
	assert_true(again->durable);
	/* The head is gone; the client asks the next one, which still waits for its successor. */
	{
		struct hop *c = hop_start(&b, write_op(10, 300, 8, 1), true);

		assert_false(c->done);
		flint_sop_release(again->op, FLINT_OK);
		settle(b.d, b.st);
		assert_int_equal(le64_to_cpu(c->op->rep.io.version), 1);
		assert_int_equal(hop_free(c), FLINT_OK);
	}
	assert_int_equal(hop_free(again), FLINT_OK);
	assert_int_equal(run(&b, write_op(10, 300, 8, 1)), FLINT_OK);
	host_reopen(&b);
	assert_int_equal(run(&b, write_op(10, 300, 8, 1)), FLINT_OK);
	/* Forgotten: it would be carried out again. */
	assert_int_equal(run(&b, new_op(FLINT_SOP_FORGET, 0, 0, 0, 0)), FLINT_OK);
	host_reopen(&b);
	g = write_op(10, 300, 8, 1);
	wait_op(b.d, b.st, g);
	assert_int_equal(le64_to_cpu(g->rep.io.version), 2);
	free_op(g);
	flint_sop_release(w->op, FLINT_OK);
	hop_free(w);
	host_close(&a);
	host_close(&b);
}

/* A checkpoint while a change is held: its record goes from the log, its result must not. */
static void test_held_checkpoint(void **state)
{
	struct flint_sop *again;
	struct hop *w[2];
	struct host h;
	u32 i;

	host_open(&h, 17);
	w[0] = hop_start(&h, write_op(0, 300, 1, 1), true);
	w[1] = hop_start(&h, of(write_op(0, 400, 1, 2), 100, 1, 1, 0), true);
	assert_true(w[0]->op->held && w[1]->op->held);
	flint_ckpt_start(h.st);
	settle(h.d, h.st);
	for (i = 0; i < 2; i++) {	/* at once lost: nothing of it is written any more */
		flint_sop_release(w[i]->op, FLINT_ST_STALE_MAP);
		assert_int_equal(hop_free(w[i]), FLINT_ST_STALE_MAP);
	}
	host_reopen(&h);
	assert_int_equal(run(&h, write_op(0, 300, 9, 3)), FLINT_OK);	/* another's, over it */
	for (i = 0; i < 2; i++) {
		again = of(write_op(0, 300 + 100 * i, 1, 1 + i), 100, i, 1, 0);
		wait_op(h.d, h.st, again);
		assert_int_equal(again->status, FLINT_OK);
		assert_int_equal(le64_to_cpu(again->rep.io.version), 1);
		assert_int_equal(le32_to_cpu(again->rep.io.length), 300 + 100 * i);
		free_op(again);
	}
	expect(&h, 300, 9);
	host_close(&h);
}

static struct flint_sop *piece_op(u32 at, u32 len, u8 fill, u8 whole, u64 version, u32 size)
{
	struct flint_sop *op = new_op(FLINT_SOP_REPLACE, 100, 0, at, len);

	memset(op->data, fill, len);
	op->whole = whole;
	op->version = version;
	op->tag = 1000 + version;
	op->size = size;
	return op;
}

/* A change that came as a whole chunk: the client's repetition waits for it, and is told its own length. */
static void test_window_whole(void **state)
{
	struct flint_sop *op;
	struct hop *w, *g, *c;
	struct host a, b;
	u32 i;

	host_open(&a, 18);
	host_open(&b, 19);
	w = hop_start(&a, write_op(10, 300, 8, 1), true);
	op = piece_op(0, 4096, 8, FLINT_FWD_FIRST, 7, 5000);
	op->seq = 1;
	op->print = w->op->print;
	assert_int_equal(run(&b, op), FLINT_OK);
	op = piece_op(4096, 904, 8, FLINT_FWD_LAST, 7, 5000);
	op->seq = 1;
	op->print = w->op->print;
	g = hop_start(&b, op, true);
	assert_true(g->durable);
	c = hop_start(&b, write_op(10, 300, 8, 1), true);
	assert_false(c->done || c->durable);
	flint_sop_release(g->op, FLINT_OK);
	settle(b.d, b.st);
	assert_int_equal(le64_to_cpu(c->op->rep.io.version), 7);
	assert_int_equal(le32_to_cpu(c->op->rep.io.length), 300);
	assert_int_equal(hop_free(c), FLINT_OK);
	assert_int_equal(hop_free(g), FLINT_OK);
	for (i = 0; i < 2; i++) {
		op = write_op(10, 300, 8, 1);
		wait_op(b.d, b.st, op);
		assert_int_equal(op->status, FLINT_OK);
		assert_int_equal(le64_to_cpu(op->rep.io.version), 7);
		assert_int_equal(le32_to_cpu(op->rep.io.length), 300);
		free_op(op);
		host_reopen(&b);
	}
	flint_sop_release(w->op, FLINT_OK);
	hop_free(w);
	host_close(&a);
	host_close(&b);
}

/* There is but half of the chunk: what a client wants of it is refused, and told apart. */
static void refused_half(struct host *h, struct flint_sop *op)
{
	if (op->kind != FLINT_SOP_CUT)
		op->seq = 10;
	wait_op(h->d, h->st, op);
	assert_int_equal(op->status, FLINT_ST_NOT_SERVING);
	assert_true(op->half);
	assert_int_equal(h->st->index.nr_half, 1);
	free_op(op);
}

static void test_replace(void **state)
{
	struct flint_sop *op;
	struct host h;
	u64 i;

	host_open(&h, 6);
	for (i = 1; i <= 9; i++)
		assert_int_equal(run(&h, write_op(0, 70000, (u8)i, i)), FLINT_OK);
	/* Back to version 3, in two pieces; in between it is not there, also after a crash. */
	assert_int_equal(run(&h, piece_op(0, 65536, 50, FLINT_FWD_FIRST, 3, 65636)), FLINT_OK);
	expect(&h, 0, 0);
	op = new_op(FLINT_SOP_READ, 100, 0, 0, 100);
	assert_int_equal(run(&h, op), FLINT_ST_NOT_SERVING);
	host_reopen(&h);
	expect(&h, 0, 0);
	refused_half(&h, write_op(0, 70000, 9, 10));	/* nor does who is in front now change it */
	refused_half(&h, new_op(FLINT_SOP_PUNCH, 100, 0, 0, CHUNK));
	op = new_op(FLINT_SOP_CLONE, 102, 0, 0, 0);
	op->src_ino = 100;
	op->src_gen = 1;
	refused_half(&h, op);
	op = new_op(FLINT_SOP_CLONE, 100, 0, 0, 0);
	op->src_ino = 102;
	op->src_gen = 1;
	refused_half(&h, op);
	op = new_op(FLINT_SOP_CUT, 100, 0, 0, 0);
	op->cut_size = 100;
	op->epoch = 1;
	refused_half(&h, op);
	host_reopen(&h);	/* a CUT that ends so is heard of all the same */
	op = given_op(0, 10, 1, 20, 1, 0);	/* half a chunk is not "nothing" */
	assert_int_equal(run(&h, op), FLINT_ST_NEED_WHOLE);
	assert_int_equal(run(&h, piece_op(65536, 100, 50, FLINT_FWD_LAST, 3, 65636)), FLINT_OK);
	expect(&h, 65636, 50);
	assert_int_equal(h.st->index.nr_half, 0);
	host_reopen(&h);
	expect(&h, 65636, 50);
	op = new_op(FLINT_SOP_READ, 100, 0, 0, 10);
	wait_op(h.d, h.st, op);
	assert_int_equal(op->have_version, 3);
	assert_int_equal(op->have_tag, 1003);
	free_op(op);
	/* A piece that is not the first needs one that was begun. */
	assert_int_equal(run(&h, piece_op(65536, 100, 50, FLINT_FWD_LAST, 4, 65636)),
			 FLINT_ST_NEED_WHOLE);
	/* An empty one, then none. */
	assert_int_equal(run(&h, piece_op(0, 0, 0, FLINT_FWD_FIRST | FLINT_FWD_LAST, 7, 0)),
			 FLINT_OK);
	expect(&h, 0, 0);
	assert_int_equal(run(&h, new_op(FLINT_SOP_DROP, 100, 0, 0, 0)), FLINT_OK);
	assert_int_equal(run(&h, new_op(FLINT_SOP_DROP, 100, 0, 0, 0)), FLINT_OK);
	assert_int_equal(run(&h, given_op(0, 40, 6, 30, 1, 0)), FLINT_OK);
	host_reopen(&h);
	expect(&h, 40, 6);
	host_close(&h);
}

/* Half of a replacement is shortened: what it gives up is others', after a replay as well. */
static void test_cut_half(void **state)
{
	struct flint_sop *op;
	struct host h;
	u32 i;

	host_open(&h, 16);
	assert_int_equal(run(&h, piece_op(0, 65536, 50, FLINT_FWD_FIRST, 3, 65636)), FLINT_OK);
	op = new_op(FLINT_SOP_CUT, 100, 0, 0, 0);
	op->given = true;
	op->epoch = 1;
	op->cut_size = 5000;
	assert_int_equal(run(&h, op), FLINT_OK);
	assert_int_equal(flint_store_used(h.st), 8192);
	for (i = 0; i < 400 && flint_store_room(h.st) > CHUNK; i++)	/* all that there is */
		assert_int_equal(write_one(h.d, h.st, 101, i, 0, CHUNK, 7, 1 + i), FLINT_OK);
	host_reopen(&h);
	assert_int_equal(flint_chunk_find(&h.st->index, 1, 100, 0)->size, 5000);
	op = piece_op(0, 60000, 51, FLINT_FWD_FIRST | FLINT_FWD_LAST, 4, 60000);
	op->epoch = 1;
	assert_int_equal(run(&h, op), FLINT_OK);
	host_reopen(&h);
	expect(&h, 60000, 51);
	host_close(&h);
}

/* A checkpoint in the middle of all that, and the log over it. */
static void test_replay_lowered(void **state)
{
	struct host h;
	u32 round;
	u64 i, seq = 0;

	host_open(&h, 7);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 5; i++)
			assert_int_equal(run(&h, write_op((u32)i * 20000, 40000, 3, ++seq)), FLINT_OK);
		flint_ckpt_start(h.st);		/* fuzzy: what follows goes on top */
		assert_int_equal(run(&h, piece_op(0, 60000, 77, FLINT_FWD_FIRST | FLINT_FWD_LAST,
						  2, 60000)), FLINT_OK);
		assert_int_equal(run(&h, write_op(0, 60000, 80, ++seq)), FLINT_OK);
		host_reopen(&h);
		expect(&h, 60000, 80);
		flint_ckpt_start(h.st);
		assert_int_equal(run(&h, new_op(FLINT_SOP_DROP, 100, 0, 0, 0)), FLINT_OK);
		assert_int_equal(run(&h, write_op(0, 100, 9, ++seq)), FLINT_OK);
		host_reopen(&h);
		expect(&h, 100, 9);
	}
	host_close(&h);
}

static u64 version_at(struct host *h, u64 ino, u32 index)
{
	struct flint_chunk *c = flint_chunk_find(&h->st->index, 1, ino, index);

	return c ? c->version : 0;
}

/*
 * The target was in another chain, or ahead of this one: it knows generations, epochs and
 * tombstones that this chain does not know (yet). None of them may have a change of this
 * chain passed over, nor keep a chunk that the chain does not have.
 */
static void test_another_chain(void **state)
{
	const u8 whole = FLINT_FWD_FIRST | FLINT_FWD_LAST;
	struct host h;
	u32 mode, i;

	for (mode = 0; mode < 3; mode++) {	/* as it is; replayed; from a checkpoint */
		host_open(&h, 20 + mode);
		for (i = 0; i < 2; i++) {
			assert_int_equal(run(&h, of(write_op(0, 9000, 1, 1 + i), 100, i, 5, 0)),
					 FLINT_OK);
			assert_int_equal(run(&h, of(write_op(0, 9000, 1, 3 + i), 103, i, 5, 0)),
					 FLINT_OK);
			assert_int_equal(run(&h, of(write_op(0, 9000, 1, 5 + i), 104, i, 5, 0)),
					 FLINT_OK);
		}
		assert_int_equal(run(&h, of(write_op(0, 9000, 1, 8), 102, 0, 1, 0)), FLINT_OK);
		assert_int_equal(cut_one(h.d, h.st, 101, 1, 9, 0, FLINT_CUT_REMOVE), FLINT_OK);
		assert_int_equal(cut_one(h.d, h.st, 102, 1, 9, 8000, 0), FLINT_OK);
		assert_int_equal(run(&h, new_op(FLINT_SOP_FORGET, 0, 0, 0, 0)), FLINT_OK);
		if (mode == 2) {
			flint_ckpt_start(h.st);
			settle(h.d, h.st);
		}
		if (mode)
			host_reopen(&h);
		/* What speaks of nothing but tombstones is gone, and not passed on. */
		assert_null(flint_inode_find(&h.st->index, 1, 101));
		/* Chunks that this chain does not have, of inodes that it does not know. */
		assert_int_equal(run(&h, of(new_op(FLINT_SOP_DROP, 0, 0, 0, 0), 100, 0, 0, 0)),
				 FLINT_OK);
		assert_int_equal(version_at(&h, 100, 0), 0);
		assert_int_equal(version_at(&h, 100, 1), 1);
		assert_int_equal(run(&h, of(new_op(FLINT_SOP_DROP, 0, 0, 0, 0), 100, 1, 0, 0)),
				 FLINT_OK);
		assert_null(flint_inode_find(&h.st->index, 1, 100));
		/* Removed there, not yet here: it is written, sent, and then removed for good. */
		assert_int_equal(run(&h, of(given_op(0, 40, 6, 30, 1, 0), 101, 0, 1, 2)), FLINT_OK);
		assert_int_equal(version_at(&h, 101, 0), 1);
		assert_int_equal(cut_one(h.d, h.st, 101, 1, 3, 0, FLINT_CUT_REMOVE), FLINT_OK);
		assert_int_equal(version_at(&h, 101, 0), 0);
		/* Cut there, not yet here. */
		assert_int_equal(run(&h, of(piece_op(0, 100, 7, whole, 4, 100), 102, 0, 1, 2)), FLINT_OK);
		assert_int_equal(version_at(&h, 102, 0), 4);
		assert_int_equal(run(&h, of(given_op(0, 50, 8, 31, 1, 0), 102, 1, 1, 2)), FLINT_OK);
		assert_int_equal(version_at(&h, 102, 1), 1);
		assert_int_equal(cut_one(h.d, h.st, 102, 1, 3, 50, 0), FLINT_OK);
		assert_int_equal(version_at(&h, 102, 0), 5);
		assert_int_equal(version_at(&h, 102, 1), 0);
		/* Of a generation that this chain does not know. */
		assert_int_equal(run(&h, of(piece_op(0, 100, 7, whole, 2, 100), 103, 0, 3, 0)), FLINT_OK);
		assert_int_equal(version_at(&h, 103, 0), 2);
		assert_int_equal(version_at(&h, 103, 1), 0);
		assert_int_equal(cut_one(h.d, h.st, 104, 3, 1, 0, FLINT_CUT_REMOVE), FLINT_OK);
		assert_int_equal(version_at(&h, 104, 0), 0);
		/* From now on what is old is old. */
		assert_int_equal(run(&h, of(given_op(0, 50, 9, 32, 1, 0), 103, 1, 2, 0)), FLINT_OK);
		assert_int_equal(version_at(&h, 103, 1), 0);
		assert_int_equal(run(&h, of(new_op(FLINT_SOP_DROP, 0, 0, 0, 0), 103, 0, 2, 0)), FLINT_OK);
		host_reopen(&h);
		assert_int_equal(version_at(&h, 103, 0), 2);
		assert_int_equal(version_at(&h, 102, 0), 5);
		assert_null(flint_inode_find(&h.st->index, 1, 100));
		assert_int_equal(flint_inode_find(&h.st->index, 1, 101)->flags, FLINT_CUT_REMOVE);
		assert_int_equal(flint_inode_find(&h.st->index, 1, 103)->flags, 0);
		host_close(&h);
	}
}

static void test_repair(void **state)
{
	struct flint_sop *op;
	struct host h;

	host_open(&h, 8);
	assert_int_equal(run(&h, write_op(0, 70000, 1, 1)), FLINT_OK);
	op = new_op(FLINT_SOP_REPAIR, 100, 0, 65536, 70000 - 65536);
	memset(op->data, 1, op->length);
	op->version = 1;
	op->tag = flint_request_tag(op->client, op->session, 1);
	assert_int_equal(run(&h, op), FLINT_OK);
	expect(&h, 70000, 1);
	op = new_op(FLINT_SOP_REPAIR, 100, 0, 0, 16384);	/* of another version */
	op->version = 2;
	op->tag = 5;
	assert_int_equal(run(&h, op), FLINT_ST_NEED_WHOLE);
	op = new_op(FLINT_SOP_REPAIR, 100, 0, 0, 100);		/* not whole blocks */
	op->version = 1;
	op->tag = flint_request_tag(op->client, op->session, 1);
	assert_int_equal(run(&h, op), FLINT_ST_NEED_WHOLE);
	host_reopen(&h);
	expect(&h, 70000, 1);
	host_close(&h);
}

/* Under a held change, which a CUT waits for: neither waits for the other, and the change ends last. */
static void test_repair_guest(void **state)
{
	struct flint_sop *fix = new_op(FLINT_SOP_REPAIR, 100, 0, 65536, 70000 - 65536);
	struct flint_sop *cut = new_op(FLINT_SOP_CUT, 100, 0, 0, 0);
	struct hop *w, *c, *r;
	bool fixed = false;
	struct host h;

	host_open(&h, 14);
	h.st->authority = false;
	assert_int_equal(run(&h, write_op(0, 70000, 1, 1)), FLINT_OK);
	w = hop_start(&h, write_op(0, 5000, 1, 2), true);
	r = hop_start(&h, new_op(FLINT_SOP_READ, 100, 0, 0, 70000), false);
	cut->epoch = 1;
	cut->cut_size = 100;
	c = hop_start(&h, cut, true);
	memset(fix->data, 1, fix->length);
	fix->version = 2;
	fix->tag = w->op->tag;
	fix->done = set_done;
	fix->arg = &fixed;
	flint_store_submit(h.st, fix);
	assert_true(w->op->guest == fix && !fixed);
	pump(h.d, h.st);	/* its data, and not yet its record */
	flint_sop_release(w->op, FLINT_OK);
	assert_false(w->done || fixed || r->done || c->durable);
	settle(h.d, h.st);
	assert_true(w->done && fixed && r->done && c->durable);
	assert_int_equal(fix->status, FLINT_OK);
	assert_int_equal(hop_free(w), FLINT_OK);
	hop_free(r);
	flint_sop_release(c->op, FLINT_OK);
	assert_int_equal(hop_free(c), FLINT_OK);
	free_op(fix);
	expect(&h, 100, 1);
	host_reopen(&h);
	expect(&h, 100, 1);
	host_close(&h);
}

/* Changes that were given to a full target do not wait for one another for space that nobody frees. */
static void test_given_full(void **state)
{
	struct hop *p[5];
	struct flint_sop *op;
	struct host h;
	u32 i = 0, k, status = FLINT_OK;

	host_open(&h, 15);
	for (; status == FLINT_OK; i++) {
		op = given_op(0, CHUNK, 1, i + 1, 1, 0);
		op->index = i;
		status = run(&h, op);
	}
	assert_int_equal(status, ENOSPC);
	assert_true(i > 100);
	for (k = 0; k < 5; k++) {	/* another is read; two changes of each of two chunks */
		i = (k + 4) % 5;
		op = i == 4 ? new_op(FLINT_SOP_READ, 100, 2, 0, CHUNK) :
		     given_op(0, CHUNK, 2, 10000 + i, 2 + i / 2, i < 2 ? i + 1 : 10000 + i - 2);
		if (i < 4)
			op->index = i % 2;
		p[i] = calloc(1, sizeof(*p[i]));
		p[i]->op = op;
		op->done = hop_done;
		op->arg = p[i];
		flint_store_submit(h.st, op);
	}
	settle(h.d, h.st);
	for (i = 0; i < 5; i++)
		assert_int_equal(hop_free(p[i]), i < 2 ? ENOSPC : i < 4 ? FLINT_ST_NEED_WHOLE : FLINT_OK);
	host_close(&h);
}

static void test_hold_only(void **state)
{
	struct hop *k, *w, *r, *c;
	struct flint_sop *cut;
	struct host h;

	host_open(&h, 9);
	h.st->authority = false;
	k = hop_start(&h, new_op(FLINT_SOP_HOLD, 100, 0, 0, 0), true);	/* there is none yet */
	assert_true(k->durable && !k->op->have_version);
	w = hop_start(&h, write_op(0, 100, 1, 1), false);
	assert_false(w->done);
	cut = new_op(FLINT_SOP_CUT, 100, 0, 0, 0);
	cut->gen = 1;
	cut->epoch = 0;
	flint_sop_release(k->op, FLINT_OK);
	settle(h.d, h.st);
	assert_int_equal(hop_free(w), FLINT_OK);
	hop_free(k);
	k = hop_start(&h, new_op(FLINT_SOP_HOLD, 100, 0, 0, 0), true);
	assert_int_equal(k->op->have_version, 1);
	assert_int_equal(k->op->have_size, 100);
	r = hop_start(&h, new_op(FLINT_SOP_READ, 100, 0, 0, 100), false);
	assert_true(r->done);		/* nothing changes: readers need not wait */
	cut->epoch = 1;
	c = hop_start(&h, cut, false);
	assert_false(c->done);
	flint_sop_release(k->op, FLINT_OK);
	settle(h.d, h.st);
	assert_int_equal(hop_free(c), FLINT_OK);
	hop_free(k);
	hop_free(r);
	expect(&h, 0, 0);
	host_close(&h);
}

static void test_room(void **state)
{
	struct hop *a;
	struct host h;

	host_open(&h, 10);
	h.st->room_behind = 40000;
	a = hop_start(&h, write_op(0, 32768, 1, 1), true);
	assert_true(a->durable);
	assert_int_equal(h.st->growing, 32768);
	/* What is on its way counts; what does not grow passes; what was given must fit. */
	{
		struct flint_sop *op = new_op(FLINT_SOP_WRITE, 101, 0, 0, 16384);

		op->seq = 2;
		assert_int_equal(run(&h, op), ENOSPC);
		op = new_op(FLINT_SOP_WRITE, 101, 0, 0, 16384);
		op->given = true;
		op->seq = 3;
		op->version = 1;
		op->tag = 1;
		assert_int_equal(run(&h, op), FLINT_OK);
	}
	flint_sop_release(a->op, FLINT_OK);
	hop_free(a);
	assert_int_equal(h.st->growing, 0);
	h.st->room_behind = 0;
	assert_int_equal(run(&h, write_op(0, 32768, 2, 4)), FLINT_OK);
	host_close(&h);
}

/* Chunk @index grows by 16 KiB, or is changed in place. */
static struct flint_sop *grow_op(u32 index, u64 seq)
{
	struct flint_sop *op = write_op(0, 16384, 1, seq);

	op->index = index;
	return op;
}

/* How much replicas behind can take is not known: they are given one thing after the other. */
static void test_room_unknown(void **state)
{
	struct hop *a, *b, *c;
	struct host h;

	host_open(&h, 11);
	h.st->room_unknown = true;
	a = hop_submit(&h, grow_op(0, 1), true);
	b = hop_submit(&h, grow_op(1, 2), true);	/* the first is not in the log yet */
	c = hop_start(&h, grow_op(2, 3), true);
	assert_true(a->durable);
	assert_false(b->durable || b->done || c->durable || c->done);
	assert_int_equal(h.st->growing, 16384);
	/* Its answer told: there is room for one more. */
	h.st->room_unknown = false;
	h.st->room_behind = 16384;
	flint_sop_release(a->op, FLINT_OK);
	settle(h.d, h.st);
	assert_int_equal(hop_free(a), FLINT_OK);
	assert_true(b->durable);
	assert_int_equal(hop_free(c), ENOSPC);
	/* Unknown again: what does not grow need not wait. */
	h.st->room_unknown = true;
	c = hop_start(&h, grow_op(0, 4), true);
	assert_true(c->durable);
	a = hop_start(&h, grow_op(3, 5), true);
	assert_false(a->durable);
	flint_sop_release(b->op, FLINT_OK);
	settle(h.d, h.st);
	assert_true(a->durable);
	flint_sop_release(a->op, FLINT_OK);
	flint_sop_release(c->op, FLINT_OK);
	hop_free(a);
	hop_free(b);
	hop_free(c);
	assert_int_equal(h.st->growing, 0);
	host_close(&h);
}

static u32 stale(struct flint_sop *op)
{
	return FLINT_ST_STALE_MAP;
}

static void test_check(void **state)
{
	struct flint_sop *op;
	struct host h;
	struct hop *a, *b;

	host_open(&h, 11);
	op = write_op(0, 100, 1, 1);
	op->check = stale;
	assert_int_equal(run(&h, op), FLINT_ST_STALE_MAP);
	/* Also after a wait: the chain changed while the chunk was another's. */
	a = hop_start(&h, write_op(0, 100, 1, 2), true);
	b = hop_start(&h, write_op(0, 100, 2, 3), true);
	b->op->check = stale;
	flint_sop_release(a->op, FLINT_OK);
	settle(h.d, h.st);
	assert_int_equal(hop_free(b), FLINT_ST_STALE_MAP);
	hop_free(a);
	expect(&h, 100, 1);
	/* It had no effect: a repetition is carried out. */
	assert_int_equal(run(&h, write_op(0, 100, 2, 3)), FLINT_OK);
	expect(&h, 100, 2);
	host_close(&h);
}

/* ---- two replicas --------------------------------------------------------- */

/*
 * A head and its successor: random changes of many chunks, several under way,
 * forwarded as forward.c does it, some twice. In the end both hold the same.
 */
struct pair {
	struct host a, b;
	u64 rng, seq;
	u32 open, epoch;
};

struct pop {
	struct flint_sop *op, *fwd;
	struct pair *p;
	u32 copies;
};

static void pop_given_done(struct flint_sop *op)
{
	struct pop *o = op->arg;
	bool last = !--o->copies;

	assert_int_equal(op->status, FLINT_OK);
	free_op(op);
	if (last)
		flint_sop_release(o->op, FLINT_OK);
}

static void pop_forward(struct pop *o)
{
	const struct flint_sop *op = o->op;
	struct flint_sop *g = new_op(op->kind, op->ino, op->index, op->offset, op->length);

	if (op->kind == FLINT_SOP_WRITE)
		memcpy(g->data, op->data, op->length);
	g->given = true;
	g->epoch = op->epoch;
	g->cut_size = op->cut_size;
	g->seq = op->seq;
	g->seq_low = op->seq_low;
	g->version = op->version;
	g->tag = op->tag;
	g->prev_version = op->prev_version;
	g->prev_tag = op->prev_tag;
	g->print = op->print;
	g->done = pop_given_done;
	g->arg = o;
	flint_store_submit(o->p->b.st, g);
}

static void pop_durable(struct flint_sop *op)
{
	struct pop *o = op->arg;

	o->copies = op->kind != FLINT_SOP_CUT && flint_splitmix64(&o->p->rng) % 4 == 0 ? 2 : 1;
	if (o->copies == 2)
		pop_forward(o);
	pop_forward(o);
}

static void pop_done(struct flint_sop *op)
{
	struct pop *o = op->arg;

	assert_true(op->status == FLINT_OK || op->status == FLINT_ST_STALE_EPOCH);
	o->p->open--;
	free_op(op);
	free(o);
}

static void pair_start(struct pair *p)
{
	u64 r = flint_splitmix64(&p->rng);
	u8 kind = r % 16 == 0 ? FLINT_SOP_CUT : r % 4 == 0 ? FLINT_SOP_PUNCH : FLINT_SOP_WRITE;
	u32 off = (u32)(r >> 8) % (CHUNK - 1), len = 1 + (u32)(r >> 30) % 30000;
	struct pop *o = calloc(1, sizeof(*o));

	if (len > CHUNK - off)
		len = CHUNK - off;
	if (kind == FLINT_SOP_CUT)
		off = len = 0;
	o->p = p;
	o->op = new_op(kind, 100, (r >> 4) % 4, off, len);
	o->op->epoch = kind == FLINT_SOP_CUT ? ++p->epoch : p->epoch;
	o->op->cut_size = (r >> 20) % (4 * CHUNK);
	o->op->seq = kind == FLINT_SOP_CUT ? 0 : ++p->seq;
	if (kind == FLINT_SOP_WRITE)
		memset(o->op->data, (int)r, len);
	o->op->durable = pop_durable;
	o->op->done = pop_done;
	o->op->arg = o;
	p->open++;
	flint_store_submit(p->a.st, o->op);
}

static void test_pair(void **state)
{
	struct pair p = { .rng = 99 };
	u32 i;

	host_open(&p.a, 12);
	host_open_blocks(&p.b, 14, 13);	/* made by an older version */
	p.a.st->authority = false;
	for (i = 0; i < 1500; i++) {
		pair_start(&p);
		while (p.open > flint_splitmix64(&p.rng) % 12) {
			pump(p.a.d, p.a.st);
			pump(p.b.d, p.b.st);
		}
	}
	while (p.open) {
		pump(p.a.d, p.a.st);
		pump(p.b.d, p.b.st);
	}
	assert_memory_equal(p.a.st->index.sums, p.b.st->index.sums, sizeof(p.a.st->index.sums));
	host_reopen(&p.a);
	host_reopen(&p.b);
	assert_memory_equal(p.a.st->index.sums, p.b.st->index.sums, sizeof(p.a.st->index.sums));
	for (i = 0; i < 4; i++) {
		struct flint_sop *x = new_op(FLINT_SOP_READ, 100, i, 0, CHUNK);
		struct flint_sop *y = new_op(FLINT_SOP_READ, 100, i, 0, CHUNK);

		x->epoch = p.epoch;
		y->epoch = p.epoch;
		wait_op(p.a.d, p.a.st, x);
		wait_op(p.b.d, p.b.st, y);
		assert_int_equal(x->status, FLINT_OK);
		assert_int_equal(x->have_version, y->have_version);
		assert_int_equal(x->have_size, y->have_size);
		assert_int_equal(le32_to_cpu(x->rep.io.length), le32_to_cpu(y->rep.io.length));
		assert_memory_equal(x->data, y->data, le32_to_cpu(x->rep.io.length));
		free_op(x);
		free_op(y);
	}
	host_close(&p.a);
	host_close(&p.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_recovered),
		cmocka_unit_test(test_half_returns),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_cut_waits),
		cmocka_unit_test(test_cut_overtakes),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_given_damaged),
		cmocka_unit_test(test_window_across),
		cmocka_unit_test(test_held_checkpoint),
		cmocka_unit_test(test_window_whole),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_cut_half),
		cmocka_unit_test(test_replay_lowered),
		cmocka_unit_test(test_another_chain),
		cmocka_unit_test(test_repair),
		cmocka_unit_test(test_repair_guest),
		cmocka_unit_test(test_given_full),
		cmocka_unit_test(test_hold_only),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_room_unknown),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_pair),
	};

	flint_log_init("test", FLINT_LOG_ERR - 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
