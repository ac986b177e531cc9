/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the client library: sizes that a sole writer keeps (fs_write.c).
 * Everything here runs on the loop, but for appends.
 */
#ifndef FLINT_CLIENT_FS_WRITE_H
#define FLINT_CLIENT_FS_WRITE_H

#include "fs_int.h"

/**
 * fs_write_keep() - data was written up to @end, durably: may that be acknowledged?
 * @attr: of the file, as the write saw it
 *
 * Return: true: the size is kept here, and told later; false: EXTEND first.
 */
bool fs_write_keep(struct flint_fs *fs, const struct flint_attr *attr, uint64_t end);
/* Attributes from the server, or from under a lease: with the size that is kept. */
void fs_write_overlay(struct flint_fs *fs, struct flint_attr *attr);
/* The same for records of a directory. */
void fs_write_overlay_page(struct flint_fs *fs, uint8_t *buf, uint32_t len);
/**
 * fs_write_flush() - tell what is kept now
 * @ino: of this file; 0: of all
 * @task: posted when the server knows
 * @err: receives 0 or -errno before that; may be NULL
 *
 * Return: false: nothing is kept; @task is not used.
 */
bool fs_write_flush(struct flint_fs *fs, uint64_t ino, struct flint_task *task, int *err);
/* Why a size of the file was refused since this was asked last: 0 or -errno. */
int fs_write_error(struct flint_fs *fs, uint64_t ino);
/**
 * struct fs_append - an APPEND under way; on its caller's stack
 */
struct fs_append {
	uint64_t ino;
	struct fs_append *next;
};

/*
 * The server is going to say where the file ends: it is told what is kept of that, and nothing
 * more is kept until the end. Any thread but the loop's. Return: 0 or -errno; the end is due in
 * either case, once the APPEND is answered.
 */
int fs_write_append_begin(struct flint_file *f, struct fs_append *a);
void fs_write_append_end(struct flint_file *f, struct fs_append *a);
/* A recall. Return: true: the lease is given back later, when the size is told. */
bool fs_write_recalled(struct flint_fs *fs, const struct flint_lease_rec *rec);
/* Another leader: recalls of the one before are void. */
void fs_write_new_leader(struct flint_fs *fs);
/* The session is gone: the servers settle the sizes. */
void fs_write_lost(struct flint_fs *fs);
/* On the loop, before the cluster goes: nobody waits for a size any more; then the memory. */
void fs_write_end(struct flint_fs *fs);
void fs_write_free(struct flint_fs *fs);

#endif /* FLINT_CLIENT_FS_WRITE_H */
