// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random operations of several sessions, by users with and without groups,
 * against the metadata state and against the model of meta_ref.h: each answer
 * is compared, and every now and then the whole tree, totals, quotas and the
 * trash. Commands are repeated, the store is closed and opened in between.
 *
 * OPS=N operations (default 60000 in each of two runs), SEED=N to repeat one.
 */
#include "meta_drive.h"

/* ---- making and removing names --------------------------------------------------------- */

static void hidden_made(struct drive *d, bool *made)
{
	if (*made)
		return;
	*made = true;
	ref_id_add(&d->r, 0, 0, 0, 1);
	ref_id_add(&d->r, 1, 0, 0, 1);
}

/* A whole tree goes: the server does it in steps of its own. */
static void doomed(struct drive *d, int obj)
{
	hidden_made(d, &d->r.made_doomed);
	assert_int_equal(run_own(d, META_OP_RMTREE_STEP, 1, 1 << 20), 0);
	ref_destroy(&d->r, obj);
}

static void trash_put(struct drive *d, struct ref_obj *dir, struct ref_obj *o, int name, int keep)
{
	struct ref *r = &d->r;

	hidden_made(d, &r->made_trash);
	if (ref_is_dir(o))
		dir->nlink--;
	o->trashed = true;
	o->parent = REF_NONE;
	ref_touch(r, o);
	r->trash[r->nr_trash++] = (struct ref_trash){
		.obj = o->at, .parent = dir->at, .name = name, .deleted = r->now,
		.expires = r->now + keep * 1000000000ull };
}

static void trash_drop(struct drive *d, int n)
{
	memmove(&d->r.trash[n], &d->r.trash[n + 1],
		(--d->r.nr_trash - n) * sizeof(d->r.trash[0]));
}

/* Out of the trash for good. True: what is left of it is to be taken apart. */
static bool trash_gone(struct drive *d, int n)
{
	struct ref_obj *o = d->r.o[d->r.trash[n].obj];

	trash_drop(d, n);
	if (!ref_is_dir(o)) {
		o->trashed = false;
		o->nlink--;
		ref_touch(&d->r, o);
		ref_release(&d->r, o);
		return false;
	}
	if (o->entries)
		return true;
	ref_free(&d->r, o);
	return false;
}

/* The name of @o in @dir goes, with what that means for @o. */
static void name_goes(struct drive *d, struct ref_obj *dir, int name, bool no_trash)
{
	struct ref_obj *o = d->r.o[dir->child[name]];
	int keep = no_trash ? 0 : ref_keep(&d->r, dir->at);

	dir->child[name] = REF_NONE;
	dir->entries--;
	if (keep && (ref_is_dir(o) || o->nlink == 1)) {
		trash_put(d, dir, o, name, keep);
	} else if (ref_is_dir(o)) {
		dir->nlink--;
		ref_free(&d->r, o);
	} else {
		ref_name_gone(&d->r, o, dir->at);
	}
}

/* What a new object in a directory gets; 0 or EDQUOT. */
static int born(struct drive *d, struct ref_obj *dir, int name, uint32_t mode, struct ref_obj **out)
{
	uint32_t gid = dir->mode & S_ISGID ? dir->gid : d->c.gid;
	struct ref_obj *o;

	if (ref_tree_over(&d->r, dir->at, REF_NONE, 0, 1) ||
	    ref_ids_over(&d->r, d->c.uid, gid, dir->project, 0, 1))
		return EDQUOT;
	o = ref_new(&d->r, mode);
	o->uid = d->c.uid;
	o->gid = gid;
	o->project = dir->project;
	o->parent = dir->at;
	if (ref_is_dir(o)) {
		o->mode |= dir->mode & S_ISGID;
		dir->nlink++;
	} else if ((mode & 02010) == 02010 && checks(d) && d->c.uid && !ref_member(&d->c, gid)) {
		o->mode &= ~S_ISGID;
	}
	if (S_ISLNK(mode)) {
		o->mode = S_IFLNK | 0777;
	} else if (dir->dacl.set) {
		struct ref_acl a = dir->dacl;
		uint8_t *grp = a.named ? &a.mask : &a.go;

		if (ref_is_dir(o))
			o->dacl = a;
		a.uo &= mode >> 6;
		*grp &= mode >> 3;
		a.ot &= mode;
		o->mode = (o->mode & ~0777) | a.uo << 6 | *grp << 3 | a.ot;
		if (a.named)
			o->acl = a;
	} else if (d->c.um) {
		o->mode &= ~d->c.umask;
	}
	ref_ids_add(&d->r, o, 0, 1);
	*out = o;
	if (name == REF_NONE) {
		o->nlink = 0;
		o->nameless = true;
		return 0;
	}
	dir->child[name] = o->at;
	dir->entries++;
	ref_touch_dir(&d->r, dir);
	return 0;
}

static void learn_ino(struct drive *d, struct ref_obj *o, size_t off)
{
	struct flint_attr a;

	memcpy(&a, d->cmd_rep.body + off, sizeof(a));
	o->ino = le64_to_cpu(a.ino);
}

static void op_mknod(struct drive *d)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO,
					  S_IFCHR };
	struct ref_obj *dir = pick_dir(d), *o = NULL;
	int n = pick_name(d, dir, false), want;
	uint32_t mode = types[pick(d, 7)] | (chance(d, 3) ? pick(d, 010000) : 0755);
	struct flint_mknod b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .mode = cpu_to_le32(mode),
		.parent = cpu_to_le64(dir->ino), .name_len = cpu_to_le32(strlen(names[n])),
		.target_len = cpu_to_le32(S_ISLNK(mode) ? 6 : 0), .cred = cred(d),
	};
	uint32_t got;

	snprintf(d->what, sizeof(d->what), "mknod %o in %d as %d by session %d", mode, dir->at, n,
		 d->s);
	got = run_op(d, FLINT_OP_MKNOD, &b, sizeof(b), names[n], strlen(names[n]), "target",
		     S_ISLNK(mode) ? 6 : 0, NULL, 0);
	want = reach_dir(d, dir);
	if (!want && dir->child[n] != REF_NONE)
		want = EEXIST;
	if (!want)
		want = may_create(d, dir);
	if (!want && S_ISCHR(mode) && !rootly(d))
		want = EPERM;
	if (!want)
		want = born(d, dir, n, mode, &o);
	if (!same_status(d, got, want))
		return;
	if (S_ISLNK(mode))
		o->size = 6;
	learn_ino(d, o, 0);
	rep_same(d, o, 0);
}

static void add_handle(struct drive *d, uint64_t handle, struct ref_obj *o, bool write)
{
	d->h[d->nr_h++] = (struct handle_ref){ handle, o->at, d->s, write };
	o->opens++;
}

