// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands that show: status in words, listings as tables or as JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/conf.h"
#include "cli.h"

void cli_print_json(json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
}

static json_int_t cli_int(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *cli_str(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* ---- status ----------------------------------------------------------- */

static void cli_count(json_t *status, const char *key, const char *word, const char *sep)
{
	json_t *o = json_object_get(status, key);

	printf("%s %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " up%s", word,
	       cli_int(o, "up"), cli_int(o, "known"), sep);
}

/* Return: exit status: 0 healthy, 1 degraded. */
int cli_print_status(json_t *status)
{
	json_t *problems = json_object_get(status, "problems"), *targets, *p;
	char used[32], capacity[32];
	size_t i;

	targets = json_object_get(status, "targets");
	printf("cluster %s: ", cli_str(status, "cluster"));
	if (!json_array_size(problems))
		printf("healthy\n");
	else
		printf("%zu problem%s\n", json_array_size(problems),
		       json_array_size(problems) == 1 ? "" : "s");
	json_array_foreach(problems, i, p)
		printf("  %zu. %s\n     what to do: %s\n", i + 1, cli_str(p, "what"),
		       cli_str(p, "remedy"));
	json_array_foreach(json_object_get(status, "recovery"), i, p)
		printf("  recovery: %s\n", cli_str(p, "words"));
	cli_count(status, "managers", "  managers:", ",");
	cli_count(status, "metadata_servers", " metadata servers:", ",");
	cli_count(status, "chunk_servers", " chunk servers:", "\n");
	printf("  targets: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
	       " serving, chains: %" JSON_INTEGER_FORMAT ", file systems: %" JSON_INTEGER_FORMAT
	       ", map epoch: %" JSON_INTEGER_FORMAT "\n",
	       cli_int(targets, "serving"), cli_int(targets, "known"), cli_int(status, "chains"),
	       cli_int(status, "file_systems"), cli_int(status, "epoch"));
	printf("  space: %s used of %s\n",
	       flint_size_format(cli_int(status, "used"), used, sizeof(used)),
	       flint_size_format(cli_int(status, "capacity"), capacity, sizeof(capacity)));
	return json_array_size(problems) ? 1 : 0;
}

int cli_status(struct cli *c)
{
	json_t *status = cli_api(c, "GET", "/v1/status", NULL);
	int ret;

	if (!status)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON)) {
		cli_print_json(status);
		ret = json_is_true(json_object_get(status, "healthy")) ? 0 : 1;
	} else {
		ret = cli_print_status(status);
	}
	json_decref(status);
	return ret;
}

/* ---- tables ----------------------------------------------------------- */

#define CLI_COLUMNS_MAX	8

/**
 * struct cli_column - one column of a listing
 * @size: the value is bytes, shown with a unit
 */
struct cli_column {
	const char *title;
	const char *key;
	bool size;
};

static void cli_cell(json_t *row, const struct cli_column *col, char *out, size_t len)
{
	json_t *v = json_object_get(row, col->key), *item;
	size_t i, n = 0;

	out[0] = 0;
	if (json_is_integer(v) && col->size)
		flint_size_format(json_integer_value(v), out, len);
	else if (json_is_integer(v))
		snprintf(out, len, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_string(v))
		snprintf(out, len, "%s", json_string_value(v));
	else
		json_array_foreach(v, i, item) {
			if (json_is_object(item))
				n += snprintf(out + n, len - n, "%s%" JSON_INTEGER_FORMAT " %s",
					      i ? ", " : "", cli_int(item, "id"),
					      cli_str(item, "state"));
			else if (json_is_integer(item))
				n += snprintf(out + n, len - n, "%s%" JSON_INTEGER_FORMAT,
					      i ? " " : "", json_integer_value(item));
			else
				n += snprintf(out + n, len - n, "%s%s", i ? ", " : "",
					      json_string_value(item));
			if (n >= len)
				break;
		}
}

