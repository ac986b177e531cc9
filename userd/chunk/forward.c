// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes on their way along the chain.
 *
 * A change that is durable here (op->durable) is sent to the target behind us
 * out of the buffer that it came in, and again, until that target says that it
 * and all behind it have it, or the chain has nobody behind us any more. There is
 * no deadline but the chain's change: a change that is in our log is never taken
 * back. A target that does not have what the change was made upon asks for the
 * whole chunk, which goes in pieces while the change still owns the chunk. If a
 * disk has spoilt it here meanwhile, it is repaired first, under the change; if
 * nobody has what is missing, this target gives up, and the chain goes on
 * without it.
 *
 * No deadlock: a change that waits holds a buffer and one of the requests that a
 * connection may have under way, and what it waits for needs the same things at
 * the next server. Both are therefore dealt out by position in the chain: what
 * is needed at position k is never taken by those that wait for it, and the last
 * position waits for nobody.
 *
 * Threads: struct flint_fwd and struct chunkd_whole are of the target's worker.
 * struct chunkd_send goes to the main loop, where the connections are, and comes
 * back; its owner may have left it meanwhile (owner is NULL), it then only keeps
 * the buffer from which a request may still be sent.
 */
#include <stdlib.h>
#include "repair.h"
#include "../base/crc.h"
#include "../base/log.h"

#define PAUSE_MIN_MS	2u
#define PAUSE_MAX_MS	200u
#define TRIES_WARN	11	/* after about a second */
#define SEND_TIMEOUT_MS	20000u
#define SPOILT_MAX	5u	/* answers that the payload is damaged, before it is read anew */
#define MENDS_MAX	5u	/* repairs of one chunk, of up to 10 s each, for one change */

/* Requests to one node, by position of the receiver in its chain. Main loop. */
struct chunkd_link {
	u32 node;
	u32 open[FLINT_CHAIN_MAX];
	struct chunkd_send *queue[FLINT_CHAIN_MAX];
	struct chunkd_send **tail[FLINT_CHAIN_MAX];
	struct chunkd_link *next;
};

/**
 * struct chunkd_send - one request to the target behind us
 * @fn: on the worker, with the answer in err, status and rep; not called when
 *	the owner has left
 */
struct chunkd_send {
	struct flint_task task;
	struct flint_chunkd *d;
	struct chunkd_target *t;
	struct chunkd_worker *worker;
	struct flint_rpc rpc;
	struct flint_buf *buf;		/* a reference while it may be sent from */
	u32 node, target, chain_ver;
	u8 level;
	union {
		struct flint_forward fwd;
		struct flint_forward_clone clone;
		struct flint_cut cut;
	} body;
	void *owner;
	void (*fn)(struct chunkd_send *s);

	int err;
	u32 status;
	struct flint_forward_rep rep;
	u64 freed;
	bool no_room;			/* an older version, which does not tell in a CUT's answer */
	struct chunkd_send *next;
	struct chunkd_send *all;
};

/* ---- sends -------------------------------------------------------------- */

static struct chunkd_send *send_get(struct chunkd_target *t)
{
	struct flint_chunkd *d = t->worker->d;
	const struct flint_place *p = &t->at;
	struct chunkd_send *s, *all;

	pthread_mutex_lock(&d->free_lock);
	s = d->free_sends;
	if (s)
		d->free_sends = s->next;
	pthread_mutex_unlock(&d->free_lock);
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return NULL;
		pthread_mutex_lock(&d->free_lock);
		s->all = d->all_sends;
		d->all_sends = s;
		pthread_mutex_unlock(&d->free_lock);
	}
	all = s->all;
	memset(s, 0, sizeof(*s));
	s->all = all;
	s->d = d;
	s->t = t;
	s->worker = t->worker;
	s->node = p->succ_node;
	s->target = p->succ;
	s->chain_ver = p->chain_ver;
	s->level = p->pos + 1 < FLINT_CHAIN_MAX ? p->pos + 1 : FLINT_CHAIN_MAX - 1;
	return s;
}

