/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the managers know: the model in memory (state.c), the commands that
 * change it on every manager (command.c), and the database that keeps it
 * between runs (db.c).
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

struct sqlite3;

#define MGR_DEFAULT_LEASE_MS	6000	/* T of decisions D7 */

struct mgr_node {
	u32 id;
	u8 role;			/* enum flint_role */
	u8 state;			/* enum flint_node_state */
	bool dirty;
	bool gone;			/* delete with the next command */
	char name[FLINT_LABEL_LEN];
	struct flint_addr addrs[FLINT_NODE_ADDRS];
	u16 http_port;			/* managers: of the admin API */
	/* not replicated */
	u64 incarnation;		/* of the process last heard, 0: none yet */
	u64 displaced;			/* incarnation that it replaced */
	u64 heard_ns;			/* CLOCK_BOOTTIME */
	s64 skew_ns;			/* its clock less ours, with the last heartbeat */
	struct flint_hb_replica replica; /* as it travelled */
};

struct mgr_target {
	u32 id;
	u32 node;
	u32 chain;			/* 0: in no chain */
	u8 state;			/* enum flint_target_state */
	u8 local;			/* enum flint_local_state as last reported */
	bool dirty;
	u8 uuid[16];
	u64 capacity;			/* bytes, as published in the map */
	u64 used;
	u64 used_now;			/* not replicated: as last reported */
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
	bool meta_founded;
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
	u32 nr_nodes, nr_targets, nr_chains, nr_tables, nr_fs, nr_tokens;
};

/* ---- state.c ---------------------------------------------------------- */

/* A cluster without anything in it. NULL: no memory. */
struct mgr_state *mgr_state_new(const u8 cluster_id[16], const char *cluster_name, u32 lease_ms);
/* What is not replicated is copied too. NULL: no memory. */
struct mgr_state *mgr_state_clone(const struct mgr_state *st);
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
const struct flint_token *mgr_token_claims(const struct mgr_token *t);

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
