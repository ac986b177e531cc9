/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leader's table of leases: a state machine without I/O or clock. It is
 * told what happens and when (times are ns of CLOCK_BOOTTIME), and answers by
 * return values and through struct lease_ops. Documentation/leases.rst has the
 * rules; the two tables in lease.c are their whole of conflicts.
 *
 * Invariants
 *  - Two sessions never hold conflicting kinds on an inode.
 *  - From lease_change_begin() to lease_change_end() no session but the
 *    change's own is granted anything on its inodes that the change breaks;
 *    once it is ready, no other session holds such a lease.
 *  - A session's grants are numbered in the order they are made. A lease that
 *    is being recalled is not granted anew before it has come back.
 *  - A change waits for leases only, never for another change; a lease comes
 *    back with its holder's answer or goes with its session, which
 *    lease_ops.expire asks for when a recall is older than the session lease.
 *    So every change becomes ready.
 *  - After lease_start() nothing is granted (but lease_grant_made()), and no
 *    change is ready that could touch what a session has not reclaimed yet,
 *    until all have reclaimed or are gone.
 */
#ifndef FLINT_META_LEASE_H
#define FLINT_META_LEASE_H

#include "../../uapi/flintfs/lease.h"

struct lease_table;
struct lease_change;

/* What a request does to an inode, as far as leases of others are concerned. */
enum lease_action {
	LEASE_SEE_ATTR,		/* answers with attributes: what a sole writer keeps is wanted */
	LEASE_SEE_ENTRIES,	/* answers about names */
	LEASE_SET_ATTR,		/* changes attributes, size, xattrs, the number of links */
	LEASE_SET_ENTRIES,	/* changes names in a directory, and its times */
	LEASE_WRITE_DATA,	/* data may change without our knowledge from now on */
	LEASE_SET_OWN,		/* the server changes attributes or entries, but no size nor mtime */
	LEASE_ACTIONS
};

/**
 * struct lease_ops - what the table wants done
 * @recall: tell session @sid to give up @kinds on @ino, granted up to @seq
 * @expire: the session did not answer a recall in time: end it, then
 *	lease_session_del(). Asked once per session
 * @ready: what the change breaks is gone. Never from inside lease_change_begin().
 *	It must not end other changes
 * @grace_over: after lease_start(): everybody reclaimed. May be NULL
 */
struct lease_ops {
	void (*recall)(void *arg, u64 sid, u64 ino, u32 kinds, u64 seq);
	void (*expire)(void *arg, u64 sid);
	void (*ready)(void *arg, struct lease_change *c);
	void (*grace_over)(void *arg);
};

/**
 * struct lease_config
 * @lease_ms: session lease
 * @max_leases: (session, inode) pairs kept at most; beyond, the oldest are recalled
 */
struct lease_config {
	u32 lease_ms;
	u32 max_leases;
	const struct lease_ops *ops;
	void *arg;
};

#define LEASE_ITEMS_MAX	6

struct lease_item {
	u64 ino;
	u32 breaks;		/* kinds */
	u32 waits;		/* leases of others that are still there */
	struct lease_obj *obj;
	struct lease_change *change;
	struct lease_item *next, **prev;	/* of the object */
};

/**
 * struct lease_change - a request that must not meet certain leases of others
 *
 * Zero-initialise, add inodes, begin, end; the memory is the caller's and must
 * stay from begin to end. @sid: whose leases are spared, 0: nobody's.
 */
struct lease_change {
	u64 sid;
	u32 nr;
	u32 waits;		/* items that are not ready */
	bool tracked, begun, in_grace;
	bool own;		/* of the server, whoever is spared: priv is a struct metad_own */
	u64 leadership;		/* in which it began */
	struct lease_item item[LEASE_ITEMS_MAX];
	struct lease_change *next, **prev;	/* waiting for the end of grace */
	void *priv;
};

struct lease_table *lease_new(const struct lease_config *cfg);
void lease_free(struct lease_table *t);

/* ---- sessions ---------------------------------------------------------------- */

/**
 * lease_session_add() - a session that takes part
 * @must_reclaim: it may hold leases of an earlier leader; only between
 *	lease_start() and lease_start_end()
 * @hints: LEASE_HINT_BYTES bits of buckets in which it was granted something,
 *	copied; NULL: it may hold anything
 * Return: 0 (also when it is known already) or -ENOMEM.
 */
int lease_session_add(struct lease_table *t, u64 sid, bool must_reclaim, const u8 *hints);
/* It has ended: its leases are gone. Changes may become ready. */
void lease_session_del(struct lease_table *t, u64 sid);
/*
 * It is over, but for the sizes that it keeps: all other leases of it are gone. Of one that has not
 * reclaimed, the caller has said with lease_reclaim() which these are, and says lease_reclaimed() next.
 */
void lease_session_shed(struct lease_table *t, u64 sid);
/* Does any session take part? Else changes need no inodes. */
bool lease_tracking(const struct lease_table *t);
/* Something was lost count of: grant nothing any more in this leadership. */
void lease_give_up(struct lease_table *t);
bool lease_session_known(const struct lease_table *t, u64 sid);
/* Number of the session's last grant. */
u64 lease_session_seq(const struct lease_table *t, u64 sid);

