// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Moving chains that hold data: away from disks that are to be emptied, towards
 * disks that are new, up to or down to a number of replicas.
 *
 * The plan is a list of single steps, each of which leaves every chain with at
 * least the replicas it had or is to have: a target joins at the tail, then
 * another leaves. Steps are chosen greedily: the fullest disk gives to the
 * emptiest that a chain of it may go to, and among equals to the one that the
 * chain's other disks share fewest chains with. A host never gets two replicas
 * of a chain; another rack is preferred where racks are known.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../uapi/flintfs/placement.h"
#include "place_int.h"

/* What a shared rack weighs against chains shared with partners. */
#define PLAN_RACK_COST	64
#define PLAN_TRIES	32
#define PLAN_WORTH	.97		/* a chain moves only to a disk that stays emptier by this */

/**
 * struct plan - chains as they will be after the steps so far
 * @member: of chain c at [c * PLACE_REPLICAS_MAX], @nr of them
 * @used, @load: slots taken, bytes, of each disk
 * @settled: a disk that has nothing more to give
 * @order: in which chains are looked at: where slots are scarce it decides
 */
struct plan {
	const struct place_moves *in;
	const struct place_chains *c;
	u32 *member, *nr;
	u32 *used;
	double *load;
	bool *settled;
	u32 *host, *rack;
	u32 *order;
	struct place_pairs pairs;
	struct place_move *out;
	u32 nr_out, room;
};

static double plan_weight(const struct plan *p, u32 chain)
{
	return p->in->weight ? (double)p->in->weight[chain] : 1;
}

static double plan_fill(const struct plan *p, u32 disk, double more)
{
	return (p->load[disk] + more) / p->c->disks[disk].slots;
}

static bool plan_leaves(const struct plan *p, u32 disk)
{
	return p->in->leave && p->in->leave[disk];
}

static void plan_count(struct plan *p, u32 chain, u32 disk, int by)
{
	const u32 *m = p->member + (size_t)chain * PLACE_REPLICAS_MAX;
	u32 i;

	for (i = 0; i < p->nr[chain]; i++)
		if (m[i] != disk)
			place_pairs_add(&p->pairs, m[i], disk, by);
	p->used[disk] += by;
	p->load[disk] += by * plan_weight(p, chain);
}

/* Make a step of the plan. Return: 0, -ENOMEM. */
static int plan_step(struct plan *p, u32 chain, u32 from, u32 to)
{
	u32 *m = p->member + (size_t)chain * PLACE_REPLICAS_MAX, i;
	struct place_move *out;

	if (p->nr_out == p->room) {
		out = realloc(p->out, (p->room * 2 + 64) * sizeof(*out));
		if (!out)
			return -ENOMEM;
		p->out = out;
		p->room = p->room * 2 + 64;
	}
	p->out[p->nr_out++] = (struct place_move){ .chain = chain, .from = from, .to = to };
	if (from != PLACE_NONE) {
		for (i = 0; m[i] != from; i++)
			;
		p->nr[chain]--;
		memmove(&m[i], &m[i + 1], (p->nr[chain] - i) * sizeof(*m));
		plan_count(p, chain, from, -1);
	}
	if (to != PLACE_NONE) {
		plan_count(p, chain, to, 1);
		m[p->nr[chain]++] = to;
	}
	return 0;
}

/*
 * What it costs the evenness of pairs if @to takes a place in the chain that
 * @from leaves. Return: -1: it may not.
 */
static s64 plan_cost(const struct plan *p, u32 chain, u32 from, u32 to)
{
	const u32 *m = p->member + (size_t)chain * PLACE_REPLICAS_MAX;
	const struct place_disk *disks = p->c->disks;
	s64 cost = 0;
	u32 i;

	if (plan_leaves(p, to) || p->used[to] >= disks[to].slots)
		return -1;
	for (i = 0; i < p->nr[chain]; i++) {
		if (m[i] == from)
			continue;
		if (m[i] == to || p->host[disks[m[i]].node] == p->host[disks[to].node])
			return -1;
		if (p->rack[disks[m[i]].node] == p->rack[disks[to].node]) {
			if (p->in->domain == PLACE_RACK)
				return -1;
			cost += PLAN_RACK_COST;
		}
		cost += place_pairs_get(&p->pairs, m[i], to);
	}
	return cost;
}

