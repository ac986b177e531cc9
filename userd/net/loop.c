// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The event loop: file descriptors (epoll), timers (a binary heap and one
 * timerfd), and tasks posted from any thread (a list and an eventfd).
 *
 * Invariants
 *  - One iteration is: wait, timers, descriptors, tasks. Tasks that a thread
 *    posts to its own loop need no system call and run in the same iteration;
 *    this is where replies made by several handlers are sent together. Tasks
 *    that tasks post run in it as well, TASK_ROUNDS deep: a disk's completions
 *    become replies, and these leave, without asking for descriptors in between.
 *    A loop that gathers (flint_loop_gather()) asks in between until there is
 *    nothing, so that what arrived meanwhile shares the work and the system
 *    calls of what waits.
 *  - epoll_wait() gets a zero timeout only when tasks are waiting, so an idle
 *    loop sleeps.
 *  - Each write to the eventfd is an edge, so nobody reads it: 2^64 - 2 of them
 *    fill it, and a loop that is woken a million times a second ends before.
 *  - The timerfd is set to the earliest timer or before. It is set again only
 *    when an earlier timer comes, so a busy loop asks for the time once per
 *    iteration and has no other system call for its timers.
 *  - A watch that was removed is never called again, even when its event was
 *    already fetched: flint_watch_del() takes it out of the current batch.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "../base/log.h"
#include "loop_int.h"

#define LOOP_BATCH 64
#define TASK_ROUNDS 3

struct task_list {
	struct flint_task *head;
	struct flint_task **tail;
};

struct flint_loop {
	int epfd;
	int evfd;
	int tmfd;
	uint64_t now_ns;		/* when the loop last woke up */
	uint64_t armed_ns;		/* what tmfd is set to; UINT64_MAX: not set */
	atomic_bool stop;
	pthread_mutex_t owner;		/* held by whoever runs the loop, or its tasks */
	atomic_bool running;
	pthread_t thread;		/* the owner, valid while running */
	struct flint_watch wake;
	struct flint_watch alarm;
	struct flint_watch *interrupted;
	bool gathers;

	struct epoll_event batch[LOOP_BATCH];
	int batch_len;

	struct flint_timer **heap;
	size_t nr_timers;
	size_t cap_timers;

	struct task_list local;		/* posted by the loop's own thread */
	pthread_mutex_t lock;		/* protects remote and woken */
	struct task_list remote;
	bool woken;

	void *slot;
	void (*slot_free)(void *p);
};

uint64_t flint_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---- tasks ------------------------------------------------------------ */

