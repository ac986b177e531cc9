// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The log with one replica and no file of its own: what was proposed is applied
 * on the loop, in batches, and answered when the state is written.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "log.h"
#include "../net/net.h"

#define BATCH_MAX	1024

struct meta_log {
	struct flint_task task;
	struct meta_store *store;
	struct flint_loop *loop;
	struct meta_proposal *head, **tail;
	bool posted, dead;
	struct meta_log_stats stats;
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

static void run(struct meta_log *log, struct meta_proposal *list)
{
	struct meta_store *s = log->store;
	struct meta_proposal *p, *next;

	for (p = list; p; p = p->next) {
		meta_command_stamp(p->cmd, next_stamp(s));
		if (!log->dead && meta_apply(s, p->cmd, p->len, &p->reply)) {
			meta_store_fail(s, -EIO, s->err);
			log->dead = true;
		}
		log->stats.commands++;
	}
	if (!log->dead) {
		meta_store_applied(s, s->index + 1, 1);
		log->dead = meta_store_flush(s);
		log->stats.commits++;
	}
	for (p = list; p; p = next) {
		next = p->next;
		if (log->dead) {
			p->reply.status = EIO;
			p->reply.len = 0;
		}
		p->done(p);
	}
}

static void on_task(struct flint_task *t)
{
	struct meta_log *log = (struct meta_log *)t;
	struct meta_proposal *list = log->head, *p = list;
	int n;

	log->posted = false;
	if (!list)
		return;
	for (n = 1; p->next && n < BATCH_MAX; n++)
		p = p->next;
	log->head = p->next;
	if (!log->head)
		log->tail = &log->head;
	p->next = NULL;
	run(log, list);
	if (log->head && !log->posted) {
		log->posted = true;
		flint_loop_post(log->loop, &log->task);
	}
}

struct meta_log *meta_log_new(struct meta_store *s, struct flint_loop *loop)
{
	struct meta_log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->task.fn = on_task;
	log->store = s;
	log->loop = loop;
	log->tail = &log->head;
	return log;
}

void meta_log_free(struct meta_log *log)
{
	while (log->head)
		on_task(&log->task);
	free(log);
}

void meta_log_propose(struct meta_log *log, struct meta_proposal *p)
{
	p->next = NULL;
	*log->tail = p;
	log->tail = &p->next;
	if (log->posted)
		return;
	log->posted = true;
	flint_loop_post(log->loop, &log->task);
}

void meta_log_stats(struct meta_log *log, struct meta_log_stats *st)
{
	*st = log->stats;
}
