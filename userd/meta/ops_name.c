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
	return meta_bound(o->s, o->sn, *out);
}

int meta_op_dir(struct meta_op *o, u64 ino, struct meta_inode **out)
{
	int err = meta_op_inode(o, ino, 0, out);

	if (!err && !meta_is_dir(*out))
		err = ENOTDIR;
	return err;
}

int meta_name_find(struct meta_op *o, u64 parent, const u8 *name, u32 len,
		   struct meta_inode **dir, struct meta_inode **out)
{
	struct meta_dentry d;
	int err;

	err = flint_name_check(name, len);
	if (err)
		return -err;
	err = meta_op_dir(o, parent, dir);
	if (!err)
		err = meta_access(o, *dir, META_EXEC);
	if (err)
		return err;
	err = meta_dentry_get(o->s, parent, name, len, &d);
	if (err)
		return err == -ENOENT ? ENOENT : err;
	return meta_inode_get(o->s, d.ino, out);
}

/* Where a new name is to come: 0, EEXIST, other statuses, or -errno. */
static int name_free(struct meta_op *o, u64 parent, const u8 *name, u32 len,
		     struct meta_inode **dir)
{
	struct meta_dentry d;
	int err;

	err = flint_name_check(name, len);
	if (err)
		return -err;
	err = meta_op_dir(o, parent, dir);
	if (!err)
		err = meta_access(o, *dir, META_EXEC);
	if (err)
		return err;
	err = meta_dentry_get(o->s, parent, name, len, &d);
	if (err != -ENOENT)
		return err ? err : EEXIST;
	return meta_may_create(o, *dir);
}

bool meta_sees_all(const struct meta_op *o)
{
	struct meta_fs *fs = meta_fs_get(o->s, o->sn->fs);

	return fs && fs->root == o->sn->root;
}

void meta_touch(struct meta_op *o, struct meta_inode *i)
{
	/* Time stamps of commands rise, so this command's is there when it was here before. */
	if (i->ctime != (s64)o->s->now) {
		i->ctime = o->s->now;
		i->change++;
	}
	meta_inode_dirty(o->s, i);
}

void meta_touch_dir(struct meta_op *o, struct meta_inode *dir)
{
	dir->mtime = o->s->now;
	meta_touch(o, dir);
}

/* Room for one more inode in a directory, owned as @like says. */
static int inode_room(struct meta_op *o, struct meta_inode *dir, const struct meta_inode *like)
{
	struct meta_charge c = { .files = 1 };
	int err = meta_tree_room(o->s, dir->ino, 0, &c);

	return err ? err : meta_ids_room(o->s, like, 0, 1);
}

int meta_new_inode(struct meta_op *o, struct meta_inode *dir, u32 mode, struct meta_inode **out)
{
	struct meta_fs *fs = meta_fs_get(o->s, dir->fs);
	struct meta_inode like = {
		.fs = dir->fs, .uid = o->cred.uid, .project = dir->project,
		.gid = dir->mode & S_ISGID ? dir->gid : o->cred.gid,
	};
	struct meta_charge c;
	struct meta_inode *i;
	int err;

	err = inode_room(o, dir, &like);
	if (err)
		return err;
	i = meta_inode_new(o->s, o->ino);
	if (!i)
		return -ENOMEM;
	i->fs = like.fs;
	i->mode = mode;
	i->nlink = 1;
	i->uid = like.uid;
	i->gid = like.gid;
	i->project = like.project;
	i->parent = dir->ino;
	i->atime = i->mtime = i->ctime = i->btime = o->s->now;
	i->change = 1;
	i->chunk_shift = dir->chunk_shift;
	i->stripe = dir->stripe;
	i->table = dir->table;
	i->table_ver = dir->table_ver;
	if (S_ISDIR(mode)) {
		i->mode |= dir->mode & S_ISGID;
		i->nlink = 2;
		i->next_cookie = META_COOKIE_FIRST;
	} else if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
		   o->cred.check && o->cred.uid && !meta_in_group(&o->cred, i->gid)) {
		i->mode &= ~S_ISGID;
	}
	if (fs) {
		fs->files++;
		fs->dirty = true;
	}
	*out = i;
	c = meta_charge_of(i);
	err = meta_acl_inherit(o, dir, i);
	if (!err)
		err = meta_tree_add(o->s, dir->ino, 0, &c, 1);
	return err ? err : meta_ids_add(o->s, i, 0, 1);
}

