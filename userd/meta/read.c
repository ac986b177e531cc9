// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading: what LOOKUP, GETATTR, READDIR and the others answer from.
 *
 * A directory's order is that of its cookies, and cookies only grow. So it is
 * the database's rows, then the entries that the frozen generation added, then
 * those of the active one: no merging. Of each, what a later generation removed
 * or gave another cookie is left out; the hash table knows. While the frozen
 * generation is being committed an entry may be in both places: each part
 * begins above the last cookie that was given.
 */
#include <errno.h>
#include <stdio.h>
#include "store.h"

/* ---- a directory in order ----------------------------------------------------- */

struct scan {
	struct meta_store *s;
	const struct meta_inode *dir;
	u64 cookie;		/* last one given */
	bool any;
	int (*emit)(void *arg, const struct meta_dir_entry *e);
	void *arg;
};

static int give(struct scan *sc, u64 cookie, u64 ino, u32 type, const u8 *name, u32 len)
{
	const struct meta_dir_entry e = { cookie, ino, type, name, len };
	struct meta_dir *d = sc->dir->dir;
	int ret = sc->emit(sc->arg, &e);

	/* Nothing is below the first one, and nothing ever will be. */
	if (!sc->any && d && sc->cookie <= d->low && cookie > d->low)
		d->low = cookie - 1;
	sc->any = true;
	sc->cookie = cookie;
	return ret;
}

static int scan_rows(struct scan *sc)
{
	struct meta_cache *c = &sc->s->cache;
	sqlite3_stmt *st = meta_stmt(&sc->s->rd, ST_READDIR);
	const struct meta_dent *d;
	const u8 *name;
	u64 cookie;
	u32 len;
	int err;

	sqlite3_bind_int64(st, 1, sc->dir->ino);
	sqlite3_bind_int64(st, 2, sc->cookie);
	while ((err = meta_step(&sc->s->rd, st)) == 1) {
		cookie = sqlite3_column_int64(st, 0);
		name = sqlite3_column_blob(st, 1);
		len = sqlite3_column_bytes(st, 1);
		d = meta_cache_dent(c, meta_hash_name(sc->dir->ino, name, len), sc->dir->ino, name,
				    len);
		if (d && (d->o.dead || d->cookie != cookie))
			continue;
		if (d)
			err = give(sc, cookie, d->ino, d->type, name, len);
		else
			err = give(sc, cookie, sqlite3_column_int64(st, 2),
				   sqlite3_column_int64(st, 3), name, len);
		if (err)
			break;
	}
	sqlite3_reset(st);
	return err < 0 ? meta_store_fail(sc->s, err, sc->s->rd.err) : err;
}

