// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a target says of itself is read again while it runs: superblocks, log, checkpoints.
 *
 * None of it is read otherwise until the next start, and then it is too late: all of it is in
 * memory now. A superblock is written again from there. A log or a checkpoint that is damaged is
 * no longer needed after the next checkpoint, which is begun at once; a damaged newest checkpoint
 * takes two, since they use two areas in turn.
 *
 * Each step is one request to the device. Between steps the store goes on: the log's tail may
 * have moved, a checkpoint may have ended. So nothing is judged that need not be there any more
 * when it arrives, and a checkpoint is looked at again from its header when another one has
 * ended meanwhile.
 */
#include <stdlib.h>
#include "check.h"
#include "../base/crc.h"

#define LOOKS_MAX	8u	/* at checkpoints, and repairs of the log, in one check */

enum check_phase { CHECK_SUPER, CHECK_LOG, CHECK_HEAD, CHECK_SEGS, CHECK_CKPT, CHECK_OVER };

/* The step is over. */
static void step_over(struct flint_check *k)
{
	k->done(k);
}

static void found(struct flint_check *k, enum flint_own what, u64 off)
{
	k->bad[what]++;
	k->off = off;
	k->found(k, what);
}

static void mended(struct flint_check *k, enum flint_own what)
{
	k->fixed[what]++;
	k->mended(k, what);
}

static void request(struct flint_check *k, u8 op, u64 off, u32 len, u32 at,
		    void (*done)(struct flint_dio *io, int err))
{
	struct flint_dio *io = &k->io[k->pending++];

	*io = (struct flint_dio){
		.op = op, .flags = op == FLINT_DIO_WRITE ? FLINT_DIO_DSYNC : 0, .off = off,
		.len = len, .buf = k->buf + at, .done = done, .arg = k,
	};
	k->moved += len;
	flint_dio_submit(k->st, io);
}

/* Was it the last request of the step? The first error counts. */
static bool all_done(struct flint_check *k, int err)
{
	if (err)
		k->err = err;
	return !--k->pending;
}

/* ---- superblocks ---------------------------------------------------------- */

static void super_written(struct flint_dio *io, int err)
{
	struct flint_check *k = io->arg;

	all_done(k, err);
	if (k->err) {
		flint_store_fail(k->st, "write a superblock again", k->err);
		k->phase = CHECK_OVER;
	} else {
		mended(k, FLINT_OWN_SUPER);
	}
	k->copy++;
	step_over(k);
}

static void super_read(struct flint_dio *io, int err)
{
	struct flint_check *k = io->arg;
	u8 *good = k->buf + FLINT_SB_SIZE;
	u64 off = (u64)k->copy * FLINT_SB_SIZE;

	all_done(k, err);
	flint_super_image(k->st, good, (u8)k->copy);
	if (!k->err && !memcmp(k->buf, good, FLINT_SB_SIZE)) {
		k->copy++;
		step_over(k);
		return;
	}
	k->err = 0;
	found(k, FLINT_OWN_SUPER, off);
	request(k, FLINT_DIO_WRITE, off, FLINT_SB_SIZE, FLINT_SB_SIZE, super_written);
}

/* ---- the log --------------------------------------------------------------- */

/* Go on behind a checkpoint that makes what was found unnecessary. */
static void want_ckpt(struct flint_check *k, enum flint_own what, u32 nr)
{
	k->want = what;
	k->until = k->st->ckpt_seq + nr;
	k->phase = CHECK_CKPT;
}

static bool group_sound(const struct flint_check *k, struct flint_wal_group *g, u32 room)
{
	u32 len = le32_to_cpu(g->len);
	__le32 crc = g->crc;

	if (g->magic != cpu_to_le32(FLINT_WAL_MAGIC) || len < sizeof(*g) || len > room ||
	    le64_to_cpu(g->pos) != k->pos)
		return false;
	g->crc = 0;
	return flint_crc32c(k->st->uuid_crc, g, len) == le32_to_cpu(crc);
}

