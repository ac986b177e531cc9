// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names and attributes: one synchronous call per metadata operation. Each
 * builds the operation's body, calls, and decodes the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "fs_int.h"

#define READDIR_ROOM	(64u << 10)

/* A body with up to two strings behind it. */
struct var_body {
	union {
		struct flint_name_req name;
		struct flint_open open;
		struct flint_mknod mknod;
		struct flint_link link;
		struct flint_rename rename;
		struct flint_xattr xattr;
	};
	uint8_t tail[FLINT_NAME_MAX + FLINT_PATH_MAX];
};

static int name_len(const char *name, uint32_t *len)
{
	size_t n = strlen(name);
	int rc;

	if (n > FLINT_NAME_MAX)
		return -ENAMETOOLONG;
	rc = flint_name_check((const uint8_t *)name, n);
	*len = n;
	return rc;
}

/* Put a string at @at of the tail that begins after @fixed bytes. */
static void put_str(struct var_body *b, uint32_t fixed, uint32_t at, const char *s, uint32_t len)
{
	memcpy((uint8_t *)b + fixed + at, s, len);
}

static struct fs_call attr_call(uint16_t op, bool mutating, const void *body, uint32_t len,
				struct flint_attr *attr)
{
	struct fs_call call = {
		.op = op, .mutating = mutating, .body = body, .body_len = len,
		.rep = attr, .rep_size = sizeof(*attr), .rep_min = sizeof(*attr),
	};

	return call;
}

static int name_call(struct flint_fs *fs, uint16_t op, bool mutating, uint64_t dir,
		     const char *name, uint32_t flags, void *rep, uint32_t rep_size)
{
	struct var_body b = { .name = {
		.fixed_len = cpu_to_le32(sizeof(b.name)), .flags = cpu_to_le32(flags),
		.parent = cpu_to_le64(dir), .cred = fs->cred } };
	struct fs_call call = {
		.op = op, .mutating = mutating, .body = &b,
		.rep = rep, .rep_size = rep_size, .rep_min = rep_size,
	};
	uint32_t len;
	int rc = name_len(name, &len);

	if (rc)
		return rc;
	b.name.name_len = cpu_to_le32(len);
	put_str(&b, sizeof(b.name), 0, name, len);
	call.body_len = sizeof(b.name) + len;
	return fs_call(fs, &call);
}

int flint_fs_lookup(struct flint_fs *fs, uint64_t dir, const char *name, struct flint_attr *attr)
{
	return name_call(fs, FLINT_OP_LOOKUP, false, dir, name, 0, attr, sizeof(*attr));
}

int flint_fs_walk(struct flint_fs *fs, const char *path, struct flint_attr *attr)
{
	char name[FLINT_NAME_MAX + 1];
	int rc;

	*attr = fs->root;
	for (;;) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len)
			return 0;
		if (len > FLINT_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = 0;
		rc = flint_fs_lookup(fs, le64_to_cpu(attr->ino), name, attr);
		if (rc)
			return rc;
		path += len;
	}
}

int flint_fs_getattr(struct flint_fs *fs, uint64_t ino, struct flint_attr *attr)
{
	struct flint_ino_req req = { .ino = cpu_to_le64(ino) };
	struct fs_call call = attr_call(FLINT_OP_GETATTR, false, &req, sizeof(req), attr);

	return fs_call(fs, &call);
}

int flint_fs_setattr(struct flint_fs *fs, struct flint_setattr *set, struct flint_attr *attr)
{
	struct flint_attr tmp;
	struct fs_call call = attr_call(FLINT_OP_SETATTR, true, set, sizeof(*set),
					attr ? attr : &tmp);

	set->cred = fs->cred;
	return fs_call(fs, &call);
}

int flint_fs_truncate(struct flint_fs *fs, uint64_t ino, uint64_t size)
{
	struct flint_setattr set = {
		.ino = cpu_to_le64(ino), .valid = cpu_to_le32(FLINT_SET_SIZE),
		.size = cpu_to_le64(size),
	};

	return flint_fs_setattr(fs, &set, NULL);
}

int flint_fs_mknod(struct flint_fs *fs, uint64_t dir, const char *name, uint32_t mode,
		   uint32_t rdev_major, uint32_t rdev_minor, const char *target,
		   struct flint_attr *attr)
{
	struct var_body b = { .mknod = {
		.fixed_len = cpu_to_le32(sizeof(b.mknod)), .mode = cpu_to_le32(mode),
		.parent = cpu_to_le64(dir), .rdev_major = cpu_to_le32(rdev_major),
		.rdev_minor = cpu_to_le32(rdev_minor), .cred = fs->cred } };
	struct flint_attr tmp;
	struct fs_call call = attr_call(FLINT_OP_MKNOD, true, &b, 0, attr ? attr : &tmp);
	uint32_t len, tlen = target ? strlen(target) : 0;
	int rc = name_len(name, &len);

