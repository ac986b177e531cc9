// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delegated creates: who holds a directory's DIR_WRITE lease makes files in it
 * without a request, and tells of them in batches (FLINT_OP_DIR_CREATE).
 *
 * Which directories: those that this mount has made itself, so that all their
 * names are known here (fi->complete, while all of them are in the dcache); by
 * MKDIR with the lease as its answer, or as promises themselves. A promised
 * directory needs no lease: nobody else can find it. Once it has been told, the
 * answer brings its lease.
 *
 * A create that was not told yet is a promise: a record for the server, with the
 * inode held. Inode numbers come from a range that the server granted, and are
 * used in rising order (ino_lock); when it is used up, all is told and a new one
 * asked for, so there are never more promises than numbers in a range.
 *
 *	queued ---> sent ---> told, or failed
 *
 * One batch is on its way at a time, in the order of creation, and repeated under
 * its sequence until its outcome is known. Promises are told a second after the
 * oldest was made, when there are many, and before anything that depends on them:
 *  - any other request about an inode or directory with promises waits for them
 *    (flint_delegate_before()), and so does data that is written to the servers;
 *  - fsync of the file or its directory, sync, unmount;
 *  - a recall of DIR_WRITE: the lease goes back when they are told.
 * A promise that is refused, or whose session is gone, fails: its inode is dropped
 * from the tree, and fsync of it or of the directory says so.
 *
 * Who made a file and has it open for writing is its only writer, as under a WRITE
 * lease, which comes with the answer: what is written stays in the page cache, and
 * attributes that are set are owed (writeback.c).
 *
 * Order of locks: ino_lock, leases.lock, then delegate.lock; fi->lock is a leaf.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include "flint.h"

#define FLINT_PROMISE_AGE	HZ		/* of the oldest, when it is told */
#define FLINT_PROMISE_MANY	512		/* are told at once */
#define FLINT_PROMISE_RANGE	4096		/* inode numbers asked for */
#define FLINT_PROMISE_PAUSE	(HZ / 10)	/* without memory */
#define FLINT_PROMISE_OFF	(60 * HZ)	/* the server gives no numbers */

enum flint_promise_state { FLINT_PROMISE_QUEUED, FLINT_PROMISE_SENT };

/**
 * struct flint_promise - a create that the server was not told of
 * @node: on delegate.queue or .sent
 * @nr: counts promises of the mount, from 1
 * @dir: referenced
 * @inode: referenced
 * @close: the file was closed while the record was on its way: its handle
 * @state: protected by delegate.lock
 * @rec: the record
 * @names: name and target
 */
struct flint_promise {
	struct list_head node;
	u64 nr;
	struct inode *dir;
	struct inode *inode;
	struct flint_handle *close;
	enum flint_promise_state state;
	struct flint_dir_rec rec;
	u8 names[];
};

/* ---- waiting for promises to be told ------------------------------------ */

static bool flint_delegate_done(struct flint_fs *fs, u64 nr)
{
	return READ_ONCE(fs->delegate.done) >= nr || READ_ONCE(fs->shutdown);
}

/* The number of the last promise made. Orders with those who are about to make one. */
static u64 flint_delegate_last(struct flint_delegate *d)
{
	u64 nr;

	spin_lock(&d->lock);
	nr = d->made;
	spin_unlock(&d->lock);
	return nr;
}

/**
 * flint_delegate_flush() - tell of everything that was made until now
 * @fs: mount
 * @timeout: jiffies at most; 0: as long as it takes, killable
 *
 * Context: process, also with VFS locks held; not from the work that tells.
 * Return: 0 (told, or failed: see fi->broken), -EINTR, or -EIO: no answer in time, or the
 * mount was shut down.
 */
int flint_delegate_flush(struct flint_fs *fs, unsigned long timeout)
{
	struct flint_delegate *d = &fs->delegate;
	u64 nr = flint_delegate_last(d);
	long left;

	if (flint_delegate_done(fs, nr))
		return READ_ONCE(fs->shutdown) ? -EIO : 0;
	mod_delayed_work(fs->wq, &d->work, 0);
	if (!timeout && (fs->opts.soft || (current->flags & PF_KTHREAD)))
		timeout = msecs_to_jiffies(fs->opts.meta_timeo);
	if (timeout)
		left = wait_event_killable_timeout(d->told, flint_delegate_done(fs, nr), timeout);
	else
		left = wait_event_killable(d->told, flint_delegate_done(fs, nr)) ? : 1;
	if (left <= 0)
		return left ? -EINTR : -EIO;
	return READ_ONCE(fs->shutdown) ? -EIO : 0;
}

