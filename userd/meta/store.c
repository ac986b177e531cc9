// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The database file: opening, refusing, transactions, prepared statements.
 *
 * One writer connection with synchronous=FULL for transactions that must last
 * and NORMAL for those that may ride with the next one: in WAL mode both leave
 * a consistent file after any crash, and NORMAL loses nothing when only the
 * process dies. Checkpoints are never automatic: the caller runs them when
 * nobody waits, or when the WAL has grown too long.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "schema.h"
#include "store.h"
#include "../base/crc.h"

#define WAL_BYTES	67108864	/* about where the log makes a checkpoint */
#define WAL_STEP	65536		/* SQLite writes less than 128 KiB at once */
#define QUICK_CHECK_MAX	(256ll << 20)	/* larger files are checked as they are read */
#define WRITER_PRAGMAS	"PRAGMA cache_size=-131072; PRAGMA mmap_size=2147418112;" \
			" PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=0;" \
			" PRAGMA journal_size_limit=69206016;"

#define INODE_PARAMS "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17," \
	" ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28"

static const char *const stmt_sql[ST_NR] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_STATE_GET] = "SELECT applied, last_ts, next_ino, next_session, next_handle FROM state"
			 " WHERE id=1",
	[ST_STATE_PUT] = "UPDATE state SET applied=?1, last_ts=?2, next_ino=?3, next_session=?4,"
			 " next_handle=?5 WHERE id=1",
	[ST_INODE_GET] = "SELECT " META_INODE_COLS " FROM inode WHERE ino=?1",
	[ST_INODE_INS] = "INSERT INTO inode(ino, " META_INODE_COLS ") VALUES(" INODE_PARAMS ")",
	[ST_INODE_UPD] = "UPDATE inode SET (" META_INODE_COLS ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
			 " ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,"
			 " ?24, ?25, ?26, ?27, ?28) WHERE ino=?1",
	[ST_INODE_DEL] = "DELETE FROM inode WHERE ino=?1",
	[ST_DENTRY_GET] = "SELECT ino, cookie, type FROM dentry WHERE parent=?1 AND name=?2",
	[ST_DENTRY_FIRST] = "SELECT ino, cookie, type, name FROM dentry INDEXED BY dentry_cookie"
			    " WHERE parent=?1 ORDER BY cookie LIMIT 1",
	[ST_DENTRY_INS] = "INSERT INTO dentry(parent, name, cookie, ino, type)"
			  " VALUES(?1, ?2, ?3, ?4, ?5)",
	[ST_DENTRY_SET] = "UPDATE dentry SET ino=?3, type=?4 WHERE parent=?1 AND name=?2",
	[ST_DENTRY_DEL] = "DELETE FROM dentry WHERE parent=?1 AND name=?2",
};

void meta_sqlite_init(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_initialize();
}

int meta_store_errno(struct meta_store *s, int rc)
{
	int e = s->db ? sqlite3_system_errno(s->db) : 0;

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

sqlite3_stmt *meta_stmt(struct meta_store *s, enum meta_stmt nr)
{
	sqlite3_stmt *st = s->stmt[nr];

	sqlite3_reset(st);
	return st;
}

int meta_step(struct meta_store *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE) {
		sqlite3_reset(st);
		return 0;
	}
	rc = sqlite3_extended_errcode(s->db);
	snprintf(s->err, sizeof(s->err), "%s (SQLite code %d, %s)", sqlite3_errmsg(s->db), rc,
		 sqlite3_sql(st));
	rc = meta_store_errno(s, rc);
	sqlite3_reset(st);
	return rc;
}

int meta_run(struct meta_store *s, sqlite3_stmt *st)
{
	int err = meta_step(s, st);

	sqlite3_reset(st);
	return err < 0 ? err : 0;
}

/* ---- opening ------------------------------------------------------------ */

static int open_fail(struct meta_store *s, int err, char *msg, size_t len)
{
	const char *why = s->db ? sqlite3_errmsg(s->db) : "out of memory";

	switch (err) {
	case -EUCLEAN:
		snprintf(msg, len, "%s is damaged or not a database (%s): nothing was changed; move it"
			 " away and restore a backup, or run \"sqlite3 %s .recover\" on a copy",
			 s->path, why, s->path);
		break;
	case -EROFS:
		snprintf(msg, len, "%s cannot be written (%s): mount its file system read-write and"
			 " check its owner and mode", s->path, why);
		break;
	case -ENOSPC:
		snprintf(msg, len, "no space left for %s: free space on its file system", s->path);
		break;
	default:
		snprintf(msg, len, "%s cannot be opened (%s): check that the directory exists and"
			 " belongs to this user", s->path, why);
	}
	return err;
}

