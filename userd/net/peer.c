// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client: one server, reached over one connection that is made again
 * whenever it is lost.
 *
 *	WAIT -- back-off over --> CONNECT -- up --> HELLO --> AUTH --> LIVE
 *	  ^                          |                |        |        |
 *	  +--------------------------+----------------+--------+--------+
 *
 * Requests wait in a queue until there is a connection and a credit; then each
 * has a slot, whose index and generation are its tag, until its answer comes.
 *
 * Invariants
 *  - A request is in the queue, in a slot, or finished; done() runs once, on
 *    the peer's loop, and never from inside flint_peer_call().
 *  - The deadline of a request in a slot ends the connection, so that nothing
 *    of the server's can still arrive in memory that was given back. In the
 *    queue it ends only the request.
 *  - A request is failed only after the link's teardown: then neither the
 *    socket nor the device uses its memory.
 *  - At most `credits` slots are taken. PING and the handshake have tags of
 *    their own beyond them.
 *  - Everything belongs to the loop but refs.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "../base/log.h"
#include "pool_int.h"
#include "xprt.h"

#define PING_MS		2000
#define PING_MISSES	3
#define BACKOFF_MIN_MS	100
#define BACKOFF_MAX_MS	5000
#define CONNECT_MS	5000
#define RPC_MS		10000
#define CREDITS		64

/* Indices of tags that no slot has. */
#define TAG_PING	0xfffe
#define TAG_SHAKE	0xffff

enum peer_state {
	PEER_WAIT,		/* timer runs, or the first attempt is posted */
	PEER_CONNECT,
	PEER_HELLO,
	PEER_AUTH,
	PEER_LIVE,
	PEER_FREED,
};

/**
 * struct slot - one request in flight
 * @unsent: its message, until the transport has taken all of it
 * @bounce: verbs: pool memory that stands in for the request's own
 */
struct slot {
	struct flint_rpc *rpc;
	struct flint_tx *unsent;
	struct flint_buf *bounce;
	uint16_t gen;
	uint16_t next_free;
	bool described;		/* the reply's payload may come by RDMA WRITE */
	bool receiving;
};

struct flint_peer {
	struct flint_peer_config cfg;
	uint8_t key[FLINT_KEY_LEN];
	struct flint_token *token;
	char name[FLINT_LABEL_LEN];
	atomic_int refs;
	enum peer_state state;
	struct flint_xprt *link;
	struct flint_task start;
	struct flint_timer timer;	/* connecting; back-off; silence */
	struct flint_timer deadline;
	uint64_t deadline_ns;
	uint32_t backoff_ms;
	int refused;			/* why no request may wait, or 0 */
	uint8_t client_nonce[FLINT_NONCE_LEN];
	uint8_t server_nonce[FLINT_NONCE_LEN];
	uint16_t shake_gen;
	uint16_t ping_gen;
	bool ping_out;
	bool pushes;			/* negotiated on this connection */
	uint64_t push_seq;		/* of the last one on this connection */
	uint32_t misses;

	struct slot *slots;
	uint32_t nr_slots;
	uint16_t free;			/* first free slot, nr_slots: none */
	uint32_t in_flight;
	uint32_t credits;

	struct flint_rpc *queue;
	struct flint_rpc **queue_tail;

	struct flint_buf *spare;	/* a bounce buffer that was waited for */
	bool waiting;
	struct flint_buf_waiter waiter;
};

static void peer_pump(struct flint_peer *peer);
static void peer_fail_queue(struct flint_peer *peer, int err);
static const struct flint_xprt_user peer_user;

static void peer_put(struct flint_peer *peer)
{
	if (atomic_fetch_sub(&peer->refs, 1) != 1)
		return;
	explicit_bzero(peer->key, sizeof(peer->key));
	free(peer->token);
	free(peer->slots);
	free(peer);
}

static void peer_get(struct flint_peer *peer)
{
	atomic_fetch_add(&peer->refs, 1);
}

static void rpc_finish(struct flint_rpc *rpc, int err)
{
	rpc->err = err;
	rpc->done(rpc);
}

/* ---- deadlines -------------------------------------------------------- */

/* The timer runs no later than the earliest deadline; it may run too early. */
static void deadline_arm(struct flint_peer *peer, uint64_t due_ns)
{
	uint64_t now;

	if (peer->deadline.due_ns && peer->deadline_ns <= due_ns)
		return;
	now = flint_now_ns();
	peer->deadline_ns = due_ns;
	flint_timer_set(peer->cfg.loop, &peer->deadline,
			due_ns > now ? (due_ns - now) / 1000000 + 1 : 0);
}

