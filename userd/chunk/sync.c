// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Recovery of the target behind us, driven by the last SERVING one: it is told
 * what it lacks until nothing differs, while clients go on writing.
 *
 *	BEGIN		it forgets what clients were answered there
 *	SUMS		4,096 sums over (key, version, tag): which ranges differ?
 *	CHUNKS		lists of these ranges, compared one by one (compare.c)
 *	(transfers)	flint_chain_send_whole(): under the writers' chunk lock
 *	INODES, CLIENTS	epochs, tombstones, results
 *	DONE
 *
 * Why it ends: from the first instant on every change is forwarded to it, and a
 * change upon something that it does not have becomes a whole chunk. So a chunk
 * that was sent, or changed, since the comparison stays the same on both sides.
 * A second round proves it: what then looks different is a change on its way,
 * which is looked at again until both agree; what really differs is sent and
 * makes another round.
 *
 * What is interrupted is begun anew, and the sums make what was done cheap.
 * Nothing is guessed: one version with two contents ends recovery until the
 * chain changes, in words, with both copies kept.
 *
 * Everything here runs on the target's worker. Requests, transfers and pauses
 * under way are counted in @busy; a drive that shall end begins no more and is
 * freed when that is 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include "compare.h"
#include "repair.h"
#include "../base/log.h"

#define SYNC_WINDOW	32u		/* chunks under way */
#define SYNC_ROUNDS	8u
#define SYNC_PROBES	25u		/* looks at a chunk that seems to differ */
#define SYNC_PROBE_MS	20u
#define SYNC_RETRY_MS	500u
#define SYNC_PAUSE_MS	5000u		/* before what needs help is tried again */
#define SYNC_ASK_MS	15000u

enum sync_phase { SYNC_LISTING, SYNC_FINISHING, SYNC_OVER };

/* A chunk that is brought into line. */
struct sync_xfer {
	struct flint_whole whole;	/* first: named by sent() */
	struct sync_drive *s;
	struct chunkd_ask ask;
	struct flint_chunk_got got;
	struct flint_timer timer;
	struct repair_wait repair;
	struct compare_todo todo;
	struct flint_sync_chunk before;	/* ours when we asked; version 0: none */
	void (*again)(struct sync_xfer *x);
	u32 tries, damaged;
	bool used;
};

/**
 * struct sync_drive - one attempt
 * @round: 1 compares and sends, later ones prove
 * @fixes: chunks sent or dropped in this round
 * @asking, @ask, @rep: the one request that is not about a chunk
 * @list, @nr, @pos: a page of their chunks and how far it was looked at
 * @from, @to: keys that the page covers; @looked: ours up to the last one were seen
 * @todo, @todo_at, @todo_nr: of the key looked at last
 */
struct sync_drive {
	struct chunkd_heal *h;
	struct flint_place at;		/* our place in this attempt */
	enum sync_phase phase;
	bool stop;
	bool asking;
	u32 busy;
	u32 pause_ms;			/* before the next attempt */
	u32 round, fixes;
	u64 began_ns, sent, dropped, bytes;

	struct chunkd_ask ask;
	struct flint_sync_rep rep;
	u64 cursor;			/* INODES */
	struct flint_client_cursor clients;

	__le64 theirs[FLINT_SYNC_RANGES];
	u32 range, differ, done;
	bool paged, looked;
	u64 from, to, next;
	u32 nr, pos;
	struct compare_todo todo[2 * COMPARE_GROUP];
	u32 todo_at, todo_nr;
	struct flint_timer throttle;
	struct sync_xfer xfer[SYNC_WINDOW];
	u8 list[SERVE_LIST_LEN];
};

static void walk(struct sync_drive *s);
static void probe(struct sync_xfer *x);
static void transfer(struct sync_xfer *x);

/* ---- ending -------------------------------------------------------------- */

static void drive_end(struct sync_drive *s)
{
	struct chunkd_heal *h = s->h;

	h->drive = NULL;
	atomic_store(&h->sync_total, 0);
	atomic_store(&h->sync_done, 0);
	if (!h->closing)
		flint_timer_set(h->w->loop, &h->sync_timer, s->pause_ms);
	free(s);
}

