// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cluster map and the connections to the nodes it names; see cluster.h.
 *
 * Invariants
 *  - Everything but the current snapshot is touched by the loop's thread only.
 *    The snapshot pointer is under @lock; a snapshot itself never changes.
 *  - At most one MAP_GET is open. It is sent again from its own completion or
 *    from the retry timer, never from both.
 *  - A connection is never freed inside one of its own callbacks: what is to go
 *    is put on the dead list, which a timer empties.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "../base/addr.h"
#include "../base/crc.h"
#include "../base/key.h"
#include "../base/log.h"
#include "cluster.h"

#define MAP_WAIT_MS	10000		/* the manager holds the request that long */
#define MAP_TIMEOUT_MS	13000
#define MAP_ROOM_FIRST	(64u << 10)
#define SILENT_NS	5000000000ull
#define RETRY_MIN_MS	100
#define RETRY_MAX_MS	2000
#define COMPLAIN_NS	60000000000ull	/* "no manager answers" once a minute */

struct node_peer {
	uint32_t node;
	struct sockaddr_storage addr;
	struct flint_peer *peer;
	uint64_t complained_ns;
	struct node_peer *next;
};

struct flint_cluster {
	struct flint_cluster_config cfg;
	uint8_t key[FLINT_KEY_LEN];
	struct flint_token *token;
	char name[FLINT_LABEL_LEN];
	uint64_t session_epoch;
	bool closing;
	bool freed;			/* but MAP_GET is still open: it ends the rest */

	pthread_mutex_t lock;		/* @cur; innermost */
	struct flint_map_ref *cur;

	struct flint_peer *mgr;		/* the manager in use */
	struct sockaddr_storage mgr_addr;
	unsigned int mgr_at;		/* whose turn it was: index as of mgr_candidate() */
	struct flint_timer mgr_switch;	/* go to the next one */
	struct sockaddr_storage silent;	/* a manager that did not answer ... */
	uint64_t silent_ns;		/* ... and when: hints at it are not followed for a while */
	uint64_t complained_ns;

	struct node_peer *peers;
	struct node_peer *dead;
	struct flint_timer reap;

	struct flint_rpc get;
	bool get_open;
	struct flint_map_get get_body;
	uint8_t *room;			/* where the next image lands */
	uint32_t room_len;
	struct flint_timer retry;
	uint32_t retry_ms;

	struct flint_cluster_waiter *waiters;
};

static void map_get_send(struct flint_cluster *c);

/* ---- snapshots ---------------------------------------------------------- */

struct flint_map_ref *flint_cluster_map(struct flint_cluster *c)
{
	struct flint_map_ref *ref;

	pthread_mutex_lock(&c->lock);
	ref = c->cur;
	if (ref)
		__atomic_add_fetch(&ref->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&c->lock);
	return ref;
}

