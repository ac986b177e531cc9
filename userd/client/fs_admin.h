/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Administration of a file system by the client library: totals of directories,
 * quotas, trash, recursive removal. All calls wait; any thread but the library's.
 * Structures are as on the wire (uapi/flintfs/wire.h), little-endian.
 *
 * Return values: 0 or a count, else a negative errno as in fs.h; -EPERM when
 * the file system's uid (flint_fs_config) may not do it.
 */
#ifndef FLINT_CLIENT_FS_ADMIN_H
#define FLINT_CLIENT_FS_ADMIN_H

#include "fs.h"

/* Totals below a directory: one lookup, whatever lies there. */
int flint_fs_dirstat(struct flint_fs *fs, uint64_t ino, struct flint_dirstat *st);

/* Path of a directory: begins with a slash; @path: FLINT_PATH_MAX + 2 bytes. */
int flint_fs_path(struct flint_fs *fs, uint64_t ino, char *path);

/* @kind: enum flint_quota_kind. */
int flint_fs_quota_get(struct flint_fs *fs, uint32_t kind, uint64_t id, struct flint_quota *q);
/* @set: all but cred. @q: as it is now, may be NULL. */
int flint_fs_quota_set(struct flint_fs *fs, struct flint_quota_set *set, struct flint_quota *q);
/* Calls @fn for each; a value other than 0 ends it and is returned. */
int flint_fs_quota_list(struct flint_fs *fs, uint32_t kind,
			int (*fn)(void *arg, const struct flint_quota *q), void *arg);

/* @keep: seconds, 0, or FLINT_TRASH_INHERIT. */
int flint_fs_trash_set(struct flint_fs *fs, uint64_t ino, uint32_t keep);
/* @path: e->path_len bytes, no NUL. */
int flint_fs_trash_list(struct flint_fs *fs,
			int (*fn)(void *arg, const struct flint_trash_ent *e, const char *path),
			void *arg);
/* @parent 0: where it was; else there, as @name unless that is NULL. */
int flint_fs_trash_restore(struct flint_fs *fs, uint64_t id, uint64_t parent, const char *name,
			   struct flint_attr *attr);
/* @id 0: everything deleted before @before (ns; 0: all). @removed: result, may be NULL. */
int flint_fs_trash_empty(struct flint_fs *fs, uint64_t id, uint64_t before, uint64_t *removed);

/* Take a directory and all below it away. @flags: 0 or FLINT_NAME_NO_TRASH. */
int flint_fs_rmtree(struct flint_fs *fs, uint64_t dir, const char *name, uint32_t flags,
		    struct flint_rmtree_rep *rep);
/* What is left of a removal; @id 0: of all. */
int flint_fs_rmtree_stat(struct flint_fs *fs, uint64_t id, struct flint_rmtree_stat *st);

#endif /* FLINT_CLIENT_FS_ADMIN_H */