int meta_name_gone(struct meta_op *o, struct meta_inode *dir, struct meta_inode *i)
{
	int err = meta_link_del(o->s, i, dir->ino, i->nlink - 1);

	if (err)
		return err;
	i->nlink--;
	meta_touch(o, i);
	if (i->nlink)
		return 0;
	if (meta_open_count(o->s, i->ino))
		return meta_orphan_put(o->s, i->ino, false);
	/* What had a name until now has no row of an orphan to lose. */
	return i->data ? meta_release_orphan(o->s, i) : meta_inode_remove(o->s, i);
}

int meta_dir_gone(struct meta_op *o, struct meta_inode *dir, struct meta_inode *i)
{
	struct meta_charge c = meta_charge_of(i);
	int err = meta_tree_add(o->s, dir->ino, 0, &c, -1);

	if (err)
		return err;
	i->nlink = 0;
	dir->nlink--;
	o->s->moves++;
	meta_inode_dirty(o->s, dir);
	meta_touch(o, i);
	return meta_inode_remove(o->s, i);
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
	err = meta_may_create(o, dir);
	if (err)
		return err;
	err = meta_new_inode(o, dir, S_IFREG | (le32_to_cpu(b->mode) & 07777), &i);
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

/*
 * A file without a name, in the tree of @dir: charged to who makes it, in no
 * directory's sum. The handle holds it.
 */
static int open_nameless(struct meta_op *o, const struct flint_open *b, struct meta_inode *dir)
{
	struct meta_inode *i;
	u64 handle;
	int err;

	if (!meta_is_dir(dir))
		return ENOTDIR;
	if (o->sn->flags & FLINT_SESSION_RDONLY)
		return EROFS;
	err = meta_may_create(o, dir);
	if (err)
		return err;
	err = meta_new_inode(o, dir, S_IFREG | (le32_to_cpu(b->mode) & 07777), &i);
	if (!err)
		err = meta_link_del(o->s, i, dir->ino, 0);
	if (!err)
		err = handle_new(o, i, le32_to_cpu(b->flags), &handle);
	if (!err)
		err = meta_orphan_put(o->s, i->ino, false);
	if (err)
		return err;
	i->nlink = 0;
	i->flags |= META_INO_NAMELESS;
	meta_inode_dirty(o->s, i);
	open_reply(o, i, handle, true);
	return 0;
}

/* May it be opened like this? 0 or a status. */
static int open_check(struct meta_op *o, u32 flags, const struct meta_inode *i)
{
	bool write = flags & (FLINT_OPEN_WRITE | FLINT_OPEN_TRUNC);
	u32 want = (flags & FLINT_OPEN_READ ? META_READ : 0) | (write ? META_WRITE : 0);
	int err;

	if (write && (o->sn->flags & FLINT_SESSION_RDONLY))
		return EROFS;
	if (write && (i->flags & FLINT_INO_IMMUTABLE))
		return EPERM;
	err = meta_access(o, i, want);
	if (err)
		return err;
	return (flags & FLINT_OPEN_TRUNC) && (i->flags & FLINT_INO_APPEND) ? EPERM : 0;
}

/*
 * A truncation waits for a cut under way. So does a writer, if nobody asked for that: what it
 * writes meanwhile under the old epoch would go with the tail, and there is no truncation that
 * it could have come before. META_ST_WAIT, 0 or -errno.
 */
static int open_wait(struct meta_op *o, u32 flags, const struct meta_inode *i)
{
	struct meta_intent it;
	int err;

	if (!(flags & (FLINT_OPEN_WRITE | FLINT_OPEN_TRUNC)))
		return 0;
	err = meta_intent_get(o->s, i->ino, &it);
	if (err != 1)
		return err;
	if (!(flags & FLINT_OPEN_TRUNC) && it.op != META_OP_EXPIRE)
		return 0;
	o->rep->ino = i->ino;
	return META_ST_WAIT;
}

static int open_existing(struct meta_op *o, u32 flags, struct meta_inode *i)
{
	u64 handle;
	int err, trunc = 0;

	if (!meta_is_reg(i)) {
		open_reply(o, i, 0, false);
		return 0;
	}
	/* Its last name went, and nobody holds it: the reaper may be removing its data. */
	if (!i->nlink && !meta_open_count(o->s, i->ino))
		return ESTALE;
	err = open_check(o, flags, i);
	if (err)
		return err;
	err = open_wait(o, flags, i);
	if (err)
		return err;
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
		      FLINT_OPEN_TRUNC | FLINT_OPEN_TMPFILE))
		return EINVAL;
	if ((flags & FLINT_OPEN_TMPFILE) && (len || !(flags & FLINT_OPEN_CREATE)))
		return EINVAL;
	meta_cred_body(o, &b.cred);
	err = meta_op_inode(o, le64_to_cpu(b.ino), le32_to_cpu(b.gen), &i);
	if (err)
		return err;
	if (flags & FLINT_OPEN_TMPFILE)
		return open_nameless(o, &b, i);
	if (!len)
		return open_existing(o, flags, i);

	if (!meta_is_dir(i))
		return ENOTDIR;
	err = flint_name_check(name, len);
	if (err)
		return -err;
	err = meta_access(o, i, META_EXEC);
	if (err)
		return err;
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

