// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options from one table; see conf.h. argp reads the command line and prints
 * help, libinih reads the file; this file joins them to the table.
 *
 * Order: the command line is parsed first, into the option structure; then the
 * file fills what the command line left, then the defaults. What was given is
 * remembered by table index.
 */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conf.h"

#define CONF_OPTS_MAX	64
#define KEY_BASE	0x1000		/* argp keys of options without a letter */
#define INI_LINE_MAX	(INI_MAX_LINE - 2)

struct conf_state {
	const struct flint_conf_spec *spec;
	void *dst;
	unsigned int nr;
	bool given[CONF_OPTS_MAX];
	bool verbose;
	char *config;
	char *err;
	size_t errlen;
	bool failed;
};

static void *member(void *dst, const struct flint_conf_opt *opt)
{
	return (char *)dst + opt->off;
}

/* ---- values ------------------------------------------------------------- */

int flint_size_parse(const char *s, uint64_t *out)
{
	unsigned int shift = 0;
	uint64_t v;
	char *end;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 0);
	if (errno)
		return -ERANGE;
	switch (*end) {
	case 'T': case 't':
		shift += 10;	/* fallthrough */
	case 'G': case 'g':
		shift += 10;	/* fallthrough */
	case 'M': case 'm':
		shift += 10;	/* fallthrough */
	case 'K': case 'k':
		shift += 10;
		end++;
		if (!strcmp(end, "iB") || !strcmp(end, "ib"))
			end += 2;
		break;
	}
	if (*end)
		return -EINVAL;
	if (shift && v > UINT64_MAX >> shift)
		return -ERANGE;
	*out = v << shift;
	return 0;
}

const char *flint_size_format(uint64_t bytes, char *buf, size_t len)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	unsigned int u = 0;

	while (v >= 1024 && u < 6) {
		v /= 1024;
		u++;
	}
	if (u)
		snprintf(buf, len, "%.1f %s", v, unit[u]);
	else
		snprintf(buf, len, "%llu B", (unsigned long long)bytes);
	return buf;
}

static int bool_parse(const char *s, bool *out)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		if (!strcasecmp(s, yes[i])) {
			*out = true;
			return 0;
		}
		if (!strcasecmp(s, no[i])) {
			*out = false;
			return 0;
		}
	}
	return -EINVAL;
}

static int list_add(struct flint_conf_list *l, const char *item, size_t len)
{
	char **items;

	items = realloc(l->items, (l->nr + 1) * sizeof(*items));
	if (!items)
		return -ENOMEM;
	l->items = items;
	items[l->nr] = strndup(item, len);
	if (!items[l->nr])
		return -ENOMEM;
	l->nr++;
	return 0;
}

/* "a, b,c": items without the spaces around them; empty ones are an error. */
static int list_parse(struct flint_conf_list *l, const char *s)
{
	for (;;) {
		size_t skip = strspn(s, " \t"), len, end;
		int rc;

		s += skip;
		len = strcspn(s, ",");
		end = len;
		while (end && isspace((unsigned char)s[end - 1]))
			end--;
		if (!end)
			return -EINVAL;
		rc = list_add(l, s, end);
		if (rc)
			return rc;
		if (!s[len])
			return 0;
		s += len + 1;
	}
}

static int number_set(const struct flint_conf_opt *opt, const char *value, uint64_t *out,
		      char *err, size_t errlen)
{
	uint64_t v;
	char *end;
	int rc = 0;

	if (opt->type == FLINT_CONF_SIZE) {
		rc = flint_size_parse(value, &v);
	} else {
		errno = 0;
		v = strtoull(value, &end, 0);
		if (!isdigit((unsigned char)*value) || *end)
			rc = -EINVAL;
		else if (errno)
			rc = -ERANGE;
	}
	if (rc == -EINVAL) {
		snprintf(err, errlen, "%s: \"%s\" is not a %s", opt->key, value,
			 opt->type == FLINT_CONF_SIZE ? "size (a number with K, M, G or T)" :
							"number");
		return -EINVAL;
	}
	if (rc || v < opt->min || (opt->max && v > opt->max)) {
		if (opt->max)
			snprintf(err, errlen, "%s: %s is out of range, %llu to %llu is accepted",
				 opt->key, value, (unsigned long long)opt->min,
				 (unsigned long long)opt->max);
		else
			snprintf(err, errlen, "%s: %s is out of range, at least %llu is needed",
				 opt->key, value, (unsigned long long)opt->min);
		return -EINVAL;
	}
	*out = v;
	return 0;
}

