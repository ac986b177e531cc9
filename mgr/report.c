// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the manager tells people: health in words with the remedy, listings,
 * and metrics. Reads the model, changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/addr.h"
#include "../userd/base/conf.h"
#include "../userd/base/key.h"
#include "mgrd.h"

static const char * const mgr_role_names[] = {
	[FLINT_ROLE_CLIENT] = "client", [FLINT_ROLE_CHUNK] = "chunk",
	[FLINT_ROLE_META] = "meta", [FLINT_ROLE_MGR] = "mgr", [FLINT_ROLE_TOOL] = "tool",
};

static const char * const mgr_node_states[] = {
	[FLINT_NODE_NEW] = "new", [FLINT_NODE_UP] = "up", [FLINT_NODE_DOWN] = "down",
};

static const char * const mgr_local_states[] = {
	[FLINT_LOCAL_OFFLINE] = "offline", [FLINT_LOCAL_ONLINE] = "online",
	[FLINT_LOCAL_UPTODATE] = "uptodate",
};

static const char * const mgr_target_states[] = {
	[FLINT_TARGET_OFFLINE] = "offline", [FLINT_TARGET_WAITING] = "waiting",
	[FLINT_TARGET_SYNCING] = "syncing", [FLINT_TARGET_LASTSRV] = "lastsrv",
	[FLINT_TARGET_SERVING] = "serving",
};

#define MGR_NAME(table, value) \
	((value) < sizeof(table) / sizeof((table)[0]) && (table)[value] ? (table)[value] : "unknown")

const char *mgr_role_name(u8 role)
{
	return MGR_NAME(mgr_role_names, role);
}

/* ---- health ----------------------------------------------------------- */

static void mgr_problem(json_t *list, const char *what, const char *remedy)
{
	json_array_append_new(list, json_pack("{s:s, s:s}", "what", what, "remedy", remedy));
}

static void mgr_problems_nodes(struct mgr *m, json_t *list)
{
	struct mgr_state *st = m->st;
	u64 now = flint_now_ns();
	bool meta = false;
	char what[MGR_ERR_LEN], remedy[MGR_ERR_LEN];
	u32 i;

	for (i = 0; i < st->nr_nodes; i++) {
		struct mgr_node *n = &st->nodes[i];
		bool is_meta = n->role == FLINT_ROLE_META;

		meta |= is_meta;
		if (n->state == FLINT_NODE_UP)
			continue;
		snprintf(what, sizeof(what), "%s server %s is down, not heard for %llu s%s",
			 is_meta ? "metadata" : "chunk", n->name,
			 (unsigned long long)(now - n->heard_ns) / 1000000000,
			 is_meta ? ": no file can be opened or changed" : "");
		snprintf(remedy, sizeof(remedy), "start flint-%sd on %s, or look at its log",
			 is_meta ? "meta" : "chunk", n->name);
		mgr_problem(list, what, remedy);
	}
	if (!meta)
		mgr_problem(list, "no metadata server has ever reported",
			    "start flint-metad with --mgr set to this manager");
}

static void mgr_problems_targets(struct mgr_state *st, json_t *list)
{
	char what[MGR_ERR_LEN], remedy[MGR_ERR_LEN];
	u32 i, unused = 0;

	for (i = 0; i < st->nr_targets; i++) {
		struct mgr_target *t = &st->targets[i];
		struct mgr_node *n = mgr_node_find(st, t->node);
		const char *node = n ? n->name : "?";

		if (!t->chain) {
			unused += t->state == FLINT_TARGET_WAITING;
			continue;
		}
		if (t->state != FLINT_TARGET_SERVING) {
			snprintf(what, sizeof(what),
				 "target %u on %s holds the only copy of chain %u and does not serve: reads and writes of its chunks wait",
				 t->id, node, t->chain);
			snprintf(remedy, sizeof(remedy),
				 "bring %s back with this disk; nothing is lost while the disk is whole",
				 node);
			mgr_problem(list, what, remedy);
		} else if (t->capacity && t->used_now > t->capacity / 100 * 95) {
			snprintf(what, sizeof(what), "target %u on %s is more than 95 %% full",
				 t->id, node);
			mgr_problem(list, what, "delete files or add targets");
		}
	}
	if (unused) {
		snprintf(what, sizeof(what), "%u targets are online but in no chain", unused);
		mgr_problem(list, what, "put them to use with 'flint chain create'");
	}
	if (!st->nr_chains)
		mgr_problem(list, "there are no chains yet", "run 'flint chain create'");
}

