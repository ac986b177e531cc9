// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A replica's state for Prometheus.
 */
#include <stdio.h>
#include "../base/metrics.h"
#include "node.h"

void flint_raft_metrics(FILE *f, const char *prefix, const struct flint_raft_status *st)
{
	const struct {
		const char *name, *type, *help;
		u64 value;
	} rows[] = {
		{ "leader", "gauge", "Whether this replica leads and is ready.",
		  st->role == FLINT_REPLICA_LEADER && st->ready },
		{ "raft_has_leader", "gauge", "Whether this replica knows a leader.", !!st->leader },
		{ "raft_members", "gauge", "Replicas in the group.", st->nr_members },
		{ "raft_term", "gauge", "Term of the log.", st->term },
		{ "raft_last_index", "gauge", "Last index in the log here.", st->last },
		{ "raft_commit_index", "gauge", "Last index known to be committed.", st->commit },
		{ "raft_applied_index", "gauge", "Last index applied here.", st->applied },
		{ "raft_commit_lag", "gauge", "Entries in the log here that are not committed.",
		  st->last > st->commit ? st->last - st->commit : 0 },
		{ "raft_apply_lag", "gauge", "Committed entries that are not applied here.",
		  st->commit > st->applied ? st->commit - st->applied : 0 },
		{ "raft_log_bytes", "gauge", "Size of raft.db.", st->log_bytes },
		{ "raft_low_space", "gauge", "Whether the disk of the log is nearly full.",
		  st->low_space },
		{ "raft_entries_total", "counter", "Entries written.", st->entries },
		{ "raft_syncs_total", "counter", "Times the log was made durable.", st->syncs },
		{ "raft_elections_total", "counter", "Elections seen.", st->elections },
		{ "raft_snapshots_sent_total", "counter", "Snapshots sent.", st->snapshots_sent },
		{ "raft_snapshots_loaded_total", "counter", "Snapshots loaded.",
		  st->snapshots_loaded },
	};
	char name[96];
	unsigned int i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(name, sizeof(name), "%s_%s", prefix, rows[i].name);
		flint_metric_one(f, name, rows[i].type, rows[i].help, rows[i].value);
	}
	snprintf(name, sizeof(name), "%s_raft_fsync_seconds_avg", prefix);
	flint_metric_head(f, name, "gauge", "What making the log durable took of late.");
	flint_metric_real(f, name, NULL, (double)st->fsync_us_avg / 1e6);
	snprintf(name, sizeof(name), "%s_raft_fsync_seconds_max", prefix);
	flint_metric_head(f, name, "gauge", "What it took at most, of late.");
	flint_metric_real(f, name, NULL, (double)st->fsync_us_max / 1e6);
}
