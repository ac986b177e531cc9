// SPDX-License-Identifier: GPL-2.0-or-later
/* Until userd/raft has them: weak, so that its own take their place. */
#include <stdio.h>

#include "../userd/raft/node.h"

__attribute__((weak)) void flint_raft_join(struct flint_raft *r, const struct flint_addr *addr,
					   void (*done)(void *arg, int err, const char *why), void *arg)
{
	done(arg, -EOPNOTSUPP, "this version cannot join");
}

__attribute__((weak)) int flint_raft_promote_survivor(const char *dir, char *err, size_t errlen)
{
	snprintf(err, errlen, "this version cannot promote a survivor");
	return -EOPNOTSUPP;
}
