// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Repair: a chunk whose checksums do not match is looked through piece by
 * piece; what is damaged is fetched from another SERVING replica and written
 * again under the version that it has.
 *
 * Invariants
 *  - Only bytes that our own index's checksums accept are written: a replica is
 *    asked for bytes, not for its opinion.
 *  - They are fetched without a lock and used only if the replica's version and
 *    tag were ours, or those that a change which we hold, and which left these
 *    bytes alone, was made upon; and written only if ours are still the same then
 *    (FLINT_SOP_REPAIR). So no writer waits for a repair, and no repair for a
 *    forward: there is nothing to lock each other out with. A forward may wait for
 *    a repair (forward.c).
 *  - Nobody gets data that does not match, whatever happens here.
 *  - A repair needs nothing that those who wait for it may hold: its memory is its
 *    own, not the pool's, all of whose buffers readers and writers may keep while they
 *    wait.
 *
 * One job per chunk; who comes while it runs waits for the same job. A few jobs run
 * at a time. One that a held change waits for runs at once: a CUT waits for that change,
 * and for the CUT those that run may wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include "repair.h"
#include "../base/crc.h"
#include "../base/log.h"

#define REPAIR_PATIENCE_NS	10000000000ull	/* for replicas that do not answer */
#define REPAIR_PAUSE_MS		50u
#define MENDED_ENOUGH		3u	/* times that a request is begun again */
#define REPAIR_ROUNDS		40u		/* of a chunk that changes under us */
#define REPAIR_ROOM		(FLINT_STORE_MAX_IO + FLINT_STORE_SLACK)
#define REPAIR_JOBS		4u		/* that run at a time, on one target */

/**
 * struct repair_job - one chunk
 * @data: memory for a piece, as a buffer of the pool has it; NULL: it does not run yet
 * @version, @tag, @size: at which it is looked at
 * @at, @len: piece under way; @fine: in steps of an allocation block
 * @peer: which of the place's peers is asked
 * @hope: one of them may still have it: it did not answer, or is between versions
 * @lost: some of it is on no replica
 * @held: a held change waits for it
 * @said: what each of them said of the piece, for the log
 */
struct repair_job {
	struct chunkd_heal *h;
	u32 fs, index;
	u64 ino;
	struct repair_job *next;
	struct repair_wait *waits;
	u8 *data;
	struct flint_timer timer;
	struct flint_sop op;
	struct chunkd_ask ask;
	struct {
		struct flint_chunk_got got;
		__le32 crc[FLINT_OP_MAX_CRC];
	} got;
	u64 version, tag;
	u32 size;
	u32 at, len;
	bool fine, ended, lost, held;
	u32 peer;
	bool hope;
	u32 rounds, fixed;
	u64 began_ns, found_nr;
	char said[320];
};

static void look(struct repair_job *j);
static void look_piece(struct repair_job *j);
static void ask_peer(struct repair_job *j);
static void piece_good(struct repair_job *j);

/* ---- findings ------------------------------------------------------------ */

u64 repair_found(struct chunkd_heal *h, const struct flint_scrub_found *what)
{
	u64 nr = ++h->nr_found;
	struct flint_scrub_found *f = &h->found[nr % HEAL_FOUND];

	*f = *what;
	f->nr = cpu_to_le64(nr);
	f->when_s = cpu_to_le64(flint_now_s());
	f->result = cpu_to_le32(FLINT_FOUND_OPEN);
	if (atomic_fetch_add(&h->errors, 1) + 1 == HEAL_SUSPECT)
		flint_warn("%s: %u damaged blocks were found since flint-chunkd started: the disk is suspect; replace it with 'flint disk replace'",
			   h->t->st->name, HEAL_SUSPECT);
	return nr;
}

static struct flint_scrub_found *finding(struct chunkd_heal *h, u64 nr)
{
	struct flint_scrub_found *f = &h->found[nr % HEAL_FOUND];

	return le64_to_cpu(f->nr) == nr ? f : NULL;
}

/* Is it known that these bytes are lost? Then they are not counted again. */
static bool known(struct repair_job *j)
{
	const struct chunkd_heal *h = j->h;
	u32 i;

	for (i = 0; i < HEAL_FOUND; i++) {
		const struct flint_scrub_found *f = &h->found[i];

		if (le64_to_cpu(f->ino) != j->ino || le32_to_cpu(f->fs) != j->fs ||
		    le32_to_cpu(f->index) != j->index || le32_to_cpu(f->offset) != j->at ||
		    le32_to_cpu(f->result) != FLINT_FOUND_LOST)
			continue;
		j->found_nr = le64_to_cpu(f->nr);
		return true;
	}
	return false;
}

