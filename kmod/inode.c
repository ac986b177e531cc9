// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes: what is cached of them, for how long, and changing attributes.
 *
 * The server's change counter orders what arrives: attributes older than what
 * is known are dropped, so a slow reply never undoes a newer one. Attributes
 * may be used until fi->valid; what other mounts change is seen then at the
 * latest.
 *
 * What was changed here and not told yet is the exception: times of a file written in
 * place (FLINT_I_MTIME_DIRTY), which the server learns by fsync or close, and attributes
 * that were set under a WRITE lease (fi->attr_owed, writeback.c).
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include "flint.h"

static struct kmem_cache *flint_inode_cache;

static void flint_inode_once(void *p)
{
	struct flint_inode *fi = p;

	inode_init_once(&fi->vfs);
	spin_lock_init(&fi->lock);
	mutex_init(&fi->write_lock);
}

int flint_inode_cache_init(void)
{
	flint_inode_cache = kmem_cache_create("flint_inode", sizeof(struct flint_inode), 0,
					      SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
					      flint_inode_once);
	return flint_inode_cache ? 0 : -ENOMEM;
}

void flint_inode_cache_exit(void)
{
	rcu_barrier();	/* inodes are freed after a grace period */
	kmem_cache_destroy(flint_inode_cache);
}

struct inode *flint_inode_alloc(struct super_block *sb)
{
	struct flint_inode *fi = alloc_inode_sb(sb, flint_inode_cache, GFP_KERNEL);

	if (!fi)
		return NULL;
	fi->gen = 0;
	fi->trunc_epoch = 0;
	fi->change = 0;
	fi->size = 0;
	fi->bytes = 0;
	fi->cache_change = 0;
	fi->cache_gen = 0;
	fi->ext_want = 0;
	fi->parent = 0;
	fi->told = 0;
	fi->valid = jiffies;
	fi->stale_at = jiffies;
	fi->doubt = 0;
	fi->known = false;
	fi->names_seq = 0;
	fi->lease_kinds = 0;
	fi->lease_seq = 0;
	INIT_LIST_HEAD(&fi->lease_node);
	INIT_LIST_HEAD(&fi->unleased_node);
	INIT_LIST_HEAD(&fi->local_node);
	fi->local_opens = 0;
	fi->removing = 0;
	fi->reclaimed = 0;
	INIT_LIST_HEAD(&fi->locked_node);
	fi->locks_named = 0;
	fi->registered = NULL;
	fi->read_gen = 0;
	fi->dir_gen = 0;
	fi->attr_gen = 0;
	fi->delegated = false;
	fi->complete = false;
	fi->broken = 0;
	fi->promise = NULL;
	fi->promised = 0;
	fi->dw_reclaimed = 0;
	fi->state = 0;
	atomic_set(&fi->lost, 0);
	fi->project = 0;
	flint_wb_inode_init(fi);
	fi->silent = 0;
	fi->place = NULL;
	fi->old_places = NULL;
	fi->btime = (struct timespec64){};
	memset(&fi->layout, 0, sizeof(fi->layout));
	return &fi->vfs;
}

/* After the grace period: nobody walks over the symlink's target any more. */
void flint_inode_free(struct inode *inode)
{
	struct flint_place *place = flint_i(inode)->old_places, *next;

	if (S_ISLNK(inode->i_mode))
		kfree(inode->i_link);
	for (; place; place = next) {
		next = place->old;
		kfree(place);
	}
	kfree(flint_i(inode)->place);
	kmem_cache_free(flint_inode_cache, flint_i(inode));
}

void flint_inode_evict(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	flint_lease_evict(inode);
}

/* ---- attributes ------------------------------------------------------- */

