// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests: what is checked before a store sees them, where their buffers come
 * from, and how results become replies.
 *
 * Checked here: who asks, that the target is ours, that we hold the managers'
 * lease, chain and chain version, the place in the chain, the range, the room for
 * the answer. The store checks generation, truncate epoch and sequence, and asks
 * about the place again after every wait (op_check()).
 *
 * A change that the store holds is passed on (forward.c) before it is answered.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "extents.h"
#include "heal.h"
#include "scrub.h"
#include "targets.h"
#include "../base/log.h"

#define SMALL_READ	(32u << 10)
#define FROM_PRED	(~0u)	/* forwarded by whoever is in front */

/**
 * struct chunkd_req - a request under way
 * @op: the store's; nothing of it is cleared between uses
 */
struct chunkd_req {
	struct flint_sop op;
	struct flint_call *call;
	struct chunkd_target *target;
	int fence;			/* bucket it is counted in, -1: none */
	u32 chain, chain_ver;		/* that it was sent for */
	u32 from;			/* forwarded: by this target; 0: by a client */
	u64 room;			/* forwarded: behind us */
	struct flint_fwd fwd;
	struct flint_chunkd *d;
	struct flint_buf *buf;
	struct flint_buf_waiter waiter;
	struct flint_task task;
	struct chunkd_req *next;	/* free list */
	struct chunkd_req *all;		/* every request ever made */
};

/* ---- requests' memory --------------------------------------------------- */

static struct chunkd_req *req_get(struct flint_chunkd *d)
{
	struct chunkd_req *r;

	if (d->nr_workers > 1)
		pthread_mutex_lock(&d->free_lock);
	r = d->free;
	if (r) {
		d->free = r->next;
	} else {
		r = calloc(1, sizeof(*r));
		if (r) {
			r->d = d;
			r->all = d->all;
			d->all = r;
		}
	}
	if (d->nr_workers > 1)
		pthread_mutex_unlock(&d->free_lock);
	return r;
}

static void req_put(struct chunkd_req *r)
{
	struct flint_chunkd *d = r->d;

	if (d->nr_workers > 1)
		pthread_mutex_lock(&d->free_lock);
	r->next = d->free;
	d->free = r;
	if (d->nr_workers > 1)
		pthread_mutex_unlock(&d->free_lock);
}

void chunkd_reqs_free(struct flint_chunkd *d)
{
	chunkd_fences_free(&d->fences);
	chunkd_permits_free(&d->permits);
	flint_sends_free(d);
	while (d->all) {
		struct chunkd_req *r = d->all;

		d->all = r->all;
		free(r);
	}
}

/* ---- answers ------------------------------------------------------------ */

static void refuse(struct flint_call *call, u32 status)
{
	flint_call_reply(call, status, NULL, 0, NULL, 0, 0);
}

/* What a forwarded change that does not fit means, see chain.h. */
static u32 forward_status(struct chunkd_req *r)
{
	const struct flint_sop *op = &r->op;
	char why[200];

	switch (op->status) {
	case FLINT_OK:
	case FLINT_ST_CHECKSUM:
	case FLINT_ST_STALE_MAP:
	case FLINT_ST_NOT_SERVING:
	case FLINT_ST_RETRY:
		return op->status;
	case FLINT_ST_NEED_WHOLE:
		if (op->syncing || op->kind == FLINT_SOP_REPLACE ||
		    (op->have_version == op->prev_version && op->have_tag == op->prev_tag))
			return op->status;
		snprintf(why, sizeof(why), "chunk %u of inode %llu is at version %llu (tag %016llx) where target %u in front has made version %llu upon %llu (tag %016llx)",
			 op->index, (unsigned long long)op->ino,
			 (unsigned long long)op->have_version, (unsigned long long)op->have_tag,
			 r->from, (unsigned long long)op->version,
			 (unsigned long long)op->prev_version,
			 (unsigned long long)op->prev_tag);
		flint_chain_offline(r->target, why);
		return FLINT_ST_CONFLICT;
	case ENOMEM:
		return FLINT_ST_RETRY;
	default:
		snprintf(why, sizeof(why), "it cannot take a change that the target in front has: %s",
			 strerror((int)op->status));
		flint_chain_offline(r->target, why);
		return FLINT_ST_NOT_SERVING;
	}
}

/*
 * Bytes that may still be allocated here and behind us. What went on as a whole chunk, or
 * joined a change under way, has no answer of its own from there: the last that came counts.
 */
static __le64 reply_room(const struct chunkd_req *r)
{
	u64 room = flint_store_room(r->target->st);

	if (room > r->target->st->room_behind)
		room = r->target->st->room_behind;
	return cpu_to_le64(room < r->room ? room : r->room);
}

