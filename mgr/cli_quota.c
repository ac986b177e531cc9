// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint quota: limits by directory tree, user, group and project, and the
 * comparison of what they count with what is there.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli_fs.h"

/* Whose quota a command means. */
struct whose {
	uint32_t kind;
	uint64_t id;
	char name[FLINT_PATH_MAX + 1];
};

static const char *const kinds[] = { "", "tree", "user", "group", "project" };

static int id_parse(uint32_t kind, const char *s, uint64_t *id)
{
	struct passwd *pw = kind == FLINT_QUOTA_USER ? getpwnam(s) : NULL;
	struct group *gr = kind == FLINT_QUOTA_GROUP ? getgrnam(s) : NULL;
	char *end;

	if (!strcmp(s, "default")) {
		*id = FLINT_QUOTA_DEFAULT;
		return 0;
	}
	if (pw || gr) {
		*id = pw ? pw->pw_uid : gr->gr_gid;
		return 0;
	}
	errno = 0;
	*id = strtoull(s, &end, 10);
	if (errno || *end || end == s || *s == '-' || *id >= FLINT_QUOTA_DEFAULT)
		return cli_fail("there is no %s '%s': give a name, a number or 'default'",
				kinds[kind], s);
	return 0;
}

/* From --user, --group, --project; none: the tree of the place. 0, or 1 after a message. */
static int whose_parse(struct cli *c, const struct cli_place *p, struct whose *w)
{
	static const enum cli_opt opt[] = { 0, 0, CLI_OPT_USER, CLI_OPT_GROUP, CLI_OPT_PROJECT };
	uint32_t k;

	w->kind = FLINT_QUOTA_TREE;
	w->id = le64_to_cpu(p->attr.ino);
	snprintf(w->name, sizeof(w->name), "%s", p->path);
	for (k = FLINT_QUOTA_USER; k <= FLINT_QUOTA_PROJECT; k++) {
		const char *s = cli_opt(c, opt[k]);

		if (!s)
			continue;
		if (w->kind != FLINT_QUOTA_TREE)
			return cli_fail("give one of --user, --group and --project");
		w->kind = k;
		snprintf(w->name, sizeof(w->name), "%s", s);
		if (id_parse(k, s, &w->id))
			return 1;
	}
	if (w->kind == FLINT_QUOTA_TREE && (le32_to_cpu(p->attr.mode) & 0170000) != 0040000)
		return cli_fail("%s:%s is no directory", p->fs_name, p->path);
	return 0;
}

static const char *limit(uint64_t n, bool bytes, char *buf, size_t len)
{
	if (!n)
		return "-";
	if (bytes)
		return cli_bytes(n, buf, len);
	snprintf(buf, len, "%llu", (unsigned long long)n);
	return buf;
}

static json_t *quota_json(const char *name, const struct flint_quota *q)
{
	return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "kind", kinds[le32_to_cpu(q->kind)], "name", cli_json_name(name),
			 "id", (json_int_t)le64_to_cpu(q->id),
			 "space", (json_int_t)le64_to_cpu(q->space),
			 "space_soft", (json_int_t)le64_to_cpu(q->space_soft),
			 "space_hard", (json_int_t)le64_to_cpu(q->space_hard),
			 "inodes", (json_int_t)le64_to_cpu(q->inodes),
			 "inode_soft", (json_int_t)le64_to_cpu(q->inode_soft),
			 "inode_hard", (json_int_t)le64_to_cpu(q->inode_hard),
			 "grace", (json_int_t)(q->grace ? le32_to_cpu(q->grace) : FLINT_QUOTA_GRACE),
			 "space_since", (json_int_t)(le64_to_cpu(q->space_since) / 1000000000),
			 "inode_since", (json_int_t)(le64_to_cpu(q->inode_since) / 1000000000));
}

static void quota_print(const char *name, const struct flint_quota *q)
{
	char a[32], b[32], d[32], e[32], f[32], g[32];

	printf("%-8s %-24s %10s%c %10s %10s %10s%c %10s %10s\n", kinds[le32_to_cpu(q->kind)], name,
	       cli_bytes(le64_to_cpu(q->space), a, sizeof(a)), q->space_since ? '+' : ' ',
	       limit(le64_to_cpu(q->space_soft), true, b, sizeof(b)),
	       limit(le64_to_cpu(q->space_hard), true, d, sizeof(d)),
	       q->inodes ? limit(le64_to_cpu(q->inodes), false, e, sizeof(e)) : "0",
	       q->inode_since ? '+' : ' ',
	       limit(le64_to_cpu(q->inode_soft), false, f, sizeof(f)),
	       limit(le64_to_cpu(q->inode_hard), false, g, sizeof(g)));
}

static void quota_head(void)
{
	printf("%-8s %-24s %10s  %10s %10s %10s  %10s %10s\n", "KIND", "NAME", "SPACE", "SOFT",
	       "HARD", "INODES", "SOFT", "HARD");
}