int flint_conf_set(const struct flint_conf_opt *opt, const char *value, void *dst,
		   char *err, size_t errlen)
{
	char **str;
	int rc = 0;

	switch (opt->type) {
	case FLINT_CONF_STR:
		str = member(dst, opt);
		free(*str);
		*str = strdup(value);
		rc = *str ? 0 : -ENOMEM;
		break;
	case FLINT_CONF_U64:
	case FLINT_CONF_SIZE:
		return number_set(opt, value, member(dst, opt), err, errlen);
	case FLINT_CONF_BOOL:
		rc = bool_parse(value, member(dst, opt));
		if (rc)
			snprintf(err, errlen, "%s: \"%s\" is neither yes nor no", opt->key, value);
		break;
	case FLINT_CONF_LIST:
		rc = list_parse(member(dst, opt), value);
		if (rc == -EINVAL)
			snprintf(err, errlen, "%s: empty item in the list \"%s\"", opt->key, value);
		break;
	}
	if (rc == -ENOMEM)
		snprintf(err, errlen, "%s: out of memory", opt->key);
	return rc ? -EINVAL : 0;
}

static void list_free(struct flint_conf_list *l)
{
	unsigned int i;

	for (i = 0; i < l->nr; i++)
		free(l->items[i]);
	free(l->items);
	memset(l, 0, sizeof(*l));
}

void flint_conf_free(const struct flint_conf_spec *spec, void *dst)
{
	const struct flint_conf_opt *opt;
	char **str;

	for (opt = spec->opts; opt->key; opt++) {
		if (opt->type == FLINT_CONF_STR) {
			str = member(dst, opt);
			free(*str);
			*str = NULL;
		} else if (opt->type == FLINT_CONF_LIST) {
			list_free(member(dst, opt));
		}
	}
	if (spec->has_args)
		list_free((struct flint_conf_list *)((char *)dst + spec->args_off));
}

/* ---- file --------------------------------------------------------------- */

struct file_state {
	const struct flint_conf_spec *spec;
	const char *path;
	void *dst;
	const bool *skip;
	bool *seen;		/* result: keys the file gave */
	FILE *file;
	unsigned int line;
	char *err;
	size_t errlen;
	bool failed;
};

/*
 * Feeds libinih line by line, so that we know the number of the line it is
 * working on. Leading blanks go: indented lines are not continuations here.
 */
static char *file_line(char *buf, int size, void *arg)
{
	struct file_state *fs = arg;
	size_t len, blank;

	if (fs->failed || !fgets(buf, size, fs->file))
		return NULL;
	fs->line++;
	len = strlen(buf);
	if (len && buf[len - 1] != '\n' && !feof(fs->file)) {
		snprintf(fs->err, fs->errlen, "%s:%u: the line is longer than %d bytes", fs->path,
			 fs->line, INI_LINE_MAX);
		fs->failed = true;
		return NULL;
	}
	blank = strspn(buf, " \t");
	memmove(buf, buf + blank, len - blank + 1);
	return buf;
}

static int file_key(void *arg, const char *section, const char *name, const char *value)
{
	struct file_state *fs = arg;
	const struct flint_conf_opt *opt;
	char why[256];

	if (fs->failed || strcmp(section, fs->spec->prog))
		return 1;
	for (opt = fs->spec->opts; opt->key; opt++)
		if (!strcmp(opt->key, name))
			break;
	if (!opt->key || (opt->flags & FLINT_CONF_CLI)) {
		snprintf(fs->err, fs->errlen,
			 "%s:%u: unknown key \"%s\" in section [%s]; \"%s --help\" lists the keys",
			 fs->path, fs->line, name, section, fs->spec->prog);
		fs->failed = true;
	} else if (!fs->skip || !fs->skip[opt - fs->spec->opts]) {
		if (flint_conf_set(opt, value, fs->dst, why, sizeof(why))) {
			snprintf(fs->err, fs->errlen, "%s:%u: %s", fs->path, fs->line, why);
			fs->failed = true;
		}
		if (fs->seen)
			fs->seen[opt - fs->spec->opts] = true;
	}
	return 1;
}

static int read_file(const struct flint_conf_spec *spec, const char *path, void *dst,
		     const bool *skip, bool *seen, char *err, size_t errlen)
{
	struct file_state fs = {
		.spec = spec, .path = path, .dst = dst, .skip = skip, .seen = seen,
		.err = err, .errlen = errlen,
	};
	int rc;

	fs.file = fopen(path, "re");
	if (!fs.file) {
		rc = -errno;
		snprintf(err, errlen, "cannot read the configuration file %s: %s", path,
			 strerror(-rc));
		return rc;
	}
	rc = ini_parse_stream(file_line, &fs, file_key, &fs);
	if (!fs.failed && rc) {
		if (rc > 0)
			snprintf(err, errlen,
				 "%s:%d: neither a [section], a \"key = value\" nor a comment",
				 path, rc);
		else
			snprintf(err, errlen, "%s: cannot be parsed", path);
		fs.failed = true;
	}
	if (!fs.failed && ferror(fs.file)) {
		snprintf(err, errlen, "cannot read the configuration file %s: %s", path,
			 strerror(errno));
		fs.failed = true;
	}
	fclose(fs.file);
	return fs.failed ? -EINVAL : 0;
}

int flint_conf_read_file(const struct flint_conf_spec *spec, const char *path, void *dst,
			 const bool *skip, char *err, size_t errlen)
{
	return read_file(spec, path, dst, skip, NULL, err, errlen);
}

/* ---- command line ------------------------------------------------------- */

