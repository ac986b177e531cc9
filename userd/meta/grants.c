// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sessions and their leases on the wire; see grants.h.
 *
 * Recalls gather in their session until the end of the loop's iteration, then
 * go out in pushes of up to FLINT_LEASE_RECS_MAX. What does not fit the window
 * of pushes, or finds no connection, stays with the session: it goes when a
 * push is taken, or when the session renews itself on a new connection (then
 * everything that is still being recalled is said again).
 *
 * Every leadership has a number, the epoch, which is random: returns and
 * reclaims name the one they are about.
 */
#include <errno.h>
#include <stdlib.h>
#include "grants.h"
#include "locks.h"
#include "../base/daemon.h"
#include "../base/log.h"

/* An open handle for writing, as the log has it. */
struct metad_whandle {
	struct {
		u64 sid, handle;
	} key;
	u64 ino;
	struct metad_whandle *next, **prev;	/* of the session */
	UT_hash_handle hh;
};

struct metad_leases {
	struct metad_whandle *writes;
	struct lease_table *table;
	u64 epoch;
	bool leading;
	struct metad_session *flush;	/* sessions with recalls to push */
	struct flint_task task;
	bool posted;
};

struct lease_table *metad_lease_table(struct metad *m)
{
	return m->leases->table;
}

u64 metad_lease_epoch(const struct metad *m)
{
	return m->leases->epoch;
}

/* ---- recalls -------------------------------------------------------------------- */

/* Return: false when the session has to wait (window full, nobody connected). */
static bool push_some(struct metad *m, struct metad_session *sn)
{
	struct {
		struct flint_lease_list l;
		struct flint_lease_rec rec[FLINT_LEASE_RECS_MAX];
	} b = { .l = { .fixed_len = cpu_to_le32(sizeof(b.l)),
		       .epoch = cpu_to_le64(m->leases->epoch) } };
	u32 n = sn->nr_recalls < FLINT_LEASE_RECS_MAX ? sn->nr_recalls : FLINT_LEASE_RECS_MAX;
	struct metad_conn *c;

	memcpy(b.rec, sn->recalls, n * sizeof(b.rec[0]));
	b.l.nr = cpu_to_le32(n);
	for (c = sn->conn_list; c; c = c->next)
		if (!flint_conn_push(c->conn, FLINT_OP_LEASE_RECALL, &b,
				     sizeof(b.l) + n * sizeof(b.rec[0])))
			break;
	if (!c)
		return false;
	sn->nr_recalls -= n;
	memmove(sn->recalls, sn->recalls + n, sn->nr_recalls * sizeof(b.rec[0]));
	return true;
}

static void session_push(struct metad *m, struct metad_session *sn)
{
	while (sn->nr_recalls && push_some(m, sn))
		;
}

static void flush_run(struct flint_task *t)
{
	struct metad_leases *l = (struct metad_leases *)
		((char *)t - offsetof(struct metad_leases, task));
	struct metad_session *sn;

	l->posted = false;
	while ((sn = l->flush)) {
		l->flush = sn->flush_next;
		sn->flushing = false;
		session_push(sn->m, sn);
	}
}

static void flush_unlink(struct metad_leases *l, struct metad_session *sn)
{
	struct metad_session **link;

	if (!sn->flushing)
		return;
	for (link = &l->flush; *link != sn; link = &(*link)->flush_next)
		;
	*link = sn->flush_next;
	sn->flushing = false;
}

/*
 * Without memory for it the recall is forgotten here, but not by the table: the
 * session's lease ends it.
 */
static void on_recall(void *arg, u64 sid, u64 ino, u32 kinds, u64 seq)
{
	struct metad *m = arg;
	struct metad_session *sn = metad_session_by_id(m, sid);

	if (!sn || sn->gone)
		return;
	if (sn->nr_recalls == sn->cap_recalls) {
		u32 cap = sn->cap_recalls ? 2 * sn->cap_recalls : 16;
		void *p = realloc(sn->recalls, cap * sizeof(*sn->recalls));

		if (!p)
			return;
		sn->recalls = p;
		sn->cap_recalls = cap;
	}
	sn->recalls[sn->nr_recalls++] = (struct flint_lease_rec){
		.ino = cpu_to_le64(ino), .seq = cpu_to_le64(seq), .kinds = cpu_to_le32(kinds) };
	if (!sn->flushing) {
		sn->flushing = true;
		sn->flush_next = m->leases->flush;
		m->leases->flush = sn;
	}
	if (!m->leases->posted) {
		m->leases->posted = true;
		flint_loop_post(m->loop, &m->leases->task);
	}
}

