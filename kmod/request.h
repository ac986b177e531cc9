/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The request layer: what the file system half of the module asks of the
 * transport half. No verbs type and no VFS type appears here.
 *
 * Life of a request
 *  - flint_req_alloc() makes it with one reference, the submitter's.
 *  - The submitter fills the body and, for requests that move data, the
 *    memory (bvec) and the hold that keeps this memory alive.
 *  - flint_req_submit() hands it to a connection. From then on exactly one
 *    call of ->done() follows, in process context unless the request is
 *    @atomic, whatever happens: reply, dead connection, deadline, shutdown.
 *  - A waiter that is killed only drops its reference; the request goes on
 *    and ends by itself.
 *
 * Who owns the memory: the device may write to (or read from) the pages of a
 * request until its memory region is proven dead: remotely invalidated,
 * locally invalidated, or its queue pair drained. The transport therefore
 * takes a reference on @hold at submission and drops it when that is proven;
 * normally just before ->done(). When a device never flushes (zombie
 * connection), ->done() is called with -EIO and the hold is kept: the pages
 * leak, bounded and counted, but nobody's memory is overwritten.
 */
#ifndef _FLINT_REQUEST_H
#define _FLINT_REQUEST_H

#include <linux/bvec.h>
#include <linux/refcount.h>
#include <linux/socket.h>
#include <linux/workqueue.h>
#include "../uapi/flintfs/codec.h"
#include "../uapi/flintfs/lease.h"

struct flint_net;
struct flint_peer;
struct flint_req;
struct net;
struct seq_file;

/**
 * struct flint_hold - keeps the memory of one or more requests alive
 * @ref: submitter's plus one per request that a device may still touch
 * @release: called when the last reference goes; unpins. In softirq context only
 *	if an atomic request has this hold
 */
struct flint_hold {
	refcount_t ref;
	void (*release)(struct flint_hold *hold);
};

static inline void flint_hold_get(struct flint_hold *hold)
{
	refcount_inc(&hold->ref);
}

static inline void flint_hold_put(struct flint_hold *hold)
{
	if (refcount_dec_and_test(&hold->ref))
		hold->release(hold);
}

enum flint_dir {
	FLINT_DIR_NONE,
	FLINT_DIR_OUT,		/* memory -> server */
	FLINT_DIR_IN,		/* server -> memory */
};

/**
 * struct flint_req - one request
 *
 * Filled in by the submitter between alloc and submit:
 * @op: enum flint_op (set by flint_req_alloc())
 * @dir: direction of the payload
 * @seq, @seq_low: for mutating operations, else 0
 * @retry: this seq was sent before
 * @deadline: jiffies; when it passes, the connection is ended and the request
 *	with it (-ETIMEDOUT). Never 0.
 * @cred: the body ends with a struct flint_cred_tail
 * @atomic: ->done() and the hold's release do not sleep: they may be called in
 *	softirq context when the reply has little payload
 * @lease: kinds of leases wanted with the answer (lease.h); for flint_call() only
 * @only_conn: id of the connection that it must go out on, 0: any
 * @session: epoch that the connection must have been greeted with, so that a chunk server takes
 *	the request for that session's and no other, 0: any
 * @bvec, @nr_bvec, @bv_skip: memory, starting @bv_skip bytes into bvec[0];
 *	the array must live as long as @hold
 * @data_len: bytes of payload to send, or room for a reply's payload
 * @hold: keeps the memory alive; required when @dir is not NONE
 * @tries: attempts before this one
 * @done: called once; may not sleep for long and may not submit with waiting
 * @priv: the submitter's
 *
 * Result, valid from ->done() on:
 * @err: 0: the server answered, look at @status. -ENOTCONN: connection died,
 *	the server may or may not have executed it. -ETIMEDOUT: deadline passed,
 *	likewise. -EIO: shut down. -ENOMEM, -EMSGSIZE: never sent.
 * @status: enum flint_status
 * @rep_body, @rep_len: reply body; valid in ->done() and, for requests made
 *	with a reply copy (flint_call()), until the request is put
 * @rep_data_len: payload bytes that arrived in the memory
 * @rep_epoch: map epoch of the reply's header
 * @rep_lease: of the reply's header
 * @grants: the leases that came with it, @nr_grants of them; until the request is put
 * @sent_boot: CLOCK_BOOTTIME when it was sent, ns, at most a tick too early
 */