static void send_put(struct chunkd_send *s)
{
	struct flint_chunkd *d = s->d;

	if (s->buf)
		flint_buf_put(s->buf);
	s->buf = NULL;
	pthread_mutex_lock(&d->free_lock);
	s->next = d->free_sends;
	d->free_sends = s;
	pthread_mutex_unlock(&d->free_lock);
}

void flint_sends_free(struct flint_chunkd *d)
{
	while (d->all_sends) {
		struct chunkd_send *s = d->all_sends;

		d->all_sends = s->all;
		free(s);
	}
	while (d->links) {
		struct chunkd_link *l = d->links;

		d->links = l->next;
		free(l);
	}
}

/*
 * From now on forwards wait, or none does: heartbeats tell of those that wait for
 * long (service.c). On the worker.
 */
static void fwd_waits(struct chunkd_target *t)
{
	atomic_store_explicit(&t->fwd_ns, t->fwds ? flint_now_ns() : 0, memory_order_relaxed);
}

/* On the worker. */
static void send_answered(struct flint_task *task)
{
	struct chunkd_send *s = (void *)((u8 *)task - offsetof(struct chunkd_send, task));

	/* Whatever it says: it hears, and is heard; but what it never gets right is not. */
	if (!s->err && s->status != FLINT_ST_CHECKSUM)
		fwd_waits(s->t);
	if (s->owner)
		s->fn(s);
	send_put(s);
}

static void send_back(struct chunkd_send *s)
{
	if (s->d->stopping) {	/* no worker runs any more */
		send_put(s);
		return;
	}
	s->task.fn = send_answered;
	flint_loop_post(s->worker->loop, &s->task);
}

static void link_next(struct flint_chunkd *d, struct chunkd_link *l, u8 level);

static void send_done(struct flint_rpc *rpc)
{
	struct chunkd_send *s = rpc->priv;
	struct flint_chunkd *d = s->d;
	struct chunkd_link *l;
	u8 level = s->level;
	u32 node = s->node;

	s->err = rpc->err;
	s->status = rpc->status;
	if (!s->err && rpc->op == FLINT_OP_FORWARD_CUT) {
		struct flint_cut_rep rep;

		if (s->status == FLINT_OK && !flint_body_get(&rep, sizeof(rep), FLINT_CUT_REP_MIN,
							     rpc->rep_body, rpc->rep_len)) {
			s->freed = le64_to_cpu(rep.freed);
			s->rep.room = rep.room;
			s->no_room = rpc->rep_len < sizeof(rep);
		}
	} else if (!s->err && flint_body_get(&s->rep, sizeof(s->rep), sizeof(s->rep),
					     rpc->rep_body, rpc->rep_len)) {
		memset(&s->rep, 0, sizeof(s->rep));
		if (s->status == FLINT_OK)
			s->err = -EPROTO;
	}
	send_back(s);
	for (l = d->links; l->node != node; l = l->next)
		;
	l->open[level]--;
	link_next(d, l, level);
}

static void send_now(struct flint_chunkd *d, struct chunkd_link *l, struct chunkd_send *s)
{
	int err;

	s->rpc.done = send_done;
	s->rpc.priv = s;
	s->rpc.timeout_ms = SEND_TIMEOUT_MS;
	s->rpc.eager = true;
	l->open[s->level]++;
	err = flint_cluster_call(d->cluster, s->node, &s->rpc);
	if (!err)
		return;
	l->open[s->level]--;
	s->err = err;
	send_back(s);
}

static void link_next(struct flint_chunkd *d, struct chunkd_link *l, u8 level)
{
	struct chunkd_send *s;

	while (!d->stopping && (s = l->queue[level]) && l->open[level] < FLINT_CHAIN_CREDITS) {
		l->queue[level] = s->next;
		if (!s->next)
			l->tail[level] = &l->queue[level];
		send_now(d, l, s);
	}
}

static struct chunkd_link *link_get(struct flint_chunkd *d, u32 node)
{
	struct chunkd_link *l;
	u8 i;

