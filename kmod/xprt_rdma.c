// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verbs transport: devices, connecting through rdma_cm, queue pairs,
 * completions, draining.
 *
 * A connection has one RC queue pair and one completion queue, polled in a
 * software interrupt, one completion at a time. There a request that allows it
 * (slot->atomic: small transfers of files, calls) ends, so that its waiter is the
 * first process to run. All other replies, and pushes, are put in line for a
 * work item, which takes them in their order, one at a time and in process
 * context. A request is posted as one chain: REG_MR for each memory
 * region, then SEND, with one doorbell. Sends are signaled only every so often:
 * a reply proves that its request was received, so nothing waits for the
 * send's own completion; the signaled ones free the send queue.
 *
 * Bundles. While a submitter says by its block plug that more is to come (as
 * io_uring, libaio and read-ahead do), small requests without regions wait for
 * each other in the message buffer of the first and leave as one message, so
 * that one packet and one acknowledgment serve them all. The answer to any of
 * them proves that all were received. A plug that something waits for counts in
 * c.preparing; it is pulled when the system call has submitted everything, and
 * before its task sleeps.
 *
 * Sizes. The send queue holds FLINT_MAX_DESC + 1 work requests per slot for
 * requests (counted: sq_used), FLINT_MAX_DESC per slot for LOCAL_INV (at most
 * that many are ever outstanding, as a slot is not free before they are done)
 * and a drain marker, so that posting never fails for want of room. The
 * receive queue holds a buffer per slot, which is all that can be answered,
 * FLINT_RX_SPARE for pushes and for those that are being looked at (by the
 * software interrupt and by the work) or wait to be posted again in a batch,
 * and a drain marker.
 *
 * The handlers of the connection manager only note what happened and return
 * 0; destroying is the teardown's (peer.c).
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/module.h>
#include "xprt_rdma.h"
#include "flint_trace.h"

#define FLINT_RX_SPARE	(FLINT_PUSH_WINDOW + FLINT_RX_BATCH + 1)
#define FLINT_RX_BATCH	8
#define FLINT_BUNDLE_MAX 8	/* the first waits until so many were submitted */
#define FLINT_ACK_TIMEOUT 18	/* 4.096 us * 2^18: 1.07 s */
#define FLINT_ARENA_BLOCK 32768
/*
 * siw of Linux 6.1 attaches an accepted socket after it has answered the
 * connect request, and loses a message that comes in between: siw_accept().
 */
#define FLINT_IWARP_PAUSE_MS 20

/*
 * struct flint_arena - message buffers, DMA-mapped once
 * @blocks: each holds @per_block buffers of @size bytes
 */
struct flint_arena {
	struct flint_arena_block {
		void *cpu;
		u64 dma;
	} *blocks;
	unsigned int nr_blocks;
	unsigned int per_block;
	unsigned int order;
	u32 size;
	enum dma_data_direction dir;
};

/*
 * struct flint_rbuf - a receive buffer
 * @node: in rc->later, or in the work's own list
 * @rs: whose reply it holds; NULL: a push
 * @msg: what it holds, checked
 */
struct flint_rbuf {
	struct ib_cqe cqe;
	struct ib_recv_wr wr;
	struct ib_sge sge;
	void *buf;
	struct list_head node;
	struct flint_rdma_slot *rs;
	struct flint_msg msg;
};

/*
 * struct flint_rdma_slot - a slot and its work requests
 * @cover: send queue entries that the completion of the signaled send frees
 * @rbuf: the reply while regions are being invalidated
 */
struct flint_rdma_slot {
	struct flint_slot s;
	struct flint_rdma_conn *rc;
	struct flint_mr *mr[FLINT_MAX_DESC];
	unsigned int nr_mr;
	struct ib_send_wr wr;
	struct ib_sge sge;
	struct ib_cqe send_cqe;
	struct ib_cqe inv_cqe;
	u32 cover;
	struct flint_rbuf *rbuf;
};

enum flint_cm_stage {
	FLINT_CM_START,
	FLINT_CM_ADDR,
	FLINT_CM_ROUTE,
	FLINT_CM_UP,
};

struct flint_rdma_conn {
	struct flint_conn c;		/* first: freed through it */
	struct flint_dev *dev;
	struct list_head dev_node;
	struct rdma_cm_id *id;
	struct ib_qp *qp;
	struct ib_cq *cq;
	enum flint_cm_stage stage;
	struct flint_arena tx, rx;
	struct flint_rbuf *rbufs;
	unsigned int nr_rbufs;
	spinlock_t later_lock;		/* @later; a leaf */
	struct list_head later;		/* replies and pushes for @work */
	struct work_struct work;
	struct ib_recv_wr *repost;	/* chain; it and the next four under c.lock */
	unsigned int nr_repost;
	u32 sq_size;
	u32 sq_used;
	u32 sq_unsig;
	struct flint_rdma_slot *bundle;	/* whose buffer requests wait in; all three under c.lock */
	u32 bundle_len;
	unsigned int bundle_nr;
	bool qp_event;
	bool draining;
	atomic_t drain_left;
	struct completion drained;
	struct ib_cqe drain_rq, drain_sq;
	void *slot_mem;
};

#define to_rc(conn) container_of(conn, struct flint_rdma_conn, c)
#define to_rs(slot) container_of(slot, struct flint_rdma_slot, s)

