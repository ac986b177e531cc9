// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Space that was given up goes back to the device: holes in a file, discarded
 * ranges of a block device.
 *
 * A block is free in the allocator only when the record that freed it is durable
 * and no reader is left, so whatever a crash leaves, no map that is replayed names
 * it: it might as well be overwritten. While its discard is under way it is taken,
 * so that no new data can meet it.
 *
 * Blocks that have been written once are quicker to write again than those that
 * the file system must find anew: a stock of them stays. Which free blocks still
 * have space behind them is known in memory only (flint_alloc.stale); after a start
 * all of them may.
 */
#include "store.h"
#include "../base/log.h"

#define DISCARD_RUN	(1u << 20)	/* bytes: shorter runs are not worth a request */
#define DISCARD_MOST	(16u << 20)	/* bytes at once */
#define STOCK_MAX	(256u << 20)	/* bytes of blocks that stay */

void flint_store_discard_on(struct flint_store *st)
{
	u64 stock = st->size / 16;

	if (flint_alloc_track(&st->alloc)) {
		flint_warn("%s: no memory: free space is not given back to the device", st->name);
		return;
	}
	st->discard_keep = (u32)((stock < STOCK_MAX ? stock : STOCK_MAX) >> st->bs);
	st->discard_least = DISCARD_RUN >> st->bs;
	st->discard = true;
}

bool flint_store_discardable(const struct flint_store *st)
{
	return st->discard && !st->discarding && !st->offline && !st->closing &&
	       st->alloc.nr_stale >= st->discard_keep + st->discard_least;
}

static void discarded(struct flint_dio *io, int err)
{
	struct flint_store *st = io->arg;

	st->discarding = false;
	flint_alloc_give(&st->alloc, &st->discard_run);
	if (!err) {
		st->stats.discard_bytes += (u64)st->discard_run.nr << st->bs;
	} else {
		st->discard = false;
		flint_info("%s: the device takes no space back (%s): free space stays with the target",
			   st->name, strerror(-err));
	}
	st->unblock = true;
	st->kick(st->kick_arg);
}

bool flint_store_discard(struct flint_store *st)
{
	struct flint_dio *io = &st->discard_io;
	u32 most;

	if (!flint_store_discardable(st))
		return false;
	most = st->alloc.nr_stale - st->discard_keep;
	if (most > DISCARD_MOST >> st->bs)
		most = DISCARD_MOST >> st->bs;
	if (!flint_alloc_take_stale(&st->alloc, st->discard_least, most, &st->discard_run))
		return false;
	io->op = FLINT_DIO_DISCARD;
	io->flags = 0;
	io->off = flint_block_off(st, st->discard_run.start);
	io->len = st->discard_run.nr << st->bs;
	io->buf = NULL;
	io->done = discarded;
	io->arg = st;
	st->discarding = true;
	flint_dio_submit(st, io);
	return true;
}
