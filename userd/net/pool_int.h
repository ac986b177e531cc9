/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registration of a buffer pool with devices: the pool knows that something is
 * attached to it, not what.
 */
#ifndef FLINT_NET_POOL_INT_H
#define FLINT_NET_POOL_INT_H

#include "net.h"

/**
 * struct flint_pool_reg - one registration, embedded in the registrant's own
 * @key: by whom; looked up by flint_pool_reg_find()
 * @drop: the pool is going away; undo and free. Not called with the lock held.
 */
struct flint_pool_reg {
	const void *key;
	void (*drop)(struct flint_pool_reg *reg);
	struct flint_pool *pool;
	struct flint_pool_reg *next;
};

/* Any thread. */
struct flint_pool_reg *flint_pool_reg_find(struct flint_pool *pool, const void *key);
void flint_pool_reg_add(struct flint_pool *pool, struct flint_pool_reg *reg);
void flint_pool_reg_del(struct flint_pool_reg *reg);

/* Bytes of each buffer. */
uint32_t flint_pool_buf_size(const struct flint_pool *pool);
/* Does [p, p + len) lie in the arena? */
bool flint_pool_owns(const struct flint_pool *pool, const void *p, size_t len);
/* Buffers that are free now; for tests and metrics. */
uint32_t flint_pool_nr_free(struct flint_pool *pool);

#endif /* FLINT_NET_POOL_INT_H */
