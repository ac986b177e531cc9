/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lease_test.c and lease_mended.c, the parts of flint-leasetest, share. */
#ifndef LEASE_TEST_H
#define LEASE_TEST_H

#include "../../userd/client/fs_admin.h"
#include "../../userd/client/fs_async.h"

#define PIECE	4096		/* of what grow_by() writes */

extern uint32_t call_ms;	/* time-out of calls of clients opened from now on, 0: the usual */

void ok(bool good, const char *what);
struct flint_fs *client_of(const char *name, struct flint_loop *loop, bool delegate);
struct flint_fs *client(const char *name, struct flint_loop *loop);
uint64_t ino_of(const struct flint_attr *a);
uint64_t root_of(struct flint_fs *fs);
int own_dir(struct flint_fs *fs, uint64_t parent, const char *name, uint32_t mode,
	    struct flint_attr *dir);
int make(struct flint_fs *fs, uint64_t dir, const char *prefix, int i, struct flint_attr *a);
uint64_t delegated(struct flint_fs *fs);
bool grow_by(struct flint_file *f, uint64_t from, int pieces);
uint64_t size_seen(struct flint_fs *fs, uint64_t ino);

/* All of lease_mended.c. @meta: the metadata server, which is stopped for a while. */
void mended(pid_t meta);

#endif
