// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The trash and recursive removal. An entry costs the rows of trash.h and
 * nothing else: the inode, its handles, its data and whatever lies below it
 * stay as they are.
 *
 * A doomed tree is taken apart by META_OP_RMTREE_STEP, a bounded number of
 * inodes at a time: the entries of the tree's top go; a subdirectory of it
 * that is not empty is emptied first, and its own subdirectories move up into
 * the top. So a tree of any depth is taken apart without a stack, and a
 * step begins anew from the tables alone. Names that contain a slash, which no
 * client can make, keep the moved ones apart from the rest.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include "command.h"

#define NS_PER_S	1000000000ull
#define EMPTY_MAX	256		/* removed by one TRASH_EMPTY */
#define EMPTY_LOOK	2048		/* looked at */

/* ---- rows --------------------------------------------------------------------- */

int meta_hidden_get(struct meta_store *s, u32 fs, enum meta_hidden which, u64 *ino)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err = meta_row_get(s, META_T_HIDDEN, key, meta_key2(key, fs, which), &r);

	*ino = 0;
	if (err == 1)
		memcpy(ino, r.val, sizeof(*ino));
	return err < 0 ? err : 0;
}

/* Get it, or make it. */
static int hidden_dir(struct meta_op *o, u32 fs, enum meta_hidden which, struct meta_inode **out)
{
	struct meta_fs *f = meta_fs_get(o->s, fs);
	u8 key[META_KEY_MAX];
	struct meta_inode *i;
	u64 ino;
	int err;

	err = meta_hidden_get(o->s, fs, which, &ino);
	if (err)
		return err;
	if (ino)
		return meta_inode_get(o->s, ino, out);
	i = meta_inode_new(o->s, 0);
	if (!i)
		return -ENOMEM;
	i->fs = fs;
	i->mode = S_IFDIR | 0700;
	i->nlink = 2;
	i->parent = i->ino;
	i->flags = META_INO_HIDDEN;
	i->change = 1;
	i->atime = i->mtime = i->ctime = i->btime = o->s->now;
	i->next_cookie = META_COOKIE_FIRST;
	if (f) {
		f->files++;
		f->dirty = true;
	}
	*out = i;
	err = meta_ids_add(o->s, i, 0, 1);
	return err ? err : meta_row_put(o->s, META_T_HIDDEN, key, meta_key2(key, fs, which),
					&i->ino, sizeof(i->ino));
}

int meta_trash_get(struct meta_store *s, u32 fs, u64 ino, struct meta_trash *t)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err = meta_row_get(s, META_T_TRASH, key, meta_key2(key, fs, ino), &r);

	if (err != 1)
		return err;
	memcpy(t, r.val, 24);
	t->name_len = r.vlen - 24 < FLINT_NAME_MAX ? r.vlen - 24 : FLINT_NAME_MAX;
	memcpy(t->name, r.val + 24, t->name_len);
	return 1;
}

int meta_trash_next(struct meta_store *s, u32 fs, u64 after, u64 *ino)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	err = meta_row_seek(s, META_T_TRASH, key, meta_key2(key, fs, after + 1), &r);
	if (err != 1 || meta_key_u64(r.key, 0) != fs)
		return err < 0 ? err : 0;
	*ino = meta_key_u64(r.key, 8);
	return 1;
}

int meta_trash_due(struct meta_store *s, u64 *when)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err = meta_row_seek(s, META_T_EXPIRY, key, meta_key3(key, 0, 0, 0), &r);

	*when = err == 1 ? meta_key_u64(r.key, 0) : 0;
	return err < 0 ? err : 0;
}

int meta_trash_peek(struct meta_store *s, u32 fs, u64 after, u64 *inos, u32 max, u32 *nr)
{
	u32 looked;
	int err;

	*nr = 0;
	for (looked = 0; looked < EMPTY_LOOK && *nr < max; looked++) {
		err = meta_trash_next(s, fs, after, &after);
		if (err <= 0)
			return err;
		inos[(*nr)++] = after;
	}
	return 0;
}

