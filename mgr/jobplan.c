// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a job has still to do: the managers' records as disks and chains for
 * placement (place.h), its plan back as moves of targets.
 *
 * To placement all targets of a server are one disk with as many slots, because
 * free targets are alike and a target holds one chain; a target that is to be
 * emptied alone is a disk of its own. Draining servers and targets offer no slot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chainstate.h"
#include "place.h"
#include "state.h"

/**
 * struct ground - the state as placement sees it
 * @disk_of: by index of the target
 * @taken: targets that this plan has given away
 * @bytes: of each chain. Chains count alike when they are spread: what they hold
 *	changes while they move, and a plan that followed it would not end
 */
struct ground {
	struct mgr_state *st;
	struct place_disk *disks;
	struct place_node *nodes;
	u32 nr_disks;
	u32 *disk_of;
	bool *leave, *taken;
	u32 *first, *member;
	u64 *bytes;
};

static void ground_free(struct ground *g)
{
	free(g->disks);
	free(g->nodes);
	free(g->disk_of);
	free(g->leave);
	free(g->taken);
	free(g->first);
	free(g->member);
	free(g->bytes);
}

static bool target_free(struct mgr_state *st, const struct mgr_target *t)
{
	char err[8];

	return !mgr_target_fit(st, t->id, err, sizeof(err)) && !mgr_target_draining(st, t);
}

/* The machine a server runs on: its own, which is called as it is, unless told otherwise. */
static const char *node_host(const struct mgr_node *n)
{
	return n->host[0] ? n->host : n->name;
}

/* The first server of the same machine. */
static u32 host_number(const struct mgr_state *st, u32 node)
{
	u32 i;

	for (i = 0; strcmp(node_host(&st->nodes[i]), node_host(&st->nodes[node])); i++)
		;
	return i;
}

/* The first server of the same rack, from 1; 0: it is not known. */
static u32 rack_number(const struct mgr_state *st, u32 node)
{
	u32 i;

	if (!st->nodes[node].rack[0])
		return 0;
	for (i = 0; strcmp(st->nodes[i].rack, st->nodes[node].rack); i++)
		;
	return i + 1;
}

/* Servers are disks 0 .. nr_nodes - 1; a target alone is one behind them. */
static void ground_disks(struct ground *g, const struct mgr_job *job)
{
	struct mgr_state *st = g->st;
	u32 i, n;

	for (i = 0; i < st->nr_nodes; i++) {
		const struct mgr_node *node = &st->nodes[i];

		g->disks[i].node = i;
		g->nodes[i] = (struct place_node){
			.host = host_number(st, i), .rack = rack_number(st, i),
		};
		g->leave[i] = job->kind == MGR_JOB_DRAIN_NODE && node->id == job->subject;
	}
	g->nr_disks = st->nr_nodes + 1;
	g->leave[st->nr_nodes] = job->kind == MGR_JOB_DRAIN_TARGET;
	for (i = 0; i < st->nr_targets; i++) {
		const struct mgr_target *t = &st->targets[i];

		for (n = 0; n < st->nr_nodes && st->nodes[n].id != t->node; n++)
			;
		if (n == st->nr_nodes)
			n = 0;
		if (job->kind == MGR_JOB_DRAIN_TARGET && t->id == job->subject) {
			g->disks[st->nr_nodes].node = n;
			n = st->nr_nodes;
		}
		g->disk_of[i] = n;
		g->disks[n].slots += t->chain || target_free(st, t);
	}
}

/* Is this member about to leave by a move under way? */
static bool ground_leaving(const struct mgr_job *job, const struct mgr_target *t)
{
	u32 i;

	for (i = 0; i < job->nr_moves; i++)
		if (job->moves[i].from == t->id && job->moves[i].chain == t->chain)
			return true;
	return t->wish == MGR_WISH_DROP;
}

static void ground_chains(struct ground *g, const struct mgr_job *job)
{
	struct mgr_state *st = g->st;
	u32 c, i, nr = 0;

	for (c = 0; c < st->nr_chains; c++) {
		const struct mgr_chain *ch = &st->chains[c];

		for (i = 0; i < ch->nr; i++) {
			const struct mgr_target *t = mgr_target_find(st, ch->targets[i]);

			if (g->bytes[c] < t->live.used)
				g->bytes[c] = t->live.used;
			if (!ground_leaving(job, t))
				g->member[nr++] = g->disk_of[t - st->targets];
		}
		g->first[c + 1] = nr;
	}
}

