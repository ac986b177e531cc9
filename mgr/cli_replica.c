// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint meta and flint mgr: status, add, remove, replace, transfer, restart of
 * replicas. One implementation for both kinds; Documentation/operations.rst
 * tells when to use which.
 *
 * What changes the membership says first what will happen and which losses
 * are tolerated afterwards, and asks; --yes answers, --dry-run only says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../userd/base/addr.h"
#include "../userd/base/conf.h"
#include "../userd/net/net.h"
#include "cli_group.h"

#define CLI_CATCH_UP_MS	120000

/* ---- status ---------------------------------------------------------------- */

static const char * const roles[] = { "standby", "learner", "follower", "candidate", "leader" };

static const char *node_state(const struct cli_node *n)
{
	if (n->err)
		return n->err == -EACCES ? "other key" : "no answer";
	if (n->stat.flags & FLINT_RAFT_STAT_REMOVED)
		return "removed";
	return n->stat.role < 5 ? roles[n->stat.role] : "unknown";
}

static uint64_t group_last(const struct cli_group *g)
{
	uint64_t last = 0;
	unsigned int i;

	for (i = 0; i < g->nr; i++)
		if (!g->nodes[i].err && le64_to_cpu(g->nodes[i].stat.commit) > last)
			last = le64_to_cpu(g->nodes[i].stat.commit);
	return last;
}

static uint64_t node_behind(const struct cli_group *g, const struct cli_node *n)
{
	uint64_t last = group_last(g), at = le64_to_cpu(n->stat.applied);

	return !n->err && last > at ? last - at : 0;
}

static void risk_words(const struct cli_kind *k, unsigned int voters, unsigned int missing,
		       char *out, size_t len)
{
	unsigned int spare = voters ? (voters - 1) / 2 : 0;

	if (missing > spare)
		snprintf(out, len, "too few are left, which stops %s", k->stops);
	else if (missing == spare && voters == 1)
		snprintf(out, len, "its loss stops %s", k->stops);
	else if (missing == spare)
		snprintf(out, len, "the loss of one more stops %s", k->stops);
	else
		snprintf(out, len, "%u may be lost", spare - missing);
}

/* Return: is all well? */
static bool group_head(struct cli_group *g, char *out, size_t len)
{
	char risk[160];

	risk_words(g->kind, g->voters, g->missing, risk, sizeof(risk));
	if (!g->nr_members)
		snprintf(out, len, "no %s answers as a member of a group", g->kind->one);
	else if (g->leader < 0)
		snprintf(out, len, "%u %s%s, NO LEADER: %u of %u must be up and reach each other",
			 g->voters, g->kind->one, g->voters == 1 ? "" : "s", g->voters / 2 + 1,
			 g->voters);
	else
		snprintf(out, len, "%u %s%s, %s leads (term %llu), %u missing: %s", g->voters,
			 g->kind->one, g->voters == 1 ? "" : "s", g->nodes[g->leader].name,
			 (unsigned long long)le64_to_cpu(g->nodes[g->leader].stat.term),
			 g->missing, risk);
	return g->nr_members && g->leader >= 0 && !g->missing;
}

static json_t *node_json(const struct cli_group *g, const struct cli_node *n)
{
	json_t *j = json_pack("{s:s, s:s, s:b, s:b}", "name", n->name, "state", node_state(n),
			      "member", n->member >= 0, "answers", !n->err);
	bool voter = n->member >= 0 && (g->members[n->member].flags & FLINT_RAFT_MEMBER_VOTER);

	json_object_set_new(j, "voter", json_boolean(voter));
	if (n->err)
		return j;
	json_object_update_new(j,
		json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id",
			  json_sprintf("%016llx", (unsigned long long)le64_to_cpu(n->stat.id)), "term",
			  (json_int_t)le64_to_cpu(n->stat.term), "commit",
			  (json_int_t)le64_to_cpu(n->stat.commit), "applied",
			  (json_int_t)le64_to_cpu(n->stat.applied), "behind",
			  (json_int_t)node_behind(g, n), "log_bytes",
			  (json_int_t)le64_to_cpu(n->stat.log_bytes), "fsync_us_avg",
			  (json_int_t)le64_to_cpu(n->stat.fsync_us_avg), "fsync_us_max",
			  (json_int_t)le64_to_cpu(n->stat.fsync_us_max)));
	return j;
}

