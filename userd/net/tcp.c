// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The TCP transport: a link is one non-blocking socket.
 *
 * Receiving. A read-ahead buffer takes whatever the socket has, so many small
 * requests cost one system call. A message is assembled in an rx buffer; what
 * is missing of it, or of a large payload, is read straight to where it
 * belongs by the same readv() that fills the read-ahead buffer.
 *
 * Back-pressure. Behind a message whose large payload nobody has pulled yet,
 * and while too many answers wait to be sent, nothing is read: the peer's
 * window closes. The kernel is asked to stop reporting input only when it
 * reports some, so a prompt pull costs nothing extra.
 *
 * Invariants
 *  - left > 0 only while state is not RX_IDLE, and then read-ahead is empty
 *    before the socket is read.
 *  - wait is the message whose payload comes next in the stream; nothing
 *    behind it is looked at.
 *  - A message (without a large payload) that has begun and is not whole after
 *    STALL_MS, or twice that, ends the link, and so does a payload or a blocked
 *    socket without progress for as long: who drips bytes holds nothing for long.
 */
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../base/log.h"
#include "xprt.h"

#define AHEAD_SIZE	32768
#define STALL_MS	10000
#define READ_BUDGET	16
#define WRITE_IOV	64
#define FREE_MAX	80		/* message buffers kept for reuse */

enum rx_state {
	RX_IDLE,		/* at a message boundary */
	RX_MESSAGE,		/* assembling cur->buf */
	RX_PAYLOAD,		/* reading a pulled payload */
	RX_DISCARD,		/* skipping a payload nobody wanted */
};

struct tlink {
	struct flint_xprt link;
	struct flint_watch watch;
	uint32_t events;		/* what epoll reports now; 0: not watched */
	bool connecting;
	uint32_t msg_max;

	uint8_t *ahead;
	uint32_t pos, len;		/* unread part of ahead */

	enum rx_state state;
	struct flint_rx *cur;
	uint8_t *dst;
	uint32_t left;
	struct flint_rx *wait;

	struct flint_tx *tx_head;
	struct flint_tx **tx_tail;
	uint32_t nr_tx;
	struct flint_task flush;
	bool flush_posted;
	struct flint_task input;
	bool input_posted;

	struct flint_timer stall;
	uint64_t progress;		/* bytes moved, ever */
	uint64_t progress_seen;
	uint64_t whole;			/* messages received, ever */
	uint64_t whole_seen;
	bool begun_seen;		/* a message had begun by then */

	struct flint_rx *rx_free;
	struct flint_tx *tx_free;
	uint32_t nr_rx_free, nr_tx_free;
};

static const struct flint_xprt_ops tcp_ops;

static struct tlink *to_tlink(struct flint_xprt *link)
{
	return (struct tlink *)link;
}

/* ---- message memory --------------------------------------------------- */

/* The structure and its buffer in one piece, the buffer 64-byte aligned. */
static void *msg_alloc(size_t head, uint32_t size, uint8_t **buf)
{
	size_t off = (head + 63) & ~(size_t)63;
	uint8_t *p = aligned_alloc(64, (off + size + 63) & ~(size_t)63);

	if (!p)
		return NULL;
	memset(p, 0, head);
	*buf = p + off;
	return p;
}

static struct flint_rx *rx_alloc(struct tlink *t)
{
	struct flint_rx *rx = t->rx_free;
	uint8_t *buf;

	if (rx) {
		t->rx_free = rx->next;
		t->nr_rx_free--;
		return rx;
	}
	rx = msg_alloc(sizeof(*rx), t->msg_max, &buf);
	if (!rx)
		return NULL;
	rx->buf = buf;
	rx->link = &t->link;
	return rx;
}

static void rx_release(struct tlink *t, struct flint_rx *rx)
{
	if (t->nr_rx_free >= FREE_MAX) {
		free(rx);
		return;
	}
	rx->next = t->rx_free;
	t->rx_free = rx;
	t->nr_rx_free++;
}

static struct flint_tx *tcp_tx_get(struct flint_xprt *link)
{
	struct tlink *t = to_tlink(link);
	struct flint_tx *tx = t->tx_free;
	uint8_t *buf;

