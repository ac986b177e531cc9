/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Raft core: a pure step function. No I/O, no clock, no threads, no
 * randomness of its own. Its owner (node.c; the simulator in tests/sim) tells
 * it what happened, and does what the update says. Documentation/raft.rst has
 * the rules with their sources.
 *
 * The owner's contract
 *  1. One raft_step() at a time, each with the clock read *after* the event
 *     happened (a reading from before a message arrived would shorten the
 *     promise on which read leases rest). The clock never goes back and runs
 *     on while the process is stopped; its rate is right within
 *     raft_cfg.drift_ppm.
 *  2. update.seq != 0: make what the update says durable, as ONE transaction,
 *     in the order of seq; several updates may share a transaction. Then step
 *     RAFT_EV_PERSISTED with the last seq that is durable. If it fails:
 *     RAFT_EV_FAILED, and the replica stops; it never goes on.
 *  3. A message goes out when everything up to msg.after is durable (0: at
 *     once), each receiver's in the order given. That covers "term and vote
 *     before any message of that term" and "entries before they are
 *     acknowledged"; AppendEntries of a leader go out beside its own fsync.
 *     Held messages may be sent later or be dropped, never earlier; drop all of
 *     them on RAFT_EV_FAILED.
 *  4. Apply up to update.commit, in order. It never exceeds what is durable
 *     here, so what is applied is never ahead of the own log.
 *  5. Call RAFT_EV_TICK at update.deadline, or later.
 *
 * Who owns what
 *  - Payloads are the owner's, always. The core keeps 24 bytes for each entry
 *    in the log (term, size, kind), never a payload; of RAFT_CONF entries it
 *    keeps a decoded copy.
 *  - What an event points to is only read during the step.
 *  - What an update points to (append, msgs, reads, snaps, conf data) is the
 *    core's, valid until the next raft_step() or raft_free(). append[i].data
 *    is the pointer that came in with the event, passed through; for entries
 *    that the core makes (RAFT_NOOP, RAFT_CONF) it points into the core.
 *  - RAFT_MSG_APPEND to be sent names entries by index and number, not by
 *    content: the owner takes them from its cache or, at leisure, from its
 *    database. It may do so as long as raft_role() is RAFT_LEADER and
 *    raft_term() is msg.term (a leader never changes its own log); otherwise,
 *    and if they were trimmed meanwhile, it drops the message. The core takes a
 *    dropped message for a lost one. While it is being read later messages to
 *    that peer wait: order matters for speed, not for safety.
 *
 * Errors of raft_step(), which then changed nothing and wrote an empty update
 *  -EPERM	not leader (submit, read without a leader, transfer, conf)
 *  -EBUSY	transfer in progress (submit); see RAFT_EV_CONF
 *  -EINVAL	event or message makes no sense; a message: drop it, log it
 *  -ENOMEM	drop a message, refuse a request
 *  -EUCLEAN	a leader contradicts what is committed here: log or peer is
 *		damaged, the replica must stop
 *  -EIO	after RAFT_EV_FAILED or -EUCLEAN, for ever
 */
#ifndef FLINT_RAFT_RAFT_H
#define FLINT_RAFT_RAFT_H

#include "../../uapi/flintfs/types.h"

#define RAFT_MEMBERS_MAX	9
#define RAFT_INFO_MAX		256	/* bytes of name and address of a member */
#define RAFT_NONE		0	/* no member has this id */

/* All times are multiples of raft_cfg.time_scale. */
#define RAFT_HEARTBEAT		1	/* between heartbeats of a leader */
#define RAFT_ELECTION		10	/* shortest election timeout; the longest is half as long again */

struct raft;

/* ---- configuration ------------------------------------------------------ */

/**
 * struct raft_member - one member
 * @id: random, never reused; not 0
 * @voter: counts for majorities; a learner receives the log only
 * @info: the owner's (name and address), carried along
 */
struct raft_member {
	u64 id;
	bool voter;
	u16 info_len;
	u8 info[RAFT_INFO_MAX];
};

/* Members in ascending order of id. nr == 0: in no group (yet). */
struct raft_conf {
	u32 nr;
	struct raft_member m[RAFT_MEMBERS_MAX];
};

/* Largest encoding. */
#define RAFT_CONF_BYTES_MAX	(8 + RAFT_MEMBERS_MAX * (16 + RAFT_INFO_MAX))

