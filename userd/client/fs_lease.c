// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A session and its leases: renewal, trust, recalls, a change of leader.
 *
 *	NEW ----- RENEW answered ------> HELD <------------------+
 *	HELD ---- RENEW or a request says: another leader -----> RECLAIM
 *	RECLAIM - SESSION_RECLAIM, last part answered ---------> HELD
 *	any ----- the session is gone -> LOST: everything kept is forgotten
 *
 * Trust: what is kept may be used until 2/3 of the session lease after the
 * moment at which the last answered request was sent. Losing trust is not
 * losing leases: an answer that comes later shows that the session lives.
 *
 * A metadata server that does not answer is left when another one turns out to
 * lead: every second without an answer, the next one of the map is asked. Who
 * holds something and asks for nothing renews each second all the same: a new
 * leader lets nobody change what such a session may hold before it has said so.
 */
#include <errno.h>
#include <stdlib.h>
#include "../base/log.h"
#include "fs_delegate.h"
#include "fs_lease.h"
#include "fs_write.h"

#define TICK_MS		250
#define SILENT_NS	1000000000ull
#define IDLE_NS		1000000000ull

/* LEASE_RETURN on its way. */
struct give_back {
	struct flint_rpc rpc;
	struct {
		struct flint_lease_list l;
		struct flint_lease_rec rec[FLINT_LEASE_RECS_MAX];
	} body;
};

/* An operation that the cache asked for. */
struct own_op {
	struct flint_meta_req req;
	struct flint_fs *fs;
};

bool fs_lease_trusted(const struct flint_fs *fs)
{
	return fs->cache && fs->renewed_ns &&
	       flint_now_ns() - fs->renewed_ns < fs->lease_ms * 1000000ull / 3 * 2;
}

/* ---- returns ----------------------------------------------------------------------- */

static void gave_back(struct flint_rpc *rpc)
{
	free(rpc->priv);	/* lost with its connection: the recall is repeated */
}

static void returns_send(struct flint_fs *fs)
{
	struct flint_peer *peer = flint_cluster_peer(fs->cluster, fs->meta_node, NULL);
	struct give_back *g = peer ? calloc(1, sizeof(*g)) : NULL;
	uint32_t n = fs->nr_returns < FLINT_LEASE_RECS_MAX ? fs->nr_returns : FLINT_LEASE_RECS_MAX;

	if (g) {
		g->body.l.fixed_len = cpu_to_le32(sizeof(g->body.l));
		g->body.l.nr = cpu_to_le32(n);
		g->body.l.push = cpu_to_le64(flint_peer_pushes(peer));
		g->body.l.epoch = cpu_to_le64(fs->lease_epoch);
		if (n)	/* none: only says how far the pushes were heard */
			memcpy(g->body.rec, fs->returns, n * sizeof(g->body.rec[0]));
		g->rpc = (struct flint_rpc){
			.op = FLINT_OP_LEASE_RETURN, .body = &g->body, .eager = true,
			.body_len = sizeof(g->body.l) + n * sizeof(g->body.rec[0]),
			.done = gave_back, .priv = g,
		};
		fs->requests++;
		flint_peer_call(peer, &g->rpc);
	}
	fs->nr_returns -= n;
	if (fs->nr_returns)
		memmove(fs->returns, fs->returns + n, fs->nr_returns * sizeof(fs->returns[0]));
}

static void returns_run(struct flint_task *t)
{
	struct flint_fs *fs = (struct flint_fs *)((char *)t - offsetof(struct flint_fs, return_task));

	fs->return_posted = false;
	if (fs->closing)
		return;
	do
		returns_send(fs);
	while (fs->nr_returns);
}

static void returns_post(struct flint_fs *fs)
{
	if (fs->return_posted || fs->closing)
		return;
	fs->return_posted = true;
	fs->return_task.fn = returns_run;
	flint_loop_post(fs->loop, &fs->return_task);
}

