/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the commands about this machine's mounts (cli_client.c, cli_top.c) and the module's
 * netlink family (cli_netlink.c).
 */
#ifndef FLINT_CLI_CLIENT_H
#define FLINT_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

struct cli;

/**
 * cli_client_gather() - what the module tells of its mounts
 * @id: only this one, as its directory in /sys/fs/flintfs is called; "": all
 *
 * Return: an array of mounts, each with "mount", "name", "state", "counters", "operations" and
 * "peers", or NULL after a message.
 */
json_t *cli_client_gather(const char *id);

/**
 * cli_client_listen() - events until the process is told to end
 * @id: as above
 * @tell: called for each; false ends it
 * Return: 0, or 1 after a message.
 */
int cli_client_listen(const char *id, bool (*tell)(json_t *event, void *arg), void *arg);

/* The mount that a command's first word names, by number or directory. "" without. Return: 0, 1. */
int cli_client_id(struct cli *c, char *id, size_t len);

/* How long so many of a thousand took at most, in us, by the buckets. */
uint64_t cli_client_quantile(json_t *buckets, unsigned int permille);

#endif /* FLINT_CLI_CLIENT_H */
