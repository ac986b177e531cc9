// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manager's second thread: file work that may wait for a disk.
 *
 * Jobs are done one after the other in the order they were given. A job's
 * memory is the worker's from mgr_worker_do() until its done() is called on the
 * loop.
 */
#include <pthread.h>
#include <stdlib.h>

#include "mgrd.h"

struct mgr_worker {
	struct flint_loop *loop;
	pthread_t thread;
	pthread_mutex_t lock;		/* protects what follows */
	pthread_cond_t wake;
	struct mgr_work *head, **tail;
	bool stop;
};

static void mgr_job_posted(struct flint_task *t)
{
	struct mgr_work *j = (struct mgr_work *)((char *)t - offsetof(struct mgr_work, task));

	j->done(j);
}

static void *mgr_worker_main(void *arg)
{
	struct mgr_worker *w = arg;
	struct mgr_work *j;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->head && !w->stop)
			pthread_cond_wait(&w->wake, &w->lock);
		j = w->head;
		if (!j)
			break;
		w->head = j->next;
		if (!w->head)
			w->tail = &w->head;
		pthread_mutex_unlock(&w->lock);
		j->work(j);
		j->task.fn = mgr_job_posted;
		flint_loop_post(w->loop, &j->task);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Return: the worker, or NULL with errno. */
struct mgr_worker *mgr_worker_new(struct flint_loop *loop)
{
	struct mgr_worker *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return NULL;
	w->loop = loop;
	w->tail = &w->head;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	err = pthread_create(&w->thread, NULL, mgr_worker_main, w);
	if (err) {
		free(w);
		errno = err;
		return NULL;
	}
	pthread_setname_np(w->thread, "mgrd-disk");
	return w;
}

void mgr_worker_do(struct mgr_worker *w, struct mgr_work *j)
{
	j->next = NULL;
	pthread_mutex_lock(&w->lock);
	*w->tail = j;
	w->tail = &j->next;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

/*
 * With the loop stopped: finish what was given. done() comes from
 * flint_loop_free() then.
 */
void mgr_worker_free(struct mgr_worker *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
