// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The log over Raft: commands to entries, entries to the store, results to who
 * asked.
 *
 * An entry is a run of encoded commands, each padded to 8 bytes. The leader
 * stamps a command when it joins an entry: max(last stamp + 1 ns, now), where
 * the last stamp is the greater one of what it stamped itself and what it has
 * applied (D14).
 *
 * A batch is one entry with the proposals that wait for it. Batches that are
 * under way form a list in the order of their indexes; apply() is told which
 * entry belongs to which batch, all others came from other leaders.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "backup.h"
#include "log.h"
#include "../base/log.h"

#define FLIGHT_MAX	4		/* entries under way; what comes then gathers */
#define ENTRY_BYTES	(96u << 10)	/* of commands; the largest command fits */
#define SKEW_NS		1000000000ull

_Static_assert(META_COMMAND_MAX <= ENTRY_BYTES, "the largest command fits an entry");

/* One entry on its way. */
struct batch {
	struct flint_raft_proposal rp;
	struct meta_log *log;
	struct meta_proposal *list;
	u8 data[];
};

struct meta_log {
	struct meta_store *store;
	struct flint_raft *raft;
	struct flint_task task;		/* flushes what gathered in this turn */
	bool posted, dead, paused, stopping;
	struct flint_timer pause;	/* the flusher is behind: the next entry waits */
	struct meta_proposal *head, **tail;
	unsigned int flight;
	u64 stamp;			/* last one given as leader */
	struct meta_work *work;		/* a snapshot */
	struct meta_log_config cfg;
	struct meta_log_stats stats;
};

static u32 padded(u32 len)
{
	return (len + 7) & ~7u;
}

struct meta_proposal *meta_proposal_new(const struct meta_command *c)
{
	u32 len = meta_command_size(c);
	struct meta_proposal *p = malloc(sizeof(*p) + len);

	if (!p)
		return NULL;
	memset(p, 0, offsetof(struct meta_proposal, reply.body));
	p->len = len;
	meta_command_encode(c, p->cmd);
	return p;
}

/* D14. */
static u64 next_stamp(struct meta_log *log)
{
	u64 last = log->stamp > log->store->c.last_ts ? log->stamp : log->store->c.last_ts;
	struct timespec ts;
	u64 now;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = ts.tv_sec * 1000000000ull + ts.tv_nsec;
	if (last > now + SKEW_NS)
		flint_warn_rl("this machine's clock is %llu ms behind the time stamps of its file"
			      " systems: synchronise the clocks of the metadata servers",
			      (unsigned long long)((last - now) / 1000000));
	log->stamp = now > last ? now : last + 1;
	return log->stamp;
}

/* ---- proposing ---------------------------------------------------------------- */

static void refuse(struct meta_log *log, struct meta_proposal *p, int err)
{
	p->reply.status = err == -ENOSPC ? ENOSPC :
			  err == -ECANCELED ? FLINT_ST_SHUTDOWN :
			  err == -ENOMEM ? FLINT_ST_RETRY : FLINT_ST_NOT_LEADER;
	p->reply.len = 0;
	log->stats.refused++;
	p->done(p);
}

static void flush(struct meta_log *log);

static void batch_done(struct flint_raft_proposal *rp, int err, u64 index)
{
	struct batch *b = (struct batch *)rp;
	struct meta_log *log = b->log;
	struct meta_proposal *p, *next;

	log->flight--;
	for (p = b->list; p; p = next) {
		next = p->next;
		if (err)
			refuse(log, p, err);
		else
			p->done(p);
	}
	free(b);
	if (log->head && !log->posted && !log->paused) {
		log->posted = true;
		flint_loop_post(log->cfg.raft.loop, &log->task);
	}
}

/* As many as fit into one entry. */
static struct batch *batch_take(struct meta_log *log)
{
	struct meta_proposal *p, *last = NULL;
	struct batch *b;
	u32 len = 0;

	for (p = log->head; p && (!len || len + padded(p->len) <= ENTRY_BYTES); p = p->next) {
		len += padded(p->len);
		last = p;
	}
	b = malloc(sizeof(*b) + len);
	if (!b)
		return NULL;
	memset(b, 0, sizeof(*b));
	b->log = log;
	b->list = log->head;
	log->head = last->next;
	if (!log->head)
		log->tail = &log->head;
	last->next = NULL;
	b->rp.done = batch_done;
	b->rp.data = b->data;
	b->rp.len = len;
	for (p = b->list, len = 0; p; p = p->next) {
		meta_command_stamp(p->cmd, next_stamp(log));
		memcpy(b->data + len, p->cmd, p->len);
		memset(b->data + len + p->len, 0, padded(p->len) - p->len);
		len += padded(p->len);
	}
	return b;
}

