// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint trash: what was deleted and is kept, by path.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli_fs.h"

/* An entry of the trash, as far as these commands need it. */
struct item {
	uint64_t id;
	struct flint_trash_ent e;
	char *path;			/* begins with a slash */
};

struct items {
	struct item *v;
	size_t nr, room;
	const char *below;		/* only these: the path itself and what lies below */
	uint64_t id;			/* only this one, 0: any */
};

static bool path_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	if (n == 1)
		return true;
	return !strncmp(path, top, n) && (!path[n] || path[n] == '/');
}

static int collect(void *arg, const struct flint_trash_ent *e, const char *path)
{
	struct items *l = arg;
	struct item *more;
	char *p;

	if (asprintf(&p, "/%.*s", (int)le16_to_cpu(e->path_len), path) < 0)
		return -ENOMEM;
	if ((l->id && l->id != le64_to_cpu(e->id)) || (l->below && !path_below(p, l->below))) {
		free(p);
		return 0;
	}
	if (l->nr == l->room) {
		more = realloc(l->v, (l->room * 2 + 64) * sizeof(*more));
		if (!more) {
			free(p);
			return -ENOMEM;
		}
		l->v = more;
		l->room = l->room * 2 + 64;
	}
	l->v[l->nr++] = (struct item){ .id = le64_to_cpu(e->id), .e = *e, .path = p };
	return 0;
}

static void items_free(struct items *l)
{
	size_t i;

	for (i = 0; i < l->nr; i++)
		free(l->v[i].path);
	free(l->v);
}

/* Directories before what was deleted out of them. */
static int by_path(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int d = strcmp(x->path, y->path);

	if (d)
		return d;
	return x->e.deleted < y->e.deleted ? 1 : -1;
}

static int items_get(struct cli_place *p, struct items *l)
{
	int rc = flint_fs_trash_list(p->fs, collect, l);

	if (rc)
		return cli_fs_fail(p, "trash", rc);
	if (l->nr)
		qsort(l->v, l->nr, sizeof(*l->v), by_path);
	return 0;
}

static void print_time(uint64_t ns, char *buf, size_t len)
{
	time_t t = ns / 1000000000;
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(buf, len, "%Y-%m-%d %H:%M", &tm);
}

static json_t *item_json(const struct item *i)
{
	return json_pack("{s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "id", (json_int_t)i->id,
			 "path", cli_json_name(i->path), "uid",
			 (json_int_t)le32_to_cpu(i->e.uid),
			 "deleted", (json_int_t)(le64_to_cpu(i->e.deleted) / 1000000000),
			 "expires", (json_int_t)(le64_to_cpu(i->e.expires) / 1000000000),
			 "bytes", (json_int_t)le64_to_cpu(i->e.bytes),
			 "files", (json_int_t)le64_to_cpu(i->e.files),
			 "directories", (json_int_t)le64_to_cpu(i->e.dirs),
			 "directory", (le32_to_cpu(i->e.mode) & 0170000) == 0040000);
}

int cli_trash_ls(struct cli *c)
{
	struct items l = { 0 };
	char when[32], until[32], size[32];
	json_t *list;
	struct cli_place p;
	size_t i;
	int rc;

	if (cli_place_open(c, c->words[0], false, &p))
		return 1;
	l.below = p.path;
	rc = items_get(&p, &l);
	list = json_array();
	for (i = 0; !rc && i < l.nr; i++) {
		if (cli_opt(c, CLI_OPT_JSON)) {
			json_array_append_new(list, item_json(&l.v[i]));
			continue;
		}
		if (!i)
			printf("%-10s %-16s  %-16s %10s  %s\n", "ID", "DELETED", "KEPT UNTIL", "SIZE",
			       "PATH");
		print_time(le64_to_cpu(l.v[i].e.deleted), when, sizeof(when));
		print_time(le64_to_cpu(l.v[i].e.expires), until, sizeof(until));
		printf("%-10llu %-16s  %-16s %10s  %s%s\n", (unsigned long long)l.v[i].id, when, until,
		       cli_bytes(le64_to_cpu(l.v[i].e.bytes), size, sizeof(size)), l.v[i].path,
		       (le32_to_cpu(l.v[i].e.mode) & 0170000) == 0040000 ? "/" : "");
	}
	if (!rc && cli_opt(c, CLI_OPT_JSON))
		cli_print_json(list);
	json_decref(list);
	items_free(&l);
	cli_place_close(&p);
	return rc;
}

/* Why one could not be restored. Return: 1. */
static int restore_fail(const struct cli_place *p, const struct item *i, int err)
{
	switch (err) {
	case -ENOENT:
		return cli_fail("%s:%s: the directory it was in is gone: restore that first, or say"
				" where to put it with --to", p->fs_name, i->path);
	case -EEXIST:
		return cli_fail("%s:%s: something else has that name now: say where to put it with --to",
				p->fs_name, i->path);
	case -EPERM:
		return cli_fail("%s:%s belongs to someone else", p->fs_name, i->path);
	default:
		return cli_fs_fail(p, i->path, err);
	}
}

/* The entries that a command means: by id, or all at and below its path. 0, or 1. */
static int select_items(struct cli *c, struct cli_place *p, struct items *l)
{
	uint64_t id;

	if (cli_number(c, CLI_OPT_ID, "id", 0, 1, UINT64_MAX, &id))
		return 1;
	l->id = id;
	l->below = p->path;
	if (items_get(p, l))
		return 1;
	if (!l->nr)
		return cli_fail("%s:%s: the trash has nothing of that name: 'flint trash ls %s:/' lists it",
				p->fs_name, p->path, p->fs_name);
	return 0;
}

