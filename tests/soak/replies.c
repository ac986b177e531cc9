// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hostile server for the kernel client's request layer, in one process under ASan and UBSan:
 * kmod/request.c itself sends requests of every operation over a connection without a network, and
 * gets replies that are right, wrong in one field, random, cut, too long, late, twice, in another
 * order, for other tags and of other operations, and pushes nobody asked for. What passes goes on to
 * the decoders that the module hands replies of the operation to.
 *
 * Held: every request ends exactly once, whatever comes; a connection that was failed accepts
 * nothing; no byte is read beyond the message or written beyond the room that a request offered.
 *
 *	soak-replies [REPLIES [SEED]]
 */
#include "kernel.h"
#include "../../kmod/request.c"

#define DEPTH	8
#define INLINE	4096u
#define ROOM	(4 * 4096u)	/* of a request's memory */

static u64 rng;
static u64 nr_replies, nr_taken, nr_failed, nr_ended, nr_sent, nr_pushed;

static u32 rnd(u32 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return n ? (u32)(rng >> 11) % n : 0;
}

static bool one_in(u32 n)
{
	return !rnd(n);
}

static void fill(void *p, size_t len)
{
	u8 *b = p;
	size_t i;

	for (i = 0; i < len; i++)
		b[i] = one_in(3) ? 0 : (u8)rnd(256);
}

/* ---- the connection ---------------------------------------------------- */

struct wire_op {
	u16 op;
	u32 body;		/* of a right reply */
	bool data;		/* the reply may bring payload */
};

static const struct wire_op ops[] = {
	{ FLINT_OP_HELLO, sizeof(struct flint_hello_rep), false },
	{ FLINT_OP_AUTH, 0, false }, { FLINT_OP_PING, 0, false },
	{ FLINT_OP_MAP_GET, sizeof(struct flint_map_got), true },
	{ FLINT_OP_SESSION_OPEN, sizeof(struct flint_session_rep), false },
	{ FLINT_OP_SESSION_CLOSE, 0, false },
	{ FLINT_OP_LOOKUP, sizeof(struct flint_attr), false },
	{ FLINT_OP_GETATTR, sizeof(struct flint_attr), false },
	{ FLINT_OP_SETATTR, sizeof(struct flint_attr), false },
	{ FLINT_OP_OPEN, sizeof(struct flint_open_rep), false },
	{ FLINT_OP_CLOSE, 0, false },
	{ FLINT_OP_MKNOD, sizeof(struct flint_attr), false },
	{ FLINT_OP_LINK, sizeof(struct flint_attr), false },
	{ FLINT_OP_UNLINK, sizeof(struct flint_unlink_rep), false },
	{ FLINT_OP_RENAME, sizeof(struct flint_rename_rep), false },
	{ FLINT_OP_READDIR, sizeof(struct flint_readdir_rep), true },
	{ FLINT_OP_READLINK, 0, true },
	{ FLINT_OP_STATFS, sizeof(struct flint_statfs), false },
	{ FLINT_OP_GETXATTR, sizeof(struct flint_xattr_rep), true },
	{ FLINT_OP_SETXATTR, sizeof(struct flint_attr), false },
	{ FLINT_OP_LISTXATTR, sizeof(struct flint_xattr_rep), true },
	{ FLINT_OP_REMOVEXATTR, sizeof(struct flint_attr), false },
	{ FLINT_OP_EXTEND, sizeof(struct flint_attr), false },
	{ FLINT_OP_APPEND, sizeof(struct flint_append_rep), false },
	{ FLINT_OP_LEASE_RETURN, 0, false },
	{ FLINT_OP_SESSION_RENEW, sizeof(struct flint_session_renewed), false },
	{ FLINT_OP_SESSION_RECLAIM, sizeof(struct flint_reclaimed), false },
	{ FLINT_OP_LOCK, sizeof(struct flint_lock_rep), false },
	{ FLINT_OP_LOCK_TEST, sizeof(struct flint_lock_rep), false },
	{ FLINT_OP_LOCK_CANCEL, sizeof(struct flint_lock_rep), false },
	{ FLINT_OP_READ, sizeof(struct flint_io_rep), true },
	{ FLINT_OP_WRITE, sizeof(struct flint_io_rep), false },
	{ FLINT_OP_PUNCH, sizeof(struct flint_io_rep), false },
};

#define NR_OPS	ARRAY_SIZE(ops)

