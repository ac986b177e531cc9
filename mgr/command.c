// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands: how a change of the managers' state travels through the log.
 *
 *	u8 version (2), u8 flags, u16 0, u32 number of records
 *	u64 seq		of the state after it; the state before has seq - 1
 *	u64 epoch	of the map after it
 *	records: u8 type, u8 0, u16 0, u32 length, then the fields
 *
 * All little-endian, without padding. Records grow at their end; what an older
 * version did not write is taken as 0. A whole command (MGR_CMD_WHOLE) replaces
 * everything: it is the first of a cluster, and the snapshot for a manager
 * that is far behind.
 *
 * A command is applied to a copy, which is checked and then takes the place of
 * the state: one that makes no sense changes nothing, on any manager.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

#include "state.h"

#define MGR_CMD_VERSION	2	/* 1 had neither history nor what tells processes apart */
#define MGR_CMD_WHOLE	0x1
#define MGR_CMD_HDR	24

enum mgr_record {
	MGR_REC_SETTINGS	= 1,
	MGR_REC_NODE		= 2,
	MGR_REC_NODE_GONE	= 3,
	MGR_REC_TARGET		= 4,
	MGR_REC_CHAIN		= 5,
	MGR_REC_TABLE		= 6,
	MGR_REC_FS		= 7,
	MGR_REC_FS_GONE		= 8,
	MGR_REC_TOKEN		= 9,
	MGR_REC_TOKEN_GONE	= 10,
	MGR_REC_EVENT		= 11,
	MGR_REC_TARGET_GONE	= 12,
	MGR_REC_JOB		= 13,
	MGR_REC_JOB_GONE	= 14,
};

/* ---- writing ---------------------------------------------------------- */

/* @bad: memory is short; everything after that is ignored. */
struct mgr_writer {
	u8 *buf;
	size_t len, room;
	size_t record;			/* where the open record's header is */
	u32 nr;
	bool bad;
};

static void w_bytes(struct mgr_writer *w, const void *p, size_t n)
{
	u8 *buf;

	if (w->len + n > w->room && !w->bad) {
		buf = realloc(w->buf, (w->len + n) * 2 + 256);
		if (buf) {
			w->buf = buf;
			w->room = (w->len + n) * 2 + 256;
		}
		w->bad = !buf;
	}
	if (w->bad)
		return;
	memcpy(w->buf + w->len, p, n);
	w->len += n;
}

static void w_u8(struct mgr_writer *w, u8 v)
{
	w_bytes(w, &v, 1);
}

static void w_u16(struct mgr_writer *w, u16 v)
{
	__le16 x = cpu_to_le16(v);

	w_bytes(w, &x, sizeof(x));
}

static void w_u32(struct mgr_writer *w, u32 v)
{
	__le32 x = cpu_to_le32(v);

	w_bytes(w, &x, sizeof(x));
}

static void w_u64(struct mgr_writer *w, u64 v)
{
	__le64 x = cpu_to_le64(v);

	w_bytes(w, &x, sizeof(x));
}

static void w_begin(struct mgr_writer *w, u8 type)
{
	w->record = w->len;
	w->nr++;
	w_u8(w, type);
	w_u8(w, 0);
	w_u16(w, 0);
	w_u32(w, 0);
}

static void w_end(struct mgr_writer *w)
{
	__le32 len = cpu_to_le32(w->len - w->record - 8);

	if (!w->bad)
		memcpy(w->buf + w->record + 4, &len, sizeof(len));
}

static void w_settings(struct mgr_writer *w, const struct mgr_settings *s)
{
	w_begin(w, MGR_REC_SETTINGS);
	w_bytes(w, s->cluster_id, sizeof(s->cluster_id));
	w_bytes(w, s->cluster_name, sizeof(s->cluster_name));
	w_u32(w, s->lease_ms);
	w_u32(w, s->next_node);
	w_u32(w, s->next_fs);
	w_u32(w, s->meta_founder_node);
	w_u64(w, s->meta_group);
	w_u64(w, s->meta_founder);
	w_u64(w, s->meta_term);
	w_u64(w, s->tokens_from);
	w_u8(w, s->meta_founded);
	w_u64(w, s->recovery_bps);
	w_u32(w, s->scrub_days);
	w_u32(w, s->lease_wish);
	w_u32(w, s->fence_ms);
	w_u8(w, s->frozen);
	w_end(w);
}

