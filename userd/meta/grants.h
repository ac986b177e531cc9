/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leases and the daemon: what stands between the wire and the pure table of
 * lease.h. Everything here runs on the loop.
 *
 * grants.c: sessions' side: grants in replies, recalls pushed, returns,
 * renewals, reclaims, leadership. change.c: requests' side: which inodes a
 * request touches, waiting until nobody else's lease stands in its way.
 */
#ifndef FLINT_META_GRANTS_H
#define FLINT_META_GRANTS_H

#include "lease.h"
#include "metad.h"

struct metad_leases;
struct metad_change;

/* ---- grants.c --------------------------------------------------------------------- */

/* @max: (session, inode) pairs. NULL: no memory. */
struct metad_leases *metad_leases_new(struct metad *m, u32 max);
void metad_leases_free(struct metad *m);

/* This replica leads from now on: sessions of m->sessions have to reclaim. */
void metad_leases_lead(struct metad *m);
/* It does not lead any more. */
void metad_leases_follow(struct metad *m);

/* A session was opened, or ended. */
void metad_leases_session(struct metad *m, struct metad_session *sn);
void metad_leases_gone(struct metad *m, u64 sid);
/* What the session still had to be told is void. */
void metad_leases_unlink(struct metad *m, struct metad_session *sn);
/* Push what could not be pushed before. */
void metad_leases_push(struct metad *m, u64 sid);
/* Files that the session has open for writing: numbers, each once. Return: how many, or -ENOMEM. */
int metad_written(const struct metad_session *sn, u64 **inos);
/* A handle for writing was opened, or closed. */
void metad_writer_opened(struct metad *m, u64 sid, u64 handle, u64 ino);
void metad_writer_closed(struct metad *m, u64 sid, u64 handle);

/**
 * metad_leases_gate() - may this session's request be served at all?
 * Return: FLINT_OK, or the status to answer: RECLAIM, FENCED.
 */
u32 metad_leases_gate(struct metad *m, struct flint_call *call, u64 sid);

/**
 * struct metad_grants - grants collected for one reply
 * Zero-initialise; append with metad_grants_put() behind the body.
 */
struct metad_grants {
	u32 nr;
	struct flint_lease_grant g[FLINT_LEASE_GRANTS_MAX];
};

/* Grant what the request wants of @kinds on @ino. */
void metad_grant(struct metad *m, const struct flint_call *call, u64 sid, u64 ino, u32 kinds,
		 struct metad_grants *g);
/* Behind @len bytes of @body, which has the room; sets call->lease. Return: the new length. */
u32 metad_grants_put(struct flint_call *call, const struct metad_grants *g, void *body, u32 len);
/* Attributes and leases of a READDIR_PLUS payload. */
void metad_grant_entries(struct metad *m, const struct flint_call *call, u64 sid, u8 *buf, u32 len,
			 struct metad_grants *g);

/* The operations of lease.h: LEASE_RETURN, SESSION_RENEW, SESSION_RECLAIM. */
void metad_lease_request(struct metad *m, struct flint_call *call, u64 sid);

/* ---- hints.c ---------------------------------------------------------------------- */

struct metad_hints *metad_hints_new(struct metad *m);
void metad_hints_free(struct metad *m);
/* The session's, as the state has them. 0 or -errno. */
int metad_hints_load(struct metad *m, struct metad_session *sn);
void metad_hints_unlink(struct metad *m, struct metad_session *sn);
/**
 * metad_hint() - may the session be granted a lease or lock on the inode?
 *
 * Only in buckets that the log names, so that the next leader knows where to wait for
 * the session. Another one is asked for, and free a moment later.
 */
bool metad_hint(struct metad *m, u64 sid, u64 ino);
/*
 * The same for the inode that the next command makes: the bucket stands in the log before it. What is
 * granted with a new directory cannot be granted later, when it is not empty any more.
 */
