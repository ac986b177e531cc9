// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint chain create and check: a balanced table of the free targets, and what
 * every single failure would do to the table that there is.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli_ground.h"

#define CHECK_WIDE	16		/* survivors that fit into a line */

/* ---- create ------------------------------------------------------------- */

/* Targets named by words, or on the servers of --nodes. Return: 0, or 1 after a message. */
static int chain_pick(struct cli *c, const struct cli_ground *g, bool *pick)
{
	const char *nodes = cli_opt(c, CLI_OPT_NODES), *p;
	u32 i, j, k;
	char *end;

	for (i = 0; i < c->nr_words; i++) {
		unsigned long id = strtoul(c->words[i], &end, 10);

		if (*end || !id || id > UINT32_MAX)
			return cli_fail("'%s' is no target id: 'flint target list' shows them",
					c->words[i]);
		for (k = 0; k < g->nr_targets && g->targets[k].id != id; k++)
			;
		if (k == g->nr_targets)
			return cli_fail("there is no target %lu: 'flint target list' shows those that chunk servers have reported",
					id);
		if (g->targets[k].chain)
			return cli_fail("target %lu is already in chain %u: name targets that are free",
					id, g->targets[k].chain);
		if (!g->targets[k].usable)
			return cli_fail("target %lu on %s is offline: start its chunk server first",
					id, g->names[g->disks[g->targets[k].disk].node]);
		pick[k] = true;
	}
	for (p = nodes; p && *p; p += strcspn(p, ","), p += *p == ',') {
		size_t len = strcspn(p, ",");

		for (j = 0; j < g->nr_nodes; j++)
			if (strlen(g->names[j]) == len && !strncmp(g->names[j], p, len))
				break;
		if (j == g->nr_nodes)
			return cli_fail("there is no chunk server '%.*s': 'flint node list' shows them",
					(int)len, p);
		for (k = 0; k < g->nr_targets; k++)
			if (g->disks[g->targets[k].disk].node == j)
				pick[k] = true;
	}
	return 0;
}

static void chain_say(struct cli *c, const struct cli_chains_made *made, bool dry, json_t *request)
{
	if (cli_opt(c, CLI_OPT_JSON)) {
		json_t *out = json_pack("{s:I, s:I, s:I, s:s, s:b, s:b}", "created",
					(json_int_t)(dry ? 0 : made->chains), "replicas",
					(json_int_t)made->replicas, "unused",
					(json_int_t)made->unused, "domain",
					made->rack ? "rack" : "host", "exact", (int)made->exact,
					"dry_run", (int)dry);

		if (request)
			json_object_update(out, request);
		cli_print_json(out);
		json_decref(out);
		return;
	}
	printf("%u chain%s of %u replica%s %s, each replica on a %s of its own", made->chains,
	       made->chains == 1 ? "" : "s", made->replicas, made->replicas == 1 ? "" : "s",
	       dry ? "would be made" : "made", made->rack ? "rack" : "machine");
	if (made->unused)
		printf("; %u target%s left free, too few for a further chain", made->unused,
		       made->unused == 1 ? " is" : "s are");
	putchar('\n');
	if (made->replicas == 1)
		puts("there is one copy of the data: a lost disk loses what is on it");
	if (!dry)
		puts("'flint chain check' tells what the loss of any disk or server would do");
}

int cli_chain_create(struct cli *c)
{
	const char *domain = cli_opt(c, CLI_OPT_DOMAIN);
	bool dry = cli_opt(c, CLI_OPT_DRY_RUN), some, *pick = NULL;
	enum place_domain d = PLACE_AUTO;
	struct cli_chains_made made;
	json_t *request = NULL;
	struct cli_ground g;
	uint64_t replicas;
	int ret = 1;

	if (cli_number(c, CLI_OPT_REPLICAS, "replicas", 0, 1, PLACE_REPLICAS_MAX, &replicas))
		return 1;
	if (domain && !strcmp(domain, "rack"))
		d = PLACE_RACK;
	else if (domain && !strcmp(domain, "host"))
		d = PLACE_HOST;
	else if (domain)
		return cli_fail("--domain takes host or rack, not '%s'", domain);
	some = c->nr_words || cli_opt(c, CLI_OPT_NODES);
	if (some && cli_opt(c, CLI_OPT_ALL))
		return cli_fail("give --all, or name targets or servers, not both");
	if (cli_ground_read(c, &g))
		return 1;
	pick = calloc(g.nr_targets + 1, sizeof(bool));
	if (!pick)
		cli_fail("out of memory");
	else if (!chain_pick(c, &g, pick))
		ret = cli_chains_make(c, &g, some ? pick : NULL, replicas, d, dry ? &request : NULL,
				      &made);
	if (!ret)
		chain_say(c, &made, dry, request);
	json_decref(request);
	free(pick);
	cli_ground_free(&g);
	return ret;
}

/* ---- check -------------------------------------------------------------- */

/**
 * struct check_sum - over all failures of one kind
 */
struct check_sum {
	double most, optimum;
	u32 failures, lost;
};

/* What a disk or a server is called. */
static const char *check_name(const struct cli_ground *g, bool node, u32 i)
{
	return node ? g->names[i] : g->label[i];
}