static void on_give_back(void *arg, uint64_t ino, uint32_t kinds, uint64_t seq)
{
	struct flint_fs *fs = arg;

	if (fs->nr_returns == fs->cap_returns) {
		uint32_t cap = fs->cap_returns ? 2 * fs->cap_returns : 32;
		void *p = realloc(fs->returns, cap * sizeof(fs->returns[0]));

		if (!p)
			return;	/* the recall will be repeated, or ends with the session */
		fs->returns = p;
		fs->cap_returns = cap;
	}
	fs->returns[fs->nr_returns++] = (struct flint_lease_rec){
		.ino = cpu_to_le64(ino), .seq = cpu_to_le64(seq), .kinds = cpu_to_le32(kinds) };
	returns_post(fs);
}

/* ---- files opened without a request -------------------------------------------------- */

static void own_done(struct flint_meta_req *req)
{
	struct own_op *o = req->priv;

	/* The server has the file open until it is told, and nobody else will. */
	if (req->op == FLINT_META_CLOSE && (req->err == -ETIMEDOUT || req->err == -EAGAIN) &&
	    !o->fs->closing) {
		flint_meta_submit(req);
		return;
	}
	if (req->op == FLINT_META_OPEN)
		cache_registered(o->fs->cache, req->ino, req->err ? 0 : req->handle);
	free(o);
}

static void own_start(struct flint_fs *fs, enum flint_meta_op op, uint64_t ino, uint64_t handle)
{
	struct own_op *o = fs->closing ? NULL : calloc(1, sizeof(*o));

	if (!o) {
		if (op == FLINT_META_OPEN)
			cache_registered(fs->cache, ino, 0);
		return;
	}
	o->fs = fs;
	o->req = (struct flint_meta_req){
		.fs = fs, .op = op, .ino = ino, .handle = handle, .nocache = true,
		.flags = op == FLINT_META_OPEN ? FLINT_OPEN_READ : 0, .done = own_done, .priv = o,
	};
	flint_meta_submit(&o->req);
}

static void on_register_open(void *arg, uint64_t ino)
{
	own_start(arg, FLINT_META_OPEN, ino, 0);
}

static void on_close_handle(void *arg, uint64_t ino, uint64_t handle)
{
	own_start(arg, FLINT_META_CLOSE, ino, handle);
}

void fs_lease_close_later(struct flint_fs *fs, uint64_t ino, uint64_t handle)
{
	own_start(fs, FLINT_META_CLOSE, ino, handle);
}

static const struct cache_ops ops = {
	.give_back = on_give_back, .register_open = on_register_open,
	.close_handle = on_close_handle,
};

/* ---- recalls -------------------------------------------------------------------------- */

void fs_lease_push(void *arg, uint32_t node, const struct flint_msg *m)
{
	struct flint_fs *fs = arg;
	struct flint_lease_list list;
	struct flint_lease_rec rec;
	const uint8_t *recs;
	uint32_t i;

	if (m->op == FLINT_OP_LOCK_EVENT) {
		fs_lock_event(fs, m);
	} else if (m->op == FLINT_OP_LEASE_RECALL && fs->cache &&
		   !flint_lease_list_get(m->body, m->body_len, &list, &recs) &&
		   le64_to_cpu(list.epoch) == fs->lease_epoch) {
		for (i = 0; i < le32_to_cpu(list.nr); i++) {
			memcpy(&rec, recs + i * sizeof(rec), sizeof(rec));
			if (!flint_lease_rec_ok(&rec))
				continue;
			fs->st_recalls++;
			if (fs_delegate_recalled(fs, &rec) || fs_write_recalled(fs, &rec))
				continue;
			cache_recall(fs->cache, le64_to_cpu(rec.ino), le32_to_cpu(rec.kinds),
				     le64_to_cpu(rec.seq));
		}
	}
	/* Says at least that the push was taken. */
	returns_post(fs);
}

/* ---- reclaim --------------------------------------------------------------------------- */

struct collect {
	struct flint_fs *fs;
	uint32_t cap;
	bool failed;
};

