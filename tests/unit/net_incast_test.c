// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many at one server. Who takes buffers of a pool: no holder gets all of them, and those
 * who wait take turns however many requests each has. A client that does not read its
 * answers, on several connections, holds up nobody else. Credits: few at first, more with
 * prompt answers, half as many when one was late, and all of them at once for servers.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "raw_msg.h"
#include "userd/net/loop_int.h"
#include "userd/net/pool_int.h"

/* ---- holders ------------------------------------------------------------ */

#define WAITERS 400

struct want {
	struct flint_buf_waiter w;
	struct flint_buf *buf;
};

struct taker {
	struct flint_holder h;
	struct want wants[WAITERS];
	unsigned int asked, got, put;
};

static struct flint_loop *loop;

static void want_got(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct want *want = (struct want *)w;
	struct taker *t = (struct taker *)((char *)w->holder - offsetof(struct taker, h));

	want->buf = buf;
	t->got++;
}

static void take(struct flint_pool *p, struct taker *t, unsigned int n)
{
	while (n--) {
		struct want *want = &t->wants[t->asked++];

		want->w = (struct flint_buf_waiter){ .fn = want_got, .loop = loop, .holder = &t->h };
		flint_buf_wait(p, &want->w);
	}
}

static void count(void *arg)
{
	++*(int *)arg;
}

/* The oldest that it has; whoever may have it then has got it. */
static void give(struct taker *t)
{
	int n = 0;

	flint_buf_put(t->wants[t->put++].buf);
	flint_loop_sync(loop, count, &n);
}

static void holders(void **state)
{
	struct taker *a = calloc(4, sizeof(*a)), *b = a + 1, *c = a + 2, *d = a + 3;
	struct flint_pool *p = flint_pool_new(4096, 20);
	unsigned int i;

	loop = flint_loop_new();
	/* Alone: half of them. Others get something at once. */
	take(p, a, 100);
	assert_int_equal(a->got, 10);
	take(p, b, 100);
	assert_int_equal(b->got, 5);
	take(p, c, 100);
	assert_int_equal(c->got, 3);
	/* What they give goes round, so that all get the same in the end. */
	for (i = 0; i < 30; i++) {
		if (a->got > a->put)
			give(a);
		if (b->got > b->put)
			give(b);
		if (c->got > c->put)
			give(c);
	}
	assert_in_range(a->h.held, 4, 6);
	assert_in_range(b->h.held, 4, 6);
	assert_in_range(c->h.held, 4, 6);
	/* One gives nothing back any more: the others go on, as many for each. */
	i = b->got;
	while (b->put < 60 && c->put < 60) {
		assert_true(b->got > b->put || c->got > c->put);
		if (b->got > b->put)
			give(b);
		if (c->got > c->put)
			give(c);
	}
	assert_true(b->got > i);
	assert_in_range(b->got - c->got + 5, 0, 10);
	/* Who has none gets one though all others wait. */
	take(p, d, 1);
	assert_int_equal(d->got, 1);
	while (a->put < 100 || b->put < 100 || c->put < 100) {
		if (a->got > a->put)
			give(a);
		if (b->got > b->put)
			give(b);
		if (c->got > c->put)
			give(c);
	}
	/* Its memory goes; what it still had does not. */
	assert_int_equal(flint_pool_nr_free(p), 19);
	flint_holder_end(p, &d->h);
	memset(&d->h, 0xff, sizeof(d->h));
	give(d);
	assert_int_equal(flint_pool_nr_free(p), 20);
	flint_loop_free(loop);
	flint_pool_free(p);
	free(a);
}

/* Holders leave what is kept. */
static void kept(void **state)
{
	struct taker *a = calloc(1, sizeof(*a));
	struct flint_pool *p = flint_pool_new(4096, 25);
	struct flint_buf *b;

	loop = flint_loop_new();
	flint_pool_keep(p, 5);
	take(p, a, 40);
	assert_int_equal(a->got, 10);
	b = flint_buf_get_above(p, 0);
	assert_non_null(b);
	flint_buf_put(b);
	assert_int_equal(a->got, 10);
	while (a->put < 40)
		give(a);
	assert_int_equal(flint_pool_nr_free(p), 25);
	flint_loop_free(loop);
	flint_pool_free(p);
	free(a);
}

