/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /metrics of chunk and metadata servers (managers have it in their API).
 * Whoever asks shows the bearer token of `flint cluster metrics-token`.
 */
#ifndef FLINT_NET_SCRAPE_H
#define FLINT_NET_SCRAPE_H

#include "../base/metrics.h"
#include "endpoint.h"

/* Entry of a daemon's option table: a char *. @port: default, a string. */
#define FLINT_SCRAPE_OPT(off, port)                                                               \
	{ "metrics", 0, FLINT_CONF_STR, off, port, "[ADDR:]PORT",                                 \
	  "where Prometheus finds /metrics; PORT alone: on the addresses of --listen; 0: nowhere", \
	  0, 0, 0 }

struct flint_scrape;

/**
 * flint_scrape_start() - serve /metrics
 * @loop: runs the collectors: the daemon's main loop
 * @where: value of the option
 * @e: for the addresses
 * @key: cluster key, from which the token comes
 *
 * A port that is taken is logged and no reason for the daemon not to run:
 * *@out is NULL then, and when @where is "0".
 *
 * Return: 0, or -EINVAL or -ENOMEM with one sentence in @err.
 */
int flint_scrape_start(struct flint_scrape **out, struct flint_loop *loop, const char *where,
		       const struct flint_endpoint *e, const uint8_t *key,
		       const struct flint_metrics *metrics, char *err, size_t errlen);
void flint_scrape_stop(struct flint_scrape *s);

#endif /* FLINT_NET_SCRAPE_H */
