/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A simulated world for the Raft core: machines with disks and clocks, a
 * network, a nemesis, clients and an operator; one process, one thread,
 * virtual time. One seed is one run, always the same.
 *
 * What the world may do is what a real one may: lose, delay, duplicate and
 * reorder messages; cut links, one way too; crash a machine (what was not
 * synced is lost, or a prefix of it is not); slow disks, failing disks, lost
 * disks; stop a process for a while; let clocks run apart, within the bound
 * that the core was told. After every step the invariants at world_check.c are
 * tested against what the core shows and what is on the disks.
 *
 * The replicated state is a sequence of 64-bit values; a world's user gives
 * them a meaning with struct world_ops (meta_sim.c: commands).
 */
#ifndef FLINT_SIM_WORLD_H
#define FLINT_SIM_WORLD_H

#include <stdio.h>

#include "../../userd/raft/raft_int.h"

#define MACHINES	8	/* at most, of which some may be spare */
#define SCALE		1000ull	/* time_scale: units of virtual time */

/* An entry. @val: a value, or for RAFT_CONF a pointer to struct blob. */
struct ent {
	u64 term, val;
	u32 bytes;
	u8 kind;
};

struct blob {
	u32 len;
	u8 data[];
};

/* Entries base + 1 .. base + nr. */
struct vec {
	u64 base, nr, cap;
	struct ent *e;
};

/* State of the replicated thing after so many entries. @ref: world_ops' */
struct state {
	u64 index, term, hash;
	u64 ref;
	const struct raft_conf *conf;	/* in force at index; snapshots only */
};

/* What one update makes durable. */
struct job {
	struct job *next;
	u64 seq, term, vote, truncate_from, first;
	bool hard, install, keep, compact;
	u64 snap_index, snap_term;
	const struct raft_conf *snap_conf;
	struct state state;
	u32 nr;
	struct ent e[];
};

struct disk {
	u64 term, vote, seq;
	u64 snap_index, snap_term;
	const struct raft_conf *snap_conf;
	struct vec log;
	struct state state;
};

/* A snapshot on its way. */
struct shipment {
	u8 to;
	u64 from_id;
	bool arrived;
	struct state state;
};

/* A message that waits for the disk, or is on its way. */
struct mail {
	struct mail *next;
	struct raft_msg m;
	u32 refs;
	struct raft_entry re[];
};

/* @need: what the answer must show; @known: @index must be applied first. */
struct pending_read {
	u64 token, index, need;
	bool known;
};

#define READS 32

struct machine {
	u64 id;
	bool up;
	u32 incarnation;
	struct raft *raft;
	struct disk disk;
	struct vec log;		/* what the process has in memory */
	struct state state;
	struct job *jobs, **jobs_tail;
	struct mail *held, **held_tail;
	u32 nr_reads;
	struct pending_read reads[READS];
	const struct state *incoming;	/* snapshot that is being offered to the core */
	u64 timer;		/* true time of the scheduled tick, 0: none */
	u64 batch;		/* seq that the disk is writing up to */
	s64 drift;		/* ppm */
	u64 offset;
	u64 stalled_until;
	u32 disk_delay, disk_slow;
	u64 fail_disk_at;
	u64 seen_term, seen_vote, seen_commit;
	u64 deadline;
};

enum what { EV_TIMER, EV_MAIL, EV_DISK, EV_NEMESIS, EV_CLIENT, EV_OPERATOR, EV_RESTART, EV_SNAP,
	    EV_SNAP_DONE, EV_FLUSH, EV_DOWNFALL };

struct item {
	u64 at, order;
	u8 what, node;
	u32 incarnation;
	void *ptr;
};

/* What is known to be true of the whole group. */
struct truth {
	u64 nr, cap;		/* committed entries 1 .. nr */
	struct ent *e;
	u64 *hash;		/* of the state after each */
	u64 *in_term;		/* term of the leader that committed it */
	u64 nr_leaders;		/* by term */
	u64 *leader;
	u64 map_cap, map_nr;
	struct placed *map;	/* (index, term): value and previous term */
	u64 run;
	u64 at_heal;
	u64 acked;		/* index up to which someone saw the state */
};

