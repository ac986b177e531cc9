// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a chunk server says for Prometheus beside its requests: each target's
 * space, bytes, log, checkpoints, errors and queue.
 *
 * Runs on the main loop. Stores belong to other threads: their words are read
 * as they are, a moment old perhaps.
 */
#include <stdio.h>
#include "../base/metrics.h"
#include "heal.h"
#include "service.h"

struct target_row {
	const char *name, *type, *help;
	u64 (*value)(const struct chunkd_target *t);
};

#define VALUE(fn, expr)								\
	static u64 fn(const struct chunkd_target *t)				\
	{									\
		return (u64)(expr);						\
	}

/* Recovery, repair and scrub are made with the target; 0 before. */
#define HEAL(fn, member)							\
	static u64 fn(const struct chunkd_target *t)				\
	{									\
		return t->heal ? (u64)atomic_load(&t->heal->member) : 0;		\
	}

HEAL(v_sync_done, sync_done)
HEAL(v_sync_total, sync_total)
HEAL(v_sync_bytes, sync_bytes)
HEAL(v_errors, errors)
HEAL(v_repaired, repaired)
HEAL(v_lost, lost)
HEAL(v_own_errors, own_errors)
HEAL(v_conflict, conflict)
HEAL(v_scrubbing, scrubbing)
VALUE(v_serving, atomic_load(&t->place) != 0)
VALUE(v_chain, atomic_load(&t->place) >> 32)
VALUE(v_chain_ver, atomic_load(&t->place) & 0xffffffff)
VALUE(v_capacity, flint_store_capacity(t->st))
VALUE(v_used, flint_store_used(t->st))
VALUE(v_chunks, t->st->index.chunks.used)
VALUE(v_inodes, t->st->index.inodes.used)
VALUE(v_memory, flint_store_memory(t->st))
VALUE(v_offline, t->st->offline)
VALUE(v_queued, t->queued)
VALUE(v_held, t->st->nr_held)
VALUE(v_read, t->st->stats.read_bytes)
VALUE(v_write, t->st->stats.write_bytes)
VALUE(v_dev_read, t->st->stats.device_read_bytes)
VALUE(v_dev_write, t->st->stats.device_write_bytes)
VALUE(v_log_write, t->st->stats.log_write_bytes)
VALUE(v_log_groups, t->st->stats.log_groups)
VALUE(v_log_records, t->st->stats.log_records)
VALUE(v_log_used, flint_wal_used(&t->st->wal))
VALUE(v_ckpts, t->st->stats.checkpoints)
VALUE(v_discard, t->st->stats.discard_bytes)
VALUE(v_crc, t->st->stats.crc_errors)
VALUE(v_io, t->st->stats.io_errors)

static const struct target_row rows[] = {
	{ "flint_chunk_target_capacity_bytes", "gauge", "Room for data.", v_capacity },
	{ "flint_chunk_target_used_bytes", "gauge", "Of it in use.", v_used },
	{ "flint_chunk_target_chunks", "gauge", "Chunks.", v_chunks },
	{ "flint_chunk_target_inodes", "gauge", "Inodes that have chunks or a tombstone.",
	  v_inodes },
	{ "flint_chunk_target_index_memory_bytes", "gauge", "Memory of the index.", v_memory },
	{ "flint_chunk_target_offline", "gauge", "Whether the target was given up after errors.",
	  v_offline },
	{ "flint_chunk_target_requests_in_flight", "gauge", "Requests under way.", v_queued },
	{ "flint_chunk_target_held_changes", "gauge",
	  "Changes that replicas behind have not acknowledged.", v_held },
	{ "flint_chunk_target_read_bytes_total", "counter", "Payload read.", v_read },
	{ "flint_chunk_target_write_bytes_total", "counter", "Payload written.", v_write },
	{ "flint_chunk_target_device_read_bytes_total", "counter", "Read from the device.",
	  v_dev_read },
	{ "flint_chunk_target_device_write_bytes_total", "counter",
	  "Data written to the device.", v_dev_write },
	{ "flint_chunk_target_discarded_bytes_total", "counter",
	  "Free space given back to the device.", v_discard },
	{ "flint_chunk_target_log_write_bytes_total", "counter", "Log written to the device.",
	  v_log_write },
	{ "flint_chunk_target_log_groups_total", "counter", "Group commits.", v_log_groups },
	{ "flint_chunk_target_log_records_total", "counter", "Records in them.", v_log_records },
	{ "flint_chunk_target_log_used_bytes", "gauge",
	  "Log since the last checkpoint, read at a start.", v_log_used },
	{ "flint_chunk_target_serving", "gauge", "Whether requests are served now.", v_serving },
	{ "flint_chunk_target_chain", "gauge", "Chain that it serves, 0: none.", v_chain },
	{ "flint_chunk_target_chain_version", "gauge", "Its version.", v_chain_ver },
	{ "flint_chunk_target_recovery_total_bytes", "gauge",
	  "What the target behind is brought up to date with now, 0: nothing.", v_sync_total },
	{ "flint_chunk_target_recovery_done_bytes", "gauge", "Of it done.", v_sync_done },
	{ "flint_chunk_target_recovery_sent_bytes_total", "counter", "Sent by recovery.",
	  v_sync_bytes },
	{ "flint_chunk_target_conflict", "gauge",
	  "Whether recovery stopped because replicas disagree.", v_conflict },
	{ "flint_chunk_target_scrubbing", "gauge", "Whether a scrub is under way.",
	  v_scrubbing },
	{ "flint_chunk_target_damaged_blocks_total", "counter",
	  "Damaged blocks found, by whoever read.", v_errors },
	{ "flint_chunk_target_repaired_blocks_total", "counter", "Of them repaired.",
	  v_repaired },
	{ "flint_chunk_target_lost_blocks_total", "counter",
	  "Of them without a good copy anywhere.", v_lost },
	{ "flint_chunk_target_damaged_structures_total", "counter",
	  "Of them superblocks, or places in the log or a checkpoint.", v_own_errors },
	{ "flint_chunk_target_checkpoints_total", "counter", "Checkpoints.", v_ckpts },
	{ "flint_chunk_target_checksum_errors_total", "counter",
	  "Blocks that failed their checksum.", v_crc },
	{ "flint_chunk_target_io_errors_total", "counter", "Errors of the device.", v_io },
};

static void collect_targets(const struct flint_chunkd *d, FILE *f)
{
	char labels[32];
	unsigned int k, i;

	for (k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		flint_metric_head(f, rows[k].name, rows[k].type, rows[k].help);
		for (i = 0; i < d->nr_targets; i++) {
			if (d->targets[i].gone)
				continue;
			snprintf(labels, sizeof(labels), "target=\"%u\"", d->targets[i].st->id);
			flint_metric_u64(f, rows[k].name, labels, rows[k].value(&d->targets[i]));
		}
	}
}

void chunkd_collect(void *arg, FILE *f)
{
	struct flint_chunkd *d = arg;

	flint_metric_one(f, "flint_chunk_map_epoch", "gauge",
			 "Epoch of the cluster map it knows.", chunkd_map_epoch(d));
	flint_metric_one(f, "flint_chunk_lease_valid", "gauge",
			 "Whether the managers' lease lets it serve.",
			 !d->member || flint_member_lease_valid(d->member));
	collect_targets(d, f);
}
