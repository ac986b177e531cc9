// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mutations: from a request to a command, and from its result to the answer.
 *
 * Two results are not answers:
 *  - PENDING: a truncation was logged. The call waits in struct metad_cut, the
 *    reaper is told, and META_OP_TRUNC_DONE brings the answer for it and for
 *    every retry that has joined it.
 *  - WAIT: a truncation of the same file is under way; the command is proposed
 *    again after it. Chunk servers may be away for long: one that waits longer than
 *    its sender does is answered RETRY, since nothing of it was executed.
 *
 * Neither keeps others from its names for as long as the data cannot be cut.
 *
 * A replica that stops leading answers everybody who waits with NOT_LEADER; the
 * new leader finds the intent in its state, and a retry joins it there.
 */
#include <errno.h>
#include <stdlib.h>
#include "grants.h"
#include "../base/log.h"

/* One of the server's own commands: priv of its proposal. */
struct own {
	u64 ino;
	void (*done)(struct metad *m, u64 ino, u32 status, void *priv);
	void *priv;
};

static u16 proposal_op(const struct meta_proposal *p)
{
	struct meta_command_hdr h;

	memcpy(&h, p->cmd, sizeof(h));
	return le16_to_cpu(h.op) & ~META_OP_CRED;
}

/* Fill in what is the server's setting and not state. */
static void complete_body(struct metad *m, u16 op, struct meta_reply *r)
{
	__le32 valid = cpu_to_le32(m->valid_ms), lease = cpu_to_le32(m->lease_ms);
	size_t attr = 0;

	switch (op) {
	case FLINT_OP_SESSION_OPEN:
		memcpy(r->body + offsetof(struct flint_session_rep, lease_ms), &lease,
		       sizeof(lease));
		attr = offsetof(struct flint_session_rep, root);
		break;
	case FLINT_OP_OPEN:
		attr = offsetof(struct flint_open_rep, attr);
		break;
	case FLINT_OP_APPEND:
		attr = offsetof(struct flint_append_rep, attr);
		break;
	}
	attr += offsetof(struct flint_attr, valid_ms);
	if (r->len >= sizeof(struct flint_attr))
		memcpy(r->body + attr, &valid, sizeof(valid));
}

void metad_not_leader(struct metad *m, struct flint_call *call)
{
	struct flint_leader_hint hint = { .node_id = cpu_to_le32(metad_leader_node(m)) };

	flint_call_reply(call, FLINT_ST_NOT_LEADER, &hint, sizeof(hint), NULL, 0, 0);
}

/* The end of a mutation: of its change, too. */
static void reply(struct metad *m, struct flint_call *call, u32 status, const void *body, u32 len)
{
	u8 buf[META_REPLY_MAX + sizeof(struct metad_grants)];

	if (len)
		memcpy(buf, body, len);
	len = metad_change_done(m, call, status, buf, len);
	if (status == FLINT_ST_NOT_LEADER)
		metad_not_leader(m, call);
	else
		flint_call_reply(call, status, buf, len, NULL, 0, 0);
}

static void answer(struct metad *m, struct meta_proposal *p)
{
	struct flint_call *call = p->priv;

	if (p->reply.status == FLINT_OK)
		complete_body(m, call->msg.op, &p->reply);
	reply(m, call, p->reply.status, p->reply.body, p->reply.len);
	free(p);
}

static struct metad_cut *cut_get(struct metad *m, u64 ino)
{
	struct metad_cut *c;

	HASH_FIND(hh, m->cuts, &ino, sizeof(ino), c);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->ino = ino;
	HASH_ADD(hh, m->cuts, ino, sizeof(c->ino), c);
	return c;
}

