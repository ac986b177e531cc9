// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The small tables: their columns, their SQL, rows between columns and bytes,
 * and the rows that operations know by name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "store.h"
#include "tablesql.h"

const struct meta_table_desc meta_table_descs[META_T_NR] = {
	[META_T_SETTING] = { "setting", "name", "t", "value", "b", true },
	[META_T_FS] = { "fs", "id", "q", "root files name", "qqt", true },
	[META_T_SYMLINK] = { "symlink", "ino", "q", "target", "b", false },
	[META_T_XATTR] = { "xattr", "ino name", "qb", "value", "b", false },
	[META_T_SESSION] = { "session", "id", "q",
			     "fs root flags opened squash_uid squash_gid expires client",
			     "qqqqqqqb", true },
	[META_T_HANDLE] = { "handle", "sid id", "qq", "ino flags", "qq", true },
	[META_T_REPLY] = { "reply", "sid seq", "qq", "low digest status body", "qqqb", true },
	[META_T_ORPHAN] = { "orphan", "ino", "q", "ready since", "qq", false },
	[META_T_INTENT] = { "intent", "ino", "q", "epoch size sid seq digest op handle since",
			    "qqqqqqqq", true },
	[META_T_INTENT_SEQ] = { "waiter", "sid seq", "qq", "ino", "q", true },
	[META_T_LINK] = { "link", "ino dir", "qq", "names", "q", false },
	[META_T_QUOTA] = { "quota", "fs kind id", "qqq",
			   "grace space_soft space_hard inode_soft inode_hard space_since"
			   " inode_since space inodes", "qqqqqqqqq", true },
	[META_T_TRASH] = { "trash", "fs ino", "qq", "parent deleted expires name", "qqqb", false },
	[META_T_EXPIRY] = { "expiry", "expires fs ino", "qqq", "", "", false },
	[META_T_HIDDEN] = { "hidden", "fs which", "qq", "ino", "q", true },
	[META_T_KEEP] = { "keep", "fs ino", "qq", "seconds", "q", true },
	[META_T_DIRNAME] = { "dirname", "ino", "q", "name", "b", false },
};

/* ---- SQL --------------------------------------------------------------------- */

static void add(char *sql, size_t len, const char *text)
{
	size_t n = strlen(sql);

	snprintf(sql + n, len - n, "%s", text);
}

/* Column names separated by commas. */
static void add_cols(char *sql, size_t len, const char *cols)
{
	size_t n = strlen(sql);

	for (; *cols && n + 3 < len; cols++) {
		if (*cols == ' ')
			sql[n++] = ',';
		sql[n++] = *cols;
	}
	sql[n] = 0;
}

static void add_params(char *sql, size_t len, size_t from, size_t nr)
{
	char p[32];
	size_t i;

	for (i = 0; i < nr; i++) {
		snprintf(p, sizeof(p), "%s?%zu", i ? "," : "", from + i);
		add(sql, len, p);
	}
}

static void add_key_cond(char *sql, size_t len, const struct meta_table_desc *d, const char *rel)
{
	add(sql, len, " WHERE (");
	add_cols(sql, len, d->key);
	add(sql, len, ")");
	add(sql, len, rel);
	add(sql, len, "(");
	add_params(sql, len, 1, strlen(d->ktypes));
	add(sql, len, ")");
}

void meta_table_ddl(const struct meta_table_desc *d, char *sql, size_t len)
{
	const char *cols[2] = { d->key, d->val }, *types[2] = { d->ktypes, d->vtypes };
	char name[64];
	int i;

	snprintf(sql, len, "CREATE TABLE IF NOT EXISTS %s(", d->name);
	for (i = 0; i < 2; i++) {
		const char *c = cols[i], *t;

		for (t = types[i]; *t; t++) {
			size_t n = strcspn(c, " ");

			snprintf(name, sizeof(name), "%.*s %s NOT NULL, ", (int)n, c,
				 *t == 'q' ? "INT" : *t == 't' ? "TEXT" : "BLOB");
			add(sql, len, name);
			c += n + (c[n] == ' ');
		}
	}
	add(sql, len, "PRIMARY KEY(");
	add_cols(sql, len, d->key);
	add(sql, len, ")) STRICT, WITHOUT ROWID");
}

