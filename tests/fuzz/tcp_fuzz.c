// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as a TCP stream: what a server that has accepted a connection does with them, from
 * the framing (userd/net/tcp.c) to the calls. The first byte of the input says how the stream is
 * cut into pieces, whether a sound HELLO goes before it, and how the connection ends.
 *
 * The event loop runs in a thread of its own, as in a daemon; an input ends when the server has
 * closed the connection, so that nothing of it is left for the next.
 */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../userd/base/log.h"
#include "../../userd/net/net.h"
#include "../unit/raw_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_IO	65536

static struct sockaddr_storage addr;

static void *run(void *loop)
{
	flint_loop_run(loop);
	return NULL;
}

static void serve(void)
{
	static struct flint_loop *loop;
	static struct flint_server *srv;
	struct sockaddr_in *in = (void *)&addr;
	struct flint_server_config cfg = {
		.role = FLINT_ROLE_META, .nr_loops = 1, .request = raw_request, .max_io = MAX_IO,
		.credits = 4, .loops = &loop,
	};
	char err[200];
	pthread_t t;

	flint_log_init("fuzz", FLINT_LOG_ERR - 1);
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	loop = flint_loop_new();
	cfg.pool = flint_pool_new(MAX_IO, 4);
	srv = flint_server_new(&cfg);
	if (flint_server_listen(srv, FLINT_PROTO_TCP, &addr, err, sizeof(err)) ||
	    pthread_create(&t, NULL, run, loop))
		abort();
}

static void hello(int fd)
{
	struct { struct flint_hdr h; struct flint_hello b; } m;
	static const uint8_t id[16] = "a fuzzer";
	uint8_t rep[sizeof(struct flint_hdr) + sizeof(struct flint_hello_rep)];
	size_t got;

	raw_header(&m.h, FLINT_OP_HELLO, sizeof(m.b), 0);
	raw_hello_body(&m.b, id, MAX_IO, 4);
	raw_put(fd, &m, sizeof(m));
	if (!raw_get(fd, rep, sizeof(rep), 5000, &got) || got != sizeof(rep))
		abort();	/* a sound client is answered */
}

/* Until the server has closed. */
static void drain(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint8_t junk[4096];

	while (poll(&pfd, 1, 9000) > 0)
		if (recv(fd, junk, sizeof(junk), 0) <= 0)
			return;
	abort();		/* it neither answers nor closes */
}

/*
 * Connections that were closed leave their ports in TIME_WAIT for a minute, more of them than there are
 * ports of one address: each connection comes from another of the loopback's addresses.
 */
static int connected(void)
{
	static uint32_t nr;
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010000 | nr++ % 65536) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){ 1 }, sizeof(int)) ||
	    bind(fd, (void *)&from, sizeof(from)) ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(struct sockaddr_in))) {
		perror("cannot connect to the server");
		abort();
	}
	return fd;
}

static void one_stream(const uint8_t *data, size_t size)
{
	struct linger reset = { .l_onoff = 1 };
	uint8_t how;
	size_t n;
	int fd;

	how = *data++;
	size--;
	fd = connected();
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (how & 1)
		hello(fd);
	for (; size; data += n, size -= n) {
		n = how & 2 ? size : (how >> 3) * 7u + 1;
		n = n < size ? n : size;
		raw_put(fd, data, n);
	}
	if (!(how & 4)) {	/* else by the reset */
		shutdown(fd, SHUT_WR);
		drain(fd);
	}
	close(fd);
}

/* libFuzzer's alarm, every few seconds, must not end a wait as if the server had not answered. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	sigset_t set;

	if (!addr.ss_family)
		serve();
	if (!size)
		return 0;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	one_stream(data, size);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return 0;
}
