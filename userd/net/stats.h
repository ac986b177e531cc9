/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server counts of its requests, whatever they are: latency from the
 * moment its loop woke up for them until the reply leaves, bytes, statuses.
 * One set for each loop, written by that loop alone (base/metrics.h).
 */
#ifndef FLINT_NET_STATS_H
#define FLINT_NET_STATS_H

#include "../base/metrics.h"
#include "net.h"
#include "../../uapi/flintfs/names.h"

#define FLINT_STAT_OPS		128	/* operations of the protocol have lower numbers */
/* errno values, the last of them for all that are larger, then FLINT_ST_* */
#define FLINT_STAT_ERRNO	134
#define FLINT_STAT_STATUS	(FLINT_STAT_ERRNO + 24)

struct flint_op_stats {
	struct flint_hist lat;
	_Atomic uint64_t in_bytes, out_bytes;
	_Atomic uint64_t status[FLINT_STAT_STATUS];
};

struct flint_srv_stats {
	_Atomic uint64_t begun, ended;
	struct flint_op_stats op[FLINT_STAT_OPS];
};

/* A request ended. On the loop of @s. */
void flint_stats_request(struct flint_srv_stats *s, uint16_t op, uint32_t status, uint64_t ns,
			 uint32_t in_bytes, uint32_t out_bytes);

/**
 * flint_stats_print() - requests of a server
 * @f: where to
 * @prefix: "flint_chunk"
 * @s, @nr: the sets of all loops
 */
void flint_stats_print(FILE *f, const char *prefix, struct flint_srv_stats *const *s,
		       unsigned int nr);

/* "OK", "ENOENT", "STALE_MAP", or the number in @buf. */
const char *flint_status_name(uint32_t status, char *buf, size_t len);

/* Answer FLINT_OP_LOG and FLINT_OP_METRICS (tool.c). On the first loop. */
void flint_tool_request(struct flint_call *call, const struct flint_metrics *metrics,
			struct flint_pool *pool);

#endif /* FLINT_NET_STATS_H */