/* While the flusher is behind, entries come at its pace. */
static bool pause_wanted(struct meta_log *log)
{
	u32 us = meta_store_delay(log->store);

	if (!us)
		return false;
	log->paused = true;
	flint_timer_set(log->cfg.raft.loop, &log->pause, (us + 999) / 1000);
	return true;
}

static void flush(struct meta_log *log)
{
	struct meta_proposal *p;
	struct batch *b;

	while (log->head && log->flight < FLIGHT_MAX && !log->paused) {
		b = batch_take(log);
		if (!b) {
			p = log->head;
			log->head = p->next;
			if (!log->head)
				log->tail = &log->head;
			refuse(log, p, -ENOMEM);
			continue;
		}
		log->flight++;
		flint_raft_propose(log->raft, &b->rp);
		if (pause_wanted(log))
			break;
	}
}

static void on_task(struct flint_task *t)
{
	struct meta_log *log = (struct meta_log *)((char *)t - offsetof(struct meta_log, task));

	log->posted = false;
	flush(log);
}

static void on_pause_end(struct flint_timer *t)
{
	struct meta_log *log = t->arg;

	log->paused = false;
	flush(log);
}

void meta_log_propose(struct meta_log *log, struct meta_proposal *p)
{
	p->next = NULL;
	*log->tail = p;
	log->tail = &p->next;
	if (log->posted || log->paused || log->flight >= FLIGHT_MAX)
		return;
	log->posted = true;
	flint_loop_post(log->cfg.raft.loop, &log->task);
}

/* ---- applying -------------------------------------------------------------------- */

static void give_up(struct meta_log *log, const char *why)
{
	if (log->dead)
		return;
	log->dead = true;
	log->cfg.fatal(log->cfg.arg, why);
}

/* Bytes of the command that begins here, 0: senseless. */
static u32 command_len(const u8 *at, u32 left)
{
	struct meta_command_hdr h;
	u64 len;

	if (left < sizeof(h))
		return 0;
	memcpy(&h, at, sizeof(h));
	len = sizeof(h) + (u64)le32_to_cpu(h.body_len) + le32_to_cpu(h.data_len);
	return padded(len) > left || len > META_COMMAND_MAX ? 0 : len;
}

static void on_apply(void *arg, u64 index, u64 term, const void *data, u32 len,
		     struct flint_raft_proposal *rp)
{
	struct meta_log *log = arg;
	struct meta_proposal *p = rp ? ((struct batch *)rp)->list : NULL;
	struct meta_reply unheard, *rep;
	const u8 *at = data;
	u32 n;

	if (log->dead)
		return;
	log->stats.entries++;
	for (; len; at += padded(n), len -= padded(n)) {
		n = command_len(at, len);
		if (!n) {
			give_up(log, "the log holds an entry that this version cannot read: install the"
				" version that the other replicas run");
			return;
		}
		rep = p ? &p->reply : &unheard;
		if (meta_apply(log->store, at, n, rep)) {
			/* The store tells whom it was given to tell. */
			meta_store_fail(log->store, -EIO, log->store->err);
			log->dead = true;
			return;
		}
		if (p)
			p = p->next;
		log->stats.commands++;
	}
}

static void on_applied(void *arg, u64 index, u64 term)
{
	struct meta_log *log = arg;

	if (log->dead)
		return;
	meta_store_applied(log->store, index, term);
}

void meta_log_durable(struct meta_log *log, u64 index, u64 term)
{
	flint_raft_durable(log->raft, index, term);
}

static void on_role(void *arg, const struct flint_raft_status *st)
{
	struct meta_log *log = arg;

	log->stamp = 0;
	log->cfg.role(log->cfg.arg, st);
}

static void on_fatal(void *arg, const char *why)
{
	give_up(arg, why);
}

/* ---- snapshots: one at a time, made or taken ---------------------------------------- */

static void snapshot_made(struct meta_work *w)
{
	struct meta_log *log = w->arg;

	if (log->stopping)
		return;
	meta_work_wait(w);
	log->work = NULL;
	if (w->err)
		flint_err("no snapshot for another replica: %s", w->why);
	flint_raft_snapshot_made(log->raft, w->err, w->verdict.index, w->verdict.term);
	free(w);
}