static void status_json(struct cli_group *g, const char *head, bool well)
{
	json_t *list = json_array(), *out, *change = json_null();
	unsigned int i;

	for (i = 0; i < g->nr; i++)
		json_array_append_new(list, node_json(g, &g->nodes[i]));
	if (g->leader >= 0 && g->nodes[g->leader].stat.change_state == FLINT_CHANGE_RUNNING)
		change = json_stringn((const char *)g->nodes[g->leader].stat.change_text,
				      strnlen((const char *)g->nodes[g->leader].stat.change_text,
					      sizeof(g->nodes[g->leader].stat.change_text)));
	out = json_pack("{s:b, s:s, s:o, s:i, s:i, s:i, s:o, s:o}", "healthy", well, "summary", head,
			"leader", g->leader < 0 ? json_null()
						: json_string(g->nodes[g->leader].name),
			"voters", (int)g->voters, "missing", (int)g->missing, "tolerates",
			g->voters ? (int)((g->voters - 1) / 2) - (int)g->missing : 0, "change",
			change ? change : json_null(), "replicas", list);
	cli_print_json(out);
	json_decref(out);
}

static void status_row(const struct cli_group *g, const struct cli_node *n)
{
	char log[32] = "-", disk[32] = "-", applied[24] = "-", behind[24] = "-";

	if (!n->err) {
		flint_size_format(le64_to_cpu(n->stat.log_bytes), log, sizeof(log));
		if (n->stat.fsync_us_avg)
			snprintf(disk, sizeof(disk), "%.1f ms", le64_to_cpu(n->stat.fsync_us_avg) / 1e3);
		snprintf(applied, sizeof(applied), "%llu",
			 (unsigned long long)le64_to_cpu(n->stat.applied));
		snprintf(behind, sizeof(behind), "%llu", (unsigned long long)node_behind(g, n));
	}
	printf("%-16s %-10s %-7s %12s %8s %10s %9s\n", n->name, node_state(n),
	       n->member < 0 ? "no" : g->members[n->member].flags & FLINT_RAFT_MEMBER_VOTER
	       ? "voter" : "learner", applied, behind, log, disk);
}

static void status_words(struct cli_group *g, const char *head)
{
	unsigned int i;

	printf("%s\n", head);
	if (g->leader >= 0 && g->nodes[g->leader].stat.change_state == FLINT_CHANGE_RUNNING)
		printf("under way: %.128s\n", (const char *)g->nodes[g->leader].stat.change_text);
	printf("%-16s %-10s %-7s %12s %8s %10s %9s\n", "NAME", "STATE", "MEMBER", "APPLIED", "BEHIND",
	       "LOG", "FSYNC");
	for (i = 0; i < g->nr; i++)
		status_row(g, &g->nodes[i]);
	/* Members that no node answers for: of wiped or forgotten machines. */
	for (i = 0; i < g->nr_members; i++) {
		const struct cli_node *n = cli_group_node(g, (const char *)g->members[i].name);

		if (!n)
			printf("%-16s %-10s %-7s\n", (const char *)g->members[i].name, "unknown",
			       "member");
		else if (!n->err && n->stat.id != g->members[i].id)
			printf("%s was emptied: it is no longer the member of that name; 'flint %s replace %s' takes it in again\n",
			       n->name, g->kind->verb, n->name);
	}
}

static int group_get(struct cli_group *g, struct cli *c, const struct cli_kind *kind)
{
	char err[CLI_ERR_LEN];

	if (cli_group_load(g, c, kind, err, sizeof(err)))
		return cli_fail("%s", err);
	return 0;
}

static int replica_status(struct cli *c, const struct cli_kind *kind)
{
	static struct cli_group g;
	char head[512];
	bool well;

	if (group_get(&g, c, kind))
		return 1;
	well = group_head(&g, head, sizeof(head));
	if (cli_opt(c, CLI_OPT_JSON))
		status_json(&g, head, well);
	else
		status_words(&g, head);
	return well ? 0 : 1;
}

/* ---- asking first ------------------------------------------------------------ */

/* Say what follows and ask. Return: 0 go on, 1 after a message, 2: --dry-run, nothing to do. */
int cli_confirm(struct cli *c, const char *what)
{
	char line[16];

	if (!cli_opt(c, CLI_OPT_JSON) || cli_opt(c, CLI_OPT_DRY_RUN))
		fprintf(stderr, "%s\n", what);
	if (cli_opt(c, CLI_OPT_DRY_RUN)) {
		fprintf(stderr, "nothing was done (--dry-run)\n");
		return 2;
	}
	if (cli_opt(c, CLI_OPT_YES))
		return 0;
	if (!isatty(STDIN_FILENO))
		return cli_fail("say --yes to go on");
	fprintf(stderr, "go on? [y/N] ");
	if (!fgets(line, sizeof(line), stdin) || (line[0] != 'y' && line[0] != 'Y'))
		return cli_fail("nothing was done");
	return 0;
}

