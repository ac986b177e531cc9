// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The scrub of one target.
 *
 * A pass goes through all chunks in the order of their keys, which is the same
 * whatever happens meanwhile, and reads each by its checksums; what fails is
 * handed to repair.c. Before them come superblocks, log and checkpoints (check.c),
 * which are read at the same pace. A pass by itself takes four fifths of the period, so that
 * it is never late; one that an operator started goes as fast as clients let it.
 * How far it is stands in a small file of the state directory, written once a
 * minute: a restart repeats at most that minute. The file is not worth a forced
 * write: if it is lost or unreadable, the pass begins anew.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "check.h"
#include "repair.h"
#include "scrub.h"
#include "../base/log.h"

#define SCRUB_RATE_MIN		(1ull << 20)	/* bytes/s */
#define SCRUB_LOOK_MS		60000u		/* between looks whether it is time */
#define SCRUB_SAVE_NS		60000000000ull
#define SCRUB_FIRST_S		3600u		/* a target without a file waits so long */
#define SCRUB_CKPT_MS		20u		/* between looks whether a checkpoint has ended */

/**
 * struct chunkd_scrub
 * @key: chunks below it were read in this pass
 * @fs, @ino, @index, @at: the chunk that is read, and how far
 * @on: a chunk is being read
 * @fast: an operator asked for this pass
 * @busy: something is under way: a read, a buffer, a repair
 * @own: the target's own structures come next; @own_on: from where @check stands
 * @own_nr: what was found last of them
 */
struct chunkd_scrub {
	struct chunkd_heal *h;
	enum flint_scrub_state state;
	bool fast, on, busy, own, own_on, own_paused;
	u64 key, done, total, chunks;
	u64 began_s, ended_s, next_s;
	u64 saved_ns;
	u32 fs, index, at;
	u64 ino;
	struct flint_throttle rate;
	struct flint_timer timer;
	struct flint_buf *buf;
	struct flint_buf_waiter waiter;
	struct flint_sop op;
	struct repair_wait repair;
	struct flint_check check;
	u64 own_nr;
	int dirfd;
};

static void step(struct chunkd_scrub *s);

static u64 now_s(void)
{
	return (u64)time(NULL);
}

static void later(struct chunkd_scrub *s, u64 ms)
{
	if (!s->h->closing)
		flint_timer_set(s->h->w->loop, &s->timer, ms);
}

/* ---- the file ------------------------------------------------------------ */

static void file_name(const struct chunkd_scrub *s, char *name, size_t len, const char *end)
{
	snprintf(name, len, "scrub.%u%s", s->h->t->st->id, end);
}

