// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The receiving side of recovery: FLINT_OP_SYNC from the target in front of a
 * SYNCING one, and FLINT_OP_CHUNK_GET from another replica that repairs a chunk
 * or from a tool that compares.
 *
 * A request is checked and handed to the target's worker, which checks chain,
 * chain version and sender against its own place: all that follows rests on one
 * view of the chain. Lists are made at one instant and may be old when they
 * arrive; whoever compares knows (sync.c).
 */
#include <stdlib.h>
#include "heal.h"

/**
 * struct serve_req - one request
 * @sync, @get: as it came, by the operation
 */
struct serve_req {
	struct flint_sop op;
	struct flint_call *call;
	struct chunkd_target *t;
	struct flint_buf *buf;
	struct flint_buf_waiter waiter;
	struct flint_task task;
	union {
		struct flint_sync sync;
		struct flint_chunk_get get;
	};
	u32 room;			/* bytes that the requester takes as payload */
	bool tool;			/* an operator's, not a server's */
	struct {
		struct flint_chunk_got got;
		__le32 crc[FLINT_OP_MAX_CRC];
	} rep;
};

static void refuse(struct flint_call *call, u32 status)
{
	flint_call_reply(call, status, NULL, 0, NULL, 0, 0);
}

static void end(struct serve_req *r, u32 status, const void *body, u32 len, u32 off, u32 bytes)
{
	struct flint_buf *buf = r->buf;

	flint_call_reply(r->call, status, body, len, bytes ? buf : NULL, off, bytes);
	if (buf && !bytes)
		flint_buf_put(buf);
	free(r);
}

static void fail(struct serve_req *r, u32 status)
{
	end(r, status, NULL, 0, 0, 0);
}

static struct serve_req *req_new(struct flint_chunkd *d, struct flint_call *call, u32 target)
{
	struct chunkd_target *t = chunkd_target_find(d, target);
	struct serve_req *r = t && t->heal ? calloc(1, sizeof(*r)) : NULL;

	if (!r) {
		refuse(call, t && t->heal ? FLINT_ST_RETRY : FLINT_ST_STALE_MAP);
		return NULL;
	}
	r->call = call;
	r->t = t;
	r->room = chunkd_reply_room(call);
	call->priv = r;
	return r;
}

static void to_worker(struct serve_req *r, void (*fn)(struct flint_task *t))
{
	r->task.fn = fn;
	if (r->t->worker == &r->t->worker->d->workers[0] && r->t->worker->d->nr_workers == 1)
		fn(&r->task);
	else
		flint_loop_post(r->t->worker->loop, &r->task);
}

static struct serve_req *of_task(struct flint_task *t)
{
	return (void *)((u8 *)t - offsetof(struct serve_req, task));
}

static struct serve_req *of_waiter(struct flint_buf_waiter *w)
{
	return (void *)((u8 *)w - offsetof(struct serve_req, waiter));
}

static void want_buffer(struct serve_req *r, struct flint_pool *pool,
			void (*fn)(struct flint_buf_waiter *w, struct flint_buf *buf))
{
	r->waiter.fn = fn;
	r->waiter.loop = r->t->worker->loop;
	flint_buf_wait(pool, &r->waiter);
}

/* ---- SYNC ---------------------------------------------------------------- */

static void sync_answer(struct serve_req *r, u32 nr, u64 cursor, u32 bytes)
{
	struct flint_sync_rep rep = {
		.cursor = cpu_to_le64(cursor), .nr = cpu_to_le32(nr),
		.chunks = cpu_to_le64(r->t->st->index.chunks.used),
		.bytes = cpu_to_le64(flint_store_used(r->t->st)),
	};

	end(r, FLINT_OK, &rep, sizeof(rep), 0, bytes);
}

static void op_done(struct flint_sop *op)
{
	struct serve_req *r = op->arg;

	if (op->status == FLINT_OK)
		sync_answer(r, 0, 0, 0);
	else
		fail(r, op->status);
}

/*
 * What this target knows beside its chunks may be unknown to the chain: it is forgotten.
 * But not after it was recovered in this very version: a heartbeat that says so may be on
 * its way, and the managers may let it serve at any moment.
 */
static void sync_begin(struct serve_req *r)
{
	const struct flint_place *p = &r->t->at;

	if (atomic_load(&r->t->synced) == flint_chain_at(p->chain, p->chain_ver)) {
		flint_chain_synced(r->t);	/* say it again */
		fail(r, FLINT_ST_STALE_MAP);
		return;
	}
	atomic_store(&r->t->synced, 0);
	r->op.kind = FLINT_SOP_FORGET;
	r->op.done = op_done;
	r->op.arg = r;
	flint_store_submit(r->t->st, &r->op);
}

static void sync_sums(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct serve_req *r = of_waiter(w);
	const u64 *sums = flint_store_sums(r->t->st);
	__le64 *out = (void *)buf->data;
	u32 i;

	r->buf = buf;
	for (i = 0; i < FLINT_SYNC_RANGES; i++)
		out[i] = cpu_to_le64(sums[i]);
	sync_answer(r, FLINT_SYNC_RANGES, 0, FLINT_SYNC_RANGES * sizeof(*out));
}

