/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cluster key's file and UUID helpers.
 *
 * The key file holds 64 hexadecimal digits and a newline, mode 0600 (or 0400),
 * so that nobody but its owner can read it; a file that others can read is
 * refused.
 */
#ifndef FLINT_BASE_KEY_H
#define FLINT_BASE_KEY_H

#include <stddef.h>
#include <stdint.h>
#include "../../uapi/flintfs/wire.h"

#define FLINT_KEY_FILE	"/etc/flintfs/cluster.key"

/**
 * flint_secret_open() - open a file that only its owner may read
 * @what: what it is, for messages: "cluster key"
 * @remedy: what to do when it does not exist, a clause
 *
 * Return: a descriptor, or -errno with one sentence in @err.
 */
int flint_secret_open(const char *path, const char *what, const char *remedy, char *err,
		      size_t errlen);

/* Read the key. Return: 0 or -errno with one sentence in @err. */
int flint_key_load(const char *path, uint8_t key[FLINT_KEY_LEN], char *err, size_t errlen);

/**
 * flint_key_create() - make a new random key file
 * @path: must not exist
 * @key: result
 *
 * Written to a temporary name and renamed, synced: never half there.
 * Return: 0 or -errno (-EEXIST) with one sentence in @err.
 */
int flint_key_create(const char *path, uint8_t key[FLINT_KEY_LEN], char *err, size_t errlen);

#define FLINT_METRICS_TOKEN	64	/* characters */

/* The bearer token that /metrics asks for: Prometheus cannot sign requests. @token: with a NUL. */
void flint_key_metrics_token(const uint8_t key[FLINT_KEY_LEN], char *token);

#define FLINT_UUID_STR	37	/* 8-4-4-4-12 and the NUL */

/* A random (version 4) UUID. */
void flint_uuid_make(uint8_t out[16]);
const char *flint_uuid_format(const uint8_t id[16], char out[FLINT_UUID_STR]);
/* Return: 0 or -EINVAL. */
int flint_uuid_parse(const char *s, uint8_t out[16]);

/* @len bytes as 2 * @len hexadecimal digits and a NUL. */
void flint_hex_format(const uint8_t *bytes, size_t len, char *out);
/* Exactly 2 * @len digits. Return: 0 or -EINVAL. */
int flint_hex_parse(const char *s, size_t slen, uint8_t *out, size_t len);

#endif /* FLINT_BASE_KEY_H */