static int pragma_int(struct meta_store *s, const char *sql, s64 *out)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (rc)
		return meta_store_errno(s, rc);
	rc = sqlite3_step(st);
	*out = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : meta_store_errno(s, rc);
}

static int exec(struct meta_store *s, const char *sql)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	if (!rc)
		return 0;
	snprintf(s->err, sizeof(s->err), "%s", sqlite3_errmsg(s->db));
	return meta_store_errno(s, sqlite3_extended_errcode(s->db));
}

static int schema_create(struct meta_store *s)
{
	char sql[128];
	int err;

	err = exec(s, "BEGIN IMMEDIATE");
	if (err)
		return err;
	snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%d",
		 META_APPLICATION_ID, META_SCHEMA_VERSION);
	err = exec(s, meta_schema);
	if (!err)
		err = exec(s, sql);
	if (!err)
		err = exec(s, "COMMIT");
	if (err)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

/* Is it empty, ours and of our version? Creates the tables in an empty file. */
static int schema_check(struct meta_store *s, char *msg, size_t len)
{
	s64 app, version, tables;
	int err;

	err = pragma_int(s, "PRAGMA application_id", &app);
	if (!err)
		err = pragma_int(s, "PRAGMA user_version", &version);
	if (!err)
		err = pragma_int(s, "SELECT count(*) FROM sqlite_schema", &tables);
	if (err)
		return open_fail(s, err, msg, len);
	if (!app && !version && !tables) {
		err = exec(s, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL");
		if (!err)
			err = schema_create(s);
		return err ? open_fail(s, err, msg, len) : 0;
	}
	if (app != META_APPLICATION_ID) {
		snprintf(msg, len, "%s is an SQLite database, but not one of flint-metad: nothing was"
			 " changed; choose another --state directory", s->path);
		return -EUCLEAN;
	}
	if (version > META_SCHEMA_VERSION) {
		snprintf(msg, len, "%s has schema version %lld and this flint-metad knows up to %d:"
			 " nothing was changed; start the newer flint-metad that wrote it",
			 s->path, (long long)version, META_SCHEMA_VERSION);
		return -EPROTONOSUPPORT;
	}
	err = exec(s, "PRAGMA journal_mode=WAL");
	return err ? open_fail(s, err, msg, len) : 0;
}

static int quick_check(struct meta_store *s, char *msg, size_t len)
{
	sqlite3_stmt *st;
	struct stat sb;
	int rc, err = 0;

	if (stat(s->path, &sb) || sb.st_size > QUICK_CHECK_MAX)
		return 0;
	rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (rc)
		return open_fail(s, meta_store_errno(s, rc), msg, len);
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW) {
		err = open_fail(s, meta_store_errno(s, rc), msg, len);
	} else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok")) {
		snprintf(msg, len, "%s is damaged (%.120s): nothing was changed; move it away and"
			 " restore a backup, or run \"sqlite3 %s .recover\" on a copy", s->path,
			 (const char *)sqlite3_column_text(st, 0), s->path);
		err = -EUCLEAN;
	}
	sqlite3_finalize(st);
	return err;
}

/* Tables that the file does not have yet. */
static int tables_create(struct meta_store *s)
{
	char sql[512];
	int t, err = 0;

	for (t = 0; t < META_T_NR && !err; t++) {
		meta_table_ddl(&meta_table_descs[t], sql, sizeof(sql));
		err = exec(s, sql);
	}
	return err;
}

static int prepare_all(struct meta_store *s)
{
	int i, rc;

	for (i = 0; i < ST_NR; i++) {
		if (!stmt_sql[i])
			continue;
		rc = sqlite3_prepare_v3(s->db, stmt_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&s->stmt[i], NULL);
		if (rc)
			return meta_store_errno(s, rc);
	}
	return 0;
}

/* ---- what is kept in memory, from the tables ------------------------------ */

static void free_inodes(struct meta_store *s)
{
	struct meta_inode *i, *tmp;

	HASH_ITER(hh, s->inodes, i, tmp) {
		HASH_DEL(s->inodes, i);
		free(i);
	}
	s->dirty = NULL;
}

