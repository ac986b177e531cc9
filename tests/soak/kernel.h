/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * As much of the kernel as kmod/request.c needs to run in one thread of a program, under the
 * sanitizers: memory comes from malloc(), locks only check that they are paired, nobody sleeps. A
 * broken invariant that the kernel would only warn of ends the program.
 */
#ifndef FLINT_SOAK_KERNEL_H
#define FLINT_SOAK_KERNEL_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include "../../uapi/flintfs/types.h"

#define soak_assert(c) do {							\
	if (!(c)) {								\
		fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #c);	\
		abort();							\
	}									\
} while (0)

#define __percpu
#define __rcu
#define __aligned(n)		__attribute__((aligned(n)))
#define __printf(a, b)		__attribute__((format(printf, a, b)))
#define WARN_ON_ONCE(c)		({ bool bad = (c); soak_assert(!bad); bad; })
#define WARN_ONCE(c, ...)	WARN_ON_ONCE(c)
#define READ_ONCE(x)		(x)
#define WRITE_ONCE(x, v)	((x) = (v))
#define container_of(p, t, m)	((t *)((char *)(p) - offsetof(t, m)))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define ALIGN(x, a)		(((x) + (a) - 1) / (a) * (a))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define min_t(t, a, b)		min((t)(a), (t)(b))
#define max_t(t, a, b)		max((t)(a), (t)(b))
#define U16_MAX			0xffff
#define U32_MAX			0xffffffffu
#define BIT(n)			(1u << (n))

static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

static inline u64 get_unaligned_le64(const void *p)
{
	u64 v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* ---- memory ------------------------------------------------------------ */

typedef unsigned int gfp_t;

#define GFP_KERNEL		0
#define GFP_NOFS		0
#define __GFP_NOWARN		0
#define SLAB_RECLAIM_ACCOUNT	0

struct kmem_cache {
	size_t size;
	void (*ctor)(void *p);
};

static inline struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align,
						   gfp_t flags, void (*ctor)(void *p))
{
	struct kmem_cache *c = malloc(sizeof(*c));

	c->size = size;
	c->ctor = ctor;
	return c;
}

static inline void *kmem_cache_alloc(struct kmem_cache *c, gfp_t gfp)
{
	void *p = malloc(c->size);

	if (c->ctor)
		c->ctor(p);
	return p;
}

#define kmem_cache_free(c, p)		free(p)
#define kmem_cache_destroy(c)		free(c)
#define kmalloc(n, gfp)			malloc(n)
#define kzalloc(n, gfp)			calloc(1, n)
#define kfree(p)			free((void *)(p))
#define kvcalloc(n, size, gfp)		calloc(n, size)
#define kvfree(p)			free(p)

/* ---- lists, counters, locks -------------------------------------------- */

struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *l)
{
	l->next = l;
	l->prev = l;
}

static inline void list_add_tail(struct list_head *n, struct list_head *l)
{
	n->next = l;
	n->prev = l->prev;
	l->prev->next = n;
	l->prev = n;
}

static inline void list_del(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
}

typedef struct { int v; } atomic_t;
typedef struct { s64 v; } atomic64_t;
typedef struct { int held; } spinlock_t;
typedef struct { int v; } refcount_t;
typedef struct { int dummy; } wait_queue_head_t;

struct kref {
	refcount_t refcount;
};

struct mutex { int dummy; };
struct work_struct { int dummy; };
struct delayed_work { int dummy; };
struct rcu_head { int dummy; };
struct workqueue_struct;

struct completion {
	int done;
};

#define atomic64_read(a)	((a)->v)
#define atomic64_inc_return(a)	(++(a)->v)
#define refcount_set(r, n)	((r)->v = (n))
#define refcount_inc(r)		({ soak_assert((r)->v > 0); (r)->v++; })
#define refcount_dec(r)		({ soak_assert((r)->v > 1); (r)->v--; })

static inline bool refcount_dec_and_test(refcount_t *r)
{
	soak_assert(r->v > 0);
	return !--r->v;
}

