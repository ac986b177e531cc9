// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Placement tables of many shapes: what must hold for every one of them, the
 * designs that are known to exist, the arithmetic of failures, and plans that
 * move chains.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mgr/place.h"
#include "uapi/flintfs/placement.h"

/**
 * struct ground - disks to make tables of
 */
struct ground {
	struct place_disk *disks;
	struct place_node *nodes;
	u32 nr_disks, nr_nodes;
};

static struct ground ground_make(u32 nodes, u32 per_node, u32 slots, u32 racks)
{
	struct ground g = { .nr_nodes = nodes, .nr_disks = nodes * per_node };
	u32 i;

	g.nodes = calloc(nodes + 1, sizeof(*g.nodes));
	g.disks = calloc(g.nr_disks + 1, sizeof(*g.disks));
	assert_true(g.nodes && g.disks);
	for (i = 0; i < nodes; i++)
		g.nodes[i] = (struct place_node){ .host = i, .rack = racks ? 1 + i % racks : 0 };
	for (i = 0; i < g.nr_disks; i++)
		g.disks[i] = (struct place_disk){ .node = i / per_node, .slots = slots };
	return g;
}

static void ground_free(struct ground *g)
{
	free(g->disks);
	free(g->nodes);
}

static struct place_input input_of(const struct ground *g, u32 replicas)
{
	return (struct place_input){
		.disks = g->disks, .nr_disks = g->nr_disks, .nodes = g->nodes,
		.nr_nodes = g->nr_nodes, .replicas = replicas, .seed = 1,
	};
}

/* Chains as place_check.c and place_move.c want them. */
static u32 *firsts(u32 nr_chains, u32 replicas)
{
	u32 *first = calloc(nr_chains + 1, sizeof(u32)), i;

	assert_non_null(first);
	for (i = 0; i <= nr_chains; i++)
		first[i] = i * replicas;
	return first;
}

static struct place_chains chains_of(const struct ground *g, const struct place_table *t,
				     const u32 *first)
{
	return (struct place_chains){
		.disks = g->disks, .nr_disks = g->nr_disks, .nodes = g->nodes,
		.nr_nodes = g->nr_nodes, .nr_chains = t->nr_chains, .first = first,
		.member = t->member,
	};
}

/* No slot twice, no domain twice in a chain, as many chains as told. */
static void check_table(const struct ground *g, const struct place_table *t)
{
	u32 *used = calloc(g->nr_disks + 1, sizeof(u32)), i, j, k, all = 0;

	assert_non_null(used);
	for (i = 0; i < t->nr_chains; i++)
		for (j = 0; j < t->replicas; j++) {
			u32 a = t->member[i * t->replicas + j];

			assert_true(a < g->nr_disks);
			assert_true(++used[a] <= g->disks[a].slots);
			for (k = 0; k < j; k++) {
				u32 b = t->member[i * t->replicas + k];
				const struct place_node *x = &g->nodes[g->disks[a].node];
				const struct place_node *y = &g->nodes[g->disks[b].node];

				assert_true(x->host != y->host);
				if (t->domain == PLACE_RACK && x->rack)
					assert_true(x->rack != y->rack);
			}
		}
	for (i = 0; i < g->nr_disks; i++)
		all += g->disks[i].slots;
	assert_int_equal(all - t->nr_chains * t->replicas, t->unused);
	free(used);
}

static void roles_even(const struct place_summary *s, u32 slots, u32 replicas)
{
	if (replicas < 2)
		return;
	assert_true(s->heads[0] >= slots / replicas);
	assert_true(s->heads[1] <= (slots + replicas - 1) / replicas);
	/* What is left for tails depends on how many heads a disk got. */
	assert_true(s->tails[0] + 1 >= slots / replicas);
	assert_true(s->tails[1] <= (slots + replicas - 1) / replicas + 1);
}

