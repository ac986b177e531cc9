// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include "node_int.h"
void flint_raft_change_run(struct flint_raft *r) { }
void flint_raft_change_failed(struct flint_raft *r, int err, const char *why) { }
void flint_raft_change(struct flint_raft *r, struct flint_raft_change *c)
{
	c->done(c, -EOPNOTSUPP, "not yet");
}
