// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The way into a file system for commands, and the commands about directories:
 * du and rmtree.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli_fs.h"

/* ---- from words to a file system --------------------------------------------- */

/* TCP addresses of the managers, "host:port,..."; malloced, NULL after a message. */
static char *mgr_addresses(struct cli *c)
{
	json_t *all = cli_api(c, "GET", "/v1/nodes", NULL), *n, *a;
	char *out = NULL;
	size_t i, j;

	json_array_foreach(json_object_get(all, "nodes"), i, n) {
		const char *role = json_string_value(json_object_get(n, "role"));

		json_array_foreach(json_object_get(n, "addresses"), j, a) {
			const char *s = json_string_value(a);
			char *more;

			if (!role || strcmp(role, "mgr") || !s || strncmp(s, "tcp ", 4))
				continue;
			if (asprintf(&more, "%s%s%s", out ? out : "", out ? "," : "", s + 4) < 0)
				continue;
			free(out);
			out = more;
		}
	}
	if (all && !out)
		cli_fail("no manager offers a TCP address: 'flint node list' shows them");
	json_decref(all);
	return out;
}

/* Octal escapes of /proc/self/mountinfo. */
static void unescape(char *s)
{
	char *out = s;
	unsigned int v;

	for (; *s; s++) {
		if (*s == '\\' && sscanf(s + 1, "%3o", &v) == 1) {
			*out++ = v;
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = 0;
}

/* One line: its mount point if it is a FlintFS above @path. Return: length of the match. */
static size_t mount_match(char *line, const char *path, char **root, char **source)
{
	char *save = NULL, *tok, *field[5] = { 0 }, *type = NULL, *src = NULL;
	int n = 0, after = -1;
	size_t len;

	for (tok = strtok_r(line, " \n", &save); tok; tok = strtok_r(NULL, " \n", &save), n++) {
		if (n < 5)
			field[n] = tok;
		if (after >= 0)
			after++;
		if (after == 1)
			type = tok;
		if (after == 2)
			src = tok;
		if (n > 5 && after < 0 && !strcmp(tok, "-"))
			after = 0;
	}
	if (!field[4] || !src || strcmp(type, "flintfs"))
		return 0;
	unescape(field[4]);
	unescape(field[3]);
	unescape(src);
	len = strlen(field[4]);
	if (len == 1)
		len = 0;
	if (strncmp(path, field[4], len) || (path[len] && path[len] != '/'))
		return 0;
	*root = field[3];
	*source = src;
	return len + 1;
}

/*
 * A path on a mount: its managers (malloced), file system and path there.
 * Return: 0, or 1 after a message.
 */
static int from_mount(const char *where, char **mgrs, char *fs, size_t fs_len, char *path,
		      size_t len)
{
	char *real = realpath(where, NULL), *line = NULL, *root, *src, *sep, *best = NULL;
	size_t room = 0, best_len = 0, n;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (real && f && getline(&line, &room, f) > 0) {
		n = mount_match(line, real, &root, &src);
		if (n <= best_len)
			continue;
		sep = strstr(src, ":/");
		if (!sep)
			continue;
		best_len = n;
		free(best);
		*sep = 0;
		sep += 2;
		snprintf(fs, fs_len, "%.*s", (int)strcspn(sep, "/"), sep);
		snprintf(path, len, "%s%s%s", sep + strcspn(sep, "/"), strcmp(root, "/") ? root : "",
			 real + n - 1);
		best = strdup(src);
	}
	if (f)
		fclose(f);
	free(line);
	if (!real)
		cli_fail("%s: %s", where, strerror(errno));
	else if (!best)
		cli_fail("%s is not on a FlintFS mount: name a place there, or FS:/path", where);
	free(real);
	*mgrs = best;
	return best ? 0 : 1;
}

/* "FS:/path": split. Return: was it one? */
static bool from_name(const char *where, char *fs, size_t fs_len, char *path, size_t len)
{
	const char *colon = strstr(where, ":/");

	if (!colon || memchr(where, '/', colon - where) || colon == where)
		return false;
	snprintf(fs, fs_len, "%.*s", (int)(colon - where), where);
	snprintf(path, len, "%s", colon + 1);
	return true;
}

static void trim_slashes(char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		path[--n] = 0;
	if (!n)
		strcpy(path, "/");
}

int cli_place_open(struct cli *c, const char *where, bool must, struct cli_place *p)
{
	struct flint_fs_config cfg = {
		.key = c->key, .name = "flint", .uid = geteuid(), .gid = getegid(),
		.timeout_ms = 30000,
	};
	char err[CLI_ERR_LEN] = "", *mgrs = NULL;
	int rc;

	memset(p, 0, sizeof(*p));
	if (from_name(where, p->fs_name, sizeof(p->fs_name), p->path, sizeof(p->path)))
		mgrs = mgr_addresses(c);
	else if (from_mount(where, &mgrs, p->fs_name, sizeof(p->fs_name), p->path,
			    sizeof(p->path)))
		return 1;
	if (!mgrs)
		return 1;
	trim_slashes(p->path);
	cfg.mgrs = mgrs;
	cfg.fs_name = p->fs_name;
	p->fs = flint_fs_open(&cfg, err, sizeof(err));
	free(mgrs);
	if (!p->fs)
		return cli_fail("file system %s cannot be reached: %s", p->fs_name, err);
	rc = flint_fs_walk(p->fs, p->path, &p->attr);
	p->exists = !rc;
	if (rc && (must || rc != -ENOENT)) {
		cli_fs_fail(p, p->path, rc);
		cli_place_close(p);
		return 1;
	}
	return 0;
}

void cli_place_close(struct cli_place *p)
{
	if (p->fs)
		flint_fs_close(p->fs);
	p->fs = NULL;
}

int cli_place_path(struct cli_place *p, const char *where, char *path, size_t len)
{
	char fs[FLINT_LABEL_LEN], *mgrs = NULL;

	if (!from_name(where, fs, sizeof(fs), path, len) &&
	    from_mount(where, &mgrs, fs, sizeof(fs), path, len))
		return 1;
	free(mgrs);
	trim_slashes(path);
	if (strcmp(fs, p->fs_name))
		return cli_fail("%s is in file system %s, not in %s", where, fs, p->fs_name);
	return 0;
}

int cli_place_parent(struct cli_place *p, const char *path, uint64_t *dir, const char **name)
{
	const char *slash = strrchr(path, '/');
	char parent[FLINT_PATH_MAX + 1];
	struct flint_attr attr;
	int rc;

	if (!slash || !slash[1])
		return cli_fail("%s:%s is the root of the file system: name something in it",
				p->fs_name, path);
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	rc = flint_fs_walk(p->fs, *parent ? parent : "/", &attr);
	if (rc)
		return cli_fs_fail(p, *parent ? parent : "/", rc);
	*dir = le64_to_cpu(attr.ino);
	*name = slash + 1;
	return 0;
}

int cli_fs_fail(const struct cli_place *p, const char *what, int err)
{
	const char *why = strerror(-err);

	if (err == -EPERM)
		why = "only root may do this, or the owner";
	else if (err == -ETIMEDOUT)
		why = "no metadata server answered: 'flint status' tells which do";
	return cli_fail("%s:%s: %s", p->fs_name, what, why);
}

/* ---- numbers --------------------------------------------------------------------- */

const char *cli_bytes(uint64_t n, char *buf, size_t len)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = n;
	int i = 0;

	while (v >= 1024 && i < 6) {
		v /= 1024;
		i++;
	}
	snprintf(buf, len, i ? "%.1f %s" : "%.0f %s", v, unit[i]);
	return buf;
}

/* Bytes of the character at @s, 0: it is no UTF-8. */
static size_t utf8_len(const char *s)
{
	size_t n = (uint8_t)*s < 0x80 ? 1 : (uint8_t)*s < 0xe0 ? 2 : (uint8_t)*s < 0xf0 ? 3 : 4;
	json_t *one = strnlen(s, n) == n ? json_stringn(s, n) : NULL;

	json_decref(one);
	return one ? n : 0;
}

json_t *cli_json_name(const char *name)
{
	json_t *whole = json_string(name);
	char *text = whole ? NULL : malloc(3 * strlen(name) + 1), *out = text;
	size_t n;

	for (; text && *name; name += n ? n : 1) {
		n = utf8_len(name);
		memcpy(out, n ? name : "\xef\xbf\xbd", n ? n : 3);
		out += n ? n : 3;
	}
	if (text) {
		*out = 0;
		whole = json_string(text);
		free(text);
	}
	return whole;
}

int cli_duration(const char *s, uint64_t *secs)
{
	char *end;

	errno = 0;
	*secs = strtoull(s, &end, 10);
	if (errno || end == s || *s == '-' || *secs > 36500ull * 86400)
		return -EINVAL;
	if (!strcmp(end, "d"))
		*secs *= 86400;
	else if (!strcmp(end, "h"))
		*secs *= 3600;
	else if (!strcmp(end, "m"))
		*secs *= 60;
	else if (*end && strcmp(end, "s"))
		return -EINVAL;
	return *secs < FLINT_TRASH_INHERIT ? 0 : -EINVAL;
}

/* ---- flint du --------------------------------------------------------------------- */

/* Totals of a place with itself: what du would say. 0, or 1 after a message. */
static int du_of(struct cli_place *p, struct flint_dirstat *st)
{
	int rc;

	if ((le32_to_cpu(p->attr.mode) & 0170000) != 0040000) {
		*st = (struct flint_dirstat){ .ino = p->attr.ino, .bytes = p->attr.bytes,
					      .files = cpu_to_le64(1) };
		return 0;
	}
	rc = flint_fs_dirstat(p->fs, le64_to_cpu(p->attr.ino), st);
	return rc ? cli_fs_fail(p, p->path, rc) : 0;
}

int cli_du(struct cli *c)
{
	json_t *list = json_array();
	struct flint_dirstat st;
	struct cli_place p;
	char size[32];
	unsigned int i;
	int ret = 0;

	for (i = 0; i < c->nr_words; i++) {
		if (cli_place_open(c, c->words[i], true, &p)) {
			ret = 1;
			continue;
		}
		if (du_of(&p, &st))
			ret = 1;
		else if (cli_opt(c, CLI_OPT_JSON))
			json_array_append_new(list,
				json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I}", "file_system",
					  p.fs_name, "path", cli_json_name(p.path), "bytes",
					  (json_int_t)le64_to_cpu(st.bytes), "files",
					  (json_int_t)le64_to_cpu(st.files), "directories",
					  (json_int_t)le64_to_cpu(st.dirs), "project",
					  (json_int_t)le32_to_cpu(st.project), "trash_keep",
					  (json_int_t)le32_to_cpu(st.trash_keep)));
		else
			printf("%-12s %12llu files %10llu directories  %s:%s\n",
			       cli_bytes(le64_to_cpu(st.bytes), size, sizeof(size)),
			       (unsigned long long)le64_to_cpu(st.files),
			       (unsigned long long)le64_to_cpu(st.dirs), p.fs_name, p.path);
		cli_place_close(&p);
	}
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(list);
	json_decref(list);
	return ret;
}

