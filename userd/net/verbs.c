// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The verbs transport: a link is one reliable-connected queue pair.
 *
 * Messages are SEND and SEND_WITH_INV. A server moves bulk data itself: RDMA
 * READ from the requester's descriptors when a payload is pulled, RDMA WRITE to
 * them before an answer. There is no immediate data, no atomic, and one
 * scatter element per work request, so the same code runs on InfiniBand,
 * RoCE and iWARP.
 *
 * Invariants
 *  - Receive buffers for everything the other side may send (its credits, a
 *    PING, the handshake, the window of pushes) are posted before the connection is accepted, and
 *    each is posted again before the answer that returns the credit. So a
 *    receiver is never not ready, and rnr_retry is 1.
 *  - Several requests may come in one message (flint_msg_split()). Each is a
 *    struct flint_rx of its own, of those that a server's link keeps for it, and
 *    the buffer is posted again when the last of them is put. So a buffer that is
 *    not posted has a request that is not answered, and the first invariant holds.
 *  - sq_free counts work requests that the send queue can still take; nothing
 *    is posted without it, so ibv_post_send() cannot run out of room. A send
 *    queue completes in order: a signaled completion frees itself and the
 *    unsignaled ones before it (covers).
 *  - An unsignaled SEND is one whose bytes were copied by the post (inline), so
 *    its buffer is free at once. All that refers to memory is signaled, so
 *    that memory comes back also when the link falls silent.
 *  - At most max_reads RDMA READs of a link, and DEV_READS of a device, are
 *    outstanding: more would stall the answers queued behind them. Links take turns
 *    for the device's: who has just had one stands at the end of the line.
 *  - Memory is given back only after the queue pair is destroyed or the work
 *    request has completed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/log.h"
#include "verbs_int.h"

#define MAX_READS	16
#define MAX_INLINE	256
#define POST_BATCH	32
#define POLL_BATCH	32
#define POLL_BUDGET	8		/* batches before others have their turn */
#define SLAB_TX		16
#define RESOLVE_MS	2000
#define IWARP_PAUSE_MS	20
#define ACK_TIMEOUT	18		/* 4.096 us << 18, about a second */

/* Low bits of a wr_id, besides the pointer. */
enum { WR_RECV, WR_SEND, WR_READ, WR_MASK = 3 };

/* Message buffers, registered together. */
struct slab {
	void *mem;
	void *objs;
	struct ibv_mr *mr;
	struct slab *next;
};

struct vlink {
	struct flint_xprt link;
	struct vcm cm;
	struct rdma_cm_id *id;
	struct vdev *dev;
	struct flint_pool *pool;
	struct ibv_mr *pool_mr;
	struct ibv_cq *cq;
	unsigned int cq_events;		/* fetched, to be acknowledged */
	bool connected;
	uint32_t msg_max;
	uint32_t inline_max;
	uint32_t nr_rx;
	uint32_t pushes;		/* client: receives for them */
	uint32_t sq_size, sq_free;
	uint32_t unsignaled;		/* posted since the last signaled one */
	uint32_t max_reads, reads;
	struct vlink *line_next;
	bool in_line;

	struct flint_tx *tx_head, **tx_tail;		/* to be posted */
	struct flint_tx *sent_head, **sent_tail;	/* signaled, in order */
	struct flint_rx *rd_head, **rd_tail;		/* READs to be posted */
	struct flint_rx *reading;			/* READs posted */
	struct flint_rx *parts;				/* server: nr_rx of them */
	struct flint_rx *part_free;
	struct flint_tx *tx_free;
	struct slab *slabs;

	struct flint_task flush;
	bool flush_posted;
	struct flint_task poll;
	bool poll_posted;
	struct flint_timer pause;	/* iWARP clients: before the first message */
};

static const struct flint_xprt_ops verbs_ops;

static struct vlink *to_vlink(struct flint_xprt *link)
{
	return (struct vlink *)link;
}

/* ---- message memory --------------------------------------------------- */

static struct slab *slab_new(struct vlink *v, uint32_t nr, size_t obj_size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = ((size_t)nr * v->msg_max + page - 1) & ~(page - 1);
	struct slab *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->mem = aligned_alloc(page, len);
	s->objs = calloc(nr, obj_size);
	if (!s->mem || !s->objs)
		goto fail;
	s->mr = ibv_reg_mr(v->dev->pd, s->mem, len, IBV_ACCESS_LOCAL_WRITE);
	if (!s->mr)
		goto fail;
	s->next = v->slabs;
	v->slabs = s;
	return s;

fail:
	free(s->objs);
	free(s->mem);
	free(s);
	return NULL;
}

static int tx_grow(struct vlink *v, uint32_t nr)
{
	struct slab *s = slab_new(v, nr, sizeof(struct flint_tx));
	struct flint_tx *tx;
	uint32_t i;

	if (!s)
		return -ENOMEM;
	tx = s->objs;
	for (i = 0; i < nr; i++, tx++) {
		tx->link = &v->link;
		tx->buf = (uint8_t *)s->mem + (size_t)i * v->msg_max;
		tx->lkey = s->mr->lkey;
		tx->next = v->tx_free;
		v->tx_free = tx;
	}
	return 0;
}

static struct flint_tx *verbs_tx_get(struct flint_xprt *link)
{
	struct vlink *v = to_vlink(link);
	struct flint_tx *tx;

