// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page cache: filled for buffered reads, mmap, exec and splice; never
 * dirty, so memory reclaim never waits for the network.
 *
 * ->read_folio() and ->readahead() only start the I/O. Folios are unlocked by
 * its completion, so readers and faulting tasks wait killably in the VFS, and
 * the I/O's deadline turns into an error, not into a hang.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/mm.h>
#include <linux/pagemap.h>
#include "flint.h"

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

const struct address_space_operations flint_aops = {
	.read_folio	= flint_read_folio,
	.readahead	= flint_readahead,
	.dirty_folio	= noop_dirty_folio,
};

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
	drop = !folio_mapped(folio);
	folio_put(folio);
	if (drop)
		invalidate_inode_pages2_range(inode->i_mapping, index, index);
}

/*
 * With leases: a page is mapped under a READ lease, whose recall unmaps it. Where
 * none is to be had, as somebody has the file open for writing elsewhere, the
 * page is read anew, and unmapped again soon.
 */
static vm_fault_t flint_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);

	if (flint_fs(inode->i_sb)->opts.lease && !flint_pages_leased(inode)) {
		if (flint_inode_refresh(inode, 0))
			return VM_FAULT_SIGBUS;
		if (flint_pages_leased(inode)) {
			flint_cache_revalidate(inode);
		} else {
			flint_lease_unmap_later(inode);
			if (!(vmf->flags & FAULT_FLAG_TRIED))
				flint_fault_anew(inode, vmf->pgoff);
		}
	}
	return filemap_fault(vmf);
}

static vm_fault_t flint_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);

	if (flint_fs(inode->i_sb)->opts.lease && !flint_pages_leased(inode))
		return 0;	/* ->fault() asks */
	return filemap_map_pages(vmf, first, last);
}

static const struct vm_operations_struct flint_vm_ops = {
	.fault		= flint_fault,
	.map_pages	= flint_map_pages,
};

/* Private maps and shared read-only ones; nothing here can write pages back. */
int flint_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct inode *inode = file_inode(file);
	int err;

	if ((vma->vm_flags & VM_SHARED) && (vma->vm_flags & VM_MAYWRITE))
		return -ENODEV;
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
