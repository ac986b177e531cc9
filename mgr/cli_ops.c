// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Everyday operations on the storage, one verb each: servers and disks that come,
 * go and are replaced, chains spread anew, another number of copies, freezing, and
 * restarting chunk servers one after the other.
 *
 * Moving is the managers' work (jobs.h); putting a disk into a running server, or
 * taking it out, is asked of the server itself (FLINT_OP_TARGET_CTL).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../uapi/flintfs/chain.h"
#include "../userd/base/conf.h"
#include "../userd/base/daemon.h"
#include "cli_daemon.h"
#include "cli_job.h"

#define OPS_LOOK_US	200000
#define OPS_REPORT_MS	20000		/* for a new target to be reported to the managers */
#define OPS_WHOLE_MS	600000		/* for chains to be whole again after a restart */
#define OPS_CTL_MS	120000		/* formatting may write much */
#define OPS_DATA	4096

/* ---- helpers ------------------------------------------------------------ */

static json_int_t ops_int(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *ops_str(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* A target's record, which the caller drops. Return: NULL if there is none, or after a message. */
static json_t *ops_target(struct cli *c, json_int_t id, bool must)
{
	json_t *all = cli_api(c, "GET", "/v1/targets", NULL), *t, *found = NULL;
	size_t i;

	if (!all)
		return NULL;
	json_array_foreach(json_object_get(all, "targets"), i, t)
		if (ops_int(t, "id") == id)
			found = json_incref(t);
	json_decref(all);
	if (!found && must)
		cli_fail("there is no target %" JSON_INTEGER_FORMAT ": 'flint target list' shows them",
			 id);
	return found;
}

static int ops_word_id(const struct cli *c, unsigned int at, json_int_t *id)
{
	char *end;

	*id = strtoll(c->words[at], &end, 10);
	if (*end || *id < 1 || *id > UINT32_MAX)
		return cli_fail("'%s' is no target id: 'flint target list' shows them",
				c->words[at]);
	return 0;
}

static void ops_say(const struct cli *c, const char *text)
{
	if (!cli_opt(c, CLI_OPT_JSON))
		printf("%s\n", text);
	else
		printf("{\"done\": true}\n");
}

/* POST and forget the answer. Return: 0, or 1 after a message. */
static int ops_post(struct cli *c, const char *path, json_t *body)
{
	json_t *out = cli_api(c, "POST", path, body);

	json_decref(out);
	return !out;
}

/* Tell a chunk server about one of its targets. Return: 0, or 1 after a message. */
static int ops_ctl(struct cli *c, const char *node, uint32_t op, json_int_t target,
		   const char *path, uint64_t size, uint32_t flags)
{
	uint8_t body[sizeof(struct flint_target_ctl) + OPS_DATA], data[OPS_DATA + 1];
	size_t len = path ? strlen(path) : 0;
	struct flint_target_ctl ctl = {
		.fixed_len = cpu_to_le32(sizeof(ctl)), .op = cpu_to_le32(op),
		.target = cpu_to_le32(target), .size = cpu_to_le64(size),
		.flags = cpu_to_le32(flags), .max_len = cpu_to_le32(OPS_DATA),
		.path_len = cpu_to_le16(len),
	};
	struct flint_target_ctl_rep rep;
	struct cli_rpc call = {
		.op = FLINT_OP_TARGET_CTL, .body = body, .body_len = sizeof(ctl) + len,
		.rep = &rep, .rep_size = sizeof(rep), .rep_min = sizeof(rep), .in = data,
		.in_len = OPS_DATA, .timeout_ms = OPS_CTL_MS,
	};
	char err[CLI_ERR_LEN];
	struct cli_daemon *d;
	unsigned int nr;
	int ret;

	if (len > OPS_DATA)
		return cli_fail("the path is too long");
	memcpy(body, &ctl, sizeof(ctl));
	memcpy(body + sizeof(ctl), path ? path : "", len);
	if (cli_daemons(c, node, &d, &nr))
		return 1;
	ret = cli_daemon_ask(c, &d[0], &call, err, sizeof(err));
	free(d);
	if (ret)
		return cli_fail("%s", err);
	data[call.in_got] = 0;
	if (rep.error)
		return cli_fail("%s: %s", node, call.in_got ? (char *)data :
							      strerror(le32_to_cpu(rep.error)));
	return 0;
}

/* ---- servers ------------------------------------------------------------ */

int cli_node_drain(struct cli *c)
{
	int ret = cli_job_run(c, json_pack("{s:s, s:s}", "kind", "drain-node", "node", c->words[0]),
			      "afterwards it may be stopped, or filled again with 'flint node undrain'",
			      false);

	return ret == CLI_JOB_DRY ? 0 : ret;
}

/* The id of a chunk server. Return: 0 after a message. */
static json_int_t ops_node(struct cli *c, const char *name)
{
	json_t *all = cli_api(c, "GET", "/v1/nodes", NULL), *n;
	json_int_t id = 0;
	size_t i;

	if (!all)
		return 0;
	json_array_foreach(json_object_get(all, "nodes"), i, n)
		if (!strcmp(ops_str(n, "role"), "chunk") && !strcmp(ops_str(n, "name"), name))
			id = ops_int(n, "id");
	json_decref(all);
	if (!id)
		cli_fail("there is no chunk server '%s': 'flint node list' shows them", name);
	return id;
}

int cli_node_undrain(struct cli *c)
{
	json_int_t id = ops_node(c, c->words[0]);
	char say[256];

	if (!id || ops_post(c, "/v1/chains/change",
			    json_pack("{s:[{s:s, s:I}]}", "changes", "verb", "undrain", "node", id)))
		return 1;
	snprintf(say, sizeof(say), "%s may be used again: 'flint rebalance' moves chains to it",
		 c->words[0]);
	ops_say(c, say);
	return 0;
}

int cli_node_label(struct cli *c)
{
	const char *rack = cli_opt(c, CLI_OPT_RACK), *host = cli_opt(c, CLI_OPT_HOST);
	json_t *body = json_pack("{s:s}", "node", c->words[0]);

	if (!rack && !host) {
		json_decref(body);
		return cli_fail("say where %s stands with --rack or --host", c->words[0]);
	}
	if (rack)
		json_object_set_new(body, "rack", json_string(rack));
	if (host)
		json_object_set_new(body, "host", json_string(host));
	if (ops_post(c, "/v1/nodes/label", body))
		return 1;
	ops_say(c, "noted: new chains and moves heed it, 'flint chain check' tells of those there are");
	return 0;
}

int cli_node_remove(struct cli *c)
{
	char say[256];
	int ret;

	snprintf(say, sizeof(say),
		 "chunk server %s, which must be stopped and drained, is forgotten with its targets",
		 c->words[0]);
	ret = cli_confirm(c, say);
	if (ret)
		return ret == 1;
	if (ops_post(c, "/v1/nodes", json_pack("{s:s, s:s}", "remove", c->words[0], "role", "chunk")))
		return 1;
	ops_say(c, "forgotten");
	return 0;
}

/* ---- disks -------------------------------------------------------------- */

int cli_disk_drain(struct cli *c)
{
	json_int_t id;
	int ret;

	if (ops_word_id(c, 0, &id))
		return 1;
	ret = cli_job_run(c, json_pack("{s:s, s:I}", "kind", "drain-target", "target", id), NULL,
			  false);
	return ret == CLI_JOB_DRY ? 0 : ret;
}

/* Take an emptied target from its server, if that is there, and forget it. */
static int disk_forget(struct cli *c, json_int_t id)
{
	json_t *t = ops_target(c, id, false);
	bool online = t && strcmp(ops_str(t, "local"), "offline");
	int ret = 0, waited;

	if (online)
		ret = ops_ctl(c, ops_str(t, "node_name"), FLINT_TCTL_DETACH, id, NULL, 0, 0);
	json_decref(t);
	for (waited = 0; online && !ret && waited < OPS_REPORT_MS; waited += OPS_LOOK_US / 1000) {
		t = ops_target(c, id, false);
		online = t && strcmp(ops_str(t, "local"), "offline");
		json_decref(t);
		usleep(OPS_LOOK_US);
	}
	return ret ? ret : ops_post(c, "/v1/targets/remove", json_pack("{s:I}", "target", id));
}

int cli_disk_remove(struct cli *c)
{
	json_int_t id;
	int ret;

	if (cli_opt(c, CLI_OPT_NO_WAIT))
		return cli_fail("removing waits until the disk is empty: 'flint disk drain --no-wait' begins with it");
	if (ops_word_id(c, 0, &id))
		return 1;
	ret = cli_job_run(c, json_pack("{s:s, s:I}", "kind", "drain-target", "target", id),
			  "then it is taken from its server and forgotten", true);
	if (ret)
		return ret == CLI_JOB_DRY ? 0 : ret;
	if (disk_forget(c, id))
		return 1;
	if (!cli_opt(c, CLI_OPT_JSON))
		printf("target %" JSON_INTEGER_FORMAT " is gone: the disk may be pulled; take it out of the chunk server's configuration, too\n",
		       id);
	return 0;
}

/* The smallest id above all there are. Return: 0 after a message. */
static json_int_t disk_next_id(struct cli *c)
{
	json_t *all = cli_api(c, "GET", "/v1/targets", NULL), *t;
	json_int_t id = 1;
	size_t i;

	if (!all)
		return 0;
	json_array_foreach(json_object_get(all, "targets"), i, t)
		if (ops_int(t, "id") >= id)
			id = ops_int(t, "id") + 1;
	json_decref(all);
	return id;
}

/* Format @path on @node as target @id and wait until the managers know it. */
static int disk_bring(struct cli *c, const char *node, const char *path, json_int_t id)
{
	uint64_t size;
	int waited;
	bool there = false;
	json_t *t;

	if (cli_size(c, CLI_OPT_SIZE, "size", 0, &size) ||
	    ops_ctl(c, node, FLINT_TCTL_FORMAT, id, path, size,
		    cli_opt(c, CLI_OPT_FORCE) ? FLINT_TCTL_FORCE : 0))
		return 1;
	for (waited = 0; !there && waited < OPS_REPORT_MS; waited += OPS_LOOK_US / 1000) {
		t = ops_target(c, id, false);
		there = t && strcmp(ops_str(t, "local"), "offline");
		json_decref(t);
		usleep(OPS_LOOK_US);
	}
	return there ? 0 : cli_fail("%s has %s as target %" JSON_INTEGER_FORMAT ", but the managers have not heard of it: look at its log",
				    node, path, id);
}

int cli_disk_add(struct cli *c)
{
	const char *node = c->words[0], *path = c->words[1];
	char say[CLI_ERR_LEN];
	uint64_t id;
	int ret;

	if (cli_number(c, CLI_OPT_ID, "id", 0, 1, UINT32_MAX, &id))
		return 1;
	if (!id)
		id = disk_next_id(c);
	if (!id || !ops_node(c, node))
		return 1;
	snprintf(say, sizeof(say),
		 "%s on %s is formatted as target %" PRIu64 ", whatever is on it is lost, and the running server takes it in",
		 path, node, id);
	ret = cli_confirm(c, say);
	if (ret)
		return ret == 1;
	if (disk_bring(c, node, path, id))
		return 1;
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"target\": %" PRIu64 "}\n", id);
	else
		printf("target %" PRIu64 " is free: 'flint rebalance' or 'flint chain create' puts it to use; add it to the chunk server's configuration, too\n",
		       id);
	return 0;
}

int cli_disk_replace(struct cli *c)
{
	json_int_t old, id = disk_next_id(c);
	const char *path = c->words[1];
	char say[CLI_ERR_LEN], node[FLINT_LABEL_LEN];
	bool online;
	json_t *t;
	int ret;

	if (!id || ops_word_id(c, 0, &old))
		return 1;
	t = ops_target(c, old, true);
	if (!t)
		return 1;
	snprintf(node, sizeof(node), "%s", ops_str(t, "node_name"));
	online = strcmp(ops_str(t, "local"), "offline");
	json_decref(t);
	snprintf(say, sizeof(say),
		 "%s on %s is formatted as target %" JSON_INTEGER_FORMAT ", whatever is on it is lost; then the chain of target %" JSON_INTEGER_FORMAT " gets another place, and target %" JSON_INTEGER_FORMAT " is forgotten%s",
		 path, node, id, old, old,
		 online ? "" : "; its other replicas are the source, because it is offline");
	ret = cli_confirm(c, say);
	if (ret)
		return ret == 1;
	if (disk_bring(c, node, path, id))
		return 1;
	ret = cli_job_run(c, json_pack("{s:s, s:I}", "kind", "drain-target", "target", old), NULL,
			  false);
	if (ret || cli_opt(c, CLI_OPT_NO_WAIT))
		return ret == CLI_JOB_DRY ? 0 : ret;
	if (disk_forget(c, old))
		return 1;
	if (!cli_opt(c, CLI_OPT_JSON))
		printf("target %" JSON_INTEGER_FORMAT " is in the place of target %" JSON_INTEGER_FORMAT "\n",
		       id, old);
	return 0;
}

/* ---- all of it ---------------------------------------------------------- */

int cli_rebalance(struct cli *c)
{
	int ret = cli_job_run(c, json_pack("{s:s}", "kind", "rebalance"), NULL, false);

	return ret == CLI_JOB_DRY ? 0 : ret;
}

int cli_chain_replicas(struct cli *c)
{
	char *end;
	unsigned long n = strtoul(c->words[0], &end, 10);
	int ret;

	if (*end || n < 1 || n > 7)
		return cli_fail("a chain can have 1 to 7 replicas, not '%s'", c->words[0]);
	ret = cli_job_run(c, json_pack("{s:s, s:I}", "kind", "replicas", "replicas", (json_int_t)n),
			  n == 1 ? "with one copy a lost disk loses what is on it" : NULL, n == 1);
	return ret == CLI_JOB_DRY ? 0 : ret;
}

static int ops_freeze(struct cli *c, bool on)
{
	if (ops_post(c, "/v1/settings", json_pack("{s:i}", "frozen", (int)on)))
		return 1;
	ops_say(c, on ? "frozen: jobs begin no further move until 'flint cluster thaw'; files stay in use, and what fails is still repaired"
		      : "thawed: jobs go on");
	return 0;
}

int cli_cluster_freeze(struct cli *c)
{
	return ops_freeze(c, true);
}

int cli_cluster_thaw(struct cli *c)
{
	return ops_freeze(c, false);
}

/* ---- restarting chunk servers ------------------------------------------- */

/* Targets of chains that do not serve. Return: their number, -1 after a message. */
static int ops_broken(struct cli *c)
{
	json_t *all = cli_api(c, "GET", "/v1/chains", NULL), *chain, *t;
	int nr = 0;
	size_t i, j;

	if (!all)
		return -1;
	json_array_foreach(json_object_get(all, "chains"), i, chain)
		json_array_foreach(json_object_get(chain, "targets"), j, t)
			nr += strcmp(ops_str(t, "state"), "serving") != 0;
	json_decref(all);
	return nr;
}

/* Until every replica of every chain serves, and has done so twice in a row. */
static int ops_wait_whole(struct cli *c, const char *after)
{
	int waited, nr = -1, good = 0;

	for (waited = 0; waited < OPS_WHOLE_MS; waited += OPS_LOOK_US / 1000) {
		nr = ops_broken(c);
		if (nr < 0)
			return 1;
		good = nr ? 0 : good + 1;
		if (good == 2)
			return 0;
		if (nr && waited && waited % 5000 == 0 && !cli_opt(c, CLI_OPT_JSON))
			fprintf(stderr, "waiting for %d replicas to catch up%s%s ...\n", nr,
				after ? " after the restart of " : "", after ? after : "");
		usleep(OPS_LOOK_US);
	}
	return cli_fail("%d replicas do not serve yet: 'flint status' says why; run the command again when they do",
			nr);
}

/* Until the managers have heard the new process. @was: when it was heard before, of the old one. */
static int ops_wait_up(struct cli *c, const char *name)
{
	uint64_t begin = flint_now_ns(), ms;
	json_t *all, *n, *heard;
	bool up = false;
	size_t i;

	while (!up && flint_now_ns() - begin < OPS_WHOLE_MS * 1000000ull) {
		usleep(OPS_LOOK_US);
		ms = (flint_now_ns() - begin) / 1000000;
		all = cli_api(c, "GET", "/v1/nodes", NULL);
		if (!all)
			return 1;
		json_array_foreach(json_object_get(all, "nodes"), i, n) {
			heard = json_object_get(n, "heard_ms_ago");
			if (!strcmp(ops_str(n, "name"), name) && json_is_integer(heard) &&
			    (uint64_t)json_integer_value(heard) < ms)
				up = !strcmp(ops_str(n, "state"), "up");
		}
		json_decref(all);
	}
	return up ? 0 : cli_fail("%s does not come back: look at its log", name);
}

/* Restart one by its name. Return: 0, or 1 after a message. */
static int ops_restart_one(struct cli *c, const char *name, const char *command)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", NULL, NULL }, err[CLI_ERR_LEN];
	const char *brace = command ? strstr(command, "{}") : NULL;
	int ret;

	if (!command)
		return up_restart(c, name);
	if (!brace)
		return cli_fail("--command must have {} where the server's name goes, such as 'ssh {} systemctl restart flint-chunkd'");
	if (asprintf(&argv[2], "%.*s%s%s", (int)(brace - command), command, name, brace + 2) < 0)
		return cli_fail("out of memory");
	ret = up_run(argv, err, sizeof(err));
	if (ret)
		cli_fail("'%s' failed: %s", argv[2], err);
	free(argv[2]);
	return ret ? 1 : 0;
}

