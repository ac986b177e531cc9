/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File locks: flock, fcntl (POSIX) and open-file-description locks. A state
 * machine without I/O or clock, in the leader's memory; after a change of leader
 * the sessions name their locks again.
 *
 * Rules
 *  - POSIX and OFD locks are byte ranges and conflict with each other; flock is
 *    a space of its own. Locks of one owner (session, kind, owner) never
 *    conflict: a new one replaces what it overlaps, equal neighbours merge.
 *  - A request that must wait stands in its inode's queue. The queue is served
 *    first come, first served: who holds no lock at all does not pass an earlier
 *    waiter that it conflicts with. Who holds one does: somebody may wait for it,
 *    and to make it wait for them would be a deadlock of our own making.
 *  - A wait of a POSIX owner that would close a circle of waiting owners is
 *    refused with EDEADLK; OFD locks and flock are not looked at, as in fcntl(2).
 */
#ifndef FLINT_META_LOCK_H
#define FLINT_META_LOCK_H

#include "../../uapi/flintfs/lease.h"

struct lock_table;

/**
 * struct lock_ops
 * @event: a wait has ended: FLINT_LOCK_DONE, or FLINT_LOCK_LOST (no memory for
 *	the lock: ask again). Never from inside lock_set() of the same wait
 */
struct lock_ops {
	void (*event)(void *arg, u64 sid, u64 id, u64 ino, u32 state);
};

/* @max: locks and waits at most. NULL: no memory. */
struct lock_table *lock_new(u32 max, const struct lock_ops *ops, void *arg);
void lock_free(struct lock_table *t);
/* Forget everything; nobody is told. */
void lock_clear(struct lock_table *t);

/**
 * lock_set() - set or release a lock
 * @l: checked by flint_lock_ok()
 *
 * Return: FLINT_LOCK_DONE, FLINT_LOCK_QUEUED (with FLINT_LOCK_WAIT; asking again
 * with the same id is the same wait), -EAGAIN, -EDEADLK, or -ENOLCK.
 */
int lock_set(struct lock_table *t, u64 sid, const struct flint_lock *l);
/* Return: true with @rep filled when another owner's lock is in the way. */
bool lock_test(struct lock_table *t, u64 sid, const struct flint_lock *l,
	       struct flint_lock_rep *rep);
/* Return: true when there was such a wait. It ends without an event. */
bool lock_cancel(struct lock_table *t, u64 sid, u64 id);
/* The session is gone: so are its locks and waits. */
void lock_session_del(struct lock_table *t, u64 sid);

/* Locks and waits there are. */
u32 lock_count(const struct lock_table *t);

#endif /* FLINT_META_LOCK_H */
