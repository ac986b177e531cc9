// SPDX-License-Identifier: GPL-2.0-only
/*
 * File locks that hold on all machines: flock(), fcntl() and OFD locks are asked
 * of the metadata server (Documentation/leases.rst). What is granted is noted
 * with the VFS as well, which gives it back when a file is closed and keeps what
 * is named to a new leader.
 *
 * A lock that has to wait is queued at the server under an id. The end of a wait
 * is pushed; as a push can be lost, a waiter asks again every second with the
 * same id, which is the same wait. Without leases, locks hold on this machine
 * only: they hang on the same session.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/fs.h>
#include <linux/siphash.h>
#include "flint.h"
#include "flint_trace.h"

#define FLINT_LOCK_ASK	HZ

static u8 flint_lock_kind(const struct file_lock_core *c)
{
	if (c->flc_flags & FL_FLOCK)
		return FLINT_LOCK_FLOCK;
	/* When the file is closed only the owner tells. */
	return (c->flc_flags & FL_OFDLCK) || c->flc_owner == (fl_owner_t)c->flc_file ?
	       FLINT_LOCK_OFD : FLINT_LOCK_POSIX;
}

static u8 flint_lock_type(const struct file_lock_core *c)
{
	return c->flc_type == F_RDLCK ? FLINT_LOCK_RD :
	       c->flc_type == F_WRLCK ? FLINT_LOCK_WR : FLINT_LOCK_UN;
}

/* Owners are pointers, which are nobody else's business. */
static void flint_lock_fill(struct flint_fs *fs, const struct inode *inode,
			    const struct file_lock *fl, struct flint_lock *l)
{
	const struct file_lock_core *c = flint_flc(fl);
	const void *owner = c->flc_flags & FL_FLOCK ? (const void *)c->flc_file : c->flc_owner;

	*l = (struct flint_lock){
		.ino = cpu_to_le64(inode->i_ino),
		.owner = cpu_to_le64(siphash_1u64((unsigned long)owner, &fs->leases.owners)),
		.start = cpu_to_le64(fl->fl_start),
		.end = cpu_to_le64(fl->fl_end == OFFSET_MAX ? U64_MAX : fl->fl_end),
		.pid = cpu_to_le32(c->flc_pid),
		.kind = flint_lock_kind(c),
		.type = flint_lock_type(c),
	};
	if (c->flc_flags & FL_FLOCK) {
		l->start = 0;
		l->end = cpu_to_le64(U64_MAX);
	}
}

static int flint_lock_call(struct flint_fs *fs, u16 op, const struct flint_lock *l,
			   struct flint_lock_rep *rep)
{
	struct flint_mcall c = {
		.op = op, .mutates = op != FLINT_OP_LOCK_TEST,
		.body = l, .body_len = sizeof(*l),
		.rep = rep, .rep_size = sizeof(*rep),
	};

	return flint_meta_call(fs, &c);
}

/* ---- waiting ------------------------------------------------------------ */

/*
 * A wait that is granted while it is given up is a lock. When there is no such wait, that is one
 * reason; the others are a new leader and a new session, which know of none: who has the lock now
 * is to be asked.
 */
static int flint_lock_give_up(struct flint_fs *fs, struct flint_lock *l)
{
	struct flint_lock_rep rep;
	int err = flint_lock_call(fs, FLINT_OP_LOCK_CANCEL, l, &rep);

	if (err == -ENOENT) {
		l->flags = 0;
		err = flint_lock_call(fs, FLINT_OP_LOCK, l, &rep);
		return err == -EAGAIN ? -EINTR : err;
	}
	return err ? err : -EINTR;
}

