// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * File systems, sessions, and the end of open handles.
 *
 * An open handle keeps an unlinked inode alive. When the last one goes, by
 * CLOSE or with its session, the inode is removed at once if no chunk server
 * can hold data of it, else it waits in table "orphan" for the reaper.
 *
 * A session that ends without a word may leave data beyond the end of files
 * it was writing: acknowledged, while it kept the size itself, or on its way. The
 * size is settled first (META_OP_SETTLE) by what the chunk servers have. Then such
 * files are cut at their size, like a truncation that nobody waits for, so that
 * whatever came to lie behind it reads as zeros later. A file that others write, and
 * one with data whose size was refused for a quota, are marked for that (META_INO_LOOSE)
 * until nobody has them open for writing any more.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "command.h"
#include "lease.h"
#include "../../uapi/flintfs/token.h"

#define SESSION_KNOWN	(FLINT_SESSION_RDONLY | FLINT_SESSION_LEASES | FLINT_SESSION_CHECK)

static bool fs_name_ok(const u8 *name)
{
	u32 i, n = strnlen((const char *)name, FLINT_LABEL_LEN);

	if (!n || n == FLINT_LABEL_LEN)
		return false;
	for (i = 0; i < n; i++)
		if (name[i] < 0x20 || name[i] == 0x7f || name[i] == '/')
			return false;
	return true;
}

int meta_op_fs_create(struct meta_op *o)
{
	struct flint_placement pl;
	struct flint_fs_create b;
	struct meta_inode *root;
	struct meta_fs *f;
	u32 id;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	id = le32_to_cpu(b.fs);
	if (!id || !fs_name_ok(b.name) ||
	    flint_placement_init(&pl, &b.layout, FLINT_STRIPE_MAX))
		return EINVAL;

	f = meta_fs_get(o->s, id);
	if (f && !strcmp(f->name, (const char *)b.name)) {
		err = meta_inode_get(o->s, f->root, &root);
		if (err)
			return err == -ESTALE ? ESTALE : err;
		meta_reply_attr(o, root);
		return 0;
	}
	if (f || meta_fs_by_name(o->s, (const char *)b.name))
		return EEXIST;

	root = meta_inode_new(o->s, 0);
	if (!root)
		return -ENOMEM;
	err = meta_fs_add(o->s, id, (const char *)b.name, root->ino);
	if (err)
		return err;
	root->fs = id;
	root->mode = S_IFDIR | (le32_to_cpu(b.mode) & 07777);
	root->nlink = 2;
	root->uid = le32_to_cpu(b.owner.uid);
	root->gid = le32_to_cpu(b.owner.gid);
	root->parent = root->ino;
	root->atime = root->mtime = root->ctime = root->btime = o->s->now;
	root->change = 1;
	root->next_cookie = META_COOKIE_FIRST;
	root->chunk_shift = b.layout.chunk_shift;
	root->stripe = le16_to_cpu(b.layout.stripe);
	root->table = le32_to_cpu(b.layout.table);
	root->table_ver = le32_to_cpu(b.layout.table_ver);
	meta_reply_attr(o, root);
	return meta_ids_add(o->s, root, 0, 1);
}

/* Walk "a/b/c" from a directory: 0, a status, or -errno. */
static int walk(struct meta_op *o, u64 start, const u8 *path, u32 len, struct meta_inode **out)
{
	struct meta_dentry d;
	u32 n;
	int err;

	err = meta_inode_get(o->s, start, out);
	while (!err) {
		while (len && *path == '/') {
			path++;
			len--;
		}
		if (!len)
			return meta_is_dir(*out) ? 0 : ENOTDIR;
		for (n = 0; n < len && path[n] != '/'; n++)
			;
		err = flint_name_check(path, n);
		if (err)
			return -err;
		if (!meta_is_dir(*out))
			return ENOTDIR;
		err = meta_dentry_get(o->s, (*out)->ino, path, n, &d);
		if (err == -ENOENT)
			return ENOENT;
		if (!err)
			err = meta_inode_get(o->s, d.ino, out);
		path += n;
		len -= n;
	}
	return err == -ESTALE ? ENOENT : err;
}

/*
 * What the connection's token adds to a session that is to be opened. 0, FLINT_ST_AUTH (not
 * for this file system, directory or time), FLINT_ST_BAD_REQUEST or -errno.
 */
