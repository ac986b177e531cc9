// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests: tags, credits, deadlines, completion. Knows no transport.
 *
 * A request takes a slot of a live connection (a tag, a message buffer, a
 * credit), has its memory registered and its message built without the lock,
 * and is posted under it. It leaves the slot in one of three ways, each of
 * which claims it under conn->lock, so that it ends exactly once:
 *  - flint_slot_finish(): the reply is here and its memory regions are dead;
 *  - flint_conn_abort_requests(): the connection died and is drained, or is a
 *    zombie;
 *  - flint_conn_submit() itself, when it could not be posted. Then ->done() is
 *    not called.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/sched/signal.h>
#include "compat/unaligned.h"
#include "xprt.h"
#include "flint_trace.h"

static struct kmem_cache *flint_req_cache;

/* Of a new slab. With it the kernel does not clear every request, most of which is reply buffer. */
static void flint_req_ctor(void *p)
{
	struct flint_req_obj *o = p;

	init_completion(&o->reply);
}

/**
 * flint_req_init() - make the cache of requests
 * Return: 0 or -ENOMEM.
 */
int flint_req_init(void)
{
	flint_req_cache = kmem_cache_create("flint_req_obj", sizeof(struct flint_req_obj),
					    __alignof__(struct flint_req_obj),
					    SLAB_RECLAIM_ACCOUNT, flint_req_ctor);
	return flint_req_cache ? 0 : -ENOMEM;
}

void flint_req_exit(void)
{
	kmem_cache_destroy(flint_req_cache);
	flint_req_cache = NULL;
}

struct flint_req *flint_req_alloc(u16 op, u32 body_len, gfp_t gfp)
{
	struct flint_req_obj *o;

	o = kmem_cache_alloc(flint_req_cache, gfp | __GFP_NOWARN);
	if (!o)
		return NULL;
	memset(&o->r, 0, sizeof(o->r));
	if (body_len > sizeof(o->body)) {
		o->r.body = kzalloc(body_len, gfp | __GFP_NOWARN);
		if (!o->r.body) {
			kmem_cache_free(flint_req_cache, o);
			return NULL;
		}
	} else {
		memset(o->body, 0, body_len);
		o->r.body = o->body;
	}
	reinit_completion(&o->reply);
	o->r.op = op;
	o->r.body_len = body_len;
	refcount_set(&o->r.ref, 1);
	INIT_LIST_HEAD(&o->r.node);
	return &o->r;
}

void flint_req_get(struct flint_req *req)
{
	refcount_inc(&req->ref);
}

void flint_req_put(struct flint_req *req)
{
	struct flint_req_obj *o = flint_req_obj(req);

	if (!refcount_dec_and_test(&req->ref))
		return;
	if (req->body != o->body)
		kfree(req->body);
	if (req->rep_copy && req->rep_copy != o->rep)
		kfree(req->rep_copy);
	kmem_cache_free(flint_req_cache, o);
}

/* ---- slots ------------------------------------------------------------ */

/**
 * flint_slots_alloc() - make a connection's slots
 * @conn: not yet in use
 * @depth: slots beside the reserved one
 * @slot_size: of the transport's slot, which begins with struct flint_slot
 * @mem: result: their memory, for flint_slots_free()
 *
 * Return: 0 or -ENOMEM.
 */
int flint_slots_alloc(struct flint_conn *conn, u32 depth, size_t slot_size, void **mem)
{
	u8 *p = kvcalloc(depth + 1, slot_size, GFP_KERNEL);
	u32 i;

	conn->slots = kvcalloc(depth + 1, sizeof(*conn->slots), GFP_KERNEL);
	conn->free = kvcalloc(depth + 1, sizeof(*conn->free), GFP_KERNEL);
	*mem = p;
	if (!p || !conn->slots || !conn->free) {
		/* Whoever finds a table finds slots in it. */
		flint_slots_free(conn, p);
		conn->slots = NULL;
		conn->free = NULL;
		*mem = NULL;
		return -ENOMEM;
	}
	for (i = 0; i <= depth; i++) {
		conn->slots[i] = (struct flint_slot *)(p + i * slot_size);
		conn->slots[i]->idx = i;
		conn->slots[i]->gen = 1;
	}
	/* The lowest index on top: a lightly used connection stays in cache. */
	for (i = 0; i < depth; i++)
		conn->free[i] = depth - 1 - i;
	conn->nr_free = depth;
	conn->depth = depth;
	return 0;
}