#define kref_get_unless_zero(k)	((k)->refcount.v ? ++(k)->refcount.v : 0)
#define spin_lock_bh(l)		({ soak_assert(!(l)->held); (l)->held = 1; })
#define spin_unlock_bh(l)	({ soak_assert((l)->held); (l)->held = 0; })
#define rcu_read_lock()		((void)0)
#define rcu_read_unlock()	((void)0)
#define init_completion(c)	((c)->done = 0)
#define reinit_completion(c)	((c)->done = 0)
#define complete(c)		((c)->done++)
#define completion_done(c)	((c)->done)
#define wq_has_sleeper(wq)	((void)(wq), false)
#define wake_up(wq)		((void)(wq))
#define wake_up_all(wq)		((void)(wq))
#define DEFINE_WAIT(w)		int w = 0
#define TASK_KILLABLE		0
#define prepare_to_wait_exclusive(wq, w, state)	((void)(wq), (void)(w))
#define finish_wait(wq, w)	((void)(wq), (void)(w))
#define schedule_timeout(t)	(jiffies += (unsigned long)(t))
#define might_sleep()		((void)0)
#define current			NULL
#define task_tgid_nr(t)		1
#define fatal_signal_pending(t)	false
#define wait_event_timeout(wq, c, t) ((c) ? (t) : 0)
#define wait_for_completion_killable_timeout(c, t) ((c)->done ? (t) : 0)
#define DEFINE_PER_CPU(type, name)	type name
#define this_cpu_inc(x)		((x)++)
#define this_cpu_inc_return(x)	(++(x))
#define this_cpu_add(x, n)	((x) += (n))

/* ---- time --------------------------------------------------------------- */

#define HZ			250
#define NSEC_PER_USEC		1000L

static unsigned long jiffies = 1000;

#define time_before(a, b)	((long)((a) - (b)) < 0)
#define time_after_eq(a, b)	((long)((a) - (b)) >= 0)
#define jiffies_to_msecs(j)	((unsigned int)((j) * 1000 / HZ))
#define jiffies_to_usecs(j)	((unsigned int)((j) * 1000000 / HZ))
#define ktime_get_ns()		((u64)jiffies * (1000000000 / HZ))
#define ktime_get_coarse_boottime_ns() ktime_get_ns()
#define div_u64(a, b)		((u64)(a) / (u32)(b))

/* ---- memory of payloads -------------------------------------------------- */

struct page {
	u8 bytes[4096];
};

struct bio_vec {
	struct page *bv_page;
	unsigned int bv_len;
	unsigned int bv_offset;
};

struct bvec_iter {
	unsigned int bi_size;
	unsigned int bi_idx;
	unsigned int bi_bvec_done;
};

static inline struct bio_vec soak_bvec(const struct bio_vec *bv, const struct bvec_iter *it)
{
	struct bio_vec v = bv[it->bi_idx];

	v.bv_offset += it->bi_bvec_done;
	v.bv_len = min(v.bv_len - it->bi_bvec_done, it->bi_size);
	return v;
}

static inline void bvec_iter_advance(const struct bio_vec *bv, struct bvec_iter *it, size_t n)
{
	soak_assert(n <= it->bi_size);
	it->bi_size -= (unsigned int)n;
	n += it->bi_bvec_done;
	while (n && n >= bv[it->bi_idx].bv_len)
		n -= bv[it->bi_idx++].bv_len;
	it->bi_bvec_done = (unsigned int)n;
}

#define for_each_bvec(v, bv, it, start)						\
	for ((it) = (start); (it).bi_size && ((v) = soak_bvec(bv, &(it)), 1);	\
	     bvec_iter_advance(bv, &(it), (v).bv_len))
#define memcpy_to_bvec(v, src)	memcpy((v)->bv_page->bytes + (v)->bv_offset, src, (v)->bv_len)
#define memcpy_from_bvec(d, v)	memcpy(d, (v)->bv_page->bytes + (v)->bv_offset, (v)->bv_len)

#define trace_flint_req_send(...)	((void)0)
#define trace_flint_req_wait(...)	((void)0)
#define trace_flint_req_end(tag, op, err, status, us) ((void)(us))
#define trace_flint_req_reply(...)	((void)0)

#endif /* FLINT_SOAK_KERNEL_H */
