// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading and writing file data: cut into pieces of one chunk and one request,
 * sent to the chains that placement names, joined again.
 *
 * An I/O goes through the phases
 *
 *	begin -> (read past the known size: refresh) -> pieces -> (write past the
 *	size: extend) -> end
 *
 * A piece or an EXTEND that is refused because the file was truncated
 * meanwhile (STALE_EPOCH) restarts the whole I/O with fresh attributes: pieces
 * written before the truncation may have been cut off, so none of them counts.
 * Such an I/O ran at the same time as the truncation, either order is right,
 * but half of each is not.
 *
 * Everything here runs on the loop, but for the synchronous calls at the end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "../base/crc.h"
#include "../base/log.h"
#include "fs_int.h"
#include "fs_write.h"
#include "latch.h"

#define WINDOW		16	/* pieces of one I/O in flight */
#define PERMIT_TRIES	8	/* a server may forget what it was shown */
#define PERMIT_TRIES	8	/* chunk servers of a chain; one may forget what it was shown */
#define CRC_TRIES	3	/* a mismatch may have happened on the way */

enum io_kind { IO_READ, IO_WRITE, IO_PUNCH };

struct io_work {
	struct flint_io_req *req;
	struct flint_file *file;
	enum io_kind kind;
	uint64_t deadline_ns;
	size_t len;			/* what is left of the request at the end of the file */
	size_t next;			/* first byte not given to a piece yet */
	unsigned int open;		/* pieces and attribute requests in flight */
	int err;
	bool stale;
	unsigned int restarts;
	struct flint_timer pause;	/* before the second restart and later ones */
	struct flint_attr attr;		/* as this attempt sees the file */
	uint64_t nr_refused;		/* of the file system when op was sent */
	struct flint_placement place;
	struct fs_op op;		/* GETATTR, EXTEND */
	struct flint_ino_req getattr;
	struct flint_extend extend;
};

struct io_piece {
	struct io_work *w;
	struct fs_op op;
	struct flint_io io;
	uint8_t *buf;
	uint32_t len;
	unsigned int crc_tries;
	uint32_t target, node;
	bool counted;			/* in fs->reads of the node */
	unsigned int nr_tried;
	uint32_t tried[FLINT_CHAIN_MAX];	/* targets that could not answer */
	unsigned int permits;		/* that were shown */
	struct fs_op permit_op;
	struct flint_ino_req permit_req;
	struct flint_permit permit;
};

static void io_begin(struct io_work *w);
static void io_refresh(struct io_work *w);
static void io_pieces(struct io_work *w);

static void io_end(struct io_work *w)
{
	struct flint_io_req *req = w->req;

	req->result = w->err ? w->err : (ssize_t)w->len;
	free(w);
	req->done(req);
}

/* ---- placement ---------------------------------------------------------- */

static uint64_t work_off(const struct io_work *w)
{
	return w->req->off;
}

static bool piece_tried(const struct io_piece *p, uint32_t target)
{
	unsigned int i;

	for (i = 0; i < p->nr_tried; i++)
		if (p->tried[i] == target)
			return true;
	return false;
}

/*
 * Who reads: of the serving targets that were not tried in vain the one whose
 * server has least to do for us; the chunk decides among equals, so that their
 * caches do not all hold the same.
 */
static const struct flint_map_target *pick_reader(const struct io_piece *p,
						  const struct flint_map *map,
						  const struct flint_map_chain *chain)
{
	const struct flint_fs *fs = p->w->file->fs;
	const struct flint_map_target *best = NULL, *t;
	uint32_t load, least = 0, i;
	uint64_t start = le64_to_cpu(p->io.ino) + le32_to_cpu(p->io.index);

	for (i = 0; i < chain->nr; i++) {
		t = flint_map_target(map, le32_to_cpu(chain->targets[(start + i) % chain->nr]));
		if (!t || t->state != FLINT_TARGET_SERVING ||
		    piece_tried(p, le32_to_cpu(t->id)))
			continue;
		load = fs->reads[le32_to_cpu(t->node) & (FS_NODES - 1)];
		if (best && load >= least)
			continue;
		best = t;
		least = load;
	}
	return best;
}

static void piece_uncount(struct io_piece *p)
{
	if (p->counted)
		p->w->file->fs->reads[p->node & (FS_NODES - 1)]--;
	p->counted = false;
}