static void op_open(struct drive *d)
{
	struct ref_obj *dir = pick_dir(d), *o = NULL;
	bool by_name = chance(d, 2);
	int n = by_name ? pick_name(d, dir, chance(d, 2)) : 0, want;
	uint32_t flags = pick(d, 16), got;	/* no TRUNC: setattr does that */
	struct flint_open b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .flags = cpu_to_le32(flags),
		.mode = cpu_to_le32(0664), .cred = cred(d),
		.name_len = cpu_to_le32(by_name ? strlen(names[n]) : 0),
	};
	struct flint_open_rep rep;
	bool made = false;

	if (d->nr_h == 64)
		return;
	if (!by_name)
		dir = pick_obj(d);
	b.ino = cpu_to_le64(dir->ino);
	snprintf(d->what, sizeof(d->what), "open %x of %d, name %d, by session %d", flags, dir->at,
		 by_name ? n : -1, d->s);
	got = run_op(d, FLINT_OP_OPEN, &b, sizeof(b), names[n], by_name ? strlen(names[n]) : 0, NULL,
		     0, NULL, 0);
	if (by_name) {
		want = reach_dir(d, dir);
		if (!want && dir->child[n] != REF_NONE) {
			o = d->r.o[dir->child[n]];
			if ((flags & 12) == 12)
				want = EEXIST;
		} else if (!want && !(flags & FLINT_OPEN_CREATE)) {
			want = ENOENT;
		} else if (!want) {
			want = may_create(d, dir);
			if (!want)
				want = born(d, dir, n, S_IFREG | 0664, &o);
			made = !want;
		}
	} else {
		want = reach(d, dir);
		o = dir;
	}
	if (!want && !made && S_ISREG(o->mode)) {
		if (!o->nlink && !o->opens)
			want = ESTALE;
		else if ((flags & FLINT_OPEN_WRITE) && o->immutable)
			want = EPERM;
		else if (!may(d, o, (flags & 1 ? 4 : 0) | (flags & 2 ? 2 : 0)))
			want = EACCES;
		else if ((flags & FLINT_OPEN_WRITE) && o->tail)
			want = REF_WAIT;
	}
	if (!same_status(d, got, want))
		return;
	memcpy(&rep, d->cmd_rep.body, sizeof(rep));
	if (made)
		learn_ino(d, o, offsetof(struct flint_open_rep, attr));
	assert_int_equal(le32_to_cpu(rep.created), made);
	assert_int_equal(rep.handle != 0, S_ISREG(o->mode));
	if (rep.handle)
		add_handle(d, le64_to_cpu(rep.handle), o, flags & FLINT_OPEN_WRITE);
	rep_same(d, o, offsetof(struct flint_open_rep, attr));
}

/* A file without a name in a directory's tree. */
static void op_tmpfile(struct drive *d)
{
	struct ref_obj *dir = chance(d, 8) ? pick_obj(d) : pick_dir(d), *o = NULL;
	struct flint_open b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .mode = cpu_to_le32(0640), .cred = cred(d),
		.ino = cpu_to_le64(dir->ino),
		.flags = cpu_to_le32(FLINT_OPEN_TMPFILE | FLINT_OPEN_CREATE | FLINT_OPEN_WRITE),
	};
	struct flint_open_rep rep;
	uint32_t got;
	int want;

	if (d->nr_h == 64)
		return;
	snprintf(d->what, sizeof(d->what), "tmpfile in %d by session %d", dir->at, d->s);
	got = run_op(d, FLINT_OP_OPEN, &b, sizeof(b), NULL, 0, NULL, 0, NULL, 0);
	want = reach(d, dir);
	if (!want && !ref_is_dir(dir))
		want = ENOTDIR;
	if (!want)
		want = may_create(d, dir);
	if (!want)
		want = born(d, dir, REF_NONE, S_IFREG | 0640, &o);
	if (!same_status(d, got, want))
		return;
	memcpy(&rep, d->cmd_rep.body, sizeof(rep));
	learn_ino(d, o, offsetof(struct flint_open_rep, attr));
	add_handle(d, le64_to_cpu(rep.handle), o, true);
	rep_same(d, o, offsetof(struct flint_open_rep, attr));
}

/* What lies beyond its end is to be cut, if nothing is already. */
static void tail_cut(struct ref_obj *o)
{
	o->tail |= !o->pending;
	o->pending = true;
	o->loose = false;
}

/* Handles for writing, but those of session @but. */
static int writers(const struct drive *d, const struct ref_obj *o, int but)
{
	int i, n = 0;

	for (i = 0; i < d->nr_h; i++)
		n += d->h[i].obj == o->at && d->h[i].write && d->h[i].sess != but;
	return n;
}

static void handle_closed(struct drive *d, int n, bool died)
{
	struct ref_obj *o = d->r.o[d->h[n].obj];

	bool write = d->h[n].write;

	o->opens--;
	d->h[n] = d->h[--d->nr_h];
	if ((died && write) || (o->loose && !writers(d, o, -1))) {
		o->data = true;
		if (o->nlink && writers(d, o, -1))
			o->loose = true;
		else if (o->nlink)
			tail_cut(o);
	}
	ref_release(&d->r, o);
}

static void op_close(struct drive *d)
{
	struct flint_close b;
	int n = d->nr_h ? (int)pick(d, d->nr_h) : -1;
	bool bogus = n < 0 || chance(d, 10);
	uint32_t got;

	b.handle = cpu_to_le64(bogus ? 1ull << 40 : d->h[n].handle);
	b.ino = cpu_to_le64(n < 0 ? 16 : d->r.o[d->h[n].obj]->ino);
	if (n >= 0 && !bogus)
		d->s = d->h[n].sess;
	snprintf(d->what, sizeof(d->what), "close handle %d by session %d", n, d->s);
	got = run_op(d, FLINT_OP_CLOSE, &b, sizeof(b), NULL, 0, NULL, 0, NULL, 0);
	if (same_status(d, got, bogus ? EBADF : 0))
		handle_closed(d, n, false);
}

static void op_link(struct drive *d)
{
	struct ref_obj *dir = pick_dir(d), *o = pick_obj(d);
	int n = pick_name(d, dir, false), want;
	struct flint_link b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .name_len = cpu_to_le32(strlen(names[n])),
		.ino = cpu_to_le64(o->ino), .parent = cpu_to_le64(dir->ino), .cred = cred(d),
	};
	uint32_t got;

	snprintf(d->what, sizeof(d->what), "link %d into %d as %d by session %d", o->at, dir->at, n,
		 d->s);
	got = run_op(d, FLINT_OP_LINK, &b, sizeof(b), names[n], strlen(names[n]), NULL, 0, NULL, 0);
	want = reach(d, o);
	if (!want)
		want = reach_dir(d, dir);
	if (!want && dir->child[n] != REF_NONE)
		want = EEXIST;
	if (!want)
		want = may_create(d, dir);
	if (!want && (ref_is_dir(o) || o->immutable || o->append))
		want = EPERM;
	if (!want && ((!o->nlink && !(o->nameless && o->opens)) || o->trashed))
		want = ENOENT;
	if (!want && dir->project && dir->project != o->project)
		want = EXDEV;
	if (!want && !o->nlink && ref_tree_over(&d->r, dir->at, REF_NONE, ref_bytes(o), 1))
		want = EDQUOT;
	if (!same_status(d, got, want))
		return;
	if (!o->nlink)
		o->parent = dir->at;
	o->nameless = false;
	o->nlink++;
	dir->child[n] = o->at;
	dir->entries++;
	ref_touch(&d->r, o);
	ref_touch_dir(&d->r, dir);
	rep_same(d, o, 0);
}

