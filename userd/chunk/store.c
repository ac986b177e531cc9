// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The chunk store: formatting, opening, and what operations share: admission,
 * the queue of each chunk, waiting for space, finishing, zeroing ahead.
 */
#include <stdio.h>
#include <stdlib.h>
#include "store.h"
#include "../base/crc.h"
#include "../base/log.h"

#define NR_SCRATCH	64u		/* pairs of blocks for edges */
#define ZERO_BUF	(256u << 10)
#define RESERVE_MIN	(3u << 19)	/* bytes: the largest change, and as much as its edges */
#define RESERVE_MAX	(64u << 20)

/* ---- format ------------------------------------------------------------- */

static u32 super_crc(struct flint_disk_super *sb)
{
	__le32 old = sb->crc;
	u32 crc;

	sb->crc = 0;
	crc = flint_crc32c(0, sb, FLINT_SB_SIZE);
	sb->crc = old;
	return crc;
}

bool flint_store_present(struct flint_dev *dev)
{
	struct flint_disk_super *sb = NULL;
	bool found = false;
	int i;

	if (posix_memalign((void **)&sb, FLINT_STORE_ALIGN, FLINT_SB_SIZE))
		return true;
	for (i = 0; i < 2 && !found && dev->size >= 2 * FLINT_SB_SIZE; i++)
		found = !dev->ops->pread(dev, sb, FLINT_SB_SIZE, i * FLINT_SB_SIZE) &&
			sb->magic == cpu_to_le64(FLINT_SB_MAGIC);
	free(sb);
	return found;
}

bool flint_store_holds(struct flint_dev *dev)
{
	u32 len = 128u << 10, i;
	u8 *buf = NULL;
	bool found = false;

	if (dev->size < len)
		return false;
	if (posix_memalign((void **)&buf, FLINT_STORE_ALIGN, len) ||
	    dev->ops->pread(dev, buf, len, 0)) {
		free(buf);
		return true;
	}
	for (i = 0; i < len && !found; i++)
		found = buf[i] != 0;
	free(buf);
	return found;
}

