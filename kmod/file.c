// SPDX-License-Identifier: GPL-2.0-only
/*
 * Open files: opening, which path reads and writes take, size and times.
 *
 * Under a WRITE lease buffered writes go into the page cache, are written back
 * later (writeback.c), and the end of file is kept here. Without one they go
 * through the same engine as direct ones and are durable when they return; the
 * cache is invalidated around them. The end of file then comes from the metadata
 * server: a write beyond it is announced (EXTEND) before it is acknowledged, an
 * appending one reserves its place first (APPEND).
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/wait_bit.h>
#include <linux/writeback.h>
#include "flint.h"

/* ---- opening ---------------------------------------------------------- */

struct flint_handle *flint_handle_new(struct flint_fs *fs, u64 ino)
{
	struct flint_handle *h = kzalloc(sizeof(*h), GFP_KERNEL);

	if (!h)
		return NULL;
	h->fs = fs;
	h->ino = ino;
	return h;
}

u32 flint_open_flags(unsigned int f_flags)
{
	u32 flags = 0;

	if ((f_flags & O_ACCMODE) != O_WRONLY)
		flags |= FLINT_OPEN_READ;
	if ((f_flags & O_ACCMODE) != O_RDONLY)
		flags |= FLINT_OPEN_WRITE;
	if (f_flags & O_CREAT)
		flags |= FLINT_OPEN_CREATE;
	if ((f_flags & O_CREAT) && (f_flags & O_EXCL))
		flags |= FLINT_OPEN_EXCL;
	return flags;
}

/* Kinds of leases that opening a file asks for. */
u8 flint_open_lease(const struct flint_fs *fs, unsigned int f_flags)
{
	bool write = (f_flags & O_ACCMODE) != O_RDONLY && fs->opts.writeback;

	return FLINT_LEASE_READ | (write ? FLINT_LEASE_WRITE : 0);
}

/* The handle stands in file->private_data, the attributes are fresh. */
int flint_file_adopt(struct inode *inode, struct file *file)
{
	file->f_mode |= FMODE_CAN_ODIRECT | FMODE_NOWAIT;
	flint_cache_revalidate(inode);
	return 0;
}

static int flint_file_open(struct inode *inode, struct file *file)
{
	struct flint_open body = {
		.fixed_len = cpu_to_le32(sizeof(body)),
		.flags = cpu_to_le32(flint_open_flags(file->f_flags & ~O_CREAT)),
		.ino = cpu_to_le64(inode->i_ino),
		.gen = cpu_to_le32(flint_i(inode)->gen),
	};
	struct flint_open_rep rep;
	struct flint_mcall c = {
		.op = FLINT_OP_OPEN, .mutates = true, .inode = inode,
		.lease = flint_open_lease(flint_fs(inode->i_sb), file->f_flags),
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep),
	};
	struct flint_handle *h;
	int err;

	if (!(file->f_mode & FMODE_WRITE) && flint_open_local(inode)) {
		file->private_data = (void *)&flint_local_open;
		return flint_file_adopt(inode, file);
	}
	h = flint_handle_new(flint_fs(inode->i_sb), inode->i_ino);
	if (!h)
		return -ENOMEM;
	flint_cred_fill(&body.cred);
	err = flint_meta_call(h->fs, &c);
	if (err == -ENOENT)
		err = -ESTALE;	/* the dentry was too old: the VFS looks it up again */
	if (err)
		goto free;
	h->handle = le64_to_cpu(rep.handle);
	err = flint_inode_apply(inode, &rep.attr, c.sent);
	if (err) {
		flint_handle_close(h);
		return err;
	}
	flint_lease_take(&c, NULL, inode, &rep.attr);
	file->private_data = h;
	return flint_file_adopt(inode, file);
free:
	kfree(h);
	return err;
}

/* What write-back met meanwhile; it is not waited for. */
static int flint_file_flush(struct file *file, fl_owner_t id)
{
	return file->f_mode & FMODE_WRITE ?
	       filemap_check_wb_err(file->f_mapping, file->f_wb_err) : 0;
}

