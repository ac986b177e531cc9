// SPDX-License-Identifier: GPL-2.0-or-later
/* Options: values, files, precedence, mistakes in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <cmocka.h>

#include "../../userd/base/conf.h"

struct options {
	char *state;
	uint64_t port;
	uint64_t size;
	bool quiet;
	struct flint_conf_list mgr;
	char *format;
	struct flint_conf_list args;
};

#define OFF(m) offsetof(struct options, m)
static const struct flint_conf_opt table[] = {
	{ .key = "state", .ch = 's', .type = FLINT_CONF_STR, .off = OFF(state),
	  .flags = FLINT_CONF_REQUIRED, .help = "state" },
	{ .key = "tcp-port", .type = FLINT_CONF_U64, .off = OFF(port), .def = "7441",
	  .max = 65535, .help = "port" },
	{ .key = "size", .type = FLINT_CONF_SIZE, .off = OFF(size), .def = "64K", .min = 4096,
	  .help = "size" },
	{ .key = "quiet", .ch = 'q', .type = FLINT_CONF_BOOL, .off = OFF(quiet), .help = "quiet" },
	{ .key = "mgr", .type = FLINT_CONF_LIST, .off = OFF(mgr), .def = "localhost",
	  .help = "managers" },
	{ .key = "format", .type = FLINT_CONF_STR, .off = OFF(format), .flags = FLINT_CONF_CLI,
	  .help = "format" },
	{ 0 }
};

static const struct flint_conf_spec spec = {
	.prog = "flint-test", .doc = "test", .opts = table,
};
static const struct flint_conf_spec spec_args = {
	.prog = "flint-test", .doc = "test", .opts = table,
	.has_args = true, .args_off = OFF(args),
};

static char err[512];

static int parse_with(const struct flint_conf_spec *s, struct options *o, int nr, ...)
{
	char *argv[16] = { "flint-test" };
	va_list ap;
	int i;

	memset(o, 0, sizeof(*o));
	err[0] = 0;
	va_start(ap, nr);
	for (i = 0; i < nr; i++)
		argv[1 + i] = va_arg(ap, char *);
	va_end(ap);
	return flint_conf_parse(s, nr + 1, argv, o, NULL, err, sizeof(err));
}

static char path[] = "/tmp/flint_conf_test.XXXXXX";

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_defaults(void **state)
{
	struct options o;

	assert_int_equal(parse_with(&spec, &o, 2, "--state", "/x"), 0);
	assert_string_equal(o.state, "/x");
	assert_int_equal(o.port, 7441);
	assert_int_equal(o.size, 65536);
	assert_false(o.quiet);
	assert_int_equal(o.mgr.nr, 1);
	assert_string_equal(o.mgr.items[0], "localhost");
	assert_null(o.format);
	flint_conf_free(&spec, &o);
	assert_null(o.state);
}

static void test_command_line(void **state)
{
	struct options o;

	assert_int_equal(parse_with(&spec, &o, 7, "-s", "/x", "--tcp-port=0", "--size=3M", "-q",
				    "--mgr=a:1, b", "--mgr=c"), 0);
	assert_int_equal(o.port, 0);
	assert_int_equal(o.size, 3 << 20);
	assert_true(o.quiet);
	assert_int_equal(o.mgr.nr, 3);
	assert_string_equal(o.mgr.items[0], "a:1");
	assert_string_equal(o.mgr.items[1], "b");
	assert_string_equal(o.mgr.items[2], "c");
	flint_conf_free(&spec, &o);
	assert_int_equal(parse_with(&spec, &o, 2, "--state=a", "--quiet=no"), 0);
	assert_false(o.quiet);
	flint_conf_free(&spec, &o);
}

static void test_file(void **state)
{
	struct options o;

	write_file("# comment\n; another\n\n[flint-other]\nnonsense = 1\n[flint-test]\n"
		   "state = /from/file\n  size = 1G\nmgr = a,b\nmgr = c\nquiet = on\n"
		   "tcp-port = 9\n");
	assert_int_equal(parse_with(&spec, &o, 2, "-c", path), 0);
	assert_string_equal(o.state, "/from/file");
	assert_int_equal(o.size, 1 << 30);
	assert_int_equal(o.mgr.nr, 3);
	assert_true(o.quiet);
	assert_int_equal(o.port, 9);
	flint_conf_free(&spec, &o);

	/* The command line wins, wherever -c stands. */
	assert_int_equal(parse_with(&spec, &o, 5, "--tcp-port=1", "-c", path, "--mgr=z",
				    "--quiet=no"), 0);
	assert_int_equal(o.port, 1);
	assert_int_equal(o.mgr.nr, 1);
	assert_string_equal(o.mgr.items[0], "z");
	assert_false(o.quiet);
	assert_string_equal(o.state, "/from/file");
	flint_conf_free(&spec, &o);
}