void flint_slots_free(struct flint_conn *conn, void *mem)
{
	kvfree(conn->free);
	kvfree(conn->slots);
	kvfree(mem);
}

static bool flint_conn_usable(const struct flint_conn *conn, bool reserved)
{
	return conn->state == FLINT_CONN_LIVE || (reserved && conn->state == FLINT_CONN_HELLO);
}

/* Takes a slot, or returns NULL for want of a connection or a credit. */
static struct flint_slot *flint_slot_take(struct flint_conn *conn, struct flint_req *req,
					  bool reserved)
{
	struct flint_slot *slot = NULL;

	spin_lock_bh(&conn->lock);
	if (!flint_conn_usable(conn, reserved))
		goto out;
	if (reserved) {
		if (conn->slots[conn->depth]->state != FLINT_SLOT_FREE)
			goto out;
		slot = conn->slots[conn->depth];
	} else {
		if (conn->inflight >= conn->credits || !conn->nr_free)
			goto out;
		slot = conn->slots[conn->free[--conn->nr_free]];
		conn->inflight++;
	}
	if (WARN_ONCE(slot->req || slot->state != FLINT_SLOT_FREE,
		      "flintfs: I2 is broken: tag %u of connection %u has a request already\n",
		      slot->idx, conn->id)) {
		slot = NULL;	/* never to be used again */
		goto out;
	}
	slot->state = FLINT_SLOT_PREP;
	slot->req = req;
	conn->preparing++;
out:
	spin_unlock_bh(&conn->lock);
	return slot;
}

/* Under conn->lock. */
static void flint_slot_free(struct flint_conn *conn, struct flint_slot *slot)
{
	slot->state = FLINT_SLOT_FREE;
	slot->req = NULL;
	slot->hold = NULL;
	slot->tag = 0;
	if (!++slot->gen)
		slot->gen = 1;
	if (slot->idx != conn->depth) {
		conn->free[conn->nr_free++] = slot->idx;
		conn->inflight--;
	}
}

static void flint_peer_wake(struct flint_peer *peer)
{
	if (wq_has_sleeper(&peer->wq))
		wake_up(&peer->wq);
}

/* ---- payload in messages ---------------------------------------------- */

static void flint_bvec_gather(void *dst, const struct flint_req *req)
{
	struct bvec_iter it = { .bi_size = req->bv_skip + req->data_len };
	struct bio_vec bv;

	bvec_iter_advance(req->bvec, &it, req->bv_skip);
	for_each_bvec(bv, req->bvec, it, it) {
		memcpy_from_bvec(dst, &bv);
		dst += bv.bv_len;
	}
}

static void flint_bvec_scatter(const struct flint_req *req, const void *src, u32 len)
{
	struct bvec_iter it = { .bi_size = req->bv_skip + len };
	struct bio_vec bv;

	bvec_iter_advance(req->bvec, &it, req->bv_skip);
	for_each_bvec(bv, req->bvec, it, it) {
		memcpy_to_bvec(&bv, src);
		src += bv.bv_len;
	}
}

/* ---- submission ------------------------------------------------------- */

/* Does the payload travel in the message (or the reply), so that no region is needed? */
static bool flint_req_inline(const struct flint_conn *conn, const struct flint_req *req)
{
	if (req->data_len > conn->lim.inline_size)
		return false;
	return req->dir != FLINT_DIR_OUT ||
	       sizeof(struct flint_hdr) + req->body_len + req->data_len <=
	       flint_msg_max(conn->lim.inline_size);
}

/*
 * Under which number servers log this request: even for mutations, the same for
 * every repetition, odd for all others. Mixed with the mount's random id, so
 * that no two mounts use the same.
 */
static u64 flint_req_trace(struct flint_net *net, const struct flint_req *req)
{
	u64 n = req->seq ? req->seq << 1 : (u64)atomic64_inc_return(&net->traces) << 1 | 1;
	u64 z = get_unaligned_le64(net->opts.client_id) + n * 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return z ? z : 1;
}

