// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leases: what may be answered from memory, and how that ends. The protocol is
 * in uapi/flintfs/lease.h and Documentation/leases.rst; this is the client's
 * half, for read and dir leases.
 *
 * An inode's READ lease makes its attributes and cached pages good, a
 * directory's DIR lease its dentries, the absent ones included. What is good
 * carries a generation: each time a lease is newly granted the inode gets a
 * number that was never used, and what a reply says under it is marked with it
 * (attr_gen, dentry->d_fsdata). Losing the lease sets the inode's number to 0,
 * and all marks are void at once. So the fast paths compare two words and a
 * clock, without a lock.
 *
 * A lease is trusted until 2/3 of the session lease after the last answered
 * request was sent (CLOCK_BOOTTIME). The server counts the same from a later
 * moment, so what we believe has ended before it may be given to others.
 *
 * Recalls arrive in completion context and are carried out by a work: the lease
 * ends, pages of a file are dropped, so that maps fault again, and then it is
 * returned. A grant may be overtaken by its recall: recent recalls are
 * remembered and grants measured by them.
 *
 * Order of locks: leases.lock, then fi->lock or i_lock.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include "compat/unaligned.h"
#include "flint.h"
#include "flint_trace.h"

#define FLINT_RETURN_TIMEO	(5 * HZ)
#define FLINT_FORGET_TIMEO	(5 * HZ)
#define FLINT_RETURN_DELAY	(HZ / 10)	/* leases of evicted inodes gather so long */
#define FLINT_UNLEASED_MAX	HZ		/* age of a page that is mapped without a lease */

/* A push that waits to be carried out. */
struct flint_recall {
	struct list_head node;
	u32 conn;
	u32 nr;
	u64 push;
	u64 epoch;
	struct flint_lease_rec rec[FLINT_LEASE_RECS_MAX];
};

/* ---- may it be used? ---------------------------------------------------- */

bool flint_lease_trusted(const struct flint_leases *l)
{
	return ktime_get_coarse_boottime_ns() < READ_ONCE(l->trusted);
}

/**
 * flint_lease_left() - how long may leases still be relied upon?
 * @fs: mount
 * Return: jiffies, 0: not now.
 */
unsigned long flint_lease_left(const struct flint_fs *fs)
{
	u64 now = ktime_get_coarse_boottime_ns(), until = READ_ONCE(fs->leases.trusted);

	return now < until ? nsecs_to_jiffies(until - now) : 0;
}

/**
 * flint_attr_good() - may an inode's attributes be used without asking?
 * @inode: the inode
 *
 * Context: any, RCU walk included.
 */
bool flint_attr_good(const struct inode *inode)
{
	const struct flint_inode *fi = flint_i(inode);
	unsigned long gen = READ_ONCE(fi->read_gen);

	if (gen && gen == READ_ONCE(fi->attr_gen) &&
	    flint_lease_trusted(&flint_fs(inode->i_sb)->leases))
		return true;
	return time_before(jiffies, READ_ONCE(fi->valid));
}

/* May cached pages of a file be used without asking? */
bool flint_pages_leased(const struct inode *inode)
{
	return READ_ONCE(flint_i(inode)->read_gen) &&
	       flint_lease_trusted(&flint_fs(inode->i_sb)->leases);
}

/* The number that a dentry of @dir would be marked with now, 0: none. */
unsigned long flint_dir_gen(const struct inode *dir)
{
	return READ_ONCE(flint_i(dir)->dir_gen);
}

/* Context: any, RCU walk included. */
bool flint_dentry_leased(const struct dentry *dentry, const struct inode *dir)
{
	unsigned long gen = (unsigned long)READ_ONCE(dentry->d_fsdata);

	return gen && gen == READ_ONCE(flint_i(dir)->dir_gen) &&
	       flint_lease_trusted(&flint_fs(dentry->d_sb)->leases);
}

/* ---- grants --------------------------------------------------------------- */

