// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What was measured, as rows: a work of ours held against a yardstick of the
 * same run, by the medians over the rounds. Everything is a rate, so a ratio
 * above 1 is in our favour. `spread` is (largest - smallest) / median.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

void bench_report_init(struct bench_report *r)
{
	memset(r, 0, sizeof(*r));
	r->machine = json_object();
	r->tail = &r->figures;
}

void bench_report_free(struct bench_report *r)
{
	struct bench_figure *f;

	while ((f = r->figures)) {
		r->figures = f->next;
		json_decref(f->more);
		free(f);
	}
	json_decref(r->machine);
}

struct bench_figure *bench_figure(struct bench_report *r, const char *fmt, ...)
{
	struct bench_figure *f;
	char name[40];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	for (f = r->figures; f; f = f->next)
		if (!strcmp(f->name, name))
			return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		abort();
	memcpy(f->name, name, sizeof(name));
	*r->tail = f;
	r->tail = &f->next;
	return f;
}

void bench_figure_add(struct bench_figure *f, double value)
{
	if (f->nr < BENCH_ROUNDS_MAX)
		f->value[f->nr++] = value;
}

static json_t *rounded(double v)
{
	return json_real((double)(int64_t)(v * 100 + 0.5) / 100);
}

void bench_figure_more(struct bench_figure *f, const struct bench_result *res)
{
	double n = res->ops ? (double)res->ops : 1;

	if (!f->more)
		f->more = json_object();
	json_object_set_new(f->more, "operations", json_integer((json_int_t)res->ops));
	json_object_set_new(f->more, "retries", json_integer((json_int_t)res->retries));
	json_object_set_new(f->more, "p50_us", rounded(bench_hist_us(&res->lat, 0.5)));
	json_object_set_new(f->more, "p99_us", rounded(bench_hist_us(&res->lat, 0.99)));
	json_object_set_new(f->more, "p99.9_us", rounded(bench_hist_us(&res->lat, 0.999)));
	json_object_set_new(f->more, "max_us", rounded((double)res->lat.max / 1000));
	json_object_set_new(f->more, "server_cpu_us_per_op", rounded(res->server_cpu_s * 1e6 / n));
	json_object_set_new(f->more, "load_cpu_us_per_op", rounded(res->load_cpu_s * 1e6 / n));
	if (res->seconds <= 0)
		return;
	json_object_set_new(f->more, "server_cpu", rounded(res->server_cpu_s / res->seconds));
	json_object_set_new(f->more, "load_cpu", rounded(res->load_cpu_s / res->seconds));
}

/* ---- rows ------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const struct bench_figure *f, double *spread)
{
	double v[BENCH_ROUNDS_MAX], mid;

	memcpy(v, f->value, sizeof(v));
	qsort(v, f->nr, sizeof(v[0]), by_value);
	mid = f->nr % 2 ? v[f->nr / 2] : (v[f->nr / 2 - 1] + v[f->nr / 2]) / 2;
	*spread = mid > 0 ? (v[f->nr - 1] - v[0]) / mid : 0;
	return mid;
}

static json_t *values(const struct bench_figure *f)
{
	json_t *a = json_array();
	unsigned int i;

	for (i = 0; i < f->nr; i++)
		json_array_append_new(a, rounded(f->value[i]));
	return a;
}

static double three_digits(double v)
{
	return (double)(int64_t)(v * 1000 + 0.5) / 1000;
}

/* What an operation costs the yardstick, if that was measured. */
static void take_cpu(json_t *row, json_t *theirs)
{
	static const char * const keys[] = { "server_cpu_us_per_op", "load_cpu_us_per_op" };
	char name[64];
	size_t i;

	for (i = 0; i < 2; i++) {
		json_t *v = json_object_get(theirs, keys[i]);

		snprintf(name, sizeof(name), "theirs_%s", keys[i]);
		if (v)
			json_object_set(row, name, v);
	}
}

void bench_report_row(struct bench_report *r, json_t *rows, const char *ours, const char *theirs)
{
	struct bench_figure *f = bench_figure(r, "%s", ours), *y = bench_figure(r, "%s", theirs);
	double a, b, spread, spread_theirs;
	json_t *row;

	if (!f->nr || !y->nr)
		return;
	a = median(f, &spread);
	b = median(y, &spread_theirs);
	row = json_pack("{s:s, s:s, s:o, s:s, s:s, s:o, s:f, s:i, s:f, s:f, s:{s:o, s:o}}",
			"work", ours, "transport", "tcp", "ours", rounded(a),
			"unit", f->unit ? f->unit : "op/s",
			"yardstick", theirs, "theirs", rounded(b),
			"ratio", three_digits(b > 0 ? a / b : 0), "rounds", (int)f->nr,
			"spread", three_digits(spread), "spread_theirs", three_digits(spread_theirs),
			"raw", "ours", values(f), "theirs", values(y));
	if (row && f->more)
		json_object_update(row, f->more);
	if (row)
		take_cpu(row, y->more);
	json_array_append_new(rows, row);
}

