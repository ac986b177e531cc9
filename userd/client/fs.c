// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client library's engine: its thread, its session, and operations that
 * are repeated until they are answered; see fs.h and fs_int.h.
 *
 * Exactly once: a mutation gets its sequence number when it is started and
 * keeps it through every repetition. The list of unfinished mutations is in
 * the order of their numbers, so that its head is what servers need to know
 * (seq_low): they keep answers from there on and refuse what is older.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include "../base/addr.h"
#include "../base/daemon.h"
#include "../base/log.h"
#include "../net/stats.h"
#include "fs_delegate.h"
#include "fs_lease.h"
#include "latch.h"

#define ATTEMPT_MS	10000
#define BACKOFF_MIN_MS	5
#define BACKOFF_MAX_MS	500
#define MAP_WAIT_MS	500
#define POOL_BUFS	16
#define END_ROUNDS	3

/* ---- operations --------------------------------------------------------- */

static void op_send(struct fs_op *op);

/* The client's side of a request's story; servers log theirs under the same id. */
static void op_log(const struct fs_op *op, int err)
{
	char buf[12];
	const struct flint_log_field f[] = {
		{ "op", flint_op_name(op->rpc.op) ? : "?", 0 },
		{ "status", err ? strerrorname_np(-err) :
			    flint_status_name(op->rpc.status, buf, sizeof(buf)), 0 },
		{ "node", NULL, op->node }, { "seq", NULL, op->rpc.seq },
		{ "bytes", NULL, op->rpc.out_len ? op->rpc.out_len : op->rpc.rep_data_len },
	};

	flint_log_event(FLINT_LOG_DEBUG, op->rpc.trace, f, sizeof(f) / sizeof(f[0]), "answer");
}

static void op_finish(struct fs_op *op, int err)
{
	struct flint_fs *fs = op->fs;

	if (flint_log_enabled(FLINT_LOG_DEBUG))
		op_log(op, err);
	if (op->touches && fs->cache)
		cache_mut_end(fs->cache, &op->mut, false, NULL);
	if (op->blind && fs->cache)
		cache_blind_end(fs->cache);
	if (op->mutating) {
		if (op->seq_prev)
			op->seq_prev->seq_next = op->seq_next;
		else
			fs->seq_first = op->seq_next;
		if (op->seq_next)
			op->seq_next->seq_prev = op->seq_prev;
		else
			fs->seq_last = op->seq_prev;
	}
	op->done(op, err);
}

/* Try again after a pause; @err is what the caller hears if time runs out. */
static void op_again(struct fs_op *op, int err)
{
	uint64_t now = flint_now_ns();

	op->last_err = err;
	if (now >= op->deadline_ns || op->fs->closing) {
		op_finish(op, err == -ENOTCONN ? -ETIMEDOUT : err);
		return;
	}
	op->backoff_ms = op->backoff_ms ? op->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (op->backoff_ms > BACKOFF_MAX_MS)
		op->backoff_ms = BACKOFF_MAX_MS;
	flint_timer_set(op->fs->loop, &op->timer, op->backoff_ms);
}

/* What is on its way ends with its connection, but nothing would end what pauses. */
void fs_ops_end(struct flint_fs *fs)
{
	struct fs_op *op = fs->seq_first;

	while (op) {
		if (!op->timer.due_ns) {
			op = op->seq_next;
			continue;
		}
		flint_timer_cancel(fs->loop, &op->timer);
		op_again(op, op->last_err);	/* closing: it ends, and others may with it */
		op = fs->seq_first;
	}
}

static void op_on_timer(struct flint_timer *t)
{
	op_send(t->arg);
}

static void op_on_map(struct flint_cluster_waiter *w, int err)
{
	struct fs_op *op = (struct fs_op *)((char *)w - offsetof(struct fs_op, waiter));

	/* A newer map, or none: the servers know best which it is. */
	if (err)
		op_again(op, -EIO);
	else
		op_send(op);
}