/* One thing less is under way. */
static void put(struct sync_drive *s)
{
	if (!--s->busy && s->stop)
		drive_end(s);
}

/* Begin no more; waits are over. The caller holds a count. */
static void halt(struct sync_drive *s, u32 pause_ms)
{
	u32 i;

	if (s->stop)
		return;
	s->stop = true;
	s->pause_ms = pause_ms;
	if (s->throttle.due_ns) {
		flint_timer_cancel(s->h->w->loop, &s->throttle);
		s->busy--;
	}
	for (i = 0; i < SYNC_WINDOW; i++) {
		if (!s->xfer[i].used || !s->xfer[i].timer.due_ns)
			continue;
		flint_timer_cancel(s->h->w->loop, &s->xfer[i].timer);
		s->xfer[i].used = false;
		s->busy--;
	}
}

static void fail(struct sync_drive *s, u32 pause_ms, const char *why)
{
	if (!s->stop)
		flint_warn("%s: recovery of target %u of chain %u is interrupted: %s; it goes on in %u ms",
			   s->h->t->st->name, s->at.succ, s->at.chain, why, pause_ms);
	halt(s, pause_ms);
}

static void conflict(struct sync_xfer *x, u64 theirs)
{
	struct sync_drive *s = x->s;
	const struct flint_sync_chunk *c = &x->todo.chunk;

	flint_err("%s: recovery of target %u of chain %u stops: chunk %u of inode %llu (file system %u) has version %llu with two contents (%016llx here, %016llx there); both copies are kept: run 'flint chain compare %u', then remove the target whose copy is wrong",
		  s->h->t->st->name, s->at.succ, s->at.chain,
		  le32_to_cpu(c->index), (unsigned long long)le64_to_cpu(c->ino),
		  le32_to_cpu(c->fs), (unsigned long long)le64_to_cpu(c->version),
		  (unsigned long long)le64_to_cpu(c->crcs), (unsigned long long)theirs,
		  s->at.chain);
	s->h->conflict_at = flint_chain_at(s->at.chain, s->at.chain_ver);
	atomic_store(&s->h->conflict, true);
	halt(s, SYNC_PAUSE_MS);
}

/* ---- requests ------------------------------------------------------------ */

static void ask_sync(struct sync_drive *s, u32 op, const struct flint_sync *more, const void *out,
		     u32 out_len, void *in, u32 in_len, void (*done)(struct chunkd_ask *a))
{
	const struct flint_place *p = &s->at;
	struct flint_sync *body = (void *)s->ask.body;

	if (more)
		*body = *more;
	else
		memset(body, 0, sizeof(*body));
	body->chain = cpu_to_le32(p->chain);
	body->chain_ver = cpu_to_le32(p->chain_ver);
	body->target = cpu_to_le32(p->succ);
	body->from = cpu_to_le32(s->h->t->st->id);
	body->op = cpu_to_le32(op);
	body->max_len = cpu_to_le32(in_len);
	s->ask.rpc = (struct flint_rpc){
		.op = FLINT_OP_SYNC, .timeout_ms = SYNC_ASK_MS, .body = body,
		.body_len = sizeof(*body), .out = out, .out_len = out_len, .in = in,
		.in_len = in_len,
	};
	s->ask.w = s->h->w;
	s->ask.node = p->succ_node;
	s->ask.rep = &s->rep;
	s->ask.rep_room = sizeof(s->rep);
	s->ask.done = done;
	s->ask.priv = s;
	s->asking = true;
	s->busy++;
	chunkd_ask(&s->ask);
}

