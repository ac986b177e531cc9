// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands: encoding, exactly-once, dispatch.
 *
 * Exactly once: a mutation names (session, seq). If its answer is stored, that
 * is the answer, and nothing happens; the arguments' digest must agree, or the
 * client has used a number twice. A number below the highest seq_low seen is
 * refused: the client said it is done with it, so this is a late copy. The
 * answer is stored in the transaction that changed the state.
 *
 * Answers are kept until the client says that it has seen them. So that one that never
 * says so cannot fill the state, sequences far above the lowest unfinished one are
 * refused (RETRY): an honest client finishes that first.
 *
 * seq_low is not a column of the session: it is the greatest "low" of the
 * stored replies. The reply that carried it has seq >= low and is not trimmed
 * by it, so it survives as long as the session.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "command.h"
#include "../../uapi/flintfs/lease.h"
#include "../base/crc.h"
#include "../../uapi/flintfs/token.h"

struct op_desc {
	u16 op;
	u16 min;		/* bytes of body */
	bool strings;		/* follow; fixed_len is the first member */
	bool write;		/* refused in a read-only session */
	int (*fn)(struct meta_op *o);
};

static const struct op_desc ops[] = {
	{ FLINT_OP_SESSION_OPEN, sizeof(struct flint_session_open), true, false,
	  meta_op_session_open },
	{ FLINT_OP_SESSION_CLOSE, 0, false, false, meta_op_session_close },
	{ FLINT_OP_SETATTR, FLINT_SETATTR_MIN, false, true, meta_op_setattr },
	{ FLINT_OP_OPEN, sizeof(struct flint_open), true, false, meta_op_open },
	{ FLINT_OP_CLOSE, sizeof(struct flint_close), false, false, meta_op_close },
	{ FLINT_OP_MKNOD, sizeof(struct flint_mknod), true, true, meta_op_mknod },
	{ FLINT_OP_LINK, sizeof(struct flint_link), true, true, meta_op_link },
	{ FLINT_OP_DIR_CREATE, sizeof(struct flint_dir_create), false, true, meta_op_dir_create },
	{ FLINT_OP_INO_GRANT, sizeof(struct flint_ino_grant), false, true, meta_op_ino_grant },
	{ FLINT_OP_UNLINK, sizeof(struct flint_name_req), true, true, meta_op_unlink },
	{ FLINT_OP_RENAME, sizeof(struct flint_rename), true, true, meta_op_rename },
	{ FLINT_OP_SETXATTR, sizeof(struct flint_xattr), true, true, meta_op_setxattr },
	{ FLINT_OP_REMOVEXATTR, sizeof(struct flint_xattr), true, true, meta_op_removexattr },
	{ FLINT_OP_EXTEND, FLINT_EXTEND_MIN, false, true, meta_op_extend },
	{ FLINT_OP_APPEND, FLINT_EXTEND_MIN, false, true, meta_op_append },
	{ FLINT_OP_FS_CREATE, sizeof(struct flint_fs_create), false, true, meta_op_fs_create },
	{ FLINT_OP_QUOTA_SET, sizeof(struct flint_quota_set), false, true, meta_op_quota_set },
	{ FLINT_OP_TRASH_SET, sizeof(struct flint_trash_set), false, true, meta_op_trash_set },
	{ FLINT_OP_TRASH_RESTORE, sizeof(struct flint_trash_restore), true, true,
	  meta_op_trash_restore },
	{ FLINT_OP_TRASH_EMPTY, sizeof(struct flint_trash_empty), false, true,
	  meta_op_trash_empty },
	{ FLINT_OP_RMTREE, sizeof(struct flint_name_req), true, true, meta_op_rmtree },
	{ META_OP_TRASH_EXPIRE, sizeof(struct meta_ino_arg), false, true, meta_op_trash_expire },
	{ META_OP_RMTREE_STEP, sizeof(struct meta_ino_arg), false, true, meta_op_rmtree_step },
	{ META_OP_TRUNC_DONE, sizeof(struct meta_ino_arg), false, true, meta_op_trunc_done },
	{ META_OP_ORPHAN_DONE, sizeof(struct meta_ino_arg), false, true, meta_op_orphan_done },
	{ META_OP_EXPIRE, sizeof(struct meta_ino_arg), false, false, meta_op_expire },
	{ META_OP_SETTLE, sizeof(struct meta_settle_arg), false, false, meta_op_settle },
	{ META_OP_HINTS, sizeof(struct meta_hint_arg), false, false, meta_op_hints },
};