static void refused(const char *file, const char *arg, const char *words)
{
	struct options o;
	int rc;

	if (file) {
		write_file(file);
		rc = parse_with(&spec, &o, 3, "--state=x", "-c", path);
	} else {
		rc = parse_with(&spec, &o, 2, "--state=x", arg);
	}
	if (rc != -EINVAL || !strstr(err, words))
		print_error("got %d \"%s\", wanted \"%s\"\n", rc, err, words);
	assert_int_equal(rc, -EINVAL);
	assert_non_null(strstr(err, words));
	assert_null(o.state);	/* nothing leaks */
}

static void test_refused(void **state)
{
	char where[64], longline[400];
	struct options o;

	assert_int_equal(parse_with(&spec, &o, 0), -EINVAL);
	assert_non_null(strstr(err, "--state is missing"));
	refused(NULL, "--tcp-port=x", "not a number");
	refused(NULL, "--tcp-port=-1", "not a number");
	refused(NULL, "--tcp-port=65536", "out of range");
	refused(NULL, "--tcp-port=99999999999999999999999", "out of range");
	refused(NULL, "--size=12Q", "not a size");
	refused(NULL, "--size=1K", "out of range");
	refused(NULL, "--size=99999999999999T", "out of range");
	refused(NULL, "--quiet=maybe", "neither yes nor no");
	refused(NULL, "--mgr=a,,b", "empty item");
	refused(NULL, "stray", "unexpected argument \"stray\"");
	refused("[flint-test]\nstat = 1\n", NULL, ":2: unknown key \"stat\"");
	refused("[flint-test]\n\nformat = /x\n", NULL, ":3: unknown key \"format\"");
	refused("[flint-test]\ntcp-port = many\n", NULL, ":2: tcp-port: \"many\"");
	refused("[flint-test]\nno equals sign\n", NULL, ":2: neither");
	memset(longline, 'x', sizeof(longline));
	memcpy(longline, "[flint-test]\nmgr = ", 19);
	longline[sizeof(longline) - 1] = 0;
	refused(longline, NULL, ":2: the line is longer");
	snprintf(where, sizeof(where), "%s", path);
	assert_int_equal(parse_with(&spec, &o, 2, "--state=x", "--config=/nonexistent/f"), -EINVAL);
	assert_non_null(strstr(err, "/nonexistent/f"));
}

static void test_args(void **state)
{
	struct options o;

	assert_int_equal(parse_with(&spec_args, &o, 4, "one", "--state=x", "two", "three"), 0);
	assert_int_equal(o.args.nr, 3);
	assert_string_equal(o.args.items[2], "three");
	flint_conf_free(&spec_args, &o);
}

static void test_sizes(void **state)
{
	uint64_t v;
	char buf[32];

	assert_int_equal(flint_size_parse("0", &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(flint_size_parse("2t", &v), 0);
	assert_true(v == 2ull << 40);
	assert_int_equal(flint_size_parse("4KiB", &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(flint_size_parse("", &v), -EINVAL);
	assert_int_equal(flint_size_parse("K", &v), -EINVAL);
	assert_int_equal(flint_size_parse("-1", &v), -EINVAL);
	assert_int_equal(flint_size_parse("1.5G", &v), -EINVAL);
	assert_int_equal(flint_size_parse("18446744073709551615", &v), 0);
	assert_int_equal(flint_size_parse("18446744073709551616", &v), -ERANGE);
	assert_int_equal(flint_size_parse("16777216T", &v), -ERANGE);
	assert_string_equal(flint_size_format(1023, buf, sizeof(buf)), "1023 B");
	assert_string_equal(flint_size_format(1536, buf, sizeof(buf)), "1.5 KiB");
	assert_string_equal(flint_size_format(UINT64_MAX, buf, sizeof(buf)), "16.0 EiB");
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
