// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include "node_int.h"
int flint_raft_snaps_new(struct flint_raft *r) { return 0; }
void flint_raft_snaps_free(struct flint_raft *r) { }
void flint_raft_snap_send(struct flint_raft *r, u64 peer, u64 index) { }
void flint_raft_snap_request(struct flint_raft *r, struct flint_call *call)
{
	flint_call_reply(call, EOPNOTSUPP, NULL, 0, NULL, 0, 0);
}
void flint_raft_snap_load(struct flint_raft *r) { }
bool flint_raft_snap_resume(struct flint_raft *r) { return false; }
void flint_raft_snap_progress(struct flint_raft *r, u64 peer, u64 *sent, u64 *total) { }
u64 flint_raft_snap_needs(struct flint_raft *r) { return UINT64_MAX; }
void flint_raft_snaps_tick(struct flint_raft *r) { }
void flint_raft_snapshot_made(struct flint_raft *r, int err, u64 index, u64 term) { }
void flint_raft_snapshot_loaded(struct flint_raft *r, int err) { }