static void quota_show(struct cli *c, const char *name, const struct flint_quota *q)
{
	json_t *o;

	if (!cli_opt(c, CLI_OPT_JSON)) {
		quota_head();
		quota_print(name, q);
		return;
	}
	o = quota_json(name, q);
	cli_print_json(o);
	json_decref(o);
}

/* A limit: 0 and "none" take it away; not given: as it was. 0, or 1 after a message. */
static int limit_parse(struct cli *c, enum cli_opt o, const char *name, bool bytes, __le64 *out)
{
	const char *s = cli_opt(c, o);
	uint64_t v;

	if (!s)
		return 0;
	if (!strcmp(s, "none") || !strcmp(s, "0"))
		v = 0;
	else if (bytes ? cli_size(c, o, name, 0, &v) :
			 cli_number(c, o, name, 0, 1, INT64_MAX, &v))
		return 1;
	*out = cpu_to_le64(v);
	return 0;
}

static int quota_change(struct cli *c, bool remove)
{
	struct flint_quota_set set = { 0 };
	struct flint_quota q;
	struct cli_place p;
	struct whose w;
	uint64_t grace = 0;
	int rc = 1;

	if (cli_place_open(c, c->words[0], true, &p))
		return 1;
	if (whose_parse(c, &p, &w))
		goto out;
	rc = flint_fs_quota_get(p.fs, w.kind, w.id, &q);
	if (rc)
		goto fail;
	set.kind = cpu_to_le32(w.kind);
	set.id = cpu_to_le64(w.id);
	if (!remove) {
		const char *s = cli_opt(c, CLI_OPT_GRACE);

		set.space_soft = q.space_soft;
		set.space_hard = q.space_hard;
		set.inode_soft = q.inode_soft;
		set.inode_hard = q.inode_hard;
		set.grace = q.grace;
		rc = 1;
		if (limit_parse(c, CLI_OPT_SOFT, "soft", true, &set.space_soft) ||
		    limit_parse(c, CLI_OPT_HARD, "hard", true, &set.space_hard) ||
		    limit_parse(c, CLI_OPT_ISOFT, "inodes-soft", false, &set.inode_soft) ||
		    limit_parse(c, CLI_OPT_IHARD, "inodes-hard", false, &set.inode_hard))
			goto out;
		if (s && cli_duration(s, &grace)) {
			cli_fail("--grace takes a time such as 7d, 12h or 600s, not '%s'", s);
			goto out;
		}
		if (s)
			set.grace = cpu_to_le32(grace);
	}
	rc = flint_fs_quota_set(p.fs, &set, &q);
	if (!rc)
		quota_show(c, w.name, &q);
	if (rc == -EINVAL) {
		cli_fail("a soft limit must not be above its hard limit");
		goto out;
	}
fail:
	if (rc)
		cli_fs_fail(&p, p.path, rc);
out:
	cli_place_close(&p);
	return rc ? 1 : 0;
}

int cli_quota_set(struct cli *c)
{
	return quota_change(c, false);
}

int cli_quota_rm(struct cli *c)
{
	return quota_change(c, true);
}

int cli_quota_get(struct cli *c)
{
	struct flint_quota q;
	struct cli_place p;
	struct whose w;
	int rc = 1;

	if (cli_place_open(c, c->words[0], true, &p))
		return 1;
	if (!whose_parse(c, &p, &w)) {
		rc = flint_fs_quota_get(p.fs, w.kind, w.id, &q);
		if (rc)
			cli_fs_fail(&p, p.path, rc);
		else
			quota_show(c, w.name, &q);
	}
	cli_place_close(&p);
	return rc ? 1 : 0;
}

/* ---- ls ---------------------------------------------------------------------------- */

struct listing {
	struct cli *c;
	struct flint_fs *fs;
	json_t *list;
};

static int list_one(void *arg, const struct flint_quota *q)
{
	uint32_t kind = le32_to_cpu(q->kind);
	uint64_t id = le64_to_cpu(q->id);
	struct listing *l = arg;
	struct passwd *pw = kind == FLINT_QUOTA_USER ? getpwuid(id) : NULL;
	struct group *gr = kind == FLINT_QUOTA_GROUP ? getgrgid(id) : NULL;
	char name[FLINT_PATH_MAX + 2];

	if (kind < FLINT_QUOTA_TREE || kind > FLINT_QUOTA_PROJECT)
		return -EPROTO;
	if (kind != FLINT_QUOTA_TREE && id == FLINT_QUOTA_DEFAULT)
		snprintf(name, sizeof(name), "default");
	else if (kind == FLINT_QUOTA_TREE && !flint_fs_path(l->fs, id, name))
		;
	else if (pw || gr)
		snprintf(name, sizeof(name), "%s", pw ? pw->pw_name : gr->gr_name);
	else
		snprintf(name, sizeof(name), "%llu", (unsigned long long)id);
	if (cli_opt(l->c, CLI_OPT_JSON))
		json_array_append_new(l->list, quota_json(name, q));
	else
		quota_print(name, q);
	return 0;
}

