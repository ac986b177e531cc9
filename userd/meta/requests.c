// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests: reads are answered here; mutations go to the log. Both only by a
 * leader whose lease is valid, or that a majority has just confirmed.
 *
 * An answer with a payload first gets a buffer of the pool, which may mean to
 * wait for one, and then reads straight into it.
 */
#include <errno.h>
#include <stdlib.h>
#include "grants.h"
#include "locks.h"
#include "../base/log.h"
#include "../base/token.h"

/* A read that needs a payload buffer. */
struct reading {
	struct flint_buf_waiter w;
	struct metad *m;
	struct flint_call *call;
	u64 sid;
	u32 fs;
};

static void reply_err(struct flint_call *call, int err)
{
	flint_call_reply(call, err < 0 ? (u32)-err : (u32)err, NULL, 0, NULL, 0, 0);
}

static void bad_request(struct flint_call *call)
{
	flint_conn_kill(call->conn, "malformed metadata request");
	flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
}

/* A body with the grants behind it. */
static void reply_granted(struct flint_call *call, u32 status, const void *body, u32 len,
			  const struct metad_grants *g)
{
	u8 buf[sizeof(struct flint_attr) + sizeof(g->g)];

	if (len)
		memcpy(buf, body, len);
	len = metad_grants_put(call, g, buf, len);
	flint_call_reply(call, status, buf, len, NULL, 0, 0);
}

static void reply_attr(struct metad *m, struct flint_call *call, u64 sid,
		       const struct meta_inode *i, struct metad_grants *g)
{
	struct flint_attr a;

	meta_inode_attr(i, &a);
	a.valid_ms = cpu_to_le32(m->valid_ms);
	metad_grant(m, call, sid, i->ino,
		    FLINT_LEASE_READ | (meta_is_dir(i) ? FLINT_LEASE_DIR : 0), g);
	reply_granted(call, FLINT_OK, &a, sizeof(a), g);
}

static void do_lookup(struct metad *m, struct flint_call *call, u64 sid, u32 fs)
{
	struct metad_grants g = { 0 };
	struct flint_name_req b;
	struct meta_inode i;
	const u8 *name;
	u32 len;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len,
			       &name, &len) || le32_to_cpu(b.name_len) != len) {
		bad_request(call);
		return;
	}
	if (metad_change_see(m, call, sid, fs, le64_to_cpu(b.parent), do_lookup))
		return;
	err = flint_name_check(name, len);
	if (!err)
		err = meta_read_lookup(&m->store, fs, le64_to_cpu(b.parent), name, len, &i);
	if (!err && metad_change_see(m, call, sid, fs, i.ino, do_lookup))
		return;
	if (!err || err == -ENOENT)
		metad_grant(m, call, sid, le64_to_cpu(b.parent), FLINT_LEASE_DIR, &g);
	if (err)
		reply_granted(call, -err, NULL, 0, &g);
	else
		reply_attr(m, call, sid, &i, &g);
}

/* An inode of the session's file system, for whoever asks by number. */
static int read_inode(struct metad *m, u64 ino, u32 gen, u32 fs, struct meta_inode *i)
{
	int err = meta_read_inode(&m->store, ino, i);

	if (!err && (i->fs != fs || (gen && gen != i->gen)))
		err = -ESTALE;
	return err;
}

static void do_getattr(struct metad *m, struct flint_call *call, u64 sid, u32 fs)
{
	struct metad_grants g = { 0 };
	struct flint_ino_req b;
	struct meta_inode i;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len)) {
		bad_request(call);
		return;
	}
	err = read_inode(m, le64_to_cpu(b.ino), le32_to_cpu(b.gen), fs, &i);
	if (!err && metad_change_see(m, call, sid, fs, i.ino, do_getattr))
		return;
	if (err)
		reply_err(call, err);
	else
		reply_attr(m, call, sid, &i, &g);
}

