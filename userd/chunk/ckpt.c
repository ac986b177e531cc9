// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzzy checkpoints: the index, the floors and the result windows are written
 * to the area that the checkpoint before last used, piece by piece while they
 * change, one segment in flight. When all is on stable storage the header is
 * written, and the log before the checkpoint's beginning is free.
 *
 * Why it may be fuzzy: apply.c. Slots are walked in rising order; what is made
 * in a slot already passed is in the log behind the checkpoint's beginning.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "store.h"
#include "../base/crc.h"
#include "../base/log.h"

enum ckpt_phase {
	CKPT_IDLE,
	CKPT_INODES,
	CKPT_CHUNKS,
	CKPT_CLIENTS,
	CKPT_SYNC,
	CKPT_HEAD,
};

struct flint_ckpt {
	enum ckpt_phase phase;
	u8 *buf;		/* one segment */
	u32 used;
	u32 slot;		/* of the slab being walked, or hash bucket */
	u64 seq, wal_pos, wal_seq, nr_segs;
	u32 in_bucket;		/* clients of the bucket that are done */
	bool snapped;		/* a client is half written: */
	struct flint_rec_client head;
	struct flint_rec_seq *snap;
	u32 snap_cap, snap_nr, snap_at;
	struct flint_dio io;
};

#define RESULTS_PER_REC	1000u
/* No request outlives its connection's deadline, which is seconds. */
#define TOMBSTONE_KEEP_S	3600u

static u64 area_of(const struct flint_store *st, u64 seq)
{
	return st->ckpt_off[seq & 1];
}

int flint_ckpt_init(struct flint_store *st)
{
	st->ckpt = calloc(1, sizeof(*st->ckpt));
	if (!st->ckpt)
		return -ENOMEM;
	st->ckpt->buf = st->arena + 2 * FLINT_WAL_BUF;
	return 0;
}

void flint_ckpt_free(struct flint_store *st)
{
	if (st->ckpt)
		free(st->ckpt->snap);
	free(st->ckpt);
}

bool flint_ckpt_running(const struct flint_store *st)
{
	return st->ckpt->phase != CKPT_IDLE;
}

static void head_fill(struct flint_ckpt_head *h, u32 uuid_crc, u64 seq, u64 wal_seq, u64 wal_pos,
		      u64 nr_segs, u64 zeroed)
{
	memset(h, 0, FLINT_STORE_ALIGN);
	h->magic = cpu_to_le32(FLINT_CKPT_MAGIC);
	h->seq = cpu_to_le64(seq);
	h->wal_seq = cpu_to_le64(wal_seq);
	h->wal_pos = cpu_to_le64(wal_pos);
	h->nr_segs = cpu_to_le64(nr_segs);
	h->zeroed = cpu_to_le64(zeroed);
	h->crc = cpu_to_le32(flint_crc32c(uuid_crc, h, FLINT_STORE_ALIGN));
}

int flint_ckpt_format(struct flint_dev *dev, const struct flint_disk_super *sb)
{
	struct flint_ckpt_head *h = NULL;
	int ret, i;

	if (posix_memalign((void **)&h, FLINT_STORE_ALIGN, FLINT_STORE_ALIGN))
		return -ENOMEM;
	/* Two, so that each area has a header that checks; the second is the newer. */
	for (i = 0, ret = 0; i < 2 && !ret; i++) {
		head_fill(h, flint_crc32c(0, sb->uuid, sizeof(sb->uuid)), (u64)i, 1, 0, 0, 0);
		ret = dev->ops->pwrite(dev, h, FLINT_STORE_ALIGN, le64_to_cpu(sb->ckpt_off[i]));
	}
	free(h);
	return ret;
}

/* ---- writing ------------------------------------------------------------ */

static void step_done(struct flint_dio *io, int err);

static void ckpt_io(struct flint_store *st, u8 op, u64 off, u32 len)
{
	struct flint_ckpt *k = st->ckpt;

	k->io.op = op;
	k->io.flags = op == FLINT_DIO_WRITE && k->phase == CKPT_HEAD ? FLINT_DIO_DSYNC : 0;
	k->io.off = off;
	k->io.len = len;
	k->io.buf = k->buf;
	k->io.done = step_done;
	k->io.arg = st;
	flint_dio_submit(st, &k->io);
}

