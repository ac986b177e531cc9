// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-metad-cut: single steps on one file through the client library, for
 * metad_cut.sh: write N bytes of 0xa5, truncate to N, check that the first N
 * bytes are 0xa5 and the rest zeros, hold the file open while it is removed,
 * open it with O_TRUNC (N is 0), remove it (N is 0).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../userd/base/conf.h"
#include "../../userd/base/key.h"
#include "../../userd/client/fs.h"

struct options {
	char *mgr, *key;
	struct flint_conf_list args;
};

#define OFF(m)	offsetof(struct options, m)

static const struct flint_conf_opt opts[] = {
	{ "mgr", 'm', FLINT_CONF_STR, OFF(mgr), NULL, "HOST:PORT", "manager", 0, 0,
	  FLINT_CONF_CLI | FLINT_CONF_REQUIRED },
	{ "key", 'k', FLINT_CONF_STR, OFF(key), NULL, "FILE", "cluster key", 0, 0,
	  FLINT_CONF_CLI | FLINT_CONF_REQUIRED },
	{ 0 },
};

static const struct flint_conf_spec spec = {
	.prog = "flint-metad-cut",
	.doc = "Single steps on one file of file system 'default'.",
	.args_doc = "write|trunc|check|hold|empty|remove NAME N",
	.opts = opts,
	.has_args = true,
	.args_off = OFF(args),
};

static int fail(const char *what, long err)
{
	fprintf(stderr, "%s: %s\n", what, err < 0 ? strerror(-err) : "wrong content");
	return 1;
}

static int check(struct flint_file *f, size_t nonzero, size_t size)
{
	unsigned char *buf = malloc(size + 1);
	ssize_t n = flint_file_pread(f, buf, size + 1, 0);
	size_t i;
	int bad = n != (ssize_t)size;

	for (i = 0; !bad && i < size; i++)
		bad = buf[i] != (i < nonzero ? 0xa5 : 0);
	if (bad)
		fprintf(stderr, "read %zd of %zu bytes, wrong at %zu\n", n, size, i);
	free(buf);
	return bad;
}

static int step(struct flint_fs *fs, const char *what, const char *name, size_t n)
{
	uint64_t root = le64_to_cpu(flint_fs_root(fs)->ino);
	uint32_t flags = FLINT_OPEN_READ | FLINT_OPEN_WRITE | FLINT_OPEN_CREATE;
	struct flint_attr attr;
	struct flint_file *f;
	void *buf;
	long err;

	if (!strcmp(what, "remove")) {
		err = flint_fs_unlink(fs, root, name);
		return err ? fail(what, err) : 0;
	}
	if (!strcmp(what, "empty"))
		flags |= FLINT_OPEN_TRUNC;
	err = flint_fs_open_file(fs, root, name, flags, 0644, &f);
	if (err)
		return fail("open", err);
	flint_file_attr(f, &attr);
	if (!strcmp(what, "write")) {
		buf = malloc(n);
		memset(buf, 0xa5, n);
		err = flint_file_pwrite(f, buf, n, 0);
		err = err == (long)n ? 0 : err;
		free(buf);
	} else if (!strcmp(what, "trunc")) {
		err = flint_file_truncate(f, n);
	} else if (!strcmp(what, "check")) {
		err = check(f, n, le64_to_cpu(attr.size));
	} else if (!strcmp(what, "hold")) {
		err = flint_fs_unlink(fs, root, name);
		puts("removed");
		fflush(stdout);
		getchar();	/* until the script has done its worst */
		if (!err)
			err = check(f, n, le64_to_cpu(attr.size));
	}
	flint_file_close(f);
	return err ? fail(what, err) : 0;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct flint_fs_config cfg = { .fs_name = "default", .timeout_ms = 90000 };
	uint8_t key[FLINT_KEY_LEN];
	struct flint_fs *fs;
	char err[256];
	int ret;

	flint_conf_parse_or_exit(&spec, argc, argv, &o, NULL);
	cfg.mgrs = o.mgr;
	cfg.key = key;
	fs = o.args.nr == 3 && !flint_key_load(o.key, key, err, sizeof(err)) ?
	     flint_fs_open(&cfg, err, sizeof(err)) : NULL;
	if (!fs) {
		fprintf(stderr, "flint-metad-cut: %s\n", o.args.nr == 3 ? err : "three arguments");
		return 2;
	}
	ret = step(fs, o.args.items[0], o.args.items[1], strtoul(o.args.items[2], NULL, 0));
	flint_fs_close(fs);
	flint_conf_free(&spec, &o);
	return ret;
}
