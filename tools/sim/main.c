// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-datasim: what clusters of 180 and of 1,000 servers would read, of what
 * their links could carry. First it shows that it arrives at the published figure
 * of a comparable system with that system's choices.
 */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../userd/base/conf.h"
#include "sim.h"

#define MIB		(1ull << 20)
#define USED		9800000000000ull	/* bytes of a disk of 14 TB that is 70 % full */

/* Hardware as published for the comparable system; see Documentation/simulator.rst. */
static const struct sim_conf sim_base = {
	.nodes = 180, .disks = 16, .slots = 6, .replicas = 3, .clients = 500, .streams = 16,
	.batch = 1, .len = MIB, .links = 2, .link = 24800000000ull, .disk = 6800000000ull,
	.disk_ns = 90000, .wire_ns = 3000, .choice = SIM_LEAST, .rails = SIM_EVEN,
	.warm_ns = 10000000, .run_ns = 30000000, .seed = 1,
};

/**
 * struct work - something to simulate
 * @goal: share that is wanted, 0: none
 */
struct work {
	const char *name, *about;
	void (*set)(struct sim_conf *c);
	double goal;
	bool rebuild;
};

static void set_3fs(struct sim_conf *c)
{
	c->choice = SIM_BATCH;
	c->rails = SIM_LOT;
	c->streams = 1;
	c->batch = 8;
}

static void set_1m(struct sim_conf *c)
{
}

static void set_128k(struct sim_conf *c)
{
	c->len = MIB / 8;
	c->streams *= 8;
	c->run_ns /= 2;
}

static void set_nodelost(struct sim_conf *c)
{
	c->lost = 1;
}

static void set_1000(struct sim_conf *c)
{
	c->nodes = 1000;
	c->slots = 3;
	c->clients = 2800;
	c->run_ns /= 2;
}

static const struct work works[] = {
	{ "sim-3fs-read", "calibration: the choices of 3FS, of which 75 % are published", set_3fs, 0, false },
	{ "sim-180-read-1m", "180 servers, random reads of 1 MiB", set_1m, .9, false },
	{ "sim-180-read-128k", "180 servers, random reads of 128 KiB", set_128k, .9, false },
	{ "sim-180-nodelost", "180 servers less one, random reads of 1 MiB", set_nodelost, .9, true },
	{ "sim-1000-read-1m", "1,000 servers, random reads of 1 MiB", set_1000, .9, true },
};

/**
 * struct opts - the command line
 */
struct opts {
	const char *only, *choice, *rails;
	bool json, told;
	long streams, batch, clients, run_ms, seed;
};

