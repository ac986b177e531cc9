// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Load for a real flint-chunkd over TCP that somebody kills meanwhile: workers
 * write, punch, cut and read chunks, each against a model of its own in
 * memory. A request without an answer is sent again with its sequence until it
 * has one. Every read must give exactly the model's bytes, with right CRCs.
 *
 *	flint-chunkload PORT KEYFILE SECONDS
 *	flint-chunkload PORT KEYFILE refusals
 *
 *	flint-chunkload PORT KEYFILE mark|marked
 *
 * The second form sends what must be refused and checks how. "mark" writes a
 * chunk of text, "marked" reads it block by block and wants one of them, and
 * only one, to fail its checksum: the one that somebody has damaged.
 *
 * The server runs with --alone and one target with id 1, empty or left by an
 * earlier run of this program. Prints what was done; status 0: all as expected.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../userd/base/crc.h"
#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/net/net.h"

#define WORKERS		12u
#define CHUNKS		3u
#define SHIFT		20
#define CHUNK		(1u << SHIFT)
#define GIVE_UP_NS	60000000000ull

enum what { W_READ, W_WRITE, W_PUNCH, W_CUT, W_CLONE };

struct worker {
	struct load *l;
	u64 ino;
	u32 epoch;
	u8 *model[CHUNKS];
	u32 size[CHUNKS];
	/* the request under way */
	enum what what;
	u32 chunk, src, off, len, tries;
	u64 seq, cut_size, began_ns;
	struct flint_rpc rpc;
	struct flint_timer pause;
	union {
		struct flint_io io;
		struct flint_cut cut;
		struct flint_clone clone;
	} body;
	u8 *buf;
	u32 final;		/* reading everything at the end: next chunk */
	bool finished;
};

struct load {
	struct flint_loop *loop;
	struct flint_peer *peer;
	struct worker w[WORKERS];
	u64 rng, seq, end_ns;
	u64 ops[5], retries, bytes;
	u32 running;
	int failed;
};

static u64 rnd(struct load *l, u64 below)
{
	return flint_splitmix64(&l->rng) % below;
}

static void next(struct worker *w);
static void send_request(struct worker *w);

static void give_up(struct worker *w, const char *why)
{
	fprintf(stderr, "inode %llu chunk %u [%u, +%u) %s: %s (status %u, err %d, %u tries)\n",
		(unsigned long long)w->ino, w->chunk, w->off, w->len,
		w->what == W_READ ? "read" : w->what == W_WRITE ? "write" :
		w->what == W_PUNCH ? "punch" : w->what == W_CUT ? "cut" : "clone", why, w->rpc.status, w->rpc.err, w->tries);
	w->l->failed = 1;
	flint_loop_stop(w->l->loop);
}

/* ---- results ------------------------------------------------------------ */

static bool crcs_right(const struct worker *w, const struct flint_io_rep *rep, u32 len)
{
	const u8 *tail = (const u8 *)w->rpc.rep_body + sizeof(*rep);
	u32 pos = w->off, i, n = le16_to_cpu(rep->nr_crc);

	for (i = 0; i < n; i++) {
		u32 end = ((pos >> rep->crc_shift) + 1) << rep->crc_shift;
		__le32 crc;

		if (end > w->off + len)
			end = w->off + len;
		memcpy(&crc, tail + i * sizeof(crc), sizeof(crc));
		if (flint_crc32c(0, w->buf + (pos - w->off), end - pos) != le32_to_cpu(crc))
			return false;
		pos = end;
	}
	return pos == w->off + len;
}

static const char *check_read(struct worker *w)
{
	u32 size = w->size[w->chunk], want, len;
	struct flint_io_rep rep;

	if (flint_body_get(&rep, sizeof(rep), sizeof(rep), w->rpc.rep_body, w->rpc.rep_len))
		return "short body";
	len = le32_to_cpu(rep.length);
	want = w->off >= size ? 0 : size - w->off < w->len ? size - w->off : w->len;
	if (flint_io_rep_check(&rep, w->rpc.rep_len - (u32)sizeof(rep), w->off, w->len,
			       w->rpc.rep_data_len, true))
		return "malformed answer";
	if (len != want)
		return "wrong length";
	if (memcmp(w->buf, w->model[w->chunk] + w->off, len))
		return "WRONG DATA";
	if (len && !crcs_right(w, &rep, len))
		return "wrong CRC";
	w->l->bytes += len;
	return NULL;
}