/* Was it answered as it should? If not, the drive ends. */
static bool answered(struct sync_drive *s, const char *what)
{
	const struct flint_rpc *rpc = &s->ask.rpc;
	char why[128];

	s->asking = false;
	if (s->stop)
		return false;
	if (!rpc->err && rpc->status == FLINT_OK && s->ask.rep_len >= sizeof(s->rep))
		return true;
	if (!rpc->err && (rpc->status == FLINT_ST_STALE_MAP || rpc->status == FLINT_ST_NOT_SERVING)) {
		halt(s, SYNC_RETRY_MS);	/* one of us has a newer map: it will come */
		return false;
	}
	if (rpc->err)
		snprintf(why, sizeof(why), "%s: %s", what, strerror(-rpc->err));
	else
		snprintf(why, sizeof(why), "%s: refused with status %u", what, rpc->status);
	fail(s, SYNC_RETRY_MS, why);
	return false;
}

/* ---- what there is here -------------------------------------------------- */

static void ours(struct sync_drive *s, const struct flint_sync_chunk *key,
		 struct flint_sync_chunk *out, bool crcs)
{
	const struct flint_store *st = s->h->t->st;
	const struct flint_chunk *c = flint_chunk_find(&st->index, le32_to_cpu(key->fs),
						       le64_to_cpu(key->ino),
						       le32_to_cpu(key->index));

	memset(out, 0, sizeof(*out));
	out->ino = key->ino;
	out->fs = key->fs;
	out->index = key->index;
	if (!c || !(c->flags & FLINT_CHUNK_STAMPED))
		return;
	out->version = cpu_to_le64(c->version);
	out->tag = cpu_to_le64(c->tag);
	out->gen = cpu_to_le32(flint_inode_at(&st->index, c->inode)->gen);
	out->size = cpu_to_le32(c->size);
	out->crcs = cpu_to_le64(crcs ? flint_chunk_content(st, c) : 0);
}

/* ---- one chunk ----------------------------------------------------------- */

static void xfer_end(struct sync_xfer *x)
{
	struct sync_drive *s = x->s;

	x->used = false;
	if (!s->stop)
		walk(s);
	put(s);
}

static void xfer_again(struct flint_timer *t)
{
	struct sync_xfer *x = t->arg;

	x->again(x);
}

static void xfer_pause(struct sync_xfer *x, u32 ms, void (*again)(struct sync_xfer *x))
{
	x->again = again;
	x->timer.fn = xfer_again;
	x->timer.arg = x;
	flint_timer_set(x->s->h->w->loop, &x->timer, ms);
}

static void repaired(struct repair_wait *w)
{
	struct sync_xfer *x = w->priv;
	struct sync_drive *s = x->s;

	if (s->stop) {
		xfer_end(x);
	} else if (w->status == FLINT_ST_CHECKSUM) {
		fail(s, 12 * SYNC_PAUSE_MS, "a chunk is damaged here and on every other replica: remove its file, or let a replica that has it return");
		xfer_end(x);
	} else {
		x->damaged++;
		xfer_pause(x, w->status == FLINT_OK ? 1 : SYNC_RETRY_MS, transfer);
	}
}

static void sent(struct flint_whole *whole)
{
	struct sync_xfer *x = (struct sync_xfer *)whole;
	struct sync_drive *s = x->s;
	struct chunkd_heal *h = s->h;
	char why[96];

	s->bytes += whole->bytes;
	atomic_fetch_add(&h->sync_bytes, whole->bytes);
	if (s->stop)
		goto end;
	switch (whole->status) {
	case FLINT_OK:
		s->fixes++;
		if (whole->bytes)
			s->sent++;
		else
			s->dropped++;
		break;
	case FLINT_ST_STALE_MAP:
	case FLINT_ST_NOT_SERVING:
		halt(s, SYNC_RETRY_MS);
		break;
	case FLINT_ST_RETRY:
		if (++x->tries < 100) {
			xfer_pause(x, 50, transfer);
			return;
		}
		fail(s, SYNC_PAUSE_MS, "it is too busy");
		break;
	case FLINT_ST_CHECKSUM:
	case EIO:
		if (x->damaged < 3) {
			x->repair.done = repaired;
			x->repair.priv = x;
			repair_chunk(h, whole->fs, whole->ino, whole->index, &x->repair);
			return;
		}
		/* fall through */
	default:
		snprintf(why, sizeof(why), "chunk %u of inode %llu: status %u", whole->index,
			 (unsigned long long)whole->ino, whole->status);
		fail(s, SYNC_PAUSE_MS, whole->status == ENOSPC ? "no space is left there" : why);
	}
end:
	xfer_end(x);
}