static void reply_forward(struct chunkd_req *r)
{
	const struct flint_sop *op = &r->op;
	u32 status = forward_status(r);
	bool here = status == FLINT_OK;
	struct flint_forward_rep rep = {
		.version = cpu_to_le64(here ? op->version : op->have_version),
		.tag = cpu_to_le64(here ? op->tag : op->have_tag),
		.room = reply_room(r),
	};

	if (here || status == FLINT_ST_NEED_WHOLE || status == FLINT_ST_CONFLICT)
		flint_call_reply(r->call, status, &rep, sizeof(rep), NULL, 0, 0);
	else
		refuse(r->call, status);
}

static void reply(struct chunkd_req *r)
{
	struct flint_sop *op = &r->op;
	struct flint_call *call = r->call;
	struct flint_buf *buf = r->buf;
	u32 len;

	r->target->queued--;
	if (r->fence >= 0)
		chunkd_fence_leave(&r->d->fences, r->fence);
	if (r->d->cluster && r->target->st->offline) {	/* another replica can do it */
		flint_chain_offline(r->target, "its disk failed");
		if (op->status == EIO)
			op->status = FLINT_ST_NOT_SERVING;
	}
	if (op->half)
		flint_chain_half(r->target);
	if (r->from && op->kind != FLINT_SOP_CUT) {
		reply_forward(r);
	} else if (op->status != FLINT_OK) {
		refuse(call, op->status);
	} else if (op->kind == FLINT_SOP_CUT) {
		struct flint_cut_rep rep = {
			.freed = cpu_to_le64(op->freed), .room = reply_room(r),
		};

		flint_call_reply(call, FLINT_OK, &rep, sizeof(rep), NULL, 0, 0);
	} else if (op->kind == FLINT_SOP_READ) {
		len = le32_to_cpu(op->rep.io.length);
		flint_call_reply(call, FLINT_OK, &op->rep, (u32)(sizeof(op->rep.io) +
				 le16_to_cpu(op->rep.io.nr_crc) * sizeof(__le32)),
				 len ? buf : NULL, op->out_off, len);
		if (len)
			buf = NULL;	/* its reference went with the reply */
	} else {
		flint_call_reply(call, FLINT_OK, &op->rep.io, sizeof(op->rep.io), NULL, 0, 0);
	}
	if (buf)
		flint_buf_put(buf);
	req_put(r);
}

static void op_done(struct flint_sop *op)
{
	reply(op->arg);
}

/* ---- on the target's thread --------------------------------------------- */

/* Asked by the store after every wait. */
static u32 op_check(struct flint_sop *op)
{
	const struct chunkd_req *r = op->arg;
	const struct flint_place *p = &r->target->at;

	if (r->chain != p->chain || r->chain_ver != p->chain_ver)
		return FLINT_ST_STALE_MAP;
	if (r->from)
		return p->role != FLINT_CHAIN_NONE && (r->from == p->pred || (r->from == FROM_PRED && p->pred)) ?
		       FLINT_OK :
		       FLINT_ST_STALE_MAP;
	if (p->role != FLINT_CHAIN_SERVING || !flint_member_lease_valid(r->d->member))
		return FLINT_ST_NOT_SERVING;
	return op->kind == FLINT_SOP_READ || !p->pos ? FLINT_OK : FLINT_ST_STALE_MAP;
}

static void passed_on(struct flint_fwd *f, u32 status)
{
	struct chunkd_req *r = f->op->arg;

	r->room = f->room;
	f->op->freed += f->freed;
	flint_sop_release(f->op, status);
}

/* The store holds the change until all behind us have it. */
static void op_durable(struct flint_sop *op)
{
	struct chunkd_req *r = op->arg;

	r->fwd.t = r->target;
	r->fwd.op = op;
	r->fwd.buf = r->call->payload;
	r->fwd.trace = r->call->msg.trace;
	r->fwd.done = passed_on;
	flint_fwd_begin(&r->fwd);
}

static void submit(struct chunkd_req *r)
{
	flint_store_submit(r->target->st, &r->op);
}

static void buffer_ready(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct chunkd_req *r = (void *)((u8 *)w - offsetof(struct chunkd_req, waiter));

	r->buf = buf;
	r->op.data = buf->data;
	r->op.room = buf->size;
	submit(r);
}

static void begin(struct chunkd_req *r)
{
	struct chunkd_target *t = r->target;
	struct flint_sop *op = &r->op;
	struct flint_pool *pool;
	u32 step, span;

	if (t->queued++ >= FLINT_CHUNKD_QUEUE) {
		op->status = FLINT_ST_RETRY;
		reply(r);
		return;
	}
	if (op->kind != FLINT_SOP_READ) {
		submit(r);
		return;
	}
	step = 1u << t->st->cs;
	span = op->length + 2 * step;
	pool = span <= SMALL_READ ? r->d->small : r->d->pool;
	r->waiter.fn = buffer_ready;
	r->waiter.loop = t->worker->loop;
	r->waiter.holder = flint_conn_holder(r->call->conn, pool);
	flint_buf_wait(pool, &r->waiter);
}

