// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copies and checks of the database, off the owner's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "schema.h"
#include "store.h"
#include "work.h"

#define COPY_PAGES	256	/* 1 MiB between looks at the clock */
#define SLEEP_NS	20000000ull

static u64 clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static int fail(struct meta_work *w, int err, const char *path, const char *why)
{
	if (err == -ENOSPC)
		snprintf(w->why, sizeof(w->why), "no space left for %.300s: free space on its file"
			 " system", path);
	else
		snprintf(w->why, sizeof(w->why), "%.300s: %.200s", path, why);
	return err;
}

static bool progress(void *arg, const char *what, u64 done, u64 total)
{
	struct meta_work *w = arg;

	atomic_store(&w->what, what);
	atomic_store(&w->step, done);
	atomic_store(&w->steps, total);
	return !atomic_load(&w->cancel);
}

/* ---- copy ------------------------------------------------------------------------ */

/* Sleep so that @bytes since @t0 are no faster than asked; not on when it is not wanted any more. */
static void pace(const struct meta_work *w, u64 bytes, u64 t0)
{
	u64 due, now;

	if (!w->rate)
		return;
	due = t0 + bytes * 1000 / w->rate * 1000000;
	while (!atomic_load(&w->cancel) && (now = clock_ns(CLOCK_MONOTONIC)) < due) {
		struct timespec ts = { .tv_nsec = due - now < SLEEP_NS ? due - now : SLEEP_NS };

		nanosleep(&ts, NULL);
	}
}

static int copy_pages(struct meta_work *w, struct meta_db *src, sqlite3 *dst)
{
	sqlite3_backup *b = sqlite3_backup_init(dst, "main", src->db, "main");
	u64 t0 = clock_ns(CLOCK_MONOTONIC), bytes = 0, total;
	int rc, ret;

	if (!b)
		return fail(w, -EIO, w->dst, sqlite3_errmsg(dst));
	do {
		rc = sqlite3_backup_step(b, COPY_PAGES);
		total = sqlite3_backup_pagecount(b);
		bytes += COPY_PAGES * 4096ull;
		if (!progress(w, "copy", total - sqlite3_backup_remaining(b), total))
			rc = SQLITE_INTERRUPT;
		else if (rc == SQLITE_OK)
			pace(w, bytes, t0);
	} while (rc == SQLITE_OK);
	ret = sqlite3_backup_finish(b);
	if (rc == SQLITE_DONE && !ret)
		return 0;
	if (rc == SQLITE_INTERRUPT)
		return fail(w, -ECANCELED, w->dst, "interrupted");
	if ((rc & 0xff) == SQLITE_FULL)
		return fail(w, -ENOSPC, w->dst, "");
	return fail(w, (rc & 0xff) == SQLITE_CORRUPT ? -EUCLEAN : -EIO,
		    (rc & 0xff) == SQLITE_CORRUPT ? w->src : w->dst, sqlite3_errstr(rc));
}

static int manifest_write(struct meta_work *w, sqlite3 *db, const struct meta_manifest *m)
{
	char *sql = sqlite3_mprintf(
		"CREATE TABLE manifest(name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;"
		"INSERT INTO manifest VALUES('format', 1), ('group', %lld), ('node', %Q),"
		" ('created', %lld), ('index', %lld), ('term', %lld), ('schema', %lld),"
		" ('checksum', '%016llx'), ('files', %lld)", (long long)m->group, m->node,
		(long long)m->created, (long long)m->index, (long long)m->term,
		(long long)m->schema, m->checksum, (long long)m->files);
	int rc = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return rc ? fail(w, (rc & 0xff) == SQLITE_FULL ? -ENOSPC : -EIO, w->dst,
			 sqlite3_errmsg(db)) : 0;
}

/* What the copy holds. */
static int copy_state(struct meta_work *w, struct meta_db *src)
{
	struct meta_db_state st = { 0 };
	struct meta_counters c;
	s64 files = 0;
	int err = meta_db_state_get(src, &st);

	if (err)
		return fail(w, err < 0 ? err : -EUCLEAN, w->src, src->err);
	c = (struct meta_counters){ st.applied, st.last_ts, st.next_ino, st.next_session,
				    st.next_handle };
	w->verdict.index = st.index;
	w->verdict.term = st.term;
	w->verdict.checksum = meta_state_sum(st.sum, &c);
	if (!w->manifest)
		return 0;
	err = meta_db_int(src, "SELECT coalesce(sum(files), 0) FROM fs", &files);
	if (err)
		return fail(w, err, w->src, src->err);
	w->manifest->created = clock_ns(CLOCK_REALTIME);
	w->manifest->index = st.index;
	w->manifest->term = st.term;
	w->manifest->schema = META_SCHEMA_VERSION;
	w->manifest->checksum = w->verdict.checksum;
	w->manifest->files = files;
	return 0;
}

