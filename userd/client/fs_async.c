// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Metadata operations: from a struct flint_meta_req to a request and back. The
 * synchronous calls (fs_meta.c) are these with somebody who waits.
 *
 * A request's body is built once, when it is submitted, in the caller's memory
 * (state), where it stays for every repetition. Everything from meta_start() on
 * is the loop's.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "fs_delegate.h"
#include "fs_lease.h"
#include "fs_write.h"

/* In struct flint_meta_req.state. */
struct meta_state {
	struct fs_op op;
	bool flushed;			/* sizes that it depends on were told, or flush_err says why not */
	int flush_err;
	struct fs_wait wait;		/* for creates to be told */
	bool blind;			/* it changes an inode that we do not know by that name */
	bool holds;			/* it may remove a directory of our own so */
	union {
		struct flint_readdir_rep readdir;
	} rep;
	union {
		struct flint_name_req name;
		struct flint_ino_req ino;
		struct flint_setattr setattr;
		struct flint_open open;
		struct flint_close close;
		struct flint_mknod mknod;
		struct flint_link link;
		struct flint_rename rename;
		struct flint_readdir readdir;
	} b;
	u8 tail[2 * FLINT_NAME_MAX];	/* follows the widest fixed part only by name: see put() */
};

_Static_assert(sizeof(struct meta_state) <= sizeof(struct flint_meta_op_state),
	       "a request's state must fit its room");

static struct meta_state *state_of(struct flint_meta_req *req)
{
	return (struct meta_state *)&req->state;
}

/* Strings stand right behind the fixed part, wherever that ends. */
static void put(struct meta_state *st, u32 fixed, const char *s, u32 len)
{
	struct flint_rpc *rpc = &st->op.rpc;

	if (!rpc->body_len)
		rpc->body_len = fixed;
	if (len)
		memcpy((u8 *)&st->b + rpc->body_len, s, len);
	rpc->body_len += len;
}

static int check_name(const char *name, u32 len)
{
	return flint_name_check((const u8 *)name, len);
}

/* ---- bodies ------------------------------------------------------------------ */

static void build_open(struct flint_meta_req *req, struct meta_state *st)
{
	st->b.open = (struct flint_open){
		.fixed_len = cpu_to_le32(sizeof(st->b.open)), .flags = cpu_to_le32(req->flags),
		.ino = cpu_to_le64(req->ino), .mode = cpu_to_le32(req->mode & 07777),
		.cred = req->fs->cred, .name_len = cpu_to_le32(req->name ? req->name_len : 0),
	};
	put(st, sizeof(st->b.open), req->name, req->name ? req->name_len : 0);
}

static void build_mknod(struct flint_meta_req *req, struct meta_state *st)
{
	st->b.mknod = (struct flint_mknod){
		.fixed_len = cpu_to_le32(sizeof(st->b.mknod)), .mode = cpu_to_le32(req->mode),
		.parent = cpu_to_le64(req->ino), .cred = req->fs->cred,
		.rdev_major = cpu_to_le32(req->rdev_major),
		.rdev_minor = cpu_to_le32(req->rdev_minor),
		.name_len = cpu_to_le32(req->name_len), .target_len = cpu_to_le32(req->target_len),
	};
	put(st, sizeof(st->b.mknod), req->name, req->name_len);
	if (!req->target_len)
		return;
	/* The one body that may be long: in memory of its own. */
	req->big = malloc(st->op.rpc.body_len + req->target_len);
	if (!req->big) {
		req->err = -ENOMEM;
		return;
	}
	memcpy(req->big, &st->b, st->op.rpc.body_len);
	memcpy((u8 *)req->big + st->op.rpc.body_len, req->target, req->target_len);
	st->op.rpc.body = req->big;
	st->op.rpc.body_len += req->target_len;
}

static void build_rename(struct flint_meta_req *req, struct meta_state *st)
{
	st->b.rename = (struct flint_rename){
		.fixed_len = cpu_to_le32(sizeof(st->b.rename)), .flags = cpu_to_le32(req->flags),
		.old_parent = cpu_to_le64(req->ino), .new_parent = cpu_to_le64(req->ino2),
		.old_len = cpu_to_le32(req->name_len), .new_len = cpu_to_le32(req->name2_len),
		.cred = req->fs->cred,
	};
	put(st, sizeof(st->b.rename), req->name, req->name_len);
	put(st, 0, req->name2, req->name2_len);
}

