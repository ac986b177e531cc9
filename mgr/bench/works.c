// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The works of flint bench meta, and what each is held against.
 *
 *	create-r1, lookup-r1, getattr-r1   a small directory, one metadata server
 *	create-r1-conns, ...               the same requests in flight, each on a
 *	                                   connection and in a session of its own
 *	create-lone                        one client, one request at a time
 *	stat-leased, open-leased           one client's calls under leases
 *	create-delegated                   its creates under a dir-write lease
 *	create-N, lookup-N, getattr-N      the same on a directory of N files; creates
 *	                                   are those of the last fifth: the steady rate
 *	readdir-deep                       a page in the middle of that directory
 *	create-r3                          three metadata servers on this machine
 *
 * Lookups and getattrs ask for random files. A round makes a directory of its
 * own. A leader change during a round (this machine may be busy) repeats it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bench.h"

#define TRIES		3
#define LONE_STEP	100
#define LONE_MS		2000
#define FSYNC_MS	1000
#define READS		300000
#define PAGES		400
#define CHUNKS		20	/* the big directory is filled in so many jobs */

struct run {
	const struct bench_options *o;
	struct bench_report rep;
	struct bench_cluster cluster;
	struct bench_hist fsync;
	uint64_t *inos;
	uint64_t big_dir;
	char big[24];		/* "10m" */
	uint64_t begin_ns;
	char err[BENCH_ERR_LEN];
};

/* ---- progress --------------------------------------------------------- */

static void say(const struct run *r, const char *what)
{
	if (!r->o->quiet)
		fprintf(stderr, "[%4.0f s] %s\n", (double)(flint_now_ns() - r->begin_ns) / 1e9,
			what);
}

static void tell(void *arg, uint64_t done, uint64_t of)
{
	struct run *r = arg;
	char text[96];

	snprintf(text, sizeof(text), "  %llu of %llu", (unsigned long long)done,
		 (unsigned long long)of);
	say(r, text);
}

/* ---- small directories ------------------------------------------------ */

static double rate(const struct bench_result *res)
{
	return res->seconds > 0 ? (double)res->ops / res->seconds : 0;
}

static int run_job(struct run *r, struct bench_load *l, const struct bench_job *job,
		   const char *name, struct bench_result *res)
{
	int ret = bench_load_run(l, job, res, r->err, sizeof(r->err));
	struct bench_figure *f;

	if (ret)
		return ret;
	f = bench_figure(&r->rep, "%s", name);
	bench_figure_add(f, rate(res));
	bench_figure_more(f, res);
	return 0;
}

/* One directory: filled, and with @reads looked up and asked for. */
static int small_round(struct run *r, struct bench_load *l, const char *suffix, bool reads)
{
	struct bench_job job = {
		.op = BENCH_CREATE, .count = r->o->small, .inos = r->inos,
		.tell = r->o->quiet ? NULL : tell, .arg = r,
	};
	struct bench_result res;
	char name[64];
	int ret;

	snprintf(name, sizeof(name), "small-%llx", (unsigned long long)flint_now_ns());
	ret = bench_load_mkdir(l, name, &job.dir, r->err, sizeof(r->err));
	snprintf(name, sizeof(name), "create-%s", suffix);
	if (!ret)
		ret = run_job(r, l, &job, name, &res);
	if (ret || !reads)
		return ret;
	job.ops = READS < 3 * job.count ? READS : 3 * job.count;
	job.op = BENCH_LOOKUP;
	snprintf(name, sizeof(name), "lookup-%s", suffix);
	ret = run_job(r, l, &job, name, &res);
	job.op = BENCH_GETATTR;
	snprintf(name, sizeof(name), "getattr-%s", suffix);
	if (!ret)
		ret = run_job(r, l, &job, name, &res);
	job.op = BENCH_PING;
	snprintf(name, sizeof(name), "ping-%s", suffix);
	if (!ret)
		ret = run_job(r, l, &job, name, &res);
	return ret;
}

/* All rounds, with new connections and once more when a leader went. */
static int small_rounds(struct run *r, unsigned int clients, unsigned int depth,
			const char *suffix, bool reads)
{
	unsigned int round = 0, tries = 0;
	struct bench_load *l;
	int ret;

	while (round < r->o->rounds) {
		l = bench_load_open(&r->cluster, "default", clients, depth, r->err,
				    sizeof(r->err));
		if (!l)
			return -EIO;
		for (ret = 0; !ret && round < r->o->rounds; round += !ret)
			ret = small_round(r, l, suffix, reads);
		bench_load_close(l);
		if (ret && (ret != -EAGAIN || tries++ == TRIES))
			return ret;
		if (ret)
			say(r, "the leader changed: once more");
	}
	return 0;
}

