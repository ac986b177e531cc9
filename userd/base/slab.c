// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Chunks of 2 MiB, each cut into equal places of one class (multiples of 16
 * bytes). A chunk's header says how many of its places are taken; when none
 * is, the chunk goes back to the common list and may serve another class, so
 * that memory follows what is stored.
 *
 * Invariants
 *  - A chunk is on its class's list exactly while it has a free place.
 *  - Places are taken from the chunk at the head, which keeps the others apt to
 *    become empty; places never used yet come last, in order (@fresh).
 *  - Chunks are never given back to the system: the owner has a bound of its
 *    own on what it stores.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "slab.h"

#define STEP		16
#define CLASSES		(FLINT_SLAB_MAX / STEP + 1)
#define CHUNK		(2u << 20)
#define CHUNK_HDR	64
#define REGION		16	/* chunks that are taken from the system at once */

struct place {
	struct place *next;
};

struct chunk {
	struct chunk *next, **prev;	/* its class's list, or the empty ones */
	struct place *free;
	uint32_t class;
	uint32_t used;
	uint32_t fresh;			/* places from here on were never used */
	uint32_t nr;
};

struct region {
	struct region *next;
	void *map;
};

struct flint_slab {
	struct chunk *class[CLASSES];
	struct chunk *empty;
	uint8_t *next, *end;		/* chunks of the newest region, never touched yet */
	struct region *regions;
	size_t footprint;
};

/* Its test sets PLAIN. */
#ifndef PLAIN
#if defined(__SANITIZE_ADDRESS__)
#define PLAIN true
#elif defined(__has_feature)
#define PLAIN __has_feature(address_sanitizer)
#else
#define PLAIN false
#endif
#endif

static void list_add(struct chunk **head, struct chunk *c)
{
	c->next = *head;
	c->prev = head;
	if (c->next)
		c->next->prev = &c->next;
	*head = c;
}

static void list_del(struct chunk *c)
{
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
}

static uint32_t class_of(size_t size)
{
	return (uint32_t)((size + STEP - 1) / STEP);
}

size_t flint_slab_cost(size_t size)
{
	if (PLAIN || size > FLINT_SLAB_MAX)
		return size + 16;
	return (size_t)class_of(size) * STEP;
}

struct flint_slab *flint_slab_new(void)
{
	return calloc(1, sizeof(struct flint_slab));
}

void flint_slab_free(struct flint_slab *s)
{
	struct region *r;

	if (!s)
		return;
	while ((r = s->regions)) {
		s->regions = r->next;
		munmap(r->map, (size_t)(REGION + 1) * CHUNK);
		free(r);
	}
	free(s);
}

size_t flint_slab_footprint(const struct flint_slab *s)
{
	return s->footprint;
}

/* More chunks, aligned to their size. */
static bool grow(struct flint_slab *s)
{
	size_t len = (size_t)(REGION + 1) * CHUNK;
	struct region *r = malloc(sizeof(*r));

	if (!r)
		return false;
	r->map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->map == MAP_FAILED) {
		free(r);
		return false;
	}
	r->next = s->regions;
	s->regions = r;
	s->next = (uint8_t *)(((uintptr_t)r->map + CHUNK - 1) & ~(uintptr_t)(CHUNK - 1));
	s->end = s->next + (size_t)REGION * CHUNK;
	madvise(s->next, (size_t)REGION * CHUNK, MADV_HUGEPAGE);
	return true;
}

static struct chunk *chunk_for(struct flint_slab *s, uint32_t class)
{
	struct chunk *c = s->empty;

	if (c) {
		list_del(c);
	} else {
		if (s->next == s->end && !grow(s))
			return NULL;
		c = (struct chunk *)s->next;
		s->next += CHUNK;
		s->footprint += CHUNK;
	}
	c->free = NULL;
	c->class = class;
	c->used = 0;
	c->fresh = 0;
	c->nr = (CHUNK - CHUNK_HDR) / (class * STEP);
	list_add(&s->class[class], c);
	return c;
}

void *flint_slab_get(struct flint_slab *s, size_t size)
{
	uint32_t class = class_of(size);
	struct chunk *c;
	void *p;

	if (PLAIN || size > FLINT_SLAB_MAX || !size)
		return malloc(size);
	c = s->class[class];
	if (!c)
		c = chunk_for(s, class);
	if (!c)
		return NULL;
	if (c->free) {
		p = c->free;
		c->free = c->free->next;
	} else {
		p = (uint8_t *)c + CHUNK_HDR + (size_t)c->fresh++ * class * STEP;
	}
	if (++c->used == c->nr)
		list_del(c);
	return p;
}

void flint_slab_put(struct flint_slab *s, void *p, size_t size)
{
	struct place *pl = p;
	struct chunk *c;

	if (PLAIN || size > FLINT_SLAB_MAX || !size) {
		free(p);
		return;
	}
	c = (struct chunk *)((uintptr_t)p & ~(uintptr_t)(CHUNK - 1));
	if (c->used == c->nr)
		list_add(&s->class[c->class], c);
	pl->next = c->free;
	c->free = pl;
	if (--c->used)
		return;
	list_del(c);
	list_add(&s->empty, c);
}