/* Kinds of a grant that no recall has named already. Under the lock. */
static u32 flint_lease_screen(const struct flint_leases *l, u64 ino, u32 kinds, u64 seq)
{
	unsigned int i;

	if (seq <= l->floor)
		return 0;
	for (i = 0; i < FLINT_RECALLS_KEPT; i++)
		if (l->recent[i].ino == ino && l->recent[i].seq >= seq)
			kinds &= ~l->recent[i].kinds;
	return kinds & FLINT_LEASE_KINDS;
}

/**
 * flint_lease_hold() - a grant arrived
 * @inode: of it, referenced
 * @epoch: leadership that the request went to
 * @kinds: granted
 * @seq: number of the grant
 * @a: attributes that came with it and were applied, or NULL
 *
 * Return: the directory's generation if the grant has DIR, else 0.
 */
unsigned long flint_lease_hold(struct inode *inode, u64 epoch, u32 kinds, u64 seq,
			       const struct flint_attr *a)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	struct flint_leases *l = &fs->leases;
	unsigned long gen = 0;

	spin_lock(&l->lock);
	kinds = epoch == l->epoch ? flint_lease_screen(l, inode->i_ino, kinds, seq) : 0;
	if (!kinds)
		goto out;
	spin_lock(&fi->lock);
	if (!fi->lease_kinds) {
		list_add_tail(&fi->lease_node, &l->held);
		flint_stat_inc(fs, FLINT_STAT_LEASES);
	}
	/* What was promised is good already, and stays so. */
	if ((kinds & ~fi->lease_kinds & FLINT_LEASE_READ) && !fi->read_gen)
		fi->read_gen = atomic_long_inc_return(&l->gens);
	if ((kinds & ~fi->lease_kinds & FLINT_LEASE_DIR) && !fi->dir_gen)
		fi->dir_gen = atomic_long_inc_return(&l->gens);
	if (kinds & FLINT_LEASE_DIR_WRITE)
		fi->delegated = true;
	if (kinds & ~fi->lease_kinds & FLINT_LEASE_WRITE)
		fi->write_gen = atomic_long_inc_return(&l->gens);
	fi->lease_kinds |= kinds;
	fi->lease_seq = max(fi->lease_seq, seq);
	if (a && (kinds & FLINT_LEASE_READ) && fi->change == le64_to_cpu(a->change) &&
	    !flint_attr_doubt(fi))
		fi->attr_gen = fi->read_gen;
	if (kinds & FLINT_LEASE_DIR)
		gen = fi->dir_gen;
	spin_unlock(&fi->lock);
	trace_flint_lease_take(fs->instance, inode->i_ino, kinds, seq);
out:
	spin_unlock(&l->lock);
	return gen;
}

/**
 * flint_lease_take() - take the leases that came with a reply
 * @c: the operation, done
 * @dir: directory that it was about, or NULL
 * @inode: inode that it was about, with @a applied, or NULL
 * @a: its attributes from the reply
 *
 * Return: the generation for a dentry of @dir that the reply confirmed: that
 * of the lease that came along, or of the one held when the request was sent.
 */
unsigned long flint_lease_take(struct flint_mcall *c, struct inode *dir, struct inode *inode,
			       const struct flint_attr *a)
{
	unsigned long gen = c->dir_gen, got;
	unsigned int i;

	for (i = 0; i < c->nr_grants; i++) {
		const struct flint_lease_grant *g = &c->grants[i];
		u64 ino = le64_to_cpu(g->ino), seq = le64_to_cpu(g->seq);

		if (dir && ino == dir->i_ino) {
			got = flint_lease_hold(dir, c->lease_epoch, le32_to_cpu(g->kinds), seq,
					       NULL);
			gen = got ? got : gen;
		} else if (inode && ino == inode->i_ino) {
			flint_lease_hold(inode, c->lease_epoch, le32_to_cpu(g->kinds), seq, a);
		}
	}
	return gen;
}

/**
 * flint_lease_ask() - fill in what a request says of leases
 * @fs: mount
 * @c: the operation
 *
 * Return: kinds to ask for, 0 when no leadership is known that could grant.
 */
