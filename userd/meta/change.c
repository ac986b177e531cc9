// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests and other sessions' leases: before a request is executed, nobody
 * else may hold a lease that it breaks, and until it is answered nobody else
 * may get one.
 *
 *	names ---> leases ---> proposed (metad_mutate) ---> done, answered
 *	   \__________\______ waited too long: RETRY, the client comes again
 *
 * Names: two requests that work on the same name of a directory follow each
 * other, since what a name stands for decides whose leases are in the way. A
 * request takes all its names at once, in the order of their keys, so that no
 * two wait for each other; holders of leases never need a name to give them
 * back (OPEN by inode, EXTEND and LEASE_RETURN have none).
 *
 * While no session takes part in leases, none of this happens but a count.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "../base/hash.h"
#include "grants.h"

#define NAMES_MAX	2

enum change_state { CHANGE_NAMES, CHANGE_LEASES, CHANGE_PROPOSED };

struct name_lock {
	u64 key;
	struct metad_change *holder;
	struct metad_change *queue, **tail;
	UT_hash_handle hh;
};

/**
 * struct metad_change - a request on its way past the leases of others
 * @lc: what it touches; breaks nothing of its own session
 * @again: instead of a mutation: look again
 * @ino: OPEN, CLOSE: for the account of writers
 */
struct metad_change {
	struct lease_change lc;
	struct metad *m;
	struct flint_call *call;
	u64 sid;
	u32 fs;
	enum change_state state;
	u64 deadline_ns;
	const void *data;
	u32 data_len;
	void (*again)(struct metad *m, struct flint_call *call, u64 sid, u32 fs);
	u64 ino;
	u64 keys[NAMES_MAX];
	u32 nr_keys, got_keys;
	struct metad_change *name_next;		/* queue of a name */
	struct flint_task task;
	bool posted, dead, failing;
	struct metad_change *next, **prev;	/* all */
};

static void change_names(struct metad_change *c);

/* ---- life -------------------------------------------------------------------------- */

static struct metad_change *change_new(struct metad *m, struct flint_call *call, u64 sid, u32 fs)
{
	struct metad_change *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->m = m;
	c->call = call;
	c->sid = sid;
	c->fs = fs;
	c->lc.sid = sid;
	c->lc.priv = c;
	/* The sender hears of it while it still waits. */
	c->deadline_ns = flint_conn_now(call->conn) + call->msg.timeout_ms * 750000ull;
	c->next = m->changes;
	c->prev = &m->changes;
	if (c->next)
		c->next->prev = &c->next;
	m->changes = c;
	call->priv = c;
	return c;
}

static void name_drop(struct metad_change *c, u64 key)
{
	struct name_lock *l;
	struct metad_change *w;

	HASH_FIND(hh, c->m->names, &key, sizeof(key), l);
	if (!l || l->holder != c)
		return;
	w = l->queue;
	l->holder = w;
	if (!w) {
		HASH_DEL(c->m->names, l);
		free(l);
		return;
	}
	l->queue = w->name_next;
	if (!l->queue)
		l->tail = &l->queue;
	w->name_next = NULL;
	w->got_keys++;
	if (!w->failing)
		change_names(w);
}

/* Out of a queue that it waits in. */
static void name_leave(struct metad_change *c, u64 key)
{
	struct metad_change **link;
	struct name_lock *l;

	HASH_FIND(hh, c->m->names, &key, sizeof(key), l);
	if (!l)
		return;
	for (link = &l->queue; *link; link = &(*link)->name_next)
		if (*link == c) {
			*link = c->name_next;
			break;
		}
	for (link = &l->queue; *link; link = &(*link)->name_next)
		;
	l->tail = link;
}

static void change_free(struct metad_change *c)
{
	u32 i;

	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	lease_change_end(metad_lease_table(c->m), &c->lc);
	if (c->state == CHANGE_NAMES && c->got_keys < c->nr_keys)
		name_leave(c, c->keys[c->got_keys]);
	for (i = 0; i < c->got_keys; i++)
		name_drop(c, c->keys[i]);
	c->dead = true;
	if (!c->posted)
		free(c);
}