/**
 * flint_delegate_drain() - unmount: tell of everything, or lose it
 * @fs: mount; no task uses it any more
 * @timeout: jiffies at most
 *
 * Context: process, not killable: nobody could tell later. Who unmounts may have a fatal signal
 * pending, which says nothing of the servers.
 * Return: whether all was told, or failed.
 */
bool flint_delegate_drain(struct flint_fs *fs, unsigned long timeout)
{
	struct flint_delegate *d = &fs->delegate;
	u64 nr = flint_delegate_last(d);

	flint_delegate_hurry(fs);
	return wait_event_timeout(d->told, flint_delegate_done(fs, nr), timeout) &&
	       !READ_ONCE(fs->shutdown);
}

/* Tell of it now, without waiting. */
void flint_delegate_hurry(struct flint_fs *fs)
{
	mod_delayed_work(fs->wq, &fs->delegate.work, 0);
}

/* Has the inode, or has its directory, anything that the server was not told of? */
bool flint_delegate_has(const struct inode *inode)
{
	const struct flint_inode *fi = flint_i(inode);

	return READ_ONCE(fi->promise) || READ_ONCE(fi->promised);
}

/**
 * flint_delegate_settle() - the server is to know an inode
 * @inode: any
 * @deadline: jiffies, or 0: as long as it takes, killable
 *
 * Before data of a file is written: chunks of an inode that never comes to be would
 * belong to nobody.
 *
 * Return: 0, or an error of flint_delegate_flush(), or what the promise failed with.
 */
int flint_delegate_settle(struct inode *inode, unsigned long deadline)
{
	int err;

	if (likely(!flint_delegate_has(inode)))
		return READ_ONCE(flint_i(inode)->broken);
	err = flint_delegate_flush(flint_fs(inode->i_sb),
				   deadline ? max((long)(deadline - jiffies), 1L) : 0);
	return err ? err : READ_ONCE(flint_i(inode)->broken);
}

/* Is a lock given back, or looked at, or asked for by a request that was sent before? */
static bool flint_delegate_unlocks(const struct flint_mcall *c)
{
	const struct flint_lock *l = c->body;

	return c->op == FLINT_OP_LOCK_TEST || c->op == FLINT_OP_LOCK_CANCEL ||
	       (c->op == FLINT_OP_LOCK && (l->type == FLINT_LOCK_UN || (c->keep && c->keep->seq)));
}

/**
 * flint_delegate_before() - a request is going to be sent
 * @fs: mount
 * @c: the operation
 *
 * Return: 0, an error of flint_delegate_flush(), or -ERESTARTNOINTR at c->leave.
 */
int flint_delegate_before(struct flint_fs *fs, const struct flint_mcall *c)
{
	struct flint_delegate *d = &fs->delegate;
	int err;

	if (likely(READ_ONCE(d->made) == READ_ONCE(d->done)) || c->op == FLINT_OP_DIR_CREATE)
		return 0;
	/* The session's own, and what asks about nothing that we could have made. */
	if (c->op < FLINT_OP_LOOKUP || c->op == FLINT_OP_STATFS || c->op == FLINT_OP_CLOSE ||
	    (c->op >= FLINT_OP_LEASE_RETURN && c->op <= FLINT_OP_SESSION_RECLAIM))
		return 0;
	/* Others wait for it, and need no more than that: what they look at next is recalled. */
	if (flint_delegate_unlocks(c))
		return 0;
	if (c->inode && !flint_delegate_has(c->inode))
		return 0;
	err = flint_delegate_flush(fs, c->leave ? max((long)(c->leave - jiffies), 1L) : 0);
	return err == -EIO && c->leave && !READ_ONCE(fs->shutdown) ? -ERESTARTNOINTR : err;
}

/* ---- making one ----------------------------------------------------------- */

/* May a name that is not in the dcache be taken for absent? Context: the directory locked. */
bool flint_delegate_absent(const struct inode *dir)
{
	const struct flint_inode *fi = flint_i(dir);

	return READ_ONCE(fi->delegated) && READ_ONCE(fi->complete) &&
	       flint_lease_trusted(&flint_fs(dir->i_sb)->leases);
}

/* A name may exist without being in the dcache from now on. Context: any. */
void flint_delegate_incomplete(struct inode *dir)
{
	WRITE_ONCE(flint_i(dir)->complete, false);
}

