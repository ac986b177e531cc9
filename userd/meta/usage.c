// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sums and limits. Everything is changed by the command that causes it: a
 * create walks up to the root once for the trees and touches the rows of its
 * user, its group and, if it has one, its project.
 */
#include <errno.h>
#include "command.h"

#define NS_PER_S	1000000000ull

u64 meta_inode_bytes(const struct meta_inode *i)
{
	return meta_is_reg(i) ? (i->size + 4095) & ~4095ull : 0;
}

struct meta_charge meta_charge_of(const struct meta_inode *i)
{
	struct meta_charge c = { .bytes = meta_inode_bytes(i), .files = 1 };

	if (meta_is_dir(i)) {
		c.bytes = i->tree_bytes;
		c.files = i->tree_files;
		c.dirs = i->tree_dirs + 1;
	}
	return c;
}

/* ---- one limit --------------------------------------------------------------- */

static bool over(u64 used, s64 more, u64 soft, u64 hard, u64 since, u64 grace, u64 now)
{
	if (more <= 0)
		return false;
	if (hard && used + more > hard)
		return true;
	return soft && since && used + more > soft &&
	       now - since > (grace ? grace : FLINT_QUOTA_GRACE) * NS_PER_S;
}

static int quota_room(const struct meta_quota *q, u64 space, u64 inodes, s64 bytes, s64 nr, u64 now)
{
	return over(space, bytes, q->space_soft, q->space_hard, q->space_since, q->grace, now) ||
	       over(inodes, nr, q->inode_soft, q->inode_hard, q->inode_since, q->grace, now) ?
	       EDQUOT : 0;
}

/* Notice when a soft limit is passed or kept again. Return: something changed. */
static bool quota_watch(struct meta_quota *q, const struct meta_quota *limits, u64 space,
			u64 inodes, u64 now)
{
	u64 s = 0, i = 0;
	bool changed;

	if (limits->space_soft && space > limits->space_soft)
		s = q->space_since ? q->space_since : now;
	if (limits->inode_soft && inodes > limits->inode_soft)
		i = q->inode_since ? q->inode_since : now;
	changed = s != q->space_since || i != q->inode_since;
	q->space_since = s;
	q->inode_since = i;
	return changed;
}

static bool has_limits(const struct meta_quota *q)
{
	return q->space_soft || q->space_hard || q->inode_soft || q->inode_hard;
}

/* 1 with *@q, 0 with zeros, or -errno. */
static int quota_get(struct meta_store *s, u32 fs, u32 kind, u64 id, struct meta_quota *q)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err = meta_row_get(s, META_T_QUOTA, key, meta_key3(key, fs, kind, id), &r);

	memset(q, 0, sizeof(*q));
	if (err == 1)
		memcpy(q, r.val, r.vlen < sizeof(*q) ? r.vlen : sizeof(*q));
	return err;
}

static int quota_put(struct meta_store *s, u32 fs, u32 kind, u64 id, const struct meta_quota *q)
{
	u8 key[META_KEY_MAX];
	u32 len = meta_key3(key, fs, kind, id);

	if (!has_limits(q) && !q->space && !q->inodes)
		return meta_row_del(s, META_T_QUOTA, key, len);
	return meta_row_put(s, META_T_QUOTA, key, len, q, sizeof(*q));
}

/* The limits that hold for an id: its own, or the default. 0 or -errno. */
static int limits_of(struct meta_store *s, u32 fs, u32 kind, u64 id, const struct meta_quota *own,
		     struct meta_quota *out)
{
	int err;

	*out = *own;
	if (has_limits(own) || !id || id == FLINT_QUOTA_DEFAULT)
		return 0;
	err = quota_get(s, fs, kind, FLINT_QUOTA_DEFAULT, out);
	out->space_since = own->space_since;
	out->inode_since = own->inode_since;
	return err < 0 ? err : 0;
}

/*
 * Soft limits are looked at when the command is done: what it takes away and gives back on
 * its way must not begin a new time of grace.
 */
