// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which target of a chain to ask.
 *
 * Changes enter a chain at its head, the first of its targets that serves. Any
 * serving target answers reads, each with the latest acknowledged data; the one
 * whose server has the fewest of this mount's requests in flight is asked, so a
 * slow server is asked less without a rule of its own. A read that failed goes to
 * another target if there is one; one whose data was damaged goes to the same one
 * again first, which looks and repairs. Servers without a connection are asked only when
 * no other serves.
 *
 * When a new map says that a server is down, what is in flight to it ends at
 * once, and goes to the targets that the map names now: a server that stands
 * still holds nobody up for longer than the managers take to notice.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include "flint.h"

static const struct flint_map_target *
flint_replica_head(struct flint_mapref *map, const struct flint_map_chain *chain,
		   struct flint_peer **peer)
{
	const struct flint_map_target *t = flint_map_head(&map->map, chain);

	if (!t)
		return ERR_PTR(-EAGAIN);
	*peer = flint_map_peer(map, le32_to_cpu(t->node));
	return IS_ERR(*peer) ? ERR_CAST(*peer) : t;
}

/* What speaks against asking it; the least is asked. */
static u32 flint_replica_cost(struct flint_peer *peer, const struct flint_map_target *t, u32 last,
			      bool again)
{
	u32 cost = min_t(u32, flint_peer_inflight(peer), 0x7fff);
	bool same = le32_to_cpu(t->id) == last;

	if (again && !same)
		cost |= BIT(15);
	if (!flint_peer_live(peer))
		cost |= BIT(16);
	if (!again && same)
		cost |= BIT(17);
	return cost;
}

/**
 * flint_replica_pick() - the target to send a request to
 * @map: the current map
 * @chain: of the chunk
 * @write: it changes the chunk
 * @last: id of the target that was asked last, 0: none
 * @again: ask that one again, if it serves; else another one, if one serves
 * @peer: result: its server, alive as long as @map
 *
 * Context: process, may sleep when a peer is new.
 * Return: the target; ERR_PTR(-EAGAIN) when none serves at present: a newer map
 * is needed; ERR_PTR(-EIO) for a chain that names unknown targets, or an error
 * of flint_map_peer().
 */
const struct flint_map_target *
flint_replica_pick(struct flint_mapref *map, const struct flint_map_chain *chain, bool write,
		   u32 last, bool again, struct flint_peer **peer)
{
	const struct flint_map_target *best = ERR_PTR(-EAGAIN);
	u32 i, at = get_random_u32_below(chain->nr), least = U32_MAX;

	if (write)
		return flint_replica_head(map, chain, peer);
	for (i = 0; i < chain->nr; i++, at = (at + 1) % chain->nr) {
		const struct flint_map_target *t =
			flint_map_target(&map->map, le32_to_cpu(chain->targets[at]));
		struct flint_peer *p;
		u32 cost;

		if (!t || t->state != FLINT_TARGET_SERVING)
			continue;
		p = flint_map_peer(map, le32_to_cpu(t->node));
		if (IS_ERR(p)) {
			if (IS_ERR(best))
				best = ERR_CAST(p);
			continue;
		}
		cost = flint_replica_cost(p, t, last, again);
		if (cost >= least)
			continue;
		least = cost;
		best = t;
		*peer = p;
	}
	return best;
}

/**
 * flint_replica_map() - a new map was installed
 * @old: the map before, or NULL
 * @new: the map
 *
 * Context: process.
 */
void flint_replica_map(struct flint_mapref *old, struct flint_mapref *new)
{
	u32 i;

	if (!old)
		return;
	for (i = 0; i < new->map.nr_nodes; i++) {
		const struct flint_map_node *n = &new->map.nodes[i];
		struct flint_peer *peer = READ_ONCE(new->peers[i]);
		const struct flint_map_node *was;

		if (!peer || n->role != FLINT_ROLE_CHUNK || n->state != FLINT_NODE_DOWN)
			continue;
		was = flint_map_node(&old->map, le32_to_cpu(n->id));
		if (was && was->state != FLINT_NODE_DOWN)
			flint_peer_reset(peer, "the managers say that this server is down");
	}
}
