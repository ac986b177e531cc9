/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chunk store of one target.
 *
 * Invariants
 *  - A store belongs to one thread; nothing here takes a lock.
 *  - Data is written to free blocks; one durable log record then switches the
 *    chunk's map. So a chunk holds old or new content, never a mixture, at
 *    every instant and after every crash.
 *  - The state in memory is what the durable log says: changes are applied when
 *    their group is durable, in the order of the log, by the same function that
 *    replays the log (apply.c).
 *  - One write per chunk is under way; others wait in the chunk's queue.
 *  - A block that a map gave up is free for use only when every read that began
 *    before has ended (the grace period in alloc.c).
 *  - All bytes of an allocated block beyond the chunk's size are zero.
 *  - Admission (generation, truncate epoch) is checked when a request arrives,
 *    after every wait, and immediately before its record is logged. So is
 *    op->check, the service's word on whether it may go on at all.
 *  - A change with op->durable is "held" from its record's being durable and
 *    applied until flint_sop_release(): the chunk stays its own, its entry in
 *    the result window stays "running", and reads of the chunk wait unless
 *    st->authority. Held changes of an inode end before a CUT of it begins.
 *    Documentation/replication.rst says why.
 *  - A REPAIR changes no byte that could be read: it does not wait for a held
 *    change but is its guest, because the change may be waiting for the repair.
 *    The change keeps the chunk until its guest has ended.
 *  - (version, tag) names a chunk's content: the tag is a hash of the request
 *    that made the version, or of the CUT and the tag before it.
 */
#ifndef FLINT_CHUNK_STORE_H
#define FLINT_CHUNK_STORE_H

#include <sys/uio.h>
#include "dev.h"
#include "alloc.h"
#include "share.h"
#include "index.h"
#include "wal.h"
#include "window.h"
#include "../../uapi/flintfs/chain.h"

#define FLINT_STORE_MAX_IO	(1u << 20)
/* Room a payload buffer needs beyond max_io: whole checksum blocks, alignment. */
#define FLINT_STORE_SLACK	(128u << 10)
#define FLINT_OP_MAX_RUNS	(FLINT_STORE_MAX_IO / (1u << FLINT_BLOCK_SHIFT_MIN) + 2)
#define FLINT_OP_MAX_CRC	(FLINT_STORE_MAX_IO / (1u << FLINT_CRC_SHIFT_MIN) + 9)

#define FLINT_STORE_READ_ERRORS	16	/* read errors after which the target is given up */

enum flint_sop_kind {
	FLINT_SOP_READ,
	FLINT_SOP_INODES,	/* data, length: struct flint_sync_inode[], merged (merge.c) */
	FLINT_SOP_CLIENTS,	/* data, length: struct flint_sync_client with results, merged */
	FLINT_SOP_WRITE,
	FLINT_SOP_PUNCH,
	FLINT_SOP_CUT,
	/*
	 * The chunk becomes the pieces that follow, whatever it was: @offset,
	 * @length and @data as WRITE (length may be 0), @whole = FLINT_FWD_FIRST
	 * and FLINT_FWD_LAST. LAST gives it @version, @tag and @size. An
	 * interrupted one has version 0 and reads as not there. The client's
	 * result (seq != 0) is remembered with LAST.
	 */
	FLINT_SOP_REPLACE,
	FLINT_SOP_DROP,		/* the chunk is not there */
	/*
	 * Blocks that a disk has spoilt: the range, whole allocation blocks or
	 * up to the chunk's size, becomes @data; @version and @tag, which the
	 * chunk must have (else FLINT_ST_NEED_WHOLE), stay.
	 */
	FLINT_SOP_REPAIR,
	FLINT_SOP_HOLD,		/* no change: own the chunk until flint_sop_release() */
	/*
	 * The chunk becomes what (@src_ino, @src_index) is, sharing its blocks;
	 * with given, @src_version and @src_tag are what that must be at.
	 */
	FLINT_SOP_CLONE,
	/*
	 * What clients were answered, and epochs and tombstones of inodes, are forgotten:
	 * another replica's memory replaces them. Of another history, or of another chain,
	 * they would have changes passed over that this chain makes.
	 */
	FLINT_SOP_FORGET,
};

