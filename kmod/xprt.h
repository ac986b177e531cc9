/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside the transport half: what request.c, peer.c, auth.c and the transports
 * (struct flint_xprt_ops) share. No verbs type appears here.
 *
 * Objects
 *  flint_net	one mount's view of the network; owns its peers
 *  flint_peer	one server; owns its lanes, opts.nconn or one for each rail
 *  flint_rail	one address of a chunk server; of others, all that they have
 *  flint_lane	one place for a connection; reconnects for the peer's life
 *  flint_conn	one connection. Never revived: a reconnect makes a new one
 *  flint_slot	one tag of a connection: the request, its message buffer and
 *		its memory regions
 *
 * Invariants
 *  I1 a receive buffer belongs to the device from post to completion.
 *  I2 a tag has exactly one request; freeing the slot raises its generation.
 *  I3 no memory region goes back to the pool unless it is invalid, and no hold
 *     is dropped while a region of the request may be valid.
 *  I4 a message buffer is written again only after its send completed or its
 *     reply arrived (which proves that the peer has the message).
 *  I5 ->done() is called exactly once, after I3. Zombies break I3 for the hold
 *     only: it is kept.
 *  I6 work requests are posted only under conn->lock with the connection not
 *     yet failed (the drain markers excepted).
 *  I7 requests in flight <= credits granted; the reserved slot, used for
 *     HELLO, AUTH and PING, does not count.
 *  I8 every request has a deadline, and the tick runs while a connection is up.
 *
 * Locks, outermost first: net->lock (mutex), peer->lock, conn->lock. The lock
 * of the memory-region pool is a leaf and never taken under conn->lock.
 */
#ifndef _FLINT_XPRT_H
#define _FLINT_XPRT_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include "latency.h"
#include "request.h"

struct crypto_shash;
struct flint_xprt_ops;

#define FLINT_REASON_LEN	120
#define FLINT_CONNS_MAX		16
#define FLINT_DRAIN_GRACE	(30 * HZ)	/* then the connection is a zombie */
#define FLINT_PING_IDLE		(2 * HZ)
#define FLINT_TICK		HZ
#define FLINT_BACKOFF_MIN	(HZ / 4)
#define FLINT_COMPLAIN_EVERY	(60 * HZ)	/* of failed attempts */
#define FLINT_VERBS_TIMEO	(2 * HZ)	/* to connect, where TCP could do */
#define FLINT_VERBS_AGAIN_MIN	(3 * HZ)	/* until verbs are tried again after they failed */
#define FLINT_VERBS_AGAIN_MAX	(30 * HZ)
#define FLINT_BACKOFF_MAX	(10 * HZ)
#define FLINT_MIN_IO		4096
#define FLINT_ATOMIC_DATA	16384	/* larger payloads are checked in process context */
#define FLINT_BODY_EMBED	320		/* body bytes that need no extra allocation */
#define FLINT_REP_EMBED		368		/* the same for a copied reply and its leases */

/**
 * struct flint_req_obj - a request and what belongs to it
 * @r: what the file system half sees
 * @reply: completed when the request ends; flint_call() waits for it
 * @body: embedded body; a longer one is allocated
 * @rep: embedded copy of the reply body
 */
struct flint_req_obj {
	struct flint_req r;
	struct completion reply;
	u8 body[FLINT_BODY_EMBED] __aligned(8);
	u8 rep[FLINT_REP_EMBED] __aligned(8);
};

#define flint_req_obj(req) container_of(req, struct flint_req_obj, r)

/* struct flint_req.state */
enum flint_req_state {
	FLINT_REQ_NEW,
	FLINT_REQ_SENT,
	FLINT_REQ_DONE,
};

struct flint_net {
	struct kref ref;
	struct flint_net_opts opts;
	u8 key[FLINT_KEY_LEN];
	struct flint_token *token;	/* claims, or NULL */
	struct crypto_shash *hmac;	/* NULL: no key */
	atomic64_t session_epoch;
	atomic64_t traces;		/* requests without a seq, for their ids */
	struct mutex lock;		/* peers */
	struct list_head peers;
	bool shutdown;
	atomic_t nr_conns;		/* not yet torn down */
	wait_queue_head_t wq;		/* nr_conns fell to 0 */
	atomic_t zombies;
	struct flint_lat lat;		/* of all its peers */
};

