// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O engine: every byte of a file, direct, buffered or for the page
 * cache, moves through here, from memory of the caller to chunk servers and
 * back, without a copy above the inline size.
 *
 * Objects
 *  flint_mem	the memory (mem.c)
 *  flint_dio	one call; split into
 *  flint_piece	what one request can carry of one chunk. Pieces go in parallel,
 *		are retried one by one, and report to their dio.
 *
 * Invariants
 *  - A dio ends once: when its last piece and the submitter have let go
 *    (dio->pending). The result is the longest prefix without an error.
 *  - Memory is released before the caller hears of the end. A killed waiter
 *    detaches only from memory that does not belong to anybody else.
 *  - A write's sequence lasts over all retries of its piece.
 *  - A write reaches the chunk servers and is announced under one truncate
 *    epoch. A truncation in between makes it start again, or counts as later.
 *  - Every asynchronous dio has a deadline, every attempt too. A synchronous
 *    one on a hard mount ends when its task is killed.
 *  - Direct requests are atomic: they end, and let go of their memory, in softirq
 *    context. What has to sleep then (marking pages dirty, ending a write, freeing
 *    what a killed waiter left) goes to a work.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include "compat/unaligned.h"
#include "flint.h"
#include "flint_trace.h"
#include "mem.h"

#define FLINT_RETRY_MIN		(HZ / 20)
#define FLINT_RETRY_MAX		HZ
#define FLINT_PERMITS_MAX	8	/* shown in vain; some may have been forgotten */
#define FLINT_BAD_MAX		(FLINT_CHAIN_MAX + 1)	/* each replica, and one twice */
#define FLINT_WB_TIMEO		FLINT_RPC_TIMEO	/* locks may be held for it */

/* ---- calls and pieces ------------------------------------------------- */

enum flint_dio_kind { FLINT_DIO_SYNC, FLINT_DIO_ASYNC, FLINT_DIO_CACHE, FLINT_DIO_WRITEBACK };

/*
 * struct flint_dio - one call
 *
 * The first three are made with the slab: the kernel then does not clear objects
 * that are cleared here.
 */
struct flint_dio {
	spinlock_t lock;		/* good, err */
	struct completion done;
	struct work_struct work;
	refcount_t ref;			/* the engine's, and a synchronous waiter's */
	atomic_t pending;		/* pieces, and the submitter until it is through */
	u8 kind;
	bool write;			/* WRITE or PUNCH */
	bool punch;
	bool aborted;			/* the waiter left: no more retries */
	bool left;			/* write: and the inode knows of it */
	bool stale;			/* write: the truncate epoch is old, start again */
	u32 epoch;			/* write: truncate epoch of all its requests */
	u64 session;			/* write: that alone may do it; 0: any */
	struct flint_fs *fs;
	struct inode *inode;		/* SYNC: a reference; else the caller's holds it */
	struct inode *src;		/* clone (punch is set, too): of it, a reference */
	u32 src_delta;			/* index in @src is so much more */
	struct kiocb *iocb;		/* ASYNC */
	struct flint_mem *mem;
	loff_t pos;
	size_t size;
	size_t tail;			/* CACHE: bytes beyond the end of file */
	unsigned long deadline;		/* jiffies; 0: none */
	size_t good;			/* no error before this byte */
	int err;
};

/* @again is made with the slab, as above. */
struct flint_piece {
	struct delayed_work again;
	struct flint_dio *dio;
	struct flint_seq seq;
	struct flint_mempos at;
	size_t rel;			/* bytes from the start of the dio */
	u32 index;
	u32 offset;
	u32 len;
	u32 chain;
	u32 target;
	unsigned int tries;
	bool sent;			/* the server may have seen this sequence */
	bool doubt;			/* an attempt was not answered: it may be executed yet */
	u64 session;			/* of the last attempt */
	u8 bad;				/* answers that failed a checksum; 1: it is asked again */
	bool refresh;
	bool permit;			/* the server wants to see one */
	u8 permits;			/* that were shown */
};

static struct kmem_cache *flint_dio_cache;
static struct kmem_cache *flint_piece_cache;

static void flint_piece_again(struct work_struct *work);
static int flint_dio_start(struct flint_dio *dio, bool nowait);
static void flint_dio_unpend(struct flint_dio *dio);
static void flint_dio_work(struct work_struct *work);

static void flint_dio_ctor(void *p)
{
	struct flint_dio *dio = p;

	spin_lock_init(&dio->lock);
	init_completion(&dio->done);
	INIT_WORK(&dio->work, flint_dio_work);
}

static void flint_piece_ctor(void *p)
{
	struct flint_piece *piece = p;

	INIT_DELAYED_WORK(&piece->again, flint_piece_again);
}

int flint_dio_init(void)
{
	flint_dio_cache = kmem_cache_create("flint_dio", sizeof(struct flint_dio), 0,
					    SLAB_HWCACHE_ALIGN, flint_dio_ctor);
	flint_piece_cache = kmem_cache_create("flint_piece", sizeof(struct flint_piece), 0,
					      SLAB_HWCACHE_ALIGN, flint_piece_ctor);
	if (flint_dio_cache && flint_piece_cache && !flint_mem_init())
		return 0;
	flint_dio_exit();
	return -ENOMEM;
}

void flint_dio_exit(void)
{
	flint_mem_exit();
	kmem_cache_destroy(flint_piece_cache);
	kmem_cache_destroy(flint_dio_cache);
}

/* Takes over @mem. */
static struct flint_dio *flint_dio_alloc(struct inode *inode, struct flint_mem *mem, u8 kind,
					 bool write, loff_t pos)
{
	struct flint_dio *dio = kmem_cache_alloc(flint_dio_cache, GFP_NOFS);

	if (!dio) {
		flint_mem_put(mem);
		return NULL;
	}
	memset_after(dio, 0, work);
	reinit_completion(&dio->done);
	refcount_set(&dio->ref, kind == FLINT_DIO_SYNC ? 2 : 1);
	atomic_set(&dio->pending, 1);
	dio->kind = kind;
	dio->write = write;
	dio->fs = flint_fs(inode->i_sb);
	dio->inode = inode;
	dio->mem = mem;
	dio->pos = pos;
	dio->size = mem->len;
	dio->good = mem->len;
	dio->epoch = READ_ONCE(flint_i(inode)->trunc_epoch);
	if (kind == FLINT_DIO_SYNC)
		ihold(inode);
	flint_fs_begin(dio->fs);
	return dio;
}