static void op_unlink(struct drive *d)
{
	struct ref_obj *dir = pick_dir(d), *o = NULL;
	int n = pick_name(d, dir, true), want;
	bool rmdir = ref_is_dir(dir) && dir->child[n] != REF_NONE &&
		     ref_is_dir(d->r.o[dir->child[n]]);
	struct flint_name_req b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .parent = cpu_to_le64(dir->ino),
		.name_len = cpu_to_le32(strlen(names[n])), .cred = cred(d),
	};
	bool no_trash = chance(d, 8);
	uint32_t got;

	rmdir ^= chance(d, 10);
	b.flags = cpu_to_le32((rmdir ? FLINT_NAME_DIR : 0) | (no_trash ? FLINT_NAME_NO_TRASH : 0));
	snprintf(d->what, sizeof(d->what), "%s in %d of %d by session %d",
		 rmdir ? "rmdir" : "unlink", dir->at, n, d->s);
	got = run_op(d, FLINT_OP_UNLINK, &b, sizeof(b), names[n], strlen(names[n]), NULL, 0, NULL, 0);
	want = reach_dir(d, dir);
	if (!want && dir->child[n] == REF_NONE)
		want = ENOENT;
	if (!want) {
		o = d->r.o[dir->child[n]];
		want = may_delete(d, dir, o, rmdir);
	}
	if (!want && rmdir && o->entries)
		want = ENOTEMPTY;
	if (!same_status(d, got, want))
		return;
	name_goes(d, dir, n, no_trash);
	ref_touch_dir(&d->r, dir);
}

/* Where the lowest common directory of two is; REF_NONE: nowhere. */
static int common(struct drive *d, int a, int b)
{
	while (a != REF_NONE && !ref_under(&d->r, b, a))
		a = d->r.o[a]->parent == a ? REF_NONE : d->r.o[a]->parent;
	return a;
}

/* Would the move of a name pass a limit? */
static bool move_over(struct drive *d, struct ref_obj *o, int from, int to)
{
	uint64_t b = ref_bytes(o), f = 1, s = 0;
	int home = to, i;

	if (ref_is_dir(o)) {
		b = f = 0;
		s = 1;
		ref_totals(&d->r, o->at, &b, &f, &s);
	} else if (o->nlink > 1) {
		if (o->parent != from || ref_nr_names_in(&d->r, from, o->at) > 1)
			return false;
		for (i = 0; i < d->r.nr_alive; i++) {
			struct ref_obj *x = d->r.o[d->r.alive[i]];

			if (x->at != from && ref_is_dir(x) && ref_nr_names_in(&d->r, x->at, o->at) &&
			    x->ino < d->r.o[home]->ino)
				home = x->at;
		}
	}
	return ref_tree_over(&d->r, home, common(d, from, home), b, f + s);
}

static void moved(struct drive *d, struct ref_obj *o, struct ref_obj *from, struct ref_obj *to)
{
	if (from == to)
		return;
	if (ref_is_dir(o)) {
		from->nlink--;
		to->nlink++;
		o->parent = to->at;
	} else if (o->parent == from->at && !ref_nr_names_in(&d->r, from->at, o->at)) {
		o->parent = ref_lowest_home(&d->r, o->at);
	}
}

static int rename_want(struct drive *d, struct ref_obj *od, struct ref_obj *nd, int on, int nn,
		       uint32_t flags)
{
	bool xchg = flags == FLINT_RENAME_EXCHANGE;
	struct ref_obj *src, *dst;
	int want;

	want = reach(d, od);
	if (!want && !ref_is_dir(od))
		want = ENOTDIR;
	if (!want)
		want = reach(d, nd);
	if (!want && !ref_is_dir(nd))
		want = ENOTDIR;
	if (!want && (!may(d, od, 1) || !may(d, nd, 1)))
		want = EACCES;
	if (want)
		return want;
	if (od->child[on] == REF_NONE)
		return ENOENT;
	src = d->r.o[od->child[on]];
	dst = nd->child[nn] == REF_NONE ? NULL : d->r.o[nd->child[nn]];
	if (dst && flags == FLINT_RENAME_NOREPLACE)
		return EEXIST;
	if (!dst && xchg)
		return ENOENT;
	if (ref_is_dir(src) && od != nd && ref_under(&d->r, nd->at, src->at))
		return EINVAL;
	if (dst && ref_is_dir(dst) && od != nd && ref_under(&d->r, od->at, dst->at))
		return xchg ? EINVAL : ENOTEMPTY;
	if (src == dst)
		return 0;
	want = may_delete(d, od, src, ref_is_dir(src));
	if (want)
		return want;
	want = !dst ? may_create(d, nd) : may_delete(d, nd, dst, ref_is_dir(xchg ? dst : src));
	if (want)
		return want;
	if (od != nd && ((ref_is_dir(src) && !may(d, src, 2)) ||
			 (xchg && ref_is_dir(dst) && !may(d, dst, 2))))
		return EACCES;
	if (!xchg && dst && dst->entries)
		return ENOTEMPTY;
	if (od == nd)
		return 0;
	if ((nd->project && nd->project != src->project) ||
	    (xchg && od->project && od->project != dst->project))
		return EXDEV;
	if (move_over(d, src, od->at, nd->at) || (xchg && move_over(d, dst, nd->at, od->at)))
		return EDQUOT;
	return 0;
}

static void op_rename(struct drive *d)
{
	struct ref_obj *od = pick_dir(d), *nd = chance(d, 3) ? od : pick_dir(d), *src, *dst;
	int on = pick_name(d, od, true), nn = pick_name(d, nd, chance(d, 2)), want;
	uint32_t flags = pick(d, 6) % 3, got;
	struct flint_rename b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .flags = cpu_to_le32(flags),
		.old_parent = cpu_to_le64(od->ino), .new_parent = cpu_to_le64(nd->ino),
		.old_len = cpu_to_le32(strlen(names[on])), .new_len = cpu_to_le32(strlen(names[nn])),
		.cred = cred(d),
	};

	snprintf(d->what, sizeof(d->what), "rename %u of %d in %d to %d in %d by session %d", flags,
		 on, od->at, nn, nd->at, d->s);
	got = run_op(d, FLINT_OP_RENAME, &b, sizeof(b), names[on], strlen(names[on]), names[nn],
		     strlen(names[nn]), NULL, 0);
	want = rename_want(d, od, nd, on, nn, flags);
	if (!same_status(d, got, want))
		return;
	src = d->r.o[od->child[on]];
	dst = nd->child[nn] == REF_NONE ? NULL : d->r.o[nd->child[nn]];
	if (src == dst)
		return;
	if (flags == FLINT_RENAME_EXCHANGE) {
		od->child[on] = dst->at;
		nd->child[nn] = src->at;
		moved(d, src, od, nd);
		moved(d, dst, nd, od);
		ref_touch(&d->r, dst);
	} else {
		if (dst)
			name_goes(d, nd, nn, false);
		od->child[on] = REF_NONE;
		od->entries--;
		nd->child[nn] = src->at;
		nd->entries++;
		moved(d, src, od, nd);
	}
	ref_touch(&d->r, src);
	ref_touch_dir(&d->r, od);
	ref_touch_dir(&d->r, nd);
}

