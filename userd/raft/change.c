// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes of membership and leadership, step by step.
 *
 *	ADD	 PROBE --> LEARN --> CATCH_UP --> PROMOTE --> done
 *	REPLACE	 PROBE --> LEARN --> CATCH_UP --> PROMOTE --> REMOVE --> done
 *	REMOVE	 REMOVE --> done
 *	TRANSFER HAND_OVER --> done
 *
 * Each step that changes the configuration waits until its entry is committed
 * and applied; a step that the core refuses for the moment is tried again by the
 * tick. A member is added as a learner first, and counts only when it has what
 * the others have, so that a majority is never made of those who know nothing.
 * A change that another leader has begun goes on from where it stands after PROBE.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "node_int.h"
#include "../base/log.h"

#define STALLED_MS	30000	/* times the scale */
#define PROBE_MS	10000	/* times the scale */

enum step { PROBE, LEARN, CATCH_UP, PROMOTE, REMOVE, HAND_OVER };

/* The question to the replica that is to be added. */
struct probe {
	struct flint_rpc rpc;
	struct flint_raft *r;
	struct flint_peer *conn;
	struct flint_raft_stat_member members[FLINT_RAFT_MEMBERS_MAX];
};

static void finish(struct flint_raft *r, int err, const char *why)
{
	struct flint_raft_change *c = r->change;

	r->change = NULL;
	c->done(c, err, why);
}

static void step_to(struct flint_raft_change *c, enum step step, const char *phase)
{
	c->state = step;
	c->phase = phase;
	c->index = 0;
	c->moved_ns = flint_now_ns();
}

/* ---- probe ---------------------------------------------------------------------- */

static void probe_free(struct flint_raft *r)
{
	struct probe *p = r->probe;
	struct flint_peer *conn = p ? p->conn : NULL;

	if (!p)
		return;
	if (conn) {
		p->conn = NULL;
		flint_peer_free(conn);	/* ends the request, if it is open */
	}
	r->probe = NULL;
	free(p);
}

static void probed(struct flint_rpc *rpc)
{
	struct probe *p = (struct probe *)rpc;
	struct flint_raft *r = p->r;
	struct flint_raft_change *c = r->change;
	const struct raft_member *m;
	struct flint_raft_stat st;

	if (!p->conn || !c || c->state != PROBE)
		return;
	r->probe_over = true;
	if (rpc->err || rpc->status ||
	    flint_body_get(&st, sizeof(st), sizeof(st), rpc->rep_body, rpc->rep_len)) {
		finish(r, rpc->err == -ETIMEDOUT || !rpc->err ? -ETIMEDOUT : rpc->err,
		       "the replica that is to be added does not answer at its address");
		return;
	}
	c->new_id = le64_to_cpu(st.id);
	m = raft_conf_find(raft_conf(r->core), c->new_id);
	if (m && (c->new_id == c->id || (m->voter && c->kind != FLINT_RAFT_REPLACE))) {
		finish(r, -EEXIST, "it is a member already");
	} else if (m) {
		/* A leader before this one, or an earlier attempt, came that far. */
		step_to(c, m->voter ? REMOVE : CATCH_UP, "going on with it");
		flint_raft_poke(r);
	} else if (st.group && le64_to_cpu(st.group) != r->root.group) {
		finish(r, -EEXIST, "it belongs to another group: empty its state directory first");
	} else {
		step_to(c, LEARN, "adding it as a learner");
		flint_raft_poke(r);
	}
}

static void probe(struct flint_raft *r, struct flint_raft_change *c)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (p)
		p->conn = flint_raft_connect(r, &c->addr, NULL, NULL);
	if (!p || !p->conn) {
		free(p);
		finish(r, -EINVAL, "its address is no address that can be connected to");
		return;
	}
	r->probe = p;
	p->r = r;
	p->rpc.op = FLINT_OP_RAFT_STATUS;
	p->rpc.in = p->members;
	p->rpc.in_len = sizeof(p->members);
	p->rpc.timeout_ms = PROBE_MS * r->scale;
	p->rpc.done = probed;
	flint_peer_call(p->conn, &p->rpc);
}

/* ---- steps ------------------------------------------------------------------------ */

/* Ask the core for a change of configuration; its entry's index goes to c->index. */
static int configure(struct flint_raft *r, struct flint_raft_change *c, u8 op, u64 id)
{
	struct raft_member m = { .id = id };
	struct raft_event ev = { .type = RAFT_EV_CONFIG, .op = op, .member = &m };
	int err;

	if (op == RAFT_ADD_LEARNER)
		flint_raft_info_encode(&m, c->name, &c->addr);
	err = flint_raft_drive(r, &ev);
	if (!err) {
		c->index = raft_last_index(r->core);
		c->moved_ns = flint_now_ns();
	}
	return err;
}

