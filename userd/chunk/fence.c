// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fences: data requests of a session that the metadata server has ended are
 * refused, and the answer to FENCE says that none that came before can still
 * change anything.
 *
 * Requests are counted in one of two buckets from before they are checked until
 * they are answered. A fence is first entered in the list, then the buckets are
 * swapped, and when the old one is empty every request that could have missed
 * the fence is over. Fences that come meanwhile share the next swap.
 *
 * The list is in memory and bounded; the oldest entries go first. A server that
 * starts anew knows none: its clients' sessions are over by their own clocks
 * then, as it was away.
 */
#include <errno.h>
#include <stdlib.h>
#include "fence.h"
#include "../base/log.h"

#define FENCES_MAX	65536

/* On the loop of the call that was last in the way. */
static void fences_done(struct chunkd_fences *f)
{
	struct fence_wait *w, *done = NULL;

	pthread_mutex_lock(&f->lock);
	if (f->now && !atomic_load(&f->count[!(atomic_load(&f->bucket) & 1)])) {
		done = f->now;
		f->now = f->next;
		f->next = NULL;
		if (f->now)
			atomic_fetch_add(&f->bucket, 1);
	}
	pthread_mutex_unlock(&f->lock);
	while ((w = done)) {
		done = w->next;
		flint_call_reply(w->call, FLINT_OK, NULL, 0, NULL, 0, 0);
		free(w);
	}
}

/* Answers what can be; each round may make the next one possible. */
static void fences_check(struct chunkd_fences *f)
{
	bool more;

	do {
		fences_done(f);
		pthread_mutex_lock(&f->lock);
		more = f->now && !atomic_load(&f->count[!(atomic_load(&f->bucket) & 1)]);
		pthread_mutex_unlock(&f->lock);
	} while (more);
}

static bool fenced(struct chunkd_fences *f, const struct flint_call *call)
{
	const struct flint_conn_info *ci = flint_conn_info(call->conn);
	struct fence *e;
	bool yes;

	if (!atomic_load(&f->nr))
		return false;
	pthread_mutex_lock(&f->lock);
	HASH_FIND(hh, f->fences, ci->client_id, sizeof(e->client), e);
	yes = e && ci->session_epoch <= e->epoch;
	pthread_mutex_unlock(&f->lock);
	return yes;
}

int chunkd_fence_enter(struct chunkd_fences *f, const struct flint_call *call)
{
	int bucket = atomic_load(&f->bucket) & 1;

	atomic_fetch_add(&f->count[bucket], 1);
	if (!fenced(f, call))
		return bucket;
	chunkd_fence_leave(f, bucket);
	return -1;
}

void chunkd_fence_leave(struct chunkd_fences *f, int bucket)
{
	if (atomic_fetch_sub(&f->count[bucket], 1) == 1 && atomic_load(&f->nr))
		fences_check(f);
}

static int fence_add(struct chunkd_fences *f, const struct flint_fence *b)
{
	struct fence *e;

	HASH_FIND(hh, f->fences, b->client_id, sizeof(e->client), e);
	if (e) {
		if (le64_to_cpu(b->session_epoch) > e->epoch)
			e->epoch = le64_to_cpu(b->session_epoch);
		return 0;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	memcpy(e->client, b->client_id, sizeof(e->client));
	e->epoch = le64_to_cpu(b->session_epoch);
	HASH_ADD(hh, f->fences, client, sizeof(e->client), e);
	if (atomic_fetch_add(&f->nr, 1) < FENCES_MAX)
		return 0;
	e = f->fences;		/* the oldest: uthash keeps the order of addition */
	HASH_DEL(f->fences, e);
	free(e);
	atomic_fetch_sub(&f->nr, 1);
	return 0;
}

void chunkd_fence_request(struct chunkd_fences *f, struct flint_call *call)
{
	u8 role = flint_conn_info(call->conn)->role;
	struct fence_wait *w;
	struct flint_fence b;
	int err;

	if (role != FLINT_ROLE_META && role != FLINT_ROLE_MGR) {
		flint_call_reply(call, FLINT_ST_AUTH, NULL, 0, NULL, 0, 0);
		return;
	}
	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len)) {
		flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
		return;
	}
	w = calloc(1, sizeof(*w));
	pthread_mutex_lock(&f->lock);
	err = w ? fence_add(f, &b) : -ENOMEM;
	if (!err) {
		w->call = call;
		if (f->now) {
			w->next = f->next;
			f->next = w;
		} else {
			f->now = w;
			atomic_fetch_add(&f->bucket, 1);
		}
	}
	pthread_mutex_unlock(&f->lock);
	if (err) {
		free(w);
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	fences_check(f);
}

void chunkd_fences_init(struct chunkd_fences *f)
{
	pthread_mutex_init(&f->lock, NULL);
}

void chunkd_fences_free(struct chunkd_fences *f)
{
	struct fence_wait *w;
	struct fence *e, *tmp;

	HASH_ITER(hh, f->fences, e, tmp) {
		HASH_DEL(f->fences, e);
		free(e);
	}
	while ((w = f->now ? f->now : f->next)) {
		if (w == f->now)
			f->now = w->next;
		else
			f->next = w->next;
		flint_call_reply(w->call, FLINT_ST_SHUTDOWN, NULL, 0, NULL, 0, 0);
		free(w);
	}
	pthread_mutex_destroy(&f->lock);
}
