/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Tokens: what a client without the cluster key may do.
 *
 * A token is a list of claims and a secret:
 *
 *	secret = HMAC-SHA256(cluster key, "flint1-token" | claims)
 *
 * The label has 12 bytes, no NUL; the claims are struct flint_token and the
 * path that follows it, byte for byte. No server stores tokens: a client sends
 * the claims in its HELLO, the server derives the secret from them, and both
 * prove by HELLO's and AUTH's MACs that they have it. So claims cannot be
 * changed, and the secret never travels.
 *
 * Invariants
 *  - A claim only takes rights away from what the cluster key gives. A server
 *    that does not know a version or a flag refuses the token: it never grants
 *    more than was meant. A new claim therefore means a new version.
 *  - A token is a client's: servers accept it from FLINT_ROLE_CLIENT only.
 *
 * Permits: what a chunk server knows of a subtree. It cannot tell from an inode's
 * number where the inode lies; the metadata server can. So a client whose token
 * has a path asks that one (FLINT_OP_PERMIT_GET, refused with ESTALE outside of
 * the subtree) and shows the answer to each chunk server that says
 * FLINT_ST_NEED_PERMIT (FLINT_OP_PERMIT). Chunk servers forget permits as they
 * like, when they expire at the latest: whoever moves a file out of a subtree
 * ends what its tokens may do with the data within FLINT_PERMIT_S.
 */
#ifndef _UAPI_FLINTFS_TOKEN_H
#define _UAPI_FLINTFS_TOKEN_H

#include "types.h"

#define FLINT_TOKEN_MAGIC	0x4b4f5446u	/* "FTOK" as bytes */
#define FLINT_TOKEN_V1		1
#define FLINT_TOKEN_LABEL	"flint1-token"
#define FLINT_TOKEN_LABEL_LEN	12
#define FLINT_TOKEN_PATH_MAX	1023		/* bytes of the subtree's path */

/* struct flint_token.flags */
#define FLINT_TOKEN_RDONLY	0x1	/* nothing may be changed */
#define FLINT_TOKEN_ROOT_SQUASH	0x2	/* uid 0 and gid 0 act as squash_uid and squash_gid */
#define FLINT_TOKEN_ALL_SQUASH	0x4	/* every uid and gid does */
#define FLINT_TOKEN_ADMIN	0x8	/* quotas, trash settings and project ids may be set */
#define FLINT_TOKEN_KNOWN	0xf

/**
 * struct flint_token - claims
 * @magic: FLINT_TOKEN_MAGIC
 * @version: FLINT_TOKEN_V1
 * @addr_family: 4 or 6: the client's address must be in the prefix; 0: any
 * @addr_bits: length of the prefix, 0..32 or 0..128
 * @reserved0: 0
 * @fixed_len: sizeof(struct flint_token); the path follows
 * @path_len: bytes of path; 0: the whole file system
 * @fs: file system id, never 0
 * @id: random, never 0; names the token when it is revoked
 * @issued: seconds since 1970
 * @expires: seconds since 1970, later than @issued; 0: never
 * @flags: FLINT_TOKEN_*
 * @squash_uid, @squash_gid: whom squashed requests act as; 0 without squash
 * @reserved1: 0
 * @addr: network order, IPv4 in the first 4 bytes; bits beyond the prefix are 0
 *
 * The path is relative to the file system's root: "a/b", components that are
 * neither empty nor "." nor "..", no NUL.
 */
struct flint_token {
	__le32 magic;
	__u8 version;
	__u8 addr_family;
	__u8 addr_bits;
	__u8 reserved0;
	__le16 fixed_len;
	__le16 path_len;
	__le32 fs;
	__le64 id;
	__le64 issued;
	__le64 expires;
	__le32 flags;
	__le32 squash_uid;
	__le32 squash_gid;
	__le32 reserved1;
	__u8 addr[16];
};

FLINT_ASSERT_SIZE(struct flint_token, 72);

#define FLINT_TOKEN_MAX	(sizeof(struct flint_token) + FLINT_TOKEN_PATH_MAX)

#define FLINT_PERMIT_S		60	/* seconds that one is good for */
#define FLINT_PERMIT_LABEL	"flint1-permit"
#define FLINT_PERMIT_LABEL_LEN	13
#define FLINT_PERMIT_MAC_LEN	16

/**
 * struct flint_permit - this token's clients may have an inode's data
 * @token: its id
 * @ino: the inode
 * @expires: seconds since 1970
 * @fs: file system id
 * @reserved: 0
 * @mac: HMAC-SHA256(cluster key, "flint1-permit" | all before @mac), its first
 *	bytes. To its holder it is opaque
 */
struct flint_permit {
	__le64 token;
	__le64 ino;
	__le64 expires;
	__le32 fs;
	__le32 reserved;
	__u8 mac[FLINT_PERMIT_MAC_LEN];
};

FLINT_ASSERT_SIZE(struct flint_permit, 48);

