// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as a cluster map: what flint_map_check() accepts must be safe to
 * use in every way that clients use it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../uapi/flintfs/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(const void *p)
{
	if (!p)
		abort();	/* the check accepted a reference that leads nowhere */
}

/* Everything that a client follows from a file system to an address. */
static void use(const struct flint_map *m)
{
	struct flint_placement place;
	uint32_t i, j;

	for (i = 0; i < m->nr_fs; i++) {
		require(flint_map_node(m, le32_to_cpu(m->fs[i].meta_node)));
		if (strlen((const char *)m->fs[i].name) >= FLINT_LABEL_LEN)
			abort();
	}
	for (i = 0; i < m->nr_tables; i++) {
		const struct flint_map_table *t = &m->tables[i];
		struct flint_layout lay = { .version = FLINT_PLACEMENT_V1, .chunk_shift = 20,
					    .stripe = cpu_to_le16(1 + i % 256),
					    .seed = cpu_to_le64(m->epoch) };

		require(flint_map_table(m, le32_to_cpu(t->id), le32_to_cpu(t->version)));
		if (flint_placement_init(&place, &lay, le32_to_cpu(t->nr)))
			continue;
		for (j = 0; j < 8; j++) {
			uint32_t at = le32_to_cpu(t->first) + flint_placement_chain(&place, j);
			const struct flint_map_chain *c;

			c = flint_map_chain(m, le32_to_cpu(m->chain_ids[at]));
			require(c);
			require(flint_map_target(m, le32_to_cpu(c->targets[c->nr - 1])));
		}
	}
	for (i = 0; i < m->nr_targets; i++)
		require(flint_map_node(m, le32_to_cpu(m->targets[i].node)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct flint_map m;

	memcpy(copy, data, size);
	if (!flint_map_check(copy, size, &m))
		use(&m);
	free(copy);
	return 0;
}