/* ---- attributes ------------------------------------------------------------------------- */

/* @known: the request said who asks */
static void drop_privs(struct drive *d, struct ref_obj *o, bool known)
{
	if (known && checks(d) && d->c.uid) {
		o->mode &= ~S_ISUID;
		if ((o->mode & S_IXGRP) || !ref_member(&d->c, o->gid))
			o->mode &= ~S_ISGID;
	}
	o->caps = false;
}

static int size_over(struct drive *d, struct ref_obj *o, uint64_t size)
{
	int64_t more = (int64_t)((size + 4095) / 4096 * 4096 - ref_bytes(o));

	if (more <= 0)
		return 0;
	return (o->nlink && ref_tree_over(&d->r, o->parent, REF_NONE, more, 0)) ||
	       ref_ids_over(&d->r, o->uid, o->gid, o->project, more, 0) ? EDQUOT : 0;
}

static void size_set(struct drive *d, struct ref_obj *o, uint64_t size)
{
	int64_t more = (int64_t)((size + 4095) / 4096 * 4096 - ref_bytes(o));

	o->size = size;
	if (more)
		ref_ids_add(&d->r, o, more, 0);
	if (size)
		o->data = true;
}

/* The reaper has cut the data. */
static void cut_done(struct drive *d, struct ref_obj *o)
{
	struct meta_intent it;

	if (meta_intent_get(&d->st.s, o->ino, &it) != 1)
		FAIL(d, "object %d has no cut under way", o->at);
	assert_int_equal(run_own(d, META_OP_TRUNC_DONE, o->ino, it.epoch), 0);
	o->pending = false;
	o->tail = false;
	ref_touch(&d->r, o);
}

static int setattr_want(struct drive *d, struct ref_obj *o, uint32_t v, const struct flint_setattr *b)
{
	uint32_t uid = le32_to_cpu(b->uid), gid = le32_to_cpu(b->gid);
	uint32_t pr = le32_to_cpu(b->project);
	int64_t by = ref_bytes(o);
	int want = reach(d, o);

	if (want)
		return want;
	if ((v & FLINT_SET_SIZE) && !S_ISREG(o->mode))
		return ref_is_dir(o) ? EISDIR : EINVAL;
	if ((o->immutable || o->append) && (v & 0x3f))
		return EPERM;
	if (o->immutable && (v & 0xc0))
		return EPERM;
	if (!rootly(d)) {
		bool mine = d->c.uid == o->uid;

		if ((v & FLINT_SET_SIZE) && !ref_may(o, &d->c, 2) && !has_open(d, o, true))
			return EACCES;
		if ((v & FLINT_SET_UID) && (!mine || uid != o->uid))
			return EPERM;
		if ((v & FLINT_SET_GID) && (!mine || (gid != o->gid && !ref_member(&d->c, gid))))
			return EPERM;
		if ((v & (FLINT_SET_MODE | FLINT_SET_ATIME | FLINT_SET_MTIME)) && !mine)
			return EPERM;
		if (v & (FLINT_SET_FLAGS | FLINT_SET_PROJECT))
			return EPERM;
		if ((v & 0xc0) && !mine && !(v & FLINT_SET_SIZE) && !ref_may(o, &d->c, 2))
			return EACCES;
	}
	if (v & FLINT_SET_SIZE) {
		if (o->pending)
			return REF_WAIT;
		if (le64_to_cpu(b->size) > o->size && o->loose && !writers(d, o, d->s)) {
			tail_cut(o);	/* it comes again after that */
			return REF_WAIT;
		}
		want = size_over(d, o, le64_to_cpu(b->size));
		if (want)
			return want;
		return le64_to_cpu(b->size) < o->size ? REF_PENDING : 0;
	}
	if ((v & FLINT_SET_UID) && uid != o->uid && ref_id_over(&d->r, 0, uid, by, 1))
		return EDQUOT;
	if ((v & FLINT_SET_GID) && gid != o->gid && ref_id_over(&d->r, 1, gid, by, 1))
		return EDQUOT;
	if ((v & FLINT_SET_PROJECT) && pr != o->project && ref_id_over(&d->r, 2, pr, by, 1))
		return EDQUOT;
	return 0;
}

static void setattr_do(struct drive *d, struct ref_obj *o, uint32_t v, const struct flint_setattr *b)
{
	bool chown = (v & (FLINT_SET_UID | FLINT_SET_GID)) && !ref_is_dir(o);

	if (v & FLINT_SET_SIZE) {
		bool changes = le64_to_cpu(b->size) != o->size;

		o->pending = le64_to_cpu(b->size) < o->size;
		o->loose &= !o->pending;
		size_set(d, o, le64_to_cpu(b->size));
		drop_privs(d, o, true);
		if (changes) {
			o->mtime = d->r.now;
			ref_touch(&d->r, o);
		}
	}
	if (v & (FLINT_SET_UID | FLINT_SET_GID | FLINT_SET_PROJECT)) {
		ref_ids_add(&d->r, o, -(int64_t)ref_bytes(o), -1);
		if (v & FLINT_SET_UID)
			o->uid = le32_to_cpu(b->uid);
		if (v & FLINT_SET_GID)
			o->gid = le32_to_cpu(b->gid);
		if (v & FLINT_SET_PROJECT)
			o->project = le32_to_cpu(b->project);
		ref_ids_add(&d->r, o, ref_bytes(o), 1);
	}
	if (chown) {
		if (!(v & FLINT_SET_MODE))
			o->mode &= ~(S_ISUID | (o->mode & S_IXGRP ? S_ISGID : 0));
		drop_privs(d, o, true);
	}
	if (v & FLINT_SET_MODE) {
		o->mode = (o->mode & S_IFMT) | (le32_to_cpu(b->mode) & 07777);
		if (!rootly(d) && !ref_member(&d->c, o->gid))
			o->mode &= ~S_ISGID;
		if (o->acl.set) {
			o->acl.uo = o->mode >> 6 & 7;
			*(o->acl.named ? &o->acl.mask : &o->acl.go) = o->mode >> 3 & 7;
			o->acl.ot = o->mode & 7;
		}
	}
	if (v & FLINT_SET_ATIME)
		o->atime = le64_to_cpu(b->atime);
	if (v & FLINT_SET_MTIME)
		o->mtime = le64_to_cpu(b->mtime);
	if (v & FLINT_SET_ATIME_NOW)
		o->atime = d->r.now;
	if (v & FLINT_SET_MTIME_NOW)
		o->mtime = d->r.now;
	if (v & FLINT_SET_FLAGS) {
		o->immutable = le32_to_cpu(b->flags) & FLINT_INO_IMMUTABLE;
		o->append = le32_to_cpu(b->flags) & FLINT_INO_APPEND;
	}
	if (v & ~FLINT_SET_SIZE)
		ref_touch(&d->r, o);
}

