// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that data is moved from and to: pinned user pages, referenced pages of the kernel, or our
 * own. It lives until its owner and the transport have let go of it. Pinned pages that a device
 * wrote are marked dirty then; what has to sleep for that goes to a work.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/crc32c.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include "flint.h"
#include "mem.h"

#define FLINT_PIN_BATCH		32

static struct workqueue_struct *flint_unpin_wq;

static void flint_mem_unpin(struct flint_mem *mem)
{
	struct page *pages[FLINT_PIN_BATCH];
	unsigned int i, n;

	for (i = 0; i < mem->nr; i += n) {
		for (n = 0; n < FLINT_PIN_BATCH && i + n < mem->nr; n++)
			pages[n] = mem->bv[i + n].bv_page;
		unpin_user_pages_dirty_lock(pages, n, mem->dirty);
	}
}

static void flint_mem_work(struct work_struct *work)
{
	struct flint_mem *mem = container_of(work, struct flint_mem, work);

	flint_mem_unpin(mem);
	kvfree(mem);
}

/*
 * Without sleeping: a page that is dirty already, as the memory of most programs
 * is, need not be locked to be marked. A page cleaned right after this is written
 * back with what the device wrote.
 */
static bool flint_mem_unpin_atomic(struct flint_mem *mem)
{
	unsigned int i;

	for (i = 0; mem->dirty && i < mem->nr; i++)
		if (!PageDirty(compound_head(mem->bv[i].bv_page)))
			return false;
	mem->dirty = false;
	flint_mem_unpin(mem);
	return true;
}

static void flint_mem_release(struct flint_hold *hold)
{
	struct flint_mem *mem = container_of(hold, struct flint_mem, hold);
	unsigned int i;

	if (mem->kind == FLINT_MEM_PINNED && in_interrupt()) {
		if (!flint_mem_unpin_atomic(mem)) {
			INIT_WORK(&mem->work, flint_mem_work);
			queue_work(flint_unpin_wq, &mem->work);
			return;
		}
	} else if (mem->kind == FLINT_MEM_PINNED) {
		flint_mem_unpin(mem);
	} else {
		for (i = 0; i < mem->nr; i++)
			put_page(mem->bv[i].bv_page);
	}
	kvfree(mem);
}

/**
 * flint_mem_put() - let go of memory
 * @mem: released when the transport is done with it as well
 * Context: any.
 */
void flint_mem_put(struct flint_mem *mem)
{
	flint_hold_put(&mem->hold);
}

/**
 * flint_mem_alloc() - memory without pages yet
 * @nr: room for so many
 * @kind: enum flint_mem_kind
 * @gfp: of the description
 * Return: memory with one reference, or NULL.
 */
struct flint_mem *flint_mem_alloc(unsigned int nr, u8 kind, gfp_t gfp)
{
	struct flint_mem *mem = kvmalloc(struct_size(mem, bv, nr), gfp);

	if (!mem)
		return NULL;
	refcount_set(&mem->hold.ref, 1);
	mem->hold.release = flint_mem_release;
	mem->kind = kind;
	mem->dirty = false;
	mem->nr = 0;
	mem->len = 0;
	return mem;
}

/* @len bytes from @off in @page, with the caller's reference to it; there is room. */
void flint_mem_add(struct flint_mem *mem, struct page *page, u32 off, u32 len)
{
	mem->bv[mem->nr].bv_page = page;
	mem->bv[mem->nr].bv_offset = off;
	mem->bv[mem->nr].bv_len = len;
	mem->nr++;
	mem->len += len;
}

/* Pin one user segment as far as @max and the room go. Return: bytes or an error. */
static ssize_t flint_mem_pin(struct flint_mem *mem, unsigned int room, unsigned long addr,
			     size_t max, unsigned int gup)
{
	struct page *pages[FLINT_PIN_BATCH];
	size_t done = 0;

	while (done < max && mem->nr < room) {
		u32 off = offset_in_page(addr);
		int want = min_t(size_t, DIV_ROUND_UP(off + max - done, PAGE_SIZE),
				 min_t(unsigned int, FLINT_PIN_BATCH, room - mem->nr));
		int i, got = pin_user_pages_fast(addr & PAGE_MASK, want, gup, pages);

		if (got <= 0)
			return done ? done : got ? got : -EFAULT;
		for (i = 0; i < got; i++) {
			u32 n = min_t(size_t, PAGE_SIZE - off, max - done);

			flint_mem_add(mem, pages[i], off, n);
			done += n;
			addr += n;
			off = 0;
		}
		if (got < want)
			break;
	}
	return done;
}

static struct flint_mem *flint_mem_user(struct iov_iter *iter, size_t max, bool write)
{
	unsigned int gup = write ? 0 : FOLL_WRITE;
	unsigned int room = iov_iter_npages(iter, FLINT_DIO_MAX_SEGS);
	struct flint_mem *mem = flint_mem_alloc(room, FLINT_MEM_PINNED, GFP_KERNEL);
	ssize_t n = 0;