	/* As many as were ever needed at once, so that an idle link has few. */
	if (!v->tx_free && (link->torn || tx_grow(v, SLAB_TX)))
		return NULL;
	tx = v->tx_free;
	v->tx_free = tx->next;
	tx->data = NULL;
	tx->data_len = 0;
	tx->payload = NULL;
	tx->nr_desc = 0;
	tx->inv = false;
	return tx;
}

static void verbs_tx_put(struct flint_tx *tx)
{
	struct vlink *v = to_vlink(tx->link);

	tx->next = v->tx_free;
	v->tx_free = tx;
}

static int rx_post(struct vlink *v, struct flint_rx *rx)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)rx->buf, .length = v->msg_max, .lkey = rx->lkey,
	};
	struct ibv_recv_wr wr = {
		.wr_id = (uintptr_t)rx | WR_RECV, .sg_list = &sge, .num_sge = 1,
	}, *bad;

	return ibv_post_recv(v->id->qp, &wr, &bad);
}

static int rx_grow(struct vlink *v, uint32_t nr)
{
	struct slab *s = slab_new(v, nr, sizeof(struct flint_rx));
	struct flint_rx *rx;
	uint32_t i;

	if (!s)
		return ENOMEM;
	rx = s->objs;
	for (i = 0; i < nr; i++, rx++) {
		int err;

		rx->link = &v->link;
		rx->buf = (uint8_t *)s->mem + (size_t)i * v->msg_max;
		rx->lkey = s->mr->lkey;
		err = rx_post(v, rx);
		if (err)
			return err;
	}
	return 0;
}

static void rx_again(struct vlink *v, struct flint_rx *rx)
{
	if (v->link.dead || v->link.torn)
		return;		/* the memory goes with the link */
	if (rx_post(v, rx))
		flint_xprt_fail(&v->link, -EIO, "cannot post a receive buffer");
}

static int parts_new(struct vlink *v)
{
	uint32_t i;

	v->parts = calloc(v->nr_rx, sizeof(*v->parts));
	for (i = 0; v->parts && i < v->nr_rx; i++) {
		v->parts[i].link = &v->link;
		v->parts[i].next = v->part_free;
		v->part_free = &v->parts[i];
	}
	return v->parts ? 0 : ENOMEM;
}

/* One of several messages in @whole. NULL: more than there can be requests. */
static struct flint_rx *part_get(struct vlink *v, struct flint_rx *whole, uint8_t *buf)
{
	struct flint_rx *rx = v->part_free;

	if (!rx)
		return NULL;
	v->part_free = rx->next;
	rx->buf = buf;
	rx->whole = whole;
	whole->parts++;
	return rx;
}

static void parts_put(struct vlink *v, struct flint_rx *whole)
{
	if (!--whole->parts)
		rx_again(v, whole);
}

static void verbs_rx_put(struct flint_rx *rx)
{
	struct vlink *v = to_vlink(rx->link);

	if (!rx->whole) {
		rx_again(v, rx);
		return;
	}
	rx->next = v->part_free;
	v->part_free = rx;
	parts_put(v, rx->whole);
}

/* ---- posting ---------------------------------------------------------- */

static void tx_finish(struct flint_tx *tx)
{
	if (tx->payload) {
		flint_buf_put(tx->payload);
		tx->payload = NULL;
	}
	tx->done(tx);
}

static void post_flush(struct vlink *v)
{
	if (v->flush_posted || v->link.dead)
		return;
	v->flush_posted = true;
	flint_xprt_get(&v->link);
	flint_loop_post(v->link.loop, &v->flush);
}

static uint32_t pool_lkey(struct vlink *v, struct flint_pool *pool)
{
	struct ibv_mr *mr = pool == v->pool ? v->pool_mr : flint_vdev_mr(v->dev, pool);

	return mr ? mr->lkey : 0;
}

/* Work requests of one post call. */
struct batch {
	int n;
	struct ibv_send_wr wr[POST_BATCH];
	struct ibv_sge sge[POST_BATCH];
};

static struct ibv_send_wr *batch_add(struct batch *b, uint64_t wr_id, enum ibv_wr_opcode op,
				     const void *p, uint32_t len, uint32_t lkey)
{
	struct ibv_send_wr *wr = &b->wr[b->n];
	struct ibv_sge *sge = &b->sge[b->n];

	*sge = (struct ibv_sge){ .addr = (uintptr_t)p, .length = len, .lkey = lkey };
	*wr = (struct ibv_send_wr){
		.wr_id = wr_id, .opcode = op, .sg_list = sge, .num_sge = 1,
	};
	if (b->n)
		b->wr[b->n - 1].next = wr;
	b->n++;
	return wr;
}

static void wr_rdma(struct ibv_send_wr *wr, const struct flint_desc *d)
{
	wr->wr.rdma.remote_addr = le64_to_cpu(d->addr);
	wr->wr.rdma.rkey = le32_to_cpu(d->rkey);
}