u8 flint_lease_ask(struct flint_fs *fs, struct flint_mcall *c)
{
	c->nr_grants = 0;
	c->lease_epoch = READ_ONCE(fs->leases.epoch);
	return c->lease_epoch ? c->lease : 0;
}

/**
 * flint_lease_heard() - the leader answered a request
 * @fs: mount
 * @c: the operation, gets the grants; may be NULL
 * @req: the request, with its reply
 */
void flint_lease_heard(struct flint_fs *fs, struct flint_mcall *c, const struct flint_req *req)
{
	struct flint_leases *l = &fs->leases;
	u64 until = req->sent_boot + (u64)fs->lease_ms * NSEC_PER_MSEC / 3 * 2;

	if (!fs->opts.lease)
		return;
	if (req->status == FLINT_ST_RECLAIM) {
		flint_lease_renew_now(fs);
		return;
	}
	if (flint_session_over(req->status) || READ_ONCE(l->lost))
		return;
	if (!(req->rep_lease & FLINT_LEASE_NO_RENEWAL) && until > READ_ONCE(l->trusted))
		WRITE_ONCE(l->trusted, until);
	if (c && req->nr_grants) {
		c->nr_grants = min_t(u32, req->nr_grants, ARRAY_SIZE(c->grants));
		memcpy(c->grants, req->grants, c->nr_grants * sizeof(c->grants[0]));
	}
}

/* ---- losing them ------------------------------------------------------------ */

/* Under the lock. */
static void flint_lease_shrink(struct inode *inode, u32 kinds)
{
	struct flint_inode *fi = flint_i(inode);

	spin_lock(&fi->lock);
	fi->lease_kinds &= ~kinds;
	if (kinds & FLINT_LEASE_READ) {
		WRITE_ONCE(fi->read_gen, 0);
		forget_all_cached_acls(inode);
	}
	if (kinds & FLINT_LEASE_DIR)
		WRITE_ONCE(fi->dir_gen, 0);
	if (kinds & FLINT_LEASE_DIR_WRITE) {
		WRITE_ONCE(fi->delegated, false);
		WRITE_ONCE(fi->complete, false);
	}
	if (kinds & FLINT_LEASE_WRITE)
		WRITE_ONCE(fi->write_gen, 0);
	if (!fi->lease_kinds) {
		list_del_init(&fi->lease_node);
		fi->lease_seq = 0;	/* another leadership counts anew */
	}
	spin_unlock(&fi->lock);
}

/**
 * flint_lease_settle() - a promise is over: only what is leased is good from now on
 * @inode: that was promised
 */
void flint_lease_settle(struct inode *inode)
{
	struct flint_leases *l = &flint_fs(inode->i_sb)->leases;

	spin_lock(&l->lock);
	flint_lease_shrink(inode, FLINT_LEASE_KINDS & ~flint_i(inode)->lease_kinds);
	spin_unlock(&l->lock);
}

/* Nothing of the file is served from memory any more; maps fault again. */
static void flint_lease_drop_pages(struct inode *inode)
{
	if (S_ISREG(inode->i_mode) && inode->i_mapping->nrpages)
		invalidate_inode_pages2(inode->i_mapping);
}

/**
 * flint_lease_unmap_later() - a page is going to be mapped without a lease
 * @inode: of the file
 *
 * Context: a page fault.
 */
void flint_lease_unmap_later(struct inode *inode)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	struct flint_leases *l = &fs->leases;

	spin_lock(&l->lock);
	if (list_empty(&fi->unleased_node))
		list_add_tail(&fi->unleased_node, &l->unleased);
	if (!READ_ONCE(fs->shutdown))
		queue_delayed_work(fs->wq, &l->unmap, FLINT_UNLEASED_MAX);
	spin_unlock(&l->lock);
}