/* ---- flint fs rmtree ------------------------------------------------------------------ */

/* Show what is left until nothing is. 0, or 1 after a message. */
static int rmtree_wait(struct cli *c, struct cli_place *p, const struct flint_rmtree_rep *rep)
{
	uint64_t all = le64_to_cpu(rep->files) + le64_to_cpu(rep->dirs), left;
	bool show = isatty(STDERR_FILENO) && !cli_opt(c, CLI_OPT_JSON);
	const struct timespec pause = { .tv_nsec = 200000000 };
	struct flint_rmtree_stat st;
	int rc, n;

	for (n = 0;; n++) {
		rc = flint_fs_rmtree_stat(p->fs, le64_to_cpu(rep->id), &st);
		if (rc)
			return cli_fs_fail(p, p->path, rc);
		left = le64_to_cpu(st.files) + le64_to_cpu(st.dirs);
		if (!left)
			break;
		if (show && n >= 10)
			fprintf(stderr, "\r%llu of %llu removed ", (unsigned long long)(all - left),
				(unsigned long long)all);
		nanosleep(&pause, NULL);
	}
	if (show && n >= 10)
		fputc('\n', stderr);
	return 0;
}

int cli_fs_rmtree(struct cli *c)
{
	uint32_t flags = cli_opt(c, CLI_OPT_NO_TRASH) ? FLINT_NAME_NO_TRASH : 0;
	struct flint_rmtree_rep rep;
	struct cli_place p;
	const char *name;
	char size[32];
	uint64_t dir;
	int rc;

	if (cli_place_open(c, c->words[0], true, &p))
		return 1;
	rc = cli_place_parent(&p, p.path, &dir, &name);
	if (!rc) {
		rc = flint_fs_rmtree(p.fs, dir, name, flags, &rep);
		if (rc == -EACCES)
			rc = cli_fail("%s:%s belongs to someone else: its owner or root may remove it",
				      p.fs_name, p.path);
		else if (rc)
			rc = cli_fs_fail(&p, p.path, rc);
	}
	if (!rc && cli_opt(c, CLI_OPT_WAIT) && rep.id)
		rc = rmtree_wait(c, &p, &rep);
	if (!rc && cli_opt(c, CLI_OPT_JSON)) {
		json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:b}", "id",
				      (json_int_t)le64_to_cpu(rep.id), "bytes",
				      (json_int_t)le64_to_cpu(rep.bytes), "files",
				      (json_int_t)le64_to_cpu(rep.files), "directories",
				      (json_int_t)le64_to_cpu(rep.dirs), "trash", !rep.id);

		cli_print_json(o);
		json_decref(o);
	} else if (!rc) {
		printf("%s:%s is gone (%s in %llu files and %llu directories)%s\n", p.fs_name, p.path,
		       cli_bytes(le64_to_cpu(rep.bytes), size, sizeof(size)),
		       (unsigned long long)le64_to_cpu(rep.files),
		       (unsigned long long)le64_to_cpu(rep.dirs),
		       !rep.id ? ": 'flint trash ls' shows it" :
		       cli_opt(c, CLI_OPT_WAIT) ? "" : "; its space is freed in the background");
	}
	cli_place_close(&p);
	return rc ? 1 : 0;
}