/* Data of this inode for a token's client; metad_read_refused() has looked where it lies. */
static void do_permit(struct metad *m, struct flint_call *call, u32 fs)
{
	const struct flint_token *token = flint_conn_info(call->conn)->token;
	struct flint_permit p = { 0 };
	struct flint_ino_req b;
	struct meta_inode i;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len)) {
		bad_request(call);
		return;
	}
	err = token ? read_inode(m, le64_to_cpu(b.ino), le32_to_cpu(b.gen), fs, &i) : -EINVAL;
	if (err) {
		reply_err(call, err);
		return;
	}
	p.token = token->id;
	p.ino = cpu_to_le64(i.ino);
	p.fs = cpu_to_le32(fs);
	p.expires = cpu_to_le64(metad_wall_ns() / 1000000000 + FLINT_PERMIT_S);
	flint_permit_seal(m->key, &p);
	flint_call_reply(call, FLINT_OK, &p, sizeof(p), NULL, 0, 0);
}

/* Space of the chains: a chain holds what its smallest target holds. */
static void chain_space(const struct flint_map *map, u64 *total, u64 *avail)
{
	u32 i, j;

	*total = 0;
	*avail = 0;
	for (i = 0; i < map->nr_chains; i++) {
		const struct flint_map_chain *c = &map->chains[i];
		u64 cap = UINT64_MAX, room = UINT64_MAX;

		for (j = 0; j < c->nr; j++) {
			const struct flint_map_target *t =
				flint_map_target(map, le32_to_cpu(c->targets[j]));
			u64 size = t ? le64_to_cpu(t->capacity) : 0;
			u64 used = t ? le64_to_cpu(t->used) : 0;

			if (size < cap)
				cap = size;
			if (size - (used < size ? used : size) < room)
				room = size - (used < size ? used : size);
		}
		*total += cap;
		*avail += room;
	}
}

/* What limits leave of it where the inode is. */
static void statfs_limit(struct flint_statfs *st, const struct meta_room *r)
{
	u64 left = r->bytes > r->bytes_used ? r->bytes - r->bytes_used : 0;
	u64 files = r->inodes > r->inodes_used ? r->inodes - r->inodes_used : 0;

	if (r->bytes && r->bytes < le64_to_cpu(st->total)) {
		st->total = cpu_to_le64(r->bytes);
		if (left < le64_to_cpu(st->free))
			st->free = cpu_to_le64(left);
	}
	if (r->inodes) {
		st->files = cpu_to_le64(r->inodes);
		st->files_free = cpu_to_le64(files);
	}
}

static void do_statfs(struct metad *m, struct flint_call *call, u32 fs)
{
	struct flint_map_ref *ref;
	struct flint_statfs st = { 0 };
	u64 total = 0, avail = 0, files = 0;
	struct meta_room room = { 0 };
	struct flint_ino_req b;
	struct meta_inode i;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len)) {
		bad_request(call);
		return;
	}
	/* An inode that went meanwhile is no reason to tell nothing. */
	err = read_inode(m, le64_to_cpu(b.ino), 0, fs, &i);
	if (!err)
		err = meta_quota_left(&m->store, i.ino, &room);
	if (err && err != -ESTALE) {
		reply_err(call, err);
		return;
	}
	ref = flint_cluster_map(m->cluster);
	if (ref)
		chain_space(&ref->map, &total, &avail);
	flint_map_put(ref);
	err = meta_read_files(&m->store, fs, &files);
	if (err) {
		reply_err(call, err);
		return;
	}
	st.total = cpu_to_le64(total);
	st.free = cpu_to_le64(avail);
	st.files = cpu_to_le64(files + (1ull << 40));
	st.files_free = cpu_to_le64(1ull << 40);
	st.block_size = cpu_to_le32(4096);
	st.name_max = cpu_to_le32(FLINT_NAME_MAX);
	statfs_limit(&st, &room);
	flint_call_reply(call, FLINT_OK, &st, sizeof(st), NULL, 0, 0);
}

/* ---- reads with a payload -------------------------------------------------- */

