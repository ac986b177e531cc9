// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots: the state of a leader for a member whose log is too far behind.
 *
 * The owner makes a file ("snap-out") in the background; it is sent to whoever
 * needs one, piece by piece, each read and checksummed on a thread of its own.
 * The receiver says how much it has, so a transfer that broke goes on where it
 * stopped. When the file ("snap-in") is whole, it is synced and called
 * "snap-load", and the core is asked whether to take it. From then on raft.db says
 * that the state is in that file, until the owner has loaded it: a crash at any
 * moment is found at the next start (struct flint_raft_root.loading).
 *
 *	sender		MAKE --> for each member: ASK -> (READ -> SEND)* -> FINISH
 *	receiver	RECEIVE --> SYNC --> LOAD
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node_int.h"
#include "work.h"
#include "../base/crc.h"
#include "../base/daemon.h"
#include "../base/log.h"

#define PIECE		(128u << 10)
#define KEEP_NS		60000000000ull	/* a file that nobody needs is kept so long */
#define FINISH_MS	200
#define RPC_MS		5000		/* times the scale */

enum made { MADE_NONE, MADE_ASKED, MADE_READY };

enum step { STEP_WAIT, STEP_ASK, STEP_READ, STEP_SEND, STEP_FINISH, STEP_END };

/**
 * struct transfer - a snapshot on its way to one member
 * @busy: a request or a read is under way; the transfer stays until it is over
 */
struct transfer {
	struct flint_work work;
	struct flint_rpc rpc;
	struct flint_raft *r;
	u64 peer, need;
	enum step step;
	bool busy, over, ok;
	u64 offset, next_ns;
	u32 len;
	int err;
	struct flint_raft_snap body;
	u8 *buf;
	struct transfer *next;
};

enum in_state { IN_NONE, IN_RECEIVE, IN_SYNC, IN_LOAD };

/* What is being received. One at a time; a newer one takes its place. */
struct incoming {
	struct flint_work work;
	struct flint_raft *r;
	enum in_state state;
	bool busy;
	u64 id, index, term, total, have, from;
	u32 conf_len;
	u8 conf[FLINT_RAFT_CONF_MAX];
	int fd;
	struct flint_call *call;	/* whose piece is being written */
	const u8 *data;
	u32 len;
	int err;
};

struct snaps {
	struct flint_worker *worker;
	/* outgoing */
	enum made made;
	u64 index, term, id, total, used_ns, floor;
	u32 conf_len;
	u8 conf[FLINT_RAFT_CONF_MAX];
	int fd;
	struct transfer *transfers;
	/* incoming */
	struct incoming in;
};

static void path_of(const struct flint_raft *r, const char *name, char *out, size_t len)
{
	snprintf(out, len, "%s/snap-%s", r->dir, name);
}

static void unlink_name(const struct flint_raft *r, const char *name)
{
	char path[600];

	path_of(r, name, path, sizeof(path));
	unlink(path);
}

/* ---- making ------------------------------------------------------------------- */

static void made_drop(struct flint_raft *r)
{
	struct snaps *s = r->snaps;

	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	if (s->made == MADE_READY)
		unlink_name(r, "out");
	s->made = MADE_NONE;
}

static void make(struct flint_raft *r)
{
	struct snaps *s = r->snaps;
	char path[600];

	made_drop(r);
	unlink_name(r, "out");
	path_of(r, "out", path, sizeof(path));
	s->made = MADE_ASKED;
	s->floor = r->durable > r->root.base ? r->durable : r->root.base;
	r->ops->snapshot_make(r->arg, path);
}

void flint_raft_snapshot_made(struct flint_raft *r, int err, u64 index, u64 term)
{
	struct snaps *s = r->snaps;
	char path[600];
	struct stat sb;

	if (r->stopping || s->made != MADE_ASKED)
		return;
	path_of(r, "out", path, sizeof(path));
	s->made = MADE_NONE;
	if (!err && (index < r->root.base || index > r->commit))
		err = -ESTALE;
	if (!err) {
		s->fd = open(path, O_RDONLY | O_CLOEXEC);
		if (s->fd < 0 || fstat(s->fd, &sb))
			err = -errno;
	}
	if (err) {
		flint_warn_rl("a snapshot of %s could not be made (%s): it will be tried again",
			      r->what, strerror(-err));
		s->made = MADE_READY;	/* so that the file goes */
		made_drop(r);
		return;
	}
	s->made = MADE_READY;
	s->index = index;
	s->term = term;
	s->id = flint_random_u64();
	s->total = sb.st_size;
	s->used_ns = flint_now_ns();
	s->conf_len = raft_conf_encode(raft_conf_at(r->core, index), s->conf);
	flint_raft_snaps_tick(r);
}

