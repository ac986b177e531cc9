// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Invariants, tested after every step (paper, figure 3, and what raft.h says):
 *
 *  election safety	one leader in a term, ever
 *  leader append-only, one vote in a term, terms never fall
 *  log matching	(index, term) names one entry with one predecessor, anywhere
 *  leader completeness	a new leader has everything committed in earlier terms
 *  state machine safety  what is committed or applied at an index is so everywhere
 *  durability		what a message promises is on the sender's disk when it leaves
 *  configuration	one that follows another differs by one member
 *  liveness		(at the end) once all is well a leader commits, and all catch up
 *
 * Reads are checked where they end (world_people.c).
 */
#include <stdarg.h>
#include <stdlib.h>

#include "world.h"

struct placed {
	u64 run, index, term, value, before;
};

#define U(x) ((unsigned long long)(x))

void check_begin(struct world *w)
{
	struct truth *t = &w->truth;

	t->run++;
	t->nr = t->map_nr = t->nr_leaders = t->acked = t->at_heal = 0;
}

void check_free(struct world *w)
{
	free(w->truth.e);
	free(w->truth.hash);
	free(w->truth.in_term);
	free(w->truth.leader);
	free(w->truth.map);
}

u64 check_value(const struct ent *e)
{
	const struct blob *b = (const void *)(uintptr_t)e->val;
	u64 h = e->kind;
	u32 i;

	if (e->kind != RAFT_CONF)
		return world_mix(e->val, h);
	for (i = 0; i < b->len; i++)
		h = h * 31 + b->data[i];
	return h;
}

/* ---- log matching ----------------------------------------------------------- */

static struct placed *find(struct truth *t, u64 index, u64 term)
{
	u64 at = world_mix(index, term);

	for (;; at++) {
		struct placed *p = &t->map[at & (t->map_cap - 1)];

		if (p->run != t->run || (p->index == index && p->term == term))
			return p;
	}
}

static void grow(struct truth *t)
{
	u64 old_cap = t->map_cap, i;
	struct placed *old = t->map;

	t->map_cap = old_cap ? old_cap * 2 : 4096;
	t->map = calloc(t->map_cap, sizeof(*t->map));
	for (i = 0; i < old_cap; i++)
		if (old[i].run == t->run)
			*find(t, old[i].index, old[i].term) = old[i];
	free(old);
}

void check_append(struct world *w, struct machine *n, u64 index)
{
	struct truth *t = &w->truth;
	const struct ent *e = vec_at(&n->log, index), *prev = vec_at(&n->log, index - 1);
	u64 before = prev ? prev->term : raft_term_at(n->raft, index - 1), value = check_value(e);
	struct placed *p;

	if (2 * t->map_nr >= t->map_cap)
		grow(t);
	p = find(t, index, e->term);
	if (p->run != t->run) {
		*p = (struct placed){ t->run, index, e->term, value, before };
		t->map_nr++;
	} else if (p->value != value || p->before != before) {
		world_fail(w, "log matching: entry %llu of term %llu at %llu is not what it is elsewhere",
			   U(index), U(e->term), U(n->id));
	}
}

/* ---- commits ------------------------------------------------------------------ */

static void commit_one(struct world *w, struct machine *n, const struct ent *e)
{
	struct truth *t = &w->truth;

	if (t->nr + 2 > t->cap) {
		t->cap = t->cap * 2 + 1024;
		t->e = realloc(t->e, t->cap * sizeof(*t->e));
		t->hash = realloc(t->hash, t->cap * sizeof(u64));
		t->in_term = realloc(t->in_term, t->cap * sizeof(u64));
	}
	t->nr++;
	t->hash[0] = 0;
	t->e[t->nr] = *e;
	t->in_term[t->nr] = raft_term(n->raft);
	t->hash[t->nr] = world_mix(t->hash[t->nr - 1], check_value(e));
	w->st.commits++;
}

