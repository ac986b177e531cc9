/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server's targets: opened when it starts, attached and detached while it runs.
 *
 * A disk that cannot be opened, is damaged, belongs to another cluster or has the
 * number of another target is reported in a sentence and left out; the others
 * serve. A target keeps its place in the server's table for the life of the
 * process: a detached one stays behind as an empty store that is hidden from
 * requests and managers.
 */
#ifndef FLINT_CHUNK_TARGETS_H
#define FLINT_CHUNK_TARGETS_H

#include "service.h"
#include "../base/conf.h"

struct chunkd_targets;

/**
 * chunkd_targets_open() - open all targets, each by a thread of its own
 * @d: targets and nr_targets are filled in
 * @paths: configured ones
 * @dirs: directories below which targets may be attached later; may be empty
 * @dirfd: state directory: remembers what was attached
 *
 * Return: 0 or -errno. Fails with the first target's sentence when none could be
 * opened, unless there are @dirs.
 */
int chunkd_targets_open(struct flint_chunkd *d, const struct flint_conf_list *paths,
			const struct flint_conf_list *dirs, int dirfd, char *err, size_t errlen);

/* The workers are to be started: deal the targets to them. Return: 0 or -ENOMEM. */
int chunkd_targets_deal(struct flint_chunkd *d);

/* Everything else has stopped. */
void chunkd_targets_free(struct flint_chunkd *d);

/* The map is known, or another one: which targets belong to its cluster? Main loop. */
void chunkd_targets_bind(struct flint_chunkd *d, const struct flint_map *map);
/* Is it known yet which they are? Main loop. */
bool chunkd_targets_known(const struct flint_chunkd *d);

/* FLINT_OP_TARGET_CTL. The connection's loop. */
void chunkd_targets_request(struct flint_chunkd *d, struct flint_call *call);

#endif /* FLINT_CHUNK_TARGETS_H */