static int ground_make(struct ground *g, struct mgr_state *st, const struct mgr_job *job)
{
	*g = (struct ground){ .st = st };
	g->disks = calloc(st->nr_nodes + 1, sizeof(*g->disks));
	g->nodes = calloc(st->nr_nodes + 1, sizeof(*g->nodes));
	g->leave = calloc(st->nr_nodes + 1, sizeof(bool));
	g->disk_of = calloc(st->nr_targets + 1, sizeof(u32));
	g->taken = calloc(st->nr_targets + 1, sizeof(bool));
	g->first = calloc(st->nr_chains + 2, sizeof(u32));
	g->member = calloc((size_t)st->nr_chains * FLINT_CHAIN_MAX + 1, sizeof(u32));
	g->bytes = calloc(st->nr_chains + 1, sizeof(u64));
	if (!g->disks || !g->nodes || !g->leave || !g->disk_of || !g->taken || !g->first ||
	    !g->member || !g->bytes) {
		ground_free(g);
		return -ENOMEM;
	}
	ground_disks(g, job);
	ground_chains(g, job);
	return 0;
}

/* The chain's member on @disk, 0: none. */
static u32 ground_member(const struct ground *g, const struct mgr_job *job, u32 chain, u32 disk)
{
	const struct mgr_chain *c = &g->st->chains[chain];
	u32 i;

	for (i = 0; i < c->nr && disk != PLACE_NONE; i++) {
		const struct mgr_target *t = mgr_target_find(g->st, c->targets[i]);

		if (g->disk_of[t - g->st->targets] == disk && !ground_leaving(job, t))
			return t->id;
	}
	return 0;
}

/* A free target of @disk, the emptiest that holds @need if there is one. 0: none. */
static u32 ground_target(struct ground *g, u32 disk, u64 need)
{
	u32 i, best = g->st->nr_targets;

	for (i = 0; i < g->st->nr_targets && disk != PLACE_NONE; i++) {
		const struct mgr_target *t = &g->st->targets[i];
		const struct mgr_target *b = &g->st->targets[best];

		if (g->disk_of[i] != disk || g->taken[i] || !target_free(g->st, t))
			continue;
		if (best < g->st->nr_targets && ((b->capacity >= need) > (t->capacity >= need) ||
						 ((b->capacity >= need) == (t->capacity >= need) &&
						  b->live.used <= t->live.used)))
			continue;
		best = i;
	}
	if (best == g->st->nr_targets)
		return 0;
	g->taken[best] = true;
	return g->st->targets[best].id;
}

/* Placement's moves of disks as moves of targets; what cannot be said so waits for the next plan. */
static int plan_translate(struct ground *g, const struct mgr_job *job, const struct place_move *m,
			  int nr, struct mgr_plan *out)
{
	int i;

	out->moves = calloc(nr + 1, sizeof(*out->moves));
	if (!out->moves)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		u64 bytes = g->bytes[m[i].chain];
		struct mgr_job_move mv = {
			.chain = g->st->chains[m[i].chain].id,
			.from = ground_member(g, job, m[i].chain, m[i].from),
			.to = ground_target(g, m[i].to, bytes),
		};

		/* A chain that this very plan moved before, or a target that is only becoming free. */
		if ((m[i].from != PLACE_NONE && !mv.from) || (m[i].to != PLACE_NONE && !mv.to)) {
			out->waiting++;
			continue;
		}
		out->bytes += mv.to ? bytes : 0;
		out->moves[out->nr++] = mv;
	}
	return 0;
}

int mgr_job_plan(struct mgr_state *st, const struct mgr_job *job, struct mgr_plan *out, char *err,
		 size_t errlen)
{
	struct place_move *m = NULL;
	struct place_chains c;
	struct place_moves in = { .c = &c, .seed = job->id };
	struct ground g;
	int ret;

	*out = (struct mgr_plan){ 0 };
	snprintf(err, errlen, "the managers are out of memory");
	if (ground_make(&g, st, job))
		return -ENOMEM;
	c = (struct place_chains){
		.disks = g.disks, .nr_disks = g.nr_disks, .nodes = g.nodes,
		.nr_nodes = st->nr_nodes, .nr_chains = st->nr_chains, .first = g.first,
		.member = g.member,
	};
	if (job->kind == MGR_JOB_DRAIN_NODE || job->kind == MGR_JOB_DRAIN_TARGET)
		in.leave = g.leave;
	if (job->kind == MGR_JOB_REPLICAS)
		in.replicas = job->arg;
	ret = place_plan(&in, &m, err, errlen);
	if (ret > 0)
		ret = plan_translate(&g, job, m, ret, out);
	free(m);
	ground_free(&g);
	return ret;
}
