// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * RENAME, with every case of rename(2) and renameat2(2).
 *
 * Cookies belong to names: a new name gets a new cookie, a name that already
 * stood there (replaced or exchanged) keeps its own, so that a scan of the
 * directory sees each name that exists throughout exactly once.
 */
#include <errno.h>
#include "command.h"

/**
 * struct renaming - one rename, looked up
 * @od, @nd: directories
 * @src, @dst: inodes at the old and the new name; @dst NULL: none
 */
struct renaming {
	struct flint_rename b;
	u32 flags;
	const u8 *oname, *nname;
	u32 olen, nlen;
	struct meta_inode *od, *nd, *src, *dst;
};

/* Is @dir @top itself or below it? 1, 0 or -errno. */
static int is_below(struct meta_store *s, const struct meta_inode *dir, u64 top)
{
	u64 ino = dir->ino;
	int err;

	while (ino != top) {
		err = meta_inode_peek(s, ino, &dir);
		if (err)
			return err == -ESTALE ? -EUCLEAN : err;
		if (dir->parent == ino)
			return 0;
		ino = dir->parent;
	}
	return 1;
}

static int find(struct meta_op *o, struct meta_inode *dir, const u8 *name, u32 len,
		struct meta_inode **out)
{
	struct meta_dentry d;
	int err = meta_dentry_get(o->s, dir->ino, name, len, &d);

	return err ? err : meta_inode_get(o->s, d.ino, out);
}

static int rename_lookup(struct meta_op *o, struct renaming *r)
{
	u32 tail;
	int err;

	if (flint_body_get_var(&r->b, sizeof(r->b), sizeof(r->b), o->c->body, o->c->body_len,
			       &r->oname, &tail))
		return FLINT_ST_BAD_REQUEST;
	meta_cred_body(o, &r->b.cred);
	r->flags = le32_to_cpu(r->b.flags);
	r->olen = le32_to_cpu(r->b.old_len);
	r->nlen = le32_to_cpu(r->b.new_len);
	r->nname = r->oname + r->olen;
	if ((r->flags & ~(FLINT_RENAME_NOREPLACE | FLINT_RENAME_EXCHANGE)) ||
	    r->flags == (FLINT_RENAME_NOREPLACE | FLINT_RENAME_EXCHANGE))
		return EINVAL;
	err = flint_name_check(r->oname, r->olen);
	if (!err)
		err = flint_name_check(r->nname, r->nlen);
	if (err)
		return -err;
	err = meta_op_dir(o, le64_to_cpu(r->b.old_parent), &r->od);
	if (!err)
		err = meta_op_dir(o, le64_to_cpu(r->b.new_parent), &r->nd);
	if (!err)
		err = meta_access(o, r->od, META_EXEC);
	if (!err)
		err = meta_access(o, r->nd, META_EXEC);
	if (err)
		return err;
	err = find(o, r->od, r->oname, r->olen, &r->src);
	if (err)
		return err == -ENOENT ? ENOENT : err;
	err = find(o, r->nd, r->nname, r->nlen, &r->dst);
	if (err == -ENOENT) {
		r->dst = NULL;
		err = 0;
	}
	return err;
}

/* A directory must not come to lie below itself. 0, EINVAL, ENOTEMPTY or -errno. */
static int loop_check(struct meta_op *o, const struct renaming *r)
{
	bool xchg = r->flags & FLINT_RENAME_EXCHANGE;
	int err;

	if (r->od == r->nd)
		return 0;
	if (meta_is_dir(r->src)) {
		err = is_below(o->s, r->nd, r->src->ino);
		if (err)
			return err < 0 ? err : EINVAL;
	}
	if (r->dst && meta_is_dir(r->dst)) {
		err = is_below(o->s, r->od, r->dst->ino);
		if (err)
			return err < 0 ? err : xchg ? EINVAL : ENOTEMPTY;
	}
	return 0;
}

/* What the caller may, in the order of vfs_rename(). 0, a status or -errno. */
static int may_rename(struct meta_op *o, const struct renaming *r)
{
	bool xchg = r->flags & FLINT_RENAME_EXCHANGE;
	int err;

	err = meta_may_delete(o, r->od, r->src, meta_is_dir(r->src));
	if (err)
		return err;
	if (!r->dst)
		err = meta_may_create(o, r->nd);
	else
		err = meta_may_delete(o, r->nd, r->dst, meta_is_dir(xchg ? r->dst : r->src));
	if (err || r->od == r->nd)
		return err;
	/* ".." of a directory changes with its parent. */
	if (meta_is_dir(r->src))
		err = meta_access(o, r->src, META_WRITE);
	if (!err && xchg && meta_is_dir(r->dst))
		err = meta_access(o, r->dst, META_WRITE);
	return err;
}