static void flint_lease_unmap(struct work_struct *work)
{
	struct flint_leases *l = container_of(to_delayed_work(work), struct flint_leases, unmap);
	struct flint_inode *fi;
	struct inode *inode;
	LIST_HEAD(list);

	spin_lock(&l->lock);
	list_splice_init(&l->unleased, &list);
	while (!list_empty(&list)) {
		fi = list_first_entry(&list, struct flint_inode, unleased_node);
		list_del_init(&fi->unleased_node);
		inode = igrab(&fi->vfs);
		if (!inode)
			continue;	/* on its way out */
		spin_unlock(&l->lock);
		flint_lease_drop_pages(inode);
		iput(inode);
		spin_lock(&l->lock);
	}
	spin_unlock(&l->lock);
}

/* A READ lease is about to be returned. May wait. */
void flint_lease_let_go(struct inode *inode)
{
	flint_open_register(inode, false);
	flint_lease_drop_pages(inode);
}

/*
 * A leadership that knows nothing of what we hold: we hold nothing, but for what
 * is reclaimed. Pages of files that owe something hang on that.
 */
static void flint_lease_drop_all(struct flint_fs *fs, u64 epoch)
{
	struct flint_leases *l = &fs->leases;
	struct flint_inode *fi;
	struct inode *inode;
	u64 nr = 0;

	spin_lock(&l->lock);
	l->epoch = 0;
	l->floor = 0;
	memset(l->recent, 0, sizeof(l->recent));
	l->nr_returns = 0;
	while (!list_empty(&l->held)) {
		fi = list_first_entry(&l->held, struct flint_inode, lease_node);
		inode = igrab(&fi->vfs);
		flint_lease_shrink(&fi->vfs, FLINT_LEASE_KINDS);
		nr++;
		if (!inode)
			continue;	/* on its way out */
		spin_unlock(&l->lock);
		if (!READ_ONCE(flint_i(inode)->owes_lease))
			flint_lease_drop_pages(inode);
		iput(inode);
		spin_lock(&l->lock);
	}
	l->epoch = epoch;
	spin_unlock(&l->lock);
	trace_flint_lease_drop(fs->instance, epoch, nr);
	if (nr)
		flint_event(fs, FLINT_EV_LEASES_LOST, &(struct flint_event){ .value = nr });
	flint_wb_new_leader(fs);
}

/**
 * flint_lease_evict() - an inode leaves memory: give its lease back
 * @inode: being evicted
 */
void flint_lease_evict(struct inode *inode)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	struct flint_leases *l = &fs->leases;
	struct flint_lease_rec *r;
	u32 kinds;

	spin_lock(&l->lock);
	kinds = fi->lease_kinds;
	if (kinds && l->nr_returns < ARRAY_SIZE(l->returns)) {
		/* More than fit stay the server's knowledge until it recalls them. */
		r = &l->returns[l->nr_returns++];
		*r = (struct flint_lease_rec){
			.ino = cpu_to_le64(inode->i_ino),
			.seq = cpu_to_le64(fi->lease_seq),
			.kinds = cpu_to_le32(kinds),
		};
		if (!READ_ONCE(fs->shutdown))
			queue_delayed_work(fs->wq, &l->work, FLINT_RETURN_DELAY);
	}
	flint_lease_shrink(inode, FLINT_LEASE_KINDS);
	list_del_init(&fi->unleased_node);
	list_del_init(&fi->locked_node);
	spin_unlock(&l->lock);
}

/* ---- recalls ------------------------------------------------------------------ */

/* struct flint_net_opts.push */
int flint_lease_push(void *arg, u32 conn, const struct flint_msg *m)
{
	struct flint_fs *fs = arg;
	struct flint_leases *l = &fs->leases;
	struct flint_lease_list list;
	struct flint_recall *rc;
	const u8 *recs;

	if (m->op == FLINT_OP_LOCK_EVENT) {
		flint_lock_event(fs);
		memset(&list, 0, sizeof(list));	/* only to be acknowledged */
		recs = NULL;
	} else if (m->op != FLINT_OP_LEASE_RECALL ||
		   flint_lease_list_get(m->body, m->body_len, &list, &recs)) {
		return -EPROTO;
	}
	/* Without memory the connection ends, and the recall is said again on the next. */
	rc = kmalloc(sizeof(*rc), GFP_ATOMIC | __GFP_NOWARN);
	if (!rc)
		return -ENOMEM;
	rc->conn = conn;
	rc->push = m->seq;
	rc->epoch = le64_to_cpu(list.epoch);
	rc->nr = le32_to_cpu(list.nr);
	if (rc->nr)
		memcpy(rc->rec, recs, rc->nr * sizeof(rc->rec[0]));
	spin_lock(&l->lock);
	list_add_tail(&rc->node, &l->recalls);
	spin_unlock(&l->lock);
	mod_delayed_work(fs->wq, &l->work, 0);
	return 0;
}

