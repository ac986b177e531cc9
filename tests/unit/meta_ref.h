/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reference model of the namespace: what each operation has to answer and to
 * change, written from the manual pages with plain arrays and recursion, and
 * with nothing of the metadata server in it. meta_model_test.c drives both with
 * the same operations and compares.
 *
 * An object's index is never used again; a dead one's slot is NULL. A directory
 * has one slot for each of REF_NAMES names.
 */
#ifndef META_REF_H
#define META_REF_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REF_NAMES	12
#define REF_OBJS	(1 << 22)
#define REF_IDS		8	/* uids, gids and projects are looked up in small tables */
#define REF_NONE	(-1)
#define REF_WAIT	0x7fff0002
#define REF_PENDING	0x7fff0001

struct ref_acl {
	bool set;
	uint8_t uo, go, ot;		/* owner, group, others */
	bool named;			/* entries for user 2 and group 12, and a mask */
	uint8_t u2, g12, mask;
};

struct ref_obj {
	int at;				/* own index */
	int slot;			/* in ref.alive */
	uint64_t ino;			/* the server's number */
	uint32_t mode, uid, gid, nlink, project;
	bool immutable, append;
	bool nameless;			/* never had a name, and may get one */
	uint64_t size;
	int64_t atime, mtime, ctime;
	uint64_t change;
	int parent;			/* directories; files: home */
	int child[REF_NAMES];
	int entries;
	int opens;
	bool data, pending;		/* chunk data may exist; a cut is under way */
	bool loose;			/* there may be some beyond the end: refused, or a dead writer's */
	bool tail;			/* nobody asked for the cut: writers wait */
	bool trashed;			/* top of something in the trash */
	int keep;			/* trash setting: -1 none of its own */
	struct ref_acl acl, dacl;
	int user_x;			/* value of user.x, -1: none */
	int trusted_t;
	bool caps;
	/* quota of its tree */
	struct ref_limit {
		uint64_t ss, sh, is, ih, grace, ssince, isince;
	} q;
};

struct ref_trash {
	int obj, parent, name;
	uint64_t deleted, expires;
};

struct ref_cred {
	uint32_t uid, gid, ng, groups[4];
	bool um;
	uint32_t umask;
};

struct ref_sess {
	bool check, squash, rdonly;
	int root;
};

struct ref_usage {
	uint64_t bytes, inodes;
	struct ref_limit q;
	bool touched;
};

struct ref {
	struct ref_obj **o;
	int nr;
	int *alive, nr_alive;		/* objects there are, in any order */
	int qdirs[16], nr_qdirs;	/* directories with limits */
	int root;
	int64_t now;
	struct ref_trash *trash;
	int nr_trash;
	bool made_trash, made_doomed;	/* hidden directories exist: one inode of root's each */
	/* limits and usage of users 0..7, 65534 as 7; groups 10..16 as 1..7; projects 0..7 */
	struct ref_usage u[3][REF_IDS];
	struct ref_limit dflt[3];
};

static inline int ref_id(int kind, uint32_t id)
{
	if (id >= 65533)
		return 7;
	return kind == 1 && id >= 10 ? (int)id - 9 : (int)id;
}

static inline bool ref_is_dir(const struct ref_obj *o)
{
	return S_ISDIR(o->mode);
}

static inline uint64_t ref_bytes(const struct ref_obj *o)
{
	return S_ISREG(o->mode) ? (o->size + 4095) / 4096 * 4096 : 0;
}

/* ---- permissions --------------------------------------------------------------- */

static inline bool ref_member(const struct ref_cred *c, uint32_t gid)
{
	uint32_t i;

	for (i = 0; i < c->ng; i++)
		if (c->groups[i] == gid)
			return true;
	return c->gid == gid;
}

static inline bool ref_may(const struct ref_obj *o, const struct ref_cred *c, int want)
{
	bool matched = false;

	if (c->uid == 0)
		return !(want & 1) || ref_is_dir(o) || (o->mode & 0111);
	if (c->uid == o->uid)
		return ((o->mode >> 6) & want) == (unsigned int)want;
	if (o->acl.set && (o->mode & 070)) {
		int mask = o->acl.named ? o->acl.mask : 7;

		if (o->acl.named && c->uid == 2)
			return (o->acl.u2 & mask & want) == want;
		if (ref_member(c, o->gid)) {
			matched = true;
			if ((o->acl.go & want) == want)
				return (mask & want) == want;
		}
		if (o->acl.named && ref_member(c, 12)) {
			matched = true;
			if ((o->acl.g12 & want) == want)
				return (mask & want) == want;
		}
		return !matched && (o->acl.ot & want) == want;
	}
	if (ref_member(c, o->gid))
		return ((o->mode >> 3) & want) == (unsigned int)want;
	return (o->mode & want) == (unsigned int)want;
}

