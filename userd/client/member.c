// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Heartbeats and the lease; see member.h.
 *
 * One heartbeat is open at a time. The next one is armed when the last has
 * ended, so that a silent manager cannot pile them up. The lease's end, the
 * node id and so on are atomics: other threads read them on their hot path.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "../base/daemon.h"
#include "../base/log.h"
#include "member.h"

#define BEAT_MAX_MS	2000
#define BEAT_FIRST_MS	300	/* while nobody has answered yet */
#define BEAT_AGAIN_MS	100	/* another manager leads */
#define BEAT_TIMEOUT_MS	2000	/* at least; a third of the lease if that is more ... */
#define BEAT_TURN_MS	800	/* ... or this and a sixth, when another manager can be asked */
#define TARGETS_MAX	1024
#define COMPLAIN_NS	60000000000ull
#define QUIET_NS	1500000000ull	/* managers may be electing a leader */

struct flint_member {
	struct flint_member_config cfg;
	char name[FLINT_LABEL_LEN];
	uint64_t incarnation;
	struct flint_timer timer;
	struct flint_rpc rpc;
	uint8_t *body;
	struct flint_hb_order *orders;	/* of the reply that is being taken in */
	bool open;			/* a heartbeat is on its way */
	bool again;			/* another one was asked for meanwhile */
	bool closing;
	bool had_lease;
	uint32_t refused;		/* status that was last complained about */
	uint64_t silent_since_ns, complained_ns;

	uint32_t node_id;		/* atomic */
	uint32_t lease_ms;
	uint64_t serve_end_ns;		/* atomic: send time + 2/3 lease */
};

uint32_t flint_member_node_id(const struct flint_member *m)
{
	return __atomic_load_n(&m->node_id, __ATOMIC_ACQUIRE);
}

uint64_t flint_member_incarnation(const struct flint_member *m)
{
	return m->incarnation;
}

uint32_t flint_member_lease_ms(const struct flint_member *m)
{
	return m->lease_ms;
}

uint64_t flint_member_lease_end_ns(const struct flint_member *m)
{
	return __atomic_load_n(&m->serve_end_ns, __ATOMIC_ACQUIRE);
}

bool flint_member_lease_valid(const struct flint_member *m)
{
	return flint_now_ns() < flint_member_lease_end_ns(m);
}

static void beat_later(struct flint_member *m, uint64_t ms)
{
	if (!m->closing)
		flint_timer_set(m->cfg.loop, &m->timer, ms);
}

static uint64_t beat_interval(const struct flint_member *m)
{
	/* With several managers: time to ask another one, and for an election, before 2/3 are over. */
	uint64_t ms = m->lease_ms / (flint_cluster_several_mgrs(m->cfg.cluster) ? 6 : 3);

	if (!m->lease_ms)
		return BEAT_FIRST_MS;
	return ms > BEAT_MAX_MS ? BEAT_MAX_MS : ms < 10 ? 10 : ms;
}

static void beat_failed(struct flint_member *m, int err, uint64_t again_ms)
{
	uint64_t now = flint_now_ns();

	if (!m->silent_since_ns)
		m->silent_since_ns = now;
	if (m->had_lease && !flint_member_lease_valid(m)) {
		flint_err("no manager has answered for %llu s: the lease is over, requests are refused until one does",
			  (unsigned long long)((now - m->silent_since_ns) / 1000000000));
		m->had_lease = false;
		m->complained_ns = now;
	} else if (now - m->silent_since_ns >= QUIET_NS &&
		   (!m->complained_ns || now - m->complained_ns > COMPLAIN_NS)) {
		flint_warn("no manager answers heartbeats (%s); trying on, check that flint-mgrd runs and that --mgr is right",
			   err == -EAGAIN ? "none leads" : strerror(-err));
		m->complained_ns = now;
	}
	beat_later(m, again_ms);
}

/* How long to wait for an answer: with others to ask, time is left to ask them. */
static uint32_t beat_timeout(const struct flint_member *m)
{
	bool several = flint_cluster_several_mgrs(m->cfg.cluster);
	uint32_t least = several ? BEAT_TURN_MS : BEAT_TIMEOUT_MS;
	uint32_t part = m->lease_ms / (several ? 6 : 3);

	return part > least ? part : least;
}

