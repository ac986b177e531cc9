// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory regions: cutting memory into runs that one region can describe,
 * registering a run, the pool of regions of a device, and its repair.
 *
 * A region is FREE in the pool (invalid, unmapped), or belongs to a slot. It
 * comes back by flint_mr_put(), when it is proven invalid, or by
 * flint_mr_scrap(), when the queue pair died under it and nobody knows: then
 * the repair work destroys it and makes another. Nothing is allocated where a
 * request is sent or completed.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include "xprt_rdma.h"
#include "flint_trace.h"

DECLARE_WAIT_QUEUE_HEAD(flint_mr_wq);

/* ---- runs (pure) ------------------------------------------------------ */

/**
 * flint_cursor_init() - start at a place in memory
 * @cur: result
 * @bvec: memory
 * @nr: entries
 * @skip: bytes to leave out
 * @len: bytes from there; cut to what the array holds
 */
void flint_cursor_init(struct flint_cursor *cur, const struct bio_vec *bvec, unsigned int nr,
		       size_t skip, u32 len)
{
	u64 have = 0;
	unsigned int i;

	cur->idx = 0;
	while (cur->idx < nr && skip >= bvec[cur->idx].bv_len)
		skip -= bvec[cur->idx++].bv_len;
	cur->off = skip;
	for (i = cur->idx; i < nr && have < skip + len; i++)
		have += bvec[i].bv_len;
	cur->left = have > skip ? min_t(u64, len, have - skip) : 0;
}

/**
 * flint_run_next() - take the next run that one memory region can describe
 * @bvec: memory
 * @cur: in: where it starts; out: where it ends
 * @max_pages: pages a region holds
 * @max_seg: bytes a DMA segment may have, at least a page
 * @sg: filled with the run, @max_pages entries of room; or NULL to count only
 * @nents: result: entries used
 *
 * A run may begin and end anywhere, but inside it each piece must begin where
 * a page begins and end where a page ends, unless it continues the one before
 * in physical memory.
 *
 * Return: bytes of the run, 0 at the end.
 */
u32 flint_run_next(const struct bio_vec *bvec, struct flint_cursor *cur, u32 max_pages,
		   u32 max_seg, struct scatterlist *sg, unsigned int *nents)
{
	unsigned int n = 0;
	u32 total = 0, room = 0, seg = 0, seg_max = 0;
	phys_addr_t end = 0;

	while (cur->left) {
		const struct bio_vec *bv = &bvec[cur->idx];
		phys_addr_t at = page_to_phys(bv->bv_page) + bv->bv_offset + cur->off;
		u32 len = min(bv->bv_len - cur->off, cur->left);

		if (!total)
			room = max_pages * PAGE_SIZE - offset_in_page(at);
		else if (at != end && (offset_in_page(at) || offset_in_page(end)))
			break;
		len = min(len, room - total);
		if (!len)
			break;
		if (total && at == end && seg < seg_max) {
			len = min(len, seg_max - seg);
		} else {
			/* A new entry must start on a page, or start the run. */
			if (total && offset_in_page(at))
				break;
			n++;
			seg = 0;
			seg_max = max_seg - offset_in_page(at);	/* so that it ends on a page */
			len = min(len, seg_max);
			if (sg)
				sg_set_page(&sg[n - 1], pfn_to_page(PHYS_PFN(at)), 0,
					    offset_in_page(at));
		}
		seg += len;
		if (sg)
			sg[n - 1].length = seg;
		total += len;
		end = at + len;
		cur->left -= len;
		cur->off += len;
		if (cur->off == bv->bv_len) {
			cur->idx++;
			cur->off = 0;
		}
	}
	if (nents)
		*nents = n;
	return total;
}

/* Is it one run: pages that are covered whole, but for the first and the last? */
static bool flint_run_only(const struct bio_vec *bvec, struct flint_cursor cur, u32 max_pages)
{
	u32 off = bvec[cur.idx].bv_offset + cur.off;
	u32 room = bvec[cur.idx].bv_len - cur.off, pages = 0;

	while (room < cur.left) {
		if (offset_in_page(off + room))
			return false;
		pages += (offset_in_page(off) + room) >> PAGE_SHIFT;
		cur.left -= room;
		off = bvec[++cur.idx].bv_offset;
		room = bvec[cur.idx].bv_len;
		if (offset_in_page(off))
			return false;
	}
	return pages + DIV_ROUND_UP(offset_in_page(off) + cur.left, PAGE_SIZE) <= max_pages;
}

/**
 * flint_runs_span() - bytes that FLINT_MAX_DESC runs hold
 * @bvec: memory
 * @nr: entries
 * @skip: bytes to leave out
 * @len: bytes wanted
 * @max_pages: pages a region holds
 * @max_seg: bytes a DMA segment may have
 */