static u32 flint_msg_build(struct flint_conn *conn, struct flint_slot *slot,
			   const struct flint_req *req, const struct flint_desc *desc, int nr_desc)
{
	struct flint_hdr *h = slot->msg;
	long left = (long)(req->deadline - jiffies);
	u8 *p = (u8 *)(h + 1);

	memset(h, 0, sizeof(*h));
	h->magic = cpu_to_le32(FLINT_MAGIC);
	h->version = FLINT_PROTO_MAJOR;
	h->op = cpu_to_le16(req->op);
	h->tag = cpu_to_le32((u32)slot->gen << 16 | slot->idx);
	h->timeout_ms = cpu_to_le32(left > 0 ? max(jiffies_to_msecs(left), 1u) : 1);
	h->nr_desc = nr_desc;
	h->body_len = cpu_to_le32(req->body_len);
	h->trace = cpu_to_le64(flint_req_trace(conn->peer->net, req));
	h->seq = cpu_to_le64(req->seq);
	h->seq_low = cpu_to_le64(req->seq_low);
	h->lease = req->lease;
	if (req->retry)
		h->flags |= FLINT_F_RETRY;
	if (req->cred)
		h->flags |= FLINT_F_CRED;
	if (req->dir == FLINT_DIR_OUT)
		h->data_len = cpu_to_le32(req->data_len);

	memcpy(p, desc, nr_desc * sizeof(*desc));
	p += nr_desc * sizeof(*desc);
	memcpy(p, req->body, req->body_len);
	p += req->body_len;
	if (req->dir == FLINT_DIR_OUT && req->data_len && !nr_desc) {
		h->flags |= FLINT_F_INLINE;
		/* On a stream a larger payload follows from where it is. */
		if (flint_req_inline(conn, req)) {
			flint_bvec_gather(p, req);
			p += req->data_len;
		}
	}
	return p - (u8 *)h;
}

static int flint_req_check(const struct flint_conn *conn, const struct flint_req *req)
{
	u32 ctrl = sizeof(struct flint_hdr) + req->body_len;

	/* The server would take it for another session's: it was greeted for that one. */
	if (req->session && req->session != conn->session)
		return -ENOTCONN;
	if (req->dir == FLINT_DIR_NONE ? req->data_len : req->data_len > conn->lim.max_io)
		return -EMSGSIZE;
	if (!flint_req_inline(conn, req))
		ctrl += FLINT_MAX_DESC * sizeof(struct flint_desc);
	if (ctrl > flint_msg_max(conn->lim.inline_size))
		return -EMSGSIZE;
	return 0;
}

/* Give a slot back that was never posted. */
static void flint_slot_cancel(struct flint_conn *conn, struct flint_slot *slot)
{
	bool last;

	spin_lock_bh(&conn->lock);
	flint_slot_free(conn, slot);
	last = !--conn->preparing && conn->state >= FLINT_CONN_DRAINING;
	/* The teardown may free the connection as soon as it sees preparing 0. */
	if (last)
		wake_up_all(&conn->wq);
	spin_unlock_bh(&conn->lock);
}

/* Post the built message. The slot is gone, or sent, afterwards. */
static int flint_slot_send(struct flint_conn *conn, struct flint_slot *slot, u32 len,
			   bool reserved)
{
	struct flint_req *req = slot->req;
	int err;

	flint_req_get(req);
	if (req->hold)
		flint_hold_get(req->hold);
	req->sent = jiffies;
	req->sent_boot = ktime_get_coarse_boottime_ns();
	req->state = FLINT_REQ_SENT;
	req->tag = (u32)slot->gen << 16 | slot->idx;

	spin_lock_bh(&conn->lock);
	if (!flint_conn_usable(conn, reserved)) {
		err = -EAGAIN;
	} else {
		slot->state = FLINT_SLOT_SENT;
		slot->tag = req->tag;
		trace_flint_req_send(conn->id, slot->tag, req->op, req->data_len,
				     ((struct flint_hdr *)slot->msg)->nr_desc, conn->inflight,
				     le64_to_cpu(((struct flint_hdr *)slot->msg)->trace));
		err = conn->ops->post(conn, slot, len);
	}
	if (err == -EAGAIN) {
		slot->state = FLINT_SLOT_PREP;
		slot->tag = 0;
	} else {
		conn->last_tx = jiffies;
		if (!reserved) {
			conn->requests++;
			conn->bytes += req->data_len;
		}
		if (!--conn->preparing && conn->state >= FLINT_CONN_DRAINING)
			wake_up_all(&conn->wq);
	}
	spin_unlock_bh(&conn->lock);

	if (err == -EAGAIN) {
		if (req->hold)
			flint_hold_put(req->hold);
		refcount_dec(&req->ref);
		req->state = FLINT_REQ_NEW;
	}
	return err;
}

