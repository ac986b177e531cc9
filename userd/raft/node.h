/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A replica: one member of a Raft group, as a component of a daemon.
 *
 * It drives the pure core (raft.h) with a clock, a disk and a network: the log
 * in "raft.db" (one SQLite database, written by a thread of its own with group
 * commit), peers over userd/net, snapshots, membership, reads. The owner has
 * the state; it is told what to apply, in order, and proposes.
 *
 * Threads: every function and every callback is the loop's thread. Callbacks
 * come from the loop, never from inside a call into this interface, except
 * where it says so.
 *
 * Invariants
 *  - An entry is applied after it is committed, once, in the order of indexes,
 *    beginning after @applied of struct flint_raft_config.
 *  - A proposal is done with 0 only after it was applied here.
 *  - What the owner has not called durable can be applied again after a
 *    restart: the log is not trimmed beyond flint_raft_durable().
 */
#ifndef FLINT_RAFT_NODE_H
#define FLINT_RAFT_NODE_H

#include "../net/net.h"
#include "../../uapi/flintfs/map.h"

struct flint_raft;

#define FLINT_RAFT_MEMBERS_MAX	9
#define FLINT_RAFT_ERR_LEN	512

/**
 * struct flint_raft_member - a member of the group
 * @id: Raft id, random, made with its raft.db
 * @name: of its node
 * @addr: where it serves, FLINT_PROTO_TCP
 * @voter: counts for majorities; else it only learns
 * @self, @leader: this replica, the leader as known here
 * What follows is known to the leader only, and else 0:
 * @match: last index known to be on its disk
 * @contact_ms: since it last answered; UINT64_MAX: never
 * @snap_sent, @snap_total: bytes of a snapshot that it is being sent; 0, 0: none
 */
struct flint_raft_member {
	u64 id;
	char name[FLINT_LABEL_LEN];
	struct flint_addr addr;
	bool voter, self, leader;
	u64 match;
	u64 contact_ms;
	u64 snap_sent, snap_total;
};

/**
 * struct flint_raft_status - how things are
 * @role: enum flint_replica_role (wire.h); NONE: in no group
 * @ready: leader that has applied an entry of its own term: may serve
 * @removed: its group has told it that it is a member no longer
 * @low_space: the disk of the log is nearly full: what needs room should be refused.
 *	When it is fuller still, all proposals are
 * @id, @group: own, and the group's (0: none)
 * @leader: Raft id, 0: none known
 * @leader_name: its node's, "" if none
 * @first, @last: indexes that raft.db holds
 * @durable: what the owner's state has on stable storage
 * @log_bytes: size of raft.db with its WAL
 */
struct flint_raft_status {
	u8 role;
	bool ready, removed, low_space;
	u64 id, group;
	u64 term;
	u64 leader;
	char leader_name[FLINT_LABEL_LEN];
	u64 first, last, commit, applied, durable;
	u64 log_bytes;
	u64 entries, syncs;		/* written since start */
	u64 elections, snapshots_sent, snapshots_loaded;
	u64 fsync_us_avg, fsync_us_max;	/* of the last seconds */
	unsigned int nr_members;
	struct flint_raft_member members[FLINT_RAFT_MEMBERS_MAX];
};

/**
 * struct flint_raft_proposal - an entry on its way
 * @data, @len: the entry; must stay as they are until @done
 * @done: exactly once. @err is
 *	0: committed and applied at @index (after ops->applied() of its run)
 *	-EAGAIN: this replica is not, or no longer, the leader: it may or may not
 *		have been logged; whoever asked must ask the leader, with means to tell
 *		a repetition
 *	-ENOSPC: the log's disk is nearly full, nothing was logged
 *	-ECANCELED: the replica stops; as -EAGAIN
 *	With -EAGAIN and -ENOSPC it may be called from inside flint_raft_propose().
 * @priv: the owner's
 */
struct flint_raft_proposal {
	void (*done)(struct flint_raft_proposal *p, int err, u64 index);
	const void *data;
	u32 len;
	void *priv;
	/* the replica's */
	u64 index, term;
	bool mine;
	struct flint_raft_proposal *next;
};

