// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Membership: what heartbeats say, who has fallen silent, and what follows for
 * the targets.
 *
 * Pure functions over the model: they look at no clock and write nothing, so
 * that the tests can put them through every case. A target's public state is
 * decided in one place, mgr_target_next(), from three inputs.
 */
#include <stdio.h>

#include "../userd/base/log.h"
#include "mgrd.h"

/**
 * mgr_target_next() - the transition table of public target states
 * @state: now, enum flint_target_state
 * @local: what the chunk server says, OFFLINE when its node is down
 * @other_serves: another target of the chain is SERVING and alive
 *
 * LASTSRV marks the last holder of all acknowledged writes: the chain waits
 * for it, and it serves again as soon as it is back. A target that returns to
 * a chain that went on without it waits, and then catches up.
 *
 * Return: the next state.
 */
u8 mgr_target_next(u8 state, u8 local, bool other_serves)
{
	bool alive = local != FLINT_LOCAL_OFFLINE;

	switch (state) {
	case FLINT_TARGET_SERVING:
		if (alive)
			return FLINT_TARGET_SERVING;
		return other_serves ? FLINT_TARGET_OFFLINE : FLINT_TARGET_LASTSRV;
	case FLINT_TARGET_LASTSRV:
		if (other_serves)
			return alive ? FLINT_TARGET_WAITING : FLINT_TARGET_OFFLINE;
		return alive ? FLINT_TARGET_SERVING : FLINT_TARGET_LASTSRV;
	case FLINT_TARGET_SYNCING:
		if (!alive)
			return FLINT_TARGET_OFFLINE;
		if (local == FLINT_LOCAL_UPTODATE)
			return FLINT_TARGET_SERVING;
		return other_serves ? FLINT_TARGET_SYNCING : FLINT_TARGET_WAITING;
	case FLINT_TARGET_WAITING:
		if (!alive)
			return FLINT_TARGET_OFFLINE;
		return local == FLINT_LOCAL_ONLINE && other_serves ? FLINT_TARGET_SYNCING
								   : FLINT_TARGET_WAITING;
	default:
		return alive ? FLINT_TARGET_WAITING : FLINT_TARGET_OFFLINE;
	}
}

/* What a target's server says of it; nothing good can be said for a silent node. */
static u8 mgr_target_local(struct mgr_state *st, const struct mgr_target *t)
{
	const struct mgr_node *n = mgr_node_find(st, t->node);

	return n && n->state == FLINT_NODE_UP ? t->local : FLINT_LOCAL_OFFLINE;
}

static bool mgr_chain_update(struct mgr_state *st, struct mgr_chain *c)
{
	bool changed = false;
	u32 i, j;

	for (i = 0; i < c->nr; i++) {
		struct mgr_target *t = mgr_target_find(st, c->targets[i]);
		bool other = false;
		u8 next;

		for (j = 0; j < c->nr; j++) {
			struct mgr_target *o = mgr_target_find(st, c->targets[j]);

			if (j != i && o->state == FLINT_TARGET_SERVING &&
			    mgr_target_local(st, o) != FLINT_LOCAL_OFFLINE)
				other = true;
		}
		next = mgr_target_next(t->state, mgr_target_local(st, t), other);
		if (next == t->state)
			continue;
		t->state = next;
		t->dirty = true;
		changed = true;
	}
	if (changed) {
		c->version++;
		c->dirty = true;
	}
	return changed;
}

/**
 * mgr_states_update() - let every target's public state follow the facts
 *
 * Return: did anything change? The caller commits.
 */
bool mgr_states_update(struct mgr_state *st)
{
	bool changed = false;
	u32 i;

	for (i = 0; i < st->nr_chains; i++)
		changed |= mgr_chain_update(st, &st->chains[i]);
	for (i = 0; i < st->nr_targets; i++) {
		struct mgr_target *t = &st->targets[i];
		u8 next;

		if (t->chain)
			continue;
		next = mgr_target_next(t->state == FLINT_TARGET_WAITING ? FLINT_TARGET_WAITING
									: FLINT_TARGET_OFFLINE,
				       mgr_target_local(st, t), false);
		if (next != t->state) {
			t->state = next;
			t->dirty = true;
			changed = true;
		}
	}
	return changed;
}