/* Progress of a learner that catches up. */
static void watch(struct flint_raft *r, struct flint_raft_change *c)
{
	struct raft_progress p;
	u64 sent = 0, total = 0, cur;

	if (raft_progress(r->core, c->new_id, &p))
		return;
	flint_raft_snap_progress(r, c->new_id, &sent, &total);
	if (total) {
		cur = sent;
		c->phase = "sending it a snapshot";
	} else {
		cur = p.match;
		total = raft_last_index(r->core);
		c->phase = p.match ? "it catches up" : "waiting for it";
	}
	if (cur != c->cur)
		c->moved_ns = flint_now_ns();
	c->cur = cur;
	c->total = total;
	if (p.caught_up)
		step_to(c, PROMOTE, "making it a voter");
}

static const char *refusal(int err)
{
	switch (err) {
	case -ENOSPC:
		return "the group has as many members as it can have";
	case -EDOM:
		return "it is the last voter: nothing would be left of the group";
	case -ENOENT:
		return "there is no such member";
	case -EEXIST:
		return "it is a member already";
	default:
		return "the group refuses it";
	}
}

/* A step that changes the configuration. True: it is done. */
static bool config_step(struct flint_raft *r, struct flint_raft_change *c, u8 op, u64 id)
{
	int err;

	if (c->index)
		return r->applied >= c->index;
	err = configure(r, c, op, id);
	if (err == -EAGAIN && op == RAFT_PROMOTE)
		step_to(c, CATCH_UP, "it catches up");
	else if (err && err != -EBUSY && err != -ENOMEM && r->change == c)
		finish(r, err == -EPERM ? -EAGAIN : err, refusal(err));
	return false;
}

static void step_run(struct flint_raft *r, struct flint_raft_change *c)
{
	switch (c->state) {
	case LEARN:
		if (config_step(r, c, RAFT_ADD_LEARNER, c->new_id))
			step_to(c, CATCH_UP, "waiting for it");
		break;
	case CATCH_UP:
		watch(r, c);
		break;
	case PROMOTE:
		if (!config_step(r, c, RAFT_PROMOTE, c->new_id))
			break;
		if (c->kind == FLINT_RAFT_REPLACE)
			step_to(c, REMOVE, "removing the old one");
		else
			finish(r, 0, NULL);
		break;
	case REMOVE:
		if (config_step(r, c, RAFT_REMOVE, c->id))
			finish(r, 0, NULL);
		break;
	}
}

void flint_raft_change_run(struct flint_raft *r)
{
	struct flint_raft_change *c = r->change;
	int before;

	if (r->probe_over) {
		r->probe_over = false;
		probe_free(r);
	}
	if (!c || r->dead)
		return;
	do {
		before = c->state;
		step_run(r, c);
	} while (r->change == c && c->state != before);
	if (r->change == c &&
	    flint_now_ns() - c->moved_ns > STALLED_MS * (u64)r->scale * 1000000)
		finish(r, -ETIMEDOUT, "it made no progress for 30 s; what was added stays a learner:"
				      " remove it, or repeat the command when it can be reached");
}

void flint_raft_change_failed(struct flint_raft *r, int err, const char *why)
{
	struct flint_raft_change *c = r->change;

	if (r->stopping)
		probe_free(r);
	if (!c)
		return;
	/* To lead no more is what a transfer wants, and what the removal of a leader brings. */
	if (err == -EAGAIN && (c->kind == FLINT_RAFT_TRANSFER ||
			       (c->state == REMOVE && c->id == r->root.id && r->root.removed)))
		finish(r, 0, NULL);
	else
		finish(r, err, why);
}

static void begin(struct flint_raft *r, struct flint_raft_change *c)
{
	struct raft_event ev = { .type = RAFT_EV_TRANSFER, .peer = c->id };
	int err;

	switch (c->kind) {
	case FLINT_RAFT_ADD:
	case FLINT_RAFT_REPLACE:
		if (c->new_id) {
			step_to(c, LEARN, "adding it as a learner");
			break;
		}
		step_to(c, PROBE, "asking it");
		probe(r, c);
		break;
	case FLINT_RAFT_REMOVE:
		step_to(c, REMOVE, "removing it");
		break;
	case FLINT_RAFT_TRANSFER:
		step_to(c, HAND_OVER, "handing over");
		if (c->id == r->root.id) {
			finish(r, 0, NULL);
			break;
		}
		err = flint_raft_drive(r, &ev);
		if (err && r->change == c)
			finish(r, err == -EPERM ? -EAGAIN : err,
			       err == -EBUSY ? "a change is under way" : "there is no other voter to hand"
			       " over to, or it is not reachable");
		break;
	default:
		finish(r, -EINVAL, "there is no such change");
	}
}

void flint_raft_change(struct flint_raft *r, struct flint_raft_change *c)
{
	if (!r->st.ready || r->dead || r->stopping) {
		c->done(c, -EAGAIN, "this replica does not lead");
		return;
	}
	if (r->change) {
		c->done(c, -EBUSY, "another change is under way");
		return;
	}
	if (r->probe)
		probe_free(r);
	r->probe_over = false;
	r->change = c;
	begin(r, c);
	flint_raft_poke(r);
}
