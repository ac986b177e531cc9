/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The index of a target's chunks, in memory.
 *
 * Chunks are found by (file system, inode, chunk index); each hangs on its
 * inode, which holds the floor: the generation and truncate epoch below which
 * requests are refused, and whether the inode is gone (a tombstone).
 *
 * A chunk whose blocks are consecutive on the disk, which is what whole-chunk
 * writes make, is two numbers; others have a map of one word per block. The
 * CRC of every checksum block is held in an array of the chunk.
 *
 * The table is ordered by key, a hash of (file system, inode, chunk index) whose
 * top bits are the bucket, so that whatever its size a range of keys is a run of
 * buckets. The ranges that replicas compare (FLINT_SYNC_RANGES) are the keys'
 * top bits. For each the index keeps the sum of a hash over key, version and tag
 * of its chunks: two targets whose sums agree hold the same versions.
 *
 * Elements live in slots of slabs, so that a checkpoint can walk them in
 * pieces while they change, and links are 32-bit slot numbers (0: none).
 */
#ifndef FLINT_CHUNK_INDEX_H
#define FLINT_CHUNK_INDEX_H

#include "../../uapi/flintfs/chain.h"
#include "alloc.h"

struct flint_sop;

struct flint_slab {
	u8 **pages;
	u32 nr_pages;
	u32 elem;		/* bytes */
	u32 high;		/* slots ever used are 1 .. high */
	u32 free;		/* first free slot */
	u32 used;
};

struct flint_inode {
	u64 ino;		/* 0: the slot is free; then link is the next free one */
	u32 link;		/* hash chain */
	u32 fs;
	u32 gen;
	u32 epoch;		/* newest truncate epoch seen */
	u32 cut_epoch;		/* of the last CUT applied */
	u32 flags;		/* FLINT_CUT_REMOVE: a tombstone; FLINT_INODE_UNSURE */
	u32 chunks;		/* list of chunks */
	u32 nr_chunks;		/* that name it, dead ones included */
	u32 adm_gen;		/* requests with an older generation are refused */
	u32 cut_seq;		/* counts CUTs that began, in this process */
	u32 cuts;		/* CUTs under way */
	u64 stamp_s;		/* of the last CUT */
	u32 held;		/* changes logged and not released yet */
	struct flint_sop *drain;	/* the CUT that waits for them */
	struct flint_sop *parked;	/* waiting for the CUTs */
};

/*
 * A generation, and chunks, of an earlier time in a chain: the one that it is in
 * now may have an older generation. The first word of it counts, whatever it is.
 */
#define FLINT_INODE_UNSURE	0x2

#define FLINT_CHUNK_DEAD	0x1	/* dropped while an operation holds it */
#define FLINT_CHUNK_MAPPED	0x2	/* map is used, else start and nr_blocks */
#define FLINT_CHUNK_SHARES	0x8	/* a clone made it: may name blocks that others name */
#define FLINT_CHUNK_STAMPED	0x4	/* a record made it; it is in its range's sum.
				 * With version 0: a replacement that is not whole */

struct flint_chunk {
	u64 ino;		/* 0: the slot is free; then link is the next free one */
	u32 link;		/* hash chain */
	u32 slot;		/* of this */
	u32 inode;		/* slot */
	u32 index;
	u32 next, prev;		/* in the inode's list */
	u64 version;		/* 0: not there yet; set by flint_chunk_stamp() */
	u64 tag;		/* identity of the version */
	u32 size;		/* bytes that exist; beyond reads as zeros */
	u32 start;		/* first block, when they are consecutive */
	u16 nr_blocks;		/* blocks covered by start or map */
	u8 flags;
	u8 shift;
	u32 cap_crc;		/* allocated elements of crc */
	u32 cap_map;
	u32 *map;		/* number of the block + 1; 0: a hole */
	u32 *crc;
	struct flint_sop *owner;	/* operation that changes it */
	struct flint_sop *queue;	/* that wait to */
};

/* A replacement that has begun and is not whole. */
static inline bool flint_chunk_half(const struct flint_chunk *c)
{
	return !c->version && (c->flags & FLINT_CHUNK_STAMPED);
}

struct flint_index {
	struct flint_slab chunks;
	struct flint_slab inodes;
	u32 *chunk_hash, *inode_hash;
	u32 chunk_bits;		/* log2 of the buckets */
	u32 inode_mask;
	u64 bytes;		/* maps and CRCs */
	u64 ckpt_bytes;		/* a checkpoint of all this */
	u32 nr_half;		/* chunks that are flint_chunk_half() */
	u64 sums[FLINT_SYNC_RANGES];	/* over the stamped chunks of each range */
};

int flint_index_init(struct flint_index *ix, u64 expect_chunks);
void flint_index_free(struct flint_index *ix);

#define FLINT_SLAB_PAGE	1024u	/* elements */