static int watch_later(struct meta_store *s, u32 fs, u32 kind, u64 id)
{
	u32 i;
	int err;

	for (i = 0; i < s->nr_watch; i++)
		if (s->watch[i].id == id && s->watch[i].kind == kind && s->watch[i].fs == fs)
			return 0;
	if (s->nr_watch == META_WATCH_MAX) {
		err = meta_quota_settle(s);
		if (err)
			return err;
	}
	s->watch[s->nr_watch++] = (struct meta_watch){ .fs = fs, .kind = kind, .id = id };
	return 0;
}

static int settle_one(struct meta_store *s, const struct meta_watch *w)
{
	struct meta_quota q, l;
	const struct meta_inode *d;
	u64 space, inodes;
	int err = quota_get(s, w->fs, w->kind, w->id, &q);

	if (err != 1)
		return err;
	space = q.space;
	inodes = q.inodes;
	l = q;
	if (w->kind == FLINT_QUOTA_TREE) {
		err = meta_inode_peek(s, w->id, &d);
		if (err)
			return err == -ESTALE ? 0 : err;
		space = d->tree_bytes;
		inodes = d->tree_files + d->tree_dirs;
	} else {
		err = limits_of(s, w->fs, w->kind, w->id, &q, &l);
		if (err)
			return err;
	}
	return quota_watch(&q, &l, space, inodes, s->now) ?
	       quota_put(s, w->fs, w->kind, w->id, &q) : 0;
}

int meta_quota_settle(struct meta_store *s)
{
	int err = 0;

	while (!err && s->nr_watch)
		err = settle_one(s, &s->watch[--s->nr_watch]);
	s->nr_watch = 0;
	return err;
}

/* ---- trees ------------------------------------------------------------------- */

int meta_tree_room(struct meta_store *s, u64 dir, u64 stop, const struct meta_charge *c)
{
	const struct meta_inode *d;
	struct meta_quota q;
	int err;

	for (; dir != stop; dir = d->parent) {
		err = meta_inode_peek(s, dir, &d);
		if (err)
			return err;
		if (d->flags & META_INO_QUOTA) {
			err = quota_get(s, d->fs, FLINT_QUOTA_TREE, dir, &q);
			if (err < 0)
				return err;
			if (quota_room(&q, d->tree_bytes, d->tree_files + d->tree_dirs, c->bytes,
				       c->files + c->dirs, s->now))
				return EDQUOT;
		}
		if (d->parent == dir)
			break;
	}
	return 0;
}

int meta_tree_add(struct meta_store *s, u64 dir, u64 stop, const struct meta_charge *c, int sign)
{
	struct meta_inode *d;
	int err;

	for (; dir != stop; dir = d->parent) {
		err = meta_inode_get(s, dir, &d);
		if (err)
			return err;
		d->tree_bytes += sign * c->bytes;
		d->tree_files += sign * c->files;
		d->tree_dirs += sign * c->dirs;
		meta_inode_dirty(s, d);
		if (d->flags & META_INO_QUOTA) {
			err = watch_later(s, d->fs, FLINT_QUOTA_TREE, dir);
			if (err)
				return err;
		}
		if (d->parent == dir)
			break;
	}
	return 0;
}

/* Steps from a directory up to the root. 0 or -errno. */
static int depth_of(struct meta_store *s, u64 dir, u32 *depth)
{
	const struct meta_inode *d;
	int err;

	for (*depth = 0; ; ++*depth, dir = d->parent) {
		err = meta_inode_peek(s, dir, &d);
		if (err || d->parent == dir)
			return err;
	}
}

static int parent_of(struct meta_store *s, u64 *dir)
{
	const struct meta_inode *d;
	int err = meta_inode_peek(s, *dir, &d);

	if (!err)
		*dir = d->parent;
	return err;
}

int meta_tree_common(struct meta_store *s, u64 a, u64 b, u64 *common)
{
	u32 da, db;
	int err;

	*common = 0;
	err = depth_of(s, a, &da);
	if (!err)
		err = depth_of(s, b, &db);
	for (; !err && da > db; da--)
		err = parent_of(s, &a);
	for (; !err && db > da; db--)
		err = parent_of(s, &b);
	for (; !err && a != b && da; da--) {
		err = parent_of(s, &a);
		if (!err)
			err = parent_of(s, &b);
	}
	if (!err && a == b)
		*common = a;
	return err;
}