static void flint_dio_free(struct flint_dio *dio)
{
	struct flint_fs *fs = dio->fs;

	if (dio->mem)
		flint_mem_put(dio->mem);
	if (dio->left)
		flint_wb_left(dio->inode, dio->pos, dio->size);
	if (dio->kind == FLINT_DIO_SYNC) {
		iput(dio->src);
		iput(dio->inode);
	}
	kmem_cache_free(flint_dio_cache, dio);
	flint_fs_end(fs);
}

/*
 * The rest goes on in a work. What is written back is sent once more, and pages' ends wait for
 * that; all other ends wait for pages.
 */
static void flint_dio_later(struct flint_dio *dio)
{
	struct flint_fs *fs = dio->fs;

	queue_work(dio->kind == FLINT_DIO_WRITEBACK ? fs->io_wq : fs->wb_wq, &dio->work);
}

/*
 * @defer: in a completion; the last iput() may wait for other completions. So may the end of what
 * was left, and who is killed shall not.
 */
static void flint_dio_put(struct flint_dio *dio, bool defer)
{
	if (!refcount_dec_and_test(&dio->ref))
		return;
	if (dio->left || (defer && dio->kind == FLINT_DIO_SYNC))
		flint_dio_later(dio);
	else
		flint_dio_free(dio);
}

/* Tell whoever listens. Context: any but hard interrupts. */
void flint_write_error(struct inode *inode, loff_t pos, size_t len, int err)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);

	trace_flint_write_error(fs->instance, inode->i_ino, pos, len, err);
	flint_event(fs, FLINT_EV_WRITE_ERROR,
		    &(struct flint_event){ .ino = inode->i_ino, .err = err });
}

/* The bytes from @rel on are not good. */
static void flint_dio_error(struct flint_dio *dio, size_t rel, int err)
{
	unsigned long flags;

	spin_lock_irqsave(&dio->lock, flags);
	if (rel < dio->good) {
		dio->good = rel;
		dio->err = err;
	}
	spin_unlock_irqrestore(&dio->lock, flags);
	if (dio->write && err != -EAGAIN && err != -EINTR)
		flint_write_error(dio->inode, dio->pos + rel, dio->size - rel, err);
}

static ssize_t flint_dio_result(const struct flint_dio *dio)
{
	return dio->good ? dio->good : dio->err;
}

/**
 * flint_write_drop() - pages of what the chunk servers have in another form now
 * @inode: regular file
 * @pos: where it was written
 * @len: bytes, not 0
 *
 * Context: process; waits for pages that are being read.
 */
void flint_write_drop(struct inode *inode, loff_t pos, size_t len)
{
	if (inode->i_mapping->nrpages)
		invalidate_inode_pages2_range(inode->i_mapping, pos >> PAGE_SHIFT,
					      (pos + len - 1) >> PAGE_SHIFT);
}

/* Have times and size follow. */
static int flint_write_tell(struct inode *inode, loff_t pos, size_t len, u32 epoch,
			    unsigned long deadline)
{
	struct flint_inode *fi = flint_i(inode);
	bool grows = (u64)pos + len > READ_ONCE(fi->size);
	struct timespec64 now, mtime;

	now = current_time(inode);
	mtime = inode_get_mtime(inode);
	if (!grows && timespec64_equal(&now, &mtime) &&
	    test_bit(FLINT_I_MTIME_DIRTY, &fi->state))
		return 0;
	if (grows)
		flint_zero_grow(inode, pos + len);
	if (flint_wb_keep(inode, pos + len, epoch))
		return 0;
	if (grows)
		return flint_extend(inode, pos + len, epoch, deadline);
	spin_lock(&fi->lock);
	flint_inode_written(inode);
	spin_unlock(&fi->lock);
	return 0;
}

/* What follows a write that reached the chunk servers. May wait. */
static int flint_write_end(struct inode *inode, loff_t pos, size_t len, u32 epoch,
			   unsigned long deadline)
{
	bool beyond = pos + (loff_t)len > i_size_read(inode);
	int err;

	flint_write_drop(inode, pos, len);
	err = flint_write_tell(inode, pos, len, epoch, deadline);
	/* Who read the last page before the size was seen has zeros where this is. */
	if (beyond)
		flint_write_drop(inode, pos, len);
	return err;
}

/* Tell the kiocb. The file's reference, and so the inode's, goes with it. */
static void flint_dio_async_end(struct flint_dio *dio, ssize_t ret)
{
	struct kiocb *iocb = dio->iocb;

	flint_mem_put(dio->mem);
	dio->mem = NULL;
	flint_dio_put(dio, false);
	iocb->ki_complete(iocb, ret);
}

/*
 * A truncation overtook a write: send all of it again under the new epoch.
 * Return: whether it is on its way, with a pending count for the caller.
 */
static bool flint_dio_restart(struct flint_dio *dio)
{
	if (!dio->stale || READ_ONCE(dio->fs->shutdown) || fatal_signal_pending(current) ||
	    (dio->deadline && time_after_eq(jiffies, dio->deadline)))
		return false;
	if (flint_inode_refresh(dio->inode, dio->deadline) ||
	    (dio->src && flint_inode_refresh(dio->src, dio->deadline)))
		return false;
	dio->stale = false;
	dio->epoch = READ_ONCE(flint_i(dio->inode)->trunc_epoch);
	if (dio->kind == FLINT_DIO_WRITEBACK) {
		/* What was cut off must not come back. */
		loff_t size = i_size_read(dio->inode);

		dio->size = size > dio->pos ? min_t(loff_t, dio->size, size - dio->pos) : 0;
	}
	dio->good = dio->size;
	dio->err = 0;
	atomic_set(&dio->pending, 1);
	if (dio->kind == FLINT_DIO_SYNC) {
		reinit_completion(&dio->done);
		refcount_inc(&dio->ref);
	}
	flint_dio_start(dio, false);
	return true;
}

