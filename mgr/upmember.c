// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint up: the replicas that were started become members of their groups.
 * Managers join by themselves (--join); metadata servers are added one after
 * the other. What was added before is left alone.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli_group.h"

#define UP_MEMBERS_MS	60000

/* The first daemon that answers, is empty and is no member. */
static struct cli_node *up_stands_by(struct cli_group *g)
{
	unsigned int i;

	for (i = 0; i < g->nr; i++)
		if (!g->nodes[i].err && !g->nodes[i].stat.group && g->nodes[i].stat.id &&
		    !cli_group_member(g, g->nodes[i].name))
			return &g->nodes[i];
	return NULL;
}

/**
 * up_members() - wait until there are @want voters, adding those that stand by
 *
 * Return: 0 or 1 after a message.
 */
int up_members(struct cli *c, const struct cli_kind *kind, uint64_t want)
{
	bool quiet = cli_opt(c, CLI_OPT_JSON);
	uint64_t begin = flint_now_ns();
	static struct cli_group g;
	char err[CLI_ERR_LEN], goal[128];
	struct cli_node *n;

	if (want == 1)
		return 0;
	for (;;) {
		if (!cli_group_load(&g, c, kind, err, sizeof(err)) && g.leader >= 0) {
			if (g.voters >= want)
				return 0;
			n = kind == &cli_kind_meta ? up_stands_by(&g) : NULL;
			if (n) {
				struct flint_raft_change_req req = { .op = FLINT_CHANGE_ADD };

				cli_change_whom(&req, n);
				snprintf(goal, sizeof(goal), "adding %s", n->name);
				if (cli_group_change(&g, &req, goal, quiet))
					return 1;
				if (!quiet)
					printf("%s is a member\n", n->name);
				continue;
			}
		}
		if ((flint_now_ns() - begin) / 1000000 > UP_MEMBERS_MS)
			return cli_fail("only %u of %llu %ss are members after %d s: look at the logs, then repeat the command; if some were taken out with 'flint %s remove', with a smaller --%s",
					g.voters, (unsigned long long)want, kind->one,
					UP_MEMBERS_MS / 1000, kind->verb, kind->verb);
		usleep(100000);
	}
}