/* ---- sending -------------------------------------------------------------------- */

static void transfer_run(struct transfer *t);

static void transfer_end(struct transfer *t, bool ok)
{
	struct flint_raft *r = t->r;

	t->step = STEP_END;
	t->ok = ok;
	t->over = true;
	if (ok)
		r->snapshots_sent++;
	/* The core is told by the tick, which also frees it. */
}

static void sent(struct flint_rpc *rpc)
{
	struct transfer *t = (struct transfer *)((char *)rpc - offsetof(struct transfer, rpc));
	struct flint_raft_snap_rep rep = { 0 };
	u64 have;

	t->busy = false;
	if (t->over || t->r->stopping)
		return;
	if (rpc->err || (rpc->status && rpc->status != FLINT_ST_RETRY) ||
	    (!rpc->status && flint_body_get(&rep, sizeof(rep), sizeof(rep), rpc->rep_body,
					    rpc->rep_len))) {
		flint_warn_rl("the snapshot of %s could not be sent (%s %u): it will be tried again",
			      t->r->what, rpc->err ? strerror(-rpc->err) : "status", rpc->status);
		transfer_end(t, false);
		return;
	}
	if (rpc->status == FLINT_ST_RETRY) {
		t->next_ns = flint_now_ns() + FINISH_MS * 1000000ull;
		return;		/* the tick asks again */
	}
	have = le64_to_cpu(rep.offset);
	if (le32_to_cpu(rep.installed)) {
		transfer_end(t, true);
	} else if (have > t->r->snaps->total) {
		transfer_end(t, false);
	} else {
		t->offset = have;
		t->step = have == t->r->snaps->total ? STEP_FINISH : STEP_READ;
		transfer_run(t);
	}
}

static void send_piece(struct transfer *t, u32 len, u32 conf_len)
{
	struct flint_raft *r = t->r;
	struct snaps *s = r->snaps;
	struct flint_peer *conn = flint_raft_peer_conn(r, t->peer);

	if (!conn) {
		transfer_end(t, false);
		return;
	}
	t->body = (struct flint_raft_snap){
		.fixed_len = cpu_to_le32(sizeof(t->body)), .conf_len = cpu_to_le32(conf_len),
		.group = cpu_to_le64(r->root.group), .from = cpu_to_le64(r->root.id),
		.to = cpu_to_le64(t->peer), .term = cpu_to_le64(raft_term(r->core)),
		.index = cpu_to_le64(s->index), .snap_term = cpu_to_le64(s->term),
		.id = cpu_to_le64(s->id), .total = cpu_to_le64(s->total),
		.offset = cpu_to_le64(t->offset),
		.crc = cpu_to_le32(len ? flint_crc32c(0, t->buf, len) : 0),
	};
	t->rpc = (struct flint_rpc){
		.op = FLINT_OP_RAFT_SNAP, .timeout_ms = RPC_MS * r->scale,
		.body = &t->body, .body_len = sizeof(t->body),
		.out = conf_len ? s->conf : len ? t->buf : NULL, .out_len = conf_len ? conf_len : len,
		.done = sent,
	};
	s->used_ns = flint_now_ns();
	t->busy = true;
	flint_peer_call(conn, &t->rpc);
}

static void read_run(struct flint_work *w)
{
	struct transfer *t = (struct transfer *)w;
	ssize_t n = pread(t->r->snaps->fd, t->buf, t->len, t->offset);

	t->err = n < 0 ? -errno : n != (ssize_t)t->len ? -EIO : 0;
}

static void read_done(struct flint_work *w)
{
	struct transfer *t = (struct transfer *)w;

	t->busy = false;
	if (t->over || t->r->stopping)
		return;
	if (t->err) {
		flint_err("a snapshot of %s cannot be read back (%s)", t->r->what, strerror(-t->err));
		transfer_end(t, false);
		return;
	}
	t->step = STEP_SEND;
	transfer_run(t);
}

