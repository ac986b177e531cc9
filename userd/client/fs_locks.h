/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File locks through the client library: byte ranges as fcntl(2) has them, and
 * flock(2). Only in sessions with leases (flint_fs_config.leases): their locks
 * survive a change of the leading metadata server.
 */
#ifndef FLINT_CLIENT_FS_LOCKS_H
#define FLINT_CLIENT_FS_LOCKS_H

#include "fs.h"

/**
 * flint_fs_lock() - set or release a lock
 * @l: all but flags (FLINT_LOCK_OWNER excepted) and id; lease.h
 * @wait_ms: how long to wait for it; 0: not at all
 *
 * As with flock(2), whose lock cannot be converted at once has lost it, whether
 * it waits or not.
 *
 * Any thread but the library's. Return: 0; -EAGAIN (held by others, or the time
 * is over: then the wait was cancelled), -EDEADLK, -ENOLCK, -EOPNOTSUPP, or as
 * any other call. After -ETIMEDOUT the owner has what it had before, or, when it
 * gave something back, what is left of that: the servers are made to agree in the
 * background, and the owner's next calls wait for it.
 */
int flint_fs_lock(struct flint_fs *fs, const struct flint_lock *l, uint32_t wait_ms);
/* F_GETLK: state FLINT_LOCK_HELD and by whom, or FLINT_LOCK_DONE. */
int flint_fs_lock_test(struct flint_fs *fs, const struct flint_lock *l,
		       struct flint_lock_rep *rep);

#endif /* FLINT_CLIENT_FS_LOCKS_H */
