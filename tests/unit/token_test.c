// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tokens without a network: claims that are accepted and refused, the secret
 * against a vector computed elsewhere, text and files, prefixes, subtrees, and
 * the map's list of revoked ones.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "map_sample.h"
#include "userd/base/key.h"
#include "userd/base/token.h"

/* Made with Python's hmac and struct modules. */
#define VECTOR_CLAIMS	\
	"46544f4b010410004800060003000000887766554433221100f1536500000000" \
	"00d2496b0000000003000000feff0000fdff0000000000000a01000000000000" \
	"00000000000000007465616d2f61"
#define VECTOR_SECRET	\
	"566ca4da58cf5bfb6bc37cfd2bbdbeb7fd0d955eb8e5908db2ab97614c397c9c"

static struct flint_token_full sample(void)
{
	struct flint_token_full t = { .claims = {
		.magic = cpu_to_le32(FLINT_TOKEN_MAGIC), .version = FLINT_TOKEN_V1,
		.addr_family = 4, .addr_bits = 16,
		.fixed_len = cpu_to_le16(sizeof(struct flint_token)), .path_len = cpu_to_le16(6),
		.fs = cpu_to_le32(3), .id = cpu_to_le64(0x1122334455667788ull),
		.issued = cpu_to_le64(1700000000), .expires = cpu_to_le64(1800000000),
		.flags = cpu_to_le32(FLINT_TOKEN_RDONLY | FLINT_TOKEN_ROOT_SQUASH),
		.squash_uid = cpu_to_le32(65534), .squash_gid = cpu_to_le32(65533),
		.addr = { 10, 1 },
	} };
	uint8_t key[FLINT_KEY_LEN];
	int i;

	memcpy(t.bytes + sizeof(t.claims), "team/a", 6);
	for (i = 0; i < FLINT_KEY_LEN; i++)
		key[i] = (uint8_t)i;
	flint_token_secret(key, &t.claims, t.secret);
	return t;
}

static int check(const struct flint_token_full *t)
{
	return flint_token_check(t->bytes, flint_token_len(&t->claims));
}

static void vector(void **state)
{
	struct flint_token_full t = sample();
	char hex[2 * FLINT_TOKEN_MAX + 1];

	assert_int_equal(check(&t), 0);
	flint_hex_format(t.bytes, flint_token_len(&t.claims), hex);
	assert_string_equal(hex, VECTOR_CLAIMS);
	flint_hex_format(t.secret, sizeof(t.secret), hex);
	assert_string_equal(hex, VECTOR_SECRET);
}

/* A change of any byte makes another secret, or no token at all. */
static void every_byte_counts(void **state)
{
	struct flint_token_full good = sample(), t;
	uint8_t key[FLINT_KEY_LEN], secret[FLINT_KEY_LEN];
	uint32_t i, len = flint_token_len(&good.claims);

	for (i = 0; i < FLINT_KEY_LEN; i++)
		key[i] = (uint8_t)i;
	for (i = 0; i < len * 8; i++) {
		t = good;
		t.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		if (flint_token_check(t.bytes, len))
			continue;
		flint_token_secret(key, &t.claims, secret);
		assert_memory_not_equal(secret, good.secret, sizeof(secret));
	}
}

static void refused_claims(void **state)
{
	struct flint_token_full g = sample(), t;
	uint32_t i, len = flint_token_len(&g.claims);

	for (i = 0; i < len; i++)
		assert_true(flint_token_check(g.bytes, i) < 0);
	assert_true(flint_token_check(g.bytes, len + 1) < 0);
	t = g, t.claims.version = 2;
	assert_int_equal(check(&t), -EPROTONOSUPPORT);
	t = g, t.claims.flags = cpu_to_le32(16);
	assert_int_equal(check(&t), -EPROTONOSUPPORT);
	t = g, t.claims.fs = 0;
	assert_int_equal(check(&t), -EPROTO);
	t = g, t.claims.id = 0;
	assert_int_equal(check(&t), -EPROTO);
	t = g, t.claims.expires = t.claims.issued;
	assert_int_equal(check(&t), -EPROTO);
	t = g, t.claims.addr[2] = 1;
	assert_int_equal(check(&t), -EPROTO);
	t = g, t.claims.addr_bits = 33;
	assert_int_equal(check(&t), -EPROTO);
	t = g, t.claims.addr_family = 5;
	assert_int_equal(check(&t), -EPROTO);
	t = g, t.claims.flags = cpu_to_le32(FLINT_TOKEN_RDONLY);	/* whom to squash to? */
	assert_int_equal(check(&t), -EPROTO);
	t = g, t.claims.reserved0 = 1;
	assert_int_equal(check(&t), -EPROTO);
	t = g, t.claims.reserved1 = 1;
	assert_int_equal(check(&t), -EPROTO);
	t = g, t.claims.fixed_len = cpu_to_le16(71);
	assert_int_equal(check(&t), -EPROTO);
}