static void transfer(struct sync_xfer *x)
{
	const struct flint_sync_chunk *c = &x->todo.chunk;

	x->whole = (struct flint_whole){
		.target = x->s->h->t, .fs = le32_to_cpu(c->fs), .ino = le64_to_cpu(c->ino),
		.index = le32_to_cpu(c->index), .fwd_flags = FLINT_FWD_SYNC, .done = sent,
	};
	flint_chain_send_whole(&x->whole);
}

/* Does what it has agree with ours, as it was when we asked or as it is now? */
static void probed(struct chunkd_ask *a)
{
	struct sync_xfer *x = a->priv;
	struct sync_drive *s = x->s;
	struct flint_sync_chunk now, then = x->before, theirs = x->todo.chunk;

	if (s->stop) {
		xfer_end(x);
		return;
	}
	if (a->rpc.err || a->rpc.status != FLINT_OK || a->rep_len < sizeof(x->got)) {
		if (++x->tries < SYNC_PROBES) {
			xfer_pause(x, SYNC_PROBE_MS, probe);
			return;
		}
		fail(s, SYNC_RETRY_MS, "it does not say what it has of a chunk");
		xfer_end(x);
		return;
	}
	ours(s, &x->todo.chunk, &now, true);
	theirs.version = x->got.version;
	theirs.tag = x->got.tag;
	theirs.gen = x->got.gen;
	theirs.size = x->got.size;
	theirs.crcs = x->got.crcs;
	if (compare_chunk(now.version ? &now : NULL, theirs.version ? &theirs : NULL) ==
	    COMPARE_CONFLICT) {
		x->todo.chunk = now;
		conflict(x, le64_to_cpu(theirs.crcs));
		xfer_end(x);
	} else if ((theirs.version == now.version && theirs.tag == now.tag) ||
		   (theirs.version == then.version && theirs.tag == then.tag)) {
		xfer_end(x);
	} else if (++x->tries < SYNC_PROBES) {
		xfer_pause(x, SYNC_PROBE_MS, probe);
	} else {
		x->tries = 0;
		transfer(x);
	}
}

static void probe(struct sync_xfer *x)
{
	struct sync_drive *s = x->s;
	const struct flint_place *p = &s->at;
	const struct flint_sync_chunk *c = &x->todo.chunk;
	struct flint_chunk_get *body = (void *)x->ask.body;

	ours(s, c, &x->before, false);
	*body = (struct flint_chunk_get){
		.chain = cpu_to_le32(p->chain), .chain_ver = cpu_to_le32(p->chain_ver),
		.target = cpu_to_le32(p->succ), .fs = c->fs, .ino = c->ino, .index = c->index,
	};
	x->ask.rpc = (struct flint_rpc){
		.op = FLINT_OP_CHUNK_GET, .timeout_ms = SYNC_ASK_MS, .body = body,
		.body_len = sizeof(*body),
	};
	x->ask.w = s->h->w;
	x->ask.node = p->succ_node;
	x->ask.rep = &x->got;
	x->ask.rep_room = sizeof(x->got);
	x->ask.done = probed;
	x->ask.priv = x;
	chunkd_ask(&x->ask);
}

static void xfer_start(struct sync_drive *s, struct sync_xfer *x, const struct compare_todo *todo)
{
	memset(x, 0, sizeof(*x));
	x->used = true;
	x->s = s;
	x->todo = *todo;
	s->busy++;
	if (s->round > 1 || todo->verdict == COMPARE_CONFLICT)
		probe(x);
	else
		transfer(x);
}

/* ---- comparison ---------------------------------------------------------- */

static u64 key_of(const struct flint_sync_chunk *c)
{
	return flint_chunk_key(le32_to_cpu(c->fs), le64_to_cpu(c->ino), le32_to_cpu(c->index));
}