static void op_setattr(struct drive *d)
{
	static const uint32_t gids[] = { 10, 11, 12, 13, 14 };
	struct ref_obj *o = pick_obj(d);
	uint32_t v, got;
	struct flint_setattr b = {
		.ino = cpu_to_le64(o->ino), .mode = cpu_to_le32(pick(d, 010000)),
		.uid = cpu_to_le32(pick(d, 5)), .gid = cpu_to_le32(gids[pick(d, 5)]),
		.size = cpu_to_le64(chance(d, 3) ? 0 : pick(d, 30000)),
		.atime = cpu_to_le64(pick(d, 1000)), .mtime = cpu_to_le64(pick(d, 1000)),
		.project = cpu_to_le32(chance(d, 2) ? 0 : pick(d, 3)),
		.flags = cpu_to_le32(chance(d, 3) ? pick(d, 4) : 0), .cred = cred(d),
	};
	int want;

	if (o->immutable || o->append)
		v = FLINT_SET_FLAGS;
	else if (chance(d, 2))
		v = FLINT_SET_SIZE | (chance(d, 4) ? 0xc0 : 0);
	else
		v = pick(d, 0x400) & ~FLINT_SET_SIZE & (chance(d, 8) ? ~0u : ~(uint32_t)FLINT_SET_FLAGS) &
		    (chance(d, 3) ? ~0u : ~(uint32_t)FLINT_SET_PROJECT);
	if (chance(d, 4))
		b.mode = cpu_to_le32(0777);
	b.valid = cpu_to_le32(v);
	snprintf(d->what, sizeof(d->what), "setattr %x of %d by session %d", v, o->at, d->s);
	got = run_op(d, FLINT_OP_SETATTR, &b, sizeof(b), NULL, 0, NULL, 0, NULL, 0);
	want = setattr_want(d, o, v, &b);
	if (!same_status(d, got, want) && want != REF_PENDING)
		return;
	setattr_do(d, o, v, &b);
	rep_same(d, o, 0);
	if (o->pending && chance(d, 2))
		cut_done(d, o);
}

static void op_extend(struct drive *d)
{
	bool append = chance(d, 2);
	struct ref_obj *o = d->nr_h && !chance(d, 8) ? d->r.o[d->h[pick(d, d->nr_h)].obj] :
						       pick_obj(d);
	uint64_t len = 1 + pick(d, 20000), end = chance(d, 8) ? 0 : pick(d, 60000), size;
	struct flint_extend b = {
		.ino = cpu_to_le64(o->ino), .end = cpu_to_le64(end), .len = cpu_to_le64(len) };
	const struct meta_inode *i;
	uint32_t got;
	int want;

	if (!meta_inode_peek(&d->st.s, o->ino, &i))
		b.trunc_epoch = cpu_to_le32(i->trunc_epoch);
	snprintf(d->what, sizeof(d->what), "%s of %d by session %d", append ? "append" : "extend",
		 o->at, d->s);
	got = run_op(d, append ? FLINT_OP_APPEND : FLINT_OP_EXTEND, &b, sizeof(b), NULL, 0, NULL, 0,
		     NULL, 0);
	size = append ? o->size + len : end > o->size ? end : o->size;
	want = reach(d, o);
	if (!want && !S_ISREG(o->mode))
		want = ref_is_dir(o) ? EISDIR : EINVAL;
	if (!want && o->immutable)
		want = EPERM;
	if (!want && o->pending && (append || end))
		want = REF_WAIT;
	if (!want && checks(d) && !has_open(d, o, true))
		want = EACCES;
	if (!want)
		want = size_over(d, o, size);
	if (want == EDQUOT && !append)
		o->data = o->loose = true;
	if (!same_status(d, got, want))
		return;
	if (append || end) {
		size_set(d, o, size);
		o->data = true;
	}
	o->mtime = d->r.now;
	ref_touch(&d->r, o);
	drop_privs(d, o, d->tail);
	rep_same(d, o, append ? offsetof(struct flint_append_rep, attr) : 0);
}

/* ---- extended attributes and ACLs ------------------------------------------------------------ */

static uint32_t acl_bytes(const struct ref_acl *a, uint8_t *out)
{
	const uint32_t e[6][3] = {
		{ 1, a->uo, ~0u }, { 2, a->u2, 2 }, { 4, a->go, ~0u }, { 8, a->g12, 12 },
		{ 16, a->mask, ~0u }, { 32, a->ot, ~0u },
	};
	uint32_t i, n = 4;

	memcpy(out, "\2\0\0\0", 4);
	for (i = 0; i < 6; i++) {
		if (!a->named && (i == 1 || i == 3 || i == 4))
			continue;
		out[n] = e[i][0];
		out[n + 1] = 0;
		out[n + 2] = e[i][1];
		out[n + 3] = 0;
		memcpy(out + n + 4, &e[i][2], 4);
		n += 8;
	}
	return n;
}

static int xattr_want(struct drive *d, struct ref_obj *o, int which)
{
	int want = reach(d, o);

	if (want)
		return want;
	if (o->immutable || o->append)
		return EPERM;
	if (which < 2)			/* ACLs */
		return S_ISLNK(o->mode) ? EOPNOTSUPP : owner(d, o) ? 0 : EPERM;
	if (which > 2)			/* trusted.t, security.capability */
		return rootly(d) ? 0 : EPERM;
	if (!S_ISREG(o->mode) && !ref_is_dir(o))
		return EPERM;
	if (ref_is_dir(o) && (o->mode & S_ISVTX) && !owner(d, o))
		return EPERM;
	return may(d, o, 2) ? 0 : EACCES;
}

static bool xattr_there(const struct ref_obj *o, int which)
{
	return which == 0 ? o->acl.set : which == 1 ? o->dacl.set : which == 2 ? o->user_x >= 0 :
	       which == 3 ? o->trusted_t >= 0 : o->caps;
}