static void free_derived(struct meta_store *s)
{
	struct meta_session *sn, *sn_tmp;
	struct meta_open *o, *o_tmp;
	struct meta_fs *f, *f_tmp;

	free_inodes(s);
	HASH_CLEAR(hh_id, s->by_id);
	HASH_ITER(hh, s->by_client, sn, sn_tmp) {
		HASH_DEL(s->by_client, sn);
		free(sn);
	}
	HASH_ITER(hh, s->opens, o, o_tmp) {
		HASH_DEL(s->opens, o);
		free(o);
	}
	HASH_ITER(hh, s->fs, f, f_tmp) {
		HASH_DEL(s->fs, f);
		free(f);
	}
}

static int load_sessions(struct meta_store *s)
{
	sqlite3_stmt *st;
	int rc;

	rc = sqlite3_prepare_v2(s->db, "SELECT id, client, fs, root, flags,"
				" (SELECT coalesce(max(low), 0) FROM reply WHERE sid=session.id),"
				" squash_uid, squash_gid, expires"
				" FROM session", -1, &st, NULL);
	if (rc)
		return meta_store_errno(s, rc);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct meta_session *sn = calloc(1, sizeof(*sn));

		if (!sn) {
			rc = SQLITE_NOMEM;
			break;
		}
		sn->id = sqlite3_column_int64(st, 0);
		if (sqlite3_column_bytes(st, 1) == sizeof(sn->client))
			memcpy(sn->client, sqlite3_column_blob(st, 1), sizeof(sn->client));
		sn->fs = sqlite3_column_int64(st, 2);
		sn->root = sqlite3_column_int64(st, 3);
		sn->flags = sqlite3_column_int64(st, 4);
		sn->low = sqlite3_column_int64(st, 5);
		sn->squash_uid = sqlite3_column_int64(st, 6);
		sn->squash_gid = sqlite3_column_int64(st, 7);
		sn->expires = sqlite3_column_int64(st, 8);
		HASH_ADD(hh, s->by_client, client, sizeof(sn->client), sn);
		HASH_ADD(hh_id, s->by_id, id, sizeof(sn->id), sn);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : meta_store_errno(s, rc);
}

static int load_opens(struct meta_store *s)
{
	sqlite3_stmt *st;
	int rc, err = 0;

	rc = sqlite3_prepare_v2(s->db, "SELECT ino FROM handle", -1, &st, NULL);
	if (rc)
		return meta_store_errno(s, rc);
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW)
		err = meta_open_adjust(s, sqlite3_column_int64(st, 0), 1);
	sqlite3_finalize(st);
	if (err)
		return err;
	return rc == SQLITE_DONE ? 0 : meta_store_errno(s, rc);
}

static int load_fs(struct meta_store *s)
{
	sqlite3_stmt *st;
	int rc;

	rc = sqlite3_prepare_v2(s->db, "SELECT id, name, root, files FROM fs", -1, &st, NULL);
	if (rc)
		return meta_store_errno(s, rc);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct meta_fs *f = calloc(1, sizeof(*f));

		if (!f) {
			rc = SQLITE_NOMEM;
			break;
		}
		f->id = sqlite3_column_int64(st, 0);
		snprintf(f->name, sizeof(f->name), "%s", (const char *)sqlite3_column_text(st, 1));
		f->root = sqlite3_column_int64(st, 2);
		f->files = sqlite3_column_int64(st, 3);
		HASH_ADD(hh, s->fs, id, sizeof(f->id), f);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : meta_store_errno(s, rc);
}

static int load_derived(struct meta_store *s)
{
	sqlite3_stmt *st = meta_stmt(s, ST_STATE_GET);
	int err = meta_step(s, st);

	if (err != 1) {
		sqlite3_reset(st);
		return err ? err : -EUCLEAN;
	}
	s->c.applied = sqlite3_column_int64(st, 0);
	s->c.last_ts = sqlite3_column_int64(st, 1);
	s->c.next_ino = sqlite3_column_int64(st, 2);
	s->c.next_session = sqlite3_column_int64(st, 3);
	s->c.next_handle = sqlite3_column_int64(st, 4);
	sqlite3_reset(st);

	err = load_sessions(s);
	if (!err)
		err = load_opens(s);
	if (!err)
		err = load_fs(s);
	return err;
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct meta_store *s = arg;

	s->wal_pages = pages;
	return SQLITE_OK;
}