/* ---- the tree -------------------------------------------------------------------- */

/* Does @dir's chain of parents meet @top? */
static inline bool ref_under(struct ref *r, int dir, int top)
{
	for (;;) {
		if (dir == top)
			return true;
		if (dir == REF_NONE || !r->o[dir] || r->o[dir]->parent == dir)
			return false;
		dir = r->o[dir]->parent;
	}
}

static inline int ref_nr_names_in(struct ref *r, int dir, int obj)
{
	int i, n = 0;

	for (i = 0; i < REF_NAMES; i++)
		n += r->o[dir]->child[i] == obj;
	return n;
}

/* Totals below a directory, by recursion. */
static inline void ref_totals(struct ref *r, int dir, uint64_t *bytes, uint64_t *files,
			      uint64_t *dirs)
{
	struct ref_obj *d = r->o[dir];
	int i, j;

	for (i = 0; i < REF_NAMES; i++) {
		struct ref_obj *c = d->child[i] == REF_NONE ? NULL : r->o[d->child[i]];

		if (!c)
			continue;
		if (ref_is_dir(c)) {
			++*dirs;
			ref_totals(r, c->at, bytes, files, dirs);
			continue;
		}
		for (j = 0; j < i; j++)
			if (d->child[j] == c->at)
				break;
		if (j == i && c->parent == dir) {
			++*files;
			*bytes += ref_bytes(c);
		}
	}
}

/* The directory with the lowest server number that has a name of the file. */
static inline int ref_lowest_home(struct ref *r, int obj)
{
	int i, d, best = REF_NONE;

	for (i = 0; i < r->nr_alive; i++) {
		d = r->alive[i];
		if (ref_is_dir(r->o[d]) && ref_nr_names_in(r, d, obj) &&
		    (best == REF_NONE || r->o[d]->ino < r->o[best]->ino))
			best = d;
	}
	return best;
}

static inline int ref_keep(struct ref *r, int dir)
{
	for (;;) {
		if (r->o[dir]->keep >= 0)
			return r->o[dir]->keep;
		if (r->o[dir]->parent == dir || r->o[dir]->parent == REF_NONE)
			return 0;
		dir = r->o[dir]->parent;
	}
}

/* ---- limits ------------------------------------------------------------------------ */

static inline bool ref_over(uint64_t used, int64_t more, uint64_t soft, uint64_t hard,
			    uint64_t since, uint64_t grace, uint64_t now)
{
	if (more <= 0)
		return false;
	if (hard && used + more > hard)
		return true;
	return soft && used + more > soft && since &&
	       now > since + (grace ? grace : 604800) * 1000000000ull;
}

static inline bool ref_lim_over(struct ref *r, const struct ref_limit *l, uint64_t bytes,
				uint64_t inodes, int64_t mb, int64_t mi)
{
	return ref_over(bytes, mb, l->ss, l->sh, l->ssince, l->grace, r->now) ||
	       ref_over(inodes, mi, l->is, l->ih, l->isince, l->grace, r->now);
}

static inline bool ref_lim_any(const struct ref_limit *l)
{
	return l->ss || l->sh || l->is || l->ih;
}

static inline void ref_lim_watch(struct ref *r, struct ref_limit *own, const struct ref_limit *l,
				 uint64_t bytes, uint64_t inodes)
{
	if (!l->ss || bytes <= l->ss)
		own->ssince = 0;
	else if (!own->ssince)
		own->ssince = r->now;
	if (!l->is || inodes <= l->is)
		own->isince = 0;
	else if (!own->isince)
		own->isince = r->now;
}

/* Limits of an id: its own or the default's, with its own times. */
static inline struct ref_limit ref_limits(struct ref *r, int kind, int id)
{
	struct ref_limit l = r->u[kind][id].q;

	if (!ref_lim_any(&l) && id) {
		l = r->dflt[kind];
		l.ssince = r->u[kind][id].q.ssince;
		l.isince = r->u[kind][id].q.isince;
	}
	return l;
}

static inline bool ref_id_over(struct ref *r, int kind, uint32_t raw, int64_t mb, int64_t mi)
{
	int id = ref_id(kind, raw);
	struct ref_limit l = ref_limits(r, kind, id);

	if (kind == 2 && !raw)
		return false;
	return ref_lim_over(r, &l, r->u[kind][id].bytes, r->u[kind][id].inodes, mb, mi);
}

static inline void ref_id_add(struct ref *r, int kind, uint32_t raw, int64_t mb, int64_t mi)
{
	int id = ref_id(kind, raw);
	struct ref_usage *u = &r->u[kind][id];

	if (kind == 2 && !raw)
		return;
	u->bytes += mb;
	u->inodes += mi;
	u->touched = true;
}

