/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast work in the background (recovery, scrub) may go on one target: a
 * limit that is set, and below it what clients leave.
 *
 * Invariants
 *  - Over any second no more than the limit, but for one piece of work at its end.
 *  - While clients' requests queue, the rate falls by steps to the floor and not
 *    below it; when they do not, it rises again.
 *  - Pure arithmetic on the times that are passed in: no clock, no timer, no lock.
 */
#ifndef FLINT_CHUNK_THROTTLE_H
#define FLINT_CHUNK_THROTTLE_H

#include "../../uapi/flintfs/types.h"

#define FLINT_THROTTLE_FLOOR	(8ull << 20)	/* bytes/s that clients never take away */
#define FLINT_THROTTLE_DEPTH	2u		/* clients' requests under way that are a load */
#define FLINT_THROTTLE_STEP_NS	100000000ull	/* the rate changes so often at most */

/**
 * struct flint_throttle
 * @limit: bytes/s, 0: none
 * @floor: bytes/s, at most @limit
 * @rate: bytes/s at present
 * @credit: bytes that may be moved now; below 0: time must pass first
 */
struct flint_throttle {
	u64 limit;
	u64 floor;
	u64 rate;
	s64 credit;
	u64 last_ns;
	u64 step_ns;			/* when the present step began */
	u64 taken;			/* bytes in it */
	u64 depth, samples;		/* clients' requests seen in it */
};

/* @limit 0: none. Counts from @now_ns on. */
void flint_throttle_init(struct flint_throttle *t, u64 limit, u64 now_ns);
/* Another limit; takes effect at once. */
void flint_throttle_limit(struct flint_throttle *t, u64 limit);

/**
 * flint_throttle_take() - may @bytes be moved now?
 * @queued: clients' requests that are under way on the target
 *
 * Return: 0 and the bytes are counted, or nanoseconds after which to ask again.
 */
u64 flint_throttle_take(struct flint_throttle *t, u64 bytes, u32 queued, u64 now_ns);

#endif /* FLINT_CHUNK_THROTTLE_H */