/*
 * The mount has just made this directory, and nobody else has seen it: it knows
 * all its names, if the lease came along and is still held.
 */
void flint_delegate_made_dir(struct inode *dir)
{
	struct flint_leases *l = &flint_fs(dir->i_sb)->leases;

	spin_lock(&l->lock);
	flint_i(dir)->complete = flint_i(dir)->delegated;
	spin_unlock(&l->lock);
}

/**
 * flint_delegate_end() - no more names are promised in a directory
 * @dir: its owner or project has changed, and so the limits that its files count for
 */
void flint_delegate_end(struct inode *dir)
{
	struct flint_leases *l = &flint_fs(dir->i_sb)->leases;

	spin_lock(&l->lock);
	flint_i(dir)->delegated = false;
	flint_i(dir)->complete = false;
	spin_unlock(&l->lock);
}

/* Kinds to ask for with MKDIR. */
u8 flint_delegate_wanted(const struct flint_fs *fs)
{
	/* Under a token the server checks who asks, each time. */
	return fs->opts.delegate && fs->opts.lease && !fs->token ?
	       FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE : 0;
}

static bool flint_delegate_may(struct inode *dir, const struct dentry *dentry)
{
	const struct flint_fs *fs = flint_fs(dir->i_sb);
	const struct flint_inode *fi = flint_i(dir);

	if (!READ_ONCE(fi->delegated) || READ_ONCE(fs->shutdown) ||
	    !flint_lease_trusted(&fs->leases) ||
	    (READ_ONCE(fi->told) & FLINT_INO_DEFAULT_ACL) || !dir->i_nlink ||
	    time_before(jiffies, READ_ONCE(fs->delegate.off_until)))
		return false;
	return READ_ONCE(fi->complete) ||
	       (!d_in_lookup(dentry) && flint_dentry_leased(dentry, dir));
}

/* Context: ino_lock held. Return: 0 with a number left, or an error. */
static int flint_delegate_refill(struct flint_fs *fs)
{
	struct flint_ino_grant body = { .nr = cpu_to_le32(FLINT_PROMISE_RANGE) };
	struct flint_delegate *d = &fs->delegate;
	struct flint_ino_granted rep;
	struct flint_mcall c = {
		.op = FLINT_OP_INO_GRANT, .mutates = true, .yield = FLINT_YIELD_PART,
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep),
	};
	int err;

	if (d->ino_next < d->ino_end && d->ino_session == flint_session(fs))
		return 0;
	err = flint_meta_call(fs, &c);
	if (err) {
		if (err != -EINTR && err != -ERESTARTNOINTR)
			WRITE_ONCE(d->off_until, jiffies + FLINT_PROMISE_OFF);
		return err;
	}
	d->ino_session = c.session;
	d->ino_next = le64_to_cpu(rep.first);
	d->ino_end = le64_to_cpu(rep.end);
	if (!d->ino_next || d->ino_end <= d->ino_next ||
	    d->ino_end - d->ino_next > FLINT_INO_GRANT_MAX) {
		d->ino_end = d->ino_next;
		return -EPROTO;
	}
	return 0;
}

static struct flint_promise *flint_promise_alloc(struct inode *dir, const struct dentry *dentry,
						 umode_t mode, dev_t dev, const char *target)
{
	u32 nlen = dentry->d_name.len, tlen = target ? strlen(target) : 0;
	struct flint_promise *p = kzalloc(sizeof(*p) + nlen + tlen, GFP_KERNEL);

	if (!p)
		return NULL;
	p->dir = dir;
	p->rec = (struct flint_dir_rec){
		.rec_len = cpu_to_le16(flint_dir_rec_len(nlen, tlen)),
		.name_len = cpu_to_le16(nlen),
		.target_len = cpu_to_le16(tlen),
		.mode = cpu_to_le32(mode),
		.parent = cpu_to_le64(dir->i_ino),
		.time = cpu_to_le64(ktime_get_real_ns()),
		.rdev_major = cpu_to_le32(MAJOR(dev)),
		.rdev_minor = cpu_to_le32(MINOR(dev)),
	};
	memcpy(p->names, dentry->d_name.name, nlen);
	if (tlen)
		memcpy(p->names + nlen, target, tlen);
	return p;
}