static void paths(void **state)
{
	static const char * const good[] = { "", "a", "a/b", "..a", "...", "a/.b", "\xff\x01" };
	static const char * const bad[] = { "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a",
					    "a/./b", "a/../b" };
	struct flint_token_full t = sample();
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(flint_token_path_ok(good[i], (u32)strlen(good[i])));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(flint_token_path_ok(bad[i], (u32)strlen(bad[i])));
	assert_false(flint_token_path_ok("a\0b", 3));

	assert_true(flint_token_covers(&t.claims, "team/a", 6));
	assert_true(flint_token_covers(&t.claims, "team/a/b", 8));
	assert_false(flint_token_covers(&t.claims, "team/ab", 7));
	assert_false(flint_token_covers(&t.claims, "team", 4));
	assert_false(flint_token_covers(&t.claims, "", 0));
	t.claims.path_len = 0;
	assert_true(flint_token_covers(&t.claims, "", 0));
	assert_true(flint_token_covers(&t.claims, "x/y", 3));
}

static void times(void **state)
{
	struct flint_token_full t = sample();

	assert_false(flint_token_expired(&t.claims, 1799999999));
	assert_true(flint_token_expired(&t.claims, 1800000000));
	t.claims.expires = 0;
	assert_false(flint_token_expired(&t.claims, UINT64_MAX));
}

static void prefix_case(const char *text, const char *in, const char *out, const char *shown)
{
	struct flint_token_full t = sample();
	char buf[FLINT_TOKEN_PREFIX_STR];
	struct flint_token a;

	assert_int_equal(flint_token_prefix(text, &t.claims), 0);
	assert_int_equal(check(&t), 0);
	assert_string_equal(flint_token_prefix_format(&t.claims, buf), shown);
	assert_int_equal(flint_token_prefix(in, &a), 0);
	assert_true(flint_token_addr_in(&t.claims, a.addr_family, a.addr));
	assert_int_equal(flint_token_prefix(out, &a), 0);
	assert_false(flint_token_addr_in(&t.claims, a.addr_family, a.addr));
}

static void prefixes(void **state)
{
	static const char * const bad[] = { "", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "10.0.0.0/",
					    "10.0.0.0/-1", "10.0.0.0/8x", "host" };
	struct flint_token t = { 0 };
	size_t i;

	prefix_case("10.1.2.3/16", "10.1.255.255", "10.2.0.0", "10.1.0.0/16");
	prefix_case("10.1.2.3", "10.1.2.3", "10.1.2.2", "10.1.2.3/32");
	prefix_case("10.1.2.128/25", "10.1.2.200", "10.1.2.127", "10.1.2.128/25");
	prefix_case("0.0.0.0/0", "192.0.2.1", "::1", "0.0.0.0/0");
	prefix_case("fd00::1/8", "fdff::2", "fe00::", "fd00::/8");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(flint_token_prefix(bad[i], &t), -EINVAL);
}

static void text_and_files(void **state)
{
	char path[] = "/tmp/flint-token-XXXXXX", err[512];
	struct flint_token_full t = sample(), got;
	char text[FLINT_TOKEN_TEXT_MAX];
	size_t len, i;
	int fd;

	flint_token_format(&t, text);
	len = strlen(text);
	assert_int_equal(flint_token_parse(text, &got), 0);
	assert_memory_equal(got.bytes, t.bytes, flint_token_len(&t.claims));
	assert_memory_equal(got.secret, t.secret, sizeof(t.secret));
	for (i = 0; i < len; i++) {
		char c = text[i];

		text[i] = 0;
		assert_int_equal(flint_token_parse(text, &got), -EINVAL);
		text[i] = 'g';
		assert_int_equal(flint_token_parse(text, &got), -EINVAL);
		text[i] = c;
	}

	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(write(fd, "\n", 1), 1);
	assert_int_equal(flint_token_load(path, &got, err, sizeof(err)), 0);
	assert_memory_equal(got.secret, t.secret, sizeof(t.secret));
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(flint_token_load(path, &got, err, sizeof(err)), -EACCES);
	assert_non_null(strstr(err, "chmod 600"));
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(flint_token_load(path, &got, err, sizeof(err)), -EINVAL);
	close(fd);
	unlink(path);
	assert_int_equal(flint_token_load(path, &got, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "flint token create"));
}

static void revoked(void **state)
{
	struct {
		struct flint_map_hdr hdr;
		__le64 ids[4];
	} image = { .hdr = {
		.magic = cpu_to_le32(FLINT_MAP_MAGIC), .version = cpu_to_le16(FLINT_MAP_VERSION),
		.hdr_len = cpu_to_le16(sizeof(struct flint_map_hdr)), .epoch = cpu_to_le64(1),
		.total_len = cpu_to_le32(sizeof(image)), .nr_revoked = cpu_to_le32(4),
	} };
	struct flint_token_full t = sample();
	struct flint_map map;
	u64 i;

	for (i = 0; i < 4; i++)
		image.ids[i] = cpu_to_le64(10 * i + 10);
	assert_int_equal(flint_map_check(&image, sizeof(image), &map), 0);
	for (i = 1; i < 60; i++) {
		t.claims.id = cpu_to_le64(i);
		assert_int_equal(flint_map_token_revoked(&map, &t.claims), i % 10 == 0 && i <= 40);
	}
	image.hdr.tokens_from = cpu_to_le64(1700000000);
	assert_false(flint_map_token_revoked(&map, &t.claims));
	image.hdr.tokens_from = cpu_to_le64(1700000001);
	assert_true(flint_map_token_revoked(&map, &t.claims));
	image.ids[2] = image.ids[1];
	assert_int_equal(flint_map_check(&image, sizeof(image), &map), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vector),
		cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(refused_claims),
		cmocka_unit_test(paths),
		cmocka_unit_test(times),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(text_and_files),
		cmocka_unit_test(revoked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