static void begin_task(struct flint_task *t)
{
	begin((void *)((u8 *)t - offsetof(struct chunkd_req, task)));
}

static void hand_over(struct chunkd_req *r)
{
	struct chunkd_worker *w = r->target->worker;

	if (r->d->nr_workers == 1 || pthread_equal(w->thread, pthread_self())) {
		begin(r);
		return;
	}
	r->task.fn = begin_task;
	flint_loop_post(w->loop, &r->task);
}

static void pulled(struct flint_call *call, int err)
{
	struct chunkd_req *r = call->priv;

	if (err) {
		chunkd_fence_leave(&r->d->fences, r->fence);
		refuse(call, EIO);
		req_put(r);
		return;
	}
	hand_over(r);
}

/* The payload goes where its whole blocks lie as a device wants them. */
static void payload_buffer(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct chunkd_req *r = (void *)((u8 *)w - offsetof(struct chunkd_req, waiter));
	u32 off = r->op.offset & (FLINT_STORE_ALIGN - 1);

	r->op.data = buf->data + off;
	r->op.room = buf->size - off;
	flint_call_pull_to(r->call, buf, off, pulled);
}

/* ---- checks ------------------------------------------------------------- */

struct chunkd_target *chunkd_target_find(struct flint_chunkd *d, u32 id)
{
	unsigned int i;

	for (i = 0; i < d->nr_targets; i++)
		if (d->targets[i].st->id == id && !atomic_load(&d->targets[i].gone) &&
		    !atomic_load(&d->targets[i].foreign))
			return &d->targets[i];
	return NULL;
}

/* May this target be asked for this chain now? */
static u32 check_place(struct flint_chunkd *d, const struct chunkd_target *t, u32 chain,
		       u32 chain_ver, bool forwarded)
{
	u64 place;

	if (!d->cluster)
		return FLINT_OK;
	if (!forwarded && !flint_member_lease_valid(d->member))
		return FLINT_ST_NOT_SERVING;
	place = atomic_load_explicit(&t->place, memory_order_relaxed);
	if (!place)
		return FLINT_ST_NOT_SERVING;
	if (place != flint_chain_at(chain, chain_ver))
		return FLINT_ST_STALE_MAP;
	return FLINT_OK;
}

u32 chunkd_reply_room(const struct flint_call *call)
{
	const struct flint_conn_info *ci = flint_conn_info(call->conn);

	if (call->msg.nr_desc)
		return flint_msg_room(&call->msg);
	return ci->proto == FLINT_PROTO_RDMA ? ci->inline_size : ci->max_io;
}

static void who(struct flint_sop *op, const struct flint_call *call)
{
	const struct flint_conn_info *ci = flint_conn_info(call->conn);

	memcpy(op->client, ci->client_id, sizeof(op->client));
	op->session = ci->session_epoch;
	op->seq = call->msg.seq;
	op->seq_low = call->msg.seq_low;
}

/* Nothing of an operation is cleared between uses but this. */
static void req_begin(struct chunkd_req *r, struct flint_call *call, struct chunkd_target *t,
		      u32 chain, u32 chain_ver, u32 from)
{
	struct flint_sop *op = &r->op;

	r->call = call;
	r->target = t;
	r->buf = NULL;
	r->fence = -1;
	r->chain = chain;
	r->chain_ver = chain_ver;
	r->from = from;
	r->room = ~0ull;
	call->priv = r;
	op->given = false;
	op->syncing = false;
	op->as_is = false;
	op->half = false;
	op->check_crc = false;
	op->done = op_done;
	op->arg = r;
	op->check = r->d->cluster ? op_check : NULL;
	op->durable = r->d->cluster ? op_durable : NULL;
}

static u8 kind_of(u16 op)
{
	return op == FLINT_OP_READ ? FLINT_SOP_READ :
	       op == FLINT_OP_WRITE ? FLINT_SOP_WRITE : FLINT_SOP_PUNCH;
}

/* What a token says: one file system, perhaps not to be changed, perhaps a part of it (permit.h). */
static u32 check_token(struct flint_chunkd *d, const struct flint_call *call, u32 fs, u64 ino)
{
	const struct flint_token *t = flint_conn_info(call->conn)->token;

	if (!t)
		return FLINT_OK;
	if (le32_to_cpu(t->fs) != fs ||
	    (call->msg.op != FLINT_OP_READ && call->msg.op != FLINT_OP_EXTENTS &&
	     (le32_to_cpu(t->flags) & FLINT_TOKEN_RDONLY)))
		return FLINT_ST_AUTH;
	return chunkd_permitted(&d->permits, call, fs, ino) ? FLINT_OK : FLINT_ST_NEED_PERMIT;
}

