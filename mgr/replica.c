// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * This manager as one of several: how a change becomes everybody's.
 *
 *	work it out on m->next -> mgr_commit() makes a command of it
 *	-> flint_raft_propose() -> a majority has it on disk
 *	-> replica_apply() on every manager: m->st, state.db, then the map
 *	-> done() on the manager that proposed it
 *
 * m->next exists on the ready leader only. It is m->st plus everything that is
 * on its way, and what heartbeats say. A command names the state it follows
 * upon, so one that was worked out on something that never was committed
 * changes nothing, anywhere; after such a failure m->next is made anew, when
 * nothing is on its way any more.
 *
 * state.db follows without waiting for the disk. Now and then the worker
 * brings it onto stable storage, and the log may be trimmed to there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../userd/base/addr.h"
#include "../userd/base/daemon.h"
#include "../userd/base/log.h"
#include "mgrd.h"

#define REPLICA_SYNC_NS		(20ull * 1000000000)	/* state.db is synced this often ... */
#define REPLICA_SYNC_ENTRIES	512			/* ... or after so many entries */

/**
 * struct mgr_change - a command on its way
 * @cmd: NULL: a barrier, done together with the one before it
 * @refused: it was committed, but made no sense (see above)
 */
struct mgr_change {
	struct flint_raft_proposal p;
	struct mgr *m;
	u8 *cmd;
	void (*done)(struct mgr *m, void *arg, int err);
	void *arg;
	bool refused;
	struct mgr_change *next;
};

/* ---- the next state ----------------------------------------------------- */

/* Begin with what is committed. @fresh: nobody was heard yet (decisions D7). */
static void next_make(struct mgr *m, bool fresh)
{
	struct mgr_state *next = mgr_state_clone(m->st);

	if (!next) {
		flint_err("out of memory");
		abort();
	}
	mgr_state_forget_live(next, flint_now_ns());
	if (m->next && !fresh)
		mgr_state_keep_live(next, m->next);
	mgr_state_free(m->next);
	m->next = next;
	m->next_bad = false;
}

/* May changes be worked out here, and answers be given? */
bool mgr_leads(struct mgr *m)
{
	return m->next && !m->next_bad && !m->stopping && flint_raft_readable(m->raft);
}

/* ---- proposing ------------------------------------------------------------ */

static void change_end(struct mgr_change *c, int err)
{
	c->done(c->m, c->arg, err);
	free(c->cmd);
	free(c);
}

static void change_done(struct flint_raft_proposal *p, int err, u64 index)
{
	struct mgr_change *c = p->priv, **pp;
	struct mgr *m = c->m;

	for (pp = &m->changes; *pp && *pp != c; pp = &(*pp)->next)
		;
	if (*pp)
		*pp = c->next;
	if (!err && c->refused)
		err = -EAGAIN;
	if (err && m->next)
		m->next_bad = true;
	change_end(c, err);
	while (m->changes && !m->changes->cmd) {
		c = m->changes;
		m->changes = c->next;
		change_end(c, err);
	}
	if (!m->changes && m->next_bad && m->next)
		next_make(m, false);
}

/* Last in line. */
static void change_queue(struct mgr *m, struct mgr_change *c)
{
	struct mgr_change **pp;

	for (pp = &m->changes; *pp; pp = &(*pp)->next)
		;
	*pp = c;
}

static void commit_send(struct mgr *m, struct mgr_change *c, u8 *cmd, u32 len)
{
	c->m = m;
	c->cmd = cmd;
	c->p.data = cmd;
	c->p.len = len;
	c->p.done = change_done;
	c->p.priv = c;
	change_queue(m, c);
	flint_raft_propose(m->raft, &c->p);
}

/**
 * mgr_commit() - let what was changed in m->next happen
 * @m: the daemon
 * @visible: it shows in the map
 * @done: called once, later or from here: 0: a majority has it and it is
 *	applied here; -EAGAIN: this manager leads no longer, it may have happened;
 *	-ENOSPC: the disk of the log is nearly full, nothing happened
 * @arg: for @done
 *
 * Pointers to records of m->next are invalid afterwards.
 */