static DEFINE_MUTEX(flint_dev_mutex);	/* flint_dev: conns, gone */
static struct ib_client flint_ib_client;

/* ---- devices ---------------------------------------------------------- */

static int flint_dev_add(struct ib_device *ibdev)
{
	struct flint_dev *dev;

	if (!(ibdev->attrs.device_cap_flags & IB_DEVICE_MEM_MGT_EXTENSIONS))
		return -EOPNOTSUPP;
	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;
	dev->ibdev = ibdev;
	dev->max_pages = min_t(u32, ibdev->attrs.max_fast_reg_page_list_len, FLINT_MR_PAGES_MAX);
	dev->max_seg = ib_dma_max_seg_size(ibdev) & PAGE_MASK;
	if (!dev->max_pages || !dev->max_seg) {
		kfree(dev);
		return -EOPNOTSUPP;
	}
	INIT_LIST_HEAD(&dev->conns);
	init_completion(&dev->idle);
	flint_mr_pool_init(dev);
	dev->pd = ib_alloc_pd(ibdev, 0);
	if (IS_ERR(dev->pd)) {
		int err = PTR_ERR(dev->pd);

		kfree(dev);
		return err;
	}
	ib_set_client_data(ibdev, &flint_ib_client, dev);
	return 0;
}

/* Nobody uses it, nor will? Under flint_dev_mutex. */
static void flint_dev_check_idle(struct flint_dev *dev)
{
	if (dev->gone && list_empty(&dev->conns))
		complete(&dev->idle);
}

/* The device goes: its connections end first. Sleeps until they have. */
static void flint_dev_remove(struct ib_device *ibdev, void *data)
{
	struct flint_dev *dev = data;
	struct flint_rdma_conn *rc;

	if (!dev)
		return;
	mutex_lock(&flint_dev_mutex);
	/* Not to be found when it is freed: the core forgets it only after we have returned. */
	ib_set_client_data(ibdev, &flint_ib_client, NULL);
	dev->gone = true;
	list_for_each_entry(rc, &dev->conns, dev_node)
		flint_conn_fail(&rc->c, -ENODEV, "the RDMA device was removed");
	flint_dev_check_idle(dev);
	mutex_unlock(&flint_dev_mutex);
	while (!wait_for_completion_timeout(&dev->idle, 60 * HZ))
		pr_warn("%s: removal waits for connections\n", dev_name(&ibdev->dev));
	flint_mr_pool_free(dev);
	ib_dealloc_pd(dev->pd);
	kfree(dev);
}

static struct ib_client flint_ib_client = {
	.name = "flintfs",
	.add = flint_dev_add,
	.remove = flint_dev_remove,
};

static int flint_dev_attach(struct flint_rdma_conn *rc)
{
	struct flint_dev *dev;
	int err = -ENODEV;

	mutex_lock(&flint_dev_mutex);
	dev = ib_get_client_data(rc->id->device, &flint_ib_client);
	if (dev && !dev->gone) {
		err = 0;
		rc->dev = dev;
		list_add(&rc->dev_node, &dev->conns);
	}
	mutex_unlock(&flint_dev_mutex);
	if (err)
		flint_conn_fail(&rc->c, err, "RDMA device %s cannot be used: no fast registration",
				dev_name(&rc->id->device->dev));
	return err;
}

static void flint_dev_detach(struct flint_rdma_conn *rc)
{
	mutex_lock(&flint_dev_mutex);
	list_del(&rc->dev_node);
	flint_dev_check_idle(rc->dev);
	mutex_unlock(&flint_dev_mutex);
	rc->dev = NULL;
}

/* ---- message buffers -------------------------------------------------- */

static void flint_arena_free(struct flint_arena *a, struct ib_device *ibdev)
{
	unsigned int i;

	for (i = 0; i < a->nr_blocks; i++) {
		ib_dma_unmap_single(ibdev, a->blocks[i].dma, PAGE_SIZE << a->order, a->dir);
		free_pages((unsigned long)a->blocks[i].cpu, a->order);
	}
	kvfree(a->blocks);
	memset(a, 0, sizeof(*a));
}

static int flint_arena_alloc(struct flint_arena *a, struct ib_device *ibdev, u32 size,
			     unsigned int nr, enum dma_data_direction dir)
{
	unsigned int want;

	a->size = ALIGN(size, 64);
	a->order = get_order(max_t(u32, a->size, FLINT_ARENA_BLOCK));
	a->per_block = (PAGE_SIZE << a->order) / a->size;
	a->dir = dir;
	want = DIV_ROUND_UP(nr, a->per_block);
	a->blocks = kvcalloc(want, sizeof(*a->blocks), GFP_KERNEL);
	if (!a->blocks)
		return -ENOMEM;
	while (a->nr_blocks < want) {
		void *p = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN,
						   a->order);
		u64 dma;

		if (!p)
			return -ENOMEM;
		dma = ib_dma_map_single(ibdev, p, PAGE_SIZE << a->order, dir);
		if (ib_dma_mapping_error(ibdev, dma)) {
			free_pages((unsigned long)p, a->order);
			return -ENOMEM;
		}
		a->blocks[a->nr_blocks].cpu = p;
		a->blocks[a->nr_blocks++].dma = dma;
	}
	return 0;
}

static void *flint_arena_buf(const struct flint_arena *a, unsigned int i, u64 *dma)
{
	const struct flint_arena_block *b = &a->blocks[i / a->per_block];
	u32 off = i % a->per_block * a->size;

	*dma = b->dma + off;
	return b->cpu + off;
}

