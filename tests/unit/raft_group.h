/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A few Raft cores on a bench: each step, each write of a disk and each message
 * happens when the test says so. (Chance is tests/sim's business.)
 */
#ifndef RAFT_GROUP_H
#define RAFT_GROUP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../userd/raft/raft_int.h"

#define NODES	5
#define LOG	256
#define BAG	1024
#define CONFS	32
#define UNIT	1000ull

struct bench_node {
	struct raft *r;
	struct raft_update u;	/* of the last step */
	struct raft_entry log[LOG];
	u64 seq;		/* written last, perhaps not synced */
	u64 durable;
	bool slow;		/* its disk syncs when the test says so */
};

struct bench {
	u64 now;
	u32 nr;
	struct bench_node n[NODES + 1];		/* from 1; ids are the numbers */
	bool cut[NODES + 1][NODES + 1];
	struct raft_msg bag[BAG];
	u32 nr_bag;
	u8 confs[CONFS][RAFT_CONF_BYTES_MAX];
	u32 nr_confs;
};

static inline void bench_take(struct bench *b, u64 id)
{
	struct bench_node *n = &b->n[id];
	u32 i;

	for (i = 0; i < n->u.nr_append; i++) {
		u64 at = n->u.append_first + i;

		assert_true(at < LOG);
		n->log[at] = n->u.append[i];
		if (n->u.append[i].kind == RAFT_CONF) {
			assert_true(b->nr_confs < CONFS);
			n->log[at].data = memcpy(b->confs[b->nr_confs++], n->u.append[i].data,
						 n->u.append[i].bytes);
		}
	}
	for (i = 0; i < n->u.nr_msgs; i++) {
		assert_true(b->nr_bag < BAG);
		b->bag[b->nr_bag++] = n->u.msgs[i];
	}
	if (n->u.seq)
		n->seq = n->u.seq;
}

static inline int bench_sync(struct bench *b, u64 id);

static inline int bench_step(struct bench *b, u64 id, struct raft_event ev)
{
	struct bench_node *n = &b->n[id];
	int rc;

	ev.now = b->now;
	rc = raft_step(n->r, &ev, &n->u);
	bench_take(b, id);
	if (!n->slow && n->durable < n->seq)
		bench_sync(b, id);
	return rc;
}

/* The disk is done with everything so far. */
static inline int bench_sync(struct bench *b, u64 id)
{
	struct bench_node *n = &b->n[id];

	n->durable = n->seq;
	return bench_step(b, id, (struct raft_event){ .type = RAFT_EV_PERSISTED, .seq = n->seq });
}

/* Deliver the first message of a kind (RAFT_MSG_NR: any) that may go. Return: 0, -ENOENT, or of the step. */
static inline int bench_deliver(struct bench *b, u8 type, u64 from, u64 to)
{
	struct raft_entry e[64];
	struct raft_msg m;
	u32 i, k;

	for (i = 0; i < b->nr_bag; i++) {
		m = b->bag[i];
		if ((type == RAFT_MSG_NR || m.type == type) && (!from || m.from == from) &&
		    (!to || m.to == to) && m.after <= b->n[m.from].durable)
			break;
	}
	if (i == b->nr_bag)
		return -ENOENT;
	memmove(&b->bag[i], &b->bag[i + 1], (--b->nr_bag - i) * sizeof(m));
	if (m.type == RAFT_MSG_APPEND) {
		assert_true(m.nr <= 64);
		for (k = 0; k < m.nr; k++)
			e[k] = b->n[m.from].log[m.index + 1 + k];
		m.entries = e;
	}
	if (m.to > b->nr || !b->n[m.to].r || b->cut[m.from][m.to])
		return 0;
	return bench_step(b, m.to, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &m });
}

/* Everything that may go, goes. */
static inline void bench_settle(struct bench *b)
{
	int rc, i;

	for (i = 0; i < 5000; i++) {
		rc = bench_deliver(b, RAFT_MSG_NR, 0, 0);
		if (rc == -ENOENT)
			return;
		assert_int_equal(rc, 0);
	}
	fail_msg("messages without end");
}

