// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-mgrd, the cluster manager: options, start, the periodic tick, stop.
 *
 * Start goes from what can fail for the user's reasons (options, key, state,
 * ports) to what cannot; nothing is created before the options are known to be
 * right. Stop is the reverse.
 */
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../userd/base/addr.h"
#include "../userd/base/conf.h"
#include "../userd/base/daemon.h"
#include "../userd/base/key.h"
#include "../userd/base/log.h"
#include "mgrd.h"

#define MGR_USAGE_NS	(10ull * 1000000000)	/* small differences of usage: this often */

#define MGR_OFF(member)	offsetof(struct mgr_options, member)

static const struct flint_conf_opt mgr_opts[] = {
	{ "state", 's', FLINT_CONF_STR, MGR_OFF(state), "/var/lib/flintfs/mgr", "DIR",
	  "state directory", 0, 0, FLINT_CONF_REQUIRED },
	{ "key", 'k', FLINT_CONF_STR, MGR_OFF(key), FLINT_KEY_FILE, "FILE",
	  "cluster key, made by 'flint cluster init'", 0, 0, 0 },
	FLINT_ENDPOINT_OPTS(MGR_OFF(ep), "7441", "7442"),
	{ "http-port", 0, FLINT_CONF_U64, MGR_OFF(http_port), "7440", "N",
	  "port of the admin API, 0: none", 0, 65535, 0 },
	{ "cluster-name", 0, FLINT_CONF_STR, MGR_OFF(cluster_name), "flint", "NAME",
	  "name given to a new cluster", 0, 0, 0 },
	{ "join", 0, FLINT_CONF_STR, MGR_OFF(join), NULL, "HOST:PORT,...",
	  "with an empty state directory: become one more manager of the cluster whose managers these are",
	  0, 0, 0 },
	{ "time-scale", 0, FLINT_CONF_U64, MGR_OFF(time_scale), "1", "N",
	  "multiply all protocol times, for slow emulated machines", 1, 100, 0 },
	{ 0 },
};

static const struct flint_conf_spec mgr_spec = {
	.prog = "flint-mgrd",
	.doc = "Manage a FlintFS cluster: membership, chains, file systems, the cluster map.",
	.opts = mgr_opts,
	.config = "/etc/flintfs/flint-mgrd.conf",
};

/* ---- our own place in the map ----------------------------------------- */

/* Without --listen: the addresses of this machine that others may know. */
static unsigned int mgr_self_interfaces(const struct flint_endpoint *ep, struct flint_addr *addrs)
{
	struct ifaddrs *list, *i;
	unsigned int nr = 0;

	if (getifaddrs(&list))
		return 0;
	for (i = list; i; i = i->ifa_next) {
		struct sockaddr_storage sa = { 0 };

		if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
			continue;
		if (i->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&sa, i->ifa_addr, sizeof(struct sockaddr_in));
		nr = flint_endpoint_add(ep, &sa, addrs, nr);
	}
	freeifaddrs(list);
	return nr;
}

int mgr_self_addrs(const struct mgr *m, struct flint_addr *addrs)
{
	unsigned int nr = flint_endpoint_addrs(m->ep, addrs);

	return m->ep->any ? mgr_self_interfaces(m->ep, addrs) : nr;
}

void mgr_identify(struct mgr *m)
{
	const struct mgr_node *n = mgr_node_find_name(m->st, FLINT_ROLE_MGR, m->name);

	flint_server_identify(m->srv, n ? n->id : 0,
			      m->st->epoch || !m->seed ? m->st->set.cluster_id
						       : m->seed->set.cluster_id);
}

/* ---- start ------------------------------------------------------------ */

/* Check what the option table cannot. Return: 0 or -EINVAL. */
static int mgr_options_check(struct mgr *m, const struct mgr_options *o, char *err, size_t errlen)
{
	if (o->http_port && (o->http_port == o->ep.tcp_port || o->http_port == o->ep.rdma_port)) {
		snprintf(err, errlen, "--http-port %llu is taken by --tcp-port or --rdma-port",
			 (unsigned long long)o->http_port);
		return -EINVAL;
	}
	if (o->join) {
		int n = flint_addr_parse_list(o->join, FLINT_PORT_MGR_TCP, m->join, FLINT_LISTEN_MAX,
					      err, errlen);

		if (n < 0)
			return n;
		m->nr_join = n;
	}
	if (strlen(o->cluster_name) >= FLINT_LABEL_LEN) {
		snprintf(err, errlen, "--cluster-name takes at most %d bytes", FLINT_LABEL_LEN - 1);
		return -EINVAL;
	}
	return 0;
}