/* What the server will say of it. */
static void flint_promise_attr(const struct flint_promise *p, struct flint_attr *a)
{
	const struct flint_inode *fd = flint_i(p->dir);
	const struct flint_dir_rec *r = &p->rec;
	u64 seed = le64_to_cpu(r->ino);
	bool dir = S_ISDIR(le32_to_cpu(r->mode));

	*a = (struct flint_attr){
		.ino = r->ino,
		.gen = cpu_to_le32(1),
		.mode = r->mode,
		.nlink = cpu_to_le32(dir ? 2 : 1),
		.uid = r->cred.uid,
		.gid = r->cred.gid,
		.flags = cpu_to_le32(FLINT_INO_NO_XATTR),
		.rdev_major = r->rdev_major,
		.rdev_minor = r->rdev_minor,
		.size = cpu_to_le64(le16_to_cpu(r->target_len)),
		.atime = r->time, .mtime = r->time, .ctime = r->time, .btime = r->time,
		.change = cpu_to_le64(1),
		.parent = dir ? r->parent : 0,
		.project = cpu_to_le32(READ_ONCE(fd->project)),
		.fs = cpu_to_le32(flint_fs(p->dir->i_sb)->fsid),
		.layout = fd->layout,
	};
	a->layout.seed = cpu_to_le64(flint_splitmix64(&seed));
}

static bool flint_promise_writes(const struct flint_promise *p)
{
	return le16_to_cpu(p->rec.flags) & FLINT_OPEN_WRITE;
}

/* It is ours alone: good as under leases, until the server knows it. Under leases.lock. */
static void flint_promise_own(struct flint_leases *l, const struct flint_promise *p)
{
	struct inode *inode = p->inode;
	struct flint_inode *fi = flint_i(inode);

	spin_lock(&fi->lock);
	fi->read_gen = atomic_long_inc_return(&l->gens);
	fi->attr_gen = fi->read_gen;
	if (flint_promise_writes(p) && flint_fs(inode->i_sb)->opts.writeback)
		fi->write_gen = atomic_long_inc_return(&l->gens);
	if (S_ISDIR(inode->i_mode)) {
		fi->dir_gen = atomic_long_inc_return(&l->gens);
		fi->delegated = true;
		fi->complete = true;
	}
	spin_unlock(&fi->lock);
}

/* The promise counts from here on, unless the lease went meanwhile. */
static bool flint_promise_queue(struct flint_fs *fs, struct flint_promise *p)
{
	struct flint_delegate *d = &fs->delegate;
	struct flint_inode *fd = flint_i(p->dir);
	bool ok, many;

	spin_lock(&fs->leases.lock);
	spin_lock(&d->lock);
	ok = fd->delegated && !READ_ONCE(fs->shutdown) && !flint_i(p->inode)->promise;
	many = d->nr + 1 >= FLINT_PROMISE_MANY;
	if (ok) {
		flint_promise_own(&fs->leases, p);
		ihold(p->dir);
		ihold(p->inode);
		p->nr = ++d->made;
		WRITE_ONCE(flint_i(p->inode)->promise, p);
		WRITE_ONCE(fd->promised, fd->promised + 1);
		list_add_tail(&p->node, &d->queue);
		d->nr++;
	}
	spin_unlock(&d->lock);
	spin_unlock(&fs->leases.lock);
	if (!ok)
		return false;
	if (many)
		mod_delayed_work(fs->wq, &d->work, 0);
	else
		queue_delayed_work(fs->wq, &d->work, FLINT_PROMISE_AGE);
	return true;
}

/* Context: ino_lock held. */
static struct inode *flint_promise_make(struct flint_fs *fs, struct flint_promise *p,
					struct flint_attr *attr)
{
	struct flint_delegate *d = &fs->delegate;
	struct inode *inode;
	int err = flint_delegate_refill(fs);

	if (err)
		return err == -EINTR || err == -ERESTARTNOINTR ? ERR_PTR(err) : NULL;
	p->rec.ino = cpu_to_le64(d->ino_next++);
	flint_promise_attr(p, attr);
	inode = flint_iget(fs->sb, attr, jiffies);
	if (IS_ERR(inode))
		return inode;
	p->inode = inode;
	if (!flint_promise_queue(fs, p)) {
		clear_nlink(inode);	/* nobody has seen it, nor ever will */
		iput(inode);
		return NULL;
	}
	return inode;
}