/**
 * flint_conn_submit() - send a request on this connection, without waiting
 * @conn: the caller holds a reference or is in an RCU read section
 * @req: the request
 * @reserved: use the slot kept for HELLO, AUTH and PING
 * @want: result with -EAGAIN: what to wait for
 *
 * A transport that has ->flush() sends nothing before that is called.
 *
 * Return: 0: ->done() will be called; -EAGAIN; -EMSGSIZE, -EIO, -ENOTCONN (a connection of
 * another session): never sent.
 */
int flint_conn_submit(struct flint_conn *conn, struct flint_req *req, bool reserved,
		      enum flint_want *want)
{
	struct flint_desc desc[FLINT_MAX_DESC];
	struct flint_slot *slot;
	int err, nr_desc = 0;

	*want = FLINT_WANT_CONN;
	slot = flint_slot_take(conn, req, reserved);
	if (!slot)
		return -EAGAIN;

	/* From here on conn->preparing keeps the connection. */
	err = flint_req_check(conn, req);
	if (err)
		goto cancel;
	if (req->data_len && !flint_req_inline(conn, req)) {
		nr_desc = conn->ops->map(conn, slot, req, desc);
		if (nr_desc < 0) {
			err = nr_desc;
			*want = FLINT_WANT_MR;
			goto cancel;
		}
	}
	err = flint_slot_send(conn, slot,
			      flint_msg_build(conn, slot, req, desc, nr_desc), reserved);
	if (err == -EAGAIN) {
		conn->ops->unmap(conn, slot);
		goto cancel;
	}
	if (err)	/* Partly posted: only a drain tells; the request ends there. */
		flint_conn_fail(conn, err, "posting a request failed (%d)", err);
	return 0;

cancel:
	flint_slot_cancel(conn, slot);
	return err;
}

/* Takes each CPU's requests to the rails of a server in turn. */
static DEFINE_PER_CPU(unsigned int, flint_turn);

/*
 * One attempt on whichever connection of the peer is live. @flush: what to hand to
 * flint_flush() then, which sleeps.
 */
static int flint_peer_try(struct flint_peer *peer, struct flint_req *req, enum flint_want *want,
			  struct flint_conn **flush)
{
	struct flint_conn *conn;
	int err = -EAGAIN;

	*want = FLINT_WANT_CONN;
	*flush = NULL;
	if (READ_ONCE(peer->net->shutdown) || READ_ONCE(peer->closing) ||
	    READ_ONCE(peer->refused))
		return -EIO;
	if (time_after_eq(jiffies, req->deadline))
		return -ETIMEDOUT;
	rcu_read_lock();
	if (req->only_conn)
		conn = flint_peer_conn_find(peer, req->only_conn);
	else
		conn = flint_peer_conn(peer, peer->nr_rails > 1 ? this_cpu_inc_return(flint_turn) :
						0);
	if (!conn && req->only_conn)
		err = -ENOTCONN;
	else if (conn)
		err = flint_conn_submit(conn, req, false, want);
	if (!err && conn->ops->flush && kref_get_unless_zero(&conn->ref))
		*flush = conn;
	rcu_read_unlock();
	return err;
}

static void flint_flush(struct flint_conn *conn)
{
	if (!conn)
		return;
	conn->ops->flush(conn);
	flint_conn_put(conn);
}