/* ---- a server ------------------------------------------------------------ */

#define OP_READ		0x7002		/* answered with IO bytes */
#define OP_PROMPT	0x7004
#define OP_LATE		0x7006
#define IO		65536
#define BUFFERS		16
#define PROMPT		100
#define LATE		250
#define CREDITS		64

static struct {
	struct flint_loop *loop;
	pthread_t thread;
	struct flint_pool *pool;
	struct flint_server *srv;
	struct sockaddr_storage addr;
} S;

struct job {
	struct flint_call *call;
	struct flint_buf_waiter w;
	struct flint_timer timer;
};

static void job_buffer(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct job *j = (struct job *)((char *)w - offsetof(struct job, w));

	flint_call_reply(j->call, 0, NULL, 0, buf, 0, IO);
	free(j);
}

static void job_late(struct flint_timer *t)
{
	struct job *j = t->arg;

	flint_call_reply(j->call, 0, NULL, 0, NULL, 0, 0);
	free(j);
}

static void request(void *arg, struct flint_call *call)
{
	struct job *j;

	if (call->msg.op == OP_PROMPT) {
		flint_call_reply(call, 0, NULL, 0, NULL, 0, 0);
		return;
	}
	j = calloc(1, sizeof(*j));
	assert_non_null(j);
	j->call = call;
	if (call->msg.op == OP_READ) {
		j->w = (struct flint_buf_waiter){ .fn = job_buffer, .loop = S.loop,
						  .holder = flint_conn_holder(call->conn, S.pool) };
		flint_buf_wait(S.pool, &j->w);
	} else {
		j->timer = (struct flint_timer){ .fn = job_late, .arg = j };
		flint_timer_set(S.loop, &j->timer, LATE);
	}
}

static size_t get(int fd, void *p, size_t len)
{
	size_t got;

	assert_true(raw_get(fd, p, len, 8000, &got));
	return got;
}

/* A connection after HELLO; the server has no key. @room: of the socket, 0: as usual. */
static int connect_as(uint8_t role, uint8_t id, int room, unsigned int *credits)
{
	struct {
		struct flint_hdr h;
		struct flint_hello hello;
	} m;
	uint8_t whole_id[16] = { id };
	struct flint_hello_rep rep;
	struct flint_hdr rh;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	if (room)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	assert_int_equal(connect(fd, (struct sockaddr *)&S.addr, sizeof(struct sockaddr_in)), 0);
	raw_header(&m.h, FLINT_OP_HELLO, sizeof(m.hello), 0);
	raw_hello_body(&m.hello, whole_id, IO, CREDITS);
	m.hello.role = role;
	raw_put(fd, &m, sizeof(m));
	assert_int_equal(get(fd, &rh, sizeof(rh)), sizeof(rh));
	assert_int_equal(get(fd, &rep, sizeof(rep)), sizeof(rep));
	*credits = le16_to_cpu(rep.credits);
	return fd;
}

static void ask(int fd, uint16_t op, unsigned int n)
{
	struct flint_hdr h;

	raw_header(&h, op, 0, 0);
	while (n--) {
		h.tag = cpu_to_le32(n);
		raw_put(fd, &h, sizeof(h));
	}
}

/* So many answers; the credits of the last one. */
static unsigned int answers(int fd, unsigned int n)
{
	static uint8_t data[IO];
	struct flint_hdr h;

	while (n--) {
		assert_int_equal(get(fd, &h, sizeof(h)), sizeof(h));
		assert_int_equal(h.status, 0);
		assert_int_equal(get(fd, data, le32_to_cpu(h.data_len)), le32_to_cpu(h.data_len));
	}
	return le16_to_cpu(h.credits);
}