/* The reply's body as it travels. */
struct flint_sop_rep {
	struct flint_io_rep io;
	__le32 crc[FLINT_OP_MAX_CRC];
};

/* A block at the edge of a range that is changed in part. */
struct flint_edge {
	bool used;
	bool read;		/* old content is read and kept in part */
	u32 blk;
	u8 *buf;
};

/**
 * struct flint_sop - an operation on the store
 *
 * The caller fills the first part and keeps the memory until done.
 * READ: data/room is memory for the covering checksum blocks, aligned to
 * FLINT_STORE_ALIGN. WRITE, REPLACE, REPAIR: data holds the payload, at an address
 * that is offset modulo FLINT_STORE_ALIGN; nothing of it is changed.
 *
 * @given: a predecessor's change: version, tag, prev_version and prev_tag are
 *	what it shall be; generation and epoch were checked there. Done with
 *	FLINT_OK also when it is here already, or when it is so old that a CUT
 *	has removed it; FLINT_ST_NEED_WHOLE when the chunk is not at (prev_version,
 *	prev_tag) or its old content is damaged; then have_version and have_tag
 *	say at what it is
 * @durable: the change is on stable storage and applied (or was before:
 *	@already): the caller forwards it, then calls flint_sop_release(). Not
 *	called when nothing changed and nothing needs forwarding. NULL: done at once
 * @check: asked after every wait. Return: FLINT_OK, or the status to end with
 * @syncing: given: we are being brought up to date: what does not fit the chunk
 *	asks for the whole, whatever the result window says
 * @as_is: READ: do not wait for a held change
 * @unchecked: READ: who asks compares whole blocks with their CRCs; parts of blocks, whose
 *	CRCs are made here, are checked all the same
 * @quiet: READ: damage is neither logged nor counted nor repaired: who asks does
 */
struct flint_sop {
	u8 kind;
	u8 shift;
	bool check_crc;
	bool retry;
	u32 fs;
	u64 ino;
	u32 gen;
	u32 epoch;
	u32 index;
	u32 offset;
	u32 length;
	u32 crc;		/* of the payload, with check_crc */
	u32 cut_flags;		/* CUT */
	u64 cut_size;		/* CUT: the inode's size */
	u64 src_ino;		/* CLONE */
	u32 src_gen, src_epoch, src_index;
	u64 src_version, src_tag;	/* CLONE: result, or with given what it shall be */
	u8 client[16];
	u64 session;
	u64 seq;		/* WRITE, PUNCH; 0: no client waits, with given only */
	u64 seq_low;
	bool given;
	bool syncing;
	bool as_is;
	bool unchecked;
	bool quiet;
	u8 whole;		/* REPLACE: FLINT_FWD_FIRST, FLINT_FWD_LAST */
	u32 size;		/* REPLACE with LAST: of the chunk */
	u64 version, tag;	/* of the chunk after it: result, or with given what it shall be */
	u64 prev_version, prev_tag;	/* and before it */
	u32 print;		/* fingerprint of the request; with given the head's */
	u8 *data;
	u32 room;
	u32 (*check)(struct flint_sop *op);
	void (*durable)(struct flint_sop *op);
	void (*done)(struct flint_sop *op);
	void *arg;

	/* result */
	u32 status;		/* enum flint_status */
	u32 out_off;		/* READ: where in data the first byte lies */
	u64 freed;		/* CUT */
	u64 have_version, have_tag;	/* READ, HOLD, given: at what the chunk is */
	u32 have_size;		/* HOLD, and a change when durable: bytes of the chunk */
	bool already;		/* the change was here before */
	bool half;		/* refused: we have but half of the chunk, see flint_chunk_half() */
	bool held;		/* between durable and release */
	struct flint_sop_rep rep;

