// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See redact.h. One pass; a place is judged by what it looks like, not by where
 * it stands, because a secret may have got anywhere.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "redact.h"

#define HEX_RUN	40

static size_t hex_run(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && isxdigit((unsigned char)p[n]))
		n++;
	return n;
}

/* Does a value end here? */
static int value_end(char c)
{
	return !c || isspace((unsigned char)c) || c == '"' || c == '\'' || c == ',' || c == ';';
}

static size_t value_len(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && !value_end(p[n]))
		n++;
	return n;
}

/* Bytes of a word that names a secret, with its '=' or ':' and what stands around that; or 0. */
static size_t secret_name(const char *p, size_t len)
{
	static const char * const words[] = { "secret", "password", "passwd", "token" };
	size_t i, n;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		n = strlen(words[i]);
		if (n >= len || strncasecmp(p, words[i], n))
			continue;
		while (n < len && (p[n] == '"' || p[n] == ' ' || p[n] == '\t'))
			n++;
		if (n == len || (p[n] != '=' && p[n] != ':'))
			continue;
		n++;
		while (n < len && (p[n] == '"' || p[n] == ' ' || p[n] == '\t' || p[n] == '\''))
			n++;
		return n;
	}
	return 0;
}

/* Bytes before a value that is secret, at the very beginning of @p; or 0. */
static size_t prefix_len(const char *p, size_t len)
{
	static const char token[] = "flint1-token:", bearer[] = "Bearer ";

	if (len > sizeof(token) - 1 && !strncmp(p, token, sizeof(token) - 1))
		return sizeof(token) - 1;
	if (len > sizeof(bearer) - 1 && !strncasecmp(p, bearer, sizeof(bearer) - 1))
		return sizeof(bearer) - 1;
	return secret_name(p, len);
}

unsigned int flint_redact(char *text, size_t len)
{
	unsigned int places = 0;
	size_t i = 0, n;

	while (i < len) {
		n = prefix_len(text + i, len - i);
		if (n) {
			i += n;
			n = value_len(text + i, len - i);
		} else {
			n = hex_run(text + i, len - i);
			if (n < HEX_RUN) {
				i += n ? n : 1;
				continue;
			}
		}
		memset(text + i, 'X', n);
		places += n > 0;
		i += n;
	}
	return places;
}
