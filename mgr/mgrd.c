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

struct mgr_options {
	char *state;
	char *key;
	struct flint_endpoint_options ep;
	uint64_t http_port;
	char *cluster_name;
	uint64_t time_scale;
};

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

static void mgr_self_addr(struct flint_addr *addrs, int *n, const struct sockaddr_storage *sa,
			  u16 tcp_port, u16 rdma_port)
{
	struct sockaddr_storage copy = *sa;

	if (tcp_port && *n < FLINT_NODE_ADDRS) {
		flint_addr_set_port(&copy, tcp_port);
		if (!flint_addr_to_wire(&copy, FLINT_PROTO_TCP, &addrs[*n]))
			(*n)++;
	}
	if (rdma_port && *n < FLINT_NODE_ADDRS) {
		flint_addr_set_port(&copy, rdma_port);
		if (!flint_addr_to_wire(&copy, FLINT_PROTO_RDMA, &addrs[*n]))
			(*n)++;
	}
}

/* Without --listen: the addresses of this machine that others may know. */
static void mgr_self_interfaces(struct flint_addr *addrs, int *n, u16 tcp_port, u16 rdma_port)
{
	struct ifaddrs *list, *i;

	if (getifaddrs(&list))
		return;
	for (i = list; i; i = i->ifa_next) {
		struct sockaddr_storage sa = { 0 };

		if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
			continue;
		if (i->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&sa, i->ifa_addr, sizeof(struct sockaddr_in));
		mgr_self_addr(addrs, n, &sa, tcp_port, rdma_port);
	}
	freeifaddrs(list);
}

/* Register this manager as a node. Return: 0 or -errno. */
static int mgr_self_register(struct mgr *m, const struct flint_endpoint *ep, char *err,
			     size_t errlen)
{
	struct mgr_node *n = mgr_node_find_name(m->st, FLINT_ROLE_MGR, m->name);
	struct flint_addr addrs[FLINT_NODE_ADDRS] = { 0 };
	unsigned int i;
	int nr_addrs = 0;

	for (i = 0; i < ep->nr && !ep->any; i++)
		mgr_self_addr(addrs, &nr_addrs, &ep->addrs[i], ep->tcp_port, ep->rdma_port);
	if (ep->any)
		mgr_self_interfaces(addrs, &nr_addrs, ep->tcp_port, ep->rdma_port);
	if (!n)
		n = mgr_node_add(m->st, FLINT_ROLE_MGR, m->name);
	if (!n) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	n->state = FLINT_NODE_UP;
	n->heard_ns = m->started_ns;
	n->dirty = true;
	memcpy(n->addrs, addrs, sizeof(n->addrs));
	return mgr_state_commit(m->st, true, err, errlen);
}

/* ---- start ------------------------------------------------------------ */

/* Check what the option table cannot. Return: 0 or -EINVAL. */
static int mgr_options_check(const struct mgr_options *o, char *err, size_t errlen)
{
	if (o->http_port && (o->http_port == o->ep.tcp_port || o->http_port == o->ep.rdma_port)) {
		snprintf(err, errlen, "--http-port %llu is taken by --tcp-port or --rdma-port",
			 (unsigned long long)o->http_port);
		return -EINVAL;
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
		.pool = m->pool,
		.loops = &m->loop,
		.nr_loops = 1,
		.request = mgr_rpc_request,
		.closed = mgr_rpc_closed,
		.map_epoch = mgr_map_epoch,
		.revoked = mgr_revoked,
		.arg = m,
	};
	struct mgr_node *self = mgr_node_find_name(m->st, FLINT_ROLE_MGR, m->name);
	int ret;

	cfg.node_id = self->id;
	memcpy(cfg.cluster_id, m->st->cluster_id, sizeof(cfg.cluster_id));
	m->srv = flint_server_new(&cfg);
	if (!m->srv) {
		snprintf(err, errlen, "cannot make a server (%s)", strerror(errno));
		return -errno;
	}
	ret = flint_endpoint_listen(ep, m->srv, err, errlen);
	return ret ? ret : mgr_listen_http(m, ep, http_port, err, errlen);
}

/* ---- the tick --------------------------------------------------------- */

