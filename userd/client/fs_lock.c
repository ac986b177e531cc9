// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * File locks of a session; see fs_locks.h.
 *
 * What is held is kept here as well, as the ranges that were asked for, newest
 * first, to be named to a new leader. A wait has an id; its end comes as a
 * LOCK_EVENT. As an event can be lost with its connection, a waiting thread asks
 * again every ASK_MS with the same id, which is the same wait, or the answer; after
 * an event as well, so that locks are noted with answers only.
 *
 * Requests of one owner about one inode go one after the other. One whose caller
 * does not hear its answer in time is not given up, as it may be executed late: it
 * is repeated under its number until it is answered, then it is mended: its wait is
 * cancelled, and its range at the server becomes what is noted here.
 */
#include <errno.h>
#include <stdlib.h>
#include "fs_delegate.h"
#include "fs_lease.h"
#include "fs_locks.h"
#include "latch.h"

#define ASK_MS	1000

/* A range that is held. */
struct held {
	struct flint_lock l;
	struct held *next;
};

/* A thread that waits. */
struct lock_wait {
	uint64_t id;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool ended;
	uint32_t state;
	struct lock_wait *next;
};

/* A thread that waits for an answer. */
struct lock_caller {
	struct fs_latch latch;
	struct flint_lock_rep rep;
	int rc;
};

/**
 * struct lock_op - a request on the loop
 * @l: what was asked for
 * @code: operation of the protocol that was asked for
 * @caller: who waits; NULL: nobody (any more), so that it is to be mended
 * @timer: its time
 * @mending: @l needs no answer (any more)
 * @part: body of the request that is open
 * @at: first byte that is still to be mended
 */
struct lock_op {
	struct flint_fs *fs;
	struct flint_lock l;
	uint16_t code;
	struct lock_caller *caller;
	struct flint_timer timer;
	bool mending;
	struct flint_lock part;
	uint64_t at;
	struct fs_op op;
	struct fs_wait wait;
	struct flint_task task;
	struct lock_op *next;
};

struct note {
	struct flint_fs *fs;
	const struct flint_lock *l;
	struct lock_wait *w;
	bool found;
};

/* ---- what is held: on the loop ------------------------------------------------------ */

static bool same_owner(const struct flint_lock *a, const struct flint_lock *b)
{
	return a->ino == b->ino && a->owner == b->owner && a->kind == b->kind;
}

static struct held *held_new(const struct flint_lock *l, uint64_t start, uint64_t end)
{
	struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->l = *l;
	h->l.start = cpu_to_le64(start);
	h->l.end = cpu_to_le64(end);
	h->l.flags = 0;
	return h;
}

/* The range [s, e] of the owner is cut out of what is noted. Return: some of it was. */
static bool held_cut(struct flint_fs *fs, const struct flint_lock *l, uint64_t s, uint64_t e)
{
	struct held *h, *rest, **link = &fs->held;
	bool cut = false;

	while ((h = *link)) {
		uint64_t hs = le64_to_cpu(h->l.start), he = le64_to_cpu(h->l.end);

		if (!same_owner(&h->l, l) || hs > e || he < s) {
			link = &h->next;
			continue;
		}
		cut = true;
		if (he > e && (rest = held_new(&h->l, e + 1, he))) {
			rest->next = h->next;
			h->next = rest;
		}
		if (hs < s) {
			h->l.end = cpu_to_le64(s - 1);
			link = &h->next;
			continue;
		}
		*link = h->next;
		if (fs->reclaim_lock == h)
			fs->reclaim_lock = h->next;
		free(h);
	}
	return cut;
}