/* Remember it for grants that are still on their way. Under the lock. */
static void flint_lease_note(struct flint_leases *l, u64 ino, u32 kinds, u64 seq)
{
	unsigned int at = l->at++ % FLINT_RECALLS_KEPT;

	l->floor = max(l->floor, l->recent[at].seq);
	l->recent[at].ino = ino;
	l->recent[at].seq = seq;
	l->recent[at].kinds = kinds;
}

static int flint_lease_test(struct inode *inode, void *ino)
{
	return inode->i_ino == *(u64 *)ino;
}

/*
 * Carry out one recall. Return: false when it is not to be returned now: it is about
 * an older grant than ours, or something has to be written back first.
 */
static bool flint_lease_recall(struct flint_fs *fs, const struct flint_lease_rec *r, u64 epoch)
{
	u64 ino = le64_to_cpu(r->ino), seq = le64_to_cpu(r->seq);
	u32 kinds = le32_to_cpu(r->kinds);
	struct flint_leases *l = &fs->leases;
	struct inode *inode;
	bool ours = true;

	flint_stat_inc(fs, FLINT_STAT_RECALLS);
	trace_flint_lease_recall(fs->instance, ino, kinds, seq);
	spin_lock(&l->lock);
	flint_lease_note(l, ino, kinds, seq);
	spin_unlock(&l->lock);
	/* A grant that is taken from now on is measured by the note. */
	inode = ilookup5_nowait(fs->sb, ino, flint_lease_test, &ino);
	if (!inode)
		return true;
	spin_lock(&l->lock);
	if (flint_i(inode)->lease_seq > seq && (flint_i(inode)->lease_kinds & kinds))
		ours = false;
	else
		flint_lease_shrink(inode, kinds);
	spin_unlock(&l->lock);
	/* The server ends the session when it waits too long; that would end them, too. */
	if (ours && (kinds & FLINT_LEASE_DIR_WRITE) &&
	    flint_delegate_flush(fs, msecs_to_jiffies(fs->lease_ms)))
		ours = false;
	if (ours && (kinds & (FLINT_LEASE_READ | FLINT_LEASE_WRITE)) &&
	    flint_wb_recalled(inode, r, epoch))
		ours = false;
	else if (ours && (kinds & FLINT_LEASE_READ))
		flint_lease_let_go(inode);
	iput(inode);
	return ours;
}

/* Say what is no longer held; lost with its connection, it is asked for again. */
void flint_lease_return(struct flint_fs *fs, u32 conn, u64 push, u64 epoch,
			const struct flint_lease_rec *rec, u32 nr)
{
	struct flint_lease_list *list;
	struct flint_leader leader;
	struct flint_req *req;
	int err;

	if (flint_leader_get(fs, &leader))
		return;
	req = flint_req_alloc(FLINT_OP_LEASE_RETURN, sizeof(*list) + nr * sizeof(*rec), GFP_NOFS);
	if (req) {
		list = req->body;
		list->fixed_len = cpu_to_le32(sizeof(*list));
		list->nr = cpu_to_le32(nr);
		list->push = cpu_to_le64(push);
		list->epoch = cpu_to_le64(epoch);
		memcpy(list + 1, rec, nr * sizeof(*rec));
		req->only_conn = conn;
		req->deadline = jiffies + FLINT_RETURN_TIMEO;
		err = flint_call(leader.peer, req, NULL, 0, 0);
		if (!err)
			flint_lease_heard(fs, NULL, req);
		trace_flint_lease_return(fs->instance, push, nr, err);
		flint_req_put(req);
	}
	flint_leader_put(&leader);
}

