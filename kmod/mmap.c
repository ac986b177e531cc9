// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page cache: filled for buffered reads, mmap, exec and splice; dirtied by
 * buffered writes under a lease and by shared maps (writeback.c has the rules).
 *
 * ->read_folio(), ->readahead() and ->writepages() only start the I/O. Folios
 * are unlocked, or their write-back ends, by its completion, so readers and
 * faulting tasks wait killably in the VFS, and the I/O's deadline turns into an
 * error, or into another try later, not into a hang.
 *
 * Memory reclaim never calls us to write (there is no ->writepage()); the
 * flusher does, and allocates without recursing into file systems.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/backing-dev.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include <linux/writeback.h>
#include "flint.h"

#define FLINT_WB_BATCH	(FLINT_MAX_IO / PAGE_SIZE)	/* pages of one call of the engine */
#define FLINT_WB_SICK	(5 * HZ)
#define FLINT_FAULT_ASK	(HZ / 10)	/* between two questions of faults without a lease */

/**
 * flint_folios_end() - a read into the page cache ended
 * @inode: of the mapping
 * @bv: the folios, one an entry, locked
 * @nr: of them
 * @good: bytes from the start that are valid
 * @kept: the transport could not prove that the device is done with them
 */
void flint_folios_end(struct inode *inode, const struct bio_vec *bv, unsigned int nr,
		      size_t good, bool kept)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct folio *folio = page_folio(bv[i].bv_page);

		if (good >= bv[i].bv_len) {
			good -= bv[i].bv_len;
			flush_dcache_folio(folio);
			folio_mark_uptodate(folio);
		} else {
			good = 0;
			/* A late transfer must not meet a folio that is read again. */
			if (kept)
				generic_error_remove_folio(inode->i_mapping, folio);
		}
		folio_unlock(folio);
	}
}

static int flint_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct bio_vec bv = {
		.bv_page = &folio->page,
		.bv_len = folio_size(folio),
	};

	return flint_dio_folios(inode, &bv, 1, folio_pos(folio), folio_size(folio));
}

static void flint_readahead(struct readahead_control *rac)
{
	struct inode *inode = rac->mapping->host;
	unsigned int nr = 0, max = readahead_count(rac);
	loff_t pos = readahead_pos(rac);
	size_t len = 0;
	struct bio_vec *bv;
	struct folio *folio;

	bv = kvmalloc_array(max, sizeof(*bv), GFP_NOFS | __GFP_NOWARN);
	if (!bv)
		return;
	while (nr < max) {
		folio = readahead_folio(rac);	/* drops the reference; the lock keeps it */
		if (!folio)
			break;
		bv[nr].bv_page = &folio->page;
		bv[nr].bv_offset = 0;
		bv[nr].bv_len = folio_size(folio);
		len += folio_size(folio);
		nr++;
	}
	if (nr)
		flint_dio_folios(inode, bv, nr, pos, len);
	kvfree(bv);
}

/* ---- writing back ------------------------------------------------------- */

static size_t flint_folios_len(const struct bio_vec *bv, unsigned int nr)
{
	size_t len = 0;

	while (nr--)
		len += bv[nr].bv_len;
	return len;
}

/**
 * flint_folios_written() - a write of dirty folios ended
 * @inode: of the mapping
 * @bv: the folios, one an entry, under write-back
 * @nr: of them
 * @good: bytes from the start that the servers have
 * @err: what the rest met; -EAGAIN: no answer, to be tried again
 */
void flint_folios_written(struct inode *inode, const struct bio_vec *bv, unsigned int nr,
			  size_t good, int err)
{
	struct address_space *mapping = inode->i_mapping;
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	unsigned int i;
	size_t at = 0;

	if (err && err != -EAGAIN) {
		pr_err_ratelimited("%s: inode %lu: %zu bytes could not be written back (%d); fsync reports it\n",
				   fs->name, inode->i_ino, flint_folios_len(bv, nr) - good, err);
		mapping_set_error(mapping, err);
		flint_stat_inc(fs, FLINT_STAT_WB_ERRORS);
		flint_wb_no_space(fs);
	} else if (err) {
		WRITE_ONCE(fs->wb_sick, (jiffies + FLINT_WB_SICK) | 1);
		atomic_inc(&fi->wb_again);
	} else if (READ_ONCE(fs->wb_sick)) {
		WRITE_ONCE(fs->wb_sick, 0);
	}
	for (i = 0; i < nr; i++) {
		struct folio *folio = page_folio(bv[i].bv_page);

		at += bv[i].bv_len;
		if (err == -EAGAIN && at > good)
			filemap_dirty_folio(mapping, folio);
		folio_end_writeback(folio);
	}
}

