// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * File locks of a session; see fs_locks.h.
 *
 * What is held is kept here as well, as the ranges that were asked for, newest
 * last, to be named to a new leader. A wait has an id; its end comes as a
 * LOCK_EVENT. As an event can be lost with its connection, a waiting thread asks
 * again every ASK_MS with the same id, which is the same wait, or the answer.
 */
#include <errno.h>
#include <stdlib.h>
#include "fs_lease.h"
#include "fs_locks.h"

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

/* The range [s, e] of the owner is cut out of what is noted. */
static void held_cut(struct flint_fs *fs, const struct flint_lock *l, uint64_t s, uint64_t e)
{
	struct held *h, *rest, **link = &fs->held;

	while ((h = *link)) {
		uint64_t hs = le64_to_cpu(h->l.start), he = le64_to_cpu(h->l.end);

		if (!same_owner(&h->l, l) || hs > e || he < s) {
			link = &h->next;
			continue;
		}
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
		free(h);
	}
}

static void note_done(void *arg)
{
	struct note *n = arg;
	bool all = n->l->type == FLINT_LOCK_UN && (le16_to_cpu(n->l->flags) & FLINT_LOCK_OWNER);
	uint64_t s = all ? 0 : le64_to_cpu(n->l->start);
	uint64_t e = all ? UINT64_MAX : le64_to_cpu(n->l->end);
	struct held *h;

	held_cut(n->fs, n->l, s, e);
	if (n->l->type == FLINT_LOCK_UN)
		return;
	h = held_new(n->l, s, e);
	if (!h)
		return;		/* it would not be reclaimed; the server holds it */
	h->next = n->fs->held;
	n->fs->held = h;
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

/* ---- calls ----------------------------------------------------------------------------- */

static int lock_call(struct flint_fs *fs, uint16_t op, const struct flint_lock *l,
		     struct flint_lock_rep *rep)
{
	struct fs_call call = {
		.op = op, .mutating = op != FLINT_OP_LOCK_TEST, .body = l, .body_len = sizeof(*l),
		.rep = rep, .rep_size = sizeof(*rep), .rep_min = sizeof(*rep),
	};

	return fs_call(fs, &call);
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
		if (w->state == FLINT_LOCK_DONE)
			return 0;
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
	struct note n = { .fs = fs, .l = &un };
	struct flint_lock_rep rep;
	int rc = lock_call(fs, FLINT_OP_LOCK, k, &rep), rc_un;

	if (rc != -EAGAIN)
		return rc;
	un.type = FLINT_LOCK_UN;
	rc_un = lock_call(fs, FLINT_OP_LOCK, &un, &rep);
	if (rc_un)
		return rc_un;
	fs_run_on_loop(fs, note_done, &n);
	return rc;
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
	if (!rc)
		fs_run_on_loop(fs, note_done, &n);
	return rc;
}

int flint_fs_lock_test(struct flint_fs *fs, const struct flint_lock *l, struct flint_lock_rep *rep)
{
	struct flint_lock k = *l;

	k.flags = 0;
	if (!flint_lock_ok(&k))
		return -EINVAL;
	return lock_call(fs, FLINT_OP_LOCK_TEST, &k, rep);
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

void fs_lock_reclaimed(struct flint_fs *fs, const uint8_t *status, uint32_t nr)
{
	uint32_t i;

	/* Nothing can be in the way in a grace period; a lock that is lost is told of. */
	for (i = 0; i < nr; i++)
		fs->st_lost += status[i] != 0;
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