/* Links of the directories, project borders, quotas. 0, a status or -errno. */
static int move_check(struct meta_op *o, const struct renaming *r)
{
	struct meta_inode *od = r->od, *nd = r->nd, *src = r->src, *dst = r->dst;
	bool xchg = r->flags & FLINT_RENAME_EXCHANGE;
	bool sdir = meta_is_dir(src), ddir = dst && meta_is_dir(dst);
	struct meta_charge c;
	int err;

	if (od == nd)
		return 0;
	if ((sdir && !ddir && nd->nlink >= META_LINK_MAX) ||
	    (xchg && ddir && !sdir && od->nlink >= META_LINK_MAX))
		return EMLINK;
	if ((nd->project && nd->project != src->project) ||
	    (xchg && od->project && od->project != dst->project))
		return EXDEV;
	c = meta_charge_of(src);
	err = sdir ? meta_move_room(o->s, od->ino, nd->ino, &c) :
		     meta_link_move_room(o->s, src, od->ino, nd->ino);
	if (err || !xchg)
		return err;
	c = meta_charge_of(dst);
	return ddir ? meta_move_room(o->s, nd->ino, od->ino, &c) :
		      meta_link_move_room(o->s, dst, nd->ino, od->ino);
}

static int rename_check(struct meta_op *o, struct renaming *r)
{
	int err;

	if ((r->flags & FLINT_RENAME_NOREPLACE) && r->dst)
		return EEXIST;
	if ((r->flags & FLINT_RENAME_EXCHANGE) && !r->dst)
		return ENOENT;
	err = loop_check(o, r);
	if (err || r->src == r->dst)
		return err;
	err = may_rename(o, r);
	if (err)
		return err;
	if (!(r->flags & FLINT_RENAME_EXCHANGE) && r->dst && meta_is_dir(r->dst) && r->dst->size)
		return ENOTEMPTY;
	return move_check(o, r);
}

/* An inode's name went from one directory to another, or changed. 0 or -errno. */
static int reparent(struct meta_op *o, struct meta_inode *i, struct meta_inode *from,
		    struct meta_inode *to, const u8 *name, u32 len)
{
	struct meta_charge c = meta_charge_of(i);
	int err;

	if (!meta_is_dir(i))
		return meta_link_move(o->s, i, from->ino, to->ino);
	err = meta_dirname_set(o->s, i->ino, name, len);
	if (err || from == to)
		return err;
	err = meta_move_tree(o->s, from->ino, to->ino, &c);
	from->nlink--;
	to->nlink++;
	i->parent = to->ino;
	o->s->moves++;
	meta_inode_dirty(o->s, i);
	return err;
}

static int do_exchange(struct meta_op *o, struct renaming *r)
{
	int err;

	err = meta_dentry_set(o->s, r->od->ino, r->oname, r->olen, r->dst->ino, r->dst->mode);
	if (!err)
		err = meta_dentry_set(o->s, r->nd->ino, r->nname, r->nlen, r->src->ino,
				      r->src->mode);
	if (!err)
		err = reparent(o, r->src, r->od, r->nd, r->nname, r->nlen);
	if (!err)
		err = reparent(o, r->dst, r->nd, r->od, r->oname, r->olen);
	meta_touch(o, r->dst);
	return err;
}

/* What stood at the new name has lost it. 0 or -errno. */
static int replaced(struct meta_op *o, struct renaming *r)
{
	u32 keep = 0;
	int err = 0;

	if (meta_last_name(r->dst))
		err = meta_trash_keep(o->s, r->nd->fs, r->nd->ino, &keep);
	if (err)
		return err;
	if (keep)
		return meta_trash_put(o, r->nd, r->dst, r->nname, r->nlen, keep);
	return meta_is_dir(r->dst) ? meta_dir_gone(o, r->nd, r->dst) :
				     meta_name_gone(o, r->nd, r->dst);
}

static int do_move(struct meta_op *o, struct renaming *r)
{
	int err;

	err = meta_dentry_del(o->s, r->od, r->oname, r->olen);
	if (err)
		return err;
	if (!r->dst) {
		err = meta_dentry_add(o->s, r->nd, r->nname, r->nlen, r->src->ino, r->src->mode);
	} else {
		err = meta_dentry_set(o->s, r->nd->ino, r->nname, r->nlen, r->src->ino,
				      r->src->mode);
		if (!err)
			err = replaced(o, r);
	}
	return err ? err : reparent(o, r->src, r->od, r->nd, r->nname, r->nlen);
}

int meta_op_rename(struct meta_op *o)
{
	struct flint_rename_rep rep = { 0 };
	struct renaming r = { 0 };
	bool xchg;
	int err;

	err = rename_lookup(o, &r);
	if (!err)
		err = rename_check(o, &r);
	if (err)
		return err;

	xchg = r.flags & FLINT_RENAME_EXCHANGE;
	rep.ino = cpu_to_le64(r.src->ino);
	rep.ctime = cpu_to_le64(o->s->now);
	if (r.src == r.dst) {
		/* Two names of one inode, or the same name twice: nothing happens. */
		rep.ctime = cpu_to_le64(r.src->ctime);
	} else {
		if (r.dst) {
			rep.replaced = cpu_to_le64(r.dst->ino);
			rep.replaced_nlink = cpu_to_le32(xchg ? r.dst->nlink :
							 meta_last_name(r.dst) ? 0 :
							 r.dst->nlink - 1);
		}
		err = xchg ? do_exchange(o, &r) : do_move(o, &r);
		if (err)
			return err;
		meta_touch(o, r.src);
		meta_touch_dir(o, r.od);
		if (r.nd != r.od)
			meta_touch_dir(o, r.nd);
	}
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}
