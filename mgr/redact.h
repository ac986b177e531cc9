/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text that leaves the cluster in a support bundle: without secrets.
 */
#ifndef FLINT_REDACT_H
#define FLINT_REDACT_H

#include <stddef.h>

/**
 * flint_redact() - overwrite what may be a secret
 * @text: changed in place
 * @len: bytes; NULs are fine
 *
 * Becomes 'X': every run of 40 or more hexadecimal digits (keys, MACs, secrets
 * of tokens; ids and UUIDs are shorter), whatever follows "flint1-token:" or
 * "Bearer " up to a space, a quote or a comma, and the value of a word that ends
 * in "secret", "password", "passwd" or "token" and is followed by '=' or ':'.
 * What is overwritten keeps its length.
 *
 * Return: how many places.
 */
unsigned int flint_redact(char *text, size_t len);

#endif /* FLINT_REDACT_H */
