/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Fixed-width little-endian types for the kernel and for user space.
 *
 * Every structure in uapi/flintfs is laid out in memory exactly as it travels:
 * little-endian, naturally aligned, no implicit padding, size asserted. User
 * space gets the kernel's conversion names here, so that one source compiles
 * on both sides.
 */
#ifndef _UAPI_FLINTFS_TYPES_H
#define _UAPI_FLINTFS_TYPES_H

#ifdef __KERNEL__

#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/byteorder.h>

#else

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define cpu_to_le16(x) ((__le16)htole16(x))
#define cpu_to_le32(x) ((__le32)htole32(x))
#define cpu_to_le64(x) ((__le64)htole64(x))
#define le16_to_cpu(x) le16toh(x)
#define le32_to_cpu(x) le32toh(x)
#define le64_to_cpu(x) le64toh(x)

#endif /* __KERNEL__ */

/* A structure's size is part of the protocol. */
#define FLINT_ASSERT_SIZE(type, size) \
	_Static_assert(sizeof(type) == (size), #type " must be " #size " bytes")

#endif /* _UAPI_FLINTFS_TYPES_H */
