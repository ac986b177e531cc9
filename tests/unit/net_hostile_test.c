// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile peers over TCP. First a client that sends the server everything it
 * should not: each variant must end its connection without an answer, and the
 * server must go on serving others. Then a server that does the same to our
 * client: each variant must fail the request, and the client must come back and
 * succeed when the server behaves.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "raw_msg.h"
#include "userd/net/pool_int.h"
#include "userd/net/xprt.h"

#define OP_ANY		0x7001
#define CREDITS		3
#define MAX_IO		65536
#define WAIT_MS		4000

static const uint8_t key[FLINT_KEY_LEN] = "the key of this test.";
static const uint8_t my_id[16] = "hostile client..";

static void *run_loop(void *arg)
{
	assert_int_equal(flint_loop_run(arg), 0);
	return NULL;
}

/* ---- a raw connection ------------------------------------------------- */

struct message {
	struct flint_hdr h;
	uint8_t body[8192];
};

static void put(int fd, const void *p, size_t len)
{
	raw_put(fd, p, len);
}

/* Bytes read, less than @len when the other side closed. */
static size_t get(int fd, void *p, size_t len)
{
	size_t got;

	if (!raw_get(fd, p, len, WAIT_MS, &got))
		fail_msg("the other side neither answers nor closes");
	return got;
}

static struct message hello_msg(uint32_t *len)
{
	struct message m = { 0 };

	raw_header(&m.h, FLINT_OP_HELLO, sizeof(struct flint_hello), 0);
	raw_hello_body((struct flint_hello *)m.body, my_id, MAX_IO, CREDITS);
	*len = sizeof(m.h) + sizeof(struct flint_hello);
	return m;
}

static struct message request_msg(uint16_t op, uint32_t body_len, uint32_t data_len)
{
	struct message m = { 0 };

	raw_header(&m.h, op, body_len, data_len);
	return m;
}

/* ---- the server under attack ------------------------------------------ */

static struct {
	struct flint_loop *loop, *cloop;
	pthread_t thread, cthread;
	struct flint_pool *pool;
	struct flint_server *srv;
	struct flint_peer *good;
	struct sockaddr_storage addr;
} S;

static int raw_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&S.addr, sizeof(struct sockaddr_in)), 0);
	return fd;
}

/* Up to and with the answer to HELLO; the client's MAC comes back. */
static int raw_hello(uint8_t *mac)
{
	uint32_t len;
	struct message m = hello_msg(&len);
	struct flint_hello *h = (struct flint_hello *)m.body;
	struct flint_hello_rep rep;
	struct flint_hdr rh;
	int fd = raw_connect();

	put(fd, &m, len);
	assert_int_equal(get(fd, &rh, sizeof(rh)), sizeof(rh));
	assert_int_equal(get(fd, &rep, sizeof(rep)), sizeof(rep));
	assert_int_equal(rep.auth, 1);
	flint_auth_mac(mac, key, false, h->nonce, rep.nonce, my_id, FLINT_ROLE_CLIENT);
	return fd;
}

static int raw_live(void)
{
	struct message m = request_msg(FLINT_OP_AUTH, FLINT_MAC_LEN, 0);
	struct flint_hdr rh;
	int fd = raw_hello(m.body);

	put(fd, &m, sizeof(m.h) + FLINT_MAC_LEN);
	assert_int_equal(get(fd, &rh, sizeof(rh)), sizeof(rh));
	assert_int_equal(rh.status, 0);
	return fd;
}

/* What was sent ends the connection, and nothing is answered. */
static void expect_closed(int fd)
{
	uint8_t byte[64];

	assert_int_equal(get(fd, byte, sizeof(byte)), 0);
	close(fd);
}

