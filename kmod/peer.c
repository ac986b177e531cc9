// SPDX-License-Identifier: GPL-2.0-only
/*
 * Peers: the servers a mount talks to, the connections to them, reconnecting
 * with back-off, and the heartbeat.
 *
 * A peer has opts.nconn lanes, or more if it is a chunk server with more addresses: each
 * address is a rail of its own, and lanes are dealt to the rails. All rails that work are in
 * use at once. Each lane's work makes one connection; while it
 * is not yet LIVE that work is the only one to wait for it and to hand it to
 * its teardown. From LIVE on flint_conn_fail() does that, once: whoever moves
 * the connection to DRAINING first. The teardown work is the single owner of
 * everything the connection has, from there to the end; it re-arms the lane
 * at its start, so that a new connection need not wait for the old one's end.
 *
 * Where a server can be reached both ways, a lane prefers verbs. When they fail
 * it connects over TCP at once, and goes on trying verbs beside it. When those
 * are LIVE they take the place of the TCP connection, on which nothing new is
 * sent then; it ends when its requests have. So a lane has up to three
 * connections, each with the same life and its own teardown.
 *
 * No user task waits for any of this but in killable, bounded waits. Both
 * works run on flint_cm_wq, which is not a reclaim workqueue, because the
 * connection managers' own queues are not.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/random.h>
#include <linux/sched/signal.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include "xprt.h"
#define CREATE_TRACE_POINTS
#include "flint_trace.h"

struct workqueue_struct *flint_cm_wq;
struct workqueue_struct *flint_io_wq;

static atomic_t flint_nets = ATOMIC_INIT(0);	/* freed only after their connections */
static DECLARE_WAIT_QUEUE_HEAD(flint_nets_wq);

static void flint_lane_work(struct work_struct *work);
static void flint_peer_close_work(struct work_struct *work);

/* ---- connections ------------------------------------------------------ */

/* Legal transitions: a bit per next state. */
static const u8 flint_conn_next[] = {
	[FLINT_CONN_NEW] = BIT(FLINT_CONN_HELLO) | BIT(FLINT_CONN_DRAINING),
	[FLINT_CONN_HELLO] = BIT(FLINT_CONN_LIVE) | BIT(FLINT_CONN_DRAINING),
	[FLINT_CONN_LIVE] = BIT(FLINT_CONN_DRAINING),
	[FLINT_CONN_DRAINING] = BIT(FLINT_CONN_DEAD),
	[FLINT_CONN_DEAD] = 0,
};

static bool flint_conn_move(struct flint_conn *conn, enum flint_conn_state to)
{
	lockdep_assert_held(&conn->lock);
	if (!(flint_conn_next[conn->state] & BIT(to)))
		return false;
	trace_flint_conn_state(conn->id, conn->state, to, conn->err);
	WRITE_ONCE(conn->state, to);
	return true;
}

/**
 * flint_conn_set_state() - move a connection on
 * @conn: the connection
 * @to: next state
 *
 * Return: false if the table does not allow it: the connection failed
 * meanwhile, and keeps its state.
 */
bool flint_conn_set_state(struct flint_conn *conn, enum flint_conn_state to)
{
	bool ok;

	spin_lock_bh(&conn->lock);
	ok = flint_conn_move(conn, to);
	spin_unlock_bh(&conn->lock);
	return ok;
}

/**
 * flint_conn_fail() - end a connection
 * @conn: any state; the first caller wins, later ones do nothing
 * @err: what its requests get if nothing else applies
 * @fmt: why, one clause
 *
 * Context: any but hard interrupts; does not sleep.
 */
void flint_conn_fail(struct flint_conn *conn, int err, const char *fmt, ...)
{
	enum flint_conn_state was;
	va_list args;

	spin_lock_bh(&conn->lock);
	was = conn->state;
	if (was >= FLINT_CONN_DRAINING) {
		spin_unlock_bh(&conn->lock);
		return;
	}
	conn->err = err;
	flint_conn_move(conn, FLINT_CONN_DRAINING);
	va_start(args, fmt);
	vscnprintf(conn->reason, sizeof(conn->reason), fmt, args);
	va_end(args);
	/* Before LIVE the lane's work waits on conn->wq and queues the teardown. */
	wake_up_all(&conn->wq);
	if (was == FLINT_CONN_LIVE)
		queue_work(flint_cm_wq, &conn->teardown);
	spin_unlock_bh(&conn->lock);
}

static void flint_ping_done(struct flint_req *req)
{
	struct flint_conn *conn = req->conn;

	if (!req->err)
		WRITE_ONCE(conn->peer->rtt_us,
			   (u32)div_u64(ktime_get_ns() - (u64)(uintptr_t)req->priv, 1000));
}

static void flint_conn_ping(struct flint_conn *conn)
{
	struct flint_req *req = flint_req_alloc(FLINT_OP_PING, 0, GFP_NOIO);
	enum flint_want want;

	if (!req)
		return;		/* the next tick tries again */
	req->deadline = jiffies + conn->peer->net->opts.hb_timeo;
	req->done = flint_ping_done;
	req->conn = conn;
	req->priv = (void *)(uintptr_t)ktime_get_ns();
	if (!flint_conn_submit(conn, req, true, &want) && conn->ops->flush)
		conn->ops->flush(conn);
	flint_req_put(req);
}

