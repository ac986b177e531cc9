// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A server over raw verbs or TCP that can misbehave: the other side of the module's
 * transport tests. It speaks just enough of the protocol (HELLO, AUTH, PING,
 * READ, WRITE) and, in each mode but "good", breaks one rule of it at the
 * first READ or WRITE, or earlier. Nothing of the daemons' code is used, so
 * that a mistake there cannot hide one in the module.
 *
 * READ returns a pattern that depends on the position in the chunk; WRITE
 * checks the same pattern and answers CHECKSUM if it is not there.
 *
 * One thread per connection, one work request in flight: slow and simple.
 */
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../../uapi/flintfs/codec.h"

#define INLINE_SIZE	4096u
#define MSG_SIZE	(FLINT_CTRL_SIZE + INLINE_SIZE)
#define MAX_IO		(1u << 20)
#define NR_RECV		80

static const char *mode = "good";
static uint8_t key[FLINT_KEY_LEN];
static bool have_key;
static unsigned int credits = 32;

/*
 * @fd: TCP: the socket, else -1
 * @tail, @tail_len: TCP: payload that follows the next message
 */
struct peer {
	int fd;
	const uint8_t *tail;
	uint32_t tail_len;
	struct rdma_cm_id *id;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_comp_channel *chan;
	struct ibv_mr *mr, *table_mr;
	uint8_t *mem;		/* NR_RECV receives, one send, MAX_IO of data */
	uint8_t *out, *data;
	struct flint_hello hello;
	struct flint_hello_rep rep;
	bool authed;
	unsigned int served;
};

static bool is(const char *name)
{
	return !strcmp(mode, name);
}

/*
 * What READ returns; made once, so that the server costs little where time is
 * measured. A page longer than needed: rxe looks past the end of a region of
 * exactly 256 pages, which is all that KASAN would then report.
 */
static uint8_t table[MAX_IO + 4096] __attribute__((aligned(4096)));

static uint8_t pattern(uint64_t pos)
{
	return (uint8_t)(pos * 7 + (pos >> 8) * 13 + (pos >> 16) * 29 + 1);
}

static int poll_one(struct peer *p, struct ibv_wc *wc)
{
	void *ctx;
	struct ibv_cq *cq;

	for (;;) {
		int n = ibv_poll_cq(p->cq, 1, wc);

		if (n)
			return n < 0 || wc->status ? -1 : 0;
		if (ibv_req_notify_cq(p->cq, 0))
			return -1;
		n = ibv_poll_cq(p->cq, 1, wc);
		if (n)
			return n < 0 || wc->status ? -1 : 0;
		if (ibv_get_cq_event(p->chan, &cq, &ctx))
			return -1;
		ibv_ack_cq_events(cq, 1);
	}
}

/* Receives that completed while we waited for something else. */
struct backlog {
	struct ibv_wc wc[NR_RECV];
	unsigned int head, tail;
};

static int wait_send(struct peer *p, struct backlog *b)
{
	for (;;) {
		struct ibv_wc wc;

		if (poll_one(p, &wc))
			return -1;
		if (!(wc.opcode & IBV_WC_RECV))
			return 0;
		b->wc[b->tail++ % NR_RECV] = wc;
	}
}

static int post_recv(struct peer *p, uint64_t i)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)(p->mem + i * MSG_SIZE),
		.length = MSG_SIZE,
		.lkey = p->mr->lkey,
	};
	struct ibv_recv_wr wr = { .wr_id = i, .sg_list = &sge, .num_sge = 1 }, *bad;

	return ibv_post_recv(p->id->qp, &wr, &bad);
}

static int rdma(struct peer *p, struct backlog *b, enum ibv_wr_opcode op, uint8_t *local,
		uint64_t addr, uint32_t rkey, uint32_t len)
{
	struct ibv_mr *mr = op == IBV_WR_RDMA_WRITE ? p->table_mr : p->mr;
	struct ibv_sge sge = { .addr = (uintptr_t)local, .length = len, .lkey = mr->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge, .num_sge = 1, .opcode = op, .send_flags = IBV_SEND_SIGNALED,
	}, *bad;

	wr.wr.rdma.remote_addr = addr;
	wr.wr.rdma.rkey = rkey;
	if (ibv_post_send(p->id->qp, &wr, &bad))
		return -1;
	return wait_send(p, b);
}

