// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * raft.db: opening and checking it, and the thread that writes it.
 *
 * The thread takes everything that is queued, puts it into one transaction,
 * commits (which syncs), and reports. Between commits it moves the WAL into the
 * database when that has grown to WAL_PAGES or so, and removes entries that lie
 * before the base, TRIM_ROWS at a time, so that no job waits long for either.
 *
 * Whoever proposes meanwhile waits for that: so the WAL is short. And replicas must
 * not all do it at the same time, as they would, having written the same: each time
 * another length is chosen. A majority of the others commits without this one.
 *
 * After the first error the database is not touched any more: every job fails,
 * and the owner stops the process. Which of the last transaction's changes are
 * on the disk is then unknown; nobody has been told that they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "db.h"
#include "wal.h"
#include "../base/crc.h"
#include "../base/daemon.h"
#include "../base/log.h"
#include "../net/loop_int.h"

#define APP_ID		0x464c5246	/* "FLRF" */
#define VERSION		1
#define WAL_PAGES	512		/* 2 MiB: checkpoint, a quarter more or less */
#define WAL_BYTES	(12u << 20)	/* room for one more large transaction */
#define WAL_STEP	(64u << 10)	/* SQLite writes 128 KiB less one at a time, at most */
#define TX_BYTES	(4u << 20)	/* of one transaction, about */
#define TRIM_ROWS	1024
#define STATS_NS	5000000000ull

enum st {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK, ST_ROOT, ST_ADD, ST_TRUNCATE, ST_RESET, ST_TRIM, ST_GET,
	ST_NR
};

static const char *const sql[ST_NR] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_ROOT] = "UPDATE root SET id=?1, grp=?2, term=?3, vote=?4, base=?5, base_term=?6,"
		    " flags=?7, conf=?8, crc=?9 WHERE one=1",
	[ST_ADD] = "INSERT INTO entry(idx, term, type, crc, data) VALUES(?1, ?2, ?3, ?4, ?5)",
	[ST_TRUNCATE] = "DELETE FROM entry WHERE idx >= ?1",
	[ST_RESET] = "DELETE FROM entry",
	[ST_TRIM] = "DELETE FROM entry WHERE idx <= ?1",
	[ST_GET] = "SELECT idx, term, type, crc, data FROM entry WHERE idx BETWEEN ?1 AND ?2"
		   " ORDER BY idx",
};

struct flint_raft_db {
	sqlite3 *db;
	sqlite3_stmt *stmt[ST_NR];
	char path[512];
	char procedure[128];
	struct flint_loop *loop;
	void (*fatal)(void *arg, const char *why);
	void *arg;
	pthread_t thread;
	bool running;

	pthread_mutex_t lock;		/* protects what follows */
	pthread_cond_t wake;
	bool stop, posted;
	struct flint_raft_job *jobs, **jobs_tail;
	struct flint_raft_fetch *fetches, **fetches_tail;
	struct flint_raft_job *done, **done_tail;
	struct flint_raft_fetch *fetched, **fetched_tail;
	struct flint_raft_db_stats stats;
	u64 win_ns, win_nr, win_sum, win_max;
	struct flint_task task;
	char why[1024];			/* set once, by the thread, before failed */
	bool failed;

	/* the thread's */
	bool dead;
	int wal_pages, wal_limit;
	u64 base, lowest;		/* rows from lowest to base are to be removed */
	bool told;			/* the loop's: fatal() was called */
};

/* ---- entries -------------------------------------------------------------- */

struct flint_raft_ent *flint_raft_ent_new(u64 index, u64 term, u8 type, const void *data, u32 len)
{
	struct flint_raft_ent *e = malloc(sizeof(*e) + len);

	if (!e)
		return NULL;
	e->index = index;
	e->term = term;
	e->type = type;
	e->len = len;
	atomic_init(&e->refs, 1);
	if (data && len)
		memcpy(e->data, data, len);
	return e;
}

