/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the client library: what fs.c, fs_meta.c and fs_data.c share.
 *
 * Threads: struct flint_fs and every operation belong to the loop's thread.
 * Callers' threads only post tasks to it and wait. A file's attributes are the
 * exception: they are under the file's lock.
 */
#ifndef FLINT_CLIENT_FS_INT_H
#define FLINT_CLIENT_FS_INT_H

#include <pthread.h>
#include "cache.h"
#include "fs.h"
#include "fs_async.h"

#define FLINT_FS_TIMEOUT_MS	60000
#define FLINT_FS_CACHE_ENTRIES	65536

struct reclaim_body {
	struct flint_reclaim r;
	uint8_t recs[FLINT_LEASE_RECS_MAX * sizeof(struct flint_lease_rec)];
};

#define FS_NODES	256	/* a power of two */

struct flint_fs {
	struct flint_loop *loop;
	struct flint_cluster *cluster;
	struct flint_pool *pool;	/* RDMA only */
	pthread_t thread;
	bool own_loop;
	bool says_who;			/* a token: requests without credentials in their body get a tail */
	struct flint_cred cred;
	uint32_t timeout_ms;
	uint32_t max_io;
	uint32_t meta_node;		/* the leader, as far as we know */
	uint32_t map_meta;		/* whom the map names */
	uint32_t fs_id;
	uint32_t lease_ms;
	struct flint_attr root;

	/* Mutations: numbered in the order they are started, oldest first. */
	uint64_t next_seq;
	uint64_t traces;		/* of flint_trace_next() */
	struct fs_op *seq_first, *seq_last;
	uint32_t reads[FS_NODES];	/* pieces being read, by node id */

	/* The session and its leases: fs_lease.c. */
	struct fs_cache *cache;		/* NULL: without leases */
	struct flint_timer tick;
	bool begun, closing;
	uint64_t renewed_ns;		/* sent: the last request that was answered; 0: lost */
	uint64_t answered_ns;		/* when that answer came */
	uint64_t asked_ns;		/* when there began to be open requests */
	uint32_t meta_open;		/* requests at metadata servers */
	uint64_t lease_epoch;		/* leadership that granted what we hold, 0: ask */
	struct flint_rpc renew_rpc, probe_rpc, reclaim_rpc;
	struct flint_session_renew renew_body;
	struct reclaim_body reclaim_body;
	bool renew_open, probe_open, reclaim_open;
	uint32_t renew_node, probe_node;
	bool reclaiming, reclaim_last;
	struct flint_lease_rec *reclaim;
	uint32_t nr_reclaim, at_reclaim, sent_reclaim, sent_locks;
	struct flint_lease_rec *returns;
	uint32_t nr_returns, cap_returns;
	struct flint_task return_task;
	bool return_posted;
	struct fs_delegate *delegate;	/* fs_delegate.c: creates that the server was not told of; or NULL */
	struct fs_kept *kept;		/* fs_write.c: sizes that the server does not know */
	struct fs_refused *refused;	/* fs_write.c: why some never will be */
	struct fs_append *appends;	/* fs_write.c: under way */
	uint64_t nr_refused;		/* ever: what files know of their sizes may be one of those */
	struct held *held, *reclaim_lock;	/* fs_lock.c */
	struct lock_wait *lock_waits;
	struct lock_op *lock_ops;	/* oldest first */
	uint64_t next_wait;
	uint64_t st_kept, st_told, st_delegated, st_batches;
	uint64_t requests, st_grants, st_recalls, st_reclaimed, st_lost;
	uint64_t st_attr, st_lookup, st_negative, st_open, st_readdir;
};

/**
 * struct fs_op - one request, repeated until it is answered for good
 * @route: finds the node and builds what depends on the map; -EAGAIN: the map
 *	is too old, ask again when it has changed; other errors end the operation
 * @elsewhere: the attempt has failed, by rpc.err or rpc.status (NOT_SERVING,
 *	SHUTDOWN, CHECKSUM): true: try again at once, route finds
 *	another server. NULL, or false: what is always done
 * @done: @err 0: rpc.status and rpc's reply are final (never a status that
 *	asks for a plain repetition); else nobody answered in time
 *
 * The caller fills fs, rpc.op/body/out/in, mutating, deadline_ns, route, done.
 */
