// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many clients at the head of a chain, all at once:
 *
 *	flint-chunkcrowd PORT KEYFILE CHAIN VERSION TARGET read
 *		each reads the chunk that `flint-chunkclone ... fill` has written, again and again
 *	... fill	each writes new chunks until there is no space left, and on; another one
 *			makes and removes small files
 *
 * Exit status 0: every request was answered, with success or, of fill, with ENOSPC.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/net/net.h"

#define CLIENTS		8u
#define AT_ONCE		20u
#define READS		60u		/* of each client */
#define WRITES_AT_ONCE	4u
#define SMALL_FILES	300u		/* come and go when there is no space left */
#define READ_INO	0x7000000000000001ull
#define READ_SIZE	300000u
#define SIZE		(1u << 20)
#define SMALL		4096u

struct client;

struct ask {
	struct flint_rpc rpc;
	struct client *c;
	union {
		struct flint_io io;
		struct flint_cut cut;
	} body;
	u8 *back;
	bool open;
};

struct client {
	struct flint_loop *loop;
	struct flint_peer *peer;
	struct ask asks[AT_ONCE];
	u64 ino, seq;
	u32 nr, open, index, did, refused;
	bool small;			/* one small file after the other */
};

static struct client clients[CLIENTS + 1];
static u32 chain, ver, target, running;
static u32 enough;		/* when the one with the small files has done so much; 0: there is space */
static u8 data[SIZE];
static bool filling;

static void go_on(struct client *c);

static u64 seq_low(const struct client *c)
{
	u64 low = c->seq;
	u32 i;

	for (i = 0; i < c->nr; i++)
		if (c->asks[i].open && c->asks[i].rpc.seq && c->asks[i].rpc.seq < low)
			low = c->asks[i].rpc.seq;
	return low;
}

static void answered(struct flint_rpc *rpc)
{
	struct ask *a = rpc->priv;
	struct client *c = a->c;

	a->open = false;
	c->open--;
	c->did++;
	if (rpc->err || (rpc->status && !(filling && rpc->status == ENOSPC))) {
		printf("operation %x: error %d, status %u\n", rpc->op, rpc->err, rpc->status);
		exit(1);
	}
	c->refused += rpc->status == ENOSPC;
	if (rpc->status == ENOSPC && !enough)
		enough = clients[CLIENTS].did + 2 * SMALL_FILES;
	go_on(c);
}

static void start(struct ask *a, u16 op, u32 len)
{
	struct client *c = a->c;

	a->rpc = (struct flint_rpc){ .op = op, .timeout_ms = 30000, .body = &a->body,
				     .body_len = sizeof(a->body.io), .done = answered, .priv = a };
	a->open = true;
	c->open++;
	if (op == FLINT_OP_CUT) {
		a->rpc.body_len = sizeof(a->body.cut);
		a->body.cut = (struct flint_cut){
			.chain = cpu_to_le32(chain), .chain_ver = cpu_to_le32(ver),
			.target = cpu_to_le32(target), .fs = cpu_to_le32(1),
			.ino = cpu_to_le64(c->ino), .gen = cpu_to_le32(1), .chunk_shift = 20,
			.flags = cpu_to_le32(FLINT_CUT_REMOVE),
		};
	} else {
		a->body.io = (struct flint_io){
			.chain = cpu_to_le32(chain), .chain_ver = cpu_to_le32(ver),
			.target = cpu_to_le32(target), .fs = cpu_to_le32(1),
			.ino = cpu_to_le64(c->ino), .gen = cpu_to_le32(1),
			.index = cpu_to_le32(c->index), .length = cpu_to_le32(len),
			.chunk_shift = 20,
		};
	}
	if (op == FLINT_OP_WRITE) {
		a->rpc.out = data;
		a->rpc.out_len = len;
		a->rpc.seq = ++c->seq;
		a->rpc.seq_low = seq_low(c);
	} else if (op == FLINT_OP_READ) {
		a->rpc.in = a->back;
		a->rpc.in_len = len;
	}
	flint_peer_call(c->peer, &a->rpc);
}

