/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request from a target's worker to another chunk server. Connections live on
 * the first worker's loop: the request is handed over to it and its answer back.
 */
#ifndef FLINT_CHUNK_ASK_H
#define FLINT_CHUNK_ASK_H

#include "service.h"

#define CHUNKD_ASK_BODY	160u

/**
 * struct chunkd_ask - one request; zero-initialise
 * @rpc: op, body, out, in, timeout_ms are the caller's; done and priv are not
 * @node: whom to ask
 * @rep, @rep_room: receives the answer's body; what is longer is cut
 * @done: called once, on the loop of @w, with rpc.err, rpc.status and
 *	rpc.rep_data_len set
 *
 * The memory, with all that rpc points to, is the ask's until done.
 */
struct chunkd_ask {
	struct flint_rpc rpc;
	struct chunkd_worker *w;
	u32 node;
	void *rep;
	u32 rep_room, rep_len;
	void (*done)(struct chunkd_ask *a);
	void *priv;
	u8 body[CHUNKD_ASK_BODY];	/* for the caller's request, if it fits */
	struct flint_task task;
};

/* On the loop of a->w. done may be called from here. */
void chunkd_ask(struct chunkd_ask *a);

#endif /* FLINT_CHUNK_ASK_H */