/* Who asks, where the body does not say so. */
static void put_who(struct flint_meta_req *req, struct meta_state *st)
{
	struct flint_rpc *rpc = &st->op.rpc;
	u32 n = fs_cred_tail(req->fs, (u8 *)&st->b + rpc->body_len);

	rpc->body_len += n;
	rpc->cred = n;
}

static void build_readdir(struct flint_meta_req *req, struct meta_state *st)
{
	st->b.readdir = (struct flint_readdir){
		.ino = cpu_to_le64(req->ino), .cookie = cpu_to_le64(req->cookie),
		.max_len = cpu_to_le32(req->len), .flags = cpu_to_le32(req->flags),
	};
	st->op.rpc.body_len = sizeof(st->b.readdir);
	put_who(req, st);
	st->op.rpc.in = req->buf;
	st->op.rpc.in_len = req->len;
}

/* Operation and body of the request. */
static void build(struct flint_meta_req *req, struct meta_state *st)
{
	struct flint_rpc *rpc = &st->op.rpc;

	rpc->body = &st->b;
	switch (req->op) {
	case FLINT_META_LOOKUP:
	case FLINT_META_UNLINK:
		rpc->op = req->op == FLINT_META_LOOKUP ? FLINT_OP_LOOKUP : FLINT_OP_UNLINK;
		st->b.name = (struct flint_name_req){
			.fixed_len = cpu_to_le32(sizeof(st->b.name)),
			.flags = cpu_to_le32(req->flags), .parent = cpu_to_le64(req->ino),
			.name_len = cpu_to_le32(req->name_len), .cred = req->fs->cred,
		};
		put(st, sizeof(st->b.name), req->name, req->name_len);
		break;
	case FLINT_META_GETATTR:
		rpc->op = FLINT_OP_GETATTR;
		st->b.ino = (struct flint_ino_req){ .ino = cpu_to_le64(req->ino) };
		rpc->body_len = sizeof(st->b.ino);
		put_who(req, st);
		break;
	case FLINT_META_SETATTR:
		rpc->op = FLINT_OP_SETATTR;
		st->b.setattr = req->set;
		st->b.setattr.cred = req->fs->cred;
		rpc->body_len = sizeof(st->b.setattr);
		break;
	case FLINT_META_OPEN:
		rpc->op = FLINT_OP_OPEN;
		build_open(req, st);
		break;
	case FLINT_META_CLOSE:
		rpc->op = FLINT_OP_CLOSE;
		st->b.close = (struct flint_close){
			.handle = cpu_to_le64(req->handle), .ino = cpu_to_le64(req->ino) };
		rpc->body_len = sizeof(st->b.close);
		break;
	case FLINT_META_MKNOD:
		rpc->op = FLINT_OP_MKNOD;
		build_mknod(req, st);
		break;
	case FLINT_META_LINK:
		rpc->op = FLINT_OP_LINK;
		st->b.link = (struct flint_link){
			.fixed_len = cpu_to_le32(sizeof(st->b.link)),
			.name_len = cpu_to_le32(req->name_len), .ino = cpu_to_le64(req->ino2),
			.parent = cpu_to_le64(req->ino), .cred = req->fs->cred,
		};
		put(st, sizeof(st->b.link), req->name, req->name_len);
		break;
	case FLINT_META_RENAME:
		rpc->op = FLINT_OP_RENAME;
		build_rename(req, st);
		break;
	case FLINT_META_READDIR:
		rpc->op = FLINT_OP_READDIR;
		build_readdir(req, st);
		break;
	}
}

/* ---- answers from memory --------------------------------------------------------- */

static bool local_lookup(struct flint_meta_req *req)
{
	struct flint_fs *fs = req->fs;
	uint64_t ino;
	int rc;

	rc = cache_get_name(fs->cache, req->ino, req->name, req->name_len, &ino);
	if (!rc || (rc > 0 && !cache_get_attr(fs->cache, ino, &req->attr)))
		return false;
	req->err = rc < 0 ? rc : 0;
	return true;
}

