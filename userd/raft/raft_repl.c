// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a leader does: feed its members the log, count what is durable where,
 * commit, send snapshots by reference, hand leadership over, step down.
 *
 * A member is probed with one message until the logs are known to agree, then
 * streamed to, with a bounded number of messages and bytes under way. A refusal
 * carries the last place where the logs may agree, so that finding it takes a
 * message for each term that differs, not for each entry.
 *
 * Invariants
 *  - The own log counts up to what is durable, like any other.
 *  - Only an entry of the own term is committed by counting (paper 5.4.2).
 *  - Members that are removed are fed on until they can know, but count for
 *    nothing.
 */
#include "raft_int.h"

/* ---- members --------------------------------------------------------------- */

struct raft_peer *raft_peer(struct raft *r, u64 id)
{
	u32 i;

	for (i = 0; i < r->nr_peers; i++)
		if (r->peers[i].id == id)
			return &r->peers[i];
	return NULL;
}

static void drop_leaving(struct raft *r)
{
	u32 i, n = 0;

	for (i = 0; i < r->nr_peers; i++)
		if (!r->peers[i].leaving) {
			if (n != i)
				r->peers[n] = r->peers[i];
			n++;
		}
	r->nr_peers = n;
}

/* Make the table of members that of the latest configuration. */
void raft_peers_set(struct raft *r)
{
	const struct raft_conf *c = raft_conf(r);
	struct raft_peer *p;
	u32 i;

	drop_leaving(r);
	for (i = 0; i < r->nr_peers; i++) {
		r->peers[i].leaving = !raft_conf_find(c, r->peers[i].id);
		r->peers[i].voter = false;
	}
	r->leave_due = RAFT_NEVER;
	for (i = 0; i < c->nr; i++) {
		if (c->m[i].id == r->cfg.id)
			continue;
		p = raft_peer(r, c->m[i].id);
		if (!p) {
			p = &r->peers[r->nr_peers++];
			memset(p, 0, sizeof(*p));
			p->id = c->m[i].id;
			p->next = r->log.last + 1;
			p->catch_target = r->log.last;
			p->catch_start = r->now;
		}
		p->voter = c->m[i].voter;
	}
}

u32 raft_quorum(const struct raft *r)
{
	const struct raft_conf *c = raft_conf(r);
	u32 i, n = 0;

	for (i = 0; i < c->nr; i++)
		n += c->m[i].voter;
	return n / 2 + 1;
}

/* The @n-th largest (from 1) of @nr values; 0 if there are fewer. Sorts @v. */
u64 raft_nth(u64 *v, u32 nr, u32 n)
{
	u32 i, j;

	for (i = 1; i < nr; i++) {
		u64 x = v[i];

		for (j = i; j && v[j - 1] < x; j--)
			v[j] = v[j - 1];
		v[j] = x;
	}
	return n && n <= nr ? v[n - 1] : 0;
}

static bool recent(const struct raft *r, const struct raft_peer *p)
{
	return p->contact && r->now - p->contact < raft_span(r, RAFT_ELECTION);
}

/* ---- sending ----------------------------------------------------------------- */

static bool window_full(const struct raft *r, const struct raft_peer *p, u64 bytes)
{
	return p->win_nr >= r->cfg.inflight_msgs ||
	       (p->win_nr && p->win_bytes + bytes > r->cfg.inflight_bytes);
}

static void window_clear(struct raft_peer *p)
{
	p->win_nr = 0;
	p->win_bytes = 0;
}

static void window_add(struct raft_peer *p, u64 last, u64 bytes)
{
	u32 at = (p->win_head + p->win_nr++) % RAFT_INFLIGHT_MAX;

	p->win[at].last = last;
	p->win[at].bytes = bytes;
	p->win_bytes += bytes;
}

static void window_acked(struct raft_peer *p, u64 match)
{
	while (p->win_nr && p->win[p->win_head].last <= match) {
		p->win_bytes -= p->win[p->win_head].bytes;
		p->win_head = (p->win_head + 1) % RAFT_INFLIGHT_MAX;
		p->win_nr--;
	}
}