#define LEASE_HINT_BITS		512u
#define LEASE_HINT_BYTES	(LEASE_HINT_BITS / 8)
/* Neighbouring inode numbers share a bucket: what was made together is used together. */
static inline u32 lease_hint_bucket(u64 ino)
{
	return (ino >> 10) * 0x9e3779b97f4a7c15ull >> 55;
}
_Static_assert(LEASE_HINT_BITS == 1u << (64 - 55), "lease_hint_bucket() must fit LEASE_HINT_BITS");

static inline bool lease_hint_test(const u8 *bits, u64 ino)
{
	return bits[lease_hint_bucket(ino) / 8] & 1u << lease_hint_bucket(ino) % 8;
}

static inline void lease_hint_set(u8 *bits, u64 ino)
{
	bits[lease_hint_bucket(ino) / 8] |= 1u << lease_hint_bucket(ino) % 8;
}

/* ---- leadership ---------------------------------------------------------------- */

/* A new leadership: forget everything. Then add the sessions there are, then lease_start_end(). */
void lease_start(struct lease_table *t);
void lease_start_end(struct lease_table *t);
/* Leadership lost: no callbacks any more. Ending a change of it later does nothing. */
void lease_stop(struct lease_table *t);
bool lease_in_grace(const struct lease_table *t);
/* Must the session reclaim before anything else? */
bool lease_must_reclaim(const struct lease_table *t, u64 sid);
/* Return: the new number, or 0: not granted (the lease is lost). */
u64 lease_reclaim(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 now);
/* In the grace period: may a session other than @sid that has not reclaimed hold anything on it? */
bool lease_may_come(const struct lease_table *t, u64 sid, u64 ino);
/* The session has named everything. May end the grace period. */
void lease_reclaimed(struct lease_table *t, u64 sid);

/* ---- leases --------------------------------------------------------------------- */

/**
 * lease_grant() - give what can be given now, without recalling anything
 * @kinds: wanted
 * @granted: result: kinds of these that the session holds now
 *
 * Return: the grant's number, or 0 when nothing was granted.
 */
u64 lease_grant(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 now, u32 *granted);
/* The same for many inodes under one number, from lease_number(); nothing else in between. */
u32 lease_grant_at(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 now, u64 seq);
/*
 * The same for an inode that the session has just made in a directory on which it holds dir-write:
 * in the grace period, too. There may be promises below it already.
 */
u32 lease_grant_made(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 now, u64 seq);
u64 lease_number(struct lease_table *t, u64 sid);
/* The holder gave up @kinds of grants numbered up to @seq. Changes may become ready. */
void lease_return(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 seq);
/* A new connection: recalls that it may have missed are called for again. */
void lease_recall_again(struct lease_table *t, u64 sid);
/* The holder has made use of it: when there are too many, others go first. */
void lease_used(struct lease_table *t, u64 sid, u64 ino);
/* Kinds the session holds on the inode. */
u32 lease_held(const struct lease_table *t, u64 sid, u64 ino);

/*
 * Sessions that have the file open for writing: while there is one, no other
 * session is granted read, and write goes to the only one. Calls pair up.
 */
int lease_writer_add(struct lease_table *t, u64 ino, u64 sid);
void lease_writer_del(struct lease_table *t, u64 ino, u64 sid);

/* ---- changes -------------------------------------------------------------------- */

/*
 * Would a request that only looks at an inode have to wait? Then, and only then,
 * it needs a change. @action: LEASE_SEE_*.
 */
bool lease_hides(const struct lease_table *t, u64 sid, u64 ino, enum lease_action action);

/* Before begin: the request does @action to @ino. Same inode twice is fine; ino 0 is ignored. */
void lease_change_add(struct lease_change *c, u64 ino, enum lease_action action);
/**
 * lease_change_begin() - recall what others hold
 *
 * Return: 1 ready, 0 lease_ops.ready will be called, -ENOMEM nothing was done.
 */
int lease_change_begin(struct lease_table *t, struct lease_change *c, u64 now);
/* Done with it, ready or not, begun or not. */
void lease_change_end(struct lease_table *t, struct lease_change *c);

/*
 * A recall is open for a quarter of the session lease: answers must not renew the
 * session's trust (FLINT_LEASE_NO_RENEWAL), so that it has ended when the session is.
 */
bool lease_muted(const struct lease_table *t, u64 sid);

/* Now and then, at least every sixteenth of the session lease: recalls that are too old. */
void lease_tick(struct lease_table *t, u64 now);

/*
 * Clients could not be heard for @ns until @now, the time since lease_tick() or this was called
 * last, or a part of it: recalls grow no older by it.
 */
void lease_unheard(struct lease_table *t, u64 now, u64 ns);

struct lease_stats {
	u64 leases, objects, sessions;	/* now */
	u64 grants, refusals, recalls, returns, expiries;
	u64 to_reclaim;			/* sessions the grace period waits for */
};

void lease_stats(const struct lease_table *t, struct lease_stats *st);

#endif /* FLINT_META_LEASE_H */
