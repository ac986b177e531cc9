/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log in memory: the newest entries, so that sending and applying them
 * needs no disk. A ring by index.
 *
 * Invariants: entries are contiguous; what is in memory is on the disk or on
 * its way there; what is dropped is on the disk.
 */
#ifndef FLINT_RAFT_ENTS_H
#define FLINT_RAFT_ENTS_H

#include "db.h"

/**
 * struct flint_raft_ents - entries @first .. @last, none if @first > @last
 * @bytes: of their data
 */
struct flint_raft_ents {
	struct flint_raft_ent **ring;
	u32 size;		/* a power of two, or 0 */
	u64 first, last;
	u64 bytes;
};

/* Empty, the next one is @next. */
void flint_raft_ents_reset(struct flint_raft_ents *l, u64 next);
void flint_raft_ents_free(struct flint_raft_ents *l);
/* Takes the reference; its index is last + 1. 0 or -ENOMEM with nothing done. */
int flint_raft_ents_add(struct flint_raft_ents *l, struct flint_raft_ent *e);
/* Forget those from @index on. */
void flint_raft_ents_truncate(struct flint_raft_ents *l, u64 index);
/* Forget those up to @index. */
void flint_raft_ents_drop(struct flint_raft_ents *l, u64 index);

/* Borrowed; NULL: not in memory. */
static inline struct flint_raft_ent *flint_raft_ents_at(const struct flint_raft_ents *l, u64 index)
{
	return index >= l->first && index <= l->last ? l->ring[index & (l->size - 1)] : NULL;
}

#endif /* FLINT_RAFT_ENTS_H */