static const struct argp_option options[] = {
	{ "only", 'o', "NAME", 0, "Only this work", 0 },
	{ "json", 'j', NULL, 0, "Print one JSON object", 0 },
	{ "choice", 'c', "WHAT", 0, "How a replica is chosen: least, batch, random", 1 },
	{ "rails", 'r', "HOW", 0, "How connections are shared out to links: even, lot", 1 },
	{ "told", 't', NULL, 0, "Replies tell how much waits at the server", 1 },
	{ "streams", 's', "N", 0, "Streams of a client", 1 },
	{ "batch", 'B', "N", 0, "Requests of a stream's batch", 1 },
	{ "clients", 'C', "N", 0, "Clients", 1 },
	{ "run-ms", 'R', "MS", 0, "Virtual time that is counted", 1 },
	{ "seed", 'S', "N", 0, "Of everything that is drawn by lot", 1 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct opts *o = state->input;

	switch (key) {
	case 'o': o->only = arg; break;
	case 'j': o->json = true; break;
	case 'c': o->choice = arg; break;
	case 'r': o->rails = arg; break;
	case 't': o->told = true; break;
	case 's': o->streams = atol(arg); break;
	case 'B': o->batch = atol(arg); break;
	case 'C': o->clients = atol(arg); break;
	case 'R': o->run_ms = atol(arg); break;
	case 'S': o->seed = atol(arg); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* Return: 0, or 1 after a message. */
static int opts_apply(const struct opts *o, struct sim_conf *c)
{
	if (o->choice)
		c->choice = !strcmp(o->choice, "random") ? SIM_RANDOM :
			    !strcmp(o->choice, "batch") ? SIM_BATCH : SIM_LEAST;
	if (o->rails)
		c->rails = !strcmp(o->rails, "lot") ? SIM_LOT : SIM_EVEN;
	c->told |= o->told;
	c->streams = o->streams > 0 ? o->streams : c->streams;
	c->batch = o->batch > 0 ? o->batch : c->batch;
	c->clients = o->clients > 0 ? o->clients : c->clients;
	c->run_ns = o->run_ms > 0 ? o->run_ms * 1000000ull : c->run_ns;
	c->seed = o->seed > 0 ? (u64)o->seed : c->seed;
	if (c->batch <= SIM_BATCH_MAX && (u64)c->clients * c->streams * c->batch < 100000000)
		return 0;
	fprintf(stderr, "flint-datasim: a batch has at most %d requests, and all clients 10^8\n",
		SIM_BATCH_MAX);
	return 1;
}

static json_t *row_of(const struct work *w, const struct sim_conf *c, const struct sim_result *r,
		      const struct sim_rebuild *b, double took_s)
{
	json_t *row = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:I, s:I, s:f, s:f, s:f}",
				"work", w->name, "about", w->about, "servers",
				(int)(c->nodes - c->lost), "clients", (int)c->clients, "in_flight",
				(int)(c->streams * c->batch), "bytes", (int)c->len, "bytes_per_s",
				r->bytes_per_s, "share", r->share, "p50_us",
				(json_int_t)(r->p50_ns / 1000), "p99_us",
				(json_int_t)(r->p99_ns / 1000), "busiest", r->busiest, "idlest",
				r->idlest, "took_s", took_s);

	if (w->goal > 0)
		json_object_set_new(row, "goal", json_real(w->goal));
	if (w->rebuild)
		json_object_set_new(row, "rebuild",
			json_pack("{s:I, s:f, s:f, s:i}", "bytes", (json_int_t)b->bytes,
				  "spread_s", b->spread_s, "replace_s", b->replace_s,
				  "source_disks", (int)b->sources));
	return row;
}

static void print_row(const struct work *w, const struct sim_result *r, const struct sim_rebuild *b)
{
	printf("%-18s %6.2f TB/s  %5.1f %% of the ideal", w->name, r->bytes_per_s / 1e12,
	       r->share * 100);
	if (w->goal > 0)
		printf(" (goal %.0f %%)", w->goal * 100);
	printf("  p50 %llu us  p99 %llu us  links %.0f to %.0f %% busy\n",
	       (unsigned long long)r->p50_ns / 1000, (unsigned long long)r->p99_ns / 1000,
	       r->idlest * 100, r->busiest * 100);
	if (w->rebuild)
		printf("%-18s rebuild of %.0f TB: %.0f s to free targets of all others, %.0f s to one new server (half of disks and links)\n",
		       "", b->bytes / 1e12, b->spread_s, b->replace_s);
}

/* Return: 0, or 1 after a message. */
static int work_do(const struct work *w, const struct opts *o, json_t *rows)
{
	struct sim_conf c = sim_base;
	struct sim_rebuild b = { 0 };
	struct timespec t0, t1;
	struct sim_result r;
	int ret;

	w->set(&c);
	if (opts_apply(o, &c))
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	ret = sim_run(&c, &r);
	if (!ret && w->rebuild)
		ret = sim_rebuild(&c, USED, .5, &b);
	if (ret) {
		fprintf(stderr, "flint-datasim: %s: %s\n", w->name, strerror(-ret));
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	json_array_append_new(rows, row_of(w, &c, &r, &b,
					   t1.tv_sec - t0.tv_sec + (t1.tv_nsec - t0.tv_nsec) / 1e9));
	if (!o->json)
		print_row(w, &r, &b);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse,
		.doc = "Simulate the data path of large clusters in virtual time.",
	};
	json_t *rows = json_array(), *out;
	struct opts o = { 0 };
	int ret = 0, found = 0;
	size_t i;

	argp_err_exit_status = 2;
	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return 2;
	for (i = 0; i < sizeof(works) / sizeof(works[0]) && !ret; i++) {
		if (o.only && strcmp(o.only, works[i].name))
			continue;
		found++;
		ret = work_do(&works[i], &o, rows);
	}
	if (!found) {
		fprintf(stderr, "flint-datasim: there is no work '%s'\n", o.only);
		ret = 2;
	}
	out = json_pack("{s:s, s:s, s:o}", "kind", "simulation", "unit", "bytes per second of virtual time",
			"rows", rows);
	if (o.json && !ret)
		json_dumpf(out, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	json_decref(out);
	return ret;
}
