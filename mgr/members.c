// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Membership: what heartbeats say, who has fallen silent, and what follows for
 * the targets and for the metadata group.
 *
 * Pure functions over the model: they look at no clock and write nothing, so
 * that the tests can put them through every case. What follows for chains is
 * decided in chainstate.c; chains.c tells it the facts that are gathered here.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/log.h"
#include "mgrd.h"

/* A target in no chain. */
static bool mgr_target_free_update(struct mgr_state *st, struct mgr_target *t)
{
	const struct mgr_node *n = mgr_node_find(st, t->node);
	bool alive = n && n->state == FLINT_NODE_UP && t->local != FLINT_LOCAL_OFFLINE;
	u8 next = alive ? FLINT_TARGET_WAITING : FLINT_TARGET_OFFLINE;
	u64 incarnation = alive && n->incarnation ? n->incarnation : t->incarnation;

	if (next == t->state && incarnation == t->incarnation)
		return false;
	t->state = next;
	t->incarnation = incarnation;
	t->dirty = true;
	return true;
}

/* All that depends on one node, or on any. Return: did anything change? */
static bool mgr_states_of(struct mgr_state *st, u32 node, bool all)
{
	bool changed = false;
	u32 i;

	for (i = 0; i < st->nr_targets; i++) {
		struct mgr_target *t = &st->targets[i];

		if (!all && t->node != node)
			continue;
		changed |= t->chain ? mgr_chain_update(st, mgr_chain_find(st, t->chain))
				    : mgr_target_free_update(st, t);
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
	return mgr_states_of(st, 0, true);
}

/*
 * Two processes with one name would take turns: the younger one is kept, the
 * other is refused as soon as it speaks again. What a process said earlier must
 * not undo what it said later, whatever connection it comes by.
 */
static u32 mgr_beat_identity(struct mgr_node *n, const struct mgr_beat *b, u64 now_ns, char *why,
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
		n->known_ns = now_ns;
		n->sent_ns = 0;
	}
	if (b->sent_ns && b->sent_ns <= n->sent_ns) {
		snprintf(why, whylen, "a heartbeat of %s came after a younger one", b->name);
		return FLINT_ST_RETRY;
	}
	n->sent_ns = b->sent_ns;
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

/*
 * Is this another disk than the one that has the id, or a copy of one that another
 * server serves at present? It is left out, as if the server had not named it: one
 * wrong disk does not take its server's others with it. Such a process is never
 * told that the target is its own.
 */
static bool mgr_beat_foreign(struct mgr_state *st, const struct mgr_beat *b,
			     const struct flint_hb_target *ht)
{
	struct mgr_target *t = mgr_target_find(st, le32_to_cpu(ht->target_id));
	const struct mgr_node *owner = t ? mgr_node_find(st, t->node) : NULL;

	if (!t)
		return false;
	return memcmp(t->uuid, ht->uuid, sizeof(t->uuid)) ||
	       (owner && owner->state == FLINT_NODE_UP && strcmp(owner->name, b->name));
}

/* Say so, here and in the status. */
static void mgr_beat_left_out(struct mgr_state *st, u32 node, const struct mgr_beat *b,
			      const struct flint_hb_target *ht, u64 now_ns)
{
	u32 id = le32_to_cpu(ht->target_id);
	struct mgr_target *t = mgr_target_find(st, id);

	t->live.foreign_node = node;
	t->live.foreign_ns = now_ns;
	t->live.foreign_copy = !memcmp(t->uuid, ht->uuid, sizeof(t->uuid));
	flint_warn_rl("%s offers a disk as target %u that is %s: it is not used", b->name, id,
		      t->live.foreign_copy ? "served by another server at present" :
					     "not the disk registered under this id");
}

/* Check the targets of a heartbeat before any of them is believed. */
static u32 mgr_beat_check(const struct mgr_beat *b, char *why, size_t whylen)
{
	u32 i, j;

	if (b->role != FLINT_ROLE_CHUNK && b->nr_targets) {
		snprintf(why, whylen, "%s is no chunk server and has no targets", b->name);
		return FLINT_ST_BAD_REQUEST;
	}
	for (i = 0; i < b->nr_targets; i++) {
		u32 id = le32_to_cpu(b->targets[i].target_id);

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
	}
	return FLINT_OK;
}

/* What is shown, and not agreed upon. */
static void mgr_beat_live(struct mgr_target *t, const struct flint_hb_target *ht, u64 now_ns)
{
	struct mgr_target_live *l = &t->live;
	u64 total = le64_to_cpu(ht->sync_total), done = le64_to_cpu(ht->sync_done);

	if (!total) {
		l->sync_ns = 0;
	} else if (!l->sync_ns || done < l->sync_done) {
		l->sync_ns = now_ns;
		l->sync_from = done;
	}
	l->sync_total = total;
	l->sync_done = done;
	l->used = le64_to_cpu(ht->used);
	l->chain_ver = le32_to_cpu(ht->chain_ver);
	l->flags = le32_to_cpu(ht->flags);
	l->crc_errors = le64_to_cpu(ht->crc_errors);
	l->repaired = le64_to_cpu(ht->repaired);
}

/* A disk that moved to another server, a changed state, new numbers. */
static bool mgr_beat_target(struct mgr_state *st, u32 node, const struct mgr_beat *b,
			    const struct flint_hb_target *ht, u64 now_ns)
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
	mgr_beat_live(t, ht, now_ns);
	/*
	 * It no longer does what it was given, or was told not to before it began: as if its
	 * process were another one.
	 */
	if (t->state == FLINT_TARGET_SERVING && (t->local == FLINT_LOCAL_UPTODATE || t->wish) &&
	    ht->local_state == FLINT_LOCAL_ONLINE && t->incarnation == b->incarnation) {
		t->incarnation = 0;
		t->live.stopped_ns = now_ns;
		changed = true;
	}
	if (t->node != node || t->local != ht->local_state ||
	    t->capacity != le64_to_cpu(ht->capacity)) {
		/* Its new server may be known for long: only from now on it is known to begin anew. */
		if (t->node != node)
			t->live.stopped_ns = now_ns;
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
			if (le32_to_cpu(b->targets[j].target_id) == t->id &&
			    !mgr_beat_foreign(st, b, &b->targets[j]))
				break;
		if (j < b->nr_targets)
			continue;
		t->local = FLINT_LOCAL_OFFLINE;
		t->dirty = true;
		changed = true;
	}
	return changed;
}

