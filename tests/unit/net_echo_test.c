// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Client and server of userd/net against each other over TCP, each in a loop
 * and thread of its own: payloads inline and large both ways, several
 * connections, more requests than credits, authentication, deadlines, restart
 * of the server. Every test ends with all buffers back in the pool.
 *
 * tests/vm/net_verbs_echo.c compiles this file again; with an RDMA device's
 * address in FLINT_TEST_RDMA the same tests run over verbs.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "userd/net/net.h"
#include "userd/net/pool_int.h"

#define OP_ECHO		0x7001	/* payload comes back */
#define OP_MAKE		0x7002	/* body: u32 length; that much pattern comes back */
#define OP_SINK		0x7003	/* payload is summed; the body of the reply is the sum */
#define OP_LATE		0x7004	/* answered by another thread, after a while */
#define OP_NEVER	0x7005	/* not answered until the end */

#define MIB		(1u << 20)

static const uint8_t good_key[FLINT_KEY_LEN] = "0123456789abcdef0123456789abcde";
static const uint8_t other_key[FLINT_KEY_LEN] = "fedcba9876543210fedcba987654321";

struct env {
	struct flint_loop *sl[2], *cl;
	pthread_t st[2], ct;
	struct flint_pool *pool, *cpool;	/* server's, clients' */
	struct flint_server *srv;
	struct sockaddr_storage addr;
	struct flint_call *kept[64];
	int nr_kept;
	int closed;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

static int test_proto(void)
{
	return getenv("FLINT_TEST_RDMA") ? FLINT_PROTO_RDMA : FLINT_PROTO_TCP;
}

static void *run_loop(void *arg)
{
	assert_int_equal(flint_loop_run(arg), 0);
	return NULL;
}

static uint64_t sum_of(const uint8_t *p, uint32_t len)
{
	uint64_t s = 0;

	while (len--)
		s = s * 31 + *p++;
	return s;
}

static void fill(uint8_t *p, uint32_t len, uint32_t seed)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

/* ---- server side ------------------------------------------------------ */

static void pulled(struct flint_call *call, int err)
{
	uint32_t len = call->msg.data_len;
	__le64 sum;

	if (err) {
		flint_call_reply(call, EIO, NULL, 0, NULL, 0, 0);
		return;
	}
	if (call->msg.op == OP_SINK) {
		sum = cpu_to_le64(sum_of(call->payload->data, len));
		flint_call_reply(call, 0, &sum, sizeof(sum), NULL, 0, 0);
		return;
	}
	flint_buf_ref(call->payload);
	flint_call_reply(call, 0, "echo", 4, call->payload, 0, len);
}

static void *late_reply(void *arg)
{
	struct flint_call *call = arg;

	usleep(20000);
	flint_call_reply(call, 0, "late", 4, NULL, 0, 0);
	return NULL;
}

static void make(struct env *e, struct flint_call *call)
{
	struct flint_buf *buf = flint_buf_get(e->pool);
	__le32 len;

	if (!buf) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	memcpy(&len, call->msg.body, sizeof(len));
	fill(buf->data, le32_to_cpu(len), call->msg.tag & 0xff);
	flint_call_reply(call, 0, &call->msg.tag, 4, buf, 0, le32_to_cpu(len));
}

static void request(void *arg, struct flint_call *call)
{
	struct env *e = arg;
	pthread_t t;

	switch (call->msg.op) {
	case OP_ECHO:
		if (!call->msg.data_len)
			flint_call_reply(call, 0, call->msg.body, call->msg.body_len, NULL, 0, 0);
		else if (call->msg.data)
			flint_call_reply_copy(call, 0, "echo", 4, call->msg.data,
					      call->msg.data_len);
		else
			flint_call_pull(call, pulled);
		break;
	case OP_SINK:
		flint_call_pull(call, pulled);
		break;
	case OP_MAKE:
		make(e, call);
		break;
	case OP_LATE:
		assert_int_equal(pthread_create(&t, NULL, late_reply, call), 0);
		pthread_detach(t);
		break;
	case OP_NEVER:
		pthread_mutex_lock(&e->lock);
		e->kept[e->nr_kept++] = call;
		pthread_mutex_unlock(&e->lock);
		break;
	default:
		flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
	}
}

static void closed(void *arg, struct flint_conn *conn)
{
	struct env *e = arg;

	pthread_mutex_lock(&e->lock);
	e->closed++;
	pthread_cond_broadcast(&e->cond);
	pthread_mutex_unlock(&e->lock);
}

static void server_start(struct env *e, const uint8_t *key, uint32_t credits)
{
	struct flint_server_config cfg = {
		.role = FLINT_ROLE_CHUNK,
		.key = key,
		.credits = credits,
		.pool = e->pool,
		.loops = e->sl,
		.nr_loops = 2,
		.request = request,
		.closed = closed,
		.arg = e,
	};
	char err[256] = "";

	e->srv = flint_server_new(&cfg);
	assert_non_null(e->srv);
	if (flint_server_listen(e->srv, test_proto(), &e->addr, err, sizeof(err)))
		fail_msg("%s", err);
}

static struct env *env_sized(const uint8_t *key, uint32_t credits, bool v6, uint32_t size,
			     uint32_t nr)
{
	struct env *e = calloc(1, sizeof(*e));
	struct sockaddr_in *in = (void *)&e->addr;
	struct sockaddr_in6 *in6 = (void *)&e->addr;
	int i;

	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->cond, NULL);
	e->pool = flint_pool_new(size, nr);
	assert_non_null(e->pool);
	e->cpool = flint_pool_new(size, nr);
	assert_non_null(e->cpool);
	if (v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = in6addr_loopback;
	} else {
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (test_proto() == FLINT_PROTO_RDMA)
			assert_int_equal(inet_pton(AF_INET, getenv("FLINT_TEST_RDMA"),
						   &in->sin_addr), 1);
	}
	for (i = 0; i < 2; i++) {
		e->sl[i] = flint_loop_new();
		pthread_create(&e->st[i], NULL, run_loop, e->sl[i]);
	}
	e->cl = flint_loop_new();
	pthread_create(&e->ct, NULL, run_loop, e->cl);
	server_start(e, key, credits);
	return e;
}