static const char *refusal(uint32_t status)
{
	switch (status) {
	case EEXIST:
		return "a node or target with this id is registered with another identity; give the target another id or remove the old one with \"flint target remove\"";
	case FLINT_ST_AUTH:
		return "the cluster key differs; copy it from the manager's node";
	default:
		return "see its log";
	}
}

static void beat_refused(struct flint_member *m, uint32_t status)
{
	if (m->refused != status)
		flint_err("the manager refuses the heartbeat of \"%s\" (status %u): %s", m->name,
			  status, refusal(status));
	m->refused = status;
	if (m->cfg.refused)
		m->cfg.refused(m->cfg.arg, status);
	beat_later(m, BEAT_MAX_MS);
}

/*
 * Copy the orders of a reply to m->orders: those of a newer manager may be
 * longer than ours, one of the first versions sends none.
 *
 * Return: how many, or -EPROTO.
 */
static int beat_orders(struct flint_member *m, const struct flint_rpc *rpc,
		       const struct flint_heartbeat_rep *rep)
{
	uint32_t nr = le32_to_cpu(rep->nr_targets), len = le16_to_cpu(rep->order_len), i;
	uint32_t fixed = le16_to_cpu(rep->fixed_len);

	if (!nr || !fixed)
		return 0;
	if (fixed < offsetof(struct flint_heartbeat_rep, set) || fixed > rpc->rep_len ||
	    len < sizeof(*m->orders) || nr > m->cfg.max_targets ||
	    nr > (rpc->rep_len - fixed) / len)
		return -EPROTO;
	for (i = 0; i < nr; i++)
		memcpy(&m->orders[i], (const uint8_t *)rpc->rep_body + fixed + i * len,
		       sizeof(m->orders[i]));
	return nr;
}

static void beat_answered(struct flint_member *m, const struct flint_heartbeat_rep *rep,
			  unsigned int nr_orders)
{
	uint64_t sent = le64_to_cpu(rep->sent_boottime_ns);
	uint32_t node = le32_to_cpu(rep->node_id);

	if (m->cfg.orders)
		m->cfg.orders(m->cfg.arg, m->orders, nr_orders);
	if (m->cfg.settings && rep->fixed_len)
		m->cfg.settings(m->cfg.arg, &rep->set);
	m->lease_ms = le32_to_cpu(rep->lease_ms);
	__atomic_store_n(&m->serve_end_ns, sent + m->lease_ms * 1000000ull / 3 * 2,
			 __ATOMIC_RELEASE);
	if (!m->node_id)
		flint_info("registered as node %u \"%s\", lease %u ms", node, m->name, m->lease_ms);
	else if (m->node_id != node)
		flint_warn("the manager calls this node %u now, it was %u", node, m->node_id);
	else if (m->complained_ns)
		flint_info("a manager answers heartbeats again");
	__atomic_store_n(&m->node_id, node, __ATOMIC_RELEASE);
	m->had_lease = true;
	m->silent_since_ns = 0;
	m->complained_ns = 0;
	m->refused = 0;
	if (m->cfg.answered)
		m->cfg.answered(m->cfg.arg, node);
	if (m->cfg.ordered)
		m->cfg.ordered(m->cfg.arg, le32_to_cpu(rep->order), le64_to_cpu(rep->group));
	beat_later(m, m->again ? 0 : beat_interval(m));
	m->again = false;
}

static void member_destroy(struct flint_member *m)
{
	free(m->orders);
	free(m->body);
	free(m);
}

static void on_beat_done(struct flint_rpc *rpc)
{
	struct flint_member *m = rpc->priv;
	const struct flint_heartbeat *sent = rpc->body;
	struct flint_heartbeat_rep rep;
	int nr;

	m->open = false;
	if (m->closing) {
		member_destroy(m);
		return;
	}
	if (rpc->err) {
		if (rpc->err == -ETIMEDOUT)
			flint_cluster_mgr_elsewhere(m->cfg.cluster, rpc);
		beat_failed(m, rpc->err, flint_cluster_several_mgrs(m->cfg.cluster) ?
						 BEAT_AGAIN_MS : BEAT_FIRST_MS);
	} else if (rpc->status == FLINT_ST_NOT_LEADER || rpc->status == FLINT_ST_SHUTDOWN) {
		flint_cluster_mgr_elsewhere(m->cfg.cluster, rpc);
		beat_failed(m, -EAGAIN, BEAT_AGAIN_MS);
	} else if (rpc->status != FLINT_OK) {
		beat_refused(m, rpc->status);
	} else if (flint_body_get(&rep, sizeof(rep), FLINT_HEARTBEAT_REP_MIN, rpc->rep_body,
				  rpc->rep_len) ||
		   rep.sent_boottime_ns != sent->sent_boottime_ns || !rep.node_id || !rep.lease_ms ||
		   (nr = beat_orders(m, rpc, &rep)) < 0) {
		/* Not the answer to what was sent: it must not extend the lease. */
		beat_failed(m, -EPROTO, BEAT_FIRST_MS);
	} else {
		beat_answered(m, &rep, nr);
	}
}

