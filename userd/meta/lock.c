// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * File locks; see lock.h for the rules.
 *
 *	inode	whoever has locks or waits on it; its queue of waits, oldest first
 *	owner	(session, kind, number): its locks and waits, on all inodes
 *	lock	a range of one owner on one inode; those of an owner do not overlap
 *		or touch with the same type
 */
#include <errno.h>
#include <stdlib.h>
#include <uthash.h>
#include "lock.h"

struct lock {
	u64 start, end;
	u8 type;
	u32 pid;
	struct lock_owner *owner;
	struct lock_inode *ino;
	struct lock *next, **prev;		/* of the inode */
	struct lock *own_next, **own_prev;	/* of the owner */
};

struct wait {
	struct flint_lock l;
	struct lock_owner *owner;
	struct lock_inode *ino;
	struct wait *next, **prev;		/* of the inode, in order */
	struct wait *own_next, **own_prev;
};

struct owner_key {
	u64 sid, number, kind;
};

struct lock_owner {
	struct owner_key key;
	struct lock *locks;
	struct wait *waits;
	u64 visited;			/* by the search of this number */
	UT_hash_handle hh;
};

struct lock_inode {
	u64 ino;
	struct lock *ranges, *flocks;
	struct wait *queue, **tail;
	bool serving;
	UT_hash_handle hh;
};

struct lock_table {
	const struct lock_ops *ops;
	void *arg;
	struct lock_inode *inodes;
	struct lock_owner *owners;
	u32 max, nr;
	u64 search;
};

/* ---- objects ---------------------------------------------------------------------- */

static struct lock_inode *inode_find(struct lock_table *t, u64 ino)
{
	struct lock_inode *n;

	HASH_FIND(hh, t->inodes, &ino, sizeof(ino), n);
	return n;
}

static struct lock_inode *inode_get(struct lock_table *t, u64 ino)
{
	struct lock_inode *n = inode_find(t, ino);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->ino = ino;
	n->tail = &n->queue;
	HASH_ADD(hh, t->inodes, ino, sizeof(n->ino), n);
	return n;
}

static void inode_put(struct lock_table *t, struct lock_inode *n)
{
	if (n->ranges || n->flocks || n->queue || n->serving)
		return;
	HASH_DEL(t->inodes, n);
	free(n);
}

static struct owner_key key_of(u64 sid, const struct flint_lock *l)
{
	struct owner_key k = { .sid = sid, .number = le64_to_cpu(l->owner), .kind = l->kind };

	return k;
}

static struct lock_owner *owner_find(struct lock_table *t, u64 sid, const struct flint_lock *l)
{
	struct owner_key k = key_of(sid, l);
	struct lock_owner *o;

	HASH_FIND(hh, t->owners, &k, sizeof(k), o);
	return o;
}

static struct lock_owner *owner_get(struct lock_table *t, u64 sid, const struct flint_lock *l)
{
	struct lock_owner *o = owner_find(t, sid, l);

	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->key = key_of(sid, l);
	HASH_ADD(hh, t->owners, key, sizeof(o->key), o);
	return o;
}

static void owner_put(struct lock_table *t, struct lock_owner *o)
{
	if (o->locks || o->waits)
		return;
	HASH_DEL(t->owners, o);
	free(o);
}

static struct lock **list_of(struct lock_inode *n, u64 kind)
{
	return kind == FLINT_LOCK_FLOCK ? &n->flocks : &n->ranges;
}

static void lock_link(struct lock_table *t, struct lock *k, struct lock_inode *n,
		      struct lock_owner *o)
{
	struct lock **head = list_of(n, o->key.kind);

	k->ino = n;
	k->owner = o;
	k->next = *head;
	k->prev = head;
	if (k->next)
		k->next->prev = &k->next;
	*head = k;
	k->own_next = o->locks;
	k->own_prev = &o->locks;
	if (k->own_next)
		k->own_next->own_prev = &k->own_next;
	o->locks = k;
	t->nr++;
}

static void lock_drop(struct lock_table *t, struct lock *k)
{
	*k->prev = k->next;
	if (k->next)
		k->next->prev = k->prev;
	*k->own_prev = k->own_next;
	if (k->own_next)
		k->own_next->own_prev = k->own_prev;
	free(k);
	t->nr--;
}

static void wait_drop(struct lock_table *t, struct wait *w)
{
	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		w->ino->tail = w->prev;
	*w->own_prev = w->own_next;
	if (w->own_next)
		w->own_next->own_prev = w->own_prev;
	free(w);
	t->nr--;
}

