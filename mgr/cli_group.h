/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replicas as the flint command sees them: the metadata servers or the
 * managers, each asked directly how it is.
 */
#ifndef FLINT_CLI_GROUP_H
#define FLINT_CLI_GROUP_H

#include "../uapi/flintfs/raft.h"
#include "../userd/net/net.h"
#include "cli.h"

/* ---- cli_rpc.c --------------------------------------------------------- */

struct cli_conn;

/**
 * struct cli_rpc - one request and its answer
 * @rep, @rep_size, @rep_min: where the answer's body goes
 * @in, @in_len, @in_got: where its data goes
 * @timeout_ms: 0: 3 s
 */
struct cli_rpc {
	uint16_t op;
	const void *body;
	uint32_t body_len;
	void *rep;
	uint32_t rep_size, rep_min;
	void *in;
	uint32_t in_len, in_got;
	uint32_t timeout_ms;
	uint32_t status;
};

struct cli_conn *cli_conn_open(struct cli *c, const struct sockaddr_storage *addr);
void cli_conn_close(struct cli_conn *cn);
int cli_conn_call(struct cli_conn *cn, struct cli_rpc *call);

/* ---- cli_group.c ------------------------------------------------------- */

#define CLI_NODES_MAX	32

/**
 * struct cli_kind - metadata servers or managers
 * @verb: of the flint command
 * @one: what a replica is called
 * @role: in the API
 * @unit: of systemd
 * @stops: what happens without a majority
 */
struct cli_kind {
	const char *verb;
	const char *one;
	const char *role;
	const char *unit;
	const char *stops;
};

extern const struct cli_kind cli_kind_meta, cli_kind_mgr;

/**
 * struct cli_node - a daemon of the kind
 * @up: as the managers say
 * @err: 0: it answered, and @stat is good
 * @member: index into the group's members, -1: none
 */
struct cli_node {
	char name[FLINT_LABEL_LEN];
	struct sockaddr_storage addr;
	struct flint_addr wire;
	bool has_addr, up;
	int err;
	int member;
	struct flint_raft_stat stat;
	struct flint_raft_stat_member members[16];
	unsigned int nr_members;
};

/**
 * struct cli_group - all of a kind
 * @leader: index of the node that leads, -1: none answers that it does
 * @members, @nr_members: as the leader sees them, or without one whoever has come furthest
 */
struct cli_group {
	struct cli *cli;
	const struct cli_kind *kind;
	struct cli_node nodes[CLI_NODES_MAX];
	unsigned int nr;
	int leader;
	const struct flint_raft_stat_member *members;
	unsigned int nr_members, voters, missing;
};

/* Ask everybody. Return: 0, or -errno with a sentence. */
int cli_group_load(struct cli_group *g, struct cli *c, const struct cli_kind *kind, char *err,
		   size_t errlen);
struct cli_node *cli_group_node(struct cli_group *g, const char *name);
/* Member of this name, NULL: none. */
const struct flint_raft_stat_member *cli_group_member(const struct cli_group *g, const char *name);
bool cli_member_missing(const struct cli_group *g, const struct flint_raft_stat_member *m);

/**
 * cli_group_change() - have the membership changed, and wait for it
 * @req: what
 * @goal: how it is spoken of while it goes on
 * @quiet: no progress
 *
 * Goes on with another leader if it changes meanwhile. Return: 0, or 1 after a message.
 */
int cli_group_change(struct cli_group *g, const struct flint_raft_change_req *req,
		     const char *goal, bool quiet);
/* Fill in whom to add. */
void cli_change_whom(struct flint_raft_change_req *req, const struct cli_node *n);

/* ---- upmember.c -------------------------------------------------------- */

int up_members(struct cli *c, const struct cli_kind *kind, uint64_t want);

#endif /* FLINT_CLI_GROUP_H */
