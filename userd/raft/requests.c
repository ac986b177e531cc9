// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What operators ask of a replica: its status, and to begin a change.
 *
 * A change that was begun this way goes on by itself; its outcome is kept until
 * the next one and shown by the status.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "node_int.h"
#include "../base/addr.h"
#include "../base/log.h"
#include "../net/endpoint.h"

/* The change that runs or ran last. */
struct operators {
	struct flint_raft_change change;
	u64 seq;
	u8 state;			/* enum flint_raft_change_state */
	int err;
	char text[128];
};

static u32 fill_members(const struct flint_raft_status *st, struct flint_raft_stat_member *out)
{
	unsigned int i;

	for (i = 0; i < st->nr_members; i++) {
		const struct flint_raft_member *m = &st->members[i];

		out[i] = (struct flint_raft_stat_member){
			.id = cpu_to_le64(m->id), .addr = m->addr,
			.flags = (m->voter ? FLINT_RAFT_MEMBER_VOTER : 0) |
				 (m->self ? FLINT_RAFT_MEMBER_SELF : 0) |
				 (m->leader ? FLINT_RAFT_MEMBER_LEADER : 0),
			.match = cpu_to_le64(m->match), .contact_ms = cpu_to_le64(m->contact_ms),
			.snap_sent = cpu_to_le64(m->snap_sent),
			.snap_total = cpu_to_le64(m->snap_total),
		};
		memcpy(out[i].name, m->name, sizeof(out[i].name));
	}
	return st->nr_members * sizeof(*out);
}

void flint_raft_status_request(struct flint_raft *r, struct flint_call *call)
{
	const struct flint_raft_status *st = flint_raft_status(r);
	struct flint_raft_stat_member members[FLINT_RAFT_MEMBERS_MAX];
	struct flint_raft_stat out = {
		.id = cpu_to_le64(st->id), .group = cpu_to_le64(st->group),
		.term = cpu_to_le64(st->term), .leader = cpu_to_le64(st->leader),
		.first = cpu_to_le64(st->first), .last = cpu_to_le64(st->last),
		.commit = cpu_to_le64(st->commit), .applied = cpu_to_le64(st->applied),
		.durable = cpu_to_le64(st->durable), .role = st->role,
		.flags = (st->ready ? FLINT_RAFT_STAT_READY : 0) |
			 (st->removed ? FLINT_RAFT_STAT_REMOVED : 0),
		.nr_members = st->nr_members, .log_bytes = cpu_to_le64(st->log_bytes),
		.entries = cpu_to_le64(st->entries), .syncs = cpu_to_le64(st->syncs),
		.elections = cpu_to_le64(st->elections),
		.fsync_us_avg = cpu_to_le64(st->fsync_us_avg),
		.fsync_us_max = cpu_to_le64(st->fsync_us_max),
	};
	const struct operators *o = r->operators;
	u32 len = fill_members(st, members);

	if (o) {
		out.change_state = o->state;
		out.change_err = cpu_to_le32(o->err < 0 ? -o->err : 0);
		out.change_seq = cpu_to_le64(o->seq);
		out.change_cur = cpu_to_le64(o->change.cur);
		out.change_total = cpu_to_le64(o->change.total);
		snprintf((char *)out.change_text, sizeof(out.change_text), "%s",
			 o->state == FLINT_CHANGE_RUNNING && o->change.phase ? o->change.phase :
			 o->text);
	}
	flint_call_reply_copy(call, FLINT_OK, &out, sizeof(out), members, len);
}

static void change_done(struct flint_raft_change *c, int err, const char *why)
{
	struct operators *o = c->priv;

	o->state = err ? FLINT_CHANGE_FAILED : FLINT_CHANGE_DONE;
	o->err = err;
	snprintf(o->text, sizeof(o->text), "%s", why ? why : "");
}

/* By id or by name; 0: no such member. */
static u64 member_id(struct flint_raft *r, u64 id, const char *name)
{
	const struct raft_conf *c = raft_conf(r->core);
	struct flint_raft_info info;
	u32 i;

	for (i = 0; i < c->nr; i++) {
		flint_raft_info_decode(&c->m[i], &info);
		if (id ? c->m[i].id == id : !strcmp(info.name, name))
			return c->m[i].id;
	}
	return 0;
}