/* Their records of a page are in the order of keys, in the page's range, or it is no list. */
static bool page_sound(const struct sync_drive *s)
{
	const struct flint_sync_chunk *c = (const void *)s->list;
	u64 last = s->from;
	u32 i;

	for (i = 0; i < s->nr; i++) {
		u64 key = key_of(&c[i]);

		if (!c[i].ino || key < last || key > s->to)
			return false;
		last = key;
	}
	return true;
}

/* The next key of the page, ours or theirs: what of it differs. Return: false at the end. */
static bool next_key(struct sync_drive *s)
{
	const struct flint_sync_chunk *list = (const void *)s->list;
	const struct flint_store *st = s->h->t->st;
	struct flint_sync_chunk mine[COMPARE_GROUP];
	struct flint_chunk *local[COMPARE_GROUP];
	u32 nr, first = s->pos, i;
	u64 key = 0, want;

	nr = s->looked ? 0 :
	     flint_chunk_next(&st->index, s->from, &key, local, COMPARE_GROUP);
	if (nr > COMPARE_GROUP)
		nr = COMPARE_GROUP;
	if (!nr || key > s->to)
		nr = 0;
	if (!nr && s->pos == s->nr)
		return false;
	want = s->pos < s->nr ? key_of(&list[s->pos]) : ~0ull;
	if (nr && key <= want)
		want = key;
	else
		nr = 0;
	while (s->pos < s->nr && s->pos - first < COMPARE_GROUP && key_of(&list[s->pos]) == want)
		s->pos++;
	for (i = 0; i < nr; i++) {
		struct flint_sync_chunk id = {
			.ino = cpu_to_le64(local[i]->ino), .index = cpu_to_le32(local[i]->index),
			.fs = cpu_to_le32(flint_inode_at(&st->index, local[i]->inode)->fs),
		};

		ours(s, &id, &mine[i], true);
	}
	s->todo_nr = compare_group(mine, nr, &list[first], s->pos - first, s->todo);
	s->todo_at = 0;
	if (want == s->to)	/* nothing can be behind it */
		s->looked = true;
	s->from = want + 1;
	return true;
}

static void page_came(struct chunkd_ask *a)
{
	struct sync_drive *s = a->priv;

	if (answered(s, "its list of chunks")) {
		u64 first = (u64)s->range << (64 - FLINT_SYNC_RANGE_BITS);
		u64 last = first | (~0ull >> FLINT_SYNC_RANGE_BITS);

		s->next = le64_to_cpu(s->rep.cursor);
		s->nr = le32_to_cpu(s->rep.nr);
		s->pos = 0;
		s->todo_at = 0;
		s->todo_nr = 0;
		s->to = s->next ? s->next - 1 : last;
		s->paged = true;
		s->looked = false;
		if (s->nr != a->rpc.rep_data_len / sizeof(struct flint_sync_chunk) ||
		    s->to > last || (s->next && s->next <= s->from) || !page_sound(s))
			fail(s, SYNC_PAUSE_MS, "its list of chunks makes no sense");
		else
			walk(s);
	}
	put(s);
}

static void page_ask(struct sync_drive *s)
{
	struct flint_sync more = {
		.range = cpu_to_le32(s->range), .cursor = cpu_to_le64(s->next),
	};

	s->from = s->next ? s->next : (u64)s->range << (64 - FLINT_SYNC_RANGE_BITS);
	ask_sync(s, FLINT_SYNC_CHUNKS, &more, NULL, 0, s->list, sizeof(s->list), page_came);
}

static bool range_differs(const struct sync_drive *s, u32 range)
{
	return flint_store_sums(s->h->t->st)[range] != le64_to_cpu(s->theirs[range]);
}

/* ---- rounds -------------------------------------------------------------- */

static void sums_ask(struct sync_drive *s);
static void inodes_send(struct sync_drive *s);

static void round_end(struct sync_drive *s)
{
	if (s->phase != SYNC_LISTING)
		return;
	if (s->fixes && s->round >= SYNC_ROUNDS) {
		fail(s, SYNC_PAUSE_MS, "chunks still differ after many rounds");
	} else if (s->fixes) {
		sums_ask(s);
	} else {
		s->phase = SYNC_FINISHING;
		s->cursor = 0;
		inodes_send(s);
	}
}

