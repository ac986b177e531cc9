// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP transport: sockets, sending, receiving, closing.
 *
 * A connection is one kernel socket of the mounter's network namespace. The
 * stream carries what verbs carry in messages; a payload follows its message
 * (wire.h). Message and small payload are copied into the socket; larger
 * payloads are handed over by the page. What arrives is copied once, from the
 * socket buffers to where it belongs: a header and body into rx_buf, a payload
 * straight into the memory of the request that it answers.
 *
 * Sending. ->post() only queues, under conn->lock. Whoever finds tx_busy clear
 * sets it and is the one sender until the queue is empty or the socket is
 * full: a submitter, in ->flush(), or tx_work, when the socket has room again.
 * A submitter hands over to tx_work after FLINT_TCP_BATCH messages.
 *
 * Receiving happens in ->sk_data_ready(), as a rule in a software interrupt, with the
 * socket's lock held; there messages are copied to where they belong, and atomic
 * requests end. What may sleep waits for rx_work, in rx_state DONE, and the stream with it.
 *
 * Invariants
 *  - A slot is unsent from ->post() until its last byte is in the socket. A
 *    server may answer before that (it refuses a write that it has not read
 *    yet); the slot ends only after it, as the pages are being read. The rest
 *    of the stream waits meanwhile.
 *  - The socket's callbacks do not sleep and do not send. They find the connection under
 *    sk_callback_lock, and no more once ->drain() has taken them back.
 *  - ->drain() is the socket's end: no work runs, nobody sends, the socket is
 *    reset, so that nothing reads or writes requests' memory any more. All of
 *    it is bounded, as no call on the socket ever waits for the peer.
 *
 * Memory: allocations on the way of a request are GFP_NOIO; the socket neither
 * takes the task's page fragment, which reclaim may be using.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/sched/mm.h>
#include <linux/skbuff.h>
#include <net/sock.h>
#include <net/tcp.h>
#include "compat/sock.h"
#include "xprt.h"

#define FLINT_TCP_BATCH		16	/* messages that a submitter sends for others */
#define FLINT_TCP_RX_BATCH	64	/* messages that rx_work takes in one go */
#define FLINT_TCP_PAGES		65536	/* of one payload: no limit */
#define FLINT_TCP_KEEP_IDLE	5	/* seconds */
#define FLINT_TCP_KEEP_INTVL	2
#define FLINT_TCP_KEEP_CNT	3

/*
 * struct flint_tcp_slot - a slot and where its message is
 * @node: in tx, from ->post() until the last byte is in the socket
 * @len: of the message
 * @sent: bytes of message and payload in the socket; this and @at are the sender's
 * @at: where in the payload's memory the rest begins
 * @unsent: see above; under c.lock
 */
struct flint_tcp_slot {
	struct flint_slot s;
	struct list_head node;
	u32 len;
	u32 sent;
	bool unsent;
	struct bvec_iter at;
};

enum flint_tcp_rx {
	FLINT_TCP_RX_HDR,
	FLINT_TCP_RX_BODY,
	FLINT_TCP_RX_PAYLOAD,
	FLINT_TCP_RX_DONE,	/* a whole message; nothing more is read before it is dealt with */
};

struct flint_tcp_conn {
	struct flint_conn c;		/* first: freed through it */
	struct socket *sock;
	bool calls;			/* the socket's callbacks are ours */
	void (*old_state_change)(struct sock *sk);
	void (*old_data_ready)(struct sock *sk);
	void (*old_write_space)(struct sock *sk);

	struct work_struct tx_work;
	struct list_head tx;		/* these three under c.lock */
	bool tx_busy;
	bool tx_again;			/* somebody came while it was busy */

	struct work_struct rx_work;
	/* The rest under the socket's lock, but in state DONE, outside of it, rx_work's. */
	enum flint_tcp_rx rx_state;
	u32 rx_got, rx_need;		/* bytes of the message in rx_buf, and wanted */
	u32 rx_left;			/* of the payload */
	struct iov_iter rx_iter;
	struct flint_slot *rx_slot;	/* whom the payload is for */
	struct flint_msg rx_msg;
	u8 *rx_buf;

	void *slot_mem;
	void *msg_mem;
};

#define to_tc(conn) container_of(conn, struct flint_tcp_conn, c)
#define to_ts(slot) container_of(slot, struct flint_tcp_slot, s)