/* Fill in what depends on the map: chain, version, target, node. */
static int piece_route(struct fs_op *op, uint32_t *node)
{
	struct io_piece *p = op->priv;
	struct io_work *w = p->w;
	const struct flint_layout *lay = &w->attr.layout;
	struct flint_map_ref *ref = flint_cluster_map(op->fs->cluster);
	const struct flint_map_table *table;
	const struct flint_map_chain *chain;
	const struct flint_map_target *target = NULL;
	uint32_t slot;
	int rc = -EAGAIN;	/* a table or chain we do not know: the map is too old */

	table = flint_map_table(&ref->map, le32_to_cpu(lay->table), le32_to_cpu(lay->table_ver));
	if (!table)
		goto out;
	if (!w->place.width) {
		rc = flint_placement_init(&w->place, lay, le32_to_cpu(table->nr));
		if (rc)
			goto out;
	}
	slot = flint_placement_chain(&w->place, le32_to_cpu(p->io.index));
	chain = flint_map_chain(&ref->map,
				le32_to_cpu(ref->map.chain_ids[le32_to_cpu(table->first) + slot]));
	if (chain)
		target = w->kind == IO_READ ? pick_reader(p, &ref->map, chain) :
					      flint_map_head(&ref->map, chain);
	if (!target && chain && p->nr_tried) {
		p->nr_tried = 0;
		target = pick_reader(p, &ref->map, chain);
	}
	rc = -EAGAIN;
	if (!target)
		goto out;
	p->io.chain = chain->id;
	p->io.chain_ver = chain->version;
	p->io.target = target->id;
	p->target = le32_to_cpu(target->id);
	*node = le32_to_cpu(target->node);
	piece_uncount(p);
	p->node = *node;
	p->counted = w->kind == IO_READ;
	op->fs->reads[p->node & (FS_NODES - 1)] += p->counted;
	rc = 0;
out:
	flint_map_put(ref);
	return rc;
}

/* ---- pieces ------------------------------------------------------------- */

/* Verify every checksum block of a read and fill up what the server left out. */
static int piece_verify(struct io_piece *p)
{
	uint32_t off = le32_to_cpu(p->io.offset), got, at = 0, i;
	struct flint_rpc *rpc = &p->op.rpc;
	struct flint_io_rep rep;
	const uint8_t *crcs;

	if (flint_body_get(&rep, sizeof(rep), sizeof(rep), rpc->rep_body, rpc->rep_len) ||
	    flint_io_rep_check(&rep, rpc->rep_len - sizeof(rep), off, p->len, rpc->rep_data_len,
			       true))
		return -EPROTO;
	crcs = (const uint8_t *)rpc->rep_body + sizeof(rep);
	got = le32_to_cpu(rep.length);
	for (i = 0; at < got; i++) {
		uint32_t block = 1u << rep.crc_shift;
		uint32_t n = block - ((off + at) & (block - 1));
		__le32 want;

		if (n > got - at)
			n = got - at;
		memcpy(&want, crcs + i * sizeof(want), sizeof(want));
		if (flint_crc32c(0, p->buf + at, n) != le32_to_cpu(want))
			return -EBADMSG;
		at += n;
	}
	memset(p->buf + got, 0, p->len - got);
	return 0;
}

static int piece_written(struct io_piece *p)
{
	struct flint_rpc *rpc = &p->op.rpc;
	struct flint_io_rep rep;

	if (flint_body_get(&rep, sizeof(rep), sizeof(rep), rpc->rep_body, rpc->rep_len) ||
	    flint_io_rep_check(&rep, 0, le32_to_cpu(p->io.offset), p->len, rpc->rep_data_len,
			       false))
		return -EPROTO;
	return 0;
}

/*
 * fs_op.elsewhere of reads: does another replica serve that was not asked yet? When
 * all were asked in vain they are asked again, after a pause.
 */
static bool piece_elsewhere(struct fs_op *op)
{
	struct io_piece *p = op->priv;
	struct flint_map_ref *ref = flint_cluster_map(op->fs->cluster);
	const struct flint_map_chain *chain = flint_map_chain(&ref->map, le32_to_cpu(p->io.chain));
	bool found;

	if (p->nr_tried < FLINT_CHAIN_MAX)
		p->tried[p->nr_tried++] = p->target;
	found = chain && pick_reader(p, &ref->map, chain);
	flint_map_put(ref);
	if (!found)
		p->nr_tried = 0;
	return found;
}