/* @effort: where only the rules are looked at, a few steps do: sanitizers make each one dear. */
static void make_effort(const struct ground *g, u32 replicas, u32 effort, struct place_table *t)
{
	struct place_input in = input_of(g, replicas);
	char why[256] = "";

	in.effort = effort;
	if (place_compute(&in, t, why, sizeof(why)))
		fail_msg("%s", why);
	check_table(g, t);
}

static void make(const struct ground *g, u32 replicas, struct place_table *t)
{
	make_effort(g, replicas, 0, t);
}

/* ---- shapes ------------------------------------------------------------- */

/* Designs that exist: every pair of disks shares the same number of chains. */
static void test_exact(void **state)
{
	static const struct { u32 v, k, r, lambda; } designs[] = {
		{ 6, 3, 5, 2 }, { 7, 3, 3, 1 }, { 9, 3, 4, 1 }, { 13, 3, 6, 1 }, { 13, 4, 4, 1 },
		{ 21, 5, 5, 1 }, { 31, 6, 6, 1 }, { 4, 3, 3, 2 }, { 4, 2, 3, 1 }, { 5, 3, 6, 3 },
		{ 11, 5, 5, 2 }, { 15, 3, 7, 1 }, { 10, 3, 9, 2 }, { 16, 4, 5, 1 }, { 3, 3, 4, 4 },
		{ 19, 3, 9, 1 }, { 8, 4, 7, 3 }, { 5, 1, 3, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(designs) / sizeof(designs[0]); i++) {
		struct ground g = ground_make(designs[i].v, 1, designs[i].r, 0);
		struct place_summary s;
		struct place_table t;
		struct place_chains c;
		u32 *first;

		make(&g, designs[i].k, &t);
		first = firsts(t.nr_chains, t.replicas);
		c = chains_of(&g, &t, first);
		assert_int_equal(place_summarize(&c, &s), 0);
		if (s.disk_pair[0] != designs[i].lambda || s.disk_pair[1] != designs[i].lambda)
			fail_msg("%u disks, %u replicas: pairs share %u to %u chains, not %u",
				 designs[i].v, designs[i].k, s.disk_pair[0], s.disk_pair[1],
				 designs[i].lambda);
		assert_true(t.exact);
		assert_int_equal(t.unused, 0);
		assert_int_equal(s.crowded, 0);
		roles_even(&s, designs[i].r, designs[i].k);
		free(first);
		place_table_free(&t);
		ground_free(&g);
	}
}

/* The example of the design notes: six disks, ten chains, a fifth more for each survivor. */
static void test_one_fifth(void **state)
{
	struct ground g = ground_make(6, 1, 5, 0);
	struct place_failure f;
	struct place_table t;
	struct place_chains c;
	double extra[6];
	u32 *first, i, j;

	make(&g, 3, &t);
	assert_int_equal(t.nr_chains, 10);
	first = firsts(t.nr_chains, 3);
	c = chains_of(&g, &t, first);
	for (i = 0; i < 12; i++) {
		assert_int_equal(place_fail(&c, i >= 6, i % 6, &f, extra), 0);
		assert_true(f.least > 0.2 - 1e-9 && f.most < 0.2 + 1e-9);
		assert_true(f.optimum > 0.2 - 1e-9 && f.optimum < 0.2 + 1e-9);
		assert_int_equal(f.survivors, 5);
		assert_int_equal(f.sources, 5);
		assert_int_equal(f.chains, 5);
		assert_int_equal(f.lost, 0);
		for (j = 0; j < 6; j++)
			assert_true(j == i % 6 ? extra[j] < 0 : extra[j] > 0.19);
	}
	free(first);
	place_table_free(&t);
	ground_free(&g);
}

/* Every small shape there is: valid, deterministic, pairs within a small distance. */
static void test_small(void **state)
{
	u32 nodes, per, slots, k;

	for (nodes = 1; nodes <= 7; nodes++)
		for (per = 1; per <= 2; per++)
			for (slots = 1; slots <= 4; slots++)
				for (k = 1; k <= 4; k++) {
					struct ground g = ground_make(nodes, per, slots, 0);
					struct place_input in = input_of(&g, k);
					struct place_table t, again;
					char why[256] = "";
					int ret;

					in.effort = 5;
					ret = place_compute(&in, &t, why, sizeof(why));
					if (nodes < k) {
						assert_int_equal(ret, -ENOSPC);
						assert_true(strstr(why, "machines") != NULL);
					} else {
						assert_int_equal(ret, 0);
						check_table(&g, &t);
						assert_true(t.unused < k);
						assert_int_equal(place_compute(&in, &again, why,
									       sizeof(why)), 0);
						assert_memory_equal(t.member, again.member,
								    t.nr_chains * k * sizeof(u32));
						place_table_free(&again);
						place_table_free(&t);
					}
					ground_free(&g);
				}
}

/* Unequal servers: one may not have more than its share of every chain. */
static void test_unequal(void **state)
{
	struct place_node nodes[5] = { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 }, { 4, 0 } };
	struct place_disk disks[6] = { { 0, 9 }, { 1, 2 }, { 2, 3 }, { 3, 1 }, { 4, 1 }, { 2, 0 } };
	struct ground g = { disks, nodes, 6, 5 };
	struct place_table t;
	u64 rng = 7;
	u32 i, j;

	/* Two servers on machine 4: five slots beside server 0's nine make three chains of 3. */
	make_effort(&g, 3, 20, &t);
	assert_int_equal(t.nr_chains, 3);
	assert_int_equal(t.unused, 7);
	place_table_free(&t);
	for (i = 0; i < 60; i++) {
		for (j = 0; j < 6; j++)
			disks[j].slots = 1 + flint_rng_below(&rng, 9);
		make_effort(&g, 1 + flint_rng_below(&rng, 4), 20, &t);
		place_table_free(&t);
	}
}