static u64 clamp64(u64 v, u64 lo, u64 hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

/* Blocks that are allocated: as small as those with a checksum, but their numbers have 32 bits. */
static u8 block_shift(const struct flint_store_format *f, u8 crc_shift)
{
	u8 bs = f->block_shift ? f->block_shift : crc_shift;

	while (f->size >> bs >= ~0u - 1 && bs < FLINT_BLOCK_SHIFT_MAX)
		bs++;
	return bs;
}

static void super_layout(struct flint_disk_super *sb, const struct flint_store_format *f)
{
	u8 cs = f->crc_shift ? f->crc_shift : FLINT_CRC_SHIFT_DEF;
	u8 bs = block_shift(f, cs);
	u32 version = bs < FLINT_BLOCK_SHIFT_V2 ? FLINT_SB_VERSION : FLINT_SB_VERSION_OLDEST;
	u64 size = f->size & ~(u64)((1u << 20) - 1), at = 64u << 10;
	u64 wal = clamp64(size / 64, 4u << 20, 256u << 20) & ~(u64)(FLINT_STORE_ALIGN - 1);
	u64 ckpt = (size / 64 + (2u << 20)) & ~(u64)((1u << 20) - 1);
	int i;

	memset(sb, 0, FLINT_SB_SIZE);
	sb->magic = cpu_to_le64(FLINT_SB_MAGIC);
	sb->version = cpu_to_le32(version);
	memcpy(sb->uuid, f->uuid, sizeof(sb->uuid));
	memcpy(sb->cluster, f->cluster, sizeof(sb->cluster));
	sb->target_id = cpu_to_le32(f->id);
	sb->block_shift = bs;
	sb->crc_shift = cs;
	sb->size = cpu_to_le64(size);
	sb->wal_off = cpu_to_le64(at);
	sb->wal_len = cpu_to_le64(wal);
	at += wal;
	for (i = 0; i < 2; i++) {
		sb->ckpt_off[i] = cpu_to_le64(at);
		at += ckpt;
	}
	sb->ckpt_len = cpu_to_le64(ckpt);
	at = (at + (1u << 20) - 1) & ~(u64)((1u << 20) - 1);
	sb->data_off = cpu_to_le64(at);
	sb->nr_blocks = cpu_to_le64(clamp64((size - at) >> bs, 0, ~0u - 1));
	sb->created_s = cpu_to_le64(flint_now_s());
}

static int zero_range(struct flint_dev *dev, u8 *buf, u64 off, u64 len)
{
	while (len) {
		u32 n = len < ZERO_BUF ? (u32)len : ZERO_BUF;
		int err = dev->ops->pwrite(dev, buf, n, off);

		if (err)
			return err;
		off += n;
		len -= n;
	}
	return 0;
}

int flint_store_format(struct flint_dev *dev, const struct flint_store_format *f,
		       char *err, size_t errlen)
{
	struct flint_disk_super *sb = NULL;
	u8 *buf = NULL;
	int ret, i;

	if (f->size < FLINT_TARGET_SIZE_MIN || f->size > dev->size) {
		snprintf(err, errlen, "a target of %llu bytes does not fit: at least %llu are needed and %llu are there",
			 (unsigned long long)f->size, FLINT_TARGET_SIZE_MIN,
			 (unsigned long long)dev->size);
		return -EINVAL;
	}
	if (posix_memalign((void **)&buf, FLINT_STORE_ALIGN, ZERO_BUF + FLINT_SB_SIZE)) {
		snprintf(err, errlen, "no memory");
		return -ENOMEM;
	}
	memset(buf, 0, ZERO_BUF);
	sb = (void *)(buf + ZERO_BUF);
	super_layout(sb, f);
	/* What was there is unrecognisable before the new state is written. */
	ret = zero_range(dev, buf, 0, 2 * FLINT_SB_SIZE);
	if (!ret)
		ret = dev->ops->sync(dev);
	if (!ret)
		ret = zero_range(dev, buf, le64_to_cpu(sb->wal_off), le64_to_cpu(sb->wal_len));
	if (!ret)
		ret = flint_ckpt_format(dev, sb);
	if (!ret)
		ret = dev->ops->sync(dev);
	for (i = 0; i < 2 && !ret; i++) {
		sb->copy = (u8)i;
		sb->crc = cpu_to_le32(super_crc(sb));
		ret = dev->ops->pwrite(dev, sb, FLINT_SB_SIZE, (u64)i * FLINT_SB_SIZE);
	}
	if (!ret)
		ret = dev->ops->sync(dev);
	if (ret)
		snprintf(err, errlen, "cannot write: %s", strerror(-ret));
	free(buf);
	return ret;
}

/* ---- open --------------------------------------------------------------- */

/* One copy. Return: 0, -ENOENT (no magic), -EUCLEAN, -EPROTONOSUPPORT, or an I/O error. */
static int super_read_copy(struct flint_dev *dev, struct flint_disk_super *sb, int copy)
{
	u64 end;
	int err;

	if (dev->size < 2 * FLINT_SB_SIZE)
		return -ENOENT;
	err = dev->ops->pread(dev, sb, FLINT_SB_SIZE, (u64)copy * FLINT_SB_SIZE);
	if (err)
		return err;
	if (sb->magic != cpu_to_le64(FLINT_SB_MAGIC))
		return -ENOENT;
	if (le32_to_cpu(sb->version) < FLINT_SB_VERSION_OLDEST ||
	    le32_to_cpu(sb->version) > FLINT_SB_VERSION)
		return -EPROTONOSUPPORT;
	if (super_crc(sb) != le32_to_cpu(sb->crc))
		return -EUCLEAN;
	end = le64_to_cpu(sb->data_off) + (le64_to_cpu(sb->nr_blocks) << sb->block_shift);
	if (sb->block_shift < FLINT_BLOCK_SHIFT_MIN || sb->block_shift > FLINT_BLOCK_SHIFT_MAX ||
	    sb->crc_shift < FLINT_CRC_SHIFT_MIN || sb->crc_shift > sb->block_shift ||
	    le64_to_cpu(sb->size) > dev->size || end > le64_to_cpu(sb->size) ||
	    le64_to_cpu(sb->wal_len) < 2 * FLINT_WAL_BUF)
		return -ERANGE;
	return 0;
}

static int super_read(struct flint_dev *dev, struct flint_disk_super *sb, const char *path,
		      char *err, size_t errlen)
{
	int e0 = super_read_copy(dev, sb, 0), e1;

	if (!e0)
		return 0;
	e1 = super_read_copy(dev, sb, 1);
	if (!e1) {
		flint_warn("%s: the first superblock is damaged, the second one is used", path);
		return 0;
	}
	if ((e0 == -EPROTONOSUPPORT || e1 == -EPROTONOSUPPORT) &&
	    le32_to_cpu(sb->version) < FLINT_SB_VERSION_OLDEST)
		snprintf(err, errlen, "%s: format version %u was made before replication and cannot be read any more: copy its files elsewhere with the flint-chunkd that made it, then make the target anew with --format --force",
			 path, le32_to_cpu(sb->version));
	else if (e0 == -EPROTONOSUPPORT || e1 == -EPROTONOSUPPORT)
		snprintf(err, errlen, "%s: format version %u is newer than version %u, the last that this program knows: use the newer flint-chunkd",
			 path, le32_to_cpu(sb->version), FLINT_SB_VERSION);
	else if (e0 == -ERANGE || e1 == -ERANGE)
		snprintf(err, errlen, "%s: the file or device is smaller than the target that was made on it: restore its size",
			 path);
	else if (e0 == -ENOENT && e1 == -ENOENT)
		snprintf(err, errlen, "%s: is not a FlintFS target: make one with flint-chunkd --format %s --id N --size BYTES",
			 path, path);
	else if (e0 == -EUCLEAN || e1 == -EUCLEAN)
		snprintf(err, errlen, "%s: both superblocks are damaged: restore this target from its replicas",
			 path);
	else
		snprintf(err, errlen, "%s: cannot read: %s", path, strerror(-e0));
	return -EINVAL;
}

static void super_take(struct flint_store *st, const struct flint_disk_super *sb, const char *path)
{
	st->super = *sb;
	st->id = le32_to_cpu(sb->target_id);
	snprintf(st->name, sizeof(st->name), "target %u (%s)", st->id, path);
	memcpy(st->uuid, sb->uuid, sizeof(st->uuid));
	memcpy(st->cluster, sb->cluster, sizeof(st->cluster));
	st->uuid_crc = flint_crc32c(0, st->uuid, sizeof(st->uuid));
	st->bs = sb->block_shift;
	st->cs = sb->crc_shift;
	st->size = le64_to_cpu(sb->size);
	st->ckpt_off[0] = le64_to_cpu(sb->ckpt_off[0]);
	st->ckpt_off[1] = le64_to_cpu(sb->ckpt_off[1]);
	st->ckpt_len = le64_to_cpu(sb->ckpt_len);
	st->data_off = le64_to_cpu(sb->data_off);
}

/* One piece of memory for all of the store's own I/O, so that it can be registered. */
static int arena_init(struct flint_store *st)
{
	size_t scratch = (size_t)NR_SCRATCH * 2 << st->bs;
	u32 i;

	st->arena_len = 2 * FLINT_WAL_BUF + FLINT_CKPT_SEG_SIZE + ZERO_BUF + scratch;
	if (posix_memalign((void **)&st->arena, FLINT_STORE_ALIGN, st->arena_len))
		return -ENOMEM;
	memset(st->arena, 0, st->arena_len);
	st->zero_buf = st->arena + 2 * FLINT_WAL_BUF + FLINT_CKPT_SEG_SIZE;
	st->scratch_mem = st->zero_buf + ZERO_BUF;
	for (i = 0; i < NR_SCRATCH; i++)
		flint_scratch_put(st, st->scratch_mem + ((size_t)i * 2 << st->bs));
	st->zero_crc = flint_crc32c(0, st->zero_buf, 1u << st->cs);
	flint_list_init(st);
	return 0;
}

/* A run of blocks that a clone names: what another chunk has already is shared. */
static int share_derive(struct flint_store *st, u32 start, u32 nr)
{
	u32 i;

	if (start > st->alloc.nr_blocks || nr > st->alloc.nr_blocks - start)
		return -EUCLEAN;
	for (i = 0; i < nr; i++)
		if (flint_alloc_mark(&st->alloc, start + i, 1) &&
		    flint_share_add(&st->share, start + i))
			return -ENOMEM;
	return 0;
}

/* Take the blocks of chunks that are clones, or that are none. */
static int alloc_derive_pass(struct flint_store *st, u32 shares, char *err, size_t errlen)
{
	u32 slot, blk, dev, n;

	for (slot = 1; slot <= st->index.chunks.high; slot++) {
		struct flint_chunk *c = flint_chunk_at(&st->index, slot);

		if (!c->ino || (c->flags & FLINT_CHUNK_SHARES) != shares)
			continue;
		for (blk = 0; blk < c->nr_blocks; blk += n) {
			n = flint_chunk_run(c, blk, c->nr_blocks - blk, &dev);
			if (!dev || !flint_alloc_mark(&st->alloc, dev - 1, n) ||
			    (shares && !share_derive(st, dev - 1, n)))
				continue;
			snprintf(err, errlen,
				 "%s: two chunks claim block %u (one is chunk %u of inode %llu): restore this target from its replicas",
				 st->name, dev - 1, c->index, (unsigned long long)c->ino);
			return -EUCLEAN;
		}
	}
	return 0;
}

/*
 * Take the blocks of all chunks. Clones come last: of the chunks that name a block
 * only one may be none.
 */
static int alloc_derive(struct flint_store *st, char *err, size_t errlen)
{
	int ret = alloc_derive_pass(st, 0, err, errlen);

	return ret ? ret : alloc_derive_pass(st, FLINT_CHUNK_SHARES, err, errlen);
}

static int store_recover(struct flint_store *st, char *err, size_t errlen)
{
	int ret = flint_ckpt_load(st, err, errlen);

	if (!ret)
		ret = alloc_derive(st, err, errlen);
	if (!ret && st->dev->prewritten)
		flint_alloc_zeroed(&st->alloc, st->alloc.nr_blocks);
	flint_alloc_settle(&st->alloc);
	return ret;
}

struct flint_store *flint_store_open(struct flint_dev *dev, const char *path,
				     char *err, size_t errlen)
{
	struct flint_disk_super *sb = NULL;
	struct flint_store *st = calloc(1, sizeof(*st));
	u64 nr;

	if (!st || posix_memalign((void **)&sb, FLINT_STORE_ALIGN, FLINT_SB_SIZE)) {
		snprintf(err, errlen, "%s: no memory", path);
		goto fail_dev;
	}
	st->dev = dev;
	st->authority = true;
	st->room_behind = ~0ull;
	if (super_read(dev, sb, path, err, errlen))
		goto fail_dev;
	super_take(st, sb, path);
	nr = le64_to_cpu(sb->nr_blocks);
	st->blocked_tail = &st->blocked;
	snprintf(err, errlen, "%s: no memory for %llu blocks", path, (unsigned long long)nr);
	if (flint_alloc_init(&st->alloc, (u32)nr) ||
	    flint_index_init(&st->index, (nr << st->bs) >> FLINT_CHUNK_SHIFT_DEF) ||
	    flint_windows_init(&st->windows) || arena_init(st))
		goto fail;
	flint_wal_init(&st->wal, st, le64_to_cpu(sb->wal_off), le64_to_cpu(sb->wal_len), st->arena);
	if (flint_ckpt_init(st) || store_recover(st, err, errlen))
		goto fail;
	st->reserve = (u32)clamp64(nr / 128, RESERVE_MIN >> st->bs, RESERVE_MAX >> st->bs);
	free(sb);
	return st;
fail:
	free(sb);
	flint_store_close(st);
	return NULL;
fail_dev:
	free(sb);
	free(st);
	dev->ops->close(dev);
	return NULL;
}

void flint_store_close(struct flint_store *st)
{
	flint_ckpt_free(st);
	flint_windows_free(&st->windows);
	flint_index_free(&st->index);
	flint_alloc_free(&st->alloc);
	flint_share_free(&st->share);
	free(st->arena);
	if (st->dev)
		st->dev->ops->close(st->dev);
	free(st);
}

void flint_store_retire(struct flint_store *st)
{
	st->offline = true;
	st->closing = true;
	flint_windows_free(&st->windows);
	flint_index_free(&st->index);
	flint_alloc_free(&st->alloc);
	flint_share_free(&st->share);
	if (flint_index_init(&st->index, 0) || flint_windows_init(&st->windows) ||
	    flint_alloc_init(&st->alloc, 0))
		abort();	/* a few KiB: the machine is done for */
	st->dev->ops->close(st->dev);
	st->dev = NULL;
}

int flint_store_bind(struct flint_store *st, const u8 cluster[16], char *err, size_t errlen)
{
	static const u8 none[16];
	struct flint_disk_super *sb = NULL;
	struct flint_dev *dev = st->dev;
	int ret, i;

	if (!memcmp(st->cluster, cluster, sizeof(st->cluster)))
		return 0;
	if (memcmp(st->cluster, none, sizeof(none))) {
		snprintf(err, errlen, "%s: belongs to another cluster: attach it there, or make it anew with --format --force, which destroys its data",
			 st->name);
		return -EXDEV;
	}
	if (posix_memalign((void **)&sb, FLINT_STORE_ALIGN, FLINT_SB_SIZE))
		return -ENOMEM;
	ret = super_read(dev, sb, st->name, err, errlen);
	memcpy(sb->cluster, cluster, sizeof(sb->cluster));
	for (i = 0; i < 2 && !ret; i++) {	/* one after the other: one of them is whole */
		sb->copy = (u8)i;
		sb->crc = cpu_to_le32(super_crc(sb));
		ret = dev->ops->pwrite(dev, sb, FLINT_SB_SIZE, (u64)i * FLINT_SB_SIZE);
		if (!ret)
			ret = dev->ops->sync(dev);
		if (ret)
			snprintf(err, errlen, "%s: the superblock cannot be written: %s", st->name,
				 strerror(-ret));
	}
	free(sb);
	if (!ret) {
		memcpy(st->cluster, cluster, sizeof(st->cluster));
		memcpy(st->super.cluster, cluster, sizeof(st->super.cluster));
	}
	return ret;
}

void flint_super_image(const struct flint_store *st, void *p, u8 copy)
{
	struct flint_disk_super *sb = p;

	memset(p, 0, FLINT_SB_SIZE);
	*sb = st->super;
	sb->copy = copy;
	sb->crc = cpu_to_le32(super_crc(sb));
}

/* ---- what operations share ---------------------------------------------- */

u64 flint_block_off(const struct flint_store *st, u32 dev)
{
	return st->data_off + ((u64)dev << st->bs);
}

void flint_dio_submit(struct flint_store *st, struct flint_dio *io)
{
	io->dev = st->dev;
	st->dev->ops->submit(st->dev, io);
}

u8 *flint_scratch_get(struct flint_store *st)
{
	u8 *s = st->scratch_free;

	if (s)
		memcpy(&st->scratch_free, s, sizeof(u8 *));
	return s;
}

void flint_scratch_put(struct flint_store *st, u8 *s)
{
	memcpy(s, &st->scratch_free, sizeof(u8 *));
	st->scratch_free = s;
}

void flint_store_fail(struct flint_store *st, const char *what, int err)
{
	st->stats.io_errors++;
	if (st->offline)
		return;
	st->offline = true;
	snprintf(st->why, sizeof(st->why), "cannot %s: %s", what, strerror(-err));
	flint_err("%s: cannot %s: %s: the target is offline until it is attached again or flint-chunkd is restarted; check the disk",
		  st->name, what, strerror(-err));
}

bool flint_store_index_full(const struct flint_store *st)
{
	return st->index.ckpt_bytes > st->ckpt_len / 8 * 7;
}

u32 flint_sop_admit(struct flint_store *st, struct flint_sop *op, const struct flint_inode *in)
{
	u32 status = op->check ? op->check(op) : FLINT_OK;

	if (status != FLINT_OK)
		return status;
	if (!in || op->given || op->as_is)
		return FLINT_OK;
	if (op->gen < in->adm_gen)
		return FLINT_ST_STALE_EPOCH;
	if (op->gen == in->gen &&
	    ((in->flags & FLINT_CUT_REMOVE) || op->epoch < in->epoch))
		return FLINT_ST_STALE_EPOCH;
	return FLINT_OK;
}

void flint_sop_block(struct flint_sop *op, void (*resume)(struct flint_sop *op))
{
	struct flint_store *st = op->st;

	op->resume = resume;
	op->next = NULL;
	*st->blocked_tail = op;
	st->blocked_tail = &op->next;
	st->kick(st->kick_arg);		/* a turn may make what is missing */
}

struct flint_sop *flint_chunk_host(const struct flint_sop *op, const struct flint_chunk *c)
{
	struct flint_sop *host = c ? c->owner : NULL;

	return op->kind == FLINT_SOP_REPAIR && host && host->held && host->kind != FLINT_SOP_CUT &&
	       (!host->guest || host->guest == op) ? host : NULL;
}

bool flint_chunk_take(struct flint_sop *op, struct flint_chunk *c,
		      void (*resume)(struct flint_sop *op))
{
	struct flint_sop **p = &c->queue, *host = flint_chunk_host(op, c);

	op->chunk = c;
	if (host) {
		host->guest = op;
		return true;
	}
	if (!c->owner) {
		c->owner = op;
		return true;
	}
	op->resume = resume;
	op->next = NULL;
	while (*p)
		p = &(*p)->next;
	*p = op;
	return false;
}

/* Nobody wants the chunk: forget it if it is dead or was never made. */
static void chunk_unused(struct flint_store *st, struct flint_chunk *c)
{
	struct flint_inode *in = flint_inode_at(&st->index, c->inode);

	if (c->flags & FLINT_CHUNK_DEAD)
		flint_chunk_forget(&st->index, c);
	else if (!(c->flags & FLINT_CHUNK_STAMPED))
		flint_chunk_drop(&st->index, c);
	flint_inode_tidy(&st->index, in);
}

/* Whose guest the op was may have been told to end meanwhile. */
static void guest_left(struct flint_sop *op, struct flint_sop *host)
{
	if (!host || host->guest != op)
		return;
	host->guest = NULL;
	if (host->released)
		flint_sop_release(host, host->release_status);
}

void flint_chunk_release(struct flint_sop *op)
{
	struct flint_chunk *c = op->chunk;
	struct flint_store *st = op->st;
	struct flint_sop *next;

	if (!c)
		return;
	op->chunk = NULL;
	if (c->owner != op) {
		guest_left(op, c->owner);
		return;
	}
	next = c->queue;
	c->owner = NULL;
	if (!next) {
		chunk_unused(st, c);
		return;
	}
	if (c->flags & FLINT_CHUNK_DEAD) {	/* they look for the chunk again */
		c->queue = NULL;
		while (next) {
			struct flint_sop *after = next->next;

			next->chunk = NULL;
			if (next->kind == FLINT_SOP_CUT)
				flint_sop_block(next, flint_cut_log);
			else
				flint_sop_block(next, flint_write_start);
			next = after;
		}
		chunk_unused(st, c);
	} else {
		c->queue = next->next;
		c->owner = next;
		flint_sop_block(next, next->resume);
	}
	st->unblock = true;
	st->kick(st->kick_arg);
}

/* ---- held changes ------------------------------------------------------- */

u64 flint_request_tag(const u8 client[16], u64 session, u64 seq)
{
	u64 a, b;

	memcpy(&a, client, 8);
	memcpy(&b, client + 8, 8);
	return flint_tag_mix(flint_tag_mix(flint_tag_mix(a, b), session), seq);
}

void flint_sop_count(struct flint_sop *op, struct flint_inode *in)
{
	if (!op->durable || op->counted)
		return;
	op->counted = true;
	in->held++;
	op->st->nr_held++;
}

void flint_sop_uncount(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	struct flint_inode *in;
	struct flint_sop *cut;

	if (!op->counted)
		return;
	op->counted = false;
	st->nr_held--;
	in = flint_inode_find(&st->index, op->fs, op->ino);
	cut = in->drain;
	if (--in->held || !cut)
		return;
	in->drain = NULL;
	flint_sop_block(cut, cut->resume);
	st->unblock = true;
}

u32 flint_room_behind(const struct flint_store *st, u32 blocks)
{
	if (!blocks)
		return FLINT_OK;
	if (st->room_unknown)	/* they must not be given more than they keep in reserve */
		return st->growing ? EAGAIN : FLINT_OK;
	return ((u64)blocks << st->bs) + st->growing > st->room_behind ? ENOSPC : FLINT_OK;
}

void flint_sop_grow(struct flint_sop *op, u32 blocks)
{
	struct flint_store *st = op->st;

	st->growing += (u64)blocks << st->bs;
	st->growing -= (u64)op->grow << st->bs;
	if (op->grow && !blocks && st->blocked) {
		st->unblock = true;
		st->kick(st->kick_arg);
	}
	op->grow = blocks;
}

void flint_sop_plan(struct flint_sop *op, bool planned)
{
	op->st->nr_planned += planned - op->planned;
	op->planned = planned;
}

void flint_sop_applied(struct flint_sop *op, int err)
{
	op->applied = !err;
	flint_sop_plan(op, false);
	if (err || !op->durable) {
		if (op->kind == FLINT_SOP_CUT)
			flint_cut_end(op, err ? EIO : FLINT_OK);
		else
			flint_sop_finish(op, err ? EIO : FLINT_OK);
		return;
	}
	op->held = true;
	op->have_version = op->chunk ? op->chunk->version : 0;
	op->have_tag = op->chunk ? op->chunk->tag : 0;
	op->have_size = op->chunk ? op->chunk->size : 0;
	op->durable(op);
}

void flint_sop_release(struct flint_sop *op, u32 status)
{
	struct flint_sop *reader = op->readers;

	if (op->guest) {
		op->released = true;
		op->release_status = status;
		return;
	}
	op->held = false;
	op->readers = NULL;
	while (reader) {	/* they see this change, before the next one is made */
		struct flint_sop *next = reader->next;

		flint_read_start(reader);
		reader = next;
	}
	if (op->kind == FLINT_SOP_CUT)
		flint_cut_end(op, status);
	else
		flint_sop_finish(op, status);
}

/* The window learns how it ended: a change that was applied stays, whoever is told what. */
static void window_leave(struct flint_sop *op, u32 status)
{
	struct flint_client *c;

	if (!op->entered)
		return;
	c = flint_client_get(&op->st->windows, op->client, op->session);
	if (op->applied || status == FLINT_OK)
		flint_window_settle(c, op->seq, le64_to_cpu(op->rep.io.version),
				    le32_to_cpu(op->rep.io.length));
	else
		flint_window_abort(c, op->seq);
}

/*
 * What a repetition is told. The length is that of the request, which its fingerprint
 * covers: one that came as a whole chunk has another. Only a clone's is a result.
 */
static void dup_answer(struct flint_sop *op, u64 version, u32 length)
{
	memset(&op->rep.io, 0, sizeof(op->rep.io));
	op->rep.io.version = cpu_to_le64(version);
	op->rep.io.length = cpu_to_le32(op->kind == FLINT_SOP_CLONE ? length : op->length);
	op->rep.io.crc_shift = op->st->cs;
}

void flint_sop_finish(struct flint_sop *op, u32 status)
{
	struct flint_store *st = op->st;
	struct flint_sop *dup = op->dups;

	flint_sop_uncount(op);
	flint_sop_grow(op, 0);
	flint_chunk_release(op);
	window_leave(op, status);
	op->status = status;
	op->dups = NULL;
	while (dup) {
		struct flint_sop *next = dup->next;

		dup_answer(dup, le64_to_cpu(op->rep.io.version), le32_to_cpu(op->rep.io.length));
		dup->status = status;
		st->inflight--;
		dup->done(dup);
		dup = next;
	}
	if (st->blocked) {
		st->unblock = true;
		st->kick(st->kick_arg);
	}
	st->inflight--;
	if (op->internal)
		free(op);
	else
		op->done(op);
}

/* Enough to tell one request from another under the same sequence. */
static u32 fingerprint(const struct flint_sop *op)
{
	u64 z = op->ino * 0x9e3779b97f4a7c15ull + op->fs;

	z = (z ^ op->index) * 0xbf58476d1ce4e5b9ull + op->offset;
	if (op->kind == FLINT_SOP_CLONE)	/* offset and length are 0, or the result's */
		z = (z ^ op->index) * 0xbf58476d1ce4e5b9ull + op->src_ino + ((u64)op->src_index << 32);
	z = (z ^ (op->kind == FLINT_SOP_CLONE ? 0 : op->length)) * 0x94d049bb133111ebull + op->kind;
	return (u32)(z >> 32) ^ op->gen;
}

/* Has it a client's request in it, whose result the window shall have? */
static bool given_enters(const struct flint_sop *op)
{
	return op->seq && op->kind != FLINT_SOP_DROP &&
	       (op->kind != FLINT_SOP_REPLACE || (op->whole & FLINT_FWD_LAST));
}

/*
 * A change that the replica in front of us has made: its place in the order is
 * settled, the window only tells a repetition, which joins the first one.
 */
static void submit_given(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	struct flint_client *client = NULL;
	struct flint_result *res = NULL;

	if (given_enters(op))
		client = flint_client_get(&st->windows, op->client, op->session);
	if (client) {
		switch (flint_window_given(client, op->seq, op->seq_low, op->print, op, &res)) {
		case FLINT_WINDOW_NEW:
			op->entered = true;
			break;
		case FLINT_WINDOW_RUNNING:
			op->next = res->op->dups;
			res->op->dups = op;
			return;
		case FLINT_WINDOW_DONE:
		case FLINT_WINDOW_REFUSED:
			op->was_done = true;
			break;
		default:
			break;
		}
	}
	flint_write_start(op);
}

static void submit_update(struct flint_sop *op)
{
	struct flint_store *st = op->st;
	struct flint_client *client = flint_client_get(&st->windows, op->client, op->session);
	struct flint_result *res = NULL;

	if (!client) {
		flint_sop_finish(op, ENOMEM);
		return;
	}
	op->print = fingerprint(op);
	switch (flint_window_enter(client, op->seq, op->seq_low, op->print, op, &res)) {
	case FLINT_WINDOW_NEW:
		op->entered = true;
		flint_write_start(op);
		break;
	case FLINT_WINDOW_DONE:
		dup_answer(op, res->version, res->length);
		flint_sop_finish(op, FLINT_OK);
		break;
	case FLINT_WINDOW_RUNNING:
		op->next = res->op->dups;
		res->op->dups = op;
		break;
	case FLINT_WINDOW_FULL:
		flint_sop_finish(op, FLINT_ST_RETRY);
		break;
	default:
		flint_sop_finish(op, FLINT_ST_BAD_SEQ);
	}
}

void flint_store_submit(struct flint_store *st, struct flint_sop *op)
{
	op->st = st;
	op->dups = NULL;
	op->readers = NULL;
	op->guest = NULL;
	op->released = false;
	op->chunk = NULL;
	op->entered = false;
	op->internal = false;
	op->counted = false;
	op->planned = false;
	op->applied = false;
	op->was_done = false;
	op->already = false;
	op->half = false;
	op->held = false;
	op->grow = 0;
	op->mended = 0;
	st->inflight++;
	if (st->offline) {
		flint_sop_finish(op, EIO);
		return;
	}
	if (op->check_crc && (op->kind == FLINT_SOP_WRITE || op->kind == FLINT_SOP_REPLACE) &&
	    !flint_payload_whole(st, op) &&
	    flint_crc32c(0, op->data, op->length) != op->crc) {
		st->stats.crc_errors++;
		flint_sop_finish(op, FLINT_ST_CHECKSUM);
		return;
	}
	switch (op->kind) {
	case FLINT_SOP_READ:
		flint_read_start(op);
		break;
	case FLINT_SOP_CUT:
		flint_cut_start(op);
		break;
	case FLINT_SOP_INODES:
	case FLINT_SOP_CLIENTS:
		flint_merge_start(op);
		break;
	case FLINT_SOP_WRITE:
	case FLINT_SOP_PUNCH:
	case FLINT_SOP_CLONE:
		if (op->given)
			submit_given(op);
		else
			submit_update(op);
		break;
	case FLINT_SOP_FORGET:
		flint_forget_log(op);
		break;
	default:
		op->given = true;
		submit_given(op);
	}
}

/* ---- zeroing ahead ------------------------------------------------------ */

/* Blocks to have written and free before they are wanted. */
static u32 zero_ahead(const struct flint_store *st)
{
	u64 bytes = clamp64(st->size / 4, 16u << 20, 1u << 30);

	return (u32)(bytes >> st->bs);
}

static void zero_next(struct flint_store *st);

static void zero_log(struct flint_store *st)
{
	struct flint_rec_zeroed *r = flint_wal_reserve(&st->wal, sizeof(*r));

	if (!r)
		return;		/* flint_store_turn() tries again */
	memset(r, 0, sizeof(*r));
	r->h.type = cpu_to_le16(FLINT_REC_ZEROED);
	r->h.len = cpu_to_le32(sizeof(*r));
	r->blocks = cpu_to_le64(st->zero_end);
	flint_wal_commit(&st->wal, sizeof(*r), 1, NULL);
	st->zeroing = false;
	st->zero_logged = st->zero_end;
	st->kick(st->kick_arg);
}

static void zero_done(struct flint_dio *io, int err)
{
	struct flint_store *st = io->arg;

	st->zero_busy = false;
	if (err) {
		flint_store_fail(st, "write new blocks", err);
		st->zeroing = false;
		return;
	}
	if (st->closing)
		return;
	if (io->op == FLINT_DIO_SYNC)
		zero_log(st);
	else
		zero_next(st);
}

static void zero_next(struct flint_store *st)
{
	struct flint_dio *io = &st->zero_io;
	u32 per = ZERO_BUF >> st->bs, n = st->zero_end - st->zero_at;

	io->done = zero_done;
	io->arg = st;
	io->flags = 0;
	io->buf = st->zero_buf;
	if (n) {
		if (n > per)
			n = per;
		io->op = FLINT_DIO_WRITE;
		io->off = flint_block_off(st, st->zero_at);
		io->len = n << st->bs;
		st->zero_at += n;
	} else {
		io->op = FLINT_DIO_SYNC;
		io->off = 0;
		io->len = 0;
	}
	st->zero_busy = true;
	flint_dio_submit(st, io);
}

static void zero_start(struct flint_store *st)
{
	u32 group = (u32)clamp64(st->size / 64, 1u << 20, 64u << 20) >> st->bs;
	u32 left;

	if (group > 256)
		group = 256;
	if (st->zero_logged < st->alloc.zeroed)
		st->zero_logged = st->alloc.zeroed;
	left = st->alloc.nr_blocks - st->zero_logged;
	if (!left || st->zero_logged != st->alloc.zeroed ||
	    flint_alloc_ready(&st->alloc) >= zero_ahead(st))
		return;
	st->zeroing = true;
	st->zero_at = st->alloc.zeroed;
	st->zero_end = st->zero_at + (left < group ? left : group);
	zero_next(st);
}

/* ---- the turn ----------------------------------------------------------- */

static void run_blocked(struct flint_store *st)
{
	struct flint_sop *op = st->blocked;

	st->unblock = false;
	st->blocked = NULL;
	st->blocked_tail = &st->blocked;
	while (op) {
		struct flint_sop *next = op->next;

		op->resume(op);
		op = next;
	}
}

void flint_store_turn(struct flint_store *st)
{
	int rounds = 4;

	while (st->blocked && st->unblock && rounds--)
		run_blocked(st);
	if (!st->offline && !st->closing) {
		if (st->zeroing && !st->zero_busy && st->zero_at == st->zero_end)
			zero_log(st);
		else if (!st->zeroing)
			zero_start(st);
	}
	if (flint_wal_used(&st->wal) > st->wal.len / 2 && !flint_ckpt_running(st) && !st->offline)
		flint_ckpt_start(st);
	flint_wal_kick(&st->wal);
	if (st->blocked && st->unblock)
		st->kick(st->kick_arg);
}

void flint_store_shutdown(struct flint_store *st)
{
	st->closing = true;
	if (!st->offline && !flint_ckpt_running(st))
		flint_ckpt_start(st);
}

bool flint_store_idle(const struct flint_store *st)
{
	return !st->inflight && !st->wal.busy && !st->zero_busy && !st->discarding &&
	       !flint_ckpt_running(st);
}

u64 flint_store_capacity(const struct flint_store *st)
{
	return (u64)st->alloc.nr_blocks << st->bs;
}

u64 flint_store_room(const struct flint_store *st)
{
	u32 avail = flint_alloc_free_blocks(&st->alloc);

	return avail > st->reserve ? (u64)(avail - st->reserve) << st->bs : 0;
}

u64 flint_store_used(const struct flint_store *st)
{
	return (u64)st->alloc.used << st->bs;
}

u64 flint_store_memory(const struct flint_store *st)
{
	return flint_index_memory(&st->index) + st->alloc.nr_blocks / 8;
}

/* The sums of all ranges, from nothing. */
static int sums_verify(const struct flint_store *st, char *err, size_t errlen)
{
	const struct flint_index *ix = &st->index;
	u64 *sums = calloc(FLINT_SYNC_RANGES, sizeof(*sums));
	u32 slot, i, half = 0;
	int ret = 0;

	if (!sums)
		return -ENOMEM;
	for (slot = 1; slot <= ix->chunks.high; slot++) {
		const struct flint_chunk *c = flint_chunk_at(ix, slot);
		u32 fs;

		if (!c->ino || !(c->flags & FLINT_CHUNK_STAMPED))
			continue;
		half += flint_chunk_half(c);
		fs = flint_inode_at(ix, c->inode)->fs;
		sums[flint_key_range(flint_chunk_key(fs, c->ino, c->index))] +=
			flint_chunk_sum(ix, c);
	}
	for (i = 0; i < FLINT_SYNC_RANGES && !ret; i++) {
		if (sums[i] == ix->sums[i])
			continue;
		snprintf(err, errlen, "%s: the sum of range %u is %016llx, its chunks make %016llx",
			 st->name, i, (unsigned long long)ix->sums[i],
			 (unsigned long long)sums[i]);
		ret = -EUCLEAN;
	}
	if (!ret && half != ix->nr_half) {
		snprintf(err, errlen, "%s: %u chunks are halves, %u are counted", st->name, half,
			 ix->nr_half);
		ret = -EUCLEAN;
	}
	free(sums);
	return ret;
}

int flint_store_verify(struct flint_store *st, char *err, size_t errlen)
{
	struct flint_alloc live = st->alloc;
	struct flint_share shared = st->share;
	u32 w, words = (live.nr_blocks + 63) / 64;
	int ret = flint_alloc_init(&st->alloc, live.nr_blocks);

	memset(&st->share, 0, sizeof(st->share));
	if (!ret)
		ret = alloc_derive(st, err, errlen);
	for (w = 0; w < words && !ret; w++) {
		if (live.map[w] == st->alloc.map[w])
			continue;
		snprintf(err, errlen, "%s: blocks %u..: allocator %016llx, index %016llx",
			 st->name, w * 64, (unsigned long long)live.map[w],
			 (unsigned long long)st->alloc.map[w]);
		ret = -EUCLEAN;
	}
	if (!ret && (live.used != st->alloc.used || live.later)) {
		snprintf(err, errlen, "%s: allocator counts %u used blocks, the index %u",
			 st->name, live.used, st->alloc.used);
		ret = -EUCLEAN;
	}
	for (w = 0; w < shared.cap && !ret; w++) {
		u32 block = shared.tab[w].block;

		if (!block || flint_share_extra(&st->share, block - 1) == shared.tab[w].extra)
			continue;
		snprintf(err, errlen, "%s: block %u is counted for %u clones, chunks name it %u times more",
			 st->name, block - 1, shared.tab[w].extra,
			 flint_share_extra(&st->share, block - 1));
		ret = -EUCLEAN;
	}
	if (!ret && shared.nr != st->share.nr) {
		snprintf(err, errlen, "%s: %u blocks are counted as shared, the index has %u",
			 st->name, shared.nr, st->share.nr);
		ret = -EUCLEAN;
	}
	flint_alloc_free(&st->alloc);
	flint_share_free(&st->share);
	st->alloc = live;
	st->share = shared;
	return ret ? ret : sums_verify(st, err, errlen);
}
