// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random namespace operations of several clients against running metadata
 * servers, each compared with a reference model: statuses, attributes, link
 * counts, change counters (an operation that is done twice counts twice), values
 * of xattrs, listings. In the end whole trees are compared, through new clients.
 * Whoever runs this kills and freezes servers meanwhile.
 *
 * Each thread has a directory of its own, so that the order of what happens in it
 * is known; each of its operations goes through any of the clients, so that what
 * one of them keeps under a lease is changed by the others all the time. Half of
 * them create by delegation: what one of these has made and not told yet is found
 * by its name only, which makes it tell (reached()).
 *
 * The model follows manual pages for a caller who may do everything: inodes with
 * NAMES slots each, found by pointers. Trees under even threads keep a trash.
 *
 * Exit status 0: everything agreed.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/client/fs_admin.h"
#include "../../userd/client/fs_async.h"
#include "options.h"

#define NAMES		10
#define HANDLES		12
#define TRASH_MAX	24
#define LIVE_MAX	160
#define CLIENTS_MAX	16
#define THREADS_MAX	16
#define KEEP_S		86400
#define TOLD		400

struct options {
	char *mgr, *key, *fs;
	uint64_t seed, clients, threads, ops, seconds;
};

#define OFF(m) offsetof(struct options, m)
static const struct flint_conf_opt table[] = {
	TEST_OPT_CLUSTER(struct options),
	TEST_OPT_FS(struct options),
	TEST_OPT_SEED(struct options),
	{ .key = "clients", .type = FLINT_CONF_U64, .off = OFF(clients), .def = "4", .arg = "N",
	  .min = 1, .max = CLIENTS_MAX, .help = "sessions, used by all threads" },
	{ .key = "threads", .type = FLINT_CONF_U64, .off = OFF(threads), .def = "4", .arg = "N",
	  .min = 1, .max = THREADS_MAX, .help = "each in a tree of its own" },
	{ .key = "ops", .type = FLINT_CONF_U64, .off = OFF(ops), .def = "100000", .arg = "N",
	  .help = "operations of all threads together" },
	{ .key = "seconds", .type = FLINT_CONF_U64, .off = OFF(seconds), .def = "0", .arg = "N",
	  .help = "end after this time even if not all were done; 0: no" },
	{ 0 }
};
static const struct flint_conf_spec spec = {
	.prog = "flint-modeltest", .opts = table,
	.doc = "Compare random operations on a running cluster with a model of a namespace.",
};

/**
 * struct node - an inode of the model
 * @nlink: as the server should tell: entries that lead to it; directories: 2 and subdirectories
 * @refs: entries of the model
 * @known: @change was learnt and is followed since
 * @trashed: it hangs in the trash
 * @slack: creates in it that may have been told together, and counted as one change
 * @maker: a client that delegates has made it, as @born_name in @born_dir, and nobody
 *	else has looked at it
 */
struct node {
	uint32_t mode, uid, nlink;
	int refs, opens, entries;
	uint64_t ino, size, change;
	int user_x, slack;
	bool trashed;
	struct node *parent;		/* directories */
	struct flint_fs *maker;
	struct node *born_dir;
	int born_name;
	struct node *child[NAMES];
	struct node *next, **prev;	/* all that live */
};

struct handle {
	struct node *n;
	struct flint_file *f;
};

struct trash {
	struct node *n, *parent;
	int name;
};

struct worker {
	pthread_t thread;
	uint64_t rng;
	unsigned int at;
	char what[200];
	char told[TOLD][280];		/* the last operations */
	struct node *root, *all;
	int live;
	bool keep;
	struct handle h[HANDLES];
	int nr_h;
	struct trash trash[TRASH_MAX];
	int nr_trash;
	uint64_t done, refused;
	struct flint_fs *fs;		/* of the operation at hand */
};

static struct options o;
static uint8_t key[FLINT_KEY_LEN];
static struct flint_fs *client[CLIENTS_MAX];
static struct worker worker[THREADS_MAX];
static atomic_bool failed;
static uint64_t end_ns;
static bool verbose;
static const char *const names[NAMES] = { "a", "b", "c", "dd", "eee", "f.txt", "\xff\x01\n", "g g",
					  "-h", "\xc3\xa4" };