/* Sleep until there is something to try again with. @aborts: of the peer, when it began. */
static int flint_submit_sleep(struct flint_peer *peer, struct flint_req *req,
			      enum flint_want want, u32 aborts)
{
	for (;;) {
		wait_queue_head_t *wq = want == FLINT_WANT_MR ? &flint_mr_wq : &peer->wq;
		long left = (long)(req->deadline - jiffies);
		struct flint_conn *flush;
		DEFINE_WAIT(wait);
		int err;

		/*
		 * Exclusive: one credit wakes one. Who leaves without using it, or when there are
		 * more (a reply may grant some), wakes the next.
		 */
		prepare_to_wait_exclusive(wq, &wait, TASK_KILLABLE);
		flush = NULL;
		err = READ_ONCE(peer->aborts) == aborts ?
		      flint_peer_try(peer, req, &want, &flush) : -EIO;
		if (err != -EAGAIN || left <= 0 || fatal_signal_pending(current)) {
			finish_wait(wq, &wait);
			flint_flush(flush);
			if (err == -EAGAIN)
				err = left <= 0 ? -ETIMEDOUT : -EINTR;
			if (err || flint_peer_ready(peer))
				wake_up(wq);
			return err;
		}
		/* What is missing may have changed; the second of sleep bounds that. */
		schedule_timeout(min_t(long, left, HZ));
		finish_wait(wq, &wait);
	}
}

/* Slow path of submission. */
static int flint_submit_wait(struct flint_peer *peer, struct flint_req *req,
			     enum flint_want want)
{
	struct flint_waiter w = { .req = req, .since = jiffies };
	u32 aborts;
	int err;

	/* While it is listed the request is ours, so that it may be looked at. */
	spin_lock_bh(&peer->lock);
	aborts = peer->aborts;
	list_add_tail(&w.node, &peer->waiters);
	spin_unlock_bh(&peer->lock);
	flint_req_get(req);
	err = flint_submit_sleep(peer, req, want, aborts);
	spin_lock_bh(&peer->lock);
	list_del(&w.node);
	spin_unlock_bh(&peer->lock);
	flint_req_put(req);
	return err;
}

int flint_req_submit(struct flint_peer *peer, struct flint_req *req, unsigned int flags)
{
	struct flint_conn *flush;
	enum flint_want want;
	int err;

	if (WARN_ONCE((req->dir != FLINT_DIR_NONE && req->data_len && !req->hold) ||
		      req->state != FLINT_REQ_NEW,
		      "flintfs: a request of operation %#x is submitted twice, or nothing holds its memory\n",
		      req->op))
		return -EIO;
	req->peer = peer;
	req->begun = ktime_get_ns();
	req->pid = task_tgid_nr(current);
	err = flint_peer_try(peer, req, &want, &flush);
	flint_flush(flush);
	if (err != -EAGAIN || (flags & FLINT_SUBMIT_NOWAIT))
		return err;
	might_sleep();
	trace_flint_req_wait(req->op, want);
	return flint_submit_wait(peer, req, want);
}

/* ---- completion ------------------------------------------------------- */

/* Count how long it took, from submission on. Return: that, in us; by the tick if not submitted. */
static u32 flint_req_took(const struct flint_req *req, int err)
{
	u64 ns;

	if (!req->begun)
		return jiffies_to_usecs(jiffies - req->sent);
	ns = ktime_get_ns() - req->begun;
	flint_lat_add(&req->peer->lat, req->op, ns, err);
	flint_lat_add(&req->peer->net->lat, req->op, ns, err);
	return min_t(u64, div_u64(ns, NSEC_PER_USEC), U32_MAX);
}

/* The request's end. @hold: drop it (else it is the zombie's now). */
static void flint_req_end(struct flint_req *req, int err, bool hold)
{
	req->err = err;
	req->state = FLINT_REQ_DONE;
	trace_flint_req_end(req->tag, req->op, err, req->status, flint_req_took(req, err));
	if (hold && req->hold)
		flint_hold_put(req->hold);
	req->done(req);
	flint_req_put(req);
}

