/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Driving the metadata state and the model of meta_ref.h side by side, for
 * meta_model_test.c: who asks, commands and their repetition, what sessions may
 * by the model, comparing one object and everything.
 */
#ifndef META_DRIVE_H
#define META_DRIVE_H

#include "meta_ref.h"
#include "meta_state.h"
#include "../../uapi/flintfs/token.h"

#define NR_SESS		4
#define MAX_LIVE	260
#define CHECK_EVERY	3000

enum { S_OPEN, S_CHECK, S_SUB, S_SQUASH };	/* sessions: trusted, checked, subtree, squashed */

struct handle_ref {
	uint64_t handle;
	int obj, sess;
	bool write;
};

struct drive {
	struct state st;
	struct ref r;
	uint64_t rng;
	uint64_t sid[NR_SESS], seq[NR_SESS];
	struct ref_sess sess[NR_SESS];
	struct handle_ref h[64];
	int nr_h;
	uint64_t nr_done, nr_ok, nr_refused;
	/* the operation at hand */
	int s;
	struct ref_cred c;		/* as the server must see it */
	uint32_t sent_uid, sent_gid;
	bool tail, known_um;
	uint8_t cmd[80000];		/* the last command, to repeat */
	uint32_t cmd_len, cmd_status;
	struct meta_reply cmd_rep;
	char what[256];
};

static const char *names[REF_NAMES];
static char long_name[256], odd_name[256];

static uint64_t rnd(struct drive *d)
{
	d->rng ^= d->rng << 13;
	d->rng ^= d->rng >> 7;
	d->rng ^= d->rng << 17;
	return d->rng * 0x2545f4914f6cdd1dull >> 16;
}

static uint32_t pick(struct drive *d, uint32_t n)
{
	return rnd(d) % n;
}

static bool chance(struct drive *d, uint32_t n)
{
	return !pick(d, n);
}

#define FAIL(d, ...) do {								\
	fprintf(stderr, "operation %llu: %s\n", (unsigned long long)(d)->nr_done, (d)->what); \
	fail_msg(__VA_ARGS__);								\
} while (0)

/* ---- commands ------------------------------------------------------------------- */

static uint32_t run_bytes(struct drive *d)
{
	int err = meta_apply(&d->st.s, d->cmd, d->cmd_len, &d->st.rep);

	if (err)
		FAIL(d, "apply: %s: %s", strerror(-err), d->st.s.err);
	meta_store_applied(&d->st.s, ++d->st.index, 1);
	return d->st.rep.status;
}

static uint32_t run_cmd(struct drive *d, struct meta_command *c)
{
	ref_settle(&d->r);	/* of the command before this one */
	d->r.now += 1 + (chance(d, 50) ? rnd(d) % 3000000000ull : 0);
	c->ts = d->r.now;
	d->cmd_len = meta_command_size(c);
	assert_true(d->cmd_len <= sizeof(d->cmd));
	meta_command_encode(c, d->cmd);
	d->cmd_status = run_bytes(d);
	d->cmd_rep = d->st.rep;
	return d->cmd_status;
}

/* A mutation of the session at hand; groups and umask come as a tail. */
static uint32_t run_op(struct drive *d, uint16_t op, const void *fixed, uint32_t len, const void *a,
		       uint32_t alen, const void *b, uint32_t blen, const void *data, uint32_t dlen)
{
	uint8_t body[6000];
	struct meta_command c = {
		.op = op, .sid = d->sid[d->s], .seq = ++d->seq[d->s], .body = body,
		.body_len = len + alen + blen, .data = data, .data_len = dlen,
	};

	c.seq_low = c.seq > 20 ? c.seq - 20 : 1;
	memcpy(body, fixed, len);
	if (alen)
		memcpy(body + len, a, alen);
	if (blen)
		memcpy(body + len + alen, b, blen);
	if (d->tail) {
		c.op |= META_OP_CRED;
		c.body_len += flint_cred_tail_put(body + c.body_len, d->sent_uid, d->sent_gid,
						  d->c.um ? FLINT_CRED_UMASK : 0, d->c.umask,
						  d->c.groups, d->c.ng);
	}
	return run_cmd(d, &c);
}

static uint32_t run_own(struct drive *d, uint16_t op, uint64_t ino, uint32_t n)
{
	struct meta_ino_arg a = { .ino = cpu_to_le64(ino), .epoch = cpu_to_le32(n) };
	struct meta_command c = { .op = op, .body = &a, .body_len = sizeof(a) };

	return run_cmd(d, &c);
}