/* Requests that still wait for a connection or a credit. */
static uint64_t queue_expire(struct flint_peer *peer, uint64_t now)
{
	struct flint_rpc *rpc, **p = &peer->queue, *late = NULL, **late_tail = &late;
	uint64_t next = UINT64_MAX;

	while ((rpc = *p)) {
		if (rpc->deadline_ns > now) {
			if (rpc->deadline_ns < next)
				next = rpc->deadline_ns;
			p = &rpc->next;
			continue;
		}
		*p = rpc->next;
		rpc->next = NULL;
		*late_tail = rpc;
		late_tail = &rpc->next;
	}
	peer->queue_tail = p;
	while ((rpc = late)) {
		late = rpc->next;
		rpc_finish(rpc, -ETIMEDOUT);
	}
	return next;
}

static void deadline_run(struct flint_timer *t)
{
	struct flint_peer *peer = t->arg;
	uint64_t now = flint_now_ns(), next;
	uint32_t i;

	peer_get(peer);
	next = queue_expire(peer, now);
	for (i = 0; i < peer->nr_slots && peer->state != PEER_FREED; i++) {
		struct flint_rpc *rpc = peer->slots[i].rpc;

		if (!rpc)
			continue;
		if (rpc->deadline_ns <= now) {
			rpc->err = -ETIMEDOUT;
			flint_xprt_fail(peer->link, -ETIMEDOUT,
					"no answer to operation 0x%x in time", rpc->op);
		} else if (rpc->deadline_ns < next) {
			next = rpc->deadline_ns;
		}
	}
	if (next != UINT64_MAX && peer->state != PEER_FREED)
		deadline_arm(peer, next);
	peer_put(peer);
}

/* ---- sending ---------------------------------------------------------- */

static void tx_header(struct flint_tx *tx, uint16_t op, uint32_t tag, uint32_t timeout_ms,
		      const void *body, uint32_t body_len)
{
	struct flint_hdr *h = (struct flint_hdr *)tx->buf;

	*h = (struct flint_hdr){
		.magic = cpu_to_le32(FLINT_MAGIC),
		.version = FLINT_PROTO_MAJOR,
		.op = cpu_to_le16(op),
		.tag = cpu_to_le32(tag),
		.timeout_ms = cpu_to_le32(timeout_ms),
		.body_len = cpu_to_le32(body_len),
	};
	if (body_len)
		memcpy(tx->buf + sizeof(*h), body, body_len);
	tx->len = (uint32_t)sizeof(*h) + body_len;
}

static void plain_done(struct flint_tx *tx)
{
	tx->link->ops->tx_put(tx);
}

static void rpc_tx_done(struct flint_tx *tx)
{
	struct slot *s = tx->owner;

	/* NULL when the answer was here first (verbs). */
	if (s)
		s->unsent = NULL;
	tx->link->ops->tx_put(tx);
}

/* HELLO, AUTH, PING. */
static void peer_send_own(struct flint_peer *peer, uint16_t op, uint32_t tag,
			  const void *body, uint32_t body_len)
{
	struct flint_tx *tx = peer->link->ops->tx_get(peer->link);

	if (!tx) {
		flint_xprt_fail(peer->link, -ENOMEM, "out of memory");
		return;
	}
	tx_header(tx, op, tag, CONNECT_MS, body, body_len);
	tx->done = plain_done;
	peer->link->ops->send(peer->link, tx);
}

static void got_buffer(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct flint_peer *peer = (struct flint_peer *)
		((char *)w - offsetof(struct flint_peer, waiter));

	peer->waiting = false;
	if (peer->state == PEER_FREED) {
		flint_buf_put(buf);
	} else {
		peer->spare = buf;
		peer_pump(peer);
	}
	peer_put(peer);
}

/* A bounce buffer, or NULL: peer_pump() will be called when there is one. */
static struct flint_buf *bounce_get(struct flint_peer *peer)
{
	struct flint_buf *buf = peer->spare;

	if (buf) {
		peer->spare = NULL;
		return buf;
	}
	buf = flint_buf_get(peer->cfg.pool);
	if (buf || peer->waiting)
		return buf;
	peer->waiting = true;
	peer->waiter.fn = got_buffer;
	peer->waiter.loop = peer->cfg.loop;
	peer_get(peer);
	flint_buf_wait(peer->cfg.pool, &peer->waiter);
	/* It may have come at once. */
	buf = peer->spare;
	peer->spare = NULL;
	return buf;
}

