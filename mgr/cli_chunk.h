/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of the flint command to chunk servers.
 */
#ifndef FLINT_CLI_CHUNK_H
#define FLINT_CLI_CHUNK_H

#include "cli_group.h"

#define CLI_SERVERS_MAX	256

/**
 * struct cli_chunk - the map, and connections to the servers it names
 */
struct cli_chunk {
	struct cli *cli;
	json_t *map;
	struct {
		uint32_t node;
		struct cli_conn *conn;
	} server[CLI_SERVERS_MAX];
	unsigned int nr;
};

/* Fetch the map. Return: 0, or 1 after a message. */
int cli_chunk_open(struct cli *c, struct cli_chunk *k);
void cli_chunk_close(struct cli_chunk *k);
/* One request to the server of @target. Return: 0, or -errno with a sentence. */
int cli_chunk_ask(struct cli_chunk *k, uint32_t target, struct cli_rpc *call, char *err,
		  size_t errlen);

int cli_scrub_start(struct cli *c);
int cli_scrub_status(struct cli *c);
int cli_scrub_stop(struct cli *c);
int cli_chain_compare(struct cli *c);

#endif /* FLINT_CLI_CHUNK_H */
