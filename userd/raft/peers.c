// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The other members: connections to them and messages from and to them.
 *
 * A message travels as a request. Its answer carries a message back when the
 * core has one by then: a call that came from a member is kept until there is
 * something for it, for HOLD_MS at most. So an AppendEntries and its answer are
 * one exchange, and a member whose address is not known yet can be answered.
 *
 * Messages are never queued for a member that is not connected: the core sends
 * again what matters. When entries are lost on the way, it is told so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "node_int.h"
#include "../base/addr.h"
#include "../base/crc.h"
#include "../base/log.h"

#define CONNECT_MS	1000	/* times the scale */
#define BACKOFF_MS	300	/* times the scale */
#define RPC_MS		3000	/* times the scale */
#define HOLD_MS		500	/* times the scale */
#define HOLD_MAX	32	/* of the connection's credits */
#define PEERS_MAX	32

/* A request that waits to be answered with a message. */
struct hold {
	struct flint_call *call;
	u64 since_ns;
	struct hold *next;
};

/**
 * struct peer - a member, or someone who sent us something
 * @addr: what it is connected to: the configuration's, or the one that it named last
 * @member: is in the configuration
 * @lost: entries to it were lost: the core is to be told
 */
struct peer {
	struct flint_raft *r;
	u64 id;
	struct flint_addr addr;
	struct flint_peer *conn;
	bool member, up, lost;
	struct hold *holds, **holds_tail;
	u32 nr_holds;
	struct peer *next;
};

/* A message on its way; the payload follows. */
struct out {
	struct flint_rpc rpc;
	struct flint_raft *r;
	u64 peer;
	struct raft_msg m;
	struct flint_raft_msg body;
	u8 *data;
};

static struct peer *find(struct flint_raft *r, u64 id)
{
	struct peer *p;

	for (p = r->peers; p && p->id != id; )
		p = p->next;
	return p;
}

static bool addr_same(const struct flint_addr *a, const struct flint_addr *b)
{
	return a->family == b->family && a->port == b->port &&
	       !memcmp(a->addr, b->addr, sizeof(a->addr));
}

struct flint_peer *flint_raft_peer_conn(struct flint_raft *r, u64 id)
{
	struct peer *p = find(r, id);

	return p ? p->conn : NULL;
}

/* ---- connections ------------------------------------------------------------- */

struct flint_peer *flint_raft_connect(struct flint_raft *r, const struct flint_addr *addr,
				      void (*state)(void *arg, struct flint_peer *peer, int err,
						    const char *why), void *arg)
{
	struct flint_peer_config cfg = {
		.loop = r->loop, .proto = FLINT_PROTO_TCP, .role = r->role,
		.key = r->has_key ? r->key : NULL, .name = r->name,
		.connect_timeo_ms = CONNECT_MS * r->scale, .backoff_max_ms = BACKOFF_MS * r->scale,
		.state = state, .arg = arg,
	};

	if (flint_addr_from_wire(addr, &cfg.addr)) {
		errno = EINVAL;
		return NULL;
	}
	memcpy(cfg.client_id, r->client_id, sizeof(cfg.client_id));
	return flint_peer_new(&cfg);
}

/* Tell the core what was lost; not from inside a step. */
static void tell_lost(struct flint_raft *r)
{
	struct raft_event ev = { .type = RAFT_EV_PEER_DOWN };
	struct peer *p;

	for (p = r->peers; p; p = p->next) {
		if (!p->lost)
			continue;
		p->lost = false;
		ev.peer = p->id;
		flint_raft_drive(r, &ev);
	}
}

static void on_lost(struct flint_task *t)
{
	struct flint_raft *r = (struct flint_raft *)((char *)t -
						     offsetof(struct flint_raft, lost_task));

	r->lost_posted = false;
	tell_lost(r);
}

static void lost(struct flint_raft *r, struct peer *p)
{
	p->lost = true;
	if (r->lost_posted || r->stopping)
		return;
	r->lost_posted = true;
	r->lost_task.fn = on_lost;
	flint_loop_post(r->loop, &r->lost_task);
}

