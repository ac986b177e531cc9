// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Clients. Each reads chunks of chains drawn by lot, as reads at random offsets
 * of a large file do, in streams: a stream sends a batch, and the next one when
 * all of it is answered. A batch of one is a queue that is always full, which is
 * what an application with asynchronous reads makes of FlintFS.
 *
 * Two choices of a replica are compared: flint_replica_pick(), the client
 * library's code, and that of 3FS's load balancing as its source describes it:
 * the server with fewest requests of this batch, then with fewest in flight.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim.h"

int sim_load_open(struct sim *s)
{
	const struct sim_conf *c = &s->conf;
	u64 rng = c->seed;
	u32 i;

	s->clients = calloc(c->clients, sizeof(*s->clients));
	if (!s->clients)
		return -ENOMEM;
	for (i = 0; i < c->clients; i++) {
		struct sim_client *k = &s->clients[i];

		k->rng = flint_splitmix64(&rng);
		k->node = calloc(c->nodes, sizeof(*k->node));
		k->target = calloc(s->nr_disks, sizeof(*k->target));
		k->left = calloc(c->streams, sizeof(*k->left));
		k->in_batch = calloc(c->nodes, sizeof(*k->in_batch));
		if (!k->node || !k->target || !k->left || !k->in_batch)
			return -ENOMEM;
	}
	return 0;
}

void sim_load_close(struct sim *s)
{
	u32 i;

	for (i = 0; s->clients && i < s->conf.clients; i++) {
		free(s->clients[i].node);
		free(s->clients[i].target);
		free(s->clients[i].left);
		free(s->clients[i].in_batch);
	}
	free(s->clients);
}

static struct flint_replica replica_of(struct sim *s, struct sim_client *k, u32 disk)
{
	return (struct flint_replica){ &k->node[s->disks[disk].node], &k->target[disk] };
}

/* Fewest of this batch, then fewest in flight, then by lot. */
static u32 pick_batch(struct sim *s, struct sim_client *k, const u32 *disks, u32 nr)
{
	u64 least = ~0ull, cost;
	u32 i, best = 0, equal = 0;

	for (i = 0; i < nr; i++) {
		u32 node = s->disks[disks[i]].node;

		cost = (u64)k->in_batch[node] << 48 | k->node[node].bytes;
		if (cost > least)
			continue;
		if (cost < least)
			equal = 0;
		least = cost;
		if (!flint_rng_below(&k->rng, ++equal))
			best = i;
	}
	return best;
}

static u32 pick(struct sim *s, struct sim_client *k, const u32 *disks, u32 nr)
{
	struct flint_replica r[PLACE_REPLICAS_MAX];
	u32 i;

	if (s->conf.choice == SIM_RANDOM)
		return flint_rng_below(&k->rng, nr);
	if (s->conf.choice == SIM_BATCH)
		return pick_batch(s, k, disks, nr);
	for (i = 0; i < nr; i++)
		r[i] = replica_of(s, k, disks[i]);
	return flint_replica_pick(r, nr, s->now, &k->rng);
}

/* A read of a chain that some server left serves. Return: the disk. */
static u32 choose(struct sim *s, struct sim_client *k)
{
	u32 disks[PLACE_REPLICAS_MAX], nr = 0, i;

	while (!nr) {
		u32 c = flint_rng_below(&k->rng, s->table.nr_chains);

		for (i = 0; i < s->table.replicas; i++) {
			u32 d = s->table.member[(size_t)c * s->table.replicas + i];

			if (!s->gone[s->disks[d].node])
				disks[nr++] = d;
		}
	}
	return disks[pick(s, k, disks, nr)];
}

void sim_load_next(struct sim *s, u32 client, u32 stream)
{
	struct sim_client *k = &s->clients[client];
	struct flint_replica r;
	u32 i, disk, sent[SIM_BATCH_MAX];

	for (i = 0; i < s->conf.batch; i++) {
		disk = choose(s, k);
		r = replica_of(s, k, disk);
		flint_replica_begin(&r, s->conf.len);
		sent[i] = s->disks[disk].node;
		k->in_batch[sent[i]]++;
		sim_send(s, client, stream, disk);
	}
	for (i = 0; i < s->conf.batch; i++)
		k->in_batch[sent[i]] = 0;
	k->left[stream] = s->conf.batch;
}

void sim_load_done(struct sim *s, u32 req, u64 said)
{
	struct sim_req q = s->reqs[req];
	struct sim_client *k = &s->clients[q.client];
	struct flint_replica r = replica_of(s, k, q.disk);

	flint_replica_end(&r, s->conf.len, true, said, s->now);
	if (!--k->left[q.stream])
		sim_load_next(s, q.client, q.stream);
}