static int flint_file_release(struct inode *inode, struct file *file)
{
	struct flint_handle *h = file->private_data;
	struct flint_inode *fi = flint_i(inode);
	struct timespec64 mtime;

	if (!h)
		return 0;
	if (file->private_data == &flint_local_open) {
		flint_release_local(inode);
		return 0;
	}
	if ((file->f_mode & FMODE_WRITE) && flint_wb_park(inode, h))
		return 0;
	if (h->promised && flint_delegate_close(inode, h))
		return 0;
	if ((file->f_mode & FMODE_WRITE) &&
	    test_and_clear_bit(FLINT_I_MTIME_DIRTY, &fi->state)) {
		h->touch = true;
		h->ext.ino = cpu_to_le64(inode->i_ino);
		h->ext.gen = cpu_to_le32(fi->gen);
		h->ext.trunc_epoch = cpu_to_le32(READ_ONCE(fi->trunc_epoch));
		/* Under a lease nobody else wrote, and the time that was seen here stays. */
		mtime = inode_get_mtime(inode);
		if (READ_ONCE(fi->read_gen))
			h->ext.when = cpu_to_le64(timespec64_to_ns(&mtime));
	}
	flint_handle_close(h);
	return 0;
}

/* ---- size and times --------------------------------------------------- */

/**
 * flint_extend_call() - EXTEND, and what follows from its answer
 * @inode: regular file
 * @body: all but the inode
 * @attr: receives the answer; unchanged if the file was truncated since
 * @deadline: jiffies, or 0 for what the mount options say
 * Return: 0 or an error of flint_meta_call().
 */
int flint_extend_call(struct inode *inode, struct flint_extend *body, struct flint_attr *attr,
		      unsigned long deadline)
{
	struct flint_inode *fi = flint_i(inode);
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_mcall c = {
		.op = FLINT_OP_EXTEND, .mutates = true, .inode = inode,
		.lease = flint_wb_wanted(inode) ? FLINT_LEASE_READ | FLINT_LEASE_WRITE : 0,
		.body = body, .body_len = sizeof(*body),
		.rep = attr, .rep_size = sizeof(*attr),
		.deadline = deadline,
	};
	u64 before = READ_ONCE(fi->change);
	int err;

	body->ino = cpu_to_le64(inode->i_ino);
	body->gen = cpu_to_le32(fi->gen);
	err = flint_meta_call(fs, &c);
	flint_stat_inc(fs, FLINT_STAT_EXTENDS);
	if (c.unknown && body->end && !READ_ONCE(fi->kept))	/* what is kept is told again */
		flint_attr_unknown(inode, false);
	if (err == -ESTALE)
		return flint_inode_refresh(inode, deadline);
	if (err)
		return err;
	/* Our own change does not outdate pages that we keep up to date. */
	if (le64_to_cpu(attr->change) == before + 1)
		cmpxchg(&fi->cache_change, before, before + 1);
	err = flint_inode_apply(inode, attr, c.sent);
	if (!err)
		flint_lease_take(&c, NULL, inode, attr);
	return err;
}

static bool flint_extend_idle(struct flint_inode *fi)
{
	return !test_bit(FLINT_I_EXTENDING, &fi->state);
}

/* Wait until nobody tells a size or attributes of this file. */
int flint_extend_wait(struct flint_inode *fi, unsigned long deadline)
{
	long left = deadline ? (long)(deadline - jiffies) : HZ;

	if (deadline && left <= 0)
		return -EIO;
	if (current->flags & PF_KTHREAD) {
		wait_var_event_timeout(&fi->state, flint_extend_idle(fi), left);
		return 0;
	}
	return wait_var_event_killable(&fi->state, flint_extend_idle(fi)) ? -EINTR : 0;
}

/* It is told, or was refused. */
void flint_extend_end(struct flint_inode *fi)
{
	clear_bit_unlock(FLINT_I_EXTENDING, &fi->state);
	smp_mb__after_atomic();	/* the bit is clear before the waiters are looked for */
	wake_up_var(&fi->state);
}

