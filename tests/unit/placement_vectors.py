#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Placement, version 1, written a second time from its specification.

Prints the test vectors: with --c the table that the tests in user space and in
the kernel compile (placement_vectors.h), with --rst the one in
Documentation/placement.rst. It shares no code with uapi/flintfs/placement.h, so
that the two check each other.
"""
import sys

M64 = (1 << 64) - 1
SHOWN = 16		# chunks listed in a vector
SUMMED = 1024		# chunks that enter its checksum


def splitmix64(state):
    """One draw: returns (new state, value)."""
    state = (state + 0x9E3779B97F4A7C15) & M64
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return state, z ^ (z >> 31)


def below(state, m):
    state, v = splitmix64(state)
    return state, ((v >> 32) * m) >> 32


def chains(seed, stripe, n, chunks):
    """Table indexes of the chains of chunks 0..chunks-1."""
    w = min(stripe, n)
    state, base = below(seed, n)
    perm = list(range(w))
    for i in range(w - 1, 0, -1):
        state, j = below(state, i + 1)
        perm[i], perm[j] = perm[j], perm[i]
    return [(base + perm[c % w]) % n for c in range(chunks)]


def fnv1a(values):
    """FNV-1a, 64 bits, over the values as little-endian 32-bit numbers."""
    h = 0xCBF29CE484222325
    for v in values:
        for byte in v.to_bytes(4, "little"):
            h = ((h ^ byte) * 0x100000001B3) & M64
    return h


# (seed, stripe, chains in the table)
CASES = [
    (0, 1, 1), (1, 1, 1), (M64, 1, 1),			# one chain only
    (0, 256, 1), (7, 8, 3), (7, 200, 199),		# stripe wider than the table
    (0, 1, 10), (1, 1, 10), (2, 1, 10),			# stripe 1: the base alone
    (0, 4, 10), (1, 4, 10), (0xDEADBEEF, 4, 10),
    (42, 3, 3), (42, 8, 8), (42, 16, 16), (42, 16, 100),
    (0x123456789ABCDEF0, 255, 255), (0x123456789ABCDEF0, 256, 256),
    (0x123456789ABCDEF0, 256, 257), (0x123456789ABCDEF0, 256, 1000),
    (M64, 2, 2), (M64, 64, 65536), (1 << 63, 7, 0x7FFFFFFF),
]


def emit_c():
    print("""/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Test vectors of placement, version 1; made by placement_vectors.py, which
 * computes them independently of uapi/flintfs/placement.h. Plain data, for user
 * space and for the kernel.
 */
#ifndef FLINT_PLACEMENT_VECTORS_H
#define FLINT_PLACEMENT_VECTORS_H

#include "../../uapi/flintfs/types.h"

#define FLINT_PLACEMENT_SHOWN	%d	/* chunks in @slot */
#define FLINT_PLACEMENT_SUMMED	%d	/* chunks in @fnv1a */

/**
 * struct flint_placement_vector - one file's placement
 * @seed, @stripe: of its layout
 * @nr_chains: chains in the table
 * @slot: table index of the chain of chunks 0, 1, ...
 * @fnv1a: 64-bit FNV-1a over the table indexes of chunks 0..1023, each as a
 *	little-endian 32-bit number
 */
struct flint_placement_vector {
	u64 seed;
	u16 stripe;
	u32 nr_chains;
	u32 slot[FLINT_PLACEMENT_SHOWN];
	u64 fnv1a;
};

/* The first draws of the generator from state 0. */
static const u64 flint_splitmix64_vectors[] = {""" % (SHOWN, SUMMED))
    state = 0
    for _ in range(4):
        state, v = splitmix64(state)
        print("\t0x%016xull," % v)
    print("};\n\nstatic const struct flint_placement_vector flint_placement_vectors[] = {")
    for seed, stripe, n in CASES:
        all_slots = chains(seed, stripe, n, SUMMED)
        s = all_slots[:SHOWN]
        print("\t{ 0x%016xull, %d, %d,\n\t  { %s,\n\t    %s },\n\t  0x%016xull }," % (
            seed, stripe, n, ", ".join(map(str, s[:8])), ", ".join(map(str, s[8:])),
            fnv1a(all_slots)))
    print("};\n\n#endif /* FLINT_PLACEMENT_VECTORS_H */")


def emit_rst():
    rows = [("seed", "stripe", "n", "chunks 0 to 7", "FNV-1a of chunks 0 to 1023")]
    for seed, stripe, n in CASES:
        all_slots = chains(seed, stripe, n, SUMMED)
        rows.append(("0x%016x" % seed, str(stripe), str(n),
                     " ".join(map(str, all_slots[:8])), "0x%016x" % fnv1a(all_slots)))
    widths = [max(len(r[i]) for r in rows) for i in range(5)]
    rule = " ".join("=" * w for w in widths)
    print(rule)
    for i, r in enumerate(rows):
        print(" ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip())
        if not i:
            print(rule)
    print(rule)


if __name__ == "__main__":
    if sys.argv[1:] == ["--c"]:
        emit_c()
    elif sys.argv[1:] == ["--rst"]:
        emit_rst()
    else:
        sys.exit("usage: placement_vectors.py --c | --rst")