struct flint_req {
	u16 op;
	u8 dir;
	bool retry;
	bool cred;
	bool atomic;
	u8 lease;
	u16 tries;
	unsigned int nr_bvec;
	u32 only_conn;
	u64 session;
	u64 seq;
	u64 seq_low;
	unsigned long deadline;
	const struct bio_vec *bvec;
	size_t bv_skip;
	u32 data_len;
	struct flint_hold *hold;
	void (*done)(struct flint_req *req);
	void *priv;

	int err;
	u32 status;
	const void *rep_body;
	u32 rep_len;
	u32 rep_data_len;
	u64 rep_epoch;
	u8 rep_lease;
	u8 nr_grants;
	const struct flint_lease_grant *grants;
	u64 sent_boot;

	void *body;
	u32 body_len;

	/* The transport's from here on; see request.c. */
	refcount_t ref;
	u8 state;
	u32 tag;
	unsigned long sent;
	u64 begun;		/* ktime ns of the submission, 0: not counted */
	pid_t pid;		/* process that submitted */
	struct list_head node;
	struct flint_peer *peer;
	void *conn;
	void *xprt;		/* memory regions */
	void *rep_copy;
	u32 rep_copy_size;
	struct completion *waiter;
};

/**
 * flint_req_alloc() - make a request
 * @op: enum flint_op
 * @body_len: bytes of body to reserve, zeroed, at req->body; at most
 *	FLINT_CTRL_SIZE + the inline size less the header
 * @gfp: GFP_KERNEL, GFP_NOFS, GFP_NOIO or GFP_NOWAIT
 *
 * Return: the request with one reference, or NULL.
 */
struct flint_req *flint_req_alloc(u16 op, u32 body_len, gfp_t gfp);
void flint_req_get(struct flint_req *req);
void flint_req_put(struct flint_req *req);

/* Fail instead of waiting for a connection, a credit or a memory region. */
#define FLINT_SUBMIT_NOWAIT	0x1

/**
 * flint_req_submit() - send a request
 * @peer: to whom
 * @req: filled in; the transport takes its own reference
 * @flags: FLINT_SUBMIT_*
 *
 * Waits, killable and until req->deadline, for a live connection, a credit
 * and memory regions.
 *
 * Context: process; must not hold a spinlock.
 * Return: 0: ->done() will be called (perhaps it was already). Otherwise it
 * will not: -EAGAIN (NOWAIT), -EINTR (killed), -ETIMEDOUT, -EIO (shut down,
 * or the peer refused us for good: flint_peer_reason()), -EMSGSIZE, -ENOTCONN
 * (@only_conn is gone, or the connection is another session's).
 */
int flint_req_submit(struct flint_peer *peer, struct flint_req *req, unsigned int flags);

/**
 * flint_call() - submit and wait
 * @peer: to whom
 * @req: filled in but for ->done and ->priv
 * @rep: reply body is copied here, cut or zero-filled to @rep_size
 * @rep_size: bytes; may be 0
 * @rep_min: a reply with status 0 must have this many bytes or is -EPROTO
 *
 * The wait is killable and ends at req->deadline at the latest. A killed
 * caller gets -EINTR and must treat the outcome as unknown; memory stays
 * alive through req->hold.
 *
 * Return: 0 with req->status set, or an error as req->err or
 * flint_req_submit().
 */
int flint_call(struct flint_peer *peer, struct flint_req *req,
	       void *rep, u32 rep_size, u32 rep_min);

/* Largest payload of one request to this peer: negotiated max_io, also
 * bounded by memory-region depth. Before the first connection: 64 KiB.
 */
u32 flint_peer_max_io(struct flint_peer *peer);

