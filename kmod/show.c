// SPDX-License-Identifier: GPL-2.0-only
/*
 * The transport seen from outside: which requests are under way, how the peers
 * are, and the hand that ends requests. Everything is read under the locks that
 * keep it, a line at a time, and nothing here is on the way of an I/O.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/seq_file.h>
#include "../uapi/flintfs/names.h"
#include "xprt.h"

static const char * const flint_conn_states[] = {
	[FLINT_CONN_NEW] = "connecting",
	[FLINT_CONN_HELLO] = "hello",
	[FLINT_CONN_LIVE] = "live",
	[FLINT_CONN_DRAINING] = "draining",
	[FLINT_CONN_DEAD] = "dead",
};

/* ---- peers ------------------------------------------------------------ */

void flint_peer_info(struct flint_peer *peer, struct flint_peer_info *info)
{
	unsigned int i;

	memset(info, 0, sizeof(*info));
	snprintf(info->addr, sizeof(info->addr), "%pISpc", &peer->dests[0].addr);
	info->role = peer->role;
	info->lanes = peer->nconn;
	info->state = "none";
	info->proto = flint_xprt_of(&peer->dests[0])->name;
	rcu_read_lock();
	for (i = 0; i < peer->nconn; i++) {
		struct flint_conn *conn = rcu_dereference(peer->lanes[i].conn);

		if (!conn)
			continue;
		info->conns += READ_ONCE(conn->state) == FLINT_CONN_LIVE;
		info->inflight += READ_ONCE(conn->inflight);
		info->state = flint_conn_states[READ_ONCE(conn->state)];
		info->proto = conn->ops->name;
	}
	rcu_read_unlock();
	if (info->conns)
		info->state = flint_conn_states[FLINT_CONN_LIVE];
	spin_lock_bh(&peer->lock);
	info->reconnects = peer->reconnects;
	info->rtt_us = peer->rtt_us;
	strscpy(info->reason, peer->reason[0] ? peer->reason : "-", sizeof(info->reason));
	spin_unlock_bh(&peer->lock);
}

const struct flint_lat *flint_peer_lat(const struct flint_peer *peer)
{
	return &peer->lat;
}

const struct flint_lat *flint_net_lat(const struct flint_net *net)
{
	return &net->lat;
}

int flint_net_peer(struct flint_net *net, unsigned int n,
		   int (*fn)(struct flint_peer *peer, void *arg), void *arg)
{
	struct flint_peer *peer;
	int err = -ENOENT;

	mutex_lock(&net->lock);
	list_for_each_entry(peer, &net->peers, node)
		if (!n--) {
			err = fn(peer, arg);
			break;
		}
	mutex_unlock(&net->lock);
	return err;
}

static int flint_peer_show(struct flint_peer *peer, void *arg)
{
	struct flint_peer_info i;

	flint_peer_info(peer, &i);
	seq_printf(arg, "%s proto %s role %u state %s conns %u/%u inflight %u reconnects %u rtt_us %u reason %s\n",
		   i.addr, i.proto, i.role, i.state, i.conns, i.lanes, i.inflight, i.reconnects,
		   i.rtt_us, i.reason);
	return 0;
}

void flint_net_show_peers(struct flint_net *net, struct seq_file *m)
{
	unsigned int n = 0;

	while (flint_net_peer(net, n++, flint_peer_show, m) != -ENOENT)
		;
}

/* What a lane has sent. Under peer->lock, which keeps its connections. */
static void flint_lane_sent(const struct flint_lane *lane, u64 *requests, u64 *bytes)
{
	const struct flint_conn *conns[] = {
		rcu_dereference_protected(lane->conn, true),
		rcu_dereference_protected(lane->old, true),
	};
	unsigned int i;

	lockdep_assert_held(&lane->peer->lock);
	*requests = lane->requests;
	*bytes = lane->bytes;
	for (i = 0; i < ARRAY_SIZE(conns); i++)
		if (conns[i]) {
			*requests += READ_ONCE(conns[i]->requests);
			*bytes += READ_ONCE(conns[i]->bytes);
		}
}

/* A line for each lane, whether it has a connection or not. */
static int flint_peer_show_conns(struct flint_peer *peer, void *arg)
{
	unsigned int i;

	for (i = 0; i < peer->nconn; i++) {
		const struct flint_lane *lane = &peer->lanes[i];
		const struct flint_dest *dest = lane->rail->dests;
		const struct flint_conn *conn;
		const char *state = "none";
		u64 requests, bytes;
		u32 inflight = 0;

		spin_lock_bh(&peer->lock);
		flint_lane_sent(lane, &requests, &bytes);
		conn = rcu_dereference_protected(lane->conn, lockdep_is_held(&peer->lock));
		if (conn) {
			state = flint_conn_states[READ_ONCE(conn->state)];
			inflight = READ_ONCE(conn->inflight);
			dest = READ_ONCE(conn->dest) ?: dest;
		}
		spin_unlock_bh(&peer->lock);
		seq_printf(arg, "%pISpc conn %u address %pISpc proto %s state %s inflight %u requests %llu bytes %llu\n",
			   &peer->dests[0].addr, i, &dest->addr, flint_xprt_of(dest)->name, state,
			   inflight, requests, bytes);
	}
	return 0;
}