static json_t *mgr_problems(struct mgr *m)
{
	struct mgr_state *st = m->st;
	json_t *list = json_array();
	char what[MGR_ERR_LEN];
	u32 i;

	mgr_problems_nodes(m, list);
	mgr_problems_targets(st, list);
	for (i = 0; i < st->nr_fs; i++)
		if (!st->fs[i].root_ino) {
			snprintf(what, sizeof(what), "file system %s is only half made",
				 st->fs[i].name);
			mgr_problem(list, what, "repeat 'flint fs create' with its name");
		}
	if (!st->nr_fs)
		mgr_problem(list, "there is no file system yet", "run 'flint fs create NAME'");
	return list;
}

static void mgr_usage_sum(const struct mgr_state *st, u64 *capacity, u64 *used)
{
	u32 i;

	*capacity = 0;
	*used = 0;
	for (i = 0; i < st->nr_targets; i++)
		if (st->targets[i].chain) {
			*capacity += st->targets[i].capacity;
			*used += st->targets[i].used_now;
		}
}

/* Count nodes of a role, and those that are up. */
static json_t *mgr_count_nodes(const struct mgr_state *st, u8 role)
{
	int nr = 0, up = 0;
	u32 i;

	for (i = 0; i < st->nr_nodes; i++)
		if (st->nodes[i].role == role) {
			nr++;
			up += st->nodes[i].state == FLINT_NODE_UP;
		}
	return json_pack("{s:i, s:i}", "known", nr, "up", up);
}

/**
 * mgr_report_status() - the cluster's health
 *
 * Return: an object; "healthy" is true when "problems" is empty.
 */
json_t *mgr_report_status(struct mgr *m)
{
	struct mgr_state *st = m->st;
	json_t *problems = mgr_problems(m);
	char uuid[FLINT_UUID_STR];
	u32 i, serving = 0;
	u64 capacity, used;

	for (i = 0; i < st->nr_targets; i++)
		serving += st->targets[i].state == FLINT_TARGET_SERVING;
	mgr_usage_sum(st, &capacity, &used);
	return json_pack("{s:s, s:s, s:s, s:I, s:b, s:o, s:o, s:o, s:o, s:{s:i, s:i}, s:i, s:i,"
			 " s:I, s:I, s:I}",
			 "cluster", st->cluster_name,
			 "cluster_id", flint_uuid_format(st->cluster_id, uuid),
			 "version", FLINT_VERSION, "epoch", (json_int_t)st->epoch,
			 "healthy", (int)!json_array_size(problems), "problems", problems,
			 "managers", mgr_count_nodes(st, FLINT_ROLE_MGR),
			 "metadata_servers", mgr_count_nodes(st, FLINT_ROLE_META),
			 "chunk_servers", mgr_count_nodes(st, FLINT_ROLE_CHUNK),
			 "targets", "known", (int)st->nr_targets, "serving", (int)serving,
			 "chains", (int)st->nr_chains, "file_systems", (int)st->nr_fs,
			 "capacity", (json_int_t)capacity, "used", (json_int_t)used,
			 "uptime_s", (json_int_t)((flint_now_ns() - m->started_ns) / 1000000000));
}

/* ---- listings --------------------------------------------------------- */

