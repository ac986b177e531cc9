// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections to the database: pragmas, statements, errors in words, rows.
 *
 * Readers map the file and never hold a statement open beyond one question, so
 * that checkpoints finish and the WAL starts over. The writer has
 * synchronous=FULL: when its commit returns, the WAL is on stable storage.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "schema.h"
#include "store.h"

#define WRITER_PRAGMAS	"PRAGMA synchronous=FULL; PRAGMA cache_size=-131072;" \
			" PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=0;" \
			" PRAGMA journal_size_limit=268435456;"
#define READER_PRAGMAS	"PRAGMA mmap_size=2147418112; PRAGMA cache_size=-65536;" \
			" PRAGMA query_only=1;"

#define INODE_PARAMS "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17," \
	" ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27"

static const char *const stmt_sql[ST_NR] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_STATE_GET] = "SELECT applied, last_ts, next_ino, next_session, next_handle, log_index,"
			 " log_term, checksum FROM state WHERE id=1",
	[ST_STATE_PUT] = "UPDATE state SET applied=?1, last_ts=?2, next_ino=?3, next_session=?4,"
			 " next_handle=?5, log_index=?6, log_term=?7, checksum=?8 WHERE id=1",
	[ST_INODE_GET] = "SELECT " META_INODE_COLS " FROM inode WHERE ino=?1",
	[ST_INODE_PUT] = "REPLACE INTO inode(ino, " META_INODE_COLS ") VALUES(" INODE_PARAMS ")",
	[ST_INODE_DEL] = "DELETE FROM inode WHERE ino=?1",
	[ST_DENTRY_GET] = "SELECT ino, cookie, type FROM dentry WHERE parent=?1 AND name=?2",
	[ST_DENTRY_PUT] = "REPLACE INTO dentry(parent, name, cookie, ino, type)"
			  " VALUES(?1, ?2, ?3, ?4, ?5)",
	[ST_DENTRY_DEL] = "DELETE FROM dentry WHERE parent=?1 AND name=?2",
	[ST_READDIR] = "SELECT cookie, name, ino, type FROM dentry INDEXED BY dentry_cookie"
		       " WHERE parent=?1 AND cookie>?2 ORDER BY cookie",
};

void meta_sqlite_init(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_initialize();
}

int meta_db_errno(struct meta_db *d, int rc)
{
	int e = d->db ? sqlite3_system_errno(d->db) : 0;

	switch (rc & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		if (e == ENOSPC || e == EDQUOT)
			return -ENOSPC;
		if (e == EROFS)
			return -EROFS;
		return -EIO;
	default:
		return -EIO;
	}
}

static int fail(struct meta_db *d, const char *sql)
{
	int rc = d->db ? sqlite3_extended_errcode(d->db) : SQLITE_NOMEM;

	snprintf(d->err, sizeof(d->err), "%s (SQLite code %d%s%.80s)",
		 d->db ? sqlite3_errmsg(d->db) : "out of memory", rc, sql ? ", " : "",
		 sql ? sql : "");
	return meta_db_errno(d, rc);
}