/* Payload of a RAFT_CONF entry; also for storing a snapshot's. Return: bytes. */
u32 raft_conf_encode(const struct raft_conf *c, u8 buf[RAFT_CONF_BYTES_MAX]);
/* Return: 0 or -EINVAL. Checks everything: may be fed what a peer sent. */
int raft_conf_decode(struct raft_conf *c, const void *buf, size_t len);
/* NULL: not a member. */
const struct raft_member *raft_conf_find(const struct raft_conf *c, u64 id);

/* ---- entries and messages ---------------------------------------------- */

enum raft_kind {
	RAFT_DATA,	/* the owner's */
	RAFT_NOOP,	/* no payload: first of a new leader */
	RAFT_CONF,	/* raft_conf_encode() */
};

/**
 * struct raft_entry - an entry, by reference
 * @bytes: of payload; counts towards raft_cfg.max_bytes
 * @data: read by the core for RAFT_CONF only, during the step
 */
struct raft_entry {
	u64 term;
	u32 bytes;
	u8 kind;	/* enum raft_kind */
	const void *data;
};

enum raft_msg_type {
	RAFT_MSG_PREVOTE,	/* would you vote for me? */
	RAFT_MSG_PREVOTE_REP,
	RAFT_MSG_VOTE,
	RAFT_MSG_VOTE_REP,
	RAFT_MSG_APPEND,
	RAFT_MSG_APPEND_REP,
	RAFT_MSG_HEARTBEAT,
	RAFT_MSG_HEARTBEAT_REP,
	RAFT_MSG_TIMEOUT_NOW,	/* leadership is yours: stand for election at once */
	RAFT_MSG_READ,		/* follower asks for a read index */
	RAFT_MSG_READ_REP,
	RAFT_MSG_NR,
};

/**
 * struct raft_msg - a message between cores; the owner puts it on the wire
 * @after: (sending) durable seq to wait for, 0: none; not for the wire
 * @term: sender's; PREVOTE and a granting PREVOTE_REP: the term stood for
 * @index, @log_term: APPEND: entry before the first one; PREVOTE, VOTE: last of
 *	the log; APPEND_REP: see @reject; READ_REP: the read index
 * @commit: APPEND, HEARTBEAT
 * @round: HEARTBEAT(_REP): of read leases; TIMEOUT_NOW, VOTE with @force: the
 *	leader's last round that it relies on no more; READ(_REP): the asker's token
 * @hint, @hint_term: rejecting APPEND_REP: where logs may agree
 * @reject: APPEND_REP: 0, the log agrees up to @index; else the entry at @index
 *	does not agree. VOTE_REP, PREVOTE_REP: vote refused. READ_REP: no leader
 * @force: VOTE: on the leader's own wish, breaks its lease
 * @nr: APPEND: entries; @index + 1 is the first
 * @entries: APPEND, received only
 */
struct raft_msg {
	u64 after;
	u64 from, to;
	u64 term;
	u64 index, log_term;
	u64 commit;
	u64 round;
	u64 hint, hint_term;
	u8 type;	/* enum raft_msg_type */
	u8 reject;
	u8 force;
	u32 nr;
	const struct raft_entry *entries;
};

/* ---- making one ---------------------------------------------------------- */

/**
 * struct raft_cfg - settings; copied
 * @id: own; not 0
 * @seed: of election timeouts; differs between members
 * @time_scale: unit of RAFT_HEARTBEAT and RAFT_ELECTION, in the owner's unit of
 *	time (100 ms in ns); not 0
 * @drift_ppm: no clock runs faster or slower than true time by more than this
 *	(parts per million; 10000 = 1 %)
 * @max_bytes: payload of one APPEND (at least one entry is sent)
 * @inflight_bytes, @inflight_msgs: sent and not acknowledged, per member;
 *	@inflight_msgs at most RAFT_INFLIGHT_MAX
 */
struct raft_cfg {
	u64 id;
	u64 seed;
	u64 time_scale;
	u32 drift_ppm;
	u32 max_bytes;
	u64 inflight_bytes;
	u32 inflight_msgs;
};

#define RAFT_INFLIGHT_MAX	64

/* Return: NULL with errno: EINVAL, ENOMEM. */
struct raft *raft_new(const struct raft_cfg *cfg);
void raft_free(struct raft *r);