static void *rec_add(struct flint_ckpt *k, u16 type, u32 len)
{
	struct flint_rec_hdr *h = (void *)(k->buf + k->used);

	len = (len + 7) & ~7u;
	if (k->used + len > FLINT_CKPT_SEG_SIZE)
		return NULL;
	memset(h, 0, len);
	h->type = cpu_to_le16(type);
	h->flags = cpu_to_le16(FLINT_REC_SNAPSHOT);
	h->len = cpu_to_le32(len);
	k->used += len;
	return h;
}

static bool add_inode(struct flint_ckpt *k, const struct flint_inode *in)
{
	struct flint_rec_inode *r = rec_add(k, FLINT_REC_INODE, sizeof(*r));

	if (!r)
		return false;
	r->ino = cpu_to_le64(in->ino);
	r->fs = cpu_to_le32(in->fs);
	r->gen = cpu_to_le32(in->gen);
	r->epoch = cpu_to_le32(in->epoch);
	r->cut_epoch = cpu_to_le32(in->cut_epoch);
	r->flags = cpu_to_le32(in->flags);
	r->stamp_s = cpu_to_le64(in->stamp_s);
	return true;
}

static u32 count_runs(const struct flint_chunk *c)
{
	u32 n = 0, blk = 0, dev;

	while (blk < c->nr_blocks) {
		blk += flint_chunk_run(c, blk, c->nr_blocks - blk, &dev);
		n += dev != 0;
	}
	return n;
}

u32 flint_snapshot_len(const struct flint_store *st, const struct flint_chunk *c)
{
	u32 nr_crc = (u32)c->nr_blocks << (st->bs - st->cs);

	return (u32)((sizeof(struct flint_rec_chunk) +
		      count_runs(c) * sizeof(struct flint_rec_ext) + nr_crc * sizeof(u32) + 7) &
		     ~7ul);
}

void flint_snapshot_fill(const struct flint_store *st, const struct flint_chunk *c,
			 struct flint_rec_chunk *r)
{
	const struct flint_inode *in = flint_inode_at(&st->index, c->inode);
	u32 nr_crc = (u32)c->nr_blocks << (st->bs - st->cs), blk = 0, i = 0;
	struct flint_rec_ext *ext;
	__le32 *crc;

	if (c->flags & FLINT_CHUNK_SHARES)
		r->h.flags |= cpu_to_le16(FLINT_REC_SHARED);
	r->ino = cpu_to_le64(c->ino);
	r->fs = cpu_to_le32(in->fs);
	r->gen = cpu_to_le32(in->gen);
	r->epoch = cpu_to_le32(in->epoch);
	r->index = cpu_to_le32(c->index);
	r->version = cpu_to_le64(c->version);
	r->tag = cpu_to_le64(c->tag);
	r->size = cpu_to_le32(c->size);
	r->keep = cpu_to_le32(~0u);
	r->shift = c->shift;
	ext = (void *)(r + 1);
	while (blk < c->nr_blocks) {
		u32 dev, n = flint_chunk_run(c, blk, c->nr_blocks - blk, &dev);

		if (dev) {
			ext[i].blk = cpu_to_le32(blk);
			ext[i].dev = cpu_to_le32(dev);
			ext[i++].nr = cpu_to_le32(n);
		}
		blk += n;
	}
	r->nr_ext = cpu_to_le32(i);
	r->nr_crc = cpu_to_le32(nr_crc);
	crc = (void *)(ext + i);
	for (i = 0; i < nr_crc; i++)
		crc[i] = cpu_to_le32(i < c->cap_crc ? c->crc[i] : st->zero_crc);
}

static bool add_chunk(struct flint_store *st, const struct flint_chunk *c)
{
	struct flint_rec_chunk *r = rec_add(st->ckpt, FLINT_REC_CHUNK, flint_snapshot_len(st, c));

	if (r)
		flint_snapshot_fill(st, c, r);
	return r != NULL;
}

/*
 * A change that is held has not ended, but it is in the chunks that this checkpoint has, and
 * the log's record of it goes. What was here already has its result when it ends.
 */
static bool result_kept(const struct flint_client *c, const struct flint_result *e)
{
	if (e->op && e->op->applied && !e->op->already)
		return e->seq >= c->seq_low;
	return flint_result_wanted(c, e);
}