/* Room that the requester offers: its word, its memory, and our buffer. */
u32 metad_room(const struct flint_call *call, const struct flint_buf *buf, u32 asked)
{
	const struct flint_conn_info *info = flint_conn_info(call->conn);
	u32 n = info->proto == FLINT_PROTO_TCP ? info->max_io : info->inline_size;

	if (info->proto != FLINT_PROTO_TCP && call->msg.nr_desc)
		n = flint_msg_room(&call->msg);
	if (asked < n)
		n = asked;
	if (info->max_io < n)
		n = info->max_io;
	return buf->size < n ? buf->size : n;
}

static int fill_readdir(struct reading *r, struct flint_buf *buf, void *body, u32 *used,
			struct metad_grants *g)
{
	struct flint_readdir b;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), r->call->msg.body, r->call->msg.body_len))
		return -EPROTO;
	err = meta_read_dir(&r->m->store, r->fs, r->m->valid_ms, &b, buf->data,
			    metad_room(r->call, buf, le32_to_cpu(b.max_len)), used, body);
	if (err)
		return err;
	metad_grant(r->m, r->call, r->sid, le64_to_cpu(b.ino), FLINT_LEASE_DIR, g);
	if (le32_to_cpu(b.flags) & FLINT_READDIR_PLUS)
		metad_grant_entries(r->m, r->call, r->sid, buf->data, *used, g);
	return 0;
}

static int fill_readlink(struct reading *r, struct flint_buf *buf, u32 *used)
{
	struct flint_ino_req b;
	struct meta_inode i;
	u32 len;
	int err;

	if (flint_body_get(&b, sizeof(b), sizeof(b), r->call->msg.body, r->call->msg.body_len))
		return -EPROTO;
	err = read_inode(r->m, le64_to_cpu(b.ino), le32_to_cpu(b.gen), r->fs, &i);
	if (!err && !meta_is_lnk(&i))
		err = -EINVAL;
	len = metad_room(r->call, buf, le32_to_cpu(b.max_len));
	if (!err)
		err = len ? meta_read_link(&r->m->store, i.ino, buf->data, len) : -EINVAL;
	if (err < 0)
		return err;
	*used = err;
	return 0;
}

static int fill_xattr(struct reading *r, struct flint_buf *buf, void *body, u32 *used)
{
	struct flint_xattr_rep *rep = body;
	struct flint_xattr b;
	struct meta_inode i;
	const u8 *name;
	u32 len, total = 0, max;
	int err;

	if (flint_body_get_var(&b, sizeof(b), sizeof(b), r->call->msg.body, r->call->msg.body_len,
			       &name, &len) || le32_to_cpu(b.name_len) != len)
		return -EPROTO;
	err = read_inode(r->m, le64_to_cpu(b.ino), 0, r->fs, &i);
	if (err)
		return err;
	max = le32_to_cpu(b.max_len);
	/* 0 asks for the size; room that shrank to nothing does not. */
	if (max && !metad_room(r->call, buf, max))
		return -ERANGE;
	max = metad_room(r->call, buf, max);
	if (r->call->msg.op == FLINT_OP_GETXATTR)
		err = meta_read_xattr(&r->m->store, i.ino, name, len, buf->data, max, &total);
	else
		err = meta_read_xattr_list(&r->m->store, i.ino, buf->data, max, &total);
	rep->total_len = cpu_to_le32(total);
	if (err > 0)
		*used = err;
	return err < 0 ? err : 0;
}

