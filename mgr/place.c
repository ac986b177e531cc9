// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A placement table for free disks, in three steps:
 *
 * 1. Deal. The slots, sorted by failure domain, are dealt round the chains like
 *    cards. No domain has more slots than there are chains, so none comes twice
 *    into one chain: this always works, and is badly mixed.
 * 2. Mix. Two slots of different chains change places when that makes pairs of
 *    disks and pairs of servers share chains more evenly (the sum of squares
 *    falls), and by lot when it does not, less and less often: simulated
 *    annealing with integers only, so that every machine gets the same table.
 *    The search ends when the sum is as low as arithmetic allows.
 * 3. Roles. Heads, then tails, are chosen so that every disk has its share of
 *    them to within one. Such a choice always exists (each disk's share, rounded
 *    down and up, bounds a flow whose fractional solution is the even one);
 *    augmenting paths find it.
 *
 * Before 2, place_cyclic.c looks for a design that is exact by construction.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../uapi/flintfs/placement.h"
#include "place.h"
#include "place_int.h"

#define PLACE_SLOTS_MAX	4096		/* of a disk */
#define PLACE_EFFORT	1000		/* steps for each slot */
#define PLACE_STEPS_MAX	30000000ull
#define PLACE_TRIES	16		/* of small tables */
#define PLACE_SMALL	400		/* slots of such a one */

/* ---- failure domains ---------------------------------------------------- */

struct domain_key {
	u64 key;
	u32 node;
};

