// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replicas of metadata and of the managers, looked at and changed: the same
 * for both, as both are the same component (userd/raft).
 *
 * Names and addresses come from the managers; what a replica is and has comes
 * from itself. Whatever changes the membership is asked of the leader, which
 * goes on by itself; this command only watches, so it may be interrupted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../userd/base/addr.h"
#include "cli_group.h"

#define CLI_MISSING_MS	4000
#define CLI_POLL_US	150000
#define CLI_CHANGE_MS	600000		/* of no leader or no progress: the leader gives up before */

const struct cli_kind cli_kind_meta = {
	.verb = "meta", .one = "metadata replica", .role = "meta", .unit = "flint-metad",
	.stops = "files from being opened or changed",
};

const struct cli_kind cli_kind_mgr = {
	.verb = "mgr", .one = "manager", .role = "mgr", .unit = "flint-mgrd",
	.stops = "the cluster from changing, and the chunk servers from serving",
};

/* ---- looking ------------------------------------------------------------- */

/* "tcp 192.0.2.1:7451" */
static bool node_address(json_t *node, struct cli_node *n)
{
	char err[CLI_ERR_LEN];
	json_t *a;
	size_t i;

	json_array_foreach(json_object_get(node, "addresses"), i, a) {
		const char *s = json_string_value(a);

		if (!s || strncmp(s, "tcp ", 4) ||
		    flint_addr_parse(s + 4, 0, &n->addr, err, sizeof(err)))
			continue;
		return !flint_addr_to_wire(&n->addr, FLINT_PROTO_TCP, &n->wire);
	}
	return false;
}

/* Ask one replica how it is. */
static void node_ask(struct cli_group *g, struct cli_node *n)
{
	struct cli_conn *cn = n->has_addr ? cli_conn_open(g->cli, &n->addr) : NULL;
	struct cli_rpc call = {
		.op = FLINT_OP_RAFT_STATUS, .rep = &n->stat, .rep_size = sizeof(n->stat),
		.rep_min = sizeof(n->stat), .in = n->members, .in_len = sizeof(n->members),
		.timeout_ms = n->up ? 3000 : 700,
	};
	unsigned int i;

	n->nr_members = 0;
	n->err = cn ? cli_conn_call(cn, &call) : -ENOTCONN;
	if (!n->err && call.status)
		n->err = flint_status_errno(call.status);
	if (!n->err && call.in_got >= n->stat.nr_members * sizeof(*n->members) &&
	    n->stat.nr_members <= 16)
		n->nr_members = n->stat.nr_members;
	for (i = 0; i < n->nr_members; i++)
		n->members[i].name[FLINT_LABEL_LEN - 1] = 0;
	cli_conn_close(cn);
}

/* The leader's view, or that of whoever has come furthest. */
static void group_choose(struct cli_group *g)
{
	const struct cli_node *best = NULL;
	uint64_t best_term = 0;
	unsigned int i, j;

	g->leader = -1;
	for (i = 0; i < g->nr; i++) {
		struct cli_node *n = &g->nodes[i];
		uint64_t term = le64_to_cpu(n->stat.term);

		if (n->err || !n->stat.group)
			continue;
		if (n->stat.role == FLINT_REPLICA_LEADER && (n->stat.flags & FLINT_RAFT_STAT_READY) &&
		    (g->leader < 0 || term > best_term)) {
			g->leader = (int)i;
			best_term = term;
		}
		if (!best || le64_to_cpu(n->stat.commit) > le64_to_cpu(best->stat.commit))
			best = n;
	}
	if (g->leader >= 0)
		best = &g->nodes[g->leader];
	g->members = best ? best->members : NULL;
	g->nr_members = best ? best->nr_members : 0;
	g->voters = 0;
	g->missing = 0;
	for (i = 0; i < g->nr_members; i++) {
		bool voter = g->members[i].flags & FLINT_RAFT_MEMBER_VOTER;

		g->voters += voter;
		g->missing += voter && cli_member_missing(g, &g->members[i]);
	}
	for (i = 0; i < g->nr; i++) {
		g->nodes[i].member = -1;
		for (j = 0; j < g->nr_members; j++)
			if (!strcmp((const char *)g->members[j].name, g->nodes[i].name))
				g->nodes[i].member = (int)j;
	}
}