static void conn_state(void *arg, struct flint_peer *conn, int err, const char *why)
{
	struct peer *p = arg;

	if (p->up && err)
		lost(p->r, p);
	p->up = !err;
}

static void peer_connect(struct peer *p, const struct flint_addr *addr)
{
	struct flint_peer *old = p->conn;

	p->conn = NULL;
	p->up = false;
	p->addr = *addr;
	if (old)
		flint_peer_free(old);
	if (addr->family)
		p->conn = flint_raft_connect(p->r, addr, conn_state, p);
}

static struct peer *peer_add(struct flint_raft *r, u64 id)
{
	struct peer *p, *q;
	u32 n = 0;

	for (q = r->peers; q; q = q->next)
		n++;
	p = n < PEERS_MAX ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return NULL;
	p->r = r;
	p->id = id;
	p->holds_tail = &p->holds;
	p->next = r->peers;
	r->peers = p;
	return p;
}

static void hold_answer(struct peer *p, u32 status, const void *body, u32 len)
{
	struct hold *h = p->holds;

	p->holds = h->next;
	if (!p->holds)
		p->holds_tail = &p->holds;
	p->nr_holds--;
	flint_call_reply(h->call, status, body, len, NULL, 0, 0);
	free(h);
}

static void peer_free(struct peer *p)
{
	struct peer **at = &p->r->peers;
	struct flint_peer *conn = p->conn;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	while (p->holds)
		hold_answer(p, p->r->stopping ? FLINT_ST_SHUTDOWN : FLINT_OK, NULL, 0);
	if (conn)
		flint_peer_free(conn);
	free(p);
}

void flint_raft_peers_update(struct flint_raft *r)
{
	const struct raft_conf *c = raft_conf(r->core);
	struct flint_raft_info info;
	struct peer *p, *next;
	u32 i;

	for (p = r->peers; p; p = p->next)
		p->member = false;
	for (i = 0; i < c->nr; i++) {
		if (c->m[i].id == r->root.id)
			continue;
		p = find(r, c->m[i].id);
		if (!p)
			p = peer_add(r, c->m[i].id);
		if (!p)
			continue;
		p->member = true;
		flint_raft_info_decode(&c->m[i], &info);
		if (!p->conn || (!addr_same(&p->addr, &info.addr) && !p->up))
			peer_connect(p, &info.addr);
	}
	for (p = r->peers; p; p = next) {
		next = p->next;
		if (!p->member && p->conn) {
			struct flint_peer *conn = p->conn;

			p->conn = NULL;
			p->up = false;
			flint_peer_free(conn);
		}
	}
}

void flint_raft_peers_free(struct flint_raft *r)
{
	while (r->peers)
		peer_free(r->peers);
}

void flint_raft_peers_tick(struct flint_raft *r)
{
	u64 now = flint_now_ns(), old = HOLD_MS * (u64)r->scale * 1000000;
	struct peer *p, *next;

	for (p = r->peers; p; p = next) {
		next = p->next;
		while (p->holds && now - p->holds->since_ns > old)
			hold_answer(p, FLINT_OK, NULL, 0);
		if (!p->member && !p->holds)
			peer_free(p);
	}
}

/* ---- sending ------------------------------------------------------------------- */

static void arrived(struct flint_raft *r, const void *body, u32 len);

static void out_done(struct flint_rpc *rpc)
{
	struct out *o = (struct out *)rpc;
	struct flint_raft *r = o->r;
	struct peer *p = find(r, o->peer);

	if ((rpc->err || rpc->status) && o->m.type == RAFT_MSG_APPEND && p)
		lost(r, p);
	if (!rpc->err && !rpc->status && rpc->rep_len && !r->stopping)
		arrived(r, rpc->rep_body, rpc->rep_len);
	free(o->data);
	free(o);
}