static void snapshot_admitted(struct meta_work *w)
{
	struct meta_log *log = w->arg;
	char why[512];
	int err = w->err;

	if (log->stopping)
		return;		/* the next start loads it */
	meta_work_wait(w);
	log->work = NULL;
	if (err)
		flint_err("the snapshot that the leader sent is refused: %s", w->why);
	else if (meta_store_replace(log->store, w->src, why, sizeof(why)))
		give_up(log, why);
	else
		flint_info("the state is now the leader's, log position %llu",
			   (unsigned long long)log->store->index);
	log->cfg.replacing(log->cfg.arg, false);
	if (!log->dead)
		flint_raft_snapshot_loaded(log->raft, err);
	free(w);
}

static int work_start(struct meta_log *log, enum meta_work_kind kind, const char *src,
		      const char *dst, void (*done)(struct meta_work *w), u64 index, u64 term)
{
	struct meta_work *w = log->work ? NULL : calloc(1, sizeof(*w));
	int err;

	if (!w)
		return log->work ? -EBUSY : -ENOMEM;
	w->kind = kind;
	snprintf(w->src, sizeof(w->src), "%s", src);
	snprintf(w->dst, sizeof(w->dst), "%s", dst);
	w->want_index = index;
	w->want_term = term;
	w->loop = log->cfg.raft.loop;
	w->done = done;
	w->arg = log;
	log->work = w;
	err = meta_work_start(w);
	if (err) {
		log->work = NULL;
		free(w);
	}
	return err;
}

static void on_snapshot_make(void *arg, const char *path)
{
	struct meta_log *log = arg;
	int err;

	unlink(path);		/* of an attempt before */
	err = work_start(log, META_W_COPY, log->store->path, path, snapshot_made, 0, 0);
	if (err)
		flint_raft_snapshot_made(log->raft, err, 0, 0);
}

static void on_snapshot_load(void *arg, const char *path, u64 index, u64 term)
{
	struct meta_log *log = arg;
	int err;

	err = work_start(log, META_W_ADMIT, path, "", snapshot_admitted, index, term);
	if (err)
		flint_raft_snapshot_loaded(log->raft, err);
	else
		log->cfg.replacing(log->cfg.arg, true);
}

static const struct flint_raft_ops raft_ops = {
	.apply = on_apply,
	.applied = on_applied,
	.role = on_role,
	.snapshot_make = on_snapshot_make,
	.snapshot_load = on_snapshot_load,
	.fatal = on_fatal,
};

struct meta_log *meta_log_new(const struct meta_log_config *cfg, char *err, size_t errlen)
{
	struct meta_log *log = calloc(1, sizeof(*log));

	if (!log) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	log->cfg = *cfg;
	log->store = cfg->store;
	log->tail = &log->head;
	log->task.fn = on_task;
	log->pause = (struct flint_timer){ .fn = on_pause_end, .arg = log };
	log->cfg.raft.what = "metadata";
	log->cfg.raft.procedure = "flint meta replace";
	log->cfg.raft.role = FLINT_ROLE_META;
	log->cfg.raft.max_entry = ENTRY_BYTES;
	log->cfg.raft.applied = cfg->store->index;
	log->cfg.raft.applied_term = cfg->store->term;
	log->cfg.raft.ops = &raft_ops;
	log->cfg.raft.arg = log;
	log->raft = flint_raft_new(&log->cfg.raft, err, errlen);
	if (!log->raft) {
		free(log);
		return NULL;
	}
	return log;
}

void meta_log_free(struct meta_log *log)
{
	struct meta_proposal *p;

	if (!log)
		return;
	flint_timer_cancel(log->cfg.raft.loop, &log->pause);
	log->stopping = true;
	log->paused = true;	/* nothing is posted any more; what was is run below */
	if (log->work) {
		atomic_store(&log->work->cancel, true);
		meta_work_wait(log->work);
	}
	flint_raft_free(log->raft);	/* also runs what the work has posted */
	free(log->work);
	while ((p = log->head)) {
		log->head = p->next;
		refuse(log, p, -ECANCELED);
	}
	free(log);
}

struct flint_raft *meta_log_raft(struct meta_log *log)
{
	return log->raft;
}

void meta_log_stats(const struct meta_log *log, struct meta_log_stats *st)
{
	*st = log->stats;
}