static void mgr_tick(struct flint_timer *t)
{
	struct mgr *m = t->arg;
	u64 now = flint_now_ns();
	char err[MGR_ERR_LEN];
	bool changed, all = now - m->usage_ns >= MGR_USAGE_NS;
	u32 i;

	/*
	 * We were not running (stopped, or starved): heartbeats are waiting to
	 * be read, so silence proves nothing before another full T.
	 */
	if (m->tick_ns && now - m->tick_ns > (u64)m->st->lease_ms * 500000)
		for (i = 0; i < m->st->nr_nodes; i++)
			m->st->nodes[i].heard_ns = now;
	m->tick_ns = now;
	changed = mgr_silence_apply(m->st, now);
	changed |= mgr_usage_apply(m->st, all);
	if (all)
		m->usage_ns = now;
	if (changed && mgr_commit_publish(m, err, sizeof(err)))
		flint_err_rl("%s", err);
	if (m->image_epoch != m->st->epoch)
		mgr_publish(m);
	flint_timer_set(m->loop, &m->tick, m->st->lease_ms / 12);
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

/* Everything between the state directory and the running loop. Return: exit status. */
static int mgr_run(struct mgr *m, const struct mgr_options *o, const struct flint_endpoint *ep)
{
	struct flint_signals sig = { .stop = mgr_stop, .arg = m };
	char err[MGR_ERR_LEN] = "";
	int ret;
	u32 i;

	m->pool = flint_pool_new(MGR_MAX_IO, MGR_POOL_BUFS);
	m->loop = flint_loop_new();
	if (!m->pool || !m->loop) {
		snprintf(err, sizeof(err), "out of memory for buffers");
		ret = -ENOMEM;
		goto out;
	}
	m->started_ns = flint_now_ns();
	for (i = 0; i < m->st->nr_nodes; i++)
		m->st->nodes[i].heard_ns = m->started_ns;
	m->st->lease_ms = MGR_DEFAULT_LEASE_MS * o->time_scale;
	ret = mgr_self_register(m, ep, err, sizeof(err));
	if (ret)
		goto out;
	ret = mgr_publish(m);
	if (ret) {
		snprintf(err, sizeof(err), "the cluster map cannot be published");
		goto out;
	}
	ret = mgr_serve(m, ep, (u16)o->http_port, err, sizeof(err));
	if (ret)
		goto out;
	ret = flint_signals_start(&sig, m->loop);
	if (ret) {
		snprintf(err, sizeof(err), "cannot receive signals (%s)", strerror(-ret));
		goto out;
	}
	m->tick.fn = mgr_tick;
	m->tick.arg = m;
	flint_timer_set(m->loop, &m->tick, 0);
	flint_daemon_harden();
	flint_info("manager %s serves cluster %s, map epoch %llu", m->name, m->st->cluster_name,
		   (unsigned long long)m->st->epoch);
	flint_notify("READY=1");
	ret = flint_loop_run(m->loop);
	flint_info("stopped");
	flint_timer_cancel(m->loop, &m->tick);
	flint_signals_end(&sig);
out:
	if (err[0])
		flint_err("%s", err);
	mgr_meta_peers_free(m);
	for (i = 0; i < FLINT_LISTEN_MAX; i++)
		mgr_http_stop(m->http[i]);
	flint_server_free(m->srv);
	if (m->image)
		flint_buf_put(m->image);
	flint_loop_free(m->loop);
	flint_pool_free(m->pool);
	return ret ? 1 : 0;
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
	if (mgr_options_check(&o, err, sizeof(err)) ||
	    flint_endpoint_check(&ep, &o.ep, err, sizeof(err)))
		goto fail;
	m.name = ep.name;
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
	if (mgr_state_open(&m.st, o.state, o.cluster_name, err, sizeof(err)))
		goto unlock;
	status = mgr_run(&m, &o, &ep);
	mgr_state_close(m.st);
	close(lockfd);
	close(dirfd);
	flint_conf_free(&mgr_spec, &o);
	explicit_bzero(m.key, sizeof(m.key));
	return status;

unlock:
	close(lockfd);
close_dir:
	close(dirfd);
fail:
	flint_err("%s", err);
	flint_conf_free(&mgr_spec, &o);
	return 1;
}