static void check_commit(struct world *w, struct machine *n)
{
	u64 commit = n->raft->commit, i;
	struct truth *t = &w->truth;

	if (commit < n->seen_commit) {
		world_fail(w, "commit index of %llu falls from %llu to %llu", U(n->id),
			   U(n->seen_commit), U(commit));
		return;
	}
	if (commit > n->seen_commit && raft_role(n->raft) == RAFT_LEADER &&
	    raft_term_at(n->raft, commit) != raft_term(n->raft))
		world_fail(w, "%llu, leader of term %llu, counts entry %llu of term %llu", U(n->id),
			   U(raft_term(n->raft)), U(commit), U(raft_term_at(n->raft, commit)));
	for (i = n->seen_commit + 1; i <= commit; i++) {
		const struct ent *e = vec_at(&n->log, i);

		if (i <= n->log.base)
			continue;
		if (!e) {
			world_fail(w, "%llu committed %llu, which it does not have", U(n->id), U(i));
			return;
		}
		if (i == t->nr + 1)
			commit_one(w, n, e);
		else if (i > t->nr || t->e[i].term != e->term || check_value(&t->e[i]) != check_value(e))
			world_fail(w, "state machine safety: %llu commits another entry %llu "
				   "(term %llu) than was committed (term %llu)", U(n->id), U(i),
				   U(e->term), U(i > t->nr ? 0 : t->e[i].term));
	}
	n->seen_commit = commit;
}

void check_apply(struct world *w, struct machine *n, u64 index, const struct ent *e, u64 hash)
{
	struct truth *t = &w->truth;

	if (index > t->nr || t->hash[index] != hash)
		world_fail(w, "state machine safety: %llu applies entry %llu of term %llu, which is not "
			   "what was committed", U(n->id), U(index), U(e->term));
}

/* ---- leaders --------------------------------------------------------------------- */

static void check_new_leader(struct world *w, struct machine *n, u64 term)
{
	struct truth *t = &w->truth;
	u64 i;

	while (t->nr_leaders <= term) {
		if (!(t->nr_leaders & (t->nr_leaders - 1)))
			t->leader = realloc(t->leader, (t->nr_leaders * 2 + 1024) * sizeof(u64));
		t->leader[t->nr_leaders++] = 0;
	}
	if (t->leader[term] == n->id)
		return;
	if (t->leader[term]) {
		world_fail(w, "election safety: %llu and %llu lead in term %llu", U(t->leader[term]),
			   U(n->id), U(term));
		return;
	}
	t->leader[term] = n->id;
	w->st.elections++;
	for (i = raft_snap_index(n->raft) + 1; i <= t->nr; i++)
		if (t->in_term[i] < term && raft_term_at(n->raft, i) != t->e[i].term) {
			world_fail(w, "leader completeness: %llu leads in term %llu without entry %llu, "
				   "committed in term %llu", U(n->id), U(term), U(i), U(t->in_term[i]));
			return;
		}
}

/* ---- configurations ----------------------------------------------------------------- */

static u32 voter_of(const struct raft_conf *c, u64 id)
{
	const struct raft_member *m = raft_conf_find(c, id);

	return m && m->voter;
}

static void check_conf(struct world *w, struct machine *n)
{
	const struct raft_log *l = &n->raft->log;
	u32 i, k, diff;

	for (i = 1; i < l->nr_confs; i++) {
		const struct raft_conf *a = &l->confs[i - 1].conf, *b = &l->confs[i].conf;

		diff = 0;
		for (k = 0; k < a->nr; k++)
			diff += voter_of(a, a->m[k].id) != voter_of(b, a->m[k].id);
		for (k = 0; k < b->nr; k++)
			diff += !raft_conf_find(a, b->m[k].id) && b->m[k].voter;
		if (diff > 1 && a->nr)
			world_fail(w, "configuration: %llu has two that differ by %u voters", U(n->id),
				   diff);
	}
}

/* ---- each step ------------------------------------------------------------------------ */