	if (!mem)
		return ERR_PTR(-ENOMEM);
	while (mem->len < max && mem->nr < room) {
		struct iovec iov;

		if (iter_is_ubuf(iter)) {
			iov.iov_base = iter->ubuf + iter->iov_offset;
			iov.iov_len = iov_iter_count(iter);
		} else {
			iov.iov_base = iter_iov_addr(iter);
			iov.iov_len = min(iter_iov_len(iter), iov_iter_count(iter));
		}
		if (!iov.iov_len) {
			iov_iter_advance(iter, 0);
			if (!iov_iter_count(iter))
				break;
			continue;
		}
		n = flint_mem_pin(mem, room, (unsigned long)iov.iov_base,
				  min(iov.iov_len, max - mem->len), gup);
		if (n <= 0)
			break;
		iov_iter_advance(iter, n);
	}
	if (mem->len)
		return mem;
	flint_mem_put(mem);
	return ERR_PTR(n < 0 ? n : -EFAULT);
}

/* Pages of the kernel or of registered buffers: the caller keeps them, we too. */
static struct flint_mem *flint_mem_bvec(struct iov_iter *iter, size_t max)
{
	unsigned int room = min_t(unsigned long, iter->nr_segs, FLINT_DIO_MAX_SEGS);
	struct flint_mem *mem = flint_mem_alloc(room, FLINT_MEM_REFS, GFP_KERNEL);
	const struct bio_vec *bv = iter->bvec;
	size_t skip = iter->iov_offset;

	if (!mem)
		return ERR_PTR(-ENOMEM);
	max = min(max, iov_iter_count(iter));
	for (; mem->len < max && mem->nr < room; bv++, skip = 0) {
		u32 off = bv->bv_offset + skip;
		u32 n = min_t(size_t, bv->bv_len - skip, max - mem->len);

		if (!n)
			continue;
		get_page(bv->bv_page);
		flint_mem_add(mem, bv->bv_page, off, n);
	}
	iov_iter_advance(iter, mem->len);
	return mem;
}

/* Own pages, for callers whose memory cannot be mapped (kernel addresses). */
static struct flint_mem *flint_mem_own(struct iov_iter *iter, size_t max, bool write)
{
	size_t len = min_t(size_t, max, iov_iter_count(iter));
	struct flint_mem *mem;

	len = min_t(size_t, len, FLINT_MAX_IO);
	mem = flint_mem_alloc(DIV_ROUND_UP(len, PAGE_SIZE), FLINT_MEM_OWN, GFP_KERNEL);
	if (!mem)
		return ERR_PTR(-ENOMEM);
	while (mem->len < len) {
		struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
		u32 n = min_t(size_t, PAGE_SIZE, len - mem->len);

		if (!page)
			goto nomem;
		flint_mem_add(mem, page, 0, n);
		if (write && copy_page_from_iter(page, 0, n, iter) != n) {
			flint_mem_put(mem);
			return ERR_PTR(-EFAULT);
		}
	}
	return mem;
nomem:
	flint_mem_put(mem);
	return ERR_PTR(-ENOMEM);
}

/**
 * flint_mem_get() - the memory of a read or write
 * @iter: the caller's; moved on, but not for a read into memory of our own, which is copied later
 * @max: bytes to take at most
 * @write: it is only read from
 *
 * Context: process of the caller, may sleep.
 * Return: at least one byte of it, pinned, referenced or (kernel addresses) copied; or
 * ERR_PTR(-EFAULT), ERR_PTR(-ENOMEM).
 */
struct flint_mem *flint_mem_get(struct iov_iter *iter, size_t max, bool write)
{
	if (user_backed_iter(iter))
		return flint_mem_user(iter, max, write);
	if (iov_iter_is_bvec(iter) && !PageSlab(compound_head(iter->bvec->bv_page)))
		return flint_mem_bvec(iter, max);
	return flint_mem_own(iter, max, write);
}

/* Move a place on by @n bytes. */
void flint_mempos_advance(const struct flint_mem *mem, struct flint_mempos *c, size_t n)
{
	while (n && c->i < mem->nr) {
		size_t left = mem->bv[c->i].bv_len - c->skip;

		if (n < left) {
			c->skip += n;
			return;
		}
		n -= left;
		c->i++;
		c->skip = 0;
	}
}

/* CRC-32C of the next @len bytes; the cursor moves. */
u32 flint_mem_crc(const struct flint_mem *mem, struct flint_mempos *c, u32 len)
{
	u32 crc = ~0;

	while (len && c->i < mem->nr) {
		const struct bio_vec *bv = &mem->bv[c->i];
		size_t off = bv->bv_offset + c->skip;
		u32 n = min3((size_t)len, bv->bv_len - c->skip,
			     (size_t)(PAGE_SIZE - offset_in_page(off)));
		void *p = kmap_local_page(nth_page(bv->bv_page, off >> PAGE_SHIFT));

		crc = crc32c(crc, p + offset_in_page(off), n);
		kunmap_local(p);
		flint_mempos_advance(mem, c, n);
		len -= n;
	}
	return ~crc;
}

/* Clear @len bytes from byte @at on. */
void flint_mem_zero(const struct flint_mem *mem, size_t at, size_t len)
{
	struct iov_iter iter;

	iov_iter_bvec(&iter, ITER_DEST, mem->bv, mem->nr, mem->len);
	iov_iter_advance(&iter, at);
	iov_iter_zero(len, &iter);
}

int flint_mem_init(void)
{
	flint_unpin_wq = alloc_workqueue("flintfs_unpin", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	return flint_unpin_wq ? 0 : -ENOMEM;
}

void flint_mem_exit(void)
{
	if (flint_unpin_wq)
		destroy_workqueue(flint_unpin_wq);
}