void mgr_commit(struct mgr *m, bool visible, void (*done)(struct mgr *m, void *arg, int err),
		void *arg)
{
	struct mgr_change *c;
	char why[MGR_ERR_LEN];
	u32 len = 0;
	u8 *cmd = NULL;

	if (!m->next || m->next_bad || m->stopping)
		return done(m, arg, -EAGAIN);
	c = calloc(1, sizeof(*c));
	if (!c || mgr_command_encode(m->next, visible, false, &cmd, &len)) {
		/* Half a change in memory: only a fresh start from the log is safe. */
		flint_err("out of memory while changing the cluster's state");
		abort();
	}
	if (mgr_state_check(m->next, why, sizeof(why))) {
		flint_err("a change was not made: %s; please report this", why);
		m->next_bad = true;
		free(cmd);
		free(c);
		done(m, arg, -EPROTO);
		if (!m->changes)
			next_make(m, false);
		return;
	}
	c->done = done;
	c->arg = arg;
	commit_send(m, c, cmd, len);
}

/**
 * mgr_barrier() - wait until everything that m->next shows has happened
 * @done: as mgr_commit(); at once when nothing is on its way
 */
void mgr_barrier(struct mgr *m, void (*done)(struct mgr *m, void *arg, int err), void *arg)
{
	struct mgr_change *c;

	if (!m->next || m->next_bad || m->stopping)
		return done(m, arg, -EAGAIN);
	if (!m->changes)
		return done(m, arg, 0);
	c = calloc(1, sizeof(*c));
	if (!c)
		return done(m, arg, -ENOMEM);
	c->m = m;
	c->done = done;
	c->arg = arg;
	change_queue(m, c);
}

static void replica_follow_role(struct mgr *m);

static void founded(struct mgr *m, void *arg, int err)
{
	if (err)
		flint_warn("the first state of the cluster was not committed yet");
	else
		flint_info("cluster %s founded", m->st->set.cluster_name);
	replica_follow_role(m);
}

/* The first command of a cluster says everything, so that others can start from nothing. */
static void replica_found_state(struct mgr *m)
{
	struct mgr_change *c = calloc(1, sizeof(*c));
	struct mgr_state *seed = m->seed ? mgr_state_clone(m->seed) : mgr_state_clone(m->st);
	u32 len = 0;
	u8 *cmd = NULL;

	if (c && seed) {
		seed->seq++;
		seed->epoch++;
		seed->set.lease_ms = MGR_DEFAULT_LEASE_MS * m->time_scale;
		seed->set.fence_ms = seed->set.lease_ms;
	}
	if (!c || !seed || mgr_command_encode(seed, false, true, &cmd, &len)) {
		flint_err("out of memory");
		abort();
	}
	c->done = founded;
	mgr_state_free(seed);
	commit_send(m, c, cmd, len);
}

/* ---- applying ------------------------------------------------------------- */

static void replica_apply(void *arg, u64 index, u64 term, const void *data, u32 len,
			  struct flint_raft_proposal *p)
{
	struct mgr *m = arg;
	char err[MGR_ERR_LEN];
	bool whole;
	int ret;

	m->applied = index;
	m->applied_term = term;
	if (!len)
		return;
	ret = mgr_command_apply(m->st, data, len, &whole, err, sizeof(err));
	if (ret == -ENOMEM) {
		flint_err("out of memory while applying a change");
		abort();
	}
	if (ret) {
		flint_warn("entry %llu: %s", (unsigned long long)index, err);
		if (p)
			((struct mgr_change *)p->priv)->refused = true;
		return;
	}
	ret = mgr_db_write(m->db, m->st, whole, index, term, err, sizeof(err));
	mgr_state_settle(m->st);
	if (ret)
		mgr_fatal(m, err);
	m->unsynced++;
	if (whole)
		mgr_identify(m);
}

static void replica_applied(void *arg, u64 index, u64 term)
{
	struct mgr *m = arg;

	m->applied = index;
	m->applied_term = term;
	if (m->st->epoch && m->image_epoch != m->st->epoch)
		mgr_publish(m);
}

/* ---- leading --------------------------------------------------------------- */

static void committed(struct mgr *m, void *arg, int err)
{
}

