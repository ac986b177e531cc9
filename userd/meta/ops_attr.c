// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attributes, and the size of files.
 *
 * Shrinking is done in two steps. The first command sets the new size and
 * writes an intent with the next truncate epoch; then the reaper cuts the data
 * on every chain of the file's stripe; then META_OP_TRUNC_DONE makes the new
 * epoch the inode's and answers. Until then nobody learns the new epoch, so
 * that no data of it can stand in the way of a cut, and nothing that would let
 * the file grow is applied (META_ST_WAIT): the size never covers chunk data
 * that still waits to be cut.
 */
#include <errno.h>
#include <sys/stat.h>
#include "command.h"

u64 meta_size_max(const struct meta_inode *i)
{
	u64 max = 1ull << 32 << i->chunk_shift;	/* chunk indexes have 32 bits */

	return max > INT64_MAX ? INT64_MAX : max;
}

static int intent_insert(struct meta_op *o, struct meta_inode *i, u64 size, u64 handle)
{
	struct meta_intent it = {
		.ino = i->ino, .epoch = i->trunc_epoch + 1, .size = size, .sid = o->sn->id,
		.seq = o->c->seq, .digest = o->digest, .op = o->c->op, .handle = handle,
	};

	return meta_intent_add(o->s, &it);
}

/* Is a cut of the inode under way? META_ST_WAIT, 0 or -errno. */
static int wait_intent(struct meta_op *o, u64 ino)
{
	struct meta_intent it;
	int err = meta_intent_get(o->s, ino, &it);

	if (err != 1)
		return err;
	o->rep->ino = ino;
	return META_ST_WAIT;
}

int meta_drop_privs(struct meta_op *o, struct meta_inode *i)
{
	static const char caps[] = "security.capability";

	/* root keeps set-id bits when it writes; who did not say who it is has seen to it. */
	if (o->cred.known && o->cred.check && o->cred.uid) {
		i->mode &= ~S_ISUID;
		if ((i->mode & S_IXGRP) || !meta_in_group(&o->cred, i->gid))
			i->mode &= ~S_ISGID;
	}
	meta_inode_dirty(o->s, i);
	if (!(i->flags & META_INO_CAPS))
		return 0;
	i->flags &= ~META_INO_CAPS;
	return meta_xattr_del(o->s, i->ino, caps, strlen(caps));
}

/*
 * Data beyond the end goes before the file is longer, or the hole would show it; but not while
 * others write: what they are about to tell the end of would go with it. META_ST_WAIT, 0 or
 * -errno.
 */
static int cut_before(struct meta_op *o, struct meta_inode *i)
{
	int err = i->flags & META_INO_LOOSE ? meta_others_write(o, i->ino) : 1;

	if (err)
		return err < 0 ? err : 0;
	err = meta_cut_tail(o, i);
	o->rep->ino = i->ino;
	return err ? err : (int)META_ST_WAIT;
}

int meta_truncate(struct meta_op *o, struct meta_inode *i, u64 size, u64 handle)
{
	bool shrink = size < i->size, changes = size != i->size;
	int err;

	if (size > meta_size_max(i))
		return EFBIG;
	err = wait_intent(o, i->ino);
	if (!err && size > i->size)
		err = cut_before(o, i);
	if (err)
		return err;
	err = meta_size_set(o->s, i, size);
	if (err)
		return err;
	if (shrink) {
		i->flags &= ~(META_INO_LOOSE | META_INO_REFUSED);
		err = intent_insert(o, i, size, handle);
		if (err)
			return err;
	}
	if (size)
		i->data = 1;	/* from now on it may be written without our knowledge */
	/* truncate(2) of what has that length already leaves the times; open(2) does not. */
	if (changes || handle) {
		i->mtime = o->s->now;
		meta_touch(o, i);
	}
	err = meta_drop_privs(o, i);
	if (err || !shrink)
		return err;
	o->rep->ino = i->ino;
	return META_ST_PENDING;
}

