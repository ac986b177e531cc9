// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Locks on the wire; see locks.h.
 *
 * Once: a lock request has a sequence of its session, like a mutation, but is
 * not replicated. A request below the session's lowest unfinished sequence is
 * refused; the outcome of each one above is remembered until the client says
 * that it has seen it, so that a repetition is answered and not executed.
 *
 * An event may be lost with its connection, so the granted wait itself asks: a
 * LOCK that is repeated with the same id is answered DONE when the owner holds
 * the range. Clients repeat their waits on every new connection.
 */
#include <errno.h>
#include <stdlib.h>
#include "grants.h"
#include "locks.h"
#include "../base/log.h"

struct lock_seq {
	u64 seq;
	u32 status;
	struct flint_lock_rep rep;
	struct lock_seq *next;		/* oldest first is not kept: there are few */
};

#define SEQS_MAX	4096	/* outcomes kept of a session that never says what it has seen */

struct lock_session {
	u64 sid, low;
	u32 nr;
	struct lock_seq *seqs;
	UT_hash_handle hh;
};

struct event {
	u64 sid;
	struct flint_lock_event e;
	struct event *next;
};

struct metad_locks {
	struct metad *m;
	struct lock_table *table;
	struct lock_session *sessions;
	struct event *events, **tail;
	struct flint_task task;
	bool posted;
};

/* ---- events --------------------------------------------------------------------- */

static bool event_push(struct metad *m, const struct event *ev)
{
	struct metad_session *sn = metad_session_by_id(m, ev->sid);
	struct metad_conn *c;
	int rc = -ENOTCONN;

	for (c = sn ? sn->conn_list : NULL; c; c = c->next) {
		rc = flint_conn_push(c->conn, FLINT_OP_LOCK_EVENT, &ev->e, sizeof(ev->e));
		if (!rc)
			break;
	}
	/* Without a connection the client asks again when it has one. */
	return rc != -EAGAIN;
}

static void events_run(struct flint_task *t)
{
	struct metad_locks *l = (struct metad_locks *)
		((char *)t - offsetof(struct metad_locks, task));
	struct event *ev, **link = &l->events;

	l->posted = false;
	while ((ev = *link)) {
		if (!event_push(l->m, ev)) {
			link = &ev->next;
			continue;
		}
		*link = ev->next;
		free(ev);
	}
	l->tail = link;
}

static void events_post(struct metad_locks *l)
{
	if (l->posted)
		return;
	l->posted = true;
	flint_loop_post(l->m->loop, &l->task);
}

static void on_event(void *arg, u64 sid, u64 id, u64 ino, u32 state)
{
	struct metad_locks *l = arg;
	struct event *ev = calloc(1, sizeof(*ev));

	if (!ev)
		return;		/* the client's timer asks */
	ev->sid = sid;
	ev->e.id = cpu_to_le64(id);
	ev->e.ino = cpu_to_le64(ino);
	ev->e.state = cpu_to_le32(state);
	*l->tail = ev;
	l->tail = &ev->next;
	events_post(l);
}

static const struct lock_ops ops = { .event = on_event };

void metad_locks_again(struct metad *m, struct metad_session *sn)
{
	if (sn && m->locks->events)
		events_post(m->locks);
}

/* ---- once -------------------------------------------------------------------------- */

static struct lock_session *session_get(struct metad_locks *l, u64 sid)
{
	struct lock_session *s;

	HASH_FIND(hh, l->sessions, &sid, sizeof(sid), s);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->sid = sid;
	HASH_ADD(hh, l->sessions, sid, sizeof(s->sid), s);
	return s;
}

static void seqs_trim(struct lock_session *s, u64 low)
{
	struct lock_seq *q, **link = &s->seqs;

	if (low > s->low)
		s->low = low;
	while ((q = *link)) {
		if (q->seq >= s->low) {
			link = &q->next;
			continue;
		}
		*link = q->next;
		s->nr--;
		free(q);
	}
}

static void reply_lock(struct flint_call *call, u32 status, const struct flint_lock_rep *rep)
{
	flint_call_reply(call, status, rep, status ? 0 : sizeof(*rep), NULL, 0, 0);
}

/* ---- requests ------------------------------------------------------------------------ */

static u32 status_of(int rc, struct flint_lock_rep *rep)
{
	if (rc < 0)
		return -rc;
	*rep = (struct flint_lock_rep){ .state = cpu_to_le32(rc) };
	return FLINT_OK;
}

static u32 run(struct metad_locks *l, u64 sid, u16 op, const struct flint_lock *k,
	       struct flint_lock_rep *rep)
{
	if (op == FLINT_OP_LOCK)
		return status_of(lock_set(l->table, sid, k), rep);
	return status_of(lock_cancel(l->table, sid, le64_to_cpu(k->id)) ? FLINT_LOCK_DONE : -ENOENT,
			 rep);
}

