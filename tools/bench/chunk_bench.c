// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the chunk store costs, without the network: for checksum blocks of 4, 16
 * and 64 KiB the index memory per TB stored, the device bytes per 4 KiB read
 * and per 4 KiB overwrite, and rates at depth 1 and 32.
 *
 *	chunk_bench FILE [SIZE [SECONDS]]
 *
 * FILE is made, used and removed; a block device is overwritten.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../../userd/base/conf.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/chunk/store.h"
#include "../../userd/net/net.h"

#define CHUNK		(1u << 20)
#define DEPTH_MAX	32u

struct slot {
	struct flint_sop op;
	struct bench *b;
	u8 *mem;
	u64 began_ns;
};

struct bench {
	struct flint_loop *loop;
	struct flint_store *st;
	struct flint_engine *eng;
	struct slot *slots;
	u8 *mem;
	u64 rng, seq, end_ns, began_ns;
	u32 nr_chunks, next, inflight, depth, length;
	u8 kind;
	bool fill;
	u64 done, ns_sum;
};

static void start(struct bench *b, struct slot *s);

static void op_done(struct flint_sop *op)
{
	struct slot *s = op->arg;
	struct bench *b = s->b;
	u64 now = flint_now_ns();

	if (op->status != FLINT_OK) {
		fprintf(stderr, "chunk_bench: status %u\n", op->status);
		exit(1);
	}
	b->done++;
	b->ns_sum += now - s->began_ns;
	b->inflight--;
	if (b->fill ? b->next < b->nr_chunks : now < b->end_ns)
		start(b, s);
	else if (!b->inflight)
		flint_loop_stop(b->loop);
}

static void start(struct bench *b, struct slot *s)
{
	u64 r = flint_splitmix64(&b->rng);

	s->op.kind = b->kind;
	s->op.shift = 20;
	s->op.fs = 1;
	s->op.ino = 1;
	s->op.gen = 1;
	s->op.index = b->fill ? b->next++ : (u32)(r % b->nr_chunks);
	if (b->kind == FLINT_SOP_PUNCH)	/* of nothing: a record in the log and no more */
		s->op.index += b->nr_chunks;
	s->op.length = b->length;
	s->op.offset = b->fill ? 0 : (u32)((r >> 32) % (CHUNK / b->length)) * b->length;
	s->op.data = s->mem + (s->op.kind == FLINT_SOP_READ ? 0 :
			       s->op.offset & (FLINT_STORE_ALIGN - 1));
	s->op.seq = ++b->seq;
	s->op.seq_low = b->seq > 4096 ? b->seq - 4096 : 0;
	s->op.done = op_done;
	s->op.arg = s;
	s->began_ns = flint_now_ns();
	b->inflight++;
	flint_store_submit(b->st, &s->op);
}

static void turn(void *arg)
{
	flint_store_turn(((struct bench *)arg)->st);
}

static void kick(void *arg)
{
	flint_engine_kick(((struct bench *)arg)->eng);
}

struct begin {
	struct flint_task task;
	struct bench *b;
};

static void begin(struct flint_task *t)
{
	struct bench *b = ((struct begin *)t)->b;
	u32 i;

	for (i = 0; i < b->depth; i++)
		start(b, &b->slots[i]);
}

/* Return: operations per second. */
static double measure(struct bench *b, u8 kind, u32 length, u32 depth, double seconds, bool fill)
{
	struct begin t = { .task.fn = begin, .b = b };

	b->kind = kind;
	b->length = length;
	b->depth = depth;
	b->fill = fill;
	b->next = 0;
	b->done = 0;
	b->ns_sum = 0;
	b->began_ns = flint_now_ns();
	b->end_ns = b->began_ns + (u64)(seconds * 1e9);
	flint_loop_post(b->loop, &t.task);
	flint_loop_run(b->loop);
	return (double)b->done * 1e9 / (double)(flint_now_ns() - b->began_ns);
}

static void open_bench(struct bench *b, const char *path, u64 size, u8 crc_shift)
{
	struct flint_store_format f = { .id = 1, .size = size, .crc_shift = crc_shift };
	size_t mem = (size_t)DEPTH_MAX * (CHUNK + FLINT_STORE_SLACK);
	struct flint_dev *dev;
	struct iovec iov[2];
	char err[256];
	u32 i;

	flint_uuid_make(f.uuid);
	dev = flint_dev_open(path, FLINT_DEV_CREATE, size, err, sizeof(err));
	if (!dev || flint_store_format(dev, &f, err, sizeof(err)))
		goto fail;
	b->st = flint_store_open(dev, path, err, sizeof(err));
	if (!b->st)
		goto fail;
	b->loop = flint_loop_new();
	b->slots = calloc(DEPTH_MAX, sizeof(*b->slots));
	if (!b->loop || !b->slots || posix_memalign((void **)&b->mem, 1 << 21, mem))
		goto fail;
	memset(b->mem, 0x5c, mem);
	for (i = 0; i < DEPTH_MAX; i++) {
		b->slots[i].b = b;
		b->slots[i].mem = b->mem + (size_t)i * (CHUNK + FLINT_STORE_SLACK);
		b->slots[i].op.room = CHUNK + FLINT_STORE_SLACK;
	}
	iov[0] = (struct iovec){ b->mem, mem };
	iov[1] = (struct iovec){ b->st->arena, b->st->arena_len };
	b->eng = flint_engine_new(b->loop, iov, 2, &dev, 1, turn, b);
	b->st->kick = kick;
	b->st->kick_arg = b;
	b->nr_chunks = (u32)(flint_store_capacity(b->st) / CHUNK * 6 / 10);
	if (b->eng)
		return;
fail:
	fprintf(stderr, "chunk_bench: %s\n", err);
	exit(1);
}

