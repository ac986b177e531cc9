/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small valid cluster map image, for tests and for the fuzzers' first inputs:
 * 2 nodes, 3 targets, 3 chains, 2 versions of a table, 1 file system.
 */
#ifndef FLINT_TEST_MAP_SAMPLE_H
#define FLINT_TEST_MAP_SAMPLE_H

#include <stddef.h>
#include "../../userd/base/crc.h"
#include "../../uapi/flintfs/codec.h"

struct map_sample {
	struct flint_map_hdr hdr;
	struct flint_map_node nodes[2];
	struct flint_map_target targets[3];
	struct flint_map_chain chains[3];
	struct flint_map_table tables[2];
	struct flint_map_fs fs[1];
	__le32 chain_ids[6];
} __attribute__((packed, aligned(8)));

_Static_assert(sizeof(struct map_sample) == 880, "sections without gaps");

static inline void map_sample_seal(struct map_sample *s)
{
	s->hdr.crc = 0;
	s->hdr.crc = cpu_to_le32(flint_crc32c(0, s, sizeof(*s)));
}

static inline void map_sample_make(struct map_sample *s)
{
	static const u32 ids[6] = { 1, 2, 1, 2, 3, 3 };
	u32 i;

	memset(s, 0, sizeof(*s));
	s->hdr = (struct flint_map_hdr){
		.magic = cpu_to_le32(FLINT_MAP_MAGIC),
		.version = cpu_to_le16(FLINT_MAP_VERSION),
		.hdr_len = cpu_to_le16(sizeof(struct flint_map_hdr)),
		.epoch = cpu_to_le64(7), .cluster_name = "sample",
		.total_len = cpu_to_le32(sizeof(*s)),
		.nr_nodes = cpu_to_le32(2), .nr_targets = cpu_to_le32(3),
		.nr_chains = cpu_to_le32(3), .nr_tables = cpu_to_le32(2),
		.nr_fs = cpu_to_le32(1), .nr_table_chains = cpu_to_le32(6),
		.lease_ms = cpu_to_le32(6000),
	};
	for (i = 0; i < 2; i++) {
		s->nodes[i].id = cpu_to_le32(1 + i);
		s->nodes[i].role = i ? FLINT_ROLE_CHUNK : FLINT_ROLE_META;
		s->nodes[i].state = FLINT_NODE_UP;
		s->nodes[i].addrs[0] = (struct flint_addr){
			.family = 4, .proto = FLINT_PROTO_TCP,
			.port = cpu_to_le16(7451 + 10 * i), .addr = { 127, 0, 0, 1 } };
	}
	for (i = 0; i < 3; i++) {
		s->targets[i].id = cpu_to_le32(10 + i);
		s->targets[i].node = cpu_to_le32(2);
		s->targets[i].chain = cpu_to_le32(1 + i);
		s->targets[i].state = FLINT_TARGET_SERVING;
		s->chains[i].id = cpu_to_le32(1 + i);
		s->chains[i].version = cpu_to_le32(1);
		s->chains[i].nr = 1;
		s->chains[i].targets[0] = cpu_to_le32(10 + i);
	}
	for (i = 0; i < 2; i++) {
		s->tables[i].id = cpu_to_le32(1);
		s->tables[i].version = cpu_to_le32(1 + i);
		s->tables[i].first = cpu_to_le32(i ? 2 : 0);
		s->tables[i].nr = cpu_to_le32(i ? 3 : 2);
	}
	s->fs[0].id = cpu_to_le32(1);
	s->fs[0].meta_node = cpu_to_le32(1);
	s->fs[0].root_ino = cpu_to_le64(1);
	s->fs[0].name[0] = 'd';
	for (i = 0; i < 6; i++)
		s->chain_ids[i] = cpu_to_le32(ids[i]);
	map_sample_seal(s);
}

#endif /* FLINT_TEST_MAP_SAMPLE_H */
