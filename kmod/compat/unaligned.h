/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading and writing numbers at any address.
 *
 *  6.12	<asm/unaligned.h> becomes <linux/unaligned.h>
 */
#ifndef _FLINT_COMPAT_UNALIGNED_H
#define _FLINT_COMPAT_UNALIGNED_H

#if __has_include("linux/unaligned.h")
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#endif /* _FLINT_COMPAT_UNALIGNED_H */