/* ---- conflicts ---------------------------------------------------------------------- */

static bool overlap(u64 s1, u64 e1, u64 s2, u64 e2)
{
	return s1 <= e2 && s2 <= e1;
}

static bool same_space(u64 a, u64 b)
{
	return (a == FLINT_LOCK_FLOCK) == (b == FLINT_LOCK_FLOCK);
}

/* The next lock from @k on that another owner holds against @l. */
static struct lock *against(struct lock *k, const struct lock_owner *o, const struct flint_lock *l)
{
	for (; k; k = k->next)
		if (k->owner != o &&
		    (k->type == FLINT_LOCK_WR || l->type == FLINT_LOCK_WR) &&
		    overlap(k->start, k->end, le64_to_cpu(l->start), le64_to_cpu(l->end)))
			return k;
	return NULL;
}

static bool waits_conflict(const struct wait *a, const struct flint_lock *l)
{
	return same_space(a->l.kind, l->kind) &&
	       (a->l.type == FLINT_LOCK_WR || l->type == FLINT_LOCK_WR) &&
	       overlap(le64_to_cpu(a->l.start), le64_to_cpu(a->l.end),
		       le64_to_cpu(l->start), le64_to_cpu(l->end));
}

/* Must it wait its turn behind an earlier waiter? @stop: the earlier ones end here. */
static bool behind(const struct lock_inode *n, const struct lock_owner *o,
		   const struct flint_lock *l, const struct wait *stop)
{
	const struct wait *w;

	if (o->locks)
		return false;
	for (w = n->queue; w && w != stop; w = w->next)
		if (w->owner != o && waits_conflict(w, l))
			return true;
	return false;
}

/*
 * Does @o wait, through whomever, for @who? Circles go through owners that hold
 * something, and those never wait for their turn only: held locks are all the
 * edges there are.
 */
static bool waits_for(struct lock_table *t, struct lock_owner *o, const struct lock_owner *who)
{
	struct wait *w;
	struct lock *k;

	if (o == who)
		return true;
	if (o->visited == t->search || o->key.kind != FLINT_LOCK_POSIX)
		return false;
	o->visited = t->search;
	for (w = o->waits; w; w = w->own_next)
		for (k = against(*list_of(w->ino, w->l.kind), o, &w->l); k;
		     k = against(k->next, o, &w->l))
			if (waits_for(t, k->owner, who))
				return true;
	return false;
}

static bool deadlock(struct lock_table *t, struct lock_inode *n, struct lock_owner *o,
		     const struct flint_lock *l)
{
	struct lock *k;

	if (l->kind != FLINT_LOCK_POSIX)
		return false;
	t->search++;
	for (k = against(*list_of(n, l->kind), o, l); k; k = against(k->next, o, l))
		if (waits_for(t, k->owner, o))
			return true;
	return false;
}

/* ---- ranges --------------------------------------------------------------------------- */

/*
 * Give [start, end] of the owner the type, or free it. At most two locks are
 * needed beyond those there are: @spare has them. Return: true when something
 * that others may wait for became free.
 */
static bool range_set(struct lock_table *t, struct lock_inode *n, struct lock_owner *o,
		      const struct flint_lock *l, struct lock **spare)
{
	u64 start = le64_to_cpu(l->start), end = le64_to_cpu(l->end);
	struct lock *k, *next, *right;
	bool freed = false;

	for (k = o->locks; k; k = next) {
		next = k->own_next;
		if (k->ino != n)
			continue;
		if (k->type == l->type) {	/* equal neighbours merge */
			if (!overlap(k->start, k->end, start ? start - 1 : 0,
				     end == UINT64_MAX ? end : end + 1))
				continue;
			start = k->start < start ? k->start : start;
			end = k->end > end ? k->end : end;
			lock_drop(t, k);
			continue;
		}
		if (!overlap(k->start, k->end, start, end))
			continue;
		freed |= l->type != FLINT_LOCK_WR;
		if (k->end > end) {
			right = k->start < start ? *spare++ : k;
			if (right != k) {
				right->type = k->type;
				right->pid = k->pid;
				right->end = k->end;
				lock_link(t, right, n, o);
			}
			right->start = end + 1;
			if (right == k)
				continue;
		}
		if (k->start < start)
			k->end = start - 1;
		else
			lock_drop(t, k);
	}
	if (l->type != FLINT_LOCK_UN) {
		k = *spare++;
		k->start = start;
		k->end = end;
		k->type = l->type;
		k->pid = le32_to_cpu(l->pid);
		lock_link(t, k, n, o);
	}
	return freed;
}