/**
 * flint_delegate_make() - make an inode without a request
 * @dir: directory, locked
 * @dentry: negative
 * @mode: type and permissions, before umask
 * @dev: of special files
 * @target: of symbolic links
 * @flags: FLINT_OPEN_READ, FLINT_OPEN_WRITE of a file that is being opened, else 0
 *
 * Return: the inode, referenced, to be attached to @dentry; NULL: ask the server;
 * ERR_PTR(-EINTR, -ENOMEM, -EPROTO).
 */
struct inode *flint_delegate_make(struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev,
				  const char *target, u32 flags)
{
	struct flint_fs *fs = flint_fs(dir->i_sb);
	unsigned long gen = flint_dir_gen(dir);
	struct flint_attr attr;
	struct flint_promise *p;
	struct inode *inode;
	char *link;

	if (!flint_delegate_may(dir, dentry) || dentry->d_name.len > FLINT_NAME_MAX)
		return NULL;
	/* The server was asked before. */
	if (flint_held_name(dir, &dentry->d_name, &inode)) {
		iput(inode);
		return NULL;
	}
	if (!S_ISLNK(mode))
		mode &= ~current_umask();
	p = flint_promise_alloc(dir, dentry, mode, dev, target);
	if (!p)
		return NULL;
	flint_owner(dir, &mode, &p->rec.cred);
	/* The server looked whether the directory's owners have limits, and at no others. */
	if (p->rec.cred.uid != cpu_to_le32(from_kuid(&init_user_ns, dir->i_uid)) ||
	    p->rec.cred.gid != cpu_to_le32(from_kgid(&init_user_ns, dir->i_gid))) {
		kfree(p);
		return NULL;
	}
	p->rec.mode = cpu_to_le32(mode);
	p->rec.flags = cpu_to_le16(flags);
	inode = ERR_PTR(-EINTR);
	if (!mutex_lock_killable(&fs->delegate.ino_lock)) {
		inode = flint_promise_make(fs, p, &attr);
		mutex_unlock(&fs->delegate.ino_lock);
	}
	if (IS_ERR_OR_NULL(inode)) {
		kfree(p);
		return inode;
	}
	flint_stat_inc(fs, FLINT_STAT_DELEGATED);
	flint_inode_stale(dir);
	flint_dentry_time(dentry, &attr, jiffies, gen);
	link = S_ISLNK(mode) ? kstrdup(target, GFP_KERNEL) : NULL;
	if (link && cmpxchg_release(&inode->i_link, NULL, link))
		kfree(link);
	return inode;
}

/* ---- open files ------------------------------------------------------------ */

/**
 * flint_delegate_close() - a file that was opened by a promise is closed
 * @inode: the file
 * @h: its handle; taken
 *
 * Return: true: done; false: the server knows the handle, give it back.
 */
bool flint_delegate_close(struct inode *inode, struct flint_handle *h)
{
	struct flint_delegate *d = &flint_fs(inode->i_sb)->delegate;
	struct flint_promise *p;
	bool mine = false;

	spin_lock(&d->lock);
	p = flint_i(inode)->promise;
	if (p && p->state == FLINT_PROMISE_QUEUED) {
		p->rec.flags = 0;	/* the server never hears of it */
	} else if (p) {
		p->close = h;
		mine = true;
	}
	spin_unlock(&d->lock);
	if (mine)
		return true;
	if (!p && !READ_ONCE(flint_i(inode)->broken))
		return false;
	kfree(h);
	return true;
}

/* ---- taking one back --------------------------------------------------------- */

static void flint_promise_put(struct flint_promise *p)
{
	iput(p->inode);
	iput(p->dir);
	kfree(p);
}

/* Off the lists, and those who waited for no other go on. Under delegate.lock. */
static void flint_promise_unlink(struct flint_delegate *d, struct flint_promise *p)
{
	struct flint_inode *fd = flint_i(p->dir);

	list_del(&p->node);
	WRITE_ONCE(flint_i(p->inode)->promise, NULL);
	WRITE_ONCE(fd->promised, fd->promised - 1);
	p = list_first_entry_or_null(&d->sent, struct flint_promise, node);
	if (!p)
		p = list_first_entry_or_null(&d->queue, struct flint_promise, node);
	WRITE_ONCE(d->done, p ? p->nr - 1 : d->made);
}

/**
 * flint_delegate_cancel() - a name is removed that the server never heard of
 * @inode: of it; not a directory, with its only name
 *
 * What was written to it goes, too.
 *
 * Return: true: done, pairs with flint_remove_end(); false: ask the server.
 */
