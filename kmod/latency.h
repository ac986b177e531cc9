/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long requests take, by operation: histograms of a mount and of each of its
 * peers. Counted per CPU, in memory of that CPU alone: an I/O that ends writes
 * to no cache line that another CPU writes to.
 */
#ifndef _FLINT_LATENCY_H
#define _FLINT_LATENCY_H

#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include "../uapi/flintfs/netlink.h"
#include "../uapi/flintfs/wire.h"

/**
 * struct flint_lat_row - one operation
 * @count: requests that ended
 * @failed: of them, without an answer
 * @sum_ns: of their times, from submission to end
 * @bucket: i counts those below 2^i * 1024 ns (and not below the one before);
 *	the last one has no limit
 */
struct flint_lat_row {
	u64 count;
	u64 failed;
	u64 sum_ns;
	u64 bucket[FLINT_LAT_BUCKETS];
};

/*
 * Rows: the operations that a client sends, or of chunk servers, of which there
 * may be thousands, only three.
 */
#define FLINT_LAT_ROWS		85	/* flint_lat_row_of() */
#define FLINT_LAT_BRIEF_ROWS	3	/* others, READ, WRITE */

struct flint_lat {
	bool brief;
	struct flint_lat_row __percpu *rows;
};

static inline unsigned int flint_lat_row_of(const struct flint_lat *lat, u16 op)
{
	if (lat->brief)
		return op == FLINT_OP_READ ? 1 : op == FLINT_OP_WRITE ? 2 : 0;
	switch (op >> 4) {
	case 0:
		return min_t(unsigned int, op, 3);
	case 1:
		return 4;
	case 2 ... 5:
		return 5 + op - 0x20;
	case 6:
		return 69 + op - 0x60;
	default:
		return 0;
	}
}

static inline unsigned int flint_lat_bucket(u64 ns)
{
	return min_t(unsigned int, fls64(ns >> 10), FLINT_LAT_BUCKETS - 1);
}

/* Context: any. */
static inline void flint_lat_add(const struct flint_lat *lat, u16 op, u64 ns, bool failed)
{
	struct flint_lat_row __percpu *row = lat->rows + flint_lat_row_of(lat, op);

	this_cpu_inc(row->count);
	this_cpu_add(row->sum_ns, ns);
	this_cpu_inc(row->bucket[flint_lat_bucket(ns)]);
	if (failed)
		this_cpu_inc(row->failed);
}

static inline unsigned int flint_lat_rows(const struct flint_lat *lat)
{
	return lat->brief ? FLINT_LAT_BRIEF_ROWS : FLINT_LAT_ROWS;
}

int flint_lat_init(struct flint_lat *lat, bool brief);
void flint_lat_free(struct flint_lat *lat);
bool flint_lat_sum(const struct flint_lat *lat, unsigned int row, struct flint_lat_row *sum);
const char *flint_lat_name(const struct flint_lat *lat, unsigned int row);
u32 flint_lat_quantile_us(const struct flint_lat_row *sum, u32 permille);

#endif /* _FLINT_LATENCY_H */
