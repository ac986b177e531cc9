// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The end of a session that did not end itself: first every chunk server that is
 * up refuses its data requests, then META_OP_EXPIRE takes its handles, and only
 * then its leases are free. So nothing that it sent can change data after
 * somebody else was granted what it held.
 *
 * A chunk server that does not answer is asked again until the map says that it
 * is down: then its own lease is over and it serves nobody. If neither happens
 * for FENCE_LEASES session leases, the session ends all the same, with a warning:
 * the client has been without trust for that long. Not without any map: when a site
 * starts anew, its metadata may lead before there is a manager, and nobody was told.
 */
#include <errno.h>
#include <stdlib.h>
#include "grants.h"
#include "../base/log.h"

#define RETRY_MS	200
#define FENCE_LEASES	2

struct fencing {
	struct metad *m;
	u64 sid;
	u64 leadership;		/* that it belongs to */
	u64 begun_ns;
	u32 left;		/* answers to come */
	bool failed;
	bool waits;		/* for a map, and it was said */
	struct flint_fence body;
	struct flint_timer retry;
	struct fencing *next, **prev;
};

struct fence_rpc {
	struct flint_rpc rpc;
	struct fencing *f;
};

static void fence_send(struct fencing *f);

/* Who leads anew begins anew: since then the session may have come back, and be alive. */
static bool over(const struct fencing *f)
{
	return !f->m->leading || f->leadership != metad_lease_epoch(f->m);
}

static void fence_free(struct fencing *f)
{
	flint_timer_cancel(f->m->loop, &f->retry);
	*f->prev = f->next;
	if (f->next)
		f->next->prev = f->prev;
	free(f);
}

static void fence_end(struct fencing *f)
{
	struct metad *m = f->m;
	u64 sid = f->sid;

	fence_free(f);
	metad_session_fenced(m, sid);
}

static void fence_round(struct fencing *f)
{
	u64 limit = f->m->lease_ms * 1000000ull * FENCE_LEASES;

	if (over(f)) {
		fence_free(f);
	} else if (!f->failed) {
		fence_end(f);
	} else if (flint_now_ns() > f->begun_ns + limit) {
		flint_warn("a chunk server does not answer that it has fenced session %llu: "
			   "ending it all the same; see 'flint status'",
			   (unsigned long long)f->sid);
		fence_end(f);
	} else {
		flint_timer_set(f->m->loop, &f->retry, RETRY_MS);
	}
}

static void on_retry(struct flint_timer *t)
{
	struct fencing *f = t->arg;

	if (over(f))
		fence_free(f);
	else
		fence_send(f);
}

static void fence_done(struct flint_rpc *rpc)
{
	struct fence_rpc *r = rpc->priv;
	struct fencing *f = r->f;

	f->failed |= rpc->err || rpc->status;
	free(r);
	if (!--f->left)
		fence_round(f);
}

static void fence_one(struct fencing *f, u32 node)
{
	struct fence_rpc *r = calloc(1, sizeof(*r));

	if (!r) {
		f->failed = true;
		return;
	}
	r->f = f;
	r->rpc = (struct flint_rpc){
		.op = FLINT_OP_FENCE, .body = &f->body, .body_len = sizeof(f->body),
		.timeout_ms = 2000, .eager = true, .done = fence_done, .priv = r,
	};
	f->left++;
	if (!flint_cluster_call(f->m->cluster, node, &r->rpc))
		return;
	f->left--;
	f->failed = true;
	free(r);
}

/* Everybody again: a fence is answered at once by who has it already. */
static void fence_send(struct fencing *f)
{
	struct flint_map_ref *ref = flint_cluster_map(f->m->cluster);
	u32 i;

	f->failed = !ref;
	f->left = 1;
	if (!ref) {
		f->begun_ns = flint_now_ns();
		if (!f->waits)
			flint_warn("session %llu is to end, but no manager has said yet which chunk"
				   " servers there are to be told: it waits for that",
				   (unsigned long long)f->sid);
		f->waits = true;
	}
	for (i = 0; ref && i < ref->map.nr_nodes; i++) {
		const struct flint_map_node *n = &ref->map.nodes[i];

		if (n->role == FLINT_ROLE_CHUNK && n->state == FLINT_NODE_UP)
			fence_one(f, le32_to_cpu(n->id));
	}
	flint_map_put(ref);
	if (!--f->left)
		fence_round(f);
}

int metad_fence(struct metad *m, const struct metad_session *sn)
{
	struct fencing *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->m = m;
	f->sid = sn->id;
	f->leadership = metad_lease_epoch(m);
	f->begun_ns = flint_now_ns();
	f->body.session_epoch = cpu_to_le64(sn->id);
	f->body.fs = cpu_to_le32(sn->fs);
	memcpy(f->body.client_id, sn->client, sizeof(f->body.client_id));
	f->retry.fn = on_retry;
	f->retry.arg = f;
	f->next = m->fencings;
	f->prev = &m->fencings;
	if (f->next)
		f->next->prev = &f->next;
	m->fencings = f;
	fence_send(f);
	return 0;
}

void metad_fences_unheard(struct metad *m, u64 ns)
{
	struct fencing *f;

	for (f = m->fencings; f; f = f->next)
		f->begun_ns += ns;
}

void metad_fences_free(struct metad *m)
{
	while (m->fencings)
		fence_free(m->fencings);
}