/**
 * struct flint_raft_ops - what the owner does
 * @apply: a committed entry. @p is the proposal it came from if it was proposed
 *	here and nobody else led in between, else NULL. Never blocks for long
 * @applied: end of a run of entries (up to @index, which may belong to an entry
 *	without data): make them visible. The proposals of the run are done after it
 * @role: role, term, leader, readiness or removal changed
 * @snapshot_make: write a consistent copy of the state into the new file @path, in the
 *	background, then call flint_raft_snapshot_made() with the (index, term) that
 *	it holds: at least flint_raft_status.first - 1
 * @snapshot_load: replace the state by what @path holds, of (@index, @term), in the
 *	background; then flint_raft_snapshot_loaded(). Nothing is applied meanwhile.
 *	The file may be moved away by the owner, else it is removed afterwards
 * @fatal: the replica cannot go on: a sentence that names file and remedy. The owner
 *	stops the process with a status other than 0. All proposals fail from now on
 */
struct flint_raft_ops {
	void (*apply)(void *arg, u64 index, u64 term, const void *data, u32 len,
		      struct flint_raft_proposal *p);
	void (*applied)(void *arg, u64 index, u64 term);
	void (*role)(void *arg, const struct flint_raft_status *st);
	void (*snapshot_make)(void *arg, const char *path);
	void (*snapshot_load)(void *arg, const char *path, u64 index, u64 term);
	void (*fatal)(void *arg, const char *why);
};

/**
 * struct flint_raft_config
 * @dir: state directory; "raft.db" and "snap-*" in it are the replica's
 * @what: of the state in words, for messages: "metadata", "the managers' state"
 * @procedure: command that brings a lost replica back, for messages:
 *	"flint meta replace NAME"
 * @name: own node name
 * @addr: own address as the others shall use it; family 0 and a port: the
 *	address that others see us come from, with that port
 * @role: FLINT_ROLE_META or FLINT_ROLE_MGR, for HELLO
 * @key: cluster key or NULL
 * @time_scale: all protocol times are multiplied with it; 0: 1
 * @max_entry: largest proposal in bytes; 0: 1 MiB
 * @keep_bytes: of log that is kept in memory and on the disk for members that come
 *	back after a while, beyond what must be kept; 0: 64 MiB
 * @applied, @applied_term: last entry that the owner's state holds, durably; 0 for
 *	a new one
 * Everything is copied.
 */
struct flint_raft_config {
	struct flint_loop *loop;
	const char *dir;
	const char *what;
	const char *procedure;
	const char *name;
	struct flint_addr addr;
	u8 role;
	const u8 *key;
	unsigned int time_scale;
	u32 max_entry;
	u64 keep_bytes;
	u64 applied, applied_term;
	const struct flint_raft_ops *ops;
	void *arg;
};

/**
 * flint_raft_new() - open or make raft.db and begin
 * @err, @errlen: receives one sentence that names file and remedy
 *
 * Blocks while the database is opened and checked. Callbacks follow from the
 * loop. A new raft.db is in no group: flint_raft_found(), or another member
 * adds it.
 *
 * Return: the replica or NULL with errno: EUCLEAN (damaged, or it and the state
 * do not fit together), EPROTONOSUPPORT (of a newer version), ENOSPC, EIO, ENOMEM.
 */
struct flint_raft *flint_raft_new(const struct flint_raft_config *cfg, char *err, size_t errlen);

/**
 * flint_raft_free() - stop
 *
 * With the loop stopped. What is being written is finished; proposals that wait
 * are done with -ECANCELED, from here.
 */
void flint_raft_free(struct flint_raft *r);

/**
 * flint_raft_found() - become the only member of a new group
 * @group: its id, not 0
 * @addr: own address, or NULL: as configured
 *
 * The owner's state at config.applied is the group's state. It leads a moment later.
 * Return: 0 or -EEXIST (is in a group already).
 */
int flint_raft_found(struct flint_raft *r, u64 group, const struct flint_addr *addr);

/* Own address, learned later (struct flint_raft_config.addr). */
void flint_raft_set_addr(struct flint_raft *r, const struct flint_addr *addr);

/* Good until the next call. Cheap enough for each request: *role*, *ready* are plain reads. */
const struct flint_raft_status *flint_raft_status(struct flint_raft *r);
/* It as Prometheus text; @prefix: "flint_meta". */
void flint_raft_metrics(FILE *f, const char *prefix, const struct flint_raft_status *st);
/* Plain reads for hot paths. */
bool flint_raft_ready(const struct flint_raft *r);
bool flint_raft_low_space(const struct flint_raft *r);
u64 flint_raft_applied(const struct flint_raft *r);

