// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Membership: what heartbeats say, who has fallen silent, and what follows for
 * the targets and for the metadata group.
 *
 * Pure functions over the model: they look at no clock and write nothing, so
 * that the tests can put them through every case. A target's public state is
 * decided in one place, mgr_target_next(), from three inputs.
 */
#include <stdio.h>
#include <stdlib.h>

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

/**
 * mgr_beat_targets() - copy the records of a heartbeat's targets
 * @b: nr_targets is set; result: targets, which the caller frees
 * @tail, @tail_len: what follows the fixed part
 * @len: bytes of one record, of whatever version the sender is; 0: of the first
 *
 * Return: 0, -EPROTO, -ENOMEM.
 */
int mgr_beat_targets(struct mgr_beat *b, const u8 *tail, u32 tail_len, u32 len)
{
	struct flint_hb_target *t;
	u32 i;

	if (!len)
		len = FLINT_HB_TARGET_MIN;
	if (len < FLINT_HB_TARGET_MIN || b->nr_targets > tail_len / len)
		return -EPROTO;
	if (!b->nr_targets)
		return 0;
	t = calloc(b->nr_targets, sizeof(*t));
	if (!t)
		return -ENOMEM;
	for (i = 0; i < b->nr_targets; i++)
		memcpy(&t[i], tail + (size_t)i * len, len < sizeof(*t) ? len : sizeof(*t));
	b->targets = t;
	return 0;
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
	n->skew_ns = b->skew_ns;
	n->replica = b->replica;
	if (n->state != FLINT_NODE_UP || memcmp(n->addrs, b->addrs, sizeof(n->addrs)) ||
	    n->http_port != le16_to_cpu(b->replica.http_port)) {
		n->state = FLINT_NODE_UP;
		n->http_port = le16_to_cpu(b->replica.http_port);
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
 * mgr_beat_target_order() - what the answer to a heartbeat says of one target
 * @st: the committed state
 * @incarnation: of the process that is answered
 * @o: target_id is set; result
 */
void mgr_beat_target_order(struct mgr_state *st, u64 incarnation, struct flint_hb_order *o)
{
	struct mgr_target *t = mgr_target_find(st, le32_to_cpu(o->target_id));
	struct mgr_chain *c = t && t->chain ? mgr_chain_find(st, t->chain) : NULL;

	if (!t)
		return;
	o->state = t->state;
	o->chain = cpu_to_le32(t->chain);
	o->chain_ver = cpu_to_le32(c ? c->version : 0);
	o->flags = FLINT_HB_ADMITTED;
}

/* The leader of the metadata is what the map calls the file systems' server. */
static bool mgr_meta_follow(struct mgr_state *st, const struct mgr_beat *b, u32 node_id)
{
	u64 term = le64_to_cpu(b->replica.term);
	bool changed = false;
	u32 i;

	if (b->replica.role != FLINT_REPLICA_LEADER || term < st->set.meta_term)
		return false;
	if (term != st->set.meta_term) {
		st->set.meta_term = term;
		st->set.dirty = true;
		changed = true;
	}
	for (i = 0; i < st->nr_fs; i++) {
		struct mgr_fs *fs = &st->fs[i];

		if (fs->meta_node == node_id || fs->gone)
			continue;
		fs->meta_node = node_id;
		fs->dirty = true;
		changed = true;
	}
	return changed;
}

/* May this replica, which is in no group, found one? */
static bool mgr_meta_may_found(const struct mgr_state *st, const struct mgr_beat *b, u32 node_id)
{
	const struct mgr_settings *s = &st->set;
	u32 i, mine = 0;

	if (s->meta_founded)
		return false;
	if (s->meta_group && s->meta_founder == le64_to_cpu(b->replica.id))
		return true;
	for (i = 0; i < st->nr_fs; i++)
		mine += st->fs[i].meta_node == node_id;
	/* Wiped before it had anything to lose. */
	if (s->meta_group)
		return s->meta_founder_node == node_id && !st->nr_fs;
	/* File systems of a time before replication: only their server has them. */
	return !st->nr_fs || (mine == st->nr_fs && (b->replica.flags & FLINT_REPLICA_STATE));
}

/**
 * mgr_beat_order() - what a heartbeat means for the metadata group
 * @st: the model; @b was applied to it
 * @b: the heartbeat
 * @node_id: who
 * @new_group: a random number, the group's id if one is to be founded
 * @order: result: enum flint_replica_order
 * @changed: set when the map or the settings change; commit before answering
 * @why: one sentence when it is refused
 *
 * Only ever one replica is told to found (again, if it asks again); all others
 * stand by. A group is believed when there was none, so that managers that lost
 * their state learn it from the metadata.
 *
 * Return: FLINT_OK, or EEXIST for a replica of another group.
 */
u32 mgr_beat_order(struct mgr_state *st, const struct mgr_beat *b, u32 node_id, u64 new_group,
		   u32 *order, bool *changed, char *why, size_t whylen)
{
	struct mgr_settings *s = &st->set;
	u64 id = le64_to_cpu(b->replica.id), group = le64_to_cpu(b->replica.group);

	*order = FLINT_ORDER_NONE;
	if (b->role != FLINT_ROLE_META || !id)
		return FLINT_OK;
	if (!group) {
		*order = FLINT_ORDER_STANDBY;
		if (!mgr_meta_may_found(st, b, node_id))
			return FLINT_OK;
		*order = FLINT_ORDER_FOUND;
		if (s->meta_group && s->meta_founder == id)
			return FLINT_OK;
		s->meta_group = new_group;
		s->meta_founder = id;
		s->meta_founder_node = node_id;
		s->dirty = true;
		*changed = true;
		return FLINT_OK;
	}
	if (s->meta_founded && group != s->meta_group) {
		snprintf(why, whylen,
			 "metadata server %s holds the metadata of another cluster: empty its state directory, or point it at its own managers",
			 b->name);
		return EEXIST;
	}
	if (!s->meta_founded) {
		s->meta_group = group;
		s->meta_founded = true;
		s->dirty = true;
		*changed = true;
	}
	*changed |= mgr_meta_follow(st, b, node_id);
	return FLINT_OK;
}

/**
 * mgr_silence_apply() - declare nodes down that were not heard for T
 * @st: the model; heard_ns of every node was set to the present when this
 *	manager became the leader, so that a new one waits a full T (decisions D7)
 * @now_ns: CLOCK_BOOTTIME
 *
 * Return: did anything change? The caller commits.
 */
bool mgr_silence_apply(struct mgr_state *st, u64 now_ns)
{
	u64 limit = (u64)st->set.lease_ms * 1000000;
	bool changed = false;
	u32 i;

	for (i = 0; i < st->nr_nodes; i++) {
		struct mgr_node *n = &st->nodes[i];

		if (n->state != FLINT_NODE_UP || now_ns < n->heard_ns + limit)
			continue;
		n->state = FLINT_NODE_DOWN;
		n->dirty = true;
		changed = true;
		flint_warn("node %u (%s) is down: not heard for %u ms", n->id, n->name,
			   st->set.lease_ms);
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