u32 flint_runs_span(const struct bio_vec *bvec, unsigned int nr, size_t skip, u32 len,
		    u32 max_pages, u32 max_seg)
{
	struct flint_cursor cur;
	u32 total = 0;
	int i;

	flint_cursor_init(&cur, bvec, nr, skip, len);
	if (cur.left && flint_run_only(bvec, cur, max_pages))
		return cur.left;
	for (i = 0; i < FLINT_MAX_DESC && cur.left; i++)
		total += flint_run_next(bvec, &cur, max_pages, max_seg & PAGE_MASK, NULL, NULL);
	return total;
}

/* ---- one region ------------------------------------------------------- */

/* Only a failed REG_MR or LOCAL_INV completes here: they are posted unsignaled. */
static void flint_mr_wc_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct flint_conn *conn = cq->cq_context;

	if (wc->status == IB_WC_SUCCESS || wc->status == IB_WC_WR_FLUSH_ERR)
		return;
	trace_flint_wc_error(conn->id, 2, wc->status, wc->vendor_err);
	flint_conn_fail(conn, -EIO, "registering memory failed: %s", ib_wc_status_msg(wc->status));
}

static struct flint_mr *flint_mr_new(struct flint_dev *dev)
{
	struct flint_mr *mr = kzalloc(sizeof(*mr), GFP_KERNEL);

	if (!mr)
		return NULL;
	mr->sg = kvmalloc_array(dev->max_pages, sizeof(*mr->sg), GFP_KERNEL);
	if (!mr->sg)
		goto err_free;
	sg_init_table(mr->sg, dev->max_pages);
	mr->mr = ib_alloc_mr(dev->pd, IB_MR_TYPE_MEM_REG, dev->max_pages);
	if (IS_ERR(mr->mr))
		goto err_sg;
	mr->cqe.done = flint_mr_wc_done;
	return mr;

err_sg:
	kvfree(mr->sg);
err_free:
	kfree(mr);
	return NULL;
}

static void flint_mr_free(struct flint_mr *mr)
{
	ib_dereg_mr(mr->mr);
	kvfree(mr->sg);
	kfree(mr);
}

/**
 * flint_mr_map() - map the next run of memory and make its REG_MR ready to post
 * @dev: the device
 * @mr: unmapped, invalid
 * @bvec: memory
 * @cur: the place in it; moves on
 * @in: the server will write to it (else: read from it)
 * @desc: result
 *
 * Return: 0, -ENOMEM (no room for the mapping now: bounce buffers, IOMMU), or -EIO.
 */
int flint_mr_map(struct flint_dev *dev, struct flint_mr *mr, const struct bio_vec *bvec,
		 struct flint_cursor *cur, bool in, struct flint_desc *desc)
{
	unsigned int nents;
	int dma_nents;
	u32 len;

	WARN_ON_ONCE(mr->valid || mr->mapped);
	if (mr->nents)
		sg_unmark_end(&mr->sg[mr->nents - 1]);
	len = flint_run_next(bvec, cur, dev->max_pages, dev->max_seg, mr->sg, &nents);
	mr->dma_dir = in ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
	mr->nents = nents;
	/* Stays marked until the next use: walking a full list must not look past it. */
	sg_mark_end(&mr->sg[nents - 1]);
	dma_nents = ib_dma_map_sg(dev->ibdev, mr->sg, nents, mr->dma_dir);
	if (!dma_nents)
		return -ENOMEM;
	mr->mapped = true;
	if (ib_map_mr_sg(mr->mr, mr->sg, dma_nents, NULL, PAGE_SIZE) != dma_nents ||
	    mr->mr->length != len)
		return -EIO;
	ib_update_fast_reg_key(mr->mr, ib_inc_rkey(mr->mr->rkey));

	mr->reg.wr.opcode = IB_WR_REG_MR;
	mr->reg.wr.wr_cqe = &mr->cqe;
	mr->reg.wr.num_sge = 0;
	mr->reg.wr.send_flags = 0;
	mr->reg.mr = mr->mr;
	mr->reg.key = mr->mr->rkey;
	mr->reg.access = in ? IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE :
			      IB_ACCESS_REMOTE_READ;
	trace_flint_mr_map(mr->mr->rkey, len, nents);
	desc->addr = cpu_to_le64(mr->mr->iova);
	desc->len = cpu_to_le32(len);
	desc->rkey = cpu_to_le32(mr->mr->rkey);
	return 0;
}

/**
 * flint_mr_unmap() - the device is done with this memory
 * @dev: the device
 * @mr: invalid, or never posted, or its queue pair is drained
 */
void flint_mr_unmap(struct flint_dev *dev, struct flint_mr *mr)
{
	if (mr->mapped)
		ib_dma_unmap_sg(dev->ibdev, mr->sg, mr->nents, mr->dma_dir);
	mr->mapped = false;
}

/* ---- the pool --------------------------------------------------------- */

/**
 * flint_mr_get() - take regions
 * @dev: the device
 * @mrs: result
 * @nr: how many; all or none
 *
 * Return: 0 or -EAGAIN: wait on flint_mr_wq; more are being made.
 */