static void test_racks(void **state)
{
	struct ground g = ground_make(12, 2, 6, 4);
	struct place_input in;
	struct place_table t;
	char why[256];

	make_effort(&g, 3, 20, &t);
	assert_int_equal(t.domain, PLACE_RACK);
	place_table_free(&t);
	/* Too few racks: hosts will do, unless racks are demanded. */
	make_effort(&g, 5, 20, &t);
	assert_int_equal(t.domain, PLACE_HOST);
	place_table_free(&t);
	in = input_of(&g, 5);
	in.domain = PLACE_RACK;
	assert_int_equal(place_compute(&in, &t, why, sizeof(why)), -ENOSPC);
	assert_non_null(strstr(why, "racks"));
	ground_free(&g);
}

static void test_refused(void **state)
{
	struct ground g = ground_make(3, 1, 2, 0);
	struct place_input in = input_of(&g, 0);
	struct place_table t;
	char why[256];

	assert_int_equal(place_compute(&in, &t, why, sizeof(why)), -EINVAL);
	in.replicas = 9;
	assert_int_equal(place_compute(&in, &t, why, sizeof(why)), -EINVAL);
	in.replicas = 3;
	g.disks[1].node = 3;
	assert_int_equal(place_compute(&in, &t, why, sizeof(why)), -EINVAL);
	in.nr_disks = 0;
	assert_int_equal(place_compute(&in, &t, why, sizeof(why)), -ENOSPC);
	ground_free(&g);
}

/* Neighbours in the table use different disks: every run of chains is spread. */
static void test_order(void **state)
{
	struct ground g = ground_make(12, 1, 6, 0);
	struct place_table t;
	u32 c, i, j, used[12];

	make(&g, 3, &t);
	for (c = 0; c + 8 <= t.nr_chains; c++) {
		memset(used, 0, sizeof(used));
		for (i = c; i < c + 8; i++)
			for (j = 0; j < 3; j++)
				used[t.member[i * 3 + j]]++;
		for (i = 0; i < 12; i++)
			assert_true(used[i] <= 5);
	}
	place_table_free(&t);
	ground_free(&g);
	g = ground_make(4, 1, 5, 0);
	make(&g, 1, &t);
	for (c = 0; c + 4 <= t.nr_chains; c += 4)
		for (i = c; i < c + 4; i++)
			for (j = c; j < i; j++)
				assert_true(t.member[i] != t.member[j]);
	place_table_free(&t);
	ground_free(&g);
}