/**
 * struct flint_rail - the ways to one address of a server
 * @dests: of peer->dests, verbs first
 * @nr: of them
 * @nr_verbs: the first of them
 * @up: one of its lanes has a connection; this and @refused under peer->lock
 * @refused: the last attempt was refused for good
 */
struct flint_rail {
	const struct flint_dest *dests;
	unsigned int nr;
	unsigned int nr_verbs;
	bool up;
	bool refused;
};

/**
 * struct flint_lane - a place for one connection, and for its change
 * @work: connects; re-armed with back-off
 * @conn: the connection in use, or NULL. This and the next two are written under
 *	peer->lock and read under RCU
 * @next: being made to take its place: verbs, while @conn is TCP
 * @old: whose place was taken: nothing new is sent on it; ends when its requests have
 * @rail: whose it is, for good
 * @requests, @bytes: sent on connections that have ended; under peer->lock
 * @backoff: jiffies between attempts
 * @delay: jiffies until the next attempt
 * @next_dest: index into rail->dests
 * @verbs_again: jiffies before which verbs need not be tried, if @verbs_wait is not 0
 * @verbs_wait: how long after they failed last
 * @tried: jiffies of the last attempt
 */
struct flint_lane {
	struct flint_peer *peer;
	struct flint_rail *rail;
	u64 requests, bytes;
	struct delayed_work work;
	struct flint_conn __rcu *conn;
	struct flint_conn __rcu *next;
	struct flint_conn __rcu *old;
	unsigned long backoff;
	unsigned long delay;
	unsigned long verbs_again;
	unsigned long verbs_wait;
	unsigned long complain;		/* jiffies: no word of failed attempts before; 0: at once */
	unsigned int next_dest;
	unsigned long tried;
};

/* A submitter that waits for a connection, a credit or a region; on its stack. */
struct flint_waiter {
	struct list_head node;		/* peer->waiters; under peer->lock */
	struct flint_req *req;
	unsigned long since;		/* jiffies */
};

struct flint_peer {
	struct kref ref;		/* users, lanes' works, connections */
	atomic_t users;			/* flint_peer_get(); at 0 it closes */
	struct flint_net *net;
	struct list_head node;		/* net->peers; under net->lock */
	struct flint_dest dests[FLINT_PEER_DESTS];
	unsigned int nr_dests;
	struct flint_rail rails[FLINT_PEER_DESTS];
	unsigned int nr_rails;
	u8 role;
	/* lanes' conn, rails, reason, refused, closing, waiters, aborts */
	spinlock_t lock;
	bool closing;
	int refused;
	char reason[FLINT_REASON_LEN];
	char shown[FLINT_REASON_LEN];	/* what flint_peer_reason() handed out */
	wait_queue_head_t wq;		/* submitters and flint_peer_wait() */
	u32 max_io;			/* this and the next four: the least of all connections */
	u32 inline_size;
	u32 max_pages;			/* pages per memory region */
	u32 max_seg;			/* bytes per DMA segment */
	bool stream;			/* all connections take any memory */
	u32 reconnects;
	u32 rtt_us;
	u32 aborts;			/* times that its requests were aborted by hand */
	struct list_head waiters;
	struct flint_lat lat;
	unsigned int nconn;		/* a multiple of nr_rails */
	struct flint_lane lanes[FLINT_CONNS_MAX];	/* of the rails in turn */
};

enum flint_conn_state {
	FLINT_CONN_NEW,		/* connect work: resolving, connecting */
	FLINT_CONN_HELLO,	/* connect work: queue pair up, HELLO and AUTH */
	FLINT_CONN_LIVE,
	FLINT_CONN_DRAINING,	/* failed or closed; nothing is posted any more */
	FLINT_CONN_DEAD,
};

enum flint_slot_state {
	FLINT_SLOT_FREE,
	FLINT_SLOT_PREP,	/* a submitter builds the message */
	FLINT_SLOT_SENT,	/* waits for the reply */
	FLINT_SLOT_REPLIED,	/* reply is here, regions are being invalidated */
	FLINT_SLOT_ZOMBIE,	/* request has ended, memory is still the device's */
};