static void save(struct chunkd_scrub *s)
{
	char name[32], tmp[32], text[160];
	int fd, n;

	s->saved_ns = flint_now_ns();
	if (s->dirfd < 0)
		return;
	file_name(s, name, sizeof(name), "");
	file_name(s, tmp, sizeof(tmp), ".new");
	n = snprintf(text, sizeof(text), "1 %u %d %llu %llu %llu %llu %llu\n", s->state, s->fast,
		     (unsigned long long)s->key, (unsigned long long)s->done,
		     (unsigned long long)s->chunks, (unsigned long long)s->began_s,
		     (unsigned long long)s->ended_s);
	fd = openat(s->dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (write(fd, text, (size_t)n) == n && !close(fd))
		renameat(s->dirfd, tmp, s->dirfd, name);
	else
		unlinkat(s->dirfd, tmp, 0);
}

static void load(struct chunkd_scrub *s)
{
	unsigned long long key, done, chunks, began, ended;
	char name[32], text[160];
	unsigned int state;
	int fd, n, fast;

	file_name(s, name, sizeof(name), "");
	fd = s->dirfd < 0 ? -1 : openat(s->dirfd, name, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : (int)read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	if (sscanf(text, "1 %u %d %llu %llu %llu %llu %llu", &state, &fast, &key, &done, &chunks,
		   &began, &ended) != 7)
		return;
	s->began_s = began;
	s->ended_s = ended;
	if (state == FLINT_SCRUB_STOPPED)
		s->state = FLINT_SCRUB_STOPPED;
	if (state != FLINT_SCRUB_RUNNING && state != FLINT_SCRUB_HELD)
		return;
	s->state = FLINT_SCRUB_HELD;
	s->fast = fast;
	s->key = key;
	s->done = done;
	s->chunks = chunks;
}

/* ---- passes -------------------------------------------------------------- */

/* How fast this pass goes by itself. */
static u64 own_rate(const struct chunkd_scrub *s)
{
	u64 period = atomic_load(&s->h->scrub_period_s), rate;

	if (s->fast || !period)
		return 0;
	rate = s->total / (period / 5 * 4 + 1);
	return rate > SCRUB_RATE_MIN ? rate : SCRUB_RATE_MIN;
}

static void run(struct chunkd_scrub *s)
{
	s->state = FLINT_SCRUB_RUNNING;
	s->total = flint_store_used(s->h->t->st);
	flint_throttle_init(&s->rate, own_rate(s), flint_now_ns());
	atomic_store(&s->h->scrubbing, true);
	step(s);
}

static void begin(struct chunkd_scrub *s, bool fast)
{
	s->fast = fast;
	s->key = 0;
	s->done = 0;
	s->chunks = 0;
	s->on = false;
	s->own = true;
	s->own_on = false;
	s->began_s = now_s();
	if (fast)
		flint_info("%s: scrub begins", s->h->t->st->name);
	s->state = FLINT_SCRUB_RUNNING;
	save(s);
	if (!s->busy)
		run(s);
}

static void pass_over(struct chunkd_scrub *s)
{
	struct chunkd_heal *h = s->h;

	s->ended_s = now_s();
	s->state = FLINT_SCRUB_IDLE;
	atomic_store(&h->scrubbing, false);
	flint_info("%s: scrub has read %llu chunks (%llu bytes) in %llu s; since flint-chunkd started %llu damaged blocks were found, %llu repaired, %llu lost",
		   h->t->st->name, (unsigned long long)s->chunks, (unsigned long long)s->done,
		   (unsigned long long)(s->ended_s - s->began_s),
		   (unsigned long long)atomic_load(&h->errors),
		   (unsigned long long)atomic_load(&h->repaired),
		   (unsigned long long)atomic_load(&h->lost));
	save(s);
	scrub_look(h);
}

static void hold(struct chunkd_scrub *s)
{
	s->state = FLINT_SCRUB_HELD;
	s->on = false;
	s->own_on = false;
	atomic_store(&s->h->scrubbing, false);
	save(s);
	later(s, SCRUB_LOOK_MS);
}

static bool may_run(const struct chunkd_scrub *s)
{
	const struct chunkd_heal *h = s->h;

	return !h->closing && !h->t->st->offline &&
	       (h->t->at.role == FLINT_CHAIN_SERVING || !h->w->d->cluster);
}

void scrub_look(struct chunkd_heal *h)
{
	struct chunkd_scrub *s = h->scrub;
	u64 period = atomic_load(&h->scrub_period_s), last;

	if (s->busy || s->state == FLINT_SCRUB_RUNNING || h->closing)
		return;
	last = s->ended_s > s->began_s ? s->ended_s : s->began_s;
	s->next_s = s->state == FLINT_SCRUB_IDLE && period ? last + period / 5 : 0;
	if (s->state == FLINT_SCRUB_HELD && may_run(s)) {
		run(s);
		return;
	}
	if (s->next_s && now_s() >= s->next_s && may_run(s)) {
		begin(s, false);
		return;
	}
	if (s->state != FLINT_SCRUB_STOPPED)
		later(s, SCRUB_LOOK_MS);
}

/* ---- steps --------------------------------------------------------------- */

static void timer_over(struct flint_timer *t)
{
	struct chunkd_scrub *s = t->arg;

	if (s->state == FLINT_SCRUB_RUNNING)
		step(s);
	else
		scrub_look(s->h);
}

/* Nothing is under way: the next thing, unless it shall end. */
static void on(struct chunkd_scrub *s)
{
	s->busy = false;
	if (s->buf) {
		flint_buf_put(s->buf);
		s->buf = NULL;
	}
	if (!s->h->closing && s->state == FLINT_SCRUB_RUNNING)
		step(s);
}

static void repair_over(struct repair_wait *w)
{
	struct chunkd_scrub *s = w->priv;

	s->on = false;
	on(s);
}

static void piece_read(struct flint_sop *op)
{
	struct chunkd_scrub *s = op->arg;

	s->done += op->length;
	s->at += op->length;
	if (op->status != FLINT_ST_CHECKSUM && op->status != EIO) {
		on(s);
		return;
	}
	flint_buf_put(s->buf);
	s->buf = NULL;
	s->repair.done = repair_over;
	s->repair.priv = s;
	repair_chunk(s->h, s->fs, s->ino, s->index, &s->repair);
}

static const struct flint_chunk *chunk_on(const struct chunkd_scrub *s)
{
	return flint_chunk_find(&s->h->t->st->index, s->fs, s->ino, s->index);
}

static void buffer_came(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct chunkd_scrub *s = (void *)((u8 *)w - offsetof(struct chunkd_scrub, waiter));
	const struct flint_chunk *c = chunk_on(s);
	struct flint_store *st = s->h->t->st;
	struct flint_sop *op = &s->op;
	const struct flint_inode *in;

	s->buf = buf;
	if (s->h->closing || !c || !c->version || s->at >= c->size) {
		s->on = false;
		on(s);
		return;
	}
	in = flint_inode_at(&st->index, c->inode);
	memset(op, 0, offsetof(struct flint_sop, rep));
	op->kind = FLINT_SOP_READ;
	op->as_is = true;
	op->quiet = true;
	op->fs = s->fs;
	op->ino = s->ino;
	op->index = s->index;
	op->gen = in->gen;
	op->epoch = in->epoch;
	op->offset = s->at;
	op->length = c->size - s->at < FLINT_STORE_MAX_IO ? c->size - s->at : FLINT_STORE_MAX_IO;
	op->data = buf->data;
	op->room = buf->size;
	op->done = piece_read;
	op->arg = s;
	flint_store_submit(st, op);
}

/* ---- the target's own structures ------------------------------------------ */

static const char *const own_names[FLINT_OWN_NR] = { "superblock", "log", "checkpoint" };

static void own_done(struct flint_check *k)
{
	on((void *)((u8 *)k - offsetof(struct chunkd_scrub, check)));
}

static void own_found(struct flint_check *k, enum flint_own what)
{
	struct chunkd_scrub *s = (void *)((u8 *)k - offsetof(struct chunkd_scrub, check));
	struct flint_scrub_found f = {
		.index = cpu_to_le32(what), .offset = cpu_to_le32((u32)(k->off >> 12)),
	};

	s->own_nr = repair_found(s->h, &f);
	atomic_fetch_add(&s->h->own_errors, 1);
	flint_err("%s: the %s at offset %llu of the target is not what was written: it is %s",
		  s->h->t->st->name, own_names[what], (unsigned long long)k->off,
		  what == FLINT_OWN_SUPER ? "written again" : "replaced by a checkpoint now");
}

static void own_mended(struct flint_check *k, enum flint_own what)
{
	struct chunkd_scrub *s = (void *)((u8 *)k - offsetof(struct chunkd_scrub, check));

	repair_mended(s->h, s->own_nr);
}

static void own_buffer(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct chunkd_scrub *s = (void *)((u8 *)w - offsetof(struct chunkd_scrub, waiter));

	s->buf = buf;
	s->check.buf = buf->data;
	if (s->h->closing || flint_check_over(&s->check))
		on(s);
	else
		flint_check_step(&s->check);
}

/* Return: false when that is done. */
static bool own_step(struct chunkd_scrub *s)
{
	u64 wait;

	if (!s->own_on) {
		s->check.done = own_done;
		s->check.found = own_found;
		s->check.mended = own_mended;
		flint_check_begin(&s->check, s->h->t->st);
		s->own_on = true;
	}
	if (flint_check_over(&s->check)) {
		s->own = false;
		return false;
	}
	wait = flint_throttle_take(&s->rate, s->check.moved, s->h->t->queued, flint_now_ns());
	s->check.moved = 0;
	if (wait || (flint_check_waits(&s->check) && !s->own_paused)) {
		s->own_paused = true;
		later(s, wait ? wait / 1000000 + 1 : SCRUB_CKPT_MS);
		return true;
	}
	s->own_paused = false;
	s->busy = true;
	s->waiter.fn = own_buffer;
	s->waiter.loop = s->h->w->loop;
	flint_buf_wait(s->h->w->d->pool, &s->waiter);
	return true;
}

/* ---- one chunk after the other ------------------------------------------- */

/* Find the chunk with the lowest key that was not read yet. Return: false: there is none. */
static bool next_chunk(struct chunkd_scrub *s)
{
	const struct flint_index *ix = &s->h->t->st->index;
	struct flint_chunk *c;
	u64 key;

	if (s->chunks && !s->key)	/* went round */
		return false;
	if (!flint_chunk_next(ix, s->key, &key, &c, 1))
		return false;
	s->fs = flint_inode_at(ix, c->inode)->fs;
	s->ino = c->ino;
	s->index = c->index;
	s->at = 0;
	s->on = true;
	s->chunks++;
	s->key = key + 1;
	return true;
}

static void step(struct chunkd_scrub *s)
{
	const struct flint_chunk *c;
	u64 wait;

	if (s->busy)
		return;
	if (!may_run(s)) {
		hold(s);
		return;
	}
	if (flint_now_ns() - s->saved_ns > SCRUB_SAVE_NS)
		save(s);
	if (s->own && own_step(s))
		return;
	c = s->on ? chunk_on(s) : NULL;
	if (!c || s->at >= c->size) {
		if (!next_chunk(s)) {
			pass_over(s);
			return;
		}
		c = chunk_on(s);
	}
	wait = flint_throttle_take(&s->rate, c->size - s->at < FLINT_STORE_MAX_IO ?
				   c->size - s->at : FLINT_STORE_MAX_IO, s->h->t->queued,
				   flint_now_ns());
	if (wait) {
		later(s, wait / 1000000 + 1);
		return;
	}
	s->busy = true;
	s->waiter.fn = buffer_came;
	s->waiter.loop = s->h->w->loop;
	flint_buf_wait(s->h->w->d->pool, &s->waiter);
}

/* ---- life ---------------------------------------------------------------- */

struct chunkd_scrub *scrub_new(struct chunkd_heal *h, int dirfd)
{
	struct chunkd_scrub *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->h = h;
	s->dirfd = dirfd;
	s->own = true;
	s->timer.fn = timer_over;
	s->timer.arg = s;
	s->began_s = now_s() + SCRUB_FIRST_S;	/* a new target is not read at once */
	load(s);
	return s;
}

bool scrub_stop(struct chunkd_scrub *s)
{
	flint_timer_cancel(s->h->w->loop, &s->timer);
	if (!s->busy && (s->state == FLINT_SCRUB_RUNNING || s->state == FLINT_SCRUB_HELD))
		save(s);
	return !s->busy;
}

void scrub_free(struct chunkd_scrub *s)
{
	if (s && s->buf)
		flint_buf_put(s->buf);
	free(s);
}

/* ---- FLINT_OP_SCRUB ------------------------------------------------------ */

struct scrub_req {
	struct flint_call *call;
	struct chunkd_heal *h;
	struct flint_scrub scrub;
	u32 room;
	struct flint_task task;
};

static u32 findings(const struct chunkd_heal *h, u64 after, struct flint_scrub_found *out, u32 max)
{
	u64 nr = h->nr_found > HEAL_FOUND ? h->nr_found - HEAL_FOUND + 1 : 1;
	u32 n = 0;

	if (nr <= after)
		nr = after + 1;
	for (; nr && nr <= h->nr_found && n < max; nr++)
		out[n++] = h->found[nr % HEAL_FOUND];
	return n;
}

static void command(struct chunkd_scrub *s, u32 op)
{
	if (op == FLINT_SCRUB_START) {
		flint_timer_cancel(s->h->w->loop, &s->timer);
		begin(s, true);
	} else if (op == FLINT_SCRUB_STOP) {
		flint_timer_cancel(s->h->w->loop, &s->timer);
		s->state = FLINT_SCRUB_STOPPED;
		atomic_store(&s->h->scrubbing, false);
		save(s);
	}
}

static void scrub_work(struct flint_task *task)
{
	struct scrub_req *r = (void *)((u8 *)task - offsetof(struct scrub_req, task));
	struct flint_scrub_found list[HEAL_FOUND];
	struct chunkd_heal *h = r->h;
	struct chunkd_scrub *s = h->scrub;
	u32 max = le32_to_cpu(r->scrub.max_len), nr;
	struct flint_scrub_rep rep;

	command(s, le32_to_cpu(r->scrub.op));
	if (max > r->room)
		max = r->room;
	max /= sizeof(list[0]);
	nr = findings(h, le64_to_cpu(r->scrub.after), list, max < HEAL_FOUND ? max : HEAL_FOUND);
	rep = (struct flint_scrub_rep){
		.state = cpu_to_le32(s->state), .nr = cpu_to_le32(nr),
		.done = cpu_to_le64(s->done), .total = cpu_to_le64(s->total),
		.chunks = cpu_to_le64(s->chunks), .began_s = cpu_to_le64(s->began_s),
		.ended_s = cpu_to_le64(s->ended_s), .next_s = cpu_to_le64(s->next_s),
		.errors = cpu_to_le64(atomic_load(&h->errors)),
		.repaired = cpu_to_le64(atomic_load(&h->repaired)),
		.lost = cpu_to_le64(atomic_load(&h->lost)),
		.period_s = cpu_to_le64(atomic_load(&h->scrub_period_s)),
		.rate = cpu_to_le64(own_rate(s)),
	};
	flint_call_reply_copy(r->call, FLINT_OK, &rep, sizeof(rep), nr ? list : NULL,
			      nr * (u32)sizeof(list[0]));
	free(r);
}

void heal_request_scrub(struct flint_chunkd *d, struct flint_call *call)
{
	u8 role = flint_conn_info(call->conn)->role;
	u32 status = FLINT_OK;
	struct chunkd_target *t;
	struct scrub_req *r;
	struct flint_scrub b;

	if (role != FLINT_ROLE_TOOL && role != FLINT_ROLE_MGR)
		status = FLINT_ST_AUTH;
	else if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len) ||
		 call->msg.data_len || le32_to_cpu(b.op) > FLINT_SCRUB_STOP)
		status = FLINT_ST_BAD_REQUEST;
	t = status == FLINT_OK ? chunkd_target_find(d, le32_to_cpu(b.target)) : NULL;
	if (status == FLINT_OK && (!t || !t->heal))
		status = ENOENT;
	r = status == FLINT_OK ? calloc(1, sizeof(*r)) : NULL;
	if (!r) {
		flint_call_reply(call, status == FLINT_OK ? FLINT_ST_RETRY : status, NULL, 0,
				 NULL, 0, 0);
		return;
	}
	r->call = call;
	r->h = t->heal;
	r->scrub = b;
	r->room = chunkd_reply_room(call);
	r->task.fn = scrub_work;
	flint_loop_post(t->worker->loop, &r->task);
}
