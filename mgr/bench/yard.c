// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Yardsticks, measured on the same disk in the same run:
 *  - what one durable 4 KiB overwrite costs (fdatasync), the price that every
 *    acknowledgement pays at least once;
 *  - files made and fsync()ed on the local file system by as many threads as
 *    there are requests in flight: its journal groups their commits as ours does;
 *  - the same two rows written into SQLite directly, by one durable transaction
 *    for each round of requests in flight, and read back: what the data base
 *    under the metadata server does with no server around it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define FSYNC_FILE	(4u << 20)
#define THREADS_MAX	256

static int fail(char *err, size_t errlen, const char *what, const char *path)
{
	int ret = errno ? -errno : -EIO;

	snprintf(err, errlen, "%s %s: %s", what, path, strerror(-ret));
	return ret;
}

/* ---- fsync ------------------------------------------------------------ */

int bench_yard_fsync(const char *dir, unsigned int ms, struct bench_hist *lat,
		     char *err, size_t errlen)
{
	uint64_t now = flint_now_ns(), until = now + ms * 1000000ull, then;
	static char page[4096];
	char path[PATH_MAX + 16];
	unsigned int i;
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/fsync.tmp", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(err, errlen, "make", path);
	memset(page, 'x', sizeof(page));
	for (i = 0; i < FSYNC_FILE && !ret; i += sizeof(page))
		if (pwrite(fd, page, sizeof(page), i) != sizeof(page))
			ret = fail(err, errlen, "write", path);
	if (!ret && fsync(fd))
		ret = fail(err, errlen, "fsync", path);
	for (i = 0, now = flint_now_ns(); !ret && now < until; i += sizeof(page)) {
		then = now;
		if (pwrite(fd, page, sizeof(page), i % FSYNC_FILE) != sizeof(page) || fdatasync(fd))
			ret = fail(err, errlen, "fdatasync", path);
		now = flint_now_ns();
		bench_hist_add(lat, now - then);
	}
	close(fd);
	unlink(path);
	return ret;
}

/* ---- files ------------------------------------------------------------ */

struct files {
	const char *dir;
	uint64_t count;
	_Atomic uint64_t next;
	_Atomic int err;
};

