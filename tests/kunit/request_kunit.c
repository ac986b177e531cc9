// SPDX-License-Identifier: GPL-2.0-only
/*
 * The request layer without a transport: how memory is cut into runs for
 * memory regions, and which replies are believed. A connection is made by
 * hand in state HELLO, in which its failure queues no teardown.
 */
#include <kunit/test.h>
#include <linux/scatterlist.h>
#include "xprt.h"

#define PG ((u32)PAGE_SIZE)

/* ---- runs ------------------------------------------------------------- */

struct rk_mem {
	struct page *pages;	/* 8 contiguous pages */
	struct bio_vec bv[8];
};

static struct rk_mem *rk_mem(struct kunit *test)
{
	return test->priv;
}

static struct bio_vec rk_bv(struct rk_mem *m, unsigned int page, u32 off, u32 len)
{
	return (struct bio_vec){ .bv_page = m->pages + page, .bv_offset = off, .bv_len = len };
}

static u32 rk_run(struct rk_mem *m, struct flint_cursor *cur, u32 pages, u32 seg, unsigned int *n)
{
	return flint_run_next(m->bv, cur, pages, seg, NULL, n);
}

static void cursor_skips(struct kunit *test)
{
	struct rk_mem *m = rk_mem(test);
	struct flint_cursor cur;

	m->bv[0] = rk_bv(m, 0, 100, 50);
	m->bv[1] = rk_bv(m, 2, 0, 1000);
	flint_cursor_init(&cur, m->bv, 2, 60, 500);
	KUNIT_EXPECT_EQ(test, cur.idx, 1);
	KUNIT_EXPECT_EQ(test, cur.off, 10);
	KUNIT_EXPECT_EQ(test, cur.left, 500);
	flint_cursor_init(&cur, m->bv, 2, 60, 5000);
	KUNIT_EXPECT_EQ(test, cur.left, 990);
	flint_cursor_init(&cur, m->bv, 2, 5000, 10);
	KUNIT_EXPECT_EQ(test, cur.left, 0);
	flint_cursor_init(&cur, m->bv, 2, 1049, 10);
	KUNIT_EXPECT_EQ(test, cur.left, 1);
}

static void run_merges_contiguous(struct kunit *test)
{
	struct rk_mem *m = rk_mem(test);
	struct flint_cursor cur;
	unsigned int n;

	/* Not on page boundaries, but one piece of physical memory. */
	m->bv[0] = rk_bv(m, 0, 100, 1000);
	m->bv[1] = rk_bv(m, 0, 1100, 2 * PG);
	flint_cursor_init(&cur, m->bv, 2, 0, 1000 + 2 * PG);
	KUNIT_EXPECT_EQ(test, rk_run(m, &cur, 16, 65536, &n), 1000 + 2 * PG);
	KUNIT_EXPECT_EQ(test, n, 1);
	KUNIT_EXPECT_EQ(test, cur.left, 0);
}

static void run_stops_at_gap(struct kunit *test)
{
	struct rk_mem *m = rk_mem(test);
	struct flint_cursor cur;
	unsigned int n;

	m->bv[0] = rk_bv(m, 0, 100, PG - 100);	/* ends on a page */
	m->bv[1] = rk_bv(m, 4, 0, PG - 8);	/* begins on one, ends off */
	m->bv[2] = rk_bv(m, 6, 0, PG);
	flint_cursor_init(&cur, m->bv, 3, 0, 3 * PG);
	KUNIT_EXPECT_EQ(test, rk_run(m, &cur, 16, 65536, &n), 2 * PG - 108);
	KUNIT_EXPECT_EQ(test, n, 2);
	KUNIT_EXPECT_EQ(test, rk_run(m, &cur, 16, 65536, &n), PG);
	KUNIT_EXPECT_EQ(test, n, 1);
	KUNIT_EXPECT_EQ(test, rk_run(m, &cur, 16, 65536, &n), 0);
}

static void run_begins_off_page_after_page(struct kunit *test)
{
	struct rk_mem *m = rk_mem(test);
	struct flint_cursor cur;

	m->bv[0] = rk_bv(m, 0, 0, PG);
	m->bv[1] = rk_bv(m, 3, 8, 100);
	flint_cursor_init(&cur, m->bv, 2, 0, PG + 100);
	KUNIT_EXPECT_EQ(test, rk_run(m, &cur, 16, 65536, NULL), PG);
	KUNIT_EXPECT_EQ(test, rk_run(m, &cur, 16, 65536, NULL), 100);
}