static void sync_chunks(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct serve_req *r = of_waiter(w);
	u32 room = le32_to_cpu(r->sync.max_len), nr;
	u64 cursor = le64_to_cpu(r->sync.cursor);

	r->buf = buf;
	if (room > r->room)
		room = r->room;
	if (room > SERVE_LIST_LEN)
		room = SERVE_LIST_LEN;
	nr = flint_store_list_range(r->t->st, le32_to_cpu(r->sync.range), &cursor,
				    (void *)buf->data, room / sizeof(struct flint_sync_chunk), true);
	sync_answer(r, nr, cursor, nr * (u32)sizeof(struct flint_sync_chunk));
}

/* Inodes or clients: their records are in the payload. */
static void sync_merge(struct serve_req *r, u8 kind)
{
	struct flint_sop *op = &r->op;

	op->kind = kind;
	op->data = r->call->payload ? r->call->payload->data : NULL;
	op->length = r->call->msg.data_len;
	op->done = op_done;
	op->arg = r;
	flint_store_submit(r->t->st, op);
}

static u32 sync_allowed(const struct serve_req *r)
{
	const struct flint_place *p = &r->t->at;

	if (r->tool)	/* it only looks */
		return r->t->st->offline ? EIO : FLINT_OK;
	if (!r->t->worker->d->cluster || p->chain != le32_to_cpu(r->sync.chain) ||
	    p->chain_ver != le32_to_cpu(r->sync.chain_ver) || p->role != FLINT_CHAIN_SYNCING ||
	    p->pred != le32_to_cpu(r->sync.from))
		return FLINT_ST_STALE_MAP;
	if (!flint_member_lease_valid(r->t->worker->d->member))
		return FLINT_ST_NOT_SERVING;
	return r->t->st->offline ? EIO : FLINT_OK;
}

static void sync_work(struct flint_task *task)
{
	struct serve_req *r = of_task(task);
	u32 status = sync_allowed(r);

	if (status != FLINT_OK) {
		fail(r, status);
		return;
	}
	switch (le32_to_cpu(r->sync.op)) {
	case FLINT_SYNC_BEGIN:
		sync_begin(r);
		break;
	case FLINT_SYNC_SUMS:
		want_buffer(r, r->t->worker->d->pool, sync_sums);
		break;
	case FLINT_SYNC_CHUNKS:
		want_buffer(r, r->t->worker->d->pool, sync_chunks);
		break;
	case FLINT_SYNC_INODES:
		sync_merge(r, FLINT_SOP_INODES);
		break;
	case FLINT_SYNC_CLIENTS:
		sync_merge(r, FLINT_SOP_CLIENTS);
		break;
	default:
		flint_chain_synced(r->t);
		sync_answer(r, 0, 0, 0);
	}
}

static void sync_pulled(struct flint_call *call, int err)
{
	struct serve_req *r = call->priv;

	if (err)
		fail(r, EIO);
	else
		to_worker(r, sync_work);
}

/* Is the request sound by itself? */
static bool sync_sound(const struct flint_sync *s, const struct flint_call *call, u32 room)
{
	u32 op = le32_to_cpu(s->op), most = le32_to_cpu(s->max_len);

	switch (op) {
	case FLINT_SYNC_SUMS:
		return !call->msg.data_len && room >= FLINT_SYNC_RANGES * sizeof(__le64);
	case FLINT_SYNC_CHUNKS:
		return !call->msg.data_len && le32_to_cpu(s->range) < FLINT_SYNC_RANGES &&
		       (most < room ? most : room) >= 16 * sizeof(struct flint_sync_chunk);
	case FLINT_SYNC_INODES:
	case FLINT_SYNC_CLIENTS:
		return call->msg.data_len <= FLINT_STORE_MAX_IO;
	case FLINT_SYNC_BEGIN:
	case FLINT_SYNC_DONE:
		return !call->msg.data_len;
	default:
		return false;
	}
}

void heal_request_sync(struct flint_chunkd *d, struct flint_call *call)
{
	u8 role = flint_conn_info(call->conn)->role;
	struct flint_sync s;
	struct serve_req *r;

	if (role != FLINT_ROLE_CHUNK && role != FLINT_ROLE_TOOL) {
		refuse(call, FLINT_ST_AUTH);
		return;
	}
	if (flint_body_get(&s, sizeof(s), sizeof(s), call->msg.body, call->msg.body_len) ||
	    !sync_sound(&s, call, chunkd_reply_room(call))) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	if (role == FLINT_ROLE_TOOL && s.op != cpu_to_le32(FLINT_SYNC_SUMS) &&
	    s.op != cpu_to_le32(FLINT_SYNC_CHUNKS)) {
		refuse(call, FLINT_ST_AUTH);
		return;
	}
	r = req_new(d, call, le32_to_cpu(s.target));
	if (!r)
		return;
	r->sync = s;
	r->tool = role == FLINT_ROLE_TOOL;
	if (call->msg.data_len)
		flint_call_pull(call, sync_pulled);
	else
		to_worker(r, sync_work);
}

