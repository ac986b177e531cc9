// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See httpd.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include "../base/addr.h"
#include "../base/log.h"
#include "httpd.h"

static void httpd_run(struct flint_httpd *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	h->again = false;
	MHD_run(h->daemon);
	if (h->again)
		flint_timer_set(h->loop, &h->timer, 0);
	else if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		flint_timer_set(h->loop, &h->timer, ms);
	else
		flint_timer_cancel(h->loop, &h->timer);
}

static void httpd_ready(struct flint_watch *w, uint32_t events)
{
	httpd_run(w->arg);
}

static void httpd_timer(struct flint_timer *t)
{
	httpd_run(t->arg);
}

void flint_httpd_resumed(struct flint_httpd *h)
{
	h->again = true;
	flint_timer_set(h->loop, &h->timer, 0);
}

static void httpd_log(void *cls, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void httpd_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];
	size_t n;

	vsnprintf(text, sizeof(text), fmt, ap);
	n = strlen(text);
	while (n && text[n - 1] == '\n')
		text[--n] = 0;
	flint_debug("http: %s", text);
}

int flint_httpd_start(struct flint_httpd *h, struct flint_loop *loop,
		      struct sockaddr_storage *addr, unsigned int conns,
		      MHD_AccessHandlerCallback access, MHD_RequestCompletedCallback completed,
		      void *arg)
{
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	const union MHD_DaemonInfo *info;
	int ret = -EIO;

	*h = (struct flint_httpd){ .loop = loop };
	if (addr->ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	errno = 0;
	h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, access, arg,
				     MHD_OPTION_EXTERNAL_LOGGER, httpd_log, h,
				     MHD_OPTION_SOCK_ADDR, addr,
				     MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
				     MHD_OPTION_CONNECTION_TIMEOUT, FLINT_HTTPD_TIMEOUT_S,
				     MHD_OPTION_CONNECTION_LIMIT, conns,
				     MHD_OPTION_NOTIFY_COMPLETED, completed, arg, MHD_OPTION_END);
	if (!h->daemon)
		return errno ? -errno : -EADDRINUSE;
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
	if (info)
		flint_addr_set_port(addr, info->port);
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		goto stop;
	h->timer.fn = httpd_timer;
	h->timer.arg = h;
	h->watch.fd = info->epoll_fd;
	h->watch.fn = httpd_ready;
	h->watch.arg = h;
	ret = flint_watch_add(loop, &h->watch, EPOLLIN);
	if (!ret)
		return 0;
stop:
	MHD_stop_daemon(h->daemon);
	h->daemon = NULL;
	return ret;
}

void flint_httpd_stop(struct flint_httpd *h)
{
	if (!h->daemon)
		return;
	flint_watch_del(h->loop, &h->watch);
	flint_timer_cancel(h->loop, &h->timer);
	MHD_run(h->daemon);
	MHD_stop_daemon(h->daemon);
	h->daemon = NULL;
}
