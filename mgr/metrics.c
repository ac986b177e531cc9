// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What Prometheus reads. Every manager answers; what heartbeats say is known
 * to the leading one only.
 */
#include <stdio.h>
#include <stdlib.h>

#include "mgrd.h"

static void mgr_metrics_targets(struct mgr *m, FILE *f)
{
	const struct mgr_state *st = m->st;
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
			(unsigned long long)mgr_target_used(m, &st->targets[i]));
	fprintf(f, "# HELP flint_target_serving Whether a target serves its chain.\n"
		   "# TYPE flint_target_serving gauge\n");
	for (i = 0; i < st->nr_targets; i++)
		fprintf(f, "flint_target_serving{target=\"%u\"} %d\n", st->targets[i].id,
			st->targets[i].state == FLINT_TARGET_SERVING);
}

static void mgr_metrics_replicas(struct mgr *m, FILE *f)
{
	const struct flint_raft_status *st = flint_raft_status(m->raft);
	const struct {
		const char *name, *help, *type;
		u64 value;
	} rows[] = {
		{ "flint_mgr_leader", "Whether this manager leads.", "gauge", mgr_leads(m) },
		{ "flint_mgr_term", "Term of the managers' log.", "counter", st->term },
		{ "flint_mgr_commit_index", "Last index known to be committed.", "counter",
		  st->commit },
		{ "flint_mgr_applied_index", "Last index applied here.", "counter", st->applied },
		{ "flint_mgr_elections", "Elections seen since the start.", "counter",
		  st->elections },
		{ "flint_mgr_log_bytes", "Size of raft.db.", "gauge", st->log_bytes },
		{ "flint_meta_term", "Term of the metadata's log.", "counter",
		  le64_to_cpu(m->group.stat.term) },
		{ "flint_meta_commit_index", "Last index known to be committed.", "counter",
		  le64_to_cpu(m->group.stat.commit) },
	};
	unsigned int i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fprintf(f, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", rows[i].name, rows[i].help,
			rows[i].name, rows[i].type, rows[i].name,
			(unsigned long long)rows[i].value);
	fprintf(f, "# HELP flint_meta_replica_behind Changes that a metadata replica lacks.\n"
		   "# TYPE flint_meta_replica_behind gauge\n");
	for (i = 0; i < m->group.nr; i++) {
		u64 last = le64_to_cpu(m->group.stat.last);
		u64 match = m->group.members[i].flags & FLINT_RAFT_MEMBER_SELF
			? last : le64_to_cpu(m->group.members[i].match);

		fprintf(f, "flint_meta_replica_behind{node=\"%s\"} %llu\n",
			(const char *)m->group.members[i].name,
			(unsigned long long)(last > match ? last - match : 0));
	}
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
	mgr_metrics_targets(m, f);
	mgr_metrics_replicas(m, f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
