/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Networking of the daemons and of the user-space client library: an event
 * loop, a pool of registered buffers, a server and a client, over verbs and
 * over TCP. Nothing here shows which transport carries a connection.
 *
 * Threads: every loop runs in one thread. A connection belongs to one loop;
 * all its callbacks run there. Functions marked "any thread" may be called
 * from elsewhere; all others only from the loop's thread (or before it runs).
 * A loop sleeps in epoll_wait() when there is nothing to do: it never spins.
 */
#ifndef FLINT_NET_H
#define FLINT_NET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <stdio.h>
#include "../../uapi/flintfs/codec.h"
#include "../../uapi/flintfs/lease.h"

/**
 * flint_trace_next() - a new request id, different from all others in practice
 * @state: of the caller, a random number at first
 */
static inline uint64_t flint_trace_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return z ? z : 1;
}

/* ---- event loop (loop.c) ---------------------------------------------- */

struct flint_loop;
struct flint_metrics;

struct flint_loop *flint_loop_new(void);
void flint_loop_free(struct flint_loop *loop);
/* Run until flint_loop_stop(). Return: 0 or -errno. */
int flint_loop_run(struct flint_loop *loop);
/* Any thread; also async-signal-safe. */
void flint_loop_stop(struct flint_loop *loop);
/* For many small requests: what tasks post waits for descriptors to have their turn. Before it runs. */
void flint_loop_gather(struct flint_loop *loop);
/* Nanoseconds of CLOCK_BOOTTIME. */
uint64_t flint_now_ns(void);

/**
 * struct flint_watch - a file descriptor that the loop watches
 * The caller fills fd and fn and keeps the memory until flint_watch_del().
 */
struct flint_watch {
	int fd;
	void (*fn)(struct flint_watch *w, uint32_t events);	/* EPOLLIN ... */
	void *arg;
};
int flint_watch_add(struct flint_loop *loop, struct flint_watch *w, uint32_t events);
int flint_watch_mod(struct flint_loop *loop, struct flint_watch *w, uint32_t events);
void flint_watch_del(struct flint_loop *loop, struct flint_watch *w);
/*
 * Call w->fn also whenever something interrupts the wait: io_uring does that to
 * post completions, and would be found ready only by waiting once more. One
 * watch for each loop; ends with flint_watch_del().
 */
void flint_watch_interrupts(struct flint_loop *loop, struct flint_watch *w);

/**
 * struct flint_timer - one shot; zero-initialise, fill fn
 */
struct flint_timer {
	void (*fn)(struct flint_timer *t);
	void *arg;
	uint64_t due_ns;	/* 0: not armed */
	size_t slot;
};
void flint_timer_set(struct flint_loop *loop, struct flint_timer *t, uint64_t after_ms);
void flint_timer_cancel(struct flint_loop *loop, struct flint_timer *t);

/**
 * struct flint_task - work handed to a loop; zero-initialise, fill fn
 */
struct flint_task {
	void (*fn)(struct flint_task *t);
	struct flint_task *next;
};
/* Any thread. The task's memory is the caller's until fn is called. */
void flint_loop_post(struct flint_loop *loop, struct flint_task *t);

/* ---- buffers (pool.c) ------------------------------------------------- */

struct flint_pool;

/**
 * struct flint_buf - one buffer of a pool
 * @data: page-aligned; registered with every device the process uses
 * @size: bytes
 * @index: in the pool, for io_uring's registered buffers
 */
struct flint_buf {
	uint8_t *data;
	uint32_t size;
	uint32_t index;
	int refs;
	struct flint_pool *pool;
	struct flint_holder *holder;	/* whom it was given to by flint_buf_wait() */
	struct flint_buf *next;
};

/**
 * struct flint_holder - what one client has of a pool, and waits for; zero-initialise
 */
struct flint_holder {
	uint32_t held;
	struct flint_buf_waiter *first, **last;
	struct flint_holder *next;
};

/**
 * flint_pool_new() - one arena of @count buffers of @size bytes
 *
 * The arena is locked in memory (a warning is logged when the limit forbids).
 * Return: the pool, or NULL with errno.
 */
