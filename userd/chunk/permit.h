/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Permits: which inodes' data the clients of a token with a subtree may have
 * (uapi/flintfs/token.h). Clients without a token, and those whose token has the
 * whole file system, never come here.
 */
#ifndef FLINT_CHUNK_PERMIT_H
#define FLINT_CHUNK_PERMIT_H

#include <pthread.h>
#include "../net/net.h"

struct permit_slot;

/**
 * struct chunkd_permits - the permits that were shown
 * @key: the cluster's
 * @slots: NULL until the first one is
 */
struct chunkd_permits {
	const uint8_t *key;
	pthread_mutex_t lock;
	struct permit_slot *slots;
};

void chunkd_permits_init(struct chunkd_permits *ps, const uint8_t *key);
void chunkd_permits_free(struct chunkd_permits *ps);
/* FLINT_OP_PERMIT. Any thread. */
void chunkd_permit_request(struct chunkd_permits *ps, struct flint_call *call);
/* May whoever sent @call have data of the inode? If not: FLINT_ST_NEED_PERMIT. Any thread. */
bool chunkd_permitted(struct chunkd_permits *ps, const struct flint_call *call, u32 fs, u64 ino);

#endif /* FLINT_CHUNK_PERMIT_H */