/* Leases stand behind the body; flint_call_prepare() made room for them behind its copy. */
static void flint_req_grants(struct flint_req *req, const struct flint_msg *m)
{
	u32 nr = m->lease & ~FLINT_LEASE_NO_RENEWAL;
	const u8 *p = flint_lease_trailer(m->body, &req->rep_len, nr);
	void *to = req->rep_copy + req->rep_copy_size;

	req->nr_grants = p ? nr : 0;
	if (p)
		memcpy(to, p, nr * sizeof(*req->grants));
	req->grants = to;
}

static void flint_req_reply(struct flint_req *req, const struct flint_msg *m)
{
	req->status = m->status;
	req->rep_epoch = m->map_epoch;
	req->rep_lease = m->lease;
	req->rep_body = m->body;
	req->rep_len = m->body_len;
	req->rep_data_len = m->data_len;
	if (m->data)
		flint_bvec_scatter(req, m->data, m->data_len);
	if (req->lease)
		flint_req_grants(req, m);
	if (req->rep_copy) {
		req->rep_len = min(req->rep_len, req->rep_copy_size);
		memcpy(req->rep_copy, m->body, req->rep_len);
		req->rep_body = req->rep_copy;
	}
	flint_req_end(req, 0, true);
}

/* Why this reply cannot be the answer to this request, or NULL. */
static const char *flint_reply_fault(const struct flint_conn *conn, const struct flint_req *req,
				     const struct flint_msg *m)
{
	u32 grants = m->lease & ~FLINT_LEASE_NO_RENEWAL, len = m->body_len;

	if (m->op != req->op)
		return "reply has another operation than its request";
	if (grants && (!req->lease || !flint_lease_trailer(m->body, &len, grants)))
		return "reply has leases that nobody asked for, or that it has no room for";
	if (!m->data_len)
		return NULL;
	if (req->dir != FLINT_DIR_IN || m->data_len > req->data_len)
		return "reply has more payload than there is room for";
	if (!conn->ops->stream && !m->data == flint_req_inline(conn, req))
		return m->data ? "payload in a reply whose request offered memory" :
				 "payload announced where no memory was offered";
	return NULL;
}

/**
 * flint_conn_pushed() - a message arrived that answers nothing
 * @conn: where it came in; failed when pushes were not negotiated
 * @m: checked message
 *
 * Context: the connection's completion context (one at a time).
 */
void flint_conn_pushed(struct flint_conn *conn, const struct flint_msg *m)
{
	struct flint_net *net = conn->peer->net;
	int err = -EPROTO;

	WRITE_ONCE(conn->last_rx, jiffies);
	rcu_read_lock();
	if (READ_ONCE(conn->pushes) && !(m->flags & FLINT_F_REPLY))
		err = READ_ONCE(net->shutdown) ? 0 : net->opts.push(net->opts.arg, conn->id, m);
	rcu_read_unlock();
	if (err)
		flint_conn_fail(conn, err, "a push of operation %#x was not wanted (%d)", m->op,
				err);
}

/**
 * flint_slot_reply() - find whom a reply is for
 * @conn: where it came in
 * @m: checked message
 *
 * Fails the connection when nobody waits for it or it does not fit.
 *
 * Context: the connection's completion context (one at a time).
 * Return: the slot, now REPLIED, or NULL.
 */
struct flint_slot *flint_slot_reply(struct flint_conn *conn, const struct flint_msg *m)
{
	const char *fault = "reply to a tag that nobody waits for";
	u32 idx = m->tag & 0xffff;
	struct flint_slot *slot = NULL;

	WRITE_ONCE(conn->last_rx, jiffies);
	if (!(m->flags & FLINT_F_REPLY)) {
		fault = "server sent a request";
	} else if (idx <= conn->depth) {
		slot = conn->slots[idx];
		spin_lock_bh(&conn->lock);
		if (slot->state == FLINT_SLOT_SENT && slot->tag == m->tag) {
			fault = flint_reply_fault(conn, slot->req, m);
			if (!fault) {
				slot->state = FLINT_SLOT_REPLIED;
				slot->tag = 0;
				slot->atomic = slot->req->atomic &&
					       m->data_len <= FLINT_ATOMIC_DATA;
				/* Here, where replies are in order. */
				conn->credits = min_t(u32, m->credits, conn->depth);
			}
		}
		spin_unlock_bh(&conn->lock);
	}
	if (!fault)
		return slot;
	flint_conn_fail(conn, -EPROTO, "%s (tag %#x)", fault, m->tag);
	return NULL;
}