/* Is this an inode that we could serve? */
bool flint_attr_ok(const struct flint_attr *a)
{
	u32 mode = le32_to_cpu(a->mode);

	if (!a->ino || le64_to_cpu(a->size) > MAX_LFS_FILESIZE)
		return false;
	switch (mode & S_IFMT) {
	case S_IFREG:
		return a->layout.chunk_shift >= FLINT_CHUNK_SHIFT_MIN &&
		       a->layout.chunk_shift <= FLINT_CHUNK_SHIFT_MAX;
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	}
	return false;
}

/* Until when these attributes, asked for at @sent, may be used without a lease. */
unsigned long flint_attr_until(struct flint_fs *fs, const struct flint_attr *a,
			       unsigned long sent)
{
	unsigned int ms = fs->opts.attr_timeo;

	if (ms == FLINT_TIME_SERVER)
		ms = fs->opts.lease ? 0 : min_t(u32, le32_to_cpu(a->valid_ms), 86400000);
	return sent + msecs_to_jiffies(ms);
}

static void flint_inode_times(struct inode *inode, const struct flint_attr *a)
{
	struct timespec64 mtime = ns_to_timespec64((s64)le64_to_cpu(a->mtime));
	struct timespec64 ctime = ns_to_timespec64((s64)le64_to_cpu(a->ctime));
	struct timespec64 own_mtime = inode_get_mtime(inode), own_ctime = inode_get_ctime(inode);
	bool dirty = test_bit(FLINT_I_MTIME_DIRTY, &flint_i(inode)->state);
	bool ours = dirty && flint_i(inode)->owes_lease;	/* nobody else writes */
	unsigned int owed = flint_i(inode)->attr_owed;

	if (!(owed & ATTR_ATIME))
		inode_set_atime_to_ts(inode, ns_to_timespec64((s64)le64_to_cpu(a->atime)));
	if (!(owed & ATTR_MTIME) &&
	    (!dirty || (!ours && timespec64_compare(&mtime, &own_mtime) > 0)))
		inode_set_mtime_to_ts(inode, mtime);
	if (!(dirty || owed) || timespec64_compare(&ctime, &own_ctime) > 0)
		inode_set_ctime_to_ts(inode, ctime);
}

/* An empty file may take another one's layout: what was computed of the old one is void. */
static void flint_inode_layout(struct flint_inode *fi, const struct flint_layout *layout)
{
	struct flint_place *place = fi->place;

	if (!memcmp(&fi->layout, layout, sizeof(*layout)))
		return;
	fi->layout = *layout;
	if (!place)
		return;
	place->old = fi->old_places;
	fi->old_places = place;
	WRITE_ONCE(fi->place, NULL);
}

static void flint_inode_copy(struct inode *inode, const struct flint_attr *a)
{
	struct flint_inode *fi = flint_i(inode);
	u32 flags = 0;

	if (fi->change != le64_to_cpu(a->change))
		forget_all_cached_acls(inode);
	fi->told = le32_to_cpu(a->flags);
	if (!(fi->attr_owed & ATTR_MODE))
		inode->i_mode = le32_to_cpu(a->mode);
	inode->i_uid = make_kuid(&init_user_ns, le32_to_cpu(a->uid));
	inode->i_gid = make_kgid(&init_user_ns, le32_to_cpu(a->gid));
	set_nlink(inode, le32_to_cpu(a->nlink));
	if (le32_to_cpu(a->flags) & FLINT_INO_IMMUTABLE)
		flags |= S_IMMUTABLE;
	if (le32_to_cpu(a->flags) & FLINT_INO_APPEND)
		flags |= S_APPEND;
	inode_set_flags(inode, flags, S_IMMUTABLE | S_APPEND);
	flint_inode_times(inode, a);
	fi->gen = le32_to_cpu(a->gen);
	inode->i_generation = fi->gen;
	if (fi->trunc_epoch != le32_to_cpu(a->trunc_epoch)) {
		fi->ext_want = 0;	/* a killed waiter's, maybe */
		if (test_and_clear_bit(FLINT_I_CUTTING, &fi->state))
			fi->cache_gen = 0;
	}
	fi->trunc_epoch = le32_to_cpu(a->trunc_epoch);
	fi->change = le64_to_cpu(a->change);
	fi->size = le64_to_cpu(a->size);
	fi->bytes = le64_to_cpu(a->bytes);
	fi->parent = le64_to_cpu(a->parent);
	fi->btime = ns_to_timespec64((s64)le64_to_cpu(a->btime));
	fi->project = le32_to_cpu(a->project);
	flint_inode_layout(fi, &a->layout);
	inode->i_blocks = DIV_ROUND_UP_ULL(fi->bytes, 512);
	if (fi->kept_epoch != fi->trunc_epoch || fi->kept <= fi->size)
		fi->kept = 0;
	i_size_write(inode, max(fi->size, fi->kept));
}

