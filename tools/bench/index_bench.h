/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What both halves of flint-chunk-index-bench know. */
#ifndef INDEX_BENCH_H
#define INDEX_BENCH_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct index_job - what is measured
 * @dir: files are made below it
 * @threads: that update at once
 * @depth: updates that one thread has under way
 * @chunks: keys, all threads together
 * @seconds: of each measurement
 */
struct index_job {
	const char *dir;
	unsigned int threads, depth, chunks;
	double seconds;
};

/**
 * struct index_result - of one back end
 * @rate: durable updates per second
 * @cpu_us: processor time per update, microseconds, all threads and the kernel's
 *	part included
 * @group: updates per log write or sync; 0: not known
 * @p50_us, @p99_us: from the update's beginning until it is durable
 */
struct index_result {
	double rate, cpu_us, group, p50_us, p99_us;
};

/* Bytes of a key and of a value that stand for one chunk in a key-value store. */
#define INDEX_KEY	16u
#define INDEX_VALUE	112u	/* what a chunk with one extent and 4 CRCs needs */

/* 0, or -errno (printed). -ENOSYS: built without RocksDB. */
int rocks_measure(const struct index_job *job, int shared, struct index_result *r);

/* ---- small statistics, in powers of 1.1 ---------------------------------- */

#define HIST_NR	256u

struct hist {
	uint64_t n[HIST_NR];
	uint64_t total;
};

void hist_add(struct hist *h, uint64_t ns, uint64_t count);
void hist_merge(struct hist *to, const struct hist *from);
double hist_us(const struct hist *h, double share);
double process_cpu_s(void);

#endif /* INDEX_BENCH_H */