/*
 * Once a second while LIVE: deadlines, and proof that the peer is alive. It is asked for it before
 * its silence is held against it: hb_timeo, of two seconds at least, has room for a tick with an
 * answer between the first third and the end.
 */
static void flint_conn_tick(struct work_struct *work)
{
	struct flint_conn *conn = container_of(to_delayed_work(work), struct flint_conn, tick);
	unsigned long idle = jiffies - READ_ONCE(conn->last_rx);
	unsigned long hb_timeo = conn->peer->net->opts.hb_timeo;

	if (READ_ONCE(conn->state) != FLINT_CONN_LIVE)
		return;
	if (conn->ops->broken(conn)) {
		flint_conn_fail(conn, -ENOTCONN, "the RDMA device reported a broken queue pair");
		return;
	}
	if (flint_conn_check_deadlines(conn))
		return;
	if ((long)idle >= (long)hb_timeo) {
		flint_conn_fail(conn, -ETIMEDOUT, "nothing heard for %u s",
				jiffies_to_msecs(idle) / 1000);
		return;
	}
	if (rcu_access_pointer(conn->lane->old) == conn && !READ_ONCE(conn->inflight)) {
		flint_conn_fail(conn, -ENOTCONN, "verbs took its place");
		return;
	}
	if ((long)idle >= (long)min_t(unsigned long, FLINT_PING_IDLE, hb_timeo / 3))
		flint_conn_ping(conn);
	queue_delayed_work(flint_io_wq, &conn->tick, FLINT_TICK);
}

/* The first connection is up, or the last one down: tell whom it concerns. */
static void flint_peer_event(struct flint_peer *peer, bool up)
{
	struct flint_net *net = peer->net;

	rcu_read_lock();
	if (net->opts.event && !READ_ONCE(net->shutdown) && !READ_ONCE(peer->closing))
		net->opts.event(net->opts.arg, peer, up);
	rcu_read_unlock();
}

static bool flint_peer_over(struct flint_peer *peer)
{
	return READ_ONCE(peer->closing) || READ_ONCE(peer->net->shutdown);
}

/* Can it be reached both ways? */
static bool flint_rail_mixed(const struct flint_rail *rail)
{
	return rail->nr_verbs && rail->nr_verbs < rail->nr;
}

/* Has one of its lanes a connection? Under peer->lock. */
static bool flint_rail_live(const struct flint_peer *peer, const struct flint_rail *rail)
{
	unsigned int i;

	lockdep_assert_held(&peer->lock);
	for (i = rail - peer->rails; i < peer->nconn; i += peer->nr_rails) {
		struct flint_conn *conn = rcu_dereference_protected(peer->lanes[i].conn, true);

		if (conn && READ_ONCE(conn->state) == FLINT_CONN_LIVE)
			return true;
	}
	return false;
}

static bool flint_peer_up(const struct flint_peer *peer)
{
	unsigned int i;

	lockdep_assert_held(&peer->lock);
	for (i = 0; i < peer->nr_rails; i++)
		if (peer->rails[i].up)
			return true;
	return false;
}

/*
 * What requests may look like: as all connections in use take them. Stays as it was when there
 * are none. Under peer->lock.
 */
static void flint_peer_limits(struct flint_peer *peer)
{
	u32 max_io = U32_MAX, inline_size = U32_MAX, pages = U32_MAX, seg = U32_MAX;
	bool stream = true, any = false;
	unsigned int i;

	lockdep_assert_held(&peer->lock);
	for (i = 0; i < peer->nconn; i++) {
		struct flint_conn *conn = rcu_dereference_protected(peer->lanes[i].conn, true);

		if (!conn || READ_ONCE(conn->state) != FLINT_CONN_LIVE)
			continue;
		any = true;
		max_io = min(max_io, conn->lim.max_io);
		inline_size = min(inline_size, conn->lim.inline_size);
		pages = min(pages, conn->max_pages);
		seg = min(seg, conn->max_seg);
		stream &= conn->ops->stream;
	}
	if (!any)
		return;
	peer->max_io = max_io;
	peer->inline_size = inline_size;
	peer->max_pages = pages;
	peer->max_seg = seg;
	peer->stream = stream;
}

/* Have the lane's work come when there is something for it to do. Under peer->lock. */
static void flint_lane_arm(struct flint_lane *lane)
{
	struct flint_conn *conn = rcu_dereference_protected(lane->conn, true);
	unsigned long now = jiffies;

	lockdep_assert_held(&lane->peer->lock);
	if (!conn)
		mod_delayed_work(flint_cm_wq, &lane->work, lane->delay);
	else if (conn->ops->stream && flint_rail_mixed(lane->rail) &&
		 !rcu_access_pointer(lane->next) && !rcu_access_pointer(lane->old))
		mod_delayed_work(flint_cm_wq, &lane->work,
				 lane->verbs_wait && time_after(lane->verbs_again, now) ?
				 lane->verbs_again - now : FLINT_VERBS_AGAIN_MIN);
}