static void transfer_run(struct transfer *t)
{
	struct snaps *s = t->r->snaps;
	u64 left;

	switch (t->step) {
	case STEP_ASK:
		t->offset = 0;
		send_piece(t, 0, s->conf_len);
		break;
	case STEP_READ:
		left = s->total - t->offset;
		t->len = left < PIECE ? left : PIECE;
		t->work.run = read_run;
		t->work.done = read_done;
		t->busy = true;
		if (flint_worker_add(s->worker, &t->work)) {
			t->busy = false;
			transfer_end(t, false);
		}
		break;
	case STEP_SEND:
		send_piece(t, t->len, 0);
		break;
	case STEP_FINISH:
		t->offset = s->total;
		send_piece(t, 0, 0);
		break;
	default:
		break;
	}
}

void flint_raft_snap_send(struct flint_raft *r, u64 peer, u64 index)
{
	struct transfer *t;

	for (t = r->snaps->transfers; t; t = t->next)
		if (t->peer == peer && !t->over)
			return;
	t = calloc(1, sizeof(*t));
	if (t)
		t->buf = malloc(PIECE);
	if (!t || !t->buf) {
		free(t);
		return;
	}
	t->r = r;
	t->peer = peer;
	t->need = index;
	t->next = r->snaps->transfers;
	r->snaps->transfers = t;
	flint_info("a member is too far behind: sending it a snapshot of %s", r->what);
}

/* Not from inside a step. */
static void transfer_free(struct flint_raft *r, struct transfer **at)
{
	struct transfer *t = *at;
	struct raft_event ev = { .type = RAFT_EV_SNAP_SENT, .peer = t->peer, .ok = t->ok,
				 .index = r->snaps->index };

	*at = t->next;
	if (t->ok)
		flint_info("the snapshot of %s has arrived", r->what);
	free(t->buf);
	free(t);
	flint_raft_drive(r, &ev);
}

static void transfers_tick(struct flint_raft *r, u64 now)
{
	struct snaps *s = r->snaps;
	struct transfer **at = &s->transfers, *t;
	bool leads = raft_role(r->core) == RAFT_LEADER;

	while ((t = *at)) {
		if (!leads)
			t->over = true;
		if (t->over && !t->busy) {
			transfer_free(r, at);
			return;		/* the list may have grown: the rest next time */
		}
		if (t->step == STEP_WAIT && s->made == MADE_READY && s->index >= t->need &&
		    s->index >= r->root.base) {
			t->step = STEP_ASK;
			transfer_run(t);
		} else if (t->step == STEP_WAIT && s->made != MADE_ASKED) {
			make(r);
		} else if (!t->busy && t->next_ns && now >= t->next_ns) {
			t->next_ns = 0;
			transfer_run(t);
		}
		at = &t->next;
	}
}

void flint_raft_snaps_tick(struct flint_raft *r)
{
	struct snaps *s = r->snaps;
	u64 now = flint_now_ns();

	if (s->transfers)
		transfers_tick(r, now);
	else if (s->made == MADE_READY && now - s->used_ns > KEEP_NS)
		made_drop(r);
}

void flint_raft_snap_progress(struct flint_raft *r, u64 peer, u64 *sent_bytes, u64 *total)
{
	struct transfer *t;

	for (t = r->snaps->transfers; t; t = t->next) {
		if (t->peer != peer || t->over)
			continue;
		*sent_bytes = t->offset;
		*total = t->step == STEP_WAIT ? 0 : r->snaps->total;
	}
}

u64 flint_raft_snap_needs(struct flint_raft *r)
{
	struct snaps *s = r->snaps;

	switch (s->made) {
	case MADE_ASKED:
		return s->floor;
	case MADE_READY:
		return s->index;
	default:
		return UINT64_MAX;
	}
}

/* ---- receiving -------------------------------------------------------------------- */

static void reply(struct flint_call *call, u32 status, u64 offset, bool installed)
{
	struct flint_raft_snap_rep rep = { .offset = cpu_to_le64(offset),
					   .installed = cpu_to_le32(installed) };

	flint_call_reply(call, status, &rep, sizeof(rep), NULL, 0, 0);
}

static void in_drop(struct flint_raft *r)
{
	struct incoming *in = &r->snaps->in;

	if (in->fd >= 0)
		close(in->fd);
	in->fd = -1;
	if (in->state == IN_RECEIVE)
		unlink_name(r, "in");
	in->state = IN_NONE;
}

