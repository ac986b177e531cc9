// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Jobs on a cluster of pretended chunk servers, which stop and recover as they are
 * told: every kind comes to its end, at no time has a chain too few complete
 * copies, and another manager, which has only the log, goes on in the middle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mgr/chainstate.h"
#include "mgr/mgrd.h"

#define SEC	1000000000ull
#define NODES	6
#define EACH	4

static struct mgr_state *lead, *other;
static u64 now;
static u32 nodes, dead, broken;		/* broken: a target whose disk failed */
static char why[512];

static void commit(void)
{
	bool whole;
	u32 len;
	u8 *cmd;

	assert_int_equal(mgr_command_encode(lead, true, false, &cmd, &len), 0);
	if (mgr_command_apply(other, cmd, len, &whole, why, sizeof(why)))
		fail_msg("%s", why);
	mgr_state_settle(other);
	assert_true(mgr_state_checksum(lead) == mgr_state_checksum(other));
	free(cmd);
}

/* The other manager leads now; it knows what the log told it. */
static void change_leader(void)
{
	struct mgr_state *t = lead;

	lead = other;
	other = t;
	mgr_state_forget_live(lead, now);
}

/* What a well-behaved server says of its target: it does what it was told. */
static u8 local_of(const struct mgr_target *t)
{
	if (t && t->id == broken)
		return FLINT_LOCAL_OFFLINE;
	if (!t || !t->chain || t->wish)
		return FLINT_LOCAL_ONLINE;
	return t->state == FLINT_TARGET_SERVING || t->state == FLINT_TARGET_SYNCING
		? FLINT_LOCAL_UPTODATE : FLINT_LOCAL_ONLINE;
}

static void beat_of(u32 node)
{
	struct flint_hb_target hb[EACH];
	struct mgr_beat b = { .role = FLINT_ROLE_CHUNK, .incarnation = 7, .targets = hb,
			      .nr_targets = EACH };
	bool changed;
	u32 i, id;

	memset(hb, 0, sizeof(hb));
	snprintf(b.name, sizeof(b.name), "c%u", node);
	b.addrs[0].family = 4;
	b.addrs[0].proto = FLINT_PROTO_TCP;
	for (i = 0; i < EACH; i++) {
		const struct mgr_target *t = mgr_target_find(lead, node * 10 + i);
		const struct mgr_chain *c = t && t->chain ? mgr_chain_find(lead, t->chain) : NULL;

		hb[i].target_id = cpu_to_le32(node * 10 + i);
		hb[i].uuid[0] = node * 10 + i;
		hb[i].capacity = cpu_to_le64(1 << 30);
		hb[i].local_state = local_of(t);
		hb[i].chain_ver = cpu_to_le32(c ? c->version : 0);
	}
	if (mgr_beat_apply(lead, &b, now, &id, &changed, why, sizeof(why)))
		fail_msg("%s", why);
}

/* Half a second: all servers speak, the jobs go on. */
static void tick(void)
{
	u32 i;

	now += SEC / 2;
	for (i = 1; i <= nodes; i++)
		if (i != dead)
			beat_of(i);
	mgr_silence_apply(lead, now);
	mgr_jobs_step(lead, now);
	commit();
}

static void make_chains(u32 nr, u32 replicas)
{
	u32 ids[8], chain, c, i, used[NODES + 1] = { 0 };

	for (c = 0; c < nr; c++) {
		for (i = 0; i < replicas; i++) {
			u32 n = 1 + (c + i) % nodes;

			ids[i] = n * 10 + used[n]++;
		}
		assert_int_equal(mgr_chain_create(lead, ids, replicas, &chain, why, sizeof(why)), 0);
	}
	commit();
}

static int setup(void **state)
{
	static const u8 id[16] = { 1 };

	now = 1000 * SEC;
	dead = 0;
	broken = 0;
	nodes = 4;
	lead = mgr_state_new(id, "test", MGR_DEFAULT_LEASE_MS);
	assert_non_null(lead);
	other = mgr_state_clone(lead);
	assert_non_null(other);
	commit();
	tick();
	return 0;
}

static int teardown(void **state)
{
	mgr_state_free(lead);
	mgr_state_free(other);
	return 0;
}

static struct mgr_job *begin(u8 kind, u32 subject, u32 arg)
{
	struct mgr_job *j = mgr_job_add(lead);

	assert_non_null(j);
	j->kind = kind;
	j->subject = subject;
	j->arg = arg;
	j->parallel = 2;
	j->began_ns = now;
	return j;
}

static u32 serving(const struct mgr_chain *c)
{
	u32 i, nr = 0;

	for (i = 0; i < c->nr; i++)
		nr += mgr_target_find(lead, c->targets[i])->state == FLINT_TARGET_SERVING;
	return nr;
}

