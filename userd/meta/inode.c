// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Inodes and entries in memory, over the database; sessions, counts of open
 * handles and file systems, which are derived from rows.
 *
 * The checksum of the state is the sum of one hash for each row there is. An
 * inode's share is taken when a command gets it to change it and put back when
 * the command ends (meta_inodes_settle()); so a change that nobody declared by
 * meta_inode_dirty() is found there, too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "../base/hash.h"
#include "store.h"
#include "verify.h"

void meta_inode_layout(const struct meta_inode *i, struct flint_layout *l)
{
	u64 state = meta_is_reg(i) && i->next_cookie ? i->next_cookie : i->ino;

	memset(l, 0, sizeof(*l));
	l->version = FLINT_PLACEMENT_V1;
	l->chunk_shift = i->chunk_shift;
	l->stripe = cpu_to_le16(i->stripe);
	l->table = cpu_to_le32(i->table);
	l->table_ver = cpu_to_le32(i->table_ver);
	l->seed = cpu_to_le64(flint_splitmix64(&state));
}

void meta_inode_attr(const struct meta_inode *i, struct flint_attr *a)
{
	memset(a, 0, sizeof(*a));
	a->ino = cpu_to_le64(i->ino);
	a->gen = cpu_to_le32(i->gen);
	a->mode = cpu_to_le32(i->mode);
	a->nlink = cpu_to_le32(i->flags & META_INO_TRASH ? 0 : i->nlink);
	a->uid = cpu_to_le32(i->uid);
	a->gid = cpu_to_le32(i->gid);
	a->flags = cpu_to_le32((i->flags & (META_INO_WIRE | META_INO_TOLD)) |
			       (i->flags & META_INO_XATTR ? 0 : FLINT_INO_NO_XATTR));
	a->rdev_major = cpu_to_le32(i->rdev_major);
	a->rdev_minor = cpu_to_le32(i->rdev_minor);
	a->size = cpu_to_le64(i->size);
	if (meta_is_reg(i))
		a->bytes = cpu_to_le64((i->size + 4095) & ~4095ull);
	a->atime = cpu_to_le64(i->atime);
	a->mtime = cpu_to_le64(i->mtime);
	a->ctime = cpu_to_le64(i->ctime);
	a->btime = cpu_to_le64(i->btime);
	a->change = cpu_to_le64(i->change);
	if (meta_is_dir(i))
		a->parent = cpu_to_le64(i->parent);
	a->project = cpu_to_le32(i->project);
	a->trunc_epoch = cpu_to_le32(i->trunc_epoch);
	a->fs = cpu_to_le32(i->fs);
	meta_inode_layout(i, &a->layout);
}

u64 meta_inode_sum(const struct meta_inode *i)
{
	return i->o.dead ? 0 : XXH3_64bits_withSeed((const u8 *)i + META_INODE_ROW_AT,
						    META_INODE_ROW_LEN, 1);
}

u64 meta_dent_sum(u64 parent, const u8 *name, u32 len, u64 cookie, u64 ino, u32 type)
{
	const u64 v[4] = { parent, cookie, ino, type };

	return XXH3_64bits_withSeed(name, len, XXH3_64bits_withSeed(v, sizeof(v), 2));
}

static u64 dent_sum(const struct meta_dent *d)
{
	return d->o.dead ? 0 : meta_dent_sum(d->parent, d->name, d->len, d->cookie, d->ino,
					     d->type);
}

/* ---- inodes --------------------------------------------------------------- */

static int nomem(struct meta_store *s)
{
	return meta_store_fail(s, -ENOMEM, "out of memory");
}

/* From memory or the database; dead when there is none. */
static int inode_find(struct meta_store *s, u64 ino, struct meta_inode **out)
{
	struct meta_inode *i = meta_cache_inode(&s->cache, ino);
	int err;

	*out = i;
	if (i) {
		s->cache.hits++;
		return 0;
	}
	s->cache.misses++;
	i = meta_obj_new(&s->cache, META_K_INODE, sizeof(*i));
	if (!i)
		return nomem(s);
	i->ino = ino;
	err = ino > INT64_MAX ? 0 : meta_db_inode_get(&s->rd, ino, i);
	if (err < 0) {
		meta_obj_free(&s->cache, &i->o);
		return meta_store_fail(s, err, s->rd.err);
	}
	i->o.dead = !err;
	meta_obj_insert(&s->cache, &i->o, meta_hash_ino(ino));
	*out = i;
	return 0;
}