static json_t *mgr_report_addrs(const struct flint_addr *addrs)
{
	json_t *list = json_array();
	char text[FLINT_ADDR_STR + 8];
	int i;

	for (i = 0; i < FLINT_NODE_ADDRS; i++) {
		struct sockaddr_storage sa;
		size_t n;

		if (!addrs[i].family || flint_addr_from_wire(&addrs[i], &sa))
			continue;
		n = snprintf(text, sizeof(text), "%s ",
			     addrs[i].proto == FLINT_PROTO_RDMA ? "rdma" : "tcp");
		flint_addr_format(&sa, text + n, sizeof(text) - n);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

json_t *mgr_report_nodes(struct mgr *m)
{
	json_t *list = json_array();
	u64 now = flint_now_ns();
	u32 i;

	for (i = 0; i < m->st->nr_nodes; i++) {
		const struct mgr_node *n = &m->st->nodes[i];
		json_t *ago = json_null();	/* not heard since this manager started */

		if (n->role == FLINT_ROLE_MGR)
			ago = json_integer(0);
		else if (n->incarnation)
			ago = json_integer((now - n->heard_ns) / 1000000);
		json_array_append_new(list,
			json_pack("{s:i, s:s, s:s, s:s, s:o, s:o}", "id", (int)n->id, "name",
				  n->name, "role", mgr_role_name(n->role), "state",
				  MGR_NAME(mgr_node_states, n->state), "addresses",
				  mgr_report_addrs(n->addrs), "heard_ms_ago", ago));
	}
	return json_pack("{s:o}", "nodes", list);
}

json_t *mgr_report_targets(struct mgr *m)
{
	json_t *list = json_array();
	char uuid[FLINT_UUID_STR];
	u32 i;

	for (i = 0; i < m->st->nr_targets; i++) {
		const struct mgr_target *t = &m->st->targets[i];
		const struct mgr_node *n = mgr_node_find(m->st, t->node);

		json_array_append_new(list,
			json_pack("{s:I, s:s, s:i, s:s, s:i, s:s, s:s, s:I, s:I}", "id",
				  (json_int_t)t->id, "uuid", flint_uuid_format(t->uuid, uuid),
				  "node", (int)t->node, "node_name", n ? n->name : "?", "chain",
				  (int)t->chain, "state", MGR_NAME(mgr_target_states, t->state),
				  "local", MGR_NAME(mgr_local_states, t->local), "capacity",
				  (json_int_t)t->capacity, "used", (json_int_t)t->used_now));
	}
	return json_pack("{s:o}", "targets", list);
}

json_t *mgr_report_chains(struct mgr *m)
{
	json_t *chains = json_array(), *tables = json_array();
	u32 i, j;

	for (i = 0; i < m->st->nr_chains; i++) {
		const struct mgr_chain *c = &m->st->chains[i];
		json_t *ids = json_array();

		for (j = 0; j < c->nr; j++) {
			const struct mgr_target *t = mgr_target_find(m->st, c->targets[j]);

			json_array_append_new(ids,
				json_pack("{s:I, s:s}", "id", (json_int_t)c->targets[j], "state",
					  MGR_NAME(mgr_target_states, t->state)));
		}
		json_array_append_new(chains,
			json_pack("{s:i, s:i, s:o}", "id", (int)c->id, "version",
				  (int)c->version, "targets", ids));
	}
	for (i = 0; i < m->st->nr_tables; i++) {
		const struct mgr_table *t = &m->st->tables[i];
		json_t *ids = json_array();

		for (j = 0; j < t->nr; j++)
			json_array_append_new(ids, json_integer(t->chains[j]));
		json_array_append_new(tables,
			json_pack("{s:i, s:i, s:o}", "id", (int)t->id, "version",
				  (int)t->version, "chains", ids));
	}
	return json_pack("{s:o, s:o}", "chains", chains, "tables", tables);
}

json_t *mgr_report_fs(struct mgr *m)
{
	json_t *list = json_array();
	u32 i;

	for (i = 0; i < m->st->nr_fs; i++) {
		const struct mgr_fs *fs = &m->st->fs[i];
		const struct mgr_node *n = mgr_node_find(m->st, fs->meta_node);

		json_array_append_new(list,
			json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:i}", "id",
				  (int)fs->id, "name", fs->name, "state",
				  fs->root_ino ? "ready" : "half made", "metadata_server",
				  n ? n->name : "?", "root_ino", (json_int_t)fs->root_ino,
				  "chunk_size", (json_int_t)1 << fs->layout.chunk_shift, "stripe",
				  (int)le16_to_cpu(fs->layout.stripe), "table",
				  (int)le32_to_cpu(fs->layout.table), "table_version",
				  (int)le32_to_cpu(fs->layout.table_ver)));
	}
	return json_pack("{s:o}", "file_systems", list);
}

