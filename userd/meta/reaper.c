// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The reaper: cuts data that no file holds any more, on all chains of the
 * file's stripe, for truncations (someone waits) and for orphans (nobody does).
 *
 * Its work list is the database: table "intent" and the ready rows of table
 * "orphan". What is under way is in memory only; a restart begins anew, and
 * CUT is idempotent. An inode is worked on once at a time; a truncation of it
 * comes before its removal (the queries see to that).
 *
 * It also walks: expired entries of the trash go, removed trees are taken apart.
 *
 * A job that cannot reach a target, or finds the map out of date, is tried
 * again after a pause, for ever: the data is there as long as the target is.
 */
#include <errno.h>
#include <stdlib.h>
#include "grants.h"
#include "trash.h"
#include "../base/log.h"
#include "../base/metrics.h"

#define JOBS_MAX	64
#define RETRY_MS	1000
#define MOVED_MS	50
#define REPORT_NS	(30ull * 1000000000)
#define SCAN_MAX	256
#define WALK_MS		100
#define WALK_MAX	2048	/* inodes that a step of removing trees changes at most */

/**
 * struct job - one inode
 * @remove: an orphan; else a truncation
 * @left: requests without answer
 * @failed: at least one must be sent again
 * @moved: because its chain has changed
 * @own: leases of what the command changes, while it is under way
 */
struct job {
	struct metad_reaper *r;
	u64 ino;
	u64 sid;		/* of who truncates */
	bool remove;
	bool failed;
	bool moved;
	u32 left;
	u32 epoch;
	struct metad_own *own;
	struct flint_timer retry;
	UT_hash_handle hh;
};

struct cut_rpc {
	struct flint_rpc rpc;
	struct flint_cut body;
	struct job *job;
};

struct metad_reaper {
	struct metad *m;
	u32 rate;		/* orphans a second */
	u32 budget;		/* left in this second */
	u64 budget_ns;		/* when the second began */
	struct job *jobs;
	u32 nr_orphans;		/* of the jobs */
	u64 after;		/* orphans up to this number were looked at in this scan */
	struct flint_timer timer;
	struct flint_timer walk;	/* the next step of removing trees */
	u32 walk_fs;		/* the file system it is of */
	bool walking;		/* a step is proposed, or waits for leases */
	struct metad_own *walk_own;	/* them */
	u16 walk_op;			/* the command */
	u32 walk_steps, walk_ms;	/* how many it has, and the pause that they are worth */
	u64 report_ns;
	u64 removed;
	bool stopping;

	bool leading;		/* else nothing is begun, and what is under way ends */
	bool woken;
	struct flint_task task;
};

/* ---- one job -------------------------------------------------------------- */

static void job_free(struct job *j)
{
	struct metad_reaper *r = j->r;

	HASH_DEL(r->jobs, j);
	if (j->remove)
		r->nr_orphans--;
	flint_timer_cancel(r->m->loop, &j->retry);
	metad_own_end(j->own);
	free(j);
}

/* The row is gone, or it could not be removed. */
static void job_committed(struct metad *m, u64 ino, u32 status, void *priv)
{
	struct job *j = priv;

	metad_own_end(j->own);
	j->own = NULL;
	if (status) {
		flint_timer_set(m->loop, &j->retry, RETRY_MS);
		return;
	}
	j->r->removed += j->remove;
	job_free(j);
	metad_reaper_poke(m);
}

/*
 * The job stays until its command is committed: a second round of cuts must
 * not overtake a client that has learned the new truncate epoch.
 */
static void job_commit(void *arg, bool ok)
{
	struct job *j = arg;
	struct metad_reaper *r = j->r;

	if (ok && !metad_propose_own(r->m, j->remove ? META_OP_ORPHAN_DONE : META_OP_TRUNC_DONE,
				     j->ino, j->epoch, job_committed, j))
		return;
	metad_own_end(j->own);
	j->own = NULL;
	flint_timer_set(r->m->loop, &j->retry, RETRY_MS);
}

/* An orphan is nobody's any more; a file's attributes change. */
static void job_finish(struct job *j)
{
	struct metad_reaper *r = j->r;

	if (!j->failed && j->remove) {
		job_commit(j, true);
		return;
	}
	if (!j->failed)
		j->own = metad_own_begin(r->m, j->sid, &j->ino, 1, job_commit, j);
	if (!j->own)
		flint_timer_set(r->m->loop, &j->retry, j->moved ? MOVED_MS : RETRY_MS);
}