static void flint_conn_detach(struct flint_conn *conn)
{
	struct flint_peer *peer = conn->peer;
	struct flint_lane *lane = conn->lane;
	bool used, down;

	spin_lock_bh(&peer->lock);
	lane->requests += conn->requests;
	lane->bytes += conn->bytes;
	used = rcu_access_pointer(lane->conn) == conn;
	if (used)
		RCU_INIT_POINTER(lane->conn, NULL);
	else if (rcu_access_pointer(lane->next) == conn)
		RCU_INIT_POINTER(lane->next, NULL);
	else
		RCU_INIT_POINTER(lane->old, NULL);
	if (used && !peer->closing)
		strscpy(peer->reason, conn->reason, sizeof(peer->reason));
	down = lane->rail->up;
	lane->rail->up = down && flint_rail_live(peer, lane->rail);
	down = down && !flint_peer_up(peer);
	if (!flint_peer_over(peer)) {
		flint_peer_limits(peer);
		flint_lane_arm(lane);
	}
	spin_unlock_bh(&peer->lock);
	wake_up_all(&peer->wq);
	if (down)
		flint_peer_event(peer, false);
}

static void flint_conn_bury(struct flint_conn *conn)
{
	struct flint_net *net = conn->peer->net;

	atomic_inc(&net->zombies);
	pr_err("%pISpc: the device does not flush a dead connection; its memory (up to %u requests) stays locked until it does\n",
	       &conn->peer->dests[0].addr, conn->inflight);
	flint_conn_abort_requests(conn, true);
	while (!conn->ops->drain(conn, 60 * HZ))
		pr_warn("%pISpc: still waiting for the device to flush\n",
			&conn->peer->dests[0].addr);
	flint_conn_release_zombies(conn);
	atomic_dec(&net->zombies);
}

/*
 * The one owner of a failed connection. Order: nobody finds it any more, who
 * builds a request leaves, the device lets go, requests end, things are freed.
 */
static void flint_conn_teardown(struct work_struct *work)
{
	struct flint_conn *conn = container_of(work, struct flint_conn, teardown);
	struct flint_net *net = conn->peer->net;

	flint_conn_detach(conn);
	cancel_delayed_work_sync(&conn->tick);
	while (!wait_event_timeout(conn->wq, !READ_ONCE(conn->preparing), 10 * HZ))
		pr_warn_ratelimited("%pISpc: waiting for submitters of a dead connection\n",
				    &conn->peer->dests[0].addr);
	/* A submitter that was last holds the lock while it wakes us. */
	spin_lock_bh(&conn->lock);
	spin_unlock_bh(&conn->lock);

	if (conn->ops->drain(conn, FLINT_DRAIN_GRACE))
		flint_conn_abort_requests(conn, false);
	else
		flint_conn_bury(conn);
	conn->ops->destroy(conn);
	flint_conn_set_state(conn, FLINT_CONN_DEAD);
	if (atomic_dec_and_test(&net->nr_conns))
		wake_up_all(&net->wq);
	flint_conn_put(conn);
}

/**
 * flint_conn_init() - the part of a connection that is the same for every transport
 * @conn: zeroed
 * @ops: its transport
 * @peer: whose; a reference is taken
 * @lane: where it will be found from now on, in state NEW; beside the connection that it
 *	has, if it has one
 */
void flint_conn_init(struct flint_conn *conn, const struct flint_xprt_ops *ops,
		     struct flint_peer *peer, struct flint_lane *lane)
{
	static atomic_t last_id = ATOMIC_INIT(0);
	const struct flint_net_opts *o = &peer->net->opts;

	kref_init(&conn->ref);
	conn->ops = ops;
	conn->id = atomic_inc_return(&last_id);
	kref_get(&peer->ref);
	atomic_inc(&peer->net->nr_conns);
	conn->peer = peer;
	conn->lane = lane;
	spin_lock_init(&conn->lock);
	init_waitqueue_head(&conn->wq);
	INIT_DELAYED_WORK(&conn->tick, flint_conn_tick);
	INIT_WORK(&conn->teardown, flint_conn_teardown);
	conn->lim.inline_size = o->inline_size;
	conn->lim.max_io = o->max_io;
	conn->last_rx = jiffies;
	conn->last_tx = jiffies;
	conn->connect_timeo = o->connect_timeo;
	if (!ops->stream && flint_rail_mixed(lane->rail))
		conn->connect_timeo = min_t(unsigned long, o->connect_timeo, FLINT_VERBS_TIMEO);
	spin_lock_bh(&peer->lock);
	if (rcu_access_pointer(lane->conn))
		rcu_assign_pointer(lane->next, conn);
	else
		rcu_assign_pointer(lane->conn, conn);
	spin_unlock_bh(&peer->lock);
}

static void flint_peer_free(struct kref *ref);

void flint_conn_get(struct flint_conn *conn)
{
	kref_get(&conn->ref);
}

static void flint_conn_free(struct kref *ref)
{
	struct flint_conn *conn = container_of(ref, struct flint_conn, ref);
	struct flint_peer *peer = conn->peer;

	conn->ops->free(conn);
	kref_put(&peer->ref, flint_peer_free);
}

void flint_conn_put(struct flint_conn *conn)
{
	kref_put(&conn->ref, flint_conn_free);
}

/**
 * flint_peer_conn() - a live connection of this peer
 * @peer: the peer
 * @turn: which rail to take when all are as busy
 *
 * Context: RCU read section.
 * Return: of this CPU's lanes, one for each rail, the live one with the fewest requests in
 * flight; any other live one if there is none; else NULL.
 */
