// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Devices, protection domains, event and completion channels, and the
 * registration of buffer pools.
 *
 * A loop has one connection manager channel and, per device and role, one
 * completion channel; both are descriptors in the loop's epoll set, so an idle
 * loop sleeps. Everything lives until the loop is freed; a pool that is freed
 * earlier takes its registrations along.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "../base/log.h"
#include "verbs_int.h"

#define CM_BUDGET	64
#define CQ_BUDGET	64

/* A pool on a device. */
struct vreg {
	struct flint_pool_reg reg;
	struct ibv_mr *mr;
	struct vdev *dev;
	struct vreg *next;
};

/* Pools and loops may be freed by different threads: protects vdev.regs. */
static pthread_mutex_t regs_lock = PTHREAD_MUTEX_INITIALIZER;

bool flint_verbs_present(void)
{
	struct ibv_device **list;
	int n = 0;

	list = ibv_get_device_list(&n);
	if (list)
		ibv_free_device_list(list);
	return list && n > 0;
}

static int fd_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}

/* ---- pools ------------------------------------------------------------ */

/* The pool goes away before the device. */
static void vreg_drop(struct flint_pool_reg *reg)
{
	struct vreg *r = (struct vreg *)reg, **p;

	pthread_mutex_lock(&regs_lock);
	for (p = &r->dev->regs; *p; p = &(*p)->next) {
		if (*p == r) {
			*p = r->next;
			break;
		}
	}
	pthread_mutex_unlock(&regs_lock);
	ibv_dereg_mr(r->mr);
	free(r);
}

struct ibv_mr *flint_vdev_mr(struct vdev *dev, struct flint_pool *pool)
{
	struct vreg *r = (struct vreg *)flint_pool_reg_find(pool, dev);
	int access = IBV_ACCESS_LOCAL_WRITE;
	size_t len;
	void *base;

	if (r)
		return r->mr;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	if (dev->client)
		access |= IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
	else if (dev->iwarp)		/* where a READ's sink is written to by the responder */
		access |= IBV_ACCESS_REMOTE_WRITE;
	flint_pool_arena(pool, &base, &len);
	r->mr = ibv_reg_mr(dev->pd, base, len, access);
	if (!r->mr) {
		flint_err_rl("cannot register %zu MiB of buffers with %s: %s; raise the limit for locked memory (LimitMEMLOCK= or ulimit -l)",
			     len >> 20, ibv_get_device_name(dev->ctx->device), strerror(errno));
		free(r);
		return NULL;
	}
	r->reg.key = dev;
	r->reg.drop = vreg_drop;
	r->dev = dev;
	pthread_mutex_lock(&regs_lock);
	r->next = dev->regs;
	dev->regs = r;
	pthread_mutex_unlock(&regs_lock);
	flint_pool_reg_add(pool, &r->reg);
	return r->mr;
}

/* The device goes away before the pools. */
static void vdev_drop_regs(struct vdev *dev)
{
	struct vreg *r;

	for (;;) {
		pthread_mutex_lock(&regs_lock);
		r = dev->regs;
		if (r)
			dev->regs = r->next;
		pthread_mutex_unlock(&regs_lock);
		if (!r)
			return;
		flint_pool_reg_del(&r->reg);
		ibv_dereg_mr(r->mr);
		free(r);
	}
}

/* ---- devices ---------------------------------------------------------- */

static void vdev_event(struct flint_watch *w, uint32_t events)
{
	struct vdev *dev = w->arg;
	struct ibv_cq *cq;
	void *ctx;
	int n = 0;

	/*
	 * With one busy connection there is one event at a time, and asking for
	 * another would cost a system call that says no. When there was a
	 * second one last time, ask.
	 */
	while (n < CQ_BUDGET && !ibv_get_cq_event(dev->cc, &cq, &ctx)) {
		n++;
		flint_vlink_completions(ctx);
		if (!dev->crowded && n == 1 && !(++dev->wakes % 16 == 0))
			return;
	}
	dev->crowded = n > 1;
}