static const struct wire_op *op_of(u16 op)
{
	size_t i;

	for (i = 0; i < NR_OPS; i++)
		if (ops[i].op == op)
			return &ops[i];
	return NULL;
}

static struct flint_net net;
static struct flint_peer peer;
static struct flint_conn conn;
wait_queue_head_t flint_mr_wq;

void flint_conn_fail(struct flint_conn *c, int err, const char *fmt, ...)
{
	va_list args;

	if (c->state >= FLINT_CONN_DRAINING)
		return;
	c->state = FLINT_CONN_DRAINING;
	c->err = err;
	va_start(args, fmt);
	vsnprintf(c->reason, sizeof(c->reason), fmt, args);
	va_end(args);
	nr_failed++;
}

void flint_conn_put(struct flint_conn *c)
{
}

struct flint_conn *flint_peer_conn(struct flint_peer *p, unsigned int turn)
{
	return conn.state == FLINT_CONN_LIVE ? &conn : NULL;
}

bool flint_peer_ready(struct flint_peer *p)
{
	return flint_peer_conn(p, 0) && conn.inflight < conn.credits;
}

struct flint_conn *flint_peer_conn_find(struct flint_peer *p, u32 id)
{
	return flint_peer_conn(p, 0);
}

static int wire_map(struct flint_conn *c, struct flint_slot *slot, struct flint_req *req,
		    struct flint_desc *desc)
{
	desc->addr = cpu_to_le64(4096);
	desc->len = cpu_to_le32(req->data_len);
	desc->rkey = cpu_to_le32(7);
	return 1;
}

static void wire_unmap(struct flint_conn *c, struct flint_slot *slot)
{
}

static int wire_post(struct flint_conn *c, struct flint_slot *slot, u32 len)
{
	struct flint_msg m;

	/* What we send ourselves must be right. */
	soak_assert(!flint_msg_parse(slot->msg, len, &c->lim, &m));
	return 0;
}

static const struct flint_xprt_ops wire = {
	.name = "soak", .map = wire_map, .unmap = wire_unmap, .post = wire_post, .scrap = wire_unmap,
};

/* ---- what the module does with a reply ---------------------------------- */

/* One request that waits, and its memory; a guard behind each is ASan's. */
struct asked {
	struct flint_req *req;
	struct flint_hold hold;
	struct page *page;
	struct bio_vec bv[3];
	unsigned int ended;
	u64 serial;
};

static struct asked asked[DEPTH];

static void hold_release(struct flint_hold *hold)
{
}

/* A push: as kmod/lease.c takes it. */
static int pushed(void *arg, u32 id, const struct flint_msg *m)
{
	struct flint_lease_list list;
	struct flint_lease_rec r;
	const u8 *recs;
	u32 i;

	nr_pushed++;
	if (m->op != FLINT_OP_LEASE_RECALL ||
	    flint_lease_list_get(m->body, m->body_len, &list, &recs))
		return -EPROTO;
	for (i = 0; i < le32_to_cpu(list.nr); i++) {
		memcpy(&r, recs + i * sizeof(r), sizeof(r));
		flint_lease_rec_ok(&r);
	}
	return 0;
}

static void decode_dir(const u8 *data, u32 len)
{
	const struct flint_attr *attr;
	struct flint_dirent d;
	const u8 *name;
	u64 sum = 0;
	u32 pos = 0, n;

	while (flint_dirent_next(data, len, &pos, &d, &attr, &name) == 1) {
		for (n = 0; n < le16_to_cpu(d.name_len); n++)
			sum += name[n];
		sum += attr ? ((const u8 *)attr)[sizeof(*attr) - 1] : 0;
	}
	soak_assert(pos <= len);
	(void)sum;
}

static void decode_map(void *data, u32 len)
{
	struct flint_map map;
	u64 sum = 0;
	u32 i;

	if (len < sizeof(*map.hdr) || flint_map_check(data, len, &map))
		return;
	for (i = 0; i < map.nr_nodes; i++)
		sum += map.nodes[i].role;
	for (i = 0; i < map.nr_fs; i++)
		sum += le32_to_cpu(map.fs[i].id);
	(void)sum;
}

/* The payload, from where the request offered room, in memory of just that size. */
static void decode_data(const struct flint_req *req, u32 len)
{
	struct bvec_iter it = { .bi_size = (unsigned int)req->bv_skip + len };
	struct bio_vec bv;
	u8 *data = malloc(len), *p = data;

	bvec_iter_advance(req->bvec, &it, req->bv_skip);
	for_each_bvec(bv, req->bvec, it, it) {
		memcpy_from_bvec(p, &bv);
		p += bv.bv_len;
	}
	if (req->op == FLINT_OP_READDIR)
		decode_dir(data, len);
	else if (req->op == FLINT_OP_MAP_GET)
		decode_map(data, len);
	free(data);
}