/* The inode of a MKNOD, named, with what its type needs. 0, EDQUOT or -errno. */
static int mknod_make(struct meta_op *o, const struct flint_mknod *b, struct meta_inode *dir,
		      const u8 *name, struct meta_inode **out)
{
	u32 mode = le32_to_cpu(b->mode) & (S_IFMT | 07777), len = le32_to_cpu(b->name_len);
	struct meta_inode *i;
	int err;

	err = meta_new_inode(o, dir, S_ISLNK(mode) ? S_IFLNK | 0777 : mode, &i);
	if (!err)
		err = meta_dentry_add(o->s, dir, name, len, i->ino, mode);
	if (!err && S_ISLNK(mode)) {
		i->size = le32_to_cpu(b->target_len);
		err = meta_symlink_set(o->s, i->ino, name + len, i->size);
	}
	if (!err && S_ISDIR(mode)) {
		dir->nlink++;
		err = meta_dirname_set(o->s, i->ino, name, len);
	}
	if (err)
		return err;
	if (S_ISCHR(mode) || S_ISBLK(mode)) {
		i->rdev_major = le32_to_cpu(b->rdev_major);
		i->rdev_minor = le32_to_cpu(b->rdev_minor);
	}
	*out = i;
	return 0;
}

int meta_mknod(struct meta_op *o, const struct flint_mknod *b, const u8 *name, u32 tail,
	       struct meta_inode **out)
{
	u32 mode = le32_to_cpu(b->mode);
	struct meta_inode *dir;
	int err;

	err = mknod_check(b, tail, name);
	if (err)
		return err;
	meta_cred_body(o, &b->cred);
	err = name_free(o, le64_to_cpu(b->parent), name, le32_to_cpu(b->name_len), &dir);
	if (err)
		return err;
	if ((S_ISCHR(mode) || S_ISBLK(mode)) && !meta_is_root(o))
		return EPERM;
	if (S_ISDIR(mode) && dir->nlink >= META_LINK_MAX)
		return EMLINK;
	err = mknod_make(o, b, dir, name, out);
	if (!err)
		meta_touch_dir(o, dir);
	return err;
}