/**
 * struct flint_slot - one tag
 * @req: in PREP, SENT, REPLIED
 * @hold: ZOMBIE: what keeps the memory alive
 * @msg: message buffer, FLINT_CTRL_SIZE + inline size
 * @tag: generation and index as on the wire while SENT, else 0
 * @gen: of the next use; never such that the tag would be 0
 * @atomic: REPLIED: flint_slot_finish() may be called in softirq context, too
 */
struct flint_slot {
	struct flint_req *req;
	struct flint_hold *hold;
	void *msg;
	u32 tag;
	u16 gen;
	u16 idx;
	u8 state;
	bool atomic;
};

/**
 * struct flint_conn - one connection
 *
 * @lock protects state, err, reason, slots, free list, counters and posting.
 * It is taken with bottom halves off: software devices then send from the
 * poster's context when it is dropped, instead of waking a thread.
 */
struct flint_conn {
	struct kref ref;
	const struct flint_xprt_ops *ops;
	u32 id;				/* for traces and logs; never used again */
	struct flint_peer *peer;
	struct flint_lane *lane;
	const struct flint_dest *dest;	/* where it leads; NULL: connecting */
	unsigned long connect_timeo;	/* jiffies */
	spinlock_t lock;		/* see above */
	enum flint_conn_state state;
	int err;
	char reason[FLINT_REASON_LEN];
	wait_queue_head_t wq;		/* state left NEW/HELLO by failure; preparing fell to 0 */

	u32 depth;			/* slots beside the reserved one */
	u32 credits;			/* granted, <= depth */
	u32 inflight;			/* slots taken, without the reserved one */
	u32 preparing;			/* slots in PREP */
	u64 requests;			/* sent, without the reserved slot's */
	u64 bytes;			/* of their payload */
	u16 *free;			/* stack of free slot indices */
	u32 nr_free;
	struct flint_slot **slots;	/* depth + 1; the last is reserved */
	struct flint_limits lim;
	bool pushes;			/* negotiated */
	bool bundles;			/* negotiated: several requests in a message */
	u32 max_pages;
	u32 max_seg;
	u64 session;			/* that the greeting named; set before LIVE */

	bool was_live;			/* the connect work's and the teardown's */

	unsigned long last_rx;
	unsigned long last_tx;
	struct delayed_work tick;
	struct work_struct teardown;
	struct rcu_head rcu;
};

/*
 * Chunk servers take all that comes on a connection for the session of its greeting: has another
 * one begun?
 */
static inline bool flint_conn_outdated(const struct flint_conn *conn)
{
	return conn->peer->role == FLINT_ROLE_CHUNK &&
	       conn->session != atomic64_read(&conn->peer->net->session_epoch);
}

/* What a submission lacks; flint_conn_submit() */
enum flint_want {
	FLINT_WANT_NONE,
	FLINT_WANT_CONN,	/* connection or credit: peer->wq */
	FLINT_WANT_MR,		/* memory region: flint_mr_wq */
};

/* request.c */
int flint_req_init(void);
void flint_req_exit(void);
int flint_conn_submit(struct flint_conn *conn, struct flint_req *req, bool reserved,
		      enum flint_want *want);
void flint_conn_pushed(struct flint_conn *conn, const struct flint_msg *m);
struct flint_slot *flint_slot_reply(struct flint_conn *conn, const struct flint_msg *m);
void flint_slot_finish(struct flint_conn *conn, struct flint_slot *slot,
		       const struct flint_msg *m);
void flint_conn_abort_requests(struct flint_conn *conn, bool zombie);
void flint_conn_release_zombies(struct flint_conn *conn);
bool flint_conn_check_deadlines(struct flint_conn *conn);
int flint_conn_call(struct flint_conn *conn, struct flint_req *req, void *rep, u32 rep_size,
		    u32 rep_min);
int flint_slots_alloc(struct flint_conn *conn, u32 depth, size_t slot_size, void **mem);
void flint_slots_free(struct flint_conn *conn, void *mem);

