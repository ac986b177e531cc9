/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside flint-mgrd: what its files offer each other.
 *
 *	state.c		the model and its database
 *	members.c	heartbeats, failure detection, target states (pure: no I/O)
 *	image.c		the map image that clients and servers get (pure)
 *	rpc.c		MAP_GET and HEARTBEAT
 *	fsmake.c	making a file system together with flint-metad
 *	http.c		HTTP server and authentication of requests
 *	admin.c		the JSON API on it
 *	report.c	status in words, listings, metrics
 *	mgrd.c		options, start, stop
 *
 * One thread runs everything on one loop.
 */
#ifndef FLINT_MGRD_H
#define FLINT_MGRD_H

#include <jansson.h>

#include "../userd/net/endpoint.h"
#include "state.h"

#define MGR_ERR_LEN		512
#define MGR_MAX_IO		(512u << 10)	/* also the largest map image sent */
#define MGR_POOL_BUFS		8

struct mgr_wait;
struct mgr_http;
struct mgr_meta_peer;

/**
 * struct mgr - the daemon's one context
 * @image: the published map, a buffer of @pool; never changed once set
 * @waits: standing MAP_GET requests
 * @next_seq: of mutating requests that this process sends
 * @usage_ns: when small differences of usage were last brought into the map
 * @tick_ns: when the tick last ran
 */
struct mgr {
	struct flint_loop *loop;
	struct flint_pool *pool;
	struct flint_server *srv;
	struct mgr_state *st;
	struct flint_buf *image;
	u32 image_len;
	u64 image_epoch;
	struct mgr_wait *waits;
	struct flint_timer tick;
	struct mgr_http *http[FLINT_LISTEN_MAX];
	struct mgr_meta_peer *metas;
	u8 key[FLINT_KEY_LEN];
	u8 client_id[16];
	u64 next_seq;
	u64 started_ns;
	u64 usage_ns;
	u64 tick_ns;
	const char *name;
	bool stopping;
};

/* ---- members.c -------------------------------------------------------- */

/**
 * struct mgr_beat - a heartbeat, in host order
 * @targets: still as they travelled
 */
struct mgr_beat {
	u8 role;
	char name[FLINT_LABEL_LEN];
	u64 incarnation;
	struct flint_addr addrs[FLINT_NODE_ADDRS];
	const struct flint_hb_target *targets;
	u32 nr_targets;
};

u8 mgr_target_next(u8 state, u8 local, bool other_serves);
bool mgr_states_update(struct mgr_state *st);
u32 mgr_beat_apply(struct mgr_state *st, const struct mgr_beat *b, u64 now_ns, u32 *node_id,
		   bool *changed, char *why, size_t whylen);
bool mgr_silence_apply(struct mgr_state *st, u64 now_ns);
bool mgr_usage_apply(struct mgr_state *st, bool all);

/* ---- image.c ---------------------------------------------------------- */

int mgr_image_build(const struct mgr_state *st, void *buf, u32 room, u32 *len);

/* ---- rpc.c ------------------------------------------------------------ */

void mgr_rpc_request(void *arg, struct flint_call *call);
void mgr_rpc_closed(void *arg, struct flint_conn *conn);
void mgr_rpc_drop_waits(struct mgr *m);
int mgr_publish(struct mgr *m);
int mgr_commit_publish(struct mgr *m, char *err, size_t errlen);

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
	struct flint_fs_create body;
	struct flint_rpc rpc;
};

void mgr_fsmake_start(struct mgr *m, struct mgr_fsmake *fm);
void mgr_meta_peers_free(struct mgr *m);

/* ---- report.c --------------------------------------------------------- */

const char *mgr_role_name(u8 role);
json_t *mgr_report_status(struct mgr *m);
json_t *mgr_report_nodes(struct mgr *m);
json_t *mgr_report_targets(struct mgr *m);
json_t *mgr_report_chains(struct mgr *m);
json_t *mgr_report_fs(struct mgr *m);
json_t *mgr_report_map(struct mgr *m);
char *mgr_report_metrics(struct mgr *m);

/* ---- admin.c ---------------------------------------------------------- */

struct mgr_http_req;

void mgr_admin_request(struct mgr *m, struct mgr_http_req *r);
int mgr_chains_create(struct mgr *m, const u32 *ids, u32 nr, u32 replicas, u32 *nr_made,
		      char *err, size_t errlen);

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
