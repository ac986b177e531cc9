// SPDX-License-Identifier: GPL-2.0-or-later
/* A thread for file work that may block. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "work.h"
#include "../net/loop_int.h"

struct flint_worker {
	struct flint_loop *loop;
	char name[16];
	pthread_t thread;
	bool running;

	pthread_mutex_t lock;		/* protects what follows */
	pthread_cond_t wake;
	bool stop, posted;
	struct flint_work *todo, **todo_tail;
	struct flint_work *done, **done_tail;
	struct flint_task task;
};

static void on_done(struct flint_task *t)
{
	struct flint_worker *w = (struct flint_worker *)((char *)t -
							 offsetof(struct flint_worker, task));
	struct flint_work *job, *next;

	pthread_mutex_lock(&w->lock);
	w->posted = false;
	job = w->done;
	w->done = NULL;
	w->done_tail = &w->done;
	pthread_mutex_unlock(&w->lock);
	for (; job; job = next) {
		next = job->next;
		job->done(job);
	}
}

static void *worker_thread(void *arg)
{
	struct flint_worker *w = arg;
	struct flint_work *job;
	bool post;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->todo && !w->stop)
			pthread_cond_wait(&w->wake, &w->lock);
		job = w->todo;
		if (!job)
			break;
		w->todo = job->next;
		if (!w->todo)
			w->todo_tail = &w->todo;
		pthread_mutex_unlock(&w->lock);
		job->run(job);
		pthread_mutex_lock(&w->lock);
		job->next = NULL;
		*w->done_tail = job;
		w->done_tail = &job->next;
		post = !w->posted;
		w->posted = true;
		if (post)
			flint_loop_post(w->loop, &w->task);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct flint_worker *flint_worker_new(struct flint_loop *loop, const char *name)
{
	struct flint_worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->loop = loop;
	snprintf(w->name, sizeof(w->name), "%s", name);
	w->todo_tail = &w->todo;
	w->done_tail = &w->done;
	w->task.fn = on_done;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	return w;
}

static void drain(void *arg)
{
	on_done(&((struct flint_worker *)arg)->task);
}

void flint_worker_free(struct flint_worker *w)
{
	if (!w)
		return;
	if (w->running) {
		pthread_mutex_lock(&w->lock);
		w->stop = true;
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
		/* Behind a task that may still be posted. */
		flint_loop_sync(w->loop, drain, w);
	}
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

int flint_worker_add(struct flint_worker *w, struct flint_work *job)
{
	int err;

	if (!w->running) {
		err = pthread_create(&w->thread, NULL, worker_thread, w);
		if (err)
			return -err;
		pthread_setname_np(w->thread, w->name);
		w->running = true;
	}
	job->next = NULL;
	pthread_mutex_lock(&w->lock);
	*w->todo_tail = job;
	w->todo_tail = &job->next;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	return 0;
}
