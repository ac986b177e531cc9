// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-metad, the metadata server: options, start, stop.
 *
 * Start goes from what can fail for the user's reasons (options, key, state,
 * databases, ports) to what cannot. Stop: the loop ends, what was proposed is
 * written and refused, then everything goes in reverse.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "backup.h"
#include "grants.h"
#include "locks.h"
#include "../base/addr.h"
#include "../base/conf.h"
#include "../base/daemon.h"
#include "../base/key.h"
#include "../base/log.h"
#include "../net/endpoint.h"
#include "../net/scrape.h"

struct options {
	char *state;
	char *key;
	char *mgr;
	struct flint_endpoint_options ep;
	char *raft_addr;
	char *metrics;
	bool found;
	uint64_t lease_ms, max_leases, valid_ms, reap_rate, cache_mib, time_scale, log_keep;
	uint64_t backup_hours, backup_keep, backup_rate;
	char *backup_dir, *restore;
};

#define OFF(member)	offsetof(struct options, member)

#define STILL_PART	8	/* of a session lease between two timers; they are due in a twentieth */
#define STILL_WARN_NS	2000000000ull

static const struct flint_conf_opt opts[] = {
	{ "state", 's', FLINT_CONF_STR, OFF(state), "/var/lib/flintfs/meta", "DIR",
	  "state directory", 0, 0, FLINT_CONF_REQUIRED },
	{ "key", 'k', FLINT_CONF_STR, OFF(key), FLINT_KEY_FILE, "FILE",
	  "cluster key, made by 'flint cluster init'", 0, 0, 0 },
	{ "mgr", 'm', FLINT_CONF_STR, OFF(mgr), NULL, "HOST:PORT,...",
	  "managers (TCP)", 0, 0, 0 },
	FLINT_ENDPOINT_OPTS(OFF(ep), "7451", "7452"),
	FLINT_SCRAPE_OPT(OFF(metrics), "7453"),
	{ "raft-address", 0, FLINT_CONF_STR, OFF(raft_addr), NULL, "HOST:PORT",
	  "where the other replicas reach this one (default: as the managers see it)", 0, 0, 0 },
	{ "found", 0, FLINT_CONF_BOOL, OFF(found), "no", NULL,
	  "an empty replica begins a new group without asking a manager: for a server of its own",
	  0, 0, 0 },
	{ "log-keep", 0, FLINT_CONF_SIZE, OFF(log_keep), "64M", "BYTES",
	  "of log kept for replicas that come back after a while; without it they get a snapshot",
	  1, 0, 0 },
	{ "time-scale", 0, FLINT_CONF_U64, OFF(time_scale), "1", "N",
	  "multiplies the times of the protocol between replicas, for slow machines", 1, 100, 0 },
	{ "lease-ms", 0, FLINT_CONF_U64, OFF(lease_ms), "30000", "MS",
	  "a client without a connection for so long loses its session", 1000, 3600000, 0 },
	{ "max-leases", 0, FLINT_CONF_U64, OFF(max_leases), "262144", "N",
	  "leases kept at most, about 350 bytes each; the oldest are recalled beyond", 64, 1u << 28, 0 },
	{ "attr-valid-ms", 0, FLINT_CONF_U64, OFF(valid_ms), "1000", "MS",
	  "how long clients may cache attributes and names", 0, 3600000, 0 },
	{ "cache-mib", 0, FLINT_CONF_U64, OFF(cache_mib), "0", "MIB",
	  "memory for inodes and names; 0: a quarter of the machine's", 0, 1 << 30, 0 },
	{ "backup-hours", 0, FLINT_CONF_U64, OFF(backup_hours), "24", "N",
	  "hours between automatic backups; 0: none", 0, 24 * 366, 0 },
	{ "backup-keep", 0, FLINT_CONF_U64, OFF(backup_keep), "3", "N",
	  "automatic backups that are kept", 1, 10000, 0 },
	{ "backup-dir", 0, FLINT_CONF_STR, OFF(backup_dir), NULL, "DIR",
	  "where backups go (default: backup in the state directory)", 0, 0, 0 },
	{ "backup-rate", 0, FLINT_CONF_U64, OFF(backup_rate), "200", "MIB",
	  "MiB a second that a backup writes at most; 0: no limit", 0, 1 << 20, 0 },
	{ "restore", 0, FLINT_CONF_STR, OFF(restore), NULL, "FILE",
	  "make a backup the state of an empty directory, and end", 0, 0, 0 },
	{ "reap-rate", 0, FLINT_CONF_U64, OFF(reap_rate), "2000", "N",
	  "deleted files whose data is removed in a second, at most", 1, 1000000, 0 },
	{ 0 },
};

