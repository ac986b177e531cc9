/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a daemon serves: the options that all daemons share (--listen,
 * --tcp-port, --rdma-port, --name, --log-format), their check, and opening the
 * listeners.
 */
#ifndef FLINT_NET_ENDPOINT_H
#define FLINT_NET_ENDPOINT_H

#include "../base/conf.h"
#include "net.h"

#define FLINT_LISTEN_MAX	FLINT_NODE_ADDRS

/* Members of a daemon's options, filled by the entries below. */
struct flint_endpoint_options {
	struct flint_conf_list listen;
	uint64_t tcp_port, rdma_port;
	char *name;
	char *log_format;
};

#define FLINT_ENDPOINT_OFF(at, member)	((at) + offsetof(struct flint_endpoint_options, member))

/**
 * FLINT_ENDPOINT_OPTS() - entries for a daemon's option table
 * @at: offset of its struct flint_endpoint_options
 * @tcp, @rdma: default ports, as strings
 */
#define FLINT_ENDPOINT_OPTS(at, tcp, rdma)                                                        \
	{ "listen", 'l', FLINT_CONF_LIST, FLINT_ENDPOINT_OFF(at, listen), NULL, "ADDR",           \
	  "address to serve on, reachable from the other machines; may be repeated (default: all)", \
	  0, 0, 0 },                                                                              \
	{ "tcp-port", 0, FLINT_CONF_U64, FLINT_ENDPOINT_OFF(at, tcp_port), tcp, "N",              \
	  "port for requests over TCP", 1, 65535, 0 },                                            \
	{ "rdma-port", 0, FLINT_CONF_U64, FLINT_ENDPOINT_OFF(at, rdma_port), rdma, "N",           \
	  "port for requests over RDMA, 0: none", 0, 65535, 0 },                                  \
	{ "name", 'n', FLINT_CONF_STR, FLINT_ENDPOINT_OFF(at, name), NULL, "NAME",                \
	  "name of this server (default: host name)", 0, 0, 0 },                                  \
	{ "log-format", 0, FLINT_CONF_STR, FLINT_ENDPOINT_OFF(at, log_format), "text",            \
	  "text|json", "what log lines look like", 0, 0, 0 }

/**
 * struct flint_endpoint - the options, checked
 * @addrs, @nr: addresses to listen on, without ports; one that means all when
 *	none was given
 * @any: none was given
 */
struct flint_endpoint {
	struct sockaddr_storage addrs[FLINT_LISTEN_MAX];
	unsigned int nr;
	bool any;
	uint16_t tcp_port, rdma_port;
	char name[FLINT_LABEL_LEN];
};

/* What new names are without: they stand in maps, log lines, commands, paths and Prometheus' labels. */
#define FLINT_LABEL_NOT		"/\"\\"
#define FLINT_LABEL_NOT_SAID	"spaces, quotes, slashes and backslashes"

/* Is it a node's name: printable ASCII without space or one of @not, ended within FLINT_LABEL_LEN? */
bool flint_label_ok(const u8 *name, const char *not);

/* Applies the log's format too. Return: 0 or -errno with one sentence in @err. */
int flint_endpoint_check(struct flint_endpoint *e, const struct flint_endpoint_options *o,
			 char *err, size_t errlen);

/**
 * flint_endpoint_add() - append where one address serves, as the map has it
 * @e: with the ports
 * @sa: the address
 * @addrs: FLINT_NODE_ADDRS entries; what has no room is left out
 * @nr: how many there are
 * Return: how many there are now.
 */
unsigned int flint_endpoint_add(const struct flint_endpoint *e, const struct sockaddr_storage *sa,
				struct flint_addr *addrs, unsigned int nr);

/* Where it serves, as far as it was told addresses. Return: how many; the rest of @addrs is 0. */
unsigned int flint_endpoint_addrs(const struct flint_endpoint *e, struct flint_addr *addrs);

/* Open all listeners. Return: 0 or -errno with one sentence in @err; the server closes them. */
int flint_endpoint_listen(const struct flint_endpoint *e, struct flint_server *srv, char *err,
			  size_t errlen);

#endif /* FLINT_NET_ENDPOINT_H */