static const struct op_desc *op_find(u16 op)
{
	size_t i;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (ops[i].op == op)
			return &ops[i];
	return NULL;
}

/* ---- encoding ------------------------------------------------------------- */

u32 meta_command_size(const struct meta_command *c)
{
	return sizeof(struct meta_command_hdr) + c->body_len + c->data_len;
}

/* What a retry repeats: all but time stamp and seq_low. */
static u32 command_crc(const struct meta_command_hdr *hdr, const u8 *rest, u32 len)
{
	struct meta_command_hdr h = *hdr;

	h.crc = 0;
	h.ts = 0;
	h.seq_low = 0;
	return flint_crc32c(flint_crc32c(0, &h, sizeof(h)), rest, len);
}

void meta_command_encode(const struct meta_command *c, u8 *out)
{
	struct meta_command_hdr h = {
		.version = cpu_to_le16(META_COMMAND_VERSION),
		.op = cpu_to_le16(c->op),
		.body_len = cpu_to_le32(c->body_len),
		.data_len = cpu_to_le32(c->data_len),
		.ts = cpu_to_le64(c->ts),
		.sid = cpu_to_le64(c->sid),
		.seq = cpu_to_le64(c->seq),
		.seq_low = cpu_to_le64(c->seq_low),
	};
	u8 *p = out + sizeof(h);

	if (c->client)
		memcpy(h.client, c->client, sizeof(h.client));
	if (c->body_len)
		memcpy(p, c->body, c->body_len);
	if (c->data_len)
		memcpy(p + c->body_len, c->data, c->data_len);
	h.crc = cpu_to_le32(command_crc(&h, p, c->body_len + c->data_len));
	memcpy(out, &h, sizeof(h));
}

void meta_command_stamp(u8 *encoded, u64 ts)
{
	__le64 v = cpu_to_le64(ts);

	memcpy(encoded + offsetof(struct meta_command_hdr, ts), &v, sizeof(v));
}

int meta_command_decode(const u8 *in, u32 len, struct meta_command *c, u32 *digest)
{
	struct meta_command_hdr h;
	u64 need;

	if (len < sizeof(h))
		return -EPROTO;
	memcpy(&h, in, sizeof(h));
	need = sizeof(h) + (u64)le32_to_cpu(h.body_len) + le32_to_cpu(h.data_len);
	if (le16_to_cpu(h.version) != META_COMMAND_VERSION || need != len)
		return -EPROTO;
	*digest = command_crc(&h, in + sizeof(h), len - sizeof(h));
	if (*digest != le32_to_cpu(h.crc))
		return -EPROTO;
	c->op = le16_to_cpu(h.op);
	c->ts = le64_to_cpu(h.ts);
	c->sid = le64_to_cpu(h.sid);
	c->seq = le64_to_cpu(h.seq);
	c->seq_low = le64_to_cpu(h.seq_low);
	c->client = in + offsetof(struct meta_command_hdr, client);
	c->body_len = le32_to_cpu(h.body_len);
	c->data_len = le32_to_cpu(h.data_len);
	c->body = in + sizeof(h);
	c->data = in + sizeof(h) + c->body_len;
	return 0;
}

static u32 get32(const void *body, size_t off)
{
	__le32 v;

	memcpy(&v, (const u8 *)body + off, sizeof(v));
	return le32_to_cpu(v);
}