static const struct flint_conf_spec spec = {
	.prog = "flint-metad",
	.doc = "Serve the metadata of FlintFS file systems: names, attributes, layouts, sessions.",
	.opts = opts,
	.config = "/etc/flintfs/flint-metad.conf",
};

/* Everything that start makes beyond struct metad. */
struct run {
	struct metad m;
	struct options o;
	uint8_t key[FLINT_KEY_LEN];
	struct flint_endpoint ep;
	struct flint_cluster_config cluster;
	struct flint_signals signals;
	struct flint_addr addr;
	struct flint_scrape *scrape;
	int dirfd, lockfd;
};

/* Own address for the other replicas: as told, or the first one we listen on. */
static int raft_addr(struct run *r, char *err, size_t errlen)
{
	struct sockaddr_storage sa = r->ep.addrs[0];
	int ret;

	if (r->o.raft_addr) {
		ret = flint_addr_parse(r->o.raft_addr, r->ep.tcp_port, &sa, err, errlen);
		if (ret)
			return ret;
		return flint_addr_to_wire(&sa, FLINT_PROTO_TCP, &r->addr);
	}
	flint_addr_set_port(&sa, r->ep.tcp_port);
	ret = flint_addr_to_wire(&sa, FLINT_PROTO_TCP, &r->addr);
	if (r->ep.any)
		r->addr.family = 0;
	return ret;
}

static int options_check(struct run *r, char *err, size_t errlen)
{
	struct options *o = &r->o;
	int n;

	if (!o->mgr) {
		snprintf(err, errlen, "no managers are given: say --mgr HOST:PORT,...");
		return -EINVAL;
	}
	n = flint_endpoint_check(&r->ep, &o->ep, err, errlen);
	if (n)
		return n;
	n = raft_addr(r, err, errlen);
	if (n)
		return n;
	return flint_cluster_config_load(&r->cluster, o->mgr, o->key, r->key, err, errlen);
}

static u64 group_id(struct metad *m)
{
	return flint_raft_status(meta_log_raft(m->log))->group;
}

static void on_fatal(void *arg, const char *why)
{
	struct metad *m = arg;

	flint_err("%s", why);
	m->failed = true;
	if (m->loop)
		flint_loop_stop(m->loop);
}

/* Flusher thread: it has something to report. */
static void on_flusher(void *arg)
{
	struct metad *m = arg;

	if (!atomic_exchange(&m->store_posted, true))
		flint_loop_post(m->loop, &m->store_task);
}

static void on_store_task(struct flint_task *t)
{
	struct metad *m = (struct metad *)((char *)t - offsetof(struct metad, store_task));

	atomic_store(&m->store_posted, false);
	/* Posted while it was being closed? */
	if (m->store.flusher)
		meta_store_poll(&m->store);
}

static void on_durable(void *arg, u64 index, u64 term)
{
	struct metad *m = arg;

	if (m->log)
		meta_log_durable(m->log, index, term);
}

static void on_store_tick(struct flint_timer *t)
{
	struct metad *m = t->arg;

	meta_store_tick(&m->store);
	flint_timer_set(m->loop, &m->store_tick, 100);
}

static int on_revoked(void *arg, const struct flint_token *token)
{
	struct metad *m = arg;

	return flint_cluster_token_revoked(m->cluster, token);
}

