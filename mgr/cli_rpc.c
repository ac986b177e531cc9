// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests of the flint command straight to a daemon, over the FlintFS
 * protocol: one connection, one request at a time, waiting for its answer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/addr.h"
#include "../userd/base/daemon.h"
#include "cli_group.h"

struct cli_conn {
	struct flint_loop *loop;
	struct flint_peer *peer;
	struct flint_rpc rpc;
	uint8_t *rep;
	uint32_t rep_room, rep_len;
};

static void on_done(struct flint_rpc *rpc)
{
	struct cli_conn *cn = rpc->priv;

	cn->rep_len = rpc->rep_len < cn->rep_room ? rpc->rep_len : cn->rep_room;
	if (!rpc->err && cn->rep_len)
		memcpy(cn->rep, rpc->rep_body, cn->rep_len);
	flint_loop_stop(cn->loop);
}

struct cli_conn *cli_conn_open(struct cli *c, const struct sockaddr_storage *addr)
{
	struct flint_peer_config cfg = {
		.proto = FLINT_PROTO_TCP, .addr = *addr, .role = FLINT_ROLE_TOOL, .key = c->key,
		.name = "flint", .connect_timeo_ms = 2000,
	};
	struct cli_conn *cn = calloc(1, sizeof(*cn));

	if (!cn)
		return NULL;
	flint_random(cfg.client_id, sizeof(cfg.client_id));
	cn->loop = flint_loop_new();
	cfg.loop = cn->loop;
	cn->peer = cn->loop ? flint_peer_new(&cfg) : NULL;
	if (cn->peer)
		return cn;
	flint_loop_free(cn->loop);
	free(cn);
	return NULL;
}

void cli_conn_close(struct cli_conn *cn)
{
	if (!cn)
		return;
	flint_peer_free(cn->peer);
	flint_loop_free(cn->loop);
	free(cn);
}

/**
 * cli_conn_call() - one request
 * @call: op, bodies and room; results are put into it
 *
 * Return: 0 when it was answered (call->status says what), or -errno: -ENOTCONN
 * or -ETIMEDOUT (nobody answered within call->timeout_ms), -EACCES (another key),
 * -EPROTO (an answer shorter than call->rep_min).
 */
int cli_conn_call(struct cli_conn *cn, struct cli_rpc *call)
{
	cn->rep = call->rep;
	cn->rep_room = call->rep_size;
	cn->rpc = (struct flint_rpc){
		.op = call->op, .timeout_ms = call->timeout_ms ? call->timeout_ms : 3000,
		.body = call->body, .body_len = call->body_len,
		.in = call->in, .in_len = call->in_len, .done = on_done, .priv = cn,
	};
	if (call->rep)
		memset(call->rep, 0, call->rep_size);
	flint_peer_call(cn->peer, &cn->rpc);
	flint_loop_run(cn->loop);
	if (cn->rpc.err)
		return cn->rpc.err;
	call->status = cn->rpc.status;
	call->in_got = cn->rpc.rep_data_len;
	if (!call->status && cn->rep_len < call->rep_min)
		return -EPROTO;
	return 0;
}
