/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process's view of its cluster: the current map, kept by a standing request
 * at a manager, and connections to the servers that the map names.
 *
 * The map arrives as an image, is checked (CRC, flint_map_check()) and then
 * never changes: readers take a reference to a snapshot and read it without a
 * lock. Everything else lives on one loop.
 */
#ifndef FLINT_CLIENT_CLUSTER_H
#define FLINT_CLIENT_CLUSTER_H

#include "../net/net.h"

#define FLINT_MGRS_MAX	8

struct flint_cluster;

/**
 * struct flint_map_ref - an immutable snapshot
 * @map: sections of the image (flint_map_node() and so on)
 * @len: bytes of image
 */
struct flint_map_ref {
	struct flint_map map;
	uint32_t len;
	int refs;
	uint8_t *image;
};

/**
 * struct flint_cluster_config
 * @loop: runs everything
 * @role: ours, for HELLO
 * @client_id: random, one per process or mount
 * @key: cluster key, or the secret of @token, or NULL
 * @token: claims, if we have a token and not the cluster key; else NULL
 * @name: for the servers' logs
 * @mgrs, @nr_mgrs: TCP addresses of managers, tried in turn; later also those that
 *	the map names
 * @proto: how to reach other servers: FLINT_PROTO_TCP or FLINT_PROTO_RDMA
 *	(managers are always spoken to over TCP)
 * @else_tcp: a server that does not offer @proto is reached over TCP
 * @pool: for payloads, see flint_peer_config; may be NULL
 * @max_io, @inline_size, @credits: of connections, 0: default
 * @changed: a new snapshot is current (on the loop); may be NULL
 * @up: a connection to a node was made; may be NULL
 * @push: a node's push (flint_peer_config.push); NULL: none are negotiated
 */
struct flint_cluster_config {
	struct flint_loop *loop;
	uint8_t role;
	uint8_t client_id[16];
	const uint8_t *key;
	const struct flint_token *token;
	const char *name;
	struct sockaddr_storage mgrs[FLINT_MGRS_MAX];
	unsigned int nr_mgrs;
	int proto;
	bool else_tcp;
	struct flint_pool *pool;
	uint32_t max_io, inline_size, credits;
	void (*changed)(void *arg, const struct flint_map *map);
	void (*up)(void *arg, uint32_t node);
	void (*push)(void *arg, uint32_t node, const struct flint_msg *m);
	void *arg;
};

/**
 * flint_cluster_config_load() - managers and key from a daemon's options
 * @cfg: mgrs, nr_mgrs and key are filled in
 * @mgrs: "host[:port],...", or NULL: none
 * @key_file: of the cluster key
 * @key: where it goes; cfg->key points there
 * @err, @errlen: one sentence on failure
 *
 * Return: 0 or -errno.
 */
int flint_cluster_config_load(struct flint_cluster_config *cfg, const char *mgrs,
			      const char *key_file, uint8_t key[FLINT_KEY_LEN], char *err,
			      size_t errlen);

/* Starts asking for the map. Key, token, name and addresses are copied. NULL with errno. */
struct flint_cluster *flint_cluster_new(const struct flint_cluster_config *cfg);
/* On the loop, or with the loop stopped. Ends all its connections. */
void flint_cluster_free(struct flint_cluster *c);

/* Any thread. The current snapshot with a reference for the caller, or NULL before the first. */
struct flint_map_ref *flint_cluster_map(struct flint_cluster *c);
/* Any thread. Give a snapshot back; NULL is fine. */
void flint_map_put(struct flint_map_ref *ref);
/* Any thread. Epoch of the current snapshot, 0 before the first. */
uint64_t flint_cluster_epoch(struct flint_cluster *c);

/**
 * flint_cluster_token_revoked() - flint_server_config.revoked of a server
 *
 * Any thread. Return: 0, 1, or -EAGAIN before there is a map.
 */
int flint_cluster_token_revoked(struct flint_cluster *c, const struct flint_token *token);

/**
 * flint_cluster_peer() - the connection to a node
 * @c: the cluster
 * @node: id
 * @err: result: -ENOENT (no map yet, or no such node) or -ENOTCONN (the map
 *	has no address of the wanted kind for it); may be NULL
 *
 * Made on first use and kept; replaced when the node's address changes. The
 * pointer is good until the caller returns to the loop: fetch it for each
 * call. On the loop.
 */
struct flint_peer *flint_cluster_peer(struct flint_cluster *c, uint32_t node, int *err);

/**
 * flint_cluster_call() - send a request to a node
 *
 * On the loop. Return: 0 (rpc->done will be called) or -errno as
 * flint_cluster_peer(), and done is not called.
 */
int flint_cluster_call(struct flint_cluster *c, uint32_t node, struct flint_rpc *rpc);

/* End the connection to a node, if there is one; it is made anew when needed. On the loop. */
void flint_cluster_reset(struct flint_cluster *c, uint32_t node, const char *why);

/* The same to the manager that answers at present. On the loop. */
void flint_cluster_call_mgr(struct flint_cluster *c, struct flint_rpc *rpc);

/**
 * flint_cluster_mgr_elsewhere() - the manager in use was not the right one to ask
 * @rpc: a request to it that has ended: with FLINT_ST_NOT_LEADER, whose hint is
 *	followed, or without an answer
 *
 * From rpc->done, on the loop. The request may be sent again, after a pause; it
 * goes to another manager if there is one.
 */
void flint_cluster_mgr_elsewhere(struct flint_cluster *c, const struct flint_rpc *rpc);
/* Is there more than one manager to turn to? On the loop. */
bool flint_cluster_several_mgrs(struct flint_cluster *c);

/* Session epoch for the HELLO of all connections, present and future. On the loop. */
void flint_cluster_set_session(struct flint_cluster *c, uint64_t session_epoch);

/**
 * struct flint_cluster_waiter - wait for a map
 * Zero-initialise, fill fn; the memory is the caller's until fn is called.
 */
struct flint_cluster_waiter {
	void (*fn)(struct flint_cluster_waiter *w, int err);	/* 0 or -errno */
	uint64_t epoch;
	struct flint_timer timer;
	struct flint_cluster *cluster;
	struct flint_cluster_waiter *next;
};

/**
 * flint_cluster_wait() - call w->fn as soon as the map's epoch is at least @epoch
 * @timeout_ms: after this, -ETIMEDOUT
 *
 * -EACCES or -EPROTONOSUPPORT when the only manager refuses us before there was
 * a map: another key, another protocol version.
 *
 * On the loop; fn is called at once, from here, when the map is there already.
 */
void flint_cluster_wait(struct flint_cluster *c, struct flint_cluster_waiter *w,
			uint64_t epoch, uint64_t timeout_ms);
/* Forget a waiter; its fn is not called. */
void flint_cluster_wait_cancel(struct flint_cluster *c, struct flint_cluster_waiter *w);

#endif /* FLINT_CLIENT_CLUSTER_H */