/**
 * raft_load() - what the disk has, before the first step
 * @term, @vote: hard state; 0, 0 for a new one
 * @index, @index_term, @conf: the snapshot: where the log begins; @conf NULL or
 *	empty: none
 *
 * Then raft_load_entry() for each entry that follows, then RAFT_EV_TICK.
 * Return: 0, -EINVAL, -ENOMEM.
 */
int raft_load(struct raft *r, u64 term, u64 vote, u64 index, u64 index_term,
	      const struct raft_conf *conf);
/* Next entry; @e->data for RAFT_CONF. Return: 0, -EUCLEAN (terms fall, bad conf), -ENOMEM. */
int raft_load_entry(struct raft *r, const struct raft_entry *e);

/* ---- events --------------------------------------------------------------- */

enum raft_event_type {
	/* Time has come (or passed). First event after loading. */
	RAFT_EV_TICK,
	/* msg: from a peer. Messages to another id are refused. */
	RAFT_EV_RECV,
	/* seq: everything up to it is durable. */
	RAFT_EV_PERSISTED,
	/* The disk failed. Nothing is sent or acknowledged from now on. */
	RAFT_EV_FAILED,
	/*
	 * index, term, conf (own id, voter): found a group of one, upon a state
	 * of that index and term (0, 0: empty). Only with nothing in the log, no
	 * configuration, no vote. -EEXIST otherwise.
	 */
	RAFT_EV_FOUND,
	/* entries, nr: the leader's owner appends. update.append_first says where. */
	RAFT_EV_SUBMIT,
	/*
	 * index: the owner's state is durable up to here: the log may be trimmed
	 * up to it. Not beyond update.commit, and while a snapshot is being sent
	 * better not beyond that one's index. -EINVAL; lower than before: ignored.
	 */
	RAFT_EV_COMPACT,
	/*
	 * index, term, conf, peer: a snapshot has arrived whole from member peer
	 * and was checked. update.install says whether to make it the state: then
	 * that, too, must be durable before seq is. Anything else: throw it away.
	 */
	RAFT_EV_SNAP_INSTALL,
	/*
	 * peer, index, ok: sending the snapshot of update.snaps ended. ok: peer
	 * holds it, at index (may be newer than what was asked for).
	 */
	RAFT_EV_SNAP_SENT,
	/* peer: the connection broke, what was under way is lost. */
	RAFT_EV_PEER_DOWN,
	/*
	 * token: the owner wants to read. Answered in update.reads, now or later;
	 * not answered at all if a follower's question or its answer is lost: the
	 * owner sets a time limit and asks again. Leaders try raft_lease_read() first.
	 */
	RAFT_EV_READ,
	/*
	 * peer (0: the furthest voter): hand leadership over. Submits are refused
	 * with -EBUSY until it succeeded (role changes) or was given up (a shortest
	 * election timeout; update.transfer_failed). -ENOENT, -EBUSY.
	 */
	RAFT_EV_TRANSFER,
	/*
	 * op, member: change the configuration. update.append has the entry; done
	 * when update.commit reaches its index and the term is still the same.
	 * -EBUSY: one is not committed yet, or nothing of this term is, or a
	 * transfer runs; -EEXIST, -ENOENT; -EAGAIN: learner has not caught up
	 * (PROMOTE); -ENOSPC: too many; -EDOM: would leave no voter.
	 */
	RAFT_EV_CONFIG,
};

enum raft_conf_op {
	RAFT_ADD_LEARNER,	/* member.id, info */
	RAFT_PROMOTE,		/* member.id: learner to voter */
	RAFT_DEMOTE,		/* member.id: voter to learner */
	RAFT_REMOVE,		/* member.id */
	RAFT_SET_INFO,		/* member.id, info: new address */
};

struct raft_event {
	u8 type;	/* enum raft_event_type */
	u8 op;		/* enum raft_conf_op */
	bool ok;
	u64 now;	/* always; any origin */
	const struct raft_msg *msg;
	const struct raft_entry *entries;	/* SUBMIT: bytes, data; kind RAFT_DATA */
	u32 nr;
	u64 seq;
	u64 index, term;
	u64 peer;
	u64 token;
	const struct raft_conf *conf;
	const struct raft_member *member;
};

/* ---- updates --------------------------------------------------------------- */

/* A read may be answered once everything up to @index is applied. @err: 0 or -EAGAIN. */
struct raft_read {
	u64 token;
	u64 index;
	int err;
};