static void w_nodes(struct mgr_writer *w, const struct mgr_state *st, bool all)
{
	u32 i;

	for (i = 0; i < st->nr_nodes; i++) {
		const struct mgr_node *n = &st->nodes[i];

		if (n->gone) {
			w_begin(w, MGR_REC_NODE_GONE);
			w_u32(w, n->id);
			w_end(w);
		} else if (n->dirty || all) {
			w_begin(w, MGR_REC_NODE);
			w_u32(w, n->id);
			w_u8(w, n->role);
			w_u8(w, n->state);
			w_u16(w, n->http_port);
			w_bytes(w, n->name, sizeof(n->name));
			w_bytes(w, n->addrs, sizeof(n->addrs));
			w_u8(w, n->draining);
			w_bytes(w, n->host, sizeof(n->host));
			w_bytes(w, n->rack, sizeof(n->rack));
			w_end(w);
		}
	}
}

static void w_targets(struct mgr_writer *w, const struct mgr_state *st, bool all)
{
	u32 i;

	for (i = 0; i < st->nr_targets; i++) {
		const struct mgr_target *t = &st->targets[i];

		if (t->gone) {
			w_begin(w, MGR_REC_TARGET_GONE);
			w_u32(w, t->id);
			w_end(w);
			continue;
		}
		if (!t->dirty && !all)
			continue;
		w_begin(w, MGR_REC_TARGET);
		w_u32(w, t->id);
		w_u32(w, t->node);
		w_u32(w, t->chain);
		w_u8(w, t->state);
		w_u8(w, t->local);
		w_u16(w, 0);
		w_bytes(w, t->uuid, sizeof(t->uuid));
		w_u64(w, t->capacity);
		w_u64(w, t->used);
		w_u64(w, t->incarnation);
		w_u32(w, t->state_ver);
		w_u8(w, t->wish);
		w_u8(w, t->draining);
		w_end(w);
	}
}

static void w_chains(struct mgr_writer *w, const struct mgr_state *st, bool all)
{
	u32 i, j;

	for (i = 0; i < st->nr_chains; i++) {
		const struct mgr_chain *c = &st->chains[i];

		if (!c->dirty && !all)
			continue;
		w_begin(w, MGR_REC_CHAIN);
		w_u32(w, c->id);
		w_u32(w, c->version);
		w_u32(w, c->nr);
		for (j = 0; j < c->nr; j++)
			w_u32(w, c->targets[j]);
		w_end(w);
	}
	for (i = 0; i < st->nr_tables; i++) {
		const struct mgr_table *t = &st->tables[i];

		if (!t->dirty && !all)
			continue;
		w_begin(w, MGR_REC_TABLE);
		w_u32(w, t->id);
		w_u32(w, t->version);
		w_u32(w, t->nr);
		for (j = 0; j < t->nr; j++)
			w_u32(w, t->chains[j]);
		w_end(w);
	}
}

static void w_fs(struct mgr_writer *w, const struct mgr_state *st, bool all)
{
	u32 i;

	for (i = 0; i < st->nr_fs; i++) {
		const struct mgr_fs *fs = &st->fs[i];

		if (fs->gone) {
			w_begin(w, MGR_REC_FS_GONE);
			w_u32(w, fs->id);
			w_end(w);
		} else if (fs->dirty || all) {
			w_begin(w, MGR_REC_FS);
			w_u32(w, fs->id);
			w_u32(w, fs->meta_node);
			w_u64(w, fs->root_ino);
			w_bytes(w, fs->name, sizeof(fs->name));
			w_bytes(w, &fs->layout, sizeof(fs->layout));
			w_end(w);
		}
	}
}

static void w_tokens(struct mgr_writer *w, const struct mgr_state *st, bool all)
{
	u32 i;

	for (i = 0; i < st->nr_tokens; i++) {
		const struct mgr_token *t = &st->tokens[i];
		const struct flint_token *c = mgr_token_claims(t);

		if (t->gone) {
			w_begin(w, MGR_REC_TOKEN_GONE);
			w_u64(w, t->id);
			w_end(w);
		} else if (t->dirty || all) {
			w_begin(w, MGR_REC_TOKEN);
			w_u8(w, t->revoked);
			w_bytes(w, t->note, sizeof(t->note));
			w_u16(w, flint_token_len(c));
			w_bytes(w, c, flint_token_len(c));
			w_end(w);
		}
	}
}