int meta_expiry_peek(struct meta_store *s, u64 now, u64 *inos, u32 max, u32 *nr)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	u64 next[3] = { 0 };
	int err;

	for (*nr = 0; *nr < max; next[2]++) {
		err = meta_row_seek(s, META_T_EXPIRY, key, meta_key3(key, next[0], next[1], next[2]), &r);
		if (err != 1 || meta_key_u64(r.key, 0) > now)
			return err < 0 ? err : 0;
		next[0] = meta_key_u64(r.key, 0);
		next[1] = meta_key_u64(r.key, 8);
		next[2] = meta_key_u64(r.key, 16);
		inos[(*nr)++] = next[2];
	}
	return 0;
}

/* Its rows go; @t: as they are. */
static int trash_rows_del(struct meta_store *s, const struct meta_inode *i,
			  const struct meta_trash *t)
{
	u8 key[META_KEY_MAX];
	int err;

	err = meta_row_del(s, META_T_EXPIRY, key, meta_key3(key, t->expires, i->fs, i->ino));
	return err ? err : meta_row_del(s, META_T_TRASH, key, meta_key2(key, i->fs, i->ino));
}

int meta_trash_keep(struct meta_store *s, u32 fs, u64 dir, u32 *keep)
{
	u8 key[META_KEY_MAX];
	const struct meta_inode *d;
	struct meta_row r;
	u64 secs;
	int err;

	*keep = 0;
	err = meta_row_seek(s, META_T_KEEP, key, meta_key2(key, fs, 0), &r);
	if (err != 1 || meta_key_u64(r.key, 0) != fs)
		return err < 0 ? err : 0;
	for (;; dir = d->parent) {
		err = meta_inode_peek(s, dir, &d);
		if (err)
			return err;
		if (d->flags & META_INO_KEEP) {
			err = meta_row_get(s, META_T_KEEP, key, meta_key2(key, fs, dir), &r);
			if (err == 1) {
				memcpy(&secs, r.val, sizeof(secs));
				*keep = secs;
			}
			return err < 0 ? err : 0;
		}
		if (d->parent == dir)
			return 0;
	}
}

/* ---- names of directories ------------------------------------------------------ */

int meta_dirname_set(struct meta_store *s, u64 ino, const u8 *name, u32 len)
{
	u8 key[META_KEY_MAX];

	return meta_row_put(s, META_T_DIRNAME, key, meta_key1(key, ino), name, len);
}

/* Put a component before what is in @buf[*at..]. False: no room. */
static bool prepend(u8 *buf, u32 *at, const u8 *name, u32 len)
{
	u32 need = len + (*at < FLINT_PATH_MAX);

	if (need > *at)
		return false;
	if (*at < FLINT_PATH_MAX)
		buf[--*at] = '/';
	*at -= len;
	memcpy(buf + *at, name, len);
	return true;
}

int meta_path(struct meta_store *s, u64 dir, const u8 *name, u32 len, u8 *buf)
{
	struct meta_trash t;
	const struct meta_inode *d;
	u8 key[META_KEY_MAX];
	struct meta_row r;
	u32 at = FLINT_PATH_MAX;
	int err;

	if (len)
		prepend(buf, &at, name, len);
	for (;;) {
		err = meta_inode_peek(s, dir, &d);
		if (err && err != -ESTALE)
			return err;
		if (err) {
			prepend(buf, &at, (const u8 *)"?", 1);
			break;
		}
		if (d->parent == dir)
			break;
		if ((d->flags & META_INO_TRASH) && meta_trash_get(s, d->fs, dir, &t) == 1) {
			if (!prepend(buf, &at, t.name, t.name_len))
				break;
			dir = t.parent;
			continue;
		}
		err = meta_row_get(s, META_T_DIRNAME, key, meta_key1(key, dir), &r);
		if (err < 0)
			return err;
		if (!prepend(buf, &at, err ? r.val : (const u8 *)"?", err ? r.vlen : 1))
			break;
		dir = d->parent;
	}
	memmove(buf, buf + at, FLINT_PATH_MAX - at);
	return FLINT_PATH_MAX - at;
}

/* ---- in and out of hidden directories -------------------------------------------- */

static u32 hidden_name(u8 *name, u64 ino)
{
	return sprintf((char *)name, "%" PRIu64, ino);
}

/* Entry and counts of a directory or a file that moves from @from to @to. */
static int move_counts(struct meta_op *o, struct meta_inode *i, struct meta_inode *from,
		       struct meta_inode *to)
{
	struct meta_charge c = meta_charge_of(i);
	int err = meta_move_tree(o->s, from->ino, to->ino, &c);

