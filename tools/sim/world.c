// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events, disks and links. A read goes
 *
 *	client -> (wire) -> disk -> link of the server -> link of the client
 *
 * and each of the three serves one request after the other, in the order in which
 * they arrive, at a fixed rate. So it suffices to know when each will have done
 * all it was given: a request is one event at each station.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum sim_station { SIM_AT_DISK, SIM_AT_LINK, SIM_AT_CLIENT, SIM_DONE };

/* ---- events ------------------------------------------------------------- */

static void event_add(struct sim *s, u64 at, u32 what, u32 req)
{
	struct sim_event e = { .at = at, .what = what, .req = req };
	u32 i = s->nr_heap++, up;

	for (; i && s->heap[up = (i - 1) / 2].at > at; i = up)
		s->heap[i] = s->heap[up];
	s->heap[i] = e;
}

static struct sim_event event_take(struct sim *s)
{
	struct sim_event first = s->heap[0], last = s->heap[--s->nr_heap];
	u32 i = 0, down;

	for (; (down = 2 * i + 1) < s->nr_heap; i = down) {
		if (down + 1 < s->nr_heap && s->heap[down + 1].at < s->heap[down].at)
			down++;
		if (s->heap[down].at >= last.at)
			break;
		s->heap[i] = s->heap[down];
	}
	s->heap[i] = last;
	return first;
}

/* ---- stations ----------------------------------------------------------- */

static u64 time_of(u64 bytes, u64 per_s)
{
	return bytes * 1000000000ull / per_s;
}