/* Neighbours that go out together. */
struct flint_wb_batch {
	struct inode *inode;
	loff_t pos;
	unsigned int nr;
	struct bio_vec bv[];
};

static void flint_wb_send(struct flint_wb_batch *b)
{
	if (b->nr)
		flint_dio_write_folios(b->inode, b->bv, b->nr, b->pos);
	b->nr = 0;
}

/* write_cache_pages() hands over a locked folio that is not marked dirty any more. */
static int flint_wb_folio(FLINT_WB_PAGE *page, struct writeback_control *wbc, void *data)
{
	struct folio *folio = FLINT_WB_TO_FOLIO(page);
	struct flint_wb_batch *b = data;
	loff_t size = i_size_read(b->inode), pos = folio_pos(folio);
	size_t len = folio_size(folio);

	if (pos >= size) {	/* truncated; it goes soon. Its mark as dirty goes now. */
		folio_start_writeback(folio);
		folio_unlock(folio);
		folio_end_writeback(folio);
		return 0;
	}
	if (len > size - pos) {
		len = size - pos;
		folio_zero_segment(folio, len, folio_size(folio));
	}
	if (b->nr && (b->nr == FLINT_WB_BATCH ||
		      pos != b->pos + (loff_t)b->nr * PAGE_SIZE ||
		      b->bv[b->nr - 1].bv_len != PAGE_SIZE ||
		      !(pos & (FLINT_MAX_IO - 1))))
		flint_wb_send(b);
	folio_start_writeback(folio);
	folio_unlock(folio);
	if (!b->nr)
		b->pos = pos;
	b->bv[b->nr].bv_page = &folio->page;
	b->bv[b->nr].bv_offset = 0;
	b->bv[b->nr].bv_len = len;
	b->nr++;
	flint_stat_inc(flint_fs(b->inode->i_sb), FLINT_STAT_WB_PAGES);
	return 0;
}

static int flint_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct inode *inode = mapping->host;
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_wb_batch *b;
	unsigned int flags;
	int err = 0;

	/*
	 * Nobody answers: sync() of everything, and the flusher, must not wait for
	 * each file in turn. The inodes' own works try on.
	 */
	if (flint_wb_sick(fs) && (wbc->for_sync || wbc->sync_mode == WB_SYNC_NONE))
		return 0;
	/*
	 * Who hears nothing of the metadata servers may have lost the lease: it stays
	 * dirty until they answer, or end the session.
	 */
	if (READ_ONCE(flint_i(inode)->owes_lease) && !flint_lease_left(fs)) {
		atomic_inc(&flint_i(inode)->wb_again);
		return 0;
	}
	/* Its own work waits until the metadata server knows the file, or drops it. */
	if (flint_delegate_has(inode) || READ_ONCE(flint_i(inode)->broken)) {
		flint_delegate_hurry(fs);
		atomic_inc(&flint_i(inode)->wb_again);
		return 0;
	}
	flags = memalloc_nofs_save();
	b = kvmalloc(struct_size(b, bv, FLINT_WB_BATCH), GFP_NOFS | __GFP_NOWARN);
	if (!b) {
		atomic_inc(&flint_i(inode)->wb_again);	/* still dirty; somebody comes again */
		goto out;
	}
	b->inode = inode;
	b->nr = 0;
	err = write_cache_pages(mapping, wbc, flint_wb_folio, b);
	flint_wb_send(b);
	kvfree(b);
out:
	memalloc_nofs_restore(flags);
	return err;
}

const struct address_space_operations flint_aops = {
	.read_folio	= flint_read_folio,
	.readahead	= flint_readahead,
	.writepages	= flint_writepages,
	.dirty_folio	= filemap_dirty_folio,
	.migrate_folio	= filemap_migrate_folio,
};

/* ---- buffered writes ------------------------------------------------------ */

/*
 * Bytes behind the end of file that a map left in its page must not show when it grows. A page
 * that is being read gets zeros there: it is not waited for.
 */
void flint_zero_tail(struct inode *inode, loff_t size)
{
	size_t off = offset_in_page(size);
	struct folio *folio;

	if (!off || !inode->i_mapping->nrpages)
		return;
	folio = filemap_get_folio(inode->i_mapping, size >> PAGE_SHIFT);
	if (IS_ERR_OR_NULL(folio))
		return;
	if (folio_test_uptodate(folio)) {
		folio_lock(folio);
		if (folio->mapping == inode->i_mapping && size == i_size_read(inode))
			folio_zero_segment(folio, off, folio_size(folio));
		folio_unlock(folio);
	}
	folio_put(folio);
}

