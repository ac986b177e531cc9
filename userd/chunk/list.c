// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a target holds, page by page, for recovery and comparison: chunks in the
 * order of their keys, inodes, and the clients' results.
 *
 * A page is made at one instant on the store's thread; between pages everything
 * may change. Cursors are values of what is listed, never places in a table.
 */
#include <stdlib.h>
#include "store.h"
#include "../base/crc.h"
#include "../base/hash.h"

#define CONTENT_SHIFT	FLINT_CRC_SHIFT_MAX
#define SAME_KEY_MAX	16u
#define ALL_LISTED	(~0ull)		/* flint_client_cursor.seq: go on with the next client */

/* ---- content ------------------------------------------------------------- */

/*
 * A CRC continued over a fixed number of zeros is linear in the CRC, so four
 * tables of its bytes give it, and they are made from its bits.
 */
void flint_list_init(struct flint_store *st)
{
	u32 t, i;

	for (t = 0; t < 4; t++)
		for (i = 1; i < 256; i++) {
			u32 rest = i & (i - 1);

			st->crc_shift[t][i] = rest ?
				st->crc_shift[t][rest] ^ st->crc_shift[t][i ^ rest] :
				flint_crc32c_combine(i << 8 * t, 0, 1ull << st->cs);
		}
}

static u32 shift(const struct flint_store *st, u32 crc)
{
	return st->crc_shift[0][crc & 255] ^ st->crc_shift[1][crc >> 8 & 255] ^
	       st->crc_shift[2][crc >> 16 & 255] ^ st->crc_shift[3][crc >> 24];
}

u32 flint_store_crc_join(const struct flint_store *st, const __le32 *crc, u32 len)
{
	u32 nr = len >> st->cs, rest = len & ((1u << st->cs) - 1), sum = 0, i;

	for (i = 0; i < nr; i++)
		sum = shift(st, sum) ^ le32_to_cpu(crc[i]);
	return rest ? flint_crc32c_combine(sum, le32_to_cpu(crc[nr]), rest) : sum;
}

/* CRCs of pieces of 64 KiB, which is the largest checksum block, are hashed. */
u64 flint_chunk_content(const struct flint_store *st, const struct flint_chunk *c)
{
	u32 per = 1u << (CONTENT_SHIFT - st->cs), pieces, i, j;
	__le32 crc[1u << (FLINT_CHUNK_SHIFT_MAX - CONTENT_SHIFT)];
	u64 h;

	pieces = (c->size + (1u << CONTENT_SHIFT) - 1) >> CONTENT_SHIFT;
	for (i = 0; i < pieces; i++) {
		u32 sum = 0;

		for (j = i * per; j < (i + 1) * per; j++) {
			bool there = j < c->cap_crc &&
				     flint_chunk_block(c, j >> (st->bs - st->cs));

			sum = shift(st, sum) ^ (there ? c->crc[j] : st->zero_crc);
		}
		crc[i] = cpu_to_le32(sum);
	}
	h = XXH3_64bits_withSeed(crc, pieces * sizeof(crc[0]), c->size);
	return h ? h : 1;
}

/* ---- chunks -------------------------------------------------------------- */

static void chunk_fill(const struct flint_store *st, const struct flint_chunk *c,
		       struct flint_sync_chunk *out, bool crcs)
{
	const struct flint_inode *in = flint_inode_at(&st->index, c->inode);

	out->ino = cpu_to_le64(c->ino);
	out->fs = cpu_to_le32(in->fs);
	out->index = cpu_to_le32(c->index);
	out->version = cpu_to_le64(c->version);
	out->tag = cpu_to_le64(c->tag);
	out->gen = cpu_to_le32(in->gen);
	out->size = cpu_to_le32(c->size);
	out->crcs = cpu_to_le64(crcs ? flint_chunk_content(st, c) : 0);
}

u32 flint_store_list_range(const struct flint_store *st, u32 range, u64 *cursor,
			   struct flint_sync_chunk *out, u32 max, bool crcs)
{
	u64 first = (u64)range << (64 - FLINT_SYNC_RANGE_BITS), key = 0;
	u64 last = first | (~0ull >> FLINT_SYNC_RANGE_BITS);
	u64 from = *cursor > first ? *cursor : first;
	struct flint_chunk *same[SAME_KEY_MAX];
	u32 n = 0, nr, i;

	*cursor = 0;
	for (;;) {
		nr = flint_chunk_next(&st->index, from, &key, same, SAME_KEY_MAX);
		if (!nr || key > last)
			return n;
		if (nr > SAME_KEY_MAX)
			nr = SAME_KEY_MAX;
		if (n + nr > max) {
			*cursor = key;
			return n;
		}
		for (i = 0; i < nr; i++)
			chunk_fill(st, same[i], &out[n++], crcs);
		if (key == last)
			return n;
		from = key + 1;
	}
}

/* ---- inodes -------------------------------------------------------------- */

u32 flint_store_list_inodes(const struct flint_store *st, u64 *cursor,
			    struct flint_sync_inode *out, u32 max)
{
	const struct flint_index *ix = &st->index;
	u32 slot = (u32)*cursor + 1, n = 0;