static void out_send(struct out *o)
{
	struct flint_raft *r = o->r;
	struct peer *p = find(r, o->peer);

	if (!p || !p->up) {
		free(o->data);
		free(o);
		return;
	}
	o->rpc.op = FLINT_OP_RAFT_MSG;
	o->rpc.timeout_ms = RPC_MS * r->scale;
	o->rpc.body = &o->body;
	o->rpc.body_len = sizeof(o->body);
	o->rpc.out = o->data;
	o->rpc.done = out_done;
	flint_peer_call(p->conn, &o->rpc);
}

/* Entries become the payload. Takes as many as there are. */
static int out_fill(struct out *o, struct flint_raft_ent **ents, u32 nr)
{
	u32 len = 0, i;

	for (i = 0; i < nr; i++)
		len += flint_raft_ent_room(ents[i]->len);
	o->data = malloc(len ? len : 1);
	if (!o->data)
		return -ENOMEM;
	for (i = 0, len = 0; i < nr; i++)
		len += flint_raft_ent_encode(o->data + len, ents[i]);
	o->body.nr = cpu_to_le32(nr);
	o->body.crc = cpu_to_le32(flint_crc32c(0, o->data, len));
	o->rpc.out_len = len;
	return 0;
}

/* Older entries came from the disk: still to be sent? */
static void fetched(struct flint_raft_fetch *f, int err)
{
	struct out *o = f->priv;
	struct flint_raft *r = o->r;
	struct peer *p = find(r, o->peer);
	u32 i;

	if (!err && f->nr && f->ents[0]->index == o->m.index + 1 && !r->stopping && !r->dead &&
	    raft_role(r->core) == RAFT_LEADER && raft_term(r->core) == o->m.term &&
	    !out_fill(o, f->ents, f->nr)) {
		out_send(o);
	} else {
		if (p)
			lost(r, p);
		free(o);
	}
	for (i = 0; i < f->nr; i++)
		flint_raft_ent_put(f->ents[i]);
	free(f);
}

static void fetch(struct out *o)
{
	struct flint_raft_fetch *f = calloc(1, sizeof(*f));

	if (!f) {
		free(o);
		return;
	}
	f->from = o->m.index + 1;
	f->to = o->m.index + o->m.nr;
	f->max_bytes = UINT32_MAX;
	f->done = fetched;
	f->priv = o;
	flint_raft_db_fetch(o->r->db, f);
}

static void send_entries(struct out *o)
{
	struct flint_raft *r = o->r;
	struct flint_raft_ent *ents[FLINT_RAFT_MSG_ENTS];
	u32 i;

	if (o->m.nr > FLINT_RAFT_MSG_ENTS)
		o->m.nr = FLINT_RAFT_MSG_ENTS;
	for (i = 0; i < o->m.nr; i++) {
		ents[i] = flint_raft_ents_at(&r->ents, o->m.index + 1 + i);
		if (!ents[i])
			break;
	}
	if (i < o->m.nr)
		fetch(o);
	else if (out_fill(o, ents, o->m.nr))
		free(o);
	else
		out_send(o);
}

