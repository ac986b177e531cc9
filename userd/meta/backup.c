// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files that hold a whole state: backups in their folder, and taking one as
 * the state.
 *
 * A file gets its name when it is whole and on stable storage. A state is
 * replaced by rename(2), after the old one's WAL is gone: a WAL beside a file
 * that it is not of would be applied to it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "backup.h"

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

/* ---- the folder ------------------------------------------------------------------ */

void meta_backup_name(char *name, u64 index)
{
	time_t now = time(NULL);
	struct tm tm;
	char when[32];

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(name, FLINT_LABEL_LEN, META_BACKUP_PREFIX "%s-%llu" META_BACKUP_SUFFIX, when,
		 (unsigned long long)index);
}

bool meta_backup_name_ok(const char *name)
{
	size_t n = strlen(name);

	return n && n < FLINT_LABEL_LEN - sizeof(META_BACKUP_PART) && name[0] != '.' &&
	       !strchr(name, '/') && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					    "0123456789-_.") == n;
}

static bool ends_with(const char *name, const char *tail)
{
	size_t n = strlen(name), t = strlen(tail);

	return n > t && !strcmp(name + n - t, tail);
}

/* Made by the schedule or without a name: 1 with its index. */
static bool own_name(const char *name, u64 *index)
{
	char when[32], end[8];
	unsigned long long at;

	*index = 0;
	if (sscanf(name, META_BACKUP_PREFIX "%31[0-9TZ]-%llu%7s", when, &at, end) != 3 ||
	    strcmp(end, META_BACKUP_SUFFIX))
		return false;
	*index = at;
	return true;
}

static int by_age(const void *a, const void *b)
{
	const struct meta_backup_info *x = a, *y = b;

	if (x->mtime_ns != y->mtime_ns)
		return x->mtime_ns < y->mtime_ns ? -1 : 1;
	return strcmp(x->name, y->name);
}

int meta_backup_list(const char *dir, struct meta_backup_info **list)
{
	DIR *d = opendir(dir);
	struct meta_backup_info *l;
	struct dirent *e;
	struct stat st;
	int nr = 0;

	*list = NULL;
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		if (!ends_with(e->d_name, META_BACKUP_SUFFIX) || !meta_backup_name_ok(e->d_name) ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
			continue;
		l = realloc(*list, (nr + 1) * sizeof(*l));
		if (!l) {
			free(*list);
			closedir(d);
			return -ENOMEM;
		}
		*list = l;
		memset(&l[nr], 0, sizeof(l[nr]));
		snprintf(l[nr].name, sizeof(l[nr].name), "%.*s", (int)sizeof(l[nr].name) - 1,
			 e->d_name);
		l[nr].size = st.st_size;
		l[nr].mtime_ns = st.st_mtim.tv_sec * 1000000000ull + st.st_mtim.tv_nsec;
		own_name(e->d_name, &l[nr].index);
		nr++;
	}
	closedir(d);
	if (nr)
		qsort(*list, nr, sizeof(**list), by_age);
	return nr;
}

static int remove_in(const char *dir, const char *name)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return unlink(path) ? -errno : 0;
}

int meta_backup_prune(const char *dir, unsigned int keep)
{
	struct meta_backup_info *list;
	unsigned int own = 0, gone = 0;
	int nr = meta_backup_list(dir, &list), i;
	u64 index;

	for (i = 0; i < nr; i++)
		own += own_name(list[i].name, &index);
	for (i = 0; i < nr && own > keep; i++) {
		if (!own_name(list[i].name, &index))
			continue;
		own--;
		gone += !remove_in(dir, list[i].name);
	}
	free(list);
	return nr < 0 ? nr : (int)gone;
}