/* Members of @chain in the rack of @disk, without the one that @from, which leaves, is. */
static u32 plan_rackmates(const struct plan *p, u32 chain, u32 from, u32 disk)
{
	const u32 *m = p->member + (size_t)chain * PLACE_REPLICAS_MAX;
	const struct place_disk *disks = p->c->disks;
	u32 i, nr = 0;

	for (i = 0; i < p->nr[chain]; i++)
		nr += m[i] != from && p->rack[disks[m[i]].node] == p->rack[disks[disk].node];
	return nr;
}

/* Where a replica of @chain goes. Return: PLACE_NONE when nowhere. */
static u32 plan_pick(const struct plan *p, u32 chain, u32 from)
{
	double fill, best_fill = 0, w = plan_weight(p, chain);
	s64 cost, best_cost = 0;
	u32 i, best = PLACE_NONE;

	for (i = 0; i < p->c->nr_disks; i++) {
		cost = plan_cost(p, chain, from, i);
		if (cost < 0)
			continue;
		fill = plan_fill(p, i, w);
		if (best != PLACE_NONE &&
		    (cost / PLAN_RACK_COST > best_cost / PLAN_RACK_COST ||
		     (cost / PLAN_RACK_COST == best_cost / PLAN_RACK_COST &&
		      (fill > best_fill || (fill == best_fill && cost >= best_cost)))))
			continue;
		best = i;
		best_fill = fill;
		best_cost = cost;
	}
	return best;
}

/* ---- the three purposes -------------------------------------------------- */

static int plan_leave(struct plan *p, char *why, size_t whylen)
{
	u32 n, c, i, stuck = 0, to;
	int ret = 0;

	for (n = 0; n < p->c->nr_chains; n++)
		for (c = p->order[n], i = p->c->first[c]; i < p->c->first[c + 1] && !ret; i++) {
			if (!plan_leaves(p, p->c->member[i]))
				continue;
			to = plan_pick(p, c, p->c->member[i]);
			if (to == PLACE_NONE)
				stuck++;
			else
				ret = plan_step(p, c, p->c->member[i], to);
		}
	if (!stuck || ret)
		return ret;
	snprintf(why, whylen,
		 "%u replica%s no free target on another machine to go to: add targets or machines first",
		 stuck, stuck == 1 ? " has" : "s have");
	return -ENOSPC;
}

/* The replica to do without: on the fullest disk, the head only if there is no other. */
static u32 plan_victim(const struct plan *p, u32 chain)
{
	const u32 *m = p->member + (size_t)chain * PLACE_REPLICAS_MAX;
	u32 i, best = p->nr[chain] - 1;

	for (i = p->nr[chain] - 1; i > 0; i--)
		if (plan_fill(p, m[i], 0) > plan_fill(p, m[best], 0))
			best = i;
	return m[best];
}

static int plan_replicas(struct plan *p, char *why, size_t whylen)
{
	u32 n, c, to, stuck = 0;
	int ret = 0;

	for (n = 0; n < p->c->nr_chains && !ret; n++) {
		c = p->order[n];
		while (p->nr[c] > p->in->replicas && !ret)
			ret = plan_step(p, c, plan_victim(p, c), PLACE_NONE);
		while (p->nr[c] && p->nr[c] < p->in->replicas && !ret) {
			to = plan_pick(p, c, PLACE_NONE);
			if (to == PLACE_NONE) {
				stuck++;
				break;
			}
			ret = plan_step(p, c, PLACE_NONE, to);
		}
	}
	if (!stuck || ret)
		return ret;
	snprintf(why, whylen,
		 "%u chain%s no free target on another machine for %u replicas: add targets or machines first",
		 stuck, stuck == 1 ? " has" : "s have", p->in->replicas);
	return -ENOSPC;
}

/*
 * The best chain to take from @disk: one that shares no more racks afterwards, because
 * evenness is not worth what the loss of a rack would take. Return: false: none makes
 * things better.
 */
static bool plan_give(const struct plan *p, u32 disk, u32 *chain, u32 *to)
{
	double best_fill = 0, fill, w;
	s64 best_cost = 0, cost;
	bool found = false;
	u32 c, i, j;

	for (c = 0; c < p->c->nr_chains; c++) {
		const u32 *m = p->member + (size_t)c * PLACE_REPLICAS_MAX;

		for (i = 0; i < p->nr[c] && m[i] != disk; i++)
			;
		if (i == p->nr[c])
			continue;
		w = plan_weight(p, c);
		for (j = 0; j < p->c->nr_disks; j++) {
			fill = plan_fill(p, j, w);
			if (j == disk || p->used[j] >= p->c->disks[j].slots ||
			    fill >= plan_fill(p, disk, 0) * PLAN_WORTH || (found && fill > best_fill))
				continue;
			cost = plan_cost(p, c, disk, j);
			if (cost < 0 || (found && fill == best_fill && cost >= best_cost) ||
			    plan_rackmates(p, c, disk, j) > plan_rackmates(p, c, disk, disk))
				continue;
			found = true;
			*chain = c;
			*to = j;
			best_fill = fill;
			best_cost = cost;
		}
	}
	return found;
}

