/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * The wire protocol between the replicas of a Raft group (of metadata, of the
 * managers' state), and of operators with a replica. Documentation/raft.rst
 * explains it.
 *
 * RAFT_MSG carries one message of the Raft core; its reply carries one that
 * goes the other way, if there is one by then. RAFT_SNAP carries a piece of a
 * snapshot. Requests of replicas come from roles META and MGR, those of
 * operators from MGR and TOOL; all others are refused.
 */
#ifndef _UAPI_FLINTFS_RAFT_H
#define _UAPI_FLINTFS_RAFT_H

#include "map.h"

/* enum flint_op, 0x50-0x5f */
/* flint_raft_msg, data: flint_raft_ent[] -> flint_raft_msg */
#define FLINT_OP_RAFT_MSG	0x50
/* flint_raft_snap, data: conf or bytes -> flint_raft_snap_rep */
#define FLINT_OP_RAFT_SNAP	0x51
#define FLINT_OP_RAFT_STATUS	0x52	/* - -> flint_raft_stat, data: flint_raft_stat_member[] */
#define FLINT_OP_RAFT_CHANGE	0x53	/* flint_raft_change_req -> flint_raft_change_rep */
#define FLINT_OP_RAFT_JOIN	0x54	/* flint_raft_join_req -> flint_raft_join_rep */

/**
 * struct flint_raft_msg - a message of the Raft core
 * @group: a replica in no group takes this one when the message names it as @to
 * @addr: where the sender serves; family 0: as the peer is seen, with this port
 * @type: of message, 0..RAFT_MSG_TYPES - 1
 * @nr: entries in the payload
 * @crc: CRC-32C of the payload
 * All others are explained by the core. A reply's body is another message, or empty.
 */
struct flint_raft_msg {
	__le64 group;
	__le64 from;
	__le64 to;
	__le64 term;
	__le64 index;
	__le64 log_term;
	__le64 commit;
	__le64 round;
	__le64 hint;
	__le64 hint_term;
	__u8 type;
	__u8 reject;
	__u8 force;
	__u8 reserved0;
	__le32 nr;
	__le32 crc;
	__le32 reserved1;
	struct flint_addr addr;
};

FLINT_ASSERT_SIZE(struct flint_raft_msg, 120);

#define FLINT_RAFT_MSG_TYPES	11
#define FLINT_RAFT_ENT_KINDS	3	/* data, no-op, configuration */
#define FLINT_RAFT_MSG_ENTS	1024	/* in one message, at most */

/* An entry in a message's payload; its bytes follow, padded with zeros to 8. */
struct flint_raft_ent_hdr {
	__le64 term;
	__le32 len;
	__u8 kind;
	__u8 reserved[3];
};

FLINT_ASSERT_SIZE(struct flint_raft_ent_hdr, 16);

/**
 * struct flint_raft_snap - a piece of a snapshot
 * @term: the leader's
 * @index, @snap_term: last entry that the snapshot holds
 * @id: random, of this file; a transfer of the same file goes on where it stopped
 * @total: bytes of the file
 * @offset: of this piece; one without data asks how much is there, or, at
 *	@offset == @total, to check and install it
 * @crc: of the piece; of the whole file in the last request
 * @conf_len: the payload is the encoded configuration at @index, of so many bytes: only
 *	in the first request, which asks
 */
struct flint_raft_snap {
	__le32 fixed_len;
	__le32 conf_len;
	__le64 group;
	__le64 from;
	__le64 to;
	__le64 term;
	__le64 index;
	__le64 snap_term;
	__le64 id;
	__le64 total;
	__le64 offset;
	__le32 crc;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_raft_snap, 88);

/* With status OK. RETRY: is being installed, ask again. ESTALE: not wanted. */
struct flint_raft_snap_rep {
	__le64 offset;			/* bytes that are there */
	__le32 installed;		/* 1: it is the state now */
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_raft_snap_rep, 16);

/**
 * struct flint_raft_stat - a replica says how it is
 * @change_state: enum flint_raft_change_state of the membership change that runs
 *	or ran last on this leader
 * @change_seq: number of that change, from 1; 0: none since the start
 * @change_err: errno when FAILED
 * @change_cur, @change_total: progress in bytes or entries
 * @change_text: phase, or why it failed
 */
struct flint_raft_stat {
	__le64 id;
	__le64 group;
	__le64 term;
	__le64 leader;
	__le64 first;
	__le64 last;
	__le64 commit;
	__le64 applied;
	__le64 durable;
	__u8 role;			/* enum flint_replica_role */
	__u8 flags;			/* FLINT_RAFT_STAT_* */
	__u8 nr_members;		/* flint_raft_stat_member records as data */
	__u8 change_state;
	__le32 change_err;
	__le64 change_seq;
	__le64 change_cur;
	__le64 change_total;
	__u8 change_text[128];
	__le64 log_bytes;
	__le64 entries;
	__le64 syncs;
	__le64 elections;
	__le64 fsync_us_avg;
	__le64 fsync_us_max;
};

FLINT_ASSERT_SIZE(struct flint_raft_stat, 280);

#define FLINT_RAFT_STAT_READY	0x1	/* leads and may serve */
#define FLINT_RAFT_STAT_REMOVED	0x2

enum flint_raft_change_state {
	FLINT_CHANGE_NONE	= 0,
	FLINT_CHANGE_RUNNING	= 1,
	FLINT_CHANGE_DONE	= 2,
	FLINT_CHANGE_FAILED	= 3,
};

struct flint_raft_stat_member {
	__le64 id;
	__u8 name[FLINT_LABEL_LEN];
	struct flint_addr addr;
	__u8 flags;			/* FLINT_RAFT_MEMBER_* */
	__u8 reserved[7];
	__le64 match;			/* leader only, like what follows */
	__le64 contact_ms;		/* since its last answer; ~0: never */
	__le64 snap_sent;
	__le64 snap_total;
};

FLINT_ASSERT_SIZE(struct flint_raft_stat_member, 136);

#define FLINT_RAFT_MEMBER_VOTER		0x1
#define FLINT_RAFT_MEMBER_SELF		0x2
#define FLINT_RAFT_MEMBER_LEADER	0x4

enum flint_raft_change_op {
	FLINT_CHANGE_ADD	= 0,	/* what serves at @addr, named @name */
	FLINT_CHANGE_REMOVE	= 1,	/* member @id, or if 0 the one named @name */
	FLINT_CHANGE_REPLACE	= 2,	/* both: adds first, then removes */
	FLINT_CHANGE_TRANSFER	= 3,	/* leadership, to @id, @name, or if neither the best */
};

/*
 * Starts a change on the leader and answers at once: OK with its number, EBUSY
 * (one is running), NOT_LEADER with flint_leader_hint. RAFT_STATUS tells how it
 * goes on.
 */
struct flint_raft_change_req {
	__u8 op;			/* enum flint_raft_change_op */
	__u8 reserved[7];
	__le64 id;
	__u8 name[FLINT_LABEL_LEN];
	struct flint_addr addr;
};

FLINT_ASSERT_SIZE(struct flint_raft_change_req, 104);

struct flint_raft_change_rep {
	__le64 seq;
};

FLINT_ASSERT_SIZE(struct flint_raft_change_rep, 8);

/*
 * A replica in no group asks any member to be added. OK: the leader does it
 * (it adds the replica as a learner and makes it a voter when it has caught
 * up). NOT_LEADER with flint_raft_join_rep: ask there.
 */
struct flint_raft_join_req {
	__le64 id;
	__u8 name[FLINT_LABEL_LEN];
	struct flint_addr addr;		/* family 0: as the peer is seen, with this port */
};

FLINT_ASSERT_SIZE(struct flint_raft_join_req, 96);

struct flint_raft_join_rep {
	__le64 group;
	struct flint_addr leader;	/* family 0: not known */
};

FLINT_ASSERT_SIZE(struct flint_raft_join_rep, 32);

#endif /* _UAPI_FLINTFS_RAFT_H */