	for (l = d->links; l && l->node != node; l = l->next)
		;
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->node = node;
	for (i = 0; i < FLINT_CHAIN_MAX; i++)
		l->tail[i] = &l->queue[i];
	l->next = d->links;
	d->links = l;
	return l;
}

static void send_task(struct flint_task *task)
{
	struct chunkd_send *s = (void *)((u8 *)task - offsetof(struct chunkd_send, task));
	struct chunkd_link *l = link_get(s->d, s->node);

	if (!l) {
		s->err = -ENOMEM;
		send_back(s);
		return;
	}
	s->next = NULL;
	*l->tail[s->level] = s;
	l->tail[s->level] = &s->next;
	link_next(s->d, l, s->level);
}

static void send_start(struct chunkd_send *s, u16 op, u32 body_len, u64 trace)
{
	s->rpc.op = op;
	s->rpc.body = &s->body;
	s->rpc.body_len = body_len;
	s->rpc.trace = trace;
	s->task.fn = send_task;
	flint_loop_post(s->d->workers[0].loop, &s->task);
}

static void send_leave(struct chunkd_send *s)
{
	if (s)
		s->owner = NULL;
}

/* Is the target behind us the one that was asked, in the same version of the chain? */
static bool send_current(const struct chunkd_send *s, const struct chunkd_target *t)
{
	return t->at.succ == s->target && t->at.chain_ver == s->chain_ver;
}

/* What is behind us, in the chain as it is now, has told how much more it can take. */
static void room_heard(struct chunkd_target *t, const struct chunkd_send *s)
{
	if (!s->no_room)
		t->st->room_behind = le64_to_cpu(s->rep.room);
	t->st->room_unknown = s->no_room;
}

/* What both kinds of forwarded changes say. */
static void forward_fill(struct flint_forward *b, const struct chunkd_target *t,
			 const struct flint_sop *op)
{
	const struct flint_place *p = &t->at;

	*b = (struct flint_forward){
		.io = {
			.chain = cpu_to_le32(p->chain), .chain_ver = cpu_to_le32(p->chain_ver),
			.target = cpu_to_le32(p->succ), .fs = cpu_to_le32(op->fs),
			.ino = cpu_to_le64(op->ino), .gen = cpu_to_le32(op->gen),
			.trunc_epoch = cpu_to_le32(op->epoch), .index = cpu_to_le32(op->index),
			.chunk_shift = op->shift,
		},
		.session = cpu_to_le64(op->session), .seq = cpu_to_le64(op->seq),
		.seq_low = cpu_to_le64(op->seq_low),
		.version = cpu_to_le64(op->version), .tag = cpu_to_le64(op->tag),
		.prev_version = cpu_to_le64(op->prev_version),
		.prev_tag = cpu_to_le64(op->prev_tag),
		.from = cpu_to_le32(t->st->id), .print = cpu_to_le32(op->print),
	};
	memcpy(b->client, op->client, sizeof(b->client));
}

/* ---- whole chunks ------------------------------------------------------- */

/**
 * struct chunkd_whole - a chunk that goes in pieces, owned by a held operation
 * @who: that operation; the chunk's identity and, in the end, version
 * @read: of the next piece
 */
struct chunkd_whole {
	struct chunkd_target *t;
	const struct flint_sop *who;
	struct flint_sop read;
	struct flint_buf *buf;
	struct chunkd_send *send;
	struct flint_timer pause;
	bool reading;
	bool left;			/* nobody waits any more */
	u8 flags;
	u32 chain_ver, succ;
	u64 version, tag;
	u32 size, at;
	u64 trace, bytes;
	void (*done)(struct chunkd_whole *w, u32 status);
	void *owner;
	struct chunkd_whole *next, **pprev;
};

static void whole_step(struct chunkd_whole *w);

static void whole_end(struct chunkd_whole *w, u32 status)
{
	*w->pprev = w->next;
	if (w->next)
		w->next->pprev = w->pprev;
	flint_timer_cancel(w->t->worker->loop, &w->pause);
	send_leave(w->send);
	if (w->buf)
		flint_buf_put(w->buf);
	if (!w->left)
		w->done(w, status);
	free(w);
}