void flint_raft_ent_put(struct flint_raft_ent *e)
{
	if (e && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
		free(e);
}

static u32 ent_crc(u64 index, u64 term, u8 type, const void *data, u32 len)
{
	u64 head[3] = { index, term, type };

	return flint_crc32c(flint_crc32c(0, head, sizeof(head)), data, len);
}

static u64 flags(const struct flint_raft_root *r)
{
	return (r->removed ? 1 : 0) | (r->loading ? 2 : 0);
}

static u32 root_crc(const struct flint_raft_root *r)
{
	u64 head[7] = { r->id, r->group, r->term, r->vote, r->base, r->base_term, flags(r) };

	return flint_crc32c(flint_crc32c(0, head, sizeof(head)), r->conf, r->conf_len);
}

/* ---- SQLite ------------------------------------------------------------------ */

static int sql_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	default:
		return -EIO;
	}
}

static sqlite3_stmt *stmt(struct flint_raft_db *db, enum st nr)
{
	sqlite3_reset(db->stmt[nr]);
	return db->stmt[nr];
}

static int run(struct flint_raft_db *db, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		rc = SQLITE_DONE;
	sqlite3_reset(st);
	return sql_errno(rc);
}

static int root_put(struct flint_raft_db *db, const struct flint_raft_root *r)
{
	sqlite3_stmt *st = stmt(db, ST_ROOT);
	const u64 v[7] = { r->id, r->group, r->term, r->vote, r->base, r->base_term, flags(r) };
	int i;

	for (i = 0; i < 7; i++)
		sqlite3_bind_int64(st, i + 1, v[i]);
	sqlite3_bind_blob(st, 8, r->conf, r->conf_len, SQLITE_STATIC);
	sqlite3_bind_int64(st, 9, root_crc(r));
	return run(db, st);
}

static int delete_from(struct flint_raft_db *db, enum st nr, u64 index)
{
	sqlite3_stmt *st = stmt(db, nr);

	if (nr != ST_RESET)
		sqlite3_bind_int64(st, 1, index);
	return run(db, st);
}

static int entry_put(struct flint_raft_db *db, const struct flint_raft_ent *e)
{
	sqlite3_stmt *st = stmt(db, ST_ADD);

	sqlite3_bind_int64(st, 1, e->index);
	sqlite3_bind_int64(st, 2, e->term);
	sqlite3_bind_int(st, 3, e->type);
	sqlite3_bind_int64(st, 4, ent_crc(e->index, e->term, e->type, e->data, e->len));
	sqlite3_bind_blob(st, 5, e->data, e->len, SQLITE_STATIC);
	return run(db, st);
}

/* The current row of ST_GET. NULL: damaged (*err -EUCLEAN) or no memory. */
static struct flint_raft_ent *entry_row(sqlite3_stmt *st, int *err)
{
	const void *data = sqlite3_column_blob(st, 4);
	u32 len = sqlite3_column_bytes(st, 4);
	struct flint_raft_ent *e;

	e = flint_raft_ent_new(sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1),
			       sqlite3_column_int(st, 2), data, len);
	if (!e) {
		*err = -ENOMEM;
		return NULL;
	}
	if (ent_crc(e->index, e->term, e->type, e->data, len) != (u32)sqlite3_column_int64(st, 3)) {
		flint_raft_ent_put(e);
		*err = -EUCLEAN;
		return NULL;
	}
	return e;
}

/* ---- opening --------------------------------------------------------------------- */

static int open_fail(struct flint_raft_db *db, int err, char *msg, size_t len)
{
	switch (err) {
	case -ENOSPC:
		snprintf(msg, len, "%s cannot be written: its file system is full; free space, then"
			 " start again", db->path);
		break;
	case -EUCLEAN:
		snprintf(msg, len, "%s is damaged (%s): keep a copy of its directory, empty it, start"
			 " again, and bring the replica back with '%s'", db->path,
			 db->db ? sqlite3_errmsg(db->db) : "not a database", db->procedure);
		break;
	default:
		snprintf(msg, len, "%s cannot be used (%s, %s): check the disk, then start again, or"
			 " bring the replica back on another one with '%s'", db->path, strerror(-err),
			 db->db ? sqlite3_errmsg(db->db) : "not opened", db->procedure);
	}
	return err;
}

static int damaged(struct flint_raft_db *db, const char *what, u64 index, char *msg, size_t len)
{
	snprintf(msg, len, "%s is damaged (%s %llu): keep a copy of its directory, empty it, start"
		 " again, and bring the replica back with '%s'", db->path, what,
		 (unsigned long long)index, db->procedure);
	return -EUCLEAN;
}