static int finish(struct cli *c, const struct cli_kind *kind, const char *done)
{
	static struct cli_group g;
	char head[512], err[CLI_ERR_LEN];

	if (cli_opt(c, CLI_OPT_JSON)) {
		printf("{\"done\": true}\n");
		return 0;
	}
	printf("%s\n", done);
	if (!cli_group_load(&g, c, kind, err, sizeof(err))) {
		group_head(&g, head, sizeof(head));
		printf("%s\n", head);
	}
	return 0;
}

/* A leader is needed. Return: 0 or 1 after a message. */
static int need_leader(struct cli_group *g)
{
	if (g->leader >= 0)
		return 0;
	return cli_fail("no %s leads, so nothing can be changed: %u of the %u must be up and reach each other; if they are lost for good see 'flint %s rescue --help'",
			g->kind->one, g->voters / 2 + 1, g->voters, g->kind->verb);
}

/* ---- add, remove, replace, transfer -------------------------------------------- */

/* A node that could become a member. Return: it, or NULL after a message. */
static struct cli_node *candidate(struct cli_group *g, const char *name)
{
	struct cli_node *n = cli_group_node(g, name);

	if (!n) {
		cli_fail("no %s called %s has reported: start %s there with an empty state directory%s first",
			 g->kind->one, name, g->kind->unit,
			 g->kind == &cli_kind_mgr ? " and --join" : "");
		return NULL;
	}
	if (n->err) {
		cli_fail("%s does not answer (%s): start %s there, or look at its log", name,
			 strerror(-n->err), g->kind->unit);
		return NULL;
	}
	return n;
}

static int replica_add(struct cli *c, const struct cli_kind *kind)
{
	struct flint_raft_change_req req = { .op = FLINT_CHANGE_ADD };
	static struct cli_group g;
	const struct flint_raft_stat_member *m;
	char what[512], goal[128], risk[160];
	const char *name = c->words[0];
	struct cli_node *n;
	int ret;

	if (group_get(&g, c, kind) || need_leader(&g))
		return 1;
	n = candidate(&g, name);
	if (!n)
		return 1;
	m = cli_group_member(&g, name);
	if (m && m->id == n->stat.id && (m->flags & FLINT_RAFT_MEMBER_VOTER))
		return finish(c, kind, "it is a member already");
	if (m && m->id != n->stat.id)
		return cli_fail("a member called %s is there already, and %s was emptied since: 'flint %s replace %s' takes it in again",
				name, name, kind->verb, name);
	if (n->stat.group && !m)
		return cli_fail("%s holds the state of another group or was removed: stop it, empty its state directory, start it again",
				name);
	if (g.voters + 1 > 7)
		return cli_fail("there are %u %ss already: more than seven make every change slower and nothing safer",
				g.voters, kind->one);
	risk_words(kind, g.voters + 1, g.missing, risk, sizeof(risk));
	snprintf(what, sizeof(what),
		 "%s gets a copy of the state from the leader %s and then votes. Afterwards there are %u: %s.%s",
		 name, g.nodes[g.leader].name, g.voters + 1, risk,
		 (g.voters + 1) % 2 ? "" : " An even number tolerates no more than one less: add another.");
	if (cli_opt(c, CLI_OPT_DRY_RUN))
		return cli_confirm(c, what) == 1;
	if (!cli_opt(c, CLI_OPT_JSON))
		fprintf(stderr, "%s\n", what);
	cli_change_whom(&req, n);
	snprintf(goal, sizeof(goal), "adding %s", name);
	ret = cli_group_change(&g, &req, goal, cli_opt(c, CLI_OPT_JSON));
	snprintf(goal, sizeof(goal), "%s is a member now", name);
	return ret ? ret : finish(c, kind, goal);
}

