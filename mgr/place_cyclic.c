// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exact tables from difference families: number the disks 0 .. v-1 and shift a
 * few base chains round that circle. Disks a and b are together once for each
 * time that the distance b - a occurs between two disks of a base chain; so when
 * all distances occur equally often, all pairs of disks share equally many
 * chains. {0, 1, 3, 9} modulo 13 is an example: 13 chains of 4, every pair of
 * disks in just one of them. Shifting also gives every disk every role equally
 * often.
 *
 * Disks are numbered so that those of one failure domain stand at a distance
 * that is a multiple of the number of domains; such distances are not used.
 *
 * Which base chains to take is found by a short search. It is asked for tables
 * whose domains are alike, whose disks all have the same number of slots, and
 * that number a multiple of the replicas. What it finds is used only if it is
 * exact by the same measure as everything else (place_rate()).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../uapi/flintfs/placement.h"
#include "place_int.h"

#define CYCLIC_MAX	1024		/* disks */
#define CYCLIC_BASES	64		/* base chains */
#define CYCLIC_STEPS	400000
#define CYCLIC_TRIES	8

/**
 * struct cyclic - the search
 * @v: disks, @k: replicas, @t: base chains, @domains: their distances are barred
 * @base: element i of base chain b at [b * k + i], the first of each is 0
 * @seen: how often each distance occurs
 */
struct cyclic {
	u32 v, k, t, domains;
	u32 base[CYCLIC_BASES * PLACE_REPLICAS_MAX];
	u16 seen[CYCLIC_MAX];
};

/* All distances of one element of base chain @b. Return: cost, very large for a barred one. */
static s64 cyclic_element(struct cyclic *c, u32 b, u32 i, int by)
{
	const u32 *base = c->base + b * c->k;
	s64 cost = 0;
	u32 j, d;

	for (j = 0; j < c->k; j++) {
		if (j == i)
			continue;
		d = (base[i] + c->v - base[j]) % c->v;
		if (d % c->domains == 0)
			cost += by * 1000;
		cost += by > 0 ? c->seen[d] : 1 - (s64)c->seen[d];
		c->seen[d] += by;
		d = (c->v - d) % c->v;
		c->seen[d] += by;
	}
	return cost;
}

static void cyclic_begin(struct cyclic *c, u64 *rng)
{
	u32 b, i, j, d;

	memset(c->seen, 0, sizeof(c->seen));
	for (b = 0; b < c->t; b++)
		for (i = 0; i < c->k; i++) {
			c->base[b * c->k + i] = i ? flint_rng_below(rng, c->v) : 0;
			for (j = 0; j < i; j++) {
				d = (c->base[b * c->k + i] + c->v - c->base[b * c->k + j]) % c->v;
				c->seen[d]++;
				c->seen[(c->v - d) % c->v]++;
			}
		}
}

/* Do all distances that may be used occur equally often, or nearly? */
static bool cyclic_even(const struct cyclic *c)
{
	u32 d, least = ~0u, most = 0;

	for (d = 1; d < c->v; d++) {
		if (d % c->domains == 0) {
			if (c->seen[d])
				return false;
			continue;
		}
		least = c->seen[d] < least ? c->seen[d] : least;
		most = c->seen[d] > most ? c->seen[d] : most;
	}
	return most - least <= 1;
}

static bool cyclic_search(struct cyclic *c, u64 *rng)
{
	u32 step, b, i, old;
	s64 more;

	cyclic_begin(c, rng);
	for (step = 0; step < CYCLIC_STEPS; step++) {
		if (!(step & 63) && cyclic_even(c))
			return true;
		b = flint_rng_below(rng, c->t);
		i = 1 + flint_rng_below(rng, c->k - 1);
		old = c->base[b * c->k + i];
		more = cyclic_element(c, b, i, -1);
		c->base[b * c->k + i] = flint_rng_below(rng, c->v);
		more += cyclic_element(c, b, i, 1);
		if (more <= 0 || (more < 4 && !flint_rng_below(rng, 8u << (2 * more))))
			continue;
		cyclic_element(c, b, i, -1);
		c->base[b * c->k + i] = old;
		cyclic_element(c, b, i, 1);
	}
	return cyclic_even(c);
}

/* Give every domain that is used a number. Return: how many. @rank, @size: by domain. */
static u32 cyclic_domains(const struct place_input *in, const u32 *domain_of, const u32 *take,
			  u32 *rank, u32 *size)
{
	u32 i, nr = 0;

	for (i = 0; i < in->nr_disks; i++) {
		u32 d = domain_of[in->disks[i].node];

		if (take[i] && !size[d]++)
			rank[d] = nr++;
	}
	return nr;
}

/* Number the disks: disk_at[]. Return: how many, 0: they are not alike. */
static u32 cyclic_number(const struct place_input *in, const u32 *domain_of, const u32 *take,
			 u32 *disk_at, u32 *domains)
{
	u32 *rank = calloc(3 * ((size_t)in->nr_nodes + 1), sizeof(u32));
	u32 *size = rank + in->nr_nodes + 1, *at = size + in->nr_nodes + 1;
	u32 i, d, v = 0, slots = 0, each = 0;

	if (!rank)
		return 0;
	*domains = cyclic_domains(in, domain_of, take, rank, size);
	for (i = 0; i < in->nr_disks; i++) {
		if (!take[i])
			continue;
		d = domain_of[in->disks[i].node];
		slots = slots ? slots : take[i];
		each = each ? each : size[d];
		if (take[i] != slots || size[d] != each || each * *domains > CYCLIC_MAX) {
			v = 0;
			break;
		}
		disk_at[at[d]++ * *domains + rank[d]] = i;
		v++;
	}
	free(rank);
	return slots % in->replicas || slots / in->replicas > CYCLIC_BASES ? 0 : v;
}

/* Shift the base chains round the circle. */
static void cyclic_shift(const struct cyclic *c, const u32 *disk_at, u32 *member)
{
	u32 b, s, i;

	for (b = 0; b < c->t; b++)
		for (s = 0; s < c->v; s++)
			for (i = 0; i < c->k; i++)
				*member++ = disk_at[(c->base[b * c->k + i] + s) % c->v];
}

int place_cyclic(const struct place_input *in, const u32 *domain_of, const u32 *take,
		 u32 nr_chains, u32 *member)
{
	struct place_mix mix = {
		.disks = in->disks, .nr_disks = in->nr_disks, .nr_nodes = in->nr_nodes,
		.domain_of = domain_of, .take = take, .nr_chains = nr_chains,
		.replicas = in->replicas,
	};
	u32 disk_at[CYCLIC_MAX], try;
	struct cyclic c = { .k = in->replicas };
	u64 rng = in->seed;

	c.v = cyclic_number(in, domain_of, take, disk_at, &c.domains);
	c.t = c.v ? nr_chains / c.v : 0;
	if (!c.t || c.k < 2 || c.domains < c.k || (u64)c.t * c.v != nr_chains)
		return -ENOENT;
	for (try = 0; try < CYCLIC_TRIES; try++) {
		if (!cyclic_search(&c, &rng))
			continue;
		cyclic_shift(&c, disk_at, member);
		if (place_rate(&mix, member))
			return -ENOMEM;
		if (mix.cost == mix.bound)
			return 0;
	}
	return -ENOENT;
}
