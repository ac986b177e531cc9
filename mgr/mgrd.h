/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside flint-mgrd: what its files offer each other.
 *
 *	state.c		the model; command.c: its changes; db.c: its database
 *	replica.c	this manager as one of several: changes are agreed upon
 *	worker.c	file work on a thread of its own
 *	members.c	heartbeats and failure detection (pure: no I/O)
 *	chains.c	facts and wishes become chains; chainstate.c: the state machine (pure)
 *	beat.c		this manager's own heartbeats
 *	group.c		what the leader of the metadata group says of its replicas
 *	image.c		the map image that clients and servers get (pure)
 *	rpc.c		MAP_GET and HEARTBEAT
 *	fsmake.c	making a file system together with flint-metad
 *	http.c		HTTP server and authentication of requests
 *	admin.c		the JSON API on it; chainset.c, tokens.c: its parts about chains, tokens
 *	chainops.c	its part about chains that exist, settings, history
 *	report.c	status in words, listings; report_chain.c: chains, recovery, history; metrics.c: for Prometheus
 *	mgrd.c		options, start, stop
 *
 * One thread runs everything on one loop, but for the worker's file work.
 */
#ifndef FLINT_MGRD_H
#define FLINT_MGRD_H

#include <jansson.h>

#include "../userd/base/metrics.h"
#include "../userd/net/endpoint.h"
#include "../uapi/flintfs/raft.h"
#include "../userd/raft/node.h"
#include "chainstate.h"
#include "state.h"

#define MGR_ERR_LEN		512
/* Less, and the leader's tick (twice a second) could not tell a silent server from its own pauses. */
#define MGR_LEASE_MIN_MS	2000
#define MGR_MAX_IO		(512u << 10)	/* also the largest map image sent */
#define MGR_MAP_ROOM		(MGR_MAX_IO / 4 * 3)	/* as far as operators may fill it */
#define MGR_POOL_BUFS		8

struct mgr_wait;
struct mgr_http;
struct mgr_meta_peer;
struct mgr_change;
struct mgr_worker;

/**
 * struct mgr_group - what the leader of the metadata group said of it last
 * @heard_ns: when; 0: never
 * @node: who
 */
struct mgr_group {
	u64 heard_ns;
	u32 node;
	struct flint_raft_stat stat;
	struct flint_raft_stat_member members[FLINT_RAFT_MEMBERS_MAX];
	unsigned int nr;
};

/**
 * struct mgr - the daemon's one context
 * @st: the committed state; never NULL, epoch 0 before there is any
 * @next: ready leader only: with what is on its way and what heartbeats say
 * @next_bad: make @next anew as soon as nothing is on its way
 * @changes: commands on their way, oldest first
 * @seed: of a cluster that is being founded
 * @image: the published map, a buffer of @pool; never changed once set
 * @waits: standing MAP_GET requests
 * @next_seq: of mutating requests that this process sends
 * @usage_ns: when small differences of usage were last brought into the map
 * @tick_ns: when the tick last ran
 * @lead_ns: since when this manager leads
 * @lease_ns: when it changed the lease
 */
struct mgr {
	struct flint_loop *loop;
	struct flint_pool *pool;
	struct flint_server *srv;
	struct mgr_db *db;
	struct mgr_state *st;
	struct mgr_state *next;
	struct mgr_state *seed;
	struct mgr_change *changes;
	struct flint_raft *raft;
	struct mgr_worker *worker;
	struct flint_buf *image;
	u32 image_len;
	u64 image_epoch;
	struct mgr_wait *waits;
	struct flint_timer tick, join_timer;
	struct mgr_http *http[FLINT_LISTEN_MAX];
	struct flint_metrics metrics;
	struct flint_collector collect[2];
	struct mgr_meta_peer *metas;
	struct mgr_group group;
	struct mgr_group_poll *group_poll;
	struct mgr_beater *beater;
	struct sockaddr_storage join[FLINT_LISTEN_MAX];
	unsigned int nr_join, join_at;
	struct flint_endpoint *ep;
	u16 http_port;
	unsigned int time_scale;
	u8 key[FLINT_KEY_LEN];
	u8 client_id[16];
	u64 next_seq;
	u64 incarnation;
	u64 started_ns, lead_ns, lease_ns;
	u64 usage_ns;
	u64 tick_ns;
	u64 applied, applied_term;
	u64 unsynced, synced_ns;
	const char *name;
	bool next_bad, founding, syncing, removed, stopping, failed;
};

struct mgr_options {
	char *state;
	char *key;
	struct flint_endpoint_options ep;
	uint64_t http_port;
	char *cluster_name;
	char *join;
	uint64_t time_scale;
};

/* ---- mgrd.c ----------------------------------------------------------- */

/* This manager cannot go on: say why and stop. */
void mgr_fatal(struct mgr *m, const char *why);
/* Tell the server who we are in the cluster, as far as it is known. */
void mgr_identify(struct mgr *m);
/* Our addresses as the others may know them. Return: their number. */
int mgr_self_addrs(const struct mgr *m, struct flint_addr *addrs);