static int domain_cmp(const void *a, const void *b)
{
	const struct domain_key *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

u32 place_domains(const struct place_node *nodes, u32 nr_nodes, enum place_domain domain, u32 *of)
{
	struct domain_key *k = calloc(nr_nodes + 1, sizeof(*k));
	u32 i, nr = 0;

	if (!k)
		return 0;
	for (i = 0; i < nr_nodes; i++) {
		bool rack = domain == PLACE_RACK && nodes[i].rack;

		k[i].key = rack ? (1ull << 32) + nodes[i].rack : nodes[i].host;
		k[i].node = i;
	}
	qsort(k, nr_nodes, sizeof(*k), domain_cmp);
	for (i = 0; i < nr_nodes; i++) {
		nr += !i || k[i].key != k[i - 1].key;
		of[k[i].node] = nr - 1;
	}
	free(k);
	return nr;
}

/* Most chains that slots of these domains can form, no domain twice in a chain. */
static u32 place_chains_of(const u32 *slots, u32 nr_domains, u32 replicas)
{
	u64 sum = 0, lo = 0, hi, mid;
	u32 i;

	for (i = 0; i < nr_domains; i++)
		sum += slots[i];
	hi = sum / replicas;
	while (lo < hi) {
		mid = (lo + hi + 1) / 2;
		for (sum = 0, i = 0; i < nr_domains; i++)
			sum += slots[i] < mid ? slots[i] : mid;
		if (sum >= mid * replicas)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

/**
 * struct place_ground - the input, prepared
 * @domain_of: of each node
 * @take: slots of each disk that are used
 * @nr_used: domains that have slots
 */
struct place_ground {
	enum place_domain domain;
	u32 *domain_of;
	u32 *take;
	u32 nr_domains, nr_used, nr_chains, slots;
};

static void place_ground_free(struct place_ground *g)
{
	free(g->domain_of);
	free(g->take);
}

static int place_ground_try(const struct place_input *in, enum place_domain domain,
			    struct place_ground *g)
{
	u32 *slots, i;

	*g = (struct place_ground){ .domain = domain };
	g->domain_of = calloc(in->nr_nodes + 1, sizeof(u32));
	g->take = calloc(in->nr_disks + 1, sizeof(u32));
	slots = calloc(in->nr_nodes + 1, sizeof(u32));
	if (!g->domain_of || !g->take || !slots)
		goto fail;
	g->nr_domains = place_domains(in->nodes, in->nr_nodes, domain, g->domain_of);
	if (!g->nr_domains && in->nr_nodes)
		goto fail;
	for (i = 0; i < in->nr_disks; i++) {
		slots[g->domain_of[in->disks[i].node]] += in->disks[i].slots;
		g->slots += in->disks[i].slots;
	}
	g->nr_chains = place_chains_of(slots, g->nr_domains, in->replicas);
	for (i = 0; i < g->nr_domains; i++)
		g->nr_used += slots[i] != 0;
	free(slots);
	return 0;
fail:
	free(slots);
	place_ground_free(g);
	return -ENOMEM;
}

static int place_ground(const struct place_input *in, struct place_ground *g, char *why,
			size_t whylen)
{
	struct place_ground hosts;
	int ret = place_ground_try(in, in->domain == PLACE_RACK ? PLACE_RACK : PLACE_HOST, g);

	if (!ret && in->domain == PLACE_AUTO) {
		hosts = *g;
		ret = place_ground_try(in, PLACE_RACK, g);
		if (!ret && g->nr_used < hosts.nr_used && g->nr_used >= in->replicas &&
		    g->nr_chains >= hosts.nr_chains) {
			place_ground_free(&hosts);
		} else {
			if (!ret)
				place_ground_free(g);
			*g = hosts;
			ret = 0;
		}
	}
	if (ret) {
		snprintf(why, whylen, "out of memory");
		return ret;
	}
	if (g->nr_chains)
		return 0;
	if (g->slots && g->nr_used < in->replicas)
		snprintf(why, whylen,
			 "%u replicas need as many %s, and there are %u with free targets: add some, or ask for fewer replicas",
			 in->replicas, g->domain == PLACE_RACK ? "racks" : "machines",
			 g->nr_used);
	else
		snprintf(why, whylen,
			 "the free targets do not make one chain of %u replicas on different %s: add targets, or ask for fewer replicas",
			 in->replicas, g->domain == PLACE_RACK ? "racks" : "machines");
	place_ground_free(g);
	return -ENOSPC;
}

/* ---- dealing ------------------------------------------------------------ */

/*
 * Which slots are used: no domain more than there are chains, together exactly
 * chains times replicas; what is too much is taken from the fullest disks.
 */
static int place_take(const struct place_input *in, struct place_ground *g)
{
	u32 *sum = calloc(g->nr_domains + 1, sizeof(u32)), i, fullest, d;
	u64 total = 0, want = (u64)g->nr_chains * in->replicas;

	if (!sum)
		return -ENOMEM;
	for (i = 0; i < in->nr_disks; i++) {
		g->take[i] = in->disks[i].slots;
		sum[g->domain_of[in->disks[i].node]] += g->take[i];
		total += g->take[i];
	}
	for (;;) {
		/* The domain that has too many, else the largest while the total is too large. */
		for (d = 0, i = 1; i < g->nr_domains; i++)
			if (sum[i] > sum[d])
				d = i;
		if (sum[d] <= g->nr_chains && total <= want)
			break;
		for (fullest = PLACE_NONE, i = 0; i < in->nr_disks; i++)
			if (g->domain_of[in->disks[i].node] == d &&
			    (fullest == PLACE_NONE || g->take[i] > g->take[fullest]))
				fullest = i;
		g->take[fullest]--;
		sum[d]--;
		total--;
	}
	free(sum);
	return 0;
}

/* Deal the slots round the chains, domain by domain. */
static int place_deal(const struct place_input *in, const struct place_ground *g, u32 *member,
		      u64 *rng)
{
	struct domain_key *key = calloc(in->nr_disks + 1, sizeof(*key));
	u32 *lot = calloc(g->nr_domains + 1, sizeof(u32));
	u32 i, k, at = 0;

	if (!key || !lot) {
		free(key);
		free(lot);
		return -ENOMEM;
	}
	for (i = 0; i < g->nr_domains; i++)
		lot[i] = flint_splitmix64(rng) >> 40;
	for (i = 0; i < in->nr_disks; i++) {
		u32 d = g->domain_of[in->disks[i].node];

		key[i].key = (u64)lot[d] << 40 | (u64)(d & 0xffffff) << 16 |
			     flint_splitmix64(rng) >> 48;
		key[i].node = i;
	}
	qsort(key, in->nr_disks, sizeof(*key), domain_cmp);
	for (i = 0; i < in->nr_disks; i++)
		for (k = 0; k < g->take[key[i].node]; k++, at++)
			member[at % g->nr_chains * in->replicas + at / g->nr_chains] = key[i].node;
	free(key);
	free(lot);
	return 0;
}

/* ---- the table ---------------------------------------------------------- */

static int place_try(const struct place_input *in, const struct place_ground *g,
		     struct place_mix *mix, u64 seed, u32 *member)
{
	int ret;

	ret = place_deal(in, g, member, &seed);
	return ret ? ret : place_mix(mix, member, &seed);
}

/* Small tables are tried several times: the best one counts. */
static int place_search(const struct place_input *in, const struct place_ground *g,
			struct place_table *t)
{
	u32 nr = g->nr_chains * in->replicas, tries = nr <= PLACE_SMALL ? PLACE_TRIES : 1, i;
	struct place_mix mix = {
		.disks = in->disks, .nr_disks = in->nr_disks, .nr_nodes = in->nr_nodes,
		.domain_of = g->domain_of, .take = g->take, .nr_chains = g->nr_chains,
		.replicas = in->replicas,
	};
	u32 *member = calloc(nr, sizeof(u32));
	u64 best = ~0ull, steps = (u64)nr * (in->effort ? in->effort : PLACE_EFFORT);
	int ret = member ? 0 : -ENOMEM;

	mix.steps = steps < PLACE_STEPS_MAX ? steps : PLACE_STEPS_MAX;
	for (i = 0; i < tries && !ret && !t->exact; i++) {
		ret = place_try(in, g, &mix, in->seed + i, member);
		if (ret || mix.cost >= best)
			continue;
		best = mix.cost;
		t->exact = mix.cost == mix.bound;
		memcpy(t->member, member, nr * sizeof(u32));
	}
	free(member);
	return ret;
}

/**
 * place_compute() - make a table
 * @in: the free disks and what is wished
 * @out: result; place_table_free() afterwards
 * @why: one sentence when there is none
 *
 * Takes seconds for tens of thousands of slots.
 *
 * Return: 0; -EINVAL; -ENOSPC: no chain can be made of these disks; -ENOMEM.
 */
int place_compute(const struct place_input *in, struct place_table *out, char *why, size_t whylen)
{
	struct place_ground g;
	int ret;
	u32 i;

	memset(out, 0, sizeof(*out));
	if (in->replicas < 1 || in->replicas > PLACE_REPLICAS_MAX) {
		snprintf(why, whylen, "a chain has 1 to %d replicas, not %u", PLACE_REPLICAS_MAX,
			 in->replicas);
		return -EINVAL;
	}
	for (i = 0; i < in->nr_disks; i++)
		if (in->disks[i].node >= in->nr_nodes || in->disks[i].slots > PLACE_SLOTS_MAX) {
			snprintf(why, whylen, "disk %u names no server, or has over %u targets", i,
				 PLACE_SLOTS_MAX);
			return -EINVAL;
		}
	ret = place_ground(in, &g, why, whylen);
	if (ret)
		return ret;
	out->replicas = in->replicas;
	out->nr_chains = g.nr_chains;
	out->domain = g.domain;
	out->unused = g.slots - g.nr_chains * in->replicas;
	out->member = calloc((size_t)g.nr_chains * in->replicas, sizeof(u32));
	ret = out->member ? place_take(in, &g) : -ENOMEM;
	if (!ret && !place_cyclic(in, g.domain_of, g.take, g.nr_chains, out->member))
		out->exact = true;
	else if (!ret)
		ret = place_search(in, &g, out);
	if (!ret)
		ret = place_roles(out->member, out->nr_chains, out->replicas, in->nr_disks);
	if (!ret)
		ret = place_order(in, out->nr_chains, out->member);
	place_ground_free(&g);
	if (ret) {
		snprintf(why, whylen, "out of memory");
		place_table_free(out);
	}
	return ret;
}

void place_table_free(struct place_table *t)
{
	free(t->member);
	memset(t, 0, sizeof(*t));
}