static struct env *env_new(const uint8_t *key, uint32_t credits, bool v6)
{
	return env_sized(key, credits, v6, MIB, 8);
}

static void env_free(struct env *e)
{
	int i;

	if (e->srv)
		flint_server_free(e->srv);
	for (i = 0; i < e->nr_kept; i++)
		flint_call_reply(e->kept[i], 0, NULL, 0, NULL, 0, 0);
	flint_loop_stop(e->cl);
	pthread_join(e->ct, NULL);
	for (i = 0; i < 2; i++) {
		flint_loop_stop(e->sl[i]);
		pthread_join(e->st[i], NULL);
	}
	flint_loop_free(e->cl);
	for (i = 0; i < 2; i++)
		flint_loop_free(e->sl[i]);
	assert_int_equal(flint_pool_nr_free(e->pool), flint_pool_count(e->pool));
	flint_pool_free(e->pool);
	assert_int_equal(flint_pool_nr_free(e->cpool), flint_pool_count(e->cpool));
	flint_pool_free(e->cpool);
	pthread_cond_destroy(&e->cond);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* ---- client side ------------------------------------------------------ */

struct wait {
	struct flint_rpc rpc;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	uint8_t body[256];
	uint32_t body_len;
};

static void rpc_done(struct flint_rpc *rpc)
{
	struct wait *w = rpc->priv;

	pthread_mutex_lock(&w->lock);
	if (!rpc->err && rpc->rep_len <= sizeof(w->body)) {
		memcpy(w->body, rpc->rep_body, rpc->rep_len);
		w->body_len = rpc->rep_len;
	}
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void wait_start(struct wait *w, struct flint_peer *p)
{
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	w->done = false;
	w->rpc.done = rpc_done;
	w->rpc.priv = w;
	flint_peer_call(p, &w->rpc);
}

static int wait_end(struct wait *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->done)
		pthread_cond_wait(&w->cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->cond);
	return w->rpc.err;
}

static int wait_for(struct wait *w, struct flint_peer *p)
{
	wait_start(w, p);
	return wait_end(w);
}

static struct flint_peer *peer_new(struct env *e, const uint8_t *key)
{
	struct flint_peer_config cfg = {
		.loop = e->cl,
		.proto = test_proto(),
		.addr = e->addr,
		.role = FLINT_ROLE_TOOL,
		.client_id = "test client....",
		.key = key,
		.name = "net_echo_test",
		.pool = e->cpool,
	};
	struct flint_peer *p = flint_peer_new(&cfg);

	assert_non_null(p);
	return p;
}

struct free_task {
	struct flint_task task;
	struct flint_peer *peer;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void free_run(struct flint_task *t)
{
	struct free_task *f = (struct free_task *)t;

	flint_peer_free(f->peer);
	pthread_mutex_lock(&f->lock);
	f->done = true;
	pthread_cond_signal(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

static void peer_free(struct env *e, struct flint_peer *p)
{
	struct free_task f = { .task = { .fn = free_run }, .peer = p };

	pthread_mutex_init(&f.lock, NULL);
	pthread_cond_init(&f.cond, NULL);
	flint_loop_post(e->cl, &f.task);
	pthread_mutex_lock(&f.lock);
	while (!f.done)
		pthread_cond_wait(&f.cond, &f.lock);
	pthread_mutex_unlock(&f.lock);
}

/* On verbs a request's descriptors describe what it sends or what it receives, not both. */
static bool echo_possible(uint32_t len)
{
	return test_proto() == FLINT_PROTO_TCP || len <= FLINT_INLINE_DEFAULT - 100;
}

static void do_echo(struct flint_peer *p, uint32_t len)
{
	uint8_t *out = malloc(len + 1), *in = calloc(1, len + 1);
	struct wait w = { .rpc = { .op = OP_ECHO, .body = "body", .body_len = 4, .out = out,
				   .out_len = len, .in = in, .in_len = len } };

	fill(out, len, len);
	assert_int_equal(wait_for(&w, p), 0);
	assert_int_equal(w.rpc.status, 0);
	assert_int_equal(w.rpc.rep_data_len, len);
	assert_memory_equal(in, out, len);
	assert_int_equal(w.body_len, 4);
	assert_memory_equal(w.body, len ? "echo" : "body", 4);
	free(out);
	free(in);
}

static void do_make(struct flint_peer *p, uint32_t len)
{
	uint8_t *in = calloc(1, len + 1), *want = malloc(len + 1);
	__le32 arg = cpu_to_le32(len);
	struct wait w = { .rpc = { .op = OP_MAKE, .body = &arg, .body_len = 4, .in = in,
				   .in_len = len } };

	assert_int_equal(wait_for(&w, p), 0);
	assert_int_equal(w.rpc.status, 0);
	fill(want, len, w.rpc.tag & 0xff);
	assert_int_equal(w.rpc.rep_data_len, len);
	assert_memory_equal(in, want, len);
	free(in);
	free(want);
}

static void do_sink(struct flint_peer *p, uint32_t len)
{
	uint8_t *out = malloc(len);
	struct wait w = { .rpc = { .op = OP_SINK, .out = out, .out_len = len } };
	__le64 sum;

	fill(out, len, 3);
	assert_int_equal(wait_for(&w, p), 0);
	assert_int_equal(w.rpc.status, 0);
	memcpy(&sum, w.body, sizeof(sum));
	assert_int_equal(le64_to_cpu(sum), sum_of(out, len));
	free(out);
}

static void do_big(struct flint_peer *p, uint32_t len)
{
	if (echo_possible(len))
		do_echo(p, len);
	do_make(p, len);
	do_sink(p, len);
}

/* ---- tests ------------------------------------------------------------ */

static void echo_sizes(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 100, 4000, 4096, 4500, 5000, 65536, 70001, MIB };
	struct flint_peer *p;
	struct env *e;
	size_t i;

	e = env_new(good_key, 0, *state);
	p = peer_new(e, good_key);

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		if (sizes[i])
			do_big(p, sizes[i]);
		else
			do_echo(p, 0);
	}
	peer_free(e, p);
	env_free(e);
}

/* Many requests of many connections at once, most of them waiting for credits and buffers. */
static void crowd(void **state)
{
	enum { PEERS = 5, EACH = 60 };
	struct env *e = env_new(good_key, 4, false);
	struct flint_peer *p[PEERS];
	struct wait *w = calloc(PEERS * EACH, sizeof(*w));
	static const uint32_t sizes[] = { 10, 3000, 9000, 200000, MIB };
	uint8_t *out = malloc(MIB), *in = calloc(PEERS * EACH, 200000);
	int i;

	fill(out, MIB, 9);
	for (i = 0; i < PEERS; i++)
		p[i] = peer_new(e, good_key);
	for (i = 0; i < PEERS * EACH; i++) {
		uint32_t len = sizes[i % 5];

		w[i].rpc = (struct flint_rpc){ .op = i % 3 && len <= 200000 &&
						     echo_possible(len) ? OP_ECHO : OP_SINK,
					       .out = out, .out_len = len,
					       .timeout_ms = 60000 };
		if (w[i].rpc.op == OP_ECHO) {
			w[i].rpc.in = in + (size_t)i * 200000;
			w[i].rpc.in_len = len;
		}
		if (i % 7 == 0)
			w[i].rpc = (struct flint_rpc){ .op = OP_LATE, .timeout_ms = 60000 };
		wait_start(&w[i], p[i % PEERS]);
	}
	for (i = 0; i < PEERS * EACH; i++) {
		assert_int_equal(wait_end(&w[i]), 0);
		assert_int_equal(w[i].rpc.status, 0);
		if (w[i].rpc.op == OP_ECHO)
			assert_memory_equal(w[i].rpc.in, out, w[i].rpc.out_len);
	}
	for (i = 0; i < PEERS; i++)
		peer_free(e, p[i]);
	free(w);
	free(out);
	free(in);
	env_free(e);
}

/* ---- connections take turns -------------------------------------------- */

#define TURNS		24	/* more than share a device's READs without waiting */
#define TURN_DEPTH	20
#define TURN_LEN	8192
#define TURN_ALL	6000

struct turns {
	unsigned int done[TURNS], all, ended;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

struct turn {
	struct flint_rpc rpc;
	struct flint_peer *peer;
	struct turns *t;
	unsigned int who;
};

/* On the clients' loop. */
static void turn_done(struct flint_rpc *rpc)
{
	struct turn *turn = rpc->priv;
	struct turns *t = turn->t;

	assert_int_equal(rpc->err, 0);
	if (++t->all <= TURN_ALL) {
		t->done[turn->who]++;
		flint_peer_call(turn->peer, rpc);
		return;
	}
	pthread_mutex_lock(&t->lock);
	t->ended++;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

/* All send payloads without a pause, more than are fetched at once: nobody gets less than half of its share. */
static void turns(void **state)
{
	struct env *e = env_sized(good_key, 32, false, 2 * TURN_LEN, 2 * TURNS * TURN_DEPTH);
	struct turn *turn = calloc(TURNS * TURN_DEPTH, sizeof(*turn));
	static uint8_t data[TURN_LEN];
	struct turns t = { .all = 0 };
	struct flint_peer *p[TURNS];
	unsigned int i;

	pthread_mutex_init(&t.lock, NULL);
	pthread_cond_init(&t.cond, NULL);
	for (i = 0; i < TURNS; i++) {
		struct wait w = { .rpc = { .op = OP_LATE, .timeout_ms = 60000 } };

		p[i] = peer_new(e, good_key);
		assert_int_equal(wait_for(&w, p[i]), 0);
	}
	for (i = 0; i < TURNS * TURN_DEPTH; i++) {
		turn[i] = (struct turn){ .who = i / TURN_DEPTH, .peer = p[i / TURN_DEPTH], .t = &t };
		turn[i].rpc = (struct flint_rpc){ .op = OP_SINK, .out = data, .out_len = TURN_LEN,
						  .timeout_ms = 60000, .done = turn_done, .priv = &turn[i] };
		flint_peer_call(turn[i].peer, &turn[i].rpc);
	}
	pthread_mutex_lock(&t.lock);
	while (t.ended < TURNS * TURN_DEPTH)
		pthread_cond_wait(&t.cond, &t.lock);
	pthread_mutex_unlock(&t.lock);
	for (i = 0; i < TURNS; i++)
		assert_in_range(t.done[i], TURN_ALL / TURNS / 2, TURN_ALL);
	for (i = 0; i < TURNS; i++)
		peer_free(e, p[i]);
	free(turn);
	env_free(e);
}

static void auth(void **state)
{
	struct env *e = env_new(good_key, 0, false);
	struct flint_peer *p;
	struct wait w = { .rpc = { .op = OP_ECHO } };

	p = peer_new(e, other_key);
	assert_int_equal(wait_for(&w, p), -EACCES);
	peer_free(e, p);
	p = peer_new(e, NULL);
	assert_int_equal(wait_for(&w, p), -EACCES);
	peer_free(e, p);
	flint_server_free(e->srv);
	server_start(e, NULL, 0);
	p = peer_new(e, good_key);
	assert_int_equal(wait_for(&w, p), -EACCES);
	peer_free(e, p);
	p = peer_new(e, NULL);
	assert_int_equal(wait_for(&w, p), 0);
	peer_free(e, p);
	env_free(e);
}

static void deadline(void **state)
{
	struct env *e = env_new(good_key, 2, false);
	struct flint_peer *p = peer_new(e, good_key);
	struct wait never = { .rpc = { .op = OP_NEVER, .timeout_ms = 200 } };
	struct wait other = { .rpc = { .op = OP_NEVER, .timeout_ms = 5000 } };
	struct wait queued = { .rpc = { .op = OP_ECHO, .timeout_ms = 50 } };
	struct wait after = { .rpc = { .op = OP_ECHO, .timeout_ms = 5000 } };

	do_echo(p, 100);
	wait_start(&never, p);
	wait_start(&other, p);
	wait_start(&queued, p);		/* no credit is left: times out in the queue */
	wait_start(&after, p);		/* waits for the next connection */
	assert_int_equal(wait_end(&queued), -ETIMEDOUT);
	assert_int_equal(wait_end(&never), -ETIMEDOUT);
	assert_int_equal(wait_end(&other), -ENOTCONN);
	assert_int_equal(wait_end(&after), 0);
	do_big(p, 100000);
	peer_free(e, p);
	env_free(e);
}

static void restart(void **state)
{
	struct env *e = env_new(good_key, 0, false);
	struct flint_peer *p = peer_new(e, good_key);
	struct wait never = { .rpc = { .op = OP_NEVER } };
	struct wait early = { .rpc = { .op = OP_ECHO } };
	int i;

	for (i = 0; i < 3; i++) {
		do_big(p, 70000);
		wait_start(&never, p);
		for (;;) {
			pthread_mutex_lock(&e->lock);
			if (e->nr_kept > i)
				break;
			pthread_mutex_unlock(&e->lock);
			usleep(1000);
		}
		pthread_mutex_unlock(&e->lock);
		flint_server_free(e->srv);
		assert_int_equal(wait_end(&never), -ENOTCONN);
		wait_start(&early, p);
		server_start(e, good_key, 0);
		assert_int_equal(wait_end(&early), 0);
	}
	pthread_mutex_lock(&e->lock);
	assert_int_equal(e->closed, 3);
	pthread_mutex_unlock(&e->lock);
	peer_free(e, p);
	env_free(e);
}

/* Nothing listens: requests wait until their deadline, and free ends them. */
static void nobody(void **state)
{
	struct env *e = env_new(good_key, 0, false);
	struct flint_peer *p;
	struct wait w = { .rpc = { .op = OP_ECHO, .timeout_ms = 150 } };
	struct wait v = { .rpc = { .op = OP_ECHO, .timeout_ms = 60000 } };

	flint_server_free(e->srv);
	e->srv = NULL;
	p = peer_new(e, good_key);
	assert_int_equal(wait_for(&w, p), -ETIMEDOUT);
	wait_start(&v, p);
	peer_free(e, p);
	assert_int_equal(wait_end(&v), -ENOTCONN);
	env_free(e);
}

static void misuse(void **state)
{
	struct env *e = env_new(good_key, 0, false);
	struct flint_peer *p = peer_new(e, good_key);
	uint8_t *big = calloc(1, 2 * MIB);
	struct wait w = { .rpc = { .op = OP_SINK, .out = big, .out_len = 2 * MIB } };
	struct wait v = { .rpc = { .op = OP_ECHO, .body = big, .body_len = 100000 } };
	struct wait u = { .rpc = { .op = 0x7fff } };

	assert_int_equal(wait_for(&w, p), -EMSGSIZE);
	assert_int_equal(wait_for(&v, p), -EMSGSIZE);
	assert_int_equal(wait_for(&u, p), 0);
	assert_int_equal(u.rpc.status, FLINT_ST_BAD_REQUEST);
	do_echo(p, 10);
	peer_free(e, p);
	free(big);
	env_free(e);
}

static void no_rdma(void **state)
{
	struct env *e = env_new(good_key, 0, false);
	struct sockaddr_storage addr = e->addr;
	char err[256] = "";
	int ret;

	((struct sockaddr_in *)&addr)->sin_port = 0;
	ret = flint_server_listen(e->srv, FLINT_PROTO_RDMA, &addr, err, sizeof(err));
	assert_int_equal(ret, -ENODEV);
	assert_non_null(strstr(err, "RDMA"));
	env_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_sizes),
		cmocka_unit_test(crowd),
		cmocka_unit_test(turns),
		cmocka_unit_test(auth),
		cmocka_unit_test(deadline),
		cmocka_unit_test(restart),
		cmocka_unit_test(nobody),
		cmocka_unit_test(misuse),
	};
	const struct CMUnitTest tcp_tests[] = {
		/* over IPv6, which the guest's device has no address for */
		cmocka_unit_test_prestate(echo_sizes, (void *)1),
	};
	const struct CMUnitTest deviceless_tests[] = {
		cmocka_unit_test(no_rdma),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	if (test_proto() == FLINT_PROTO_TCP)
		failed += cmocka_run_group_tests(tcp_tests, NULL, NULL);
	if (access("/dev/infiniband/rdma_cm", F_OK))
		failed += cmocka_run_group_tests(deviceless_tests, NULL, NULL);
	return failed;
}