static uint64_t on_map_epoch(void *arg)
{
	struct metad *m = arg;

	return m->cluster ? flint_cluster_epoch(m->cluster) : 0;
}

/*
 * Time in which clients could not be heard: this server stood still (stopped, starved, its
 * machine suspended), or led without its lease among the replicas, so that another one may
 * lead by now. What clients said to this one is read only after this, and what they said to
 * another one is not known here: nobody is ended, nor fenced, for having been silent then.
 */
static void check_time(struct metad *m)
{
	u64 now = flint_now_ns(), gap = m->ticked_ns ? now - m->ticked_ns : 0;

	m->ticked_ns = now;
	if (!m->leading || (gap < m->lease_ms * 1000000ull / STILL_PART &&
			    flint_raft_readable(meta_log_raft(m->log))))
		return;
	if (gap >= STILL_WARN_NS)
		flint_warn("this server stood still for %llu ms: sessions and recalls get that time on top",
			   (unsigned long long)(gap / 1000000));
	metad_sessions_unheard(m, now, gap);
	lease_unheard(metad_lease_table(m), now, gap);
	metad_fences_unheard(m, gap);
}

/* Recalls and requests that wait have finer times than sessions. */
static void on_lease_tick(struct flint_timer *t)
{
	struct metad *m = t->arg;
	u32 ms = m->lease_ms / 20;

	check_time(m);
	if (m->leading) {
		lease_tick(metad_lease_table(m), flint_now_ns());
		metad_changes_tick(m);
		metad_cuts_tick(m);
	}
	flint_timer_set(m->loop, t, ms < 10 ? 10 : ms > 500 ? 500 : ms);
}

static void on_tick(struct flint_timer *t)
{
	struct metad *m = t->arg;

	check_time(m);
	if (m->leading)
		metad_sessions_expire(m);
	flint_timer_set(m->loop, &m->tick, 1000);
}

/* ---- start and stop, in layers -------------------------------------------------- */

static int state_start(struct run *r, char *err, size_t errlen)
{
	struct meta_store_config cfg = { 0 };
	int ret;

	r->dirfd = flint_state_open(r->o.state, err, errlen);
	if (r->dirfd < 0)
		return r->dirfd;
	r->lockfd = flint_state_lock(r->dirfd, r->o.state, err, errlen);
	if (r->lockfd < 0) {
		close(r->dirfd);
		return r->lockfd;
	}
	flint_state_warn_fs(r->dirfd, r->o.state);
	cfg.dir = r->o.state;
	cfg.cache_bytes = r->o.cache_mib << 20;
	cfg.wake = on_flusher;
	cfg.durable = on_durable;
	cfg.fatal = on_fatal;
	cfg.arg = &r->m;
	ret = meta_store_open(&r->m.store, &cfg, err, errlen);
	if (!ret)
		return 0;
	close(r->lockfd);
	close(r->dirfd);
	return ret;
}

static void state_stop(struct run *r)
{
	meta_store_flush(&r->m.store);
	meta_store_close(&r->m.store);
	close(r->lockfd);
	close(r->dirfd);
}

static int log_start(struct run *r, char *err, size_t errlen)
{
	struct metad *m = &r->m;
	struct meta_log_config cfg = {
		.store = &m->store, .role = metad_role, .replacing = metad_jobs_hold,
		.fatal = on_fatal, .arg = m,
		.raft = { .loop = m->loop, .dir = r->o.state, .name = r->ep.name, .addr = r->addr,
			  .key = r->key, .time_scale = r->o.time_scale,
			  .keep_bytes = r->o.log_keep },
	};

	m->reaper = metad_reaper_new(m, r->o.reap_rate);
	m->leases = metad_leases_new(m, r->o.max_leases);
	m->locks = metad_locks_new(m);
	m->hints = metad_hints_new(m);
	if (!m->reaper || !m->leases || !m->locks || !m->hints) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	/* State of a time before replication: the first entry of its log comes after it. */
	if (!m->store.index && m->store.c.applied)
		meta_store_applied(&m->store, 1, 0);
	if (meta_store_flush(&m->store)) {
		snprintf(err, errlen, "the state in %s cannot be written", r->o.state);
		return -EIO;
	}
	m->log = meta_log_new(&cfg, err, errlen);
	return m->log ? 0 : -errno;
}

