/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Repair of blocks that a disk has spoilt, from another replica (rule R10 in
 * Documentation/replication.rst).
 */
#ifndef FLINT_CHUNK_REPAIR_H
#define FLINT_CHUNK_REPAIR_H

#include "heal.h"

/**
 * struct repair_wait - somebody waits for a chunk to be repaired
 * @done: called once, later
 * @held: by a change that others wait for: not even for its turn shall it wait
 * @status: result: FLINT_OK: it is readable now, or there is no such chunk any
 *	more; FLINT_ST_CHECKSUM: no replica has it undamaged; FLINT_ST_RETRY: those
 *	that may have it did not answer; EIO: our disk does not take it
 */
struct repair_wait {
	void (*done)(struct repair_wait *w);
	void *priv;
	bool held;
	u32 status;
	struct repair_wait *next;
};

/* Look at all of a chunk and repair what is damaged. On the worker. */
void repair_chunk(struct chunkd_heal *h, u32 fs, u64 ino, u32 index, struct repair_wait *w);

/* Something is damaged: list and count it. Return: its number. */
u64 repair_found(struct chunkd_heal *h, const struct flint_scrub_found *what);
/* What was listed so, and no chunk's, is as it should be again. */
void repair_mended(struct chunkd_heal *h, u64 nr);

/* The store hands reads that met damage over to us. */
void repair_attach(struct chunkd_heal *h);
/* Begin no more. Return: is nothing under way? */
bool repair_stop(struct chunkd_heal *h);
void repair_free(struct chunkd_heal *h);

#endif /* FLINT_CHUNK_REPAIR_H */
