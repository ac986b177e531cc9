// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a target reads from outside about its chain: its place from the map, and
 * the body of a forwarded change. Nothing here has a state.
 */
#include "chain.h"

void flint_place_find(const struct flint_map *map, u32 target, struct flint_place *p)
{
	const struct flint_map_target *me = flint_map_target(map, target);
	const struct flint_map_chain *c = me && me->chain ?
		flint_map_chain(map, le32_to_cpu(me->chain)) : NULL;
	const struct flint_map_target *in[FLINT_CHAIN_MAX];
	unsigned int nr = 0, i, pass;

	memset(p, 0, sizeof(*p));
	if (!c)
		return;
	p->chain = le32_to_cpu(c->id);
	p->chain_ver = le32_to_cpu(c->version);
	for (pass = 0; pass < 2; pass++) {	/* serving ones, then the one that catches up */
		u8 want = pass ? FLINT_TARGET_SYNCING : FLINT_TARGET_SERVING;

		for (i = 0; i < c->nr && i < FLINT_CHAIN_MAX; i++) {
			const struct flint_map_target *t =
				flint_map_target(map, le32_to_cpu(c->targets[i]));

			if (t && t->state == want)
				in[nr++] = t;
		}
	}
	for (i = 0; i < nr && in[i] != me; i++)
		;
	if (i == nr)
		return;
	p->role = me->state == FLINT_TARGET_SERVING ? FLINT_CHAIN_SERVING : FLINT_CHAIN_SYNCING;
	p->pos = (u8)i;
	if (i) {
		p->pred = le32_to_cpu(in[i - 1]->id);
		p->pred_node = le32_to_cpu(in[i - 1]->node);
	}
	if (p->role != FLINT_CHAIN_SERVING || i + 1 == nr)
		return;
	p->succ = le32_to_cpu(in[i + 1]->id);
	p->succ_node = le32_to_cpu(in[i + 1]->node);
	p->succ_syncing = in[i + 1]->state == FLINT_TARGET_SYNCING;
}

u8 flint_order_state(const struct flint_hb_order *o, u64 synced)
{
	if (!(o->flags & FLINT_HB_ADMITTED))
		return FLINT_LOCAL_ONLINE;
	if (o->state == FLINT_TARGET_SERVING)
		return FLINT_LOCAL_UPTODATE;
	return o->state == FLINT_TARGET_SYNCING &&
	       synced == flint_chain_at(le32_to_cpu(o->chain), le32_to_cpu(o->chain_ver)) ?
	       FLINT_LOCAL_UPTODATE : FLINT_LOCAL_ONLINE;
}

bool flint_order_unsafe(const struct flint_hb_order *o)
{
	return !o->target_id || o->state == FLINT_TARGET_LASTSRV ||
	       (o->state == FLINT_TARGET_SERVING && !(o->flags & FLINT_HB_ADMITTED));
}

/* ---- forwarded changes ---------------------------------------------------- */

int flint_forward_kind(const struct flint_forward *b, u32 data_len)
{
	u32 len = le32_to_cpu(b->io.length), off = le32_to_cpu(b->io.offset);
	u32 size = le32_to_cpu(b->size);
	bool sync = b->flags & FLINT_FWD_SYNC;
	/* Replay leaves out a record whose version is not newer than the chunk's. */
	bool next = b->version && b->tag &&
		    le64_to_cpu(b->version) - 1 == le64_to_cpu(b->prev_version);

	if (b->io.chunk_shift < FLINT_CHUNK_SHIFT_MIN || b->io.chunk_shift > FLINT_CHUNK_SHIFT_MAX ||
	    !b->io.ino || !b->io.chain || !b->io.target || !b->from ||
	    off > 1u << b->io.chunk_shift || len > (1u << b->io.chunk_shift) - off ||
	    len > FLINT_STORE_MAX_IO || size > 1u << b->io.chunk_shift ||
	    (data_len && !(le32_to_cpu(b->io.flags) & FLINT_IO_CRC)) || sync != !b->seq)
		return -1;
	switch (b->kind) {
	case FLINT_FWD_WRITE:
		return len && data_len == len && next && !sync &&
		       !(b->flags & (FLINT_FWD_FIRST | FLINT_FWD_LAST)) ? FLINT_SOP_WRITE : -1;
	case FLINT_FWD_PUNCH:
		return len && !data_len && next && !b->flags ? FLINT_SOP_PUNCH : -1;
	case FLINT_FWD_WHOLE:
		return data_len == len && b->version && !(off & (FLINT_STORE_ALIGN - 1)) &&
		       off + len <= size &&
		       !off == !!(b->flags & FLINT_FWD_FIRST) &&
		       (off + len == size) == !!(b->flags & FLINT_FWD_LAST) &&
		       (len || !size) ? FLINT_SOP_REPLACE : -1;
	case FLINT_FWD_DROP:
		return !data_len && !len && sync ? FLINT_SOP_DROP : -1;
	case FLINT_FWD_CLONE:
		return !data_len && !len && !off && next && !b->flags ? FLINT_SOP_CLONE : -1;
	default:
		return -1;
	}
}

void flint_forward_op(const struct flint_forward *b, int kind, struct flint_sop *op)
{
	op->kind = (u8)kind;
	op->given = true;
	op->shift = b->io.chunk_shift;
	op->fs = le32_to_cpu(b->io.fs);
	op->ino = le64_to_cpu(b->io.ino);
	op->gen = le32_to_cpu(b->io.gen);
	op->epoch = le32_to_cpu(b->io.trunc_epoch);
	op->index = le32_to_cpu(b->io.index);
	op->offset = le32_to_cpu(b->io.offset);
	op->length = le32_to_cpu(b->io.length);
	op->check_crc = le32_to_cpu(b->io.flags) & FLINT_IO_CRC;
	op->crc = le32_to_cpu(b->io.crc);
	memcpy(op->client, b->client, sizeof(op->client));
	op->session = le64_to_cpu(b->session);
	op->seq = le64_to_cpu(b->seq);
	op->seq_low = le64_to_cpu(b->seq_low);
	op->version = le64_to_cpu(b->version);
	op->tag = le64_to_cpu(b->tag);
	op->prev_version = le64_to_cpu(b->prev_version);
	op->prev_tag = le64_to_cpu(b->prev_tag);
	op->print = le32_to_cpu(b->print);
	op->whole = b->flags & (FLINT_FWD_FIRST | FLINT_FWD_LAST);
	op->size = le32_to_cpu(b->size);
}

void flint_forward_source(const struct flint_forward_clone *b, struct flint_sop *op)
{
	op->src_ino = le64_to_cpu(b->src_ino);
	op->src_gen = le32_to_cpu(b->src_gen);
	op->src_epoch = le32_to_cpu(b->src_epoch);
	op->src_index = le32_to_cpu(b->src_index);
	op->src_version = le64_to_cpu(b->src_version);
	op->src_tag = le64_to_cpu(b->src_tag);
}
