// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint client top: what the mounts of this machine do per second, and how long it takes, from the
 * difference of two looks at their counters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "cli_client.h"

#define TOP_ROWS	12	/* operations of a mount, servers of a mount */

/* ---- differences ------------------------------------------------------ */

/* Element of @list with the same @key as @like, or NULL. */
static json_t *top_same(json_t *list, const char *key, json_t *like)
{
	const char *want = json_string_value(json_object_get(like, key)), *have;
	json_t *e;
	size_t i;

	json_array_foreach(list, i, e) {
		have = json_string_value(json_object_get(e, key));
		if (have && want && !strcmp(have, want))
			return e;
	}
	return NULL;
}

static json_int_t top_num(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* What was added to the number @key from @was, which may be NULL, to @is. */
static json_int_t top_more(json_t *is, json_t *was, const char *key)
{
	return top_num(is, key) - top_num(was, key);
}

/* One operation in the time: NULL if none ended. */
static json_t *top_operation(json_t *is, json_t *was, double sec)
{
	json_int_t n = top_more(is, was, "count"), ns = top_more(is, was, "sum_ns");
	json_t *now = json_object_get(is, "buckets"), *old = json_object_get(was, "buckets");
	json_t *diff, *o, *b;
	size_t i;

	if (n <= 0)
		return NULL;
	diff = json_array();
	json_array_foreach(now, i, b)
		json_array_append_new(diff, json_integer(json_integer_value(b) -
					json_integer_value(json_array_get(old, i))));
	o = json_pack("{s:O, s:f, s:I, s:I, s:I, s:I}",
		      "operation", json_object_get(is, "operation"), "per_second", n / sec,
		      "failed", top_more(is, was, "failed"), "mean_us", ns / n / 1000,
		      "p50_us", (json_int_t)cli_client_quantile(diff, 500),
		      "p99_us", (json_int_t)cli_client_quantile(diff, 990));
	json_decref(diff);
	return o;
}

static int top_busier(const void *a, const void *b)
{
	double x = json_real_value(json_object_get(*(json_t *const *)a, "per_second"));
	double y = json_real_value(json_object_get(*(json_t *const *)b, "per_second"));

	return x < y ? 1 : x > y ? -1 : 0;
}

/* The busiest first. Takes @list over. */
static json_t *top_sorted(json_t *list)
{
	size_t i, n = json_array_size(list);
	json_t **all = calloc(n + 1, sizeof(*all)), *out = json_array();

	for (i = 0; all && i < n; i++)
		all[i] = json_array_get(list, i);
	if (all)
		qsort(all, n, sizeof(*all), top_busier);
	for (i = 0; all && i < n; i++)
		json_array_append(out, all[i]);
	free(all);
	json_decref(list);
	return out;
}

static json_t *top_operations(json_t *is, json_t *was, double sec, double *rate)
{
	json_t *list = json_array(), *o, *row;
	json_t *ops = json_object_get(is, "operations"), *old = json_object_get(was, "operations");
	size_t i;

	*rate = 0;
	json_array_foreach(ops, i, o) {
		row = top_operation(o, top_same(old, "operation", o), sec);
		if (!row)
			continue;
		*rate += json_real_value(json_object_get(row, "per_second"));
		json_array_append_new(list, row);
	}
	return top_sorted(list);
}

static json_t *top_peer(json_t *is, json_t *was, double sec)
{
	double rate;
	json_t *ops = top_operations(is, was, sec, &rate);

	return json_pack("{s:O, s:O, s:O, s:O, s:O, s:f, s:o}", "address",
			 json_object_get(is, "address"), "role", json_object_get(is, "role"),
			 "state", json_object_get(is, "state"), "inflight",
			 json_object_get(is, "inflight"), "rtt_us", json_object_get(is, "rtt_us"),
			 "per_second", rate, "operations", ops);
}

static json_t *top_mount(json_t *is, json_t *was, double sec)
{
	json_t *c = json_object_get(is, "counters"), *o = json_object_get(was, "counters");
	json_t *peers = json_array(), *p;
	double rate;
	json_t *ops = top_operations(is, was, sec, &rate);
	size_t i;

	json_array_foreach(json_object_get(is, "peers"), i, p)
		json_array_append_new(peers, top_peer(p, top_same(json_object_get(was, "peers"),
								  "address", p), sec));
	return json_pack("{s:O, s:O, s:O, s:f, s:f, s:f, s:f, s:f, s:o, s:o}",
			 "mount", json_object_get(is, "mount"), "name", json_object_get(is, "name"),
			 "state", json_object_get(is, "state"),
			 "read_bytes_per_second", top_more(c, o, "read_bytes") / sec,
			 "write_bytes_per_second", top_more(c, o, "write_bytes") / sec,
			 "meta_per_second", top_more(c, o, "meta_ops") / sec,
			 "retries_per_second", top_more(c, o, "retries") / sec,
			 "requests_per_second", rate, "operations", ops,
			 "peers", top_sorted(peers));
}

/* ---- printing --------------------------------------------------------- */

static double top_real(json_t *o, const char *key)
{
	return json_real_value(json_object_get(o, key));
}

static const char *top_str(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static void top_print(json_t *m)
{
	json_t *o, *p;
	size_t i;

	printf("%s %s %s: read %.1f MB/s, write %.1f MB/s, %.0f requests/s, %.0f retries/s\n",
	       top_str(m, "mount"), top_str(m, "name"), top_str(m, "state"),
	       top_real(m, "read_bytes_per_second") / 1e6,
	       top_real(m, "write_bytes_per_second") / 1e6, top_real(m, "requests_per_second"),
	       top_real(m, "retries_per_second"));
	printf("  %-24s %10s %8s %9s %9s %9s\n", "operation", "per s", "failed", "mean us",
	       "p50 us <", "p99 us <");
	json_array_foreach(json_object_get(m, "operations"), i, o)
		if (i < TOP_ROWS)
			printf("  %-24s %10.0f %8lld %9lld %9lld %9lld\n", top_str(o, "operation"),
			       top_real(o, "per_second"), (long long)top_num(o, "failed"),
			       (long long)top_num(o, "mean_us"), (long long)top_num(o, "p50_us"),
			       (long long)top_num(o, "p99_us"));
	printf("  %-24s %10s %8s %9s %9s %9s\n", "server", "per s", "state", "in flight", "rtt us",
	       "role");
	json_array_foreach(json_object_get(m, "peers"), i, p)
		if (i < TOP_ROWS)
			printf("  %-24s %10.0f %8s %9lld %9lld %9s\n", top_str(p, "address"),
			       top_real(p, "per_second"), top_str(p, "state"),
			       (long long)top_num(p, "inflight"), (long long)top_num(p, "rtt_us"),
			       top_str(p, "role"));
}

static void top_show(json_t *is, json_t *was, double sec, bool json)
{
	json_t *m, *row, *all = json_array();
	size_t i;

	json_array_foreach(is, i, m) {
		row = top_mount(m, top_same(was, "mount", m), sec);
		if (row)
			json_array_append_new(all, row);
	}
	if (json) {
		char *text = json_dumps(all, JSON_COMPACT);

		puts(text ? text : "[]");
		free(text);
	} else {
		if (isatty(1))
			fputs("\033[H\033[2J", stdout);
		if (!json_array_size(all))
			puts("no FlintFS file system is mounted");
		json_array_foreach(all, i, m)
			top_print(m);
	}
	json_decref(all);
	fflush(stdout);
}

static double top_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int cli_client_top(struct cli *c)
{
	uint64_t every, left;
	json_t *was, *is;
	double at, now;
	char id[256];

	if (cli_client_id(c, id, sizeof(id)) ||
	    cli_number(c, CLI_OPT_INTERVAL, "interval", 2, 1, 3600, &every) ||
	    cli_number(c, CLI_OPT_COUNT, "count", UINT64_MAX, 1, UINT64_MAX, &left))
		return 1;
	was = cli_client_gather(id);
	at = top_now();
	while (was && left--) {
		sleep((unsigned int)every);
		is = cli_client_gather(id);
		now = top_now();
		if (is)
			top_show(is, was, now - at, cli_opt(c, CLI_OPT_JSON));
		json_decref(was);
		was = is;
		at = now;
	}
	if (!was)
		return 1;
	json_decref(was);
	return 0;
}
