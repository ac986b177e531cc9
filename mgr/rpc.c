// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manager's two operations on the FlintFS protocol.
 *
 * MAP_GET is a standing request: it waits here until the epoch passes the one
 * the asker has, its time is up, or its connection ends. Every manager that
 * hears of a leader answers it with the map it has; the epoch that the asker
 * names keeps it from going back. HEARTBEAT is the leader's, and is answered
 * only after what it changed is agreed upon and published, so that a node that
 * knows its id is in the map.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../userd/base/addr.h"
#include "../userd/base/daemon.h"
#include "../userd/base/log.h"
#include "mgrd.h"

#define MGR_WAIT_MAX_MS	60000
#define MGR_WAIT_MARGIN_MS 500	/* answer this long before the asker gives up */

struct mgr_wait {
	struct mgr_wait *next;
	struct flint_call *call;
	struct mgr *mgr;
	struct flint_timer timer;
	u64 have_epoch;
	u32 max_len;
};

/* ---- the published image ---------------------------------------------- */

/* Ask another one. */
static void mgr_not_leader(struct mgr *m, struct flint_call *call)
{
	struct flint_leader_hint hint = { .node_id = cpu_to_le32(mgr_leader_node(m)) };

	flint_call_reply(call, m->stopping ? FLINT_ST_SHUTDOWN : FLINT_ST_NOT_LEADER, &hint,
			 sizeof(hint), NULL, 0, 0);
}

/* A manager that is cut off from the others would never learn of a new map. */
static bool mgr_map_fresh(struct mgr *m)
{
	return m->image && !m->stopping && !m->removed && flint_raft_status(m->raft)->leader;
}

/* Send the present image, or only its epoch when the asker has it. */
static void mgr_map_answer(struct mgr *m, struct flint_call *call, u64 have, u32 max_len)
{
	struct flint_map_got got = {
		.epoch = cpu_to_le64(m->image_epoch),
		.total_len = cpu_to_le32(m->image_len),
	};

	if (!mgr_map_fresh(m)) {
		mgr_not_leader(m, call);
	} else if (m->image_epoch <= have) {
		flint_call_reply(call, FLINT_OK, &got, sizeof(got), NULL, 0, 0);
	} else if (m->image_len > max_len) {
		flint_call_reply(call, ERANGE, &got, sizeof(got), NULL, 0, 0);
	} else {
		flint_buf_ref(m->image);
		flint_call_reply(call, FLINT_OK, &got, sizeof(got), m->image, 0, m->image_len);
	}
}

/* Take a waiting request off the list, answer it, free it. */
static void mgr_wait_end(struct mgr_wait *w)
{
	struct mgr *m = w->mgr;
	struct mgr_wait **pp;

	for (pp = &m->waits; *pp != w; pp = &(*pp)->next)
		;
	*pp = w->next;
	flint_timer_cancel(m->loop, &w->timer);
	mgr_map_answer(m, w->call, w->have_epoch, w->max_len);
	free(w);
}

/**
 * mgr_publish() - make the model's image the current one
 *
 * Answers every standing request that it concerns.
 *
 * Return: 0 or -errno: the old image stays.
 */
int mgr_publish(struct mgr *m)
{
	struct flint_buf *buf = flint_buf_get(m->pool);
	struct mgr_wait *w;
	u32 len;
	int err;

	if (!buf)
		return -ENOBUFS;	/* all in flight: the tick tries again */
	err = mgr_image_build(m->st, buf->data, buf->size, &len);
	if (err) {
		flint_err("map epoch %llu cannot be published: %s",
			  (unsigned long long)m->st->epoch,
			  err == -ERANGE ? "it is larger than this version can send"
					 : "it is inconsistent, please report this");
		flint_buf_put(buf);
		return err;
	}
	if (m->image)
		flint_buf_put(m->image);
	m->image = buf;
	m->image_len = len;
	m->image_epoch = m->st->epoch;
again:
	/* A reply may end its connection, and with it other entries of the list. */
	for (w = m->waits; w; w = w->next)
		if (w->have_epoch < m->image_epoch) {
			mgr_wait_end(w);
			goto again;
		}
	return 0;
}

/* ---- MAP_GET ---------------------------------------------------------- */