/**
 * flint_extend_at() - announce that a file was written up to @end
 * @inode: regular file
 * @end: first byte after what was written; 0: only the times
 * @epoch: truncate epoch that the write was done under
 * @when: of flint_inode_wrote(), or 0 for the server's time
 * @deadline: jiffies, or 0 for what the mount options say
 *
 * Writers who wait at the same time are announced together. A truncation that
 * came between the write and this call wins: the write counts as done before.
 *
 * Return: 0 or an error of flint_meta_call().
 */
int flint_extend_at(struct inode *inode, u64 end, u32 epoch, u64 when, unsigned long deadline)
{
	struct flint_extend body = {
		.trunc_epoch = cpu_to_le32(epoch),
		.when = cpu_to_le64(when),
	};
	struct flint_inode *fi = flint_i(inode);
	struct flint_attr attr;
	u64 want;
	int err;

	if (!end)
		return flint_extend_call(inode, &body, &attr, deadline);
	for (;;) {
		spin_lock(&fi->lock);
		if (epoch != fi->trunc_epoch) {
			spin_unlock(&fi->lock);
			return 0;	/* truncated since */
		}
		if (end <= fi->size) {
			spin_unlock(&fi->lock);
			return 0;	/* announced by another */
		}
		fi->ext_want = max(fi->ext_want, end);
		want = fi->ext_want;
		if (!test_and_set_bit(FLINT_I_EXTENDING, &fi->state)) {
			fi->ext_want = 0;
			spin_unlock(&fi->lock);
			break;
		}
		spin_unlock(&fi->lock);
		err = flint_extend_wait(fi, deadline);
		if (err)
			return err;
	}
	body.end = cpu_to_le64(want);
	err = flint_extend_call(inode, &body, &attr, deadline);
	flint_extend_end(fi);
	return err;
}

/*
 * Reserve room at the end of file, under the write_lock: appending writers of this
 * mount follow each other. Return: 0 with *pos set, or an error.
 */
static int flint_append(struct inode *inode, u64 len, loff_t *pos)
{
	struct flint_inode *fi = flint_i(inode);
	struct flint_extend body = {
		.ino = cpu_to_le64(inode->i_ino),
		.gen = cpu_to_le32(fi->gen),
		.len = cpu_to_le64(len),
	};
	struct flint_append_rep rep;
	struct flint_mcall c = {
		.op = FLINT_OP_APPEND, .mutates = true, .inode = inode,
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep),
	};
	int tries, err;

	/* The server must not give a place that we gave already. */
	err = flint_flush_range(inode, 0, LLONG_MAX, 0);
	if (err)
		return err;
	for (tries = 0; tries < 8; tries++) {
		body.trunc_epoch = cpu_to_le32(READ_ONCE(fi->trunc_epoch));
		err = flint_meta_call(flint_fs(inode->i_sb), &c);
		if (err != -ESTALE)
			break;
		err = flint_inode_refresh(inode, 0);
		if (err)
			return err;
		err = -EAGAIN;
	}
	if (c.unknown)
		flint_attr_unknown(inode, false);
	if (err)
		return err;
	err = flint_inode_apply(inode, &rep.attr, c.sent);
	if (err)
		return err;
	if (le64_to_cpu(rep.offset) > MAX_LFS_FILESIZE - len)
		return -EPROTO;
	*pos = le64_to_cpu(rep.offset);
	return 0;
}

/* ---- reading ---------------------------------------------------------- */

/*
 * A direct read that ends before the end of file as we know it: the chunk
 * servers refuse it if the file was truncated since. Only with leases; by time,
 * the end of file is not older than the attributes' time to live.
 */
static bool flint_read_inside(const struct kiocb *iocb, size_t len)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t size = i_size_read(inode);

	return (iocb->ki_flags & IOCB_DIRECT) && flint_fs(inode->i_sb)->opts.lease &&
	       iocb->ki_pos < size && len <= size - iocb->ki_pos;
}

/* Whether the end of file is where we know it is asked unless the attributes are good. */
static int flint_read_begin(struct kiocb *iocb, size_t len)
{
	struct inode *inode = file_inode(iocb->ki_filp);

	if (READ_ONCE(flint_fs(inode->i_sb)->shutdown) || flint_lock_check(inode))
		return -EIO;
	if (flint_attr_good(inode) || flint_read_inside(iocb, len))
		return 0;
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	return flint_inode_refresh(inode, 0);
}