int meta_inode_peek(struct meta_store *s, u64 ino, const struct meta_inode **out)
{
	struct meta_inode *i;
	int err = inode_find(s, ino, &i);

	*out = i;
	return err ? err : i->o.dead ? -ESTALE : 0;
}

static int touch(struct meta_store *s, struct meta_inode *i, u64 old)
{
	struct meta_cache *c = &s->cache;
	struct meta_touch *t;

	if (c->nr_touched == c->cap_touched) {
		u32 cap = c->cap_touched ? 2 * c->cap_touched : 64;

		t = realloc(c->touched, cap * sizeof(*t));
		if (!t)
			return nomem(s);
		c->touched = t;
		c->cap_touched = cap;
	}
	c->touched[c->nr_touched++] = (struct meta_touch){ .i = i, .old = old };
	i->o.touched = 1;
	return 0;
}

int meta_inode_get(struct meta_store *s, u64 ino, struct meta_inode **out)
{
	struct meta_inode *i;
	int err = inode_find(s, ino, &i);

	if (err)
		return err;
	*out = i;
	if (i->o.touched)
		return i->o.dead ? -ESTALE : 0;
	if (i->o.dead)
		return -ESTALE;
	if (meta_obj_shared(&s->cache, &i->o)) {
		i = meta_obj_own(&s->cache, &i->o);
		if (!i)
			return nomem(s);
		*out = i;
	}
	return touch(s, i, meta_inode_sum(i));
}

static int obj_dirty(struct meta_store *s, struct meta_obj *o, struct meta_vec *v)
{
	if (o->gen == s->cache.gen)
		return 0;
	o->gen = s->cache.gen;
	o->own = 0;
	return meta_vec_add(v, o) ? nomem(s) : 0;
}

void meta_inode_dirty(struct meta_store *s, struct meta_inode *i)
{
	obj_dirty(s, &i->o, &s->cache.inodes);
}

struct meta_inode *meta_inode_new(struct meta_store *s, u64 ino)
{
	struct meta_inode *i = meta_obj_new(&s->cache, META_K_INODE, sizeof(*i)), *old;

	if (!i || touch(s, i, 0)) {
		nomem(s);
		return NULL;
	}
	i->ino = ino ? ino : s->c.next_ino++;
	old = meta_cache_inode(&s->cache, i->ino);
	if (old && meta_obj_clean(&s->cache, &old->o)) {	/* was looked for in vain */
		meta_obj_remove(&s->cache, &old->o);
		meta_obj_free(&s->cache, &old->o);
	}
	i->gen = 1;
	i->o.born = s->cache.gen;
	i->o.ref = 1;
	meta_obj_insert(&s->cache, &i->o, meta_hash_ino(i->ino));
	meta_inode_dirty(s, i);
	return i;
}

int meta_inode_delete(struct meta_store *s, struct meta_inode *i)
{
	struct meta_fs *fs = meta_fs_get(s, i->fs);
	u8 key[META_KEY_MAX];
	u32 klen = meta_key1(key, i->ino);
	int err = 0;

	if (i->flags & META_INO_XATTR)
		err = meta_row_del_prefix(s, META_T_XATTR, key, klen);
	if (!err && meta_is_lnk(i))
		err = meta_row_del(s, META_T_SYMLINK, key, klen);
	if (err)
		return err;
	if (fs) {
		fs->files--;
		fs->dirty = true;
	}
	i->o.dead = 1;
	meta_inode_dirty(s, i);
	return 0;
}

void meta_inodes_settle(struct meta_store *s)
{
	struct meta_cache *c = &s->cache;
	u32 n;

	for (n = 0; n < c->nr_touched; n++) {
		struct meta_inode *i = c->touched[n].i;
		u64 sum = meta_inode_sum(i);

		i->o.touched = 0;
		if (sum == c->touched[n].old)
			continue;
		meta_inode_dirty(s, i);
		s->sum += sum - c->touched[n].old;
	}
	c->nr_touched = 0;
}

/* ---- entries -------------------------------------------------------------- */

/* What is known of a directory's entries; NULL: no memory. */
static struct meta_dir *dir_get(struct meta_store *s, struct meta_inode *dir)
{
	if (!dir->dir) {
		dir->dir = calloc(1, sizeof(*dir->dir));
		if (dir->dir)
			dir->dir->tag = ++s->cache.tags;
	}
	return dir->dir;
}