static void flint_dio_written(struct flint_dio *dio)
{
	struct flint_mem *mem = dio->mem;
	int err = dio->good == dio->size ? 0 : dio->err;

	if (READ_ONCE(dio->fs->shutdown) && err)
		err = -EIO;
	else if (err == -ENOMEM || err == -ESTALE)
		err = -EAGAIN;
	/* From the last folio's end on the inode may go. */
	flint_folios_written(dio->inode, mem->bv, mem->nr, dio->good, err);
	flint_dio_put(dio, true);
}

/* What was written asynchronously is announced and, for O_DSYNC, durable. */
static ssize_t flint_dio_async_written(struct flint_dio *dio)
{
	unsigned long deadline = dio->deadline + msecs_to_jiffies(dio->fs->opts.io_timeo / 8);
	ssize_t ret = flint_dio_result(dio);
	int err;

	if (ret <= 0)
		return ret;
	err = flint_write_end(dio->inode, dio->pos, ret, dio->epoch, deadline);
	if (err)
		return err;
	dio->iocb->ki_pos += ret;	/* it is synced up to there */
	ret = generic_write_sync(dio->iocb, ret);
	return ret == -EAGAIN ? -EIO : ret;	/* no answer; the call is not to be repeated */
}

/* Deferred: the end of an asynchronous write, or freeing what a killed waiter left. */
static void flint_dio_work(struct work_struct *work)
{
	struct flint_dio *dio = container_of(work, struct flint_dio, work);

	if (dio->kind == FLINT_DIO_SYNC) {
		flint_dio_free(dio);
		return;
	}
	if (flint_dio_restart(dio)) {
		flint_dio_unpend(dio);
		return;
	}
	if (dio->kind == FLINT_DIO_WRITEBACK) {
		flint_dio_written(dio);
		return;
	}
	flint_dio_async_end(dio, flint_dio_async_written(dio));
}

static void flint_dio_cache_end(struct flint_dio *dio)
{
	struct flint_mem *mem = dio->mem;
	bool kept = refcount_read(&mem->hold.ref) > 1;
	size_t good = dio->good == dio->size ? dio->good + dio->tail : dio->good;

	flint_folios_end(dio->inode, mem->bv, mem->nr, good, kept);
	flint_dio_put(dio, true);
}

static void flint_dio_async_read(struct flint_dio *dio)
{
	ssize_t ret = flint_dio_result(dio);

	if (ret > 0)
		dio->iocb->ki_pos += ret;
	flint_dio_async_end(dio, ret);
}

static void flint_dio_unpend(struct flint_dio *dio)
{
	if (!atomic_dec_and_test(&dio->pending))
		return;
	if (!dio->write && dio->mem->kind == FLINT_MEM_PINNED)
		dio->mem->dirty = true;
	switch (dio->kind) {
	case FLINT_DIO_SYNC:
		complete(&dio->done);
		flint_dio_put(dio, true);
		break;
	case FLINT_DIO_ASYNC:
		if (dio->write)
			flint_dio_later(dio);
		else
			flint_dio_async_read(dio);
		break;
	case FLINT_DIO_CACHE:
		flint_dio_cache_end(dio);
		break;
	case FLINT_DIO_WRITEBACK:
		if (READ_ONCE(dio->stale))
			flint_dio_later(dio);
		else
			flint_dio_written(dio);
		break;
	}
}

static struct flint_piece *flint_piece_new(struct flint_dio *dio, size_t rel,
					   const struct flint_mempos *at,
					   const struct flint_iopart *part)
{
	struct flint_piece *piece = kmem_cache_alloc(flint_piece_cache, GFP_NOFS);

	if (!piece)
		return NULL;
	memset_after(piece, 0, again);
	piece->dio = dio;
	piece->session = dio->session ?: flint_session(dio->fs);
	piece->rel = rel;
	piece->at = *at;
	piece->index = part->index;
	piece->offset = part->offset;
	piece->len = part->len;
	if (dio->write)
		flint_seq_begin(dio->fs, &piece->seq);
	atomic_inc(&dio->pending);
	return piece;
}

static void flint_piece_end(struct flint_piece *piece, int err)
{
	struct flint_dio *dio = piece->dio;

	if (dio->write)
		flint_seq_end(dio->fs, &piece->seq);
	if (err)
		flint_dio_error(dio, piece->rel, err);
	kmem_cache_free(flint_piece_cache, piece);
	flint_dio_unpend(dio);
}

static bool flint_piece_retriable(int err)
{
	return err == -EAGAIN || err == -ENOTCONN || err == -ETIMEDOUT || err == -EMSGSIZE ||
	       err == -ENOMEM;
}

/* An attempt failed: once more, or the end. */
static void flint_piece_fail(struct flint_piece *piece, int err)
{
	struct flint_dio *dio = piece->dio;
	unsigned long delay = FLINT_RETRY_MIN << min(piece->tries, 5u);

	delay = min_t(unsigned long, delay, FLINT_RETRY_MAX);
	if (flint_piece_retriable(err) && !READ_ONCE(dio->aborted) &&
	    !READ_ONCE(dio->fs->shutdown) &&
	    (!dio->deadline || time_before(jiffies + delay, dio->deadline))) {
		piece->tries++;
		flint_stat_inc(dio->fs, FLINT_STAT_RETRIES);
		queue_delayed_work(dio->fs->io_wq, &piece->again, piece->permit ? 0 : delay);
		return;
	}
	if (flint_piece_retriable(err)) {
		flint_stat_inc(dio->fs, FLINT_STAT_TIMEOUTS);
		if (dio->kind == FLINT_DIO_CACHE)
			atomic_inc(&flint_i(dio->inode)->lost);
		err = READ_ONCE(dio->aborted) ? -EINTR : -EIO;
		if (dio->kind == FLINT_DIO_WRITEBACK && !dio->fs->opts.soft)
			err = -EAGAIN;	/* it stays dirty */
	}
	flint_piece_end(piece, err);
}

/* ---- replies ---------------------------------------------------------- */