	/* the store's */
	struct flint_store *st;
	struct flint_chunk *chunk;
	struct flint_sop *next;
	struct flint_sop *dups;		/* same seq, waiting for our result */
	void (*resume)(struct flint_sop *op);
	struct flint_wal_waiter wal;
	bool entered;			/* in the result window, as running */
	bool counted;			/* in the inode's and the store's counts of held changes */
	bool planned;			/* in the store's count of those that will free blocks */
	bool applied;			/* its record is durable */
	bool was_done;			/* given: the window has its result */
	struct flint_sop *readers;	/* wait for our release */
	struct flint_sop *guest;	/* a REPAIR of the chunk that we hold: we end after it, */
	bool released;			/* and were told to, with */
	u32 release_status;
	u64 rec_tag;			/* of the record */
	u32 grow;			/* blocks that were holes before, counted in growing */
	u32 grace;
	u32 cut_seq;
	int pending;
	int err;
	bool zero;			/* the range becomes zeros */
	bool internal;			/* made by the store itself */
	u8 mended;			/* times it was started again after a repair */
	u32 from, to;			/* range in the chunk */
	u32 new_size;
	u32 keep;
	u32 first_crc, nr_crc;
	u32 nr_new;			/* runs in new_ext */
	u32 nr_dio;
	struct flint_edge edge[2];
	u8 *scratch;
	struct flint_run new_ext[FLINT_OP_MAX_RUNS];
	u32 new_blk[FLINT_OP_MAX_RUNS];	/* block of the chunk each run begins at */
	struct flint_dio dio[FLINT_OP_MAX_RUNS + 4];
};

struct flint_store_stats {
	u64 read_bytes;
	u64 write_bytes;
	u64 device_read_bytes;
	u64 device_write_bytes;
	u64 log_write_bytes;
	u64 log_groups;
	u64 log_records;
	u64 crc_errors;
	u64 io_errors;
	u64 checkpoints;
	u64 discard_bytes;
};

struct flint_ckpt;

struct flint_store {
	struct flint_dev *dev;
	char name[64];			/* for log lines: "target 3 (/path)" */
	u8 uuid[16];
	u8 cluster[16];			/* that the target belongs to; zeros: none yet */
	char why[96];			/* it is offline */
	u32 id;
	u32 uuid_crc;			/* CRC-32C of uuid: every checksum begins with it */
	u8 bs;				/* log2 of the allocation block */
	u8 cs;				/* log2 of the checksum block */
	u64 size;
	u64 ckpt_off[2];
	u64 ckpt_len;
	u64 data_off;
	u32 zero_crc;			/* of a checksum block of zeros */
	u32 crc_shift[4][256];		/* a CRC when a checksum block of zeros follows */

	bool offline;			/* gave up after an I/O error */
	/*
	 * Nothing behind us in the chain has yet to say yes: reads need not wait
	 * for held changes. The service's; true in a store by itself.
	 */
	bool authority;
	u64 room_behind;		/* bytes that replicas behind us can take; ~0: not limited */
	u64 growing;			/* bytes of it that changes under way will take */
	bool room_unknown;		/* until one of them says: they grow one after the other */
	u32 nr_held;
	u32 nr_planned;			/* changes that have blocks and are on their way to the log */
	bool closing;
	u32 reserve;			/* blocks kept for overwrites and cuts */
	struct flint_alloc alloc;
	struct flint_share share;
	struct flint_index index;
	struct flint_windows windows;
	struct flint_wal wal;
	struct flint_ckpt *ckpt;
	u64 ckpt_seq;
	bool ckpt_whole[2];		/* the area has a checkpoint that we wrote, or began with */
	struct flint_disk_super super;	/* as it is on the device, twice */
	struct flint_sop *blocked;	/* waiting for log space, scratch or zeroed blocks */
	struct flint_sop **blocked_tail;
	bool unblock;			/* something was freed */
	struct flint_sop *free_ops;	/* for internal use */

	u8 *scratch_mem;
	u8 *scratch_free;		/* first word of a free pair is the next */
	u8 *arena;			/* all of the store's I/O memory */
	size_t arena_len;

	u8 *zero_buf;
	struct flint_dio zero_io;
	u32 zero_at, zero_end;
	bool zeroing;			/* a group is being zeroed or logged */
	bool zero_busy;			/* a request is in flight */
	u32 zero_logged;

	bool discard;			/* space that is free goes back to the device */
	bool discarding;		/* @discard_run does so now */
	u32 discard_keep;		/* blocks that stay, written and free */
	u32 discard_least;		/* blocks of a run that is worth a request */
	struct flint_dio discard_io;
	struct flint_run discard_run;