/* ---- sending ---------------------------------------------------------- */

static void flint_rdma_unmap(struct flint_conn *conn, struct flint_slot *slot)
{
	struct flint_rdma_slot *rs = to_rs(slot);
	struct flint_dev *dev = to_rc(conn)->dev;
	unsigned int i;

	if (!rs->nr_mr)
		return;
	for (i = 0; i < rs->nr_mr; i++)
		flint_mr_unmap(dev, rs->mr[i]);
	flint_mr_put(dev, rs->mr, rs->nr_mr);
	rs->nr_mr = 0;
}

/* Most memory needs one region: try that before counting. Return: 1; 0: it needs more. */
static int flint_rdma_map_one(struct flint_conn *conn, struct flint_slot *slot,
			      struct flint_req *req, struct flint_cursor cur,
			      struct flint_desc *desc)
{
	struct flint_rdma_slot *rs = to_rs(slot);
	struct flint_dev *dev = to_rc(conn)->dev;
	int err;

	if (flint_mr_get(dev, rs->mr, 1))
		return -EAGAIN;
	rs->nr_mr = 1;
	err = flint_mr_map(dev, rs->mr[0], req->bvec, &cur, req->dir == FLINT_DIR_IN, desc);
	if (!err && !cur.left)
		return 1;
	flint_rdma_unmap(conn, slot);
	return err;
}

static int flint_rdma_map(struct flint_conn *conn, struct flint_slot *slot, struct flint_req *req,
			  struct flint_desc *desc)
{
	struct flint_rdma_conn *rc = to_rc(conn);
	struct flint_rdma_slot *rs = to_rs(slot);
	struct flint_cursor cur, probe;
	unsigned int i, nr = 0;
	int err;

	flint_cursor_init(&cur, req->bvec, req->nr_bvec, req->bv_skip, req->data_len);
	if (cur.left != req->data_len)
		return -EMSGSIZE;
	err = flint_rdma_map_one(conn, slot, req, cur, desc);
	if (err)
		return err;
	for (probe = cur; probe.left; nr++) {
		if (nr == FLINT_MAX_DESC)
			return -EMSGSIZE;
		flint_run_next(req->bvec, &probe, rc->dev->max_pages, rc->dev->max_seg, NULL, NULL);
	}
	if (flint_mr_get(rc->dev, rs->mr, nr))
		return -EAGAIN;
	rs->nr_mr = nr;
	for (i = 0; i < nr; i++) {
		err = flint_mr_map(rc->dev, rs->mr[i], req->bvec, &cur, req->dir == FLINT_DIR_IN,
				   &desc[i]);
		if (err) {
			flint_rdma_unmap(conn, slot);
			return err;
		}
	}
	return nr;
}

static void flint_rdma_scrap(struct flint_conn *conn, struct flint_slot *slot)
{
	struct flint_rdma_slot *rs = to_rs(slot);
	struct flint_dev *dev = to_rc(conn)->dev;
	unsigned int i;

	for (i = 0; i < rs->nr_mr; i++) {
		flint_mr_unmap(dev, rs->mr[i]);
		flint_mr_scrap(dev, rs->mr[i]);
	}
	rs->nr_mr = 0;
}

/* Room in the send queue is taken already. */
static int flint_rdma_send(struct flint_rdma_conn *rc, struct flint_rdma_slot *rs, u32 len)
{
	struct ib_send_wr *first = &rs->wr;
	unsigned int i = rs->nr_mr;

	rc->sq_unsig += rs->nr_mr + 1;
	rs->wr.send_flags = 0;
	if (rc->sq_unsig >= rc->sq_size / 4) {
		rs->wr.send_flags = IB_SEND_SIGNALED;
		rs->cover = rc->sq_unsig;
		rc->sq_unsig = 0;
	}
	while (i--) {
		rs->mr[i]->valid = true;
		rs->mr[i]->reg.wr.next = first;
		first = &rs->mr[i]->reg.wr;
	}
	rs->sge.length = len;
	ib_dma_sync_single_for_device(rc->dev->ibdev, rs->sge.addr, len, DMA_TO_DEVICE);
	return ib_post_send(rc->qp, first, NULL) ? -EIO : 0;
}

/* Under c.lock. What a failed connection has not sent ends with its other requests. */
static int flint_rdma_bundle_send(struct flint_rdma_conn *rc)
{
	struct flint_rdma_slot *rs = rc->bundle;

	rc->bundle = NULL;
	if (!rs || rc->c.state >= FLINT_CONN_DRAINING)
		return 0;
	return flint_rdma_send(rc, rs, rc->bundle_len);
}

/*
 * struct flint_plug - a submitter's plug, and a connection that has to hear of its end
 * @held: counted in conn->preparing
 */
struct flint_plug {
	struct blk_plug_cb cb;
	bool held;
};

/* The submitter is through, or about to sleep. */
static void flint_rdma_unplug(struct blk_plug_cb *cb, bool from_schedule)
{
	struct flint_rdma_conn *rc = cb->data;
	struct flint_conn *conn = &rc->c;
	int err;

	kfree(container_of(cb, struct flint_plug, cb));
	spin_lock_bh(&conn->lock);
	err = flint_rdma_bundle_send(rc);
	spin_unlock_bh(&conn->lock);
	if (err)
		flint_conn_fail(conn, err, "posting requests failed (%d)", err);
	/* The teardown may free the connection as soon as it sees preparing 0. */
	spin_lock_bh(&conn->lock);
	if (!--conn->preparing && conn->state >= FLINT_CONN_DRAINING)
		wake_up_all(&conn->wq);
	spin_unlock_bh(&conn->lock);
}