static void w_jobs(struct mgr_writer *w, const struct mgr_state *st, bool all)
{
	u32 i, k;

	for (i = 0; i < st->nr_jobs; i++) {
		const struct mgr_job *j = &st->jobs[i];

		if (j->gone) {
			w_begin(w, MGR_REC_JOB_GONE);
			w_u32(w, j->id);
			w_end(w);
		} else if (j->dirty || all) {
			w_begin(w, MGR_REC_JOB);
			w_u32(w, j->id);
			w_u8(w, j->kind);
			w_u8(w, j->state);
			w_u16(w, j->nr_moves);
			w_u32(w, j->subject);
			w_u32(w, j->arg);
			w_u32(w, j->parallel);
			w_u32(w, j->done);
			w_u32(w, j->left);
			w_u64(w, j->bytes);
			w_u64(w, j->began_ns);
			w_u64(w, j->ended_ns);
			w_bytes(w, j->why, sizeof(j->why));
			for (k = 0; k < j->nr_moves; k++) {
				w_u32(w, j->moves[k].chain);
				w_u32(w, j->moves[k].from);
				w_u32(w, j->moves[k].to);
			}
			w_end(w);
		}
	}
}

/* A command stamps what it brings; @time_ns is 0 for records that have their time. */
static void w_events(struct mgr_writer *w, const struct mgr_state *st, bool all, u64 epoch,
		     u64 time_ns)
{
	u32 i = st->nr_events;

	while (!all && i > 0 && st->events[i - 1].dirty)
		i--;
	for (i = all ? 0 : i; i < st->nr_events; i++) {
		const struct mgr_event *e = &st->events[i];

		w_begin(w, MGR_REC_EVENT);
		w_u64(w, e->seq);
		w_u64(w, e->time_ns ? e->time_ns : time_ns);
		w_u64(w, e->epoch ? e->epoch : epoch);
		w_u32(w, e->chain);
		w_u32(w, e->version);
		w_u32(w, e->target);
		w_u32(w, e->node);
		w_u8(w, e->kind);
		w_u8(w, e->from);
		w_u8(w, e->to);
		w_u8(w, e->reason);
		w_end(w);
	}
}

static void w_header(struct mgr_writer *w, u8 flags, u64 seq, u64 epoch)
{
	w_u8(w, MGR_CMD_VERSION);
	w_u8(w, flags);
	w_u16(w, 0);
	w_u32(w, 0);
	w_u64(w, seq);
	w_u64(w, epoch);
}

/* Return: 0, -ENOMEM, -E2BIG; w->buf holds the command. */
static int w_state(struct mgr_writer *w, const struct mgr_state *st, bool whole, u64 seq, u64 epoch,
		   u64 time_ns)
{
	__le32 nr;

	w_header(w, whole ? MGR_CMD_WHOLE : 0, seq, epoch);
	if (st->set.dirty || whole)
		w_settings(w, &st->set);
	w_nodes(w, st, whole);
	w_targets(w, st, whole);
	w_chains(w, st, whole);
	w_fs(w, st, whole);
	w_tokens(w, st, whole);
	w_jobs(w, st, whole);
	w_events(w, st, whole, epoch, time_ns);
	if (w->bad || w->len > MGR_COMMAND_MAX) {
		free(w->buf);
		w->buf = NULL;
		return w->bad ? -ENOMEM : -E2BIG;
	}
	nr = cpu_to_le32(w->nr);
	memcpy(w->buf + 4, &nr, sizeof(nr));
	return 0;
}

static u64 mgr_wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/**
 * mgr_command_encode() - make a command of all dirty records
 * @st: the next state; afterwards nothing in it is dirty, and its seq and epoch
 *	are those after the command
 * @visible: the change shows in the map: raise the epoch with it
 * @whole: of all records, to found a cluster or as a snapshot; seq and epoch
 *	stay as they are
 * @out: result, malloced
 * @len: result
 *
 * Pointers to records are invalid afterwards.
 *
 * Return: 0; -ENOMEM or -E2BIG with nothing changed.
 */
