// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bugs that other Raft libraries had, by their public reports: each scenario
 * step by step against this core. Names in comments are repository#number or the
 * commit that mended it.
 */
#include "raft_group.h"

/*
 * Figure 8 of the paper, from (c) on. logcabin#44; canonical/raft 524f735 (Debian's
 * libraft 0.15.0 loses the entry).
 */
static void test_figure_8(void **state)
{
	static const u64 s12[] = { 1, 2, 0 }, s34[] = { 1, 0 }, s5[] = { 1, 3, 0 };
	struct bench b = { .now = 1000000 };
	u64 i;

	bench_node(&b, 1, 5, 3, s12);
	bench_node(&b, 2, 5, 3, s12);
	bench_node(&b, 3, 5, 3, s34);
	bench_node(&b, 4, 5, 3, s34);
	bench_node(&b, 5, 5, 3, s5);
	b.cut[1][5] = b.cut[5][1] = true;
	bench_stand(&b, 1);
	while (raft_role(b.n[1].r) != RAFT_LEADER)
		assert_int_equal(bench_deliver(&b, RAFT_MSG_NR, 0, 0), 0);
	assert_int_equal(raft_term(b.n[1].r), 4);
	/* One entry in a message: the entry of term 2 gets to 3, that of term 4 to nobody. */
	for (i = 0; i < 100 && raft_last_index(b.n[3].r) < 2; i++)
		if (bench_deliver(&b, RAFT_MSG_APPEND, 1, 3) == -ENOENT)
			bench_deliver(&b, RAFT_MSG_APPEND_REP, 3, 1);
	assert_int_equal(raft_term_at(b.n[3].r, 2), 2);
	while (bench_deliver(&b, RAFT_MSG_APPEND, 1, 2) == 0)
		bench_deliver(&b, RAFT_MSG_APPEND_REP, 2, 1);
	bench_lose(&b, 1, 3);
	while (bench_deliver(&b, RAFT_MSG_APPEND_REP, 3, 1) == 0)
		;
	/* Now on 1, 2 and 3: a majority. Not committed. */
	assert_true(b.n[1].r->commit < 2);
	bench_lose(&b, 0, 0);
	raft_free(b.n[1].r);
	b.n[1].r = NULL;
	bench_elect(&b, 5);
	assert_int_equal(raft_term_at(b.n[3].r, 2), 3);
	assert_true(raft_commit(b.n[5].r) >= 2);
	bench_end(&b);
}

/* canonical/raft 0cac59c: the leader goes on leading after a failed disk write. */
static void test_failed_disk_write(void **state)
{
	struct bench b;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	b.n[1].slow = true;
	bench_submit(&b, 1, 1);
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_FAILED }), 0);
	assert_int_equal(raft_role(b.n[1].r), RAFT_FOLLOWER);
	assert_int_equal(b.n[1].u.nr_msgs, 0);
	assert_int_equal(bench_sync(&b, 1), -EIO);
	assert_int_equal(bench_submit(&b, 1, 1), -EIO);
	assert_int_equal(bench_tick(&b, 1), -EIO);
	b.n[1].slow = true;
	bench_end(&b);
}

/* canonical/raft 35479fc: an answer after the term changed is of its own term, and counts for nothing. */
static void test_answer_after_term_changed(void **state)
{
	struct bench b;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	b.cut[1][3] = b.cut[3][1] = true;
	b.n[2].slow = true;
	bench_submit(&b, 1, 1);
	assert_int_equal(bench_deliver(&b, RAFT_MSG_APPEND, 1, 2), 0);
	/* 2 has it in memory; 3 becomes leader of a later term meanwhile. */
	b.n[2].slow = false;
	b.now += 30 * UNIT;
	bench_tick(&b, 3);
	bench_deliver(&b, RAFT_MSG_PREVOTE, 3, 2);
	bench_lose(&b, 2, 3);
	b.n[1].slow = true;
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_RECV, .msg =
		&(struct raft_msg){ .type = RAFT_MSG_VOTE_REP, .from = 2, .to = 1, .term = 9, .reject = 1 } }), 0);
	assert_int_equal(raft_role(b.n[1].r), RAFT_FOLLOWER);
	assert_int_equal(raft_term(b.n[1].r), 9);
	while (bench_deliver(&b, RAFT_MSG_APPEND_REP, 2, 1) == 0)
		;
	assert_int_equal(raft_commit(b.n[1].r), 1);
	bench_end(&b);
}