static void group_ask(struct cli_group *g)
{
	unsigned int i;

	for (i = 0; i < g->nr; i++)
		node_ask(g, &g->nodes[i]);
	group_choose(g);
}

int cli_group_load(struct cli_group *g, struct cli *c, const struct cli_kind *kind, char *err,
		   size_t errlen)
{
	json_t *all = NULL, *node;
	int ret;
	size_t i;

	memset(g, 0, sizeof(*g));
	g->cli = c;
	g->kind = kind;
	g->leader = -1;
	ret = cli_api_call(c, "GET", "/v1/nodes", NULL, &all, err, errlen);
	if (ret)
		return ret;
	json_array_foreach(json_object_get(all, "nodes"), i, node) {
		const char *role = json_string_value(json_object_get(node, "role"));
		const char *name = json_string_value(json_object_get(node, "name"));
		const char *state = json_string_value(json_object_get(node, "state"));
		struct cli_node *n = &g->nodes[g->nr];

		if (!role || !name || !state || strcmp(role, kind->role) || g->nr == CLI_NODES_MAX)
			continue;
		snprintf(n->name, sizeof(n->name), "%s", name);
		n->up = !strcmp(state, "up");
		n->has_addr = node_address(node, n);
		g->nr++;
	}
	json_decref(all);
	group_ask(g);
	return 0;
}

struct cli_node *cli_group_node(struct cli_group *g, const char *name)
{
	unsigned int i;

	for (i = 0; i < g->nr; i++)
		if (!strcmp(g->nodes[i].name, name))
			return &g->nodes[i];
	return NULL;
}

const struct flint_raft_stat_member *cli_group_member(const struct cli_group *g, const char *name)
{
	unsigned int i;

	for (i = 0; i < g->nr_members; i++)
		if (!strcmp((const char *)g->members[i].name, name))
			return &g->members[i];
	return NULL;
}

/* Not in contact with its leader; without one: it does not answer us. */
bool cli_member_missing(const struct cli_group *g, const struct flint_raft_stat_member *m)
{
	unsigned int i;

	if (g->leader >= 0)
		return !(m->flags & (FLINT_RAFT_MEMBER_SELF | FLINT_RAFT_MEMBER_LEADER)) &&
		       le64_to_cpu(m->contact_ms) > CLI_MISSING_MS;
	for (i = 0; i < g->nr; i++)
		if (!strcmp(g->nodes[i].name, (const char *)m->name))
			return g->nodes[i].err || g->nodes[i].stat.id != m->id;
	return true;
}

/* ---- changing -------------------------------------------------------------- */

void cli_change_whom(struct flint_raft_change_req *req, const struct cli_node *n)
{
	memcpy(req->name, n->name, sizeof(req->name));
	req->addr = n->wire;
}

/* Ask the leader to begin. Return: 0 with *@seq, -EAGAIN (no leader), or 1 after a message. */
static int change_begin(struct cli_group *g, const struct flint_raft_change_req *req, uint64_t *seq)
{
	struct flint_raft_change_rep rep;
	struct cli_rpc call = {
		.op = FLINT_OP_RAFT_CHANGE, .body = req, .body_len = sizeof(*req), .rep = &rep,
		.rep_size = sizeof(rep), .rep_min = sizeof(rep),
	};
	struct cli_conn *cn;
	int ret;

	if (g->leader < 0)
		return -EAGAIN;
	cn = cli_conn_open(g->cli, &g->nodes[g->leader].addr);
	ret = cn ? cli_conn_call(cn, &call) : -ENOMEM;
	cli_conn_close(cn);
	if (ret)
		return -EAGAIN;
	*seq = le64_to_cpu(rep.seq);
	switch (call.status) {
	case FLINT_OK:
		return 0;
	case FLINT_ST_NOT_LEADER:
		return -EAGAIN;
	case EBUSY:
		return cli_fail("another change of the %ss is under way: 'flint %s status' tells when it has ended",
				g->kind->one, g->kind->verb);
	default:
		return cli_fail("%s refuses the change (%s): see its log", g->nodes[g->leader].name,
				strerror(-flint_status_errno(call.status)));
	}
}

