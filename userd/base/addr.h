/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses as people write them ("host", "host:port", "192.0.2.1:7441",
 * "[2001:db8::1]:7441"), as sockets take them, and as the cluster map has them.
 */
#ifndef FLINT_BASE_ADDR_H
#define FLINT_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "../../uapi/flintfs/map.h"

#define FLINT_ADDR_STR	64	/* "[...]:65535", with the NUL */

/**
 * flint_addr_parse() - text to socket address
 * @s: host[:port]; IPv6 in brackets when a port follows, bare otherwise
 * @def_port: port when none is given
 * @out: result
 * @err, @errlen: receives one sentence on failure
 *
 * Names are resolved (getaddrinfo, first answer): may block.
 * Return: 0 or -EINVAL (senseless), -ENOENT (no such host).
 */
int flint_addr_parse(const char *s, uint16_t def_port, struct sockaddr_storage *out,
		     char *err, size_t errlen);

/**
 * flint_addr_parse_list() - "a:1,b:2" to several addresses
 * Return: how many, 1..@max, or -errno with @err set.
 */
int flint_addr_parse_list(const char *s, uint16_t def_port, struct sockaddr_storage *out,
			  unsigned int max, char *err, size_t errlen);

/* "192.0.2.1:7441", "[2001:db8::1]:7441". Return: @buf. */
const char *flint_addr_format(const struct sockaddr_storage *sa, char *buf, size_t len);

uint16_t flint_addr_port(const struct sockaddr_storage *sa);
void flint_addr_set_port(struct sockaddr_storage *sa, uint16_t port);
socklen_t flint_addr_len(const struct sockaddr_storage *sa);
/* Is it an address of this machine, so that a server can listen there? */
bool flint_addr_is_here(const struct sockaddr_storage *sa);
/* Same family, address and port? */
int flint_addr_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* To the map's form. Return: 0 or -EAFNOSUPPORT. */
int flint_addr_to_wire(const struct sockaddr_storage *sa, uint8_t proto, struct flint_addr *out);
/* From the map's form. Return: 0 or -EINVAL (unused or unknown family, port 0). */
int flint_addr_from_wire(const struct flint_addr *a, struct sockaddr_storage *out);

#endif /* FLINT_BASE_ADDR_H */
