// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In which order chains stand in a table. A file uses neighbours in it
 * (uapi/flintfs/placement.h), so every short run of chains should use as many
 * different disks and servers as it can: the next chain is always one whose
 * disks were used least so far, of the next few by lot.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../uapi/flintfs/placement.h"
#include "place_int.h"

#define ORDER_WINDOW	128		/* chains to choose from */

/**
 * struct order - what was used so far
 * @disk, @node: in how many chains
 * @head: as head, by node
 */
struct order {
	const struct place_disk *disks;
	u32 replicas;
	u32 *disk, *node, *head;
};

static u64 order_cost(const struct order *o, const u32 *m)
{
	u64 cost = (u64)o->head[o->disks[m[0]].node] * 2;
	u32 i;

	for (i = 0; i < o->replicas; i++)
		cost += o->disk[m[i]] + (u64)o->node[o->disks[m[i]].node];
	return cost;
}

static void order_use(struct order *o, const u32 *m)
{
	u32 i;

	o->head[o->disks[m[0]].node]++;
	for (i = 0; i < o->replicas; i++) {
		o->disk[m[i]]++;
		o->node[o->disks[m[i]].node]++;
	}
}

static void order_swap(u32 *a, u32 *b, u32 n)
{
	u32 t[PLACE_REPLICAS_MAX];

	memcpy(t, a, n * sizeof(*t));
	memcpy(a, b, n * sizeof(*t));
	memcpy(b, t, n * sizeof(*t));
}

/**
 * place_order() - bring the chains of a table into an order
 * @member: the chains, changed
 *
 * Return: 0, -ENOMEM with nothing changed.
 */
int place_order(const struct place_input *in, u32 nr_chains, u32 *member)
{
	struct order o = { .disks = in->disks, .replicas = in->replicas };
	size_t k = in->replicas;
	u64 rng = in->seed, cost, least;
	u32 i, j, best;

	o.disk = calloc(in->nr_disks + 1, sizeof(u32));
	o.node = calloc(2 * ((size_t)in->nr_nodes + 1), sizeof(u32));
	if (!o.disk || !o.node) {
		free(o.disk);
		free(o.node);
		return -ENOMEM;
	}
	o.head = o.node + in->nr_nodes + 1;
	for (i = nr_chains; i > 1; i--)
		order_swap(member + (i - 1) * k, member + flint_rng_below(&rng, i) * k, k);
	for (i = 0; i < nr_chains; i++) {
		for (least = ~0ull, best = j = i; j < nr_chains && j < i + ORDER_WINDOW; j++) {
			cost = order_cost(&o, member + j * k);
			if (cost >= least)
				continue;
			least = cost;
			best = j;
		}
		order_swap(member + i * k, member + best * k, k);
		order_use(&o, member + i * k);
	}
	free(o.disk);
	free(o.node);
	return 0;
}