static int net_start(struct run *r, char *err, size_t errlen)
{
	struct metad *m = &r->m;
	struct flint_server_config cfg = {
		.role = FLINT_ROLE_META, .key = r->key, .max_io = METAD_MAX_IO, .pool = m->pool,
		.loops = &m->loop, .nr_loops = 1, .request = metad_request,
		.opened = metad_conn_opened, .closed = metad_conn_closed, .pushes = true,
		.map_epoch = on_map_epoch, .revoked = on_revoked, .metrics = &m->metrics, .arg = m,
	};

	r->cluster.loop = m->loop;
	r->cluster.role = FLINT_ROLE_META;
	r->cluster.name = r->ep.name;
	r->cluster.proto = FLINT_PROTO_TCP;
	flint_random(r->cluster.client_id, sizeof(r->cluster.client_id));
	m->cluster = flint_cluster_new(&r->cluster);
	m->server = m->cluster ? flint_server_new(&cfg) : NULL;
	if (!m->server) {
		snprintf(err, errlen, "the network cannot be set up (%s)", strerror(errno));
		return -errno;
	}
	return flint_endpoint_listen(&r->ep, r->m.server, err, errlen);
}

static int metrics_start(struct run *r, char *err, size_t errlen)
{
	struct metad *m = &r->m;

	m->metrics.program = "flint-metad";
	m->collect[0] = (struct flint_collector){ .fn = metad_collect, .arg = m };
	m->collect[1] = (struct flint_collector){ .fn = flint_server_collect, .arg = m->server };
	flint_metrics_add(&m->metrics, &m->collect[0]);
	flint_metrics_add(&m->metrics, &m->collect[1]);
	return flint_scrape_start(&r->scrape, m->loop, r->o.metrics, &r->ep, r->key, &m->metrics,
				  err, errlen);
}

static int join_start(struct run *r, char *err, size_t errlen)
{
	struct metad *m = &r->m;
	struct flint_member_config cfg = {
		.cluster = m->cluster, .loop = m->loop, .role = FLINT_ROLE_META, .name = r->ep.name,
		.tcp_port = r->ep.tcp_port, .rdma_port = r->ep.rdma_port,
		.replica = metad_replica_beat, .ordered = metad_replica_ordered, .arg = m,
	};
	const struct metad_jobs_config jobs = {
		.state = r->o.state, .dir = r->o.backup_dir, .node = r->ep.name,
		.every_hours = r->o.backup_hours, .keep = r->o.backup_keep,
		.rate_mib = r->o.backup_rate, .group = group_id,
	};

	flint_endpoint_addrs(&r->ep, cfg.addrs);
	m->jobs = metad_jobs_new(m, &jobs);
	if (r->o.found && !flint_raft_status(meta_log_raft(m->log))->group)
		flint_raft_found(meta_log_raft(m->log), flint_random_u64(), NULL);
	m->member = m->jobs ? flint_member_new(&cfg) : NULL;
	if (!m->member) {
		snprintf(err, errlen, "the server cannot start (%s)", strerror(errno));
		return -ENOMEM;
	}
	m->lease_tick.fn = on_lease_tick;
	m->lease_tick.arg = m;
	flint_timer_set(m->loop, &m->lease_tick, 10);
	m->tick.fn = on_tick;
	m->tick.arg = m;
	flint_timer_set(m->loop, &m->tick, 1000);
	m->store_tick.fn = on_store_tick;
	m->store_tick.arg = m;
	flint_timer_set(m->loop, &m->store_tick, 100);
	return 0;
}