/* All pieces of this attempt are back. */
static void io_joined(struct io_work *w);

/* ---- permits: of tokens with a subtree, see token.h ------------------------- */

static void piece_done(struct fs_op *op, int err);

static void permit_shown(struct fs_op *op, int err)
{
	struct io_piece *p = op->priv;

	err = fs_op_result(op, err);
	if (err)
		piece_done(&p->op, err);
	else
		fs_op_start(&p->op);
}

static int permit_route(struct fs_op *op, uint32_t *node)
{
	struct io_piece *p = op->priv;

	*node = p->node;
	return 0;
}

static void permit_got(struct fs_op *op, int err)
{
	struct io_piece *p = op->priv;

	err = fs_op_result(op, err);
	if (!err && flint_body_get(&p->permit, sizeof(p->permit), sizeof(p->permit),
				   op->rpc.rep_body, op->rpc.rep_len))
		err = -EPROTO;
	if (err) {
		piece_done(&p->op, err);
		return;
	}
	*op = (struct fs_op){
		.fs = p->op.fs, .deadline_ns = p->op.deadline_ns, .route = permit_route,
		.done = permit_shown, .priv = p,
		.rpc = { .op = FLINT_OP_PERMIT, .body = &p->permit, .body_len = sizeof(p->permit) },
	};
	fs_op_start(op);
}

/* The server wants a permit for the inode. Return: is one fetched, and the piece sent again then? */
static bool piece_permit(struct io_piece *p)
{
	if (++p->permits > PERMIT_TRIES)
		return false;
	p->permit_req = (struct flint_ino_req){ .ino = p->io.ino, .gen = p->io.gen };
	p->permit_op = (struct fs_op){
		.fs = p->op.fs, .deadline_ns = p->op.deadline_ns, .route = fs_route_meta,
		.done = permit_got, .priv = p,
		.rpc = { .op = FLINT_OP_PERMIT_GET, .body = &p->permit_req,
			 .body_len = sizeof(p->permit_req) },
	};
	fs_op_start(&p->permit_op);
	return true;
}

static void piece_done(struct fs_op *op, int err)
{
	struct io_piece *p = op->priv;
	struct io_work *w = p->w;

	if (!err && op->rpc.status == FLINT_ST_NEED_PERMIT && piece_permit(p))
		return;

	if (!err && op->rpc.status == FLINT_ST_STALE_EPOCH) {
		w->stale = true;
	} else if (!err && op->rpc.status == FLINT_OK) {
		err = w->kind == IO_READ ? piece_verify(p) : piece_written(p);
		if (err == -EBADMSG) {
			flint_warn_rl("inode %llu chunk %u: data from target %u fails its checksum",
				      (unsigned long long)le64_to_cpu(p->io.ino),
				      le32_to_cpu(p->io.index), p->target);
			if (++p->crc_tries < CRC_TRIES) {
				piece_elsewhere(op);
				fs_op_start(op);
				return;
			}
			err = -EIO;
		}
	} else {
		err = fs_op_result(op, err);
	}
	if (err && !w->err)
		w->err = err;
	piece_uncount(p);
	free(p);
	w->open--;
	if (!w->err && !w->stale && w->next < w->len)
		io_pieces(w);
	else if (!w->open)
		io_joined(w);
}

/* Describe the piece that begins at @at of the request. */
static void piece_fill(struct io_work *w, struct io_piece *p, size_t at)
{
	uint8_t shift = w->attr.layout.chunk_shift;
	uint64_t off = work_off(w) + at;
	uint32_t in_chunk = off & ((1u << shift) - 1);
	uint32_t len = (1u << shift) - in_chunk;

	if (len > w->file->fs->max_io)
		len = w->file->fs->max_io;
	if (len > w->len - at)
		len = w->len - at;
	p->w = w;
	p->buf = w->req->buf ? (uint8_t *)w->req->buf + at : NULL;
	p->len = len;
	p->io = (struct flint_io){
		.fs = cpu_to_le32(w->file->fs->fs_id),
		.ino = w->attr.ino, .gen = w->attr.gen, .trunc_epoch = w->attr.trunc_epoch,
		.index = cpu_to_le32((uint32_t)(off >> shift)),
		.offset = cpu_to_le32(in_chunk), .length = cpu_to_le32(len),
		.chunk_shift = shift,
	};
	if (w->kind == IO_WRITE) {
		p->io.flags = cpu_to_le32(FLINT_IO_CRC);
		p->io.crc = cpu_to_le32(flint_crc32c(0, p->buf, len));
	}
}

