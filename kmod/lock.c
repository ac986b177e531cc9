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
 *
 * Who is killed while it asks does not hear what the server did, and nobody gives
 * back later what was not noted. That is mended in the background, for as long as
 * it takes: the request is repeated under its number, so that no copy of it can
 * arrive late, its wait is cancelled, and its range becomes what is noted here.
 * Owners are named after addresses, which are used again: until then no lock is
 * asked for by that name on that inode.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/fs.h>
#include <linux/siphash.h>
#include "flint.h"
#include "flint_trace.h"

#define FLINT_LOCK_ASK		HZ
#define FLINT_MEND_PAUSE	(HZ / 2)	/* without memory, or aborted by hand */
#define FLINT_MEND_TRIES	60

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

/* ---- outcomes that nobody heard ----------------------------------------- */

/**
 * struct flint_lock_mend - an owner's range in which the server may not have what is noted
 * @node: on leases.mends, under leases.mend_lock
 * @inode: referenced
 * @op: request that was not answered
 * @l: its body
 * @seq: its number, open; 0: it was not sent
 * @session: in which this was so; all locks end with it
 * @start: of what is left to be mended
 * @end: its last byte
 * @tries: so far
 * @begun: nothing can be added
 */
struct flint_lock_mend {
	struct list_head node;
	struct inode *inode;
	u16 op;
	struct flint_lock l;
	struct flint_seq seq;
	u64 session;
	u64 start;
	u64 end;
	unsigned int tries;
	bool begun;
};

static bool flint_lock_same(const struct flint_lock *a, const struct flint_lock *b)
{
	return a->owner == b->owner && a->kind == b->kind && a->ino == b->ino;
}

/* Is anything mended for this owner? */
static bool flint_lock_mending(struct flint_fs *fs, const struct flint_lock *l)
{
	struct flint_leases *ls = &fs->leases;
	struct flint_lock_mend *m;
	bool found = false;

	if (likely(list_empty_careful(&ls->mends)))
		return false;
	spin_lock(&ls->mend_lock);
	list_for_each_entry(m, &ls->mends, node)
		found |= flint_lock_same(&m->l, l);
	spin_unlock(&ls->mend_lock);
	return found;
}

/* Does a mend take the range along that is to be done anyway? */
static bool flint_mend_widen(struct flint_fs *fs, const struct flint_lock *l)
{
	struct flint_lock_mend *m;

	list_for_each_entry(m, &fs->leases.mends, node) {
		if (m->begun || !flint_lock_same(&m->l, l))
			continue;
		m->start = min(m->start, le64_to_cpu(l->start));
		m->end = max(m->end, le64_to_cpu(l->end));
		m->session = flint_session(fs);
		return true;
	}
	return false;
}

/*
 * Nobody knows what the server has in the range of @l. @seq: under which it was asked, taken over;
 * NULL: only the range is in doubt.
 *
 * Context: process; the inode is referenced.
 */
static void flint_lock_mend(struct inode *inode, u16 op, const struct flint_lock *l,
			    struct flint_seq *seq)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_leases *ls = &fs->leases;
	struct flint_lock_mend *m, *spare = kzalloc(sizeof(*m), GFP_NOFS | __GFP_NOFAIL);

	m = spare;
	*m = (struct flint_lock_mend){
		.inode = inode, .op = op, .l = *l, .session = flint_session(fs),
		.start = le64_to_cpu(l->start), .end = le64_to_cpu(l->end),
	};
	if (seq && seq->seq)
		flint_seq_move(fs, &m->seq, seq);
	flint_fs_begin(fs);
	spin_lock(&ls->mend_lock);
	if (m->seq.seq || l->id || !flint_mend_widen(fs, l)) {
		ihold(inode);
		list_add_tail(&m->node, &ls->mends);
		spare = NULL;
	}
	smp_mb__before_atomic();	/* who did not see the list sees this: flint_lock_set() */
	atomic_inc(&ls->lock_doubts);
	queue_delayed_work(fs->wq, &ls->mend_work, 0);
	spin_unlock(&ls->mend_lock);
	if (spare)
		flint_fs_end(fs);
	kfree(spare);
}

/* Not the server's word. */
static bool flint_lock_unsure(int err)
{
	return err == -EINTR || err == -EIO || err == -ENOMEM || err == -EPROTO;
}