/* ---- CHUNK_GET ----------------------------------------------------------- */

static void get_done(struct flint_sop *op)
{
	struct serve_req *r = op->arg;
	u32 nr = le16_to_cpu(op->rep.io.nr_crc), len = le32_to_cpu(op->rep.io.length);

	if (op->status != FLINT_OK) {
		fail(r, op->status);
		return;
	}
	r->rep.got.length = cpu_to_le32(len);
	r->rep.got.nr_crc = cpu_to_le16((u16)nr);
	memcpy(r->rep.crc, op->rep.crc, nr * sizeof(__le32));
	end(r, FLINT_OK, &r->rep, (u32)(sizeof(r->rep.got) + nr * sizeof(__le32)), op->out_off, len);
}

static void get_read(struct serve_req *r, struct flint_buf *buf);

/* What the chunk is at this instant. Return: it, or NULL if there is none. */
static struct flint_chunk *get_state(struct serve_req *r)
{
	const struct flint_store *st = r->t->st;
	struct flint_chunk *c = flint_chunk_find(&st->index, le32_to_cpu(r->get.fs),
						 le64_to_cpu(r->get.ino), le32_to_cpu(r->get.index));

	memset(&r->rep.got, 0, sizeof(r->rep.got));
	r->rep.got.state = cpu_to_le32(r->t->heal->place.state);
	r->rep.got.crc_shift = st->cs;
	if (!c || !(c->flags & FLINT_CHUNK_STAMPED))
		return NULL;
	r->rep.got.version = cpu_to_le64(c->version);
	r->rep.got.tag = cpu_to_le64(c->tag);
	r->rep.got.gen = cpu_to_le32(flint_inode_at(&st->index, c->inode)->gen);
	r->rep.got.size = cpu_to_le32(c->size);
	r->rep.got.chunk_shift = c->shift;
	return c;
}

static u32 get_allowed(const struct serve_req *r)
{
	const struct flint_place *p = &r->t->at;

	if (r->t->st->offline)
		return EIO;
	if (!r->get.chain_ver)
		return FLINT_OK;
	return p->chain == le32_to_cpu(r->get.chain) &&
	       p->chain_ver == le32_to_cpu(r->get.chain_ver) ? FLINT_OK : FLINT_ST_STALE_MAP;
}

static void get_work(struct flint_task *task)
{
	struct serve_req *r = of_task(task);
	u32 status = get_allowed(r);
	struct flint_buf *buf;
	struct flint_chunk *c;

	if (status != FLINT_OK) {
		fail(r, status);
		return;
	}
	if (r->get.length) {	/* who has the buffers may wait for who asks */
		buf = flint_buf_get_above(r->t->worker->d->pool, 0);
		if (buf)
			get_read(r, buf);
		else
			fail(r, FLINT_ST_RETRY);
		return;
	}
	c = get_state(r);
	if (c)
		r->rep.got.crcs = cpu_to_le64(flint_chunk_content(r->t->st, c));
	end(r, FLINT_OK, &r->rep.got, sizeof(r->rep.got), 0, 0);
}

static void get_read(struct serve_req *r, struct flint_buf *buf)
{
	struct flint_chunk *c = get_state(r);
	struct flint_sop *op = &r->op;
	struct flint_inode *in;

	r->buf = buf;
	if (!c || !c->version) {
		end(r, FLINT_OK, &r->rep.got, sizeof(r->rep.got), 0, 0);
		return;
	}
	in = flint_inode_at(&r->t->st->index, c->inode);
	op->kind = FLINT_SOP_READ;
	op->as_is = true;
	op->quiet = true;
	op->fs = le32_to_cpu(r->get.fs);
	op->ino = le64_to_cpu(r->get.ino);
	op->index = le32_to_cpu(r->get.index);
	op->offset = le32_to_cpu(r->get.offset);
	op->length = le32_to_cpu(r->get.length);
	op->gen = in->gen;
	op->epoch = in->epoch;
	op->data = buf->data;
	op->room = buf->size;
	op->done = get_done;
	op->arg = r;
	flint_store_submit(r->t->st, op);	/* plans the read now: of what was just looked at */
}

void heal_request_get(struct flint_chunkd *d, struct flint_call *call)
{
	u8 role = flint_conn_info(call->conn)->role;
	struct flint_chunk_get g;
	struct serve_req *r;
	u32 len, off;

	if (role != FLINT_ROLE_CHUNK && role != FLINT_ROLE_TOOL) {
		refuse(call, FLINT_ST_AUTH);
		return;
	}
	if (flint_body_get(&g, sizeof(g), sizeof(g), call->msg.body, call->msg.body_len)) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	len = le32_to_cpu(g.length);
	off = le32_to_cpu(g.offset);
	if (!g.ino || call->msg.data_len || len > FLINT_STORE_MAX_IO ||
	    len > chunkd_reply_room(call) || off > (1u << FLINT_CHUNK_SHIFT_MAX) - len) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	r = req_new(d, call, le32_to_cpu(g.target));
	if (!r)
		return;
	r->get = g;
	to_worker(r, get_work);
}