static void note_done(struct flint_fs *fs, const struct flint_lock *l)
{
	bool all = l->type == FLINT_LOCK_UN && (le16_to_cpu(l->flags) & FLINT_LOCK_OWNER);
	uint64_t s = all ? 0 : le64_to_cpu(l->start);
	uint64_t e = all ? UINT64_MAX : le64_to_cpu(l->end);
	struct held *h;

	held_cut(fs, l, s, e);
	if (l->type == FLINT_LOCK_UN)
		return;
	h = held_new(l, s, e);
	if (!h)
		return;		/* it would not be reclaimed; the server holds it */
	h->next = fs->held;
	fs->held = h;
}

static void note_find(void *arg)
{
	struct note *n = arg;
	const struct held *h;

	for (h = n->fs->held; h; h = h->next)
		n->found |= same_owner(&h->l, n->l);
}

/* ---- waits --------------------------------------------------------------------------- */

static void wait_add(void *arg)
{
	struct note *n = arg;

	n->w->id = ++n->fs->next_wait;
	n->w->next = n->fs->lock_waits;
	n->fs->lock_waits = n->w;
}

static void wait_del(void *arg)
{
	struct note *n = arg;
	struct lock_wait **link;

	for (link = &n->fs->lock_waits; *link; link = &(*link)->next)
		if (*link == n->w) {
			*link = n->w->next;
			return;
		}
}