static void op_xattr(struct drive *d)
{
	static const char *const attrs[] = { META_ACL_ACCESS, META_ACL_DEFAULT, "user.x", "trusted.t",
					     "security.capability" };
	struct ref_obj *o = pick_obj(d);
	int which = pick(d, 5), want;
	bool remove = chance(d, 3);
	uint32_t flags = remove || !chance(d, 4) ? 0 : 1 + pick(d, 2), len = 1, got;
	struct flint_xattr b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .flags = cpu_to_le32(flags),
		.ino = cpu_to_le64(o->ino), .name_len = cpu_to_le32(strlen(attrs[which])),
		.cred = cred(d),
	};
	struct ref_acl a = {
		.set = true, .uo = pick(d, 8), .go = pick(d, 8), .ot = pick(d, 8), .u2 = pick(d, 8),
		.g12 = pick(d, 8), .mask = pick(d, 8), .named = !chance(d, 3),
	};
	uint8_t value[64] = { pick(d, 256) };

	if (which < 2)
		len = acl_bytes(&a, value);
	snprintf(d->what, sizeof(d->what), "%sxattr %s of %d by session %d", remove ? "remove" : "set",
		 attrs[which], o->at, d->s);
	got = run_op(d, remove ? FLINT_OP_REMOVEXATTR : FLINT_OP_SETXATTR, &b, sizeof(b), attrs[which],
		     strlen(attrs[which]), NULL, 0, value, remove ? 0 : len);
	want = xattr_want(d, o, which);
	if (!want && remove && !xattr_there(o, which))
		want = ENODATA;
	if (!want && flags == FLINT_XATTR_CREATE && xattr_there(o, which))
		want = EEXIST;
	if (!want && flags == FLINT_XATTR_REPLACE && !xattr_there(o, which))
		want = ENODATA;
	if (!want && !remove && which == 1 && !ref_is_dir(o))
		want = EACCES;
	if (!same_status(d, got, want))
		return;
	if (which == 0 && remove) {
		o->acl.set = false;
	} else if (which == 0) {
		o->mode = (o->mode & ~0777) | a.uo << 6 | (a.named ? a.mask : a.go) << 3 | a.ot;
		if ((o->mode & S_ISGID) && checks(d) && d->c.uid && !ref_member(&d->c, o->gid))
			o->mode &= ~S_ISGID;
		o->acl = a;
		o->acl.set = a.named;
	} else if (which == 1) {
		o->dacl = a;
		o->dacl.set = !remove;
	} else if (which == 4) {
		o->caps = !remove;
	} else {
		*(which == 2 ? &o->user_x : &o->trusted_t) = remove ? -1 : value[0];
	}
	ref_touch(&d->r, o);
	rep_same(d, o, 0);
}

/* ---- quotas, trash, removal of trees ------------------------------------------------------------ */

static void op_quota(struct drive *d)
{
	uint32_t kind = 1 + pick(d, 4), raw = 0, got;
	struct ref_obj *o = NULL;
	struct ref_limit *q;
	uint64_t b0 = 0, f = 0, s = 0;
	struct flint_quota_set b = { .kind = cpu_to_le32(kind), .cred = cred(d) };
	bool none = chance(d, 2);
	int want = 0;

	if (kind == 1) {
		if (d->r.nr_qdirs == 16)
			return;
		o = pick_dir(d);
		q = &o->q;
		b.id = cpu_to_le64(o->ino);
	} else {
		none |= chance(d, 2);
		raw = kind == 3 ? 10 + pick(d, 5) : kind == 4 ? 1 + pick(d, 2) : pick(d, 5);
		if (chance(d, 5))
			raw = FLINT_QUOTA_DEFAULT;
		q = raw == FLINT_QUOTA_DEFAULT ? &d->r.dflt[kind - 2] :
						 &d->r.u[kind - 2][ref_id(kind - 2, raw)].q;
		b.id = cpu_to_le64(raw);
	}
	if (!none) {
		b.space_hard = cpu_to_le64(100000 + pick(d, 1000000));
		b.inode_hard = cpu_to_le64(5 + pick(d, 200));
		b.space_soft = cpu_to_le64(chance(d, 2) ? 0 : 50000);
		b.inode_soft = cpu_to_le64(chance(d, 2) ? 0 : 5);
		b.grace = cpu_to_le32(pick(d, 3) * 50);
	}
	snprintf(d->what, sizeof(d->what), "quota %u of %u, object %d, by session %d", kind, raw,
		 o ? o->at : -1, d->s);
	got = run_op(d, FLINT_OP_QUOTA_SET, &b, sizeof(b), NULL, 0, NULL, 0, NULL, 0);
	if (d->c.uid || d->sess[d->s].root != d->r.root)
		want = EPERM;
	else if (o && reach(d, o))
		want = ESTALE;
	else if (o && !ref_is_dir(o))
		want = ENOTDIR;
	if (!same_status(d, got, want))
		return;
	q->ss = le64_to_cpu(b.space_soft);
	q->sh = le64_to_cpu(b.space_hard);
	q->is = le64_to_cpu(b.inode_soft);
	q->ih = le64_to_cpu(b.inode_hard);
	q->grace = le32_to_cpu(b.grace);
	if (o) {
		int i;

		ref_totals(&d->r, o->at, &b0, &f, &s);
		ref_lim_watch(&d->r, q, q, b0, f + s);
		for (i = 0; i < d->r.nr_qdirs; i++)
			if (d->r.qdirs[i] == o->at)
				break;
		if (i == d->r.nr_qdirs)
			d->r.qdirs[d->r.nr_qdirs++] = o->at;
	} else if (raw != FLINT_QUOTA_DEFAULT) {
		struct ref_usage *u = &d->r.u[kind - 2][ref_id(kind - 2, raw)];

		ref_lim_watch(&d->r, q, q, u->bytes, u->inodes);
	} else {
		q->ssince = q->isince = 0;
	}
}

static void op_trash_set(struct drive *d)
{
	struct ref_obj *o = pick_dir(d);
	uint32_t keep = chance(d, 2) ? FLINT_TRASH_INHERIT : chance(d, 2) ? 0 : 1 + pick(d, 400), got;
	struct flint_trash_set b = { .ino = cpu_to_le64(o->ino), .keep = cpu_to_le32(keep),
				     .cred = cred(d) };
	int want;

	snprintf(d->what, sizeof(d->what), "trash of %d: %u by session %d", o->at, keep, d->s);
	got = run_op(d, FLINT_OP_TRASH_SET, &b, sizeof(b), NULL, 0, NULL, 0, NULL, 0);
	want = reach(d, o);
	if (!want && !ref_is_dir(o))
		want = ENOTDIR;
	/* A token without the right may not, whoever asks. */
	if (!want && (d->s == S_SQUASH || (d->c.uid && d->c.uid != o->uid)))
		want = EPERM;
	if (same_status(d, got, want))
		o->keep = keep == FLINT_TRASH_INHERIT ? -1 : (int)keep;
}

/* May the caller have this entry? 0, EPERM or ENOENT. */
static int trash_may(struct drive *d, const struct ref_trash *t)
{
	struct ref_obj *o = d->r.o[t->obj], *dir = d->r.o[t->parent];

	if (d->c.uid && d->c.uid != o->uid)
		return EPERM;
	if (d->sess[d->s].root == d->r.root)
		return 0;
	return dir && !reach(d, dir) ? 0 : ENOENT;
}

static bool in_trash(struct drive *d, int dir)
{
	while (d->r.o[dir]->parent != dir) {
		dir = d->r.o[dir]->parent;
		if (dir == REF_NONE)
			return true;
	}
	return false;
}

static int restore_want(struct drive *d, const struct ref_trash *t, int to, int name)
{
	struct ref_obj *o = d->r.o[t->obj], *dir = d->r.o[to];
	uint64_t b = ref_bytes(o), f = 1, s = 0;
	int want = trash_may(d, t);

	if (want)
		return want;
	if (!dir || reach(d, dir))
		return ENOENT;
	if (!ref_is_dir(dir))
		return ENOTDIR;
	if (in_trash(d, to))
		return ENOENT;
	if (dir->child[name] != REF_NONE)
		return EEXIST;
	want = may_create(d, dir);
	if (want)
		return want;
	if (ref_is_dir(o)) {
		b = f = 0;
		s = 1;
		ref_totals(&d->r, o->at, &b, &f, &s);
	}
	return ref_tree_over(&d->r, to, REF_NONE, b, f + s) ? EDQUOT : 0;
}

