// SPDX-License-Identifier: GPL-2.0-only
/*
 * What this mount owes the servers: dirty pages, the end of a file that it
 * keeps, times and attributes; and how that is paid before anybody else looks.
 *
 * Under a WRITE lease, with the READ lease that comes with it, shared maps dirty
 * the page cache. With the option "writeback" buffered writes do, too, and a
 * write beyond the end of file is not announced; without it they only do where
 * somebody may store to the same pages by a map, and write back before they
 * return. From the first of them on the inode *owes*: it is held, stands on
 * leases.owed, and its work runs a second later:
 *
 *	nothing -- flint_wb_begin() --> owes -- the work: pages written, then
 *	   ^				 ^	the size, the times and attributes told
 *	   |				 +---- written to meanwhile: a second later
 *	   |				 +---- no answer: again, until the session ends
 *	   +---- paid: handles given back, a recalled lease returned
 *
 * Invariants
 *  - Pages are dirtied, and sizes kept, between flint_wb_begin() and
 *    flint_wb_end() only. These sections never wait. A recall ends the lease
 *    first, then waits for the sections, then writes back: so nothing is dirty
 *    when it is returned.
 *  - Mode and times may be set without a request while it owes under the lease: each
 *    such change is whole under fi->lock, and they are told after data and size.
 *  - Data is at the chunk servers before the size that covers it is told.
 *  - A handle for writing stays open at the server as long as the inode owes:
 *    who dies owing has its sizes settled, and a new leader lets it reclaim.
 *  - The work is queued under fi->lock and only while the inode owes; it drops
 *    the inode only when it is not queued again. So no work outlives its inode.
 *  - When the session is lost, all that is owed is dropped, with an error for
 *    fsync and a line in the log: somebody else may have written since. Before
 *    that, when the lease is not trusted any more, nothing is written back.
 *  - A write whose task was killed while a server had it is owed, too: until it has ended,
 *    handles stay open, leases are not returned, and nobody here writes to the file.
 *  - Who holds the lease says when it wrote: times do not move when they are told.
 *
 * A page that is mapped for writing where no lease is to be had is dirtied all
 * the same (flint_wb_begin_anyway()): it is read anew just before, and written
 * back and unmapped a second later.
 *
 * Order of locks: leases.lock, fi->lock, leases.owed_lock.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/wait_bit.h>
#include "flint.h"

#define FLINT_WB_DELAY		HZ		/* what is written is a promise so long */
#define FLINT_WB_RETRY		(HZ / 2)
#define FLINT_WB_SETTLE		HZ		/* for the server to know the file */
#define FLINT_WB_TELL_TIMEO	(10 * HZ)
#define FLINT_WB_ASK_TIMEO	(2 * HZ)
#define FLINT_WB_FULL		(10 * HZ)	/* data was refused: no promises for so long */
#define FLINT_WB_PAUSE		(HZ / 10)	/* of a fault that meets a recall */
#define FLINT_WB_DRAIN		(20 * HZ)	/* of an unmount */

/* ---- may it be dirtied? ------------------------------------------------- */

static bool flint_wb_allowed(struct flint_fs *fs)
{
	unsigned long full = READ_ONCE(fs->wb_full);

	return fs->opts.lease && !READ_ONCE(fs->shutdown) && !READ_ONCE(fs->leases.lost) &&
	       (!full || time_after(jiffies, full));
}

/**
 * flint_wb_wanted() - is a WRITE lease of use?
 * @inode: regular file
 *
 * Return: whether buffered writes go into the page cache: with the option
 * "writeback", and where a shared map may store to the same page. Such a store
 * would bring back what a write that passes by the cache replaces.
 */
bool flint_wb_wanted(const struct inode *inode)
{
	const struct flint_opts *opts = &flint_fs(inode->i_sb)->opts;

	return opts->lease && (opts->writeback || mapping_writably_mapped(inode->i_mapping));
}

/* From now on it owes. Under fi->lock, with a reference on the inode. */
static void flint_owe(struct inode *inode, unsigned long delay)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);

	if (fi->owes)
		return;
	fi->owes = true;
	ihold(inode);
	spin_lock(&fs->leases.owed_lock);
	list_add_tail(&fi->owed_node, &fs->leases.owed);
	fs->leases.nr_owed++;
	spin_unlock(&fs->leases.owed_lock);
	queue_delayed_work(fs->wb_wq, &fi->wb_work, delay);
}

/*
 * @pages: they are going to be dirtied, so what is cached must be of this lease. @placed: so must
 * the place of flint_wb_reserve() be.
 */
static bool flint_wb_enter(struct inode *inode, bool pages, bool placed)
{
	struct flint_inode *fi = flint_i(inode);
	bool ok;

	if (!flint_wb_allowed(flint_fs(inode->i_sb)) || !flint_pages_leased(inode))
		return false;
	spin_lock(&fi->lock);
	ok = fi->write_gen && fi->read_gen && !fi->ret_kinds &&
	     (!pages || READ_ONCE(fi->cache_gen) == fi->read_gen) && !(placed && fi->displaced);
	if (ok) {
		fi->dirtiers++;
		fi->owes_lease = true;
		flint_owe(inode, FLINT_WB_DELAY);
	}
	spin_unlock(&fi->lock);
	return ok;
}