static void run_is_bounded_by_pages(struct kunit *test)
{
	struct rk_mem *m = rk_mem(test);
	struct flint_cursor cur;

	/* Four pages of memory that touch five. */
	m->bv[0] = rk_bv(m, 0, 123, 4 * PG);
	flint_cursor_init(&cur, m->bv, 1, 0, 4 * PG);
	KUNIT_EXPECT_EQ(test, rk_run(m, &cur, 4, 65536, NULL), 4 * PG - 123);
	KUNIT_EXPECT_EQ(test, rk_run(m, &cur, 4, 65536, NULL), 123);
	KUNIT_EXPECT_EQ(test, flint_runs_span(m->bv, 1, 0, 4 * PG, 1, 65536), 4 * PG - 123);
	KUNIT_EXPECT_EQ(test, flint_runs_span(m->bv, 1, 0, 4 * PG, 2, 65536), 4 * PG);
}

static void run_is_cut_into_segments(struct kunit *test)
{
	struct scatterlist sg[8];
	struct rk_mem *m = rk_mem(test);
	struct flint_cursor cur;
	unsigned int n;

	sg_init_table(sg, 8);
	m->bv[0] = rk_bv(m, 0, 100, 5 * PG);
	flint_cursor_init(&cur, m->bv, 1, 0, 5 * PG);
	KUNIT_EXPECT_EQ(test, flint_run_next(m->bv, &cur, 8, 2 * PG, sg, &n), 5 * PG);
	KUNIT_EXPECT_EQ(test, n, 3);
	KUNIT_EXPECT_EQ(test, sg[0].offset, 100);
	KUNIT_EXPECT_EQ(test, sg[0].length, 2 * PG - 100);
	KUNIT_EXPECT_EQ(test, sg[1].offset, 0);
	KUNIT_EXPECT_EQ(test, sg[1].length, 2 * PG);
	KUNIT_EXPECT_EQ(test, sg[2].length, PG + 100);
	KUNIT_EXPECT_PTR_EQ(test, sg_page(&sg[1]), m->pages + 2);
}

static void span_counts_regions(struct kunit *test)
{
	struct rk_mem *m = rk_mem(test);
	int i;

	for (i = 0; i < 6; i++)
		m->bv[i] = rk_bv(m, i, 16, 100);
	/* Six runs; a request has four. */
	KUNIT_EXPECT_EQ(test, flint_runs_span(m->bv, 6, 0, 600, 16, 65536), 400);
	KUNIT_EXPECT_EQ(test, flint_runs_span(m->bv, 6, 50, 550, 16, 65536), 350);
	KUNIT_EXPECT_EQ(test, flint_runs_span(m->bv, 6, 0, 150, 16, 65536), 150);
}

/* What is seen to be one run at a glance, and what is not: the result is the same. */
static void span_of_whole_pages(struct kunit *test)
{
	struct rk_mem *m = rk_mem(test);
	int i;

	m->bv[0] = rk_bv(m, 0, 96, PG - 96);
	for (i = 1; i < 6; i++)
		m->bv[i] = rk_bv(m, i, 0, PG);
	KUNIT_EXPECT_EQ(test, flint_runs_span(m->bv, 6, 0, 6 * PG - 96, 6, 65536), 6 * PG - 96);
	KUNIT_EXPECT_EQ(test, flint_runs_span(m->bv, 6, 10, 5 * PG, 6, 65536), 5 * PG);
	/* Five pages a region: two regions. One page: four regions. */
	KUNIT_EXPECT_EQ(test, flint_runs_span(m->bv, 6, 0, 6 * PG - 96, 5, 65536), 6 * PG - 96);
	KUNIT_EXPECT_EQ(test, flint_runs_span(m->bv, 6, 0, 6 * PG - 96, 1, 65536), 4 * PG - 96);
	m->bv[3] = rk_bv(m, 3, 0, PG - 8);	/* a gap: two runs */
	KUNIT_EXPECT_EQ(test, flint_runs_span(m->bv, 6, 0, 6 * PG - 104, 6, 65536), 6 * PG - 104);
}

/* ---- replies ---------------------------------------------------------- */

struct rk_conn {
	struct flint_net net;
	struct flint_peer peer;
	struct flint_conn conn;
	void *mem;
	struct flint_req *req;
	int done;
};

static void rk_done(struct flint_req *req)
{
	(*(int *)req->priv)++;
}

/* A connection with one request out, op STATFS, tag 0x30001. */
static struct rk_conn *rk_conn(struct kunit *test, enum flint_dir dir, u32 room)
{
	struct rk_conn *k = kunit_kzalloc(test, sizeof(*k), GFP_KERNEL);
	struct flint_slot *slot;

