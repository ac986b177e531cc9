// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests of administration that only read: totals, quotas, the trash. The
 * answers are made by admin.c from the state as it is when they are made.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "admin.h"
#include "metad.h"

struct paging {
	struct flint_buf_waiter w;
	struct metad *m;
	struct flint_call *call;
	u64 sid;
};

u64 metad_wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

bool metad_read_refused(struct metad *m, struct flint_call *call, u64 sid)
{
	struct meta_session *sn = meta_session_by_id(&m->store, sid);
	int err = FLINT_ST_NO_SESSION;

	switch (call->msg.op) {
	case FLINT_OP_LOOKUP:
	case FLINT_OP_GETATTR:
	case FLINT_OP_READDIR:
	case FLINT_OP_READLINK:
	case FLINT_OP_STATFS:
	case FLINT_OP_GETXATTR:
	case FLINT_OP_LISTXATTR:
	case FLINT_OP_PERMIT_GET:
		break;
	default:
		return false;
	}
	if (sn)
		err = meta_read_may(&m->store, sn, call->msg.flags & FLINT_F_CRED, call->msg.op,
				    call->msg.body, &call->msg.body_len,
				    sn->expires ? metad_wall_ns() : 0);
	if (!err)
		return false;
	if (err == -EPROTO) {
		flint_conn_kill(call->conn, "malformed metadata request");
		err = FLINT_ST_BAD_REQUEST;
	}
	flint_call_reply(call, err < 0 ? (u32)EIO : (u32)err, NULL, 0, NULL, 0, 0);
	return true;
}

/* Make the answer; @buf: NULL when it has no payload. */
static void admin_answer(struct metad *m, struct flint_call *call, u64 sid, struct flint_buf *buf)
{
	const struct flint_conn_info *info = flint_conn_info(call->conn);
	struct meta_session *sn = meta_session_by_id(&m->store, sid);
	u64 rep[META_ADMIN_REP / 8];
	u32 room = buf ? buf->size : 0, used = 0, len = 0;
	int err = FLINT_ST_NO_SESSION;

	if (buf && info->proto != FLINT_PROTO_TCP)
		room = call->msg.nr_desc ? flint_msg_room(&call->msg) : info->inline_size;
	if (buf && room > buf->size)
		room = buf->size;
	if (sn)
		err = meta_admin_read(&m->store, sn, call->msg.flags & FLINT_F_CRED, call->msg.op,
				      call->msg.body, call->msg.body_len, metad_wall_ns(),
				      buf ? buf->data : NULL, room < info->max_io ? room :
				      info->max_io, &used, rep, &len);
	if (err == -EPROTO) {
		flint_conn_kill(call->conn, "malformed metadata request");
		err = FLINT_ST_BAD_REQUEST;
	}
	if (err) {
		len = 0;
		used = 0;
	}
	if (buf && !used) {
		flint_buf_put(buf);
		buf = NULL;
	}
	flint_call_reply(call, err < 0 ? (u32)EIO : (u32)err, rep, len, buf, 0, used);
}

static void on_buf(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct paging *p = (struct paging *)w;

	admin_answer(p->m, p->call, p->sid, buf);
	free(p);
}

void metad_admin(struct metad *m, struct flint_call *call, u64 sid)
{
	struct paging *p;

	if (!meta_admin_paged(call->msg.op, call->msg.body, call->msg.body_len)) {
		admin_answer(m, call, sid, NULL);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	p->m = m;
	p->call = call;
	p->sid = sid;
	p->w.fn = on_buf;
	p->w.loop = m->loop;
	flint_buf_wait(m->pool, &p->w);
}