struct flint_conn *flint_peer_conn(struct flint_peer *peer, unsigned int turn)
{
	unsigned int n = peer->nconn, rails = peer->nr_rails, at = 0, i;
	struct flint_conn *best = NULL;

	if (n > 1)
		at = (raw_smp_processor_id() * rails + turn % rails) % n;
	for (i = 0; i < n && (i < rails || !best); i++) {
		struct flint_conn *conn = rcu_dereference(peer->lanes[at].conn);

		if (conn && READ_ONCE(conn->state) == FLINT_CONN_LIVE &&
		    (!best || READ_ONCE(conn->inflight) < READ_ONCE(best->inflight)))
			best = conn;
		if (++at == n)
			at = 0;
	}
	return best;
}

/**
 * flint_peer_conn_find() - a certain connection of this peer, if it is live
 * @peer: the peer
 * @id: of the connection
 *
 * Context: RCU read section.
 */
struct flint_conn *flint_peer_conn_find(struct flint_peer *peer, u32 id)
{
	unsigned int i;

	for (i = 0; i < peer->nconn; i++) {
		struct flint_conn *conn = rcu_dereference(peer->lanes[i].conn);

		if (!conn || conn->id != id)
			conn = rcu_dereference(peer->lanes[i].old);
		if (conn && conn->id == id && READ_ONCE(conn->state) == FLINT_CONN_LIVE)
			return conn;
	}
	return NULL;
}

/* ---- lanes ------------------------------------------------------------ */

/* The connection that was made beside another one takes its place, if that is still there. */
static bool flint_lane_take(struct flint_lane *lane, struct flint_conn *conn)
{
	struct flint_conn *old = rcu_dereference_protected(lane->conn, true);

	lockdep_assert_held(&lane->peer->lock);
	/* It may have ended already, and been detached. */
	if (rcu_access_pointer(lane->next) != conn)
		return false;
	RCU_INIT_POINTER(lane->next, NULL);
	rcu_assign_pointer(lane->conn, conn);
	rcu_assign_pointer(lane->old, old);
	return true;
}

static void flint_lane_up(struct flint_lane *lane, struct flint_conn *conn)
{
	struct flint_peer *peer = lane->peer;
	bool first, told;

	spin_lock_bh(&peer->lock);
	told = flint_lane_take(lane, conn) || !lane->rail->up;
	first = !flint_peer_up(peer);
	lane->rail->up = flint_rail_live(peer, lane->rail);
	lane->rail->refused = false;
	peer->reason[0] = 0;
	peer->refused = 0;
	flint_peer_limits(peer);
	peer->reconnects++;
	lane->backoff = FLINT_BACKOFF_MIN;
	lane->delay = FLINT_BACKOFF_MIN;
	lane->complain = 0;
	if (flint_rail_mixed(lane->rail) && lane->next_dest >= lane->rail->nr_verbs)
		lane->next_dest = 0;
	if (!conn->ops->stream)
		lane->verbs_wait = 0;
	flint_lane_arm(lane);
	spin_unlock_bh(&peer->lock);
	if (told)
		pr_info("%pISpc: connected over %s\n", &lane->rail->dests[0].addr,
			conn->ops->name);
	if (first)
		flint_peer_event(peer, true);
	rcu_read_lock();
	if (peer->net->opts.up && !READ_ONCE(peer->net->shutdown))
		peer->net->opts.up(peer->net->opts.arg, peer);
	rcu_read_unlock();
	/* Under the lock: a teardown that comes after this cancels it. */
	spin_lock_bh(&conn->lock);
	if (conn->state == FLINT_CONN_LIVE)
		queue_delayed_work(flint_io_wq, &conn->tick, FLINT_TICK);
	spin_unlock_bh(&conn->lock);
	wake_up_all(&peer->wq);
}

/* Verbs failed: have a rest before they are tried again. Under peer->lock. */
static void flint_lane_rest_verbs(struct flint_lane *lane)
{
	lane->verbs_wait = clamp_t(unsigned long, lane->verbs_wait * 2, FLINT_VERBS_AGAIN_MIN,
				   FLINT_VERBS_AGAIN_MAX);
	lane->verbs_again = jiffies + lane->verbs_wait;
}

/* A rail that leads elsewhere says nothing of the others. */
static bool flint_peer_all_refused(const struct flint_peer *peer)
{
	unsigned int i;

	for (i = 0; i < peer->nr_rails; i++)
		if (!peer->rails[i].refused)
			return false;
	return true;
}