static void on_expire(void *arg, u64 sid)
{
	struct metad *m = arg;
	struct metad_session *sn = metad_session_by_id(m, sid);

	if (sn)
		metad_session_expire(m, sn, "it did not give back a lease in time");
}

static void on_ready(void *arg, struct lease_change *c)
{
	if (c->own)
		metad_own_ready(c);
	else
		metad_change_ready(c);
}

static void on_grace_over(void *arg)
{
	flint_info("all sessions have said what they hold");
}

static const struct lease_ops ops = {
	.recall = on_recall, .expire = on_expire, .ready = on_ready, .grace_over = on_grace_over,
};

/* ---- sessions -------------------------------------------------------------------- */

void metad_leases_session(struct metad *m, struct metad_session *sn)
{
	if (!(sn->flags & FLINT_SESSION_LEASES) || !m->leases->leading)
		return;
	if (metad_hints_load(m, sn) || lease_session_add(m->leases->table, sn->id, false, NULL))
		flint_err_rl("no memory for the leases of a session: it gets none");
}

void metad_leases_gone(struct metad *m, u64 sid)
{
	lease_session_del(m->leases->table, sid);
}

/* ---- writers ------------------------------------------------------------------------ */

void metad_writer_opened(struct metad *m, u64 sid, u64 handle, u64 ino)
{
	struct metad_session *sn = metad_session_by_id(m, sid);
	struct metad_whandle *w, tmpl = { .key = { sid, handle } };

	HASH_FIND(hh, m->leases->writes, &tmpl.key, sizeof(tmpl.key), w);
	if (w || !sn)
		return;		/* a repeated request, or over already */
	w = calloc(1, sizeof(*w));
	if (!w || lease_writer_add(m->leases->table, ino, sid)) {
		free(w);
		lease_give_up(m->leases->table);
		return;
	}
	w->key = tmpl.key;
	w->ino = ino;
	w->next = sn->writes;
	w->prev = &sn->writes;
	if (w->next)
		w->next->prev = &w->next;
	sn->writes = w;
	HASH_ADD(hh, m->leases->writes, key, sizeof(w->key), w);
}

static void writer_drop(struct metad *m, struct metad_whandle *w)
{
	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	HASH_DEL(m->leases->writes, w);
	lease_writer_del(m->leases->table, w->ino, w->key.sid);
	free(w);
}

void metad_writer_closed(struct metad *m, u64 sid, u64 handle)
{
	struct metad_whandle *w, tmpl = { .key = { sid, handle } };

	HASH_FIND(hh, m->leases->writes, &tmpl.key, sizeof(tmpl.key), w);
	if (w)
		writer_drop(m, w);
}

