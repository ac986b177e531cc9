// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Administrative requests: each is one fs_call(); lists are read page by page
 * from the cursor that the last page gave.
 */
#include <errno.h>
#include <stdlib.h>
#include "fs_admin.h"
#include "fs_int.h"

#define PAGE_ROOM	65536

static int simple(struct flint_fs *fs, uint16_t op, bool mutating, const void *body, uint32_t len,
		  void *rep, uint32_t rep_len)
{
	struct fs_call call = {
		.op = op, .mutating = mutating, .body = body, .body_len = len,
		.rep = rep, .rep_size = rep_len, .rep_min = rep_len,
		/* Whole trees go, or come back where they were: what we keep may be about them. */
		.blind = op == FLINT_OP_TRASH_RESTORE || op == FLINT_OP_TRASH_EMPTY ||
			 op == FLINT_OP_RMTREE,
	};

	return fs_call(fs, &call);
}

/* The same with a name behind the body, whose fixed part has @len bytes. */
static int named(struct flint_fs *fs, uint16_t op, const void *body, uint32_t len,
		 const char *name, void *rep, uint32_t rep_len)
{
	uint8_t buf[256 + FLINT_NAME_MAX];
	size_t n = name ? strlen(name) : 0;

	if (n > FLINT_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(buf, body, len);
	memcpy(buf + len, name ? name : "", n);
	return simple(fs, op, true, buf, len + n, rep, rep_len);
}

int flint_fs_dirstat(struct flint_fs *fs, uint64_t ino, struct flint_dirstat *st)
{
	struct flint_ino_req b = { .ino = cpu_to_le64(ino) };

	return simple(fs, FLINT_OP_DIRSTAT, false, &b, sizeof(b), st, sizeof(*st));
}

int flint_fs_path(struct flint_fs *fs, uint64_t ino, char *path)
{
	struct flint_ino_req b = {
		.ino = cpu_to_le64(ino), .max_len = cpu_to_le32(FLINT_PATH_MAX) };
	struct flint_dirstat st;
	struct fs_call call = {
		.op = FLINT_OP_DIRSTAT, .body = &b, .body_len = sizeof(b), .in = path + 1,
		.in_len = FLINT_PATH_MAX, .rep = &st, .rep_size = sizeof(st),
		.rep_min = sizeof(st),
	};
	int err = fs_call(fs, &call);

	path[0] = '/';
	path[err ? 1 : 1 + call.data_len] = 0;
	return err;
}

int flint_fs_quota_get(struct flint_fs *fs, uint32_t kind, uint64_t id, struct flint_quota *q)
{
	struct flint_quota_req b = { .kind = cpu_to_le32(kind), .id = cpu_to_le64(id) };

	return simple(fs, FLINT_OP_QUOTA_GET, false, &b, sizeof(b), q, sizeof(*q));
}

int flint_fs_quota_set(struct flint_fs *fs, struct flint_quota_set *set, struct flint_quota *q)
{
	struct flint_quota rep;
	int err;

	set->cred = fs->cred;
	err = simple(fs, FLINT_OP_QUOTA_SET, true, set, sizeof(*set), &rep, sizeof(rep));
	if (!err && q)
		*q = rep;
	return err;
}

/* One page of a list: bytes of it, or -errno. */
static int list_page(struct flint_fs *fs, uint16_t op, uint32_t kind, uint64_t after, uint8_t *buf,
		     struct flint_list_rep *rep)
{
	uint32_t room = PAGE_ROOM < fs->max_io ? PAGE_ROOM : fs->max_io;
	struct flint_list b = {
		.kind = cpu_to_le32(kind), .max_len = cpu_to_le32(room),
		.after = cpu_to_le64(after), .cred = fs->cred,
	};
	struct fs_call call = {
		.op = op, .body = &b, .body_len = sizeof(b), .in = buf, .in_len = room,
		.rep = rep, .rep_size = sizeof(*rep), .rep_min = sizeof(*rep),
	};
	int err = fs_call(fs, &call);

	return err ? err : (int)call.data_len;
}

static int quota_page(const uint8_t *buf, int len, const struct flint_list_rep *rep,
		      int (*fn)(void *arg, const struct flint_quota *q), void *arg)
{
	struct flint_quota q;
	uint32_t i;
	int err = 0;

	if ((uint64_t)le32_to_cpu(rep->nr) * sizeof(q) > (uint64_t)len)
		return -EPROTO;
	for (i = 0; !err && i < le32_to_cpu(rep->nr); i++) {
		memcpy(&q, buf + i * sizeof(q), sizeof(q));
		err = fn(arg, &q);
	}
	return err;
}

static int trash_page(const uint8_t *buf, int len, const struct flint_list_rep *rep,
		      int (*fn)(void *arg, const struct flint_trash_ent *e, const char *path),
		      void *arg)
{
	struct flint_trash_ent e;
	uint32_t i, at = 0, rec;
	int err = 0;

	for (i = 0; !err && i < le32_to_cpu(rep->nr); i++) {
		if (len - at < sizeof(e))
			return -EPROTO;
		memcpy(&e, buf + at, sizeof(e));
		rec = le16_to_cpu(e.rec_len);
		if (rec > len - at || sizeof(e) + le16_to_cpu(e.path_len) > rec ||
		    le16_to_cpu(e.name_len) > le16_to_cpu(e.path_len))
			return -EPROTO;
		err = fn(arg, &e, (const char *)buf + at + sizeof(e));
		at += rec;
	}
	return err;
}

/* All pages of one of the two lists. */
static int list_all(struct flint_fs *fs, uint16_t op, uint32_t kind,
		    int (*qfn)(void *arg, const struct flint_quota *q),
		    int (*tfn)(void *arg, const struct flint_trash_ent *e, const char *path),
		    void *arg)
{
	struct flint_list_rep rep = { 0 };
	uint8_t *buf = malloc(PAGE_ROOM);
	int err;

	if (!buf)
		return -ENOMEM;
	do {
		err = list_page(fs, op, kind, le64_to_cpu(rep.after), buf, &rep);
		if (err < 0)
			break;
		err = qfn ? quota_page(buf, err, &rep, qfn, arg) :
			    trash_page(buf, err, &rep, tfn, arg);
	} while (!err && !rep.eof);
	free(buf);
	return err;
}

int flint_fs_quota_list(struct flint_fs *fs, uint32_t kind,
			int (*fn)(void *arg, const struct flint_quota *q), void *arg)
{
	return list_all(fs, FLINT_OP_QUOTA_LIST, kind, fn, NULL, arg);
}

int flint_fs_trash_set(struct flint_fs *fs, uint64_t ino, uint32_t keep)
{
	struct flint_trash_set b = {
		.ino = cpu_to_le64(ino), .keep = cpu_to_le32(keep), .cred = fs->cred };

	return simple(fs, FLINT_OP_TRASH_SET, true, &b, sizeof(b), NULL, 0);
}

int flint_fs_trash_list(struct flint_fs *fs,
			int (*fn)(void *arg, const struct flint_trash_ent *e, const char *path),
			void *arg)
{
	return list_all(fs, FLINT_OP_TRASH_LIST, 0, NULL, fn, arg);
}

int flint_fs_trash_restore(struct flint_fs *fs, uint64_t id, uint64_t parent, const char *name,
			   struct flint_attr *attr)
{
	struct flint_trash_restore b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .id = cpu_to_le64(id),
		.name_len = cpu_to_le32(name ? strlen(name) : 0),
		.parent = cpu_to_le64(parent), .cred = fs->cred,
	};
	struct flint_attr rep;
	int err;

	err = named(fs, FLINT_OP_TRASH_RESTORE, &b, sizeof(b), name, &rep, sizeof(rep));
	if (!err && attr)
		*attr = rep;
	return err;
}