	int inflight;			/* operations not yet done */
	u32 read_errors;
	struct flint_store_stats stats;
	void (*kick)(void *arg);	/* requests were queued */
	void *kick_arg;
	/*
	 * Damage was met by @op: repair the chunk, then call @resume by
	 * flint_sop_block(), or finish it. Return: false: it does not. Without
	 * @resume the op does not wait. May be NULL.
	 */
	bool (*damaged)(void *arg, struct flint_sop *op, void (*resume)(struct flint_sop *op));
	void *damaged_arg;
};

struct flint_store_format {
	u32 id;
	u64 size;			/* bytes of the device to use */
	u8 crc_shift;			/* 0: default */
	u8 block_shift;			/* 0: the same, or more if there are too many */
	u8 uuid[16];
	u8 cluster[16];			/* zeros: the first that it meets */
};

/* Write an empty store. Return: 0 or -errno with one sentence in @err. */
int flint_store_format(struct flint_dev *dev, const struct flint_store_format *f,
		       char *err, size_t errlen);
/* Is there a store on @dev (any version)? */
bool flint_store_present(struct flint_dev *dev);
/* Does its beginning hold anything, a store or a file system perhaps? */
bool flint_store_holds(struct flint_dev *dev);

/**
 * flint_store_open() - read the checkpoint, replay the log
 * @dev: ownership passes to the store (closed also on failure)
 * @path: for messages
 *
 * Return: the store, or NULL with one sentence in @err.
 */
struct flint_store *flint_store_open(struct flint_dev *dev, const char *path,
				     char *err, size_t errlen);

/* Start an operation; op->done is called exactly once, possibly from here. */
void flint_store_submit(struct flint_store *st, struct flint_sop *op);

/**
 * flint_sop_release() - a held operation ends
 * @status: what it, and repetitions of it that wait, are done with. The change
 *	stays what it is in any case
 *
 * Reads that waited are planned first, then the next writer has the chunk.
 */
void flint_sop_release(struct flint_sop *op, u32 status);

/* Identity of what is made of @a by @b. Never 0. */
static inline u64 flint_tag_mix(u64 a, u64 b)
{
	u64 z = (a ^ (b + 0x9e3779b97f4a7c15ull + (a << 6) + (a >> 2))) + 0x632be59bd9b4e019ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return z ? z : 1;
}

/* Tag of the version that a client's request makes. Never 0. */
u64 flint_request_tag(const u8 client[16], u64 session, u64 seq);
/* Bytes that may still be allocated for new data. */
u64 flint_store_room(const struct flint_store *st);

/* Gathered work of a turn: start a log write, unblock waiters, zero ahead. */
void flint_store_turn(struct flint_store *st);

/* From now on, give space that is free back to the device (discard.c). */
void flint_store_discard_on(struct flint_store *st);
/* Is there some that is worth it? */
bool flint_store_discardable(const struct flint_store *st);
/*
 * Begin to give back a run of it, 16 MiB at most; the caller paces this.
 * Return: false when there was none, perhaps only up to the end of the target.
 */
bool flint_store_discard(struct flint_store *st);

/* Begin a last checkpoint; then turn until flint_store_idle(). */
void flint_store_shutdown(struct flint_store *st);
bool flint_store_idle(const struct flint_store *st);

/* Free everything; nothing may be in flight. */
void flint_store_close(struct flint_store *st);

/**
 * flint_store_bind() - the target is used by a cluster
 * @cluster: id, not zeros
 *
 * Writes it into the superblock of a target that belonged to none; waits for the
 * device. Return: 0, or -errno with one sentence in @err (-EXDEV: it belongs to
 * another cluster).
 */
int flint_store_bind(struct flint_store *st, const u8 cluster[16], char *err, size_t errlen);

/**
 * flint_store_retire() - give device and index back, for good
 *
 * The store stays, offline and empty, for those who still look at it. Nothing may
 * be in flight, and the engine must have forgotten the device.
 */
void flint_store_retire(struct flint_store *st);

