// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-relay: TCP ports that lead to others, for tests of partitions. Each
 * connection begins with a HELLO that names who it is from; the file of rules,
 * read again every 50 ms, says which pairs cannot hear each other.
 *
 *	flint-relay RULES NAME:FROM-PORT:TO-PORT ...
 *
 * NAME is who serves at TO-PORT. A rule is a line "A B": nothing passes between A
 * and B, and what is under way stays where it is; "*" is everybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../../uapi/flintfs/wire.h"

#define PORTS_MAX	8
#define LINKS_MAX	256
#define RULES_MAX	32

struct port {
	char name[32];
	int fd, to;
};

/* Bytes on their way in one direction. */
struct pipe {
	char buf[65536];
	size_t at, len;
	bool end;
};

struct link {
	int fd[2];			/* who called, who serves */
	struct pipe p[2];		/* from fd[i] to fd[1 - i] */
	char from[32];
	struct port *port;
	size_t seen;
	unsigned char hello[256];
};

struct relay {
	const char *file;
	struct port ports[PORTS_MAX];
	int nr_ports;
	struct link *links[LINKS_MAX];
	char rules[RULES_MAX][2][32];
	int nr_rules;
};

static void rules_read(struct relay *r)
{
	FILE *f = fopen(r->file, "r");

	r->nr_rules = 0;
	while (f && r->nr_rules < RULES_MAX &&
	       fscanf(f, "%31s %31s", r->rules[r->nr_rules][0], r->rules[r->nr_rules][1]) == 2)
		r->nr_rules++;
	if (f)
		fclose(f);
}

static bool is(const char *rule, const char *name)
{
	return !strcmp(rule, "*") || !strcmp(rule, name);
}

static bool parted(const struct relay *r, const struct link *l)
{
	int i;

	for (i = 0; i < r->nr_rules; i++)
		if ((is(r->rules[i][0], l->from) && is(r->rules[i][1], l->port->name)) ||
		    (is(r->rules[i][1], l->from) && is(r->rules[i][0], l->port->name)))
			return true;
	return false;
}

static struct sockaddr_in local(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void link_end(struct relay *r, int i)
{
	close(r->links[i]->fd[0]);
	close(r->links[i]->fd[1]);
	free(r->links[i]);
	r->links[i] = NULL;
}

static void accept_one(struct relay *r, struct port *p)
{
	struct sockaddr_in to = local(p->to);
	int fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), i, one = 1;
	struct link *l;

	for (i = 0; i < LINKS_MAX && r->links[i]; )
		i++;
	l = fd >= 0 && i < LINKS_MAX ? calloc(1, sizeof(*l)) : NULL;
	if (!l) {
		if (fd >= 0)
			close(fd);
		return;
	}
	l->fd[0] = fd;
	l->fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	l->port = p;
	r->links[i] = l;
	if (connect(l->fd[1], (struct sockaddr *)&to, sizeof(to))) {
		link_end(r, i);
		return;
	}
	fcntl(l->fd[1], F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(l->fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Who is it? The name stands in its first message. */
static void look(struct link *l, const char *buf, size_t len)
{
	const size_t at = sizeof(struct flint_hdr) + offsetof(struct flint_hello, name);
	size_t n = sizeof(l->hello) - l->seen < len ? sizeof(l->hello) - l->seen : len;

	memcpy(l->hello + l->seen, buf, n);
	l->seen += n;
	if (!l->from[0] && l->seen >= at + sizeof(l->from))
		memcpy(l->from, l->hello + at, sizeof(l->from) - 1);
}

/* False: the link is over. */
static bool move(struct link *l, int i)
{
	struct pipe *p = &l->p[i];
	ssize_t n;

	if (!p->len) {
		n = recv(l->fd[i], p->buf, sizeof(p->buf), 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		p->at = 0;
		p->len = n < 0 ? 0 : n;
		if (!i && p->len)
			look(l, p->buf, p->len);
	}
	while (p->len) {
		n = send(l->fd[1 - i], p->buf + p->at, p->len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN;
		p->at += n;
		p->len -= n;
	}
	return true;
}

static void serve(struct relay *r)
{
	struct pollfd fds[PORTS_MAX + 2 * LINKS_MAX];
	struct link *l;
	int i, k, n;

	for (;;) {
		for (n = 0; n < r->nr_ports; n++)
			fds[n] = (struct pollfd){ r->ports[n].fd, POLLIN, 0 };
		for (i = 0; i < LINKS_MAX; i++)
			for (k = 0; r->links[i] && k < 2 && !parted(r, r->links[i]); k++)
				fds[n++] = (struct pollfd){ r->links[i]->fd[k], POLLIN |
					(r->links[i]->p[1 - k].len ? POLLOUT : 0), 0 };
		poll(fds, n, 50);
		rules_read(r);
		for (i = 0; i < r->nr_ports; i++)
			if (fds[i].revents & POLLIN)
				accept_one(r, &r->ports[i]);
		for (i = 0; i < LINKS_MAX; i++) {
			l = r->links[i];
			if (l && !parted(r, l) && (!move(l, 0) || !move(l, 1)))
				link_end(r, i);
		}
	}
}

int main(int argc, char **argv)
{
	static struct relay r;
	struct sockaddr_in sa;
	int i, from, one = 1;
	struct port *p;

	r.file = argv[1];
	for (i = 2; i < argc && r.nr_ports < PORTS_MAX; i++) {
		p = &r.ports[r.nr_ports++];
		if (sscanf(argv[i], "%31[^:]:%d:%d", p->name, &from, &p->to) != 3)
			return 2;
		sa = local(from);
		p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(p->fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(p->fd, 64)) {
			perror(argv[i]);
			return 1;
		}
	}
	serve(&r);
}
