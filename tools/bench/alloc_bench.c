// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-chunk-alloc-bench: the block allocator on a target that is nearly full.
 *
 * Chunks of 1 MiB fill a target of the given size up to a share of it. Then, again
 * and again, either a chunk goes and another one is written, or a block of one is
 * overwritten (a block is allocated, the one before it freed). Printed for each
 * round: time per allocation, and in how many runs a newly written chunk lies.
 */
#include <stdio.h>
#include <stdlib.h>
#include "../../userd/base/conf.h"
#include "../../userd/chunk/alloc.h"
#include "../../userd/net/net.h"

#define CHUNK		(1u << 20)

struct options {
	uint64_t size, block, full, small, rounds, mixed;
	bool json;
};

#define OFF(member)	offsetof(struct options, member)

static const struct flint_conf_opt opts[] = {
	{ "size", 0, FLINT_CONF_SIZE, OFF(size), "1T", "BYTES", "of the target", 1 << 30, 0,
	  FLINT_CONF_CLI },
	{ "block", 0, FLINT_CONF_SIZE, OFF(block), "4K", "BYTES", "of a block", 4096, 65536,
	  FLINT_CONF_CLI },
	{ "full", 0, FLINT_CONF_U64, OFF(full), "95", "PERCENT", "taken all the time", 1, 99,
	  FLINT_CONF_CLI },
	{ "small", 0, FLINT_CONF_U64, OFF(small), "50", "PERCENT",
	  "of the allocations are overwrites of a block", 0, 100, FLINT_CONF_CLI },
	{ "mixed", 0, FLINT_CONF_U64, OFF(mixed), "0", "PERCENT",
	  "of the chunks are short: any number of blocks", 0, 100, FLINT_CONF_CLI },
	{ "rounds", 0, FLINT_CONF_U64, OFF(rounds), "5", "N",
	  "in each as many allocations as there are chunks", 1, 1000, FLINT_CONF_CLI },
	{ "json", 0, FLINT_CONF_BOOL, OFF(json), "no", NULL, "print the last round as JSON", 0, 0,
	  FLINT_CONF_CLI },
	{ 0 },
};

static const struct flint_conf_spec spec = {
	.prog = "flint-chunk-alloc-bench",
	.doc = "Measure the chunk store's block allocator on a nearly full target.",
	.opts = opts,
};

struct bench {
	struct flint_alloc a;
	u32 *map;		/* @blocks of each chunk: block + 1 */
	u32 blocks;		/* of a chunk */
	u32 nr, full_blocks;
	u64 rng;
	u64 whole, runs, small, whole_ns, small_ns, worst_ns;
};

static u64 rnd(struct bench *b, u64 below)
{
	return flint_splitmix64(&b->rng) % below;
}

static u32 *map_of(const struct bench *b, u32 c)
{
	return b->map + (size_t)c * b->blocks;
}

static void chunk_free(struct bench *b, u32 c)
{
	u32 *map = map_of(b, c), i;

	for (i = 0; i < b->blocks; i++)
		if (map[i])
			flint_alloc_put(&b->a, map[i] - 1, 1);
	memset(map, 0, b->blocks * sizeof(*map));
}

static void note(u64 *sum, u64 *worst, u64 ns)
{
	*sum += ns;
	if (ns > *worst)
		*worst = ns;
}

static void chunk_write(struct bench *b, u32 c, u32 blocks)
{
	u64 began = flint_now_ns();
	u32 *map = map_of(b, c), at = 0, hint = ~0u, i;

	while (at < blocks) {
		struct flint_run run;

		if (!flint_alloc_get(&b->a, blocks - at, hint, &run))
			break;
		for (i = 0; i < run.nr; i++)
			map[at + i] = run.start + i + 1;
		if (blocks == b->blocks)	/* others are not counted */
			b->runs += at == 0 || map[at - 1] != run.start;
		at += run.nr;
		hint = run.start + run.nr;
	}
	if (blocks == b->blocks) {
		b->whole++;
		note(&b->whole_ns, &b->worst_ns, flint_now_ns() - began);
	}
}

static void block_write(struct bench *b, u32 c)
{
	u32 *block = map_of(b, c) + rnd(b, b->blocks), old = *block;
	u64 began = flint_now_ns();
	struct flint_run run;

	if (!old || !flint_alloc_get(&b->a, 1, ~0u, &run))
		return;
	*block = run.start + 1;
	flint_alloc_put(&b->a, old - 1, 1);
	b->small++;
	note(&b->small_ns, &b->worst_ns, flint_now_ns() - began);
}

static u32 length(struct bench *b, const struct options *o)
{
	return rnd(b, 100) < o->mixed ? 1 + (u32)rnd(b, b->blocks - 1) : b->blocks;
}

static void churn(struct bench *b, const struct options *o)
{
	u32 n;

	b->whole = b->runs = b->small = b->whole_ns = b->small_ns = b->worst_ns = 0;
	for (n = 0; n < b->nr; n++) {
		u32 c = (u32)rnd(b, b->nr), want = length(b, o);

		if (rnd(b, 100) < o->small) {
			block_write(b, c);
			continue;
		}
		chunk_free(b, c);
		if (b->a.used + want > b->full_blocks)
			continue;
		chunk_write(b, c, want);
	}
}

static void print(const struct bench *b, const struct options *o, u32 round)
{
	double whole = (double)(b->whole ? b->whole : 1), small = (double)(b->small ? b->small : 1);

	if (!o->json)
		printf("round %3u: 1 MiB %8.0f ns, %6.2f runs; a block %7.0f ns; worst %8.0f ns; %.1f %% full\n",
		       round, (double)b->whole_ns / whole, (double)b->runs / whole,
		       (double)b->small_ns / small, (double)b->worst_ns,
		       100.0 * b->a.used / b->a.nr_blocks);
	else if (round == o->rounds)
		printf("{\"full\": %.3f, \"whole_ns\": %.0f, \"runs\": %.2f, \"small_ns\": %.0f, \"worst_ns\": %.0f}\n",
		       (double)b->a.used / b->a.nr_blocks, (double)b->whole_ns / whole,
		       (double)b->runs / whole, (double)b->small_ns / small, (double)b->worst_ns);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct bench b = { .rng = 1 };
	bool verbose;
	u32 c, round;

	flint_conf_parse_or_exit(&spec, argc, argv, &o, &verbose);
	b.blocks = CHUNK / (u32)o.block;
	if (flint_alloc_init(&b.a, (u32)(o.size / o.block)))
		return 1;
	flint_alloc_zeroed(&b.a, b.a.nr_blocks);
	b.full_blocks = (u32)((u64)b.a.nr_blocks * o.full / 100);
	b.nr = b.full_blocks / (b.blocks * (u32)(100 - o.mixed) / 100 + b.blocks / 2 * (u32)o.mixed / 100);
	b.map = calloc((size_t)b.nr * b.blocks, sizeof(*b.map));
	if (!b.map)
		return 1;
	for (c = 0; c < b.nr && b.a.used + b.blocks <= b.full_blocks; c++)
		chunk_write(&b, c, length(&b, &o));
	for (round = 1; round <= o.rounds; round++) {
		churn(&b, &o);
		print(&b, &o, round);
	}
	free(b.map);
	flint_alloc_free(&b.a);
	flint_conf_free(&spec, &o);
	return 0;
}