/* Copy what a client may still ask for: the window may change between segments. */
static bool snap_take(struct flint_ckpt *k, const struct flint_client *c)
{
	u32 i, n = 0;

	if (c->cap > k->snap_cap) {
		struct flint_rec_seq *p = realloc(k->snap, c->cap * sizeof(*p));

		if (!p)
			return false;
		k->snap = p;
		k->snap_cap = c->cap;
	}
	for (i = 0; i < c->cap; i++) {
		const struct flint_result *e = &c->tab[i];

		if (!result_kept(c, e))
			continue;
		k->snap[n].seq = cpu_to_le64(e->seq);
		k->snap[n].version = cpu_to_le64(e->version);
		k->snap[n].print = cpu_to_le32(e->print);
		k->snap[n++].length = cpu_to_le32(e->length);
	}
	memset(&k->head, 0, sizeof(k->head));
	memcpy(k->head.client, c->id, sizeof(k->head.client));
	k->head.session = cpu_to_le64(c->session);
	k->head.seq_low = cpu_to_le64(c->seq_low);
	k->head.stamp_s = cpu_to_le64(c->stamp_s);
	k->snap_nr = n;
	k->snap_at = 0;
	k->snapped = true;
	return true;
}

/* Records of the client that was copied. Return: false when the segment is full. */
static bool snap_write(struct flint_ckpt *k)
{
	do {
		u32 n = k->snap_nr - k->snap_at;
		struct flint_rec_client *r;
		struct flint_rec_hdr h;

		if (n > RESULTS_PER_REC)
			n = RESULTS_PER_REC;
		r = rec_add(k, FLINT_REC_CLIENT,
			    (u32)(sizeof(*r) + n * sizeof(struct flint_rec_seq)));
		if (!r)
			return false;
		h = r->h;
		*r = k->head;
		r->h = h;
		r->nr = cpu_to_le32(n);
		if (n)		/* there may be no array yet */
			memcpy(r + 1, k->snap + k->snap_at, n * sizeof(*k->snap));
		k->snap_at += n;
	} while (k->snap_at < k->snap_nr);
	k->snapped = false;
	return true;
}

/*
 * The clients of one bucket. Those that come meanwhile come in front, so that
 * counting skips none that was there when the checkpoint began.
 */
static bool add_bucket(struct flint_ckpt *k, const struct flint_client *c)
{
	u32 n;

	for (n = 0; c; c = c->next, n++) {
		if (n < k->in_bucket)
			continue;
		if (!k->snapped && !snap_take(k, c))
			return false;
		if (!snap_write(k))
			return false;
		k->in_bucket++;
	}
	k->in_bucket = 0;
	return true;
}

/* Fill a segment. Return: true when everything was walked. */
static bool segment_fill(struct flint_store *st)
{
	struct flint_ckpt *k = st->ckpt;
	struct flint_index *ix = &st->index;

	k->used = sizeof(struct flint_ckpt_seg);
	for (; k->phase == CKPT_INODES; k->slot++) {
		if (k->slot > ix->inodes.high) {
			k->phase = CKPT_CHUNKS;
			k->slot = 1;
			break;
		}
		if (flint_inode_at(ix, k->slot)->ino && !add_inode(k, flint_inode_at(ix, k->slot)))
			return false;
	}
	for (; k->phase == CKPT_CHUNKS; k->slot++) {
		const struct flint_chunk *c;

		if (k->slot > ix->chunks.high) {
			k->phase = CKPT_CLIENTS;
			k->slot = 0;
			break;
		}
		c = flint_chunk_at(ix, k->slot);
		if (c->ino && (c->flags & FLINT_CHUNK_STAMPED) && !add_chunk(st, c))
			return false;
	}
	for (; k->phase == CKPT_CLIENTS; k->slot++) {
		if (k->slot > st->windows.mask)
			return true;
		if (!add_bucket(k, st->windows.hash[k->slot]))
			return false;
	}
	return true;
}

static void ckpt_end(struct flint_store *st)
{
	struct flint_ckpt *k = st->ckpt;

	k->phase = CKPT_IDLE;
	st->kick(st->kick_arg);
}

/*
 * The area is full. New chunks are refused long before (flint_store_index_full),
 * so it is the windows of very many clients: some are left out, and after a
 * crash a repetition of theirs would be carried out again.
 */
static void ckpt_overflow(struct flint_store *st)
{
	struct flint_ckpt *k = st->ckpt;

	if (k->phase != CKPT_CLIENTS) {
		flint_store_fail(st, "checkpoint: the area is too small", -ENOSPC);
		ckpt_end(st);
		return;
	}
	flint_warn("%s: too many clients for a checkpoint: results of some will not survive a restart",
		   st->name);
	k->phase = CKPT_SYNC;
	ckpt_io(st, FLINT_DIO_SYNC, 0, 0);
}