static void cut_done(struct flint_rpc *rpc)
{
	struct cut_rpc *c = (struct cut_rpc *)rpc;
	struct job *j = c->job;

	if (!rpc->err && (rpc->status == FLINT_ST_STALE_MAP ||
			  rpc->status == FLINT_ST_NOT_SERVING || rpc->status == FLINT_ST_RETRY)) {
		j->failed = true;	/* the chain is changing: the new map is on its way */
		j->moved = true;
	} else if (rpc->err || rpc->status) {
		j->failed = true;
		if (!j->r->stopping)
			flint_warn_rl("data of inode %llu could not be removed from target %u"
				      " (%s %d): it will be tried again", (unsigned long long)j->ino,
				      le32_to_cpu(c->body.target), rpc->err ? "error" : "status",
				      rpc->err ? -rpc->err : (int)rpc->status);
	}
	free(c);
	if (!--j->left)
		job_finish(j);
}

/* One CUT to one target; counts it. */
static void cut_send(struct job *j, const struct flint_cut *body, u32 node)
{
	struct metad_reaper *r = j->r;
	struct cut_rpc *c = calloc(1, sizeof(*c));

	if (!c) {
		j->failed = true;
		return;
	}
	c->body = *body;
	c->job = j;
	c->rpc.op = FLINT_OP_CUT;
	c->rpc.body = &c->body;
	c->rpc.body_len = sizeof(c->body);
	c->rpc.timeout_ms = 10000;
	c->rpc.done = cut_done;
	j->left++;
	if (flint_cluster_call(r->m->cluster, node, &c->rpc)) {
		j->left--;
		j->failed = true;
		free(c);
	}
}

/* To the head, which passes it on and answers when all replicas have done it. */
static void cut_chain(struct job *j, const struct flint_map *map, u32 chain, struct flint_cut *b)
{
	const struct flint_map_chain *c = flint_map_chain(map, chain);
	const struct flint_map_target *head = flint_map_head(map, c);

	if (!head) {
		j->failed = true;
		return;
	}
	b->chain = cpu_to_le32(chain);
	b->chain_ver = c->version;
	b->target = head->id;
	cut_send(j, b, le32_to_cpu(head->node));
}

/* All chains of the stripe. False: the map does not have the file's table. */
static bool cut_all(struct job *j, const struct flint_map *map, const struct meta_inode *i,
		    u64 size)
{
	const struct flint_map_table *t = flint_map_table(map, i->table, i->table_ver);
	struct flint_cut b = { 0 };
	struct flint_placement pl;
	struct flint_layout layout;
	const __le32 *ids;
	u32 n;

	meta_inode_layout(i, &layout);
	if (!t || flint_placement_init(&pl, &layout, le32_to_cpu(t->nr)))
		return false;
	b.fs = cpu_to_le32(i->fs);
	b.ino = cpu_to_le64(i->ino);
	b.gen = cpu_to_le32(i->gen);
	b.trunc_epoch = cpu_to_le32(j->epoch);
	b.size = cpu_to_le64(size);
	b.chunk_shift = i->chunk_shift;
	b.flags = cpu_to_le32(j->remove ? FLINT_CUT_REMOVE : 0);
	j->left = 1;		/* answers that come at once must not finish it */
	ids = map->chain_ids + le32_to_cpu(t->first);
	for (n = 0; n < pl.width; n++)
		cut_chain(j, map, le32_to_cpu(ids[pl.slot[n]]), &b);
	if (!--j->left)
		job_finish(j);
	return true;
}

static void job_run(struct job *j)
{
	struct metad_reaper *r = j->r;
	struct flint_map_ref *ref;
	struct meta_intent it = { 0 };
	struct meta_inode i;
	int err;

	if (!r->leading) {
		job_free(j);	/* the new leader finds it */
		return;
	}
	j->failed = false;
	j->moved = false;
	err = meta_read_inode(&r->m->store, j->ino, &i);
	if (!err && !j->remove && (meta_read_intents(&r->m->store, j->ino, &it, 1) != 1 ||
				   it.ino != j->ino))
		err = -ESTALE;
	if (err == -ESTALE) {
		job_free(j);	/* done already */
		return;
	}
	j->epoch = j->remove ? i.trunc_epoch : it.epoch;
	j->sid = it.sid;
	ref = flint_cluster_map(r->m->cluster);
	if (err || !ref || !cut_all(j, &ref->map, &i, j->remove ? 0 : it.size)) {
		flint_warn_rl("data of inode %llu cannot be removed: %s",
			      (unsigned long long)j->ino, err ? "the database cannot be read" :
			      ref ? "the cluster map lacks its chain table" :
				    "there is no cluster map yet");
		flint_timer_set(r->m->loop, &j->retry, RETRY_MS);
	}
	flint_map_put(ref);
}