/* canonical/raft 2a38d3d: a new term while a snapshot is on its way. */
static void test_new_term_while_snapshotting(void **state)
{
	struct raft_conf c = bench_conf(3);
	struct bench b;

	bench_begin(&b, 3);
	b.cut[1][3] = b.cut[3][1] = true;
	bench_elect(&b, 1);
	bench_submit(&b, 1, 5);
	bench_settle(&b);
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_COMPACT, .index = 6 }), 0);
	b.cut[1][3] = b.cut[3][1] = false;
	b.now += UNIT;
	bench_tick(&b, 1);
	bench_deliver(&b, RAFT_MSG_HEARTBEAT, 1, 3);
	bench_deliver(&b, RAFT_MSG_HEARTBEAT_REP, 3, 1);
	assert_int_equal(b.n[1].u.nr_snaps, 1);
	assert_int_equal(b.n[1].u.snaps[0].peer, 3);
	bench_settle(&b);
	bench_elect(&b, 2);
	/* The old leader's transfer ends: nothing happens there; what arrived is good all the same. */
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_SNAP_SENT, .peer = 3,
								.index = 6, .ok = true }), 0);
	assert_int_equal(b.n[1].u.nr_msgs, 0);
	assert_int_equal(bench_step(&b, 3, (struct raft_event){ .type = RAFT_EV_SNAP_INSTALL, .peer = 1,
								.index = 6, .term = 2, .conf = &c }), 0);
	bench_settle(&b);
	bench_beat(&b, 2);
	bench_beat(&b, 2);
	assert_int_equal(raft_last_index(b.n[3].r), raft_last_index(b.n[2].r));
	bench_end(&b);
}

/* canonical/raft#250, #323 (baa8f52): a change of members is rolled back with its entry. */
static void test_membership_rolled_back(void **state)
{
	struct bench b;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	b.cut[1][2] = b.cut[1][3] = b.cut[2][1] = b.cut[3][1] = true;
	assert_int_equal(bench_config(&b, 1, RAFT_DEMOTE, 3), 0);
	assert_false(raft_conf_find(raft_conf(b.n[1].r), 3)->voter);
	bench_settle(&b);
	bench_elect(&b, 2);
	memset(b.cut, 0, sizeof(b.cut));
	bench_beat(&b, 2);
	bench_beat(&b, 2);
	assert_true(raft_conf_find(raft_conf(b.n[1].r), 3)->voter);
	assert_false(raft_conf_pending(b.n[1].r));
	bench_end(&b);
}

/* canonical/raft 634cb11: a candidate whose term and vote are still being written. */
static void test_candidate_while_persisting(void **state)
{
	struct raft_conf c;
	struct bench b;

	bench_begin(&b, 3);
	b.n[1].slow = true;
	bench_stand(&b, 1);
	while (bench_deliver(&b, RAFT_MSG_NR, 0, 0) == 0)
		;
	assert_int_equal(raft_role(b.n[1].r), RAFT_CANDIDATE);
	assert_int_equal(raft_term(b.n[1].r), 2);
	/* Time passes, the disk does not answer: the term does not run away. */
	bench_stand(&b, 1);
	bench_stand(&b, 1);
	assert_int_equal(raft_term(b.n[1].r), 2);
	b.n[1].slow = false;
	bench_sync(&b, 1);
	bench_settle(&b);
	assert_int_equal(raft_role(b.n[1].r), RAFT_LEADER);
	bench_end(&b);

	/* Alone it is leader no sooner than its vote is on the disk. */
	bench_begin(&b, 0);
	bench_node(&b, 1, 0, 0, NULL);
	b.n[1].slow = true;
	c = bench_conf(1);
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_FOUND, .conf = &c }), 0);
	bench_sync(&b, 1);
	assert_int_equal(raft_role(b.n[1].r), RAFT_CANDIDATE);
	bench_sync(&b, 1);
	assert_int_equal(raft_role(b.n[1].r), RAFT_LEADER);
	assert_int_equal(raft_commit(b.n[1].r), 0);
	bench_sync(&b, 1);
	assert_int_equal(raft_commit(b.n[1].r), 2);
	bench_end(&b);
}