static error_t on_option(int key, char *arg, struct argp_state *state)
{
	struct conf_state *cs = state->input;
	const struct flint_conf_opt *opt;
	unsigned int i;

	switch (key) {
	case 'c':
		cs->config = arg;
		return 0;
	case 'v':
		cs->verbose = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!cs->spec->has_args) {
			snprintf(cs->err, cs->errlen,
				 "unexpected argument \"%s\"; options begin with --", arg);
			cs->failed = true;
			return EINVAL;
		}
		if (list_add((struct flint_conf_list *)((char *)cs->dst + cs->spec->args_off),
			     arg, strlen(arg)))
			return ENOMEM;
		return 0;
	}
	for (i = 0; i < cs->nr; i++) {
		opt = &cs->spec->opts[i];
		if (key != (opt->ch ? opt->ch : KEY_BASE + (int)i))
			continue;
		if (flint_conf_set(opt, arg ? arg : "yes", cs->dst, cs->err, cs->errlen)) {
			cs->failed = true;
			return EINVAL;
		}
		cs->given[i] = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void print_version(FILE *out, struct argp_state *state)
{
	fprintf(out, "%s (FlintFS) %s\n", state->name, FLINT_VERSION);
}

/* Describe the table to argp. */
static void argp_fill(const struct conf_state *cs, struct argp_option *ao)
{
	unsigned int i;

	for (i = 0; i < cs->nr; i++) {
		const struct flint_conf_opt *opt = &cs->spec->opts[i];
		bool is_bool = opt->type == FLINT_CONF_BOOL;

		ao[i] = (struct argp_option){
			.name = opt->key,
			.key = opt->ch ? opt->ch : KEY_BASE + (int)i,
			.arg = is_bool ? "yes|no" : opt->arg ? opt->arg : "VALUE",
			.flags = is_bool ? OPTION_ARG_OPTIONAL : 0,
			.doc = opt->help,
			.group = 1,
		};
	}
	ao[i++] = (struct argp_option){ "config", 'c', "FILE", 0,
		"read options from section [name of the program] of this ini file", 2 };
	ao[i++] = (struct argp_option){ "verbose", 'v', NULL, 0, "log more", 2 };
	ao[i] = (struct argp_option){ 0 };
}

static int parse_argv(struct conf_state *cs, int argc, char **argv)
{
	struct argp_option ao[CONF_OPTS_MAX + 3];
	struct argp argp = {
		.options = ao, .parser = on_option,
		.args_doc = cs->spec->args_doc, .doc = cs->spec->doc,
	};
	int rc;

	argp_fill(cs, ao);
	argp_program_version_hook = print_version;
	argp_err_exit_status = 2;
	rc = argp_parse(&argp, argc, argv, 0, NULL, cs);
	if (!rc)
		return 0;
	if (!cs->failed)
		snprintf(cs->err, cs->errlen, "cannot parse the command line: %s", strerror(rc));
	return -EINVAL;
}

static int apply_defaults(struct conf_state *cs, const bool *seen)
{
	unsigned int i;

	for (i = 0; i < cs->nr; i++) {
		const struct flint_conf_opt *opt = &cs->spec->opts[i];

		if (cs->given[i] || seen[i])
			continue;
		if (opt->def) {
			if (flint_conf_set(opt, opt->def, cs->dst, cs->err, cs->errlen))
				return -EINVAL;
		} else if (opt->flags & FLINT_CONF_REQUIRED) {
			snprintf(cs->err, cs->errlen,
				 "--%s is missing; give it on the command line%s", opt->key,
				 opt->flags & FLINT_CONF_CLI ? "" :
					" or in the configuration file");
			return -EINVAL;
		}
	}
	return 0;
}

int flint_conf_parse(const struct flint_conf_spec *spec, int argc, char **argv, void *dst,
		     bool *verbose, char *err, size_t errlen)
{
	struct conf_state cs = { .spec = spec, .dst = dst, .err = err, .errlen = errlen };
	bool seen[CONF_OPTS_MAX] = { false };
	const char *config;
	int rc;

	while (spec->opts[cs.nr].key)
		if (++cs.nr == CONF_OPTS_MAX)
			break;
	rc = parse_argv(&cs, argc, argv);
	if (rc)
		goto out;
	config = cs.config ? cs.config : spec->config;
	if (config && (cs.config || !access(config, F_OK))) {
		rc = read_file(spec, config, dst, cs.given, seen, err, errlen);
		if (rc) {
			rc = -EINVAL;
			goto out;
		}
	}
	rc = apply_defaults(&cs, seen);
out:
	if (rc)
		flint_conf_free(spec, dst);
	else if (verbose)
		*verbose = cs.verbose;
	return rc;
}

void flint_conf_parse_or_exit(const struct flint_conf_spec *spec, int argc, char **argv,
			      void *dst, bool *verbose)
{
	char err[512];

	if (!flint_conf_parse(spec, argc, argv, dst, verbose, err, sizeof(err)))
		return;
	fprintf(stderr, "%s: %s\n", spec->prog, err);
	exit(2);
}