/* The file is going to end at @end, if it does not end later already. */
void flint_zero_grow(struct inode *inode, u64 end)
{
	loff_t size = i_size_read(inode);

	if (end > (u64)size)
		flint_zero_tail(inode, size);
}

/* Is a locked folio good for a write of [off, off + len), if what is beyond the end is zeroed? */
static bool flint_folio_prepare(struct inode *inode, struct folio *folio, size_t off, size_t len)
{
	loff_t size = i_size_read(inode), pos = folio_pos(folio);

	if (folio_test_uptodate(folio) || len == folio_size(folio))
		return true;
	if (pos < size && (off || pos + (loff_t)len < size))
		return false;
	folio_zero_segments(folio, 0, off, off + len, folio_size(folio));
	return true;
}

/* A locked folio of the file that may be written to, or -EAGAIN: it is to be read first. */
static struct folio *flint_folio_get(struct inode *inode, loff_t pos, size_t len)
{
	struct address_space *mapping = inode->i_mapping;
	struct folio *folio;

	folio = __filemap_get_folio(mapping, pos >> PAGE_SHIFT, FGP_LOCK | FGP_WRITE | FGP_CREAT,
				    mapping_gfp_mask(mapping));
	if (IS_ERR_OR_NULL(folio))
		return ERR_PTR(-ENOMEM);
	if (flint_folio_prepare(inode, folio, offset_in_page(pos), len))
		return folio;
	folio_unlock(folio);
	folio_put(folio);
	return ERR_PTR(-EAGAIN);
}

/* Up to a page of data into the cache. Return: bytes, 0: fault in and again, or an error. */
static ssize_t flint_cache_copy(struct kiocb *iocb, struct iov_iter *from, size_t len)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	size_t off = offset_in_page(iocb->ki_pos), n;
	struct folio *folio;
	u32 epoch;

	folio = flint_folio_get(inode, iocb->ki_pos, len);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	epoch = READ_ONCE(flint_i(inode)->trunc_epoch);
	if (!flint_wb_begin(inode, iocb->ki_flags & IOCB_APPEND)) {
		folio_unlock(folio);
		folio_put(folio);
		return -ENOLCK;
	}
	n = copy_page_from_iter_atomic(&folio->page, off, len, from);
	flush_dcache_folio(folio);
	if (n < len && !folio_test_uptodate(folio)) {
		iov_iter_revert(from, n);
		n = 0;
	}
	if (n) {
		folio_mark_uptodate(folio);
		folio_mark_dirty(folio);
	}
	flint_wb_end(inode, n ? iocb->ki_pos + n : 0, epoch);
	folio_unlock(folio);
	folio_put(folio);
	return n;
}

/**
 * flint_cache_write() - a buffered write into the page cache, under a WRITE lease
 * @iocb: position; the inode is locked
 * @from: data
 * @ready: bytes of it that were faulted in
 * @through: receives whether the lease ended, perhaps with the place of an append, so that
 *	the rest is to be written through
 *
 * One step of it, so that neither clean pages nor servers are waited for under the lock: also
 * not by a fault, as the data may be a map of another file.
 *
 * Return: bytes, 0: the data is to be faulted in once more, or an error when there are none;
 * -EAGAIN: the page at the position is to be read first.
 */
ssize_t flint_cache_write(struct kiocb *iocb, struct iov_iter *from, size_t ready, bool *through)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t size = i_size_read(inode);
	ssize_t ret = 0, total = 0;
	size_t len;

	if (iocb->ki_pos > size)
		flint_zero_tail(inode, size);
	while ((len = min3(iov_iter_count(from), ready - total,
			   PAGE_SIZE - offset_in_page(iocb->ki_pos)))) {
		ret = fatal_signal_pending(current) ? -EINTR : flint_cache_copy(iocb, from, len);
		if (ret <= 0)
			break;
		iocb->ki_pos += ret;
		total += ret;
		cond_resched();
	}
	*through = ret == -ENOLCK;
	return total ? total : ret;
}

/* ---- maps ------------------------------------------------------------------- */

/*
 * A page that somebody has mapped here already is shared as it is: it is unmapped
 * within a second of when it was read. No other page is dropped than the one that
 * is faulted in, since an instruction may need two of them at once.
 */
static void flint_fault_anew(struct inode *inode, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(inode->i_mapping, index);
	bool drop;

	if (IS_ERR_OR_NULL(folio))
		return;
	drop = !folio_mapped(folio) && !folio_test_dirty(folio) && !folio_test_writeback(folio);
	folio_put(folio);
	if (drop)
		invalidate_inode_pages2_range(inode->i_mapping, index, index);
}

