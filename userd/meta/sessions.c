// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who is there: sessions, their connections, and when a silent one ends.
 *
 * The table mirrors the store's sessions and adds what is not replicated:
 * connections and times. A session expires when it has had no connection for
 * a whole lease; whenever this replica becomes the leader every session has a
 * whole lease to come back. A replica that does not lead has no sessions here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "grants.h"
#include "locks.h"
#include "../base/log.h"

static struct metad_session *session_new(struct metad *m, u64 sid, const u8 client[16], u32 fs)
{
	struct metad_session *sn = calloc(1, sizeof(*sn));

	if (!sn)
		return NULL;
	sn->m = m;
	sn->id = sid;
	memcpy(sn->client, client, sizeof(sn->client));
	sn->fs = fs;
	sn->seen_ns = flint_now_ns();
	HASH_ADD(hh, m->sessions, client, sizeof(sn->client), sn);
	HASH_ADD(hh_id, m->sessions_by_id, id, sizeof(sn->id), sn);
	return sn;
}

/* Out of the table; lives on while connections point to it. */
static void session_unlink(struct metad *m, struct metad_session *sn)
{
	HASH_DEL(m->sessions, sn);
	HASH_DELETE(hh_id, m->sessions_by_id, sn);
	metad_leases_unlink(m, sn);
	sn->gone = true;
	if (!sn->conns)
		free(sn);
}

static void conn_detach(struct metad_conn *c)
{
	struct metad_session *sn = c->session;

	if (!sn)
		return;
	c->session = NULL;
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	sn->conns--;
	sn->seen_ns = flint_now_ns();
	if (sn->gone && !sn->conns)
		free(sn);
}

/* In place of the entry of a connection that is gone: calls of it may still come to an end. */
static struct metad_conn conn_gone;

void metad_sessions_drop(struct metad *m)
{
	struct metad_session *sn, *tmp;

	HASH_ITER(hh, m->sessions, sn, tmp)
		session_unlink(m, sn);
}

void metad_sessions_free(struct metad *m)
{
	struct metad_conn *c, *c_tmp;

	HASH_ITER(hh, m->conns, c, c_tmp) {
		HASH_DEL(m->conns, c);
		conn_detach(c);
		flint_conn_set_priv(c->conn, &conn_gone);
		free(c);
	}
	metad_sessions_drop(m);
}

static void conn_attach(struct metad_conn *c, struct metad_session *sn)
{
	conn_detach(c);
	c->session = sn;
	c->fresh = true;
	c->next = sn->conn_list;
	c->prev = &sn->conn_list;
	if (c->next)
		c->next->prev = &c->next;
	sn->conn_list = c;
	sn->conns++;
}

/* The connection's entry, with its client's session if there is one. */
static struct metad_conn *conn_get(struct metad *m, struct flint_conn *conn)
{
	struct metad_conn *c = flint_conn_priv(conn);
	struct metad_session *sn;

	if (c && c->session && !c->session->gone)
		return c;
	if (c == &conn_gone)
		return NULL;
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return NULL;
		flint_conn_set_priv(conn, c);
		c->conn = conn;
		memcpy(c->client, flint_conn_info(conn)->client_id, sizeof(c->client));
		HASH_ADD_PTR(m->conns, conn, c);
	}
	HASH_FIND(hh, m->sessions, c->client, sizeof(c->client), sn);
	if (sn)
		conn_attach(c, sn);
	return c;
}

int metad_session_get(struct metad *m, struct flint_call *call, u64 *sid, u32 *fs)
{
	struct metad_conn *c;
	int err = -ENOENT;

	c = conn_get(m, call->conn);
	if (c && c->session && !c->session->gone) {
		c->session->seen_ns = flint_conn_now(call->conn);
		*sid = c->session->id;
		*fs = c->session->fs;
		err = 0;
	}
	return err;
}

struct metad_session *metad_session_by_id(struct metad *m, u64 sid)
{
	struct metad_session *sn;

	HASH_FIND(hh_id, m->sessions_by_id, &sid, sizeof(sid), sn);
	return sn;
}

bool metad_conn_fresh(struct metad *m, struct flint_conn *conn)
{
	struct metad_conn *c = conn_get(m, conn);
	bool fresh = c && c->fresh;

	if (c)
		c->fresh = false;
	return fresh;
}

/* A mount that does nothing but answer is there, too. */
void metad_conn_opened(void *arg, struct flint_conn *conn)
{
	struct metad *m = arg;

	conn_get(m, conn);
}

int metad_sessions_load(struct metad *m)
{
	struct meta_session *s, *s_tmp;
	struct metad_conn *c, *c_tmp;

	HASH_ITER(hh, m->store.by_client, s, s_tmp) {
		struct metad_session *sn = session_new(m, s->id, s->client, s->fs);

		if (!sn)
			return -ENOMEM;
		sn->flags = s->flags;
	}
	/* A mount that is connected is there, even if it asks for nothing. */
	HASH_ITER(hh, m->conns, c, c_tmp)
		conn_get(m, c->conn);
	return 0;
}

