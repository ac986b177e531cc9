// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * state.db: the managers' state on disk, a mirror of what was applied.
 *
 * What makes a change durable is the log (raft.db). This database follows it,
 * one transaction for each entry, which also holds the entry's index: after a
 * crash the log is applied again from there. A transaction is atomic at once
 * and on stable storage after mgr_db_sync(); only then may the log be trimmed.
 *
 * Schema 1 was that of a manager without a log, schema 2 knew neither processes
 * nor history; they are brought up to date when opened, in one transaction.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state.h"

#define MGR_APPLICATION_ID	0x464c4d47	/* "FLMG", in the database's header */
#define MGR_SCHEMA_VERSION	3

#define MGR_SQL_EVENTS \
	"CREATE TABLE events(seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL," \
	"  epoch INTEGER NOT NULL, chain INTEGER NOT NULL, version INTEGER NOT NULL," \
	"  target INTEGER NOT NULL, node INTEGER NOT NULL, kind INTEGER NOT NULL," \
	"  from_state INTEGER NOT NULL, to_state INTEGER NOT NULL, reason INTEGER NOT NULL);"

#define MGR_SQL_JOBS \
	"CREATE TABLE jobs(id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, state INTEGER NOT NULL," \
	"  subject INTEGER NOT NULL, arg INTEGER NOT NULL, parallel INTEGER NOT NULL," \
	"  done INTEGER NOT NULL, remain INTEGER NOT NULL, bytes INTEGER NOT NULL," \
	"  began_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL, why TEXT NOT NULL," \
	"  nr_moves INTEGER NOT NULL, moves BLOB NOT NULL);"

static const char mgr_schema[] =
	"CREATE TABLE settings(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE nodes(id INTEGER PRIMARY KEY, role INTEGER NOT NULL, name TEXT NOT NULL,"
	"  state INTEGER NOT NULL, addrs BLOB NOT NULL, http_port INTEGER NOT NULL DEFAULT 0,"
	"  draining INTEGER NOT NULL DEFAULT 0, host TEXT NOT NULL DEFAULT '',"
	"  rack TEXT NOT NULL DEFAULT '', UNIQUE(role, name));"
	"CREATE TABLE targets(id INTEGER PRIMARY KEY, uuid BLOB NOT NULL,"
	"  node INTEGER NOT NULL REFERENCES nodes(id), chain INTEGER NOT NULL,"
	"  state INTEGER NOT NULL, local INTEGER NOT NULL,"
	"  capacity INTEGER NOT NULL, used INTEGER NOT NULL,"
	"  incarnation INTEGER NOT NULL DEFAULT 0, state_ver INTEGER NOT NULL DEFAULT 0,"
	"  wish INTEGER NOT NULL DEFAULT 0, draining INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE chains(id INTEGER PRIMARY KEY, version INTEGER NOT NULL);"
	"CREATE TABLE chain_targets(chain INTEGER NOT NULL REFERENCES chains(id),"
	"  pos INTEGER NOT NULL, target INTEGER NOT NULL REFERENCES targets(id),"
	"  PRIMARY KEY(chain, pos)) WITHOUT ROWID;"
	"CREATE TABLE tables(id INTEGER NOT NULL, version INTEGER NOT NULL,"
	"  PRIMARY KEY(id, version)) WITHOUT ROWID;"
	"CREATE TABLE table_chains(id INTEGER NOT NULL, version INTEGER NOT NULL,"
	"  pos INTEGER NOT NULL, chain INTEGER NOT NULL REFERENCES chains(id),"
	"  PRIMARY KEY(id, version, pos)) WITHOUT ROWID;"
	"CREATE TABLE fs(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	"  meta_node INTEGER NOT NULL REFERENCES nodes(id), root_ino INTEGER NOT NULL,"
	"  layout BLOB NOT NULL);"
	"CREATE TABLE tokens(id INTEGER PRIMARY KEY, revoked INTEGER NOT NULL,"
	"  note TEXT NOT NULL, claims BLOB NOT NULL);"
	MGR_SQL_EVENTS MGR_SQL_JOBS;

/* ---- statements ------------------------------------------------------- */

/*
 * Run one statement. @fmt names the types of the values bound in order: 'i'
 * u64, 's' string, 'b' blob (pointer, int length). For rows, @row is called
 * with each; it returns 0 or -errno.
 * Return: an SQLite result code; SQLITE_DONE is success.
 */