	if (err)
		return err;
	i->parent = to->ino;
	if (meta_is_dir(i)) {
		from->nlink--;
		to->nlink++;
		o->s->moves++;
	}
	meta_inode_dirty(o->s, i);
	meta_inode_dirty(o->s, from);
	meta_inode_dirty(o->s, to);
	return 0;
}

int meta_trash_put(struct meta_op *o, struct meta_inode *dir, struct meta_inode *i,
		   const u8 *name, u32 len, u32 keep)
{
	u8 key[META_KEY_MAX], val[24 + FLINT_NAME_MAX], hname[24];
	u64 head[3] = { dir->ino, o->s->now, o->s->now + keep * NS_PER_S };
	struct meta_inode *h;
	int err;

	err = hidden_dir(o, i->fs, keep ? META_HIDDEN_TRASH : META_HIDDEN_DOOMED, &h);
	if (!err)
		err = meta_dentry_add(o->s, h, hname, hidden_name(hname, i->ino), i->ino, i->mode);
	if (!err)
		err = move_counts(o, i, dir, h);
	if (err)
		return err;
	i->flags |= META_INO_TRASH;
	meta_touch(o, i);
	if (!keep)
		return 0;
	memcpy(val, head, sizeof(head));
	memcpy(val + sizeof(head), name, len);
	err = meta_row_put(o->s, META_T_TRASH, key, meta_key2(key, i->fs, i->ino), val,
			   sizeof(head) + len);
	return err ? err : meta_row_put(o->s, META_T_EXPIRY, key,
					meta_key3(key, head[2], i->fs, i->ino), "", 0);
}

/* Out of the trash for good: 0 or -errno. */
static int trash_remove(struct meta_op *o, struct meta_inode *i, const struct meta_trash *t)
{
	struct meta_inode *h, *doomed;
	u8 name[24];
	u32 len = hidden_name(name, i->ino);
	int err;

	err = meta_inode_get(o->s, i->parent, &h);
	if (!err)
		err = trash_rows_del(o->s, i, t);
	if (!err)
		err = meta_dentry_del(o->s, h, name, len);
	if (err)
		return err;
	if (!meta_is_dir(i)) {
		i->flags &= ~META_INO_TRASH;
		return meta_name_gone(o, h, i);
	}
	if (!i->size)
		return meta_dir_gone(o, h, i);
	err = hidden_dir(o, i->fs, META_HIDDEN_DOOMED, &doomed);
	if (!err)
		err = meta_dentry_add(o->s, doomed, name, len, i->ino, i->mode);
	return err ? err : move_counts(o, i, h, doomed);
}

/* ---- operations -------------------------------------------------------------------- */

int meta_op_trash_set(struct meta_op *o)
{
	struct flint_trash_set b;
	u8 key[META_KEY_MAX];
	struct meta_inode *d;
	u64 keep;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	meta_cred_body(o, &b.cred);
	err = meta_op_dir(o, le64_to_cpu(b.ino), &d);
	if (err)
		return err;
	if ((o->cred.uid && o->cred.uid != d->uid) || !meta_session_admin(o->sn))
		return EPERM;
	keep = le32_to_cpu(b.keep);
	meta_key2(key, d->fs, d->ino);
	if (keep == FLINT_TRASH_INHERIT) {
		d->flags &= ~META_INO_KEEP;
		err = meta_row_del(o->s, META_T_KEEP, key, 16);
	} else {
		d->flags |= META_INO_KEEP;
		err = meta_row_put(o->s, META_T_KEEP, key, 16, &keep, sizeof(keep));
	}
	meta_inode_dirty(o->s, d);
	return err;
}

/* Does a chain of parents end in a hidden directory? 1, 0 or -errno. */
static int is_hidden(struct meta_store *s, const struct meta_inode *d)
{
	u64 ino;
	int err;

	while (d->parent != d->ino) {
		ino = d->parent;
		err = meta_inode_peek(s, ino, &d);
		if (err)
			return err;
	}
	return !!(d->flags & META_INO_HIDDEN);
}