/* Will more come, and will flint_rdma_unplug() be called then? */
static bool flint_rdma_plugged(struct flint_rdma_conn *rc)
{
	struct flint_plug *plug;
	struct blk_plug_cb *cb;

	if (!in_task() || !current->plug)
		return false;
	cb = blk_check_plugged(flint_rdma_unplug, rc, sizeof(*plug));
	if (!cb)
		return false;
	plug = container_of(cb, struct flint_plug, cb);
	if (!plug->held)
		rc->c.preparing++;
	plug->held = true;
	return true;
}

/* Put a message behind those that wait, or make it the first. Return: as ->post(). */
static int flint_rdma_bundle_add(struct flint_rdma_conn *rc, struct flint_rdma_slot *rs, u32 len)
{
	int err;

	if (rc->bundle && rc->bundle_len + len > flint_msg_max(rc->c.lim.inline_size)) {
		err = flint_rdma_bundle_send(rc);
		if (err)
			return err;
	}
	if (!rc->bundle) {
		if (rc->sq_used == rc->sq_size)
			return -EAGAIN;
		rc->sq_used++;
		rc->bundle = rs;
		rc->bundle_len = len;
		rc->bundle_nr = 1;
		return 0;
	}
	memcpy(rc->bundle->s.msg + rc->bundle_len, rs->s.msg, len);
	rc->bundle_len += len;
	return ++rc->bundle_nr < FLINT_BUNDLE_MAX ? 0 : flint_rdma_bundle_send(rc);
}

static int flint_rdma_post(struct flint_conn *conn, struct flint_slot *slot, u32 len)
{
	struct flint_rdma_conn *rc = to_rc(conn);
	struct flint_rdma_slot *rs = to_rs(slot);
	unsigned int n = rs->nr_mr + 1;

	lockdep_assert_held(&conn->lock);
	/* The server answered what it had not got, and others wait in this buffer. */
	if (rc->bundle == rs)
		return -EPROTO;
	if (conn->bundles && n == 1 && len <= FLINT_CTRL_SIZE && IS_ALIGNED(len, 8) &&
	    flint_rdma_plugged(rc))
		return flint_rdma_bundle_add(rc, rs, len);
	if (rc->sq_used + n > rc->sq_size)
		return -EAGAIN;
	rc->sq_used += n;
	return flint_rdma_send(rc, rs, len);
}

/* A completion with an error: only its status means anything. Flushes follow a failure. */
static void flint_rdma_wc_failed(struct flint_rdma_conn *rc, const struct ib_wc *wc, int kind,
				 const char *what)
{
	if (wc->status == IB_WC_WR_FLUSH_ERR)
		return;
	trace_flint_wc_error(rc->c.id, kind, wc->status, wc->vendor_err);
	flint_conn_fail(&rc->c, -ENOTCONN, "%s failed: %s", what, ib_wc_status_msg(wc->status));
}

static void flint_rdma_send_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct flint_rdma_slot *rs = container_of(wc->wr_cqe, struct flint_rdma_slot, send_cqe);
	struct flint_rdma_conn *rc = cq->cq_context;

	if (wc->status != IB_WC_SUCCESS) {
		flint_rdma_wc_failed(rc, wc, 0, "sending");
		return;
	}
	spin_lock_bh(&rc->c.lock);
	rc->sq_used -= rs->cover;
	spin_unlock_bh(&rc->c.lock);
	if (wq_has_sleeper(&rc->c.peer->wq))
		wake_up(&rc->c.peer->wq);
}

/* ---- receiving -------------------------------------------------------- */

static void flint_rdma_repost(struct flint_rdma_conn *rc, struct flint_rbuf *rbuf)
{
	int err = 0;

	spin_lock_bh(&rc->c.lock);
	rbuf->wr.next = rc->repost;
	rc->repost = &rbuf->wr;
	if (++rc->nr_repost == FLINT_RX_BATCH) {
		if (rc->c.state < FLINT_CONN_DRAINING)
			err = ib_post_recv(rc->qp, rc->repost, NULL);
		rc->repost = NULL;
		rc->nr_repost = 0;
	}
	spin_unlock_bh(&rc->c.lock);
	if (err)
		flint_conn_fail(&rc->c, -EIO, "posting receives failed (%d)", err);
}

/* A request ends, or a push is heard; then the buffer waits for the next message. */
static void flint_rdma_end(struct flint_rdma_conn *rc, struct flint_rbuf *rbuf)
{
	if (rbuf->rs)
		flint_slot_finish(&rc->c, &rbuf->rs->s, &rbuf->msg);
	else
		flint_conn_pushed(&rc->c, &rbuf->msg);
	flint_rdma_repost(rc, rbuf);
}

/* What needs process context, in the order in which it came. */
static void flint_rdma_work(struct work_struct *work)
{
	struct flint_rdma_conn *rc = container_of(work, struct flint_rdma_conn, work);
	struct flint_rbuf *rbuf, *next;
	LIST_HEAD(list);

	spin_lock_bh(&rc->later_lock);
	list_splice_init(&rc->later, &list);
	spin_unlock_bh(&rc->later_lock);
	list_for_each_entry_safe(rbuf, next, &list, node)
		flint_rdma_end(rc, rbuf);
}