static void found(struct repair_job *j)
{
	struct flint_scrub_found what = {
		.ino = cpu_to_le64(j->ino), .fs = cpu_to_le32(j->fs),
		.index = cpu_to_le32(j->index), .offset = cpu_to_le32(j->at),
		.length = cpu_to_le32(j->len),
	};

	if (!known(j))
		j->found_nr = repair_found(j->h, &what);
}

void repair_mended(struct chunkd_heal *h, u64 nr)
{
	struct flint_scrub_found *f = finding(h, nr);

	if (f)
		f->result = cpu_to_le32(FLINT_FOUND_REPAIRED);
	atomic_fetch_add(&h->repaired, 1);
}

static void settle(struct repair_job *j, enum flint_scrub_result result)
{
	struct flint_scrub_found *f = j->found_nr ? finding(j->h, j->found_nr) : NULL;
	bool was_lost = f && le32_to_cpu(f->result) == FLINT_FOUND_LOST;

	if (!j->found_nr)
		return;
	if (f)
		f->result = cpu_to_le32(result);
	if (result == FLINT_FOUND_REPAIRED)
		atomic_fetch_add(&j->h->repaired, 1);
	if (result == FLINT_FOUND_LOST && !was_lost)
		atomic_fetch_add(&j->h->lost, 1);
	else if (result != FLINT_FOUND_LOST && was_lost)
		atomic_fetch_sub(&j->h->lost, 1);
	j->found_nr = 0;
}

/* ---- the end ------------------------------------------------------------- */

static void tell(struct repair_job *j, u32 status)
{
	struct repair_wait *w = j->waits;

	j->waits = NULL;
	while (w) {
		struct repair_wait *next = w->next;

		w->status = status;
		w->done(w);
		w = next;
	}
}

static void job_free(struct repair_job *j)
{
	struct repair_job **p = &j->h->jobs;

	while (*p != j)
		p = &(*p)->next;
	*p = j->next;
	if (j->data)
		j->h->repairing--;
	free(j->data);
	free(j);
}

static void finish(struct repair_job *j, u32 status)
{
	struct chunkd_heal *h = j->h;

	settle(j, FLINT_FOUND_GONE);
	if (j->fixed)
		flint_info("%s: chunk %u of inode %llu (file system %u): %u damaged blocks were repaired from another replica",
			   h->t->st->name, j->index, (unsigned long long)j->ino, j->fs, j->fixed);
	j->ended = true;	/* who is told may want the same chunk again: not this job */
	tell(j, status);
	job_free(j);
}

static void paused(struct flint_timer *t)
{
	look(t->arg);
}

/* The chunk or the chain is changing: look again from the start. */
static void again(struct repair_job *j)
{
	if (j->h->closing || ++j->rounds > REPAIR_ROUNDS) {
		finish(j, FLINT_ST_RETRY);
		return;
	}
	settle(j, FLINT_FOUND_GONE);
	j->timer.fn = paused;
	j->timer.arg = j;
	flint_timer_set(j->h->w->loop, &j->timer, REPAIR_PAUSE_MS);
}

static void lost(struct repair_job *j)
{
	flint_err_rl("%s: chunk %u of inode %llu (file system %u), version %llu, bytes %u to %u are damaged and no replica has them: reads of them end with EIO;%s",
		  j->h->t->st->name, j->index, (unsigned long long)j->ino, j->fs,
		  (unsigned long long)j->version, j->at, j->at + j->len - 1,
		  j->h->place.nr_peers ? j->said : " the chain has no other serving replica");
	settle(j, FLINT_FOUND_LOST);
	j->lost = true;
	piece_good(j);		/* the rest of the chunk may be better off */
}

/* ---- what is damaged? ---------------------------------------------------- */

static const struct flint_chunk *chunk_of(const struct repair_job *j)
{
	return flint_chunk_find(&j->h->t->st->index, j->fs, j->ino, j->index);
}

static bool changed(const struct repair_job *j)
{
	const struct flint_chunk *c = chunk_of(j);

	return !c || c->version != j->version || c->tag != j->tag;
}