/* Write the next segment, or go on to the header. */
static void ckpt_step(struct flint_store *st)
{
	struct flint_ckpt *k = st->ckpt;
	struct flint_ckpt_seg *s = (void *)k->buf;
	u64 off = area_of(st, k->seq) + FLINT_STORE_ALIGN + k->nr_segs * FLINT_CKPT_SEG_SIZE;
	bool last;

	if (off + FLINT_CKPT_SEG_SIZE > area_of(st, k->seq) + st->ckpt_len) {
		ckpt_overflow(st);
		return;
	}
	last = segment_fill(st);
	memset(s, 0, sizeof(*s));
	s->magic = cpu_to_le32(FLINT_CKPT_SEG_MAGIC);
	s->seq = cpu_to_le64(k->seq);
	s->nr = cpu_to_le64(k->nr_segs);
	s->len = cpu_to_le32(k->used);
	s->crc = cpu_to_le32(flint_crc32c(st->uuid_crc, s, k->used));
	k->nr_segs++;
	if (last)
		k->phase = CKPT_SYNC;
	st->stats.log_write_bytes += FLINT_CKPT_SEG_SIZE;
	ckpt_io(st, FLINT_DIO_WRITE, off, (k->used + FLINT_STORE_ALIGN - 1) & ~(FLINT_STORE_ALIGN - 1));
}

static void step_done(struct flint_dio *io, int err)
{
	struct flint_store *st = io->arg;
	struct flint_ckpt *k = st->ckpt;

	if (err) {
		flint_store_fail(st, "write a checkpoint", err);
		ckpt_end(st);
		return;
	}
	if (k->phase == CKPT_SYNC && io->op == FLINT_DIO_WRITE) {
		ckpt_io(st, FLINT_DIO_SYNC, 0, 0);
	} else if (k->phase == CKPT_SYNC) {
		k->phase = CKPT_HEAD;
		head_fill((void *)k->buf, st->uuid_crc, k->seq, k->wal_seq, k->wal_pos,
			  k->nr_segs, st->alloc.zeroed);
		ckpt_io(st, FLINT_DIO_WRITE, area_of(st, k->seq), FLINT_STORE_ALIGN);
	} else if (k->phase == CKPT_HEAD) {
		st->ckpt_seq = k->seq;
		st->ckpt_whole[k->seq & 1] = true;
		st->stats.checkpoints++;
		flint_wal_recycle(&st->wal, k->wal_pos);
		ckpt_end(st);
	} else {
		ckpt_step(st);
	}
}

/* Tombstones that no late request can need are forgotten. */
static void expire_tombstones(struct flint_store *st, u64 before)
{
	u32 slot;

	for (slot = 1; slot <= st->index.inodes.high; slot++) {
		struct flint_inode *in = flint_inode_at(&st->index, slot);

		if (in->ino && (in->flags & FLINT_CUT_REMOVE) && in->stamp_s < before &&
		    flint_inode_idle(in))
			flint_inode_drop(&st->index, in);
	}
}

void flint_ckpt_start(struct flint_store *st)
{
	struct flint_ckpt *k = st->ckpt;
	u64 now = flint_now_s();

	flint_windows_expire(&st->windows, now - FLINT_WINDOW_KEEP_S);
	expire_tombstones(st, now - TOMBSTONE_KEEP_S);
	flint_wal_mark(&st->wal, &k->wal_pos, &k->wal_seq);
	k->phase = CKPT_INODES;
	k->slot = 1;
	k->nr_segs = 0;
	k->in_bucket = 0;
	k->snapped = false;
	k->seq = st->ckpt_seq + 1;
	st->ckpt_whole[k->seq & 1] = false;
	ckpt_step(st);
}

/* ---- loading ------------------------------------------------------------ */

int flint_ckpt_head_sound(const struct flint_store *st, u8 *buf, struct flint_ckpt_head *h)
{
	memcpy(h, buf, sizeof(*h));
	((struct flint_ckpt_head *)buf)->crc = 0;
	if (h->magic != cpu_to_le32(FLINT_CKPT_MAGIC) ||
	    flint_crc32c(st->uuid_crc, buf, FLINT_STORE_ALIGN) != le32_to_cpu(h->crc) ||
	    le64_to_cpu(h->nr_segs) > st->ckpt_len / FLINT_CKPT_SEG_SIZE)
		return -EUCLEAN;
	return 0;
}