static void flint_piece_log(const struct flint_piece *piece, const char *what)
{
	pr_err_ratelimited("%s: inode %lu chunk %u of chain %u at target %u, bytes %u to %u: %s\n",
			   piece->dio->fs->name, piece->dio->inode->i_ino, piece->index,
			   piece->chain, piece->target, piece->offset,
			   piece->offset + piece->len - 1, what);
}

/* Damaged on its way or in one replica: others may have it whole. */
static int flint_piece_bad(struct flint_piece *piece, const char *what)
{
	flint_piece_log(piece, what);
	return ++piece->bad < FLINT_BAD_MAX ? -EAGAIN : -EIO;
}

static bool flint_piece_crc_ok(const struct flint_piece *piece, const struct flint_io_rep *rep,
			       const u8 *crcs)
{
	u32 left = le32_to_cpu(rep->length), off = piece->offset, n;
	struct flint_mempos c = piece->at;

	for (; left; left -= n, off += n, crcs += sizeof(__le32)) {
		u32 block = 1u << rep->crc_shift;

		n = min(left, block - (off & (block - 1)));
		if (flint_mem_crc(piece->dio->mem, &c, n) != get_unaligned_le32(crcs))
			return false;
	}
	return true;
}

static int flint_piece_data(struct flint_piece *piece, struct flint_req *req)
{
	struct flint_dio *dio = piece->dio;
	struct flint_io_rep rep;
	u32 got;

	if (req->rep_len < sizeof(rep)) {
		flint_piece_log(piece, "the reply is too short");
		return -EIO;
	}
	memcpy(&rep, req->rep_body, sizeof(rep));
	if (dio->src && !req->rep_data_len)
		return 0;	/* its length is the chunk's size, whatever that is */
	if (flint_io_rep_check(&rep, req->rep_len - sizeof(rep), piece->offset, piece->len,
			       req->rep_data_len, !dio->write)) {
		flint_piece_log(piece, "the reply makes no sense");
		return -EIO;
	}
	if (dio->write)
		return 0;
	if (!flint_piece_crc_ok(piece, &rep, (const u8 *)req->rep_body + sizeof(rep))) {
		flint_stat_inc(dio->fs, FLINT_STAT_CRC_ERRORS);
		return flint_piece_bad(piece, "the data does not match its checksum");
	}
	got = le32_to_cpu(rep.length);
	if (got < piece->len)
		flint_mem_zero(dio->mem, piece->rel + got, piece->len - got);
	return 0;
}

/*
 * Is this a write for its session only? What may have been executed is not repeated in the next
 * one: it could undo a later write. What is written back then is not ours to write any more, nor
 * is the place of an append that no server knew of.
 */
static bool flint_piece_bound(const struct flint_piece *piece)
{
	const struct flint_dio *dio = piece->dio;

	return dio->write && (piece->doubt || dio->session || dio->kind == FLINT_DIO_WRITEBACK);
}

static int flint_piece_status(struct flint_piece *piece, u32 status)
{
	struct flint_fs *fs = piece->dio->fs;

	switch (status) {
	case FLINT_ST_STALE_MAP:
	case FLINT_ST_NOT_SERVING:
		flint_map_refresh(fs);
		return -EAGAIN;
	case FLINT_ST_STALE_EPOCH:
		if (piece->dio->write) {
			WRITE_ONCE(piece->dio->stale, true);
			return -ESTALE;
		}
		piece->refresh = true;
		return -EAGAIN;
	case FLINT_ST_RETRY:
	case FLINT_ST_SHUTDOWN:
	case FLINT_ST_NOT_LEADER:
		return -EAGAIN;
	case FLINT_ST_NEED_PERMIT:
		if (++piece->permits > FLINT_PERMITS_MAX)
			return -EACCES;
		piece->permit = true;
		return -EAGAIN;
	case FLINT_ST_CHECKSUM:
		flint_stat_inc(fs, FLINT_STAT_CRC_ERRORS);
		return flint_piece_bad(piece, "the stored data fails its checksum");
	}
	if (flint_session_over(status)) {
		return flint_session_lost(fs, piece->session, status) && !flint_piece_bound(piece) ?
		       -EAGAIN : -EIO;
	}
	if (status >= 1000 || status == EIO)
		pr_err_ratelimited("%s: target %u refused a request for inode %lu chunk %u (status %u)\n",
				   fs->name, piece->target, piece->dio->inode->i_ino,
				   piece->index, status);
	return flint_status_errno(status);
}

static void flint_piece_done(struct flint_req *req)
{
	struct flint_piece *piece = req->priv;
	int err = req->err;

	if (err) {
		piece->doubt |= req->sent_boot != 0;
	} else {
		flint_map_seen(piece->dio->fs, req->rep_epoch);
		err = req->status ? flint_piece_status(piece, req->status) :
		      flint_piece_data(piece, req);
	}
	if (err)
		flint_piece_fail(piece, err);
	else
		flint_piece_end(piece, 0);
}

/* ---- requests --------------------------------------------------------- */

/**
 * flint_route() - find the chain and the target of a chunk
 * @inode: regular file
 * @index: of the chunk
 * @write: it is to be changed
 * @last: id of the target that was asked last, 0: none
 * @again: to read, prefer it; else prefer any other
 * @map: current map; keeps @route alive
 * @route: result
 *
 * Context: process, may sleep.
 * Return: 0, -EAGAIN when a newer map is needed (it was asked for), -EIO, -ENOMEM or an
 * error of flint_map_peer().
 */
int flint_route(struct inode *inode, u32 index, bool write, u32 last, bool again,
		struct flint_mapref *map, struct flint_route *route)
{
	struct flint_inode *fi = flint_i(inode);
	const struct flint_map_target *target;
	const struct flint_map_table *table;
	const struct flint_map_chain *chain;
	const struct flint_place *place;
	u32 slot;
	int err = flint_inode_place(inode, map);

