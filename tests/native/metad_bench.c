// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-metad-bench: how many operations a second a metadata server answers
 * over one connection, with a given number in flight. Makes a file system
 * directory of its own, fills it, looks every name up, lists it, removes it.
 */
#include <stdio.h>
#include <stdlib.h>
#include "../../userd/base/addr.h"
#include "../../userd/base/conf.h"
#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/net/net.h"

struct options {
	char *meta;
	char *key;
	char *fs;
	uint64_t count, depth;
};

#define OFF(m)	offsetof(struct options, m)

static const struct flint_conf_opt opts[] = {
	{ "meta", 'm', FLINT_CONF_STR, OFF(meta), "127.0.0.1:7451", "HOST:PORT",
	  "metadata server (TCP)", 0, 0, FLINT_CONF_CLI },
	{ "key", 'k', FLINT_CONF_STR, OFF(key), FLINT_KEY_FILE, "FILE", "cluster key", 0, 0,
	  FLINT_CONF_CLI },
	{ "fs", 'f', FLINT_CONF_STR, OFF(fs), "default", "NAME", "file system", 0, 0,
	  FLINT_CONF_CLI },
	{ "count", 'n', FLINT_CONF_U64, OFF(count), "10000", "N", "files", 1, 100000000,
	  FLINT_CONF_CLI },
	{ "depth", 'd', FLINT_CONF_U64, OFF(depth), "64", "N", "requests in flight", 1, 1024,
	  FLINT_CONF_CLI },
	{ 0 },
};

static const struct flint_conf_spec spec = {
	.prog = "flint-metad-bench",
	.doc = "Measure creates, lookups and removals a second of a metadata server.",
	.opts = opts,
};

struct bench;

/* One request in flight; its sequence number stays in use until the answer. */
struct slot {
	struct flint_rpc rpc;
	struct bench *b;
	u8 body[512];
	u64 sent_ns;
};

enum phase { CREATE, LOOKUP, GETATTR, UNLINK, NR_PHASES };

static const char *const phase_names[] = { "create", "lookup", "getattr", "unlink" };

struct bench {
	struct flint_loop *loop;
	struct flint_peer *peer;
	struct options o;
	struct slot *slots;
	enum phase phase;
	u64 dir, first_ino;
	u64 next, done, failed;
	u64 seq, low;
	u64 start_ns, lat_sum, lat_max;
	int ret;
};

static void issue(struct slot *s);

static void phase_start(struct bench *b)
{
	u64 i, n = b->o.depth < b->o.count ? b->o.depth : b->o.count;

	b->next = 0;
	b->done = 0;
	b->lat_sum = 0;
	b->lat_max = 0;
	b->start_ns = flint_now_ns();
	for (i = 0; i < n; i++)
		issue(&b->slots[i]);
}

static void phase_end(struct bench *b)
{
	double s = (flint_now_ns() - b->start_ns) / 1e9;

	printf("%-8s depth %4llu  %10.0f /s  mean %7.1f us  max %8.1f us  failed %llu\n",
	       phase_names[b->phase], (unsigned long long)b->o.depth, b->o.count / s,
	       b->lat_sum / 1e3 / b->o.count, b->lat_max / 1e3, (unsigned long long)b->failed);
	if (++b->phase == NR_PHASES)
		flint_loop_stop(b->loop);
	else
		phase_start(b);
}

static void answered(struct flint_rpc *rpc)
{
	struct slot *s = rpc->priv;
	struct bench *b = s->b;
	u64 lat = flint_now_ns() - s->sent_ns;

	if (rpc->err || rpc->status) {
		if (!b->failed++)
			fprintf(stderr, "%s: error %d, status %u\n", phase_names[b->phase],
				rpc->err, rpc->status);
		b->ret = 1;
	}
	b->lat_sum += lat;
	if (lat > b->lat_max)
		b->lat_max = lat;
	b->done++;
	if (b->next < b->o.count)
		issue(s);
	else if (b->done == b->o.count)
		phase_end(b);
}

/* The lowest number in flight. */
static u64 seq_low(struct bench *b)
{
	u64 i, low = b->seq;

	for (i = 0; i < b->o.depth; i++)
		if (b->slots[i].rpc.seq && b->slots[i].rpc.seq < low)
			low = b->slots[i].rpc.seq;
	return low;
}

static u32 name_body(struct slot *s, u64 n)
{
	struct bench *b = s->b;
	char name[32];
	u32 len = snprintf(name, sizeof(name), "file-%08llu.dat", (unsigned long long)n);
	struct flint_mknod mk = {
		.fixed_len = cpu_to_le32(sizeof(mk)), .mode = cpu_to_le32(0100644),
		.parent = cpu_to_le64(b->dir), .name_len = cpu_to_le32(len),
	};
	struct flint_name_req nr = {
		.fixed_len = cpu_to_le32(sizeof(nr)), .parent = cpu_to_le64(b->dir),
		.name_len = cpu_to_le32(len),
	};
	u32 fixed = b->phase == CREATE ? sizeof(mk) : sizeof(nr);

	memcpy(s->body, b->phase == CREATE ? (void *)&mk : (void *)&nr, fixed);
	memcpy(s->body + fixed, name, len);
	return fixed + len;
}