static void vdev_free(struct vdev *dev)
{
	vdev_drop_regs(dev);
	flint_watch_del(dev->vl->loop, &dev->watch);
	ibv_destroy_comp_channel(dev->cc);
	ibv_dealloc_pd(dev->pd);
	free(dev);
}

struct vdev *flint_vdev_get(struct vloop *vl, struct rdma_cm_id *id, bool client)
{
	struct vdev *dev;
	int err;

	for (dev = vl->devs; dev; dev = dev->next)
		if (dev->ctx == id->verbs && dev->client == client)
			return dev;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return NULL;
	dev->vl = vl;
	dev->ctx = id->verbs;
	dev->client = client;
	dev->line_last = &dev->line;
	dev->iwarp = id->verbs->device->transport_type == IBV_TRANSPORT_IWARP;
	err = ibv_query_device(dev->ctx, &dev->attr);
	if (err)
		goto fail_free;
	dev->pd = ibv_alloc_pd(dev->ctx);
	if (!dev->pd) {
		err = errno;
		goto fail_free;
	}
	dev->cc = ibv_create_comp_channel(dev->ctx);
	if (!dev->cc) {
		err = errno;
		goto fail_pd;
	}
	dev->watch = (struct flint_watch){ .fd = dev->cc->fd, .fn = vdev_event, .arg = dev };
	err = -fd_nonblock(dev->cc->fd);
	if (!err)
		err = -flint_watch_add(vl->loop, &dev->watch, EPOLLIN);
	if (err)
		goto fail_cc;
	dev->next = vl->devs;
	vl->devs = dev;
	return dev;

fail_cc:
	ibv_destroy_comp_channel(dev->cc);
fail_pd:
	ibv_dealloc_pd(dev->pd);
fail_free:
	free(dev);
	errno = err;
	return NULL;
}

/* ---- loops ------------------------------------------------------------ */

static void vloop_event(struct flint_watch *w, uint32_t events)
{
	struct vloop *vl = w->arg;
	struct rdma_cm_event *ev, copy;
	uint8_t priv[256];
	uint8_t len;
	int i;

	for (i = 0; i < CM_BUDGET && !rdma_get_cm_event(vl->channel, &ev); i++) {
		struct vcm *cm = ev->id->context;

		/*
		 * Acknowledge first: an id cannot be destroyed or moved while
		 * an event of it is not.
		 */
		copy = *ev;
		len = ev->param.conn.private_data ? ev->param.conn.private_data_len : 0;
		if (len)
			memcpy(priv, ev->param.conn.private_data, len);
		rdma_ack_cm_event(ev);
		cm->event(cm, &copy, priv, len);
	}
}

static void vloop_free(void *p)
{
	struct vloop *vl = p;
	struct vdev *dev;

	while ((dev = vl->devs)) {
		vl->devs = dev->next;
		vdev_free(dev);
	}
	flint_watch_del(vl->loop, &vl->watch);
	rdma_destroy_event_channel(vl->channel);
	free(vl);
}

struct vloop *flint_vloop_get(struct flint_loop *loop)
{
	struct vloop *vl = flint_loop_slot(loop);
	int err;

	if (vl)
		return vl;
	vl = calloc(1, sizeof(*vl));
	if (!vl)
		return NULL;
	vl->loop = loop;
	vl->channel = rdma_create_event_channel();
	if (!vl->channel) {
		err = errno;
		goto fail_free;
	}
	vl->watch = (struct flint_watch){ .fd = vl->channel->fd, .fn = vloop_event, .arg = vl };
	err = -fd_nonblock(vl->channel->fd);
	if (!err)
		err = -flint_watch_add(loop, &vl->watch, EPOLLIN);
	if (err)
		goto fail_channel;
	flint_loop_set_slot(loop, vl, vloop_free);
	return vl;

fail_channel:
	rdma_destroy_event_channel(vl->channel);
fail_free:
	free(vl);
	errno = err;
	return NULL;
}