/* Wrong disks that this node offered, and offers no longer. */
static void mgr_beat_right(struct mgr_state *st, u32 node, u64 now_ns)
{
	u32 i;

	for (i = 0; i < st->nr_targets; i++)
		if (st->targets[i].live.foreign_node == node &&
		    st->targets[i].live.foreign_ns != now_ns)
			st->targets[i].live.foreign_node = 0;
}

static void mgr_node_event(struct mgr_state *st, const struct mgr_node *n, u8 to, u8 reason)
{
	struct mgr_event ev = {
		.kind = MGR_EV_NODE, .node = n->id, .from = n->state, .to = to, .reason = reason,
	};

	mgr_event_add(st, &ev);
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
 * A target that belongs to another disk or server is left out.
 *
 * Return: FLINT_OK; EEXIST for a replica of another group;
 * FLINT_ST_FENCED when a younger process has this name; FLINT_ST_RETRY when a
 * younger heartbeat was taken in; FLINT_ST_BAD_REQUEST; ENOMEM.
 */
u32 mgr_beat_apply(struct mgr_state *st, const struct mgr_beat *b, u64 now_ns, u32 *node_id,
		   bool *changed, char *why, size_t whylen)
{
	struct mgr_node *n;
	u32 status, i;

	*changed = false;
	status = mgr_beat_check(b, why, whylen);
	if (status)
		return status;

	n = mgr_node_find_name(st, b->role, b->name);
	if (!n && !flint_label_ok((const u8 *)b->name, FLINT_LABEL_NOT)) {
		snprintf(why, whylen, "a new name must be without " FLINT_LABEL_NOT_SAID ": give it another --name");
		return FLINT_ST_BAD_REQUEST;
	}
	if (!n) {
		n = mgr_node_add(st, b->role, b->name);
		if (!n) {
			snprintf(why, whylen, "out of memory");
			return ENOMEM;
		}
		*changed = true;
	}
	status = mgr_beat_identity(n, b, now_ns, why, whylen);
	if (status)
		return status;

	n->heard_ns = now_ns;
	n->silent_ns = now_ns;
	n->starting = b->starting;
	n->skew_ns = b->skew_ns;
	n->replica = b->replica;
	if (n->state != FLINT_NODE_UP)
		mgr_node_event(st, n, FLINT_NODE_UP, MGR_WHY_BACK);
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
		if (mgr_beat_foreign(st, b, &b->targets[i]))
			mgr_beat_left_out(st, *node_id, b, &b->targets[i], now_ns);
		else
			*changed |= mgr_beat_target(st, *node_id, b, &b->targets[i], now_ns);
	if (!b->starting) {
		mgr_beat_right(st, *node_id, now_ns);
		*changed |= mgr_beat_missing(st, *node_id, b);
	}
	*changed |= mgr_states_of(st, *node_id, false);
	for (i = 0; i < st->nr_targets; i++)
		if (st->targets[i].node == *node_id)
			*changed |= mgr_chain_stuck(st, &st->targets[i], now_ns);
	return FLINT_OK;
}

/**
 * mgr_beat_target_order() - what the answer to a heartbeat says of one target
 * @st: the committed state
 * @incarnation: of the process that is answered
 * @o: target_id is set; result
 *
 * A target that operators want out of its chain is told to stop serving while
 * the map still says that it serves, if another one can go on without it.
 */
void mgr_beat_target_order(struct mgr_state *st, u64 incarnation, struct flint_hb_order *o)
{
	struct mgr_target *t = mgr_target_find(st, le32_to_cpu(o->target_id));
	struct mgr_chain *c = t && t->chain ? mgr_chain_find(st, t->chain) : NULL;

	if (!t)
		return;
	o->state = t->wish && t->state == FLINT_TARGET_SERVING ? FLINT_TARGET_OFFLINE : t->state;
	o->chain = cpu_to_le32(t->chain);
	o->chain_ver = cpu_to_le32(c ? c->version : 0);
	if (incarnation && t->incarnation == incarnation)
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
 * @st: the model; silent_ns of every node was set to the present when this
 *	manager became the leader, so that a new one waits a full T (decisions D7)
 * @now_ns: CLOCK_BOOTTIME
 *
 * Return: did anything change? The caller commits.
 */
bool mgr_silence_apply(struct mgr_state *st, u64 now_ns)
{
	u64 limit = (u64)st->set.fence_ms * 1000000;
	bool changed = false;
	u32 i;

	for (i = 0; i < st->nr_nodes; i++) {
		struct mgr_node *n = &st->nodes[i];

		if (n->state != FLINT_NODE_UP || now_ns < n->silent_ns + limit)
			continue;
		mgr_node_event(st, n, FLINT_NODE_DOWN, MGR_WHY_SILENT);
		n->state = FLINT_NODE_DOWN;
		n->down_ns = now_ns;
		n->dirty = true;
		changed = true;
		flint_warn("node %u (%s) is down: not heard for %u ms", n->id, n->name,
			   st->set.fence_ms);
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
		u64 now = t->live.used, diff = now > t->used ? now - t->used : t->used - now;

		if (!diff || (!all && diff < t->capacity / 256))
			continue;
		t->used = now;
		t->dirty = true;
		changed = true;
	}
	return changed;
}