static void prepare(struct repair_job *j, u8 kind, void (*done)(struct flint_sop *op))
{
	const struct flint_chunk *c = chunk_of(j);
	const struct flint_inode *in = flint_inode_at(&j->h->t->st->index, c->inode);
	struct flint_sop *op = &j->op;

	memset(op, 0, offsetof(struct flint_sop, rep));
	op->kind = kind;
	op->as_is = true;
	op->quiet = true;
	op->shift = c->shift;
	op->fs = j->fs;
	op->ino = j->ino;
	op->index = j->index;
	op->gen = in->gen;
	op->epoch = in->epoch;
	op->offset = j->at;
	op->length = j->len;
	op->version = j->version;
	op->tag = j->tag;
	op->data = j->data;
	op->room = REPAIR_ROOM;
	op->done = done;
	op->arg = j;
}

/* A piece is as it should be: on to the next one. */
static void piece_good(struct repair_job *j)
{
	j->at += j->len;
	if (j->fine && !(j->at % FLINT_STORE_MAX_IO))
		j->fine = false;
	look_piece(j);
}

static void piece_bad(struct repair_job *j)
{
	if (!j->fine) {		/* which blocks of it? */
		j->fine = true;
		look_piece(j);
		return;
	}
	found(j);
	j->peer = 0;
	j->hope = false;
	j->said[0] = '\0';
	ask_peer(j);
}

static void looked(struct flint_sop *op)
{
	struct repair_job *j = op->arg;

	if (j->h->closing)
		finish(j, FLINT_ST_RETRY);
	else if (changed(j) || op->have_version != j->version)
		again(j);
	else if (op->status == FLINT_OK)
		piece_good(j);
	else if (op->status == FLINT_ST_CHECKSUM || op->status == EIO)
		piece_bad(j);
	else
		again(j);
}

static void look_piece(struct repair_job *j)
{
	struct flint_store *st = j->h->t->st;

	if (st->offline) {
		finish(j, EIO);
		return;
	}
	if (changed(j)) {
		again(j);
		return;
	}
	if (j->at >= j->size) {
		finish(j, j->lost ? FLINT_ST_CHECKSUM : FLINT_OK);
		return;
	}
	j->len = j->fine ? 1u << st->bs : FLINT_STORE_MAX_IO;
	if (j->len > j->size - j->at)
		j->len = j->size - j->at;
	prepare(j, FLINT_SOP_READ, looked);
	flint_store_submit(st, &j->op);
}

static void look(struct repair_job *j)
{
	const struct flint_chunk *c = chunk_of(j);

	if (!c || !c->version) {
		finish(j, FLINT_OK);
		return;
	}
	j->version = c->version;
	j->tag = c->tag;
	j->size = c->size;
	j->at = 0;
	j->fine = false;
	j->lost = false;
	look_piece(j);
}

/* ---- another replica's bytes --------------------------------------------- */

/* Do our checksums accept what came? The end of the chunk's last block is zeros. */
static bool accepted(const struct repair_job *j)
{
	const struct flint_store *st = j->h->t->st;
	const struct flint_chunk *c = chunk_of(j);
	u32 step = 1u << st->cs, pos;
	u8 *p = j->data;

	memset(p + j->len, 0, (step - j->len % step) % step);
	for (pos = 0; pos < j->len; pos += step) {
		u32 i = (j->at + pos) >> st->cs;
		bool there = i < c->cap_crc && flint_chunk_block(c, (j->at + pos) >> st->bs);

		if (flint_crc32c(0, p + pos, step) != (there ? c->crc[i] : st->zero_crc))
			return false;
	}
	return true;
}

static void checked(struct flint_sop *op)
{
	struct repair_job *j = op->arg;

	if (changed(j)) {
		again(j);
		return;
	}
	if (op->status != FLINT_OK) {	/* the disk does not keep what it is given */
		flint_store_fail(j->h->t->st, "keep what is written to it", -EIO);
		finish(j, EIO);
		return;
	}
	settle(j, FLINT_FOUND_REPAIRED);
	j->fixed++;
	piece_good(j);
}

static void written(struct flint_sop *op)
{
	struct repair_job *j = op->arg;

	if (op->status == FLINT_ST_NEED_WHOLE || changed(j)) {
		again(j);
	} else if (op->status != FLINT_OK) {
		finish(j, op->status == FLINT_ST_RETRY ? FLINT_ST_RETRY : EIO);
	} else {
		prepare(j, FLINT_SOP_READ, checked);
		flint_store_submit(j->h->t->st, &j->op);
	}
}

