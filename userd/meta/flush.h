/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flusher: a thread with a connection of its own that writes frozen
 * generations into the database and moves the WAL into the file.
 */
#ifndef FLINT_META_FLUSH_H
#define FLINT_META_FLUSH_H

#include "store.h"

struct meta_flusher;

/**
 * struct meta_gen - a frozen generation
 * @state: the row of table "state" with it
 * @inodes, @dents, @rows: what changed in it
 */
struct meta_gen {
	u32 gen;
	struct meta_db_state state;
	struct meta_vec inodes, dents;
	struct meta_rowo *rows;
	u64 nr;
};

struct meta_flush_stats {
	u64 flushes, flushed, flush_us, checkpoints, checkpoint_us;
	u64 cost_ns;		/* of an object lately, checkpoints included */
};

/**
 * meta_flusher_new() - start the thread
 * @db: open for writing; the thread's from now on, closed by meta_flusher_free()
 * @wake: after each step, on the flusher's thread; NULL: nobody is told
 * Return: the flusher or NULL with errno.
 */
struct meta_flusher *meta_flusher_new(const struct meta_db *db, void (*wake)(void *arg), void *arg);
/* Ends after the step under way; a generation that is not written is dropped. */
void meta_flusher_free(struct meta_flusher *f);
/* Nothing to write and nothing to report. */
bool meta_flusher_idle(struct meta_flusher *f);
/* Write it. The flusher must be idle. The memory is the caller's again with the report. */
void meta_flusher_start(struct meta_flusher *f, struct meta_gen *g);
/**
 * meta_flusher_report() - what became of the generation
 * @wait: until there is something
 * Return: 1: written, on stable storage, *@g; 0: nothing new; -errno with a
 * sentence in @why: not written, and never will be.
 */
int meta_flusher_report(struct meta_flusher *f, struct meta_gen **g, bool wait, char *why,
			size_t len);
void meta_flusher_stats(struct meta_flusher *f, struct meta_flush_stats *st);
/* Hold writes and checkpoints back (tests, and copies of the file); nests not. */
void meta_flusher_hold(struct meta_flusher *f, bool hold);

#endif /* FLINT_META_FLUSH_H */