static u32 in_begin(struct flint_raft *r, const struct flint_raft_snap *b, const u8 *conf)
{
	struct incoming *in = &r->snaps->in;
	struct raft_conf parsed;
	char path[600];

	in_drop(r);
	in->conf_len = le32_to_cpu(b->conf_len);
	if (!conf || !in->conf_len || in->conf_len > sizeof(in->conf) ||
	    raft_conf_decode(&parsed, conf, in->conf_len))
		return FLINT_ST_BAD_REQUEST;
	memcpy(in->conf, conf, in->conf_len);
	path_of(r, "in", path, sizeof(path));
	in->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (in->fd < 0)
		return errno;
	in->r = r;
	in->state = IN_RECEIVE;
	in->id = le64_to_cpu(b->id);
	in->index = le64_to_cpu(b->index);
	in->term = le64_to_cpu(b->snap_term);
	in->total = le64_to_cpu(b->total);
	in->from = le64_to_cpu(b->from);
	in->have = 0;
	flint_info("receiving a snapshot of %s, %llu MiB", r->what,
		   (unsigned long long)(in->total >> 20));
	return FLINT_OK;
}

static void write_run(struct flint_work *w)
{
	struct incoming *in = (struct incoming *)w;
	ssize_t n = pwrite(in->fd, in->data, in->len, in->have);

	in->err = n < 0 ? -errno : n != (ssize_t)in->len ? -ENOSPC : 0;
}

static void write_done(struct flint_work *w)
{
	struct incoming *in = (struct incoming *)w;

	in->busy = false;
	if (in->err) {
		flint_err("a snapshot of %s cannot be received in %s (%s): free space on it",
			  in->r->what, in->r->dir, strerror(-in->err));
		reply(in->call, -in->err, in->have, false);
		in_drop(in->r);
		return;
	}
	in->have += in->len;
	reply(in->call, FLINT_OK, in->have, false);
}

/* Whole: on stable storage under its last name, before raft.db names it. */
static void sync_run(struct flint_work *w)
{
	struct incoming *in = (struct incoming *)w;
	char from[600], to[600];
	int fd;

	path_of(in->r, "in", from, sizeof(from));
	path_of(in->r, "load", to, sizeof(to));
	in->err = fsync(in->fd) || rename(from, to) ? -errno : 0;
	fd = open(in->r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!in->err && (fd < 0 || fsync(fd)))
		in->err = -errno;
	if (fd >= 0)
		close(fd);
}

static void sync_done(struct flint_work *w)
{
	struct incoming *in = (struct incoming *)w;
	struct flint_raft *r = in->r;
	struct raft_event ev = { .type = RAFT_EV_SNAP_INSTALL, .index = in->index,
				 .term = in->term, .peer = in->from };
	struct raft_conf conf;

	in->busy = false;
	close(in->fd);
	in->fd = -1;
	in->state = IN_NONE;
	if (in->err || r->stopping || r->dead || raft_conf_decode(&conf, in->conf, in->conf_len)) {
		if (in->err)
			flint_err("a snapshot of %s cannot be stored in %s (%s)", r->what, r->dir,
				  strerror(-in->err));
		unlink_name(r, "in");
		return;
	}
	ev.conf = &conf;
	flint_raft_drive(r, &ev);
	if (r->blocked)
		in->state = IN_LOAD;
	else
		unlink_name(r, "load");
}

static void in_finish(struct incoming *in)
{
	in->state = IN_SYNC;
	in->work.run = sync_run;
	in->work.done = sync_done;
	in->busy = true;
	if (flint_worker_add(in->r->snaps->worker, &in->work)) {
		in->busy = false;
		in->state = IN_RECEIVE;
	}
}

static void in_piece(struct flint_raft *r, struct flint_call *call, const struct flint_raft_snap *b,
		     const u8 *data, u32 len)
{
	struct incoming *in = &r->snaps->in;

	if (le64_to_cpu(b->offset) != in->have || len > in->total - in->have ||
	    flint_crc32c(0, data, len) != le32_to_cpu(b->crc)) {
		reply(call, FLINT_OK, in->have, false);	/* what we have: it goes on there */
		return;
	}
	in->call = call;
	in->data = data;
	in->len = len;
	in->work.run = write_run;
	in->work.done = write_done;
	in->busy = true;
	if (flint_worker_add(r->snaps->worker, &in->work)) {
		in->busy = false;
		reply(call, FLINT_ST_RETRY, in->have, false);
	}
}