static void close_bench(struct bench *b)
{
	flint_engine_drain(b->eng);
	flint_engine_free(b->eng);
	flint_store_close(b->st);
	flint_loop_free(b->loop);
	free(b->slots);
	free(b->mem);
	memset(b, 0, sizeof(*b));
}

/* Bytes of memory per TB: what the chunks there take, without spare slots. */
static double memory_per_tb(const struct flint_store *st)
{
	double bytes = (double)st->index.bytes +
		       (double)st->index.chunks.used * (sizeof(struct flint_chunk) + 2 * sizeof(u32)) +
		       (double)(flint_store_used(st) >> st->bs) / 8;

	return bytes / (double)flint_store_used(st) * 1e12;
}

static void one(const char *path, u64 size, double seconds, u8 crc_shift)
{
	struct bench b = { .rng = 1 };
	double fill, w1, w32, r1, r32, us1, amp_w, amp_r, flat, mapped, log;
	u64 dev0, n;

	open_bench(&b, path, size, crc_shift);
	fill = measure(&b, FLINT_SOP_WRITE, CHUNK, 8, 0, true);
	flat = memory_per_tb(b.st);
	w1 = measure(&b, FLINT_SOP_WRITE, 4096, 1, seconds, false);
	us1 = (double)b.ns_sum / (double)b.done / 1e3;
	dev0 = b.st->stats.device_write_bytes + b.st->stats.log_write_bytes;
	w32 = measure(&b, FLINT_SOP_WRITE, 4096, 32, seconds, false);
	n = b.done;
	amp_w = (double)(b.st->stats.device_write_bytes + b.st->stats.log_write_bytes - dev0) /
		(double)n;
	r1 = measure(&b, FLINT_SOP_READ, 4096, 1, seconds, false);
	dev0 = b.st->stats.device_read_bytes;
	r32 = measure(&b, FLINT_SOP_READ, 4096, 32, seconds, false);
	amp_r = (double)(b.st->stats.device_read_bytes - dev0) / (double)b.done;
	log = measure(&b, FLINT_SOP_PUNCH, 4096, 32, seconds, false);
	mapped = memory_per_tb(b.st);
	printf("%4u KiB  %7.2f  %8.2f  %8.1f  %8.1f  %8.0f  %8.0f  %8.1f  %8.0f  %8.0f  %8.0f  %8.0f\n",
	       (1u << crc_shift) >> 10, flat / 1e9, mapped / 1e9, amp_r / 1024, amp_w / 1024,
	       w1, w32, us1, r1, r32, log, fill);
	fflush(stdout);
	close_bench(&b);
}

int main(int argc, char **argv)
{
	static const u8 shifts[] = { 12, 14, 16 };
	uint64_t size = 1ull << 30;
	struct stat sb = { 0 };
	double seconds = 2;
	u32 i;

	if (argc < 2 || argc > 4 || argv[1][0] == '-' ||
	    (argc > 2 && flint_size_parse(argv[2], &size))) {
		fprintf(stderr, "usage: chunk_bench FILE [SIZE [SECONDS]]: FILE is made, used and removed\n");
		return 2;
	}
	if (argc > 3)
		seconds = atof(argv[3]);
	if (stat(argv[1], &sb) == 0 && !S_ISBLK(sb.st_mode)) {
		fprintf(stderr, "chunk_bench: %s exists\n", argv[1]);
		return 2;
	}
	flint_log_init("chunk_bench", FLINT_LOG_WARN);
	printf("checksum  GB of RAM/TB stored   KiB moved per 4 KiB   overwrites of 4 KiB/s (durable)   reads of 4 KiB/s    log      1 MiB\n");
	printf("block     written   after     read      overwrite depth 1   depth 32  us (1)    depth 1   depth 32  records/s writes/s\n");
	for (i = 0; i < sizeof(shifts); i++) {
		one(argv[1], size, seconds, shifts[i]);
		if (!S_ISBLK(sb.st_mode))
			unlink(argv[1]);
	}
	return 0;
}
