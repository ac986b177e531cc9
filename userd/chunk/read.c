// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading: the map and the CRCs of the range are taken at one instant, so a
 * read sees a chunk before or after a write and never between. Whole checksum
 * blocks are read and checked; data that fails never leaves, unless who asks
 * said that he checks it himself.
 */
#include <stdlib.h>
#include "store.h"
#include "../base/crc.h"
#include "../base/log.h"

/* Check what one request of the device brought. Return: 0 or -EILSEQ. */
static int piece_verify(struct flint_sop *op, const struct flint_dio *io)
{
	struct flint_store *st = op->st;
	u32 step = 1u << st->cs, at;

	for (at = 0; at < io->len; at += step) {
		u32 i = (u32)(io->buf - op->data + at) >> st->cs;

		if (flint_crc32c(0, io->buf + at, step) == le32_to_cpu(op->rep.crc[i]))
			continue;
		if (op->quiet)
			return -EILSEQ;
		st->stats.crc_errors++;
		flint_err_rl("%s: checksum error in chunk %u of inode %llu (file system %u), bytes from %llu, at offset %llu of the target: the data was not returned",
			     st->name, op->index, (unsigned long long)op->ino, op->fs,
			     (unsigned long long)((op->offset & ~(u64)(step - 1)) +
						  ((u64)i << st->cs)),
			     (unsigned long long)(io->off + at));
		return -EILSEQ;
	}
	return 0;
}

/* Has the reader all that is needed to check it? What is less than a block is checked here. */
static bool reader_checks(const struct flint_sop *op)
{
	u32 mask = (1u << op->st->cs) - 1;

	return op->unchecked && !op->out_off && !(le32_to_cpu(op->rep.io.length) & mask);
}

/* The first and the last CRC cover only the part of their block that is sent. */
static void edge_crcs(struct flint_sop *op)
{
	u32 len = le32_to_cpu(op->rep.io.length), nr = le16_to_cpu(op->rep.io.nr_crc);
	u32 step = 1u << op->st->cs, mask = step - 1;
	u32 head = op->offset & mask, tail = (op->offset + len) & mask;
	u32 first = nr == 1 ? len : step - head;

	if (head || (nr == 1 && tail))
		op->rep.crc[0] = cpu_to_le32(flint_crc32c(0, op->data + op->out_off, first));
	if (nr > 1 && tail)
		op->rep.crc[nr - 1] =
			cpu_to_le32(flint_crc32c(0, op->data + op->out_off + len - tail, tail));
}

/*
 * Damage: is it repaired, and the read started again? Not for those who own the
 * chunk while they read, or repair themselves: a repair wants the chunk too.
 */
static bool read_mend(struct flint_sop *op)
{
	struct flint_store *st = op->st;

	return !op->quiet && !op->as_is && !st->offline && st->damaged &&
	       st->damaged(st->damaged_arg, op, flint_read_start);
}

static void read_finish(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	u32 i, status = FLINT_OK;

	flint_alloc_read_end(&st->alloc, op->grace);
	if (op->err) {
		st->stats.io_errors++;
		st->read_errors += !op->quiet;
		flint_err_rl("%s: cannot read chunk %u of inode %llu: %s", st->name, op->index,
			     (unsigned long long)op->ino, strerror(-op->err));
		if (st->read_errors >= FLINT_STORE_READ_ERRORS)
			flint_store_fail(st, "read again and again", op->err);
		if (!read_mend(op))
			flint_sop_finish(op, EIO);
		return;
	}
	for (i = 0; i < op->nr_dio && status == FLINT_OK && !reader_checks(op); i++)
		if (piece_verify(op, &op->dio[i]))
			status = FLINT_ST_CHECKSUM;
	if (status != FLINT_OK && read_mend(op))
		return;
	if (status == FLINT_OK) {
		edge_crcs(op);
		st->stats.read_bytes += le32_to_cpu(op->rep.io.length);
	}
	flint_sop_finish(op, status);
}

static void read_done(struct flint_dio *io, int err)
{
	struct flint_sop *op = io->arg;

	if (err)
		op->err = err;
	if (!--op->pending)
		read_finish(op);
}