int meta_move_room(struct meta_store *s, u64 from, u64 to, const struct meta_charge *c)
{
	u64 common;
	int err;

	if (from == to)
		return 0;
	err = meta_tree_common(s, from, to, &common);
	return err ? err : meta_tree_room(s, to, common, c);
}

int meta_move_tree(struct meta_store *s, u64 from, u64 to, const struct meta_charge *c)
{
	u64 common;
	int err;

	if (from == to)
		return 0;
	err = meta_tree_common(s, from, to, &common);
	if (!err)
		err = meta_tree_add(s, from, common, c, -1);
	return err ? err : meta_tree_add(s, to, common, c, 1);
}

/* ---- users, groups, projects -------------------------------------------------- */

static int id_room(struct meta_store *s, u32 fs, u32 kind, u64 id, s64 bytes, s64 inodes)
{
	struct meta_quota q, l;
	int err;

	if (bytes <= 0 && inodes <= 0)
		return 0;
	err = quota_get(s, fs, kind, id, &q);
	if (err >= 0)
		err = limits_of(s, fs, kind, id, &q, &l);
	return err < 0 ? err : quota_room(&l, q.space, q.inodes, bytes, inodes, s->now);
}

static int id_add(struct meta_store *s, u32 fs, u32 kind, u64 id, s64 bytes, s64 inodes)
{
	struct meta_quota q, l;
	int err = quota_get(s, fs, kind, id, &q);

	if (err >= 0)
		err = limits_of(s, fs, kind, id, &q, &l);
	if (err < 0)
		return err;
	q.space += bytes;
	q.inodes += inodes;
	if (has_limits(&l)) {
		err = watch_later(s, fs, kind, id);
		if (err)
			return err;
	} else {
		q.space_since = 0;
		q.inode_since = 0;
	}
	return quota_put(s, fs, kind, id, &q);
}

int meta_ids_room(struct meta_store *s, const struct meta_inode *i, s64 bytes, s64 inodes)
{
	int err;

	err = id_room(s, i->fs, FLINT_QUOTA_USER, i->uid, bytes, inodes);
	if (!err)
		err = id_room(s, i->fs, FLINT_QUOTA_GROUP, i->gid, bytes, inodes);
	if (!err && i->project)
		err = id_room(s, i->fs, FLINT_QUOTA_PROJECT, i->project, bytes, inodes);
	return err;
}

int meta_ids_add(struct meta_store *s, const struct meta_inode *i, s64 bytes, s64 inodes)
{
	int err;

	err = id_add(s, i->fs, FLINT_QUOTA_USER, i->uid, bytes, inodes);
	if (!err)
		err = id_add(s, i->fs, FLINT_QUOTA_GROUP, i->gid, bytes, inodes);
	if (!err && i->project)
		err = id_add(s, i->fs, FLINT_QUOTA_PROJECT, i->project, bytes, inodes);
	return err;
}

int meta_ids_move(struct meta_store *s, struct meta_inode *i, u32 uid, u32 gid, u32 project)
{
	s64 bytes = meta_inode_bytes(i);
	int err = 0;

	if (uid != i->uid)
		err = id_room(s, i->fs, FLINT_QUOTA_USER, uid, bytes, 1);
	if (!err && gid != i->gid)
		err = id_room(s, i->fs, FLINT_QUOTA_GROUP, gid, bytes, 1);
	if (!err && project && project != i->project)
		err = id_room(s, i->fs, FLINT_QUOTA_PROJECT, project, bytes, 1);
	if (!err)
		err = meta_ids_add(s, i, -bytes, -1);
	if (err)
		return err;
	i->uid = uid;
	i->gid = gid;
	i->project = project;
	return meta_ids_add(s, i, bytes, 1);
}

static int size_set(struct meta_store *s, struct meta_inode *i, u64 size, bool limits)
{
	u64 old = meta_inode_bytes(i), was = i->size;
	struct meta_charge c = { 0 };
	int err = 0;

	i->size = size;
	c.bytes = (s64)(meta_inode_bytes(i) - old);
	if (!c.bytes)
		return 0;
	if (c.bytes > 0 && limits) {
		if (i->nlink)
			err = meta_tree_room(s, i->parent, 0, &c);
		if (!err)
			err = meta_ids_room(s, i, c.bytes, 0);
		if (err) {
			i->size = was;
			return err;
		}
	}
	if (i->nlink)
		err = meta_tree_add(s, i->parent, 0, &c, 1);
	return err ? err : meta_ids_add(s, i, c.bytes, 0);
}