/**
 * flint_inode_apply() - take over attributes from a reply
 * @inode: the inode
 * @a: attributes, of the same inode
 * @sent: jiffies before the request was sent
 *
 * Context: process or completion; takes fi->lock.
 * Return: 0 (also when they were older than what is known), -ESTALE when the
 * number now means something else, -EPROTO when they make no sense.
 */
int flint_inode_apply(struct inode *inode, const struct flint_attr *a, unsigned long sent)
{
	struct flint_inode *fi = flint_i(inode);
	unsigned long until;

	if (!flint_attr_ok(a) || le64_to_cpu(a->ino) != inode->i_ino)
		return -EPROTO;
	until = flint_attr_until(flint_fs(inode->i_sb), a, sent);

	spin_lock(&fi->lock);
	if (fi->known && (fi->gen != le32_to_cpu(a->gen) ||
			  ((inode->i_mode ^ le32_to_cpu(a->mode)) & S_IFMT))) {
		spin_unlock(&fi->lock);
		return -ESTALE;
	}
	if (!fi->known || le64_to_cpu(a->change) >= fi->change) {
		flint_inode_copy(inode, a);
		if (!flint_attr_doubt(fi) && (!fi->known || time_after(until, fi->valid)))
			fi->valid = until;
		if (time_after(sent, fi->stale_at))
			clear_bit(FLINT_I_TIMES_STALE, &fi->state);
		fi->known = true;
	}
	spin_unlock(&fi->lock);
	return 0;
}

/* A directory's content or a link count changed by our own doing. */
void flint_inode_stale(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);

	spin_lock(&fi->lock);
	fi->stale_at = jiffies;
	fi->names_seq++;
	set_bit(FLINT_I_TIMES_STALE, &fi->state);
	spin_unlock(&fi->lock);
}

void flint_inode_set_nlink(struct inode *inode, u32 nlink)
{
	struct flint_inode *fi = flint_i(inode);

	spin_lock(&fi->lock);
	set_nlink(inode, nlink);
	fi->stale_at = jiffies;
	set_bit(FLINT_I_TIMES_STALE, &fi->state);
	spin_unlock(&fi->lock);
}

static int flint_inode_test(struct inode *inode, void *data)
{
	return inode->i_ino == le64_to_cpu(((const struct flint_attr *)data)->ino);
}

static int flint_inode_set(struct inode *inode, void *data)
{
	inode->i_ino = le64_to_cpu(((const struct flint_attr *)data)->ino);
	return 0;
}

static void flint_inode_ops(struct inode *inode, const struct flint_attr *a)
{
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &flint_file_iops;
		inode->i_fop = &flint_file_fops;
		inode->i_mapping->a_ops = &flint_aops;
		break;
	case S_IFDIR:
		inode->i_op = &flint_dir_iops;
		inode->i_fop = &flint_dir_fops;
		break;
	case S_IFLNK:
		inode->i_op = &flint_symlink_iops;
		break;
	default:
		inode->i_op = &flint_special_iops;
		init_special_inode(inode, inode->i_mode,
				   MKDEV(le32_to_cpu(a->rdev_major), le32_to_cpu(a->rdev_minor)));
	}
}