static int mgr_sql(struct mgr_db *d, int (*row)(struct mgr_state *, sqlite3_stmt *),
		   struct mgr_state *st,
		   const char *sql, const char *fmt, ...)
{
	sqlite3_stmt *s = NULL;
	const void *blob;
	va_list ap;
	int rc, i;

	rc = sqlite3_prepare_v2(d->db, sql, -1, &s, NULL);
	if (rc != SQLITE_OK)
		return rc;
	va_start(ap, fmt);
	for (i = 1; *fmt && rc == SQLITE_OK; fmt++, i++) {
		switch (*fmt) {
		case 'i':
			rc = sqlite3_bind_int64(s, i, (sqlite3_int64)va_arg(ap, u64));
			break;
		case 's':
			rc = sqlite3_bind_text(s, i, va_arg(ap, const char *), -1,
					       SQLITE_TRANSIENT);
			break;
		default:
			blob = va_arg(ap, const void *);
			rc = sqlite3_bind_blob(s, i, blob, va_arg(ap, int), SQLITE_TRANSIENT);
		}
	}
	va_end(ap);
	if (rc != SQLITE_OK)
		goto out;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		if (row && row(st, s)) {
			rc = SQLITE_CORRUPT;
			break;
		}
out:
	sqlite3_finalize(s);
	return rc;
}

/* Turn an SQLite failure into one sentence with its remedy. */
static int mgr_sql_error(struct mgr_db *d, int rc, const char *what, char *err, size_t errlen)
{
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		snprintf(err, errlen,
			 "%s is damaged or no database: take this manager out and bring it back empty with 'flint mgr replace NAME'; if it is the only one, restore a backup",
			 d->path);
		return -EUCLEAN;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		snprintf(err, errlen,
			 "cannot write %s: make the state directory writable for this user, or give another with --state",
			 d->path);
		return -EROFS;
	case SQLITE_FULL:
		snprintf(err, errlen,
			 "no space left for %s: free space on its file system, then start this manager again",
			 d->path);
		return -ENOSPC;
	case SQLITE_NOMEM:
		snprintf(err, errlen, "out of memory while %s", what);
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		snprintf(err, errlen, "%s is in use by another process: stop that one first",
			 d->path);
		return -EBUSY;
	default:
		snprintf(err, errlen, "%s failed on %s (%s): check the disk it lies on", what,
			 d->path, sqlite3_errmsg(d->db));
		return -EIO;
	}
}

/* ---- loading ---------------------------------------------------------- */

/* Copy a text column into a fixed field. Return: 0 or -EUCLEAN if it does not fit. */
static int mgr_col_text(sqlite3_stmt *s, int col, char *dst, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(s, col);

	if (!text || strlen(text) >= size)
		return -EUCLEAN;
	memset(dst, 0, size);
	memcpy(dst, text, strlen(text));
	return 0;
}

static int mgr_col_blob(sqlite3_stmt *s, int col, void *dst, size_t size)
{
	const void *blob = sqlite3_column_blob(s, col);

	if (!blob || (size_t)sqlite3_column_bytes(s, col) != size)
		return -EUCLEAN;
	memcpy(dst, blob, size);
	return 0;
}

static int mgr_load_setting(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_settings *set = &st->set;
	char key[32];
	u64 v;

	if (mgr_col_text(s, 0, key, sizeof(key)))
		return -EUCLEAN;
	if (!strcmp(key, "cluster_id"))
		return mgr_col_blob(s, 1, set->cluster_id, sizeof(set->cluster_id));
	if (!strcmp(key, "cluster_name"))
		return mgr_col_text(s, 1, set->cluster_name, sizeof(set->cluster_name));
	v = sqlite3_column_int64(s, 1);
	if (!strcmp(key, "epoch"))
		st->epoch = v;
	else if (!strcmp(key, "seq"))
		st->seq = v;
	else if (!strcmp(key, "lease_ms"))
		set->lease_ms = v;
	else if (!strcmp(key, "next_node"))
		set->next_node = v;
	else if (!strcmp(key, "next_fs"))
		set->next_fs = v;
	else if (!strcmp(key, "meta_group"))
		set->meta_group = v;
	else if (!strcmp(key, "meta_founder"))
		set->meta_founder = v;
	else if (!strcmp(key, "meta_founder_node"))
		set->meta_founder_node = v;
	else if (!strcmp(key, "meta_founded"))
		set->meta_founded = v;
	else if (!strcmp(key, "meta_term"))
		set->meta_term = v;
	else if (!strcmp(key, "tokens_from"))
		set->tokens_from = v;
	else if (!strcmp(key, "recovery_bps"))
		set->recovery_bps = v;
	else if (!strcmp(key, "scrub_days"))
		set->scrub_days = v;
	else if (!strcmp(key, "lease_wish"))
		set->lease_wish = v;
	else if (!strcmp(key, "fence_ms"))
		set->fence_ms = v;
	else if (!strcmp(key, "next_event"))
		st->next_event = v;
	else if (!strcmp(key, "frozen"))
		set->frozen = v;
	else if (!strcmp(key, "next_job"))
		st->next_job = v;
	return 0;
}

static int mgr_load_node(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_node *n = mgr_node_put(st, sqlite3_column_int64(s, 0));

	if (!n)
		return -ENOMEM;
	n->role = sqlite3_column_int(s, 1);
	n->state = sqlite3_column_int(s, 3);
	n->http_port = sqlite3_column_int(s, 5);
	n->draining = sqlite3_column_int(s, 6);
	if (mgr_col_text(s, 2, n->name, sizeof(n->name)) ||
	    mgr_col_text(s, 7, n->host, sizeof(n->host)) ||
	    mgr_col_text(s, 8, n->rack, sizeof(n->rack)))
		return -EUCLEAN;
	return mgr_col_blob(s, 4, n->addrs, sizeof(n->addrs));
}