static struct raft_msg append(u64 term, u64 index, u64 log_term, const struct raft_entry *e, u32 nr)
{
	return (struct raft_msg){ .type = RAFT_MSG_APPEND, .from = 1, .to = 2, .term = term, .index = index,
				  .log_term = log_term, .entries = e, .nr = nr };
}

static int receive(struct bench *b, struct raft_msg m)
{
	return bench_step(b, 2, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &m });
}

/* canonical/raft 8be539d, cockroachdb#63302, etcd#22442: what was truncated does not come back. */
static void test_truncated_entries_stay_gone(void **state)
{
	static const u64 terms[] = { 1, 2, 2, 2, 0 };
	struct raft_entry e = { .term = 3, .bytes = 100 };
	struct bench b = { .now = 1000000 };

	bench_node(&b, 2, 3, 3, terms);
	b.n[2].slow = true;
	assert_int_equal(receive(&b, append(3, 1, 1, &e, 1)), 0);
	assert_int_equal(b.n[2].u.truncate_from, 2);
	assert_int_equal(b.n[2].u.append_first, 2);
	assert_int_equal(raft_last_index(b.n[2].r), 2);
	assert_int_equal(raft_durable_index(b.n[2].r), 1);
	assert_int_equal(raft_term_at(b.n[2].r, 3), 0);
	bench_sync(&b, 2);
	assert_int_equal(raft_durable_index(b.n[2].r), 2);
	bench_end(&b);
}

/*
 * The same (index, term) is appended, truncated and appended again while the disk
 * is still at the first: its end must not count for the second (the ABA of
 * asynchronous log writes, etcd-io/raft doc.go on MsgStorageAppend).
 */
static void test_appended_again_is_not_durable(void **state)
{
	struct raft_entry e1 = { .term = 1, .bytes = 100 }, e2 = { .term = 2, .bytes = 100 };
	struct bench b = { .now = 1000000 };
	struct raft_msg m;
	u64 first;

	bench_node(&b, 2, 3, 1, NULL);
	b.n[2].slow = true;
	receive(&b, append(1, 0, 0, &e1, 1));
	first = b.n[2].u.seq;
	m = append(2, 0, 0, &e2, 1);
	m.from = 3;
	receive(&b, m);
	assert_int_equal(b.n[2].u.truncate_from, 1);
	receive(&b, append(3, 0, 0, &e1, 1));
	assert_int_equal(raft_term_at(b.n[2].r, 1), 1);
	b.n[2].durable = first;
	bench_step(&b, 2, (struct raft_event){ .type = RAFT_EV_PERSISTED, .seq = first });
	assert_int_equal(raft_durable_index(b.n[2].r), 0);
	bench_sync(&b, 2);
	assert_int_equal(raft_durable_index(b.n[2].r), 1);
	bench_end(&b);
}

/* ClickHouse#112101: a truncation leaves no gap; etcd#1763: an old message truncates nothing. */
static void test_no_gap_and_no_old_truncation(void **state)
{
	struct raft_entry e[4];
	struct bench b = { .now = 1000000 };
	u32 i;

	for (i = 0; i < 4; i++)
		e[i] = (struct raft_entry){ .term = 1, .bytes = 100 };
	bench_node(&b, 2, 3, 1, NULL);
	assert_int_equal(receive(&b, append(1, 0, 0, e, 4)), 0);
	assert_int_equal(receive(&b, append(1, 7, 1, e, 1)), 0);	/* would leave a gap */
	assert_int_equal(raft_last_index(b.n[2].r), 4);
	assert_int_equal(receive(&b, append(1, 0, 0, e, 2)), 0);	/* delayed, shorter */
	assert_int_equal(b.n[2].u.truncate_from, 0);
	assert_int_equal(raft_last_index(b.n[2].r), 4);
	bench_end(&b);
}