static int by_number(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

int metad_written(const struct metad_session *sn, u64 **inos)
{
	const struct metad_whandle *w;
	u32 n = 0, i, nr = 0;

	for (w = sn->writes; w; w = w->next)
		n++;
	*inos = malloc((n + 1) * sizeof(**inos));
	if (!*inos)
		return -ENOMEM;
	for (w = sn->writes, n = 0; w; w = w->next)
		(*inos)[n++] = w->ino;
	qsort(*inos, n, sizeof(**inos), by_number);
	for (i = 0; i < n; i++)
		if (!i || (*inos)[i] != (*inos)[i - 1])
			(*inos)[nr++] = (*inos)[i];
	return nr;
}

void metad_leases_unlink(struct metad *m, struct metad_session *sn)
{
	while (sn->writes)
		writer_drop(m, sn->writes);
	flush_unlink(m->leases, sn);
	metad_hints_unlink(m, sn);
	free(sn->recalls);
	sn->recalls = NULL;
	sn->nr_recalls = sn->cap_recalls = 0;
}

u32 metad_leases_gate(struct metad *m, struct flint_call *call, u64 sid)
{
	const struct metad_session *sn = metad_session_by_id(m, sid);

	if (sn && sn->expiring)
		return FLINT_ST_FENCED;
	if (lease_muted(m->leases->table, sid))
		call->lease = FLINT_LEASE_NO_RENEWAL;
	switch (call->msg.op) {
	case FLINT_OP_SESSION_CLOSE:
	case FLINT_OP_SESSION_RENEW:
	case FLINT_OP_SESSION_RECLAIM:
		return FLINT_OK;
	}
	return lease_must_reclaim(m->leases->table, sid) ? FLINT_ST_RECLAIM : FLINT_OK;
}

/* ---- grants ------------------------------------------------------------------------- */

/*
 * While data is being cut, chunk servers refuse the epoch that is still the inode's. What becomes
 * dirty under a lease now could not be written back before that has ended, and that waits for the
 * lease.
 */
static bool cutting(struct metad *m, u64 ino)
{
	struct meta_intent it;

	return meta_intent_get(&m->store, ino, &it);
}

void metad_grant(struct metad *m, const struct flint_call *call, u64 sid, u64 ino, u32 kinds,
		 struct metad_grants *g)
{
	const struct meta_inode *i;
	u32 granted;
	u64 seq;

	kinds &= call->msg.lease;
	/* What was removed changes by commands of the server alone: nothing is to be kept of it. */
	if (meta_inode_peek(&m->store, ino, &i) || !i->nlink || (i->flags & META_INO_TRASH))
		return;
	/* Under a limit every byte is asked for before it is acknowledged. */
	if ((kinds & FLINT_LEASE_WRITE) && meta_size_limited(&m->store, i))
		kinds &= ~FLINT_LEASE_WRITE;
	if (kinds && cutting(m, ino))
		return;
	/* Who made the directory knows its names, as long as there are none by others. */
	if ((kinds & FLINT_LEASE_DIR_WRITE) && (i->size || !metad_may_delegate(m, sid, i)))
		kinds &= ~FLINT_LEASE_DIR_WRITE;
	if (!kinds || call->lease || g->nr == FLINT_LEASE_GRANTS_MAX || !flint_conn_info(call->conn)->pushes ||
	    !metad_hint(m, sid, ino))
		return;
	seq = lease_grant(m->leases->table, sid, ino, kinds, flint_now_ns(), &granted);
	if (!seq)
		return;
	g->g[g->nr++] = (struct flint_lease_grant){
		.ino = cpu_to_le64(ino), .seq = cpu_to_le64(seq), .kinds = cpu_to_le32(granted) };
}

u32 metad_grants_put(struct flint_call *call, const struct metad_grants *g, void *body, u32 len)
{
	memcpy((u8 *)body + len, g->g, g->nr * sizeof(g->g[0]));
	call->lease |= g->nr;
	return len + g->nr * sizeof(g->g[0]);
}

/* The record loses its attributes; its name moves up, its length stays. */
static void entry_strip(u8 *rec)
{
	struct flint_dirent d;

	memcpy(&d, rec, sizeof(d));
	memmove(rec + sizeof(d), rec + sizeof(d) + sizeof(struct flint_attr),
		le16_to_cpu(d.name_len));
	d.has_attr = 0;
	memcpy(rec, &d, sizeof(d));
}

void metad_grant_entries(struct metad *m, const struct flint_call *call, u64 sid, u8 *buf, u32 len,
			 struct metad_grants *g)
{
	bool want = (call->msg.lease & FLINT_LEASE_READ) && !call->lease && flint_conn_info(call->conn)->pushes &&
		    g->nr < FLINT_LEASE_GRANTS_MAX;
	struct lease_table *t = m->leases->table;
	const struct flint_attr *attr;
	u64 seq = 0, now = flint_now_ns();
	struct flint_dirent d;
	u32 pos = 0, at = 0;
	const u8 *name;
	bool any = false;

	while (flint_dirent_next(buf, len, &pos, &d, &attr, &name) > 0) {
		u8 *rec = buf + at;
		u64 ino = le64_to_cpu(d.ino);

		at = pos;
		if (!attr)
			continue;
		if (lease_hides(t, sid, ino, LEASE_SEE_ATTR)) {
			entry_strip(rec);
			continue;
		}
		if (!want || cutting(m, ino) || !metad_hint(m, sid, ino))
			continue;
		if (!seq)
			seq = lease_number(t, sid);
		if (!seq || !lease_grant_at(t, sid, ino, FLINT_LEASE_READ, now, seq))
			continue;
		((struct flint_dirent *)rec)->has_attr |= FLINT_DIRENT_LEASE;
		any = true;
	}
	if (any)
		g->g[g->nr++] = (struct flint_lease_grant){
			.seq = cpu_to_le64(seq), .kinds = cpu_to_le32(FLINT_LEASE_READ) };
}

/* ---- requests ------------------------------------------------------------------------- */

static void malformed(struct flint_call *call)
{
	flint_conn_kill(call->conn, "malformed lease request");
	flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
}

static void do_return(struct metad *m, struct flint_call *call, u64 sid)
{
	struct flint_lease_list list;
	struct flint_lease_rec rec;
	const u8 *recs;
	u32 i;

	if (flint_lease_list_get(call->msg.body, call->msg.body_len, &list, &recs) ||
	    flint_conn_push_taken(call->conn, le64_to_cpu(list.push))) {
		malformed(call);
		return;
	}
	flint_call_reply(call, FLINT_OK, NULL, 0, NULL, 0, 0);
	for (i = 0; i < le32_to_cpu(list.nr) && le64_to_cpu(list.epoch) == m->leases->epoch; i++) {
		memcpy(&rec, recs + i * sizeof(rec), sizeof(rec));
		if (flint_lease_rec_ok(&rec))
			lease_return(m->leases->table, sid, le64_to_cpu(rec.ino),
				     le32_to_cpu(rec.kinds), le64_to_cpu(rec.seq));
	}
	metad_leases_push(m, sid);
	metad_locks_again(m, metad_session_by_id(m, sid));
}

void metad_leases_push(struct metad *m, u64 sid)
{
	struct metad_session *sn = metad_session_by_id(m, sid);

	if (sn && !sn->gone)
		session_push(m, sn);
}

static void do_renew(struct metad *m, struct flint_call *call, u64 sid)
{
	struct lease_table *t = m->leases->table;
	struct metad_session *sn = metad_session_by_id(m, sid);
	struct flint_session_renewed rep = {
		.epoch = cpu_to_le64(m->leases->epoch), .lease_ms = cpu_to_le32(m->lease_ms),
		.seq = cpu_to_le64(lease_session_seq(t, sid)),
	};

	if (lease_must_reclaim(t, sid))
		rep.flags |= cpu_to_le32(FLINT_RENEWED_RECLAIM);
	if (lease_in_grace(t))
		rep.flags |= cpu_to_le32(FLINT_RENEWED_GRACE);
	flint_call_reply(call, FLINT_OK, &rep, sizeof(rep), NULL, 0, 0);
	if (sn && metad_conn_fresh(m, call->conn)) {
		sn->nr_recalls = 0;
		lease_recall_again(t, sid);
		metad_locks_again(m, sn);
	}
}

/* Leases, then locks; the answer in the same order. */
static void do_reclaim(struct metad *m, struct flint_call *call, u64 sid)
{
	struct lease_table *t = m->leases->table;
	const u8 *p = call->msg.body;
	u32 left = call->msg.body_len, i, nr, nr_locks;
	u8 body[FLINT_CTRL_SIZE - sizeof(struct flint_hdr)];
	struct flint_reclaimed rep = { .fixed_len = cpu_to_le32(sizeof(rep)) };
	struct flint_lease_rec rec;
	struct flint_reclaim b;
	struct flint_lock lk;
	u8 *out = body + sizeof(rep);

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), p, left, &p, &left))
		goto bad;
	nr = le32_to_cpu(b.nr_leases);
	nr_locks = le32_to_cpu(b.nr_locks);
	if (nr > FLINT_LEASE_RECS_MAX || nr_locks > FLINT_RECLAIM_LOCKS_MAX ||
	    left != nr * sizeof(rec) + nr_locks * sizeof(lk))
		goto bad;
	if (le64_to_cpu(b.epoch) != m->leases->epoch) {
		flint_call_reply(call, FLINT_ST_RECLAIM, NULL, 0, NULL, 0, 0);
		return;
	}
	for (i = 0; i < nr; i++, p += sizeof(rec), out += sizeof(rec)) {
		u64 seq = 0;

		memcpy(&rec, p, sizeof(rec));
		if (flint_lease_rec_ok(&rec))
			seq = lease_reclaim(t, sid, le64_to_cpu(rec.ino), le32_to_cpu(rec.kinds),
					    flint_now_ns());
		rec.seq = cpu_to_le64(seq);
		if (!seq)
			rec.kinds = 0;
		memcpy(out, &rec, sizeof(rec));
	}
	for (i = 0; i < nr_locks; i++, p += sizeof(lk)) {
		memcpy(&lk, p, sizeof(lk));
		*out++ = metad_lock_reclaim(m, sid, &lk);
	}
	rep.nr_leases = cpu_to_le32(nr);
	rep.nr_locks = cpu_to_le32(nr_locks);
	memcpy(body, &rep, sizeof(rep));
	flint_call_reply(call, FLINT_OK, body, out - body, NULL, 0, 0);
	if (le32_to_cpu(b.flags) & FLINT_RECLAIM_DONE)
		lease_reclaimed(t, sid);
	return;