int meta_db_open(struct meta_db *d, const char *path, bool write)
{
	int rc;

	memset(d, 0, sizeof(*d));
	snprintf(d->path, sizeof(d->path), "%s", path);
	rc = sqlite3_open_v2(path, &d->db, (write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
			     SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc)
		return fail(d, NULL);
	sqlite3_busy_timeout(d->db, 10000);
	return meta_db_exec(d, write ? WRITER_PRAGMAS : READER_PRAGMAS);
}

void meta_db_close(struct meta_db *d)
{
	int i;

	for (i = 0; i < ST_NR; i++)
		sqlite3_finalize(d->stmt[i]);
	for (i = 0; i < META_T_NR * META_TV_NR; i++)
		sqlite3_finalize(d->tstmt[i / META_TV_NR][i % META_TV_NR]);
	sqlite3_close(d->db);
	memset(d, 0, sizeof(*d));
}

int meta_db_exec(struct meta_db *d, const char *sql)
{
	return sqlite3_exec(d->db, sql, NULL, NULL, NULL) ? fail(d, sql) : 0;
}

int meta_db_int(struct meta_db *d, const char *sql, s64 *out)
{
	sqlite3_stmt *st;
	int rc;

	if (sqlite3_prepare_v2(d->db, sql, -1, &st, NULL))
		return fail(d, sql);
	rc = sqlite3_step(st);
	*out = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		rc = fail(d, sql);
	else
		rc = 0;
	sqlite3_finalize(st);
	return rc;
}

sqlite3_stmt *meta_stmt(struct meta_db *d, enum meta_stmt nr)
{
	if (d->stmt[nr])
		sqlite3_reset(d->stmt[nr]);
	else if (sqlite3_prepare_v3(d->db, stmt_sql[nr], -1, SQLITE_PREPARE_PERSISTENT,
				    &d->stmt[nr], NULL))
		fail(d, stmt_sql[nr]);
	return d->stmt[nr];
}

sqlite3_stmt *meta_tstmt(struct meta_db *d, enum meta_table_id t, enum meta_table_verb v)
{
	sqlite3_stmt **st = &d->tstmt[t][v];

	if (*st)
		sqlite3_reset(*st);
	else if (meta_table_prepare(d->db, t, v, st))
		fail(d, meta_table_descs[t].name);
	return *st;
}

int meta_step(struct meta_db *d, sqlite3_stmt *st)
{
	int rc, err;

	if (!st)	/* could not be prepared: the sentence is there */
		return meta_db_errno(d, d->db ? sqlite3_errcode(d->db) : SQLITE_NOMEM);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		return 1;
	err = rc == SQLITE_DONE ? 0 : fail(d, sqlite3_sql(st));
	sqlite3_reset(st);
	return err;
}

int meta_run(struct meta_db *d, sqlite3_stmt *st)
{
	int err = meta_step(d, st);

	if (err == 1)
		sqlite3_reset(st);
	return err < 0 ? err : 0;
}

/* ---- rows -------------------------------------------------------------------- */

int meta_db_state_get(struct meta_db *d, struct meta_db_state *s)
{
	sqlite3_stmt *st = meta_stmt(d, ST_STATE_GET);
	int err = meta_step(d, st);

	if (err != 1) {
		if (!err)
			snprintf(d->err, sizeof(d->err), "table \"state\" has no row");
		return err ? err : -EUCLEAN;
	}
	s->applied = sqlite3_column_int64(st, 0);
	s->last_ts = sqlite3_column_int64(st, 1);
	s->next_ino = sqlite3_column_int64(st, 2);
	s->next_session = sqlite3_column_int64(st, 3);
	s->next_handle = sqlite3_column_int64(st, 4);
	s->index = sqlite3_column_int64(st, 5);
	s->term = sqlite3_column_int64(st, 6);
	s->sum = sqlite3_column_int64(st, 7);
	err = sqlite3_column_type(st, 7) == SQLITE_NULL;
	sqlite3_reset(st);
	return err;
}

int meta_db_state_put(struct meta_db *d, const struct meta_db_state *s)
{
	sqlite3_stmt *st = meta_stmt(d, ST_STATE_PUT);

	sqlite3_bind_int64(st, 1, s->applied);
	sqlite3_bind_int64(st, 2, s->last_ts);
	sqlite3_bind_int64(st, 3, s->next_ino);
	sqlite3_bind_int64(st, 4, s->next_session);
	sqlite3_bind_int64(st, 5, s->next_handle);
	sqlite3_bind_int64(st, 6, s->index);
	sqlite3_bind_int64(st, 7, s->term);
	sqlite3_bind_int64(st, 8, s->sum);
	return meta_run(d, st);
}

void meta_db_inode_row(sqlite3_stmt *st, int c, struct meta_inode *i)
{
	u64 rdev;

	i->fs = sqlite3_column_int64(st, c++);
	i->gen = sqlite3_column_int64(st, c++);
	i->mode = sqlite3_column_int64(st, c++);
	i->nlink = sqlite3_column_int64(st, c++);
	i->uid = sqlite3_column_int64(st, c++);
	i->gid = sqlite3_column_int64(st, c++);
	i->flags = sqlite3_column_int64(st, c++);
	rdev = sqlite3_column_int64(st, c++);
	i->rdev_major = rdev >> 32;
	i->rdev_minor = rdev;
	i->size = sqlite3_column_int64(st, c++);
	i->btime = sqlite3_column_int64(st, c++);
	i->atime = (u64)i->btime + sqlite3_column_int64(st, c++);
	i->mtime = (u64)i->btime + sqlite3_column_int64(st, c++);
	i->ctime = (u64)i->btime + sqlite3_column_int64(st, c++);
	i->change = sqlite3_column_int64(st, c++);
	i->parent = sqlite3_column_int64(st, c++);
	i->project = sqlite3_column_int64(st, c++);
	i->trunc_epoch = sqlite3_column_int64(st, c++);
	i->chunk_shift = sqlite3_column_int64(st, c++);
	i->stripe = sqlite3_column_int64(st, c++);
	i->table = sqlite3_column_int64(st, c++);
	i->table_ver = sqlite3_column_int64(st, c++);
	i->data = sqlite3_column_int64(st, c++);
	i->next_cookie = sqlite3_column_int64(st, c++);
	i->tree_bytes = sqlite3_column_int64(st, c++);
	i->tree_files = sqlite3_column_int64(st, c++);
	i->tree_dirs = sqlite3_column_int64(st, c++);
}

int meta_db_inode_get(struct meta_db *d, u64 ino, struct meta_inode *out)
{
	sqlite3_stmt *st = meta_stmt(d, ST_INODE_GET);
	int err;

	sqlite3_bind_int64(st, 1, ino);
	err = meta_step(d, st);
	if (err != 1)
		return err;
	out->ino = ino;
	meta_db_inode_row(st, 0, out);
	sqlite3_reset(st);
	return 1;
}

/* Distances wrap like the times themselves, so that any value comes back as it was. */
int meta_db_inode_put(struct meta_db *d, const struct meta_inode *i)
{
	const u64 v[1 + META_INODE_NCOLS] = {
		i->ino, i->fs, i->gen, i->mode, i->nlink, i->uid, i->gid, i->flags,
		(u64)i->rdev_major << 32 | i->rdev_minor, i->size, i->btime,
		(u64)i->atime - i->btime, (u64)i->mtime - i->btime, (u64)i->ctime - i->btime,
		i->change, i->parent, i->project, i->trunc_epoch, i->chunk_shift, i->stripe,
		i->table, i->table_ver, i->data, i->next_cookie, i->tree_bytes, i->tree_files,
		i->tree_dirs,
	};
	sqlite3_stmt *st = meta_stmt(d, ST_INODE_PUT);
	int n;

	for (n = 0; n < 1 + META_INODE_NCOLS; n++)
		sqlite3_bind_int64(st, n + 1, v[n]);
	return meta_run(d, st);
}

int meta_db_inode_del(struct meta_db *d, u64 ino)
{
	sqlite3_stmt *st = meta_stmt(d, ST_INODE_DEL);

	sqlite3_bind_int64(st, 1, ino);
	return meta_run(d, st);
}