/* All entries are in memory. */
static bool dir_complete(const struct meta_inode *dir)
{
	return !dir->size || (dir->dir && dir->dir->cached == dir->size);
}

static int dent_load(struct meta_store *s, struct meta_dent *d)
{
	sqlite3_stmt *st = meta_stmt(&s->rd, ST_DENTRY_GET);
	int err;

	sqlite3_bind_int64(st, 1, d->parent);
	sqlite3_bind_blob(st, 2, d->name, d->len, SQLITE_STATIC);
	err = meta_step(&s->rd, st);
	if (err < 0)
		return meta_store_fail(s, err, s->rd.err);
	d->o.dead = !err;
	if (err) {
		d->ino = sqlite3_column_int64(st, 0);
		d->cookie = sqlite3_column_int64(st, 1);
		d->type = sqlite3_column_int64(st, 2);
		sqlite3_reset(st);
	}
	return 0;
}

static struct meta_dent *dent_new(struct meta_store *s, u64 parent, const u8 *name, u32 len)
{
	struct meta_dent *d = meta_obj_new(&s->cache, META_K_DENT, sizeof(*d) + len);

	if (!d)
		return NULL;
	d->parent = parent;
	d->len = len;
	memcpy(d->name, name, len);
	return d;
}

/* From memory or the database. *@out NULL or dead: there is none. */
static int dent_find(struct meta_store *s, u64 parent, const u8 *name, u32 len,
		     struct meta_dent **out)
{
	u32 hash = meta_hash_name(parent, name, len);
	struct meta_inode *dir;
	struct meta_dent *d;
	int err;

	*out = meta_cache_dent(&s->cache, hash, parent, name, len);
	if (*out) {
		s->cache.hits++;
		return 0;
	}
	dir = meta_cache_inode(&s->cache, parent);
	if (dir && (dir->o.dead || dir_complete(dir))) {
		s->cache.hits++;
		return 0;
	}
	s->cache.misses++;
	d = parent > INT64_MAX || len > FLINT_NAME_MAX ? NULL : dent_new(s, parent, name, len);
	if (!d)
		return nomem(s);
	err = dent_load(s, d);
	if (err) {
		meta_obj_free(&s->cache, &d->o);
		return err;
	}
	if (!d->o.dead && dir && dir_get(s, dir)) {
		d->tag = dir->dir->tag;
		dir->dir->cached++;
	}
	meta_obj_insert(&s->cache, &d->o, hash);
	*out = d;
	return 0;
}

int meta_dentry_get(struct meta_store *s, u64 parent, const u8 *name, u32 len,
		    struct meta_dentry *out)
{
	struct meta_dent *d;
	int err = dent_find(s, parent, name, len, &d);

	if (err)
		return err;
	if (!d || d->o.dead)
		return -ENOENT;
	out->ino = d->ino;
	out->cookie = d->cookie;
	out->type = d->type;
	return 0;
}

/* The lists of added entries are of the active generation and of the frozen one. */
static struct meta_fresh *fresh_get(struct meta_store *s, struct meta_dir *dir)
{
	struct meta_fresh *f = &dir->fresh[0], old;

	if (f->gen == s->cache.gen)
		return f;
	if (f->gen > s->cache.flushed) {
		old = dir->fresh[1];
		dir->fresh[1] = *f;
		*f = old;
	}
	f->gen = s->cache.gen;
	f->nr = 0;
	return f;
}

static int fresh_add(struct meta_store *s, struct meta_inode *dir, struct meta_dent *d)
{
	struct meta_fresh *f = fresh_get(s, dir->dir);
	void *e;

	if (f->nr == f->cap) {
		u32 cap = f->cap ? 2 * f->cap : 8;

		e = realloc(f->e, cap * sizeof(*f->e));
		if (!e)
			return nomem(s);
		f->e = e;
		f->cap = cap;
	}
	f->e[f->nr].cookie = d->cookie;
	f->e[f->nr++].d = d;
	return 0;
}

