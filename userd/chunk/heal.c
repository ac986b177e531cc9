// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A target's background work: beginning and ending, and who else there is to ask
 * (heal.h).
 *
 * A map arrives on the cluster's loop. What it says is left in next_place and
 * one task is posted to the worker; maps that come before it has run change
 * next_place only. Our own part in the chain is chain.c's to know (target->at).
 */
#include <stdlib.h>
#include "repair.h"
#include "scrub.h"

static void place_task(struct flint_task *task)
{
	struct chunkd_heal *h = (void *)((u8 *)task - offsetof(struct chunkd_heal, task));

	pthread_mutex_lock(&h->lock);
	h->place = h->next_place;
	h->posted = false;
	pthread_mutex_unlock(&h->lock);
	heal_moved(h);
}

void heal_moved(struct chunkd_heal *h)
{
	if (h->closing)
		return;
	if (flint_chain_at(h->t->at.chain, h->t->at.chain_ver) != h->conflict_at)
		atomic_store(&h->conflict, false);
	sync_look(h);
	scrub_look(h);
}

/* The other SERVING targets, nearest to the tail first: the last one is the authority. */
static void place_peers(const struct flint_map *map, const struct flint_map_chain *c, u32 self,
			struct heal_place *p)
{
	u32 i;

	for (i = c->nr; i-- > 0;) {
		u32 id = le32_to_cpu(c->targets[i]);
		const struct flint_map_target *mt = flint_map_target(map, id);

		if (!mt)
			continue;
		if (id == self)
			p->state = mt->state;
		else if (mt->state == FLINT_TARGET_SERVING)
			p->peers[p->nr_peers++] = (struct heal_peer){
				.target = id, .node = le32_to_cpu(mt->node),
			};
	}
}

void heal_map_changed(struct chunkd_heal *h, const struct flint_map *map)
{
	const struct flint_map_target *me = flint_map_target(map, h->t->st->id);
	const struct flint_map_chain *c = me && me->chain ?
		flint_map_chain(map, le32_to_cpu(me->chain)) : NULL;
	struct heal_place p = { 0 };
	bool post;

	if (c)
		place_peers(map, c, h->t->st->id, &p);
	pthread_mutex_lock(&h->lock);
	post = !h->posted && memcmp(&h->next_place, &p, sizeof(p));
	h->next_place = p;
	h->posted |= post;
	pthread_mutex_unlock(&h->lock);
	if (!post)
		return;
	h->task.fn = place_task;
	flint_loop_post(h->w->loop, &h->task);
}

void heal_settings(struct chunkd_heal *h, const struct flint_hb_settings *s)
{
	atomic_store(&h->sync_rate, le64_to_cpu(s->recovery_bps));
	atomic_store(&h->scrub_period_s, le32_to_cpu(s->scrub_days) * 86400ull);
}

void heal_beat(struct chunkd_heal *h, struct flint_hb_target *t)
{
	u64 errors = atomic_load(&h->errors);
	u32 flags = le32_to_cpu(t->flags);

	if (errors >= HEAL_SUSPECT)
		flags |= FLINT_HBT_SUSPECT;
	if (atomic_load(&h->conflict))
		flags |= FLINT_HBT_CONFLICT;
	if (atomic_load(&h->lost))
		flags |= FLINT_HBT_LOST;
	if (atomic_load(&h->scrubbing))
		flags |= FLINT_HBT_SCRUBBING;
	t->flags = cpu_to_le32(flags);
	t->sync_done = cpu_to_le64(atomic_load(&h->sync_done));
	t->sync_total = cpu_to_le64(atomic_load(&h->sync_total));
	t->crc_errors = cpu_to_le64(errors);
	t->repaired = cpu_to_le64(atomic_load(&h->repaired));
}

static void pause_over(struct flint_timer *timer)
{
	struct chunkd_heal *h = timer->arg;

	if (!h->closing)
		sync_look(h);
}

struct chunkd_heal *heal_new(struct chunkd_target *t, int dirfd)
{
	struct chunkd_heal *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->t = t;
	h->w = t->worker;
	pthread_mutex_init(&h->lock, NULL);
	h->sync_timer.fn = pause_over;
	h->sync_timer.arg = h;
	flint_throttle_init(&h->work, 0, flint_now_ns());
	h->scrub = scrub_new(h, dirfd);
	if (!h->scrub) {
		heal_free(h);
		return NULL;
	}
	repair_attach(h);
	return h;
}

bool heal_stop(struct chunkd_heal *h)
{
	bool idle;

	h->closing = true;
	flint_timer_cancel(h->w->loop, &h->sync_timer);
	idle = sync_stop(h);
	idle &= scrub_stop(h->scrub);
	idle &= repair_stop(h);
	pthread_mutex_lock(&h->lock);
	idle &= !h->posted;
	pthread_mutex_unlock(&h->lock);
	return idle;
}

void heal_free(struct chunkd_heal *h)
{
	sync_free(h);
	repair_free(h);
	scrub_free(h->scrub);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