void metad_session_opened(struct metad *m, u64 sid, const u8 client[16], u32 fs,
			  struct flint_conn *conn)
{
	const struct meta_session *s = meta_session_by_id(&m->store, sid);
	struct metad_session *sn;

	HASH_FIND(hh, m->sessions, client, 16, sn);
	if (!sn)
		sn = session_new(m, sid, client, fs);
	if (!sn) {
		flint_err_rl("no memory for a session: it will work after a restart");
		return;
	}
	sn->seen_ns = flint_now_ns();
	sn->flags = s ? s->flags : 0;
	metad_leases_session(m, sn);
	/* The connection that asked was there before its session. */
	if (conn)
		conn_get(m, conn);
}

void metad_session_ended(struct metad *m, u64 sid)
{
	struct metad_session *sn = metad_session_by_id(m, sid);

	if (sn)
		session_unlink(m, sn);
	metad_leases_gone(m, sid);
	metad_locks_gone(m, sid);
}

void metad_conn_closed(void *arg, struct flint_conn *conn)
{
	struct metad *m = arg;
	struct metad_conn *c = flint_conn_priv(conn);

	flint_conn_set_priv(conn, &conn_gone);
	if (c) {
		HASH_DEL(m->conns, c);
		conn_detach(c);
		free(c);
	}
}

/*
 * On failure it is proposed again, for as long as it takes: the log's disk may be full, or the lead
 * on its way to another replica and come back.
 */
static void expired(struct metad *m, u64 sid, u32 status, void *priv)
{
	struct metad_session *sn = metad_session_by_id(m, sid);

	if (!status) {
		metad_session_ended(m, sid);
		metad_reaper_poke(m);
	} else if (sn) {
		sn->again = true;
	}
}

/*
 * It is over but for the sizes that it may keep. One that has not said to this leader what it holds
 * says nothing any more: it had the write lease of each file it could have had that on, and nobody
 * else waits.
 */
static int session_shed(struct metad *m, struct metad_session *sn)
{
	struct lease_table *t = metad_lease_table(m);
	int i, nr = 0;
	u64 *inos;

	if (lease_must_reclaim(t, sn->id)) {
		nr = metad_written(sn, &inos);
		if (nr < 0)
			return nr;
		for (i = 0; i < nr; i++)
			lease_reclaim(t, sn->id, inos[i], FLINT_LEASE_WRITE, flint_now_ns());
		free(inos);
	}
	lease_session_shed(t, sn->id);
	lease_reclaimed(t, sn->id);
	return 0;
}

void metad_session_fenced(struct metad *m, u64 sid)
{
	struct metad_session *sn = metad_session_by_id(m, sid);

	if (!sn)
		return;
	if (!sn->fenced && session_shed(m, sn)) {
		sn->again = true;
		return;
	}
	sn->fenced = true;
	metad_locks_gone(m, sid);
	if (metad_settle(m, sn))
		sn->again = true;
}

void metad_session_settled(struct metad *m, u64 sid)
{
	struct metad_session *sn = metad_session_by_id(m, sid);

	if (sn && metad_propose_own(m, META_OP_EXPIRE, sid, 0, expired, NULL))
		sn->again = true;
}

/* From the beginning, or from the fence if that is there. The session may be gone then. */
static void session_end(struct metad *m, struct metad_session *sn)
{
	sn->again = false;
	if (sn->fenced)
		metad_session_fenced(m, sn->id);
	else if (metad_fence(m, sn))
		sn->again = true;
}

void metad_session_expire(struct metad *m, struct metad_session *sn, const char *why)
{
	if (sn->expiring || sn->gone)
		return;
	flint_info("session %llu is to end: %s; its open files are closed",
		   (unsigned long long)sn->id, why);
	sn->expiring = true;
	session_end(m, sn);
}

bool metad_session_owes(struct metad *m, u64 sid)
{
	struct metad_session *sn = metad_session_by_id(m, sid);

	if (!sn || !sn->writes || !(sn->flags & FLINT_SESSION_LEASES))
		return false;
	metad_session_expire(m, sn, "it ended with files open for writing");
	return true;
}

void metad_sessions_unheard(struct metad *m, u64 now, u64 ns)
{
	struct metad_session *sn, *tmp;

	HASH_ITER(hh, m->sessions, sn, tmp)
		sn->seen_ns = sn->seen_ns + ns < now ? sn->seen_ns + ns : now;
}

/*
 * A session with leases is alive while it asks; any other one while it is
 * connected, as its mount may have nothing to ask.
 */
void metad_sessions_expire(struct metad *m)
{
	u64 now = flint_now_ns(), lease = m->lease_ms * 1000000ull;
	struct metad_session *sn, *tmp;
	char why[64];

	snprintf(why, sizeof(why), "it was silent for %u ms", m->lease_ms);
	HASH_ITER(hh, m->sessions, sn, tmp) {
		if (sn->again)
			session_end(m, sn);
		else if ((!sn->conns || (sn->flags & FLINT_SESSION_LEASES)) &&
			 now - sn->seen_ns >= lease)
			metad_session_expire(m, sn, why);
	}
}