static u32 fresh_find(const struct meta_fresh *f, u64 cookie)
{
	u32 lo = 0, hi = f->nr;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (f->e[mid].cookie <= cookie)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int scan_fresh(struct scan *sc, const struct meta_fresh *f)
{
	struct meta_cache *c = &sc->s->cache;
	const struct meta_dent *d;
	u32 n;
	int err = 0;

	if (f->gen <= c->flushed)
		return 0;
	for (n = fresh_find(f, sc->cookie); n < f->nr && !err; n++) {
		d = f->e[n].d;
		if (f->gen < c->gen)	/* it may have a successor */
			d = meta_cache_dent(c, meta_hash_name(d->parent, d->name, d->len),
					    d->parent, d->name, d->len);
		if (d && !d->o.dead && d->cookie == f->e[n].cookie)
			err = give(sc, d->cookie, d->ino, d->type, d->name, d->len);
	}
	return err;
}

int meta_dir_scan(struct meta_store *s, const struct meta_inode *dir, u64 after,
		  int (*emit)(void *arg, const struct meta_dir_entry *e), void *arg)
{
	struct scan sc = { .s = s, .dir = dir, .cookie = after, .emit = emit, .arg = arg };
	struct meta_dir *d = dir->dir;
	int err = 0, n;

	if (d && sc.cookie < d->low)
		sc.cookie = d->low;
	if (dir->o.born <= s->cache.flushed)	/* else no row of it is there yet */
		err = scan_rows(&sc);
	/* The older list first; which that is shows their generations. */
	n = d && d->fresh[0].gen < d->fresh[1].gen;
	if (!err && d)
		err = scan_fresh(&sc, &d->fresh[!n]);
	if (!err && d)
		err = scan_fresh(&sc, &d->fresh[n]);
	return err;
}

static int first(void *arg, const struct meta_dir_entry *e)
{
	struct meta_dir_entry *out = arg;

	memcpy((u8 *)out->name, e->name, e->len);
	out->cookie = e->cookie;
	out->ino = e->ino;
	out->type = e->type;
	out->len = e->len;
	return 1;
}

int meta_dentry_first(struct meta_store *s, u64 parent, struct meta_dentry *d, u8 *name, u32 *len)
{
	struct meta_dir_entry e = { .name = name };
	const struct meta_inode *dir;
	int err = meta_inode_peek(s, parent, &dir);

	if (err)
		return err == -ESTALE ? 0 : err;
	err = meta_dir_scan(s, dir, 0, first, &e);
	if (err != 1)
		return err;
	d->ino = e.ino;
	d->cookie = e.cookie;
	d->type = e.type;
	*len = e.len;
	return 1;
}

/* ---- READDIR --------------------------------------------------------------------- */

struct page {
	struct meta_store *s;
	bool plus;
	u32 valid_ms;
	u8 *buf;
	u32 len, used, nr;
};

/* One record; 1 when it does not fit. */
static int put_dirent(void *arg, const struct meta_dir_entry *e)
{
	struct page *pg = arg;
	u32 rec = flint_dirent_len(e->len, pg->plus);
	struct flint_dirent d = {
		.cookie = cpu_to_le64(e->cookie),
		.ino = cpu_to_le64(e->ino),
		.rec_len = cpu_to_le16(rec),
		.name_len = cpu_to_le16(e->len),
		.type = e->type,
		.has_attr = pg->plus,
	};
	const struct meta_inode *i;
	u8 *p = pg->buf + pg->used;
	int err;

	if (rec > pg->len - pg->used)
		return 1;
	memcpy(p, &d, sizeof(d));
	if (pg->plus) {
		struct flint_attr a;

		err = meta_inode_peek(pg->s, e->ino, &i);
		if (err)
			return err == -ESTALE ? -EUCLEAN : err;
		meta_inode_attr(i, &a);
		a.valid_ms = cpu_to_le32(pg->valid_ms);
		memcpy(p + sizeof(d), &a, sizeof(a));
	}
	memset(p + rec - 8, 0, 8);
	memcpy(p + sizeof(d) + (pg->plus ? sizeof(struct flint_attr) : 0), e->name, e->len);
	pg->used += rec;
	pg->nr++;
	return 0;
}

int meta_read_dir(struct meta_store *s, u32 fs, u32 valid_ms, const struct flint_readdir *req,
		  u8 *buf, u32 len, u32 *used, struct flint_readdir_rep *rep)
{
	struct page pg = { .s = s, .plus = le32_to_cpu(req->flags) & FLINT_READDIR_PLUS,
			   .valid_ms = valid_ms, .buf = buf, .len = len };
	const struct meta_inode *dir;
	int err;

	*used = 0;
	memset(rep, 0, sizeof(*rep));
	if (le64_to_cpu(req->cookie) > INT64_MAX)
		return -EINVAL;
	err = meta_inode_peek(s, le64_to_cpu(req->ino), &dir);
	if (err)
		return err;
	if (fs && dir->fs != fs)
		return -ESTALE;
	if (!meta_is_dir(dir))
		return -ENOTDIR;
	err = meta_dir_scan(s, dir, le64_to_cpu(req->cookie), put_dirent, &pg);
	rep->dir_change = cpu_to_le64(dir->change);
	rep->next_cookie = cpu_to_le64(dir->next_cookie);
	meta_cache_trim(&s->cache);
	if (err < 0)
		return err;
	if (err && !pg.nr)
		return -EINVAL;
	*used = pg.used;
	rep->nr = cpu_to_le32(pg.nr);
	rep->eof = cpu_to_le32(!err);
	return 0;
}

/* ---- one inode -------------------------------------------------------------------- */

int meta_read_inode(struct meta_store *s, u64 ino, struct meta_inode *out)
{
	const struct meta_inode *i;
	int err = meta_inode_peek(s, ino, &i);

	if (!err)
		*out = *i;
	meta_cache_trim(&s->cache);
	return err;
}

int meta_read_lookup(struct meta_store *s, u32 fs, u64 parent, const u8 *name, u32 len,
		     struct meta_inode *out)
{
	const struct meta_inode *dir, *i;
	struct meta_dentry d;
	int err = meta_inode_peek(s, parent, &dir);

	if (!err && fs && dir->fs != fs)
		err = -ESTALE;
	if (!err && !meta_is_dir(dir))
		err = -ENOTDIR;
	if (!err)
		err = meta_dentry_get(s, parent, name, len, &d);
	if (!err) {
		err = meta_inode_peek(s, d.ino, &i);
		if (err == -ESTALE)
			err = -EUCLEAN;
	}
	if (!err)
		*out = *i;
	meta_cache_trim(&s->cache);
	return err;
}

/* Copy what may be asked for its length only. */
static int copy_out(const u8 *p, u32 n, u8 *buf, u32 len, u32 *total)
{
	*total = n;
	if (len && n > len)
		return -ERANGE;
	if (len && n)
		memcpy(buf, p, n);
	return len ? n : 0;
}

int meta_read_link(struct meta_store *s, u64 ino, u8 *buf, u32 len)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	u32 total;
	int err = meta_row_get(s, META_T_SYMLINK, key, meta_key1(key, ino), &r);

	err = err == 1 ? copy_out(r.val, r.vlen, buf, len, &total) : err ? err : -EINVAL;
	meta_cache_trim(&s->cache);
	return err;
}