static json_t *check_json(const struct cli_ground *g, const struct place_failure *f,
			  const double *extra)
{
	json_t *list = json_array();
	u32 i;

	for (i = 0; i < (f->node ? g->nr_nodes : g->nr_disks); i++)
		if (extra[i] >= 0)
			json_array_append_new(list, json_pack("{s:s, s:f}", "name",
							      check_name(g, f->node, i), "extra",
							      extra[i]));
	return json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:o}", "failed",
			 check_name(g, f->node, f->what), "kind",
			 f->node ? "node" : "disk", "chains", (int)f->chains, "chains_lost",
			 (int)f->lost, "sources", (int)f->sources, "least", f->least, "mean",
			 f->mean, "most", f->most, "optimum", f->optimum, "survivors", list);
}

static void check_line(const struct cli_ground *g, const struct place_failure *f,
		       const double *extra)
{
	u32 i;

	printf("  %-22s %6u %8u   %5.1f %% to %5.1f %%   %5.1f %%",
	       check_name(g, f->node, f->what), f->chains, f->sources, f->least * 100,
	       f->most * 100, f->optimum * 100);
	if (f->lost)
		printf("   %u chain%s lost", f->lost, f->lost == 1 ? "" : "s");
	if (f->survivors <= CHECK_WIDE)
		for (i = 0, printf("  "); i < (f->node ? g->nr_nodes : g->nr_disks); i++)
			if (extra[i] >= 0)
				printf(" %s +%.1f %%", check_name(g, f->node, i), extra[i] * 100);
	putchar('\n');
}

/* All disks, or all servers, fail one after the other. Return: 0, or 1 after a message. */
static int check_kind(const struct cli_ground *g, bool node, bool text, json_t *out,
		      struct check_sum *sum)
{
	struct place_chains c = cli_ground_chains(g);
	double *extra = calloc((size_t)g->nr_disks + g->nr_nodes + 1, sizeof(double));
	struct place_failure f;
	u32 i;

	*sum = (struct check_sum){ 0 };
	for (i = 0; i < (node ? g->nr_nodes : g->nr_disks); i++) {
		if (!extra || place_fail(&c, node, i, &f, extra)) {
			free(extra);
			return cli_fail("out of memory");
		}
		if (!f.chains)
			continue;
		sum->failures++;
		sum->lost += f.lost;
		if (f.most > sum->most) {
			sum->most = f.most;
			sum->optimum = f.optimum;
		}
		if (text && sum->failures == 1)
			printf("%s that fails        chains  sources   load of others      optimum\n",
			       node ? "server" : "disk  ");
		if (text)
			check_line(g, &f, extra);
		json_array_append_new(out, check_json(g, &f, extra));
	}
	free(extra);
	return 0;
}

static json_t *check_range(const u32 range[2])
{
	return json_pack("[i, i]", (int)range[0], (int)range[1]);
}

static void check_summary(const struct cli_ground *g, const struct place_summary *s,
			  const struct check_sum *disk, const struct check_sum *node)
{
	printf("\n%u chains on %u disks of %u servers\n", g->nr_chains, g->nr_disks, g->nr_nodes);
	printf("  two disks share %u to %u chains, two servers %u to %u\n", s->disk_pair[0],
	       s->disk_pair[1], s->node_pair[0], s->node_pair[1]);
	printf("  a disk is in %u to %u chains, head of %u to %u, tail of %u to %u\n", s->slots[0],
	       s->slots[1], s->heads[0], s->heads[1], s->tails[0], s->tails[1]);
	printf("  at worst a lost disk gives another one %.1f %% more to do (optimum %.1f %%), a lost server %.1f %% (optimum %.1f %%)\n",
	       disk->most * 100, disk->optimum * 100, node->most * 100, node->optimum * 100);
	if (disk->lost || node->lost)
		puts("  WARNING: some failures lose the only copy of a chain: 'flint chain replicas' adds copies");
	if (s->crowded)
		printf("  WARNING: %u chains have two replicas on one machine\n", s->crowded);
}

int cli_chain_check(struct cli *c)
{
	bool text = !cli_opt(c, CLI_OPT_JSON);
	json_t *failures = json_array(), *out;
	struct check_sum disk, node;
	struct place_summary s;
	struct place_chains chains;
	struct cli_ground g;
	int ret = 1;

	if (cli_ground_read(c, &g))
		goto out;
	chains = cli_ground_chains(&g);
	if (!g.nr_chains) {
		cli_fail("there are no chains yet: 'flint chain create' makes them");
	} else if (place_summarize(&chains, &s)) {
		cli_fail("out of memory");
	} else if (!check_kind(&g, false, text, failures, &disk) &&
		   !check_kind(&g, true, text, failures, &node)) {
		ret = disk.lost || node.lost || s.crowded;
		out = json_pack("{s:I, s:i, s:O, s:o, s:o, s:o, s:o, s:o, s:i}", "epoch",
				(json_int_t)g.epoch, "chains", (int)g.nr_chains, "failures",
				failures, "disk_pairs", check_range(s.disk_pair), "node_pairs",
				check_range(s.node_pair), "heads", check_range(s.heads), "tails",
				check_range(s.tails), "slots", check_range(s.slots), "crowded",
				(int)s.crowded);
		if (text)
			check_summary(&g, &s, &disk, &node);
		else
			cli_print_json(out);
		json_decref(out);
	}
	cli_ground_free(&g);
out:
	json_decref(failures);
	return ret;
}
