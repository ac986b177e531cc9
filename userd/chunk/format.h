/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chunk store's format on a target (a regular file or a block device).
 * Documentation/chunk-store.rst describes it byte by byte.
 *
 *	0		superblock, copy 0 (4 KiB)
 *	4 KiB		superblock, copy 1
 *	wal_off		write-ahead log, a ring of groups
 *	ckpt_off[0,1]	two checkpoint areas, used in turn
 *	data_off	nr_blocks allocation blocks of 1 << block_shift bytes
 *
 * All integers are little-endian, all offsets multiples of 4 KiB, every
 * structure that is read back carries a CRC-32C that begins with the target's
 * uuid, so that what an earlier format left behind is never taken for ours.
 * The superblock is written when a target is made, and once more when it meets
 * its first cluster.
 */
#ifndef FLINT_CHUNK_FORMAT_H
#define FLINT_CHUNK_FORMAT_H

#include "../../uapi/flintfs/placement.h"
#include "../../uapi/flintfs/wire.h"

#define FLINT_SB_MAGIC		0x314b4843544e4c46ull	/* "FLNTCHK1" */
#define FLINT_SB_VERSION	3	/* written where blocks are smaller than 2 allowed */
#define FLINT_SB_VERSION_OLDEST	2	/* 1 had no tags */
#define FLINT_SB_SIZE		4096u
#define FLINT_STORE_ALIGN	4096u

#define FLINT_BLOCK_SHIFT_MIN	12	/* allocation block: 4 KiB .. 64 KiB */
#define FLINT_BLOCK_SHIFT_V2	14	/* the least of version 2 */
#define FLINT_BLOCK_SHIFT_MAX	16
#define FLINT_CRC_SHIFT_MIN	12	/* checksum block: 4 KiB .. 64 KiB */
#define FLINT_CRC_SHIFT_MAX	16
#define FLINT_CRC_SHIFT_DEF	12
#define FLINT_TARGET_SIZE_MIN	(32ull << 20)

/**
 * struct flint_disk_super - 4 KiB with zeros behind
 * @crc: of the whole 4 KiB with this field 0
 * @size: bytes of the file or device that are used
 * @nr_blocks: allocation blocks from data_off on
 * @cluster: id of the cluster that the target belongs to; zeros: none yet
 */
struct flint_disk_super {
	__le64 magic;
	__le32 version;
	__le32 crc;
	__u8 uuid[16];
	__le32 target_id;
	__u8 block_shift;
	__u8 crc_shift;
	__u8 copy;
	__u8 reserved0;
	__le64 size;
	__le64 wal_off;
	__le64 wal_len;
	__le64 ckpt_off[2];
	__le64 ckpt_len;
	__le64 data_off;
	__le64 nr_blocks;
	__le64 created_s;
	__u8 cluster[16];
};
FLINT_ASSERT_SIZE(struct flint_disk_super, 128);

/* ---- write-ahead log ---------------------------------------------------- */

#define FLINT_WAL_MAGIC		0x4c574c46u	/* "FLWL" */

/**
 * struct flint_wal_group - begins a group, records follow
 * @crc: of uuid and @len bytes of the group with this field 0
 * @seq: 1 more than that of the group before it
 * @pos: where it begins, in bytes ever logged; its place is pos % wal_len
 * @len: bytes with this header; the next group begins at the next 4 KiB
 */
struct flint_wal_group {
	__le32 magic;
	__le32 crc;
	__le64 seq;
	__le64 pos;
	__le32 len;
	__le32 nr_recs;
};
FLINT_ASSERT_SIZE(struct flint_wal_group, 32);

/* Records of the log and of checkpoints; lengths are multiples of 8. */
enum flint_rec_type {
	FLINT_REC_CHUNK		= 1,	/* struct flint_rec_chunk */
	FLINT_REC_CUT		= 2,	/* struct flint_rec_cut */
	FLINT_REC_ZEROED	= 3,	/* struct flint_rec_zeroed */
	FLINT_REC_INODE		= 4,	/* struct flint_rec_inode: merged */
	FLINT_REC_CLIENT	= 5,	/* struct flint_rec_client: merged */
	FLINT_REC_RESULT	= 6,	/* struct flint_rec_result */
	FLINT_REC_DROP		= 7,	/* struct flint_rec_drop */
	FLINT_REC_FORGET	= 8,	/* struct flint_rec_hdr: chunks are all that is known */
};

struct flint_rec_hdr {
	__le16 type;
	__le16 flags;
	__le32 len;			/* of the record with this header */
};
FLINT_ASSERT_SIZE(struct flint_rec_hdr, 8);

#define FLINT_REC_SNAPSHOT	0x1	/* CHUNK: the whole state, not a change */
/*
 * CHUNK: replay carries it out whatever version the chunk is at, because it may
 * lower the version, or leaves it at 0. Later records of the chunk are in the log behind it.
 */
#define FLINT_REC_ALWAYS	0x2
#define FLINT_REC_EMPTY		0x4	/* CHUNK: the chunk is emptied first */
#define FLINT_REC_SHARED	0x8	/* CHUNK: names blocks that other chunks name too */

/**
 * struct flint_rec_origin - whose request it was, for the result window
 * @client: client id
 * @session: session epoch
 * @seq: of the request; 0: nobody waits for a result
 * @seq_low: that came with it
 * @print: fingerprint of the request
 * @length: of the result
 */