/* Lose what is under way from (0: all) to (0: all). */
static inline void bench_lose(struct bench *b, u64 from, u64 to)
{
	u32 i, n = 0;

	for (i = 0; i < b->nr_bag; i++)
		if ((from && b->bag[i].from != from) || (to && b->bag[i].to != to))
			b->bag[n++] = b->bag[i];
	b->nr_bag = n;
}

static inline int bench_tick(struct bench *b, u64 id)
{
	return bench_step(b, id, (struct raft_event){ .type = RAFT_EV_TICK });
}

static inline int bench_submit(struct bench *b, u64 id, u32 nr)
{
	struct raft_entry e[64];
	u32 i;

	for (i = 0; i < nr; i++)
		e[i] = (struct raft_entry){ .bytes = 100, .data = "x" };
	return bench_step(b, id, (struct raft_event){ .type = RAFT_EV_SUBMIT, .entries = e, .nr = nr });
}

static inline int bench_config(struct bench *b, u64 id, u8 op, u64 member)
{
	struct raft_member m = { .id = member };

	return bench_step(b, id, (struct raft_event){ .type = RAFT_EV_CONFIG, .op = op, .member = &m });
}

static inline struct raft_conf bench_conf(u32 voters)
{
	struct raft_conf c = { .nr = voters };
	u32 i;

	for (i = 0; i < voters; i++) {
		c.m[i].id = i + 1;
		c.m[i].voter = true;
	}
	return c;
}

/* A node whose disk has @terms (0 ends them) and hard state (@term, no vote). */
static inline void bench_node(struct bench *b, u64 id, u32 voters, u64 term, const u64 *terms)
{
	struct raft_cfg cfg = { .id = id, .seed = id, .time_scale = UNIT, .drift_ppm = 10000,
				.max_bytes = 1, .inflight_bytes = 1000, .inflight_msgs = 4 };
	struct bench_node *n = &b->n[id];
	struct raft_conf c = bench_conf(voters);
	u64 at = 0;

	memset(n, 0, sizeof(*n));
	n->r = raft_new(&cfg);
	assert_non_null(n->r);
	assert_int_equal(raft_load(n->r, term, 0, 0, 0, voters ? &c : NULL), 0);
	for (; terms && *terms; terms++) {
		n->log[++at] = (struct raft_entry){ .term = *terms, .bytes = 100 };
		assert_int_equal(raft_load_entry(n->r, &n->log[at]), 0);
	}
	if (id > b->nr)
		b->nr = id;
	bench_tick(b, id);
}

static inline void bench_begin(struct bench *b, u32 voters)
{
	u32 i;

	memset(b, 0, sizeof(*b));
	b->now = 1000000;
	for (i = 1; i <= voters; i++)
		bench_node(b, i, voters, 1, NULL);
}

static inline void bench_end(struct bench *b)
{
	u32 i;

	for (i = 1; i <= NODES; i++)
		raft_free(b->n[i].r);
}

/* All promises have run out; @id stands for election. */
static inline void bench_stand(struct bench *b, u64 id)
{
	b->now += 30 * UNIT;
	assert_int_equal(bench_tick(b, id), 0);
}

static inline void bench_elect(struct bench *b, u64 id)
{
	u32 i;

	/* A second time if its term was behind. */
	for (i = 0; i < 2 && raft_role(b->n[id].r) != RAFT_LEADER; i++) {
		bench_stand(b, id);
		bench_settle(b);
	}
	assert_int_equal(raft_role(b->n[id].r), RAFT_LEADER);
}

/* One heartbeat, answered. */
static inline void bench_beat(struct bench *b, u64 id)
{
	b->now += RAFT_HEARTBEAT * UNIT;
	bench_tick(b, id);
	bench_settle(b);
}

#endif /* RAFT_GROUP_H */