static int plan_balance(struct plan *p)
{
	u32 disk, i, chain, to;
	int ret = 0;

	while (!ret) {
		for (disk = PLACE_NONE, i = 0; i < p->c->nr_disks; i++)
			if (!p->settled[i] && p->used[i] &&
			    (disk == PLACE_NONE || plan_fill(p, i, 0) > plan_fill(p, disk, 0)))
				disk = i;
		if (disk == PLACE_NONE)
			break;
		if (plan_give(p, disk, &chain, &to))
			ret = plan_step(p, chain, disk, to);
		else
			p->settled[disk] = true;
	}
	return ret;
}

/* ---- */

static int plan_open(struct plan *p, const struct place_moves *in, u64 seed)
{
	const struct place_chains *c = in->c;
	u32 i, j, t;

	*p = (struct plan){ .in = in, .c = c };
	p->member = calloc((size_t)c->nr_chains * PLACE_REPLICAS_MAX + 1, sizeof(u32));
	p->nr = calloc(c->nr_chains + 1, sizeof(u32));
	p->used = calloc(c->nr_disks + 1, sizeof(u32));
	p->load = calloc(c->nr_disks + 1, sizeof(double));
	p->settled = calloc(c->nr_disks + 1, sizeof(bool));
	p->order = calloc(c->nr_chains + 1, sizeof(u32));
	p->host = calloc(c->nr_nodes + 1, sizeof(u32));
	p->rack = calloc(c->nr_nodes + 1, sizeof(u32));
	if (!p->member || !p->nr || !p->used || !p->load || !p->settled || !p->order || !p->host ||
	    !p->rack || place_pairs_init(&p->pairs, c->nr_disks, 8ull * c->first[c->nr_chains] + 1))
		return -ENOMEM;
	if (c->nr_nodes && (!place_domains(c->nodes, c->nr_nodes, PLACE_HOST, p->host) ||
			    !place_domains(c->nodes, c->nr_nodes, PLACE_RACK, p->rack)))
		return -ENOMEM;
	for (i = 0; i < c->nr_chains; i++) {
		j = flint_rng_below(&seed, i + 1);
		t = i;
		p->order[i] = p->order[j];
		p->order[j] = t;
	}
	for (i = 0; i < c->nr_chains; i++)
		for (j = c->first[i]; j < c->first[i + 1] && p->nr[i] < PLACE_REPLICAS_MAX; j++) {
			plan_count(p, i, c->member[j], 1);
			p->member[(size_t)i * PLACE_REPLICAS_MAX + p->nr[i]++] = c->member[j];
		}
	return 0;
}

static void plan_close(struct plan *p)
{
	free(p->member);
	free(p->nr);
	free(p->used);
	free(p->load);
	free(p->settled);
	free(p->order);
	free(p->host);
	free(p->rack);
	place_pairs_free(&p->pairs);
}

static int plan_try(struct plan *p, const struct place_moves *in, u64 seed, char *why,
		    size_t whylen)
{
	int ret = plan_open(p, in, seed);

	if (!ret && in->leave)
		ret = plan_leave(p, why, whylen);
	else if (!ret && in->replicas)
		ret = plan_replicas(p, why, whylen);
	else if (!ret)
		ret = plan_balance(p);
	plan_close(p);
	if (ret) {
		free(p->out);
		p->out = NULL;
	}
	return ret;
}

int place_plan(const struct place_moves *in, struct place_move **out, char *why, size_t whylen)
{
	struct plan p;
	int ret = -ENOSPC;
	u32 try;

	/* Where every slot is needed a greedy plan may run into a corner: look again. */
	for (try = 0; try < PLAN_TRIES && ret == -ENOSPC; try++)
		ret = plan_try(&p, in, in->seed + try, why, whylen);
	if (ret == -ENOMEM)
		snprintf(why, whylen, "out of memory");
	*out = ret ? NULL : p.out;
	return ret ? ret : (int)p.nr_out;
}
