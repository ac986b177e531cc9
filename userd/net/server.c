// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server: listeners, connections from HELLO to their end, and calls.
 *
 * A connection goes through these states:
 *
 *	HELLO --- HELLO, key set ---> AUTH --- right MAC ---> LIVE
 *	      \-- HELLO, no key --------------------------/
 *	HELLO, AUTH --- refused in words ---> REFUSED (told why, ends shortly)
 *
 * Invariants
 *  - Before LIVE nothing reaches the daemon, and the whole handshake has
 *    HANDSHAKE_MS.
 *  - A connection has at most `credits` open calls; one more ends it. PING is
 *    answered here and at once.
 *  - Of its credits a client is granted as many as are answered soon (conn_pace()).
 *  - A call holds its connection; a connection holds its link's memory and
 *    the server. So a reply may come at any time after the connection has
 *    died, or after flint_server_free(), and finds what it touches.
 *  - All of a connection's fields belong to its loop, but refs, kill_* and what
 *    is constant from LIVE on. Functions for any thread prepare their message in
 *    memory that belongs to the call and post the rest to the loop.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../base/log.h"
#include "../base/token.h"
#include "pool_int.h"
#include "stats.h"
#include "xprt.h"

#define HANDSHAKE_MS	5000
#define REFUSED_MS	500
#define SILENT_MS	60000
#define TOKEN_MS	5000	/* an idle connection outlives its token's end by this at most */
#define CALLS_KEPT	80
#define GRANT_FIRST	4

enum conn_state {
	CONN_HELLO,
	CONN_AUTH,
	CONN_LIVE,
	CONN_REFUSED,
	CONN_DOWN,
};

struct call {
	struct flint_call pub;
	struct flint_rx *rx;
	struct flint_tx *tx;
	struct flint_task task;
	struct flint_buf_waiter waiter;
	uint32_t pull_off;		/* where in payload it goes */
	bool pull_own;			/* payload is the caller's choice */
	void (*done)(struct flint_call *call, int err);
	int err;
	uint64_t start_ns;		/* when its loop woke up for it */
	struct call *next;
};

/* What all connections of one client have in common; srv->lock. */
struct client {
	uint8_t id[16];
	uint32_t nr_conns;
	struct flint_holder pool, small;
};

struct flint_conn {
	struct flint_server *srv;
	struct client *client;		/* constant from LIVE on */
	struct flint_xprt *link;
	struct flint_loop *loop;
	struct flint_srv_stats *stats;	/* of its loop */
	void *priv;			/* the daemon's */
	enum conn_state state;
	bool was_live;			/* constant from the first request on */
	bool keep_keys;
	uint64_t pushed;		/* pushes sent */
	uint64_t taken;			/* of these, seen by the client */
	uint64_t traces;		/* for requests that come without an id */
	atomic_int refs;
	uint32_t credits;		/* at most */
	uint32_t granted;
	uint32_t calm;			/* below it the grant grows with each answer, from there on slowly */
	uint32_t prompt;		/* answers towards the next slow step */
	uint64_t cut_ns;		/* when the grant was last cut */
	uint32_t nr_calls;
	uint8_t client_nonce[FLINT_NONCE_LEN];
	uint8_t server_nonce[FLINT_NONCE_LEN];
	struct flint_conn_info info;
	struct flint_token *token;	/* info.token; freed with the connection */
	uint64_t token_epoch;		/* of the map when it was last checked */
	struct flint_timer timer;	/* handshake, then silence and the token's end */
	struct call *free;
	uint32_t nr_free;

	atomic_flag kill_posted;
	struct flint_task kill_task;
	char kill_why[96];

	struct flint_conn *next, **prev;	/* srv->conns */
};

struct flint_server {
	struct flint_server_config cfg;
	struct flint_loop **loops;
	struct flint_srv_stats **stats;		/* one for each loop */
	uint8_t key[FLINT_KEY_LEN];
	struct flint_acceptor acceptor;
	struct flint_listener *listeners;	/* loops[0] */
	unsigned int next_loop;			/* loops[0] */
	atomic_bool closing;
	atomic_uint nr_conns;
	atomic_int refs;
	pthread_mutex_t lock;			/* protects conns */
	struct flint_conn *conns;
};

static struct call *to_call(struct flint_call *call)
{
	return (struct call *)call;
}

/* ---- counting ----------------------------------------------------------- */

static int server_stats_new(struct flint_server *srv)
{
	unsigned int i;

	srv->stats = calloc(srv->cfg.nr_loops, sizeof(*srv->stats));
	for (i = 0; srv->stats && i < srv->cfg.nr_loops; i++) {
		srv->stats[i] = calloc(1, sizeof(**srv->stats));
		if (!srv->stats[i])
			return -ENOMEM;
	}
	return srv->stats ? 0 : -ENOMEM;
}

static void server_stats_free(struct flint_server *srv)
{
	unsigned int i;

	for (i = 0; srv->stats && i < srv->cfg.nr_loops; i++)
		free(srv->stats[i]);
	free(srv->stats);
}

static const char *stats_prefix(uint8_t role)
{
	return role == FLINT_ROLE_CHUNK ? "flint_chunk" :
	       role == FLINT_ROLE_META ? "flint_meta" : "flint_mgr";
}

void flint_server_collect(void *arg, FILE *f)
{
	struct flint_server *srv = arg;
	const char *prefix = stats_prefix(srv->cfg.role);
	uint64_t nr[2] = { 0 };
	struct flint_conn *conn;
	char name[64];

	pthread_mutex_lock(&srv->lock);
	for (conn = srv->conns; conn; conn = conn->next)
		nr[conn->link->proto == FLINT_PROTO_RDMA]++;
	pthread_mutex_unlock(&srv->lock);
	snprintf(name, sizeof(name), "%s_connections", prefix);
	flint_metric_head(f, name, "gauge", "Connections that are open.");
	flint_metric_u64(f, name, "transport=\"tcp\"", nr[0]);
	flint_metric_u64(f, name, "transport=\"rdma\"", nr[1]);
	if (srv->cfg.pool) {
		snprintf(name, sizeof(name), "%s_buffers_free", prefix);
		flint_metric_one(f, name, "gauge", "Payload buffers that nobody uses.",
				 flint_pool_nr_free(srv->cfg.pool));
	}
	flint_stats_print(f, prefix, srv->stats, srv->cfg.nr_loops);
}