static void decode_body(struct flint_req *req)
{
	const struct wire_op *o = op_of(req->op);
	struct flint_leader_hint hint;
	struct flint_io_rep io;
	u8 *rep = malloc(o->body + 1);
	u32 i;

	if (req->rep_copy)
		flint_call_result(req, rep, o->body, o->body);
	flint_status_errno(req->status);
	flint_body_get(&hint, sizeof(hint), 0, req->rep_body, req->rep_len);
	for (i = 0; i < req->nr_grants; i++) {
		struct flint_lease_grant g;

		memcpy(&g, &req->grants[i], sizeof(g));
		flint_conn_pushed(&(struct flint_conn){ .state = FLINT_CONN_DEAD, .peer = &peer },
				  &(struct flint_msg){ .op = (u16)g.kinds });
	}
	if ((req->op == FLINT_OP_READ || req->op == FLINT_OP_WRITE) && req->rep_len >= sizeof(io)) {
		memcpy(&io, req->rep_body, sizeof(io));
		flint_io_rep_check(&io, req->rep_len - (u32)sizeof(io), 0, ROOM, req->rep_data_len,
				   req->op == FLINT_OP_READ);
	}
	free(rep);
}

static void ended(struct flint_req *req)
{
	struct asked *a = req->priv;

	soak_assert(a->req == req && !a->ended);
	a->ended++;
	nr_ended++;
	if (req->err)
		return;
	nr_taken++;
	soak_assert(req->rep_data_len <= (req->dir == FLINT_DIR_IN ? req->data_len : 0));
	decode_body(req);
	if (req->rep_data_len)
		decode_data(req, req->rep_data_len);
}

/* ---- asking --------------------------------------------------------------- */

static void asked_done(struct asked *a)
{
	soak_assert(a->ended == 1);
	flint_req_put(a->req);
	free(a->page);
	memset(a, 0, sizeof(*a));
}

static void ask(struct asked *a)
{
	const struct wire_op *o = &ops[rnd(NR_OPS)];
	struct flint_req *req = flint_req_alloc(o->op, rnd(200), GFP_KERNEL);
	enum flint_want want;

	a->req = req;
	a->serial = ++nr_sent;
	req->deadline = jiffies + 10 * HZ;
	req->peer = &peer;
	req->begun = ktime_get_ns() + 1;
	refcount_set(&a->hold.ref, 1);
	a->hold.release = hold_release;
	if (o->data) {
		u32 skip = rnd(100), len = 1 + rnd(one_in(2) ? 4096 : ROOM - 200);
		u32 first = 100 + rnd(3000);

		/* Three pieces; the last one ends with the room, so that one byte more is seen. */
		a->page = malloc(skip + len);
		a->bv[0] = (struct bio_vec){ a->page, min(first, skip + len), 0 };
		a->bv[1] = (struct bio_vec){ a->page, min(1000u, skip + len - a->bv[0].bv_len),
					     a->bv[0].bv_len };
		a->bv[2] = (struct bio_vec){ a->page,
					     skip + len - a->bv[0].bv_len - a->bv[1].bv_len,
					     a->bv[0].bv_len + a->bv[1].bv_len };
		req->dir = FLINT_DIR_IN;
		req->data_len = len;
		req->bvec = a->bv;
		req->nr_bvec = 3;
		req->bv_skip = skip;
		req->hold = &a->hold;
	}
	/* Requests that are waited for keep a copy; leases are asked for by those only. */
	if (!one_in(4)) {
		req->lease = one_in(2) ? FLINT_LEASE_READ | FLINT_LEASE_DIR : 0;
		soak_assert(!flint_call_prepare(req, o->body));
	}
	req->done = ended;
	req->priv = a;
	soak_assert(!flint_conn_submit(&conn, req, false, &want));
}

/* ---- answering ------------------------------------------------------------ */

struct reply {
	u8 *buf;
	u32 len;
};

static struct reply late;	/* one that is sent again later */