static int tcp_write(struct peer *p, const uint8_t *from, uint32_t len, uint32_t step)
{
	while (len) {
		ssize_t n = send(p->fd, from, len < step ? len : step, MSG_NOSIGNAL);

		if (n <= 0)
			return -1;
		from += n;
		len -= (uint32_t)n;
		if (step == 1)
			usleep(200000);
	}
	return 0;
}

/* Message and payload, with what only a stream can break. */
static int tcp_send(struct peer *p, uint32_t len)
{
	static const uint8_t garbage[4096] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	struct linger reset = { .l_onoff = 1 };
	uint32_t tail = p->tail_len;
	bool io = p->served;

	p->tail_len = 0;
	if (io && is("garbage"))
		return tcp_write(p, garbage, sizeof(garbage), sizeof(garbage));
	if (io && is("descriptors"))
		((struct flint_hdr *)p->out)->nr_desc = 1;
	if (tcp_write(p, p->out, len, io && is("slow-header") ? 1 : len))
		return -1;
	if (io && is("half-close"))
		return shutdown(p->fd, SHUT_WR);
	if (io && (is("reset") || is("close-mid-read"))) {
		tcp_write(p, p->tail, tail / 2, MAX_IO);
		if (is("reset"))
			setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		return -1;
	}
	return tcp_write(p, p->tail, tail, io && is("slow-data") ? 1 : MAX_IO);
}

static int send_msg(struct peer *p, struct backlog *b, uint32_t len, uint32_t inv)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)p->out, .length = len, .lkey = p->mr ? p->mr->lkey : 0,
	};
	struct ibv_send_wr wr = {
		.sg_list = &sge, .num_sge = 1, .opcode = inv ? IBV_WR_SEND_WITH_INV : IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	}, *bad;

	if (p->fd >= 0)
		return tcp_send(p, len);
	wr.invalidate_rkey = inv;
	if (ibv_post_send(p->id->qp, &wr, &bad))
		return -1;
	return wait_send(p, b);
}

static struct flint_hdr *reply_hdr(struct peer *p, const struct flint_msg *m, uint32_t body_len)
{
	struct flint_hdr *h = (struct flint_hdr *)p->out;

	memset(h, 0, sizeof(*h));
	h->magic = cpu_to_le32(FLINT_MAGIC);
	h->version = FLINT_PROTO_MAJOR;
	h->flags = FLINT_F_REPLY;
	h->op = cpu_to_le16(m->op);
	h->tag = cpu_to_le32(m->tag);
	h->credits = cpu_to_le16(credits);
	h->body_len = cpu_to_le32(body_len);
	return h;
}

static void mac(struct peer *p, bool server, uint8_t *out)
{
	uint8_t text[FLINT_AUTH_MSG_LEN];
	unsigned int n;

	flint_auth_msg(text, server, p->hello.nonce, p->rep.nonce, p->hello.client_id,
		       p->hello.role);
	HMAC(EVP_sha256(), key, sizeof(key), text, sizeof(text), out, &n);
}

static int do_hello(struct peer *p, struct backlog *b, const struct flint_msg *m)
{
	struct flint_hdr *h = reply_hdr(p, m, sizeof(p->rep));

	if (is("hello-silent"))
		return 0;
	if (is("hello-close"))
		return -1;
	if (flint_body_get(&p->hello, sizeof(p->hello), sizeof(p->hello), m->body, m->body_len))
		return -1;
	memset(&p->rep, 0, sizeof(p->rep));
	p->rep.major = is("hello-version") ? 9 : FLINT_PROTO_MAJOR;
	p->rep.role = FLINT_ROLE_CHUNK;
	p->rep.auth = have_key && !is("hello-noauth");
	p->rep.inline_size = cpu_to_le32(is("hello-inline") ? 1u << 30 : INLINE_SIZE);
	p->rep.max_io = cpu_to_le32(is("hello-maxio") ? 1u << 30 : MAX_IO);
	p->rep.credits = cpu_to_le16(is("hello-credits") ? 0 : credits);
	p->rep.features = cpu_to_le64(FLINT_FEATURES);
	memset(p->rep.nonce, 0x5a, sizeof(p->rep.nonce));
	mac(p, true, p->rep.mac);
	if (is("hello-mac"))
		p->rep.mac[7] ^= 1;
	if (is("hello-status"))
		h->status = cpu_to_le32(FLINT_ST_VERSION);
	memcpy(h + 1, &p->rep, sizeof(p->rep));
	if (is("hello-short")) {
		h->body_len = cpu_to_le32(20);
		return send_msg(p, b, sizeof(*h) + 20, 0);
	}
	return send_msg(p, b, sizeof(*h) + sizeof(p->rep), 0);
}