void metad_lock_request(struct metad *m, struct flint_call *call, u64 sid)
{
	const struct flint_msg *msg = &call->msg;
	struct metad_locks *l = m->locks;
	struct metad_session *sn = metad_session_by_id(m, sid);
	struct flint_lock_rep rep = { 0 };
	struct lock_session *s;
	struct lock_seq *q;
	struct flint_lock k;
	u32 status;

	if (flint_body_get(&k, sizeof(k), sizeof(k), msg->body, msg->body_len) ||
	    !flint_lock_ok(&k) || (msg->op != FLINT_OP_LOCK_TEST && !msg->seq)) {
		flint_conn_kill(call->conn, "malformed lock request");
		reply_lock(call, FLINT_ST_BAD_REQUEST, NULL);
		return;
	}
	/* Locks outlive a leader only if the session can name them again. */
	if (!sn || !(sn->flags & FLINT_SESSION_LEASES) || !flint_conn_info(call->conn)->pushes) {
		reply_lock(call, EOPNOTSUPP, NULL);
		return;
	}
	/* Somebody may still name a lock on it, or the next leader would not know of this one. */
	if (lease_may_come(metad_lease_table(m), sid, le64_to_cpu(k.ino)) ||
	    (msg->op == FLINT_OP_LOCK && !metad_hint(m, sid, le64_to_cpu(k.ino)))) {
		reply_lock(call, FLINT_ST_RETRY, NULL);
		return;
	}
	if (msg->op == FLINT_OP_LOCK_TEST) {
		lock_test(l->table, sid, &k, &rep);
		reply_lock(call, FLINT_OK, &rep);
		return;
	}
	s = session_get(l, sid);
	q = s ? malloc(sizeof(*q)) : NULL;
	if (!q) {
		reply_lock(call, FLINT_ST_RETRY, NULL);
		return;
	}
	seqs_trim(s, msg->seq_low);
	if (msg->seq < s->low) {
		free(q);
		reply_lock(call, FLINT_ST_BAD_SEQ, NULL);
		return;
	}
	*q = (struct lock_seq){ .seq = msg->seq, .next = s->seqs };
	for (; q->next && q->next->seq != msg->seq; q->next = q->next->next)
		;
	if (q->next) {		/* executed before */
		status = q->next->status;
		rep = q->next->rep;
		free(q);
		reply_lock(call, status, &rep);
		return;
	}
	/* The lowest unfinished one is let in: all the others are kept until it has ended. */
	if (s->nr >= SEQS_MAX && msg->seq != s->low) {
		free(q);
		reply_lock(call, FLINT_ST_RETRY, NULL);
		return;
	}
	status = run(l, sid, msg->op, &k, &rep);
	q->status = status;
	q->rep = rep;
	q->next = s->seqs;
	s->seqs = q;
	s->nr++;
	reply_lock(call, status, &rep);
}

u8 metad_lock_reclaim(struct metad *m, u64 sid, const struct flint_lock *l)
{
	struct flint_lock k = *l;
	int rc;

	if (!flint_lock_ok(l) || l->type == FLINT_LOCK_UN)
		return EINVAL;
	k.flags = 0;
	rc = lock_set(m->locks->table, sid, &k);
	return rc < 0 ? -rc : 0;
}

/* ---- life -------------------------------------------------------------------------------- */

static void session_free(struct metad_locks *l, struct lock_session *s)
{
	s->low = UINT64_MAX;
	seqs_trim(s, UINT64_MAX);
	HASH_DEL(l->sessions, s);
	free(s);
}

void metad_locks_gone(struct metad *m, u64 sid)
{
	struct lock_session *s;

	HASH_FIND(hh, m->locks->sessions, &sid, sizeof(sid), s);
	if (s)
		session_free(m->locks, s);
	lock_session_del(m->locks->table, sid);
}

void metad_locks_drop(struct metad *m)
{
	struct lock_session *s, *tmp;
	struct event *ev;

	HASH_ITER(hh, m->locks->sessions, s, tmp)
		session_free(m->locks, s);
	while ((ev = m->locks->events)) {
		m->locks->events = ev->next;
		free(ev);
	}
	m->locks->tail = &m->locks->events;
	lock_clear(m->locks->table);
}

struct metad_locks *metad_locks_new(struct metad *m)
{
	struct metad_locks *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->m = m;
	l->tail = &l->events;
	l->task.fn = events_run;
	l->table = lock_new(METAD_LOCKS_MAX, &ops, l);
	if (!l->table) {
		free(l);
		return NULL;
	}
	return l;
}

void metad_locks_free(struct metad *m)
{
	if (!m->locks)
		return;
	metad_locks_drop(m);
	lock_free(m->locks->table);
	free(m->locks);
	m->locks = NULL;
}
