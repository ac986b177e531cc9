// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names and attributes: one synchronous call per metadata operation. Each
 * builds the operation's body, calls, and decodes the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "fs_async.h"
#include "fs_int.h"
#include "latch.h"

#define READDIR_ROOM	(64u << 10)

/* A body with strings behind it. */
struct var_body {
	union {
		struct flint_mknod mknod;
		struct flint_xattr xattr;
	};
	uint8_t tail[FLINT_NAME_MAX + FLINT_PATH_MAX];
};

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

/* ---- operations that somebody waits for ----------------------------------- */

struct meta_wait {
	struct flint_meta_req req;
	struct fs_latch latch;
};

static void meta_wait_done(struct flint_meta_req *req)
{
	struct meta_wait *w = req->priv;

	fs_latch_open(&w->latch);
}

/* Any thread but the loop's. @attr may be NULL. Return: 0 or -errno. */
static int meta_run(struct flint_fs *fs, struct meta_wait *w, struct flint_attr *attr)
{
	w->req.fs = fs;
	w->req.done = meta_wait_done;
	w->req.priv = w;
	fs_latch_init(&w->latch);
	flint_meta_submit(&w->req);
	fs_latch_wait(&w->latch);
	if (attr && !w->req.err)
		*attr = w->req.attr;
	return w->req.err;
}

/* Operations on one name. */
static int name_run(struct flint_fs *fs, enum flint_meta_op op, uint64_t dir, const char *name,
		    uint32_t flags, struct flint_attr *attr)
{
	struct meta_wait w = { .req = {
		.op = op, .ino = dir, .name = name, .name_len = strlen(name), .flags = flags } };

	return meta_run(fs, &w, attr);
}

int flint_fs_lookup(struct flint_fs *fs, uint64_t dir, const char *name, struct flint_attr *attr)
{
	return name_run(fs, FLINT_META_LOOKUP, dir, name, 0, attr);
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
	struct meta_wait w = { .req = { .op = FLINT_META_GETATTR, .ino = ino } };

	return meta_run(fs, &w, attr);
}

int flint_fs_setattr(struct flint_fs *fs, struct flint_setattr *set, struct flint_attr *attr)
{
	struct meta_wait w = { .req = { .op = FLINT_META_SETATTR, .set = *set } };

	return meta_run(fs, &w, attr);
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
	struct meta_wait w = { .req = {
		.op = FLINT_META_MKNOD, .ino = dir, .name = name, .name_len = strlen(name),
		.mode = mode, .rdev_major = rdev_major, .rdev_minor = rdev_minor,
		.target = target, .target_len = target ? strlen(target) : 0 } };

	return meta_run(fs, &w, attr);
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
	struct meta_wait w = { .req = {
		.op = FLINT_META_LINK, .ino = dir, .ino2 = ino,
		.name = name, .name_len = strlen(name) } };

	return meta_run(fs, &w, attr);
}

int flint_fs_unlink(struct flint_fs *fs, uint64_t dir, const char *name)
{
	return name_run(fs, FLINT_META_UNLINK, dir, name, 0, NULL);
}

int flint_fs_rmdir(struct flint_fs *fs, uint64_t dir, const char *name)
{
	return name_run(fs, FLINT_META_UNLINK, dir, name, FLINT_NAME_DIR, NULL);
}

int flint_fs_rename(struct flint_fs *fs, uint64_t old_dir, const char *old_name,
		    uint64_t new_dir, const char *new_name, uint32_t flags)
{
	struct meta_wait w = { .req = {
		.op = FLINT_META_RENAME, .ino = old_dir, .ino2 = new_dir, .flags = flags,
		.name = old_name, .name_len = strlen(old_name),
		.name2 = new_name, .name2_len = strlen(new_name) } };

	return meta_run(fs, &w, NULL);
}

ssize_t flint_fs_readlink(struct flint_fs *fs, uint64_t ino, char *buf, size_t len)
{
	uint8_t target[FLINT_PATH_MAX + 1];
	struct {
		struct flint_ino_req req;
		uint8_t tail[sizeof(struct flint_cred_tail)];
	} b = { .req = { .ino = cpu_to_le64(ino), .max_len = cpu_to_le32(sizeof(target)) } };
	uint32_t n = fs_cred_tail(fs, b.tail);
	struct fs_call call = {
		.op = FLINT_OP_READLINK, .body = &b, .body_len = sizeof(b.req) + n, .cred = n,
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

/* One page of entries: hand out those before @end (0: all), move @cookie on. */
static int readdir_page(const uint8_t *buf, uint32_t len, uint64_t *cookie, uint64_t end,
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
		*cookie = le64_to_cpu(d.cookie);
		if (end && *cookie >= end)
			return 0;
		entry_fill(&e, &d, attr, name);
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
	uint64_t end = 0;
	int rc;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		struct meta_wait w = { .req = {
			.op = FLINT_META_READDIR, .ino = dir, .cookie = cookie, .buf = buf,
			.len = room, .flags = plus ? FLINT_READDIR_PLUS : 0 } };

		rc = meta_run(fs, &w, NULL);
		/* What is renamed meanwhile comes behind the end that the first page tells. */
		end = end ? end : w.req.next_cookie;
		if (!rc)
			rc = readdir_page(buf, w.req.got, &cookie, end, fn, arg);
		if (rc || w.req.eof || (end && cookie + 1 >= end))
			break;
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
	call->touches = call->mutating ? ino : 0;
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
	struct meta_wait w = { .req = {
		.op = FLINT_META_OPEN, .ino = dir, .name = name, .flags = flags, .mode = mode,
		.name_len = name ? strlen(name) : 0 } };
	struct flint_file *f = calloc(1, sizeof(*f));
	uint32_t type;
	int rc;

	if (!f)
		return -ENOMEM;
	rc = meta_run(fs, &w, &f->attr);
	type = le32_to_cpu(f->attr.mode);
	if (!rc && !w.req.handle)
		rc = S_ISLNK(type) ? -ELOOP : S_ISDIR(type) ? -EISDIR : -EINVAL;
	if (rc) {
		free(f);
		return rc;
	}
	f->fs = fs;
	f->handle = w.req.handle;
	pthread_mutex_init(&f->lock, NULL);
	*out = f;
	return 0;
}

int flint_file_close(struct flint_file *f)
{
	struct meta_wait w = { .req = {
		.op = FLINT_META_CLOSE, .ino = le64_to_cpu(f->attr.ino), .handle = f->handle } };
	struct flint_extend ext = {
		.ino = f->attr.ino, .gen = f->attr.gen, .trunc_epoch = f->attr.trunc_epoch };
	struct flint_attr attr;
	struct fs_call times = attr_call(FLINT_OP_EXTEND, true, &ext, sizeof(ext), &attr);
	int rc;

	times.touches = le64_to_cpu(f->attr.ino);
	if (f->times_dirty)
		fs_call(f->fs, &times);	/* refused only if someone truncated later */
	rc = meta_run(f->fs, &w, NULL);
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