static int flint_lock_call(struct inode *inode, u16 op, const struct flint_lock *l,
			   struct flint_lock_rep *rep)
{
	struct flint_seq seq = { .seq = 0 };
	struct flint_mcall c = {
		.op = op, .mutates = op != FLINT_OP_LOCK_TEST, .keep = &seq,
		.body = l, .body_len = sizeof(*l),
		.rep = rep, .rep_size = sizeof(*rep),
	};
	int err = flint_meta_call(flint_fs(inode->i_sb), &c);

	if (c.mutates && (seq.seq || flint_lock_unsure(err)))
		flint_lock_mend(inode, op, l, &seq);
	return err;
}

/* Return: what the server says, or -EAGAIN: later. */
static int flint_mend_call(struct flint_fs *fs, u16 op, const struct flint_lock *l,
			   struct flint_seq *seq, int *said)
{
	struct flint_lock_rep rep;
	struct flint_mcall c = {
		.op = op, .mutates = true, .forever = true, .keep = seq,
		.body = l, .body_len = sizeof(*l),
		.rep = &rep, .rep_size = sizeof(rep),
	};

	*said = flint_meta_call(fs, &c);
	return flint_lock_unsure(*said) ? -EAGAIN : 0;
}

/* What is noted from the start of the range on, as far as it is of one kind. */
static void flint_mend_part(const struct flint_lock_mend *m, struct flint_lock *part)
{
	struct file_lock_context *ctx = locks_inode_context(m->inode);
	struct flint_lock l;
	struct file_lock *fl;
	u64 start, end = m->end;

	*part = m->l;
	part->id = 0;
	part->flags = 0;
	part->type = FLINT_LOCK_UN;
	part->start = cpu_to_le64(m->start);
	if (ctx) {
		spin_lock(&ctx->flc_lock);
		list_for_each_entry(fl, m->l.kind == FLINT_LOCK_FLOCK ? &ctx->flc_flock :
				    &ctx->flc_posix, FLINT_FLC_LIST) {
			flint_lock_fill(flint_fs(m->inode->i_sb), m->inode, fl, &l);
			start = le64_to_cpu(l.start);
			if (!flint_lock_same(&l, &m->l) || le64_to_cpu(l.end) < m->start ||
			    start > end)
				continue;
			if (start > m->start) {
				end = start - 1;
				continue;
			}
			end = min(end, le64_to_cpu(l.end));
			part->type = l.type;
			part->pid = l.pid;
		}
		spin_unlock(&ctx->flc_lock);
	}
	part->end = cpu_to_le64(end);
}

/* Make the server's locks those that are noted. */
static int flint_mend_range(struct flint_fs *fs, struct flint_lock_mend *m)
{
	struct flint_lock part;
	int err, said;

	do {
		flint_mend_part(m, &part);
		err = flint_mend_call(fs, FLINT_OP_LOCK, &part, NULL, &said);
		if (err)
			return err;
		if (said == -EAGAIN && part.type != FLINT_LOCK_UN)
			flint_lock_lost(m->inode, EAGAIN);
		m->start = le64_to_cpu(part.end) + 1;
	} while (le64_to_cpu(part.end) < m->end);
	return 0;
}

/* Return: 0, or -EAGAIN. */
static int flint_mend_one(struct flint_fs *fs, struct flint_lock_mend *m)
{
	int err = 0, said;

	/* It may have been done in another session from the second try on. */
	if (READ_ONCE(fs->shutdown) || (!m->tries && m->session != flint_session(fs)))
		return 0;
	if (m->seq.seq)
		err = flint_mend_call(fs, m->op, &m->l, &m->seq, &said);
	if (!err && m->l.id)
		err = flint_mend_call(fs, FLINT_OP_LOCK_CANCEL, &m->l, NULL, &said);
	if (!err)
		err = flint_mend_range(fs, m);
	return ++m->tries < FLINT_MEND_TRIES && !READ_ONCE(fs->shutdown) ? err : 0;
}

static struct flint_lock_mend *flint_mend_next(struct flint_leases *ls)
{
	struct flint_lock_mend *m;

	spin_lock(&ls->mend_lock);
	m = list_first_entry_or_null(&ls->mends, struct flint_lock_mend, node);
	if (m)
		m->begun = true;
	spin_unlock(&ls->mend_lock);
	return m;
}

