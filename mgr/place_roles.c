// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who is head and who is tail of each chain: every disk gets its share of both,
 * rounded down or up. Heads take writes and tails hold the authority for
 * versions, so an uneven table would wear some disks more than others.
 *
 * A role is given to one disk of each chain. Where a disk has it too often (or
 * too seldom), a path leads to one that has it seldom (often): from disk to disk
 * by chains that the one has the role in and the other could take it over. Along
 * the path every chain hands its role on. Such paths exist as long as shares are
 * uneven, because the even fractional solution is a flow within the same bounds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place_int.h"

/**
 * struct roles - one role being given
 * @first, @chains: chains of disk d at chains[first[d]]..chains[first[d + 1] - 1]
 * @at: where in a chain the holder of the role stands
 * @from, @to: where in a chain those stand who may have it
 * @has: chains in which a disk has the role; @low, @high: its share
 * @via: chain by which the search came to a disk, @queue: disks to look at
 */
struct roles {
	u32 *member;
	u32 nr_chains, replicas, nr_disks;
	u32 *first, *chains;
	u32 at, from, to;
	u32 *has, *low, *high;
	u32 *via, *prev, *queue;
};

static u32 *roles_chain(struct roles *r, u32 c)
{
	return r->member + (size_t)c * r->replicas;
}

static void roles_swap(struct roles *r, u32 c, u32 i)
{
	u32 *m = roles_chain(r, c), t = m[r->at];

	r->has[m[r->at]]--;
	m[r->at] = m[i];
	m[i] = t;
	r->has[m[r->at]]++;
}

/* The search stands at disk @d: which others does it lead to? @up: roles flow towards @d. */
static u32 roles_spread(struct roles *r, u32 d, bool up, u32 nr)
{
	u32 k, i;

	for (k = r->first[d]; k < r->first[d + 1]; k++) {
		u32 c = r->chains[k], *m = roles_chain(r, c);
		bool in = false;

		for (i = r->from; i < r->to; i++)
			in |= m[i] == d;
		if (!in || (up ? m[r->at] == d : m[r->at] != d))
			continue;
		for (i = up ? r->at : r->from; i < (up ? r->at + 1 : r->to); i++) {
			if (m[i] == d || r->via[m[i]] != PLACE_NONE)
				continue;
			r->via[m[i]] = c;
			r->prev[m[i]] = d;
			r->queue[nr++] = m[i];
		}
	}
	return nr;
}

/* Let the chains on the way from @d to the start hand the role on. */
static void roles_shift(struct roles *r, u32 d, u32 start, bool up)
{
	u32 i;

	for (; d != start; d = r->prev[d]) {
		u32 c = r->via[d], *m = roles_chain(r, c), who = up ? r->prev[d] : d;

		for (i = r->from; m[i] != who; i++)
			;
		roles_swap(r, c, i);
	}
}

/*
 * Disk @d has the role too often, or, @up, too seldom: find who can give or
 * take. Return: has it been mended?
 */
static bool roles_mend(struct roles *r, u32 d, bool up)
{
	u32 at, nr = 1;

	memset(r->via, 0xff, r->nr_disks * sizeof(u32));
	r->via[d] = 0;
	r->queue[0] = d;
	for (at = 0; at < nr; at++) {
		u32 e = r->queue[at];

		if (at && (up ? r->has[e] > r->low[e] : r->has[e] < r->high[e])) {
			roles_shift(r, e, d, up);
			return true;
		}
		nr = roles_spread(r, e, up, nr);
	}
	return false;
}

/* Give the role at place @r->at to one of those at @r->from .. @r->to - 1. */
static void roles_give(struct roles *r)
{
	u32 c, d, i, best, left = r->to - r->from;

	memset(r->has, 0, r->nr_disks * sizeof(u32));
	memset(r->low, 0, r->nr_disks * sizeof(u32));
	for (c = 0; c < r->nr_chains; c++)
		for (i = r->from; i < r->to; i++)
			r->low[roles_chain(r, c)[i]]++;
	for (d = 0; d < r->nr_disks; d++) {
		r->high[d] = (r->low[d] + left - 1) / left;
		r->low[d] /= left;
	}
	for (c = 0; c < r->nr_chains; c++) {
		u32 *m = roles_chain(r, c), t;

		for (best = r->from, i = r->from + 1; i < r->to; i++)
			if ((s64)r->has[m[i]] - r->high[m[i]] <
			    (s64)r->has[m[best]] - r->high[m[best]])
				best = i;
		t = m[r->at];
		m[r->at] = m[best];
		m[best] = t;
		r->has[m[r->at]]++;
	}
	for (d = 0; d < r->nr_disks; d++) {
		while (r->has[d] > r->high[d] && roles_mend(r, d, false))
			;
		while (r->has[d] < r->low[d] && roles_mend(r, d, true))
			;
	}
}

static int roles_lists(struct roles *r)
{
	u64 nr = (u64)r->nr_chains * r->replicas, i;

	r->first = calloc(r->nr_disks + 2, sizeof(u32));
	r->chains = calloc(nr + 1, sizeof(u32));
	r->has = calloc(6 * ((size_t)r->nr_disks + 1), sizeof(u32));
	if (!r->first || !r->chains || !r->has)
		return -ENOMEM;
	r->low = r->has + r->nr_disks + 1;
	r->high = r->low + r->nr_disks + 1;
	r->via = r->high + r->nr_disks + 1;
	r->prev = r->via + r->nr_disks + 1;
	r->queue = r->prev + r->nr_disks + 1;
	for (i = 0; i < nr; i++)
		r->first[r->member[i] + 2]++;
	for (i = 2; i < r->nr_disks + 2; i++)
		r->first[i] += r->first[i - 1];
	for (i = 0; i < nr; i++)
		r->chains[r->first[r->member[i] + 1]++] = i / r->replicas;
	return 0;
}

/**
 * place_roles() - put each chain's disks into an order that shares out the roles
 * @member: the chains, changed
 *
 * Return: 0, -ENOMEM with nothing changed.
 */
int place_roles(u32 *member, u32 nr_chains, u32 replicas, u32 nr_disks)
{
	struct roles r = {
		.member = member, .nr_chains = nr_chains, .replicas = replicas,
		.nr_disks = nr_disks,
	};
	int ret = roles_lists(&r);

	if (!ret && replicas > 1) {
		r.at = 0;
		r.from = 0;
		r.to = replicas;
		roles_give(&r);
		r.at = replicas - 1;
		r.from = 1;
		roles_give(&r);
	}
	free(r.first);
	free(r.chains);
	free(r.has);
	return ret;
}