/**
 * flint_wb_begin() - may cached pages be dirtied?
 * @inode: regular file, open for writing
 * @placed: at a place of flint_wb_reserve(), under the same write_lock
 *
 * Context: any that may take a spinlock; the section must not wait.
 * Return: true: pairs with flint_wb_end(); false: there is no lease, or pages that
 * were read before it are still cached (flint_wb_ask()), or the place was lost.
 */
bool flint_wb_begin(struct inode *inode, bool placed)
{
	return flint_wb_enter(inode, true, placed);
}

/* The same without a lease, for pages of maps. Return: false: not now. */
bool flint_wb_begin_anyway(struct inode *inode)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	bool ok;

	if (READ_ONCE(fs->shutdown) || READ_ONCE(fs->leases.lost))
		return false;
	spin_lock(&fi->lock);
	ok = !fi->ret_kinds;
	if (ok) {
		fi->dirtiers++;
		set_bit(FLINT_I_UNLEASED, &fi->state);
		flint_owe(inode, FLINT_WB_DELAY);
	}
	spin_unlock(&fi->lock);
	return ok;
}

/**
 * flint_wb_end() - end of a section that dirtied something
 * @inode: as in flint_wb_begin()
 * @end: end of what was written into the file, 0: nothing that could grow it
 * @epoch: truncate epoch that it belongs to
 */
void flint_wb_end(struct inode *inode, u64 end, u32 epoch)
{
	struct flint_inode *fi = flint_i(inode);

	spin_lock(&fi->lock);
	if (epoch == fi->trunc_epoch) {
		if (end > (u64)i_size_read(inode))
			i_size_write(inode, end);
		fi->written = max(fi->written, end);
		if (end > fi->size && end > fi->kept) {
			fi->kept = end;
			fi->kept_epoch = epoch;
		}
	}
	flint_inode_written(inode);
	if (!--fi->dirtiers) {
		smp_mb();	/* the count is down before the waiter is looked for */
		wake_up_var(&fi->dirtiers);
	}
	spin_unlock(&fi->lock);
}

/**
 * flint_wb_leave() - a write is on its way that its killed task does not wait for
 * @inode: regular file
 *
 * Pairs with flint_wb_left().
 */
void flint_wb_leave(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);

	spin_lock(&fi->lock);
	fi->strays++;
	flint_owe(inode, FLINT_WB_DELAY);
	spin_unlock(&fi->lock);
}

/**
 * flint_wb_left() - it has ended, and may have had its effect
 * @inode: as before
 * @pos: where it wrote
 * @len: bytes, not 0
 *
 * Context: process; waits for pages that are being read.
 */
void flint_wb_left(struct inode *inode, loff_t pos, size_t len)
{
	struct flint_inode *fi = flint_i(inode);

	flint_write_drop(inode, pos, len);
	spin_lock(&fi->lock);
	flint_inode_written(inode);
	if (!--fi->strays) {
		mod_delayed_work(flint_fs(inode->i_sb)->wb_wq, &fi->wb_work, 0);
		smp_mb();	/* the count is down before the waiter is looked for */
		wake_up_var(&fi->strays);
	}
	spin_unlock(&fi->lock);
}

/**
 * flint_wb_alone() - before a change of data: what was left goes first
 * @inode: regular file
 *
 * It would be put over the change if it came later. It is not tried again, so this is short.
 *
 * Return: 0 or -EINTR.
 */
int flint_wb_alone(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);

	if (likely(!READ_ONCE(fi->strays)))
		return 0;
	return wait_var_event_killable(&fi->strays, !READ_ONCE(fi->strays)) ? -EINTR : 0;
}

/**
 * flint_wb_keep() - data was written durably: may the size be told later?
 * @inode: regular file
 * @end: end of what was written
 * @epoch: truncate epoch that it was written under
 * Return: false: announce it now.
 */
bool flint_wb_keep(struct inode *inode, u64 end, u32 epoch)
{
	if (!flint_fs(inode->i_sb)->opts.writeback || !flint_wb_enter(inode, false, false))
		return false;
	flint_wb_end(inode, end, epoch);
	return true;
}

/* May these attributes of a file without ACL be set here? Under fi->lock. */
static bool flint_wb_attr_may(const struct inode *inode, const struct iattr *attr)
{
	const unsigned int known = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_CTIME | ATTR_ATIME |
				   ATTR_ATIME_SET | ATTR_MTIME | ATTR_MTIME_SET | ATTR_TIMES_SET |
				   ATTR_FORCE | ATTR_FILE | ATTR_TOUCH | ATTR_KILL_PRIV |
				   ATTR_KILL_SUID | ATTR_KILL_SGID;	/* in ATTR_MODE, too */
	const struct flint_inode *fi = flint_i(inode);
	unsigned int set = attr->ia_valid;

	/* "Now" is the server's; owners are under quota there; a store by a map moves mtime. */
	if ((set & ~known) || !(fi->told & FLINT_INO_NO_XATTR) ||
	    ((set & ATTR_ATIME) && !(set & ATTR_ATIME_SET)) ||
	    ((set & ATTR_MTIME) &&
	     (!(set & ATTR_MTIME_SET) || mapping_writably_mapped(inode->i_mapping))) ||
	    ((set & ATTR_UID) && !uid_eq(attr->ia_uid, inode->i_uid)) ||
	    ((set & ATTR_GID) && !gid_eq(attr->ia_gid, inode->i_gid)))
		return false;
	return fi->owes_lease && fi->write_gen && fi->read_gen && !fi->ret_kinds;
}