/**
 * flint_iget() - the inode of these attributes
 * @sb: superblock
 * @a: attributes from a reply
 * @sent: jiffies before the request was sent
 *
 * Return: the inode with a reference, or ERR_PTR(-ENOMEM, -EPROTO, -ESTALE).
 */
struct inode *flint_iget(struct super_block *sb, const struct flint_attr *a, unsigned long sent)
{
	struct inode *inode;
	int err;

	if (!flint_attr_ok(a))
		return ERR_PTR(-EPROTO);
	inode = iget5_locked(sb, le64_to_cpu(a->ino), flint_inode_test, flint_inode_set,
			     (void *)a);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	err = flint_inode_apply(inode, a, sent);
	if (inode->i_state & I_NEW) {
		if (err) {
			iget_failed(inode);
			return ERR_PTR(err);
		}
		inode->i_flags |= S_NOATIME | S_NOCMTIME;
		flint_i(inode)->cache_change = flint_i(inode)->change;
		flint_inode_ops(inode, a);
		unlock_new_inode(inode);
	} else if (err) {
		iput(inode);
		return ERR_PTR(err);
	}
	return inode;
}

static int flint_inode_ask(struct inode *inode, unsigned long deadline, enum flint_yield yield)
{
	struct flint_ino_req body = {
		.ino = cpu_to_le64(inode->i_ino),
		.gen = cpu_to_le32(flint_i(inode)->gen),
	};
	struct flint_attr attr;
	struct flint_mcall c = {
		.op = FLINT_OP_GETATTR, .lease = FLINT_LEASE_READ, .inode = inode,
		.body = &body, .body_len = sizeof(body),
		.rep = &attr, .rep_size = sizeof(attr),
		.deadline = deadline, .yield = yield,
	};
	int err;

	/* A directory that we removed is gone at the server, but not for who is in it. */
	if (S_ISDIR(inode->i_mode) && !inode->i_nlink)
		return 0;
	err = flint_meta_call(flint_fs(inode->i_sb), &c);
	if (err == -ENOENT)
		err = -ESTALE;	/* removed for good by another client */
	if (!err)
		err = flint_inode_apply(inode, &attr, c.sent);
	if (!err)
		flint_lease_take(&c, NULL, inode, &attr);
	return err;
}

/**
 * flint_inode_refresh() - ask the server for the attributes now
 * @inode: the inode
 * @deadline: jiffies, or 0 for what the mount options say
 * Return: 0 or an error of flint_meta_call().
 */
int flint_inode_refresh(struct inode *inode, unsigned long deadline)
{
	return flint_inode_ask(inode, deadline, FLINT_YIELD_NONE);
}

/* Make sure that the attributes may be used; asks the server if needed. Not for page faults. */
int flint_inode_revalidate(struct inode *inode)
{
	return flint_attr_good(inode) ? 0 : flint_inode_ask(inode, 0, FLINT_YIELD_PART);
}

/**
 * flint_inode_changed() - time of a change that this mount tells later
 * @inode: it
 * @exact: else to the tick, which is enough for writes after writes
 *
 * A change that follows one by the server, or of attributes, is later than that.
 *
 * Context: fi->lock held.
 * Return: the new ctime. The server's clock may be ahead of ours: no earlier than the old one.
 */
struct timespec64 flint_inode_changed(struct inode *inode, bool exact)
{
	struct timespec64 now = current_time(inode), ctime = inode_get_ctime(inode);

	if (exact || timespec64_compare(&now, &ctime) < 0)
		ktime_get_real_ts64(&now);
	if (timespec64_compare(&now, &ctime) < 0)
		now = ctime;
	inode_set_ctime_to_ts(inode, now);
	return now;
}

