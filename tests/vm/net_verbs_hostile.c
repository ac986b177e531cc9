// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hostile verbs client, written with plain rdma_cm and ibverbs, against a
 * server of userd/net in the same process. Each variant must end its
 * connection (or be refused before it begins), and an honest client must still
 * be served afterwards; at the end all payload buffers are back in the pool.
 * Prints TAP. Usage: net_verbs_hostile ADDRESS
 */
#include <arpa/inet.h>
#include <infiniband/verbs.h>
#include <poll.h>
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/raw_msg.h"
#include "userd/net/pool_int.h"
#include "userd/net/xprt.h"

#define OP_SINK		0x7001		/* payload is pulled */
#define OP_FILL		0x7002		/* 8 KiB are written to the descriptors */
#define OP_NOP		0x7004
#define MAX_IO		(1u << 20)
#define MSG		(FLINT_CTRL_SIZE + FLINT_INLINE_DEFAULT)
#define BIG		(3 * MSG)
#define CREDITS		4
#define NR_BUFS		6

static const uint8_t key[FLINT_KEY_LEN] = "the key of this test.";
static const uint8_t my_id[16] = "hostile client..";

static struct {
	struct flint_loop *loop, *cloop;
	struct flint_pool *pool, *cpool;
	struct flint_server *srv;
	struct flint_peer *good;
	struct sockaddr_storage addr;
	int tests, bad;
} S;

static void report(bool ok, const char *name)
{
	S.tests++;
	S.bad += !ok;
	printf("%s %d - %s\n", ok ? "ok" : "not ok", S.tests, name);
	fflush(stdout);
}

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the server, and an honest client --------------------------------- */

static void pulled(struct flint_call *call, int err)
{
	flint_call_reply(call, err ? EIO : 0, NULL, 0, NULL, 0, 0);
}

static void request(void *arg, struct flint_call *call)
{
	struct flint_buf *buf;

	switch (call->msg.op) {
	case OP_SINK:
		flint_call_pull(call, pulled);
		break;
	case OP_FILL:
		buf = flint_buf_get(S.pool);
		flint_call_reply(call, buf ? 0 : FLINT_ST_RETRY, NULL, 0, buf, 0, 8192);
		break;
	default:
		flint_call_reply(call, 0, NULL, 0, NULL, 0, 0);
	}
}

static void *run_loop(void *arg)
{
	if (flint_loop_run(arg))
		die("loop");
	return NULL;
}

struct waiting {
	struct flint_rpc rpc;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void rpc_done(struct flint_rpc *rpc)
{
	struct waiting *w = rpc->priv;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

/* Is an honest client, which has been connected all the time, still served? */
static bool served(void)
{
	static uint8_t data[100000];
	struct waiting w = { .rpc = { .op = OP_SINK, .out = data, .out_len = sizeof(data),
				      .done = rpc_done, .timeout_ms = 20000 } };

	w.rpc.priv = &w;
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	flint_peer_call(S.good, &w.rpc);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return !w.rpc.err && !w.rpc.status;
}

static void server_up(const char *address)
{
	struct sockaddr_in *in = (void *)&S.addr;
	struct flint_server_config cfg = {
		.role = FLINT_ROLE_CHUNK, .key = key, .nr_loops = 1, .request = request,
		.credits = CREDITS, .loops = &S.loop,
	};
	struct flint_peer_config pcfg = {
		.proto = FLINT_PROTO_RDMA, .role = FLINT_ROLE_TOOL, .key = key, .name = "honest",
	};
	pthread_t t;
	char err[200];

	in->sin_family = AF_INET;
	if (inet_pton(AF_INET, address, &in->sin_addr) != 1)
		die("address");
	S.pool = flint_pool_new(MAX_IO, NR_BUFS);
	S.cpool = flint_pool_new(MAX_IO, NR_BUFS);
	S.loop = flint_loop_new();
	S.cloop = flint_loop_new();
	cfg.pool = S.pool;
	S.srv = flint_server_new(&cfg);
	if (flint_server_listen(S.srv, FLINT_PROTO_RDMA, &S.addr, err, sizeof(err))) {
		printf("Bail out! %s\n", err);
		exit(1);
	}
	pcfg.loop = S.cloop;
	pcfg.addr = S.addr;
	pcfg.pool = S.cpool;
	S.good = flint_peer_new(&pcfg);
	pthread_create(&t, NULL, run_loop, S.loop);
	pthread_create(&t, NULL, run_loop, S.cloop);
}

/* ---- a raw verbs connection ------------------------------------------- */

struct raw {
	struct rdma_event_channel *ch;
	struct rdma_cm_id *id;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_mr *mr;
	uint8_t *mem;		/* BIG to send, then receive buffers */
	int nr_recv;
	bool ended;
};

static enum rdma_cm_event_type raw_event(struct raw *r, struct flint_cm_priv *priv)
{
	struct pollfd pfd = { .fd = r->ch->fd, .events = POLLIN };
	enum rdma_cm_event_type type;
	struct rdma_cm_event *ev;