static void wait_end(struct lock_wait *w, uint32_t state)
{
	pthread_mutex_lock(&w->lock);
	w->ended = true;
	w->state = state;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

void fs_lock_event(struct flint_fs *fs, const struct flint_msg *m)
{
	struct flint_lock_event e;
	struct lock_wait *w;

	if (flint_body_get(&e, sizeof(e), sizeof(e), m->body, m->body_len))
		return;
	for (w = fs->lock_waits; w; w = w->next)
		if (w->id == le64_to_cpu(e.id))
			wait_end(w, le32_to_cpu(e.state));
}

/* Wait until it has ended or the time is over. */
static bool wait_for(struct lock_wait *w, uint64_t ms)
{
	struct timespec ts;
	bool ended;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	pthread_mutex_lock(&w->lock);
	while (!w->ended && !rc)
		rc = pthread_cond_timedwait(&w->cond, &w->lock, &ts);
	ended = w->ended;
	pthread_mutex_unlock(&w->lock);
	return ended;
}

/* ---- requests: on the loop --------------------------------------------------------------- */

static void lock_go(struct lock_op *lo);

static void lock_tell(struct lock_op *lo, int rc, const struct flint_lock_rep *rep)
{
	struct lock_caller *c = lo->caller;

	if (!c)
		return;
	flint_timer_cancel(lo->fs->loop, &lo->timer);
	lo->caller = NULL;
	c->rc = rc;
	if (rep)
		c->rep = *rep;
	fs_latch_open(&c->latch);
}

/* Is it its turn? Until then what is before it could undo it. */
static bool lock_first(const struct lock_op *lo)
{
	const struct lock_op *o;

	for (o = lo->fs->lock_ops; o != lo; o = o->next)
		if (same_owner(&o->l, &lo->l))
			return false;
	return true;
}

static void lock_end(struct lock_op *lo, int rc, const struct flint_lock_rep *rep)
{
	struct lock_op **link = &lo->fs->lock_ops, *o;

	lock_tell(lo, rc, rep);
	while (*link != lo)
		link = &(*link)->next;
	*link = lo->next;
	for (o = lo->next; o && !same_owner(&o->l, &lo->l); o = o->next)
		;
	if (o && !lo->fs->closing)
		lock_go(o);
	free(lo);
}

static void lock_answered(struct fs_op *op, int err);

static void lock_send(struct lock_op *lo, uint16_t code)
{
	lo->op = (struct fs_op){
		.fs = lo->fs, .mutating = true, .route = fs_route_meta, .done = lock_answered,
		.priv = lo, .deadline_ns = UINT64_MAX,
		.rpc = { .op = code, .body = &lo->part, .body_len = sizeof(lo->part) } };
	fs_op_start(&lo->op);
}

/* The next part of the range that is noted in one piece, or not at all, becomes so at the server. */
static void mend_part(struct lock_op *lo)
{
	uint64_t end = le64_to_cpu(lo->l.end), s;
	const struct held *h;

	lo->part = lo->l;
	lo->part.id = 0;
	lo->part.flags = 0;
	lo->part.type = FLINT_LOCK_UN;
	for (h = lo->fs->held; h; h = h->next) {
		s = le64_to_cpu(h->l.start);
		if (!same_owner(&h->l, &lo->l) || s > end || le64_to_cpu(h->l.end) < lo->at)
			continue;
		if (s > lo->at) {
			end = s - 1;
			continue;
		}
		if (le64_to_cpu(h->l.end) < end)
			end = le64_to_cpu(h->l.end);
		lo->part.type = h->l.type;
		lo->part.pid = h->l.pid;
	}
	lo->part.start = cpu_to_le64(lo->at);
	lo->part.end = cpu_to_le64(end);
	lock_send(lo, FLINT_OP_LOCK);
}

static void mend_begin(struct lock_op *lo)
{
	lo->mending = true;
	lo->at = le64_to_cpu(lo->l.start);
	if (lo->l.id && lo->code == FLINT_OP_LOCK)
		lock_send(lo, FLINT_OP_LOCK_CANCEL);
	else
		mend_part(lo);
}

/* Whatever the answer is, it says that the request was executed. */
static void mend_next(struct lock_op *lo, int rc)
{
	uint64_t end = le64_to_cpu(lo->part.end);

	if (lo->op.rpc.op == FLINT_OP_LOCK) {
		if (rc && lo->part.type != FLINT_LOCK_UN)	/* others have it: it is lost */
			lo->fs->st_lost += held_cut(lo->fs, &lo->part, lo->at, end);
		if (end >= le64_to_cpu(lo->l.end)) {
			lock_end(lo, 0, NULL);
			return;
		}
		lo->at = end + 1;
	}
	mend_part(lo);
}

static void lock_answered(struct fs_op *op, int err)
{
	struct lock_op *lo = op->priv;
	struct flint_lock_rep rep = { 0 };
	bool heard, done;
	int rc;

	if (err) {	/* the session closes, or is refused: its locks end with it */
		lock_end(lo, err, NULL);
		return;
	}
	rc = fs_op_result(op, 0);
	if (lo->mending) {
		mend_next(lo, rc);
		return;
	}
	if (!rc && flint_body_get(&rep, sizeof(rep), sizeof(rep), op->rpc.rep_body, op->rpc.rep_len))
		rc = -EPROTO;
	heard = (lo->caller && rc != -EPROTO) || (!rc && lo->l.type == FLINT_LOCK_UN);
	done = !rc && lo->code == FLINT_OP_LOCK && le32_to_cpu(rep.state) == FLINT_LOCK_DONE;
	if (heard && done && op->epoch != lo->fs->lease_epoch) {
		/* Another leader was told of locks meanwhile, as they were before. */
		lock_send(lo, lo->code);
		return;
	}
	if (heard && done)
		note_done(lo->fs, &lo->l);
	lock_tell(lo, rc, &rep);
	if (heard)
		lock_end(lo, 0, NULL);
	else
		mend_begin(lo);
}

/* It is its turn. */
static void lock_go(struct lock_op *lo)
{
	if (lo->mending) {
		mend_begin(lo);
		return;
	}
	if (!lo->caller && lo->code == FLINT_OP_LOCK && lo->l.type != FLINT_LOCK_UN) {
		fs_delegate_waited(lo->fs, &lo->wait);
		lock_end(lo, 0, NULL);		/* not sent in time */
		return;
	}
	if (!fs_delegate_before(lo->fs, &lo->wait, &lo->task, UINT64_MAX))
		lock_send(lo, lo->code);
}
static void lock_again(struct flint_task *t)
{
	lock_go((struct lock_op *)((char *)t - offsetof(struct lock_op, task)));
}

static void lock_time_over(struct flint_timer *t)
{
	lock_tell(t->arg, -ETIMEDOUT, NULL);
}

static void lock_add(struct lock_op *lo)
{
	struct lock_op **link = &lo->fs->lock_ops;

	while (*link)
		link = &(*link)->next;
	*link = lo;
	lo->task.fn = lock_again;
	if (lock_first(lo))
		lock_go(lo);
}

static void lock_begin(struct flint_task *t)
{
	struct lock_op *lo = (struct lock_op *)((char *)t - offsetof(struct lock_op, task));

	lo->timer = (struct flint_timer){ .fn = lock_time_over, .arg = lo };
	flint_timer_set(lo->fs->loop, &lo->timer, lo->fs->timeout_ms);
	lock_add(lo);
}

/* ---- calls ----------------------------------------------------------------------------- */

static struct lock_op *lock_op_new(struct flint_fs *fs, uint16_t code, const struct flint_lock *l)
{
	struct lock_op *lo = calloc(1, sizeof(*lo));

	if (!lo)
		return NULL;
	lo->fs = fs;
	lo->code = code;
	lo->l = *l;
	lo->part = *l;
	return lo;
}

static int lock_call(struct flint_fs *fs, uint16_t code, const struct flint_lock *l,
		     struct flint_lock_rep *rep)
{
	struct lock_op *lo = lock_op_new(fs, code, l);
	struct lock_caller c = { 0 };

	if (!lo)
		return -ENOMEM;
	fs_latch_init(&c.latch);
	lo->caller = &c;
	lo->task.fn = lock_begin;
	flint_loop_post(fs->loop, &lo->task);
	fs_latch_wait(&c.latch);
	*rep = c.rep;
	return c.rc;
}

/*
 * A wait that was granted while it was being cancelled is a lock. When there is no such wait, that
 * is one reason; the other is a new leader, which knows of none: who has the lock now is to be
 * asked.
 */
static int wait_give_up(struct flint_fs *fs, struct flint_lock *l)
{
	struct flint_lock_rep rep;
	int rc = lock_call(fs, FLINT_OP_LOCK_CANCEL, l, &rep);

	if (rc == -ENOENT) {
		l->flags = 0;
		return lock_call(fs, FLINT_OP_LOCK, l, &rep);
	}
	return rc ? rc : -EAGAIN;
}

static int lock_wait(struct flint_fs *fs, struct flint_lock *l, struct lock_wait *w,
		     uint32_t wait_ms)
{
	uint64_t end = flint_now_ns() + wait_ms * 1000000ull, now;
	struct flint_lock_rep rep;
	int rc;

	for (;;) {
		w->ended = false;
		rc = lock_call(fs, FLINT_OP_LOCK, l, &rep);
		if (rc || le32_to_cpu(rep.state) != FLINT_LOCK_QUEUED)
			return rc;
		now = flint_now_ns();
		if (now >= end)
			return wait_give_up(fs, l);
		if (!wait_for(w, (end - now) / 1000000 < ASK_MS ? (end - now) / 1000000 + 1 :
			      ASK_MS))
			continue;
		if (w->state == FLINT_LOCK_DEADLOCK)
			return -EDEADLK;
	}
}

static int lock_queued(struct flint_fs *fs, struct flint_lock *k, uint32_t wait_ms)
{
	struct lock_wait w = { 0 };
	struct note n = { .fs = fs, .l = k, .w = &w };
	int rc;

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	fs_run_on_loop(fs, wait_add, &n);
	k->id = cpu_to_le64(w.id);
	k->flags |= cpu_to_le16(FLINT_LOCK_WAIT);
	rc = lock_wait(fs, k, &w, wait_ms);
	fs_run_on_loop(fs, wait_del, &n);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return rc;
}

/*
 * flock() that has a lock: who must wait for another one, or is refused it, has lost that. Two who
 * waited for each other's would wait for ever.
 */
static int flock_convert(struct flint_fs *fs, const struct flint_lock *k)
{
	struct flint_lock un = *k;
	struct flint_lock_rep rep;
	int rc = lock_call(fs, FLINT_OP_LOCK, k, &rep), rc_un;

	if (rc != -EAGAIN)
		return rc;
	un.type = FLINT_LOCK_UN;
	rc_un = lock_call(fs, FLINT_OP_LOCK, &un, &rep);
	return rc_un ? rc_un : rc;
}

int flint_fs_lock(struct flint_fs *fs, const struct flint_lock *l, uint32_t wait_ms)
{
	struct flint_lock k = *l;
	struct note n = { .fs = fs, .l = &k };
	struct flint_lock_rep rep;
	int rc = -EAGAIN;

	k.flags &= cpu_to_le16(FLINT_LOCK_OWNER);
	if (!flint_lock_ok(&k))
		return -EINVAL;
	if (k.type == FLINT_LOCK_UN)
		wait_ms = 0;
	else if (k.kind == FLINT_LOCK_FLOCK)
		fs_run_on_loop(fs, note_find, &n);
	if (n.found)
		rc = flock_convert(fs, &k);
	else if (!wait_ms)
		rc = lock_call(fs, FLINT_OP_LOCK, &k, &rep);
	if (rc == -EAGAIN && wait_ms)
		rc = lock_queued(fs, &k, wait_ms);
	return rc;
}

int flint_fs_lock_test(struct flint_fs *fs, const struct flint_lock *l, struct flint_lock_rep *rep)
{
	struct flint_lock k = *l;
	struct fs_call call = {
		.op = FLINT_OP_LOCK_TEST, .body = &k, .body_len = sizeof(k),
		.rep = rep, .rep_size = sizeof(*rep), .rep_min = sizeof(*rep),
	};

	k.flags = 0;
	if (!flint_lock_ok(&k))
		return -EINVAL;
	return fs_call(fs, &call);
}

/* ---- a new leader --------------------------------------------------------------------------- */

void fs_lock_reclaim_start(struct flint_fs *fs)
{
	fs->reclaim_lock = fs->held;
}

uint32_t fs_lock_reclaim(struct flint_fs *fs, struct flint_lock *out, uint32_t max)
{
	uint32_t n;

	for (n = 0; n < max && fs->reclaim_lock; n++) {
		out[n] = fs->reclaim_lock->l;
		fs->reclaim_lock = fs->reclaim_lock->next;
	}
	return n;
}

/* A leader has refused a lock: perhaps it was given back meanwhile, or it is lost. */
static void lock_refused(struct flint_fs *fs, const struct flint_lock *l)
{
	struct lock_op *lo = lock_op_new(fs, FLINT_OP_LOCK, l);

	if (!lo) {
		fs->st_lost += held_cut(fs, l, le64_to_cpu(l->start), le64_to_cpu(l->end));
		return;
	}
	lo->l.id = 0;
	lo->mending = true;
	lock_add(lo);
}

void fs_lock_reclaimed(struct flint_fs *fs, const uint8_t *status, uint32_t nr)
{
	struct flint_lock l;
	uint32_t i;

	/* A part that names locks names nothing else. */
	for (i = 0; i < nr; i++) {
		memcpy(&l, fs->reclaim_body.recs + i * sizeof(l), sizeof(l));
		if (status[i])
			lock_refused(fs, &l);
	}
}

void fs_lock_lost(struct flint_fs *fs)
{
	struct held *h;

	while ((h = fs->held)) {
		fs->held = h->next;
		free(h);
	}
	fs->reclaim_lock = NULL;
}

void fs_lock_free(struct flint_fs *fs)
{
	struct lock_op *lo;

	fs_lock_lost(fs);
	while ((lo = fs->lock_ops)) {
		fs->lock_ops = lo->next;
		free(lo);
	}
}
