/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Figures of a daemon for Prometheus (text exposition, version 0.0.4).
 *
 * Counters and histograms are plain words in memory that belongs to whoever
 * counts: each has one writing thread, which adds without a lock and without a
 * locked instruction, and any number of readers, which see a value that is a
 * moment old. What several threads count is several sets, added up when somebody
 * looks. Nothing is allocated on the way of a request.
 *
 * Text is made by collectors, functions that print their metrics into a FILE.
 * All samples of one metric follow its head: HELP, TYPE, samples.
 */
#ifndef FLINT_BASE_METRICS_H
#define FLINT_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

/* ---- counting ----------------------------------------------------------- */

/* The only writer adds. */
static inline void flint_count(_Atomic uint64_t *c, uint64_t by)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + by,
			      memory_order_relaxed);
}

static inline uint64_t flint_counted(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* Two steps in each power of two: 1, 1.5, 2, 3, 4, 6 us ... 67 s, and what is longer. */
#define FLINT_HIST_BUCKETS	54

/* Times; zero-initialise. */
struct flint_hist {
	_Atomic uint64_t sum_ns;
	_Atomic uint64_t n[FLINT_HIST_BUCKETS];
};

/* Upper bound of bucket @i in nanoseconds; the last one has none. */
static inline uint64_t flint_hist_bound(unsigned int i)
{
	return (i & 1 ? 1500ull : 1000ull) << (i / 2);
}

/* The first bucket whose bound is not below @ns. */
static inline unsigned int flint_hist_bucket(uint64_t ns)
{
	unsigned int octave, i;

	if (ns <= 1000)
		return 0;
	octave = 63 - (unsigned int)__builtin_clzll((ns - 1) / 1000);
	i = 2 * octave + 1;
	i += ns > flint_hist_bound(i);
	return i < FLINT_HIST_BUCKETS ? i : FLINT_HIST_BUCKETS - 1;
}

/* The only writer adds one time. */
static inline void flint_hist_add(struct flint_hist *h, uint64_t ns)
{
	flint_count(&h->sum_ns, ns);
	flint_count(&h->n[flint_hist_bucket(ns)], 1);
}

/* What several histograms hold together; zero-initialise. */
struct flint_hist_sum {
	uint64_t sum_ns, count;
	uint64_t n[FLINT_HIST_BUCKETS];
};

void flint_hist_sum(struct flint_hist_sum *sum, const struct flint_hist *h);

/* ---- printing ----------------------------------------------------------- */

/**
 * struct flint_collector - prints some metrics
 * @fn: called by whoever wants the text, on the daemon's main loop
 */
struct flint_collector {
	void (*fn)(void *arg, FILE *f);
	void *arg;
	struct flint_collector *next;
};

/**
 * struct flint_metrics - all collectors of a daemon; zero-initialise
 * @program: "flint-chunkd", for flint_build_info
 */
struct flint_metrics {
	const char *program;
	struct flint_collector *first, **last;
};

/* @c is the caller's memory and stays until the daemon ends. Before threads are started. */
void flint_metrics_add(struct flint_metrics *m, struct flint_collector *c);

/**
 * flint_metrics_text() - everything, with what every process has to say
 * @len: result: bytes without the NUL
 *
 * Return: malloced text, or NULL without memory.
 */
char *flint_metrics_text(const struct flint_metrics *m, size_t *len);

/* "counter", "gauge", "histogram". Counters' names end in _total, times are seconds. */
void flint_metric_head(FILE *f, const char *name, const char *type, const char *help);
/* One sample. @labels: "a=\"b\",c=\"d\"", or NULL. */
void flint_metric_u64(FILE *f, const char *name, const char *labels, uint64_t value);
void flint_metric_real(FILE *f, const char *name, const char *labels, double value);
/* A metric without labels, with its head. */
void flint_metric_one(FILE *f, const char *name, const char *type, const char *help,
		      uint64_t value);
void flint_metric_hist(FILE *f, const char *name, const char *labels,
		       const struct flint_hist_sum *sum);
/* @text as the value of a label: backslash, quote and newline are escaped. Return: @out. */
const char *flint_metric_label(const char *text, char *out, size_t len);

#endif /* FLINT_BASE_METRICS_H */
