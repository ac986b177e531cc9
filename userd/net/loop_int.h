/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What userd/net's own files know of an event loop beyond net.h.
 */
#ifndef FLINT_NET_LOOP_INT_H
#define FLINT_NET_LOOP_INT_H

#include "net.h"

/* Is the caller the thread that runs the loop now? */
bool flint_loop_inside(struct flint_loop *loop);

/*
 * When the loop last woke up: good enough for what is measured in seconds, and
 * costs no system call. Elsewhere than inside the loop it is the time.
 */
uint64_t flint_loop_now(struct flint_loop *loop);

/*
 * Run @fn(arg) on the loop and wait until it has run. Called from the loop's
 * own thread it runs at once; while nobody runs the loop, the caller does for
 * as long as there are tasks.
 */
void flint_loop_sync(struct flint_loop *loop, void (*fn)(void *arg), void *arg);

/*
 * One slot for the state that a transport keeps per loop; freed with the loop.
 * Only inside the loop, or while nobody runs it.
 */
void *flint_loop_slot(struct flint_loop *loop);
void flint_loop_set_slot(struct flint_loop *loop, void *p, void (*free_fn)(void *p));

#endif /* FLINT_NET_LOOP_INT_H */
