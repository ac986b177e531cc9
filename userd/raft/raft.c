// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Raft core: steps, terms, elections, and what a follower does. Paper:
 * Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm"
 * (extended version); dissertation: Ongaro, "Consensus: Bridging Theory and
 * Practice". Section numbers below are the dissertation's.
 *
 * Invariants
 *  - term never falls; at most one vote in a term; both are durable before a
 *    message of that term goes out, and before the own vote counts.
 *  - Nothing up to commit is ever truncated.
 *  - A vote, pre-vote or new term that a leader's lease forbids is refused
 *    (sticky()): the promise that each answer to a heartbeat gives.
 *  - Only a voter of the latest configuration in the own log stands for election, or
 *    one of the configuration before while the latest is not known to be committed.
 */
#include <stdlib.h>

#include "raft_int.h"

static void become_candidate(struct raft *r);
static void win_if_elected(struct raft *r);

/* ---- small things -------------------------------------------------------- */

/* @units of the time scale. */
u64 raft_span(const struct raft *r, u64 units)
{
	return units * r->cfg.time_scale;
}

static u64 next_random(struct raft *r)
{
	u64 z = (r->rng += 0x9e3779b97f4a7c15ull);	/* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void arm_election(struct raft *r)
{
	u64 shortest = raft_span(r, RAFT_ELECTION);

	r->election_due = r->now + shortest + next_random(r) % (shortest / 2);
}

/*
 * Asking changes nothing at others, so it is repeated soon: whoever refused may have
 * heard the last heartbeat a moment after this member.
 */
static void arm_ask(struct raft *r)
{
	u64 shortest = raft_span(r, RAFT_ASK);

	r->election_due = r->now + shortest + next_random(r) % shortest;
}

bool raft_self_voter(const struct raft *r)
{
	const struct raft_member *m = raft_conf_find(raft_conf(r), r->cfg.id);

	return m && m->voter;
}

/*
 * A voter may be the only one that can commit the configuration that removes it,
 * its log being the longest (dissertation 4.2.2). It stands, without a vote.
 */
static bool may_stand(const struct raft *r)
{
	const struct raft_log *l = &r->log;
	const struct raft_member *m;

	if (raft_self_voter(r))
		return true;
	if (!raft_conf_pending(r) || l->nr_confs < 2)
		return false;
	m = raft_conf_find(&l->confs[l->nr_confs - 2].conf, r->cfg.id);
	return m && m->voter && raft_conf(r)->nr;
}

/* This step has something to make durable. */
void raft_dirty(struct raft *r)
{
	r->u->seq = r->seq + 1;
}

static void hard_changed(struct raft *r)
{
	r->u->hard = true;
	raft_dirty(r);
	r->hard_seq = r->u->seq;
}

/* @m must not go out before update @seq is durable. */
void raft_need(const struct raft *r, struct raft_msg *m, u64 seq)
{
	if (seq > r->durable_seq && seq > m->after)
		m->after = seq;
}

/* A message of the own term, to be completed. Never NULL; beyond the limit it is lost. */
struct raft_msg *raft_send(struct raft *r, u8 type, u64 to)
{
	struct raft_msg *m = &r->msgs[r->nr_msgs];

	if (r->nr_msgs < RAFT_MSGS_MAX - 1)
		r->nr_msgs++;
	*m = (struct raft_msg){ .type = type, .from = r->cfg.id, .to = to, .term = r->term };
	raft_need(r, m, r->hard_seq);
	return m;
}

/* Add to the own log. Reserved before. */
void raft_append(struct raft *r, const struct raft_entry *e)
{
	raft_dirty(r);
	raft_log_append(&r->log, e, r->u->seq);
	if (!r->nr_append)
		r->u->append_first = r->log.last;
	r->append[r->nr_append++] = *e;
	if (e->kind == RAFT_CONF) {
		r->u->conf_changed = true;
		if (raft_conf_find(raft_conf(r), r->cfg.id))
			r->was_member = true;
	}
}

/* The group has committed up to @index. */
void raft_committed(struct raft *r, u64 index)
{
	u64 conf = r->log.confs[r->log.nr_confs - 1].index;

	if (index <= r->commit)
		return;
	if (conf > r->commit && conf <= index && r->was_member &&
	    !raft_conf_find(raft_conf(r), r->cfg.id))
		r->u->removed = true;
	r->commit = index;
}

/* ---- roles --------------------------------------------------------------- */

void raft_become_follower(struct raft *r, u64 term, u64 leader)
{
	bool arm = r->role != RAFT_FOLLOWER;

	if (r->role == RAFT_LEADER) {
		raft_reads_fail(r);
		raft_lease_drop(r);
		r->transfer = RAFT_NONE;
		r->transfer_sent = false;
	}
	if (term != r->term) {
		r->term = term;
		r->vote = RAFT_NONE;
		hard_changed(r);
	}
	r->role = RAFT_FOLLOWER;
	r->leader = leader;
	r->force = false;
	if (arm)
		arm_election(r);
}

static void ask_votes(struct raft *r, u8 type, u64 term)
{
	struct raft_msg *m;
	u32 i;

	for (i = 0; i < r->nr_peers; i++) {
		if (!r->peers[i].voter)
			continue;
		m = raft_send(r, type, r->peers[i].id);
		m->term = term;
		m->index = r->log.last;
		m->log_term = raft_log_term(&r->log, r->log.last);
		m->force = r->force;
		m->round = r->force_round;
	}
}

/* Ask whether an election could be won, without disturbing anyone (9.6). */
static void become_precandidate(struct raft *r)
{
	r->role = RAFT_PRECANDIDATE;
	r->leader = RAFT_NONE;
	r->force = false;
	r->force_round = 0;
	r->nr_peers = 0;
	raft_peers_set(r);
	arm_ask(r);
	if (raft_quorum(r) == 1 && raft_self_voter(r))
		become_candidate(r);
	else
		ask_votes(r, RAFT_MSG_PREVOTE, r->term + 1);
}

static void become_candidate(struct raft *r)
{
	u32 i;

	r->role = RAFT_CANDIDATE;
	r->leader = RAFT_NONE;
	r->term++;
	r->vote = r->cfg.id;
	r->contact = 0;
	r->heard_round = 0;
	hard_changed(r);
	arm_election(r);
	for (i = 0; i < r->nr_peers; i++)
		r->peers[i].vote = 0;
	ask_votes(r, RAFT_MSG_VOTE, r->term);
}

/* The own vote counts once it is durable: a candidate is one no sooner than its disk says. */
static void win_if_elected(struct raft *r)
{
	u32 i, yes = raft_self_voter(r), no = 0;

	if (r->role == RAFT_CANDIDATE && r->hard_seq > r->durable_seq)
		return;
	for (i = 0; i < r->nr_peers; i++) {
		yes += r->peers[i].voter && r->peers[i].vote > 0;
		no += r->peers[i].voter && r->peers[i].vote < 0;
	}
	if (no >= raft_quorum(r))
		raft_become_follower(r, r->term, RAFT_NONE);
	else if (yes >= raft_quorum(r) && r->role == RAFT_CANDIDATE)
		raft_become_leader(r);
	else if (yes >= raft_quorum(r))
		become_candidate(r);
}

/* ---- votes ----------------------------------------------------------------- */

/*
 * A leader may be relying on this member not to elect another (4.2.3, 6.4.1):
 * it was heard of within the shortest election timeout, or may have been before
 * a restart, or is this member itself. A newer term that somebody told of does not
 * end that: the leader of the old one need not know.
 */
static bool sticky(const struct raft *r)
{
	return r->now < r->hold_until || r->role == RAFT_LEADER ||
	       (r->contact && r->now - r->contact < raft_span(r, RAFT_ELECTION));
}

/*
 * The leader wished for this election, having given up its leases of all rounds
 * up to @m->round: it breaks the promise unless a later round was answered.
 */
static bool forced(const struct raft *r, const struct raft_msg *m)
{
	u64 term = r->role == RAFT_LEADER ? r->term : r->heard_term;
	u64 round = r->role == RAFT_LEADER ? r->round : r->heard_round;

	return m->force && r->now >= r->hold_until &&
	       (m->term != term + 1 || m->round >= round);
}

/* Paper 5.4.1: the last entries decide. */
static bool up_to_date(const struct raft *r, const struct raft_msg *m)
{
	u64 term = raft_log_term(&r->log, r->log.last);

	return m->log_term > term || (m->log_term == term && m->index >= r->log.last);
}

static void on_prevote(struct raft *r, const struct raft_msg *m)
{
	bool grant = m->term > r->term && !sticky(r) && up_to_date(r, m);
	struct raft_msg *a = raft_send(r, RAFT_MSG_PREVOTE_REP, m->from);

	a->reject = !grant;
	if (grant)
		a->term = m->term;
}

static void on_vote(struct raft *r, const struct raft_msg *m)
{
	bool held = sticky(r) && !forced(r, m);
	bool grant = (r->vote == m->from || (!r->vote && !r->leader && !held)) && up_to_date(r, m);
	struct raft_msg *a;

	if (grant && !r->vote) {
		r->vote = m->from;
		hard_changed(r);
		arm_election(r);
	}
	a = raft_send(r, RAFT_MSG_VOTE_REP, m->from);
	a->reject = !grant;
}

static void on_vote_rep(struct raft *r, const struct raft_msg *m)
{
	bool pre = m->type == RAFT_MSG_PREVOTE_REP;
	struct raft_peer *p = raft_peer(r, m->from);

	if (!p || r->role != (pre ? RAFT_PRECANDIDATE : RAFT_CANDIDATE))
		return;
	if (pre && !m->reject && m->term != r->term + 1)
		return;
	p->vote = m->reject ? -1 : 1;
	win_if_elected(r);
}

static void on_timeout_now(struct raft *r, const struct raft_msg *m)
{
	if (r->role != RAFT_FOLLOWER || r->leader != m->from || m->round < r->heard_round ||
	    !raft_self_voter(r))
		return;
	r->force = true;
	r->force_round = m->round;
	r->nr_peers = 0;
	raft_peers_set(r);
	become_candidate(r);
}

/* ---- follower --------------------------------------------------------------- */

static void hear_leader(struct raft *r, const struct raft_msg *m)
{
	if (r->role != RAFT_FOLLOWER || r->leader != m->from)
		raft_become_follower(r, m->term, m->from);
	r->contact = r->now;
	if (r->heard_term != m->term)
		r->heard_round = 0;
	r->heard_term = m->term;
	arm_election(r);
}

/* The durable answer: this log and the leader's agree up to @index. */
static void ack(struct raft *r, u64 to, u64 index)
{
	struct raft_msg *a = raft_send(r, RAFT_MSG_APPEND_REP, to);

	a->index = index;
	if (index > r->log.durable)
		raft_need(r, a, raft_log_seq(&r->log, index));
}

static void refuse(struct raft *r, const struct raft_msg *m)
{
	struct raft_msg *a = raft_send(r, RAFT_MSG_APPEND_REP, m->from);

	a->reject = 1;
	a->index = m->index;
	a->hint = raft_log_agree(&r->log, m->index, m->log_term);
	a->hint_term = raft_log_term(&r->log, a->hint);
}

/* Is what the leader sends at odds with what is committed here? */
static bool contradicts(const struct raft *r, const struct raft_msg *m)
{
	u64 t, i, end = m->index + m->nr < r->commit ? m->index + m->nr : r->commit;

	if (m->index <= r->commit && m->index >= r->log.base &&
	    raft_log_term(&r->log, m->index) != m->log_term)
		return true;
	for (i = m->index < r->log.base ? r->log.base + 1 : m->index + 1; i <= end; i++) {
		t = raft_log_term(&r->log, i);
		if (t != m->entries[i - m->index - 1].term)
			return true;
	}
	return false;
}

static void on_append(struct raft *r, const struct raft_msg *m)
{
	u64 last = m->index + m->nr, i;

	hear_leader(r, m);
	if (last < r->commit) {		/* old news: what is committed agrees */
		ack(r, m->from, r->commit);
		return;
	}
	if (m->index > r->log.last ||
	    (m->index > r->commit && raft_log_term(&r->log, m->index) != m->log_term)) {
		refuse(r, m);
		return;
	}
	i = m->index < r->commit ? r->commit : m->index;
	while (i < last && i < r->log.last &&
	       raft_log_term(&r->log, i + 1) == m->entries[i - m->index].term)
		i++;
	if (i < last && i < r->log.last) {
		r->u->truncate_from = i + 1;
		r->u->conf_changed |= r->log.confs[r->log.nr_confs - 1].index > i;
		raft_log_truncate(&r->log, i + 1);
		raft_dirty(r);
	}
	for (; i < last; i++)
		raft_append(r, &m->entries[i - m->index]);
	ack(r, m->from, last);
	raft_committed(r, m->commit < last ? m->commit : last);
}

static void on_heartbeat(struct raft *r, const struct raft_msg *m)
{
	struct raft_msg *a;

	hear_leader(r, m);
	if (m->round > r->heard_round)
		r->heard_round = m->round;
	raft_committed(r, m->commit);
	a = raft_send(r, RAFT_MSG_HEARTBEAT_REP, m->from);
	a->round = m->round;
}

/* ---- messages ------------------------------------------------------------------ */

static int check_append(const struct raft *r, const struct raft_msg *m)
{
	struct raft_conf c;
	u64 term = m->log_term;
	u32 i;

	if (m->nr && !m->entries)
		return -EINVAL;
	if (m->index + m->nr < m->index || m->log_term > m->term || !m->index != !m->log_term)
		return -EINVAL;
	for (i = 0; i < m->nr; i++) {
		const struct raft_entry *e = &m->entries[i];

		if (e->term < term || e->term > m->term || !e->term || e->kind > RAFT_CONF ||
		    (e->bytes && !e->data && e->kind == RAFT_CONF))
			return -EINVAL;
		if (e->kind == RAFT_CONF && (raft_conf_decode(&c, e->data, e->bytes) || !c.nr))
			return -EINVAL;
		term = e->term;
	}
	return 0;
}

static int check_msg(struct raft *r, const struct raft_msg *m)
{
	if (!m || m->to != r->cfg.id || !m->from || m->from == r->cfg.id || !m->term ||
	    m->type >= RAFT_MSG_NR)
		return -EINVAL;
	if (m->type == RAFT_MSG_APPEND && check_append(r, m))
		return -EINVAL;
	if (m->term != r->term)
		return 0;
	if (m->type != RAFT_MSG_APPEND && m->type != RAFT_MSG_HEARTBEAT)
		return 0;
	/* Two leaders of a term: someone's disk or identity is broken. */
	if (r->role == RAFT_LEADER || (r->leader && r->leader != m->from))
		return -EUCLEAN;
	return 0;
}

/* Contradictions that no order of messages can make: only lost or foreign data can. */
static int check_sane(const struct raft *r, const struct raft_msg *m)
{
	if (m->term < r->term)
		return 0;
	if (m->type == RAFT_MSG_APPEND && contradicts(r, m))
		return -EUCLEAN;
	if (m->type == RAFT_MSG_HEARTBEAT && m->commit > r->log.last)
		return -EUCLEAN;
	return 0;
}

/* The sender's term is higher. Return: false: the message is to be dropped. */
static bool newer_term(struct raft *r, const struct raft_msg *m)
{
	switch (m->type) {
	case RAFT_MSG_PREVOTE:
		return true;
	case RAFT_MSG_PREVOTE_REP:
		if (!m->reject)
			return true;
		break;
	case RAFT_MSG_VOTE:
		if (sticky(r) && !forced(r, m))
			return false;
		raft_become_follower(r, m->term, RAFT_NONE);
		return true;
	case RAFT_MSG_APPEND:
	case RAFT_MSG_HEARTBEAT:
		raft_become_follower(r, m->term, m->from);
		return true;
	case RAFT_MSG_VOTE_REP:
	case RAFT_MSG_APPEND_REP:
	case RAFT_MSG_HEARTBEAT_REP:
		break;
	default:
		return false;
	}
	/* An answer: whoever was removed does not depose anyone with it. */
	if (raft_conf_find(raft_conf(r), m->from))
		raft_become_follower(r, m->term, RAFT_NONE);
	return false;
}

/* The sender is behind: tell it. Else a leader of an old term would try for ever. */
static void older_term(struct raft *r, const struct raft_msg *m)
{
	u8 answer[RAFT_MSG_NR] = {
		[RAFT_MSG_PREVOTE] = RAFT_MSG_PREVOTE_REP,
		[RAFT_MSG_VOTE] = RAFT_MSG_VOTE_REP,
		[RAFT_MSG_APPEND] = RAFT_MSG_APPEND_REP,
		[RAFT_MSG_HEARTBEAT] = RAFT_MSG_HEARTBEAT_REP,
	};
	struct raft_msg *a;

	if (!answer[m->type])
		return;
	a = raft_send(r, answer[m->type], m->from);
	a->reject = 1;
	a->index = m->index;
}

static void on_reply(struct raft *r, const struct raft_msg *m)
{
	struct raft_peer *p = raft_peer(r, m->from);

	if (r->role != RAFT_LEADER || !p)
		return;
	if (m->type == RAFT_MSG_APPEND_REP)
		raft_on_append_rep(r, p, m);
	else
		raft_on_heartbeat_rep(r, p, m);
}

static int on_msg(struct raft *r, const struct raft_msg *m)
{
	int rc = check_sane(r, m);

	if (rc)
		return rc;
	if (m->term > r->term && !newer_term(r, m))
		return 0;
	if (m->term < r->term) {
		older_term(r, m);
		return 0;
	}
	switch (m->type) {
	case RAFT_MSG_PREVOTE:
		on_prevote(r, m);
		break;
	case RAFT_MSG_VOTE:
		on_vote(r, m);
		break;
	case RAFT_MSG_PREVOTE_REP:
	case RAFT_MSG_VOTE_REP:
		on_vote_rep(r, m);
		break;
	case RAFT_MSG_APPEND:
		on_append(r, m);
		break;
	case RAFT_MSG_HEARTBEAT:
		on_heartbeat(r, m);
		break;
	case RAFT_MSG_APPEND_REP:
	case RAFT_MSG_HEARTBEAT_REP:
		on_reply(r, m);
		break;
	case RAFT_MSG_TIMEOUT_NOW:
		on_timeout_now(r, m);
		break;
	case RAFT_MSG_READ:
		raft_read_remote(r, m);
		break;
	case RAFT_MSG_READ_REP:
		raft_read_answered(r, m);
		break;
	}
	return 0;
}

/* ---- other events ----------------------------------------------------------------- */

static void on_tick(struct raft *r)
{
	if (!r->started) {
		r->started = true;
		if (r->term || r->log.last)
			r->hold_until = r->now + raft_span(r, RAFT_ELECTION);
		arm_election(r);
		/* Nobody else can be leading, nor rely on a promise of ours. */
		if (raft_self_voter(r) && raft_quorum(r) == 1)
			r->election_due = r->now;
	}
	if (r->role == RAFT_LEADER) {
		raft_leader_tick(r);
		return;
	}
	if (r->now < r->election_due)
		return;
	if (!may_stand(r)) {
		r->leader = RAFT_NONE;
		arm_election(r);
	} else if (r->seq > r->durable_seq) {
		arm_election(r);	/* a slow disk shall not make the term run away */
	} else {
		become_precandidate(r);
	}
}

static void on_persisted(struct raft *r, u64 seq)
{
	if (seq <= r->durable_seq)
		return;
	r->durable_seq = seq;
	raft_log_durable(&r->log, seq);
	if (r->role == RAFT_CANDIDATE)
		win_if_elected(r);
	else if (r->role == RAFT_LEADER)
		raft_advance(r);
	else if (!r->leader && raft_self_voter(r) && raft_quorum(r) == 1)
		become_precandidate(r);	/* founded a moment ago */
}

static int on_found(struct raft *r, const struct raft_event *ev)
{
	struct raft_entry e = { .kind = RAFT_CONF, .data = r->conf_buf };

	if (r->vote || r->log.last || raft_conf(r)->nr)
		return -EEXIST;
	if (!ev->conf || ev->conf->nr != 1 || ev->conf->m[0].id != r->cfg.id ||
	    !ev->conf->m[0].voter || ev->conf->m[0].info_len > RAFT_INFO_MAX ||
	    (!ev->index != !ev->term))
		return -EINVAL;
	raft_log_reset(&r->log, ev->index, ev->term, raft_conf(r), r->seq + 1);
	if (ev->index) {
		r->u->compact = true;
		raft_committed(r, ev->index);
	}
	r->term = (ev->term > r->term ? ev->term : r->term) + 1;
	hard_changed(r);
	e.term = r->term;
	e.bytes = raft_conf_encode(ev->conf, r->conf_buf);
	raft_append(r, &e);
	return 0;
}

static int on_compact(struct raft *r, u64 index)
{
	if (index > r->commit || index > r->log.durable)
		return -EINVAL;
	if (index <= r->log.base)
		return 0;
	raft_log_compact(&r->log, index);
	r->u->compact = true;
	raft_dirty(r);
	return 0;
}

static int on_snap_install(struct raft *r, const struct raft_event *ev)
{
	u64 had = raft_log_term(&r->log, ev->index);

	if (!ev->conf || !ev->conf->nr || !ev->index || !ev->term || !ev->peer)
		return -EINVAL;
	if (ev->index <= r->commit) {
		if (had && had != ev->term)
			return -EUCLEAN;
		ack(r, ev->peer, r->commit);
		return 0;
	}
	if (r->role == RAFT_LEADER)
		return 0;
	if (ev->term > r->term)
		raft_become_follower(r, ev->term, RAFT_NONE);
	else if (r->role != RAFT_FOLLOWER)
		raft_become_follower(r, r->term, RAFT_NONE);
	raft_dirty(r);
	r->u->install = true;
	r->u->install_keep = had == ev->term;
	if (r->u->install_keep) {
		raft_log_compact(&r->log, ev->index);
		r->log.base_seq = r->u->seq;
	} else {
		raft_log_reset(&r->log, ev->index, ev->term, ev->conf, r->u->seq);
	}
	r->u->conf_changed = true;
	if (raft_conf_find(raft_conf(r), r->cfg.id))
		r->was_member = true;
	raft_committed(r, ev->index);
	ack(r, ev->peer, ev->index);
	return 0;
}

static int on_submit(struct raft *r, const struct raft_event *ev)
{
	u32 i;

	if (r->role != RAFT_LEADER)
		return -EPERM;
	if (r->transfer)
		return -EBUSY;
	if (ev->nr && !ev->entries)
		return -EINVAL;
	for (i = 0; i < ev->nr; i++) {
		struct raft_entry e = ev->entries[i];

		e.term = r->term;
		e.kind = RAFT_DATA;
		raft_append(r, &e);
	}
	raft_feed_all(r);
	return 0;
}

/* ---- the step ------------------------------------------------------------------------ */

/* Everything that this event may need; the only allocations of a step. */
static int reserve(struct raft *r, const struct raft_event *ev)
{
	u32 nr = 4, confs = 1, i;

	if (ev->type == RAFT_EV_SUBMIT)
		nr += ev->nr;
	if (ev->type == RAFT_EV_RECV && ev->msg->type == RAFT_MSG_APPEND) {
		nr += ev->msg->nr;
		for (i = 0; i < ev->msg->nr; i++)
			confs += ev->msg->entries[i].kind == RAFT_CONF;
	}
	if (raft_log_reserve(&r->log, nr, confs))
		return -ENOMEM;
	if (nr > r->cap_append) {
		struct raft_entry *a = realloc(r->append, 2 * nr * sizeof(*a));

		if (!a)
			return -ENOMEM;
		r->append = a;
		r->cap_append = 2 * nr;
	}
	if (r->nr_waits + 1 > r->cap_waits) {
		u32 cap = r->cap_waits * 2 + 32;
		struct raft_wait *w = realloc(r->waits, cap * sizeof(*w));
		struct raft_read *d = w ? realloc(r->reads, cap * sizeof(*d)) : NULL;

		r->waits = w ? w : r->waits;
		if (!d)
			return -ENOMEM;
		r->reads = d;
		r->cap_waits = cap;
	}
	return 0;
}

static int dispatch(struct raft *r, const struct raft_event *ev)
{
	switch (ev->type) {
	case RAFT_EV_TICK:
		on_tick(r);
		return 0;
	case RAFT_EV_RECV:
		return on_msg(r, ev->msg);
	case RAFT_EV_PERSISTED:
		if (ev->seq > r->seq)
			return -EINVAL;
		on_persisted(r, ev->seq);
		return 0;
	case RAFT_EV_FAILED:
		if (r->role == RAFT_LEADER)
			raft_reads_fail(r);
		r->failed = true;
		r->role = RAFT_FOLLOWER;
		r->leader = RAFT_NONE;
		return 0;
	case RAFT_EV_FOUND:
		return on_found(r, ev);
	case RAFT_EV_SUBMIT:
		return on_submit(r, ev);
	case RAFT_EV_COMPACT:
		return on_compact(r, ev->index);
	case RAFT_EV_SNAP_INSTALL:
		return on_snap_install(r, ev);
	case RAFT_EV_SNAP_SENT:
		return raft_snap_sent(r, ev);
	case RAFT_EV_PEER_DOWN:
		raft_peer_down(r, ev->peer);
		return 0;
	case RAFT_EV_READ:
		return raft_read_local(r, ev->token);
	case RAFT_EV_TRANSFER:
		return raft_transfer(r, ev->peer);
	case RAFT_EV_CONFIG:
		return raft_conf_change(r, ev);
	}
	return -EINVAL;
}

static u64 deadline(const struct raft *r)
{
	if (r->role != RAFT_LEADER)
		return r->election_due;
	if (r->transfer && r->transfer_due < r->heartbeat_due)
		return r->transfer_due;
	return r->heartbeat_due;
}

static void finish(struct raft *r, struct raft_update *u)
{
	u->term = r->term;
	u->vote = r->vote;
	if (u->seq)
		r->seq = u->seq;
	if (u->install || u->compact) {
		u->snap_index = r->log.base;
		u->snap_term = r->log.base_term;
		u->snap_conf = &r->log.confs[0].conf;
	}
	u->append = r->append;
	u->nr_append = r->nr_append;
	u->msgs = r->msgs;
	u->nr_msgs = r->nr_msgs;
	u->reads = r->reads;
	u->nr_reads = r->nr_reads;
	u->snaps = r->snaps;
	u->nr_snaps = r->nr_snaps;
	u->commit = raft_commit(r);
	u->deadline = deadline(r);
}

int raft_step(struct raft *r, const struct raft_event *ev, struct raft_update *u)
{
	u64 term = r->term, leader = r->leader;
	u8 role = r->role;
	int rc;

	memset(u, 0, sizeof(*u));
	u->deadline = RAFT_NEVER;
	r->u = u;
	r->nr_msgs = r->nr_reads = r->nr_snaps = r->nr_append = 0;
	if (r->failed)
		return -EIO;
	if (ev->now > r->now)
		r->now = ev->now;
	rc = ev->type == RAFT_EV_RECV ? check_msg(r, ev->msg) : 0;
	if (!rc)
		rc = reserve(r, ev);
	if (!rc)
		rc = dispatch(r, ev);
	if (rc == -EUCLEAN)
		r->failed = true;
	if (rc) {
		memset(u, 0, sizeof(*u));
		u->deadline = deadline(r);
		u->commit = raft_commit(r);
		u->term = r->term;
		u->vote = r->vote;
		return rc;
	}
	finish(r, u);
	u->role_changed = term != r->term || leader != r->leader || role != r->role;
	if (r->failed)
		u->deadline = RAFT_NEVER;
	return 0;
}

/* ---- making one ------------------------------------------------------------------------ */

struct raft *raft_new(const struct raft_cfg *cfg)
{
	struct raft *r;

	if (!cfg->id || !cfg->time_scale || cfg->drift_ppm >= 500000 || !cfg->inflight_msgs ||
	    cfg->inflight_msgs > RAFT_INFLIGHT_MAX) {
		errno = EINVAL;
		return NULL;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->cfg = *cfg;
	r->rng = cfg->seed;
	if (raft_log_reserve(&r->log, 1, 1)) {
		raft_free(r);
		errno = ENOMEM;
		return NULL;
	}
	r->log.nr_confs = 1;
	memset(&r->log.confs[0], 0, sizeof(r->log.confs[0]));
	return r;
}

void raft_free(struct raft *r)
{
	if (!r)
		return;
	raft_log_free(&r->log);
	free(r->waits);
	free(r->reads);
	free(r->append);
	free(r);
}

int raft_load(struct raft *r, u64 term, u64 vote, u64 index, u64 index_term,
	      const struct raft_conf *conf)
{
	struct raft_conf none = { 0 };

	if (index_term > term || !index != !index_term)
		return -EINVAL;
	r->term = term;
	r->vote = vote;
	raft_log_reset(&r->log, index, index_term, conf ? conf : &none, 0);
	r->log.durable = r->commit = index;
	r->was_member = raft_conf_find(raft_conf(r), r->cfg.id);
	return 0;
}

int raft_load_entry(struct raft *r, const struct raft_entry *e)
{
	struct raft_conf c;

	if (e->term < raft_log_term(&r->log, r->log.last) || !e->term || e->term > r->term ||
	    e->kind > RAFT_CONF)
		return -EUCLEAN;
	if (e->kind == RAFT_CONF && (!e->data || raft_conf_decode(&c, e->data, e->bytes) || !c.nr))
		return -EUCLEAN;
	if (raft_log_reserve(&r->log, 1, 1))
		return -ENOMEM;
	raft_log_append(&r->log, e, 0);
	r->log.durable = r->log.last;
	if (raft_conf_find(raft_conf(r), r->cfg.id))
		r->was_member = true;
	return 0;
}

/* ---- questions ------------------------------------------------------------------------- */

enum raft_role raft_role(const struct raft *r)
{
	return r->role;
}

u64 raft_id(const struct raft *r)
{
	return r->cfg.id;
}

u64 raft_term(const struct raft *r)
{
	return r->term;
}

u64 raft_vote(const struct raft *r)
{
	return r->vote;
}

u64 raft_leader(const struct raft *r)
{
	return r->leader;
}

u64 raft_commit(const struct raft *r)
{
	return r->commit < r->log.durable ? r->commit : r->log.durable;
}

u64 raft_snap_index(const struct raft *r)
{
	return r->log.base;
}

u64 raft_snap_term(const struct raft *r)
{
	return r->log.base_term;
}

u64 raft_last_index(const struct raft *r)
{
	return r->log.last;
}

u64 raft_durable_index(const struct raft *r)
{
	return r->log.durable;
}

u64 raft_term_at(const struct raft *r, u64 index)
{
	return raft_log_term(&r->log, index);
}

const struct raft_conf *raft_conf(const struct raft *r)
{
	return &r->log.confs[r->log.nr_confs - 1].conf;
}

const struct raft_conf *raft_conf_at(const struct raft *r, u64 index)
{
	return &raft_log_conf(&r->log, index)->conf;
}

bool raft_conf_pending(const struct raft *r)
{
	return r->log.confs[r->log.nr_confs - 1].index > r->commit;
}

bool raft_ready(const struct raft *r)
{
	return r->role == RAFT_LEADER && r->commit >= r->term_start;
}
