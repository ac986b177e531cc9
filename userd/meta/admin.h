/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads that look at the state itself: what a session may read at all, and the
 * reading operations of administration. On the thread that applies commands.
 */
#ifndef FLINT_META_ADMIN_H
#define FLINT_META_ADMIN_H

#include "access.h"
#include "trash.h"
#include "usage.h"

#define META_ADMIN_REP	128	/* bytes of body that an answer has at most */

/**
 * meta_read_may() - may this session read this inode in this way?
 * @tail: credentials end @body (FLINT_F_CRED)
 * @op: LOOKUP and READDIR (of a directory), GETATTR, READLINK, GETXATTR, LISTXATTR, STATFS
 * @body, @len: of the request; in: with, out: without the credentials
 * @now: ns since the epoch
 *
 * Reads that do not say who asks are bounded by the session alone.
 *
 * Return: 0, ESTALE (no such inode here), EACCES, ENODATA, EOPNOTSUPP,
 * FLINT_ST_AUTH (the token ended), -EPROTO (malformed) or -errno.
 */
int meta_read_may(struct meta_store *s, struct meta_session *sn, bool tail, u16 op,
		  const void *body, u32 *len, u64 now);

/* May the answer have a payload? */
bool meta_admin_paged(u16 op, const void *body, u32 len);
/**
 * meta_admin_read() - DIRSTAT, QUOTA_GET, QUOTA_LIST, TRASH_LIST, RMTREE_STAT
 * @tail, @op, @body, @len: of the request
 * @buf, @room: for the payload
 * @used: result: bytes of it
 * @rep: META_ADMIN_REP / 8 words for the answer's body
 * @rep_len: result
 *
 * Return: 0, a status, -EPROTO (malformed) or -errno.
 */
int meta_admin_read(struct meta_store *s, struct meta_session *sn, bool tail, u16 op,
		    const void *body, u32 len, u64 now, u8 *buf, u32 room, u32 *used,
		    u64 *rep, u32 *rep_len);

#endif /* FLINT_META_ADMIN_H */