struct world;

/* What the values mean. All may be NULL. */
struct world_ops {
	/* A value for the leader to append; false: nothing now. */
	bool (*submit)(struct world *w, struct machine *n, u64 *val);
	/* Refused (rc), or appended (0). */
	void (*submitted)(struct world *w, struct machine *n, u64 val, int rc);
	void (*apply)(struct world *w, struct machine *n, u64 index, u64 term, u64 val);
	/* Keep a copy of n's state; the same again later, on any machine, 0: empty. */
	u64 (*save)(struct world *w, struct machine *n);
	void (*load)(struct world *w, struct machine *n, u64 ref);
	/* Process gone. */
	void (*stop)(struct world *w, struct machine *n);
	void (*finished)(struct world *w);
};

struct world_stats {
	u64 steps, elections, commits, acks, reads, lease_reads, crashes, wipes, snapshots, confs,
	    transfers, runs, messages, truncations;
};

struct world {
	u64 seed, rng;
	bool trace;
	const struct world_ops *ops;
	void *arg;
	u64 now, order, next_id, next_val, next_token;
	u64 end_chaos, end_clients, end;
	u32 nr_machines;
	u32 drift_bound;
	struct machine m[MACHINES];
	bool cut[MACHINES][MACHINES];
	u32 loss, dup, slow_mail;	/* per mille */
	u64 nemesis_pause;
	u32 max_bytes, latency, mood, writes;
	struct item *heap;
	u32 heap_nr, heap_cap;
	struct truth truth;
	struct world_stats st;
	char failure[512];
	struct chunk *chunks, *chunk;	/* memory of a run */
	size_t chunk_used;
};

/* world.c */
void world_run(struct world *w, u64 seed);
void world_free(struct world *w);
u64 world_random(struct world *w, u64 n);
bool world_chance(struct world *w, u32 per_mille);
void *world_alloc(struct world *w, size_t size);
u64 world_local(const struct world *w, const struct machine *n);
struct machine *world_find(struct world *w, u64 id);
struct ent *vec_at(const struct vec *v, u64 index);
int world_step(struct world *w, struct machine *n, struct raft_event *ev);
void world_push(struct world *w, u64 after, u8 what, u8 node, void *ptr);
void world_start(struct world *w, struct machine *n);
void world_crash(struct world *w, struct machine *n);
u64 world_mix(u64 a, u64 b);

/* world_people.c: nemesis, operator, clients */
void people_begin(struct world *w);
void people_nemesis(struct world *w);
void people_operator(struct world *w);
void people_client(struct world *w);
void people_elected(struct world *w, struct machine *n);
void people_downfall(struct world *w, struct machine *n);
void people_heal(struct world *w);
void people_read_ready(struct world *w, struct machine *n, const struct raft_read *rd);
void people_applied(struct world *w, struct machine *n);

/* world_check.c */
u64 check_value(const struct ent *e);
void check_begin(struct world *w);
void check_free(struct world *w);
void check_append(struct world *w, struct machine *n, u64 index);
void check_step(struct world *w, struct machine *n, const struct raft_update *u);
void check_apply(struct world *w, struct machine *n, u64 index, const struct ent *e, u64 hash);
void check_send(struct world *w, struct machine *n, const struct raft_msg *m);
void check_end(struct world *w);
void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define TRACE(w, ...) do {							\
	if ((w)->trace) {							\
		printf("%8llu.%03llu ", (unsigned long long)((w)->now / SCALE),	\
		       (unsigned long long)((w)->now % SCALE));			\
		printf(__VA_ARGS__);						\
		putchar('\n');							\
	}									\
} while (0)

#endif /* FLINT_SIM_WORLD_H */