static void probe(struct raft_peer *p, u64 next)
{
	p->feed = RAFT_PROBE;
	p->next = next > p->match ? next : p->match + 1;
	p->paused = false;
	window_clear(p);
}

static void send_append(struct raft *r, struct raft_peer *p, u32 nr)
{
	struct raft_msg *m = raft_send(r, RAFT_MSG_APPEND, p->id);

	m->index = p->next - 1;
	m->log_term = raft_log_term(&r->log, m->index);
	m->commit = r->commit;
	m->nr = nr;
}

static void want_snapshot(struct raft *r, struct raft_peer *p)
{
	if (!p->alive)
		return;
	p->feed = RAFT_SNAPSHOT;
	window_clear(p);
	r->snaps[r->nr_snaps].peer = p->id;
	r->snaps[r->nr_snaps++].index = r->log.base;
}

/* Send what may be sent. */
static void feed(struct raft *r, struct raft_peer *p)
{
	u64 bytes, cost;
	u32 nr, burst;

	for (burst = 0; burst < RAFT_BURST; burst++) {
		if (p->feed == RAFT_SNAPSHOT || p->paused)
			return;
		if (p->next <= r->log.base) {
			want_snapshot(r, p);
			return;
		}
		if (p->feed == RAFT_STREAM && p->next > r->log.last)
			return;
		for (nr = 0, bytes = 0; p->next + nr <= r->log.last; nr++, bytes += cost) {
			cost = r->log.slot[(p->next + nr) & (r->log.cap - 1)].bytes + RAFT_ENTRY_COST;
			if (nr && bytes + cost > r->cfg.max_bytes)
				break;
		}
		if (p->feed == RAFT_STREAM && window_full(r, p, bytes))
			return;
		send_append(r, p, nr);
		if (p->feed == RAFT_PROBE) {
			p->paused = true;
			return;
		}
		p->next += nr;
		window_add(p, p->next - 1, bytes);
	}
}

void raft_feed_all(struct raft *r)
{
	u32 i;

	for (i = 0; i < r->nr_peers; i++)
		feed(r, &r->peers[i]);
}

/* ---- roles ---------------------------------------------------------------------- */

void raft_become_leader(struct raft *r)
{
	struct raft_entry noop = { .term = r->term, .kind = RAFT_NOOP };

	r->role = RAFT_LEADER;
	r->leader = r->cfg.id;
	r->led_since = r->stall_since = r->now;
	r->stall_seq = r->durable_seq;
	r->transfer = RAFT_NONE;
	r->transfer_sent = false;
	r->nr_waits = r->nr_remote = 0;
	r->round = r->lease_floor = r->lease_until = 0;
	r->nr_peers = 0;
	raft_peers_set(r);
	r->term_start = r->log.last + 1;
	raft_append(r, &noop);
	raft_lease_set(r);
	r->heartbeat_due = r->now + raft_span(r, RAFT_HEARTBEAT);
	raft_beat(r, true);
	raft_feed_all(r);
	raft_advance(r);
}

/* The voter that is furthest, among those heard of lately if there are any. */
static struct raft_peer *best_voter(struct raft *r)
{
	struct raft_peer *best = NULL, *p;

	for (p = r->peers; p < r->peers + r->nr_peers; p++) {
		if (!p->voter)
			continue;
		if (!best || recent(r, p) > recent(r, best) ||
		    (recent(r, p) == recent(r, best) && p->match > best->match))
			best = p;
	}
	return best;
}

static void send_timeout_now(struct raft *r, u64 to)
{
	raft_lease_drop(r);
	raft_send(r, RAFT_MSG_TIMEOUT_NOW, to)->round = r->round;
}

/* Lead no more, and let someone else do so at once. */
static void step_aside(struct raft *r)
{
	struct raft_peer *p = best_voter(r);

	if (p)
		send_timeout_now(r, p->id);
	raft_become_follower(r, r->term, RAFT_NONE);
}