	if (tx) {
		t->tx_free = tx->next;
		t->nr_tx_free--;
	} else {
		tx = msg_alloc(sizeof(*tx), t->msg_max, &buf);
		if (!tx)
			return NULL;
		tx->buf = buf;
		tx->link = link;
	}
	tx->data = NULL;
	tx->data_len = 0;
	tx->payload = NULL;
	tx->nr_desc = 0;
	tx->inv = false;
	tx->sent = 0;
	return tx;
}

static void tcp_tx_put(struct flint_tx *tx)
{
	struct tlink *t = to_tlink(tx->link);

	if (t->nr_tx_free >= FREE_MAX) {
		free(tx);
		return;
	}
	tx->next = t->tx_free;
	t->tx_free = tx;
	t->nr_tx_free++;
}

/* ---- watching --------------------------------------------------------- */

static void tcp_events(struct tlink *t, uint32_t events)
{
	if (t->events == events || t->link.torn)
		return;
	t->events = events;
	flint_watch_mod(t->link.loop, &t->watch, events);
}

static bool tcp_holding(const struct tlink *t)
{
	return !t->link.client && t->nr_tx > t->link.depth + 16;
}

static bool rx_paused(const struct tlink *t)
{
	return t->wait || (t->state == RX_IDLE && tcp_holding(t));
}

/* Has a message begun that is not whole, for want of bytes? A large payload is no part of it. */
static bool rx_begun(const struct tlink *t)
{
	if (t->state != RX_IDLE)
		return t->state == RX_MESSAGE;
	return !rx_paused(t) && t->pos < t->len;
}

static void stall_watch(struct tlink *t)
{
	if (t->stall.due_ns || t->link.torn)
		return;
	t->progress_seen = t->progress;
	t->whole_seen = t->whole;
	t->begun_seen = rx_begun(t);
	flint_timer_set(t->link.loop, &t->stall, STALL_MS);
}

static void stall_fire(struct flint_timer *timer)
{
	struct tlink *t = timer->arg;
	bool begun = rx_begun(t);

	if (!t->left && !t->tx_head && !begun)
		return;
	if ((begun && t->begun_seen && t->whole == t->whole_seen) ||
	    t->progress == t->progress_seen) {
		flint_xprt_fail(&t->link, -ETIMEDOUT, begun || t->left ?
				"peer stopped in the middle of a message" :
				"peer does not read its answers");
		return;
	}
	stall_watch(t);
}

/* ---- sending ---------------------------------------------------------- */

static void tx_finish(struct flint_tx *tx)
{
	if (tx->payload) {
		flint_buf_put(tx->payload);
		tx->payload = NULL;
	}
	tx->done(tx);
}

static int tx_gather(struct tlink *t, struct iovec *iov)
{
	struct flint_tx *tx;
	int n = 0;

	for (tx = t->tx_head; tx && n + 2 <= WRITE_IOV; tx = tx->next) {
		uint32_t sent = tx->sent;

		if (sent < tx->len) {
			iov[n].iov_base = tx->buf + sent;
			iov[n++].iov_len = tx->len - sent;
			sent = tx->len;
		}
		if (tx->data_len && sent - tx->len < tx->data_len) {
			iov[n].iov_base = (uint8_t *)tx->data + (sent - tx->len);
			iov[n++].iov_len = tx->data_len - (sent - tx->len);
		}
	}
	return n;
}

static void tx_advance(struct tlink *t, size_t bytes)
{
	t->progress += bytes;
	while (bytes) {
		struct flint_tx *tx = t->tx_head;
		size_t left = (size_t)tx->len + tx->data_len - tx->sent;

		if (bytes < left) {
			tx->sent += (uint32_t)bytes;
			return;
		}
		bytes -= left;
		t->tx_head = tx->next;
		if (!t->tx_head)
			t->tx_tail = &t->tx_head;
		t->nr_tx--;
		tx_finish(tx);
	}
}

static void post_input(struct tlink *t)
{
	if (t->input_posted || t->link.dead)
		return;
	t->input_posted = true;
	flint_xprt_get(&t->link);
	flint_loop_post(t->link.loop, &t->input);
}