/* Opening an existing file for reading. */
static bool local_open(struct flint_meta_req *req)
{
	struct flint_fs *fs = req->fs;
	u32 type;

	if (req->flags & ~FLINT_OPEN_READ)
		return false;
	if (req->name ? !local_lookup(req) : !cache_get_attr(fs->cache, req->ino, &req->attr))
		return false;
	type = le32_to_cpu(req->attr.mode);
	req->created = false;
	req->handle = 0;
	if (req->err || !S_ISREG(type))
		return true;
	if (!cache_open(fs->cache, le64_to_cpu(req->attr.ino)))
		return false;
	req->handle = FLINT_HANDLE_LOCAL;
	return true;
}

static bool local(struct flint_meta_req *req)
{
	struct flint_fs *fs = req->fs;

	if (req->op == FLINT_META_CLOSE && req->handle == FLINT_HANDLE_LOCAL) {
		cache_close(fs->cache, req->ino);
		return true;
	}
	if (req->nocache || !fs_lease_trusted(fs))
		return false;
	switch (req->op) {
	case FLINT_META_GETATTR:
		if (!cache_get_attr(fs->cache, req->ino, &req->attr))
			return false;
		fs->st_attr++;
		return true;
	case FLINT_META_LOOKUP:
		if (!local_lookup(req))
			return false;
		fs->st_lookup += !req->err;
		fs->st_negative += !!req->err;
		return true;
	case FLINT_META_OPEN:
		if (!local_open(req))
			return false;
		fs->st_open++;
		return true;
	case FLINT_META_READDIR:
		if (!cache_get_page(fs->cache, req->ino, req->cookie, req->flags & FLINT_READDIR_PLUS,
				    req->buf, req->len, &req->got, &req->eof, &req->next_cookie))
			return false;
		fs->st_readdir++;
		return true;
	default:
		return false;
	}
}

/* ---- what the cache learns --------------------------------------------------------- */

/* What a mutation touches, in the body's own copy of the names. */
static void mut_fill(struct flint_meta_req *req, struct meta_state *st)
{
	struct cache_mut *m = &st->op.mut;
	const char *names = (const char *)st->op.rpc.body;

	*m = (struct cache_mut){ 0 };
	st->blind = false;
	switch (req->op) {
	case FLINT_META_SETATTR:
		m->ino[0] = le64_to_cpu(req->set.ino);
		return;
	case FLINT_META_OPEN:
		m->ino[0] = req->name || !(req->flags & FLINT_OPEN_TRUNC) ? 0 : req->ino;
		if (!req->name || !(req->flags & (FLINT_OPEN_CREATE | FLINT_OPEN_TRUNC)))
			return;
		names += sizeof(struct flint_open);
		break;
	case FLINT_META_MKNOD:
		names += sizeof(struct flint_mknod);
		break;
	case FLINT_META_LINK:
		m->ino[0] = req->ino2;
		names += sizeof(struct flint_link);
		break;
	case FLINT_META_UNLINK:
		names += sizeof(struct flint_name_req);
		break;
	case FLINT_META_RENAME:
		names += sizeof(struct flint_rename);
		m->n[1] = (struct cache_mut_name){
			.dir = req->ino2, .name = names + req->name_len, .len = req->name2_len };
		break;
	default:
		return;
	}
	m->n[0] = (struct cache_mut_name){ .dir = req->ino, .name = names, .len = req->name_len };
	if (req->op != FLINT_META_UNLINK && req->op != FLINT_META_RENAME &&
	    req->op != FLINT_META_OPEN)
		return;
	/* Whose links change: as far as we know the names. The answer tells the others. */
	st->blind = !cache_get_name(req->fs->cache, req->ino, names, req->name_len, &m->ino[1]);
	if (req->op == FLINT_META_RENAME && !cache_get_name(req->fs->cache, req->ino2, m->n[1].name,
							    req->name2_len, &m->ino[2]))
		st->blind = true;
	if (req->op == FLINT_META_OPEN && !(req->flags & FLINT_OPEN_TRUNC))
		st->blind = false;
}

