/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File locks and the daemon: LOCK, LOCK_TEST, LOCK_CANCEL, and the events that
 * end a wait. The rules are in lock.h. Everything here runs on the loop.
 */
#ifndef FLINT_META_LOCKS_H
#define FLINT_META_LOCKS_H

#include "lock.h"
#include "metad.h"

#define METAD_LOCKS_MAX	1000000u	/* locks and waits */

struct metad_locks *metad_locks_new(struct metad *m);
void metad_locks_free(struct metad *m);
/* Leading no more: the new leader hears of them from the sessions. */
void metad_locks_drop(struct metad *m);
void metad_locks_gone(struct metad *m, u64 sid);
void metad_lock_request(struct metad *m, struct flint_call *call, u64 sid);
/* From SESSION_RECLAIM. Return: 0 or an errno. */
u8 metad_lock_reclaim(struct metad *m, u64 sid, const struct flint_lock *l);
/* A new connection: events that may have been missed are sent again. */
void metad_locks_again(struct metad *m, struct metad_session *sn);

#endif /* FLINT_META_LOCKS_H */