static void tcp_flush(struct tlink *t)
{
	struct iovec iov[WRITE_IOV];
	struct msghdr m = { .msg_iov = iov };
	bool held = tcp_holding(t);
	ssize_t n;

	while (t->tx_head && !t->link.dead) {
		m.msg_iovlen = (size_t)tx_gather(t, iov);
		if (m.msg_iovlen == 1)	/* cheaper, and the rule with many quiet peers */
			n = send(t->watch.fd, iov[0].iov_base, iov[0].iov_len,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		else
			n = sendmsg(t->watch.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
			tcp_events(t, t->events | EPOLLOUT);
			stall_watch(t);
			break;
		}
		if (n < 0) {
			flint_xprt_fail(&t->link, -ENOTCONN, "send: %s", strerror(errno));
			return;
		}
		tx_advance(t, (size_t)n);
	}
	if (!t->tx_head && (t->events & EPOLLOUT))
		tcp_events(t, t->events & ~(uint32_t)EPOLLOUT);
	if (held && !tcp_holding(t))
		post_input(t);
}

static void flush_run(struct flint_task *task)
{
	struct tlink *t = (struct tlink *)((char *)task - offsetof(struct tlink, flush));

	t->flush_posted = false;
	if (!t->link.dead && !t->connecting)
		tcp_flush(t);
	flint_xprt_put(&t->link);
}

static void tcp_send(struct flint_xprt *link, struct flint_tx *tx)
{
	struct tlink *t = to_tlink(link);

	if (link->dead) {
		tx_finish(tx);
		return;
	}
	tx->next = NULL;
	*t->tx_tail = tx;
	t->tx_tail = &tx->next;
	t->nr_tx++;
	if (!t->flush_posted && !(t->events & EPOLLOUT)) {
		t->flush_posted = true;
		flint_xprt_get(link);
		flint_loop_post(link->loop, &t->flush);
	}
}

/* ---- receiving -------------------------------------------------------- */

static void rx_bad(struct tlink *t, const struct flint_hdr *h, int err)
{
	flint_xprt_fail(&t->link, -EPROTO, "%s", flint_proto_why(h, sizeof(*h), err));
}

/* A header is there: check it and prepare to take the rest. */
static void rx_begin(struct tlink *t)
{
	struct flint_rx *rx = rx_alloc(t);
	struct flint_hdr *h;
	uint64_t want;
	int err;

	if (!rx) {
		flint_xprt_fail(&t->link, -ENOMEM, "out of memory");
		return;
	}
	h = (struct flint_hdr *)rx->buf;
	memcpy(h, t->ahead + t->pos, sizeof(*h));
	err = flint_hdr_parse(h, &t->link.lim, &rx->msg);
	if (err) {
		rx_bad(t, h, err);
		goto drop;
	}
	if (rx->msg.nr_desc) {
		flint_xprt_fail(&t->link, -EPROTO, "descriptors have no meaning on TCP");
		goto drop;
	}
	if (rx->msg.data_len && !(rx->msg.flags & FLINT_F_INLINE)) {
		flint_xprt_fail(&t->link, -EPROTO, "payload announced that does not follow");
		goto drop;
	}
	want = flint_msg_ctrl_len(&rx->msg);
	if (want > flint_msg_max(t->link.inline_size) || want > t->msg_max) {
		flint_xprt_fail(&t->link, -EPROTO, "body of %u bytes is too long", rx->msg.body_len);
		goto drop;
	}
	rx->pending = 0;
	if (want + rx->msg.data_len <= flint_msg_max(t->link.inline_size))
		want += rx->msg.data_len;
	else
		rx->pending = rx->msg.data_len;
	t->pos += sizeof(*h);
	t->cur = rx;
	t->state = RX_MESSAGE;
	t->dst = rx->buf + sizeof(*h);
	t->left = (uint32_t)(want - sizeof(*h));
	return;

drop:
	rx_release(t, rx);
}

static void rx_message(struct tlink *t)
{
	struct flint_rx *rx = t->cur;
	struct flint_msg *m = &rx->msg;

	t->cur = NULL;
	t->state = RX_IDLE;
	t->whole++;
	m->body = rx->buf + sizeof(struct flint_hdr);
	m->data = m->data_len && !rx->pending ? m->body + m->body_len : NULL;
	if (rx->pending)
		t->wait = rx;
	t->link.user->message(&t->link, rx);
}

static void rx_complete(struct tlink *t)
{
	struct flint_rx *rx = t->cur;

	switch (t->state) {
	case RX_MESSAGE:
		rx_message(t);
		break;
	case RX_PAYLOAD:
		t->state = RX_IDLE;
		t->cur = NULL;
		rx->pending = 0;
		rx->pulled(rx, 0);
		break;
	default:
		t->state = RX_IDLE;
		break;
	}
}

/* Use up the read-ahead buffer as far as possible. */
static void rx_consume(struct tlink *t)
{
	while (!t->link.dead) {
		uint32_t avail = t->len - t->pos;

		if (t->left) {
			uint32_t n = t->left < avail ? t->left : avail;

			if (!n)
				return;
			if (t->dst) {
				memcpy(t->dst, t->ahead + t->pos, n);
				t->dst += n;
			}
			t->pos += n;
			t->left -= n;
			if (t->left)
				return;
		}
		if (t->state != RX_IDLE) {
			rx_complete(t);
			continue;
		}
		if (rx_paused(t) || avail < sizeof(struct flint_hdr))
			return;
		rx_begin(t);
	}
}

/*
 * Read once. Return: 1 when there may be more, 0 when the socket is empty or
 * the link has ended.
 */
static int rx_read(struct tlink *t)
{
	struct iovec iov[2];
	size_t room = 0;
	ssize_t n;
	int nv = 0;

	if (t->left && t->dst) {
		iov[nv].iov_base = t->dst;
		iov[nv++].iov_len = t->left;
		room = t->left;
	}
	if (t->pos) {
		memmove(t->ahead, t->ahead + t->pos, t->len - t->pos);
		t->len -= t->pos;
		t->pos = 0;
	}
	iov[nv].iov_base = t->ahead + t->len;
	iov[nv++].iov_len = AHEAD_SIZE - t->len;
	room += AHEAD_SIZE - t->len;

	if (nv == 1)
		n = recv(t->watch.fd, iov[0].iov_base, iov[0].iov_len, MSG_DONTWAIT);
	else
		n = readv(t->watch.fd, iov, nv);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			flint_xprt_fail(&t->link, -ENOTCONN, "receive: %s", strerror(errno));
		return 0;
	}
	if (!n) {
		flint_xprt_fail(&t->link, -ENOTCONN, t->left || t->len ?
				"closed by the peer in the middle of a message" :
				"closed by the peer");
		return 0;
	}
	t->progress += (uint64_t)n;
	t->link.rx_ns = flint_loop_now(t->link.loop);
	room -= (size_t)n;
	if (t->left && t->dst) {
		uint32_t got = (size_t)n < t->left ? (uint32_t)n : t->left;

		t->dst += got;
		t->left -= got;
		n -= got;
	}
	t->len += (uint32_t)n;
	return !room;
}