/* RDMA WRITEs of the payload, if any, and the SEND behind them. */
static void batch_tx(struct vlink *v, struct batch *b, struct flint_tx *tx)
{
	uint64_t id = (uintptr_t)tx | WR_SEND;
	const uint8_t *p = tx->data;
	struct ibv_send_wr *wr;
	int first = b->n;
	uint8_t i;
	bool inv;

	for (i = 0; i < tx->nr_desc; i++) {
		uint32_t len = le32_to_cpu(tx->desc[i].len);

		wr = batch_add(b, id, IBV_WR_RDMA_WRITE, p, len, pool_lkey(v, tx->payload->pool));
		wr_rdma(wr, &tx->desc[i]);
		p += len;
	}
	/*
	 * Not over iWARP: what user space posts as SEND_WITH_INV arrives with
	 * another key through siw's provider (rdma-core 44), and ends the
	 * connection. A requester invalidates by itself what was left valid.
	 */
	inv = tx->inv && !v->dev->iwarp;
	wr = batch_add(b, id, inv ? IBV_WR_SEND_WITH_INV : IBV_WR_SEND, tx->buf, tx->len,
		       tx->lkey);
	if (inv)
		wr->invalidate_rkey = tx->inv_rkey;
	if (tx->len <= v->inline_max)
		wr->send_flags |= IBV_SEND_INLINE;
	v->unsignaled += (uint32_t)(b->n - first);
	tx->covers = 0;
	if (tx->nr_desc || !(wr->send_flags & IBV_SEND_INLINE) ||
	    v->unsignaled >= v->sq_size / 4) {
		wr->send_flags |= IBV_SEND_SIGNALED;
		tx->covers = (uint16_t)v->unsignaled;
		v->unsignaled = 0;
	}
}

/* RDMA READs of a request's payload into the buffer it was pulled to. */
static void batch_read(struct vlink *v, struct batch *b, struct flint_rx *rx)
{
	const struct flint_msg *m = &rx->msg;
	uint32_t lkey = pool_lkey(v, rx->sink->pool);
	uint8_t *p = rx->dst;
	struct ibv_send_wr *wr = NULL;
	uint8_t i;

	for (i = 0; i < m->nr_desc; i++) {
		uint32_t len = le32_to_cpu(m->desc[i].len);

		wr = batch_add(b, (uintptr_t)rx | WR_READ, IBV_WR_RDMA_READ, p, len, lkey);
		wr_rdma(wr, &m->desc[i]);
		p += len;
	}
	wr->send_flags |= IBV_SEND_SIGNALED;
	v->unsignaled += m->nr_desc;
	rx->covers = (uint16_t)v->unsignaled;
	v->unsignaled = 0;
	v->reads += m->nr_desc;
	v->dev->reads += m->nr_desc;
}

/* Links that want READs when the device has enough of them stand in a line. */
static void line_join(struct vlink *v)
{
	if (v->in_line)
		return;
	v->in_line = true;
	v->line_next = NULL;
	*v->dev->line_last = v;
	v->dev->line_last = &v->line_next;
}

static void line_wake(struct vdev *dev)
{
	if (dev->line)
		post_flush(dev->line);
}

static void line_leave(struct vlink *v)
{
	struct vlink **p;

	if (!v->in_line)
		return;
	for (p = &v->dev->line; *p != v; p = &(*p)->line_next)
		;
	*p = v->line_next;
	if (!*p)
		v->dev->line_last = p;
	v->in_line = false;
	line_wake(v->dev);
}

/* May the first waiting READ go now? Of a link, and of the device, one may always, whatever its size. */
static bool may_read(struct vlink *v)
{
	uint32_t n = v->rd_head->msg.nr_desc;
	struct vdev *dev = v->dev;

	if (v->reads && v->reads + n > v->max_reads)
		return false;
	if ((dev->line && dev->line != v) || (dev->reads && dev->reads + n > DEV_READS)) {
		line_join(v);
		return false;
	}
	line_leave(v);
	return true;
}

/* Take what can be posted off the queues. Return: SENDs whose buffers are free after the post. */
static struct flint_tx *batch_fill(struct vlink *v, struct batch *b)
{
	struct flint_tx *copied = NULL, **tail = &copied;
	uint32_t room = v->sq_free;

	b->n = 0;
	if (v->rd_head && room < v->rd_head->msg.nr_desc)
		line_leave(v);		/* its own completions come first */
	while (v->rd_head && room >= v->rd_head->msg.nr_desc &&
	       b->n + v->rd_head->msg.nr_desc <= POST_BATCH && may_read(v)) {
		struct flint_rx *rx = v->rd_head;

		room -= rx->msg.nr_desc;
		v->rd_head = rx->next;
		if (!v->rd_head)
			v->rd_tail = &v->rd_head;
		rx->next = v->reading;
		v->reading = rx;
		batch_read(v, b, rx);
	}
	while (v->tx_head) {
		struct flint_tx *tx = v->tx_head;
		uint32_t need = tx->nr_desc + 1u;

		if (room < need || b->n + (int)need > POST_BATCH)
			break;
		room -= need;
		v->tx_head = tx->next;
		if (!v->tx_head)
			v->tx_tail = &v->tx_head;
		tx->next = NULL;
		batch_tx(v, b, tx);
		if (tx->covers) {
			*v->sent_tail = tx;
			v->sent_tail = &tx->next;
		} else {
			*tail = tx;
			tail = &tx->next;
		}
	}
	v->sq_free = room;
	return copied;
}

static void verbs_flush(struct vlink *v)
{
	struct ibv_send_wr *bad;
	struct batch b;

	while (!v->link.dead && v->connected && (v->tx_head || v->rd_head)) {
		struct flint_tx *tx, *copied = batch_fill(v, &b);
		int err;

		if (!b.n)
			return;
		err = ibv_post_send(v->id->qp, b.wr, &bad);
		while ((tx = copied)) {
			copied = tx->next;
			tx_finish(tx);
		}
		if (err)
			flint_xprt_fail(&v->link, -EIO, "cannot post: %s", strerror(err));
	}
}