static void op_await_map(struct fs_op *op)
{
	if (flint_now_ns() >= op->deadline_ns) {
		op_finish(op, -EIO);
		return;
	}
	op->waiter = (struct flint_cluster_waiter){ .fn = op_on_map };
	flint_cluster_wait(op->fs->cluster, &op->waiter,
			   flint_cluster_epoch(op->fs->cluster) + 1, MAP_WAIT_MS);
}

/* ---- which metadata server ------------------------------------------------ */

/* The metadata server after @node in the map, in a circle; @node if it is the only one. */
uint32_t fs_meta_after(struct flint_fs *fs, uint32_t node)
{
	struct flint_map_ref *ref = flint_cluster_map(fs->cluster);
	uint32_t i, id, first = 0, next = 0;

	for (i = 0; ref && i < ref->map.nr_nodes; i++) {
		if (ref->map.nodes[i].role != FLINT_ROLE_META)
			continue;
		id = le32_to_cpu(ref->map.nodes[i].id);
		if (!first)
			first = id;
		if (id > node && !next)
			next = id;
	}
	flint_map_put(ref);
	return next ? next : first ? first : node;
}

/* @node does not lead, or cannot be reached: the hint, or the next one. Once for all that hear so. */
void fs_meta_elsewhere(struct flint_fs *fs, uint32_t node, const struct flint_rpc *rpc)
{
	struct flint_leader_hint hint = { 0 };

	if (fs->meta_node != node)
		return;
	if (rpc && !rpc->err && rpc->rep_len >= sizeof(hint))
		memcpy(&hint, rpc->rep_body, sizeof(hint));
	if (hint.node_id && le32_to_cpu(hint.node_id) != node)
		fs->meta_node = le32_to_cpu(hint.node_id);
	else
		fs->meta_node = fs_meta_after(fs, node);
}

/* A new map may name a new leader. On the loop. */
static void on_map_changed(void *arg, const struct flint_map *map)
{
	struct flint_fs *fs = arg;
	uint32_t i, node;

	/* What waits for an answer of a server that is gone goes to another one now. */
	for (i = 0; i < map->nr_nodes; i++)
		if (map->nodes[i].role == FLINT_ROLE_CHUNK &&
		    map->nodes[i].state == FLINT_NODE_DOWN)
			flint_cluster_reset(fs->cluster, le32_to_cpu(map->nodes[i].id),
					    "the managers hold the node for down");
	for (i = 0; i < map->nr_fs; i++) {
		if (le32_to_cpu(map->fs[i].id) != fs->fs_id)
			continue;
		node = le32_to_cpu(map->fs[i].meta_node);
		if (node != fs->map_meta)
			fs->meta_node = node;
		fs->map_meta = node;
	}
}

/* Another replica may do better. */
static bool goes_elsewhere(uint32_t status)
{
	return status == FLINT_ST_NOT_SERVING || status == FLINT_ST_SHUTDOWN ||
	       status == FLINT_ST_CHECKSUM;
}