static void job_retry(struct flint_timer *t)
{
	job_run(t->arg);
}

static void job_start(struct metad_reaper *r, u64 ino, bool remove)
{
	struct job *j;

	HASH_FIND(hh, r->jobs, &ino, sizeof(ino), j);
	if (j)
		return;
	j = calloc(1, sizeof(*j));
	if (!j)
		return;		/* the next scan finds it again */
	j->r = r;
	j->ino = ino;
	j->remove = remove;
	j->retry.fn = job_retry;
	j->retry.arg = j;
	HASH_ADD(hh, r->jobs, ino, sizeof(j->ino), j);
	r->nr_orphans += remove;
	job_run(j);
}

/* ---- finding work ------------------------------------------------------------ */

static void scan_intents(struct metad_reaper *r)
{
	struct meta_intent it[SCAN_MAX];
	u64 from = 0;
	int n, i;

	do {
		n = meta_read_intents(&r->m->store, from, it, SCAN_MAX);
		for (i = 0; i < n; i++) {
			job_start(r, it[i].ino, false);
			from = it[i].ino + 1;
		}
	} while (n == SCAN_MAX);
}

static void scan_orphans(struct metad_reaper *r)
{
	u64 ino[JOBS_MAX], now = flint_now_ns();
	u32 want;
	int n, i;

	if (now - r->budget_ns >= 1000000000) {
		r->budget_ns = now;
		r->budget = r->rate;
	}
	while (r->budget && r->nr_orphans < JOBS_MAX) {
		want = JOBS_MAX - r->nr_orphans;
		if (want > r->budget)
			want = r->budget;
		n = meta_read_orphans(&r->m->store, r->after, ino, want);
		for (i = 0; i < n; i++) {
			job_start(r, ino[i], true);
			r->after = ino[i];
			r->budget--;
		}
		if (n < (int)want) {
			r->after = 0;	/* the timer begins the next round */
			break;
		}
	}
}

/* A step of the walk was applied, or could not be: the next one after a pause. */
static void walk_done(struct metad *m, u64 fs, u32 status, void *priv)
{
	struct metad_reaper *r = priv;

	r->walking = false;
	metad_own_end(r->walk_own);
	r->walk_own = NULL;
	if (!r->stopping && !status)
		flint_timer_set(m->loop, &r->walk, r->walk_ms);
}

/* Nobody keeps what the step changes. */
static void walk_step(void *arg, bool ok)
{
	struct metad_reaper *r = arg;

	if (!ok || metad_propose_own(r->m, r->walk_op, r->walk_op == META_OP_RMTREE_STEP ? r->walk_fs : 0,
				     r->walk_steps, walk_done, r))
		walk_done(r->m, 0, FLINT_ST_RETRY, r);
}

/* The next step of a file system: as far as what it changes is known beforehand. */
static int walk_tree(struct metad_reaper *r, u32 fs, u32 step)
{
	u64 inos[WALK_MAX];
	u32 nr = 0, steps = step;
	int err;

	r->walk_op = META_OP_RMTREE_STEP;
	r->walk_fs = fs;
	if (lease_tracking(metad_lease_table(r->m))) {
		err = meta_rmtree_peek(&r->m->store, fs, inos, step + 2 < WALK_MAX ? step + 2 : WALK_MAX,
				       &nr, &steps);
		if (err)
			return err;
	}
	r->walk_steps = steps < step ? steps : step;
	r->walk_ms = 1 + (WALK_MS - 1) * r->walk_steps / step;
	r->walk_own = metad_own_begin(r->m, 0, inos, nr, walk_step, r);
	return r->walk_own ? 0 : -ENOMEM;
}