static struct flint_cred cred(struct drive *d)
{
	return (struct flint_cred){ cpu_to_le32(d->sent_uid), cpu_to_le32(d->sent_gid) };
}

static bool same_status(struct drive *d, uint32_t got, int want)
{
	if (got != (uint32_t)want)
		FAIL(d, "answered %u, the model says %d", got, want);
	if (got)
		d->nr_refused++;
	else
		d->nr_ok++;
	return !got;
}

/* ---- choosing -------------------------------------------------------------------- */

static void pick_who(struct drive *d)
{
	static const struct ref_cred who[] = {
		{ .uid = 0, .gid = 10 }, { .uid = 0, .gid = 10 }, { .uid = 1, .gid = 10 },
		{ .uid = 1, .gid = 10, .ng = 1, .groups = { 11 } },
		{ .uid = 2, .gid = 11, .ng = 2, .groups = { 12, 13 } }, { .uid = 2, .gid = 13 },
		{ .uid = 3, .gid = 12 }, { .uid = 4, .gid = 14, .ng = 1, .groups = { 10 } },
	};

	d->s = pick(d, 8);
	if (d->s >= NR_SESS)
		d->s = pick(d, 2);
	d->c = who[chance(d, 2) ? 0 : pick(d, 8)];
	d->sent_uid = d->c.uid;
	d->sent_gid = d->c.gid;
	d->tail = d->c.ng || chance(d, 3);
	d->c.um = d->tail && chance(d, 2);
	d->c.umask = d->c.um ? pick(d, 512) : 0;
	if (d->s == S_SQUASH && !d->c.uid)
		d->c.uid = 65534;
}

static struct ref_obj *pick_obj(struct drive *d)
{
	return d->r.o[d->r.alive[pick(d, d->r.nr_alive)]];
}

/* Mostly a directory; with luck one in sight of the session. */
static struct ref_obj *pick_dir(struct drive *d)
{
	struct ref_obj *o = d->r.o[d->r.root];
	int i;

	if (d->s == S_SUB && chance(d, 2) && d->r.o[d->sess[S_SUB].root])
		return d->r.o[d->sess[S_SUB].root];
	if (chance(d, 6))
		return o;
	for (i = 0; i < 8; i++) {
		o = pick_obj(d);
		if (ref_is_dir(o) && (d->s != S_SUB ||
				      ref_under(&d->r, o->at, d->sess[S_SUB].root)))
			break;
	}
	return o;
}

/* A slot of the directory: used or free. */
static int pick_name(struct drive *d, struct ref_obj *dir, bool used)
{
	int i, n = pick(d, REF_NAMES);

	if (!ref_is_dir(dir) || chance(d, 8))
		return n;
	for (i = 0; i < REF_NAMES; i++, n = (n + 1) % REF_NAMES)
		if ((dir->child[n] != REF_NONE) == used)
			return n;
	return n;
}

/* ---- what sessions may ------------------------------------------------------------ */

static bool checks(struct drive *d)
{
	return d->sess[d->s].check;
}

static bool may(struct drive *d, struct ref_obj *o, int want)
{
	return !checks(d) || ref_may(o, &d->c, want);
}

static bool owner(struct drive *d, struct ref_obj *o)
{
	return !checks(d) || !d->c.uid || d->c.uid == o->uid;
}

static bool rootly(struct drive *d)
{
	return !checks(d) || !d->c.uid;
}

static bool has_open(struct drive *d, struct ref_obj *o, bool write)
{
	int i;

	for (i = 0; i < d->nr_h; i++)
		if (d->h[i].obj == o->at && d->h[i].sess == d->s && (!write || d->h[i].write))
			return true;
	return false;
}

/* Is it in the session's reach? 0 or ESTALE. */
static int reach(struct drive *d, struct ref_obj *o)
{
	int i, top = d->sess[d->s].root;

	if (top == d->r.root || o->at == top)
		return 0;
	if (ref_is_dir(o))
		return ref_under(&d->r, o->at, top) ? 0 : ESTALE;
	if (!o->nlink || o->trashed)
		return has_open(d, o, false) ? 0 : ESTALE;
	for (i = 0; i < d->r.nr_alive; i++)
		if (ref_is_dir(d->r.o[d->r.alive[i]]) &&
		    ref_nr_names_in(&d->r, d->r.alive[i], o->at) &&
		    ref_under(&d->r, d->r.alive[i], top))
			return 0;
	return ESTALE;
}

static int reach_dir(struct drive *d, struct ref_obj *o)
{
	int err = reach(d, o);

	if (err)
		return err;
	if (!ref_is_dir(o))
		return ENOTDIR;
	return may(d, o, 1) ? 0 : EACCES;
}

