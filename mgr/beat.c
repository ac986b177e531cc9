// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * This manager's own heartbeats. The leader hears itself; every other manager
 * tells the leader where it is and how far it has come, so that it is in the
 * map and its silence is noticed. One that is in no group yet speaks to those
 * that it was told to join, in turn, and is then known as standing by.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../userd/base/addr.h"
#include "../userd/base/log.h"
#include "mgrd.h"

#define BEAT_MS		1000	/* times time_scale */

/**
 * struct mgr_beater
 * @peer: connection to @addr, replaced when the leader changes
 * @turn: of the managers to join
 * @node_id: that we were given
 */
struct mgr_beater {
	struct mgr *m;
	struct flint_timer timer;
	struct flint_peer *peer;
	struct sockaddr_storage addr;
	struct flint_rpc rpc;
	struct flint_heartbeat body;
	bool open;
	unsigned int turn;
	u32 node_id;
};

static void beat_replica(struct mgr *m, struct flint_hb_replica *r)
{
	const struct flint_raft_status *st = flint_raft_status(m->raft);

	r->id = cpu_to_le64(st->id);
	r->group = cpu_to_le64(st->group);
	r->term = cpu_to_le64(st->term);
	r->leader = cpu_to_le64(st->leader);
	r->commit = cpu_to_le64(st->commit);
	r->applied = cpu_to_le64(st->applied);
	r->role = st->role;
	r->http_port = cpu_to_le16(m->http_port);
}

static void beat_self_done(struct mgr *m, void *arg, int err)
{
	if (!err)
		mgr_identify(m);
}

void mgr_beat_self(struct mgr *m)
{
	struct mgr_beat b = { .role = FLINT_ROLE_MGR, .incarnation = m->incarnation };
	char why[MGR_ERR_LEN];
	bool changed = false;
	u32 id;

	if (!mgr_leads(m))
		return;
	snprintf(b.name, sizeof(b.name), "%s", m->name);
	mgr_self_addrs(m, b.addrs);
	beat_replica(m, &b.replica);
	if (mgr_beat_apply(m->next, &b, flint_now_ns(), &id, &changed, why, sizeof(why)))
		flint_warn_rl("%s", why);
	else if (changed)
		mgr_commit(m, true, beat_self_done, NULL);
}

/* Where the leader is, or who may know it. Return: is there somebody to speak to? */
static bool beat_whom(struct mgr_beater *b, struct sockaddr_storage *sa)
{
	const struct flint_raft_status *st = flint_raft_status(b->m->raft);
	unsigned int i;

	for (i = 0; i < st->nr_members; i++)
		if (st->members[i].leader && !st->members[i].self)
			return !flint_addr_from_wire(&st->members[i].addr, sa);
	/* Without a leader the others are asked in turn: perhaps they have gone on without us. */
	i = st->nr_members ? b->turn % st->nr_members : 0;
	if (st->group && st->nr_members && !st->members[i].self)
		return !flint_addr_from_wire(&st->members[i].addr, sa);
	if (st->group)
		b->turn++;
	if (st->group || !b->m->nr_join)
		return false;
	*sa = b->m->join[b->turn % b->m->nr_join];
	return true;
}

static void beat_later(struct mgr_beater *b)
{
	flint_timer_set(b->m->loop, &b->timer, BEAT_MS * b->m->time_scale);
}

static void beat_answered(struct mgr_beater *b, const struct flint_heartbeat_rep *rep)
{
	b->node_id = le32_to_cpu(rep->node_id);
	if (le32_to_cpu(rep->order) == FLINT_ORDER_REMOVED)
		mgr_removed(b->m);
}

static void on_beat_done(struct flint_rpc *rpc)
{
	struct mgr_beater *b = rpc->priv;
	struct flint_heartbeat_rep rep;

	b->open = false;
	if (b->m->stopping)
		return;
	if (rpc->err || rpc->status)
		b->turn++;
	else if (!flint_body_get(&rep, sizeof(rep), FLINT_HEARTBEAT_REP_MIN, rpc->rep_body,
				 rpc->rep_len))
		beat_answered(b, &rep);
	if (!rpc->err && rpc->status && rpc->status != FLINT_ST_NOT_LEADER &&
	    rpc->status != FLINT_ST_RETRY)
		flint_warn_rl("the leading manager refuses the heartbeat of \"%s\" (status %u): see its log",
			      b->m->name, rpc->status);
	beat_later(b);
}

static struct flint_peer *beat_peer(struct mgr_beater *b, const struct sockaddr_storage *sa)
{
	struct flint_peer_config cfg = {
		.loop = b->m->loop, .proto = FLINT_PROTO_TCP, .addr = *sa, .role = FLINT_ROLE_MGR,
		.key = b->m->key, .name = b->m->name,
	};

	if (b->peer && flint_addr_equal(&b->addr, sa))
		return b->peer;
	if (b->peer)
		flint_peer_free(b->peer);
	memcpy(cfg.client_id, b->m->client_id, sizeof(cfg.client_id));
	b->addr = *sa;
	b->peer = flint_peer_new(&cfg);
	return b->peer;
}

static void on_timer(struct flint_timer *t)
{
	struct mgr_beater *b = t->arg;
	struct mgr *m = b->m;
	struct sockaddr_storage sa;
	struct timespec wall;

	if (m->next) {
		mgr_beat_self(m);
		return beat_later(b);
	}
	if (m->removed || b->open || !beat_whom(b, &sa) || !beat_peer(b, &sa))
		return beat_later(b);
	memset(&b->body, 0, sizeof(b->body));
	b->body.fixed_len = cpu_to_le32(sizeof(b->body));
	b->body.role = FLINT_ROLE_MGR;
	b->body.node_id = cpu_to_le32(b->node_id);
	b->body.incarnation = cpu_to_le64(m->incarnation);
	snprintf((char *)b->body.name, sizeof(b->body.name), "%s", m->name);
	b->body.tcp_port = cpu_to_le16(m->ep->tcp_port);
	b->body.rdma_port = cpu_to_le16(m->ep->rdma_port);
	beat_replica(m, &b->body.replica);
	clock_gettime(CLOCK_REALTIME, &wall);
	b->body.sent_realtime_ns = cpu_to_le64(wall.tv_sec * 1000000000ull + wall.tv_nsec);
	b->body.sent_boottime_ns = cpu_to_le64(flint_now_ns());
	b->rpc = (struct flint_rpc){
		.op = FLINT_OP_HEARTBEAT, .timeout_ms = 2 * BEAT_MS * m->time_scale,
		.body = &b->body, .body_len = sizeof(b->body), .done = on_beat_done, .priv = b,
	};
	b->open = true;
	flint_peer_call(b->peer, &b->rpc);
}

/* Return: 0 or -ENOMEM. */
int mgr_beat_start(struct mgr *m)
{
	struct mgr_beater *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->m = m;
	b->timer.fn = on_timer;
	b->timer.arg = b;
	m->beater = b;
	flint_timer_set(m->loop, &b->timer, 0);
	return 0;
}

/* With the loop stopped, m->stopping set. */
void mgr_beat_stop(struct mgr *m)
{
	struct mgr_beater *b = m->beater;

	if (!b)
		return;
	flint_timer_cancel(m->loop, &b->timer);
	if (b->peer)
		flint_peer_free(b->peer);
	free(b);
	m->beater = NULL;
}