/* Lay out the device requests of the covering range; note the CRCs. */
static void read_plan(struct flint_sop *op, const struct flint_chunk *c, u32 start, u32 end)
{
	struct flint_store *st = op->st;
	u32 pos = start, bmask = (1u << st->bs) - 1;

	while (pos < end) {
		u32 blk = pos >> st->bs, dev, i, n, stop;
		u8 *to = op->data + (pos - start);

		n = flint_chunk_run(c, blk, ((end - 1) >> st->bs) - blk + 1, &dev);
		stop = (blk + n) << st->bs;
		if (stop > end)
			stop = end;
		for (i = pos >> st->cs; i < stop >> st->cs; i++)
			op->rep.crc[i - (start >> st->cs)] =
				cpu_to_le32(dev ? c->crc[i] : st->zero_crc);
		if (dev) {
			struct flint_dio *io = &op->dio[op->nr_dio++];

			io->op = FLINT_DIO_READ;
			io->flags = 0;
			io->off = flint_block_off(st, dev - 1) + (pos & bmask);
			io->len = stop - pos;
			io->buf = to;
			io->done = read_done;
			io->arg = op;
			st->stats.device_read_bytes += io->len;
		} else {
			memset(to, 0, stop - pos);
		}
		pos = stop;
	}
}

/*
 * A change that replicas behind us have yet to acknowledge: what it made must
 * not be seen here before it is seen there.
 */
static bool read_waits(struct flint_sop *op, struct flint_inode *in, struct flint_chunk *c)
{
	struct flint_sop *owner = c ? c->owner : NULL;

	if (op->st->authority || op->as_is)
		return false;
#ifdef FLINT_MUTANTS		/* the tests' build only: tests/native/chaos_mutant.sh must find this */
	if (getenv("FLINT_MUTANT_DIRTY_READ"))
		return false;
#endif
	if (owner && owner->held && owner->kind != FLINT_SOP_HOLD) {
		op->next = owner->readers;
		owner->readers = op;
		return true;
	}
	if (!in || !in->cuts)
		return false;
	flint_inode_park(in, op, flint_read_start);
	return true;
}

void flint_read_start(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	struct flint_chunk *c = flint_chunk_find(&st->index, op->fs, op->ino, op->index);
	struct flint_inode *in = c ? flint_inode_at(&st->index, c->inode) :
				     flint_inode_find(&st->index, op->fs, op->ino);
	u32 mask = (1u << st->cs) - 1, status = flint_sop_admit(st, op, in);
	u32 start, end, len, i;

	memset(&op->rep.io, 0, sizeof(op->rep.io));
	op->rep.io.crc_shift = st->cs;
	op->have_version = 0;
	op->have_tag = 0;
	op->have_size = 0;
	if (status != FLINT_OK) {
		flint_sop_finish(op, status);
		return;
	}
	if (read_waits(op, in, c))
		return;
	if (c && flint_chunk_half(c) && !op->as_is) {
		flint_sop_finish(op, FLINT_ST_NOT_SERVING);	/* half of a replacement */
		return;
	}
	if (c && c->version && (in->gen == op->gen || op->as_is)) {
		op->rep.io.version = cpu_to_le64(c->version);
		op->have_version = c->version;
		op->have_tag = c->tag;
		op->have_size = c->size;
	} else {
		c = NULL;
	}
	if (!c || op->offset >= c->size) {
		flint_sop_finish(op, FLINT_OK);
		return;
	}
	len = c->size - op->offset < op->length ? c->size - op->offset : op->length;
	start = op->offset & ~mask;
	end = (op->offset + len + mask) & ~mask;
	if (end - start > op->room) {
		flint_sop_finish(op, FLINT_ST_BAD_REQUEST);
		return;
	}
	op->rep.io.length = cpu_to_le32(len);
	op->rep.io.nr_crc = cpu_to_le16((u16)((end - start) >> st->cs));
	op->out_off = op->offset - start;
	op->nr_dio = 0;
	op->err = 0;
	op->grace = flint_alloc_read_begin(&st->alloc);
	read_plan(op, c, start, end);
	op->pending = (int)op->nr_dio;
	if (!op->pending) {
		read_finish(op);
		return;
	}
	for (i = 0; i < op->nr_dio; i++)
		flint_dio_submit(st, &op->dio[i]);
}