void check_step(struct world *w, struct machine *n, const struct raft_update *u)
{
	const struct raft *r = n->raft;
	u64 shows;

	if (r->term < n->seen_term || (r->term == n->seen_term && n->seen_vote &&
				       r->vote != n->seen_vote))
		world_fail(w, "%llu: term %llu vote %llu after term %llu vote %llu", U(n->id), U(r->term),
			   U(r->vote), U(n->seen_term), U(n->seen_vote));
	n->seen_term = r->term;
	n->seen_vote = r->vote;
	if (u->truncate_from && (u->truncate_from <= n->seen_commit || r->role == RAFT_LEADER))
		world_fail(w, "%llu truncates from %llu, committed %llu, role %u", U(n->id),
			   U(u->truncate_from), U(n->seen_commit), r->role);
	if (u->nr_append && u->append_first + u->nr_append - 1 != r->log.last)
		world_fail(w, "%llu: a gap in the log", U(n->id));
	if (r->log.last != n->log.base + n->log.nr)
		world_fail(w, "%llu: core and owner disagree on the log", U(n->id));
	if (r->log.durable > n->disk.log.base + n->disk.log.nr)
		world_fail(w, "%llu takes %llu for durable, its disk ends at %llu", U(n->id),
			   U(r->log.durable), U(n->disk.log.base + n->disk.log.nr));
	if (u->role_changed && r->role == RAFT_LEADER)
		check_new_leader(w, n, r->term);
	if (r->role == RAFT_LEADER && !raft_conf_pending(r) && !raft_self_voter(r))
		world_fail(w, "%llu leads, a committed configuration has it as no voter", U(n->id));
	if (u->conf_changed)
		check_conf(w, n);
	check_commit(w, n);
	if (!raft_lease_read(r, world_local(w, n), &shows) && shows < w->truth.acked)
		world_fail(w, "stale read: %llu has a lease and shows %llu, %llu was seen", U(n->id),
			   U(shows), U(w->truth.acked));
}

/* What is promised must be on the disk. */
void check_send(struct world *w, struct machine *n, const struct raft_msg *m)
{
	const struct disk *d = &n->disk;
	bool future = m->type == RAFT_MSG_PREVOTE || (m->type == RAFT_MSG_PREVOTE_REP && !m->reject);

	if (!future && m->term > d->term)
		world_fail(w, "durability: %llu speaks of term %llu, its disk of %llu", U(n->id),
			   U(m->term), U(d->term));
	if (m->type == RAFT_MSG_VOTE_REP && !m->reject && d->term == m->term && d->vote != m->to)
		world_fail(w, "durability: %llu votes for %llu in term %llu, its disk has %llu", U(n->id),
			   U(m->to), U(m->term), U(d->vote));
	if (m->type == RAFT_MSG_VOTE && d->term == m->term && d->vote != n->id)
		world_fail(w, "durability: %llu stands in term %llu, its disk does not say so", U(n->id),
			   U(m->term));
	if (m->type == RAFT_MSG_APPEND_REP && !m->reject && raft_term(n->raft) == m->term &&
	    m->index > d->log.base + d->log.nr)
		world_fail(w, "durability: %llu acknowledges %llu, its disk ends at %llu", U(n->id),
			   U(m->index), U(d->log.base + d->log.nr));
}

/* ---- the end: all was well for a while --------------------------------------------------- */

void check_end(struct world *w)
{
	struct machine *leader = NULL, *n;
	const struct raft_conf *c;
	u32 i;

	for (n = w->m; n < w->m + w->nr_machines; n++)
		if (n->up && raft_ready(n->raft) && (!leader ||
						     raft_term(n->raft) > raft_term(leader->raft)))
			leader = n;
	if (!leader) {
		world_fail(w, "liveness: nobody leads at the end");
		return;
	}
	if (w->truth.nr <= w->truth.at_heal) {
		world_fail(w, "liveness: nothing was committed after all was healed");
		return;
	}
	c = raft_conf(leader->raft);
	for (i = 0; i < c->nr; i++) {
		n = world_find(w, c->m[i].id);
		if (n && (!n->up || n->state.index != w->truth.nr))
			world_fail(w, "liveness: member %llu is at %llu, the group at %llu", U(n->id),
				   U(n->state.index), U(w->truth.nr));
	}
}