static int token_apply(struct meta_op *o, struct meta_inode *root, struct meta_session *t)
{
	const struct flint_token *tok;
	u64 buf[FLINT_TOKEN_MAX / 8 + 1];
	struct meta_inode *top;
	u64 at;
	int err;

	if (!o->c->data_len)
		return 0;
	memcpy(buf, o->c->data, o->c->data_len);
	tok = (const struct flint_token *)buf;
	if (flint_token_check(tok, o->c->data_len))
		return FLINT_ST_BAD_REQUEST;
	t->expires = le64_to_cpu(tok->expires) * 1000000000ull;
	if (le32_to_cpu(tok->fs) != t->fs || meta_session_over(t, o->s->now))
		return FLINT_ST_AUTH;
	t->flags |= META_SN_TOKEN;
	if (le32_to_cpu(tok->flags) & FLINT_TOKEN_RDONLY)
		t->flags |= FLINT_SESSION_RDONLY;
	if (le32_to_cpu(tok->flags) & FLINT_TOKEN_ROOT_SQUASH)
		t->flags |= META_SN_ROOT_SQUASH;
	if (le32_to_cpu(tok->flags) & FLINT_TOKEN_ALL_SQUASH)
		t->flags |= META_SN_ALL_SQUASH;
	if (le32_to_cpu(tok->flags) & FLINT_TOKEN_ADMIN)
		t->flags |= META_SN_ADMIN;
	t->squash_uid = le32_to_cpu(tok->squash_uid);
	t->squash_gid = le32_to_cpu(tok->squash_gid);
	err = walk(o, meta_fs_get(o->s, t->fs)->root, (const u8 *)flint_token_path(tok),
		   le16_to_cpu(tok->path_len), &top);
	if (err)
		return err < 0 ? err : (int)FLINT_ST_AUTH;
	for (at = root->ino; at != top->ino; at = root->parent) {
		err = meta_inode_get(o->s, at, &root);
		if (err)
			return err;
		if (root->parent == at)
			return FLINT_ST_AUTH;
	}
	return 0;
}

/* A session that takes part in leases begins with those of its root. */
static int hint_first(struct meta_op *o, const struct meta_session *sn)
{
	u8 bits[LEASE_HINT_BYTES] = { 0 };

	if (!(sn->flags & FLINT_SESSION_LEASES))
		return 0;
	lease_hint_set(bits, sn->root);
	return meta_hint_put(o->s, sn->id, bits);
}

int meta_op_hints(struct meta_op *o)
{
	u32 at, i, len = o->c->body_len;
	u8 bits[LEASE_HINT_BYTES];
	struct meta_hint_arg a;
	int err;

	if (len % sizeof(a))
		return FLINT_ST_BAD_REQUEST;
	for (at = 0; at < len; at += sizeof(a)) {
		memcpy(&a, (const u8 *)o->c->body + at, sizeof(a));
		/* Ended meanwhile, or without hints: it may hold anything. */
		err = meta_hint_get(o->s, le64_to_cpu(a.sid), bits);
		if (err < 0)
			return err;
		for (i = 0; err && i < sizeof(bits); i++)
			bits[i] |= a.buckets[i];
		if (err)
			err = meta_hint_put(o->s, le64_to_cpu(a.sid), bits);
		if (err < 0)
			return err;
	}
	return 0;
}

int meta_op_session_open(struct meta_op *o)
{
	struct flint_session_rep rep = { 0 };
	struct flint_session_open b;
	struct meta_session *sn, tmpl = { 0 };
	struct meta_inode *root;
	struct meta_fs *f;
	const u8 *path;
	u32 len;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len, &path, &len))
		return FLINT_ST_BAD_REQUEST;
	if (!fs_name_ok(b.fs_name) || (le32_to_cpu(b.flags) & ~SESSION_KNOWN))
		return EINVAL;
	if (len > FLINT_PATH_MAX)
		return ENAMETOOLONG;
	f = meta_fs_by_name(o->s, (const char *)b.fs_name);
	if (!f)
		return ENODEV;
	err = walk(o, f->root, path, len, &root);
	if (err)
		return err;

	memcpy(tmpl.client, o->c->client, sizeof(tmpl.client));
	tmpl.fs = f->id;
	tmpl.root = root->ino;
	tmpl.flags = le32_to_cpu(b.flags);
	err = token_apply(o, root, &tmpl);
	if (err)
		return err;
	sn = meta_session_by_client(o->s, tmpl.client);
	if (sn && (sn->fs != tmpl.fs || sn->root != tmpl.root || sn->flags != tmpl.flags ||
		   sn->squash_uid != tmpl.squash_uid || sn->squash_gid != tmpl.squash_gid ||
		   sn->expires != tmpl.expires))
		return EBUSY;
	if (!sn) {
		tmpl.id = o->s->c.next_session++;
		err = meta_session_add(o->s, &tmpl);
		if (!err)
			err = hint_first(o, &tmpl);
		if (err)
			return err;
		sn = meta_session_by_id(o->s, tmpl.id);
	}
	rep.session_epoch = cpu_to_le64(sn->id);
	rep.fs = cpu_to_le32(sn->fs);
	meta_inode_attr(root, &rep.root);
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}

