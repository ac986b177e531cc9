/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of meta.db, version 2. Documentation/metadata.rst explains them.
 *
 * A later version adds an entry to meta_schema_steps[]: the statements that
 * turn version n into n + 1, run in one transaction at start.
 */
#ifndef FLINT_META_SCHEMA_H
#define FLINT_META_SCHEMA_H

#define META_APPLICATION_ID	0x464c4d44	/* "FLMD", in the file's header */

static const char meta_schema[] =
"CREATE TABLE state(id INTEGER PRIMARY KEY CHECK(id=1), applied INT NOT NULL, last_ts INT NOT NULL,"
" next_ino INT NOT NULL, next_session INT NOT NULL, next_handle INT NOT NULL) STRICT;"
"INSERT INTO state VALUES(1, 0, 0, 16, 1, 1);"
"CREATE TABLE setting(name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;"
"CREATE TABLE fs(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, root INT NOT NULL,"
" files INT NOT NULL) STRICT;"
"CREATE TABLE inode(ino INTEGER PRIMARY KEY, fs INT NOT NULL, gen INT NOT NULL, mode INT NOT NULL,"
" nlink INT NOT NULL, uid INT NOT NULL, gid INT NOT NULL, flags INT NOT NULL,"
" rdev_major INT NOT NULL, rdev_minor INT NOT NULL, size INT NOT NULL, atime INT NOT NULL,"
" mtime INT NOT NULL, ctime INT NOT NULL, btime INT NOT NULL, change INT NOT NULL,"
" parent INT NOT NULL, project INT NOT NULL, trunc_epoch INT NOT NULL, chunk_shift INT NOT NULL,"
" stripe INT NOT NULL, chain_table INT NOT NULL, table_ver INT NOT NULL, next_cookie INT NOT NULL,"
" data INT NOT NULL, tree_bytes INT NOT NULL, tree_files INT NOT NULL, tree_dirs INT NOT NULL)"
" STRICT;"
"CREATE TABLE dentry(parent INT NOT NULL, name BLOB NOT NULL, cookie INT NOT NULL,"
" ino INT NOT NULL, type INT NOT NULL, PRIMARY KEY(parent, name)) STRICT, WITHOUT ROWID;"
"CREATE UNIQUE INDEX dentry_cookie ON dentry(parent, cookie, ino, type);"
"CREATE TABLE symlink(ino INTEGER PRIMARY KEY, target BLOB NOT NULL) STRICT;"
"CREATE TABLE xattr(ino INT NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL,"
" PRIMARY KEY(ino, name)) STRICT, WITHOUT ROWID;"
"CREATE TABLE session(id INTEGER PRIMARY KEY, client BLOB NOT NULL UNIQUE, fs INT NOT NULL,"
" root INT NOT NULL, flags INT NOT NULL, opened INT NOT NULL, squash_uid INT NOT NULL,"
" squash_gid INT NOT NULL, expires INT NOT NULL) STRICT;"
"CREATE TABLE handle(sid INT NOT NULL, id INT NOT NULL, ino INT NOT NULL, flags INT NOT NULL,"
" PRIMARY KEY(sid, id)) STRICT, WITHOUT ROWID;"
"CREATE TABLE reply(sid INT NOT NULL, seq INT NOT NULL, low INT NOT NULL, digest INT NOT NULL,"
" status INT NOT NULL, body BLOB NOT NULL, PRIMARY KEY(sid, seq)) STRICT, WITHOUT ROWID;"
"CREATE TABLE orphan(ino INTEGER PRIMARY KEY, ready INT NOT NULL, since INT NOT NULL) STRICT;"
"CREATE INDEX orphan_ready ON orphan(ino) WHERE ready = 1;"
"CREATE TABLE intent(ino INTEGER PRIMARY KEY, epoch INT NOT NULL, size INT NOT NULL,"
" sid INT NOT NULL, seq INT NOT NULL, digest INT NOT NULL, op INT NOT NULL, handle INT NOT NULL,"
" since INT NOT NULL) STRICT;"
"CREATE UNIQUE INDEX intent_seq ON intent(sid, seq) WHERE seq != 0;";

/* Columns of an inode in the order of meta_inode_row(). */
#define META_INODE_COLS "fs, gen, mode, nlink, uid, gid, flags, rdev_major, rdev_minor, size," \
	" atime, mtime, ctime, btime, change, parent, project, trunc_epoch, chunk_shift, stripe," \
	" chain_table, table_ver, next_cookie, data, tree_bytes, tree_files, tree_dirs"
#define META_INODE_NCOLS 27

/* Every table with its key, for the checksum. */
static const char *const meta_tables[][2] = {
	{ "state", "id" }, { "setting", "name" }, { "fs", "id" }, { "inode", "ino" },
	{ "dentry", "parent, name" }, { "symlink", "ino" }, { "xattr", "ino, name" },
	{ "session", "id" }, { "handle", "sid, id" }, { "reply", "sid, seq" },
	{ "orphan", "ino" }, { "intent", "ino" },
};

#endif /* FLINT_META_SCHEMA_H */
