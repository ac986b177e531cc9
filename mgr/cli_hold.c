// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One target taken out of its chain's work, or back; and the last resort when all
 * that served a chain are lost.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

/* Send one change of the target in the first word. Return: exit status. */
static int hold_change(struct cli *c, const char *verb, const char *done)
{
	unsigned long id;
	json_t *reply;
	char *end;

	id = strtoul(c->words[0], &end, 10);
	if (*end || !id || id > UINT32_MAX)
		return cli_fail("'%s' is no target id: 'flint target list' shows them", c->words[0]);
	reply = cli_api(c, "POST", "/v1/chains/change",
			json_pack("{s:[{s:s, s:I}], s:b}", "changes", "verb", verb, "target",
				  (json_int_t)id, "dry_run",
				  (int)!!cli_opt(c, CLI_OPT_DRY_RUN)));
	if (!reply)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(reply);
	else if (cli_opt(c, CLI_OPT_DRY_RUN))
		printf("it can be done; nothing was (--dry-run)\n");
	else
		printf("target %lu %s\n", id, done);
	json_decref(reply);
	return 0;
}

int cli_target_offline(struct cli *c)
{
	return hold_change(c, "offline",
			   "stops serving and stays offline until 'flint target online' lets it return");
}

int cli_target_online(struct cli *c)
{
	return hold_change(c, "online", "returns: it recovers, and serves then");
}

int cli_target_promote(struct cli *c)
{
	int ret = cli_confirm(c,
		"DATA LOSS: this target will serve its chain as it is. Whatever was written while it was away, and whatever only the lost targets have, is gone for good, although it was acknowledged. If one of those that 'flint status' waits for can still be brought back, bring it back instead.");

	if (ret == 1)
		return 1;
	return hold_change(c, "promote",
			   "serves what it has; those that return recover from it");
}