	if (rc)
		return rc;
	if (tlen > FLINT_PATH_MAX)
		return -ENAMETOOLONG;
	b.mknod.name_len = cpu_to_le32(len);
	b.mknod.target_len = cpu_to_le32(tlen);
	put_str(&b, sizeof(b.mknod), 0, name, len);
	if (tlen)
		put_str(&b, sizeof(b.mknod), len, target, tlen);
	call.body_len = sizeof(b.mknod) + len + tlen;
	return fs_call(fs, &call);
}

int flint_fs_mkdir(struct flint_fs *fs, uint64_t dir, const char *name, uint32_t mode,
		   struct flint_attr *attr)
{
	return flint_fs_mknod(fs, dir, name, S_IFDIR | (mode & 07777), 0, 0, NULL, attr);
}

int flint_fs_symlink(struct flint_fs *fs, uint64_t dir, const char *name, const char *target,
		     struct flint_attr *attr)
{
	return flint_fs_mknod(fs, dir, name, S_IFLNK | 0777, 0, 0, target, attr);
}

int flint_fs_link(struct flint_fs *fs, uint64_t ino, uint64_t dir, const char *name,
		  struct flint_attr *attr)
{
	struct var_body b = { .link = {
		.fixed_len = cpu_to_le32(sizeof(b.link)), .ino = cpu_to_le64(ino),
		.parent = cpu_to_le64(dir), .cred = fs->cred } };
	struct flint_attr tmp;
	struct fs_call call = attr_call(FLINT_OP_LINK, true, &b, 0, attr ? attr : &tmp);
	uint32_t len;
	int rc = name_len(name, &len);

	if (rc)
		return rc;
	b.link.name_len = cpu_to_le32(len);
	put_str(&b, sizeof(b.link), 0, name, len);
	call.body_len = sizeof(b.link) + len;
	return fs_call(fs, &call);
}

int flint_fs_unlink(struct flint_fs *fs, uint64_t dir, const char *name)
{
	struct flint_unlink_rep rep;

	return name_call(fs, FLINT_OP_UNLINK, true, dir, name, 0, &rep, sizeof(rep));
}

int flint_fs_rmdir(struct flint_fs *fs, uint64_t dir, const char *name)
{
	struct flint_unlink_rep rep;

	return name_call(fs, FLINT_OP_UNLINK, true, dir, name, FLINT_NAME_DIR, &rep, sizeof(rep));
}

int flint_fs_rename(struct flint_fs *fs, uint64_t old_dir, const char *old_name,
		    uint64_t new_dir, const char *new_name, uint32_t flags)
{
	struct var_body b = { .rename = {
		.fixed_len = cpu_to_le32(sizeof(b.rename)), .flags = cpu_to_le32(flags),
		.old_parent = cpu_to_le64(old_dir), .new_parent = cpu_to_le64(new_dir),
		.cred = fs->cred } };
	struct flint_rename_rep rep;
	struct fs_call call = {
		.op = FLINT_OP_RENAME, .mutating = true, .body = &b,
		.rep = &rep, .rep_size = sizeof(rep), .rep_min = sizeof(rep),
	};
	uint32_t old_len, new_len;
	int rc = name_len(old_name, &old_len);

	if (!rc)
		rc = name_len(new_name, &new_len);
	if (rc)
		return rc;
	b.rename.old_len = cpu_to_le32(old_len);
	b.rename.new_len = cpu_to_le32(new_len);
	put_str(&b, sizeof(b.rename), 0, old_name, old_len);
	put_str(&b, sizeof(b.rename), old_len, new_name, new_len);
	call.body_len = sizeof(b.rename) + old_len + new_len;
	return fs_call(fs, &call);
}

ssize_t flint_fs_readlink(struct flint_fs *fs, uint64_t ino, char *buf, size_t len)
{
	uint8_t target[FLINT_PATH_MAX + 1];
	struct flint_ino_req req = {
		.ino = cpu_to_le64(ino), .max_len = cpu_to_le32(sizeof(target)) };
	struct fs_call call = {
		.op = FLINT_OP_READLINK, .body = &req, .body_len = sizeof(req),
		.in = target, .in_len = sizeof(target),
	};
	int rc = fs_call(fs, &call);

	if (rc)
		return rc;
	if (len > call.data_len)
		len = call.data_len;
	memcpy(buf, target, len);
	return len;
}