/*
 * Two processes with one name would take turns: the younger one is kept, the
 * other is refused as soon as it speaks again.
 */
static u32 mgr_beat_identity(struct mgr_node *n, const struct mgr_beat *b, char *why,
			     size_t whylen)
{
	if (n->displaced && b->incarnation == n->displaced) {
		snprintf(why, whylen,
			 "another process calls itself %s: give each daemon its own --name",
			 b->name);
		return FLINT_ST_FENCED;
	}
	if (n->incarnation != b->incarnation) {
		n->displaced = n->incarnation;
		n->incarnation = b->incarnation;
	}
	return FLINT_OK;
}

/* Check the targets of a heartbeat before any of them is believed. */
static u32 mgr_beat_check(struct mgr_state *st, const struct mgr_beat *b, char *why, size_t whylen)
{
	u32 i, j;

	if (b->role != FLINT_ROLE_CHUNK && b->nr_targets) {
		snprintf(why, whylen, "%s is no chunk server and has no targets", b->name);
		return FLINT_ST_BAD_REQUEST;
	}
	for (i = 0; i < b->nr_targets; i++) {
		u32 id = le32_to_cpu(b->targets[i].target_id);
		struct mgr_target *t = mgr_target_find(st, id);
		struct mgr_node *owner;

		if (!id || b->targets[i].local_state > FLINT_LOCAL_UPTODATE) {
			snprintf(why, whylen, "target %u of %s has a senseless id or state", id,
				 b->name);
			return FLINT_ST_BAD_REQUEST;
		}
		for (j = 0; j < i; j++)
			if (b->targets[j].target_id == b->targets[i].target_id) {
				snprintf(why, whylen, "%s names target %u twice", b->name, id);
				return FLINT_ST_BAD_REQUEST;
			}
		if (!t)
			continue;
		if (memcmp(t->uuid, b->targets[i].uuid, sizeof(t->uuid))) {
			snprintf(why, whylen,
				 "target id %u of %s belongs to another disk: format this one with an unused --id",
				 id, b->name);
			return EEXIST;
		}
		owner = mgr_node_find(st, t->node);
		if (owner && owner->state == FLINT_NODE_UP && strcmp(owner->name, b->name)) {
			snprintf(why, whylen,
				 "target %u of %s is served by %s at present: stop one of the two",
				 id, b->name, owner->name);
			return EEXIST;
		}
	}
	return FLINT_OK;
}

/* A disk that moved to another server, a changed state, new numbers. */
static bool mgr_beat_target(struct mgr_state *st, u32 node, const struct flint_hb_target *ht)
{
	u32 id = le32_to_cpu(ht->target_id);
	struct mgr_target *t = mgr_target_find(st, id);
	bool changed = false;

	if (!t) {
		t = mgr_target_add(st, id);
		if (!t)
			return false;	/* comes again with the next heartbeat */
		memcpy(t->uuid, ht->uuid, sizeof(t->uuid));
		t->node = node;
		t->capacity = le64_to_cpu(ht->capacity);
		t->used = le64_to_cpu(ht->used);
		changed = true;
	}
	t->used_now = le64_to_cpu(ht->used);
	if (t->node != node || t->local != ht->local_state ||
	    t->capacity != le64_to_cpu(ht->capacity)) {
		t->node = node;
		t->local = ht->local_state;
		t->capacity = le64_to_cpu(ht->capacity);
		changed = true;
	}
	if (changed)
		t->dirty = true;
	return changed;
}

/* Targets that a node no longer names are gone from it. */
static bool mgr_beat_missing(struct mgr_state *st, u32 node, const struct mgr_beat *b)
{
	bool changed = false;
	u32 i, j;

	for (i = 0; i < st->nr_targets; i++) {
		struct mgr_target *t = &st->targets[i];

		if (t->node != node || t->local == FLINT_LOCAL_OFFLINE)
			continue;
		for (j = 0; j < b->nr_targets; j++)
			if (le32_to_cpu(b->targets[j].target_id) == t->id)
				break;
		if (j < b->nr_targets)
			continue;
		t->local = FLINT_LOCAL_OFFLINE;
		t->dirty = true;
		changed = true;
	}
	return changed;
}