static void flint_lane_retry_later(struct flint_lane *lane, const struct flint_conn *conn)
{
	struct flint_rail *rail = lane->rail;
	struct flint_peer *peer = lane->peer;
	unsigned long b = lane->backoff * 2;
	int err = conn->err;
	bool refused = err == -EACCES || err == -EPROTONOSUPPORT || err == -EMSGSIZE;

	/* Half of it is jitter, so that a thousand clients do not come back as one. */
	b = clamp_t(unsigned long, b, FLINT_BACKOFF_MIN, FLINT_BACKOFF_MAX);
	spin_lock_bh(&peer->lock);
	if (refused && lane->next_dest >= rail->nr_verbs)
		lane->next_dest = 0;	/* the server was reached: TCP would not help */
	if (flint_rail_mixed(rail) && !conn->ops->stream && !refused) {
		/* On to the next at once; TCP comes after the last. */
		lane->delay = 0;
		if (lane->next_dest >= rail->nr_verbs)
			flint_lane_rest_verbs(lane);
	} else {
		/* Not even TCP: the server is down, and verbs are no worse than before. */
		if (lane->next_dest >= rail->nr)
			lane->verbs_wait = 0;
		lane->backoff = b / 2 + get_random_u32() % (b / 2 + 1);
		lane->delay = lane->backoff;
	}
	/* Both at once: who finds itself refused asks why, before the teardown has run. */
	if (rcu_access_pointer(lane->conn) == conn) {
		rail->refused = refused;
		peer->refused = flint_peer_all_refused(peer) ? err : 0;
		if (!peer->closing)
			strscpy(peer->reason, conn->reason, sizeof(peer->reason));
	}
	spin_unlock_bh(&peer->lock);
}

const struct flint_xprt_ops *flint_xprt_of(const struct flint_dest *dest)
{
	return dest->proto == FLINT_PROTO_TCP ? &flint_xprt_tcp : &flint_xprt_rdma;
}

/* Whom to try next, and how. @beside: verbs, while there is a TCP connection. */
static const struct flint_dest *flint_lane_dest(struct flint_lane *lane, bool beside)
{
	const struct flint_rail *rail = lane->rail;
	unsigned int i = lane->next_dest;

	if (i >= (beside ? rail->nr_verbs : rail->nr))
		i = 0;
	if (!beside && i < rail->nr_verbs && flint_rail_mixed(rail) && lane->verbs_wait &&
	    time_before(jiffies, lane->verbs_again))
		i = rail->nr_verbs;
	lane->next_dest = i + 1;
	return &rail->dests[i];
}

/* Is there nothing to do for its work now? */
static bool flint_lane_content(struct flint_lane *lane)
{
	struct flint_conn *conn;
	bool content = true;

	rcu_read_lock();
	conn = rcu_dereference(lane->conn);
	if (!conn)
		content = false;
	else if (flint_rail_mixed(lane->rail) && conn->ops->stream)
		content = READ_ONCE(conn->state) != FLINT_CONN_LIVE ||
			  rcu_access_pointer(lane->next) || rcu_access_pointer(lane->old);
	rcu_read_unlock();
	return content;
}

/* Make one connection. It ends LIVE or with its teardown queued. */
static void flint_lane_work(struct work_struct *work)
{
	struct flint_lane *lane = container_of(to_delayed_work(work), struct flint_lane, work);
	struct flint_peer *peer = lane->peer;
	const struct flint_dest *dest;
	struct flint_conn *conn;
	bool beside;
	int err;

	/* The end of a connection brings this work back. */
	if (flint_peer_over(peer) || flint_lane_content(lane))
		return;
	WRITE_ONCE(lane->tried, jiffies);
	beside = rcu_access_pointer(lane->conn);
	dest = flint_lane_dest(lane, beside);
	conn = flint_xprt_of(dest)->connect(lane, (const struct sockaddr *)&dest->addr);
	if (IS_ERR(conn)) {
		queue_delayed_work(flint_cm_wq, &lane->work, HZ);
		return;
	}
	WRITE_ONCE(conn->dest, dest);
	err = READ_ONCE(conn->state) == FLINT_CONN_HELLO ? flint_auth_handshake(conn) : conn->err;
	flint_conn_get(conn);	/* once LIVE, its teardown may come and go at any time */
	conn->was_live = !err;
	if (!err && flint_conn_set_state(conn, FLINT_CONN_LIVE)) {
		flint_lane_up(lane, conn);
		smp_mb();	/* LIVE, then the epoch: flint_net_reset() has them the other way */
		if (flint_peer_over(peer))	/* it may have missed us before LIVE */
			flint_conn_fail(conn, -EIO, "shut down");
		else if (flint_conn_outdated(conn))
			flint_conn_fail(conn, -ENOTCONN, "another session has begun");
		goto put;
	}
	/* Still ours: nobody but us queues the teardown of a connection that never was LIVE. */
	flint_conn_fail(conn, err ? err : -ENOTCONN, "connecting failed (%d)", err);
	flint_lane_retry_later(lane, conn);
	if (!flint_peer_over(peer) && !beside &&
	    (!lane->complain ||
	     (time_after(jiffies, lane->complain) && !flint_peer_live(peer)))) {
		pr_warn("%pISpc: %s; trying %s\n", &dest->addr, conn->reason,
			lane->delay ? "again" : "another way");
		lane->complain = (jiffies + FLINT_COMPLAIN_EVERY) | 1;
	}
	queue_work(flint_cm_wq, &conn->teardown);
put:
	flint_conn_put(conn);
}

/* ---- peers ------------------------------------------------------------ */

static bool flint_same_host(const struct flint_dest *p, const struct flint_dest *q)
{
	const struct sockaddr_in *a = (const void *)&p->addr, *b = (const void *)&q->addr;
	const struct sockaddr_in6 *x = (const void *)&p->addr, *y = (const void *)&q->addr;

	if (p->addr.ss_family != q->addr.ss_family)
		return false;
	if (p->addr.ss_family == AF_INET)
		return a->sin_addr.s_addr == b->sin_addr.s_addr;
	return ipv6_addr_equal(&x->sin6_addr, &y->sin6_addr);
}