	if (poll(&pfd, 1, 8000) <= 0 || rdma_get_cm_event(r->ch, &ev))
		return RDMA_CM_EVENT_UNREACHABLE;
	type = ev->event;
	if (priv && ev->param.conn.private_data &&
	    ev->param.conn.private_data_len >= sizeof(*priv))
		memcpy(priv, ev->param.conn.private_data, sizeof(*priv));
	rdma_ack_cm_event(ev);
	return type;
}

static void raw_recv(struct raw *r, int i)
{
	struct ibv_sge sge = { .addr = (uintptr_t)(r->mem + BIG + i * MSG), .length = MSG,
			       .lkey = r->mr->lkey };
	struct ibv_recv_wr wr = { .wr_id = (uint64_t)i, .sg_list = &sge, .num_sge = 1 }, *bad;

	if (ibv_post_recv(r->id->qp, &wr, &bad))
		die("post_recv");
}

static void raw_open(struct raw *r, int nr_recv)
{
	struct ibv_qp_init_attr attr = { .qp_type = IBV_QPT_RC, .cap = {
		.max_send_wr = 64, .max_recv_wr = 64, .max_send_sge = 1, .max_recv_sge = 1 } };
	int i;

	memset(r, 0, sizeof(*r));
	r->nr_recv = nr_recv;
	r->ch = rdma_create_event_channel();
	if (!r->ch || rdma_create_id(r->ch, &r->id, NULL, RDMA_PS_TCP) ||
	    rdma_resolve_addr(r->id, NULL, (struct sockaddr *)&S.addr, 2000) ||
	    raw_event(r, NULL) != RDMA_CM_EVENT_ADDR_RESOLVED ||
	    rdma_resolve_route(r->id, 2000) ||
	    raw_event(r, NULL) != RDMA_CM_EVENT_ROUTE_RESOLVED)
		die("resolve");
	r->pd = ibv_alloc_pd(r->id->verbs);
	r->cq = ibv_create_cq(r->id->verbs, 160, NULL, NULL, 0);
	r->mem = aligned_alloc(4096, BIG + 16 * MSG);
	memset(r->mem, 0, BIG + 16 * MSG);
	r->mr = ibv_reg_mr(r->pd, r->mem, BIG + 16 * MSG, IBV_ACCESS_LOCAL_WRITE |
			   IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE);
	attr.send_cq = attr.recv_cq = r->cq;
	if (!r->mr || rdma_create_qp(r->id, r->pd, &attr))
		die("qp");
	for (i = 0; i < nr_recv; i++)
		raw_recv(r, i);
}

static void raw_close(struct raw *r)
{
	rdma_disconnect(r->id);
	rdma_destroy_qp(r->id);
	ibv_destroy_cq(r->cq);
	ibv_dereg_mr(r->mr);
	rdma_destroy_id(r->id);
	ibv_dealloc_pd(r->pd);
	rdma_destroy_event_channel(r->ch);
	free(r->mem);
}

static enum rdma_cm_event_type raw_connect(struct raw *r, const void *priv, uint8_t len,
					   struct flint_cm_priv *answer)
{
	struct rdma_conn_param p = {
		.private_data = priv, .private_data_len = len, .responder_resources = 4,
		.initiator_depth = 1, .retry_count = 6, .rnr_retry_count = 1,
	};