static bool whole_current(const struct chunkd_whole *w)
{
	return w->t->at.succ == w->succ && w->t->at.chain_ver == w->chain_ver;
}

static void whole_paused(struct flint_timer *timer)
{
	whole_step(timer->arg);
}

static void whole_pause(struct chunkd_whole *w, u32 ms)
{
	w->pause.fn = whole_paused;
	w->pause.arg = w;
	flint_timer_set(w->t->worker->loop, &w->pause, ms);
}

static void whole_answered(struct chunkd_send *s)
{
	struct chunkd_whole *w = s->owner;

	w->send = NULL;
	if (!whole_current(w)) {
		whole_end(w, FLINT_ST_STALE_MAP);
	} else if (s->err) {
		w->at = 0;
		whole_pause(w, 20);
	} else if (s->status == FLINT_OK) {
		w->bytes += s->rpc.out_len;
		w->at += s->rpc.out_len;
		if (s->body.fwd.kind == FLINT_FWD_DROP || (s->body.fwd.flags & FLINT_FWD_LAST)) {
			room_heard(w->t, s);
			whole_end(w, FLINT_OK);
		} else {
			whole_step(w);
		}
	} else if (s->status == FLINT_ST_CONFLICT) {
		whole_end(w, s->status);
	} else {
		if (s->status != FLINT_ST_RETRY && s->status != FLINT_ST_CHECKSUM)
			w->at = 0;
		whole_pause(w, s->status == FLINT_ST_RETRY ? 5 : 50);
	}
}

/* Send @len bytes, whose CRC is @crc, of the piece that begins at w->at. */
static void whole_send(struct chunkd_whole *w, u32 len, u32 crc)
{
	struct chunkd_send *s = send_get(w->t);
	struct flint_forward *b;

	if (!s) {
		whole_pause(w, 50);
		return;
	}
	b = &s->body.fwd;
	forward_fill(b, w->t, w->who);
	b->version = cpu_to_le64(w->version);
	b->tag = cpu_to_le64(w->tag);
	b->kind = w->version ? FLINT_FWD_WHOLE : FLINT_FWD_DROP;
	b->flags = w->flags;
	b->size = cpu_to_le32(w->size);
	if (w->flags & FLINT_FWD_SYNC) {
		memset(b->client, 0, sizeof(b->client));
		b->session = 0;
		b->seq = 0;
		b->seq_low = 0;
		b->print = 0;
	}
	if (w->version) {
		b->io.offset = cpu_to_le32(w->at);
		b->io.length = cpu_to_le32(len);
		if (!w->at)
			b->flags |= FLINT_FWD_FIRST;
		if (w->at + len == w->size)
			b->flags |= FLINT_FWD_LAST;
	}
	if (len) {
		b->io.flags = cpu_to_le32(FLINT_IO_CRC);
		b->io.crc = cpu_to_le32(crc);
		flint_buf_ref(w->buf);
		s->buf = w->buf;
		s->rpc.out = w->buf->data;
		s->rpc.out_len = len;
	}
	s->owner = w;
	s->fn = whole_answered;
	w->send = s;
	send_start(s, FLINT_OP_FORWARD, sizeof(*b), w->trace);
}

static void whole_read(struct flint_sop *op)
{
	struct chunkd_whole *w = op->arg;
	u32 want = op->length, got = le32_to_cpu(op->rep.io.length);

	w->reading = false;
	if (w->left || !whole_current(w)) {
		whole_end(w, FLINT_ST_STALE_MAP);
	} else if (op->status != FLINT_OK) {
		whole_end(w, op->status);
	} else {
		memset(w->buf->data + got, 0, want - got);
		whole_send(w, want, got == want ? flint_store_crc_join(op->st, op->rep.crc, got) :
						  flint_crc32c(0, w->buf->data, want));
	}
}

/* Recovery leaves half of the buffers to clients. */
static u32 whole_keep(const struct chunkd_whole *w)
{
	u32 keep = FLINT_CHAIN_KEEP(w->t->at.pos);
	u32 half = flint_pool_count(w->t->worker->d->pool) / 2;

	return w->flags & FLINT_FWD_SYNC && half > keep ? half : keep;
}

