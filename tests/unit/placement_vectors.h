/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Test vectors of placement, version 1; made by placement_vectors.py, which
 * computes them independently of uapi/flintfs/placement.h. Plain data, for user
 * space and for the kernel.
 */
#ifndef FLINT_PLACEMENT_VECTORS_H
#define FLINT_PLACEMENT_VECTORS_H

#include "../../uapi/flintfs/types.h"

#define FLINT_PLACEMENT_SHOWN	16	/* chunks in @slot */
#define FLINT_PLACEMENT_SUMMED	1024	/* chunks in @fnv1a */

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
static const u64 flint_splitmix64_vectors[] = {
	0xe220a8397b1dcdafull,
	0x6e789e6aa1b965f4ull,
	0x06c45d188009454full,
	0xf88bb8a8724c81ecull,
};

static const struct flint_placement_vector flint_placement_vectors[] = {
	{ 0x0000000000000000ull, 1, 1,
	  { 0, 0, 0, 0, 0, 0, 0, 0,
	    0, 0, 0, 0, 0, 0, 0, 0 },
	  0xb93a0c83ce3b6325ull },
	{ 0x0000000000000001ull, 1, 1,
	  { 0, 0, 0, 0, 0, 0, 0, 0,
	    0, 0, 0, 0, 0, 0, 0, 0 },
	  0xb93a0c83ce3b6325ull },
	{ 0xffffffffffffffffull, 1, 1,
	  { 0, 0, 0, 0, 0, 0, 0, 0,
	    0, 0, 0, 0, 0, 0, 0, 0 },
	  0xb93a0c83ce3b6325ull },
	{ 0x0000000000000000ull, 256, 1,
	  { 0, 0, 0, 0, 0, 0, 0, 0,
	    0, 0, 0, 0, 0, 0, 0, 0 },
	  0xb93a0c83ce3b6325ull },
	{ 0x0000000000000007ull, 8, 3,
	  { 0, 2, 1, 0, 2, 1, 0, 2,
	    1, 0, 2, 1, 0, 2, 1, 0 },
	  0xb776038b10de9b46ull },
	{ 0x0000000000000007ull, 200, 199,
	  { 18, 184, 139, 99, 116, 48, 29, 97,
	    107, 27, 69, 142, 75, 173, 13, 98 },
	  0x91fac7ad38367ca2ull },
	{ 0x0000000000000000ull, 1, 10,
	  { 8, 8, 8, 8, 8, 8, 8, 8,
	    8, 8, 8, 8, 8, 8, 8, 8 },
	  0x0abab7f248846325ull },
	{ 0x0000000000000001ull, 1, 10,
	  { 5, 5, 5, 5, 5, 5, 5, 5,
	    5, 5, 5, 5, 5, 5, 5, 5 },
	  0xe649a15ec1cdc325ull },
	{ 0x0000000000000002ull, 1, 10,
	  { 5, 5, 5, 5, 5, 5, 5, 5,
	    5, 5, 5, 5, 5, 5, 5, 5 },
	  0xe649a15ec1cdc325ull },
	{ 0x0000000000000000ull, 4, 10,
	  { 0, 1, 8, 9, 0, 1, 8, 9,
	    0, 1, 8, 9, 0, 1, 8, 9 },
	  0x383a7a34fd9fc325ull },
	{ 0x0000000000000001ull, 4, 10,
	  { 6, 5, 8, 7, 6, 5, 8, 7,
	    6, 5, 8, 7, 6, 5, 8, 7 },
	  0x6df3a2fe662f2325ull },
	{ 0x00000000deadbeefull, 4, 10,
	  { 3, 4, 2, 5, 3, 4, 2, 5,
	    3, 4, 2, 5, 3, 4, 2, 5 },
	  0x9c2bd4b542c97325ull },
	{ 0x000000000000002aull, 3, 3,
	  { 0, 1, 2, 0, 1, 2, 0, 1,
	    2, 0, 1, 2, 0, 1, 2, 0 },
	  0xa141c1b5c8b91596ull },
	{ 0x000000000000002aull, 8, 8,
	  { 2, 3, 1, 0, 5, 7, 4, 6,
	    2, 3, 1, 0, 5, 7, 4, 6 },
	  0xf7366546ef8fc325ull },
	{ 0x000000000000002aull, 16, 16,
	  { 4, 7, 1, 2, 0, 6, 12, 8,
	    14, 3, 10, 5, 11, 9, 15, 13 },
	  0x7cc0f60ae83f6f25ull },
	{ 0x000000000000002aull, 16, 100,
	  { 83, 86, 80, 81, 79, 85, 75, 87,
	    77, 82, 89, 84, 74, 88, 78, 76 },
	  0x9af5c4aeda994f25ull },
	{ 0x123456789abcdef0ull, 255, 255,
	  { 84, 244, 163, 43, 217, 136, 186, 36,
	    42, 241, 208, 131, 229, 189, 56, 204 },
	  0x6007121bfdb7c69dull },
	{ 0x123456789abcdef0ull, 256, 256,
	  { 164, 196, 100, 36, 21, 184, 43, 176,
	    238, 40, 209, 225, 42, 68, 0, 242 },
	  0x3079311f2265c1a5ull },
	{ 0x123456789abcdef0ull, 256, 257,
	  { 164, 196, 100, 36, 20, 184, 43, 176,
	    238, 40, 209, 225, 42, 68, 256, 242 },
	  0x69f413d3b5a8defdull },
	{ 0x123456789abcdef0ull, 256, 1000,
	  { 228, 260, 164, 100, 341, 248, 107, 240,
	    302, 104, 273, 289, 106, 132, 320, 306 },
	  0x3c85c524a34c94e5ull },
	{ 0xffffffffffffffffull, 2, 2,
	  { 1, 0, 1, 0, 1, 0, 1, 0,
	    1, 0, 1, 0, 1, 0, 1, 0 },
	  0x70a6ee0ac1b14325ull },
	{ 0xffffffffffffffffull, 64, 65536,
	  { 58589, 58625, 58620, 58646, 58627, 58616, 58606, 58610,
	    58588, 58636, 58619, 58642, 58609, 58644, 58607, 58597 },
	  0x772962fa69e16965ull },
	{ 0x8000000000000000ull, 7, 2147483647,
	  { 604987478, 604987476, 604987475, 604987472, 604987473, 604987474, 604987477, 604987478,
	    604987476, 604987475, 604987472, 604987473, 604987474, 604987477, 604987478, 604987476 },
	  0xf1a756eb3ecfa3e7ull },
};

#endif /* FLINT_PLACEMENT_VECTORS_H */
