/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the client library: a session's renewal, leases and locks (fs_lease.c,
 * fs_lock.c). Everything here runs on the loop.
 */
#ifndef FLINT_CLIENT_FS_LEASE_H
#define FLINT_CLIENT_FS_LEASE_H

#include "fs_int.h"

/* A session with leases. 0 or -ENOMEM. */
int fs_lease_init(struct flint_fs *fs, uint32_t max_entries);
/* The session is open: renew it from now on. @arg: struct flint_fs. */
void fs_lease_begin(void *arg);
/* Before the cluster goes; then, after it, the memory. */
void fs_lease_end(struct flint_fs *fs);
void fs_lease_free(struct flint_fs *fs);

/* May what is kept be used now? */
bool fs_lease_trusted(const struct flint_fs *fs);
/* CLOSE, as soon as what it has to wait for is over; nobody hears of it. */
void fs_lease_close_later(struct flint_fs *fs, uint64_t ino, uint64_t handle);
/* A request was answered by the leader. */
void fs_lease_answered(struct flint_fs *fs, const struct flint_rpc *rpc);
/* Ask the leader at once: it may be another one. */
void fs_lease_renew(struct flint_fs *fs);
/* The session is gone. */
void fs_lease_lost(struct flint_fs *fs);
/* struct flint_cluster_config's. */
void fs_lease_push(void *arg, uint32_t node, const struct flint_msg *m);
void fs_lease_up(void *arg, uint32_t node);
/* The metadata server after @node in the map, in a circle. */
uint32_t fs_meta_after(struct flint_fs *fs, uint32_t node);

/* ---- fs_lock.c ------------------------------------------------------------------- */

void fs_lock_event(struct flint_fs *fs, const struct flint_msg *m);
/* Locks held, in parts: start, then the next up to @max into @out until there are none. */
void fs_lock_reclaim_start(struct flint_fs *fs);
uint32_t fs_lock_reclaim(struct flint_fs *fs, struct flint_lock *out, uint32_t max);
/* One status byte for each of the last part. */
void fs_lock_reclaimed(struct flint_fs *fs, const uint8_t *status, uint32_t nr);
void fs_lock_lost(struct flint_fs *fs);
/* After the cluster. */
void fs_lock_free(struct flint_fs *fs);

#endif /* FLINT_CLIENT_FS_LEASE_H */
