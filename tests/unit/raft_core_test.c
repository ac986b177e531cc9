// SPDX-License-Identifier: GPL-2.0-or-later
/* The Raft core's interface: what each event does, limits, refusals. */
#include "raft_group.h"

static void test_conf_codec(void **state)
{
	struct raft_conf c = bench_conf(RAFT_MEMBERS_MAX), d;
	u8 buf[RAFT_CONF_BYTES_MAX];
	u32 len, i;

	for (i = 0; i < c.nr; i++) {
		c.m[i].voter = i & 1;
		c.m[i].info_len = RAFT_INFO_MAX - i;
		memset(c.m[i].info, 'a' + i, c.m[i].info_len);
	}
	len = raft_conf_encode(&c, buf);
	assert_int_equal(raft_conf_decode(&d, buf, len), 0);
	assert_int_equal(d.nr, c.nr);
	for (i = 0; i < c.nr; i++) {
		assert_int_equal(d.m[i].id, c.m[i].id);
		assert_int_equal(d.m[i].voter, c.m[i].voter);
		assert_int_equal(d.m[i].info_len, c.m[i].info_len);
		assert_memory_equal(d.m[i].info, c.m[i].info, c.m[i].info_len);
	}
	for (i = 0; i < len; i++) {	/* of exact size, so that ASan sees overreads */
		u8 *part = malloc(i ? i : 1);

		memcpy(part, buf, i);
		assert_int_equal(raft_conf_decode(&d, part, i), -EINVAL);
		free(part);
	}
	for (i = 0; i < 20; i++) {	/* version, number, id, flags, length: nothing absurd passes */
		buf[i] ^= 0xff;
		assert_int_equal(raft_conf_decode(&d, buf, len), -EINVAL);
		buf[i] ^= 0xff;
	}
}

static void test_found(void **state)
{
	struct raft_conf c = bench_conf(1);
	struct raft_event ev = { .type = RAFT_EV_FOUND, .conf = &c };
	struct bench b = { .now = 1000000 };
	u64 index;

	bench_node(&b, 1, 0, 0, NULL);
	b.now += 100 * UNIT;
	bench_tick(&b, 1);
	assert_int_equal(raft_role(b.n[1].r), RAFT_FOLLOWER);	/* in no group: never stands */
	ev.index = 40;
	assert_int_equal(bench_step(&b, 1, ev), -EINVAL);
	ev.term = 3;
	assert_int_equal(bench_step(&b, 1, ev), 0);
	assert_int_equal(raft_role(b.n[1].r), RAFT_LEADER);
	assert_int_equal(raft_snap_index(b.n[1].r), 40);
	assert_true(raft_term(b.n[1].r) > 3);
	assert_int_equal(raft_commit(b.n[1].r), 42);
	assert_int_equal(raft_lease_read(b.n[1].r, b.now + 1000000000, &index), 0);
	assert_int_equal(index, 42);
	assert_int_equal(bench_step(&b, 1, ev), -EEXIST);
	assert_int_equal(bench_submit(&b, 1, 3), 0);
	assert_int_equal(raft_commit(b.n[1].r), 45);
	bench_end(&b);
}

