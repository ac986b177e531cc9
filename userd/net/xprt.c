// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What all links share: references, the one way to die, addresses in words.
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "xprt.h"

void flint_xprt_put(struct flint_xprt *link)
{
	if (!--link->refs)
		link->ops->free(link);
}

/* From the loop, with no other function of this link on the stack. */
static void link_fail_run(struct flint_task *t)
{
	struct flint_xprt *link = (struct flint_xprt *)
		((char *)t - offsetof(struct flint_xprt, fail_task));

	if (!link->torn) {
		link->torn = true;
		link->ops->teardown(link);
		if (link->user)
			link->user->down(link, link->err, link->why);
		flint_xprt_put(link);		/* the link's own */
	}
	flint_xprt_put(link);			/* the task's */
}

/* The caller gets the link's own reference, which goes when the link dies. */
void flint_xprt_init(struct flint_xprt *link, const struct flint_xprt_ops *ops,
		     struct flint_loop *loop, int proto)
{
	link->ops = ops;
	link->loop = loop;
	link->proto = proto;
	link->refs = 1;
	link->rx_ns = flint_now_ns();
	link->fail_task.fn = link_fail_run;
}

/**
 * flint_xprt_fail() - end a link
 * @link: may be dead already; then nothing happens
 * @err: for the user, negative
 * @fmt: why, in words
 */
void flint_xprt_fail(struct flint_xprt *link, int err, const char *fmt, ...)
{
	va_list ap;

	if (link->dead)
		return;
	link->dead = true;
	link->err = err;
	va_start(ap, fmt);
	vsnprintf(link->why, sizeof(link->why), fmt, ap);
	va_end(ap);
	flint_xprt_get(link);
	flint_loop_post(link->loop, &link->fail_task);
}

/**
 * flint_xprt_close() - end a link at once, without user->down()
 *
 * A teardown that is already posted finds nothing left to do.
 */
void flint_xprt_close(struct flint_xprt *link)
{
	link->dead = true;
	if (link->torn)
		return;
	link->torn = true;
	link->user = NULL;
	link->ops->teardown(link);
	flint_xprt_put(link);
}

void flint_xprt_limits(struct flint_xprt *link, uint32_t inline_size, uint32_t max_io)
{
	if (inline_size < link->inline_size)
		link->inline_size = inline_size;
	if (max_io < link->max_io)
		link->max_io = max_io;
	link->lim.any_version = false;
	link->lim.max_io = link->max_io;
	link->lim.inline_size = link->proto == FLINT_PROTO_TCP ? link->max_io : link->inline_size;
}

const char *flint_proto_why(const struct flint_hdr *h, uint32_t len, int err)
{
	if (err == -EPROTONOSUPPORT)
		return "message of another protocol version";
	if (len < sizeof(*h))
		return "truncated header";
	if (h->magic != cpu_to_le32(FLINT_MAGIC))
		return "bad magic: not a FlintFS message";
	if (h->flags & ~FLINT_F_KNOWN)
		return "unknown flags";
	if (h->nr_desc > FLINT_MAX_DESC)
		return "too many descriptors";
	if ((h->flags & FLINT_F_REPLY) &&
	    (!h->credits || le16_to_cpu(h->credits) > FLINT_MAX_CREDITS))
		return "credits out of range";
	return "malformed message (lengths, descriptors or reserved values)";
}

socklen_t flint_sockaddr_len(const struct sockaddr_storage *sa)
{
	return sa->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

void flint_sockaddr_text(const struct sockaddr *sa, char *out, size_t len)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		snprintf(out, len, "%s:%u", ip, ntohs(in->sin_port));
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
		snprintf(out, len, "[%s]:%u", ip, ntohs(in6->sin6_port));
	} else {
		snprintf(out, len, "?");
	}
}

void flint_xprt_set_addr(struct flint_xprt *link, const struct sockaddr *sa)
{
	char text[56];

	flint_sockaddr_text(sa, text, sizeof(text));
	snprintf(link->address, sizeof(link->address), "%s (%s)", text, link->ops->name);
	memcpy(&link->addr, sa, sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
							    sizeof(struct sockaddr_in));
}
