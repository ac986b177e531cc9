/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Placement tables: which disks form the chains of a table, so that when a disk
 * or a server is lost all others share its work. Pure functions, no I/O; equal
 * inputs give equal tables on every machine.
 *
 *	place.c		a table for disks that are free
 *	place_cyclic.c	exact designs from difference families
 *	place_mix.c	the search where there is none
 *	place_roles.c	who is head, who is tail
 *	place_order.c	which chains are neighbours in the table
 *	place_check.c	what every single failure does to the survivors
 *	place_move.c	which chain to move where, one at a time
 *
 * Words: a disk has slots, one for each of its targets; a chain takes one slot
 * of each of its disks. Two disks of one chain never lie in one failure domain:
 * a host, or a rack where there are enough of them. Two disks are *partners* in
 * every chain that both are in: the more evenly partners are spread, the more
 * evenly the load of a lost one is. Documentation/placement.rst has the theory.
 */
#ifndef FLINT_MGR_PLACE_H
#define FLINT_MGR_PLACE_H

#include "../uapi/flintfs/types.h"

#define PLACE_NONE		(~0u)
#define PLACE_REPLICAS_MAX	8

enum place_domain {
	PLACE_AUTO	= 0,	/* racks where they suffice, else hosts */
	PLACE_HOST	= 1,
	PLACE_RACK	= 2,
};

/**
 * struct place_disk - where chains may be put
 * @node: index of its server, 0..nr_nodes-1
 * @slots: chains it may take part in
 */
struct place_disk {
	u32 node;
	u32 slots;
};

/**
 * struct place_node - a server
 * @host: any number; servers with the same one share a machine
 * @rack: any number; 0: not known, every such host is a rack of its own
 */
struct place_node {
	u32 host;
	u32 rack;
};

/**
 * struct place_input - what a table is made of
 * @replicas: 1..8
 * @seed: of the search; the same seed gives the same table
 * @effort: steps of the search for each slot, 0: 1000
 */
struct place_input {
	const struct place_disk *disks;
	u32 nr_disks;
	const struct place_node *nodes;
	u32 nr_nodes;
	u32 replicas;
	enum place_domain domain;
	u64 seed;
	u32 effort;
};

/**
 * struct place_table - chains
 * @member: disk of replica i of chain c at [c * replicas + i], head first
 * @domain: that was used
 * @unused: slots that no chain could take
 * @exact: pairs of disks and pairs of servers share chains as evenly as numbers allow
 */
struct place_table {
	u32 nr_chains;
	u32 replicas;
	u32 *member;
	enum place_domain domain;
	u32 unused;
	bool exact;
};

int place_compute(const struct place_input *in, struct place_table *out, char *why, size_t whylen);
void place_table_free(struct place_table *t);

/* ---- place_check.c ---------------------------------------------------- */

/**
 * struct place_chains - chains as they stand, any number of replicas in each
 * @first: chain c has members first[c]..first[c + 1] - 1
 * @member: disks, head first
 */
struct place_chains {
	const struct place_disk *disks;
	u32 nr_disks;
	const struct place_node *nodes;
	u32 nr_nodes;
	u32 nr_chains;
	const u32 *first;
	const u32 *member;
};

/**
 * struct place_failure - what the loss of one disk or server does
 * @what: disk or node index
 * @node: it is a server
 * @lost: chains that keep no replica at all
 * @chains: chains that lose a replica
 * @survivors: disks, or servers if one failed, that take part in chains and are left
 * @least, @most: further read load of a survivor, as a share of what it had; the
 *	least is of those on other machines
 * @optimum: if all survivors on other machines took an equal share
 * @sources: survivors that hold what has to be copied
 */
struct place_failure {
	u32 what;
	bool node;
	u32 lost, chains, survivors, sources;
	double least, most, mean, optimum;
};

/**
 * struct place_summary - a table's balance
 * @disk_pair, @node_pair: chains that two of different hosts share, least and most
 * @heads, @tails: of a disk in chains of two or more, least and most
 * @slots: chains of a disk, least and most
 * @crowded: chains with two replicas in one host
 */
struct place_summary {
	u32 disk_pair[2], node_pair[2], heads[2], tails[2], slots[2];
	u32 crowded;
};

/* @extra: a place for each disk or node, or NULL. Return: 0, -ENOMEM. */
int place_fail(const struct place_chains *c, bool node, u32 what, struct place_failure *f,
	       double *extra);
int place_summarize(const struct place_chains *c, struct place_summary *s);

/* ---- place_move.c ----------------------------------------------------- */

/**
 * struct place_move - one step: @to joins at the tail, then @from leaves
 * @from: PLACE_NONE: a replica is added
 * @to: PLACE_NONE: one is dropped
 */
struct place_move {
	u32 chain;
	u32 from, to;
};

/**
 * struct place_moves - the way to a better place for existing chains
 * @c: chains as they stand; disks' slots count those that are taken, too
 * @weight: bytes of each chain, NULL: all alike
 * @leave: disks that chains shall leave, NULL: none
 * @replicas: wanted, 0: as they are
 * @domain: as for a new table
 * @seed: as for a new table
 */
struct place_moves {
	const struct place_chains *c;
	const u64 *weight;
	const bool *leave;
	u32 replicas;
	enum place_domain domain;
	u64 seed;
};

/*
 * *@out: malloced, to be done in this order. Return: their number, or -errno
 * with a sentence: -ENOSPC no slot is left for some of them, -ENOMEM.
 */
int place_plan(const struct place_moves *in, struct place_move **out, char *why, size_t whylen);

#endif /* FLINT_MGR_PLACE_H */