/* The file was written this moment. Context: fi->lock held. */
void flint_inode_written(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);

	inode_set_mtime_to_ts(inode, flint_inode_changed(inode, false));
	set_bit(FLINT_I_MTIME_DIRTY, &fi->state);
	fi->attr_owed &= ~(ATTR_MTIME | ATTR_MTIME_SET);
	fi->attr_seq++;
}

/**
 * flint_inode_wrote() - are there times to tell?
 * @inode: regular file
 * @when: receives the time of the last write, ns since 1970, or 0: the server's
 *
 * Only who holds the WRITE lease, or has yet to return it, knows that nobody
 * wrote later.
 *
 * Return: whether there are; it is the caller's to tell them now, or else to call
 * flint_inode_unwrote().
 */
bool flint_inode_wrote(struct inode *inode, u64 *when)
{
	struct flint_inode *fi = flint_i(inode);
	struct timespec64 mtime;
	bool dirty;

	spin_lock(&fi->lock);
	dirty = test_and_clear_bit(FLINT_I_MTIME_DIRTY, &fi->state);
	mtime = inode_get_mtime(inode);
	*when = dirty && fi->owes_lease ? timespec64_to_ns(&mtime) : 0;
	spin_unlock(&fi->lock);
	return dirty;
}

/* The times could not be told. */
void flint_inode_unwrote(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);

	spin_lock(&fi->lock);
	if (!(fi->attr_owed & ATTR_MTIME))
		set_bit(FLINT_I_MTIME_DIRTY, &fi->state);
	spin_unlock(&fi->lock);
}

/**
 * flint_inode_touch() - tell the server of writes in place
 * @inode: regular file
 * @deadline: jiffies, or 0 for what the mount options say
 * Return: 0, also when there is nothing to tell, or an error.
 */
int flint_inode_touch(struct inode *inode, unsigned long deadline)
{
	u64 when;
	int err;

	if (!test_bit(FLINT_I_MTIME_DIRTY, &flint_i(inode)->state) ||
	    !flint_inode_wrote(inode, &when))
		return 0;
	err = flint_extend_at(inode, 0, READ_ONCE(flint_i(inode)->trunc_epoch), when, deadline);
	if (err)
		flint_inode_unwrote(inode);
	return err;
}

/**
 * flint_cache_revalidate() - drop cached pages that another client's write outdated
 * @inode: regular file with attributes that may be used
 */
void flint_cache_revalidate(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);
	bool leased = !flint_fs(inode->i_sb)->opts.lease || flint_pages_leased(inode);
	unsigned long gen = READ_ONCE(fi->read_gen);
	u64 change = READ_ONCE(fi->change);

	/*
	 * Under one lease all changes are our own. Without one somebody may write it
	 * this moment.
	 */
	if (leased && READ_ONCE(fi->cache_change) == change) {
		if (gen == READ_ONCE(fi->cache_gen))
			return;
	} else if (!leased || !gen || gen != READ_ONCE(fi->cache_gen)) {
		if (inode->i_mapping->nrpages)
			invalidate_inode_pages2(inode->i_mapping);
	}
	spin_lock(&fi->lock);
	if (fi->change == change) {	/* else the pages may have become old meanwhile */
		fi->cache_change = change;
		if (leased && fi->read_gen == gen && !flint_attr_doubt(fi))
			fi->cache_gen = gen;
	}
	spin_unlock(&fi->lock);
}

/**
 * flint_inode_place() - compute a file's chains, once
 * @inode: regular file
 * @map: current map
 *
 * Return: 0 with fi->place set; -EIO when the map does not know the table or
 * the layout is of another version; -ENOMEM.
 */