static struct io_piece *piece_new(struct io_work *w, size_t at)
{
	struct io_piece *p = calloc(1, sizeof(*p));
	struct fs_op *op;

	if (!p)
		return NULL;
	piece_fill(w, p, at);
	op = &p->op;
	op->fs = w->file->fs;
	op->mutating = w->kind != IO_READ;
	op->deadline_ns = w->deadline_ns;
	op->route = piece_route;
	op->done = piece_done;
	op->priv = p;
	op->rpc.op = w->kind == IO_READ ? FLINT_OP_READ :
		     w->kind == IO_WRITE ? FLINT_OP_WRITE : FLINT_OP_PUNCH;
	op->rpc.body = &p->io;
	op->rpc.body_len = sizeof(p->io);
	op->rpc.eager = true;
	if (w->kind == IO_READ) {
		op->elsewhere = piece_elsewhere;
		op->rpc.in = p->buf;
		op->rpc.in_len = p->len;
	} else if (w->kind == IO_WRITE) {
		op->rpc.out = p->buf;
		op->rpc.out_len = p->len;
	}
	return p;
}

/*
 * Fill the window. A piece may end inside fs_op_start(), and the last one frees
 * the work: an extra count keeps it until the loop is left.
 */
static void io_pieces(struct io_work *w)
{
	if (w->len && (w->attr.layout.chunk_shift < FLINT_CHUNK_SHIFT_MIN ||
		       w->attr.layout.chunk_shift > FLINT_CHUNK_SHIFT_MAX))
		w->err = -EIO;
	w->open++;
	while (w->next < w->len && w->open <= WINDOW && !w->err && !w->stale) {
		struct io_piece *p = piece_new(w, w->next);

		if (!p) {
			w->err = -ENOMEM;
			break;
		}
		w->next += p->len;
		w->open++;
		fs_op_start(&p->op);
	}
	if (!--w->open)
		io_joined(w);
}

/* ---- the whole ---------------------------------------------------------- */

/* The file's size here may be one that was kept, and refused later. */
static bool size_doubtful(const struct io_work *w)
{
	return w->file->nr_refused != w->file->fs->nr_refused;
}

/* Fresh from the server. */
static void attr_take(struct io_work *w, struct flint_attr *attr)
{
	fs_write_overlay(w->file->fs, attr);
	file_attr_set(w->file, attr);
	w->file->nr_refused = w->nr_refused;
}

static void extend_done(struct fs_op *op, int err)
{
	struct io_work *w = op->priv;
	struct flint_attr attr;

	fs_learn_grants(op->fs, op, err);
	if (!err && op->rpc.status == FLINT_ST_STALE_EPOCH) {
		io_refresh(w);
		return;
	}
	err = fs_op_result(op, err);
	if (!err && flint_body_get(&attr, sizeof(attr), sizeof(attr), op->rpc.rep_body,
				   op->rpc.rep_len))
		err = -EPROTO;
	if (!err)
		attr_take(w, &attr);
	w->err = err;
	io_end(w);
}

static void io_extend(struct io_work *w)
{
	w->nr_refused = w->file->fs->nr_refused;
	w->extend = (struct flint_extend){
		.ino = w->attr.ino, .gen = w->attr.gen, .trunc_epoch = w->attr.trunc_epoch,
		.end = cpu_to_le64(work_off(w) + w->len),
	};
	w->op = (struct fs_op){
		.fs = w->file->fs, .mutating = true, .deadline_ns = w->deadline_ns,
		.route = fs_route_meta, .done = extend_done, .priv = w,
		.touches = le64_to_cpu(w->attr.ino),
		.rpc = { .op = FLINT_OP_EXTEND, .body = &w->extend,
			 .body_len = sizeof(w->extend) },
	};
	fs_op_start(&w->op);
}