static void op_on_reply(struct flint_rpc *rpc)
{
	struct fs_op *op = rpc->priv;
	bool meta = op->route == fs_route_meta;

	if (op->open)
		op->fs->meta_open--;
	op->open = false;
	if (rpc->err) {
		if (rpc->err == -EACCES) {
			op_finish(op, rpc->err);
			return;
		}
		if (meta)
			fs_meta_elsewhere(op->fs, op->node, rpc);
		if (op->elsewhere && op->elsewhere(op))
			op_send(op);
		else
			op_again(op, rpc->err);
		return;
	}
	if (op->elsewhere && goes_elsewhere(rpc->status) && op->elsewhere(op)) {
		op_send(op);
		return;
	}
	switch (rpc->status) {
	case FLINT_ST_NOT_LEADER:
	case FLINT_ST_SHUTDOWN:
		if (meta)
			fs_meta_elsewhere(op->fs, op->node, rpc);
		op_again(op, -EAGAIN);
		break;
	case FLINT_ST_RECLAIM:
		fs_lease_renew(op->fs);
		op_again(op, -EAGAIN);
		break;
	case FLINT_ST_RETRY:
		if (meta)
			fs_lease_answered(op->fs, rpc);
		op_again(op, -EAGAIN);
		break;
	case FLINT_ST_NOT_SERVING:
		op_again(op, -EIO);
		break;
	case FLINT_ST_STALE_MAP:
		/* Newer than ours: wait for it. Older (a server that lags): pause. */
		if (rpc->rep_epoch > flint_cluster_epoch(op->fs->cluster))
			op_await_map(op);
		else
			op_again(op, -EIO);
		break;
	case FLINT_ST_NO_SESSION:
	case FLINT_ST_FENCED:
		if (meta)
			fs_lease_lost(op->fs);
		op_finish(op, 0);
		break;
	default:
		if (meta)
			fs_lease_answered(op->fs, rpc);
		op_finish(op, 0);
	}
}

/* Before a request leaves for a metadata server. */
static void op_meta(struct fs_op *op, uint64_t now)
{
	struct flint_fs *fs = op->fs;

	if (!fs->meta_open++)
		fs->asked_ns = now;
	op->open = true;
	fs->requests++;
	op->rpc.eager = true;
	if (!fs->cache)
		return;
	op->since = cache_clock(fs->cache);
	op->epoch = fs->lease_epoch;
	op->rpc.lease = op->epoch && !fs->reclaiming ?
		FLINT_LEASE_READ | FLINT_LEASE_DIR | FLINT_LEASE_WRITE | op->more_lease : 0;
}

static void op_send(struct fs_op *op)
{
	struct flint_rpc *rpc = &op->rpc;
	uint64_t now = flint_now_ns(), left;
	int rc;

	if (now >= op->deadline_ns) {
		op_finish(op, op->last_err && op->last_err != -ENOTCONN ? op->last_err :
							 -ETIMEDOUT);
		return;
	}
	rc = op->route(op, &op->node);
	if (rc == -EAGAIN) {
		op_await_map(op);
		return;
	}
	if (rc) {
		op_finish(op, rc);
		return;
	}
	left = (op->deadline_ns - now) / 1000000 + 1;
	rpc->timeout_ms = left < ATTEMPT_MS ? left : ATTEMPT_MS;
	rpc->seq_low = op->mutating ? op->fs->seq_first->rpc.seq : 0;
	rpc->retry = op->mutating && op->sent;
	op->sent = true;
	rpc->err = 0;
	rpc->status = 0;
	rpc->rep_body = NULL;
	rpc->rep_len = 0;
	rpc->rep_data_len = 0;
	if (op->route == fs_route_meta)
		op_meta(op, now);
	rc = flint_cluster_call(op->fs->cluster, op->node, rpc);
	if (rc) {	/* no address for it in the map */
		if (op->open) {
			op->fs->meta_open--;
			fs_meta_elsewhere(op->fs, op->node, NULL);
		}
		op->open = false;
		op_again(op, -ENOTCONN);
	}
}

void fs_op_start(struct fs_op *op)
{
	struct flint_fs *fs = op->fs;

	op->timer = (struct flint_timer){ .fn = op_on_timer, .arg = op };
	op->sent = false;
	op->backoff_ms = 0;
	op->last_err = 0;
	op->rpc.done = op_on_reply;
	op->rpc.priv = op;
	op->rpc.seq = 0;
	op->rpc.trace = flint_trace_next(&fs->traces);
	op->open = false;
	if (op->touches && fs->cache) {
		op->mut = (struct cache_mut){ .ino = { op->touches } };
		cache_mut_begin(fs->cache, &op->mut);
	}
	if (op->blind && fs->cache)
		cache_blind_begin(fs->cache);
	if (op->mutating) {
		op->rpc.seq = ++fs->next_seq;
		op->seq_prev = fs->seq_last;
		op->seq_next = NULL;
		if (fs->seq_last)
			fs->seq_last->seq_next = op;
		else
			fs->seq_first = op;
		fs->seq_last = op;
	}
	op_send(op);
}

