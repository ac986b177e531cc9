// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Heartbeats of three chunk servers with a chain of three: restarts, deaths one by
 * one and together, a new leader of the managers, what operators want, and the orders
 * that follow. Every change is also made on a second manager, by command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mgr/mgrd.h"

#define SEC	1000000000ull
#define S	FLINT_TARGET_SERVING
#define L	FLINT_TARGET_LASTSRV
#define Y	FLINT_TARGET_SYNCING
#define W	FLINT_TARGET_WAITING
#define O	FLINT_TARGET_OFFLINE

/* Of report.c, which report_chain.c knows. */
const char *mgr_target_state_name(u8 state)
{
	return "";
}

u64 mgr_target_used(struct mgr *m, const struct mgr_target *t)
{
	return 0;
}

void mgr_problem(json_t *list, const char *what, const char *remedy)
{
}

static struct mgr_state *st, *other;
static char why[MGR_ERR_LEN];
static u64 now;

static void commit(void)
{
	bool whole;
	u8 *cmd;
	u32 len;

	assert_int_equal(mgr_command_encode(st, true, false, &cmd, &len), 0);
	assert_int_equal(mgr_command_apply(other, cmd, len, &whole, why, sizeof(why)), 0);
	mgr_state_settle(other);
	assert_int_equal(mgr_state_checksum(st), mgr_state_checksum(other));
	free(cmd);
}

static bool starting, stuck, nameless;
static u32 as;			/* the server that speaks has this number, 0: the target's */
static u32 behind;		/* versions of the chain that heartbeats do not know of */

/* Server @i (1..3) with target @i speaks; incarnation @inc. Return: its order. */
static struct flint_hb_order beat(u32 i, u64 inc, u8 local)
{
	struct flint_hb_order o = { .target_id = cpu_to_le32(i) };
	struct mgr_chain *c = mgr_chain_find(st, 1);
	struct flint_hb_target t = {
		.target_id = cpu_to_le32(i), .local_state = local,
		.capacity = cpu_to_le64(1 << 30),
		.chain_ver = cpu_to_le32(c ? c->version - behind : 0),
		.uuid = { i }, .flags = cpu_to_le32(stuck ? FLINT_HBT_STUCK : 0),
	};
	struct mgr_beat b = { .role = FLINT_ROLE_CHUNK, .incarnation = inc, .targets = &t,
			      .nr_targets = !starting && !nameless, .starting = starting, .sent_ns = now };
	bool changed;
	u32 id;

	snprintf(b.name, sizeof(b.name), "c%u", as ? as : i);
	now += SEC / 10;
	assert_int_equal(mgr_beat_apply(st, &b, now, &id, &changed, why, sizeof(why)), 0);
	if (changed)
		commit();
	mgr_beat_target_order(other, inc, &o);
	return o;
}

/* Server @i has just begun: it does not say yet which targets it has. */
static void beat_starting(u32 i, u64 inc)
{
	starting = true;
	beat(i, inc, FLINT_LOCAL_ONLINE);
	starting = false;
}

/* It says which it has, and its target is not among them. */
static void beat_nameless(u32 i, u64 inc)
{
	nameless = true;
	beat(i, inc, FLINT_LOCAL_ONLINE);
	nameless = false;
}

static void silence(void)
{
	now += 7 * SEC;
}

static void tick(void)
{
	if (mgr_silence_apply(st, now))
		commit();
}

/* The chain: targets and states in order; @v: its version. */
static void is(u32 v, u32 a, u8 sa, u32 b, u8 sb, u32 c, u8 sc)
{
	const u32 ids[3] = { a, b, c };
	const u8 states[3] = { sa, sb, sc };
	struct mgr_chain *ch = mgr_chain_find(other, 1);
	int i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(ch->targets[i], ids[i]);
		assert_int_equal(mgr_target_find(other, ids[i])->state, states[i]);
	}
	assert_int_equal(ch->version, v);
}

/* The chain is made, and its members do not know of it yet. */
static int setup_made(void **state)
{
	static const u8 id[16] = { 1 };
	static const u32 ids[3] = { 1, 2, 3 };
	u32 i, chain;

	now = 1000 * SEC;
	as = 0;
	st = mgr_state_new(id, "test", MGR_DEFAULT_LEASE_MS);
	other = mgr_state_clone(st);
	mgr_state_settle(st);
	mgr_state_settle(other);
	for (i = 1; i <= 3; i++)
		beat(i, 10 * i, FLINT_LOCAL_ONLINE);
	assert_int_equal(mgr_chain_create(st, ids, 3, &chain, why, sizeof(why)), 0);
	commit();
	return 0;
}

