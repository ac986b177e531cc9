/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions whose data requests are refused; see fence.c. Any thread.
 */
#ifndef FLINT_CHUNK_FENCE_H
#define FLINT_CHUNK_FENCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>
#include "../net/net.h"

struct fence {
	u8 client[16];
	u64 epoch;		/* this one and older ones */
	UT_hash_handle hh;
};

struct fence_wait {
	struct flint_call *call;
	struct fence_wait *next;
};

struct chunkd_fences {
	pthread_mutex_t lock;	/* protects fences, now, next and the swapping of buckets */
	struct fence *fences;
	atomic_uint nr;
	atomic_uint bucket;
	atomic_long count[2];
	struct fence_wait *now, *next;
};

void chunkd_fences_init(struct chunkd_fences *f);
void chunkd_fences_free(struct chunkd_fences *f);
/* A data request begins. Return: what chunkd_fence_leave() wants, or -1: it is fenced. */
int chunkd_fence_enter(struct chunkd_fences *f, const struct flint_call *call);
/* It cannot change anything any more. */
void chunkd_fence_leave(struct chunkd_fences *f, int bucket);
/* FLINT_OP_FENCE. */
void chunkd_fence_request(struct chunkd_fences *f, struct flint_call *call);

#endif /* FLINT_CHUNK_FENCE_H */