static int sync_path(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags), err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

static int copy(struct meta_work *w)
{
	struct meta_db src;
	sqlite3 *dst = NULL;
	struct stat st;
	int fd, err;

	/* Private from the first byte. */
	fd = open(w->dst, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(w, -errno, w->dst, strerror(errno));
	close(fd);
	err = meta_db_open(&src, w->src, false);
	if (!err)
		err = meta_db_exec(&src, "BEGIN");
	if (err)
		fail(w, err, w->src, src.err);
	else
		err = copy_state(w, &src);	/* the transaction begins with this read */
	if (!err && sqlite3_open_v2(w->dst, &dst, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL))
		err = fail(w, -EIO, w->dst, sqlite3_errmsg(dst));
	/* Until it is whole it has another name than what it is for, so nothing is journaled. */
	if (!err)
		sqlite3_exec(dst, "PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF", NULL, NULL,
			     NULL);
	if (!err)
		err = copy_pages(w, &src, dst);
	/* A file alone: without a WAL beside it. The state's writer makes it one again. */
	if (!err)
		sqlite3_exec(dst, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
	if (!err && w->manifest)
		err = manifest_write(w, dst, w->manifest);
	sqlite3_close(dst);
	meta_db_close(&src);
	if (!err) {
		err = sync_path(w->dst, 0);
		if (err)
			fail(w, err, w->dst, strerror(-err));
	}
	if (!err && !stat(w->dst, &st))
		w->size = st.st_size;
	if (err)
		unlink(w->dst);
	return err;
}

/* ---- checks ------------------------------------------------------------------------ */

static int verify(struct meta_work *w)
{
	int err = meta_verify(w->src, &w->verdict, progress, w);

	if (err)
		snprintf(w->why, sizeof(w->why), "%.500s", w->verdict.text);
	return err;
}

/*
 * Before it replaces the state: the rows must have the checksum that is with
 * them, at the index that the leader named.
 */
static int admit(struct meta_work *w)
{
	struct meta_db_state st = { 0 };
	struct meta_db d;
	s64 app = 0, version = 0;
	u64 sum = 0;
	int err;

	err = meta_db_open(&d, w->src, false);
	if (!err)
		err = meta_db_int(&d, "PRAGMA application_id", &app);
	if (!err)
		err = meta_db_int(&d, "PRAGMA user_version", &version);
	if (!err && app != META_APPLICATION_ID)
		err = fail(w, -EUCLEAN, w->src, "not a copy of metadata");
	else if (!err && version != META_SCHEMA_VERSION)
		err = fail(w, -EPROTONOSUPPORT, w->src, "a copy of another version's metadata: run the"
			   " same version on all replicas");
	else if (!err)
		err = meta_db_state_get(&d, &st);
	if (!err)
		err = meta_checksum_scan(&d, &sum, progress, w);
	if (err < 0 && !w->why[0])
		fail(w, err, w->src, err == -ECANCELED ? "interrupted" : d.err);
	meta_db_close(&d);
	if (err)
		return err < 0 ? err : fail(w, -EUCLEAN, w->src, "its checksum is missing");
	if (sum != st.sum)
		return fail(w, -EUCLEAN, w->src, "the rows do not have the checksum that is with them:"
			    " it is damaged");
	if (w->want_index && (st.index != w->want_index || st.term != w->want_term))
		return fail(w, -EUCLEAN, w->src, "not of the log position that was announced");
	w->verdict.index = st.index;
	w->verdict.term = st.term;
	return 0;
}

/* ---- the thread ----------------------------------------------------------------------- */

int meta_work_run(struct meta_work *w)
{
	switch (w->kind) {
	case META_W_COPY:
		w->err = copy(w);
		break;
	case META_W_VERIFY:
		w->err = verify(w);
		break;
	default:
		w->err = admit(w);
	}
	return w->err;
}

static void on_done(struct flint_task *t)
{
	struct meta_work *w = (struct meta_work *)((char *)t - offsetof(struct meta_work, task));

	w->done(w);
}

static void *work_thread(void *arg)
{
	struct meta_work *w = arg;

	meta_work_run(w);
	if (w->loop)
		flint_loop_post(w->loop, &w->task);
	return NULL;
}

int meta_work_start(struct meta_work *w)
{
	int err;

	w->task.fn = on_done;
	atomic_store(&w->what, "start");
	err = pthread_create(&w->thread, NULL, work_thread, w);
	if (err)
		return -err;
	pthread_setname_np(w->thread, "metad-work");
	return 0;
}

void meta_work_wait(struct meta_work *w)
{
	pthread_join(w->thread, NULL);
}