static void issue(struct slot *s)
{
	static const u16 ops[] = { FLINT_OP_MKNOD, FLINT_OP_LOOKUP, FLINT_OP_GETATTR,
				   FLINT_OP_UNLINK };
	struct bench *b = s->b;
	struct flint_ino_req ir = { .ino = cpu_to_le64(b->dir) };

	memset(&s->rpc, 0, sizeof(s->rpc));
	s->rpc.op = ops[b->phase];
	s->rpc.body = s->body;
	if (b->phase == GETATTR) {
		memcpy(s->body, &ir, sizeof(ir));
		s->rpc.body_len = sizeof(ir);
		b->next++;
	} else {
		s->rpc.body_len = name_body(s, b->next++);
	}
	if (b->phase == CREATE || b->phase == UNLINK) {
		s->rpc.seq = ++b->seq;
		s->rpc.seq_low = seq_low(b);
	}
	s->rpc.done = answered;
	s->rpc.priv = s;
	s->sent_ns = flint_now_ns();
	flint_peer_call(b->peer, &s->rpc);
}

static void stop_with(struct bench *b, const char *what, const struct flint_rpc *rpc)
{
	fprintf(stderr, "flint-metad-bench: %s: error %d, status %u\n", what, rpc->err, rpc->status);
	b->ret = 1;
	flint_loop_stop(b->loop);
}

static void dir_made(struct flint_rpc *rpc)
{
	struct bench *b = rpc->priv;
	struct flint_attr a;

	if (rpc->err || rpc->status) {
		stop_with(b, "mkdir", rpc);
		return;
	}
	memcpy(&a, rpc->rep_body, sizeof(a));
	b->dir = le64_to_cpu(a.ino);
	phase_start(b);
}

static void opened(struct flint_rpc *rpc)
{
	struct bench *b = rpc->priv;
	struct slot *s = &b->slots[0];
	struct flint_session_rep rep;
	struct flint_mknod mk = { .fixed_len = cpu_to_le32(sizeof(mk)),
				  .mode = cpu_to_le32(0040755) };
	char name[32];

	if (rpc->err || rpc->status) {
		stop_with(b, "session", rpc);
		return;
	}
	memcpy(&rep, rpc->rep_body, sizeof(rep));
	snprintf(name, sizeof(name), "bench-%llx", (unsigned long long)flint_now_ns());
	mk.parent = rep.root.ino;
	mk.name_len = cpu_to_le32(strlen(name));
	memcpy(s->body, &mk, sizeof(mk));
	memcpy(s->body + sizeof(mk), name, strlen(name));
	memset(rpc, 0, sizeof(*rpc));
	rpc->op = FLINT_OP_MKNOD;
	rpc->seq = ++b->seq;
	rpc->seq_low = b->seq;
	rpc->body = s->body;
	rpc->body_len = sizeof(mk) + strlen(name);
	rpc->done = dir_made;
	rpc->priv = b;
	flint_peer_call(b->peer, rpc);
}

static int run(struct bench *b, const struct sockaddr_storage *addr, const uint8_t *key)
{
	struct flint_peer_config pc = {
		.loop = b->loop, .proto = FLINT_PROTO_TCP, .addr = *addr, .role = FLINT_ROLE_CLIENT,
		.key = key, .name = "bench", .credits = b->o.depth,
	};
	struct flint_session_open so = { .fixed_len = cpu_to_le32(sizeof(so)) };
	struct flint_rpc rpc = { .op = FLINT_OP_SESSION_OPEN, .body = &so, .body_len = sizeof(so),
				 .done = opened, .priv = b };
	u64 i;

	snprintf((char *)so.fs_name, sizeof(so.fs_name), "%s", b->o.fs);
	flint_random(pc.client_id, sizeof(pc.client_id));
	b->slots = calloc(b->o.depth, sizeof(*b->slots));
	b->peer = b->slots ? flint_peer_new(&pc) : NULL;
	if (!b->peer)
		return 1;
	for (i = 0; i < b->o.depth; i++)
		b->slots[i].b = b;
	flint_peer_call(b->peer, &rpc);
	flint_loop_run(b->loop);
	flint_peer_free(b->peer);
	free(b->slots);
	return b->ret;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage addr;
	uint8_t key[FLINT_KEY_LEN];
	struct bench b = { 0 };
	char err[256];
	int ret;

	flint_conf_parse_or_exit(&spec, argc, argv, &b.o, NULL);
	if (flint_addr_parse(b.o.meta, FLINT_PORT_META_TCP, &addr, err, sizeof(err)) ||
	    flint_key_load(b.o.key, key, err, sizeof(err))) {
		fprintf(stderr, "flint-metad-bench: %s\n", err);
		return 2;
	}
	b.loop = flint_loop_new();
	ret = b.loop ? run(&b, &addr, key) : 1;
	flint_loop_free(b.loop);
	flint_conf_free(&spec, &b.o);
	return ret;
}