static void replica_lead(struct mgr *m)
{
	flint_info("this manager leads now (term %llu): nobody is declared dead for %u ms",
		   (unsigned long long)flint_raft_status(m->raft)->term, m->st->set.lease_ms);
	m->lead_ns = flint_now_ns();
	next_make(m, true);
	if (mgr_lease_follow(m))
		mgr_commit(m, true, committed, NULL);
	mgr_beat_self(m);
}

/**
 * mgr_lease_follow() - let T be what operators want, in m->next
 *
 * Servers act upon a longer T for a while after it was shortened, so that the
 * silence that is waited for stays at the longer one until nobody can.
 *
 * Return: did it change? The caller commits.
 */
bool mgr_lease_follow(struct mgr *m)
{
	struct mgr_settings *s = &m->next->set;
	u32 want = s->lease_wish ? s->lease_wish : MGR_DEFAULT_LEASE_MS;

	/* Versions before took less. */
	want = (want < MGR_LEASE_MIN_MS ? MGR_LEASE_MIN_MS : want) * m->time_scale;
	if (s->lease_ms != want) {
		s->lease_ms = want;
		if (s->fence_ms < want)
			s->fence_ms = want;
		m->lease_ns = flint_now_ns();
	} else if (s->fence_ms != s->lease_ms &&
		   flint_now_ns() - m->lease_ns > s->fence_ms * 2000000ull &&
		   flint_now_ns() - m->lead_ns > s->fence_ms * 2000000ull) {
		s->fence_ms = s->lease_ms;
	} else {
		return false;
	}
	s->dirty = true;
	return true;
}

static void replica_unlead(struct mgr *m)
{
	flint_info("this manager leads no longer");
	mgr_state_free(m->next);
	m->next = NULL;
	m->next_bad = false;
	mgr_group_forget(m);
}

/* The others have gone on without this manager: it serves nobody any more. */
void mgr_removed(struct mgr *m)
{
	if (m->removed)
		return;
	m->removed = true;
	mgr_rpc_drop_waits(m);
	flint_err("this manager was removed from its cluster: stop it; to bring it back, empty its state directory and start it with --join");
}

/* Make the role of this manager what the log says. From the loop. */
static void replica_follow_role(struct mgr *m)
{
	const struct flint_raft_status *st = flint_raft_status(m->raft);
	bool leads = st->role == FLINT_REPLICA_LEADER && st->ready;

	if (st->removed)
		mgr_removed(m);
	/* Ready, and yet no command was ever applied: the group is new. */
	if (leads && !m->db->applied) {
		if (!m->founding)
			replica_found_state(m);
		m->founding = true;
		return;	/* the tick comes by again when it is applied */
	}
	if (leads && !m->next)
		replica_lead(m);
	else if (!leads && m->next)
		replica_unlead(m);
	if (!leads)
		m->founding = false;
	if (!st->leader)
		mgr_rpc_drop_waits(m);
}

static void replica_role(void *arg, const struct flint_raft_status *st)
{
	replica_follow_role(arg);
}

/* ---- snapshots and syncing -------------------------------------------------- */

/* Work for the disk; one struct for all three kinds. */
struct mgr_disk_job {
	struct mgr_work j;
	struct mgr *m;
	char *path;
	u8 *data;
	u32 len;
	u64 index, term;
	int err;
};

static struct mgr_disk_job *disk_job(struct mgr *m, const char *path,
				     void (*work)(struct mgr_work *j),
				     void (*done)(struct mgr_work *j))
{
	struct mgr_disk_job *d = calloc(1, sizeof(*d));

	if (d)
		d->path = strdup(path);
	if (!d || !d->path) {
		flint_err("out of memory");
		abort();
	}
	d->m = m;
	d->j.work = work;
	d->j.done = done;
	return d;
}

static void disk_job_free(struct mgr_disk_job *d)
{
	free(d->path);
	free(d->data);
	free(d);
}

