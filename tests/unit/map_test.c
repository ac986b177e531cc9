// SPDX-License-Identifier: GPL-2.0-or-later
/* The cluster map: a valid image is understood, every broken one refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "map_sample.h"

/* Check a copy of exactly @len bytes, so that ASan sees overreads. */
static int check_len(const struct map_sample *s, u32 len)
{
	struct flint_map m;
	u8 *copy = malloc(len ? len : 1);
	int rc;

	memcpy(copy, s, len);
	rc = flint_map_check(copy, len, &m);
	free(copy);
	return rc;
}

static int check(const struct map_sample *s)
{
	return check_len(s, sizeof(*s));
}

static void test_sample(void **state)
{
	struct map_sample s;
	struct flint_map m;
	u32 id;

	map_sample_make(&s);
	assert_int_equal(flint_map_check(&s, sizeof(s), &m), 0);
	assert_int_equal(m.epoch, 7);
	assert_ptr_equal(m.nodes, s.nodes);
	assert_ptr_equal(m.targets, s.targets);
	assert_ptr_equal(m.chains, s.chains);
	assert_ptr_equal(m.tables, s.tables);
	assert_ptr_equal(m.fs, s.fs);
	assert_ptr_equal(m.chain_ids, s.chain_ids);
	for (id = 0; id < 20; id++) {
		assert_ptr_equal(flint_map_node(&m, id),
				 id == 1 || id == 2 ? &s.nodes[id - 1] : NULL);
		assert_ptr_equal(flint_map_target(&m, id),
				 id >= 10 && id < 13 ? &s.targets[id - 10] : NULL);
		assert_ptr_equal(flint_map_chain(&m, id),
				 id >= 1 && id < 4 ? &s.chains[id - 1] : NULL);
	}
	assert_ptr_equal(flint_map_table(&m, 1, 1), &s.tables[0]);
	assert_ptr_equal(flint_map_table(&m, 1, 2), &s.tables[1]);
	assert_null(flint_map_table(&m, 1, 3));
	assert_null(flint_map_table(&m, 2, 1));
}

static void test_truncated(void **state)
{
	struct map_sample s;
	u32 len;

	map_sample_make(&s);
	for (len = 0; len < sizeof(s); len++)
		assert_int_equal(check_len(&s, len), -EPROTO);
}

#define REFUSED(change)							\
	do {								\
		struct map_sample s;					\
									\
		map_sample_make(&s);					\
		change;							\
		assert_int_equal(check(&s), -EPROTO);			\
	} while (0)

static void test_header(void **state)
{
	struct map_sample s;

	REFUSED(s.hdr.magic ^= cpu_to_le32(1));
	REFUSED(s.hdr.epoch = 0);
	REFUSED(s.hdr.total_len = cpu_to_le32(sizeof(s) - 1));
	REFUSED(s.hdr.total_len = cpu_to_le32(sizeof(s) + 1));
	REFUSED(s.hdr.hdr_len = cpu_to_le16(sizeof(s.hdr) - 8));
	REFUSED(s.hdr.hdr_len = cpu_to_le16(sizeof(s.hdr) + 4));
	REFUSED(s.hdr.hdr_len = cpu_to_le16(0xfff8));
	REFUSED(s.hdr.nr_nodes = cpu_to_le32(3));
	REFUSED(s.hdr.nr_nodes = cpu_to_le32(0xffffffffu));
	REFUSED(s.hdr.nr_targets = cpu_to_le32(0));
	REFUSED(s.hdr.nr_chains = cpu_to_le32(0xffffffffu));
	REFUSED(s.hdr.nr_tables = cpu_to_le32(1));
	REFUSED(s.hdr.nr_fs = cpu_to_le32(2));
	REFUSED(s.hdr.nr_table_chains = cpu_to_le32(5));
	map_sample_make(&s);
	s.hdr.version = cpu_to_le16(FLINT_MAP_VERSION + 1);
	assert_int_equal(check(&s), -EPROTONOSUPPORT);
}

