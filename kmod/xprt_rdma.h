/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Verbs: what mr.c and xprt_rdma.c share. Nobody else includes rdma headers.
 */
#ifndef _FLINT_XPRT_RDMA_H
#define _FLINT_XPRT_RDMA_H

#include <linux/scatterlist.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_cm.h>
#include "xprt.h"

#define FLINT_MR_PAGES_MAX	512	/* 2 MiB; what rxe can do */
#define FLINT_MR_START		64	/* regions made with a device's first connection */
#define FLINT_MR_STEP		64	/* and whenever they run out, up to ... */
#define FLINT_MR_LIMIT		8192

/**
 * struct flint_mr - one memory region for fast registration
 * @valid: the device may accept its key: set when REG_MR is posted, cleared
 *	when an invalidation is proven
 * @mapped: @sg is DMA-mapped
 */
struct flint_mr {
	struct list_head node;		/* free or broken list of the pool */
	struct ib_mr *mr;
	struct scatterlist *sg;
	unsigned int nents;
	enum dma_data_direction dma_dir;
	bool valid;
	bool mapped;
	struct ib_cqe cqe;		/* of REG_MR and LOCAL_INV: errors only */
	struct ib_reg_wr reg;
	struct ib_send_wr inv;
};

/**
 * struct flint_mr_pool - the regions of a device, shared by its connections
 * @lock: a leaf
 * @free: invalid, unmapped
 * @broken: state unknown; @work replaces them
 * @grow: more are wanted; @work makes them
 */
struct flint_mr_pool {
	spinlock_t lock;		/* all of these; a leaf */
	struct list_head free;
	struct list_head broken;
	unsigned int nr_free;
	unsigned int total;
	bool grow;
	struct work_struct work;
};

/**
 * struct flint_dev - an RDMA device, from the time the system adds it
 * @conns: its connections, under flint_dev_mutex
 * @gone: being removed: no new connections
 */
struct flint_dev {
	struct ib_device *ibdev;
	struct ib_pd *pd;
	struct flint_mr_pool mrs;
	u32 max_pages;
	u32 max_seg;
	struct list_head conns;
	bool gone;
	struct completion idle;
};

int flint_mr_pool_init(struct flint_dev *dev);
void flint_mr_pool_free(struct flint_dev *dev);
int flint_mr_pool_start(struct flint_dev *dev);
int flint_mr_get(struct flint_dev *dev, struct flint_mr **mrs, unsigned int nr);
void flint_mr_put(struct flint_dev *dev, struct flint_mr **mrs, unsigned int nr);
void flint_mr_scrap(struct flint_dev *dev, struct flint_mr *mr);
int flint_mr_map(struct flint_dev *dev, struct flint_mr *mr, const struct bio_vec *bvec,
		 struct flint_cursor *cur, bool in, struct flint_desc *desc);
void flint_mr_unmap(struct flint_dev *dev, struct flint_mr *mr);

#endif /* _FLINT_XPRT_RDMA_H */
