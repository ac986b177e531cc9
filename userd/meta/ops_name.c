// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names: create, open, link, unlink. Each operation checks everything before
 * it changes anything, so that a refusal leaves no trace.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "command.h"

int meta_op_inode(struct meta_op *o, u64 ino, u32 gen, struct meta_inode **out)
{
	int err = meta_inode_get(o->s, ino, out);

	if (err)
		return err == -ESTALE ? ESTALE : err;
	if ((gen && gen != (*out)->gen) || (*out)->fs != o->sn->fs)
		return ESTALE;
	return 0;
}

int meta_op_dir(struct meta_op *o, u64 ino, struct meta_inode **out)
{
	int err = meta_op_inode(o, ino, 0, out);

	if (!err && !meta_is_dir(*out))
		err = ENOTDIR;
	return err;
}

void meta_touch(struct meta_op *o, struct meta_inode *i)
{
	i->ctime = o->s->now;
	i->change++;
	meta_inode_dirty(o->s, i);
}

void meta_touch_dir(struct meta_op *o, struct meta_inode *dir)
{
	dir->mtime = o->s->now;
	meta_touch(o, dir);
}

int meta_new_inode(struct meta_op *o, struct meta_inode *dir, u32 mode,
		   const struct flint_cred *cred, struct meta_inode **out)
{
	struct meta_fs *fs = meta_fs_get(o->s, dir->fs);
	struct meta_inode *i = meta_inode_new(o->s);

	if (!i)
		return -ENOMEM;
	i->fs = dir->fs;
	i->mode = mode;
	i->nlink = 1;
	i->uid = le32_to_cpu(cred->uid);
	i->gid = le32_to_cpu(cred->gid);
	if (dir->mode & S_ISGID) {
		i->gid = dir->gid;
		if (S_ISDIR(mode))
			i->mode |= S_ISGID;
	}
	i->atime = i->mtime = i->ctime = i->btime = o->s->now;
	i->change = 1;
	i->project = dir->project;
	i->chunk_shift = dir->chunk_shift;
	i->stripe = dir->stripe;
	i->table = dir->table;
	i->table_ver = dir->table_ver;
	if (S_ISDIR(mode)) {
		i->nlink = 2;
		i->parent = dir->ino;
		i->next_cookie = META_COOKIE_FIRST;
	}
	if (fs) {
		fs->files++;
		fs->dirty = true;
	}
	*out = i;
	return 0;
}

int meta_drop_link(struct meta_op *o, struct meta_inode *i)
{
	i->nlink--;
	meta_touch(o, i);
	if (i->nlink)
		return 0;
	if (!meta_open_count(o->s, i->ino))
		return meta_release_orphan(o->s, i);
	return meta_orphan_put(o->s, i->ino, false);
}

/* ---- open and close ------------------------------------------------------------ */

static int handle_new(struct meta_op *o, struct meta_inode *i, u32 flags, u64 *handle)
{
	struct meta_handle h = {
		.sid = o->sn->id, .id = o->s->c.next_handle++, .ino = i->ino,
		.flags = flags & (FLINT_OPEN_READ | FLINT_OPEN_WRITE),
	};

	*handle = h.id;
	return meta_handle_add(o->s, &h);
}

static void open_reply(struct meta_op *o, const struct meta_inode *i, u64 handle, bool created)
{
	struct flint_open_rep rep = { 0 };

	rep.handle = cpu_to_le64(handle);
	rep.created = cpu_to_le32(created);
	meta_inode_attr(i, &rep.attr);
	meta_reply_set(o, &rep, sizeof(rep));
}

static int open_create(struct meta_op *o, const struct flint_open *b, struct meta_inode *dir,
		       const u8 *name, u32 len)
{
	struct meta_inode *i;
	u64 handle;
	int err;

	if (o->sn->flags & FLINT_SESSION_RDONLY)
		return EROFS;
	if (!dir->nlink)
		return ENOENT;
	if (dir->flags & FLINT_INO_IMMUTABLE)
		return EPERM;
	err = meta_new_inode(o, dir, S_IFREG | (le32_to_cpu(b->mode) & 07777), &b->cred, &i);
	if (!err)
		err = meta_dentry_add(o->s, dir, name, len, i->ino, i->mode);
	if (!err)
		err = handle_new(o, i, le32_to_cpu(b->flags), &handle);
	if (err)
		return err;
	meta_touch_dir(o, dir);
	open_reply(o, i, handle, true);
	return 0;
}

