/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the managers know: the model in memory (state.c), the commands that
 * change it on every manager (command.c), and the database that keeps it
 * between runs (db.c). What operators do to chains is chains.c.
 *
 * The arrays of struct mgr_state are the model that everything reads. A leader
 * holds two: the committed one, which maps and answers are made from, and the
 * next one, on which changes are worked out. A change marks its records dirty;
 * mgr_command_encode() turns them into one command, which goes through the
 * replicated log and comes back to mgr_command_apply() of every manager, the
 * leader included. So nothing is shown, or put into a map, that a majority has
 * not on stable storage.
 *
 * Commands are deterministic: they carry records, not intentions, and the
 * number of the state that they follow upon. The same commands make equal
 * states, byte for byte as mgr_command_encode() writes them whole.
 *
 * When a node was last heard, how full a target is this very moment and what a
 * replica says of itself are refreshed by heartbeats at the leader and are no
 * part of it.
 */
#ifndef FLINT_MGR_STATE_H
#define FLINT_MGR_STATE_H

#include "../uapi/flintfs/map.h"
#include "../uapi/flintfs/token.h"
#include "jobs.h"

struct sqlite3;

#define MGR_DEFAULT_LEASE_MS	6000	/* T of decisions D7 */
#define MGR_DEFAULT_SCRUB_DAYS	14u	/* of a new cluster */
#define MGR_PLACE_LEN		32	/* names of machines and racks */

struct mgr_node {
	u32 id;
	u8 role;			/* enum flint_role */
	u8 state;			/* enum flint_node_state */
	bool dirty;
	bool gone;			/* delete with the next command */
	char name[FLINT_LABEL_LEN];
	struct flint_addr addrs[FLINT_NODE_ADDRS];
	u16 http_port;			/* managers: of the admin API */
	bool draining;			/* no new data here, what is here moves away */
	char host[MGR_PLACE_LEN];	/* the machine, "": one of its own */
	char rack[MGR_PLACE_LEN];	/* "": not known */
	/* not replicated */
	u64 incarnation;		/* of the process last heard, 0: none yet */
	bool starting;			/* it has not said yet which targets it has */
	u64 displaced;			/* incarnation that it replaced */
	u64 heard_ns;			/* CLOCK_BOOTTIME */
	u64 silent_ns;			/* from when its silence counts */
	u64 known_ns;			/* since when @incarnation is known */
	u64 down_ns;			/* when it was declared down */
	u64 sent_ns;			/* its clock, of the newest heartbeat */
	s64 skew_ns;			/* its clock less ours, with the last heartbeat */
	struct flint_hb_replica replica; /* as it travelled */
};

/**
 * struct mgr_target_live - what the last heartbeat said, at the leader only
 * @stopped_ns: when its process said that it no longer serves what it was given, or
 *	another server named the disk
 * @sync_ns, @sync_from: when the recovery that it drives was first heard of, and how
 *	far it was
 * @deaf_ns: while wish is DEAF: when it may return; afterwards: when it did
 * @deaf_times: how often that happened lately
 * @deaf_by: target that had no answer from it
 * Others as in struct flint_hb_target.
 */
struct mgr_target_live {
	u64 used;
	u64 stopped_ns;
	u64 sync_done, sync_total;
	u64 sync_ns, sync_from;
	u64 crc_errors, repaired;
	u32 chain_ver;
	u32 flags;
	u64 foreign_ns;
	u32 foreign_node;
	bool foreign_copy;
	u64 deaf_ns;
	u32 deaf_by;
	u8 deaf_times;
};

/**
 * struct mgr_target - a disk, or a part of one
 * @incarnation: the process that @state was given to; 0: none. Replicated, so that
 *	a new leader knows a restarted process from one that went on (chainstate.c)
 * @state_ver: version of the chain with which @state was given
 * @wish: enum mgr_wish, of operators
 * @draining: its data is to move to other targets (the node's @draining counts too)
 */
