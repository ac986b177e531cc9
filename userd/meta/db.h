/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to the metadata database: prepared statements, and objects
 * between memory and columns. One thread at a time.
 */
#ifndef FLINT_META_DB_H
#define FLINT_META_DB_H

#include "tablesql.h"

struct meta_inode;
struct meta_counters;

enum meta_stmt {
	ST_BEGIN, ST_COMMIT, ST_STATE_GET, ST_STATE_PUT,
	ST_INODE_GET, ST_INODE_PUT, ST_INODE_DEL,
	ST_DENTRY_GET, ST_DENTRY_PUT, ST_DENTRY_DEL, ST_READDIR,
	ST_NR
};

struct meta_db {
	sqlite3 *db;
	sqlite3_stmt *stmt[ST_NR];
	sqlite3_stmt *tstmt[META_T_NR][META_TV_NR];
	char path[512];
	char err[256];		/* sentence of the last failure */
};

/* The one row of table "state". */
struct meta_db_state {
	u64 applied, last_ts, next_ino, next_session, next_handle;
	u64 index, term;
	u64 sum;
};

/**
 * meta_db_open() - a connection
 * @write: to write, with synchronous=FULL; else to read only
 * Return: 0 or -errno as meta_db_errno(), with the sentence in d->err.
 */
int meta_db_open(struct meta_db *d, const char *path, bool write);
void meta_db_close(struct meta_db *d);
/* From an SQLite result: -ENOSPC, -ENOMEM, -EUCLEAN (damaged), -EROFS, else -EIO. */
int meta_db_errno(struct meta_db *d, int rc);
/* 0 or -errno, with the sentence in d->err. */
int meta_db_exec(struct meta_db *d, const char *sql);
/* The first column of the first row; 0 without one. */
int meta_db_int(struct meta_db *d, const char *sql, s64 *out);

/* A ready statement: reset, nothing bound. */
sqlite3_stmt *meta_stmt(struct meta_db *d, enum meta_stmt nr);
/* The same for a table; NULL: could not be prepared. */
sqlite3_stmt *meta_tstmt(struct meta_db *d, enum meta_table_id t, enum meta_table_verb v);
/* 1: a row, 0: none (reset), or -errno (reset). */
int meta_step(struct meta_db *d, sqlite3_stmt *st);
/* Run to the end. 0 or -errno. */
int meta_run(struct meta_db *d, sqlite3_stmt *st);

int meta_db_state_get(struct meta_db *d, struct meta_db_state *st);
int meta_db_state_put(struct meta_db *d, const struct meta_db_state *st);
/* 1, 0 or -errno. @out: all members of the row, else untouched. */
int meta_db_inode_get(struct meta_db *d, u64 ino, struct meta_inode *out);
int meta_db_inode_put(struct meta_db *d, const struct meta_inode *i);
int meta_db_inode_del(struct meta_db *d, u64 ino);
/* Fill from a row with META_INODE_COLS from column @col on. */
void meta_db_inode_row(sqlite3_stmt *st, int col, struct meta_inode *i);

#endif /* FLINT_META_DB_H */
