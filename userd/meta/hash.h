/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XXH3, inlined; but from its library where a sanitizer would instrument every
 * byte of it (measured: a test of deep trees took five minutes instead of one).
 */
#ifndef FLINT_META_HASH_H
#define FLINT_META_HASH_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define META_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define META_SANITIZED
#endif
#ifndef META_SANITIZED
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#endif /* FLINT_META_HASH_H */
