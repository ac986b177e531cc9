// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the writer keeps in memory: inodes read or changed, sessions, counts of
 * open handles, file systems; and entries, which are not kept.
 *
 * Rules: an inode in s->inodes equals its row unless it is dirty; a dirty one
 * is on s->dirty exactly once; a dead one is found by nobody any more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "store.h"

void meta_inode_row(sqlite3_stmt *st, int c, struct meta_inode *i)
{
	i->fs = sqlite3_column_int64(st, c++);
	i->gen = sqlite3_column_int64(st, c++);
	i->mode = sqlite3_column_int64(st, c++);
	i->nlink = sqlite3_column_int64(st, c++);
	i->uid = sqlite3_column_int64(st, c++);
	i->gid = sqlite3_column_int64(st, c++);
	i->flags = sqlite3_column_int64(st, c++);
	i->rdev_major = sqlite3_column_int64(st, c++);
	i->rdev_minor = sqlite3_column_int64(st, c++);
	i->size = sqlite3_column_int64(st, c++);
	i->atime = sqlite3_column_int64(st, c++);
	i->mtime = sqlite3_column_int64(st, c++);
	i->ctime = sqlite3_column_int64(st, c++);
	i->btime = sqlite3_column_int64(st, c++);
	i->change = sqlite3_column_int64(st, c++);
	i->parent = sqlite3_column_int64(st, c++);
	i->project = sqlite3_column_int64(st, c++);
	i->trunc_epoch = sqlite3_column_int64(st, c++);
	i->chunk_shift = sqlite3_column_int64(st, c++);
	i->stripe = sqlite3_column_int64(st, c++);
	i->table = sqlite3_column_int64(st, c++);
	i->table_ver = sqlite3_column_int64(st, c++);
	i->next_cookie = sqlite3_column_int64(st, c++);
	i->data = sqlite3_column_int64(st, c++);
	i->tree_bytes = sqlite3_column_int64(st, c++);
	i->tree_files = sqlite3_column_int64(st, c++);
	i->tree_dirs = sqlite3_column_int64(st, c++);
}

