// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Merging what another replica knows: epochs and tombstones of inodes, and
 * results that its clients may still ask for. The newer of each field counts, so
 * that merging twice, or in any order with changes that arrive meanwhile, ends
 * in the same state (apply.c). The records of the log are those of checkpoints.
 *
 * The data come from a page of list.c by way of the network: nothing of them is
 * believed. They are logged in pieces; done is called when all are durable.
 */
#include "store.h"

#define PIECE_MAX	(128u << 10)	/* bytes of records logged at once */
#define RESULTS_PER_REC	1000u

/* The client at @at of the data. Return: bytes with its results, 0: not sound. */
static u32 client_len(const struct flint_sop *op, u32 at)
{
	const struct flint_sync_client *c = (const void *)(op->data + at);
	const struct flint_sync_result *res = (const void *)(c + 1);
	u32 room = op->length - at, nr, i;

	if (room < sizeof(*c))
		return 0;
	room -= sizeof(*c);
	nr = le32_to_cpu(c->nr);
	if (nr > room / sizeof(struct flint_sync_result))
		return 0;
	for (i = 0; i < nr; i++)
		if (!res[i].seq || res[i].seq == cpu_to_le64(FLINT_SEQ_NONE))
			return 0;
	return (u32)(sizeof(*c) + nr * sizeof(struct flint_sync_result));
}

static bool data_sound(const struct flint_sop *op)
{
	const struct flint_sync_inode *in = (const void *)op->data;
	u32 at, n, i;

	if (op->kind == FLINT_SOP_INODES) {
		for (i = 0; i < op->length / sizeof(*in); i++)
			if (!in[i].ino)
				return false;
		return op->length % sizeof(*in) == 0;
	}
	for (at = 0; at < op->length; at += n) {
		n = client_len(op, at);
		if (!n)
			return false;
	}
	return true;
}

static void inode_record(u8 *p, const struct flint_sync_inode *in)
{
	struct flint_rec_inode *r = (void *)p;

	memset(r, 0, sizeof(*r));
	r->h.type = cpu_to_le16(FLINT_REC_INODE);
	r->h.len = cpu_to_le32(sizeof(*r));
	r->ino = in->ino;
	r->fs = in->fs;
	r->gen = in->gen;
	r->epoch = in->epoch;
	r->cut_epoch = in->cut_epoch;
	r->flags = in->flags & cpu_to_le32(FLINT_CUT_REMOVE);
	r->stamp_s = in->stamp_s;
}

/* Results [@first, @first + @n) of a client. */
static void client_record(u8 *p, const struct flint_sync_client *c, u32 first, u32 n)
{
	const struct flint_sync_result *res = (const void *)(c + 1);
	struct flint_rec_client *r = (void *)p;
	struct flint_rec_seq *s = (void *)(r + 1);
	u32 i;

	memset(r, 0, sizeof(*r));
	r->h.type = cpu_to_le16(FLINT_REC_CLIENT);
	r->h.len = cpu_to_le32((u32)(sizeof(*r) + n * sizeof(*s)));
	memcpy(r->client, c->client, sizeof(r->client));
	r->session = c->session;
	r->seq_low = c->seq_low;
	r->stamp_s = c->stamp_s;
	r->nr = cpu_to_le32(n);
	for (i = 0; i < n; i++) {
		s[i].seq = res[first + i].seq;
		s[i].version = res[first + i].version;
		s[i].print = res[first + i].print;
		s[i].length = res[first + i].length;
	}
}

/*
 * The next records. op->from is the byte of the data, op->to the result of the
 * client there, at which the next piece goes on.
 * Return: bytes; @nr: records.
 */
static u32 piece_fill(struct flint_sop *op, u8 *p, u32 *nr)
{
	u32 used = 0;

	*nr = 0;
	while (op->from < op->length && used + sizeof(struct flint_rec_client) +
	       RESULTS_PER_REC * sizeof(struct flint_rec_seq) <= PIECE_MAX) {
		const struct flint_sync_client *c = (const void *)(op->data + op->from);
		u32 n;

		(*nr)++;
		if (op->kind == FLINT_SOP_INODES) {
			inode_record(p + used, (const void *)c);
			used += sizeof(struct flint_rec_inode);
			op->from += sizeof(struct flint_sync_inode);
			continue;
		}
		n = le32_to_cpu(c->nr) - op->to;
		if (n > RESULTS_PER_REC)
			n = RESULTS_PER_REC;
		client_record(p + used, c, op->to, n);
		used += (u32)(sizeof(struct flint_rec_client) + n * sizeof(struct flint_rec_seq));
		op->to += n;
		if (op->to == le32_to_cpu(c->nr)) {
			op->from += client_len(op, op->from);
			op->to = 0;
		}
	}
	return used;
}

static void merge_next(struct flint_sop *op);

static void merge_logged(struct flint_wal_waiter *w, int err)
{
	struct flint_sop *op = (void *)((u8 *)w - offsetof(struct flint_sop, wal));

	if (err)
		flint_sop_finish(op, EIO);
	else
		merge_next(op);
}

static void merge_next(struct flint_sop *op)
{
	struct flint_wal *wal = &op->st->wal;
	u32 len, nr;
	u8 *p;

	if (op->from >= op->length) {
		flint_sop_finish(op, FLINT_OK);
		return;
	}
	p = flint_wal_reserve(wal, PIECE_MAX);
	if (!p) {
		flint_sop_block(op, merge_next);
		return;
	}
	len = piece_fill(op, p, &nr);
	op->wal.done = merge_logged;
	flint_wal_commit(wal, len, nr, &op->wal);
}

void flint_merge_start(struct flint_sop *op)
{
	if (!data_sound(op)) {
		flint_sop_finish(op, FLINT_ST_BAD_REQUEST);
		return;
	}
	op->from = 0;
	op->to = 0;
	merge_next(op);
}