/* Its changes may become visible from now on. Return: 0 or -ENOMEM: it has not begun. */
static int mut_begin(struct flint_meta_req *req, struct meta_state *st)
{
	struct fs_cache *c = req->fs->cache;

	mut_fill(req, st);
	if (cache_mut_begin(c, &st->op.mut)) {
		cache_mut_end(c, &st->op.mut, false, (u64[2]){ 0 });
		return -ENOMEM;
	}
	/* A directory that goes takes no promises: any may be the one. */
	st->holds = st->blind && (req->op == FLINT_META_RENAME ||
				  (req->op == FLINT_META_UNLINK && req->flags & FLINT_NAME_DIR));
	if (st->holds)
		fs_delegate_hold(req->fs);
	return 0;
}

/* @open: nobody knows whether it was done. */
static void mut_end(struct flint_meta_req *req, const struct fs_op *op, bool open)
{
	struct meta_state *st = state_of(req);
	struct flint_unlink_rep un = { 0 };
	struct flint_rename_rep rn = { 0 };
	bool known = !req->err;
	u64 to[2] = { 0 }, more[2] = { 0 };
	u32 i;

	switch (req->op) {
	case FLINT_META_OPEN:
	case FLINT_META_MKNOD:
	case FLINT_META_LINK:
		to[0] = le64_to_cpu(req->attr.ino);
		break;
	case FLINT_META_UNLINK:
		known = known && !flint_body_get(&un, sizeof(un), sizeof(un), op->rpc.rep_body,
						 op->rpc.rep_len);
		more[0] = le64_to_cpu(un.ino);
		break;
	case FLINT_META_RENAME:
		known = known && !flint_body_get(&rn, sizeof(rn), sizeof(rn), op->rpc.rep_body,
						 op->rpc.rep_len) &&
			!(req->flags & FLINT_RENAME_EXCHANGE);
		to[1] = le64_to_cpu(rn.ino);
		more[0] = to[1];
		more[1] = le64_to_cpu(rn.replaced);
		break;
	default:
		break;
	}
	cache_mut_end(req->fs->cache, &st->op.mut, known, to);
	if (open && st->blind) {
		cache_blind_begin(req->fs->cache);
		cache_blind_end(req->fs->cache);
	}
	if (st->holds)
		fs_delegate_go_on(req->fs);
	fs_delegate_forget(req->fs, more[0] && req->op == FLINT_META_UNLINK ? more[0] : more[1]);
	for (i = 0; i < 2; i++) {	/* what the names turned out to stand for */
		struct cache_mut m = { .ino = { more[i] } };

		if (more[i] && !cache_mut_begin(req->fs->cache, &m))
			cache_mut_end(req->fs->cache, &m, false, NULL);
	}
}

/* The grants of a reply; @page: the number of a READDIR's, for its entries. */
static bool learn_grants(struct flint_fs *fs, struct fs_op *op, u64 *page)
{
	struct flint_rpc *rpc = &op->rpc;
	u32 i, fresh, nr = rpc->rep_lease & ~(u32)FLINT_LEASE_NO_RENEWAL;
	const u8 *p = flint_lease_trailer(rpc->rep_body, &rpc->rep_len, nr);
	struct flint_lease_grant g;

	*page = 0;
	if (!p)
		return false;
	if (op->epoch != fs->lease_epoch || !op->epoch)
		return true;	/* of a leadership that is over */
	for (i = 0; i < nr; i++) {
		memcpy(&g, p + i * sizeof(g), sizeof(g));
		if (!g.ino) {
			*page = le64_to_cpu(g.seq);
			continue;
		}
		fresh = cache_grant(fs->cache, le64_to_cpu(g.ino),
				    le32_to_cpu(g.kinds) & FLINT_LEASE_KINDS, le64_to_cpu(g.seq));
		fs->st_grants += fresh != 0;
	}
	return true;
}

uint64_t fs_learn_grants(struct flint_fs *fs, struct fs_op *op, int err)
{
	u64 page;

	if (!fs->cache || err)
		return 0;
	cache_reply(fs->cache);
	learn_grants(fs, op, &page);
	return page;
}

static void learn(struct flint_meta_req *req, struct fs_op *op, u64 page)
{
	struct fs_cache *c = req->fs->cache;
	const char *name = (const char *)op->rpc.body;

	switch (req->op) {
	case FLINT_META_LOOKUP:
		name += sizeof(struct flint_name_req);
		if (!req->err || req->err == -ENOENT)
			cache_name(c, req->ino, name, req->name_len,
				   req->err ? 0 : le64_to_cpu(req->attr.ino), op->since);
		break;
	case FLINT_META_READDIR:
		if (!req->err)
			cache_page(c, req->ino, req->cookie, req->buf, req->got, req->eof, op->since,
				   page);
		return;
	case FLINT_META_UNLINK:
	case FLINT_META_RENAME:
	case FLINT_META_CLOSE:
		return;
	default:
		break;
	}
	/* What is repeated may be answered from the first time, older than what others did since. */
	if (!req->err && !op->rpc.retry)
		cache_attr(c, &req->attr, op->since);
}