static void take(struct flint_raft *r, struct flint_call *call, const u8 *data)
{
	struct incoming *in = &r->snaps->in;
	struct flint_raft_snap b;
	u32 len = call->msg.data_len, conf_len, status;
	u64 index;

	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len) ||
	    (len && !data) || le32_to_cpu(b.conf_len) > len) {
		flint_conn_kill(call->conn, "malformed snapshot");
		reply(call, FLINT_ST_BAD_REQUEST, 0, false);
		return;
	}
	index = le64_to_cpu(b.index);
	conf_len = le32_to_cpu(b.conf_len);
	if (r->dead || r->stopping || le64_to_cpu(b.to) != r->root.id || !index || !b.snap_term ||
	    le64_to_cpu(b.term) < raft_term(r->core) || !flint_raft_adopt(r, le64_to_cpu(b.group))) {
		reply(call, ESTALE, 0, false);
		return;
	}
	if (r->blocked || in->busy || in->state >= IN_SYNC) {
		reply(call, FLINT_ST_RETRY, 0, false);
	} else if (index <= r->commit) {
		reply(call, FLINT_OK, le64_to_cpu(b.total), true);
	} else if (in->state == IN_NONE || in->id != le64_to_cpu(b.id)) {
		status = conf_len ? in_begin(r, &b, data) : ESTALE;
		reply(call, status, 0, false);
	} else if (len > conf_len && !conf_len) {
		in_piece(r, call, &b, data, len);
	} else if (!conf_len && le64_to_cpu(b.offset) == in->total && in->have == in->total) {
		in_finish(in);
		reply(call, FLINT_ST_RETRY, in->have, false);
	} else {
		reply(call, FLINT_OK, in->have, false);
	}
}

static void pulled(struct flint_call *call, int err)
{
	if (err)
		reply(call, EIO, 0, false);
	else
		take(call->priv, call, call->payload->data);
}

void flint_raft_snap_request(struct flint_raft *r, struct flint_call *call)
{
	call->priv = r;
	if (call->msg.data_len && !call->msg.data)
		flint_call_pull(call, pulled);
	else
		take(r, call, call->msg.data);
}

/* ---- loading ------------------------------------------------------------------------ */

void flint_raft_snap_load(struct flint_raft *r)
{
	char path[600];

	path_of(r, "load", path, sizeof(path));
	flint_info("loading a snapshot of %s", r->what);
	r->ops->snapshot_load(r->arg, path, r->root.base, r->root.base_term);
}

void flint_raft_snapshot_loaded(struct flint_raft *r, int err)
{
	if (r->stopping || !r->blocked)
		return;
	r->snaps->in.state = IN_NONE;
	if (err) {
		flint_raft_fatal(r, "a snapshot of %s in %s cannot be loaded (%s): this replica stops;"
				 " check the disk, empty the directory, start again and bring the"
				 " replica back with '%s'", r->what, r->dir, strerror(-err), r->procedure);
		return;
	}
	unlink_name(r, "load");
	flint_info("%s loaded, up to entry %llu", r->what, (unsigned long long)r->root.base);
	flint_raft_unblock(r, r->root.base, r->root.base_term);
}

static void on_resume(struct flint_timer *t)
{
	flint_raft_snap_load(t->arg);
}

bool flint_raft_snap_resume(struct flint_raft *r)
{
	char path[600];

	if (r->applied == r->root.base && r->applied_term == r->root.base_term) {
		r->root.loading = false;
		flint_raft_put_root(r);
		return true;
	}
	path_of(r, "load", path, sizeof(path));
	if (access(path, R_OK))
		return false;
	r->blocked = true;
	r->resume = (struct flint_timer){ .fn = on_resume, .arg = r };
	flint_timer_set(r->loop, &r->resume, 0);
	return true;
}

/* ---- life ------------------------------------------------------------------------------ */

int flint_raft_snaps_new(struct flint_raft *r)
{
	struct snaps *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->in.fd = -1;
	s->worker = flint_worker_new(r->loop, "raft-snap");
	if (!s->worker) {
		free(s);
		return -ENOMEM;
	}
	r->snaps = s;
	unlink_name(r, "out");
	unlink_name(r, "in");
	return 0;
}

/* Connections are closed: no request is under way. */
void flint_raft_snaps_free(struct flint_raft *r)
{
	struct snaps *s = r->snaps;
	struct transfer *t;

	if (!s)
		return;
	flint_timer_cancel(r->loop, &r->resume);
	flint_worker_free(s->worker);
	while ((t = s->transfers)) {
		s->transfers = t->next;
		free(t->buf);
		free(t);
	}
	in_drop(r);
	made_drop(r);
	free(s);
	r->snaps = NULL;
}