static int mgr_load_target(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_target *t = mgr_target_add(st, sqlite3_column_int64(s, 0));

	if (!t)
		return -ENOMEM;
	t->node = sqlite3_column_int64(s, 2);
	t->chain = sqlite3_column_int64(s, 3);
	t->state = sqlite3_column_int(s, 4);
	t->local = sqlite3_column_int(s, 5);
	t->capacity = sqlite3_column_int64(s, 6);
	t->used = sqlite3_column_int64(s, 7);
	t->live.used = t->used;
	t->incarnation = sqlite3_column_int64(s, 8);
	t->state_ver = sqlite3_column_int64(s, 9);
	t->wish = sqlite3_column_int(s, 10);
	t->draining = sqlite3_column_int(s, 11);
	return mgr_col_blob(s, 1, t->uuid, sizeof(t->uuid));
}

static int mgr_load_chain(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_chain *c = mgr_chain_put(st, sqlite3_column_int64(s, 0));

	if (!c)
		return -ENOMEM;
	c->version = sqlite3_column_int64(s, 1);
	return 0;
}

static int mgr_load_chain_target(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_chain *c = mgr_chain_find(st, sqlite3_column_int64(s, 0));

	if (!c || c->nr == FLINT_CHAIN_MAX)
		return -EUCLEAN;
	c->targets[c->nr++] = sqlite3_column_int64(s, 1);
	return 0;
}

static int mgr_load_table(struct mgr_state *st, sqlite3_stmt *s)
{
	return mgr_table_add(st, sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1),
			     sqlite3_column_int64(s, 2)) ? 0 : -ENOMEM;
}

static int mgr_load_table_chain(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_table *t = mgr_table_find(st, sqlite3_column_int64(s, 0),
					     sqlite3_column_int64(s, 1));
	s64 pos = sqlite3_column_int64(s, 2);

	if (!t || pos < 0 || pos >= t->nr)
		return -EUCLEAN;
	t->chains[pos] = sqlite3_column_int64(s, 3);
	return 0;
}

static int mgr_load_fs(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_fs *fs = mgr_fs_put(st, sqlite3_column_int64(s, 0));

	if (!fs)
		return -ENOMEM;
	fs->meta_node = sqlite3_column_int64(s, 2);
	fs->root_ino = sqlite3_column_int64(s, 3);
	if (mgr_col_text(s, 1, fs->name, sizeof(fs->name)))
		return -EUCLEAN;
	return mgr_col_blob(s, 4, &fs->layout, sizeof(fs->layout));
}

static int mgr_load_token(struct mgr_state *st, sqlite3_stmt *s)
{
	u64 claims[FLINT_TOKEN_MAX / 8 + 1];
	int len = sqlite3_column_bytes(s, 2);
	struct mgr_token *t;

	if (len > (int)FLINT_TOKEN_MAX || mgr_col_blob(s, 2, claims, len) ||
	    flint_token_check(claims, len))
		return -EUCLEAN;
	t = mgr_token_put(st, (const struct flint_token *)claims);
	if (!t)
		return -ENOMEM;
	t->revoked = sqlite3_column_int(s, 0);
	return mgr_col_text(s, 1, t->note, sizeof(t->note));
}

static int mgr_load_event(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_event e = {
		.seq = sqlite3_column_int64(s, 0), .time_ns = sqlite3_column_int64(s, 1),
		.epoch = sqlite3_column_int64(s, 2), .chain = sqlite3_column_int64(s, 3),
		.version = sqlite3_column_int64(s, 4), .target = sqlite3_column_int64(s, 5),
		.node = sqlite3_column_int64(s, 6), .kind = sqlite3_column_int(s, 7),
		.from = sqlite3_column_int(s, 8), .to = sqlite3_column_int(s, 9),
		.reason = sqlite3_column_int(s, 10),
	};

	return mgr_event_put(st, &e) ? 0 : -ENOMEM;
}

static int mgr_load_job(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_job *j = mgr_job_put(st, sqlite3_column_int64(s, 0));
	__le32 moves[3 * MGR_JOB_MOVES];
	u32 i;

	if (!j)
		return -ENOMEM;
	j->kind = sqlite3_column_int(s, 1);
	j->state = sqlite3_column_int(s, 2);
	j->subject = sqlite3_column_int64(s, 3);
	j->arg = sqlite3_column_int64(s, 4);
	j->parallel = sqlite3_column_int64(s, 5);
	j->done = sqlite3_column_int64(s, 6);
	j->left = sqlite3_column_int64(s, 7);
	j->bytes = sqlite3_column_int64(s, 8);
	j->began_ns = sqlite3_column_int64(s, 9);
	j->ended_ns = sqlite3_column_int64(s, 10);
	j->nr_moves = sqlite3_column_int64(s, 12);
	if (mgr_col_text(s, 11, j->why, sizeof(j->why)) ||
	    mgr_col_blob(s, 13, moves, sizeof(moves)) || !mgr_job_sane(j))
		return -EUCLEAN;
	for (i = 0; i < j->nr_moves; i++)
		j->moves[i] = (struct mgr_job_move){ le32_to_cpu(moves[3 * i]),
						     le32_to_cpu(moves[3 * i + 1]),
						     le32_to_cpu(moves[3 * i + 2]) };
	return 0;
}

