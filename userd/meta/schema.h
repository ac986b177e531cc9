/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of meta.db, version 4. Documentation/metadata.rst explains them.
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

/* The rest of that step, when all small tables are there: what usage.h and META_INO_* promise. */
#define META_SQL_BYTES "CASE mode & 61440 WHEN 32768 THEN (size + 4095) / 4096 * 4096 ELSE 0 END"
#define META_SQL_USAGE(kind, col, where) \
"INSERT INTO quota(fs, kind, id, grace, space_soft, space_hard, inode_soft, inode_hard," \
" space_since, inode_since, space, inodes) SELECT fs, " kind ", " col ", 0, 0, 0, 0, 0, 0, 0," \
" sum(" META_SQL_BYTES "), count(*) FROM inode" where " GROUP BY fs, " col ";"

static const char meta_schema_from_1_rows[] =
"INSERT INTO dirname SELECT ino, name FROM dentry WHERE type = 4;"
"INSERT INTO link(ino, dir, names) SELECT d.ino, d.parent, count(*) FROM dentry d"
" JOIN inode i ON i.ino = d.ino WHERE d.type != 4 AND i.nlink > 1 GROUP BY d.ino, d.parent;"
"UPDATE inode SET flags = flags | 4194304, parent = (SELECT min(dir) FROM link l WHERE l.ino ="
" inode.ino) WHERE nlink > 1 AND (mode & 61440) != 16384;"
"UPDATE inode SET flags = flags | 524288 WHERE ino IN (SELECT ino FROM xattr);"
"UPDATE inode SET flags = flags | 65536 WHERE ino IN (SELECT ino FROM xattr"
" WHERE name = CAST('system.posix_acl_access' AS BLOB));"
"UPDATE inode SET flags = flags | 131072 WHERE ino IN (SELECT ino FROM xattr"
" WHERE name = CAST('system.posix_acl_default' AS BLOB));"
"UPDATE inode SET flags = flags | 262144 WHERE ino IN (SELECT ino FROM xattr"
" WHERE name = CAST('security.capability' AS BLOB));"
META_SQL_USAGE("2", "uid", "") META_SQL_USAGE("3", "gid", "")
META_SQL_USAGE("4", "project", " WHERE project != 0")
"CREATE TEMP TABLE total AS WITH RECURSIVE up(dir, bytes, files, dirs) AS ("
"SELECT parent, sum(" META_SQL_BYTES "), sum((mode & 61440) != 16384), sum((mode & 61440) = 16384)"
" FROM inode WHERE nlink > 0 AND parent != ino GROUP BY parent"
" UNION ALL SELECT i.parent, up.bytes, up.files, up.dirs FROM up JOIN inode i ON i.ino = up.dir"
" WHERE i.parent != i.ino)"
" SELECT dir, sum(bytes) AS bytes, sum(files) AS files, sum(dirs) AS dirs FROM up GROUP BY dir;"
"UPDATE inode SET tree_bytes = t.bytes, tree_files = t.files, tree_dirs = t.dirs FROM temp.total t"
" WHERE t.dir = inode.ino;"
"DROP TABLE temp.total;";

/* Of version n the step to n + 1, and what follows once all small tables exist. */
static const char *const meta_schema_steps[][2] = {
	{ meta_schema_from_1, meta_schema_from_1_rows },
	{ "", "" },	/* 3: table hint */
	{ "", "" },	/* 4: table inogrant */
};

/* Columns of an inode in the order of meta_db_inode_row(). */
#define META_INODE_COLS "fs, gen, mode, nlink, uid, gid, flags, rdev, size, btime, atime_d," \
	" mtime_d, ctime_d, change, parent, project, trunc_epoch, chunk_shift, stripe," \
	" chain_table, table_ver, data, next_cookie, tree_bytes, tree_files, tree_dirs"
#define META_INODE_NCOLS 26

#endif /* FLINT_META_SCHEMA_H */