static void change_refuse(struct metad_change *c, u32 status)
{
	struct flint_call *call = c->call;

	struct metad *m = c->m;

	call->priv = NULL;
	change_free(c);
	if (status == FLINT_ST_NOT_LEADER)
		metad_not_leader(m, call);
	else
		flint_call_reply(call, status, NULL, 0, NULL, 0, 0);
}

/* ---- what a request touches -------------------------------------------------------------- */

static u64 name_key(u64 dir, const u8 *name, u32 len)
{
	return XXH3_64bits_withSeed(name, len, dir);
}

/* The inode a name stands for, or 0. */
static u64 name_ino(struct metad_change *c, u64 dir, const u8 *name, u32 len, bool *is_dir)
{
	struct meta_inode i;

	*is_dir = false;
	if (flint_name_check(name, len) ||
	    meta_read_lookup(&c->m->store, c->fs, dir, name, len, &i))
		return 0;
	*is_dir = S_ISDIR(i.mode);
	return i.ino;
}

static void add_victim(struct metad_change *c, u64 dir, const u8 *name, u32 len)
{
	bool is_dir;
	u64 ino = name_ino(c, dir, name, len, &is_dir);

	lease_change_add(&c->lc, ino, LEASE_SET_ATTR);
	if (is_dir)
		lease_change_add(&c->lc, ino, LEASE_SET_ENTRIES);
}

static void add_open(struct metad_change *c, const struct flint_open *b, const u8 *name, u32 len)
{
	u32 flags = le32_to_cpu(b->flags);
	u64 dir = le64_to_cpu(b->ino), ino = dir;
	bool is_dir;

	/* Only when it matters: a change of the directory keeps others from leases on it. */
	if (len && lease_hides(metad_lease_table(c->m), c->sid, dir, LEASE_SEE_ENTRIES))
		lease_change_add(&c->lc, dir, LEASE_SEE_ENTRIES);
	if (len)
		ino = name_ino(c, dir, name, len, &is_dir);
	if (flags & FLINT_OPEN_TMPFILE)
		return;		/* nobody knows it yet */
	if (len && !ino && (flags & FLINT_OPEN_CREATE))
		lease_change_add(&c->lc, dir, LEASE_SET_ENTRIES);
	lease_change_add(&c->lc, ino, LEASE_SEE_ATTR);
	if (flags & FLINT_OPEN_WRITE)
		lease_change_add(&c->lc, ino, LEASE_WRITE_DATA);
	if (flags & FLINT_OPEN_TRUNC)
		lease_change_add(&c->lc, ino, LEASE_SET_ATTR);
}

/*
 * A request's names (@c->keys, when @c->got_keys is 0) or its inodes. Bodies
 * were not checked yet: what is malformed touches nothing and is refused later.
 */
static void walk(struct metad_change *c, bool names)
{
	const struct flint_msg *msg = &c->call->msg;
	union {
		struct flint_name_req name;
		struct flint_setattr setattr;
		struct flint_open open;
		struct flint_mknod mknod;
		struct flint_link link;
		struct flint_rename rename;
		struct flint_xattr xattr;
		struct flint_extend extend;
		struct flint_trash_restore restore;
		struct flint_trash_empty empty;
	} b;
	struct meta_trash trash;
	const u8 *s = NULL;
	u32 n, n1 = 0, n2 = 0;
	u64 dir1 = 0, dir2 = 0;

#define GET_VAR(m)	(!flint_body_get_var(&b.m, sizeof(b.m), sizeof(b.m), msg->body, \
					     msg->body_len, &s, &n))