static int do_auth(struct peer *p, struct backlog *b, const struct flint_msg *m)
{
	struct flint_hdr *h = reply_hdr(p, m, 0);
	uint8_t want[FLINT_MAC_LEN];

	if (is("auth-silent"))
		return 0;
	mac(p, false, want);
	if (m->body_len < sizeof(want) || memcmp(m->body, want, sizeof(want)))
		h->status = cpu_to_le32(FLINT_ST_AUTH);
	else
		p->authed = true;
	return send_msg(p, b, sizeof(*h), 0);
}

/* A well-formed READ reply, in h; returns its length. */
static int serve_read(struct peer *p, struct backlog *b, const struct flint_msg *m,
		      const struct flint_io *io, uint32_t *len)
{
	struct flint_hdr *h = reply_hdr(p, m, sizeof(struct flint_io_rep));
	struct flint_io_rep *rep = (struct flint_io_rep *)(h + 1);
	uint32_t i, n = le32_to_cpu(io->length), off = le32_to_cpu(io->offset), done = 0;

	memset(rep, 0, sizeof(*rep));
	rep->version = cpu_to_le64(1);
	rep->length = cpu_to_le32(n);
	rep->crc_shift = 12;
	h->data_len = cpu_to_le32(n);
	if (off > MAX_IO - n)
		return -1;
	*len = sizeof(*h) + sizeof(*rep);
	if (p->fd >= 0) {
		h->flags |= FLINT_F_INLINE;
		p->tail = table + off;
		p->tail_len = n;
		return 0;
	}
	if (!m->nr_desc) {
		h->flags |= FLINT_F_INLINE;
		memcpy(rep + 1, table + off, n);
		*len += n;
		return 0;
	}
	if (is("close-mid-read"))
		n /= 2;
	for (i = 0; i < m->nr_desc && done < n; i++) {
		uint32_t l = le32_to_cpu(m->desc[i].len);
		uint64_t addr = le64_to_cpu(m->desc[i].addr);
		uint32_t rkey = le32_to_cpu(m->desc[i].rkey);

		if (l > n - done)
			l = n - done;
		if (is("write-beyond") && !i)
			addr += le32_to_cpu(m->desc[i].len) - l / 2;
		if (is("write-badkey") && !i)
			rkey ^= 0x5500;
		if (rdma(p, b, IBV_WR_RDMA_WRITE, table + off + done, addr, rkey, l))
			return -1;
		done += l;
	}
	return is("close-mid-read") ? -1 : 0;
}

static int serve_write(struct peer *p, struct backlog *b, const struct flint_msg *m,
		       const struct flint_io *io, uint32_t *len)
{
	struct flint_hdr *h;
	struct flint_io_rep *rep;
	uint32_t i, n = le32_to_cpu(io->length), off = le32_to_cpu(io->offset), done = 0;
	bool good;

	if (m->data) {
		memcpy(p->data, m->data, n);
	} else {
		for (i = 0; i < m->nr_desc; i++) {
			uint32_t l = le32_to_cpu(m->desc[i].len);

			if (rdma(p, b, IBV_WR_RDMA_READ, p->data + done,
				 le64_to_cpu(m->desc[i].addr), le32_to_cpu(m->desc[i].rkey), l))
				return -1;
			done += l;
			if (is("close-mid-write"))
				return -1;
		}
	}
	good = off <= MAX_IO - n && !memcmp(p->data, table + off, n);
	h = reply_hdr(p, m, sizeof(*rep));
	rep = (struct flint_io_rep *)(h + 1);
	memset(rep, 0, sizeof(*rep));
	rep->length = cpu_to_le32(n);
	if (!good)
		h->status = cpu_to_le32(FLINT_ST_CHECKSUM);
	*len = sizeof(*h) + sizeof(*rep);
	return 0;
}