static int setup(void **state)
{
	u32 i;

	setup_made(state);
	for (i = 1; i <= 3; i++)
		assert_int_equal(beat(i, 10 * i, FLINT_LOCAL_UPTODATE).flags, FLINT_HB_ADMITTED);
	is(1, 1, S, 2, S, 3, S);
	return 0;
}

static int teardown(void **state)
{
	mgr_state_free(st);
	mgr_state_free(other);
	return 0;
}

/* A restarted one leaves as soon as another is heard after it, recovers, and serves last. */
static void test_restart(void **state)
{
	struct flint_hb_order o = beat(1, 11, FLINT_LOCAL_ONLINE);

	is(1, 1, S, 2, S, 3, S);
	assert_int_equal(o.flags, 0);
	beat(2, 20, FLINT_LOCAL_UPTODATE);
	is(2, 2, S, 3, S, 1, W);
	o = beat(1, 11, FLINT_LOCAL_ONLINE);
	is(3, 2, S, 3, S, 1, Y);
	assert_int_equal(o.state, Y);
	assert_int_equal(o.flags, FLINT_HB_ADMITTED);
	beat(1, 11, FLINT_LOCAL_UPTODATE);
	is(4, 2, S, 3, S, 1, S);
}

/* What says that it is up to date may have begun to recover anew, if the chain has changed since. */
static void test_recovered_before(void **state)
{
	beat(3, 31, FLINT_LOCAL_ONLINE);
	beat(2, 20, FLINT_LOCAL_UPTODATE);
	beat(3, 31, FLINT_LOCAL_ONLINE);
	is(3, 1, S, 2, S, 3, Y);
	beat(1, 11, FLINT_LOCAL_ONLINE);
	beat(2, 20, FLINT_LOCAL_UPTODATE);
	is(4, 2, S, 3, Y, 1, W);
	behind = 1;
	beat(3, 31, FLINT_LOCAL_UPTODATE);
	behind = 0;
	is(4, 2, S, 3, Y, 1, W);
	beat(3, 31, FLINT_LOCAL_ONLINE);
	is(4, 2, S, 3, Y, 1, W);
	beat(3, 31, FLINT_LOCAL_UPTODATE);
	is(5, 2, S, 3, S, 1, Y);
}

/* All in one power cut, though their silence is noticed one after the other. */
static void test_all_die(void **state)
{
	now += 5 * SEC;
	beat(3, 30, FLINT_LOCAL_UPTODATE);
	now += 2 * SEC;
	tick();			/* 1 and 2 are down; 3 was heard before that became known */
	is(1, 1, S, 2, S, 3, S);
	silence();
	tick();
	is(2, 1, L, 2, L, 3, L);
	beat(2, 21, FLINT_LOCAL_ONLINE);
	is(3, 2, S, 1, O, 3, O);
	assert_int_equal(beat(2, 21, FLINT_LOCAL_UPTODATE).flags, FLINT_HB_ADMITTED);
	beat(1, 11, FLINT_LOCAL_ONLINE);
	beat(1, 11, FLINT_LOCAL_ONLINE);
	assert_int_equal(mgr_target_find(st, 1)->state, Y);
}

/* All die; one is back at once, and its first heartbeats do not name its targets yet. */
static void test_all_die_one_is_back(void **state)
{
	beat_starting(1, 11);
	is(1, 1, S, 2, S, 3, S);
	silence();
	beat(1, 11, FLINT_LOCAL_ONLINE);
	tick();
	assert_int_equal(mgr_target_find(st, 1)->state, S);
	assert_int_equal(beat(1, 11, FLINT_LOCAL_ONLINE).flags, FLINT_HB_ADMITTED);
	is(2, 1, S, 2, O, 3, O);
}