static u32 change_parse(struct flint_raft *r, const struct flint_raft_change_req *b,
			struct flint_raft_change *c)
{
	memset(c, 0, sizeof(*c));
	c->kind = b->op;
	memcpy(c->name, b->name, sizeof(c->name) - 1);
	c->addr = b->addr;
	switch (b->op) {
	case FLINT_CHANGE_ADD:
		return c->name[0] && b->addr.family ? FLINT_OK : EINVAL;
	case FLINT_CHANGE_TRANSFER:
		if (!b->id && !c->name[0])
			return FLINT_OK;
		break;
	case FLINT_CHANGE_REPLACE:
		if (!c->name[0] || !b->addr.family)
			return EINVAL;
		break;
	case FLINT_CHANGE_REMOVE:
		break;
	default:
		return EINVAL;
	}
	c->id = member_id(r, le64_to_cpu(b->id), c->name);
	return c->id ? FLINT_OK : ENOENT;
}

void flint_raft_change_request(struct flint_raft *r, struct flint_call *call)
{
	struct flint_raft_change_req b;
	struct flint_raft_change c;
	struct flint_raft_change_rep rep;
	u32 status;

	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len)) {
		flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
		return;
	}
	if (!r->operators)
		r->operators = calloc(1, sizeof(*r->operators));
	status = !r->operators ? ENOMEM : !r->st.ready ? FLINT_ST_NOT_LEADER :
		 r->change ? EBUSY : change_parse(r, &b, &c);
	if (status) {
		flint_call_reply(call, status, NULL, 0, NULL, 0, 0);
		return;
	}
	r->operators->change = c;
	r->operators->change.priv = r->operators;
	r->operators->change.done = change_done;
	r->operators->seq++;
	r->operators->state = FLINT_CHANGE_RUNNING;
	r->operators->err = 0;
	r->operators->text[0] = 0;
	rep.seq = cpu_to_le64(r->operators->seq);
	flint_raft_change(r, &r->operators->change);
	flint_call_reply(call, FLINT_OK, &rep, sizeof(rep), NULL, 0, 0);
}

/* ---- joining ------------------------------------------------------------------ */

#define JOIN_MS	5000	/* of one question, times the scale */
#define JOIN_PAUSE_MS	500

/**
 * struct join - a replica in no group that asks to be added
 * @first: address to fall back to when a leader does not answer
 */
struct join {
	struct flint_rpc rpc;
	struct flint_raft *r;
	struct flint_peer *conn;
	struct flint_timer timer;
	struct flint_addr first, next;
	struct flint_raft_join_req body;
	int answer;
	bool lost;			/* who was asked is no help */
	void (*done)(void *arg, int err, const char *why);
	void *arg;
};

static void join_ask(struct flint_timer *t);

static void join_end(struct join *j, int err, const char *why)
{
	struct flint_peer *conn = j->conn;
	struct flint_raft *r = j->r;

	r->join = NULL;
	j->conn = NULL;
	flint_timer_cancel(r->loop, &j->timer);
	if (conn)
		flint_peer_free(conn);
	j->done(j->arg, err, why);
	free(j);
}

static void join_answered(struct flint_rpc *rpc)
{
	struct join *j = (struct join *)rpc;
	struct flint_raft_join_rep rep = { 0 };

	if (!j->conn)
		return;		/* ends */
	j->next = j->first;
	if (!rpc->err && rpc->status == FLINT_ST_NOT_LEADER &&
	    !flint_body_get(&rep, sizeof(rep), sizeof(rep), rpc->rep_body, rpc->rep_len) &&
	    rep.leader.family)
		j->next = rep.leader;
	else if (rpc->err || rpc->status == FLINT_ST_NOT_LEADER)
		j->lost = true;		/* the owner may know another member to ask */
	j->answer = rpc->err ? -EAGAIN : rpc->status == FLINT_OK ? 0 :
		    rpc->status == FLINT_ST_AUTH ? -EACCES : rpc->status == EEXIST ? -EEXIST :
		    rpc->status == EINVAL ? -EINVAL : -EAGAIN;
	/* From the loop: the connection is not ended from inside its own call. */
	flint_timer_set(j->r->loop, &j->timer, j->answer == -EAGAIN ? JOIN_PAUSE_MS : 0);
}