static int may_create(struct drive *d, struct ref_obj *dir)
{
	if (dir->trashed || !dir->nlink)
		return ENOENT;
	if (dir->immutable)
		return EPERM;
	return may(d, dir, 3) ? 0 : EACCES;
}

static int may_delete(struct drive *d, struct ref_obj *dir, struct ref_obj *o, bool rmdir)
{
	if (dir->immutable)
		return EPERM;
	if (!may(d, dir, 3))
		return EACCES;
	if (dir->append || o->immutable || o->append)
		return EPERM;
	if ((dir->mode & S_ISVTX) && !owner(d, o) && !owner(d, dir))
		return EPERM;
	if (rmdir && !ref_is_dir(o))
		return ENOTDIR;
	if (!rmdir && ref_is_dir(o))
		return EISDIR;
	return 0;
}

/* ---- comparing ----------------------------------------------------------------------- */

static void same_attr(struct drive *d, const struct ref_obj *o, const struct flint_attr *a)
{
	bool xattrs = o->acl.set || o->dacl.set || o->user_x >= 0 || o->trusted_t >= 0 || o->caps;
	struct flint_attr want = *a;

	want.ino = cpu_to_le64(o->ino);
	want.mode = cpu_to_le32(o->mode);
	want.nlink = cpu_to_le32(o->trashed ? 0 : o->nlink);
	want.uid = cpu_to_le32(o->uid);
	want.gid = cpu_to_le32(o->gid);
	want.project = cpu_to_le32(o->project);
	want.size = cpu_to_le64(ref_is_dir(o) ? (uint64_t)o->entries : o->size);
	want.atime = cpu_to_le64(o->atime);
	want.mtime = cpu_to_le64(o->mtime);
	want.ctime = cpu_to_le64(o->ctime);
	want.change = cpu_to_le64(o->change);
	want.flags = cpu_to_le32((o->acl.set ? FLINT_INO_ACL : 0) |
				 (o->dacl.set ? FLINT_INO_DEFAULT_ACL : 0) |
				 (o->caps ? FLINT_INO_CAPS : 0) |
				 (o->immutable ? FLINT_INO_IMMUTABLE : 0) |
				 (o->append ? FLINT_INO_APPEND : 0));
	if (!xattrs)	/* nothing may be denied that is there; what is gone may be left undenied */
		want.flags |= a->flags & cpu_to_le32(FLINT_INO_NO_XATTR);
	if (!memcmp(&want, a, sizeof(want)))
		return;
#define SHOW(f) (unsigned long long)le64_to_cpu((u64)a->f), (unsigned long long)want.f
	fprintf(stderr, "ino %llu/%llu mode %llo/%llo nlink %llu/%llu uid %llu/%llu gid %llu/%llu"
		" flags %llu/%llu project %llu/%llu size %llu/%llu\natime %llu/%llu mtime %llu/%llu"
		" ctime %llu/%llu change %llu/%llu\n", SHOW(ino), SHOW(mode), SHOW(nlink), SHOW(uid),
		SHOW(gid), SHOW(flags), SHOW(project), SHOW(size), SHOW(atime), SHOW(mtime),
		SHOW(ctime), SHOW(change));
	FAIL(d, "attributes differ (server/model)");
}

static void rep_same(struct drive *d, const struct ref_obj *o, size_t off)
{
	struct flint_attr a;

	assert_true(d->cmd_rep.len >= off + sizeof(a));
	memcpy(&a, d->cmd_rep.body + off, sizeof(a));
	same_attr(d, o, &a);
}

static void same_acl(struct drive *d, struct ref_obj *o, bool dflt)
{
	struct ref_acl *acl = dflt ? &o->dacl : &o->acl;
	const char *name = dflt ? META_ACL_DEFAULT : META_ACL_ACCESS;
	const u8 *v;
	u32 len, n;
	int err = meta_xattr_get(&d->st.s, o->ino, name, strlen(name), &v, &len);

	if (err != acl->set)
		FAIL(d, "object %d: ACL is %d, the model says %d", o->at, err, acl->set);
	if (!err)
		return;
	n = (len - 4) / 8;
	if (n != (acl->named ? 6u : 3u))
		FAIL(d, "object %d: an ACL of %u entries", o->at, n);
	if (v[4 + 2] != acl->uo || v[4 + (n - 1) * 8 + 2] != acl->ot ||
	    v[4 + (acl->named ? 2 : 1) * 8 + 2] != acl->go ||
	    (acl->named && (v[4 + 8 + 2] != acl->u2 || v[4 + 24 + 2] != acl->g12 ||
			    v[4 + 32 + 2] != acl->mask)))
		FAIL(d, "object %d: ACL entries differ", o->at);
}

