/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A target's place in its chain, and the changes that it passes on.
 * Documentation/replication.rst has the rules.
 *
 * Threads: the cluster's connections live on the first worker's loop; all that
 * concerns a target happens on its worker's. A new place and a forward's answer
 * are handed over by tasks. What is not said to be of "any thread" is of the
 * target's worker.
 */
#ifndef FLINT_CHUNK_CHAIN_H
#define FLINT_CHUNK_CHAIN_H

#include "store.h"
#include "../client/cluster.h"

struct flint_chunkd;
struct chunkd_target;

enum flint_chain_role {
	FLINT_CHAIN_NONE,	/* in no chain, or not to be asked now */
	FLINT_CHAIN_SERVING,
	FLINT_CHAIN_SYNCING,
};

/**
 * struct flint_place - where a target stands in one version of its chain
 * @chain, @chain_ver: 0: in none
 * @role: enum flint_chain_role
 * @pos: number of targets in front; 0: the head, if serving
 * @pred, @pred_node: target in front and its node; 0: none
 * @succ, @succ_node: target that changes are passed on to; 0: none
 * @succ_syncing: and it is being brought up to date: we drive its recovery
 */
struct flint_place {
	u32 chain, chain_ver;
	u8 role;
	u8 pos;
	bool succ_syncing;
	u32 pred, pred_node;
	u32 succ, succ_node;
};

/* Where @target stands in @map. Any thread. */
void flint_place_find(const struct flint_map *map, u32 target, struct flint_place *p);

/**
 * struct flint_whole - a chunk on its way to the target behind us
 * @target, @fs, @ino, @index: which; the caller's, as are @done and @priv
 * @fwd_flags: FLINT_FWD_SYNC
 * @status: FLINT_OK; FLINT_ST_STALE_MAP: there is no target behind us any more;
 *	else what went wrong in our own store, or the refusal
 * @bytes: that were sent
 */
struct flint_whole {
	struct chunkd_target *target;
	u32 fs;
	u64 ino;
	u32 index;
	u8 fwd_flags;
	void (*done)(struct flint_whole *w);
	void *priv;

	u32 status;
	u64 bytes;
};

/**
 * flint_chain_send_whole() - let the target behind us have a chunk as it is here
 *
 * Waits for the chunk like a writer and keeps writers out until it is there; a
 * chunk that is not here is dropped there. w->done is called once, later.
 */
void flint_chain_send_whole(struct flint_whole *w);

/* Recovery of this target has ended: everything is here. Local state UPTODATE. */
void flint_chain_synced(struct chunkd_target *t);
/* The same target must not go on (@why in words): local state OFFLINE. */
void flint_chain_offline(struct chunkd_target *t, const char *why);

#endif /* FLINT_CHUNK_CHAIN_H */