/* A file of one small chunk is made, or removed, as long as the others write. */
static void small_step(struct client *c)
{
	if (!running) {
		flint_loop_stop(c->loop);
		return;
	}
	if (c->did % 2) {
		start(&c->asks[0], FLINT_OP_CUT, 0);
		return;
	}
	c->ino++;
	start(&c->asks[0], FLINT_OP_WRITE, SMALL);
}

static bool wants_more(const struct client *c)
{
	if (filling)
		return !enough || clients[CLIENTS].did < enough;
	return c->did + c->open < READS;
}

static void go_on(struct client *c)
{
	u32 i;

	if (c->small) {
		small_step(c);
		return;
	}
	for (i = 0; i < c->nr && wants_more(c); i++) {
		if (c->asks[i].open)
			continue;
		if (!filling) {
			start(&c->asks[i], FLINT_OP_READ, READ_SIZE);
			continue;
		}
		c->index++;
		start(&c->asks[i], FLINT_OP_WRITE, SIZE);
	}
	if (!c->open && !--running && !filling)
		flint_loop_stop(c->loop);
}

static void client_begin(struct client *c, u32 i, struct flint_peer_config *cfg)
{
	u32 k;

	flint_random(cfg->client_id, sizeof(cfg->client_id));
	c->loop = cfg->loop;
	c->peer = flint_peer_new(cfg);
	c->nr = i == CLIENTS ? 1 : filling ? WRITES_AT_ONCE : AT_ONCE;
	c->small = i == CLIENTS;
	c->ino = filling ? READ_INO + ((u64)i + 1) * 0x1000000 : READ_INO;
	for (k = 0; k < c->nr; k++) {
		c->asks[k].c = c;
		c->asks[k].back = filling ? NULL : malloc(READ_SIZE);
	}
	go_on(c);
}

int main(int argc, char **argv)
{
	struct flint_peer_config cfg = { .proto = FLINT_PROTO_TCP, .role = FLINT_ROLE_TOOL,
					 .name = "chunkcrowd", .session_epoch = 1 };
	struct sockaddr_in sa = { .sin_family = AF_INET };
	uint8_t key[FLINT_KEY_LEN];
	char err[256] = "";
	u32 i, k, nr, did = 0, refused = 0;

	if (argc < 7 || flint_key_load(argv[2], key, err, sizeof(err))) {
		fprintf(stderr, "usage: flint-chunkcrowd PORT KEYFILE CHAIN VERSION TARGET read|fill %s\n",
			err);
		return 2;
	}
	flint_log_init("flint-chunkcrowd", FLINT_LOG_ERR);
	chain = (u32)atoi(argv[3]);
	ver = (u32)atoi(argv[4]);
	target = (u32)atoi(argv[5]);
	filling = !strcmp(argv[6], "fill");
	flint_random(data, sizeof(data));
	sa.sin_port = htons((uint16_t)atoi(argv[1]));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(&cfg.addr, &sa, sizeof(sa));
	cfg.loop = flint_loop_new();
	cfg.key = key;
	running = CLIENTS;
	nr = CLIENTS + filling;
	for (i = 0; i < nr; i++)
		client_begin(&clients[i], i, &cfg);
	flint_loop_run(cfg.loop);
	for (i = 0; i < nr; i++) {
		did += clients[i].did;
		refused += clients[i].refused;
	}
	printf("%u requests were answered, %u of them with ENOSPC; %u small files came and went\n",
	       did, refused, clients[CLIENTS].did / 2);
	for (i = 0; i < nr; i++) {
		flint_peer_free(clients[i].peer);
		for (k = 0; k < clients[i].nr; k++)
			free(clients[i].asks[k].back);
	}
	flint_loop_free(cfg.loop);
	return 0;
}