/* The file is longer now: who is its only writer keeps that, else it is told first. */
static void io_grown(struct io_work *w)
{
	struct flint_file *f = w->file;
	uint64_t end = work_off(w) + w->len;

	if (size_doubtful(w) || !fs_write_keep(f->fs, &w->attr, end)) {
		io_extend(w);
		return;
	}
	pthread_mutex_lock(&f->lock);
	if (le64_to_cpu(f->attr.size) < end)
		f->attr.size = cpu_to_le64(end);
	pthread_mutex_unlock(&f->lock);
	io_end(w);
}

static void io_joined(struct io_work *w)
{
	struct flint_attr attr;

	if (w->err) {
		io_end(w);
	} else if (w->stale) {
		io_refresh(w);
	} else if (w->kind == IO_READ || !w->len) {
		io_end(w);
	} else {
		flint_file_attr(w->file, &attr);
		if (w->kind == IO_WRITE && (work_off(w) + w->len > le64_to_cpu(attr.size) ||
					    size_doubtful(w))) {
			io_grown(w);
			return;
		}
		pthread_mutex_lock(&w->file->lock);
		w->file->times_dirty = true;
		pthread_mutex_unlock(&w->file->lock);
		io_end(w);
	}
}

static void refresh_done(struct fs_op *op, int err)
{
	struct io_work *w = op->priv;
	struct flint_attr attr;

	fs_learn_grants(op->fs, op, err);
	err = fs_op_result(op, err);
	if (!err && flint_body_get(&attr, sizeof(attr), sizeof(attr), op->rpc.rep_body,
				   op->rpc.rep_len))
		err = -EPROTO;
	if (!err && attr.gen != w->attr.gen)
		err = -ESTALE;
	if (err) {
		w->err = err;
		io_end(w);
		return;
	}
	attr_take(w, &attr);
	w->attr = attr;
	/* Fresh: a read ends where the file ended just now. */
	if (w->kind == IO_READ) {
		uint64_t size = le64_to_cpu(attr.size), off = work_off(w);

		w->len = off >= size ? 0 : size - off < w->req->len ? size - off : w->req->len;
	}
	w->next = 0;
	io_pieces(w);
}

static void refresh_send(struct io_work *w)
{
	w->stale = false;
	w->nr_refused = w->file->fs->nr_refused;
	w->getattr = (struct flint_ino_req){ .ino = w->attr.ino, .gen = w->attr.gen };
	w->op = (struct fs_op){
		.fs = w->file->fs, .deadline_ns = w->deadline_ns,
		.route = fs_route_meta, .done = refresh_done, .priv = w,
		.rpc = { .op = FLINT_OP_GETATTR, .body = &w->getattr,
			 .body_len = sizeof(w->getattr) },
	};
	fs_op_start(&w->op);
}

static void on_pause_over(struct flint_timer *t)
{
	refresh_send(t->arg);
}

/*
 * Ask for attributes, then start (again). A truncation that is not finished yet
 * can refuse us several times: pause in between.
 */
static void io_refresh(struct io_work *w)
{
	if (flint_now_ns() >= w->deadline_ns) {
		w->err = -ETIMEDOUT;
		io_end(w);
	} else if (w->restarts++ < 2) {
		refresh_send(w);
	} else {
		w->pause = (struct flint_timer){ .fn = on_pause_over, .arg = w };
		flint_timer_set(w->file->fs->loop, &w->pause,
				w->restarts < 10 ? 10 * w->restarts : 200);
	}
}

static void io_begin(struct io_work *w)
{
	flint_file_attr(w->file, &w->attr);
	w->len = w->req->len;
	if (size_doubtful(w) ||
	    (w->kind == IO_READ && work_off(w) + w->len > le64_to_cpu(w->attr.size)))
		io_refresh(w);	/* others may have made it longer */
	else
		io_pieces(w);
}

/* An index has 32 bits: so far, and not further, a file's bytes can be named. */
static uint64_t file_limit(const struct flint_attr *attr)
{
	uint64_t limit = (uint64_t)1 << (32 + attr->layout.chunk_shift);

	return limit < INT64_MAX ? limit : INT64_MAX;
}

static void io_start(struct flint_io_req *req, enum io_kind kind)
{
	struct io_work *w;
	struct flint_attr attr;

	flint_file_attr(req->file, &attr);
	w = NULL;
	req->result = -ENOMEM;
	if (kind != IO_READ && (req->len > file_limit(&attr) ||
				req->off > file_limit(&attr) - req->len))
		req->result = -EFBIG;
	else if (kind == IO_READ && req->off + req->len < req->off)
		req->result = -EINVAL;
	else
		w = calloc(1, sizeof(*w));
	if (!w) {
		req->done(req);
		return;
	}
	w->req = req;
	w->file = req->file;
	w->kind = kind;
	w->deadline_ns = flint_now_ns() + req->file->fs->timeout_ms * 1000000ull;
	io_begin(w);
}