/**
 * flint_bvec_span() - how much of this memory fits one request
 * @peer: to whom
 * @bvec: memory
 * @nr: entries
 * @skip: bytes of bvec[0] to leave out
 * @len: bytes wanted
 *
 * Memory with gaps that are not on page boundaries needs a memory region per
 * run, and a request carries at most FLINT_MAX_DESC of them. Never sleeps.
 *
 * Return: bytes from the start (at most @len and flint_peer_max_io(), at
 * least 1 when @len is) that one request can describe. A connection made
 * later may be smaller; submission then says -EMSGSIZE: split again.
 */
u32 flint_bvec_span(struct flint_peer *peer, const struct bio_vec *bvec,
		    unsigned int nr, size_t skip, size_t len);

/* Would a NOWAIT submission have a chance? Lockless hint. */
bool flint_peer_ready(struct flint_peer *peer);

/* Is a connection up, with credits or without? Lockless hint. */
bool flint_peer_live(struct flint_peer *peer);

/* Requests in flight, over all its connections. Lockless hint. */
u32 flint_peer_inflight(struct flint_peer *peer);

/* Somebody waits for it: connect now rather than after the back-off. */
void flint_peer_hurry(struct flint_peer *peer);

/**
 * flint_peer_reset() - end the connections of a peer
 * @peer: the peer
 * @why: one clause
 *
 * What is in flight ends with -ENOTCONN; connecting begins anew.
 *
 * Context: any but hard interrupts; does not sleep.
 */
void flint_peer_reset(struct flint_peer *peer, const char *why);

/* Last failure in words, for the mount error and sysfs; never NULL. */
const char *flint_peer_reason(struct flint_peer *peer);

/* Refused for good (authentication, version, size)? 0 or -EACCES, -EPROTONOSUPPORT, ... */
int flint_peer_refused(struct flint_peer *peer);

/**
 * struct flint_net_opts - what a mount wants of its network
 * @net: network namespace of the mounter
 * @key: cluster key or secret of @token, FLINT_KEY_LEN bytes, or NULL: no
 *	authentication
 * @token: checked claims when we have a token and not the cluster key, else NULL
 * @client_id: 16 random bytes, one per mount
 * @name: for the servers' logs
 * @inline_size, @max_io, @credits: wanted
 * @connect_timeo, @hb_timeo: jiffies (5 s, 10 s)
 * @nconn: connections per peer, 1..16; a chunk server with more addresses has one for each
 * @push: a metadata server pushed a message; NULL: pushes are not negotiated. In
 *	completion context, in an RCU read section that ends before
 *	flint_net_shutdown() and a grace period are over. Returns 0, or an error
 *	that ends the connection
 * @up: a connection was made; may be NULL. In an RCU read section as @push
 * @event: the first connection of a peer is up, or its last one that was is down; may be
 *	NULL. In an RCU read section as @push
 * @arg: for all three
 */
struct flint_net_opts {
	struct net *net;
	const u8 *key;
	const struct flint_token *token;
	u8 client_id[16];
	char name[FLINT_LABEL_LEN];
	u32 inline_size;
	u32 max_io;
	u32 credits;
	unsigned long connect_timeo;
	unsigned long hb_timeo;
	u32 nconn;
	int (*push)(void *arg, u32 conn, const struct flint_msg *m);
	void (*up)(void *arg, struct flint_peer *peer);
	void (*event)(void *arg, struct flint_peer *peer, bool up);
	void *arg;
};

/**
 * flint_net_create() - the network of one mount
 * @opts: copied
 * Return: the network or ERR_PTR(-ENOMEM).
 */
struct flint_net *flint_net_create(const struct flint_net_opts *opts);

/* The session epoch that later HELLOs carry. */
void flint_net_set_epoch(struct flint_net *net, u64 session_epoch);

/**
 * flint_net_reset() - connect anew to every server, with another greeting
 * @net: the network
 * @why: words for the log
 *
 * Requests in flight end with -ENOTCONN. Context: process.
 */
void flint_net_reset(struct flint_net *net, const char *why);

/**
 * flint_net_shutdown() - fail all requests, now and later, with -EIO
 *
 * Does not wait. For umount -f and the sysfs abort file; any context that may
 * sleep.
 */