static bool flint_dest_equal(const struct flint_dest *p, const struct flint_dest *q)
{
	const struct sockaddr_in *a = (const void *)&p->addr, *b = (const void *)&q->addr;

	/* The port is at the same place in both families. */
	return p->proto == q->proto && flint_same_host(p, q) && a->sin_port == b->sin_port;
}

/* Is it reached in these ways, in whatever order, and in no other? */
static bool flint_peer_equal(const struct flint_peer *peer, const struct flint_dest *dests,
			     unsigned int nr)
{
	unsigned int i, k;

	for (i = 0; i < nr; i++) {
		for (k = 0; k < peer->nr_dests; k++)
			if (flint_dest_equal(&peer->dests[k], &dests[i]))
				break;
		if (k == peer->nr_dests)
			return false;
	}
	return nr == peer->nr_dests;
}

/* Put the ways to a server in the order of its rails. A list of servers is one rail. */
static void flint_peer_rails(struct flint_peer *peer, const struct flint_dest *dests,
			     unsigned int nr)
{
	bool apart = peer->role == FLINT_ROLE_CHUNK;
	struct flint_rail *rail;
	unsigned int i, k;

	for (i = 0; i < nr; i++) {
		for (k = 0; k < i; k++)
			if (!apart || flint_same_host(&dests[k], &dests[i]))
				break;
		if (k < i)
			continue;	/* taken with that one */
		rail = &peer->rails[peer->nr_rails++];
		rail->dests = &peer->dests[peer->nr_dests];
		for (k = i; k < nr; k++) {
			if (apart && !flint_same_host(&dests[k], &dests[i]))
				continue;
			peer->dests[peer->nr_dests++] = dests[k];
			if (dests[k].proto == FLINT_PROTO_RDMA && rail->nr_verbs == rail->nr)
				rail->nr_verbs++;
			rail->nr++;
		}
	}
}

static void flint_net_free(struct kref *ref)
{
	struct flint_net *net = container_of(ref, struct flint_net, ref);

	put_net(net->opts.net);
	flint_auth_free(net);
	flint_lat_free(&net->lat);
	kfree(net->token);
	kfree_sensitive(net);
	if (atomic_dec_and_test(&flint_nets))
		wake_up_all(&flint_nets_wq);
}

/*
 * A peer is closed by a work, so that flint_peer_put() may be called from
 * ->done(), which its connections' end waits for.
 */
struct flint_peer_obj {
	struct flint_peer p;
	struct work_struct close;
};

static void flint_peer_free(struct kref *ref)
{
	struct flint_peer *peer = container_of(ref, struct flint_peer, ref);
	struct flint_net *net = peer->net;

	flint_lat_free(&peer->lat);
	kfree(container_of(peer, struct flint_peer_obj, p));
	kref_put(&net->ref, flint_net_free);
}

static struct flint_peer *flint_peer_new(struct flint_net *net,
					 const struct flint_dest *dests,
					 unsigned int nr, u8 role)
{
	struct flint_peer_obj *o = kzalloc(sizeof(*o), GFP_KERNEL);
	struct flint_peer *peer;
	unsigned int i;

	if (!o)
		return NULL;
	peer = &o->p;
	if (flint_lat_init(&peer->lat, role == FLINT_ROLE_CHUNK)) {
		kfree(o);
		return NULL;
	}
	kref_init(&peer->ref);
	atomic_set(&peer->users, 1);
	kref_get(&net->ref);
	peer->net = net;
	peer->role = role;
	flint_peer_rails(peer, dests, nr);
	spin_lock_init(&peer->lock);
	INIT_LIST_HEAD(&peer->waiters);
	init_waitqueue_head(&peer->wq);
	INIT_WORK(&o->close, flint_peer_close_work);
	strscpy(peer->reason, "not connected yet", sizeof(peer->reason));
	peer->nconn = min(roundup(net->opts.nconn, peer->nr_rails),
			  rounddown(FLINT_CONNS_MAX, peer->nr_rails));
	for (i = 0; i < peer->nconn; i++) {
		peer->lanes[i].peer = peer;
		peer->lanes[i].rail = &peer->rails[i % peer->nr_rails];
		peer->lanes[i].backoff = FLINT_BACKOFF_MIN;
		INIT_DELAYED_WORK(&peer->lanes[i].work, flint_lane_work);
	}
	return peer;
}

struct flint_peer *flint_peer_get(struct flint_net *net, const struct flint_dest *dests,
				  unsigned int nr, u8 role)
{
	struct flint_peer *peer;
	unsigned int i;

	if (WARN_ON_ONCE(!nr || nr > FLINT_PEER_DESTS))
		return ERR_PTR(-EIO);
	mutex_lock(&net->lock);
	if (net->shutdown) {
		peer = ERR_PTR(-EIO);
		goto out;
	}
	list_for_each_entry(peer, &net->peers, node)
		if (flint_peer_equal(peer, dests, nr) &&
		    atomic_inc_not_zero(&peer->users))
			goto out;
	peer = flint_peer_new(net, dests, nr, role);
	if (!peer) {
		peer = ERR_PTR(-ENOMEM);
		goto out;
	}
	list_add_tail(&peer->node, &net->peers);
	for (i = 0; i < peer->nconn; i++)
		queue_delayed_work(flint_cm_wq, &peer->lanes[i].work, 0);
out:
	mutex_unlock(&net->lock);
	return peer;
}