static void tcp_input(struct tlink *t)
{
	int budget = READ_BUDGET;
	bool more = true;

	for (;;) {
		rx_consume(t);
		if (t->link.dead || rx_paused(t) || !more)
			break;
		if (!budget--) {
			post_input(t);
			return;
		}
		more = rx_read(t);
	}
	if (t->link.dead)
		return;
	if (t->left || rx_begun(t))
		stall_watch(t);
	if (!rx_paused(t))
		tcp_events(t, t->events | EPOLLIN);
}

static void input_run(struct flint_task *task)
{
	struct tlink *t = (struct tlink *)((char *)task - offsetof(struct tlink, input));

	t->input_posted = false;
	if (!t->link.dead)
		tcp_input(t);
	flint_xprt_put(&t->link);
}

static void tcp_pull(struct flint_xprt *link, struct flint_rx *rx, void *dst, struct flint_buf *buf)
{
	struct tlink *t = to_tlink(link);

	/* On a dead link the teardown reports; after it nothing would. */
	t->cur = rx;
	t->wait = NULL;
	t->state = RX_PAYLOAD;
	t->dst = dst;
	t->left = rx->pending;
	post_input(t);
}

static void tcp_rx_put(struct flint_rx *rx)
{
	struct tlink *t = to_tlink(rx->link);

	if (t->wait == rx) {
		t->wait = NULL;
		t->state = RX_DISCARD;
		t->dst = NULL;
		t->left = rx->pending;
		post_input(t);
	}
	rx->pending = 0;
	rx_release(t, rx);
}

static int tcp_describe(struct flint_xprt *link, struct flint_pool *pool, const void *p,
			uint32_t len, struct flint_desc *desc)
{
	return -EOPNOTSUPP;
}

/* ---- life ------------------------------------------------------------- */

static void tcp_connected(struct tlink *t)
{
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(t->watch.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		flint_xprt_fail(&t->link, -err, "connect: %s", strerror(err));
		return;
	}
	t->connecting = false;
	tcp_events(t, EPOLLIN);
	t->link.user->up(&t->link);
}

