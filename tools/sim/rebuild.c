// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long it takes until a lost server's data has all its copies again. Every
 * chain that lost a replica is copied by its last serving one, as recovery does;
 * what is copied to follows from the plan that 'flint node drain' makes, or is a
 * new server in the old one's place. Time is that of whatever is busy longest:
 * a disk or a link, reading or writing, at the share that recovery may use.
 */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>

#include "sim.h"

/**
 * struct copy_load - bytes through everything
 */
struct copy_load {
	u64 *disk_read, *disk_write, *node_out, *node_in;
};

static int copy_open(struct copy_load *l, const struct sim *s)
{
	l->disk_read = calloc(2 * (size_t)s->nr_disks, sizeof(u64));
	l->node_out = calloc(2 * (size_t)s->conf.nodes, sizeof(u64));
	l->disk_write = l->disk_read + s->nr_disks;
	l->node_in = l->node_out + s->conf.nodes;
	return l->disk_read && l->node_out ? 0 : -ENOMEM;
}

static void copy_close(struct copy_load *l)
{
	free(l->disk_read);
	free(l->node_out);
}

/* The last replica of chain @c outside node 0, the one that is lost. */
static u32 copy_source(const struct sim *s, u32 c)
{
	const u32 *m = s->table.member + (size_t)c * s->table.replicas;
	u32 i, from = PLACE_NONE;

	for (i = 0; i < s->table.replicas; i++)
		if (s->disks[m[i]].node)
			from = m[i];
	return from;
}

static void copy_add(const struct sim *s, struct copy_load *l, u32 from, u32 to, u64 bytes)
{
	l->disk_read[from] += bytes;
	l->node_out[s->disks[from].node] += bytes;
	l->disk_write[to] += bytes;
	l->node_in[s->disks[to].node] += bytes;
}

static double copy_time(const struct sim *s, const struct copy_load *l, double share)
{
	double link = (double)s->conf.link * s->conf.links * share;
	double disk = (double)s->conf.disk * share, t, worst = 0;
	u32 i;

	for (i = 0; i < s->conf.nodes; i++) {
		t = (double)(l->node_out[i] > l->node_in[i] ? l->node_out[i] : l->node_in[i]) /
		    link;
		worst = t > worst ? t : worst;
	}
	for (i = 0; i < s->nr_disks; i++) {
		t = l->disk_read[i] / disk + l->disk_write[i] / (disk * SIM_WRITE_SHARE);
		worst = t > worst ? t : worst;
	}
	return worst;
}

/* Chains' worth of bytes to free targets elsewhere, as the plan for emptying node 0 says. */
static int rebuild_spread(struct sim *s, u64 chain_bytes, double share, struct sim_rebuild *out)
{
	u32 *first = calloc(s->table.nr_chains + 1, sizeof(u32)), i;
	bool *leave = calloc(s->nr_disks, sizeof(bool));
	struct place_chains c = {
		.disks = s->disks, .nr_disks = s->nr_disks, .nodes = s->nodes,
		.nr_nodes = s->conf.nodes, .nr_chains = s->table.nr_chains, .first = first,
		.member = s->table.member,
	};
	struct place_moves in = { .c = &c, .leave = leave, .seed = s->conf.seed };
	struct place_move *moves = NULL;
	struct copy_load load;
	char why[256];
	int nr = -ENOMEM;

	if (!first || !leave || copy_open(&load, s))
		goto out;
	for (i = 0; i <= s->table.nr_chains; i++)
		first[i] = i * s->table.replicas;
	for (i = 0; i < s->nr_disks; i++) {
		leave[i] = !s->disks[i].node;
		s->disks[i].slots++;		/* a spare target on every disk */
	}
	nr = place_plan(&in, &moves, why, sizeof(why));
	if (nr < 0)
		fprintf(stderr, "flint-datasim: %s\n", why);
	for (i = 0; (int)i < nr; i++) {
		copy_add(s, &load, copy_source(s, moves[i].chain), moves[i].to, chain_bytes);
		out->bytes += chain_bytes;
	}
	out->spread_s = copy_time(s, &load, share);
	for (i = 0; i < s->nr_disks; i++)
		out->sources += load.disk_read[i] != 0;
	copy_close(&load);
out:
	free(moves);
	free(first);
	free(leave);
	return nr < 0 ? nr : 0;
}

static int rebuild_replace(struct sim *s, u64 chain_bytes, double share, struct sim_rebuild *out)
{
	struct copy_load load;
	u32 c, i;

	if (copy_open(&load, s))
		return -ENOMEM;
	for (c = 0; c < s->table.nr_chains; c++)
		for (i = 0; i < s->table.replicas; i++) {
			u32 to = s->table.member[(size_t)c * s->table.replicas + i];

			if (!s->disks[to].node)
				copy_add(s, &load, copy_source(s, c), to, chain_bytes);
		}
	out->replace_s = copy_time(s, &load, share);
	copy_close(&load);
	return 0;
}

int sim_rebuild(const struct sim_conf *conf, u64 used, double share, struct sim_rebuild *out)
{
	struct sim s = { 0 };
	int ret = sim_table(conf, &s);

	*out = (struct sim_rebuild){ 0 };
	if (!ret)
		ret = rebuild_replace(&s, used / conf->slots, share, out);
	if (!ret)
		ret = rebuild_spread(&s, used / conf->slots, share, out);
	sim_table_free(&s);
	return ret;
}