static uint64_t rnd(struct worker *w)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng * 0x2545f4914f6cdd1dull >> 16;
}

static unsigned int pick(struct worker *w, unsigned int n)
{
	return rnd(w) % n;
}

/* Of the last operations those on the directory or inode that the failed one is about. */
static void tell(const struct worker *w)
{
	const char *at = strstr(w->what, " in ");
	char ino[32];
	uint64_t i;

	at = at ? at : strstr(w->what, " of ");
	if (!at || sscanf(at + 4, "%31[0-9]", ino) != 1)
		return;
	for (i = w->done < TOLD ? 0 : w->done - TOLD; i < w->done; i++)
		if (strstr(w->told[i % TOLD], ino))
			fprintf(stderr, "  %llu: %s\n", (unsigned long long)i, w->told[i % TOLD]);
}

static void wrong(struct worker *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void wrong(struct worker *w, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "thread %u, operation %llu: %s: %s\n", w->at, (unsigned long long)w->done,
		w->what, text);
	tell(w);
	atomic_store(&failed, true);
}

/* ---- the model ------------------------------------------------------------------- */

static bool is_dir(const struct node *n)
{
	return S_ISDIR(n->mode);
}

static struct node *node_new(struct worker *w, uint32_t mode)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->mode = mode;
	n->nlink = S_ISDIR(mode) ? 2 : 0;
	n->user_x = -1;
	n->next = w->all;
	n->prev = &w->all;
	if (n->next)
		n->next->prev = &n->next;
	w->all = n;
	w->live++;
	return n;
}

static void node_put(struct worker *w, struct node *n)
{
	if (n->refs || n->opens || n->trashed)
		return;
	*n->prev = n->next;
	if (n->next)
		n->next->prev = n->prev;
	free(n);
	w->live--;
}

static void link_in(struct node *dir, int name, struct node *n)
{
	dir->child[name] = n;
	dir->entries++;
	n->refs++;
	if (is_dir(n)) {
		n->parent = dir;
		dir->nlink++;
	} else {
		n->nlink++;
	}
}

static void link_out(struct node *dir, int name)
{
	struct node *n = dir->child[name];

	dir->child[name] = NULL;
	dir->entries--;
	n->refs--;
	n->maker = NULL;	/* told, for this to happen */
	if (is_dir(n))
		dir->nlink--;
	else
		n->nlink--;
}

static bool under(const struct node *n, const struct node *top)
{
	while (n && n != top)
		n = n->parent;
	return n == top;
}

/* The name is removed: @n goes into the trash, or for good. */
static void name_goes(struct worker *w, struct node *dir, int name)
{
	struct node *n = dir->child[name];

	link_out(dir, name);
	n->change++;
	if (w->keep && !n->refs) {
		n->trashed = true;
		n->parent = NULL;
		w->trash[w->nr_trash++] = (struct trash){ n, dir, name };
		if (!is_dir(n))
			n->nlink = 0;
		return;
	}
	node_put(w, n);
}

/* Whose parent is no more: nothing can come back there. */
static void trash_orphaned(struct worker *w, const struct node *dir)
{
	int i;

	for (i = 0; i < w->nr_trash; i++)
		if (w->trash[i].parent == dir)
			w->trash[i].parent = NULL;
}

/* May the tree go as a whole? All names of its files are in it, and nothing is open. */
static bool closed_tree(const struct node *dir, int *files)
{
	int i, j, n;

	for (i = 0; i < NAMES; i++) {
		const struct node *c = dir->child[i];

		if (!c)
			continue;
		if (c->opens || (*files)++ > 100)
			return false;
		if (is_dir(c)) {
			if (!closed_tree(c, files))
				return false;
			continue;
		}
		for (j = 0, n = 0; j < NAMES; j++)
			n += dir->child[j] == c;
		if (n != c->refs)
			return false;
	}
	return true;
}

static void tree_goes(struct worker *w, struct node *dir)
{
	int i;

	for (i = 0; i < NAMES; i++) {
		struct node *c = dir->child[i];

		if (!c)
			continue;
		if (is_dir(c))
			tree_goes(w, c);
		link_out(dir, i);
		node_put(w, c);
	}
	trash_orphaned(w, dir);
}

/* ---- comparing --------------------------------------------------------------------- */

