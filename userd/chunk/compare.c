// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rules of comparison (compare.h).
 *
 * The last serving target is the authority whatever the numbers say: a replica
 * that was ahead when it left was so by a change that nobody was told of, and
 * the chain may since have given that version to another one. A tag tells these
 * apart. What must never be is one version and tag with two contents.
 */
#include <stddef.h>
#include "compare.h"

enum compare_verdict compare_chunk(const struct flint_sync_chunk *ours,
				   const struct flint_sync_chunk *theirs)
{
	if (!ours)
		return theirs ? COMPARE_DROP : COMPARE_SAME;
	if (!ours->version)	/* a replacement that was interrupted: never on a serving target */
		return COMPARE_CONFLICT;
	if (!theirs || theirs->version != ours->version || theirs->tag != ours->tag)
		return COMPARE_SEND;
	if (theirs->size != ours->size || theirs->gen != ours->gen)
		return COMPARE_CONFLICT;
	if (ours->crcs && theirs->crcs && ours->crcs != theirs->crcs)
		return COMPARE_CONFLICT;
	return COMPARE_SAME;
}

static const struct flint_sync_chunk *find(const struct flint_sync_chunk *list, u32 nr,
					   const struct flint_sync_chunk *c)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (list[i].ino == c->ino && list[i].fs == c->fs && list[i].index == c->index)
			return &list[i];
	return NULL;
}

u32 compare_group(const struct flint_sync_chunk *ours, u32 nr_ours,
		  const struct flint_sync_chunk *theirs, u32 nr_theirs, struct compare_todo *todo)
{
	u32 n = 0, i;

	for (i = 0; i < nr_ours; i++) {
		todo[n].verdict = compare_chunk(&ours[i], find(theirs, nr_theirs, &ours[i]));
		todo[n].chunk = ours[i];
		n += todo[n].verdict != COMPARE_SAME;
	}
	for (i = 0; i < nr_theirs; i++) {
		if (find(ours, nr_ours, &theirs[i]))
			continue;
		todo[n].verdict = COMPARE_DROP;
		todo[n++].chunk = theirs[i];
	}
	return n;
}