	KUNIT_ASSERT_NOT_NULL(test, k);
	k->conn.peer = &k->peer;
	k->conn.ops = &flint_xprt_rdma;
	k->peer.net = &k->net;
	spin_lock_init(&k->conn.lock);
	init_waitqueue_head(&k->conn.wq);
	init_waitqueue_head(&k->peer.wq);
	k->conn.state = FLINT_CONN_HELLO;
	k->conn.lim.inline_size = 4096;
	k->conn.lim.max_io = 1 << 20;
	KUNIT_ASSERT_EQ(test, flint_slots_alloc(&k->conn, 4, sizeof(*slot), &k->mem), 0);
	k->conn.nr_free--;	/* slot 1 is out */
	k->conn.inflight = 1;
	k->req = flint_req_alloc(FLINT_OP_STATFS, 16, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, k->req);
	k->req->done = rk_done;
	k->req->priv = &k->done;
	k->req->dir = dir;
	k->req->data_len = room;
	slot = k->conn.slots[1];
	slot->req = k->req;
	slot->gen = 3;
	slot->tag = 0x30001;
	slot->state = FLINT_SLOT_SENT;
	return k;
}

static struct flint_msg rk_msg(void)
{
	return (struct flint_msg){
		.op = FLINT_OP_STATFS, .flags = FLINT_F_REPLY, .credits = 3, .tag = 0x30001,
	};
}

static void rk_conn_free(struct rk_conn *k)
{
	flint_slots_free(&k->conn, k->mem);
	flint_req_put(k->req);
}

static void reply_ends_request_once(struct kunit *test)
{
	struct rk_conn *k = rk_conn(test, FLINT_DIR_NONE, 0);
	struct flint_msg m = rk_msg();
	struct flint_slot *slot = flint_slot_reply(&k->conn, &m);

	KUNIT_ASSERT_PTR_EQ(test, slot, k->conn.slots[1]);
	KUNIT_EXPECT_EQ(test, k->done, 0);
	flint_req_get(k->req);		/* the transport's */
	m.status = FLINT_ST_RETRY;
	flint_slot_finish(&k->conn, slot, &m);
	KUNIT_EXPECT_EQ(test, k->done, 1);
	KUNIT_EXPECT_EQ(test, k->req->err, 0);
	KUNIT_EXPECT_EQ(test, k->req->status, (u32)FLINT_ST_RETRY);
	KUNIT_EXPECT_EQ(test, k->conn.credits, 3);
	KUNIT_EXPECT_EQ(test, k->conn.inflight, 0);
	KUNIT_EXPECT_EQ(test, slot->gen, 4);
	/* The same reply again is a stale one. */
	KUNIT_EXPECT_NULL(test, flint_slot_reply(&k->conn, &m));
	KUNIT_EXPECT_EQ(test, (int)k->conn.state, (int)FLINT_CONN_DRAINING);
	KUNIT_EXPECT_EQ(test, k->done, 1);
	rk_conn_free(k);
}

/* Expect that @m ends the connection and leaves the request to the teardown. */
static void rk_refused(struct kunit *test, struct rk_conn *k, struct flint_msg *m)
{
	KUNIT_EXPECT_NULL(test, flint_slot_reply(&k->conn, m));
	KUNIT_EXPECT_EQ(test, (int)k->conn.state, (int)FLINT_CONN_DRAINING);
	KUNIT_EXPECT_EQ(test, k->conn.err, -EPROTO);
	KUNIT_EXPECT_EQ(test, (int)k->conn.slots[1]->state, (int)FLINT_SLOT_SENT);
	KUNIT_EXPECT_EQ(test, k->done, 0);
	rk_conn_free(k);
}

static void replies_refused(struct kunit *test)
{
	struct flint_msg m = rk_msg();

	m.tag = 0x20001;
	rk_refused(test, rk_conn(test, FLINT_DIR_NONE, 0), &m);
	m.tag = 0x30002;
	rk_refused(test, rk_conn(test, FLINT_DIR_NONE, 0), &m);
	m.tag = 0x3ffff;
	rk_refused(test, rk_conn(test, FLINT_DIR_NONE, 0), &m);
	m.tag = 0;
	rk_refused(test, rk_conn(test, FLINT_DIR_NONE, 0), &m);
	m = rk_msg();
	m.op = FLINT_OP_READ;
	rk_refused(test, rk_conn(test, FLINT_DIR_NONE, 0), &m);
	m = rk_msg();
	m.flags = 0;
	rk_refused(test, rk_conn(test, FLINT_DIR_NONE, 0), &m);
}