int meta_size_set(struct meta_store *s, struct meta_inode *i, u64 size)
{
	return size_set(s, i, size, true);
}

int meta_size_settle(struct meta_store *s, struct meta_inode *i, u64 size)
{
	return size_set(s, i, size, false);
}

int meta_size_limited(struct meta_store *s, const struct meta_inode *i)
{
	struct meta_charge c = { .bytes = 1ll << 60 };	/* no limit has room for it */
	int err;

	err = meta_tree_room(s, i->parent, 0, &c);
	if (!err)
		err = meta_ids_room(s, i, c.bytes, 0);
	return err == EDQUOT ? 1 : err;
}

/* ---- several names -------------------------------------------------------------- */

/* Names of a file in a directory, raised by @by. 0 with *@left or -errno. */
static int link_count(struct meta_store *s, u64 ino, u64 dir, int by, u64 *left)
{
	u8 key[META_KEY_MAX];
	u32 len = meta_key2(key, ino, dir);
	struct meta_row r;
	u64 n = 0;
	int err;

	err = meta_row_get(s, META_T_LINK, key, len, &r);
	if (err < 0)
		return err;
	if (err == 1)
		memcpy(&n, r.val, sizeof(n));
	n += by;
	*left = n;
	if (!by)
		return 0;
	return n ? meta_row_put(s, META_T_LINK, key, len, &n, sizeof(n)) :
		   meta_row_del(s, META_T_LINK, key, len);
}

int meta_link_add(struct meta_store *s, struct meta_inode *i, u64 dir)
{
	u64 n;
	int err = 0;

	if (!(i->flags & META_INO_LINKS)) {
		err = link_count(s, i->ino, i->parent, 1, &n);
		i->flags |= META_INO_LINKS;
		meta_inode_dirty(s, i);
	}
	return err ? err : link_count(s, i->ino, dir, 1, &n);
}

/* The directory with the lowest number that has a name of the file, but for @not. */
static int link_first(struct meta_store *s, u64 ino, u64 not, u64 *dir)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	u64 from = 0;
	int err;

	*dir = 0;
	for (;;) {
		err = meta_row_seek(s, META_T_LINK, key, meta_key2(key, ino, from), &r);
		if (err != 1 || meta_key_u64(r.key, 0) != ino)
			return err < 0 ? err : 0;
		*dir = meta_key_u64(r.key, 8);
		if (*dir != not)
			return 0;
		from = *dir + 1;
		*dir = 0;
	}
}

int meta_link_del(struct meta_store *s, struct meta_inode *i, u64 dir, u32 left)
{
	struct meta_charge c = meta_charge_of(i);
	u8 key[META_KEY_MAX];
	u64 n, home;
	int err;

	if (!(i->flags & META_INO_LINKS))
		return left ? 0 : meta_tree_add(s, i->parent, 0, &c, -1);
	err = link_count(s, i->ino, dir, -1, &n);
	if (!err && !n && dir == i->parent) {
		err = link_first(s, i->ino, 0, &home);
		if (!err)
			err = meta_move_tree(s, i->parent, home, &c);
		i->parent = home;
	}
	if (!err && left == 1) {
		i->flags &= ~META_INO_LINKS;
		err = meta_row_del_prefix(s, META_T_LINK, key, meta_key1(key, i->ino));
	}
	meta_inode_dirty(s, i);
	return err;
}

int meta_link_move_room(struct meta_store *s, struct meta_inode *i, u64 from, u64 to)
{
	struct meta_charge c = meta_charge_of(i);
	u64 n = 1, home = to;
	int err;

	if (i->flags & META_INO_LINKS) {
		err = link_count(s, i->ino, from, 0, &n);
		if (err || n > 1 || from != i->parent)
			return err;
		err = link_first(s, i->ino, from, &home);
		if (err)
			return err;
		if (!home || to < home)
			home = to;
	}
	return meta_move_room(s, from, home, &c);
}

