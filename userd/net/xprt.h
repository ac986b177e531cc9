/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The small interface between a transport (tcp.c, verbs.c) and what speaks
 * the protocol over it (server.c, peer.c).
 *
 * A link is one connection. The transport moves messages; it checks that
 * each is well formed (codec.h) and nothing else. Its user decides what the
 * message means.
 *
 * Life of a link
 *  - made by a listener (server side, already connected) or by
 *    flint_tcp_connect()/flint_verbs_connect() (client side);
 *  - user->up() once when a client's link is connected;
 *  - user->message() for each message until the link dies;
 *  - flint_xprt_fail() by either side, for a reason in words. Nothing more is
 *    sent or received; a little later, from the loop and never from inside
 *    another call, the transport gives up every resource and user->down() is
 *    called once. Or flint_xprt_close() by the user: the same at once and
 *    without user->down().
 *  - After the teardown the device cannot touch memory any more: all
 *    buffers have been given back by tx->done() and rx->pulled(-ENOTCONN).
 *  - The memory of the link goes with its last reference.
 *
 * Everything here runs on the link's loop.
 */
#ifndef FLINT_NET_XPRT_H
#define FLINT_NET_XPRT_H

#include "loop_int.h"

struct flint_xprt;

/**
 * struct flint_rx - a message that arrived
 * @msg: checked; its pointers lead into @buf. Payload that fits a message
 *	stands in it (msg.data); else on TCP msg.data is NULL and @pending says
 *	how much is still in the stream.
 * @buf: room for a message of the link, 64-byte aligned (8 in a @whole)
 * @pulled: set by the user before ->pull()
 * @owner: the user's
 * @whole: the buffer that @buf lies in, with other messages; NULL: its own
 * @parts: messages in @buf, when there are several, that are not put yet
 */
struct flint_rx {
	struct flint_xprt *link;
	struct flint_msg msg;
	uint8_t *buf;
	uint32_t pending;
	void (*pulled)(struct flint_rx *rx, int err);
	void *owner;
	/* the transport's */
	struct flint_rx *next;
	struct flint_buf *sink;
	uint8_t *dst;
	struct flint_rx *whole;
	uint32_t parts;
	uint32_t lkey;
	uint16_t covers;
	bool reading;
};

/**
 * struct flint_tx - a message to send
 * @buf, @len: header, descriptors, body, inline payload
 * @data, @data_len: payload that is not in @buf: streamed by TCP; verbs write
 *	it to @desc first and need @payload, the registered memory it lies in
 * @payload: reference dropped when the message has left (or never will)
 * @desc, @nr_desc: verbs: the requester's memory
 * @inv, @inv_rkey: verbs: remote key that the reply invalidates
 * @done: the memory may be reused; the user frees with ->tx_put()
 * @owner: the user's
 * @begun_ns: a server's: when the request came, 0: none
 */
struct flint_tx {
	struct flint_xprt *link;
	uint8_t *buf;
	uint32_t len;
	const void *data;
	uint32_t data_len;
	struct flint_buf *payload;
	struct flint_desc desc[FLINT_MAX_DESC];
	uint8_t nr_desc;
	bool inv;
	uint32_t inv_rkey;
	void (*done)(struct flint_tx *tx);
	void *owner;
	uint64_t begun_ns;
	/* the transport's */
	struct flint_tx *next;
	uint32_t sent;
	uint32_t lkey;
	uint16_t covers;
};

struct flint_xprt_ops {
	const char *name;			/* "tcp", "rdma" */
	/* Room for one message; NULL when memory is short. */
	struct flint_tx *(*tx_get)(struct flint_xprt *link);
	void (*tx_put)(struct flint_tx *tx);
	/* Queue; ->done() follows, perhaps at once. On a dead link too. */
	void (*send)(struct flint_xprt *link, struct flint_tx *tx);
	/* Fetch a request's payload to @dst (in @buf); ->pulled() follows, never from here. */
	void (*pull)(struct flint_xprt *link, struct flint_rx *rx, void *dst, struct flint_buf *buf);
	/* The user is done with a message. */
	void (*rx_put)(struct flint_rx *rx);
	/* Describe pool memory to the other side: verbs only. 0 or -errno. */
	int (*describe)(struct flint_xprt *link, struct flint_pool *pool, const void *p,
			uint32_t len, struct flint_desc *desc);
	/* Give up every resource but the memory of the link itself. */
	void (*teardown)(struct flint_xprt *link);
	void (*free)(struct flint_xprt *link);
};