/**
 * flint_slot_finish() - end the request of a slot with its reply
 * @conn: the connection
 * @slot: REPLIED (or taken by a zombie meanwhile); its regions are dead and
 *	back in the pool
 * @m: the reply; its buffer is posted again only after this returns
 *
 * Context: process, or softirq when the slot is atomic.
 */
void flint_slot_finish(struct flint_conn *conn, struct flint_slot *slot,
		       const struct flint_msg *m)
{
	struct flint_req *req = NULL;
	struct flint_hold *hold = NULL;

	trace_flint_req_reply(conn->id, m->tag, m->op, m->status, m->data_len, m->credits);
	spin_lock_bh(&conn->lock);
	if (slot->state == FLINT_SLOT_REPLIED)
		req = slot->req;
	else
		hold = slot->hold;
	flint_slot_free(conn, slot);
	spin_unlock_bh(&conn->lock);

	flint_peer_wake(conn->peer);
	if (req)
		flint_req_reply(req, m);
	else if (hold)
		flint_hold_put(hold);
}

static int flint_abort_err(const struct flint_conn *conn, const struct flint_req *req, bool zombie)
{
	if (zombie || conn->err == -ECANCELED || READ_ONCE(conn->peer->net->shutdown))
		return -EIO;
	return time_after_eq(jiffies, req->deadline) ? -ETIMEDOUT : -ENOTCONN;
}

/**
 * flint_conn_abort_requests() - end all requests of a dead connection
 * @conn: failed; nobody submits to it any more
 * @zombie: not drained: the memory stays the device's, holds are kept
 *
 * Context: the teardown work.
 */
void flint_conn_abort_requests(struct flint_conn *conn, bool zombie)
{
	u32 i;

	for (i = 0; i <= conn->depth && conn->slots; i++) {
		struct flint_slot *slot = conn->slots[i];
		struct flint_req *req = NULL;

		spin_lock_bh(&conn->lock);
		WARN_ONCE(slot->state == FLINT_SLOT_PREP,
			  "flintfs: I6 is broken: connection %u is torn down under a submitter\n",
			  conn->id);
		if (slot->state == FLINT_SLOT_SENT || slot->state == FLINT_SLOT_REPLIED) {
			req = slot->req;
			slot->req = NULL;
			slot->tag = 0;
			slot->hold = req->hold;
			slot->state = FLINT_SLOT_ZOMBIE;
		}
		spin_unlock_bh(&conn->lock);
		if (!req)
			continue;
		if (!zombie) {
			conn->ops->scrap(conn, slot);
			spin_lock_bh(&conn->lock);
			flint_slot_free(conn, slot);
			spin_unlock_bh(&conn->lock);
		}
		flint_req_end(req, flint_abort_err(conn, req, zombie), !zombie);
	}
}

/**
 * flint_conn_release_zombies() - a zombie was drained after all
 * @conn: drained
 */
void flint_conn_release_zombies(struct flint_conn *conn)
{
	u32 i;

	for (i = 0; i <= conn->depth && conn->slots; i++) {
		struct flint_slot *slot = conn->slots[i];
		struct flint_hold *hold;

		if (slot->state != FLINT_SLOT_ZOMBIE)
			continue;
		conn->ops->scrap(conn, slot);
		spin_lock_bh(&conn->lock);
		hold = slot->hold;
		flint_slot_free(conn, slot);
		spin_unlock_bh(&conn->lock);
		if (hold)
			flint_hold_put(hold);
	}
}

/**
 * flint_conn_check_deadlines() - has a request waited too long?
 * @conn: any state
 *
 * Fails the connection if so: only a drained queue pair proves that no late
 * data can land in memory that was given back.
 *
 * Return: true if the connection was failed.
 */