static void snap_write(struct mgr_work *j)
{
	struct mgr_disk_job *d = (struct mgr_disk_job *)j;
	int fd = open(d->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	u32 at = 0;
	ssize_t n = 0;

	while (fd >= 0 && at < d->len) {
		n = write(fd, d->data + at, d->len - at);
		if (n <= 0)
			break;
		at += n;
	}
	if (fd < 0 || at < d->len || fsync(fd))
		d->err = errno ? -errno : -EIO;
	if (fd >= 0)
		close(fd);
}

static void snap_written(struct mgr_work *j)
{
	struct mgr_disk_job *d = (struct mgr_disk_job *)j;

	if (d->m->raft)
		flint_raft_snapshot_made(d->m->raft, d->err, d->index, d->term);
	disk_job_free(d);
}

static void replica_snapshot_make(void *arg, const char *path)
{
	struct mgr *m = arg;
	struct mgr_disk_job *d = disk_job(m, path, snap_write, snap_written);
	struct mgr_state *copy = mgr_state_clone(m->st);

	if (!copy || mgr_command_encode(copy, false, true, &d->data, &d->len)) {
		flint_err("out of memory");
		abort();
	}
	mgr_state_free(copy);
	d->index = m->applied;
	d->term = m->applied_term;
	mgr_worker_do(m->worker, &d->j);
}

static void snap_read(struct mgr_work *j)
{
	struct mgr_disk_job *d = (struct mgr_disk_job *)j;
	int fd = open(d->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	u32 at = 0;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st)) {
		d->err = -errno;
	} else if (st.st_size > MGR_COMMAND_MAX) {
		d->err = -EFBIG;
	} else {
		d->len = st.st_size;
		d->data = malloc(d->len + 1);
		while (d->data && at < d->len && (n = read(fd, d->data + at, d->len - at)) > 0)
			at += n;
		d->err = !d->data ? -ENOMEM : at < d->len ? -EIO : 0;
	}
	if (fd >= 0)
		close(fd);
}

static void sync_work(struct mgr_work *j);

/* The loaded state is on disk: go on from there. */
static void snap_synced(struct mgr_work *j)
{
	struct mgr_disk_job *d = (struct mgr_disk_job *)j;
	struct mgr *m = d->m;

	if (m->raft) {
		flint_raft_snapshot_loaded(m->raft, d->err);
		if (!d->err) {
			flint_info("state of the cluster loaded from a snapshot, map epoch %llu",
				   (unsigned long long)m->st->epoch);
			mgr_publish(m);
		}
	}
	disk_job_free(d);
}

static void snap_was_read(struct mgr_work *j)
{
	struct mgr_disk_job *d = (struct mgr_disk_job *)j;
	struct mgr *m = d->m;
	char err[MGR_ERR_LEN] = "it cannot be read";
	bool whole = false;

	if (!m->raft) {
		disk_job_free(d);
		return;
	}
	if (!d->err)
		d->err = mgr_command_apply(m->st, d->data, d->len, &whole, err, sizeof(err));
	if (!d->err)
		d->err = mgr_db_write(m->db, m->st, true, d->index, d->term, err, sizeof(err));
	mgr_state_settle(m->st);
	if (d->err) {
		flint_err("a snapshot of the managers' state is not usable: %s", err);
		flint_raft_snapshot_loaded(m->raft, d->err);
		disk_job_free(d);
		return;
	}
	m->applied = d->index;
	m->applied_term = d->term;
	mgr_identify(m);
	free(d->path);
	d->path = strdup(m->db->path);
	if (!d->path)
		abort();
	d->j.work = sync_work;
	d->j.done = snap_synced;
	mgr_worker_do(m->worker, &d->j);
}

static void replica_snapshot_load(void *arg, const char *path, u64 index, u64 term)
{
	struct mgr *m = arg;
	struct mgr_disk_job *d = disk_job(m, path, snap_read, snap_was_read);

	d->index = index;
	d->term = term;
	mgr_worker_do(m->worker, &d->j);
}

/* A connection of its own, so that the loop's is not held up meanwhile. */
static void sync_work(struct mgr_work *j)
{
	struct mgr_disk_job *d = (struct mgr_disk_job *)j;
	int rc, frames = 0, moved = 0;
	sqlite3 *db = NULL;

	rc = sqlite3_open_v2(d->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(db, 2000);
		rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
	}
	sqlite3_close(db);
	if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED || (rc == SQLITE_OK && moved < frames))
		d->err = -EAGAIN;
	else if (rc != SQLITE_OK)
		d->err = -EIO;
}