/* The admin API, on every address. */
static int mgr_listen_http(struct mgr *m, const struct flint_endpoint *ep, u16 port, char *err,
			   size_t errlen)
{
	unsigned int i;

	for (i = 0; i < ep->nr && port; i++) {
		struct sockaddr_storage sa = ep->addrs[i];

		flint_addr_set_port(&sa, port);
		m->http[i] = mgr_http_start(m, &sa, err, errlen);
		if (!m->http[i])
			return -EADDRINUSE;
	}
	return 0;
}

static u64 mgr_map_epoch(void *arg)
{
	struct mgr *m = arg;

	return m->image_epoch;
}

/* The published image says it, to us as to everybody. */
static int mgr_revoked(void *arg, const struct flint_token *token)
{
	struct mgr *m = arg;
	struct flint_map map;

	if (!m->image || flint_map_check(m->image->data, m->image_len, &map))
		return -EAGAIN;
	return flint_map_token_revoked(&map, token);
}

static int mgr_serve(struct mgr *m, const struct flint_endpoint *ep, u16 http_port, char *err,
		     size_t errlen)
{
	struct flint_server_config cfg = {
		.role = FLINT_ROLE_MGR,
		.key = m->key,
		.max_io = MGR_MAX_IO,
		.inline_size = FLINT_INLINE_MGR,
		.pool = m->pool,
		.loops = &m->loop,
		.nr_loops = 1,
		.request = mgr_rpc_request,
		.closed = mgr_rpc_closed,
		.map_epoch = mgr_map_epoch,
		.revoked = mgr_revoked,
		.metrics = &m->metrics,
		.arg = m,
	};
	int ret;

	m->metrics.program = "flint-mgrd";

	m->srv = flint_server_new(&cfg);
	if (!m->srv) {
		snprintf(err, errlen, "cannot make a server (%s)", strerror(errno));
		return -errno;
	}
	m->collect[0] = (struct flint_collector){ .fn = mgr_report_metrics, .arg = m };
	m->collect[1] = (struct flint_collector){ .fn = flint_server_collect, .arg = m->srv };
	flint_metrics_add(&m->metrics, &m->collect[0]);
	flint_metrics_add(&m->metrics, &m->collect[1]);
	ret = flint_endpoint_listen(ep, m->srv, err, errlen);
	return ret ? ret : mgr_listen_http(m, ep, http_port, err, errlen);
}

/* ---- the tick --------------------------------------------------------- */

static void mgr_tick_done(struct mgr *m, void *arg, int err)
{
	if (err && err != -EAGAIN)
		flint_err_rl("the managers did not agree on a change (%s): it is tried again",
			     strerror(-err));
}

/* What only the leader does. */
static void mgr_tick_lead(struct mgr *m, u64 now)
{
	bool changed, all = now - m->usage_ns >= MGR_USAGE_NS;
	u32 i;

	/*
	 * We were not running (stopped, or starved): heartbeats are waiting to
	 * be read, so silence proves nothing before another full T.
	 */
	if (m->tick_ns && now - m->tick_ns > (u64)m->st->set.lease_ms * 500000)
		for (i = 0; i < m->next->nr_nodes; i++)
			m->next->nodes[i].silent_ns = now;
	changed = mgr_silence_apply(m->next, now);
	changed |= mgr_deaf_apply(m->next, now);
	changed |= mgr_usage_apply(m->next, all);
	changed |= mgr_lease_follow(m);
	if (all)
		m->usage_ns = now;
	if (changed)
		mgr_commit(m, true, mgr_tick_done, NULL);
	mgr_jobs_tick(m);
	mgr_group_tick(m, now);
}

static void mgr_tick(struct flint_timer *t)
{
	struct mgr *m = t->arg;
	u64 now;

	mgr_replica_tick(m, flint_now_ns());
	now = flint_now_ns();
	if (mgr_leads(m))
		mgr_tick_lead(m, now);
	m->tick_ns = now;
	if (m->st->epoch && m->image_epoch != m->st->epoch)
		mgr_publish(m);
	flint_timer_set(m->loop, &m->tick, MGR_DEFAULT_LEASE_MS * m->time_scale / 12);
}

void mgr_fatal(struct mgr *m, const char *why)
{
	if (m->failed)
		return;
	flint_err("%s", why);
	m->failed = true;
	flint_loop_stop(m->loop);
}

static void mgr_stop(void *arg)
{
	struct mgr *m = arg;

	flint_notify("STOPPING=1");
	m->stopping = true;
	mgr_rpc_drop_waits(m);
	flint_loop_stop(m->loop);
}

