// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checks of a whole database, in one read transaction on a connection of its
 * own: SQLite's structures, the checksum of all rows against the one that the
 * commands kept, and what must hold between tables.
 *
 * A table's check is a query that counts what must not be. It goes into
 * verify_sql[] with the words for what it would be.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "../base/hash.h"
#include "schema.h"
#include "store.h"
#include "verify.h"

#define PROGRESS_ROWS	65536
#define PROGRESS_OPS	1000000		/* SQLite's instructions between reports */

/* ---- the checksum ------------------------------------------------------------- */

u64 meta_state_sum(u64 rows, const struct meta_counters *c)
{
	return rows + XXH3_64bits_withSeed(c, sizeof(*c), 0);
}

struct summing {
	struct meta_db *d;
	meta_progress *progress;
	void *arg;
	u64 rows, sum;
};

/* A statement on its next row: 1, 0 at the end, or -errno. */
static int next(struct summing *sm, sqlite3_stmt *st, const char *what)
{
	int ret = st ? meta_step(sm->d, st) : -EIO;

	if (ret == 1 && ++sm->rows % PROGRESS_ROWS == 0 && sm->progress &&
	    !sm->progress(sm->arg, what, sm->rows, 0)) {
		sqlite3_reset(st);
		return -ECANCELED;
	}
	return ret;
}

static int sum_inodes(struct summing *sm)
{
	struct meta_inode i;
	sqlite3_stmt *st;
	int ret;

	if (sqlite3_prepare_v2(sm->d->db, "SELECT ino, " META_INODE_COLS " FROM inode", -1, &st, NULL))
		st = NULL;
	memset(&i, 0, sizeof(i));
	while ((ret = next(sm, st, "inodes")) == 1) {
		i.ino = sqlite3_column_int64(st, 0);
		meta_db_inode_row(st, 1, &i);
		sm->sum += meta_inode_sum(&i);
	}
	sqlite3_finalize(st);
	return ret;
}

static int sum_dents(struct summing *sm)
{
	sqlite3_stmt *st;
	int ret;

	if (sqlite3_prepare_v2(sm->d->db, "SELECT parent, name, cookie, ino, type FROM dentry", -1, &st,
			       NULL))
		st = NULL;
	while ((ret = next(sm, st, "entries")) == 1)
		sm->sum += meta_dent_sum(sqlite3_column_int64(st, 0), sqlite3_column_blob(st, 1),
					 sqlite3_column_bytes(st, 1), sqlite3_column_int64(st, 2),
					 sqlite3_column_int64(st, 3), sqlite3_column_int64(st, 4));
	sqlite3_finalize(st);
	return ret;
}

static int sum_table(struct summing *sm, enum meta_table_id t)
{
	sqlite3_stmt *st = meta_tstmt(sm->d, t, META_TV_ALL);
	u8 *buf = NULL, *p;
	u32 cap = 0, klen, len;
	int ret;

	while ((ret = next(sm, st, meta_table_descs[t].name)) == 1) {
		len = meta_table_fetch(st, t, NULL, &klen);
		if (len > cap) {
			p = realloc(buf, len);
			if (!p) {
				ret = -ENOMEM;
				break;
			}
			buf = p;
			cap = len;
		}
		meta_table_fetch(st, t, buf, &klen);
		sm->sum += meta_row_sum(t, buf, klen, buf + klen, len - klen);
	}
	free(buf);
	return ret;
}

static int checksum_rows(struct summing *sm)
{
	int t, err;

	err = sum_inodes(sm);
	if (!err)
		err = sum_dents(sm);
	for (t = 0; t < META_T_NR && !err; t++)
		err = sum_table(sm, t);
	return err;
}

int meta_checksum_scan(struct meta_db *d, u64 *sum, meta_progress *progress, void *arg)
{
	struct summing sm = { .d = d, .progress = progress, .arg = arg };
	int err = checksum_rows(&sm);

	*sum = sm.sum;
	return err;
}