/* ---- the end of handles ------------------------------------------------------ */

int meta_release_orphan(struct meta_store *s, struct meta_inode *i)
{
	int err;

	if (i->data)
		return meta_orphan_put(s, i->ino, true);
	err = meta_orphan_del(s, i->ino);
	return err ? err : meta_inode_remove(s, i);
}

int meta_cut_tail(struct meta_op *o, struct meta_inode *i)
{
	struct meta_intent it;
	int err;

	i->flags &= ~(META_INO_LOOSE | META_INO_REFUSED);
	meta_inode_dirty(o->s, i);
	err = meta_intent_get(o->s, i->ino, &it);
	if (err)
		return err < 0 ? err : 0;
	it = (struct meta_intent){ .ino = i->ino, .epoch = i->trunc_epoch + 1, .size = i->size,
				   .sid = o->sn ? o->sn->id : 0, .op = META_OP_EXPIRE };
	return meta_intent_add(o->s, &it);
}

/* Not while others write: what they are about to tell the end of would go with it. */
static int settle(struct meta_op *o, struct meta_inode *i)
{
	i->data = 1;
	meta_inode_dirty(o->s, i);
	if (!i->nlink)
		return 0;	/* everything goes anyway */
	if (!meta_open_writers(o->s, i->ino))
		return meta_cut_tail(o, i);
	i->flags |= META_INO_LOOSE;
	return 0;
}

static int close_handle(struct meta_op *o, const struct meta_handle *h, bool died)
{
	struct meta_inode *i;
	int err;

	err = meta_handle_del(o->s, h);
	if (err)
		return err;
	err = meta_inode_get(o->s, h->ino, &i);
	if (err)
		return err == -ESTALE ? 0 : err;
	if ((died && (h->flags & FLINT_OPEN_WRITE)) ||
	    ((i->flags & META_INO_LOOSE) && !meta_open_writers(o->s, i->ino))) {
		err = settle(o, i);
		if (err)
			return err;
	}
	if (!i->nlink && !meta_open_count(o->s, i->ino))
		return meta_release_orphan(o->s, i);
	return 0;
}

int meta_op_close(struct meta_op *o)
{
	struct flint_close b;
	struct meta_handle h;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	err = meta_handle_get(o->s, o->sn->id, le64_to_cpu(b.handle), &h);
	if (err != 1)
		return err ? err : EBADF;
	if (h.ino != le64_to_cpu(b.ino))
		return EBADF;
	return close_handle(o, &h, false);
}

int meta_close_all(struct meta_op *o, struct meta_session *sn, bool died)
{
	struct meta_handle h = { 0 };
	int err;

	while ((err = meta_handle_next(o->s, sn->id, h.id, &h)) == 1) {
		err = close_handle(o, &h, died);
		if (err)
			return err;
	}
	return err;
}

int meta_op_session_close(struct meta_op *o)
{
	int err = meta_close_all(o, o->sn, false);

	return err ? err : meta_session_del(o->s, o->sn);
}

/*
 * The leader saw data of a dead writer that far. Limits do not count: it was
 * acknowledged; but they do where some of it was refused, which may be what the
 * leader saw. A truncation since then knew better; it has to look again.
 */
int meta_op_settle(struct meta_op *o)
{
	struct meta_settle_arg a;
	struct meta_intent it;
	struct meta_inode *i;
	u64 size;
	int err;

	if (flint_body_get(&a, sizeof(a), sizeof(a), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	err = meta_inode_get(o->s, le64_to_cpu(a.ino), &i);
	if (err)
		return err == -ESTALE ? 0 : err;
	size = le64_to_cpu(a.size);
	if (!meta_is_reg(i) || !i->nlink || size <= i->size)
		return 0;
	err = meta_intent_get(o->s, i->ino, &it);
	if (err < 0)
		return err;
	if (err || le32_to_cpu(a.epoch) != i->trunc_epoch)
		return FLINT_ST_STALE_EPOCH;
	if (size > meta_size_max(i))
		return EFBIG;
	err = i->flags & META_INO_REFUSED ? meta_size_set(o->s, i, size) :
					  meta_size_settle(o->s, i, size);
	if (err)
		return err == EDQUOT ? 0 : err;
	i->data = 1;
	i->mtime = o->s->now;
	meta_touch(o, i);
	return 0;
}

int meta_op_expire(struct meta_op *o)
{
	struct meta_session *sn;
	struct meta_ino_arg a;
	int err;

	if (flint_body_get(&a, sizeof(a), sizeof(a), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	sn = meta_session_by_id(o->s, le64_to_cpu(a.ino));
	if (!sn)
		return 0;
	err = meta_close_all(o, sn, true);
	return err ? err : meta_session_del(o->s, sn);
}
