// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The works of flint bench data, and what each is held against.
 *
 *	read-1m, read-4k	one chunk server, random reads, 8 and 32 in flight
 *	write-1m-r1		the same with writes
 *	write-1m-r3		three servers, one chain of three
 *	recovery		the third of them was down while everything was written anew
 *	sim-...			large clusters, by the simulator (simrows.c)
 *
 * A byte that is read comes off the disk and goes through the network: with a
 * disk and a network that move D and N bytes a second, one after the other, at
 * most 1 / (1/N + 1/D). Three replicas on one machine share both: a third of
 * that. A copy from disk to disk of one machine: 1 / (1/R + 1/W). Network and
 * disk are measured in the same rounds (netyard.c), turn by turn with ours.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define MIB		(1u << 20)
#define WAIT_MS		60000	/* for a target to be missed, and to be back */
#define RECOVERIES	3u	/* times it is measured at most: a lease passes each time */

struct data_run {
	const struct bench_data_options *o;
	struct bench_report rep;
	struct bench_cluster cluster;
	json_t *missing, *sim;
	uint64_t begin_ns;
	char err[BENCH_ERR_LEN];
};

static void say(const struct data_run *r, const char *what)
{
	if (!r->o->quiet)
		fprintf(stderr, "[%4.0f s] %s\n", (double)(flint_now_ns() - r->begin_ns) / 1e9,
			what);
}

static bool wanted(const struct data_run *r, const char *work)
{
	return !r->o->only || !strcmp(r->o->only, work);
}

/* ---- figures ------------------------------------------------------------ */

/* Large blocks in MB/s, small ones in operations a second. */
static double figure(struct data_run *r, const char *name, const struct bench_djob *job,
		     const struct bench_result *res, bool more)
{
	struct bench_figure *f = bench_figure(&r->rep, "%s", name);
	double v = res->seconds > 0 ? (double)res->ops / res->seconds : 0;

	if (job->block >= MIB) {
		v *= (double)job->block / 1e6;
		f->unit = "MB/s";
	}
	bench_figure_add(f, v);
	if (!more)
		return v;
	bench_figure_more(f, res);
	if (res->ops)
		json_object_set_new(f->more, "server_cpu_ns_per_byte", json_real(
			res->server_cpu_s * 1e9 / ((double)res->ops * (double)job->block)));
	return v;
}

static void bound(struct data_run *r, const char *name, const char *unit, double v)
{
	struct bench_figure *f = bench_figure(&r->rep, "%s", name);

	f->unit = unit;
	bench_figure_add(f, v);
}

static double both(double a, double b)
{
	return a > 0 && b > 0 ? 1 / (1 / a + 1 / b) : 0;
}

/* ---- works -------------------------------------------------------------- */

struct work {
	const char *name, *net, *disk, *bound;
	struct bench_djob job;
	double share;			/* of the bound that is there for us */
};

static struct work works[] = {
	{ "read-1m", "tcp-read-1m", "disk-read-1m", "bound-read-1m",
	  { .random = true, .block = MIB, .depth = 8 }, 1 },
	{ "read-4k", "tcp-read-4k", "disk-read-4k", "bound-read-4k",
	  { .random = true, .block = 4096, .depth = 32 }, 1 },
	{ "write-1m-r1", "tcp-write-1m", "disk-write-1m", "bound-write-1m",
	  { .write = true, .random = true, .block = MIB, .depth = 8 }, 1 },
	{ "write-1m-r3", "tcp-write-1m", "disk-write-1m", "bound-write-1m-r3",
	  { .write = true, .random = true, .block = MIB, .depth = 8 }, 1.0 / 3 },
};

/* One turn of a work: the network, the disk, ours. */
static int work_round(struct data_run *r, struct bench_dload *l, const struct work *w)
{
	struct bench_result res;
	double net, disk, before;
	int ret;

	ret = bench_yard_net(&w->job, &res, r->err, sizeof(r->err));
	if (ret)
		return ret;
	net = figure(r, w->net, &w->job, &res, true);
	ret = bench_yard_disk(r->o->dir, &w->job, &res, r->err, sizeof(r->err));
	if (ret)
		return ret;
	disk = figure(r, w->disk, &w->job, &res, false);
	bound(r, w->bound, w->job.block >= MIB ? "MB/s" : NULL, both(net, disk) * w->share);
	before = bench_cluster_chunk_cpu(&r->cluster);
	ret = bench_dload_run(l, &w->job, &res, r->err, sizeof(r->err));
	res.server_cpu_s = bench_cluster_chunk_cpu(&r->cluster) - before;
	if (!ret)
		figure(r, w->name, &w->job, &res, true);
	return ret;
}

static int work_run(struct data_run *r, struct bench_dload *l, struct work *w)
{
	unsigned int i;
	int ret = 0;

	if (!wanted(r, w->name))
		return 0;
	w->job.size = r->o->size;
	w->job.ms = r->o->ms;
	for (i = 0; i < r->o->rounds && !ret; i++)
		ret = work_round(r, l, w);
	say(r, w->name);
	return ret;
}