/* Where the file ends, and whether there is a lease meanwhile: not for each page. */
static int flint_fault_ask(const struct vm_fault *vmf, struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);
	unsigned long asked = READ_ONCE(fi->fault_asked), now = jiffies;
	int err;

	if (asked && time_before(now, asked + FLINT_FAULT_ASK) &&
	    vmf->pgoff < DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE))
		return 0;
	err = flint_inode_refresh(inode, 0);
	if (!err)
		WRITE_ONCE(fi->fault_asked, now | 1);
	return err;
}

/*
 * With leases: a page is mapped under a READ lease, whose recall unmaps it. Where
 * none is to be had, as somebody has the file open for writing elsewhere, the
 * page is read anew, and unmapped again soon.
 */
static vm_fault_t flint_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);

	if (!flint_fs(inode->i_sb)->opts.lease)
		return filemap_fault(vmf);
	if (!flint_pages_leased(inode) && flint_fault_ask(vmf, inode))
		return VM_FAULT_SIGBUS;
	if (flint_pages_leased(inode)) {
		flint_cache_revalidate(inode);
	} else {
		flint_lease_unmap_later(inode);
		if (!(vmf->flags & FAULT_FLAG_TRIED))
			flint_fault_anew(inode, vmf->pgoff);
	}
	return filemap_fault(vmf);
}

static vm_fault_t flint_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);

	if (flint_fs(inode->i_sb)->opts.lease &&
	    (!flint_pages_leased(inode) ||
	     READ_ONCE(flint_i(inode)->cache_gen) != READ_ONCE(flint_i(inode)->read_gen)))
		return 0;	/* ->fault() asks */
	return filemap_map_pages(vmf, first, last);
}

/* Lock a mapped folio that is going to be written to. Return: 0, or what the fault shall. */
static vm_fault_t flint_mkwrite_lock(struct inode *inode, struct folio *folio)
{
	if (folio_lock_killable(folio))
		return VM_FAULT_NOPAGE;
	if (folio->mapping == inode->i_mapping && folio_pos(folio) < i_size_read(inode))
		return 0;
	folio_unlock(folio);	/* truncated, or dropped: fault again */
	return VM_FAULT_NOPAGE;
}

/*
 * Without a lease others may have written to the page since it was read: what is
 * not stored to by this map must not be older than now. A page that nobody has mapped
 * was read by this very fault.
 */
static vm_fault_t flint_mkwrite_anew(struct file *file, struct inode *inode, struct folio *folio)
{
	vm_fault_t ret;

	if (folio_test_dirty(folio) || folio_test_writeback(folio) || !folio_mapped(folio))
		return 0;
	folio_clear_uptodate(folio);
	flint_read_folio(file, folio);
	ret = flint_mkwrite_lock(inode, folio);
	if (!ret && !folio_test_uptodate(folio)) {
		folio_unlock(folio);
		ret = VM_FAULT_SIGBUS;
	}
	return ret;
}

/*
 * A shared map stores to a page for the first time since it was clean. Returns
 * with the folio locked: its write-back, which makes it clean again, waits.
 */
static vm_fault_t flint_page_mkwrite(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct inode *inode = file_inode(file);
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct folio *folio = page_folio(vmf->page);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	sb_start_pagefault(inode->i_sb);
	if (READ_ONCE(fs->shutdown) || READ_ONCE(fs->leases.lost) || IS_IMMUTABLE(inode))
		goto out;
	if (flint_wb_alone(inode) || (!flint_wb_ask(inode) && flint_delegate_settle(inode, 0)))
		goto out;
	ret = flint_mkwrite_lock(inode, folio);
	if (ret)
		goto out;
	if (!flint_wb_begin(inode, false)) {
		ret = flint_mkwrite_anew(file, inode, folio);
		if (ret)
			goto out;
		if (!flint_wb_begin_anyway(inode)) {
			folio_unlock(folio);
			flint_wb_wait_recall(inode);
			ret = VM_FAULT_NOPAGE;
			goto out;
		}
	}
	folio_mark_dirty(folio);
	flint_wb_end(inode, 0, 0);
	flint_stat_inc(fs, FLINT_STAT_WB_FAULTS);
	ret = VM_FAULT_LOCKED;
out:
	sb_end_pagefault(inode->i_sb);
	return ret;
}

static const struct vm_operations_struct flint_vm_ops = {
	.fault		= flint_fault,
	.map_pages	= flint_map_pages,
	.page_mkwrite	= flint_page_mkwrite,
};

int flint_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct inode *inode = file_inode(file);
	int err;

	if (READ_ONCE(flint_fs(inode->i_sb)->shutdown))
		return -EIO;
	err = flint_inode_revalidate(inode);
	if (err)
		return err;
	flint_cache_revalidate(inode);
	file_accessed(file);
	vma->vm_ops = &flint_vm_ops;
	return 0;
}