static void flint_rdma_later(struct flint_rdma_conn *rc, struct flint_rbuf *rbuf)
{
	spin_lock_bh(&rc->later_lock);
	list_add_tail(&rbuf->node, &rc->later);
	spin_unlock_bh(&rc->later_lock);
	queue_work(flint_io_wq, &rc->work);
}

/* The reply is here and its regions are dead. */
static void flint_rdma_replied(struct flint_rdma_conn *rc, struct flint_rdma_slot *rs,
			       struct flint_rbuf *rbuf)
{
	flint_rdma_unmap(&rc->c, &rs->s);
	if (rs->s.atomic)
		flint_rdma_end(rc, rbuf);
	else
		flint_rdma_later(rc, rbuf);
}

/* The last LOCAL_INV of a slot: all of them are done, as the send queue is in order. */
static void flint_rdma_inv_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct flint_rdma_slot *rs = container_of(wc->wr_cqe, struct flint_rdma_slot, inv_cqe);
	struct flint_rdma_conn *rc = cq->cq_context;
	unsigned int i;

	if (wc->status != IB_WC_SUCCESS) {
		flint_rdma_wc_failed(rc, wc, 2, "invalidating memory");
		return;
	}
	for (i = 0; i < rs->nr_mr; i++)
		rs->mr[i]->valid = false;
	flint_rdma_replied(rc, rs, rs->rbuf);
}

/* Invalidate what the server left valid; the request ends when that is done. */
static void flint_rdma_invalidate(struct flint_rdma_conn *rc, struct flint_rdma_slot *rs)
{
	struct ib_send_wr *first = NULL;
	unsigned int i;
	int err = 0;

	for (i = rs->nr_mr; i--;) {
		struct flint_mr *mr = rs->mr[i];

		if (!mr->valid)
			continue;
		trace_flint_mr_localinv(mr->mr->rkey, mr->mr->length, mr->nents);
		mr->inv.next = first;
		mr->inv.opcode = IB_WR_LOCAL_INV;
		mr->inv.ex.invalidate_rkey = mr->mr->rkey;
		mr->inv.wr_cqe = first ? &mr->cqe : &rs->inv_cqe;
		mr->inv.send_flags = first ? 0 : IB_SEND_SIGNALED;
		first = &mr->inv;
	}
	spin_lock_bh(&rc->c.lock);
	if (rc->c.state < FLINT_CONN_DRAINING)
		err = ib_post_send(rc->qp, first, NULL);
	spin_unlock_bh(&rc->c.lock);
	if (err)
		flint_conn_fail(&rc->c, -EIO, "posting an invalidation failed (%d)", err);
}

/* Believe a remote invalidation only if the key is one of this request's. */
static bool flint_rdma_reminv(struct flint_rdma_slot *rs, u32 rkey)
{
	unsigned int i;

	for (i = 0; i < rs->nr_mr; i++)
		if (rs->mr[i]->mr->rkey == rkey) {
			rs->mr[i]->valid = false;
			trace_flint_mr_reminv(rkey, rs->mr[i]->mr->length, rs->mr[i]->nents);
			return true;
		}
	return false;
}

static bool flint_rdma_any_valid(const struct flint_rdma_slot *rs)
{
	unsigned int i;

	for (i = 0; i < rs->nr_mr; i++)
		if (rs->mr[i]->valid)
			return true;
	return false;
}

static void flint_rdma_recv_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct flint_rbuf *rbuf = container_of(wc->wr_cqe, struct flint_rbuf, cqe);
	struct flint_rdma_conn *rc = cq->cq_context;
	struct flint_rdma_slot *rs;
	struct flint_msg *m = &rbuf->msg;
	struct flint_slot *slot;
	int err;

	if (wc->status != IB_WC_SUCCESS) {
		flint_rdma_wc_failed(rc, wc, 1, "receiving");
		return;
	}
	ib_dma_sync_single_for_cpu(rc->dev->ibdev, rbuf->sge.addr, wc->byte_len, DMA_FROM_DEVICE);
	err = flint_msg_parse(rbuf->buf, wc->byte_len, &rc->c.lim, m);
	if (err) {
		flint_conn_fail(&rc->c, err, "malformed message of %u bytes (%d)", wc->byte_len,
				err);
		return;
	}
	rbuf->rs = NULL;
	if (m->flags & FLINT_F_PUSH) {
		flint_rdma_later(rc, rbuf);
		return;
	}
	slot = flint_slot_reply(&rc->c, m);
	if (!slot)
		return;
	rs = to_rs(slot);
	rbuf->rs = rs;
	if ((wc->wc_flags & IB_WC_WITH_INVALIDATE) &&
	    !flint_rdma_reminv(rs, wc->ex.invalidate_rkey)) {
		flint_conn_fail(&rc->c, -EPROTO,
				"the server invalidated a key that is not the request's");
		return;
	}
	if (!flint_rdma_any_valid(rs)) {
		flint_rdma_replied(rc, rs, rbuf);
		return;
	}
	rs->rbuf = rbuf;
	flint_rdma_invalidate(rc, rs);
}

/* ---- connecting ------------------------------------------------------- */