void flint_map_put(struct flint_map_ref *ref)
{
	if (!ref || __atomic_sub_fetch(&ref->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free(ref->image);
	free(ref);
}

uint64_t flint_cluster_epoch(struct flint_cluster *c)
{
	uint64_t epoch;

	pthread_mutex_lock(&c->lock);
	epoch = c->cur ? c->cur->map.epoch : 0;
	pthread_mutex_unlock(&c->lock);
	return epoch;
}

int flint_cluster_token_revoked(struct flint_cluster *c, const struct flint_token *token)
{
	int revoked = -EAGAIN;

	pthread_mutex_lock(&c->lock);
	if (c->cur)
		revoked = flint_map_token_revoked(&c->cur->map, token);
	pthread_mutex_unlock(&c->lock);
	return revoked;
}

/* Does the image carry its own CRC? Computed around the field itself. */
static bool image_crc_ok(const uint8_t *image, uint32_t len)
{
	struct flint_map_hdr hdr;
	uint32_t crc;

	if (len < sizeof(hdr))
		return false;
	memcpy(&hdr, image, sizeof(hdr));
	hdr.crc = 0;
	crc = flint_crc32c(0, &hdr, sizeof(hdr));
	crc = flint_crc32c(crc, image + sizeof(hdr), len - sizeof(hdr));
	memcpy(&hdr, image, sizeof(hdr));
	return crc == le32_to_cpu(hdr.crc);
}

/**
 * map_ref_new() - turn a received image into a snapshot
 * @image: taken over on success
 *
 * Return: the snapshot with one reference, or NULL with the reason in @why.
 */
static struct flint_map_ref *map_ref_new(uint8_t *image, uint32_t len, const char **why)
{
	struct flint_map_ref *ref;
	int rc;

	if (!image_crc_ok(image, len)) {
		*why = "its checksum is wrong";
		return NULL;
	}
	ref = calloc(1, sizeof(*ref));
	if (!ref) {
		*why = "out of memory";
		return NULL;
	}
	rc = flint_map_check(image, len, &ref->map);
	if (rc) {
		*why = rc == -EPROTONOSUPPORT ?
			"its format is newer than this program; upgrade this node" :
			"it is malformed";
		free(ref);
		return NULL;
	}
	ref->image = image;
	ref->len = len;
	ref->refs = 1;
	return ref;
}

/* End the waits for @epoch and below. */
static void waiters_wake(struct flint_cluster *c, uint64_t epoch, int err)
{
	struct flint_cluster_waiter **link = &c->waiters, *w, *ready = NULL, **tail = &ready;

	/* Unlink first: a callback may wait again or cancel others. */
	while ((w = *link)) {
		if (w->epoch > epoch) {
			link = &w->next;
			continue;
		}
		*link = w->next;
		w->next = NULL;
		*tail = w;
		tail = &w->next;
		flint_timer_cancel(c->cfg.loop, &w->timer);
	}
	while ((w = ready)) {
		ready = w->next;
		w->cluster = NULL;
		w->fn(w, err);
	}
}

/* Make @ref the current snapshot and tell everybody. */
/* Nodes that the managers hear again can be reached, whatever we have met there. */
static void hurry_back(struct flint_cluster *c, const struct flint_map *was, const struct flint_map *is)
{
	const struct flint_map_node *n;
	struct node_peer *np;

	for (np = c->peers; np; np = np->next) {
		n = flint_map_node(is, np->node);
		if (!n || n->state != FLINT_NODE_UP)
			continue;
		n = flint_map_node(was, np->node);
		if (n && n->state != FLINT_NODE_UP)
			flint_peer_hurry(np->peer);
	}
}

static void map_install(struct flint_cluster *c, struct flint_map_ref *ref)
{
	struct flint_map_ref *old;

	pthread_mutex_lock(&c->lock);
	old = c->cur;
	c->cur = ref;
	pthread_mutex_unlock(&c->lock);
	if (old)
		hurry_back(c, &old->map, &ref->map);
	flint_map_put(old);
	flint_debug("cluster map epoch %llu: %u nodes, %u targets, %u chains, %u file systems",
		    (unsigned long long)ref->map.epoch, ref->map.nr_nodes,
		    ref->map.nr_targets, ref->map.nr_chains, ref->map.nr_fs);
	if (c->cfg.changed)
		c->cfg.changed(c->cfg.arg, &ref->map);
	waiters_wake(c, ref->map.epoch, 0);
}

/* ---- the standing request ----------------------------------------------- */

static void retry_later(struct flint_cluster *c)
{
	if (c->closing)
		return;
	c->retry_ms = c->retry_ms ? c->retry_ms * 2 : RETRY_MIN_MS;
	if (c->retry_ms > RETRY_MAX_MS)
		c->retry_ms = RETRY_MAX_MS;
	flint_timer_set(c->cfg.loop, &c->retry, c->retry_ms);
}

static void on_retry(struct flint_timer *t)
{
	map_get_send(t->arg);
}

/* An image came: check it, install it. The room is given away or kept. */
static void map_received(struct flint_cluster *c, uint32_t len)
{
	struct flint_map_ref *ref;
	const char *why;
	bool same;

	ref = map_ref_new(c->room, len, &why);
	if (!ref) {
		flint_err_rl("a manager sent a cluster map that cannot be used: %s", why);
		retry_later(c);
		return;
	}
	c->room = NULL;
	c->room_len = 0;
	same = !c->cur || !memcmp(c->cur->map.hdr->cluster_id, ref->map.hdr->cluster_id, 16);
	if (!same || (c->cur && ref->map.epoch <= c->cur->map.epoch)) {
		if (!same)
			flint_err_rl("a manager of another cluster answered; check the addresses of the managers");
		else
			flint_warn_rl("a manager sent an old cluster map (epoch %llu, known is %llu)",
				      (unsigned long long)ref->map.epoch,
				      (unsigned long long)c->cur->map.epoch);
		flint_map_put(ref);
		retry_later(c);
		return;
	}
	c->retry_ms = 0;
	map_install(c, ref);
	map_get_send(c);
}

/* One reply's payload carries the image. */
static uint32_t map_room_max(const struct flint_cluster *c)
{
	return c->cfg.max_io ? c->cfg.max_io : FLINT_MAX_IO;
}

static void cluster_destroy(struct flint_cluster *c)
{
	flint_map_put(c->cur);
	free(c->room);
	free(c->token);
	explicit_bzero(c->key, sizeof(c->key));
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void on_map_got(struct flint_rpc *rpc)
{
	struct flint_cluster *c = rpc->priv;
	struct flint_map_got got;

	c->get_open = false;
	if (c->closing) {
		if (c->freed)
			cluster_destroy(c);
		return;
	}
	if (rpc->err || rpc->status == FLINT_ST_NOT_LEADER || rpc->status == FLINT_ST_SHUTDOWN) {
		if (rpc->err != -ENOTCONN)
			flint_cluster_mgr_elsewhere(c, rpc);
		retry_later(c);
		return;
	}
	if (flint_body_get(&got, sizeof(got), rpc->status == FLINT_OK || rpc->status == ERANGE ?
			   sizeof(got) : 0, rpc->rep_body, rpc->rep_len)) {
		flint_err_rl("a manager sent a malformed answer to MAP_GET");
		retry_later(c);
		return;
	}
	c->complained_ns = 0;
	if (rpc->status == ERANGE && le32_to_cpu(got.total_len) > map_room_max(c)) {
		flint_err_rl("the cluster map has %u bytes, a connection carries only %u",
			     le32_to_cpu(got.total_len), map_room_max(c));
		retry_later(c);
	} else if (rpc->status == ERANGE && le32_to_cpu(got.total_len) > c->room_len) {
		free(c->room);
		c->room = NULL;
		c->room_len = le32_to_cpu(got.total_len) + (le32_to_cpu(got.total_len) >> 2);
		map_get_send(c);
	} else if (rpc->status != FLINT_OK) {
		flint_warn_rl("a manager refuses to send the cluster map (status %u)",
			      rpc->status);
		retry_later(c);
	} else if (!rpc->rep_data_len) {
		/* Nothing new within the wait; ask again (with a pause if it came at once). */
		if (flint_now_ns() < rpc->deadline_ns - MAP_TIMEOUT_MS * 1000000ull + 50000000ull) {
			retry_later(c);
		} else {
			c->retry_ms = 0;
			map_get_send(c);
		}
	} else {
		map_received(c, rpc->rep_data_len);
	}
}

static void map_get_send(struct flint_cluster *c)
{
	if (!c->room) {
		if (!c->room_len)
			c->room_len = c->cur && c->cur->len > MAP_ROOM_FIRST / 2 ?
				      c->cur->len * 2 : MAP_ROOM_FIRST;
		if (c->room_len > map_room_max(c))
			c->room_len = map_room_max(c);
		c->room = malloc(c->room_len);
		if (!c->room) {
			retry_later(c);
			return;
		}
	}
	c->get_body = (struct flint_map_get){
		.have_epoch = cpu_to_le64(flint_cluster_epoch(c)),
		.wait_ms = cpu_to_le32(MAP_WAIT_MS),
		.max_len = cpu_to_le32(c->room_len),
	};
	c->get = (struct flint_rpc){
		.op = FLINT_OP_MAP_GET,
		.timeout_ms = MAP_TIMEOUT_MS,
		.body = &c->get_body, .body_len = sizeof(c->get_body),
		.in = c->room, .in_len = c->room_len,
		.done = on_map_got, .priv = c,
	};
	c->get_open = true;
	flint_cluster_call_mgr(c, &c->get);
}

/* ---- managers ----------------------------------------------------------- */

static void node_state(void *arg, struct flint_peer *peer, int err, const char *why);
static void node_push(void *arg, struct flint_peer *peer, const struct flint_msg *m);

static struct flint_peer *peer_make(struct flint_cluster *c, int proto,
				    const struct sockaddr_storage *addr,
				    void (*state)(void *, struct flint_peer *, int, const char *))
{
	struct flint_peer_config pc = {
		.loop = c->cfg.loop, .proto = proto, .addr = *addr,
		.role = c->cfg.role, .session_epoch = c->session_epoch,
		.key = c->cfg.key, .token = c->token, .name = c->name,
		.inline_size = c->cfg.inline_size, .max_io = c->cfg.max_io,
		.credits = c->cfg.credits, .pool = c->cfg.pool,
		.state = state, .arg = c,
		.push = c->cfg.push && state == node_state ? node_push : NULL,
	};

	if (state != node_state && !pc.inline_size)
		pc.inline_size = FLINT_INLINE_MGR;
	memcpy(pc.client_id, c->cfg.client_id, sizeof(pc.client_id));
	return flint_peer_new(&pc);
}

static void peer_bury(struct flint_cluster *c, struct node_peer *np)
{
	np->next = c->dead;
	c->dead = np;
	flint_timer_set(c->cfg.loop, &c->reap, 0);
}

static void on_reap(struct flint_timer *t)
{
	struct flint_cluster *c = t->arg;
	struct node_peer *np;

	while ((np = c->dead)) {
		c->dead = np->next;
		flint_peer_free(np->peer);
		free(np);
	}
}

/* TCP address of a manager in the map. Return: 0 or -ENOENT. */
static int mgr_map_address(const struct flint_map_node *n, struct sockaddr_storage *sa)
{
	int i;

	for (i = 0; i < FLINT_NODE_ADDRS && n->role == FLINT_ROLE_MGR; i++)
		if (n->addrs[i].proto == FLINT_PROTO_TCP && !flint_addr_from_wire(&n->addrs[i], sa))
			return 0;
	return -ENOENT;
}

static bool mgr_configured(const struct flint_cluster *c, const struct sockaddr_storage *sa)
{
	unsigned int i;

	for (i = 0; i < c->cfg.nr_mgrs; i++)
		if (flint_addr_equal(&c->cfg.mgrs[i], sa))
			return true;
	return false;
}

/* Managers to try: those we were told, then others that the map names. Return: is there an @at-th? */
static bool mgr_candidate(struct flint_cluster *c, unsigned int at, struct sockaddr_storage *sa)
{
	unsigned int i;

	if (at < c->cfg.nr_mgrs) {
		*sa = c->cfg.mgrs[at];
		return true;
	}
	at -= c->cfg.nr_mgrs;
	for (i = 0; c->cur && i < c->cur->map.nr_nodes; i++)
		if (!mgr_map_address(&c->cur->map.nodes[i], sa) && !mgr_configured(c, sa) && !at--)
			return true;
	return false;
}

bool flint_cluster_several_mgrs(struct flint_cluster *c)
{
	struct sockaddr_storage sa;

	return mgr_candidate(c, 1, &sa);
}

static void mgr_state(void *arg, struct flint_peer *peer, int err, const char *why)
{
	struct flint_cluster *c = arg;
	char addr[FLINT_ADDR_STR];
	bool several;
	uint64_t now;

	if (c->closing || peer != c->mgr)
		return;
	flint_addr_format(&c->mgr_addr, addr, sizeof(addr));
	if (!err) {
		if (c->complained_ns)
			flint_info("manager %s answers", addr);
		c->complained_ns = 0;
		return;
	}
	now = flint_now_ns();
	several = flint_cluster_several_mgrs(c);
	if (!c->complained_ns || now - c->complained_ns > COMPLAIN_NS) {
		flint_warn("no connection to manager %s: %s; %s", addr,
			   why && *why ? why : strerror(-err),
			   several ? "trying the next one" : "trying again");
		c->complained_ns = now;
	}
	if (several)
		flint_timer_set(c->cfg.loop, &c->mgr_switch, RETRY_MIN_MS);
	else if (!c->cur && (err == -EACCES || err == -EPROTONOSUPPORT))
		waiters_wake(c, UINT64_MAX, err);	/* waiting longer will not help */
}

/* Leave the manager in use for the one at @sa. Its open requests fail with -ENOTCONN. */
static void mgr_go(struct flint_cluster *c, const struct sockaddr_storage *sa)
{
	struct node_peer *np = calloc(1, sizeof(*np));
	struct flint_peer *peer;

	peer = np ? peer_make(c, FLINT_PROTO_TCP, sa, mgr_state) : NULL;
	if (!peer) {
		free(np);
		flint_timer_set(c->cfg.loop, &c->mgr_switch, RETRY_MAX_MS);
		return;
	}
	np->peer = c->mgr;
	c->mgr = peer;
	c->mgr_addr = *sa;
	peer_bury(c, np);
}

/* The manager in use does not answer: leave it for the next in the list. */
static void on_mgr_switch(struct flint_timer *t)
{
	struct flint_cluster *c = t->arg;
	struct sockaddr_storage sa;
	unsigned int tries;

	for (tries = 0; tries < 2; tries++) {
		if (!mgr_candidate(c, ++c->mgr_at, &sa)) {
			c->mgr_at = 0;
			sa = c->cfg.mgrs[0];
		}
		if (!flint_addr_equal(&sa, &c->mgr_addr))
			break;
	}
	if (tries < 2)
		mgr_go(c, &sa);
}

void flint_cluster_mgr_elsewhere(struct flint_cluster *c, const struct flint_rpc *rpc)
{
	const struct flint_map_node *n = NULL;
	struct flint_leader_hint hint;
	struct sockaddr_storage sa;

	if (c->closing || rpc->peer != c->mgr)
		return;		/* another request has led away from it already */
	if (!rpc->err && rpc->status == FLINT_ST_NOT_LEADER && c->cur &&
	    !flint_body_get(&hint, sizeof(hint), sizeof(hint), rpc->rep_body, rpc->rep_len))
		n = flint_map_node(&c->cur->map, le32_to_cpu(hint.node_id));
	if (rpc->err == -ETIMEDOUT) {
		c->silent = c->mgr_addr;
		c->silent_ns = flint_now_ns();
	}
	if (n && !mgr_map_address(n, &sa) && c->silent_ns && flint_addr_equal(&c->silent, &sa) &&
	    flint_now_ns() - c->silent_ns < SILENT_NS)
		return;		/* they have not noticed yet: ask this one again */
	if (n && !mgr_map_address(n, &sa)) {
		if (!flint_addr_equal(&sa, &c->mgr_addr)) {
			flint_timer_cancel(c->cfg.loop, &c->mgr_switch);
			mgr_go(c, &sa);
		}
	} else if (flint_cluster_several_mgrs(c)) {
		flint_timer_set(c->cfg.loop, &c->mgr_switch, 0);
	}
}

void flint_cluster_call_mgr(struct flint_cluster *c, struct flint_rpc *rpc)
{
	flint_peer_call(c->mgr, rpc);
}

/* ---- nodes -------------------------------------------------------------- */

static int node_address_of(const struct flint_map_node *n, int proto, struct sockaddr_storage *sa)
{
	int i;

	for (i = 0; i < FLINT_NODE_ADDRS; i++)
		if (n->addrs[i].proto == proto && !flint_addr_from_wire(&n->addrs[i], sa))
			return 0;
	return -ENOTCONN;
}

static int node_address(struct flint_cluster *c, uint32_t node, struct sockaddr_storage *sa,
			int *proto)
{
	struct flint_map_ref *ref = flint_cluster_map(c);
	const struct flint_map_node *n = ref ? flint_map_node(&ref->map, node) : NULL;
	int rc = -ENOENT;

	*proto = c->cfg.proto;
	if (n)
		rc = node_address_of(n, *proto, sa);
	if (rc == -ENOTCONN && c->cfg.else_tcp) {
		*proto = FLINT_PROTO_TCP;
		rc = node_address_of(n, *proto, sa);
	}
	flint_map_put(ref);
	return rc;
}

static void node_push(void *arg, struct flint_peer *peer, const struct flint_msg *m)
{
	struct flint_cluster *c = arg;
	struct node_peer *np;

	for (np = c->peers; np && np->peer != peer; np = np->next)
		;
	if (np && !c->closing)
		c->cfg.push(c->cfg.arg, np->node, m);
}

void flint_cluster_reset(struct flint_cluster *c, uint32_t node, const char *why)
{
	struct node_peer *np;

	for (np = c->peers; np; np = np->next)
		if (np->node == node)
			flint_peer_reset(np->peer, why);
}

static void node_state(void *arg, struct flint_peer *peer, int err, const char *why)
{
	struct flint_cluster *c = arg;
	struct node_peer *np;
	char addr[FLINT_ADDR_STR];
	uint64_t now;

	for (np = c->peers; np; np = np->next)
		if (np->peer == peer)
			break;
	if (!np || c->closing)
		return;
	flint_addr_format(&np->addr, addr, sizeof(addr));
	now = flint_now_ns();
	if (!err) {
		if (np->complained_ns)
			flint_info("connected to node %u at %s again", np->node, addr);
		np->complained_ns = 0;
		if (c->cfg.up)
			c->cfg.up(c->cfg.arg, np->node);
	} else if (!np->complained_ns || now - np->complained_ns > COMPLAIN_NS) {
		flint_warn("no connection to node %u at %s: %s; trying again", np->node, addr,
			   why && *why ? why : strerror(-err));
		np->complained_ns = now;
	}
}

struct flint_peer *flint_cluster_peer(struct flint_cluster *c, uint32_t node, int *err)
{
	struct sockaddr_storage sa;
	struct node_peer **link, *np;
	int rc, proto;

	rc = node_address(c, node, &sa, &proto);
	if (rc)
		goto fail;
	for (link = &c->peers; (np = *link); link = &np->next)
		if (np->node == node)
			break;
	if (np && flint_addr_equal(&np->addr, &sa))
		return np->peer;
	if (np) {	/* it moved */
		*link = np->next;
		peer_bury(c, np);
	}
	np = calloc(1, sizeof(*np));
	rc = -ENOMEM;
	if (!np)
		goto fail;
	np->node = node;
	np->addr = sa;
	np->peer = peer_make(c, proto, &sa, node_state);
	if (!np->peer) {
		rc = -errno;
		free(np);
		goto fail;
	}
	np->next = c->peers;
	c->peers = np;
	return np->peer;
fail:
	if (err)
		*err = rc;
	return NULL;
}

int flint_cluster_call(struct flint_cluster *c, uint32_t node, struct flint_rpc *rpc)
{
	int err = 0;
	struct flint_peer *peer = flint_cluster_peer(c, node, &err);

	if (!peer)
		return err;
	flint_peer_call(peer, rpc);
	return 0;
}

void flint_cluster_set_session(struct flint_cluster *c, uint64_t session_epoch)
{
	struct node_peer *np;

	c->session_epoch = session_epoch;
	for (np = c->peers; np; np = np->next)
		flint_peer_set_epoch(np->peer, session_epoch);
}

/* ---- waiting for a map -------------------------------------------------- */

void flint_cluster_wait_cancel(struct flint_cluster *c, struct flint_cluster_waiter *w)
{
	struct flint_cluster_waiter **link;

	for (link = &c->waiters; *link; link = &(*link)->next)
		if (*link == w) {
			*link = w->next;
			flint_timer_cancel(c->cfg.loop, &w->timer);
			w->cluster = NULL;
			return;
		}
}

static void on_wait_timeout(struct flint_timer *t)
{
	struct flint_cluster_waiter *w = t->arg;

	flint_cluster_wait_cancel(w->cluster, w);
	w->fn(w, -ETIMEDOUT);
}

void flint_cluster_wait(struct flint_cluster *c, struct flint_cluster_waiter *w,
			uint64_t epoch, uint64_t timeout_ms)
{
	if (c->cur && c->cur->map.epoch >= epoch) {
		w->fn(w, 0);
		return;
	}
	w->epoch = epoch;
	w->cluster = c;
	w->timer.fn = on_wait_timeout;
	w->timer.arg = w;
	w->next = c->waiters;
	c->waiters = w;
	flint_timer_set(c->cfg.loop, &w->timer, timeout_ms);
}

/* ---- life --------------------------------------------------------------- */

int flint_cluster_config_load(struct flint_cluster_config *cfg, const char *mgrs,
			      const char *key_file, uint8_t key[FLINT_KEY_LEN], char *err,
			      size_t errlen)
{
	int n = 0;

	if (mgrs)
		n = flint_addr_parse_list(mgrs, FLINT_PORT_MGR_TCP, cfg->mgrs, FLINT_MGRS_MAX, err,
					  errlen);
	if (n < 0)
		return n;
	cfg->nr_mgrs = (unsigned int)n;
	cfg->key = key;
	return flint_key_load(key_file, key, err, errlen);
}

struct flint_cluster *flint_cluster_new(const struct flint_cluster_config *cfg)
{
	struct flint_cluster *c;

	if (!cfg->nr_mgrs || cfg->nr_mgrs > FLINT_MGRS_MAX) {
		errno = EINVAL;
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->cfg = *cfg;
	if (cfg->token) {
		c->token = malloc(flint_token_len(cfg->token));
		if (!c->token) {
			free(c);
			return NULL;
		}
		memcpy(c->token, cfg->token, flint_token_len(cfg->token));
	}
	c->cfg.token = c->token;
	if (cfg->key) {
		memcpy(c->key, cfg->key, sizeof(c->key));
		c->cfg.key = c->key;
	}
	snprintf(c->name, sizeof(c->name), "%s", cfg->name ? cfg->name : "");
	c->cfg.name = c->name;
	pthread_mutex_init(&c->lock, NULL);
	c->retry = (struct flint_timer){ .fn = on_retry, .arg = c };
	c->reap = (struct flint_timer){ .fn = on_reap, .arg = c };
	c->mgr_switch = (struct flint_timer){ .fn = on_mgr_switch, .arg = c };
	c->mgr_addr = cfg->mgrs[0];
	c->mgr = peer_make(c, FLINT_PROTO_TCP, &cfg->mgrs[0], mgr_state);
	if (!c->mgr) {
		pthread_mutex_destroy(&c->lock);
		free(c->token);
		free(c);
		return NULL;
	}
	map_get_send(c);
	return c;
}

void flint_cluster_free(struct flint_cluster *c)
{
	struct flint_loop *loop;
	struct node_peer *np;

	if (!c)
		return;
	loop = c->cfg.loop;
	c->closing = true;
	flint_timer_cancel(loop, &c->retry);
	flint_timer_cancel(loop, &c->reap);
	flint_timer_cancel(loop, &c->mgr_switch);
	while (c->waiters)
		flint_cluster_wait_cancel(c, c->waiters);
	flint_peer_free(c->mgr);
	flint_timer_cancel(loop, &c->mgr_switch);
	while ((np = c->peers)) {
		c->peers = np->next;
		flint_peer_free(np->peer);
		free(np);
	}
	flint_timer_cancel(loop, &c->reap);
	while ((np = c->dead)) {
		c->dead = np->next;
		flint_peer_free(np->peer);
		free(np);
	}
	c->freed = true;
	if (!c->get_open)
		cluster_destroy(c);
}
