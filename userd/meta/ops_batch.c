// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Creates that a client made in its own memory, under dir-write leases, with
 * inode numbers that were granted to it before; many of them in one command.
 *
 * A number is used once: the session's grant (table "inogrant") begins behind the
 * last one that was used, and numbers in a command rise. What is left of a grant
 * when its session ends is never used.
 *
 * The records are executed in order up to the first one that is refused: that
 * leaves no trace, those before it stay.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "command.h"
#include "lease.h"

/* Leases on what is made need no other command: the grant comes with its hints. */
static int grant_hints(struct meta_op *o, const struct meta_inogrant *g)
{
	u8 bits[LEASE_HINT_BYTES];
	int err = meta_hint_get(o->s, o->sn->id, bits);
	u64 ino;

	if (err != 1)
		return err;	/* without a row it may hold anything */
	for (ino = g->first; ino < g->end; ino++)
		lease_hint_set(bits, ino);
	return meta_hint_put(o->s, o->sn->id, bits);
}

int meta_op_ino_grant(struct meta_op *o)
{
	struct flint_ino_granted rep;
	struct flint_ino_grant b;
	struct meta_inogrant g;
	int err;
	u32 nr;

	if (flint_body_get(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	nr = le32_to_cpu(b.nr);
	if (!nr || nr > FLINT_INO_GRANT_MAX)
		return EINVAL;
	if (o->cred.check)
		return EPERM;
	g.first = o->s->c.next_ino;
	g.end = g.first + nr;
	o->s->c.next_ino = g.end;
	err = meta_inogrant_put(o->s, o->sn->id, &g);
	if (!err)
		err = grant_hints(o, &g);
	if (err < 0)
		return err;
	rep.first = cpu_to_le64(g.first);
	rep.end = cpu_to_le64(g.end);
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}

/* Times as the client gave them; it has them in its memory already. */
static void set_times(struct meta_op *o, struct meta_inode *i, u64 when)
{
	if (!when || when > o->s->now)
		return;
	i->atime = i->mtime = i->ctime = i->btime = when;
}

static int keep_open(struct meta_op *o, const struct meta_inode *i, u32 flags)
{
	struct meta_handle h = {
		.sid = o->sn->id, .id = FLINT_DIR_HANDLE(i->ino), .ino = i->ino, .flags = flags,
	};

	return meta_handle_add(o->s, &h);
}

/* One record: 0, a status with nothing done, or -errno. */
static int create(struct meta_op *o, const struct flint_dir_rec *r, const u8 *name,
		  struct meta_inogrant *g)
{
	u32 nlen = le16_to_cpu(r->name_len), tlen = le16_to_cpu(r->target_len);
	u32 flags = le16_to_cpu(r->flags);
	struct flint_mknod b = {
		.mode = r->mode, .parent = r->parent, .rdev_major = r->rdev_major,
		.rdev_minor = r->rdev_minor, .cred = r->cred,
		.name_len = cpu_to_le32(nlen), .target_len = cpu_to_le32(tlen),
	};
	u64 ino = le64_to_cpu(r->ino);
	struct meta_inode *i;
	int err;

	if (ino < g->first || ino >= g->end ||
	    (flags & ~(FLINT_OPEN_READ | FLINT_OPEN_WRITE)) ||
	    (flags && !S_ISREG(le32_to_cpu(r->mode))))
		return EINVAL;
	o->ino = ino;
	o->cred.known = false;
	err = meta_mknod(o, &b, name, nlen + tlen, &i);
	o->ino = 0;
	if (err)
		return err;
	g->first = ino + 1;
	set_times(o, i, le64_to_cpu(r->time));
	return flags ? keep_open(o, i, flags) : 0;
}

int meta_op_dir_create(struct meta_op *o)
{
	struct flint_dir_created rep = { .time = cpu_to_le64(o->s->now) };
	u32 len = o->c->data_len, pos = 0, nr = 0;
	const u8 *data = o->c->data, *name;
	struct flint_dir_create b;
	struct meta_inogrant g;
	struct flint_dir_rec r;
	int err, end;

	if (flint_body_get(&b, sizeof(b), sizeof(b), o->c->body, o->c->body_len))
		return FLINT_ST_BAD_REQUEST;
	while ((err = flint_dir_rec_next(data, len, &pos, &r, &name)) > 0)
		nr++;
	if (err || !nr || nr != le32_to_cpu(b.nr))
		return FLINT_ST_BAD_REQUEST;
	if (o->cred.check)
		return EPERM;
	err = meta_inogrant_get(o->s, o->sn->id, &g);
	if (err)
		return err;
	for (pos = nr = 0; !err && flint_dir_rec_next(data, len, &pos, &r, &name) > 0;) {
		err = create(o, &r, name, &g);
		nr += !err;
	}
	end = nr ? meta_inogrant_put(o->s, o->sn->id, &g) : 0;
	if (err < 0 || end)
		return err < 0 ? err : end;
	rep.nr = cpu_to_le32(nr);
	rep.status = cpu_to_le32(err);
	meta_reply_set(o, &rep, sizeof(rep));
	return 0;
}