/* Failures of a disk or of the protocol, which somebody will ask for. */
static bool status_alarms(uint32_t status)
{
	return status == EIO || status == FLINT_ST_CHECKSUM || status == FLINT_ST_CONFLICT ||
	       status == FLINT_ST_BAD_REQUEST;
}

/* The answer of @c leaves. */
static void call_count(struct call *c)
{
	static struct flint_ratelimit rl;
	const struct flint_msg *m = &c->pub.msg;
	const struct flint_hdr *h = (const struct flint_hdr *)c->tx->buf;
	uint32_t status = le32_to_cpu(h->status), out = le32_to_cpu(h->data_len), dropped;
	uint64_t ns = flint_now_ns() - c->start_ns;
	int level = status_alarms(status) ? FLINT_LOG_WARN : FLINT_LOG_DEBUG;
	char buf[12], number[12];

	flint_stats_request(c->pub.conn->stats, m->op, status, ns, m->data_len, out);
	if (!flint_log_enabled(level) ||
	    (level == FLINT_LOG_WARN && !flint_ratelimit_ok(&rl, &dropped)))
		return;
	snprintf(number, sizeof(number), "0x%x", m->op);
	const struct flint_log_field f[] = {
		{ "op", flint_op_name(m->op) ? : number, 0 },
		{ "status", flint_status_name(status, buf, sizeof(buf)), 0 },
		{ "us", NULL, ns / 1000 }, { "bytes", NULL, m->data_len > out ? m->data_len : out },
		{ "peer", c->pub.conn->info.name, 0 }, { "from", c->pub.conn->info.address, 0 },
	};
	flint_log_event(level, m->trace, f, 6, "request");
}

static void server_put(struct flint_server *srv)
{
	if (atomic_fetch_sub(&srv->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&srv->lock);
	explicit_bzero(srv->key, sizeof(srv->key));
	server_stats_free(srv);
	free(srv->loops);
	free(srv);
}

/* ---- connections: life ------------------------------------------------ */

/* Another connection of its client, or the first one. Return: 0 or -ENOMEM. */
static int client_get(struct flint_conn *conn)
{
	struct flint_server *srv = conn->srv;
	struct flint_conn *other;

	pthread_mutex_lock(&srv->lock);
	for (other = srv->conns; other; other = other->next)
		if (other->client && !memcmp(other->client->id, conn->info.client_id,
					     sizeof(other->client->id)))
			break;
	conn->client = other ? other->client : calloc(1, sizeof(*conn->client));
	if (conn->client) {
		memcpy(conn->client->id, conn->info.client_id, sizeof(conn->client->id));
		conn->client->nr_conns++;
	}
	pthread_mutex_unlock(&srv->lock);
	return conn->client ? 0 : -ENOMEM;
}

static void client_put(struct flint_conn *conn)
{
	struct flint_server *srv = conn->srv;
	struct client *c = conn->client;
	bool last;

	if (!c)
		return;
	pthread_mutex_lock(&srv->lock);
	last = !--c->nr_conns;
	pthread_mutex_unlock(&srv->lock);
	if (!last)
		return;
	if (srv->cfg.pool)
		flint_holder_end(srv->cfg.pool, &c->pool);
	if (srv->cfg.small)
		flint_holder_end(srv->cfg.small, &c->small);
	free(c);
}

struct flint_holder *flint_conn_holder(const struct flint_conn *conn, const struct flint_pool *pool)
{
	return pool == conn->srv->cfg.small ? &conn->client->small : &conn->client->pool;
}

/* On the connection's loop when it may be the last one. */
static void conn_put(struct flint_conn *conn)
{
	struct call *c;

	if (atomic_fetch_sub(&conn->refs, 1) != 1)
		return;
	while ((c = conn->free)) {
		conn->free = c->next;
		free(c);
	}
	flint_xprt_put(conn->link);
	free(conn->token);
	client_put(conn);
	atomic_fetch_sub(&conn->srv->nr_conns, 1);
	server_put(conn->srv);
	free(conn);
}

static void conn_unlist(struct flint_conn *conn)
{
	struct flint_server *srv = conn->srv;

	pthread_mutex_lock(&srv->lock);
	*conn->prev = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	pthread_mutex_unlock(&srv->lock);
}

/* The link is gone, whoever ended it. */
static void conn_end(struct flint_conn *conn)
{
	conn->state = CONN_DOWN;
	flint_timer_cancel(conn->loop, &conn->timer);
	conn_unlist(conn);
	if (conn->was_live && conn->srv->cfg.closed)
		conn->srv->cfg.closed(conn->srv->cfg.arg, conn);
	conn_put(conn);
}

static void conn_down(struct flint_xprt *link, int err, const char *why)
{
	struct flint_conn *conn = link->owner;
	const char *name = conn->info.name[0] ? conn->info.name : "unknown";

	if (err == -ENOTCONN || err == -ESHUTDOWN)
		flint_debug("connection of %s, %s: %s", name, link->address, why);
	else
		flint_warn_rl("connection of %s, %s ended: %s", name, link->address, why);
	conn_end(conn);
}

/* ---- tokens ------------------------------------------------------------ */

static uint64_t wall_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (uint64_t)ts.tv_sec;
}

/* Take a copy of a HELLO's claims. Return: 0 or -errno. */
static int token_take(struct flint_conn *conn, const uint8_t *claims, uint32_t len)
{
	struct flint_token *t = malloc(FLINT_TOKEN_MAX);
	int err;

	if (!t)
		return -ENOMEM;
	if (len > FLINT_TOKEN_MAX) {
		free(t);
		return -EPROTO;
	}
	memcpy(t, claims, len);
	err = flint_token_check(t, len);
	if (err) {
		free(t);
		return err;
	}
	conn->token = t;
	conn->info.token = t;
	return 0;
}

static bool token_addr_ok(const struct flint_token *t, const struct sockaddr_storage *ss)
{
	const struct sockaddr_in6 *in6 = (const void *)ss;
	const struct sockaddr_in *in4 = (const void *)ss;

	if (ss->ss_family == AF_INET)
		return flint_token_addr_in(t, 4, (const uint8_t *)&in4->sin_addr);
	if (ss->ss_family != AF_INET6)
		return !t->addr_family;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) && t->addr_family == 4)
		return flint_token_addr_in(t, 4, in6->sin6_addr.s6_addr + 12);
	return flint_token_addr_in(t, 6, in6->sin6_addr.s6_addr);
}

