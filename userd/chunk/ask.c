// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests between chunk servers, from any worker (ask.h).
 */
#include "ask.h"

static struct chunkd_ask *of_task(struct flint_task *t)
{
	return (void *)((u8 *)t - offsetof(struct chunkd_ask, task));
}

static void back(struct flint_task *t)
{
	struct chunkd_ask *a = of_task(t);

	a->done(a);
}

static void ended(struct chunkd_ask *a)
{
	if (a->w == &a->w->d->workers[0]) {
		a->done(a);
		return;
	}
	a->task.fn = back;
	flint_loop_post(a->w->loop, &a->task);
}

static void answered(struct flint_rpc *rpc)
{
	struct chunkd_ask *a = rpc->priv;

	a->rep_len = 0;
	if (!rpc->err && a->rep) {
		a->rep_len = rpc->rep_len < a->rep_room ? rpc->rep_len : a->rep_room;
		memcpy(a->rep, rpc->rep_body, a->rep_len);
	}
	ended(a);
}

static void send_it(struct flint_task *t)
{
	struct chunkd_ask *a = of_task(t);
	struct flint_chunkd *d = a->w->d;

	a->rpc.done = answered;
	a->rpc.priv = a;
	a->rpc.err = d->cluster ? flint_cluster_call(d->cluster, a->node, &a->rpc) : -ENOTCONN;
	if (a->rpc.err)
		ended(a);
}

void chunkd_ask(struct chunkd_ask *a)
{
	struct chunkd_worker *first = &a->w->d->workers[0];

	a->task.fn = send_it;
	if (a->w == first)
		send_it(&a->task);
	else
		flint_loop_post(first->loop, &a->task);
}