/* Bytes of strings that a body says follow its fixed part. */
static u64 tail_need(u16 op, const void *b)
{
	switch (op) {
	case FLINT_OP_SESSION_OPEN:
		return get32(b, offsetof(struct flint_session_open, path_len));
	case FLINT_OP_OPEN:
		return get32(b, offsetof(struct flint_open, name_len));
	case FLINT_OP_MKNOD:
		return (u64)get32(b, offsetof(struct flint_mknod, name_len)) +
		       get32(b, offsetof(struct flint_mknod, target_len));
	case FLINT_OP_LINK:
		return get32(b, offsetof(struct flint_link, name_len));
	case FLINT_OP_TRASH_RESTORE:
		return get32(b, offsetof(struct flint_trash_restore, name_len));
	case FLINT_OP_UNLINK:
	case FLINT_OP_RMTREE:
		return get32(b, offsetof(struct flint_name_req, name_len));
	case FLINT_OP_RENAME:
		return (u64)get32(b, offsetof(struct flint_rename, old_len)) +
		       get32(b, offsetof(struct flint_rename, new_len));
	default:
		return get32(b, offsetof(struct flint_xattr, name_len));
	}
}

int meta_command_check(u16 op, const void *body, u32 len, u32 data_len)
{
	u32 groups[FLINT_GROUPS_MAX], fixed;
	struct flint_cred_tail tail;
	const struct op_desc *d;

	if ((op & META_OP_CRED) && flint_cred_tail_get(body, &len, &tail, groups))
		return -EPROTO;
	op &= ~META_OP_CRED;
	d = op_find(op);
	if (!d || len < d->min)
		return -EPROTO;
	if (data_len > (op == FLINT_OP_SETXATTR ? FLINT_XATTR_VALUE_MAX :
			op == FLINT_OP_DIR_CREATE ? FLINT_DIR_BATCH_MAX :
			op == FLINT_OP_SESSION_OPEN ? FLINT_TOKEN_MAX : 0))
		return -EPROTO;
	if (!d->strings)
		return 0;
	fixed = get32(body, 0);
	if (fixed < d->min || fixed > len || tail_need(op, body) != len - fixed)
		return -EPROTO;
	return 0;
}

bool meta_command_durable(u16 op, const void *body, u32 len)
{
	op &= ~META_OP_CRED;
	if (op == FLINT_OP_CLOSE)
		return false;
	if (op == FLINT_OP_OPEN && len >= sizeof(struct flint_open))
		return get32(body, offsetof(struct flint_open, flags)) &
		       (FLINT_OPEN_CREATE | FLINT_OPEN_TRUNC);
	return true;
}

/* ---- answers -------------------------------------------------------------- */

void meta_reply_set(struct meta_op *o, const void *body, u32 len)
{
	o->rep->len = len;
	memcpy(o->rep->body, body, len);
}

void meta_reply_attr(struct meta_op *o, const struct meta_inode *i)
{
	struct flint_attr a;

	meta_inode_attr(i, &a);
	meta_reply_set(o, &a, sizeof(a));
}

/* The row of table "reply": three numbers before the body. */
struct reply_row {
	u64 low, digest, status;
	u8 body[META_REPLY_MAX];
};

int meta_reply_store(struct meta_store *s, u64 sid, u64 seq, u64 low, u64 digest,
		     const struct meta_reply *rep)
{
	struct reply_row row = { .low = low, .digest = digest, .status = rep->status };
	u8 key[META_KEY_MAX];
	struct meta_row r;
	int err;

	memcpy(row.body, rep->body, rep->len);
	err = meta_row_put(s, META_T_REPLY, key, meta_key2(key, sid, seq), &row,
			   offsetof(struct reply_row, body) + rep->len);
	if (err || seq % META_TRIM_STEP)
		return err;
	while ((err = meta_row_seek(s, META_T_REPLY, key, meta_key2(key, sid, 0), &r)) == 1 &&
	       meta_key_u64(r.key, 0) == sid && meta_key_u64(r.key, 8) < low) {
		memcpy(key, r.key, r.klen);
		err = meta_row_del(s, META_T_REPLY, key, r.klen);
		if (err)
			return err;
	}
	return err < 0 ? err : 0;
}

