/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data path of a large cluster in virtual time: placement tables and the
 * choice of replicas are the real code (mgr/place*.c, userd/client/replica.h);
 * disks, links and the waiting in front of them are a model.
 * Documentation/simulator.rst describes model, calibration and limits.
 *
 *	main.c		options, the works, what is printed
 *	world.c		events, disks, links
 *	load.c		clients: what they ask for, and whom
 *	rebuild.c	how long copying takes after a loss
 */
#ifndef FLINT_SIM_H
#define FLINT_SIM_H

#include "../../mgr/place.h"
#include "../../userd/client/replica.h"

enum sim_choice {
	SIM_LEAST,	/* flint_replica_pick() */
	SIM_BATCH,	/* fewest in this batch, then fewest in flight */
	SIM_RANDOM,	/* by lot */
};

enum sim_rails {
	SIM_EVEN,	/* a server's clients are shared out to its links evenly */
	SIM_LOT,	/* each connection draws its link */
};

/**
 * struct sim_conf - what is simulated
 * @nodes, @disks, @slots: servers, disks of each, targets of each
 * @replicas: of each chain
 * @lost: servers that are gone
 * @clients: with one link each
 * @streams: of a client, each with @batch requests at a time; it goes on when all are answered
 * @len: bytes of a request
 * @link: payload bytes per second of a server's or a client's link
 * @links: of a server
 * @disk: bytes per second of a disk; @disk_ns: until its first byte
 * @wire_ns: one way
 * @told: replies tell how much waits at the server
 * @warm_ns, @run_ns: before and while counting, virtual
 */
struct sim_conf {
	u32 nodes, disks, slots, replicas, lost;
	u32 clients, streams, batch, len, links;
	u64 link, disk, disk_ns, wire_ns;
	enum sim_choice choice;
	enum sim_rails rails;
	bool told;
	u64 warm_ns, run_ns;
	u64 seed;
};

/**
 * struct sim_result - what came out
 * @bytes: read while counting
 * @share: of the ideal: all links of the servers that are left, at their nominal rate
 * @p50_ns, @p99_ns: from sending to the last byte
 * @busiest, @idlest: use of a server's links, as a share of time
 */
struct sim_result {
	u64 bytes, requests;
	double bytes_per_s, share;
	u64 p50_ns, p99_ns;
	double busiest, idlest;
};

/**
 * struct sim_req - one read under way
 */
struct sim_req {
	u64 sent_ns;
	u32 client, stream;
	u32 disk, node;
};

/**
 * struct sim_client - a client's memory of the servers it speaks to
 * @left: of each stream, requests of its batch that are not answered
 * @in_batch: requests of the batch that is being sent, by node; @batch_no tells whose
 */
struct sim_client {
	struct flint_replica_load *node;
	struct flint_replica_load *target;
	u32 *left;
	u16 *in_batch;
	u64 rng;
};

struct sim_event {
	u64 at;
	u32 what, req;
};

/**
 * struct sim - a run
 * @disk_free, @link_free, @rx_free: when what was given to them is done
 * @waiting: bytes at each server that are asked for and not sent
 * @link_busy: while counting
 * @hist: of latencies, in microseconds
 */
struct sim {
	struct sim_conf conf;
	struct place_table table;
	struct place_disk *disks;
	struct place_node *nodes;
	u32 nr_disks;
	bool *gone;			/* by node */
	struct sim_client *clients;
	struct sim_req *reqs;
	u32 *idle, nr_idle, nr_reqs;
	struct sim_event *heap;
	u32 nr_heap;
	u64 now;
	u64 *disk_free, *link_free, *rx_free, *waiting, *link_busy;
	u32 *hist;
	struct sim_result res;
};

#define SIM_WRITE_SHARE	0.6	/* what a disk writes, of what it reads in the same time */
#define SIM_HIST_US	100000
#define SIM_BATCH_MAX	4096
#define SIM_LINK_NOMINAL	25000000000ull	/* bytes per second: 200 Gb/s */

int sim_table(const struct sim_conf *conf, struct sim *s);
void sim_table_free(struct sim *s);
/* Return: 0, -ENOMEM, -EINVAL after a message. */
int sim_run(const struct sim_conf *conf, struct sim_result *res);

/* ---- load.c ---- */
int sim_load_open(struct sim *s);
void sim_load_close(struct sim *s);
/* Begin a stream's next batch. */
void sim_load_next(struct sim *s, u32 client, u32 stream);
/* A request was answered; @said: bytes that wait at the server. */
void sim_load_done(struct sim *s, u32 req, u64 said);
/* ---- world.c ---- */
void sim_send(struct sim *s, u32 client, u32 stream, u32 disk);

/**
 * struct sim_rebuild - copying what a lost server held
 * @bytes: to be copied
 * @spread_s: to free targets of all other servers
 * @replace_s: to one new server in its place
 */
struct sim_rebuild {
	u64 bytes;
	double spread_s, replace_s;
	u32 sources;
};

/* @used: bytes on each disk; @share: of links and disks that copying may use. */
int sim_rebuild(const struct sim_conf *conf, u64 used, double share, struct sim_rebuild *out);

#endif /* FLINT_SIM_H */