/* willemt/raft#118, RedisLabs/raft#49: an append from the log's beginning after it was trimmed. */
static void test_append_before_snapshot(void **state)
{
	struct raft_entry e[4];
	struct bench b = { .now = 1000000 };
	struct raft_msg m;
	u32 i;

	for (i = 0; i < 4; i++)
		e[i] = (struct raft_entry){ .term = 1, .bytes = 100 };
	bench_node(&b, 2, 3, 1, NULL);
	m = append(1, 0, 0, e, 3);
	m.commit = 3;
	assert_int_equal(receive(&b, m), 0);
	assert_int_equal(bench_step(&b, 2, (struct raft_event){ .type = RAFT_EV_COMPACT, .index = 2 }), 0);
	m = append(1, 0, 0, e, 4);
	assert_int_equal(receive(&b, m), 0);
	assert_int_equal(raft_last_index(b.n[2].r), 4);
	assert_int_equal(raft_snap_index(b.n[2].r), 2);
	assert_int_equal(b.n[2].u.nr_append, 0);	/* the sync's step is the last */
	bench_end(&b);
}

/* ClickHouse#111454, #113654: term and vote are one update, and go before the answer. */
static void test_term_and_vote_are_one(void **state)
{
	struct raft_msg m = { .type = RAFT_MSG_VOTE, .from = 1, .to = 2, .term = 7, .index = 9, .log_term = 6 };
	struct bench b = { .now = 1000000 };

	bench_node(&b, 2, 3, 1, NULL);
	b.n[2].slow = true;
	b.now += 30 * UNIT;
	assert_int_equal(receive(&b, m), 0);
	assert_true(b.n[2].u.hard && b.n[2].u.seq);
	assert_int_equal(b.n[2].u.term, 7);
	assert_int_equal(b.n[2].u.vote, 1);
	assert_int_equal(b.n[2].u.nr_msgs, 1);
	assert_int_equal(b.n[2].u.msgs[0].after, b.n[2].u.seq);
	/* Asked by another in the same term: no, and that too waits for the disk. */
	m.from = 3;
	receive(&b, m);
	assert_int_equal(b.n[2].u.msgs[0].reject, 1);
	assert_int_not_equal(b.n[2].u.msgs[0].after, 0);
	bench_end(&b);
}

/* etcd#10508: applied before it is in the own log. */
static void test_applied_after_own_log(void **state)
{
	struct bench b;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	b.n[1].slow = true;
	bench_submit(&b, 1, 1);
	bench_settle(&b);
	assert_int_equal(b.n[1].r->commit, 2);		/* the two others have it */
	assert_int_equal(raft_commit(b.n[1].r), 1);
	bench_sync(&b, 1);
	assert_int_equal(raft_commit(b.n[1].r), 2);
	bench_end(&b);

	bench_begin(&b, 2);
	bench_elect(&b, 1);
	b.n[1].slow = true;
	bench_submit(&b, 1, 1);
	bench_settle(&b);
	assert_int_equal(b.n[1].r->commit, 1);		/* own disk is part of the majority */
	bench_end(&b);
}