static bool status(struct worker *w, int rc, int want)
{
	if (rc != -want)
		wrong(w, "answered %d (%s), the model says %d", rc, strerror(rc < 0 ? -rc : rc), -want);
	w->refused += rc < 0;
	return !rc && !want;
}

static void same(struct worker *w, struct node *n, const struct flint_attr *a)
{
	uint64_t change = le64_to_cpu(a->change), size = is_dir(n) ? (uint64_t)n->entries : n->size;

	if (change < n->change && n->change - change <= (uint64_t)n->slack)
		n->change = change;
	n->slack = 0;
	if (n->ino == le64_to_cpu(a->ino) && n->mode == le32_to_cpu(a->mode) &&
	    n->uid == le32_to_cpu(a->uid) && n->nlink == le32_to_cpu(a->nlink) &&
	    size == le64_to_cpu(a->size) && n->change == change)
		return;
	wrong(w, "server/model: ino %llu/%llu mode %o/%o uid %u/%u nlink %u/%u size %llu/%llu change %llu/%llu",
	      (unsigned long long)le64_to_cpu(a->ino), (unsigned long long)n->ino,
	      le32_to_cpu(a->mode), n->mode, le32_to_cpu(a->uid), n->uid, le32_to_cpu(a->nlink),
	      n->nlink, (unsigned long long)le64_to_cpu(a->size), (unsigned long long)size,
	      (unsigned long long)le64_to_cpu(a->change), (unsigned long long)n->change);
}

/* ---- choosing ---------------------------------------------------------------------- */

static bool in_tree(const struct worker *w, const struct node *n)
{
	return n == w->root || (n->refs && !n->trashed && (!is_dir(n) || under(n, w->root)));
}

/* What another client may not have told of yet is looked for by name, from where it is known. */
static void reach(struct worker *w, struct node *n)
{
	struct flint_attr a;
	int rc;

	if (!n->maker || n->maker == w->fs)
		return;
	reach(w, n->born_dir);
	rc = flint_fs_lookup(w->fs, n->born_dir->ino, names[n->born_name], &a);
	if (rc || le64_to_cpu(a.ino) != n->ino)
		wrong(w, "%d in %llu, which another client has made, is not found (%s)", n->born_name,
		      (unsigned long long)n->born_dir->ino, strerror(-rc));
	n->maker = NULL;
}

static struct node *reached(struct worker *w, struct node *n)
{
	reach(w, n);
	return n;
}

static void reach_tree(struct worker *w, struct node *dir)
{
	int i;

	reach(w, dir);
	for (i = 0; i < NAMES; i++)
		if (dir->child[i] && is_dir(dir->child[i]))
			reach_tree(w, dir->child[i]);
		else if (dir->child[i])
			reach(w, dir->child[i]);
}

static struct node *pick_node(struct worker *w)
{
	struct node *n = w->all;
	int i;

	for (i = pick(w, w->live); i; i--)
		n = n->next;
	return n;
}

/* A directory in the tree. */
static struct node *pick_dir(struct worker *w)
{
	struct node *n;
	int i;

	for (i = 0; i < 6; i++) {
		n = pick_node(w);
		if (is_dir(n) && in_tree(w, n))
			return reached(w, n);
	}
	return w->root;
}

/* An object with a name in the tree that is not in the trash, or one that is open. */
static struct node *pick_any(struct worker *w)
{
	struct node *n;
	int i, j;

	for (i = 0; i < 6; i++) {
		n = pick_dir(w);
		for (j = 0; j < 4; j++)
			if (n->child[pick(w, NAMES)])
				break;
		j = pick(w, NAMES);
		if (n->child[j])
			return reached(w, n->child[j]);
	}
	return w->root;
}

static int pick_name(struct worker *w, const struct node *dir, bool used)
{
	int i, n = pick(w, NAMES);

	if (!pick(w, 8))
		return n;
	for (i = 0; i < NAMES; i++, n = (n + 1) % NAMES)
		if (!!dir->child[n] == used)
			return n;
	return n;
}

/* ---- operations ---------------------------------------------------------------------- */

#define WHAT(w, ...) snprintf((w)->what, sizeof((w)->what), __VA_ARGS__)