static int fill(struct data_run *r, struct bench_dload *l)
{
	const struct bench_djob job = {
		.write = true, .block = MIB, .depth = 8, .size = r->o->size,
	};
	struct bench_result res;

	return bench_dload_run(l, &job, &res, r->err, sizeof(r->err));
}

static int cluster_start(struct data_run *r, unsigned int servers)
{
	char dir[PATH_MAX + 16];

	snprintf(dir, sizeof(dir), "%s/cluster-d%u", r->o->dir, servers);
	say(r, servers == 1 ? "a cluster with one chunk server" :
	    "a cluster with a chain of three chunk servers");
	/* Room for what is written out of place meanwhile. */
	return bench_cluster_start_data(&r->cluster, dir, servers, servers,
					r->o->size * 3 + (512u << 20), r->err, sizeof(r->err));
}

static int run_one(struct data_run *r)
{
	struct bench_dload *l = NULL;
	unsigned int i;
	int ret = cluster_start(r, 1);

	if (!ret) {
		l = bench_dload_open(&r->cluster, "data", r->err, sizeof(r->err));
		ret = l ? fill(r, l) : -EIO;
	}
	for (i = 0; i < 3 && !ret; i++)
		ret = work_run(r, l, &works[i]);
	bench_dload_close(l);
	bench_cluster_stop(&r->cluster, r->o->keep);
	return ret;
}

/* ---- recovery ----------------------------------------------------------- */

/* How many targets are in that state? Negative: nobody says. */
static int targets_in(struct data_run *r, const char *state)
{
	json_t *got = bench_cluster_ask(&r->cluster, "/v1/targets", r->err, sizeof(r->err)), *t;
	size_t i;
	int n = 0;

	if (!got)
		return -EIO;
	json_array_foreach(json_object_get(got, "targets"), i, t) {
		const char *s = json_string_value(json_object_get(t, "state"));

		n += s && !strcmp(s, state);
	}
	json_decref(got);
	return n;
}

/* Until @nr targets serve. */
static int wait_serving(struct data_run *r, int nr)
{
	uint64_t until = flint_now_ns() + WAIT_MS * 1000000ull;

	while (flint_now_ns() < until) {
		if (targets_in(r, "serving") == nr)
			return 0;
		usleep(100000);
	}
	snprintf(r->err, sizeof(r->err), "%d targets do not serve within %d s", nr, WAIT_MS / 1000);
	return -ETIMEDOUT;
}

/* How long the last recovery took, by the managers' history: SYNCING to SERVING. */
static int recovery_s(struct data_run *r, double *s)
{
	json_t *got = bench_cluster_ask(&r->cluster, "/v1/history", r->err, sizeof(r->err)), *e;
	json_int_t began = 0;
	size_t i;

	if (!got)
		return -EIO;
	*s = 0;
	json_array_foreach(json_object_get(got, "events"), i, e) {
		const char *from = json_string_value(json_object_get(e, "from"));
		const char *to = json_string_value(json_object_get(e, "to"));
		json_int_t at = json_integer_value(json_object_get(e, "time_ns"));

		if (!from || !to)
			continue;
		if (strcmp(from, "syncing") && !strcmp(to, "syncing"))
			began = at;
		if (!strcmp(from, "syncing") && !strcmp(to, "serving") && at > began)
			*s = (double)(at - began) / 1e9;
	}
	json_decref(got);
	if (*s > 0)
		return 0;
	snprintf(r->err, sizeof(r->err), "the managers' history tells of no recovery");
	return -EIO;
}

/* What the disk does by itself: a copy from disk to disk is bound by both. */
static int copy_bound(struct data_run *r)
{
	const struct bench_djob in = { .block = MIB, .depth = 8, .size = r->o->size,
				       .ms = r->o->ms };
	struct bench_djob out = in;
	struct bench_result res;
	double rd, wr;
	int ret;

	out.write = true;
	ret = bench_yard_disk(r->o->dir, &in, &res, r->err, sizeof(r->err));
	if (ret)
		return ret;
	rd = figure(r, "disk-copy-read", &in, &res, false);
	ret = bench_yard_disk(r->o->dir, &out, &res, r->err, sizeof(r->err));
	if (ret)
		return ret;
	wr = figure(r, "disk-copy-write", &out, &res, false);
	bound(r, "copy-bound", "MB/s", both(rd, wr));
	return 0;
}

