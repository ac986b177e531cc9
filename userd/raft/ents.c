// SPDX-License-Identifier: GPL-2.0-or-later
/* The log in memory. */
#include <errno.h>
#include <stdlib.h>
#include "ents.h"

void flint_raft_ents_reset(struct flint_raft_ents *l, u64 next)
{
	flint_raft_ents_drop(l, l->last);
	l->first = next;
	l->last = next - 1;
}

void flint_raft_ents_free(struct flint_raft_ents *l)
{
	flint_raft_ents_drop(l, l->last);
	free(l->ring);
	l->ring = NULL;
	l->size = 0;
}

static int grow(struct flint_raft_ents *l)
{
	u32 size = l->size ? l->size * 2 : 256;
	struct flint_raft_ent **ring = calloc(size, sizeof(*ring));
	u64 i;

	if (!ring)
		return -ENOMEM;
	for (i = l->first; i <= l->last; i++)
		ring[i & (size - 1)] = l->ring[i & (l->size - 1)];
	free(l->ring);
	l->ring = ring;
	l->size = size;
	return 0;
}

int flint_raft_ents_add(struct flint_raft_ents *l, struct flint_raft_ent *e)
{
	if (l->last - l->first + 1 >= l->size && grow(l))
		return -ENOMEM;
	l->last++;
	l->ring[l->last & (l->size - 1)] = e;
	l->bytes += e->len;
	return 0;
}

void flint_raft_ents_truncate(struct flint_raft_ents *l, u64 index)
{
	while (l->size && l->last >= l->first && l->last >= index) {
		struct flint_raft_ent *e = l->ring[l->last & (l->size - 1)];

		l->bytes -= e->len;
		flint_raft_ent_put(e);
		l->last--;
	}
	/* Everything went, and what was before it was not here. */
	if (l->last >= index) {
		l->last = index - 1;
		l->first = index;
	}
}

void flint_raft_ents_drop(struct flint_raft_ents *l, u64 index)
{
	while (l->size && l->first <= l->last && l->first <= index) {
		struct flint_raft_ent *e = l->ring[l->first & (l->size - 1)];

		l->bytes -= e->len;
		flint_raft_ent_put(e);
		l->first++;
	}
	/* Beyond the end: a new log begins there. */
	if (l->last < index) {
		l->last = index;
		l->first = index + 1;
	}
}
