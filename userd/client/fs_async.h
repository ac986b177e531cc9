/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metadata operations without waiting: fill a request, submit it, and hear of
 * its end by a call on the library's thread. Any number may be in flight in
 * one session; the connection's credits bound how many of them are at the
 * server, the others wait in order.
 *
 * A request is repeated by the library (connection lost, another leader) with
 * the same sequence until its answer is final, as the synchronous calls of
 * fs.h are; those may be used at the same time.
 *
 * Cost: no allocation and no system call when submitted from done() or from
 * anywhere else on the library's thread; one eventfd write at most otherwise.
 *
 * One thread can drive many sessions: give flint_fs_open() a loop of one's own
 * (flint_fs_config.loop) that another thread runs, open the sessions, then
 * submit from tasks and done() on that loop.
 */
#ifndef FLINT_CLIENT_FS_ASYNC_H
#define FLINT_CLIENT_FS_ASYNC_H

#include "fs.h"

/* A handle that needs no server: the file was opened under its lease. CLOSE it like any other. */
#define FLINT_HANDLE_LOCAL	(~0ull)

enum flint_meta_op {
	FLINT_META_LOOKUP,	/* ino, name -> attr */
	FLINT_META_GETATTR,	/* ino -> attr */
	FLINT_META_SETATTR,	/* set (set.ino, .gen, .valid and values) -> attr */
	FLINT_META_OPEN,	/* ino, name or NULL, flags FLINT_OPEN_*, mode -> attr, handle, created */
	FLINT_META_CLOSE,	/* ino, handle */
	FLINT_META_MKNOD,	/* ino, name, mode with type -> attr */
	FLINT_META_LINK,	/* ino2: what, ino, name: where -> attr */
	FLINT_META_UNLINK,	/* ino, name, flags FLINT_NAME_DIR */
	FLINT_META_RENAME,	/* ino, name -> ino2, name2, flags FLINT_RENAME_* */
	FLINT_META_READDIR,	/* ino, cookie, flags FLINT_READDIR_*, buf, len -> got, eof, next_cookie */
};

/**
 * struct flint_meta_req - one operation; zero-initialise, fill the first part
 * @target: MKNOD of a symlink: its target; copied
 * @name, @name2: copied by flint_meta_submit(); no NUL needed
 * @buf, @len: READDIR: room for records (flint_dirent_next()), until done
 * @done: on the library's thread; the memory is the caller's again, and may be
 *	submitted again from here
 * @nocache: ask the server even when the cache under leases could answer
 * @err: result: 0 or -errno
 * @cached: result: no request was needed
 * @got: READDIR: bytes of records in @buf
 * @next_cookie: READDIR: names that come later get it and above; 0: not known
 */
struct flint_meta_req {
	struct flint_fs *fs;
	enum flint_meta_op op;
	uint32_t flags;
	uint32_t mode;
	uint64_t ino, ino2;
	const char *name, *name2;
	const char *target;
	uint32_t name_len, name2_len, target_len;
	uint32_t rdev_major, rdev_minor;
	uint64_t handle;
	uint64_t cookie;
	struct flint_setattr set;
	void *buf;
	uint32_t len;
	bool nocache;
	void (*done)(struct flint_meta_req *req);
	void *priv;

	int err;
	bool cached;
	bool created;
	bool eof;
	uint32_t got;
	uint64_t next_cookie;
	struct flint_attr attr;

	/* the library's */
	struct flint_task task;
	void *big;
	struct flint_meta_op_state {
		uint64_t room[160];
	} state;
};

/* Any thread. done() is never called from inside. */
void flint_meta_submit(struct flint_meta_req *req);

/**
 * struct flint_fs_stats - counters of a session since it was opened
 * @requests: sent to metadata servers, repetitions included; but not renewals
 * @cached_attr, @cached_lookup, @cached_negative, @cached_open, @cached_readdir:
 *	calls that needed no request
 * @grants: leases granted (kinds that were not held before)
 * @recalls: records of recalls
 * @reclaimed: leases kept over a change of leader
 * @kept: writes beyond the end of a file that were acknowledged without a request
 * @told: sizes told later
 * @delegated: creates that were answered without a request
 * @batches: requests in which they were told
 * @lost: leases given up because the session could not be renewed in time
 */
struct flint_fs_stats {
	uint64_t requests;
	uint64_t cached_attr, cached_lookup, cached_negative, cached_open, cached_readdir;
	uint64_t grants, recalls, reclaimed, lost;
	uint64_t kept, told;
	uint64_t delegated, batches;
};

/* Any thread but the library's. */
void flint_fs_stats(struct flint_fs *fs, struct flint_fs_stats *st);

#endif /* FLINT_CLIENT_FS_ASYNC_H */