int meta_store_open(struct meta_store *s, const char *dir, char *msg, size_t len)
{
	int fd, rc, err;

	memset(s, 0, sizeof(*s));
	if (snprintf(s->path, sizeof(s->path), "%s/meta.db", dir) >= (int)sizeof(s->path)) {
		snprintf(msg, len, "the path %s is too long: choose a shorter --state", dir);
		return -EINVAL;
	}
	/* Made by us so that it is private from the first byte; -wal and -shm follow its mode. */
	fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		err = -errno;
		snprintf(msg, len, "%s cannot be opened for writing (%s): make the --state directory"
			 " writable for this user", s->path, strerror(errno));
		return err;
	}
	close(fd);
	rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
			     SQLITE_OPEN_EXRESCODE, NULL);
	if (rc) {
		err = open_fail(s, meta_store_errno(s, rc), msg, len);
		goto fail;
	}
	sqlite3_busy_timeout(s->db, 10000);
	err = schema_check(s, msg, len);
	if (err)
		goto fail;
	err = quick_check(s, msg, len);
	if (err)
		goto fail;
	err = exec(s, WRITER_PRAGMAS "PRAGMA synchronous=FULL");
	if (!err)
		err = tables_create(s);
	if (!err)
		err = prepare_all(s);
	if (!err)
		err = load_derived(s);
	if (err) {
		open_fail(s, err, msg, len);
		goto fail;
	}
	s->sync_full = true;
	sqlite3_wal_hook(s->db, on_wal, s);
	return 0;

fail:
	meta_store_close(s);
	return err;
}

void meta_store_close(struct meta_store *s)
{
	int i;

	free_derived(s);
	for (i = 0; i < ST_NR; i++)
		sqlite3_finalize(s->stmt[i]);
	for (i = 0; i < META_T_NR * META_TV_NR; i++)
		sqlite3_finalize(s->tstmt[i / META_TV_NR][i % META_TV_NR]);
	for (i = 0; i < META_ROWBUFS; i++)
		free(s->rowbuf[i]);
	memset(s->tstmt, 0, sizeof(s->tstmt));
	memset(s->rowbuf, 0, sizeof(s->rowbuf));
	sqlite3_close(s->db);
	memset(s->stmt, 0, sizeof(s->stmt));
	s->db = NULL;
}

/* ---- transactions --------------------------------------------------------- */

