// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counting a server's requests; see stats.h.
 */
#include "stats.h"

static unsigned int slot_of(uint32_t status)
{
	if (status < FLINT_STAT_ERRNO)
		return status;
	if (status < FLINT_ST_RETRY || status - FLINT_ST_RETRY >= FLINT_STAT_STATUS - FLINT_STAT_ERRNO)
		return FLINT_STAT_ERRNO - 1;
	return FLINT_STAT_ERRNO + status - FLINT_ST_RETRY;
}

static uint32_t status_of(unsigned int slot)
{
	return slot < FLINT_STAT_ERRNO ? slot : slot - FLINT_STAT_ERRNO + FLINT_ST_RETRY;
}

void flint_stats_request(struct flint_srv_stats *s, uint16_t op, uint32_t status, uint64_t ns,
			 uint32_t in_bytes, uint32_t out_bytes)
{
	struct flint_op_stats *o = &s->op[op % FLINT_STAT_OPS];

	flint_count(&s->ended, 1);
	flint_hist_add(&o->lat, ns);
	flint_count(&o->status[slot_of(status)], 1);
	if (in_bytes)
		flint_count(&o->in_bytes, in_bytes);
	if (out_bytes)
		flint_count(&o->out_bytes, out_bytes);
}

/* ---- printing ----------------------------------------------------------- */

/* Which operations were ever asked for. */
static unsigned int ops_seen(struct flint_srv_stats *const *s, unsigned int nr, uint16_t *ops)
{
	unsigned int op, i, j, n = 0;

	for (op = 0; op < FLINT_STAT_OPS; op++) {
		bool any = false;

		for (i = 0; i < nr && !any; i++)
			for (j = 0; j < FLINT_HIST_BUCKETS && !any; j++)
				any = flint_counted(&s[i]->op[op].lat.n[j]);
		if (any && flint_op_name((uint16_t)op))
			ops[n++] = (uint16_t)op;
	}
	return n;
}

static void print_times(FILE *f, const char *prefix, struct flint_srv_stats *const *s,
			unsigned int nr, const uint16_t *ops, unsigned int nr_ops)
{
	char name[80], labels[64];
	unsigned int i, j;

	snprintf(name, sizeof(name), "%s_request_seconds", prefix);
	flint_metric_head(f, name, "histogram", "From the arrival of a request to its answer.");
	for (i = 0; i < nr_ops; i++) {
		struct flint_hist_sum sum = { 0 };

		for (j = 0; j < nr; j++)
			flint_hist_sum(&sum, &s[j]->op[ops[i]].lat);
		snprintf(labels, sizeof(labels), "op=\"%s\"", flint_op_name(ops[i]));
		flint_metric_hist(f, name, labels, &sum);
	}
}

static void print_statuses(FILE *f, const char *prefix, struct flint_srv_stats *const *s,
			   unsigned int nr, const uint16_t *ops, unsigned int nr_ops)
{
	char name[80], labels[96], buf[12];
	unsigned int i, j, k;

	snprintf(name, sizeof(name), "%s_requests_total", prefix);
	flint_metric_head(f, name, "counter", "Requests that were answered, by status.");
	for (i = 0; i < nr_ops; i++)
		for (k = 0; k < FLINT_STAT_STATUS; k++) {
			uint64_t n = 0;

			for (j = 0; j < nr; j++)
				n += flint_counted(&s[j]->op[ops[i]].status[k]);
			if (!n && k)
				continue;
			snprintf(labels, sizeof(labels), "op=\"%s\",status=\"%s\"",
				 flint_op_name(ops[i]),
				 flint_status_name(status_of(k), buf, sizeof(buf)));
			flint_metric_u64(f, name, labels, n);
		}
}

static void print_bytes(FILE *f, const char *prefix, struct flint_srv_stats *const *s,
			unsigned int nr, const uint16_t *ops, unsigned int nr_ops)
{
	char name[80], labels[96];
	unsigned int i, j;

	snprintf(name, sizeof(name), "%s_request_bytes_total", prefix);
	flint_metric_head(f, name, "counter", "Payload that requests brought and answers took.");
	for (i = 0; i < nr_ops; i++) {
		uint64_t in = 0, out = 0;

		for (j = 0; j < nr; j++) {
			in += flint_counted(&s[j]->op[ops[i]].in_bytes);
			out += flint_counted(&s[j]->op[ops[i]].out_bytes);
		}
		snprintf(labels, sizeof(labels), "op=\"%s\",direction=\"in\"",
			 flint_op_name(ops[i]));
		flint_metric_u64(f, name, labels, in);
		snprintf(labels, sizeof(labels), "op=\"%s\",direction=\"out\"",
			 flint_op_name(ops[i]));
		flint_metric_u64(f, name, labels, out);
	}
}

void flint_stats_print(FILE *f, const char *prefix, struct flint_srv_stats *const *s,
		       unsigned int nr)
{
	uint16_t ops[FLINT_STAT_OPS];
	unsigned int nr_ops = ops_seen(s, nr, ops), i;
	uint64_t open = 0;
	char name[80];

	for (i = 0; i < nr; i++) {
		/* Ended first: a request that begins meanwhile counts as open, not as minus one. */
		uint64_t ended = flint_counted(&s[i]->ended);

		open += flint_counted(&s[i]->begun) - ended;
	}
	snprintf(name, sizeof(name), "%s_requests_in_flight", prefix);
	flint_metric_one(f, name, "gauge", "Requests that wait for their answer now.", open);
	print_times(f, prefix, s, nr, ops, nr_ops);
	print_statuses(f, prefix, s, nr, ops, nr_ops);
	print_bytes(f, prefix, s, nr, ops, nr_ops);
}