/* ---- proposals and reads ------------------------------------------------ */

void flint_raft_propose(struct flint_raft *r, struct flint_raft_proposal *p);

/* May a read be answered from the applied state right now? (Ready leader with a valid lease.) */
bool flint_raft_readable(const struct flint_raft *r);

/**
 * struct flint_raft_waiter - for a moment at which a read is not stale
 * @fn: with 0: everything that was acknowledged anywhere before
 *	flint_raft_read() is applied here; -EAGAIN: no leader confirmed it in
 *	time; -ECANCELED: stopped. Perhaps called from inside flint_raft_read()
 */
struct flint_raft_waiter {
	void (*fn)(struct flint_raft_waiter *w, int err);
	void *priv;
	/* the replica's */
	u64 index, token;
	u64 due_ns;
	struct flint_raft_waiter *next;
};

/* Leader (also with a lapsed lease) or follower. */
void flint_raft_read(struct flint_raft *r, struct flint_raft_waiter *w);

/* ---- state and log ------------------------------------------------------- */

/* The owner's state is on stable storage up to @index: the log may be trimmed to there. */
void flint_raft_durable(struct flint_raft *r, u64 index, u64 term);
/* Answers to ops->snapshot_make() and ops->snapshot_load(). @err: 0 or -errno. */
void flint_raft_snapshot_made(struct flint_raft *r, int err, u64 index, u64 term);
void flint_raft_snapshot_loaded(struct flint_raft *r, int err);

/* ---- messages -------------------------------------------------------------- */

/**
 * flint_raft_request() - a request that came to the owner's server
 *
 * Return: true when it is one of FLINT_OP_RAFT_* and will be answered.
 */
bool flint_raft_request(struct flint_raft *r, struct flint_call *call);

/* ---- membership -------------------------------------------------------------- */

enum flint_raft_change_kind {
	FLINT_RAFT_ADD,		/* the replica that serves at @addr: learner, then voter */
	FLINT_RAFT_REMOVE,	/* member @id */
	FLINT_RAFT_REPLACE,	/* add what serves at @addr, then remove member @id */
	FLINT_RAFT_TRANSFER,	/* leadership to @id; 0: to the one that is furthest */
};

/**
 * struct flint_raft_change - a change of membership under way; zero-initialise
 * @kind: enum flint_raft_change_kind
 * @id: see there
 * @name, @addr: ADD, REPLACE: node that is added
 * @done: exactly once, from the loop or from inside flint_raft_change(); @err
 *	-EAGAIN (not the leader), -EBUSY (another change is under way), -EEXIST,
 *	-ENOENT (no such member), -EINVAL, -ETIMEDOUT (made no progress for 30 s; what
 *	was added stays a learner), -ECANCELED, and a sentence
 * @phase, @cur, @total: progress in words and bytes or entries; readable at any time
 */
struct flint_raft_change {
	u8 kind;
	u64 id;
	char name[FLINT_LABEL_LEN];
	struct flint_addr addr;
	void (*done)(struct flint_raft_change *c, int err, const char *why);
	void *priv;
	const char *phase;
	u64 cur, total;
	/* the replica's */
	u64 new_id, index, moved_ns;
	int state;
};

/* On the leader; one at a time. */
void flint_raft_change(struct flint_raft *r, struct flint_raft_change *c);

/**
 * flint_raft_join() - ask a group to be added to it
 * @addr: of any member
 * @done: 0: added as a learner, the rest happens by itself; or -errno and a sentence
 *
 * For a replica in no group. Follows hints to the leader, and waits while that is
 * busy with another change; -EAGAIN: who was asked does not answer or knows of no
 * leader, so that another member can be asked.
 */
void flint_raft_join(struct flint_raft *r, const struct flint_addr *addr,
		     void (*done)(void *arg, int err, const char *why), void *arg);

/* ---- offline ------------------------------------------------------------------- */

/**
 * flint_raft_promote_survivor() - make this replica the only member of its group
 * @dir: state directory, of no running daemon
 * @err, @errlen: one sentence on failure
 *
 * For a majority that is lost for good. What only the others had acknowledged is
 * lost. Return: 0 or -errno.
 */
int flint_raft_promote_survivor(const char *dir, char *err, size_t errlen);

#endif /* FLINT_RAFT_NODE_H */