static int flint_lock_wait_queued(struct flint_fs *fs, struct flint_lock *l)
{
	struct flint_leases *ls = &fs->leases;
	struct flint_lock_rep rep;
	int err, seen;

	l->flags = cpu_to_le16(FLINT_LOCK_WAIT);
	l->id = cpu_to_le64(atomic64_inc_return(&ls->lock_ids));
	for (;;) {
		seen = atomic_read(&ls->lock_events);
		err = flint_lock_call(fs, FLINT_OP_LOCK, l, &rep);
		if (err || le32_to_cpu(rep.state) != FLINT_LOCK_QUEUED)
			return err;
		/* An event may be another waiter's: asking again is the same wait. */
		if (wait_event_interruptible_timeout(ls->lock_wq,
						     atomic_read(&ls->lock_events) != seen ||
						     READ_ONCE(fs->shutdown),
						     FLINT_LOCK_ASK) < 0)
			return flint_lock_give_up(fs, l);
	}
}

static int flint_lock_wait(struct flint_fs *fs, struct flint_lock *l)
{
	unsigned long begun = jiffies;
	u64 ino = le64_to_cpu(l->ino);
	int err;

	trace_flint_lock_wait(fs->instance, ino, l->kind, l->type);
	err = flint_lock_wait_queued(fs, l);
	trace_flint_lock_done(fs->instance, ino, err, jiffies_to_msecs(jiffies - begun));
	return err;
}

/* Context: completion; a LOCK_EVENT was pushed. */
void flint_lock_event(struct flint_fs *fs)
{
	atomic_inc(&fs->leases.lock_events);
	wake_up_all(&fs->leases.lock_wq);
}

/* ---- locks -------------------------------------------------------------- */

/* What hangs on this inode is named to a new leader. */
static void flint_lock_remember(struct inode *inode)
{
	struct flint_leases *l = &flint_fs(inode->i_sb)->leases;

	spin_lock(&l->lock);
	if (list_empty(&flint_i(inode)->locked_node))
		list_add_tail(&flint_i(inode)->locked_node, &l->locked);
	spin_unlock(&l->lock);
}

static int flint_lock_test(struct flint_fs *fs, struct inode *inode, struct file_lock *fl)
{
	struct file_lock_core *c = flint_flc(fl);
	struct flint_lock_rep rep;
	struct flint_lock l;
	int err;

	flint_lock_fill(fs, inode, fl, &l);
	err = flint_lock_call(fs, FLINT_OP_LOCK_TEST, &l, &rep);
	if (err)
		return err;
	c->flc_type = F_UNLCK;
	if (le32_to_cpu(rep.state) != FLINT_LOCK_HELD)
		return 0;
	c->flc_type = rep.type == FLINT_LOCK_RD ? F_RDLCK : F_WRLCK;
	fl->fl_start = le64_to_cpu(rep.start);
	fl->fl_end = min_t(u64, le64_to_cpu(rep.end), OFFSET_MAX);
	c->flc_pid = le32_to_cpu(rep.pid);
	if (!rep.own_session)
		c->flc_pid = -c->flc_pid;	/* of another machine */
	return 0;
}

static int flint_lock_undo(struct flint_fs *fs, struct file *file, struct file_lock *fl)
{
	struct flint_lock_rep rep;
	struct flint_lock l;

	flint_lock_fill(fs, file_inode(file), fl, &l);
	l.type = FLINT_LOCK_UN;
	locks_lock_file_wait(file, fl);
	return flint_lock_call(fs, FLINT_OP_LOCK, &l, &rep);
}

static int flint_lock_set(struct flint_fs *fs, struct file *file, struct file_lock *fl)
{
	struct flint_lock_rep rep;
	struct flint_lock l;
	int err = flint_lock_check(file_inode(file));

	if (err)
		return err;
	flint_lock_fill(fs, file_inode(file), fl, &l);
	if (flint_flc(fl)->flc_flags & FL_SLEEP)
		err = flint_lock_wait(fs, &l);
	else
		err = flint_lock_call(fs, FLINT_OP_LOCK, &l, &rep);
	if (err)
		return err;
	flint_lock_remember(file_inode(file));
	err = locks_lock_file_wait(file, fl);
	if (err) {	/* killed, or without memory: not even noted */
		l.type = FLINT_LOCK_UN;
		l.flags = 0;
		flint_lock_call(fs, FLINT_OP_LOCK, &l, &rep);
	}
	return err;
}

