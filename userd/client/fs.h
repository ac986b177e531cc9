/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user-space client library: a file system of the cluster, used without a
 * mount. Tests, tools and import/export programs use it; it has no cache
 * beyond an open file's attributes.
 *
 * Inside, everything is asynchronous on one loop in a thread of its own:
 * requests are retried (connection lost, server restarting, map or truncate
 * epoch out of date) with the same sequence number until the call's time-out,
 * so that each mutation happens exactly once. The flint_fs_* calls below are
 * synchronous and may be used from any number of threads.
 *
 * Return values: 0 or a count, else a negative errno as the system call of the
 * same name would have it; -ETIMEDOUT when no server answered in time.
 */
#ifndef FLINT_CLIENT_FS_H
#define FLINT_CLIENT_FS_H

#include <sys/types.h>
#include "cluster.h"

struct flint_fs;
struct flint_file;

/**
 * struct flint_fs_config
 * @mgrs: "host[:port],host..." TCP addresses of managers
 * @fs_name: file system
 * @subtree: path below its root that becomes the root here, or NULL
 * @key: FLINT_KEY_LEN bytes: the cluster key, or the secret of @token; or NULL
 * @token: claims (base/token.h reads them from a file), or NULL
 * @name: for the servers' logs, NULL: host name
 * @proto: for data and metadata: FLINT_PROTO_TCP (0: default) or FLINT_PROTO_RDMA
 * @rdonly: open the session read-only
 * @timeout_ms: of each call, 0: 60 s
 * @max_io: payload of one request, 0: default
 * @uid, @gid: on whose behalf
 * @loop: run on this loop, which another thread runs until after
 *	flint_fs_close(), instead of in a thread of the library's own; may be
 *	shared by many sessions. NULL: an own thread
 * @leases: take leases and answer from memory what they cover
 * @delegate: with leases: what is made (flint_fs_mknod(), mkdir, symlink) in directories that
 *	this session has made itself is a promise: told to the servers within a second, or by
 *	flint_fs_sync()
 * @cache_entries: inodes and names kept under leases at most, 0: 65,536
 * @credits: requests in flight at one server, 0: default
 */
struct flint_fs_config {
	const char *mgrs;
	const char *fs_name;
	const char *subtree;
	const uint8_t *key;
	const struct flint_token *token;
	const char *name;
	int proto;
	bool rdonly;
	uint32_t timeout_ms;
	uint32_t max_io;
	uint32_t uid, gid;
	struct flint_loop *loop;
	bool leases, delegate;
	uint32_t cache_entries;
	uint32_t credits;
};

/* Connect, wait for the map, open a session. NULL with errno and a sentence in @err. */
struct flint_fs *flint_fs_open(const struct flint_fs_config *cfg, char *err, size_t errlen);
/* Close the session and everything else; open files must have been closed. */
void flint_fs_close(struct flint_fs *fs);

/**
 * flint_fs_sync() - the servers know everything that was created
 *
 * Return: 0; -ETIMEDOUT: not all of it yet; or why something was refused after it had been
 * answered as created (-EDQUOT, -ESTALE: the session is gone): it is not there any more.
 */
int flint_fs_sync(struct flint_fs *fs);

/* Attributes of the root of the session. */
const struct flint_attr *flint_fs_root(const struct flint_fs *fs);
/* The cluster behind it (its functions for any thread). */
struct flint_cluster *flint_fs_cluster(struct flint_fs *fs);

/* ---- names and attributes: directories are named by inode number ------- */

int flint_fs_lookup(struct flint_fs *fs, uint64_t dir, const char *name, struct flint_attr *attr);
/* Walk a path from the root, "/a/b"; symlinks are not followed. */
int flint_fs_walk(struct flint_fs *fs, const char *path, struct flint_attr *attr);
int flint_fs_getattr(struct flint_fs *fs, uint64_t ino, struct flint_attr *attr);
/* @set: ino, gen, valid and values; cred is filled in. @attr may be NULL. */
int flint_fs_setattr(struct flint_fs *fs, struct flint_setattr *set, struct flint_attr *attr);
int flint_fs_truncate(struct flint_fs *fs, uint64_t ino, uint64_t size);
/* @mode: type and permissions; S_IFLNK takes @target. */
int flint_fs_mknod(struct flint_fs *fs, uint64_t dir, const char *name, uint32_t mode,
		   uint32_t rdev_major, uint32_t rdev_minor, const char *target,
		   struct flint_attr *attr);
int flint_fs_mkdir(struct flint_fs *fs, uint64_t dir, const char *name, uint32_t mode,
		   struct flint_attr *attr);
int flint_fs_symlink(struct flint_fs *fs, uint64_t dir, const char *name, const char *target,
		     struct flint_attr *attr);
int flint_fs_link(struct flint_fs *fs, uint64_t ino, uint64_t dir, const char *name,
		  struct flint_attr *attr);