u64 flint_store_capacity(const struct flint_store *st);
u64 flint_store_used(const struct flint_store *st);
/* Bytes of memory that the index takes. */
u64 flint_store_memory(const struct flint_store *st);

/**
 * flint_store_verify() - compare allocator and sums with what the index says
 * Return: 0, or -EUCLEAN with one sentence in @err.
 */
int flint_store_verify(struct flint_store *st, char *err, size_t errlen);

/* CRC of @len bytes from @crc of their checksum blocks; the last one may cover less than a block. */
u32 flint_store_crc_join(const struct flint_store *st, const __le32 *crc, u32 len);
/* CRC of the payload of a change that is held. */
u32 flint_sop_payload_crc(const struct flint_sop *op);

/* ---- what a target holds, in pages (list.c) ------------------------------ */

/* Sums of the FLINT_SYNC_RANGES ranges of keys (index.h), kept up to date. */
static inline const u64 *flint_store_sums(const struct flint_store *st)
{
	return st->index.sums;
}

/**
 * flint_store_list_range() - the chunks of a range of keys, in the order of keys
 * @range: below FLINT_SYNC_RANGES
 * @cursor: 0 at first; moved on; 0 again when the range is done
 * @out, @max: receives records, at most @max (16 or more)
 * @crcs: fill in the content hash too, which costs a look at every checksum
 *
 * The order is that of flint_chunk_key(), the same on every target, and a cursor
 * stays good whatever changes between the pages: chunks that are there all the
 * time are listed exactly once.
 *
 * Return: records filled in.
 */
u32 flint_store_list_range(const struct flint_store *st, u32 range, u64 *cursor,
			   struct flint_sync_chunk *out, u32 max, bool crcs);

/**
 * flint_chunk_content() - hash of a chunk's content, by its checksums
 *
 * Equal for equal content up to the chunk's size, however it is mapped and
 * whatever the targets' checksum blocks are; never 0. Nothing is read.
 */
u64 flint_chunk_content(const struct flint_store *st, const struct flint_chunk *c);

/**
 * flint_store_list_inodes() - what is known of inodes: epochs, tombstones
 * @cursor: 0 at first; 0 again when all were listed
 *
 * Not of those that are being CUT: the CUT itself brings that.
 *
 * Return: records filled in. Inodes made meanwhile may be missing.
 */
u32 flint_store_list_inodes(const struct flint_store *st, u64 *cursor,
			    struct flint_sync_inode *out, u32 max);

/* A place among the clients' results; all zeros at first. */
struct flint_client_cursor {
	u8 client[16];
	u64 session;
	u64 seq;
	bool began;
};

/**
 * flint_store_list_clients() - the result windows
 * @cur: moved on
 * @buf, @len: receives struct flint_sync_client, each followed by its results
 *	in the order of their sequences; a client whose results do not fit comes
 *	again in the next page with the rest; @len 4096 or more
 * @nr: result: clients in @buf; 0: all were listed
 *
 * Only what the client may still ask for is listed, and only finished requests.
 *
 * Return: bytes used, or -ENOMEM.
 */
int flint_store_list_clients(const struct flint_store *st, struct flint_client_cursor *cur,
			     void *buf, u32 len, u32 *nr);

/* ---- between the store's files ------------------------------------------ */

/* apply.c: one record, live or replayed. Return: 0 or -EUCLEAN. */
int flint_store_apply(struct flint_store *st, const struct flint_rec_hdr *h, bool replay);

/* read.c, write.c, cut.c */
void flint_read_start(struct flint_sop *op);
void flint_write_start(struct flint_sop *op);
void flint_forget_log(struct flint_sop *op);
void flint_update_begin(struct flint_sop *op);
void flint_cut_start(struct flint_sop *op);
/* The chunk at the new end is shortened on the device; log all of it. */
void flint_cut_log(struct flint_sop *op);
void flint_cut_end(struct flint_sop *op, u32 status);
/* Let what waited for CUTs of the inode start again. */
void flint_inode_unpark(struct flint_store *st, struct flint_inode *in);
/* Wait on the inode for its CUTs to end. */
void flint_inode_park(struct flint_inode *in, struct flint_sop *op,
		      void (*resume)(struct flint_sop *op));