void flint_net_shutdown(struct flint_net *net);

/**
 * flint_net_destroy() - shut down and free
 *
 * Waits at most 10 s for connections to end; what is left is torn down by the
 * transport's own work and waited for at module exit only.
 */
void flint_net_destroy(struct flint_net *net);

#define FLINT_PEER_DESTS	8

/**
 * struct flint_dest - where a server can be reached
 * @addr: of a listener
 * @proto: FLINT_PROTO_RDMA or FLINT_PROTO_TCP
 */
struct flint_dest {
	struct sockaddr_storage addr;
	u8 proto;
};

/**
 * flint_peer_get() - a server, by its addresses
 * @net: of the mount
 * @dests: ways to it, verbs first. Where there are both, TCP serves while verbs fail. A chunk
 *	server is reached at all of its addresses at once, others at one, tried in turn
 * @nr: of them, 1..FLINT_PEER_DESTS
 * @role: enum flint_role of the server
 *
 * Finds the peer with these ways to it or makes it; connecting begins
 * at once in the background and goes on with back-off for the peer's life.
 *
 * Return: the peer with a reference, or ERR_PTR(-ENOMEM, -EIO).
 */
struct flint_peer *flint_peer_get(struct flint_net *net,
				  const struct flint_dest *dests,
				  unsigned int nr, u8 role);
void flint_peer_put(struct flint_peer *peer);

/**
 * flint_peer_wait() - wait until a connection is up
 * Killable. Return: 0, -EINTR, -ETIMEDOUT, -EIO, or flint_peer_refused().
 */
int flint_peer_wait(struct flint_peer *peer, unsigned long timeout);

/* ---- seen from outside: show.c ---------------------------------------- */

#define FLINT_PEER_ADDR_LEN	64

/**
 * struct flint_peer_info - how a peer is
 * @addr: address and port
 * @state: of its connections in a word
 * @proto: "rdma", "tcp"
 * @conns, @lanes: connections that are up, and that there should be
 * @reason: of the last failure, "-": none
 */
struct flint_peer_info {
	char addr[FLINT_PEER_ADDR_LEN];
	u8 role;
	const char *state;
	const char *proto;
	u32 conns;
	u32 lanes;
	u32 inflight;
	u32 reconnects;
	u32 rtt_us;
	char reason[120];
};

struct flint_lat;

void flint_peer_info(struct flint_peer *peer, struct flint_peer_info *info);
const struct flint_lat *flint_peer_lat(const struct flint_peer *peer);
const struct flint_lat *flint_net_lat(const struct flint_net *net);

/**
 * flint_net_peer() - look at one of the peers
 * @net: the network
 * @n: counts them from 0
 * @fn: called with the peer, which stays for that long; under a mutex
 * @arg: for it
 *
 * Return: what @fn returned, or -ENOENT: there are no more.
 */
int flint_net_peer(struct flint_net *net, unsigned int n,
		   int (*fn)(struct flint_peer *peer, void *arg), void *arg);

/**
 * flint_net_abort() - end what is in flight and what waits, with -EIO
 * @net: the network
 * @addr: of the peer as flint_peer_info() says it, or NULL: of all peers
 * @nr: result: requests that were in flight
 *
 * What is submitted afterwards is tried as ever.
 *
 * Context: process.
 * Return: 0, or -ENOENT: no such peer.
 */
int flint_net_abort(struct flint_net *net, const char *addr, u32 *nr);

/* Requests in flight and submitters that wait, one line each: debugfs "inflight". */
void flint_net_show_inflight(struct flint_net *net, struct seq_file *m);
/* Peers, one line each: debugfs "peers". */
void flint_net_show_peers(struct flint_net *net, struct seq_file *m);
/* Their connections, one line each: debugfs "conns". */
void flint_net_show_conns(struct flint_net *net, struct seq_file *m);

int flint_transport_init(void);
void flint_transport_exit(void);	/* waits for all connections of all mounts */

#endif /* _FLINT_REQUEST_H */