/* Return: an SQLite result code; SQLITE_DONE is success. */
static int mgr_db_read(struct mgr_db *d, struct mgr_state *st)
{
	static const struct {
		int (*row)(struct mgr_state *st, sqlite3_stmt *s);
		const char *sql;
	} steps[] = {
		{ mgr_load_setting, "SELECT key, value FROM settings" },
		{ mgr_load_node, "SELECT id, role, name, state, addrs, http_port, draining,"
				 " host, rack FROM nodes" },
		{ mgr_load_target, "SELECT id, uuid, node, chain, state, local, capacity, used,"
				   " incarnation, state_ver, wish, draining FROM targets" },
		{ mgr_load_chain, "SELECT id, version FROM chains" },
		{ mgr_load_chain_target, "SELECT chain, target FROM chain_targets"
					 " ORDER BY chain, pos" },
		{ mgr_load_table, "SELECT id, version, (SELECT count(*) FROM table_chains c"
				  " WHERE c.id = t.id AND c.version = t.version) FROM tables t" },
		{ mgr_load_table_chain, "SELECT id, version, pos, chain FROM table_chains" },
		{ mgr_load_fs, "SELECT id, name, meta_node, root_ino, layout FROM fs" },
		{ mgr_load_token, "SELECT revoked, note, claims FROM tokens" },
		{ mgr_load_event, "SELECT seq, time_ns, epoch, chain, version, target, node, kind,"
				  " from_state, to_state, reason FROM events ORDER BY seq" },
		{ mgr_load_job, "SELECT id, kind, state, subject, arg, parallel, done, remain,"
				" bytes, began_ns, ended_ns, why, nr_moves, moves FROM jobs"
				" ORDER BY id" },
	};
	size_t i;
	int rc;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		rc = mgr_sql(d, steps[i].row, st, steps[i].sql, "");
		if (rc != SQLITE_DONE)
			return rc;
	}
	return SQLITE_DONE;
}

/**
 * mgr_db_load() - the state that the database holds
 * @d: the database
 * @out: result; NULL when it holds none yet
 * @err: one sentence on failure
 *
 * Return: 0, -EUCLEAN, -ENOMEM, -EIO.
 */
int mgr_db_load(struct mgr_db *d, struct mgr_state **out, char *err, size_t errlen)
{
	struct mgr_state *st = calloc(1, sizeof(*st));
	char why[128];
	int rc;

	*out = NULL;
	if (!st) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	rc = mgr_db_read(d, st);
	if (rc == SQLITE_DONE && !st->epoch && !st->nr_nodes) {
		mgr_state_free(st);
		return 0;
	}
	if (!st->next_event)
		st->next_event = 1;
	if (rc == SQLITE_DONE && mgr_state_check(st, why, sizeof(why)))
		rc = SQLITE_CORRUPT;
	if (rc != SQLITE_DONE) {
		mgr_state_free(st);
		return mgr_sql_error(d, rc, "reading", err, errlen);
	}
	mgr_state_settle(st);
	*out = st;
	return 0;
}

/* ---- opening ---------------------------------------------------------- */

static int mgr_row_check(struct mgr_state *st, sqlite3_stmt *s)
{
	const char *text = (const char *)sqlite3_column_text(s, 0);

	return text && !strcmp(text, "ok") ? 0 : -EUCLEAN;
}