static void mgr_wait_timeout(struct flint_timer *t)
{
	mgr_wait_end(t->arg);
}

static void mgr_map_get(struct mgr *m, struct flint_call *call)
{
	struct flint_map_get req;
	struct mgr_wait *w;
	u64 have;
	u32 ms;

	if (flint_body_get(&req, sizeof(req), sizeof(req), call->msg.body, call->msg.body_len)) {
		flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
		return;
	}
	have = le64_to_cpu(req.have_epoch);
	ms = le32_to_cpu(req.wait_ms);
	if (ms > MGR_WAIT_MAX_MS)
		ms = MGR_WAIT_MAX_MS;
	if (call->msg.timeout_ms <= ms)
		ms = call->msg.timeout_ms > MGR_WAIT_MARGIN_MS
			   ? call->msg.timeout_ms - MGR_WAIT_MARGIN_MS : 0;
	if (have > m->st->epoch && mgr_leads(m))
		flint_warn_rl("%s has map epoch %llu, newer than ours: was an old copy of the state put back?",
			      flint_conn_info(call->conn)->address, (unsigned long long)have);

	w = have >= m->image_epoch && ms && mgr_map_fresh(m) ? calloc(1, sizeof(*w)) : NULL;
	if (!w) {
		mgr_map_answer(m, call, have, le32_to_cpu(req.max_len));
		return;
	}
	w->call = call;
	w->mgr = m;
	w->have_epoch = have;
	w->max_len = le32_to_cpu(req.max_len);
	w->timer.fn = mgr_wait_timeout;
	w->timer.arg = w;
	w->next = m->waits;
	m->waits = w;
	flint_timer_set(m->loop, &w->timer, ms);
}

void mgr_rpc_closed(void *arg, struct flint_conn *conn)
{
	struct mgr *m = arg;
	struct mgr_wait *w;

again:
	for (w = m->waits; w; w = w->next)
		if (w->call->conn == conn) {
			mgr_wait_end(w);
			goto again;
		}
}

/* At the end, or without a leader: nobody waits any longer. */
void mgr_rpc_drop_waits(struct mgr *m)
{
	while (m->waits)
		mgr_wait_end(m->waits);
}

/* ---- HEARTBEAT -------------------------------------------------------- */

/* Where a node speaks from, without the port. */
static struct flint_addr mgr_beat_from(const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	struct flint_addr a;

	flint_addr_to_wire(from, 0, &a);
	a.port = 0;
	if (a.family == 6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		a.family = 4;
		memmove(a.addr, a.addr + 12, 4);
		memset(a.addr + 4, 0, 12);
	}
	return a;
}

/* Take what fits @host, or everything else, in the order in which it is told. */
static int mgr_beat_listed(struct mgr_beat *b, int n, const struct flint_addr *host, bool same,
			   const struct flint_heartbeat *hb)
{
	struct sockaddr_storage sa;
	int i;

	for (i = 0; i < FLINT_NODE_ADDRS; i++) {
		const struct flint_addr *a = &hb->addrs[i];

		if (!a->family)
			continue;
		if (flint_addr_from_wire(a, &sa) ||
		    (a->proto != FLINT_PROTO_TCP && a->proto != FLINT_PROTO_RDMA))
			return -EPROTO;
		if ((a->family == host->family && !memcmp(a->addr, host->addr, sizeof(a->addr))) == same)
			flint_addr_to_wire(&sa, a->proto, &b->addrs[n++]);
	}
	return n;
}

/*
 * A node is reached where it says, first of all at the address that it speaks from: that one works.
 * One that names no addresses is reached there only.
 */
static int mgr_beat_addrs(struct mgr_beat *b, const struct sockaddr_storage *from,
			  const struct flint_heartbeat *hb)
{
	struct flint_addr host = mgr_beat_from(from);
	int n = mgr_beat_listed(b, 0, &host, true, hb);

	if (n >= 0)
		n = mgr_beat_listed(b, n, &host, false, hb);
	if (n)
		return n < 0 ? n : 0;
	if (hb->tcp_port) {
		b->addrs[n] = host;
		b->addrs[n].proto = FLINT_PROTO_TCP;
		b->addrs[n++].port = hb->tcp_port;
	}
	if (hb->rdma_port) {
		b->addrs[n] = host;
		b->addrs[n].proto = FLINT_PROTO_RDMA;
		b->addrs[n].port = hb->rdma_port;
	}
	return 0;
}