/* Would the others still be enough? Return: 0, or 1 after a loud explanation. */
static int majority_stays(struct cli_group *g, const struct flint_raft_stat_member *m, bool force)
{
	bool voter = m->flags & FLINT_RAFT_MEMBER_VOTER;
	unsigned int voters = g->voters - voter, alive;

	alive = g->voters - g->missing - (voter && !cli_member_missing(g, m));
	if (!voters)
		return cli_fail("%s is the last %s: without it the state would be gone; 'flint down' or systemctl stops it",
				(const char *)m->name, g->kind->one);
	if (alive >= voters / 2 + 1)
		return 0;
	if (force) {
		fprintf(stderr, "flint: warning: of the %u %ss that remain %u answer, fewer than the %u that are needed: until more come back, this stops %s\n",
			voters, g->kind->one, alive, voters / 2 + 1, g->kind->stops);
		return 0;
	}
	return cli_fail("refused: of the %u %ss that remain only %u answer, fewer than the %u that are needed. Removing %s now stops %s. Bring the missing ones back first; --force does it all the same",
			voters, g->kind->one, alive, voters / 2 + 1, (const char *)m->name,
			g->kind->stops);
}

/* The node is not needed in the map any more. What fails is only untidy. */
static void forget_node(struct cli *c, const struct cli_kind *kind, const char *name)
{
	char err[CLI_ERR_LEN];
	json_t *out = NULL;
	int tries;

	/* The map may still call it the leader for a moment. */
	for (tries = 0; tries < 10; tries++) {
		if (!cli_api_call(c, "POST", "/v1/nodes",
				  json_pack("{s:s, s:s}", "remove", name, "role", kind->role), &out,
				  err, sizeof(err))) {
			json_decref(out);
			return;
		}
		usleep(300000);
	}
	fprintf(stderr, "flint: warning: %s stays in the map for now: %s\n", name, err);
}

static int replica_remove(struct cli *c, const struct cli_kind *kind)
{
	struct flint_raft_change_req req = { .op = FLINT_CHANGE_REMOVE };
	const struct flint_raft_stat_member *m;
	static struct cli_group g;
	char what[640], goal[128], risk[160];
	const char *name = c->words[0];
	bool voter, gone;
	int ret;

	if (group_get(&g, c, kind) || need_leader(&g))
		return 1;
	m = cli_group_member(&g, name);
	if (!m) {
		if (!cli_group_node(&g, name))
			return cli_fail("there is no %s called %s: 'flint %s status' lists them", kind->one,
					name, kind->verb);
		forget_node(c, kind, name);
		return finish(c, kind, "it is no member");
	}
	if (majority_stays(&g, m, cli_opt(c, CLI_OPT_FORCE)))
		return 1;
	voter = m->flags & FLINT_RAFT_MEMBER_VOTER;
	gone = cli_member_missing(&g, m);
	risk_words(kind, g.voters - voter, g.missing - (voter && gone), risk, sizeof(risk));
	snprintf(what, sizeof(what),
		 "%s will be no member any more and its copy of the state worthless: stop %s there and empty its state directory. Afterwards there are %u: %s.",
		 name, kind->unit, g.voters - voter, risk);
	ret = cli_confirm(c, what);
	if (ret)
		return ret == 1;
	req.id = m->id;
	memcpy(req.name, m->name, sizeof(req.name));
	snprintf(goal, sizeof(goal), "removing %s", name);
	ret = cli_group_change(&g, &req, goal, cli_opt(c, CLI_OPT_JSON));
	if (ret)
		return ret;
	forget_node(c, kind, name);
	snprintf(goal, sizeof(goal), "%s is a member no longer", name);
	return finish(c, kind, goal);
}

static int replica_replace(struct cli *c, const struct cli_kind *kind)
{
	struct flint_raft_change_req req = { .op = FLINT_CHANGE_REPLACE };
	const char *old = c->words[0], *name = c->nr_words > 1 ? c->words[1] : c->words[0];
	const struct flint_raft_stat_member *m;
	static struct cli_group g;
	char what[640], goal[256];
	struct cli_node *n;
	int ret;

	if (group_get(&g, c, kind) || need_leader(&g))
		return 1;
	m = cli_group_member(&g, old);
	if (!m)
		return cli_fail("there is no member called %s: 'flint %s status' lists them", old,
				kind->verb);
	n = candidate(&g, name);
	if (!n)
		return 1;
	if (n->stat.id == m->id)
		return cli_fail("%s still has its state: to replace it by itself, stop it, empty its state directory and start it again%s first",
				name, kind == &cli_kind_mgr ? " with --join" : "");
	if (n->stat.group && cli_group_member(&g, name) != m)
		return cli_fail("%s is a member already or holds the state of another group", name);
	snprintf(what, sizeof(what),
		 "%s%s gets a copy of the state from the leader %s and votes in place of %s, whose copy is worthless then.",
		 name, strcmp(old, name) ? "" : " (emptied)", g.nodes[g.leader].name, old);
	ret = cli_confirm(c, what);
	if (ret)
		return ret == 1;
	cli_change_whom(&req, n);
	req.id = m->id;
	snprintf(goal, sizeof(goal), "replacing %s by %s", old,
		 strcmp(old, name) ? name : "its emptied self");
	ret = cli_group_change(&g, &req, goal, cli_opt(c, CLI_OPT_JSON));
	if (ret)
		return ret;
	if (strcmp(old, name))
		forget_node(c, kind, old);
	snprintf(goal, sizeof(goal), "%s is a member now%s%s", name,
		 strcmp(old, name) ? " in place of " : "", strcmp(old, name) ? old : "");
	return finish(c, kind, goal);
}