/* Verbs: memory that the server may read from (@out) or write to. */
static int rpc_describe(struct flint_peer *peer, struct slot *s, struct flint_tx *tx,
			const void *out, void *in, uint32_t len)
{
	struct flint_hdr *h = (struct flint_hdr *)tx->buf;
	const void *p = out ? out : in;
	struct flint_desc d;
	int err;

	if (!peer->cfg.pool || len > flint_pool_buf_size(peer->cfg.pool))
		return -EMSGSIZE;
	if (!flint_pool_owns(peer->cfg.pool, p, len)) {
		s->bounce = bounce_get(peer);
		if (!s->bounce)
			return -EAGAIN;
		if (out)
			memcpy(s->bounce->data, out, len);
		p = s->bounce->data;
	}
	err = peer->link->ops->describe(peer->link, peer->cfg.pool, p, len, &d);
	if (err)
		return err;
	h->nr_desc = 1;
	/* The descriptor stands between header and body. */
	memmove(tx->buf + sizeof(*h) + sizeof(d), tx->buf + sizeof(*h), tx->len - sizeof(*h));
	memcpy(tx->buf + sizeof(*h), &d, sizeof(d));
	tx->len += (uint32_t)sizeof(d);
	return 0;
}

/* Decide how the payloads travel. Return: 0, -EAGAIN or -EMSGSIZE. */
static int rpc_payload(struct flint_peer *peer, struct slot *s, struct flint_tx *tx,
		       struct flint_rpc *rpc)
{
	struct flint_hdr *h = (struct flint_hdr *)tx->buf;
	uint32_t room = flint_msg_max(peer->link->inline_size);
	uint32_t small = peer->link->inline_size;
	int err;

	if (rpc->out_len > peer->link->max_io || rpc->in_len > peer->link->max_io)
		return -EMSGSIZE;
	h->data_len = cpu_to_le32(rpc->out_len);
	if (peer->cfg.proto == FLINT_PROTO_TCP) {
		if (rpc->out_len) {
			h->flags |= FLINT_F_INLINE;
			tx->data = rpc->out;
			tx->data_len = rpc->out_len;
		}
		return 0;
	}
	if (rpc->out_len && (rpc->out_len > small || tx->len + rpc->out_len > room)) {
		if (rpc->in_len > small)
			return -EMSGSIZE;
		return rpc_describe(peer, s, tx, rpc->out, NULL, rpc->out_len);
	}
	if (rpc->in_len > small) {
		err = rpc_describe(peer, s, tx, NULL, rpc->in, rpc->in_len);
		if (err)
			return err;
		s->described = true;
	}
	if (rpc->out_len) {
		if (tx->len + rpc->out_len > room)
			return -EMSGSIZE;
		h->flags |= FLINT_F_INLINE;
		memcpy(tx->buf + tx->len, rpc->out, rpc->out_len);
		tx->len += rpc->out_len;
	}
	return 0;
}

static void slot_free(struct flint_peer *peer, struct slot *s)
{
	s->rpc = NULL;
	s->gen++;
	s->described = false;
	s->receiving = false;
	if (s->unsent) {
		s->unsent->owner = NULL;
		s->unsent = NULL;
	}
	if (s->bounce) {
		flint_buf_put(s->bounce);
		s->bounce = NULL;
	}
	s->next_free = peer->free;
	peer->free = (uint16_t)(s - peer->slots);
	peer->in_flight--;
}

/* Put one request into a slot and on its way. Return: as rpc_payload(). */
static int rpc_start(struct flint_peer *peer, struct flint_rpc *rpc)
{
	struct slot *s = &peer->slots[peer->free];
	uint64_t now = flint_loop_now(peer->cfg.loop);
	struct flint_hdr *h;
	struct flint_tx *tx;
	uint64_t ms;
	int err;

	if (sizeof(*h) + rpc->body_len > flint_msg_max(peer->link->inline_size))
		return -EMSGSIZE;
	tx = peer->link->ops->tx_get(peer->link);
	if (!tx)
		return -ENOMEM;
	rpc->tag = (uint32_t)peer->free | (uint32_t)s->gen << 16;
	peer->free = s->next_free;
	peer->in_flight++;
	s->rpc = rpc;

	ms = rpc->deadline_ns > now ? (rpc->deadline_ns - now) / 1000000 : 0;
	tx_header(tx, rpc->op, rpc->tag, ms ? (uint32_t)ms : 1, rpc->body, rpc->body_len);
	h = (struct flint_hdr *)tx->buf;
	h->trace = cpu_to_le64(rpc->trace);
	h->seq = cpu_to_le64(rpc->seq);
	h->seq_low = cpu_to_le64(rpc->seq_low);
	h->lease = peer->pushes ? rpc->lease : 0;
	rpc->sent_ns = now;
	if (rpc->retry)
		h->flags |= FLINT_F_RETRY;
	if (rpc->cred)
		h->flags |= FLINT_F_CRED;
	err = rpc_payload(peer, s, tx, rpc);
	if (err) {
		peer->link->ops->tx_put(tx);
		slot_free(peer, s);
		return err;
	}
	s->unsent = tx;
	tx->owner = s;
	tx->done = rpc_tx_done;
	peer->link->ops->send(peer->link, tx);
	return 0;
}