int flint_fs_trash_empty(struct flint_fs *fs, uint64_t id, uint64_t before, uint64_t *removed)
{
	struct flint_trash_empty b = {
		.id = cpu_to_le64(id), .before = cpu_to_le64(before), .cred = fs->cred };
	struct flint_trash_emptied rep;
	uint64_t nr = 0;
	int err;

	do {
		err = simple(fs, FLINT_OP_TRASH_EMPTY, true, &b, sizeof(b), &rep, sizeof(rep));
		if (err)
			break;
		nr += le64_to_cpu(rep.nr);
		b.after = rep.after;
	} while (rep.more);
	if (removed)
		*removed = nr;
	return err;
}

int flint_fs_rmtree(struct flint_fs *fs, uint64_t dir, const char *name, uint32_t flags,
		    struct flint_rmtree_rep *rep)
{
	struct flint_name_req b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .flags = cpu_to_le32(flags),
		.parent = cpu_to_le64(dir), .name_len = cpu_to_le32(strlen(name)), .cred = fs->cred,
	};

	return named(fs, FLINT_OP_RMTREE, &b, sizeof(b), name, rep, sizeof(*rep));
}

int flint_fs_rmtree_stat(struct flint_fs *fs, uint64_t id, struct flint_rmtree_stat *st)
{
	struct flint_rmtree_req b = { .id = cpu_to_le64(id) };

	return simple(fs, FLINT_OP_RMTREE_STAT, false, &b, sizeof(b), st, sizeof(*st));
}
