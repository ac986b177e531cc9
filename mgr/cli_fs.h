/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands about what lies in a file system: how they reach it.
 *
 * A place is "FS:/path", or a path on a mounted FlintFS, which names file
 * system, directory and managers by its mount's source. The file system is
 * used through the client library with the cluster key, on behalf of the user
 * who runs the command.
 */
#ifndef FLINT_CLI_FS_H
#define FLINT_CLI_FS_H

#include "../userd/client/fs_admin.h"
#include "cli.h"

/**
 * struct cli_place - an open file system and a path in it
 * @path: from the file system's root, begins with a slash
 * @attr: of what is there; valid when @exists
 */
struct cli_place {
	struct flint_fs *fs;
	char fs_name[FLINT_LABEL_LEN];
	char path[FLINT_PATH_MAX + 1];
	struct flint_attr attr;
	bool exists;
};

/* @must: what is named has to exist. Return: 0, or 1 after a message. */
int cli_place_open(struct cli *c, const char *where, bool must, struct cli_place *p);
void cli_place_close(struct cli_place *p);
/* Another path of the same file system, "FS:/path" or on a mount. 0, or 1 after a message. */
int cli_place_path(struct cli_place *p, const char *where, char *path, size_t len);
/* The directory that holds the path's last component. 0, or 1 after a message. */
int cli_place_parent(struct cli_place *p, const char *path, uint64_t *dir, const char **name);
/* Path of an inode that is a directory, as far as lookups tell. */
int cli_fs_fail(const struct cli_place *p, const char *what, int err);
/* "1.5 GiB" */
const char *cli_bytes(uint64_t n, char *buf, size_t len);
/* A name that users gave; bytes that are no UTF-8 are shown as U+FFFD. */
json_t *cli_json_name(const char *name);
/* "30d", "12h", "90s": seconds. Return: 0 or -EINVAL. */
int cli_duration(const char *s, uint64_t *secs);

int cli_du(struct cli *c);
int cli_fs_rmtree(struct cli *c);
int cli_quota_set(struct cli *c);
int cli_quota_get(struct cli *c);
int cli_quota_ls(struct cli *c);
int cli_quota_rm(struct cli *c);
int cli_quota_check(struct cli *c);
int cli_trash_ls(struct cli *c);
int cli_trash_restore(struct cli *c);
int cli_trash_empty(struct cli *c);
int cli_trash_keep(struct cli *c);

#endif /* FLINT_CLI_FS_H */