static void flush_run(struct flint_task *t)
{
	struct vlink *v = (struct vlink *)((char *)t - offsetof(struct vlink, flush));

	v->flush_posted = false;
	verbs_flush(v);
	flint_xprt_put(&v->link);
}

static void verbs_send(struct flint_xprt *link, struct flint_tx *tx)
{
	struct vlink *v = to_vlink(link);

	if (link->dead || link->torn) {
		tx_finish(tx);
		return;
	}
	tx->next = NULL;
	*v->tx_tail = tx;
	v->tx_tail = &tx->next;
	post_flush(v);
}

static void verbs_pull(struct flint_xprt *link, struct flint_rx *rx, void *dst,
		       struct flint_buf *buf)
{
	struct vlink *v = to_vlink(link);

	/* On a link that is already dead the teardown reports. */
	rx->sink = buf;
	rx->dst = dst;
	rx->next = NULL;
	*v->rd_tail = rx;
	v->rd_tail = &rx->next;
	if (!v->max_reads)
		flint_xprt_fail(link, -EPROTO, "the client allows no RDMA READ");
	post_flush(v);
}

static int verbs_describe(struct flint_xprt *link, struct flint_pool *pool, const void *p,
			  uint32_t len, struct flint_desc *desc)
{
	struct vlink *v = to_vlink(link);
	struct ibv_mr *mr = pool == v->pool ? v->pool_mr : flint_vdev_mr(v->dev, pool);

	if (!mr)
		return -ENOMEM;
	desc->addr = cpu_to_le64((uintptr_t)p);
	desc->len = cpu_to_le32(len);
	desc->rkey = cpu_to_le32(mr->rkey);
	return 0;
}

/* ---- completions ------------------------------------------------------ */

static void wc_failed(struct vlink *v, const struct ibv_wc *wc)
{
	switch (wc->status) {
	case IBV_WC_WR_FLUSH_ERR:
	case IBV_WC_RETRY_EXC_ERR:
		flint_xprt_fail(&v->link, -ENOTCONN, "connection lost (%s)",
				ibv_wc_status_str(wc->status));
		break;
	case IBV_WC_RNR_RETRY_EXC_ERR:
		flint_xprt_fail(&v->link, -EPROTO, "the peer has no receive buffer for an answer");
		break;
	case IBV_WC_REM_ACCESS_ERR:
	case IBV_WC_REM_OP_ERR:
	case IBV_WC_REM_INV_REQ_ERR:
		flint_xprt_fail(&v->link, -EPROTO, "bad descriptor or key (%s)",
				ibv_wc_status_str(wc->status));
		break;
	case IBV_WC_LOC_LEN_ERR:
		flint_xprt_fail(&v->link, -EPROTO, "message of more than %u bytes", v->msg_max);
		break;
	default:
		flint_xprt_fail(&v->link, -EIO, "work request failed: %s",
				ibv_wc_status_str(wc->status));
		break;
	}
}

/* One message: check it and hand it over. */
static void rx_message(struct vlink *v, struct flint_rx *rx, uint32_t len)
{
	int err = flint_msg_parse(rx->buf, len, &v->link.lim, &rx->msg);

	if (err) {
		flint_xprt_fail(&v->link, -EPROTO, "%s",
				flint_proto_why((const struct flint_hdr *)rx->buf, len, err));
		return;
	}
	rx->pending = 0;
	v->link.user->message(&v->link, rx);
}

/* Several messages in a buffer, which is ours until the last of them is put. */
static void rx_bundle(struct vlink *v, struct flint_rx *whole, uint32_t len)
{
	uint8_t *p = whole->buf;

	whole->parts = 1;
	while (len && !v->link.dead && !v->link.torn) {
		uint32_t n = flint_msg_split(p, len);
		struct flint_rx *rx = part_get(v, whole, p);

		if (!rx) {
			flint_xprt_fail(&v->link, -EPROTO, "more than %u requests in flight",
					v->link.depth);
			return;
		}
		p += n;
		len -= n;
		rx_message(v, rx, n);
	}
	parts_put(v, whole);
}

static void wc_recv(struct vlink *v, const struct ibv_wc *wc, struct flint_rx *rx)
{
	uint32_t len = wc->byte_len;

	v->link.rx_ns = flint_loop_now(v->link.loop);
	if (wc->opcode != IBV_WC_RECV || (wc->wc_flags & (IBV_WC_WITH_IMM | IBV_WC_WITH_INV))) {
		flint_xprt_fail(&v->link, -EPROTO, "a message other than a plain SEND");
		return;
	}
	if (len > flint_msg_max(v->link.inline_size)) {
		flint_xprt_fail(&v->link, -EPROTO, "message of %u bytes is too long", len);
		return;
	}
	if (v->parts && flint_msg_split(rx->buf, len) != len)
		rx_bundle(v, rx, len);
	else
		rx_message(v, rx, len);
}

static void wc_sent(struct vlink *v, struct flint_tx *tx)
{
	/* In order, so it is the oldest one. */
	v->sent_head = tx->next;
	if (!v->sent_head)
		v->sent_tail = &v->sent_head;
	v->sq_free += tx->covers;
	tx_finish(tx);
	if (v->tx_head || v->rd_head)
		post_flush(v);
}

