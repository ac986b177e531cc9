// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manager's state: a model in memory over state.db.
 *
 * See state.h for the rule that ties the two together. The database is small
 * (a few hundred bytes for each node, target and chain), read whole at start
 * and written only when the cluster changes, so every commit is a plain
 * synchronous transaction in WAL mode.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sqlite3.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "state.h"

#define MGR_APPLICATION_ID	0x464c4d47	/* "FLMG", in the database's header */
#define MGR_SCHEMA_VERSION	1

static const char mgr_schema[] =
	"CREATE TABLE settings(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE nodes(id INTEGER PRIMARY KEY, role INTEGER NOT NULL, name TEXT NOT NULL,"
	"  state INTEGER NOT NULL, addrs BLOB NOT NULL, UNIQUE(role, name));"
	"CREATE TABLE targets(id INTEGER PRIMARY KEY, uuid BLOB NOT NULL,"
	"  node INTEGER NOT NULL REFERENCES nodes(id), chain INTEGER NOT NULL,"
	"  state INTEGER NOT NULL, local INTEGER NOT NULL,"
	"  capacity INTEGER NOT NULL, used INTEGER NOT NULL);"
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
	"  layout BLOB NOT NULL);";

/* ---- statements ------------------------------------------------------- */

/*
 * Run one statement. @fmt names the types of the values bound in order: 'i'
 * u64, 's' string, 'b' blob (pointer, int length). For rows, @row is called
 * with each; it returns 0 or -errno.
 * Return: an SQLite result code; SQLITE_DONE is success.
 */
static int mgr_sql(struct mgr_state *st, int (*row)(struct mgr_state *, sqlite3_stmt *),
		   const char *sql, const char *fmt, ...)
{
	sqlite3_stmt *s = NULL;
	const void *blob;
	va_list ap;
	int rc, i;

	rc = sqlite3_prepare_v2(st->db, sql, -1, &s, NULL);
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
static int mgr_sql_error(struct mgr_state *st, int rc, const char *what, char *err, size_t errlen)
{
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		snprintf(err, errlen,
			 "%s is damaged or no database: restore it from a copy, or move it away to begin a new cluster",
			 st->path);
		return -EUCLEAN;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		snprintf(err, errlen,
			 "cannot write %s: make the state directory writable for this user, or give another with --state",
			 st->path);
		return -EROFS;
	case SQLITE_FULL:
		snprintf(err, errlen,
			 "no space left for %s: free space on its file system, nothing was changed",
			 st->path);
		return -ENOSPC;
	case SQLITE_NOMEM:
		snprintf(err, errlen, "out of memory while %s", what);
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		snprintf(err, errlen, "%s is in use by another process: stop that one first",
			 st->path);
		return -EBUSY;
	default:
		snprintf(err, errlen, "%s failed on %s (%s): check the disk it lies on", what,
			 st->path, sqlite3_errmsg(st->db));
		return -EIO;
	}
}

/* ---- the model -------------------------------------------------------- */

/* Grow an array by one zeroed record at its end. Return: the record, or NULL. */
static void *mgr_grow(void *base, u32 *nr, size_t size)
{
	void **array = base;
	void *p = realloc(*array, (*nr + 1) * size);

	if (!p)
		return NULL;
	*array = p;
	p = (char *)p + *nr * size;
	memset(p, 0, size);
	(*nr)++;
	return p;
}

static void mgr_model_clear(struct mgr_state *st)
{
	u32 i;

	for (i = 0; i < st->nr_tables; i++)
		free(st->tables[i].chains);
	free(st->nodes);
	free(st->targets);
	free(st->chains);
	free(st->tables);
	free(st->fs);
	st->nodes = NULL;
	st->targets = NULL;
	st->chains = NULL;
	st->tables = NULL;
	st->fs = NULL;
	st->nr_nodes = 0;
	st->nr_targets = 0;
	st->nr_chains = 0;
	st->nr_tables = 0;
	st->nr_fs = 0;
}

#define MGR_FIND_ID(array, nr, want)					\
	do {								\
		u32 i_;							\
									\
		for (i_ = 0; i_ < (nr); i_++)				\
			if ((array)[i_].id == (want))			\
				return &(array)[i_];			\
		return NULL;						\
	} while (0)