/* An entry of the trash that is the caller's to see: 0, ENOENT, EPERM or -errno. */
static int trash_item(struct meta_op *o, u64 id, struct meta_inode **i, struct meta_trash *t)
{
	const struct meta_inode *dir;
	int err;

	err = meta_trash_get(o->s, o->sn->fs, id, t);
	if (err != 1)
		return err ? err : ENOENT;
	err = meta_inode_get(o->s, id, i);
	if (err)
		return err;
	if (o->cred.uid && o->cred.uid != (*i)->uid)
		return EPERM;
	if (meta_sees_all(o))
		return 0;
	err = meta_inode_peek(o->s, t->parent, &dir);
	if (!err)
		err = meta_bound(o->s, o->sn, dir);
	return err == -ESTALE || err == ESTALE ? ENOENT : err;
}

/* Where it is to go: 0, a status or -errno. */
static int restore_check(struct meta_op *o, struct meta_inode *i, u64 to, const u8 *name, u32 len,
			 struct meta_inode **dir)
{
	struct meta_charge c = meta_charge_of(i);
	struct meta_dentry d;
	int err;

	err = meta_op_dir(o, to, dir);
	if (err)
		return err == ESTALE ? ENOENT : err;
	err = is_hidden(o->s, *dir);
	if (err)
		return err < 0 ? err : ENOENT;
	err = meta_dentry_get(o->s, to, name, len, &d);
	if (err != -ENOENT)
		return err ? err : EEXIST;
	err = meta_may_create(o, *dir);
	if (err)
		return err;
	if (meta_is_dir(i) && (*dir)->nlink >= META_LINK_MAX)
		return EMLINK;
	return meta_tree_room(o->s, to, 0, &c);
}

int meta_op_trash_restore(struct meta_op *o)
{
	struct flint_trash_restore b;
	struct meta_inode *i, *h, *dir;
	struct meta_trash t;
	const u8 *name;
	u8 hname[24];
	u32 len;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len, &name, &len))
		return FLINT_ST_BAD_REQUEST;
	meta_cred_body(o, &b.cred);
	err = trash_item(o, le64_to_cpu(b.id), &i, &t);
	if (err)
		return err;
	if (!len || !b.parent) {
		name = t.name;
		len = t.name_len;
	}
	err = flint_name_check(name, len);
	if (err)
		return -err;
	err = restore_check(o, i, b.parent ? le64_to_cpu(b.parent) : t.parent, name, len, &dir);
	if (err)
		return err;
	err = meta_inode_get(o->s, i->parent, &h);
	if (!err)
		err = trash_rows_del(o->s, i, &t);
	if (!err)
		err = meta_dentry_del(o->s, h, hname, hidden_name(hname, i->ino));
	if (!err)
		err = meta_dentry_add(o->s, dir, name, len, i->ino, i->mode);
	if (!err)
		err = move_counts(o, i, h, dir);
	if (!err && meta_is_dir(i))
		err = meta_dirname_set(o->s, i->ino, name, len);
	if (err)
		return err;
	i->flags &= ~META_INO_TRASH;
	meta_touch(o, i);
	meta_touch_dir(o, dir);
	meta_reply_attr(o, i);
	return 0;
}

int meta_op_trash_empty(struct meta_op *o)
{
	struct flint_trash_emptied rep = { 0 };
	struct flint_trash_empty b;
	struct meta_inode *i;
	struct meta_trash t;
	u64 id, before;
	u32 nr = 0, n;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	meta_cred_body(o, &b.cred);
	id = le64_to_cpu(b.id);
	before = le64_to_cpu(b.before);
	if (id) {
		err = trash_item(o, id, &i, &t);
		if (!err)
			err = trash_remove(o, i, &t);
		if (err)
			return err;
		nr = 1;
	}
	for (n = 0, id = le64_to_cpu(b.after); !b.id && n < EMPTY_LOOK && nr < EMPTY_MAX; n++) {
		err = meta_trash_next(o->s, o->sn->fs, id, &id);
		if (err <= 0) {
			if (err)
				return err;
			break;
		}
		err = trash_item(o, id, &i, &t);
		if (err < 0)
			return err;
		if (err || (before && t.deleted >= before))
			continue;
		err = trash_remove(o, i, &t);
		if (err)
			return err;
		nr++;
	}
	rep.nr = cpu_to_le64(nr);
	rep.after = cpu_to_le64(id);
	rep.more = cpu_to_le32(!b.id && (n == EMPTY_LOOK || nr == EMPTY_MAX));
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}

