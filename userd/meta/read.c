// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading: what LOOKUP, GETATTR, READDIR and the others answer from.
 *
 * A reader has a read-only connection and one prepared statement per question.
 * Each question is one statement, so that its answer is of one state.
 */
#include <errno.h>
#include <stdio.h>
#include "schema.h"
#include "store.h"

#define READER_PRAGMAS	"PRAGMA mmap_size=2147418112; PRAGMA cache_size=-32768;" \
			" PRAGMA query_only=1;"

/* The columns of an inode, each with the table's name before it. */
#define I_COLS "i.fs, i.gen, i.mode, i.nlink, i.uid, i.gid, i.flags, i.rdev_major, i.rdev_minor," \
	" i.size, i.atime, i.mtime, i.ctime, i.btime, i.change, i.parent, i.project," \
	" i.trunc_epoch, i.chunk_shift, i.stripe, i.chain_table, i.table_ver, i.next_cookie, i.data," \
	" i.tree_bytes, i.tree_files, i.tree_dirs"

static int prepare(struct meta_reader *r, const char *sql, sqlite3_stmt **st)
{
	return sqlite3_prepare_v3(r->db, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
}

int meta_reader_open(struct meta_reader *r, const char *path, char *err, size_t errlen)
{
	int rc;

	memset(r, 0, sizeof(*r));
	rc = sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (!rc) {
		sqlite3_busy_timeout(r->db, 10000);
		rc = sqlite3_exec(r->db, READER_PRAGMAS, NULL, NULL, NULL);
	}
	if (!rc)
		rc = prepare(r, "SELECT " META_INODE_COLS " FROM inode WHERE ino=?1", &r->inode);
	/* The outer join finds the directory also when it lacks the entry. */
	if (!rc)
		rc = prepare(r, "SELECT p.mode, p.fs, i.ino, " I_COLS " FROM inode p"
			     " LEFT JOIN dentry d ON d.parent=p.ino AND d.name=?2"
			     " LEFT JOIN inode i ON i.ino=d.ino WHERE p.ino=?1", &r->lookup);
	if (!rc)
		rc = prepare(r, "SELECT cookie, name, ino, type FROM dentry"
			     " INDEXED BY dentry_cookie WHERE parent=?1 AND cookie>?2"
			     " ORDER BY cookie", &r->readdir);
	if (!rc)
		rc = prepare(r, "SELECT d.cookie, d.name, d.ino, d.type, " I_COLS " FROM dentry d"
			     " INDEXED BY dentry_cookie CROSS JOIN inode i ON i.ino=d.ino"
			     " WHERE d.parent=?1 AND d.cookie>?2 ORDER BY d.cookie",
			     &r->readdir_plus);
	if (!rc)
		rc = prepare(r, "SELECT target FROM symlink WHERE ino=?1", &r->symlink);
	if (!rc)
		rc = prepare(r, "SELECT value FROM xattr WHERE ino=?1 AND name=?2", &r->xattr);
	if (!rc)
		rc = prepare(r, "SELECT name FROM xattr WHERE ino=?1 ORDER BY name",
			     &r->xattr_list);
	if (!rc)
		rc = prepare(r, "SELECT files FROM fs WHERE id=?1", &r->fs);
	if (!rc)
		rc = prepare(r, "SELECT ino FROM orphan WHERE ready=1 AND ino>?1 AND ino NOT IN"
			     " (SELECT ino FROM intent) ORDER BY ino LIMIT ?2", &r->orphans);
	if (!rc)
		rc = prepare(r, "SELECT count(*) FROM orphan WHERE ready=1", &r->orphan_count);
	if (!rc)
		rc = prepare(r, "SELECT ino, epoch, size FROM intent WHERE ino>=?1 ORDER BY ino"
			     " LIMIT ?2", &r->intents);
	if (!rc)
		return 0;
	snprintf(err, errlen, "%s cannot be opened for reading (%s)", path,
		 r->db ? sqlite3_errmsg(r->db) : "out of memory");
	meta_reader_close(r);
	return -EIO;
}

void meta_reader_close(struct meta_reader *r)
{
	sqlite3_finalize(r->inode);
	sqlite3_finalize(r->lookup);
	sqlite3_finalize(r->readdir);
	sqlite3_finalize(r->readdir_plus);
	sqlite3_finalize(r->symlink);
	sqlite3_finalize(r->xattr);
	sqlite3_finalize(r->xattr_list);
	sqlite3_finalize(r->fs);
	sqlite3_finalize(r->orphans);
	sqlite3_finalize(r->orphan_count);
	sqlite3_finalize(r->intents);
	sqlite3_close(r->db);
	memset(r, 0, sizeof(*r));
}

/* 1: a row, 0: none (reset), -EIO or -ENOMEM (reset). */
static int step(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	sqlite3_reset(st);
	if (rc == SQLITE_DONE)
		return 0;
	return rc == SQLITE_NOMEM ? -ENOMEM : -EIO;
}

int meta_read_inode(struct meta_reader *r, u64 ino, struct meta_inode *out)
{
	int err;

	sqlite3_bind_int64(r->inode, 1, ino);
	err = step(r->inode);
	if (err != 1)
		return err ? err : -ESTALE;
	memset(out, 0, sizeof(*out));
	out->ino = ino;
	meta_inode_row(r->inode, 0, out);
	sqlite3_reset(r->inode);
	return 0;
}

int meta_read_lookup(struct meta_reader *r, u32 fs, u64 parent, const u8 *name, u32 len,
		     struct meta_inode *out)
{
	sqlite3_stmt *st = r->lookup;
	int err;

	sqlite3_bind_int64(st, 1, parent);
	sqlite3_bind_blob(st, 2, name, len, SQLITE_STATIC);
	err = step(st);
	if (err != 1)
		return err ? err : -ESTALE;
	if (fs && sqlite3_column_int64(st, 1) != fs) {
		err = -ESTALE;
	} else if ((sqlite3_column_int64(st, 0) & 0170000) != 0040000) {
		err = -ENOTDIR;
	} else if (sqlite3_column_type(st, 2) == SQLITE_NULL) {
		err = -ENOENT;
	} else {
		memset(out, 0, sizeof(*out));
		out->ino = sqlite3_column_int64(st, 2);
		meta_inode_row(st, 3, out);
		err = 0;
	}
	sqlite3_reset(st);
	return err;
}

/* One record; 0, or -ENOSPC when it does not fit. */
static int put_dirent(sqlite3_stmt *st, bool plus, u32 valid_ms, u8 *buf, u32 len, u32 *used)
{
	u32 nlen = sqlite3_column_bytes(st, 1);
	u32 rec = flint_dirent_len(nlen, plus);
	struct flint_dirent d = {
		.cookie = cpu_to_le64(sqlite3_column_int64(st, 0)),
		.ino = cpu_to_le64(sqlite3_column_int64(st, 2)),
		.rec_len = cpu_to_le16(rec),
		.name_len = cpu_to_le16(nlen),
		.type = sqlite3_column_int64(st, 3),
		.has_attr = plus,
	};
	u8 *p = buf + *used;

	if (rec > len - *used)
		return -ENOSPC;
	memcpy(p, &d, sizeof(d));
	if (plus) {
		struct meta_inode i = { .ino = le64_to_cpu(d.ino) };
		struct flint_attr a;

		meta_inode_row(st, 4, &i);
		meta_inode_attr(&i, &a);
		a.valid_ms = cpu_to_le32(valid_ms);
		memcpy(p + sizeof(d), &a, sizeof(a));
	}
	memset(p + rec - 8, 0, 8);
	memcpy(p + sizeof(d) + (plus ? sizeof(struct flint_attr) : 0),
	       sqlite3_column_blob(st, 1), nlen);
	*used += rec;
	return 0;
}

int meta_read_dir(struct meta_reader *r, u32 fs, u32 valid_ms, const struct flint_readdir *req,
		  u8 *buf, u32 len, u32 *used, struct flint_readdir_rep *rep)
{
	bool plus = le32_to_cpu(req->flags) & FLINT_READDIR_PLUS;
	sqlite3_stmt *st = plus ? r->readdir_plus : r->readdir;
	struct meta_inode dir;
	u32 nr = 0;
	int err;

	*used = 0;
	memset(rep, 0, sizeof(*rep));
	if (le64_to_cpu(req->cookie) > INT64_MAX)
		return -EINVAL;
	/* Before the entries: a change in between makes the counter too old, never too new. */
	err = meta_read_inode(r, le64_to_cpu(req->ino), &dir);
	if (err)
		return err;
	if (fs && dir.fs != fs)
		return -ESTALE;
	if (!meta_is_dir(&dir))
		return -ENOTDIR;
	sqlite3_bind_int64(st, 1, dir.ino);
	sqlite3_bind_int64(st, 2, le64_to_cpu(req->cookie));
	while ((err = step(st)) == 1) {
		if (put_dirent(st, plus, valid_ms, buf, len, used))
			break;
		nr++;
	}
	sqlite3_reset(st);
	if (err < 0)
		return err;
	if (err && !nr)
		return -EINVAL;
	rep->nr = cpu_to_le32(nr);
	rep->eof = cpu_to_le32(!err);
	rep->dir_change = cpu_to_le64(dir.change);
	return 0;
}

/* Copy a column that may be asked for its length only. */
static int copy_out(sqlite3_stmt *st, u8 *buf, u32 len, u32 *total)
{
	int n = sqlite3_column_bytes(st, 0);
	const void *p = sqlite3_column_blob(st, 0);

	*total = n;
	if (len && (u32)n > len)
		return -ERANGE;
	if (len && n)
		memcpy(buf, p, n);
	return len ? n : 0;
}

int meta_read_link(struct meta_reader *r, u64 ino, u8 *buf, u32 len)
{
	u32 total;
	int err;

	sqlite3_bind_int64(r->symlink, 1, ino);
	err = step(r->symlink);
	if (err != 1)
		return err ? err : -EINVAL;
	err = copy_out(r->symlink, buf, len, &total);
	sqlite3_reset(r->symlink);
	return err;
}

int meta_read_xattr(struct meta_reader *r, u64 ino, const u8 *name, u32 nlen,
		    u8 *buf, u32 len, u32 *total)
{
	int err;

	*total = 0;
	sqlite3_bind_int64(r->xattr, 1, ino);
	sqlite3_bind_blob(r->xattr, 2, name, nlen, SQLITE_STATIC);
	err = step(r->xattr);
	if (err != 1)
		return err ? err : -ENODATA;
	err = copy_out(r->xattr, buf, len, total);
	sqlite3_reset(r->xattr);
	return err;
}

int meta_read_xattr_list(struct meta_reader *r, u64 ino, u8 *buf, u32 len, u32 *total)
{
	u32 used = 0;
	int err;

	*total = 0;
	sqlite3_bind_int64(r->xattr_list, 1, ino);
	while ((err = step(r->xattr_list)) == 1) {
		u32 n = sqlite3_column_bytes(r->xattr_list, 0);

		*total += n + 1;
		if (!len || *total > len)
			continue;
		memcpy(buf + used, sqlite3_column_blob(r->xattr_list, 0), n);
		buf[used + n] = 0;
		used += n + 1;
	}
	if (err)
		return err;
	return len && *total > len ? -ERANGE : (int)used;
}

int meta_read_files(struct meta_reader *r, u32 fs, u64 *files)
{
	int err;

	sqlite3_bind_int64(r->fs, 1, fs);
	err = step(r->fs);
	if (err != 1)
		return err ? err : -ENOENT;
	*files = sqlite3_column_int64(r->fs, 0);
	sqlite3_reset(r->fs);
	return 0;
}

int meta_read_orphans(struct meta_reader *r, u64 after, u64 *inos, int max)
{
	int err, n = 0;

	sqlite3_bind_int64(r->orphans, 1, after);
	sqlite3_bind_int64(r->orphans, 2, max);
	while ((err = step(r->orphans)) == 1)
		inos[n++] = sqlite3_column_int64(r->orphans, 0);
	return err ? err : n;
}

int meta_read_orphan_count(struct meta_reader *r, u64 *nr)
{
	int err = step(r->orphan_count);

	if (err != 1)
		return err ? err : -EIO;
	*nr = sqlite3_column_int64(r->orphan_count, 0);
	sqlite3_reset(r->orphan_count);
	return 0;
}

int meta_read_intents(struct meta_reader *r, u64 from, struct meta_intent *it, int max)
{
	int err, n = 0;

	sqlite3_bind_int64(r->intents, 1, from);
	sqlite3_bind_int64(r->intents, 2, max);
	while ((err = step(r->intents)) == 1) {
		memset(&it[n], 0, sizeof(it[n]));
		it[n].ino = sqlite3_column_int64(r->intents, 0);
		it[n].epoch = sqlite3_column_int64(r->intents, 1);
		it[n].size = sqlite3_column_int64(r->intents, 2);
		n++;
	}
	return err ? err : n;
}
