// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The buffer pool: one arena, cut into equal buffers, locked in memory so that
 * neither the network nor the disk ever waits for a page.
 *
 * Invariants
 *  - A buffer is either free (refs 0, on the list) or taken (refs >= 1).
 *  - A holder may take a buffer while it has fewer than are free (but for those kept).
 *    So one client alone gets half of them; and of clients that sit on theirs, because
 *    they do not read their answers or were cut off, each gets half of what the others
 *    left at most: the next that comes finds some.
 *  - Nobody waits who may take one. Holders take turns; within one, who came first is first.
 *  - The lock is held for a few instructions only and never while calling out.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/log.h"
#include "pool_int.h"

struct flint_pool {
	uint8_t *arena;
	size_t len;
	uint32_t size;
	uint32_t count;
	struct flint_buf *bufs;

	pthread_mutex_t lock;		/* protects all below */
	struct flint_buf *free;
	uint32_t nr_free;
	uint32_t keep;			/* left by flint_buf_wait() */
	struct flint_holder *turn;	/* those with waiters */
	struct flint_holder **turn_last;
	struct flint_holder common;	/* for waiters that name none; without a limit */
	struct flint_pool_reg *regs;
};

static int pool_map(struct flint_pool *pool)
{
	void *p = mmap(NULL, pool->len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	pool->arena = p;
	/* Fewer entries in the CPU's and the device's tables; a hint only. */
	madvise(p, pool->len, MADV_HUGEPAGE);
	if (mlock(p, pool->len))
		flint_warn("cannot lock %zu MiB of buffers in memory (%s): raise the limit for locked memory (LimitMEMLOCK= or ulimit -l)",
			   pool->len >> 20, strerror(errno));
	return 0;
}

struct flint_pool *flint_pool_new(uint32_t size, uint32_t count)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct flint_pool *pool;
	uint32_t i;
	int err;

	if (!size || !count || size > UINT32_MAX - page) {
		errno = EINVAL;
		return NULL;
	}
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return NULL;
	pool->size = (uint32_t)((size + page - 1) & ~(page - 1));
	pool->count = count;
	pool->len = (size_t)pool->size * count;
	pool->turn_last = &pool->turn;
	pool->bufs = calloc(count, sizeof(*pool->bufs));
	err = pool->bufs ? pool_map(pool) : -ENOMEM;
	if (err)
		goto fail;
	pthread_mutex_init(&pool->lock, NULL);
	for (i = count; i--;) {
		struct flint_buf *b = &pool->bufs[i];

		b->data = pool->arena + (size_t)i * pool->size;
		b->size = pool->size;
		b->index = i;
		b->pool = pool;
		b->next = pool->free;
		pool->free = b;
	}
	pool->nr_free = count;
	return pool;

fail:
	free(pool->bufs);
	free(pool);
	errno = -err;
	return NULL;
}

void flint_pool_free(struct flint_pool *pool)
{
	struct flint_pool_reg *reg;

	if (!pool)
		return;
	while ((reg = pool->regs)) {
		flint_pool_reg_del(reg);
		reg->drop(reg);
	}
	munmap(pool->arena, pool->len);
	pthread_mutex_destroy(&pool->lock);
	free(pool->bufs);
	free(pool);
}

void flint_pool_arena(struct flint_pool *pool, void **base, size_t *len)
{
	*base = pool->arena;
	*len = pool->len;
}

uint32_t flint_pool_buf_size(const struct flint_pool *pool)
{
	return pool->size;
}

bool flint_pool_owns(const struct flint_pool *pool, const void *p, size_t len)
{
	const uint8_t *b = p;

	return b >= pool->arena && len <= pool->len &&
	       (size_t)(b - pool->arena) <= pool->len - len;
}

uint32_t flint_pool_count(const struct flint_pool *pool)
{
	return pool->count;
}

uint32_t flint_pool_nr_free(struct flint_pool *pool)
{
	uint32_t n;

	pthread_mutex_lock(&pool->lock);
	n = pool->nr_free;
	pthread_mutex_unlock(&pool->lock);
	return n;
}

static struct flint_buf *pool_take(struct flint_pool *pool)
{
	struct flint_buf *b = pool->free;

	if (!b)
		return NULL;
	pool->free = b->next;
	pool->nr_free--;
	b->next = NULL;
	__atomic_store_n(&b->refs, 1, __ATOMIC_RELAXED);
	return b;
}

struct flint_buf *flint_buf_get(struct flint_pool *pool)
{
	struct flint_buf *b;

	pthread_mutex_lock(&pool->lock);
	b = pool_take(pool);
	pthread_mutex_unlock(&pool->lock);
	return b;
}

struct flint_buf *flint_buf_get_above(struct flint_pool *pool, uint32_t keep)
{
	struct flint_buf *b = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->nr_free > keep)
		b = pool_take(pool);
	pthread_mutex_unlock(&pool->lock);
	return b;
}

void flint_pool_keep(struct flint_pool *pool, uint32_t keep)
{
	pool->keep = keep;
}