static u32 check_io(struct flint_chunkd *d, const struct flint_call *call,
		    const struct flint_io *io, const struct chunkd_target *t)
{
	const struct flint_conn_info *ci = flint_conn_info(call->conn);
	u32 len = le32_to_cpu(io->length), status;

	if (flint_io_check(io, ci->max_io < FLINT_STORE_MAX_IO ? ci->max_io : FLINT_STORE_MAX_IO))
		return FLINT_ST_BAD_REQUEST;
	if (call->msg.op == FLINT_OP_WRITE ? call->msg.data_len != len : call->msg.data_len != 0)
		return FLINT_ST_BAD_REQUEST;
	if (call->msg.op == FLINT_OP_READ ? len > chunkd_reply_room(call) : !call->msg.seq)
		return FLINT_ST_BAD_REQUEST;
	status = check_token(d, call, le32_to_cpu(io->fs), le64_to_cpu(io->ino));
	if (status != FLINT_OK)
		return status;
	if (!t)
		return FLINT_ST_STALE_MAP;
	return check_place(d, t, le32_to_cpu(io->chain), le32_to_cpu(io->chain_ver), false);
}

static void request_io(struct flint_chunkd *d, struct flint_call *call)
{
	struct chunkd_target *t;
	struct chunkd_req *r;
	struct flint_sop *op;
	struct flint_io io;
	int fence;
	u32 status;

	if (flint_body_get(&io, sizeof(io), sizeof(io), call->msg.body, call->msg.body_len)) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	t = chunkd_target_find(d, le32_to_cpu(io.target));
	status = check_io(d, call, &io, t);
	if (status != FLINT_OK) {
		refuse(call, status);
		return;
	}
	fence = chunkd_fence_enter(&d->fences, call);
	if (fence < 0) {
		refuse(call, FLINT_ST_FENCED);
		return;
	}
	r = req_get(d);
	if (!r) {
		chunkd_fence_leave(&d->fences, fence);
		refuse(call, FLINT_ST_RETRY);
		return;
	}
	req_begin(r, call, t, le32_to_cpu(io.chain), le32_to_cpu(io.chain_ver), 0);
	r->fence = fence;
	op = &r->op;
	op->kind = kind_of(call->msg.op);
	op->shift = io.chunk_shift;
	op->fs = le32_to_cpu(io.fs);
	op->ino = le64_to_cpu(io.ino);
	op->gen = le32_to_cpu(io.gen);
	op->epoch = le32_to_cpu(io.trunc_epoch);
	op->index = le32_to_cpu(io.index);
	op->offset = le32_to_cpu(io.offset);
	op->length = le32_to_cpu(io.length);
	op->check_crc = op->kind == FLINT_SOP_WRITE && (le32_to_cpu(io.flags) & FLINT_IO_CRC);
	op->crc = le32_to_cpu(io.crc);
	op->unchecked = le32_to_cpu(io.flags) & FLINT_IO_UNCHECKED;
	who(op, call);
	if (op->kind != FLINT_SOP_WRITE) {
		hand_over(r);
		return;
	}
	r->waiter.fn = payload_buffer;
	r->waiter.loop = t->worker->loop;
	r->waiter.holder = flint_conn_holder(call->conn, d->pool);
	flint_buf_wait(d->pool, &r->waiter);
}

static u32 check_clone(struct flint_chunkd *d, const struct flint_call *call,
		       const struct flint_clone *b, const struct chunkd_target *t)
{
	const struct flint_io *io = &b->dst;
	u32 status;

	if (call->msg.data_len || !call->msg.seq || !io->ino || !b->src_ino || io->offset ||
	    io->length || io->flags || io->chunk_shift < FLINT_CHUNK_SHIFT_MIN ||
	    io->chunk_shift > FLINT_CHUNK_SHIFT_MAX)
		return FLINT_ST_BAD_REQUEST;
	status = check_token(d, call, le32_to_cpu(io->fs), le64_to_cpu(io->ino));
	if (status == FLINT_OK)
		status = check_token(d, call, le32_to_cpu(io->fs), le64_to_cpu(b->src_ino));
	if (status != FLINT_OK)
		return status;
	if (!t)
		return FLINT_ST_STALE_MAP;
	return check_place(d, t, le32_to_cpu(io->chain), le32_to_cpu(io->chain_ver), false);
}