/* To another place: one entry only. 0, or 1 after a message. */
static int restore_to(struct cli *c, struct cli_place *p, const struct items *l)
{
	char path[FLINT_PATH_MAX + 1];
	struct flint_attr attr;
	const char *name = NULL;
	uint64_t dir;
	int rc;

	if (l->nr != 1)
		return cli_fail("--to is for one entry and %s means %zu: choose one with --id",
				c->words[0], l->nr);
	if (cli_place_path(p, cli_opt(c, CLI_OPT_TO), path, sizeof(path)))
		return 1;
	if (!flint_fs_walk(p->fs, path, &attr) && (le32_to_cpu(attr.mode) & 0170000) == 0040000)
		dir = le64_to_cpu(attr.ino);
	else if (cli_place_parent(p, path, &dir, &name))
		return 1;
	rc = flint_fs_trash_restore(p->fs, l->v[0].id, dir, name, NULL);
	return rc ? restore_fail(p, &l->v[0], rc) : 0;
}

/* Is it this one's own trouble, and the next one may be restored all the same? */
static bool restore_goes_on(int err)
{
	return err == -ENOENT || err == -EEXIST || err == -EPERM;
}

/*
 * Every entry to where it was. One that cannot go there does not keep the others: what a run
 * that was interrupted has restored may be in the way of an older one. 0, or 1 after messages.
 */
static int restore_all(struct cli_place *p, const struct items *l, size_t *done)
{
	int rc = 0, err = 0;
	size_t i;

	for (i = 0; i < l->nr && (!err || restore_goes_on(err)); i++) {
		err = 0;
		/* Of several that had one name, the newest. */
		if (!l->id && i && !strcmp(l->v[i].path, l->v[i - 1].path))
			continue;
		err = flint_fs_trash_restore(p->fs, l->v[i].id, 0, NULL, NULL);
		if (err)
			rc = restore_fail(p, &l->v[i], err);
		else
			++*done;
	}
	return rc;
}

int cli_trash_restore(struct cli *c)
{
	struct items l = { 0 };
	struct cli_place p;
	size_t done = 0;
	int rc;

	if (cli_place_open(c, c->words[0], false, &p))
		return 1;
	rc = select_items(c, &p, &l);
	if (!rc && cli_opt(c, CLI_OPT_TO)) {
		rc = restore_to(c, &p, &l);
		done = !rc;
	} else if (!rc) {
		rc = restore_all(&p, &l, &done);
	}
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"restored\": %zu}\n", done);
	else if (done)
		printf("%zu restored\n", done);
	items_free(&l);
	cli_place_close(&p);
	return rc;
}

int cli_trash_empty(struct cli *c)
{
	const char *s = cli_opt(c, CLI_OPT_OLDER);
	struct items l = { 0 };
	struct cli_place p;
	uint64_t secs = 0, nr = 0, one;
	struct timespec now;
	size_t i;
	int rc = 0;

	if (s && cli_duration(s, &secs))
		return cli_fail("--older takes a time such as 30d, 12h or 0s, not '%s'", s);
	if (cli_place_open(c, c->words[0], false, &p))
		return 1;
	clock_gettime(CLOCK_REALTIME, &now);
	if (!strcmp(p.path, "/") && !cli_opt(c, CLI_OPT_ID)) {
		/* Nothing is older than the epoch. A time of 0 would mean all there is. */
		if (!s || secs < (uint64_t)now.tv_sec)
			rc = flint_fs_trash_empty(p.fs, 0, s ? (now.tv_sec - secs) * 1000000000ull : 0,
						  &nr);
		if (rc)
			rc = cli_fs_fail(&p, "trash", rc);
	} else {
		rc = select_items(c, &p, &l);
		for (i = 0; !rc && i < l.nr; i++) {
			if (s && le64_to_cpu(l.v[i].e.deleted) / 1000000000 + secs > (uint64_t)now.tv_sec)
				continue;
			rc = flint_fs_trash_empty(p.fs, l.v[i].id, 0, &one);
			if (!rc)
				nr += one;
			else if (rc == -ENOENT)
				rc = 0;		/* it expired, or somebody was quicker */
			else
				rc = cli_fs_fail(&p, l.v[i].path, rc);
		}
	}
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"removed\": %llu}\n", (unsigned long long)nr);
	else if (!rc)
		printf("%llu removed from the trash\n", (unsigned long long)nr);
	items_free(&l);
	cli_place_close(&p);
	return rc;
}

int cli_trash_keep(struct cli *c)
{
	const char *s = c->words[1];
	struct cli_place p;
	uint64_t secs;
	int rc;

	if (!strcmp(s, "off"))
		secs = 0;
	else if (!strcmp(s, "inherit"))
		secs = FLINT_TRASH_INHERIT;
	else if (cli_duration(s, &secs))
		return cli_fail("a time such as 30d, 12h or 600s, 'off' or 'inherit' is needed, not '%s'",
				s);
	if (cli_place_open(c, c->words[0], true, &p))
		return 1;
	rc = flint_fs_trash_set(p.fs, le64_to_cpu(p.attr.ino), secs);
	if (rc)
		cli_fs_fail(&p, p.path, rc);
	else if (cli_opt(c, CLI_OPT_JSON))
		puts("{\"done\": true}");
	else
		printf("%s:%s: what is deleted below it is %s%s\n", p.fs_name, p.path,
		       !secs ? "gone at once" : secs == FLINT_TRASH_INHERIT ?
		       "kept as the directory above says" : "kept for ",
		       !secs || secs == FLINT_TRASH_INHERIT ? "" : s);
	cli_place_close(&p);
	return rc ? 1 : 0;
}
