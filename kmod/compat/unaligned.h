/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading and writing numbers at any address.
 *
 *  6.12	<asm/unaligned.h> becomes <linux/unaligned.h>
 */
#ifndef _FLINT_COMPAT_UNALIGNED_H
#define _FLINT_COMPAT_UNALIGNED_H

#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#endif /* _FLINT_COMPAT_UNALIGNED_H */
