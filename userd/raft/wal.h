/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A look at SQLite's write-ahead log before SQLite does: is anything in it lost? */
#ifndef FLINT_RAFT_WAL_H
#define FLINT_RAFT_WAL_H

/**
 * flint_raft_wal_check() - tell a torn end from a damaged middle
 * @path: of the WAL; need not exist
 *
 * SQLite ends its recovery at the first frame whose checksum is wrong, and what
 * follows is as if it had never been. That is right for a transaction that was
 * being written when the machine failed, and a silent loss of acknowledged
 * entries when a page went bad later.
 *
 * For a database whose every commit is synced before the next transaction begins.
 *
 * Return: 0, -EUCLEAN when a transaction that had been synced is broken, or
 * another -errno.
 */
int flint_raft_wal_check(const char *path);

#endif /* FLINT_RAFT_WAL_H */
