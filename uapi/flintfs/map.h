/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * The cluster map: what a client must know to find servers and chunks.
 *
 * The image that MAP_GET returns is a struct flint_map_hdr followed by its
 * sections, in this order and without gaps:
 *
 *	flint_map_node[nr_nodes]	sorted by id
 *	flint_map_target[nr_targets]	sorted by id
 *	flint_map_chain[nr_chains]	sorted by id
 *	flint_map_table[nr_tables]	sorted by (id, version)
 *	flint_map_fs[nr_fs]		sorted by id
 *	__le64 revoked[nr_revoked]	ids of tokens (token.h), sorted
 *	__le32 chain_ids[nr_table_chains]
 *
 * A table names its chains as a range of chain_ids. All ids are 1 or more.
 * The sender guarantees order and ranges; flint_map_check() (codec.h) checks
 * all of it before anything is used.
 */
#ifndef _UAPI_FLINTFS_MAP_H
#define _UAPI_FLINTFS_MAP_H

#include "wire.h"

#define FLINT_MAP_MAGIC		0x504d4c46u	/* "FLMP" */
#define FLINT_MAP_VERSION	1
#define FLINT_MAP_MAX_LEN	(16u << 20)
#define FLINT_CHAIN_MAX		8		/* replicas */

struct flint_map_hdr {
	__le32 magic;
	__le16 version;
	__le16 hdr_len;			/* sizeof(struct flint_map_hdr) of the sender */
	__le64 epoch;
	__u8 cluster_id[16];
	__u8 cluster_name[FLINT_LABEL_LEN];
	__le32 total_len;
	__le32 nr_nodes;
	__le32 nr_targets;
	__le32 nr_chains;
	__le32 nr_tables;
	__le32 nr_fs;
	__le32 nr_table_chains;
	__le32 lease_ms;		/* T of the chunk servers */
	__le32 crc;			/* CRC-32C of the image with this field 0 */
	__le32 nr_revoked;
	__le64 tokens_from;		/* tokens issued before this second are refused */
};

FLINT_ASSERT_SIZE(struct flint_map_hdr, 144);

enum flint_node_state {
	FLINT_NODE_NEW		= 0,	/* registered, never heard of */
	FLINT_NODE_UP		= 1,
	FLINT_NODE_DOWN		= 2,	/* silent for T or longer */
};

struct flint_map_node {
	__le32 id;
	__u8 role;			/* enum flint_role */
	__u8 state;			/* enum flint_node_state */
	__le16 reserved;
	__u8 name[FLINT_LABEL_LEN];
	struct flint_addr addrs[FLINT_NODE_ADDRS];
};

FLINT_ASSERT_SIZE(struct flint_map_node, 168);

/* What a chunk server says of its own target. */
enum flint_local_state {
	FLINT_LOCAL_OFFLINE	= 0,
	FLINT_LOCAL_ONLINE	= 1,
	FLINT_LOCAL_UPTODATE	= 2,
};

/* What the managers say of a target's part in its chain. */
enum flint_target_state {
	FLINT_TARGET_OFFLINE	= 0,
	FLINT_TARGET_WAITING	= 1,
	FLINT_TARGET_SYNCING	= 2,
	FLINT_TARGET_LASTSRV	= 3,
	FLINT_TARGET_SERVING	= 4,
};

struct flint_map_target {
	__le32 id;
	__le32 node;
	__le32 chain;			/* 0: in no chain */
	__u8 state;			/* enum flint_target_state */
	__u8 reserved[3];
	__le64 capacity;
	__le64 used;
};

FLINT_ASSERT_SIZE(struct flint_map_target, 32);

struct flint_map_chain {
	__le32 id;
	__le32 version;			/* grows with every change of order or state */
	__u8 nr;			/* targets, head first */
	__u8 reserved[7];
	__le32 targets[FLINT_CHAIN_MAX];
};

FLINT_ASSERT_SIZE(struct flint_map_chain, 48);

struct flint_map_table {
	__le32 id;
	__le32 version;
	__le32 first;			/* index into chain_ids */
	__le32 nr;			/* 1 or more */
};

FLINT_ASSERT_SIZE(struct flint_map_table, 16);

struct flint_map_fs {
	__le32 id;
	__le32 meta_node;		/* id of the metadata server, more of them later */
	__le64 root_ino;
	__u8 name[FLINT_LABEL_LEN];
	struct flint_layout layout;	/* default of the root directory */
};

FLINT_ASSERT_SIZE(struct flint_map_fs, 104);

#endif /* _UAPI_FLINTFS_MAP_H */