struct flint_pool *flint_pool_new(uint32_t size, uint32_t count);
void flint_pool_free(struct flint_pool *pool);
/* Base address and length of the arena (for io_uring_register_buffers). */
void flint_pool_arena(struct flint_pool *pool, void **base, size_t *len);
/* Any thread. Return: a buffer with one reference, or NULL if all are taken. */
struct flint_buf *flint_buf_get(struct flint_pool *pool);
/**
 * flint_buf_get_above() - a buffer, if more than @keep are free
 *
 * Any thread. For those who must get one although others wait, and who among
 * themselves depend on one another in an order: the later in it, the smaller @keep.
 * Return: a buffer with one reference, or NULL.
 */
struct flint_buf *flint_buf_get_above(struct flint_pool *pool, uint32_t keep);
/* Buffers that the pool has, free or not. */
uint32_t flint_pool_count(const struct flint_pool *pool);
/* flint_buf_wait() leaves so many buffers to flint_buf_get_above(). Before the pool is used. */
void flint_pool_keep(struct flint_pool *pool, uint32_t keep);
/* Any thread. */
void flint_buf_ref(struct flint_buf *buf);
void flint_buf_put(struct flint_buf *buf);

/**
 * flint_buf_wait() - call @w->fn(w, buf) as soon as there is a buffer for its holder
 *
 * Any thread. Holders take turns, and none gets all buffers (pool.c); called at
 * once, from here, if there is one now, else from the loop given in @w.
 */
struct flint_buf_waiter {
	void (*fn)(struct flint_buf_waiter *w, struct flint_buf *buf);
	struct flint_loop *loop;
	struct flint_holder *holder;	/* flint_conn_holder(), or NULL: no limit */
	struct flint_buf_waiter *next;
	struct flint_task task;
	struct flint_buf *buf;
};
void flint_buf_wait(struct flint_pool *pool, struct flint_buf_waiter *w);
/* Nothing waits for @h any more: its memory may go, though it still has buffers. Any thread. */
void flint_holder_end(struct flint_pool *pool, struct flint_holder *h);

/* ---- server (server.c, tcp.c, verbs.c) -------------------------------- */

struct flint_server;
struct flint_conn;

/**
 * struct flint_call - a request that arrived
 * @conn: from whom
 * @msg: checked header; desc, body and data stay valid until the reply. Its
 *	trace is never 0: pass it on in requests that this one causes
 * @payload: the request's payload after flint_call_pull(), else NULL
 * @lease: grants at the end of the reply's body; set before the reply
 * @priv: the handler's
 */
struct flint_call {
	struct flint_conn *conn;
	struct flint_msg msg;
	struct flint_buf *payload;
	uint8_t lease;
	void *priv;
};

/* Who is on the other side; valid from authentication on. */
struct flint_conn_info {
	uint8_t role;			/* enum flint_role */
	uint8_t client_id[16];
	uint64_t session_epoch;
	char name[FLINT_LABEL_LEN];
	char address[64];		/* "192.0.2.1:7001 (rdma)" */
	struct sockaddr_storage addr;
	uint32_t inline_size;
	uint32_t max_io;
	int proto;			/* FLINT_PROTO_TCP or FLINT_PROTO_RDMA */
	/*
	 * Checked claims of a client that has a token instead of the cluster
	 * key, else NULL. Lives as long as the connection. The server has
	 * checked expiry, address and revocation, and lets only operations of
	 * clients through (flint_token_op_ok()); file system, subtree and
	 * rights are the daemon's.
	 */
	const struct flint_token *token;
	bool pushes;			/* flint_conn_push() may be used */
};

struct flint_server_config {
	uint8_t role;
	uint32_t node_id;
	uint8_t cluster_id[16];
	const uint8_t *key;		/* FLINT_KEY_LEN bytes; NULL: no authentication */
	uint32_t inline_size;		/* 0: default */
	uint32_t max_io;		/* 0: default */
	uint32_t credits;		/* per connection, 0: 64 */
	uint32_t prompt_ms;		/* clients get fewer when answers take longer; 0: never */
	uint32_t max_conns;		/* 0: 4096 */
	bool pushes;			/* offer FLINT_FEAT_LEASE */
	struct flint_pool *pool;	/* for payloads; buffers >= max_io */
	struct flint_pool *small;	/* another one that calls take from; may be NULL */
	struct flint_loop **loops;	/* connections are dealt to them in turn */
	unsigned int nr_loops;
	/* A request; must end with exactly one flint_call_reply(). On the conn's loop. */
	void (*request)(void *arg, struct flint_call *call);
	/* A connection has been authenticated; may be NULL. On its loop, before its requests. */
	void (*opened)(void *arg, struct flint_conn *conn);
	/* The connection is gone; open calls may still be replied to (dropped). */
	void (*closed)(void *arg, struct flint_conn *conn);
	/* Map epoch to put into replies' headers. Any thread that replies. */
	uint64_t (*map_epoch)(void *arg);
	/*
	 * Was this token taken back? 0, 1, or -EAGAIN: not known yet, the client
	 * shall come again. Asked when a client comes, and again when map_epoch()
	 * has changed. On the conn's loop. NULL: none can be taken back.
	 */
	int (*revoked)(void *arg, const struct flint_token *token);
	/* What FLINT_OP_METRICS answers; on loops[0]. NULL: refused. */
	const struct flint_metrics *metrics;
	void *arg;
};