int meta_link_move(struct meta_store *s, struct meta_inode *i, u64 from, u64 to)
{
	struct meta_charge c = meta_charge_of(i);
	int err;

	if (from == to)
		return 0;
	if (i->flags & META_INO_LINKS) {
		err = meta_link_add(s, i, to);
		return err ? err : meta_link_del(s, i, from, i->nlink);
	}
	err = meta_move_tree(s, from, to, &c);
	i->parent = to;
	meta_inode_dirty(s, i);
	return err;
}

/* ---- the end -------------------------------------------------------------------- */

int meta_inode_remove(struct meta_store *s, struct meta_inode *i)
{
	u8 key[META_KEY_MAX];
	int err;

	err = meta_ids_add(s, i, -(s64)meta_inode_bytes(i), -1);
	if (!err && meta_is_dir(i))
		err = meta_row_del(s, META_T_DIRNAME, key, meta_key1(key, i->ino));
	if (!err && (i->flags & META_INO_QUOTA))
		err = meta_row_del(s, META_T_QUOTA, key,
				   meta_key3(key, i->fs, FLINT_QUOTA_TREE, i->ino));
	if (!err && (i->flags & META_INO_KEEP))
		err = meta_row_del(s, META_T_KEEP, key, meta_key2(key, i->fs, i->ino));
	return err ? err : meta_inode_delete(s, i);
}

/* ---- what the administrator sees and sets ----------------------------------------- */

static void quota_wire(u32 kind, u64 id, const struct meta_quota *q, struct flint_quota *out)
{
	*out = (struct flint_quota){
		.kind = cpu_to_le32(kind), .grace = cpu_to_le32(q->grace), .id = cpu_to_le64(id),
		.space_soft = cpu_to_le64(q->space_soft), .space_hard = cpu_to_le64(q->space_hard),
		.inode_soft = cpu_to_le64(q->inode_soft), .inode_hard = cpu_to_le64(q->inode_hard),
		.space_since = cpu_to_le64(q->space_since),
		.inode_since = cpu_to_le64(q->inode_since),
		.space = cpu_to_le64(q->space), .inodes = cpu_to_le64(q->inodes),
	};
}

static bool id_ok(u32 kind, u64 id)
{
	if (kind == FLINT_QUOTA_TREE)
		return true;
	return kind >= FLINT_QUOTA_USER && kind <= FLINT_QUOTA_PROJECT && id <= 0xffffffffu &&
	       (kind != FLINT_QUOTA_PROJECT || id);
}

int meta_quota_read(struct meta_store *s, u32 fs, u32 kind, u64 id, struct flint_quota *out)
{
	const struct meta_inode *d;
	struct meta_quota q;
	int err;

	if (!id_ok(kind, id))
		return EINVAL;
	err = quota_get(s, fs, kind, id, &q);
	if (err < 0)
		return err;
	if (kind == FLINT_QUOTA_TREE) {
		err = meta_inode_peek(s, id, &d);
		if (err || d->fs != fs || !meta_is_dir(d))
			return err && err != -ESTALE ? err : ENOENT;
		q.space = d->tree_bytes;
		q.inodes = d->tree_files + d->tree_dirs;
	}
	quota_wire(kind, id, &q, out);
	return 0;
}

int meta_quota_next(struct meta_store *s, u32 fs, u32 kind, u64 after, struct flint_quota *out)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	err = meta_row_seek(s, META_T_QUOTA, key, meta_key3(key, fs, kind, after), &r);
	if (err != 1 || meta_key_u64(r.key, 0) != fs || meta_key_u64(r.key, 8) != kind)
		return err < 0 ? err : 0;
	err = meta_quota_read(s, fs, kind, meta_key_u64(r.key, 16), out);
	return err ? (err < 0 ? err : 0) : 1;
}

static u64 left_of(u64 limit, u64 used)
{
	return limit > used ? limit - used : 0;
}

static void room_take(struct meta_room *r, const struct meta_quota *q, u64 bytes, u64 inodes)
{
	u64 b = q->space_hard ? q->space_hard : q->space_soft;
	u64 n = q->inode_hard ? q->inode_hard : q->inode_soft;

	if (b && (!r->bytes || left_of(b, bytes) < left_of(r->bytes, r->bytes_used))) {
		r->bytes = b;
		r->bytes_used = bytes;
	}
	if (n && (!r->inodes || left_of(n, inodes) < left_of(r->inodes, r->inodes_used))) {
		r->inodes = n;
		r->inodes_used = inodes;
	}
}