static void flint_mend_end(struct flint_fs *fs, struct flint_lock_mend *m)
{
	spin_lock(&fs->leases.mend_lock);
	list_del(&m->node);
	spin_unlock(&fs->leases.mend_lock);
	wake_up_all(&fs->leases.mend_wq);
	if (m->seq.seq)
		flint_seq_end(fs, &m->seq);
	iput(m->inode);
	kfree(m);
	flint_fs_end(fs);
}

static void flint_mend_work(struct work_struct *work)
{
	struct flint_leases *ls = container_of(to_delayed_work(work), struct flint_leases,
					       mend_work);
	struct flint_fs *fs = container_of(ls, struct flint_fs, leases);
	struct flint_lock_mend *m;

	while ((m = flint_mend_next(ls))) {
		if (flint_mend_one(fs, m)) {
			queue_delayed_work(fs->wq, &ls->mend_work, FLINT_MEND_PAUSE);
			return;
		}
		flint_mend_end(fs, m);
	}
}

/*
 * Nothing is asked for while it could be undone, by a mend of this owner or of the one before it
 * that had the name.
 */
static int flint_lock_settled(struct flint_fs *fs, const struct flint_lock *l)
{
	struct flint_leases *ls = &fs->leases;
	long left = fs->opts.soft ? msecs_to_jiffies(fs->opts.meta_timeo) : MAX_SCHEDULE_TIMEOUT;

	left = wait_event_killable_timeout(ls->mend_wq, !flint_lock_mending(fs, l), left);
	return left < 0 ? -EINTR : left ? 0 : -EIO;
}

void flint_lock_init(struct flint_fs *fs)
{
	struct flint_leases *ls = &fs->leases;

	init_waitqueue_head(&ls->lock_wq);
	get_random_bytes(&ls->owners, sizeof(ls->owners));
	spin_lock_init(&ls->mend_lock);
	INIT_LIST_HEAD(&ls->mends);
	init_waitqueue_head(&ls->mend_wq);
	INIT_DELAYED_WORK(&ls->mend_work, flint_mend_work);
}

/* An unmount waits for what is mended, or shut down, like closes. */
void flint_lock_hurry(struct flint_fs *fs)
{
	mod_delayed_work(fs->wq, &fs->leases.mend_work, 0);
}

void flint_lock_stop(struct flint_fs *fs)
{
	cancel_delayed_work_sync(&fs->leases.mend_work);
}

/* ---- waiting ------------------------------------------------------------ */

/*
 * A wait that is granted while it is given up is a lock. When there is no such wait, that is one
 * reason; the others are a new leader and a new session, which know of none: who has the lock now
 * is to be asked.
 */
static int flint_lock_give_up(struct inode *inode, struct flint_lock *l)
{
	struct flint_lock_rep rep;
	int err = flint_lock_call(inode, FLINT_OP_LOCK_CANCEL, l, &rep);

	if (err == -ENOENT) {
		l->flags = 0;
		err = flint_lock_call(inode, FLINT_OP_LOCK, l, &rep);
		return err == -EAGAIN ? -EINTR : err;
	}
	return err ? err : -EINTR;
}

static int flint_lock_wait_queued(struct inode *inode, struct flint_lock *l)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_leases *ls = &fs->leases;
	struct flint_lock_rep rep;
	int err, seen;

	l->flags = cpu_to_le16(FLINT_LOCK_WAIT);
	l->id = cpu_to_le64(atomic64_inc_return(&ls->lock_ids));
	for (;;) {
		seen = atomic_read(&ls->lock_events);
		err = flint_lock_call(inode, FLINT_OP_LOCK, l, &rep);
		if (err || le32_to_cpu(rep.state) != FLINT_LOCK_QUEUED)
			return err;
		/* An event may be another waiter's: asking again is the same wait. */
		if (wait_event_interruptible_timeout(ls->lock_wq,
						     atomic_read(&ls->lock_events) != seen ||
						     READ_ONCE(fs->shutdown),
						     FLINT_LOCK_ASK) < 0)
			return flint_lock_give_up(inode, l);
	}
}