int flint_inode_place(struct inode *inode, struct flint_mapref *map)
{
	struct flint_inode *fi = flint_i(inode);
	const struct flint_map_table *table;
	struct flint_layout layout;
	struct flint_placement *p;
	struct flint_place *place;
	int err;

	if (READ_ONCE(fi->place))
		return 0;
	spin_lock(&fi->lock);
	layout = fi->layout;
	spin_unlock(&fi->lock);
	table = flint_map_table(&map->map, le32_to_cpu(layout.table),
				le32_to_cpu(layout.table_ver));
	if (!table)
		return -EIO;
	p = kmalloc(sizeof(*p), GFP_NOFS);
	if (!p)
		return -ENOMEM;
	err = flint_placement_init(p, &layout, le32_to_cpu(table->nr));
	if (err) {
		pr_err_ratelimited("%s: inode %lu has a layout that this module does not know\n",
				   flint_fs(inode->i_sb)->name, inode->i_ino);
		err = -EIO;
		goto free;
	}
	place = kmalloc(struct_size(place, slot, p->width), GFP_NOFS);
	err = -ENOMEM;
	if (!place)
		goto free;
	place->old = NULL;
	place->width = p->width;
	memcpy(place->slot, p->slot, p->width * sizeof(p->slot[0]));
	spin_lock(&fi->lock);
	if (!fi->place && !memcmp(&fi->layout, &layout, sizeof(layout))) {
		/* Readers, who take no lock, see it filled in. */
		smp_store_release(&fi->place, place);
		place = NULL;
	}
	spin_unlock(&fi->lock);
	kfree(place);
	err = 0;
free:
	kfree(p);
	return err;
}

/* ---- operations ------------------------------------------------------- */

int flint_permission(FLINT_IDMAP *idmap, struct inode *inode, int mask)
{
	bool ask = S_ISDIR(inode->i_mode) || flint_fs(inode->i_sb)->opts.lease;

	if (ask && !flint_attr_good(inode)) {
		int err;

		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		err = flint_inode_revalidate(inode);
		if (err)
			return err;
	}
	return generic_permission(idmap, inode, mask);
}

int flint_getattr(FLINT_IDMAP *idmap, const struct path *path, struct kstat *stat,
		  u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct flint_inode *fi = flint_i(inode);
	int err = 0;

	flags &= AT_STATX_SYNC_TYPE;
	if (flags == AT_STATX_FORCE_SYNC ||
	    (flags != AT_STATX_DONT_SYNC && test_bit(FLINT_I_TIMES_STALE, &fi->state)))
		err = flint_inode_refresh(inode, 0);
	else if (flags != AT_STATX_DONT_SYNC)
		err = flint_inode_revalidate(inode);
	if (err)
		return err;
#ifdef STATX_CHANGE_COOKIE
	if (mask & STATX_CHANGE_COOKIE) {
		stat->change_cookie = flint_change_cookie(inode);
		stat->attributes |= STATX_ATTR_CHANGE_MONOTONIC;
		stat->result_mask |= STATX_CHANGE_COOKIE;
	}
#endif
	generic_fillattr(idmap, mask, inode, stat);
	stat->blksize = FLINT_ST_BLKSIZE;
	if (READ_ONCE(fi->owes))	/* no holes where nothing is written back yet */
		stat->blocks = max_t(u64, stat->blocks, DIV_ROUND_UP_ULL(stat->size, 512));
	stat->btime = fi->btime;
	stat->result_mask |= STATX_BTIME;
	if (inode->i_flags & S_APPEND)
		stat->attributes |= STATX_ATTR_APPEND;
	if (inode->i_flags & S_IMMUTABLE)
		stat->attributes |= STATX_ATTR_IMMUTABLE;
	stat->attributes_mask |= STATX_ATTR_APPEND | STATX_ATTR_IMMUTABLE;
	return 0;
}