int meta_store_begin(struct meta_store *s, bool durable)
{
	int err;

	if (durable != s->sync_full) {
		err = exec(s, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
		if (err)
			return err;
		s->sync_full = durable;
	}
	err = meta_run(s, meta_stmt(s, ST_BEGIN));
	if (!err)
		s->in_tx = true;
	return err;
}

static void bind_inode(sqlite3_stmt *st, const struct meta_inode *i)
{
	const s64 v[1 + META_INODE_NCOLS] = {
		i->ino, i->fs, i->gen, i->mode, i->nlink, i->uid, i->gid, i->flags,
		i->rdev_major, i->rdev_minor, i->size, i->atime, i->mtime, i->ctime, i->btime,
		i->change, i->parent, i->project, i->trunc_epoch, i->chunk_shift, i->stripe,
		i->table, i->table_ver, i->next_cookie, i->data, i->tree_bytes, i->tree_files,
		i->tree_dirs,
	};
	int n;

	for (n = 0; n < 1 + META_INODE_NCOLS; n++)
		sqlite3_bind_int64(st, n + 1, v[n]);
}

static int flush_inode(struct meta_store *s, struct meta_inode *i)
{
	sqlite3_stmt *st;

	if (i->dead) {
		if (i->fresh)
			return 0;
		st = meta_stmt(s, ST_INODE_DEL);
		sqlite3_bind_int64(st, 1, i->ino);
		return meta_run(s, st);
	}
	st = meta_stmt(s, i->fresh ? ST_INODE_INS : ST_INODE_UPD);
	bind_inode(st, i);
	return meta_run(s, st);
}

static int flush_all(struct meta_store *s)
{
	struct meta_inode *i;
	struct meta_fs *f, *tmp;
	sqlite3_stmt *st;
	int err;

	for (i = s->dirty; i; i = i->next_dirty) {
		err = flush_inode(s, i);
		if (err)
			return err;
	}
	HASH_ITER(hh, s->fs, f, tmp) {
		if (!f->dirty)
			continue;
		err = meta_fs_put(s, f);
		if (err)
			return err;
	}
	st = meta_stmt(s, ST_STATE_PUT);
	sqlite3_bind_int64(st, 1, s->c.applied);
	sqlite3_bind_int64(st, 2, s->c.last_ts);
	sqlite3_bind_int64(st, 3, s->c.next_ino);
	sqlite3_bind_int64(st, 4, s->c.next_session);
	sqlite3_bind_int64(st, 5, s->c.next_handle);
	return meta_run(s, st);
}

/* Committed: what was dirty is clean, what was dead is gone; keep the cache bounded. */
static void settle_cache(struct meta_store *s)
{
	struct meta_inode *i, *next;
	struct meta_fs *f, *tmp;

	for (i = s->dirty; i; i = next) {
		next = i->next_dirty;
		i->dirty = false;
		i->fresh = false;
		i->next_dirty = NULL;
		if (i->dead) {
			HASH_DEL(s->inodes, i);
			free(i);
		}
	}
	s->dirty = NULL;
	HASH_ITER(hh, s->fs, f, tmp)
		f->dirty = false;
	if (HASH_COUNT(s->inodes) > 65536)
		free_inodes(s);
}

int meta_store_commit(struct meta_store *s)
{
	int err = flush_all(s);

	if (!err)
		err = meta_run(s, meta_stmt(s, ST_COMMIT));
	if (err) {
		char why[sizeof(s->err)];

		memcpy(why, s->err, sizeof(why));
		if (meta_store_rollback(s))
			err = -EIO;
		memcpy(s->err, why, sizeof(why));
		return err;
	}
	s->in_tx = false;
	settle_cache(s);
	return 0;
}

int meta_store_rollback(struct meta_store *s)
{
	/* After SQLITE_FULL and I/O errors SQLite may have rolled back by itself. */
	if (!sqlite3_get_autocommit(s->db))
		meta_run(s, meta_stmt(s, ST_ROLLBACK));
	s->in_tx = false;
	free_derived(s);
	return load_derived(s);
}

void meta_store_checkpoint(struct meta_store *s, bool force)
{
	int log = 0, done = 0;

	if (sqlite3_wal_checkpoint_v2(s->db, NULL, force ? SQLITE_CHECKPOINT_RESTART :
				      SQLITE_CHECKPOINT_PASSIVE, &log, &done) == SQLITE_OK &&
	    log == done)
		s->wal_pages = 0;
}

void meta_store_grow_wal(struct meta_store *s)
{
	sqlite3_file *f = NULL;
	sqlite3_int64 size, at;
	char *zeros;
	int rc = SQLITE_OK;

	if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f) || !f ||
	    !f->pMethods || f->pMethods->xFileSize(f, &size) || size >= WAL_BYTES)
		return;
	zeros = calloc(1, WAL_STEP);
	if (!zeros)
		return;
	for (at = size; !rc && at < WAL_BYTES; at += WAL_STEP)
		rc = f->pMethods->xWrite(f, zeros, WAL_STEP, at);
	if (rc)
		f->pMethods->xTruncate(f, size);
	f->pMethods->xSync(f, SQLITE_SYNC_NORMAL);
	free(zeros);
}

/* ---- checks --------------------------------------------------------------- */

static u32 crc_row(u32 crc, sqlite3_stmt *st)
{
	int i, n = sqlite3_column_count(st);

	for (i = 0; i < n; i++) {
		int type = sqlite3_column_type(st, i);
		s64 v = sqlite3_column_int64(st, i);
		int len = sqlite3_column_bytes(st, i);

		crc = flint_crc32c(crc, &type, sizeof(type));
		if (type == SQLITE_INTEGER)
			crc = flint_crc32c(crc, &v, sizeof(v));
		else
			crc = flint_crc32c(crc, sqlite3_column_blob(st, i), len);
	}
	return crc;
}

u64 meta_store_checksum(struct meta_store *s)
{
	u64 sum = 0;
	size_t t;

	for (t = 0; t < sizeof(meta_tables) / sizeof(meta_tables[0]); t++) {
		sqlite3_stmt *st;
		char sql[128];
		u32 crc = 0;
		int rc;

		snprintf(sql, sizeof(sql), "SELECT * FROM %s ORDER BY %s", meta_tables[t][0],
			 meta_tables[t][1]);
		if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL))
			return 0;
		while ((rc = sqlite3_step(st)) == SQLITE_ROW)
			crc = crc_row(crc, st);
		sqlite3_finalize(st);
		if (rc != SQLITE_DONE)
			return 0;
		sum = (sum ^ crc) * 0x100000001b3ull + t + 1;
	}
	return sum ? sum : 1;
}