/* The third server's process dies, all is written anew, it comes back. */
static int recovery_round(struct data_run *r, struct bench_dload *l)
{
	int nr = (int)r->cluster.nr_chunks, ret = copy_bound(r);
	double before, cpu, copying = 0, all;
	uint64_t begin;

	if (ret)
		return ret;
	kill(r->cluster.chunk_pids[nr - 1], SIGKILL);
	ret = wait_serving(r, nr - 1);
	if (!ret)
		ret = fill(r, l);
	if (ret)
		return ret;
	r->cluster.chunk_pids[nr - 1] = 0;
	before = bench_cluster_chunk_cpu(&r->cluster);
	begin = flint_now_ns();
	ret = bench_cluster_again(&r->cluster, r->err, sizeof(r->err));
	if (!ret)
		ret = wait_serving(r, nr);
	all = (double)(flint_now_ns() - begin) / 1e9;
	cpu = bench_cluster_chunk_cpu(&r->cluster) - before;
	if (!ret)
		ret = recovery_s(r, &copying);
	if (ret)
		return ret;
	bound(r, "recovery", "MB/s", (double)r->o->size / 1e6 / copying);
	json_decref(bench_figure(&r->rep, "recovery")->more);
	bench_figure(&r->rep, "recovery")->more =
		json_pack("{s:f, s:f, s:I, s:f}", "from_restart_s", all, "copying_s", copying,
			  "bytes", (json_int_t)r->o->size, "server_cpu_ns_per_byte",
			  cpu * 1e9 / (double)r->o->size);
	return 0;
}

static int run_recovery(struct data_run *r, struct bench_dload *l)
{
	unsigned int i;
	int ret;

	if (!wanted(r, "recovery"))
		return 0;
	ret = fill(r, l);
	for (i = 0; i < r->o->rounds && i < RECOVERIES && !ret; i++) {
		ret = recovery_round(r, l);
		say(r, "recovery");
	}
	return ret;
}

static int run_three(struct data_run *r)
{
	struct bench_dload *l = NULL;
	int ret = cluster_start(r, 3);

	if (!ret) {
		l = bench_dload_open(&r->cluster, "data", r->err, sizeof(r->err));
		ret = l ? fill(r, l) : -EIO;
	}
	if (!ret)
		ret = work_run(r, l, &works[3]);
	if (!ret)
		ret = run_recovery(r, l);
	bench_dload_close(l);
	bench_cluster_stop(&r->cluster, r->o->keep);
	return ret;
}

/* ---- the document ------------------------------------------------------- */

static void note_missing(struct data_run *r, const char *what)
{
	json_array_append_new(r->missing, json_pack("{s:s, s:s}", "works", what, "why", r->err));
	fprintf(stderr, "flint: %s: %s\n", what, r->err);
}

static json_t *document(struct data_run *r)
{
	static const char * const pairs[][2] = {
		{ "read-1m", "bound-read-1m" }, { "read-1m", "tcp-read-1m" },
		{ "read-1m", "disk-read-1m" }, { "read-4k", "bound-read-4k" },
		{ "read-4k", "tcp-read-4k" }, { "read-4k", "disk-read-4k" },
		{ "write-1m-r1", "bound-write-1m" }, { "write-1m-r3", "bound-write-1m-r3" },
		{ "write-1m-r3", "disk-write-1m" }, { "recovery", "copy-bound" },
	};
	json_t *rows = json_array(), *m = r->rep.machine;
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		bench_report_row(&r->rep, rows, pairs[i][0], pairs[i][1]);
	json_array_extend(rows, r->sim);
	bench_machine(m, r->o->dir);
	json_object_set_new(m, "file_bytes", json_integer((json_int_t)r->o->size));
	json_object_set_new(m, "round_ms", json_integer(r->o->ms));
	return json_pack("{s:O, s:o, s:O}", "machine", m, "rows", rows, "missing", r->missing);
}

json_t *bench_data_run(const struct bench_data_options *o)
{
	const struct bench_djob prepare = {
		.write = true, .block = MIB, .depth = 8, .size = o->size,
	};
	struct data_run r = { .o = o, .begin_ns = flint_now_ns(), .missing = json_array(),
			      .sim = json_array() };
	char path[PATH_MAX + 16];
	struct bench_result res;
	json_t *doc = NULL;

	bench_report_init(&r.rep);
	if (mkdir(o->dir, 0700) && errno != EEXIST) {
		fprintf(stderr, "flint: cannot make %s (%s)\n", o->dir, strerror(errno));
	} else if (bench_yard_disk(o->dir, &prepare, &res, r.err, sizeof(r.err))) {
		fprintf(stderr, "flint: %s\n", r.err);
	} else {
		if ((wanted(&r, "read-1m") || wanted(&r, "read-4k") || wanted(&r, "write-1m-r1")) &&
		    run_one(&r))
			note_missing(&r, "one chunk server");
		if ((wanted(&r, "write-1m-r3") || wanted(&r, "recovery")) && run_three(&r))
			note_missing(&r, "three chunk servers");
		if (o->only ? !strncmp(o->only, "sim-", 4) : !o->no_sim) {
			say(&r, "large clusters, simulated");
			if (bench_sim_rows(o->only, r.sim, r.err, sizeof(r.err)))
				note_missing(&r, "simulated clusters");
		}
		doc = document(&r);
	}
	snprintf(path, sizeof(path), "%s/yard.dat", o->dir);
	unlink(path);
	json_decref(r.missing);
	json_decref(r.sim);
	bench_report_free(&r.rep);
	return doc;
}