static struct workqueue_struct *flint_tcp_wq;	/* sending and receiving */

/* ---- sending ---------------------------------------------------------- */

/* Any memory will do; it only has to be there. */
static int flint_tcp_map(struct flint_conn *conn, struct flint_slot *slot, struct flint_req *req,
			 struct flint_desc *desc)
{
	struct flint_cursor cur;

	flint_cursor_init(&cur, req->bvec, req->nr_bvec, req->bv_skip, req->data_len);
	return cur.left == req->data_len ? 0 : -EMSGSIZE;
}

static void flint_tcp_unmap(struct flint_conn *conn, struct flint_slot *slot)
{
}

static int flint_tcp_post(struct flint_conn *conn, struct flint_slot *slot, u32 len)
{
	struct flint_tcp_slot *ts = to_ts(slot);

	lockdep_assert_held(&conn->lock);
	ts->len = len;
	ts->sent = 0;
	ts->at.bi_size = 0;
	ts->unsent = true;
	list_add_tail(&ts->node, &to_tc(conn)->tx);
	return 0;
}

/* Bytes of payload that follow the message. */
static u32 flint_tcp_follows(const struct flint_tcp_slot *ts)
{
	const struct flint_hdr *h = ts->s.msg;
	u32 ctrl = sizeof(*h) + le32_to_cpu(h->body_len);

	return ts->len == ctrl ? le32_to_cpu(h->data_len) : 0;
}

static int flint_tcp_send_msg(struct sock *sk, struct flint_tcp_slot *ts, int flags)
{
	struct kvec v = { .iov_base = ts->s.msg + ts->sent, .iov_len = ts->len - ts->sent };
	struct msghdr msg = { .msg_flags = flags };

	iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, &v, 1, v.iov_len);
	return tcp_sendmsg_locked(sk, &msg, v.iov_len);
}

/* The next piece of the payload that lies in one page. */
static int flint_tcp_send_piece(struct sock *sk, struct flint_tcp_slot *ts, int flags)
{
	const struct flint_req *req = ts->s.req;
	struct bio_vec bv;
	int n;

	if (!ts->at.bi_size) {
		ts->at = (struct bvec_iter){ .bi_size = req->bv_skip + req->data_len };
		bvec_iter_advance(req->bvec, &ts->at, req->bv_skip);
	}
	bv = bvec_iter_bvec(req->bvec, ts->at);
	if (bv.bv_len < ts->at.bi_size)
		flags |= MSG_MORE;
	n = flint_sock_send_page(sk, bv.bv_page, bv.bv_offset, bv.bv_len, flags);
	if (n > 0)
		bvec_iter_advance(req->bvec, &ts->at, n);
	return n;
}

/* As much of a message as the socket takes. @more: another one follows. */
static int flint_tcp_send(struct flint_tcp_conn *tc, struct flint_tcp_slot *ts, bool more)
{
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0), n = 0;
	u32 payload = flint_tcp_follows(ts), total = ts->len + payload;
	struct sock *sk = tc->sock->sk;

	lock_sock(sk);
	while (ts->sent < total) {
		if (ts->sent < ts->len)
			n = flint_tcp_send_msg(sk, ts, payload ? flags | MSG_MORE : flags);
		else
			n = flint_tcp_send_piece(sk, ts, flags);
		if (n <= 0)
			break;
		ts->sent += n;
	}
	release_sock(sk);
	if (ts->sent == total)
		return 0;
	return n ? n : -EAGAIN;
}

/* The first unsent message, its successor's presence in @more; under c.lock. */
static struct flint_tcp_slot *flint_tcp_next(struct flint_tcp_conn *tc, bool *more)
{
	if (tc->c.state >= FLINT_CONN_DRAINING || list_empty(&tc->tx))
		return NULL;
	*more = !list_is_singular(&tc->tx);
	return list_first_entry(&tc->tx, struct flint_tcp_slot, node);
}

/*
 * Send what is queued, unless somebody else does. At most @max messages; the rest is tx_work's.
 */