/*
 * Fills of the page cache always end within io_timeo. On a hard mount a read()
 * that met such an end goes on until its task is killed.
 */
static bool flint_read_again(struct inode *inode, ssize_t ret, int lost)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);

	return ret == -EIO && !fs->opts.soft && !(current->flags & PF_KTHREAD) &&
	       lost != atomic_read(&flint_i(inode)->lost) && !READ_ONCE(fs->shutdown) &&
	       !fatal_signal_pending(current);
}

static ssize_t flint_read_cached(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;
	int lost;

	flint_cache_revalidate(inode);
	do {
		lost = atomic_read(&flint_i(inode)->lost);
		ret = filemap_read(iocb, to, 0);
	} while (is_sync_kiocb(iocb) && flint_read_again(inode, ret, lost));
	return ret;
}

static ssize_t flint_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	int err;

	if (!iov_iter_count(to))
		return 0;
	err = flint_read_begin(iocb, iov_iter_count(to));
	if (err)
		return err;
	if ((iocb->ki_flags & IOCB_DIRECT) && !iov_iter_is_pipe(to))
		return flint_dio_rw(iocb, to, false, 0);
	return flint_read_cached(iocb, to);
}

/* Where the page cache is spliced without a read; older kernels come here and read after it. */
static ssize_t flint_splice_read(struct file *in, loff_t *pos, struct pipe_inode_info *pipe,
				 size_t len, unsigned int flags)
{
	struct inode *inode = file_inode(in);
	struct kiocb iocb;
	ssize_t ret;
	int lost;

	init_sync_kiocb(&iocb, in);
	iocb.ki_pos = *pos;
	ret = flint_read_begin(&iocb, len);
	if (ret)
		return ret;
	flint_cache_revalidate(inode);
	do {
		lost = atomic_read(&flint_i(inode)->lost);
		ret = filemap_splice_read(in, pos, pipe, len, flags);
	} while (flint_read_again(inode, ret, lost));
	return ret;
}

/* ---- writing ---------------------------------------------------------- */

/*
 * Set-user-id bits go, with the inode's lock, which is avoided otherwise; and security.capability,
 * which the server removes when it hears of a write.
 */
static int flint_drop_privs(struct kiocb *iocb)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct flint_inode *fi = flint_i(inode);
	bool caps = READ_ONCE(fi->told) & FLINT_INO_CAPS;
	int err = 0;

	if (likely(!(inode->i_mode & (S_ISUID | S_ISGID)) && !caps))
		return 0;
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	if (inode->i_mode & (S_ISUID | S_ISGID)) {
		if (down_write_killable(&inode->i_rwsem))
			return -EINTR;
		err = file_remove_privs(iocb->ki_filp);
		inode_unlock(inode);
	}
	if (!err && caps)
		err = flint_extend_at(inode, 0, READ_ONCE(fi->trunc_epoch), 0, 0);
	return err;
}

/* No more than fits into the file. */
static int flint_write_limit(struct kiocb *iocb, struct iov_iter *from)
{
	u64 limit = flint_iosplit_limit(flint_i(file_inode(iocb->ki_filp))->layout.chunk_shift);

	if ((u64)iocb->ki_pos >= limit)
		return -EFBIG;
	iov_iter_truncate(from, limit - iocb->ki_pos);
	return 0;
}

/* Where a write goes that the servers are asked about. */
static int flint_write_place(struct kiocb *iocb, struct iov_iter *from, bool locked)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	int err;

	if (iocb->ki_flags & IOCB_APPEND) {
		if (iocb->ki_flags & IOCB_NOWAIT)
			return -EAGAIN;
		if (!locked && mutex_lock_killable(&flint_i(inode)->write_lock))
			return -EINTR;
		err = flint_append(inode, iov_iter_count(from), &iocb->ki_pos);
		if (!locked)
			mutex_unlock(&flint_i(inode)->write_lock);
		if (err)
			return err;
	}
	return flint_write_limit(iocb, from);
}