bool flint_conn_check_deadlines(struct flint_conn *conn)
{
	unsigned long age = 0;
	bool late = false;
	u16 op = 0;
	u32 i;

	spin_lock_bh(&conn->lock);
	for (i = 0; i <= conn->depth && !late; i++) {
		const struct flint_slot *slot = conn->slots[i];

		if (slot->state != FLINT_SLOT_SENT && slot->state != FLINT_SLOT_REPLIED)
			continue;
		if (time_before(jiffies, slot->req->deadline))
			continue;
		late = true;
		op = slot->req->op;
		age = jiffies - slot->req->sent;
	}
	spin_unlock_bh(&conn->lock);
	if (late)
		flint_conn_fail(conn, -ETIMEDOUT,
				"no answer to operation %#x within its deadline (%u ms)",
				op, jiffies_to_msecs(age));
	return late;
}

/* ---- calls ------------------------------------------------------------ */

static void flint_call_done(struct flint_req *req)
{
	complete(&flint_req_obj(req)->reply);
}

static int flint_call_prepare(struct flint_req *req, u32 rep_size)
{
	struct flint_req_obj *o = flint_req_obj(req);

	req->done = flint_call_done;
	req->atomic = true;
	req->waiter = &o->reply;
	/* Room for the body of a refusal, too. */
	rep_size = ALIGN(max_t(u32, rep_size, sizeof(struct flint_leader_hint)), 8);
	req->rep_copy_size = rep_size;
	if (req->lease)
		rep_size += FLINT_LEASE_GRANTS_MAX * sizeof(*req->grants);
	if (rep_size <= sizeof(o->rep))
		req->rep_copy = o->rep;
	else
		req->rep_copy = kmalloc(rep_size, GFP_NOFS);
	return req->rep_copy ? 0 : -ENOMEM;
}

static int flint_call_result(struct flint_req *req, void *rep, u32 rep_size, u32 rep_min)
{
	u32 n = min(req->rep_len, rep_size);

	if (req->err)
		return req->err;
	if (!req->status && req->rep_len < rep_min)
		return -EPROTO;
	memcpy(rep, req->rep_body, n);
	memset((u8 *)rep + n, 0, rep_size - n);
	return 0;
}

int flint_call(struct flint_peer *peer, struct flint_req *req,
	       void *rep, u32 rep_size, u32 rep_min)
{
	long left;
	int err;

	err = flint_call_prepare(req, rep_size);
	if (err)
		return err;
	err = flint_req_submit(peer, req, 0);
	if (err)
		return err;
	left = (long)(req->deadline - jiffies);
	left = wait_for_completion_killable_timeout(req->waiter, max(left, 1L));
	if (left < 0)
		return -EINTR;
	if (!left)
		return -ETIMEDOUT;
	return flint_call_result(req, rep, rep_size, rep_min);
}

static void flint_conn_call_done(struct flint_req *req)
{
	struct flint_conn *conn = req->conn;

	complete(&flint_req_obj(req)->reply);
	wake_up_all(&conn->wq);
}

/**
 * flint_conn_call() - HELLO and AUTH: a call on a connection that is not live
 * @conn: state HELLO; the caller is the connect work
 * @req: filled in but for ->done
 * @rep: reply body, cut or zero-filled to @rep_size
 * @rep_size: bytes
 * @rep_min: as flint_call()
 *
 * Return: 0 with req->status set, -ETIMEDOUT, -EPROTO, or the error of the
 * connection, which may have failed meanwhile.
 */
int flint_conn_call(struct flint_conn *conn, struct flint_req *req, void *rep, u32 rep_size,
		    u32 rep_min)
{
	struct completion *reply = &flint_req_obj(req)->reply;
	enum flint_want want;
	long left;
	int err;

	err = flint_call_prepare(req, rep_size);
	if (err)
		return err;
	req->conn = conn;
	req->done = flint_conn_call_done;
	err = flint_conn_submit(conn, req, true, &want);
	if (err)
		return err == -EAGAIN ? -ENOTCONN : err;
	if (conn->ops->flush)
		conn->ops->flush(conn);
	left = max((long)(req->deadline - jiffies), 1L);
	left = wait_event_timeout(conn->wq, completion_done(reply) ||
				  READ_ONCE(conn->state) >= FLINT_CONN_DRAINING, left);
	if (completion_done(reply))
		return flint_call_result(req, rep, rep_size, rep_min);
	return left ? -ENOTCONN : -ETIMEDOUT;
}