static void log_judge(struct flint_check *k)
{
	struct flint_wal *w = &k->st->wal;
	u64 end = k->from + k->len;

	while (k->pos < end) {
		u8 *p = k->buf + (k->pos - k->from);
		u32 len = le32_to_cpu(((struct flint_wal_group *)p)->len);

		/* The rest of a group that ends behind what was read comes with the next step. */
		if (k->pos > k->from && len <= FLINT_WAL_BUF && len > end - k->pos)
			return;
		if (!group_sound(k, (void *)p, (u32)(end - k->pos))) {
			found(k, FLINT_OWN_LOG, w->off + k->pos % w->len);
			want_ckpt(k, FLINT_OWN_LOG, 1);
			return;
		}
		k->pos += (len + FLINT_STORE_ALIGN - 1) & ~(u64)(FLINT_STORE_ALIGN - 1);
	}
}

static void log_read(struct flint_dio *io, int err)
{
	struct flint_check *k = io->arg;
	struct flint_wal *w = &k->st->wal;

	if (!all_done(k, err))
		return;
	if (k->pos < w->tail) {		/* not needed any more */
		k->pos = w->tail;
	} else if (k->err) {
		found(k, FLINT_OWN_LOG, w->off + k->pos % w->len);
		want_ckpt(k, FLINT_OWN_LOG, 1);
	} else {
		log_judge(k);
	}
	step_over(k);
}

static void log_step(struct flint_check *k)
{
	struct flint_wal *w = &k->st->wal;
	u64 end = k->end, at;
	u32 first;

	if (k->pos < w->tail)
		k->pos = w->tail;
	if (k->pos >= end || k->bad[FLINT_OWN_LOG] > LOOKS_MAX) {
		k->phase = CHECK_HEAD;
		step_over(k);
		return;
	}
	k->from = k->pos;
	k->len = end - k->pos < FLINT_STORE_MAX_IO ? (u32)(end - k->pos) : FLINT_STORE_MAX_IO;
	at = k->pos % w->len;
	first = w->len - at < k->len ? (u32)(w->len - at) : k->len;
	request(k, FLINT_DIO_READ, w->off + at, first, 0, log_read);
	if (first < k->len)	/* across the end of the ring */
		request(k, FLINT_DIO_READ, w->off, k->len - first, first, log_read);
}

/* ---- checkpoints ----------------------------------------------------------- */

static u64 area_off(const struct flint_check *k)
{
	return k->st->ckpt_off[k->seq & 1];
}

/* Is the checkpoint still there that this is about? */
static bool overtaken(const struct flint_check *k)
{
	return k->st->ckpt_seq != k->newest || !k->st->ckpt_whole[k->seq & 1];
}

static void head_next(struct flint_check *k)
{
	k->phase = CHECK_HEAD;
	k->area++;
}

static void ckpt_bad(struct flint_check *k, u64 off)
{
	found(k, FLINT_OWN_CHECKPOINT, off);
	want_ckpt(k, FLINT_OWN_CHECKPOINT, k->seq == k->newest ? 2 : 1);
}

static void segs_read(struct flint_dio *io, int err)
{
	struct flint_check *k = io->arg;
	u32 i, nr = k->len / FLINT_CKPT_SEG_SIZE;

	all_done(k, err);
	if (overtaken(k)) {
		k->phase = CHECK_HEAD;
		step_over(k);
		return;
	}
	for (i = 0; i < nr; i++, k->seg++) {
		struct flint_ckpt_seg *s = (void *)(k->buf + i * FLINT_CKPT_SEG_SIZE);

		if (!k->err && flint_ckpt_seg_sound(k->st, s, k->seq, k->seg))
			continue;
		ckpt_bad(k, area_off(k) + FLINT_STORE_ALIGN + k->seg * FLINT_CKPT_SEG_SIZE);
		step_over(k);
		return;
	}
	if (k->seg == k->nr_segs)
		head_next(k);
	step_over(k);
}

