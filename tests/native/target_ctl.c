// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Speaks FLINT_OP_TARGET_CTL to a chunk server and prints what it answers:
 *
 *	flint-targetctl PORT KEYFILE list|attach PATH|detach ID|format ID PATH [force]
 *
 * One line for each target, "ID FLAGS CHUNKS PATH: MESSAGE", or the refusal and
 * status 1.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include "../../uapi/flintfs/chain.h"
#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/net/net.h"

#define ROOM	16384u

struct ask {
	struct flint_loop *loop;
	u8 body[sizeof(struct flint_target_ctl) + 4096];
	u8 data[ROOM];
	int result;
};

static void print_targets(const u8 *data, u32 len, u32 nr)
{
	u32 at = 0;

	while (nr-- && at + sizeof(struct flint_target_info) <= len) {
		const struct flint_target_info *r = (const void *)(data + at);
		const char *path = (const char *)(r + 1);

		printf("%u %x %u %.*s: %.*s\n", le32_to_cpu(r->target), le32_to_cpu(r->flags),
		       le32_to_cpu(r->chunks), le16_to_cpu(r->path_len), path,
		       le16_to_cpu(r->msg_len), path + le16_to_cpu(r->path_len));
		at += le16_to_cpu(r->rec_len);
	}
}

static void answered(struct flint_rpc *rpc)
{
	const struct flint_target_ctl_rep *rep = rpc->rep_body;
	struct ask *a = rpc->priv;

	if (rpc->err || rpc->status || rpc->rep_len < sizeof(*rep)) {
		printf("no answer: err %d, status %u\n", rpc->err, rpc->status);
		a->result = 2;
	} else if (rep->error) {
		printf("error %u: %.*s\n", le32_to_cpu(rep->error), (int)rpc->rep_data_len,
		       (const char *)a->data);
		a->result = 1;
	} else {
		print_targets(a->data, rpc->rep_data_len, le32_to_cpu(rep->nr));
	}
	flint_loop_stop(a->loop);
}

/* Return: false for words that are none. */
static bool request(struct flint_target_ctl *ctl, int argc, char **argv, const char **path)
{
	*path = "";
	if (argc == 4 && !strcmp(argv[3], "list")) {
		ctl->op = cpu_to_le32(FLINT_TCTL_LIST);
	} else if (argc == 5 && !strcmp(argv[3], "attach")) {
		ctl->op = cpu_to_le32(FLINT_TCTL_ATTACH);
		*path = argv[4];
	} else if (argc == 5 && !strcmp(argv[3], "detach")) {
		ctl->op = cpu_to_le32(FLINT_TCTL_DETACH);
		ctl->target = cpu_to_le32((u32)atoi(argv[4]));
	} else if ((argc == 6 || argc == 7) && !strcmp(argv[3], "format")) {
		ctl->op = cpu_to_le32(FLINT_TCTL_FORMAT);
		ctl->target = cpu_to_le32((u32)atoi(argv[4]));
		ctl->size = cpu_to_le64(64u << 20);
		ctl->flags = cpu_to_le32(argc == 7 ? FLINT_TCTL_FORCE : 0);
		*path = argv[5];
	} else {
		return false;
	}
	return strlen(*path) < 4096;
}

int main(int argc, char **argv)
{
	static struct ask a;
	struct flint_peer_config cfg = { .proto = FLINT_PROTO_TCP, .role = FLINT_ROLE_TOOL,
					 .name = "targetctl", .session_epoch = 1 };
	struct sockaddr_in sa = { .sin_family = AF_INET };
	struct flint_target_ctl ctl = { .fixed_len = cpu_to_le32(sizeof(ctl)),
					.max_len = cpu_to_le32(ROOM) };
	struct flint_rpc rpc = { .op = FLINT_OP_TARGET_CTL, .timeout_ms = 60000,
				 .body = a.body, .in = a.data, .in_len = ROOM,
				 .done = answered, .priv = &a };
	uint8_t key[FLINT_KEY_LEN];
	struct flint_peer *peer;
	char err[256] = "";
	const char *path;

	if (argc < 4 || !request(&ctl, argc, argv, &path) ||
	    flint_key_load(argv[2], key, err, sizeof(err))) {
		fprintf(stderr, "usage: flint-targetctl PORT KEYFILE list|attach PATH|detach ID|format ID PATH [force] %s\n",
			err);
		return 2;
	}
	flint_log_init("flint-targetctl", FLINT_LOG_ERR);
	ctl.path_len = cpu_to_le16((u16)strlen(path));
	memcpy(a.body, &ctl, sizeof(ctl));
	memcpy(a.body + sizeof(ctl), path, strlen(path));
	rpc.body_len = (u32)(sizeof(ctl) + strlen(path));
	sa.sin_port = htons((uint16_t)atoi(argv[1]));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(&cfg.addr, &sa, sizeof(sa));
	flint_random(cfg.client_id, sizeof(cfg.client_id));
	a.loop = flint_loop_new();
	cfg.loop = a.loop;
	cfg.key = key;
	peer = flint_peer_new(&cfg);
	flint_peer_call(peer, &rpc);
	flint_loop_run(a.loop);
	flint_peer_free(peer);
	flint_loop_free(a.loop);
	return a.result;
}