static void reading_run(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct reading *r = (struct reading *)w;
	struct metad_grants g = { 0 };
	u8 body[sizeof(struct flint_readdir_rep) + sizeof(g.g)] = { 0 };
	u32 used = 0, body_len = 0;
	int err;

	if (!flint_raft_readable(meta_log_raft(r->m->log))) {
		flint_buf_put(buf);
		metad_not_leader(r->m, r->call);
		free(r);
		return;
	}
	switch (r->call->msg.op) {
	case FLINT_OP_READDIR:
		err = fill_readdir(r, buf, body, &used, &g);
		body_len = sizeof(struct flint_readdir_rep);
		break;
	case FLINT_OP_READLINK:
		err = fill_readlink(r, buf, &used);
		break;
	default:
		err = fill_xattr(r, buf, body, &used);
		body_len = sizeof(struct flint_xattr_rep);
	}
	if (err && err != -ERANGE)
		body_len = 0;
	if (err == -EPROTO)
		flint_conn_kill(r->call->conn, "malformed metadata request");
	if (err || !used) {
		flint_buf_put(buf);
		buf = NULL;
		used = 0;
	}
	body_len = metad_grants_put(r->call, &g, body, body_len);
	flint_call_reply(r->call, -err, body, body_len, buf, 0, used);
	free(r);
}

static void do_payload_read(struct metad *m, struct flint_call *call, u64 sid, u32 fs)
{
	struct reading *r = calloc(1, sizeof(*r));

	if (!r) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	r->m = m;
	r->call = call;
	r->sid = sid;
	r->fs = fs;
	r->w.fn = reading_run;
	r->w.loop = m->loop;
	flint_buf_wait(m->pool, &r->w);
}

static void do_readdir(struct metad *m, struct flint_call *call, u64 sid, u32 fs)
{
	struct flint_readdir b;

	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len))
		bad_request(call);
	else if (!metad_change_see(m, call, sid, fs, le64_to_cpu(b.ino), do_readdir))
		do_payload_read(m, call, sid, fs);
}

/* ---- dispatch ---------------------------------------------------------------- */

/* A mutation's payload arrived. */
static void pulled(struct flint_call *call, int err)
{
	struct metad *m = call->priv;
	u32 fs, status;
	u64 sid;

	if (!m->leading) {
		metad_not_leader(m, call);
		return;
	}
	if (err || metad_session_get(m, call, &sid, &fs)) {
		flint_call_reply(call, err ? EIO : FLINT_ST_NO_SESSION, NULL, 0, NULL, 0, 0);
		return;
	}
	call->priv = NULL;
	status = call->msg.op == FLINT_OP_DIR_CREATE ?
		 metad_delegate_check(m, sid, call->payload->data, call->msg.data_len) : FLINT_OK;
	if (status)
		flint_call_reply(call, status, NULL, 0, NULL, 0, 0);
	else
		metad_change_mutate(m, call, sid, fs, call->payload->data, call->msg.data_len);
}

static void with_session(struct metad *m, struct flint_call *call)
{
	u32 fs, status;
	u64 sid;

	if (metad_session_get(m, call, &sid, &fs)) {
		flint_call_reply(call, FLINT_ST_NO_SESSION, NULL, 0, NULL, 0, 0);
		return;
	}
	if (metad_read_refused(m, call, sid))
		return;
	status = metad_leases_gate(m, call, sid);
	if (status) {
		flint_call_reply(call, status, NULL, 0, NULL, 0, 0);
		return;
	}
	if (call->msg.op == FLINT_OP_SESSION_CLOSE && metad_session_owes(m, sid)) {
		flint_call_reply(call, FLINT_ST_FENCED, NULL, 0, NULL, 0, 0);
		return;
	}
	switch (call->msg.op) {
	case FLINT_OP_LEASE_RETURN:
	case FLINT_OP_SESSION_RENEW:
	case FLINT_OP_SESSION_RECLAIM:
		metad_lease_request(m, call, sid);
		break;
	case FLINT_OP_LOCK:
	case FLINT_OP_LOCK_TEST:
	case FLINT_OP_LOCK_CANCEL:
		metad_lock_request(m, call, sid);
		break;
	case FLINT_OP_LOOKUP:
		do_lookup(m, call, sid, fs);
		break;
	case FLINT_OP_GETATTR:
		do_getattr(m, call, sid, fs);
		break;
	case FLINT_OP_PERMIT_GET:
		do_permit(m, call, fs);
		break;
	case FLINT_OP_STATFS:
		do_statfs(m, call, fs);
		break;
	case FLINT_OP_READDIR:
		do_readdir(m, call, sid, fs);
		break;
	case FLINT_OP_READLINK:
	case FLINT_OP_GETXATTR:
	case FLINT_OP_LISTXATTR:
		do_payload_read(m, call, sid, fs);
		break;
	case FLINT_OP_DIRSTAT:
	case FLINT_OP_QUOTA_GET:
	case FLINT_OP_QUOTA_LIST:
	case FLINT_OP_TRASH_LIST:
	case FLINT_OP_RMTREE_STAT:
		metad_admin(m, call, sid);
		break;
	case FLINT_OP_SETXATTR:
		call->priv = m;
		if (call->msg.data_len > FLINT_XATTR_VALUE_MAX)
			reply_err(call, E2BIG);
		else if (call->msg.data_len)
			flint_call_pull(call, pulled);
		else
			metad_change_mutate(m, call, sid, fs, NULL, 0);
		break;
	case FLINT_OP_TRASH_EMPTY:
		metad_trash_empty(m, call, sid, fs);
		break;
	case FLINT_OP_DIR_CREATE:
		call->priv = m;
		if (call->msg.data_len && call->msg.data_len <= FLINT_DIR_BATCH_MAX)
			flint_call_pull(call, pulled);
		else
			bad_request(call);
		break;
	default:
		metad_change_mutate(m, call, sid, fs, NULL, 0);
	}
}

