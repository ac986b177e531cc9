// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The event loop (order of timers, tasks from other threads, watches removed
 * while their event is pending, sleep when idle) and the buffer pool
 * (exhaustion, first come first served, arena, registrations).
 */
#include <pthread.h>
#include <setjmp.h>
#include <sys/eventfd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "userd/net/loop_int.h"
#include "userd/net/pool_int.h"

static struct flint_loop *the_loop;
static uint64_t order[2000];
static int nr_order;

struct numbered {
	struct flint_timer t;
	uint64_t due;
};

static void timer_note(struct flint_timer *t)
{
	order[nr_order++] = ((struct numbered *)t)->due;
}

static void timer_start(struct numbered *t, uint64_t ms)
{
	flint_timer_set(the_loop, &t->t, ms);
	t->due = t->t.due_ns;
}

static void timer_stop(struct flint_timer *t)
{
	flint_loop_stop(the_loop);
}

static void timers(void **state)
{
	enum { N = 500 };
	struct flint_timer stop = { .fn = timer_stop };
	struct numbered *t = calloc(N, sizeof(*t));
	unsigned int seed = 7;
	int i;

	the_loop = flint_loop_new();
	nr_order = 0;
	for (i = 0; i < N; i++) {
		seed = seed * 1103515245 + 12345;
		t[i].t.fn = timer_note;
		timer_start(&t[i], (seed >> 8) % 40);
	}
	/* Some are set again, some cancelled, twice. */
	for (i = 0; i < N; i += 3)
		flint_timer_cancel(the_loop, &t[i].t);
	for (i = 0; i < N; i += 6)
		flint_timer_cancel(the_loop, &t[i].t);
	for (i = 1; i < N; i += 3)
		timer_start(&t[i], (uint64_t)i % 40);
	flint_timer_set(the_loop, &stop, 100);
	assert_int_equal(flint_loop_run(the_loop), 0);
	assert_int_equal(nr_order, N - (N + 2) / 3);
	for (i = 1; i < nr_order; i++)
		assert_true(order[i] >= order[i - 1]);
	for (i = 0; i < N; i++)
		assert_int_equal(t[i].t.due_ns, 0);
	free(t);
	flint_loop_free(the_loop);
}

/* ---- tasks ------------------------------------------------------------ */

struct counted {
	struct flint_task t;
	struct flint_loop *loop;
	int again;
};

static int ran;
static atomic_int made;

static void count_run(struct flint_task *t)
{
	struct counted *c = (struct counted *)t;

	ran++;
	if (c->again--) {
		flint_loop_post(c->loop, t);
		return;
	}
	free(c);
}

static void *poster(void *arg)
{
	int i;

	for (i = 0; i < 2000; i++) {
		struct counted *c = calloc(1, sizeof(*c));

		c->t.fn = count_run;
		c->loop = arg;
		c->again = i % 3;
		atomic_fetch_add(&made, 1 + i % 3);
		flint_loop_post(arg, &c->t);
	}
	return NULL;
}

static void *runner(void *arg)
{
	assert_int_equal(flint_loop_run(arg), 0);
	return NULL;
}

static void sync_count(void *arg)
{
	assert_true(flint_loop_inside(the_loop));
	++*(int *)arg;
}

static void tasks(void **state)
{
	pthread_t r, p[4];
	int i, n = 0;

	the_loop = flint_loop_new();
	ran = 0;
	atomic_store(&made, 0);
	pthread_create(&r, NULL, runner, the_loop);
	for (i = 0; i < 4; i++)
		pthread_create(&p[i], NULL, poster, the_loop);
	for (i = 0; i < 50; i++)
		flint_loop_sync(the_loop, sync_count, &n);
	assert_int_equal(n, 50);
	for (i = 0; i < 4; i++)
		pthread_join(p[i], NULL);
	for (i = 0; i < 5; i++)		/* what tasks post again runs in later rounds */
		flint_loop_sync(the_loop, sync_count, &n);
	flint_loop_stop(the_loop);
	pthread_join(r, NULL);
	assert_int_equal(ran, atomic_load(&made));
	/* Nobody runs it now: called directly. What is posted runs at the end. */
	flint_loop_sync(the_loop, sync_count, &n);
	assert_int_equal(n, 56);
	poster(the_loop);
	flint_loop_free(the_loop);
	assert_int_equal(ran, atomic_load(&made));
}

