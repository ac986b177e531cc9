// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The search for an even table: slots of different chains change places.
 *
 * The cost of a table is the number of times that a pair is together once more
 * than before, over all pairs: the sum of n(n-1)/2, for pairs of disks and, if
 * servers have several, for pairs of servers as well. It is least when all
 * pairs differ by one at most, and how little that is follows from the number
 * of pairs alone: the bound that place_mix() stops at.
 *
 * The counts in struct place_pairs are always those of the chains: a change
 * is made in them, then kept or taken back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../uapi/flintfs/placement.h"
#include "place_int.h"

#define PAIRS_DENSE_MAX	3000		/* 18 MB */
#define MIX_WARM	0x40000000u	/* chance of a step that costs 1, of 2^32, at first */
#define MIX_COOL	6		/* of 8 parts of the steps warmth falls, the rest is cold */

/* ---- pairs -------------------------------------------------------------- */

int place_pairs_init(struct place_pairs *p, u32 nr, u64 expect)
{
	*p = (struct place_pairs){ .nr = nr };
	if (nr <= PAIRS_DENSE_MAX) {
		p->dense = calloc((size_t)nr * nr + 1, sizeof(*p->dense));
		return p->dense ? 0 : -ENOMEM;
	}
	for (p->size = 1024; p->size < 4 * expect; p->size *= 2)
		;
	p->key = calloc(p->size, sizeof(*p->key));
	p->count = calloc(p->size, sizeof(*p->count));
	if (p->key && p->count)
		return 0;
	place_pairs_free(p);
	return -ENOMEM;
}

void place_pairs_free(struct place_pairs *p)
{
	free(p->dense);
	free(p->key);
	free(p->count);
	memset(p, 0, sizeof(*p));
}

/* Where @key is, or the free place for it. */
static u32 pairs_slot(const struct place_pairs *p, u64 key)
{
	u32 i = (key * 0x9e3779b97f4a7c15ull) >> 32 & (p->size - 1);

	while (p->key[i] && p->key[i] != key)
		i = (i + 1) & (p->size - 1);
	return i;
}

static u64 pairs_key(u32 a, u32 b)
{
	return a < b ? (u64)(a + 1) << 32 | (b + 1) : (u64)(b + 1) << 32 | (a + 1);
}

/* Drop the pairs that are together no longer. They are most of what is there. */
static void pairs_clean(struct place_pairs *p)
{
	struct place_pairs n = { .nr = p->nr, .size = p->size };
	u32 i, at;

	n.key = calloc(n.size, sizeof(*n.key));
	n.count = calloc(n.size, sizeof(*n.count));
	if (!n.key || !n.count) {
		free(n.key);
		free(n.count);
		return;		/* slower, not wrong, until it is full; there is room for that */
	}
	for (i = 0; i < p->size; i++) {
		if (!p->key[i] || !p->count[i])
			continue;
		at = pairs_slot(&n, p->key[i]);
		n.key[at] = p->key[i];
		n.count[at] = p->count[i];
		n.used++;
	}
	place_pairs_free(p);
	*p = n;
}

u32 place_pairs_get(const struct place_pairs *p, u32 a, u32 b)
{
	return p->dense ? p->dense[(size_t)a * p->nr + b] : p->count[pairs_slot(p, pairs_key(a, b))];
}

u32 place_pairs_add(struct place_pairs *p, u32 a, u32 b, int by)
{
	u32 at, before;
	u64 key;

	if (p->dense) {
		before = p->dense[(size_t)a * p->nr + b];
		p->dense[(size_t)a * p->nr + b] = before + by;
		p->dense[(size_t)b * p->nr + a] = before + by;
		return before;
	}
	if (p->used > p->size / 4 * 3)
		pairs_clean(p);
	key = pairs_key(a, b);
	at = pairs_slot(p, key);
	if (!p->key[at]) {
		p->key[at] = key;
		p->used++;
	}
	before = p->count[at];
	p->count[at] = before + by;
	return before;
}

/* ---- cost --------------------------------------------------------------- */

/**
 * struct mix_state - one search
 * @two: servers have several disks: pairs of them count, too
 */
struct mix_state {
	const struct place_mix *m;
	u32 *member;
	struct place_pairs disk, node;
	bool two;
};

/* @a joins (@by 1) or leaves (-1) those of chain @c but the one at @except. Return: cost. */
static s64 mix_join(struct mix_state *s, u32 c, u32 except, u32 a, int by)
{
	const struct place_disk *disks = s->m->disks;
	const u32 *member = s->member + (size_t)c * s->m->replicas;
	s64 cost = 0;
	u32 i, n;

	for (i = 0; i < s->m->replicas; i++) {
		if (i == except)
			continue;
		n = place_pairs_add(&s->disk, a, member[i], by);
		cost += by > 0 ? (s64)n : 1 - (s64)n;
		if (!s->two)
			continue;
		n = place_pairs_add(&s->node, disks[a].node, disks[member[i]].node, by);
		cost += by > 0 ? (s64)n : 1 - (s64)n;
	}
	return cost;
}

/* Least sum of n(n-1)/2 when @shared is spread over @pairs. */
static u64 mix_least(u64 pairs, u64 shared)
{
	u64 q = pairs ? shared / pairs : 0, r = pairs ? shared % pairs : 0;

	return pairs * (q * (q - 1) / 2) + r * q;
}

/* Pairs of things with @nr_of[domain] of them in each domain, of different domains. */
static u64 mix_pairs(const u32 *nr_of, u32 nr_domains)
{
	u64 all = 0, same = 0;
	u32 i;

	for (i = 0; i < nr_domains; i++) {
		all += nr_of[i];
		same += (u64)nr_of[i] * nr_of[i];
	}
	return (all * all - same) / 2;
}

