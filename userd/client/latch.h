/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread waits, once, for something that the loop does. */
#ifndef FLINT_CLIENT_LATCH_H
#define FLINT_CLIENT_LATCH_H

#include <pthread.h>
#include <stdbool.h>

struct fs_latch {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool open;
};

static inline void fs_latch_init(struct fs_latch *l)
{
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->cond, NULL);
	l->open = false;
}

/* What was written before is seen by who waited; @l may be gone afterwards. */
static inline void fs_latch_open(struct fs_latch *l)
{
	pthread_mutex_lock(&l->lock);
	l->open = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

/* Any thread but the loop's. Once: @l is not used afterwards. */
static inline void fs_latch_wait(struct fs_latch *l)
{
	pthread_mutex_lock(&l->lock);
	while (!l->open)
		pthread_cond_wait(&l->cond, &l->lock);
	pthread_mutex_unlock(&l->lock);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
}

#endif
