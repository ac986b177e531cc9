// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tokens against a server that has the cluster key: what a client with a token
 * reaches, and everything that must not get it in: changed claims, somebody
 * else's secret, another role, another address, a token that has expired or was
 * revoked, before the client comes or while it is there; a recorded AUTH.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "raw_msg.h"
#include "userd/base/token.h"
#include "userd/net/pool_int.h"
#include "userd/net/xprt.h"

#define WAIT_MS		4000

static const uint8_t my_id[16] = "token's client..";
static const uint8_t key[FLINT_KEY_LEN] = "the cluster's key, not the token";

static struct {
	struct flint_loop *loop, *cloop;
	pthread_t thread, cthread;
	struct flint_pool *pool;
	struct flint_server *srv;
	struct sockaddr_storage addr;
	atomic_ullong epoch, revoked;	/* of the map; id of the only token taken back */
	atomic_int verdict;		/* of revoked() when it is -EAGAIN */
	atomic_int calls;
	struct flint_token_full seen;	/* claims of the last call */
	atomic_bool had_token;
} S;

static void *run_loop(void *arg)
{
	assert_int_equal(flint_loop_run(arg), 0);
	return NULL;
}

static void request(void *arg, struct flint_call *call)
{
	const struct flint_token *t = flint_conn_info(call->conn)->token;

	atomic_fetch_add(&S.calls, 1);
	atomic_store(&S.had_token, t != NULL);
	if (t)
		memcpy(S.seen.bytes, t, flint_token_len(t));
	flint_call_reply(call, 0, NULL, 0, NULL, 0, 0);
}

static uint64_t on_epoch(void *arg)
{
	return atomic_load(&S.epoch);
}

static int on_revoked(void *arg, const struct flint_token *t)
{
	if (atomic_load(&S.verdict))
		return atomic_load(&S.verdict);
	return le64_to_cpu(t->id) == atomic_load(&S.revoked);
}

static int setup(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct flint_server_config cfg = {
		.role = FLINT_ROLE_CHUNK, .key = key, .loops = &S.loop, .nr_loops = 1,
		.request = request, .map_epoch = on_epoch, .revoked = on_revoked,
	};
	char err[256];

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(&S.addr, &in, sizeof(in));
	S.loop = flint_loop_new();
	S.cloop = flint_loop_new();
	S.pool = flint_pool_new(1 << 20, 4);
	cfg.pool = S.pool;
	S.srv = flint_server_new(&cfg);
	assert_non_null(S.srv);
	assert_int_equal(flint_server_listen(S.srv, FLINT_PROTO_TCP, &S.addr, err, sizeof(err)), 0);
	assert_int_equal(pthread_create(&S.thread, NULL, run_loop, S.loop), 0);
	assert_int_equal(pthread_create(&S.cthread, NULL, run_loop, S.cloop), 0);
	return 0;
}

static int teardown(void **state)
{
	flint_loop_stop(S.cloop);
	pthread_join(S.cthread, NULL);
	flint_loop_stop(S.loop);
	pthread_join(S.thread, NULL);
	flint_server_free(S.srv);
	flint_loop_free(S.cloop);
	flint_loop_free(S.loop);
	flint_pool_free(S.pool);
	return 0;
}

static struct flint_token_full make(void)
{
	uint64_t now = (uint64_t)time(NULL);
	struct flint_token_full t = { .claims = {
		.magic = cpu_to_le32(FLINT_TOKEN_MAGIC), .version = FLINT_TOKEN_V1,
		.fixed_len = cpu_to_le16(sizeof(struct flint_token)), .path_len = cpu_to_le16(3),
		.fs = cpu_to_le32(1), .id = cpu_to_le64(77), .issued = cpu_to_le64(now),
		.expires = cpu_to_le64(now + 3600), .flags = cpu_to_le32(FLINT_TOKEN_RDONLY),
	} };

	memcpy(t.bytes + sizeof(t.claims), "a/b", 3);
	return t;
}

static void sign(struct flint_token_full *t)
{
	flint_token_secret(key, &t->claims, t->secret);
}

/* ---- a client --------------------------------------------------------- */