/* Whatever of it was started. */
static void net_stop(struct run *r)
{
	struct metad *m = &r->m;

	flint_scrape_stop(r->scrape);
	metad_reaper_stop(m->reaper);
	metad_jobs_free(m->jobs);
	metad_changes_fail(m);
	meta_log_free(m->log);
	m->log = NULL;
	metad_cuts_drop(m, FLINT_ST_SHUTDOWN);
	if (m->server)
		flint_server_free(m->server);
	if (m->member)
		flint_member_free(m->member);
	if (m->cluster)
		flint_cluster_free(m->cluster);
	metad_fences_free(m);
	metad_settles_free(m);
	metad_reaper_free(m->reaper);
	metad_sessions_free(m);
	metad_leases_free(m);
	metad_locks_free(m);
	metad_hints_free(m);
}

static int run(struct run *r, char *err, size_t errlen)
{
	struct metad *m = &r->m;
	int ret;

	ret = state_start(r, err, errlen);
	if (ret)
		return ret;
	ret = -ENOMEM;
	snprintf(err, errlen, "out of memory");
	m->store_task.fn = on_store_task;
	m->loop = flint_loop_new();
	m->key = r->key;
	m->pool = m->loop ? flint_pool_new(METAD_MAX_IO, METAD_POOL_BUFS) : NULL;
	if (!m->pool)
		goto out;
	flint_loop_gather(m->loop);
	ret = flint_signals_start(&r->signals, m->loop);
	if (ret) {
		snprintf(err, errlen, "signals cannot be received (%s)", strerror(-ret));
		goto out;
	}
	ret = log_start(r, err, errlen);
	if (!ret)
		ret = net_start(r, err, errlen);
	if (!ret)
		ret = metrics_start(r, err, errlen);
	if (!ret)
		ret = join_start(r, err, errlen);
	if (!ret) {
		flint_info("serving %s on port %u", r->o.state, (unsigned int)r->ep.tcp_port);
		flint_notify("READY=1");
		flint_thread_prompt();
		ret = flint_loop_run(m->loop);
		flint_notify("STOPPING=1");
		snprintf(err, errlen, "the event loop failed (%s)", strerror(-ret));
	}
	net_stop(r);
	flint_signals_end(&r->signals);
out:
	state_stop(r);		/* its thread posts to the loop */
	if (m->pool)
		flint_pool_free(m->pool);
	if (m->loop)
		flint_loop_free(m->loop);
	return ret;
}

static int serve(struct run *r, char *err, size_t errlen)
{
	int ret = options_check(r, err, errlen);

	return ret ? ret : run(r, err, errlen);
}

/* A backup becomes the state of a directory that has none. */
static int restore(struct run *r, char *err, size_t errlen)
{
	char say[512];
	int ret;

	r->dirfd = flint_state_open(r->o.state, err, errlen);
	if (r->dirfd < 0)
		return r->dirfd;
	r->lockfd = flint_state_lock(r->dirfd, r->o.state, err, errlen);
	if (r->lockfd < 0) {
		close(r->dirfd);
		return r->lockfd;
	}
	ret = meta_backup_restore(r->o.restore, r->o.state, say, sizeof(say));
	if (ret)
		snprintf(err, errlen, "%s", say);
	else
		flint_info("restored %s into %s: %s", r->o.restore, r->o.state, say);
	close(r->lockfd);
	close(r->dirfd);
	return ret;
}

int main(int argc, char **argv)
{
	static struct run r;
	char err[512] = "";
	bool verbose = false;
	int ret;

	flint_conf_parse_or_exit(&spec, argc, argv, &r.o, &verbose);
	flint_log_init("flint-metad", verbose ? FLINT_LOG_DEBUG : FLINT_LOG_INFO);
	flint_signals_block();
	flint_daemon_harden();
	meta_sqlite_init();
	r.m.lease_ms = r.o.lease_ms;
	r.m.valid_ms = r.o.valid_ms;

	ret = r.o.restore ? restore(&r, err, sizeof(err)) : serve(&r, err, sizeof(err));
	if (ret)
		flint_err("%s", err);
	else if (!r.m.failed && !r.o.restore)
		flint_info("stopped");
	flint_conf_free(&spec, &r.o);
	return ret || r.m.failed ? 1 : 0;
}