/* range_set() with its memory. Return: 1, 0 (see there), or -ENOLCK. */
static int range_apply(struct lock_table *t, struct lock_inode *n, struct lock_owner *o,
		       const struct flint_lock *l)
{
	struct lock *spare[3] = { 0 };
	int i, rc = -ENOLCK;

	for (i = 0; i < 2; i++) {
		spare[i] = calloc(1, sizeof(*spare[i]));
		if (!spare[i])
			goto out;
	}
	rc = range_set(t, n, o, l, spare);
out:
	for (i = 0; i < 2; i++)
		if (spare[i] && !spare[i]->prev)
			free(spare[i]);
	return rc;
}

/* ---- the queue -------------------------------------------------------------------------- */

static void owner_unfair(struct lock_table *t, const struct lock_owner *o);

/* One wait that can be granted is. Return: false when there is none. */
static bool serve_one(struct lock_table *t, struct lock_inode *n)
{
	struct lock_owner *o;
	struct flint_lock l;
	struct wait *w;
	bool first;
	int rc;

	for (w = n->queue; w; w = w->next)
		if (!against(*list_of(n, w->l.kind), w->owner, &w->l) &&
		    !behind(n, w->owner, &w->l, w))
			break;
	if (!w)
		return false;
	l = w->l;
	o = w->owner;
	first = !o->locks;
	wait_drop(t, w);
	rc = range_apply(t, n, o, &l);
	t->ops->event(t->arg, o->key.sid, le64_to_cpu(l.id), n->ino,
		      rc < 0 ? FLINT_LOCK_LOST : FLINT_LOCK_DONE);
	if (first)
		owner_unfair(t, o);
	owner_put(t, o);
	return true;
}

static void serve(struct lock_table *t, struct lock_inode *n)
{
	if (n->serving)
		return;		/* whoever does goes on until there is none */
	n->serving = true;
	while (serve_one(t, n))
		;
	n->serving = false;
	inode_put(t, n);
}

/* The owner holds something now: it does not wait for its turn anywhere else. */
static void owner_unfair(struct lock_table *t, const struct lock_owner *o)
{
	struct wait *w = o->waits;

	while (w) {
		if (w->ino->serving || against(*list_of(w->ino, w->l.kind), o, &w->l)) {
			w = w->own_next;
			continue;
		}
		serve(t, w->ino);
		w = o->waits;
	}
}

static int enqueue(struct lock_table *t, struct lock_inode *n, struct lock_owner *o,
		   const struct flint_lock *l)
{
	struct wait *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOLCK;
	w->l = *l;
	w->owner = o;
	w->ino = n;
	w->prev = n->tail;
	*n->tail = w;
	n->tail = &w->next;
	w->own_next = o->waits;
	w->own_prev = &o->waits;
	if (w->own_next)
		w->own_next->own_prev = &w->own_next;
	o->waits = w;
	t->nr++;
	return FLINT_LOCK_QUEUED;
}

/* ---- requests ---------------------------------------------------------------------------- */

static int lock_release(struct lock_table *t, struct lock_inode *n, struct lock_owner *o,
			const struct flint_lock *l)
{
	struct flint_lock all = *l;
	struct wait *w, *next;
	int rc;

	if (le16_to_cpu(l->flags) & FLINT_LOCK_OWNER) {
		all.start = 0;
		all.end = cpu_to_le64(UINT64_MAX);
		for (w = o->waits; w; w = next) {
			next = w->own_next;
			if (w->ino == n)
				wait_drop(t, w);
		}
	}
	rc = range_apply(t, n, o, &all);
	owner_put(t, o);
	serve(t, n);
	return rc < 0 ? rc : FLINT_LOCK_DONE;
}