static void wc_read(struct vlink *v, struct flint_rx *rx)
{
	struct flint_rx **p;

	for (p = &v->reading; *p != rx; p = &(*p)->next)
		;
	*p = rx->next;
	v->sq_free += rx->covers;
	v->reads -= rx->msg.nr_desc;
	v->dev->reads -= rx->msg.nr_desc;
	if (v->tx_head || v->rd_head)
		post_flush(v);
	line_wake(v->dev);
	rx->sink = NULL;
	rx->pulled(rx, 0);
}

static void wc_handle(struct vlink *v, const struct ibv_wc *wc)
{
	void *obj = (void *)(uintptr_t)(wc->wr_id & ~(uint64_t)WR_MASK);

	if (wc->status != IBV_WC_SUCCESS) {
		wc_failed(v, wc);
		return;
	}
	switch (wc->wr_id & WR_MASK) {
	case WR_RECV:
		wc_recv(v, wc, obj);
		break;
	case WR_SEND:
		wc_sent(v, obj);
		break;
	case WR_READ:
		wc_read(v, obj);
		break;
	}
}

/* Arm, then look until there is nothing: what comes later raises an event. */
static void verbs_poll(struct vlink *v)
{
	struct ibv_wc wc[POLL_BATCH];
	int n, i, budget = POLL_BUDGET;

	if (v->link.dead || v->link.torn)
		return;
	if (ibv_req_notify_cq(v->cq, 0)) {
		flint_xprt_fail(&v->link, -EIO, "cannot arm the completion queue");
		return;
	}
	do {
		n = ibv_poll_cq(v->cq, POLL_BATCH, wc);
		if (n < 0) {
			flint_xprt_fail(&v->link, -EIO, "cannot poll the completion queue");
			return;
		}
		for (i = 0; i < n && !v->link.dead; i++)
			wc_handle(v, &wc[i]);
	} while (n == POLL_BATCH && --budget && !v->link.dead);
	if (n == POLL_BATCH && !v->link.dead && !v->poll_posted) {
		v->poll_posted = true;
		flint_xprt_get(&v->link);
		flint_loop_post(v->link.loop, &v->poll);
	}
}

static void poll_run(struct flint_task *t)
{
	struct vlink *v = (struct vlink *)((char *)t - offsetof(struct vlink, poll));

	v->poll_posted = false;
	verbs_poll(v);
	flint_xprt_put(&v->link);
}

void flint_vlink_completions(struct vlink *v)
{
	flint_xprt_get(&v->link);
	v->cq_events++;
	verbs_poll(v);
	flint_xprt_put(&v->link);
}

/* ---- life ------------------------------------------------------------- */

static struct vlink *vlink_new(struct flint_loop *loop, const struct flint_xprt_params *p,
			       struct rdma_cm_id *id)
{
	struct vlink *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	flint_xprt_init(&v->link, &verbs_ops, loop, FLINT_PROTO_RDMA);
	v->link.inline_size = p->inline_size;
	v->link.max_io = p->max_io;
	v->link.depth = p->depth;
	v->pushes = p->pushes;
	v->link.reply_early = true;
	flint_xprt_limits(&v->link, p->inline_size, p->max_io);
	v->msg_max = flint_msg_max(p->inline_size);
	v->pool = p->pool;
	v->id = id;
	v->tx_tail = &v->tx_head;
	v->sent_tail = &v->sent_head;
	v->rd_tail = &v->rd_head;
	v->flush.fn = flush_run;
	v->poll.fn = poll_run;
	return v;
}

static int qp_create(struct vlink *v)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = v->cq, .recv_cq = v->cq, .qp_type = IBV_QPT_RC,
	};
	uint32_t inl = MAX_INLINE;

	/* Devices differ in what they can combine: ask for less until it fits. */
	for (;;) {
		attr.cap = (struct ibv_qp_cap){
			.max_send_wr = v->sq_size, .max_recv_wr = v->nr_rx,
			.max_send_sge = 1, .max_recv_sge = 1, .max_inline_data = inl,
		};
		if (!rdma_create_qp(v->id, v->dev->pd, &attr))
			break;
		if (inl)
			inl = inl > 64 ? inl / 2 : 0;
		else if (v->sq_size > 16)
			v->sq_size /= 2;
		else
			return errno;
	}
	v->inline_max = inl;
	v->sq_free = v->sq_size;
	return 0;
}

/* Everything of a queue pair, with its receives posted. 0 or errno. */
static int vlink_setup(struct vlink *v, struct vloop *vl, bool client)
{
	uint8_t timeout = ACK_TIMEOUT;
	uint32_t depth = v->link.depth;
	int err;

	v->dev = flint_vdev_get(vl, v->id, client);
	if (!v->dev)
		return errno;
	if (v->pool) {
		v->pool_mr = flint_vdev_mr(v->dev, v->pool);
		if (!v->pool_mr)
			return errno ? errno : ENOMEM;
	}
	v->nr_rx = depth + 3 + v->pushes;
	v->sq_size = (client ? depth : 3 * depth) + 16;
	if (v->sq_size > (uint32_t)v->dev->attr.max_qp_wr)
		v->sq_size = (uint32_t)v->dev->attr.max_qp_wr;
	if (v->nr_rx > (uint32_t)v->dev->attr.max_qp_wr)
		return E2BIG;
	v->cq = ibv_create_cq(v->dev->ctx, (int)(v->nr_rx + v->sq_size + 8), v, v->dev->cc, 0);
	if (!v->cq)
		return errno;
	err = qp_create(v);
	if (err)
		return err;
	err = ibv_req_notify_cq(v->cq, 0);
	if (err)
		return err;
	if (tx_grow(v, SLAB_TX))
		return ENOMEM;
	err = rx_grow(v, v->nr_rx);
	if (!err && !client)
		err = parts_new(v);
	if (err)
		return err;
	/* A hint: an older kernel does not know it. */
	rdma_set_option(v->id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout,
			sizeof(timeout));
	return 0;
}