/* The change is acknowledged: it is part of the model. */
static void apply(struct worker *w)
{
	u32 i;

	switch (w->what) {
	case W_WRITE:
		memcpy(w->model[w->chunk] + w->off, w->buf, w->len);
		if (w->off + w->len > w->size[w->chunk])
			w->size[w->chunk] = w->off + w->len;
		w->l->bytes += w->len;
		break;
	case W_PUNCH:
		memset(w->model[w->chunk] + w->off, 0, w->len);
		break;
	case W_CLONE:
		memcpy(w->model[w->chunk], w->model[w->src], CHUNK);
		w->size[w->chunk] = w->size[w->src];
		break;
	case W_CUT:
		for (i = 0; i < CHUNKS; i++) {
			u64 base = (u64)i * CHUNK;
			u32 keep = w->cut_size <= base ? 0 : w->cut_size - base > CHUNK ? CHUNK :
				   (u32)(w->cut_size - base);

			if (w->size[i] <= keep)
				continue;
			memset(w->model[i] + keep, 0, CHUNK - keep);
			w->size[i] = keep;
		}
		break;
	default:
		break;
	}
}

static void again(struct flint_timer *t)
{
	send_request(t->arg);
}

static void done(struct flint_rpc *rpc)
{
	struct worker *w = rpc->priv;
	const char *why = NULL;

	if (rpc->err || rpc->status == FLINT_ST_RETRY || rpc->status == FLINT_ST_SHUTDOWN) {
		if (flint_now_ns() - w->began_ns > GIVE_UP_NS) {
			give_up(w, "no answer");
			return;
		}
		w->tries++;
		w->l->retries++;
		flint_timer_set(w->l->loop, &w->pause, 20);
		return;
	}
	if (rpc->status != FLINT_OK)
		why = "refused";
	else if (w->what == W_READ)
		why = check_read(w);
	else
		apply(w);
	if (why) {
		give_up(w, why);
		return;
	}
	w->l->ops[w->what]++;
	w->seq = 0;
	next(w);
}

/* ---- requests ----------------------------------------------------------- */

static u64 lowest_seq(const struct load *l)
{
	u64 low = l->seq;
	u32 i;

	for (i = 0; i < WORKERS; i++)
		if (l->w[i].seq && l->w[i].seq < low)
			low = l->w[i].seq;
	return low;
}

static void send_request(struct worker *w)
{
	struct flint_rpc *rpc = &w->rpc;

	memset(rpc, 0, sizeof(*rpc));
	rpc->op = w->what == W_READ ? FLINT_OP_READ : w->what == W_WRITE ? FLINT_OP_WRITE :
		  w->what == W_PUNCH ? FLINT_OP_PUNCH :
		  w->what == W_CUT ? FLINT_OP_CUT : FLINT_OP_CLONE;
	rpc->timeout_ms = 3000;
	rpc->retry = w->tries != 0;
	rpc->seq = w->seq;
	rpc->seq_low = w->seq ? lowest_seq(w->l) : 0;
	rpc->body = &w->body;
	rpc->body_len = w->what == W_CUT ? sizeof(w->body.cut) :
			w->what == W_CLONE ? sizeof(w->body.clone) : sizeof(w->body.io);
	rpc->done = done;
	rpc->priv = w;
	if (w->what == W_WRITE) {
		rpc->out = w->buf;
		rpc->out_len = w->len;
	} else if (w->what == W_READ) {
		rpc->in = w->buf;
		rpc->in_len = w->len;
	}
	flint_peer_call(w->l->peer, rpc);
}

static void fill_io(struct worker *w)
{
	w->body.io = (struct flint_io){
		.chain = cpu_to_le32(1), .chain_ver = cpu_to_le32(1), .target = cpu_to_le32(1),
		.fs = cpu_to_le32(1), .ino = cpu_to_le64(w->ino), .gen = cpu_to_le32(1),
		.trunc_epoch = cpu_to_le32(w->epoch), .index = cpu_to_le32(w->chunk),
		.offset = cpu_to_le32(w->off), .length = cpu_to_le32(w->len),
		.chunk_shift = SHIFT,
	};
}

static void fill_clone(struct worker *w)
{
	w->src = (w->chunk + 1 + (u32)rnd(w->l, CHUNKS - 1)) % CHUNKS;
	w->off = 0;
	w->len = 0;
	memset(&w->body, 0, sizeof(w->body));
	fill_io(w);		/* the first member of the clone's body, too */
	w->body.clone.src_ino = cpu_to_le64(w->ino);
	w->body.clone.src_gen = cpu_to_le32(1);
	w->body.clone.src_epoch = cpu_to_le32(w->epoch);
	w->body.clone.src_index = cpu_to_le32(w->src);
}