static bool collect_one(void *arg, uint64_t ino, uint32_t kinds, uint64_t seq)
{
	struct collect *co = arg;
	struct flint_fs *fs = co->fs;

	if (fs->nr_reclaim == co->cap) {
		void *p = realloc(fs->reclaim, (co->cap = co->cap ? 2 * co->cap : 64) *
				  sizeof(fs->reclaim[0]));

		if (!p) {
			co->failed = true;
			return false;
		}
		fs->reclaim = p;
	}
	fs->reclaim[fs->nr_reclaim++] = (struct flint_lease_rec){
		.ino = cpu_to_le64(ino), .seq = cpu_to_le64(seq), .kinds = cpu_to_le32(kinds) };
	return true;
}

static void reclaim_end(struct flint_fs *fs)
{
	fs->reclaiming = false;
	free(fs->reclaim);
	fs->reclaim = NULL;
	fs->nr_reclaim = fs->at_reclaim = 0;
}

static void reclaim_send(struct flint_fs *fs);

/* New numbers for what was just named. Return: false when the answer makes no sense. */
static bool reclaim_take(struct flint_fs *fs, const struct flint_rpc *rpc)
{
	struct flint_reclaimed rep;
	struct flint_lease_rec rec;
	const uint8_t *p;
	uint32_t len, i, nr;

	if (flint_body_get_var(&rep, sizeof(rep), sizeof(rep), rpc->rep_body, rpc->rep_len, &p,
			       &len))
		return false;
	nr = le32_to_cpu(rep.nr_leases);
	if (nr != fs->sent_reclaim || len < nr * sizeof(rec) + fs->sent_locks ||
	    le32_to_cpu(rep.nr_locks) != fs->sent_locks)
		return false;
	for (i = 0; i < nr; i++, p += sizeof(rec)) {
		memcpy(&rec, p, sizeof(rec));
		if (rec.kinds)
			fs->st_reclaimed++;
		cache_renumber(fs->cache, le64_to_cpu(rec.ino), le32_to_cpu(rec.kinds),
			       le64_to_cpu(rec.seq));
	}
	fs_lock_reclaimed(fs, p, fs->sent_locks);
	return true;
}

static void reclaim_done(struct flint_rpc *rpc)
{
	struct flint_fs *fs = rpc->priv;

	fs->reclaim_open = false;
	if (fs->closing)
		return;
	if (rpc->err || rpc->status || !reclaim_take(fs, rpc)) {
		/* Whoever leads now tells at the next renewal. */
		reclaim_end(fs);
		fs->lease_epoch = 0;
		if (rpc->status == FLINT_ST_NO_SESSION || rpc->status == FLINT_ST_FENCED)
			fs_lease_lost(fs);
		return;
	}
	fs_lease_answered(fs, rpc);
	fs->at_reclaim += fs->sent_reclaim;
	if (fs->reclaim_last)
		reclaim_end(fs);
	else
		reclaim_send(fs);
}

static void reclaim_send(struct flint_fs *fs)
{
	struct reclaim_body *b = &fs->reclaim_body;
	uint32_t n = fs->nr_reclaim - fs->at_reclaim, locks = 0;
	uint8_t *p = b->recs;

	if (n > FLINT_LEASE_RECS_MAX)
		n = FLINT_LEASE_RECS_MAX;
	if (n)
		memcpy(p, fs->reclaim + fs->at_reclaim, n * sizeof(fs->reclaim[0]));
	p += n * sizeof(fs->reclaim[0]);
	if (!n)
		locks = fs_lock_reclaim(fs, (struct flint_lock *)p, FLINT_RECLAIM_LOCKS_MAX);
	fs->reclaim_last = !n && !locks;
	b->r = (struct flint_reclaim){
		.fixed_len = cpu_to_le32(sizeof(b->r)), .epoch = cpu_to_le64(fs->lease_epoch),
		.flags = cpu_to_le32(fs->reclaim_last ? FLINT_RECLAIM_DONE : 0),
		.nr_leases = cpu_to_le32(n), .nr_locks = cpu_to_le32(locks),
	};
	fs->sent_reclaim = n;
	fs->sent_locks = locks;
	fs->reclaim_rpc = (struct flint_rpc){
		.op = FLINT_OP_SESSION_RECLAIM, .body = b, .eager = true,
		.body_len = sizeof(b->r) + n * sizeof(fs->reclaim[0]) +
			    locks * sizeof(struct flint_lock),
		.done = reclaim_done, .priv = fs,
	};
	fs->requests++;
	fs->reclaim_open = true;
	if (flint_cluster_call(fs->cluster, fs->meta_node, &fs->reclaim_rpc)) {
		fs->reclaim_open = false;
		reclaim_end(fs);
		fs->lease_epoch = 0;
	}
}