uint32_t fs_cred_tail(const struct flint_fs *fs, uint8_t *out)
{
	if (!fs->says_who)
		return 0;
	return flint_cred_tail_put(out, le32_to_cpu(fs->cred.uid), le32_to_cpu(fs->cred.gid), 0, 0,
				   NULL, 0);
}

int fs_route_meta(struct fs_op *op, uint32_t *node)
{
	*node = op->fs->meta_node;
	return 0;
}

int fs_op_result(const struct fs_op *op, int err)
{
	return err ? err : flint_status_errno(op->rpc.status);
}

/* ---- calls of other threads --------------------------------------------- */

struct loop_run {
	struct flint_task task;
	void (*fn)(void *arg);
	void *arg;
	struct fs_latch latch;
};

static void run_task(struct flint_task *t)
{
	struct loop_run *run = (struct loop_run *)((char *)t - offsetof(struct loop_run, task));

	run->fn(run->arg);
	fs_latch_open(&run->latch);
}

void fs_run_on_loop(struct flint_fs *fs, void (*fn)(void *arg), void *arg)
{
	struct loop_run run = { .task = { .fn = run_task }, .fn = fn, .arg = arg };

	fs_latch_init(&run.latch);
	flint_loop_post(fs->loop, &run.task);
	fs_latch_wait(&run.latch);
}

struct sync_call {
	struct flint_task task;
	struct flint_fs *fs;
	struct fs_call *call;
	struct fs_op op;
	struct fs_wait wait;
	uint64_t deadline_ns;
	struct fs_latch latch;
	int err;
};

static void sync_done(struct fs_op *op, int err)
{
	struct sync_call *sc = op->priv;
	struct fs_call *call = sc->call;

	if (!err) {
		call->status = op->rpc.status;
		call->data_len = op->rpc.rep_data_len;
		if (call->rep && (call->status == FLINT_OK || call->status == ERANGE) &&
		    flint_body_get(call->rep, call->rep_size,
				   call->status == FLINT_OK ? call->rep_min : 0,
				   op->rpc.rep_body, op->rpc.rep_len))
			err = -EPROTO;
	}
	sc->err = fs_op_result(op, err);
	fs_latch_open(&sc->latch);
}

static void sync_start(struct flint_task *t)
{
	struct sync_call *sc = (struct sync_call *)((char *)t - offsetof(struct sync_call, task));
	struct fs_call *call = sc->call;
	struct fs_op *op = &sc->op;

	if (fs_delegate_before(sc->fs, &sc->wait, &sc->task, sc->deadline_ns))
		return;
	/* Limits and default ACLs of a directory: creates in it are the server's from now on. */
	if (call->mutating && (call->touches || call->blind || call->op == FLINT_OP_QUOTA_SET))
		fs_delegate_end(sc->fs, call->touches);
	op->rpc.cred = call->cred;
	op->fs = sc->fs;
	op->rpc.op = call->op;
	op->rpc.body = call->body;
	op->rpc.body_len = call->body_len;
	op->rpc.out = call->out;
	op->rpc.out_len = call->out_len;
	op->rpc.in = call->in;
	op->rpc.in_len = call->in_len;
	op->mutating = call->mutating;
	op->touches = call->touches;
	op->blind = call->blind;
	op->deadline_ns = sc->deadline_ns;
	op->route = fs_route_meta;
	op->done = sync_done;
	op->priv = sc;
	fs_op_start(op);
}

int fs_call(struct flint_fs *fs, struct fs_call *call)
{
	struct sync_call sc = {
		.task = { .fn = sync_start }, .fs = fs, .call = call,
		.deadline_ns = flint_now_ns() +
			(call->timeout_ms ? call->timeout_ms : fs->timeout_ms) * 1000000ull };

	fs_latch_init(&sc.latch);
	flint_loop_post(fs->loop, &sc.task);
	fs_latch_wait(&sc.latch);
	return sc.err;
}

