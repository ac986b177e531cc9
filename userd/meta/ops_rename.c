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

#define FROZEN	(FLINT_INO_IMMUTABLE | FLINT_INO_APPEND)

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
static int is_below(struct meta_store *s, struct meta_inode *dir, u64 top)
{
	u64 ino = dir->ino;
	int err;

	while (ino != top) {
		err = meta_inode_get(s, ino, &dir);
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

static int rename_check(struct meta_op *o, struct renaming *r)
{
	bool xchg = r->flags & FLINT_RENAME_EXCHANGE;
	bool moves = r->od != r->nd;
	int err;

	if ((r->flags & FLINT_RENAME_NOREPLACE) && r->dst)
		return EEXIST;
	if (xchg && !r->dst)
		return ENOENT;
	if ((r->od->flags & FROZEN) || (r->nd->flags & FLINT_INO_IMMUTABLE) ||
	    (r->src->flags & FROZEN) ||
	    (r->dst && ((r->dst->flags | r->nd->flags) & FROZEN)))
		return EPERM;
	/* A directory must not come to lie below itself. */
	if (moves && meta_is_dir(r->src)) {
		err = is_below(o->s, r->nd, r->src->ino);
		if (err)
			return err < 0 ? err : EINVAL;
	}
	if (moves && xchg && meta_is_dir(r->dst)) {
		err = is_below(o->s, r->od, r->dst->ino);
		if (err)
			return err < 0 ? err : EINVAL;
	}
	if (!xchg && r->dst) {
		if (meta_is_dir(r->src) && !meta_is_dir(r->dst))
			return ENOTDIR;
		if (!meta_is_dir(r->src) && meta_is_dir(r->dst))
			return EISDIR;
		if (meta_is_dir(r->dst) && r->dst->size)
			return ENOTEMPTY;
	}
	if (moves && meta_is_dir(r->src) && !(r->dst && meta_is_dir(r->dst)) &&
	    r->nd->nlink >= META_LINK_MAX)
		return EMLINK;
	if (moves && xchg && meta_is_dir(r->dst) && !meta_is_dir(r->src) &&
	    r->od->nlink >= META_LINK_MAX)
		return EMLINK;
	return 0;
}

/* A directory changed its parent. */
static void reparent(struct meta_op *o, struct meta_inode *i, struct meta_inode *from,
		     struct meta_inode *to)
{
	if (!meta_is_dir(i) || from == to)
		return;
	from->nlink--;
	to->nlink++;
	i->parent = to->ino;
	meta_inode_dirty(o->s, i);
}

static int do_exchange(struct meta_op *o, struct renaming *r)
{
	int err;

	err = meta_dentry_set(o->s, r->od->ino, r->oname, r->olen, r->dst->ino, r->dst->mode);
	if (!err)
		err = meta_dentry_set(o->s, r->nd->ino, r->nname, r->nlen, r->src->ino,
				      r->src->mode);
	if (err)
		return err;
	reparent(o, r->src, r->od, r->nd);
	reparent(o, r->dst, r->nd, r->od);
	meta_touch(o, r->dst);
	return 0;
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
		if (!err && meta_is_dir(r->dst)) {
			r->dst->nlink = 0;
			r->nd->nlink--;
			meta_touch(o, r->dst);
			err = meta_inode_delete(o->s, r->dst);
		} else if (!err) {
			err = meta_drop_link(o, r->dst);
		}
	}
	if (!err)
		reparent(o, r->src, r->od, r->nd);
	return err;
}

int meta_op_rename(struct meta_op *o)
{
	struct flint_rename_rep rep = { 0 };
	struct renaming r = { 0 };
	int err;

	err = rename_lookup(o, &r);
	if (!err)
		err = rename_check(o, &r);
	if (err)
		return err;

	rep.ino = cpu_to_le64(r.src->ino);
	/* Two names of one inode, or the same name twice: nothing happens. */
	if (r.src != r.dst) {
		err = r.flags & FLINT_RENAME_EXCHANGE ? do_exchange(o, &r) : do_move(o, &r);
		if (err)
			return err;
		meta_touch(o, r.src);
		meta_touch_dir(o, r.od);
		if (r.nd != r.od)
			meta_touch_dir(o, r.nd);
		if (r.dst) {
			rep.replaced = cpu_to_le64(r.dst->ino);
			rep.replaced_nlink = cpu_to_le32(r.dst->nlink);
		}
	}
	rep.ctime = cpu_to_le64(r.src->ctime);
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}