static void build(const struct meta_table_desc *d, enum meta_table_verb v, char *sql, size_t len)
{
	size_t nk = strlen(d->ktypes), nv = strlen(d->vtypes);

	*sql = 0;
	switch (v) {
	case META_TV_GET:
	case META_TV_SEEK:
	case META_TV_ALL:
		add(sql, len, "SELECT ");
		add_cols(sql, len, d->key);
		if (nv)
			add(sql, len, ",");
		add_cols(sql, len, d->val);
		add(sql, len, " FROM ");
		add(sql, len, d->name);
		if (v != META_TV_ALL)
			add_key_cond(sql, len, d, v == META_TV_GET ? "=" : ">=");
		if (v != META_TV_GET) {
			add(sql, len, " ORDER BY ");
			add_cols(sql, len, d->key);
		}
		if (v == META_TV_SEEK)
			add(sql, len, " LIMIT 1");
		break;
	case META_TV_PUT:
		add(sql, len, "REPLACE INTO ");
		add(sql, len, d->name);
		add(sql, len, "(");
		add_cols(sql, len, d->key);
		if (nv)
			add(sql, len, ",");
		add_cols(sql, len, d->val);
		add(sql, len, ") VALUES(");
		add_params(sql, len, 1, nk + nv);
		add(sql, len, ")");
		break;
	default:
		add(sql, len, "DELETE FROM ");
		add(sql, len, d->name);
		add_key_cond(sql, len, d, "=");
	}
}

int meta_table_prepare(sqlite3 *db, enum meta_table_id t, enum meta_table_verb v,
		       sqlite3_stmt **st)
{
	char sql[512];

	build(&meta_table_descs[t], v, sql, sizeof(sql));
	return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
}

/* ---- bytes to columns and back --------------------------------------------------- */

/* Bytes of a key or value are well-formed for its types. */
static bool fits(const char *types, u32 len)
{
	size_t n = strspn(types, "q");

	return types[n] ? len >= 8 * n : len == 8 * n;
}