static inline void *flint_slab_at(const struct flint_slab *s, u32 slot)
{
	slot--;
	return s->pages[slot / FLINT_SLAB_PAGE] + (size_t)(slot % FLINT_SLAB_PAGE) * s->elem;
}

static inline struct flint_chunk *flint_chunk_at(const struct flint_index *ix, u32 slot)
{
	return flint_slab_at(&ix->chunks, slot);
}

static inline struct flint_inode *flint_inode_at(const struct flint_index *ix, u32 slot)
{
	return flint_slab_at(&ix->inodes, slot);
}

/* NULL if there is none; a chunk with version 0 is being made. */
struct flint_chunk *flint_chunk_find(const struct flint_index *ix, u32 fs, u64 ino, u32 index);
struct flint_inode *flint_inode_find(const struct flint_index *ix, u32 fs, u64 ino);
/* Find or make. NULL: no memory. */
struct flint_inode *flint_inode_get(struct flint_index *ix, u32 fs, u64 ino, u32 gen, u32 epoch);
struct flint_chunk *flint_chunk_get(struct flint_index *ix, struct flint_inode *in,
				    u32 index, u8 shift);
/* Where a chunk stands in the order of all chunks; the same on every target. */
u64 flint_chunk_key(u32 fs, u64 ino, u32 index);

static inline u32 flint_key_range(u64 key)
{
	return (u32)(key >> (64 - FLINT_SYNC_RANGE_BITS));
}

/**
 * flint_chunk_stamp() - a record gave the chunk this version and tag
 *
 * The only way to change them: keeps the sum of the chunk's range. Version 0 is
 * a chunk that is being replaced in pieces: not there for readers, but part of
 * what is compared.
 */
void flint_chunk_stamp(struct flint_index *ix, struct flint_chunk *c, u64 version, u64 tag);

/* What a chunk adds to its range's sum. */
u64 flint_chunk_sum(const struct flint_index *ix, const struct flint_chunk *c);

/**
 * flint_chunk_next() - the stamped chunks with the lowest key that is not below @from
 * @key: result: their key
 * @list, @max: receives them; as good as always it is one
 *
 * Return: how many have that key (more than @max: those did not fit), 0: none.
 */
u32 flint_chunk_next(const struct flint_index *ix, u64 from, u64 *key,
		     struct flint_chunk **list, u32 max);

/* Unlink and forget; its blocks are the caller's concern. Slot kept while an operation holds it. */
void flint_chunk_drop(struct flint_index *ix, struct flint_chunk *c);
/* The operation that held a dead chunk is gone. */
void flint_chunk_forget(struct flint_index *ix, struct flint_chunk *c);
/* Return: true if nothing refers to the inode's record. */
bool flint_inode_idle(const struct flint_inode *in);
void flint_inode_drop(struct flint_index *ix, struct flint_inode *in);
/* Drop the record if nothing refers to it and it says nothing. */
void flint_inode_tidy(struct flint_index *ix, struct flint_inode *in);
/* Epochs and tombstones are forgotten, every generation is FLINT_INODE_UNSURE; chunks stay. */
void flint_index_doubt(struct flint_index *ix);
u32 flint_inode_slot(const struct flint_index *ix, const struct flint_inode *in);

/* Block of the device + 1 that holds a block of the chunk; 0: a hole. */
static inline u32 flint_chunk_block(const struct flint_chunk *c, u32 blk)
{
	if (blk >= c->nr_blocks)
		return 0;
	if (c->flags & FLINT_CHUNK_MAPPED)
		return c->map[blk];
	return c->start + blk + 1;
}

/* Consecutive blocks (or holes) from @blk on, at most @max. */
u32 flint_chunk_run(const struct flint_chunk *c, u32 blk, u32 max, u32 *dev);
/* Blocks that are not holes. */
u32 flint_chunk_used(const struct flint_chunk *c);

/**
 * flint_chunk_set() - let blocks [@blk, @blk + @nr) be @dev, @dev + 1, ...
 * @dev: number + 1, or 0 for holes
 * @old: called for each run that was there before; may be NULL
 *
 * Return: 0 or -ENOMEM (nothing changed).
 */
int flint_chunk_set(struct flint_index *ix, struct flint_chunk *c, u32 blk, u32 nr, u32 dev,
		    void (*old)(void *arg, u32 start, u32 nr), void *arg);
/* Forget blocks from @keep on; calls @old for them. */
void flint_chunk_trim(struct flint_index *ix, struct flint_chunk *c, u32 keep,
		      void (*old)(void *arg, u32 start, u32 nr), void *arg);
/* Room for @nr CRCs. Return: 0 or -ENOMEM. */
int flint_chunk_crcs(struct flint_index *ix, struct flint_chunk *c, u32 nr);
/* Bytes of memory that the index takes. */
u64 flint_index_memory(const struct flint_index *ix);

#endif /* FLINT_CHUNK_INDEX_H */