static int lock_take(struct lock_table *t, struct lock_inode *n, struct lock_owner *o,
		     const struct flint_lock *l)
{
	bool wait = le16_to_cpu(l->flags) & FLINT_LOCK_WAIT;
	bool held = against(*list_of(n, l->kind), o, l), first = !o->locks;
	struct wait *w;
	int rc;

	for (w = o->waits; wait && w; w = w->own_next)
		if (w->l.id == l->id && w->ino == n)
			return FLINT_LOCK_QUEUED;
	if (t->nr >= t->max)
		return -ENOLCK;
	if (held && !wait)
		return -EAGAIN;
	if (held && deadlock(t, n, o, l))
		return -EDEADLK;
	if (held || (wait && behind(n, o, l, NULL)))
		return enqueue(t, n, o, l);
	rc = range_apply(t, n, o, l);
	if (rc < 0)
		return rc;
	if (first)
		owner_unfair(t, o);
	if (rc)			/* an exclusive lock became a shared one */
		serve(t, n);
	return FLINT_LOCK_DONE;
}

int lock_set(struct lock_table *t, u64 sid, const struct flint_lock *l)
{
	u64 ino = le64_to_cpu(l->ino);
	struct lock_inode *n;
	struct lock_owner *o;
	int rc;

	if (l->type == FLINT_LOCK_UN) {
		n = inode_find(t, ino);
		o = n ? owner_find(t, sid, l) : NULL;
		return o ? lock_release(t, n, o, l) : FLINT_LOCK_DONE;
	}
	n = inode_get(t, ino);
	o = n ? owner_get(t, sid, l) : NULL;
	rc = o ? lock_take(t, n, o, l) : -ENOLCK;
	if (o && rc < 0)
		owner_put(t, o);
	n = inode_find(t, ino);
	if (n)
		inode_put(t, n);
	return rc;
}

bool lock_test(struct lock_table *t, u64 sid, const struct flint_lock *l,
	       struct flint_lock_rep *rep)
{
	struct lock_inode *n = inode_find(t, le64_to_cpu(l->ino));
	struct lock *k = n ? against(*list_of(n, l->kind), owner_find(t, sid, l), l) : NULL;

	*rep = (struct flint_lock_rep){ .state = cpu_to_le32(FLINT_LOCK_DONE) };
	if (!k)
		return false;
	rep->state = cpu_to_le32(FLINT_LOCK_HELD);
	rep->pid = cpu_to_le32(k->pid);
	rep->start = cpu_to_le64(k->start);
	rep->end = cpu_to_le64(k->end);
	rep->type = k->type;
	rep->kind = k->owner->key.kind;
	rep->own_session = k->owner->key.sid == sid;
	return true;
}

bool lock_cancel(struct lock_table *t, u64 sid, u64 id)
{
	struct lock_owner *o, *tmp;
	struct lock_inode *n;
	struct wait *w;

	HASH_ITER(hh, t->owners, o, tmp) {
		if (o->key.sid != sid)
			continue;
		for (w = o->waits; w; w = w->own_next) {
			if (le64_to_cpu(w->l.id) != id)
				continue;
			n = w->ino;
			wait_drop(t, w);
			owner_put(t, o);
			serve(t, n);	/* others may have stood behind it */
			return true;
		}
	}
	return false;
}

void lock_session_del(struct lock_table *t, u64 sid)
{
	struct lock_owner *o, *o_tmp;
	struct lock_inode *n, *n_tmp;

	if (!t->nr)
		return;
	HASH_ITER(hh, t->owners, o, o_tmp) {
		if (o->key.sid != sid)
			continue;
		while (o->waits)
			wait_drop(t, o->waits);
		while (o->locks)
			lock_drop(t, o->locks);
		owner_put(t, o);
	}
	HASH_ITER(hh, t->inodes, n, n_tmp)
		serve(t, n);
}

/* ---- life ---------------------------------------------------------------------------------- */

void lock_clear(struct lock_table *t)
{
	struct lock_inode *n, *n_tmp;
	struct lock_owner *o, *o_tmp;

	HASH_ITER(hh, t->owners, o, o_tmp) {
		while (o->waits)
			wait_drop(t, o->waits);
		while (o->locks)
			lock_drop(t, o->locks);
		HASH_DEL(t->owners, o);
		free(o);
	}
	HASH_ITER(hh, t->inodes, n, n_tmp) {
		HASH_DEL(t->inodes, n);
		free(n);
	}
}

struct lock_table *lock_new(u32 max, const struct lock_ops *ops, void *arg)
{
	struct lock_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->max = max;
	t->ops = ops;
	t->arg = arg;
	return t;
}

void lock_free(struct lock_table *t)
{
	if (!t)
		return;
	lock_clear(t);
	free(t);
}

u32 lock_count(const struct lock_table *t)
{
	return t->nr;
}