static int replica_transfer(struct cli *c, const struct cli_kind *kind)
{
	struct flint_raft_change_req req = { .op = FLINT_CHANGE_TRANSFER };
	const struct flint_raft_stat_member *m;
	static struct cli_group g;
	char goal[128];
	int ret;

	if (group_get(&g, c, kind) || need_leader(&g))
		return 1;
	if (c->nr_words) {
		m = cli_group_member(&g, c->words[0]);
		if (!m || !(m->flags & FLINT_RAFT_MEMBER_VOTER))
			return cli_fail("%s is no voting member: 'flint %s status' lists them",
					c->words[0], kind->verb);
		if (m->id == g.nodes[g.leader].stat.id)
			return finish(c, kind, "it leads already");
		req.id = m->id;
		memcpy(req.name, m->name, sizeof(req.name));
	} else if (g.voters < 2) {
		return cli_fail("there is only one %s: nobody else can lead", kind->one);
	}
	snprintf(goal, sizeof(goal), "handing the lead over%s%s", c->nr_words ? " to " : "",
		 c->nr_words ? c->words[0] : "");
	ret = cli_group_change(&g, &req, goal, cli_opt(c, CLI_OPT_JSON));
	return ret ? ret : finish(c, kind, "the lead was handed over");
}

/* ---- restart -------------------------------------------------------------------- */

static uint64_t ms_since(uint64_t ns)
{
	return (flint_now_ns() - ns) / 1000000;
}

/* Wait until @name answers, follows a leader and lacks nothing. Return: 0 or 1 after a message. */
static int wait_caught_up(struct cli *c, const struct cli_kind *kind, const char *name,
			  uint64_t since)
{
	uint64_t begin = flint_now_ns(), told = begin;
	static struct cli_group g;
	char err[CLI_ERR_LEN];
	struct cli_node *n;

	for (;;) {
		n = cli_group_load(&g, c, kind, err, sizeof(err)) ? NULL : cli_group_node(&g, name);
		if (n && !n->err && g.leader >= 0 && !g.missing && n->stat.group &&
		    le64_to_cpu(n->stat.applied) >= since && node_behind(&g, n) < 1000)
			return 0;
		if (ms_since(begin) > CLI_CATCH_UP_MS)
			return cli_fail("%s has not caught up within %d s: 'flint %s status' tells more; nothing else was restarted",
					name, CLI_CATCH_UP_MS / 1000, kind->verb);
		if (ms_since(told) > 2000) {
			told = flint_now_ns();
			if (!cli_opt(c, CLI_OPT_JSON))
				fprintf(stderr, "waiting for %s to catch up ... (%llu s)\n", name,
					(unsigned long long)ms_since(begin) / 1000);
		}
		usleep(200000);
	}
}

/* Nobody may be missing before one is stopped. Return: 0 or 1 after a message. */
static int may_stop_one(struct cli_group *g, const char *name)
{
	if (need_leader(g))
		return 1;
	if (!cli_group_member(g, name))
		return cli_fail("%s is no member: 'flint %s status' lists them", name, g->kind->verb);
	if (g->voters > 2 && g->missing)
		return cli_fail("a %s is missing already: bring it back before another is restarted ('flint %s status')",
				g->kind->one, g->kind->verb);
	return 0;
}

