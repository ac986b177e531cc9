// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What happened to nodes, targets and chains, and settings that may be changed
 * while the cluster runs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../userd/base/conf.h"
#include "cli.h"
#include "cli_fs.h"

/* ---- history ------------------------------------------------------------ */

/* @since_ns: of the wall clock; @chain, @target: 0: any. */
struct history_filter {
	uint64_t chain, target, since_ns;
	const char *node;
};

static uint64_t history_int(json_t *e, const char *key)
{
	return json_integer_value(json_object_get(e, key));
}

/* A node's going and coming concerns its targets, but only those asked for by --node show it. */
static bool history_wanted(json_t *e, const struct history_filter *f)
{
	const char *node = json_string_value(json_object_get(e, "node_name"));

	return history_int(e, "time_ns") >= f->since_ns &&
	       (!f->chain || history_int(e, "chain") == f->chain) &&
	       (!f->target || history_int(e, "target") == f->target) &&
	       (!f->node || (node && !strcmp(node, f->node)));
}

static int history_filter_get(const struct cli *c, struct history_filter *f)
{
	const char *since = cli_opt(c, CLI_OPT_SINCE);
	struct timespec now;
	uint64_t secs;

	memset(f, 0, sizeof(*f));
	f->node = cli_opt(c, CLI_OPT_NODE);
	if (cli_number(c, CLI_OPT_CHAIN, "chain", 0, 1, UINT32_MAX, &f->chain) ||
	    cli_number(c, CLI_OPT_TARGET, "target", 0, 1, UINT32_MAX, &f->target))
		return 1;
	if (!since)
		return 0;
	if (cli_duration(since, &secs))
		return cli_fail("--since takes how long ago, such as 90s, 10m, 12h or 7d, not '%s'",
				since);
	clock_gettime(CLOCK_REALTIME, &now);
	if (secs < (uint64_t)now.tv_sec)
		f->since_ns = (now.tv_sec - secs) * 1000000000ull;
	return 0;
}

static void history_print(json_t *e)
{
	uint64_t ns = history_int(e, "time_ns");
	time_t s = ns / 1000000000;
	char when[32];
	struct tm tm;

	localtime_r(&s, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s.%03u  epoch %-6" PRIu64 " %s\n", when, (unsigned int)(ns / 1000000 % 1000),
	       history_int(e, "epoch"), json_string_value(json_object_get(e, "words")));
}

int cli_history(struct cli *c)
{
	json_t *all, *events, *e, *out = json_array();
	struct history_filter f;
	size_t i;

	if (history_filter_get(c, &f))
		return 1;
	all = cli_api(c, "GET", "/v1/history", NULL);
	if (!all)
		return 1;
	events = json_object_get(all, "events");
	json_array_foreach(events, i, e)
		if (history_wanted(e, &f))
			json_array_append(out, e);
	if (cli_opt(c, CLI_OPT_JSON)) {
		json_object_set(all, "events", out);
		cli_print_json(all);
	} else {
		json_array_foreach(out, i, e)
			history_print(e);
		if (!json_array_size(out))
			puts("nothing has happened that is asked for");
	}
	json_decref(out);
	json_decref(all);
	return 0;
}

/* ---- settings ----------------------------------------------------------- */

/**
 * struct setting - what may be set
 * @size: bytes, with K, M, G or T
 */
static const struct setting {
	const char *key, *unit, *what;
	bool size;
} settings[] = {
	{ "lease_ms", "ms",
	  "how long a server may be silent before others take its place, 2000 to 120000", false },
	{ "recovery_bps", "bytes/s", "what recovery may send from one target, 0: no limit", true },
	{ "scrub_days", "days", "in which every chunk is read once in the background, 0: never",
	  false },
};

static void setting_print(const struct setting *s, json_t *values)
{
	uint64_t v = json_integer_value(json_object_get(values, s->key));
	char text[32];

	if (s->size)
		flint_size_format(v, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%" PRIu64, v);
	printf("%-14s %10s %-8s %s\n", s->key, text, s->size ? "/s" : s->unit, s->what);
}

static int settings_print(struct cli *c, json_t *values, const char *only)
{
	bool found = false;
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (only && strcmp(only, settings[i].key))
			continue;
		found = true;
		if (!cli_opt(c, CLI_OPT_JSON))
			setting_print(&settings[i], values);
	}
	if (!found)
		return cli_fail("there is no setting '%s': 'flint get' lists them", only);
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(values);
	return 0;
}

int cli_get(struct cli *c)
{
	json_t *values = cli_api(c, "GET", "/v1/settings", NULL);
	int ret;

	if (!values)
		return 1;
	ret = settings_print(c, values, c->nr_words ? c->words[0] : NULL);
	json_decref(values);
	return ret;
}

int cli_set(struct cli *c)
{
	const char *key = c->words[0], *text = c->words[1];
	json_t *reply, *body;
	uint64_t v;
	char *end;
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (!strcmp(settings[i].key, key))
			break;
	if (i == sizeof(settings) / sizeof(settings[0]))
		return cli_fail("there is no setting '%s': 'flint get' lists them", key);
	v = strtoull(text, &end, 10);
	if ((*end || !*text || *text == '-') &&
	    (!settings[i].size || flint_size_parse(text, &v)))
		return cli_fail("%s takes a number (%s), not '%s'", key, settings[i].unit, text);
	body = json_pack("{s:I}", key, (json_int_t)v);
	reply = cli_api(c, "POST", "/v1/settings", body);
	if (!reply)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(reply);
	else
		printf("%s is %s now; all servers know within a third of a lease\n", key, text);
	json_decref(reply);
	return 0;
}