struct waiting {
	struct flint_rpc rpc;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void rpc_done(struct flint_rpc *rpc)
{
	struct waiting *w = rpc->priv;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static int call(struct flint_peer *peer, uint16_t op, const void *out, uint32_t out_len, void *in,
		uint32_t in_len)
{
	struct waiting w = { .rpc = { .op = op, .out = out, .out_len = out_len, .in = in,
				      .in_len = in_len, .done = rpc_done, .timeout_ms = 5000 } };

	w.rpc.priv = &w;
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	flint_peer_call(peer, &w.rpc);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return w.rpc.err;
}

/* An honest client is still served. */
static void expect_service(void)
{
	static const uint8_t data[50000];

	assert_int_equal(call(S.good, OP_ANY, data, sizeof(data), NULL, 0), 0);
}

static void truncated(void **state)
{
	uint32_t len, n;
	struct message m = hello_msg(&len);

	for (n = 0; n < len; n += n < 64 ? 1 : 7) {
		int fd = raw_connect();

		put(fd, &m, n);
		shutdown(fd, SHUT_WR);
		expect_closed(fd);
	}
	expect_service();
	for (n = 0; n < 200; n += 9) {
		struct message r = request_msg(OP_ANY, 100, 36);
		int fd = raw_live();

		put(fd, &r, n);
		shutdown(fd, SHUT_WR);
		expect_closed(fd);
	}
	expect_service();
}

static void send_hello(const struct message *m, uint32_t len)
{
	int fd = raw_connect();

	put(fd, m, len);
	expect_closed(fd);
}

static void bad_hello(void **state)
{
	uint32_t len, i;
	struct message good = hello_msg(&len), m;
	struct flint_hello *h = (struct flint_hello *)m.body;

	for (i = 2; i < FLINT_HELLO_MIN; i += 3) {
		m = good;
		m.h.body_len = cpu_to_le32(i);
		send_hello(&m, sizeof(m.h) + i);
	}
	m = good, m.h.body_len = 0;
	send_hello(&m, sizeof(m.h));
	m = good, h->role = 0;
	send_hello(&m, len);
	m = good, h->role = 6;
	send_hello(&m, len);
	m = good, h->credits = 0;
	send_hello(&m, len);
	m = good, h->max_io = 0;
	send_hello(&m, len);
	m = good, memset(h->name, 'x', sizeof(h->name));
	send_hello(&m, len);
	m = good, m.h.data_len = cpu_to_le32(8), m.h.flags = FLINT_F_INLINE;
	send_hello(&m, len + 8);
	for (i = 0; i < 0x80; i++) {
		if (i == FLINT_OP_HELLO)
			continue;
		m = good, m.h.op = cpu_to_le16((uint16_t)i);
		send_hello(&m, len);
	}
	expect_service();
}

/* A client of another version is told so before it is sent away. */
static void other_version(void **state)
{
	uint32_t len;
	struct message m = hello_msg(&len);
	struct flint_version v;
	struct flint_hdr rh;
	int fd, i;

	/* Each is told in its own version of the header. */
	for (i = 0; i < 256; i += 51) {
		fd = raw_connect();
		m.h.version = (uint8_t)i;
		m.body[0] = (uint8_t)i;
		put(fd, &m, len);
		assert_int_equal(get(fd, &rh, sizeof(rh)), sizeof(rh));
		assert_int_equal(rh.version, i);
		assert_int_equal(le32_to_cpu(rh.status), FLINT_ST_VERSION);
		assert_int_equal(le32_to_cpu(rh.body_len), sizeof(v));
		assert_int_equal(get(fd, &v, sizeof(v)), sizeof(v));
		assert_int_equal(v.major, FLINT_PROTO_MAJOR);
		expect_closed(fd);
	}
	/* Any version says HELLO first. */
	m.h.version = 7, m.h.op = cpu_to_le16(OP_ANY);
	fd = raw_connect();
	put(fd, &m, len);
	expect_closed(fd);
}

static void bad_auth(void **state)
{
	struct message m = request_msg(FLINT_OP_AUTH, FLINT_MAC_LEN, 0);
	struct flint_auth_refusal why;
	struct flint_hdr rh;
	uint32_t i;
	int fd;

	for (i = 0; i < FLINT_MAC_LEN; i++) {
		fd = raw_hello(m.body);
		m.body[i] ^= 1u << (i % 8);
		put(fd, &m, sizeof(m.h) + FLINT_MAC_LEN);
		if (i % 2)		/* whatever follows, it is not looked at */
			put(fd, &m, sizeof(m.h) + FLINT_MAC_LEN);
		assert_int_equal(get(fd, &rh, sizeof(rh)), sizeof(rh));
		assert_int_equal(le32_to_cpu(rh.status), FLINT_ST_AUTH);
		assert_int_equal(le32_to_cpu(rh.body_len), sizeof(why));
		assert_int_equal(get(fd, &why, sizeof(why)), sizeof(why));
		assert_int_equal(le32_to_cpu(why.reason), FLINT_AUTH_WRONG_KEY);
		expect_closed(fd);
	}
	for (i = 0; i < 0x70; i += 5) {
		struct message r = request_msg((uint16_t)i, FLINT_MAC_LEN, 0);

		fd = raw_hello(r.body);
		put(fd, &r, sizeof(r.h) + FLINT_MAC_LEN);
		expect_closed(fd);
	}
	for (i = 0; i < FLINT_MAC_LEN; i += 5) {
		fd = raw_hello(m.body);
		m.h.body_len = cpu_to_le32(i);
		put(fd, &m, sizeof(m.h) + i);
		expect_closed(fd);
	}
	expect_service();
}

static void send_live(const struct message *m, size_t len)
{
	int fd = raw_live();

	put(fd, m, len);
	expect_closed(fd);
}

static void bad_headers(void **state)
{
	struct message good = request_msg(OP_ANY, 16, 16), m;
	size_t len = sizeof(m.h) + 32;
	uint32_t i;

	for (i = 0; i < 32; i++) {
		m = good, m.h.magic ^= cpu_to_le32(1u << i);
		send_live(&m, len);
	}
	for (i = 0; i < 256; i += 15) {
		if (i == FLINT_PROTO_MAJOR)
			continue;
		m = good, m.h.version = (uint8_t)i;
		send_live(&m, len);
	}
	for (i = 0; i < 8; i++) {
		if (FLINT_F_KNOWN & (1u << i))
			continue;
		m = good, m.h.flags |= (uint8_t)(1u << i);
		send_live(&m, len);
	}
	m = good, m.h.flags |= FLINT_F_REPLY;
	send_live(&m, len);
	m.h.credits = cpu_to_le16(1);
	send_live(&m, len);
	m = good, m.h.flags |= FLINT_F_PUSH;
	send_live(&m, len);
	for (i = 1; i < 256; i += i < 8 ? 1 : 31) {
		m = good, m.h.nr_desc = (uint8_t)i;
		send_live(&m, len);
	}
	m = good, m.h.status = cpu_to_le32(5);
	send_live(&m, len);
	m = good, m.h.timeout_ms = 0;
	send_live(&m, len);
	m = good, m.h.seq_low = cpu_to_le64(3), m.h.seq = cpu_to_le64(2);
	send_live(&m, len);
	m = good, m.h.flags = 0;
	send_live(&m, len);
	for (i = MAX_IO + 1; i && i < 0xf0000000; i = i * 3 + 1) {
		m = good, m.h.data_len = cpu_to_le32(i);
		send_live(&m, len);
		m = good, m.h.body_len = cpu_to_le32(i);
		send_live(&m, len);
	}
	m = good, m.h.body_len = cpu_to_le32(FLINT_CTRL_SIZE + 4096 + 1);
	send_live(&m, len);
	m = good, m.h.body_len = cpu_to_le32(0xffffffff);
	send_live(&m, len);
	m = good, m.h.op = cpu_to_le16(FLINT_OP_HELLO);
	send_live(&m, len);
	m = good, m.h.op = cpu_to_le16(FLINT_OP_AUTH);
	send_live(&m, len);
	m = good, m.h.op = cpu_to_le16(FLINT_OP_PING);
	send_live(&m, len);
	expect_service();
}

/* More requests than credits, in one go so that none is answered in between. */
static void too_many(void **state)
{
	struct message m[CREDITS + 1];
	uint8_t all[(CREDITS + 1) * (sizeof(struct flint_hdr) + 8)], junk[256];
	size_t at = 0;
	int i, fd = raw_live();

	for (i = 0; i <= CREDITS; i++) {
		/* Pulled, so none is answered before all have been looked at. */
		m[i] = request_msg(OP_ANY, 0, 8);
		m[i].h.tag = cpu_to_le32((uint32_t)i);
		memcpy(all + at, &m[i].h, sizeof(m[i].h));
		at += sizeof(m[i].h) + 8;
	}
	put(fd, all, at);
	/* Answers to the first ones may or may not come before the end. */
	while (recv(fd, junk, sizeof(junk), 0) > 0)
		;
	close(fd);
	expect_service();
}

/* PINGs and requests without reading any answer: the server stops reading, not breathing. */
static void flood(void **state)
{
	struct message ping = request_msg(FLINT_OP_PING, 0, 0);
	struct pollfd pfd = { .events = POLLOUT };
	int i, fd = raw_live();

	pfd.fd = fd;
	for (i = 0; i < 200000 && poll(&pfd, 1, 200) > 0; i++)
		if (send(fd, &ping.h, sizeof(ping.h), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		    errno != EAGAIN)
			break;
	expect_service();
	close(fd);
	expect_service();
}

static uint32_t rnd(uint32_t *s)
{
	*s = *s * 1664525 + 1013904223;
	return *s >> 8;
}

/* Sound streams with random bytes changed; whatever happens, the server lives on. */
static void mutations(void **state)
{
	uint32_t seed = 20260101;
	int i, j, fd;

	for (i = 0; i < 300; i++) {
		uint8_t stream[1024];
		size_t at = 0;
		uint32_t len;
		struct message m = hello_msg(&len);

		if (i % 3) {
			fd = raw_live();
		} else {
			fd = raw_connect();
			memcpy(stream, &m, len);
			at = len;
		}
		for (j = 0; j < 3; j++) {
			m = request_msg(OP_ANY + (rnd(&seed) & 1), 24, 40);
			memcpy(stream + at, &m, sizeof(m.h) + 64);
			at += sizeof(m.h) + 64;
		}
		for (j = 0; j < 1 + i % 5; j++)
			stream[rnd(&seed) % at] = (uint8_t)rnd(&seed);
		put(fd, stream, at);
		if (i % 2)
			shutdown(fd, SHUT_WR);
		if (i % 7 == 0) {
			struct linger l = { .l_onoff = 1 };

			setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		}
		close(fd);
		if (i % 50 == 0)
			expect_service();
	}
	expect_service();
}

/* Half a large payload, then silence or the end: the buffer comes back. */
static void half_payload(void **state)
{
	struct message m = request_msg(OP_ANY, 0, 60000);
	int i, fd[20];

	for (i = 0; i < 20; i++) {
		fd[i] = raw_live();
		put(fd[i], &m, sizeof(m.h) + 3000);
	}
	for (i = 0; i < 20; i++)
		close(fd[i]);
	expect_service();
}

/* Ends in every other order: our half first, by a reset, in the middle of a payload, unread. */
static void ends_out_of_order(void **state)
{
	struct linger reset = { .l_onoff = 1 };
	struct message small = request_msg(OP_ANY + 1, 0, 0), large = request_msg(OP_ANY, 0, 60000);
	uint8_t junk[1024];
	int i, fd;

	for (i = 0; i < 24; i++) {
		fd = raw_live();
		put(fd, &small, sizeof(small.h));
		if (i & 1)
			put(fd, &large, sizeof(large.h) + 3000);
		if (i & 2)
			shutdown(fd, SHUT_WR);
		if (i & 4)
			shutdown(fd, SHUT_RD);
		if (i % 3 == 0)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		/* Who has said all that it will say gets an end, with or without an answer. */
		if ((i & 6) == 2)
			while (get(fd, junk, sizeof(junk)))
				;
		close(fd);
	}
	expect_service();
}

/* A byte now and then is no sign of life, neither in a header nor in a body. */
static void drips(void **state)
{
	struct message m = request_msg(OP_ANY, 4000, 0);
	const size_t from[] = { 0, sizeof(m.h) };
	struct pollfd pfd[2];
	int i, n, open = 2;

	for (i = 0; i < 2; i++) {
		pfd[i] = (struct pollfd){ .fd = raw_live(), .events = POLLIN };
		put(pfd[i].fd, &m, from[i]);
	}
	for (n = 0; n < 100 && open; n++) {
		for (i = 0; i < 2; i++)
			if (pfd[i].fd >= 0)
				put(pfd[i].fd, (uint8_t *)&m + from[i] + n, 1);
		poll(NULL, 0, 400);
		for (i = 0; i < 2; i++) {
			if (pfd[i].fd < 0 || !poll(&pfd[i], 1, 0))
				continue;
			close(pfd[i].fd);
			pfd[i].fd = -1;
			open--;
		}
	}
	assert_int_equal(open, 0);
	expect_service();
}

static void handshake_timeout(void **state)
{
	uint8_t mac[FLINT_MAC_LEN], byte;
	int a = raw_connect(), b = raw_hello(mac);
	struct pollfd pfd[2] = { { .fd = a, .events = POLLIN }, { .fd = b, .events = POLLIN } };

	assert_int_equal(poll(&pfd[0], 1, 9000), 1);
	assert_int_equal(recv(a, &byte, 1, 0), 0);
	assert_int_equal(poll(&pfd[1], 1, 9000), 1);
	assert_int_equal(recv(b, &byte, 1, 0), 0);
	close(a);
	close(b);
	expect_service();
}

static int server_setup(void **state)
{
	struct sockaddr_in *in = (void *)&S.addr;
	struct flint_server_config cfg = {
		.role = FLINT_ROLE_META, .key = key, .nr_loops = 1, .request = raw_request,
		.max_io = MAX_IO, .loops = &S.loop,
	};
	struct flint_peer_config pcfg = {
		.proto = FLINT_PROTO_TCP, .role = FLINT_ROLE_TOOL, .key = key, .name = "honest",
		.max_io = MAX_IO,
	};
	char err[200];

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	S.pool = flint_pool_new(MAX_IO, 4);
	S.loop = flint_loop_new();
	S.cloop = flint_loop_new();
	cfg.pool = S.pool;
	S.srv = flint_server_new(&cfg);
	if (flint_server_listen(S.srv, FLINT_PROTO_TCP, &S.addr, err, sizeof(err)))
		return -1;
	pthread_create(&S.thread, NULL, run_loop, S.loop);
	pthread_create(&S.cthread, NULL, run_loop, S.cloop);
	pcfg.loop = S.cloop;
	pcfg.addr = S.addr;
	S.good = flint_peer_new(&pcfg);
	return 0;
}

static int server_teardown(void **state)
{
	int nr_free;

	flint_loop_stop(S.cloop);
	pthread_join(S.cthread, NULL);
	flint_peer_free(S.good);
	flint_server_free(S.srv);
	flint_loop_stop(S.loop);
	pthread_join(S.thread, NULL);
	flint_loop_free(S.cloop);
	flint_loop_free(S.loop);
	nr_free = (int)flint_pool_nr_free(S.pool);
	flint_pool_free(S.pool);
	return nr_free == 4 ? 0 : -1;
}

/* ---- the client under attack ------------------------------------------ */

/* What the server does wrong, in the handshake or in its answer to a request. */
enum crime {
	HELLO_NOTHING, HELLO_GARBAGE, HELLO_SHORT, HELLO_MAJOR, HELLO_CREDITS, HELLO_HDR_CREDITS,
	HELLO_INLINE, HELLO_MAX_IO, HELLO_NO_IO, HELLO_OP, HELLO_TAG, HELLO_REQUEST, HELLO_MAC,
	HELLO_NO_AUTH, HELLO_DATA, AUTH_OP, AUTH_TAG, AUTH_STATUS,
	REP_CLOSE, REP_GARBAGE, REP_TRUNCATED, REP_TAG, REP_GENERATION, REP_INDEX, REP_OP,
	REP_CREDITS, REP_MANY_CREDITS, REP_DESC, REP_REQUEST, REP_PUSH, REP_RETRY, REP_TOO_MUCH,
	REP_HUGE, REP_NOT_INLINE, REP_BODY, REP_PING, REP_HALF, REP_TWICE, REP_VERSION,
	NO_CRIME,
};

static int listener;

static void answer(int fd, const struct flint_hdr *rq, enum crime c)
{
	struct message m = { .h = *rq };
	uint32_t len = 100;
	size_t bytes;

	m.h.flags = FLINT_F_REPLY | FLINT_F_INLINE;
	m.h.timeout_ms = 0;
	m.h.credits = cpu_to_le16(4);
	m.h.body_len = 0;
	m.h.data_len = cpu_to_le32(len);
	bytes = sizeof(m.h) + len;
	switch (c) {
	case REP_GARBAGE:
		memset(&m, 0xa5, sizeof(m.h));
		break;
	case REP_TRUNCATED:
		bytes = 40;
		break;
	case REP_TAG:
		m.h.tag ^= cpu_to_le32(1);
		break;
	case REP_GENERATION:
		m.h.tag ^= cpu_to_le32(0x10000);
		break;
	case REP_INDEX:
		m.h.tag = cpu_to_le32(0x1234);
		break;
	case REP_OP:
		m.h.op = cpu_to_le16(OP_ANY + 1);
		break;
	case REP_CREDITS:
		m.h.credits = 0;
		break;
	case REP_MANY_CREDITS:
		m.h.credits = cpu_to_le16(FLINT_MAX_CREDITS + 1);
		break;
	case REP_DESC:
		m.h.nr_desc = 1;
		break;
	case REP_REQUEST:
		m.h.flags = FLINT_F_INLINE;
		m.h.timeout_ms = cpu_to_le32(1);
		break;
	case REP_PUSH:
		m.h.flags |= FLINT_F_PUSH;
		break;
	case REP_RETRY:
		m.h.flags |= FLINT_F_RETRY;
		break;
	case REP_TOO_MUCH:
		m.h.data_len = cpu_to_le32(6001);
		break;
	case REP_HUGE:
		m.h.data_len = cpu_to_le32(0xfffffff0);
		break;
	case REP_NOT_INLINE:
		m.h.flags = FLINT_F_REPLY;
		break;
	case REP_BODY:
		m.h.body_len = cpu_to_le32(100000);
		break;
	case REP_PING:
		m.h.op = cpu_to_le16(FLINT_OP_PING);
		m.h.tag = cpu_to_le32(0xfffe);
		break;
	case REP_HALF:
		m.h.data_len = cpu_to_le32(6000);
		break;
	case REP_VERSION:
		m.h.version = 9;
		break;
	default:
		break;
	}
	put(fd, &m, bytes);
	if (c == REP_TWICE)
		put(fd, &m, bytes);
}

/* HELLO and AUTH as @c says. Return: the handshake went through. */
static bool shake(int fd, enum crime c)
{
	uint8_t buf[sizeof(struct flint_hello) + sizeof(struct flint_hdr)];
	struct flint_hdr *rq = (struct flint_hdr *)buf;
	struct flint_hello h;
	struct message m = { 0 };
	struct flint_hello_rep r = {
		.major = FLINT_PROTO_MAJOR, .auth = 1, .inline_size = cpu_to_le32(4096),
		.max_io = cpu_to_le32(MAX_IO), .credits = cpu_to_le16(4),
	};
	uint32_t body = sizeof(r);

	if (c == HELLO_NOTHING || get(fd, buf, sizeof(buf)) != sizeof(buf))
		return false;
	memcpy(&h, buf + sizeof(*rq), sizeof(h));
	flint_auth_mac(r.mac, key, true, h.nonce, r.nonce, h.client_id, h.role);
	m.h = *rq;
	m.h.flags = FLINT_F_REPLY;
	m.h.timeout_ms = 0;
	m.h.credits = cpu_to_le16(4);
	switch (c) {
	case HELLO_GARBAGE:
		memset(&m, 0x5a, sizeof(m.h));
		break;
	case HELLO_SHORT:
		body = sizeof(r) - 1;
		break;
	case HELLO_MAJOR:
		r.major = 9;
		break;
	case HELLO_CREDITS:
		r.credits = 0;
		break;
	case HELLO_HDR_CREDITS:
		m.h.credits = 0;
		break;
	case HELLO_INLINE:
		r.inline_size = cpu_to_le32(1u << 30);
		break;
	case HELLO_MAX_IO:
		r.max_io = cpu_to_le32(1u << 30);
		break;
	case HELLO_NO_IO:
		r.max_io = 0;
		break;
	case HELLO_OP:
		m.h.op = cpu_to_le16(FLINT_OP_AUTH);
		break;
	case HELLO_TAG:
		m.h.tag ^= cpu_to_le32(0x10000);
		break;
	case HELLO_REQUEST:
		m.h.flags = 0;
		m.h.timeout_ms = cpu_to_le32(1);
		break;
	case HELLO_MAC:
		r.mac[7] ^= 4;
		break;
	case HELLO_NO_AUTH:
		r.auth = 0;
		break;
	case HELLO_DATA:
		m.h.flags |= FLINT_F_INLINE;
		m.h.data_len = cpu_to_le32(10);
		break;
	default:
		break;
	}
	m.h.body_len = cpu_to_le32(body);
	memcpy(m.body, &r, sizeof(r));
	put(fd, &m, sizeof(m.h) + body + (c == HELLO_DATA ? 10 : 0));
	if (get(fd, buf, sizeof(*rq) + FLINT_MAC_LEN) != sizeof(*rq) + FLINT_MAC_LEN)
		return false;
	m.h = *rq;
	m.h.flags = FLINT_F_REPLY;
	m.h.timeout_ms = 0;
	m.h.credits = cpu_to_le16(4);
	m.h.body_len = 0;
	if (c == AUTH_OP)
		m.h.op = cpu_to_le16(FLINT_OP_HELLO);
	if (c == AUTH_TAG)
		m.h.tag = 0;
	if (c == AUTH_STATUS)
		m.h.status = cpu_to_le32(FLINT_ST_AUTH);
	put(fd, &m, sizeof(m.h));
	return true;
}

/* Serve one connection with one crime; then, for later ones, none. */
static void *criminal(void *arg)
{
	enum crime c = (enum crime)(uintptr_t)arg;

	for (;;) {
		struct flint_hdr rq;
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			return NULL;
		if (shake(fd, c)) {
			while (get(fd, &rq, sizeof(rq)) == sizeof(rq)) {
				if (c == REP_CLOSE)
					break;
				answer(fd, &rq, c);
				if (c == REP_TRUNCATED || c == REP_HALF)
					break;
			}
		}
		close(fd);
		c = NO_CRIME;
	}
}

static void bad_server(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	enum crime c;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (c = 0; c <= NO_CRIME; c++) {
		struct flint_peer_config cfg = {
			.proto = FLINT_PROTO_TCP, .role = FLINT_ROLE_TOOL, .key = key,
			.name = "victim", .credits = 4, .max_io = MAX_IO,
		};
		struct flint_loop *loop = flint_loop_new();
		uint8_t *room = malloc(6000);
		struct flint_peer *peer;
		pthread_t srv, cli;
		int err, tries;

		listener = socket(AF_INET, SOCK_STREAM, 0);
		in.sin_port = 0;
		assert_int_equal(bind(listener, (struct sockaddr *)&in, sizeof(in)), 0);
		assert_int_equal(listen(listener, 10), 0);
		assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
		pthread_create(&srv, NULL, criminal, (void *)(uintptr_t)c);
		pthread_create(&cli, NULL, run_loop, loop);
		cfg.loop = loop;
		memcpy(&cfg.addr, &in, sizeof(in));
		peer = flint_peer_new(&cfg);

		err = call(peer, OP_ANY, NULL, 0, room, 6000);
		/* Crimes in the handshake let a request wait, unless it is a refusal. */
		if (c >= REP_CLOSE && c < NO_CRIME && c != REP_TWICE && err != -ENOTCONN)
			fail_msg("crime %d: error %d", c, err);
		for (tries = 0; err && tries < 50; tries++) {
			usleep(20000);
			err = call(peer, OP_ANY, NULL, 0, room, 6000);
		}
		assert_int_equal(err, 0);

		shutdown(listener, SHUT_RDWR);
		flint_loop_stop(loop);
		pthread_join(cli, NULL);
		flint_peer_free(peer);
		flint_loop_free(loop);
		pthread_join(srv, NULL);
		close(listener);
		free(room);
	}
}

int main(void)
{
	const struct CMUnitTest server_tests[] = {
		cmocka_unit_test(truncated),
		cmocka_unit_test(bad_hello),
		cmocka_unit_test(other_version),
		cmocka_unit_test(bad_auth),
		cmocka_unit_test(bad_headers),
		cmocka_unit_test(too_many),
		cmocka_unit_test(flood),
		cmocka_unit_test(mutations),
		cmocka_unit_test(half_payload),
		cmocka_unit_test(ends_out_of_order),
		cmocka_unit_test(drips),
		cmocka_unit_test(handshake_timeout),
		cmocka_unit_test(bad_server),
	};

	return cmocka_run_group_tests(server_tests, server_setup, server_teardown);
}