static int head_read(struct flint_store *st, int area, struct flint_ckpt_head *h)
{
	u8 *buf = st->ckpt->buf;
	int ret;

	ret = st->dev->ops->pread(st->dev, buf, FLINT_STORE_ALIGN, st->ckpt_off[area]);
	if (!ret)
		ret = flint_ckpt_head_sound(st, buf, h);
	if (!ret && (le64_to_cpu(h->seq) & 1) != (u64)area)
		ret = -EUCLEAN;
	return ret;
}

/*
 * Segments are read ahead by a thread of its own, so that the disk and the
 * processor work at the same time: a checkpoint may have gigabytes.
 */
#define READ_SEGS	8u

struct seg_reader {
	struct flint_dev *dev;
	u64 off, nr_segs;
	u8 *buf[2];
	u64 filled, taken;	/* buffers that were read, and given back */
	int err;
	bool stop, threaded;
	pthread_mutex_t lock;	/* protects filled, taken, err, stop */
	pthread_cond_t turn;
	pthread_t thread;
};

static int reader_fill(struct seg_reader *r, u64 nr)
{
	u64 first = nr * READ_SEGS, n = r->nr_segs - first;

	if (n > READ_SEGS)
		n = READ_SEGS;
	return r->dev->ops->pread(r->dev, r->buf[nr & 1], (u32)n * FLINT_CKPT_SEG_SIZE,
				  r->off + first * FLINT_CKPT_SEG_SIZE);
}

static void *reader_main(void *arg)
{
	struct seg_reader *r = arg;
	u64 nr, all = (r->nr_segs + READ_SEGS - 1) / READ_SEGS;
	int err = 0;

	for (nr = 0; nr < all && !err; nr++) {
		pthread_mutex_lock(&r->lock);
		while (nr > r->taken + 1 && !r->stop)
			pthread_cond_wait(&r->turn, &r->lock);
		err = r->stop ? -ECANCELED : 0;
		pthread_mutex_unlock(&r->lock);
		if (!err)
			err = reader_fill(r, nr);
		pthread_mutex_lock(&r->lock);
		r->err = err;
		r->filled = nr + 1;
		pthread_cond_broadcast(&r->turn);
		pthread_mutex_unlock(&r->lock);
	}
	return NULL;
}

static int reader_start(struct seg_reader *r, struct flint_dev *dev, u64 off, u64 nr_segs)
{
	int ret;

	memset(r, 0, sizeof(*r));
	r->dev = dev;
	r->off = off;
	r->nr_segs = nr_segs;
	if (posix_memalign((void **)&r->buf[0], FLINT_STORE_ALIGN,
			   2 * READ_SEGS * FLINT_CKPT_SEG_SIZE))
		return -ENOMEM;
	r->buf[1] = r->buf[0] + READ_SEGS * FLINT_CKPT_SEG_SIZE;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->turn, NULL);
	if (nr_segs <= 2)
		return 0;
	ret = pthread_create(&r->thread, NULL, reader_main, r);
	r->threaded = !ret;
	return 0;
}

static void reader_stop(struct seg_reader *r)
{
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->turn);
	pthread_mutex_unlock(&r->lock);
	if (r->threaded)
		pthread_join(r->thread, NULL);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->turn);
	free(r->buf[0]);
}

/* Segment @nr; they are asked for one after the other. Return: 0 or -errno. */
static int reader_get(struct seg_reader *r, u64 nr, struct flint_ckpt_seg **seg)
{
	u64 buf = nr / READ_SEGS;
	int err = 0;

	*seg = (void *)(r->buf[buf & 1] + nr % READ_SEGS * FLINT_CKPT_SEG_SIZE);
	if (nr % READ_SEGS)
		return 0;
	if (!r->threaded)
		return reader_fill(r, buf);
	pthread_mutex_lock(&r->lock);
	r->taken = buf;		/* the buffer before may be filled again */
	pthread_cond_broadcast(&r->turn);
	while (r->filled <= buf && !r->err)
		pthread_cond_wait(&r->turn, &r->lock);
	if (r->filled <= buf || r->err)
		err = r->err;
	pthread_mutex_unlock(&r->lock);
	return err;
}