int meta_dentry_add(struct meta_store *s, struct meta_inode *dir, const u8 *name, u32 len,
		    u64 ino, u32 mode)
{
	u32 hash = meta_hash_name(dir->ino, name, len);
	struct meta_dent *d = meta_cache_dent(&s->cache, hash, dir->ino, name, len);
	int err;

	if (d && !d->o.dead)
		return meta_store_fail(s, -EUCLEAN, "a name was to be added twice");
	if (!dir_get(s, dir))
		return nomem(s);
	if (!d) {
		d = dent_new(s, dir->ino, name, len);
		if (!d)
			return nomem(s);
		if (dir_complete(dir))
			d->o.born = s->cache.gen;
		meta_obj_insert(&s->cache, &d->o, hash);
	} else {
		if (meta_obj_shared(&s->cache, &d->o))
			d = meta_obj_own(&s->cache, &d->o);
		if (!d)
			return nomem(s);
		if (d->o.gen < s->cache.gen)
			d->o.born = s->cache.gen;
	}
	d->o.dead = 0;
	d->o.ref = 1;
	d->ino = ino;
	d->cookie = dir->next_cookie++;
	d->type = mode >> 12 & 15;
	d->tag = dir->dir->tag;
	dir->dir->cached++;
	dir->size++;
	s->sum += dent_sum(d);
	err = obj_dirty(s, &d->o, &s->cache.dents);
	if (!err)
		err = fresh_add(s, dir, d);
	meta_inode_dirty(s, dir);
	return err;
}

/* To change: must exist. */
static int dent_change(struct meta_store *s, u64 parent, const u8 *name, u32 len,
		       struct meta_dent **out)
{
	struct meta_dent *d;
	int err = dent_find(s, parent, name, len, &d);

	if (err)
		return err;
	if (!d || d->o.dead)
		return meta_store_fail(s, -EUCLEAN, "a name that was found is not there");
	if (meta_obj_shared(&s->cache, &d->o)) {
		d = meta_obj_own(&s->cache, &d->o);
		if (!d)
			return nomem(s);
	}
	s->sum -= dent_sum(d);
	*out = d;
	return obj_dirty(s, &d->o, &s->cache.dents);
}

int meta_dentry_set(struct meta_store *s, u64 parent, const u8 *name, u32 len, u64 ino, u32 mode)
{
	struct meta_dent *d;
	int err = dent_change(s, parent, name, len, &d);

	if (err)
		return err;
	d->ino = ino;
	d->type = mode >> 12 & 15;
	s->sum += dent_sum(d);
	return 0;
}

int meta_dentry_del(struct meta_store *s, struct meta_inode *dir, const u8 *name, u32 len)
{
	struct meta_dent *d;
	int err = dent_change(s, dir->ino, name, len, &d);

	if (err)
		return err;
	d->o.dead = 1;
	if (dir->dir && d->tag == dir->dir->tag)
		dir->dir->cached--;
	d->tag = 0;
	dir->size--;
	meta_inode_dirty(s, dir);
	return 0;
}

/* ---- sessions, opens, file systems ------------------------------------------ */

struct session_row {
	u64 fs, root, flags, opened, squash_uid, squash_gid, expires;
	u8 client[16];
};

static void session_link(struct meta_store *s, struct meta_session *sn)
{
	HASH_ADD(hh, s->by_client, client, sizeof(sn->client), sn);
	HASH_ADD(hh_id, s->by_id, id, sizeof(sn->id), sn);
}

struct meta_session *meta_session_from_row(struct meta_store *s, const struct meta_row *r)
{
	struct meta_session *sn = calloc(1, sizeof(*sn));
	struct session_row v = { 0 };

	if (!sn)
		return NULL;
	memcpy(&v, r->val, r->vlen < sizeof(v) ? r->vlen : sizeof(v));
	sn->id = meta_key_u64(r->key, 0);
	sn->fs = v.fs;
	sn->root = v.root;
	sn->flags = v.flags;
	sn->squash_uid = v.squash_uid;
	sn->squash_gid = v.squash_gid;
	sn->expires = v.expires;
	memcpy(sn->client, v.client, sizeof(sn->client));
	session_link(s, sn);
	return sn;
}

struct meta_session *meta_session_by_client(struct meta_store *s, const u8 client[16])
{
	struct meta_session *sn;

	HASH_FIND(hh, s->by_client, client, 16, sn);
	return sn;
}

struct meta_session *meta_session_by_id(struct meta_store *s, u64 id)
{
	struct meta_session *sn;

	HASH_FIND(hh_id, s->by_id, &id, sizeof(id), sn);
	return sn;
}