/* The queue pair is gone: hand every buffer back. */
static void vlink_give_back(struct vlink *v)
{
	struct flint_rx *rx;
	struct flint_tx *tx;

	while ((tx = v->sent_head)) {
		v->sent_head = tx->next;
		tx_finish(tx);
	}
	while ((tx = v->tx_head)) {
		v->tx_head = tx->next;
		tx_finish(tx);
	}
	if (v->dev) {
		v->dev->reads -= v->reads;
		v->reads = 0;
		line_leave(v);
		line_wake(v->dev);
	}
	while ((rx = v->reading)) {
		v->reading = rx->next;
		rx->pulled(rx, -ENOTCONN);
	}
	while ((rx = v->rd_head)) {
		v->rd_head = rx->next;
		rx->pulled(rx, -ENOTCONN);
	}
	v->sent_tail = &v->sent_head;
	v->tx_tail = &v->tx_head;
	v->rd_tail = &v->rd_head;
}

static void verbs_teardown(struct flint_xprt *link)
{
	struct vlink *v = to_vlink(link);
	struct slab *s;

	flint_timer_cancel(link->loop, &v->pause);
	if (v->id && v->id->qp) {
		rdma_disconnect(v->id);
		rdma_destroy_qp(v->id);
	}
	if (v->cq) {
		ibv_ack_cq_events(v->cq, v->cq_events);
		ibv_destroy_cq(v->cq);
		v->cq = NULL;
	}
	if (v->id) {
		rdma_destroy_id(v->id);
		v->id = NULL;
	}
	vlink_give_back(v);
	for (s = v->slabs; s; s = s->next) {
		ibv_dereg_mr(s->mr);
		s->mr = NULL;
	}
}

static void verbs_free(struct flint_xprt *link)
{
	struct vlink *v = to_vlink(link);
	struct slab *s;

	while ((s = v->slabs)) {
		v->slabs = s->next;
		free(s->objs);
		free(s->mem);
		free(s);
	}
	free(v->parts);
	free(v);
}

static const struct flint_xprt_ops verbs_ops = {
	.name = "rdma",
	.tx_get = verbs_tx_get,
	.tx_put = verbs_tx_put,
	.send = verbs_send,
	.pull = verbs_pull,
	.rx_put = verbs_rx_put,
	.describe = verbs_describe,
	.teardown = verbs_teardown,
	.free = verbs_free,
};

static void priv_fill(struct flint_cm_priv *p, uint32_t msg_size, uint32_t depth, uint8_t reason)
{
	*p = (struct flint_cm_priv){
		.magic = cpu_to_le32(FLINT_MAGIC),
		.major = FLINT_PROTO_MAJOR,
		.reason = reason,
		.msg_size = cpu_to_le32(msg_size),
		.depth = cpu_to_le32(depth),
	};
}

/* ---- connecting ------------------------------------------------------- */

static const char *reject_why(const void *priv, uint8_t len)
{
	struct flint_cm_priv p;

	if (len < sizeof(p))
		return "connection refused: nobody listens there";
	memcpy(&p, priv, sizeof(p));
	if (p.magic != cpu_to_le32(FLINT_MAGIC))
		return "connection refused: nobody listens there";
	switch (p.reason) {
	case FLINT_REJ_VERSION:
		return "the server speaks another protocol version: install the same FlintFS version on both";
	case FLINT_REJ_SIZE:
		return "the server refuses our message size";
	case FLINT_REJ_BUSY:
		return "the server has too many connections or stops";
	default:
		return "the server refused the connection";
	}
}

static void verbs_route(struct vlink *v)
{
	struct flint_cm_priv priv;
	struct rdma_conn_param param = {
		.private_data = &priv, .private_data_len = sizeof(priv),
		.initiator_depth = 1, .flow_control = 1,
		.retry_count = 6, .rnr_retry_count = 1,
	};
	int err = vlink_setup(v, flint_vloop_get(v->link.loop), true);

	if (err) {
		flint_xprt_fail(&v->link, -err, "cannot set up a queue pair: %s", strerror(err));
		return;
	}
	priv_fill(&priv, v->msg_max, v->link.depth, FLINT_REJ_NONE);
	param.responder_resources = (uint8_t)(v->dev->attr.max_qp_rd_atom < MAX_READS ?
					      v->dev->attr.max_qp_rd_atom : MAX_READS);
	if (rdma_connect(v->id, &param))
		flint_xprt_fail(&v->link, -errno, "connect: %s", strerror(errno));
}

static void pause_over(struct flint_timer *t)
{
	struct vlink *v = t->arg;

	if (!v->link.dead)
		v->link.user->up(&v->link);
}

/*
 * siw's responder answers the connection request before its queue pair listens
 * to the socket; a message that arrives in between wakes nobody (siw_accept()
 * in Linux 6.1, about one connection in fifty). So an iWARP client, which has
 * to speak first, takes a breath.
 */
static void link_established(struct vlink *v)
{
	v->connected = true;
	if (!v->dev->iwarp) {
		v->link.user->up(&v->link);
		return;
	}
	v->pause.fn = pause_over;
	v->pause.arg = v;
	flint_timer_set(v->link.loop, &v->pause, IWARP_PAUSE_MS);
}