static void born(struct worker *w, struct node *dir, int name, uint32_t mode, uint64_t size,
		 const struct flint_attr *a)
{
	struct node *n = node_new(w, mode);

	n->size = size;
	n->ino = le64_to_cpu(a->ino);
	n->change = le64_to_cpu(a->change);	/* followed from here on */
	link_in(dir, name, n);
	dir->change++;
	same(w, n, a);
}

static bool delegates(const struct flint_fs *fs)
{
	unsigned int i;

	for (i = 0; i < o.clients; i += 2)
		if (client[i] == fs)
			return true;
	return false;
}

static void op_sync(struct worker *w)
{
	WHAT(w, "sync");
	status(w, flint_fs_sync(w->fs), 0);
}

/* Return: what was made, or NULL. */
static struct node *make(struct worker *w, struct node *dir, int n, uint32_t mode)
{
	struct flint_attr a;
	int rc;

	mode |= S_ISLNK(mode) ? 0777 : 0600 + pick(w, 0200);
	WHAT(w, "mknod %o in %llu as %d", mode, (unsigned long long)dir->ino, n);
	rc = flint_fs_mknod(w->fs, dir->ino, names[n], mode, 0, 0, S_ISLNK(mode) ? "target" : NULL,
			    &a);
	if (!status(w, rc, dir->child[n] ? EEXIST : 0))
		return NULL;
	born(w, dir, n, mode, S_ISLNK(mode) ? 6 : 0, &a);
	if (!delegates(w->fs))
		return dir->child[n];
	dir->child[n]->maker = w->fs;
	dir->child[n]->born_dir = dir;
	dir->child[n]->born_name = n;
	dir->slack++;
	return dir->child[n];
}

static uint32_t pick_type(struct worker *w)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO };

	return types[pick(w, 6)];
}

static void op_mknod(struct worker *w)
{
	struct node *dir = pick_dir(w);

	make(w, dir, pick_name(w, dir, false), pick_type(w));
}

/* A directory and some of what is in it, by one client in a row, two levels deep. */
static void op_mktree(struct worker *w)
{
	struct node *dir = pick_dir(w), *top, *sub;
	int i, n = pick(w, NAMES);

	top = w->live > LIVE_MAX ? NULL : make(w, dir, pick_name(w, dir, false), S_IFDIR);
	for (i = 0; top && i < n && !atomic_load(&failed); i++) {
		sub = make(w, top, i, pick_type(w));
		if (sub && is_dir(sub))
			make(w, sub, pick(w, NAMES), pick_type(w));
	}
}

static void op_look(struct worker *w)
{
	struct node *dir = pick_dir(w), *n;
	int name = pick_name(w, dir, pick(w, 4));
	struct flint_attr a;

	if (pick(w, 2)) {
		WHAT(w, "lookup in %llu of %d", (unsigned long long)dir->ino, name);
		n = dir->child[name];
		if (status(w, flint_fs_lookup(w->fs, dir->ino, names[name], &a), n ? 0 : ENOENT))
			same(w, n, &a);
		return;
	}
	n = w->nr_h && !pick(w, 4) ? w->h[pick(w, w->nr_h)].n : pick_any(w);
	WHAT(w, "getattr of %llu", (unsigned long long)n->ino);
	if (status(w, flint_fs_getattr(w->fs, n->ino, &a), 0))
		same(w, n, &a);
}

struct listing {
	struct worker *w;
	const struct node *dir;
	int nr;
	bool seen[NAMES];
};

static int list_one(void *arg, const struct flint_fs_entry *e)
{
	struct listing *l = arg;
	struct node *n;
	int i;

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	for (i = 0; i < NAMES && strcmp(names[i], e->name); i++)
		;
	n = i < NAMES ? l->dir->child[i] : NULL;
	if (!n || l->seen[i] || n->ino != e->ino)
		wrong(l->w, "entry '%s' (%llu) is not in the model", e->name,
		      (unsigned long long)e->ino);
	else if (e->has_attr)
		same(l->w, n, &e->attr);
	if (n)
		l->seen[i] = true;
	l->nr++;
	return 0;
}

static void list(struct worker *w, const struct node *dir)
{
	struct listing l = { .w = w, .dir = dir };

	WHAT(w, "readdir of %llu", (unsigned long long)dir->ino);
	if (status(w, flint_fs_readdir(w->fs, dir->ino, 0, pick(w, 2), list_one, &l), 0) &&
	    l.nr != dir->entries)
		wrong(w, "%d entries, the model has %d", l.nr, dir->entries);
}