static void whole_step(struct chunkd_whole *w)
{
	struct flint_sop *r = &w->read;
	u32 len = w->size - w->at;

	if (!whole_current(w)) {
		whole_end(w, FLINT_ST_STALE_MAP);
		return;
	}
	if (!w->version || !w->size) {
		whole_send(w, 0, 0);
		return;
	}
	if (w->buf && __atomic_load_n(&w->buf->refs, __ATOMIC_ACQUIRE) > 1) {
		flint_buf_put(w->buf);	/* a request that was given up may still read it */
		w->buf = NULL;
	}
	if (!w->buf)
		w->buf = flint_buf_get_above(w->t->worker->d->pool, whole_keep(w));
	if (!w->buf) {
		whole_pause(w, 5);
		return;
	}
	r->kind = FLINT_SOP_READ;
	r->shift = w->who->shift;
	r->fs = w->who->fs;
	r->ino = w->who->ino;
	r->gen = w->who->gen;
	r->epoch = w->who->epoch;
	r->index = w->who->index;
	r->offset = w->at;
	r->length = len < FLINT_STORE_MAX_IO ? len : FLINT_STORE_MAX_IO;
	r->as_is = true;
	r->data = w->buf->data;
	r->room = w->buf->size;
	r->done = whole_read;
	r->arg = w;
	w->reading = true;
	flint_store_submit(w->t->st, r);
}

/* Return: false when memory is short. */
static bool whole_start(struct chunkd_target *t, const struct flint_sop *who, u8 flags, u64 trace,
			void (*done)(struct chunkd_whole *w, u32 status), void *owner,
			struct chunkd_whole **out)
{
	struct chunkd_whole *w = calloc(1, sizeof(*w));

	if (!w)
		return false;
	w->t = t;
	w->who = who;
	w->flags = flags;
	w->chain_ver = t->at.chain_ver;
	w->succ = t->at.succ;
	w->version = who->have_version;
	w->tag = who->have_tag;
	w->size = who->have_size;
	w->trace = trace;
	w->done = done;
	w->owner = owner;
	w->next = t->wholes;
	w->pprev = &t->wholes;
	if (w->next)
		w->next->pprev = &w->next;
	t->wholes = w;
	*out = w;
	whole_step(w);
	return true;
}

/* A read that is under way ends it later; the owner is told now. */
static void whole_abort(struct chunkd_whole *w)
{
	if (!w->reading) {
		whole_end(w, FLINT_ST_STALE_MAP);
		return;
	}
	if (w->left)
		return;
	w->left = true;
	w->done(w, FLINT_ST_STALE_MAP);
}

/* ---- recovery's whole chunks -------------------------------------------- */

struct whole_req {
	struct flint_whole *pub;
	struct flint_sop hold;
	struct chunkd_whole *run;
};

static void hold_done(struct flint_sop *op)
{
	struct whole_req *q = op->arg;
	struct flint_whole *pub = q->pub;

	pub->status = op->status;
	free(q);
	pub->done(pub);
}

static void hold_sent(struct chunkd_whole *w, u32 status)
{
	struct whole_req *q = w->owner;

	q->pub->bytes = w->bytes;
	flint_sop_release(&q->hold, status);
}

static void hold_ready(struct flint_sop *op)
{
	struct whole_req *q = op->arg;
	struct chunkd_target *t = q->pub->target;

	op->shift = op->chunk->shift ? op->chunk->shift : FLINT_CHUNK_SHIFT_DEF;
	if (!t->at.succ)
		flint_sop_release(op, FLINT_ST_STALE_MAP);
	else if (!whole_start(t, op, FLINT_FWD_SYNC, 0, hold_sent, q, &q->run))
		flint_sop_release(op, FLINT_ST_RETRY);
}