/*
 * Send member @peer a snapshot of at least @index, in chunks, in the background;
 * repeated only after RAFT_EV_SNAP_SENT or RAFT_EV_PEER_DOWN.
 */
struct raft_snap_send {
	u64 peer;
	u64 index;
};

enum raft_role {
	RAFT_FOLLOWER,		/* also a learner and one in no group */
	RAFT_PRECANDIDATE,
	RAFT_CANDIDATE,
	RAFT_LEADER,
};

/**
 * struct raft_update - what to do
 * @seq: not 0: the following are to be made durable, as one, in this order
 * @hard: @term and @vote are to be stored
 * @install: the log becomes: nothing up to @snap_index (with @snap_term and
 *	@snap_conf as the configuration there); what follows it stays if
 *	@install_keep, else goes. The snapshot becomes the state
 * @truncate_from: not 0: entries from here on go
 * @append, @nr_append, @append_first: entries to add
 * @compact: entries up to @snap_index go; @snap_term, @snap_conf replace what
 *	was stored of the snapshot. Not urgent: may wait for the next transaction,
 *	and may be done in slices if the stored snapshot follows along
 * @msgs: messages to send
 * @commit: apply up to here
 * @role_changed: role, term or leader are not what they were
 * @conf_changed: raft_conf() is not what it was (appended, not committed yet)
 * @removed: the configuration without this replica is committed
 * @transfer_failed: the transfer was given up
 * @reads: answered reads
 * @snaps: snapshots to send
 * @deadline: when to tick; UINT64_MAX: never
 */
struct raft_update {
	u64 seq;
	bool hard;
	bool install, install_keep;
	bool compact;
	u64 term, vote;
	u64 snap_index, snap_term;
	const struct raft_conf *snap_conf;
	u64 truncate_from;
	u64 append_first;
	u32 nr_append;
	const struct raft_entry *append;

	u32 nr_msgs, nr_reads, nr_snaps;
	const struct raft_msg *msgs;
	const struct raft_read *reads;
	const struct raft_snap_send *snaps;

	u64 commit;
	bool role_changed, conf_changed, removed, transfer_failed;
	u64 deadline;
};

/**
 * raft_step() - something happened
 * @u: receives what to do; always written
 *
 * Return: 0 or see above.
 */
int raft_step(struct raft *r, const struct raft_event *ev, struct raft_update *u);

/* ---- questions; cheap, between steps ---------------------------------------- */

enum raft_role raft_role(const struct raft *r);
u64 raft_id(const struct raft *r);
u64 raft_term(const struct raft *r);
u64 raft_vote(const struct raft *r);
u64 raft_leader(const struct raft *r);		/* RAFT_NONE: not known */
u64 raft_commit(const struct raft *r);		/* as in the updates */
u64 raft_snap_index(const struct raft *r);	/* the log begins after it */
u64 raft_snap_term(const struct raft *r);
u64 raft_last_index(const struct raft *r);
u64 raft_durable_index(const struct raft *r);	/* of the own log */
/* 0: not in the log (index 0 has term 0, too). */
u64 raft_term_at(const struct raft *r, u64 index);
/* The latest in the log, committed or not. */
const struct raft_conf *raft_conf(const struct raft *r);
/* In force at an index from raft_snap_index() on: what a snapshot of it carries. */
const struct raft_conf *raft_conf_at(const struct raft *r, u64 index);
/* A configuration change waits for its commit. */
bool raft_conf_pending(const struct raft *r);
/* Leads, and an entry of its own term is committed. */
bool raft_ready(const struct raft *r);

/**
 * raft_lease_read() - may this leader answer a read right now?
 * @index: receives what must be applied first
 *
 * Return: 0; -EPERM: not leader; -EAGAIN: no lease now, use RAFT_EV_READ.
 */
int raft_lease_read(const struct raft *r, u64 now, u64 *index);

/**
 * struct raft_progress - a leader's view of a member
 * @match: durable there
 * @contact: when it last answered (the owner's time), 0: never
 * @caught_up: a learner that may become a voter
 * @snapshot: is being sent one
 */
struct raft_progress {
	u64 match;
	u64 contact;
	bool caught_up;
	bool snapshot;
};
/* Return: 0, -EPERM, -ENOENT. */
int raft_progress(const struct raft *r, u64 id, struct raft_progress *p);

#endif /* FLINT_RAFT_RAFT_H */
