// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which place a target has in its chain: from the map, as far as the managers'
 * orders to this very process allow it.
 *
 * A map may still tell of the process before us, which may have known writes
 * that we do not: so a target serves, or takes part in recovery, only after an
 * answer to one of our own heartbeats said so (FLINT_HB_ADMITTED).
 *
 * The main loop decides; the worker is told by a task and acts (forward.c). The
 * loops that take requests in look at an atomic word first, which spares those
 * that are wrong the way to the worker, where everything is checked again.
 */
#include <stdlib.h>
#include "heal.h"
#include "targets.h"
#include "../base/log.h"

struct place_task {
	struct flint_task task;
	struct chunkd_target *t;
	struct flint_place place;
};

/* Any thread. */
static void beat_soon(struct chunkd_target *t)
{
	if (!atomic_exchange(&t->beating, true))
		flint_loop_post(t->worker->d->workers[0].loop, &t->beat);
}

/* ---- the worker --------------------------------------------------------- */

void flint_chain_half(struct chunkd_target *t)
{
	flint_chain_offline(t, "it has but a part of a chunk that the target in front was sending it, and is to be the first of the chain now; the others have that chunk");
}

static void place_taken(struct flint_task *task)
{
	struct place_task *p = (void *)task;
	struct chunkd_target *t = p->t;

	t->at = p->place;
	free(p);
	t->st->authority = !t->at.succ;
	t->st->room_behind = ~0ull;
	t->st->room_unknown = t->at.succ;
	flint_fwd_moved(t);
	if (t->at.role == FLINT_CHAIN_SERVING && !t->at.pos && t->st->index.nr_half)
		flint_chain_half(t);
	heal_moved(t->heal);
}

void flint_chain_offline(struct chunkd_target *t, const char *why)
{
	if (atomic_exchange(&t->off, true))
		return;
	flint_err("%s: the target goes offline: %s; the chain goes on without it, and it comes back by recovery when flint-chunkd is restarted",
		  t->st->name, why);
	t->at.role = FLINT_CHAIN_NONE;
	atomic_store(&t->place, 0);
	flint_fwd_moved(t);
	beat_soon(t);
}

void flint_chain_synced(struct chunkd_target *t)
{
	atomic_store(&t->synced, flint_chain_at(t->at.chain, t->at.chain_ver));
	beat_soon(t);
}

/* ---- the main loop ------------------------------------------------------ */

/* Is the part that the map gives the target given to this process? */
static bool admitted(const struct chunkd_target *t, u8 role)
{
	u8 state = t->order.state;

	if (!(t->order.flags & FLINT_HB_ADMITTED))
		return false;
	return state == FLINT_TARGET_SERVING ||
	       (state == FLINT_TARGET_SYNCING && role == FLINT_CHAIN_SYNCING);
}

static void place_update(struct flint_chunkd *d, struct chunkd_target *t,
			 const struct flint_map *map)
{
	struct place_task *task;
	struct flint_place p;

	flint_place_find(map, t->st->id, &p);
	if (atomic_load(&t->off)) {
		p.role = FLINT_CHAIN_NONE;
	} else if (p.role != FLINT_CHAIN_NONE && !admitted(t, p.role)) {
		p.role = FLINT_CHAIN_NONE;
		if (d->member)
			flint_member_beat(d->member);
	}
	if (p.role == FLINT_CHAIN_NONE) {
		p.succ = 0;
		p.pred = 0;
	}
	if (!memcmp(&p, &t->told, sizeof(p)))
		return;
	task = calloc(1, sizeof(*task));
	if (!task)
		return;		/* the next map or order tries again */
	t->told = p;
	atomic_store(&t->place, p.role == FLINT_CHAIN_NONE ? 0 :
		     flint_chain_at(p.chain, p.chain_ver));
	flint_debug("%s: chain %u version %u, %s, %u in front, target %u behind%s", t->st->name,
		    p.chain, p.chain_ver,
		    p.role == FLINT_CHAIN_SERVING ? "serving" :
		    p.role == FLINT_CHAIN_SYNCING ? "catching up" : "not in service",
		    p.pos, p.succ, p.succ_syncing ? " catching up" : "");
	task->task.fn = place_taken;
	task->t = t;
	task->place = p;
	flint_loop_post(t->worker->loop, &task->task);
}

/* What waits for an answer of a node that is gone shall not wait for its time-out. */
static void reset_dead(struct flint_chunkd *d, const struct flint_map *map)
{
	u32 i;

	for (i = 0; i < map->nr_nodes; i++)
		if (map->nodes[i].role == FLINT_ROLE_CHUNK &&
		    map->nodes[i].state == FLINT_NODE_DOWN)
			flint_cluster_reset(d->cluster, le32_to_cpu(map->nodes[i].id),
					    "the managers hold the node for down");
}

void chunkd_map_changed(void *arg, const struct flint_map *map)
{
	struct flint_chunkd *d = arg;
	unsigned int i;

	if (d->cluster)
		chunkd_targets_bind(d, map);
	for (i = 0; i < d->nr_targets; i++) {
		if (d->targets[i].gone)
			continue;
		place_update(d, &d->targets[i], map);
		heal_map_changed(d->targets[i].heal, map);
	}
	if (d->cluster)
		reset_dead(d, map);
}

void chunkd_orders(void *arg, const struct flint_hb_order *o, unsigned int nr)
{
	struct flint_chunkd *d = arg;
	struct flint_map_ref *ref = flint_cluster_map(d->cluster);
	unsigned int i, j;

	for (i = 0; i < d->nr_targets; i++) {
		struct chunkd_target *t = &d->targets[i];

		for (j = 0; j < nr && le32_to_cpu(o[j].target_id) != t->st->id; j++)
			;
		if (j == nr)
			memset(&t->order, 0, sizeof(t->order));
		else
			t->order = o[j];
		if (ref && !t->gone)
			place_update(d, t, &ref->map);
	}
	flint_map_put(ref);
}

void chunkd_beat(struct flint_task *task)
{
	struct chunkd_target *t = (void *)((u8 *)task - offsetof(struct chunkd_target, beat));
	struct flint_chunkd *d = t->worker->d;

	atomic_store(&t->beating, false);
	if (d->member)
		flint_member_beat(d->member);
}

u8 chunkd_local_state(const struct chunkd_target *t)
{
	if (t->st->offline || atomic_load(&t->off) ||
	    (t->st->index.nr_half && flint_order_unsafe(&t->order)))
		return FLINT_LOCAL_OFFLINE;
	return flint_order_state(&t->order, atomic_load(&t->synced));
}