/* The call waits for the inode's cuts; without memory the client must come again. */
static void cut_join(struct metad *m, struct meta_proposal *p, bool park)
{
	u64 ino = p->reply.ino;
	struct metad_cut *c = cut_get(m, ino);

	if (!c) {
		p->reply.status = FLINT_ST_RETRY;
		p->reply.len = 0;
		answer(m, p);
	} else if (park) {
		p->next = c->parked;
		c->parked = p;
	} else {
		p->next = c->waiters;
		c->waiters = p;
		metad_change_logged(p->priv);
	}
	metad_reaper_poke(m);
}

static void cut_finished(struct metad *m, u64 ino, const struct meta_reply *r)
{
	struct meta_proposal *p, *next;
	struct metad_cut *c;

	HASH_FIND(hh, m->cuts, &ino, sizeof(ino), c);
	if (!c)
		return;
	HASH_DEL(m->cuts, c);
	for (p = c->waiters; p; p = next) {
		next = p->next;
		p->reply = *r;
		answer(m, p);
	}
	for (p = c->parked; p; p = next) {
		next = p->next;
		meta_log_propose(m->log, p);
	}
	free(c);
}

static void session_changes(struct metad *m, u16 op, struct meta_proposal *p)
{
	struct meta_command_hdr h;
	struct flint_session_rep rep;
	struct flint_call *call = p->priv;

	memcpy(&h, p->cmd, sizeof(h));
	if (op == FLINT_OP_SESSION_CLOSE) {
		metad_session_ended(m, le64_to_cpu(h.sid));
	} else if (op == FLINT_OP_SESSION_OPEN) {
		memcpy(&rep, p->reply.body, sizeof(rep));
		metad_session_opened(m, le64_to_cpu(rep.session_epoch), h.client,
				     le32_to_cpu(rep.fs), call->conn);
	}
}

/*
 * Does this tell what its client has acknowledged already: a size, attributes, files? A client
 * that hears that there is no space for it drops that, and the data with it.
 */
static bool owed(const struct flint_msg *msg)
{
	struct flint_setattr b;

	switch (msg->op) {
	case FLINT_OP_EXTEND:
	case FLINT_OP_DIR_CREATE:
		return true;
	case FLINT_OP_SETATTR:
		return !flint_body_get(&b, sizeof(b), FLINT_SETATTR_MIN, msg->body, msg->body_len) &&
		       b.when;
	}
	return false;
}

static void mutate_done(struct meta_proposal *p)
{
	struct flint_call *call = p->priv;
	struct metad *m = p->arg;
	u16 op = proposal_op(p);

	switch (p->reply.status) {
	case META_ST_PENDING:
		cut_join(m, p, false);
		return;
	case META_ST_WAIT:
		cut_join(m, p, true);
		return;
	case FLINT_OK:
		session_changes(m, op, p);
		break;
	case FLINT_ST_RETRY:	/* META_SEQ_WINDOW is the only reason that a command has */
		flint_warn_rl("a client does not say which answers it has seen: newer requests of it"
			      " wait for its oldest one");
		break;
	case ENOSPC:
		flint_err_rl("no space left for %s: free space on its file system", m->store.path);
		if (owed(&call->msg))
			p->reply.status = FLINT_ST_RETRY;
		break;
	}
	answer(m, p);
}

/*
 * What makes the state larger is refused while its disk is nearly full. Not what clients owe: an
 * EXTEND changes a row, and there are no more delegated creates than numbers were granted for.
 */
static bool grows(u16 op)
{
	switch (op) {
	case FLINT_OP_MKNOD:
	case FLINT_OP_INO_GRANT:
	case FLINT_OP_LINK:
	case FLINT_OP_SETXATTR:
	case FLINT_OP_APPEND:
	case FLINT_OP_FS_CREATE:
	case FLINT_OP_SESSION_OPEN:
		return true;
	default:
		return false;
	}
}

