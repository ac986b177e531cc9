/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libmicrohttpd run from a daemon's own loop: its epoll descriptor is watched,
 * so that handlers run on the same thread as everything else and need no locks.
 */
#ifndef FLINT_NET_HTTPD_H
#define FLINT_NET_HTTPD_H

#include <microhttpd.h>
#include "net.h"

#define FLINT_HTTPD_TIMEOUT_S	30

struct flint_httpd {
	struct flint_loop *loop;
	struct MHD_Daemon *daemon;
	struct flint_watch watch;
	struct flint_timer timer;
	bool again;		/* a connection was resumed: run once more */
};

/**
 * flint_httpd_start() - serve HTTP on one address
 * @addr: with the port, 0 picks one; updated
 * @conns: connections at most
 * @access: handler of libmicrohttpd; may suspend a connection
 * @completed: NULL: none
 *
 * Return: 0 or -errno.
 */
int flint_httpd_start(struct flint_httpd *h, struct flint_loop *loop,
		      struct sockaddr_storage *addr, unsigned int conns,
		      MHD_AccessHandlerCallback access, MHD_RequestCompletedCallback completed,
		      void *arg);
/* After MHD_resume_connection(). */
void flint_httpd_resumed(struct flint_httpd *h);
/* No connection may be suspended any more. */
void flint_httpd_stop(struct flint_httpd *h);

#endif /* FLINT_NET_HTTPD_H */
