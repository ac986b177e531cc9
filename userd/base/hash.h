/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XXH3, inlined; but from its library where a sanitizer would instrument every
 * byte of it (measured: a test of deep trees took five minutes instead of one).
 */
#ifndef FLINT_BASE_HASH_H
#define FLINT_BASE_HASH_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FLINT_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLINT_SANITIZED
#endif
#ifndef FLINT_SANITIZED
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#endif /* FLINT_BASE_HASH_H */