/* peer.c */
extern struct workqueue_struct *flint_cm_wq;	/* connect, teardown: may sleep long */
extern struct workqueue_struct *flint_io_wq;	/* WQ_MEM_RECLAIM: replies, ticks, pings */
void __printf(3, 4) flint_conn_fail(struct flint_conn *conn, int err, const char *fmt, ...);
bool flint_conn_set_state(struct flint_conn *conn, enum flint_conn_state to);
void flint_conn_init(struct flint_conn *conn, const struct flint_xprt_ops *ops,
		     struct flint_peer *peer, struct flint_lane *lane);
void flint_conn_get(struct flint_conn *conn);
void flint_conn_put(struct flint_conn *conn);
const struct flint_xprt_ops *flint_xprt_of(const struct flint_dest *dest);
struct flint_conn *flint_peer_conn(struct flint_peer *peer, unsigned int turn);
struct flint_conn *flint_peer_conn_find(struct flint_peer *peer, u32 id);

/* auth.c */
int flint_auth_alloc(struct flint_net *net);
void flint_auth_free(struct flint_net *net);
int flint_auth_handshake(struct flint_conn *conn);

/* mr.c: pure part, and the queue of those who wait for a memory region */
extern wait_queue_head_t flint_mr_wq;

/**
 * struct flint_cursor - a place in memory described by a bvec array
 * @idx: entry
 * @off: bytes into it
 * @left: bytes to go
 */
struct flint_cursor {
	unsigned int idx;
	u32 off;
	u32 left;
};

struct scatterlist;
u32 flint_run_next(const struct bio_vec *bvec, struct flint_cursor *cur, u32 max_pages,
		   u32 max_seg, struct scatterlist *sg, unsigned int *nents);
u32 flint_runs_span(const struct bio_vec *bvec, unsigned int nr, size_t skip, u32 len,
		    u32 max_pages, u32 max_seg);
void flint_cursor_init(struct flint_cursor *cur, const struct bio_vec *bvec, unsigned int nr,
		       size_t skip, u32 len);

/**
 * struct flint_xprt_ops - a transport
 * @name: "rdma" or "tcp"
 * @stream: payload follows its message and needs no descriptors
 * @connect: make a connection up to the point where messages can be sent, in state HELLO,
 *	or failed with its reason. ERR_PTR(-ENOMEM)
 * @map: make the request's memory ready; fills the descriptors and says how many. -EAGAIN: no
 *	region free, wait on flint_mr_wq. Called for payloads that do not stand in the message
 * @unmap: undo @map of a slot that was never posted
 * @post: send slot->msg; under conn->lock. -EAGAIN: send queue full. Others: fail the connection
 * @flush: after @post, without locks, may sleep briefly: send what is posted; may be NULL
 * @scrap: the memory of this slot is dead after a drain
 * @drain: stop all traffic. true: nothing touches requests' memory any more; waits at most
 *	for the time-out (jiffies)
 * @broken: did the device report that the connection is broken? Polled by the tick
 * @destroy: free everything but the connection itself; after a drain
 * @free: free the connection, after an RCU grace period
 */
struct flint_xprt_ops {
	const char *name;
	bool stream;
	struct flint_conn *(*connect)(struct flint_lane *lane, const struct sockaddr *addr);
	int (*map)(struct flint_conn *conn, struct flint_slot *slot, struct flint_req *req,
		   struct flint_desc *desc);
	void (*unmap)(struct flint_conn *conn, struct flint_slot *slot);
	int (*post)(struct flint_conn *conn, struct flint_slot *slot, u32 len);
	void (*flush)(struct flint_conn *conn);
	void (*scrap)(struct flint_conn *conn, struct flint_slot *slot);
	bool (*drain)(struct flint_conn *conn, unsigned long timeout);
	bool (*broken)(struct flint_conn *conn);
	void (*destroy)(struct flint_conn *conn);
	void (*free)(struct flint_conn *conn);
};

extern const struct flint_xprt_ops flint_xprt_rdma, flint_xprt_tcp;
int flint_rdma_init(void);
void flint_rdma_exit(void);
int flint_tcp_init(void);
void flint_tcp_exit(void);

#endif /* _FLINT_XPRT_H */
