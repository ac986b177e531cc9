// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-chunk-start-bench: how long a target with very many chunks takes to open,
 * and what its index takes in memory.
 *
 * A sparse file becomes a target; records of a checkpoint fill its index, as many
 * as chunks were asked for; a clean stop writes the checkpoint; then the target is
 * opened with a clock running. Blocks of data are named and never written.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "../../userd/base/conf.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/chunk/store.h"
#include "../../userd/net/net.h"

#define PER_INODE	64u

struct options {
	char *dir;
	uint64_t chunks, chunk_size, crc_block, runs;
	bool json;
};

#define OFF(member)	offsetof(struct options, member)

static const struct flint_conf_opt opts[] = {
	{ "dir", 'd', FLINT_CONF_STR, OFF(dir), "/var/tmp", "DIR",
	  "where a sparse file is made, used and removed", 0, 0, FLINT_CONF_CLI },
	{ "chunks", 'n', FLINT_CONF_U64, OFF(chunks), "10000000", "N", "chunks", 1, 200000000,
	  FLINT_CONF_CLI },
	{ "chunk-size", 0, FLINT_CONF_SIZE, OFF(chunk_size), "1M", "BYTES", "of each, 64K to 16M",
	  1 << 16, 1 << 24, FLINT_CONF_CLI },
	{ "crc-block", 0, FLINT_CONF_SIZE, OFF(crc_block), "64K", "BYTES",
	  "bytes that share a checksum", 4096, 65536, FLINT_CONF_CLI },
	{ "runs", 0, FLINT_CONF_U64, OFF(runs), "1", "N",
	  "pieces that each chunk lies in on the disk", 1, 256, FLINT_CONF_CLI },
	{ "json", 0, FLINT_CONF_BOOL, OFF(json), "no", NULL, "print one JSON object", 0, 0,
	  FLINT_CONF_CLI },
	{ 0 },
};

static const struct flint_conf_spec spec = {
	.prog = "flint-chunk-start-bench",
	.doc = "Measure how long a target with many chunks takes to open.",
	.opts = opts,
};

struct bench {
	struct flint_loop *loop;
	struct flint_engine *eng;
	struct flint_store *st;
};

static void fail(const char *what)
{
	fprintf(stderr, "flint-chunk-start-bench: %s\n", what);
	exit(1);
}

static u64 resident(void)
{
	unsigned long long size, pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%llu %llu", &size, &pages) != 2)
		fail("/proc/self/statm cannot be read");
	fclose(f);
	return pages * (u64)sysconf(_SC_PAGESIZE);
}

static void turn(void *arg)
{
	struct bench *b = arg;

	flint_store_turn(b->st);
	if (b->st->closing && flint_store_idle(b->st))
		flint_loop_stop(b->loop);
}

static void kick(void *arg)
{
	flint_engine_kick(((struct bench *)arg)->eng);
}

static struct flint_store *open_store(const char *path)
{
	char err[512];
	struct flint_dev *dev = flint_dev_open(path, 0, 0, err, sizeof(err));
	struct flint_store *st = dev ? flint_store_open(dev, path, err, sizeof(err)) : NULL;

	if (!st)
		fail(err);
	st->dev->prewritten = true;
	return st;
}

static void format(const char *path, const struct options *o)
{
	u64 size = o->chunks * o->chunk_size / 15 * 16 + (1ull << 30);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct flint_store_format f = { .id = 1, .size = size,
					.crc_shift = (u8)__builtin_ctzll(o->crc_block) };
	struct flint_dev *dev;
	char err[512];

	if (fd < 0 || ftruncate(fd, (off_t)size))
		fail("the file cannot be made: a smaller --chunks or another --dir");
	close(fd);
	flint_uuid_make(f.uuid);
	dev = flint_dev_open(path, 0, 0, err, sizeof(err));
	if (!dev || flint_store_format(dev, &f, err, sizeof(err)))
		fail(err);
	dev->ops->close(dev);
}