static void flint_lease_answer(struct flint_fs *fs, struct flint_recall *rc)
{
	u64 epoch = READ_ONCE(fs->leases.epoch);
	u32 i, nr = 0;

	/* Another leadership's: all it could name is dropped with the change. */
	for (i = 0; i < rc->nr && rc->epoch == epoch; i++)
		if (flint_lease_rec_ok(&rc->rec[i]) && flint_lease_recall(fs, &rc->rec[i], epoch))
			rc->rec[nr++] = rc->rec[i];
	flint_lease_return(fs, rc->conn, rc->push, epoch, rc->rec, nr);
}

static void flint_lease_work(struct work_struct *work)
{
	struct flint_leases *l = container_of(to_delayed_work(work), struct flint_leases, work);
	struct flint_fs *fs = container_of(l, struct flint_fs, leases);
	struct flint_lease_rec rec[FLINT_LEASE_RECS_MAX];
	struct flint_recall *rc;
	u32 nr;

	for (;;) {
		spin_lock(&l->lock);
		rc = list_first_entry_or_null(&l->recalls, struct flint_recall, node);
		if (rc)
			list_del(&rc->node);
		nr = rc ? 0 : min_t(u32, l->nr_returns, FLINT_LEASE_RECS_MAX);
		l->nr_returns -= nr;
		memcpy(rec, l->returns + l->nr_returns, nr * sizeof(rec[0]));
		spin_unlock(&l->lock);
		if (READ_ONCE(fs->shutdown))
			nr = 0;
		if (rc && !READ_ONCE(fs->shutdown))
			flint_lease_answer(fs, rc);
		else if (nr)
			flint_lease_return(fs, 0, 0, READ_ONCE(l->epoch), rec, nr);
		else if (!rc)
			break;
		kfree(rc);
	}
}

/* ---- the session ------------------------------------------------------------------ */

/*
 * Leases to reclaim: those that something unwritten hangs on, then READ leases of
 * files that are open without the server's knowledge.
 */
static u32 flint_lease_locals(struct flint_leases *l, unsigned long attempt,
			      struct flint_lease_rec *rec)
{
	u32 nr = flint_wb_reclaim(l, attempt, rec);
	struct flint_inode *fi;

	if (nr)
		return nr;
	spin_lock(&l->lock);
	list_for_each_entry(fi, &l->locals, local_node) {
		if (fi->registered || fi->reclaimed == attempt)
			continue;
		if (nr == FLINT_LEASE_RECS_MAX)
			break;
		fi->reclaimed = attempt;
		rec[nr++] = (struct flint_lease_rec){
			.ino = cpu_to_le64(fi->vfs.i_ino),
			.kinds = cpu_to_le32(FLINT_LEASE_READ),
		};
	}
	spin_unlock(&l->lock);
	return nr;
}

static void flint_lease_reclaimed(struct flint_fs *fs, u64 epoch, const struct flint_lease_rec *r)
{
	u64 ino = le64_to_cpu(r->ino);
	struct inode *inode = ilookup5_nowait(fs->sb, ino, flint_lease_test, &ino);

	if (!inode)
		return;
	if (r->kinds)
		flint_lease_hold(inode, epoch, le32_to_cpu(r->kinds), le64_to_cpu(r->seq), NULL);
	else
		flint_wb_refused(inode);
	iput(inode);
}

/* One part of what we tell a new leader. @rep: of @rep_size bytes. */
static int flint_reclaim_call(struct flint_fs *fs, struct flint_reclaim *body, u32 body_len,
			      void *rep, u32 rep_size)
{
	struct flint_mcall c = {
		.op = FLINT_OP_SESSION_RECLAIM, .once = true,
		.body = body, .body_len = body_len,
		.rep = rep, .rep_size = rep_size,
		.deadline = jiffies + FLINT_RETURN_TIMEO,
	};

	return flint_meta_call(fs, &c);
}

