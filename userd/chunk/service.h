/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flint-chunkd as a service: requests of the network become operations of the
 * stores, their results replies.
 *
 * Threads: each worker is one loop with one engine (io_uring) and some of the
 * targets. A request that arrives on another loop than its target's is handed
 * over by a task. Requests live in one free list.
 */
#ifndef FLINT_CHUNK_SERVICE_H
#define FLINT_CHUNK_SERVICE_H

#include <pthread.h>
#include "chain.h"
#include "store.h"
#include "fence.h"
#include "../client/cluster.h"
#include "../client/member.h"
#include "../net/net.h"
#include "permit.h"

#define FLINT_CHUNKD_TARGETS	64u
#define FLINT_CHUNKD_QUEUE	4096u	/* requests under way on one target */

struct flint_chunkd;
struct chunkd_req;
struct chunkd_heal;
struct chunkd_targets;

struct chunkd_target {
	struct flint_store *st;
	struct chunkd_worker *worker;
	u32 queued;			/* requests under way; worker's thread */
	struct chunkd_heal *heal;	/* recovery, repair, scrub: heal.h */
	_Atomic u64 place;		/* flint_chain_at() to be asked in; 0: not now */
	/* worker's thread */
	struct flint_place at;
	struct flint_fwd *fwds;
	struct chunkd_whole *wholes;
	struct flint_timer discard;	/* the next piece of free space goes back to the device */
	/* main loop */
	struct flint_place told;	/* newest that the worker was told */
	struct flint_hb_order order;	/* newest */
	u64 stuck_ns;			/* since when forwards seem to be stuck; 0: they are not */
	struct flint_task beat;		/* posted there: the managers should know at once */
	/* any */
	atomic_bool beating;		/* beat is posted */
	_Atomic u64 fwd_ns;		/* forwards wait since then without any answer; 0: none waits */
	atomic_bool off;		/* must not go on, see flint_chain_offline() */
	_Atomic u64 synced;		/* flint_chain_at() of the last recovery */
	/* set by the main loop, read by any (targets.c) */
	atomic_bool gone;		/* being detached, or was: nobody's business any more */
	atomic_bool foreign;		/* of another cluster: neither served nor told of */
	bool bound;			/* of this cluster, main loop */
};

struct chunkd_worker {
	struct flint_chunkd *d;
	struct flint_loop *loop;
	struct flint_engine *engine;
	struct chunkd_target *targets[FLINT_CHUNKD_TARGETS];
	unsigned int nr_targets;
	pthread_t thread;
	bool started;
};

struct flint_chunkd {
	struct chunkd_target targets[FLINT_CHUNKD_TARGETS];
	_Atomic unsigned int nr_targets;	/* grows only; the main loop's */
	struct chunkd_targets *tctl;
	struct chunkd_worker *workers;
	unsigned int nr_workers;
	const char *discard;		/* auto, yes or no: free space goes back to the devices */
	struct flint_pool *pool;	/* payloads up to max_io */
	struct flint_pool *small;	/* reads of a few KiB */
	struct flint_server *server;
	struct flint_cluster *cluster;	/* NULL: alone, nothing of the map is checked */
	struct flint_member *member;
	struct chunkd_fences fences;
	struct chunkd_permits permits;
	bool stopping;			/* the workers have ended */
	struct chunkd_link *links;	/* main loop */
	struct chunkd_send *free_sends, *all_sends;
	struct chunkd_req *free;	/* requests for use again */
	struct chunkd_req *all;		/* every one that was made */
	pthread_mutex_t free_lock;	/* protects the lists of free and all requests and sends */
};

/* flint_server_config.request */
void chunkd_request(void *arg, struct flint_call *call);
/* flint_member_config.targets */
int chunkd_hb_targets(void *arg, struct flint_hb_target *t, unsigned int max);
/* flint_member_config.settings */
void chunkd_settings(void *arg, const struct flint_hb_settings *s);
/* flint_server_config.map_epoch */
uint64_t chunkd_map_epoch(void *arg);
int chunkd_revoked(void *arg, const struct flint_token *token);
void chunkd_reqs_free(struct flint_chunkd *d);
/* A collector's (metrics.c). @arg: struct flint_chunkd. */
void chunkd_collect(void *arg, FILE *f);
/* NULL: not one of ours. */
struct chunkd_target *chunkd_target_find(struct flint_chunkd *d, u32 id);
/* The worker serves the target, or does so no longer; its engine has its device. Worker's thread. */
void chunkd_worker_take(struct chunkd_worker *w, struct chunkd_target *t);
void chunkd_worker_drop(struct chunkd_worker *w, struct chunkd_target *t);
/* Bytes that the requester can take as a reply's payload. */
u32 chunkd_reply_room(const struct flint_call *call);

#endif /* FLINT_CHUNK_SERVICE_H */