void flint_member_beat(struct flint_member *m)
{
	struct flint_heartbeat *hb = (struct flint_heartbeat *)m->body;
	struct flint_hb_target *targets = (struct flint_hb_target *)(hb + 1);
	struct timespec wall;
	int nr = 0;

	if (m->open) {
		m->again = true;
		return;
	}
	flint_timer_cancel(m->cfg.loop, &m->timer);
	memset(m->body, 0, sizeof(*hb) + m->cfg.max_targets * sizeof(*targets));
	if (m->cfg.targets)
		nr = m->cfg.targets(m->cfg.arg, targets, m->cfg.max_targets);
	if (nr < 0) {
		hb->flags = FLINT_HB_STARTING;
		nr = 0;
	}
	hb->fixed_len = cpu_to_le32(sizeof(*hb));
	hb->node_id = cpu_to_le32(m->node_id);
	hb->role = m->cfg.role;
	hb->nr_targets = cpu_to_le32(nr);
	hb->target_len = cpu_to_le32(sizeof(*targets));
	hb->incarnation = cpu_to_le64(m->incarnation);
	memcpy(hb->name, m->name, sizeof(hb->name));
	hb->tcp_port = cpu_to_le16(m->cfg.tcp_port);
	hb->rdma_port = cpu_to_le16(m->cfg.rdma_port);
	memcpy(hb->addrs, m->cfg.addrs, sizeof(hb->addrs));
	if (m->cfg.replica)
		m->cfg.replica(m->cfg.arg, &hb->replica);
	m->rpc = (struct flint_rpc){
		.op = FLINT_OP_HEARTBEAT,
		.timeout_ms = beat_timeout(m),
		.body = m->body, .body_len = sizeof(*hb) + nr * sizeof(*targets),
		.done = on_beat_done, .priv = m,
	};
	m->open = true;
	clock_gettime(CLOCK_REALTIME, &wall);
	hb->sent_realtime_ns = cpu_to_le64(wall.tv_sec * 1000000000ull + wall.tv_nsec);
	/* The lease counts from here, the last moment before it is sent. */
	hb->sent_boottime_ns = cpu_to_le64(flint_now_ns());
	flint_cluster_call_mgr(m->cfg.cluster, &m->rpc);
}

static void on_timer(struct flint_timer *t)
{
	flint_member_beat(t->arg);
}

struct flint_member *flint_member_new(const struct flint_member_config *cfg)
{
	struct flint_member *m;

	if (cfg->max_targets > TARGETS_MAX) {
		errno = EINVAL;
		return NULL;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->cfg = *cfg;
	m->body = calloc(1, sizeof(struct flint_heartbeat) +
			    cfg->max_targets * sizeof(struct flint_hb_target));
	m->orders = calloc(cfg->max_targets + 1, sizeof(*m->orders));
	if (!m->body || !m->orders) {
		member_destroy(m);
		errno = ENOMEM;
		return NULL;
	}
	snprintf(m->name, sizeof(m->name), "%s", cfg->name);
	m->incarnation = flint_random_u64();
	m->timer = (struct flint_timer){ .fn = on_timer, .arg = m };
	flint_timer_set(cfg->loop, &m->timer, 0);
	return m;
}

void flint_member_free(struct flint_member *m)
{
	if (!m)
		return;
	m->closing = true;
	flint_timer_cancel(m->cfg.loop, &m->timer);
	if (!m->open)	/* else the heartbeat that is on its way ends it */
		member_destroy(m);
}
