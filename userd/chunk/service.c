// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests: what is checked before a store sees them, where their buffers come
 * from, and how results become replies.
 *
 * Checked here: who asks, that the target is ours, that we hold the managers'
 * lease, chain and chain version, the range, the room for the answer. The store
 * checks generation, truncate epoch and sequence.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include "service.h"
#include "../base/log.h"

#define SMALL_READ	(32u << 10)

/**
 * struct chunkd_req - a request under way
 * @op: the store's; nothing of it is cleared between uses
 */
struct chunkd_req {
	struct flint_sop op;
	struct flint_call *call;
	struct chunkd_target *target;
	int fence;			/* bucket it is counted in, -1: none */
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

static void reply(struct chunkd_req *r)
{
	struct flint_sop *op = &r->op;
	struct flint_call *call = r->call;
	struct flint_buf *buf = r->buf;
	u32 len;

	r->target->queued--;
	if (r->fence >= 0)
		chunkd_fence_leave(&r->d->fences, r->fence);
	if (op->status != FLINT_OK) {
		refuse(call, op->status);
	} else if (op->kind == FLINT_SOP_CUT) {
		struct flint_cut_rep rep = { .freed = cpu_to_le64(op->freed) };

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
	r->waiter.fn = buffer_ready;
	r->waiter.loop = t->worker->loop;
	flint_buf_wait(span <= SMALL_READ ? r->d->small : r->d->pool, &r->waiter);
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

static struct chunkd_target *find_target(struct flint_chunkd *d, u32 id)
{
	unsigned int i;

	for (i = 0; i < d->nr_targets; i++)
		if (d->targets[i].st->id == id)
			return &d->targets[i];
	return NULL;
}

/* May this target be asked for this chain now? */
static u32 check_place(struct flint_chunkd *d, const struct chunkd_target *t, u32 chain,
		       u32 chain_ver)
{
	u64 place;

	if (!d->cluster)
		return FLINT_OK;
	if (!flint_member_lease_valid(d->member))
		return FLINT_ST_NOT_SERVING;
	place = atomic_load_explicit(&t->place, memory_order_relaxed);
	if (place != ((u64)chain << 32 | chain_ver))
		return FLINT_ST_STALE_MAP;
	return FLINT_OK;
}

/* Bytes that the requester can take as a reply's payload. */
static u32 reply_room(const struct flint_call *call)
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

static u8 kind_of(u16 op)
{
	return op == FLINT_OP_READ ? FLINT_SOP_READ :
	       op == FLINT_OP_WRITE ? FLINT_SOP_WRITE : FLINT_SOP_PUNCH;
}

/*
 * A token names one file system and may forbid to change it. Its subtree is not
 * known here: an inode's number does not tell where it lies.
 */
static bool token_forbids(const struct flint_call *call, u32 fs)
{
	const struct flint_token *t = flint_conn_info(call->conn)->token;

	return t && (le32_to_cpu(t->fs) != fs ||
		     (call->msg.op != FLINT_OP_READ &&
		      (le32_to_cpu(t->flags) & FLINT_TOKEN_RDONLY)));
}

static u32 check_io(struct flint_chunkd *d, const struct flint_call *call,
		    const struct flint_io *io, const struct chunkd_target *t)
{
	const struct flint_conn_info *ci = flint_conn_info(call->conn);
	u32 len = le32_to_cpu(io->length);

	if (flint_io_check(io, ci->max_io < FLINT_STORE_MAX_IO ? ci->max_io : FLINT_STORE_MAX_IO))
		return FLINT_ST_BAD_REQUEST;
	if (call->msg.op == FLINT_OP_WRITE ? call->msg.data_len != len : call->msg.data_len != 0)
		return FLINT_ST_BAD_REQUEST;
	if (call->msg.op == FLINT_OP_READ ? len > reply_room(call) : !call->msg.seq)
		return FLINT_ST_BAD_REQUEST;
	if (token_forbids(call, le32_to_cpu(io->fs)))
		return FLINT_ST_AUTH;
	if (!t)
		return FLINT_ST_STALE_MAP;
	return check_place(d, t, le32_to_cpu(io->chain), le32_to_cpu(io->chain_ver));
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
	t = find_target(d, le32_to_cpu(io.target));
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
	r->call = call;
	r->target = t;
	r->buf = NULL;
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
	op->done = op_done;
	op->arg = r;
	who(op, call);
	call->priv = r;
	if (op->kind != FLINT_SOP_WRITE) {
		hand_over(r);
		return;
	}
	r->waiter.fn = payload_buffer;
	r->waiter.loop = t->worker->loop;
	flint_buf_wait(d->pool, &r->waiter);
}

static void request_cut(struct flint_chunkd *d, struct flint_call *call)
{
	u8 role = flint_conn_info(call->conn)->role;
	struct chunkd_target *t;
	struct chunkd_req *r;
	struct flint_sop *op;
	struct flint_cut cut;
	u32 status;

	if (role != FLINT_ROLE_META && role != FLINT_ROLE_TOOL) {
		refuse(call, FLINT_ST_AUTH);
		return;
	}
	if (flint_body_get(&cut, sizeof(cut), sizeof(cut), call->msg.body, call->msg.body_len) ||
	    cut.chunk_shift < FLINT_CHUNK_SHIFT_MIN || cut.chunk_shift > FLINT_CHUNK_SHIFT_MAX ||
	    !cut.ino || call->msg.data_len) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	t = find_target(d, le32_to_cpu(cut.target));
	status = t ? check_place(d, t, le32_to_cpu(cut.chain), le32_to_cpu(cut.chain_ver)) :
		     FLINT_ST_STALE_MAP;
	r = status == FLINT_OK ? req_get(d) : NULL;
	if (!r) {
		refuse(call, status == FLINT_OK ? FLINT_ST_RETRY : status);
		return;
	}
	r->call = call;
	r->target = t;
	r->buf = NULL;
	op = &r->op;
	r->fence = -1;
	op->kind = FLINT_SOP_CUT;
	op->shift = cut.chunk_shift;
	op->fs = le32_to_cpu(cut.fs);
	op->ino = le64_to_cpu(cut.ino);
	op->gen = le32_to_cpu(cut.gen);
	op->epoch = le32_to_cpu(cut.trunc_epoch);
	op->cut_size = le64_to_cpu(cut.size);
	op->cut_flags = le32_to_cpu(cut.flags);
	op->done = op_done;
	op->arg = r;
	hand_over(r);
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
	t = find_target(d, le32_to_cpu(req.target));
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

void chunkd_request(void *arg, struct flint_call *call)
{
	switch (call->msg.op) {
	case FLINT_OP_READ:
	case FLINT_OP_WRITE:
	case FLINT_OP_PUNCH:
		request_io(arg, call);
		break;
	case FLINT_OP_CUT:
		request_cut(arg, call);
		break;
	case FLINT_OP_TARGET_STAT:
		request_stat(arg, call);
		break;
	case FLINT_OP_FENCE:
		chunkd_fence_request(&((struct flint_chunkd *)arg)->fences, call);
		break;
	default:
		refuse(call, FLINT_ST_BAD_REQUEST);
	}
}

/* ---- the cluster -------------------------------------------------------- */

void chunkd_map_changed(void *arg, const struct flint_map *map)
{
	struct flint_chunkd *d = arg;
	unsigned int i;

	for (i = 0; i < d->nr_targets; i++) {
		struct chunkd_target *t = &d->targets[i];
		const struct flint_map_target *mt = flint_map_target(map, t->st->id);
		const struct flint_map_chain *c = mt && mt->chain ?
			flint_map_chain(map, le32_to_cpu(mt->chain)) : NULL;
		u64 place = c ? (u64)le32_to_cpu(c->id) << 32 | le32_to_cpu(c->version) : 0;

		atomic_store(&t->place, place);
	}
}

unsigned int chunkd_hb_targets(void *arg, struct flint_hb_target *out, unsigned int max)
{
	struct flint_chunkd *d = arg;
	unsigned int i;

	for (i = 0; i < d->nr_targets && i < max; i++) {
		/* Counters of another thread: a reading that is a moment old does. */
		const struct flint_store *st = d->targets[i].st;

		memset(&out[i], 0, sizeof(out[i]));
		out[i].target_id = cpu_to_le32(st->id);
		out[i].local_state = st->offline ? FLINT_LOCAL_OFFLINE : FLINT_LOCAL_UPTODATE;
		out[i].capacity = cpu_to_le64(flint_store_capacity(st));
		out[i].used = cpu_to_le64(flint_store_used(st));
		memcpy(out[i].uuid, st->uuid, sizeof(out[i].uuid));
	}
	return i;
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