static void fill_cut(struct worker *w, u64 size, u32 flags)
{
	w->cut_size = size;
	w->body.cut = (struct flint_cut){
		.chain = cpu_to_le32(1), .chain_ver = cpu_to_le32(1), .target = cpu_to_le32(1),
		.fs = cpu_to_le32(1), .ino = cpu_to_le64(w->ino), .gen = cpu_to_le32(1),
		.trunc_epoch = cpu_to_le32(++w->epoch), .size = cpu_to_le64(size),
		.chunk_shift = SHIFT, .flags = cpu_to_le32(flags),
	};
}

static void pick_range(struct worker *w)
{
	static const u32 grain[] = { 1, 512, 4096, 16384, 131072 };
	u32 g = grain[rnd(w->l, 5)];

	w->chunk = (u32)rnd(w->l, CHUNKS);
	w->off = (u32)rnd(w->l, CHUNK / g) * g;
	w->len = 1 + (u32)rnd(w->l, rnd(w->l, 4) ? 30000 : CHUNK);
	if (g > 512)
		w->len = (w->len + 4095) & ~4095u;
	if (w->len > CHUNK - w->off)
		w->len = CHUNK - w->off;
}

static void next(struct worker *w)
{
	struct load *l = w->l;
	u32 i, dice = (u32)rnd(l, 22);

	w->tries = 0;
	w->began_ns = flint_now_ns();
	if (w->began_ns >= l->end_ns) {
		if (w->final == CHUNKS) {
			w->finished = true;
			if (!--l->running)
				flint_loop_stop(l->loop);
			return;
		}
		w->what = W_READ;
		w->chunk = w->final++;
		w->off = 0;
		w->len = CHUNK;
		fill_io(w);
		send_request(w);
		return;
	}
	pick_range(w);
	w->what = dice < 8 ? W_READ : dice < 17 ? W_WRITE : dice < 19 ? W_PUNCH :
		  dice < 20 ? W_CUT : W_CLONE;
	if (w->what == W_CUT) {
		fill_cut(w, rnd(l, (u64)CHUNKS * CHUNK), 0);
	} else if (w->what == W_CLONE) {
		fill_clone(w);
		w->seq = ++l->seq;
	} else {
		fill_io(w);
		if (w->what != W_READ)
			w->seq = ++l->seq;
	}
	for (i = 0; w->what == W_WRITE && i < w->len; i += 8) {
		u64 r = flint_splitmix64(&l->rng);

		memcpy(w->buf + i, &r, 8);	/* the buffer is longer */
	}
	send_request(w);
}

/* ---- refusals ----------------------------------------------------------- */

struct refusal {
	const char *what;
	u16 op;
	struct {		/* differences from a good request, where not 0 */
		u32 length, offset, flags, crc, target;
		u8 chunk_shift;
	} io;
	u32 body_len, out_len, in_len;
	bool no_seq;
	u32 want;
};

static const struct refusal refusals[] = {
	{ "a good write", FLINT_OP_WRITE, { .length = 100 }, 56, 100, 0, false, FLINT_OK },
	{ "a good read", FLINT_OP_READ, { .length = 100 }, 56, 0, 100, false, FLINT_OK },
	{ "a short body", FLINT_OP_READ, { .length = 100 }, 40, 0, 100, false,
	  FLINT_ST_BAD_REQUEST },
	{ "a range beyond the chunk", FLINT_OP_READ,
	  { .length = 100, .offset = CHUNK - 50 }, 56, 0, 100, false,
	  FLINT_ST_BAD_REQUEST },
	{ "no length", FLINT_OP_READ, { 0 }, 56, 0, 100, false, FLINT_ST_BAD_REQUEST },
	{ "a chunk size out of range", FLINT_OP_READ,
	  { .length = 100, .chunk_shift = 40 }, 56, 0, 100, false, FLINT_ST_BAD_REQUEST },
	{ "another chunk size than the chunk's", FLINT_OP_WRITE,
	  { .length = 100, .chunk_shift = 22 }, 56, 100, 0, false, FLINT_ST_BAD_REQUEST },
	{ "less payload than announced", FLINT_OP_WRITE, { .length = 100 }, 56, 50, 0, false,
	  FLINT_ST_BAD_REQUEST },
	{ "a write without sequence", FLINT_OP_WRITE, { .length = 100 }, 56, 100, 0, true,
	  FLINT_ST_BAD_REQUEST },
	{ "a punch without sequence", FLINT_OP_PUNCH, { .length = 100 }, 56, 0, 0, true,
	  FLINT_ST_BAD_REQUEST },
	{ "a read with payload", FLINT_OP_READ, { .length = 100 }, 56, 100, 100, true,
	  FLINT_ST_BAD_REQUEST },
	{ "a wrong CRC", FLINT_OP_WRITE,
	  { .length = 100, .flags = FLINT_IO_CRC, .crc = 7 }, 56, 100, 0, false,
	  FLINT_ST_CHECKSUM },
	{ "another target", FLINT_OP_READ, { .length = 100, .target = 99 }, 56, 0, 100,
	  false, FLINT_ST_STALE_MAP },
	{ "a request for another kind of server", FLINT_OP_LOOKUP, { .length = 100 }, 56, 0,
	  100, false, FLINT_ST_BAD_REQUEST },
};