static void flint_setattr_fill(struct flint_setattr *b, const struct inode *inode,
			       const struct iattr *attr)
{
	u32 valid = 0;

	if (attr->ia_valid & ATTR_MODE)
		valid |= FLINT_SET_MODE;
	if (attr->ia_valid & ATTR_UID)
		valid |= FLINT_SET_UID;
	if (attr->ia_valid & ATTR_GID)
		valid |= FLINT_SET_GID;
	if (attr->ia_valid & ATTR_SIZE)
		valid |= FLINT_SET_SIZE;
	if (attr->ia_valid & ATTR_ATIME)
		valid |= attr->ia_valid & ATTR_ATIME_SET ? FLINT_SET_ATIME : FLINT_SET_ATIME_NOW;
	if (attr->ia_valid & ATTR_MTIME)
		valid |= attr->ia_valid & ATTR_MTIME_SET ? FLINT_SET_MTIME : FLINT_SET_MTIME_NOW;
	b->ino = cpu_to_le64(inode->i_ino);
	b->gen = cpu_to_le32(flint_i(inode)->gen);
	b->valid = cpu_to_le32(valid);
	if (attr->ia_valid & ATTR_MODE)
		b->mode = cpu_to_le32(attr->ia_mode);
	if (attr->ia_valid & ATTR_UID)
		b->uid = cpu_to_le32(from_kuid(&init_user_ns, attr->ia_uid));
	if (attr->ia_valid & ATTR_GID)
		b->gid = cpu_to_le32(from_kgid(&init_user_ns, attr->ia_gid));
	if (attr->ia_valid & ATTR_SIZE)
		b->size = cpu_to_le64(attr->ia_size);
	if (attr->ia_valid & ATTR_ATIME_SET)
		b->atime = cpu_to_le64(timespec64_to_ns(&attr->ia_atime));
	if (attr->ia_valid & ATTR_MTIME_SET)
		b->mtime = cpu_to_le64(timespec64_to_ns(&attr->ia_mtime));
	flint_cred_fill(&b->cred);
}

/**
 * flint_attr_unknown() - nobody waits any more for the answer to a change of attributes
 * @inode: any
 * @cut: it may make the file shorter
 *
 * The server may carry it out, now or later, and leaves us our leases: what it says of the inode
 * meanwhile is not kept, nor are pages when it says of a change. It waits for the leases of others
 * for less than a session's lease; what takes longer, the cut itself, keeps leases from us. Then
 * pages of before must not be seen (flint_inode_copy()).
 *
 * Context: process; takes fi->lock.
 */
void flint_attr_unknown(struct inode *inode, bool cut)
{
	struct flint_inode *fi = flint_i(inode);

	flint_inode_stale(inode);
	spin_lock(&fi->lock);
	if (cut)
		set_bit(FLINT_I_CUTTING, &fi->state);
	fi->doubt = (jiffies + msecs_to_jiffies(flint_fs(inode->i_sb)->lease_ms)) | 1;
	fi->cache_change = 0;	/* pages, too: the change may be known already */
	fi->cache_gen = 0;
	fi->attr_gen = 0;
	fi->valid = jiffies;
	spin_unlock(&fi->lock);
}

/**
 * flint_setattr_at() - have the server change attributes
 * @inode: any
 * @attr: what to set; permissions were checked
 * @when: time of the change, ns since 1970, by who holds the WRITE lease: what is owed is
 *	told; 0: now, by a system call that holds the inode's lock
 * @yield: what to do when there is no answer: FLINT_YIELD_CHANGE or _NONE
 * @deadline: jiffies, or 0 for what the mount options say
 *
 * Return: 0 or an error of flint_meta_call().
 */
int flint_setattr_at(struct inode *inode, const struct iattr *attr, u64 when,
		     enum flint_yield yield, unsigned long deadline)
{
	struct flint_setattr body = { .when = cpu_to_le64(when) };
	struct flint_attr rep;
	struct flint_mcall c = {
		.op = FLINT_OP_SETATTR, .mutates = true, .inode = inode,
		.yield = yield,
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep),
		.deadline = deadline,
	};
	int err;

	flint_setattr_fill(&body, inode, attr);
	err = flint_meta_call(flint_fs(inode->i_sb), &c);
	if (c.unknown)
		flint_attr_unknown(inode, attr->ia_valid & ATTR_SIZE);
	return err ? err : flint_inode_apply(inode, &rep, c.sent);
}