/**
 * flint_wb_attr() - set attributes without a request
 * @inode: any, locked
 * @attr: what to set; permissions were checked
 *
 * For what unpacks archives and copies files: it writes, then sets mode, times and
 * owner. Under a token the server checks who does.
 *
 * Return: false: ask the server.
 */
bool flint_wb_attr(struct inode *inode, const struct iattr *attr)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	bool ok;

	if (!S_ISREG(inode->i_mode) || !fs->opts.writeback || fs->token ||
	    !flint_wb_allowed(fs) || !flint_pages_leased(inode))
		return false;
	spin_lock(&fi->lock);
	ok = flint_wb_attr_may(inode, attr);
	if (!ok)
		goto out;
	if (attr->ia_valid & ATTR_MODE)
		inode->i_mode = (inode->i_mode & S_IFMT) | (attr->ia_mode & S_IALLUGO);
	if (attr->ia_valid & ATTR_ATIME)
		inode_set_atime_to_ts(inode, attr->ia_atime);
	if (attr->ia_valid & ATTR_MTIME) {
		inode_set_mtime_to_ts(inode, attr->ia_mtime);
		clear_bit(FLINT_I_MTIME_DIRTY, &fi->state);
	}
	flint_inode_changed(inode, true);
	fi->attr_owed |= ATTR_CTIME | (attr->ia_valid & (ATTR_MODE | ATTR_ATIME | ATTR_ATIME_SET |
							 ATTR_MTIME | ATTR_MTIME_SET));
	fi->attr_seq++;
out:
	spin_unlock(&fi->lock);
	return ok;
}

/**
 * flint_wb_reserve() - a place at the end of file, as sole writer
 * @inode: regular file, locked
 * @len: bytes; receives how many of them fit into the file
 * @pos: receives the place
 * Return: 0, -EFBIG, or -ENOLCK: there is no lease; ask the server.
 */
int flint_wb_reserve(struct inode *inode, u64 *len, loff_t *pos)
{
	struct flint_inode *fi = flint_i(inode);
	u64 at, limit;

	if (!flint_wb_enter(inode, false, false))
		return -ENOLCK;
	spin_lock(&fi->lock);
	limit = flint_iosplit_limit(fi->layout.chunk_shift);
	at = max3((u64)i_size_read(inode), fi->size, fi->kept);
	if (at < limit) {
		*len = min(*len, limit - at);
		fi->kept = at + *len;	/* no more: the server would refuse it */
		fi->kept_epoch = fi->trunc_epoch;
		fi->written = 0;
		fi->displaced = false;
	}
	spin_unlock(&fi->lock);
	flint_wb_end(inode, 0, 0);
	*pos = at;
	return at < limit ? 0 : -EFBIG;
}

/**
 * flint_wb_unreserve() - an append ended before the end of its place
 * @inode: regular file, since flint_wb_reserve() under its write_lock
 * @end: end of the place
 * @reached: end of what was written
 *
 * What was told already stays: a hole at the end, as after a writer that died. And what others
 * wrote in the place, for direct writes of whole pages wait for no lock.
 */
void flint_wb_unreserve(struct inode *inode, u64 end, u64 reached)
{
	struct flint_inode *fi = flint_i(inode);

	spin_lock(&fi->lock);
	if (fi->kept == end && fi->kept_epoch == fi->trunc_epoch) {
		reached = max(reached, fi->written);
		fi->kept = reached > fi->size ? reached : 0;
		i_size_write(inode, max(fi->size, fi->kept));
	}
	spin_unlock(&fi->lock);
}

/**
 * flint_wb_displaced() - does a place at the end of file belong to others now?
 * @inode: regular file, since flint_wb_reserve() under its write_lock
 * @session: that it was given in, or an earlier one
 *
 * No server knew of it. When the lease ends with all that is owed, they give it to others.
 */
bool flint_wb_displaced(const struct inode *inode, u64 session)
{
	const struct flint_fs *fs = flint_fs(inode->i_sb);

	return session != flint_session(fs) || READ_ONCE(fs->leases.lost) ||
	       READ_ONCE(flint_i(inode)->displaced);
}

/**
 * flint_wb_ask() - try to have the lease that lets pages be dirtied
 * @inode: regular file, open for writing
 *
 * Asks the server at once, but not within a second of its refusal, and not for
 * long. Pages that were read before the lease are dropped.
 *
 * Context: process, no folio locked; may hold mmap_lock.
 * Return: whether there is one.
 */