static int query(struct flint_raft_db *db, const char *text, s64 *v, const char **word)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db->db, text, -1, &st, NULL);

	if (!rc) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && v)
			*v = sqlite3_column_int64(st, 0);
		if (rc == SQLITE_ROW && word)
			*word = strcmp((const char *)sqlite3_column_text(st, 0), "ok") ? "bad" : "ok";
	}
	sqlite3_finalize(st);
	return sql_errno(rc);
}

static int exec(struct flint_raft_db *db, const char *text)
{
	return sql_errno(sqlite3_exec(db->db, text, NULL, NULL, NULL));
}

static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE root(one INTEGER PRIMARY KEY CHECK(one=1), id INTEGER NOT NULL,"
	" grp INTEGER NOT NULL, term INTEGER NOT NULL, vote INTEGER NOT NULL,"
	" base INTEGER NOT NULL, base_term INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" conf BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;"
	"CREATE TABLE entry(idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, type INTEGER NOT NULL,"
	" crc INTEGER NOT NULL, data BLOB NOT NULL) STRICT;"
	"INSERT INTO root VALUES(1, 0, 0, 0, 0, 0, 0, 0, x'', 0);"
	"PRAGMA application_id=1179406918; PRAGMA user_version=1;"
	"COMMIT";

static int prepare_all(struct flint_raft_db *db)
{
	int i, rc = 0;

	for (i = 0; i < ST_NR && !rc; i++)
		rc = sqlite3_prepare_v3(db->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmt[i],
					NULL);
	return sql_errno(rc);
}

/* A new database gets its tables and its id. */
static int create(struct flint_raft_db *db)
{
	struct flint_raft_root root = { .id = flint_random_u64() >> 1 };
	int err = exec(db, schema);

	if (!root.id)
		root.id = 1;
	if (!err)
		err = prepare_all(db);
	return err ? err : root_put(db, &root);
}

static int schema_open(struct flint_raft_db *db, char *msg, size_t len)
{
	s64 app = 0, version = 0, tables = 0;
	const char *word = "bad";
	int err;

	err = exec(db, "PRAGMA page_size=4096; PRAGMA locking_mode=EXCLUSIVE;"
		   "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
		   "PRAGMA secure_delete=OFF; PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY");
	if (!err)
		err = query(db, "SELECT count(*) FROM sqlite_schema", &tables, NULL);
	if (!err && !tables)
		err = create(db);
	if (!err)
		err = query(db, "PRAGMA application_id", &app, NULL);
	if (!err)
		err = query(db, "PRAGMA user_version", &version, NULL);
	if (err)
		return open_fail(db, err, msg, len);
	if (app != APP_ID)
		return damaged(db, "it is another program's, application id", app, msg, len);
	if (version != VERSION) {
		snprintf(msg, len, "%s is of version %lld, this program knows %d: install the newer"
			 " version again", db->path, (long long)version, VERSION);
		return -EPROTONOSUPPORT;
	}
	err = query(db, "PRAGMA quick_check(1)", NULL, &word);
	if (err)
		return open_fail(db, err, msg, len);
	if (strcmp(word, "ok"))
		return damaged(db, "its pages do not fit together, findings:", 1, msg, len);
	if (!db->stmt[0])
		err = prepare_all(db);
	return err ? open_fail(db, err, msg, len) : 0;
}

static int root_load(struct flint_raft_db *db, struct flint_raft_root *r, char *msg, size_t len)
{
	sqlite3_stmt *st = NULL;
	int err = -EUCLEAN, n;

	memset(r, 0, sizeof(*r));
	if (sqlite3_prepare_v2(db->db, "SELECT id, grp, term, vote, base, base_term, flags, conf,"
			       " crc FROM root WHERE one=1", -1, &st, NULL) ||
	    sqlite3_step(st) != SQLITE_ROW)
		goto out;
	r->id = sqlite3_column_int64(st, 0);
	r->group = sqlite3_column_int64(st, 1);
	r->term = sqlite3_column_int64(st, 2);
	r->vote = sqlite3_column_int64(st, 3);
	r->base = sqlite3_column_int64(st, 4);
	r->base_term = sqlite3_column_int64(st, 5);
	r->removed = sqlite3_column_int64(st, 6) & 1;
	r->loading = sqlite3_column_int64(st, 6) & 2;
	n = sqlite3_column_bytes(st, 7);
	if (n > FLINT_RAFT_CONF_MAX)
		goto out;
	r->conf_len = n;
	if (n)
		memcpy(r->conf, sqlite3_column_blob(st, 7), n);
	if (r->id && root_crc(r) == (u32)sqlite3_column_int64(st, 8))
		err = 0;
out:
	sqlite3_finalize(st);
	return err ? damaged(db, "its root row fails its checksum, rows:", 1, msg, len) : 0;
}

int flint_raft_db_load(struct flint_raft_db *db, int (*load)(void *arg, struct flint_raft_ent *e),
		       void *arg, char *msg, size_t len)
{
	sqlite3_stmt *st = stmt(db, ST_GET);
	u64 next = db->base + 1;
	int err = 0, rc = SQLITE_DONE;

	sqlite3_bind_int64(st, 1, next);
	sqlite3_bind_int64(st, 2, INT64_MAX);
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct flint_raft_ent *e = entry_row(st, &err);

		if (!e || e->index != next) {
			flint_raft_ent_put(e);
			sqlite3_reset(st);
			if (err == -ENOMEM)
				return open_fail(db, err, msg, len);
			return damaged(db, "missing or broken entry", next, msg, len);
		}
		next++;
		err = load(arg, e);
	}
	sqlite3_reset(st);
	if (err || rc != SQLITE_DONE)
		return open_fail(db, err ? err : sql_errno(rc), msg, len);
	return 0;
}