bool flint_ckpt_seg_sound(const struct flint_store *st, struct flint_ckpt_seg *s, u64 seq, u64 nr)
{
	u32 len = le32_to_cpu(s->len), crc = le32_to_cpu(s->crc);

	s->crc = 0;
	return s->magic == cpu_to_le32(FLINT_CKPT_SEG_MAGIC) && le64_to_cpu(s->seq) == seq &&
	       le64_to_cpu(s->nr) == nr && len >= sizeof(*s) && len <= FLINT_CKPT_SEG_SIZE &&
	       flint_crc32c(st->uuid_crc, s, len) == crc;
}

static int segment_load(struct flint_store *st, const struct flint_ckpt_head *h,
			struct seg_reader *reader, u64 nr)
{
	struct flint_ckpt_seg *s;
	u32 len, at = sizeof(*s);
	int ret;

	ret = reader_get(reader, nr, &s);
	if (ret)
		return ret;
	if (!flint_ckpt_seg_sound(st, s, le64_to_cpu(h->seq), nr))
		return -EUCLEAN;
	len = le32_to_cpu(s->len);
	while (at < len) {
		const struct flint_rec_hdr *r = (const void *)((u8 *)s + at);
		u32 rec;

		if (len - at < sizeof(*r))
			return -EUCLEAN;
		rec = le32_to_cpu(r->len);
		if (rec < sizeof(*r) || (rec & 7) || rec > len - at ||
		    flint_store_apply(st, r, true))
			return -EUCLEAN;
		at += rec;
	}
	return 0;
}

/* Empty state, for the older checkpoint after the newer one failed. */
static int state_reset(struct flint_store *st)
{
	u32 nr = st->alloc.nr_blocks;

	flint_windows_free(&st->windows);
	flint_index_free(&st->index);
	flint_alloc_free(&st->alloc);
	flint_share_free(&st->share);
	if (flint_alloc_init(&st->alloc, nr) || flint_windows_init(&st->windows) ||
	    flint_index_init(&st->index, ((u64)nr << st->bs) >> FLINT_CHUNK_SHIFT_DEF))
		return -ENOMEM;
	return 0;
}

static int ckpt_try(struct flint_store *st, const struct flint_ckpt_head *h, char *err,
		    size_t errlen)
{
	u64 i, nr_segs = le64_to_cpu(h->nr_segs);
	struct seg_reader reader;
	int ret;

	ret = reader_start(&reader, st->dev, area_of(st, le64_to_cpu(h->seq)) + FLINT_STORE_ALIGN,
			   nr_segs);
	if (ret) {
		snprintf(err, errlen, "%s: no memory to read a checkpoint", st->name);
		return ret;
	}
	for (i = 0; i < nr_segs; i++) {
		ret = segment_load(st, h, &reader, i);
		if (!ret)
			continue;
		reader_stop(&reader);
		snprintf(err, errlen, "%s: checkpoint %llu is damaged in segment %llu: %s; restore this target from its replicas",
			 st->name, (unsigned long long)le64_to_cpu(h->seq), (unsigned long long)i,
			 strerror(-ret));
		return ret;
	}
	reader_stop(&reader);
	flint_alloc_zeroed(&st->alloc, (u32)le64_to_cpu(h->zeroed));
	st->ckpt_seq = le64_to_cpu(h->seq);
	st->ckpt_whole[st->ckpt_seq & 1] = true;
	return flint_wal_replay(&st->wal, le64_to_cpu(h->wal_pos), le64_to_cpu(h->wal_seq),
				err, errlen);
}

int flint_ckpt_load(struct flint_store *st, char *err, size_t errlen)
{
	struct flint_ckpt_head h[2];
	int ok[2], newer, ret;

	ok[0] = head_read(st, 0, &h[0]);
	ok[1] = head_read(st, 1, &h[1]);
	if (ok[0] && ok[1]) {
		snprintf(err, errlen, "%s: both checkpoints are damaged: restore this target from its replicas",
			 st->name);
		return -EUCLEAN;
	}
	newer = ok[0] ? 1 : ok[1] ? 0 : le64_to_cpu(h[1].seq) > le64_to_cpu(h[0].seq);
	ret = ckpt_try(st, &h[newer], err, errlen);
	if (!ret || ok[newer ^ 1])
		return ret;
	/*
	 * The log may still reach back to the older checkpoint; replay refuses it
	 * when it does not.
	 */
	flint_warn("%s; trying checkpoint %llu", err,
		   (unsigned long long)le64_to_cpu(h[newer ^ 1].seq));
	if (state_reset(st))
		return -ENOMEM;
	return ckpt_try(st, &h[newer ^ 1], err, errlen);
}