static void *files_thread(void *arg)
{
	struct files *f = arg;
	char path[PATH_MAX];
	uint64_t i;
	int fd;

	while ((i = f->next++) < f->count && !f->err) {
		snprintf(path, sizeof(path), "%s/file-%08llu.dat", f->dir, (unsigned long long)i);
		fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0 || fsync(fd))
			f->err = errno;
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

int bench_yard_files(const char *dir, unsigned int threads, uint64_t count, double *rate,
		     char *err, size_t errlen)
{
	char path[PATH_MAX + 16];
	struct files f = { .dir = path, .count = count };
	pthread_t th[THREADS_MAX];
	unsigned int i, n = 0;
	uint64_t start;

	snprintf(path, sizeof(path), "%s/files.tmp", dir);
	bench_remove(path);
	if (mkdir(path, 0700))
		return fail(err, errlen, "make", path);
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	start = flint_now_ns();
	for (i = 0; i < threads; i++)
		n += !pthread_create(&th[n], NULL, files_thread, &f);
	for (i = 0; i < n; i++)
		pthread_join(th[i], NULL);
	*rate = (double)count * 1e9 / (double)(flint_now_ns() - start);
	bench_remove(path);
	errno = n ? f.err : EAGAIN;
	return errno ? fail(err, errlen, "files in", path) : 0;
}

/* ---- SQLite ----------------------------------------------------------- */

#define SQL_SETUP \
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA locking_mode=EXCLUSIVE;" \
	"CREATE TABLE dentry(parent INTEGER, name BLOB, ino INTEGER, type INTEGER," \
	" PRIMARY KEY(parent, name)) STRICT, WITHOUT ROWID;" \
	"CREATE TABLE inode(ino INTEGER PRIMARY KEY, mode INTEGER, uid INTEGER, gid INTEGER," \
	" nlink INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER) STRICT;"

struct yard_db {
	sqlite3 *db;
	sqlite3_stmt *dentry, *inode, *lookup;
};

static int db_open(struct yard_db *y, const char *path)
{
	int rc = sqlite3_open(path, &y->db);

	if (!rc)
		rc = sqlite3_exec(y->db, SQL_SETUP, NULL, NULL, NULL);
	if (!rc)
		rc = sqlite3_prepare_v2(y->db, "INSERT INTO dentry VALUES(1, ?1, ?2, 8)", -1,
					&y->dentry, NULL);
	if (!rc)
		rc = sqlite3_prepare_v2(y->db, "INSERT INTO inode VALUES(?1, 33188, 0, 0, 1, 0,"
					" ?2, ?2)", -1, &y->inode, NULL);
	if (!rc)
		rc = sqlite3_prepare_v2(y->db, "SELECT i.* FROM dentry d JOIN inode i ON"
					" i.ino=d.ino WHERE d.parent=1 AND d.name=?1", -1,
					&y->lookup, NULL);
	return rc;
}

static void db_close(struct yard_db *y)
{
	sqlite3_finalize(y->dentry);
	sqlite3_finalize(y->inode);
	sqlite3_finalize(y->lookup);
	sqlite3_close(y->db);
}

static int db_create(struct yard_db *y, uint64_t i)
{
	char name[32];
	int len = snprintf(name, sizeof(name), "file-%08llu.dat", (unsigned long long)i);
	int rc;

	sqlite3_bind_blob(y->dentry, 1, name, len, SQLITE_STATIC);
	sqlite3_bind_int64(y->dentry, 2, (sqlite3_int64)i + 2);
	rc = sqlite3_step(y->dentry);
	sqlite3_reset(y->dentry);
	if (rc != SQLITE_DONE)
		return rc;
	sqlite3_bind_int64(y->inode, 1, (sqlite3_int64)i + 2);
	sqlite3_bind_int64(y->inode, 2, (sqlite3_int64)flint_now_ns());
	rc = sqlite3_step(y->inode);
	sqlite3_reset(y->inode);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int db_lookup(struct yard_db *y, uint64_t i)
{
	char name[32];
	int len = snprintf(name, sizeof(name), "file-%08llu.dat", (unsigned long long)i);
	int rc;

	sqlite3_bind_blob(y->lookup, 1, name, len, SQLITE_STATIC);
	rc = sqlite3_step(y->lookup);
	sqlite3_reset(y->lookup);
	return rc == SQLITE_ROW ? SQLITE_OK : SQLITE_NOTFOUND;
}

static int db_run(struct yard_db *y, unsigned int batch, uint64_t count, double *creates,
		  double *lookups)
{
	uint64_t i, start = flint_now_ns(), random = 88172645463325252ull;
	int rc = SQLITE_OK;

	for (i = 0; i < count && !rc; i++) {
		if (i % batch == 0)
			rc = sqlite3_exec(y->db, "BEGIN", NULL, NULL, NULL);
		if (!rc)
			rc = db_create(y, i);
		if (!rc && (i % batch == batch - 1 || i == count - 1))
			rc = sqlite3_exec(y->db, "COMMIT", NULL, NULL, NULL);
	}
	*creates = (double)count * 1e9 / (double)(flint_now_ns() - start);
	start = flint_now_ns();
	for (i = 0; i < count && !rc; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		rc = db_lookup(y, random % count);
	}
	*lookups = (double)count * 1e9 / (double)(flint_now_ns() - start);
	return rc;
}

int bench_yard_sqlite(const char *dir, unsigned int batch, uint64_t count, double *creates,
		      double *lookups, char *err, size_t errlen)
{
	static const char * const ends[] = { "", "-wal", "-shm", "-journal" };
	struct yard_db y = { 0 };
	char path[PATH_MAX + 32], end[PATH_MAX + 64];
	size_t i;
	int rc;

	snprintf(path, sizeof(path), "%s/sqlite.tmp", dir);
	for (i = 0; i < 4; i++) {
		snprintf(end, sizeof(end), "%s%s", path, ends[i]);
		unlink(end);
	}
	rc = db_open(&y, path);
	if (!rc)
		rc = db_run(&y, batch, count, creates, lookups);
	if (rc)
		snprintf(err, errlen, "SQLite in %s: %s", path, sqlite3_errmsg(y.db));
	db_close(&y);
	for (i = 0; i < 4; i++) {
		snprintf(end, sizeof(end), "%s%s", path, ends[i]);
		unlink(end);
	}
	return rc ? -EIO : 0;
}