static double number(json_t *row, const char *key)
{
	return json_number_value(json_object_get(row, key));
}

void bench_report_print(json_t *doc)
{
	json_t *row, *m = json_object_get(doc, "machine"), *v;
	const char *key;
	size_t i;

	printf("%-14s %10s %-5s %-18s %10s %6s %7s %9s %9s %9s %7s %7s\n", "work", "ours",
	       "unit", "yardstick", "theirs", "ratio", "spread", "p50 us", "p99 us", "p99.9 us",
	       "srv us", "load us");
	json_array_foreach(json_object_get(doc, "rows"), i, row)
		printf("%-14s %10.0f %-5s %-18s %10.0f %6.2f %6.0f%% %9.1f %9.1f %9.1f %7.2f %7.2f\n",
		       json_string_value(json_object_get(row, "work")), number(row, "ours"),
		       json_string_value(json_object_get(row, "unit")),
		       json_string_value(json_object_get(row, "yardstick")), number(row, "theirs"),
		       number(row, "ratio"), 100 * number(row, "spread"), number(row, "p50_us"),
		       number(row, "p99_us"), number(row, "p99.9_us"),
		       number(row, "server_cpu_us_per_op"), number(row, "load_cpu_us_per_op"));
	printf("\n");
	json_object_foreach(m, key, v) {
		if (json_is_string(v))
			printf("%s: %s\n", key, json_string_value(v));
		else if (json_is_integer(v))
			printf("%s: %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(v));
		else
			printf("%s: %.1f\n", key, json_number_value(v));
	}
}

/* ---- goals ------------------------------------------------------------ */

/* Of a row, found by work (and yardstick): @key at least or at most @bound. */
struct goal {
	const char *work, *yardstick, *key;
	bool least;
	double bound;
	const char *what;
};

static const struct goal goals[] = {
	{ "create-r1", NULL, "ours", true, 100000, "creates/s, one replica" },
	{ "lookup-r1", NULL, "ours", true, 300000, "lookups/s" },
	{ "getattr-r1", NULL, "ours", true, 300000, "getattrs/s" },
	{ "create-r3", NULL, "ours", true, 40000, "creates/s, three replicas here" },
	{ "create-10m", NULL, "p99.9_us", false, 20000, "p99.9 of creates during flushes, us" },
	{ "create-r3", NULL, "p99.9_us", false, 20000, "the same, three replicas here" },
	{ "create-10m", "create-r1", "ratio", true, 0.6, "steady creates at 10m of those at 100k" },
	{ "lookup-10m", "lookup-r1", "ratio", true, 0.8, "lookups at 10m of those at 100k" },
	{ "readdir-deep", "readdir-first", "ratio", true, 0.5, "a page in the middle, of the first" },
	{ "stat-leased", NULL, "requests", false, 0, "requests for stat under lease" },
	{ "open-leased", NULL, "requests", false, 0, "requests for open under lease" },
	{ "read-1m", "bound-read-1m", "ratio", true, 0.9,
	  "1 MiB reads, of what network and disk allow" },
	{ "write-1m-r3", "bound-write-1m-r3", "ratio", true, 0.85,
	  "1 MiB writes to three replicas, of a third of what they allow" },
	{ "recovery", "copy-bound", "ratio", true, 0.7, "recovery, of a copy from disk to disk" },
	{ "sim-180-read-1m", NULL, "ratio", true, 0.9, "180 servers, 1 MiB reads, of the ideal" },
	{ "sim-180-read-128k", NULL, "ratio", true, 0.9, "180 servers, 128 KiB reads" },
	{ "sim-180-nodelost", NULL, "ratio", true, 0.9, "179 of 180 servers" },
	{ "sim-1000-read-1m", NULL, "ratio", true, 0.9, "1,000 servers, 1 MiB reads" },
	{ "create-10m", NULL, "state_bytes_per_file", false, 200, "bytes on disk a file" },
};

static json_t *row_find(json_t *doc, const char *work, const char *yardstick)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(doc, "rows"), i, row)
		if (!strcmp(json_string_value(json_object_get(row, "work")), work) &&
		    (!yardstick || !strcmp(json_string_value(json_object_get(row, "yardstick")),
					   yardstick)))
			return row;
	return NULL;
}

static void goal_print(const char *what, double is, double bound, bool least)
{
	printf("goal: %s: at %s %.10g: %s, %.10g\n", what, least ? "least" : "most", bound,
	       (least ? is >= bound : is <= bound) ? "reached" : "missed", three_digits(is));
}

void bench_report_goals(json_t *doc)
{
	json_t *row = row_find(doc, "create-lone", NULL);
	size_t i;

	printf("\n");
	for (i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
		json_t *r = row_find(doc, goals[i].work, goals[i].yardstick);

		if (r)
			goal_print(goals[i].what, number(r, goals[i].key), goals[i].bound,
				   goals[i].least);
	}
	if (row)
		goal_print("a lone create, us (2.5 fdatasync + 100)", number(row, "p50_us"),
			   number(row, "bound_us"), false);
}