static void test_learner_joins(void **state)
{
	struct raft_progress p;
	struct bench b;
	u32 i;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	bench_submit(&b, 1, 20);
	bench_settle(&b);
	bench_node(&b, 4, 0, 0, NULL);
	b.cut[1][4] = true;
	assert_int_equal(bench_config(&b, 1, RAFT_ADD_LEARNER, 4), 0);
	bench_settle(&b);
	assert_int_equal(raft_progress(b.n[1].r, 4, &p), 0);
	assert_false(p.caught_up);
	assert_int_equal(raft_commit(b.n[1].r), raft_last_index(b.n[1].r));	/* does not count */
	/* Its first round takes longer than an election, and then nothing is appended any more. */
	for (i = 0; i < RAFT_ELECTION + 1; i++)
		bench_beat(&b, 1);
	b.cut[1][4] = false;
	bench_beat(&b, 1);
	bench_beat(&b, 1);
	assert_int_equal(raft_last_index(b.n[4].r), raft_last_index(b.n[1].r));
	assert_int_equal(raft_progress(b.n[1].r, 4, &p), 0);
	assert_true(p.caught_up);
	assert_int_equal(bench_config(&b, 1, RAFT_PROMOTE, 4), 0);
	bench_settle(&b);
	assert_int_equal(raft_quorum(b.n[1].r), 3);
	/* Silent for long: caught up no more. */
	assert_int_equal(bench_config(&b, 1, RAFT_DEMOTE, 4), 0);
	bench_settle(&b);
	b.cut[1][4] = true;
	for (i = 0; i < RAFT_ELECTION + 1; i++)
		bench_beat(&b, 1);
	assert_int_equal(bench_config(&b, 1, RAFT_PROMOTE, 4), -EAGAIN);
	bench_end(&b);
}

static void test_window_is_bounded(void **state)
{
	struct bench b;
	u32 i, sent = 0;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	bench_submit(&b, 1, 60);	/* a message carries one; four may be under way */
	for (i = 0; i < b.nr_bag; i++)
		if (b.bag[i].type == RAFT_MSG_APPEND && b.bag[i].to == 2) {
			sent++;
			assert_int_equal(b.bag[i].nr, 1);
		}
	assert_int_equal(sent, 4);
	bench_settle(&b);
	assert_int_equal(raft_last_index(b.n[2].r), 61);
	assert_int_equal(raft_commit(b.n[1].r), 61);
	bench_end(&b);
}

/* A lost tail is found by the next heartbeats, without sending everything again. */
static void test_lost_messages(void **state)
{
	struct bench b;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	bench_submit(&b, 1, 3);
	bench_lose(&b, 1, 2);
	bench_settle(&b);
	assert_int_equal(raft_last_index(b.n[2].r), 1);
	bench_beat(&b, 1);
	bench_beat(&b, 1);
	bench_beat(&b, 1);
	assert_int_equal(raft_last_index(b.n[2].r), 4);
	bench_end(&b);
}

/* Where 60 entries of six terms differ it takes a message for each term, not for each entry. */
static void test_fast_backoff(void **state)
{
	u64 mine[62] = { 0 }, theirs[62] = { 0 };
	struct bench b = { .now = 1000000 };
	u32 i, refused = 0;

	for (i = 0; i < 60; i++) {
		mine[i] = i < 10 ? 1 : 20;
		theirs[i] = i < 10 ? 1 : 2 + i / 10;
	}
	bench_node(&b, 1, 2, 20, mine);
	bench_node(&b, 2, 2, 20, theirs);
	bench_stand(&b, 1);
	while (raft_role(b.n[1].r) != RAFT_LEADER)
		assert_int_equal(bench_deliver(&b, RAFT_MSG_NR, 0, 0), 0);
	while (raft_last_index(b.n[2].r) < 61 && refused < 100) {
		for (i = 0; i < b.nr_bag; i++)
			refused += b.bag[i].type == RAFT_MSG_APPEND_REP && b.bag[i].reject;
		if (bench_deliver(&b, RAFT_MSG_NR, 0, 0))
			break;
	}
	bench_settle(&b);
	assert_int_equal(raft_last_index(b.n[2].r), 61);
	assert_true(refused <= 12);
	bench_end(&b);
}

/* E (1 - 2 d) from when the round began, by the leader's clock; no answer, no lease. */
static void test_lease(void **state)
{
	struct bench b;
	u64 index, from;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	b.now += UNIT;
	from = b.now;
	bench_tick(&b, 1);
	b.now += UNIT / 2;
	bench_settle(&b);
	assert_int_equal(raft_lease_read(b.n[1].r, from + 9799, &index), -EAGAIN);
	assert_int_equal(raft_lease_read(b.n[1].r, from + 9798, &index), 0);
	assert_int_equal(raft_lease_read(b.n[2].r, from, &index), -EPERM);
	/* Cut off: it steps down when nobody has answered for an election timeout. */
	b.cut[1][2] = b.cut[1][3] = true;
	b.now += 10 * UNIT;
	assert_int_equal(raft_lease_read(b.n[1].r, b.now, &index), -EAGAIN);
	bench_tick(&b, 1);
	assert_int_equal(raft_role(b.n[1].r), RAFT_FOLLOWER);
	bench_end(&b);
}