static bool has_quorum(const struct raft *r)
{
	u32 i, n = raft_self_voter(r);

	if (r->now - r->led_since < raft_span(r, RAFT_ELECTION))
		return true;
	for (i = 0; i < r->nr_peers; i++)
		n += r->peers[i].voter && recent(r, &r->peers[i]);
	return n >= raft_quorum(r);
}

/* The own disk answers nothing any more, and there is somebody else. */
static bool stalled(struct raft *r)
{
	struct raft_peer *best;

	if (r->durable_seq != r->stall_seq || r->seq == r->durable_seq) {
		r->stall_seq = r->durable_seq;
		r->stall_since = r->now;
	}
	if (r->now - r->stall_since < raft_span(r, RAFT_STALL))
		return false;
	best = best_voter(r);
	return best && recent(r, best);
}

static void transfer_step(struct raft *r)
{
	struct raft_peer *p = raft_peer(r, r->transfer);

	if (!r->transfer || r->transfer_sent || !p || p->match != r->log.last)
		return;
	send_timeout_now(r, p->id);
	r->transfer_sent = true;
}

/* 3.10. While it runs nothing is appended, so that the target can catch up. */
int raft_transfer(struct raft *r, u64 target)
{
	struct raft_peer *p;

	if (r->role != RAFT_LEADER)
		return -EPERM;
	if (r->transfer)
		return -EBUSY;
	p = target ? raft_peer(r, target) : best_voter(r);
	if (!p || !p->voter)
		return -ENOENT;
	r->transfer = p->id;
	r->transfer_sent = false;
	r->transfer_due = r->now + raft_span(r, RAFT_HANDOVER);
	transfer_step(r);
	return 0;
}

void raft_leader_tick(struct raft *r)
{
	bool over = r->transfer && r->now >= r->transfer_due;

	if (over) {
		r->transfer = RAFT_NONE;
		r->transfer_sent = false;
		r->u->transfer_failed = true;
	}
	if (r->now < r->heartbeat_due && !over)
		return;
	if (!has_quorum(r)) {
		raft_become_follower(r, r->term, RAFT_NONE);
		return;
	}
	if (stalled(r)) {
		step_aside(r);
		return;
	}
	if (r->now >= r->leave_due) {
		drop_leaving(r);
		r->leave_due = RAFT_NEVER;
	}
	r->heartbeat_due = r->now + raft_span(r, RAFT_HEARTBEAT);
	raft_beat(r, true);
}

/* ---- commit ----------------------------------------------------------------------- */

static u64 quorum_match(struct raft *r)
{
	u64 v[RAFT_MEMBERS_MAX + 1];
	u32 i, n = 0;

	if (raft_self_voter(r))
		v[n++] = r->log.durable;
	for (i = 0; i < r->nr_peers; i++)
		if (r->peers[i].voter)
			v[n++] = r->peers[i].match;
	return raft_nth(v, n, raft_quorum(r));
}

/* Something became durable somewhere. */
void raft_advance(struct raft *r)
{
	bool pending = raft_conf_pending(r);
	u64 match = quorum_match(r);

	if (match > r->commit && raft_log_term(&r->log, match) == r->term) {
		raft_committed(r, match);
		if (pending && !raft_conf_pending(r)) {
			r->leave_due = r->now + raft_span(r, RAFT_ELECTION);
			raft_beat(r, false);	/* those who leave shall know */
			if (!raft_self_voter(r)) {
				step_aside(r);
				return;
			}
		}
		raft_reads_ready(r);
	}
	transfer_step(r);
}

/* ---- answers ----------------------------------------------------------------------- */

/*
 * 4.2.1: a learner has caught up when a round of replication takes less than an
 * election. When it lacks nothing, the next round is over as it begins: after a
 * slow first one, a leader with nothing to append would start no other.
 */
static void catch_up(struct raft *r, struct raft_peer *p)
{
	if (p->match < p->catch_target)
		return;
	p->caught_up = p->match == r->log.last ||
		       r->now - p->catch_start < raft_span(r, RAFT_ELECTION);
	p->catch_target = r->log.last;
	p->catch_start = r->now;
}