struct client {
	struct flint_peer *peer;
	struct flint_rpc rpc;
	struct flint_task task;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	char why[160];
};

static void client_state(void *arg, struct flint_peer *peer, int err, const char *why)
{
	struct client *c = arg;

	if (err)
		snprintf(c->why, sizeof(c->why), "%s", why);
}

static void client_done(struct client *c)
{
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static void client_rpc_done(struct flint_rpc *rpc)
{
	client_done(rpc->priv);
}

static void client_wait(struct client *c)
{
	pthread_mutex_lock(&c->lock);
	while (!c->done)
		pthread_cond_wait(&c->cond, &c->lock);
	c->done = false;
	pthread_mutex_unlock(&c->lock);
}

/* @t: NULL: with the cluster key. */
static void client_open(struct client *c, const struct flint_token_full *t, uint8_t role)
{
	struct flint_peer_config cfg = {
		.loop = S.cloop, .proto = FLINT_PROTO_TCP, .addr = S.addr, .role = role,
		.key = t ? t->secret : key, .token = t ? &t->claims : NULL, .name = "test",
		.state = client_state, .arg = c,
	};

	memset(c, 0, sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
	c->peer = flint_peer_new(&cfg);
	assert_non_null(c->peer);
}

/* Return: the request's err, or its status. */
static int client_call(struct client *c, uint16_t op)
{
	c->rpc = (struct flint_rpc){ .op = op, .timeout_ms = WAIT_MS, .done = client_rpc_done,
				     .priv = c };
	flint_peer_call(c->peer, &c->rpc);
	client_wait(c);
	return c->rpc.err ? c->rpc.err : (int)c->rpc.status;
}

static void client_free_task(struct flint_task *task)
{
	struct client *c = (struct client *)((char *)task - offsetof(struct client, task));

	flint_peer_free(c->peer);
	client_done(c);
}

static void client_close(struct client *c)
{
	c->task.fn = client_free_task;
	flint_loop_post(S.cloop, &c->task);
	client_wait(c);
}

static void refused(const struct flint_token_full *t, const char *why)
{
	int before = atomic_load(&S.calls);
	struct client c;

	client_open(&c, t, FLINT_ROLE_CLIENT);
	assert_int_equal(client_call(&c, FLINT_OP_READ), -EACCES);
	client_close(&c);
	if (!strstr(c.why, why))
		fail_msg("'%s' instead of '%s'", c.why, why);
	assert_int_equal(atomic_load(&S.calls), before);
}

/* ---- tests ------------------------------------------------------------ */

static void accepted(void **state)
{
	struct flint_token_full t = make();
	struct client c;

	sign(&t);
	client_open(&c, &t, FLINT_ROLE_CLIENT);
	assert_int_equal(client_call(&c, FLINT_OP_READ), 0);
	assert_true(atomic_load(&S.had_token));
	assert_memory_equal(S.seen.bytes, t.bytes, flint_token_len(&t.claims));
	client_close(&c);

	/* The cluster key itself still opens everything, and brings no claims. */
	client_open(&c, NULL, FLINT_ROLE_META);
	assert_int_equal(client_call(&c, FLINT_OP_HEARTBEAT), 0);
	assert_false(atomic_load(&S.had_token));
	client_close(&c);
}

/* Operations of servers and managers do not reach the daemon. */
static void operations(void **state)
{
	static const uint16_t no[] = { FLINT_OP_HEARTBEAT, FLINT_OP_FS_CREATE, FLINT_OP_CUT,
				       FLINT_OP_TARGET_STAT, 0x12, 0x1f, 0x50, 0x5f, 0x7001 };
	static const uint16_t yes[] = { FLINT_OP_MAP_GET, FLINT_OP_SESSION_OPEN, FLINT_OP_LOOKUP,
					FLINT_OP_APPEND, FLINT_OP_READ, FLINT_OP_WRITE,
					FLINT_OP_PUNCH, FLINT_OP_PING };
	struct flint_token_full t = make();
	struct client c;
	int before;
	size_t i;

	sign(&t);
	client_open(&c, &t, FLINT_ROLE_CLIENT);
	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_int_equal(client_call(&c, yes[i]), 0);
	before = atomic_load(&S.calls);
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_int_equal(client_call(&c, no[i]), FLINT_ST_AUTH);
	assert_int_equal(atomic_load(&S.calls), before);
	client_close(&c);
}

static void forged(void **state)
{
	struct flint_token_full good = make(), t;

	sign(&good);
	t = good, t.claims.expires = cpu_to_le64(le64_to_cpu(t.claims.expires) + 1);
	refused(&t, "or was changed");
	t = good, t.claims.flags = 0;
	refused(&t, "or was changed");
	t = good, t.claims.fs = cpu_to_le32(2);
	refused(&t, "or was changed");
	t = good, t.bytes[sizeof(t.claims)] = 'c';	/* another subtree */
	refused(&t, "or was changed");
	t = good, t.claims.path_len = 0;
	refused(&t, "or was changed");
	t = good, t.secret[0] ^= 1;
	refused(&t, "or was changed");
}

static void out_of_date_or_place(void **state)
{
	struct flint_token_full t = make();

	t.claims.issued = cpu_to_le64(1000);
	t.claims.expires = cpu_to_le64(2000);
	sign(&t);
	refused(&t, "expired");
	t = make();
	assert_int_equal(flint_token_prefix("10.0.0.0/8", &t.claims), 0);
	sign(&t);
	refused(&t, "other addresses");
	t = make();
	assert_int_equal(flint_token_prefix("127.0.0.0/8", &t.claims), 0);
	sign(&t);
	{
		struct client c;

		client_open(&c, &t, FLINT_ROLE_CLIENT);
		assert_int_equal(client_call(&c, FLINT_OP_READ), 0);
		client_close(&c);
	}
	t = make();
	t.claims.flags = cpu_to_le32(1u << 20);		/* from a later version */
	sign(&t);
	refused(&t, "older than the token");
}

static void other_role(void **state)
{
	struct flint_token_full t = make();
	struct client c;
	uint8_t role;

	sign(&t);
	for (role = FLINT_ROLE_CHUNK; role <= FLINT_ROLE_TOOL; role++) {
		client_open(&c, &t, role);
		assert_int_equal(client_call(&c, FLINT_OP_READ), -EACCES);
		client_close(&c);
		assert_non_null(strstr(c.why, "clients only"));
	}
}

static void revoked(void **state)
{
	struct flint_token_full t = make();
	struct client c;

	sign(&t);
	client_open(&c, &t, FLINT_ROLE_CLIENT);
	assert_int_equal(client_call(&c, FLINT_OP_READ), 0);
	atomic_store(&S.revoked, 77);
	assert_int_equal(client_call(&c, FLINT_OP_READ), 0);	/* no new map yet */
	atomic_fetch_add(&S.epoch, 1);
	assert_true(client_call(&c, FLINT_OP_READ) < 0);
	assert_int_equal(client_call(&c, FLINT_OP_READ), -EACCES);
	client_close(&c);
	refused(&t, "revoked");
	atomic_store(&S.revoked, 0);

	/* A server that does not know yet does not say no, either. */
	atomic_store(&S.verdict, -EAGAIN);
	client_open(&c, &t, FLINT_ROLE_CLIENT);
	usleep(300000);
	atomic_store(&S.verdict, 0);
	assert_int_equal(client_call(&c, FLINT_OP_READ), 0);
	client_close(&c);
}

/* An idle connection ends with its token, too. */
static void expires_meanwhile(void **state)
{
	struct flint_token_full t = make();
	struct client c;

	t.claims.expires = cpu_to_le64((uint64_t)time(NULL) + 2);
	sign(&t);
	client_open(&c, &t, FLINT_ROLE_CLIENT);
	assert_int_equal(client_call(&c, FLINT_OP_READ), 0);
	sleep(3);
	assert_true(client_call(&c, FLINT_OP_READ) < 0);
	client_close(&c);
	refused(&t, "expired");
}

/* ---- raw: what the library would never send --------------------------- */

static size_t get(int fd, void *p, size_t len)
{
	size_t got;

	if (!raw_get(fd, p, len, WAIT_MS, &got))
		fail_msg("the server neither answers nor closes");
	return got;
}

static int raw_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&S.addr, sizeof(struct sockaddr_in)), 0);
	return fd;
}

