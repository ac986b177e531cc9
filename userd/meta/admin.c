// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What may be read, and totals, quotas and the trash as administrators see
 * them. Nothing here changes the state.
 */
#include <errno.h>
#include <string.h>
#include "admin.h"

/* A path may fill this much of a page; a record longer than the room ends the page. */
#define ENT_MAX		(sizeof(struct flint_trash_ent) + FLINT_PATH_MAX + 8)

static int read_inode(struct meta_store *s, struct meta_session *sn, u64 ino,
		      const struct meta_inode **i)
{
	int err = meta_inode_peek(s, ino, i);

	if (err)
		return err == -ESTALE ? ESTALE : err;
	if ((*i)->fs != sn->fs)
		return ESTALE;
	return meta_bound(s, sn, *i);
}

static bool prefixed(const u8 *name, u32 len, const char *prefix)
{
	u32 n = strlen(prefix);

	return len > n && !memcmp(name, prefix, n);
}

/*
 * Attributes of what was named by number: who may not search its directory has no
 * business with it, unless the session has it open.
 */
static int may_see(struct meta_store *s, struct meta_session *sn, const struct meta_inode *i,
		   const struct meta_cred *c)
{
	const struct meta_inode *dir;
	struct meta_handle h = { 0 };
	int err;

	/* Unlinked: it is in the session's bounds because it is open. Several names: any may do. */
	if (i->ino == sn->root || i->parent == i->ino || !i->nlink || (i->flags & META_INO_LINKS))
		return 0;
	err = meta_inode_peek(s, i->parent, &dir);
	if (!err)
		err = meta_permission(s, dir, c, META_EXEC);
	if (err != EACCES || meta_is_dir(i))
		return err == -ESTALE ? 0 : err;
	while ((err = meta_handle_next(s, sn->id, h.id, &h)) == 1)
		if (h.ino == i->ino)
			return 0;
	return err ? err : EACCES;
}

/* xattr(7): user.* needs read permission, trusted.* is root's alone. */
static int may_getxattr(struct meta_store *s, const struct meta_inode *i,
			const struct meta_cred *c, const u8 *name, u32 len)
{
	if (prefixed(name, len, "trusted."))
		return c->uid ? ENODATA : 0;
	return prefixed(name, len, "user.") ? meta_permission(s, i, c, META_READ) : 0;
}

/* Who is asked for: the inode's number in each body. 0 or -EPROTO. */
static int read_target(u16 op, const void *body, u32 len, u64 *ino, struct flint_cred *cred,
		       bool *has_cred)
{
	struct flint_name_req n;
	struct flint_readdir d;
	struct flint_ino_req i;
	struct flint_xattr x;
	const u8 *tail;
	u32 tlen;

	*has_cred = false;
	switch (op) {
	case FLINT_OP_LOOKUP:
		if (flint_body_get_var(&n, sizeof(n), sizeof(n), body, len, &tail, &tlen))
			return -EPROTO;
		*ino = le64_to_cpu(n.parent);
		*cred = n.cred;
		*has_cred = true;
		return 0;
	case FLINT_OP_GETXATTR:
	case FLINT_OP_LISTXATTR:
		if (flint_body_get_var(&x, sizeof(x), sizeof(x), body, len, &tail, &tlen))
			return -EPROTO;
		*ino = le64_to_cpu(x.ino);
		*cred = x.cred;
		*has_cred = true;
		return 0;
	case FLINT_OP_READDIR:
		if (flint_body_get(&d, sizeof(d), sizeof(d), body, len))
			return -EPROTO;
		*ino = le64_to_cpu(d.ino);
		return 0;
	default:
		if (flint_body_get(&i, sizeof(i), sizeof(i), body, len))
			return -EPROTO;
		*ino = le64_to_cpu(i.ino);
		return 0;
	}
}

int meta_read_may(struct meta_store *s, struct meta_session *sn, bool tail, u16 op,
		  const void *body, u32 *len, u64 now)
{
	struct flint_cred cred;
	const struct meta_inode *i;
	struct meta_cred c;
	const u8 *name;
	bool has_cred;
	__le32 fixed;
	u32 nlen;
	u64 ino;
	int err;

	if (meta_session_over(sn, now))
		return FLINT_ST_AUTH;
	if (meta_cred_read(sn, tail, body, len, NULL, &c) ||
	    read_target(op, body, *len, &ino, &cred, &has_cred))
		return -EPROTO;
	if (op == FLINT_OP_STATFS)
		return 0;
	err = read_inode(s, sn, ino, &i);
	if (err)
		return err;
	if (!tail && has_cred)
		meta_cred_read(sn, false, NULL, NULL, &cred, &c);
	if (!c.check || !c.known)
		return 0;
	switch (op) {
	case FLINT_OP_LOOKUP:
		return meta_is_dir(i) ? meta_permission(s, i, &c, META_EXEC) : ENOTDIR;
	case FLINT_OP_READDIR:
		return meta_permission(s, i, &c, META_READ);
	case FLINT_OP_GETXATTR:
		memcpy(&fixed, body, sizeof(fixed));
		name = (const u8 *)body + le32_to_cpu(fixed);
		nlen = *len - le32_to_cpu(fixed);
		return may_getxattr(s, i, &c, name, nlen);
	default:
		return may_see(s, sn, i, &c);
	}
}