static void test_read_index(void **state)
{
	struct raft_event ev = { .type = RAFT_EV_READ, .token = 77 };
	struct bench b;

	bench_begin(&b, 3);
	assert_int_equal(bench_step(&b, 3, ev), -EPERM);	/* nobody leads */
	bench_elect(&b, 1);
	b.now += 11 * UNIT;					/* no lease any more */
	b.n[1].r->led_since = b.now;
	assert_int_equal(bench_step(&b, 1, ev), 0);
	assert_int_equal(b.n[1].u.nr_reads, 0);
	ev.token = 78;			/* comes while the round is under way: the next one answers */
	b.n[1].r->lease_floor = 1000;
	assert_int_equal(bench_step(&b, 1, ev), 0);
	ev.token = 77;
	assert_int_equal(bench_deliver(&b, RAFT_MSG_HEARTBEAT, 1, 2), 0);
	assert_int_equal(bench_deliver(&b, RAFT_MSG_HEARTBEAT_REP, 2, 1), 0);
	assert_int_equal(b.n[1].u.nr_reads, 1);
	b.n[1].r->lease_floor = 0;
	assert_int_equal(b.n[1].u.reads[0].token, 77);
	assert_int_equal(b.n[1].u.reads[0].index, 1);
	assert_int_equal(bench_deliver(&b, RAFT_MSG_HEARTBEAT_REP, 2, 1), -ENOENT);
	assert_int_equal(bench_deliver(&b, RAFT_MSG_HEARTBEAT, 1, 2), 0);
	assert_int_equal(bench_deliver(&b, RAFT_MSG_HEARTBEAT_REP, 2, 1), 0);
	assert_int_equal(b.n[1].u.nr_reads, 1);
	assert_int_equal(b.n[1].u.reads[0].token, 78);
	/* A follower asks. */
	assert_int_equal(bench_step(&b, 3, ev), 0);
	assert_int_equal(bench_deliver(&b, RAFT_MSG_READ, 3, 1), 0);
	assert_int_equal(bench_deliver(&b, RAFT_MSG_READ_REP, 1, 3), 0);
	assert_int_equal(b.n[3].u.nr_reads, 1);
	assert_int_equal(b.n[3].u.reads[0].err, 0);
	assert_int_equal(b.n[3].u.reads[0].index, 1);
	bench_end(&b);
}

static void test_reads_end_with_leadership(void **state)
{
	struct bench b;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	b.now += 11 * UNIT;
	b.n[1].r->led_since = b.now;
	bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_READ, .token = 5 });
	b.n[1].slow = true;
	bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_RECV, .msg =
		&(struct raft_msg){ .type = RAFT_MSG_HEARTBEAT, .from = 2, .to = 1, .term = 90 } });
	assert_int_equal(b.n[1].u.nr_reads, 1);
	assert_int_equal(b.n[1].u.reads[0].err, -EAGAIN);
	bench_end(&b);
}

static void test_transfer(void **state)
{
	struct bench b;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	bench_submit(&b, 1, 5);
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_TRANSFER, .peer = 8 }),
			 -ENOENT);
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_TRANSFER, .peer = 3 }), 0);
	bench_settle(&b);		/* no time passes: nobody waits for a timeout */
	assert_int_equal(raft_role(b.n[3].r), RAFT_LEADER);
	assert_int_equal(raft_role(b.n[1].r), RAFT_FOLLOWER);
	assert_int_equal(raft_leader(b.n[1].r), 3);
	assert_int_equal(raft_commit(b.n[3].r), 7);
	bench_end(&b);
}