static void op_setattr(struct worker *w)
{
	struct node *n = pick_any(w);
	struct flint_setattr set = { .ino = cpu_to_le64(n->ino) };
	struct flint_attr a;
	bool size = S_ISREG(n->mode) && pick(w, 2);
	uint64_t to = pick(w, 3) ? pick(w, 30000) : 0, before = n->size;

	if (n == w->root)
		return;
	WHAT(w, "set%s of %llu", size ? "size" : "attr", (unsigned long long)n->ino);
	if (size) {
		set.valid = cpu_to_le32(FLINT_SET_SIZE);
		set.size = cpu_to_le64(to);
	} else {
		set.valid = cpu_to_le32(FLINT_SET_MODE | FLINT_SET_UID);
		set.mode = cpu_to_le32(pick(w, 01000));
		set.uid = cpu_to_le32(pick(w, 4));
	}
	if (!status(w, flint_fs_setattr(w->fs, &set, &a), 0))
		return;
	if (size) {
		n->size = to;
		n->change += to != before;
		/* A cut of data, if there may be any, counts for itself. */
		if (to < before && le64_to_cpu(a.change) == n->change + 1)
			n->change++;
	} else {
		n->mode = (n->mode & S_IFMT) | le32_to_cpu(set.mode);
		n->uid = le32_to_cpu(set.uid);
		n->change++;
	}
	same(w, n, &a);
}

static void op_link(struct worker *w)
{
	struct node *dir = pick_dir(w), *n = pick_any(w);
	int name = pick_name(w, dir, false), want;
	struct flint_attr a;

	if (n == w->root)
		return;
	WHAT(w, "link %llu into %llu as %d", (unsigned long long)n->ino, (unsigned long long)dir->ino,
	     name);
	want = dir->child[name] ? EEXIST : is_dir(n) ? EPERM : 0;
	if (!status(w, flint_fs_link(w->fs, n->ino, dir->ino, names[name], &a), want))
		return;
	link_in(dir, name, n);
	n->change++;
	dir->change++;
	same(w, n, &a);
}

static void op_unlink(struct worker *w)
{
	struct node *dir = pick_dir(w), *n;
	int name = pick_name(w, dir, true), want;
	bool rmdir;

	n = dir->child[name];
	rmdir = (n && is_dir(n)) ^ !pick(w, 10);
	if (w->nr_trash == TRASH_MAX)
		return;
	WHAT(w, "%s in %llu of %d", rmdir ? "rmdir" : "unlink", (unsigned long long)dir->ino, name);
	want = !n ? ENOENT : rmdir && !is_dir(n) ? ENOTDIR : !rmdir && is_dir(n) ? EISDIR :
	       rmdir && n->entries ? ENOTEMPTY : 0;
	if (!status(w, rmdir ? flint_fs_rmdir(w->fs, dir->ino, names[name]) :
			       flint_fs_unlink(w->fs, dir->ino, names[name]), want))
		return;
	if (is_dir(n) && !w->keep)
		trash_orphaned(w, n);
	name_goes(w, dir, name);
	dir->change++;
}

static int rename_want(struct node *od, int on, struct node *nd, int nn, uint32_t flags)
{
	struct node *src = od->child[on], *dst = nd->child[nn];
	bool xchg = flags == FLINT_RENAME_EXCHANGE;

	if (!src)
		return ENOENT;
	if (dst && flags == FLINT_RENAME_NOREPLACE)
		return EEXIST;
	if (!dst && xchg)
		return ENOENT;
	if (is_dir(src) && od != nd && under(nd, src))
		return EINVAL;
	if (dst && is_dir(dst) && od != nd && under(od, dst))
		return xchg ? EINVAL : ENOTEMPTY;
	if (src == dst || xchg || !dst)
		return 0;
	if (is_dir(src) && !is_dir(dst))
		return ENOTDIR;
	if (!is_dir(src) && is_dir(dst))
		return EISDIR;
	return dst->entries ? ENOTEMPTY : 0;
}

