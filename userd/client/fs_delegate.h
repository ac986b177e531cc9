/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the client library: delegated creates (fs_delegate.c). Everything here
 * runs on the loop; without flint_fs_config.delegate there is nothing of it.
 */
#ifndef FLINT_CLIENT_FS_DELEGATE_H
#define FLINT_CLIENT_FS_DELEGATE_H

#include "fs_int.h"

/* What became of a MKNOD. */
enum fs_delegate_made {
	FS_DELEGATE_ASK,		/* it is the server's to make */
	FS_DELEGATE_MADE,		/* made here; the request has its attributes */
	FS_DELEGATE_WAITS,		/* its task is posted when there are inode numbers */
};

/* 0 or -ENOMEM. */
int fs_delegate_init(struct flint_fs *fs);
/* Before the cluster goes: nobody waits any more; then, after it, the memory. */
void fs_delegate_stop(struct flint_fs *fs);
void fs_delegate_free(struct flint_fs *fs);

/* The session has just made this directory. If dir-write came along, it is alone with it. */
void fs_delegate_dir(struct flint_fs *fs, const struct flint_attr *attr);
/* It is gone, or was replaced. */
void fs_delegate_forget(struct flint_fs *fs, uint64_t ino);
/* Give dir-write back, of this directory or (0) of all: its holder changes what a create depends on. */
void fs_delegate_end(struct flint_fs *fs, uint64_t ino);

/* Nothing is promised until the second one: something is under way that may be in its way. */
void fs_delegate_hold(struct flint_fs *fs);
void fs_delegate_go_on(struct flint_fs *fs);

/**
 * fs_delegate_make() - answer a MKNOD without a request, if that is possible
 * @req: of FLINT_META_MKNOD
 * @b: its body, with name and target behind
 * @w: used until @req's task is posted
 */
enum fs_delegate_made fs_delegate_make(struct flint_meta_req *req, const struct flint_mknod *b,
				       struct fs_wait *w, uint64_t deadline_ns);
/* No inode numbers are left: true: @req's task is posted when there are, or cannot be. */
bool fs_delegate_numbers(struct flint_meta_req *req, struct fs_wait *w, uint64_t deadline_ns);
/**
 * fs_delegate_before() - a request is going to be sent
 * @w: used until @task is posted: the server knows everything made until now, or the
 *	deadline has passed
 *
 * Return: false: nothing to wait for; @task is not used.
 */
bool fs_delegate_before(struct flint_fs *fs, struct fs_wait *w, struct flint_task *task,
			uint64_t deadline_ns);

/* What waited so is answered without a request. */
void fs_delegate_waited(struct flint_fs *fs, struct fs_wait *w);

/* flint_fs_sync() with a time-out of its own. Any thread but the loop's. */
int fs_delegate_sync(struct flint_fs *fs, uint32_t timeout_ms);

/* A recall. Return: true: the lease is given back later, when all is told. */
bool fs_delegate_recalled(struct flint_fs *fs, const struct flint_lease_rec *rec);
/* Another leader: recalls of the one before are void. */
void fs_delegate_new_leader(struct flint_fs *fs);
/* The session is gone, and with it what was not told. */
void fs_delegate_lost(struct flint_fs *fs);
/* Now and then: who has waited long enough goes on. */
void fs_delegate_tick(struct flint_fs *fs);

#endif /* FLINT_CLIENT_FS_DELEGATE_H */
