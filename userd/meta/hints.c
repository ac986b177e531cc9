// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hints: where each session may hold leases and locks, replicated, so that a new
 * leader waits for a session that does not come back only where it could be in
 * the way (lease.h, grace).
 *
 * An inode number falls into one of LEASE_HINT_BITS buckets, with its neighbours.
 * A session is granted something in a bucket only after the log has it; what is
 * asked for in another one is answered without a lease, and the bucket goes into
 * the next META_OP_HINTS, one at a time for all sessions together. So a grant costs
 * nothing, and a session adds at most LEASE_HINT_BITS buckets in its life.
 */
#include <errno.h>
#include <stdlib.h>
#include "command.h"
#include "grants.h"

#define HINTS_BATCH	64	/* sessions in a command */

struct metad_hints {
	struct metad *m;
	struct metad_session *queue, **tail;
	struct meta_hint_arg batch[HINTS_BATCH];	/* what is under way */
	u32 nr;
	struct flint_task task;
	bool posted;
};

static void hints_post(struct metad_hints *h)
{
	if (h->posted || h->nr || !h->queue)
		return;
	h->posted = true;
	flint_loop_post(h->m->loop, &h->task);
}

/* The log has them, or does not lead any more. */
static void batch_done(struct metad *m, u64 id, u32 status, void *priv)
{
	struct metad_hints *h = priv;
	struct metad_session *sn;
	u32 i, b;

	for (i = 0; i < h->nr && !status; i++) {
		sn = metad_session_by_id(m, le64_to_cpu(h->batch[i].sid));
		for (b = 0; sn && b < LEASE_HINT_BYTES; b++)
			sn->hints[b] |= h->batch[i].buckets[b];
	}
	h->nr = 0;
	hints_post(h);
}

static void batch_send(struct metad_hints *h)
{
	struct metad_session *sn;

	if (h->nr)
		return;
	while ((sn = h->queue) && h->nr < HINTS_BATCH) {
		h->queue = sn->hints_next;
		sn->hints_queued = false;
		h->batch[h->nr].sid = cpu_to_le64(sn->id);
		memcpy(h->batch[h->nr].buckets, sn->hints_want, LEASE_HINT_BYTES);
		memset(sn->hints_want, 0, LEASE_HINT_BYTES);
		h->nr++;
	}
	if (!h->queue)
		h->tail = &h->queue;
	/* Without memory they are asked for again. */
	if (h->nr && metad_propose_body(h->m, META_OP_HINTS, h->batch, h->nr * sizeof(h->batch[0]), 0,
					batch_done, h))
		h->nr = 0;
}

static void hints_posted(struct flint_task *t)
{
	struct metad_hints *h = (struct metad_hints *)((char *)t - offsetof(struct metad_hints, task));

	h->posted = false;
	batch_send(h);
}

bool metad_hint(struct metad *m, u64 sid, u64 ino)
{
	struct metad_session *sn = metad_session_by_id(m, sid);
	struct metad_hints *h = m->hints;

	if (!sn || sn->hints_all || lease_hint_test(sn->hints, ino))
		return true;
	lease_hint_set(sn->hints_want, ino);
	if (!sn->hints_queued) {
		sn->hints_queued = true;
		sn->hints_next = NULL;
		*h->tail = sn;
		h->tail = &sn->hints_next;
	}
	hints_post(h);
	return false;
}

void metad_hint_new(struct metad *m, u64 sid)
{
	if (!metad_hint(m, sid, m->store.c.next_ino))
		batch_send(m->hints);
}

int metad_hints_load(struct metad *m, struct metad_session *sn)
{
	int rc = meta_hint_get(&m->store, sn->id, sn->hints);

	sn->hints_all = !rc;
	return rc < 0 ? rc : 0;
}

void metad_hints_unlink(struct metad *m, struct metad_session *sn)
{
	struct metad_session **link;

	if (!sn->hints_queued)
		return;
	for (link = &m->hints->queue; *link != sn; link = &(*link)->hints_next)
		;
	*link = sn->hints_next;
	if (!*link)
		m->hints->tail = link;
	sn->hints_queued = false;
}

struct metad_hints *metad_hints_new(struct metad *m)
{
	struct metad_hints *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->m = m;
	h->tail = &h->queue;
	h->task.fn = hints_posted;
	return h;
}

void metad_hints_free(struct metad *m)
{
	free(m->hints);
	m->hints = NULL;
}