int mgr_command_encode(struct mgr_state *st, bool visible, bool whole, u8 **out, u32 *len)
{
	u64 seq = st->seq + !whole, epoch = st->epoch + (visible && !whole);
	struct mgr_writer w = { 0 };
	u64 time_ns = mgr_wall_ns();
	int ret = w_state(&w, st, whole, seq, epoch, time_ns);
	u32 i;

	if (ret)
		return ret;
	st->seq = seq;
	st->epoch = epoch;
	for (i = st->nr_events; i-- > 0 && !st->events[i].time_ns;) {
		st->events[i].time_ns = time_ns;
		st->events[i].epoch = epoch;
	}
	mgr_state_settle(st);
	*out = w.buf;
	*len = w.len;
	return 0;
}

u64 mgr_state_checksum(const struct mgr_state *st)
{
	struct mgr_writer w = { 0 };
	u64 sum;

	if (w_state(&w, st, true, st->seq, st->epoch, 0))
		return 0;
	sum = XXH3_64bits(w.buf, w.len);
	free(w.buf);
	return sum;
}

/* ---- reading ---------------------------------------------------------- */

/* @bad: more was asked for than there is; everything read after that is 0. */
struct mgr_reader {
	const u8 *p;
	size_t left;
	bool bad;
};

static void r_bytes(struct mgr_reader *r, void *dst, size_t n)
{
	if (r->bad || r->left < n) {
		r->bad = true;
		memset(dst, 0, n);
		return;
	}
	memcpy(dst, r->p, n);
	r->p += n;
	r->left -= n;
}

static u8 r_u8(struct mgr_reader *r)
{
	u8 v;

	r_bytes(r, &v, sizeof(v));
	return v;
}

static u16 r_u16(struct mgr_reader *r)
{
	__le16 v;

	r_bytes(r, &v, sizeof(v));
	return le16_to_cpu(v);
}

static u32 r_u32(struct mgr_reader *r)
{
	__le32 v;

	r_bytes(r, &v, sizeof(v));
	return le32_to_cpu(v);
}

static u64 r_u64(struct mgr_reader *r)
{
	__le64 v;

	r_bytes(r, &v, sizeof(v));
	return le64_to_cpu(v);
}

static int r_settings(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_settings *s = &st->set;

	r_bytes(r, s->cluster_id, sizeof(s->cluster_id));
	r_bytes(r, s->cluster_name, sizeof(s->cluster_name));
	s->lease_ms = r_u32(r);
	s->next_node = r_u32(r);
	s->next_fs = r_u32(r);
	s->meta_founder_node = r_u32(r);
	s->meta_group = r_u64(r);
	s->meta_founder = r_u64(r);
	s->meta_term = r_u64(r);
	s->tokens_from = r_u64(r);
	s->meta_founded = r_u8(r) != 0;
	s->recovery_bps = r->left ? r_u64(r) : 0;
	s->scrub_days = r->left ? r_u32(r) : 0;
	s->lease_wish = r->left ? r_u32(r) : 0;
	s->fence_ms = r->left ? r_u32(r) : s->lease_ms;
	s->frozen = r->left && r_u8(r);
	s->dirty = true;
	return 0;
}

static int r_node(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_node *n = mgr_node_put(st, r_u32(r));

	if (!n)
		return -ENOMEM;
	n->role = r_u8(r);
	n->state = r_u8(r);
	n->http_port = r_u16(r);
	r_bytes(r, n->name, sizeof(n->name));
	r_bytes(r, n->addrs, sizeof(n->addrs));
	n->draining = r->left && r_u8(r);
	if (r->left) {
		r_bytes(r, n->host, sizeof(n->host));
		r_bytes(r, n->rack, sizeof(n->rack));
	}
	return 0;
}

static int r_node_gone(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_node *n = mgr_node_find(st, r_u32(r));

	if (!n)
		return -EPROTO;
	n->gone = true;
	return 0;
}

static int r_target(struct mgr_reader *r, struct mgr_state *st)
{
	u32 id = r_u32(r);
	bool known = mgr_target_find(st, id);
	struct mgr_target *t = mgr_target_add(st, id);

	if (!t)
		return -ENOMEM;
	t->node = r_u32(r);
	t->chain = r_u32(r);
	t->state = r_u8(r);
	t->local = r_u8(r);
	r_u16(r);
	r_bytes(r, t->uuid, sizeof(t->uuid));
	t->capacity = r_u64(r);
	t->used = r_u64(r);
	t->incarnation = r->left ? r_u64(r) : 0;
	t->state_ver = r->left ? r_u32(r) : 0;
	t->wish = r->left ? r_u8(r) : 0;
	t->draining = r->left && r_u8(r);
	if (!known)
		t->live.used = t->used;
	return 0;
}