static u64 later(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* The link that the connection of this client and this server uses. */
static u32 link_of(const struct sim *s, const struct sim_req *r)
{
	u64 x = ((u64)r->client << 32 | r->node) + s->conf.seed;

	if (s->conf.rails == SIM_LOT)
		return r->node * s->conf.links + flint_rng_below(&x, s->conf.links);
	return r->node * s->conf.links + (r->client + r->node) % s->conf.links;
}

void sim_send(struct sim *s, u32 client, u32 stream, u32 disk)
{
	u32 id = s->idle[--s->nr_idle];
	struct sim_req *r = &s->reqs[id];

	*r = (struct sim_req){
		.sent_ns = s->now, .client = client, .stream = stream, .disk = disk,
		.node = s->disks[disk].node,
	};
	s->waiting[r->node] += s->conf.len;
	event_add(s, s->now + s->conf.wire_ns, SIM_AT_DISK, id);
}

static void at_disk(struct sim *s, u32 id)
{
	u64 *unused = &s->disk_free[s->reqs[id].disk];

	*unused = later(*unused, s->now) + time_of(s->conf.len, s->conf.disk);
	event_add(s, *unused + s->conf.disk_ns, SIM_AT_LINK, id);
}

static void link_used(struct sim *s, u32 link, u64 from, u64 to)
{
	u64 begin = s->conf.warm_ns, end = begin + s->conf.run_ns;

	from = later(from, begin);
	to = to < end ? to : end;
	if (to > from)
		s->link_busy[link] += to - from;
}

static void at_link(struct sim *s, u32 id)
{
	struct sim_req *r = &s->reqs[id];
	u32 link = link_of(s, r);
	u64 t = time_of(s->conf.len, s->conf.link), start = later(s->link_free[link], s->now);

	s->link_free[link] = start + t;
	link_used(s, link, start, start + t);
	event_add(s, start + s->conf.wire_ns, SIM_AT_CLIENT, id);
}

/* Its first byte arrives: the last one cannot be here before the sender has sent it. */
static void at_client(struct sim *s, u32 id)
{
	u64 *unused = &s->rx_free[s->reqs[id].client];

	*unused = later(*unused, s->now) + time_of(s->conf.len, s->conf.link);
	event_add(s, *unused, SIM_DONE, id);
}

static void done(struct sim *s, u32 id)
{
	struct sim_req *r = &s->reqs[id];
	u64 us = (s->now - r->sent_ns) / 1000;

	s->waiting[r->node] -= s->conf.len;
	if (s->now >= s->conf.warm_ns) {
		s->res.bytes += s->conf.len;
		s->res.requests++;
		s->hist[us < SIM_HIST_US ? us : SIM_HIST_US - 1]++;
	}
	s->idle[s->nr_idle++] = id;
	sim_load_done(s, id, s->conf.told ? s->waiting[r->node] : 0);
}

/* ---- a run -------------------------------------------------------------- */

/**
 * sim_table() - the table of a cluster
 *
 * Return: 0, -EINVAL after a message, -ENOMEM.
 */
int sim_table(const struct sim_conf *conf, struct sim *s)
{
	struct place_input in = {
		.nr_disks = conf->nodes * conf->disks, .nr_nodes = conf->nodes,
		.replicas = conf->replicas, .seed = conf->seed, .effort = 150,
	};
	char why[256];
	u32 i;

	s->conf = *conf;
	s->nr_disks = in.nr_disks;
	s->disks = calloc(in.nr_disks, sizeof(*s->disks));
	s->nodes = calloc(in.nr_nodes, sizeof(*s->nodes));
	s->gone = calloc(in.nr_nodes, sizeof(bool));
	if (!s->disks || !s->nodes || !s->gone)
		return -ENOMEM;
	for (i = 0; i < in.nr_nodes; i++)
		s->nodes[i].host = i;
	for (i = 0; i < in.nr_disks; i++)
		s->disks[i] = (struct place_disk){ .node = i / conf->disks, .slots = conf->slots };
	for (i = 0; i < conf->lost && i < conf->nodes; i++)
		s->gone[i] = true;
	in.disks = s->disks;
	in.nodes = s->nodes;
	if (!place_compute(&in, &s->table, why, sizeof(why)))
		return 0;
	fprintf(stderr, "flint-datasim: %s\n", why);
	return -EINVAL;
}

void sim_table_free(struct sim *s)
{
	place_table_free(&s->table);
	free(s->disks);
	free(s->nodes);
	free(s->gone);
}

static int sim_open(struct sim *s)
{
	const struct sim_conf *c = &s->conf;
	u32 i;

	s->nr_reqs = c->clients * c->streams * c->batch;
	s->reqs = calloc(s->nr_reqs, sizeof(*s->reqs));
	s->idle = calloc(s->nr_reqs, sizeof(*s->idle));
	s->heap = calloc(s->nr_reqs + 1, sizeof(*s->heap));
	s->disk_free = calloc(s->nr_disks, sizeof(u64));
	s->link_free = calloc((size_t)c->nodes * c->links, sizeof(u64));
	s->link_busy = calloc((size_t)c->nodes * c->links, sizeof(u64));
	s->rx_free = calloc(c->clients, sizeof(u64));
	s->waiting = calloc(c->nodes, sizeof(u64));
	s->hist = calloc(SIM_HIST_US, sizeof(u32));
	if (!s->reqs || !s->idle || !s->heap || !s->disk_free || !s->link_free || !s->link_busy ||
	    !s->rx_free || !s->waiting || !s->hist)
		return -ENOMEM;
	for (i = 0; i < s->nr_reqs; i++)
		s->idle[s->nr_idle++] = i;
	return sim_load_open(s);
}

static void sim_close(struct sim *s)
{
	sim_load_close(s);
	free(s->reqs);
	free(s->idle);
	free(s->heap);
	free(s->disk_free);
	free(s->link_free);
	free(s->link_busy);
	free(s->rx_free);
	free(s->waiting);
	free(s->hist);
}

static u64 sim_percentile(const struct sim *s, double part)
{
	u64 want = s->res.requests * part, seen = 0;
	u32 i;

	for (i = 0; i < SIM_HIST_US - 1; i++) {
		seen += s->hist[i];
		if (seen > want)
			break;
	}
	return i * 1000ull;
}

static void sim_judge(struct sim *s)
{
	const struct sim_conf *c = &s->conf;
	struct sim_result *r = &s->res;
	u32 i, j;

	r->bytes_per_s = r->bytes * 1e9 / c->run_ns;
	r->share = r->bytes_per_s / ((double)(c->nodes - c->lost) * c->links * SIM_LINK_NOMINAL);
	r->p50_ns = sim_percentile(s, .5);
	r->p99_ns = sim_percentile(s, .99);
	r->idlest = 1;
	for (i = 0; i < c->nodes; i++) {
		double use = 0;

		for (j = 0; j < c->links; j++)
			use += (double)s->link_busy[i * c->links + j] / c->run_ns / c->links;
		if (s->gone[i])
			continue;
		r->busiest = use > r->busiest ? use : r->busiest;
		r->idlest = use < r->idlest ? use : r->idlest;
	}
}

int sim_run(const struct sim_conf *conf, struct sim_result *res)
{
	static void (* const stations[])(struct sim *s, u32 id) = {
		[SIM_AT_DISK] = at_disk, [SIM_AT_LINK] = at_link,
		[SIM_AT_CLIENT] = at_client, [SIM_DONE] = done,
	};
	struct sim s = { 0 };
	u64 end = conf->warm_ns + conf->run_ns;
	int ret = sim_table(conf, &s);
	u32 c, i;

	if (!ret)
		ret = sim_open(&s);
	if (ret)
		goto out;
	for (c = 0; c < conf->clients; c++)
		for (i = 0; i < conf->streams; i++)
			sim_load_next(&s, c, i);
	while (s.heap[0].at < end) {
		struct sim_event e = event_take(&s);

		s.now = e.at;
		stations[e.what](&s, e.req);
	}
	sim_judge(&s);
	*res = s.res;
out:
	sim_close(&s);
	sim_table_free(&s);
	return ret;
}