/* Return: the server, or NULL with errno. */
struct flint_server *flint_server_new(const struct flint_server_config *cfg);

/* What HELLO says from now on: node and cluster may be known after the start. On the loop. */
void flint_server_identify(struct flint_server *srv, uint32_t node_id,
			   const uint8_t cluster_id[16]);

/**
 * flint_server_listen() - open a listener
 * @proto: FLINT_PROTO_TCP or FLINT_PROTO_RDMA
 * @addr: to bind to; port 0 picks one, and @addr is updated
 * @err: receives one sentence on failure
 *
 * Return: 0 or -errno (-ENODEV: no RDMA device).
 */
int flint_server_listen(struct flint_server *srv, int proto,
			struct sockaddr_storage *addr, char *err, size_t errlen);
/* A collector's fn (base/metrics.h): requests, connections, buffers. @arg: the server. */
void flint_server_collect(void *arg, FILE *f);
/* Stop listening, close every connection, free. Loops must still run or be stopped. */
void flint_server_free(struct flint_server *srv);

const struct flint_conn_info *flint_conn_info(const struct flint_conn *conn);
/* What the daemon knows of a connection, so that it need not look for it. On its loop. */
void flint_conn_set_priv(struct flint_conn *conn, void *priv);
void *flint_conn_priv(const struct flint_conn *conn);
/*
 * What holds buffers of @pool, the server's pool or its small one, for a connection's client:
 * one for all its connections. Constant while the connection has a call. Any thread.
 */
struct flint_holder *flint_conn_holder(const struct flint_conn *conn, const struct flint_pool *pool);
/* When the connection's loop last woke up: the time of its requests, without a call. On its loop. */
uint64_t flint_conn_now(const struct flint_conn *conn);
/* End a connection for a reason that is logged. Any thread. */
void flint_conn_kill(struct flint_conn *conn, const char *why);

/**
 * flint_conn_push() - send a message that is no answer
 * @op, @body, @len: copied; no payload
 *
 * Pushes of a connection arrive in order, and in order with its replies. At
 * most FLINT_PUSH_WINDOW may be on their way: the client names the newest one
 * it has taken, see flint_conn_push_taken(). On the connection's loop.
 *
 * Return: 0; -EAGAIN when the window is full; -EOPNOTSUPP when the client did
 * not negotiate FLINT_FEAT_LEASE; -ENOTCONN when the connection is ending.
 */
int flint_conn_push(struct flint_conn *conn, uint16_t op, const void *body, uint32_t len);
/* The client took pushes up to @push. -EPROTO: it cannot have. On the connection's loop. */
int flint_conn_push_taken(struct flint_conn *conn, uint64_t push);

/**
 * flint_call_pull() - fetch the request's payload into a buffer
 * @call: with msg.data_len > 0
 * @done: called on the connection's loop with 0 and call->payload set, or
 *	with -errno (connection lost: reply anyway, it is dropped)
 *
 * Waits for a buffer of the pool; then RDMA READ, or nothing to do on TCP,
 * where the bytes are read from the socket only now or were already.
 * Any thread.
 */
void flint_call_pull(struct flint_call *call, void (*done)(struct flint_call *call, int err));

/**
 * flint_call_pull_to() - the same to a place that the caller chooses
 * @buf: a buffer of a pool, whose reference goes to call->payload
 * @offset: in the buffer, where the payload begins
 */
void flint_call_pull_to(struct flint_call *call, struct flint_buf *buf, uint32_t offset,
			void (*done)(struct flint_call *call, int err));

/**
 * flint_call_reply() - answer and free the call
 * @status: enum flint_status
 * @body, @body_len: copied before return
 * @buf: payload, a buffer of the pool, or NULL; a reference is consumed. The
 *	call's own reference to call->payload is another one: to send that
 *	buffer back, take a reference first
 * @off, @len: bytes of it to send; must fit the room the requester offered
 *	(descriptors, or what the operation's body asked for)
 *
 * On verbs the payload goes inline when it fits and the request offered no
 * descriptor, else by RDMA WRITE. Any thread.
 */