/* ---- answers ------------------------------------------------------------------- */

static int take_attr(struct flint_meta_req *req, const struct flint_rpc *rpc)
{
	return flint_body_get(&req->attr, sizeof(req->attr), sizeof(req->attr), rpc->rep_body,
			      rpc->rep_len);
}

static int take(struct flint_meta_req *req, const struct flint_rpc *rpc)
{
	struct flint_readdir_rep rd;
	struct flint_open_rep open;

	switch (req->op) {
	case FLINT_META_OPEN:
		if (flint_body_get(&open, sizeof(open), sizeof(open), rpc->rep_body, rpc->rep_len))
			return -EPROTO;
		req->handle = le64_to_cpu(open.handle);
		req->created = le32_to_cpu(open.created);
		req->attr = open.attr;
		return 0;
	case FLINT_META_READDIR:
		if (flint_body_get(&rd, sizeof(rd), FLINT_READDIR_REP_MIN, rpc->rep_body,
				   rpc->rep_len))
			return -EPROTO;
		req->got = rpc->rep_data_len;
		req->eof = le32_to_cpu(rd.eof);
		req->next_cookie = le64_to_cpu(rd.next_cookie);
		return req->got || req->eof ? 0 : -EPROTO;
	case FLINT_META_CLOSE:
	case FLINT_META_UNLINK:
	case FLINT_META_RENAME:
		return 0;
	default:
		return take_attr(req, rpc);
	}
}

/* What is answered has the sizes that are kept here. */
static void overlay(struct flint_meta_req *req)
{
	if (!req->fs->kept || req->err)
		return;
	if (req->op == FLINT_META_READDIR)
		fs_write_overlay_page(req->fs, req->buf, req->got);
	else
		fs_write_overlay(req->fs, &req->attr);
}

/* Must the server know a size first? Then the request starts again when it does. */
static bool flush_first(struct flint_meta_req *req)
{
	struct meta_state *st = state_of(req);
	u64 ino;

	if (!req->fs->kept || st->flushed)
		return false;
	if (req->op == FLINT_META_SETATTR)
		ino = le64_to_cpu(req->set.ino);
	else if (req->op == FLINT_META_CLOSE && req->handle != FLINT_HANDLE_LOCAL)
		ino = req->ino;
	else if (req->op == FLINT_META_OPEN && (req->flags & FLINT_OPEN_TRUNC))
		ino = req->name ? 0 : req->ino;
	else
		return false;
	st->flushed = true;
	return fs_write_flush(req->fs, ino, &req->task, &st->flush_err);
}

/* It needed no request. */
static void finish_here(struct flint_meta_req *req)
{
	fs_delegate_waited(req->fs, &state_of(req)->wait);
	req->cached = true;
	overlay(req);
	free(req->big);
	req->big = NULL;
	req->done(req);
}

static void meta_done(struct fs_op *op, int err)
{
	struct flint_meta_req *req = op->priv;

	struct flint_fs *fs = req->fs;
	u64 page = 0;
	bool odd = false;

	if (fs->cache && !err) {
		cache_reply(fs->cache);
		odd = !learn_grants(fs, op, &page);
	}
	req->err = odd ? -EPROTO : fs_op_result(op, err);
	if (!req->err)
		req->err = take(req, &op->rpc);
	if (fs->cache && op->mutating)
		mut_end(req, op, err || odd);
	if (fs->cache && !err && !odd)
		learn(req, op, page);
	/* Not what this library asked for itself: nobody would hear of it. */
	if (req->op == FLINT_META_CLOSE && !req->nocache && !req->err)
		req->err = fs_write_error(fs, req->ino);
	if (fs->delegate && req->op == FLINT_META_MKNOD && !req->err)
		fs_delegate_dir(fs, &req->attr);
	overlay(req);
	free(req->big);
	req->big = NULL;
	req->done(req);
}

