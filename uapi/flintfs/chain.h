/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Replication between chunk servers: the messages that pass along a chain, and
 * those that bring a returning target up to date. Documentation/replication.rst
 * has the rules; this file defines the bytes.
 *
 * Every request names chain, chain version and the target that is meant, and is
 * accepted from servers of the cluster only (role CHUNK).
 */
#ifndef _UAPI_FLINTFS_CHAIN_H
#define _UAPI_FLINTFS_CHAIN_H

#include "wire.h"

enum flint_forward_kind {
	FLINT_FWD_WRITE		= 1,	/* io's range becomes the payload */
	FLINT_FWD_PUNCH		= 2,	/* io's range becomes zeros, no payload */
	FLINT_FWD_WHOLE		= 3,	/* the chunk becomes what follows, whatever it was */
	FLINT_FWD_DROP		= 4,	/* the chunk is not there */
	FLINT_FWD_CLONE		= 5,	/* it becomes what another one is: flint_forward_clone */
};

/*
 * WHOLE: a chunk larger than one request comes in pieces, in order. FIRST makes
 * it empty, LAST gives it its version: what is interrupted in between has
 * version 0 and is sent again.
 */
#define FLINT_FWD_FIRST		0x1
#define FLINT_FWD_LAST		0x2
#define FLINT_FWD_SYNC		0x4	/* made by recovery or repair, not by a client's request */

/**
 * struct flint_forward - a change that the sender has on stable storage
 * @io: as in the client's request, but chain_ver is the sender's and target the
 *	receiver; with FLINT_IO_CRC crc covers the payload
 * @client, @session, @seq, @seq_low: the client's request, for the result
 *	window; all 0 with FLINT_FWD_SYNC
 * @version: of the chunk after the change
 * @tag: identity of that version: hash of (client, session, seq). The same
 *	version with another tag is another history (rule R3)
 * @prev_version, @prev_tag: what the change was made upon; 0: nothing was there
 * @from: target of the sender, the receiver's predecessor
 * @kind: enum flint_forward_kind
 * @flags: FLINT_FWD_*
 * @size: bytes of the chunk that exist after the change
 * @print: fingerprint of the client's request, for the result window
 */
struct flint_forward {
	struct flint_io io;
	__u8 client[16];
	__le64 session;
	__le64 seq;
	__le64 seq_low;
	__le64 version;
	__le64 tag;
	__le64 prev_version;
	__le64 prev_tag;
	__le32 from;
	__u8 kind;
	__u8 flags;
	__le16 reserved;
	__le32 size;
	__le32 print;
};

FLINT_ASSERT_SIZE(struct flint_forward, 144);

/**
 * struct flint_forward_clone - FLINT_FWD_CLONE: no payload, io's range is empty
 * @src_ino, @src_gen, @src_epoch, @src_index: as in the client's CLONE
 * @src_version, @src_tag: of the chunk that was cloned; 0: there was none. A
 *	receiver whose source is at anything else answers FLINT_ST_NEED_WHOLE; one
 *	that does not know this kind answers FLINT_ST_BAD_REQUEST: both get a copy
 */
struct flint_forward_clone {
	struct flint_forward fwd;
	__le64 src_ino;
	__le64 src_version;
	__le64 src_tag;
	__le32 src_gen;
	__le32 src_epoch;
	__le32 src_index;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_forward_clone, 184);

/**
 * struct flint_forward_rep - the receiver and all behind it have the change
 * @version, @tag: of the receiver's chunk; with FLINT_ST_NEED_WHOLE and
 *	FLINT_ST_CONFLICT what it has instead
 * @room: bytes that may still be allocated, the least of the receiver and of
 *	all behind it: the head refuses growth before any of them is full
 */
struct flint_forward_rep {
	__le64 version;
	__le64 tag;
	__le64 room;
};

FLINT_ASSERT_SIZE(struct flint_forward_rep, 24);

/* ---- recovery ----------------------------------------------------------- */

enum flint_sync_op {
	FLINT_SYNC_BEGIN	= 1,	/* a session for this chain version begins */
	FLINT_SYNC_SUMS		= 2,	/* -> data: FLINT_SYNC_RANGES x __le64 */
	FLINT_SYNC_CHUNKS	= 3,	/* of a range, after a cursor -> data: flint_sync_chunk[] */
	FLINT_SYNC_INODES	= 4,	/* data: flint_sync_inode[]: take the newer of each field */
	FLINT_SYNC_CLIENTS	= 5,	/* data: flint_sync_client[] with their results: merge */
	FLINT_SYNC_DONE		= 6,	/* nothing differs: the target is up to date */
};