/* A right reply to @a, or as good as one. */
static struct reply right(const struct asked *a)
{
	const struct wire_op *o = op_of(a->req->op);
	u32 grants = a->req->lease && one_in(2) ? 1 + rnd(FLINT_LEASE_GRANTS_MAX) : 0;
	bool refused = one_in(6);
	u32 body = (refused ? rnd(64) : o->body + (one_in(4) ? 8 * rnd(16) : 0)) +
		   grants * (u32)sizeof(struct flint_lease_grant);
	u32 data = a->req->dir == FLINT_DIR_IN && !refused ? rnd(a->req->data_len + 1) : 0;
	bool stands = data && flint_req_inline(&conn, a->req);
	struct reply r = { .len = (u32)sizeof(struct flint_hdr) + body + (stands ? data : 0) };
	struct flint_hdr *h;

	r.buf = malloc(r.len);
	fill(r.buf, r.len);
	h = (struct flint_hdr *)r.buf;
	memset(h, 0, sizeof(*h));
	h->magic = cpu_to_le32(FLINT_MAGIC);
	h->version = FLINT_PROTO_MAJOR;
	h->op = cpu_to_le16(a->req->op);
	h->flags = FLINT_F_REPLY | (stands ? FLINT_F_INLINE : 0);
	h->credits = cpu_to_le16(DEPTH);
	h->tag = cpu_to_le32(a->req->tag);
	h->status = cpu_to_le32(refused ? (one_in(2) ? rnd(140) : FLINT_ST_RETRY + rnd(20)) : 0);
	h->lease = (u8)(grants | (one_in(4) ? FLINT_LEASE_NO_RENEWAL : 0));
	h->body_len = cpu_to_le32(body);
	h->data_len = cpu_to_le32(data);
	return r;
}

static void resize(struct reply *r, u32 len)
{
	u8 *buf = malloc(len ? len : 1);

	memcpy(buf, r->buf, min(len, r->len));
	if (len > r->len)
		fill(buf + r->len, len - r->len);
	free(r->buf);
	r->buf = buf;
	r->len = len;
}

/* Spoil one thing, or several. */
static void spoil(struct reply *r)
{
	struct flint_hdr *h = (struct flint_hdr *)r->buf;
	u32 n;

	switch (rnd(12)) {
	case 0:		/* a random byte of the header */
		((u8 *)h)[rnd(sizeof(*h))] = (u8)rnd(256);
		break;
	case 1:		/* one bit of anything */
		r->buf[rnd(r->len)] ^= (u8)(1 << rnd(8));
		break;
	case 2:		/* every field */
		n = le32_to_cpu(h->tag);
		fill(h, sizeof(*h));
		h->magic = cpu_to_le32(FLINT_MAGIC);
		h->version = FLINT_PROTO_MAJOR;
		h->flags = (u8)rnd(8);
		if (one_in(2))
			h->tag = cpu_to_le32(n);
		break;
	case 3:
		h->op = cpu_to_le16(ops[rnd(NR_OPS)].op);
		break;
	case 4:
		h->tag = cpu_to_le32(le32_to_cpu(h->tag) + (one_in(2) ? 1 : 0x10000));
		break;
	case 5:
		h->tag = cpu_to_le32(one_in(2) ? rnd(U32_MAX) : rnd(4) << 16 | rnd(DEPTH + 4));
		break;
	case 6:
		h->data_len = cpu_to_le32(one_in(2) ? rnd(ROOM * 2) : rnd(U32_MAX));
		break;
	case 7:
		h->body_len = cpu_to_le32(one_in(2) ? rnd(r->len * 2) : rnd(U32_MAX));
		break;
	case 8:
		h->lease = (u8)rnd(256);
		break;
	case 9:		/* cut or lengthened */
		resize(r, rnd(r->len + 64));
		break;
	case 10:	/* cut or lengthened, and the header says so */
		n = (u32)sizeof(*h) + rnd(400);
		resize(r, n);
		h = (struct flint_hdr *)r->buf;
		h->body_len = cpu_to_le32(n - (u32)sizeof(*h));
		h->flags &= (u8)~FLINT_F_INLINE;
		break;
	case 11:	/* a request, or a push */
		h->flags = FLINT_F_PUSH;
		h->op = cpu_to_le16(one_in(2) ? FLINT_OP_LEASE_RECALL : rnd(0x80));
		h->timeout_ms = cpu_to_le32(1000);
		break;
	}
}

