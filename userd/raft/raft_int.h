/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the Raft core: its state, and what its files offer each other.
 *
 *   raft.c       steps, terms, elections
 *   raft_log.c   terms, sizes and configurations of the log
 *   raft_conf.c  encoding of configurations, changing them
 *   raft_repl.c  what a leader does: replication, commit, snapshots, transfer
 *   raft_read.c  heartbeat rounds, read leases, read index
 *
 * Memory is reserved at the beginning of a step (raft_reserve()), so that
 * nothing fails half-way. A message that finds no room is not sent: for Raft
 * that is one lost message.
 */
#ifndef FLINT_RAFT_INT_H
#define FLINT_RAFT_INT_H

#include "raft.h"

#define RAFT_MSGS_MAX		512	/* of one step */
#define RAFT_BURST		8	/* APPENDs to one member in one step */
#define RAFT_ROUNDS		64	/* heartbeat rounds whose time is remembered */
#define RAFT_REMOTE_READS	256	/* that wait, of followers */
#define RAFT_ENTRY_COST		32	/* added to an entry's bytes when limits are applied */
#define RAFT_NEVER		UINT64_MAX
#define RAFT_ASK		2	/* shortest time until a pre-vote is repeated; the longest is twice that */
#define RAFT_HANDOVER		16	/* time a chosen successor has to take over */
#define RAFT_STALL		80	/* time a leader waits for its own disk if there is another */

/* @seq: update that makes it durable */
struct raft_slot {
	u64 term;
	u64 seq;
	u32 bytes;
	u8 kind;
};

struct raft_conf_entry {
	u64 index;
	struct raft_conf conf;
};

/*
 * Entries base + 1 .. last; slot[index & (cap - 1)]. Terms and seqs never fall
 * with the index. confs[0] is the configuration at base, the others those of
 * entries in the log, in order.
 */
struct raft_log {
	u64 base, base_term, base_seq;
	u64 last;
	u64 durable;
	u64 cap;
	struct raft_slot *slot;
	u32 nr_confs, cap_confs;
	struct raft_conf_entry *confs;
};

/* raft_log.c */
int raft_log_reserve(struct raft_log *l, u64 entries, u32 confs);
void raft_log_free(struct raft_log *l);
u64 raft_log_term(const struct raft_log *l, u64 index);
u64 raft_log_seq(const struct raft_log *l, u64 index);
void raft_log_append(struct raft_log *l, const struct raft_entry *e, u64 seq);
void raft_log_truncate(struct raft_log *l, u64 from);
void raft_log_compact(struct raft_log *l, u64 index);
void raft_log_reset(struct raft_log *l, u64 index, u64 term, const struct raft_conf *conf, u64 seq);
void raft_log_durable(struct raft_log *l, u64 seq);
u64 raft_log_agree(const struct raft_log *l, u64 index, u64 term);
struct raft_conf_entry *raft_log_conf(const struct raft_log *l, u64 index);

/* How a leader feeds a member. */
enum raft_feed {
	RAFT_PROBE,	/* looks for where the logs agree: one message at a time */
	RAFT_STREAM,	/* agrees up to match; messages follow each other */
	RAFT_SNAPSHOT,	/* waits for the owner to have sent one */
};

/**
 * struct raft_peer - another member, of a candidate or a leader
 * @match, @next: durable there; next entry to send
 * @contact: time of its last answer
 * @alive: it answered since we lead, or since its connection broke
 * @paused: PROBE: nothing more before it answers
 * @leaving: removed from the configuration; hears of that, then is forgotten
 * @vote: candidate: 1 granted, -1 refused
 * @round, @lease_from: last round it answered; when that was sent (0: none)
 * @beat_match: match when it last answered a heartbeat
 * @catch_target, @catch_start, @caught_up: rounds of catching up (learner)
 * @win: ring of what is in flight
 */
struct raft_peer {
	u64 id;
	u64 match, next;
	u64 contact;
	u8 feed;
	bool voter, alive, paused, leaving, caught_up;
	s32 vote;
	u64 round, lease_from;
	u64 beat_match;
	u64 catch_target, catch_start;
	u64 win_bytes;
	u32 win_head, win_nr;
	struct {
		u64 last;
		u64 bytes;
	} win[RAFT_INFLIGHT_MAX];
};