json_t *mgr_report_map(struct mgr *m)
{
	json_t *map = json_pack("{s:I, s:i, s:i}", "epoch", (json_int_t)m->image_epoch,
				"bytes", (int)m->image_len, "lease_ms", (int)m->st->lease_ms);

	json_object_update_new(map, mgr_report_nodes(m));
	json_object_update_new(map, mgr_report_targets(m));
	json_object_update_new(map, mgr_report_chains(m));
	json_object_update_new(map, mgr_report_fs(m));
	return map;
}

/* ---- metrics ---------------------------------------------------------- */

static void mgr_metrics_targets(const struct mgr_state *st, FILE *f)
{
	u32 i;

	fprintf(f, "# HELP flint_target_capacity_bytes Size of a target.\n"
		   "# TYPE flint_target_capacity_bytes gauge\n");
	for (i = 0; i < st->nr_targets; i++)
		fprintf(f, "flint_target_capacity_bytes{target=\"%u\"} %llu\n", st->targets[i].id,
			(unsigned long long)st->targets[i].capacity);
	fprintf(f, "# HELP flint_target_used_bytes Bytes in use on a target.\n"
		   "# TYPE flint_target_used_bytes gauge\n");
	for (i = 0; i < st->nr_targets; i++)
		fprintf(f, "flint_target_used_bytes{target=\"%u\"} %llu\n", st->targets[i].id,
			(unsigned long long)st->targets[i].used_now);
	fprintf(f, "# HELP flint_target_serving Whether a target serves its chain.\n"
		   "# TYPE flint_target_serving gauge\n");
	for (i = 0; i < st->nr_targets; i++)
		fprintf(f, "flint_target_serving{target=\"%u\"} %d\n", st->targets[i].id,
			st->targets[i].state == FLINT_TARGET_SERVING);
}

/**
 * mgr_report_metrics() - Prometheus text exposition, version 0.0.4
 *
 * Return: malloced text, or NULL without memory.
 */
char *mgr_report_metrics(struct mgr *m)
{
	const struct mgr_state *st = m->st;
	json_t *problems;
	char *text = NULL;
	size_t len;
	FILE *f;
	u32 i;

	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	problems = mgr_problems(m);
	fprintf(f, "# HELP flint_map_epoch Epoch of the cluster map.\n"
		   "# TYPE flint_map_epoch counter\nflint_map_epoch %llu\n",
		(unsigned long long)st->epoch);
	fprintf(f, "# HELP flint_problems Things that 'flint status' complains about.\n"
		   "# TYPE flint_problems gauge\nflint_problems %zu\n",
		json_array_size(problems));
	json_decref(problems);
	fprintf(f, "# HELP flint_node_up Whether a node is heard from.\n"
		   "# TYPE flint_node_up gauge\n");
	for (i = 0; i < st->nr_nodes; i++)
		fprintf(f, "flint_node_up{node=\"%s\",role=\"%s\"} %d\n", st->nodes[i].name,
			mgr_role_name(st->nodes[i].role), st->nodes[i].state == FLINT_NODE_UP);
	mgr_metrics_targets(st, f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