static inline bool ref_ids_over(struct ref *r, uint32_t uid, uint32_t gid, uint32_t project,
				int64_t mb, int64_t mi)
{
	return ref_id_over(r, 0, uid, mb, mi) || ref_id_over(r, 1, gid, mb, mi) ||
	       ref_id_over(r, 2, project, mb, mi);
}

static inline void ref_ids_add(struct ref *r, const struct ref_obj *o, int64_t mb, int64_t mi)
{
	ref_id_add(r, 0, o->uid, mb, mi);
	ref_id_add(r, 1, o->gid, mb, mi);
	ref_id_add(r, 2, o->project, mb, mi);
}

/* Would what is added below @dir pass a limit of a directory above, up to but without @stop? */
static inline bool ref_tree_over(struct ref *r, int dir, int stop, int64_t mb, int64_t mi)
{
	for (; dir != REF_NONE && dir != stop; dir = r->o[dir]->parent) {
		uint64_t b = 0, f = 0, d = 0;

		if (ref_lim_any(&r->o[dir]->q)) {
			ref_totals(r, dir, &b, &f, &d);
			if (ref_lim_over(r, &r->o[dir]->q, b, f + d, mb, mi))
				return true;
		}
		if (r->o[dir]->parent == dir)
			break;
	}
	return false;
}

/* After any operation: notice which soft limits are passed, or kept again. */
static inline void ref_settle(struct ref *r)
{
	int i, k;

	for (k = 0; k < 3; k++)
		for (i = 0; i < REF_IDS; i++) {
			struct ref_usage *u = &r->u[k][i];
			struct ref_limit l = ref_limits(r, k, i);

			if (u->touched)
				ref_lim_watch(r, &u->q, &l, u->bytes, u->inodes);
			u->touched = false;
		}

	for (i = 0; i < r->nr_qdirs; i++) {
		struct ref_obj *o = r->o[r->qdirs[i]];
		uint64_t b = 0, f = 0, d = 0;

		if (!o) {
			r->qdirs[i--] = r->qdirs[--r->nr_qdirs];
			continue;
		}
		ref_totals(r, o->at, &b, &f, &d);
		ref_lim_watch(r, &o->q, &o->q, b, f + d);
	}
}

/* ---- objects ------------------------------------------------------------------------- */

static inline void ref_touch(struct ref *r, struct ref_obj *o)
{
	if (o->ctime != r->now)
		o->change++;
	o->ctime = r->now;
}

static inline void ref_touch_dir(struct ref *r, struct ref_obj *d)
{
	d->mtime = r->now;
	ref_touch(r, d);
}

static inline struct ref_obj *ref_new(struct ref *r, uint32_t mode)
{
	struct ref_obj *o = calloc(1, sizeof(*o));
	int i;

	if (!o || r->nr == REF_OBJS)
		abort();
	o->at = r->nr;
	r->o[r->nr++] = o;
	o->slot = r->nr_alive;
	r->alive[r->nr_alive++] = o->at;
	o->mode = mode;
	o->nlink = ref_is_dir(o) ? 2 : 1;
	o->atime = o->mtime = o->ctime = r->now;
	o->change = 1;
	o->keep = -1;
	o->user_x = o->trusted_t = -1;
	for (i = 0; i < REF_NAMES; i++)
		o->child[i] = REF_NONE;
	return o;
}

static inline void ref_free(struct ref *r, struct ref_obj *o)
{
	ref_ids_add(r, o, -(int64_t)ref_bytes(o), -1);
	r->o[o->at] = NULL;
	r->alive[o->slot] = r->alive[--r->nr_alive];
	if (o->slot < r->nr_alive)
		r->o[r->alive[o->slot]]->slot = o->slot;
	free(o);
}

/* Nothing holds it any more, but data may wait for the reaper: then it stays. */
static inline void ref_release(struct ref *r, struct ref_obj *o)
{
	if (!o->nlink && !o->opens && !o->data)
		ref_free(r, o);
}

/* A name of a file in @dir went (already taken out of child[]). */
static inline void ref_name_gone(struct ref *r, struct ref_obj *o, int dir)
{
	o->nlink--;
	ref_touch(r, o);
	if (o->nlink && o->parent == dir && !ref_nr_names_in(r, dir, o->at))
		o->parent = ref_lowest_home(r, o->at);
	ref_release(r, o);
}

/* All below a directory, and itself, goes for good. */
static inline void ref_destroy(struct ref *r, int dir)
{
	int i, c;

	for (i = 0; i < REF_NAMES; i++) {
		c = r->o[dir]->child[i];
		if (c == REF_NONE)
			continue;
		r->o[dir]->child[i] = REF_NONE;
		if (ref_is_dir(r->o[c]))
			ref_destroy(r, c);
		else
			ref_name_gone(r, r->o[c], dir);
	}
	ref_free(r, r->o[dir]);
}

#endif /* META_REF_H */
