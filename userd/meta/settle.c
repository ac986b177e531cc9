// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sizes of files whose writer is gone. The holder of a write lease keeps the size
 * and says it every second; what it wrote since then is at the chunk servers, and
 * acknowledged. When it is fenced, nothing of it comes any more: then each file
 * that it has open for writing is as long as what is reported or as the last byte
 * that any chain of its stripe has, whichever is more (META_OP_SETTLE).
 *
 *	for each file: no truncation under way -> INO_STAT to all its chains ->
 *	SETTLE, if there is more -> the next file; in the end META_OP_EXPIRE
 *
 * A chain that does not answer is asked again, for as long as it takes: to go on
 * without it would cut off acknowledged data. The session's leases are gone but for
 * the sizes, so nobody waits but for these files (lease_session_shed()).
 */
#include <errno.h>
#include <stdlib.h>
#include "command.h"
#include "grants.h"
#include "../base/log.h"

#define RETRY_MS	200

/**
 * struct settling - one session
 * @leadership: that it belongs to
 * @inos, @nr, @at: its files, and the one at hand
 * @epoch: its truncate epoch
 * @end: where data ends, as far as chains have answered
 * @left: answers to come
 */
struct settling {
	struct metad *m;
	u64 sid, leadership;
	u64 *inos;
	u32 nr, at;
	u32 epoch;
	u8 shift;
	u64 end;
	u32 left;
	bool failed;
	struct flint_timer retry;
	struct settling *next, **prev;
};

struct stat_rpc {
	struct flint_rpc rpc;
	struct flint_ino_stat body;
	struct settling *s;
};

static void settle_one(struct settling *s);

/* Who leads anew begins anew: since then the session may have come back, and be alive. */
static bool over(const struct settling *s)
{
	return !s->m->leading || s->leadership != metad_lease_epoch(s->m);
}

static void settle_free(struct settling *s)
{
	flint_timer_cancel(s->m->loop, &s->retry);
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	free(s->inos);
	free(s);
}

static void settle_again(struct settling *s)
{
	flint_timer_set(s->m->loop, &s->retry, RETRY_MS);
}

static void settle_next(struct settling *s)
{
	s->at++;
	settle_one(s);
}

/* FLINT_ST_STALE_EPOCH: truncated meanwhile. Others: this replica leads no more. */
static void settled(struct metad *m, u64 ino, u32 status, void *priv)
{
	struct settling *s = priv;

	if (status == FLINT_OK || status == EFBIG)
		settle_next(s);
	else
		settle_again(s);
}

static void file_done(struct settling *s)
{
	struct metad *m = s->m;
	struct meta_settle_arg a = {
		.ino = cpu_to_le64(s->inos[s->at]), .size = cpu_to_le64(s->end),
		.epoch = cpu_to_le32(s->epoch) };
	const struct meta_inode *i;

	if (over(s)) {
		settle_free(s);
	} else if (s->failed) {
		flint_warn_rl("session %llu is gone, but where the data of inode %llu ends is not known"
			      " yet: a chain of it does not answer; see 'flint status'",
			      (unsigned long long)s->sid, (unsigned long long)s->inos[s->at]);
		settle_again(s);
	} else if (meta_inode_peek(&m->store, s->inos[s->at], &i) || s->end <= i->size) {
		settle_next(s);
	} else if (metad_propose_body(m, META_OP_SETTLE, &a, sizeof(a), s->inos[s->at], settled, s)) {
		settle_again(s);
	}
}

static void stat_done(struct flint_rpc *rpc)
{
	struct stat_rpc *r = rpc->priv;
	struct settling *s = r->s;
	struct flint_ino_stat_rep rep;
	u64 end;

	if (rpc->err || rpc->status ||
	    flint_body_get(&rep, sizeof(rep), sizeof(rep), rpc->rep_body, rpc->rep_len)) {
		s->failed = true;
	} else if (rep.nr_chunks) {
		end = ((u64)le32_to_cpu(rep.index) << s->shift) + le32_to_cpu(rep.size);
		if (end > s->end)
			s->end = end;
	}
	free(r);
	if (!--s->left)
		file_done(s);
}