static void say(struct repair_job *j, const char *what)
{
	size_t n = strlen(j->said);

	snprintf(j->said + n, sizeof(j->said) - n, " target %u %s;",
		 j->h->place.peers[j->peer].target, what);
}

/*
 * A peer that has not taken the change yet that we hold: are these bytes the same
 * there as here, because the change was not about them?
 */
static bool untouched(const struct repair_job *j, const struct flint_chunk_got *g)
{
	const struct flint_sop *held = chunk_of(j)->owner;

	return held && held->held &&
	       (held->kind == FLINT_SOP_WRITE || held->kind == FLINT_SOP_PUNCH) &&
	       held->version == j->version && held->tag == j->tag &&
	       held->prev_version == le64_to_cpu(g->version) &&
	       held->prev_tag == le64_to_cpu(g->tag) &&
	       (j->at + j->len <= held->offset || j->at >= held->offset + held->length);
}

static bool same_version(const struct repair_job *j, const struct flint_chunk_got *g)
{
	return le64_to_cpu(g->version) == j->version && le64_to_cpu(g->tag) == j->tag;
}

/* What a peer said. Return: may its bytes be used? */
static bool usable(struct repair_job *j)
{
	const struct chunkd_ask *a = &j->ask;
	const struct flint_chunk_got *g = &j->got.got;
	char text[64];

	if (a->rpc.err || a->rpc.status == FLINT_ST_STALE_MAP || a->rpc.status == FLINT_ST_RETRY ||
	    a->rpc.status == FLINT_ST_NOT_SERVING) {
		j->hope = true;
		say(j, a->rpc.err ? strerror(-a->rpc.err) : "is not ready");
	} else if (a->rpc.status == FLINT_ST_CHECKSUM) {
		say(j, "has it damaged too");
	} else if (a->rpc.status != FLINT_OK || a->rep_len < sizeof(*g)) {
		snprintf(text, sizeof(text), "answers with status %u", a->rpc.status);
		say(j, text);
	} else if (!same_version(j, g) && !untouched(j, g)) {
		j->hope = true;		/* a change is on its way between us */
		snprintf(text, sizeof(text), "has version %llu",
			 (unsigned long long)le64_to_cpu(g->version));
		say(j, text);
	} else if (le32_to_cpu(g->length) != j->len || a->rpc.rep_data_len != j->len) {
		say(j, "has less of it");
	} else if (!accepted(j)) {
		say(j, "has other bytes under the same version");
	} else {
		return true;
	}
	return false;
}

static void peer_answered(struct chunkd_ask *a)
{
	struct repair_job *j = a->priv;

	if (j->h->closing) {
		finish(j, FLINT_ST_RETRY);
	} else if (changed(j)) {
		again(j);
	} else if (j->peer >= j->h->place.nr_peers) {	/* the chain changed */
		j->hope = true;
		ask_peer(j);
	} else if (usable(j)) {
		prepare(j, FLINT_SOP_REPAIR, written);
		flint_store_submit(j->h->t->st, &j->op);
	} else {
		j->peer++;
		ask_peer(j);
	}
}

static void ask_peer(struct repair_job *j)
{
	const struct heal_place *p = &j->h->place;
	struct flint_chunk_get *body = (void *)j->ask.body;

	if (j->peer >= p->nr_peers) {
		if (j->hope && flint_now_ns() - j->began_ns < REPAIR_PATIENCE_NS)
			again(j);
		else
			lost(j);
		return;
	}
	*body = (struct flint_chunk_get){
		.chain = cpu_to_le32(j->h->t->at.chain), .chain_ver = cpu_to_le32(j->h->t->at.chain_ver),
		.target = cpu_to_le32(p->peers[j->peer].target), .fs = cpu_to_le32(j->fs),
		.ino = cpu_to_le64(j->ino), .index = cpu_to_le32(j->index),
		.offset = cpu_to_le32(j->at), .length = cpu_to_le32(j->len),
	};
	j->ask.rpc = (struct flint_rpc){
		.op = FLINT_OP_CHUNK_GET, .timeout_ms = 3000, .eager = true, .body = body,
		.body_len = sizeof(*body), .in = j->data, .in_len = j->len,
	};
	j->ask.w = j->h->w;
	j->ask.node = p->peers[j->peer].node;
	j->ask.rep = &j->got;
	j->ask.rep_room = sizeof(j->got);
	j->ask.done = peer_answered;
	j->ask.priv = j;
	chunkd_ask(&j->ask);
}

