/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cluster's disks and chains as placement (place.h) wants them, made of the
 * managers' map.
 */
#ifndef FLINT_CLI_GROUND_H
#define FLINT_CLI_GROUND_H

#include "cli.h"
#include "place.h"

/**
 * struct cli_target - a target
 * @disk: index into disks
 * @chain: 0: it is free
 * @usable: its server is up and says that it is there
 */
struct cli_target {
	u32 id, disk, chain;
	bool usable;
};

/**
 * struct cli_ground - what there is
 * @names: of nodes
 * @label: of a disk: "server" or "server/disk"
 * @chain_ids, @first, @member: chains as struct place_chains has them
 */
struct cli_ground {
	json_t *map;
	u32 nr_nodes, nr_disks, nr_targets, nr_chains;
	u32 *node_ids;
	const char **names;
	struct place_node *nodes;
	struct place_disk *disks;
	char (*label)[96];
	struct cli_target *targets;
	u32 *chain_ids, *first, *member;
	u64 epoch;
};

/* Ask the managers. Disks' slots are left 0. Return: 0, or 1 after a message. */
int cli_ground_read(struct cli *c, struct cli_ground *g);
void cli_ground_free(struct cli_ground *g);
struct place_chains cli_ground_chains(const struct cli_ground *g);

/**
 * struct cli_chains_made - the outcome of cli_chains_make()
 */
struct cli_chains_made {
	u32 chains, replicas, unused;
	bool exact, rack;
};

/*
 * Make chains of free targets that cli_ground_read() found and @pick (NULL: all)
 * names. @replicas 0: three, or as many as there are machines. With @request it is
 * filled in instead of being sent. Return: 0, or 1 after a message.
 */
int cli_chains_make(struct cli *c, struct cli_ground *g, const bool *pick, u32 replicas,
		    enum place_domain domain, json_t **request, struct cli_chains_made *made);

#endif /* FLINT_CLI_GROUND_H */
