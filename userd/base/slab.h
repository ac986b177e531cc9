/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for very many small objects, in huge pages: a random look at one of
 * ten million objects costs a cache miss, and without huge pages a miss of the
 * TLB and its own walk on top.
 *
 * One thread at a time. Under AddressSanitizer it is malloc() and free(), so
 * that mistakes are found.
 */
#ifndef FLINT_BASE_SLAB_H
#define FLINT_BASE_SLAB_H

#include <stddef.h>

struct flint_slab;

/* NULL: no memory. */
struct flint_slab *flint_slab_new(void);
/* With everything that was allocated. NULL is fine. */
void flint_slab_free(struct flint_slab *s);
/* @size bytes, aligned to 16, not cleared. NULL: no memory. */
void *flint_slab_get(struct flint_slab *s, size_t size);
/* @size: as it was asked for. */
void flint_slab_put(struct flint_slab *s, void *p, size_t size);
/* Bytes that @size takes. */
size_t flint_slab_cost(size_t size);
/* Memory taken from the system for objects up to FLINT_SLAB_MAX, bytes. */
size_t flint_slab_footprint(const struct flint_slab *s);

/* Larger objects come from malloc(). */
#define FLINT_SLAB_MAX	1024

#endif /* FLINT_BASE_SLAB_H */