bool raft_caught_up(const struct raft *r, const struct raft_peer *p)
{
	return p->caught_up && recent(r, p) && (p->match >= p->catch_target ||
		r->now - p->catch_start < raft_span(r, RAFT_ELECTION));
}

static void refused(struct raft *r, struct raft_peer *p, const struct raft_msg *m)
{
	u64 next;

	if (p->feed == RAFT_SNAPSHOT || m->index <= p->match || m->index > r->log.last)
		return;
	if (p->feed == RAFT_PROBE && p->next - 1 != m->index)
		return;
	/* Beyond hint they differ; before it they agree where this log's term is not higher. */
	next = m->hint < m->index ? m->hint : m->index - 1;
	if (next > r->log.base)
		next = raft_log_agree(&r->log, next, m->hint_term);
	probe(p, next + 1);
}

static void agreed(struct raft *r, struct raft_peer *p, u64 index)
{
	if (index < p->match || index > r->log.last)
		return;
	if (p->feed == RAFT_SNAPSHOT && index < r->log.base)
		return;
	if (index > p->match)
		p->match = index;
	else if (p->feed != RAFT_PROBE)
		return;
	window_acked(p, p->match);
	if (p->feed != RAFT_STREAM) {
		window_clear(p);
		p->feed = RAFT_STREAM;
		p->next = p->match + 1;
		p->paused = false;
	} else if (p->next <= p->match) {
		p->next = p->match + 1;
	}
	if (!p->voter)
		catch_up(r, p);
}

void raft_on_append_rep(struct raft *r, struct raft_peer *p, const struct raft_msg *m)
{
	u64 before = p->match;

	p->contact = r->now;
	p->alive = true;
	if (m->reject)
		refused(r, p, m);
	else
		agreed(r, p, m->index);
	feed(r, p);
	if (p->match > before)
		raft_advance(r);
}

/*
 * Also the remedy for lost messages: a probe is repeated, and if nothing that
 * is under way was acknowledged since the last one, an empty APPEND finds out
 * whether it has arrived.
 */
void raft_on_heartbeat_rep(struct raft *r, struct raft_peer *p, const struct raft_msg *m)
{
	p->contact = r->now;
	p->alive = true;
	p->paused = false;
	if (p->feed == RAFT_STREAM && p->match < p->next - 1 && p->match == p->beat_match &&
	    p->next > r->log.base)
		send_append(r, p, 0);
	p->beat_match = p->match;
	feed(r, p);
	raft_round_acked(r, p, m->round);
}

void raft_peer_down(struct raft *r, u64 id)
{
	struct raft_peer *p = r->role == RAFT_LEADER ? raft_peer(r, id) : NULL;

	if (!p)
		return;
	probe(p, p->match + 1);
	p->paused = true;
	p->alive = false;
}

int raft_snap_sent(struct raft *r, const struct raft_event *ev)
{
	struct raft_peer *p = r->role == RAFT_LEADER ? raft_peer(r, ev->peer) : NULL;

	if (!p || p->feed != RAFT_SNAPSHOT)
		return 0;
	if (ev->ok && ev->index > r->log.last)
		return -EINVAL;
	probe(p, ev->ok ? ev->index + 1 : p->match + 1);
	if (ev->ok)
		feed(r, p);
	else
		p->paused = true;	/* until it answers a heartbeat */
	return 0;
}

int raft_progress(const struct raft *r, u64 id, struct raft_progress *out)
{
	const struct raft_peer *p;

	if (r->role != RAFT_LEADER)
		return -EPERM;
	if (id == r->cfg.id) {
		*out = (struct raft_progress){ r->log.durable, r->now, true, false };
		return 0;
	}
	p = raft_peer((struct raft *)r, id);
	if (!p)
		return -ENOENT;
	out->match = p->match;
	out->contact = p->contact;
	out->caught_up = raft_caught_up(r, p);
	out->snapshot = p->feed == RAFT_SNAPSHOT;
	return 0;
}