/* Chunks are grouped by the top bits of the hash of (fs, ino, index). */
#define FLINT_SYNC_RANGE_BITS	12
#define FLINT_SYNC_RANGES	(1u << FLINT_SYNC_RANGE_BITS)

/**
 * struct flint_sync - the predecessor speaks to a SYNCING target
 * @op: enum flint_sync_op
 * @range: CHUNKS: which
 * @cursor: CHUNKS: 0, or from the reply before
 * @max_len: room for the reply's data
 * @nr: records in the request's data
 */
struct flint_sync {
	__le32 chain;
	__le32 chain_ver;
	__le32 target;
	__le32 from;
	__le32 op;
	__le32 range;
	__le64 cursor;
	__le32 max_len;
	__le32 nr;
};

FLINT_ASSERT_SIZE(struct flint_sync, 40);

struct flint_sync_rep {
	__le64 cursor;			/* CHUNKS: go on from here; 0: the range is done */
	__le32 nr;			/* records in the reply's data */
	__le32 reserved;
	__le64 chunks;			/* BEGIN: chunks and bytes that the target has */
	__le64 bytes;
};

FLINT_ASSERT_SIZE(struct flint_sync_rep, 32);

struct flint_sync_chunk {
	__le64 ino;
	__le32 fs;
	__le32 index;
	__le64 version;
	__le64 tag;
	__le32 gen;
	__le32 size;
	__le64 crcs;			/* hash of its checksums, 0: not told */
};

FLINT_ASSERT_SIZE(struct flint_sync_chunk, 48);

struct flint_sync_inode {
	__le64 ino;
	__le32 fs;
	__le32 gen;
	__le32 epoch;
	__le32 cut_epoch;
	__le32 flags;			/* FLINT_CUT_REMOVE: a tombstone */
	__le32 reserved;
	__le64 stamp_s;
};

FLINT_ASSERT_SIZE(struct flint_sync_inode, 40);

/* Followed by @nr struct flint_sync_result. */
struct flint_sync_client {
	__u8 client[16];
	__le64 session;
	__le64 seq_low;
	__le64 stamp_s;
	__le32 nr;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_sync_client, 48);

struct flint_sync_result {
	__le64 seq;
	__le64 version;
	__le32 print;
	__le32 length;
};

FLINT_ASSERT_SIZE(struct flint_sync_result, 24);

/**
 * struct flint_chunk_get - a chunk as it stands, for repair and comparison
 * @offset, @length: part of it; a request of length 0 asks for the state only
 *
 * Answered at once, also while a change of the chunk is on its way: the version
 * and tag in the reply say what it is of.
 */
struct flint_chunk_get {
	__le32 chain;
	__le32 chain_ver;		/* 0: any, for tools that compare */
	__le32 target;
	__le32 fs;
	__le64 ino;
	__le32 index;
	__le32 offset;
	__le32 length;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_chunk_get, 40);

/* Followed by nr_crc __le32, as in struct flint_io_rep. */
struct flint_chunk_got {
	__le64 version;			/* 0: there is none */
	__le64 tag;
	__le32 gen;
	__le32 size;
	__le32 length;			/* sent */
	__u8 chunk_shift;
	__u8 crc_shift;
	__le16 nr_crc;
	__le64 crcs;			/* as in struct flint_sync_chunk; 0: not told */
	__le32 state;			/* enum flint_target_state the answerer knows of itself */
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_chunk_got, 48);

/* ---- scrub: reading everything to see whether it is still what was written -- */

enum flint_scrub_op {
	FLINT_SCRUB_STATUS	= 0,
	FLINT_SCRUB_START	= 1,	/* a full pass now, from the first chunk on */
	FLINT_SCRUB_STOP	= 2,	/* none until started again, or the server is */
};

/**
 * struct flint_scrub - an operator speaks to one target's scrub (role TOOL or MGR)
 * @op: enum flint_scrub_op
 * @after: findings with a number above this one are listed
 * @max_len: room for them in the reply's data
 */
struct flint_scrub {
	__le32 target;
	__le32 op;
	__le64 after;
	__le32 max_len;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_scrub, 24);

enum flint_scrub_state {
	FLINT_SCRUB_IDLE	= 0,	/* the next pass begins at next_s */
	FLINT_SCRUB_RUNNING	= 1,
	FLINT_SCRUB_STOPPED	= 2,
	FLINT_SCRUB_HELD	= 3,	/* the target does not serve: nothing to compare with */
};