int meta_op_trunc_done(struct meta_op *o)
{
	struct flint_open_rep rep = { 0 };
	struct meta_session *sn;
	struct meta_ino_arg a;
	struct meta_intent it;
	struct meta_inode *i;
	int err;

	if (flint_body_get(&a, sizeof(a), sizeof(a), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	err = meta_intent_get(o->s, le64_to_cpu(a.ino), &it);
	if (err != 1)
		return err;
	if (it.epoch != le32_to_cpu(a.epoch))
		return 0;
	err = meta_inode_get(o->s, it.ino, &i);
	if (err)
		return err;
	i->trunc_epoch = it.epoch;
	meta_touch(o, i);
	err = meta_intent_del(o->s, &it);
	if (err)
		return err;

	if (it.op == FLINT_OP_OPEN) {
		rep.handle = cpu_to_le64(it.handle);
		meta_inode_attr(i, &rep.attr);
		meta_reply_set(o, &rep, sizeof(rep));
	} else {
		meta_reply_attr(o, i);
	}
	sn = it.seq ? meta_session_by_id(o->s, it.sid) : NULL;
	o->rep->status = FLINT_OK;
	return sn ? meta_reply_store(o->s, sn->id, it.seq, sn->low, it.digest, o->rep) : 0;
}

int meta_op_orphan_done(struct meta_op *o)
{
	struct meta_ino_arg a;
	struct meta_intent it;
	struct meta_inode *i;
	bool ready;
	int err;

	if (flint_body_get(&a, sizeof(a), sizeof(a), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	err = meta_inode_get(o->s, le64_to_cpu(a.ino), &i);
	if (err)
		return err == -ESTALE ? 0 : err;
	err = meta_orphan_get(o->s, i->ino, &ready);
	if (err != 1)
		return err;
	if (!ready || i->nlink)
		return 0;
	err = meta_intent_get(o->s, i->ino, &it);
	if (err)
		return err < 0 ? err : 0;
	i->data = 0;
	return meta_release_orphan(o->s, i);
}

/* ---- SETATTR ------------------------------------------------------------------ */

#define SET_KNOWN	(FLINT_SET_MODE | FLINT_SET_UID | FLINT_SET_GID | FLINT_SET_SIZE | \
			 FLINT_SET_ATIME | FLINT_SET_MTIME | FLINT_SET_ATIME_NOW | \
			 FLINT_SET_MTIME_NOW | FLINT_SET_FLAGS | FLINT_SET_PROJECT | \
			 FLINT_SET_LAYOUT)

/* May the append-only or immutable inode be changed like this? 0 or EPERM. */
static int frozen_check(const struct meta_inode *i, u32 valid)
{
	u32 any = FLINT_SET_MODE | FLINT_SET_UID | FLINT_SET_GID | FLINT_SET_SIZE |
		  FLINT_SET_ATIME | FLINT_SET_MTIME;

	if ((i->flags & (FLINT_INO_IMMUTABLE | FLINT_INO_APPEND)) && (valid & any))
		return EPERM;
	if ((i->flags & FLINT_INO_IMMUTABLE) &&
	    (valid & (FLINT_SET_ATIME_NOW | FLINT_SET_MTIME_NOW)))
		return EPERM;
	return 0;
}

/* The rules of chown(2), chmod(2), utimensat(2) and truncate(2). 0, a status or -errno. */
static int setattr_may(struct meta_op *o, struct meta_inode *i, const struct flint_setattr *b,
		       u32 valid)
{
	u32 uid = le32_to_cpu(b->uid), gid = le32_to_cpu(b->gid);
	bool owner = meta_is_owner(o, i);
	int err;

	if ((valid & FLINT_SET_PROJECT) && !meta_session_admin(o->sn))
		return EPERM;
	if (!o->cred.check || meta_is_root(o))
		return 0;
	if (valid & FLINT_SET_SIZE) {
		err = meta_access(o, i, META_WRITE);
		if (err == EACCES)
			err = meta_has_open(o, i->ino, FLINT_OPEN_WRITE);
		if (err)
			return err;
	}
	if ((valid & FLINT_SET_UID) && (!owner || uid != i->uid))
		return EPERM;
	if ((valid & FLINT_SET_GID) &&
	    (!owner || (gid != i->gid && !meta_in_group(&o->cred, gid))))
		return EPERM;
	if ((valid & (FLINT_SET_MODE | FLINT_SET_ATIME | FLINT_SET_MTIME)) && !owner)
		return EPERM;
	if (valid & (FLINT_SET_FLAGS | FLINT_SET_PROJECT))
		return EPERM;
	if (owner || !(valid & (FLINT_SET_ATIME_NOW | FLINT_SET_MTIME_NOW)))
		return 0;
	/* With a new size the times come along: who may write may set both. */
	return valid & FLINT_SET_SIZE ? 0 : meta_access(o, i, META_WRITE);
}

/* New owners, and the bits that go with the old ones. 0, EDQUOT or -errno. */
static int set_owner(struct meta_op *o, struct meta_inode *i, const struct flint_setattr *b,
		     u32 valid)
{
	int err;

	if (!(valid & (FLINT_SET_UID | FLINT_SET_GID | FLINT_SET_PROJECT)))
		return 0;
	err = meta_ids_move(o->s, i, valid & FLINT_SET_UID ? le32_to_cpu(b->uid) : i->uid,
			    valid & FLINT_SET_GID ? le32_to_cpu(b->gid) : i->gid,
			    valid & FLINT_SET_PROJECT ? le32_to_cpu(b->project) : i->project);
	if (err || meta_is_dir(i) || !(valid & (FLINT_SET_UID | FLINT_SET_GID)))
		return err;
	if (!(valid & FLINT_SET_MODE)) {
		i->mode &= ~S_ISUID;
		if (i->mode & S_IXGRP)
			i->mode &= ~S_ISGID;
	}
	return meta_drop_privs(o, i);
}

static int set_mode(struct meta_op *o, struct meta_inode *i, u32 mode)
{
	i->mode = (i->mode & S_IFMT) | (mode & 07777);
	if (o->cred.check && !meta_is_root(o) && !meta_in_group(&o->cred, i->gid))
		i->mode &= ~S_ISGID;
	return meta_acl_chmod(o, i);
}

/* It was changed at @when, 0: now; @ctime: of before this command. */
static void set_ctime(const struct meta_op *o, struct meta_inode *i, u64 when, s64 ctime)
{
	if (when && when < (u64)o->s->now)
		i->ctime = (s64)when > ctime ? (s64)when : ctime;
}

/* All but the size. 0, EDQUOT (nothing done) or -errno. */
static int set_fields(struct meta_op *o, struct meta_inode *i, const struct flint_setattr *b,
		      u32 valid)
{
	s64 ctime = i->ctime;
	int err = set_owner(o, i, b, valid);

	if (!err && (valid & FLINT_SET_MODE))
		err = set_mode(o, i, le32_to_cpu(b->mode));
	if (err)
		return err;
	if (valid & FLINT_SET_ATIME)
		i->atime = le64_to_cpu(b->atime);
	if (valid & FLINT_SET_MTIME)
		i->mtime = le64_to_cpu(b->mtime);
	if (valid & FLINT_SET_ATIME_NOW)
		i->atime = o->s->now;
	if (valid & FLINT_SET_MTIME_NOW)
		i->mtime = o->s->now;
	if (valid & FLINT_SET_FLAGS)
		i->flags = (i->flags & ~META_INO_WIRE) | le32_to_cpu(b->flags);
	meta_touch(o, i);
	set_ctime(o, i, le64_to_cpu(b->when), ctime);
	return 0;
}

/* Values that no inode may have. */
static bool setattr_ok(const struct flint_setattr *b, u32 valid)
{
	if (valid & ~SET_KNOWN)
		return false;
	if ((valid & FLINT_SET_FLAGS) &&
	    (le32_to_cpu(b->flags) & ~(FLINT_INO_IMMUTABLE | FLINT_INO_APPEND)))
		return false;
	return !((valid & FLINT_SET_UID) && le32_to_cpu(b->uid) == 0xffffffffu) &&
	       !((valid & FLINT_SET_GID) && le32_to_cpu(b->gid) == 0xffffffffu) &&
	       !((valid & FLINT_SET_PROJECT) && le32_to_cpu(b->project) == 0xffffffffu);
}

/*
 * An empty file takes the layout of another one, so that the servers can clone
 * chunks. Who asks is the only one that has it open: nobody writes where its chunks
 * were. The new epoch keeps out what may be on its way there.
 */
static int set_layout(struct meta_op *o, struct meta_inode *i, const struct flint_setattr *b)
{
	struct meta_inode *like;
	struct meta_intent it;
	int err;

	err = meta_op_inode(o, le64_to_cpu(b->like), 0, &like);
	if (err)
		return err;
	if (!meta_is_reg(i) || !meta_is_reg(like) || i == like || i->size)
		return EINVAL;
	if (i->flags & (FLINT_INO_IMMUTABLE | FLINT_INO_APPEND))
		return EPERM;
	err = meta_has_open(o, i->ino, FLINT_OPEN_WRITE);
	if (err)
		return err;
	err = meta_intent_get(o->s, i->ino, &it);
	if (err)
		return err < 0 ? err : EBUSY;
	if (meta_open_count(o->s, i->ino) != 1 || i->data)
		return EBUSY;
	i->chunk_shift = like->chunk_shift;
	i->stripe = like->stripe;
	i->table = like->table;
	i->table_ver = like->table_ver;
	i->next_cookie = like->next_cookie ? like->next_cookie : like->ino;
	i->trunc_epoch++;
	meta_touch(o, i);
	meta_reply_attr(o, i);
	return 0;
}

int meta_op_setattr(struct meta_op *o)
{
	struct flint_setattr b;
	struct meta_inode *i;
	u32 valid, rest;
	int err, done = 0;

	if (flint_body_get(&b, sizeof(b), FLINT_SETATTR_MIN, o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	meta_cred_body(o, &b.cred);
	valid = le32_to_cpu(b.valid);
	rest = valid & ~FLINT_SET_SIZE;
	if (!setattr_ok(&b, valid))
		return EINVAL;
	err = meta_op_inode(o, le64_to_cpu(b.ino), le32_to_cpu(b.gen), &i);
	if (err)
		return err;
	if (valid & FLINT_SET_LAYOUT)
		return valid == FLINT_SET_LAYOUT ? set_layout(o, i, &b) : EINVAL;
	if ((valid & FLINT_SET_SIZE) && !meta_is_reg(i))
		return meta_is_dir(i) ? EISDIR : EINVAL;
	err = frozen_check(i, valid);
	if (!err)
		err = setattr_may(o, i, &b, valid);
	if (err)
		return err;
	if ((valid & FLINT_SET_SIZE) && (valid & (FLINT_SET_UID | FLINT_SET_GID |
						  FLINT_SET_PROJECT)))
		return EINVAL;	/* each may be refused for its own quota: one at a time */
	if (valid & FLINT_SET_SIZE) {
		done = meta_truncate(o, i, le64_to_cpu(b.size), 0);
		if (done && done != (int)META_ST_PENDING)
			return done;
	}
	if (rest) {
		err = set_fields(o, i, &b, rest);
		if (err)
			return err;
	}
	meta_reply_attr(o, i);
	return done;
}

/* ---- EXTEND, APPEND ----------------------------------------------------------- */

/* Common to both; WAIT while a cut is under way, unless only times change. */
static int extend_get(struct meta_op *o, struct flint_extend *b, struct meta_inode **out,
		      bool grows)
{
	struct meta_inode *i;
	int err;

	err = meta_op_inode(o, le64_to_cpu(b->ino), le32_to_cpu(b->gen), &i);
	if (err)
		return err;
	*out = i;
	if (!meta_is_reg(i))
		return meta_is_dir(i) ? EISDIR : EINVAL;
	if (i->flags & FLINT_INO_IMMUTABLE)
		return EPERM;
	if (grows) {
		err = wait_intent(o, i->ino);
		if (err)
			return err;
	}
	if (le32_to_cpu(b->trunc_epoch) != i->trunc_epoch)
		return FLINT_ST_STALE_EPOCH;
	/* Whoever writes has been let in by OPEN; what the file's mode is now does not matter. */
	return o->cred.check ? meta_has_open(o, i->ino, FLINT_OPEN_WRITE) : 0;
}

/*
 * What was written was written at @when, 0: now. A writer cannot say that it was
 * before an earlier one. @ctime: of before this command, which touched the inode.
 */
static void extend_times(struct meta_op *o, struct meta_inode *i, u64 when, s64 ctime)
{
	s64 now = o->s->now, least = i->mtime < now ? i->mtime : now;

	i->mtime = now;
	if (!when || when >= (u64)now)
		return;
	i->mtime = (s64)when > least ? (s64)when : least;
	i->ctime = ctime > i->mtime ? ctime : i->mtime;
}

/* Attributes that the writer set. 0, a status with nothing done, or -errno. */
static int extend_attr_may(const struct meta_op *o, const struct meta_inode *i, u32 valid)
{
	if (valid & ~(FLINT_SET_MODE | FLINT_SET_ATIME | FLINT_SET_MTIME))
		return EINVAL;
	/* Where the server checks who asks, SETATTR says who it is. */
	return valid && o->cred.check ? EPERM : frozen_check(i, valid);
}

static int extend_attr(struct meta_op *o, struct meta_inode *i, const struct flint_extend *b,
		       s64 ctime)
{
	u32 valid = le32_to_cpu(b->valid);

	if (!valid)
		return 0;
	if (valid & FLINT_SET_ATIME)
		i->atime = le64_to_cpu(b->atime);
	if (valid & FLINT_SET_MTIME)
		i->mtime = le64_to_cpu(b->mtime);
	set_ctime(o, i, le64_to_cpu(b->when), ctime);
	return valid & FLINT_SET_MODE ? set_mode(o, i, le32_to_cpu(b->mode)) : 0;
}

/*
 * The size cannot be that, and its data is at the chunk servers already: it has to go before
 * the file is longer, and with the file. Not now: others may be about to tell the end of what
 * they wrote, for which there is room, and a cut would take that with it.
 */
static void extend_refused(struct meta_op *o, struct meta_inode *i)
{
	i->data = 1;
	i->flags |= META_INO_LOOSE | META_INO_REFUSED;
	meta_inode_dirty(o->s, i);
}

int meta_op_extend(struct meta_op *o)
{
	struct flint_extend b;
	struct meta_inode *i;
	s64 ctime;
	u64 end;
	int err;

	if (flint_body_get(&b, sizeof(b), FLINT_EXTEND_MIN, o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	end = le64_to_cpu(b.end);
	err = extend_get(o, &b, &i, end);
	if (!err)
		err = extend_attr_may(o, i, le32_to_cpu(b.valid));
	if (err)
		return err;
	if (end > meta_size_max(i))
		return EFBIG;
	if (end > i->size) {
		err = meta_size_set(o->s, i, end);
		if (err == EDQUOT)
			extend_refused(o, i);
		if (err)
			return err;
	}
	if (end)
		i->data = 1;
	ctime = i->ctime;
	meta_touch(o, i);
	err = meta_drop_privs(o, i);
	if (err)
		return err;
	extend_times(o, i, le64_to_cpu(b.when), ctime);
	err = extend_attr(o, i, &b, ctime);
	if (err)
		return err;
	meta_reply_attr(o, i);
	return 0;
}

int meta_op_append(struct meta_op *o)
{
	struct flint_append_rep rep = { 0 };
	struct flint_extend b;
	struct meta_inode *i;
	u64 len;
	int err;

	if (flint_body_get(&b, sizeof(b), FLINT_EXTEND_MIN, o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	len = le64_to_cpu(b.len);
	if (!len)
		return EINVAL;
	err = extend_get(o, &b, &i, true);
	if (err)
		return err;
	if (len > meta_size_max(i) || i->size > meta_size_max(i) - len)
		return EFBIG;
	rep.offset = cpu_to_le64(i->size);
	err = meta_size_set(o->s, i, i->size + len);
	if (err)
		return err;
	i->data = 1;
	i->mtime = o->s->now;
	meta_touch(o, i);
	err = meta_drop_privs(o, i);
	if (err)
		return err;
	meta_inode_attr(i, &rep.attr);
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}