/* Creates of a lone client, and the disk's fdatasync() in between them. */
static int run_lone(struct run *r)
{
	struct bench_job job = { .op = BENCH_CREATE, .count = LONE_STEP };
	struct bench_load *l = bench_load_open(&r->cluster, "default", 1, 1, r->err,
					       sizeof(r->err));
	struct bench_result sum = { 0 }, res;
	struct bench_hist *sync = calloc(1, sizeof(*sync));
	struct bench_figure *f;
	char name[64];
	int ret = -ENOMEM;

	if (!l || !sync)
		goto out;
	snprintf(name, sizeof(name), "lone-%llx", (unsigned long long)flint_now_ns());
	ret = bench_load_mkdir(l, name, &job.dir, r->err, sizeof(r->err));
	while (!ret && sum.seconds * 1000 < LONE_MS) {
		ret = bench_yard_fsync(r->o->dir, 200, sync, r->err, sizeof(r->err));
		if (!ret)
			ret = bench_load_run(l, &job, &res, r->err, sizeof(r->err));
		job.first += LONE_STEP;
		sum.ops += res.ops;
		sum.seconds += res.seconds;
		sum.server_cpu_s += res.server_cpu_s;
		sum.load_cpu_s += res.load_cpu_s;
		bench_hist_merge(&sum.lat, &res.lat);
	}
	if (ret)
		goto out;
	f = bench_figure(&r->rep, "create-lone");
	bench_figure_add(f, 1e6 / bench_hist_us(&sum.lat, 0.5));
	bench_figure_more(f, &sum);
	json_object_set_new(f->more, "fsync_p50_us", json_real(bench_hist_us(sync, 0.5)));
	json_object_set_new(f->more, "bound_us",
			    json_real(2.5 * bench_hist_us(sync, 0.5) + 100));
	bench_figure_add(bench_figure(&r->rep, "fdatasync"), 1e6 / bench_hist_us(sync, 0.5));
out:
	free(sync);
	bench_load_close(l);
	return ret;
}

/* Calls that the client answers itself. */
static int run_leased(struct run *r)
{
	static const char * const names[] = {
		[BENCH_LEASED_STAT] = "stat-leased", [BENCH_LEASED_OPEN] = "open-leased",
		[BENCH_LEASED_CREATE] = "create-delegated" };
	struct bench_result res;
	struct bench_figure *f;
	uint64_t requests, made = READS < 3 * r->o->small ? READS : 3 * r->o->small;
	int i, ret = 0;

	for (i = 0; i < 3 && !ret; i++) {
		ret = bench_leased(&r->cluster, i, i == BENCH_LEASED_CREATE ? made : READS, &res,
				   &requests, r->err, sizeof(r->err));
		if (ret)
			break;
		f = bench_figure(&r->rep, "%s", names[i]);
		bench_figure_add(f, rate(&res));
		bench_figure_more(f, &res);
		json_object_set_new(f->more, "requests", json_integer((json_int_t)requests));
	}
	return ret;
}

/* ---- the big directory ------------------------------------------------ */

static int fill_big(struct run *r, struct bench_load *l)
{
	uint64_t step = r->o->big / CHUNKS, done = 0, now, peak, all, db;
	struct bench_result sum = { 0 }, res;
	struct bench_job job = { .op = BENCH_CREATE, .inos = r->inos };
	struct bench_figure *f;
	int ret;

	ret = bench_load_mkdir(l, "big", &r->big_dir, r->err, sizeof(r->err));
	job.dir = r->big_dir;
	f = bench_figure(&r->rep, "create-%s", r->big);
	while (!ret && done < r->o->big) {
		job.first = done;
		job.count = r->o->big - done < step ? r->o->big - done : step;
		ret = bench_load_run(l, &job, &res, r->err, sizeof(r->err));
		done += job.count;
		if (!r->o->quiet && !ret)
			fprintf(stderr, "[%4.0f s]   %llu files, %.0f creates/s, p99.9 %.1f ms\n",
				(double)(flint_now_ns() - r->begin_ns) / 1e9,
				(unsigned long long)done, rate(&res),
				bench_hist_us(&res.lat, 0.999) / 1000);
		if (done <= r->o->big - r->o->big / 5)
			continue;
		sum.ops += res.ops;
		sum.retries += res.retries;
		sum.seconds += res.seconds;
		sum.server_cpu_s += res.server_cpu_s;
		sum.load_cpu_s += res.load_cpu_s;
		bench_hist_merge(&sum.lat, &res.lat);
		bench_figure_add(f, rate(&res));
	}
	if (ret)
		return ret;
	bench_figure_more(f, &sum);
	bench_cluster_memory(&r->cluster, &now, &peak);
	bench_cluster_disk(&r->cluster, &all, &db);
	json_object_set_new(f->more, "server_memory", json_integer((json_int_t)now));
	json_object_set_new(f->more, "server_memory_peak", json_integer((json_int_t)peak));
	json_object_set_new(f->more, "state_bytes_per_file",
			    json_real((double)db / (double)r->o->big));
	json_object_set_new(f->more, "disk_bytes_per_file",
			    json_real((double)all / (double)r->o->big));
	return 0;
}