void flint_chain_send_whole(struct flint_whole *pub)
{
	struct whole_req *q = calloc(1, sizeof(*q));

	pub->status = FLINT_OK;
	pub->bytes = 0;
	if (!q) {
		pub->status = FLINT_ST_RETRY;
		pub->done(pub);
		return;
	}
	q->pub = pub;
	q->hold.kind = FLINT_SOP_HOLD;
	q->hold.fs = pub->fs;
	q->hold.ino = pub->ino;
	q->hold.index = pub->index;
	q->hold.durable = hold_ready;
	q->hold.done = hold_done;
	q->hold.arg = q;
	flint_store_submit(pub->target->st, &q->hold);
}

/* ---- held changes ------------------------------------------------------- */

/**
 * struct chunkd_mend - the repair of a chunk that is to be sent as a whole
 * @f: the change that waits for it; NULL: it has gone on without
 */
struct chunkd_mend {
	struct repair_wait wait;
	struct flint_fwd *f;
};

static void fwd_go(struct flint_fwd *f);

static void mend_leave(struct flint_fwd *f)
{
	if (f->mend)
		f->mend->f = NULL;
	f->mend = NULL;
}

static void fwd_end(struct flint_fwd *f, u32 status)
{
	*f->pprev = f->next;
	if (f->next)
		f->next->pprev = f->pprev;
	flint_timer_cancel(f->t->worker->loop, &f->pause);
	send_leave(f->send);
	f->send = NULL;
	mend_leave(f);
	if (!f->t->fwds)
		fwd_waits(f->t);
	f->done(f, status);
}

static void fwd_paused(struct flint_timer *timer)
{
	fwd_go(timer->arg);
}

static void fwd_pause(struct flint_fwd *f)
{
	u32 ms = f->tries < 7 ? PAUSE_MIN_MS << f->tries : PAUSE_MAX_MS;

	f->tries++;
	f->pause.fn = fwd_paused;
	f->pause.arg = f;
	flint_timer_set(f->t->worker->loop, &f->pause, ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS);
}

/* It has what it needs from nobody: without us, the chain can go on. */
static void mend_failed(struct flint_fwd *f)
{
	char why[160];

	snprintf(why, sizeof(why), "chunk %u of inode %llu is damaged here where no other replica has it, and target %u behind needs all of it",
		 f->op->index, (unsigned long long)f->op->ino, f->t->at.succ);
	flint_chain_offline(f->t, why);
}

static void fwd_mended(struct repair_wait *w)
{
	struct chunkd_mend *m = (struct chunkd_mend *)w;
	struct flint_fwd *f = m->f;

	if (f) {
		f->mend = NULL;
		if (w->status == FLINT_OK)
			fwd_go(f);
		else if (w->status == FLINT_ST_RETRY)
			fwd_pause(f);
		else
			mend_failed(f);
	}
	free(m);
}

/* Our own copy is damaged, and only we can send it: repair it under the change that owns it. */
static void fwd_mend(struct flint_fwd *f)
{
	struct chunkd_mend *m = f->mends < MENDS_MAX ? calloc(1, sizeof(*m)) : NULL;

	if (f->mends++ >= MENDS_MAX) {
		mend_failed(f);
	} else if (!m) {
		fwd_pause(f);
	} else {
		m->f = f;
		m->wait.done = fwd_mended;
		m->wait.held = true;
		f->mend = m;
		repair_chunk(f->t->heal, f->op->fs, f->op->ino, f->op->index, &m->wait);
	}
}

static void fwd_whole_done(struct chunkd_whole *w, u32 status)
{
	struct flint_fwd *f = w->owner;

	f->whole = NULL;
	if (status == FLINT_OK && whole_current(w))
		fwd_end(f, FLINT_OK);
	else if (status == FLINT_ST_STALE_MAP)
		fwd_go(f);
	else if ((status == FLINT_ST_CHECKSUM || status == EIO) && !f->t->st->offline)
		fwd_mend(f);
	else
		fwd_pause(f);
}

/*
 * Again and again the payload does not arrive as it was: it may be our buffer that is
 * damaged, while what is on the disk is checked when it is read. A chunk of more than one
 * piece would be taken apart there for that.
 */