static void payloads_refused(struct kunit *test)
{
	struct flint_msg m = rk_msg();

	m.data_len = 1;
	rk_refused(test, rk_conn(test, FLINT_DIR_NONE, 0), &m);
	m.data = (const u8 *)"x";
	rk_refused(test, rk_conn(test, FLINT_DIR_OUT, 100), &m);
	m.data_len = 101;
	rk_refused(test, rk_conn(test, FLINT_DIR_IN, 100), &m);
	/* Memory was offered, but the payload stands in the message; and the reverse. */
	m.data_len = 100;
	rk_refused(test, rk_conn(test, FLINT_DIR_IN, 65536), &m);
	m.data = NULL;
	rk_refused(test, rk_conn(test, FLINT_DIR_IN, 100), &m);
}

static void inline_payload_lands(struct kunit *test)
{
	struct rk_mem *mem = rk_mem(test);
	struct rk_conn *k = rk_conn(test, FLINT_DIR_IN, 200);
	struct flint_msg m = rk_msg();
	struct flint_slot *slot;
	u8 data[200];
	int i;

	for (i = 0; i < 200; i++)
		data[i] = i + 1;
	mem->bv[0] = rk_bv(mem, 0, PG - 60, 110);	/* 50 skipped, crosses a page */
	mem->bv[1] = rk_bv(mem, 5, 1, 140);
	memset(page_address(mem->pages), 0, 8 * PG);
	k->req->bvec = mem->bv;
	k->req->nr_bvec = 2;
	k->req->bv_skip = 50;
	m.data = data;
	m.data_len = 200;
	slot = flint_slot_reply(&k->conn, &m);
	KUNIT_ASSERT_NOT_NULL(test, slot);
	flint_req_get(k->req);
	flint_slot_finish(&k->conn, slot, &m);
	KUNIT_EXPECT_EQ(test, k->req->rep_data_len, 200);
	KUNIT_EXPECT_EQ(test, memcmp(page_address(mem->pages) + PG - 10, data, 60), 0);
	KUNIT_EXPECT_EQ(test, memcmp(page_address(mem->pages + 5) + 1, data + 60, 140), 0);
	KUNIT_EXPECT_EQ(test, *((u8 *)page_address(mem->pages) + PG - 11), 0);
	KUNIT_EXPECT_EQ(test, *((u8 *)page_address(mem->pages + 5) + 141), 0);
	rk_conn_free(k);
}

static void zombie_is_not_ended_twice(struct kunit *test)
{
	struct rk_conn *k = rk_conn(test, FLINT_DIR_NONE, 0);
	struct flint_msg m = rk_msg();
	struct flint_slot *slot = flint_slot_reply(&k->conn, &m);

	KUNIT_ASSERT_NOT_NULL(test, slot);
	flint_req_get(k->req);
	/* The reply is being worked on when the drain runs out of time. */
	flint_conn_abort_requests(&k->conn, true);
	KUNIT_EXPECT_EQ(test, k->done, 1);
	KUNIT_EXPECT_EQ(test, k->req->err, -EIO);
	flint_slot_finish(&k->conn, slot, &m);
	KUNIT_EXPECT_EQ(test, k->done, 1);
	KUNIT_EXPECT_EQ(test, (int)slot->state, (int)FLINT_SLOT_FREE);
	rk_conn_free(k);
}

static void deadline_fails_connection(struct kunit *test)
{
	struct rk_conn *k = rk_conn(test, FLINT_DIR_NONE, 0);

	k->req->deadline = jiffies + HZ;
	KUNIT_EXPECT_FALSE(test, flint_conn_check_deadlines(&k->conn));
	k->req->deadline = jiffies - 1;
	KUNIT_EXPECT_TRUE(test, flint_conn_check_deadlines(&k->conn));
	KUNIT_EXPECT_EQ(test, k->conn.err, -ETIMEDOUT);
	rk_conn_free(k);
}

/* ---- sessions --------------------------------------------------------- */

static int rk_post(struct flint_conn *conn, struct flint_slot *slot, u32 len)
{
	return 0;
}

static const struct flint_xprt_ops rk_ops = { .name = "none", .stream = true, .post = rk_post };