/*
 * A commit that makes the WAL longer also writes the file system's journal. Zeros
 * behind the last frame mean nothing to SQLite.
 */
static void grow_wal(struct flint_raft_db *db)
{
	sqlite3_file *f = NULL;
	sqlite3_int64 size, at;
	char *zeros;
	int rc = SQLITE_OK;

	if (sqlite3_file_control(db->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f) || !f ||
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

static void wal_limit_choose(struct flint_raft_db *db)
{
	db->wal_limit = WAL_PAGES * 3 / 4 + (int)(flint_random_u64() % (WAL_PAGES / 2));
}

static int on_wal(void *arg, sqlite3 *h, const char *name, int pages)
{
	((struct flint_raft_db *)arg)->wal_pages = pages;
	return SQLITE_OK;
}

static int file_open(struct flint_raft_db *db, const char *dir, char *msg, size_t len)
{
	char wal[520];
	int fd, rc, err;

	snprintf(wal, sizeof(wal), "%s-wal", db->path);
	err = flint_raft_wal_check(wal);
	if (err == -EUCLEAN)
		return damaged(db, "a transaction that was on the disk is broken; WAL frames before it:",
			       0, msg, len);
	/* Made by us so that it is private from the first byte. */
	fd = open(db->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		err = -errno;
		snprintf(msg, len, "%s cannot be opened for writing (%s): make the state directory"
			 " writable for this user", db->path, strerror(errno));
		return err;
	}
	close(fd);
	rc = sqlite3_open_v2(db->path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
			     SQLITE_OPEN_EXRESCODE, NULL);
	return rc ? open_fail(db, sql_errno(rc), msg, len) : 0;
}

int flint_raft_db_open(struct flint_raft_db **dbp, const char *dir, const char *procedure,
		       struct flint_raft_root *root, char *msg, size_t len)
{
	struct flint_raft_db *db = calloc(1, sizeof(*db));
	s64 lowest = 0;
	int err;

	if (!db) {
		snprintf(msg, len, "out of memory");
		return -ENOMEM;
	}
	wal_limit_choose(db);
	pthread_mutex_init(&db->lock, NULL);
	db->jobs_tail = &db->jobs;
	db->fetches_tail = &db->fetches;
	db->done_tail = &db->done;
	db->fetched_tail = &db->fetched;
	snprintf(db->procedure, sizeof(db->procedure), "%s", procedure);
	if (snprintf(db->path, sizeof(db->path), "%s/raft.db", dir) >= (int)sizeof(db->path)) {
		snprintf(msg, len, "the path %s is too long: choose a shorter state directory", dir);
		err = -EINVAL;
		goto fail;
	}
	err = file_open(db, dir, msg, len);
	if (!err)
		err = schema_open(db, msg, len);
	if (!err)
		err = root_load(db, root, msg, len);
	if (err)
		goto fail;
	sqlite3_wal_hook(db->db, on_wal, db);
	sqlite3_wal_checkpoint_v2(db->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	grow_wal(db);
	db->base = root->base;
	db->lowest = db->base + 1;
	query(db, "SELECT min(idx) FROM entry", &lowest, NULL);
	if (lowest && (u64)lowest < db->lowest)
		db->lowest = lowest;
	*dbp = db;
	return 0;

fail:
	flint_raft_db_close(db);
	return err;
}

/* ---- the thread: work ------------------------------------------------------------- */

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

static int job_run(struct flint_raft_db *db, struct flint_raft_job *j)
{
	int err = 0;
	u32 i;

	if (j->reset)
		err = delete_from(db, ST_RESET, 0);
	else if (j->truncate)
		err = delete_from(db, ST_TRUNCATE, j->truncate);
	if (!err && j->root)
		err = root_put(db, j->root);
	for (i = 0; i < j->nr && !err; i++)
		err = entry_put(db, j->ents[i]);
	return err;
}

/* Some of what lies before the base, with a transaction that is written anyway. */
static int trim_some(struct flint_raft_db *db)
{
	u64 to = db->lowest + TRIM_ROWS;
	int err;

	if (db->lowest > db->base)
		return 0;
	if (to > db->base)
		to = db->base;
	err = delete_from(db, ST_TRIM, to);
	if (!err)
		db->lowest = to + 1;
	return err;
}

static int transaction(struct flint_raft_db *db, struct flint_raft_job *list, u64 *us)
{
	struct flint_raft_job *j;
	u64 start;
	int err = run(db, stmt(db, ST_BEGIN));

	for (j = list; j && !err; j = j->next)
		err = job_run(db, j);
	for (j = list; j && !err; j = j->next) {
		if (j->root)
			db->base = j->root->base;
		if (j->reset)
			db->lowest = db->base + 1;
	}
	if (!err)
		err = trim_some(db);
	start = now_us();
	if (!err)
		err = run(db, stmt(db, ST_COMMIT));
	*us = now_us() - start;
	return err;
}

static void fail(struct flint_raft_db *db, int err)
{
	const char *what = err == -ENOSPC ? "its file system is full: free space" :
			   err == -EUCLEAN ? "it is damaged" : "check the disk";

	db->dead = true;
	pthread_mutex_lock(&db->lock);
	snprintf(db->why, sizeof(db->why),
		 "%s cannot be written (%s, %s): this replica stops, %s, then start again, or bring it"
		 " back on another disk with '%s'", db->path, strerror(-err), sqlite3_errmsg(db->db),
		 what, db->procedure);
	db->failed = true;
	pthread_mutex_unlock(&db->lock);
	if (!sqlite3_get_autocommit(db->db))
		run(db, stmt(db, ST_ROLLBACK));
}

static void account(struct flint_raft_db *db, struct flint_raft_job *list, u64 us)
{
	u64 now = flint_now_ns(), nr = 0, bytes = 0;
	struct flint_raft_job *j;
	u32 i;

	for (j = list; j; j = j->next) {
		nr += j->nr;
		for (i = 0; i < j->nr; i++)
			bytes += j->ents[i]->len;
	}
	pthread_mutex_lock(&db->lock);
	db->stats.entries += nr;
	db->stats.bytes += bytes;
	db->stats.syncs++;
	db->win_nr++;
	db->win_sum += us;
	if (us > db->win_max)
		db->win_max = us;
	if (now - db->win_ns > STATS_NS) {
		db->stats.fsync_us_avg = db->win_sum / db->win_nr;
		db->stats.fsync_us_max = db->win_max;
		db->win_ns = now;
		db->win_nr = 0;
		db->win_sum = 0;
		db->win_max = 0;
	}
	pthread_mutex_unlock(&db->lock);
}

static void run_jobs(struct flint_raft_db *db, struct flint_raft_job *list)
{
	struct flint_raft_job *j;
	u64 us = 0;
	int err = -EIO;

	if (!db->dead) {
		err = transaction(db, list, &us);
		if (err)
			fail(db, err);
	}
	for (j = list; j; j = j->next)
		j->err = err;
	account(db, list, us);
}

static u64 file_bytes(const struct flint_raft_db *db)
{
	struct stat sb;

	return stat(db->path, &sb) ? 0 : sb.st_size + WAL_BYTES;
}

static void checkpoint(struct flint_raft_db *db)
{
	int log = 0, done = 0, err;
	u64 bytes;

	err = sql_errno(sqlite3_wal_checkpoint_v2(db->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log,
						  &done));
	if (err) {
		fail(db, err);
		return;
	}
	db->wal_pages = 0;
	wal_limit_choose(db);
	bytes = file_bytes(db);
	pthread_mutex_lock(&db->lock);
	db->stats.checkpoints++;
	db->stats.file_bytes = bytes;
	pthread_mutex_unlock(&db->lock);
}

static void run_fetch(struct flint_raft_db *db, struct flint_raft_fetch *f)
{
	sqlite3_stmt *st = stmt(db, ST_GET);
	u32 bytes = 0;
	int rc = SQLITE_DONE;

	f->nr = 0;
	f->err = 0;
	sqlite3_bind_int64(st, 1, f->from);
	sqlite3_bind_int64(st, 2, f->to);
	while (f->nr < FLINT_RAFT_FETCH_MAX && (!f->nr || bytes < f->max_bytes) &&
	       (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct flint_raft_ent *e = entry_row(st, &f->err);

		if (!e)
			break;
		f->ents[f->nr++] = e;
		bytes += e->len;
	}
	sqlite3_reset(st);
	if (!f->err && rc != SQLITE_ROW && rc != SQLITE_DONE)
		f->err = sql_errno(rc);
	if (f->err && f->err != -ENOMEM && !db->dead)
		fail(db, f->err);
}

/* ---- the thread: queues -------------------------------------------------------------- */

static void on_done(struct flint_task *t)
{
	struct flint_raft_db *db = (struct flint_raft_db *)
		((char *)t - offsetof(struct flint_raft_db, task));
	struct flint_raft_fetch *f, *f_next;
	struct flint_raft_job *j, *j_next;
	bool failed;

	pthread_mutex_lock(&db->lock);
	db->posted = false;
	j = db->done;
	db->done = NULL;
	db->done_tail = &db->done;
	f = db->fetched;
	db->fetched = NULL;
	db->fetched_tail = &db->fetched;
	failed = db->failed;
	pthread_mutex_unlock(&db->lock);
	if (failed && !db->told) {
		db->told = true;
		db->fatal(db->arg, db->why);
	}
	for (; j; j = j_next) {
		j_next = j->next;
		j->done(j, j->err);
	}
	for (; f; f = f_next) {
		f_next = f->next;
		f->done(f, f->err);
	}
}

/* Lock held. */
static bool post(struct flint_raft_db *db)
{
	bool first = !db->posted;

	db->posted = true;
	return first;
}

static u64 job_bytes(const struct flint_raft_job *j)
{
	u64 n = 0;
	u32 i;

	for (i = 0; i < j->nr; i++)
		n += j->ents[i]->len;
	return n;
}

/* Lock held: what makes up the next transaction. */
static struct flint_raft_job *take_jobs(struct flint_raft_db *db)
{
	struct flint_raft_job *list = db->jobs, *j;
	u64 bytes = 0;

	for (j = list; j && (bytes += job_bytes(j)) < TX_BYTES; )
		j = j->next;
	db->jobs = j ? j->next : NULL;
	if (j)
		j->next = NULL;
	if (!db->jobs)
		db->jobs_tail = &db->jobs;
	return list;
}

/* One round; lock held at entry and exit. */
static void round_of_work(struct flint_raft_db *db)
{
	struct flint_raft_job *list = take_jobs(db), *last;
	struct flint_raft_fetch *f = db->fetches;
	bool wake;

	if (f) {
		db->fetches = f->next;
		if (!db->fetches)
			db->fetches_tail = &db->fetches;
		f->next = NULL;
	}
	pthread_mutex_unlock(&db->lock);
	if (list)
		run_jobs(db, list);
	if (f)
		run_fetch(db, f);
	pthread_mutex_lock(&db->lock);
	if (list) {
		for (last = list; last->next; )
			last = last->next;
		*db->done_tail = list;
		db->done_tail = &last->next;
	}
	if (f) {
		*db->fetched_tail = f;
		db->fetched_tail = &f->next;
	}
	wake = post(db);
	pthread_mutex_unlock(&db->lock);
	if (wake)
		flint_loop_post(db->loop, &db->task);
	if (!db->dead && db->wal_pages >= db->wal_limit)
		checkpoint(db);
	pthread_mutex_lock(&db->lock);
}

/* Nothing to do: remove what lies before the base. Lock held at entry and exit. */
static bool idle_work(struct flint_raft_db *db)
{
	u64 us;
	int err;

	if (db->dead || db->lowest > db->base)
		return false;
	pthread_mutex_unlock(&db->lock);
	err = transaction(db, NULL, &us);
	if (err)
		fail(db, err);
	pthread_mutex_lock(&db->lock);
	if (db->failed && post(db))
		flint_loop_post(db->loop, &db->task);
	return true;
}

static void *db_thread(void *arg)
{
	struct flint_raft_db *db = arg;

	flint_thread_prompt();
	pthread_mutex_lock(&db->lock);
	while (!db->stop || db->jobs || db->fetches) {
		if (db->jobs || db->fetches)
			round_of_work(db);
		else if (!idle_work(db))
			pthread_cond_wait(&db->wake, &db->lock);
	}
	pthread_mutex_unlock(&db->lock);
	return NULL;
}

/* ---- the loop's side ------------------------------------------------------------------- */

int flint_raft_db_start(struct flint_raft_db *db, struct flint_loop *loop,
			void (*fatal)(void *arg, const char *why), void *arg)
{
	int err;

	db->stats.file_bytes = file_bytes(db);
	db->loop = loop;
	db->fatal = fatal;
	db->arg = arg;
	db->task.fn = on_done;
	pthread_cond_init(&db->wake, NULL);
	err = pthread_create(&db->thread, NULL, db_thread, db);
	if (err)
		return -err;
	pthread_setname_np(db->thread, "raft-db");
	db->running = true;
	return 0;
}

static void drain(void *arg)
{
	on_done(&((struct flint_raft_db *)arg)->task);
}

void flint_raft_db_close(struct flint_raft_db *db)
{
	int i;

	if (!db)
		return;
	if (db->running) {
		pthread_mutex_lock(&db->lock);
		db->stop = true;
		pthread_cond_signal(&db->wake);
		pthread_mutex_unlock(&db->lock);
		pthread_join(db->thread, NULL);
		pthread_cond_destroy(&db->wake);
		/* The task may still wait in the loop: it must not find us gone. */
		flint_loop_sync(db->loop, drain, db);
	}
	for (i = 0; i < ST_NR; i++)
		sqlite3_finalize(db->stmt[i]);
	sqlite3_close(db->db);
	pthread_mutex_destroy(&db->lock);
	free(db);
}

/* Signalled without the lock: who is woken with it held wakes for nothing, twice. */
void flint_raft_db_write(struct flint_raft_db *db, struct flint_raft_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&db->lock);
	*db->jobs_tail = job;
	db->jobs_tail = &job->next;
	pthread_mutex_unlock(&db->lock);
	pthread_cond_signal(&db->wake);
}

void flint_raft_db_fetch(struct flint_raft_db *db, struct flint_raft_fetch *f)
{
	f->next = NULL;
	pthread_mutex_lock(&db->lock);
	*db->fetches_tail = f;
	db->fetches_tail = &f->next;
	pthread_mutex_unlock(&db->lock);
	pthread_cond_signal(&db->wake);
}

void flint_raft_db_stats(struct flint_raft_db *db, struct flint_raft_db_stats *st)
{
	pthread_mutex_lock(&db->lock);
	*st = db->stats;
	pthread_mutex_unlock(&db->lock);
}

int flint_raft_db_write_now(struct flint_raft_db *db, struct flint_raft_job *job, char *err,
			    size_t errlen)
{
	u64 us;
	int ret;

	job->next = NULL;
	ret = transaction(db, job, &us);
	return ret ? open_fail(db, ret, err, errlen) : 0;
}