void flint_net_show_conns(struct flint_net *net, struct seq_file *m)
{
	unsigned int n = 0;

	while (flint_net_peer(net, n++, flint_peer_show_conns, m) != -ENOENT)
		;
}

/* ---- requests --------------------------------------------------------- */

static void flint_req_show(struct seq_file *m, const struct flint_peer *peer,
			   const struct flint_req *req, const char *state, unsigned long since)
{
	const char *op = flint_op_name(req->op);

	seq_printf(m, "%pISpc state %s op %s op_nr %#x tag %08x bytes %u age_ms %u left_ms %ld attempts %u pid %d\n",
		   &peer->dests[0].addr, state, op ? op : "?", req->op, req->tag, req->data_len,
		   jiffies_to_msecs(jiffies - since), (long)(req->deadline - jiffies) * 1000 / HZ,
		   req->tries + 1, req->pid);
}

static void flint_conn_show_inflight(struct flint_conn *conn, struct seq_file *m)
{
	u32 i;

	spin_lock_bh(&conn->lock);
	/* Not yet DEAD under the lock: the table stays until we let go of it. */
	for (i = 0; conn->state != FLINT_CONN_DEAD && i <= conn->depth && conn->slots; i++) {
		const struct flint_slot *slot = conn->slots[i];

		if (slot->req && slot->state != FLINT_SLOT_PREP)
			flint_req_show(m, conn->peer, slot->req,
				       slot->state == FLINT_SLOT_REPLIED ? "replied" : "sent",
				       slot->req->sent);
	}
	spin_unlock_bh(&conn->lock);
}

static int flint_peer_show_inflight(struct flint_peer *peer, void *arg)
{
	struct flint_waiter *w;
	unsigned int i;

	rcu_read_lock();
	for (i = 0; i < peer->nconn; i++) {
		struct flint_conn *conn = rcu_dereference(peer->lanes[i].conn);

		if (conn && READ_ONCE(conn->state) >= FLINT_CONN_HELLO)
			flint_conn_show_inflight(conn, arg);
		conn = rcu_dereference(peer->lanes[i].old);
		if (conn)
			flint_conn_show_inflight(conn, arg);
	}
	rcu_read_unlock();
	spin_lock_bh(&peer->lock);
	list_for_each_entry(w, &peer->waiters, node)
		flint_req_show(arg, peer, w->req, "waiting", w->since);
	spin_unlock_bh(&peer->lock);
	return 0;
}

void flint_net_show_inflight(struct flint_net *net, struct seq_file *m)
{
	unsigned int n = 0;

	while (flint_net_peer(net, n++, flint_peer_show_inflight, m) != -ENOENT)
		;
}

/* ---- ending them ------------------------------------------------------ */

static u32 flint_peer_abort(struct flint_peer *peer)
{
	unsigned int i;
	u32 nr = 0;

	/* The count goes first: who waits sees it, or was in flight before. */
	spin_lock_bh(&peer->lock);
	WRITE_ONCE(peer->aborts, peer->aborts + 1);
	spin_unlock_bh(&peer->lock);
	rcu_read_lock();
	for (i = 0; i < peer->nconn; i++) {
		struct flint_conn *conns[] = {
			rcu_dereference(peer->lanes[i].conn), rcu_dereference(peer->lanes[i].old),
		};
		unsigned int k;

		for (k = 0; k < ARRAY_SIZE(conns); k++) {
			if (!conns[k] || READ_ONCE(conns[k]->state) != FLINT_CONN_LIVE)
				continue;
			nr += READ_ONCE(conns[k]->inflight);
			flint_conn_fail(conns[k], -ECANCELED, "its requests were aborted by hand");
		}
	}
	rcu_read_unlock();
	wake_up_all(&peer->wq);
	return nr;
}

int flint_net_abort(struct flint_net *net, const char *addr, u32 *nr)
{
	char name[FLINT_PEER_ADDR_LEN];
	struct flint_peer *peer;
	int err = addr ? -ENOENT : 0;

	*nr = 0;
	mutex_lock(&net->lock);
	list_for_each_entry(peer, &net->peers, node) {
		snprintf(name, sizeof(name), "%pISpc", &peer->dests[0].addr);
		if (addr && strcmp(addr, name))
			continue;
		*nr += flint_peer_abort(peer);
		err = 0;
	}
	mutex_unlock(&net->lock);
	wake_up_all(&flint_mr_wq);
	return err;
}
