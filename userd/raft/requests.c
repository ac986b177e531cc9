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

void flint_raft_requests_free(struct flint_raft *r)
{
	free(r->operators);
}
void flint_raft_join_request(struct flint_raft *r, struct flint_call *call)
{
	flint_call_reply(call, EOPNOTSUPP, NULL, 0, NULL, 0, 0);
}