/* logcabin#56, canonical/raft#137, hashicorp/raft#524: who was removed, or was away, disturbs nobody. */
static void test_removed_is_harmless(void **state)
{
	struct bench b;
	u64 term;

	bench_begin(&b, 4);
	bench_elect(&b, 1);
	b.cut[1][4] = b.cut[4][1] = true;
	assert_int_equal(bench_config(&b, 1, RAFT_REMOVE, 4), 0);
	bench_settle(&b);
	assert_false(raft_conf_pending(b.n[1].r));
	term = raft_term(b.n[1].r);
	b.now += 9 * UNIT;
	bench_tick(&b, 1);
	bench_settle(&b);
	b.now += 9 * UNIT;
	b.n[4].r->election_due = b.now;
	bench_tick(&b, 4);
	assert_int_equal(raft_role(b.n[4].r), RAFT_PRECANDIDATE);
	bench_settle(&b);
	assert_int_equal(raft_term(b.n[1].r), term);
	assert_int_equal(raft_term(b.n[2].r), term);
	assert_int_not_equal(raft_role(b.n[4].r), RAFT_CANDIDATE);
	/* Neither does a real vote, nor an answer of a later term. */
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_RECV, .msg =
		&(struct raft_msg){ .type = RAFT_MSG_VOTE, .from = 4, .to = 1, .term = term + 5,
				    .index = 99, .log_term = term } }), 0);
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_RECV, .msg =
		&(struct raft_msg){ .type = RAFT_MSG_APPEND_REP, .from = 4, .to = 1, .term = term + 5,
				    .reject = 1 } }), 0);
	assert_int_equal(raft_term(b.n[1].r), term);
	assert_int_equal(raft_role(b.n[1].r), RAFT_LEADER);
	bench_end(&b);
}

/* Dissertation 4.2.2 and figure 4.6; found here by the simulator (seed 18 of its first day). */
static void test_removed_voter_stands_while_needed(void **state)
{
	struct bench b;

	bench_begin(&b, 4);
	bench_elect(&b, 1);
	b.cut[1][2] = b.cut[1][3] = b.cut[1][4] = true;
	assert_int_equal(bench_config(&b, 1, RAFT_DEMOTE, 1), 0);
	bench_settle(&b);
	b.now += 30 * UNIT;
	bench_tick(&b, 1);
	assert_int_equal(raft_role(b.n[1].r), RAFT_FOLLOWER);
	memset(b.cut, 0, sizeof(b.cut));
	raft_free(b.n[2].r);			/* its disk is lost */
	b.n[2].r = NULL;
	bench_lose(&b, 0, 0);
	bench_stand(&b, 1);			/* it has no vote, but the longest log */
	bench_settle(&b);
	/* It led, committed the change, stepped down, and named its successor. */
	assert_int_equal(raft_role(b.n[1].r), RAFT_FOLLOWER);
	assert_false(raft_conf_pending(b.n[1].r));
	assert_true(raft_role(b.n[3].r) == RAFT_LEADER || raft_role(b.n[4].r) == RAFT_LEADER);
	bench_end(&b);
}

#define HANDOVER	16	/* heartbeats until a leader gives a transfer up: RAFT_HANDOVER */

/* tikv#1593, etcd#12704: no lease once leadership was offered. raft-rs#234: an old offer is void. */
static void test_lease_and_transfer(void **state)
{
	struct raft_msg offer;
	unsigned int waited;
	struct bench b;
	u64 index;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	bench_beat(&b, 1);
	assert_int_equal(raft_lease_read(b.n[1].r, b.now, &index), 0);
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_TRANSFER, .peer = 2 }), 0);
	assert_int_equal(b.n[1].u.nr_msgs, 1);
	offer = b.n[1].u.msgs[0];
	assert_int_equal(offer.type, RAFT_MSG_TIMEOUT_NOW);
	bench_lose(&b, 1, 2);			/* it is only delayed */
	assert_int_equal(raft_lease_read(b.n[1].r, b.now, &index), -EAGAIN);
	assert_int_equal(bench_submit(&b, 1, 1), -EBUSY);
	bench_beat(&b, 1);			/* answers support no lease while it runs */
	assert_int_equal(raft_lease_read(b.n[1].r, b.now, &index), -EAGAIN);
	for (waited = 1; waited < HANDOVER - 1; waited++)
		bench_beat(&b, 1);
	b.now += UNIT;
	bench_tick(&b, 1);
	assert_true(b.n[1].u.transfer_failed);
	bench_settle(&b);
	assert_int_equal(raft_lease_read(b.n[1].r, b.now, &index), 0);
	/* Now it arrives: refused; and had it not been, its votes would be. */
	assert_int_equal(bench_step(&b, 2, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &offer }), 0);
	assert_int_equal(raft_role(b.n[2].r), RAFT_FOLLOWER);
	assert_int_equal(bench_step(&b, 3, (struct raft_event){ .type = RAFT_EV_RECV, .msg =
		&(struct raft_msg){ .type = RAFT_MSG_VOTE, .from = 2, .to = 3, .term = offer.term + 1,
				    .force = 1, .round = offer.round, .index = 50,
				    .log_term = offer.term } }), 0);
	assert_int_equal(raft_term(b.n[3].r), offer.term);
	bench_end(&b);
}