static void flint_cm_rejected(struct flint_conn *conn, struct rdma_cm_event *event,
			      struct rdma_cm_id *id)
{
	const struct flint_cm_priv *p;
	u8 len = 0;

	p = rdma_consumer_reject_data(id, event, &len);
	if (!p || len < sizeof(*p) || p->magic != cpu_to_le32(FLINT_MAGIC)) {
		flint_conn_fail(conn, -ECONNREFUSED,
				"nobody listens there, or it is not a FlintFS server (%s)",
				rdma_reject_msg(id, event->status));
		return;
	}
	switch (p->reason) {
	case FLINT_REJ_MAGIC:
	case FLINT_REJ_VERSION:
		flint_conn_fail(conn, -EPROTONOSUPPORT,
				"the server speaks protocol version %u, this module %u", p->major,
				FLINT_PROTO_MAJOR);
		break;
	case FLINT_REJ_SIZE:
		flint_conn_fail(conn, -EMSGSIZE,
				"the server does not take messages of this inline size");
		break;
	case FLINT_REJ_BUSY:
		flint_conn_fail(conn, -ECONNREFUSED, "the server has too many connections");
		break;
	default:
		flint_conn_fail(conn, -ECONNREFUSED, "the server refused the connection");
		break;
	}
}

static int flint_cm_handler(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct flint_rdma_conn *rc = id->context;
	struct flint_conn *conn = &rc->c;

	switch (event->event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		WRITE_ONCE(rc->stage, FLINT_CM_ADDR);
		break;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		WRITE_ONCE(rc->stage, FLINT_CM_ROUTE);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		WRITE_ONCE(rc->stage, FLINT_CM_UP);
		break;
	case RDMA_CM_EVENT_REJECTED:
		flint_cm_rejected(conn, event, id);
		break;
	case RDMA_CM_EVENT_ADDR_ERROR:
		flint_conn_fail(conn, -EHOSTUNREACH,
				"no RDMA device leads there: is one set up on that network?");
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
		flint_conn_fail(conn, -ENOTCONN, "the server closed the connection");
		break;
	default:
		flint_conn_fail(conn, -ENOTCONN, "%s (%d)", rdma_event_msg(event->event),
				event->status);
		break;
	}
	wake_up_all(&conn->wq);
	return 0;
}

/* May come in any context: leave the rest to the tick. */
static void flint_qp_event(struct ib_event *event, void *context)
{
	struct flint_rdma_conn *rc = context;

	switch (event->event) {
	case IB_EVENT_QP_FATAL:
	case IB_EVENT_QP_REQ_ERR:
	case IB_EVENT_QP_ACCESS_ERR:
		WRITE_ONCE(rc->qp_event, true);
		break;
	default:
		break;
	}
}

static bool flint_rdma_broken(struct flint_conn *conn)
{
	return READ_ONCE(to_rc(conn)->qp_event);
}

/* Wait until the connection manager got that far, or the connection failed. */
static int flint_rdma_await(struct flint_rdma_conn *rc, enum flint_cm_stage stage,
			    const char *what)
{
	struct flint_conn *conn = &rc->c;
	long left;

	left = wait_event_timeout(conn->wq, READ_ONCE(rc->stage) >= stage ||
				  READ_ONCE(conn->state) >= FLINT_CONN_DRAINING,
				  conn->connect_timeo);
	if (!left)
		flint_conn_fail(conn, -ETIMEDOUT, "no answer while %s", what);
	return READ_ONCE(conn->state) >= FLINT_CONN_DRAINING ? -ENOTCONN : 0;
}

static void flint_rdma_drained(struct flint_rdma_conn *rc)
{
	if (atomic_dec_and_test(&rc->drain_left))
		complete_all(&rc->drained);
}

static void flint_rdma_drain_rq_done(struct ib_cq *cq, struct ib_wc *wc)
{
	flint_rdma_drained(cq->cq_context);
}

static void flint_rdma_drain_sq_done(struct ib_cq *cq, struct ib_wc *wc)
{
	flint_rdma_drained(cq->cq_context);
}