bool flint_delegate_cancel(struct inode *inode)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_delegate *d = &fs->delegate;
	struct flint_inode *fi = flint_i(inode);
	struct flint_promise *p;

	if (S_ISDIR(inode->i_mode))
		return false;
	spin_lock(&fs->leases.lock);
	spin_lock(&d->lock);
	p = fi->promise;
	/* An open file lives on without a name: the server must keep it. */
	if (p && (p->state != FLINT_PROMISE_QUEUED || fi->local_opens ||
		  (p->rec.flags && !flint_wb_parked(inode))))
		p = NULL;
	if (p) {
		WRITE_ONCE(fi->broken, -ESTALE);
		fi->removing++;		/* nobody opens it any more */
		d->nr--;
		flint_promise_unlink(d, p);
	}
	spin_unlock(&d->lock);
	spin_unlock(&fs->leases.lock);
	if (!p)
		return false;
	wake_up_all(&d->told);
	flint_wb_hurry(inode);
	flint_promise_put(p);
	return true;
}

/* ---- telling the server ------------------------------------------------------- */

/* Take what fits into one request. Return: records; *@len bytes of them. */
static u32 flint_batch_take(struct flint_delegate *d, u32 *len)
{
	struct flint_promise *p;
	u32 nr = 0;

	*len = 0;
	spin_lock(&d->lock);
	while ((p = list_first_entry_or_null(&d->queue, struct flint_promise, node))) {
		if (*len + le16_to_cpu(p->rec.rec_len) > FLINT_DIR_BATCH_MAX)
			break;
		*len += le16_to_cpu(p->rec.rec_len);
		p->state = FLINT_PROMISE_SENT;
		list_move_tail(&p->node, &d->sent);
		d->nr--;
		nr++;
	}
	spin_unlock(&d->lock);
	return nr;
}

/* It was not sent, or only those before it were executed: first in the queue again. */
static void flint_batch_back(struct flint_delegate *d)
{
	struct flint_promise *p;

	spin_lock(&d->lock);
	list_for_each_entry(p, &d->sent, node) {
		p->state = FLINT_PROMISE_QUEUED;
		d->nr++;
	}
	list_splice_init(&d->sent, &d->queue);
	spin_unlock(&d->lock);
}

static struct flint_buf *flint_batch_fill(struct flint_delegate *d, u32 len)
{
	struct flint_buf *buf = flint_buf_alloc(len, GFP_NOFS);
	u8 *bytes = kvzalloc(len, GFP_NOFS);
	struct flint_promise *p;
	u32 at = 0;

	if (!buf || !bytes) {
		kvfree(bytes);
		flint_buf_put(buf);
		return NULL;
	}
	/* Only this work takes from the list; what is on it does not change. */
	list_for_each_entry(p, &d->sent, node) {
		memcpy(bytes + at, &p->rec, sizeof(p->rec));
		memcpy(bytes + at + sizeof(p->rec), p->names,
		       le16_to_cpu(p->rec.name_len) + le16_to_cpu(p->rec.target_len));
		at += le16_to_cpu(p->rec.rec_len);
	}
	flint_buf_write(buf, bytes, len);
	kvfree(bytes);
	return buf;
}

/* The server's clock is behind ours: its times count, but for those that are told later. */
static void flint_promise_times(const struct flint_promise *p, u64 now)
{
	struct flint_inode *fi = flint_i(p->inode);
	struct timespec64 t = ns_to_timespec64(now);

	if (le64_to_cpu(p->rec.time) <= now)
		return;
	spin_lock(&fi->lock);
	if (fi->change == 1)
		fi->btime = t;
	if (fi->change == 1 && !fi->attr_owed && !test_bit(FLINT_I_MTIME_DIRTY, &fi->state)) {
		inode_set_atime_to_ts(p->inode, t);
		inode_set_mtime_to_ts(p->inode, t);
		inode_set_ctime_to_ts(p->inode, t);
	}
	spin_unlock(&fi->lock);
}

/* Of those of the batch. */
static u32 flint_promise_kinds(const struct flint_promise *p, u32 kinds)
{
	if (S_ISDIR(p->inode->i_mode))
		return FLINT_LEASE_READ | FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE;
	return FLINT_LEASE_READ | (flint_promise_writes(p) ? kinds & FLINT_LEASE_WRITE : 0);
}

/* The promise is over, kept or not. */
static void flint_promise_end(struct flint_fs *fs, struct flint_promise *p, bool told)
{
	struct flint_delegate *d = &fs->delegate;
	struct flint_handle *h;
	bool open;

	spin_lock(&d->lock);
	flint_promise_unlink(d, p);
	open = told && p->rec.flags;
	h = p->close;
	spin_unlock(&d->lock);
	if (h && open)
		flint_handle_close(h);
	else
		kfree(h);
	flint_promise_put(p);
}