/* ---- worker.c --------------------------------------------------------- */

/**
 * struct mgr_work - file work
 * @work: on the worker
 * @done: on the loop
 */
struct mgr_work {
	void (*work)(struct mgr_work *j);
	void (*done)(struct mgr_work *j);
	struct flint_task task;
	struct mgr_work *next;
};

struct mgr_worker *mgr_worker_new(struct flint_loop *loop);
void mgr_worker_do(struct mgr_worker *w, struct mgr_work *j);
void mgr_worker_free(struct mgr_worker *w);

/* ---- replica.c -------------------------------------------------------- */

int mgr_replica_start(struct mgr *m, const struct mgr_options *o, const struct flint_addr *addr,
		      char *err, size_t errlen);
void mgr_replica_stop(struct mgr *m);
void mgr_replica_free(struct mgr *m);
void mgr_replica_tick(struct mgr *m, u64 now);
void mgr_removed(struct mgr *m);
bool mgr_leads(struct mgr *m);
bool mgr_lease_follow(struct mgr *m);
void mgr_commit(struct mgr *m, bool visible, void (*done)(struct mgr *m, void *arg, int err),
		void *arg);
void mgr_barrier(struct mgr *m, void (*done)(struct mgr *m, void *arg, int err), void *arg);
/* Of the leading manager in the map, 0: not known. */
u32 mgr_leader_node(struct mgr *m);

/* ---- beat.c ----------------------------------------------------------- */

int mgr_beat_start(struct mgr *m);
void mgr_beat_stop(struct mgr *m);
/* The leader hears itself. */
void mgr_beat_self(struct mgr *m);

/* ---- group.c ---------------------------------------------------------- */

void mgr_group_tick(struct mgr *m, u64 now);
void mgr_group_forget(struct mgr *m);
void mgr_group_stop(struct mgr *m);

/* ---- members.c -------------------------------------------------------- */

/**
 * struct mgr_beat - a heartbeat, in host order
 * @replica, @targets: still as they travelled, but of our length
 */
struct mgr_beat {
	u8 role;
	char name[FLINT_LABEL_LEN];
	u64 incarnation;
	struct flint_addr addrs[FLINT_NODE_ADDRS];
	s64 skew_ns;			/* sender's clock less ours, 0: not told */
	u64 sent_ns;			/* sender's CLOCK_BOOTTIME, 0: not told */
	struct flint_hb_replica replica;
	const struct flint_hb_target *targets;
	u32 nr_targets;
	bool starting;			/* targets that are not named are not gone */
};

bool mgr_states_update(struct mgr_state *st);
u32 mgr_beat_apply(struct mgr_state *st, const struct mgr_beat *b, u64 now_ns, u32 *node_id,
		   bool *changed, char *why, size_t whylen);
u32 mgr_beat_order(struct mgr_state *st, const struct mgr_beat *b, u32 node_id, u64 new_group,
		   u32 *order, bool *changed, char *why, size_t whylen);
int mgr_beat_targets(struct mgr_beat *b, const u8 *tail, u32 tail_len, u32 len);
void mgr_beat_target_order(struct mgr_state *st, u64 incarnation, struct flint_hb_order *o);
bool mgr_silence_apply(struct mgr_state *st, u64 now_ns);
bool mgr_usage_apply(struct mgr_state *st, bool all);

/* ---- chains.c --------------------------------------------------------- */

bool mgr_chain_update(struct mgr_state *st, struct mgr_chain *c);

/* ---- image.c ---------------------------------------------------------- */

int mgr_image_room(const struct mgr_state *st, char *err, size_t errlen);
int mgr_image_build(const struct mgr_state *st, void *buf, u32 room, u32 *len);

/* ---- rpc.c ------------------------------------------------------------ */

void mgr_rpc_request(void *arg, struct flint_call *call);
void mgr_rpc_closed(void *arg, struct flint_conn *conn);
void mgr_rpc_drop_waits(struct mgr *m);
int mgr_publish(struct mgr *m);

/* ---- fsmake.c --------------------------------------------------------- */

/**
 * struct mgr_fsmake - one request for a new file system
 * The caller fills name and the wishes, keeps the memory until done is called.
 */
struct mgr_fsmake {
	char name[FLINT_LABEL_LEN];
	u8 chunk_shift;			/* 0: default */
	u32 stripe;			/* 0: as many as there are chains */
	u32 uid, gid, mode;		/* of the root directory */
	void (*done)(struct mgr_fsmake *fm, int err);
	void *arg;
	u32 fs;				/* result */
	bool existed;			/* it was there before */
	char why[MGR_ERR_LEN];		/* one sentence when it failed */
	/* the maker's */
	struct mgr *mgr;
	u64 root_ino;
	int err;
	struct flint_fs_create body;
	struct flint_rpc rpc;
};