static uint64_t map_epoch(const struct flint_server *srv)
{
	return srv->cfg.map_epoch ? srv->cfg.map_epoch(srv->cfg.arg) : 0;
}

/* Why this token does not open the door now, or NULL. */
static const char *token_fault(struct flint_conn *conn, enum flint_auth_reason *reason)
{
	struct flint_server *srv = conn->srv;
	const struct flint_token *t = conn->token;
	int revoked;

	conn->token_epoch = map_epoch(srv);
	*reason = FLINT_AUTH_ROLE;
	if (conn->info.role != FLINT_ROLE_CLIENT)
		return "a token is for clients only";
	*reason = FLINT_AUTH_EXPIRED;
	if (flint_token_expired(t, wall_seconds()))
		return "its token has expired";
	*reason = FLINT_AUTH_ADDRESS;
	if (!token_addr_ok(t, &conn->info.addr))
		return "its token is for other addresses";
	*reason = FLINT_AUTH_REVOKED;
	revoked = srv->cfg.revoked ? srv->cfg.revoked(srv->cfg.arg, t) : 0;
	if (revoked < 0) {
		*reason = FLINT_AUTH_LATER;
		return "it has a token, and which ones are revoked is not known yet";
	}
	return revoked ? "its token was revoked" : NULL;
}

/* Does a live connection's token still hold? Ends the connection if not. */
static bool token_holds(struct flint_conn *conn)
{
	enum flint_auth_reason reason;
	const char *why;

	if (!conn->token || (conn->token_epoch == map_epoch(conn->srv) &&
			     !flint_token_expired(conn->token, wall_seconds())))
		return true;
	why = token_fault(conn, &reason);
	if (why)
		flint_xprt_fail(conn->link, -EACCES, "%s", why);
	return !why;
}

/* When to look at a live connection again. */
static uint64_t conn_tick_ms(const struct flint_conn *conn)
{
	uint64_t ms = SILENT_MS / 2, now, end;

	if (!conn->token)
		return ms;
	if (ms > TOKEN_MS)
		ms = TOKEN_MS;
	if (conn->token->expires) {
		now = wall_seconds();
		end = le64_to_cpu(conn->token->expires);
		if (end <= now)
			return 1;
		if (end - now < ms / 1000)
			ms = (end - now) * 1000;
	}
	return ms;
}

static void conn_timer(struct flint_timer *t)
{
	struct flint_conn *conn = t->arg;

	switch (conn->state) {
	case CONN_LIVE:
		if (flint_now_ns() - conn->link->rx_ns > SILENT_MS * 1000000ull)
			flint_xprt_fail(conn->link, -ETIMEDOUT, "silent for %d s",
					SILENT_MS / 1000);
		else if (token_holds(conn))
			flint_timer_set(conn->loop, t, conn_tick_ms(conn));
		break;
	case CONN_REFUSED:
		flint_xprt_fail(conn->link, -ESHUTDOWN, "refused");
		break;
	default:
		flint_xprt_fail(conn->link, -ETIMEDOUT, "no HELLO and AUTH within %d s",
				HANDSHAKE_MS / 1000);
		break;
	}
}

static void conn_kill_run(struct flint_task *t)
{
	struct flint_conn *conn = (struct flint_conn *)
		((char *)t - offsetof(struct flint_conn, kill_task));

	flint_xprt_fail(conn->link, -ECONNABORTED, "%s", conn->kill_why);
	conn_put(conn);
}

void flint_conn_kill(struct flint_conn *conn, const char *why)
{
	if (atomic_flag_test_and_set(&conn->kill_posted))
		return;
	snprintf(conn->kill_why, sizeof(conn->kill_why), "%s", why);
	atomic_fetch_add(&conn->refs, 1);
	conn->kill_task.fn = conn_kill_run;
	flint_loop_post(conn->loop, &conn->kill_task);
}

const struct flint_conn_info *flint_conn_info(const struct flint_conn *conn)
{
	return &conn->info;
}

void flint_conn_set_priv(struct flint_conn *conn, void *priv)
{
	conn->priv = priv;
}

void *flint_conn_priv(const struct flint_conn *conn)
{
	return conn->priv;
}

uint64_t flint_conn_now(const struct flint_conn *conn)
{
	return flint_loop_now(conn->loop);
}

/* ---- replies ---------------------------------------------------------- */

/*
 * A client gives up what waits for too long, and with it all that it has in flight on
 * the connection; so when many come at once, or the network is slow, requests must not
 * pile up here, whatever their size. Hence few at first; more as long as answers have
 * left soon; half as many, once in a round, when one was late.
 */
static void conn_pace(struct flint_conn *conn, uint64_t begun_ns)
{
	uint64_t now = flint_loop_now(conn->loop);

	if (now - begun_ns > conn->srv->cfg.prompt_ms * 1000000ull) {
		if (begun_ns < conn->cut_ns)
			return;
		conn->granted -= conn->granted / 2;
		conn->calm = conn->granted;
		conn->cut_ns = now;
		conn->prompt = 0;
	} else if (conn->granted < conn->credits &&
		   (conn->granted < conn->calm || ++conn->prompt >= conn->granted)) {
		conn->granted++;
		conn->prompt = 0;
	}
}

static bool conn_paced(const struct flint_conn *conn)
{
	return conn->srv->cfg.prompt_ms && conn->info.role == FLINT_ROLE_CLIENT;
}

static void tx_done(struct flint_tx *tx)
{
	struct flint_conn *conn = tx->link->owner;

	if (tx->begun_ns && conn_paced(conn))
		conn_pace(conn, tx->begun_ns);
	tx->begun_ns = 0;
	tx->link->ops->tx_put(tx);
}

static void tx_header(struct flint_conn *conn, struct flint_tx *tx, const struct flint_msg *m,
		      uint32_t status, const void *body, uint32_t body_len, uint32_t data_len)
{
	struct flint_server *srv = conn->srv;
	struct flint_hdr *h = (struct flint_hdr *)tx->buf;

	*h = (struct flint_hdr){
		.magic = cpu_to_le32(FLINT_MAGIC),
		.version = m->version,	/* another one's only when it is refused */
		.flags = FLINT_F_REPLY,
		.op = cpu_to_le16(m->op),
		.tag = cpu_to_le32(m->tag),
		.status = cpu_to_le32(status),
		.credits = cpu_to_le16((uint16_t)(conn->granted ? conn->granted : 1)),
		.body_len = cpu_to_le32(body_len),
		.data_len = cpu_to_le32(data_len),
		.map_epoch = cpu_to_le64(conn->was_live ? map_epoch(srv) : 0),
	};
	if (body_len)
		memcpy(tx->buf + sizeof(*h), body, body_len);
	tx->len = (uint32_t)sizeof(*h) + body_len;
	tx->done = tx_done;
	/* The first key dies with the reply, whatever the reply says. */
	if (m->nr_desc && !conn->keep_keys) {
		tx->inv = true;
		tx->inv_rkey = le32_to_cpu(m->desc[0].rkey);
	}
}