static void sync_done(struct mgr_work *j)
{
	struct mgr_disk_job *d = (struct mgr_disk_job *)j;
	char err[MGR_ERR_LEN];
	struct mgr *m = d->m;

	m->syncing = false;
	if (m->raft && d->err == -EIO) {
		snprintf(err, sizeof(err),
			 "%s cannot be brought onto stable storage: check the disk, then take this manager out and bring it back empty with 'flint mgr replace NAME'",
			 d->path);
		mgr_fatal(m, err);
	} else if (m->raft && !d->err) {
		flint_raft_durable(m->raft, d->index, d->term);
	}
	disk_job_free(d);
}

/**
 * mgr_replica_tick() - now and then
 * @now: CLOCK_BOOTTIME
 */
void mgr_replica_tick(struct mgr *m, u64 now)
{
	struct mgr_disk_job *d;

	replica_follow_role(m);
	if (m->syncing || !m->unsynced ||
	    (m->unsynced < REPLICA_SYNC_ENTRIES && now - m->synced_ns < REPLICA_SYNC_NS))
		return;
	m->syncing = true;
	m->unsynced = 0;
	m->synced_ns = now;
	d = disk_job(m, m->db->path, sync_work, sync_done);
	d->index = m->db->applied;
	d->term = m->db->applied_term;
	mgr_worker_do(m->worker, &d->j);
}

/* ---- start and stop ----------------------------------------------------------- */

static void replica_fatal(void *arg, const char *why)
{
	mgr_fatal(arg, why);
}

static const struct flint_raft_ops mgr_raft_ops = {
	.apply = replica_apply,
	.applied = replica_applied,
	.role = replica_role,
	.snapshot_make = replica_snapshot_make,
	.snapshot_load = replica_snapshot_load,
	.fatal = replica_fatal,
};

static void replica_joined(void *arg, int err, const char *why);

static void join_try(struct mgr *m)
{
	struct flint_addr addr;

	if (flint_addr_to_wire(&m->join[m->join_at % m->nr_join], FLINT_PROTO_TCP, &addr))
		return;
	flint_raft_join(m->raft, &addr, replica_joined, m);
}

static void on_join_again(struct flint_timer *t)
{
	struct mgr *m = t->arg;

	if (flint_raft_status(m->raft)->group)
		return;
	m->join_at++;
	join_try(m);
}

static void replica_joined(void *arg, int err, const char *why)
{
	struct mgr *m = arg;

	if (!err) {
		flint_info("this manager is taken in; it follows as soon as it has the state");
		return;
	}
	if (err == -ECANCELED || m->stopping)
		return;
	if (err == -EAGAIN)
		flint_debug("joining: %s; asking another manager", why ? why : "no answer");
	else if (err == -EEXIST)
		flint_warn_rl("a manager called %s is a member already: this one, which is empty, waits for 'flint mgr replace %s'; or give it another --name",
			      m->name, m->name);
	else
		flint_warn_rl("the cluster did not take this manager in: %s",
			      why && *why ? why : strerror(-err));
	m->join_timer.fn = on_join_again;
	m->join_timer.arg = m;
	flint_timer_set(m->loop, &m->join_timer, err == -EAGAIN ? 500 : 2000);
}

/* A cluster that did not keep a log, or none yet: this manager begins one. */
static int replica_found(struct mgr *m, const struct mgr_options *o, char *err, size_t errlen)
{
	u8 id[16];

	if (!m->st->epoch) {
		flint_random(id, sizeof(id));
		m->seed = mgr_state_new(id, o->cluster_name, MGR_DEFAULT_LEASE_MS * m->time_scale);
		if (!m->seed) {
			snprintf(err, errlen, "out of memory");
			return -ENOMEM;
		}
		m->seed->epoch = 0;	/* the first command makes it 1 */
		m->seed->set.scrub_days = MGR_DEFAULT_SCRUB_DAYS;
	} else {
		flint_info("the state was made by a version without a log: it becomes the first entry of one");
	}
	return flint_raft_found(m->raft, flint_random_u64(), NULL);
}