static void tasks_init(struct task_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static void tasks_add(struct task_list *l, struct flint_task *t)
{
	t->next = NULL;
	*l->tail = t;
	l->tail = &t->next;
}

static void loop_wake(struct flint_loop *loop)
{
	uint64_t one = 1;

	/* Fails only when the counter is full. */
	if (write(loop->evfd, &one, sizeof(one)) < 0)
		return;
}

void flint_loop_post(struct flint_loop *loop, struct flint_task *t)
{
	bool wake;

	if (flint_loop_inside(loop)) {
		tasks_add(&loop->local, t);
		return;
	}
	pthread_mutex_lock(&loop->lock);
	tasks_add(&loop->remote, t);
	wake = !loop->woken;
	loop->woken = true;
	pthread_mutex_unlock(&loop->lock);
	if (wake)
		loop_wake(loop);
}

/* Take over what other threads posted. */
static void tasks_collect(struct flint_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	if (loop->remote.head) {
		*loop->local.tail = loop->remote.head;
		loop->local.tail = loop->remote.tail;
		tasks_init(&loop->remote);
	}
	loop->woken = false;
	pthread_mutex_unlock(&loop->lock);
}

static void loop_run_tasks(struct flint_loop *loop)
{
	struct flint_task *t, *next, **tail;

	if (!loop->local.head)
		return;
	/* Run what is here now; what these tasks post runs in the next round. */
	t = loop->local.head;
	tail = loop->local.tail;
	tasks_init(&loop->local);
	*tail = NULL;
	for (; t; t = next) {
		next = t->next;
		t->fn(t);
	}
}

static void loop_on_wake(struct flint_watch *w, uint32_t events)
{
	tasks_collect(w->arg);
}

/* With the owner lock. */
static void loop_enter(struct flint_loop *loop)
{
	loop->thread = pthread_self();
	loop->now_ns = flint_now_ns();
	atomic_store_explicit(&loop->running, true, memory_order_release);
	tasks_collect(loop);
}

static void loop_leave(struct flint_loop *loop)
{
	atomic_store_explicit(&loop->running, false, memory_order_release);
	pthread_mutex_unlock(&loop->owner);
}

struct sync_task {
	struct flint_task task;
	void (*fn)(void *arg);
	void *arg;
	bool done;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

static void sync_run(struct flint_task *t)
{
	struct sync_task *s = (struct sync_task *)t;

	s->fn(s->arg);
	pthread_mutex_lock(&s->lock);
	s->done = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

void flint_loop_sync(struct flint_loop *loop, void (*fn)(void *arg), void *arg)
{
	struct sync_task s = { .task = { .fn = sync_run }, .fn = fn, .arg = arg };
	bool done;

	if (flint_loop_inside(loop)) {
		fn(arg);
		return;
	}
	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.cond, NULL);
	flint_loop_post(loop, &s.task);
	do {
		struct timespec ts;

		/* When nobody runs the loop, its tasks run here. */
		if (!pthread_mutex_trylock(&loop->owner)) {
			loop_enter(loop);
			while (loop->local.head)
				loop_run_tasks(loop);
			loop_leave(loop);
		}
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 20 * 1000 * 1000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_nsec -= 1000000000;
			ts.tv_sec++;
		}
		pthread_mutex_lock(&s.lock);
		if (!s.done)
			pthread_cond_timedwait(&s.cond, &s.lock, &ts);
		done = s.done;
		pthread_mutex_unlock(&s.lock);
	} while (!done);
	pthread_cond_destroy(&s.cond);
	pthread_mutex_destroy(&s.lock);
}

/* ---- timers ----------------------------------------------------------- */

static void heap_put(struct flint_loop *loop, size_t i, struct flint_timer *t)
{
	loop->heap[i] = t;
	t->slot = i;
}

static void heap_up(struct flint_loop *loop, size_t i, struct flint_timer *t)
{
	while (i) {
		size_t up = (i - 1) / 2;

		if (loop->heap[up]->due_ns <= t->due_ns)
			break;
		heap_put(loop, i, loop->heap[up]);
		i = up;
	}
	heap_put(loop, i, t);
}

static void heap_down(struct flint_loop *loop, size_t i, struct flint_timer *t)
{
	for (;;) {
		size_t kid = 2 * i + 1;

		if (kid >= loop->nr_timers)
			break;
		if (kid + 1 < loop->nr_timers &&
		    loop->heap[kid + 1]->due_ns < loop->heap[kid]->due_ns)
			kid++;
		if (t->due_ns <= loop->heap[kid]->due_ns)
			break;
		heap_put(loop, i, loop->heap[kid]);
		i = kid;
	}
	heap_put(loop, i, t);
}

void flint_timer_cancel(struct flint_loop *loop, struct flint_timer *t)
{
	struct flint_timer *last;
	size_t i = t->slot;

	if (!t->due_ns)
		return;
	t->due_ns = 0;
	last = loop->heap[--loop->nr_timers];
	if (last == t)
		return;
	if (i && loop->heap[(i - 1) / 2]->due_ns > last->due_ns)
		heap_up(loop, i, last);
	else
		heap_down(loop, i, last);
}

void flint_timer_set(struct flint_loop *loop, struct flint_timer *t, uint64_t after_ms)
{
	flint_timer_cancel(loop, t);
	if (loop->nr_timers == loop->cap_timers) {
		size_t cap = loop->cap_timers ? 2 * loop->cap_timers : 64;
		struct flint_timer **heap = realloc(loop->heap, cap * sizeof(*heap));

		if (!heap) {
			/* Nothing that needs a deadline may go without one. */
			flint_err("out of memory for a timer");
			abort();
		}
		loop->heap = heap;
		loop->cap_timers = cap;
	}
	t->due_ns = flint_now_ns() + after_ms * 1000000ull;
	heap_up(loop, loop->nr_timers++, t);
}

static void timers_run(struct flint_loop *loop)
{
	/* Timers set by these handlers lie after now_ns, so this ends. */
	while (loop->nr_timers && loop->heap[0]->due_ns <= loop->now_ns) {
		struct flint_timer *t = loop->heap[0];

		flint_timer_cancel(loop, t);
		t->fn(t);
	}
}

/* Make sure that the loop wakes up for its earliest timer. */
static void timers_arm(struct flint_loop *loop)
{
	struct itimerspec ts = { 0 };
	uint64_t due;

	if (!loop->nr_timers || loop->heap[0]->due_ns >= loop->armed_ns)
		return;
	due = loop->heap[0]->due_ns;
	ts.it_value.tv_sec = (time_t)(due / 1000000000);
	ts.it_value.tv_nsec = (long)(due % 1000000000);
	timerfd_settime(loop->tmfd, TFD_TIMER_ABSTIME, &ts, NULL);
	loop->armed_ns = due;
}

static void loop_on_alarm(struct flint_watch *w, uint32_t events)
{
	struct flint_loop *loop = w->arg;
	uint64_t n;

	if (read(w->fd, &n, sizeof(n)) == sizeof(n))
		loop->armed_ns = UINT64_MAX;
}

uint64_t flint_loop_now(struct flint_loop *loop)
{
	return flint_loop_inside(loop) ? loop->now_ns : flint_now_ns();
}

/* ---- descriptors ------------------------------------------------------ */

static int watch_ctl(struct flint_loop *loop, int op, struct flint_watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(loop->epfd, op, w->fd, &ev) ? -errno : 0;
}

int flint_watch_add(struct flint_loop *loop, struct flint_watch *w, uint32_t events)
{
	return watch_ctl(loop, EPOLL_CTL_ADD, w, events);
}

int flint_watch_mod(struct flint_loop *loop, struct flint_watch *w, uint32_t events)
{
	return watch_ctl(loop, EPOLL_CTL_MOD, w, events);
}

void flint_loop_gather(struct flint_loop *loop)
{
	loop->gathers = true;
}

void flint_watch_interrupts(struct flint_loop *loop, struct flint_watch *w)
{
	loop->interrupted = w;
}

void flint_watch_del(struct flint_loop *loop, struct flint_watch *w)
{
	int i;

	if (loop->interrupted == w)
		loop->interrupted = NULL;
	watch_ctl(loop, EPOLL_CTL_DEL, w, 0);
	for (i = 0; i < loop->batch_len; i++)
		if (loop->batch[i].data.ptr == w)
			loop->batch[i].data.ptr = NULL;
}

/* ---- life ------------------------------------------------------------- */

bool flint_loop_inside(struct flint_loop *loop)
{
	return atomic_load_explicit(&loop->running, memory_order_acquire) &&
	       pthread_equal(loop->thread, pthread_self());
}

void *flint_loop_slot(struct flint_loop *loop)
{
	return loop->slot;
}

void flint_loop_set_slot(struct flint_loop *loop, void *p, void (*free_fn)(void *p))
{
	loop->slot = p;
	loop->slot_free = free_fn;
}

/**
 * flint_loop_new() - make a loop; it does nothing until flint_loop_run()
 *
 * Return: the loop, or NULL with errno.
 */
struct flint_loop *flint_loop_new(void)
{
	struct flint_loop *loop = calloc(1, sizeof(*loop));
	int err;

	if (!loop)
		return NULL;
	tasks_init(&loop->local);
	tasks_init(&loop->remote);
	pthread_mutex_init(&loop->lock, NULL);
	pthread_mutex_init(&loop->owner, NULL);
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0)
		goto fail_free;
	loop->evfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->evfd < 0)
		goto fail_epoll;
	loop->wake = (struct flint_watch){ .fd = loop->evfd, .fn = loop_on_wake, .arg = loop };
	if (flint_watch_add(loop, &loop->wake, EPOLLIN | EPOLLET))
		goto fail_event;
	loop->tmfd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->tmfd < 0)
		goto fail_event;
	loop->armed_ns = UINT64_MAX;
	loop->alarm = (struct flint_watch){ .fd = loop->tmfd, .fn = loop_on_alarm, .arg = loop };
	if (flint_watch_add(loop, &loop->alarm, EPOLLIN))
		goto fail_timer;
	return loop;