static int flint_rdma_create_queues(struct flint_rdma_conn *rc, u32 depth)
{
	struct ib_device *ibdev = rc->dev->ibdev;
	struct ib_qp_init_attr attr = {
		.event_handler = flint_qp_event,
		.qp_context = rc,
		.sq_sig_type = IB_SIGNAL_REQ_WR,
		.qp_type = IB_QPT_RC,
		.cap = {
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
	};
	int err;

	rc->sq_size = (depth + 1) * (FLINT_MAX_DESC + 1);
	attr.cap.max_send_wr = rc->sq_size + (depth + 1) * FLINT_MAX_DESC + 1;
	attr.cap.max_recv_wr = depth + 1 + FLINT_RX_SPARE + 1;
	if (attr.cap.max_send_wr > ibdev->attrs.max_qp_wr ||
	    attr.cap.max_send_wr + attr.cap.max_recv_wr > ibdev->attrs.max_cqe)
		return -EMSGSIZE;
	rc->cq = ib_alloc_cq_any(ibdev, rc, attr.cap.max_send_wr + attr.cap.max_recv_wr,
				 IB_POLL_SOFTIRQ);
	if (IS_ERR(rc->cq)) {
		err = PTR_ERR(rc->cq);
		rc->cq = NULL;
		return err;
	}
	attr.send_cq = rc->cq;
	attr.recv_cq = rc->cq;
	err = rdma_create_qp(rc->id, rc->dev->pd, &attr);
	if (err) {
		ib_free_cq(rc->cq);
		rc->cq = NULL;
		return err;
	}
	rc->qp = rc->id->qp;
	return 0;
}

static int flint_rdma_init_slots(struct flint_rdma_conn *rc, u32 depth)
{
	struct flint_conn *conn = &rc->c;
	u32 i, size = flint_msg_max(conn->lim.inline_size);
	int err;

	err = flint_slots_alloc(conn, depth, sizeof(struct flint_rdma_slot), &rc->slot_mem);
	if (!err)
		err = flint_arena_alloc(&rc->tx, rc->dev->ibdev, size, depth + 1, DMA_TO_DEVICE);
	if (err)
		return err;
	for (i = 0; i <= depth; i++) {
		struct flint_rdma_slot *rs = to_rs(conn->slots[i]);

		rs->rc = rc;
		rs->s.msg = flint_arena_buf(&rc->tx, i, &rs->sge.addr);
		rs->sge.lkey = rc->dev->pd->local_dma_lkey;
		rs->send_cqe.done = flint_rdma_send_done;
		rs->inv_cqe.done = flint_rdma_inv_done;
		rs->wr.wr_cqe = &rs->send_cqe;
		rs->wr.sg_list = &rs->sge;
		rs->wr.num_sge = 1;
		rs->wr.opcode = IB_WR_SEND;
	}
	return 0;
}

/* Receives are posted before rdma_connect(): the first reply must find one. */
static int flint_rdma_init_recvs(struct flint_rdma_conn *rc, u32 depth)
{
	u32 i, size = flint_msg_max(rc->c.lim.inline_size);
	int err;

	rc->nr_rbufs = depth + 1 + FLINT_RX_SPARE;
	rc->rbufs = kvcalloc(rc->nr_rbufs, sizeof(*rc->rbufs), GFP_KERNEL);
	if (!rc->rbufs)
		return -ENOMEM;
	err = flint_arena_alloc(&rc->rx, rc->dev->ibdev, size, rc->nr_rbufs, DMA_FROM_DEVICE);
	for (i = 0; i < rc->nr_rbufs && !err; i++) {
		struct flint_rbuf *rb = &rc->rbufs[i];

		rb->buf = flint_arena_buf(&rc->rx, i, &rb->sge.addr);
		rb->sge.length = size;
		rb->sge.lkey = rc->dev->pd->local_dma_lkey;
		rb->cqe.done = flint_rdma_recv_done;
		rb->wr.wr_cqe = &rb->cqe;
		rb->wr.sg_list = &rb->sge;
		rb->wr.num_sge = 1;
		err = ib_post_recv(rc->qp, &rb->wr, NULL);
	}
	return err;
}

static int flint_rdma_setup(struct flint_rdma_conn *rc)
{
	u32 depth = rc->c.peer->net->opts.credits;
	int err;

	err = flint_dev_attach(rc);
	if (err)
		return err;
	rc->c.max_pages = rc->dev->max_pages;
	rc->c.max_seg = rc->dev->max_seg;
	err = flint_mr_pool_start(rc->dev);
	if (err)
		goto fail;
	/* What a device says it can do and what it does are two things: go down until it fits. */
	for (;;) {
		err = flint_rdma_create_queues(rc, depth);
		if (!err || depth == 1)
			break;
		depth /= 2;
	}
	if (!err)
		err = flint_rdma_init_slots(rc, depth);
	if (!err)
		err = flint_rdma_init_recvs(rc, depth);
fail:
	if (err)
		flint_conn_fail(&rc->c, err, "setting up queues on %s failed (%d)",
				dev_name(&rc->dev->ibdev->dev), err);
	return err;
}

static int flint_rdma_resolve(struct flint_rdma_conn *rc, const struct sockaddr *addr)
{
	struct net *net = rc->c.peer->net->opts.net;
	int err, ms = jiffies_to_msecs(rc->c.connect_timeo);
	struct rdma_cm_id *id;

	id = rdma_create_id(net, flint_cm_handler, rc, RDMA_PS_TCP, IB_QPT_RC);
	if (IS_ERR(id)) {
		flint_conn_fail(&rc->c, PTR_ERR(id), "rdma_create_id failed (%ld)", PTR_ERR(id));
		return PTR_ERR(id);
	}
	rc->id = id;
	err = rdma_resolve_addr(id, NULL, addr, ms);
	if (!err)
		err = flint_rdma_await(rc, FLINT_CM_ADDR, "resolving the address");
	if (!err) {
		rdma_set_ack_timeout(id, FLINT_ACK_TIMEOUT);
		err = rdma_resolve_route(id, ms);
	}
	if (!err)
		err = flint_rdma_await(rc, FLINT_CM_ROUTE, "resolving the route");
	if (err)
		flint_conn_fail(&rc->c, err,
				"no route over RDMA (%d): is a device set up on that network?",
				err);
	return err;
}

static int flint_rdma_establish(struct flint_rdma_conn *rc)
{
	struct flint_cm_priv priv = {
		.magic = cpu_to_le32(FLINT_MAGIC),
		.major = FLINT_PROTO_MAJOR,
		.msg_size = cpu_to_le32(flint_msg_max(rc->c.lim.inline_size)),
		.depth = cpu_to_le32(rc->c.depth),
	};
	struct rdma_conn_param param = {
		.private_data = &priv,
		.private_data_len = sizeof(priv),
		.responder_resources = min_t(int, U8_MAX, rc->dev->ibdev->attrs.max_qp_rd_atom),
		.initiator_depth = 0,
		.retry_count = 6,
		.rnr_retry_count = 1,
	};
	int err = rdma_connect(rc->id, &param);

	if (!err)
		err = flint_rdma_await(rc, FLINT_CM_UP, "connecting");
	if (err)
		flint_conn_fail(&rc->c, err, "connecting failed (%d)", err);
	else if (rdma_protocol_iwarp(rc->id->device, rc->id->port_num))
		msleep(FLINT_IWARP_PAUSE_MS);
	return err;
}

static struct flint_conn *flint_rdma_connect(struct flint_lane *lane, const struct sockaddr *addr)
{
	struct flint_rdma_conn *rc = kzalloc(sizeof(*rc), GFP_KERNEL);
	int err;

	BUILD_BUG_ON(offsetof(struct flint_rdma_conn, c));
	if (!rc)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&rc->later_lock);
	INIT_LIST_HEAD(&rc->later);
	INIT_WORK(&rc->work, flint_rdma_work);
	init_completion(&rc->drained);
	atomic_set(&rc->drain_left, 1);
	rc->drain_rq.done = flint_rdma_drain_rq_done;
	rc->drain_sq.done = flint_rdma_drain_sq_done;
	flint_conn_init(&rc->c, &flint_xprt_rdma, lane->peer, lane);

	err = flint_rdma_resolve(rc, addr);
	if (!err)
		err = flint_rdma_setup(rc);
	if (!err)
		err = flint_rdma_establish(rc);
	if (!err)
		flint_conn_set_state(&rc->c, FLINT_CONN_HELLO);
	return &rc->c;
}