static void op_rename(struct worker *w)
{
	struct node *od = pick_dir(w), *nd = pick(w, 3) ? pick_dir(w) : od, *src, *dst;
	int on = pick_name(w, od, true), nn = pick_name(w, nd, pick(w, 2));
	uint32_t flags = pick(w, 6) % 3;

	if (w->nr_trash == TRASH_MAX)
		return;
	WHAT(w, "rename %u of %d in %llu to %d in %llu", flags, on, (unsigned long long)od->ino, nn,
	     (unsigned long long)nd->ino);
	if (!status(w, flint_fs_rename(w->fs, od->ino, names[on], nd->ino, names[nn], flags),
		    rename_want(od, on, nd, nn, flags)))
		return;
	src = od->child[on];
	dst = nd->child[nn];
	if (src == dst)
		return;
	link_out(od, on);
	if (dst && flags == FLINT_RENAME_EXCHANGE) {
		link_out(nd, nn);
		link_in(od, on, dst);
		dst->change++;
	} else if (dst) {
		if (is_dir(dst) && !w->keep)
			trash_orphaned(w, dst);
		name_goes(w, nd, nn);
	}
	link_in(nd, nn, src);
	src->change++;
	od->change++;
	nd->change += nd != od;
}

static void op_open(struct worker *w)
{
	struct node *dir = pick_dir(w), *n;
	int name = pick_name(w, dir, pick(w, 3)), rc, want;
	uint32_t flags = FLINT_OPEN_READ | (pick(w, 2) ? FLINT_OPEN_CREATE : 0);
	struct flint_file *f = NULL;
	struct flint_attr a;

	if (flags & FLINT_OPEN_CREATE)
		flags |= FLINT_OPEN_WRITE | (pick(w, 2) ? FLINT_OPEN_EXCL : 0);
	n = dir->child[name];
	if (w->nr_h == HANDLES || (n && !S_ISREG(n->mode)))
		return;
	WHAT(w, "open %x in %llu of %d", flags, (unsigned long long)dir->ino, name);
	want = n ? flags & FLINT_OPEN_EXCL ? EEXIST : 0 : flags & FLINT_OPEN_CREATE ? 0 : ENOENT;
	rc = flint_fs_open_file(w->fs, dir->ino, names[name], flags, 0644, &f);
	if (!status(w, rc, want))
		return;
	flint_file_attr(f, &a);
	if (!n) {
		born(w, dir, name, S_IFREG | 0644, 0, &a);
		n = dir->child[name];
	}
	same(w, n, &a);
	n->opens++;
	w->h[w->nr_h++] = (struct handle){ n, f };
}

static void handle_close(struct worker *w, int i)
{
	struct node *n = w->h[i].n;

	WHAT(w, "close of %llu", (unsigned long long)n->ino);
	status(w, flint_file_close(w->h[i].f), 0);
	w->h[i] = w->h[--w->nr_h];
	n->opens--;
	node_put(w, n);
}

static void op_close(struct worker *w)
{
	if (w->nr_h)
		handle_close(w, pick(w, w->nr_h));
}

static void op_xattr(struct worker *w)
{
	struct node *n = pick_any(w);
	uint8_t value = rnd(w), got;
	int rc, want;

	if (n == w->root || (!S_ISREG(n->mode) && !is_dir(n)))
		return;
	WHAT(w, "xattr of %llu", (unsigned long long)n->ino);
	switch (pick(w, 4)) {
	case 0:
		if (status(w, flint_fs_setxattr(w->fs, n->ino, "user.x", &value, 1, 0), 0)) {
			n->user_x = value;
			n->change++;
		}
		break;
	case 1:
		want = n->user_x < 0 ? ENODATA : 0;
		if (status(w, flint_fs_removexattr(w->fs, n->ino, "user.x"), want)) {
			n->user_x = -1;
			n->change++;
		}
		break;
	default:
		rc = flint_fs_getxattr(w->fs, n->ino, "user.x", &got, 1);
		if (rc != (n->user_x < 0 ? -ENODATA : 1) || (rc == 1 && got != n->user_x))
			wrong(w, "status %d, value %d, the model has %d", rc, rc == 1 ? got : -1,
			      n->user_x);
	}
}