int meta_read_xattr(struct meta_store *s, u64 ino, const u8 *name, u32 nlen,
		    u8 *buf, u32 len, u32 *total)
{
	const u8 *val;
	u32 vlen;
	int err = meta_xattr_get(s, ino, name, nlen, &val, &vlen);

	*total = 0;
	err = err == 1 ? copy_out(val, vlen, buf, len, total) : err ? err : -ENODATA;
	meta_cache_trim(&s->cache);
	return err;
}

int meta_read_xattr_list(struct meta_store *s, u64 ino, u8 *buf, u32 len, u32 *total)
{
	u8 at[FLINT_NAME_MAX + 1];
	struct meta_row r;
	u32 used = 0, alen = 0;
	int err;

	*total = 0;
	while ((err = meta_xattr_next(s, ino, at, alen, &r)) == 1) {
		alen = r.klen - 8;
		memcpy(at, r.key + 8, alen);
		*total += alen + 1;
		if (!len || *total > len)
			continue;
		memcpy(buf + used, at, alen);
		buf[used + alen] = 0;
		used += alen + 1;
	}
	meta_cache_trim(&s->cache);
	if (err)
		return err;
	return len && *total > len ? -ERANGE : (int)used;
}

/* ---- lists ------------------------------------------------------------------------ */

int meta_read_files(struct meta_store *s, u32 fs, u64 *files)
{
	const struct meta_fs *f = meta_fs_get(s, fs);

	if (!f)
		return -ENOENT;
	*files = f->files;
	return 0;
}

int meta_read_orphans(struct meta_store *s, u64 after, u64 *inos, int max)
{
	u8 key[META_KEY_MAX];
	struct meta_intent it;
	struct meta_row r;
	int err = 0, n = 0;

	while (n < max && (err = meta_row_seek(s, META_T_ORPHAN, key,
					       meta_key1(key, after + 1), &r)) == 1) {
		u64 ready;

		after = meta_key_u64(r.key, 0);
		memcpy(&ready, r.val, sizeof(ready));
		if (!ready)
			continue;
		err = meta_intent_get(s, after, &it);
		if (err < 0)
			return err;
		if (!err)
			inos[n++] = after;
	}
	meta_cache_trim(&s->cache);
	return n < max && err < 0 ? err : n;
}

int meta_read_orphan_count(struct meta_store *s, u64 *nr)
{
	*nr = s->ready_orphans;
	return 0;
}

int meta_read_intents(struct meta_store *s, u64 from, struct meta_intent *it, int max)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int n, err;

	for (n = 0; n < max; n++) {
		err = meta_row_seek(s, META_T_INTENT, key, meta_key1(key, from), &r);
		if (err != 1)
			return err < 0 ? err : n;
		from = meta_key_u64(r.key, 0) + 1;
		err = meta_intent_get(s, from - 1, &it[n]);
		if (err < 0)
			return err;
	}
	return n;
}
