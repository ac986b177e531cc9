// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the loss of any one disk or server does to the others.
 *
 * The measure is read load: a chain's reads are one unit, its n replicas take
 * 1/n each. When one is lost the others take 1/(n-1). What a lost disk did is
 * best taken over by all disks outside its machine in equal parts: that is the
 * optimum that each survivor is held against.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place_int.h"

/**
 * struct check - loads while one failure is looked at
 * @before, @after: of each disk; @node_before, @node_after: of each server
 * @domain_of: host of each node
 */
struct check {
	const struct place_chains *c;
	double *before, *after, *node_before, *node_after;
	u32 *domain_of;
	u32 nr_domains;
};

static int check_open(struct check *k, const struct place_chains *c)
{
	u32 i, j;

	*k = (struct check){ .c = c };
	k->before = calloc(c->nr_disks + 1, sizeof(double));
	k->after = calloc(c->nr_disks + 1, sizeof(double));
	k->node_before = calloc(2 * ((size_t)c->nr_nodes + 1), sizeof(double));
	k->domain_of = calloc(c->nr_nodes + 1, sizeof(u32));
	if (!k->before || !k->after || !k->node_before || !k->domain_of)
		return -ENOMEM;
	k->node_after = k->node_before + c->nr_nodes + 1;
	k->nr_domains = place_domains(c->nodes, c->nr_nodes, PLACE_HOST, k->domain_of);
	for (i = 0; i < c->nr_chains; i++)
		for (j = c->first[i]; j < c->first[i + 1]; j++)
			k->before[c->member[j]] += 1.0 / (c->first[i + 1] - c->first[i]);
	return k->nr_domains || !c->nr_nodes ? 0 : -ENOMEM;
}

static void check_close(struct check *k)
{
	free(k->before);
	free(k->after);
	free(k->node_before);
	free(k->domain_of);
}

static bool check_hit(const struct place_chains *c, bool node, u32 what, u32 disk)
{
	return node ? c->disks[disk].node == what : disk == what;
}

/* Share out each chain's reads to those that are left. Return: the load that was lost. */
static double check_lose(struct check *k, struct place_failure *f)
{
	const struct place_chains *c = k->c;
	double lost = 0;
	u32 i, j, left;

	for (i = 0; i < c->nr_chains; i++) {
		u32 nr = c->first[i + 1] - c->first[i];

		for (left = nr, j = c->first[i]; j < c->first[i + 1]; j++)
			left -= check_hit(c, f->node, f->what, c->member[j]);
		f->chains += left < nr;
		f->lost += !left && nr;
		lost += (double)(nr - left) / (nr ? nr : 1);
		for (j = c->first[i]; j < c->first[i + 1] && left; j++)
			if (!check_hit(c, f->node, f->what, c->member[j]))
				k->after[c->member[j]] += 1.0 / left;
	}
	return lost;
}

/* Sum the loads of every server's disks: @before and @after are by server from now on. */
static void check_by_node(struct check *k)
{
	const struct place_chains *c = k->c;
	u32 i;

	for (i = 0; i < c->nr_disks; i++) {
		k->node_before[c->disks[i].node] += k->before[i];
		k->node_after[c->disks[i].node] += k->after[i];
	}
}

/* Compare disks with disks, servers with servers. @lost: load that had to go somewhere. */
static void check_compare(struct check *k, struct place_failure *f, double lost, double *extra)
{
	const struct place_chains *c = k->c;
	const double *before = f->node ? k->node_before : k->before;
	const double *after = f->node ? k->node_after : k->after;
	u32 host = k->domain_of[f->node ? f->what : c->disks[f->what].node], i, outside = 0;
	double had = 0, more;

	f->least = 1e9;
	for (i = 0; i < (f->node ? c->nr_nodes : c->nr_disks); i++) {
		if (extra)
			extra[i] = -1;
		if (i == f->what || before[i] <= 0)
			continue;
		more = after[i] / before[i] - 1;
		more = more < 1e-12 ? 0 : more;
		if (extra)
			extra[i] = more;
		f->survivors++;
		f->sources += more > 0;
		f->most = more > f->most ? more : f->most;
		if (k->domain_of[f->node ? i : c->disks[i].node] == host)
			continue;	/* cannot help: shares no chain with it */
		f->least = more < f->least ? more : f->least;
		f->mean += more;
		had += before[i];
		outside++;
	}
	f->mean = outside ? f->mean / outside : 0;
	f->least = outside ? f->least : 0;
	f->optimum = had > 0 ? lost / had : 0;
}