/* End all connections of a lane, or those that are LIVE. In an RCU read section. */
static void flint_lane_fail(struct flint_lane *lane, bool live, int err, const char *why)
{
	struct flint_conn *conns[] = {
		rcu_dereference(lane->conn), rcu_dereference(lane->next),
		rcu_dereference(lane->old),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(conns); i++)
		if (conns[i] && (!live || READ_ONCE(conns[i]->state) == FLINT_CONN_LIVE))
			flint_conn_fail(conns[i], err, "%s", why);
}

/* Stop reconnecting and end what is up. Idempotent; under net->lock. */
static void flint_peer_stop(struct flint_peer *peer)
{
	unsigned int i;

	spin_lock_bh(&peer->lock);
	peer->closing = true;
	spin_unlock_bh(&peer->lock);
	rcu_read_lock();
	for (i = 0; i < peer->nconn; i++)
		flint_lane_fail(&peer->lanes[i], false, -EIO, "closed");
	rcu_read_unlock();
	wake_up_all(&peer->wq);
}

static void flint_peer_close_work(struct work_struct *work)
{
	struct flint_peer_obj *o = container_of(work, struct flint_peer_obj, close);
	struct flint_peer *peer = &o->p;
	unsigned int i;

	mutex_lock(&peer->net->lock);
	list_del_init(&peer->node);
	flint_peer_stop(peer);
	mutex_unlock(&peer->net->lock);
	/* A lane's work that runs now is bounded by its time-outs, and sees closing. */
	for (i = 0; i < peer->nconn; i++)
		cancel_delayed_work_sync(&peer->lanes[i].work);
	kref_put(&peer->ref, flint_peer_free);
}

void flint_peer_put(struct flint_peer *peer)
{
	struct flint_peer_obj *o = container_of(peer, struct flint_peer_obj, p);

	if (atomic_dec_and_test(&peer->users))
		queue_work(flint_cm_wq, &o->close);
}

u32 flint_peer_max_io(struct flint_peer *peer)
{
	u32 pages = READ_ONCE(peer->max_pages), max_io = READ_ONCE(peer->max_io);

	if (!max_io)
		return 65536;
	/* An unaligned buffer touches one page more. */
	return min_t(u64, max_io, ((u64)pages * FLINT_MAX_DESC - 1) * PAGE_SIZE);
}

u32 flint_bvec_span(struct flint_peer *peer, const struct bio_vec *bvec, unsigned int nr,
		    size_t skip, size_t len)
{
	u32 pages = READ_ONCE(peer->max_pages), seg = READ_ONCE(peer->max_seg);
	u32 want = min_t(size_t, len, flint_peer_max_io(peer));

	if (want <= READ_ONCE(peer->inline_size) || READ_ONCE(peer->stream))
		return want;
	return flint_runs_span(bvec, nr, skip, want, pages ? pages : 16, seg ? seg : 65536);
}

bool flint_peer_ready(struct flint_peer *peer)
{
	struct flint_conn *conn;
	bool ready;

	rcu_read_lock();
	conn = flint_peer_conn(peer, 0);
	ready = conn && READ_ONCE(conn->inflight) < READ_ONCE(conn->credits);
	rcu_read_unlock();
	return ready;
}

bool flint_peer_live(struct flint_peer *peer)
{
	bool live;

	rcu_read_lock();
	live = flint_peer_conn(peer, 0);
	rcu_read_unlock();
	return live;
}

u32 flint_peer_inflight(struct flint_peer *peer)
{
	unsigned int i;
	u32 sum = 0;

	rcu_read_lock();
	for (i = 0; i < peer->nconn; i++) {
		struct flint_conn *conn = rcu_dereference(peer->lanes[i].conn);

		if (conn)
			sum += READ_ONCE(conn->inflight);
	}
	rcu_read_unlock();
	return sum;
}

void flint_peer_hurry(struct flint_peer *peer)
{
	unsigned int i;

	spin_lock_bh(&peer->lock);
	for (i = 0; i < peer->nconn && !flint_peer_over(peer); i++) {
		struct flint_lane *lane = &peer->lanes[i];

		/* A lane that has a connection, or is making one, lets its work pass. */
		if (!rcu_access_pointer(lane->conn) &&
		    time_after(jiffies, READ_ONCE(lane->tried) + FLINT_BACKOFF_MIN))
			mod_delayed_work(flint_cm_wq, &lane->work, 0);
	}
	spin_unlock_bh(&peer->lock);
}

void flint_peer_reset(struct flint_peer *peer, const char *why)
{
	unsigned int i;

	rcu_read_lock();
	for (i = 0; i < peer->nconn; i++)
		flint_lane_fail(&peer->lanes[i], true, -ENOTCONN, why);
	rcu_read_unlock();
}

const char *flint_peer_reason(struct flint_peer *peer)
{
	spin_lock_bh(&peer->lock);
	strscpy(peer->shown, peer->reason[0] ? peer->reason : "connected", sizeof(peer->shown));
	spin_unlock_bh(&peer->lock);
	return peer->shown;
}