struct mgr_target {
	u32 id;
	u32 node;
	u32 chain;			/* 0: in no chain */
	u8 state;			/* enum flint_target_state */
	u8 local;			/* enum flint_local_state as last reported */
	u8 wish;
	bool draining;
	bool dirty;
	bool gone;			/* delete with the next command */
	u8 uuid[16];
	u64 capacity;			/* bytes, as published in the map */
	u64 used;
	u64 incarnation;
	u32 state_ver;
	struct mgr_target_live live;	/* not replicated */
};

struct mgr_chain {
	u32 id;
	u32 version;
	u8 nr;
	bool dirty;
	u32 targets[FLINT_CHAIN_MAX];	/* head first */
};

/* Tables never change once made; a new version is a new record. */
struct mgr_table {
	u32 id;
	u32 version;
	u32 nr;
	bool dirty;
	u32 *chains;
};

struct mgr_fs {
	u32 id;
	u32 meta_node;			/* the leader of the metadata group */
	u64 root_ino;			/* 0: asked for, not yet made by flint-metad */
	bool dirty;
	bool gone;			/* delete with the next command */
	char name[FLINT_LABEL_LEN];
	struct flint_layout layout;
};

/* Why something happened; report_chain.c has the words. */
enum mgr_reason {
	MGR_WHY_NONE		= 0,
	MGR_WHY_SILENT		= 1,	/* its server was silent for a lease */
	MGR_WHY_DISK		= 2,	/* its server says that the disk failed or is gone */
	MGR_WHY_RESTART		= 3,	/* its server was started anew */
	MGR_WHY_BACK		= 4,	/* heard again */
	MGR_WHY_SYNC		= 5,	/* another member serves and can bring it up to date */
	MGR_WHY_SYNCED		= 6,	/* recovery is complete */
	MGR_WHY_LAST		= 7,	/* of the last-serving set, the first that is back */
	MGR_WHY_ALL_GONE	= 8,	/* all that served are gone: it has all that was written */
	MGR_WHY_NO_SOURCE	= 9,	/* nobody serves that it could recover from */
	MGR_WHY_STOPPED		= 10,	/* it stopped serving by itself */
	MGR_WHY_OPERATOR	= 11,
	MGR_WHY_LOSS		= 12,	/* an operator: serve what is here, whatever is missing */
	MGR_WHY_DEAF		= 13,	/* the one in front of it has no answer from it */
	MGR_WHY_AGAIN		= 14,	/* perhaps it can be reached again */
};

enum mgr_event_kind {
	MGR_EV_NODE		= 1,	/* from, to: enum flint_node_state */
	MGR_EV_TARGET		= 2,	/* a member of @chain: enum flint_target_state */
	MGR_EV_JOINED		= 3,	/* @target became a member; to: its state */
	MGR_EV_LEFT		= 4,
	MGR_EV_CHAIN		= 5,	/* @chain was made */
	MGR_EV_WISH		= 6,	/* enum mgr_wish */
	MGR_EV_DRAIN		= 7,	/* of @target, or of @node: from and to are 0 or 1 */
};

/**
 * struct mgr_event - a line of the map's history
 * @seq: 1 and up, without gaps
 * @time_ns: CLOCK_REALTIME of the leader then
 * @epoch: of the map that shows it first
 * @node: that the target is of
 * @version: of the chain afterwards
 */
struct mgr_event {
	u64 seq;
	u64 time_ns;
	u64 epoch;
	u32 chain, version, target, node;
	u8 kind, from, to, reason;
	bool dirty;
};

#define MGR_EVENTS_MAX	10000

/* Never changes; shared by copies of the state. */
struct mgr_token_claims {
	u32 refs;
	u8 bytes[] __attribute__((aligned(8)));	/* struct flint_token and its path */
};

struct mgr_token {
	u64 id;
	bool revoked;
	bool dirty;
	bool gone;			/* delete with the next command */
	char note[96];
	struct mgr_token_claims *claims;
};