/* ---- main ------------------------------------------------------------- */

/* In the order that leaves nothing behind when it fails: ports first, then files. */
static int mgr_start(struct mgr *m, const struct mgr_options *o, char *err, size_t errlen)
{
	struct flint_addr self[FLINT_NODE_ADDRS];
	int ret;

	m->pool = flint_pool_new(MGR_MAX_IO, MGR_POOL_BUFS);
	m->loop = flint_loop_new();
	if (!m->pool || !m->loop) {
		snprintf(err, errlen, "out of memory for buffers");
		return -ENOMEM;
	}
	m->started_ns = flint_now_ns();
	ret = mgr_serve(m, m->ep, (u16)o->http_port, err, errlen);
	if (ret)
		return ret;
	if (!mgr_self_addrs(m, self)) {
		self[0].proto = FLINT_PROTO_TCP;
		self[0].port = cpu_to_le16(m->ep->tcp_port);
	}
	ret = mgr_replica_start(m, o, &self[0], err, errlen);
	return ret ? ret : mgr_beat_start(m);
}

static void mgr_end(struct mgr *m)
{
	unsigned int i;

	m->stopping = true;
	mgr_beat_stop(m);
	mgr_meta_peers_free(m);
	mgr_group_stop(m);
	mgr_replica_stop(m);
	for (i = 0; i < FLINT_LISTEN_MAX; i++)
		mgr_http_stop(m->http[i]);
	flint_server_free(m->srv);
	if (m->image)
		flint_buf_put(m->image);
	flint_loop_free(m->loop);
	flint_pool_free(m->pool);
	mgr_replica_free(m);
}

/* Everything between the state directory and its end. Return: exit status. */
static int mgr_run(struct mgr *m, const struct mgr_options *o)
{
	struct flint_signals sig = { .stop = mgr_stop, .arg = m };
	char err[MGR_ERR_LEN] = "";
	int ret;

	ret = mgr_start(m, o, err, sizeof(err));
	if (ret)
		goto out;
	err[0] = 0;
	ret = flint_signals_start(&sig, m->loop);
	if (ret) {
		snprintf(err, sizeof(err), "cannot receive signals (%s)", strerror(-ret));
		goto out;
	}
	m->tick.fn = mgr_tick;
	m->tick.arg = m;
	flint_timer_set(m->loop, &m->tick, 0);
	flint_daemon_harden();
	flint_info("manager %s runs, map epoch %llu", m->name, (unsigned long long)m->st->epoch);
	flint_notify("READY=1");
	ret = flint_loop_run(m->loop);
	flint_info("stopped");
	flint_timer_cancel(m->loop, &m->tick);
	flint_signals_end(&sig);
out:
	if (err[0])
		flint_err("%s", err);
	mgr_end(m);
	return ret || m->failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct flint_endpoint ep;
	struct mgr_options o = { 0 };
	struct mgr m = { 0 };
	char err[MGR_ERR_LEN];
	int dirfd, lockfd, status = 1;
	bool verbose = false;

	flint_signals_block();
	flint_conf_parse_or_exit(&mgr_spec, argc, argv, &o, &verbose);
	flint_log_init("flint-mgrd", verbose ? FLINT_LOG_DEBUG : FLINT_LOG_INFO);
	if (mgr_options_check(&m, &o, err, sizeof(err)) ||
	    flint_endpoint_check(&ep, &o.ep, err, sizeof(err)))
		goto fail;
	m.name = ep.name;
	m.ep = &ep;
	m.http_port = (u16)o.http_port;
	m.time_scale = (unsigned int)o.time_scale;
	m.incarnation = flint_random_u64();
	if (flint_key_load(o.key, m.key, err, sizeof(err)))
		goto fail;
	dirfd = flint_state_open(o.state, err, sizeof(err));
	if (dirfd < 0)
		goto fail;
	lockfd = flint_state_lock(dirfd, o.state, err, sizeof(err));
	if (lockfd < 0)
		goto close_dir;
	flint_state_warn_fs(dirfd, o.state);
	flint_random(m.client_id, sizeof(m.client_id));
	status = mgr_run(&m, &o);
	close(lockfd);
	close(dirfd);
	flint_conf_free(&mgr_spec, &o);
	explicit_bzero(m.key, sizeof(m.key));
	return status;

close_dir:
	close(dirfd);
fail:
	flint_err("%s", err);
	flint_conf_free(&mgr_spec, &o);
	return 1;
}
