// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads without the log: heartbeat rounds, the leader's lease, the read index.
 *
 * Each heartbeat carries the number of its round. When a majority has answered
 * round k, the leader was leader when it began k: a read that came before may be
 * answered from everything committed when the read came (read index,
 * dissertation 6.4).
 *
 * Lease (6.4.1): who answers a heartbeat elects nobody else for RAFT_ELECTION of
 * its own clock from when it arrived. The leader counts from when the round
 * began, which is before that, and takes off twice the drift bound: with clocks
 * between 1 - d and 1 + d of true rate, E (1 - 2d) on a slow clock lasts
 * E (1 - 2d) / (1 - d), less than E / (1 + d), the shortest the promise can last.
 *
 * Handing leadership over breaks the promise. From the moment the wish is sent no
 * round that began before supports a lease; no new one begins until it is given
 * up; and members who answered a newer one do not follow the wish any more.
 */
#include "raft_int.h"

/* ---- rounds ------------------------------------------------------------------ */

void raft_beat_one(struct raft *r, struct raft_peer *p)
{
	struct raft_msg *m = raft_send(r, RAFT_MSG_HEARTBEAT, p->id);

	m->round = r->round;
	m->commit = p->match < r->commit ? p->match : r->commit;
}

/* A heartbeat to everyone. */
void raft_beat(struct raft *r, bool new_round)
{
	u32 i;

	if (new_round && !r->transfer_sent) {
		r->round++;
		r->round_sent[r->round % RAFT_ROUNDS] = r->now;
	}
	for (i = 0; i < r->nr_peers; i++)
		raft_beat_one(r, &r->peers[i]);
}

/* The last round that a majority has answered. */
static u64 quorum_round(const struct raft *r)
{
	u64 v[RAFT_MEMBERS_MAX + 1];
	u32 i, n = 0;

	if (raft_self_voter(r))
		v[n++] = r->round;
	for (i = 0; i < r->nr_peers; i++)
		if (r->peers[i].voter)
			v[n++] = r->peers[i].round;
	return raft_nth(v, n, raft_quorum(r));
}

/* ---- the lease ---------------------------------------------------------------- */

void raft_lease_set(struct raft *r)
{
	u64 v[RAFT_MEMBERS_MAX + 1], from, span = raft_span(r, RAFT_ELECTION);
	u32 i, n = 0;

	r->lease_until = 0;
	if (!raft_self_voter(r) || r->transfer_sent)
		return;
	v[n++] = RAFT_NEVER;
	for (i = 0; i < r->nr_peers; i++)
		if (r->peers[i].voter)
			v[n++] = r->peers[i].lease_from;
	from = raft_nth(v, n, raft_quorum(r));
	if (from == RAFT_NEVER)
		r->lease_until = RAFT_NEVER;
	else if (from)
		r->lease_until = from + span - span / 1000000 * 2 * r->cfg.drift_ppm -
				 span % 1000000 * 2 * r->cfg.drift_ppm / 1000000 - 1;
}

/* No round so far supports a lease any more. */
void raft_lease_drop(struct raft *r)
{
	u32 i;

	r->lease_floor = r->round;
	r->lease_until = 0;
	for (i = 0; i < r->nr_peers; i++)
		r->peers[i].lease_from = 0;
}

static bool lease_valid(const struct raft *r, u64 now)
{
	return now < r->lease_until && raft_ready(r);
}

int raft_lease_read(const struct raft *r, u64 now, u64 *index)
{
	if (r->role != RAFT_LEADER)
		return -EPERM;
	if (!lease_valid(r, now))
		return -EAGAIN;
	*index = r->commit;
	return 0;
}

/* ---- reads that wait -------------------------------------------------------------- */

static void answer(struct raft *r, const struct raft_wait *w, int err)
{
	struct raft_peer *p;
	struct raft_msg *m;

	if (w->from == RAFT_NONE) {
		r->reads[r->nr_reads++] = (struct raft_read){ w->token, w->index, err };
		return;
	}
	m = raft_send(r, RAFT_MSG_READ_REP, w->from);
	m->round = w->token;
	m->index = w->index;
	m->reject = !!err;
	p = raft_peer(r, w->from);
	if (p && !err)
		raft_beat_one(r, p);	/* it needs to hear of the commit */
}

/* The first round that begins after now; begin it unless one is under way. */
static u64 next_round(struct raft *r)
{
	if (r->transfer_sent || quorum_round(r) < r->round)
		return r->round + 1;
	raft_beat(r, true);
	return r->round;
}

static void add(struct raft *r, u64 token, u64 from)
{
	struct raft_wait w = { token, from, r->commit, 0 };

	if (lease_valid(r, r->now)) {
		answer(r, &w, 0);
		return;
	}
	if (raft_ready(r))
		w.round = next_round(r);
	r->waits[r->nr_waits++] = w;
	r->nr_remote += from != RAFT_NONE;
}

int raft_read_local(struct raft *r, u64 token)
{
	if (r->role == RAFT_LEADER)
		add(r, token, RAFT_NONE);
	else if (r->leader)
		raft_send(r, RAFT_MSG_READ, r->leader)->round = token;
	else
		return -EPERM;
	return 0;
}

void raft_read_remote(struct raft *r, const struct raft_msg *m)
{
	struct raft_wait w = { m->round, m->from, 0, 0 };

	if (r->role != RAFT_LEADER || r->nr_remote >= RAFT_REMOTE_READS)
		answer(r, &w, -EAGAIN);
	else
		add(r, m->round, m->from);
}

/* The leader's answer to our own question. */
void raft_read_answered(struct raft *r, const struct raft_msg *m)
{
	if (m->from == r->leader && r->role == RAFT_FOLLOWER)
		r->reads[r->nr_reads++] =
			(struct raft_read){ m->round, m->index, m->reject ? -EAGAIN : 0 };
}

static void check_waits(struct raft *r)
{
	u64 acked = quorum_round(r);
	u32 i, n = 0;

	for (i = 0; i < r->nr_waits; i++) {
		struct raft_wait *w = &r->waits[i];

		if (w->round && w->round <= acked) {
			r->nr_remote -= w->from != RAFT_NONE;
			answer(r, w, 0);
		} else {
			r->waits[n++] = *w;
		}
	}
	r->nr_waits = n;
	if (n && r->waits[n - 1].round > r->round && acked == r->round && !r->transfer_sent)
		raft_beat(r, true);
}

void raft_round_acked(struct raft *r, struct raft_peer *p, u64 round)
{
	if (round > r->round || round <= p->round)
		return;
	p->round = round;
	if (round > r->lease_floor && r->round - round < RAFT_ROUNDS) {
		p->lease_from = r->round_sent[round % RAFT_ROUNDS];
		raft_lease_set(r);
	}
	if (r->nr_waits)
		check_waits(r);
}

/* Something is committed. Reads that waited for the first of the term go on. */
void raft_reads_ready(struct raft *r)
{
	u32 i, n = r->nr_waits;

	if (!raft_ready(r) || !n || r->waits[0].round)
		return;
	r->nr_waits = r->nr_remote = 0;
	for (i = 0; i < n; i++) {
		struct raft_wait w = r->waits[i];

		if (w.round) {		/* behind those that waited: as it was */
			r->waits[r->nr_waits++] = w;
			r->nr_remote += w.from != RAFT_NONE;
		} else {
			add(r, w.token, w.from);
		}
	}
}

void raft_reads_fail(struct raft *r)
{
	u32 i;

	for (i = 0; i < r->nr_waits; i++)
		answer(r, &r->waits[i], -EAGAIN);
	r->nr_waits = r->nr_remote = 0;
}