bool flint_wb_ask(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);
	unsigned long asked = READ_ONCE(fi->write_asked);

	if (!flint_wb_allowed(flint_fs(inode->i_sb)))
		return false;
	if (READ_ONCE(fi->write_gen) && flint_pages_leased(inode))
		goto leased;
	if (READ_ONCE(fi->ret_kinds) || (asked && time_before(jiffies, asked + HZ)))
		return false;
	flint_extend(inode, 0, READ_ONCE(fi->trunc_epoch), jiffies + FLINT_WB_ASK_TIMEO);
	if (!READ_ONCE(fi->write_gen) || !flint_pages_leased(inode)) {
		WRITE_ONCE(fi->write_asked, jiffies | 1);
		return false;
	}
leased:
	flint_cache_revalidate(inode);
	return true;
}

/* ---- paying --------------------------------------------------------------- */

/**
 * flint_wb_write() - write dirty pages of a range back
 * @inode: regular file
 * @start: first byte
 * @end: last byte
 * @deadline: jiffies, or 0: none on a hard mount
 *
 * Context: process. A task goes on until it is killed, or, on a soft mount, for
 * io_timeo; a work tries once.
 * Return: 0, -EINTR, -EAGAIN (work: no answer), or the error that the data met.
 */
int flint_wb_write(struct inode *inode, loff_t start, loff_t end, unsigned long deadline)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	unsigned long until = jiffies + msecs_to_jiffies(fs->opts.io_timeo);
	bool work = current->flags & PF_KTHREAD;
	int again, err;

	err = flint_delegate_settle(inode, work ? jiffies + FLINT_WB_SETTLE : deadline);
	if (err == -EIO && work && !READ_ONCE(fi->broken))
		return -EAGAIN;
	if (err)
		return err;
	for (;;) {
		again = atomic_read(&fi->wb_again);
		err = filemap_write_and_wait_range(inode->i_mapping, start, end);
		if (err || again == atomic_read(&fi->wb_again))
			return err;
		if (READ_ONCE(fs->shutdown) || READ_ONCE(fs->leases.lost))
			return -EIO;
		if (work)
			return -EAGAIN;
		if ((fs->opts.soft && time_after(jiffies, until)) ||
		    (deadline && time_after(jiffies, deadline)))
			return -EIO;
		if (schedule_timeout_killable(FLINT_WB_RETRY) && fatal_signal_pending(current))
			return -EINTR;
	}
}

/* Tell the server the size up to @end, or only the times. Data is there already. */
static int flint_wb_tell_size(struct inode *inode, u64 end, u32 epoch, unsigned long deadline)
{
	bool times;
	u64 when;
	int err;

	if (end <= READ_ONCE(flint_i(inode)->size))
		return flint_inode_touch(inode, deadline);
	times = flint_inode_wrote(inode, &when);
	err = flint_extend_at(inode, end, epoch, when, deadline);
	if (err && times)
		flint_inode_unwrote(inode);
	return err;
}

/* What is told of attributes that were set, with the mtime, so that ctime is their time. */
static void flint_wb_attr_fill(struct flint_extend *body, const struct iattr *attr)
{
	body->valid = cpu_to_le32((attr->ia_valid & ATTR_MODE ? FLINT_SET_MODE : 0) |
				  (attr->ia_valid & ATTR_ATIME ? FLINT_SET_ATIME : 0) |
				  FLINT_SET_MTIME);
	body->mode = cpu_to_le32(attr->ia_mode);
	body->atime = cpu_to_le64(timespec64_to_ns(&attr->ia_atime));
	body->mtime = cpu_to_le64(timespec64_to_ns(&attr->ia_mtime));
	body->when = cpu_to_le64(timespec64_to_ns(&attr->ia_ctime));
}

/* Did the server take them? */
static bool flint_wb_attr_taken(const struct flint_extend *body, const struct flint_attr *a)
{
	u32 valid = le32_to_cpu(body->valid);

	return a->mtime == body->mtime &&
	       (!(valid & FLINT_SET_ATIME) || a->atime == body->atime) &&
	       (!(valid & FLINT_SET_MODE) ||
		!((le32_to_cpu(a->mode) ^ le32_to_cpu(body->mode)) & S_IALLUGO));
}

/* Tell the size up to @end, 0: not it, and the attributes that were set. */
static int flint_wb_tell_attr(struct inode *inode, const struct iattr *attr, u64 end, u32 epoch,
			      unsigned long deadline)
{
	struct flint_extend body = {
		.trunc_epoch = cpu_to_le32(epoch),
		.end = cpu_to_le64(end),
	};
	struct flint_attr rep = {};
	int err;

	flint_wb_attr_fill(&body, attr);
	err = flint_extend_call(inode, &body, &rep, deadline);
	if (err || flint_wb_attr_taken(&body, &rep))
		return err;
	/* The file was truncated since, or the server is an older one. */
	return flint_setattr_at(inode, attr, le64_to_cpu(body.when), FLINT_YIELD_NONE, deadline);
}

/**
 * flint_wb_tell() - tell the server of a file whose data is at the chunk servers
 * @inode: regular file
 * @end: size up to there; what is known already need not be
 * @epoch: truncate epoch of that
 * @deadline: jiffies, or 0 for what the mount options say
 *
 * And times, and attributes that were set. Of these there is one teller at a time, so that
 * the last values count.
 *
 * Return: 0, -EINTR, or an error of flint_meta_call().
 */