/**
 * struct mgr_settings - what there is one of
 * @meta_group: id of the metadata group, 0: nobody was told to found one
 * @meta_founder: Raft id of the replica that was told to
 * @meta_founder_node: its node
 * @meta_founded: a member of the group was heard
 * @meta_term: of the newest leader of it that was heard
 * @next_node, @next_fs: ids that were never given
 * @tokens_from: seconds since 1970; tokens issued before are revoked
 * @lease_ms: T, what heartbeats are answered with; @lease_wish times time_scale
 * @lease_wish: what operators want T to be, 0: the default
 * @fence_ms: silence after which a server is down: T, or a longer one that servers may
 *	still act upon
 * @recovery_bps, @scrub_days: struct flint_hb_settings
 * @frozen: jobs begin no further moves
 */
struct mgr_settings {
	u8 cluster_id[16];
	char cluster_name[FLINT_LABEL_LEN];
	u32 lease_ms;
	u32 next_node;
	u32 next_fs;
	u32 meta_founder_node;
	u64 meta_group;
	u64 meta_founder;
	u64 meta_term;
	u64 tokens_from;
	u64 recovery_bps;
	u32 lease_wish;
	u32 fence_ms;
	u32 scrub_days;
	bool meta_founded;
	bool frozen;
	bool dirty;
};

struct mgr_state {
	u64 epoch;			/* of the map, 1 or more */
	u64 seq;			/* commands applied since the cluster was made */
	struct mgr_settings set;
	/* Sorted by id; tables by (id, version). Adding moves records: do not keep pointers. */
	struct mgr_node *nodes;
	struct mgr_target *targets;
	struct mgr_chain *chains;
	struct mgr_table *tables;
	struct mgr_fs *fs;
	struct mgr_token *tokens;
	struct mgr_event *events;	/* by seq, the newest MGR_EVENTS_MAX */
	u64 next_event;			/* seq of the next one */
	struct mgr_job *jobs;		/* by id */
	u32 next_job, nr_jobs;
	u32 nr_nodes, nr_targets, nr_chains, nr_tables, nr_fs, nr_tokens, nr_events;
};

/* ---- state.c ---------------------------------------------------------- */

/* A cluster without anything in it. NULL: no memory. */
struct mgr_state *mgr_state_new(const u8 cluster_id[16], const char *cluster_name, u32 lease_ms);
/* What is not replicated is copied too. NULL: no memory. */
struct mgr_state *mgr_state_clone(const struct mgr_state *st);
/* Let @to know what heartbeats told @from. */
void mgr_state_keep_live(struct mgr_state *to, struct mgr_state *from);
/* Nobody was heard yet: silence counts from @now_ns. */
void mgr_state_forget_live(struct mgr_state *st, u64 now_ns);
void mgr_state_free(struct mgr_state *st);
void mgr_state_clear(struct mgr_state *st);
int mgr_state_check(const struct mgr_state *st, char *why, size_t whylen);
/* Nothing is dirty any longer, what was deleted is gone. */
void mgr_state_settle(struct mgr_state *st);

struct mgr_node *mgr_node_find(struct mgr_state *st, u32 id);
struct mgr_node *mgr_node_find_name(struct mgr_state *st, u8 role, const char *name);
struct mgr_target *mgr_target_find(struct mgr_state *st, u32 id);
struct mgr_chain *mgr_chain_find(struct mgr_state *st, u32 id);
struct mgr_table *mgr_table_find(struct mgr_state *st, u32 id, u32 version);
struct mgr_fs *mgr_fs_find(struct mgr_state *st, u32 id);
struct mgr_fs *mgr_fs_find_name(struct mgr_state *st, const char *name);

/* Add a record, dirty and otherwise zero; NULL when memory is short. */
struct mgr_node *mgr_node_add(struct mgr_state *st, u8 role, const char *name);
struct mgr_target *mgr_target_add(struct mgr_state *st, u32 id);
struct mgr_chain *mgr_chain_add(struct mgr_state *st);
struct mgr_table *mgr_table_add(struct mgr_state *st, u32 id, u32 version, u32 nr);
struct mgr_fs *mgr_fs_add(struct mgr_state *st, const char *name);

/* With an id that is known (loading, commands). */
struct mgr_node *mgr_node_put(struct mgr_state *st, u32 id);
struct mgr_chain *mgr_chain_put(struct mgr_state *st, u32 id);
struct mgr_fs *mgr_fs_put(struct mgr_state *st, u32 id);