/* ---- locks that are gone ------------------------------------------------ */

static bool flint_lock_noted(const struct inode *inode)
{
	struct file_lock_context *ctx = locks_inode_context(inode);

	return ctx && (!list_empty_careful(&ctx->flc_posix) ||
		       !list_empty_careful(&ctx->flc_flock));
}

/**
 * flint_lock_lost() - the server does not have a lock that was noted here
 * @inode: that it is on; nothing happens if it was given back meanwhile
 * @status: of the server, for the log
 */
void flint_lock_lost(struct inode *inode, u32 status)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);

	if (!flint_lock_noted(inode))
		return;
	set_bit(FLINT_I_LOCK_LOST, &flint_i(inode)->state);
	trace_flint_lock_lost(fs->instance, inode->i_ino, status);
	flint_event(fs, FLINT_EV_LOCK_LOST, &(struct flint_event){ .ino = inode->i_ino });
	pr_warn_ratelimited("%s: a lock on inode %lu was lost (%u): its file cannot be read or written before all locks on it are given back\n",
			    fs->name, inode->i_ino, status);
}

/**
 * flint_lock_check() - may this file be used?
 * @inode: of it
 *
 * Return: 0, or -EIO: a lock on it was lost. Others may have had it, so that those who believe
 * to hold it must not go on; it is over when no lock is held on it on this machine.
 */
int flint_lock_check(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);

	if (likely(!test_bit(FLINT_I_LOCK_LOST, &fi->state)))
		return 0;
	if (flint_lock_noted(inode))
		return -EIO;
	clear_bit(FLINT_I_LOCK_LOST, &fi->state);
	return 0;
}

/* struct file_operations.lock and .flock */
int flint_lock(struct file *file, int cmd, struct file_lock *fl)
{
	struct inode *inode = file_inode(file);
	struct flint_fs *fs = flint_fs(inode->i_sb);

	if (!fs->opts.lease) {
		if (!IS_GETLK(cmd))
			return locks_lock_file_wait(file, fl);
		posix_test_lock(file, fl);
		return 0;
	}
	if (IS_GETLK(cmd))
		return flint_lock_test(fs, inode, fl);
	return flint_flc(fl)->flc_type == F_UNLCK ? flint_lock_undo(fs, file, fl) :
	       flint_lock_set(fs, file, fl);
}

/* ---- a new leader ------------------------------------------------------- */

static u32 flint_lock_list(struct flint_fs *fs, const struct inode *inode,
			   const struct list_head *head, struct flint_lock *out, u32 skip, u32 max)
{
	const struct file_lock *fl;
	u32 nr = 0;

	list_for_each_entry(fl, head, FLINT_FLC_LIST) {
		if (skip) {
			skip--;
			continue;
		}
		if (nr == max)
			break;
		flint_lock_fill(fs, inode, fl, &out[nr++]);
	}
	return nr;
}

/**
 * flint_lock_name() - locks of an inode, for SESSION_RECLAIM
 * @inode: it
 * @out: result
 * @skip: locks to leave out, which were named before
 * @max: room
 *
 * Return: their number.
 */
u32 flint_lock_name(struct inode *inode, struct flint_lock *out, u32 skip, u32 max)
{
	struct file_lock_context *ctx = locks_inode_context(inode);
	struct flint_fs *fs = flint_fs(inode->i_sb);
	u32 nr, posix = 0;
	struct file_lock *fl;

	if (!ctx)
		return 0;
	spin_lock(&ctx->flc_lock);
	list_for_each_entry(fl, &ctx->flc_posix, FLINT_FLC_LIST)
		posix++;
	nr = flint_lock_list(fs, inode, &ctx->flc_posix, out, skip, max);
	skip = skip > posix ? skip - posix : 0;
	nr += flint_lock_list(fs, inode, &ctx->flc_flock, out + nr, skip, max - nr);
	spin_unlock(&ctx->flc_lock);
	return nr;
}
