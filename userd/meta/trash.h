/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was deleted and is still there: the trash, and trees on their way out.
 *
 * Each file system may have two hidden directories, made when they are first
 * needed: no name leads to them, and each is its own parent. What loses its
 * last name in a tree with a trash setting gets an entry in the first one;
 * a tree that is removed recursively gets one in the second one (or goes to
 * the trash). The entry's name is the inode's number, which is also the id by
 * which it is listed and restored. META_INO_TRASH marks such inodes; clients see
 * them with no links.
 *
 * Rows: "trash" tells where it was and when it ends, "expiry" orders by that
 * time. A directory's name stands in table "dirname", so that paths can be told.
 */
#ifndef FLINT_META_TRASH_H
#define FLINT_META_TRASH_H

#include "store.h"

enum meta_hidden {
	META_HIDDEN_TRASH	= 1,
	META_HIDDEN_DOOMED	= 2,
};

/**
 * struct meta_trash - a row of table "trash"
 * @parent: where it was
 * @deleted, @expires: ns since the epoch
 */
struct meta_trash {
	u64 parent;
	u64 deleted, expires;
	u8 name[FLINT_NAME_MAX];
	u32 name_len;
};

/* Seconds that deleted entries of a directory are kept, 0: no trash. 0 or -errno. */
int meta_trash_keep(struct meta_store *s, u32 fs, u64 dir, u32 *keep);
/**
 * meta_trash_put() - an inode whose last name was just taken out of @dir
 * @keep: as told by meta_trash_keep(); 0: it is doomed instead
 *
 * For what still counts in @dir. 0 or -errno.
 */
int meta_trash_put(struct meta_op *o, struct meta_inode *dir, struct meta_inode *i,
		   const u8 *name, u32 len, u32 keep);
/* 1 with *@t, 0 or -errno. */
int meta_trash_get(struct meta_store *s, u32 fs, u64 ino, struct meta_trash *t);
/* The first one after @after: 1 with its number, 0 or -errno. */
int meta_trash_next(struct meta_store *s, u32 fs, u64 after, u64 *ino);
/* When the next one expires, ns; 0: none does. 0 or -errno. */
int meta_trash_due(struct meta_store *s, u64 *when);
/* The number of a hidden directory; 0: not made yet. 0 or -errno. */
int meta_hidden_get(struct meta_store *s, u32 fs, enum meta_hidden which, u64 *ino);
/* The first file system from @from on with something to remove in the background: 1, 0, -errno. */
int meta_doomed_fs(struct meta_store *s, u32 from, u32 *fs);

/**
 * meta_rmtree_peek() - what the next steps of removing trees of a file system will change
 * @inos, @max: room
 * @nr: result: inodes, each once or twice
 * @steps: result: META_OP_RMTREE_STEP of so many changes no others; at least 1
 *
 * Return: 0 or -errno.
 */
int meta_rmtree_peek(struct meta_store *s, u32 fs, u64 *inos, u32 max, u32 *nr, u32 *steps);

/* What is in the trash of a file system from the number after @after on, at most @max. 0 or -errno. */
int meta_trash_peek(struct meta_store *s, u32 fs, u64 after, u64 *inos, u32 max, u32 *nr);
/* What META_OP_TRASH_EXPIRE of @max removes at the time @now. 0 or -errno. */
int meta_expiry_peek(struct meta_store *s, u64 now, u64 *inos, u32 max, u32 *nr);

/* A directory's name changes, or it has a first one. */
int meta_dirname_set(struct meta_store *s, u64 ino, const u8 *name, u32 len);
/**
 * meta_path() - the path of an entry, relative to the file system's root
 * @dir, @name: the entry
 * @buf: room for FLINT_PATH_MAX bytes; cut at its beginning when it is longer
 *
 * A directory that is gone is shown as "?". Return: length or -errno.
 */
int meta_path(struct meta_store *s, u64 dir, const u8 *name, u32 len, u8 *buf);

#endif /* FLINT_META_TRASH_H */