/* ---- the end ---------------------------------------------------------- */

/*
 * Put the queue pair into the error state and a marker behind everything that
 * is in its queues. A marker that cannot be posted counts as drained: there is
 * nothing in a queue that takes nothing.
 */
static void flint_rdma_drain_start(struct flint_rdma_conn *rc)
{
	struct ib_qp_attr attr = { .qp_state = IB_QPS_ERR };
	struct ib_recv_wr rwr = { .wr_cqe = &rc->drain_rq };
	struct ib_rdma_wr swr = {
		.wr = {
			.wr_cqe = &rc->drain_sq,
			.opcode = IB_WR_RDMA_WRITE,
			.send_flags = IB_SEND_SIGNALED,
		},
	};

	rc->draining = true;
	if (rc->qp) {
		ib_modify_qp(rc->qp, &attr, IB_QP_STATE);
		if (rc->stage == FLINT_CM_UP)
			rdma_disconnect(rc->id);
		atomic_inc(&rc->drain_left);
		if (ib_post_recv(rc->qp, &rwr, NULL))
			flint_rdma_drained(rc);
		atomic_inc(&rc->drain_left);
		if (ib_post_send(rc->qp, &swr.wr, NULL))
			flint_rdma_drained(rc);
	}
	flint_rdma_drained(rc);		/* the first reference */
}

static bool flint_rdma_drain(struct flint_conn *conn, unsigned long timeout)
{
	struct flint_rdma_conn *rc = to_rc(conn);

	if (!rc->draining)
		flint_rdma_drain_start(rc);
	if (!wait_for_completion_timeout(&rc->drained, timeout))
		return false;
	/* No completion comes any more; what they left to the work ends now. */
	flush_work(&rc->work);
	return true;
}

/*
 * Order: no more events from the connection manager, no more work by the
 * device, no more completions; then nothing can touch the buffers.
 */
static void flint_rdma_destroy(struct flint_conn *conn)
{
	struct flint_rdma_conn *rc = to_rc(conn);

	if (rc->id)
		rdma_destroy_id(rc->id);
	rc->id = NULL;
	if (rc->qp)
		ib_destroy_qp(rc->qp);
	rc->qp = NULL;
	if (rc->cq)
		ib_free_cq(rc->cq);
	rc->cq = NULL;
	cancel_work_sync(&rc->work);
	if (rc->dev) {
		flint_arena_free(&rc->tx, rc->dev->ibdev);
		flint_arena_free(&rc->rx, rc->dev->ibdev);
		flint_dev_detach(rc);
	}
}

static void flint_rdma_free(struct flint_conn *conn)
{
	struct flint_rdma_conn *rc = to_rc(conn);

	kvfree(rc->rbufs);
	flint_slots_free(conn, rc->slot_mem);
	kfree_rcu(conn, rcu);
}

const struct flint_xprt_ops flint_xprt_rdma = {
	.name		= "rdma",
	.connect	= flint_rdma_connect,
	.map		= flint_rdma_map,
	.unmap		= flint_rdma_unmap,
	.post		= flint_rdma_post,
	.scrap		= flint_rdma_scrap,
	.drain		= flint_rdma_drain,
	.broken		= flint_rdma_broken,
	.destroy	= flint_rdma_destroy,
	.free		= flint_rdma_free,
};

/**
 * flint_rdma_init() - learn of RDMA devices
 * Return: 0 or -ENOMEM.
 */
int flint_rdma_init(void)
{
	return ib_register_client(&flint_ib_client);
}

void flint_rdma_exit(void)
{
	ib_unregister_client(&flint_ib_client);
}