int flint_fs_unlink(struct flint_fs *fs, uint64_t dir, const char *name);
int flint_fs_rmdir(struct flint_fs *fs, uint64_t dir, const char *name);
/* @flags: FLINT_RENAME_* */
int flint_fs_rename(struct flint_fs *fs, uint64_t old_dir, const char *old_name,
		    uint64_t new_dir, const char *new_name, uint32_t flags);
/* Target without NUL into @buf. Return: its length or -errno. */
ssize_t flint_fs_readlink(struct flint_fs *fs, uint64_t ino, char *buf, size_t len);
int flint_fs_statfs(struct flint_fs *fs, struct flint_statfs *st);

/**
 * struct flint_fs_entry - one directory entry; name is NUL-terminated
 * @attr: valid when has_attr is set
 */
struct flint_fs_entry {
	uint64_t cookie;
	uint64_t ino;
	uint8_t type;			/* DT_* */
	bool has_attr;
	char name[FLINT_NAME_MAX + 1];
	struct flint_attr attr;
};

/**
 * flint_fs_readdir() - list a directory
 * @dir: inode
 * @cookie: start after this entry; 0: from the beginning
 * @plus: with attributes
 * @fn: called for each entry; a value other than 0 ends the walk and is returned
 *
 * Names that are made while it lists are left out, unless the server is older than that.
 *
 * Return: 0 at the end, what @fn returned, or -errno.
 */
int flint_fs_readdir(struct flint_fs *fs, uint64_t dir, uint64_t cookie, bool plus,
		     int (*fn)(void *arg, const struct flint_fs_entry *e), void *arg);

/* Values as getxattr(2) and listxattr(2): size 0 asks for the length. */
ssize_t flint_fs_getxattr(struct flint_fs *fs, uint64_t ino, const char *name,
			  void *buf, size_t len);
ssize_t flint_fs_listxattr(struct flint_fs *fs, uint64_t ino, char *buf, size_t len);
/* @flags: FLINT_XATTR_* */
int flint_fs_setxattr(struct flint_fs *fs, uint64_t ino, const char *name,
		      const void *buf, size_t len, uint32_t flags);
int flint_fs_removexattr(struct flint_fs *fs, uint64_t ino, const char *name);

/* ---- files -------------------------------------------------------------- */

/**
 * flint_fs_open_file() - open, and create if asked
 * @dir: directory, or the file itself when @name is NULL
 * @name: or NULL
 * @flags: FLINT_OPEN_*
 * @mode: permission bits of a new file
 * @out: result
 *
 * Return: 0 or -errno: -EISDIR and -ELOOP for a name that is a directory or a
 * symlink.
 */
int flint_fs_open_file(struct flint_fs *fs, uint64_t dir, const char *name, uint32_t flags,
		       uint32_t mode, struct flint_file **out);
/* @f is gone whatever this returns; the server hears of it later when it cannot be told now. */
int flint_file_close(struct flint_file *f);
/* The attributes as last seen. */
void flint_file_attr(struct flint_file *f, struct flint_attr *attr);

/**
 * flint_file_pread() - read; holes are zeros, every byte's CRC was verified
 * Return: bytes read, less than @len only at the end of the file, or -errno
 * (-EIO: checksum mismatch at the server or on the way).
 */
ssize_t flint_file_pread(struct flint_file *f, void *buf, size_t len, uint64_t off);
/**
 * flint_file_pwrite() - write; durable when it returns
 * Return: @len or -errno; after an error any part may have been written.
 */
ssize_t flint_file_pwrite(struct flint_file *f, const void *buf, size_t len, uint64_t off);
/**
 * flint_file_sync() - the file's size is known to the servers
 *
 * Data needs nothing: it is durable when a write returns, and so is the size if this
 * client dies (the servers settle it). Return: 0 or -errno: -ESTALE when the session
 * is gone, or what refused the size.
 */
int flint_file_sync(struct flint_file *f);
/* Reserve the end of the file at the metadata server and write there. @off: where; may be NULL. */
ssize_t flint_file_append(struct flint_file *f, const void *buf, size_t len, uint64_t *off);
/* Make [off, off + len) read as zeros, within the file's size. */
int flint_file_punch(struct flint_file *f, uint64_t off, uint64_t len);
int flint_file_truncate(struct flint_file *f, uint64_t size);

/* ---- asynchronous data path --------------------------------------------- */

/**
 * struct flint_io_req - one read or write; zero-initialise, fill the first part
 * @done: on the library's thread; the memory is the caller's again
 * @result: bytes or -errno
 */
struct flint_io_req {
	struct flint_file *file;
	bool write;
	void *buf;
	size_t len;
	uint64_t off;
	void (*done)(struct flint_io_req *req);
	void *priv;

	ssize_t result;

	/* the library's */
	struct flint_task task;
	void *work;
};

/* Any thread. */
void flint_file_submit(struct flint_io_req *req);

#endif /* FLINT_CLIENT_FS_H */