static void sums_came(struct chunkd_ask *a)
{
	struct sync_drive *s = a->priv;
	struct chunkd_heal *h = s->h;

	if (answered(s, "its sums")) {
		u32 i;

		s->round++;
		s->fixes = 0;
		s->range = 0;
		s->next = 0;
		s->paged = false;
		s->differ = 0;
		s->done = 0;
		for (i = 0; i < FLINT_SYNC_RANGES; i++)
			s->differ += range_differs(s, i);
		if (s->round == 1) {
			atomic_store(&h->sync_done, 0);
			atomic_store(&h->sync_total, flint_store_used(h->t->st) /
				     FLINT_SYNC_RANGES * s->differ + 1);
		}
		if (a->rpc.rep_data_len != sizeof(s->theirs))
			fail(s, SYNC_PAUSE_MS, "its sums make no sense");
		else
			walk(s);
	}
	put(s);
}

static void sums_ask(struct sync_drive *s)
{
	ask_sync(s, FLINT_SYNC_SUMS, NULL, NULL, 0, s->theirs, sizeof(s->theirs), sums_came);
}

static void range_over(struct sync_drive *s)
{
	struct chunkd_heal *h = s->h;

	s->done++;
	s->range++;
	s->next = 0;
	s->paged = false;
	if (s->round == 1 && s->differ)
		atomic_store(&h->sync_done, (u64)((double)atomic_load(&h->sync_total) *
						  (s->done < s->differ ? s->done : s->differ) /
						  s->differ));
}

static struct sync_xfer *slot(struct sync_drive *s)
{
	u32 i;

	for (i = 0; i < SYNC_WINDOW; i++)
		if (!s->xfer[i].used)
			return &s->xfer[i];
	return NULL;
}

static void throttle_over(struct flint_timer *t)
{
	struct sync_drive *s = t->arg;

	walk(s);
	put(s);
}

/* May this much be moved now? Else the walk goes on later. */
static bool may_move(struct sync_drive *s, const struct compare_todo *todo)
{
	struct chunkd_heal *h = s->h;
	u64 wait;

	flint_throttle_limit(&h->work, atomic_load(&h->sync_rate));
	wait = flint_throttle_take(&h->work, todo->verdict == COMPARE_SEND ?
				   le32_to_cpu(todo->chunk.size) : 4096, h->t->queued,
				   flint_now_ns());
	if (!wait)
		return true;
	s->throttle.fn = throttle_over;
	s->throttle.arg = s;
	flint_timer_set(h->w->loop, &s->throttle, wait / 1000000 + 1);
	s->busy++;
	return false;
}

/* Look for what differs, as far as there are free slots. */
static void walk(struct sync_drive *s)
{
	while (!s->stop && s->phase == SYNC_LISTING && !s->throttle.due_ns) {
		struct sync_xfer *x = slot(s);

		if (!x)
			return;
		if (s->paged && s->todo_at < s->todo_nr) {
			if (may_move(s, &s->todo[s->todo_at]))
				xfer_start(s, x, &s->todo[s->todo_at++]);
			continue;
		}
		if (s->paged && next_key(s))
			continue;
		if (s->paged && !s->next) {
			range_over(s);
			continue;
		}
		if (!s->paged && !s->next) {
			while (s->range < FLINT_SYNC_RANGES && !range_differs(s, s->range))
				s->range++;
			if (s->range == FLINT_SYNC_RANGES)
				break;
		}
		if (s->asking)
			return;
		s->paged = false;
		page_ask(s);
		return;
	}
	if (!s->stop && s->phase == SYNC_LISTING && s->range == FLINT_SYNC_RANGES && s->busy == 1)
		round_end(s);
}

/* ---- the rest ------------------------------------------------------------ */