static int r_target_gone(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_target *t = mgr_target_find(st, r_u32(r));

	if (!t || t->chain)
		return -EPROTO;
	t->gone = true;
	return 0;
}

static int r_job(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_job *j = mgr_job_put(st, r_u32(r));
	u32 i;

	if (!j)
		return -ENOMEM;
	j->kind = r_u8(r);
	j->state = r_u8(r);
	j->nr_moves = r_u16(r);
	j->subject = r_u32(r);
	j->arg = r_u32(r);
	j->parallel = r_u32(r);
	j->done = r_u32(r);
	j->left = r_u32(r);
	j->bytes = r_u64(r);
	j->began_ns = r_u64(r);
	j->ended_ns = r_u64(r);
	r_bytes(r, j->why, sizeof(j->why));
	if (r->bad || !mgr_job_sane(j))
		return -EPROTO;
	for (i = 0; i < j->nr_moves; i++) {
		j->moves[i].chain = r_u32(r);
		j->moves[i].from = r_u32(r);
		j->moves[i].to = r_u32(r);
	}
	if (st->next_job <= j->id)
		st->next_job = j->id + 1;
	return 0;
}

static int r_job_gone(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_job *j = mgr_job_find(st, r_u32(r));

	if (!j)
		return -EPROTO;
	j->gone = true;
	return 0;
}

static int r_chain(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_chain *c = mgr_chain_put(st, r_u32(r));
	u32 nr, i;

	if (!c)
		return -ENOMEM;
	c->version = r_u32(r);
	nr = r_u32(r);
	if (nr > FLINT_CHAIN_MAX)
		return -EPROTO;
	memset(c->targets, 0, sizeof(c->targets));
	c->nr = nr;
	for (i = 0; i < nr; i++)
		c->targets[i] = r_u32(r);
	return 0;
}

static int r_table(struct mgr_reader *r, struct mgr_state *st)
{
	u32 id = r_u32(r), version = r_u32(r), nr = r_u32(r), i;
	struct mgr_table *t;

	if (r->bad || nr > r->left / sizeof(u32) || mgr_table_find(st, id, version))
		return -EPROTO;
	t = mgr_table_add(st, id, version, nr);
	if (!t)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		t->chains[i] = r_u32(r);
	return 0;
}

static int r_fs(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_fs *fs = mgr_fs_put(st, r_u32(r));

	if (!fs)
		return -ENOMEM;
	fs->meta_node = r_u32(r);
	fs->root_ino = r_u64(r);
	r_bytes(r, fs->name, sizeof(fs->name));
	r_bytes(r, &fs->layout, sizeof(fs->layout));
	return 0;
}

static int r_fs_gone(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_fs *fs = mgr_fs_find(st, r_u32(r));

	if (!fs)
		return -EPROTO;
	fs->gone = true;
	return 0;
}

static int r_token(struct mgr_reader *r, struct mgr_state *st)
{
	u64 claims[FLINT_TOKEN_MAX / 8 + 1];
	bool revoked = r_u8(r) != 0;
	struct mgr_token *t;
	char note[sizeof(t->note)];
	u16 len;

	r_bytes(r, note, sizeof(note));
	len = r_u16(r);
	if (len > FLINT_TOKEN_MAX)
		return -EPROTO;
	r_bytes(r, claims, len);
	if (r->bad || flint_token_check(claims, len))
		return -EPROTO;
	t = mgr_token_put(st, (const struct flint_token *)claims);
	if (!t)
		return -ENOMEM;
	t->revoked = revoked;
	memcpy(t->note, note, sizeof(note));
	return 0;
}

static int r_token_gone(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_token *t = mgr_token_find(st, r_u64(r));

	if (!t)
		return -EPROTO;
	t->gone = true;
	return 0;
}