static void op_rmtree(struct worker *w)
{
	struct node *dir = pick_dir(w), *n;
	int name = pick_name(w, dir, true), files = 0;
	struct flint_rmtree_rep rep;

	n = dir->child[name];
	if (!n || !is_dir(n) || !closed_tree(n, &files) || w->nr_trash == TRASH_MAX || pick(w, 4))
		return;
	reach_tree(w, n);
	WHAT(w, "rmtree in %llu of %d", (unsigned long long)dir->ino, name);
	if (!status(w, flint_fs_rmtree(w->fs, dir->ino, names[name], 0, &rep), 0))
		return;
	if (!w->keep)
		tree_goes(w, n);
	if (!w->keep)
		trash_orphaned(w, n);
	name_goes(w, dir, name);
	dir->change++;
}

static void op_restore(struct worker *w)
{
	struct node *dir;
	struct flint_attr a;
	struct trash t;
	bool home;
	int i, want;

	if (!w->nr_trash)
		return;
	i = pick(w, w->nr_trash);
	t = w->trash[i];
	home = pick(w, 3);
	if (!home) {
		t.parent = pick_dir(w);
		t.name = pick_name(w, t.parent, false);
		dir = t.parent;
	} else {
		dir = t.parent && in_tree(w, t.parent) ? t.parent : NULL;
	}
	WHAT(w, "restore %llu to %llu as %d", (unsigned long long)t.n->ino,
	     (unsigned long long)(dir ? dir->ino : 0), t.name);
	want = !dir ? ENOENT : dir->child[t.name] ? EEXIST : 0;
	if (!status(w, flint_fs_trash_restore(w->fs, t.n->ino, home ? 0 : dir->ino,
					      home ? NULL : names[t.name], &a), want))
		return;
	w->trash[i] = w->trash[--w->nr_trash];
	t.n->trashed = false;
	link_in(dir, t.name, t.n);
	t.n->change++;
	dir->change++;
	same(w, t.n, &a);
}

/* Out of the trash for good. */
static void op_empty(struct worker *w)
{
	int i = w->nr_trash ? (int)pick(w, w->nr_trash) : -1, files = 0;
	struct node *n;

	if (i < 0)
		return;
	n = w->trash[i].n;
	if (is_dir(n) ? !closed_tree(n, &files) : n->opens)
		return;
	WHAT(w, "empty %llu from the trash", (unsigned long long)n->ino);
	if (!status(w, flint_fs_trash_empty(w->fs, n->ino, 0, NULL), 0))
		return;
	w->trash[i] = w->trash[--w->nr_trash];
	if (is_dir(n))
		tree_goes(w, n);
	n->trashed = false;
	node_put(w, n);
}

static void one(struct worker *w)
{
	static void (*const ops[])(struct worker *w) = {
		op_mknod, op_mknod, op_mknod, op_mktree, op_look, op_look, op_look, op_look, op_look, op_setattr,
		op_setattr, op_link, op_unlink, op_unlink, op_rename, op_rename, op_open, op_close,
		op_xattr, op_xattr, op_rmtree, op_restore, op_empty, op_sync,
	};
	uint64_t start = flint_now_ns();
	unsigned int at;

	at = pick(w, o.clients);
	w->fs = client[at];
	w->what[0] = 0;
	if (w->live > LIVE_MAX && pick(w, 3))
		op_unlink(w);
	else if (!pick(w, 24))
		list(w, pick_dir(w));
	else
		ops[pick(w, sizeof(ops) / sizeof(ops[0]))](w);
	snprintf(w->told[w->done % TOLD], sizeof(w->told[0]), "at %.3f, client %u, took %llu ms: %s",
		 start / 1e9, at, (unsigned long long)(flint_now_ns() - start) / 1000000, w->what);
	w->done++;
	if (verbose && w->what[0])
		fprintf(stderr, "%u: %s\n", w->at, w->what);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (w->done < o.ops / o.threads && !atomic_load(&failed) &&
	       (!end_ns || flint_now_ns() < end_ns))
		one(w);
	while (w->nr_h && !atomic_load(&failed))
		handle_close(w, 0);
	return NULL;
}

/* ---- beginning and end ------------------------------------------------------------------ */

static struct flint_fs *open_client(const char *name, bool leases, bool delegate)
{
	struct flint_fs_config cfg = {
		.mgrs = o.mgr, .fs_name = o.fs, .key = key, .name = name, .leases = leases,
		.delegate = delegate };
	char err[256];
	struct flint_fs *fs = flint_fs_open(&cfg, err, sizeof(err));