/* ---- answers ----------------------------------------------------------------- */

static int quota_may(struct meta_store *s, struct meta_session *sn, u32 kind, u64 id);

/* Totals of a directory; with room for it also its path, in sessions that see it all. */
static int do_dirstat(struct meta_store *s, struct meta_session *sn, const void *body, u32 len,
		      u8 *buf, u32 room, u32 *used, struct flint_dirstat *rep)
{
	struct flint_ino_req b;
	const struct meta_inode *i;
	u32 keep;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), body, len))
		return -EPROTO;
	err = read_inode(s, sn, le64_to_cpu(b.ino), &i);
	if (!err && !meta_is_dir(i))
		err = ENOTDIR;
	if (!err)
		err = meta_trash_keep(s, i->fs, i->ino, &keep);
	if (err)
		return err;
	*rep = (struct flint_dirstat){
		.ino = cpu_to_le64(i->ino), .bytes = cpu_to_le64(i->tree_bytes),
		.files = cpu_to_le64(i->tree_files), .dirs = cpu_to_le64(i->tree_dirs),
		.entries = cpu_to_le64(i->size), .project = cpu_to_le32(i->project),
		.trash_keep = cpu_to_le32(keep),
	};
	if (room < FLINT_PATH_MAX || quota_may(s, sn, 0, 0))
		return 0;
	err = meta_path(s, i->ino, NULL, 0, buf);
	if (err > 0)
		*used = err;
	return err < 0 ? err : 0;
}

/* Trees' quotas are seen where the tree is; ids' in sessions of the whole file system. */
static int quota_may(struct meta_store *s, struct meta_session *sn, u32 kind, u64 id)
{
	struct meta_fs *fs = meta_fs_get(s, sn->fs);
	const struct meta_inode *i;

	if (kind == FLINT_QUOTA_TREE)
		return read_inode(s, sn, id, &i);
	return fs && fs->root == sn->root ? 0 : EPERM;
}

static int do_quota_get(struct meta_store *s, struct meta_session *sn, const void *body, u32 len,
			struct flint_quota *rep)
{
	struct flint_quota_req b;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), body, len))
		return -EPROTO;
	err = quota_may(s, sn, le32_to_cpu(b.kind), le64_to_cpu(b.id));
	return err ? err : meta_quota_read(s, sn->fs, le32_to_cpu(b.kind), le64_to_cpu(b.id), rep);
}

static int do_quota_list(struct meta_store *s, struct meta_session *sn, const struct flint_list *b,
			 u8 *buf, u32 room, u32 *used, struct flint_list_rep *rep)
{
	u64 after = le64_to_cpu(b->after);
	u32 kind = le32_to_cpu(b->kind), nr = 0;
	struct flint_quota q;
	int err;

	if (kind < FLINT_QUOTA_TREE || kind > FLINT_QUOTA_PROJECT || room < sizeof(q))
		return EINVAL;
	/* Id 0 is a user and a group: the cursor is the id plus one, but for trees. */
	for (;;) {
		err = meta_quota_next(s, sn->fs, kind, after, &q);
		if (err < 0)
			return err;
		if (!err) {
			rep->eof = cpu_to_le32(1);
			break;
		}
		if (*used + sizeof(q) > room)
			break;
		after = le64_to_cpu(q.id) + 1;
		if (quota_may(s, sn, kind, le64_to_cpu(q.id)))
			continue;
		memcpy(buf + *used, &q, sizeof(q));
		*used += sizeof(q);
		nr++;
	}
	rep->nr = cpu_to_le32(nr);
	rep->after = cpu_to_le64(after);
	return 0;
}

/* One record of TRASH_LIST: bytes, 0: not the caller's to see, or -errno. */
static int trash_ent(struct meta_store *s, struct meta_session *sn, const struct meta_cred *c,
		     u64 ino, u8 *buf)
{
	struct flint_trash_ent e = { 0 };
	struct meta_charge charge;
	const struct meta_inode *i, *dir;
	struct meta_trash t;
	u32 rec;
	int err, n;

	err = meta_trash_get(s, sn->fs, ino, &t);
	if (err == 1)
		err = meta_inode_peek(s, ino, &i);
	if (err)
		return err < 0 ? err : 0;
	if (c->uid && c->uid != i->uid)
		return 0;
	err = meta_inode_peek(s, t.parent, &dir);
	if (!err)
		err = meta_bound(s, sn, dir);
	if (err && !(err == -ESTALE && !quota_may(s, sn, 0, 0)))
		return err == ESTALE || err == -ESTALE ? 0 : err;
	n = meta_path(s, t.parent, t.name, t.name_len, buf + sizeof(e));
	if (n < 0)
		return n;
	charge = meta_charge_of(i);
	rec = (sizeof(e) + n + 7) & ~7u;
	e.id = e.ino = cpu_to_le64(ino);
	e.parent = cpu_to_le64(t.parent);
	e.deleted = cpu_to_le64(t.deleted);
	e.expires = cpu_to_le64(t.expires);
	e.bytes = cpu_to_le64(charge.bytes);
	e.files = cpu_to_le64(charge.files);
	e.dirs = cpu_to_le64(charge.dirs);
	e.mode = cpu_to_le32(i->mode);
	e.uid = cpu_to_le32(i->uid);
	e.rec_len = cpu_to_le16(rec);
	e.path_len = cpu_to_le16(n);
	e.name_len = cpu_to_le16(t.name_len);
	memset(buf + sizeof(e) + n, 0, rec - sizeof(e) - n);
	memcpy(buf, &e, sizeof(e));
	return rec;
}