/* HELLO with @len bytes of claims, of which @send are there, at @fixed. */
static int raw_hello(const void *claims, uint16_t len, uint32_t send_len, uint16_t fixed,
		     uint8_t *nonce)
{
	struct {
		struct flint_hdr h;
		struct flint_hello hello;
		uint8_t claims[FLINT_TOKEN_MAX + 64];
	} m;
	int fd = raw_connect();

	raw_header(&m.h, FLINT_OP_HELLO, (uint32_t)sizeof(m.hello) + send_len, 0);
	raw_hello_body(&m.hello, my_id, 65536, 4);
	m.hello.fixed_len = cpu_to_le16(fixed);
	m.hello.token_len = cpu_to_le16(len);
	memcpy(m.claims, claims, send_len);
	memcpy(m.hello.nonce, nonce, FLINT_NONCE_LEN);
	assert_true(send(fd, &m, sizeof(m.h) + sizeof(m.hello) + send_len, MSG_NOSIGNAL) > 0);
	return fd;
}

static void closed(int fd)
{
	uint8_t byte;

	assert_int_equal(get(fd, &byte, 1), 0);
	close(fd);
}

static void malformed(void **state)
{
	uint8_t nonce[FLINT_NONCE_LEN] = "client's", big[FLINT_TOKEN_MAX + 64] = { 0 };
	struct flint_token_full good = make(), t;
	uint32_t len = flint_token_len(&good.claims), i;
	const uint16_t fixed = sizeof(struct flint_hello);

	for (i = 1; i < len; i += 5)
		closed(raw_hello(good.bytes, (uint16_t)i, i, fixed, nonce));
	closed(raw_hello(good.bytes, (uint16_t)len, len - 1, fixed, nonce));
	closed(raw_hello(good.bytes, (uint16_t)len, len, fixed - 1, nonce));
	closed(raw_hello(good.bytes, (uint16_t)len, len, fixed + 1, nonce));
	closed(raw_hello(good.bytes, (uint16_t)len, len, 0xffff, nonce));
	closed(raw_hello(good.bytes, 0xffff, len, fixed, nonce));
	closed(raw_hello(big, sizeof(big), sizeof(big), fixed, nonce));
	memcpy(t.bytes, good.bytes, len);
	t.bytes[sizeof(t.claims)] = '/';
	closed(raw_hello(t.bytes, (uint16_t)len, len, fixed, nonce));
}