static bool spoilt(struct flint_fwd *f, const struct chunkd_send *s)
{
	return s->status == FLINT_ST_CHECKSUM && ++f->spoilt >= SPOILT_MAX &&
	       f->op->have_size <= FLINT_STORE_MAX_IO;
}

/*
 * Must the chunk go as a whole? What the change was made upon is not there; of a
 * clone, its source is not, or the receiver does not know how to.
 */
static bool wants_whole(struct flint_fwd *f, const struct chunkd_send *s)
{
	if (s->err || f->op->kind == FLINT_SOP_CUT)
		return false;
	if (spoilt(f, s))
		return true;
	return s->status == FLINT_ST_NEED_WHOLE ||
	       (f->op->kind == FLINT_SOP_CLONE && s->status == FLINT_ST_BAD_REQUEST);
}

static void fwd_refused(struct flint_fwd *f, const struct chunkd_send *s)
{
	if (f->tries == TRIES_WARN)
		flint_warn_rl("%s: target %u on node %u does not take a change of chunk %u of inode %llu: %s %d; trying on until the chain changes",
			      f->t->st->name, s->target, s->node, f->op->index,
			      (unsigned long long)f->op->ino, s->err ? "error" : "status",
			      s->err ? -s->err : (int)s->status);
	fwd_pause(f);
}

static void fwd_answered(struct chunkd_send *s)
{
	struct flint_fwd *f = s->owner;

	f->send = NULL;
	if (!s->err && s->status == FLINT_OK && f->t->at.succ == s->target) {
		f->freed = s->freed;
		if (!s->no_room)
			f->room = le64_to_cpu(s->rep.room);
		if (send_current(s, f->t))
			room_heard(f->t, s);
		fwd_end(f, FLINT_OK);
	} else if (!send_current(s, f->t)) {
		fwd_go(f);
	} else if (wants_whole(f, s)) {
		if (!whole_start(f->t, f->op, 0, f->trace, fwd_whole_done, f, &f->whole))
			fwd_pause(f);
	} else {
		fwd_refused(f, s);
	}
}

static void fill_change(struct flint_fwd *f, struct chunkd_send *s)
{
	struct flint_sop *op = f->op;
	struct flint_forward *b = &s->body.fwd;

	forward_fill(b, f->t, op);
	b->kind = op->kind == FLINT_SOP_PUNCH ? FLINT_FWD_PUNCH : FLINT_FWD_WRITE;
	b->size = cpu_to_le32(op->have_size);
	b->io.offset = cpu_to_le32(op->offset);
	b->io.length = cpu_to_le32(op->length);
	if (op->kind != FLINT_SOP_WRITE)
		return;
	if (!f->has_crc)
		op->crc = flint_sop_payload_crc(op);
	f->has_crc = true;
	b->io.flags = cpu_to_le32(FLINT_IO_CRC);
	b->io.crc = cpu_to_le32(op->crc);
	flint_buf_ref(f->buf);
	s->buf = f->buf;
	s->rpc.out = op->data;
	s->rpc.out_len = op->length;
}

/* By name: the source is behind us too, and both share its blocks there. Return: bytes. */
static u32 fill_clone(struct flint_fwd *f, struct chunkd_send *s)
{
	struct flint_sop *op = f->op;
	struct flint_forward_clone *b = &s->body.clone;

	memset(b, 0, sizeof(*b));
	forward_fill(&b->fwd, f->t, op);
	b->fwd.kind = FLINT_FWD_CLONE;
	b->fwd.size = cpu_to_le32(op->have_size);
	b->src_ino = cpu_to_le64(op->src_ino);
	b->src_gen = cpu_to_le32(op->src_gen);
	b->src_epoch = cpu_to_le32(op->src_epoch);
	b->src_index = cpu_to_le32(op->src_index);
	b->src_version = cpu_to_le64(op->src_version);
	b->src_tag = cpu_to_le64(op->src_tag);
	return sizeof(*b);
}

