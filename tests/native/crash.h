/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flint-metad-crash: what the clients (metad_crash.c) and the servers (crash_group.c) share. */
#ifndef FLINT_TEST_CRASH_H
#define FLINT_TEST_CRASH_H

#include <semaphore.h>
#include "../../userd/base/key.h"
#include "../../userd/net/net.h"
#include "../../uapi/flintfs/raft.h"

#define REPLICAS_MAX	5

struct options {
	char *metad, *mgrd, *state, *key, *acts, *keep, *relay;
	uint64_t port, threads, rounds, round_ms, seed, replicas, resume_ms, scale, down_ms;
};

/**
 * struct server - a metadata server that the test runs
 * @down: it is not expected to answer
 * @found: begins the group when it is empty
 * @peer: for questions to it
 * @raft: where the others reach it: the relay's port, if there is one
 */
struct server {
	pid_t pid;
	char state[256], name[16];
	struct sockaddr_storage addr, raft;
	struct flint_peer *peer;
	bool down, found;
};

/**
 * struct test - one run
 * @at: server that answered last
 * @answered_ns, @gap_ms: last answer to a client, and the longest time without one
 */
struct test {
	struct options o;
	uint8_t key[FLINT_KEY_LEN];
	struct flint_loop *loop;
	struct server s[REPLICAS_MAX];
	unsigned int nr;
	volatile unsigned int at;
	volatile bool stop;
	volatile bool failed;
	volatile u64 answered_ns, gap_ms;
	u64 root;
	pid_t relay, mgr;
	char rules[256];
};

struct call {
	struct flint_rpc rpc;
	sem_t sem;
	u8 rep[512];
	u32 rep_len;
};

/* One question to one server. rpc.err, rpc.status and rep say what came. */
void crash_ask(struct call *c, struct flint_peer *peer);

/* Start all servers and make them a group. */
void crash_group_start(struct test *t);
/* Disturb them until the rounds are over. */
void crash_group_disturb(struct test *t);
/*
 * There was no manager until now: start one, and wait until the servers have heard from it that there are
 * no chunk servers. Before that they end no session, as nobody can be told.
 */
void crash_mgr_start(struct test *t);
/* Stop them; their states are whole and equal. */
void crash_group_stop(struct test *t);

#endif /* FLINT_TEST_CRASH_H */