/* 1: answered before, @rep is set; 0: new; -errno. */
static int replay(struct meta_op *o)
{
	u8 key[META_KEY_MAX];
	struct meta_intent it;
	struct meta_row r;
	u64 head[3];
	int err;

	err = meta_row_get(o->s, META_T_REPLY, key, meta_key2(key, o->sn->id, o->c->seq), &r);
	if (err < 0)
		return err;
	if (err) {
		memcpy(head, r.val, sizeof(head));
		if (head[1] != o->digest || r.vlen > sizeof(head) + META_REPLY_MAX) {
			o->rep->status = FLINT_ST_BAD_SEQ;
		} else {
			o->rep->status = head[2];
			o->rep->len = r.vlen - sizeof(head);
			memcpy(o->rep->body, r.val + sizeof(head), o->rep->len);
		}
		return 1;
	}
	err = meta_intent_by_seq(o->s, o->sn->id, o->c->seq, &it);
	if (err == 1) {
		o->rep->status = it.digest == o->digest ? META_ST_PENDING : FLINT_ST_BAD_SEQ;
		o->rep->ino = it.ino;
	}
	return err;
}

static int apply_session_op(struct meta_op *o, const struct op_desc *d)
{
	struct meta_session *sn = o->sn;
	u64 low = o->c->seq_low;
	int err;

	if (meta_session_over(sn, o->s->now))
		return FLINT_ST_AUTH;
	if (!o->c->seq || o->c->seq_low > o->c->seq || o->c->seq > INT64_MAX)
		return FLINT_ST_BAD_REQUEST;
	if (o->c->seq < sn->low)
		return FLINT_ST_BAD_SEQ;
	if (o->c->seq - (low > sn->low ? low : sn->low) >= META_SEQ_WINDOW)
		return FLINT_ST_RETRY;
	err = replay(o);
	if (err)
		return err < 0 ? err : (int)o->rep->status;

	err = d->write && (sn->flags & FLINT_SESSION_RDONLY) ? EROFS : d->fn(o);
	if (err < 0 || err == (int)META_ST_WAIT || err == (int)META_ST_PENDING)
		return err;
	if (low > sn->low)
		sn->low = low;
	o->rep->status = err;
	if (err)
		o->rep->len = 0;
	err = meta_reply_store(o->s, sn->id, o->c->seq, sn->low, o->digest, o->rep);
	return err ? err : (int)o->rep->status;
}

static bool needs_session(u16 op)
{
	return op < 0x8000 && op != FLINT_OP_SESSION_OPEN && op != FLINT_OP_FS_CREATE;
}

int meta_apply(struct meta_store *s, const u8 *in, u32 len, struct meta_reply *rep)
{
	struct meta_command c;
	struct meta_op o = { .s = s, .c = &c, .rep = rep };
	const struct op_desc *d;
	int err;

	rep->status = FLINT_ST_BAD_REQUEST;
	rep->len = 0;
	rep->ino = 0;
	s->c.applied++;
	s->nr_watch = 0;
	if (meta_command_decode(in, len, &c, &o.digest))
		return 0;
	d = op_find(c.op & ~META_OP_CRED);
	if (!d || meta_command_check(c.op, c.body, c.body_len, c.data_len))
		return 0;
	/* A log never goes back in time; a stamp that does is corrected alike everywhere. */
	s->now = c.ts > s->c.last_ts ? c.ts : s->c.last_ts + 1;
	s->c.last_ts = s->now;

	if (c.op & META_OP_CRED) {
		c.op &= ~META_OP_CRED;
		if (!needs_session(c.op) || meta_cred_tail(&o, &c))
			return 0;
	}
	if (needs_session(c.op)) {
		o.sn = meta_session_by_id(s, c.sid);
		if (o.sn)
			meta_cred_session(&o);
		if (!o.sn)
			err = FLINT_ST_NO_SESSION;
		else if (c.op == FLINT_OP_SESSION_CLOSE)
			err = d->fn(&o);
		else
			err = apply_session_op(&o, d);
	} else {
		err = d->fn(&o);
	}
	if (s->nr_watch && err >= 0) {
		int bad = meta_quota_settle(s);

		err = bad ? bad : err;
	}
	if (err == -ESTALE) {
		/* Operations turn this into a status where a client's number may be wrong. */
		snprintf(s->err, sizeof(s->err), "an entry leads to an inode that does not exist");
		return -EUCLEAN;
	}
	if (err < 0)
		return err;
	rep->status = err;
	return 0;
}