/* ---- beginning ----------------------------------------------------------- */

static void turn_over(struct flint_timer *t);

/* Run, if it is the job's turn; else, or when memory is short, look again later. */
static void begin(struct repair_job *j)
{
	struct chunkd_heal *h = j->h;

	if ((h->repairing >= REPAIR_JOBS && !j->held) ||
	    posix_memalign((void **)&j->data, FLINT_STORE_ALIGN, REPAIR_ROOM)) {
		j->data = NULL;
		j->timer.fn = turn_over;
		j->timer.arg = j;
		flint_timer_set(h->w->loop, &j->timer, REPAIR_PAUSE_MS);
		return;
	}
	h->repairing++;
	j->began_ns = flint_now_ns();
	look(j);
}

static void turn_over(struct flint_timer *t)
{
	begin(t->arg);
}

void repair_chunk(struct chunkd_heal *h, u32 fs, u64 ino, u32 index, struct repair_wait *w)
{
	struct repair_job *j;

	for (j = h->jobs; j; j = j->next)
		if (j->ino == ino && j->fs == fs && j->index == index && !j->ended)
			break;
	if (j) {
		w->next = j->waits;
		j->waits = w;
		j->held |= w->held;	/* it has its turn when its timer is over */
		return;
	}
	j = h->closing ? NULL : calloc(1, sizeof(*j));
	if (!j) {
		w->status = FLINT_ST_RETRY;
		w->done(w);
		return;
	}
	j->h = h;
	j->fs = fs;
	j->ino = ino;
	j->index = index;
	j->held = w->held;
	w->next = NULL;
	j->waits = w;
	j->next = h->jobs;
	h->jobs = j;
	begin(j);
}

/* ---- reads that met damage ----------------------------------------------- */

struct held_op {
	struct repair_wait wait;
	struct flint_sop *op;
	void (*resume)(struct flint_sop *op);
};

static void op_goes_on(struct repair_wait *w)
{
	struct held_op *held = w->priv;
	struct flint_sop *op = held->op;
	void (*resume)(struct flint_sop *op) = held->resume;
	u32 status = w->status;

	free(held);
	if (!op)
		return;
	if (status == FLINT_ST_CHECKSUM)
		op->mended = MENDED_ENOUGH;	/* its own bytes may be well */
	if (status == FLINT_OK || status == FLINT_ST_CHECKSUM) {
		flint_sop_block(op, resume);
		op->st->unblock = true;
		op->st->kick(op->st->kick_arg);
	} else {
		flint_sop_finish(op, status == FLINT_ST_RETRY ? FLINT_ST_CHECKSUM : status);
	}
}

/* flint_store.damaged */
static bool take_over(void *arg, struct flint_sop *op, void (*resume)(struct flint_sop *op))
{
	struct chunkd_heal *h = arg;
	struct held_op *held;

	if (h->closing || (resume && op->mended++ >= MENDED_ENOUGH))
		return false;
	held = calloc(1, sizeof(*held));
	if (!held)
		return false;
	held->op = resume ? op : NULL;
	held->resume = resume;
	held->wait.done = op_goes_on;
	held->wait.priv = held;
	repair_chunk(h, op->fs, op->ino, op->index, &held->wait);
	return resume;
}

void repair_attach(struct chunkd_heal *h)
{
	h->t->st->damaged = take_over;
	h->t->st->damaged_arg = h;
}

bool repair_stop(struct chunkd_heal *h)
{
	struct repair_job *j, *next;

	for (j = h->jobs; j; j = next) {
		next = j->next;
		if (j->timer.due_ns) {
			flint_timer_cancel(h->w->loop, &j->timer);
			finish(j, FLINT_ST_RETRY);
		} else {	/* its request may take a while, those who wait shall not */
			tell(j, FLINT_ST_RETRY);
		}
	}
	return !h->jobs;
}

void repair_free(struct chunkd_heal *h)
{
	while (h->jobs)
		job_free(h->jobs);
	h->t->st->damaged = NULL;
}