static int mix_bound(struct place_mix *m, bool *two)
{
	u32 nr = m->nr_nodes + 1, i, d;
	u32 *disks_of = calloc(nr, sizeof(u32)), *nodes_of = calloc(nr, sizeof(u32));
	u32 *on_node = calloc(nr, sizeof(u32));
	u64 shared = (u64)m->nr_chains * m->replicas * (m->replicas - 1) / 2;

	*two = false;
	if (disks_of && nodes_of && on_node) {
		for (i = 0; i < m->nr_disks; i++) {
			if (!m->take[i])
				continue;
			d = m->domain_of[m->disks[i].node];
			disks_of[d]++;
			if (on_node[m->disks[i].node]++)
				*two = true;
			else
				nodes_of[d]++;
		}
		m->bound = mix_least(mix_pairs(disks_of, m->nr_nodes), shared);
		if (*two)
			m->bound += mix_least(mix_pairs(nodes_of, m->nr_nodes), shared);
	}
	i = disks_of && nodes_of && on_node;
	free(disks_of);
	free(nodes_of);
	free(on_node);
	return i ? 0 : -ENOMEM;
}

static int mix_open(struct mix_state *s, struct place_mix *m, u32 *member)
{
	u64 shared = (u64)m->nr_chains * m->replicas * (m->replicas - 1) / 2;
	u32 c, i, j;

	*s = (struct mix_state){ .m = m, .member = member };
	if (mix_bound(m, &s->two) || place_pairs_init(&s->disk, m->nr_disks, 2 * shared))
		return -ENOMEM;
	if (place_pairs_init(&s->node, s->two ? m->nr_nodes : 1, 2 * shared)) {
		place_pairs_free(&s->disk);
		return -ENOMEM;
	}
	m->cost = 0;
	for (c = 0; c < m->nr_chains; c++)
		for (i = 0; i < m->replicas; i++)
			for (j = 0; j < i; j++) {
				u32 a = member[(size_t)c * m->replicas + i];
				u32 b = member[(size_t)c * m->replicas + j];

				m->cost += place_pairs_add(&s->disk, a, b, 1);
				if (s->two)
					m->cost += place_pairs_add(&s->node, m->disks[a].node,
								   m->disks[b].node, 1);
			}
	return 0;
}

static void mix_close(struct mix_state *s)
{
	place_pairs_free(&s->disk);
	place_pairs_free(&s->node);
}

int place_rate(struct place_mix *m, const u32 *member)
{
	struct mix_state s;
	int ret = mix_open(&s, m, (u32 *)member);

	if (!ret)
		mix_close(&s);
	return ret;
}

/* ---- mixing ------------------------------------------------------------- */

/* May @a take the place at @except of chain @c? */
static bool mix_fits(const struct mix_state *s, u32 c, u32 except, u32 a)
{
	const u32 *member = s->member + (size_t)c * s->m->replicas;
	u32 i, d = s->m->domain_of[s->m->disks[a].node];

	for (i = 0; i < s->m->replicas; i++)
		if (i != except && s->m->domain_of[s->m->disks[member[i]].node] == d)
			return false;
	return true;
}

/* Is a step that costs @more taken? @warm: chance of 1, of 2^32. */
static bool mix_take(s64 more, u32 warm, u64 *rng)
{
	u64 chance = 1ull << 32;

	if (more <= 0)
		return true;
	for (; more > 0 && chance; more--)
		chance = chance * warm >> 32;
	return flint_splitmix64(rng) >> 32 < chance;
}

/* One exchange, tried. Return: what it changed in cost. */
static s64 mix_step(struct mix_state *s, u32 warm, u64 *rng)
{
	u32 k = s->m->replicas, c1, c2, i, j, a, b;
	s64 more;

	c1 = flint_rng_below(rng, s->m->nr_chains);
	c2 = flint_rng_below(rng, s->m->nr_chains);
	i = flint_rng_below(rng, k);
	j = flint_rng_below(rng, k);
	a = s->member[(size_t)c1 * k + i];
	b = s->member[(size_t)c2 * k + j];
	if (c1 == c2 || a == b || !mix_fits(s, c1, i, b) || !mix_fits(s, c2, j, a))
		return 0;
	more = mix_join(s, c1, i, a, -1) + mix_join(s, c2, j, b, -1) + mix_join(s, c1, i, b, 1) +
	       mix_join(s, c2, j, a, 1);
	if (mix_take(more, warm, rng)) {
		s->member[(size_t)c1 * k + i] = b;
		s->member[(size_t)c2 * k + j] = a;
		return more;
	}
	mix_join(s, c2, j, a, -1);
	mix_join(s, c1, i, b, -1);
	mix_join(s, c2, j, b, 1);
	mix_join(s, c1, i, a, 1);
	return 0;
}

/**
 * place_mix() - make a table even
 * @m: what it is of; cost and bound are results
 * @member: the chains, changed
 * @rng: state of flint_splitmix64()
 *
 * Return: 0, -ENOMEM.
 */
int place_mix(struct place_mix *m, u32 *member, u64 *rng)
{
	u64 step, cool = m->steps / 8 * MIX_COOL;
	struct mix_state s;
	int ret = mix_open(&s, m, member);

	if (ret)
		return ret;
	for (step = 0; step < m->steps && m->cost > m->bound && m->nr_chains > 1; step++) {
		u64 left = step < cool ? ((cool - step) << 16) / cool : 0;	/* of 2^16 */

		m->cost += mix_step(&s, (left * left >> 16) * MIX_WARM >> 16, rng);
	}
	mix_close(&s);
	return 0;
}
