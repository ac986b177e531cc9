/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside placement: what the place_*.c files offer each other. */
#ifndef FLINT_MGR_PLACE_INT_H
#define FLINT_MGR_PLACE_INT_H

#include "place.h"

/**
 * struct place_pairs - how many chains each pair shares
 * @dense: [a * nr + b] while that is small, else NULL
 * @key, @count: hash table with open addressing; key 0: free
 */
struct place_pairs {
	u32 nr;
	u16 *dense;
	u64 *key;
	u16 *count;
	u32 size, used;
};

int place_pairs_init(struct place_pairs *p, u32 nr, u64 expect);
void place_pairs_free(struct place_pairs *p);
u32 place_pairs_get(const struct place_pairs *p, u32 a, u32 b);
/* @by: 1 or -1. Return: the count before. */
u32 place_pairs_add(struct place_pairs *p, u32 a, u32 b, int by);

/**
 * struct place_mix - the search
 * @take: slots of each disk that chains use
 * @steps: to make at most
 * @cost: result: what place_mix() reached; @bound: the least there can be
 */
struct place_mix {
	const struct place_disk *disks;
	u32 nr_disks, nr_nodes;
	const u32 *domain_of;
	const u32 *take;
	u32 nr_chains, replicas;
	u64 steps;
	u64 cost, bound;
};

int place_mix(struct place_mix *m, u32 *member, u64 *rng);
/* Fill in @m->cost and @m->bound for chains as they are. Return: 0, -ENOMEM. */
int place_rate(struct place_mix *m, const u32 *member);

/* Failure domain of every node, numbered 0..nr-1. Return: nr, 0: no memory. */
u32 place_domains(const struct place_node *nodes, u32 nr_nodes, enum place_domain domain, u32 *of);

/* Try a difference family. Return: 0, -ENOENT: none is exact here, -ENOMEM. */
int place_cyclic(const struct place_input *in, const u32 *domain_of, const u32 *take,
		 u32 nr_chains, u32 *member);

/* Choose heads and tails. Return: 0, -ENOMEM. */
int place_roles(u32 *member, u32 nr_chains, u32 replicas, u32 nr_disks);

/* Bring the chains into an order in which neighbours use different disks. Return: 0, -ENOMEM. */
int place_order(const struct place_input *in, u32 nr_chains, u32 *member);

#endif /* FLINT_MGR_PLACE_INT_H */