/* All die; the first that is back says nothing of its disk, then that it is not there: another one serves. */
static void test_all_die_first_is_empty(void **state)
{
	silence();
	tick();
	is(2, 1, L, 2, L, 3, L);
	beat_starting(1, 11);
	is(2, 1, L, 2, L, 3, L);
	beat_nameless(1, 11);
	is(2, 1, L, 2, L, 3, L);
	beat(2, 21, FLINT_LOCAL_ONLINE);
	is(3, 2, S, 1, O, 3, O);
}

/* The same with two servers that are silent, and are found to be down while the first one starts. */
static void test_others_die_first_starts(void **state)
{
	beat_starting(1, 11);
	silence();
	beat_starting(1, 11);
	tick();
	is(1, 1, S, 2, S, 3, S);
	beat_nameless(1, 11);
	is(2, 1, L, 2, L, 3, L);
	beat(3, 31, FLINT_LOCAL_ONLINE);
	is(3, 3, S, 1, O, 2, O);
}

/* The first one never gets on with starting: another one that is back serves, and it recovers if it does. */
static void test_others_die_first_starts_for_ever(void **state)
{
	beat_starting(1, 11);
	silence();
	beat_starting(1, 11);
	beat(2, 21, FLINT_LOCAL_ONLINE);
	is(1, 1, S, 2, S, 3, S);
	tick();
	is(3, 2, S, 1, W, 3, O);
	assert_int_equal(beat(2, 21, FLINT_LOCAL_ONLINE).flags, FLINT_HB_ADMITTED);
	beat_starting(1, 11);
	is(3, 2, S, 1, W, 3, O);
	beat(1, 11, FLINT_LOCAL_ONLINE);
	is(4, 2, S, 1, Y, 3, O);
}

/*
 * A power cut, and the first disk is in another server, which has been there for a while: what the
 * others said before the disk was found there does not show that they live.
 */
static void test_all_die_disk_moves(void **state)
{
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	now += SEC;
	as = 9;
	beat(1, 90, FLINT_LOCAL_ONLINE);	/* left out: its server is up */
	as = 0;
	now += 3 * SEC;
	beat(2, 20, FLINT_LOCAL_UPTODATE);
	beat(3, 30, FLINT_LOCAL_UPTODATE);
	now += 2 * SEC;
	tick();
	is(1, 1, S, 2, S, 3, S);
	as = 9;
	beat(1, 90, FLINT_LOCAL_ONLINE);
	is(1, 1, S, 2, S, 3, S);
	now += 5 * SEC;
	beat(1, 90, FLINT_LOCAL_ONLINE);
	as = 0;
	tick();
	is(2, 1, S, 2, O, 3, O);
}

static void test_one_dies_then_another(void **state)
{
	silence();
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	beat(2, 20, FLINT_LOCAL_UPTODATE);
	tick();
	is(1, 1, S, 2, S, 3, S);
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	is(2, 1, S, 2, S, 3, O);
	silence();
	tick();
	is(3, 1, L, 2, L, 3, O);
	/* The one that was left behind waits, however long it is alone. */
	beat(3, 30, FLINT_LOCAL_ONLINE);
	is(4, 1, L, 2, L, 3, W);
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	assert_int_equal(mgr_target_find(st, 1)->state, S);
	assert_int_equal(mgr_target_find(st, 2)->state, O);
}

/* Another manager leads: it knows the process that went on from the one that did not. */
static void test_new_leader(void **state)
{
	mgr_state_free(st);
	st = mgr_state_clone(other);
	now += 60 * SEC;
	mgr_state_forget_live(st, now);
	tick();
	is(1, 1, S, 2, S, 3, S);
	assert_int_equal(beat(1, 10, FLINT_LOCAL_UPTODATE).flags, FLINT_HB_ADMITTED);
	assert_int_equal(beat(2, 21, FLINT_LOCAL_ONLINE).flags, 0);
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	is(2, 1, S, 3, S, 2, W);
	/* The third one was silent for the old leader, not for this one. */
	now += 5 * SEC;
	tick();
	assert_int_equal(mgr_target_find(st, 3)->state, S);
}

static void test_disk_fails(void **state)
{
	beat(1, 10, FLINT_LOCAL_OFFLINE);
	is(2, 2, S, 3, S, 1, O);
}

