// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a metadata server says for Prometheus beside its requests: its replica,
 * its state in memory and on disk, sessions and leases.
 */
#include <stdio.h>
#include "../base/metrics.h"
#include "grants.h"

struct row {
	const char *name, *type, *help;
	u64 value;
};

static void print_rows(FILE *f, const struct row *rows, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		flint_metric_one(f, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

static void collect_store(struct metad *m, FILE *f)
{
	struct meta_store_stats st;

	meta_store_stats(&m->store, &st);
	const struct row rows[] = {
		{ "flint_meta_cache_objects", "gauge", "Rows in memory.", st.objects },
		{ "flint_meta_cache_bytes", "gauge", "Memory they take.", st.bytes },
		{ "flint_meta_cache_limit_bytes", "gauge", "Memory they may take.", st.bytes_max },
		{ "flint_meta_cache_dirty_objects", "gauge", "Rows not written yet.",
		  st.dirty + st.frozen },
		{ "flint_meta_cache_hits_total", "counter", "Rows found in memory.", st.hits },
		{ "flint_meta_cache_misses_total", "counter", "Rows asked of the database.",
		  st.misses },
		{ "flint_meta_cache_evictions_total", "counter", "Rows dropped from memory.",
		  st.evictions },
		{ "flint_meta_flushes_total", "counter", "Transactions written.", st.flushes },
		{ "flint_meta_flushed_objects_total", "counter", "Rows written.", st.flushed },
		{ "flint_meta_checkpoints_total", "counter", "Checkpoints of the database.",
		  st.checkpoints },
		{ "flint_meta_flush_waits_total", "counter",
		  "Times that changes waited for the writer.", st.waits },
		{ "flint_meta_durable_index", "gauge", "Last index written to the database.",
		  st.durable },
		{ "flint_meta_database_bytes", "gauge", "Size of the database.", st.file_bytes },
		{ "flint_meta_database_wal_bytes", "gauge", "Size of its log.", st.wal_bytes },
	};

	print_rows(f, rows, sizeof(rows) / sizeof(rows[0]));
	flint_metric_head(f, "flint_meta_flush_seconds_total", "counter", "Spent on writing.");
	flint_metric_real(f, "flint_meta_flush_seconds_total", NULL, (double)st.flush_us / 1e6);
	flint_metric_head(f, "flint_meta_checkpoint_seconds_total", "counter",
			  "Spent on checkpoints.");
	flint_metric_real(f, "flint_meta_checkpoint_seconds_total", NULL,
			  (double)st.checkpoint_us / 1e6);
}

static void collect_leases(struct metad *m, FILE *f)
{
	struct lease_stats st;

	lease_stats(metad_lease_table(m), &st);
	const struct row rows[] = {
		{ "flint_meta_sessions", "gauge", "Sessions of clients (leader only).",
		  HASH_COUNT(m->sessions) },
		{ "flint_meta_leases", "gauge", "Leases held by clients.", st.leases },
		{ "flint_meta_lease_grants_total", "counter", "Leases given.", st.grants },
		{ "flint_meta_lease_refusals_total", "counter", "Leases not given.", st.refusals },
		{ "flint_meta_lease_recalls_total", "counter", "Leases asked back.", st.recalls },
		{ "flint_meta_lease_returns_total", "counter", "Leases that came back.", st.returns },
		{ "flint_meta_lease_expiries_total", "counter",
		  "Leases whose client did not answer a recall.", st.expiries },
		{ "flint_meta_sessions_to_reclaim", "gauge",
		  "Sessions that the grace period waits for.", st.to_reclaim },
	};

	print_rows(f, rows, sizeof(rows) / sizeof(rows[0]));
}

void metad_collect(void *arg, FILE *f)
{
	struct metad *m = arg;

	if (m->log)
		flint_raft_metrics(f, "flint_meta", flint_raft_status(meta_log_raft(m->log)));
	flint_metric_one(f, "flint_meta_map_epoch", "gauge", "Epoch of the cluster map it knows.",
			 m->cluster ? flint_cluster_epoch(m->cluster) : 0);
	collect_store(m, f);
	collect_leases(m, f);
	metad_reaper_collect(m->reaper, f);
}