void flint_buf_ref(struct flint_buf *buf)
{
	__atomic_add_fetch(&buf->refs, 1, __ATOMIC_RELAXED);
}

/* ---- holders ------------------------------------------------------------ */

/* Under the lock. */
static bool holder_may(const struct flint_pool *pool, const struct flint_holder *h)
{
	uint32_t left = pool->nr_free > pool->keep ? pool->nr_free - pool->keep : 0;

	return h == &pool->common ? left : h->held < left;
}

static struct flint_buf *holder_take(struct flint_pool *pool, struct flint_holder *h)
{
	struct flint_buf *b = pool_take(pool);

	b->holder = h;
	__atomic_add_fetch(&h->held, 1, __ATOMIC_RELAXED);
	return b;
}

static void turn_add(struct flint_pool *pool, struct flint_holder *h)
{
	h->next = NULL;
	*pool->turn_last = h;
	pool->turn_last = &h->next;
}

/* Who waits and may have a buffer gets it, and goes to the end of the line. NULL: nobody. */
static struct flint_buf_waiter *turn_next(struct flint_pool *pool)
{
	struct flint_holder **p, *h;
	struct flint_buf_waiter *w;

	for (p = &pool->turn; *p && !holder_may(pool, *p); p = &(*p)->next)
		;
	h = *p;
	if (!h)
		return NULL;
	*p = h->next;
	if (!*p)
		pool->turn_last = p;
	w = h->first;
	h->first = w->next;
	if (h->first)
		turn_add(pool, h);
	w->buf = holder_take(pool, h);
	return w;
}

static void waiter_run(struct flint_task *t)
{
	struct flint_buf_waiter *w = (struct flint_buf_waiter *)
		((char *)t - offsetof(struct flint_buf_waiter, task));

	w->fn(w, w->buf);
}

static void waiters_post(struct flint_buf_waiter *w)
{
	struct flint_buf_waiter *next;

	for (; w; w = next) {
		next = w->next;
		w->task.fn = waiter_run;
		flint_loop_post(w->loop, &w->task);
	}
}

void flint_buf_put(struct flint_buf *buf)
{
	struct flint_buf_waiter *w, *served = NULL, **last = &served;
	struct flint_pool *pool = buf->pool;

	if (__atomic_sub_fetch(&buf->refs, 1, __ATOMIC_ACQ_REL))
		return;
	pthread_mutex_lock(&pool->lock);
	if (buf->holder)
		__atomic_sub_fetch(&buf->holder->held, 1, __ATOMIC_RELEASE);
	buf->holder = NULL;
	buf->next = pool->free;
	pool->free = buf;
	pool->nr_free++;
	while ((w = turn_next(pool))) {
		w->next = NULL;
		*last = w;
		last = &w->next;
	}
	pthread_mutex_unlock(&pool->lock);
	waiters_post(served);
}

void flint_buf_wait(struct flint_pool *pool, struct flint_buf_waiter *w)
{
	struct flint_holder *h = w->holder ? w->holder : &pool->common;
	struct flint_buf *b = NULL;

	pthread_mutex_lock(&pool->lock);
	if (!h->first && holder_may(pool, h)) {
		b = holder_take(pool, h);
	} else {
		w->next = NULL;
		if (h->first) {
			*h->last = w;
		} else {
			h->first = w;
			turn_add(pool, h);
		}
		h->last = &w->next;
	}
	pthread_mutex_unlock(&pool->lock);
	if (b)
		w->fn(w, b);
}

void flint_holder_end(struct flint_pool *pool, struct flint_holder *h)
{
	uint32_t i;

	/* The pool may be gone by then. */
	if (!__atomic_load_n(&h->held, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&pool->lock);
	for (i = 0; i < pool->count; i++)
		if (pool->bufs[i].holder == h)
			pool->bufs[i].holder = NULL;
	pthread_mutex_unlock(&pool->lock);
}

/* ---- registrations ------------------------------------------------------ */

struct flint_pool_reg *flint_pool_reg_find(struct flint_pool *pool, const void *key)
{
	struct flint_pool_reg *r;

	pthread_mutex_lock(&pool->lock);
	for (r = pool->regs; r && r->key != key; r = r->next)
		;
	pthread_mutex_unlock(&pool->lock);
	return r;
}

void flint_pool_reg_add(struct flint_pool *pool, struct flint_pool_reg *reg)
{
	reg->pool = pool;
	pthread_mutex_lock(&pool->lock);
	reg->next = pool->regs;
	pool->regs = reg;
	pthread_mutex_unlock(&pool->lock);
}

void flint_pool_reg_del(struct flint_pool_reg *reg)
{
	struct flint_pool *pool = reg->pool;
	struct flint_pool_reg **p;

	pthread_mutex_lock(&pool->lock);
	for (p = &pool->regs; *p; p = &(*p)->next) {
		if (*p == reg) {
			*p = reg->next;
			break;
		}
	}
	pthread_mutex_unlock(&pool->lock);
}
