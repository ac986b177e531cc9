// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint bench meta and flint bench data: options, and the document that comes of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/log.h"
#include "bench/bench.h"
#include "cli.h"

/* Replace @path whole. Return: 0 or 1 after a message. */
static int write_doc(const char *path, json_t *doc)
{
	char tmp[PATH_MAX + 8];

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	if (json_dump_file(doc, tmp, JSON_INDENT(1)) || rename(tmp, path))
		return cli_fail("cannot write %s (%s)", path, strerror(errno));
	return 0;
}

static int bench_options(struct cli *c, struct bench_options *o)
{
	bool quick = cli_opt(c, CLI_OPT_QUICK);
	uint64_t clients, depth, rounds;
	const char *only = cli_opt(c, CLI_OPT_ONLY);

	if (cli_number(c, CLI_OPT_CLIENTS, "clients", 8, 1, 1024, &clients) ||
	    cli_number(c, CLI_OPT_DEPTH, "depth", 8, 1, 64, &depth) ||
	    cli_number(c, CLI_OPT_ROUNDS, "rounds", quick ? 2 : 3, 1, BENCH_ROUNDS_MAX, &rounds) ||
	    cli_number(c, CLI_OPT_FILES, "files", quick ? 20000 : 100000, 1000, 10000000,
		       &o->small) ||
	    cli_number(c, CLI_OPT_BIG, "big", quick ? 300000 : 10000000, 1000, 99000000, &o->big))
		return 1;
	if (only && strcmp(only, "r1") && strcmp(only, "big") && strcmp(only, "r3"))
		return cli_fail("--only takes r1, big or r3, not '%s'", only);
	o->dir = c->words[0];
	o->clients = (unsigned int)clients;
	o->depth = (unsigned int)depth;
	o->rounds = (unsigned int)rounds;
	o->r1 = !only || strcmp(only, "r3");
	o->grow = !only || !strcmp(only, "big");
	o->r3 = !only || !strcmp(only, "r3");
	o->keep = cli_opt(c, CLI_OPT_KEEP);
	o->quiet = cli_opt(c, CLI_OPT_JSON);
	return 0;
}

/* Print it, write it. Return: exit status. */
static int bench_tell(struct cli *c, json_t *doc)
{
	const char *out = cli_opt(c, CLI_OPT_OUT);
	int ret = 0;

	if (!doc)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(doc);
	else
		bench_report_print(doc);
	if (!cli_opt(c, CLI_OPT_JSON))
		bench_report_goals(doc);
	if (out)
		ret = write_doc(out, doc);
	json_decref(doc);
	return ret;
}

int cli_bench_meta(struct cli *c)
{
	struct bench_options o = { 0 };

	if (bench_options(c, &o))
		return 2;
	return bench_tell(c, bench_meta_run(&o));
}

int cli_bench_data(struct cli *c)
{
	bool quick = cli_opt(c, CLI_OPT_QUICK);
	struct bench_data_options o = {
		.dir = c->words[0], .only = cli_opt(c, CLI_OPT_ONLY),
		.no_sim = cli_opt(c, CLI_OPT_NO_SIM), .keep = cli_opt(c, CLI_OPT_KEEP),
		.quiet = cli_opt(c, CLI_OPT_JSON),
	};
	uint64_t rounds, ms;

	if (cli_number(c, CLI_OPT_ROUNDS, "rounds", quick ? 2 : 5, 1, BENCH_ROUNDS_MAX, &rounds) ||
	    cli_number(c, CLI_OPT_MS, "ms", quick ? 1000 : 3000, 10, 600000, &ms) ||
	    cli_size(c, CLI_OPT_SIZE, "size", quick ? 128u << 20 : 512u << 20, &o.size))
		return 2;
	if (o.size < 16u << 20 || o.size > 1ull << 40)
		return cli_fail("--size takes 16M to 1T") + 1;
	o.rounds = (unsigned int)rounds;
	o.ms = (unsigned int)ms;
	return bench_tell(c, bench_data_run(&o));
}