static void submit_task(struct flint_task *t)
{
	struct flint_io_req *req = (struct flint_io_req *)
		((char *)t - offsetof(struct flint_io_req, task));

	io_start(req, req->write ? IO_WRITE : IO_READ);
}

void flint_file_submit(struct flint_io_req *req)
{
	req->task = (struct flint_task){ .fn = submit_task };
	flint_loop_post(req->file->fs->loop, &req->task);
}

/* ---- synchronous -------------------------------------------------------- */

struct sync_io {
	struct flint_io_req req;
	struct fs_latch latch;
};

static void sync_io_done(struct flint_io_req *req)
{
	struct sync_io *s = req->priv;

	fs_latch_open(&s->latch);
}

static void punch_task(struct flint_task *t)
{
	io_start((struct flint_io_req *)((char *)t - offsetof(struct flint_io_req, task)),
		 IO_PUNCH);
}

static ssize_t io_sync(struct flint_file *f, enum io_kind kind, void *buf, size_t len,
		       uint64_t off)
{
	struct sync_io s = { .req = {
		.file = f, .write = kind == IO_WRITE, .buf = buf, .len = len, .off = off,
		.done = sync_io_done, .priv = &s } };

	fs_latch_init(&s.latch);
	s.req.task.fn = kind == IO_PUNCH ? punch_task : submit_task;
	flint_loop_post(f->fs->loop, &s.req.task);
	fs_latch_wait(&s.latch);
	return s.req.result;
}

ssize_t flint_file_pread(struct flint_file *f, void *buf, size_t len, uint64_t off)
{
	return io_sync(f, IO_READ, buf, len, off);
}

ssize_t flint_file_pwrite(struct flint_file *f, const void *buf, size_t len, uint64_t off)
{
	return io_sync(f, IO_WRITE, (void *)buf, len, off);
}

int flint_file_punch(struct flint_file *f, uint64_t off, uint64_t len)
{
	struct flint_attr attr;
	uint64_t size;
	ssize_t rc;

	rc = flint_fs_getattr(f->fs, le64_to_cpu(f->attr.ino), &attr);
	if (rc)
		return rc;
	file_attr_set(f, &attr);
	size = le64_to_cpu(attr.size);
	if (off >= size)
		return 0;
	if (len > size - off)
		len = size - off;
	rc = io_sync(f, IO_PUNCH, NULL, len, off);
	return rc < 0 ? rc : 0;
}

static int append_send(struct flint_file *f, size_t len, struct flint_append_rep *rep)
{
	struct flint_extend req = { .len = cpu_to_le64(len) };
	struct fs_call call = {
		.op = FLINT_OP_APPEND, .mutating = true, .body = &req, .body_len = sizeof(req),
		.touches = le64_to_cpu(f->attr.ino),
		.rep = rep, .rep_size = sizeof(*rep), .rep_min = sizeof(*rep),
	};
	struct flint_attr attr;
	int rc, tries;

	flint_file_attr(f, &attr);
	for (tries = 0; tries < 10; tries++) {
		req.ino = attr.ino;
		req.gen = attr.gen;
		req.trunc_epoch = attr.trunc_epoch;
		rc = fs_call(f->fs, &call);
		if (!rc || call.status != FLINT_ST_STALE_EPOCH)
			break;
		rc = flint_fs_getattr(f->fs, le64_to_cpu(attr.ino), &attr);
		if (rc)
			break;
	}
	return rc;
}

ssize_t flint_file_append(struct flint_file *f, const void *buf, size_t len, uint64_t *off)
{
	struct flint_append_rep rep;
	struct fs_append append;
	int rc;

	rc = fs_write_append_begin(f, &append);
	if (!rc)
		rc = append_send(f, len, &rep);
	fs_write_append_end(f, &append);
	if (rc)
		return rc;
	file_attr_set(f, &rep.attr);
	if (off)
		*off = le64_to_cpu(rep.offset);
	return flint_file_pwrite(f, buf, len, le64_to_cpu(rep.offset));
}
