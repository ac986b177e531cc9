// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes of single chunks, told to the head of a chain:
 *
 *	flint-chunkclone PORT KEYFILE CHAIN VERSION TARGET clone
 *		writes a chunk, clones it, changes the source, and reads the clone back
 *	... fill	writes a chunk whose blocks say which they are
 *	... change N	changes a part of its block N
 *	... check N	it is what was written, with the changed blocks up to N, of a multiple of 4
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/net/net.h"

#define SIZE	300000u
#define INO	0x7000000000000001ull
#define BLOCK	16384u		/* of the store, with the checksum blocks that it has by default */

struct ask {
	struct flint_loop *loop;
	struct flint_peer *peer;
	u32 chain, ver, target;
	u64 seq;
	u8 *data, *back;
	u32 got;
};

static void answered(struct flint_rpc *rpc)
{
	struct ask *a = rpc->priv;

	a->got = rpc->rep_data_len;
	flint_loop_stop(a->loop);
}

static void call(struct ask *a, u16 op, struct flint_clone *b, u32 index, u32 off, u32 len)
{
	struct flint_rpc rpc = { .op = op, .timeout_ms = 20000, .body = b, .done = answered,
				 .priv = a };

	b->dst = (struct flint_io){
		.chain = cpu_to_le32(a->chain), .chain_ver = cpu_to_le32(a->ver),
		.target = cpu_to_le32(a->target), .fs = cpu_to_le32(1), .ino = cpu_to_le64(INO),
		.gen = cpu_to_le32(1), .index = cpu_to_le32(index), .offset = cpu_to_le32(off),
		.length = cpu_to_le32(len), .chunk_shift = 20,
	};
	rpc.body_len = op == FLINT_OP_CLONE ? sizeof(*b) : sizeof(b->dst);
	if (op == FLINT_OP_WRITE) {
		rpc.out = a->data;
		rpc.out_len = len;
	} else if (op == FLINT_OP_READ) {
		rpc.in = a->back;
		rpc.in_len = len;
	}
	if (op != FLINT_OP_READ)
		rpc.seq = rpc.seq_low = ++a->seq;
	flint_peer_call(a->peer, &rpc);
	flint_loop_run(a->loop);
	if (rpc.err || rpc.status) {
		printf("operation %x of chunk %u: error %d, status %u\n", op, index, rpc.err,
		       rpc.status);
		exit(1);
	}
}

/* The chunk as it was filled. */
static void filled(u8 *p)
{
	char text[32];
	u32 i, n;

	for (i = 0; i < SIZE; i++) {
		n = (u32)snprintf(text, sizeof(text), "block %02u of the chunk\n", i / BLOCK);
		p[i] = (u8)text[i % BLOCK % n];
	}
}

static void changed(u8 *p, u32 block)
{
	memset(p + block * BLOCK + 100, 'x', 5000);
}

static void fill(struct ask *a)
{
	struct flint_clone b = { 0 };

	filled(a->data);
	call(a, FLINT_OP_WRITE, &b, 0, 0, SIZE);
}

static void change(struct ask *a, u32 block)
{
	struct flint_clone b = { 0 };

	memset(a->data, 'x', 5000);
	call(a, FLINT_OP_WRITE, &b, 0, block * BLOCK + 100, 5000);
}

static void check(struct ask *a, u32 last)
{
	struct flint_clone b = { 0 };
	u32 i;

	filled(a->data);
	for (i = 4; i <= last; i += 4)
		changed(a->data, i);
	call(a, FLINT_OP_READ, &b, 0, 0, SIZE);
	if (a->got == SIZE && !memcmp(a->back, a->data, SIZE))
		return;
	printf("the chunk is not what was written\n");
	exit(1);
}

static void clone(struct ask *a)
{
	struct flint_clone b = { .src_ino = cpu_to_le64(INO), .src_gen = cpu_to_le32(1),
				 .src_index = cpu_to_le32(0) };
	u8 *first = malloc(SIZE);

	flint_random(a->data, SIZE);
	memcpy(first, a->data, SIZE);
	call(a, FLINT_OP_WRITE, &b, 0, 0, SIZE);
	call(a, FLINT_OP_CLONE, &b, 1, 0, 0);
	flint_random(a->data, SIZE);
	call(a, FLINT_OP_WRITE, &b, 0, 5000, 100000);
	call(a, FLINT_OP_READ, &b, 1, 0, SIZE);
	if (a->got != SIZE || memcmp(a->back, first, SIZE)) {
		printf("the clone is not what the source was\n");
		exit(1);
	}
	free(first);
}

int main(int argc, char **argv)
{
	struct flint_peer_config cfg = { .proto = FLINT_PROTO_TCP, .role = FLINT_ROLE_TOOL,
					 .name = "chunkclone", .session_epoch = 1 };
	struct sockaddr_in sa = { .sin_family = AF_INET };
	uint8_t key[FLINT_KEY_LEN];
	struct ask a = { 0 };
	char err[256] = "";
	u32 block;

	if (argc < 7 || flint_key_load(argv[2], key, err, sizeof(err))) {
		fprintf(stderr, "usage: flint-chunkclone PORT KEYFILE CHAIN VERSION TARGET clone|fill|change|check [N] %s\n",
			err);
		return 2;
	}
	block = argc > 7 ? (u32)atoi(argv[7]) % (SIZE / BLOCK) : 0;
	flint_log_init("flint-chunkclone", FLINT_LOG_ERR);
	a.chain = (u32)atoi(argv[3]);
	a.ver = (u32)atoi(argv[4]);
	a.target = (u32)atoi(argv[5]);
	a.data = malloc(SIZE);
	a.back = malloc(SIZE);
	sa.sin_port = htons((uint16_t)atoi(argv[1]));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(&cfg.addr, &sa, sizeof(sa));
	flint_random(cfg.client_id, sizeof(cfg.client_id));
	a.loop = flint_loop_new();
	cfg.loop = a.loop;
	cfg.key = key;
	a.peer = flint_peer_new(&cfg);
	if (!strcmp(argv[6], "clone"))
		clone(&a);
	else if (!strcmp(argv[6], "fill"))
		fill(&a);
	else if (!strcmp(argv[6], "change"))
		change(&a, block);
	else
		check(&a, block);
	flint_peer_free(a.peer);
	flint_loop_free(a.loop);
	free(a.data);
	free(a.back);
	return 0;
}