static u32 on_node(u32 node)
{
	u32 i, nr = 0;

	for (i = 0; i < EACH; i++)
		nr += mgr_target_find(lead, node * 10 + i)->chain != 0;
	return nr;
}

/* Run until the job has ended. @least: complete copies that every chain has at all times. */
static void finish(u32 id, u32 least, bool leaders)
{
	u32 i, c;

	for (i = 0; i < 400 && !mgr_job_over(mgr_job_find(lead, id)); i++) {
		tick();
		if (leaders && i % 3 == 2)
			change_leader();
		for (c = 0; c < lead->nr_chains; c++)
			assert_true(serving(&lead->chains[c]) >= least);
	}
	if (!mgr_job_over(mgr_job_find(lead, id)))
		fail_msg("job %u does not end: %s", id, mgr_job_find(lead, id)->why);
}

static void all_have(u32 replicas)
{
	u32 c, i, j;

	for (c = 0; c < lead->nr_chains; c++) {
		const struct mgr_chain *ch = &lead->chains[c];

		assert_int_equal(ch->nr, replicas);
		assert_int_equal(serving(ch), replicas);
		for (i = 0; i < ch->nr; i++)
			for (j = 0; j < i; j++)
				assert_true(mgr_target_find(lead, ch->targets[i])->node !=
					    mgr_target_find(lead, ch->targets[j])->node);
	}
}

static void drain(bool leaders)
{
	u32 id, node;

	make_chains(4, 3);
	node = mgr_target_find(lead, 20)->node;
	mgr_node_drain(lead, node, true, why, sizeof(why));
	id = begin(MGR_JOB_DRAIN_NODE, node, 0)->id;
	finish(id, 3, leaders);
	assert_int_equal(on_node(2), 0);
	assert_int_equal(mgr_job_find(lead, id)->done, 3);
	all_have(3);
}

static void test_drain(void **state)
{
	drain(false);
}

static void test_leaders(void **state)
{
	drain(true);
}

/* Its server is dead: the others are the source, nothing has to stop first. */
static void test_drain_dead(void **state)
{
	u32 id, i, c;

	make_chains(4, 3);
	dead = 3;
	for (i = 0; i < 30; i++)
		tick();
	for (c = 0; c < 4; c++)
		assert_true(serving(&lead->chains[c]) >= 2);
	id = begin(MGR_JOB_DRAIN_NODE, mgr_target_find(lead, 30)->node, 0)->id;
	finish(id, 2, false);
	assert_int_equal(on_node(3), 0);
	all_have(3);
}

/* c3 runs on the machine of c1, which has no label of its own: c1's chains do not go there. */
static void test_drain_host(void **state)
{
	u32 id, i;

	make_chains(1, 2);
	for (i = 0; strcmp(lead->nodes[i].name, "c3"); i++)
		;
	strcpy(lead->nodes[i].host, "c1");
	lead->nodes[i].dirty = true;
	commit();
	id = begin(MGR_JOB_DRAIN_NODE, mgr_target_find(lead, 20)->node, 0)->id;
	finish(id, 2, false);
	assert_int_equal(on_node(2), 0);
	assert_int_equal(on_node(3), 0);
	all_have(2);
}

static void test_target(void **state)
{
	u32 id;

	make_chains(4, 3);
	mgr_target_drain(lead, 10, true, why, sizeof(why));
	id = begin(MGR_JOB_DRAIN_TARGET, 10, 0)->id;
	finish(id, 3, true);
	assert_int_equal(mgr_target_find(lead, 10)->chain, 0);
	assert_int_equal(mgr_job_find(lead, id)->done, 1);
	all_have(3);
}

static void test_rebalance(void **state)
{
	u32 id, i;

	make_chains(5, 3);
	nodes = 6;
	tick();
	id = begin(MGR_JOB_REBALANCE, 0, 0)->id;
	finish(id, 3, true);
	for (i = 1; i <= 6; i++)
		assert_true(on_node(i) >= 2 && on_node(i) <= 3);
	all_have(3);
	/* Once more: there is nothing to do. */
	id = begin(MGR_JOB_REBALANCE, 0, 0)->id;
	finish(id, 3, false);
	assert_int_equal(mgr_job_find(lead, id)->done, 0);
}

static void test_replicas(void **state)
{
	make_chains(5, 2);
	finish(begin(MGR_JOB_REPLICAS, 0, 3)->id, 2, true);
	all_have(3);
	finish(begin(MGR_JOB_REPLICAS, 0, 2)->id, 2, true);
	all_have(2);
	finish(begin(MGR_JOB_REPLICAS, 0, 1)->id, 1, false);
	all_have(1);
}