/* Run @sql and set application id and version, in one transaction. */
static int mgr_db_script(struct mgr_db *d, const char *sql)
{
	char pragma[96];
	int rc;

	snprintf(pragma, sizeof(pragma), "PRAGMA application_id=%d; PRAGMA user_version=%d;",
		 MGR_APPLICATION_ID, MGR_SCHEMA_VERSION);
	rc = sqlite3_exec(d->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->db, pragma, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->db, "COMMIT", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		return SQLITE_DONE;
	sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* Schema 1 had neither log nor counters of ids. */
static const char mgr_upgrade_1[] =
	"CREATE TABLE tokens(id INTEGER PRIMARY KEY, revoked INTEGER NOT NULL,"
	"  note TEXT NOT NULL, claims BLOB NOT NULL);"
	"ALTER TABLE nodes ADD COLUMN http_port INTEGER NOT NULL DEFAULT 0;"
	"INSERT INTO settings VALUES"
	" ('seq', 0), ('applied', 0), ('applied_term', 0),"
	" ('next_node', 1 + coalesce((SELECT max(id) FROM nodes), 0)),"
	" ('next_fs', 1 + coalesce((SELECT max(id) FROM fs), 0));";

static const char mgr_upgrade_2[] =
	"ALTER TABLE nodes ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE nodes ADD COLUMN host TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE nodes ADD COLUMN rack TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE targets ADD COLUMN incarnation INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE targets ADD COLUMN state_ver INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE targets ADD COLUMN wish INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE targets ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;"
	"INSERT INTO settings SELECT 'fence_ms', value FROM settings WHERE key = 'lease_ms';"
	"INSERT OR IGNORE INTO settings VALUES ('scrub_days', 14);"	/* MGR_DEFAULT_SCRUB_DAYS */
	MGR_SQL_EVENTS MGR_SQL_JOBS;

/* Fetch one number. Return: an SQLite result code; SQLITE_DONE is success. */
static int mgr_sql_number(struct mgr_db *d, const char *sql, s64 *value)
{
	sqlite3_stmt *s = NULL;
	int rc;

	rc = sqlite3_prepare_v2(d->db, sql, -1, &s, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		*value = sqlite3_column_int64(s, 0);
		rc = SQLITE_DONE;
	}
	sqlite3_finalize(s);
	return rc;
}

/* Check an existing database before anything is believed. */
static int mgr_db_verify(struct mgr_db *d, char *err, size_t errlen)
{
	char script[sizeof(mgr_upgrade_1) + sizeof(mgr_upgrade_2)];
	s64 value = 0;
	int rc;

	rc = mgr_sql(d, mgr_row_check, NULL, "PRAGMA quick_check(1)", "");
	if (rc != SQLITE_DONE)
		return mgr_sql_error(d, rc, "the check", err, errlen);
	rc = mgr_sql_number(d, "PRAGMA application_id", &value);
	if (rc != SQLITE_DONE || value != MGR_APPLICATION_ID)
		return mgr_sql_error(d, SQLITE_NOTADB, "the check", err, errlen);
	rc = mgr_sql_number(d, "PRAGMA user_version", &value);
	if (rc != SQLITE_DONE)
		return mgr_sql_error(d, rc, "the check", err, errlen);
	d->version = value;
	if (value == 1 || value == 2) {
		snprintf(script, sizeof(script), "%s%s", value == 1 ? mgr_upgrade_1 : "",
			 mgr_upgrade_2);
		rc = mgr_db_script(d, script);
		return rc == SQLITE_DONE ? 0 : mgr_sql_error(d, rc, "the upgrade", err, errlen);
	}
	if (value != MGR_SCHEMA_VERSION) {
		snprintf(err, errlen,
			 "%s was written by a newer version of flint-mgrd (schema %lld): use that version, this one knows schemas up to %d",
			 d->path, (long long)value, MGR_SCHEMA_VERSION);
		return -EPROTONOSUPPORT;
	}
	return 0;
}

/* Is there a database in this directory? */
bool mgr_db_exists(const char *dir)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/state.db", dir);
	return !access(path, F_OK);
}

static int mgr_db_setup(struct mgr_db *d, char *err, size_t errlen)
{
	s64 tables = 0;
	int rc, ret = 0;

	sqlite3_busy_timeout(d->db, 2000);
	rc = sqlite3_exec(d->db,
			  "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
			  " PRAGMA wal_autocheckpoint=0; PRAGMA foreign_keys=ON;", NULL, NULL, NULL);
	if (rc == SQLITE_OK && sqlite3_db_readonly(d->db, "main") == 1)
		rc = SQLITE_READONLY;
	if (rc == SQLITE_OK)
		rc = mgr_sql_number(d, "SELECT count(*) FROM sqlite_schema", &tables);
	if (rc == SQLITE_DONE && !tables)
		rc = mgr_db_script(d, mgr_schema);
	else if (rc == SQLITE_DONE)
		ret = mgr_db_verify(d, err, errlen);
	if (ret)
		return ret;
	if (rc == SQLITE_DONE) {
		s64 index = 0, term = 0;

		rc = mgr_sql_number(d, "SELECT coalesce((SELECT value FROM settings WHERE key ="
				       " 'applied'), 0)", &index);
		if (rc == SQLITE_DONE)
			rc = mgr_sql_number(d, "SELECT coalesce((SELECT value FROM settings WHERE"
					       " key = 'applied_term'), 0)", &term);
		d->applied = index;
		d->applied_term = term;
	}
	return rc == SQLITE_DONE ? 0 : mgr_sql_error(d, rc, "opening the database", err, errlen);
}

/**
 * mgr_db_open() - open or create state.db
 * @out: result
 * @dir: an existing directory, whose lock the caller holds
 * @err: one sentence with the remedy on failure
 *
 * Return: 0 or -errno: -EUCLEAN damaged, -EROFS not writable, -ENOSPC disk
 * full, -EPROTONOSUPPORT a newer version's database.
 */
int mgr_db_open(struct mgr_db **out, const char *dir, char *err, size_t errlen)
{
	struct mgr_db *d = calloc(1, sizeof(*d));
	mode_t mask;
	int rc, ret;

	*out = NULL;
	if (!d || asprintf(&d->path, "%s/state.db", dir) < 0) {
		snprintf(err, errlen, "out of memory");
		free(d);
		return -ENOMEM;
	}
	mask = umask(077);
	rc = sqlite3_open_v2(d->path, &d->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			     NULL);
	umask(mask);
	ret = rc == SQLITE_OK ? mgr_db_setup(d, err, errlen)
			      : mgr_sql_error(d, rc, "opening the database", err, errlen);
	if (ret) {
		mgr_db_close(d);
		return ret;
	}
	*out = d;
	return 0;
}

void mgr_db_close(struct mgr_db *d)
{
	if (!d)
		return;
	sqlite3_close(d->db);
	free(d->path);
	free(d);
}

/* ---- writing ---------------------------------------------------------- */

static int mgr_write_nodes(struct mgr_db *d, const struct mgr_state *st, bool all)
{
	u32 i;
	int rc;

	for (i = 0; i < st->nr_nodes; i++) {
		const struct mgr_node *n = &st->nodes[i];

		if (n->gone || (!n->dirty && !all))
			continue;
		rc = mgr_sql(d, NULL, NULL,
			     "INSERT INTO nodes(id, role, name, state, addrs, http_port, draining,"
			     " host, rack) VALUES (?,?,?,?,?,?,?,?,?)"
			     " ON CONFLICT(id) DO UPDATE SET state=excluded.state,"
			     " addrs=excluded.addrs, http_port=excluded.http_port,"
			     " draining=excluded.draining, host=excluded.host,"
			     " rack=excluded.rack", "iisibiiss",
			     (u64)n->id, (u64)n->role, n->name, (u64)n->state, n->addrs,
			     (int)sizeof(n->addrs), (u64)n->http_port, (u64)n->draining,
			     n->host, n->rack);
		if (rc != SQLITE_DONE)
			return rc;
	}
	return SQLITE_DONE;
}

static int mgr_write_targets(struct mgr_db *d, const struct mgr_state *st, bool all)
{
	u32 i;
	int rc;

	for (i = 0; i < st->nr_targets; i++) {
		const struct mgr_target *t = &st->targets[i];

		if (t->gone || (!t->dirty && !all))
			continue;
		rc = mgr_sql(d, NULL, NULL,
			     "INSERT INTO targets(id, uuid, node, chain, state, local, capacity, used,"
			     " incarnation, state_ver, wish, draining)"
			     " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
			     " ON CONFLICT(id) DO UPDATE SET node=excluded.node,"
			     " chain=excluded.chain, state=excluded.state, local=excluded.local,"
			     " capacity=excluded.capacity, used=excluded.used,"
			     " incarnation=excluded.incarnation, state_ver=excluded.state_ver,"
			     " wish=excluded.wish, draining=excluded.draining", "ibiiiiiiiiii",
			     (u64)t->id, t->uuid, (int)sizeof(t->uuid), (u64)t->node,
			     (u64)t->chain, (u64)t->state, (u64)t->local, t->capacity, t->used,
			     t->incarnation, (u64)t->state_ver, (u64)t->wish, (u64)t->draining);
		if (rc != SQLITE_DONE)
			return rc;
	}
	return SQLITE_DONE;
}

static int mgr_write_chains(struct mgr_db *d, const struct mgr_state *st, bool all)
{
	u32 i, j;
	int rc;

	for (i = 0; i < st->nr_chains; i++) {
		const struct mgr_chain *c = &st->chains[i];

		if (!c->dirty && !all)
			continue;
		rc = mgr_sql(d, NULL, NULL,
			     "INSERT INTO chains VALUES (?,?) ON CONFLICT(id)"
			     " DO UPDATE SET version=excluded.version", "ii",
			     (u64)c->id, (u64)c->version);
		if (rc == SQLITE_DONE)
			rc = mgr_sql(d, NULL, NULL, "DELETE FROM chain_targets WHERE chain=?", "i",
				     (u64)c->id);
		for (j = 0; j < c->nr && rc == SQLITE_DONE; j++)
			rc = mgr_sql(d, NULL, NULL, "INSERT INTO chain_targets VALUES (?,?,?)", "iii",
				     (u64)c->id, (u64)j, (u64)c->targets[j]);
		if (rc != SQLITE_DONE)
			return rc;
	}
	return SQLITE_DONE;
}

static int mgr_write_tables(struct mgr_db *d, const struct mgr_state *st, bool all)
{
	u32 i, j;
	int rc;

	for (i = 0; i < st->nr_tables; i++) {
		const struct mgr_table *t = &st->tables[i];

		if (!t->dirty && !all)
			continue;
		rc = mgr_sql(d, NULL, NULL, "INSERT INTO tables VALUES (?,?)", "ii", (u64)t->id,
			     (u64)t->version);
		for (j = 0; j < t->nr && rc == SQLITE_DONE; j++)
			rc = mgr_sql(d, NULL, NULL, "INSERT INTO table_chains VALUES (?,?,?,?)", "iiii",
				     (u64)t->id, (u64)t->version, (u64)j, (u64)t->chains[j]);
		if (rc != SQLITE_DONE)
			return rc;
	}
	return SQLITE_DONE;
}

static int mgr_write_fs(struct mgr_db *d, const struct mgr_state *st, bool all)
{
	u32 i;
	int rc;

	for (i = 0; i < st->nr_fs; i++) {
		const struct mgr_fs *fs = &st->fs[i];

		if (fs->gone)
			rc = mgr_sql(d, NULL, NULL, "DELETE FROM fs WHERE id=?", "i", (u64)fs->id);
		else if (fs->dirty || all)
			rc = mgr_sql(d, NULL, NULL,
				     "INSERT INTO fs VALUES (?,?,?,?,?) ON CONFLICT(id)"
				     " DO UPDATE SET root_ino=excluded.root_ino,"
				     " meta_node=excluded.meta_node, layout=excluded.layout",
				     "isiib", (u64)fs->id, fs->name, (u64)fs->meta_node,
				     fs->root_ino, &fs->layout, (int)sizeof(fs->layout));
		else
			continue;
		if (rc != SQLITE_DONE)
			return rc;
	}
	return SQLITE_DONE;
}

static int mgr_write_tokens(struct mgr_db *d, const struct mgr_state *st, bool all)
{
	int rc = SQLITE_DONE;
	u32 i;

	for (i = 0; i < st->nr_tokens && rc == SQLITE_DONE; i++) {
		const struct mgr_token *t = &st->tokens[i];
		const struct flint_token *c = mgr_token_claims(t);

		if (t->gone)
			rc = mgr_sql(d, NULL, NULL, "DELETE FROM tokens WHERE id=?", "i", t->id);
		else if (t->dirty || all)
			rc = mgr_sql(d, NULL, NULL, "INSERT OR REPLACE INTO tokens VALUES (?,?,?,?)",
				     "iisb", t->id, (u64)t->revoked, t->note, c,
				     (int)flint_token_len(c));
	}
	return rc;
}

static int mgr_write_events(struct mgr_db *d, const struct mgr_state *st, bool all)
{
	u32 i = st->nr_events;
	int rc = SQLITE_DONE;

	while (!all && i > 0 && st->events[i - 1].dirty)
		i--;
	if (!all && i == st->nr_events)
		return SQLITE_DONE;
	for (i = all ? 0 : i; i < st->nr_events && rc == SQLITE_DONE; i++) {
		const struct mgr_event *e = &st->events[i];

		rc = mgr_sql(d, NULL, NULL, "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?)",
			     "iiiiiiiiiii", e->seq, e->time_ns, e->epoch, (u64)e->chain,
			     (u64)e->version, (u64)e->target, (u64)e->node, (u64)e->kind,
			     (u64)e->from, (u64)e->to, (u64)e->reason);
	}
	if (rc == SQLITE_DONE && st->nr_events)
		rc = mgr_sql(d, NULL, NULL, "DELETE FROM events WHERE seq < ?", "i",
			     st->events[0].seq);
	return rc;
}

static int mgr_write_jobs(struct mgr_db *d, const struct mgr_state *st, bool all)
{
	__le32 moves[3 * MGR_JOB_MOVES];
	int rc = SQLITE_DONE;
	u32 i, k;

	for (i = 0; i < st->nr_jobs && rc == SQLITE_DONE; i++) {
		const struct mgr_job *j = &st->jobs[i];

		if (j->gone) {
			rc = mgr_sql(d, NULL, NULL, "DELETE FROM jobs WHERE id=?", "i", (u64)j->id);
			continue;
		}
		if (!j->dirty && !all)
			continue;
		memset(moves, 0, sizeof(moves));
		for (k = 0; k < j->nr_moves; k++) {
			moves[3 * k] = cpu_to_le32(j->moves[k].chain);
			moves[3 * k + 1] = cpu_to_le32(j->moves[k].from);
			moves[3 * k + 2] = cpu_to_le32(j->moves[k].to);
		}
		rc = mgr_sql(d, NULL, NULL,
			     "INSERT OR REPLACE INTO jobs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
			     "iiiiiiiiiiisib", (u64)j->id, (u64)j->kind, (u64)j->state,
			     (u64)j->subject, (u64)j->arg, (u64)j->parallel, (u64)j->done,
			     (u64)j->left, j->bytes, j->began_ns, j->ended_ns, j->why,
			     (u64)j->nr_moves, moves, (int)sizeof(moves));
	}
	return rc;
}

static int mgr_write_targets_gone(struct mgr_db *d, const struct mgr_state *st)
{
	int rc = SQLITE_DONE;
	u32 i;

	for (i = 0; i < st->nr_targets && rc == SQLITE_DONE; i++)
		if (st->targets[i].gone)
			rc = mgr_sql(d, NULL, NULL, "DELETE FROM targets WHERE id=?", "i",
				     (u64)st->targets[i].id);
	return rc;
}

/* Last, when nothing refers to them any longer. */
static int mgr_write_nodes_gone(struct mgr_db *d, const struct mgr_state *st)
{
	int rc = SQLITE_DONE;
	u32 i;

	for (i = 0; i < st->nr_nodes && rc == SQLITE_DONE; i++)
		if (st->nodes[i].gone)
			rc = mgr_sql(d, NULL, NULL, "DELETE FROM nodes WHERE id=?", "i",
				     (u64)st->nodes[i].id);
	return rc;
}

static int mgr_write_settings(struct mgr_db *d, const struct mgr_state *st, u64 index, u64 term)
{
	const struct mgr_settings *s = &st->set;
	const struct {
		const char *key;
		u64 value;
	} numbers[] = {
		{ "epoch", st->epoch }, { "seq", st->seq }, { "lease_ms", s->lease_ms },
		{ "next_node", s->next_node }, { "next_fs", s->next_fs },
		{ "meta_group", s->meta_group }, { "meta_founder", s->meta_founder },
		{ "meta_founder_node", s->meta_founder_node },
		{ "meta_founded", s->meta_founded }, { "meta_term", s->meta_term },
		{ "tokens_from", s->tokens_from },
		{ "recovery_bps", s->recovery_bps }, { "scrub_days", s->scrub_days },
		{ "lease_wish", s->lease_wish }, { "fence_ms", s->fence_ms },
		{ "next_event", st->next_event }, { "next_job", st->next_job },
		{ "frozen", s->frozen },
		{ "applied", index }, { "applied_term", term },
	};
	size_t i;
	int rc;

	rc = mgr_sql(d, NULL, NULL,
		     "INSERT OR REPLACE INTO settings VALUES ('cluster_id', ?), ('cluster_name', ?)",
		     "bs", s->cluster_id, (int)sizeof(s->cluster_id), s->cluster_name);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && rc == SQLITE_DONE; i++)
		rc = mgr_sql(d, NULL, NULL, "INSERT OR REPLACE INTO settings VALUES (?, ?)", "si",
			     numbers[i].key, numbers[i].value);
	return rc;
}

