/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Membership of a daemon in its cluster: heartbeats to a manager, the node id
 * that it assigns, and the lease that the answers extend.
 *
 * A lease runs from the *send* time of the last answered heartbeat. A chunk
 * server stops serving at two thirds of it by its own CLOCK_BOOTTIME, so that
 * it has stopped before a manager may give its chains to others.
 */
#ifndef FLINT_CLIENT_MEMBER_H
#define FLINT_CLIENT_MEMBER_H

#include "cluster.h"

struct flint_member;

/**
 * struct flint_member_config
 * @cluster: through whose manager connection heartbeats go, and whose loop runs this
 * @role: FLINT_ROLE_CHUNK, FLINT_ROLE_META or FLINT_ROLE_MGR
 * @name: of the node, unique for its role; copied
 * @tcp_port, @rdma_port: offered; 0: not
 * @addrs: where, as flint_endpoint_addrs() says; none: the managers see from where it speaks
 * @targets: fills up to @max records, returns how many, or -1 while that is not known
 *	yet: what it held before is then not taken for gone; NULL: none
 * @max_targets: room to ask for, up to 1024
 * @replica: fills in what is said of the daemon's replica (zeroed before); NULL:
 *	it has none. Role and leader decide what the map calls the file systems'
 *	metadata server: flint_member_beat() whenever they change
 * @ordered: called after each answered heartbeat: enum flint_replica_order, and
 *	the group that it is about; may be NULL
 * @orders: called on each answered heartbeat, before the lease is extended and
 *	before @answered, with what the managers hold of the targets that it
 *	reported (none from a manager of an older version): what is to be served
 *	no longer must not profit from the new lease. May be NULL
 * @settings: called on each answered heartbeat of a manager that sends them, before
 *	@answered; may be NULL
 * @answered: called after each answered heartbeat with the node id; may be NULL
 * @refused: called when the manager refuses us (status of the reply), such as
 *	FLINT_ST_AUTH, or EEXIST for a target id that belongs to another disk; a
 *	sentence is logged in any case; may be NULL
 */
struct flint_member_config {
	struct flint_cluster *cluster;
	struct flint_loop *loop;
	uint8_t role;
	const char *name;
	uint16_t tcp_port, rdma_port;
	struct flint_addr addrs[FLINT_NODE_ADDRS];
	int (*targets)(void *arg, struct flint_hb_target *t, unsigned int max);
	unsigned int max_targets;
	void (*replica)(void *arg, struct flint_hb_replica *r);
	void (*ordered)(void *arg, uint32_t order, uint64_t group);
	void (*orders)(void *arg, const struct flint_hb_order *o, unsigned int nr);
	void (*settings)(void *arg, const struct flint_hb_settings *s);
	void (*answered)(void *arg, uint32_t node_id);
	void (*refused)(void *arg, uint32_t status);
	void *arg;
};

/* Sends the first heartbeat at once. NULL with errno. */
struct flint_member *flint_member_new(const struct flint_member_config *cfg);
/* On the loop, or with it stopped; before flint_cluster_free(). */
void flint_member_free(struct flint_member *m);

/* Send one now (a target's state changed). On the loop. */
void flint_member_beat(struct flint_member *m);

/* Any thread. What an order with FLINT_HB_ADMITTED was given to: this process. */
uint64_t flint_member_incarnation(const struct flint_member *m);
/* Any thread. 0 before the first answer. */
uint32_t flint_member_node_id(const struct flint_member *m);
/* Any thread. May requests be served now (send time + 2/3 lease not reached)? */
bool flint_member_lease_valid(const struct flint_member *m);
/* On the loop. T of the last answer, 0 before the first one. */
uint32_t flint_member_lease_ms(const struct flint_member *m);
/* Any thread. CLOCK_BOOTTIME ns at which that ends; 0 before the first answer. */
uint64_t flint_member_lease_end_ns(const struct flint_member *m);

#endif /* FLINT_CLIENT_MEMBER_H */