/* What was asked for while another one serves: told to stop, stopped, out; and back. */
static void test_hold(void **state)
{
	struct flint_hb_order o;

	assert_int_equal(mgr_target_hold(st, 1, true, why, sizeof(why)), 0);
	commit();
	is(1, 1, S, 2, S, 3, S);
	o = beat(1, 10, FLINT_LOCAL_UPTODATE);
	assert_int_equal(o.state, O);
	beat(1, 10, FLINT_LOCAL_ONLINE);
	is(1, 1, S, 2, S, 3, S);
	beat(3, 30, FLINT_LOCAL_UPTODATE);
	is(2, 2, S, 3, S, 1, O);
	beat(1, 10, FLINT_LOCAL_ONLINE);
	is(2, 2, S, 3, S, 1, O);
	assert_int_equal(mgr_target_hold(st, 1, false, why, sizeof(why)), 0);
	commit();
	assert_int_equal(mgr_target_find(st, 1)->state, Y);
	/* Asked for again; then everybody else dies: it serves all the same. */
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	assert_int_equal(mgr_target_find(st, 1)->state, S);
	assert_int_equal(mgr_target_hold(st, 1, true, why, sizeof(why)), 0);
	commit();
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	silence();
	beat(1, 10, FLINT_LOCAL_ONLINE);
	tick();
	assert_int_equal(mgr_target_find(st, 1)->state, S);
	assert_int_equal(mgr_target_find(st, 1)->wish, MGR_WISH_NONE);
	assert_int_equal(mgr_target_hold(st, 1, true, why, sizeof(why)), -EBUSY);
}

/* Asked for before it began to serve: it never will, and leaves. */
static void test_hold_new(void **state)
{
	assert_int_equal(mgr_target_hold(st, 3, true, why, sizeof(why)), 0);
	commit();
	assert_int_equal(beat(3, 30, FLINT_LOCAL_ONLINE).state, O);
	assert_int_equal(beat(3, 30, FLINT_LOCAL_ONLINE).state, O);
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	is(2, 1, S, 2, S, 3, O);
}

/* Server @i says that the one behind it answers nothing. */
static void beat_stuck(u32 i, u64 inc)
{
	stuck = true;
	beat(i, inc, FLINT_LOCAL_UPTODATE);
	stuck = false;
}

static void test_deaf(void **state)
{
	char words[MGR_ERR_LEN];

	beat_stuck(1, 10);
	assert_int_equal(mgr_target_find(other, 2)->wish, MGR_WISH_DEAF);
	mgr_event_words(other, &other->events[other->nr_events - 1], words, sizeof(words));
	assert_non_null(strstr(words, "target 2 on c2 shall stay out for a while"));
	beat_stuck(2, 20);			/* one at a time */
	assert_int_equal(mgr_target_find(other, 3)->wish, MGR_WISH_NONE);
	assert_int_equal(beat(2, 20, FLINT_LOCAL_UPTODATE).state, O);
	beat(2, 20, FLINT_LOCAL_ONLINE);
	beat(3, 30, FLINT_LOCAL_UPTODATE);
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	is(2, 1, S, 3, S, 2, O);
	/* It may return after two leases. */
	assert_false(mgr_deaf_apply(st, now));
	assert_false(mgr_deaf_apply(st, now + 10 * SEC));
	assert_true(mgr_deaf_apply(st, now + 12 * SEC));
	commit();
	is(3, 1, S, 3, S, 2, Y);
	/* The one that is last now does not reach it either: out again, for longer. */
	beat_stuck(3, 30);
	is(4, 1, S, 3, S, 2, O);
	assert_false(mgr_deaf_apply(st, now + 20 * SEC));
	assert_true(mgr_deaf_apply(st, now + 24 * SEC));
	commit();
	beat(2, 20, FLINT_LOCAL_UPTODATE);
	is(6, 1, S, 3, S, 2, S);
	/* Who has no answer from the next one either is itself not heard. */
	beat_stuck(1, 10);
	assert_int_equal(mgr_target_find(other, 3)->wish, MGR_WISH_DEAF);
	beat(3, 30, FLINT_LOCAL_ONLINE);
	beat(2, 20, FLINT_LOCAL_UPTODATE);
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	is(7, 1, S, 2, S, 3, O);
	beat_stuck(1, 10);
	assert_int_equal(mgr_target_find(other, 2)->wish, MGR_WISH_NONE);
	assert_int_equal(mgr_target_find(other, 1)->wish, MGR_WISH_DEAF);
	/* What an operator wants of it goes first; a new leader lets it wait anew. */
	beat(1, 10, FLINT_LOCAL_ONLINE);
	beat(2, 20, FLINT_LOCAL_UPTODATE);
	is(8, 2, S, 1, O, 3, O);
	mgr_target_find(st, 3)->live.deaf_ns = 0;
	mgr_target_find(st, 3)->live.deaf_times = 0;
	assert_false(mgr_deaf_apply(st, now));
	assert_int_equal(mgr_target_hold(st, 1, false, why, sizeof(why)), 0);
	commit();
	assert_int_equal(mgr_target_find(other, 1)->wish, MGR_WISH_NONE);
	/* The last one is never left out. */
	beat_stuck(2, 20);
	assert_int_equal(mgr_target_find(other, 2)->wish, MGR_WISH_NONE);
}