	if (err)
		return err;
	place = READ_ONCE(fi->place);
	if (!place)
		return -EAGAIN;	/* it took another layout this moment */
	table = flint_map_table(&map->map, le32_to_cpu(fi->layout.table),
				le32_to_cpu(fi->layout.table_ver));
	slot = place->slot[index % place->width];
	if (!table || slot >= le32_to_cpu(table->nr))
		return -EIO;
	chain = flint_map_chain(&map->map,
				le32_to_cpu(map->map.chain_ids[le32_to_cpu(table->first) + slot]));
	if (!chain)
		return -EIO;
	target = flint_replica_pick(map, chain, write, last, again, &route->peer);
	if (target == ERR_PTR(-EAGAIN))
		flint_map_refresh(flint_fs(inode->i_sb));
	if (IS_ERR(target))
		return PTR_ERR(target);
	route->chain = le32_to_cpu(chain->id);
	route->chain_ver = le32_to_cpu(chain->version);
	route->target = le32_to_cpu(target->id);
	return 0;
}

static void flint_piece_fill(struct flint_piece *piece, struct flint_io *io,
			     const struct flint_route *route)
{
	struct flint_inode *fi = flint_i(piece->dio->inode);

	io->chain = cpu_to_le32(route->chain);
	io->chain_ver = cpu_to_le32(route->chain_ver);
	io->target = cpu_to_le32(route->target);
	io->fs = cpu_to_le32(piece->dio->fs->fsid);
	io->ino = cpu_to_le64(piece->dio->inode->i_ino);
	io->gen = cpu_to_le32(fi->gen);
	io->trunc_epoch = cpu_to_le32(piece->dio->write ? piece->dio->epoch :
				      READ_ONCE(fi->trunc_epoch));
	io->index = cpu_to_le32(piece->index);
	io->offset = cpu_to_le32(piece->offset);
	io->length = cpu_to_le32(piece->len);
	io->chunk_shift = fi->layout.chunk_shift;
	/* We look at all that is read; once it was damaged the server does, which can repair it. */
	if (!piece->dio->write && !piece->bad)
		io->flags = cpu_to_le32(FLINT_IO_UNCHECKED);
	piece->chain = route->chain;
	piece->target = route->target;
}

/* What CLONE says more; the whole chunk is meant. */
static void flint_piece_fill_clone(struct flint_piece *piece, struct flint_clone *clone)
{
	const struct inode *src = piece->dio->src;

	clone->dst.offset = 0;
	clone->dst.length = 0;
	clone->src_ino = cpu_to_le64(src->i_ino);
	clone->src_gen = cpu_to_le32(flint_i(src)->gen);
	clone->src_epoch = cpu_to_le32(READ_ONCE(flint_i(src)->trunc_epoch));
	clone->src_index = cpu_to_le32(piece->index + piece->dio->src_delta);
}

static u16 flint_dio_op(const struct flint_dio *dio)
{
	return dio->src ? FLINT_OP_CLONE : dio->punch ? FLINT_OP_PUNCH :
	       dio->write ? FLINT_OP_WRITE : FLINT_OP_READ;
}

/* Shorten a piece to what one request carries; *rest: the remainder, not yet sent. */
static int flint_piece_cut(struct flint_piece *piece, struct flint_peer *peer,
			   struct flint_piece **rest)
{
	const struct flint_mem *mem = piece->dio->mem;
	struct flint_mempos at = piece->at;
	struct flint_iopart part;
	u32 len;

	if (piece->dio->src)
		return 0;
	len = piece->dio->punch ? flint_peer_max_io(peer) :
	      flint_bvec_span(peer, mem->bv + at.i, mem->nr - at.i, at.skip, piece->len);
	if (len >= piece->len)
		return 0;
	len = flint_iosplit_cut(piece->offset, piece->len, max(len, 1u));
	flint_mempos_advance(mem, &at, len);
	part.index = piece->index;
	part.offset = piece->offset + len;
	part.len = piece->len - len;
	*rest = flint_piece_new(piece->dio, piece->rel + len, &at, &part);
	if (!*rest)
		return -ENOMEM;
	piece->len = len;
	if (piece->dio->write && piece->sent) {
		/* The same sequence must mean the same request. */
		flint_seq_end(piece->dio->fs, &piece->seq);
		flint_seq_begin(piece->dio->fs, &piece->seq);
		piece->sent = false;
	}
	return 0;
}

static bool flint_piece_orphaned(const struct flint_piece *piece)
{
	if (piece->session == flint_session(piece->dio->fs) || !flint_piece_bound(piece))
		return false;
	flint_piece_log(piece, "the session ended before the write was answered");
	return true;
}

static int flint_piece_send(struct flint_piece *piece, unsigned int flags,
			    struct flint_piece **rest)
{
	struct flint_dio *dio = piece->dio;
	struct flint_mapref *map = flint_map_get(dio->fs);
	struct flint_route route;
	struct flint_req *req;
	int err = -EIO;

	if (!map)
		return -EIO;
	if (READ_ONCE(dio->fs->shutdown) || flint_piece_orphaned(piece))
		goto put_map;
	piece->session = flint_session(dio->fs);
	err = flint_route(dio->inode, piece->index, dio->write, piece->tries ? piece->target : 0,
			  piece->bad == 1, map, &route);
	if (!err)
		err = flint_piece_cut(piece, route.peer, rest);
	if (err)
		goto put_map;
	err = -ENOMEM;
	req = flint_req_alloc(flint_dio_op(dio), dio->src ? sizeof(struct flint_clone) :
			      sizeof(struct flint_io), GFP_NOFS);
	if (!req)
		goto put_map;
	flint_piece_fill(piece, req->body, &route);
	if (dio->src)
		flint_piece_fill_clone(piece, req->body);
	if (dio->write) {
		req->seq = piece->seq.seq;
		req->seq_low = flint_seq_low(dio->fs);
		req->retry = piece->sent;
	}
	req->tries = piece->tries;
	req->session = piece->session;
	if (!dio->punch) {
		req->dir = dio->write ? FLINT_DIR_OUT : FLINT_DIR_IN;
		req->bvec = dio->mem->bv + piece->at.i;
		req->nr_bvec = dio->mem->nr - piece->at.i;
		req->bv_skip = piece->at.skip;
		req->data_len = piece->len;
		req->hold = &dio->mem->hold;
	}
	req->done = flint_piece_done;
	req->atomic = dio->kind == FLINT_DIO_SYNC || dio->kind == FLINT_DIO_ASYNC;
	req->priv = piece;
	req->deadline = jiffies + FLINT_RPC_TIMEO;
	if (dio->deadline && time_after(req->deadline, dio->deadline))
		req->deadline = dio->deadline;
	piece->sent = true;
	err = flint_req_submit(route.peer, req, flags);
	flint_req_put(req);
put_map:
	flint_map_put(map);
	return err;
}

