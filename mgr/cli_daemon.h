/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the flint command: asking daemons for what they say of themselves
 * (cli_log.c).
 */
#ifndef FLINT_CLI_DAEMON_H
#define FLINT_CLI_DAEMON_H

#include "cli_group.h"

#define CLI_TEXT_MAX	(256u << 10)	/* of logs and metrics of one daemon */

/* A daemon of the cluster, where it is reached. */
struct cli_daemon {
	char name[FLINT_LABEL_LEN];
	char role[16];
	struct sockaddr_storage addr;
};

/* All daemons, or the one of that name. *@out is malloced. Return: 0, or 1 after a message. */
int cli_daemons(struct cli *c, const char *name, struct cli_daemon **out, unsigned int *nr);
/* One request. Return: 0 when it was answered with FLINT_OK, or -errno with a sentence. */
int cli_daemon_ask(struct cli *c, const struct cli_daemon *d, struct cli_rpc *call, char *err,
		   size_t errlen);
/* FLINT_OP_METRICS, or the last lines by FLINT_OP_LOG. Return: malloced, or NULL with a sentence. */
char *cli_daemon_text(struct cli *c, const struct cli_daemon *d, u16 op, char *err, size_t errlen);

#endif /* FLINT_CLI_DAEMON_H */