/* Why an AUTH was answered with FLINT_ST_AUTH: struct flint_auth_refusal. */
enum flint_auth_reason {
	FLINT_AUTH_WRONG_KEY	= 0,	/* or the token's secret is not that of its claims */
	FLINT_AUTH_EXPIRED	= 1,
	FLINT_AUTH_ADDRESS	= 2,	/* the client's is outside the token's prefix */
	FLINT_AUTH_REVOKED	= 3,
	FLINT_AUTH_ROLE		= 4,	/* not a client */
	FLINT_AUTH_NOT_KNOWN	= 5,	/* a version or claim that the server does not know */
	FLINT_AUTH_LATER	= 6,	/* with FLINT_ST_SHUTDOWN: the server just started */
};

/* Body of such an answer; a shorter one, of older servers, means 0. */
struct flint_auth_refusal {
	__le32 reason;			/* enum flint_auth_reason */
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_auth_refusal, 8);

static inline const char *flint_token_path(const struct flint_token *t)
{
	return (const char *)(t + 1);
}

static inline u32 flint_token_len(const struct flint_token *t)
{
	return (u32)sizeof(*t) + le16_to_cpu(t->path_len);
}

/* "a/b": no empty component, no "." and "..", no NUL. */
static inline bool flint_token_path_ok(const char *p, u32 len)
{
	u32 i, start = 0;

	if (!len)
		return true;
	for (i = 0; i <= len; i++) {
		if (i < len && p[i] != '/') {
			if (!p[i])
				return false;
			continue;
		}
		if (i == start || (i - start == 1 && p[start] == '.') ||
		    (i - start == 2 && p[start] == '.' && p[start + 1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

static inline bool flint_token_addr_clean(const struct flint_token *t)
{
	u32 i, bits = t->addr_bits;

	if (t->addr_family != 0 && t->addr_family != 4 && t->addr_family != 6)
		return false;
	if (bits > (t->addr_family == 4 ? 32u : t->addr_family == 6 ? 128u : 0u))
		return false;
	for (i = 0; i < 16; i++) {
		u32 kept = bits > i * 8 ? bits - i * 8 : 0;
		u8 mask = kept >= 8 ? 0 : (u8)(0xff >> kept);

		if (t->addr[i] & mask)
			return false;
	}
	return true;
}

/**
 * flint_token_check() - check claims, from the network or from a file
 * @buf: 8-byte aligned
 * @len: bytes, exactly the token's
 *
 * Return: 0, -EPROTONOSUPPORT for a version, a size or a flag that is not
 * known here, -EPROTO for anything else malformed.
 */
static inline int flint_token_check(const void *buf, u32 len)
{
	const struct flint_token *t = buf;
	u32 flags;

	if (len < 8 || t->magic != cpu_to_le32(FLINT_TOKEN_MAGIC))
		return -EPROTO;
	if (t->version != FLINT_TOKEN_V1)
		return -EPROTONOSUPPORT;
	if (len < sizeof(*t) || len > FLINT_TOKEN_MAX ||
	    le16_to_cpu(t->fixed_len) != sizeof(*t) || len != flint_token_len(t))
		return -EPROTO;
	flags = le32_to_cpu(t->flags);
	if (flags & ~(u32)FLINT_TOKEN_KNOWN)
		return -EPROTONOSUPPORT;
	if (!(flags & (FLINT_TOKEN_ROOT_SQUASH | FLINT_TOKEN_ALL_SQUASH)) &&
	    (t->squash_uid || t->squash_gid))
		return -EPROTO;
	if (t->reserved0 || t->reserved1 || !t->fs || !t->id ||
	    (t->expires && le64_to_cpu(t->expires) <= le64_to_cpu(t->issued)) ||
	    !flint_token_addr_clean(t) ||
	    !flint_token_path_ok(flint_token_path(t), le16_to_cpu(t->path_len)))
		return -EPROTO;
	return 0;
}

/* Is this address in the token's prefix? @addr: network order, @family: 4 or 6. */
static inline bool flint_token_addr_in(const struct flint_token *t, u8 family, const u8 *addr)
{
	u32 i, bits = t->addr_bits;

	if (!t->addr_family)
		return true;
	if (t->addr_family != family)
		return false;
	for (i = 0; bits; i++) {
		u32 n = bits < 8 ? bits : 8;

		if ((t->addr[i] ^ addr[i]) & (u8)(0xff << (8 - n)))
			return false;
		bits -= n;
	}
	return true;
}

/* @now: seconds since 1970. */
static inline bool flint_token_expired(const struct flint_token *t, u64 now)
{
	return t->expires && now >= le64_to_cpu(t->expires);
}

/**
 * flint_token_covers() - is a path in the token's subtree?
 * @path: relative to the file system's root, checked components, no slash at
 *	either end
 * @len: bytes
 */
static inline bool flint_token_covers(const struct flint_token *t, const char *path, u32 len)
{
	u32 n = le16_to_cpu(t->path_len);

	return len >= n && !memcmp(path, flint_token_path(t), n) &&
	       (!n || len == n || path[n] == '/');
}

#endif /* _UAPI_FLINTFS_TOKEN_H */
