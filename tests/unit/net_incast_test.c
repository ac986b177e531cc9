// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many at one server. Credits: few at first, more with prompt answers, half as many
 * when one was late, and all of them at once for servers.
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

/* ---- a server ------------------------------------------------------------ */

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
	struct flint_timer timer;
};

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
	j->timer = (struct flint_timer){ .fn = job_late, .arg = j };
	flint_timer_set(S.loop, &j->timer, LATE);
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
		cmocka_unit_test(credits),
	};

	return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