/* As the records of a checkpoint make them. */
static void fill(struct flint_store *st, const struct options *o)
{
	u32 blocks = (u32)(o->chunk_size >> st->bs), crcs = (u32)(o->chunk_size >> st->cs);
	u32 runs = o->runs < blocks ? (u32)o->runs : blocks, per = blocks / runs, i, j;
	u32 len = (u32)((sizeof(struct flint_rec_chunk) + runs * sizeof(struct flint_rec_ext) +
			 crcs * sizeof(u32) + 7) & ~7ul);
	struct flint_rec_chunk *r = calloc(1, len);
	struct flint_rec_ext *ext = (void *)(r + 1);
	u64 rng = 1;

	r->h.type = cpu_to_le16(FLINT_REC_CHUNK);
	r->h.flags = cpu_to_le16(FLINT_REC_SNAPSHOT);
	r->h.len = cpu_to_le32(len);
	r->fs = cpu_to_le32(1);
	r->gen = cpu_to_le32(1);
	r->size = cpu_to_le32((u32)o->chunk_size);
	r->keep = cpu_to_le32(~0u);
	r->shift = (u8)__builtin_ctzll(o->chunk_size);
	r->nr_ext = cpu_to_le32(runs);
	r->nr_crc = cpu_to_le32(crcs);
	for (i = 0; i < o->chunks; i++) {
		r->ino = cpu_to_le64(1 + i / PER_INODE * 7);
		r->index = cpu_to_le32(i % PER_INODE);
		r->version = cpu_to_le64(1 + flint_splitmix64(&rng) % 100);
		r->tag = cpu_to_le64(flint_splitmix64(&rng));
		for (j = 0; j < runs; j++) {	/* neighbours' pieces lie between ours */
			u32 group = i / runs * runs * blocks;

			ext[j].blk = cpu_to_le32(j * per);
			ext[j].dev = cpu_to_le32(group + (j * runs + i % runs) * per + 1);
			ext[j].nr = cpu_to_le32(j == runs - 1 && runs == 1 ? blocks : per);
		}
		if (flint_store_apply(st, &r->h, true))
			fail("a record was refused: no memory?");
	}
	free(r);
}

static void stop_task(struct flint_task *t)
{
}

static void checkpoint(const char *path, const struct options *o)
{
	struct bench b = { .loop = flint_loop_new(), .st = open_store(path) };
	struct flint_task t = { .fn = stop_task };
	struct iovec iov;

	fill(b.st, o);
	iov = (struct iovec){ b.st->arena, b.st->arena_len };
	b.eng = flint_engine_new(b.loop, &iov, 1, &b.st->dev, 1, turn, &b);
	if (!b.loop || !b.eng)
		fail(strerror(errno));
	b.st->kick = kick;
	b.st->kick_arg = &b;
	flint_store_shutdown(b.st);
	flint_loop_post(b.loop, &t);
	flint_loop_run(b.loop);
	flint_engine_drain(b.eng);
	flint_engine_free(b.eng);
	flint_store_close(b.st);
	flint_loop_free(b.loop);
	malloc_trim(0);
}

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void measure(const char *path, const struct options *o)
{
	u64 before = resident(), began = flint_now_ns(), memory;
	double cpu = cpu_s(), s;
	struct flint_store *st = open_store(path);
	char err[512];

	s = (double)(flint_now_ns() - began) / 1e9;
	cpu = cpu_s() - cpu;
	memory = resident() - before;
	if (st->index.chunks.used != o->chunks)
		fail("chunks are missing");
	if (o->json)
		printf("{\"chunks\": %llu, \"chunk_size\": %llu, \"crc_block\": %llu, \"open_s\": %.2f, \"cpu_s\": %.2f, \"checkpoint_bytes\": %llu, \"bytes_per_chunk\": %.0f, \"bytes_per_tb\": %.0f}\n",
		       (unsigned long long)o->chunks, (unsigned long long)o->chunk_size,
		       (unsigned long long)o->crc_block, s, cpu,
		       (unsigned long long)st->index.ckpt_bytes, (double)memory / (double)o->chunks,
		       (double)memory / (double)flint_store_used(st) * 1e12);
	else
		printf("%llu chunks of %llu KiB, checksums of %llu KiB: opened in %.2f s (%.2f s of processor), checkpoint %.2f GB, %.0f bytes of memory per chunk (%.0f counted), %.2f GB per TB\n",
		       (unsigned long long)o->chunks, (unsigned long long)o->chunk_size >> 10,
		       (unsigned long long)o->crc_block >> 10, s, cpu,
		       (double)st->index.ckpt_bytes / 1e9, (double)memory / (double)o->chunks,
		       (double)flint_store_memory(st) / (double)o->chunks,
		       (double)memory / (double)flint_store_used(st) * 1e3);
	if (flint_store_verify(st, err, sizeof(err)))
		fail(err);
	flint_store_close(st);
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	char path[600];
	bool verbose;

	flint_conf_parse_or_exit(&spec, argc, argv, &o, &verbose);
	flint_log_init("flint-chunk-start-bench", FLINT_LOG_WARN);
	if ((o.chunk_size & (o.chunk_size - 1)) || (o.crc_block & (o.crc_block - 1)))
		fail("sizes are powers of two");
	snprintf(path, sizeof(path), "%s/flint-start.%d", o.dir, (int)getpid());
	format(path, &o);
	checkpoint(path, &o);
	measure(path, &o);
	unlink(path);
	flint_conf_free(&spec, &o);
	return 0;
}