static void request_clone(struct flint_chunkd *d, struct flint_call *call)
{
	struct chunkd_req *r = NULL;
	struct chunkd_target *t;
	struct flint_clone b;
	struct flint_sop *op;
	int fence;
	u32 status;

	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len)) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	t = chunkd_target_find(d, le32_to_cpu(b.dst.target));
	status = check_clone(d, call, &b, t);
	fence = status == FLINT_OK ? chunkd_fence_enter(&d->fences, call) : -1;
	if (status == FLINT_OK && fence < 0)
		status = FLINT_ST_FENCED;
	if (status == FLINT_OK)
		r = req_get(d);
	if (!r) {
		if (fence >= 0)
			chunkd_fence_leave(&d->fences, fence);
		refuse(call, status == FLINT_OK ? FLINT_ST_RETRY : status);
		return;
	}
	req_begin(r, call, t, le32_to_cpu(b.dst.chain), le32_to_cpu(b.dst.chain_ver), 0);
	r->fence = fence;
	op = &r->op;
	op->kind = FLINT_SOP_CLONE;
	op->shift = b.dst.chunk_shift;
	op->fs = le32_to_cpu(b.dst.fs);
	op->ino = le64_to_cpu(b.dst.ino);
	op->gen = le32_to_cpu(b.dst.gen);
	op->epoch = le32_to_cpu(b.dst.trunc_epoch);
	op->index = le32_to_cpu(b.dst.index);
	op->offset = 0;
	op->length = 0;
	op->src_ino = le64_to_cpu(b.src_ino);
	op->src_gen = le32_to_cpu(b.src_gen);
	op->src_epoch = le32_to_cpu(b.src_epoch);
	op->src_index = le32_to_cpu(b.src_index);
	who(op, call);
	hand_over(r);
}

/* From the metadata server to the head, or along the chain from the target in front. */
static void request_cut(struct flint_chunkd *d, struct flint_call *call)
{
	u8 role = flint_conn_info(call->conn)->role;
	bool forwarded = call->msg.op == FLINT_OP_FORWARD_CUT;
	struct chunkd_target *t;
	struct chunkd_req *r;
	struct flint_sop *op;
	struct flint_cut cut;
	u32 status;

	if (forwarded ? role != FLINT_ROLE_CHUNK || !d->cluster :
			role != FLINT_ROLE_META && role != FLINT_ROLE_TOOL) {
		refuse(call, FLINT_ST_AUTH);
		return;
	}
	if (flint_body_get(&cut, sizeof(cut), sizeof(cut), call->msg.body, call->msg.body_len) ||
	    cut.chunk_shift < FLINT_CHUNK_SHIFT_MIN || cut.chunk_shift > FLINT_CHUNK_SHIFT_MAX ||
	    !cut.ino || call->msg.data_len) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	t = chunkd_target_find(d, le32_to_cpu(cut.target));
	status = t ? check_place(d, t, le32_to_cpu(cut.chain), le32_to_cpu(cut.chain_ver),
				 forwarded) : FLINT_ST_STALE_MAP;
	r = status == FLINT_OK ? req_get(d) : NULL;
	if (!r) {
		refuse(call, status == FLINT_OK ? FLINT_ST_RETRY : status);
		return;
	}
	req_begin(r, call, t, le32_to_cpu(cut.chain), le32_to_cpu(cut.chain_ver),
		  forwarded ? FROM_PRED : 0);
	op = &r->op;
	op->kind = FLINT_SOP_CUT;
	op->given = forwarded;
	op->shift = cut.chunk_shift;
	op->fs = le32_to_cpu(cut.fs);
	op->ino = le64_to_cpu(cut.ino);
	op->gen = le32_to_cpu(cut.gen);
	op->epoch = le32_to_cpu(cut.trunc_epoch);
	op->cut_size = le64_to_cpu(cut.size);
	op->cut_flags = le32_to_cpu(cut.flags);
	hand_over(r);
}

/* ---- FORWARD ------------------------------------------------------------ */

/* The connection is gone: nobody waits for an answer. */
static void forward_lost(struct flint_task *task)
{
	reply((void *)((u8 *)task - offsetof(struct chunkd_req, task)));
}

static void forward_submit(struct flint_task *task)
{
	struct chunkd_req *r = (void *)((u8 *)task - offsetof(struct chunkd_req, task));

	r->op.syncing = r->target->at.role == FLINT_CHAIN_SYNCING;
	submit(r);
}

/* On the connection's loop. */
static void forward_pulled(struct flint_call *call, int err)
{
	struct chunkd_req *r = call->priv;

	r->task.fn = forward_submit;
	if (err) {
		r->op.status = FLINT_ST_RETRY;
		r->task.fn = forward_lost;
	}
	if (r->d->nr_workers == 1)
		r->task.fn(&r->task);
	else
		flint_loop_post(r->target->worker->loop, &r->task);
}