struct flint_xprt_user {
	void (*up)(struct flint_xprt *link);
	void (*message)(struct flint_xprt *link, struct flint_rx *rx);
	void (*down)(struct flint_xprt *link, int err, const char *why);
};

/**
 * struct flint_xprt - the part that every transport's link begins with
 * @inline_size, @max_io: ours, then what was negotiated: flint_xprt_limits()
 * @depth: requests in flight that receive buffers are kept for
 * @proto: FLINT_PROTO_*
 * @reply_early: a reply may be seen before its request was reported sent
 */
struct flint_xprt {
	const struct flint_xprt_ops *ops;
	const struct flint_xprt_user *user;
	void *owner;
	struct flint_loop *loop;
	int proto;
	bool client;
	bool dead;
	bool torn;
	bool fail_posted;
	bool reply_early;
	uint32_t inline_size;
	uint32_t max_io;
	uint32_t depth;
	struct flint_limits lim;
	uint64_t rx_ns;			/* when something last arrived */
	int refs;
	int err;
	char why[160];
	char address[64];
	struct sockaddr_storage addr;
	struct flint_task fail_task;
};

static inline void flint_xprt_get(struct flint_xprt *link)
{
	link->refs++;
}

void flint_xprt_put(struct flint_xprt *link);
void flint_xprt_init(struct flint_xprt *link, const struct flint_xprt_ops *ops,
		     struct flint_loop *loop, int proto);
void flint_xprt_set_addr(struct flint_xprt *link, const struct sockaddr *sa);
void flint_xprt_fail(struct flint_xprt *link, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void flint_xprt_close(struct flint_xprt *link);
/* After negotiation; sizes only shrink. */
void flint_xprt_limits(struct flint_xprt *link, uint32_t inline_size, uint32_t max_io);
/* In words, for flint_xprt_fail(). */
const char *flint_proto_why(const struct flint_hdr *h, uint32_t len, int err);

/* What a new link is sized for. */
struct flint_xprt_params {
	uint32_t inline_size;
	uint32_t max_io;
	uint32_t depth;
	uint32_t pushes;		/* client: messages beyond the answers */
	struct flint_pool *pool;	/* to register, may be NULL */
};

/**
 * struct flint_acceptor - a listener's user
 * @accept: a connected link has arrived on the loop it belongs to; sets
 *	link->user and link->owner, or returns -errno to refuse
 * @pick: the loop for the next connection, or NULL when there are too many;
 *	on the first loop. Each success is followed by @accept or @unpick.
 */
struct flint_acceptor {
	struct flint_xprt_params params;
	struct flint_loop *loop;
	struct flint_loop *(*pick)(struct flint_acceptor *a);
	void (*unpick)(struct flint_acceptor *a);
	int (*accept)(struct flint_acceptor *a, struct flint_xprt *link);
};

struct flint_listener;

struct flint_listener_ops {
	void (*close)(struct flint_listener *l);
};

struct flint_listener {
	const struct flint_listener_ops *ops;
	struct flint_acceptor *acceptor;
	struct flint_listener *next;
};

/* On the acceptor's loop (or before it runs). NULL and a sentence on failure. */
int flint_tcp_listen(struct flint_acceptor *a, struct sockaddr_storage *addr,
		     struct flint_listener **lp, char *err, size_t errlen);
int flint_verbs_listen(struct flint_acceptor *a, struct sockaddr_storage *addr,
		       struct flint_listener **lp, char *err, size_t errlen);

/* Begin to connect; user->up() or user->down() follows. NULL with errno. */
struct flint_xprt *flint_tcp_connect(struct flint_loop *loop, const struct flint_xprt_params *p,
				     const struct sockaddr_storage *addr,
				     const struct flint_xprt_user *user, void *owner);
struct flint_xprt *flint_verbs_connect(struct flint_loop *loop, const struct flint_xprt_params *p,
				       const struct sockaddr_storage *addr,
				       const struct flint_xprt_user *user, void *owner);

/* "192.0.2.1:7001", "[2001:db8::1]:7001" */
void flint_sockaddr_text(const struct sockaddr *sa, char *out, size_t len);
socklen_t flint_sockaddr_len(const struct sockaddr_storage *sa);

/* auth.c */
int flint_auth_nonce(uint8_t *nonce);
void flint_auth_mac(uint8_t *mac, const uint8_t *key, bool server, const uint8_t *client_nonce,
		    const uint8_t *server_nonce, const uint8_t *client_id, uint8_t role);
bool flint_auth_equal(const uint8_t *a, const uint8_t *b);

#endif /* FLINT_NET_XPRT_H */