/* As a transport does with what it received. */
static void receive(const struct reply *r)
{
	u8 *buf = malloc(r->len ? r->len : 1);
	struct flint_slot *slot;
	struct flint_msg m;
	int err;

	if (conn.state >= FLINT_CONN_DRAINING) {
		free(buf);
		return;
	}
	memcpy(buf, r->buf, r->len);
	nr_replies++;
	err = flint_msg_parse(buf, r->len, &conn.lim, &m);
	if (err) {
		flint_conn_fail(&conn, err, "malformed");
	} else if (m.flags & FLINT_F_PUSH) {
		flint_conn_pushed(&conn, &m);
	} else {
		slot = flint_slot_reply(&conn, &m);
		if (slot)
			flint_slot_finish(&conn, slot, &m);
	}
	free(buf);
}

static void again_alive(void)
{
	unsigned int i;

	if (conn.state != FLINT_CONN_DRAINING)
		return;
	flint_conn_abort_requests(&conn, false);
	for (i = 0; i < DEPTH; i++)
		if (asked[i].req)
			asked_done(&asked[i]);
	soak_assert(!conn.inflight && conn.nr_free == DEPTH && !conn.preparing);
	conn.state = FLINT_CONN_LIVE;
	conn.credits = DEPTH;
	conn.err = 0;
}

/* One round: fill the slots, answer some in any order, well or badly. */
static void round_trip(void)
{
	unsigned int i, n = 1 + rnd(DEPTH);
	struct reply r;

	for (i = 0; i < n; i++)
		if (!asked[i].req && conn.inflight < conn.credits)
			ask(&asked[i]);
	for (i = rnd(DEPTH); n--; i = (i + 3) % DEPTH) {
		struct asked *a = &asked[i];

		if (!a->req || conn.state != FLINT_CONN_LIVE)
			continue;
		r = right(a);
		if (one_in(3))
			spoil(&r);
		receive(&r);
		if (one_in(20))
			receive(&r);		/* twice */
		if (late.buf && one_in(8)) {
			receive(&late);		/* one of long ago */
			free(late.buf);
			late.buf = NULL;
		}
		if (!late.buf && one_in(16))
			late = r;
		else
			free(r.buf);
		if (a->req && a->ended)
			asked_done(a);
	}
	if (one_in(1000)) {
		jiffies += 11 * HZ;
		flint_conn_check_deadlines(&conn);
	}
	jiffies++;
	again_alive();
}

static void *set_up(void)
{
	void *mem;
	u32 i;

	soak_assert(!flint_req_init());
	net.opts.push = pushed;
	net.lat.rows = calloc(FLINT_LAT_ROWS, sizeof(*net.lat.rows));
	peer.lat.rows = calloc(FLINT_LAT_ROWS, sizeof(*peer.lat.rows));
	peer.net = &net;
	INIT_LIST_HEAD(&peer.waiters);
	conn.ops = &wire;
	conn.peer = &peer;
	conn.state = FLINT_CONN_LIVE;
	conn.pushes = true;
	conn.lim.inline_size = INLINE;
	conn.lim.max_io = 1 << 20;
	conn.credits = DEPTH;
	soak_assert(!flint_slots_alloc(&conn, DEPTH, sizeof(struct flint_slot), &mem));
	for (i = 0; i <= DEPTH; i++)
		conn.slots[i]->msg = malloc(flint_msg_max(INLINE));
	return mem;
}

int main(int argc, char **argv)
{
	u64 want = argc > 1 ? strtoull(argv[1], NULL, 0) : 10000000;
	u64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1, told = 0;
	void *mem = set_up();
	u32 i;

	rng = seed * 0x9e3779b97f4a7c15ull | 1;
	while (nr_replies < want) {
		round_trip();
		if (nr_replies - told >= 1000000) {
			told = nr_replies;
			printf("%llu replies\n", (unsigned long long)told);
			fflush(stdout);
		}
	}
	flint_conn_fail(&conn, -EIO, "the end");
	again_alive();
	soak_assert(nr_ended == nr_sent);
	printf("%llu replies, seed %llu: %llu requests, %llu answered, %llu pushes, %llu connections failed\n",
	       (unsigned long long)nr_replies, (unsigned long long)seed,
	       (unsigned long long)nr_sent, (unsigned long long)nr_taken,
	       (unsigned long long)nr_pushed, (unsigned long long)nr_failed);
	for (i = 0; i <= DEPTH; i++)
		free(conn.slots[i]->msg);
	flint_slots_free(&conn, mem);
	flint_req_exit();
	free(late.buf);
	free(net.lat.rows);
	free(peer.lat.rows);
	return 0;
}