/* Answer what the library itself answers. */
static void conn_answer(struct flint_conn *conn, const struct flint_msg *m, uint32_t status,
			const void *body, uint32_t body_len)
{
	struct flint_tx *tx = conn->link->ops->tx_get(conn->link);

	if (!tx) {
		flint_xprt_fail(conn->link, -ENOMEM, "out of memory");
		return;
	}
	tx_header(conn, tx, m, status, body, body_len, 0);
	conn->link->ops->send(conn->link, tx);
}

/* Tell why, log it, and end the connection when the answer had time to leave. */
static void conn_refuse(struct flint_conn *conn, const struct flint_msg *m, uint32_t status,
			enum flint_auth_reason reason, const char *why)
{
	struct flint_version ours = { .major = FLINT_PROTO_MAJOR, .minor = FLINT_PROTO_MINOR };
	struct flint_auth_refusal body = { .reason = cpu_to_le32(reason) };

	flint_warn_rl("refused %s, %s: %s", conn->info.name[0] ? conn->info.name : "unknown",
		      conn->link->address, why);
	conn->state = CONN_REFUSED;
	if (status == FLINT_ST_VERSION)
		conn_answer(conn, m, status, &ours, sizeof(ours));
	else
		conn_answer(conn, m, status, &body, sizeof(body));
	flint_timer_set(conn->loop, &conn->timer, REFUSED_MS);
}

/* ---- pushes ------------------------------------------------------------- */

int flint_conn_push(struct flint_conn *conn, uint16_t op, const void *body, uint32_t len)
{
	struct flint_server *srv = conn->srv;
	struct flint_hdr *h;
	struct flint_tx *tx;

	if (!conn->info.pushes)
		return -EOPNOTSUPP;
	if (conn->state != CONN_LIVE || conn->link->dead)
		return -ENOTCONN;
	if (conn->pushed - conn->taken >= FLINT_PUSH_WINDOW)
		return -EAGAIN;
	if (sizeof(*h) + len > flint_msg_max(conn->info.inline_size))
		return -EMSGSIZE;
	tx = conn->link->ops->tx_get(conn->link);
	if (!tx)
		return -EAGAIN;
	h = (struct flint_hdr *)tx->buf;
	*h = (struct flint_hdr){
		.magic = cpu_to_le32(FLINT_MAGIC),
		.version = FLINT_PROTO_MAJOR,
		.flags = FLINT_F_PUSH,
		.op = cpu_to_le16(op),
		.timeout_ms = cpu_to_le32(1),
		.body_len = cpu_to_le32(len),
		.map_epoch = cpu_to_le64(srv->cfg.map_epoch ? srv->cfg.map_epoch(srv->cfg.arg) : 0),
		.seq = cpu_to_le64(++conn->pushed),
	};
	memcpy(tx->buf + sizeof(*h), body, len);
	tx->len = (uint32_t)sizeof(*h) + len;
	tx->done = tx_done;
	conn->link->ops->send(conn->link, tx);
	return 0;
}

int flint_conn_push_taken(struct flint_conn *conn, uint64_t push)
{
	if (push > conn->pushed)
		return -EPROTO;
	if (push > conn->taken)
		conn->taken = push;
	return 0;
}

/* ---- handshake -------------------------------------------------------- */