	for (; slot <= ix->inodes.high && n < max; slot++) {
		const struct flint_inode *in = flint_inode_at(ix, slot);

		if (!in->ino || (in->flags & FLINT_INODE_UNSURE))
			continue;
		/* It is on its way there: if its epoch came first, it would be taken for done. */
		if (in->cuts)
			continue;
		memset(&out[n], 0, sizeof(out[n]));
		out[n].ino = cpu_to_le64(in->ino);
		out[n].fs = cpu_to_le32(in->fs);
		out[n].gen = cpu_to_le32(in->gen);
		out[n].epoch = cpu_to_le32(in->epoch);
		out[n].cut_epoch = cpu_to_le32(in->cut_epoch);
		out[n].flags = cpu_to_le32(in->flags);
		out[n++].stamp_s = cpu_to_le64(in->stamp_s);
	}
	*cursor = slot > ix->inodes.high ? 0 : slot - 1;
	return n;
}

/* ---- clients ------------------------------------------------------------- */

static int client_order(const struct flint_client *c, const u8 id[16], u64 session)
{
	int d = memcmp(c->id, id, sizeof(c->id));

	return d ? d : c->session < session ? -1 : c->session > session;
}

static bool client_listed(const struct flint_client *c, const struct flint_client_cursor *cur)
{
	int order = client_order(c, cur->client, cur->session);

	return order < 0 || (!order && cur->seq == ALL_LISTED);
}

/* The first client at or behind the cursor, in the order of buckets, then of ids. */
static const struct flint_client *client_next(const struct flint_windows *w,
					      const struct flint_client_cursor *cur)
{
	u32 b = cur->began ? flint_client_bucket(w, cur->client, cur->session) : 0;
	u32 start = b;

	for (; b <= w->mask; b++) {
		const struct flint_client *best = NULL, *c;

		for (c = w->hash[b]; c; c = c->next) {
			if (cur->began && b == start && client_listed(c, cur))
				continue;
			if (!best || client_order(c, best->id, best->session) < 0)
				best = c;
		}
		if (best)
			return best;
	}
	return NULL;
}

static int by_seq(const void *a, const void *b)
{
	u64 x = le64_to_cpu(((const struct flint_sync_result *)a)->seq);
	u64 y = le64_to_cpu(((const struct flint_sync_result *)b)->seq);

	return x < y ? -1 : x > y;
}

/* The finished results from @seq on, in order. Return: their number or -ENOMEM. */
static int results_sorted(const struct flint_client *c, u64 seq, struct flint_sync_result **list)
{
	struct flint_sync_result *r = malloc(((size_t)c->used + 1) * sizeof(*r));
	u32 i, n = 0;

	if (!r)
		return -ENOMEM;
	for (i = 0; i < c->cap; i++) {
		const struct flint_result *e = &c->tab[i];

		if (!flint_result_wanted(c, e) || e->seq < seq)
			continue;
		r[n].seq = cpu_to_le64(e->seq);
		r[n].version = cpu_to_le64(e->version);
		r[n].print = cpu_to_le32(e->print);
		r[n++].length = cpu_to_le32(e->length);
	}
	qsort(r, n, sizeof(*r), by_seq);
	*list = r;
	return (int)n;
}

static void client_fill(struct flint_sync_client *out, const struct flint_client *c, u32 nr)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->client, c->id, sizeof(out->client));
	out->session = cpu_to_le64(c->session);
	out->seq_low = cpu_to_le64(c->seq_low);
	out->stamp_s = cpu_to_le64(c->stamp_s);
	out->nr = cpu_to_le32(nr);
}

int flint_store_list_clients(const struct flint_store *st, struct flint_client_cursor *cur,
			     void *buf, u32 len, u32 *nr)
{
	const struct flint_client *c;
	u32 at = 0;

	*nr = 0;
	while ((c = client_next(&st->windows, cur))) {
		bool same = cur->began && !client_order(c, cur->client, cur->session);
		struct flint_sync_result *list;
		int n = results_sorted(c, same ? cur->seq : 0, &list);
		u32 room = len - at, fit;

		if (n < 0)
			return n;
		if (room < sizeof(struct flint_sync_client) + sizeof(*list)) {
			free(list);
			break;
		}
		fit = (u32)((room - sizeof(struct flint_sync_client)) / sizeof(*list));
		if (fit > (u32)n)
			fit = (u32)n;
		if (fit || !same) {
			client_fill((void *)((u8 *)buf + at), c, fit);
			at += sizeof(struct flint_sync_client);
			memcpy((u8 *)buf + at, list, fit * sizeof(*list));
			at += fit * (u32)sizeof(*list);
			(*nr)++;
		}
		cur->began = true;
		memcpy(cur->client, c->id, sizeof(cur->client));
		cur->session = c->session;
		cur->seq = fit < (u32)n ? le64_to_cpu(list[fit].seq) : ALL_LISTED;
		free(list);
	}
	return (int)at;
}