/**
 * struct flint_scrub_rep - state of a target's scrub; findings are the data
 * @state: enum flint_scrub_state
 * @nr: struct flint_scrub_found records in the data
 * @done, @total: bytes of this pass
 * @chunks: read in this pass
 * @began_s, @ended_s, @next_s: seconds since 1970: this pass (or the last one)
 *	began; the last complete one ended; the next begins. 0: none
 * @errors: bad checksums met since the server started, by whoever read
 * @repaired, @lost: of them
 * @period_s: a pass begins so long after the one before; 0: never by itself
 * @rate: bytes/s at most
 */
struct flint_scrub_rep {
	__le32 state;
	__le32 nr;
	__le64 done;
	__le64 total;
	__le64 chunks;
	__le64 began_s;
	__le64 ended_s;
	__le64 next_s;
	__le64 errors;
	__le64 repaired;
	__le64 lost;
	__le64 period_s;
	__le64 rate;
};

FLINT_ASSERT_SIZE(struct flint_scrub_rep, 96);

enum flint_scrub_result {
	FLINT_FOUND_OPEN	= 0,	/* being worked on */
	FLINT_FOUND_REPAIRED	= 1,
	FLINT_FOUND_LOST	= 2,	/* no replica has it: reads end with EIO */
	FLINT_FOUND_GONE	= 3,	/* changed or removed before it was repaired */
};

/* What a target says of itself. */
enum flint_own {
	FLINT_OWN_SUPER		= 0,
	FLINT_OWN_LOG		= 1,
	FLINT_OWN_CHECKPOINT	= 2,
	FLINT_OWN_NR,
};

/**
 * struct flint_scrub_found - bytes of a chunk that were not what had been written
 * @nr: counts up since the server started
 * @ino: 0: not a chunk's, but the target's own: @index is enum flint_own, and @offset
 *	counts pages of 4 KiB of the device; @fs and @length are 0
 * @offset: in the chunk
 */
struct flint_scrub_found {
	__le64 nr;
	__le64 ino;
	__le32 fs;
	__le32 index;
	__le32 offset;
	__le32 length;
	__le64 when_s;
	__le32 result;			/* enum flint_scrub_result */
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_scrub_found, 48);

/* ---- targets of a running server ----------------------------------------- */

enum flint_target_ctl_op {
	FLINT_TCTL_LIST		= 1,	/* all targets, or @target: data: flint_target_info[] */
	FLINT_TCTL_ATTACH	= 2,	/* open @path and serve it */
	FLINT_TCTL_DETACH	= 3,	/* close @target: it goes offline and is forgotten */
	FLINT_TCTL_FORMAT	= 4,	/* make @path the target @target, then attach it */
};

#define FLINT_TCTL_FORCE	0x1	/* FORMAT: whatever is there is lost */

/**
 * struct flint_target_ctl - targets come and go while the server runs; path follows
 * @op: enum flint_target_ctl_op
 * @target: LIST: 0 for all
 * @flags: FLINT_TCTL_*
 * @max_len: room for the reply's data
 * @size: FORMAT: bytes; 0: all there is
 * @crc_shift: FORMAT: log2 of the checksum block; 0: default
 * @path_len: of a file or device below a directory that the server was allowed
 *	to take targets from
 *
 * From managers and tools only.
 */
struct flint_target_ctl {
	__le32 fixed_len;
	__le32 op;
	__le32 target;
	__le32 flags;
	__le64 size;
	__le32 max_len;
	__le16 path_len;
	__u8 crc_shift;
	__u8 reserved;
};

FLINT_ASSERT_SIZE(struct flint_target_ctl, 32);

/**
 * struct flint_target_ctl_rep - what became of it; the data are records or one sentence
 * @error: 0, or an errno: the data are then a sentence that says why (no NUL)
 * @nr: LIST, ATTACH, FORMAT: struct flint_target_info records in the data
 */
struct flint_target_ctl_rep {
	__le32 error;
	__le32 nr;
};

FLINT_ASSERT_SIZE(struct flint_target_ctl_rep, 8);

/* struct flint_target_info.flags */
#define FLINT_TINFO_BLOCK	0x1	/* a block device */
#define FLINT_TINFO_VOLATILE	0x2	/* its cache is volatile: writes are flushed */
#define FLINT_TINFO_OFFLINE	0x4	/* given up; the message says why */

/* Followed by the path and then a message, without NUL; rec_len is a multiple of 8. */
struct flint_target_info {
	__le32 target;
	__le32 flags;
	__u8 uuid[16];
	__le64 capacity;
	__le64 used;
	__le64 memory;			/* bytes that its index takes */
	__le32 chunks;
	__le32 io_errors;
	__le16 rec_len;
	__le16 path_len;
	__le16 msg_len;
	__u8 crc_shift;
	__u8 block_shift;
};

FLINT_ASSERT_SIZE(struct flint_target_info, 64);

#endif /* _UAPI_FLINTFS_CHAIN_H */