/* The last serving target of a chain has what is acknowledged, and no more than it must. */
static void stat_chain(struct settling *s, const struct flint_map *map, u32 id,
		       const struct meta_inode *i)
{
	const struct flint_map_chain *c = flint_map_chain(map, id);
	const struct flint_map_target *t = NULL;
	struct stat_rpc *r;
	int n;

	for (n = c ? c->nr - 1 : -1; n >= 0; n--) {
		t = flint_map_target(map, le32_to_cpu(c->targets[n]));
		if (t && t->state == FLINT_TARGET_SERVING)
			break;
	}
	r = n >= 0 ? calloc(1, sizeof(*r)) : NULL;
	if (!r) {
		s->failed = true;
		return;
	}
	r->s = s;
	r->body = (struct flint_ino_stat){
		.chain = c->id, .chain_ver = c->version, .target = t->id, .fs = cpu_to_le32(i->fs),
		.ino = cpu_to_le64(i->ino), .gen = cpu_to_le32(i->gen) };
	r->rpc = (struct flint_rpc){
		.op = FLINT_OP_INO_STAT, .body = &r->body, .body_len = sizeof(r->body),
		.timeout_ms = 5000, .eager = true, .done = stat_done, .priv = r };
	s->left++;
	if (!flint_cluster_call(s->m->cluster, le32_to_cpu(t->node), &r->rpc))
		return;
	s->left--;
	s->failed = true;
	free(r);
}

/* Ask all chains of the file's stripe. */
static void stat_all(struct settling *s, const struct meta_inode *i)
{
	struct flint_map_ref *ref = flint_cluster_map(s->m->cluster);
	const struct flint_map_table *t =
		ref ? flint_map_table(&ref->map, i->table, i->table_ver) : NULL;
	struct flint_placement pl;
	struct flint_layout layout;
	const __le32 *ids;
	u32 n;

	s->epoch = i->trunc_epoch;
	s->shift = i->chunk_shift;
	s->end = 0;
	s->failed = false;
	s->left = 1;		/* answers that come at once must not finish it */
	meta_inode_layout(i, &layout);
	if (!t || flint_placement_init(&pl, &layout, le32_to_cpu(t->nr))) {
		s->failed = true;
	} else {
		ids = ref->map.chain_ids + le32_to_cpu(t->first);
		for (n = 0; n < pl.width; n++)
			stat_chain(s, &ref->map, le32_to_cpu(ids[pl.slot[n]]), i);
	}
	flint_map_put(ref);
	if (!--s->left)
		file_done(s);
}

static void settle_one(struct settling *s)
{
	struct metad *m = s->m;
	const struct meta_inode *i;
	struct meta_intent it;
	struct meta_inode copy;
	u64 sid = s->sid;

	if (over(s)) {
		settle_free(s);
		return;
	}
	for (; s->at < s->nr; s->at++) {
		if (meta_inode_peek(&m->store, s->inos[s->at], &i) || !meta_is_reg(i) || !i->nlink)
			continue;	/* it goes anyway */
		copy = *i;
		if (meta_intent_get(&m->store, copy.ino, &it)) {
			settle_again(s);	/* the data to be cut is there still */
			return;
		}
		stat_all(s, &copy);
		return;
	}
	settle_free(s);
	metad_session_settled(m, sid);
}

static void on_retry(struct flint_timer *t)
{
	settle_one(t->arg);
}

int metad_settle(struct metad *m, const struct metad_session *sn)
{
	struct settling *s = calloc(1, sizeof(*s));
	int nr = 0;

	if (!s)
		return -ENOMEM;
	/* Without leases every byte was announced before it was acknowledged. */
	if (sn->flags & FLINT_SESSION_LEASES)
		nr = metad_written(sn, &s->inos);
	if (nr < 0) {
		free(s);
		return nr;
	}
	s->m = m;
	s->sid = sn->id;
	s->leadership = metad_lease_epoch(m);
	s->nr = nr;
	s->retry.fn = on_retry;
	s->retry.arg = s;
	s->next = m->settlings;
	s->prev = &m->settlings;
	if (s->next)
		s->next->prev = &s->next;
	m->settlings = s;
	settle_one(s);
	return 0;
}

void metad_settles_free(struct metad *m)
{
	while (m->settlings)
		settle_free(m->settlings);
}