/* ---- large -------------------------------------------------------------- */

static void large(u32 nodes, u32 per, u32 slots, u32 effort, u32 disk_most, u32 node_most)
{
	struct ground g = ground_make(nodes, per, slots, 0);
	struct place_input in = input_of(&g, 3);
	struct place_summary s;
	struct place_table t;
	struct place_chains c;
	char why[256];
	u32 *first;

	in.effort = effort;
	assert_int_equal(place_compute(&in, &t, why, sizeof(why)), 0);
	check_table(&g, &t);
	first = firsts(t.nr_chains, 3);
	c = chains_of(&g, &t, first);
	assert_int_equal(place_summarize(&c, &s), 0);
	print_message("%u servers: pairs of disks share up to %u chains, of servers %u to %u\n",
		      nodes, s.disk_pair[1], s.node_pair[0], s.node_pair[1]);
	assert_true(s.disk_pair[1] <= disk_most);
	assert_true(s.node_pair[1] <= node_most);
	roles_even(&s, slots, 3);
	free(first);
	place_table_free(&t);
	ground_free(&g);
}

static void test_large(void **state)
{
	large(180, 16, 6, 30, 2, 3);
	large(1000, 16, 3, 3, 2, 2);
}

/* ---- plans -------------------------------------------------------------- */

/**
 * struct world - chains that a plan is carried out upon
 */
struct world {
	struct ground g;
	struct place_table t;
	u32 *first;
	struct place_chains c;
	u32 member[4096][8], nr[4096];
};

static void world_make(struct world *w, u32 nodes, u32 per, u32 slots, u32 racks, u32 replicas)
{
	w->g = ground_make(nodes, per, slots, racks);
	make(&w->g, replicas, &w->t);
	w->first = firsts(w->t.nr_chains, replicas);
	w->c = chains_of(&w->g, &w->t, w->first);
}

static void world_free(struct world *w)
{
	free(w->first);
	place_table_free(&w->t);
	ground_free(&w->g);
}

/* Do the steps as the managers would: join first, leave afterwards; never two in one host. */
static void world_carry_out(struct world *w, const struct place_move *m, int nr, u32 *used)
{
	u32 c, i, j, k;

	memset(used, 0, w->g.nr_disks * sizeof(u32));
	for (c = 0; c < w->t.nr_chains; c++)
		for (w->nr[c] = 0, i = w->first[c]; i < w->first[c + 1]; i++) {
			used[w->t.member[i]]++;
			w->member[c][w->nr[c]++] = w->t.member[i];
		}
	for (k = 0; (int)k < nr; k++) {
		u32 *v = w->member[c = m[k].chain];

		if (m[k].to != PLACE_NONE) {
			assert_true(++used[m[k].to] <= w->g.disks[m[k].to].slots);
			v[w->nr[c]++] = m[k].to;
		}
		if (m[k].from != PLACE_NONE) {
			for (i = 0; i < w->nr[c] && v[i] != m[k].from; i++)
				;
			assert_true(i < w->nr[c]);
			memmove(&v[i], &v[i + 1], (--w->nr[c] - i) * sizeof(*v));
			used[m[k].from]--;
		}
		for (i = 0; i < w->nr[c]; i++)
			for (j = 0; j < i; j++)
				assert_true(w->g.disks[v[i]].node != w->g.disks[v[j]].node);
	}
}

