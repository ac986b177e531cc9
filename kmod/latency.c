// SPDX-License-Identifier: GPL-2.0-only
/*
 * Histograms of how long requests take: making, adding up, naming. What counts
 * is in latency.h; who counts is request.c, where a request ends.
 */
#include <linux/math64.h>
#include <linux/slab.h>
#include "latency.h"
#include "../uapi/flintfs/names.h"

/**
 * flint_lat_init() - make empty histograms
 * @lat: for flint_lat_free()
 * @brief: a chunk server's
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int flint_lat_init(struct flint_lat *lat, bool brief)
{
	unsigned int rows = brief ? FLINT_LAT_BRIEF_ROWS : FLINT_LAT_ROWS;

	lat->brief = brief;
	lat->rows = (struct flint_lat_row __percpu *)
		    __alloc_percpu_gfp(rows * sizeof(struct flint_lat_row),
				       __alignof__(struct flint_lat_row),
				       GFP_KERNEL | __GFP_NOWARN);
	return lat->rows ? 0 : -ENOMEM;
}

void flint_lat_free(struct flint_lat *lat)
{
	free_percpu(lat->rows);
	lat->rows = NULL;
}

/**
 * flint_lat_sum() - one row over all CPUs
 * @lat: histograms
 * @row: below flint_lat_rows()
 * @sum: result
 *
 * Counters move on meanwhile: the fields belong together only roughly.
 *
 * Return: did such a request end yet?
 */
bool flint_lat_sum(const struct flint_lat *lat, unsigned int row, struct flint_lat_row *sum)
{
	unsigned int i;
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const struct flint_lat_row *r = per_cpu_ptr(lat->rows, cpu) + row;

		sum->count += READ_ONCE(r->count);
		sum->failed += READ_ONCE(r->failed);
		sum->sum_ns += READ_ONCE(r->sum_ns);
		for (i = 0; i < FLINT_LAT_BUCKETS; i++)
			sum->bucket[i] += READ_ONCE(r->bucket[i]);
	}
	return sum->count;
}

/* The operation of a row; "other" where several share it. */
const char *flint_lat_name(const struct flint_lat *lat, unsigned int row)
{
	const char *name = NULL;
	u16 op;

	for (op = 1; row && op < 0x70 && !name; op++)
		if (flint_lat_row_of(lat, op) == row)
			name = flint_op_name(op);
	return name ? name : "other";
}

/**
 * flint_lat_quantile_us() - how long so many of a thousand took at most
 * @sum: of flint_lat_sum()
 * @permille: 500 for the median, 990 for what one in a hundred exceeds
 *
 * Return: microseconds, the upper end of the bucket: up to twice too much.
 */
u32 flint_lat_quantile_us(const struct flint_lat_row *sum, u32 permille)
{
	u64 all = 0, want, seen = 0;
	unsigned int i;

	for (i = 0; i < FLINT_LAT_BUCKETS; i++)
		all += sum->bucket[i];
	want = div_u64(all * permille + 999, 1000);
	for (i = 0; i < FLINT_LAT_BUCKETS - 1; i++) {
		seen += sum->bucket[i];
		if (seen >= want)
			break;
	}
	return div_u64(1024ull << i, 1000);
}