/* A leadership of number @epoch does not know what we hold. */
static void reclaim_start(struct flint_fs *fs, uint64_t epoch)
{
	struct collect co = { .fs = fs };

	if (fs->reclaiming)
		return;
	fs->reclaiming = true;
	fs->lease_epoch = epoch;
	fs->nr_returns = 0;
	cache_each(fs->cache, collect_one, &co);
	if (co.failed) {	/* without a list of them there are none */
		cache_drop(fs->cache);
		fs->nr_reclaim = 0;
	}
	cache_new_leader(fs->cache);
	fs_write_new_leader(fs);
	fs_delegate_new_leader(fs);
	fs_lock_reclaim_start(fs);
	reclaim_send(fs);
}

void fs_lease_lost(struct flint_fs *fs)
{
	if (!fs->cache)
		return;
	fs->st_lost += cache_held(fs->cache);
	fs->renewed_ns = 0;
	fs_write_lost(fs);
	fs_delegate_lost(fs);
	cache_drop(fs->cache);
	fs_lock_lost(fs);
}

/* ---- renewal ---------------------------------------------------------------------------- */

void fs_lease_answered(struct flint_fs *fs, const struct flint_rpc *rpc)
{
	fs->answered_ns = flint_now_ns();
	if (rpc->sent_ns > fs->renewed_ns && !(rpc->rep_lease & FLINT_LEASE_NO_RENEWAL))
		fs->renewed_ns = rpc->sent_ns;
}

static void renewed(struct flint_fs *fs, const struct flint_rpc *rpc)
{
	struct flint_session_renewed rep;

	if (flint_body_get(&rep, sizeof(rep), sizeof(rep), rpc->rep_body, rpc->rep_len))
		return;
	fs_lease_answered(fs, rpc);
	if (!fs->cache)
		return;
	if (le32_to_cpu(rep.flags) & FLINT_RENEWED_RECLAIM) {
		reclaim_start(fs, le64_to_cpu(rep.epoch));
	} else if (le64_to_cpu(rep.epoch) != fs->lease_epoch && !fs->reclaiming) {
		/* Nothing to reclaim there, so nothing of ours is known there. */
		if (fs->lease_epoch)
			cache_drop(fs->cache);
		cache_new_leader(fs->cache);
		fs->lease_epoch = le64_to_cpu(rep.epoch);
	}
}

static void renew_done(struct flint_rpc *rpc)
{
	struct flint_fs *fs = rpc->priv;

	fs->renew_open = false;
	if (fs->closing)
		return;
	if (rpc->err || rpc->status == FLINT_ST_NOT_LEADER || rpc->status == FLINT_ST_SHUTDOWN)
		fs_meta_elsewhere(fs, fs->renew_node, rpc);
	else if (rpc->status == FLINT_OK)
		renewed(fs, rpc);
	else if (rpc->status == FLINT_ST_NO_SESSION || rpc->status == FLINT_ST_FENCED)
		fs_lease_lost(fs);
}