/* Two replicas; a move has come so far that the old target is told to go. Return: the new one. */
static u32 move_nearly_made(struct mgr_job **job)
{
	u32 i;

	make_chains(1, 2);
	mgr_target_drain(lead, 10, true, why, sizeof(why));
	*job = begin(MGR_JOB_DRAIN_TARGET, 10, 0);
	for (i = 0; i < 100 && mgr_target_find(lead, 10)->wish != MGR_WISH_DROP; i++)
		tick();
	*job = &lead->jobs[lead->nr_jobs - 1];
	assert_int_equal((*job)->nr_moves, 1);
	assert_int_equal(lead->chains[0].nr, 3);
	return (*job)->moves[0].to;
}

/* The new target fails just then: the old one stays until there is another one. */
static void test_new_one_fails(void **state)
{
	struct mgr_job *j;
	u32 id, i;

	broken = move_nearly_made(&j);
	id = j->id;
	now += SEC / 2;
	beat_of(broken / 10);
	mgr_jobs_step(lead, now);
	commit();
	assert_int_equal(mgr_target_find(lead, 10)->chain, 1);
	for (i = 0; i < 20; i++) {
		tick();
		assert_true(lead->chains[0].nr >= 2);
	}
	finish(id, 1, false);
	assert_int_equal(mgr_target_find(lead, 10)->chain, 0);
	assert_int_equal(mgr_target_find(lead, broken)->chain, 0);
	all_have(2);
}

/* The same when the old one has left: the chain keeps the new one, and it is seen that it lacks it. */
static void test_new_one_fails_late(void **state)
{
	struct mgr_job *j;
	u32 to = move_nearly_made(&j), i;

	for (i = 0; i < 4; i++) {
		now += SEC / 2;
		beat_of(1);
		now += SEC / 2;
		beat_of(2);
		beat_of(3);
		beat_of(4);
	}
	commit();
	assert_int_equal(mgr_target_find(lead, 10)->chain, 0);
	broken = to;
	beat_of(to / 10);
	assert_int_equal(mgr_target_find(lead, to)->state, FLINT_TARGET_OFFLINE);
	mgr_jobs_step(lead, now);
	commit();
	assert_int_equal(lead->chains[0].nr, 2);
	assert_int_equal(mgr_target_find(lead, to)->chain, 1);
}

/* Every target is taken: it says so, and goes on when there is room. */
static void test_no_room(void **state)
{
	struct mgr_plan plan;
	struct mgr_job *j;
	u32 id, i;

	make_chains(5, 3);
	nodes = 4;
	j = begin(MGR_JOB_REPLICAS, 0, 4);
	id = j->id;
	assert_int_equal(mgr_job_plan(lead, j, &plan, why, sizeof(why)), -ENOSPC);
	for (i = 0; i < 5; i++)
		tick();
	assert_non_null(strstr(mgr_job_find(lead, id)->why, "no free target"));
	nodes = 6;
	finish(id, 3, false);
	all_have(4);
}

static void test_cancel(void **state)
{
	struct mgr_job *j;
	u32 id, node;

	make_chains(4, 3);
	node = mgr_target_find(lead, 20)->node;
	id = begin(MGR_JOB_DRAIN_NODE, node, 0)->id;
	mgr_jobs_step(lead, now);
	j = mgr_job_find(lead, id);
	assert_int_equal(j->nr_moves, 2);
	j->state = MGR_JOB_CANCELLING;
	j->dirty = true;
	commit();
	finish(id, 3, true);
	assert_int_equal(mgr_job_find(lead, id)->state, MGR_JOB_CANCELLED);
	assert_true(on_node(2) >= 1);
	all_have(3);
}

static void test_frozen(void **state)
{
	u32 id, i;

	make_chains(4, 3);
	lead->set.frozen = true;
	lead->set.dirty = true;
	id = begin(MGR_JOB_REPLICAS, 0, 2)->id;
	for (i = 0; i < 5; i++)
		tick();
	all_have(3);
	assert_non_null(strstr(mgr_job_find(lead, id)->why, "frozen"));
	lead->set.frozen = false;
	lead->set.dirty = true;
	finish(id, 2, false);
	all_have(2);
}

/* The second waits for the first; old ones are forgotten. */
static void test_many(void **state)
{
	u32 a, b, i;

	make_chains(4, 3);
	a = begin(MGR_JOB_REPLICAS, 0, 2)->id;
	b = begin(MGR_JOB_REPLICAS, 0, 3)->id;
	finish(a, 2, false);
	assert_false(mgr_job_over(mgr_job_find(lead, b)));
	finish(b, 2, false);
	all_have(3);
	for (i = 0; i < 2 * MGR_JOBS_KEPT; i++)
		finish(begin(MGR_JOB_REBALANCE, 0, 0)->id, 3, false);
	assert_true(lead->nr_jobs <= MGR_JOBS_KEPT + 1);
	assert_null(mgr_job_find(lead, a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_target, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rebalance, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replicas, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_one_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_one_fails_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frozen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