/* A read that waits. @from: RAFT_NONE: of the own owner. @round: 0: for ready. */
struct raft_wait {
	u64 token, from, index, round;
};

/**
 * struct raft - a core
 * @hard_seq: update that makes term and vote durable
 * @seq, @durable_seq: last issued, last durable
 * @commit: of the group; the owner hears of what is durable here, too
 * @contact: when a leader was last heard of, of this term or an earlier one, 0: not since
 *	we stood for election
 * @hold_until: promises from before the restart end here
 * @heard_term: of the leader that was last heard of
 * @heard_round: its last heartbeat round that was answered
 * @term_start: first index of the own term as leader
 * @leave_due: when members that left are forgotten
 * @led_since: when we became leader
 * @stall_since, @stall_seq: how long the own disk has been at this update
 * @lease_floor: rounds up to here do not carry a lease (a transfer relied on it)
 */
struct raft {
	struct raft_cfg cfg;
	bool failed, started, was_member;
	u8 role;
	u64 term, vote, leader;
	u64 seq, hard_seq, durable_seq;
	u64 commit;
	u64 now, rng;
	u64 contact, hold_until, heard_term, heard_round;
	u64 election_due, heartbeat_due, leave_due;
	u64 led_since, stall_since, stall_seq;
	bool force;
	u64 force_round;
	struct raft_log log;

	u32 nr_peers;
	struct raft_peer peers[RAFT_MEMBERS_MAX * 2];
	u64 term_start;
	u64 round, lease_floor, lease_until;
	u64 round_sent[RAFT_ROUNDS];
	u64 transfer, transfer_due;
	bool transfer_sent;
	u32 nr_waits, cap_waits, nr_remote;
	struct raft_wait *waits;

	/* what the step under way puts into its update */
	struct raft_update *u;
	u32 nr_msgs, nr_reads, nr_snaps, nr_append, cap_append;
	struct raft_msg msgs[RAFT_MSGS_MAX];
	struct raft_read *reads;
	struct raft_snap_send snaps[RAFT_MEMBERS_MAX * 2];
	struct raft_entry *append;
	u8 conf_buf[RAFT_CONF_BYTES_MAX];
};

/* raft.c */
struct raft_msg *raft_send(struct raft *r, u8 type, u64 to);
void raft_dirty(struct raft *r);
void raft_need(const struct raft *r, struct raft_msg *m, u64 seq);
void raft_become_follower(struct raft *r, u64 term, u64 leader);
void raft_append(struct raft *r, const struct raft_entry *e);
void raft_committed(struct raft *r, u64 index);
u64 raft_span(const struct raft *r, u64 units);
bool raft_self_voter(const struct raft *r);

/* raft_conf.c */
int raft_conf_change(struct raft *r, const struct raft_event *ev);

/* raft_repl.c */
struct raft_peer *raft_peer(struct raft *r, u64 id);
void raft_peers_set(struct raft *r);
u32 raft_quorum(const struct raft *r);
void raft_become_leader(struct raft *r);
void raft_feed_all(struct raft *r);
void raft_leader_tick(struct raft *r);
void raft_advance(struct raft *r);
void raft_on_append_rep(struct raft *r, struct raft_peer *p, const struct raft_msg *m);
void raft_on_heartbeat_rep(struct raft *r, struct raft_peer *p, const struct raft_msg *m);
void raft_peer_down(struct raft *r, u64 id);
int raft_snap_sent(struct raft *r, const struct raft_event *ev);
int raft_transfer(struct raft *r, u64 target);
bool raft_caught_up(const struct raft *r, const struct raft_peer *p);
u64 raft_nth(u64 *v, u32 nr, u32 n);

/* raft_read.c */
void raft_beat(struct raft *r, bool new_round);
void raft_beat_one(struct raft *r, struct raft_peer *p);
void raft_round_acked(struct raft *r, struct raft_peer *p, u64 round);
void raft_lease_set(struct raft *r);
void raft_lease_drop(struct raft *r);
int raft_read_local(struct raft *r, u64 token);
void raft_read_remote(struct raft *r, const struct raft_msg *m);
void raft_read_answered(struct raft *r, const struct raft_msg *m);
void raft_reads_ready(struct raft *r);
void raft_reads_fail(struct raft *r);

#endif /* FLINT_RAFT_INT_H */