void meta_backup_clean(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (ends_with(e->d_name, META_BACKUP_PART) ||
		    ends_with(e->d_name, META_BACKUP_PART "-journal"))
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

int meta_backup_finish(const char *dir, const char *name)
{
	char from[1024], to[1024];

	snprintf(from, sizeof(from), "%s/%s" META_BACKUP_PART, dir, name);
	snprintf(to, sizeof(to), "%s/%s", dir, name);
	if (rename(from, to))
		return -errno;
	return sync_dir(dir);
}

/* ---- taking one as the state -------------------------------------------------------- */

static bool exists(const char *dir, const char *name)
{
	char path[1024];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return !lstat(path, &st);
}

/* The manifest goes; what it said is in the sentence. */
static int manifest_take(const char *path, char *say, size_t len)
{
	struct meta_db d;
	sqlite3_stmt *st = NULL;
	int err = meta_db_open(&d, path, true);

	if (!err && sqlite3_prepare_v2(d.db, "SELECT (SELECT value FROM manifest WHERE name='node'),"
				       " strftime('%Y-%m-%d %H:%M:%S', (SELECT value FROM manifest"
				       " WHERE name='created') / 1000000000, 'unixepoch'),"
				       " (SELECT value FROM manifest WHERE name='index'),"
				       " (SELECT value FROM manifest WHERE name='files')", -1, &st, NULL))
		err = -EUCLEAN;
	if (!err && meta_step(&d, st) != 1)
		err = -EUCLEAN;
	if (err)
		snprintf(say, len, "%s is no backup that flint-metad made (%s)", path,
			 d.db ? sqlite3_errmsg(d.db) : "out of memory");
	else
		snprintf(say, len, "the state of %s UTC as %s had it: %lld files, log position %lld",
			 (const char *)sqlite3_column_text(st, 1),
			 (const char *)sqlite3_column_text(st, 0),
			 (long long)sqlite3_column_int64(st, 3),
			 (long long)sqlite3_column_int64(st, 2));
	sqlite3_finalize(st);
	if (!err) {
		/* Not of a group any more: the log begins anew after it. */
		err = meta_db_exec(&d, "DROP TABLE manifest; UPDATE state SET log_index=0, log_term=0");
		if (err)
			snprintf(say, len, "%s: %s", path, d.err);
	}
	meta_db_close(&d);
	return err;
}

/* A plain copy of a file that nobody writes to. */
static int copy_file(const char *from, const char *to, char *say, size_t len)
{
	static const size_t step = 1 << 20;
	int in = open(from, O_RDONLY | O_CLOEXEC), out, err = 0;
	ssize_t n = 0;
	char *buf;

	if (in < 0) {
		snprintf(say, len, "%s cannot be read (%s)", from, strerror(errno));
		return -errno;
	}
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	buf = out < 0 ? NULL : malloc(step);
	while (buf && !err && (n = read(in, buf, step)) > 0) {
		ssize_t at = 0, w;

		for (; at < n && !err; at += w) {
			w = write(out, buf + at, n - at);
			if (w < 0)
				err = -errno;
		}
	}
	if (!err && (!buf || n < 0 || fsync(out)))
		err = errno ? -errno : -EIO;
	if (err)
		snprintf(say, len, "%s cannot be written (%s)", to, strerror(-err));
	free(buf);
	close(in);
	if (out >= 0)
		close(out);
	return err;
}

int meta_backup_restore(const char *file, const char *dir, char *say, size_t len)
{
	static const char *const taken[] = { META_STORE_FILE, META_STORE_FILE "-wal", "raft.db" };
	struct meta_work w = { .kind = META_W_ADMIT };
	char path[1024], to[1024];
	size_t i;
	int err;

	for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (exists(dir, taken[i])) {
			snprintf(say, len, "%s holds %s already: a backup is restored into an empty"
				 " state directory; move the old one away first", dir, taken[i]);
			return -EEXIST;
		}
	snprintf(path, sizeof(path), "%s/restore" META_BACKUP_PART, dir);
	snprintf(to, sizeof(to), "%s/" META_STORE_FILE, dir);
	err = copy_file(file, path, say, len);
	if (!err) {
		snprintf(w.src, sizeof(w.src), "%.511s", path);
		err = meta_work_run(&w);
		if (err)
			snprintf(say, len, "%.400s", w.why);
	}
	if (!err)
		err = manifest_take(path, say, len);
	if (!err && (rename(path, to) || sync_dir(dir))) {
		err = -errno;
		snprintf(say, len, "%s cannot be written (%s)", to, strerror(errno));
	}
	if (err)
		unlink(path);
	return err;
}

/* The closed state's WAL is empty, or is moved into the file now. */
static int wal_gone(const char *path, char *err, size_t errlen)
{
	char wal[600], shm[600];
	struct meta_db d;
	struct stat st;
	int ret;

	snprintf(wal, sizeof(wal), "%s-wal", path);
	snprintf(shm, sizeof(shm), "%s-shm", path);
	if (!stat(wal, &st) && st.st_size) {
		ret = meta_db_open(&d, path, true);
		if (!ret)
			ret = meta_db_exec(&d, "PRAGMA wal_checkpoint(TRUNCATE)");
		if (ret)
			snprintf(err, errlen, "%s: %s", path, d.err);
		meta_db_close(&d);
		if (ret)
			return ret;
		if (!stat(wal, &st) && st.st_size) {
			snprintf(err, errlen, "%s is in use by another process: end that", path);
			return -EBUSY;
		}
	}
	unlink(wal);
	unlink(shm);
	return 0;
}

int meta_store_replace(struct meta_store *s, const char *path, char *err, size_t errlen)
{
	struct meta_store_config cfg = s->cfg;
	char to[sizeof(s->path)], dir[512];
	int ret;

	snprintf(to, sizeof(to), "%s", s->path);
	snprintf(dir, sizeof(dir), "%s", cfg.dir);
	meta_store_close(s);
	ret = wal_gone(to, err, errlen);
	if (!ret && (rename(path, to) || sync_dir(dir))) {
		ret = -errno;
		snprintf(err, errlen, "%s cannot become %s (%s)", path, to, strerror(errno));
	}
	cfg.checked = true;	/* its checksum, of every row */
	return ret ? ret : meta_store_open(s, &cfg, err, errlen);
}