static int ops_restart_all(struct cli *c, json_t *names, const char *command)
{
	const char *name;
	json_t *item;
	size_t i;

	json_array_foreach(names, i, item) {
		name = json_string_value(item);
		if (ops_wait_whole(c, NULL))
			return 1;
		if (!cli_opt(c, CLI_OPT_JSON))
			fprintf(stderr, "restarting %s (%zu of %zu)\n", name, i + 1,
				json_array_size(names));
		if (ops_restart_one(c, name, command) || ops_wait_up(c, name) ||
		    ops_wait_whole(c, name))
			return 1;
	}
	return 0;
}

int cli_rolling_restart(struct cli *c)
{
	const char *command = cli_opt(c, CLI_OPT_COMMAND);
	json_t *all, *n, *names = json_array();
	char say[256];
	size_t i;
	int ret;

	if (!command && !cli_opt(c, CLI_OPT_DIR))
		return cli_fail("say how a server is restarted with --command, or name a cluster of 'flint up' with --dir");
	all = cli_api(c, "GET", "/v1/nodes", NULL);
	if (!all)
		return 1;
	json_array_foreach(json_object_get(all, "nodes"), i, n)
		if (!strcmp(ops_str(n, "role"), "chunk") && !strcmp(ops_str(n, "state"), "up"))
			json_array_append_new(names, json_string(ops_str(n, "name")));
	json_decref(all);
	snprintf(say, sizeof(say),
		 "%zu chunk servers are restarted one after the other, each when all replicas of all chains serve; files stay in use if chains have two replicas or more",
		 json_array_size(names));
	if (cli_opt(c, CLI_OPT_DRY_RUN)) {
		ret = cli_confirm(c, say) == 1;
	} else {
		if (!cli_opt(c, CLI_OPT_JSON))
			fprintf(stderr, "%s\n", say);
		ret = ops_restart_all(c, names, command);
		if (!ret)
			ops_say(c, "all chunk servers were restarted");
	}
	json_decref(names);
	return ret;
}
