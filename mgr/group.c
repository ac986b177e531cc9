// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The metadata group as its leader sees it: who is a member, how far each has
 * come, when it was last heard. The leading manager asks every few seconds, so
 * that status and metrics can say it without waiting for anybody.
 */
#include <stdlib.h>

#include "../userd/base/log.h"
#include "mgrd.h"

#define GROUP_POLL_NS	(2ull * 1000000000)

struct mgr_group_poll {
	struct mgr *m;
	struct flint_rpc rpc;
	u32 node;
	u64 asked_ns;
	bool open;
	struct flint_raft_stat_member members[FLINT_RAFT_MEMBERS_MAX];
};

static void on_stat(struct flint_rpc *rpc)
{
	struct mgr_group_poll *p = rpc->priv;
	struct mgr_group *g = &p->m->group;
	struct flint_raft_stat stat;
	u32 i;

	p->open = false;
	if (p->m->stopping || rpc->err || rpc->status ||
	    flint_body_get(&stat, sizeof(stat), sizeof(stat), rpc->rep_body, rpc->rep_len) ||
	    stat.role != FLINT_REPLICA_LEADER || stat.nr_members > FLINT_RAFT_MEMBERS_MAX ||
	    rpc->rep_data_len < stat.nr_members * sizeof(*p->members))
		return;
	g->heard_ns = flint_now_ns();
	g->node = p->node;
	g->stat = stat;
	g->nr = stat.nr_members;
	memcpy(g->members, p->members, g->nr * sizeof(*p->members));
	for (i = 0; i < g->nr; i++)
		g->members[i].name[FLINT_LABEL_LEN - 1] = 0;
}

/**
 * mgr_group_tick() - ask again if it is time
 * @now: CLOCK_BOOTTIME
 */
void mgr_group_tick(struct mgr *m, u64 now)
{
	struct mgr_group_poll *p = m->group_poll;
	struct mgr_node *n = m->next ? mgr_meta_leader(m->next) : NULL;
	struct flint_peer *peer;

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return;
		p->m = m;
		m->group_poll = p;
	}
	if (!n || !n->replica.id || p->open || (p->asked_ns && now - p->asked_ns < GROUP_POLL_NS))
		return;
	peer = mgr_meta_peer(m, n);
	if (!peer)
		return;
	p->node = n->id;
	p->asked_ns = now;
	p->open = true;
	p->rpc = (struct flint_rpc){
		.op = FLINT_OP_RAFT_STATUS, .timeout_ms = 3000, .in = p->members,
		.in_len = sizeof(p->members), .done = on_stat, .priv = p,
	};
	flint_peer_call(peer, &p->rpc);
}

/* What was heard is no longer ours to tell. */
void mgr_group_forget(struct mgr *m)
{
	memset(&m->group, 0, sizeof(m->group));
}

/* After mgr_meta_peers_free(). */
void mgr_group_stop(struct mgr *m)
{
	free(m->group_poll);
	m->group_poll = NULL;
}