/**
 * mgr_beat_apply() - take in one heartbeat
 * @st: the model
 * @b: the heartbeat, its fixed part checked
 * @now_ns: CLOCK_BOOTTIME at arrival
 * @node_id: result: id of the node
 * @changed: result: the map changes, commit and publish before answering
 * @why: one sentence when it is refused
 *
 * An unknown (role, name) becomes a node, an unknown target id a target.
 *
 * Return: FLINT_OK; EEXIST when a target belongs to another disk or server;
 * FLINT_ST_FENCED when a younger process has this name; FLINT_ST_BAD_REQUEST;
 * ENOMEM.
 */
u32 mgr_beat_apply(struct mgr_state *st, const struct mgr_beat *b, u64 now_ns, u32 *node_id,
		   bool *changed, char *why, size_t whylen)
{
	struct mgr_node *n;
	u32 status, i;

	*changed = false;
	status = mgr_beat_check(st, b, why, whylen);
	if (status)
		return status;

	n = mgr_node_find_name(st, b->role, b->name);
	if (!n) {
		n = mgr_node_add(st, b->role, b->name);
		if (!n) {
			snprintf(why, whylen, "out of memory");
			return ENOMEM;
		}
		*changed = true;
	}
	status = mgr_beat_identity(n, b, why, whylen);
	if (status)
		return status;

	n->heard_ns = now_ns;
	if (n->state != FLINT_NODE_UP || memcmp(n->addrs, b->addrs, sizeof(n->addrs))) {
		n->state = FLINT_NODE_UP;
		memcpy(n->addrs, b->addrs, sizeof(n->addrs));
		n->dirty = true;
		*changed = true;
	}
	*node_id = n->id;
	for (i = 0; i < b->nr_targets; i++)
		*changed |= mgr_beat_target(st, *node_id, &b->targets[i]);
	*changed |= mgr_beat_missing(st, *node_id, b);
	*changed |= mgr_states_update(st);
	return FLINT_OK;
}

/**
 * mgr_silence_apply() - declare nodes down that were not heard for T
 * @st: the model; heard_ns of every node was set to the start time when the
 *	manager began, so that a new manager waits a full T (decisions D7)
 * @now_ns: CLOCK_BOOTTIME
 *
 * Return: did anything change? The caller commits.
 */
bool mgr_silence_apply(struct mgr_state *st, u64 now_ns)
{
	u64 limit = (u64)st->lease_ms * 1000000;
	bool changed = false;
	u32 i;

	for (i = 0; i < st->nr_nodes; i++) {
		struct mgr_node *n = &st->nodes[i];

		if (n->role == FLINT_ROLE_MGR || n->state != FLINT_NODE_UP ||
		    now_ns - n->heard_ns < limit)
			continue;
		n->state = FLINT_NODE_DOWN;
		n->dirty = true;
		changed = true;
		flint_warn("node %u (%s) is down: not heard for %u ms", n->id, n->name,
			   st->lease_ms);
	}
	if (changed)
		mgr_states_update(st);
	return changed;
}

/**
 * mgr_usage_apply() - bring how full targets are into the map
 * @all: every difference, else only differences of 1/256 of the capacity
 *
 * Return: did anything change? The caller commits.
 */
bool mgr_usage_apply(struct mgr_state *st, bool all)
{
	bool changed = false;
	u32 i;

	for (i = 0; i < st->nr_targets; i++) {
		struct mgr_target *t = &st->targets[i];
		u64 diff = t->used_now > t->used ? t->used_now - t->used : t->used - t->used_now;

		if (!diff || (!all && diff < t->capacity / 256))
			continue;
		t->used = t->used_now;
		t->dirty = true;
		changed = true;
	}
	return changed;
}