	if (!fs) {
		fprintf(stderr, "%s\n", err);
		exit(1);
	}
	return fs;
}

static void worker_init(struct worker *w, unsigned int at)
{
	char name[64];
	struct flint_attr a;
	int rc;

	w->at = at;
	w->rng = o.seed * 1000003 + at * 7919 + 1;
	w->keep = at % 2 == 0;
	w->root = node_new(w, S_IFDIR | 0755);
	w->root->refs = 1;
	snprintf(name, sizeof(name), "model-%llu-%d-%u", (unsigned long long)o.seed, (int)getpid(), at);
	rc = flint_fs_mkdir(client[0], le64_to_cpu(flint_fs_root(client[0])->ino), name, 0755, &a);
	w->root->ino = le64_to_cpu(a.ino);
	if (!rc)
		rc = flint_fs_trash_set(client[0], w->root->ino, w->keep ? KEEP_S : 0);
	if (!rc)
		rc = flint_fs_getattr(client[0], w->root->ino, &a);
	w->root->change = le64_to_cpu(a.change);
	if (rc) {
		fprintf(stderr, "no directory to work in: %s\n", strerror(-rc));
		exit(1);
	}
}

/* The whole tree, through a client that knows nothing yet. */
static void compare(struct worker *w, struct node *dir)
{
	struct flint_attr a;
	int i;

	if (status(w, flint_fs_getattr(w->fs, dir->ino, &a), 0))
		same(w, dir, &a);
	list(w, dir);
	for (i = 0; i < NAMES; i++) {
		struct node *n = dir->child[i];

		if (!n)
			continue;
		if (is_dir(n))
			compare(w, n);
		else if (status(w, flint_fs_lookup(w->fs, dir->ino, names[i], &a), 0))
			same(w, n, &a);
	}
}

int main(int argc, char **argv)
{
	struct flint_fs_stats st;
	uint64_t done = 0, refused = 0, hits = 0, reclaimed = 0, delegated = 0, begin;
	char err[256] = "", name[32];
	unsigned int i;

	flint_conf_parse_or_exit(&spec, argc, argv, &o, &verbose);
	flint_log_init("flint-modeltest", FLINT_LOG_ERR);
	if (flint_key_load(o.key, key, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		return 2;
	}
	for (i = 0; i < o.clients; i++) {
		snprintf(name, sizeof(name), "model%u", i);
		client[i] = open_client(name, i != 1, i % 2 == 0);	/* one of them keeps nothing */
	}
	begin = flint_now_ns();
	end_ns = o.seconds ? begin + o.seconds * 1000000000ull : 0;
	for (i = 0; i < o.threads; i++)
		worker_init(&worker[i], i);
	for (i = 0; i < o.threads; i++)
		pthread_create(&worker[i].thread, NULL, work, &worker[i]);
	for (i = 0; i < o.threads; i++) {
		pthread_join(worker[i].thread, NULL);
		done += worker[i].done;
		refused += worker[i].refused;
	}
	for (i = 0; i < o.clients; i++) {
		flint_fs_stats(client[i], &st);
		hits += st.cached_attr + st.cached_lookup + st.cached_negative + st.cached_open +
			st.cached_readdir;
		reclaimed += st.reclaimed;
		delegated += st.delegated;
		if (!atomic_load(&failed))
			flint_fs_close(client[i]);
	}
	printf("# seed %llu: %llu operations in %llu ms, %llu refused as they should be, %llu answered from memory, %llu delegated creates, %llu leases reclaimed\n",
	       (unsigned long long)o.seed, (unsigned long long)done,
	       (unsigned long long)((flint_now_ns() - begin) / 1000000),
	       (unsigned long long)refused, (unsigned long long)hits,
	       (unsigned long long)delegated, (unsigned long long)reclaimed);
	if (!atomic_load(&failed)) {
		client[0] = open_client("compare", true, false);
		for (i = 0; i < o.threads; i++) {
			worker[i].fs = client[0];
			compare(&worker[i], worker[i].root);
		}
		flint_fs_close(client[0]);
	}
	flint_conf_free(&spec, &o);
	return atomic_load(&failed) ? 1 : 0;
}