static int flint_wb_tell(struct inode *inode, u64 end, u32 epoch, unsigned long deadline)
{
	struct flint_inode *fi = flint_i(inode);
	struct iattr attr;
	bool times;
	u32 seq;
	int err;

	for (;;) {
		spin_lock(&fi->lock);
		if (!fi->attr_owed) {
			spin_unlock(&fi->lock);
			return flint_wb_tell_size(inode, end, epoch, deadline);
		}
		if (!test_and_set_bit(FLINT_I_EXTENDING, &fi->state))
			break;
		spin_unlock(&fi->lock);
		err = flint_extend_wait(fi, deadline);
		if (err)
			return err;
	}
	attr = (struct iattr){
		.ia_valid = fi->attr_owed | ATTR_MTIME | ATTR_MTIME_SET,
		.ia_mode = inode->i_mode,
		.ia_atime = inode_get_atime(inode),
		.ia_mtime = inode_get_mtime(inode),
		.ia_ctime = inode_get_ctime(inode),
	};
	times = test_and_clear_bit(FLINT_I_MTIME_DIRTY, &fi->state);
	seq = fi->attr_seq;
	if (end <= fi->size || epoch != fi->trunc_epoch) {
		end = 0;	/* told already, or truncated since */
		epoch = fi->trunc_epoch;
	}
	spin_unlock(&fi->lock);
	err = flint_wb_tell_attr(inode, &attr, end, epoch, deadline);
	spin_lock(&fi->lock);
	if (!err && seq == fi->attr_seq)
		fi->attr_owed = 0;
	spin_unlock(&fi->lock);
	if (err && times)
		flint_inode_unwrote(inode);
	flint_extend_end(fi);
	return err;
}

static u64 flint_wb_kept(struct flint_inode *fi, u32 *epoch)
{
	u64 kept;

	spin_lock(&fi->lock);
	kept = fi->kept;
	*epoch = fi->kept_epoch;
	spin_unlock(&fi->lock);
	return kept;
}

/**
 * flint_flush_range() - bring what was written so far to the servers
 * @inode: regular file, locked or not
 * @start: first byte
 * @end: last byte; LLONG_MAX: to the end
 * @deadline: jiffies, or 0 for what the mount options say
 *
 * For operations that the servers carry out on a file's data. Afterwards the
 * range's data is at the chunk servers, and the metadata server knows the size
 * and the attributes.
 *
 * Context: process; waits for the network, killable.
 * Return: 0, -EINTR, or the error that the data or the size met.
 */
int flint_flush_range(struct inode *inode, loff_t start, loff_t end, unsigned long deadline)
{
	struct flint_inode *fi = flint_i(inode);
	u32 epoch;
	u64 kept;
	int err;

	if (!READ_ONCE(fi->owes))
		return 0;
	kept = flint_wb_kept(fi, &epoch);
	err = flint_wb_write(inode, start, end, deadline);
	if (!err && (kept || READ_ONCE(fi->attr_owed)))
		err = flint_wb_tell(inode, kept, epoch, deadline);
	return err;
}

/*
 * What is owed cannot be paid: forget it, and let fsync tell. @err 0: it was told already, or
 * nobody misses it, as the file was promised and is not going to be.
 */
static void flint_wb_discard(struct inode *inode, int err, const char *why)
{
	struct flint_inode *fi = flint_i(inode);
	struct address_space *mapping = inode->i_mapping;
	bool lost;

	spin_lock(&fi->lock);
	lost = fi->kept > fi->size || fi->attr_owed;
	fi->kept = 0;
	fi->displaced = true;
	if (fi->attr_owed) {	/* what the server has is asked for */
		fi->attr_owed = 0;
		fi->attr_seq++;
		fi->attr_gen = 0;
		fi->valid = jiffies;
	}
	if ((u64)i_size_read(inode) > fi->size)
		i_size_write(inode, fi->size);
	clear_bit(FLINT_I_MTIME_DIRTY, &fi->state);
	spin_unlock(&fi->lock);
	lost |= mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) ||
		mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK);
	if (lost && err) {
		mapping_set_error(mapping, err);
		flint_stat_inc(flint_fs(inode->i_sb), FLINT_STAT_WB_ERRORS);
		pr_err_ratelimited("%s: inode %lu: what was written last and not synced is lost: %s (%d)\n",
				   flint_fs(inode->i_sb)->name, inode->i_ino, why, err);
	}
	truncate_inode_pages(mapping, 0);
}

/* Is it the server's last word? All else may be over the next time. */
static bool flint_wb_refusal(int err)
{
	switch (err) {
	case -ENOENT:
	case -ESTALE:
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
	case -EPERM:
	case -EACCES:
	case -EROFS:
		return true;
	}
	return false;
}