/* A change that will be held is in the log / is over. */
void flint_sop_count(struct flint_sop *op, struct flint_inode *in);
void flint_sop_uncount(struct flint_sop *op);
/* May replicas behind us be given so many blocks more? Return: FLINT_OK, ENOSPC, or EAGAIN to wait. */
u32 flint_room_behind(const struct flint_store *st, u32 blocks);
/* So many blocks of it are the operation's, until it has ended. */
void flint_sop_grow(struct flint_sop *op, u32 blocks);
/* On stable storage and applied: held if the caller wants that, else done. */
void flint_sop_applied(struct flint_sop *op, int err);
/* It has blocks, and will free those that it replaces; or it is over. */
void flint_sop_plan(struct flint_sop *op, bool planned);
u32 flint_update_record_len(const struct flint_sop *op);
void flint_update_record(struct flint_sop *op, void *p);

/* store.c */
void flint_sop_finish(struct flint_sop *op, u32 status);
/* Try again (op->resume) when space was freed. */
void flint_sop_block(struct flint_sop *op, void (*resume)(struct flint_sop *op));
u32 flint_sop_admit(struct flint_store *st, struct flint_sop *op, const struct flint_inode *in);
/* Would another chunk overflow the checkpoint area? */
bool flint_store_index_full(const struct flint_store *st);
void flint_store_fail(struct flint_store *st, const char *what, int err);
u8 *flint_scratch_get(struct flint_store *st);
void flint_scratch_put(struct flint_store *st, u8 *s);
void flint_dio_submit(struct flint_store *st, struct flint_dio *io);
u64 flint_block_off(const struct flint_store *st, u32 dev);
/* What the superblock's @copy is on the device: FLINT_SB_SIZE bytes, aligned. */
void flint_super_image(const struct flint_store *st, void *p, u8 copy);
/* Take the chunk or wait for it; op->resume is called when it is ours. */
bool flint_chunk_take(struct flint_sop *op, struct flint_chunk *c,
		      void (*resume)(struct flint_sop *op));
void flint_chunk_release(struct flint_sop *op);
/* Who owns the op's chunk, if a REPAIR need not wait for that, else NULL. */
struct flint_sop *flint_chunk_host(const struct flint_sop *op, const struct flint_chunk *c);

/* Give version, tag and origin of the change to its record. */
void flint_update_identity(struct flint_sop *op, struct flint_rec_chunk *r);

/* clone.c: the chunk is ours and nothing speaks against the change */
void flint_clone_begin(struct flint_sop *op);

/* merge.c */
void flint_merge_start(struct flint_sop *op);

/* list.c */
void flint_list_init(struct flint_store *st);

/* write.c: is the payload made of whole checksum blocks, whose CRCs make its own? */
bool flint_payload_whole(const struct flint_store *st, const struct flint_sop *op);

/* ckpt.c */
/* The record of all of a chunk: its length; map, CRCs and identity filled into a cleared one. */
u32 flint_snapshot_len(const struct flint_store *st, const struct flint_chunk *c);
void flint_snapshot_fill(const struct flint_store *st, const struct flint_chunk *c,
			 struct flint_rec_chunk *r);
int flint_ckpt_load(struct flint_store *st, char *err, size_t errlen);
int flint_ckpt_init(struct flint_store *st);
void flint_ckpt_free(struct flint_store *st);
void flint_ckpt_start(struct flint_store *st);
bool flint_ckpt_running(const struct flint_store *st);
/* Is an area's first FLINT_STORE_ALIGN bytes a header? Clears its CRC. Return: 0 or -EUCLEAN. */
int flint_ckpt_head_sound(const struct flint_store *st, u8 *buf, struct flint_ckpt_head *h);
/* Is it segment @nr of checkpoint @seq, and whole? Clears its CRC. */
bool flint_ckpt_seg_sound(const struct flint_store *st, struct flint_ckpt_seg *s, u64 seq, u64 nr);
/* First, empty checkpoint of a new store; sync. */
int flint_ckpt_format(struct flint_dev *dev, const struct flint_disk_super *sb);

#endif /* FLINT_CHUNK_STORE_H */