#define GET(m)		(!flint_body_get(&b.m, sizeof(b.m), sizeof(b.m), msg->body, msg->body_len))
	switch (msg->op) {
	case FLINT_OP_UNLINK:
	case FLINT_OP_RMTREE:
		if (!GET_VAR(name) || le32_to_cpu(b.name.name_len) > n)
			return;
		dir1 = le64_to_cpu(b.name.parent);
		n1 = le32_to_cpu(b.name.name_len);
		if (!names) {
			lease_change_add(&c->lc, dir1, LEASE_SET_ENTRIES);
			add_victim(c, dir1, s, n1);
		}
		break;
	case FLINT_OP_OPEN:
		if (!GET_VAR(open) || le32_to_cpu(b.open.name_len) > n)
			return;
		dir1 = le64_to_cpu(b.open.ino);
		n1 = le32_to_cpu(b.open.name_len);
		if (!names)
			add_open(c, &b.open, s, n1);
		break;
	case FLINT_OP_MKNOD:
		if (!GET_VAR(mknod) || le32_to_cpu(b.mknod.name_len) > n)
			return;
		dir1 = le64_to_cpu(b.mknod.parent);
		n1 = le32_to_cpu(b.mknod.name_len);
		lease_change_add(&c->lc, names ? 0 : dir1, LEASE_SET_ENTRIES);
		break;
	case FLINT_OP_LINK:
		if (!GET_VAR(link) || le32_to_cpu(b.link.name_len) > n)
			return;
		dir1 = le64_to_cpu(b.link.parent);
		n1 = le32_to_cpu(b.link.name_len);
		lease_change_add(&c->lc, names ? 0 : dir1, LEASE_SET_ENTRIES);
		lease_change_add(&c->lc, names ? 0 : le64_to_cpu(b.link.ino), LEASE_SET_ATTR);
		break;
	case FLINT_OP_RENAME:
		if (!GET_VAR(rename) || le32_to_cpu(b.rename.old_len) > n ||
		    le32_to_cpu(b.rename.new_len) > n - le32_to_cpu(b.rename.old_len))
			return;
		dir1 = le64_to_cpu(b.rename.old_parent);
		dir2 = le64_to_cpu(b.rename.new_parent);
		n1 = le32_to_cpu(b.rename.old_len);
		n2 = le32_to_cpu(b.rename.new_len);
		if (!names) {
			lease_change_add(&c->lc, dir1, LEASE_SET_ENTRIES);
			lease_change_add(&c->lc, dir2, LEASE_SET_ENTRIES);
			add_victim(c, dir1, s, n1);
			add_victim(c, dir2, s + n1, n2);
		}
		break;
	case FLINT_OP_TRASH_RESTORE:
		if (names || !GET_VAR(restore))
			return;
		dir1 = le64_to_cpu(b.restore.parent);
		if (!dir1 && meta_trash_get(&c->m->store, c->fs, le64_to_cpu(b.restore.id),
					    &trash) == 1)
			dir1 = trash.parent;
		lease_change_add(&c->lc, dir1, LEASE_SET_ENTRIES);
		lease_change_add(&c->lc, le64_to_cpu(b.restore.id), LEASE_SET_ATTR);
		break;
	case FLINT_OP_TRASH_EMPTY:
		/* Nobody is granted anything there; who removed it may have what it held before. */
		if (names || !GET(empty))
			return;
		lease_change_add(&c->lc, le64_to_cpu(b.empty.id), LEASE_SET_ATTR);
		lease_change_add(&c->lc, le64_to_cpu(b.empty.id), LEASE_SET_ENTRIES);
		break;
	case FLINT_OP_SETATTR:
		if (!flint_body_get(&b.setattr, sizeof(b.setattr), FLINT_SETATTR_MIN, msg->body,
				    msg->body_len) && !names)
			lease_change_add(&c->lc, le64_to_cpu(b.setattr.ino), LEASE_SET_ATTR);
		break;
	case FLINT_OP_SETXATTR:
	case FLINT_OP_REMOVEXATTR:
		if (GET_VAR(xattr) && !names)
			lease_change_add(&c->lc, le64_to_cpu(b.xattr.ino), LEASE_SET_ATTR);
		break;
	case FLINT_OP_EXTEND:
	case FLINT_OP_APPEND:
		if (!flint_body_get(&b.extend, sizeof(b.extend), FLINT_EXTEND_MIN, msg->body,
				    msg->body_len) && !names)
			lease_change_add(&c->lc, le64_to_cpu(b.extend.ino), LEASE_SET_ATTR);
		break;
	}
	if (names && n1)
		c->keys[c->nr_keys++] = name_key(dir1, s, n1);
	if (names && n2)
		c->keys[c->nr_keys++] = name_key(dir2, s + n1, n2);
#undef GET
#undef GET_VAR
}