/* One try to pay all. Return: 0, or -EAGAIN: once more, later. */
static int flint_wb_pay(struct inode *inode)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	bool unleased = test_and_clear_bit(FLINT_I_UNLEASED, &fi->state);
	u32 epoch;
	u64 kept = flint_wb_kept(fi, &epoch);
	int err = flint_wb_write(inode, 0, LLONG_MAX, 0);

	/* Errors of the data wait for fsync; it is not dirty any more. */
	if (err == -EAGAIN)
		goto again;
	err = flint_wb_tell(inode, kept, epoch, jiffies + FLINT_WB_TELL_TIMEO);
	if (READ_ONCE(fs->shutdown) || READ_ONCE(fs->leases.lost) || READ_ONCE(fi->broken) ||
	    (err && !flint_wb_refusal(err)))
		goto again;
	if (err == -ENOSPC || err == -EDQUOT || err == -EFBIG)
		flint_wb_no_space(fs);
	if (err)
		flint_wb_discard(inode, err, "the metadata server refuses its size");
	if (unleased && !flint_pages_leased(inode))
		invalidate_inode_pages2(inode->i_mapping);
	return 0;
again:
	if (unleased)
		set_bit(FLINT_I_UNLEASED, &fi->state);
	return -EAGAIN;
}

/* Nothing owed any more? Under fi->lock. */
static bool flint_wb_paid(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);

	/*
	 * Direct writes set times without a lease: who waits for this one must not wait
	 * for their end as well. Who has the file open then tells them.
	 */
	return !fi->dirtiers && !fi->strays && !fi->attr_owed &&
	       !delayed_work_pending(&fi->wb_work) &&
	       (!fi->kept || fi->kept <= fi->size || fi->kept_epoch != fi->trunc_epoch) &&
	       (fi->ret_kinds || !test_bit(FLINT_I_MTIME_DIRTY, &fi->state)) &&
	       !mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY) &&
	       !mapping_tagged(inode->i_mapping, PAGECACHE_TAG_WRITEBACK);
}

/*
 * Out of debt, or once more after @delay. Return: whether it is, with a recalled
 * lease to return in @rec and handles to close on @parked.
 */
static bool flint_wb_finish(struct inode *inode, unsigned long delay, struct flint_lease_rec *rec,
			    u64 *epoch, struct list_head *parked)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	bool paid;

	spin_lock(&fi->lock);
	paid = !delay && flint_wb_paid(inode);
	if (!paid) {
		if (!delay)
			delay = fi->ret_kinds ? 1 : FLINT_WB_DELAY;
		queue_delayed_work(fs->wb_wq, &fi->wb_work, delay);
		goto out;
	}
	*rec = (struct flint_lease_rec){
		.ino = cpu_to_le64(inode->i_ino),
		.seq = cpu_to_le64(fi->ret_seq),
		.kinds = cpu_to_le32(fi->ret_kinds),
	};
	*epoch = fi->ret_epoch;
	fi->ret_kinds = 0;
	fi->ret_seq = 0;
	fi->kept = 0;
	fi->owes = false;
	fi->owes_lease = false;
	list_splice_init(&fi->parked, parked);
	spin_lock(&fs->leases.owed_lock);
	list_del_init(&fi->owed_node);
	fs->leases.nr_owed--;
	spin_unlock(&fs->leases.owed_lock);
	smp_mb();	/* no recall is under way before the waiters are looked for */
	wake_up_var(&fi->ret_kinds);
out:
	spin_unlock(&fi->lock);
	return paid;
}

static void flint_wb_work(struct work_struct *work)
{
	struct flint_inode *fi = container_of(to_delayed_work(work), struct flint_inode, wb_work);
	struct inode *inode = &fi->vfs;
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_handle *h, *next;
	struct flint_lease_rec rec;
	unsigned long delay = 0;
	LIST_HEAD(parked);
	u64 epoch;

	/* Sections never wait, so this is short. */
	if (READ_ONCE(fi->ret_kinds))
		wait_var_event(&fi->dirtiers, !READ_ONCE(fi->dirtiers));
	if (READ_ONCE(fs->shutdown))
		flint_wb_discard(inode, -EIO, "the mount was shut down");
	else if (READ_ONCE(fs->leases.lost))
		flint_wb_discard(inode, -EIO, "the session has ended");
	else if (READ_ONCE(fi->broken))
		flint_wb_discard(inode, 0, NULL);
	else if (flint_wb_pay(inode))
		delay = FLINT_WB_RETRY;
	if (!delay && (READ_ONCE(fi->ret_kinds) & FLINT_LEASE_READ))
		flint_lease_let_go(inode);
	if (!flint_wb_finish(inode, delay, &rec, &epoch, &parked))
		return;
	if (rec.kinds && epoch == READ_ONCE(fs->leases.epoch))
		flint_lease_return(fs, 0, 0, epoch, &rec, 1);
	list_for_each_entry_safe(h, next, &parked, node) {
		list_del(&h->node);
		if (!h->promised || !flint_delegate_close(inode, h))
			flint_handle_close(h);
	}
	spin_lock(&fs->leases.owed_lock);
	if (!fs->leases.nr_owed)
		wake_up_all(&fs->leases.owed_wq);
	spin_unlock(&fs->leases.owed_lock);
	iput(inode);
}

/* ---- what others have to say --------------------------------------------- */

/**
 * flint_wb_park() - a handle for writing is closed
 * @inode: its file
 * @h: the handle
 * Return: true: it is closed when nothing is owed any more.
 */