void meta_inode_layout(const struct meta_inode *i, struct flint_layout *l)
{
	u64 state = i->ino;

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
	a->flags = cpu_to_le32(i->flags & META_INO_WIRE);
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

int meta_inode_get(struct meta_store *s, u64 ino, struct meta_inode **out)
{
	struct meta_inode *i;
	sqlite3_stmt *st;
	int err;

	HASH_FIND(hh, s->inodes, &ino, sizeof(ino), i);
	if (i) {
		*out = i;
		return i->dead ? -ESTALE : 0;
	}
	st = meta_stmt(s, ST_INODE_GET);
	sqlite3_bind_int64(st, 1, ino);
	err = meta_step(s, st);
	if (err != 1)
		return err ? err : -ESTALE;
	i = calloc(1, sizeof(*i));
	if (!i) {
		sqlite3_reset(st);
		return -ENOMEM;
	}
	i->ino = ino;
	meta_inode_row(st, 0, i);
	sqlite3_reset(st);
	HASH_ADD(hh, s->inodes, ino, sizeof(i->ino), i);
	*out = i;
	return 0;
}

struct meta_inode *meta_inode_new(struct meta_store *s)
{
	struct meta_inode *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->ino = s->c.next_ino++;
	i->gen = 1;
	i->fresh = true;
	HASH_ADD(hh, s->inodes, ino, sizeof(i->ino), i);
	meta_inode_dirty(s, i);
	return i;
}

void meta_inode_dirty(struct meta_store *s, struct meta_inode *i)
{
	if (i->dirty)
		return;
	i->dirty = true;
	i->next_dirty = s->dirty;
	s->dirty = i;
}

int meta_inode_delete(struct meta_store *s, struct meta_inode *i)
{
	struct meta_fs *fs = meta_fs_get(s, i->fs);
	u8 key[META_KEY_MAX];
	u32 klen = meta_key1(key, i->ino);
	int err;

	err = meta_row_del_prefix(s, META_T_XATTR, key, klen);
	if (!err && meta_is_lnk(i))
		err = meta_row_del(s, META_T_SYMLINK, key, klen);
	if (err)
		return err;
	if (fs) {
		fs->files--;
		fs->dirty = true;
	}
	i->dead = true;
	meta_inode_dirty(s, i);
	return 0;
}

/* ---- entries -------------------------------------------------------------- */

int meta_dentry_get(struct meta_store *s, u64 parent, const u8 *name, u32 len,
		    struct meta_dentry *d)
{
	sqlite3_stmt *st = meta_stmt(s, ST_DENTRY_GET);
	int err;

	sqlite3_bind_int64(st, 1, parent);
	sqlite3_bind_blob(st, 2, name, len, SQLITE_STATIC);
	err = meta_step(s, st);
	if (err != 1)
		return err ? err : -ENOENT;
	d->ino = sqlite3_column_int64(st, 0);
	d->cookie = sqlite3_column_int64(st, 1);
	d->type = sqlite3_column_int64(st, 2);
	sqlite3_reset(st);
	return 0;
}

int meta_dentry_add(struct meta_store *s, struct meta_inode *dir, const u8 *name, u32 len,
		    u64 ino, u32 mode)
{
	sqlite3_stmt *st = meta_stmt(s, ST_DENTRY_INS);
	int err;

	sqlite3_bind_int64(st, 1, dir->ino);
	sqlite3_bind_blob(st, 2, name, len, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, dir->next_cookie);
	sqlite3_bind_int64(st, 4, ino);
	sqlite3_bind_int64(st, 5, mode >> 12 & 15);
	err = meta_run(s, st);
	if (err)
		return err;
	dir->next_cookie++;
	dir->size++;
	meta_inode_dirty(s, dir);
	return 0;
}

int meta_dentry_set(struct meta_store *s, u64 parent, const u8 *name, u32 len, u64 ino, u32 mode)
{
	sqlite3_stmt *st = meta_stmt(s, ST_DENTRY_SET);

	sqlite3_bind_int64(st, 1, parent);
	sqlite3_bind_blob(st, 2, name, len, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, ino);
	sqlite3_bind_int64(st, 4, mode >> 12 & 15);
	return meta_run(s, st);
}

int meta_dentry_del(struct meta_store *s, struct meta_inode *dir, const u8 *name, u32 len)
{
	sqlite3_stmt *st = meta_stmt(s, ST_DENTRY_DEL);
	int err;

	sqlite3_bind_int64(st, 1, dir->ino);
	sqlite3_bind_blob(st, 2, name, len, SQLITE_STATIC);
	err = meta_run(s, st);
	if (err)
		return err;
	dir->size--;
	meta_inode_dirty(s, dir);
	return 0;
}

int meta_dentry_first(struct meta_store *s, u64 parent, struct meta_dentry *d, u8 *name,
		      u32 *len)
{
	sqlite3_stmt *st = meta_stmt(s, ST_DENTRY_FIRST);
	int err;

	sqlite3_bind_int64(st, 1, parent);
	err = meta_step(s, st);
	if (err != 1)
		return err;
	d->ino = sqlite3_column_int64(st, 0);
	d->cookie = sqlite3_column_int64(st, 1);
	d->type = sqlite3_column_int64(st, 2);
	*len = sqlite3_column_bytes(st, 3);
	memcpy(name, sqlite3_column_blob(st, 3), *len <= FLINT_NAME_MAX ? *len : FLINT_NAME_MAX);
	sqlite3_reset(st);
	return 1;
}

/* ---- sessions, opens, file systems ------------------------------------------ */

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
	struct {
		u64 fs, root, flags, opened, squash_uid, squash_gid, expires;
		u8 client[16];
	} val = { .fs = tmpl->fs, .root = tmpl->root, .flags = tmpl->flags, .opened = s->now,
		  .squash_uid = tmpl->squash_uid, .squash_gid = tmpl->squash_gid,
		  .expires = tmpl->expires };
	struct meta_session *sn = malloc(sizeof(*sn));
	u8 key[META_KEY_MAX];
	int err;

	if (!sn)
		return -ENOMEM;
	*sn = *tmpl;
	memcpy(val.client, sn->client, sizeof(val.client));
	err = meta_row_put(s, META_T_SESSION, key, meta_key1(key, sn->id), &val, sizeof(val));
	if (err) {
		free(sn);
		return err;
	}
	HASH_ADD(hh, s->by_client, client, sizeof(sn->client), sn);
	HASH_ADD(hh_id, s->by_id, id, sizeof(sn->id), sn);
	return 0;
}

int meta_session_del(struct meta_store *s, struct meta_session *sn)
{
	u8 key[META_KEY_MAX];
	u32 klen = meta_key1(key, sn->id);
	int err;

	err = meta_row_del_prefix(s, META_T_REPLY, key, klen);
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

int meta_open_adjust(struct meta_store *s, u64 ino, int by)
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

int meta_fs_add(struct meta_store *s, u32 id, const char *name, u64 root)
{
	struct meta_fs *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->id = id;
	f->root = root;
	f->files = 1;
	f->dirty = true;
	snprintf(f->name, sizeof(f->name), "%s", name);
	HASH_ADD(hh, s->fs, id, sizeof(f->id), f);
	return 0;
}