void metad_hint_new(struct metad *m, u64 sid);

struct lease_table *metad_lease_table(struct metad *m);
u64 metad_lease_epoch(const struct metad *m);

/* ---- change.c ----------------------------------------------------------------------- */

/**
 * metad_change_mutate() - a mutation whose payload is there
 *
 * Waits until no lease of others stands in its way, then metad_mutate(). With
 * nothing to wait for, that is at once.
 */
void metad_change_mutate(struct metad *m, struct flint_call *call, u64 sid, u32 fs,
			 const void *data, u32 data_len);

/**
 * metad_change_see() - a request that only looks at @ino
 * @again: called when nothing hides it any more; the request is looked at anew
 *
 * Return: false when nothing hides the inode now: go on. True: @again follows,
 * or the call was answered.
 */
bool metad_change_see(struct metad *m, struct flint_call *call, u64 sid, u32 fs, u64 ino,
		      void (*again)(struct metad *m, struct flint_call *call, u64 sid, u32 fs));

/**
 * metad_change_done() - the mutation's outcome is known; before it is answered
 * @body, @len: of the reply; has room for FLINT_LEASE_GRANTS_MAX grants
 *
 * Ends its change, keeps account of writers, and grants. Return: the new length.
 */
u32 metad_change_done(struct metad *m, struct flint_call *call, u32 status, u8 *body, u32 len);

/* ---- delegate.c ----------------------------------------------------------------------- */

/* May the session get dir-write on a directory that it has made, as far as limits and rules go? */
bool metad_may_delegate(struct metad *m, u64 sid, const struct meta_inode *dir);
/*
 * May this batch of delegated creates be executed? FLINT_OK; ESTALE: a directory that the
 * session has no dir-write lease on; EINVAL: malformed; RETRY: no memory, or not every session
 * has said yet what it holds.
 */
u32 metad_delegate_check(struct metad *m, u64 sid, const u8 *data, u32 len);
/* It was: account of writers, leases. As metad_change_done(). */
u32 metad_delegate_done(struct metad *m, struct flint_call *call, u64 sid, const u8 *data,
			u32 data_len, u8 *body, u32 len);

/* ---- own.c ---------------------------------------------------------------------------- */

struct metad_own;

/**
 * metad_own_begin() - recall what sessions hold on inodes that the server is about to change
 * @sid: session whose request this completes, which keeps what it has, or 0
 * @go: called from a task when nobody else holds any; with @ok false, from
 *	metad_owns_fail(), when this replica leads no more. Then, or after the command,
 *	metad_own_end()
 *
 * Return: NULL: no memory.
 */
struct metad_own *metad_own_begin(struct metad *m, u64 sid, const u64 *inos, u32 nr,
				  void (*go)(void *arg, bool ok), void *arg);
/* NULL is fine. Never between begin and go(). */
void metad_own_end(struct metad_own *w);
void metad_own_ready(struct lease_change *lc);
void metad_owns_fail(struct metad *m);
/*
 * FLINT_OP_TRASH_EMPTY. Who removed something may have kept its lease on it: that comes back,
 * even from the session that asks, then it is a change like any other.
 */
void metad_trash_empty(struct metad *m, struct flint_call *call, u64 sid, u32 fs);

/*
 * It is executed, but what it cuts is not cut yet: what its names stand for is in order, so others
 * may go on that work on them. Its marks stay until metad_change_done().
 */
void metad_change_logged(struct flint_call *call);
/* It waits longer than its sender does. */
bool metad_change_late(const struct flint_call *call);

/* lease_ops.ready. */
void metad_change_ready(struct lease_change *lc);
/* Requests that wait longer than their sender does are answered RETRY. Every second or so. */
void metad_changes_tick(struct metad *m);
/* Leadership lost: what still waits is answered NOT_LEADER. */
void metad_changes_fail(struct metad *m);

#endif /* FLINT_META_GRANTS_H */
