/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which replica of a chunk to read: pure arithmetic, shared by the client
 * library and by the data-path simulator (tools/sim), so that what the
 * simulator says of a cluster of a thousand servers is said of this code.
 *
 * A client keeps a struct flint_replica_load for every server and for every
 * target it speaks to. It counts what it has in flight there and remembers what
 * the server said of its own queue with its last answer, which counts half as
 * much with every FLINT_REPLICA_HALF_NS of age. The replica with the least of
 * it is asked; equals are drawn by lot, so that clients who know nothing do not
 * all choose the same one. One that failed is asked only if all did, for a
 * while that doubles with every failure.
 *
 * A slow server or disk needs no rule of its own: what is in flight there
 * grows, and it is asked less.
 *
 * Not locked: the caller's loop owns it.
 */
#ifndef FLINT_CLIENT_REPLICA_H
#define FLINT_CLIENT_REPLICA_H

#include "../../uapi/flintfs/placement.h"

#define FLINT_REPLICA_REQUEST	(16u << 10)	/* what a request weighs beside its bytes */
#define FLINT_REPLICA_HALF_NS	1000000ull	/* half-life of a server's word */
#define FLINT_REPLICA_AVOID_NS	100000000ull	/* after a first failure */
#define FLINT_REPLICA_FAILS_MAX	6		/* doublings of that */

/**
 * struct flint_replica_load - of one server or one target, zero at first
 * @bytes: ours, in flight there, with FLINT_REPLICA_REQUEST for each request
 * @said: bytes that waited there when it answered last, ours not counted; 0: not told
 * @said_ns: when that answer came
 * @avoid_ns: until then it is asked only if there is no other
 * @fails: in a row
 */
struct flint_replica_load {
	u64 bytes;
	u64 said;
	u64 said_ns;
	u64 avoid_ns;
	u32 fails;
};

/**
 * struct flint_replica - a replica that may be asked: its target is SERVING
 */
struct flint_replica {
	struct flint_replica_load *node;
	struct flint_replica_load *target;
};

/* A request of @len bytes is sent to @r. */
static inline void flint_replica_begin(const struct flint_replica *r, u32 len)
{
	r->node->bytes += len + FLINT_REPLICA_REQUEST;
	r->target->bytes += len + FLINT_REPLICA_REQUEST;
}

static inline void flint_replica_sub(struct flint_replica_load *l, u64 bytes)
{
	l->bytes = l->bytes > bytes ? l->bytes - bytes : 0;
}

/**
 * flint_replica_end() - a request has ended, pairs with flint_replica_begin()
 * @len: as then
 * @ok: it was answered; else the target, not its server, is avoided for a while
 * @said: bytes that wait at the server as its answer tells, 0: it does not
 * @now_ns: a monotonic clock, the same as for flint_replica_pick()
 */
static inline void flint_replica_end(const struct flint_replica *r, u32 len, bool ok, u64 said,
				     u64 now_ns)
{
	struct flint_replica_load *n = r->node, *t = r->target;

	flint_replica_sub(n, (u64)len + FLINT_REPLICA_REQUEST);
	flint_replica_sub(t, (u64)len + FLINT_REPLICA_REQUEST);
	if (!ok) {
		t->avoid_ns = now_ns + (FLINT_REPLICA_AVOID_NS << t->fails);
		if (t->fails < FLINT_REPLICA_FAILS_MAX)
			t->fails++;
		return;
	}
	t->fails = 0;
	t->avoid_ns = 0;
	n->said = said > n->bytes ? said - n->bytes : 0;
	n->said_ns = now_ns;
}

/* How long a request would wait there, in bytes that are before it. */
static inline u64 flint_replica_cost(const struct flint_replica *r, u64 now_ns)
{
	u64 age = (now_ns - r->node->said_ns) / FLINT_REPLICA_HALF_NS;

	return r->node->bytes + r->target->bytes + (age < 32 ? r->node->said >> age : 0);
}

/**
 * flint_replica_pick() - choose
 * @r: the replicas that may be asked, in the chain's order
 * @nr: 1 or more
 * @now_ns: a monotonic clock
 * @rng: state of flint_splitmix64(), any value at first, the client's own
 *
 * Return: index into @r.
 */
static inline u32 flint_replica_pick(const struct flint_replica *r, u32 nr, u64 now_ns, u64 *rng)
{
	u64 best_cost = 0, cost;
	u32 best = 0, equal = 0, i;
	bool best_bad = false, bad;

	for (i = 0; i < nr; i++) {
		bad = r[i].target->avoid_ns > now_ns || r[i].node->avoid_ns > now_ns;
		cost = flint_replica_cost(&r[i], now_ns);
		if (i && (bad > best_bad || (bad == best_bad && cost > best_cost)))
			continue;
		if (!i || bad < best_bad || cost < best_cost)
			equal = 0;
		if (!flint_rng_below(rng, ++equal))
			best = i;
		best_cost = cost;
		best_bad = bad;
	}
	return best;
}

#endif /* FLINT_CLIENT_REPLICA_H */
