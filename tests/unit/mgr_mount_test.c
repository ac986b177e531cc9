// SPDX-License-Identifier: GPL-2.0-or-later
/* The mount helper's options and sources, taken apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <cmocka.h>

#include "tools/mount/mount.h"
#include "userd/base/addr.h"
#include "userd/base/key.h"

static char err[MNT_ERR_LEN];

static void test_kinds(void **state)
{
	struct mnt_opts o = { 0 };

	assert_int_equal(mnt_opts_parse(&o, "rw,_netdev,x-systemd.automount,nofail,nosuid,soft,"
					"io_timeo=5s,,secretfile=/k", err, sizeof(err)), 0);
	assert_int_equal(o.attr, MOUNT_ATTR_NOSUID);
	assert_int_equal(o.flags, MS_NOSUID);
	assert_false(o.rdonly);
	assert_string_equal(o.keyfile, "/k");
	assert_int_equal(o.nr_fs, 2);
	assert_string_equal(o.fs[0].name, "soft");
	assert_null(o.fs[0].value);
	assert_string_equal(o.fs[1].name, "io_timeo");
	assert_string_equal(o.fs[1].value, "5s");
	mnt_opts_free(&o);
}

static void test_last_wins(void **state)
{
	struct mnt_opts o = { 0 };

	assert_int_equal(mnt_opts_parse(&o, "ro,rw,noatime,strictatime,ro", err, sizeof(err)), 0);
	assert_int_equal(o.attr, MOUNT_ATTR_RDONLY | MOUNT_ATTR_STRICTATIME);
	assert_int_equal(o.flags, MS_RDONLY | MS_STRICTATIME);
	assert_true(o.rdonly);
	assert_string_equal(o.keyfile, FLINT_KEY_FILE);
	mnt_opts_free(&o);
}

/* What mount(8) knows for every file system is none of this one's. */
static void test_everyones(void **state)
{
	struct mnt_opts o = { 0 };

	assert_int_equal(mnt_opts_parse(&o, "strictatime,norelatime,nostrictatime,nosymfollow,nouser,"
					"nousers,noowner,nogroup", err, sizeof(err)), 0);
	assert_int_equal(o.nr_fs, 0);
	assert_int_equal(o.attr, MOUNT_ATTR_NOSYMFOLLOW);
	assert_int_equal(o.flags, MS_NOSYMFOLLOW);
	mnt_opts_free(&o);
	memset(&o, 0, sizeof(o));
	assert_int_equal(mnt_opts_parse(&o, "nosymfollow,symfollow,noatime,norelatime", err,
					sizeof(err)), 0);
	assert_int_equal(o.attr, MOUNT_ATTR_NOATIME);
	assert_int_equal(o.flags, MS_NOATIME);
	mnt_opts_free(&o);
}

static void test_reserved(void **state)
{
	struct mnt_opts o = { 0 };

	assert_int_equal(mnt_opts_parse(&o, "remount,addr=1.2.3.4:1,key=x", err, sizeof(err)), 0);
	assert_true(o.remount);
	assert_non_null(o.reserved);
	assert_int_equal(o.nr_fs, 0);
	mnt_opts_free(&o);
	memset(&o, 0, sizeof(o));
	assert_int_equal(mnt_opts_parse(&o, "secretfile=", err, sizeof(err)), -EINVAL);
	mnt_opts_free(&o);
}

static void test_too_many(void **state)
{
	struct mnt_opts o = { 0 };
	char text[4 * MNT_OPTS_MAX + 8] = "";
	int i;

	for (i = 0; i <= MNT_OPTS_MAX; i++)
		strcat(text, "aa,");
	assert_int_equal(mnt_opts_parse(&o, text, err, sizeof(err)), -EINVAL);
	mnt_opts_free(&o);
}

static void test_sources(void **state)
{
	static const char * const bad[] = {
		"", "mgr", "mgr:default", ":/default", "mgr:/", "mgr://sub",
		"mgr:/0123456789012345678901234567890123456789012345678901234567890123",
	};
	struct mnt_source s;
	char text[FLINT_ADDR_STR + 8];
	size_t len, i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mnt_source_check(bad[i], &len, err, sizeof(err)), -EINVAL);
	assert_int_equal(mnt_source_resolve(&s, "192.0.2.1,[2001:db8::1]:99,192.0.2.2:7:/fs/a/b",
					    FLINT_PROTO_RDMA, err, sizeof(err)), 0);
	assert_int_equal(s.nr, 3);
	assert_string_equal(flint_addr_format(&s.addrs[0], text, sizeof(text)), "192.0.2.1:7442");
	assert_string_equal(flint_addr_format(&s.addrs[1], text, sizeof(text)),
			    "[2001:db8::1]:99");
	assert_string_equal(flint_addr_format(&s.addrs[2], text, sizeof(text)), "192.0.2.2:7");
	/* Some managers may be unknown, but not all. */
	assert_int_equal(mnt_source_resolve(&s, "192.0.2.1,192.0.2.2:99999:/fs", FLINT_PROTO_RDMA, err,
					    sizeof(err)), 0);
	assert_int_equal(s.nr, 1);
	assert_true(mnt_source_resolve(&s, "192.0.2.2:99999:/fs", FLINT_PROTO_RDMA, err,
				       sizeof(err)) < 0);
	assert_true(mnt_source_resolve(&s, ",:/fs", FLINT_PROTO_RDMA, err, sizeof(err)) < 0);
	/* Each protocol has its own default port; verbs come first. */
	assert_int_equal(mnt_source_resolve(&s, "192.0.2.1,192.0.2.2:7:/fs",
					    FLINT_PROTO_RDMA | FLINT_PROTO_TCP, err, sizeof(err)),
			 0);
	assert_int_equal(s.nr, 4);
	assert_string_equal(mnt_source_addr(&s, 0, text, sizeof(text)), "rdma:192.0.2.1:7442");
	assert_string_equal(mnt_source_addr(&s, 1, text, sizeof(text)), "tcp:192.0.2.1:7441");
	assert_string_equal(mnt_source_addr(&s, 3, text, sizeof(text)), "tcp:192.0.2.2:7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_last_wins),
		cmocka_unit_test(test_everyones),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
