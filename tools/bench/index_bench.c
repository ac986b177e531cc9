// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-chunk-index-bench: durable updates of the chunk index per second.
 *
 * An update is what a 16 KiB overwrite does to the index: a block is allocated,
 * one record (map, four CRCs, version, tag, the client's result) goes through the
 * log, and when it is on stable storage it is applied, which frees the block
 * before. Checkpoints run as they do in the server. Data are not written.
 *
 * A store belongs to one thread, so that N threads are N targets with a log each,
 * as flint-chunkd --threads N has them. For comparison, in the same run: RocksDB
 * with one data base for all threads, and with one each; and what a write of 4 KiB
 * with fdatasync() costs on the same file system, without which no figure of
 * durable updates means anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "index_bench.h"
#include "../../userd/base/conf.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/chunk/store.h"
#include "../../userd/net/net.h"

#define SHIFT		20u
#define NR_CRC		4u

struct worker;

struct update {
	struct flint_wal_waiter wal;	/* first: cast from it */
	struct worker *w;
	struct update *next;		/* waits for the log */
	u64 began_ns;
};

struct worker {
	const struct index_job *job;
	struct flint_loop *loop;
	struct flint_store *st;
	struct flint_engine *eng;
	struct update *slots, *waiting;
	u32 *version;
	u32 nr_chunks, filled;
	u64 rng, seq, end_ns, done;
	struct hist hist;
	u32 running;
	bool fill;
	pthread_t thread;
	struct flint_task task;
};

/* ---- statistics ----------------------------------------------------------- */

void hist_add(struct hist *h, uint64_t ns, uint64_t count)
{
	unsigned int i = ns > 1 ? (unsigned int)(log2((double)ns) * 7.27) : 0;

	h->n[i < HIST_NR ? i : HIST_NR - 1] += count;
	h->total += count;
}

void hist_merge(struct hist *to, const struct hist *from)
{
	unsigned int i;

	for (i = 0; i < HIST_NR; i++)
		to->n[i] += from->n[i];
	to->total += from->total;
}

double hist_us(const struct hist *h, double share)
{
	uint64_t left = (uint64_t)((double)h->total * share);
	unsigned int i;

	for (i = 0; i < HIST_NR - 1 && left >= h->n[i]; i++)
		left -= h->n[i];
	return exp2(((double)i + 0.5) / 7.27) / 1e3;
}

double process_cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- one update ----------------------------------------------------------- */

static void update_done(struct flint_wal_waiter *wal, int err);

static void record_fill(struct worker *w, u8 *p, u32 len, u32 index, u32 block)
{
	struct flint_rec_chunk *r = (void *)p;
	struct flint_rec_ext *ext = (void *)(r + 1);
	__le32 *crc = (void *)(ext + 1);
	u32 i;

	memset(p, 0, len);
	r->h.type = cpu_to_le16(FLINT_REC_CHUNK);
	r->h.len = cpu_to_le32(len);
	r->ino = cpu_to_le64(1 + index / 256);
	r->fs = cpu_to_le32(1);
	r->gen = cpu_to_le32(1);
	r->index = cpu_to_le32(index % 256);
	r->version = cpu_to_le64(++w->version[index]);
	r->tag = cpu_to_le64(flint_splitmix64(&w->rng));
	r->size = cpu_to_le32(1u << w->st->bs);
	r->keep = cpu_to_le32(~0u);
	r->shift = SHIFT;
	r->nr_ext = cpu_to_le32(1);
	r->nr_crc = cpu_to_le32(NR_CRC);
	ext->dev = cpu_to_le32(block + 1);
	ext->nr = cpu_to_le32(1);
	for (i = 0; i < NR_CRC; i++)
		crc[i] = cpu_to_le32((u32)w->rng + i);
	r->from.client[0] = 1;
	r->from.session = cpu_to_le64(1);
	r->from.seq = cpu_to_le64(++w->seq);
	r->from.seq_low = cpu_to_le64(w->seq > 4096 ? w->seq - 4096 : 1);
}

static void update_start(struct worker *w, struct update *u)
{
	u32 len = sizeof(struct flint_rec_chunk) + sizeof(struct flint_rec_ext) +
		  NR_CRC * sizeof(u32);
	struct flint_run run;
	u8 *p;

	len = (len + 7) & ~7u;
	p = flint_wal_reserve(&w->st->wal, len);
	if (!p || !flint_alloc_get(&w->st->alloc, 1, ~0u, &run)) {
		u->next = w->waiting;
		w->waiting = u;
		return;
	}
	record_fill(w, p, len, w->fill ? w->filled++ :
		    (u32)(flint_splitmix64(&w->rng) % w->nr_chunks), run.start);
	u->wal.done = update_done;
	flint_wal_commit(&w->st->wal, len, 1, &u->wal);
}

static bool more(const struct worker *w, u64 now)
{
	return w->fill ? w->filled < w->nr_chunks : now < w->end_ns;
}

static void update_done(struct flint_wal_waiter *wal, int err)
{
	struct update *u = (void *)wal;
	struct worker *w = u->w;
	u64 now = flint_now_ns();

	if (err) {
		fprintf(stderr, "flint-chunk-index-bench: the log failed: %s\n", strerror(-err));
		exit(1);
	}
	hist_add(&w->hist, now - u->began_ns, 1);
	w->done++;
	u->began_ns = now;
	if (more(w, now)) {
		update_start(w, u);
		return;
	}
	if (!--w->running)
		flint_loop_stop(w->loop);
}

static void worker_turn(void *arg)
{
	struct worker *w = arg;
	struct update *u = w->waiting;

	w->waiting = NULL;
	while (u) {
		struct update *next = u->next;

		if (more(w, u->began_ns))
			update_start(w, u);
		else if (!--w->running)
			flint_loop_stop(w->loop);
		u = next;
	}
	flint_store_turn(w->st);
}

static void worker_kick(void *arg)
{
	flint_engine_kick(((struct worker *)arg)->eng);
}

/* ---- threads -------------------------------------------------------------- */

static void worker_begin(struct flint_task *t)
{
	struct worker *w = (void *)((u8 *)t - offsetof(struct worker, task));
	u32 n = w->job->depth, i;

	if (w->fill && n > w->nr_chunks)
		n = w->nr_chunks;
	w->running = n;
	for (i = 0; i < n; i++) {
		w->slots[i].w = w;
		w->slots[i].began_ns = flint_now_ns();
		update_start(w, &w->slots[i]);
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct iovec iov = { w->st->arena, w->st->arena_len };

	/* io_uring belongs to who makes it. */
	w->eng = flint_engine_new(w->loop, &iov, 1, &w->st->dev, 1, worker_turn, w);
	if (!w->eng) {
		fprintf(stderr, "flint-chunk-index-bench: io_uring: %s\n", strerror(errno));
		exit(1);
	}
	w->task.fn = worker_begin;
	flint_loop_post(w->loop, &w->task);
	flint_loop_run(w->loop);
	flint_engine_drain(w->eng);
	flint_engine_free(w->eng);
	return NULL;
}

static void worker_open(struct worker *w, const struct index_job *job, unsigned int nr)
{
	struct flint_store_format f = { .id = nr + 1 };
	u32 per = job->chunks / job->threads;
	char path[600], err[256] = "";
	struct flint_dev *dev;

	w->job = job;
	w->rng = nr + 1;
	w->nr_chunks = per ? per : 1;
	w->version = calloc(w->nr_chunks, sizeof(u32));
	w->slots = calloc(job->depth, sizeof(*w->slots));
	f.size = ((u64)w->nr_chunks << FLINT_BLOCK_SHIFT_MIN) * 3 / 2 + (1ull << 30);
	flint_uuid_make(f.uuid);
	snprintf(path, sizeof(path), "%s/target.%u", job->dir, nr);
	unlink(path);
	dev = flint_dev_open(path, FLINT_DEV_CREATE, f.size, err, sizeof(err));
	if (!dev || flint_store_format(dev, &f, err, sizeof(err)))
		goto fail;
	unlink(path);
	dev->prewritten = true;		/* no data are written, so nothing needs to be ready for them */
	w->st = flint_store_open(dev, path, err, sizeof(err));
	w->loop = flint_loop_new();
	if (!w->st || !w->loop || !w->slots || !w->version)
		goto fail;
	w->st->kick = worker_kick;
	w->st->kick_arg = w;
	return;
fail:
	fprintf(stderr, "flint-chunk-index-bench: %s\n", *err ? err : strerror(errno));
	exit(1);
}

static void worker_close(struct worker *w)
{
	flint_store_close(w->st);
	flint_loop_free(w->loop);
	free(w->version);
	free(w->slots);
}

static void workers_run(struct worker *w, const struct index_job *job, bool fill)
{
	u64 end = flint_now_ns() + (u64)(job->seconds * 1e9);
	unsigned int i;

	for (i = 0; i < job->threads; i++) {
		w[i].fill = fill;
		w[i].end_ns = end;
		w[i].done = 0;
		memset(&w[i].hist, 0, sizeof(w[i].hist));
		if (pthread_create(&w[i].thread, NULL, worker_main, &w[i]))
			abort();
	}
	for (i = 0; i < job->threads; i++)
		pthread_join(w[i].thread, NULL);
}

static void flint_measure(const struct index_job *job, struct index_result *r)
{
	struct worker *w = calloc(job->threads, sizeof(*w));
	u64 done = 0, groups = 0, records = 0, began;
	struct hist all = { 0 };
	char err[256] = "";
	unsigned int i;
	double cpu, s;

	if (!w)
		abort();
	for (i = 0; i < job->threads; i++)
		worker_open(&w[i], job, i);
	workers_run(w, job, true);
	for (i = 0; i < job->threads; i++) {
		groups -= w[i].st->stats.log_groups;
		records -= w[i].st->stats.log_records;
	}
	cpu = process_cpu_s();
	began = flint_now_ns();
	workers_run(w, job, false);
	s = (double)(flint_now_ns() - began) / 1e9;
	cpu = process_cpu_s() - cpu;
	for (i = 0; i < job->threads; i++) {
		done += w[i].done;
		groups += w[i].st->stats.log_groups;
		records += w[i].st->stats.log_records;
		hist_merge(&all, &w[i].hist);
		if (flint_store_verify(w[i].st, err, sizeof(err))) {
			fprintf(stderr, "flint-chunk-index-bench: %s\n", err);
			exit(1);
		}
		worker_close(&w[i]);
	}
	free(w);
	r->rate = (double)done / s;
	r->cpu_us = cpu / (double)done * 1e6;
	r->group = groups ? (double)records / (double)groups : 0;
	r->p50_us = hist_us(&all, 0.5);
	r->p99_us = hist_us(&all, 0.99);
}

/* ---- calibration ---------------------------------------------------------- */

/* Median of a 4 KiB overwrite of written space and fdatasync(), one after the other. */
static double fdatasync_us(const struct index_job *job)
{
	u64 began, n = 0, span = 16u << 20, at;
	struct hist h = { 0 };
	char path[600];
	void *buf;
	int fd;

	snprintf(path, sizeof(path), "%s/sync", job->dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
	if (fd < 0 || posix_memalign(&buf, 4096, 1 << 20))
		return -1;
	unlink(path);
	memset(buf, 0x5a, 1 << 20);
	for (n = 0; n < span; n += 1 << 20)
		if (pwrite(fd, buf, 1 << 20, (off_t)n) < 0)
			return -1;
	fsync(fd);
	began = flint_now_ns();
	for (n = 0; n < 5000 && flint_now_ns() - began < 2000000000ull; n++) {
		at = flint_now_ns();
		if (pwrite(fd, buf, 4096, (off_t)(n * 4096 % span)) < 0 || fdatasync(fd))
			return -1;
		hist_add(&h, flint_now_ns() - at, 1);
	}
	close(fd);
	free(buf);
	return hist_us(&h, 0.5);
}

/* ---- main ------------------------------------------------------------------ */

struct options {
	char *dir;
	uint64_t threads, depth, chunks, seconds;
	bool json;
};

#define OFF(member)	offsetof(struct options, member)

static const struct flint_conf_opt opts[] = {
	{ "dir", 'd', FLINT_CONF_STR, OFF(dir), "/var/tmp", "DIR",
	  "where files are made, used and removed: on the disk that is to be measured", 0, 0,
	  FLINT_CONF_CLI },
	{ "threads", 't', FLINT_CONF_U64, OFF(threads), "4", "N", "threads, each with its target",
	  1, 64, FLINT_CONF_CLI },
	{ "depth", 'n', FLINT_CONF_U64, OFF(depth), "256", "N",
	  "updates that each thread has under way", 1, 1024, FLINT_CONF_CLI },
	{ "chunks", 0, FLINT_CONF_U64, OFF(chunks), "200000", "N", "chunks in all targets", 64,
	  100000000, FLINT_CONF_CLI },
	{ "seconds", 's', FLINT_CONF_U64, OFF(seconds), "5", "N", "of each measurement", 1, 600,
	  FLINT_CONF_CLI },
	{ "json", 0, FLINT_CONF_BOOL, OFF(json), "no", NULL, "print one JSON object", 0, 0,
	  FLINT_CONF_CLI },
	{ 0 },
};

static const struct flint_conf_spec spec = {
	.prog = "flint-chunk-index-bench",
	.doc = "Measure durable updates of the chunk index, beside RocksDB.",
	.opts = opts,
};

static void print_one(const struct options *o, const char *name, const struct index_result *r)
{
	if (o->json)
		printf(", \"%s\": {\"updates_per_s\": %.0f, \"cpu_us\": %.3f, \"group\": %.1f, \"p50_us\": %.0f, \"p99_us\": %.0f}",
		       name, r->rate, r->cpu_us, r->group, r->p50_us, r->p99_us);
	else
		printf("%-16s %10.0f /s  %7.2f us of processor  %7.1f per group  p50 %6.0f us  p99 %6.0f us\n",
		       name, r->rate, r->cpu_us, r->group, r->p50_us, r->p99_us);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct index_result r;
	struct index_job job;
	char dir[512];
	bool verbose;
	double us, after;
	int ret;

	flint_conf_parse_or_exit(&spec, argc, argv, &o, &verbose);
	flint_log_init("flint-chunk-index-bench", FLINT_LOG_WARN);
	snprintf(dir, sizeof(dir), "%s/flint-index.XXXXXX", o.dir);
	if (!mkdtemp(dir)) {
		fprintf(stderr, "flint-chunk-index-bench: %s: %s\n", dir, strerror(errno));
		return 1;
	}
	job = (struct index_job){ dir, (unsigned int)o.threads, (unsigned int)o.depth,
				  (unsigned int)o.chunks, (double)o.seconds };
	us = fdatasync_us(&job);
	if (o.json)
		printf("{\"threads\": %u, \"depth\": %u, \"fdatasync_us\": %.1f", job.threads,
		       job.depth, us);
	else
		printf("a write of 4 KiB and fdatasync() take %.0f us; %u threads, %u updates under way each\n",
		       us, job.threads, job.depth);
	flint_measure(&job, &r);
	print_one(&o, "flint", &r);
	ret = rocks_measure(&job, 1, &r);
	if (!ret) {
		print_one(&o, "rocksdb", &r);
		ret = rocks_measure(&job, 0, &r);
	}
	if (!ret)
		print_one(&o, "rocksdb_each", &r);
	else if (ret == -ENOSYS && !o.json)
		printf("built without RocksDB: install librocksdb-dev and make again to compare\n");
	after = fdatasync_us(&job);	/* a shared disk may have become another one meanwhile */
	if (o.json)
		printf(", \"fdatasync_after_us\": %.1f}\n", after);
	else
		printf("a write of 4 KiB and fdatasync() take %.0f us in the end\n", after);
	rmdir(dir);
	flint_conf_free(&spec, &o);
	return ret && ret != -ENOSYS;
}
