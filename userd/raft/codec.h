/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the core to and from their wire form (uapi/flintfs/raft.h).
 * Pure: no I/O. Everything received is checked here before the core sees it.
 */
#ifndef FLINT_RAFT_CODEC_H
#define FLINT_RAFT_CODEC_H

#include "../../uapi/flintfs/codec.h"
#include "../../uapi/flintfs/raft.h"
#include "db.h"
#include "raft.h"

/* Body of a message; nr and crc of its entries are filled in by the caller. */
void flint_raft_msg_encode(struct flint_raft_msg *w, const struct raft_msg *m, u64 group,
			   const struct flint_addr *addr);

/**
 * flint_raft_msg_decode() - check a body
 * @w: result as it travelled
 * @m: result; entries are not set, nr is
 * Return: 0 or -EPROTO.
 */
int flint_raft_msg_decode(struct flint_raft_msg *w, struct raft_msg *m, const void *body, u32 len);

/* Bytes that an entry takes in a payload. */
static inline u32 flint_raft_ent_room(u32 len)
{
	return sizeof(struct flint_raft_ent_hdr) + ((len + 7) & ~7u);
}

/* Append an entry to a payload. Return: bytes. */
u32 flint_raft_ent_encode(u8 *out, const struct flint_raft_ent *e);

/**
 * flint_raft_ents_decode() - entries of a payload
 * @first: index of the first one
 * @nr: how many there must be, FLINT_RAFT_MSG_ENTS at most
 * @ents: room for @nr; result: one reference each
 * Return: 0, -EPROTO (nothing is left in @ents), -ENOMEM.
 */
int flint_raft_ents_decode(const u8 *data, u32 len, u32 crc, u64 first, u32 nr,
			   struct flint_raft_ent **ents);

/* What a member's raft_member.info holds. */
struct flint_raft_info {
	char name[FLINT_LABEL_LEN];
	struct flint_addr addr;
};

void flint_raft_info_encode(struct raft_member *m, const char *name, const struct flint_addr *addr);
/* Anything that does not make sense becomes an unknown name or address. */
void flint_raft_info_decode(const struct raft_member *m, struct flint_raft_info *info);

#endif /* FLINT_RAFT_CODEC_H */