/* Everything of two members, 1 leading, until it may read from its lease. */
static void lease_of_two(struct bench *b)
{
	u64 index;
	int i;

	for (i = 0; i < 20; i++) {
		while (!bench_deliver(b, RAFT_MSG_NR, 1, 3) || !bench_deliver(b, RAFT_MSG_NR, 3, 1))
			;
		bench_tick(b, 1);
		if (!raft_lease_read(b->n[1].r, b->now, &index))
			return;
		b->now += UNIT;
	}
	fail_msg("no lease");
}

static struct raft_msg vote(u8 type, u64 term, bool force)
{
	return (struct raft_msg){ .type = type, .from = 2, .to = 3, .term = term, .index = 50,
				  .log_term = 3, .force = force };
}

/*
 * 3 answered the heartbeats of 1, which leads in term 2, and then hears from 2 that there is a
 * term 3. The promise holds all the same: 1 is parted from 2, and still answers reads. (2 lacks
 * what 1 committed. In a larger group another one that has it could ask in its place.)
 */
static void test_promise_outlives_its_term(void **state)
{
	struct raft_msg m;
	struct bench b;
	u64 index;

	bench_begin(&b, 3);
	bench_stand(&b, 1);
	bench_deliver(&b, RAFT_MSG_PREVOTE, 1, 2);
	bench_deliver(&b, RAFT_MSG_PREVOTE_REP, 2, 1);
	assert_int_equal(raft_role(b.n[1].r), RAFT_CANDIDATE);
	bench_deliver(&b, RAFT_MSG_VOTE, 1, 2);
	bench_deliver(&b, RAFT_MSG_VOTE, 1, 3);
	bench_lose(&b, 2, 1);			/* the vote of 3 is delayed */
	/* 2 becomes a candidate of term 3, its disk is slow; 3 asks it, and is answered late. */
	bench_stand(&b, 2);
	b.n[2].slow = true;
	bench_deliver(&b, RAFT_MSG_PREVOTE, 2, 1);
	bench_deliver(&b, RAFT_MSG_PREVOTE_REP, 1, 2);
	assert_int_equal(raft_role(b.n[2].r), RAFT_CANDIDATE);
	bench_tick(&b, 3);
	assert_int_equal(bench_deliver(&b, RAFT_MSG_PREVOTE, 3, 2), 0);
	b.cut[1][2] = b.cut[2][1] = true;
	bench_lose(&b, 3, 2);
	assert_int_equal(bench_deliver(&b, RAFT_MSG_VOTE_REP, 3, 1), 0);
	assert_int_equal(raft_role(b.n[1].r), RAFT_LEADER);
	lease_of_two(&b);

	b.n[2].slow = false;
	bench_sync(&b, 2);
	assert_int_equal(bench_deliver(&b, RAFT_MSG_PREVOTE_REP, 2, 3), 0);
	assert_int_equal(raft_term(b.n[3].r), 3);
	assert_int_equal(raft_lease_read(b.n[1].r, b.now, &index), 0);
	/* A request for the vote that was overtaken; then others. */
	m = vote(RAFT_MSG_VOTE, 3, false);
	bench_step(&b, 3, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &m });
	assert_true(b.n[3].u.nr_msgs == 1 && b.n[3].u.msgs[0].reject);
	m = vote(RAFT_MSG_PREVOTE, 4, false);
	bench_step(&b, 3, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &m });
	assert_true(b.n[3].u.nr_msgs == 1 && b.n[3].u.msgs[0].reject);
	m = vote(RAFT_MSG_VOTE, 4, false);
	bench_step(&b, 3, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &m });
	assert_int_equal(raft_term(b.n[3].r), 3);
	/* A wish of 1 that was given up long ago: of round 0. */
	m = vote(RAFT_MSG_VOTE, 3, true);
	bench_step(&b, 3, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &m });
	assert_true(b.n[3].u.nr_msgs == 1 && b.n[3].u.msgs[0].reject);
	/* The promise ends with its time. */
	bench_lose(&b, 0, 0);
	bench_elect(&b, 3);
	bench_end(&b);
}

