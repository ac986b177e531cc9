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

int meta_truncate(struct meta_op *o, struct meta_inode *i, u64 size, u64 handle)
{
	bool shrink = size < i->size;
	int err;

	if (size > meta_size_max(i))
		return EFBIG;
	err = wait_intent(o, i->ino);
	if (err)
		return err;
	if (shrink) {
		err = intent_insert(o, i, size, handle);
		if (err)
			return err;
	}
	i->size = size;
	if (size)
		i->data = 1;	/* from now on it may be written without our knowledge */
	i->mtime = o->s->now;
	meta_touch(o, i);
	if (!shrink)
		return 0;
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
			 FLINT_SET_MTIME_NOW | FLINT_SET_FLAGS | FLINT_SET_PROJECT)

static void set_fields(struct meta_op *o, struct meta_inode *i, const struct flint_setattr *b,
		       u32 valid)
{
	if (valid & FLINT_SET_MODE)
		i->mode = (i->mode & S_IFMT) | (le32_to_cpu(b->mode) & 07777);
	if (valid & FLINT_SET_UID)
		i->uid = le32_to_cpu(b->uid);
	if (valid & FLINT_SET_GID)
		i->gid = le32_to_cpu(b->gid);
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
	if (valid & FLINT_SET_PROJECT)
		i->project = le32_to_cpu(b->project);
	meta_touch(o, i);
}

int meta_op_setattr(struct meta_op *o)
{
	struct flint_setattr b;
	struct meta_inode *i;
	u32 valid;
	int err, done = 0;

	if (flint_body_get(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	valid = le32_to_cpu(b.valid);
	if ((valid & ~SET_KNOWN) ||
	    ((valid & FLINT_SET_FLAGS) &&
	     (le32_to_cpu(b.flags) & ~(FLINT_INO_IMMUTABLE | FLINT_INO_APPEND))))
		return EINVAL;
	err = meta_op_inode(o, le64_to_cpu(b.ino), le32_to_cpu(b.gen), &i);
	if (err)
		return err;
	if ((i->flags & (FLINT_INO_IMMUTABLE | FLINT_INO_APPEND)) &&
	    (valid & ~(FLINT_SET_FLAGS | FLINT_SET_PROJECT)))
		return EPERM;
	if (valid & FLINT_SET_SIZE) {
		if (meta_is_dir(i))
			return EISDIR;
		if (!meta_is_reg(i))
			return EINVAL;
		done = meta_truncate(o, i, le64_to_cpu(b.size), 0);
		if (done && done != (int)META_ST_PENDING)
			return done;
	}
	if (valid)
		set_fields(o, i, &b, valid);
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
	return le32_to_cpu(b->trunc_epoch) == i->trunc_epoch ? 0 : (int)FLINT_ST_STALE_EPOCH;
}

int meta_op_extend(struct meta_op *o)
{
	struct flint_extend b;
	struct meta_inode *i;
	u64 end;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	end = le64_to_cpu(b.end);
	err = extend_get(o, &b, &i, end);
	if (err)
		return err;
	if (end > meta_size_max(i))
		return EFBIG;
	if (end > i->size)
		i->size = end;
	if (end)
		i->data = 1;
	i->mtime = o->s->now;
	meta_touch(o, i);
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

	if (flint_body_get(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len))
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
	i->size += len;
	i->data = 1;
	i->mtime = o->s->now;
	meta_touch(o, i);
	meta_inode_attr(i, &rep.attr);
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}
