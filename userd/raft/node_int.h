/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside a replica: what its files share.
 *
 *	node.c		life, proposals, reads, status
 *	drive.c		the core: events in, updates out; writing, applying, trimming
 *	peers.c		connections to the members, messages
 *	snap.c		snapshots, made, sent and received
 *	change.c	membership and leadership, step by step
 *	requests.c	what operators ask, joining
 *	codec.c		messages on the wire (pure)
 *	db.c, wal.c	raft.db
 *	ents.c		the log in memory
 *	work.c		a thread for files
 *	survivor.c	one replica goes on alone, offline
 *	raft.c		the core (pure)
 */
#ifndef FLINT_RAFT_NODE_INT_H
#define FLINT_RAFT_NODE_INT_H

#include "codec.h"
#include "ents.h"
#include "node.h"
#include "raft.h"

#define TICK_MS		250	/* of the housekeeping timer, times the scale */

struct peer;
struct snaps;

/**
 * struct flint_raft - a replica
 * @core: decides
 * @scale: of all times, 1 or more
 * @root: as it was last given to the writer
 * @st: what flint_raft_status() shows; role, ready, term and leader are kept
 *	current, the rest is filled in when it is asked for
 * @persisted: last seq of the core that is durable
 * @told: up to which of these the core knows
 * @root_dirty: @root has a change that goes with the next job
 * @blocked: a snapshot is being loaded: what follows it is durable only after it
 * @commit, @applied: of the group, as known here; by the owner
 * @props: proposals that wait, in the order of their indexes
 * @held: messages that wait for @persisted
 * @in: entries of the event that is being stepped, and their number
 */
struct flint_raft {
	struct flint_loop *loop;
	const struct flint_raft_ops *ops;
	void *arg;
	char *dir, *what, *procedure;
	char name[FLINT_LABEL_LEN];
	struct flint_addr addr;
	u8 role, key[FLINT_KEY_LEN], client_id[16];
	bool has_key;
	u32 scale;
	u32 max_entry;
	u64 keep_bytes;

	struct raft *core;
	struct flint_raft_db *db;
	struct flint_raft_root root;
	struct flint_raft_ents ents;
	u64 disk_bytes;			/* of entries that are on the disk only, about */
	u64 persisted, told, submitted;
	bool blocked, root_dirty;
	u64 commit, applied, applied_term, durable;
	struct flint_raft_ent **in;
	u32 nr_in;

	struct flint_raft_proposal *props, **props_tail;
	struct flint_raft_waiter *reads;
	u64 read_token;
	struct held *held, **held_tail;
	struct peer *peers;
	struct snaps *snaps;
	struct flint_raft_change *change;
	struct probe *probe;
	bool probe_over;
	struct join *join;
	struct operators *operators;

	struct flint_raft_status st;
	u64 ready_index;		/* applied up to here, a leader is ready; 0: not yet known */
	struct flint_task apply_task, role_task, persist_task, lost_task;
	bool apply_posted, role_posted, persist_posted, lost_posted;
	struct flint_timer timer;	/* the core's deadline */
	struct flint_timer tick;	/* housekeeping */
	struct flint_timer resume;	/* loads the snapshot that a crash left */
	bool full;			/* nothing is logged any more */
	bool stopping, dead;
	u64 elections, snapshots_sent, snapshots_loaded;
};

/* ---- drive.c --------------------------------------------------------------- */

/* Read the clock, step, do what the update says. 0 or the core's -errno. */
int flint_raft_drive(struct flint_raft *r, struct raft_event *ev);
/* RECV with entries: their references are taken over. */
int flint_raft_drive_msg(struct flint_raft *r, struct raft_msg *m, struct flint_raft_ent **ents);
/* SUBMIT of one entry: takes the reference. Its index is set. */
int flint_raft_drive_submit(struct flint_raft *r, struct flint_raft_ent *e);
/* Stop in words; once. */
void flint_raft_fatal(struct flint_raft *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Write the root with what else changed in it. */
void flint_raft_put_root(struct flint_raft *r);
/* There may be something to apply, or a change of role to tell. Later, from the loop. */
void flint_raft_poke(struct flint_raft *r);
void flint_raft_poke_role(struct flint_raft *r);
/* Trim what nobody needs. */
void flint_raft_trim(struct flint_raft *r);
/* The snapshot that blocked is the state. */
void flint_raft_unblock(struct flint_raft *r, u64 index, u64 term);
void flint_raft_drive_free(struct flint_raft *r);

/* ---- node.c ------------------------------------------------------------------ */

/* Role, term, leader or readiness changed. */
void flint_raft_role_run(struct flint_raft *r);
/* Proposals up to @index are done; those of other leaders' terms fail. */
void flint_raft_props_done(struct flint_raft *r, u64 index);
void flint_raft_props_fail(struct flint_raft *r, int err);
/* Reads that wait for what is applied now. */
void flint_raft_reads_run(struct flint_raft *r);
void flint_raft_read_answered(struct flint_raft *r, const struct raft_read *rd);

/* ---- peers.c ------------------------------------------------------------------ */

/* Connections follow the configuration. */
void flint_raft_peers_update(struct flint_raft *r);
void flint_raft_peers_free(struct flint_raft *r);
/* Send, or drop when there is no connection. @m is copied. */
void flint_raft_send(struct flint_raft *r, const struct raft_msg *m);
/* A message arrived, as a request or in the answer to one. */
void flint_raft_msg_request(struct flint_raft *r, struct flint_call *call);
/* Calls that wait for something to answer with do not wait for ever. */
void flint_raft_peers_tick(struct flint_raft *r);
/* The connection to a member, or NULL. */
struct flint_peer *flint_raft_peer_conn(struct flint_raft *r, u64 id);
/* A connection of one's own to an address. */
struct flint_peer *flint_raft_connect(struct flint_raft *r, const struct flint_addr *addr,
				      void (*state)(void *arg, struct flint_peer *peer, int err,
						    const char *why), void *arg);
/* In no group: become a part of it. False: is part of another one. */
bool flint_raft_adopt(struct flint_raft *r, u64 group);

/* ---- snap.c ---------------------------------------------------------------------- */

int flint_raft_snaps_new(struct flint_raft *r);
void flint_raft_snaps_free(struct flint_raft *r);
void flint_raft_snap_send(struct flint_raft *r, u64 peer, u64 index);
void flint_raft_snap_request(struct flint_raft *r, struct flint_call *call);
/* raft.db says that the snapshot at its base is to be loaded: do it. */
void flint_raft_snap_load(struct flint_raft *r);
/* After a start: the state of the base is still in a file. False: the file is not there. */
bool flint_raft_snap_resume(struct flint_raft *r);
void flint_raft_snap_progress(struct flint_raft *r, u64 peer, u64 *sent, u64 *total);
/* Lowest index that a snapshot being sent needs of the log, or UINT64_MAX. */
u64 flint_raft_snap_needs(struct flint_raft *r);
void flint_raft_snaps_tick(struct flint_raft *r);

/* ---- change.c ---------------------------------------------------------------------- */

/* Something happened that a change may wait for. */
void flint_raft_change_run(struct flint_raft *r);
void flint_raft_change_failed(struct flint_raft *r, int err, const char *why);

/* ---- requests.c ---------------------------------------------------------------------- */

void flint_raft_status_request(struct flint_raft *r, struct flint_call *call);
void flint_raft_change_request(struct flint_raft *r, struct flint_call *call);
void flint_raft_join_request(struct flint_raft *r, struct flint_call *call);
void flint_raft_requests_free(struct flint_raft *r);

#endif /* FLINT_RAFT_NODE_INT_H */
