// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What Prometheus reads. Every manager answers; what heartbeats say is known
 * to the leading one only.
 */
#include "mgrd.h"

static void mgr_metrics_nodes(struct mgr *m, FILE *f)
{
	const struct mgr_state *st = m->st;
	char name[2 * FLINT_LABEL_LEN], labels[192];
	u32 i;

	flint_metric_head(f, "flint_node_up", "gauge", "Whether a node is heard from.");
	for (i = 0; i < st->nr_nodes; i++) {
		snprintf(labels, sizeof(labels), "node=\"%s\",role=\"%s\"",
			 flint_metric_label(st->nodes[i].name, name, sizeof(name)),
			 mgr_role_name(st->nodes[i].role));
		flint_metric_u64(f, "flint_node_up", labels, st->nodes[i].state == FLINT_NODE_UP);
	}
}

static u64 mgr_metric_capacity(struct mgr *m, const struct mgr_target *t)
{
	return t->capacity;
}

static u64 mgr_metric_used(struct mgr *m, const struct mgr_target *t)
{
	return mgr_target_used(m, t);
}

static u64 mgr_metric_serving(struct mgr *m, const struct mgr_target *t)
{
	return t->state == FLINT_TARGET_SERVING;
}

static void mgr_metrics_targets(struct mgr *m, FILE *f)
{
	static const struct {
		const char *name, *help;
		u64 (*value)(struct mgr *m, const struct mgr_target *t);
	} rows[] = {
		{ "flint_target_capacity_bytes", "Size of a target.", mgr_metric_capacity },
		{ "flint_target_used_bytes", "Bytes in use on a target.", mgr_metric_used },
		{ "flint_target_serving", "Whether a target serves its chain.",
		  mgr_metric_serving },
	};
	const struct mgr_state *st = m->st;
	char labels[64];
	unsigned int k;
	u32 i;

	for (k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		flint_metric_head(f, rows[k].name, "gauge", rows[k].help);
		for (i = 0; i < st->nr_targets; i++) {
			snprintf(labels, sizeof(labels), "target=\"%u\"", st->targets[i].id);
			flint_metric_u64(f, rows[k].name, labels,
					 rows[k].value(m, &st->targets[i]));
		}
	}
}

/* How far metadata replicas are behind, as their leader told us. */
static void mgr_metrics_group(struct mgr *m, FILE *f)
{
	const struct mgr_group *g = &m->group;
	u64 last = le64_to_cpu(g->stat.last), match;
	char name[2 * FLINT_LABEL_LEN], labels[192];
	unsigned int i;

	flint_metric_head(f, "flint_meta_replica_behind", "gauge",
			  "Changes that a metadata replica lacks.");
	for (i = 0; i < g->nr; i++) {
		match = g->members[i].flags & FLINT_RAFT_MEMBER_SELF
			? last : le64_to_cpu(g->members[i].match);
		snprintf(labels, sizeof(labels), "node=\"%s\"",
			 flint_metric_label((const char *)g->members[i].name, name, sizeof(name)));
		flint_metric_u64(f, "flint_meta_replica_behind", labels,
				 last > match ? last - match : 0);
	}
}

/* A collector: what this manager knows of the cluster, and itself as a replica. */
void mgr_report_metrics(void *arg, FILE *f)
{
	struct mgr *m = arg;
	json_t *problems = mgr_problems(m);

	flint_metric_one(f, "flint_map_epoch", "gauge", "Epoch of the cluster map.", m->st->epoch);
	flint_metric_one(f, "flint_problems", "gauge",
			 "Things that 'flint status' complains about.", json_array_size(problems));
	json_decref(problems);
	mgr_metrics_nodes(m, f);
	mgr_metrics_targets(m, f);
	mgr_metrics_group(m, f);
	flint_raft_metrics(f, "flint_mgr", flint_raft_status(m->raft));
}
