// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The log with one replica: a thread that applies what was proposed, in
 * batches, each batch one transaction.
 *
 * When a transaction fails, nothing of it happened. Its commands are then
 * tried one by one, so that a full disk fails the command that needs space and
 * no other; what is damaged or unreadable stops the process, because going on
 * could acknowledge what is not there.
 *
 * Checkpoints run between batches: when nothing is waiting and the WAL has
 * some length, or in any case when it has grown to its limit.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "log.h"

#define BATCH_MAX	1024
#define WAL_IDLE	2048	/* pages: checkpoint when idle */
#define WAL_LIMIT	16384	/* pages: checkpoint now (64 MiB) */
#define IDLE_NS		20000000ull

struct meta_log {
	struct meta_store *store;
	pthread_t thread;
	pthread_mutex_t lock;		/* protects what follows */
	pthread_cond_t wake;
	struct meta_proposal *head, **tail;
	bool stop;
	struct meta_log_stats stats;

	/* the thread's */
	bool dead;
	void (*fatal)(void *arg, const char *why);
	void *arg;
};

struct meta_proposal *meta_proposal_new(const struct meta_command *c)
{
	u32 len = meta_command_size(c);
	struct meta_proposal *p = malloc(sizeof(*p) + len);

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->len = len;
	p->durable = meta_command_durable(c->op, c->body, c->body_len);
	meta_command_encode(c, p->cmd);
	return p;
}

/* D14: max(last + 1 ns, now). */
static u64 next_stamp(struct meta_store *s)
{
	struct timespec ts;
	u64 now;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = ts.tv_sec * 1000000000ull + ts.tv_nsec;
	return now > s->c.last_ts ? now : s->c.last_ts + 1;
}

/* Apply a list in one transaction. 0 or -errno with nothing done. */
static int run_batch(struct meta_store *s, struct meta_proposal *list)
{
	struct meta_proposal *p;
	bool durable = false;
	int err;

	for (p = list; p; p = p->next)
		durable |= p->durable;
	err = meta_store_begin(s, durable);
	if (err)
		return err;
	for (p = list; p; p = p->next) {
		meta_command_stamp(p->cmd, next_stamp(s));
		err = meta_apply(s, p->cmd, p->len, &p->reply);
		if (err)
			return meta_store_rollback(s) ? -EIO : err;
	}
	return meta_store_commit(s);
}

static void fail(struct meta_log *log, struct meta_proposal *p, int err)
{
	p->reply.status = -err;
	p->reply.len = 0;
	pthread_mutex_lock(&log->lock);
	log->stats.failures++;
	pthread_mutex_unlock(&log->lock);
}

/* A full disk or full memory fails what needs it; anything else means that nothing works. */
static bool passing(int err)
{
	return err == -ENOSPC || err == -ENOMEM;
}

static void give_up(struct meta_log *log)
{
	if (log->dead)
		return;
	log->dead = true;
	log->fatal(log->arg, log->store->err);
}

static void run_singly(struct meta_log *log, struct meta_proposal *list)
{
	struct meta_proposal *p, *next;
	int err;

	for (p = list; p; p = next) {
		next = p->next;
		p->next = NULL;
		err = log->dead ? -EIO : run_batch(log->store, p);
		p->next = next;
		if (err && !passing(err)) {
			give_up(log);
			err = -EIO;
		}
		if (err)
			fail(log, p, err);
	}
}

static void run_list(struct meta_log *log, struct meta_proposal *list)
{
	struct meta_proposal *p, *next;
	u64 n = 0;
	int err;

	err = log->dead ? -EIO : run_batch(log->store, list);
	if (err && !passing(err))
		give_up(log);
	if (err)
		run_singly(log, list);
	for (p = list; p; p = p->next)
		n++;
	pthread_mutex_lock(&log->lock);
	log->stats.commands += n;
	log->stats.commits++;
	pthread_mutex_unlock(&log->lock);
	for (p = list; p; p = next) {
		next = p->next;
		p->done(p);
	}
}

static void checkpoint(struct meta_log *log, bool force)
{
	if (log->dead)
		return;
	meta_store_checkpoint(log->store, force);
	pthread_mutex_lock(&log->lock);
	log->stats.checkpoints++;
	pthread_mutex_unlock(&log->lock);
}

/* Wait for work. False: none came for a while and the WAL is worth a checkpoint. */
static bool wait_work(struct meta_log *log)
{
	struct timespec until;

	while (!log->head && !log->stop) {
		if (log->store->wal_pages < WAL_IDLE || log->dead) {
			pthread_cond_wait(&log->wake, &log->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += IDLE_NS;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		if (pthread_cond_timedwait(&log->wake, &log->lock, &until) == ETIMEDOUT &&
		    !log->head)
			return false;
	}
	return true;
}

static struct meta_proposal *take(struct meta_log *log)
{
	struct meta_proposal *list = log->head, *p = list;
	int n;

	for (n = 1; p && n < BATCH_MAX; n++)
		p = p->next;
	if (p && p->next) {
		log->head = p->next;
		p->next = NULL;
	} else {
		log->head = NULL;
		log->tail = &log->head;
	}
	return list;
}

static void *log_thread(void *arg)
{
	struct meta_log *log = arg;
	struct meta_proposal *list;
	bool work;

	pthread_mutex_lock(&log->lock);
	while (!log->stop || log->head) {
		work = wait_work(log);
		list = take(log);
		pthread_mutex_unlock(&log->lock);
		if (list)
			run_list(log, list);
		if (!work)
			checkpoint(log, false);
		else if (log->store->wal_pages > WAL_LIMIT)
			checkpoint(log, true);
		pthread_mutex_lock(&log->lock);
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

struct meta_log *meta_log_new(struct meta_store *s, void (*fatal)(void *arg, const char *why),
			      void *arg)
{
	struct meta_log *log = calloc(1, sizeof(*log));
	pthread_condattr_t attr;
	int err;

	if (!log)
		return NULL;
	log->store = s;
	log->fatal = fatal;
	log->arg = arg;
	log->tail = &log->head;
	pthread_mutex_init(&log->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&log->wake, &attr);
	pthread_condattr_destroy(&attr);
	err = pthread_create(&log->thread, NULL, log_thread, log);
	if (err) {
		free(log);
		errno = err;
		return NULL;
	}
	pthread_setname_np(log->thread, "metad-log");
	return log;
}

void meta_log_free(struct meta_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->stop = true;
	pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
	pthread_join(log->thread, NULL);
	pthread_cond_destroy(&log->wake);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

void meta_log_propose(struct meta_log *log, struct meta_proposal *p)
{
	bool first;

	p->next = NULL;
	pthread_mutex_lock(&log->lock);
	first = !log->head;
	*log->tail = p;
	log->tail = &p->next;
	if (first)
		pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
}

void meta_log_stats(struct meta_log *log, struct meta_log_stats *st)
{
	pthread_mutex_lock(&log->lock);
	*st = log->stats;
	pthread_mutex_unlock(&log->lock);
}