static void done_came(struct chunkd_ask *a)
{
	struct sync_drive *s = a->priv;
	double secs = (double)(flint_now_ns() - s->began_ns) / 1e9;

	if (answered(s, "the end of recovery")) {
		flint_info("%s: target %u of chain %u is up to date: %llu chunks (%llu bytes) sent, %llu removed, in %.1f s",
			   s->h->t->st->name, s->at.succ, s->at.chain,
			   (unsigned long long)s->sent, (unsigned long long)s->bytes,
			   (unsigned long long)s->dropped, secs);
		halt(s, 2 * SYNC_PAUSE_MS);	/* should the managers not take it in, once more */
	}
	put(s);
}

static void clients_send(struct sync_drive *s);

static void clients_came(struct chunkd_ask *a)
{
	struct sync_drive *s = a->priv;

	if (answered(s, "what clients were answered"))
		clients_send(s);
	put(s);
}

static void clients_send(struct sync_drive *s)
{
	struct flint_sync more = { 0 };
	u32 nr = 0;
	int len = flint_store_list_clients(s->h->t->st, &s->clients, s->list, sizeof(s->list), &nr);

	if (len < 0) {
		fail(s, SYNC_PAUSE_MS, "no memory");
		return;
	}
	if (!nr) {
		ask_sync(s, FLINT_SYNC_DONE, NULL, NULL, 0, NULL, 0, done_came);
		return;
	}
	more.nr = cpu_to_le32(nr);
	ask_sync(s, FLINT_SYNC_CLIENTS, &more, s->list, (u32)len, NULL, 0, clients_came);
}

static void inodes_came(struct chunkd_ask *a)
{
	struct sync_drive *s = a->priv;

	if (answered(s, "the inodes")) {
		if (s->cursor)
			inodes_send(s);
		else
			clients_send(s);
	}
	put(s);
}

static void inodes_send(struct sync_drive *s)
{
	u32 nr = flint_store_list_inodes(s->h->t->st, &s->cursor, (void *)s->list,
					 sizeof(s->list) / sizeof(struct flint_sync_inode));
	struct flint_sync more = { .nr = cpu_to_le32(nr) };

	if (!nr)
		clients_send(s);
	else
		ask_sync(s, FLINT_SYNC_INODES, &more, s->list,
			 nr * (u32)sizeof(struct flint_sync_inode), NULL, 0, inodes_came);
}

/* ---- beginning ----------------------------------------------------------- */

static void begin_came(struct chunkd_ask *a)
{
	struct sync_drive *s = a->priv;

	if (answered(s, "the beginning")) {
		flint_info("%s: recovery of target %u of chain %u begins: %llu chunks are there, %u here",
			   s->h->t->st->name, s->at.succ, s->at.chain,
			   (unsigned long long)le64_to_cpu(s->rep.chunks),
			   s->h->t->st->index.chunks.used);
		sums_ask(s);
	}
	put(s);
}

static bool wanted(const struct chunkd_heal *h)
{
	const struct flint_place *p = &h->t->at;

	return !h->closing && !h->t->st->offline && p->role == FLINT_CHAIN_SERVING && p->succ &&
	       p->succ_syncing &&
	       flint_chain_at(p->chain, p->chain_ver) != h->conflict_at;
}

void sync_look(struct chunkd_heal *h)
{
	struct sync_drive *s = h->drive;

	if (s) {
		if (wanted(h) && !memcmp(&s->at, &h->t->at, sizeof(s->at)))
			return;
		s->busy++;
		halt(s, 1);
		put(s);
		return;
	}
	if (!wanted(h))
		return;
	flint_timer_cancel(h->w->loop, &h->sync_timer);
	s = calloc(1, sizeof(*s));
	if (!s) {
		flint_timer_set(h->w->loop, &h->sync_timer, SYNC_PAUSE_MS);
		return;
	}
	s->h = h;
	s->at = h->t->at;
	s->began_ns = flint_now_ns();
	h->drive = s;
	ask_sync(s, FLINT_SYNC_BEGIN, NULL, NULL, 0, NULL, 0, begin_came);
}

void sync_free(struct chunkd_heal *h)
{
	free(h->drive);
	h->drive = NULL;
}

bool sync_stop(struct chunkd_heal *h)
{
	struct sync_drive *s = h->drive;

	if (s) {
		s->busy++;
		halt(s, 1);
		put(s);
	}
	return !h->drive;
}