/* ---- watches ---------------------------------------------------------- */

static struct flint_watch pair[2];
static int watched;

/* Both have an event in the same batch; the first one removes the other. */
static void watch_other(struct flint_watch *w, uint32_t events)
{
	watched++;
	flint_watch_del(the_loop, &pair[w == &pair[0]]);
	flint_watch_del(the_loop, w);
	flint_loop_stop(the_loop);
}

static void watches(void **state)
{
	int a[2], b[2];

	the_loop = flint_loop_new();
	assert_int_equal(pipe(a), 0);
	assert_int_equal(pipe(b), 0);
	pair[0] = (struct flint_watch){ .fd = a[0], .fn = watch_other };
	pair[1] = (struct flint_watch){ .fd = b[0], .fn = watch_other };
	assert_int_equal(write(a[1], "x", 1), 1);
	assert_int_equal(write(b[1], "x", 1), 1);
	flint_watch_add(the_loop, &pair[0], EPOLLIN);
	flint_watch_add(the_loop, &pair[1], EPOLLIN);
	assert_int_equal(flint_loop_run(the_loop), 0);
	assert_int_equal(watched, 1);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
	flint_loop_free(the_loop);
}

/* A loop with nothing to do uses no processor time. */
static void idle(void **state)
{
	struct flint_timer stop = { .fn = timer_stop };
	struct timespec a, b;
	int64_t used;

	the_loop = flint_loop_new();
	flint_timer_set(the_loop, &stop, 300);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	assert_int_equal(flint_loop_run(the_loop), 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	used = (b.tv_sec - a.tv_sec) * 1000000000ll + b.tv_nsec - a.tv_nsec;
	assert_true(used < 100000000);
	flint_loop_free(the_loop);
}

/* ---- pool ------------------------------------------------------------- */

struct numbered_waiter {
	struct flint_buf_waiter w;
	int n;
	bool got;
	struct flint_buf *buf;
};

static void waiter_got(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct numbered_waiter *n = (struct numbered_waiter *)w;

	order[nr_order++] = (uint64_t)n->n;
	n->got = true;
	n->buf = buf;
}

static void pool(void **state)
{
	struct flint_pool *p = flint_pool_new(5000, 3);
	struct numbered_waiter w[4] = { 0 };
	struct flint_buf *b[3];
	size_t len;
	void *base;
	int i;

	assert_non_null(p);
	the_loop = flint_loop_new();
	nr_order = 0;
	flint_pool_arena(p, &base, &len);
	assert_int_equal(len, 3 * 8192);
	assert_int_equal(flint_pool_buf_size(p), 8192);
	for (i = 0; i < 3; i++) {
		b[i] = flint_buf_get(p);
		assert_non_null(b[i]);
		assert_int_equal((uintptr_t)b[i]->data % 4096, 0);
		assert_ptr_equal(b[i]->data, (uint8_t *)base + b[i]->index * 8192);
		assert_true(flint_pool_owns(p, b[i]->data, 8192));
	}
	assert_false(flint_pool_owns(p, base, len + 1));
	assert_false(flint_pool_owns(p, (uint8_t *)base + len, 1));
	assert_false(flint_pool_owns(p, &i, 4));
	assert_null(flint_buf_get(p));
	for (i = 0; i < 4; i++) {
		w[i].n = i;
		w[i].w.fn = waiter_got;
		w[i].w.loop = the_loop;
		flint_buf_wait(p, &w[i].w);
		assert_false(w[i].got);
	}
	/* A second reference keeps it. */
	flint_buf_ref(b[0]);
	flint_buf_put(b[0]);
	assert_int_equal(flint_pool_nr_free(p), 0);
	for (i = 0; i < 3; i++)
		flint_buf_put(b[i]);
	/* All went to waiters; a newcomer gets none. */
	assert_null(flint_buf_get(p));
	flint_loop_free(the_loop);	/* runs what is posted */
	assert_int_equal(nr_order, 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(order[i], i);
	assert_false(w[3].got);
	the_loop = flint_loop_new();
	w[3].w.loop = the_loop;
	flint_buf_put(w[0].buf);
	flint_loop_free(the_loop);
	assert_true(w[3].got);
	flint_buf_put(w[3].buf);
	flint_buf_put(w[1].buf);
	flint_buf_put(w[2].buf);
	assert_int_equal(flint_pool_nr_free(p), 3);
	/* One free: called at once. */
	w[0].got = false;
	flint_buf_wait(p, &w[0].w);
	assert_true(w[0].got);
	flint_buf_put(w[0].buf);
	flint_pool_free(p);
	assert_null(flint_pool_new(0, 1));
	assert_null(flint_pool_new(1, 0));
}

static int dropped;

static void reg_drop(struct flint_pool_reg *reg)
{
	dropped++;
}

static void registrations(void **state)
{
	struct flint_pool *p = flint_pool_new(4096, 1);
	struct flint_pool_reg a = { .key = &a, .drop = reg_drop };
	struct flint_pool_reg b = { .key = &b, .drop = reg_drop };

	flint_pool_reg_add(p, &a);
	flint_pool_reg_add(p, &b);
	assert_ptr_equal(flint_pool_reg_find(p, &a), &a);
	assert_null(flint_pool_reg_find(p, p));
	flint_pool_reg_del(&a);
	assert_null(flint_pool_reg_find(p, &a));
	flint_pool_free(p);
	assert_int_equal(dropped, 1);
}

/* A signal in the middle of the wait: whoever asked for it looks at once. */
struct interrupted {
	struct flint_watch watch;
	struct flint_loop *loop;
	struct flint_timer late;
	int calls;
};

static void on_usr1(int sig)
{
}

static void interrupted_fn(struct flint_watch *w, uint32_t events)
{
	struct interrupted *in = w->arg;

	in->calls++;
	flint_loop_stop(in->loop);
}

static void interrupted_late(struct flint_timer *t)
{
	struct interrupted *in = t->arg;

	flint_loop_stop(in->loop);
}

static void *interrupt_thread(void *arg)
{
	usleep(50000);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void test_interrupted(void **state)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	struct interrupted in = { .loop = flint_loop_new() };
	pthread_t self = pthread_self(), th;

	sigaction(SIGUSR1, &sa, NULL);
	in.watch = (struct flint_watch){
		.fd = eventfd(0, EFD_CLOEXEC), .fn = interrupted_fn, .arg = &in };
	assert_int_equal(flint_watch_add(in.loop, &in.watch, EPOLLIN), 0);
	flint_watch_interrupts(in.loop, &in.watch);
	in.late = (struct flint_timer){ .fn = interrupted_late, .arg = &in };
	flint_timer_set(in.loop, &in.late, 10000);
	assert_int_equal(pthread_create(&th, NULL, interrupt_thread, &self), 0);
	assert_int_equal(flint_loop_run(in.loop), 0);
	pthread_join(th, NULL);
	assert_int_equal(in.calls, 1);
	flint_timer_cancel(in.loop, &in.late);
	flint_watch_del(in.loop, &in.watch);
	close(in.watch.fd);
	flint_loop_free(in.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers),
		cmocka_unit_test(tasks),
		cmocka_unit_test(watches),
		cmocka_unit_test(idle),
		cmocka_unit_test(pool),
		cmocka_unit_test(registrations),
		cmocka_unit_test(test_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