/* @seq: of the grant of @kinds, 0: it is not leased. */
static void flint_promise_told(struct flint_fs *fs, struct flint_promise *p,
			       const struct flint_mcall *c, u32 kinds, u64 seq, u64 now)
{
	flint_promise_times(p, now);
	if (seq)
		flint_lease_hold(p->inode, c->lease_epoch, flint_promise_kinds(p, kinds), seq,
				 NULL);
	flint_lease_settle(p->inode);
	flint_wb_settle(p->inode);
	flint_promise_end(fs, p, true);
}

static void flint_promise_fail(struct flint_fs *fs, struct flint_promise *p, int err)
{
	struct inode *inode = p->inode;
	struct dentry *dentry;
	bool hashed = true;

	WRITE_ONCE(flint_i(inode)->broken, err);
	mapping_set_error(inode->i_mapping, err);
	mapping_set_error(p->dir->i_mapping, err);
	if (!READ_ONCE(fs->shutdown))
		pr_err_ratelimited("%s: \"%.*s\" was created here, but the metadata server did not take it (%d): it is lost\n",
				   fs->name, le16_to_cpu(p->rec.name_len), p->names, err);
	flint_lease_settle(inode);
	flint_inode_set_nlink(inode, 0);
	while (hashed && (dentry = d_find_alias(inode))) {
		hashed = !d_unhashed(dentry);	/* a directory is found while somebody is in it */
		d_invalidate(dentry);
		d_drop(dentry);
		dput(dentry);
	}
	flint_delegate_incomplete(p->dir);
	flint_promise_end(fs, p, false);
}

/* All of the batch, or its first @nr. */
static void flint_batch_fail(struct flint_fs *fs, u32 nr, int err)
{
	struct flint_promise *p, *next;

	list_for_each_entry_safe(p, next, &fs->delegate.sent, node)
		if (nr--)
			flint_promise_fail(fs, p, err);
}

/* Below what failed nothing can be made either. Return: anything left to send. */
static bool flint_batch_prune(struct flint_fs *fs)
{
	struct flint_promise *p, *next;
	int err;

	list_for_each_entry_safe(p, next, &fs->delegate.sent, node) {
		err = READ_ONCE(flint_i(p->dir)->broken);
		if (err)
			flint_promise_fail(fs, p, err);
	}
	return !list_empty(&fs->delegate.sent);
}

static void flint_batch_done(struct flint_fs *fs, const struct flint_mcall *c,
			     const struct flint_dir_created *rep, u32 sent)
{
	u32 nr = le32_to_cpu(rep->nr), leased = le32_to_cpu(rep->leased), i;
	bool dirs = le32_to_cpu(rep->flags) & FLINT_DIR_CREATED_DIRS;
	struct flint_promise *p, *next;
	u32 kinds = 0;
	bool ours;
	u64 seq = 0;

	if (nr > sent || leased > nr || (nr < sent && !rep->status)) {
		flint_batch_fail(fs, sent, -EPROTO);
		return;
	}
	for (i = 0; i < c->nr_grants; i++) {
		if (c->grants[i].ino)
			continue;
		seq = le64_to_cpu(c->grants[i].seq);
		kinds = le32_to_cpu(c->grants[i].kinds);
	}
	i = 0;
	list_for_each_entry_safe(p, next, &fs->delegate.sent, node) {
		if (i == nr)
			break;
		ours = S_ISDIR(p->inode->i_mode) ? dirs : i < leased;
		flint_promise_told(fs, p, c, kinds, ours ? seq : 0, le64_to_cpu(rep->time));
		i++;
	}
	if (nr == sent)
		return;
	flint_batch_fail(fs, 1, flint_status_errno(le32_to_cpu(rep->status)));
	flint_batch_back(&fs->delegate);
}