int flint_peer_refused(struct flint_peer *peer)
{
	return READ_ONCE(peer->refused);
}

static bool flint_peer_settled(struct flint_peer *peer)
{
	return flint_peer_live(peer) || flint_peer_over(peer) || READ_ONCE(peer->refused);
}

int flint_peer_wait(struct flint_peer *peer, unsigned long timeout)
{
	unsigned long end = jiffies + timeout;
	DEFINE_WAIT(wait);
	int err = 0;

	for (;;) {
		long left = (long)(end - jiffies);

		prepare_to_wait(&peer->wq, &wait, TASK_KILLABLE);
		if (flint_peer_settled(peer))
			break;
		if (fatal_signal_pending(current))
			err = -EINTR;
		else if (left <= 0)
			err = -ETIMEDOUT;
		if (err)
			break;
		schedule_timeout(min_t(long, left, HZ));
	}
	finish_wait(&peer->wq, &wait);
	if (err)
		return err;
	if (flint_peer_over(peer))
		return -EIO;
	return READ_ONCE(peer->refused);
}

/* ---- networks --------------------------------------------------------- */

struct flint_net *flint_net_create(const struct flint_net_opts *opts)
{
	struct flint_net *net = kzalloc(sizeof(*net), GFP_KERNEL);
	int err = -ENOMEM;

	if (!net)
		return ERR_PTR(-ENOMEM);
	if (opts->token) {
		net->token = kmemdup(opts->token, flint_token_len(opts->token), GFP_KERNEL);
		if (!net->token)
			goto free;
	}
	kref_init(&net->ref);
	net->opts = *opts;
	net->opts.token = net->token;
	net->opts.credits = clamp_t(u32, opts->credits, 1, FLINT_MAX_CREDITS);
	net->opts.inline_size = min_t(u32, opts->inline_size, FLINT_INLINE_MAX);
	net->opts.max_io = max_t(u32, opts->max_io, FLINT_MIN_IO);
	net->opts.nconn = clamp_t(u32, opts->nconn, 1, FLINT_CONNS_MAX);
	if (opts->key) {
		memcpy(net->key, opts->key, FLINT_KEY_LEN);
		net->opts.key = net->key;
	}
	mutex_init(&net->lock);
	INIT_LIST_HEAD(&net->peers);
	init_waitqueue_head(&net->wq);
	err = flint_lat_init(&net->lat, false);
	if (!err)
		err = flint_auth_alloc(net);
	if (err)
		goto free;
	get_net(opts->net);
	atomic_inc(&flint_nets);
	return net;
free:
	flint_lat_free(&net->lat);
	kfree(net->token);
	kfree_sensitive(net);
	return ERR_PTR(err);
}

void flint_net_set_epoch(struct flint_net *net, u64 session_epoch)
{
	atomic64_set(&net->session_epoch, session_epoch);
}

void flint_net_reset(struct flint_net *net, const char *why)
{
	struct flint_peer *peer;

	smp_mb();	/* The epoch is set: flint_lane_work() sees it if we come before LIVE. */
	mutex_lock(&net->lock);
	list_for_each_entry(peer, &net->peers, node)
		flint_peer_reset(peer, why);
	mutex_unlock(&net->lock);
}

void flint_net_shutdown(struct flint_net *net)
{
	struct flint_peer *peer;

	WRITE_ONCE(net->shutdown, true);
	mutex_lock(&net->lock);
	list_for_each_entry(peer, &net->peers, node)
		flint_peer_stop(peer);
	mutex_unlock(&net->lock);
	wake_up_all(&flint_mr_wq);
}

void flint_net_destroy(struct flint_net *net)
{
	flint_net_shutdown(net);
	if (!wait_event_timeout(net->wq, !atomic_read(&net->nr_conns), 10 * HZ))
		pr_warn("%d connections are still being closed; the module cannot be unloaded before\n",
			atomic_read(&net->nr_conns));
	kref_put(&net->ref, flint_net_free);
}

/* ---- module ----------------------------------------------------------- */

int flint_transport_init(void)
{
	int err = -ENOMEM;

	flint_cm_wq = alloc_workqueue("flint_cm", WQ_UNBOUND, 0);
	if (!flint_cm_wq)
		return err;
	flint_io_wq = alloc_workqueue("flint_io", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	if (!flint_io_wq)
		goto err_cm;
	err = flint_req_init();
	if (err)
		goto err_io;
	err = flint_tcp_init();
	if (err)
		goto err_req;
	err = flint_rdma_init();
	if (err)
		goto err_tcp;
	return 0;

err_tcp:
	flint_tcp_exit();
err_req:
	flint_req_exit();
err_io:
	destroy_workqueue(flint_io_wq);
err_cm:
	destroy_workqueue(flint_cm_wq);
	return err;
}

void flint_transport_exit(void)
{
	while (!wait_event_timeout(flint_nets_wq, !atomic_read(&flint_nets), 60 * HZ))
		pr_warn("unloading waits for the connections of %d mounts\n",
			atomic_read(&flint_nets));
	flint_rdma_exit();
	flush_workqueue(flint_cm_wq);
	flint_tcp_exit();
	destroy_workqueue(flint_io_wq);
	destroy_workqueue(flint_cm_wq);
	flint_req_exit();
}