/* Break one rule in a finished reply. Return: -1 close, 0 send it, 1 do not send it. */
static int spoil(struct peer *p, struct backlog *b, const struct flint_msg *m, uint32_t *len,
		 uint32_t *inv)
{
	struct flint_hdr *h = (struct flint_hdr *)p->out;

	if (is("silent"))
		return 1;
	if (is("close"))
		return -1;
	if (is("short"))
		*len -= 8;
	if (is("tiny"))
		*len = 10;
	if (is("long"))
		*len += 8;
	if (is("huge-body"))
		h->body_len = cpu_to_le32(0xfffffff0);
	if (is("magic"))
		h->magic = cpu_to_le32(0x12345678);
	if (is("version"))
		h->version = 2;
	if (is("flags"))
		h->flags |= 0x80;
	if (is("op"))
		h->op = cpu_to_le16(FLINT_OP_STATFS);
	if (is("tag"))
		h->tag = cpu_to_le32(m->tag + 5);
	if (is("tag-range"))
		h->tag = cpu_to_le32(m->tag | 0xffff);
	if (is("generation"))
		h->tag = cpu_to_le32(m->tag - 0x10000);
	if (is("credits"))
		h->credits = 0;
	if (is("request"))
		h->flags &= ~FLINT_F_REPLY;
	if (is("push"))
		h->flags |= FLINT_F_PUSH;
	if (is("data-len"))
		h->data_len = cpu_to_le32(le32_to_cpu(h->data_len) + 4096);
	if (is("data-huge"))
		h->data_len = cpu_to_le32(0xfffff000);
	if (is("inline-uncalled")) {
		h->flags |= FLINT_F_INLINE;
		h->data_len = cpu_to_le32(512);
		*len += 512;
	}
	if (is("inline-missing"))
		h->flags &= ~FLINT_F_INLINE, *len = sizeof(*h) + sizeof(struct flint_io_rep);
	if (is("inv-bogus"))
		*inv = *inv ? 0 : 0x1234;
	if (is("no-inv"))
		*inv = 0;
	if (is("twice") && send_msg(p, b, *len, *inv))
		return -1;
	if (is("twice"))
		*inv = 0;
	return 0;
}

static int do_io(struct peer *p, struct backlog *b, const struct flint_msg *m)
{
	uint32_t len = 0, inv = m->nr_desc ? le32_to_cpu(m->desc[0].rkey) : 0;
	struct flint_io io;
	int ret;

	if (flint_body_get(&io, sizeof(io), sizeof(io), m->body, m->body_len) ||
	    le32_to_cpu(io.length) > MAX_IO) {
		fprintf(stderr, "the client sent a bad body\n");
		return -1;
	}
	ret = m->op == FLINT_OP_READ ? serve_read(p, b, m, &io, &len) :
				       serve_write(p, b, m, &io, &len);
	if (ret)
		return ret;
	p->served++;
	ret = spoil(p, b, m, &len, &inv);
	if (ret)
		return ret < 0 ? -1 : 0;
	return send_msg(p, b, len, inv);
}

static int answer(struct peer *p, struct backlog *b, const struct flint_msg *m)
{
	switch (m->op) {
	case FLINT_OP_HELLO:
		return do_hello(p, b, m);
	case FLINT_OP_AUTH:
		return do_auth(p, b, m);
	case FLINT_OP_PING:
		if (is("ping-silent") || is("silent"))
			return 0;
		reply_hdr(p, m, 0);
		return send_msg(p, b, sizeof(struct flint_hdr), 0);
	case FLINT_OP_READ:
	case FLINT_OP_WRITE:
		if (have_key && !p->authed)
			return -1;
		return do_io(p, b, m);
	default:
		reply_hdr(p, m, 0)->status = cpu_to_le32(FLINT_ST_BAD_REQUEST);
		return send_msg(p, b, sizeof(struct flint_hdr), 0);
	}
}

