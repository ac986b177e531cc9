/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Driving a chunk store on a disk in memory: make, open, pump, one operation that
 * is waited for. For tests that include cmocka.h before.
 */
#ifndef CHUNK_DRIVE_H
#define CHUNK_DRIVE_H

#include "../../userd/chunk/store.h"
#include "chunk_dev.h"

#define DISK		(40ull << 20)
#define SHIFT		17
#define CHUNK		(1u << SHIFT)

static inline void no_kick(void *arg)
{
}

/* @block_shift: 0: as @crc_shift; 14: as version 2 of the format had it */
static inline void format_blocks(struct test_dev *d, u8 block_shift, u8 crc_shift)
{
	struct flint_store_format f = { .id = 7, .size = d->dev.size, .crc_shift = crc_shift,
					.block_shift = block_shift };
	char err[256] = "";

	memset(f.uuid, 0x5a, sizeof(f.uuid));
	assert_int_equal(flint_store_format(&d->dev, &f, err, sizeof(err)), 0);
}

static inline void format_disk(struct test_dev *d, u8 crc_shift)
{
	format_blocks(d, 0, crc_shift);
}

static inline struct flint_store *try_open(struct test_dev *d, char *err, size_t errlen)
{
	struct flint_store *st = flint_store_open(&d->dev, "disk", err, errlen);

	if (st)
		st->kick = no_kick;
	return st;
}

static inline struct flint_store *open_store(struct test_dev *d)
{
	char err[256] = "";
	struct flint_store *st = try_open(d, err, sizeof(err));

	if (!st)
		fail_msg("%s", err);
	return st;
}

/* Whatever becomes free goes back to the disk, block by block. */
static inline void discard_all(struct flint_store *st)
{
	flint_store_discard_on(st);
	st->discard_keep = 0;
	st->discard_least = 1;
}

static inline bool pump(struct test_dev *d, struct flint_store *st)
{
	flint_store_turn(st);
	return td_step(d);
}

static inline void settle(struct test_dev *d, struct flint_store *st)
{
	int idle = 0;

	while (idle < 4)
		idle = pump(d, st) ? 0 : idle + 1;
}

static inline void close_store(struct test_dev *d, struct flint_store *st)
{
	char err[256] = "";

	settle(d, st);
	assert_int_equal(st->inflight, 0);
	if (flint_store_verify(st, err, sizeof(err)))
		fail_msg("%s", err);
	flint_store_close(st);
}

/* ---- one operation, waited for ------------------------------------------ */

static inline void set_done(struct flint_sop *op)
{
	*(bool *)op->arg = true;
}

static inline void wait_op(struct test_dev *d, struct flint_store *st, struct flint_sop *op)
{
	bool done = false;
	int idle = 0;

	op->done = set_done;
	op->arg = &done;
	flint_store_submit(st, op);
	while (!done) {
		idle = pump(d, st) ? 0 : idle + 1;
		if (idle > 10)
			fail_msg("an operation never ends");
	}
}

static inline struct flint_sop *new_op(u8 kind, u64 ino, u32 index, u32 offset, u32 length)
{
	struct flint_sop *op = calloc(1, sizeof(*op));
	void *mem = NULL;

	assert_int_equal(posix_memalign(&mem, 4096, CHUNK + FLINT_STORE_SLACK), 0);
	op->kind = kind;
	op->shift = SHIFT;
	op->fs = 1;
	op->ino = ino;
	op->gen = 1;
	op->index = index;
	op->offset = offset;
	op->length = length;
	memset(op->client, 9, sizeof(op->client));
	op->session = 4;
	op->data = mem + (kind == FLINT_SOP_READ ? 0 : offset & (FLINT_STORE_ALIGN - 1));
	op->room = CHUNK + FLINT_STORE_SLACK;
	return op;
}

static inline void free_op(struct flint_sop *op)
{
	free((void *)((uintptr_t)op->data & ~(uintptr_t)(FLINT_STORE_ALIGN - 1)));
	free(op);
}

static inline u32 write_one(struct test_dev *d, struct flint_store *st, u64 ino, u32 index, u32 offset,
		     u32 length, u8 fill, u64 seq)
{
	struct flint_sop *op = new_op(FLINT_SOP_WRITE, ino, index, offset, length);
	u32 status;

	memset(op->data, fill, length);
	op->seq = seq;
	wait_op(d, st, op);
	status = op->status;
	free_op(op);
	return status;
}

static inline u32 cut_one(struct test_dev *d, struct flint_store *st, u64 ino, u32 gen, u32 epoch,
		   u64 size, u32 flags)
{
	struct flint_sop *op = new_op(FLINT_SOP_CUT, ino, 0, 0, 0);
	u32 status;

	op->gen = gen;
	op->epoch = epoch;
	op->cut_size = size;
	op->cut_flags = flags;
	wait_op(d, st, op);
	status = op->status;
	free_op(op);
	return status;
}

#endif /* CHUNK_DRIVE_H */