static u32 refusal_at;

static void refusal_done(struct flint_rpc *rpc);

static void refusal_send(struct load *l)
{
	const struct refusal *r = &refusals[refusal_at];
	struct worker *w = &l->w[0];

	w->chunk = 0;
	w->off = r->io.offset;
	w->len = r->io.length;
	fill_io(w);
	w->body.io.flags = cpu_to_le32(r->io.flags);
	w->body.io.crc = cpu_to_le32(r->io.crc);
	if (r->io.target)
		w->body.io.target = cpu_to_le32(r->io.target);
	if (r->io.chunk_shift)
		w->body.io.chunk_shift = r->io.chunk_shift;
	memset(&w->rpc, 0, sizeof(w->rpc));
	w->rpc.op = r->op;
	w->rpc.timeout_ms = 5000;
	w->rpc.body = &w->body;
	w->rpc.body_len = r->body_len;
	w->rpc.out = r->out_len ? w->buf : NULL;
	w->rpc.out_len = r->out_len;
	w->rpc.in = r->in_len ? w->buf : NULL;
	w->rpc.in_len = r->in_len;
	if ((r->op == FLINT_OP_WRITE || r->op == FLINT_OP_PUNCH) && !r->no_seq)
		w->rpc.seq = ++l->seq;
	w->rpc.done = refusal_done;
	w->rpc.priv = w;
	flint_peer_call(l->peer, &w->rpc);
}

static void refusal_done(struct flint_rpc *rpc)
{
	struct worker *w = rpc->priv;
	const struct refusal *r = &refusals[refusal_at];

	if (rpc->err || rpc->status != r->want) {
		fprintf(stderr, "%s: err %d, status %u, expected %u\n", r->what, rpc->err,
			rpc->status, r->want);
		w->l->failed = 1;
	}
	if (++refusal_at < sizeof(refusals) / sizeof(refusals[0]))
		refusal_send(w->l);
	else
		flint_loop_stop(w->l->loop);
}

/* ---- damage ------------------------------------------------------------- */

#define MARK_INO	777u
#define MARK_BLOCK	4096u

static void mark_fill(u8 *p, u32 block)
{
	char text[64];
	u32 at, n;

	n = (u32)snprintf(text, sizeof(text), "block %03u of the marked chunk\n", block);
	for (at = 0; at < MARK_BLOCK; at++)
		p[at] = (u8)text[at % n];
}

static void mark_send(struct load *l, u16 op, u32 off, u32 len, void (*then)(struct flint_rpc *rpc))
{
	struct worker *w = &l->w[0];

	w->ino = MARK_INO;
	w->chunk = 0;
	w->off = off;
	w->len = len;
	fill_io(w);
	memset(&w->rpc, 0, sizeof(w->rpc));
	w->rpc.op = op;
	w->rpc.timeout_ms = 5000;
	w->rpc.body = &w->body;
	w->rpc.body_len = sizeof(w->body.io);
	w->rpc.done = then;
	w->rpc.priv = w;
	if (op == FLINT_OP_WRITE) {
		w->rpc.out = w->buf;
		w->rpc.out_len = len;
		w->rpc.seq = ++l->seq;
	} else {
		w->rpc.in = w->buf;
		w->rpc.in_len = len;
	}
	flint_peer_call(l->peer, &w->rpc);
}