/* The same HELLO and the same AUTH again: the server's nonce is another one. */
static void replayed(void **state)
{
	uint8_t nonce[FLINT_NONCE_LEN] = "client's";
	struct { struct flint_hdr h; uint8_t mac[FLINT_MAC_LEN]; } auth;
	struct { struct flint_hdr h; struct flint_hello_rep r; } rep;
	struct flint_token_full t = make();
	uint32_t len = flint_token_len(&t.claims);
	struct flint_hdr h;
	int fd, i;

	sign(&t);
	raw_header(&auth.h, FLINT_OP_AUTH, FLINT_MAC_LEN, 0);
	for (i = 0; i < 2; i++) {
		fd = raw_hello(t.bytes, (uint16_t)len, len, sizeof(struct flint_hello), nonce);
		assert_int_equal(get(fd, &rep, sizeof(rep)), sizeof(rep));
		if (!i)
			flint_auth_mac(auth.mac, t.secret, false, nonce, rep.r.nonce, my_id,
				       FLINT_ROLE_CLIENT);
		assert_true(send(fd, &auth, sizeof(auth), MSG_NOSIGNAL) > 0);
		assert_int_equal(get(fd, &h, sizeof(h)), sizeof(h));
		assert_int_equal(le32_to_cpu(h.status), i ? FLINT_ST_AUTH : FLINT_OK);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(operations),
		cmocka_unit_test(forged),
		cmocka_unit_test(out_of_date_or_place),
		cmocka_unit_test(other_role),
		cmocka_unit_test(revoked),
		cmocka_unit_test(expires_meanwhile),
		cmocka_unit_test(malformed),
		cmocka_unit_test(replayed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