void mgr_fsmake_start(struct mgr *m, struct mgr_fsmake *fm);
/* The connection to a metadata server, NULL: it has no address. */
struct flint_peer *mgr_meta_peer(struct mgr *m, const struct mgr_node *n);
/* The server that leads the metadata, as far as it is known, else NULL. */
struct mgr_node *mgr_meta_leader(struct mgr_state *st);
void mgr_meta_peers_free(struct mgr *m);

/* ---- report.c --------------------------------------------------------- */

const char *mgr_role_name(u8 role);
const char *mgr_target_state_name(u8 state);
/* Append {what, remedy} to a list of problems. */
void mgr_problem(json_t *list, const char *what, const char *remedy);
json_t *mgr_report_status(struct mgr *m);
json_t *mgr_report_nodes(struct mgr *m);
json_t *mgr_report_targets(struct mgr *m);
json_t *mgr_report_chains(struct mgr *m);
json_t *mgr_report_fs(struct mgr *m);
json_t *mgr_report_map(struct mgr *m);
json_t *mgr_report_replicas(struct mgr *m);
json_t *mgr_report_replica(struct mgr *m);
json_t *mgr_problems(struct mgr *m);
u64 mgr_target_used(struct mgr *m, const struct mgr_target *t);
/* The record with what heartbeats said, or the committed one where nobody leads. */
const struct mgr_node *mgr_node_live(struct mgr *m, u32 id);

/* ---- metrics.c -------------------------------------------------------- */

void mgr_report_metrics(void *arg, FILE *f);

/* ---- admin.c ---------------------------------------------------------- */

struct mgr_http_req;

/* A change was not agreed upon: say so. */
void mgr_admin_lost(struct mgr_http_req *r, int err);
void mgr_admin_request(struct mgr *m, struct mgr_http_req *r);

/* ---- chainset.c ------------------------------------------------------- */

void mgr_chains_post(struct mgr *m, struct mgr_http_req *r);

/* ---- chainops.c ------------------------------------------------------- */

json_t *mgr_report_settings(struct mgr *m);
void mgr_chains_change_post(struct mgr *m, struct mgr_http_req *r);
void mgr_tables_post(struct mgr *m, struct mgr_http_req *r);
void mgr_settings_post(struct mgr *m, struct mgr_http_req *r);

/* ---- report_chain.c --------------------------------------------------- */

/* Append what is wrong with chains and targets to a list of problems. */
void mgr_problems_chains(struct mgr *m, json_t *list);
/* Recoveries under way: a list. */
json_t *mgr_report_recovery(struct mgr *m);
json_t *mgr_report_history(struct mgr *m);
/* One line for people, without the time. Return: its length. */
int mgr_event_words(struct mgr_state *st, const struct mgr_event *e, char *out, size_t len);

/* ---- jobapi.c --------------------------------------------------------- */

json_t *mgr_report_jobs(struct mgr *m);
void mgr_jobs_post(struct mgr *m, struct mgr_http_req *r);
void mgr_jobs_cancel_post(struct mgr *m, struct mgr_http_req *r);
/* The leader's tick: go on with what there is to do, and commit it. */
void mgr_jobs_tick(struct mgr *m);

/* ---- nodeops.c -------------------------------------------------------- */

void mgr_nodes_label_post(struct mgr *m, struct mgr_http_req *r);
void mgr_targets_remove_post(struct mgr *m, struct mgr_http_req *r);
/* All targets of a node, which are in no chain, go with it. */
void mgr_targets_forget(struct mgr_state *st, u32 node);

/* ---- tokens.c --------------------------------------------------------- */

json_t *mgr_report_tokens(struct mgr *m);
void mgr_tokens_post(struct mgr *m, struct mgr_http_req *r);
void mgr_tokens_revoke_post(struct mgr *m, struct mgr_http_req *r);

/* ---- http.c ----------------------------------------------------------- */

/**
 * struct mgr_http_req - a request that passed authentication
 *
 * The handler answers with exactly one mgr_http_reply(), now or later from the
 * loop. @aborted tells that nobody waits any more; reply all the same.
 */
struct mgr_http_req {
	struct mgr *mgr;
	struct MHD_Connection *conn;
	const char *method;
	const char *path;
	char *body;			/* NUL-terminated */
	size_t body_len;
	void *priv;
	/* the server's */
	struct MHD_Response *response;
	unsigned int code;
	struct mgr_http *http;
	char *method_copy, *path_copy;
	int state;
	char nonce[33];
};

struct mgr_http *mgr_http_start(struct mgr *m, struct sockaddr_storage *addr, char *err,
				size_t errlen);
void mgr_http_stop(struct mgr_http *h);
/* Takes over the reference to @json. */
void mgr_http_reply(struct mgr_http_req *r, unsigned int code, json_t *json);
void mgr_http_reply_text(struct mgr_http_req *r, unsigned int code, char *text);
/* {"error": one sentence} */
void mgr_http_error(struct mgr_http_req *r, unsigned int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* FLINT_MGRD_H */