/**
 * flint_inode_pay() - what was written and set counts for before a change by the servers
 * @inode: regular file, locked by a system call
 * Return: 0, an error of flint_flush_range(), or -ERESTARTNOINTR.
 */
int flint_inode_pay(struct inode *inode)
{
	unsigned long leave;
	int err = flint_hold_file(inode, &leave);

	return err ? err : flint_hold_file_end(inode, leave,
					       flint_flush_range(inode, 0, LLONG_MAX, leave));
}

/**
 * flint_inode_pay_first() - what was written before shall count as written before
 * @inode: any, locked by a system call
 * @writes: pay for writes; false: only for attributes that were set
 *
 * For changes that forbid writes, or that the server undoes when it hears of one.
 *
 * Return: as flint_inode_pay().
 */
int flint_inode_pay_first(struct inode *inode, bool writes)
{
	struct flint_inode *fi = flint_i(inode);
	unsigned long leave;
	int err;

	if (!S_ISREG(inode->i_mode))
		return 0;
	if (!writes)
		return READ_ONCE(fi->attr_owed) ? flint_inode_pay(inode) : 0;
	err = flint_touch_wait(flint_fs(inode->i_sb));
	if (!err)
		err = flint_hold_file(inode, &leave);
	if (err)
		return err;
	err = flint_flush_range(inode, 0, LLONG_MAX, leave);
	if (!err)
		err = flint_inode_touch(inode, leave);
	return flint_hold_file_end(inode, leave, err);
}

/* Under a token the server takes set-id bits away when it hears of a write. */
static bool flint_setattr_setid(const struct inode *inode, const struct iattr *attr)
{
	return flint_fs(inode->i_sb)->token && (attr->ia_valid & ATTR_MODE) &&
	       (attr->ia_mode & (S_ISUID | S_ISGID));
}

int flint_setattr(FLINT_IDMAP *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct flint_inode *fi = flint_i(inode);
	loff_t size = i_size_read(inode);
	int err = setattr_prepare(idmap, dentry, attr);

	if (!err && S_ISREG(inode->i_mode) && (attr->ia_valid & ATTR_MTIME))
		err = flint_touch_wait(flint_fs(inode->i_sb));
	if (err || flint_wb_attr(inode, attr))
		return err;
	/* These count for what was written before, and not for what comes after. */
	if (S_ISREG(inode->i_mode) && READ_ONCE(fi->owes) &&
	    (READ_ONCE(fi->attr_owed) ||
	     (attr->ia_valid & (ATTR_SIZE | ATTR_MTIME | ATTR_UID | ATTR_GID))))
		err = flint_inode_pay(inode);
	if (!err && flint_setattr_setid(inode, attr))
		err = flint_inode_pay_first(inode, true);
	if (err)
		return err;
	if ((attr->ia_valid & ATTR_SIZE) && attr->ia_size > size)
		flint_zero_tail(inode, size);
	if ((attr->ia_valid & ATTR_SIZE) &&
	    (u64)attr->ia_size > flint_iosplit_limit(fi->layout.chunk_shift))
		return -EFBIG;
	/* Explicit times replace what in-place writes left to tell. */
	if (S_ISREG(inode->i_mode) && (attr->ia_valid & ATTR_MTIME))
		clear_bit(FLINT_I_MTIME_DIRTY, &fi->state);
	err = flint_setattr_at(inode, attr, 0, FLINT_YIELD_CHANGE, 0);
	if (S_ISDIR(inode->i_mode) && (attr->ia_valid & (ATTR_UID | ATTR_GID)))
		flint_delegate_end(inode);
	if (!err && (attr->ia_valid & ATTR_SIZE))
		truncate_pagecache(inode, attr->ia_size);
	return err;
}
