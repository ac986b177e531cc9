// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as forwarded changes of a predecessor: what the check lets pass is
 * carried out by a real store, some of it held, sent twice, or answered late. No
 * operation gets lost, and the store stays consistent, also after a restart.
 *
 * The input is records of a control byte and a struct flint_forward; the low
 * digits of inode, chunk and versions count, so that changes meet each other, and
 * some are large, so that they fill the disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include "../../userd/base/log.h"
#include "../../userd/chunk/chain.h"
#include "../unit/chunk_dev.h"

#define DISK		FLINT_TARGET_SIZE_MIN
#define OPS_MAX		24
#define PER_STORE	64	/* inputs; to make a store takes long */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fop {
	struct flint_sop op;
	u8 *mem;
	bool held, done;
};

static struct test_dev *disk, *base;
static struct flint_store *st;
static struct fop ops[OPS_MAX];
static unsigned int nr, inputs;

static void no_kick(void *arg)
{
}

static void durable(struct flint_sop *op)
{
	((struct fop *)op)->held = true;
}

static void done(struct flint_sop *op)
{
	if (((struct fop *)op)->done)
		abort();
	((struct fop *)op)->done = true;
}

static void settle(void)
{
	int idle = 0;

	while (idle < 4) {
		flint_store_turn(st);
		idle = td_step(disk) ? 0 : idle + 1;
	}
}

static void reopen(void)
{
	char err[256] = "";

	if (st)
		flint_store_close(st);
	st = flint_store_open(&disk->dev, "disk", err, sizeof(err));
	if (!st || flint_store_verify(st, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		abort();
	}
	st->kick = no_kick;
}

/* Nothing of one of 2^32 would ever fit the other. */
static void narrow(u8 control, struct flint_forward *b)
{
	u32 len = le32_to_cpu(b->io.length), off = le32_to_cpu(b->io.offset);

	b->io.ino = cpu_to_le64(1 + (le64_to_cpu(b->io.ino) & 1));
	b->io.index = cpu_to_le32(le32_to_cpu(b->io.index) & 1);
	b->version = cpu_to_le64(le64_to_cpu(b->version) & 3);
	b->tag = cpu_to_le64(le64_to_cpu(b->tag) & 3);
	b->prev_version = cpu_to_le64(le64_to_cpu(b->prev_version) & 3);
	b->prev_tag = cpu_to_le64(le64_to_cpu(b->prev_tag) & 3);
	if (!(control & 0x80))
		b->prev_version = cpu_to_le64(le64_to_cpu(b->version) - 1);
	if (control & 0x40 && len) {
		b->io.length = cpu_to_le32((1u << 20) - (len & 0xffff));
		b->io.offset = cpu_to_le32(off & 0x3f00000);
		b->io.chunk_shift = 26;
		b->size = cpu_to_le32(1u << 26);
	}
}

static void start(u8 control, struct flint_forward *b)
{
	struct fop *o = &ops[nr];
	int kind;

	narrow(control, b);
	kind = flint_forward_kind(b, control & 0x10 ? 0 : le32_to_cpu(b->io.length));
	if (kind < 0)
		return;
	memset(o, 0, sizeof(*o));
	flint_forward_op(b, kind, &o->op);
	if (kind == FLINT_SOP_CLONE) {		/* the client's bytes serve for the source */
		o->op.src_ino = 1 + (b->client[0] & 1);
		o->op.src_index = b->client[0] >> 1 & 1;
		o->op.src_gen = o->op.gen;
		o->op.src_epoch = b->client[0] >> 4;
		o->op.src_version = b->client[1] & 3;
		o->op.src_tag = b->client[2] & 3;
	}
	if (posix_memalign((void **)&o->mem, FLINT_STORE_ALIGN,
			   o->op.length + 2 * FLINT_STORE_ALIGN))
		abort();
	memset(o->mem, control, o->op.length + 2 * FLINT_STORE_ALIGN);
	o->op.data = o->mem + (o->op.offset & (FLINT_STORE_ALIGN - 1));
	o->op.check_crc = false;	/* nobody guesses one */
	o->op.syncing = control & 1;
	o->op.durable = control & 2 ? durable : NULL;
	o->op.done = done;
	nr++;
	flint_store_submit(st, &o->op);
}

static void cut(u8 control)
{
	struct fop *o = &ops[nr++];

	memset(o, 0, sizeof(*o));
	o->op.kind = FLINT_SOP_CUT;
	o->op.given = true;
	o->op.shift = 17;
	o->op.ino = 1;
	o->op.epoch = control >> 4;
	o->op.cut_size = (control & 15) * 5000u;
	o->op.durable = control & 2 ? durable : NULL;
	o->op.done = done;
	flint_store_submit(st, &o->op);
}

static void end(void)
{
	bool more = true;
	unsigned int i;

	while (more) {
		more = false;
		settle();
		for (i = 0; i < nr; i++) {
			if (!ops[i].held || ops[i].done)
				continue;
			more = true;
			flint_sop_release(&ops[i].op, i % 3 ? FLINT_OK : FLINT_ST_STALE_MAP);
			settle();
		}
	}
	for (i = 0; i < nr; i++) {
		if (!ops[i].done) {
			fprintf(stderr, "operation %u of kind %u never ends\n", i, ops[i].op.kind);
			abort();
		}
		free(ops[i].mem);
	}
	if (st->inflight || st->nr_held || st->growing) {
		fprintf(stderr, "%d under way, %u held\n", st->inflight, st->nr_held);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct flint_store_format f = { .id = 7, .size = DISK };
	char err[256] = "";

	if (!base) {
		flint_log_init("fuzz", FLINT_LOG_ERR - 1);
		base = td_new(DISK, NULL, 1);
		if (flint_store_format(&base->dev, &f, err, sizeof(err)))
			abort();
	}
	if (!st) {
		disk = td_new(DISK, base, 1);
		reopen();
	}
	nr = 0;
	while (size > sizeof(struct flint_forward) && nr < OPS_MAX) {
		struct flint_forward b;

		memcpy(&b, data + 1, sizeof(b));
		if ((data[0] & 0x0c) == 0x0c)
			cut(data[1]);
		else
			start(data[0], &b);
		if (data[0] & 0x20)
			settle();
		data += 1 + sizeof(b);
		size -= 1 + sizeof(b);
	}
	end();
	if (++inputs % PER_STORE)
		return 0;
	reopen();
	flint_store_close(st);
	st = NULL;
	td_free(disk);
	return 0;
}