static void join_ask(struct flint_timer *t)
{
	struct join *j = t->arg;
	struct flint_raft *r = j->r;
	struct flint_peer *old = j->conn;

	if (j->answer != -EAGAIN || j->lost || r->root.group) {
		join_end(j, r->root.group ? 0 : j->answer, j->answer == -EAGAIN ?
			 "nobody there knows who leads" : j->answer == -EACCES ? "the cluster key differs" :
			 j->answer == -EEXIST ? "it is, or was, a member: empty its state directory" :
			 j->answer == -EINVAL ? "a new name must be without " FLINT_LABEL_NOT_SAID
						": give it another --name" : "added");
		return;
	}
	j->conn = NULL;
	if (old)
		flint_peer_free(old);
	j->conn = flint_raft_connect(r, &j->next, NULL, NULL);
	if (!j->conn) {
		j->next = j->first;
		flint_timer_set(r->loop, t, JOIN_PAUSE_MS);
		return;
	}
	j->body.id = cpu_to_le64(r->root.id);
	memcpy(j->body.name, r->name, sizeof(j->body.name));
	j->body.addr = r->addr;
	j->rpc = (struct flint_rpc){
		.op = FLINT_OP_RAFT_JOIN, .timeout_ms = JOIN_MS * r->scale,
		.body = &j->body, .body_len = sizeof(j->body), .done = join_answered,
	};
	flint_peer_call(j->conn, &j->rpc);
}

void flint_raft_join(struct flint_raft *r, const struct flint_addr *addr,
		     void (*done)(void *arg, int err, const char *why), void *arg)
{
	struct join *j = r->join || r->root.group ? NULL : calloc(1, sizeof(*j));

	if (!j) {
		done(arg, r->root.group ? -EEXIST : -EBUSY, r->root.group ?
		     "it is a member of a group already" : "it asks already");
		return;
	}
	j->r = r;
	j->first = *addr;
	j->next = *addr;
	j->done = done;
	j->arg = arg;
	j->answer = -EAGAIN;
	j->timer = (struct flint_timer){ .fn = join_ask, .arg = j };
	r->join = j;
	flint_timer_set(r->loop, &j->timer, 0);
}

static void joined(struct flint_raft_change *c, int err, const char *why)
{
	if (err)
		flint_warn("%s could not be added to the group: %s", c->name, why);
	else
		flint_info("%s is a member of the group now", c->name);
	free(c);
}

/* Another member of this name? It was emptied, perhaps: replacing it is for an operator to say. */
static bool name_taken(struct flint_raft *r, u64 id, const char *name)
{
	const struct raft_conf *conf = raft_conf(r->core);
	struct flint_raft_info info;
	unsigned int i;

	for (i = 0; i < conf->nr; i++) {
		flint_raft_info_decode(&conf->m[i], &info);
		if (conf->m[i].id != id && !strncmp(info.name, name, sizeof(info.name)))
			return true;
	}
	return false;
}

/* Start to add it. Return: status. */
static u32 join_begin(struct flint_raft *r, const struct flint_raft_join_req *b,
		      const struct flint_call *call)
{
	struct flint_raft_change *c;
	struct flint_addr seen;

	if (!b->id || !b->name[0])
		return EINVAL;
	if (raft_conf_find(raft_conf(r->core), le64_to_cpu(b->id)))
		return FLINT_OK;
	if (!flint_label_ok(b->name, FLINT_LABEL_NOT))
		return EINVAL;
	if (name_taken(r, le64_to_cpu(b->id), (const char *)b->name))
		return EEXIST;
	if (r->change)
		return FLINT_ST_RETRY;
	c = calloc(1, sizeof(*c));
	if (!c)
		return FLINT_ST_RETRY;
	c->kind = FLINT_RAFT_ADD;
	c->new_id = le64_to_cpu(b->id);
	memcpy(c->name, b->name, sizeof(c->name) - 1);
	c->addr = b->addr;
	if (!c->addr.family &&
	    !flint_addr_to_wire(&flint_conn_info(call->conn)->addr, FLINT_PROTO_TCP, &seen)) {
		seen.port = b->addr.port;
		c->addr = seen;
	}
	c->done = joined;
	flint_info("%s asks to be added to the group of %s", c->name, r->what);
	flint_raft_change(r, c);
	return FLINT_OK;
}

void flint_raft_join_request(struct flint_raft *r, struct flint_call *call)
{
	struct flint_raft_join_rep rep = { .group = cpu_to_le64(r->root.group) };
	const struct raft_member *m = raft_conf_find(raft_conf(r->core), raft_leader(r->core));
	struct flint_raft_join_req b;
	struct flint_raft_info info;
	u32 status;

	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len)) {
		flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
		return;
	}
	if (m) {
		flint_raft_info_decode(m, &info);
		rep.leader = info.addr;
	}
	status = r->st.ready ? join_begin(r, &b, call) : FLINT_ST_NOT_LEADER;
	flint_call_reply(call, status, &rep, sizeof(rep), NULL, 0, 0);
}

void flint_raft_requests_free(struct flint_raft *r)
{
	if (r->join)
		join_end(r->join, -ECANCELED, "it stops");
	free(r->operators);
}