/* A connection, a credit and a slot for one more request. */
static bool peer_ready(const struct flint_peer *peer)
{
	return peer->state == PEER_LIVE && !peer->link->dead &&
	       peer->in_flight < peer->credits && peer->free < peer->nr_slots;
}

static void peer_pump(struct flint_peer *peer)
{
	struct flint_rpc *rpc;
	int err;

	while ((rpc = peer->queue) && peer_ready(peer)) {
		err = rpc_start(peer, rpc);
		if (err == -EAGAIN)
			return;
		peer->queue = rpc->next;
		if (!peer->queue)
			peer->queue_tail = &peer->queue;
		if (err)
			rpc_finish(rpc, err);
	}
}

static void call_run(struct flint_task *t)
{
	struct flint_rpc *rpc = (struct flint_rpc *)((char *)t - offsetof(struct flint_rpc, task));
	struct flint_peer *peer = rpc->peer;

	if (peer->state == PEER_FREED) {
		rpc_finish(rpc, -ENOTCONN);
	} else if (peer->refused) {
		rpc_finish(rpc, peer->refused);
	} else if (rpc->eager && peer->state == PEER_WAIT && peer->timer.due_ns) {
		rpc_finish(rpc, -ENOTCONN);
	} else {
		rpc->next = NULL;
		*peer->queue_tail = rpc;
		peer->queue_tail = &rpc->next;
		deadline_arm(peer, rpc->deadline_ns);
		peer_pump(peer);
	}
	peer_put(peer);
}

void flint_peer_call(struct flint_peer *peer, struct flint_rpc *rpc)
{
	uint32_t ms = rpc->timeout_ms ? rpc->timeout_ms : RPC_MS;

	rpc->peer = peer;
	rpc->err = 0;
	rpc->status = 0;
	rpc->rep_body = NULL;
	rpc->rep_len = 0;
	rpc->rep_data_len = 0;
	rpc->rep_lease = 0;
	rpc->deadline_ns = flint_loop_now(peer->cfg.loop) + ms * 1000000ull;
	/* From the loop itself the request leaves with the others of this turn. */
	if (flint_loop_inside(peer->cfg.loop) && peer_ready(peer) && !peer->queue &&
	    !rpc_start(peer, rpc)) {
		deadline_arm(peer, rpc->deadline_ns);
		return;
	}
	rpc->task.fn = call_run;
	peer_get(peer);
	flint_loop_post(peer->cfg.loop, &rpc->task);
}

/* ---- answers ---------------------------------------------------------- */

/* The answer of @s is complete, its payload in place. */
static void slot_done(struct flint_peer *peer, struct slot *s, const struct flint_msg *m)
{
	struct flint_rpc *rpc = s->rpc;

	rpc->status = m->status;
	rpc->rep_body = m->body;
	rpc->rep_len = m->body_len;
	rpc->rep_data_len = m->data_len;
	rpc->rep_lease = m->lease;
	rpc->rep_epoch = m->map_epoch;
	slot_free(peer, s);
	rpc_finish(rpc, 0);
}

static void payload_arrived(struct flint_rx *rx, int err)
{
	struct flint_peer *peer = rx->owner;
	struct slot *s = &peer->slots[rx->msg.tag & 0xffff];

	peer_get(peer);
	if (!err && !rx->link->dead)
		slot_done(peer, s, &rx->msg);
	rx->link->ops->rx_put(rx);
	if (peer->state == PEER_LIVE)
		peer_pump(peer);
	peer_put(peer);
}

/* Returns false when the message is kept until its payload is here. */
static bool peer_reply(struct flint_peer *peer, struct flint_rx *rx)
{
	const struct flint_msg *m = &rx->msg;
	uint32_t i = m->tag & 0xffff;
	struct slot *s = i < peer->nr_slots ? &peer->slots[i] : NULL;
	const char *bad = NULL;

	if (!s || !s->rpc || s->gen != m->tag >> 16 || s->receiving)
		bad = "answer with a tag that nobody waits for";
	else if (s->rpc->op != m->op)
		bad = "answer to another operation";
	else if (s->unsent && !rx->link->reply_early)
		bad = "answer to a request that was not sent yet";
	else if (m->data_len > s->rpc->in_len)
		bad = "more payload than there is room for";
	else if (m->data_len && !m->data && !rx->pending && !s->described)
		bad = "payload announced that cannot have come";
	if (bad) {
		flint_xprt_fail(rx->link, -EPROTO, "%s", bad);
		return true;
	}
	peer->credits = m->credits < peer->nr_slots ? m->credits : peer->nr_slots;
	if (rx->pending) {
		s->receiving = true;
		rx->owner = peer;
		rx->pulled = payload_arrived;
		rx->link->ops->pull(rx->link, rx, s->rpc->in, NULL);
		return false;
	}
	if (m->data)
		memcpy(s->rpc->in, m->data, m->data_len);
	else if (m->data_len && s->bounce)
		memcpy(s->rpc->in, s->bounce->data, m->data_len);
	slot_done(peer, s, m);
	return true;
}