static void test_drain(void **state)
{
	struct place_moves in = { .seed = 1 };
	bool leave[32] = { false };
	struct place_move *m;
	static struct world w;
	char why[256] = "";
	u32 used[32], i;
	int nr;

	world_make(&w, 6, 1, 4, 0, 3);
	in.c = &w.c;
	in.leave = leave;
	leave[2] = true;
	/* Every slot is taken: nowhere to go. */
	assert_int_equal(place_plan(&in, &m, why, sizeof(why)), -ENOSPC);
	assert_non_null(strstr(why, "4 replicas have no free target"));
	for (i = 0; i < 6; i++)
		w.g.disks[i].slots = 6;
	nr = place_plan(&in, &m, why, sizeof(why));
	assert_int_equal(nr, 4);
	world_carry_out(&w, m, nr, used);
	assert_int_equal(used[2], 0);
	for (i = 0; i < 6; i++)
		assert_true(i == 2 || (used[i] >= 4 && used[i] <= 5));
	free(m);
	world_free(&w);
}

/* Other servers of one disk with eight targets each, for the same chains. */
static void world_ground(struct world *w, u32 nodes, u32 racks)
{
	ground_free(&w->g);
	w->g = ground_make(nodes, 1, 8, racks);
	w->c.disks = w->g.disks;
	w->c.nodes = w->g.nodes;
	w->c.nr_disks = w->c.nr_nodes = nodes;
}

static void test_rebalance(void **state)
{
	struct place_moves in = { .seed = 1 };
	struct place_move *m;
	static struct world w;
	char why[256] = "";
	u32 used[32], i;
	int nr;

	/* Eight disks, two of them just added. */
	world_make(&w, 6, 1, 8, 0, 3);
	in.c = &w.c;
	world_ground(&w, 8, 0);
	nr = place_plan(&in, &m, why, sizeof(why));
	assert_int_equal(nr, 12);
	world_carry_out(&w, m, nr, used);
	for (i = 0; i < 8; i++)
		assert_int_equal(used[i], 6);
	free(m);
	world_free(&w);
}

/* A server is added to one of two racks: it relieves those of its rack, and no chain comes into one. */
static void test_rebalance_racks(void **state)
{
	struct place_moves in = { .seed = 1 };
	struct place_move *m;
	static struct world w;
	char why[256] = "";
	u32 used[32], i;
	int nr;

	world_make(&w, 4, 1, 8, 2, 2);
	assert_int_equal(w.t.domain, PLACE_RACK);
	in.c = &w.c;
	world_ground(&w, 5, 2);
	nr = place_plan(&in, &m, why, sizeof(why));
	assert_int_equal(nr, 5);
	world_carry_out(&w, m, nr, used);
	assert_int_equal(used[4], 5);
	for (i = 0; i < w.t.nr_chains; i++)
		assert_int_not_equal(w.g.nodes[w.g.disks[w.member[i][0]].node].rack,
				     w.g.nodes[w.g.disks[w.member[i][1]].node].rack);
	free(m);
	world_free(&w);
}

static void test_replicas(void **state)
{
	struct place_moves in = { .seed = 1 };
	struct place_move *m;
	static struct world w;
	char why[256] = "";
	u32 used[32], i;
	int nr;

	world_make(&w, 5, 2, 4, 0, 2);
	in.c = &w.c;
	in.replicas = 3;
	assert_int_equal(place_plan(&in, &m, why, sizeof(why)), -ENOSPC);
	for (i = 0; i < 10; i++)
		w.g.disks[i].slots = 6;
	nr = place_plan(&in, &m, why, sizeof(why));
	assert_int_equal(nr, 20);
	world_carry_out(&w, m, nr, used);
	for (i = 0; i < 20; i++)
		assert_int_equal(w.nr[i], 3);
	for (i = 0; i < 10; i++)
		assert_int_equal(used[i], 6);
	free(m);
	in.replicas = 1;
	nr = place_plan(&in, &m, why, sizeof(why));
	assert_int_equal(nr, 20);
	world_carry_out(&w, m, nr, used);
	for (i = 0; i < 20; i++) {
		assert_int_equal(w.nr[i], 1);
		assert_int_equal(w.member[i][0], w.t.member[2 * i]);	/* the head stays */
	}
	free(m);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_one_fifth),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_unequal),
		cmocka_unit_test(test_racks),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_rebalance),
		cmocka_unit_test(test_rebalance_racks),
		cmocka_unit_test(test_replicas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
