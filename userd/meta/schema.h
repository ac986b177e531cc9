/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of meta.db, version 2. Documentation/metadata.rst explains them.
 * The small tables are made from meta_table_descs[].
 *
 * Times are stored once: atime, mtime and ctime as their distance from btime,
 * which is 0 for many files and short for most; 0 and 1 take no byte in a row.
 *
 * A later version adds an entry to meta_schema_steps[]: the statements that
 * turn version n + 1 into n + 2, all steps in one transaction at start.
 */
#ifndef FLINT_META_SCHEMA_H
#define FLINT_META_SCHEMA_H

#define META_APPLICATION_ID	0x464c4d44	/* "FLMD", in the file's header */

#define META_SQL_INODE \
"CREATE TABLE inode(ino INTEGER PRIMARY KEY, fs INT NOT NULL, gen INT NOT NULL, mode INT NOT NULL," \
" nlink INT NOT NULL, uid INT NOT NULL, gid INT NOT NULL, flags INT NOT NULL," \
" rdev INT NOT NULL, size INT NOT NULL, btime INT NOT NULL, atime_d INT NOT NULL," \
" mtime_d INT NOT NULL, ctime_d INT NOT NULL, change INT NOT NULL, parent INT NOT NULL," \
" project INT NOT NULL, trunc_epoch INT NOT NULL, chunk_shift INT NOT NULL," \
" stripe INT NOT NULL, chain_table INT NOT NULL, table_ver INT NOT NULL," \
" data INT NOT NULL, next_cookie INT NOT NULL, tree_bytes INT NOT NULL," \
" tree_files INT NOT NULL, tree_dirs INT NOT NULL) STRICT;"

#define META_SQL_STATE \
"CREATE TABLE state(id INTEGER PRIMARY KEY CHECK(id=1), applied INT NOT NULL, last_ts INT NOT NULL," \
" next_ino INT NOT NULL, next_session INT NOT NULL, next_handle INT NOT NULL," \
" log_index INT NOT NULL, log_term INT NOT NULL, checksum INT) STRICT;"

static const char meta_schema[] =
META_SQL_STATE
"INSERT INTO state VALUES(1, 0, 0, 16, 1, 1, 0, 0, 0);"
META_SQL_INODE
"CREATE TABLE dentry(parent INT NOT NULL, name BLOB NOT NULL, cookie INT NOT NULL,"
" ino INT NOT NULL, type INT NOT NULL, PRIMARY KEY(parent, name)) STRICT, WITHOUT ROWID;"
"CREATE UNIQUE INDEX dentry_cookie ON dentry(parent, cookie, ino, type);";

/*
 * Version 1 had absolute times, no totals, the home directory only of
 * directories, and sessions without what tokens say. A NULL checksum is
 * computed at start.
 */
static const char meta_schema_from_1[] =
"DROP INDEX intent_seq; DROP INDEX orphan_ready;"
"CREATE TABLE waiter(sid INT NOT NULL, seq INT NOT NULL, ino INT NOT NULL,"
" PRIMARY KEY(sid, seq)) STRICT, WITHOUT ROWID;"
"INSERT INTO waiter SELECT sid, seq, ino FROM intent WHERE seq != 0;"
"ALTER TABLE session ADD COLUMN squash_uid INT NOT NULL DEFAULT 0;"
"ALTER TABLE session ADD COLUMN squash_gid INT NOT NULL DEFAULT 0;"
"ALTER TABLE session ADD COLUMN expires INT NOT NULL DEFAULT 0;"
"ALTER TABLE state RENAME TO state_v1;"
META_SQL_STATE
"INSERT INTO state SELECT id, applied, last_ts, next_ino, next_session, next_handle, 0, 0, NULL"
" FROM state_v1;"
"DROP TABLE state_v1;"
"ALTER TABLE inode RENAME TO inode_v1;"
META_SQL_INODE
"INSERT INTO inode SELECT ino, fs, gen, mode, nlink, uid, gid, flags, rdev_major << 32 | rdev_minor,"
" size, btime, atime - btime, mtime - btime, ctime - btime, change, parent, project, trunc_epoch,"
" chunk_shift, stripe, chain_table, table_ver, data, next_cookie, 0, 0, 0 FROM inode_v1;"
"DROP TABLE inode_v1;"
"UPDATE inode SET parent = d.parent FROM dentry d WHERE d.ino = inode.ino AND d.type != 4;";

static const char *const meta_schema_steps[] = { meta_schema_from_1 };

/* Columns of an inode in the order of meta_db_inode_row(). */
#define META_INODE_COLS "fs, gen, mode, nlink, uid, gid, flags, rdev, size, btime, atime_d," \
	" mtime_d, ctime_d, change, parent, project, trunc_epoch, chunk_shift, stripe," \
	" chain_table, table_ver, data, next_cookie, tree_bytes, tree_files, tree_dirs"
#define META_INODE_NCOLS 26

#endif /* FLINT_META_SCHEMA_H */