/* One batch. Return: 0: go on; an error: later. */
static int flint_batch_send(struct flint_fs *fs, u32 nr, u32 len)
{
	struct flint_dir_create body = { .nr = cpu_to_le32(nr) };
	struct flint_dir_created rep;
	struct flint_mcall c = {
		.op = FLINT_OP_DIR_CREATE, .mutates = true, .forever = true,
		.lease = FLINT_LEASE_READ | FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE |
			 (fs->opts.writeback ? FLINT_LEASE_WRITE : 0),
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep),
		.dir = FLINT_DIR_OUT, .data_len = len,
	};
	int err;

	c.buf = flint_batch_fill(&fs->delegate, len);
	if (!c.buf) {
		flint_batch_back(&fs->delegate);
		return -ENOMEM;
	}
	err = flint_meta_call(fs, &c);
	flint_buf_put(c.buf);
	if (err)
		flint_batch_fail(fs, nr, err);
	else
		flint_batch_done(fs, &c, &rep, nr);
	return 0;
}

static void flint_delegate_work(struct work_struct *work)
{
	struct flint_delegate *d = container_of(to_delayed_work(work), struct flint_delegate, work);
	struct flint_fs *fs = container_of(d, struct flint_fs, delegate);
	u32 nr, len, left = 0;
	int err = 0;

	while (!err && (nr = flint_batch_take(d, &len))) {
		struct flint_promise *p;

		if (READ_ONCE(fs->shutdown)) {
			flint_batch_fail(fs, nr, -EIO);
		} else if (flint_batch_prune(fs)) {
			left = 0;
			len = 0;
			list_for_each_entry(p, &d->sent, node) {
				len += le16_to_cpu(p->rec.rec_len);
				left++;
			}
			err = flint_batch_send(fs, left, len);
		}
		wake_up_all(&d->told);
		cond_resched();
	}
	if (err)
		queue_delayed_work(fs->wq, &d->work, FLINT_PROMISE_PAUSE);
}

/* ---- another leader ------------------------------------------------------------- */

/* Name a directory once. Return: records added. */
static u32 flint_local_note(struct inode *dir, unsigned long attempt, struct flint_lease_rec *rec,
			    u32 nr)
{
	if (!S_ISDIR(dir->i_mode) || flint_i(dir)->dw_reclaimed == attempt ||
	    nr == FLINT_LEASE_RECS_MAX)
		return 0;
	flint_i(dir)->dw_reclaimed = attempt;
	rec[nr] = (struct flint_lease_rec){
		.ino = cpu_to_le64(dir->i_ino),
		.kinds = cpu_to_le32(FLINT_LEASE_DIR_WRITE),
	};
	return 1;
}

/**
 * flint_delegate_locals() - directories whose lease has to be kept under a new leader
 * @fs: mount
 * @attempt: a number of this reclaim, not used before
 * @rec: result, FLINT_LEASE_RECS_MAX of them
 *
 * Those in which something was made that was not told yet, and those that were not told
 * themselves, or in an answer that is on its way: empty ones, too, so that nobody else makes
 * the first name in them. Return: how many.
 */
u32 flint_delegate_locals(struct flint_fs *fs, unsigned long attempt, struct flint_lease_rec *rec)
{
	struct flint_delegate *d = &fs->delegate;
	struct list_head *lists[] = { &d->sent, &d->queue };
	struct flint_promise *p;
	u32 nr = 0;
	int i;

	spin_lock(&d->lock);
	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		list_for_each_entry(p, lists[i], node) {
			nr += flint_local_note(p->dir, attempt, rec, nr);
			nr += flint_local_note(p->inode, attempt, rec, nr);
		}
	}
	spin_unlock(&d->lock);
	return nr;
}

/* ---- life ------------------------------------------------------------------------- */

/* fsync of a directory, or of a file that was promised. */
int flint_delegate_fsync(struct file *file)
{
	struct inode *inode = file_inode(file);
	int err = 0;

	if (flint_delegate_has(inode))
		err = flint_delegate_flush(flint_fs(inode->i_sb), 0);
	return err ? err : file_check_and_advance_wb_err(file);
}

void flint_delegate_init(struct flint_fs *fs)
{
	struct flint_delegate *d = &fs->delegate;

	spin_lock_init(&d->lock);
	mutex_init(&d->ino_lock);
	INIT_LIST_HEAD(&d->queue);
	INIT_LIST_HEAD(&d->sent);
	init_waitqueue_head(&d->told);
	d->off_until = jiffies;
	INIT_DELAYED_WORK(&d->work, flint_delegate_work);
}

/* The network is shut down: what was not told fails. */
void flint_delegate_stop(struct flint_fs *fs)
{
	struct flint_delegate *d = &fs->delegate;

	mod_delayed_work(fs->wq, &d->work, 0);
	flush_delayed_work(&d->work);
	cancel_delayed_work_sync(&d->work);
}
