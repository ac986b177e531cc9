/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server inside the test process, on a loop and thread of its own, that
 * answers as the test tells it. And a second loop for what is being tested.
 */
#ifndef FLINT_TEST_FAKE_SERVER_H
#define FLINT_TEST_FAKE_SERVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include "../../userd/base/addr.h"
#include "../../userd/net/net.h"

struct test_loop {
	struct flint_loop *loop;
	pthread_t thread;
};

static inline void *test_loop_main(void *arg)
{
	flint_loop_run(((struct test_loop *)arg)->loop);
	return NULL;
}

static inline void test_loop_start(struct test_loop *l)
{
	l->loop = flint_loop_new();
	pthread_create(&l->thread, NULL, test_loop_main, l);
}

/* Stop it, but keep it: what lives on it is freed now. */
static inline void test_loop_stop(struct test_loop *l)
{
	flint_loop_stop(l->loop);
	pthread_join(l->thread, NULL);
}

struct test_run {
	struct flint_task task;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static inline void test_run_task(struct flint_task *t)
{
	struct test_run *r = (struct test_run *)((char *)t - offsetof(struct test_run, task));

	r->fn(r->arg);
	sem_post(&r->done);
}

/* Run fn(arg) on a loop and wait for its end. */
static inline void test_on_loop(struct test_loop *l, void (*fn)(void *arg), void *arg)
{
	struct test_run r = { .task = { .fn = test_run_task }, .fn = fn, .arg = arg };

	sem_init(&r.done, 0, 0);
	flint_loop_post(l->loop, &r.task);
	sem_wait(&r.done);
	sem_destroy(&r.done);
}

/* Wait until @cond holds; up to ten seconds. */
#define WAIT_FOR(cond)								\
	do {									\
		int tries_ = 2000;						\
										\
		while (!(cond) && --tries_)					\
			usleep(5000);						\
		if (!tries_)							\
			fprintf(stderr, "waited in vain for %s\n", #cond);	\
		assert_true(cond);						\
	} while (0)

struct fake_server {
	struct test_loop l;
	struct flint_pool *pool;
	struct flint_server *srv;
	struct sockaddr_storage addr;
};

static inline int fake_server_start(struct fake_server *f, const uint8_t *key, uint8_t role,
				    void (*request)(void *, struct flint_call *), void *arg)
{
	struct flint_server_config cfg = {
		.role = role, .node_id = 1, .key = key, .loops = &f->l.loop, .nr_loops = 1,
		.inline_size = role == FLINT_ROLE_MGR ? FLINT_INLINE_MGR : 0,
		.request = request, .arg = arg,
	};
	char err[200] = "";
	int rc;

	f->l.loop = flint_loop_new();
	f->pool = flint_pool_new(FLINT_MAX_IO, 8);
	cfg.pool = f->pool;
	f->srv = flint_server_new(&cfg);
	if (!f->srv)
		return -1;
	memset(&f->addr, 0, sizeof(f->addr));
	f->addr.ss_family = AF_INET;
	((struct sockaddr_in *)&f->addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	rc = flint_server_listen(f->srv, FLINT_PROTO_TCP, &f->addr, err, sizeof(err));
	if (rc)
		fprintf(stderr, "%s\n", err);
	else
		pthread_create(&f->l.thread, NULL, test_loop_main, &f->l);
	return rc;
}

static inline void fake_server_stop(struct fake_server *f)
{
	flint_server_free(f->srv);
	test_loop_stop(&f->l);
	flint_loop_free(f->l.loop);
	flint_pool_free(f->pool);
}

#endif /* FLINT_TEST_FAKE_SERVER_H */