/* On the target's thread: a buffer by the place in the chain, then the payload. */
static void forward_begin(struct flint_task *task)
{
	struct chunkd_req *r = (void *)((u8 *)task - offsetof(struct chunkd_req, task));
	u32 off = r->op.offset & (FLINT_STORE_ALIGN - 1);
	struct flint_buf *buf;

	r->target->queued++;
	r->op.status = op_check(&r->op);
	if (r->op.status != FLINT_OK) {
		reply(r);
		return;
	}
	if (!r->call->msg.data_len) {
		forward_submit(task);
		return;
	}
	buf = flint_buf_get_above(r->d->pool, FLINT_CHAIN_KEEP(r->target->at.pos));
	if (!buf) {
		r->op.status = FLINT_ST_RETRY;
		reply(r);
		return;
	}
	r->op.data = buf->data + off;
	r->op.room = buf->size - off;
	flint_call_pull_to(r->call, buf, off, forward_pulled);
}

static void request_forward(struct flint_chunkd *d, struct flint_call *call)
{
	struct chunkd_target *t;
	struct flint_forward_clone b;
	struct flint_forward *fwd = &b.fwd;
	struct chunkd_req *r;
	u32 status;
	int kind;

	if (flint_conn_info(call->conn)->role != FLINT_ROLE_CHUNK || !d->cluster) {
		refuse(call, FLINT_ST_AUTH);
		return;
	}
	kind = flint_body_get(&b, sizeof(b), sizeof(*fwd), call->msg.body, call->msg.body_len) ? -1 :
	       flint_forward_kind(fwd, call->msg.data_len);
	if (kind < 0 || (kind == FLINT_SOP_CLONE && !b.src_ino)) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	t = chunkd_target_find(d, le32_to_cpu(fwd->io.target));
	status = t ? check_place(d, t, le32_to_cpu(fwd->io.chain), le32_to_cpu(fwd->io.chain_ver), true) :
		     FLINT_ST_STALE_MAP;
	r = status == FLINT_OK ? req_get(d) : NULL;
	if (!r) {
		refuse(call, status == FLINT_OK ? FLINT_ST_RETRY : status);
		return;
	}
	req_begin(r, call, t, le32_to_cpu(fwd->io.chain), le32_to_cpu(fwd->io.chain_ver),
		  le32_to_cpu(fwd->from));
	flint_forward_op(fwd, kind, &r->op);
	flint_forward_source(&b, &r->op);
	if (kind == FLINT_SOP_REPLACE && !(r->op.whole & FLINT_FWD_LAST))
		r->op.durable = NULL;	/* only what is whole is passed on */
	r->task.fn = forward_begin;
	if (d->nr_workers == 1)
		forward_begin(&r->task);
	else
		flint_loop_post(t->worker->loop, &r->task);
}

/* ---- TARGET_STAT -------------------------------------------------------- */

static void stat_begin(struct flint_task *task)
{
	struct chunkd_req *r = (void *)((u8 *)task - offsetof(struct chunkd_req, task));
	const struct flint_store *st = r->target->st;
	struct flint_target_stat rep = {
		.capacity = cpu_to_le64(flint_store_capacity(st)),
		.used = cpu_to_le64(flint_store_used(st)),
		.chunks = cpu_to_le64(st->index.chunks.used),
		.inodes = cpu_to_le64(st->index.inodes.used),
		.read_bytes = cpu_to_le64(st->stats.read_bytes),
		.write_bytes = cpu_to_le64(st->stats.write_bytes),
		.device_write_bytes = cpu_to_le64(st->stats.device_write_bytes +
						  st->stats.log_write_bytes),
		.crc_errors = cpu_to_le64(st->stats.crc_errors),
	};

	flint_call_reply(r->call, FLINT_OK, &rep, sizeof(rep), NULL, 0, 0);
	req_put(r);
}

static void request_stat(struct flint_chunkd *d, struct flint_call *call)
{
	struct flint_target_req req;
	struct chunkd_target *t;
	struct chunkd_req *r;

	if (flint_body_get(&req, sizeof(req), sizeof(req), call->msg.body, call->msg.body_len)) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	t = chunkd_target_find(d, le32_to_cpu(req.target));
	r = t ? req_get(d) : NULL;
	if (!r) {
		refuse(call, t ? FLINT_ST_RETRY : ENOENT);
		return;
	}
	r->call = call;
	r->target = t;
	r->buf = NULL;
	r->task.fn = stat_begin;
	if (d->nr_workers == 1)
		stat_begin(&r->task);
	else
		flint_loop_post(t->worker->loop, &r->task);
}

/* ---- INO_STAT ----------------------------------------------------------- */