/* Hand the lead over if @name has it. Return: 0 or 1 after a message. */
static int lead_away(struct cli_group *g, const char *name)
{
	struct flint_raft_change_req req = { .op = FLINT_CHANGE_TRANSFER };
	char goal[128];

	if (strcmp(g->nodes[g->leader].name, name) || g->voters < 2)
		return 0;
	snprintf(goal, sizeof(goal), "handing the lead over from %.63s", name);
	return cli_group_change(g, &req, goal, cli_opt(g->cli, CLI_OPT_JSON));
}

/* systemd restarts what is here, whoever was named. Return: 0 or 1 after a message. */
static int may_restart_here(struct cli_group *g, const char *name)
{
	const struct cli_node *n = cli_group_node(g, name);
	char host[FLINT_LABEL_LEN] = "";

	gethostname(host, sizeof(host) - 1);
	if (cli_opt(g->cli, CLI_OPT_DIR) || !n || !n->has_addr || !strcmp(name, host) ||
	    flint_addr_is_here(&n->addr))
		return 0;
	return cli_fail("%s is on another machine: run 'flint %s restart' there", name,
			g->kind->verb);
}

static int restart_one(struct cli *c, const struct cli_kind *kind, const char *name)
{
	static struct cli_group g;
	struct cli_node *n;
	uint64_t since;
	int ret;

	if (group_get(&g, c, kind) || may_stop_one(&g, name) || may_restart_here(&g, name) ||
	    lead_away(&g, name))
		return 1;
	n = cli_group_node(&g, name);
	since = n && !n->err ? le64_to_cpu(n->stat.applied) : 0;
	if (!cli_opt(c, CLI_OPT_JSON))
		printf("restarting %s\n", name);
	fflush(stdout);
	ret = cli_opt(c, CLI_OPT_DIR) ? up_restart(c, name) : up_systemctl("restart", kind->unit);
	return ret ? ret : wait_caught_up(c, kind, name, since);
}

/*
 * With --dir: one after the other, the leader last. Else the replica of this
 * machine, by systemd.
 */
static int replica_restart(struct cli *c, const struct cli_kind *kind)
{
	char names[CLI_NODES_MAX][FLINT_LABEL_LEN], host[FLINT_LABEL_LEN] = "";
	unsigned int i, nr = 0;
	static struct cli_group g;

	if (group_get(&g, c, kind) || need_leader(&g))
		return 1;
	if (c->nr_words) {
		snprintf(names[nr++], FLINT_LABEL_LEN, "%s", c->words[0]);
	} else if (!cli_opt(c, CLI_OPT_DIR)) {
		gethostname(host, sizeof(host) - 1);
		snprintf(names[nr++], FLINT_LABEL_LEN, "%s", host);
	} else {
		for (i = 0; i < g.nr; i++)
			if ((int)i != g.leader && g.nodes[i].member >= 0)
				snprintf(names[nr++], FLINT_LABEL_LEN, "%s", g.nodes[i].name);
		snprintf(names[nr++], FLINT_LABEL_LEN, "%s", g.nodes[g.leader].name);
	}
	for (i = 0; i < nr; i++)
		if (restart_one(c, kind, names[i]))
			return 1;
	return finish(c, kind, nr == 1 ? "restarted" : "all restarted, one after the other");
}

/* ---- the commands ------------------------------------------------------------------ */

int cli_meta_status(struct cli *c)
{
	return replica_status(c, &cli_kind_meta);
}

int cli_meta_add(struct cli *c)
{
	return replica_add(c, &cli_kind_meta);
}

int cli_meta_remove(struct cli *c)
{
	return replica_remove(c, &cli_kind_meta);
}

int cli_meta_replace(struct cli *c)
{
	return replica_replace(c, &cli_kind_meta);
}

int cli_meta_transfer(struct cli *c)
{
	return replica_transfer(c, &cli_kind_meta);
}

int cli_meta_restart(struct cli *c)
{
	return replica_restart(c, &cli_kind_meta);
}

int cli_mgr_status(struct cli *c)
{
	return replica_status(c, &cli_kind_mgr);
}

int cli_mgr_add(struct cli *c)
{
	return replica_add(c, &cli_kind_mgr);
}

int cli_mgr_remove(struct cli *c)
{
	return replica_remove(c, &cli_kind_mgr);
}

int cli_mgr_replace(struct cli *c)
{
	return replica_replace(c, &cli_kind_mgr);
}

int cli_mgr_transfer(struct cli *c)
{
	return replica_transfer(c, &cli_kind_mgr);
}

int cli_mgr_restart(struct cli *c)
{
	return replica_restart(c, &cli_kind_mgr);
}