/* What the trash kept long enough: who removed it may have kept its lease on it. */
static int walk_trash(struct metad_reaper *r, u64 now, u32 step)
{
	u64 inos[WALK_MAX];
	u32 nr = 0;
	int err = 0;

	r->walk_op = META_OP_TRASH_EXPIRE;
	r->walk_steps = step < WALK_MAX ? step : WALK_MAX;
	r->walk_ms = WALK_MS;
	if (lease_tracking(metad_lease_table(r->m)))
		err = meta_expiry_peek(&r->m->store, now, inos, r->walk_steps, &nr);
	if (err)
		return err;
	if (nr)
		r->walk_steps = nr;
	r->walk_own = metad_own_begin(r->m, 0, inos, nr, walk_step, r);
	return r->walk_own ? 0 : -ENOMEM;
}

/*
 * What the trash kept long enough goes, and trees that were removed are taken apart: a bounded
 * number of inodes at a time, one command at a time, by the state alone.
 */
static void walk(struct metad_reaper *r)
{
	u32 step = r->rate * WALK_MS / 1000 ? r->rate * WALK_MS / 1000 : 1, fs;
	struct meta_store *s = &r->m->store;
	u64 due, now = metad_wall_ns();
	int err = 0;

	if (r->walking || r->stopping || !r->leading)
		return;
	if (!meta_trash_due(s, &due) && due && due <= now) {
		err = walk_trash(r, now, step);
	} else if (meta_doomed_fs(s, r->walk_fs + 1, &fs) == 1 || meta_doomed_fs(s, 0, &fs) == 1) {
		err = walk_tree(r, fs, step);
	} else {
		return;
	}
	r->walking = !err;
}

static void on_walk(struct flint_timer *t)
{
	walk(t->arg);
}

static void report(struct metad_reaper *r)
{
	u64 now = flint_now_ns(), backlog = 0;

	if (now - r->report_ns < REPORT_NS)
		return;
	r->report_ns = now;
	if (meta_read_orphan_count(&r->m->store, &backlog) || (!backlog && !r->removed))
		return;
	flint_info("deleted files: data of %llu removed, %llu waiting",
		   (unsigned long long)r->removed, (unsigned long long)backlog);
	r->removed = 0;
}

static void reaper_scan(struct metad_reaper *r)
{
	if (r->stopping || !r->leading)
		return;
	scan_intents(r);
	scan_orphans(r);
	walk(r);
	report(r);
}

static void on_timer(struct flint_timer *t)
{
	struct metad_reaper *r = t->arg;

	reaper_scan(r);
	flint_timer_set(r->m->loop, &r->timer, 1000);
}

static void on_task(struct flint_task *t)
{
	struct metad_reaper *r = (struct metad_reaper *)((char *)t -
							 offsetof(struct metad_reaper, task));

	r->woken = false;
	reaper_scan(r);
}

void metad_reaper_poke(struct metad *m)
{
	struct metad_reaper *r = m->reaper;

	if (!r || r->woken)
		return;
	r->woken = true;
	flint_loop_post(m->loop, &r->task);
}

void metad_reaper_lead(struct metad_reaper *r, bool leading)
{
	r->leading = leading;
	r->after = 0;
	if (leading)
		metad_reaper_poke(r->m);
}

struct metad_reaper *metad_reaper_new(struct metad *m, u32 rate)
{
	struct metad_reaper *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->m = m;
	r->rate = rate;
	r->report_ns = flint_now_ns();
	r->task.fn = on_task;
	r->timer.fn = on_timer;
	r->timer.arg = r;
	r->walk.fn = on_walk;
	r->walk.arg = r;
	flint_timer_set(m->loop, &r->timer, 100);
	return r;
}

void metad_reaper_stop(struct metad_reaper *r)
{
	if (!r)
		return;
	r->stopping = true;
	flint_timer_cancel(r->m->loop, &r->timer);
	flint_timer_cancel(r->m->loop, &r->walk);
}

void metad_reaper_free(struct metad_reaper *r)
{
	struct job *j, *tmp;

	if (!r)
		return;
	HASH_ITER(hh, r->jobs, j, tmp)
		job_free(j);
	metad_own_end(r->walk_own);
	free(r);
}

void metad_reaper_collect(const struct metad_reaper *r, FILE *f)
{
	flint_metric_one(f, "flint_meta_reaper_jobs", "gauge",
			 "Inodes whose data is being removed.", HASH_COUNT(r->jobs));
	flint_metric_one(f, "flint_meta_reaped_total", "counter",
			 "Deleted files whose data was removed.", r->removed);
}