bool flint_wb_park(struct inode *inode, struct flint_handle *h)
{
	struct flint_inode *fi = flint_i(inode);
	bool owes;

	spin_lock(&fi->lock);
	owes = fi->owes;
	if (owes)
		list_add_tail(&h->node, &fi->parked);
	spin_unlock(&fi->lock);
	return owes;
}

/* Is the handle that a promised file was made with closed, but for what is owed? */
bool flint_wb_parked(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);
	struct flint_handle *h;
	bool parked = false;

	spin_lock(&fi->lock);
	list_for_each_entry(h, &fi->parked, node)
		parked |= h->promised;
	spin_unlock(&fi->lock);
	return parked;
}

/* Let the work see to it now. */
void flint_wb_hurry(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);

	spin_lock(&fi->lock);
	if (fi->owes)
		mod_delayed_work(flint_fs(inode->i_sb)->wb_wq, &fi->wb_work, 0);
	spin_unlock(&fi->lock);
}

/**
 * flint_wb_settle() - a promised file is known to the server now
 * @inode: any
 *
 * What it owes is paid at once if no lease came with the answer.
 */
void flint_wb_settle(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);

	spin_lock(&fi->lock);
	if (fi->owes && !fi->write_gen && !fi->ret_kinds) {
		set_bit(FLINT_I_UNLEASED, &fi->state);
		mod_delayed_work(flint_fs(inode->i_sb)->wb_wq, &fi->wb_work, 0);
	}
	spin_unlock(&fi->lock);
}

/**
 * flint_wb_recalled() - a lease is to be given back, and has ended already
 * @inode: of it, referenced
 * @rec: what to return
 * @epoch: leadership that asked
 * Return: true: it is returned when nothing is owed any more.
 */
bool flint_wb_recalled(struct inode *inode, const struct flint_lease_rec *rec, u64 epoch)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	bool owes;

	if (!S_ISREG(inode->i_mode))
		return false;
	spin_lock(&fi->lock);
	if (test_bit(FLINT_I_MTIME_DIRTY, &fi->state))
		flint_owe(inode, 0);
	owes = fi->owes;
	if (owes) {
		fi->ret_kinds |= le32_to_cpu(rec->kinds);
		fi->ret_seq = max(fi->ret_seq, le64_to_cpu(rec->seq));
		fi->ret_epoch = epoch;
		mod_delayed_work(fs->wb_wq, &fi->wb_work, 0);
	}
	spin_unlock(&fi->lock);
	return owes;
}

/* Wait for a moment for the end of a recall under way. */
void flint_wb_wait_recall(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);

	wait_var_event_timeout(&fi->ret_kinds, !READ_ONCE(fi->ret_kinds), FLINT_WB_PAUSE);
}

/* Run everybody's work now. */
static void flint_wb_kick(struct flint_fs *fs)
{
	struct flint_leases *l = &fs->leases;
	struct flint_inode *fi;
	u32 n;

	spin_lock(&l->owed_lock);
	for (n = l->nr_owed; n && !list_empty(&l->owed); n--) {
		fi = list_first_entry(&l->owed, struct flint_inode, owed_node);
		list_move_tail(&fi->owed_node, &l->owed);
		ihold(&fi->vfs);	/* who owes is held */
		spin_unlock(&l->owed_lock);
		flint_wb_hurry(&fi->vfs);
		iput(&fi->vfs);
		spin_lock(&l->owed_lock);
	}
	spin_unlock(&l->owed_lock);
}

/**
 * flint_wb_lost() - the servers ended the session
 * @fs: mount
 * Context: any; does not wait.
 */
void flint_wb_lost(struct flint_fs *fs)
{
	WRITE_ONCE(fs->leases.trusted, 0);
	if (READ_ONCE(fs->leases.lost))
		return;
	WRITE_ONCE(fs->leases.lost, true);
	if (fs->wb_wq)
		queue_work(fs->wb_wq, &fs->leases.lost_work);
}

static void flint_wb_lost_work(struct work_struct *work)
{
	struct flint_leases *l = container_of(work, struct flint_leases, lost_work);

	flint_wb_kick(container_of(l, struct flint_fs, leases));
}

/**
 * flint_wb_new_leader() - recalls of the one before are void
 * @fs: mount
 * Context: process, no locks held.
 */
void flint_wb_new_leader(struct flint_fs *fs)
{
	struct flint_leases *l = &fs->leases;
	struct flint_inode *fi;

	spin_lock(&l->lock);
	spin_lock(&l->owed_lock);
	list_for_each_entry(fi, &l->owed, owed_node)
		WRITE_ONCE(fi->ret_kinds, 0);
	spin_unlock(&l->owed_lock);
	spin_unlock(&l->lock);
}

/**
 * flint_wb_reclaim() - leases that something owed hangs on, for a new leader
 * @l: leases
 * @attempt: of the reclaim; each is named once
 * @rec: FLINT_LEASE_RECS_MAX records
 * Return: how many were filled in.
 */