static void test_drop_and_add(void **state)
{
	assert_int_equal(mgr_chain_drop_target(st, 1, 2, why, sizeof(why)), 0);
	commit();
	beat(2, 20, FLINT_LOCAL_ONLINE);
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	assert_int_equal(mgr_chain_find(other, 1)->nr, 2);
	assert_int_equal(mgr_target_find(other, 2)->chain, 0);
	assert_int_equal(mgr_chain_drop_target(st, 1, 2, why, sizeof(why)), 0);
	beat(2, 20, FLINT_LOCAL_ONLINE);
	assert_int_equal(mgr_chain_add_target(st, 1, 2, why, sizeof(why)), 0);
	commit();
	assert_int_equal(mgr_target_find(other, 2)->state, Y);
	beat(2, 20, FLINT_LOCAL_UPTODATE);
	assert_int_equal(mgr_target_find(other, 2)->state, S);
	assert_int_equal(mgr_chain_find(other, 1)->targets[2], 2);
}

static void test_promote(void **state)
{
	silence();
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	tick();
	beat(1, 10, FLINT_LOCAL_UPTODATE);
	assert_int_equal(mgr_target_promote(st, 1, why, sizeof(why)), -EBUSY);
	silence();
	tick();
	assert_int_equal(mgr_target_find(st, 1)->state, L);
	assert_int_equal(mgr_target_promote(st, 2, why, sizeof(why)), -EHOSTDOWN);
	beat(2, 21, FLINT_LOCAL_ONLINE);
	assert_int_equal(mgr_target_find(st, 2)->state, W);
	assert_int_equal(mgr_target_promote(st, 2, why, sizeof(why)), 0);
	commit();
	assert_int_equal(beat(2, 21, FLINT_LOCAL_ONLINE).flags, FLINT_HB_ADMITTED);
	assert_int_equal(mgr_target_find(st, 2)->state, S);
	assert_int_equal(mgr_target_find(st, 1)->state, O);
}

/* Files are spread over a table's chains: each stands there once. */
static void test_table(void **state)
{
	static const u32 good[1] = { 1 }, twice[2] = { 1, 1 }, none[2] = { 1, 2 };
	u32 v;

	assert_int_equal(mgr_table_create(st, 1, good, 1, &v, why, sizeof(why)), 0);
	assert_int_equal(v, 1);
	assert_int_equal(mgr_table_create(st, 1, none, 2, &v, why, sizeof(why)), -ENOENT);
	assert_int_equal(mgr_table_create(st, 1, twice, 2, &v, why, sizeof(why)), -EINVAL);
	assert_int_equal(st->nr_tables, 1);
}

/* What was said earlier does not undo what was said later. */
static void test_old_heartbeat(void **state)
{
	struct mgr_beat b = { .role = FLINT_ROLE_CHUNK, .incarnation = 10, .name = "c1",
			      .sent_ns = 5 };
	bool changed;
	u32 id;

	assert_int_equal(mgr_beat_apply(st, &b, now, &id, &changed, why, sizeof(why)),
			 FLINT_ST_RETRY);
	is(1, 1, S, 2, S, 3, S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recovered_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_die, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_die_one_is_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_die_first_is_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_die_first_starts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_die_first_starts_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_die_disk_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_dies_then_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_leader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hold_new, setup_made, teardown),
		cmocka_unit_test_setup_teardown(test_deaf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drop_and_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_promote, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_heartbeat, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
