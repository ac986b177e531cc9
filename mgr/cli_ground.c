// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the managers' map to disks and chains for placement, and from a
 * placement table to the request that makes its chains.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli_ground.h"

static json_int_t ground_int(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *ground_str(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* A number for each different text: its place in the order of first use, from 1; 0 for "". */
static u32 ground_number(const char **texts, u32 *nr, const char *text)
{
	u32 i;

	if (!text[0])
		return 0;
	for (i = 0; i < *nr; i++)
		if (!strcmp(texts[i], text))
			return i + 1;
	texts[(*nr)++] = text;
	return *nr;
}

static int ground_nodes(struct cli_ground *g)
{
	json_t *nodes = json_object_get(g->map, "nodes"), *n;
	size_t max = json_array_size(nodes) + 1, i;
	const char **racks = calloc(max, sizeof(*racks)), **hosts = calloc(max, sizeof(*hosts));
	u32 nr_racks = 0, nr_hosts = 0;

	g->node_ids = calloc(max, sizeof(u32));
	g->names = calloc(max, sizeof(*g->names));
	g->nodes = calloc(max, sizeof(*g->nodes));
	if (racks && hosts && g->node_ids && g->names && g->nodes)
		json_array_foreach(nodes, i, n) {
			const char *host = ground_str(n, "host");

			if (strcmp(ground_str(n, "role"), "chunk"))
				continue;
			g->node_ids[g->nr_nodes] = ground_int(n, "id");
			g->names[g->nr_nodes] = ground_str(n, "name");
			g->nodes[g->nr_nodes++] = (struct place_node){
				.rack = ground_number(racks, &nr_racks, ground_str(n, "rack")),
				.host = ground_number(hosts, &nr_hosts,
						      host[0] ? host : ground_str(n, "name")),
			};
		}
	i = racks && hosts && g->node_ids && g->names && g->nodes;
	free(racks);
	free(hosts);
	return i ? 0 : -1;
}

static u32 ground_node(const struct cli_ground *g, json_int_t id)
{
	u32 i;

	for (i = 0; i < g->nr_nodes; i++)
		if (g->node_ids[i] == id)
			return i;
	return PLACE_NONE;
}

/* The disk of a target: one that its server says it shares with others, else its own. */
static u32 ground_disk(struct cli_ground *g, u32 node, json_t *t)
{
	const char *disk = ground_str(t, "disk");
	char label[sizeof(*g->label)];
	u32 i;

	if (disk[0])
		snprintf(label, sizeof(label), "%.40s/%.50s", g->names[node], disk);
	else
		snprintf(label, sizeof(label), "%.40s/%u", g->names[node], (u32)ground_int(t, "id"));
	for (i = g->nr_disks; i-- > 0 && disk[0];)
		if (g->disks[i].node == node && !strcmp(g->label[i], label))
			return i;
	snprintf(g->label[g->nr_disks], sizeof(label), "%s", label);
	g->disks[g->nr_disks].node = node;
	return g->nr_disks++;
}

static int ground_targets(struct cli_ground *g)
{
	json_t *targets = json_object_get(g->map, "targets"), *nodes, *t, *n;
	size_t max = json_array_size(targets) + 1, i, j;

	g->targets = calloc(max, sizeof(*g->targets));
	g->disks = calloc(max, sizeof(*g->disks));
	g->label = calloc(max, sizeof(*g->label));
	if (!g->targets || !g->disks || !g->label)
		return -1;
	nodes = json_object_get(g->map, "nodes");
	json_array_foreach(targets, i, t) {
		u32 node = ground_node(g, ground_int(t, "node"));
		bool up = false;

		if (node == PLACE_NONE)
			continue;
		json_array_foreach(nodes, j, n)
			if (ground_int(n, "id") == g->node_ids[node])
				up = !strcmp(ground_str(n, "state"), "up");
		g->targets[g->nr_targets++] = (struct cli_target){
			.id = ground_int(t, "id"), .chain = ground_int(t, "chain"),
			.disk = ground_disk(g, node, t),
			.usable = up && strcmp(ground_str(t, "local"), "offline"),
		};
	}
	return 0;
}

static int ground_chains(struct cli_ground *g)
{
	json_t *chains = json_object_get(g->map, "chains"), *c, *t;
	size_t max = json_array_size(chains), i, j;
	u32 k, nr = 0;

	g->chain_ids = calloc(max + 1, sizeof(u32));
	g->first = calloc(max + 2, sizeof(u32));
	g->member = calloc((max + 1) * PLACE_REPLICAS_MAX, sizeof(u32));
	if (!g->chain_ids || !g->first || !g->member)
		return -1;
	json_array_foreach(chains, i, c) {
		g->chain_ids[g->nr_chains] = ground_int(c, "id");
		json_array_foreach(json_object_get(c, "targets"), j, t)
			for (k = 0; k < g->nr_targets && j < PLACE_REPLICAS_MAX; k++)
				if (g->targets[k].id == ground_int(t, "id"))
					g->member[nr++] = g->targets[k].disk;
		g->first[++g->nr_chains] = nr;
	}
	return 0;
}

int cli_ground_read(struct cli *c, struct cli_ground *g)
{
	*g = (struct cli_ground){ 0 };
	g->map = cli_api(c, "GET", "/v1/map", NULL);
	if (!g->map)
		return 1;
	g->epoch = ground_int(g->map, "epoch");
	if (!ground_nodes(g) && !ground_targets(g) && !ground_chains(g))
		return 0;
	cli_ground_free(g);
	return cli_fail("out of memory");
}

void cli_ground_free(struct cli_ground *g)
{
	json_decref(g->map);
	free(g->node_ids);
	free(g->names);
	free(g->nodes);
	free(g->targets);
	free(g->disks);
	free(g->label);
	free(g->chain_ids);
	free(g->first);
	free(g->member);
}

struct place_chains cli_ground_chains(const struct cli_ground *g)
{
	return (struct place_chains){
		.disks = g->disks, .nr_disks = g->nr_disks, .nodes = g->nodes,
		.nr_nodes = g->nr_nodes, .nr_chains = g->nr_chains, .first = g->first,
		.member = g->member,
	};
}

/* ---- new chains --------------------------------------------------------- */

/* Machines that have a free target. */
static u32 ground_machines(const struct cli_ground *g)
{
	u32 i, j, nr = 0;

	for (i = 0; i < g->nr_disks; i++) {
		for (j = 0; j < i; j++)
			if (g->disks[j].slots && g->nodes[g->disks[j].node].host ==
						 g->nodes[g->disks[i].node].host)
				break;
		nr += g->disks[i].slots && j == i;
	}
	return nr;
}

/* Give each place in the table a target of its disk. Return: the request. */
static json_t *ground_request(const struct cli_ground *g, const struct place_table *t,
			      const bool *picked)
{
	bool *used = calloc(g->nr_targets + 1, sizeof(bool));
	json_t *chains = json_array();
	u32 c, i, k;

	for (c = 0; c < t->nr_chains && used; c++) {
		json_t *chain = json_array();

		for (i = 0; i < t->replicas; i++) {
			u32 disk = t->member[(size_t)c * t->replicas + i];

			for (k = 0; g->targets[k].disk != disk || used[k] || !picked[k]; k++)
				;
			used[k] = true;
			json_array_append_new(chain, json_integer(g->targets[k].id));
		}
		json_array_append_new(chains, chain);
	}
	free(used);
	return json_pack("{s:o}", "chains", chains);
}

static int ground_compute(struct cli_ground *g, u32 replicas, enum place_domain domain,
			  struct place_table *t)
{
	struct place_input in = {
		.disks = g->disks, .nr_disks = g->nr_disks, .nodes = g->nodes,
		.nr_nodes = g->nr_nodes, .replicas = replicas, .domain = domain, .seed = 1,
	};
	char why[CLI_ERR_LEN];

	if (place_compute(&in, t, why, sizeof(why)))
		return cli_fail("%s", why);
	return 0;
}

int cli_chains_make(struct cli *c, struct cli_ground *g, const bool *pick, u32 replicas,
		    enum place_domain domain, json_t **request, struct cli_chains_made *made)
{
	bool *picked = calloc(g->nr_targets + 1, sizeof(bool));
	struct place_table t;
	json_t *body, *out;
	u32 i, free_targets = 0;
	int ret = 1;

	if (!picked)
		return cli_fail("out of memory");
	for (i = 0; i < g->nr_disks; i++)
		g->disks[i].slots = 0;
	for (i = 0; i < g->nr_targets; i++) {
		picked[i] = !g->targets[i].chain && g->targets[i].usable && (!pick || pick[i]);
		g->disks[g->targets[i].disk].slots += picked[i];
		free_targets += picked[i];
	}
	if (!free_targets) {
		cli_fail("no free target is online: format one with 'flint target add' and start its chunk server");
		goto out;
	}
	if (!replicas) {
		u32 machines = ground_machines(g);

		replicas = machines < 3 ? machines : 3;
	}
	if (ground_compute(g, replicas, domain, &t))
		goto out;
	*made = (struct cli_chains_made){
		.chains = t.nr_chains, .replicas = replicas, .unused = t.unused,
		.exact = t.exact, .rack = t.domain == PLACE_RACK,
	};
	body = ground_request(g, &t, picked);
	place_table_free(&t);
	if (request) {
		*request = body;
		ret = 0;
	} else {
		out = cli_api(c, "POST", "/v1/chains", body);
		ret = !out;
		json_decref(out);
	}
out:
	free(picked);
	return ret;
}