static void flint_tcp_send_all(struct flint_tcp_conn *tc, unsigned int max)
{
	unsigned int noio = memalloc_noio_save(), n = 0;
	struct flint_conn *conn = &tc->c;
	struct flint_tcp_slot *ts;
	bool more, rx = false;
	int err = 0;

	spin_lock_bh(&conn->lock);
	if (tc->tx_busy) {
		tc->tx_again = true;
		goto unlock;
	}
	tc->tx_busy = true;
	while ((ts = flint_tcp_next(tc, &more)) && n < max) {
		tc->tx_again = false;
		spin_unlock_bh(&conn->lock);
		err = flint_tcp_send(tc, ts, more);
		spin_lock_bh(&conn->lock);
		if (err == -EAGAIN && tc->tx_again)
			continue;	/* there was room again before we could let go */
		if (err)
			break;
		list_del_init(&ts->node);
		ts->unsent = false;
		rx |= ts->s.state == FLINT_SLOT_REPLIED;
		n++;
	}
	tc->tx_busy = false;
	if (ts && !err)
		queue_work(flint_tcp_wq, &tc->tx_work);
	if (rx)
		queue_work(flint_tcp_wq, &tc->rx_work);
	/* Under the lock: the teardown may free the connection when it sees tx_busy clear. */
	if (conn->state >= FLINT_CONN_DRAINING)
		wake_up_all(&conn->wq);
unlock:
	spin_unlock_bh(&conn->lock);
	if (err && err != -EAGAIN)
		flint_conn_fail(conn, -ENOTCONN, "sending failed (%d)", err);
	memalloc_noio_restore(noio);
}

static void flint_tcp_flush(struct flint_conn *conn)
{
	flint_tcp_send_all(to_tc(conn), FLINT_TCP_BATCH);
}

static void flint_tcp_tx_work(struct work_struct *work)
{
	flint_tcp_send_all(container_of(work, struct flint_tcp_conn, tx_work), UINT_MAX);
}

/* ---- receiving -------------------------------------------------------- */

static void flint_tcp_rx_reset(struct flint_tcp_conn *tc)
{
	tc->rx_got = 0;
	tc->rx_need = sizeof(struct flint_hdr);
	tc->rx_slot = NULL;
	/* What was in DONE is over before ->sk_data_ready() goes on. */
	smp_store_release(&tc->rx_state, FLINT_TCP_RX_HDR);
}

/* What nobody else looks for in the header of a stream, or NULL. */
static const char *flint_tcp_fault(const struct flint_conn *conn, const struct flint_msg *m)
{
	if (m->nr_desc)
		return "descriptors have no meaning on TCP";
	if (m->data_len && !(m->flags & FLINT_F_INLINE))
		return "payload announced that does not follow";
	if (m->data_len && (m->flags & FLINT_F_PUSH))
		return "a push has no payload";
	if (flint_msg_ctrl_len(m) > flint_msg_max(conn->lim.inline_size))
		return "the body is too long";
	return NULL;
}

static void flint_tcp_rx_header(struct flint_tcp_conn *tc)
{
	struct flint_conn *conn = &tc->c;
	struct flint_limits lim = conn->lim;
	const char *fault;
	int err;

	lim.inline_size = lim.max_io;	/* every payload follows its message */
	err = flint_hdr_parse((const struct flint_hdr *)tc->rx_buf, &lim, &tc->rx_msg);
	if (err) {
		flint_conn_fail(conn, err, "malformed message (%d)", err);
		return;
	}
	fault = flint_tcp_fault(conn, &tc->rx_msg);
	if (fault) {
		flint_conn_fail(conn, -EPROTO, "%s (operation %#x)", fault, tc->rx_msg.op);
		return;
	}
	tc->rx_msg.body = tc->rx_buf + sizeof(struct flint_hdr);
	tc->rx_need = flint_msg_ctrl_len(&tc->rx_msg);
	tc->rx_state = FLINT_TCP_RX_BODY;
}

/* Header and body are here: from now on the slot belongs to its reply. */
static void flint_tcp_rx_body(struct flint_tcp_conn *tc)
{
	const struct flint_msg *m = &tc->rx_msg;
	const struct flint_req *req;

	if (m->flags & FLINT_F_PUSH) {
		tc->rx_state = FLINT_TCP_RX_DONE;
		return;
	}
	tc->rx_slot = flint_slot_reply(&tc->c, m);
	if (!tc->rx_slot)
		return;		/* failed */
	tc->rx_state = m->data_len ? FLINT_TCP_RX_PAYLOAD : FLINT_TCP_RX_DONE;
	if (!m->data_len)
		return;
	req = tc->rx_slot->req;
	tc->rx_left = m->data_len;
	iov_iter_bvec(&tc->rx_iter, ITER_DEST, req->bvec, req->nr_bvec,
		      req->bv_skip + m->data_len);
	iov_iter_advance(&tc->rx_iter, req->bv_skip);
}