static void link_event(struct vcm *cm, const struct rdma_cm_event *ev, const void *priv,
		       uint8_t priv_len)
{
	struct vlink *v = (struct vlink *)((char *)cm - offsetof(struct vlink, cm));
	struct flint_xprt *link = &v->link;

	if (link->dead)
		return;
	flint_xprt_get(link);
	switch (ev->event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		if (rdma_resolve_route(v->id, RESOLVE_MS))
			flint_xprt_fail(link, -errno, "route: %s", strerror(errno));
		break;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		verbs_route(v);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		if (link->client && !v->connected)
			link_established(v);
		break;
	case RDMA_CM_EVENT_REJECTED:
		flint_xprt_fail(link, -ECONNREFUSED, "%s", reject_why(priv, priv_len));
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
		flint_xprt_fail(link, -ENOTCONN, "closed by the peer");
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		flint_xprt_fail(link, -ENOTCONN, "the RDMA device was removed");
		break;
	case RDMA_CM_EVENT_ADDR_CHANGE:
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
		break;
	default:
		flint_xprt_fail(link, -ENOTCONN, "%s (%d)", rdma_event_str(ev->event), ev->status);
		break;
	}
	flint_xprt_put(link);
}

struct flint_xprt *flint_verbs_connect(struct flint_loop *loop, const struct flint_xprt_params *p,
				       const struct sockaddr_storage *addr,
				       const struct flint_xprt_user *user, void *owner)
{
	struct rdma_cm_id *id;
	struct vloop *vl;
	struct vlink *v;
	int err;

	if (!flint_verbs_present()) {
		errno = ENODEV;
		return NULL;
	}
	vl = flint_vloop_get(loop);
	if (!vl || rdma_create_id(vl->channel, &id, NULL, RDMA_PS_TCP))
		return NULL;
	v = vlink_new(loop, p, id);
	if (!v) {
		err = ENOMEM;
		goto fail_id;
	}
	v->cm.event = link_event;
	id->context = &v->cm;
	v->link.client = true;
	v->link.user = user;
	v->link.owner = owner;
	flint_xprt_set_addr(&v->link, (const struct sockaddr *)addr);
	if (rdma_resolve_addr(id, NULL, (struct sockaddr *)addr, RESOLVE_MS)) {
		err = errno;
		goto fail_link;
	}
	return &v->link;

fail_link:
	free(v);
fail_id:
	rdma_destroy_id(id);
	errno = err;
	return NULL;
}

/* ---- listening -------------------------------------------------------- */

struct vlisten {
	struct flint_listener listener;
	struct vcm cm;
	struct rdma_cm_id *id;
};

/* A connection request on its way to its loop. */
struct vnew {
	struct flint_task task;
	struct flint_acceptor *acceptor;
	struct flint_loop *loop;
	struct rdma_cm_id *id;
	uint8_t init_depth;		/* READs that the client can serve */
	uint8_t resp_res;
	uint32_t depth;
	uint32_t msg_size;
};

static void verbs_reject(struct rdma_cm_id *id, uint8_t reason)
{
	struct flint_cm_priv priv;

	priv_fill(&priv, 0, 0, reason);
	rdma_reject(id, &priv, sizeof(priv));
}

/* An event of an id that is not yet, or never will be, a link's. */
static void no_event(struct vcm *cm, const struct rdma_cm_event *ev, const void *priv,
		     uint8_t priv_len)
{
}

static struct vcm no_cm = { .event = no_event };

static int vnew_accept(struct vnew *n, struct vlink *v)
{
	struct flint_cm_priv priv;
	struct rdma_conn_param param = {
		.private_data = &priv, .private_data_len = sizeof(priv),
		.responder_resources = n->resp_res ? 1 : 0,
		.flow_control = 1, .rnr_retry_count = 1,
	};
	int err = vlink_setup(v, flint_vloop_get(n->loop), false);

	if (err)
		return err;
	v->max_reads = n->init_depth;
	if (v->max_reads > MAX_READS)
		v->max_reads = MAX_READS;
	if (v->max_reads > (uint32_t)v->dev->attr.max_qp_init_rd_atom)
		v->max_reads = (uint32_t)v->dev->attr.max_qp_init_rd_atom;
	param.initiator_depth = (uint8_t)v->max_reads;
	priv_fill(&priv, v->msg_max, v->link.depth, FLINT_REJ_NONE);
	v->connected = true;
	return rdma_accept(v->id, &param) ? errno : 0;
}

/* On the connection's own loop. */
static void vnew_run(struct flint_task *task)
{
	struct vnew *n = (struct vnew *)task;
	struct flint_acceptor *a = n->acceptor;
	struct flint_xprt_params p = a->params;
	struct vloop *vl = flint_vloop_get(n->loop);
	struct vlink *v = NULL;
	int err;

	if (n->depth < p.depth)
		p.depth = n->depth;
	if (!vl || rdma_migrate_id(n->id, vl->channel))
		goto reject;
	v = vlink_new(n->loop, &p, n->id);
	if (!v)
		goto reject;
	v->cm.event = link_event;
	n->id->context = &v->cm;
	flint_xprt_set_addr(&v->link, rdma_get_peer_addr(n->id));
	/* Before accepting: the first message may be here before anything else. */
	if (a->accept(a, &v->link))
		goto drop;
	err = vnew_accept(n, v);
	if (err) {
		verbs_reject(n->id, FLINT_REJ_BUSY);
		flint_xprt_fail(&v->link, -err, "cannot accept: %s", strerror(err));
	}
	free(n);
	return;

drop:
	verbs_reject(n->id, FLINT_REJ_BUSY);
	flint_xprt_close(&v->link);
	a->unpick(a);
	free(n);
	return;

reject:
	flint_warn_rl("cannot take a connection: %s", strerror(errno));
	verbs_reject(n->id, FLINT_REJ_BUSY);
	rdma_destroy_id(n->id);
	a->unpick(a);
	free(n);
}