static void op_restore(struct drive *d)
{
	int n = d->r.nr_trash ? (int)pick(d, d->r.nr_trash) : -1, name, to, want;
	bool away = chance(d, 3);
	struct ref_obj *dir = pick_dir(d), *o;
	struct flint_trash_restore b = { .fixed_len = cpu_to_le32(sizeof(b)), .cred = cred(d) };
	struct ref_trash t;
	uint32_t got;

	if (n < 0)
		return;
	t = d->r.trash[n];
	o = d->r.o[t.obj];
	name = away ? pick_name(d, dir, false) : t.name;
	to = away ? dir->at : t.parent;
	b.id = cpu_to_le64(o->ino);
	if (away) {
		b.parent = cpu_to_le64(dir->ino);
		b.name_len = cpu_to_le32(strlen(names[name]));
	}
	snprintf(d->what, sizeof(d->what), "restore %d to %d as %d by session %d", t.obj, to, name,
		 d->s);
	got = run_op(d, FLINT_OP_TRASH_RESTORE, &b, sizeof(b), names[name],
		     away ? strlen(names[name]) : 0, NULL, 0, NULL, 0);
	want = restore_want(d, &t, to, name);
	if (!same_status(d, got, want))
		return;
	dir = d->r.o[to];
	trash_drop(d, n);
	o->trashed = false;
	o->parent = to;
	dir->child[name] = o->at;
	dir->entries++;
	dir->nlink += ref_is_dir(o);
	ref_touch(&d->r, o);
	ref_touch_dir(&d->r, dir);
	rep_same(d, o, 0);
}

static void op_empty(struct drive *d)
{
	int n = d->r.nr_trash ? (int)pick(d, d->r.nr_trash) : -1, obj;
	struct flint_trash_empty b = { .cred = cred(d) };
	uint32_t got;

	if (n < 0)
		return;
	obj = d->r.trash[n].obj;
	b.id = cpu_to_le64(d->r.o[obj]->ino);
	snprintf(d->what, sizeof(d->what), "empty %d by session %d", obj, d->s);
	got = run_op(d, FLINT_OP_TRASH_EMPTY, &b, sizeof(b), NULL, 0, NULL, 0, NULL, 0);
	if (same_status(d, got, trash_may(d, &d->r.trash[n])) && trash_gone(d, n))
		doomed(d, obj);
}

/* Time passes for the trash. */
static void op_expire_trash(struct drive *d)
{
	bool taken_apart = false;
	int n, obj[512], nr = 0;

	snprintf(d->what, sizeof(d->what), "the trash expires");
	assert_int_equal(run_own(d, META_OP_TRASH_EXPIRE, 0, 1 << 20), 0);
	for (n = 0; n < d->r.nr_trash; n++) {
		if ((int64_t)d->r.trash[n].expires > d->r.now)
			continue;
		obj[nr] = d->r.trash[n].obj;
		if (trash_gone(d, n--))
			nr++;
	}
	if (nr)
		hidden_made(d, &d->r.made_doomed);
	while (nr--) {
		if (!taken_apart)
			assert_int_equal(run_own(d, META_OP_RMTREE_STEP, 1, 1 << 20), 0);
		taken_apart = true;
		ref_destroy(&d->r, obj[nr]);
	}
}

static void op_rmtree(struct drive *d)
{
	struct ref_obj *dir = pick_dir(d), *o = NULL;
	int n = pick_name(d, dir, true), want, keep;
	struct flint_name_req b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .parent = cpu_to_le64(dir->ino),
		.name_len = cpu_to_le32(strlen(names[n])), .cred = cred(d),
	};
	uint32_t got;

	if (d->r.nr_alive < MAX_LIVE / 2)
		return;
	snprintf(d->what, sizeof(d->what), "rmtree of %d in %d by session %d", n, dir->at, d->s);
	got = run_op(d, FLINT_OP_RMTREE, &b, sizeof(b), names[n], strlen(names[n]), NULL, 0, NULL, 0);
	want = reach_dir(d, dir);
	if (!want && dir->child[n] == REF_NONE)
		want = ENOENT;
	if (!want) {
		o = d->r.o[dir->child[n]];
		want = may_delete(d, dir, o, true);
	}
	if (!want && d->c.uid && d->c.uid != o->uid)
		want = EACCES;
	if (!same_status(d, got, want))
		return;
	keep = ref_keep(&d->r, dir->at);
	dir->child[n] = REF_NONE;
	dir->entries--;
	ref_touch_dir(&d->r, dir);
	if (keep) {
		trash_put(d, dir, o, n, keep);
	} else {
		dir->nlink--;
		hidden_made(d, &d->r.made_doomed);
		doomed(d, o->at);
	}
}

/* The reaper has removed the data of something unlinked. */
static void op_orphan_done(struct drive *d)
{
	struct ref_obj *o = pick_obj(d);

	if (o->nlink || o->opens)
		return;
	if (o->pending)
		cut_done(d, o);
	snprintf(d->what, sizeof(d->what), "data of orphan %d is gone", o->at);
	assert_int_equal(run_own(d, META_OP_ORPHAN_DONE, o->ino, 0), 0);
	o->data = false;
	ref_free(&d->r, o);
}