static void test_order(void **state)
{
	REFUSED(s.nodes[0].id = 0);
	REFUSED(s.nodes[0].id = s.nodes[1].id);
	REFUSED(s.nodes[1].id = cpu_to_le32(1));
	REFUSED(s.targets[2].id = cpu_to_le32(5));
	REFUSED(s.targets[0].id = 0);
	REFUSED(s.chains[1].id = cpu_to_le32(1));
	REFUSED(s.chains[0].id = 0);
	REFUSED(s.fs[0].id = 0);
	REFUSED(s.tables[1].version = cpu_to_le32(1));
	REFUSED(s.tables[1].version = 0);
	REFUSED(s.tables[1].id = 0);
}

static void test_references(void **state)
{
	REFUSED(s.targets[1].node = cpu_to_le32(3));
	REFUSED(s.targets[1].node = 0);
	REFUSED(s.chains[2].nr = 0);
	REFUSED(s.chains[2].nr = FLINT_CHAIN_MAX + 1);
	REFUSED(s.chains[2].nr = 2);	/* the second target is 0 */
	REFUSED(s.chains[2].targets[0] = cpu_to_le32(13));
	REFUSED(s.tables[0].nr = 0);
	REFUSED(s.tables[0].nr = cpu_to_le32(7));
	REFUSED(s.tables[0].nr = cpu_to_le32(0xffffffffu));
	REFUSED(s.tables[0].first = cpu_to_le32(5));
	REFUSED(s.tables[0].first = cpu_to_le32(0xffffffffu));
	REFUSED(s.chain_ids[4] = cpu_to_le32(4));
	REFUSED(s.chain_ids[0] = 0);
	REFUSED(s.fs[0].meta_node = cpu_to_le32(9));
	REFUSED(memset(s.fs[0].name, 'x', FLINT_LABEL_LEN));
}

/* A later sender may have a longer header. */
static void test_longer_header(void **state)
{
	struct map_sample s;
	struct flint_map m;
	_Alignas(8) u8 buf[sizeof(s) + 16];
	struct flint_map_hdr *h = (struct flint_map_hdr *)buf;

	map_sample_make(&s);
	memset(buf, 0xaa, sizeof(buf));
	memcpy(buf, &s, sizeof(s.hdr));
	memcpy(buf + sizeof(s.hdr) + 16, (u8 *)&s + sizeof(s.hdr), sizeof(s) - sizeof(s.hdr));
	h->hdr_len = cpu_to_le16(sizeof(s.hdr) + 16);
	h->total_len = cpu_to_le32(sizeof(buf));
	assert_int_equal(flint_map_check(buf, sizeof(buf), &m), 0);
	assert_non_null(flint_map_target(&m, 12));
}

/* An empty cluster is valid. */
static void test_empty(void **state)
{
	struct map_sample s;
	struct flint_map m;

	map_sample_make(&s);
	s.hdr.nr_nodes = s.hdr.nr_targets = s.hdr.nr_chains = 0;
	s.hdr.nr_tables = s.hdr.nr_fs = s.hdr.nr_table_chains = 0;
	s.hdr.total_len = cpu_to_le32(sizeof(s.hdr));
	assert_int_equal(flint_map_check(&s.hdr, sizeof(s.hdr), &m), 0);
	assert_null(flint_map_node(&m, 1));
}

/* Any single flipped bit leaves a map that is refused or safe to use. */
static void test_flipped(void **state)
{
	struct map_sample s;
	size_t i;
	u32 c;

	for (i = 0; i < sizeof(s) * 8; i++) {
		struct flint_map m;

		map_sample_make(&s);
		((u8 *)&s)[i / 8] ^= 1 << (i % 8);
		if (flint_map_check(&s, sizeof(s), &m))
			continue;
		for (c = 0; c < m.nr_table_chains; c++)
			assert_non_null(flint_map_chain(&m, le32_to_cpu(m.chain_ids[c])));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_longer_header),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_flipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