struct fs_op {
	struct flint_fs *fs;
	struct flint_rpc rpc;
	bool mutating;
	uint64_t touches;		/* inode whose attributes it changes, 0: none, or fs_async.c sees to it */
	bool blind;			/* it may change anything */
	uint8_t more_lease;		/* kinds that are wanted beside the usual ones */
	uint64_t deadline_ns;
	int (*route)(struct fs_op *op, uint32_t *node);
	bool (*elsewhere)(struct fs_op *op);
	void (*done)(struct fs_op *op, int err);
	void *priv;

	/* the engine's */
	uint32_t node;
	uint64_t since;			/* clock of the cache when it was sent */
	bool open;			/* at the server */
	struct cache_mut mut;
	uint64_t epoch;			/* leadership it was sent to, as we knew it */
	bool sent;
	uint32_t backoff_ms;
	int last_err;
	struct flint_timer timer;
	struct flint_cluster_waiter waiter;
	struct fs_op *seq_prev, *seq_next;
};

/* Room for struct flint_cred_tail at @out. Return: its bytes, 0: none is needed. */
uint32_t fs_cred_tail(const struct flint_fs *fs, uint8_t *out);
/* On the loop. */
void fs_op_start(struct fs_op *op);
/* The session closes: mutations that would be repeated later end now. On the loop. */
void fs_ops_end(struct flint_fs *fs);
/* @node does not lead: try another one. @rpc: its answer, or NULL. On the loop. */
void fs_meta_elsewhere(struct flint_fs *fs, uint32_t node, const struct flint_rpc *rpc);
/* Route of metadata requests. */
int fs_route_meta(struct fs_op *op, uint32_t *node);
/**
 * struct fs_wait - something that waits until creates are told (fs_delegate.c); begins as zeros
 */
struct fs_wait {
	struct flint_task *task;
	uint64_t nr, deadline_ns;
	bool again;			/* not the first time: nothing is promised meanwhile */
	struct fs_wait *next;
};

/*
 * The grants at the end of the answer of an operation that is not a struct flint_meta_req.
 * Return: number of the grant that names no inode, 0: there is none.
 */
uint64_t fs_learn_grants(struct flint_fs *fs, struct fs_op *op, int err);

/* A recall that has to wait is one with those before it, answered together. */
static inline void fs_recall_add(struct flint_lease_rec *due, const struct flint_lease_rec *rec)
{
	due->kinds |= rec->kinds;
	if (le64_to_cpu(rec->seq) > le64_to_cpu(due->seq))
		due->seq = rec->seq;
}

/* Final status of an answered operation as 0 or -errno. */
int fs_op_result(const struct fs_op *op, int err);

/**
 * struct fs_call - a metadata request made by a thread that waits
 * @rep, @rep_size, @rep_min: where the reply's body goes; copied for status
 *	FLINT_OK and ERANGE
 * @data_len: result: payload received into @in
 */
struct fs_call {
	uint16_t op;
	bool mutating;
	bool cred;			/* @body ends with fs_cred_tail() */
	uint64_t touches;
	bool blind;			/* see struct fs_op */
	const void *body;
	uint32_t body_len;
	const void *out;
	uint32_t out_len;
	void *in;
	uint32_t in_len;
	void *rep;
	uint32_t rep_size, rep_min;
	uint32_t timeout_ms;		/* 0: the file system's */

	uint32_t data_len;
	uint32_t status;
};

/* Any thread but the loop's. Return: 0 or -errno. */
int fs_call(struct flint_fs *fs, struct fs_call *call);

/* Run @fn(arg) on the loop and wait until it has returned. Any other thread. */
void fs_run_on_loop(struct flint_fs *fs, void (*fn)(void *arg), void *arg);

struct flint_file {
	struct flint_fs *fs;
	uint64_t handle;
	pthread_mutex_t lock;		/* attr, times_dirty */
	struct flint_attr attr;
	bool times_dirty;		/* written within the size: mtime is due at close */
	uint64_t nr_refused;		/* the file system's when attr came; the loop's */
};

void file_attr_set(struct flint_file *f, const struct flint_attr *attr);

#endif /* FLINT_CLIENT_FS_INT_H */
