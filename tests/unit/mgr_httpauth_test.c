// SPDX-License-Identifier: GPL-2.0-or-later
/* Signed HTTP requests: genuine ones pass once, everything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "mgr/httpauth.h"

static const u8 key[FLINT_KEY_LEN] = "0123456789abcdef0123456789abcde";
static struct flint_http_replay *replay;
static char nonce[FLINT_HTTP_NONCE_HEX + 1];

static int setup(void **state)
{
	replay = calloc(1, sizeof(*replay));
	return 0;
}

static int teardown(void **state)
{
	free(replay);
	return 0;
}

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (u64)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static enum flint_http_verdict check(const char *header, u64 now, const char *body)
{
	return flint_http_auth_check(key, replay, now, header, "POST", "/v1/fs", body,
				     strlen(body), nonce);
}

/* HMAC-SHA256 computed by another program (Python's hmac). */
static void test_vector(void **state)
{
	static const u8 k[FLINT_KEY_LEN] = { 0 };
	char mac[FLINT_HTTP_MAC_HEX + 1];

	flint_http_mac(k, "GET", "/v1/status", "1700000000000",
		       "00112233445566778899aabbccddeeff", "", 0, mac);
	assert_string_equal(mac, "3507b2bfcaa3d14823e1be71f004ea5ea41d9183ed11440f51a607644c5cfee1");
}

static void test_genuine_once(void **state)
{
	char header[256], sent[FLINT_HTTP_NONCE_HEX + 1];

	flint_http_auth_make(key, "POST", "/v1/fs", "{}", 2, header, sizeof(header), sent);
	assert_int_equal(check(header, now_ms(), "{}"), FLINT_HTTP_OK);
	assert_string_equal(nonce, sent);
	assert_int_equal(check(header, now_ms(), "{}"), FLINT_HTTP_REPLAY);
}

static void test_changed(void **state)
{
	static const u8 other[FLINT_KEY_LEN] = { 1 };
	char header[256], sent[FLINT_HTTP_NONCE_HEX + 1];

	flint_http_auth_make(key, "POST", "/v1/fs", "{}", 2, header, sizeof(header), sent);
	assert_int_equal(check(header, now_ms(), "{ }"), FLINT_HTTP_BAD_MAC);
	assert_int_equal(flint_http_auth_check(key, replay, now_ms(), header, "GET", "/v1/fs", "{}",
					       2, nonce), FLINT_HTTP_BAD_MAC);
	assert_int_equal(flint_http_auth_check(key, replay, now_ms(), header, "POST", "/v1/map",
					       "{}", 2, nonce), FLINT_HTTP_BAD_MAC);
	assert_int_equal(flint_http_auth_check(other, replay, now_ms(), header, "POST", "/v1/fs",
					       "{}", 2, nonce), FLINT_HTTP_BAD_MAC);
	/* Refused ones leave no trace: the genuine one still passes. */
	assert_int_equal(check(header, now_ms(), "{}"), FLINT_HTTP_OK);
}

static void test_times(void **state)
{
	char header[256], sent[FLINT_HTTP_NONCE_HEX + 1];

	flint_http_auth_make(key, "POST", "/v1/fs", "", 0, header, sizeof(header), sent);
	assert_int_equal(check(header, now_ms() + 61000, ""), FLINT_HTTP_BAD_TIME);
	assert_int_equal(check(header, now_ms() - 61000, ""), FLINT_HTTP_BAD_TIME);
	assert_int_equal(check(header, now_ms() + 50000, ""), FLINT_HTTP_OK);
}

static void test_malformed(void **state)
{
	static const char * const bad[] = {
		"", "v1", "v2 1 2 3", "v1 1 00112233445566778899aabbccddeeff",
		"v1 x 00112233445566778899aabbccddeeff 0", "v1 1 0011 0",
		"v1 1 00112233445566778899AABBCCDDEEFF 0",
	};
	char header[512], sent[FLINT_HTTP_NONCE_HEX + 1];
	size_t i;

	assert_int_equal(check(NULL, now_ms(), ""), FLINT_HTTP_NO_AUTH);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(check(bad[i], now_ms(), ""), FLINT_HTTP_NO_AUTH);
	flint_http_auth_make(key, "POST", "/v1/fs", "", 0, header, sizeof(header), sent);
	strcat(header, "0");
	assert_int_equal(check(header, now_ms(), ""), FLINT_HTTP_NO_AUTH);
}

/* More requests in a minute than can be told apart are refused, not let pass twice. */
static void test_flood(void **state)
{
	char header[256], sent[FLINT_HTTP_NONCE_HEX + 1];
	u64 now = now_ms();
	int i;

	for (i = 0; i < FLINT_HTTP_NONCES; i++) {
		flint_http_auth_make(key, "POST", "/v1/fs", "", 0, header, sizeof(header), sent);
		assert_int_equal(check(header, now, ""), FLINT_HTTP_OK);
	}
	flint_http_auth_make(key, "POST", "/v1/fs", "", 0, header, sizeof(header), sent);
	assert_int_equal(check(header, now, ""), FLINT_HTTP_BUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test_setup_teardown(test_genuine_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
