// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The map image of uapi/flintfs/map.h from the model.
 *
 * Nothing leaves here that flint_map_check() would refuse: a bug in the
 * manager must not reach every kernel of the cluster at once.
 */
#include "../userd/base/crc.h"
#include "mgrd.h"

static u8 *mgr_image_nodes(const struct mgr_state *st, u8 *p)
{
	u32 i;

	for (i = 0; i < st->nr_nodes; i++) {
		const struct mgr_node *n = &st->nodes[i];
		struct flint_map_node *out = (void *)p;

		out->id = cpu_to_le32(n->id);
		out->role = n->role;
		out->state = n->state;
		memcpy(out->name, n->name, sizeof(out->name));
		memcpy(out->addrs, n->addrs, sizeof(out->addrs));
		p += sizeof(*out);
	}
	return p;
}

static u8 *mgr_image_targets(const struct mgr_state *st, u8 *p)
{
	u32 i;

	for (i = 0; i < st->nr_targets; i++) {
		const struct mgr_target *t = &st->targets[i];
		struct flint_map_target *out = (void *)p;

		out->id = cpu_to_le32(t->id);
		out->node = cpu_to_le32(t->node);
		out->chain = cpu_to_le32(t->chain);
		out->state = t->state;
		out->capacity = cpu_to_le64(t->capacity);
		out->used = cpu_to_le64(t->used);
		p += sizeof(*out);
	}
	return p;
}

static u8 *mgr_image_chains(const struct mgr_state *st, u8 *p)
{
	u32 i, j;

	for (i = 0; i < st->nr_chains; i++) {
		const struct mgr_chain *c = &st->chains[i];
		struct flint_map_chain *out = (void *)p;

		out->id = cpu_to_le32(c->id);
		out->version = cpu_to_le32(c->version);
		out->nr = c->nr;
		for (j = 0; j < c->nr; j++)
			out->targets[j] = cpu_to_le32(c->targets[j]);
		p += sizeof(*out);
	}
	return p;
}

static u8 *mgr_image_tables(const struct mgr_state *st, u8 *p)
{
	u32 i, first = 0;

	for (i = 0; i < st->nr_tables; i++) {
		const struct mgr_table *t = &st->tables[i];
		struct flint_map_table *out = (void *)p;

		out->id = cpu_to_le32(t->id);
		out->version = cpu_to_le32(t->version);
		out->first = cpu_to_le32(first);
		out->nr = cpu_to_le32(t->nr);
		first += t->nr;
		p += sizeof(*out);
	}
	return p;
}

static u8 *mgr_image_fs(const struct mgr_state *st, u8 *p)
{
	u32 i;

	for (i = 0; i < st->nr_fs; i++) {
		const struct mgr_fs *fs = &st->fs[i];
		struct flint_map_fs *out = (void *)p;

		if (!fs->root_ino)
			continue;
		out->id = cpu_to_le32(fs->id);
		out->meta_node = cpu_to_le32(fs->meta_node);
		out->root_ino = cpu_to_le64(fs->root_ino);
		memcpy(out->name, fs->name, sizeof(out->name));
		out->layout = fs->layout;
		p += sizeof(*out);
	}
	return p;
}

/**
 * mgr_image_build() - write the image of the present epoch
 * @st: the model
 * @buf: 8-byte aligned
 * @room: bytes of it
 * @len: result: bytes of image
 *
 * Return: 0, -ERANGE when it does not fit, -EPROTO when the model is not fit
 * to be published (a bug: keep the old image).
 */
int mgr_image_build(const struct mgr_state *st, void *buf, u32 room, u32 *len)
{
	struct flint_map_hdr *h = buf;
	struct flint_map check;
	u32 i, j, nr_fs = 0, nr_ids = 0, nr_revoked = 0;
	u64 need;
	u8 *p = buf;

	for (i = 0; i < st->nr_fs; i++)
		nr_fs += st->fs[i].root_ino != 0;
	for (i = 0; i < st->nr_tables; i++)
		nr_ids += st->tables[i].nr;
	for (i = 0; i < st->nr_tokens; i++)
		nr_revoked += st->tokens[i].revoked;
	need = sizeof(*h) + (u64)st->nr_nodes * sizeof(struct flint_map_node) +
	       (u64)st->nr_targets * sizeof(struct flint_map_target) +
	       (u64)st->nr_chains * sizeof(struct flint_map_chain) +
	       (u64)st->nr_tables * sizeof(struct flint_map_table) +
	       (u64)nr_fs * sizeof(struct flint_map_fs) + (u64)nr_revoked * sizeof(__le64) +
	       (u64)nr_ids * sizeof(__le32);
	if (need > room)
		return -ERANGE;

	memset(buf, 0, need);
	h->magic = cpu_to_le32(FLINT_MAP_MAGIC);
	h->version = cpu_to_le16(FLINT_MAP_VERSION);
	h->hdr_len = cpu_to_le16(sizeof(*h));
	h->epoch = cpu_to_le64(st->epoch);
	memcpy(h->cluster_id, st->set.cluster_id, sizeof(h->cluster_id));
	memcpy(h->cluster_name, st->set.cluster_name, sizeof(h->cluster_name));
	h->total_len = cpu_to_le32(need);
	h->nr_nodes = cpu_to_le32(st->nr_nodes);
	h->nr_targets = cpu_to_le32(st->nr_targets);
	h->nr_chains = cpu_to_le32(st->nr_chains);
	h->nr_tables = cpu_to_le32(st->nr_tables);
	h->nr_fs = cpu_to_le32(nr_fs);
	h->nr_table_chains = cpu_to_le32(nr_ids);
	h->nr_revoked = cpu_to_le32(nr_revoked);
	h->tokens_from = cpu_to_le64(st->set.tokens_from);
	h->lease_ms = cpu_to_le32(st->set.lease_ms);

	p = mgr_image_nodes(st, p + sizeof(*h));
	p = mgr_image_targets(st, p);
	p = mgr_image_chains(st, p);
	p = mgr_image_tables(st, p);
	p = mgr_image_fs(st, p);
	for (i = 0; i < st->nr_tokens; i++) {
		__le64 id = cpu_to_le64(st->tokens[i].id);

		if (!st->tokens[i].revoked)
			continue;
		memcpy(p, &id, sizeof(id));
		p += sizeof(id);
	}
	for (i = 0; i < st->nr_tables; i++)
		for (j = 0; j < st->tables[i].nr; j++) {
			__le32 id = cpu_to_le32(st->tables[i].chains[j]);

			memcpy(p, &id, sizeof(id));
			p += sizeof(id);
		}
	h->crc = cpu_to_le32(flint_crc32c(0, buf, need));
	*len = need;
	return flint_map_check(buf, need, &check);
}
