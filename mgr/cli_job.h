/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the flint command: jobs of the managers (cli_job.c). */
#ifndef FLINT_CLI_JOB_H
#define FLINT_CLI_JOB_H

#include "cli.h"

#define CLI_JOB_DRY	-1	/* nothing was done, because of --dry-run */

/*
 * Say what the job of @body would do, begin it, watch it to its end unless
 * --no-wait. @after: what follows, as a part of the sentence, or NULL. @confirm: ask
 * first. Consumes @body. Return: 0 done, 1 after a message, CLI_JOB_DRY.
 */
int cli_job_run(struct cli *c, json_t *body, const char *after, bool confirm);
/* Until it has ended. *@end: its record, unless NULL. Return: 0 done, 1 not. */
int cli_job_watch(struct cli *c, json_int_t id, json_t **end);

#endif /* FLINT_CLI_JOB_H */
