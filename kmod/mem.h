/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that data is moved from and to; see mem.c. */
#ifndef _FLINT_MEM_H
#define _FLINT_MEM_H

#include <linux/bvec.h>
#include <linux/workqueue.h>
#include "request.h"

/* User pages; referenced ones; our own; of the page cache. */
enum flint_mem_kind { FLINT_MEM_PINNED, FLINT_MEM_REFS, FLINT_MEM_OWN, FLINT_MEM_CACHE };

/**
 * struct flint_mem - memory of one call
 * @hold: reference counts, the transport's among them
 * @kind: enum flint_mem_kind
 * @dirty: PINNED: the device wrote
 * @nr: segments in @bv
 * @len: bytes in them
 * @work: PINNED: release, where pages are to be marked dirty
 * @bv: segments
 */
struct flint_mem {
	struct flint_hold hold;
	u8 kind;
	bool dirty;
	unsigned int nr;
	size_t len;
	struct work_struct work;
	struct bio_vec bv[];
};

/**
 * struct flint_mempos - a place in memory
 * @i: segment
 * @skip: bytes before it in that
 */
struct flint_mempos {
	unsigned int i;
	size_t skip;
};

int flint_mem_init(void);
void flint_mem_exit(void);
struct flint_mem *flint_mem_alloc(unsigned int nr, u8 kind, gfp_t gfp);
struct flint_mem *flint_mem_get(struct iov_iter *iter, size_t max, bool write);
void flint_mem_add(struct flint_mem *mem, struct page *page, u32 off, u32 len);
void flint_mem_put(struct flint_mem *mem);
void flint_mempos_advance(const struct flint_mem *mem, struct flint_mempos *c, size_t n);
u32 flint_mem_crc(const struct flint_mem *mem, struct flint_mempos *c, u32 len);
void flint_mem_zero(const struct flint_mem *mem, size_t at, size_t len);

#endif /* _FLINT_MEM_H */