static void segs_step(struct flint_check *k)
{
	u64 left = k->nr_segs - k->seg, most = FLINT_STORE_MAX_IO / FLINT_CKPT_SEG_SIZE;

	k->len = (u32)(left < most ? left : most) * FLINT_CKPT_SEG_SIZE;
	request(k, FLINT_DIO_READ, area_off(k) + FLINT_STORE_ALIGN + k->seg * FLINT_CKPT_SEG_SIZE,
		k->len, 0, segs_read);
}

static void head_read(struct flint_dio *io, int err)
{
	struct flint_check *k = io->arg;
	struct flint_ckpt_head h;

	all_done(k, err);
	if (overtaken(k)) {
		step_over(k);
		return;
	}
	if (k->err || flint_ckpt_head_sound(k->st, k->buf, &h) ||
	    le64_to_cpu(h.seq) != k->seq) {
		ckpt_bad(k, area_off(k));
	} else if (!h.nr_segs) {
		head_next(k);
	} else {
		k->nr_segs = le64_to_cpu(h.nr_segs);
		k->seg = 0;
		k->phase = CHECK_SEGS;
	}
	step_over(k);
}

/* The newest one, then the one before it, if it is known to be whole. */
static void head_step(struct flint_check *k)
{
	if (k->newest != k->st->ckpt_seq) {
		k->newest = k->st->ckpt_seq;
		k->area = 0;
	}
	k->seq = k->newest - k->area;
	if (k->area > 1 || k->looks++ >= LOOKS_MAX) {
		k->phase = CHECK_OVER;
		step_over(k);
	} else if (!k->st->ckpt_whole[k->seq & 1]) {
		head_next(k);
		step_over(k);
	} else {
		request(k, FLINT_DIO_READ, area_off(k), FLINT_STORE_ALIGN, 0, head_read);
	}
}

/* Until the store has gone on: whoever calls us waits a moment between steps. */
static void ckpt_step(struct flint_check *k)
{
	struct flint_store *st = k->st;

	if (st->ckpt_seq >= k->until &&
	    (k->want != FLINT_OWN_LOG || st->wal.tail > k->pos)) {
		mended(k, k->want);
		k->phase = k->want == FLINT_OWN_LOG ? CHECK_LOG : CHECK_HEAD;
	} else {
		if (!flint_ckpt_running(st))
			flint_ckpt_start(st);
	}
	step_over(k);
}

/* ---- the whole -------------------------------------------------------------- */

void flint_check_begin(struct flint_check *k, struct flint_store *st)
{
	memset(k->bad, 0, sizeof(*k) - offsetof(struct flint_check, bad));
	k->st = st;
	k->newest = st->ckpt_seq;
}

bool flint_check_waits(const struct flint_check *k)
{
	return k->phase == CHECK_CKPT;
}

bool flint_check_over(const struct flint_check *k)
{
	return k->phase == CHECK_OVER || k->st->offline || k->st->closing;
}

void flint_check_step(struct flint_check *k)
{
	k->moved = 0;
	k->pending = 0;
	k->err = 0;
	if (k->phase == CHECK_SUPER && k->copy == 2) {
		k->phase = CHECK_LOG;
		flint_wal_mark(&k->st->wal, &k->end, &k->seq);	/* what comes later is not chased */
	}
	switch (k->phase) {
	case CHECK_SUPER:
		request(k, FLINT_DIO_READ, (u64)k->copy * FLINT_SB_SIZE, FLINT_SB_SIZE, 0,
			super_read);
		break;
	case CHECK_LOG:
		log_step(k);
		break;
	case CHECK_HEAD:
		head_step(k);
		break;
	case CHECK_SEGS:
		segs_step(k);
		break;
	case CHECK_CKPT:
		ckpt_step(k);
		break;
	default:
		step_over(k);
	}
}