int meta_op_trash_expire(struct meta_op *o)
{
	struct meta_ino_arg a;
	u8 key[META_KEY_MAX];
	struct meta_trash t;
	struct meta_inode *i;
	struct meta_row r;
	u32 left;
	int err;

	if (flint_body_get(&a, sizeof(a), sizeof(a), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	for (left = le32_to_cpu(a.epoch); left; left--) {
		err = meta_row_seek(o->s, META_T_EXPIRY, key, meta_key3(key, 0, 0, 0), &r);
		if (err != 1)
			return err;
		if (meta_key_u64(r.key, 0) > o->s->now)
			return 0;
		err = meta_inode_get(o->s, meta_key_u64(r.key, 16), &i);
		if (err)
			return err;
		err = meta_trash_get(o->s, i->fs, i->ino, &t);
		if (err != 1)
			return err ? err : -EUCLEAN;
		err = trash_remove(o, i, &t);
		if (err)
			return err;
	}
	return 0;
}

/* ---- recursive removal ---------------------------------------------------------------- */

int meta_op_rmtree(struct meta_op *o)
{
	struct flint_rmtree_rep rep = { 0 };
	struct meta_inode *dir, *i;
	struct flint_name_req b;
	const u8 *name;
	u32 len, keep;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len, &name, &len))
		return FLINT_ST_BAD_REQUEST;
	meta_cred_body(o, &b.cred);
	err = meta_name_find(o, le64_to_cpu(b.parent), name, len, &dir, &i);
	if (!err)
		err = meta_may_delete(o, dir, i, true);
	if (err)
		return err;
	/* Below it nobody asks: it takes the owner of the whole, or root. */
	if (o->cred.uid && o->cred.uid != i->uid)
		return EACCES;
	err = meta_trash_keep(o->s, i->fs, dir->ino, &keep);
	if (err)
		return err;
	if (le32_to_cpu(b.flags) & FLINT_NAME_NO_TRASH)
		keep = 0;
	rep.id = cpu_to_le64(keep ? 0 : i->ino);
	rep.bytes = cpu_to_le64(i->tree_bytes);
	rep.files = cpu_to_le64(i->tree_files);
	rep.dirs = cpu_to_le64(i->tree_dirs + 1);
	err = meta_dentry_del(o->s, dir, name, len);
	if (!err)
		err = meta_trash_put(o, dir, i, name, len, keep);
	if (err)
		return err;
	meta_touch_dir(o, dir);
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}

int meta_doomed_fs(struct meta_store *s, u32 from, u32 *fs)
{
	u8 key[META_KEY_MAX];
	const struct meta_inode *h;
	struct meta_row r;
	u64 ino;
	int err;

	for (;; from = *fs + 1) {
		err = meta_row_seek(s, META_T_HIDDEN, key, meta_key2(key, from, 0), &r);
		if (err != 1)
			return err;
		*fs = meta_key_u64(r.key, 0);
		err = meta_hidden_get(s, *fs, META_HIDDEN_DOOMED, &ino);
		if (err)
			return err;
		if (!ino)
			continue;
		err = meta_inode_peek(s, ino, &h);
		if (err || h->size)
			return err ? err : 1;
	}
}

struct peek {
	u64 *inos;
	u32 max, nr;
};

static int peek_entry(void *arg, const struct meta_dir_entry *e)
{
	struct peek *p = arg;

	if (p->nr == p->max)
		return 1;
	p->inos[p->nr++] = e->ino;
	return 0;
}

/* Up to @max entries of @dir behind what is there: how many, or -errno. */
static int peek_dir(struct meta_store *s, const struct meta_inode *dir, struct peek *p, u32 max)
{
	struct peek part = { p->inos + p->nr, max < p->max - p->nr ? max : p->max - p->nr, 0 };
	int err = meta_dir_scan(s, dir, 0, peek_entry, &part);

	p->nr += part.nr;
	return err < 0 ? err : (int)part.nr;
}