/* ---- session ------------------------------------------------------------ */

struct map_wait {
	struct flint_fs *fs;
	struct flint_cluster_waiter waiter;
	uint64_t timeout_ms;
	struct fs_latch latch;
	int err;
};

static void map_wait_done(struct flint_cluster_waiter *w, int err)
{
	struct map_wait *mw = (struct map_wait *)((char *)w - offsetof(struct map_wait, waiter));

	mw->err = err;
	fs_latch_open(&mw->latch);
}

static void map_wait_start(void *arg)
{
	struct map_wait *mw = arg;

	flint_cluster_wait(mw->fs->cluster, &mw->waiter, 1, mw->timeout_ms);
}

/* Wait for the first map. Return: 0 or -ETIMEDOUT. */
static int wait_first_map(struct flint_fs *fs)
{
	struct map_wait mw = {
		.fs = fs, .waiter = { .fn = map_wait_done }, .timeout_ms = fs->timeout_ms,
	};

	fs_latch_init(&mw.latch);
	fs_run_on_loop(fs, map_wait_start, &mw);
	fs_latch_wait(&mw.latch);
	return mw.err;
}

static int find_fs(struct flint_fs *fs, const char *name, char *err, size_t errlen)
{
	struct flint_map_ref *ref = flint_cluster_map(fs->cluster);
	uint32_t i;
	int rc = -ENOENT;

	for (i = 0; i < ref->map.nr_fs; i++)
		if (!strcmp((const char *)ref->map.fs[i].name, name)) {
			fs->fs_id = le32_to_cpu(ref->map.fs[i].id);
			fs->meta_node = le32_to_cpu(ref->map.fs[i].meta_node);
			fs->map_meta = fs->meta_node;
			rc = 0;
		}
	flint_map_put(ref);
	if (rc)
		snprintf(err, errlen,
			 "the cluster has no file system \"%s\"; \"flint fs list\" shows what it has",
			 name);
	return rc;
}

struct session_set {
	struct flint_fs *fs;
	uint64_t epoch;
};

static void session_set_epoch(void *arg)
{
	struct session_set *ss = arg;

	flint_cluster_set_session(ss->fs->cluster, ss->epoch);
}

static int session_open(struct flint_fs *fs, const struct flint_fs_config *cfg, char *err,
			size_t errlen)
{
	size_t path_len = cfg->subtree ? strlen(cfg->subtree) : 0;
	struct {
		struct flint_session_open so;
		char path[FLINT_PATH_MAX + 1];
	} body = { 0 };
	struct flint_session_rep rep;
	struct fs_call call = {
		.op = FLINT_OP_SESSION_OPEN, .body = &body,
		.body_len = sizeof(body.so) + path_len,
		.rep = &rep, .rep_size = sizeof(rep), .rep_min = sizeof(rep),
	};
	struct session_set ss = { .fs = fs };
	int rc;

	if (path_len > FLINT_PATH_MAX || strlen(cfg->fs_name) >= FLINT_LABEL_LEN) {
		snprintf(err, errlen, "the name of the file system or of its subtree is too long");
		return -ENAMETOOLONG;
	}
	body.so.fixed_len = cpu_to_le32(sizeof(body.so));
	body.so.flags = cpu_to_le32((cfg->rdonly ? FLINT_SESSION_RDONLY : 0) |
				    (cfg->leases ? FLINT_SESSION_LEASES : 0));
	body.so.path_len = cpu_to_le32(path_len);
	memcpy(body.so.fs_name, cfg->fs_name, strlen(cfg->fs_name));
	if (path_len)
		memcpy(body.path, cfg->subtree, path_len);
	rc = fs_call(fs, &call);
	if (rc) {
		snprintf(err, errlen, "the metadata server of \"%s\" refuses the session: %s",
			 cfg->fs_name, strerror(-rc));
		return rc;
	}
	fs->root = rep.root;
	fs->lease_ms = le32_to_cpu(rep.lease_ms);
	ss.epoch = le64_to_cpu(rep.session_epoch);
	fs_run_on_loop(fs, session_set_epoch, &ss);
	return 0;
}