struct flint_reclaim_msg {
	struct flint_reclaim r;
	struct flint_lease_rec rec[FLINT_LEASE_RECS_MAX];
};

struct flint_reclaim_ans {
	struct flint_reclaimed r;
	struct flint_lease_rec rec[FLINT_LEASE_RECS_MAX];
};

static int flint_reclaim_leases(struct flint_fs *fs, u64 epoch, unsigned long attempt)
{
	struct flint_reclaim_msg *body = kzalloc(sizeof(*body), GFP_NOFS);
	struct flint_reclaim_ans *rep = kzalloc(sizeof(*rep), GFP_NOFS);
	int err = body && rep ? 0 : -ENOMEM;
	u32 nr, i;

	while (!err) {
		nr = flint_lease_locals(&fs->leases, attempt, body->rec);
		if (!nr)
			nr = flint_delegate_locals(fs, attempt, body->rec);
		if (!nr)
			break;
		body->r.fixed_len = cpu_to_le32(sizeof(body->r));
		body->r.epoch = cpu_to_le64(epoch);
		body->r.nr_leases = cpu_to_le32(nr);
		err = flint_reclaim_call(fs, &body->r,
					 sizeof(body->r) + nr * sizeof(body->rec[0]),
					 rep, sizeof(rep->r) + nr * sizeof(rep->rec[0]));
		for (i = 0; i < nr && !err; i++)
			flint_lease_reclaimed(fs, epoch, &rep->rec[i]);
	}
	kfree(body);
	kfree(rep);
	return err;
}

/* Next inode with locks that were not named in this attempt, referenced. */
static struct inode *flint_lease_locked(struct flint_leases *l, unsigned long attempt)
{
	struct inode *inode = NULL;
	struct flint_inode *fi;

	spin_lock(&l->lock);
	list_for_each_entry(fi, &l->locked, locked_node) {
		if (fi->locks_named == attempt || test_bit(FLINT_I_LOCK_LOST, &fi->state))
			continue;
		fi->locks_named = attempt;
		inode = igrab(&fi->vfs);
		if (inode)
			break;
	}
	spin_unlock(&l->lock);
	return inode;
}

static int flint_reclaim_locks(struct flint_fs *fs, struct inode *inode, u64 epoch)
{
	struct {
		struct flint_reclaim r;
		struct flint_lock lock[FLINT_RECLAIM_LOCKS_MAX];
	} body = {
		.r.fixed_len = cpu_to_le32(sizeof(body.r)),
		.r.epoch = cpu_to_le64(epoch),
	};
	struct {
		struct flint_reclaimed r;
		u8 status[FLINT_RECLAIM_LOCKS_MAX];
	} rep;
	u32 nr, i, done;
	int err;

	for (done = 0; ; done += nr) {
		nr = flint_lock_name(inode, body.lock, done, FLINT_RECLAIM_LOCKS_MAX);
		if (!nr)
			return 0;
		body.r.nr_locks = cpu_to_le32(nr);
		err = flint_reclaim_call(fs, &body.r, sizeof(body.r) + nr * sizeof(body.lock[0]),
					 &rep, sizeof(rep.r) + nr);
		if (err)
			return err;
		for (i = 0; i < nr; i++)
			if (rep.status[i])
				flint_lock_lost(inode, rep.status[i]);
	}
}

/*
 * Tell a new leader what we want to keep: leases of files that it does not know
 * to be open, and locks. All else was dropped and is granted anew when needed.
 */
static int flint_lease_reclaim(struct flint_fs *fs, u64 epoch)
{
	struct flint_reclaim body = {
		.fixed_len = cpu_to_le32(sizeof(body)),
		.flags = cpu_to_le32(FLINT_RECLAIM_DONE),
		.epoch = cpu_to_le64(epoch),
	};
	unsigned long attempt = atomic_long_inc_return(&fs->leases.gens);
	struct flint_reclaimed rep;
	struct inode *inode;
	int err;

	err = flint_reclaim_leases(fs, epoch, attempt);
	atomic_inc(&fs->leases.lock_doubts);	/* what is noted from here on, it may not hear of */
	while (!err && (inode = flint_lease_locked(&fs->leases, attempt))) {
		err = flint_reclaim_locks(fs, inode, epoch);
		iput(inode);
	}
	if (!err)
		err = flint_reclaim_call(fs, &body, sizeof(body), &rep, sizeof(rep));
	if (!err)
		flint_open_register_lost(fs);
	return err;
}

