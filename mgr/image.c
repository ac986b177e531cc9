// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The map image of uapi/flintfs/map.h from the model.
 *
 * Nothing leaves here that flint_map_check() would refuse: a bug in the
 * manager must not reach every kernel of the cluster at once.
 */
#include <stdio.h>

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

/* How many there are of what is no plain array. */
struct image_counts {
	u32 fs, ids, revoked;
};

static struct image_counts mgr_image_counts(const struct mgr_state *st)
{
	struct image_counts n = { 0 };
	u32 i;

	for (i = 0; i < st->nr_fs; i++)
		n.fs += st->fs[i].root_ino != 0;
	for (i = 0; i < st->nr_tables; i++)
		n.ids += st->tables[i].nr;
	for (i = 0; i < st->nr_tokens; i++)
		n.revoked += st->tokens[i].revoked;
	return n;
}

static u64 mgr_image_size(const struct mgr_state *st)
{
	struct image_counts n = mgr_image_counts(st);

	return sizeof(struct flint_map_hdr) + (u64)st->nr_nodes * sizeof(struct flint_map_node) +
	       (u64)st->nr_targets * sizeof(struct flint_map_target) +
	       (u64)st->nr_chains * sizeof(struct flint_map_chain) +
	       (u64)st->nr_tables * sizeof(struct flint_map_table) +
	       (u64)n.fs * sizeof(struct flint_map_fs) + (u64)n.revoked * sizeof(__le64) +
	       (u64)n.ids * sizeof(__le32);
}

/**
 * mgr_image_room() - may operators let the map grow to this?
 * @st: with what they ask for
 *
 * A map that is too long to be sent is committed and never seen. A quarter is left
 * for what nobody can refuse: servers that come, tokens that are revoked.
 *
 * Return: 0, or -ENOSPC with a sentence.
 */
int mgr_image_room(const struct mgr_state *st, char *err, size_t errlen)
{
	u64 size = mgr_image_size(st);

	if (size <= MGR_MAP_ROOM)
		return 0;
	snprintf(err, errlen,
		 "the cluster's map would have %llu KiB, and chains and their tables may fill it up to %u KiB: every change of a chain table keeps all its versions, so make many chains at once",
		 (unsigned long long)size >> 10, MGR_MAP_ROOM >> 10);
	return -ENOSPC;
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
	struct image_counts n = mgr_image_counts(st);
	u64 need = mgr_image_size(st);
	u8 *p = buf;
	u32 i, j;

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
	h->nr_fs = cpu_to_le32(n.fs);
	h->nr_table_chains = cpu_to_le32(n.ids);
	h->nr_revoked = cpu_to_le32(n.revoked);
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