int meta_session_add(struct meta_store *s, const struct meta_session *tmpl)
{
	struct session_row v = {
		.fs = tmpl->fs, .root = tmpl->root, .flags = tmpl->flags, .opened = s->now,
		.squash_uid = tmpl->squash_uid, .squash_gid = tmpl->squash_gid,
		.expires = tmpl->expires,
	};
	struct meta_session *sn = malloc(sizeof(*sn));
	u8 key[META_KEY_MAX];
	int err;

	if (!sn)
		return nomem(s);
	*sn = *tmpl;
	memcpy(v.client, sn->client, sizeof(v.client));
	err = meta_row_put(s, META_T_SESSION, key, meta_key1(key, sn->id), &v, sizeof(v));
	if (err) {
		free(sn);
		return err;
	}
	session_link(s, sn);
	return 0;
}

int meta_session_del(struct meta_store *s, struct meta_session *sn)
{
	u8 key[META_KEY_MAX];
	u32 klen = meta_key1(key, sn->id);
	int err;

	err = meta_row_del_prefix(s, META_T_REPLY, key, klen);
	if (!err)
		err = meta_row_del(s, META_T_HINT, key, klen);
	if (!err)
		err = meta_row_del(s, META_T_INOGRANT, key, klen);
	if (!err)
		err = meta_row_del(s, META_T_SESSION, key, klen);
	if (err)
		return err;
	HASH_DELETE(hh_id, s->by_id, sn);
	HASH_DELETE(hh, s->by_client, sn);
	free(sn);
	return 0;
}

u32 meta_open_count(struct meta_store *s, u64 ino)
{
	struct meta_open *o;

	HASH_FIND(hh, s->opens, &ino, sizeof(ino), o);
	return o ? o->nr : 0;
}

u32 meta_open_writers(struct meta_store *s, u64 ino)
{
	struct meta_open *o;

	HASH_FIND(hh, s->opens, &ino, sizeof(ino), o);
	return o ? o->writers : 0;
}

int meta_open_adjust(struct meta_store *s, u64 ino, u64 flags, int by)
{
	struct meta_open *o;

	HASH_FIND(hh, s->opens, &ino, sizeof(ino), o);
	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o)
			return -ENOMEM;
		o->ino = ino;
		HASH_ADD(hh, s->opens, ino, sizeof(o->ino), o);
	}
	o->nr += by;
	if (flags & FLINT_OPEN_WRITE)
		o->writers += by;
	if (!o->nr) {
		HASH_DEL(s->opens, o);
		free(o);
	}
	return 0;
}

struct meta_fs *meta_fs_get(struct meta_store *s, u32 id)
{
	struct meta_fs *f;

	HASH_FIND(hh, s->fs, &id, sizeof(id), f);
	return f;
}

struct meta_fs *meta_fs_by_name(struct meta_store *s, const char *name)
{
	struct meta_fs *f, *tmp;

	HASH_ITER(hh, s->fs, f, tmp)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

int meta_fs_put(struct meta_store *s, const struct meta_fs *f)
{
	u8 key[META_KEY_MAX], val[16 + FLINT_LABEL_LEN];
	u32 n = strlen(f->name);

	memcpy(val, &f->root, 8);
	memcpy(val + 8, &f->files, 8);
	memcpy(val + 16, f->name, n);
	return meta_row_put(s, META_T_FS, key, meta_key1(key, f->id), val, 16 + n);
}

static struct meta_fs *fs_new(struct meta_store *s, u32 id, u64 root, u64 files)
{
	struct meta_fs *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->id = id;
	f->root = root;
	f->files = files;
	HASH_ADD(hh, s->fs, id, sizeof(f->id), f);
	return f;
}

int meta_fs_add(struct meta_store *s, u32 id, const char *name, u64 root)
{
	struct meta_fs *f = fs_new(s, id, root, 1);

	if (!f)
		return nomem(s);
	f->dirty = true;
	snprintf(f->name, sizeof(f->name), "%s", name);
	return 0;
}

int meta_fs_load(struct meta_store *s, u32 id, u64 root, u64 files, const u8 *name, u32 len)
{
	struct meta_fs *f = fs_new(s, id, root, files);

	if (!f)
		return -ENOMEM;
	memcpy(f->name, name, len < sizeof(f->name) - 1 ? len : sizeof(f->name) - 1);
	return 0;
}