/* Owners whose sums over all inodes differ from table "quota". */
#define VERIFY_USAGE(col, kind, where)							\
	"SELECT a.id FROM (SELECT fs, " col " AS id, sum(CASE mode & 61440 WHEN 32768 THEN"	\
	" (size + 4095) / 4096 * 4096 ELSE 0 END) AS bytes, count(*) AS n FROM inode" where	\
	" GROUP BY fs, " col ") a LEFT JOIN quota q ON q.fs=a.fs AND q.kind=" kind " AND q.id=a.id"\
	" WHERE q.id IS NULL OR q.space != a.bytes OR q.inodes != a.n"				\
	" UNION ALL SELECT q.id FROM quota q WHERE q.kind=" kind " AND (q.space != 0 OR"		\
	" q.inodes != 0) AND NOT EXISTS (SELECT 1 FROM inode WHERE fs=q.fs AND " col "=q.id)"

/* Each counts rows that must not be; the text says what they would be. */
static const char *const verify_sql[][2] = {
	{ "entries without an inode",
	  "SELECT count(*) FROM dentry d LEFT JOIN inode i ON i.ino=d.ino WHERE i.ino IS NULL" },
	{ "entries without a directory",
	  "SELECT count(*) FROM dentry d LEFT JOIN inode i ON i.ino=d.parent"
	  " WHERE i.ino IS NULL OR (i.mode & 61440) != 16384" },
	{ "entries whose type differs from their inode's",
	  "SELECT count(*) FROM dentry d JOIN inode i ON i.ino=d.ino WHERE d.type != (i.mode >> 12)" },
	{ "files whose link count is wrong",
	  "SELECT count(*) FROM inode i LEFT JOIN (SELECT ino, count(*) AS n FROM dentry GROUP BY ino) d"
	  " ON d.ino=i.ino WHERE (i.mode & 61440) != 16384 AND i.nlink != coalesce(d.n, 0)" },
	{ "directories whose link count is wrong",
	  "SELECT count(*) FROM inode i WHERE (i.mode & 61440) = 16384 AND i.nlink != 2 +"
	  " (SELECT count(*) FROM dentry d WHERE d.parent=i.ino AND d.type=4)" },
	{ "directories whose entry count is wrong",
	  "SELECT count(*) FROM inode i WHERE (i.mode & 61440) = 16384 AND i.size !="
	  " (SELECT count(*) FROM dentry d WHERE d.parent=i.ino)" },
	{ "directories whose parent is wrong",
	  "SELECT count(*) FROM dentry d JOIN inode i ON i.ino=d.ino WHERE d.type=4"
	  " AND i.parent != d.parent" },
	{ "cookies that were not given out yet",
	  "SELECT count(*) FROM dentry d JOIN inode i ON i.ino=d.parent WHERE d.cookie >= i.next_cookie" },
	{ "unlinked inodes that nobody will remove",
	  "SELECT count(*) FROM inode i WHERE i.nlink=0 AND NOT EXISTS"
	  " (SELECT 1 FROM orphan o WHERE o.ino=i.ino)" },
	{ "orphans that are not unlinked",
	  "SELECT count(*) FROM orphan o LEFT JOIN inode i ON i.ino=o.ino"
	  " WHERE i.ino IS NULL OR i.nlink != 0" },
	{ "open handles without an inode or session",
	  "SELECT count(*) FROM handle h WHERE NOT EXISTS (SELECT 1 FROM inode i WHERE i.ino=h.ino)"
	  " OR NOT EXISTS (SELECT 1 FROM session s WHERE s.id=h.sid)" },
	{ "replies without a session",
	  "SELECT count(*) FROM reply r WHERE NOT EXISTS (SELECT 1 FROM session s WHERE s.id=r.sid)" },
	{ "file systems whose inode count is wrong",
	  "SELECT count(*) FROM fs f WHERE f.files !="
	  " (SELECT count(*) FROM inode i WHERE i.fs=f.id)" },	{ "directories whose totals are wrong",
	  "SELECT count(*) FROM inode d LEFT JOIN (SELECT parent, sum(CASE mode & 61440 WHEN 16384"
	  " THEN tree_bytes WHEN 32768 THEN (size + 4095) / 4096 * 4096 ELSE 0 END) AS bytes,"
	  " sum(CASE mode & 61440 WHEN 16384 THEN tree_files ELSE 1 END) AS files,"
	  " sum(CASE mode & 61440 WHEN 16384 THEN tree_dirs + 1 ELSE 0 END) AS dirs FROM inode"
	  " WHERE nlink > 0 AND parent != ino GROUP BY parent) c ON c.parent=d.ino"
	  " WHERE (d.mode & 61440) = 16384 AND (d.tree_bytes != coalesce(c.bytes, 0) OR"
	  " d.tree_files != coalesce(c.files, 0) OR d.tree_dirs != coalesce(c.dirs, 0))" },
	{ "files whose home has no name of theirs",
	  "SELECT count(*) FROM inode i LEFT JOIN (SELECT DISTINCT ino, parent FROM dentry) d"
	  " ON d.ino=i.ino AND d.parent=i.parent"
	  " WHERE (i.mode & 61440) != 16384 AND i.nlink > 0 AND d.ino IS NULL" },
	{ "files whose names are not counted by directory",
	  "SELECT count(*) FROM inode i WHERE (i.mode & 61440) != 16384 AND (i.nlink > 1) !="
	  " ((i.flags & 4194304) != 0)" },
	{ "counts of names that are wrong",
	  "SELECT count(*) FROM (SELECT l.ino FROM link l LEFT JOIN (SELECT ino, parent, count(*) AS n"
	  " FROM dentry GROUP BY ino, parent) d ON d.ino=l.ino AND d.parent=l.dir"
	  " WHERE l.names != coalesce(d.n, 0) UNION ALL SELECT i.ino FROM inode i WHERE"
	  " (i.flags & 4194304) != 0 AND i.nlink !="
	  " (SELECT coalesce(sum(names), 0) FROM link WHERE ino=i.ino))" },
	{ "users whose usage is wrong",
	  "SELECT count(*) FROM (" VERIFY_USAGE("uid", "2", "") ")" },
	{ "groups whose usage is wrong",
	  "SELECT count(*) FROM (" VERIFY_USAGE("gid", "3", "") ")" },
	{ "projects whose usage is wrong",
	  "SELECT count(*) FROM (" VERIFY_USAGE("project", "4", " WHERE project != 0") ")" },
	{ "directories without a quota that they should have, or with one they should not",
	  "SELECT count(*) FROM inode i LEFT JOIN quota q ON q.fs=i.fs AND q.kind=1 AND q.id=i.ino"
	  " WHERE (i.mode & 61440) = 16384 AND (q.id IS NULL) = ((i.flags & 1048576) != 0)" },
	{ "entries of the trash that are not in it",
	  "SELECT count(*) FROM trash t WHERE NOT EXISTS (SELECT 1 FROM inode i JOIN hidden h"
	  " ON h.fs=i.fs AND h.which=1 AND h.ino=i.parent WHERE i.ino=t.ino AND i.fs=t.fs AND"
	  " (i.flags & 8388608) != 0) OR NOT EXISTS (SELECT 1 FROM expiry e WHERE"
	  " e.expires=t.expires AND e.fs=t.fs AND e.ino=t.ino)" },
	{ "things in hidden directories that nobody will find",
	  "SELECT count(*) FROM dentry d JOIN hidden h ON h.ino=d.parent AND h.which=1"
	  " WHERE NOT EXISTS (SELECT 1 FROM trash t WHERE t.ino=d.ino)" },
	{ "directories whose name is not known",
	  "SELECT count(*) FROM dentry d LEFT JOIN dirname n ON n.ino=d.ino WHERE d.type=4 AND"
	  " d.parent NOT IN (SELECT ino FROM hidden) AND substr(d.name, 1, 1) != X'2f' AND"
	  " (n.name IS NULL OR n.name != d.name)" },
};

int meta_store_verify(struct meta_store *s, char *msg, size_t len)
{
	size_t i;
	s64 n;
	int err;

	err = quick_check(s, msg, len);
	if (err)
		return err;
	for (i = 0; i < sizeof(verify_sql) / sizeof(verify_sql[0]); i++) {
		err = pragma_int(s, verify_sql[i][1], &n);
		if (err)
			return open_fail(s, err, msg, len);
		if (n) {
			snprintf(msg, len, "%s holds %lld %s", s->path, (long long)n, verify_sql[i][0]);
			return -EUCLEAN;
		}
	}
	return 0;
}