/* Its own disk answers nothing for long: another leads. */
static void test_stalled_disk(void **state)
{
	struct bench b;
	u32 i;

	bench_begin(&b, 3);
	bench_elect(&b, 1);
	b.n[1].slow = true;
	bench_submit(&b, 1, 1);
	for (i = 0; i <= RAFT_STALL + 1; i++)
		bench_beat(&b, 1);
	assert_int_not_equal(raft_role(b.n[1].r), RAFT_LEADER);
	assert_true(raft_role(b.n[2].r) == RAFT_LEADER || raft_role(b.n[3].r) == RAFT_LEADER);
	bench_end(&b);
}

static int hostile(struct bench *b, struct raft_msg m)
{
	return bench_step(b, 2, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &m });
}

static void test_hostile(void **state)
{
	struct raft_entry e[2] = { { .term = 3 }, { .term = 2 } }, conf = { .term = 2, .kind = RAFT_CONF,
									    .bytes = 3, .data = "abc" };
	struct raft_entry odd = { .term = 2, .kind = 77 };
	struct raft_msg m = { .from = 1, .to = 2, .term = 3, .type = RAFT_MSG_APPEND }, x;
	struct bench b;
	u64 term;

	bench_begin(&b, 3);
	term = raft_term(b.n[2].r);
	x = m, x.to = 3;
	assert_int_equal(hostile(&b, x), -EINVAL);
	x = m, x.from = 2;
	assert_int_equal(hostile(&b, x), -EINVAL);
	x = m, x.from = 0;
	assert_int_equal(hostile(&b, x), -EINVAL);
	x = m, x.term = 0;
	assert_int_equal(hostile(&b, x), -EINVAL);
	x = m, x.type = RAFT_MSG_NR;
	assert_int_equal(hostile(&b, x), -EINVAL);
	x = m, x.nr = 2, x.entries = e;			/* terms fall */
	assert_int_equal(hostile(&b, x), -EINVAL);
	x = m, x.nr = 1, x.entries = &conf;
	assert_int_equal(hostile(&b, x), -EINVAL);
	x = m, x.nr = 1, x.entries = &odd;
	assert_int_equal(hostile(&b, x), -EINVAL);
	x = m, x.nr = 1;
	assert_int_equal(hostile(&b, x), -EINVAL);
	x = m, x.index = UINT64_MAX, x.log_term = 1, x.nr = 1, x.entries = e;
	assert_int_equal(hostile(&b, x), -EINVAL);
	x = m, x.log_term = 4, x.index = 1;
	assert_int_equal(hostile(&b, x), -EINVAL);
	assert_int_equal(raft_term(b.n[2].r), term);
	assert_int_equal(raft_last_index(b.n[2].r), 0);
	bench_elect(&b, 1);
	/* Answers of what was never sent. */
	x = (struct raft_msg){ .from = 2, .to = 1, .term = raft_term(b.n[1].r),
			       .type = RAFT_MSG_APPEND_REP, .index = 1ull << 60 };
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &x }), 0);
	x.reject = 1;
	x.hint = x.hint_term = 1ull << 61;
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &x }), 0);
	x.type = RAFT_MSG_HEARTBEAT_REP;
	x.round = UINT64_MAX;
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = RAFT_EV_RECV, .msg = &x }), 0);
	assert_int_equal(raft_commit(b.n[1].r), 1);
	assert_int_equal(bench_step(&b, 1, (struct raft_event){ .type = 99 }), -EINVAL);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conf_codec),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_learner_joins),
		cmocka_unit_test(test_window_is_bounded),
		cmocka_unit_test(test_lost_messages),
		cmocka_unit_test(test_fast_backoff),
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_read_index),
		cmocka_unit_test(test_reads_end_with_leadership),
		cmocka_unit_test(test_transfer),
		cmocka_unit_test(test_stalled_disk),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
