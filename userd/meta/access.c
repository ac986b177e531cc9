// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Credentials, permissions and the bounds of sessions. The rules are those of
 * Linux' fs/namei.c and fs/attr.c as described in path_resolution(7), unlink(2),
 * rename(2) and chmod(2).
 */
#include <errno.h>
#include <sys/stat.h>
#include "command.h"

#define FROZEN	(FLINT_INO_IMMUTABLE | FLINT_INO_APPEND)

/* ---- credentials ----------------------------------------------------------- */

static void cred_map(const struct meta_session *sn, struct meta_cred *c)
{
	bool all = sn->flags & META_SN_ALL_SQUASH;
	u32 i, n = 0;

	if (!(sn->flags & (META_SN_ROOT_SQUASH | META_SN_ALL_SQUASH)))
		return;
	if (all || !c->uid)
		c->uid = sn->squash_uid;
	if (all || !c->gid)
		c->gid = sn->squash_gid;
	for (i = 0; i < c->nr_groups && !all; i++)
		if (c->groups[i])
			c->groups[n++] = c->groups[i];
	c->nr_groups = n;
}

static bool session_checks(const struct meta_session *sn)
{
	return sn->flags & (FLINT_SESSION_CHECK | META_SN_ROOT_SQUASH | META_SN_ALL_SQUASH);
}

static int tail_get(const void *body, u32 *len, struct meta_cred *c)
{
	struct flint_cred_tail t;

	if (flint_cred_tail_get(body, len, &t, c->groups))
		return -EPROTO;
	c->uid = le32_to_cpu(t.uid);
	c->gid = le32_to_cpu(t.gid);
	c->nr_groups = le32_to_cpu(t.nr_groups);
	c->umask = le32_to_cpu(t.umask) & 0777;
	c->has_umask = le32_to_cpu(t.flags) & FLINT_CRED_UMASK;
	c->known = true;
	return 0;
}

int meta_cred_tail(struct meta_op *o, struct meta_command *c)
{
	return tail_get(c->body, &c->body_len, &o->cred);
}

void meta_cred_session(struct meta_op *o)
{
	o->cred.check = session_checks(o->sn);
	if (o->cred.known)
		cred_map(o->sn, &o->cred);
}

void meta_cred_body(struct meta_op *o, const struct flint_cred *c)
{
	if (o->cred.known)
		return;
	o->cred.uid = le32_to_cpu(c->uid);
	o->cred.gid = le32_to_cpu(c->gid);
	o->cred.known = true;
	cred_map(o->sn, &o->cred);
}

int meta_cred_read(const struct meta_session *sn, bool tail, const void *body, u32 *len,
		   const struct flint_cred *c, struct meta_cred *out)
{
	memset(out, 0, sizeof(*out));
	out->check = session_checks(sn);
	if (tail) {
		if (tail_get(body, len, out))
			return -EPROTO;
	} else if (c) {
		out->uid = le32_to_cpu(c->uid);
		out->gid = le32_to_cpu(c->gid);
		out->known = true;
	} else if (sn->flags & (META_SN_ROOT_SQUASH | META_SN_ALL_SQUASH)) {
		out->known = true;
	}
	cred_map(sn, out);
	return 0;
}

/* ---- permissions ------------------------------------------------------------- */

bool meta_in_group(const struct meta_cred *c, u32 gid)
{
	u32 i;

	if (c->gid == gid)
		return true;
	for (i = 0; i < c->nr_groups; i++)
		if (c->groups[i] == gid)
			return true;
	return false;
}

int meta_permission(struct meta_store *s, const struct meta_inode *i, const struct meta_cred *c,
		    u32 want)
{
	u32 mode = i->mode;

	if (!c->uid) {
		/* root may do anything but execute what nobody may. */
		return (want & META_EXEC) && !meta_is_dir(i) && !(mode & 0111) ? EACCES : 0;
	}
	if (c->uid == i->uid)
		return (mode >> 6 & want) == want ? 0 : EACCES;
	if ((i->flags & META_INO_ACL) && (mode & 0070))
		return meta_acl_permission(s, i, c, want);
	if (meta_in_group(c, i->gid))
		return (mode >> 3 & want) == want ? 0 : EACCES;
	return (mode & want) == want ? 0 : EACCES;
}

int meta_access(struct meta_op *o, const struct meta_inode *i, u32 want)
{
	if (!o->cred.check || !o->cred.known)
		return 0;
	return meta_permission(o->s, i, &o->cred, want);
}

bool meta_is_owner(const struct meta_op *o, const struct meta_inode *i)
{
	return !o->cred.check || !o->cred.known || !o->cred.uid || o->cred.uid == i->uid;
}