static int open_existing(struct meta_op *o, u32 flags, struct meta_inode *i)
{
	struct meta_intent it;
	u64 handle;
	int err, trunc = 0;

	if (!meta_is_reg(i)) {
		open_reply(o, i, 0, false);
		return 0;
	}
	if ((flags & (FLINT_OPEN_WRITE | FLINT_OPEN_TRUNC)) &&
	    (o->sn->flags & FLINT_SESSION_RDONLY))
		return EROFS;
	if ((flags & (FLINT_OPEN_WRITE | FLINT_OPEN_TRUNC)) && (i->flags & FLINT_INO_IMMUTABLE))
		return EPERM;
	if ((flags & FLINT_OPEN_TRUNC) && (i->flags & FLINT_INO_APPEND))
		return EPERM;
	if (flags & FLINT_OPEN_TRUNC) {
		err = meta_intent_get(o->s, i->ino, &it);
		if (err < 0)
			return err;
		if (err) {
			o->rep->ino = i->ino;
			return META_ST_WAIT;
		}
	}
	err = handle_new(o, i, flags, &handle);
	if (err)
		return err;
	if (flags & FLINT_OPEN_TRUNC) {
		trunc = meta_truncate(o, i, 0, handle);
		if (trunc < 0)
			return trunc;
	}
	open_reply(o, i, handle, false);
	return trunc;
}

int meta_op_open(struct meta_op *o)
{
	struct meta_dentry d;
	struct meta_inode *i;
	struct flint_open b;
	const u8 *name;
	u32 len, flags;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len, &name, &len))
		return FLINT_ST_BAD_REQUEST;
	flags = le32_to_cpu(b.flags);
	if (flags & ~(FLINT_OPEN_READ | FLINT_OPEN_WRITE | FLINT_OPEN_CREATE | FLINT_OPEN_EXCL |
		      FLINT_OPEN_TRUNC))
		return EINVAL;
	err = meta_op_inode(o, le64_to_cpu(b.ino), le32_to_cpu(b.gen), &i);
	if (err)
		return err;
	if (!len)
		return open_existing(o, flags, i);

	if (!meta_is_dir(i))
		return ENOTDIR;
	err = flint_name_check(name, len);
	if (err)
		return -err;
	err = meta_dentry_get(o->s, i->ino, name, len, &d);
	if (err == -ENOENT)
		return flags & FLINT_OPEN_CREATE ? open_create(o, &b, i, name, len) : ENOENT;
	if (err)
		return err;
	if ((flags & FLINT_OPEN_CREATE) && (flags & FLINT_OPEN_EXCL))
		return EEXIST;
	err = meta_inode_get(o->s, d.ino, &i);
	return err ? err : open_existing(o, flags, i);
}

/* ---- new names --------------------------------------------------------------------- */

static int mknod_check(const struct flint_mknod *b, u32 tail, const u8 *name)
{
	u32 len = le32_to_cpu(b->name_len), tlen = le32_to_cpu(b->target_len);
	int err;

	if ((u64)len + tlen != tail)
		return FLINT_ST_BAD_REQUEST;
	err = flint_name_check(name, len);
	if (err)
		return -err;
	switch (le32_to_cpu(b->mode) & S_IFMT) {
	case S_IFLNK:
		if (!tlen)
			return ENOENT;
		if (tlen > FLINT_PATH_MAX)
			return ENAMETOOLONG;
		return memchr(name + len, 0, tlen) ? EINVAL : 0;
	case S_IFREG:
	case S_IFDIR:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return tlen ? EINVAL : 0;
	default:
		return EINVAL;
	}
}

