// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Addresses: text, socket, wire; see addr.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "addr.h"

/* Split "host[:port]" into @host and *@port. Return: 0 or -EINVAL. */
static int addr_split(const char *s, char *host, size_t hostlen, const char **port)
{
	const char *end, *colon;
	size_t n;

	*port = NULL;
	if (s[0] == '[') {
		end = strchr(s, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		if (end[1] == ':')
			*port = end + 2;
		s++;
	} else {
		colon = strchr(s, ':');
		if (colon && !strchr(colon + 1, ':')) {
			end = colon;
			*port = colon + 1;
		} else {
			end = s + strlen(s);	/* no port, or a bare IPv6 address */
		}
	}
	n = end - s;
	if (!n || n >= hostlen)
		return -EINVAL;
	memcpy(host, s, n);
	host[n] = 0;
	return 0;
}

static int port_parse(const char *s, uint16_t *port)
{
	char *end;
	long v;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	v = strtol(s, &end, 10);
	if (errno || *end || v < 1 || v > 65535)
		return -EINVAL;
	*port = (uint16_t)v;
	return 0;
}

int flint_addr_parse(const char *s, uint16_t def_port, struct sockaddr_storage *out,
		     char *err, size_t errlen)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *ai;
	char host[256];
	const char *port;
	uint16_t num = def_port;
	int rc;

	if (addr_split(s, host, sizeof(host), &port)) {
		snprintf(err, errlen,
			 "\"%s\" is not an address; write HOST, HOST:PORT or [IPV6]:PORT", s);
		return -EINVAL;
	}
	if (port && port_parse(port, &num)) {
		snprintf(err, errlen, "\"%s\" has no valid port; ports are 1 to 65535", s);
		return -EINVAL;
	}
	rc = getaddrinfo(host, NULL, &hints, &ai);
	if (rc) {
		snprintf(err, errlen, "host \"%s\" cannot be found: %s", host, gai_strerror(rc));
		return -ENOENT;
	}
	memset(out, 0, sizeof(*out));
	memcpy(out, ai->ai_addr, ai->ai_addrlen);
	freeaddrinfo(ai);
	flint_addr_set_port(out, num);
	return 0;
}

int flint_addr_parse_list(const char *s, uint16_t def_port, struct sockaddr_storage *out,
			  unsigned int max, char *err, size_t errlen)
{
	char *copy = strdup(s), *save = NULL, *tok;
	unsigned int n = 0;
	int rc = 0;

	if (!copy) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	for (tok = strtok_r(copy, ", ", &save); tok; tok = strtok_r(NULL, ", ", &save)) {
		if (n == max) {
			snprintf(err, errlen, "more than %u addresses in \"%s\"", max, s);
			rc = -EINVAL;
			break;
		}
		rc = flint_addr_parse(tok, def_port, &out[n], err, errlen);
		if (rc)
			break;
		n++;
	}
	if (!rc && !n) {
		snprintf(err, errlen, "no address given; write HOST[:PORT][,HOST[:PORT]...]");
		rc = -EINVAL;
	}
	free(copy);
	return rc ? rc : (int)n;
}

const char *flint_addr_format(const struct sockaddr_storage *sa, char *buf, size_t len)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	if (sa->ss_family == AF_INET) {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, ip, sizeof(ip));
		snprintf(buf, len, "%s:%u", ip, flint_addr_port(sa));
	} else if (sa->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, ip, sizeof(ip));
		snprintf(buf, len, "[%s]:%u", ip, flint_addr_port(sa));
	} else {
		snprintf(buf, len, "(no address)");
	}
	return buf;
}

uint16_t flint_addr_port(const struct sockaddr_storage *sa)
{
	if (sa->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
	return ntohs(((const struct sockaddr_in *)sa)->sin_port);
}

void flint_addr_set_port(struct sockaddr_storage *sa, uint16_t port)
{
	if (sa->ss_family == AF_INET6)
		((struct sockaddr_in6 *)sa)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)sa)->sin_port = htons(port);
}

socklen_t flint_addr_len(const struct sockaddr_storage *sa)
{
	return sa->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
					   sizeof(struct sockaddr_in);
}

bool flint_addr_is_here(const struct sockaddr_storage *sa)
{
	struct sockaddr_storage any = *sa;
	int fd, rc;

	fd = socket(sa->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	flint_addr_set_port(&any, 0);
	rc = bind(fd, (struct sockaddr *)&any, flint_addr_len(&any));
	close(fd);
	return !rc;
}

int flint_addr_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	struct flint_addr wa, wb;

	if (flint_addr_to_wire(a, 0, &wa) || flint_addr_to_wire(b, 0, &wb))
		return 0;
	return !memcmp(&wa, &wb, sizeof(wa));
}

int flint_addr_to_wire(const struct sockaddr_storage *sa, uint8_t proto, struct flint_addr *out)
{
	memset(out, 0, sizeof(*out));
	if (sa->ss_family == AF_INET) {
		out->family = 4;
		memcpy(out->addr, &((const struct sockaddr_in *)sa)->sin_addr, 4);
	} else if (sa->ss_family == AF_INET6) {
		out->family = 6;
		memcpy(out->addr, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
	} else {
		return -EAFNOSUPPORT;
	}
	out->proto = proto;
	out->port = cpu_to_le16(flint_addr_port(sa));
	return 0;
}

int flint_addr_from_wire(const struct flint_addr *a, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (a->family == 4) {
		out->ss_family = AF_INET;
		memcpy(&((struct sockaddr_in *)out)->sin_addr, a->addr, 4);
	} else if (a->family == 6) {
		out->ss_family = AF_INET6;
		memcpy(&((struct sockaddr_in6 *)out)->sin6_addr, a->addr, 16);
	} else {
		return -EINVAL;
	}
	if (!a->port)
		return -EINVAL;
	flint_addr_set_port(out, le16_to_cpu(a->port));
	return 0;
}