/* Is this one of us? enum flint_cm_reject. */
static uint8_t priv_check(const struct flint_cm_priv *p)
{
	uint32_t size = le32_to_cpu(p->msg_size);

	if (p->magic != cpu_to_le32(FLINT_MAGIC) || !p->depth)
		return FLINT_REJ_MAGIC;
	if (p->major != FLINT_PROTO_MAJOR)
		return FLINT_REJ_VERSION;
	if (size < FLINT_CTRL_SIZE || size > flint_msg_max(FLINT_INLINE_MAX))
		return FLINT_REJ_SIZE;
	return FLINT_REJ_NONE;
}

static void listen_event(struct vcm *cm, const struct rdma_cm_event *ev, const void *private,
			 uint8_t priv_len)
{
	struct vlisten *l = (struct vlisten *)((char *)cm - offsetof(struct vlisten, cm));
	struct flint_acceptor *a = l->listener.acceptor;
	struct flint_cm_priv priv = { 0 };
	uint8_t reason;
	struct vnew *n;
	char from[64];

	if (ev->event == RDMA_CM_EVENT_DEVICE_REMOVAL && ev->id == l->id) {
		flint_err("the RDMA device of a listener was removed: restart the server when it is back");
		return;
	}
	if (ev->event != RDMA_CM_EVENT_CONNECT_REQUEST)
		return;
	ev->id->context = &no_cm;
	if (priv_len >= sizeof(priv))
		memcpy(&priv, private, sizeof(priv));
	reason = priv_check(&priv);
	flint_sockaddr_text(rdma_get_peer_addr(ev->id), from, sizeof(from));
	if (reason == FLINT_REJ_VERSION) {
		flint_warn_rl("refused %s (rdma): it speaks protocol version %u and this server %u.%u: install the same FlintFS version on both",
			      from, priv.major, FLINT_PROTO_MAJOR, FLINT_PROTO_MINOR);
		goto reject;
	}
	if (reason) {
		flint_warn_rl("refused %s (rdma): not a FlintFS client, or one of a senseless message size (reason %u)",
			      from, reason);
		goto reject;
	}
	reason = FLINT_REJ_BUSY;
	n = calloc(1, sizeof(*n));
	if (!n)
		goto reject;
	n->acceptor = a;
	n->id = ev->id;
	n->init_depth = ev->param.conn.initiator_depth;
	n->resp_res = ev->param.conn.responder_resources;
	n->depth = le32_to_cpu(priv.depth);
	n->msg_size = le32_to_cpu(priv.msg_size);
	n->task.fn = vnew_run;
	n->loop = a->pick(a);
	if (!n->loop) {
		free(n);
		goto reject;
	}
	flint_loop_post(n->loop, &n->task);
	return;

reject:
	verbs_reject(ev->id, reason);
	rdma_destroy_id(ev->id);
}

static void verbs_listener_close(struct flint_listener *listener)
{
	struct vlisten *l = (struct vlisten *)listener;

	rdma_destroy_id(l->id);
	free(l);
}

static const struct flint_listener_ops verbs_listener_ops = { .close = verbs_listener_close };

int flint_verbs_listen(struct flint_acceptor *a, struct sockaddr_storage *addr,
		       struct flint_listener **lp, char *err, size_t errlen)
{
	struct vloop *vl;
	struct vlisten *l;
	char text[64];
	int ret;

	if (!flint_verbs_present()) {
		snprintf(err, errlen, "this machine has no RDMA device: load its driver, add a software one (rdma link add rxe0 type rxe netdev IFACE), or use TCP only (RDMA port 0)");
		return -ENODEV;
	}
	vl = flint_vloop_get(a->loop);
	if (!vl) {
		ret = errno;
		snprintf(err, errlen, "cannot open the RDMA connection manager: %s; load the module rdma_ucm",
			 strerror(ret));
		return ret == ENOMEM ? -ENOMEM : -ENODEV;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	l->listener.ops = &verbs_listener_ops;
	l->listener.acceptor = a;
	l->cm.event = listen_event;
	flint_sockaddr_text((struct sockaddr *)addr, text, sizeof(text));
	if (rdma_create_id(vl->channel, &l->id, &l->cm, RDMA_PS_TCP))
		goto fail;
	if (rdma_bind_addr(l->id, (struct sockaddr *)addr) || rdma_listen(l->id, 128))
		goto fail_id;
	memcpy(addr, rdma_get_local_addr(l->id), flint_sockaddr_len(addr));
	*lp = &l->listener;
	return 0;

fail_id:
	ret = errno;
	rdma_destroy_id(l->id);
	errno = ret;
fail:
	ret = errno;
	free(l);
	snprintf(err, errlen, "cannot listen on %s (RDMA): %s%s", text, strerror(ret),
		 ret == EADDRINUSE ? "; another process uses this port" :
		 ret == ENODEV || ret == EADDRNOTAVAIL ?
		 "; no RDMA device has this address" : "");
	return -ret;
}