/* A request that only the leader answers. */
static void as_leader(struct metad *m, struct flint_call *call)
{
	const struct flint_token *token;

	switch (call->msg.op) {
	case FLINT_OP_SESSION_OPEN:
		/* What the session may do travels with the command, see command.h. */
		token = flint_conn_info(call->conn)->token;
		metad_mutate(m, call, 0, token, token ? flint_token_len(token) : 0);
		break;
	case FLINT_OP_FS_CREATE:
		if (flint_conn_info(call->conn)->role == FLINT_ROLE_MGR)
			metad_mutate(m, call, 0, NULL, 0);
		else
			flint_call_reply(call, FLINT_ST_AUTH, NULL, 0, NULL, 0, 0);
		break;
	case FLINT_OP_SESSION_CLOSE:
	case FLINT_OP_LEASE_RETURN ... FLINT_OP_INO_GRANT:
	case FLINT_OP_LOOKUP ... FLINT_OP_APPEND:
	case FLINT_OP_DIRSTAT ... FLINT_OP_PERMIT_GET:
		with_session(m, call);
		break;
	default:
		flint_conn_kill(call->conn, "an operation that a metadata server does not have");
		flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
	}
}

/* A request that waits until the leader knows again that it leads. */
struct confirming {
	struct flint_raft_waiter w;
	struct metad *m;
	struct flint_call *call;
};

static void confirmed(struct flint_raft_waiter *w, int err)
{
	struct confirming *c = (struct confirming *)w;

	if (err || !c->m->leading)
		metad_not_leader(c->m, c->call);
	else
		as_leader(c->m, c->call);
	free(c);
}

static void confirm(struct metad *m, struct flint_call *call)
{
	struct confirming *c = calloc(1, sizeof(*c));

	if (!c) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	c->w.fn = confirmed;
	c->m = m;
	c->call = call;
	flint_raft_read(meta_log_raft(m->log), &c->w);
}

void metad_request(void *arg, struct flint_call *call)
{
	struct metad *m = arg;

	if (call->msg.op == FLINT_OP_PING)
		flint_call_reply(call, FLINT_OK, NULL, 0, NULL, 0, 0);
	else if (flint_raft_request(meta_log_raft(m->log), call))
		return;
	else if (call->msg.op == FLINT_OP_META_JOB)
		metad_job(m, call);
	else if (!m->leading)
		metad_not_leader(m, call);
	else if (flint_raft_readable(meta_log_raft(m->log)))
		as_leader(m, call);
	else
		confirm(m, call);
}
