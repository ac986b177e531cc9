/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scrub: every chunk of a target is read once within a period, to find what the
 * disk has spoilt while there are replicas to repair it from.
 */
#ifndef FLINT_CHUNK_SCRUB_H
#define FLINT_CHUNK_SCRUB_H

#include "heal.h"

/* @dirfd: state directory, where the place of a pass is kept; -1: nowhere. NULL: no memory. */
struct chunkd_scrub *scrub_new(struct chunkd_heal *h, int dirfd);
/* Begin no more. Return: is nothing under way? */
bool scrub_stop(struct chunkd_scrub *s);
void scrub_free(struct chunkd_scrub *s);
/* The place or the settings may have changed. On the worker. */
void scrub_look(struct chunkd_heal *h);

/* FLINT_OP_SCRUB, on the connection's loop. */
void heal_request_scrub(struct flint_chunkd *d, struct flint_call *call);

#endif /* FLINT_CHUNK_SCRUB_H */