/* What is sent for @session on a connection that was greeted for session 7. */
static int rk_submit(struct kunit *test, struct rk_conn *k, u64 session)
{
	struct flint_req *req = flint_req_alloc(FLINT_OP_PING, 0, GFP_KERNEL);
	struct flint_slot *slot = k->conn.slots[k->conn.depth];
	enum flint_want want;
	int err;

	KUNIT_ASSERT_NOT_NULL(test, req);
	k->conn.ops = &rk_ops;
	k->conn.session = 7;
	slot->msg = kunit_kzalloc(test, FLINT_CTRL_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slot->msg);
	req->session = session;
	req->deadline = jiffies + HZ;
	err = flint_conn_submit(&k->conn, req, true, &want);
	if (!err)
		flint_req_put(req);	/* the transport's */
	KUNIT_EXPECT_EQ(test, (int)slot->state, (int)(err ? FLINT_SLOT_FREE : FLINT_SLOT_SENT));
	KUNIT_EXPECT_EQ(test, k->conn.preparing, 0);
	flint_req_put(req);
	rk_conn_free(k);
	return err;
}

/* A server that ended session 7 would refuse session 8's, and we would take that for its end. */
static void other_sessions_do_not_mix(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, rk_submit(test, rk_conn(test, FLINT_DIR_NONE, 0), 0), 0);
	KUNIT_EXPECT_EQ(test, rk_submit(test, rk_conn(test, FLINT_DIR_NONE, 0), 7), 0);
	KUNIT_EXPECT_EQ(test, rk_submit(test, rk_conn(test, FLINT_DIR_NONE, 0), 6), -ENOTCONN);
	KUNIT_EXPECT_EQ(test, rk_submit(test, rk_conn(test, FLINT_DIR_NONE, 0), 8), -ENOTCONN);
}

/* Greeted for session 7 while session 8 began; only chunk servers go by the greeting. */
static void greeting_is_outdated(struct kunit *test)
{
	struct rk_conn *k = rk_conn(test, FLINT_DIR_NONE, 0);

	k->conn.session = 7;
	k->peer.role = FLINT_ROLE_CHUNK;
	flint_net_set_epoch(&k->net, 7);
	KUNIT_EXPECT_FALSE(test, flint_conn_outdated(&k->conn));
	flint_net_set_epoch(&k->net, 8);
	KUNIT_EXPECT_TRUE(test, flint_conn_outdated(&k->conn));
	k->peer.role = FLINT_ROLE_META;
	KUNIT_EXPECT_FALSE(test, flint_conn_outdated(&k->conn));
	rk_conn_free(k);
}

static void long_bodies_are_allocated(struct kunit *test)
{
	struct flint_req *req = flint_req_alloc(FLINT_OP_RENAME, 600, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, req);
	KUNIT_EXPECT_EQ(test, req->body_len, 600);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(req->body, 0, 600), NULL);
	flint_req_put(req);
}

static int rk_init(struct kunit *test)
{
	struct rk_mem *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);

	if (!m)
		return -ENOMEM;
	m->pages = alloc_pages(GFP_KERNEL, 3);
	test->priv = m;
	return m->pages ? 0 : -ENOMEM;
}

static void rk_exit(struct kunit *test)
{
	struct rk_mem *m = test->priv;

	if (m && m->pages)
		__free_pages(m->pages, 3);
}

static struct kunit_case rk_cases[] = {
	KUNIT_CASE(cursor_skips),
	KUNIT_CASE(run_merges_contiguous),
	KUNIT_CASE(run_stops_at_gap),
	KUNIT_CASE(run_begins_off_page_after_page),
	KUNIT_CASE(run_is_bounded_by_pages),
	KUNIT_CASE(run_is_cut_into_segments),
	KUNIT_CASE(span_counts_regions),
	KUNIT_CASE(span_of_whole_pages),
	KUNIT_CASE(reply_ends_request_once),
	KUNIT_CASE(replies_refused),
	KUNIT_CASE(payloads_refused),
	KUNIT_CASE(inline_payload_lands),
	KUNIT_CASE(zombie_is_not_ended_twice),
	KUNIT_CASE(deadline_fails_connection),
	KUNIT_CASE(other_sessions_do_not_mix),
	KUNIT_CASE(greeting_is_outdated),
	KUNIT_CASE(long_bodies_are_allocated),
	{}
};

/* Suites run before the module's init. */
static int rk_suite_init(struct kunit_suite *suite)
{
	return flint_req_init();
}

static void rk_suite_exit(struct kunit_suite *suite)
{
	flint_req_exit();
}

static struct kunit_suite rk_suite = {
	.name = "flint_request",
	.suite_init = rk_suite_init,
	.suite_exit = rk_suite_exit,
	.init = rk_init,
	.exit = rk_exit,
	.test_cases = rk_cases,
};

kunit_test_suites(&rk_suite);