/* ---- from step to step ------------------------------------------------------------------- */

static void change_go(struct metad_change *c)
{
	struct metad *m = c->m;
	struct flint_call *call = c->call;
	void (*again)(struct metad *m, struct flint_call *call, u64 sid, u32 fs) = c->again;
	u64 sid = c->sid;
	u32 fs = c->fs;

	c->state = CHANGE_PROPOSED;
	if (!again) {
		if (call->msg.lease & FLINT_LEASE_DIR_WRITE)
			metad_hint_new(m, sid);
		metad_mutate(m, call, sid, c->data, c->data_len);
		return;
	}
	call->priv = NULL;
	change_free(c);
	again(m, call, sid, fs);
}

static void change_leases(struct metad_change *c);

static void change_run(struct flint_task *t)
{
	struct metad_change *c = (struct metad_change *)
		((char *)t - offsetof(struct metad_change, task));

	c->posted = false;
	if (c->dead) {
		free(c);
	} else if (c->again) {
		change_go(c);
	} else {
		/* Who gave a lease back may have told of names first: look what they are now. */
		lease_change_end(metad_lease_table(c->m), &c->lc);
		c->lc.nr = 0;
		change_leases(c);
	}
}

/* From inside the table: go on when it is in order. */
void metad_change_ready(struct lease_change *lc)
{
	struct metad_change *c = lc->priv;

	c->task.fn = change_run;
	c->posted = true;
	flint_loop_post(c->m->loop, &c->task);
}

static void change_leases(struct metad_change *c)
{
	int rc;

	c->state = CHANGE_LEASES;
	if (!c->again)
		walk(c, false);
	rc = lease_change_begin(metad_lease_table(c->m), &c->lc, flint_now_ns());
	if (rc < 0)
		change_refuse(c, FLINT_ST_RETRY);
	else if (rc)
		change_go(c);
}

/* Take the next names, or wait for one. */
static void change_names(struct metad_change *c)
{
	struct name_lock *l;
	u64 key;

	while (c->got_keys < c->nr_keys) {
		key = c->keys[c->got_keys];
		HASH_FIND(hh, c->m->names, &key, sizeof(key), l);
		if (l && l->holder != c) {
			c->name_next = NULL;
			*l->tail = c;
			l->tail = &c->name_next;
			return;
		}
		if (!l) {
			l = calloc(1, sizeof(*l));
			if (!l) {
				change_refuse(c, FLINT_ST_RETRY);
				return;
			}
			l->key = key;
			l->holder = c;
			l->tail = &l->queue;
			HASH_ADD(hh, c->m->names, key, sizeof(l->key), l);
		}
		c->got_keys++;
	}
	change_leases(c);
}

void metad_change_mutate(struct metad *m, struct flint_call *call, u64 sid, u32 fs,
			 const void *data, u32 data_len)
{
	struct metad_change *c = change_new(m, call, sid, fs);
	u64 tmp;

	if (!c) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	c->data = data;
	c->data_len = data_len;
	if (!lease_tracking(metad_lease_table(m))) {
		c->state = CHANGE_LEASES;
		lease_change_begin(metad_lease_table(m), &c->lc, 0);
		change_go(c);
		return;
	}
	walk(c, true);
	if (c->nr_keys == 2 && c->keys[0] > c->keys[1]) {
		tmp = c->keys[0];
		c->keys[0] = c->keys[1];
		c->keys[1] = tmp;
	}
	if (c->nr_keys == 2 && c->keys[0] == c->keys[1])
		c->nr_keys = 1;
	change_names(c);
}

bool metad_change_see(struct metad *m, struct flint_call *call, u64 sid, u32 fs, u64 ino,
		      void (*again)(struct metad *m, struct flint_call *call, u64 sid, u32 fs))
{
	struct metad_change *c;

	if (!lease_hides(metad_lease_table(m), sid, ino, LEASE_SEE_ATTR))
		return false;
	c = change_new(m, call, sid, fs);
	if (!c) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return true;
	}
	c->again = again;
	lease_change_add(&c->lc, ino, LEASE_SEE_ATTR);
	change_leases(c);
	return true;
}

/* ---- while data is cut ---------------------------------------------------------------------- */

