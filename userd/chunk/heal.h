/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeps a target's data right, in the background: recovery of the target
 * behind it (sync.c), answers to the target in front and to tools (serve.c),
 * repair of damaged blocks (repair.c), and scrub (scrub.c).
 *
 * One struct chunkd_heal for each target. All of it belongs to the target's
 * worker; the counters that heartbeats and metrics read are atomic.
 */
#ifndef FLINT_CHUNK_HEAL_H
#define FLINT_CHUNK_HEAL_H

#include <stdatomic.h>
#include "ask.h"
#include "chain.h"
#include "throttle.h"

#define HEAL_SUSPECT	32u		/* damaged blocks from which a disk is suspected */
#define HEAL_FOUND	64u		/* findings that are remembered */
#define SERVE_LIST_LEN	(64u << 10)	/* bytes of a page of a list */

struct sync_drive;
struct repair_job;
struct chunkd_scrub;

/* Another SERVING target of the chain. */
struct heal_peer {
	u32 target, node;
};

/**
 * struct heal_place - what the map says of a target's chain, beside target->at
 * @peers: the other SERVING targets, nearest to the tail first
 */
struct heal_place {
	struct heal_peer peers[FLINT_CHAIN_MAX];
	u32 nr_peers;
	u8 state;			/* enum flint_target_state */
};

/**
 * struct chunkd_heal
 * @place: the worker's copy
 * @lock: protects @next_place and @posted: a new map comes on the cluster's loop
 * @drive: recovery of the target behind us, or NULL
 * @conflict_at: flint_chain_at() where recovery stopped for good; 0: it did not
 * @work: how fast recovery may go
 */
struct chunkd_heal {
	struct chunkd_target *t;
	struct chunkd_worker *w;
	struct heal_place place;

	pthread_mutex_t lock;
	struct heal_place next_place;
	bool posted;
	struct flint_task task;

	struct sync_drive *drive;
	struct flint_timer sync_timer;
	u64 conflict_at;
	struct flint_throttle work;

	struct repair_job *jobs;
	u32 repairing;			/* of them, that run */
	struct flint_scrub_found found[HEAL_FOUND];	/* a ring, by number */
	u64 nr_found;
	struct chunkd_scrub *scrub;
	bool closing;

	_Atomic u64 sync_rate;		/* bytes/s, 0: what clients leave */
	_Atomic u64 scrub_period_s;	/* 0: on demand only */

	_Atomic u64 sync_done, sync_total;	/* bytes; total 0: none under way */
	_Atomic u64 sync_bytes;		/* sent by recovery since start */
	_Atomic u64 errors;		/* damaged blocks found, by whoever read */
	_Atomic u64 repaired, lost;	/* of them */
	_Atomic u64 own_errors;		/* of them: superblocks, log, checkpoints */
	_Atomic bool conflict;
	_Atomic bool scrubbing;
};

/* Before the worker runs, or on it. NULL: no memory. */
struct chunkd_heal *heal_new(struct chunkd_target *t, int dirfd);
/* On the worker: begin no more; true when nothing is under way any longer. */
bool heal_stop(struct chunkd_heal *h);
/* Nothing is under way, or neither the worker nor the connections are there any longer. */
void heal_free(struct chunkd_heal *h);

/* A new map, on the cluster's loop. */
void heal_map_changed(struct chunkd_heal *h, const struct flint_map *map);
/* target->at has changed. On the worker. */
void heal_moved(struct chunkd_heal *h);
/* What operators have set, with each heartbeat's answer. Any thread. */
void heal_settings(struct chunkd_heal *h, const struct flint_hb_settings *s);
/* What is said of it in a heartbeat. Any thread. */
void heal_beat(struct chunkd_heal *h, struct flint_hb_target *t);

/* ---- serve.c: FLINT_OP_SYNC, FLINT_OP_CHUNK_GET; on the connection's loop ---- */

void heal_request_sync(struct flint_chunkd *d, struct flint_call *call);
void heal_request_get(struct flint_chunkd *d, struct flint_call *call);

/* ---- sync.c -------------------------------------------------------------- */

/* The place changed, or a pause is over: begin, go on, or end. */
void sync_look(struct chunkd_heal *h);
/* Begin to end. Return: has it? */
bool sync_stop(struct chunkd_heal *h);
/* Neither the worker nor connections are there any longer. */
void sync_free(struct chunkd_heal *h);

#endif /* FLINT_CHUNK_HEAL_H */