void flint_call_reply(struct flint_call *call, uint32_t status,
		      const void *body, uint32_t body_len,
		      struct flint_buf *buf, uint32_t off, uint32_t len);

/* The same with a small payload that is copied (inline only). */
void flint_call_reply_copy(struct flint_call *call, uint32_t status,
			   const void *body, uint32_t body_len,
			   const void *data, uint32_t len);

/* ---- client (peer.c) --------------------------------------------------- */

struct flint_peer;

struct flint_peer_config {
	struct flint_loop *loop;
	int proto;			/* FLINT_PROTO_TCP or FLINT_PROTO_RDMA */
	struct sockaddr_storage addr;
	uint8_t role;			/* ours */
	uint8_t client_id[16];
	uint64_t session_epoch;
	const uint8_t *key;		/* the cluster key, or the token's secret */
	const struct flint_token *token; /* checked claims, copied; NULL: @key is the cluster's */
	const char *name;
	uint32_t inline_size, max_io, credits;	/* 0: default */
	uint32_t connect_timeo_ms;	/* 0: 5000 */
	uint32_t backoff_max_ms;	/* longest pause between attempts; 0: 5000 */
	struct flint_pool *pool;	/* for payloads; NULL: TCP and inline only */
	/* Connected (err 0, every time) or failed; may be NULL. */
	void (*state)(void *arg, struct flint_peer *peer, int err, const char *why);
	/* A push; m->seq is its number on this connection. NULL: pushes are not negotiated. */
	void (*push)(void *arg, struct flint_peer *peer, const struct flint_msg *m);
	void *arg;
};

/**
 * struct flint_rpc - one request of a client; zero-initialise
 *
 * body, out and in must stay valid until done. With @in_pool memory ("in" or
 * "out" points into the peer's pool) verbs move it without a copy; other
 * memory goes inline or through a pool buffer.
 */
struct flint_rpc {
	uint16_t op;
	uint8_t lease;			/* kinds wanted with the answer */
	bool retry;
	bool cred;			/* a struct flint_cred_tail ends the body */
	bool eager;			/* -ENOTCONN as soon as an attempt to connect fails */
	uint32_t timeout_ms;		/* 0: 10 s */
	uint64_t trace;			/* the request's id in all logs; 0: the server makes one */
	uint64_t seq, seq_low;
	const void *body;
	uint32_t body_len;
	const void *out;		/* payload to send */
	uint32_t out_len;
	void *in;			/* room for the reply's payload */
	uint32_t in_len;
	void (*done)(struct flint_rpc *rpc);
	void *priv;

	/* result */
	int err;			/* 0, or -ENOTCONN, -ETIMEDOUT, -EACCES, -EPROTO */
	uint32_t status;
	const void *rep_body;		/* valid in done only */
	uint32_t rep_len;
	uint32_t rep_data_len;
	uint8_t rep_lease;		/* grants at the end of rep_body */
	uint64_t rep_epoch;
	uint64_t sent_ns;		/* when it was last sent, CLOCK_BOOTTIME */

	/* the library's */
	struct flint_rpc *next;
	uint32_t tag;
	uint64_t deadline_ns;
	struct flint_task task;
	struct flint_peer *peer;
	void *xprt;
};

/* Connects in the background and reconnects with back-off. NULL with errno. */
struct flint_peer *flint_peer_new(const struct flint_peer_config *cfg);
/* Pushes that came over the present connection. On the loop. */
uint64_t flint_peer_pushes(const struct flint_peer *peer);
/* End the connection; what is in flight fails with -ENOTCONN, then it is made anew. On the loop. */
void flint_peer_reset(struct flint_peer *peer, const char *why);
/* Word has come that the server is there again: do not wait for the back-off. On the loop. */
void flint_peer_hurry(struct flint_peer *peer);
void flint_peer_set_epoch(struct flint_peer *peer, uint64_t session_epoch);
/* Fails what is open with -ENOTCONN. On the peer's loop or with it stopped. */
void flint_peer_free(struct flint_peer *peer);
/* Queue a request; waits for a connection and a credit until its deadline. Any thread. */
void flint_peer_call(struct flint_peer *peer, struct flint_rpc *rpc);

#endif /* FLINT_NET_H */