static void same_xattr(struct drive *d, struct ref_obj *o, const char *name, int want)
{
	const u8 *v;
	u32 len;
	int err = meta_xattr_get(&d->st.s, o->ino, name, strlen(name), &v, &len);

	if (err != (want >= 0) || (err && (len != 1 || v[0] != want)))
		FAIL(d, "object %d: %s differs", o->at, name);
}

static void same_quota(struct drive *d, uint32_t kind, uint64_t id, const struct ref_limit *l,
		       uint64_t space, uint64_t inodes)
{
	struct flint_quota q;
	int err = meta_quota_read(&d->st.s, 1, kind, id, &q);

	if (err)
		FAIL(d, "quota %u of %llu: %d", kind, (unsigned long long)id, err);
	if (le64_to_cpu(q.space) != space || le64_to_cpu(q.inodes) != inodes)
		FAIL(d, "quota %u of %llu: %llu bytes, %llu inodes; the model says %llu, %llu", kind,
		     (unsigned long long)id, (unsigned long long)le64_to_cpu(q.space),
		     (unsigned long long)le64_to_cpu(q.inodes), (unsigned long long)space,
		     (unsigned long long)inodes);
	if (le64_to_cpu(q.space_since) != l->ssince || le64_to_cpu(q.inode_since) != l->isince)
		FAIL(d, "quota %u of %llu: soft limits passed at other times", kind,
		     (unsigned long long)id);
}

static void same_obj(struct drive *d, struct ref_obj *o)
{
	const struct meta_inode *i;
	struct flint_attr a;
	struct meta_dentry e;
	int n, err = meta_inode_peek(&d->st.s, o->ino, &i);

	if (err)
		FAIL(d, "object %d, inode %llu: %d", o->at, (unsigned long long)o->ino, err);
	meta_inode_attr(i, &a);
	same_attr(d, o, &a);
	same_xattr(d, o, "user.x", o->user_x);
	same_xattr(d, o, "trusted.t", o->trusted_t);
	same_acl(d, o, false);
	if (!ref_is_dir(o)) {
		if (o->nlink && !o->trashed && i->parent != d->r.o[o->parent]->ino)
			FAIL(d, "object %d: home is %llu, the model says %llu", o->at,
			     (unsigned long long)i->parent,
			     (unsigned long long)d->r.o[o->parent]->ino);
		return;
	}
	same_acl(d, o, true);
	for (n = 0; n < REF_NAMES; n++) {
		err = meta_dentry_get(&d->st.s, o->ino, (const u8 *)names[n], strlen(names[n]), &e);
		if ((err == -ENOENT) != (o->child[n] == REF_NONE) ||
		    (!err && e.ino != d->r.o[o->child[n]]->ino))
			FAIL(d, "directory %d: name %d differs", o->at, n);
	}
}

static void same_all(struct drive *d)
{
	static const uint32_t gids[] = { 0, 10, 11, 12, 13, 14, 15, 65533 };
	struct ref *r = &d->r;
	uint64_t b, f, s;
	int i;

	snprintf(d->what, sizeof(d->what), "comparing everything");
	for (i = 0; i < r->nr_alive; i++) {
		struct ref_obj *o = r->o[r->alive[i]];

		same_obj(d, o);
		if (!ref_is_dir(o))
			continue;
		b = f = s = 0;
		ref_totals(r, o->at, &b, &f, &s);
		same_quota(d, FLINT_QUOTA_TREE, o->ino, &o->q, b, f + s);
	}
	for (i = 0; i < REF_IDS; i++) {
		same_quota(d, FLINT_QUOTA_USER, i == 7 ? 65534 : i, &r->u[0][i].q,
			   r->u[0][i].bytes, r->u[0][i].inodes);
		same_quota(d, FLINT_QUOTA_GROUP, gids[i], &r->u[1][i].q, r->u[1][i].bytes,
			   r->u[1][i].inodes);
		if (i)
			same_quota(d, FLINT_QUOTA_PROJECT, i, &r->u[2][i].q, r->u[2][i].bytes,
				   r->u[2][i].inodes);
	}
	for (i = 0, s = 0; meta_trash_next(&d->st.s, 1, s, &s) == 1; i++)
		;
	if (i != r->nr_trash)
		FAIL(d, "%d in the trash, the model says %d", i, r->nr_trash);
}

#endif /* META_DRIVE_H */