static u64 host_u64(const u8 *p)
{
	u64 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void bind(sqlite3_stmt *st, int col, const char *types, bool key, const u8 *p, u32 len)
{
	u32 at = 0;

	for (; *types; types++, col++) {
		if (*types == 'q') {
			sqlite3_bind_int64(st, col, key ? meta_key_u64(p, at) : host_u64(p + at));
			at += 8;
		} else if (*types == 't') {
			sqlite3_bind_text(st, col, (const char *)p + at, len - at, SQLITE_STATIC);
		} else if (len > at) {
			sqlite3_bind_blob(st, col, p + at, len - at, SQLITE_STATIC);
		} else {
			sqlite3_bind_zeroblob(st, col, 0);
		}
	}
}

int meta_table_bind_key(sqlite3_stmt *st, enum meta_table_id t, const void *key, u32 len)
{
	const struct meta_table_desc *d = &meta_table_descs[t];

	if (!fits(d->ktypes, len) || len > META_KEY_MAX)
		return -EINVAL;
	bind(st, 1, d->ktypes, true, key, len);
	return 0;
}

int meta_table_bind_val(sqlite3_stmt *st, enum meta_table_id t, const void *val, u32 len)
{
	const struct meta_table_desc *d = &meta_table_descs[t];

	if (!fits(d->vtypes, len))
		return -EINVAL;
	bind(st, 1 + strlen(d->ktypes), d->vtypes, false, val, len);
	return 0;
}

static u32 fetch(sqlite3_stmt *st, int *col, const char *types, bool key, u8 *out)
{
	u32 at = 0;

	for (; *types; types++, (*col)++) {
		u64 v;

		if (*types != 'q') {
			const void *p = sqlite3_column_blob(st, *col);
			u32 n = sqlite3_column_bytes(st, *col);

			if (out && n)
				memcpy(out + at, p, n);
			at += n;
			continue;
		}
		v = sqlite3_column_int64(st, *col);
		if (out && key)
			meta_key_put(out, at, v);
		else if (out)
			memcpy(out + at, &v, sizeof(v));
		at += 8;
	}
	return at;
}

u32 meta_table_fetch(sqlite3_stmt *st, enum meta_table_id t, u8 *out, u32 *klen)
{
	const struct meta_table_desc *d = &meta_table_descs[t];
	int col = 0;
	u32 vlen;

	*klen = fetch(st, &col, d->ktypes, true, out);
	vlen = fetch(st, &col, d->vtypes, false, out ? out + *klen : NULL);
	return *klen + vlen;
}

/* ---- rows, for now straight in the database -------------------------------------- */

static sqlite3_stmt *stmt(struct meta_store *s, enum meta_table_id t, enum meta_table_verb v)
{
	sqlite3_stmt **st = &s->tstmt[t][v];

	if (!*st && meta_table_prepare(s->db, t, v, st))
		return NULL;
	sqlite3_reset(*st);
	return *st;
}

static int fetch_row(struct meta_store *s, enum meta_table_id t, enum meta_table_verb v,
		     const void *key, u32 klen, struct meta_row *r)
{
	sqlite3_stmt *st = stmt(s, t, v);
	u8 **buf = &s->rowbuf[s->rownr++ % META_ROWBUFS], *p;
	u32 kl, len;
	int err;

	if (!st)
		return -ENOMEM;
	err = meta_table_bind_key(st, t, key, klen);
	if (!err)
		err = meta_step(s, st);
	if (err != 1)
		return err;
	len = meta_table_fetch(st, t, NULL, &kl);
	p = realloc(*buf, len + 1);
	if (p) {
		*buf = p;
		meta_table_fetch(st, t, p, &kl);
		*r = (struct meta_row){ .key = p, .klen = kl, .val = p + kl, .vlen = len - kl };
	}
	sqlite3_reset(st);
	return p ? 1 : -ENOMEM;
}

int meta_row_get(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		 struct meta_row *r)
{
	return fetch_row(s, t, META_TV_GET, key, klen, r);
}

int meta_row_seek(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		  struct meta_row *r)
{
	return fetch_row(s, t, META_TV_SEEK, key, klen, r);
}

int meta_row_put(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		 const void *val, u32 vlen)
{
	sqlite3_stmt *st = stmt(s, t, META_TV_PUT);
	int err;

	if (!st)
		return -ENOMEM;
	err = meta_table_bind_key(st, t, key, klen);
	if (!err)
		err = meta_table_bind_val(st, t, val, vlen);
	return err ? err : meta_run(s, st);
}

int meta_row_del(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen)
{
	sqlite3_stmt *st = stmt(s, t, META_TV_DEL);
	int err;

	if (!st)
		return -ENOMEM;
	err = meta_table_bind_key(st, t, key, klen);
	return err ? err : meta_run(s, st);
}

int meta_row_del_prefix(struct meta_store *s, enum meta_table_id t, const void *prefix, u32 plen)
{
	u8 key[META_KEY_MAX] = { 0 };
	struct meta_row r;
	u32 min = 8 * strspn(meta_table_descs[t].ktypes, "q");
	int err;

	/* The least key with that prefix: numbers that are not given are 0. */
	memcpy(key, prefix, plen);
	while ((err = meta_row_seek(s, t, key, plen > min ? plen : min, &r)) == 1 &&
	       meta_row_has_prefix(&r, prefix, plen)) {
		memcpy(key, r.key, r.klen);
		err = meta_row_del(s, t, key, r.klen);
		if (err)
			return err;
		memset(key + plen, 0, sizeof(key) - plen);
	}
	return err < 0 ? err : 0;
}

/* ---- handles ------------------------------------------------------------------ */

static void handle_from(struct meta_handle *h, const struct meta_row *r)
{
	h->sid = meta_key_u64(r->key, 0);
	h->id = meta_key_u64(r->key, 8);
	memcpy(&h->ino, r->val, 16);
}

int meta_handle_add(struct meta_store *s, const struct meta_handle *h)
{
	u8 key[META_KEY_MAX];
	int err;

	err = meta_row_put(s, META_T_HANDLE, key, meta_key2(key, h->sid, h->id), &h->ino, 16);
	return err ? err : meta_open_adjust(s, h->ino, 1);
}

int meta_handle_get(struct meta_store *s, u64 sid, u64 id, struct meta_handle *h)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	if (sid > INT64_MAX || id > INT64_MAX)
		return 0;
	err = meta_row_get(s, META_T_HANDLE, key, meta_key2(key, sid, id), &r);
	if (err == 1)
		handle_from(h, &r);
	return err;
}

int meta_handle_next(struct meta_store *s, u64 sid, u64 after, struct meta_handle *h)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	err = meta_row_seek(s, META_T_HANDLE, key, meta_key2(key, sid, after + 1), &r);
	if (err != 1 || meta_key_u64(r.key, 0) != sid)
		return err < 0 ? err : 0;
	handle_from(h, &r);
	return 1;
}

int meta_handle_del(struct meta_store *s, const struct meta_handle *h)
{
	u8 key[META_KEY_MAX];
	int err;

	err = meta_row_del(s, META_T_HANDLE, key, meta_key2(key, h->sid, h->id));
	return err ? err : meta_open_adjust(s, h->ino, -1);
}