/* ---- handshake -------------------------------------------------------- */

static void peer_up(struct flint_xprt *link)
{
	struct flint_peer *peer = link->owner;
	uint8_t text[sizeof(struct flint_hello) + FLINT_TOKEN_MAX];
	uint32_t claims = peer->token ? flint_token_len(peer->token) : 0;
	struct flint_hello h = {
		.major = FLINT_PROTO_MAJOR,
		.minor = FLINT_PROTO_MINOR,
		.role = peer->cfg.role,
		.inline_size = cpu_to_le32(peer->cfg.inline_size),
		.max_io = cpu_to_le32(peer->cfg.max_io),
		.credits = cpu_to_le16((uint16_t)peer->nr_slots),
		.features = cpu_to_le64(FLINT_FEATURES),
		.session_epoch = cpu_to_le64(peer->cfg.session_epoch),
		.fixed_len = cpu_to_le16(sizeof(h)),
		.token_len = cpu_to_le16((uint16_t)claims),
	};

	if (peer->cfg.proto == FLINT_PROTO_RDMA)
		h.features |= cpu_to_le64(FLINT_FEAT_KEEP_KEYS);
	if (peer->cfg.push)
		h.features |= cpu_to_le64(FLINT_FEAT_LEASE);
	if (flint_auth_nonce(peer->client_nonce)) {
		flint_xprt_fail(link, -EIO, "no random numbers");
		return;
	}
	memcpy(h.nonce, peer->client_nonce, sizeof(h.nonce));
	memcpy(h.client_id, peer->cfg.client_id, sizeof(h.client_id));
	memcpy(h.name, peer->name, sizeof(h.name));
	memcpy(text, &h, sizeof(h));
	if (claims)
		memcpy(text + sizeof(h), peer->token, claims);
	peer->state = PEER_HELLO;
	peer->shake_gen++;
	peer_send_own(peer, FLINT_OP_HELLO, TAG_SHAKE | (uint32_t)peer->shake_gen << 16,
		      text, (uint32_t)sizeof(h) + claims);
}

static void peer_live(struct flint_peer *peer)
{
	peer->state = PEER_LIVE;
	peer->backoff_ms = BACKOFF_MIN_MS;
	peer->refused = 0;
	peer->ping_out = false;
	peer->misses = 0;
	flint_timer_set(peer->cfg.loop, &peer->timer, PING_MS);
	flint_debug("connected to %s", peer->link->address);
	if (peer->cfg.state)
		peer->cfg.state(peer->cfg.arg, peer, 0, "connected");
	peer_pump(peer);
}

/* The server said no, in a well-formed answer. */
static void shake_refused(struct flint_peer *peer, const struct flint_msg *m)
{
	static const char * const why[] = {
		[FLINT_AUTH_WRONG_KEY] = "the server refused our cluster key",
		[FLINT_AUTH_EXPIRED] = "the token has expired: ask for a new one",
		[FLINT_AUTH_ADDRESS] = "the token is for other addresses than ours",
		[FLINT_AUTH_REVOKED] = "the token was revoked: ask for a new one",
		[FLINT_AUTH_ROLE] = "a token is for clients only: use the cluster key",
		[FLINT_AUTH_NOT_KNOWN] =
			"the server is older than the token: upgrade it, or ask for a simpler token",
	};
	struct flint_auth_refusal r = { 0 };
	struct flint_version v;
	uint32_t status = m->status, n;

	flint_body_get(&r, sizeof(r), 0, m->body, m->body_len);
	n = le32_to_cpu(r.reason);
	switch (status) {
	case FLINT_ST_VERSION:
		flint_body_get(&v, sizeof(v), 0, m->body, m->body_len);
		flint_xprt_fail(peer->link, -EPROTONOSUPPORT,
				"the server speaks protocol version %u.%u and we %u.%u: install the same FlintFS version on both",
				v.major, v.minor, FLINT_PROTO_MAJOR, FLINT_PROTO_MINOR);
		break;
	case FLINT_ST_SHUTDOWN:
		flint_xprt_fail(peer->link, -ESHUTDOWN, "the server has just started, or stops");
		break;
	case FLINT_ST_AUTH:
		if (n == FLINT_AUTH_WRONG_KEY && peer->token)
			flint_xprt_fail(peer->link, -EACCES,
					"the token is another cluster's, or was changed");
		else
			flint_xprt_fail(peer->link, -EACCES, "%s",
					n < sizeof(why) / sizeof(why[0]) ? why[n] : why[0]);
		break;
	default:
		flint_xprt_fail(peer->link, -EACCES, "the server refused us (status %u)", status);
		break;
	}
}

