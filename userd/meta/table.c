// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The small tables: their columns, their SQL, rows between columns and bytes,
 * and the rows that operations know by name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "../base/hash.h"
#include "lease.h"
#include "store.h"
#include "verify.h"

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
	[META_T_HINT] = { "hint", "sid", "q", "buckets", "b", true },
	[META_T_INOGRANT] = { "inogrant", "sid", "q", "first end", "qq", true },
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

/* Bytes of a key or value are well-formed for its types. For every row that is touched. */
static bool fits(const char *types, u32 len)
{
	u32 n = 0;

	while (types[n] == 'q')
		n++;
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

u32 meta_table_fetch_key(sqlite3_stmt *st, enum meta_table_id t, u8 *out)
{
	int col = 0;

	return fetch(st, &col, meta_table_descs[t].ktypes, true, out);
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

/* ---- rows in memory, over the database --------------------------------------- */

u64 meta_row_sum(enum meta_table_id t, const u8 *key, u32 klen, const u8 *val, u32 vlen)
{
	return XXH3_64bits_withSeed(val, vlen, XXH3_64bits_withSeed(key, klen, 3 + t));
}

static u64 rowo_sum(const struct meta_rowo *r)
{
	return r->o.dead ? 0 : meta_row_sum(r->table, meta_rowo_key(r), r->klen, meta_rowo_val(r),
					    r->vlen);
}

/* Height of a row in the ordered list: one in four is higher, and so on. */
static u8 height_of(u32 hash)
{
	u8 h = 1;

	/* not the bits that choose the bucket alone */
	for (hash *= 0x9e3779b1u; h < META_SKIP_MAX && !(hash & 3 << 8); hash >>= 2)
		h++;
	return h;
}

static struct meta_rowo *rowo_new(struct meta_store *s, enum meta_table_id t, u32 hash,
				  const void *key, u32 klen, u32 vlen)
{
	u8 h = height_of(hash);
	struct meta_rowo *r = meta_obj_new(&s->cache, META_K_ROW, sizeof(*r) +
					   h * sizeof(r->fwd[0]) + klen + vlen);

	if (!r)
		return NULL;
	r->table = t;
	r->height = h;
	r->klen = klen;
	r->vlen = vlen;
	memcpy(meta_rowo_key(r), key, klen);
	return r;
}

static void rowo_insert(struct meta_store *s, struct meta_rowo *r, u32 hash)
{
	meta_obj_insert(&s->cache, &r->o, hash);
	meta_order_insert(&s->cache, r);
}

static void list_add(struct meta_store *s, struct meta_rowo *r)
{
	struct meta_cache *c = &s->cache;

	r->o.gen = c->gen;
	r->o.own = 0;
	r->newer = NULL;
	r->older = c->rows;
	if (c->rows)
		c->rows->newer = r;
	c->rows = r;
	c->nr_rows++;
}

static void list_del(struct meta_store *s, struct meta_rowo *r)
{
	if (r->newer)
		r->newer->older = r->older;
	else
		s->cache.rows = r->older;
	if (r->older)
		r->older->newer = r->newer;
	s->cache.nr_rows--;
}

/* Out of table and order; the frozen generation's list keeps what it has. */
static void rowo_drop(struct meta_store *s, struct meta_rowo *r)
{
	struct meta_cache *c = &s->cache;

	meta_order_remove(c, r);
	meta_obj_remove(c, &r->o);
	if (meta_obj_shared(c, &r->o)) {
		r->o.retired = 1;
		return;
	}
	if (r->o.gen == c->gen)
		list_del(s, r);
	meta_obj_free(c, &r->o);
}

static int nomem(struct meta_store *s)
{
	return meta_store_fail(s, -ENOMEM, "out of memory");
}

/* From what a statement stands on. */
static struct meta_rowo *rowo_load(struct meta_store *s, enum meta_table_id t, sqlite3_stmt *st)
{
	struct meta_rowo *r;
	u8 key[META_KEY_MAX];
	u32 klen, len;

	len = meta_table_fetch(st, t, NULL, &klen);
	if (klen > sizeof(key))
		return NULL;
	meta_table_fetch_key(st, t, key);
	r = rowo_new(s, t, meta_hash_row(t, key, klen), key, klen, len - klen);
	if (r)
		meta_table_fetch(st, t, meta_rowo_key(r), &klen);
	return r;
}

/* *@out NULL or dead: there is none. */
static int row_find(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		    u32 hash, struct meta_rowo **out)
{
	sqlite3_stmt *st;
	int err;

	*out = meta_cache_row(&s->cache, hash, t, key, klen);
	if (*out || meta_table_descs[t].resident) {
		s->cache.hits++;
		return 0;
	}
	s->cache.misses++;
	st = meta_tstmt(&s->rd, t, META_TV_GET);
	meta_table_bind_key(st, t, key, klen);
	err = meta_step(&s->rd, st);
	if (err < 0)
		return meta_store_fail(s, err, s->rd.err);
	*out = err ? rowo_load(s, t, st) : rowo_new(s, t, hash, key, klen, 0);
	sqlite3_reset(st);
	if (!*out)
		return nomem(s);
	(*out)->o.dead = !err;
	rowo_insert(s, *out, hash);
	return 0;
}

static int give(const struct meta_rowo *r, struct meta_row *out)
{
	*out = (struct meta_row){ .key = meta_rowo_key(r), .klen = r->klen,
				  .val = meta_rowo_val(r), .vlen = r->vlen };
	return 1;
}

static bool key_ok(enum meta_table_id t, u32 klen)
{
	return klen <= META_KEY_MAX && fits(meta_table_descs[t].ktypes, klen);
}

int meta_row_get(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		 struct meta_row *r)
{
	struct meta_rowo *o;
	int err;

	if (!key_ok(t, klen))
		return 0;
	err = row_find(s, t, key, klen, meta_hash_row(t, key, klen), &o);
	if (err)
		return err;
	return o && !o->o.dead ? give(o, r) : 0;
}

/* The database's first row from @key on that memory does not know better: *@out or NULL. */
static int seek_db(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		   const struct meta_rowo *before, struct meta_rowo **out)
{
	sqlite3_stmt *st = meta_tstmt(&s->rd, t, META_TV_SEEK);
	u8 k[META_KEY_MAX];
	u32 n, hash;
	int err;

	*out = NULL;
	meta_table_bind_key(st, t, key, klen);
	while ((err = meta_step(&s->rd, st)) == 1) {
		n = meta_table_fetch_key(st, t, k);
		if (before && meta_key_cmp(meta_rowo_key(before), before->klen, k, n) <= 0)
			break;
		hash = meta_hash_row(t, k, n);
		if (meta_cache_row(&s->cache, hash, t, k, n))
			continue;	/* dead, or @before would be it */
		*out = rowo_load(s, t, st);
		if (!*out)
			err = nomem(s);
		else
			rowo_insert(s, *out, hash);
		break;
	}
	if (err == 1)
		sqlite3_reset(st);
	return err < 0 ? meta_store_fail(s, err, s->rd.err) : 0;
}

int meta_row_seek(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		  struct meta_row *r)
{
	struct meta_rowo *o, *d = NULL;
	int err;

	if (!key_ok(t, klen))
		return 0;
	o = meta_order_seek(&s->cache, t, key, klen);
	while (o && o->o.dead)
		o = o->fwd[0];
	if (!meta_table_descs[t].resident) {
		err = seek_db(s, t, key, klen, o, &d);
		if (err)
			return err;
	}
	if (d)
		o = d;
	return o ? give(o, r) : 0;
}

int meta_row_put(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		 const void *val, u32 vlen)
{
	struct meta_cache *c = &s->cache;
	struct meta_rowo *r, *n;
	u32 hash;
	int err;

	if (!key_ok(t, klen) || !fits(meta_table_descs[t].vtypes, vlen))
		return meta_store_fail(s, -EINVAL, "a row does not fit its table");
	hash = meta_hash_row(t, key, klen);
	/* What it is now is part of the checksum. */
	err = row_find(s, t, key, klen, hash, &r);
	if (err)
		return err;
	if (r)
		s->sum -= rowo_sum(r);
	if (r && r->vlen == vlen && !meta_obj_shared(c, &r->o)) {
		if (r->o.dead && r->o.gen < c->gen)
			r->o.born = c->gen;
		r->o.dead = 0;
		memmove(meta_rowo_val(r), val, vlen);
		if (r->o.gen != c->gen)
			list_add(s, r);
		s->sum += rowo_sum(r);
		return 0;
	}
	n = rowo_new(s, t, hash, key, klen, vlen);
	if (!n)
		return nomem(s);
	if (vlen)
		memcpy(meta_rowo_val(n), val, vlen);
	n->o.born = !r || (r->o.dead && r->o.gen < c->gen) ? c->gen : r->o.born;
	n->o.ref = 1;
	if (r)
		rowo_drop(s, r);
	rowo_insert(s, n, hash);
	list_add(s, n);
	s->sum += rowo_sum(n);
	return 0;
}

int meta_row_del(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen)
{
	struct meta_cache *c = &s->cache;
	struct meta_rowo *r, *n;
	u32 hash;
	int err;

	if (!key_ok(t, klen))
		return 0;
	hash = meta_hash_row(t, key, klen);
	err = row_find(s, t, key, klen, hash, &r);
	if (err || !r || r->o.dead)
		return err;
	s->sum -= rowo_sum(r);
	/* Never written: as if it had not been. */
	if (r->o.born == c->gen && meta_table_descs[t].resident) {
		rowo_drop(s, r);
		return 0;
	}
	n = rowo_new(s, t, hash, meta_rowo_key(r), klen, 0);
	if (!n)
		return nomem(s);
	n->o.dead = 1;
	n->o.born = r->o.born;
	rowo_drop(s, r);
	rowo_insert(s, n, hash);
	list_add(s, n);
	return 0;
}

int meta_tables_load(struct meta_store *s)
{
	struct meta_rowo *r;
	sqlite3_stmt *st;
	int t, err;

	for (t = 0; t < META_T_NR; t++) {
		if (!meta_table_descs[t].resident)
			continue;
		st = meta_tstmt(&s->rd, t, META_TV_ALL);
		while ((err = meta_step(&s->rd, st)) == 1) {
			r = rowo_load(s, t, st);
			if (!r) {
				sqlite3_reset(st);
				return -ENOMEM;
			}
			rowo_insert(s, r, meta_hash_row(t, meta_rowo_key(r), r->klen));
		}
		if (err)
			return err;
	}
	return 0;
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

int meta_hint_get(struct meta_store *s, u64 sid, u8 *bits)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	err = meta_row_get(s, META_T_HINT, key, meta_key1(key, sid), &r);
	if (err == 1 && r.vlen == LEASE_HINT_BYTES)
		memcpy(bits, r.val, r.vlen);
	else if (err == 1)
		err = 0;
	return err;
}

int meta_hint_put(struct meta_store *s, u64 sid, const u8 *bits)
{
	u8 key[META_KEY_MAX];

	return meta_row_put(s, META_T_HINT, key, meta_key1(key, sid), bits, LEASE_HINT_BYTES);
}

int meta_inogrant_get(struct meta_store *s, u64 sid, struct meta_inogrant *g)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err = meta_row_get(s, META_T_INOGRANT, key, meta_key1(key, sid), &r);

	memset(g, 0, sizeof(*g));
	if (err == 1 && r.vlen == sizeof(*g))
		memcpy(g, r.val, r.vlen);
	return err < 0 ? err : 0;
}

int meta_inogrant_put(struct meta_store *s, u64 sid, const struct meta_inogrant *g)
{
	u8 key[META_KEY_MAX];

	return meta_row_put(s, META_T_INOGRANT, key, meta_key1(key, sid), g, sizeof(*g));
}

int meta_handle_add(struct meta_store *s, const struct meta_handle *h)
{
	u8 key[META_KEY_MAX];
	int err;

	err = meta_row_put(s, META_T_HANDLE, key, meta_key2(key, h->sid, h->id), &h->ino, 16);
	return err ? err : meta_open_adjust(s, h->ino, h->flags, 1);
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
	return err ? err : meta_open_adjust(s, h->ino, h->flags, -1);
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
	if (err) {
		val[1] = host_u64(r.val + 8);	/* since when it is one */
		s->ready_orphans -= host_u64(r.val);
	}
	s->ready_orphans += ready;
	return meta_row_put(s, META_T_ORPHAN, key, 8, val, sizeof(val));
}

int meta_orphan_del(struct meta_store *s, u64 ino)
{
	u8 key[META_KEY_MAX];
	bool ready = false;
	int err;

	err = meta_orphan_get(s, ino, &ready);
	if (err != 1)
		return err;
	s->ready_orphans -= ready;
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