static void tcp_event(struct flint_watch *w, uint32_t events)
{
	struct tlink *t = w->arg;

	if (t->link.dead)
		return;
	flint_xprt_get(&t->link);
	if (t->connecting) {
		tcp_connected(t);
		goto out;
	}
	if (events & EPOLLOUT)
		tcp_flush(t);
	if (t->link.dead)
		goto out;
	if (rx_paused(t) && (events & (EPOLLHUP | EPOLLERR)))
		flint_xprt_fail(&t->link, -ENOTCONN, "connection reset");
	else if (rx_paused(t))
		tcp_events(t, t->events & ~(uint32_t)EPOLLIN);
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		tcp_input(t);
out:
	flint_xprt_put(&t->link);
}

static void tcp_teardown(struct flint_xprt *link)
{
	struct tlink *t = to_tlink(link);
	struct flint_tx *tx;

	flint_timer_cancel(link->loop, &t->stall);
	flint_watch_del(link->loop, &t->watch);
	close(t->watch.fd);
	t->watch.fd = -1;
	while ((tx = t->tx_head)) {
		t->tx_head = tx->next;
		tx_finish(tx);
	}
	t->tx_tail = &t->tx_head;
	t->wait = NULL;
	if (t->cur) {
		struct flint_rx *rx = t->cur;
		enum rx_state state = t->state;

		t->cur = NULL;
		t->state = RX_IDLE;
		t->left = 0;
		if (state == RX_PAYLOAD)
			rx->pulled(rx, -ENOTCONN);
		else
			rx_release(t, rx);
	}
}

static void tcp_free(struct flint_xprt *link)
{
	struct tlink *t = to_tlink(link);
	struct flint_rx *rx;
	struct flint_tx *tx;

	while ((rx = t->rx_free)) {
		t->rx_free = rx->next;
		free(rx);
	}
	while ((tx = t->tx_free)) {
		t->tx_free = tx->next;
		free(tx);
	}
	free(t->ahead);
	free(t);
}

static const struct flint_xprt_ops tcp_ops = {
	.name = "tcp",
	.tx_get = tcp_tx_get,
	.tx_put = tcp_tx_put,
	.send = tcp_send,
	.pull = tcp_pull,
	.rx_put = tcp_rx_put,
	.describe = tcp_describe,
	.teardown = tcp_teardown,
	.free = tcp_free,
};

static void tcp_tune(int fd)
{
	int one = 1, idle = 10, intvl = 5, cnt = 3;
	unsigned int dead_ms = 20000;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &intvl, sizeof(intvl));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &cnt, sizeof(cnt));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
}

/* Takes @fd over when it succeeds. */
static struct tlink *tlink_new(struct flint_loop *loop, const struct flint_xprt_params *p, int fd,
			       const struct sockaddr_storage *addr, uint32_t events)
{
	struct tlink *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ahead = malloc(AHEAD_SIZE);
	if (!t->ahead) {
		free(t);
		return NULL;
	}
	flint_xprt_init(&t->link, &tcp_ops, loop, FLINT_PROTO_TCP);
	flint_xprt_set_addr(&t->link, (const struct sockaddr *)addr);
	t->link.inline_size = p->inline_size;
	t->link.max_io = p->max_io;
	t->link.depth = p->depth;
	flint_xprt_limits(&t->link, p->inline_size, p->max_io);
	t->msg_max = flint_msg_max(p->inline_size);
	t->tx_tail = &t->tx_head;
	t->flush.fn = flush_run;
	t->input.fn = input_run;
	t->stall.fn = stall_fire;
	t->stall.arg = t;
	t->watch = (struct flint_watch){ .fd = fd, .fn = tcp_event, .arg = t };
	t->events = events;
	tcp_tune(fd);
	if (flint_watch_add(loop, &t->watch, events)) {
		free(t->ahead);
		free(t);
		return NULL;
	}
	return t;
}

struct flint_xprt *flint_tcp_connect(struct flint_loop *loop, const struct flint_xprt_params *p,
				     const struct sockaddr_storage *addr,
				     const struct flint_xprt_user *user, void *owner)
{
	struct tlink *t;
	int fd, err;

	fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	if (connect(fd, (const struct sockaddr *)addr, flint_sockaddr_len(addr)) &&
	    errno != EINPROGRESS)
		goto fail;
	t = tlink_new(loop, p, fd, addr, EPOLLOUT);
	if (!t)
		goto fail;
	t->connecting = true;
	t->link.client = true;
	t->link.user = user;
	t->link.owner = owner;
	return &t->link;

fail:
	err = errno;
	close(fd);
	errno = err;
	return NULL;
}

