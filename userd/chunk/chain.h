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
struct chunkd_mend;
struct chunkd_send;
struct chunkd_whole;

/*
 * Buffers that requests of clients leave to forwards, and a forward to a target
 * further behind in its chain: whoever waits for another has fewer left to take,
 * so that the last of a chain always finds one (forward.c).
 */
#define FLINT_CHAIN_KEEP(pos)	(2u * (FLINT_CHAIN_MAX - 1 - (pos)))
/* Requests under way to one node from one position in chains, for the same reason. */
#define FLINT_CHAIN_CREDITS	32u
#define FLINT_CHAIN_CONN_CREDITS 256u

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
 * @succ_syncing: the target behind is being brought up to date: we drive that
 * @pred, @pred_node: target in front and its node; 0: none
 * @succ, @succ_node: target that changes are passed on to; 0: none
 */
struct flint_place {
	u32 chain, chain_ver;
	u8 role;
	u8 pos;
	u8 succ_syncing;
	u8 reserved;
	u32 pred, pred_node;
	u32 succ, succ_node;
};

/* A version of a chain. Versions alone say nothing: each chain counts its own. */
static inline u64 flint_chain_at(u32 chain, u32 version)
{
	return (u64)chain << 32 | version;
}

/* Where @target stands in @map. Any thread. */
void flint_place_find(const struct flint_map *map, u32 target, struct flint_place *p);

/**
 * flint_order_state() - what a target that is well says of itself in a heartbeat
 * @o: what the managers last said of it
 * @synced: flint_chain_at() of its last recovery; 0: there was none
 *
 * Return: FLINT_LOCAL_UPTODATE if it serves, or was recovered in just the version of just the
 * chain that the order is about; else FLINT_LOCAL_ONLINE.
 */
u8 flint_order_state(const struct flint_hb_order *o, u64 synced);

/**
 * flint_order_unsafe() - may a target with half of a chunk not be chosen to serve?
 * @o: what the managers last said of it; zeros: nothing yet
 *
 * It was being sent the chunk as a whole when its chain, or its process, ended: those in front
 * of it have it. Were it the first to return, its half would replace theirs. So it is OFFLINE
 * until it is known that it was left out, or is to be recovered.
 */
bool flint_order_unsafe(const struct flint_hb_order *o);

/**
 * flint_forward_kind() - does a forwarded change make sense?
 * @data_len: bytes of payload that come with it
 *
 * Return: the kind of operation that it is (enum flint_sop_kind), or -1.
 */
int flint_forward_kind(const struct flint_forward *b, u32 data_len);
/* What @b, which was found to be @kind, asks for. Callbacks and data are the caller's. */
void flint_forward_op(const struct flint_forward *b, int kind, struct flint_sop *op);

/* What a CLONE names besides. */
void flint_forward_source(const struct flint_forward_clone *b, struct flint_sop *op);

/**
 * struct flint_fwd - a held change on its way to the replicas behind us
 *
 * The caller fills the first part; done is called once, when all behind us have
 * the change or there is nobody (FLINT_OK), or when this target does not serve
 * any more (FLINT_ST_STALE_MAP, FLINT_ST_SHUTDOWN).
 */
struct flint_fwd {
	struct chunkd_target *t;
	struct flint_sop *op;		/* held; data lies in buf */
	struct flint_buf *buf;		/* NULL: no payload */
	u64 trace;
	void (*done)(struct flint_fwd *f, u32 status);

	u64 room;			/* result: least of all behind us */
	u64 freed;			/* CUT */

	/* forward.c's */
	struct flint_fwd *next, **pprev;
	struct chunkd_send *send;
	struct chunkd_whole *whole;
	struct chunkd_mend *mend;
	struct flint_timer pause;
	u32 tries, mends, spoilt;
	bool has_crc;
};

void flint_fwd_begin(struct flint_fwd *f);

/**
 * struct flint_whole - a chunk on its way to the target behind us
 * @target, @fs, @ino, @index: which; the caller's, as are @done and @priv
 * @fwd_flags: FLINT_FWD_SYNC
 * @status: FLINT_OK; FLINT_ST_STALE_MAP: the chain has changed; else what went
 *	wrong in our own store, or the refusal
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
 * chunk that is not here is dropped there. w->done is called once, perhaps from here.
 */
void flint_chain_send_whole(struct flint_whole *w);

/* Recovery of this target has ended: everything is here. Local state UPTODATE. */
void flint_chain_synced(struct chunkd_target *t);
/* The same target must not go on (@why in words): local state OFFLINE. */
void flint_chain_offline(struct chunkd_target *t, const char *why);
/* Nor one that is in front of all and has chunks that whoever was there had begun to replace. */
void flint_chain_half(struct chunkd_target *t);

/* ---- between chain.c, forward.c and service.c --------------------------- */

/* The target has a new place: what is on its way goes where it belongs now. */
void flint_fwd_moved(struct chunkd_target *t);
/* The worker stops: everything that is held ends with FLINT_ST_SHUTDOWN. */
void flint_fwd_stop(struct chunkd_target *t);
void flint_sends_free(struct flint_chunkd *d);

/* flint_cluster_config.changed; the main loop. */
void chunkd_map_changed(void *arg, const struct flint_map *map);
/* flint_member_config.orders; the main loop. */
void chunkd_orders(void *arg, const struct flint_hb_order *o, unsigned int nr);
/* Task of a target: tell the managers now. The main loop. */
void chunkd_beat(struct flint_task *task);
/* What a target's server says of it. The main loop. */
u8 chunkd_local_state(const struct chunkd_target *t);

#endif /* FLINT_CHUNK_CHAIN_H */