static u32 flint_tcp_rx_ctrl(struct flint_tcp_conn *tc, struct sk_buff *skb, u32 off, u32 len)
{
	u32 n = min(len, tc->rx_need - tc->rx_got);

	if (skb_copy_bits(skb, off, tc->rx_buf + tc->rx_got, n)) {
		flint_conn_fail(&tc->c, -EIO, "receiving failed");
		return 0;
	}
	tc->rx_got += n;
	if (tc->rx_got == tc->rx_need && tc->rx_state == FLINT_TCP_RX_HDR)
		flint_tcp_rx_header(tc);
	if (tc->rx_got == tc->rx_need && tc->rx_state == FLINT_TCP_RX_BODY)
		flint_tcp_rx_body(tc);
	return n;
}

static u32 flint_tcp_rx_payload(struct flint_tcp_conn *tc, struct sk_buff *skb, u32 off, u32 len)
{
	u32 n = min(len, tc->rx_left);

	if (skb_copy_datagram_iter(skb, off, &tc->rx_iter, n)) {
		flint_conn_fail(&tc->c, -EIO, "receiving into a request's memory failed");
		return 0;
	}
	tc->rx_left -= n;
	if (!tc->rx_left)
		tc->rx_state = FLINT_TCP_RX_DONE;
	/* A long payload is a sign of life; a header that drips in is none. */
	WRITE_ONCE(tc->c.last_rx, jiffies);
	return n;
}

/* sk_read_actor_t: takes bytes up to the end of a message. */
static int flint_tcp_rx_skb(read_descriptor_t *desc, struct sk_buff *skb, unsigned int off,
			    size_t len)
{
	struct flint_tcp_conn *tc = desc->arg.data;
	u32 used = 0, n;

	while (used < len && tc->rx_state != FLINT_TCP_RX_DONE &&
	       READ_ONCE(tc->c.state) < FLINT_CONN_DRAINING) {
		n = tc->rx_state == FLINT_TCP_RX_PAYLOAD ?
			flint_tcp_rx_payload(tc, skb, off + used, len - used) :
			flint_tcp_rx_ctrl(tc, skb, off + used, len - used);
		if (!n)
			break;
		used += n;
	}
	if (tc->rx_state == FLINT_TCP_RX_DONE)
		desc->count = 0;
	return used;
}

/* Read up to the end of a message, under the socket's lock. Return: bytes, or an error. */
static int flint_tcp_take(struct flint_tcp_conn *tc)
{
	read_descriptor_t desc = { .arg.data = tc, .count = 1 };

	return tcp_read_sock(tc->sock->sk, &desc, flint_tcp_rx_skb);
}

/* Is there a whole message, after some reading if need be? It is rx_work's then. */
static bool flint_tcp_read(struct flint_tcp_conn *tc)
{
	struct sock *sk = tc->sock->sk;
	bool over = false, whole;
	int n, err = 0;

	lock_sock(sk);
	whole = tc->rx_state == FLINT_TCP_RX_DONE;
	if (!whole) {
		n = flint_tcp_take(tc);
		whole = tc->rx_state == FLINT_TCP_RX_DONE;
		if (n <= 0 && !whole) {
			err = -sk->sk_err;
			over = sk->sk_shutdown & RCV_SHUTDOWN || sk->sk_state == TCP_CLOSE;
		}
	}
	release_sock(sk);
	if (err)
		flint_conn_fail(&tc->c, -ENOTCONN, "the connection broke (%d)", err);
	else if (over)
		flint_conn_fail(&tc->c, -ENOTCONN, "the server closed the connection%s",
				tc->rx_got ? " in the middle of a message" : "");
	return whole;
}

/* Is the request of this answer still being sent? Then the sender brings us back. */
static bool flint_tcp_rx_early(struct flint_tcp_conn *tc)
{
	bool early;

	if (!tc->rx_slot)
		return false;
	spin_lock_bh(&tc->c.lock);
	early = to_ts(tc->rx_slot)->unsent;
	spin_unlock_bh(&tc->c.lock);
	return early;
}