static int handle(struct peer *p, struct backlog *b, const void *buf, uint32_t len)
{
	const struct flint_limits lim = { .inline_size = INLINE_SIZE, .max_io = MAX_IO };
	struct flint_msg m;

	if (flint_msg_parse(buf, len, &lim, &m) || (m.flags & FLINT_F_REPLY)) {
		fprintf(stderr, "the client sent a malformed message of %u bytes\n", len);
		return -1;
	}
	return answer(p, b, &m);
}

/* ---- TCP -------------------------------------------------------------- */

static int tcp_read(struct peer *p, void *to, uint32_t len)
{
	return len && recv(p->fd, to, len, MSG_WAITALL) != (ssize_t)len ? -1 : 0;
}

/* One request. Return: 0, or -1: the end. */
static int tcp_request(struct peer *p, struct backlog *b)
{
	const struct flint_limits lim = { .inline_size = MAX_IO, .max_io = MAX_IO };
	struct flint_msg m;
	bool early;

	if (tcp_read(p, p->mem, sizeof(struct flint_hdr)))
		return -1;
	if (flint_hdr_parse((struct flint_hdr *)p->mem, &lim, &m) || (m.flags & FLINT_F_REPLY) ||
	    m.nr_desc || flint_msg_ctrl_len(&m) > MSG_SIZE ||
	    (m.data_len && !(m.flags & FLINT_F_INLINE))) {
		fprintf(stderr, "the client sent a malformed message\n");
		return -1;
	}
	m.body = p->mem + sizeof(struct flint_hdr);
	if (tcp_read(p, p->mem + sizeof(struct flint_hdr), m.body_len))
		return -1;
	if (m.op == FLINT_OP_WRITE && is("close-mid-write"))
		return -1;
	while (p->authed && is("deaf"))
		pause();
	/* A refusal before the payload was read is allowed; the client must not take back its memory. */
	early = m.op == FLINT_OP_WRITE && is("early");
	if (early) {
		reply_hdr(p, &m, 0)->status = cpu_to_le32(FLINT_ST_RETRY);
		if (send_msg(p, b, sizeof(struct flint_hdr), 0))
			return -1;
		usleep(50000);
	}
	if (tcp_read(p, p->data, m.data_len))
		return -1;
	if (m.data_len)
		m.data = p->data;
	return early ? 0 : answer(p, b, &m);
}

static void *tcp_serve(void *arg)
{
	struct backlog b = { 0 };
	struct peer *p = arg;

	while (!tcp_request(p, &b))
		;
	close(p->fd);
	return NULL;
}

static int tcp_run(int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 16)) {
		fprintf(stderr, "port %d: %s\n", port, strerror(errno));
		return 1;
	}
	printf("listening\n");
	fflush(stdout);
	for (;;) {
		struct peer *p = calloc(1, sizeof(*p));
		pthread_t thread;

		if (!p || (p->fd = accept(fd, NULL, NULL)) < 0)
			return 1;
		p->mem = aligned_alloc(4096, 2 * 8192 + MAX_IO);
		p->out = p->mem + 8192;
		p->data = p->out + 8192;
		if (pthread_create(&thread, NULL, tcp_serve, p))
			return 1;
		pthread_detach(thread);
	}
}

static void *serve(void *arg)
{
	struct backlog b = { 0 };
	struct peer *p = arg;

	for (;;) {
		struct ibv_wc wc;

		if (b.head != b.tail)
			wc = b.wc[b.head++ % NR_RECV];
		else if (poll_one(p, &wc))
			break;
		if (!(wc.opcode & IBV_WC_RECV))
			continue;
		if (handle(p, &b, p->mem + wc.wr_id * MSG_SIZE, wc.byte_len) ||
		    post_recv(p, wc.wr_id))
			break;
	}
	rdma_disconnect(p->id);
	return NULL;	/* the peer's memory is left: the process is short-lived */
}

