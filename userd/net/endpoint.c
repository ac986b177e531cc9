// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See endpoint.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "../base/addr.h"
#include "../base/daemon.h"
#include "../base/log.h"
#include "endpoint.h"

bool flint_label_ok(const u8 *name, const char *not)
{
	size_t i, len = strnlen((const char *)name, FLINT_LABEL_LEN);

	if (!len || len == FLINT_LABEL_LEN)
		return false;
	for (i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] >= 0x7f || strchr(not, name[i]))
			return false;
	return true;
}

int flint_endpoint_check(struct flint_endpoint *e, const struct flint_endpoint_options *o,
			 char *err, size_t errlen)
{
	unsigned int i;
	int ret;

	memset(e, 0, sizeof(*e));
	if (o->rdma_port == o->tcp_port) {
		snprintf(err, errlen,
			 "--tcp-port and --rdma-port are both %llu: RDMA over some devices uses TCP ports, choose two",
			 (unsigned long long)o->tcp_port);
		return -EINVAL;
	}
	if (o->listen.nr > FLINT_LISTEN_MAX) {
		snprintf(err, errlen, "--listen may be given up to %d times", FLINT_LISTEN_MAX);
		return -EINVAL;
	}
	if (o->name && (!*o->name || strlen(o->name) >= FLINT_LABEL_LEN)) {
		snprintf(err, errlen, "--name takes 1 to %d bytes", FLINT_LABEL_LEN - 1);
		return -EINVAL;
	}
	if (o->log_format && strcmp(o->log_format, "text") && strcmp(o->log_format, "json")) {
		snprintf(err, errlen, "--log-format takes text or json, not '%s'", o->log_format);
		return -EINVAL;
	}
	flint_log_json(o->log_format && !strcmp(o->log_format, "json"));
	if (o->name)
		snprintf(e->name, sizeof(e->name), "%s", o->name);
	else
		flint_host_name(e->name);
	e->tcp_port = (uint16_t)o->tcp_port;
	e->rdma_port = (uint16_t)o->rdma_port;
	for (i = 0; i < o->listen.nr; i++) {
		ret = flint_addr_parse(o->listen.items[i], 0, &e->addrs[i], err, errlen);
		if (ret)
			return ret;
	}
	e->nr = o->listen.nr;
	e->any = !e->nr;
	if (e->any) {
		e->addrs[0].ss_family = AF_INET;	/* INADDR_ANY is 0 */
		e->nr = 1;
	}
	return 0;
}

unsigned int flint_endpoint_add(const struct flint_endpoint *e, const struct sockaddr_storage *sa,
				struct flint_addr *addrs, unsigned int nr)
{
	static const uint8_t any[16];
	struct sockaddr_storage copy = *sa;
	const struct {
		uint16_t port;
		uint8_t proto;
	} ways[] = { { e->tcp_port, FLINT_PROTO_TCP }, { e->rdma_port, FLINT_PROTO_RDMA } };
	unsigned int i;

	for (i = 0; i < 2 && nr < FLINT_NODE_ADDRS; i++) {
		flint_addr_set_port(&copy, ways[i].port);
		if (ways[i].port && !flint_addr_to_wire(&copy, ways[i].proto, &addrs[nr]) &&
		    memcmp(addrs[nr].addr, any, sizeof(any)))
			nr++;
		else
			memset(&addrs[nr], 0, sizeof(addrs[nr]));
	}
	return nr;
}

unsigned int flint_endpoint_addrs(const struct flint_endpoint *e, struct flint_addr *addrs)
{
	unsigned int i, nr = 0;

	memset(addrs, 0, FLINT_NODE_ADDRS * sizeof(*addrs));
	for (i = 0; i < e->nr; i++)
		nr = flint_endpoint_add(e, &e->addrs[i], addrs, nr);
	return nr;
}

int flint_endpoint_listen(const struct flint_endpoint *e, struct flint_server *srv, char *err,
			  size_t errlen)
{
	unsigned int i;
	int ret;

	for (i = 0; i < e->nr; i++) {
		struct sockaddr_storage sa = e->addrs[i];

		flint_addr_set_port(&sa, e->tcp_port);
		ret = flint_server_listen(srv, FLINT_PROTO_TCP, &sa, err, errlen);
		if (ret)
			return ret;
		if (!e->rdma_port)
			continue;
		flint_addr_set_port(&sa, e->rdma_port);
		ret = flint_server_listen(srv, FLINT_PROTO_RDMA, &sa, err, errlen);
		if (ret)
			return ret;
	}
	return 0;
}
