/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the managers know, in memory and in state.db.
 *
 * The arrays of struct mgr_state are the model that everything reads. A change
 * is made in memory, its records are marked dirty, and mgr_state_commit()
 * writes all dirty records and the new epoch in one SQLite transaction that is
 * on stable storage when it returns. A commit that fails brings the model back
 * to what the database holds, so that nothing is ever shown, or put into a
 * map, that a restart would forget.
 *
 * Exceptions, by design: when a node was last heard and how full a target is
 * are refreshed by heartbeats and need not survive.
 *
 * Everything here runs on the daemon's one loop thread; there are no locks.
 */
#ifndef FLINT_MGR_STATE_H
#define FLINT_MGR_STATE_H

#include "../uapi/flintfs/map.h"

struct sqlite3;

#define MGR_DEFAULT_LEASE_MS	6000	/* T of decisions D7 */

struct mgr_node {
	u32 id;
	u8 role;			/* enum flint_role */
	u8 state;			/* enum flint_node_state */
	bool dirty;
	char name[FLINT_LABEL_LEN];
	struct flint_addr addrs[FLINT_NODE_ADDRS];
	/* not stored */
	u64 incarnation;		/* of the process last heard, 0: none yet */
	u64 displaced;			/* incarnation that it replaced */
	u64 heard_ns;			/* CLOCK_BOOTTIME */
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
	u64 used_now;			/* not stored: as last reported */
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
	u32 meta_node;
	u64 root_ino;			/* 0: asked for, not yet made by flint-metad */
	bool dirty;
	bool gone;			/* delete at the next commit */
	char name[FLINT_LABEL_LEN];
	struct flint_layout layout;
};

struct mgr_state {
	struct sqlite3 *db;
	char *path;
	u64 epoch;			/* of the map, 1 or more */
	u32 lease_ms;
	u8 cluster_id[16];
	char cluster_name[FLINT_LABEL_LEN];
	/* Sorted by id; tables by (id, version). Adding moves records: do not keep pointers. */
	struct mgr_node *nodes;
	struct mgr_target *targets;
	struct mgr_chain *chains;
	struct mgr_table *tables;
	struct mgr_fs *fs;
	u32 nr_nodes, nr_targets, nr_chains, nr_tables, nr_fs;
};

int mgr_state_open(struct mgr_state **out, const char *dir, const char *cluster_name,
		   char *err, size_t errlen);
void mgr_state_close(struct mgr_state *st);
int mgr_state_commit(struct mgr_state *st, bool visible, char *err, size_t errlen);

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

#endif /* FLINT_MGR_STATE_H */
