// SPDX-License-Identifier: GPL-2.0-or-later
#include "fs_lease.h"
void fs_lock_event(struct flint_fs *fs, const struct flint_msg *m) { (void)fs; (void)m; }
void fs_lock_reclaim_start(struct flint_fs *fs) { (void)fs; }
uint32_t fs_lock_reclaim(struct flint_fs *fs, struct flint_lock *out, uint32_t max) { (void)fs; (void)out; (void)max; return 0; }
void fs_lock_reclaimed(struct flint_fs *fs, const uint8_t *status, uint32_t nr) { (void)fs; (void)status; (void)nr; }
void fs_lock_lost(struct flint_fs *fs) { (void)fs; }