static void shake_hello(struct flint_peer *peer, const struct flint_msg *m)
{
	struct flint_xprt *link = peer->link;
	uint8_t mac[FLINT_MAC_LEN];
	struct flint_hello_rep r;

	if (flint_body_get(&r, sizeof(r), sizeof(r), m->body, m->body_len) ||
	    r.major != FLINT_PROTO_MAJOR || !r.credits ||
	    le32_to_cpu(r.inline_size) > link->inline_size ||
	    le32_to_cpu(r.max_io) > link->max_io || !r.max_io) {
		flint_xprt_fail(link, -EPROTO, "malformed answer to HELLO");
		return;
	}
	flint_xprt_limits(link, le32_to_cpu(r.inline_size), le32_to_cpu(r.max_io));
	peer->pushes = peer->cfg.push && (le64_to_cpu(r.features) & FLINT_FEAT_LEASE);
	peer->push_seq = 0;
	peer->credits = le16_to_cpu(r.credits);
	if (peer->credits > peer->nr_slots)
		peer->credits = peer->nr_slots;
	if (!r.auth && !peer->cfg.key) {
		peer_live(peer);
		return;
	}
	if (!r.auth || !peer->cfg.key) {
		flint_xprt_fail(link, -EACCES, r.auth ? "the server asks for a cluster key" :
				"the server does not prove that it knows the cluster key");
		return;
	}
	flint_auth_mac(mac, peer->key, true, peer->client_nonce, r.nonce,
		       peer->cfg.client_id, peer->cfg.role);
	if (!flint_auth_equal(mac, r.mac)) {
		flint_xprt_fail(link, -EACCES, peer->token ?
				"the token is another cluster's, or was changed" :
				"the server has another cluster key");
		return;
	}
	flint_auth_mac(mac, peer->key, false, peer->client_nonce, r.nonce,
		       peer->cfg.client_id, peer->cfg.role);
	peer->state = PEER_AUTH;
	peer->shake_gen++;
	peer_send_own(peer, FLINT_OP_AUTH, TAG_SHAKE | (uint32_t)peer->shake_gen << 16,
		      mac, sizeof(mac));
}

static void peer_shake(struct flint_peer *peer, const struct flint_msg *m)
{
	uint16_t op = peer->state == PEER_HELLO ? FLINT_OP_HELLO : FLINT_OP_AUTH;

	if (m->tag != (TAG_SHAKE | (uint32_t)peer->shake_gen << 16) || m->op != op ||
	    m->data_len) {
		flint_xprt_fail(peer->link, -EPROTO, "unexpected message in the handshake");
	} else if (m->status) {
		shake_refused(peer, m);
	} else if (op == FLINT_OP_HELLO) {
		shake_hello(peer, m);
	} else {
		peer_live(peer);
	}
}

static void peer_push(struct flint_peer *peer, const struct flint_msg *m)
{
	if (!peer->pushes || peer->state != PEER_LIVE) {
		flint_xprt_fail(peer->link, -EPROTO, "a push that was not negotiated");
	} else if (m->nr_desc || m->data_len || m->seq != peer->push_seq + 1) {
		flint_xprt_fail(peer->link, -EPROTO, "malformed push");
	} else {
		peer->push_seq = m->seq;
		peer->cfg.push(peer->cfg.arg, peer, m);
	}
}

static void peer_message(struct flint_xprt *link, struct flint_rx *rx)
{
	struct flint_peer *peer = link->owner;
	const struct flint_msg *m = &rx->msg;
	bool done = true;

	peer_get(peer);
	if (m->flags & FLINT_F_PUSH) {
		peer_push(peer, m);
	} else if (!(m->flags & FLINT_F_REPLY)) {
		flint_xprt_fail(link, -EPROTO, "a server sent a request");
	} else if (peer->state != PEER_LIVE) {
		peer_shake(peer, m);
	} else if ((m->tag & 0xffff) == TAG_PING) {
		if (!peer->ping_out || m->tag >> 16 != peer->ping_gen || m->data_len ||
		    m->op != FLINT_OP_PING)
			flint_xprt_fail(link, -EPROTO, "answer to a PING that was not sent");
		peer->ping_out = false;
	} else {
		done = peer_reply(peer, rx);
	}
	if (done)
		link->ops->rx_put(rx);
	if (peer->state == PEER_LIVE)
		peer_pump(peer);
	peer_put(peer);
}

/* ---- connecting and losing -------------------------------------------- */