int cli_quota_ls(struct cli *c)
{
	struct listing l = { .c = c, .list = json_array() };
	struct cli_place p;
	uint32_t kind;
	int rc = 0;

	if (cli_place_open(c, c->words[0], true, &p))
		return 1;
	l.fs = p.fs;
	if (!cli_opt(c, CLI_OPT_JSON))
		quota_head();
	for (kind = FLINT_QUOTA_TREE; !rc && kind <= FLINT_QUOTA_PROJECT; kind++)
		rc = flint_fs_quota_list(p.fs, kind, list_one, &l);
	if (rc)
		cli_fs_fail(&p, p.path, rc);
	else if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(l.list);
	json_decref(l.list);
	cli_place_close(&p);
	return rc ? 1 : 0;
}

/* ---- check: the totals against a walk ------------------------------------------------ */

struct check {
	struct flint_fs *fs;
	uint64_t bytes, files, dirs;	/* seen by the walk */
	uint64_t linked;		/* files with several names */
	uint64_t *todo;
	size_t nr, room;
};

static int check_one(void *arg, const struct flint_fs_entry *e)
{
	struct check *k = arg;
	uint64_t *more;

	if ((le32_to_cpu(e->attr.mode) & 0170000) != 0040000) {
		k->files++;
		k->bytes += le64_to_cpu(e->attr.bytes);
		k->linked += le32_to_cpu(e->attr.nlink) > 1;
		return 0;
	}
	k->dirs++;
	if (k->nr == k->room) {
		more = realloc(k->todo, (k->room * 2 + 64) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		k->todo = more;
		k->room = k->room * 2 + 64;
	}
	k->todo[k->nr++] = e->ino;
	return 0;
}

static int check_walk(struct check *k, uint64_t top)
{
	int rc = flint_fs_readdir(k->fs, top, 0, true, check_one, k);

	while (!rc && k->nr) {
		rc = flint_fs_readdir(k->fs, k->todo[--k->nr], 0, true, check_one, k);
		if (rc == -ESTALE)
			rc = 0;		/* removed in between */
	}
	return rc;
}

int cli_quota_check(struct cli *c)
{
	struct flint_dirstat st;
	struct check k = { 0 };
	struct cli_place p;
	bool same;
	int rc;

	if (cli_place_open(c, c->words[0], true, &p))
		return 1;
	k.fs = p.fs;
	rc = check_walk(&k, le64_to_cpu(p.attr.ino));
	if (!rc)
		rc = flint_fs_dirstat(p.fs, le64_to_cpu(p.attr.ino), &st);
	free(k.todo);
	if (rc) {
		cli_fs_fail(&p, p.path, rc);
		cli_place_close(&p);
		return 1;
	}
	/* A file with several names is seen several times, or not at all, by the walk. */
	same = k.dirs == le64_to_cpu(st.dirs) &&
	       (k.linked || (k.files == le64_to_cpu(st.files) && k.bytes == le64_to_cpu(st.bytes)));
	if (cli_opt(c, CLI_OPT_JSON)) {
		json_t *o = json_pack("{s:b, s:{s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I}}", "same", same,
				      "totals", "bytes", (json_int_t)le64_to_cpu(st.bytes), "files",
				      (json_int_t)le64_to_cpu(st.files), "directories",
				      (json_int_t)le64_to_cpu(st.dirs), "walk", "bytes",
				      (json_int_t)k.bytes, "files", (json_int_t)k.files,
				      "directories", (json_int_t)k.dirs, "names_of_linked_files",
				      (json_int_t)k.linked);

		cli_print_json(o);
		json_decref(o);
	} else if (same) {
		printf("%s:%s: totals agree with a walk: %llu bytes, %llu files, %llu directories%s\n",
		       p.fs_name, p.path, (unsigned long long)le64_to_cpu(st.bytes),
		       (unsigned long long)le64_to_cpu(st.files),
		       (unsigned long long)k.dirs,
		       k.linked ? " (files with several names count once, in one directory)" : "");
	} else {
		cli_fail("%s:%s: totals say %llu bytes, %llu files, %llu directories, a walk found %llu,"
			 " %llu, %llu: repeat it while nothing changes there, then run 'flint meta"
			 " verify'", p.fs_name, p.path, (unsigned long long)le64_to_cpu(st.bytes),
			 (unsigned long long)le64_to_cpu(st.files),
			 (unsigned long long)le64_to_cpu(st.dirs), (unsigned long long)k.bytes,
			 (unsigned long long)k.files, (unsigned long long)k.dirs);
	}
	cli_place_close(&p);
	return same ? 0 : 1;
}
