/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Verbs objects that connections share: verbs_dev.c makes them, verbs.c uses
 * them.
 */
#ifndef FLINT_NET_VERBS_INT_H
#define FLINT_NET_VERBS_INT_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "pool_int.h"
#include "xprt.h"

/* Outstanding RDMA READs of one device and loop, so that sinks do not flood the fabric. */
#define DEV_READS	128

struct vlink;
struct vreg;

/**
 * struct vcm - what a rdma_cm_id's context points to
 * @event: a copy of the event, which has been acknowledged already
 */
struct vcm {
	void (*event)(struct vcm *cm, const struct rdma_cm_event *ev, const void *priv,
		      uint8_t priv_len);
};

/**
 * struct vloop - the verbs side of one event loop
 * @channel: connection manager events of all ids of this loop
 */
struct vloop {
	struct flint_loop *loop;
	struct rdma_event_channel *channel;
	struct flint_watch watch;
	struct vdev *devs;
};

/**
 * struct vdev - a device, as one loop uses it in one role
 *
 * Clients and servers have protection domains of their own: a client's memory
 * must be open to its servers, a server's is open to nobody.
 */
struct vdev {
	struct vloop *vl;
	struct ibv_context *ctx;
	bool client;
	bool iwarp;
	struct ibv_device_attr attr;
	struct ibv_pd *pd;
	struct ibv_comp_channel *cc;
	struct flint_watch watch;
	bool crowded;			/* several completion events at once, lately */
	uint32_t wakes;
	uint32_t reads;
	struct vlink *line, **line_last; /* links whose READs wait for @reads to fall */
	struct vreg *regs;
	struct vdev *next;
};

/* On the loop. NULL with errno. */
struct vloop *flint_vloop_get(struct flint_loop *loop);
struct vdev *flint_vdev_get(struct vloop *vl, struct rdma_cm_id *id, bool client);
/* The pool's memory region on this device; made at first use. NULL with errno. */
struct ibv_mr *flint_vdev_mr(struct vdev *dev, struct flint_pool *pool);
/* Are there RDMA devices at all? */
bool flint_verbs_present(void);
/* Completions of @v are there (verbs.c). */
void flint_vlink_completions(struct vlink *v);

#endif /* FLINT_NET_VERBS_INT_H */