/*
 * Send a piece and what has to be cut off it. With FLINT_SUBMIT_NOWAIT in
 * @flags and @first, -EAGAIN means that nothing was sent and the piece is gone.
 */
static int flint_piece_go(struct flint_piece *piece, unsigned int flags, bool first)
{
	struct flint_piece *rest;
	int err;

	do {
		rest = NULL;
		err = flint_piece_send(piece, flags, &rest);
		if (err == -EAGAIN && first && (flags & FLINT_SUBMIT_NOWAIT)) {
			if (rest)
				flint_piece_end(rest, -EAGAIN);
			flint_piece_end(piece, -EAGAIN);
			return -EAGAIN;
		}
		if (err)
			flint_piece_fail(piece, err);
		first = false;
		piece = rest;
	} while (piece);
	return 0;
}

static void flint_piece_again(struct work_struct *work)
{
	struct flint_piece *piece = container_of(to_delayed_work(work), struct flint_piece, again);
	struct flint_dio *dio = piece->dio;
	int err = 0;

	if (READ_ONCE(dio->aborted)) {
		flint_piece_end(piece, -EINTR);
		return;
	}
	if (piece->permit) {
		piece->permit = false;
		err = flint_permit_show(dio->inode, piece->target, jiffies + FLINT_RPC_TIMEO);
		if (!err && dio->src && dio->src != dio->inode)
			err = flint_permit_show(dio->src, piece->target, jiffies + FLINT_RPC_TIMEO);
		if (err) {
			flint_piece_fail(piece, err);
			return;
		}
	}
	if (piece->refresh) {
		err = flint_inode_refresh(dio->inode, jiffies + FLINT_RPC_TIMEO);
		piece->refresh = false;
	}
	if (err == -EIO && !READ_ONCE(dio->fs->shutdown)) {
		piece->refresh = true;
		flint_piece_fail(piece, -EAGAIN);
	} else if (err) {
		flint_piece_end(piece, err);
	} else {
		flint_piece_go(piece, 0, false);
	}
}

/* Split and send. Return: 0, or -EAGAIN when @nowait and nothing was sent. */
static int flint_dio_start(struct flint_dio *dio, bool nowait)
{
	unsigned int flags = nowait ? FLINT_SUBMIT_NOWAIT : 0;
	u8 shift = flint_i(dio->inode)->layout.chunk_shift;
	struct flint_mempos at = {};
	struct flint_iopart part;
	struct flint_piece *piece;
	size_t rel = 0;
	int err;

	while (rel < dio->size) {
		err = flint_iosplit_next(dio->pos + rel, dio->size - rel, shift, &part);
		if (err < 0)
			goto fail;
		err = -ENOMEM;
		piece = flint_piece_new(dio, rel, &at, &part);
		if (!piece)
			goto fail;
		if (flint_piece_go(piece, flags, !rel))
			return -EAGAIN;
		rel += part.len;
		flint_mempos_advance(dio->mem, &at, part.len);
		err = -EINTR;
		if (dio->kind == FLINT_DIO_SYNC && fatal_signal_pending(current))
			goto fail;
	}
	return 0;
fail:
	flint_dio_error(dio, rel, err);
	return 0;
}

/* ---- calls from the VFS ----------------------------------------------- */

static unsigned long flint_dio_deadline(struct flint_fs *fs)
{
	/* The rest of io_timeo is for draining and announcing the size. */
	return (jiffies + msecs_to_jiffies(fs->opts.io_timeo / 4 * 3)) | 1;
}

/* Wait for a synchronous dio. Return: its result; -EINTR when killed. */
static ssize_t flint_dio_wait(struct flint_dio *dio, struct iov_iter *iter)
{
	struct flint_mem *mem = dio->mem;
	ssize_t ret;

	if (wait_for_completion_killable(&dio->done)) {
		WRITE_ONCE(dio->aborted, true);
		if (mem->kind != FLINT_MEM_REFS) {
			if (dio->write)
				flint_wb_leave(dio->inode);
			dio->left = dio->write;
			return -EINTR;	/* the last piece cleans up */
		}
		/* The caller's pages: no retries, so the attempts' deadlines end this. */
		wait_for_completion(&dio->done);
	}
	ret = flint_dio_result(dio);
	if (ret > 0 && !dio->write && mem->kind == FLINT_MEM_OWN) {
		unsigned int i;
		size_t left = ret;

		for (i = 0; i < mem->nr && left; i++) {
			size_t n = min_t(size_t, left, mem->bv[i].bv_len);

			if (copy_page_to_iter(mem->bv[i].bv_page, 0, n, iter) != n)
				return ret == left ? -EFAULT : ret - left;
			left -= n;
		}
	}
	return ret;
}

static ssize_t flint_dio_sync(struct kiocb *iocb, struct iov_iter *iter, bool write, u64 session)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_mem *mem = flint_mem_get(iter, FLINT_DIO_MAX, write);
	struct flint_dio *dio;
	ssize_t ret;
	int err;

	if (IS_ERR(mem))
		return PTR_ERR(mem);
	dio = flint_dio_alloc(inode, mem, FLINT_DIO_SYNC, write, iocb->ki_pos);
	if (!dio)
		return -ENOMEM;
	dio->session = session;
	if (fs->opts.soft || !is_sync_kiocb(iocb) || (current->flags & PF_KTHREAD))
		dio->deadline = flint_dio_deadline(fs);
	flint_dio_start(dio, false);
	do {
		flint_dio_unpend(dio);
		ret = flint_dio_wait(dio, iter);
	} while (write && ret != -EINTR && flint_dio_restart(dio));
	if (ret > 0 && write) {
		err = flint_write_end(inode, iocb->ki_pos, ret, dio->epoch, dio->deadline);
		if (err)
			ret = err;
	}
	if (ret > 0)
		iocb->ki_pos += ret;
	flint_dio_put(dio, false);
	return ret;
}

