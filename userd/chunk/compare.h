/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What recovery does about a chunk, by what both sides have of it (rule R9 in
 * Documentation/replication.rst). Pure.
 */
#ifndef FLINT_CHUNK_COMPARE_H
#define FLINT_CHUNK_COMPARE_H

#include "../../uapi/flintfs/chain.h"

#define COMPARE_GROUP	16u		/* chunks of one key that are looked at */

enum compare_verdict {
	COMPARE_SAME,
	COMPARE_SEND,		/* the authority's is sent */
	COMPARE_DROP,		/* the authority has none */
	COMPARE_CONFLICT,	/* one version with two contents: nobody may guess */
};

/**
 * struct compare_todo - a chunk that is not the same on both sides
 * @chunk: as the authority has it, or, with COMPARE_DROP, the other side
 */
struct compare_todo {
	enum compare_verdict verdict;
	struct flint_sync_chunk chunk;
};

/* One chunk: @ours of the last serving target, @theirs; NULL: there is none. */
enum compare_verdict compare_chunk(const struct flint_sync_chunk *ours,
				   const struct flint_sync_chunk *theirs);

/**
 * compare_group() - all chunks of one key
 * @ours, @nr_ours, @theirs, @nr_theirs: at most COMPARE_GROUP each, in any order
 * @todo: room for both together
 *
 * Return: how many are not the same.
 */
u32 compare_group(const struct flint_sync_chunk *ours, u32 nr_ours,
		  const struct flint_sync_chunk *theirs, u32 nr_theirs, struct compare_todo *todo);

#endif /* FLINT_CHUNK_COMPARE_H */