/* ---- between tables ------------------------------------------------------------ */

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
	{ "granted inode numbers without a session, or that exist already",
	  "SELECT count(*) FROM inogrant g LEFT JOIN session s ON s.id=g.sid WHERE s.id IS NULL"
	  " OR EXISTS (SELECT 1 FROM inode i WHERE i.ino >= g.first AND i.ino < g.end)" },
	{ "hints of leases without a session",
	  "SELECT count(*) FROM hint h LEFT JOIN session s ON s.id=h.sid WHERE s.id IS NULL" },
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
	  " (SELECT count(*) FROM inode i WHERE i.fs=f.id)" },
	{ "directories whose totals are wrong",
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

#define CHECKS	(sizeof(verify_sql) / sizeof(verify_sql[0]))

struct verifying {
	struct meta_db d;
	struct meta_verdict *v;
	meta_progress *progress;
	void *arg;
	const char *what;
	bool canceled;
};

static void problem(struct verifying *vf, const char *fmt, u64 n, const char *what)
{
	size_t at = strlen(vf->v->text), room = sizeof(vf->v->text) - at;
	int len;

	vf->v->problems++;
	len = snprintf(vf->v->text + at, room, fmt, (unsigned long long)n, what);
	if (len < 0 || (size_t)len >= room)
		vf->v->text[at] = 0;
}

static int on_progress(void *arg)
{
	struct verifying *vf = arg;

	if (vf->progress && !vf->progress(vf->arg, vf->what, vf->v->checks, CHECKS + 2))
		vf->canceled = true;
	return vf->canceled;
}

static int check_structure(struct verifying *vf)
{
	sqlite3_stmt *st;
	int ret;

	vf->what = "structure of the file";
	if (sqlite3_prepare_v2(vf->d.db, "PRAGMA quick_check(20)", -1, &st, NULL))
		return -EIO;
	while ((ret = meta_step(&vf->d, st)) == 1) {
		const char *text = (const char *)sqlite3_column_text(st, 0);

		if (text && strcmp(text, "ok"))
			problem(vf, "%.0llu%s\n", 0, text);
	}
	sqlite3_finalize(st);
	vf->v->checks++;
	return ret;
}

static int check_sum(struct verifying *vf)
{
	struct summing sm = { .d = &vf->d, .progress = vf->progress, .arg = vf->arg };
	struct meta_db_state st;
	struct meta_counters c;
	int err = meta_db_state_get(&vf->d, &st);

	if (err)
		return err < 0 ? err : -EUCLEAN;
	c = (struct meta_counters){ st.applied, st.last_ts, st.next_ino, st.next_session,
				    st.next_handle };
	err = checksum_rows(&sm);
	vf->v->rows = sm.rows;
	vf->v->index = st.index;
	vf->v->term = st.term;
	vf->v->checksum = meta_state_sum(st.sum, &c);
	vf->v->checks++;
	if (!err && sm.sum != st.sum)
		problem(vf, "the rows' checksum %016llx is not the one%s\n", sm.sum,
			" that the commands left: a row was changed by something else");
	return err;
}

static int check_tables(struct verifying *vf)
{
	size_t i;
	s64 n;
	int err = 0;

	for (i = 0; i < CHECKS && !err; i++) {
		vf->what = verify_sql[i][0];
		err = meta_db_int(&vf->d, verify_sql[i][1], &n);
		vf->v->checks++;
		if (!err && n)
			problem(vf, "%llu %s\n", n, verify_sql[i][0]);
	}
	return err;
}

int meta_verify(const char *path, struct meta_verdict *v, meta_progress *progress, void *arg)
{
	struct verifying vf = { .v = v, .progress = progress, .arg = arg };
	int err;

	memset(v, 0, sizeof(*v));
	err = meta_db_open(&vf.d, path, false);
	if (!err) {
		sqlite3_progress_handler(vf.d.db, PROGRESS_OPS, on_progress, &vf);
		err = meta_db_exec(&vf.d, "BEGIN");
	}
	if (!err)
		err = check_structure(&vf);
	if (!err)
		err = check_sum(&vf);
	if (!err)
		err = check_tables(&vf);
	if (vf.canceled)
		err = -ECANCELED;
	if (err == -EUCLEAN) {		/* found while looking: that is an answer, too */
		problem(&vf, "%.0llu%s\n", 0, vf.d.err);
		err = 0;
	}
	if (err)
		snprintf(v->text, sizeof(v->text), "%s cannot be checked: %s", path,
			 err == -ECANCELED ? "interrupted" : vf.d.err);
	meta_db_close(&vf.d);
	return err;
}
