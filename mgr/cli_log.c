// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Looking at daemons: their log level, their last log lines, their metrics.
 * Each is asked itself, at the addresses that the managers know.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/addr.h"
#include "../userd/base/log.h"
#include "cli_daemon.h"
#include "cli_group.h"

/* ---- who there is ------------------------------------------------------- */

static int daemon_take(struct cli_daemon *d, json_t *node)
{
	json_t *addrs = json_object_get(node, "addresses"), *a;
	const char *name = json_string_value(json_object_get(node, "name"));
	const char *role = json_string_value(json_object_get(node, "role"));
	char err[CLI_ERR_LEN];
	size_t i;

	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", name ? name : "?");
	snprintf(d->role, sizeof(d->role), "%s", role ? role : "?");
	json_array_foreach(addrs, i, a) {
		const char *text = json_string_value(a);

		if (text && !strncmp(text, "tcp ", 4) &&
		    !flint_addr_parse(text + 4, 0, &d->addr, err, sizeof(err)))
			return 0;
	}
	return -ENOENT;
}

int cli_daemons(struct cli *c, const char *name, struct cli_daemon **out, unsigned int *nr)
{
	json_t *got = cli_api(c, "GET", "/v1/nodes", NULL), *nodes, *node;
	struct cli_daemon *all;
	size_t i;

	*nr = 0;
	if (!got)
		return 1;
	nodes = json_object_get(got, "nodes");
	all = calloc(json_array_size(nodes) + 1, sizeof(*all));
	json_array_foreach(nodes, i, node) {
		if (!all || daemon_take(&all[*nr], node))
			continue;
		*nr += !name || !strcmp(name, all[*nr].name);
	}
	json_decref(got);
	if (all && *nr) {
		*out = all;
		return 0;
	}
	free(all);
	return name ? cli_fail("there is no node '%s': 'flint node list' lists them", name) :
		      cli_fail("the cluster has no daemon that could be asked");
}

/* ---- asking one --------------------------------------------------------- */

/* Words for a failure. */
static void ask_failed(const struct cli_daemon *d, int ret, u32 status, char *err, size_t errlen)
{
	if (ret == -EACCES)
		snprintf(err, errlen, "%s has another cluster key", d->name);
	else if (ret)
		snprintf(err, errlen, "%s does not answer (%s)", d->name, strerror(-ret));
	else if (status == FLINT_ST_BAD_REQUEST)
		snprintf(err, errlen, "%s is of an older version, which cannot be asked this",
			 d->name);
	else
		snprintf(err, errlen, "%s refused (status %u)", d->name, status);
}

int cli_daemon_ask(struct cli *c, const struct cli_daemon *d, struct cli_rpc *call, char *err,
		   size_t errlen)
{
	struct cli_conn *cn = cli_conn_open(c, &d->addr);
	int ret;

	if (!cn) {
		snprintf(err, errlen, "no connection can be made (%s)", strerror(errno));
		return -errno;
	}
	ret = cli_conn_call(cn, call);
	cli_conn_close(cn);
	if (!ret && call->status == FLINT_OK)
		return 0;
	ask_failed(d, ret, call->status, err, errlen);
	return ret ? ret : -EIO;
}

char *cli_daemon_text(struct cli *c, const struct cli_daemon *d, u16 op, char *err, size_t errlen)
{
	struct flint_log_req req = {
		.op = cpu_to_le32(FLINT_LOG_TAIL), .max_len = cpu_to_le32(CLI_TEXT_MAX),
	};
	struct cli_rpc call = { .op = op, .in = malloc(CLI_TEXT_MAX + 1), .in_len = CLI_TEXT_MAX };

	if (!call.in) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	if (op == FLINT_OP_LOG) {
		call.body = &req;
		call.body_len = sizeof(req);
	}
	if (cli_daemon_ask(c, d, &call, err, errlen)) {
		free(call.in);
		return NULL;
	}
	((char *)call.in)[call.in_got] = 0;
	return call.in;
}

/* ---- flint log ---------------------------------------------------------- */

/* Ask for the level, or set it. */
static int log_level(struct cli *c, const struct cli_daemon *d, u32 op, int level,
		     struct flint_log_rep *rep, char *err, size_t errlen)
{
	struct flint_log_req req = { .op = cpu_to_le32(op), .level = cpu_to_le32((u32)level) };
	struct cli_rpc call = {
		.op = FLINT_OP_LOG, .body = &req, .body_len = sizeof(req),
		.rep = (uint8_t *)rep, .rep_size = sizeof(*rep), .rep_min = sizeof(*rep),
	};

	return cli_daemon_ask(c, d, &call, err, errlen);
}

/* Of every daemon, or of --node; @level < 0: only look. */
static int log_levels(struct cli *c, int level)
{
	json_t *rows = json_array(), *row;
	struct cli_daemon *d;
	unsigned int nr, i, bad = 0;
	char err[CLI_ERR_LEN];

	if (cli_daemons(c, cli_opt(c, CLI_OPT_NODE), &d, &nr))
		return 1;
	for (i = 0; i < nr; i++) {
		struct flint_log_rep rep = { 0 };

		row = json_pack("{s:s, s:s}", "node", d[i].name, "role", d[i].role);
		if (log_level(c, &d[i], level < 0 ? FLINT_LOG_GET : FLINT_LOG_SET, level, &rep,
			      err, sizeof(err))) {
			bad++;
			json_object_set_new(row, "error", json_string(err));
		} else {
			rep.version[sizeof(rep.version) - 1] = 0;
			json_object_set_new(row, "level", json_string(
				flint_log_level_name((int)le32_to_cpu(rep.level))));
			json_object_set_new(row, "version", json_string((char *)rep.version));
		}
		json_array_append_new(rows, row);
	}
	free(d);
	if (cli_opt(c, CLI_OPT_JSON)) {
		row = json_pack("{s:o}", "nodes", rows);
		cli_print_json(row);
		json_decref(row);
		return bad ? 1 : 0;
	}
	json_array_foreach(rows, i, row)
		printf("%-16s %-6s %s\n", json_string_value(json_object_get(row, "node")),
		       json_string_value(json_object_get(row, "role")),
		       json_string_value(json_object_get(row, "level")) ? :
		       json_string_value(json_object_get(row, "error")));
	json_decref(rows);
	return bad ? 1 : 0;
}

int cli_log_show(struct cli *c)
{
	return log_levels(c, -1);
}

int cli_log_set(struct cli *c)
{
	int level = flint_log_level_parse(c->words[0]);

	if (level < 0)
		return cli_fail("'%s' is neither error, warning, info nor debug", c->words[0]);
	return log_levels(c, level);
}

/* Texts of all daemons, or of --node. */
static int print_texts(struct cli *c, u16 op)
{
	unsigned int nr, i, bad = 0;
	char err[CLI_ERR_LEN], *text;
	struct cli_daemon *d;

	if (cli_daemons(c, cli_opt(c, CLI_OPT_NODE), &d, &nr))
		return 1;
	for (i = 0; i < nr; i++) {
		text = cli_daemon_text(c, &d[i], op, err, sizeof(err));
		if (!text) {
			bad++;
			cli_fail("%s", err);
			continue;
		}
		if (nr > 1)
			printf("%s# ---- %s (%s) ----\n", i ? "\n" : "", d[i].name, d[i].role);
		fputs(text, stdout);
		free(text);
	}
	free(d);
	return bad ? 1 : 0;
}

int cli_log_tail(struct cli *c)
{
	return print_texts(c, FLINT_OP_LOG);
}

int cli_metrics(struct cli *c)
{
	return print_texts(c, FLINT_OP_METRICS);
}
