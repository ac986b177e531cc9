// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses: text, sockets, wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "../../userd/base/addr.h"

static char err[256];

static void good(const char *text, const char *formatted)
{
	struct sockaddr_storage sa, back;
	char buf[FLINT_ADDR_STR];
	struct flint_addr wire;

	assert_int_equal(flint_addr_parse(text, 7441, &sa, err, sizeof(err)), 0);
	assert_string_equal(flint_addr_format(&sa, buf, sizeof(buf)), formatted);
	assert_int_equal(flint_addr_to_wire(&sa, FLINT_PROTO_RDMA, &wire), 0);
	assert_int_equal(wire.proto, FLINT_PROTO_RDMA);
	assert_int_equal(flint_addr_from_wire(&wire, &back), 0);
	assert_true(flint_addr_equal(&sa, &back));
	assert_string_equal(flint_addr_format(&back, buf, sizeof(buf)), formatted);
}

static void bad(const char *text, int rc)
{
	struct sockaddr_storage sa;

	err[0] = 0;
	assert_int_equal(flint_addr_parse(text, 7441, &sa, err, sizeof(err)), rc);
	assert_true(err[0]);
}

static void test_good(void **state)
{
	good("127.0.0.1", "127.0.0.1:7441");
	good("127.0.0.1:1", "127.0.0.1:1");
	good("10.77.0.1:65535", "10.77.0.1:65535");
	good("::1", "[::1]:7441");
	good("[::1]", "[::1]:7441");
	good("[2001:db8::5]:99", "[2001:db8::5]:99");
}

static void test_bad(void **state)
{
	bad("", -EINVAL);
	bad(":7441", -EINVAL);
	bad("[::1", -EINVAL);
	bad("[::1]x", -EINVAL);
	bad("[]:1", -EINVAL);
	bad("127.0.0.1:", -EINVAL);
	bad("127.0.0.1:0", -EINVAL);
	bad("127.0.0.1:65536", -EINVAL);
	bad("127.0.0.1:1x", -EINVAL);
	bad("127.0.0.1:-1", -EINVAL);
	bad("127.0.0.1: 1", -EINVAL);
}

static void test_list(void **state)
{
	struct sockaddr_storage sa[3];

	assert_int_equal(flint_addr_parse_list("127.0.0.1,127.0.0.2:5 [::1]:6", 7, sa, 3, err,
					       sizeof(err)), 3);
	assert_int_equal(flint_addr_port(&sa[0]), 7);
	assert_int_equal(flint_addr_port(&sa[1]), 5);
	assert_int_equal(flint_addr_port(&sa[2]), 6);
	assert_int_equal(flint_addr_parse_list("127.0.0.1,127.0.0.2", 7, sa, 1, err,
					       sizeof(err)), -EINVAL);
	assert_int_equal(flint_addr_parse_list(" ,", 7, sa, 3, err, sizeof(err)), -EINVAL);
	assert_int_equal(flint_addr_parse_list("127.0.0.1,[x", 7, sa, 3, err, sizeof(err)),
			 -EINVAL);
}

static void test_wire(void **state)
{
	struct flint_addr a = { .family = 4, .proto = 1, .port = cpu_to_le16(7441),
				.addr = { 192, 0, 2, 1 } };
	struct sockaddr_storage sa, other;
	char buf[FLINT_ADDR_STR];

	assert_int_equal(flint_addr_from_wire(&a, &sa), 0);
	assert_string_equal(flint_addr_format(&sa, buf, sizeof(buf)), "192.0.2.1:7441");
	a.port = 0;
	assert_int_equal(flint_addr_from_wire(&a, &other), -EINVAL);
	a.port = 1;
	a.family = 0;
	assert_int_equal(flint_addr_from_wire(&a, &other), -EINVAL);
	a.family = 5;
	assert_int_equal(flint_addr_from_wire(&a, &other), -EINVAL);
	other = sa;
	flint_addr_set_port(&other, 1);
	assert_false(flint_addr_equal(&sa, &other));
	memset(&other, 0, sizeof(other));
	assert_int_equal(flint_addr_to_wire(&other, 1, &a), -EAFNOSUPPORT);
}

static void here(const char *s, bool is)
{
	struct sockaddr_storage sa;

	assert_int_equal(flint_addr_parse(s, 1, &sa, err, sizeof(err)), 0);
	assert_int_equal(flint_addr_is_here(&sa), is);
}

static void test_here(void **state)
{
	here("127.0.0.1:7441", true);
	here("127.0.0.1:80", true);		/* whoever may listen there */
	here("192.0.2.1:7441", false);		/* of documentation: nobody's */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