/* Ongaro, raft-dev, July 2015: no change of members before a commit of the own term; nor two. */
static void test_change_of_members_waits(void **state)
{
	struct bench b;

	bench_begin(&b, 3);
	bench_stand(&b, 1);
	while (raft_role(b.n[1].r) != RAFT_LEADER)
		assert_int_equal(bench_deliver(&b, RAFT_MSG_NR, 0, 0), 0);
	assert_int_equal(bench_config(&b, 1, RAFT_ADD_LEARNER, 4), -EBUSY);
	bench_settle(&b);
	assert_int_equal(bench_config(&b, 1, RAFT_ADD_LEARNER, 4), 0);
	assert_int_equal(bench_config(&b, 1, RAFT_ADD_LEARNER, 5), -EBUSY);
	bench_settle(&b);
	assert_int_equal(bench_config(&b, 1, RAFT_PROMOTE, 4), -EAGAIN);	/* not caught up */
	assert_int_equal(bench_config(&b, 1, RAFT_ADD_LEARNER, 4), -EEXIST);
	assert_int_equal(bench_config(&b, 1, RAFT_REMOVE, 9), -ENOENT);
	bench_end(&b);
}

/* A committed entry that a leader contradicts, or that is missing: the replica stops. */
static void test_contradiction_stops(void **state)
{
	struct raft_entry e = { .term = 1, .bytes = 100 }, x = { .term = 2, .bytes = 100 };
	struct bench b = { .now = 1000000 };
	struct raft_msg m;

	bench_node(&b, 2, 3, 1, NULL);
	m = append(1, 0, 0, &e, 1);
	m.commit = 1;
	assert_int_equal(receive(&b, m), 0);
	m = append(3, 0, 0, &x, 1);
	assert_int_equal(receive(&b, m), -EUCLEAN);
	assert_int_equal(bench_tick(&b, 2), -EIO);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figure_8),
		cmocka_unit_test(test_failed_disk_write),
		cmocka_unit_test(test_answer_after_term_changed),
		cmocka_unit_test(test_new_term_while_snapshotting),
		cmocka_unit_test(test_membership_rolled_back),
		cmocka_unit_test(test_candidate_while_persisting),
		cmocka_unit_test(test_truncated_entries_stay_gone),
		cmocka_unit_test(test_appended_again_is_not_durable),
		cmocka_unit_test(test_no_gap_and_no_old_truncation),
		cmocka_unit_test(test_append_before_snapshot),
		cmocka_unit_test(test_term_and_vote_are_one),
		cmocka_unit_test(test_applied_after_own_log),
		cmocka_unit_test(test_removed_is_harmless),
		cmocka_unit_test(test_removed_voter_stands_while_needed),
		cmocka_unit_test(test_lease_and_transfer),
		cmocka_unit_test(test_promise_outlives_its_term),
		cmocka_unit_test(test_change_of_members_waits),
		cmocka_unit_test(test_contradiction_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