void fs_lease_renew(struct flint_fs *fs)
{
	if (fs->renew_open || fs->closing)
		return;
	fs->renew_body.epoch = cpu_to_le64(fs->lease_epoch);
	fs->renew_rpc = (struct flint_rpc){
		.op = FLINT_OP_SESSION_RENEW, .body = &fs->renew_body,
		.body_len = sizeof(fs->renew_body), .timeout_ms = 10000, .eager = true,
		.done = renew_done, .priv = fs,
	};
	fs->renew_node = fs->meta_node;
	fs->renew_open = true;
	fs->asked_ns = flint_now_ns();
	if (flint_cluster_call(fs->cluster, fs->meta_node, &fs->renew_rpc)) {
		fs->renew_open = false;
		fs_meta_elsewhere(fs, fs->meta_node, NULL);
	}
}

/* A connection to a server was made (again): its leader may be a new one. */
void fs_lease_up(void *arg, uint32_t node)
{
	struct flint_fs *fs = arg;

	if (node == fs->meta_node && fs->cache && fs->begun)
		fs_lease_renew(fs);
}

/* ---- a server that is silent --------------------------------------------------------------- */

static void probe_done(struct flint_rpc *rpc)
{
	struct flint_fs *fs = rpc->priv;
	uint32_t old = fs->meta_node;

	fs->probe_open = false;
	if (fs->closing || rpc->err || rpc->status || fs->probe_node == old)
		return;
	flint_info("metadata server %u leads now", fs->probe_node);
	fs->meta_node = fs->probe_node;
	renewed(fs, rpc);
	/* What waits for the old one is sent to the new one. */
	flint_cluster_reset(fs->cluster, old, "another server leads");
}

static void probe(struct flint_fs *fs)
{
	uint32_t node = fs_meta_after(fs, fs->probe_node ? fs->probe_node : fs->meta_node);

	if (node == fs->meta_node)
		node = fs_meta_after(fs, node);
	if (fs->probe_open || node == fs->meta_node)
		return;
	fs->probe_node = node;
	fs->probe_rpc = (struct flint_rpc){
		.op = FLINT_OP_SESSION_RENEW, .body = &fs->renew_body,
		.body_len = sizeof(fs->renew_body), .timeout_ms = 1000, .eager = true,
		.done = probe_done, .priv = fs,
	};
	fs->probe_open = true;
	if (flint_cluster_call(fs->cluster, node, &fs->probe_rpc))
		fs->probe_open = false;
}

static void on_tick(struct flint_timer *t)
{
	struct flint_fs *fs = t->arg;
	uint64_t now = flint_now_ns();

	flint_timer_set(fs->loop, t, TICK_MS);
	fs_delegate_tick(fs);
	if (now - fs->renewed_ns > fs->lease_ms * 1000000ull / 3 || (fs->cache && !fs->lease_epoch) ||
	    (fs->cache && cache_held(fs->cache) && now - fs->answered_ns > IDLE_NS))
		fs_lease_renew(fs);
	if ((fs->meta_open || fs->renew_open) && now - fs->answered_ns > SILENT_NS &&
	    now - fs->asked_ns > SILENT_NS)
		probe(fs);
}

/* ---- life ------------------------------------------------------------------------------------ */

int fs_lease_init(struct flint_fs *fs, uint32_t max_entries)
{
	fs->cache = cache_new(max_entries, &ops, fs);
	return fs->cache ? 0 : -ENOMEM;
}

void fs_lease_begin(void *arg)
{
	struct flint_fs *fs = arg;

	fs->begun = true;
	fs->renewed_ns = 0;
	fs->answered_ns = flint_now_ns();
	fs->tick = (struct flint_timer){ .fn = on_tick, .arg = fs };
	flint_timer_set(fs->loop, &fs->tick, TICK_MS);
	fs_lease_renew(fs);
}

/* On the loop, before the cluster goes. */
void fs_lease_end(struct flint_fs *fs)
{
	fs->closing = true;
	flint_timer_cancel(fs->loop, &fs->tick);
	fs_write_end(fs);
	fs_delegate_stop(fs);
	fs_ops_end(fs);
}

void fs_lease_free(struct flint_fs *fs)
{
	fs_write_free(fs);
	fs_delegate_free(fs);
	fs_lock_free(fs);
	cache_free(fs->cache);
	free(fs->returns);
	free(fs->reclaim);
}