static int r_event(struct mgr_reader *r, struct mgr_state *st)
{
	struct mgr_event e = { 0 };

	e.seq = r_u64(r);
	e.time_ns = r_u64(r);
	e.epoch = r_u64(r);
	e.chain = r_u32(r);
	e.version = r_u32(r);
	e.target = r_u32(r);
	e.node = r_u32(r);
	e.kind = r_u8(r);
	e.from = r_u8(r);
	e.to = r_u8(r);
	e.reason = r_u8(r);
	if (r->bad || !e.seq || !e.time_ns || e.seq < st->next_event)
		return -EPROTO;
	return mgr_event_put(st, &e) ? 0 : -ENOMEM;
}

static int (* const mgr_record_fns[])(struct mgr_reader *r, struct mgr_state *st) = {
	[MGR_REC_SETTINGS] = r_settings,
	[MGR_REC_NODE] = r_node,
	[MGR_REC_NODE_GONE] = r_node_gone,
	[MGR_REC_TARGET] = r_target,
	[MGR_REC_CHAIN] = r_chain,
	[MGR_REC_TABLE] = r_table,
	[MGR_REC_FS] = r_fs,
	[MGR_REC_FS_GONE] = r_fs_gone,
	[MGR_REC_TOKEN] = r_token,
	[MGR_REC_TOKEN_GONE] = r_token_gone,
	[MGR_REC_EVENT] = r_event,
	[MGR_REC_TARGET_GONE] = r_target_gone,
	[MGR_REC_JOB] = r_job,
	[MGR_REC_JOB_GONE] = r_job_gone,
};

/* Return: 0, -EPROTO, -ENOMEM. */
static int r_records(struct mgr_reader *r, u32 nr, struct mgr_state *st)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct mgr_reader one;
		u8 type = r_u8(r);
		int ret;

		r_u8(r);
		r_u16(r);
		one.left = r_u32(r);
		one.p = r->p;
		one.bad = false;
		if (r->bad || one.left > r->left || !type ||
		    type >= sizeof(mgr_record_fns) / sizeof(mgr_record_fns[0]))
			return -EPROTO;
		r->p += one.left;
		r->left -= one.left;
		ret = mgr_record_fns[type](&one, st);
		if (ret)
			return ret;
		if (one.bad || one.left)
			return -EPROTO;
	}
	return r->left ? -EPROTO : 0;
}

/**
 * mgr_command_apply() - let a committed command happen
 * @st: the committed state; records of the command are dirty afterwards, so
 *	that mgr_db_write() can write them; mgr_state_settle() follows
 * @cmd, @len: from the log
 * @whole: result: everything was replaced
 * @why: one sentence when it is refused
 *
 * Return: 0; -EPROTO: it makes no sense, or follows upon another state, and
 * nothing has changed; -ENOMEM.
 */
int mgr_command_apply(struct mgr_state *st, const void *cmd, u32 len, bool *whole, char *why,
		      size_t whylen)
{
	struct mgr_reader r = { .p = cmd, .left = len };
	u8 version = r_u8(&r), flags = r_u8(&r);
	struct mgr_state *next;
	u64 seq, epoch;
	u32 nr;
	int ret;

	r_u16(&r);
	nr = r_u32(&r);
	seq = r_u64(&r);
	epoch = r_u64(&r);
	if (r.bad || !version || version > MGR_CMD_VERSION || (flags & ~MGR_CMD_WHOLE)) {
		snprintf(why, whylen, "a command of version %u is not known here: upgrade this manager",
			 version);
		return -EPROTO;
	}
	*whole = flags & MGR_CMD_WHOLE;
	if (!*whole && (seq != st->seq + 1 || (epoch != st->epoch && epoch != st->epoch + 1))) {
		snprintf(why, whylen,
			 "command %llu was made for another state than %llu and is not applied",
			 (unsigned long long)seq, (unsigned long long)st->seq);
		return -EPROTO;
	}
	next = *whole ? calloc(1, sizeof(*next)) : mgr_state_clone(st);
	if (!next)
		return -ENOMEM;
	next->seq = seq;
	next->epoch = epoch;
	if (*whole)
		next->next_event = 1;
	ret = r_records(&r, nr, next);
	if (ret == -EPROTO)
		snprintf(why, whylen, "command %llu is malformed and is not applied",
			 (unsigned long long)seq);
	if (!ret)
		ret = mgr_state_check(next, why, whylen);
	if (ret) {
		mgr_state_free(next);
		return ret;
	}
	if (*whole)
		mgr_state_keep_live(next, st);
	mgr_state_clear(st);
	*st = *next;
	free(next);
	return 0;
}