/* ---- life --------------------------------------------------------------- */

static void *fs_thread(void *arg)
{
	struct flint_fs *fs = arg;

	flint_loop_run(fs->loop);
	return NULL;
}

static int thread_start(struct flint_fs *fs)
{
	sigset_t all, old;
	int rc;

	/* The application's signals are not ours. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&fs->thread, NULL, fs_thread, fs);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

static int cluster_start(struct flint_fs *fs, const struct flint_fs_config *cfg, char *err,
			 size_t errlen)
{
	struct flint_cluster_config cc = {
		.loop = fs->loop, .role = FLINT_ROLE_CLIENT, .key = cfg->key,
		.token = cfg->token,
		.proto = cfg->proto ? cfg->proto : FLINT_PROTO_TCP,
		.pool = fs->pool, .max_io = fs->max_io, .credits = cfg->credits,
		.changed = on_map_changed, .up = fs_lease_up, .arg = fs,
		.push = cfg->leases ? fs_lease_push : NULL,
	};
	char host[FLINT_LABEL_LEN];
	int rc;

	rc = flint_addr_parse_list(cfg->mgrs, FLINT_PORT_MGR_TCP, cc.mgrs, FLINT_MGRS_MAX, err,
				   errlen);
	if (rc < 0)
		return rc;
	cc.nr_mgrs = rc;
	flint_host_name(host);
	cc.name = cfg->name ? cfg->name : host;
	flint_random(cc.client_id, sizeof(cc.client_id));
	fs->traces = flint_random_u64();
	fs->cluster = flint_cluster_new(&cc);
	if (fs->cluster)
		return 0;
	rc = -errno;
	snprintf(err, errlen, "cannot start the client: %s", strerror(-rc));
	return rc;
}

static void cluster_end(void *arg)
{
	struct flint_fs *fs = arg;

	fs_lease_end(fs);
	flint_cluster_free(fs->cluster);
}

static void nothing(void *arg)
{
}

static void fs_end(struct flint_fs *fs)
{
	int i;

	fs_run_on_loop(fs, cluster_end, fs);
	/*
	 * What is posted runs while there is a session. Each round runs what the one before has
	 * posted: an answer (there is none, says the peer), who waited for it, and one to spare.
	 */
	for (i = 0; i < END_ROUNDS; i++)
		fs_run_on_loop(fs, nothing, NULL);
	if (fs->own_loop) {
		flint_loop_stop(fs->loop);
		pthread_join(fs->thread, NULL);
	}
}

struct flint_fs *flint_fs_open(const struct flint_fs_config *cfg, char *err, size_t errlen)
{
	struct flint_fs *fs = calloc(1, sizeof(*fs));
	int rc = -ENOMEM;