struct mgr_token *mgr_token_find(struct mgr_state *st, u64 id);
struct mgr_token *mgr_token_put(struct mgr_state *st, const struct flint_token *claims);
/* Before a record goes away or is overwritten. */
void mgr_token_drop(struct mgr_token *t);
/* Of all that were made until @now_s none is valid. */
void mgr_tokens_revoke(struct mgr_state *st, u64 now_s);
const struct flint_token *mgr_token_claims(const struct mgr_token *t);

/* Keep an event, dirty, with the next seq; time and epoch come with the command. */
void mgr_event_add(struct mgr_state *st, const struct mgr_event *ev);
/* The same with what is known of it (loading, commands). NULL: no memory. */
struct mgr_event *mgr_event_put(struct mgr_state *st, const struct mgr_event *ev);

/* ---- chains.c --------------------------------------------------------- */

/*
 * What operators may do to chains, on the next state: check, then change records
 * that the caller commits. They return 0 or -errno with one sentence, and then
 * nothing has changed; -ENOMEM is the end of the next state (the caller aborts).
 */
int mgr_target_fit(struct mgr_state *st, u32 id, char *err, size_t errlen);
int mgr_chain_create(struct mgr_state *st, const u32 *targets, u32 nr, u32 *chain, char *err,
		     size_t errlen);
int mgr_table_create(struct mgr_state *st, u32 table, const u32 *chains, u32 nr, u32 *version,
		     char *err, size_t errlen);
int mgr_chain_add_target(struct mgr_state *st, u32 chain, u32 target, char *err, size_t errlen);
int mgr_chain_drop_target(struct mgr_state *st, u32 chain, u32 target, char *err, size_t errlen);
/* Somebody in its chain has no answer from the one behind. Return: did anything change? */
bool mgr_chain_stuck(struct mgr_state *st, struct mgr_target *t, u64 now_ns);
/* Those that were left out for that return after a while. Return: did anything change? */
bool mgr_deaf_apply(struct mgr_state *st, u64 now_ns);
int mgr_target_hold(struct mgr_state *st, u32 target, bool off, char *err, size_t errlen);
int mgr_target_promote(struct mgr_state *st, u32 target, char *err, size_t errlen);
int mgr_target_drain(struct mgr_state *st, u32 target, bool on, char *err, size_t errlen);
int mgr_node_drain(struct mgr_state *st, u32 node, bool on, char *err, size_t errlen);
/* Does the target, or its node, drain? */
bool mgr_target_draining(struct mgr_state *st, const struct mgr_target *t);
/* Newest version of a table, NULL: there is none. */
struct mgr_table *mgr_table_newest(struct mgr_state *st, u32 table);

/* ---- command.c -------------------------------------------------------- */

#define MGR_COMMAND_MAX		(16u << 20)

int mgr_command_encode(struct mgr_state *st, bool visible, bool whole, u8 **out, u32 *len);
int mgr_command_apply(struct mgr_state *st, const void *cmd, u32 len, bool *whole, char *why,
		      size_t whylen);
/* Of everything replicated: equal states have equal checksums. 0: no memory. */
u64 mgr_state_checksum(const struct mgr_state *st);

/* ---- db.c ------------------------------------------------------------- */

/**
 * struct mgr_db - state.db
 * @applied, @applied_term: the log entry that it holds last
 * @version: of the schema found, before it was upgraded
 */
struct mgr_db {
	struct sqlite3 *db;
	char *path;
	u64 applied, applied_term;
	int version;
};

bool mgr_db_exists(const char *dir);
int mgr_db_open(struct mgr_db **out, const char *dir, char *err, size_t errlen);
int mgr_db_load(struct mgr_db *d, struct mgr_state **out, char *err, size_t errlen);
int mgr_db_write(struct mgr_db *d, const struct mgr_state *st, bool whole, u64 index, u64 term,
		 char *err, size_t errlen);
int mgr_db_sync(struct mgr_db *d, char *err, size_t errlen);
void mgr_db_close(struct mgr_db *d);

#endif /* FLINT_MGR_STATE_H */