static void op_cut(struct drive *d)
{
	struct ref_obj *o = pick_obj(d);

	if (o->pending)
		cut_done(d, o);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void open_session(struct drive *d, int s)
{
	static const char path[] = "a";
	uint8_t id[16] = { s + 1 };
	uint64_t token[16] = { 0 };
	struct flint_token *t = (struct flint_token *)token;
	uint8_t body[sizeof(struct flint_session_open) + 8];
	struct flint_session_open b = { .fixed_len = cpu_to_le32(sizeof(b)), .fs_name = "fs" };
	struct meta_command c = { .op = FLINT_OP_SESSION_OPEN, .client = id, .body = body,
				  .body_len = sizeof(b) };
	struct flint_session_rep rep;

	b.flags = cpu_to_le32(s == S_CHECK || s == S_SUB ? FLINT_SESSION_CHECK : 0);
	if (s == S_SUB && d->r.o[d->r.root]->child[0] != REF_NONE &&
	    ref_is_dir(d->r.o[d->r.o[d->r.root]->child[0]])) {
		b.path_len = cpu_to_le32(1);
		c.body_len++;
	}
	memcpy(body, &b, sizeof(b));
	body[sizeof(b)] = path[0];
	if (s == S_SQUASH) {
		*t = (struct flint_token){
			.magic = cpu_to_le32(FLINT_TOKEN_MAGIC), .version = FLINT_TOKEN_V1,
			.fixed_len = cpu_to_le16(sizeof(*t)), .fs = cpu_to_le32(1),
			.id = cpu_to_le64(7), .issued = cpu_to_le64(1),
			.flags = cpu_to_le32(FLINT_TOKEN_ROOT_SQUASH),
			.squash_uid = cpu_to_le32(65534), .squash_gid = cpu_to_le32(65533) };
		c.data = t;
		c.data_len = sizeof(*t);
	}
	snprintf(d->what, sizeof(d->what), "session %d opens", s);
	assert_int_equal(run_cmd(d, &c), 0);
	memcpy(&rep, d->cmd_rep.body, sizeof(rep));
	d->sid[s] = le64_to_cpu(rep.session_epoch);
	d->seq[s] = 0;
	d->sess[s] = (struct ref_sess){ .check = s != S_OPEN, .root = d->r.root };
	if (b.path_len)
		d->sess[s].root = d->r.o[d->r.root]->child[0];
	else if (s == S_SUB)
		d->sess[s].root = d->r.root;
}

static void op_session(struct drive *d)
{
	struct meta_command c = { .op = FLINT_OP_SESSION_CLOSE, .sid = d->sid[d->s] };
	bool died = chance(d, 2);
	int i;

	snprintf(d->what, sizeof(d->what), "session %d ends", d->s);
	assert_int_equal(died ? run_own(d, META_OP_EXPIRE, d->sid[d->s], 0) : run_cmd(d, &c), 0);
	for (i = d->nr_h - 1; i >= 0; i--)
		if (d->h[i].sess == d->s)
			handle_closed(d, i, died);
	open_session(d, d->s);
}

/* The command comes again: the same answer, and nothing happens. */
static void op_repeat(struct drive *d)
{
	struct meta_reply was = d->cmd_rep;
	struct meta_command c;
	uint32_t digest;

	if (!d->cmd_len)
		return;		/* none since the restart */
	assert_int_equal(meta_command_decode(d->cmd, d->cmd_len, &c, &digest), 0);
	if (!c.sid || !c.seq || !meta_session_by_id(&d->st.s, c.sid) || was.status == REF_WAIT ||
	    was.status == REF_PENDING)
		return;
	snprintf(d->what + strlen(d->what), sizeof(d->what) - strlen(d->what), ", again");
	ref_settle(&d->r);
	d->r.now++;
	if (run_bytes(d) != was.status || d->st.rep.len != was.len ||
	    memcmp(d->st.rep.body, was.body, was.len))
		FAIL(d, "another answer: %u, it was %u", d->st.rep.status, was.status);
}

static void restart(struct drive *d)
{
	snprintf(d->what, sizeof(d->what), "restart");
	verify(&d->st);
	state_restart(&d->st);
	d->cmd_len = 0;
	d->cmd_rep.status = REF_WAIT;
}

/* ---- the run ------------------------------------------------------------------------------------ */

static void (*const ops[])(struct drive *d) = {
	op_mknod, op_mknod, op_mknod, op_mknod, op_mknod, op_open, op_open, op_open, op_close, op_close,
	op_tmpfile, op_link, op_link, op_unlink, op_unlink, op_unlink, op_rename, op_rename, op_rename,
	op_setattr, op_setattr, op_setattr, op_extend, op_extend, op_xattr, op_xattr, op_xattr, op_restore,
	op_orphan_done, op_cut,
};

static void (*const rare[])(struct drive *d) = {
	op_quota, op_quota, op_quota, op_trash_set, op_trash_set, op_empty, op_expire_trash, op_rmtree,
	op_session, op_repeat,
};

static void one(struct drive *d)
{
	pick_who(d);
	if (chance(d, 25))
		rare[pick(d, sizeof(rare) / sizeof(rare[0]))](d);
	else if (d->r.nr_alive > MAX_LIVE || d->r.nr_trash > 400)
		(chance(d, 2) ? op_unlink : chance(d, 3) ? op_expire_trash : op_orphan_done)(d);
	else
		ops[pick(d, sizeof(ops) / sizeof(ops[0]))](d);
	ref_settle(&d->r);
	if (chance(d, 16))
		op_repeat(d);
	/* Its directory went for good: it gets another one. */
	if (!d->r.o[d->sess[S_SUB].root]) {
		d->s = S_SUB;
		op_session(d);
	}
}

static uint64_t env(const char *name, uint64_t def)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 10) : def;
}

static void run(struct drive *d, uint64_t seed, uint64_t n)
{
	d->rng = seed * 0x9e3779b97f4a7c15ull + 1;
	while (d->nr_done < n) {
		d->nr_done++;
		one(d);
		if (d->nr_done % CHECK_EVERY == 0)
			same_all(d);
		if (d->nr_done % (CHECK_EVERY * 10) == 0)
			restart(d);
	}
	same_all(d);
	printf("# seed %llu: %llu operations, %llu done, %llu refused, %d objects made\n",
	       (unsigned long long)seed, (unsigned long long)n, (unsigned long long)d->nr_ok,
	       (unsigned long long)d->nr_refused, d->r.nr);
}

static int setup(void **p)
{
	static const char *const plain[] = { "a", "b", "c", "d", "e", "f g", ".h", "i\xff\xfe", "\xc3\xbc" };
	struct drive *d = calloc(1, sizeof(*d));
	struct ref_obj *root;
	int i;

	if (!d)
		return -1;
	for (i = 0; i < 9; i++)
		names[i] = plain[i];
	memset(long_name, 'L', 255);
	for (i = 0; i < 254; i++)
		odd_name[i] = i + 1 == '/' ? '!' : i + 1;
	odd_name[254] = (char)0xff;
	names[9] = long_name;
	names[10] = odd_name;
	names[11] = "...";
	snprintf(d->st.dir, sizeof(d->st.dir), "/tmp/flint_meta_model.XXXXXX");
	if (!mkdtemp(d->st.dir))
		return -1;
	d->st.gen_objects = 2000;
	state_open(&d->st);
	d->st.clock = 1;
	assert_int_equal(fs_create(&d->st, 1, "fs"), 0);
	d->r.now = d->st.clock;
	d->r.o = calloc(REF_OBJS, sizeof(*d->r.o));
	d->r.alive = calloc(REF_OBJS, sizeof(*d->r.alive));
	d->r.trash = calloc(4096, sizeof(*d->r.trash));
	root = ref_new(&d->r, S_IFDIR | 0755);
	root->ino = rep_ino(&d->st);
	d->r.root = root->parent = root->at;
	ref_ids_add(&d->r, root, 0, 1);
	for (i = 0; i < NR_SESS; i++)
		open_session(d, i);
	*p = d;
	return 0;
}

static int teardown(void **p)
{
	struct drive *d = *p;

	verify(&d->st);
	state_close(&d->st);
	state_remove_dir(d->st.dir);
	while (d->r.nr_alive)
		ref_free(&d->r, d->r.o[d->r.alive[0]]);
	free(d->r.o);
	free(d->r.alive);
	free(d->r.trash);
	free(d);
	return 0;
}

static void test_one(void **p)
{
	run(*p, env("SEED", 1), env("OPS", 60000));
}

static void test_two(void **p)
{
	run(*p, env("SEED", 1) + 1000, env("OPS", 60000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two, setup, teardown),
	};

	meta_sqlite_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