/* Where a write into the cache goes. Return: 0, -ENOLCK: ask the servers, or an error. */
static int flint_write_place_cached(struct kiocb *iocb, struct iov_iter *from)
{
	u64 len = iov_iter_count(from);
	int err;

	if (!(iocb->ki_flags & IOCB_APPEND))
		return flint_write_limit(iocb, from);
	err = flint_wb_reserve(file_inode(iocb->ki_filp), &len, &iocb->ki_pos);
	if (!err)
		iov_iter_truncate(from, len);
	return err;
}

/*
 * One step of flint_write_cached(). @placed: it is known where it goes. @again: what the last step
 * had faulted in was gone when it was to be copied; less goes sooner. Return: as
 * flint_cache_write(). The data is faulted in before the lock is taken: that may wait for servers.
 */
static ssize_t flint_write_step(struct kiocb *iocb, struct iov_iter *from, bool again,
				bool *placed, bool *through)
{
	size_t ready = min_t(size_t, iov_iter_count(from),
			     again ? PAGE_SIZE - offset_in_page(iocb->ki_pos) : FLINT_CACHE_STEP);
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret = 0;

	ready -= fault_in_iov_iter_readable(from, ready);
	if (!ready)
		return -EFAULT;
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	if (IS_IMMUTABLE(inode)) {
		ret = -EPERM;	/* between two steps; what is behind it would be refused later */
	} else if (!*placed) {
		ret = flint_write_place_cached(iocb, from);
		*through = ret == -ENOLCK;
		*placed = !ret;
	}
	if (*placed && !ret)
		ret = flint_cache_write(iocb, from, ready, through);
	inode_unlock(inode);
	return ret;
}

/* The rest of a page that a write changes in part. */
static int flint_write_fill(struct kiocb *iocb)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct folio *folio;
	int lost;

	do {
		lost = atomic_read(&flint_i(inode)->lost);
		folio = read_mapping_folio(inode->i_mapping, iocb->ki_pos >> PAGE_SHIFT,
					   iocb->ki_filp);
	} while (IS_ERR(folio) && flint_read_again(inode, PTR_ERR(folio), lost));
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	folio_put(folio);
	return 0;
}

/*
 * Into the cache, as far as the lease lasts. Memory is waited for between the steps: who waits
 * for the inode's lock cannot be killed. With the option "nowriteback" it is at the servers when
 * this returns. @session: of before. What is written through goes where it is @placed, if it is.
 */
static ssize_t flint_write_cached(struct kiocb *iocb, struct iov_iter *from, u64 session,
				  bool *placed, bool *through)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct flint_fs *fs = flint_fs(inode->i_sb);
	ssize_t ret = 1, total = 0;
	u64 end;
	int err;

	do {
		ret = flint_write_step(iocb, from, !ret, placed, through);
		if (ret == -EAGAIN)
			ret = flint_write_fill(iocb);
		if (ret < 0)
			break;
		total += ret;
		balance_dirty_pages_ratelimited(inode->i_mapping);
	} while (iov_iter_count(from) && !*through);
	end = iocb->ki_pos + iov_iter_count(from);
	if (*placed && (iocb->ki_flags & IOCB_APPEND) && (u64)iocb->ki_pos < end) {
		if (*through && flint_wb_displaced(inode, session)) {
			*placed = false;
			*through = !total;	/* what was written does not go on elsewhere */
		}
		if (!*placed || !*through)
			flint_wb_unreserve(inode, end, iocb->ki_pos);
	}
	if (!total)
		return ret;
	flint_stat_inc(fs, FLINT_STAT_WB_WRITES);
	flint_stat_inc(fs, FLINT_STAT_WRITE_OPS);
	flint_stat_add(fs, FLINT_STAT_WRITE_BYTES, total);
	if (fs->opts.writeback)
		return total;
	err = flint_flush_range(inode, iocb->ki_pos - total, iocb->ki_pos - 1, 0);
	if (!err)
		return total;
	*through = false;
	return err;
}