/**
 * place_fail() - lose one disk or server
 * @c: the chains
 * @node: @what is a node, else a disk
 * @f: result
 * @extra: further load of each disk, or each server for a lost server, as a share
 *	of what it had, -1: it is lost or in no chain; may be NULL
 *
 * Return: 0, -ENOMEM.
 */
int place_fail(const struct place_chains *c, bool node, u32 what, struct place_failure *f,
	       double *extra)
{
	struct check k;
	int ret = check_open(&k, c);
	double lost;

	*f = (struct place_failure){ .what = what, .node = node };
	if (!ret) {
		lost = check_lose(&k, f);
		check_by_node(&k);
		check_compare(&k, f, lost, extra);
	}
	check_close(&k);
	return ret;
}

static void check_range(u32 range[2], u32 v)
{
	range[0] = v < range[0] ? v : range[0];
	range[1] = v > range[1] ? v : range[1];
}

/*
 * Least and most chains that two of different hosts share. Thousands of disks
 * have more pairs than their chains make: the least is 0 without looking.
 */
static int check_pairs(const struct place_chains *c, const u32 *domain_of, bool node, u32 range[2],
		       u32 *crowded)
{
	u32 nr = node ? c->nr_nodes : c->nr_disks, i, j, l;
	struct place_pairs p;

	if (place_pairs_init(&p, nr, 4ull * c->first[c->nr_chains] + 1))
		return -ENOMEM;
	for (i = 0; i < c->nr_chains; i++) {
		bool same = false;

		for (j = c->first[i]; j < c->first[i + 1]; j++)
			for (l = c->first[i]; l < j; l++) {
				u32 a = c->disks[c->member[j]].node, b = c->disks[c->member[l]].node;

				same |= domain_of[a] == domain_of[b];
				if (domain_of[a] != domain_of[b])
					place_pairs_add(&p, node ? a : c->member[j],
							node ? b : c->member[l], 1);
			}
		*crowded += same;
	}
	range[0] = p.dense ? PLACE_NONE : 0;
	for (i = 0; i < p.size; i++)
		range[1] = p.count[i] > range[1] ? p.count[i] : range[1];
	for (i = 0; i < nr && p.dense; i++)
		for (j = 0; j < i; j++)
			if (domain_of[node ? i : c->disks[i].node] !=
			    domain_of[node ? j : c->disks[j].node])
				check_range(range, place_pairs_get(&p, i, j));
	place_pairs_free(&p);
	return 0;
}

/**
 * place_summarize() - how even a table is
 *
 * Return: 0, -ENOMEM.
 */
int place_summarize(const struct place_chains *c, struct place_summary *s)
{
	u32 *of = calloc(c->nr_nodes + 1, sizeof(u32));
	u32 *count = calloc(3 * ((size_t)c->nr_disks + 1), sizeof(u32));
	u32 i, j, crowded = 0;
	int ret = -ENOMEM;

	memset(s, 0, sizeof(*s));
	if (!of || !count || (!place_domains(c->nodes, c->nr_nodes, PLACE_HOST, of) && c->nr_nodes))
		goto out;
	for (i = 0; i < c->nr_chains; i++) {
		u32 nr = c->first[i + 1] - c->first[i];

		for (j = c->first[i]; j < c->first[i + 1]; j++)
			count[3 * c->member[j]]++;
		if (nr < 2)
			continue;
		count[3 * c->member[c->first[i]] + 1]++;
		count[3 * c->member[c->first[i + 1] - 1] + 2]++;
	}
	s->slots[0] = s->heads[0] = s->tails[0] = PLACE_NONE;
	for (i = 0; i < c->nr_disks; i++) {
		check_range(s->slots, count[3 * i]);
		check_range(s->heads, count[3 * i + 1]);
		check_range(s->tails, count[3 * i + 2]);
	}
	ret = check_pairs(c, of, false, s->disk_pair, &s->crowded);
	if (!ret)
		ret = check_pairs(c, of, true, s->node_pair, &crowded);
out:
	free(of);
	free(count);
	return ret;
}