/* ---- start ----------------------------------------------------------------------- */

/*
 * May the request go to the server? A create is made here if that is possible; everything
 * else waits until the server knows what was made here before, then starts again.
 */
static bool delegate_first(struct flint_meta_req *req)
{
	struct meta_state *st = state_of(req);
	struct fs_op *op = &st->op;

	if (req->op == FLINT_META_MKNOD) {
		switch (fs_delegate_make(req, op->rpc.body, &st->wait, op->deadline_ns)) {
		case FS_DELEGATE_MADE:
			finish_here(req);
			return true;
		case FS_DELEGATE_WAITS:
			return true;
		case FS_DELEGATE_ASK:
			break;
		}
		if (S_ISDIR(req->mode))
			op->more_lease = FLINT_LEASE_DIR_WRITE;
		/* Numbers come with hints: the directory's will be next to them. */
		if (S_ISDIR(req->mode) && fs_delegate_numbers(req, &st->wait, op->deadline_ns))
			return true;
	}
	if (fs_delegate_before(req->fs, &st->wait, &req->task, op->deadline_ns))
		return true;
	if (req->op == FLINT_META_SETATTR)
		fs_delegate_end(req->fs, le64_to_cpu(req->set.ino));
	return false;
}

static void meta_start(struct flint_task *t)
{
	struct flint_meta_req *req = (struct flint_meta_req *)
		((char *)t - offsetof(struct flint_meta_req, task));

	struct meta_state *st = state_of(req);
	struct fs_op *op = &st->op;

	if (!req->err && req->fs->closing)	/* the library's own; the cluster may be gone */
		req->err = -ETIMEDOUT;
	if (!req->err && flush_first(req))
		return;
	/* Nothing may overtake a size; what refused it is not this request's affair. */
	if (st->flush_err == -ETIMEDOUT || st->flush_err == -EAGAIN) {
		req->err = st->flush_err;
		/* Who asks does not come again. */
		if (req->op == FLINT_META_CLOSE && !req->nocache)
			fs_lease_close_later(req->fs, req->ino, req->handle);
	}
	if (!req->err && req->fs->cache && local(req)) {
		finish_here(req);
		return;
	}
	if (req->err) {
		fs_delegate_waited(req->fs, &st->wait);
		req->done(req);
		return;
	}
	if (req->fs->delegate && delegate_first(req))
		return;
	if (req->fs->cache && op->mutating)
		req->err = mut_begin(req, st);
	if (req->err)
		req->done(req);
	else
		fs_op_start(op);
}

static int check(const struct flint_meta_req *req)
{
	int rc = 0;

	switch (req->op) {
	case FLINT_META_RENAME:
		rc = check_name(req->name2, req->name2_len);
		/* fall through */
	case FLINT_META_MKNOD:
		if (req->target_len > FLINT_PATH_MAX)
			return -ENAMETOOLONG;
		/* fall through */
	case FLINT_META_LOOKUP:
	case FLINT_META_LINK:
	case FLINT_META_UNLINK:
		return rc ? rc : check_name(req->name, req->name_len);
	case FLINT_META_OPEN:
		return req->name ? check_name(req->name, req->name_len) : 0;
	case FLINT_META_GETATTR:
	case FLINT_META_SETATTR:
	case FLINT_META_CLOSE:
		return 0;
	case FLINT_META_READDIR:
		return req->buf && req->len ? 0 : -EINVAL;
	}
	return -EINVAL;
}

void flint_meta_submit(struct flint_meta_req *req)
{
	struct meta_state *st = state_of(req);
	struct fs_op *op = &st->op;

	req->cached = false;
	st->flushed = false;
	st->flush_err = 0;
	st->wait = (struct fs_wait){ 0 };
	req->err = check(req);
	if (!req->err) {
		*op = (struct fs_op){
			.fs = req->fs, .route = fs_route_meta, .done = meta_done, .priv = req,
			.mutating = req->op != FLINT_META_LOOKUP && req->op != FLINT_META_GETATTR &&
				    req->op != FLINT_META_READDIR,
		};
		build(req, st);
		op->deadline_ns = flint_now_ns() + req->fs->timeout_ms * 1000000ull;
	}
	req->task.fn = meta_start;
	flint_loop_post(req->fs->loop, &req->task);
}