static int flint_lock_wait(struct inode *inode, struct flint_lock *l)
{
	unsigned int instance = flint_fs(inode->i_sb)->instance;
	unsigned long begun = jiffies;
	int err;

	trace_flint_lock_wait(instance, inode->i_ino, l->kind, l->type);
	err = flint_lock_wait_queued(inode, l);
	trace_flint_lock_done(instance, inode->i_ino, err, jiffies_to_msecs(jiffies - begun));
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
	err = flint_lock_call(inode, FLINT_OP_LOCK_TEST, &l, &rep);
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

/* The note goes first: what others are granted then can be noted. */
static int flint_lock_undo(struct flint_fs *fs, struct file *file, struct file_lock *fl)
{
	struct inode *inode = file_inode(file);
	struct flint_lock_rep rep;
	struct flint_lock l;

	flint_lock_fill(fs, inode, fl, &l);
	l.type = FLINT_LOCK_UN;
	locks_lock_file_wait(file, fl);
	if (flint_lock_mending(fs, &l)) {	/* it may just be setting what was noted */
		flint_lock_mend(inode, FLINT_OP_LOCK, &l, NULL);
		return 0;
	}
	return flint_lock_call(inode, FLINT_OP_LOCK, &l, &rep);
}

/* As flint_lock_undo() with the range of a lock. */
static int flint_lock_drop(struct flint_fs *fs, struct file *file, struct file_lock *fl)
{
	struct file_lock_core *c = flint_flc(fl);
	u8 type = c->flc_type;
	int err;

	c->flc_type = F_UNLCK;
	err = flint_lock_undo(fs, file, fl);
	c->flc_type = type;
	return err;
}

/* Has this open file a flock() lock? */
static bool flint_flock_noted(const struct file *file, const struct file_lock *fl)
{
	struct file_lock_context *ctx = locks_inode_context(file_inode(file));
	const struct file_lock *k;
	bool found = false;

	if (!ctx || !(flint_flc(fl)->flc_flags & FL_FLOCK))
		return false;
	spin_lock(&ctx->flc_lock);
	list_for_each_entry(k, &ctx->flc_flock, FLINT_FLC_LIST)
		found |= flint_flc(k)->flc_file == file;
	spin_unlock(&ctx->flc_lock);
	return found;
}

/*
 * @noted: it is, from the last time. It must not be while we wait. Nor must the lock that flock()
 * converts: two who wait for each other's would wait for ever. Without waiting it is lost, too, as
 * on other file systems.
 */
static int flint_lock_ask(struct flint_fs *fs, struct file *file, struct file_lock *fl, bool noted)
{
	bool sleep = flint_flc(fl)->flc_flags & FL_SLEEP;
	struct inode *inode = file_inode(file);
	struct flint_lock_rep rep;
	struct flint_lock l;
	bool had;
	int err;

	flint_lock_fill(fs, inode, fl, &l);
	had = noted || flint_flock_noted(file, fl);
	err = flint_lock_settled(fs, &l);
	if (!err)
		err = had || !sleep ? flint_lock_call(inode, FLINT_OP_LOCK, &l, &rep) : -EAGAIN;
	if ((err && noted) || (err == -EAGAIN && had))
		err = flint_lock_drop(fs, file, fl) ? : err;
	return err == -EAGAIN && sleep ? flint_lock_wait(inode, &l) : err;
}

static int flint_lock_set(struct flint_fs *fs, struct file *file, struct file_lock *fl)
{
	struct inode *inode = file_inode(file);
	int err = flint_lock_check(inode), doubts;
	struct flint_lock l;
	bool noted = false;

	while (!err) {
		doubts = atomic_read(&fs->leases.lock_doubts);
		smp_rmb();	/* before it is looked whether anything is mended */
		err = flint_lock_ask(fs, file, fl, noted);
		if (err)
			break;
		flint_lock_remember(inode);
		err = locks_lock_file_wait(file, fl);
		noted = !err;
		/* It may have gone before it was noted: mended away, or with a leader. */
		if (noted && likely(atomic_read(&fs->leases.lock_doubts) == doubts))
			break;
		if (noted)
			continue;
		/* Killed, or without memory: not even noted. */
		flint_lock_fill(fs, inode, fl, &l);
		flint_lock_mend(inode, FLINT_OP_LOCK, &l, NULL);
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