	if (rdma_connect(r->id, &p))
		return RDMA_CM_EVENT_CONNECT_ERROR;
	return raw_event(r, answer);
}

static struct flint_cm_priv good_priv;	/* filled by main() */

/* Return: false when our own device does not know the operation. */
static bool raw_send_op(struct raw *r, uint32_t len, enum ibv_wr_opcode op)
{
	struct ibv_sge sge = { .addr = (uintptr_t)r->mem, .length = len, .lkey = r->mr->lkey };
	struct ibv_send_wr wr = { .wr_id = 99, .sg_list = &sge, .num_sge = 1, .opcode = op,
				  .send_flags = IBV_SEND_SIGNALED }, *bad;

	wr.imm_data = htonl(7);
	if (op == IBV_WR_SEND_WITH_INV)
		wr.invalidate_rkey = 0x1234;
	if (!ibv_post_send(r->id->qp, &wr, &bad))
		return true;
	if (op == IBV_WR_SEND)
		die("post_send");
	return false;
}

/* Wait for a message. Return: it, or NULL when the connection ended: then ->ended is set. */
static const uint8_t *raw_answer(struct raw *r)
{
	struct pollfd pfd = { .fd = r->ch->fd, .events = POLLIN };
	struct ibv_wc wc;
	int i;

	for (i = 0; i < 4000; i++) {
		int n = ibv_poll_cq(r->cq, 1, &wc);

		if (n < 0 || (n && wc.status)) {
			r->ended = true;
			return NULL;
		}
		if (n && (wc.opcode & IBV_WC_RECV))
			return r->mem + BIG + wc.wr_id * MSG;
		if (n || !poll(&pfd, 1, 2))
			continue;
		if (raw_event(r, NULL) == RDMA_CM_EVENT_DISCONNECTED) {
			r->ended = true;
			return NULL;
		}
	}
	printf("# neither answered nor closed\n");
	return NULL;
}

/* The connection ends without an answer. */
static bool raw_ends(struct raw *r)
{
	return !raw_answer(r) && r->ended;
}

/* A HELLO of another version is answered with ours, in its own header; then it ends. */
static bool raw_told_version(struct raw *r)
{
	const struct flint_hdr *h = (const struct flint_hdr *)raw_answer(r);

	return h && h->version == 2 && le32_to_cpu(h->status) == FLINT_ST_VERSION && raw_ends(r);
}

static struct flint_hdr *raw_msg(struct raw *r, uint16_t op, uint32_t body_len)
{
	memset(r->mem, 0, MSG);
	raw_header((struct flint_hdr *)r->mem, op, body_len, 0);
	return (struct flint_hdr *)r->mem;
}

static uint32_t raw_hello_msg(struct raw *r)
{
	struct flint_hello *h = (struct flint_hello *)(raw_msg(r, FLINT_OP_HELLO, sizeof(*h)) + 1);

	raw_hello_body(h, my_id, MAX_IO, CREDITS);
	h->features = cpu_to_le64(FLINT_FEATURES | FLINT_FEAT_KEEP_KEYS);
	return sizeof(struct flint_hdr) + sizeof(*h);
}

static void raw_begin(struct raw *r, int nr_recv)
{
	raw_open(r, nr_recv);
	if (raw_connect(r, &good_priv, sizeof(good_priv), NULL) != RDMA_CM_EVENT_ESTABLISHED)
		die("connect");
	if (r->id->verbs->device->transport_type == IBV_TRANSPORT_IWARP)
		usleep(20000);		/* see link_established() in verbs.c */
}

static void raw_live(struct raw *r, int nr_recv)
{
	static const uint8_t nonce[FLINT_NONCE_LEN];
	struct flint_hello_rep rep;
	const uint8_t *a;

	raw_begin(r, nr_recv);
	raw_send_op(r, raw_hello_msg(r), IBV_WR_SEND);
	a = raw_answer(r);
	if (!a)
		die("HELLO");
	memcpy(&rep, a + sizeof(struct flint_hdr), sizeof(rep));
	raw_msg(r, FLINT_OP_AUTH, FLINT_MAC_LEN);
	flint_auth_mac(r->mem + sizeof(struct flint_hdr), key, false, nonce, rep.nonce, my_id,
		       FLINT_ROLE_CLIENT);
	raw_send_op(r, sizeof(struct flint_hdr) + FLINT_MAC_LEN, IBV_WR_SEND);
	a = raw_answer(r);
	if (!a || ((const struct flint_hdr *)a)->status)
		die("AUTH");
}

/* ---- variants --------------------------------------------------------- */

static void strangers(void)
{
	struct flint_cm_priv p, answer;
	struct raw r;
	enum rdma_cm_event_type ev;
	static const uint8_t want[] = { FLINT_REJ_MAGIC, FLINT_REJ_MAGIC, FLINT_REJ_VERSION,
					FLINT_REJ_SIZE, FLINT_REJ_SIZE, FLINT_REJ_MAGIC };
	static const char * const names[] = { "no private data", "other magic", "other version",
					      "small messages", "huge messages", "no depth" };
	unsigned int i;

	for (i = 0; i < sizeof(want); i++) {
		p = good_priv;
		memset(&answer, 0, sizeof(answer));
		if (i == 1)
			p.magic = 0;
		if (i == 2)
			p.major = 77;
		if (i == 3)
			p.msg_size = cpu_to_le32(100);
		if (i == 4)
			p.msg_size = cpu_to_le32(1u << 30);
		if (i == 5)
			p.depth = 0;
		raw_open(&r, 4);
		ev = raw_connect(&r, i ? &p : NULL, i ? sizeof(p) : 0, &answer);
		report(ev == RDMA_CM_EVENT_REJECTED && answer.reason == want[i], names[i]);
		raw_close(&r);
	}
	report(served(), "served after strangers");
}

/* Messages that are wrong by themselves; @live: after authentication. */
static void malformed(bool live)
{
	static const char * const names[] = {
		"empty message", "truncated header", "truncated body", "over-long message",
		"longer than any buffer", "bad magic", "bad version", "unknown flags", "a reply",
		"five descriptors", "descriptor of no bytes", "descriptor that wraps",
		"descriptors beyond max_io", "data that nothing describes", "no timeout",
		"with immediate", "with invalidate", "inline longer than inline_size",
		"second HELLO, or none", "PING with payload, or first",
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		enum ibv_wr_opcode op = IBV_WR_SEND;
		uint32_t len = sizeof(struct flint_hdr) + 16;
		struct flint_desc *d;
		struct flint_hdr *h;
		char name[80];
		struct raw r;

		if (live)
			raw_live(&r, 8);
		else
			raw_begin(&r, 8);
		h = raw_msg(&r, live ? OP_NOP : FLINT_OP_HELLO, 16);
		d = (struct flint_desc *)(h + 1);
		d->len = cpu_to_le32(16);
		switch (i) {
		case 0: len = 0; break;
		case 1: len = 40; break;
		case 2: len -= 3; break;
		case 3: len += 8; break;
		case 4: len = BIG; break;
		case 5: h->magic = 0; break;
		case 6: h->version = 2; break;
		case 7: h->flags = 0x80; break;
		case 8: h->flags = FLINT_F_REPLY; h->credits = cpu_to_le16(1); break;
		case 9: h->nr_desc = 5; len += 80; break;
		case 10: h->nr_desc = 1; d->len = 0; len += 16; break;
		case 11: h->nr_desc = 1; d->addr = ~0ull; len += 16; break;
		case 12:
			h->nr_desc = 2;
			d[0].len = d[1].len = cpu_to_le32(MAX_IO - 1);
			len += 32;
			break;
		case 13: h->data_len = cpu_to_le32(100); break;
		case 14: h->timeout_ms = 0; break;
		case 15: op = IBV_WR_SEND_WITH_IMM; break;
		case 16: op = IBV_WR_SEND_WITH_INV; break;
		case 17:
			h->flags = FLINT_F_INLINE;
			h->data_len = cpu_to_le32(FLINT_INLINE_DEFAULT + 100);
			len += FLINT_INLINE_DEFAULT + 100;
			break;
		case 18: h->op = cpu_to_le16(live ? FLINT_OP_HELLO : FLINT_OP_AUTH); break;
		case 19: h->op = cpu_to_le16(FLINT_OP_PING);
			h->flags = FLINT_F_INLINE;
			h->data_len = cpu_to_le32(8);
			len += 8;
			break;
		}
		snprintf(name, sizeof(name), "%s%s", names[i], live ? " when live" : " first");
		if (raw_send_op(&r, len, op))
			report(i == 6 && !live ? raw_told_version(&r) : raw_ends(&r), name);
		else
			report(true, "# SKIP the device has no such operation");
		raw_close(&r);
	}
	report(served(), "served after malformed messages");
}

/* Sound requests whose descriptors are lies. */
static void bad_keys(void)
{
	static const char * const names[] = {
		"READ with an unknown key", "READ beyond the region", "WRITE with an unknown key",
		"WRITE beyond the region", "second of two descriptors is bad (READ)",
		"second of two descriptors is bad (WRITE)",
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		bool read = i < 2 || i == 4;
		struct flint_desc *d;
		struct flint_hdr *h;
		struct raw r;

		raw_live(&r, 8);
		h = raw_msg(&r, read ? OP_SINK : OP_FILL, 0);
		h->nr_desc = i < 4 ? 1 : 2;
		d = (struct flint_desc *)(h + 1);
		d[0].addr = cpu_to_le64((uintptr_t)r.mem);
		d[0].len = cpu_to_le32(i < 4 ? 8192 : 4096);
		d[0].rkey = cpu_to_le32(r.mr->rkey);
		d[1] = d[0];
		if (i == 0 || i == 2)
			d[0].rkey ^= cpu_to_le32(0x55);
		if (i == 1 || i == 3)
			d[0].addr = cpu_to_le64((uintptr_t)r.mem + BIG + 16 * MSG - 100);
		if (i >= 4)
			d[1].rkey ^= cpu_to_le32(0x55);
		if (read)
			h->data_len = cpu_to_le32(8192);
		raw_send_op(&r, sizeof(*h) + h->nr_desc * (uint32_t)sizeof(*d), IBV_WR_SEND);
		report(raw_ends(&r), names[i]);
		raw_close(&r);
	}
	report(served(), "served after bad keys");
}

/* Put a request behind what is in the message already. Return: where it ends. */
static uint32_t raw_add(struct raw *r, uint32_t at, uint16_t op, uint32_t tag)
{
	struct flint_hdr *h = (struct flint_hdr *)(r->mem + at);
	struct flint_desc *d = (struct flint_desc *)(h + 1);

	raw_header(h, op, 0, 0);
	h->tag = cpu_to_le32(tag);
	if (op != OP_SINK)
		return at + (uint32_t)sizeof(*h);
	h->nr_desc = 1;
	h->data_len = cpu_to_le32(BIG);
	*d = (struct flint_desc){ .addr = cpu_to_le64((uintptr_t)r->mem),
				  .len = cpu_to_le32(BIG), .rkey = cpu_to_le32(r->mr->rkey) };
	return at + (uint32_t)(sizeof(*h) + sizeof(*d));
}

/* Each of a bundle's requests is answered, and the buffer it came in is used again. */
static bool bundles_answered(void)
{
	uint32_t round, i, len, seen;
	struct raw r;
	bool good = true;

	raw_live(&r, 16);
	for (round = 0; round < 40 && good; round++) {
		for (i = 0, len = 0; i < CREDITS; i++)
			len = raw_add(&r, len, (i + round) % 3 ? OP_NOP : OP_SINK, i);
		len = raw_add(&r, len, FLINT_OP_PING, CREDITS);
		raw_send_op(&r, len, IBV_WR_SEND);
		for (i = 0, seen = 0; i <= CREDITS && good; i++) {
			const struct flint_hdr *h = (const struct flint_hdr *)raw_answer(&r);

			good = h && !h->status;
			if (!good)
				break;
			seen |= 1u << le32_to_cpu(h->tag);
			raw_recv(&r, (int)(((const uint8_t *)h - r.mem - BIG) / MSG));
		}
		good = good && seen == (2u << CREDITS) - 1;
	}
	raw_close(&r);
	return good;
}

static void bundles(void)
{
	static const char * const names[] = {
		"bundle: bad magic in the second", "bundle: the second is cut short",
		"bundle: a header cut short behind the first", "bundle: more than credits",
		"bundle: fails in the middle of the first one's READ",
	};
	unsigned int i;

	report(bundles_answered(), "bundles are answered");
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		uint32_t len = 0, n;
		struct raw r;
		bool ended;

		raw_live(&r, 16);
		len = raw_add(&r, len, i == 4 ? OP_SINK : OP_NOP, 0);
		switch (i) {
		case 0:
		case 4:
			n = len;
			len = raw_add(&r, len, OP_NOP, 1);
			((struct flint_hdr *)(r.mem + n))->magic = 0;
			break;
		case 1: len = raw_add(&r, len, OP_SINK, 1) - 8; break;
		case 2: len = raw_add(&r, len, OP_NOP, 1) - 40; break;
		case 3:
			for (n = 0; n < 40; n++)
				len = raw_add(&r, len, OP_SINK, n);
			break;
		}
		raw_send_op(&r, len, IBV_WR_SEND);
		for (n = 0, ended = false; n < 16 && !ended; n++)
			ended = !raw_answer(&r) && r.ended;
		report(ended, names[i]);
		raw_close(&r);
	}
	report(served(), "served after bad bundles");
}

static void misbehaviour(void)
{
	struct flint_desc *d;
	struct flint_hdr *h;
	struct raw r;
	bool ended;
	int i;

	/* No receive buffer for the answer: two are used up by the handshake. */
	raw_live(&r, 2);
	raw_msg(&r, OP_NOP, 0);
	raw_send_op(&r, sizeof(struct flint_hdr), IBV_WR_SEND);
	report(raw_ends(&r), "no receive buffer");
	raw_close(&r);
	report(served(), "served after a client without receive buffers");

	/* Gone in the middle of the server's READs. */
	for (i = 0; i < 8; i++) {
		raw_live(&r, 8);
		h = raw_msg(&r, OP_SINK, 0);
		d = (struct flint_desc *)(h + 1);
		h->nr_desc = 1;
		h->data_len = cpu_to_le32(BIG);
		d->addr = cpu_to_le64((uintptr_t)r.mem);
		d->len = cpu_to_le32(BIG);
		d->rkey = cpu_to_le32(r.mr->rkey);
		raw_send_op(&r, sizeof(*h) + sizeof(*d), IBV_WR_SEND);
		raw_send_op(&r, sizeof(*h) + sizeof(*d), IBV_WR_SEND);
		usleep((useconds_t)i * 300);
		raw_close(&r);
	}
	report(served(), "served after clients that vanish");

	/* More requests than credits and receive buffers: whatever comes first ends it. */
	raw_live(&r, 16);
	h = raw_msg(&r, OP_SINK, 0);
	d = (struct flint_desc *)(h + 1);
	h->nr_desc = 1;
	h->data_len = cpu_to_le32(BIG);
	d->addr = cpu_to_le64((uintptr_t)r.mem);
	d->len = cpu_to_le32(BIG);
	d->rkey = cpu_to_le32(r.mr->rkey);
	for (i = 0; i < CREDITS + 8; i++)
		raw_send_op(&r, sizeof(*h) + sizeof(*d), IBV_WR_SEND);
	for (i = 0, ended = false; i < 32 && !ended; i++)
		ended = !raw_answer(&r);
	report(ended, "more requests than credits");
	raw_close(&r);
	report(served(), "served after too many requests");

	/* Never says HELLO. */
	raw_begin(&r, 8);
	report(raw_event(&r, NULL) == RDMA_CM_EVENT_DISCONNECTED, "no HELLO within 5 s");
	raw_close(&r);
}

int main(int argc, char **argv)
{
	int i;

	if (argc != 2) {
		fprintf(stderr, "usage: %s ADDRESS\n", argv[0]);
		return 2;
	}
	good_priv = (struct flint_cm_priv){
		.magic = cpu_to_le32(FLINT_MAGIC), .major = FLINT_PROTO_MAJOR,
		.msg_size = cpu_to_le32(MSG), .depth = cpu_to_le32(CREDITS),
	};
	server_up(argv[1]);
	report(served(), "honest client");
	strangers();
	malformed(false);
	malformed(true);
	bad_keys();
	bundles();
	misbehaviour();
	for (i = 0; i < 100 && flint_pool_nr_free(S.pool) != NR_BUFS; i++)
		usleep(50000);
	report(flint_pool_nr_free(S.pool) == NR_BUFS, "all buffers are back");
	printf("1..%d\n", S.tests);
	return S.bad ? 1 : 0;
}