/* Check a HEARTBEAT's body. Return: 0 or -errno; the caller frees b->targets in either case. */
static int mgr_beat_parse(const struct flint_call *call, struct flint_heartbeat *hb,
			  struct mgr_beat *b)
{
	const struct flint_conn_info *info = flint_conn_info(call->conn);
	struct timespec wall;
	const u8 *tail;
	u32 tail_len;

	memset(b, 0, sizeof(*b));
	if (flint_body_get_var(hb, sizeof(*hb), FLINT_HEARTBEAT_MIN, call->msg.body,
			       call->msg.body_len, &tail, &tail_len))
		return -EPROTO;
	b->role = hb->role;
	b->starting = hb->flags & FLINT_HB_STARTING;
	b->incarnation = le64_to_cpu(hb->incarnation);
	b->nr_targets = le32_to_cpu(hb->nr_targets);
	b->replica = hb->replica;
	b->sent_ns = le64_to_cpu(hb->sent_boottime_ns);
	if ((b->role != FLINT_ROLE_CHUNK && b->role != FLINT_ROLE_META &&
	     b->role != FLINT_ROLE_MGR) || b->role != info->role || !b->incarnation ||
	    !flint_label_ok(hb->name, "/") ||
	    mgr_beat_targets(b, tail, tail_len, le32_to_cpu(hb->target_len)))
		return -EPROTO;
	if (hb->sent_realtime_ns) {
		clock_gettime(CLOCK_REALTIME, &wall);
		b->skew_ns = (s64)(le64_to_cpu(hb->sent_realtime_ns) -
				   (wall.tv_sec * 1000000000ull + wall.tv_nsec));
	}
	memcpy(b->name, hb->name, sizeof(b->name));
	return mgr_beat_addrs(b, &info->addr, hb);
}

/**
 * struct mgr_beat_wait - a heartbeat that waits until what it says is agreed upon
 * @incarnation: of the process that sent it
 * @orders: their target_id is filled in; the rest when it is answered, from what
 *	is agreed upon by then
 */
struct mgr_beat_wait {
	struct flint_call *call;
	u64 incarnation;
	u32 nr_orders;
	/* together the body of the reply */
	struct flint_heartbeat_rep rep;
	struct flint_hb_order orders[];
};

static struct mgr_beat_wait *mgr_beat_wait_new(struct flint_call *call, const struct mgr_beat *b)
{
	struct mgr_beat_wait *w = calloc(1, sizeof(*w) + b->nr_targets * sizeof(w->orders[0]));
	u32 i;

	if (!w)
		return NULL;
	w->call = call;
	w->incarnation = b->incarnation;
	w->nr_orders = b->nr_targets;
	for (i = 0; i < b->nr_targets; i++)
		w->orders[i].target_id = b->targets[i].target_id;
	return w;
}

/* Answer it from the committed state. */
static void mgr_beat_reply(struct mgr *m, struct mgr_beat_wait *w)
{
	u32 i;

	w->rep.epoch = cpu_to_le64(m->st->epoch);
	w->rep.nr_targets = cpu_to_le32(w->nr_orders);
	w->rep.fixed_len = cpu_to_le16(sizeof(w->rep));
	w->rep.order_len = cpu_to_le16(sizeof(w->orders[0]));
	for (i = 0; i < w->nr_orders; i++)
		mgr_beat_target_order(m->st, w->incarnation, &w->orders[i]);
	flint_call_reply(w->call, FLINT_OK, &w->rep,
			 sizeof(w->rep) + w->nr_orders * sizeof(w->orders[0]), NULL, 0, 0);
}