int meta_op_mknod(struct meta_op *o)
{
	struct meta_inode *dir, *i;
	struct meta_dentry d;
	struct flint_mknod b;
	const u8 *name;
	u32 len, tail, mode;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len, &name, &tail))
		return FLINT_ST_BAD_REQUEST;
	err = mknod_check(&b, tail, name);
	if (err)
		return err;
	len = le32_to_cpu(b.name_len);
	mode = le32_to_cpu(b.mode) & (S_IFMT | 07777);
	err = meta_op_dir(o, le64_to_cpu(b.parent), &dir);
	if (err)
		return err;
	err = meta_dentry_get(o->s, dir->ino, name, len, &d);
	if (err != -ENOENT)
		return err ? err : EEXIST;
	if (dir->flags & FLINT_INO_IMMUTABLE)
		return EPERM;
	if (S_ISDIR(mode) && dir->nlink >= META_LINK_MAX)
		return EMLINK;

	err = meta_new_inode(o, dir, S_ISLNK(mode) ? S_IFLNK | 0777 : mode, &b.cred, &i);
	if (!err)
		err = meta_dentry_add(o->s, dir, name, len, i->ino, mode);
	if (!err && S_ISLNK(mode)) {
		i->size = le32_to_cpu(b.target_len);
		err = meta_symlink_set(o->s, i->ino, name + len, i->size);
	}
	if (err)
		return err;
	if (S_ISCHR(mode) || S_ISBLK(mode)) {
		i->rdev_major = le32_to_cpu(b.rdev_major);
		i->rdev_minor = le32_to_cpu(b.rdev_minor);
	}
	if (S_ISDIR(mode))
		dir->nlink++;
	meta_touch_dir(o, dir);
	meta_reply_attr(o, i);
	return 0;
}

int meta_op_link(struct meta_op *o)
{
	struct meta_inode *dir, *i;
	struct meta_dentry d;
	struct flint_link b;
	const u8 *name;
	u32 len;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len, &name, &len))
		return FLINT_ST_BAD_REQUEST;
	err = flint_name_check(name, len);
	if (err)
		return -err;
	err = meta_op_dir(o, le64_to_cpu(b.parent), &dir);
	if (!err)
		err = meta_op_inode(o, le64_to_cpu(b.ino), 0, &i);
	if (err)
		return err;
	err = meta_dentry_get(o->s, dir->ino, name, len, &d);
	if (err != -ENOENT)
		return err ? err : EEXIST;
	if (meta_is_dir(i) || (dir->flags & FLINT_INO_IMMUTABLE) ||
	    (i->flags & (FLINT_INO_IMMUTABLE | FLINT_INO_APPEND)))
		return EPERM;
	if (!i->nlink)
		return ENOENT;
	if (i->nlink >= META_LINK_MAX)
		return EMLINK;

	err = meta_dentry_add(o->s, dir, name, len, i->ino, i->mode);
	if (err)
		return err;
	i->nlink++;
	meta_touch(o, i);
	meta_touch_dir(o, dir);
	meta_reply_attr(o, i);
	return 0;
}

/* ---- names that go ------------------------------------------------------------------- */

int meta_op_unlink(struct meta_op *o)
{
	struct flint_unlink_rep rep = { 0 };
	struct meta_inode *dir, *i;
	struct flint_name_req b;
	struct meta_dentry d;
	const u8 *name;
	bool want_dir;
	u32 len;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len, &name, &len))
		return FLINT_ST_BAD_REQUEST;
	err = flint_name_check(name, len);
	if (err)
		return -err;
	err = meta_op_dir(o, le64_to_cpu(b.parent), &dir);
	if (err)
		return err;
	err = meta_dentry_get(o->s, dir->ino, name, len, &d);
	if (err)
		return err == -ENOENT ? ENOENT : err;
	err = meta_inode_get(o->s, d.ino, &i);
	if (err)
		return err;
	want_dir = le32_to_cpu(b.flags) & FLINT_NAME_DIR;
	if (want_dir != meta_is_dir(i))
		return want_dir ? ENOTDIR : EISDIR;
	if ((dir->flags | i->flags) & (FLINT_INO_IMMUTABLE | FLINT_INO_APPEND))
		return EPERM;
	if (want_dir && i->size)
		return ENOTEMPTY;

	err = meta_dentry_del(o->s, dir, name, len);
	if (err)
		return err;
	if (want_dir) {
		i->nlink = 0;
		dir->nlink--;
		meta_touch(o, i);
	}
	meta_touch_dir(o, dir);
	err = want_dir ? meta_inode_delete(o->s, i) : meta_drop_link(o, i);
	if (err)
		return err;
	rep.ino = cpu_to_le64(i->ino);
	rep.nlink = cpu_to_le32(i->nlink);
	rep.ctime = cpu_to_le64(o->s->now);
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}