fail_timer:
	err = errno;
	close(loop->tmfd);
	errno = err;
fail_event:
	err = errno;
	close(loop->evfd);
	errno = err;
fail_epoll:
	err = errno;
	close(loop->epfd);
	errno = err;
fail_free:
	err = errno;
	pthread_mutex_destroy(&loop->owner);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
	errno = err;
	return NULL;
}

/**
 * flint_loop_free() - free a loop that nobody runs
 *
 * Tasks that are still posted run now, so that memory they hold comes back.
 */
void flint_loop_free(struct flint_loop *loop)
{
	if (!loop)
		return;
	tasks_collect(loop);
	while (loop->local.head || loop->remote.head) {
		loop_run_tasks(loop);
		tasks_collect(loop);
	}
	if (loop->slot_free)
		loop->slot_free(loop->slot);
	close(loop->tmfd);
	close(loop->evfd);
	close(loop->epfd);
	pthread_mutex_destroy(&loop->owner);
	pthread_mutex_destroy(&loop->lock);
	free(loop->heap);
	free(loop);
}

void flint_loop_stop(struct flint_loop *loop)
{
	atomic_store(&loop->stop, true);
	loop_wake(loop);
}

int flint_loop_run(struct flint_loop *loop)
{
	int i, ret = 0;

	pthread_mutex_lock(&loop->owner);
	loop_enter(loop);
	while (!atomic_load(&loop->stop)) {
		int n, rounds;

		timers_arm(loop);
		n = epoll_wait(loop->epfd, loop->batch, LOOP_BATCH, loop->local.head ? 0 : -1);

		if (n < 0 && errno != EINTR) {
			ret = -errno;
			break;
		}
		loop->now_ns = flint_now_ns();
		if (n < 0 && loop->interrupted)
			loop->interrupted->fn(loop->interrupted, EPOLLIN);
		loop->batch_len = n > 0 ? n : 0;
		timers_run(loop);
		for (i = 0; i < loop->batch_len; i++) {
			struct flint_watch *w = loop->batch[i].data.ptr;

			if (w)
				w->fn(w, loop->batch[i].events);
		}
		loop->batch_len = 0;
		rounds = loop->gathers && n ? 1 : TASK_ROUNDS;
		for (i = 0; i < rounds && loop->local.head; i++)
			loop_run_tasks(loop);
	}
	atomic_store(&loop->stop, false);
	loop_leave(loop);
	return ret;
}