static void mgr_beat_agreed(struct mgr *m, void *arg, int err)
{
	struct mgr_beat_wait *w = arg;

	if (!err && mgr_leads(m)) {
		mgr_beat_reply(m, w);
	} else if (err && err != -EAGAIN) {
		flint_warn_rl("what a heartbeat changes is not agreed upon (%s)", strerror(-err));
		flint_call_reply(w->call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
	} else {
		mgr_not_leader(m, w->call);
	}
	free(w);
}

/* A manager that believes to be one of us, and is not. */
static bool mgr_was_removed(struct mgr *m, const struct flint_hb_replica *r)
{
	const struct flint_raft_status *st = flint_raft_status(m->raft);
	unsigned int i;

	for (i = 0; i < st->nr_members; i++)
		if (st->members[i].id == le64_to_cpu(r->id))
			return false;
	return le64_to_cpu(r->group) == st->group;
}

/* Take it into the next state. Return: status, @w->rep filled. */
static u32 mgr_beat_take(struct mgr *m, const struct flint_heartbeat *hb, const struct mgr_beat *b,
			 struct mgr_beat_wait *w, bool *changed)
{
	u64 group = flint_random_u64();
	char why[MGR_ERR_LEN];
	u32 status, id = 0, order = 0;

	status = mgr_beat_apply(m->next, b, flint_now_ns(), &id, changed, why, sizeof(why));
	if (!status)
		status = mgr_beat_order(m->next, b, id, group, &order, changed, why, sizeof(why));
	if (status) {
		flint_warn_rl("heartbeat of %s refused: %s", b->name, why);
		return status;
	}
	if (!le32_to_cpu(hb->node_id))
		flint_info("node %u (%s) is up at %s with %u targets", id, b->name,
			   flint_conn_info(w->call->conn)->address, b->nr_targets);
	w->rep.sent_boottime_ns = hb->sent_boottime_ns;
	w->rep.node_id = cpu_to_le32(id);
	w->rep.lease_ms = cpu_to_le32(m->next->set.lease_ms);
	w->rep.order = cpu_to_le32(order);
	w->rep.group = cpu_to_le64(m->next->set.meta_group);
	w->rep.set.recovery_bps = cpu_to_le64(m->next->set.recovery_bps);
	w->rep.set.scrub_days = cpu_to_le32(m->next->set.scrub_days);
	return FLINT_OK;
}

/* It was refused, but a part of it changed the next state: the node is known now. */
static void mgr_beat_refused(struct mgr *m, void *arg, int err)
{
}

/* A heartbeat of sound form, at the leader. */
static void mgr_beat_received(struct mgr *m, struct flint_call *call,
			      const struct flint_heartbeat *hb, const struct mgr_beat *b)
{
	struct mgr_beat_wait *w = mgr_beat_wait_new(call, b);
	bool changed = false;
	u32 status;

	if (!w) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	if (b->role == FLINT_ROLE_MGR && mgr_was_removed(m, &b->replica)) {
		w->rep.sent_boottime_ns = hb->sent_boottime_ns;
		w->rep.lease_ms = cpu_to_le32(m->next->set.lease_ms);
		w->rep.order = cpu_to_le32(FLINT_ORDER_REMOVED);
		return mgr_barrier(m, mgr_beat_agreed, w);
	}
	status = mgr_beat_take(m, hb, b, w, &changed);
	if (changed && status)
		mgr_commit(m, true, mgr_beat_refused, NULL);
	if (status) {
		flint_call_reply(call, status, NULL, 0, NULL, 0, 0);
		free(w);
	} else if (changed) {
		mgr_commit(m, true, mgr_beat_agreed, w);
	} else {
		mgr_barrier(m, mgr_beat_agreed, w);
	}
}

static void mgr_heartbeat(struct mgr *m, struct flint_call *call)
{
	struct flint_heartbeat hb;
	struct mgr_beat b;

	if (mgr_beat_parse(call, &hb, &b)) {
		flint_warn_rl("senseless heartbeat from %s", flint_conn_info(call->conn)->address);
		flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
	} else if (!mgr_leads(m)) {
		mgr_not_leader(m, call);
	} else {
		mgr_beat_received(m, call, &hb, &b);
	}
	free((void *)b.targets);
}

void mgr_rpc_request(void *arg, struct flint_call *call)
{
	struct mgr *m = arg;

	if (flint_raft_request(m->raft, call))
		return;
	switch (call->msg.op) {
	case FLINT_OP_MAP_GET:
		mgr_map_get(m, call);
		break;
	case FLINT_OP_HEARTBEAT:
		mgr_heartbeat(m, call);
		break;
	default:
		flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
	}
}
