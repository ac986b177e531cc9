/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Placement, version 1: from (layout, chunk index) to a chain, by arithmetic
 * that every build computes alike. Documentation/placement.rst specifies it
 * byte for byte and lists the test vectors that run in user space
 * (tests/unit/placement_test.c) and in the kernel (tests/kunit).
 *
 *	n    = chains in the layout's table version
 *	w    = min(layout.stripe, n)
 *	rng  = SplitMix64 with state layout.seed
 *	base = below(rng, n)
 *	perm = 0 .. w-1, shuffled: for i = w-1 down to 1: swap(perm[i], perm[below(rng, i + 1)])
 *	chain of chunk i = table[(base + perm[i mod w]) mod n]
 *
 * SplitMix64 is the generator of Steele, Lea and Flood, "Fast splittable
 * pseudorandom number generators" (OOPSLA 2014), with the constants of
 * java.util.SplittableRandom. below(rng, m) is the high half of the 128-bit
 * product next(rng) * m, without rejection: the bias (at most m / 2^64) does
 * not matter here, a fixed number of draws does. Only m < 2^32 occurs, so the
 * product is formed from the high 32 bits of next(): (next >> 32) * m >> 32.
 */
#ifndef _UAPI_FLINTFS_PLACEMENT_H
#define _UAPI_FLINTFS_PLACEMENT_H

#include "wire.h"

#define FLINT_PLACEMENT_V1	1
#define FLINT_STRIPE_MAX	256
#define FLINT_CHUNK_SHIFT_MIN	16
#define FLINT_CHUNK_SHIFT_MAX	24
#define FLINT_CHUNK_SHIFT_DEF	20

/**
 * struct flint_placement - a file's chains, computed once
 * @nr_chains: chains in the table
 * @width: chains the file uses, 1..FLINT_STRIPE_MAX
 * @slot: index into the table of the chain of chunk i, at [i mod width]
 */
struct flint_placement {
	u32 nr_chains;
	u32 width;
	u32 slot[FLINT_STRIPE_MAX];
};

static inline u64 flint_splitmix64(u64 *state)
{
	u64 z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline u32 flint_rng_below(u64 *state, u32 m)
{
	return (u32)(((flint_splitmix64(state) >> 32) * m) >> 32);
}

/**
 * flint_placement_init() - compute a file's chains
 * @p: result
 * @layout: of the file
 * @nr_chains: chains in the table and version that the layout names, 1..2^31-1
 *
 * Context: any; touches only @p.
 * Return: 0, or -EINVAL for a layout that this version does not know or that
 * is out of range: the caller must not guess, the file cannot be read.
 */
static inline int flint_placement_init(struct flint_placement *p,
				       const struct flint_layout *layout,
				       u32 nr_chains)
{
	u32 stripe = le16_to_cpu(layout->stripe);
	u64 rng = le64_to_cpu(layout->seed);
	u32 base, i;

	if (layout->version != FLINT_PLACEMENT_V1 || stripe < 1 ||
	    stripe > FLINT_STRIPE_MAX || nr_chains < 1 ||
	    nr_chains > 0x7fffffffu ||
	    layout->chunk_shift < FLINT_CHUNK_SHIFT_MIN ||
	    layout->chunk_shift > FLINT_CHUNK_SHIFT_MAX)
		return -EINVAL;

	p->nr_chains = nr_chains;
	p->width = stripe < nr_chains ? stripe : nr_chains;
	base = flint_rng_below(&rng, nr_chains);
	for (i = 0; i < p->width; i++)
		p->slot[i] = i;
	for (i = p->width - 1; i > 0; i--) {
		u32 j = flint_rng_below(&rng, i + 1);
		u32 t = p->slot[i];

		p->slot[i] = p->slot[j];
		p->slot[j] = t;
	}
	for (i = 0; i < p->width; i++)
		p->slot[i] = (base + p->slot[i]) % nr_chains;
	return 0;
}

/**
 * flint_placement_chain() - index into the chain table for a chunk
 * @p: from flint_placement_init()
 * @chunk: chunk index, file offset >> chunk_shift
 */
static inline u32 flint_placement_chain(const struct flint_placement *p, u32 chunk)
{
	return p->slot[chunk % p->width];
}

#endif /* _UAPI_FLINTFS_PLACEMENT_H */