/* Before HELLO the socket is the connect work's, later the teardown's. */
static bool flint_tcp_rx_open(const struct flint_tcp_conn *tc)
{
	enum flint_conn_state state = READ_ONCE(tc->c.state);

	return state == FLINT_CONN_HELLO || state == FLINT_CONN_LIVE;
}

static void flint_tcp_rx_work(struct work_struct *work)
{
	struct flint_tcp_conn *tc = container_of(work, struct flint_tcp_conn, rx_work);
	unsigned int noio = memalloc_noio_save(), n = 0;

	while (flint_tcp_rx_open(tc) && flint_tcp_read(tc) && !flint_tcp_rx_early(tc)) {
		if (tc->rx_slot)
			flint_slot_finish(&tc->c, tc->rx_slot, &tc->rx_msg);
		else
			flint_conn_pushed(&tc->c, &tc->rx_msg);
		flint_tcp_rx_reset(tc);
		if (++n == FLINT_TCP_RX_BATCH) {
			queue_work(flint_tcp_wq, &tc->rx_work);
			break;
		}
	}
	memalloc_noio_restore(noio);
}

/*
 * Take what has arrived, and end what ends without sleeping. With the socket's lock held and
 * bottom halves off. Return: false: there is something left for rx_work.
 */
static bool flint_tcp_rx_now(struct flint_tcp_conn *tc)
{
	unsigned int n;

	for (n = 0; n < FLINT_TCP_RX_BATCH; n++) {
		/* Pairs with the reset by rx_work, which does not hold the socket's lock. */
		if (smp_load_acquire(&tc->rx_state) == FLINT_TCP_RX_DONE || !flint_tcp_rx_open(tc))
			return false;
		if (flint_tcp_take(tc) < 0)
			return false;
		if (tc->rx_state != FLINT_TCP_RX_DONE)
			return true;
		if (!tc->rx_slot || !tc->rx_slot->atomic || flint_tcp_rx_early(tc))
			return false;
		flint_slot_finish(&tc->c, tc->rx_slot, &tc->rx_msg);
		flint_tcp_rx_reset(tc);
	}
	return false;
}

/* ---- the socket's callbacks ------------------------------------------- */