static int read_big(struct run *r, struct bench_load *l)
{
	struct bench_job job = {
		.op = BENCH_LOOKUP, .dir = r->big_dir, .count = r->o->big, .ops = READS,
		.inos = r->inos,
	};
	struct bench_result res;
	unsigned int i;
	char name[40];
	int ret = 0;

	for (i = 0; i < r->o->rounds && !ret; i++) {
		snprintf(name, sizeof(name), "lookup-%s", r->big);
		job.op = BENCH_LOOKUP;
		ret = run_job(r, l, &job, name, &res);
		snprintf(name, sizeof(name), "getattr-%s", r->big);
		job.op = BENCH_GETATTR;
		if (!ret)
			ret = run_job(r, l, &job, name, &res);
	}
	return ret;
}

/* Walk to the middle; the cookie there. */
static int walk_half(struct run *r, struct bench_load *l, uint64_t *cookie)
{
	struct bench_job job = { .op = BENCH_READDIR, .dir = r->big_dir, .ops = 1 };
	struct bench_result res;
	uint64_t seen = 0;
	int ret;

	do {
		ret = bench_load_run(l, &job, &res, r->err, sizeof(r->err));
		if (ret)
			return ret;
		seen += res.entries;
		job.cookie = res.last_cookie;
	} while (!res.eof && seen < r->o->big / 2);
	*cookie = job.cookie;
	if (seen >= r->o->big / 2)
		return 0;
	snprintf(r->err, sizeof(r->err), "the directory of %llu files ended after %llu",
		 (unsigned long long)r->o->big, (unsigned long long)seen);
	return -EIO;
}

static int run_readdir(struct run *r)
{
	struct bench_job job = { .op = BENCH_READDIR, .dir = r->big_dir, .ops = PAGES };
	struct bench_load *l = bench_load_open(&r->cluster, "default", 1, 1, r->err,
					       sizeof(r->err));
	struct bench_result res;
	uint64_t cookie = 0;
	unsigned int i;
	int ret;

	if (!l)
		return -EIO;
	ret = walk_half(r, l, &cookie);
	for (i = 0; i < r->o->rounds && !ret; i++) {
		job.cookie = 0;
		ret = run_job(r, l, &job, "readdir-first", &res);
		job.cookie = cookie;
		if (!ret)
			ret = run_job(r, l, &job, "readdir-deep", &res);
	}
	bench_load_close(l);
	return ret;
}

static int run_big(struct run *r)
{
	struct bench_load *l = bench_load_open(&r->cluster, "default", r->o->clients, r->o->depth,
					       r->err, sizeof(r->err));
	int ret;

	if (!l)
		return -EIO;
	say(r, "filling the big directory");
	ret = fill_big(r, l);
	say(r, "reading in it");
	if (!ret)
		ret = read_big(r, l);
	bench_load_close(l);
	return ret ? ret : run_readdir(r);
}

/* ---- clusters --------------------------------------------------------- */

static int cluster_start(struct run *r, unsigned int replicas)
{
	char dir[PATH_MAX + 16];

	snprintf(dir, sizeof(dir), "%s/cluster-r%u", r->o->dir, replicas);
	say(r, replicas == 1 ? "a cluster with one metadata server" :
	    "a cluster with three metadata servers");
	return bench_cluster_start(&r->cluster, dir, replicas, r->err, sizeof(r->err));
}

static int run_r1(struct run *r)
{
	unsigned int n = r->o->clients;
	int ret = cluster_start(r, 1);

	if (!ret && r->o->r1)
		ret = small_rounds(r, n, r->o->depth, "r1", true);
	if (!ret && r->o->r1 && r->o->depth > 1) {
		say(r, "each request on a connection of its own");
		ret = small_rounds(r, n * r->o->depth, 1, "r1-conns", true);
	}
	if (!ret && r->o->r1) {
		say(r, "a lone client");
		ret = run_lone(r);
	}
	if (!ret && r->o->r1) {
		say(r, "a client with leases");
		ret = run_leased(r);
	}
	if (!ret && r->o->grow)
		ret = run_big(r);
	bench_cluster_stop(&r->cluster, r->o->keep);
	return ret;
}

static int run_r3(struct run *r)
{
	int ret = cluster_start(r, 3);

	if (!ret)
		ret = small_rounds(r, r->o->clients, r->o->depth, "r3", false);
	bench_cluster_stop(&r->cluster, r->o->keep);
	return ret;
}