struct mgr_node *mgr_node_find(struct mgr_state *st, u32 id)
{
	MGR_FIND_ID(st->nodes, st->nr_nodes, id);
}

struct mgr_target *mgr_target_find(struct mgr_state *st, u32 id)
{
	MGR_FIND_ID(st->targets, st->nr_targets, id);
}

struct mgr_chain *mgr_chain_find(struct mgr_state *st, u32 id)
{
	MGR_FIND_ID(st->chains, st->nr_chains, id);
}

struct mgr_fs *mgr_fs_find(struct mgr_state *st, u32 id)
{
	MGR_FIND_ID(st->fs, st->nr_fs, id);
}

struct mgr_node *mgr_node_find_name(struct mgr_state *st, u8 role, const char *name)
{
	u32 i;

	for (i = 0; i < st->nr_nodes; i++)
		if (st->nodes[i].role == role && !strcmp(st->nodes[i].name, name))
			return &st->nodes[i];
	return NULL;
}

struct mgr_table *mgr_table_find(struct mgr_state *st, u32 id, u32 version)
{
	u32 i;

	for (i = 0; i < st->nr_tables; i++)
		if (st->tables[i].id == id && st->tables[i].version == version)
			return &st->tables[i];
	return NULL;
}

struct mgr_fs *mgr_fs_find_name(struct mgr_state *st, const char *name)
{
	u32 i;

	for (i = 0; i < st->nr_fs; i++)
		if (!st->fs[i].gone && !strcmp(st->fs[i].name, name))
			return &st->fs[i];
	return NULL;
}

struct mgr_node *mgr_node_add(struct mgr_state *st, u8 role, const char *name)
{
	u32 id = st->nr_nodes ? st->nodes[st->nr_nodes - 1].id + 1 : 1;
	struct mgr_node *n = mgr_grow(&st->nodes, &st->nr_nodes, sizeof(*n));

	if (!n)
		return NULL;
	n->id = id;
	n->role = role;
	n->dirty = true;
	snprintf(n->name, sizeof(n->name), "%s", name);
	return n;
}

