// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rate of background work: additive and doubling increase, multiplicative
 * decrease, on the clients' queue depth (throttle.h).
 */
#include "throttle.h"

#define NS_PER_S	1000000000ull
#define RATE_START	(4ull << 30)	/* clients that are there bring it down within a second */
#define RATE_MAX	(1ull << 40)
#define BURST_NS	(NS_PER_S / 10)		/* credit that may be saved up */

static u64 ceiling(const struct flint_throttle *t)
{
	return t->limit ? t->limit : RATE_MAX;
}

static u64 lowest(const struct flint_throttle *t)
{
	return t->floor < ceiling(t) ? t->floor : ceiling(t);
}

void flint_throttle_init(struct flint_throttle *t, u64 limit, u64 now_ns)
{
	*t = (struct flint_throttle){
		.limit = limit, .floor = FLINT_THROTTLE_FLOOR, .last_ns = now_ns,
		.step_ns = now_ns,
	};
	t->rate = RATE_START < ceiling(t) ? RATE_START : ceiling(t);
}

void flint_throttle_limit(struct flint_throttle *t, u64 limit)
{
	t->limit = limit;
	if (t->rate > ceiling(t))
		t->rate = ceiling(t);
	if (t->rate < lowest(t))
		t->rate = lowest(t);
}

/* A step is over: how much load was there, and what was moved? */
static void step(struct flint_throttle *t, u64 now_ns)
{
	u64 span = now_ns - t->step_ns;

	if (span < FLINT_THROTTLE_STEP_NS)
		return;
	if (t->samples && t->depth >= t->samples * FLINT_THROTTLE_DEPTH) {
		u64 moved = span < NS_PER_S ? t->taken * NS_PER_S / span : t->taken;

		if (moved < t->rate)	/* a rate that was never reached is no rate */
			t->rate = moved;
		t->rate = t->rate / 10 * 7;
		if (t->rate < lowest(t))
			t->rate = lowest(t);
	} else {
		t->rate = t->rate < RATE_MAX / 2 ? t->rate + t->rate / 4 + (1u << 20) : RATE_MAX;
		if (t->rate > ceiling(t))
			t->rate = ceiling(t);
	}
	t->step_ns = now_ns;
	t->taken = 0;
	t->depth = 0;
	t->samples = 0;
}

u64 flint_throttle_take(struct flint_throttle *t, u64 bytes, u32 queued, u64 now_ns)
{
	u64 span = now_ns - t->last_ns;
	s64 most;

	t->depth += queued;
	t->samples++;
	step(t, now_ns);
	if (span > NS_PER_S)
		span = NS_PER_S;
	most = (s64)(t->rate / (NS_PER_S / BURST_NS));
	if (span >= 1000) {	/* shorter spans add up to one that counts */
		t->last_ns = now_ns;
		/* In two parts: rate and span together may exceed 64 bits. */
		t->credit += (s64)(t->rate / 1000 * (span / 1000) / 1000);
	}
	if (t->credit > most)
		t->credit = most;
	if (t->credit < 0) {
		u64 wait = (u64)-t->credit * 1000 / (t->rate / 1000 + 1) * 1000;

		return wait < 1000000 ? 1000000 : wait;
	}
	t->credit -= (s64)bytes;
	t->taken += bytes;
	return 0;
}