int flint_fs_statfs(struct flint_fs *fs, struct flint_statfs *st)
{
	struct flint_ino_req req = { .ino = fs->root.ino };
	struct fs_call call = {
		.op = FLINT_OP_STATFS, .body = &req, .body_len = sizeof(req),
		.rep = st, .rep_size = sizeof(*st), .rep_min = sizeof(*st),
	};

	return fs_call(fs, &call);
}

/* ---- directories -------------------------------------------------------- */

static void entry_fill(struct flint_fs_entry *e, const struct flint_dirent *d,
		       const struct flint_attr *attr, const uint8_t *name)
{
	uint32_t len = le16_to_cpu(d->name_len);

	e->cookie = le64_to_cpu(d->cookie);
	e->ino = le64_to_cpu(d->ino);
	e->type = d->type;
	e->has_attr = attr != NULL;
	if (attr)
		e->attr = *attr;
	memcpy(e->name, name, len);
	e->name[len] = 0;
}

/* One page of entries: hand them out, move @cookie on. */
static int readdir_page(const uint8_t *buf, uint32_t len, uint64_t *cookie,
			int (*fn)(void *arg, const struct flint_fs_entry *e), void *arg)
{
	struct flint_fs_entry e;
	const struct flint_attr *attr;
	const uint8_t *name;
	struct flint_dirent d;
	uint32_t pos = 0;
	int rc;

	while ((rc = flint_dirent_next(buf, len, &pos, &d, &attr, &name)) > 0) {
		if (le64_to_cpu(d.cookie) <= *cookie)
			return -EPROTO;
		entry_fill(&e, &d, attr, name);
		*cookie = e.cookie;
		rc = fn(arg, &e);
		if (rc)
			return rc;
	}
	return rc;
}

int flint_fs_readdir(struct flint_fs *fs, uint64_t dir, uint64_t cookie, bool plus,
		     int (*fn)(void *arg, const struct flint_fs_entry *e), void *arg)
{
	uint32_t room = READDIR_ROOM < fs->max_io ? READDIR_ROOM : fs->max_io;
	uint8_t *buf = malloc(room);
	int rc;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		struct flint_readdir req = {
			.ino = cpu_to_le64(dir), .cookie = cpu_to_le64(cookie),
			.max_len = cpu_to_le32(room),
			.flags = cpu_to_le32(plus ? FLINT_READDIR_PLUS : 0),
		};
		struct flint_readdir_rep rep;
		struct fs_call call = {
			.op = FLINT_OP_READDIR, .body = &req, .body_len = sizeof(req),
			.in = buf, .in_len = room,
			.rep = &rep, .rep_size = sizeof(rep), .rep_min = sizeof(rep),
		};

		rc = fs_call(fs, &call);
		if (!rc)
			rc = readdir_page(buf, call.data_len, &cookie, fn, arg);
		if (rc || rep.eof)
			break;
		if (!call.data_len) {	/* neither entries nor the end */
			rc = -EPROTO;
			break;
		}
	}
	free(buf);
	return rc;
}

/* ---- extended attributes ------------------------------------------------ */

static int xattr_call(struct flint_fs *fs, struct fs_call *call, uint64_t ino, const char *name,
		      uint32_t flags, uint32_t max_len)
{
	struct var_body b = { .xattr = {
		.fixed_len = cpu_to_le32(sizeof(b.xattr)), .flags = cpu_to_le32(flags),
		.ino = cpu_to_le64(ino), .max_len = cpu_to_le32(max_len), .cred = fs->cred } };
	size_t len = name ? strlen(name) : 0;

	if (len > FLINT_NAME_MAX)
		return -ERANGE;
	b.xattr.name_len = cpu_to_le32(len);
	if (len)
		put_str(&b, sizeof(b.xattr), 0, name, len);
	call->body = &b;
	call->body_len = sizeof(b.xattr) + len;
	return fs_call(fs, call);
}

static ssize_t xattr_read(struct flint_fs *fs, uint16_t op, uint64_t ino, const char *name,
			  void *buf, size_t len)
{
	uint32_t room = len > FLINT_XATTR_VALUE_MAX ? FLINT_XATTR_VALUE_MAX : len;
	struct flint_xattr_rep rep;
	struct fs_call call = {
		.op = op, .in = room ? buf : NULL, .in_len = room,
		.rep = &rep, .rep_size = sizeof(rep), .rep_min = sizeof(rep),
	};
	int rc = xattr_call(fs, &call, ino, name, 0, room);

	if (rc)
		return rc;
	return room ? call.data_len : le32_to_cpu(rep.total_len);
}

ssize_t flint_fs_getxattr(struct flint_fs *fs, uint64_t ino, const char *name, void *buf,
			  size_t len)
{
	return xattr_read(fs, FLINT_OP_GETXATTR, ino, name, buf, len);
}

