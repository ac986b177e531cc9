// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-metad as a replica: what begins and ends with leading, and what it and
 * the managers tell each other.
 *
 * An empty replica founds its group only when a manager orders it (or the
 * operator, by option): so there is never a second one.
 */
#include <errno.h>
#include <string.h>
#include "grants.h"
#include "locks.h"
#include "../base/addr.h"
#include "../base/log.h"

/* ---- who leads ------------------------------------------------------------- */

static u32 node_by_name(struct metad *m, const char *name)
{
	struct flint_map_ref *ref = flint_cluster_map(m->cluster);
	const struct flint_map_node *n;
	u32 i, id = 0;

	for (i = 0; ref && i < ref->map.nr_nodes && !id; i++) {
		n = &ref->map.nodes[i];
		if (n->role == FLINT_ROLE_META && !strncmp((const char *)n->name, name, sizeof(n->name)))
			id = le32_to_cpu(n->id);
	}
	flint_map_put(ref);
	return id;
}

u32 metad_leader_node(struct metad *m)
{
	const struct flint_raft_status *st = flint_raft_status(meta_log_raft(m->log));
	u64 epoch = m->cluster ? flint_cluster_epoch(m->cluster) : 0;

	if (!st->leader || !epoch)
		return 0;
	if (st->leader != m->leader_id || epoch != m->leader_epoch) {
		m->leader_node = node_by_name(m, st->leader_name);
		m->leader_id = st->leader;
		m->leader_epoch = epoch;
	}
	return m->leader_node;
}

static void lead(struct metad *m)
{
	m->leading = true;
	if (metad_sessions_load(m))
		flint_err("no memory for all sessions: some will have to be opened again");
	metad_leases_lead(m);
	metad_reaper_lead(m->reaper, true);
}

static void unlead(struct metad *m)
{
	m->leading = false;
	metad_leases_follow(m);
	metad_locks_drop(m);
	metad_reaper_lead(m->reaper, false);
	metad_cuts_drop(m, FLINT_ST_NOT_LEADER);
	metad_sessions_drop(m);
}

void metad_role(void *arg, const struct flint_raft_status *st)
{
	struct metad *m = arg;

	if (st->ready && !m->leading)
		lead(m);
	else if (!st->ready && m->leading)
		unlead(m);
	if (m->member)
		flint_member_beat(m->member);
}

/* ---- managers ----------------------------------------------------------------- */

void metad_replica_beat(void *arg, struct flint_hb_replica *r)
{
	struct metad *m = arg;
	const struct flint_raft_status *st = flint_raft_status(meta_log_raft(m->log));

	r->id = cpu_to_le64(st->id);
	r->group = cpu_to_le64(st->group);
	r->term = cpu_to_le64(st->term);
	r->leader = cpu_to_le64(st->leader);
	r->commit = cpu_to_le64(st->commit);
	r->applied = cpu_to_le64(st->applied);
	r->role = st->role;
	if (!st->group && m->store.c.next_session > 1)
		r->flags |= FLINT_REPLICA_STATE;
	if (st->low_space)
		r->flags |= FLINT_REPLICA_LOW_SPACE;
}

/* What the map calls our address, for when none was given. */
static bool own_address(struct metad *m, struct flint_addr *a)
{
	struct flint_map_ref *ref = flint_cluster_map(m->cluster);
	const struct flint_map_node *n;
	bool found = false;
	int i;

	n = ref ? flint_map_node(&ref->map, flint_member_node_id(m->member)) : NULL;
	for (i = 0; n && i < FLINT_NODE_ADDRS && !found; i++) {
		found = n->addrs[i].family && n->addrs[i].proto == FLINT_PROTO_TCP;
		if (found)
			*a = n->addrs[i];
	}
	flint_map_put(ref);
	return found;
}

void metad_replica_ordered(void *arg, uint32_t order, uint64_t group)
{
	struct metad *m = arg;
	struct flint_raft *raft = meta_log_raft(m->log);
	const struct flint_raft_status *st = flint_raft_status(raft);
	struct flint_addr a;
	bool known = own_address(m, &a);

	if (known)
		flint_raft_set_addr(raft, &a);
	switch (order) {
	case FLINT_ORDER_FOUND:
		if (st->group || !group)
			return;
		if (!known) {
			flint_member_beat(m->member);	/* asked again when the map is there */
			return;
		}
		flint_info("founding the metadata group %016llx", (unsigned long long)group);
		flint_raft_found(raft, group, &a);
		break;
	case FLINT_ORDER_STANDBY:
		if (!m->told_standby)
			flint_info("the metadata group has other members: waiting to be added with "
				   "'flint meta add'");
		m->told_standby = true;
		break;
	case FLINT_ORDER_REMOVED:
		if (!m->told_removed)
			flint_warn("this replica (%016llx) is a member of the metadata group no longer:"
				   " stop it, empty its state directory, and start it again to add it"
				   " anew", (unsigned long long)st->id);
		m->told_removed = true;
		break;
	}
}