static ssize_t flint_dio_async(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct flint_mem *mem = flint_mem_get(iter, FLINT_DIO_MAX, write);
	struct flint_dio *dio;
	size_t len;

	if (IS_ERR(mem))
		return PTR_ERR(mem);
	len = mem->len;
	dio = flint_dio_alloc(inode, mem, FLINT_DIO_ASYNC, write, iocb->ki_pos);
	if (!dio)
		return -ENOMEM;
	dio->iocb = iocb;
	dio->deadline = flint_dio_deadline(dio->fs);
	if (flint_dio_start(dio, iocb->ki_flags & IOCB_NOWAIT)) {
		iov_iter_revert(iter, len);
		flint_dio_put(dio, false);
		return -EAGAIN;
	}
	flint_dio_unpend(dio);
	return -EIOCBQUEUED;
}

/* Can this go as one asynchronous call? */
static bool flint_dio_fits(struct iov_iter *iter)
{
	if (iov_iter_count(iter) > FLINT_DIO_MAX)
		return false;
	if (user_backed_iter(iter))
		return iov_iter_npages(iter, FLINT_DIO_MAX_SEGS + 1) <= FLINT_DIO_MAX_SEGS;
	return iov_iter_is_bvec(iter) && iter->nr_segs <= FLINT_DIO_MAX_SEGS &&
	       !PageSlab(compound_head(iter->bvec->bv_page));
}

static ssize_t flint_dio_loop(struct kiocb *iocb, struct iov_iter *iter, bool write, u64 session)
{
	ssize_t ret, total = 0;

	do {
		size_t before = iov_iter_count(iter), used;

		ret = flint_dio_sync(iocb, iter, write, session);
		if (ret <= 0)
			break;
		total += ret;
		used = before - iov_iter_count(iter);
		if (ret < used) {
			iov_iter_revert(iter, used - ret);
			break;	/* an error ended it: the next call will meet it */
		}
	} while (iov_iter_count(iter) && !fatal_signal_pending(current));
	return total ? total : ret;
}

/*
 * What stands dirty in the cache goes first. Count what was asked for, and keep
 * readers of the cache from seeing old pages.
 */
static int flint_dio_prepare(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct flint_fs *fs = flint_fs(inode->i_sb);
	loff_t end = iocb->ki_pos + iov_iter_count(iter) - 1;
	int err;

	if (READ_ONCE(flint_i(inode)->owes) &&
	    filemap_range_needs_writeback(inode->i_mapping, iocb->ki_pos, end)) {
		if (iocb->ki_flags & IOCB_NOWAIT)
			return -EAGAIN;
		err = flint_wb_write(inode, iocb->ki_pos, end, 0);
		if (err)
			return err;
	}
	if (!write) {
		flint_stat_inc(fs, FLINT_STAT_READ_OPS);
		flint_stat_add(fs, FLINT_STAT_READ_BYTES, iov_iter_count(iter));
		return 0;
	}
	if (inode->i_mapping->nrpages) {
		if (iocb->ki_flags & IOCB_NOWAIT)
			return -EAGAIN;
		invalidate_inode_pages2_range(inode->i_mapping, iocb->ki_pos >> PAGE_SHIFT,
					      end >> PAGE_SHIFT);
	}
	flint_stat_inc(fs, FLINT_STAT_WRITE_OPS);
	flint_stat_add(fs, FLINT_STAT_WRITE_BYTES, iov_iter_count(iter));
	return 0;
}

/* Data is written to what the metadata server knows. */
static int flint_dio_known(const struct kiocb *iocb, bool write)
{
	struct inode *inode = file_inode(iocb->ki_filp);

	if (!write)
		return 0;
	if ((iocb->ki_flags & IOCB_NOWAIT) && flint_delegate_has(inode))
		return -EAGAIN;
	return flint_delegate_settle(inode, 0);
}

/**
 * flint_dio_rw() - read or write without the page cache
 * @iocb: position, flags; asynchronous only for IOCB_DIRECT
 * @iter: memory of any kind and alignment but a pipe
 * @write: direction; a write's position and length are checked already
 * @session: a synchronous write is over when this one is; 0: it goes on in the next
 *
 * Return: bytes (a short count at the end of file or before an error),
 * -EIOCBQUEUED, -EAGAIN for IOCB_NOWAIT, -EINTR when killed, or an error.
 */
ssize_t flint_dio_rw(struct kiocb *iocb, struct iov_iter *iter, bool write, u64 session)
{
	size_t cut = 0, count = iov_iter_count(iter);
	loff_t size;
	ssize_t ret;

	if (!write) {
		size = i_size_read(file_inode(iocb->ki_filp));
		if (iocb->ki_pos >= size)
			return 0;
		if (count > size - iocb->ki_pos) {
			cut = count - (size - iocb->ki_pos);
			iov_iter_truncate(iter, size - iocb->ki_pos);
		}
	}
	ret = flint_dio_known(iocb, write);
	if (!ret)
		ret = flint_dio_prepare(iocb, iter, write);
	if (ret)
		goto out;
	if (!is_sync_kiocb(iocb) && (iocb->ki_flags & IOCB_DIRECT) && flint_dio_fits(iter))
		ret = flint_dio_async(iocb, iter, write);
	else if (iocb->ki_flags & IOCB_NOWAIT)
		ret = -EAGAIN;
	else
		ret = flint_dio_loop(iocb, iter, write, session);
out:
	if (ret != -EIOCBQUEUED)
		iov_iter_reexpand(iter, iov_iter_count(iter) + cut);
	return ret;
}

/* A dio without memory, for what the servers do by themselves. */
static struct flint_dio *flint_dio_bare(struct inode *inode, loff_t pos, size_t len)
{
	struct flint_mem *mem = flint_mem_alloc(0, FLINT_MEM_OWN, GFP_KERNEL);
	struct flint_dio *dio;