static int mgr_target_cmp(const void *a, const void *b)
{
	const struct mgr_target *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

struct mgr_target *mgr_target_add(struct mgr_state *st, u32 id)
{
	struct mgr_target *t = mgr_grow(&st->targets, &st->nr_targets, sizeof(*t));

	if (!t)
		return NULL;
	t->id = id;
	t->dirty = true;
	qsort(st->targets, st->nr_targets, sizeof(*t), mgr_target_cmp);
	return mgr_target_find(st, id);
}

struct mgr_chain *mgr_chain_add(struct mgr_state *st)
{
	u32 id = st->nr_chains ? st->chains[st->nr_chains - 1].id + 1 : 1;
	struct mgr_chain *c = mgr_grow(&st->chains, &st->nr_chains, sizeof(*c));

	if (!c)
		return NULL;
	c->id = id;
	c->version = 1;
	c->dirty = true;
	return c;
}

static int mgr_table_cmp(const void *a, const void *b)
{
	const struct mgr_table *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->version < y->version ? -1 : x->version > y->version;
}

struct mgr_table *mgr_table_add(struct mgr_state *st, u32 id, u32 version, u32 nr)
{
	u32 *chains = calloc(nr ? nr : 1, sizeof(*chains));
	struct mgr_table *t;

	if (!chains)
		return NULL;
	t = mgr_grow(&st->tables, &st->nr_tables, sizeof(*t));
	if (!t) {
		free(chains);
		return NULL;
	}
	t->id = id;
	t->version = version;
	t->nr = nr;
	t->dirty = true;
	t->chains = chains;
	qsort(st->tables, st->nr_tables, sizeof(*t), mgr_table_cmp);
	return mgr_table_find(st, id, version);
}

struct mgr_fs *mgr_fs_add(struct mgr_state *st, const char *name)
{
	u32 id = st->nr_fs ? st->fs[st->nr_fs - 1].id + 1 : 1;
	struct mgr_fs *fs = mgr_grow(&st->fs, &st->nr_fs, sizeof(*fs));

	if (!fs)
		return NULL;
	fs->id = id;
	fs->dirty = true;
	snprintf(fs->name, sizeof(fs->name), "%s", name);
	return fs;
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
	char key[32];

	if (mgr_col_text(s, 0, key, sizeof(key)))
		return -EUCLEAN;
	if (!strcmp(key, "epoch"))
		st->epoch = sqlite3_column_int64(s, 1);
	else if (!strcmp(key, "lease_ms"))
		st->lease_ms = sqlite3_column_int64(s, 1);
	else if (!strcmp(key, "cluster_id"))
		return mgr_col_blob(s, 1, st->cluster_id, sizeof(st->cluster_id));
	else if (!strcmp(key, "cluster_name"))
		return mgr_col_text(s, 1, st->cluster_name, sizeof(st->cluster_name));
	return 0;
}

static int mgr_load_node(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_node *n = mgr_grow(&st->nodes, &st->nr_nodes, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->id = sqlite3_column_int64(s, 0);
	n->role = sqlite3_column_int(s, 1);
	n->state = sqlite3_column_int(s, 3);
	if (mgr_col_text(s, 2, n->name, sizeof(n->name)))
		return -EUCLEAN;
	return mgr_col_blob(s, 4, n->addrs, sizeof(n->addrs));
}

static int mgr_load_target(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_target *t = mgr_grow(&st->targets, &st->nr_targets, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->id = sqlite3_column_int64(s, 0);
	t->node = sqlite3_column_int64(s, 2);
	t->chain = sqlite3_column_int64(s, 3);
	t->state = sqlite3_column_int(s, 4);
	t->local = sqlite3_column_int(s, 5);
	t->capacity = sqlite3_column_int64(s, 6);
	t->used = sqlite3_column_int64(s, 7);
	t->used_now = t->used;
	return mgr_col_blob(s, 1, t->uuid, sizeof(t->uuid));
}

static int mgr_load_chain(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_chain *c = mgr_grow(&st->chains, &st->nr_chains, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->id = sqlite3_column_int64(s, 0);
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
	struct mgr_table *t = mgr_table_add(st, sqlite3_column_int64(s, 0),
					    sqlite3_column_int64(s, 1), 0);

	if (!t)
		return -ENOMEM;
	t->dirty = false;
	return 0;
}

static int mgr_load_table_chain(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_table *t = mgr_table_find(st, sqlite3_column_int64(s, 0),
					     sqlite3_column_int64(s, 1));
	u32 *chain;

	if (!t)
		return -EUCLEAN;
	chain = mgr_grow(&t->chains, &t->nr, sizeof(*chain));
	if (!chain)
		return -ENOMEM;
	*chain = sqlite3_column_int64(s, 2);
	return 0;
}

static int mgr_load_fs(struct mgr_state *st, sqlite3_stmt *s)
{
	struct mgr_fs *fs = mgr_grow(&st->fs, &st->nr_fs, sizeof(*fs));

	if (!fs)
		return -ENOMEM;
	fs->id = sqlite3_column_int64(s, 0);
	fs->meta_node = sqlite3_column_int64(s, 2);
	fs->root_ino = sqlite3_column_int64(s, 3);
	if (mgr_col_text(s, 1, fs->name, sizeof(fs->name)))
		return -EUCLEAN;
	return mgr_col_blob(s, 4, &fs->layout, sizeof(fs->layout));
}

static int mgr_model_load(struct mgr_state *st)
{
	static const struct {
		int (*row)(struct mgr_state *st, sqlite3_stmt *s);
		const char *sql;
	} steps[] = {
		{ mgr_load_setting, "SELECT key, value FROM settings" },
		{ mgr_load_node, "SELECT id, role, name, state, addrs FROM nodes ORDER BY id" },
		{ mgr_load_target, "SELECT id, uuid, node, chain, state, local, capacity, used"
				   " FROM targets ORDER BY id" },
		{ mgr_load_chain, "SELECT id, version FROM chains ORDER BY id" },
		{ mgr_load_chain_target, "SELECT chain, target FROM chain_targets"
					 " ORDER BY chain, pos" },
		{ mgr_load_table, "SELECT id, version FROM tables" },
		{ mgr_load_table_chain, "SELECT id, version, chain FROM table_chains"
					" ORDER BY id, version, pos" },
		{ mgr_load_fs, "SELECT id, name, meta_node, root_ino, layout FROM fs ORDER BY id" },
	};
	size_t i;
	int rc;

	mgr_model_clear(st);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		rc = mgr_sql(st, steps[i].row, steps[i].sql, "");
		if (rc != SQLITE_DONE)
			return rc;
	}
	return st->epoch && st->lease_ms ? SQLITE_DONE : SQLITE_CORRUPT;
}

/* ---- opening ---------------------------------------------------------- */

static int mgr_row_check(struct mgr_state *st, sqlite3_stmt *s)
{
	const char *text = (const char *)sqlite3_column_text(s, 0);

	return text && !strcmp(text, "ok") ? 0 : -EUCLEAN;
}

/* A new database: schema and first settings in one transaction. */
static int mgr_db_init(struct mgr_state *st, const char *cluster_name)
{
	char pragma[96];
	int rc;

	if (getrandom(st->cluster_id, sizeof(st->cluster_id), 0) !=
	    (ssize_t)sizeof(st->cluster_id))
		return SQLITE_IOERR;
	snprintf(pragma, sizeof(pragma), "PRAGMA application_id=%d; PRAGMA user_version=%d;",
		 MGR_APPLICATION_ID, MGR_SCHEMA_VERSION);

	rc = sqlite3_exec(st->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_exec(st->db, mgr_schema, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		goto rollback;
	rc = sqlite3_exec(st->db, pragma, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		goto rollback;
	rc = mgr_sql(st, NULL,
		     "INSERT INTO settings VALUES ('epoch', 1), ('lease_ms', ?),"
		     " ('cluster_id', ?), ('cluster_name', ?)", "ibs",
		     (u64)MGR_DEFAULT_LEASE_MS, st->cluster_id, (int)sizeof(st->cluster_id),
		     cluster_name);
	if (rc != SQLITE_DONE)
		goto rollback;
	rc = sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		return SQLITE_DONE;
rollback:
	sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* Fetch one number. Return: an SQLite result code; SQLITE_DONE is success. */
static int mgr_sql_number(struct mgr_state *st, const char *sql, s64 *value)
{
	sqlite3_stmt *s = NULL;
	int rc;

	rc = sqlite3_prepare_v2(st->db, sql, -1, &s, NULL);
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
static int mgr_db_verify(struct mgr_state *st, char *err, size_t errlen)
{
	s64 value = 0;
	int rc;

	rc = mgr_sql(st, mgr_row_check, "PRAGMA quick_check(1)", "");
	if (rc != SQLITE_DONE)
		return mgr_sql_error(st, rc, "the check", err, errlen);
	rc = mgr_sql_number(st, "PRAGMA application_id", &value);
	if (rc != SQLITE_DONE || value != MGR_APPLICATION_ID)
		return mgr_sql_error(st, SQLITE_NOTADB, "the check", err, errlen);
	rc = mgr_sql_number(st, "PRAGMA user_version", &value);
	if (rc != SQLITE_DONE || value != MGR_SCHEMA_VERSION) {
		snprintf(err, errlen,
			 "%s was written by another version of flint-mgrd: use that version, this one knows schema %d",
			 st->path, MGR_SCHEMA_VERSION);
		return -EPROTONOSUPPORT;
	}
	return 0;
}

/**
 * mgr_state_open() - open or create state.db and load it
 * @out: result
 * @dir: an existing directory
 * @cluster_name: for a new database
 * @err: one sentence with the remedy on failure
 *
 * The caller holds the lock of the state directory.
 *
 * Return: 0 or -errno: -EUCLEAN damaged, -EROFS not writable, -ENOSPC disk
 * full, -EPROTONOSUPPORT another version's database.
 */
int mgr_state_open(struct mgr_state **out, const char *dir, const char *cluster_name,
		   char *err, size_t errlen)
{
	struct mgr_state *st = calloc(1, sizeof(*st));
	s64 tables = 0;
	mode_t mask;
	int rc, ret = -ENOMEM;

	*out = NULL;
	if (!st || asprintf(&st->path, "%s/state.db", dir) < 0) {
		snprintf(err, errlen, "out of memory");
		free(st);
		return ret;
	}
	mask = umask(077);
	rc = sqlite3_open_v2(st->path, &st->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			     NULL);
	umask(mask);
	if (rc != SQLITE_OK)
		goto fail;
	sqlite3_busy_timeout(st->db, 2000);
	rc = sqlite3_exec(st->db,
			  "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			  " PRAGMA foreign_keys=ON;", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		goto fail;
	if (sqlite3_db_readonly(st->db, "main") == 1) {
		rc = SQLITE_READONLY;
		goto fail;
	}

	rc = mgr_sql_number(st, "SELECT count(*) FROM sqlite_schema", &tables);
	if (rc != SQLITE_DONE)
		goto fail;
	if (!tables) {
		rc = mgr_db_init(st, cluster_name);
		if (rc != SQLITE_DONE)
			goto fail;
	} else {
		ret = mgr_db_verify(st, err, errlen);
		if (ret)
			goto close;
	}
	rc = mgr_model_load(st);
	if (rc != SQLITE_DONE)
		goto fail;
	*out = st;
	return 0;
fail:
	ret = mgr_sql_error(st, rc, "opening the database", err, errlen);
close:
	mgr_state_close(st);
	return ret;
}

void mgr_state_close(struct mgr_state *st)
{
	if (!st)
		return;
	mgr_model_clear(st);
	sqlite3_close(st->db);
	free(st->path);
	free(st);
}

/* ---- committing ------------------------------------------------------- */

static int mgr_write_nodes(struct mgr_state *st)
{
	u32 i;
	int rc;

	for (i = 0; i < st->nr_nodes; i++) {
		struct mgr_node *n = &st->nodes[i];

		if (!n->dirty)
			continue;
		rc = mgr_sql(st, NULL,
			     "INSERT INTO nodes(id, role, name, state, addrs) VALUES (?,?,?,?,?)"
			     " ON CONFLICT(id) DO UPDATE SET state=excluded.state,"
			     " addrs=excluded.addrs", "iisib",
			     (u64)n->id, (u64)n->role, n->name, (u64)n->state, n->addrs,
			     (int)sizeof(n->addrs));
		if (rc != SQLITE_DONE)
			return rc;
	}
	return SQLITE_DONE;
}

static int mgr_write_targets(struct mgr_state *st)
{
	u32 i;
	int rc;

	for (i = 0; i < st->nr_targets; i++) {
		struct mgr_target *t = &st->targets[i];

		if (!t->dirty)
			continue;
		rc = mgr_sql(st, NULL,
			     "INSERT INTO targets VALUES (?,?,?,?,?,?,?,?)"
			     " ON CONFLICT(id) DO UPDATE SET node=excluded.node,"
			     " chain=excluded.chain, state=excluded.state, local=excluded.local,"
			     " capacity=excluded.capacity, used=excluded.used", "ibiiiiii",
			     (u64)t->id, t->uuid, (int)sizeof(t->uuid), (u64)t->node,
			     (u64)t->chain, (u64)t->state, (u64)t->local, t->capacity, t->used);
		if (rc != SQLITE_DONE)
			return rc;
	}
	return SQLITE_DONE;
}

static int mgr_write_chains(struct mgr_state *st)
{
	u32 i, j;
	int rc;

	for (i = 0; i < st->nr_chains; i++) {
		struct mgr_chain *c = &st->chains[i];

		if (!c->dirty)
			continue;
		rc = mgr_sql(st, NULL,
			     "INSERT INTO chains VALUES (?,?) ON CONFLICT(id)"
			     " DO UPDATE SET version=excluded.version", "ii",
			     (u64)c->id, (u64)c->version);
		if (rc == SQLITE_DONE)
			rc = mgr_sql(st, NULL, "DELETE FROM chain_targets WHERE chain=?", "i",
				     (u64)c->id);
		for (j = 0; j < c->nr && rc == SQLITE_DONE; j++)
			rc = mgr_sql(st, NULL, "INSERT INTO chain_targets VALUES (?,?,?)", "iii",
				     (u64)c->id, (u64)j, (u64)c->targets[j]);
		if (rc != SQLITE_DONE)
			return rc;
	}
	return SQLITE_DONE;
}

static int mgr_write_tables(struct mgr_state *st)
{
	u32 i, j;
	int rc;

	for (i = 0; i < st->nr_tables; i++) {
		struct mgr_table *t = &st->tables[i];

		if (!t->dirty)
			continue;
		rc = mgr_sql(st, NULL, "INSERT INTO tables VALUES (?,?)", "ii", (u64)t->id,
			     (u64)t->version);
		for (j = 0; j < t->nr && rc == SQLITE_DONE; j++)
			rc = mgr_sql(st, NULL, "INSERT INTO table_chains VALUES (?,?,?,?)", "iiii",
				     (u64)t->id, (u64)t->version, (u64)j, (u64)t->chains[j]);
		if (rc != SQLITE_DONE)
			return rc;
	}
	return SQLITE_DONE;
}

static int mgr_write_fs(struct mgr_state *st)
{
	u32 i;
	int rc;

	for (i = 0; i < st->nr_fs; i++) {
		struct mgr_fs *fs = &st->fs[i];

		if (fs->gone)
			rc = mgr_sql(st, NULL, "DELETE FROM fs WHERE id=?", "i", (u64)fs->id);
		else if (fs->dirty)
			rc = mgr_sql(st, NULL,
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

/* After a commit nothing is dirty and what was deleted is gone. */
static void mgr_model_settle(struct mgr_state *st)
{
	u32 i, keep = 0;

	for (i = 0; i < st->nr_nodes; i++)
		st->nodes[i].dirty = false;
	for (i = 0; i < st->nr_targets; i++)
		st->targets[i].dirty = false;
	for (i = 0; i < st->nr_chains; i++)
		st->chains[i].dirty = false;
	for (i = 0; i < st->nr_tables; i++)
		st->tables[i].dirty = false;
	for (i = 0; i < st->nr_fs; i++) {
		st->fs[i].dirty = false;
		if (!st->fs[i].gone)
			st->fs[keep++] = st->fs[i];
	}
	st->nr_fs = keep;
}

/* Load the model again, keeping what is not stored. */
static void mgr_model_revert(struct mgr_state *st)
{
	struct mgr_node *old = st->nodes;
	u32 nr = st->nr_nodes, i;

	st->nodes = NULL;
	st->nr_nodes = 0;
	if (mgr_model_load(st) != SQLITE_DONE) {
		/* Without its database a manager must not speak: systemd starts it anew. */
		fprintf(stderr, "flint-mgrd: cannot read %s back after a failed write\n", st->path);
		abort();
	}
	for (i = 0; i < nr; i++) {
		struct mgr_node *n = mgr_node_find(st, old[i].id);

		if (!n)
			continue;
		n->incarnation = old[i].incarnation;
		n->displaced = old[i].displaced;
		n->heard_ns = old[i].heard_ns;
	}
	free(old);
}

/**
 * mgr_state_commit() - make every dirty record durable
 * @st: the state
 * @visible: the change shows in the map: raise the epoch with it
 * @err: one sentence on failure
 *
 * Pointers to records are invalid afterwards.
 *
 * Return: 0, or -errno with the model as it was before the change.
 */
int mgr_state_commit(struct mgr_state *st, bool visible, char *err, size_t errlen)
{
	u64 epoch = st->epoch + (visible ? 1 : 0);
	int rc, ret;

	rc = sqlite3_exec(st->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		goto revert;
	rc = mgr_write_nodes(st);
	if (rc == SQLITE_DONE)
		rc = mgr_write_targets(st);
	if (rc == SQLITE_DONE)
		rc = mgr_write_chains(st);
	if (rc == SQLITE_DONE)
		rc = mgr_write_tables(st);
	if (rc == SQLITE_DONE)
		rc = mgr_write_fs(st);
	if (rc == SQLITE_DONE)
		rc = mgr_sql(st, NULL,
			     "UPDATE settings SET value = CASE key WHEN 'epoch' THEN ?"
			     " ELSE ? END WHERE key IN ('epoch', 'lease_ms')", "ii",
			     epoch, (u64)st->lease_ms);
	if (rc != SQLITE_DONE)
		goto rollback;
	rc = sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		goto rollback;
	st->epoch = epoch;
	mgr_model_settle(st);
	return 0;

rollback:
	ret = mgr_sql_error(st, rc, "a change", err, errlen);
	sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
	mgr_model_revert(st);
	return ret;
revert:
	ret = mgr_sql_error(st, rc, "a change", err, errlen);
	mgr_model_revert(st);
	return ret;
}