bool meta_is_root(const struct meta_op *o)
{
	return !o->cred.check || !o->cred.known || !o->cred.uid;
}

int meta_may_delete(struct meta_op *o, const struct meta_inode *dir, const struct meta_inode *i,
		    bool dir_wanted)
{
	int err;

	if (dir->flags & FLINT_INO_IMMUTABLE)
		return EPERM;
	err = meta_access(o, dir, META_WRITE | META_EXEC);
	if (err)
		return err;
	if (dir->flags & FLINT_INO_APPEND)
		return EPERM;
	if ((dir->mode & S_ISVTX) && !meta_is_owner(o, i) && !meta_is_owner(o, dir))
		return EPERM;
	if (i->flags & FROZEN)
		return EPERM;
	if (dir_wanted != meta_is_dir(i))
		return dir_wanted ? ENOTDIR : EISDIR;
	return 0;
}

int meta_may_create(struct meta_op *o, const struct meta_inode *dir)
{
	if (!dir->nlink || (dir->flags & META_INO_TRASH))
		return ENOENT;
	if (dir->flags & FLINT_INO_IMMUTABLE)
		return EPERM;
	return meta_access(o, dir, META_WRITE | META_EXEC);
}

/* ---- bounds -------------------------------------------------------------------- */

/* Is the directory the session's root or below it? 0, ESTALE or -errno. */
static int bound_dir(struct meta_store *s, struct meta_session *sn, u64 ino)
{
	const struct meta_inode *dir;
	u64 at = ino;
	int err;

	if (at == sn->seen_dir && sn->seen_moves == s->moves)
		return 0;
	while (at != sn->root) {
		err = meta_inode_peek(s, at, &dir);
		if (err)
			return err == -ESTALE ? ESTALE : err;
		if (dir->parent == at)
			return ESTALE;
		at = dir->parent;
	}
	sn->seen_dir = ino;
	sn->seen_moves = s->moves;
	return 0;
}

/*
 * Does the session have it open, with one of @flags (0: in any way)? 1, 0 or -errno. It
 * searches: not for the usual way.
 */
static int open_by(struct meta_store *s, struct meta_session *sn, u64 ino, u32 flags)
{
	struct meta_handle h = { 0 };
	int err;

	if (!meta_open_count(s, ino))
		return 0;
	while ((err = meta_handle_next(s, sn->id, h.id, &h)) == 1)
		if (h.ino == ino && (!flags || (h.flags & flags)))
			return 1;
	return err;
}

int meta_has_open(struct meta_op *o, u64 ino, u32 flags)
{
	int err = open_by(o->s, o->sn, ino, flags);

	return err == 1 ? 0 : err ? err : EACCES;
}

int meta_others_write(struct meta_op *o, u64 ino)
{
	u32 others = meta_open_writers(o->s, ino);
	struct meta_handle h = { 0 };
	int err;

	if (!others)
		return 0;
	while ((err = meta_handle_next(o->s, o->sn->id, h.id, &h)) == 1)
		if (h.ino == ino && (h.flags & FLINT_OPEN_WRITE))
			others--;
	return err ? err : others > 0;
}

static int bound_links(struct meta_store *s, struct meta_session *sn, u64 ino)
{
	u8 key[META_KEY_MAX];
	struct meta_row r;
	u64 dir = 0;
	int err;

	for (;;) {
		err = meta_row_seek(s, META_T_LINK, key, meta_key2(key, ino, dir), &r);
		if (err != 1 || meta_key_u64(r.key, 0) != ino)
			return err < 0 ? err : ESTALE;
		dir = meta_key_u64(r.key, 8);
		err = bound_dir(s, sn, dir);
		if (err != ESTALE)
			return err;
		dir++;
	}
}

int meta_bound(struct meta_store *s, struct meta_session *sn, const struct meta_inode *i)
{
	struct meta_fs *fs = meta_fs_get(s, sn->fs);
	int err;

	if (i->flags & META_INO_HIDDEN)
		return ESTALE;
	if (i->ino == sn->root || (fs && fs->root == sn->root))
		return 0;
	if (meta_is_dir(i))
		return bound_dir(s, sn, i->ino);
	if (!i->nlink || (i->flags & META_INO_TRASH)) {
		err = open_by(s, sn, i->ino, 0);
		return err == 1 ? 0 : err ? err : ESTALE;
	}
	err = bound_dir(s, sn, i->parent);
	if (err == ESTALE && (i->flags & META_INO_LINKS))
		err = bound_links(s, sn, i->ino);
	return err;
}