static void ino_stat_begin(struct flint_task *task)
{
	struct chunkd_req *r = (void *)((u8 *)task - offsetof(struct chunkd_req, task));
	const struct flint_index *ix = &r->target->st->index;
	const struct flint_inode *in = flint_inode_find(ix, r->op.fs, r->op.ino);
	struct flint_ino_stat_rep rep = { 0 };
	u64 nr = 0;
	u32 slot;

	if (in && in->gen != r->op.gen)
		in = NULL;
	for (slot = in ? in->chunks : 0; slot; slot = flint_chunk_at(ix, slot)->next) {
		const struct flint_chunk *c = flint_chunk_at(ix, slot);

		if (!c->version || (c->flags & FLINT_CHUNK_DEAD))
			continue;
		if (!nr++ || c->index > le32_to_cpu(rep.index)) {
			rep.index = cpu_to_le32(c->index);
			rep.size = cpu_to_le32(c->size);
			rep.chunk_shift = c->shift;
		}
	}
	rep.nr_chunks = cpu_to_le64(nr);
	rep.trunc_epoch = cpu_to_le32(in ? in->epoch : 0);
	flint_call_reply(r->call, FLINT_OK, &rep, sizeof(rep), NULL, 0, 0);
	req_put(r);
}

static void request_ino_stat(struct flint_chunkd *d, struct flint_call *call)
{
	u8 role = flint_conn_info(call->conn)->role;
	struct flint_ino_stat b;
	struct chunkd_target *t;
	struct chunkd_req *r;
	u32 status;

	if (role != FLINT_ROLE_META && role != FLINT_ROLE_TOOL) {
		refuse(call, FLINT_ST_AUTH);
		return;
	}
	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len) || !b.ino) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	t = chunkd_target_find(d, le32_to_cpu(b.target));
	status = t ? check_place(d, t, le32_to_cpu(b.chain), le32_to_cpu(b.chain_ver), false) :
		     FLINT_ST_STALE_MAP;
	r = status == FLINT_OK ? req_get(d) : NULL;
	if (!r) {
		refuse(call, status == FLINT_OK ? FLINT_ST_RETRY : status);
		return;
	}
	r->call = call;
	r->target = t;
	r->buf = NULL;
	r->op.fs = le32_to_cpu(b.fs);
	r->op.ino = le64_to_cpu(b.ino);
	r->op.gen = le32_to_cpu(b.gen);
	r->task.fn = ino_stat_begin;
	if (d->nr_workers == 1)
		ino_stat_begin(&r->task);
	else
		flint_loop_post(t->worker->loop, &r->task);
}

/* ---- EXTENTS ------------------------------------------------------------ */

static void extents_begin(struct flint_task *task)
{
	struct chunkd_req *r = (void *)((u8 *)task - offsetof(struct chunkd_req, task));
	const struct flint_index *ix = &r->target->st->index;
	const struct flint_inode *in = flint_inode_find(ix, r->op.fs, r->op.ino);
	struct {
		struct flint_extents h;
		struct flint_extent e[FLINT_EXTENTS_MAX];
	} rep = { 0 };
	u32 nr = 0;

	if (in && in->gen == r->op.gen)
		nr = flint_extents_find(ix, r->target->st->bs, in, r->op.index, r->op.offset,
					r->op.length, &rep.h, rep.e);
	flint_call_reply(r->call, FLINT_OK, &rep, sizeof(rep.h) + nr * sizeof(rep.e[0]), NULL, 0, 0);
	req_put(r);
}

static void request_extents(struct flint_chunkd *d, struct flint_call *call)
{
	struct chunkd_req *r = NULL;
	struct chunkd_target *t;
	struct flint_io io;
	u32 status;

	if (flint_body_get(&io, sizeof(io), sizeof(io), call->msg.body, call->msg.body_len) ||
	    !io.ino || call->msg.data_len || !le32_to_cpu(io.length) ||
	    le32_to_cpu(io.length) > FLINT_STRIPE_MAX) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	t = chunkd_target_find(d, le32_to_cpu(io.target));
	status = check_token(d, call, le32_to_cpu(io.fs), le64_to_cpu(io.ino));
	if (status == FLINT_OK)
		status = !t ? FLINT_ST_STALE_MAP :
			 check_place(d, t, le32_to_cpu(io.chain), le32_to_cpu(io.chain_ver), false);
	if (status == FLINT_OK)
		r = req_get(d);
	if (!r) {
		refuse(call, status == FLINT_OK ? FLINT_ST_RETRY : status);
		return;
	}
	r->call = call;
	r->target = t;
	r->buf = NULL;
	r->op.fs = le32_to_cpu(io.fs);
	r->op.ino = le64_to_cpu(io.ino);
	r->op.gen = le32_to_cpu(io.gen);
	r->op.index = le32_to_cpu(io.index);
	r->op.offset = le32_to_cpu(io.offset);
	r->op.length = le32_to_cpu(io.length);
	r->task.fn = extents_begin;
	if (d->nr_workers == 1)
		extents_begin(&r->task);
	else
		flint_loop_post(t->worker->loop, &r->task);
}

