// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint mgr backup, restore: copies of a manager's state.db. A backup is one
 * transaction's view of the database, made while the manager runs, and is complete
 * and synced before it has its name. What is restored founds a new group.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define CLI_MGR_STATE	"/var/lib/flintfs/mgr"
#define CLI_BUSY_MS	5000

static const char *mgr_state(struct cli *c)
{
	const char *dir = cli_opt(c, CLI_OPT_STATE);

	return dir ? dir : CLI_MGR_STATE;
}

static int take_number(void *arg, int n, char **value, char **column)
{
	(void)column;
	if (n == 1 && value[0])
		*(uint64_t *)arg = strtoull(value[0], NULL, 10);
	return 0;
}

/* A setting of the database: 0, or SQLite's error if there is none. */
static int setting(sqlite3 *db, const char *key, uint64_t *value)
{
	char sql[128];
	int rc;

	*value = UINT64_MAX;
	snprintf(sql, sizeof(sql), "SELECT value FROM settings WHERE key = '%s'", key);
	rc = sqlite3_exec(db, sql, take_number, value, NULL);
	return rc == SQLITE_OK && *value == UINT64_MAX ? SQLITE_NOTADB : rc;
}

/* All of the database @from becomes that of @to, which is new; @sql is done to it. */
static int copy(const char *from, const char *to, const char *sql, uint64_t *epoch,
		char *err, size_t errlen)
{
	sqlite3 *src = NULL, *dst = NULL;
	sqlite3_backup *b = NULL;
	int rc;

	rc = sqlite3_open_v2(from, &src, SQLITE_OPEN_READONLY, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(src, CLI_BUSY_MS);
		rc = sqlite3_open_v2(to, &dst, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	}
	if (rc == SQLITE_OK) {
		b = sqlite3_backup_init(dst, "main", src, "main");
		rc = b ? sqlite3_backup_step(b, -1) : SQLITE_ERROR;
		sqlite3_backup_finish(b);
		rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
	}
	if (rc == SQLITE_OK)
		rc = setting(dst, "epoch", epoch);
	/* One file is all there is of it. */
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(dst, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
	if (rc == SQLITE_OK && sql)
		rc = sqlite3_exec(dst, sql, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		snprintf(err, errlen, "%.400s is no manager's state.db nor a backup of one, or %.400s cannot be written (%s)",
			 from, to, sqlite3_errstr(rc));
	sqlite3_close(src);
	sqlite3_close(dst);
	return rc == SQLITE_OK ? 0 : -EIO;
}

/* The name of a file is on the disk, as its content is. */
static int sync_dir_of(const char *path)
{
	char dir[4200];
	char *slash;
	int fd, ret;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = 0;
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = fsync(fd) ? -errno : 0;
	close(fd);
	return ret;
}

/* Made under another name; takes its own when it is whole. */
static int copy_to(const char *from, const char *to, const char *sql, uint64_t *epoch)
{
	char tmp[4200], err[CLI_ERR_LEN];

	snprintf(tmp, sizeof(tmp), "%s.new", to);
	unlink(tmp);
	if (copy(from, tmp, sql, epoch, err, sizeof(err))) {
		unlink(tmp);
		return cli_fail("%s", err);
	}
	/* Never over a file that has come meanwhile. */
	if (link(tmp, to) || sync_dir_of(to)) {
		int e = errno;

		unlink(tmp);
		return cli_fail("cannot name %s (%s)", to, strerror(e));
	}
	unlink(tmp);
	return 0;
}

int cli_mgr_backup(struct cli *c)
{
	const char *to = c->words[0];
	uint64_t epoch = 0;
	char db[4096];
	mode_t mask;
	int ret;

	snprintf(db, sizeof(db), "%s/state.db", mgr_state(c));
	if (!access(to, F_OK))
		return cli_fail("%s exists: name a file that does not", to);
	if (access(db, R_OK))
		return cli_fail("cannot read %s (%s): run this on the machine of a manager, or name its state directory with --state",
				db, strerror(errno));
	mask = umask(077);	/* it holds tokens' secrets */
	ret = copy_to(db, to, NULL, &epoch);
	umask(mask);
	if (ret)
		return ret;
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"backup\": true, \"epoch\": %" PRIu64 "}\n", epoch);
	else
		printf("%s: the managers' state as of map epoch %" PRIu64 "\n", to, epoch);
	return 0;
}

/*
 * The copy founds a new group of managers: it has applied nothing of its log.
 * Everybody who knows a newer map must take the restored one all the same. So with
 * chains: a server remembers of which version it was up to date, and a version
 * that is used twice would make it believe that it still is.
 */
int cli_mgr_restore(struct cli *c)
{
	const char *state = mgr_state(c);
	char what[8600], db[4096];
	uint64_t epoch = 0;
	int ret;

	snprintf(db, sizeof(db), "%s/state.db", state);
	if (!access(db, F_OK))
		return cli_fail("%s exists: a backup is restored into an empty state directory, move the old one away",
				db);
	if (access(c->words[0], R_OK))
		return cli_fail("cannot read %s (%s)", c->words[0], strerror(errno));
	snprintf(what, sizeof(what),
		 "The backup %s of the managers' state becomes the state in %s, of a manager that founds a new group. All other managers must be stopped and emptied; they join again afterwards. Targets' states become those of the backup: if chains have changed since and all their chunk servers were started anew, a target may serve that lacks what was written meanwhile.",
		 c->words[0], state);
	ret = cli_confirm(c, what);
	if (ret)
		return ret == 1;
	mkdir(state, 0700);
	ret = copy_to(c->words[0], db,
		      "UPDATE settings SET value = 0 WHERE key IN ('applied', 'applied_term');"
		      "UPDATE settings SET value = value + 1000000 WHERE key = 'epoch';"
		      "UPDATE chains SET version = version + 1000000", &epoch);
	if (ret)
		return ret;
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"restored\": true}\n");
	else
		printf("restored: start flint-mgrd on %s now, without --join; then start the others, emptied, with it\n",
		       state);
	return 0;
}