static void peer_slots_fail(struct flint_peer *peer)
{
	uint32_t i;

	for (i = 0; i < peer->nr_slots; i++) {
		struct slot *s = &peer->slots[i];
		struct flint_rpc *rpc = s->rpc;

		if (!rpc)
			continue;
		slot_free(peer, s);
		rpc_finish(rpc, rpc->err ? rpc->err : -ENOTCONN);
	}
}

static void peer_fail_queue(struct flint_peer *peer, int err)
{
	struct flint_rpc *rpc, *next;

	rpc = peer->queue;
	peer->queue = NULL;
	peer->queue_tail = &peer->queue;
	for (; rpc; rpc = next) {
		next = rpc->next;
		rpc_finish(rpc, err);
	}
}

/* There is no connection: what can go elsewhere need not wait for one. */
static void peer_fail_eager(struct flint_peer *peer)
{
	struct flint_rpc *rpc, **p = &peer->queue, *gone = NULL, **tail = &gone;

	while ((rpc = *p)) {
		if (!rpc->eager) {
			p = &rpc->next;
			continue;
		}
		*p = rpc->next;
		rpc->next = NULL;
		*tail = rpc;
		tail = &rpc->next;
	}
	peer->queue_tail = p;
	while ((rpc = gone)) {
		gone = rpc->next;
		rpc_finish(rpc, -ENOTCONN);
	}
}

static void peer_backoff(struct flint_peer *peer)
{
	uint32_t ms = peer->backoff_ms, r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = 0;
	peer->state = PEER_WAIT;
	peer->backoff_ms = ms * 2 < peer->cfg.backoff_max_ms ? ms * 2 : peer->cfg.backoff_max_ms;
	flint_timer_set(peer->cfg.loop, &peer->timer, ms / 2 + r % (ms / 2 + 1));
}

static void peer_lost(struct flint_peer *peer, int err, const char *why)
{
	bool was_live = peer->state == PEER_LIVE;

	peer_get(peer);
	peer_backoff(peer);
	if (!was_live)
		peer->refused = err == -EACCES || err == -EPROTONOSUPPORT ? err : 0;
	peer_slots_fail(peer);
	if (peer->state != PEER_FREED && peer->cfg.state)
		peer->cfg.state(peer->cfg.arg, peer, err, why);
	if (peer->refused)
		peer_fail_queue(peer, peer->refused);
	else
		peer_fail_eager(peer);
	peer_put(peer);
}

static void peer_down(struct flint_xprt *link, int err, const char *why)
{
	struct flint_peer *peer = link->owner;

	if (err == -EPROTO || err == -EACCES || err == -EPROTONOSUPPORT)
		flint_warn_rl("connection to %s ended: %s", link->address, why);
	else
		flint_debug("connection to %s ended: %s", link->address, why);
	peer->link = NULL;
	peer_lost(peer, err, why);
}

static void peer_connect(struct flint_peer *peer)
{
	struct flint_xprt_params p = {
		.inline_size = peer->cfg.inline_size,
		.max_io = peer->cfg.max_io,
		.depth = peer->nr_slots,
		.pushes = peer->cfg.push ? FLINT_PUSH_WINDOW : 0,
		.pool = peer->cfg.pool,
	};
	char why[96];
	int err;

	peer->state = PEER_CONNECT;
	errno = 0;
	if (peer->cfg.proto == FLINT_PROTO_RDMA)
		peer->link = flint_verbs_connect(peer->cfg.loop, &p, &peer->cfg.addr,
						 &peer_user, peer);
	else
		peer->link = flint_tcp_connect(peer->cfg.loop, &p, &peer->cfg.addr,
					       &peer_user, peer);
	if (peer->link) {
		flint_timer_set(peer->cfg.loop, &peer->timer, peer->cfg.connect_timeo_ms);
		return;
	}
	err = errno ? errno : EIO;
	snprintf(why, sizeof(why), "cannot connect: %s", err == ENODEV ?
		 "no RDMA device" : strerror(err));
	peer_lost(peer, -err, why);
}

static void peer_tick(struct flint_peer *peer)
{
	struct flint_xprt *link = peer->link;
	uint64_t quiet = flint_now_ns() - link->rx_ns;

	flint_timer_set(peer->cfg.loop, &peer->timer, PING_MS);
	if (quiet < PING_MS * 1000000ull - 1000000) {
		peer->misses = 0;
		return;
	}
	if (peer->ping_out) {
		if (++peer->misses >= PING_MISSES)
			flint_xprt_fail(link, -ETIMEDOUT, "no sign of life for %u s",
					(unsigned int)(quiet / 1000000000));
		return;
	}
	peer->ping_out = true;
	peer->misses = 0;
	peer->ping_gen++;
	peer_send_own(peer, FLINT_OP_PING, TAG_PING | (uint32_t)peer->ping_gen << 16, NULL, 0);
}