struct flint_rec_origin {
	__u8 client[16];
	__le64 session;
	__le64 seq;
	__le64 seq_low;
	__le32 print;
	__le32 length;
};
FLINT_ASSERT_SIZE(struct flint_rec_origin, 48);

/* A run of blocks of a chunk; dev 0: a hole, else number of the block + 1. */
struct flint_rec_ext {
	__le32 blk;
	__le32 dev;
	__le32 nr;
};
FLINT_ASSERT_SIZE(struct flint_rec_ext, 12);

/**
 * struct flint_rec_chunk - a chunk's map changes
 * @version: after the change; 0: a replacement that is not whole yet
 * @tag: identity of that version
 * @size: bytes of the chunk that exist after the change
 * @first_crc: checksum block that the first CRC belongs to
 * @keep: blocks from this one on are dropped
 * @nr_ext: flint_rec_ext records follow, in rising order
 * @nr_crc: then __le32 CRCs
 */
struct flint_rec_chunk {
	struct flint_rec_hdr h;
	__le64 ino;
	__le32 fs;
	__le32 gen;
	__le32 epoch;
	__le32 index;
	__le64 version;
	__le64 tag;
	__le32 size;
	__le32 first_crc;
	__le32 keep;
	__u8 shift;
	__u8 reserved[3];
	__le32 nr_ext;
	__le32 nr_crc;
	struct flint_rec_origin from;
};
FLINT_ASSERT_SIZE(struct flint_rec_chunk, 120);

/* One chunk is dropped, whatever it was; replay always does it again. */
struct flint_rec_drop {
	struct flint_rec_hdr h;
	__le64 ino;
	__le32 fs;
	__le32 index;
};
FLINT_ASSERT_SIZE(struct flint_rec_drop, 24);

/**
 * struct flint_rec_cut - chunks of an inode are dropped
 * @epoch: truncate epoch from then on
 * @first: chunks with this index or above are dropped; ~0: none
 */
struct flint_rec_cut {
	struct flint_rec_hdr h;
	__le64 ino;
	__le32 fs;
	__le32 gen;
	__le32 epoch;
	__le32 first;
	__le32 flags;			/* FLINT_CUT_REMOVE */
	__le32 reserved;
	__le64 stamp_s;			/* when, seconds since 1970 */
};
FLINT_ASSERT_SIZE(struct flint_rec_cut, 48);

/* The first @blocks allocation blocks have been written once. */
struct flint_rec_zeroed {
	struct flint_rec_hdr h;
	__le64 blocks;
};
FLINT_ASSERT_SIZE(struct flint_rec_zeroed, 16);

struct flint_rec_inode {
	struct flint_rec_hdr h;
	__le64 ino;
	__le32 fs;
	__le32 gen;
	__le32 epoch;
	__le32 cut_epoch;
	__le32 flags;			/* FLINT_CUT_REMOVE: a tombstone */
	__le32 reserved;
	__le64 stamp_s;
};
FLINT_ASSERT_SIZE(struct flint_rec_inode, 48);

/* One remembered result. */
struct flint_rec_seq {
	__le64 seq;
	__le64 version;
	__le32 print;
	__le32 length;
};
FLINT_ASSERT_SIZE(struct flint_rec_seq, 24);

struct flint_rec_client {
	struct flint_rec_hdr h;
	__u8 client[16];
	__le64 session;
	__le64 seq_low;
	__le64 stamp_s;
	__le32 nr;			/* flint_rec_seq records follow */
	__le32 reserved;
};
FLINT_ASSERT_SIZE(struct flint_rec_client, 56);

/* A request that changed nothing (a punch of nothing) but has a result. */
struct flint_rec_result {
	struct flint_rec_hdr h;
	__le64 version;
	struct flint_rec_origin from;
};
FLINT_ASSERT_SIZE(struct flint_rec_result, 64);

/* ---- checkpoint --------------------------------------------------------- */

#define FLINT_CKPT_MAGIC	0x50434c46u	/* "FLCP" */
#define FLINT_CKPT_SEG_MAGIC	0x53434c46u	/* "FLCS" */
#define FLINT_CKPT_SEG_SIZE	(256u << 10)

/**
 * struct flint_ckpt_head - first 4 KiB of an area; written last
 * @crc: of uuid and the 4 KiB with this field 0
 * @seq: of the checkpoint
 * @wal_seq: group from which the log is to be replayed
 * @wal_pos: and its position
 * @nr_segs: segments behind the header, each FLINT_CKPT_SEG_SIZE apart
 * @zeroed: as flint_rec_zeroed
 */
struct flint_ckpt_head {
	__le32 magic;
	__le32 crc;
	__le64 seq;
	__le64 wal_seq;
	__le64 wal_pos;
	__le64 nr_segs;
	__le64 zeroed;
};
FLINT_ASSERT_SIZE(struct flint_ckpt_head, 48);

/* Begins a segment; records follow up to len. */
struct flint_ckpt_seg {
	__le32 magic;
	__le32 crc;			/* of uuid and len bytes with this field 0 */
	__le64 seq;			/* of the checkpoint */
	__le64 nr;			/* number of the segment */
	__le32 len;
	__le32 reserved;
};
FLINT_ASSERT_SIZE(struct flint_ckpt_seg, 32);

#endif /* FLINT_CHUNK_FORMAT_H */