/* ---- listening -------------------------------------------------------- */

struct tlisten {
	struct flint_listener listener;
	struct flint_watch watch;
	struct flint_timer rest;	/* after EMFILE */
};

/* A socket on its way to its loop. */
struct tnew {
	struct flint_task task;
	struct flint_acceptor *acceptor;
	struct flint_loop *loop;
	struct sockaddr_storage addr;
	int fd;
};

static void tnew_run(struct flint_task *task)
{
	struct tnew *n = (struct tnew *)task;
	struct flint_acceptor *a = n->acceptor;
	struct tlink *t = tlink_new(n->loop, &a->params, n->fd, &n->addr, EPOLLIN);

	if (!t) {
		flint_warn_rl("out of memory for a connection");
		close(n->fd);
		a->unpick(a);
	} else if (a->accept(a, &t->link)) {
		flint_xprt_close(&t->link);
		a->unpick(a);
	}
	free(n);
}

static void tcp_adopt(struct tlisten *l, int fd, const struct sockaddr_storage *addr)
{
	struct flint_acceptor *a = l->listener.acceptor;
	struct tnew *n = calloc(1, sizeof(*n));

	if (!n) {
		close(fd);
		return;
	}
	n->acceptor = a;
	n->fd = fd;
	n->addr = *addr;
	n->task.fn = tnew_run;
	n->loop = a->pick(a);
	if (!n->loop) {
		close(fd);
		free(n);
		return;
	}
	flint_loop_post(n->loop, &n->task);
}

static void rest_over(struct flint_timer *timer)
{
	struct tlisten *l = timer->arg;

	flint_watch_mod(l->listener.acceptor->loop, &l->watch, EPOLLIN);
}

static void tcp_accept(struct flint_watch *w, uint32_t events)
{
	struct tlisten *l = w->arg;
	struct flint_loop *loop = l->listener.acceptor->loop;
	int i;

	for (i = 0; i < 64; i++) {
		struct sockaddr_storage addr = { 0 };
		socklen_t len = sizeof(addr);
		int fd = accept4(w->fd, (struct sockaddr *)&addr, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			tcp_adopt(l, fd, &addr);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* The connection stays in the queue: look again later, do not spin. */
			flint_warn_rl("cannot accept a connection: %s", strerror(errno));
			flint_watch_mod(loop, w, 0);
			flint_timer_set(loop, &l->rest, 200);
			return;
		}
	}
}

static void tcp_listener_close(struct flint_listener *listener)
{
	struct tlisten *l = (struct tlisten *)listener;
	struct flint_loop *loop = listener->acceptor->loop;

	flint_timer_cancel(loop, &l->rest);
	flint_watch_del(loop, &l->watch);
	close(l->watch.fd);
	free(l);
}

static const struct flint_listener_ops tcp_listener_ops = { .close = tcp_listener_close };

int flint_tcp_listen(struct flint_acceptor *a, struct sockaddr_storage *addr,
		     struct flint_listener **lp, char *err, size_t errlen)
{
	socklen_t len = flint_sockaddr_len(addr);
	struct tlisten *l = calloc(1, sizeof(*l));
	int fd, one = 1, ret;
	char text[64];

	flint_sockaddr_text((struct sockaddr *)addr, text, sizeof(text));
	if (!l) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto fail_free;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (addr->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)addr, len) || listen(fd, 512) ||
	    getsockname(fd, (struct sockaddr *)addr, &len))
		goto fail_close;
	l->listener.ops = &tcp_listener_ops;
	l->listener.acceptor = a;
	l->rest.fn = rest_over;
	l->rest.arg = l;
	l->watch = (struct flint_watch){ .fd = fd, .fn = tcp_accept, .arg = l };
	if (flint_watch_add(a->loop, &l->watch, EPOLLIN))
		goto fail_close;
	*lp = &l->listener;
	return 0;

fail_close:
	ret = errno;
	close(fd);
	errno = ret;
fail_free:
	ret = errno;
	free(l);
	snprintf(err, errlen, "cannot listen on %s (TCP): %s%s", text, strerror(ret),
		 ret == EADDRINUSE ? "; another process uses this port" :
		 ret == EADDRNOTAVAIL ? "; give an address of this machine" : "");
	return -ret;
}
