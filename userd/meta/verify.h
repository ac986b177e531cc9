/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks of a whole database on a connection of its own: the checksum of all
 * rows, and what must hold between tables. Off the owner's thread.
 */
#ifndef FLINT_META_VERIFY_H
#define FLINT_META_VERIFY_H

#include "db.h"

/* The share of the rows, and of the counters, in the checksum. */
u64 meta_inode_sum(const struct meta_inode *i);
u64 meta_dent_sum(u64 parent, const u8 *name, u32 len, u64 cookie, u64 ino, u32 type);
u64 meta_row_sum(enum meta_table_id t, const u8 *key, u32 klen, const u8 *val, u32 vlen);
u64 meta_state_sum(u64 rows, const struct meta_counters *c);

/**
 * meta_progress - how far a long check is
 * @what: being looked at, in words
 * @done, @total: rows; @total 0: not known
 * Return: true to go on.
 */
typedef bool meta_progress(void *arg, const char *what, u64 done, u64 total);

/**
 * meta_checksum_scan() - the sum over all rows as the database has them
 * Return: 0, -ECANCELED, or -errno with the sentence in d->err.
 */
int meta_checksum_scan(struct meta_db *d, u64 *sum, meta_progress *progress, void *arg);

/**
 * struct meta_verdict - what was found
 * @checks, @rows: looked at
 * @problems: how many
 * @text: sentences, one a line; what did not fit is only counted
 */
struct meta_verdict {
	u64 checks, rows, problems;
	u64 index, term, checksum;
	char text[4096];
};

/**
 * meta_verify() - everything that must hold, on what the database is now
 * @path: of the database
 *
 * A read transaction on a connection of its own: sees one state, disturbs no
 * writer. Return: 0 with @v filled (also when there are problems), or -errno with a
 * sentence in v->text.
 */
int meta_verify(const char *path, struct meta_verdict *v, meta_progress *progress, void *arg);

#endif /* FLINT_META_VERIFY_H */