int meta_op_mknod(struct meta_op *o)
{
	struct meta_inode *i;
	struct flint_mknod b;
	const u8 *name;
	u32 tail;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len, &name, &tail))
		return FLINT_ST_BAD_REQUEST;
	err = meta_mknod(o, &b, name, tail, &i);
	if (!err)
		meta_reply_attr(o, i);
	return err;
}

/* May it get a name? Once nobody holds one without the reaper may be removing its data. */
static bool nameable(const struct meta_op *o, const struct meta_inode *i)
{
	if (i->nlink)
		return !(i->flags & META_INO_TRASH);
	return (i->flags & META_INO_NAMELESS) && meta_open_count(o->s, i->ino);
}

/* The first name of a file that was made without one. 0, EDQUOT or -errno. */
static int link_nameless(struct meta_op *o, struct meta_inode *i, struct meta_inode *dir)
{
	struct meta_charge c = meta_charge_of(i);
	int err;

	err = meta_tree_room(o->s, dir->ino, 0, &c);
	if (!err)
		err = meta_tree_add(o->s, dir->ino, 0, &c, 1);
	if (err)
		return err;
	i->parent = dir->ino;
	i->flags &= ~META_INO_NAMELESS;
	return meta_orphan_del(o->s, i->ino);
}

int meta_op_link(struct meta_op *o)
{
	struct meta_inode *dir, *i;
	struct flint_link b;
	const u8 *name;
	u32 len;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len, &name, &len))
		return FLINT_ST_BAD_REQUEST;
	meta_cred_body(o, &b.cred);
	err = flint_name_check(name, len);
	if (err)
		return -err;
	err = meta_op_inode(o, le64_to_cpu(b.ino), 0, &i);
	if (!err)
		err = name_free(o, le64_to_cpu(b.parent), name, len, &dir);
	if (err)
		return err;
	if (meta_is_dir(i) || (i->flags & (FLINT_INO_IMMUTABLE | FLINT_INO_APPEND)))
		return EPERM;
	if (!nameable(o, i))
		return ENOENT;
	if (dir->project && dir->project != i->project)
		return EXDEV;
	if (i->nlink >= META_LINK_MAX)
		return EMLINK;

	err = i->nlink ? meta_link_add(o->s, i, dir->ino) : link_nameless(o, i, dir);
	if (!err)
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
	u32 len, flags, keep = 0;
	const u8 *name;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len, &name, &len))
		return FLINT_ST_BAD_REQUEST;
	meta_cred_body(o, &b.cred);
	flags = le32_to_cpu(b.flags);
	err = meta_name_find(o, le64_to_cpu(b.parent), name, len, &dir, &i);
	if (!err)
		err = meta_may_delete(o, dir, i, flags & FLINT_NAME_DIR);
	if (err)
		return err;
	if (meta_is_dir(i) && i->size)
		return ENOTEMPTY;
	if (meta_last_name(i) && !(flags & FLINT_NAME_NO_TRASH)) {
		err = meta_trash_keep(o->s, i->fs, dir->ino, &keep);
		if (err)
			return err;
	}

	rep.ino = cpu_to_le64(i->ino);
	rep.nlink = cpu_to_le32(meta_last_name(i) ? 0 : i->nlink - 1);
	rep.ctime = cpu_to_le64(o->s->now);
	err = meta_dentry_del(o->s, dir, name, len);
	if (err)
		return err;
	meta_touch_dir(o, dir);
	if (keep)
		err = meta_trash_put(o, dir, i, name, len, keep);
	else if (meta_is_dir(i))
		err = meta_dir_gone(o, dir, i);
	else
		err = meta_name_gone(o, dir, i);
	if (err)
		return err;
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}