int flint_mr_get(struct flint_dev *dev, struct flint_mr **mrs, unsigned int nr)
{
	struct flint_mr_pool *pool = &dev->mrs;
	int err = 0;
	unsigned int i;

	spin_lock_bh(&pool->lock);
	if (pool->nr_free < nr) {
		err = -EAGAIN;
		if (!pool->grow && pool->total < FLINT_MR_LIMIT) {
			pool->grow = true;
			queue_work(flint_cm_wq, &pool->work);
		}
	} else {
		for (i = 0; i < nr; i++) {
			mrs[i] = list_first_entry(&pool->free, struct flint_mr, node);
			list_del(&mrs[i]->node);
		}
		pool->nr_free -= nr;
	}
	spin_unlock_bh(&pool->lock);
	return err;
}

static void flint_mr_wake(void)
{
	if (wq_has_sleeper(&flint_mr_wq))
		wake_up(&flint_mr_wq);
}

/**
 * flint_mr_put() - give regions back
 * @dev: the device
 * @mrs: invalid and unmapped
 * @nr: how many
 */
void flint_mr_put(struct flint_dev *dev, struct flint_mr **mrs, unsigned int nr)
{
	struct flint_mr_pool *pool = &dev->mrs;
	unsigned int i;

	spin_lock_bh(&pool->lock);
	for (i = 0; i < nr; i++) {
		WARN_ONCE(mrs[i]->valid || mrs[i]->mapped,
			  "flintfs: I3 is broken: region %#x goes back to the pool alive\n",
			  mrs[i]->mr->rkey);
		list_add(&mrs[i]->node, &pool->free);
	}
	pool->nr_free += nr;
	spin_unlock_bh(&pool->lock);
	flint_mr_wake();
}

/**
 * flint_mr_scrap() - give back a region whose state nobody knows
 * @dev: the device
 * @mr: unmapped; its queue pair is drained
 */
void flint_mr_scrap(struct flint_dev *dev, struct flint_mr *mr)
{
	struct flint_mr_pool *pool = &dev->mrs;

	trace_flint_mr_scrap(mr->mr->rkey, mr->mr->length, mr->nents);
	spin_lock_bh(&pool->lock);
	list_add(&mr->node, &pool->broken);
	spin_unlock_bh(&pool->lock);
	queue_work(flint_cm_wq, &pool->work);
}

static bool flint_mr_add(struct flint_dev *dev)
{
	struct flint_mr_pool *pool = &dev->mrs;
	struct flint_mr *mr = flint_mr_new(dev);

	if (!mr)
		return false;
	spin_lock_bh(&pool->lock);
	list_add(&mr->node, &pool->free);
	pool->nr_free++;
	pool->total++;
	spin_unlock_bh(&pool->lock);
	flint_mr_wake();
	return true;
}

/* Replace broken regions, and make more when they ran out. */
static void flint_mr_work(struct work_struct *work)
{
	struct flint_mr_pool *pool = container_of(work, struct flint_mr_pool, work);
	struct flint_dev *dev = container_of(pool, struct flint_dev, mrs);
	struct flint_mr *mr, *next;
	LIST_HEAD(broken);
	unsigned int want;

	spin_lock_bh(&pool->lock);
	list_splice_init(&pool->broken, &broken);
	want = pool->grow ? FLINT_MR_STEP : 0;
	spin_unlock_bh(&pool->lock);

	list_for_each_entry_safe(mr, next, &broken, node) {
		flint_mr_free(mr);
		spin_lock_bh(&pool->lock);
		pool->total--;
		spin_unlock_bh(&pool->lock);
		want++;
	}
	while (want-- && flint_mr_add(dev))
		;
	spin_lock_bh(&pool->lock);
	pool->grow = false;
	spin_unlock_bh(&pool->lock);
}

int flint_mr_pool_init(struct flint_dev *dev)
{
	struct flint_mr_pool *pool = &dev->mrs;

	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->free);
	INIT_LIST_HEAD(&pool->broken);
	INIT_WORK(&pool->work, flint_mr_work);
	return 0;
}

/**
 * flint_mr_pool_start() - have regions before the first connection is up
 * @dev: the device
 * Return: 0 or -ENOMEM.
 */
int flint_mr_pool_start(struct flint_dev *dev)
{
	while (READ_ONCE(dev->mrs.total) < FLINT_MR_START)
		if (!flint_mr_add(dev))
			return -ENOMEM;
	return 0;
}

/* All connections of the device are gone. */
void flint_mr_pool_free(struct flint_dev *dev)
{
	struct flint_mr_pool *pool = &dev->mrs;
	struct flint_mr *mr, *next;

	cancel_work_sync(&pool->work);
	list_splice_init(&pool->broken, &pool->free);
	list_for_each_entry_safe(mr, next, &pool->free, node) {
		flint_mr_free(mr);
		pool->total--;
	}
	WARN_ONCE(pool->total, "flintfs: %u memory regions were not given back\n", pool->total);
}