static void flint_tcp_data_ready(struct sock *sk)
{
	struct flint_tcp_conn *tc;

	read_lock_bh(&sk->sk_callback_lock);
	tc = sk->sk_user_data;
	if (tc && !flint_tcp_rx_now(tc))
		queue_work(flint_tcp_wq, &tc->rx_work);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void flint_tcp_write_space(struct sock *sk)
{
	struct flint_tcp_conn *tc;

	read_lock_bh(&sk->sk_callback_lock);
	tc = sk->sk_user_data;
	if (tc && sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		queue_work(flint_tcp_wq, &tc->tx_work);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

/* Connected, or the end: the connect work looks, and so does rx_work. */
static void flint_tcp_state_change(struct sock *sk)
{
	struct flint_tcp_conn *tc;

	read_lock_bh(&sk->sk_callback_lock);
	tc = sk->sk_user_data;
	if (tc) {
		wake_up_all(&tc->c.wq);
		if (sk->sk_state != TCP_ESTABLISHED)
			queue_work(flint_tcp_wq, &tc->rx_work);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static void flint_tcp_calls_set(struct flint_tcp_conn *tc)
{
	struct sock *sk = tc->sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	tc->old_state_change = sk->sk_state_change;
	tc->old_data_ready = sk->sk_data_ready;
	tc->old_write_space = sk->sk_write_space;
	sk->sk_state_change = flint_tcp_state_change;
	sk->sk_data_ready = flint_tcp_data_ready;
	sk->sk_write_space = flint_tcp_write_space;
	sk->sk_user_data = tc;
	write_unlock_bh(&sk->sk_callback_lock);
	tc->calls = true;
}

static void flint_tcp_calls_restore(struct flint_tcp_conn *tc)
{
	struct sock *sk = tc->sock->sk;

	if (!tc->calls)
		return;
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_user_data = NULL;
	sk->sk_state_change = tc->old_state_change;
	sk->sk_data_ready = tc->old_data_ready;
	sk->sk_write_space = tc->old_write_space;
	write_unlock_bh(&sk->sk_callback_lock);
	tc->calls = false;
}

/* ---- connecting ------------------------------------------------------- */

#ifdef CONFIG_DEBUG_LOCK_ALLOC
/* Our sockets' locks are taken under file system locks, other sockets' locks never are. */
static struct lock_class_key flint_tcp_keys[4];

static void flint_tcp_reclassify(struct sock *sk)
{
	if (sk->sk_family == AF_INET6)
		sock_lock_init_class_and_name(sk, "slock-AF_INET6-FLINT", &flint_tcp_keys[0],
					      "sk_lock-AF_INET6-FLINT", &flint_tcp_keys[1]);
	else
		sock_lock_init_class_and_name(sk, "slock-AF_INET-FLINT", &flint_tcp_keys[2],
					      "sk_lock-AF_INET-FLINT", &flint_tcp_keys[3]);
}
#else
static void flint_tcp_reclassify(struct sock *sk)
{
}
#endif

static int flint_tcp_init_slots(struct flint_tcp_conn *tc, u32 depth)
{
	u32 i, size = ALIGN(flint_msg_max(tc->c.lim.inline_size), 64);
	int err;

	err = flint_slots_alloc(&tc->c, depth, sizeof(struct flint_tcp_slot), &tc->slot_mem);
	if (err)
		return err;
	/* One more to receive into. */
	tc->msg_mem = kvcalloc(depth + 2, size, GFP_KERNEL);
	if (!tc->msg_mem)
		return -ENOMEM;
	for (i = 0; i <= depth; i++) {
		tc->c.slots[i]->msg = tc->msg_mem + i * size;
		INIT_LIST_HEAD(&to_ts(tc->c.slots[i])->node);
	}
	tc->rx_buf = tc->msg_mem + (depth + 1) * size;
	tc->c.max_pages = FLINT_TCP_PAGES;
	tc->c.max_seg = FLINT_TCP_PAGES;
	return 0;
}

static int flint_tcp_open(struct flint_tcp_conn *tc, const struct sockaddr *addr)
{
	const struct flint_net_opts *o = &tc->c.peer->net->opts;
	struct sock *sk;
	int err;

	err = sock_create_kern(o->net, addr->sa_family, SOCK_STREAM, IPPROTO_TCP, &tc->sock);
	if (err) {
		tc->sock = NULL;
		return err;
	}
	sk = tc->sock->sk;
	flint_tcp_reclassify(sk);
	sk->sk_allocation = GFP_NOIO;
	sk->sk_use_task_frag = false;
	sock_no_linger(sk);	/* the end resets it: nothing of it stays behind */
	tcp_sock_set_nodelay(sk);
	tcp_sock_set_user_timeout(sk, jiffies_to_msecs(o->hb_timeo));
	sock_set_keepalive(sk);
	tcp_sock_set_keepidle(sk, FLINT_TCP_KEEP_IDLE);
	tcp_sock_set_keepintvl(sk, FLINT_TCP_KEEP_INTVL);
	tcp_sock_set_keepcnt(sk, FLINT_TCP_KEEP_CNT);
	flint_tcp_calls_set(tc);
	return 0;
}

static bool flint_tcp_settled(struct flint_tcp_conn *tc)
{
	int state = READ_ONCE(tc->sock->sk->sk_state);

	return (state != TCP_SYN_SENT && state != TCP_SYN_RECV) ||
	       READ_ONCE(tc->c.state) >= FLINT_CONN_DRAINING;
}

/* Return: 0 or an error; the reason is set when it is more than the number says. */
static int flint_tcp_establish(struct flint_tcp_conn *tc, const struct sockaddr *addr)
{
	int len = addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
						sizeof(struct sockaddr_in);
	struct flint_conn *conn = &tc->c;
	int err;

	err = kernel_connect(tc->sock, (struct sockaddr *)addr, len, O_NONBLOCK);
	if (err && err != -EINPROGRESS)
		return err;
	if (!wait_event_timeout(conn->wq, flint_tcp_settled(tc), conn->connect_timeo)) {
		flint_conn_fail(conn, -ETIMEDOUT, "no answer while connecting over TCP");
		return -ETIMEDOUT;
	}
	if (READ_ONCE(conn->state) >= FLINT_CONN_DRAINING)
		return -ENOTCONN;
	if (tc->sock->sk->sk_state == TCP_ESTABLISHED)
		return 0;
	err = sock_error(tc->sock->sk);
	if (err == -ECONNREFUSED)
		flint_conn_fail(conn, err, "nobody listens there for TCP");
	return err ? err : -ENOTCONN;
}

static struct flint_conn *flint_tcp_connect(struct flint_lane *lane, const struct sockaddr *addr)
{
	unsigned int noio = memalloc_noio_save();
	struct flint_tcp_conn *tc = kzalloc(sizeof(*tc), GFP_KERNEL);
	int err;

	BUILD_BUG_ON(offsetof(struct flint_tcp_conn, c));
	if (!tc) {
		memalloc_noio_restore(noio);
		return ERR_PTR(-ENOMEM);
	}
	INIT_LIST_HEAD(&tc->tx);
	INIT_WORK(&tc->tx_work, flint_tcp_tx_work);
	INIT_WORK(&tc->rx_work, flint_tcp_rx_work);
	flint_tcp_rx_reset(tc);
	flint_conn_init(&tc->c, &flint_xprt_tcp, lane->peer, lane);

	err = flint_tcp_init_slots(tc, lane->peer->net->opts.credits);
	if (!err)
		err = flint_tcp_open(tc, addr);
	if (!err)
		err = flint_tcp_establish(tc, addr);
	if (err)
		flint_conn_fail(&tc->c, err, "connecting over TCP failed (%d)", err);
	else if (flint_conn_set_state(&tc->c, FLINT_CONN_HELLO))
		queue_work(flint_tcp_wq, &tc->rx_work);	/* it may have been closed already */
	memalloc_noio_restore(noio);
	return &tc->c;
}

/* ---- the end ---------------------------------------------------------- */

static void flint_tcp_scrap(struct flint_conn *conn, struct flint_slot *slot)
{
}

static bool flint_tcp_idle(struct flint_tcp_conn *tc)
{
	bool idle;

	spin_lock_bh(&tc->c.lock);
	idle = !tc->tx_busy;
	spin_unlock_bh(&tc->c.lock);
	return idle;
}

/* Nobody queues a work any more when the callbacks are gone and the sender has left. */
static bool flint_tcp_drain(struct flint_conn *conn, unsigned long timeout)
{
	struct flint_tcp_conn *tc = to_tc(conn);

	if (!tc->sock)
		return true;
	flint_tcp_calls_restore(tc);
	if (!wait_event_timeout(conn->wq, flint_tcp_idle(tc), timeout))
		return false;
	cancel_work_sync(&tc->tx_work);
	cancel_work_sync(&tc->rx_work);
	kernel_sock_shutdown(tc->sock, SHUT_RDWR);
	sock_release(tc->sock);
	tc->sock = NULL;
	return true;
}

/* Polled once a second: what a lack of memory held up goes on. */
static bool flint_tcp_broken(struct flint_conn *conn)
{
	struct flint_tcp_conn *tc = to_tc(conn);

	spin_lock_bh(&conn->lock);
	if (!list_empty(&tc->tx) && conn->state < FLINT_CONN_DRAINING)
		queue_work(flint_tcp_wq, &tc->tx_work);
	spin_unlock_bh(&conn->lock);
	return false;
}

static void flint_tcp_destroy(struct flint_conn *conn)
{
}

static void flint_tcp_free(struct flint_conn *conn)
{
	struct flint_tcp_conn *tc = to_tc(conn);

	kvfree(tc->msg_mem);
	flint_slots_free(conn, tc->slot_mem);
	kfree_rcu(conn, rcu);
}

const struct flint_xprt_ops flint_xprt_tcp = {
	.name		= "tcp",
	.stream		= true,
	.connect	= flint_tcp_connect,
	.map		= flint_tcp_map,
	.unmap		= flint_tcp_unmap,
	.post		= flint_tcp_post,
	.flush		= flint_tcp_flush,
	.scrap		= flint_tcp_scrap,
	.drain		= flint_tcp_drain,
	.broken		= flint_tcp_broken,
	.destroy	= flint_tcp_destroy,
	.free		= flint_tcp_free,
};

/**
 * flint_tcp_init() - make the queue that sends and receives
 * Return: 0 or -ENOMEM.
 */
int flint_tcp_init(void)
{
	flint_tcp_wq = alloc_workqueue("flint_tcp", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	return flint_tcp_wq ? 0 : -ENOMEM;
}

void flint_tcp_exit(void)
{
	destroy_workqueue(flint_tcp_wq);
}