/* Is what was asked for the case, whoever leads now? */
static bool change_is_so(struct cli_group *g, const struct flint_raft_change_req *req)
{
	const struct flint_raft_stat_member *m = cli_group_member(g, (const char *)req->name);
	const struct cli_node *n = cli_group_node(g, (const char *)req->name);
	unsigned int i;

	switch (req->op) {
	case FLINT_CHANGE_ADD:
	case FLINT_CHANGE_REPLACE:
		if (!m || !(m->flags & FLINT_RAFT_MEMBER_VOTER) || (n && !n->err && n->stat.id != m->id))
			return false;
		for (i = 0; i < g->nr_members && req->op == FLINT_CHANGE_REPLACE; i++)
			if (g->members[i].id == req->id)
				return false;
		return true;
	case FLINT_CHANGE_REMOVE:
		for (i = 0; i < g->nr_members; i++)
			if (g->members[i].id == req->id)
				return false;
		return g->nr_members != 0;
	default:
		return g->leader >= 0 &&
		       (!req->id || g->nodes[g->leader].stat.id == req->id);
	}
}

static void change_tell(const struct cli_group *g, const struct flint_raft_stat *st,
			const char *goal, char *told, size_t len)
{
	char text[256], phase[sizeof(st->change_text) + 1] = "";
	uint64_t cur = le64_to_cpu(st->change_cur), total = le64_to_cpu(st->change_total);

	memcpy(phase, st->change_text, sizeof(st->change_text));
	if (total)
		snprintf(text, sizeof(text), "%s: %s (%llu %%)", goal, phase,
			 (unsigned long long)(cur > total ? 100 : cur * 100 / total));
	else
		snprintf(text, sizeof(text), "%s: %s", goal, phase[0] ? phase : "under way");
	if (strcmp(text, told)) {
		fprintf(stderr, "%s\n", text);
		snprintf(told, len, "%s", text);
	}
}

/* Look once how the change goes. Return: 0 done, 1 failed after a message, -EAGAIN go on. */
static int change_look(struct cli_group *g, const struct flint_raft_change_req *req, uint64_t seq,
		       const char *goal, char *told, size_t len, bool quiet)
{
	const struct flint_raft_stat *st = g->leader >= 0 ? &g->nodes[g->leader].stat : NULL;

	if (st && le64_to_cpu(st->change_seq) == seq && st->change_state == FLINT_CHANGE_FAILED)
		return cli_fail("%s did not succeed: %.128s", goal, (const char *)st->change_text);
	if (st && st->change_state != FLINT_CHANGE_RUNNING && change_is_so(g, req))
		return 0;
	if (st && !quiet && le64_to_cpu(st->change_seq) == seq &&
	    st->change_state == FLINT_CHANGE_RUNNING)
		change_tell(g, st, goal, told, len);
	return -EAGAIN;
}

int cli_group_change(struct cli_group *g, const struct flint_raft_change_req *req,
		     const char *goal, bool quiet)
{
	uint64_t seq = 0, begin = flint_now_ns();
	char told[256] = "";
	int leader = -1, ret;

	for (;;) {
		/* A leader that is new has not heard of it. */
		if (g->leader >= 0 && g->leader != leader) {
			if (leader >= 0 && change_is_so(g, req))
				return 0;
			ret = change_begin(g, req, &seq);
			if (ret > 0)
				return ret;
			if (!ret)
				leader = g->leader;
		}
		usleep(CLI_POLL_US);
		group_ask(g);
		if (leader >= 0) {
			ret = change_look(g, req, seq, goal, told, sizeof(told), quiet);
			if (ret >= 0)
				return ret;
		}
		if ((flint_now_ns() - begin) / 1000000 > CLI_CHANGE_MS)
			return cli_fail("%s: no leader has done it within %d minutes; 'flint %s status' tells how things are",
					goal, CLI_CHANGE_MS / 60000, g->kind->verb);
	}
}