static int run_yardsticks(struct run *r)
{
	unsigned int n = r->o->clients * r->o->depth, i;
	uint64_t files = r->o->small / 10;
	double a, b;
	int ret;

	say(r, "the disk");
	ret = bench_yard_fsync(r->o->dir, FSYNC_MS, &r->fsync, r->err, sizeof(r->err));
	say(r, "yardsticks: files of the local file system, SQLite");
	for (i = 0; i < r->o->rounds && !ret; i++) {
		ret = bench_yard_files(r->o->dir, n, files, &a, r->err, sizeof(r->err));
		if (!ret)
			bench_figure_add(bench_figure(&r->rep, "local-files"), a);
		if (!ret)
			ret = bench_yard_sqlite(r->o->dir, n, r->o->small, &a, &b, r->err,
						sizeof(r->err));
		if (ret)
			break;
		bench_figure_add(bench_figure(&r->rep, "sqlite-durable"), a);
		bench_figure_add(bench_figure(&r->rep, "sqlite-lookup"), b);
	}
	return ret;
}

/* ---- the document ----------------------------------------------------- */

static void describe_machine(struct run *r)
{
	json_t *m = r->rep.machine;

	bench_machine(m, r->o->dir);
	json_object_set_new(m, "fsync_p50_us", json_real(bench_hist_us(&r->fsync, 0.5)));
	json_object_set_new(m, "fsync_p99_us", json_real(bench_hist_us(&r->fsync, 0.99)));
	json_object_set_new(m, "clients", json_integer(r->o->clients));
	json_object_set_new(m, "requests_in_flight", json_integer(r->o->clients * r->o->depth));
	json_object_set_new(m, "files_small", json_integer((json_int_t)r->o->small));
	json_object_set_new(m, "files_big", json_integer((json_int_t)r->o->big));
}

static json_t *document(struct run *r)
{
	static const char * const pairs[][2] = {
		{ "create-r1", "local-files" }, { "create-r1", "sqlite-durable" },
		{ "create-r3", "local-files" }, { "create-r3", "create-r1" },
		{ "lookup-r1", "sqlite-lookup" }, { "lookup-r1", "ping-r1" },
		{ "getattr-r1", "sqlite-lookup" }, { "getattr-r1", "ping-r1" },
		{ "create-r1-conns", "local-files" }, { "lookup-r1-conns", "ping-r1-conns" },
		{ "getattr-r1-conns", "ping-r1-conns" },
		{ "create-lone", "fdatasync" },
		{ "stat-leased", "lookup-r1" }, { "open-leased", "lookup-r1" },
		{ "create-delegated", "create-r1" },
		{ "readdir-deep", "readdir-first" },
	};
	static const char * const sized[] = { "create", "lookup", "getattr" };
	json_t *rows = json_array();
	char ours[40], theirs[40];
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		bench_report_row(&r->rep, rows, pairs[i][0], pairs[i][1]);
	for (i = 0; i < 3; i++) {
		snprintf(ours, sizeof(ours), "%s-%s", sized[i], r->big);
		snprintf(theirs, sizeof(theirs), "%s-r1", sized[i]);
		bench_report_row(&r->rep, rows, ours, theirs);
	}
	describe_machine(r);
	return json_pack("{s:O, s:o}", "machine", r->rep.machine, "rows", rows);
}

static void name_size(uint64_t n, char *out, size_t len)
{
	if (n % 1000000 == 0)
		snprintf(out, len, "%llum", (unsigned long long)n / 1000000);
	else if (n % 1000 == 0)
		snprintf(out, len, "%lluk", (unsigned long long)n / 1000);
	else
		snprintf(out, len, "%llu", (unsigned long long)n);
}

json_t *bench_meta_run(const struct bench_options *o)
{
	uint64_t n = o->grow && o->big > o->small ? o->big : o->small;
	struct run *r = calloc(1, sizeof(*r));
	json_t *doc = NULL;
	int ret;

	if (!r)
		return NULL;
	r->o = o;
	r->begin_ns = flint_now_ns();
	bench_report_init(&r->rep);
	name_size(o->big, r->big, sizeof(r->big));
	r->inos = calloc(n, sizeof(*r->inos));
	ret = r->inos ? 0 : -ENOMEM;
	if (mkdir(o->dir, 0700) && errno != EEXIST) {
		ret = -errno;
		snprintf(r->err, sizeof(r->err), "cannot make %s (%s)", o->dir, strerror(errno));
	}
	if (!ret)
		ret = run_yardsticks(r);
	if (!ret && (o->r1 || o->grow))
		ret = run_r1(r);
	if (!ret && o->r3)
		ret = run_r3(r);
	if (ret)
		fprintf(stderr, "flint: %s\n", r->err[0] ? r->err : strerror(-ret));
	else
		doc = document(r);
	free(r->inos);
	bench_report_free(&r->rep);
	free(r);
	return doc;
}