static ssize_t flint_write_checked(struct kiocb *iocb, struct iov_iter *from, bool direct,
				   bool locked)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	u64 session = flint_session(flint_fs(inode->i_sb));
	bool placed = false, through = true;
	ssize_t ret = generic_write_checks(iocb, from), done = 0;

	if (ret <= 0)
		return ret;
	if ((iocb->ki_flags & IOCB_NOWAIT) && READ_ONCE(flint_i(inode)->strays))
		return -EAGAIN;
	ret = flint_wb_alone(inode);
	if (!ret)
		ret = flint_drop_privs(iocb);
	if (ret)
		return ret;
	/* What shall be durable at once goes through: no more than what was written. */
	if (!direct && flint_wb_wanted(inode) &&
	    (!(iocb->ki_flags & IOCB_DSYNC) || mapping_writably_mapped(inode->i_mapping)) &&
	    flint_wb_ask(inode)) {
		through = false;
		done = flint_write_cached(iocb, from, session, &placed, &through);
		if (done < 0 && !through)
			return done;
	}
	if (through) {
		if (!placed || !(iocb->ki_flags & IOCB_APPEND))
			session = 0;
		ret = placed ? 0 : flint_write_place(iocb, from, locked);
		if (!ret)
			ret = flint_dio_rw(iocb, from, true, session);
		if (done <= 0)
			done = ret;
		else if (ret > 0)
			done += ret;
	}
	return done > 0 ? generic_write_sync(iocb, done) : done;
}

/*
 * A direct write of parts of pages that buffered writes may be about to dirty: these would bring
 * back the bytes beside their own, as they were when the page was read.
 */
static bool flint_write_shares(const struct kiocb *iocb, const struct iov_iter *from)
{
	return ((iocb->ki_flags & IOCB_APPEND) ||
		((iocb->ki_pos | iov_iter_count(from)) & (PAGE_SIZE - 1))) &&
	       flint_wb_wanted(file_inode(iocb->ki_filp));
}

static ssize_t flint_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	bool direct = iocb->ki_flags & IOCB_DIRECT;
	ssize_t ret;

	if (READ_ONCE(flint_fs(inode->i_sb)->shutdown) || flint_lock_check(inode))
		return -EIO;
	if (unlikely(IS_IMMUTABLE(inode)))
		return -EPERM;	/* opened before it was */
	if (direct && !flint_write_shares(iocb, from))
		return flint_write_checked(iocb, from, true, false);
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	if (mutex_lock_killable(&flint_i(inode)->write_lock))
		return -EINTR;
	iocb->ki_flags &= ~IOCB_DIRECT;		/* it has ended when the lock is given up */
	ret = flint_write_checked(iocb, from, direct, true);
	mutex_unlock(&flint_i(inode)->write_lock);
	return ret;
}

/* ---- the rest --------------------------------------------------------- */

/* What is dirty is written, the size is told; a full fsync tells the times too. */
static int flint_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	int err = flint_flush_range(inode, start, end, 0);
	int seen = file_check_and_advance_wb_err(file);

	if (READ_ONCE(flint_fs(inode->i_sb)->shutdown))
		return -EIO;
	if (seen)
		return seen;
	if (!err && !datasync)
		err = flint_inode_touch(inode, 0);
	return err ? err : flint_delegate_fsync(file);
}

const struct inode_operations flint_file_iops = {
	.permission	= flint_permission,
	.getattr	= flint_getattr,
	.setattr	= flint_setattr,
	.listxattr	= flint_listxattr,
	.get_inode_acl	= flint_get_acl,
	.set_acl	= flint_set_acl,
	.fiemap		= flint_fiemap,
	.fileattr_get	= flint_fileattr_get,
	.fileattr_set	= flint_fileattr_set,
};

const struct file_operations flint_file_fops = {
	.owner		= THIS_MODULE,
	.open		= flint_file_open,
	.flush		= flint_file_flush,
	.release	= flint_file_release,
	.llseek		= flint_llseek,
	.read_iter	= flint_read_iter,
	.write_iter	= flint_write_iter,
	.mmap		= flint_mmap,
	.fsync		= flint_fsync,
	.lock		= flint_lock,
	.flock		= flint_lock,
	.setlease	= simple_nosetlease,	/* other machines could not recall it */
	.fallocate	= flint_fallocate,
	.remap_file_range = flint_remap_file_range,
	.splice_read	= flint_splice_read,
	.splice_write	= iter_file_splice_write,
};