int meta_quota_left(struct meta_store *s, u64 ino, struct meta_room *room)
{
	struct meta_quota q, l;
	struct meta_inode i;
	u64 project;
	int err;

	memset(room, 0, sizeof(*room));
	err = meta_read_inode(s, ino, &i);
	if (err)
		return err;
	project = i.project;
	if (project) {
		err = quota_get(s, i.fs, FLINT_QUOTA_PROJECT, project, &q);
		if (err >= 0)
			err = limits_of(s, i.fs, FLINT_QUOTA_PROJECT, project, &q, &l);
		if (err < 0)
			return err;
		room_take(room, &l, q.space, q.inodes);
	}
	while (meta_is_dir(&i) || i.nlink) {
		if (i.flags & META_INO_QUOTA) {
			err = quota_get(s, i.fs, FLINT_QUOTA_TREE, i.ino, &q);
			if (err < 0)
				return err;
			room_take(room, &q, i.tree_bytes, i.tree_files + i.tree_dirs);
		}
		if (i.parent == i.ino)
			break;
		err = meta_read_inode(s, i.parent, &i);
		if (err)
			return err;
	}
	return 0;
}

/* Set limits; the soft ones count from now. 0 or -errno. */
static int limits_set(struct meta_op *o, const struct flint_quota_set *b, u64 space, u64 inodes)
{
	u32 kind = le32_to_cpu(b->kind);
	u64 id = le64_to_cpu(b->id);
	struct meta_quota q;
	int err = quota_get(o->s, o->sn->fs, kind, id, &q);

	if (err < 0)
		return err;
	if (kind != FLINT_QUOTA_TREE) {
		space = q.space;
		inodes = q.inodes;
	}
	q.grace = le32_to_cpu(b->grace);
	q.space_soft = le64_to_cpu(b->space_soft);
	q.space_hard = le64_to_cpu(b->space_hard);
	q.inode_soft = le64_to_cpu(b->inode_soft);
	q.inode_hard = le64_to_cpu(b->inode_hard);
	if (!has_limits(&q))
		q.grace = 0;
	quota_watch(&q, &q, space, inodes, o->s->now);
	return quota_put(o->s, o->sn->fs, kind, id, &q);
}

int meta_op_quota_set(struct meta_op *o)
{
	struct flint_quota_set b;
	struct flint_quota rep;
	struct meta_inode *d = NULL;
	u32 kind;
	u64 id;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	meta_cred_body(o, &b.cred);
	kind = le32_to_cpu(b.kind);
	id = le64_to_cpu(b.id);
	if (o->cred.uid || !meta_sees_all(o) || !meta_session_admin(o->sn))
		return EPERM;
	if (!id_ok(kind, id) || le64_to_cpu(b.space_soft) > INT64_MAX ||
	    le64_to_cpu(b.space_hard) > INT64_MAX || le64_to_cpu(b.inode_soft) > INT64_MAX ||
	    le64_to_cpu(b.inode_hard) > INT64_MAX ||
	    (b.space_hard && le64_to_cpu(b.space_soft) > le64_to_cpu(b.space_hard)) ||
	    (b.inode_hard && le64_to_cpu(b.inode_soft) > le64_to_cpu(b.inode_hard)))
		return EINVAL;
	if (kind == FLINT_QUOTA_TREE) {
		err = meta_op_dir(o, id, &d);
		if (err)
			return err;
	}
	err = limits_set(o, &b, d ? d->tree_bytes : 0, d ? d->tree_files + d->tree_dirs : 0);
	if (err)
		return err;
	if (d) {
		d->flags &= ~META_INO_QUOTA;
		if (b.space_soft || b.space_hard || b.inode_soft || b.inode_hard)
			d->flags |= META_INO_QUOTA;
		meta_inode_dirty(o->s, d);
	}
	err = meta_quota_read(o->s, o->sn->fs, kind, id, &rep);
	if (err)
		return err;
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}