void flint_raft_send(struct flint_raft *r, const struct raft_msg *m)
{
	struct peer *p = find(r, m->to);
	struct flint_raft_msg body;
	struct out *o;

	if (!p || r->dead)
		return;
	flint_raft_msg_encode(&body, m, r->root.group, &r->addr);
	if (p->holds && m->type != RAFT_MSG_APPEND) {
		hold_answer(p, FLINT_OK, &body, sizeof(body));
		return;
	}
	if (!p->up) {
		if (m->type == RAFT_MSG_APPEND)
			lost(r, p);
		return;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return;
	o->r = r;
	o->peer = p->id;
	o->m = *m;
	o->body = body;
	if (m->nr)
		send_entries(o);
	else
		out_send(o);
}

/* ---- receiving ------------------------------------------------------------------ */

/* Before the core sees it: is it for us? */
static bool acceptable(struct flint_raft *r, const struct flint_raft_msg *w,
		       const struct raft_msg *m)
{
	if (r->dead || r->stopping || m->to != r->root.id)
		return false;
	return flint_raft_adopt(r, le64_to_cpu(w->group));
}

bool flint_raft_adopt(struct flint_raft *r, u64 group)
{
	if (r->root.group == group)
		return true;
	if (r->root.group || r->applied) {
		flint_warn_rl("a replica of another group (%016llx) of %s speaks to this one: check that"
			      " all belong to one cluster", (unsigned long long)group, r->what);
		return false;
	}
	flint_info("becoming a member of the group %016llx of %s", (unsigned long long)group, r->what);
	r->root.group = group;
	flint_raft_put_root(r);
	flint_raft_poke_role(r);
	return true;
}

/* In the answer to a request: never with entries. */
static void arrived(struct flint_raft *r, const void *body, u32 len)
{
	struct flint_raft_msg w;
	struct raft_msg m;

	if (flint_raft_msg_decode(&w, &m, body, len) || m.nr || m.type == RAFT_MSG_APPEND ||
	    !acceptable(r, &w, &m))
		return;
	flint_raft_drive_msg(r, &m, NULL);
}

/* Where a member says it serves, when that is not what we know. */
static void heard_at(struct flint_raft *r, struct peer *p, struct flint_addr a,
		     const struct flint_call *call)
{
	struct flint_addr seen;

	if (!p->member || !a.port)
		return;
	if (!a.family) {
		if (flint_addr_to_wire(&flint_conn_info(call->conn)->addr, FLINT_PROTO_TCP, &seen))
			return;
		seen.port = a.port;
		a = seen;
	}
	if (!addr_same(&a, &p->addr) && !p->up)
		peer_connect(p, &a);
}

static bool hold_add(struct peer *p, struct flint_call *call)
{
	struct hold *h = malloc(sizeof(*h));

	if (!h)
		return false;
	h->call = call;
	h->since_ns = flint_now_ns();
	h->next = NULL;
	*p->holds_tail = h;
	p->holds_tail = &h->next;
	if (++p->nr_holds > HOLD_MAX)
		hold_answer(p, FLINT_OK, NULL, 0);
	return true;
}

/* The whole request is there. */
static void take(struct flint_raft *r, struct flint_call *call, const u8 *data)
{
	struct flint_raft_ent *ents[FLINT_RAFT_MSG_ENTS];
	struct flint_raft_msg w;
	struct raft_msg m;
	struct peer *p;
	u32 status = FLINT_OK;

	if (flint_raft_msg_decode(&w, &m, call->msg.body, call->msg.body_len) ||
	    (m.nr && !data)) {
		flint_conn_kill(call->conn, "malformed message of a replica");
		status = FLINT_ST_BAD_REQUEST;
	} else if (!acceptable(r, &w, &m)) {
		status = ESTALE;
	} else if (flint_raft_ents_decode(data, call->msg.data_len, le32_to_cpu(w.crc),
					  m.index + 1, m.nr, ents)) {
		flint_warn_rl("entries from %s are damaged and dropped",
			      flint_conn_info(call->conn)->name);
		status = FLINT_ST_CHECKSUM;
	}
	if (status) {
		flint_call_reply(call, status, NULL, 0, NULL, 0, 0);
		return;
	}
	p = find(r, m.from);
	if (!p)
		p = peer_add(r, m.from);
	if (p)
		heard_at(r, p, w.addr, call);
	if (!p || !hold_add(p, call))
		flint_call_reply(call, FLINT_OK, NULL, 0, NULL, 0, 0);
	flint_raft_drive_msg(r, &m, ents);
}

static void pulled(struct flint_call *call, int err)
{
	struct flint_raft *r = call->priv;

	if (err)
		flint_call_reply(call, EIO, NULL, 0, NULL, 0, 0);
	else
		take(r, call, call->payload->data);
}

void flint_raft_msg_request(struct flint_raft *r, struct flint_call *call)
{
	call->priv = r;
	if (call->msg.data_len && !call->msg.data)
		flint_call_pull(call, pulled);
	else
		take(r, call, call->msg.data);
}