/* Do the two databases of the directory belong together? Return: 0 or -EUCLEAN. */
static int replica_pair_check(struct mgr *m, bool had_log, bool had_db, const char *dir, char *err,
			      size_t errlen)
{
	if (had_db && !had_log && m->db->applied) {
		snprintf(err, errlen,
			 "%s holds state.db but its raft.db is missing: what this manager has promised is lost; empty the directory and bring it back with 'flint mgr replace %s', or restore both files",
			 dir, m->name);
		return -EUCLEAN;
	}
	if (had_log && !had_db)
		flint_warn("%s/state.db is missing: it is made anew from the log", dir);
	return 0;
}

/**
 * mgr_replica_start() - open the databases and take part
 * @m: the daemon, with its loop and its listeners
 * @o: options
 * @addr: where other managers reach this one
 * @err: one sentence on failure
 *
 * Only now files appear in the state directory.
 *
 * Return: 0 or -errno.
 */
int mgr_replica_start(struct mgr *m, const struct mgr_options *o, const struct flint_addr *addr,
		      char *err, size_t errlen)
{
	struct flint_raft_config cfg = {
		.loop = m->loop, .dir = o->state, .what = "the managers' state",
		.procedure = "flint mgr replace NAME", .name = m->name, .addr = *addr,
		.role = FLINT_ROLE_MGR, .key = m->key, .time_scale = m->time_scale,
		.max_entry = MGR_COMMAND_MAX, .ops = &mgr_raft_ops, .arg = m,
	};
	bool had_db = mgr_db_exists(o->state), had_log;
	char path[4096];
	int ret;

	snprintf(path, sizeof(path), "%s/raft.db", o->state);
	had_log = !access(path, F_OK);
	ret = mgr_db_open(&m->db, o->state, err, errlen);
	if (!ret)
		ret = mgr_db_load(m->db, &m->st, err, errlen);
	if (!ret)
		ret = replica_pair_check(m, had_log, had_db, o->state, err, errlen);
	if (ret)
		return ret;
	if (!m->st)
		m->st = calloc(1, sizeof(*m->st));
	m->worker = m->st ? mgr_worker_new(m->loop) : NULL;
	if (!m->worker) {
		snprintf(err, errlen, "the disk thread cannot be started (%s)", strerror(errno));
		return -ENOMEM;
	}
	m->synced_ns = flint_now_ns();
	m->applied = m->db->applied;
	m->applied_term = m->db->applied_term;
	cfg.applied = m->applied;
	cfg.applied_term = m->applied_term;
	m->raft = flint_raft_new(&cfg, err, errlen);
	if (!m->raft)
		return errno ? -errno : -EIO;
	mgr_identify(m);
	if (flint_raft_status(m->raft)->group)
		return 0;
	if (m->nr_join) {
		flint_info("joining a cluster: this manager serves when it has been taken in");
		join_try(m);
		return 0;
	}
	return replica_found(m, o, err, errlen);
}

/* With the loop stopped: nothing is applied, proposed or written any more. */
void mgr_replica_stop(struct mgr *m)
{
	struct flint_raft *raft = m->raft;
	char err[MGR_ERR_LEN];

	if (m->loop)
		flint_timer_cancel(m->loop, &m->join_timer);
	mgr_worker_free(m->worker);
	m->worker = NULL;
	if (raft)
		flint_raft_free(raft);
	m->raft = NULL;
	if (m->db && !m->failed && mgr_db_sync(m->db, err, sizeof(err)))
		flint_warn("%s", err);
}

/* After the loop, whose last tasks may look at the state. */
void mgr_replica_free(struct mgr *m)
{
	mgr_db_close(m->db);
	mgr_state_free(m->next);
	mgr_state_free(m->st);
	mgr_state_free(m->seed);
}

u32 mgr_leader_node(struct mgr *m)
{
	const struct flint_raft_status *st = m->raft ? flint_raft_status(m->raft) : NULL;
	const struct mgr_node *n;

	if (!st || !st->leader || !st->leader_name[0])
		return 0;
	n = mgr_node_find_name(m->st, FLINT_ROLE_MGR, st->leader_name);
	return n ? n->id : 0;
}
