// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The RocksDB half of flint-chunk-index-bench: the same updates through RocksDB's
 * C interface, with its log synced before an update counts. Each thread puts as
 * many updates into one batch as it may have under way, which is the best that a
 * server could do with it. Built where RocksDB's header is installed.
 */
#include "index_bench.h"
#include <errno.h>

#if __has_include(<rocksdb/c.h>)
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../uapi/flintfs/placement.h"
#include "../../userd/net/net.h"

struct rocks_thread {
	const struct index_job *job;
	rocksdb_t *db;
	uint64_t rng, end_ns, done, batches;
	struct hist hist;
	pthread_t thread;
	int err;
};

static void put_random(struct rocks_thread *t, rocksdb_writebatch_t *batch)
{
	uint64_t key[INDEX_KEY / 8] = { 1 }, value[INDEX_VALUE / 8];
	unsigned int i;

	key[1] = flint_splitmix64(&t->rng) % t->job->chunks;
	for (i = 0; i < INDEX_VALUE / 8; i++)
		value[i] = flint_splitmix64(&t->rng);
	rocksdb_writebatch_put(batch, (const char *)key, INDEX_KEY, (const char *)value,
			       INDEX_VALUE);
}

static void *rocks_main(void *arg)
{
	struct rocks_thread *t = arg;
	rocksdb_writeoptions_t *wo = rocksdb_writeoptions_create();
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	uint64_t now = flint_now_ns();
	char *err = NULL;
	unsigned int i;

	rocksdb_writeoptions_set_sync(wo, 1);
	while (now < t->end_ns && !t->err) {
		uint64_t began = now;

		rocksdb_writebatch_clear(batch);
		for (i = 0; i < t->job->depth; i++)
			put_random(t, batch);
		rocksdb_write(t->db, wo, batch, &err);
		if (err) {
			fprintf(stderr, "RocksDB: %s\n", err);
			free(err);
			t->err = -EIO;
		}
		now = flint_now_ns();
		hist_add(&t->hist, now - began, t->job->depth);
		t->done += t->job->depth;
		t->batches++;
	}
	rocksdb_writebatch_destroy(batch);
	rocksdb_writeoptions_destroy(wo);
	return NULL;
}

static rocksdb_options_t *rocks_options(void)
{
	rocksdb_options_t *o = rocksdb_options_create();

	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_increase_parallelism(o, 2);
	rocksdb_options_set_compression(o, rocksdb_no_compression);
	rocksdb_options_set_write_buffer_size(o, 128u << 20);
	rocksdb_options_set_max_write_buffer_number(o, 4);
	rocksdb_options_set_enable_pipelined_write(o, 1);
	rocksdb_options_set_recycle_log_file_num(o, 4);
	return o;
}

/* One data base for all threads, or one each. */
static int rocks_open(const struct index_job *job, int shared, rocksdb_options_t *o,
		      struct rocks_thread *t)
{
	char path[600], *err = NULL;
	unsigned int i;

	for (i = 0; i < job->threads; i++) {
		if (shared && i) {
			t[i].db = t[0].db;
			continue;
		}
		snprintf(path, sizeof(path), "%s/rocks.%u", job->dir, i);
		rocksdb_destroy_db(o, path, &err);
		free(err);
		err = NULL;
		t[i].db = rocksdb_open(o, path, &err);
		if (err) {
			fprintf(stderr, "RocksDB: %s\n", err);
			free(err);
			return -EIO;
		}
	}
	return 0;
}

static void rocks_close(const struct index_job *job, int shared, rocksdb_options_t *o,
			struct rocks_thread *t)
{
	char path[600], *err = NULL;
	unsigned int i;

	for (i = 0; i < (shared ? 1 : job->threads); i++) {
		if (!t[i].db)
			continue;
		rocksdb_close(t[i].db);
		snprintf(path, sizeof(path), "%s/rocks.%u", job->dir, i);
		rocksdb_destroy_db(o, path, &err);
		free(err);
		err = NULL;
	}
}

static void rocks_run(const struct index_job *job, struct rocks_thread *t, struct index_result *r)
{
	uint64_t began = flint_now_ns(), done = 0, batches = 0;
	double cpu = process_cpu_s(), s;
	struct hist all = { 0 };
	unsigned int i;

	for (i = 0; i < job->threads; i++) {
		t[i].job = job;
		t[i].rng = i + 1;
		t[i].end_ns = began + (uint64_t)(job->seconds * 1e9);
		if (pthread_create(&t[i].thread, NULL, rocks_main, &t[i]))
			abort();
	}
	for (i = 0; i < job->threads; i++) {
		pthread_join(t[i].thread, NULL);
		done += t[i].done;
		batches += t[i].batches;
		hist_merge(&all, &t[i].hist);
	}
	s = (double)(flint_now_ns() - began) / 1e9;
	r->rate = (double)done / s;
	r->cpu_us = (process_cpu_s() - cpu) / (double)done * 1e6;
	r->group = batches ? (double)done / (double)batches : 0;
	r->p50_us = hist_us(&all, 0.5);
	r->p99_us = hist_us(&all, 0.99);
}

int rocks_measure(const struct index_job *job, int shared, struct index_result *r)
{
	struct rocks_thread *t = calloc(job->threads, sizeof(*t));
	rocksdb_options_t *o = rocks_options();
	unsigned int i;
	int ret;

	if (!t)
		return -ENOMEM;
	ret = rocks_open(job, shared, o, t);
	if (!ret)
		rocks_run(job, t, r);
	for (i = 0; i < job->threads && !ret; i++)
		ret = t[i].err;
	rocks_close(job, shared, o, t);
	rocksdb_options_destroy(o);
	free(t);
	return ret;
}

#else

int rocks_measure(const struct index_job *job, int shared, struct index_result *r)
{
	return -ENOSYS;
}

#endif