void chunkd_request(void *arg, struct flint_call *call)
{
	switch (call->msg.op) {
	case FLINT_OP_READ:
	case FLINT_OP_WRITE:
	case FLINT_OP_PUNCH:
		request_io(arg, call);
		break;
	case FLINT_OP_CLONE:
		request_clone(arg, call);
		break;
	case FLINT_OP_FORWARD:
		request_forward(arg, call);
		break;
	case FLINT_OP_CUT:
	case FLINT_OP_FORWARD_CUT:
		request_cut(arg, call);
		break;
	case FLINT_OP_TARGET_STAT:
		request_stat(arg, call);
		break;
	case FLINT_OP_SYNC:
		heal_request_sync(arg, call);
		break;
	case FLINT_OP_CHUNK_GET:
		heal_request_get(arg, call);
		break;
	case FLINT_OP_SCRUB:
		heal_request_scrub(arg, call);
		break;
	case FLINT_OP_EXTENTS:
		request_extents(arg, call);
		break;
	case FLINT_OP_INO_STAT:
		request_ino_stat(arg, call);
		break;
	case FLINT_OP_TARGET_CTL:
		chunkd_targets_request(arg, call);
		break;
	case FLINT_OP_PERMIT:
		chunkd_permit_request(&((struct flint_chunkd *)arg)->permits, call);
		break;
	case FLINT_OP_FENCE:
		chunkd_fence_request(&((struct flint_chunkd *)arg)->fences, call);
		break;
	default:
		refuse(call, FLINT_ST_BAD_REQUEST);
	}
}

/* ---- the cluster -------------------------------------------------------- */

/*
 * Does the target behind @t answer no change, though it has had a lease's time?
 * Seen twice: if it was we who stood still, answers have come in meanwhile. A
 * change waits for all that are behind it, so whoever is nearer to the one that is
 * stuck speaks first.
 */
static bool forwards_stuck(const struct flint_chunkd *d, struct chunkd_target *t)
{
	u64 since = atomic_load_explicit(&t->fwd_ns, memory_order_relaxed), now = flint_now_ns();
	u64 limit = flint_member_lease_ms(d->member) * 1000000ull / 3 * (t->told.pos ? 2 : 3);

	if (!since || !limit || now < since + limit) {
		t->stuck_ns = 0;
		return false;
	}
	if (!t->stuck_ns)
		t->stuck_ns = now;
	return now - t->stuck_ns > limit / 12;
}

int chunkd_hb_targets(void *arg, struct flint_hb_target *out, unsigned int max)
{
	struct flint_chunkd *d = arg;
	unsigned int i, n = 0;

	if (!chunkd_targets_known(d))
		return -1;
	for (i = 0; i < d->nr_targets && n < max; i++) {
		/* Counters of another thread: a reading that is a moment old does. */
		const struct flint_store *st = d->targets[i].st;
		struct flint_hb_target *o = &out[n];

		if (d->targets[i].gone || !d->targets[i].bound)
			continue;
		n++;
		memset(o, 0, sizeof(*o));
		o->target_id = cpu_to_le32(st->id);
		o->local_state = chunkd_local_state(&d->targets[i]);
		o->chain_ver = d->targets[i].order.chain_ver;
		o->crc_errors = cpu_to_le64(st->stats.crc_errors);
		o->capacity = cpu_to_le64(flint_store_capacity(st));
		o->used = cpu_to_le64(flint_store_used(st));
		memcpy(o->uuid, st->uuid, sizeof(o->uuid));
		if (forwards_stuck(d, &d->targets[i]))
			o->flags = cpu_to_le32(FLINT_HBT_STUCK);
		heal_beat(d->targets[i].heal, o);
	}
	return n;
}

void chunkd_settings(void *arg, const struct flint_hb_settings *s)
{
	struct flint_chunkd *d = arg;
	unsigned int i;

	for (i = 0; i < d->nr_targets; i++)
		if (!d->targets[i].gone)
			heal_settings(d->targets[i].heal, s);
}

uint64_t chunkd_map_epoch(void *arg)
{
	struct flint_chunkd *d = arg;

	return d->cluster ? flint_cluster_epoch(d->cluster) : 0;
}

int chunkd_revoked(void *arg, const struct flint_token *token)
{
	struct flint_chunkd *d = arg;

	return d->cluster ? flint_cluster_token_revoked(d->cluster, token) : 0;
}