ssize_t flint_fs_listxattr(struct flint_fs *fs, uint64_t ino, char *buf, size_t len)
{
	return xattr_read(fs, FLINT_OP_LISTXATTR, ino, NULL, buf, len);
}

int flint_fs_setxattr(struct flint_fs *fs, uint64_t ino, const char *name, const void *buf,
		      size_t len, uint32_t flags)
{
	struct flint_attr attr;
	struct fs_call call = {
		.op = FLINT_OP_SETXATTR, .mutating = true, .out = len ? buf : NULL, .out_len = len,
		.rep = &attr, .rep_size = sizeof(attr), .rep_min = sizeof(attr),
	};

	if (len > FLINT_XATTR_VALUE_MAX)
		return -E2BIG;
	return xattr_call(fs, &call, ino, name, flags, 0);
}

int flint_fs_removexattr(struct flint_fs *fs, uint64_t ino, const char *name)
{
	struct flint_attr attr;
	struct fs_call call = {
		.op = FLINT_OP_REMOVEXATTR, .mutating = true,
		.rep = &attr, .rep_size = sizeof(attr), .rep_min = sizeof(attr),
	};

	return xattr_call(fs, &call, ino, name, 0, 0);
}

/* ---- open and close ----------------------------------------------------- */

int flint_fs_open_file(struct flint_fs *fs, uint64_t dir, const char *name, uint32_t flags,
		       uint32_t mode, struct flint_file **out)
{
	struct var_body b = { .open = {
		.fixed_len = cpu_to_le32(sizeof(b.open)), .flags = cpu_to_le32(flags),
		.ino = cpu_to_le64(dir), .mode = cpu_to_le32(mode & 07777), .cred = fs->cred } };
	struct flint_open_rep rep;
	struct fs_call call = {
		.op = FLINT_OP_OPEN, .mutating = true, .body = &b,
		.rep = &rep, .rep_size = sizeof(rep), .rep_min = sizeof(rep),
	};
	struct flint_file *f;
	uint32_t len = 0;
	int rc = name ? name_len(name, &len) : 0;

	if (rc)
		return rc;
	b.open.name_len = cpu_to_le32(len);
	if (len)
		put_str(&b, sizeof(b.open), 0, name, len);
	call.body_len = sizeof(b.open) + len;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	rc = fs_call(fs, &call);
	if (!rc && !rep.handle)
		rc = S_ISLNK(le32_to_cpu(rep.attr.mode)) ? -ELOOP :
		     S_ISDIR(le32_to_cpu(rep.attr.mode)) ? -EISDIR : -EINVAL;
	if (rc) {
		free(f);
		return rc;
	}
	f->fs = fs;
	f->handle = le64_to_cpu(rep.handle);
	f->attr = rep.attr;
	pthread_mutex_init(&f->lock, NULL);
	*out = f;
	return 0;
}

int flint_file_close(struct flint_file *f)
{
	struct flint_close req = { .handle = cpu_to_le64(f->handle), .ino = f->attr.ino };
	struct fs_call call = {
		.op = FLINT_OP_CLOSE, .mutating = true, .body = &req, .body_len = sizeof(req) };
	struct flint_extend ext = {
		.ino = f->attr.ino, .gen = f->attr.gen, .trunc_epoch = f->attr.trunc_epoch };
	struct flint_attr attr;
	struct fs_call times = attr_call(FLINT_OP_EXTEND, true, &ext, sizeof(ext), &attr);
	int rc;

	if (f->times_dirty)
		fs_call(f->fs, &times);	/* refused only if someone truncated later */
	rc = fs_call(f->fs, &call);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return rc;
}

void file_attr_set(struct flint_file *f, const struct flint_attr *attr)
{
	pthread_mutex_lock(&f->lock);
	/* Answers may overtake each other: the change counter tells which is newer. */
	if (le64_to_cpu(attr->change) >= le64_to_cpu(f->attr.change))
		f->attr = *attr;
	pthread_mutex_unlock(&f->lock);
}

void flint_file_attr(struct flint_file *f, struct flint_attr *attr)
{
	pthread_mutex_lock(&f->lock);
	*attr = f->attr;
	pthread_mutex_unlock(&f->lock);
}

int flint_file_truncate(struct flint_file *f, uint64_t size)
{
	struct flint_setattr set = {
		.valid = cpu_to_le32(FLINT_SET_SIZE), .size = cpu_to_le64(size) };
	struct flint_attr attr;
	int rc;

	flint_file_attr(f, &attr);
	set.ino = attr.ino;
	set.gen = attr.gen;
	rc = flint_fs_setattr(f->fs, &set, &attr);
	if (!rc)
		file_attr_set(f, &attr);
	return rc;
}