	if (!mem)
		return NULL;
	mem->len = len;
	dio = flint_dio_alloc(inode, mem, FLINT_DIO_SYNC, true, pos);
	if (dio)
		dio->punch = true;
	return dio;
}

static int flint_dio_bare_run(struct flint_dio *dio, size_t len, unsigned long deadline)
{
	ssize_t ret;

	dio->deadline = deadline;
	if (dio->fs->opts.soft || (current->flags & PF_KTHREAD))
		dio->deadline = flint_dio_deadline(dio->fs);
	flint_dio_start(dio, false);
	do {
		flint_dio_unpend(dio);
		ret = flint_dio_wait(dio, NULL);
	} while (ret != -EINTR && flint_dio_restart(dio));
	if (ret > 0)
		ret = ret == len ? 0 : dio->err;
	flint_dio_put(dio, false);
	return ret;
}

/**
 * flint_dio_punch() - make a range read as zeros
 * @inode: regular file, locked
 * @pos: first byte
 * @len: bytes, at most FLINT_DIO_MAX
 * @deadline: jiffies, or 0 for what the mount options say
 *
 * Context: killable. The size does not change; the page cache is the caller's.
 * Return: 0, -EINTR, or an error.
 */
int flint_dio_punch(struct inode *inode, loff_t pos, size_t len, unsigned long deadline)
{
	struct flint_dio *dio;
	int err = flint_wb_alone(inode);

	if (err)
		return err;
	dio = flint_dio_bare(inode, pos, len);
	return dio ? flint_dio_bare_run(dio, len, deadline) : -ENOMEM;
}

/**
 * flint_dio_clone() - let chunks be what others are
 * @inode: regular file, locked
 * @index: first chunk that changes
 * @src: where from, of the same chunk size; may be @inode, but nothing may be both
 *	read and changed
 * @src_index: first chunk there; each must be of the same chain as the one that changes
 * @nr: chunks, together at most FLINT_DIO_MAX bytes
 * @deadline: jiffies, or 0 for what the mount options say
 *
 * Context: killable. No size changes; the page cache is the caller's.
 * Return: 0, -EINTR, or an error; then any of them may be done.
 */
int flint_dio_clone(struct inode *inode, u32 index, struct inode *src, u32 src_index, u32 nr,
		    unsigned long deadline)
{
	u8 shift = flint_i(inode)->layout.chunk_shift;
	size_t len = (size_t)nr << shift;
	struct flint_dio *dio;
	int err = flint_wb_alone(inode);

	if (err)
		return err;
	dio = flint_dio_bare(inode, (loff_t)index << shift, len);
	if (!dio)
		return -ENOMEM;
	ihold(src);
	dio->src = src;
	dio->src_delta = src_index - index;
	return flint_dio_bare_run(dio, len, deadline);
}

/**
 * flint_dio_folios() - fill locked folios of the page cache
 * @inode: of the mapping
 * @bv: one entry a folio, in order
 * @nr: of them
 * @pos: of the first
 * @len: bytes in all
 *
 * The folios are unlocked when their data is there, or with an error.
 * Return: 0.
 */
int flint_dio_folios(struct inode *inode, struct bio_vec *bv, unsigned int nr, loff_t pos,
		     size_t len)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	loff_t size = i_size_read(inode);
	struct flint_mem *mem = flint_mem_alloc(nr, FLINT_MEM_CACHE, GFP_NOFS);
	struct flint_dio *dio;
	unsigned int i;

	if (!mem) {
		flint_folios_end(inode, bv, nr, 0, false);
		return 0;
	}
	for (i = 0; i < nr; i++) {
		get_page(bv[i].bv_page);
		flint_mem_add(mem, bv[i].bv_page, bv[i].bv_offset, bv[i].bv_len);
	}
	flint_stat_add(fs, FLINT_STAT_CACHE_PAGES, len >> PAGE_SHIFT);
	dio = flint_dio_alloc(inode, mem, FLINT_DIO_CACHE, false, pos);
	if (!dio) {
		flint_folios_end(inode, bv, nr, 0, false);
		return 0;
	}
	if (pos + len > size) {
		dio->size = pos < size ? size - pos : 0;
		dio->good = dio->size;
		dio->tail = len - dio->size;
		flint_mem_zero(mem, dio->size, dio->tail);
	}
	dio->deadline = flint_dio_deadline(fs);
	flint_dio_start(dio, false);
	flint_dio_unpend(dio);
	return 0;
}

/**
 * flint_dio_write_folios() - write folios back
 * @inode: of the mapping
 * @bv: one entry a folio, in order, the last one cut at the end of file
 * @nr: of them, under write-back
 * @pos: of the first
 *
 * Their write-back ends when the servers have them, or with an error; when there
 * was no answer in time they are dirty again (flint_folios_written()).
 */
void flint_dio_write_folios(struct inode *inode, struct bio_vec *bv, unsigned int nr, loff_t pos)
{
	struct flint_mem *mem = flint_mem_alloc(nr, FLINT_MEM_CACHE, GFP_NOFS | __GFP_NOWARN);
	unsigned long most = FLINT_WB_TIMEO;
	struct flint_dio *dio = NULL;
	unsigned int i;

	if (mem) {
		for (i = 0; i < nr; i++) {
			get_page(bv[i].bv_page);
			flint_mem_add(mem, bv[i].bv_page, bv[i].bv_offset, bv[i].bv_len);
		}
		dio = flint_dio_alloc(inode, mem, FLINT_DIO_WRITEBACK, true, pos);
	}
	if (!dio) {
		flint_folios_written(inode, bv, nr, 0, -EAGAIN);
		return;
	}
	dio->deadline = flint_dio_deadline(dio->fs);
	/*
	 * Who waits for the page cannot be killed, and the lease must last; without an
	 * answer it stays dirty.
	 */
	if (READ_ONCE(flint_i(inode)->owes_lease))
		most = min(most, flint_lease_left(dio->fs));
	if (!dio->fs->opts.soft && time_after(dio->deadline, jiffies + most))
		dio->deadline = (jiffies + most) | 1;
	flint_dio_start(dio, false);
	flint_dio_unpend(dio);
}