/* Does the entry take one step? Not a directory with entries: each of those takes one. */
static int peek_single(struct meta_store *s, u64 ino)
{
	const struct meta_inode *i;
	int err = meta_inode_peek(s, ino, &i);

	return err ? err : !meta_is_dir(i) || !i->size;
}

/*
 * Steps take the first tree's entries in order, and of a directory among them its
 * entries before itself: so here, as far as steps are single, or one such directory.
 */
int meta_rmtree_peek(struct meta_store *s, u32 fs, u64 *inos, u32 max, u32 *nr, u32 *steps)
{
	struct peek p = { .inos = inos, .max = max };
	const struct meta_inode *i;
	u64 ino;
	u32 n;
	int err;

	*nr = 0;
	*steps = 1;
	err = meta_hidden_get(s, fs, META_HIDDEN_DOOMED, &ino);
	if (!err && !ino)
		return 0;
	if (!err)
		err = meta_inode_peek(s, ino, &i);
	if (!err)
		err = peek_dir(s, i, &p, 1);
	if (err == 1 && !(err = meta_inode_peek(s, inos[0], &i)))
		err = peek_dir(s, i, &p, max);
	if (err <= 0)
		goto out;
	for (n = 1; n < p.nr && (err = peek_single(s, inos[n])) == 1; n++)
		;
	p.nr = n;
	if (n == 1 && !err) {
		p.nr = 2;
		err = meta_inode_peek(s, inos[1], &i);
		if (!err)
			err = peek_dir(s, i, &p, max);
		n = p.nr - 1;
	}
	*steps = n > 1 ? n - 1 : 1;
out:
	*nr = p.nr;
	return err < 0 ? err : 0;
}

/* The first entry of a directory: 1 with its inode and name, 0 or -errno. */
static int first_entry(struct meta_store *s, struct meta_inode *dir, struct meta_inode **i,
		       u8 *name, u32 *len)
{
	struct meta_dentry d;
	int err;

	if (!dir->size)
		return 0;
	err = meta_dentry_first(s, dir->ino, &d, name, len);
	if (err != 1)
		return err ? err : -EUCLEAN;
	err = meta_inode_get(s, d.ino, i);
	return err ? err : 1;
}

/* One inode below @top goes or comes up. 1, 0: @top is empty, or -errno. */
static int rmtree_one(struct meta_op *o, struct meta_inode *top)
{
	struct meta_inode *in = top, *i, *sub;
	u8 name[FLINT_NAME_MAX + 1];
	u32 len;
	int err;

	err = first_entry(o->s, top, &i, name, &len);
	if (err == 1 && meta_is_dir(i) && i->size) {
		in = i;
		err = first_entry(o->s, in, &i, name, &len);
	}
	if (err != 1)
		return err;
	err = meta_dentry_del(o->s, in, name, len);
	if (err)
		return err;
	if (meta_is_dir(i) && i->size) {
		/* Of a subdirectory: it becomes one of the top's. */
		sub = i;
		name[0] = '/';
		len = 1 + hidden_name(name + 1, sub->ino);
		err = meta_dentry_add(o->s, top, name, len, sub->ino, sub->mode);
		if (!err)
			err = move_counts(o, sub, in, top);
	} else if (meta_is_dir(i)) {
		err = meta_dir_gone(o, in, i);
	} else {
		err = meta_name_gone(o, in, i);
	}
	return err ? err : 1;
}

int meta_op_rmtree_step(struct meta_op *o)
{
	struct meta_inode *h, *top;
	struct meta_ino_arg a;
	u8 name[FLINT_NAME_MAX + 1];
	u32 left, len;
	u64 ino;
	int err;

	if (flint_body_get(&a, sizeof(a), sizeof(a), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	err = meta_hidden_get(o->s, le64_to_cpu(a.ino), META_HIDDEN_DOOMED, &ino);
	if (err || !ino)
		return err;
	err = meta_inode_get(o->s, ino, &h);
	for (left = le32_to_cpu(a.epoch); left && !err; left--) {
		err = first_entry(o->s, h, &top, name, &len);
		if (err != 1)
			return err;
		err = rmtree_one(o, top);
		if (err == 1) {
			err = 0;
			continue;
		}
		if (!err)
			err = meta_dentry_del(o->s, h, name, len);
		if (!err)
			err = meta_dir_gone(o, h, top);
	}
	return err;
}