static void mark_done(struct flint_rpc *rpc)
{
	struct worker *w = rpc->priv;

	w->l->failed = rpc->err || rpc->status != FLINT_OK;
	flint_loop_stop(w->l->loop);
}

static void mark(struct load *l)
{
	u32 i;

	for (i = 0; i < CHUNK / MARK_BLOCK; i++)
		mark_fill(l->w[0].buf + i * MARK_BLOCK, i);
	mark_send(l, FLINT_OP_WRITE, 0, CHUNK, mark_done);
}

static void marked_done(struct flint_rpc *rpc)
{
	struct worker *w = rpc->priv;
	struct load *l = w->l;
	u8 want[MARK_BLOCK];

	mark_fill(want, w->off / MARK_BLOCK);
	if (!rpc->err && rpc->status == FLINT_ST_CHECKSUM && !rpc->rep_data_len) {
		l->retries++;
	} else if (rpc->err || rpc->status != FLINT_OK || rpc->rep_data_len != MARK_BLOCK ||
		   memcmp(w->buf, want, MARK_BLOCK)) {
		give_up(w, "not what was written");
		return;
	}
	if (w->off + MARK_BLOCK < CHUNK) {
		mark_send(l, FLINT_OP_READ, w->off + MARK_BLOCK, MARK_BLOCK, marked_done);
		return;
	}
	l->failed = l->retries != 1;
	flint_loop_stop(l->loop);
}

static void begin(struct load *l, const char *mode)
{
	u32 i;

	if (!strcmp(mode, "refusals")) {
		refusal_send(l);
	} else if (!strcmp(mode, "mark")) {
		mark(l);
	} else if (!strcmp(mode, "marked")) {
		mark_send(l, FLINT_OP_READ, 0, MARK_BLOCK, marked_done);
	} else {
		for (i = 0; i < WORKERS; i++)
			next(&l->w[i]);
	}
}

int main(int argc, char **argv)
{
	static struct load l;
	struct flint_peer_config cfg = { .proto = FLINT_PROTO_TCP, .role = FLINT_ROLE_TOOL,
					 .name = "chunkload", .session_epoch = 1 };
	struct sockaddr_in sa = { .sin_family = AF_INET };
	uint8_t key[FLINT_KEY_LEN];
	char err[256] = "";
	u32 i, j;

	if (argc != 4) {
		fprintf(stderr, "usage: flint-chunkload PORT KEYFILE SECONDS|refusals|mark|marked\n");
		return 2;
	}
	flint_log_init("flint-chunkload", FLINT_LOG_ERR);
	if (flint_key_load(argv[2], key, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		return 2;
	}
	sa.sin_port = htons((uint16_t)atoi(argv[1]));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(&cfg.addr, &sa, sizeof(sa));
	flint_random(cfg.client_id, sizeof(cfg.client_id));
	l.rng = flint_random_u64();
	printf("# seed %llu\n", (unsigned long long)l.rng);
	l.loop = flint_loop_new();
	cfg.loop = l.loop;
	cfg.key = key;
	l.peer = flint_peer_new(&cfg);
	l.end_ns = flint_now_ns() + (u64)(atof(argv[3]) * 1e9);
	for (i = 0; i < WORKERS; i++) {
		struct worker *w = &l.w[i];

		w->l = &l;
		w->ino = flint_splitmix64(&l.rng) | 1;
		w->pause.fn = again;
		w->pause.arg = w;
		w->buf = malloc(CHUNK + 8);
		for (j = 0; j < CHUNKS; j++)
			w->model[j] = calloc(1, CHUNK);
		l.running++;
	}
	begin(&l, argv[3]);
	flint_loop_run(l.loop);
	flint_peer_free(l.peer);
	flint_loop_free(l.loop);
	for (i = 0; i < WORKERS; i++) {
		free(l.w[i].buf);
		for (j = 0; j < CHUNKS; j++)
			free(l.w[i].model[j]);
	}
	printf("# %llu reads, %llu writes, %llu punches, %llu cuts, %llu clones, %llu MiB, %llu retries\n",
	       (unsigned long long)l.ops[W_READ], (unsigned long long)l.ops[W_WRITE],
	       (unsigned long long)l.ops[W_PUNCH], (unsigned long long)l.ops[W_CUT],
	       (unsigned long long)l.ops[W_CLONE],
	       (unsigned long long)(l.bytes >> 20), (unsigned long long)l.retries);
	return l.failed;
}