static void fill_cut(struct flint_fwd *f, struct chunkd_send *s)
{
	const struct flint_place *p = &f->t->at;
	const struct flint_sop *op = f->op;

	s->body.cut = (struct flint_cut){
		.chain = cpu_to_le32(p->chain), .chain_ver = cpu_to_le32(p->chain_ver),
		.target = cpu_to_le32(p->succ), .fs = cpu_to_le32(op->fs),
		.ino = cpu_to_le64(op->ino), .gen = cpu_to_le32(op->gen),
		.trunc_epoch = cpu_to_le32(op->epoch), .size = cpu_to_le64(op->cut_size),
		.chunk_shift = op->shift, .flags = cpu_to_le32(op->cut_flags),
	};
}

static void fwd_go(struct flint_fwd *f)
{
	const struct flint_place *p = &f->t->at;
	bool cut = f->op->kind == FLINT_SOP_CUT;
	u32 len = cut ? sizeof(struct flint_cut) : sizeof(struct flint_forward);
	struct chunkd_send *s;

	flint_timer_cancel(f->t->worker->loop, &f->pause);
	mend_leave(f);
	if (p->role == FLINT_CHAIN_NONE) {
		fwd_end(f, FLINT_ST_STALE_MAP);
		return;
	}
	if (!p->succ) {
		f->room = ~0ull;
		fwd_end(f, FLINT_OK);
		return;
	}
	if (f->op->kind == FLINT_SOP_REPLACE || f->op->kind == FLINT_SOP_DROP) {
		/*
		 * What is behind us gets it the same way: as recovery's, or with the client's
		 * request that is in it, whose result all must know.
		 */
		if (!whole_start(f->t, f->op, f->op->seq ? 0 : FLINT_FWD_SYNC, f->trace,
				 fwd_whole_done, f, &f->whole))
			fwd_pause(f);
		return;
	}
	s = send_get(f->t);
	if (!s) {
		fwd_pause(f);
		return;
	}
	if (cut)
		fill_cut(f, s);
	else if (f->op->kind == FLINT_SOP_CLONE)
		len = fill_clone(f, s);
	else
		fill_change(f, s);
	s->owner = f;
	s->fn = fwd_answered;
	f->send = s;
	send_start(s, cut ? FLINT_OP_FORWARD_CUT : FLINT_OP_FORWARD, len, f->trace);
}

void flint_fwd_begin(struct flint_fwd *f)
{
	struct chunkd_target *t = f->t;

	f->send = NULL;
	f->whole = NULL;
	f->mend = NULL;
	f->tries = 0;
	f->mends = 0;
	f->spoilt = 0;
	f->has_crc = false;
	f->room = ~0ull;
	f->freed = 0;
	f->next = t->fwds;
	f->pprev = &t->fwds;
	if (f->next)
		f->next->pprev = &f->next;
	t->fwds = f;
	if (!f->next)
		fwd_waits(t);
	fwd_go(f);
}

void flint_fwd_moved(struct chunkd_target *t)
{
	struct chunkd_whole *w, *wn;
	struct flint_fwd *all = t->fwds, *f;

	for (w = t->wholes; w; w = wn) {
		wn = w->next;
		if (!whole_current(w) && !w->left) {
			whole_abort(w);
			wn = t->wholes;		/* its end may have ended others */
		}
	}
	all = t->fwds;
	t->fwds = NULL;
	if (all)
		all->pprev = &all;
	while ((f = all)) {
		all = f->next;
		if (all)
			all->pprev = &all;
		f->next = t->fwds;
		f->pprev = &t->fwds;
		if (f->next)
			f->next->pprev = &f->next;
		t->fwds = f;
		if (f->whole || (f->send && f->send->target == t->at.succ))
			continue;	/* its answer comes */
		send_leave(f->send);
		f->send = NULL;
		f->tries = 0;
		f->mends = 0;
		fwd_go(f);
	}
	fwd_waits(t);
}

void flint_fwd_stop(struct chunkd_target *t)
{
	t->at.role = FLINT_CHAIN_NONE;
	t->at.succ = 0;
	atomic_store(&t->place, 0);
	flint_fwd_moved(t);
}
