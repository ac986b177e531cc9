/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backups: files "meta-TIME-INDEX.db" in a folder, each a whole state with a
 * table "manifest"; making, keeping, restoring them. And replacing the state of
 * a replica by a copy from another one.
 */
#ifndef FLINT_META_BACKUP_H
#define FLINT_META_BACKUP_H

#include "store.h"
#include "work.h"

#define META_BACKUP_PREFIX	"meta-"
#define META_BACKUP_SUFFIX	".db"
#define META_BACKUP_PART	".part"		/* not finished */

/* One file of the folder. */
struct meta_backup_info {
	char name[FLINT_LABEL_LEN];
	u64 size;
	u64 mtime_ns;
	u64 index;		/* from the name; 0: named by hand */
};

/* A name for a backup made now at @index; FLINT_LABEL_LEN bytes. */
void meta_backup_name(char *name, u64 index);
/* A plain file name that a backup may have. */
bool meta_backup_name_ok(const char *name);
/**
 * meta_backup_finish() - the copy "NAME.part" in @dir is whole: give it its name
 * Return: 0 or -errno.
 */
int meta_backup_finish(const char *dir, const char *name);
/* Oldest first. Return: how many (*@list: free()), or -errno. */
int meta_backup_list(const char *dir, struct meta_backup_info **list);
/* Remove all but the @keep youngest that were made by the schedule. Return: removed, or -errno. */
int meta_backup_prune(const char *dir, unsigned int keep);
/* Remove what is left of interrupted ones. */
void meta_backup_clean(const char *dir);

/**
 * meta_backup_restore() - a backup becomes the state of an empty directory
 * @file: a backup
 * @dir: state directory, without state and log
 * @say: receives what was restored, in a sentence
 * Return: 0, or -errno with the reason in @say; then @dir is as it was.
 */
int meta_backup_restore(const char *file, const char *dir, char *say, size_t len);

/**
 * meta_store_replace() - the state becomes what @path holds
 * @s: open; nothing may be under way
 * @path: a copy that META_W_ADMIT has found good, on the same file system
 *
 * Whenever the process dies in between, the directory holds one state or the
 * other, whole. Pointers into the old one (sessions) are gone.
 *
 * Return: 0, or -errno with a sentence in @err: then @s is closed and the process
 * must stop.
 */
int meta_store_replace(struct meta_store *s, const char *path, char *err, size_t errlen);

#endif /* FLINT_META_BACKUP_H */