bad:
	malformed(call);
}

void metad_lease_request(struct metad *m, struct flint_call *call, u64 sid)
{
	switch (call->msg.op) {
	case FLINT_OP_LEASE_RETURN:
		do_return(m, call, sid);
		break;
	case FLINT_OP_SESSION_RENEW:
		do_renew(m, call, sid);
		break;
	default:
		do_reclaim(m, call, sid);
	}
}

/* ---- leadership ------------------------------------------------------------------------- */

/* Its handles for writing, as the state has them. */
static int session_writers(struct metad *m, u64 sid)
{
	struct meta_handle h = { 0 };
	int err;

	while ((err = meta_handle_next(&m->store, sid, h.id, &h)) == 1)
		if (h.flags & FLINT_OPEN_WRITE)
			metad_writer_opened(m, sid, h.id, h.ino);
	return err;
}

void metad_leases_lead(struct metad *m)
{
	struct metad_leases *l = m->leases;
	struct metad_session *sn, *tmp;
	int err = 0;

	flint_random(&l->epoch, sizeof(l->epoch));
	l->epoch |= 1;
	l->leading = true;
	lease_start(l->table);
	HASH_ITER(hh, m->sessions, sn, tmp) {
		sn->seen_ns = flint_now_ns();
		sn->nr_recalls = 0;
		if (!err && (sn->flags & FLINT_SESSION_LEASES))
			err = metad_hints_load(m, sn);
		if (!err && (sn->flags & FLINT_SESSION_LEASES))
			err = lease_session_add(l->table, sn->id, true,
						sn->hints_all ? NULL : sn->hints);
		if (!err)
			err = session_writers(m, sn->id);
	}
	if (err) {
		flint_err("not all that sessions hold can be kept account of: nothing is granted");
		lease_give_up(l->table);
	}
	lease_start_end(l->table);
}

void metad_leases_follow(struct metad *m)
{
	m->leases->leading = false;
	lease_stop(m->leases->table);
	metad_changes_fail(m);
	metad_owns_fail(m);
}

struct metad_leases *metad_leases_new(struct metad *m, u32 max)
{
	struct lease_config cfg = {
		.lease_ms = m->lease_ms, .max_leases = max, .ops = &ops, .arg = m };
	struct metad_leases *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->table = lease_new(&cfg);
	if (!l->table) {
		free(l);
		return NULL;
	}
	l->task.fn = flush_run;
	return l;
}

void metad_leases_free(struct metad *m)
{
	if (!m->leases)
		return;
	lease_free(m->leases->table);
	free(m->leases);
	m->leases = NULL;
}