u32 flint_wb_reclaim(struct flint_leases *l, unsigned long attempt, struct flint_lease_rec *rec)
{
	struct flint_inode *fi;
	u32 nr = 0;

	spin_lock(&l->lock);
	spin_lock(&l->owed_lock);
	list_for_each_entry(fi, &l->owed, owed_node) {
		/* What was promised needs none yet: nobody can find it. */
		if (!READ_ONCE(fi->owes_lease) || READ_ONCE(fi->promise) ||
		    fi->reclaimed == attempt)
			continue;
		if (nr == FLINT_LEASE_RECS_MAX)
			break;
		fi->reclaimed = attempt;
		rec[nr++] = (struct flint_lease_rec){
			.ino = cpu_to_le64(fi->vfs.i_ino),
			.kinds = cpu_to_le32(FLINT_LEASE_READ | FLINT_LEASE_WRITE),
		};
	}
	spin_unlock(&l->owed_lock);
	spin_unlock(&l->lock);
	return nr;
}

/* A new leader does not let us keep the lease: others may have written since. */
void flint_wb_refused(struct inode *inode)
{
	if (READ_ONCE(flint_i(inode)->owes_lease))
		flint_wb_discard(inode, -EIO,
				 "another metadata server took over and does not let us keep the lease");
}

/* ---- the mount -------------------------------------------------------------- */

/**
 * flint_wb_sync() - pay what is owed now
 * @fs: mount
 * @until: jiffies
 *
 * The VFS has written the pages, unless chunk servers were silent: those still dirty are written
 * here. Then this tells sizes and times.
 * Return: 0 or the first error; -EIO: not in time, or chunk servers are silent.
 */
int flint_wb_sync(struct flint_fs *fs, unsigned long until)
{
	struct flint_leases *l = &fs->leases;
	struct flint_inode *fi;
	u32 n, epoch;
	u64 kept;
	int err = 0;

	spin_lock(&l->owed_lock);
	for (n = l->nr_owed; n && !err && !list_empty(&l->owed); n--) {
		fi = list_first_entry(&l->owed, struct flint_inode, owed_node);
		list_move_tail(&fi->owed_node, &l->owed);
		ihold(&fi->vfs);
		spin_unlock(&l->owed_lock);
		kept = flint_wb_kept(fi, &epoch);
		err = flint_wb_sick(fs) ? -EIO : flint_wb_write(&fi->vfs, 0, LLONG_MAX, until);
		if (!err)
			err = flint_wb_tell(&fi->vfs, kept, epoch, until);
		if (READ_ONCE(fi->broken))
			err = 0;	/* its work drops it */
		iput(&fi->vfs);
		spin_lock(&l->owed_lock);
	}
	spin_unlock(&l->owed_lock);
	return err;
}

/* Data was refused: writes go through for a while, and meet what is wrong themselves. */
void flint_wb_no_space(struct flint_fs *fs)
{
	WRITE_ONCE(fs->wb_full, (jiffies + FLINT_WB_FULL) | 1);
}

void flint_wb_inode_init(struct flint_inode *fi)
{
	fi->kept = 0;
	fi->kept_epoch = 0;
	fi->written = 0;
	fi->displaced = false;
	fi->dirtiers = 0;
	fi->strays = 0;
	fi->owes = false;
	fi->owes_lease = false;
	fi->attr_owed = 0;
	fi->attr_seq = 0;
	fi->ret_kinds = 0;
	fi->ret_seq = 0;
	fi->ret_epoch = 0;
	fi->write_gen = 0;
	fi->write_asked = 0;
	fi->fault_asked = 0;
	INIT_LIST_HEAD(&fi->owed_node);
	INIT_LIST_HEAD(&fi->parked);
	INIT_DELAYED_WORK(&fi->wb_work, flint_wb_work);
	atomic_set(&fi->wb_again, 0);
}

void flint_wb_init(struct flint_fs *fs)
{
	spin_lock_init(&fs->leases.owed_lock);
	INIT_LIST_HEAD(&fs->leases.owed);
	init_waitqueue_head(&fs->leases.owed_wq);
	INIT_WORK(&fs->leases.lost_work, flint_wb_lost_work);
}

/**
 * flint_wb_idle() - wait until nothing is owed
 * @fs: mount
 * @timeout: jiffies
 *
 * Context: process, not killable.
 * Return: whether it is so.
 */
bool flint_wb_idle(struct flint_fs *fs, unsigned long timeout)
{
	struct flint_leases *l = &fs->leases;

	return wait_event_timeout(l->owed_wq, !READ_ONCE(l->nr_owed), timeout);
}

/**
 * flint_wb_drain() - unmount: pay everything, or lose it
 * @fs: mount; no task uses it any more
 *
 * Bounded: what the servers do not take within FLINT_WB_DRAIN is dropped, with a
 * line in the log.
 */
void flint_wb_drain(struct flint_fs *fs)
{
	struct flint_leases *l = &fs->leases;

	if (!fs->wb_wq)
		return;
	flint_wb_kick(fs);
	if (!flint_wb_idle(fs, FLINT_WB_DRAIN)) {
		pr_err("%s: unmount: %u files could not be written back; the servers do not answer\n",
		       fs->name, READ_ONCE(l->nr_owed));
		flint_fs_abort(fs);
		flint_wb_kick(fs);
		while (!flint_wb_idle(fs, 10 * HZ))
			pr_warn("%s: unmount waits for write-back to end\n", fs->name);
	}
	flush_workqueue(fs->wb_wq);	/* the last iput() */
}