	snprintf(err, errlen, "out of memory");
	if (!fs)
		goto fail;
	fs->timeout_ms = cfg->timeout_ms ? cfg->timeout_ms : FLINT_FS_TIMEOUT_MS;
	fs->max_io = cfg->max_io ? cfg->max_io : FLINT_MAX_IO;
	fs->says_who = cfg->token != NULL;
	fs->cred.uid = cpu_to_le32(cfg->uid);
	fs->cred.gid = cpu_to_le32(cfg->gid);
	fs->own_loop = !cfg->loop;
	fs->loop = cfg->loop ? cfg->loop : flint_loop_new();
	if (!fs->loop)
		goto fail_fs;
	if (cfg->proto == FLINT_PROTO_RDMA) {
		fs->pool = flint_pool_new(fs->max_io, POOL_BUFS);
		if (!fs->pool)
			goto fail_loop;
	}
	rc = cfg->leases ? fs_lease_init(fs, cfg->cache_entries ? cfg->cache_entries :
					 FLINT_FS_CACHE_ENTRIES) : 0;
	if (!rc && cfg->leases && cfg->delegate)
		rc = fs_delegate_init(fs);
	if (!rc)
		rc = cluster_start(fs, cfg, err, errlen);
	if (rc)
		goto fail_pool;
	rc = fs->own_loop ? thread_start(fs) : 0;
	if (rc)
		goto fail_cluster;
	rc = wait_first_map(fs);
	if (rc) {
		if (rc == -EACCES && cfg->token)
			snprintf(err, errlen, "the manager at %s refused the token: it has expired, was revoked, is for other addresses or for another cluster; ask for a new one",
				 cfg->mgrs);
		else if (rc == -EACCES)
			snprintf(err, errlen, "the manager at %s has another cluster key; copy its key file to this machine",
				 cfg->mgrs);
		else if (rc == -EPROTONOSUPPORT)
			snprintf(err, errlen, "the manager at %s speaks another version of the protocol; install the same version here",
				 cfg->mgrs);
		else
			snprintf(err, errlen, "no manager answers at %s; check that flint-mgrd runs there",
				 cfg->mgrs);
		goto fail_thread;
	}
	rc = find_fs(fs, cfg->fs_name, err, errlen);
	if (!rc)
		rc = session_open(fs, cfg, err, errlen);
	if (rc)
		goto fail_thread;
	fs_run_on_loop(fs, fs_lease_begin, fs);
	return fs;

fail_thread:
	fs_end(fs);
	goto fail_pool;
fail_cluster:
	flint_cluster_free(fs->cluster);
fail_pool:
	fs_lease_free(fs);
	if (fs->pool)
		flint_pool_free(fs->pool);
fail_loop:
	if (fs->own_loop)
		flint_loop_free(fs->loop);
fail_fs:
	free(fs);
fail:
	errno = -rc;
	return NULL;
}

void flint_fs_close(struct flint_fs *fs)
{
	struct fs_call call = { .op = FLINT_OP_SESSION_CLOSE, .timeout_ms = 5000 };

	if (!fs)
		return;
	if (fs_delegate_sync(fs, call.timeout_ms))
		flint_warn("not everything that was created here is known to the servers");
	fs_call(fs, &call);	/* a session that cannot be closed expires */
	fs_end(fs);
	fs_lease_free(fs);
	if (fs->pool)
		flint_pool_free(fs->pool);
	if (fs->own_loop)
		flint_loop_free(fs->loop);
	free(fs);
}

struct stats_get {
	struct flint_fs *fs;
	struct flint_fs_stats *st;
};

static void stats_get(void *arg)
{
	struct stats_get *g = arg;
	struct flint_fs *fs = g->fs;

	*g->st = (struct flint_fs_stats){
		.requests = fs->requests, .cached_attr = fs->st_attr,
		.cached_lookup = fs->st_lookup, .cached_negative = fs->st_negative,
		.cached_open = fs->st_open, .cached_readdir = fs->st_readdir,
		.grants = fs->st_grants, .recalls = fs->st_recalls,
		.reclaimed = fs->st_reclaimed, .lost = fs->st_lost,
		.kept = fs->st_kept, .told = fs->st_told,
		.delegated = fs->st_delegated, .batches = fs->st_batches,
	};
}

void flint_fs_stats(struct flint_fs *fs, struct flint_fs_stats *st)
{
	struct stats_get g = { .fs = fs, .st = st };

	fs_run_on_loop(fs, stats_get, &g);
}

const struct flint_attr *flint_fs_root(const struct flint_fs *fs)
{
	return &fs->root;
}

struct flint_cluster *flint_fs_cluster(struct flint_fs *fs)
{
	return fs->cluster;
}