/**
 * flint_lease_renew() - the session is alive; who leads?
 * @fs: mount
 *
 * Context: the keepalive work.
 * Return: 0, or an error of flint_meta_call(): to be done again soon.
 */
int flint_lease_renew(struct flint_fs *fs)
{
	struct flint_session_renew body = { .epoch = cpu_to_le64(READ_ONCE(fs->leases.epoch)) };
	struct flint_session_renewed rep;
	struct flint_mcall c = {
		.op = FLINT_OP_SESSION_RENEW, .once = true,
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep),
		.deadline = jiffies + FLINT_RETURN_TIMEO,
	};
	int err = flint_meta_call(fs, &c);
	u64 epoch;

	if (err)
		return err;
	epoch = le64_to_cpu(rep.epoch);
	if (epoch != READ_ONCE(fs->leases.epoch))
		flint_lease_drop_all(fs, epoch);
	return le32_to_cpu(rep.flags) & FLINT_RENEWED_RECLAIM ? flint_lease_reclaim(fs, epoch) : 0;
}

/**
 * flint_lease_forget() - what hung on the last session is gone
 * @fs: mount, which has another session, and to which readers who hold pages are answered again
 *
 * Context: the keepalive work.
 * Return: 0, or -EAGAIN: what was owed is still being dropped.
 */
int flint_lease_forget(struct flint_fs *fs)
{
	struct flint_leases *l = &fs->leases;
	unsigned long attempt = atomic_long_inc_return(&l->gens);
	struct inode *inode;

	if (!flint_wb_idle(fs, FLINT_FORGET_TIMEO))
		return -EAGAIN;
	flint_lease_drop_all(fs, 0);
	atomic_inc(&l->lock_doubts);	/* as in flint_lease_reclaim() */
	while ((inode = flint_lease_locked(l, attempt))) {
		flint_lock_lost(inode, FLINT_ST_FENCED);
		iput(inode);
	}
	flint_open_forget(fs);
	WRITE_ONCE(l->lost, false);
	WRITE_ONCE(l->renew, true);
	return 0;
}

/* Context: any. */
void flint_lease_renew_now(struct flint_fs *fs)
{
	WRITE_ONCE(fs->leases.renew, true);
	mod_delayed_work(fs->wq, &fs->keepalive, 0);
}

/* struct flint_net_opts.up: recalls may have been lost, another one may lead. */
void flint_lease_up(void *arg, struct flint_peer *peer)
{
	struct flint_fs *fs = arg;

	if (fs->session_epoch)
		flint_lease_renew_now(fs);
}

void flint_lease_init(struct flint_fs *fs)
{
	struct flint_leases *l = &fs->leases;

	spin_lock_init(&l->lock);
	INIT_LIST_HEAD(&l->held);
	INIT_LIST_HEAD(&l->recalls);
	INIT_LIST_HEAD(&l->unleased);
	INIT_LIST_HEAD(&l->locals);
	INIT_LIST_HEAD(&l->locked);
	INIT_DELAYED_WORK(&l->work, flint_lease_work);
	INIT_DELAYED_WORK(&l->unmap, flint_lease_unmap);
	flint_lock_init(fs);
}

/* The network is shut down already, nobody pushes any more. */
void flint_lease_stop(struct flint_fs *fs)
{
	struct flint_recall *rc, *next;

	cancel_delayed_work_sync(&fs->leases.work);
	cancel_delayed_work_sync(&fs->leases.unmap);
	flint_lock_stop(fs);
	list_for_each_entry_safe(rc, next, &fs->leases.recalls, node)
		kfree(rc);
}