static void conn_live(struct flint_conn *conn)
{
	if (client_get(conn)) {
		flint_xprt_fail(conn->link, -ENOMEM, "out of memory");
		return;
	}
	conn->state = CONN_LIVE;
	conn->was_live = true;
	flint_timer_set(conn->loop, &conn->timer, conn_tick_ms(conn));
	flint_debug("connection of %s, %s: role %u, %u credits", conn->info.name,
		    conn->link->address, conn->info.role, conn->credits);
	if (conn->srv->cfg.opened)
		conn->srv->cfg.opened(conn->srv->cfg.arg, conn);
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Settle sizes and credits, remember who it is. */
static void hello_take(struct flint_conn *conn, const struct flint_hello *h)
{
	struct flint_server *srv = conn->srv;
	struct flint_conn_info *info = &conn->info;
	size_t i;

	info->role = h->role;
	memcpy(info->client_id, h->client_id, sizeof(info->client_id));
	info->session_epoch = le64_to_cpu(h->session_epoch);
	memcpy(info->name, h->name, sizeof(info->name) - 1);
	for (i = 0; info->name[i]; i++)
		if (info->name[i] < ' ' || info->name[i] > '~')
			info->name[i] = '?';
	memcpy(conn->client_nonce, h->nonce, sizeof(h->nonce));
	conn->credits = min_u32(le16_to_cpu(h->credits), min_u32(srv->cfg.credits,
								conn->link->depth));
	conn->granted = conn_paced(conn) ? min_u32(conn->credits, GRANT_FIRST) : conn->credits;
	conn->calm = conn->credits;
	conn->keep_keys = le64_to_cpu(h->features) & FLINT_FEAT_KEEP_KEYS;
	info->pushes = srv->cfg.pushes && (le64_to_cpu(h->features) & FLINT_FEAT_LEASE);
	flint_xprt_limits(conn->link, le32_to_cpu(h->inline_size), le32_to_cpu(h->max_io));
	info->inline_size = conn->link->inline_size;
	info->max_io = conn->link->max_io;
}

/* By the cluster key, or by the secret that belongs to the claims of the HELLO. */
static void conn_mac(const struct flint_conn *conn, bool server, uint8_t *mac)
{
	const struct flint_conn_info *info = &conn->info;
	uint8_t secret[FLINT_KEY_LEN];

	if (conn->token)
		flint_token_secret(conn->srv->key, conn->token, secret);
	else
		memcpy(secret, conn->srv->key, sizeof(secret));
	flint_auth_mac(mac, secret, server, conn->client_nonce, conn->server_nonce,
		       info->client_id, info->role);
	explicit_bzero(secret, sizeof(secret));
}

static void hello_answer(struct flint_conn *conn, const struct flint_msg *m,
			 const struct flint_hello *h)
{
	struct flint_server *srv = conn->srv;
	struct flint_hello_rep rep = {
		.major = FLINT_PROTO_MAJOR,
		.minor = FLINT_PROTO_MINOR,
		.role = srv->cfg.role,
		.auth = srv->cfg.key ? 1 : 0,
		.inline_size = cpu_to_le32(conn->link->inline_size),
		.max_io = cpu_to_le32(conn->link->max_io),
		.credits = cpu_to_le16((uint16_t)conn->granted),
		.features = h->features & cpu_to_le64(FLINT_FEATURES | FLINT_FEAT_KEEP_KEYS |
						      FLINT_FEAT_BUNDLE),
		.node_id = cpu_to_le32(srv->cfg.node_id),
	};

	if (conn->info.pushes)
		rep.features |= cpu_to_le64(FLINT_FEAT_LEASE);
	memcpy(rep.cluster_id, srv->cfg.cluster_id, sizeof(rep.cluster_id));
	memcpy(rep.nonce, conn->server_nonce, sizeof(rep.nonce));
	if (srv->cfg.key)
		conn_mac(conn, true, rep.mac);
	conn_answer(conn, m, FLINT_OK, &rep, sizeof(rep));
}

/* Where a HELLO's token stands. Return: 0 with *len 0 for none, or -EPROTO. */
static int hello_claims(const struct flint_hello *h, const struct flint_msg *m,
			const uint8_t **claims, uint32_t *len)
{
	uint32_t fixed = le16_to_cpu(h->fixed_len);

	*len = le16_to_cpu(h->token_len);
	if (!*len)
		return 0;
	if (fixed < sizeof(*h) || fixed > m->body_len || *len > m->body_len - fixed)
		return -EPROTO;
	*claims = m->body + fixed;
	return 0;
}

static void conn_hello(struct flint_conn *conn, const struct flint_msg *m)
{
	const uint8_t *claims = NULL;
	struct flint_hello h;
	uint32_t len = 0;
	char why[160];
	int err;

	if (m->op != FLINT_OP_HELLO || m->nr_desc || m->data_len || m->body_len < 2) {
		flint_xprt_fail(conn->link, -EPROTO, "the first message is not a HELLO");
		return;
	}
	if (m->body[0] != FLINT_PROTO_MAJOR || m->version != FLINT_PROTO_MAJOR) {
		snprintf(why, sizeof(why),
			 "it speaks protocol version %u and this server %u.%u: install the same FlintFS version on both",
			 m->body[0], FLINT_PROTO_MAJOR, FLINT_PROTO_MINOR);
		conn_refuse(conn, m, FLINT_ST_VERSION, 0, why);
		return;
	}
	if (flint_body_get(&h, sizeof(h), FLINT_HELLO_MIN, m->body, m->body_len) ||
	    hello_claims(&h, m, &claims, &len) || h.role < FLINT_ROLE_CLIENT || h.role > FLINT_ROLE_TOOL || !h.credits ||
	    !h.max_io || h.name[sizeof(h.name) - 1]) {
		flint_xprt_fail(conn->link, -EPROTO, "malformed HELLO");
		return;
	}
	if (flint_auth_nonce(conn->server_nonce)) {
		flint_xprt_fail(conn->link, -EIO, "no random numbers");
		return;
	}
	memcpy(&conn->traces, conn->server_nonce, sizeof(conn->traces));
	hello_take(conn, &h);
	err = len && conn->srv->cfg.key ? token_take(conn, claims, len) : 0;
	if (err == -EPROTONOSUPPORT) {
		conn_refuse(conn, m, FLINT_ST_AUTH, FLINT_AUTH_NOT_KNOWN,
			    "its token has claims that this server does not know");
		return;
	}
	if (err) {
		flint_xprt_fail(conn->link, err, "malformed token");
		return;
	}
	hello_answer(conn, m, &h);
	if (conn->srv->cfg.key)
		conn->state = CONN_AUTH;
	else
		conn_live(conn);
}

static void conn_auth(struct flint_conn *conn, const struct flint_msg *m)
{
	enum flint_auth_reason reason;
	uint8_t mac[FLINT_MAC_LEN];
	const char *why = NULL;
	struct flint_auth a;

	if (m->op != FLINT_OP_AUTH || m->nr_desc || m->data_len ||
	    flint_body_get(&a, sizeof(a), sizeof(a), m->body, m->body_len)) {
		flint_xprt_fail(conn->link, -EPROTO, "the second message is not an AUTH");
		return;
	}
	conn_mac(conn, false, mac);
	if (!flint_auth_equal(mac, a.mac)) {
		conn_refuse(conn, m, FLINT_ST_AUTH, FLINT_AUTH_WRONG_KEY, conn->token ?
			    "its token was not made with our cluster key, or was changed" :
			    "wrong cluster key");
		return;
	}
	if (conn->token)
		why = token_fault(conn, &reason);
	if (why) {
		conn_refuse(conn, m, reason == FLINT_AUTH_LATER ? FLINT_ST_SHUTDOWN : FLINT_ST_AUTH,
			    reason, why);
		return;
	}
	conn_live(conn);
	conn_answer(conn, m, FLINT_OK, NULL, 0);
}

/* ---- requests --------------------------------------------------------- */

static struct call *call_new(struct flint_conn *conn, struct flint_rx *rx)
{
	struct call *c = conn->free;

	if (c) {
		conn->free = c->next;
		conn->nr_free--;
	} else {
		c = malloc(sizeof(*c));
		if (!c)
			return NULL;
	}
	memset(c, 0, sizeof(*c));
	c->tx = conn->link->ops->tx_get(conn->link);
	if (!c->tx) {
		free(c);
		return NULL;
	}
	c->rx = rx;
	rx->owner = c;
	c->pub.conn = conn;
	c->pub.msg = rx->msg;
	if (!c->pub.msg.trace)
		c->pub.msg.trace = flint_trace_next(&conn->traces);
	c->start_ns = flint_loop_now(conn->loop);
	flint_count(&conn->stats->begun, 1);
	conn->nr_calls++;
	atomic_fetch_add(&conn->refs, 1);
	return c;
}

static void call_free(struct call *c)
{
	struct flint_conn *conn = c->pub.conn;

	if (conn->nr_free < CALLS_KEPT) {
		c->next = conn->free;
		conn->free = c;
		conn->nr_free++;
	} else {
		free(c);
	}
	conn_put(conn);
}

static void tool_run(struct flint_task *t)
{
	struct call *c = (struct call *)((char *)t - offsetof(struct call, task));
	struct flint_server *srv = c->pub.conn->srv;

	flint_tool_request(&c->pub, srv->cfg.metrics, srv->cfg.pool);
}

/* What any daemon is asked for: on its main loop, where collectors run. */
static void call_tool(struct call *c)
{
	c->task.fn = tool_run;
	flint_loop_post(c->pub.conn->srv->loops[0], &c->task);
}

/* Returns false when the message stays with a call. */
static bool conn_request(struct flint_conn *conn, struct flint_rx *rx)
{
	const struct flint_msg *m = &rx->msg;
	struct call *c;

	if (m->op == FLINT_OP_PING) {
		if (m->nr_desc || m->data_len)
			flint_xprt_fail(conn->link, -EPROTO, "PING with payload");
		else
			conn_answer(conn, m, FLINT_OK, NULL, 0);
		return true;
	}
	if (m->op == FLINT_OP_HELLO || m->op == FLINT_OP_AUTH) {
		flint_xprt_fail(conn->link, -EPROTO, "second HELLO or AUTH");
		return true;
	}
	if (!token_holds(conn))
		return true;
	if (conn->token && !flint_token_op_ok(m->op)) {
		conn_answer(conn, m, FLINT_ST_AUTH, NULL, 0);
		return true;
	}
	if (conn->nr_calls >= conn->credits) {
		flint_xprt_fail(conn->link, -EPROTO, "more than %u requests in flight",
				conn->credits);
		return true;
	}
	c = call_new(conn, rx);
	if (!c) {
		flint_xprt_fail(conn->link, -ENOMEM, "out of memory");
		return true;
	}
	if (m->op == FLINT_OP_LOG || m->op == FLINT_OP_METRICS)
		call_tool(c);
	else
		conn->srv->cfg.request(conn->srv->cfg.arg, &c->pub);
	return false;
}

static void conn_message(struct flint_xprt *link, struct flint_rx *rx)
{
	struct flint_conn *conn = link->owner;
	bool done = true;

	atomic_fetch_add(&conn->refs, 1);
	if (rx->msg.flags & (FLINT_F_REPLY | FLINT_F_PUSH)) {
		flint_xprt_fail(link, -EPROTO, "a client sent a reply");
	} else {
		switch (conn->state) {
		case CONN_HELLO:
			conn_hello(conn, &rx->msg);
			break;
		case CONN_AUTH:
			conn_auth(conn, &rx->msg);
			break;
		case CONN_LIVE:
			done = conn_request(conn, rx);
			break;
		default:
			flint_xprt_fail(link, -EPROTO, "message after a refusal");
			break;
		}
	}
	if (done)
		link->ops->rx_put(rx);
	conn_put(conn);
}

/* ---- pull ------------------------------------------------------------- */

static void pull_end(struct call *c, int err)
{
	if (err && c->pub.payload) {
		flint_buf_put(c->pub.payload);
		c->pub.payload = NULL;
	}
	c->done(&c->pub, err);
}

static void pull_end_task(struct flint_task *t)
{
	struct call *c = (struct call *)((char *)t - offsetof(struct call, task));

	pull_end(c, c->err);
}

/* Report from the loop, not from inside the caller. */
static void pull_end_later(struct call *c, int err)
{
	c->err = err;
	c->task.fn = pull_end_task;
	flint_loop_post(c->pub.conn->loop, &c->task);
}

static void pull_arrived(struct flint_rx *rx, int err)
{
	pull_end(rx->owner, err);
}

static void pull_into(struct call *c)
{
	struct flint_xprt *link = c->pub.conn->link;
	const struct flint_msg *m = &c->pub.msg;
	struct flint_buf *buf = c->pub.payload;

	if (!m->data_len || c->pull_off > buf->size || m->data_len > buf->size - c->pull_off) {
		pull_end_later(c, -EMSGSIZE);
	} else if (m->data) {
		memcpy(buf->data + c->pull_off, m->data, m->data_len);
		pull_end_later(c, 0);
	} else if (link->dead) {
		pull_end_later(c, -ENOTCONN);
	} else {
		c->rx->pulled = pull_arrived;
		link->ops->pull(link, c->rx, buf->data + c->pull_off, buf);
	}
}

static void pull_buffer(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct call *c = (struct call *)((char *)w - offsetof(struct call, waiter));

	c->pub.payload = buf;
	pull_into(c);
}

static void pull_begin(struct call *c)
{
	struct flint_server *srv = c->pub.conn->srv;

	if (c->pull_own) {
		pull_into(c);
		return;
	}
	if (!c->pub.msg.data_len || c->pub.payload || !srv->cfg.pool) {
		pull_end_later(c, -EINVAL);
		return;
	}
	c->waiter.fn = pull_buffer;
	c->waiter.loop = c->pub.conn->loop;
	c->waiter.holder = flint_conn_holder(c->pub.conn, srv->cfg.pool);
	flint_buf_wait(srv->cfg.pool, &c->waiter);
}

static void pull_begin_task(struct flint_task *t)
{
	pull_begin((struct call *)((char *)t - offsetof(struct call, task)));
}

static void pull_start(struct call *c)
{
	const struct flint_call *call = &c->pub;

	if (flint_loop_inside(call->conn->loop)) {
		pull_begin(c);
		return;
	}
	c->task.fn = pull_begin_task;
	flint_loop_post(call->conn->loop, &c->task);
}

void flint_call_pull(struct flint_call *call, void (*done)(struct flint_call *call, int err))
{
	struct call *c = to_call(call);

	c->done = done;
	c->pull_own = false;
	c->pull_off = 0;
	pull_start(c);
}

void flint_call_pull_to(struct flint_call *call, struct flint_buf *buf, uint32_t offset,
			void (*done)(struct flint_call *call, int err))
{
	struct call *c = to_call(call);

	c->done = done;
	c->pull_own = true;
	c->pull_off = offset;
	c->pub.payload = buf;
	pull_start(c);
}

/* ---- reply ------------------------------------------------------------ */

/* On the loop: the answer leaves, the call ends. */
static void call_finish(struct call *c)
{
	struct flint_conn *conn = c->pub.conn;
	struct flint_xprt *link = conn->link;

	conn->nr_calls--;
	call_count(c);
	if (c->pub.payload)
		flint_buf_put(c->pub.payload);
	/* Room for the next request is there before the credit goes back. */
	link->ops->rx_put(c->rx);
	c->tx->begun_ns = c->start_ns;
	link->ops->send(link, c->tx);
	call_free(c);
}

static void call_finish_task(struct flint_task *t)
{
	call_finish((struct call *)((char *)t - offsetof(struct call, task)));
}

static void call_send(struct call *c)
{
	if (flint_loop_inside(c->pub.conn->loop)) {
		call_finish(c);
		return;
	}
	c->task.fn = call_finish_task;
	flint_loop_post(c->pub.conn->loop, &c->task);
}

static void tx_set_inline(struct flint_tx *tx, const void *data, uint32_t len)
{
	struct flint_hdr *h = (struct flint_hdr *)tx->buf;

	h->flags |= FLINT_F_INLINE;
	memcpy(tx->buf + tx->len, data, len);
	tx->len += len;
}

static bool fits_inline(const struct flint_conn *conn, uint32_t body_len, uint32_t len)
{
	return (conn->link->proto == FLINT_PROTO_TCP || len <= conn->link->inline_size) &&
	       sizeof(struct flint_hdr) + body_len + len <= flint_msg_max(conn->link->inline_size);
}

/* Lay the requester's descriptors out for @len bytes. */
static void tx_set_desc(struct flint_tx *tx, const struct flint_msg *m, uint32_t len)
{
	uint8_t n = 0;

	while (len) {
		uint32_t room = le32_to_cpu(m->desc[n].len);
		uint32_t now = room < len ? room : len;

		tx->desc[n] = m->desc[n];
		tx->desc[n].len = cpu_to_le32(now);
		len -= now;
		n++;
	}
	tx->nr_desc = n;
}

/* May the descriptors of this request be written to? */
static uint32_t reply_room(const struct flint_msg *m)
{
	if (m->data_len && !(m->flags & FLINT_F_INLINE))
		return 0;		/* they describe the request's own payload */
	return flint_msg_room(m);
}

/* The daemon asked for something that cannot be sent: our bug, not the peer's. */
static void call_misfit(struct call *c, uint32_t body_len, uint32_t len)
{
	flint_err_rl("reply to operation 0x%x does not fit: body %u, payload %u bytes",
		     c->pub.msg.op, body_len, len);
	tx_header(c->pub.conn, c->tx, &c->pub.msg, FLINT_ST_BAD_REQUEST, NULL, 0, 0);
	call_send(c);
}

void flint_call_reply(struct flint_call *call, uint32_t status, const void *body,
		      uint32_t body_len, struct flint_buf *buf, uint32_t off, uint32_t len)
{
	struct call *c = to_call(call);
	struct flint_conn *conn = call->conn;
	const struct flint_msg *m = &call->msg;
	struct flint_tx *tx = c->tx;
	bool tcp = conn->link->proto == FLINT_PROTO_TCP;
	bool by_desc = !tcp && len && reply_room(m);

	if (!buf)
		len = 0;
	if (sizeof(struct flint_hdr) + body_len > flint_msg_max(conn->info.inline_size) ||
	    len > conn->info.max_io || (len && (off > buf->size || len > buf->size - off)) ||
	    (by_desc && len > reply_room(m)) ||
	    (len && !tcp && !by_desc && !fits_inline(conn, body_len, len))) {
		if (buf)
			flint_buf_put(buf);
		call_misfit(c, body_len, len);
		return;
	}
	tx_header(conn, tx, m, status, body, body_len, len);
	((struct flint_hdr *)tx->buf)->lease = call->lease;
	if (len && (tcp || by_desc)) {
		tx->payload = buf;
		tx->data = buf->data + off;
		tx->data_len = len;
		if (tcp)
			((struct flint_hdr *)tx->buf)->flags |= FLINT_F_INLINE;
		else
			tx_set_desc(tx, m, len);
	} else {
		if (len)
			tx_set_inline(tx, buf->data + off, len);
		if (buf)
			flint_buf_put(buf);
	}
	call_send(c);
}

void flint_call_reply_copy(struct flint_call *call, uint32_t status, const void *body,
			   uint32_t body_len, const void *data, uint32_t len)
{
	struct call *c = to_call(call);

	if (sizeof(struct flint_hdr) + body_len > flint_msg_max(call->conn->info.inline_size) ||
	    (len && !fits_inline(call->conn, body_len, len))) {
		call_misfit(c, body_len, len);
		return;
	}
	tx_header(call->conn, c->tx, &call->msg, status, body, body_len, len);
	((struct flint_hdr *)c->tx->buf)->lease = call->lease;
	if (len)
		tx_set_inline(c->tx, data, len);
	call_send(c);
}

/* ---- listening -------------------------------------------------------- */

static const struct flint_xprt_user conn_user = {
	.message = conn_message,
	.down = conn_down,
};

static struct flint_server *acceptor_server(struct flint_acceptor *a)
{
	return (struct flint_server *)((char *)a - offsetof(struct flint_server, acceptor));
}

static struct flint_loop *server_pick(struct flint_acceptor *a)
{
	struct flint_server *srv = acceptor_server(a);

	if (atomic_load(&srv->closing))
		return NULL;
	if (atomic_fetch_add(&srv->nr_conns, 1) >= srv->cfg.max_conns) {
		atomic_fetch_sub(&srv->nr_conns, 1);
		flint_warn_rl("refused a connection: there are %u already", srv->cfg.max_conns);
		return NULL;
	}
	atomic_fetch_add(&srv->refs, 1);
	return srv->loops[srv->next_loop++ % srv->cfg.nr_loops];
}

static void server_unpick(struct flint_acceptor *a)
{
	struct flint_server *srv = acceptor_server(a);

	atomic_fetch_sub(&srv->nr_conns, 1);
	server_put(srv);
}

/* On the link's loop. Takes over the reference and the count of server_pick(). */
static int server_accept(struct flint_acceptor *a, struct flint_xprt *link)
{
	struct flint_server *srv = acceptor_server(a);
	struct flint_conn *conn;
	unsigned int i;

	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return -ENOMEM;
	conn->srv = srv;
	conn->link = link;
	conn->loop = link->loop;
	for (i = 0; i < srv->cfg.nr_loops; i++)
		if (srv->loops[i] == conn->loop)
			conn->stats = srv->stats[i];
	atomic_init(&conn->refs, 1);
	atomic_flag_clear(&conn->kill_posted);
	snprintf(conn->info.address, sizeof(conn->info.address), "%s", link->address);
	conn->info.addr = link->addr;
	conn->info.proto = link->proto;
	link->lim.any_version = true;	/* until hello_take() */
	conn->timer.fn = conn_timer;
	conn->timer.arg = conn;

	pthread_mutex_lock(&srv->lock);
	if (atomic_load(&srv->closing)) {
		pthread_mutex_unlock(&srv->lock);
		free(conn);
		return -ESHUTDOWN;
	}
	conn->next = srv->conns;
	conn->prev = &srv->conns;
	if (conn->next)
		conn->next->prev = &conn->next;
	srv->conns = conn;
	pthread_mutex_unlock(&srv->lock);

	flint_xprt_get(link);
	link->user = &conn_user;
	link->owner = conn;
	flint_timer_set(conn->loop, &conn->timer, HANDSHAKE_MS);
	return 0;
}

void flint_server_identify(struct flint_server *srv, uint32_t node_id,
			   const uint8_t cluster_id[16])
{
	srv->cfg.node_id = node_id;
	memcpy(srv->cfg.cluster_id, cluster_id, sizeof(srv->cfg.cluster_id));
}

struct flint_server *flint_server_new(const struct flint_server_config *cfg)
{
	struct flint_server *srv;

	if (!cfg->nr_loops || !cfg->request || cfg->inline_size > FLINT_INLINE_MAX ||
	    cfg->credits > FLINT_MAX_CREDITS) {
		errno = EINVAL;
		return NULL;
	}
	srv = calloc(1, sizeof(*srv));
	if (!srv)
		return NULL;
	srv->loops = calloc(cfg->nr_loops, sizeof(*srv->loops));
	if (!srv->loops) {
		free(srv);
		return NULL;
	}
	memcpy(srv->loops, cfg->loops, cfg->nr_loops * sizeof(*srv->loops));
	srv->cfg = *cfg;
	srv->cfg.loops = srv->loops;
	if (server_stats_new(srv)) {
		server_stats_free(srv);
		free(srv->loops);
		free(srv);
		return NULL;
	}
	if (cfg->key)
		memcpy(srv->key, cfg->key, sizeof(srv->key));
	if (!cfg->inline_size)
		srv->cfg.inline_size = FLINT_INLINE_DEFAULT;
	if (!cfg->max_io)
		srv->cfg.max_io = FLINT_MAX_IO;
	if (!cfg->credits)
		srv->cfg.credits = 64;
	if (!cfg->max_conns)
		srv->cfg.max_conns = 4096;
	if (!cfg->pool)
		srv->cfg.max_io = min_u32(srv->cfg.max_io, srv->cfg.inline_size);
	else
		srv->cfg.max_io = min_u32(srv->cfg.max_io, flint_pool_buf_size(cfg->pool));
	atomic_init(&srv->refs, 1);
	pthread_mutex_init(&srv->lock, NULL);
	srv->acceptor = (struct flint_acceptor){
		.params = {
			.inline_size = srv->cfg.inline_size,
			.max_io = srv->cfg.max_io,
			.depth = srv->cfg.credits,
			.pool = cfg->pool,
		},
		.loop = srv->loops[0],
		.pick = server_pick,
		.unpick = server_unpick,
		.accept = server_accept,
	};
	return srv;
}

struct listen_args {
	struct flint_server *srv;
	int proto;
	struct sockaddr_storage *addr;
	char *err;
	size_t errlen;
	int ret;
};

static void listen_run(void *arg)
{
	struct listen_args *la = arg;
	struct flint_server *srv = la->srv;
	struct flint_listener *l;

	if (la->proto == FLINT_PROTO_RDMA)
		la->ret = flint_verbs_listen(&srv->acceptor, la->addr, &l, la->err, la->errlen);
	else
		la->ret = flint_tcp_listen(&srv->acceptor, la->addr, &l, la->err, la->errlen);
	if (la->ret)
		return;
	l->next = srv->listeners;
	srv->listeners = l;
}

int flint_server_listen(struct flint_server *srv, int proto, struct sockaddr_storage *addr,
			char *err, size_t errlen)
{
	struct listen_args la = {
		.srv = srv, .proto = proto, .addr = addr, .err = err, .errlen = errlen,
	};

	flint_loop_sync(srv->loops[0], listen_run, &la);
	return la.ret;
}

/* ---- stopping --------------------------------------------------------- */

static void stop_listening(void *arg)
{
	struct flint_server *srv = arg;
	struct flint_listener *l;

	while ((l = srv->listeners)) {
		srv->listeners = l->next;
		l->ops->close(l);
	}
}

struct close_args {
	struct flint_server *srv;
	struct flint_loop *loop;
};

/* One connection of this loop, with a reference; or NULL. */
static struct flint_conn *server_find(struct flint_server *srv, struct flint_loop *loop)
{
	struct flint_conn *conn;

	pthread_mutex_lock(&srv->lock);
	for (conn = srv->conns; conn && conn->loop != loop; conn = conn->next)
		;
	if (conn)
		atomic_fetch_add(&conn->refs, 1);
	pthread_mutex_unlock(&srv->lock);
	return conn;
}

static void close_conns(void *arg)
{
	struct close_args *ca = arg;
	struct flint_conn *conn;

	while ((conn = server_find(ca->srv, ca->loop))) {
		/* Torn already means that conn_down() has run, and it unlists. */
		flint_xprt_close(conn->link);
		conn_end(conn);
		conn_put(conn);
	}
}

void flint_server_free(struct flint_server *srv)
{
	unsigned int i;

	if (!srv)
		return;
	pthread_mutex_lock(&srv->lock);
	atomic_store(&srv->closing, true);
	pthread_mutex_unlock(&srv->lock);
	flint_loop_sync(srv->loops[0], stop_listening, srv);
	for (i = 0; i < srv->cfg.nr_loops; i++) {
		struct close_args ca = { .srv = srv, .loop = srv->loops[i] };

		flint_loop_sync(srv->loops[i], close_conns, &ca);
	}
	server_put(srv);
}