void metad_change_logged(struct flint_call *call)
{
	struct metad_change *c = call->priv;

	while (c && c->got_keys)
		name_drop(c, c->keys[--c->got_keys]);
}

bool metad_change_late(const struct flint_call *call)
{
	const struct metad_change *c = call->priv;

	return c && flint_now_ns() >= c->deadline_ns;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* Who has the file open for writing: handles as the log has them. */
static void count_writer(struct metad *m, u64 sid, const struct flint_msg *msg, const u8 *body,
			 u32 len)
{
	struct flint_open_rep rep;
	struct flint_close cl;
	struct flint_open b;

	if (msg->op == FLINT_OP_CLOSE) {
		memcpy(&cl, msg->body, sizeof(cl));
		metad_writer_closed(m, sid, le64_to_cpu(cl.handle));
		return;
	}
	if (len < sizeof(rep))
		return;
	memcpy(&b, msg->body, sizeof(b));
	memcpy(&rep, body, sizeof(rep));
	if (rep.handle && (le32_to_cpu(b.flags) & FLINT_OPEN_WRITE))
		metad_writer_opened(m, sid, le64_to_cpu(rep.handle), le64_to_cpu(rep.attr.ino));
}

u32 metad_change_done(struct metad *m, struct flint_call *call, u32 status, u8 *body, u32 len)
{
	const struct flint_msg *msg = &call->msg;
	struct metad_change *c = call->priv;
	struct metad_grants g = { 0 };
	struct flint_attr attr;
	u32 kinds = FLINT_LEASE_READ, at = 0;
	const void *data;
	u32 data_len;
	u64 sid, ino;

	if (!c)
		return len;
	sid = c->sid;
	data = c->data;
	data_len = c->data_len;
	call->priv = NULL;
	if (status == FLINT_OK && (msg->op == FLINT_OP_OPEN || msg->op == FLINT_OP_CLOSE))
		count_writer(m, sid, msg, body, len);
	change_free(c);
	if (status == FLINT_OK && msg->op == FLINT_OP_INO_GRANT)
		metad_hints_load(m, metad_session_by_id(m, sid));
	if (status == FLINT_OK && msg->op == FLINT_OP_DIR_CREATE)
		return metad_delegate_done(m, call, sid, data, data_len, body, len);
	/* A repeated request may be answered with attributes of long ago. */
	if (status != FLINT_OK || !msg->lease || (msg->flags & FLINT_F_RETRY))
		return len;
	switch (msg->op) {
	case FLINT_OP_OPEN:
		at = offsetof(struct flint_open_rep, attr);
		kinds |= FLINT_LEASE_WRITE;
		break;
	case FLINT_OP_MKNOD:
		kinds |= FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE;
		break;
	case FLINT_OP_EXTEND:
		kinds |= FLINT_LEASE_WRITE;
		break;
	case FLINT_OP_SETATTR:
	case FLINT_OP_LINK:
		break;
	default:
		return len;
	}
	if (len < at + sizeof(attr))
		return len;
	memcpy(&attr, body + at, sizeof(attr));
	ino = le64_to_cpu(attr.ino);
	if (!S_ISDIR(le32_to_cpu(attr.mode)))
		kinds &= ~(u32)(FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE);
	metad_grant(m, call, sid, ino, kinds, &g);
	return metad_grants_put(call, &g, body, len);
}

void metad_changes_tick(struct metad *m)
{
	struct metad_change *c = m->changes;
	u64 now = flint_now_ns();

	while (c) {
		if (c->state == CHANGE_PROPOSED || now < c->deadline_ns) {
			c = c->next;
			continue;
		}
		change_refuse(c, FLINT_ST_RETRY);
		c = m->changes;		/* ending one may let others go on: begin anew */
	}
}

void metad_changes_fail(struct metad *m)
{
	struct metad_change *c;

	/* First nobody goes on to be proposed, then they end. */
	for (c = m->changes; c; c = c->next)
		c->failing = true;
	for (c = m->changes; c;) {
		if (c->state == CHANGE_PROPOSED) {
			c = c->next;
			continue;
		}
		change_refuse(c, FLINT_ST_NOT_LEADER);
		c = m->changes;
	}
}
