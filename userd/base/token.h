/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tokens as people handle them: one line of text in a file that only its owner
 * can read (uapi/flintfs/token.h says what a token is).
 *
 *	flint1-token:<claims, hexadecimal>:<secret, hexadecimal>
 */
#ifndef FLINT_BASE_TOKEN_H
#define FLINT_BASE_TOKEN_H

#include "../../uapi/flintfs/token.h"
#include "../../uapi/flintfs/wire.h"

#define FLINT_TOKEN_TEXT_MAX	(16 + 2 * (FLINT_TOKEN_MAX + FLINT_KEY_LEN))

/**
 * struct flint_token_full - claims and their secret
 * @claims: flint_token_len() bytes, checked
 */
struct flint_token_full {
	union {
		struct flint_token claims;
		uint8_t bytes[FLINT_TOKEN_MAX + 1];
	};
	uint8_t secret[FLINT_KEY_LEN];
};

/* The secret that belongs to checked claims. @key: the cluster's. */
void flint_token_secret(const uint8_t *key, const struct flint_token *t, uint8_t *secret);

/* Fill in a permit's MAC. @key: the cluster's; everything before the MAC is set. */
void flint_permit_seal(const uint8_t *key, struct flint_permit *p);
/* Is it one that a metadata server of this cluster made, and not expired? @now: seconds since 1970. */
bool flint_permit_ok(const uint8_t *key, const struct flint_permit *p, uint64_t now);

/* @out: FLINT_TOKEN_TEXT_MAX bytes; a NUL ends it, no newline. */
void flint_token_format(const struct flint_token_full *t, char *out);
/* Spaces around it are fine. Return: 0, -EINVAL, or -EPROTONOSUPPORT for a newer kind. */
int flint_token_parse(const char *text, struct flint_token_full *t);

/* Read a token's file. Return: 0 or -errno with one sentence in @err. */
int flint_token_load(const char *path, struct flint_token_full *t, char *err, size_t errlen);

/**
 * flint_token_prefix() - take "10.1.0.0/16", "fd00::/8" or one address apart
 * @t: addr_family, addr_bits and addr are set; bits beyond the prefix are cleared
 *
 * Return: 0 or -EINVAL.
 */
int flint_token_prefix(const char *text, struct flint_token *t);

#define FLINT_TOKEN_PREFIX_STR	64
/* "10.1.0.0/16" or "any". */
const char *flint_token_prefix_format(const struct flint_token *t,
				      char out[FLINT_TOKEN_PREFIX_STR]);

#endif /* FLINT_BASE_TOKEN_H */