static int mgr_db_records(struct mgr_db *d, const struct mgr_state *st, bool whole, u64 index,
			  u64 term)
{
	int rc = SQLITE_OK;

	if (whole)
		rc = sqlite3_exec(d->db, "DELETE FROM jobs; DELETE FROM events; DELETE FROM tokens; DELETE FROM fs; DELETE FROM table_chains; DELETE FROM tables;"
					 " DELETE FROM chain_targets; DELETE FROM chains;"
					 " DELETE FROM targets; DELETE FROM nodes;"
					 " DELETE FROM settings;", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = mgr_write_nodes(d, st, whole);
	if (rc == SQLITE_DONE)
		rc = mgr_write_tokens(d, st, whole);
	if (rc == SQLITE_DONE)
		rc = mgr_write_targets(d, st, whole);
	if (rc == SQLITE_DONE)
		rc = mgr_write_chains(d, st, whole);
	if (rc == SQLITE_DONE)
		rc = mgr_write_tables(d, st, whole);
	if (rc == SQLITE_DONE)
		rc = mgr_write_fs(d, st, whole);
	if (rc == SQLITE_DONE)
		rc = mgr_write_events(d, st, whole);
	if (rc == SQLITE_DONE)
		rc = mgr_write_jobs(d, st, whole);
	if (rc == SQLITE_DONE)
		rc = mgr_write_targets_gone(d, st);
	if (rc == SQLITE_DONE)
		rc = mgr_write_nodes_gone(d, st);
	if (rc == SQLITE_DONE)
		rc = mgr_write_settings(d, st, index, term);
	return rc;
}

/**
 * mgr_db_write() - write what a command changed
 * @d: the database
 * @st: the state after it; its dirty records are written
 * @whole: all records are, in place of what is there
 * @index, @term: of the log entry
 * @err: one sentence on failure
 *
 * Return: 0 or -errno, and the database is as it was.
 */
int mgr_db_write(struct mgr_db *d, const struct mgr_state *st, bool whole, u64 index, u64 term,
		 char *err, size_t errlen)
{
	int rc, ret;

	rc = sqlite3_exec(d->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return mgr_sql_error(d, rc, "a change", err, errlen);
	rc = mgr_db_records(d, st, whole, index, term);
	if (rc == SQLITE_DONE) {
		rc = sqlite3_exec(d->db, "COMMIT", NULL, NULL, NULL);
		if (rc == SQLITE_OK) {
			d->applied = index;
			d->applied_term = term;
			return 0;
		}
	}
	ret = mgr_sql_error(d, rc, "a change", err, errlen);
	sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
	return ret;
}

/**
 * mgr_db_sync() - bring everything written onto stable storage
 *
 * May wait for the disk. Return: 0 or -errno with a sentence.
 */
int mgr_db_sync(struct mgr_db *d, char *err, size_t errlen)
{
	int rc = sqlite3_wal_checkpoint_v2(d->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	return rc == SQLITE_OK ? 0 : mgr_sql_error(d, rc, "a checkpoint", err, errlen);
}