/* ---- truncations under way -------------------------------------------------------- */

int meta_intent_get(struct meta_store *s, u64 ino, struct meta_intent *it)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	err = meta_row_get(s, META_T_INTENT, key, meta_key1(key, ino), &r);
	if (err == 1) {
		it->ino = ino;
		memcpy(&it->epoch, r.val, sizeof(*it) - 8);
	}
	return err;
}

int meta_intent_by_seq(struct meta_store *s, u64 sid, u64 seq, struct meta_intent *it)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	err = meta_row_get(s, META_T_INTENT_SEQ, key, meta_key2(key, sid, seq), &r);
	return err == 1 ? meta_intent_get(s, host_u64(r.val), it) : err;
}

int meta_intent_add(struct meta_store *s, struct meta_intent *it)
{
	u8 key[META_KEY_MAX];
	int err;

	it->since = s->now;
	err = meta_row_put(s, META_T_INTENT, key, meta_key1(key, it->ino), &it->epoch,
			   sizeof(*it) - 8);
	if (!err && it->seq)
		err = meta_row_put(s, META_T_INTENT_SEQ, key, meta_key2(key, it->sid, it->seq),
				   &it->ino, 8);
	return err;
}

int meta_intent_del(struct meta_store *s, const struct meta_intent *it)
{
	u8 key[META_KEY_MAX];
	int err;

	err = meta_row_del(s, META_T_INTENT, key, meta_key1(key, it->ino));
	if (!err && it->seq)
		err = meta_row_del(s, META_T_INTENT_SEQ, key, meta_key2(key, it->sid, it->seq));
	return err;
}

/* ---- unlinked inodes ---------------------------------------------------------------- */

int meta_orphan_get(struct meta_store *s, u64 ino, bool *ready)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	err = meta_row_get(s, META_T_ORPHAN, key, meta_key1(key, ino), &r);
	if (err == 1)
		*ready = host_u64(r.val);
	return err;
}

int meta_orphan_put(struct meta_store *s, u64 ino, bool ready)
{
	u64 val[2] = { ready, s->now };
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	err = meta_row_get(s, META_T_ORPHAN, key, meta_key1(key, ino), &r);
	if (err < 0)
		return err;
	if (err)
		val[1] = host_u64(r.val + 8);	/* since when it is one */
	return meta_row_put(s, META_T_ORPHAN, key, 8, val, sizeof(val));
}

int meta_orphan_del(struct meta_store *s, u64 ino)
{
	u8 key[META_KEY_MAX];

	return meta_row_del(s, META_T_ORPHAN, key, meta_key1(key, ino));
}

/* ---- link targets, extended attributes ------------------------------------------------- */

int meta_symlink_set(struct meta_store *s, u64 ino, const u8 *target, u32 len)
{
	u8 key[META_KEY_MAX];

	return meta_row_put(s, META_T_SYMLINK, key, meta_key1(key, ino), target, len);
}

int meta_xattr_get(struct meta_store *s, u64 ino, const void *name, u32 nlen, const u8 **val,
		   u32 *vlen)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	if (nlen > FLINT_NAME_MAX)
		return 0;
	err = meta_row_get(s, META_T_XATTR, key, meta_key1b(key, ino, name, nlen), &r);
	if (err == 1) {
		*val = r.val;
		*vlen = r.vlen;
	}
	return err;
}

int meta_xattr_set(struct meta_store *s, u64 ino, const void *name, u32 nlen, const void *val,
		   u32 vlen)
{
	u8 key[META_KEY_MAX];

	return meta_row_put(s, META_T_XATTR, key, meta_key1b(key, ino, name, nlen), val, vlen);
}

int meta_xattr_del(struct meta_store *s, u64 ino, const void *name, u32 nlen)
{
	u8 key[META_KEY_MAX];

	return meta_row_del(s, META_T_XATTR, key, meta_key1b(key, ino, name, nlen));
}

int meta_xattr_next(struct meta_store *s, u64 ino, const void *after, u32 alen, struct meta_row *r)
{
	u8 key[META_KEY_MAX + 1];
	u32 len = meta_key1b(key, ino, after, alen);
	int err;

	if (alen)
		key[len++] = 0;		/* the next possible name */
	err = meta_row_seek(s, META_T_XATTR, key, len, r);
	if (err == 1 && !meta_row_has_prefix(r, key, 8))
		err = 0;
	return err;
}