static unsigned int round_of(int fd, uint16_t op, unsigned int n)
{
	ask(fd, op, n);
	return answers(fd, n);
}

/* Three connections of one client ask for much and read nothing, and those of another one. */
static void deaf(void **state)
{
	unsigned int credits, i;
	int evil[6], fd;

	for (i = 0; i < 6; i++) {
		evil[i] = connect_as(FLINT_ROLE_TOOL, (uint8_t)(1 + i / 3), 4096, &credits);
		ask(evil[i], OP_READ, credits);
	}
	fd = connect_as(FLINT_ROLE_TOOL, 9, 0, &credits);
	for (i = 0; i < 50; i++)
		round_of(fd, OP_READ, 8);
	for (i = 0; i < 6; i++)
		close(evil[i]);
	for (i = 0; i < 50; i++)
		round_of(fd, OP_READ, 8);
	close(fd);
}

static void credits(void **state)
{
	unsigned int c, i;
	int fd = connect_as(FLINT_ROLE_CHUNK, 1, 0, &c);

	assert_int_equal(c, CREDITS);
	round_of(fd, OP_LATE, 4);
	assert_int_equal(round_of(fd, OP_PROMPT, 1), CREDITS);
	close(fd);

	fd = connect_as(FLINT_ROLE_CLIENT, 2, 0, &c);
	assert_int_equal(c, 4);
	/* One by one, so that all are prompt on a slow machine. An answer tells what those before it made. */
	for (i = 0; i < 10; i++)
		assert_int_equal(round_of(fd, OP_PROMPT, 1), 4 + i);
	for (i = 0; i < CREDITS; i++)
		c = round_of(fd, OP_PROMPT, 1);
	assert_int_equal(c, CREDITS);
	/* Once in a round, however many are late. */
	round_of(fd, OP_LATE, 16);
	assert_int_equal(round_of(fd, OP_PROMPT, 1), CREDITS / 2);
	/* Then slowly: another one when all of them were prompt. */
	for (i = 0; i < CREDITS / 2 + 1; i++)
		c = round_of(fd, OP_PROMPT, 1);
	assert_int_equal(c, CREDITS / 2 + 1);
	/* Never none. */
	for (i = 0; i < 8; i++)
		round_of(fd, OP_LATE, 1);
	assert_int_equal(round_of(fd, OP_PROMPT, 1), 1);
	assert_int_equal(round_of(fd, OP_PROMPT, 1), 2);
	close(fd);
}

static void *run_loop(void *arg)
{
	assert_int_equal(flint_loop_run(arg), 0);
	return NULL;
}

static int server_setup(void **state)
{
	struct sockaddr_in *in = (void *)&S.addr;
	struct flint_server_config cfg = {
		.role = FLINT_ROLE_CHUNK, .nr_loops = 1, .request = request, .max_io = IO,
		.loops = &S.loop, .credits = CREDITS, .prompt_ms = PROMPT,
	};
	char err[200];

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	S.pool = flint_pool_new(IO, BUFFERS);
	S.loop = flint_loop_new();
	cfg.pool = S.pool;
	S.srv = flint_server_new(&cfg);
	if (flint_server_listen(S.srv, FLINT_PROTO_TCP, &S.addr, err, sizeof(err)))
		return -1;
	return pthread_create(&S.thread, NULL, run_loop, S.loop);
}

static int server_teardown(void **state)
{
	unsigned int nr_free;

	flint_server_free(S.srv);
	flint_loop_stop(S.loop);
	pthread_join(S.thread, NULL);
	flint_loop_free(S.loop);
	nr_free = flint_pool_nr_free(S.pool);
	flint_pool_free(S.pool);
	return nr_free == BUFFERS ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holders),
		cmocka_unit_test(kept),
		cmocka_unit_test(deaf),
		cmocka_unit_test(credits),
	};

	return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