static int accept_one(struct rdma_cm_id *id)
{
	struct peer *p = calloc(1, sizeof(*p));
	size_t size = NR_RECV * MSG_SIZE + MSG_SIZE + MAX_IO;
	struct ibv_qp_init_attr attr = {
		.cap = { .max_send_wr = 8, .max_recv_wr = NR_RECV, .max_send_sge = 1,
			 .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};
	struct rdma_conn_param param = { .initiator_depth = 1, .rnr_retry_count = 1 };
	pthread_t thread;
	int i;

	if (!p)
		return -1;
	p->fd = -1;
	p->id = id;
	p->pd = ibv_alloc_pd(id->verbs);
	p->chan = ibv_create_comp_channel(id->verbs);
	p->cq = ibv_create_cq(id->verbs, 256, NULL, p->chan, 0);
	p->mem = aligned_alloc(4096, (size + 4095) & ~4095ul);
	p->out = p->mem + NR_RECV * MSG_SIZE;
	p->data = p->out + MSG_SIZE;
	p->mr = ibv_reg_mr(p->pd, p->mem, size, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	p->table_mr = ibv_reg_mr(p->pd, table, sizeof(table), 0);
	attr.send_cq = p->cq;
	attr.recv_cq = p->cq;
	if (!p->mr || !p->table_mr || rdma_create_qp(id, p->pd, &attr))
		return -1;
	for (i = 0; i < NR_RECV; i++)
		if (post_recv(p, i))
			return -1;
	if (is("cm-silent"))
		return 0;
	if (rdma_accept(id, &param))
		return -1;
	if (pthread_create(&thread, NULL, serve, p))
		return -1;
	return pthread_detach(thread);
}

static void connect_request(struct rdma_cm_event *ev)
{
	struct flint_cm_priv rej = {
		.magic = cpu_to_le32(FLINT_MAGIC), .major = 9, .reason = FLINT_REJ_VERSION,
	};

	if (is("reject"))
		rdma_reject(ev->id, NULL, 0);
	else if (is("reject-version"))
		rdma_reject(ev->id, &rej, sizeof(rej));
	else if (accept_one(ev->id))
		fprintf(stderr, "accepting failed: %s\n", strerror(errno));
}

static void read_key(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned int i;

	for (i = 0; f && i < sizeof(key); i++)
		if (fscanf(f, "%2hhx", &key[i]) != 1)
			break;
	if (!f || i < sizeof(key)) {
		fprintf(stderr, "%s: no key of 64 hex digits there\n", path);
		exit(1);
	}
	fclose(f);
	have_key = true;
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	struct rdma_event_channel *ch;
	struct rdma_cm_event *ev;
	struct rdma_cm_id *id;
	int c, port = 9999;
	bool tcp = false;
	uint32_t i;

	while ((c = getopt(argc, argv, "m:p:k:c:th")) != -1) {
		if (c == 'm')
			mode = optarg;
		else if (c == 'p')
			port = atoi(optarg);
		else if (c == 'k')
			read_key(optarg);
		else if (c == 'c')
			credits = atoi(optarg);
		else if (c == 't')
			tcp = true;
		else
			return printf("usage: hostile_server [-t] [-m MODE] [-p PORT] [-k KEYFILE] [-c CREDITS]\n"), 2;
	}
	for (i = 0; i < MAX_IO; i++)
		table[i] = pattern(i);
	if (tcp)
		return tcp_run(port);
	ch = rdma_create_event_channel();
	sa.sin_port = htons(port);
	if (!ch || rdma_create_id(ch, &id, NULL, RDMA_PS_TCP) ||
	    rdma_bind_addr(id, (struct sockaddr *)&sa) || rdma_listen(id, 16)) {
		fprintf(stderr, "port %d: %s\n", port, strerror(errno));
		return 1;
	}
	printf("listening\n");
	fflush(stdout);
	while (!rdma_get_cm_event(ch, &ev)) {
		struct rdma_cm_id *conn = ev->id;

		if (ev->event == RDMA_CM_EVENT_CONNECT_REQUEST)
			connect_request(ev);
		else if (ev->event == RDMA_CM_EVENT_DISCONNECTED)
			rdma_disconnect(conn);
		rdma_ack_cm_event(ev);
	}
	return 0;
}