static int do_trash_list(struct meta_store *s, struct meta_session *sn, const struct flint_list *b,
			 const struct meta_cred *c, u8 *buf, u32 room, u32 *used,
			 struct flint_list_rep *rep)
{
	u64 after = le64_to_cpu(b->after), ino;
	u32 nr = 0, looked;
	u8 rec[ENT_MAX];
	int err, n;

	for (looked = 0; looked < 4096; looked++) {
		err = meta_trash_next(s, sn->fs, after, &ino);
		if (err < 0)
			return err;
		if (!err) {
			rep->eof = cpu_to_le32(1);
			break;
		}
		n = trash_ent(s, sn, c, ino, rec);
		if (n < 0)
			return n;
		if (*used + n > room) {
			if (!nr)
				return EINVAL;
			break;
		}
		after = ino;
		memcpy(buf + *used, rec, n);
		*used += n;
		nr += n > 0;
	}
	rep->nr = cpu_to_le32(nr);
	rep->after = cpu_to_le64(after);
	return 0;
}

static int do_rmtree_stat(struct meta_store *s, struct meta_session *sn, const void *body, u32 len,
			  struct flint_rmtree_stat *rep)
{
	struct flint_rmtree_req b;
	const struct meta_inode *i;
	u64 all, ino;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), body, len))
		return -EPROTO;
	memset(rep, 0, sizeof(*rep));
	err = meta_hidden_get(s, sn->fs, META_HIDDEN_DOOMED, &all);
	if (err || !all)
		return err;
	ino = b.id ? le64_to_cpu(b.id) : all;
	err = meta_inode_peek(s, ino, &i);
	if (err)
		return err == -ESTALE ? 0 : err;
	if (ino != all && i->parent != all)
		return 0;
	rep->trees = cpu_to_le64(ino == all ? i->size : 1);
	rep->bytes = cpu_to_le64(i->tree_bytes);
	rep->files = cpu_to_le64(i->tree_files);
	rep->dirs = cpu_to_le64(i->tree_dirs + (ino != all));
	return 0;
}

bool meta_admin_paged(u16 op, const void *body, u32 len)
{
	struct flint_ino_req b;

	if (op == FLINT_OP_DIRSTAT)
		return !flint_body_get(&b, sizeof(b), sizeof(b), body, len) && b.max_len;
	return op == FLINT_OP_QUOTA_LIST || op == FLINT_OP_TRASH_LIST;
}

int meta_admin_read(struct meta_store *s, struct meta_session *sn, bool tail, u16 op,
		    const void *body, u32 len, u64 now, u8 *buf, u32 room, u32 *used,
		    u64 *rep, u32 *rep_len)
{
	struct flint_list b;
	struct meta_cred c;

	*used = 0;
	if (meta_session_over(sn, now))
		return FLINT_ST_AUTH;
	if (meta_cred_read(sn, tail, body, &len, NULL, &c))
		return -EPROTO;
	memset(rep, 0, META_ADMIN_REP);
	switch (op) {
	case FLINT_OP_DIRSTAT:
		*rep_len = sizeof(struct flint_dirstat);
		return do_dirstat(s, sn, body, len, buf, room, used, (void *)rep);
	case FLINT_OP_QUOTA_GET:
		*rep_len = sizeof(struct flint_quota);
		return do_quota_get(s, sn, body, len, (void *)rep);
	case FLINT_OP_RMTREE_STAT:
		*rep_len = sizeof(struct flint_rmtree_stat);
		return do_rmtree_stat(s, sn, body, len, (void *)rep);
	default:
		break;
	}
	if (flint_body_get(&b, sizeof(b), sizeof(b), body, len))
		return -EPROTO;
	if (!tail)
		meta_cred_read(sn, false, NULL, NULL, &b.cred, &c);
	if (le32_to_cpu(b.max_len) < room)
		room = le32_to_cpu(b.max_len);
	*rep_len = sizeof(struct flint_list_rep);
	if (op == FLINT_OP_QUOTA_LIST && !meta_session_admin(sn))
		return EPERM;
	if (op == FLINT_OP_QUOTA_LIST)
		return do_quota_list(s, sn, &b, buf, room, used, (void *)rep);
	return do_trash_list(s, sn, &b, &c, buf, room, used, (void *)rep);
}
