// SPDX-License-Identifier: GPL-2.0-or-later
/* What may leave the cluster in a support bundle, and what may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mgr/redact.h"

#define KEY "0123456789abcdef0123456789abcdef0123456789ABCDEF0123456789abcdef"

static void becomes(const char *before, const char *after)
{
	char *text = strdup(before);

	assert_non_null(text);
	flint_redact(text, strlen(text));
	assert_string_equal(text, after);
	free(text);
}

static void test_secrets(void **state)
{
	char key_out[sizeof(KEY)];

	memset(key_out, 'X', sizeof(key_out) - 1);
	key_out[sizeof(key_out) - 1] = 0;
	becomes(KEY, key_out);
	becomes("Authorization: Bearer abcd, rest", "Authorization: Bearer XXXX, rest");
	becomes("flint1-token:12:34 end", "flint1-token:XXXXX end");
	becomes("secret=hello world", "secret=XXXXX world");
	becomes("{\"password\": \"pw\", \"a\": 1}", "{\"password\": \"XX\", \"a\": 1}");
	becomes("mount -o my_secret='x y'", "mount -o my_secret='X y'");
	becomes("token:", "token:");
	becomes("secret", "secret");
}

static void test_kept(void **state)
{
	static const char * const same[] = {
		"trace=9cd1c6b0ee8b91b5 op=write", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
		"sums 0123456789abcdef0123456789abcdef", "tokens: none is shown by status",
		"", "key /etc/flintfs/cluster.key",
	};
	size_t i;

	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		becomes(same[i], same[i]);
}

/* Cut anywhere, and with bytes of any kind: nothing is read beyond the end. */
static void test_any(void **state)
{
	static const char text[] = "secret=\"" KEY "\" Bearer \0x flint1-token:aa:bb \xff token : q";
	size_t from, len;

	for (from = 0; from < sizeof(text); from++)
		for (len = 0; from + len <= sizeof(text); len++) {
			char *copy = malloc(len ? len : 1);

			assert_non_null(copy);
			memcpy(copy, text + from, len);
			flint_redact(copy, len);
			free(copy);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