static void peer_timer(struct flint_timer *t)
{
	struct flint_peer *peer = t->arg;

	switch (peer->state) {
	case PEER_WAIT:
		peer_connect(peer);
		break;
	case PEER_LIVE:
		peer_tick(peer);
		break;
	case PEER_FREED:
		break;
	default:
		flint_xprt_fail(peer->link, -ETIMEDOUT, "no connection within %u ms",
				peer->cfg.connect_timeo_ms);
		break;
	}
}

static const struct flint_xprt_user peer_user = {
	.up = peer_up,
	.message = peer_message,
	.down = peer_down,
};

/* ---- life ------------------------------------------------------------- */

static void peer_start(struct flint_task *t)
{
	struct flint_peer *peer = (struct flint_peer *)
		((char *)t - offsetof(struct flint_peer, start));

	if (peer->state == PEER_WAIT && !peer->timer.due_ns)
		peer_connect(peer);
	peer_put(peer);
}

static void peer_defaults(struct flint_peer *peer)
{
	struct flint_peer_config *cfg = &peer->cfg;

	if (!cfg->inline_size)
		cfg->inline_size = FLINT_INLINE_DEFAULT;
	if (!cfg->max_io)
		cfg->max_io = FLINT_MAX_IO;
	if (!cfg->credits)
		cfg->credits = CREDITS;
	if (!cfg->connect_timeo_ms)
		cfg->connect_timeo_ms = CONNECT_MS;
	if (!cfg->backoff_max_ms)
		cfg->backoff_max_ms = BACKOFF_MAX_MS;
	if (cfg->key) {
		memcpy(peer->key, cfg->key, sizeof(peer->key));
		cfg->key = peer->key;
	}
	if (peer->token)
		memcpy(peer->token, cfg->token, flint_token_len(cfg->token));
	cfg->token = peer->token;
	snprintf(peer->name, sizeof(peer->name), "%s", cfg->name ? cfg->name : "");
	cfg->name = peer->name;
}

struct flint_peer *flint_peer_new(const struct flint_peer_config *cfg)
{
	struct flint_peer *peer;
	uint32_t i;

	if (!cfg->loop || cfg->inline_size > FLINT_INLINE_MAX || cfg->credits > FLINT_MAX_CREDITS) {
		errno = EINVAL;
		return NULL;
	}
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->token = cfg->token ? malloc(flint_token_len(cfg->token)) : NULL;
	if (cfg->token && !peer->token) {
		free(peer);
		return NULL;
	}
	peer->cfg = *cfg;
	peer_defaults(peer);
	peer->nr_slots = peer->cfg.credits;
	peer->slots = calloc(peer->nr_slots, sizeof(*peer->slots));
	if (!peer->slots) {
		free(peer->token);
		free(peer);
		return NULL;
	}
	for (i = 0; i < peer->nr_slots; i++)
		peer->slots[i].next_free = (uint16_t)(i + 1);
	peer->queue_tail = &peer->queue;
	peer->backoff_ms = BACKOFF_MIN_MS;
	peer->timer.fn = peer_timer;
	peer->timer.arg = peer;
	peer->deadline.fn = deadline_run;
	peer->deadline.arg = peer;
	atomic_init(&peer->refs, 2);
	peer->start.fn = peer_start;
	flint_loop_post(peer->cfg.loop, &peer->start);
	return peer;
}

uint64_t flint_peer_pushes(const struct flint_peer *peer)
{
	return peer->push_seq;
}

void flint_peer_reset(struct flint_peer *peer, const char *why)
{
	if (peer->link)
		flint_xprt_fail(peer->link, -ENOTCONN, "%s", why);
}

void flint_peer_hurry(struct flint_peer *peer)
{
	if (peer->state != PEER_WAIT)
		return;
	peer->backoff_ms = BACKOFF_MIN_MS;
	flint_timer_set(peer->cfg.loop, &peer->timer, 0);
}

void flint_peer_set_epoch(struct flint_peer *peer, uint64_t session_epoch)
{
	peer->cfg.session_epoch = session_epoch;
}

void flint_peer_free(struct flint_peer *peer)
{
	struct flint_xprt *link;

	if (!peer)
		return;
	peer->state = PEER_FREED;
	flint_timer_cancel(peer->cfg.loop, &peer->timer);
	flint_timer_cancel(peer->cfg.loop, &peer->deadline);
	link = peer->link;
	peer->link = NULL;
	if (link)
		flint_xprt_close(link);
	if (peer->spare) {
		flint_buf_put(peer->spare);
		peer->spare = NULL;
	}
	peer_slots_fail(peer);
	peer_fail_queue(peer, -ENOTCONN);
	peer_put(peer);
}
