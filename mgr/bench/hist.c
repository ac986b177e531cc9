// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Latencies: a histogram with BENCH_SUB steps in each power of two, so that a
 * percentile is right to 1.6 % whatever its size, and adding costs nothing.
 */
#include "bench.h"

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int shift, i;

	if (ns < BENCH_SUB)
		return (unsigned int)ns;
	shift = 63 - (unsigned int)__builtin_clzll(ns) - 6;
	i = (shift + 1) * BENCH_SUB + (unsigned int)(ns >> shift) - BENCH_SUB;
	return i < BENCH_BUCKETS ? i : BENCH_BUCKETS - 1;
}

/* The middle of a bucket. */
static double bucket_ns(unsigned int i)
{
	unsigned int shift;

	if (i < BENCH_SUB)
		return i;
	shift = i / BENCH_SUB - 1;
	return (double)(((uint64_t)(i % BENCH_SUB + BENCH_SUB) << shift) + (1ull << shift) / 2);
}

void bench_hist_add(struct bench_hist *h, uint64_t ns)
{
	h->n++;
	h->sum += ns;
	if (ns > h->max)
		h->max = ns;
	h->bucket[bucket_of(ns)]++;
}

void bench_hist_merge(struct bench_hist *h, const struct bench_hist *from)
{
	unsigned int i;

	h->n += from->n;
	h->sum += from->sum;
	if (from->max > h->max)
		h->max = from->max;
	for (i = 0; i < BENCH_BUCKETS; i++)
		h->bucket[i] += from->bucket[i];
}

double bench_hist_us(const struct bench_hist *h, double part)
{
	uint64_t want = (uint64_t)(part * (double)h->n), seen = 0;
	unsigned int i;

	for (i = 0; i < BENCH_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen > want)
			return bucket_ns(i) / 1000;
	}
	return (double)h->max / 1000;
}