void metad_mutate(struct metad *m, struct flint_call *call, u64 sid,
		  const void *data, u32 data_len)
{
	struct meta_command c = {
		.op = call->msg.op | (call->msg.flags & FLINT_F_CRED ? META_OP_CRED : 0),
		.sid = sid,
		.seq = call->msg.seq,
		.seq_low = call->msg.seq_low,
		.body = call->msg.body,
		.body_len = call->msg.body_len,
		.data = data,
		.data_len = data_len,
	};
	struct meta_proposal *p;

	if (meta_command_check(c.op, c.body, c.body_len, c.data_len)) {
		flint_conn_kill(call->conn, "malformed metadata request");
		reply(m, call, FLINT_ST_BAD_REQUEST, NULL, 0);
		return;
	}
	if (flint_raft_low_space(meta_log_raft(m->log)) && grows(c.op)) {
		reply(m, call, ENOSPC, NULL, 0);
		return;
	}
	if (c.op == FLINT_OP_SESSION_OPEN)
		c.client = flint_conn_info(call->conn)->client_id;
	p = meta_proposal_new(&c);
	if (!p) {
		reply(m, call, FLINT_ST_RETRY, NULL, 0);
		return;
	}
	p->done = mutate_done;
	p->priv = call;
	p->arg = m;
	meta_log_propose(m->log, p);
}

/* ---- the server's own commands ------------------------------------------------- */

static void own_done(struct meta_proposal *p)
{
	struct metad *m = p->arg;
	struct own *own = p->priv;

	if (p->reply.status && p->reply.status != FLINT_ST_NOT_LEADER &&
	    p->reply.status != FLINT_ST_SHUTDOWN)
		flint_err_rl("a command of the server itself failed with status %u",
			     p->reply.status);
	if (proposal_op(p) == META_OP_TRUNC_DONE && !p->reply.status)
		cut_finished(m, own->ino, &p->reply);
	own->done(m, own->ino, p->reply.status, own->priv);
	free(own);
	free(p);
}

int metad_propose_body(struct metad *m, u16 op, const void *body, u32 len, u64 id,
		       void (*done)(struct metad *m, u64 id, u32 status, void *priv), void *priv)
{
	struct meta_command c = { .op = op, .body = body, .body_len = len };
	struct own *own = malloc(sizeof(*own));
	struct meta_proposal *p;

	if (!own)
		return -ENOMEM;
	p = meta_proposal_new(&c);
	if (!p) {
		free(own);
		return -ENOMEM;
	}
	own->ino = id;
	own->done = done;
	own->priv = priv;
	p->done = own_done;
	p->priv = own;
	p->arg = m;
	meta_log_propose(m->log, p);
	return 0;
}

int metad_propose_own(struct metad *m, u16 op, u64 ino, u32 epoch,
		      void (*done)(struct metad *m, u64 ino, u32 status, void *priv), void *priv)
{
	struct meta_ino_arg a = { .ino = cpu_to_le64(ino), .epoch = cpu_to_le32(epoch) };

	return metad_propose_body(m, op, &a, sizeof(a), ino, done, priv);
}

static void answer_list(struct metad *m, struct meta_proposal *list, u32 status)
{
	struct meta_proposal *next;

	for (; list; list = next) {
		next = list->next;
		list->reply.status = status;
		list->reply.len = 0;
		answer(m, list);
	}
}

void metad_cuts_tick(struct metad *m)
{
	struct meta_proposal *late = NULL, **link, *p;
	struct metad_cut *c, *tmp;

	HASH_ITER(hh, m->cuts, c, tmp)
		for (link = &c->parked; (p = *link);) {
			if (!metad_change_late(p->priv)) {
				link = &p->next;
				continue;
			}
			*link = p->next;
			p->next = late;
			late = p;
		}
	answer_list(m, late, FLINT_ST_RETRY);
}

void metad_cuts_drop(struct metad *m, u32 status)
{
	struct metad_cut *c, *tmp;

	HASH_ITER(hh, m->cuts, c, tmp) {
		HASH_DEL(m->cuts, c);
		answer_list(m, c->waiters, status);
		answer_list(m, c->parked, status);
		free(c);
	}
}