static void cli_table(json_t *rows, const struct cli_column *cols)
{
	int width[CLI_COLUMNS_MAX];
	char cell[256];
	json_t *row;
	size_t i, j;

	for (j = 0; cols[j].title; j++) {
		width[j] = strlen(cols[j].title);
		json_array_foreach(rows, i, row) {
			cli_cell(row, &cols[j], cell, sizeof(cell));
			if ((int)strlen(cell) > width[j])
				width[j] = strlen(cell);
		}
	}
	for (j = 0; cols[j].title; j++)
		printf("%-*s", cols[j + 1].title ? width[j] + 2 : 0, cols[j].title);
	putchar('\n');
	json_array_foreach(rows, i, row) {
		for (j = 0; cols[j].title; j++) {
			cli_cell(row, &cols[j], cell, sizeof(cell));
			printf("%-*s", cols[j + 1].title ? width[j] + 2 : 0, cell);
		}
		putchar('\n');
	}
}

/* Fetch a listing and print it. Return: exit status. */
static int cli_list(struct cli *c, const char *path, const char *key,
		    const struct cli_column *cols, const char *none)
{
	json_t *all = cli_api(c, "GET", path, NULL);
	json_t *rows;

	if (!all)
		return 1;
	rows = json_object_get(all, key);
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(all);
	else if (json_array_size(rows))
		cli_table(rows, cols);
	else
		puts(none);
	json_decref(all);
	return 0;
}

static const struct cli_column cli_node_cols[] = {
	{ "ID", "id", false }, { "NAME", "name", false }, { "ROLE", "role", false },
	{ "STATE", "state", false }, { "ADDRESSES", "addresses", false }, { 0 },
};

static const struct cli_column cli_target_cols[] = {
	{ "ID", "id", false }, { "NODE", "node_name", false }, { "CHAIN", "chain", false },
	{ "STATE", "state", false }, { "LOCAL", "local", false }, { "USED", "used", true },
	{ "CAPACITY", "capacity", true }, { 0 },
};

static const struct cli_column cli_chain_cols[] = {
	{ "ID", "id", false }, { "VERSION", "version", false }, { "TARGETS", "targets", false },
	{ 0 },
};

static const struct cli_column cli_table_cols[] = {
	{ "TABLE", "id", false }, { "VERSION", "version", false }, { "CHAINS", "chains", false },
	{ 0 },
};

static const struct cli_column cli_fs_cols[] = {
	{ "ID", "id", false }, { "NAME", "name", false }, { "STATE", "state", false },
	{ "CHUNK", "chunk_size", true }, { "STRIPE", "stripe", false },
	{ "METADATA", "metadata_server", false }, { 0 },
};

int cli_node_list(struct cli *c)
{
	return cli_list(c, "/v1/nodes", "nodes", cli_node_cols, "no node has reported yet");
}

int cli_target_list(struct cli *c)
{
	return cli_list(c, "/v1/targets", "targets", cli_target_cols,
			"no target has been reported yet: start a chunk server with one");
}

int cli_chain_list(struct cli *c)
{
	return cli_list(c, "/v1/chains", "chains", cli_chain_cols,
			"there are no chains yet: 'flint chain create' makes them");
}

int cli_fs_list(struct cli *c)
{
	return cli_list(c, "/v1/fs", "file_systems", cli_fs_cols,
			"there is no file system yet: 'flint fs create NAME' makes one");
}

int cli_map(struct cli *c)
{
	json_t *map = cli_api(c, "GET", "/v1/map", NULL);

	if (!map)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON)) {
		cli_print_json(map);
	} else {
		printf("map epoch %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
		       " bytes, lease %" JSON_INTEGER_FORMAT " ms\n\n",
		       cli_int(map, "epoch"), cli_int(map, "bytes"), cli_int(map, "lease_ms"));
		cli_table(json_object_get(map, "nodes"), cli_node_cols);
		putchar('\n');
		cli_table(json_object_get(map, "targets"), cli_target_cols);
		putchar('\n');
		cli_table(json_object_get(map, "chains"), cli_chain_cols);
		putchar('\n');
		cli_table(json_object_get(map, "tables"), cli_table_cols);
		putchar('\n');
		cli_table(json_object_get(map, "file_systems"), cli_fs_cols);
	}
	json_decref(map);
	return 0;
}
