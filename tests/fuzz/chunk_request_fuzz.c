// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as requests to flint-chunkd's one target: SYNC, CHUNK_GET, SCRUB, TARGET_CTL, CLONE,
 * EXTENTS, PERMIT, and what makes something that they can be about. Each is answered once, with
 * no more than was asked for; no buffer is lost; the store stays consistent.
 *
 * The server is the real one but for the network, the cluster, time and the disk, which are here:
 * one thread, tasks and timers in their order, time that passes when there is nothing else to do.
 *
 * The input: a byte for the target's place in its chain, then records: operation, who asks, how
 * much payload, the body. The low digits of names and places count, so that requests meet.
 */
#include <stdio.h>
#include <stdlib.h>
#include "../../userd/base/log.h"
#include "../../userd/base/token.h"
#include "../../userd/chunk/heal.h"
#include "../../userd/chunk/targets.h"
#include "../unit/chunk_dev.h"

#define DISK		(40ull << 20)
#define CALLS_MAX	24
#define PER_STORE	64	/* inputs; to make a store takes long */
#define POOL		24u	/* buffers: more than all places keep for others */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fcall {
	struct flint_call call;
	struct flint_conn_info info;
	struct flint_token token;
	struct flint_task task;
	void (*pulled)(struct flint_call *call, int err);
	u8 body[sizeof(struct flint_forward_clone) + 64];
};

static struct test_dev *base, *disk;
static struct flint_chunkd *d;
static struct chunkd_worker worker;
static struct flint_pool *pool, *small;
static struct flint_task *tasks, **tasks_tail = &tasks;
static struct flint_timer *timers[64];
static unsigned int nr_timers, open_calls, inputs;
static u64 now_ns = 1000000000;
static bool lease_ok, permits_ok;
static u8 fill;

/* ---- loop and time ------------------------------------------------------- */

uint64_t flint_now_ns(void)
{
	return now_ns;
}

void flint_loop_post(struct flint_loop *loop, struct flint_task *t)
{
	t->next = NULL;
	*tasks_tail = t;
	tasks_tail = &t->next;
}

void flint_timer_cancel(struct flint_loop *loop, struct flint_timer *t)
{
	unsigned int i;

	t->due_ns = 0;
	for (i = 0; i < nr_timers; i++)
		if (timers[i] == t)
			timers[i--] = timers[--nr_timers];
}

void flint_timer_set(struct flint_loop *loop, struct flint_timer *t, uint64_t after_ms)
{
	flint_timer_cancel(loop, t);
	if (nr_timers == sizeof(timers) / sizeof(timers[0]))
		abort();
	t->due_ns = now_ns + after_ms * 1000000 + 1;
	timers[nr_timers++] = t;
}

static bool timer_fire(void)
{
	struct flint_timer *t = NULL;
	unsigned int i;

	for (i = 0; i < nr_timers; i++)
		if (!t || timers[i]->due_ns < t->due_ns)
			t = timers[i];
	if (!t)
		return false;
	if (t->due_ns > now_ns)
		now_ns = t->due_ns;
	flint_timer_cancel(NULL, t);
	t->fn(t);
	return true;
}

/* Until only time can change anything. */
static void settle(void)
{
	struct flint_store *st = d->targets[0].st;
	int idle = 0;

	while (idle < 4) {
		struct flint_task *t = tasks;

		idle++;
		if (t) {
			tasks = t->next;
			if (!tasks)
				tasks_tail = &tasks;
			t->fn(t);
			idle = 0;
		}
		if (st->dev) {
			flint_store_turn(st);
			idle = td_step(disk) ? 0 : idle;
		}
	}
}

/* ---- network ------------------------------------------------------------- */

const struct flint_conn_info *flint_conn_info(const struct flint_conn *conn)
{
	return (const void *)conn;
}

/* All requests are one client's. */
struct flint_holder *flint_conn_holder(const struct flint_conn *conn, const struct flint_pool *of)
{
	static struct flint_holder of_pool, of_small;

	return of == small ? &of_small : &of_pool;
}

void flint_call_reply(struct flint_call *call, uint32_t status, const void *body, uint32_t body_len,
		      struct flint_buf *buf, uint32_t off, uint32_t len)
{
	if (!open_calls-- || body_len > FLINT_INLINE_DEFAULT || (len && !buf) ||
	    (buf && (off > buf->size || len > buf->size - off)) || len > chunkd_reply_room(call)) {
		fprintf(stderr, "operation %x: status %u, body %u, %u bytes\n", call->msg.op, status,
			body_len, len);
		abort();
	}
	if (buf)
		flint_buf_put(buf);
	if (call->payload)
		flint_buf_put(call->payload);
	free(call);
}

void flint_call_reply_copy(struct flint_call *call, uint32_t status, const void *body,
			   uint32_t body_len, const void *data, uint32_t len)
{
	if (len > chunkd_reply_room(call))
		abort();
	flint_call_reply(call, status, body, body_len, NULL, 0, 0);
}

static void pulled(struct flint_task *t)
{
	struct fcall *c = (void *)((u8 *)t - offsetof(struct fcall, task));

	c->pulled(&c->call, c->call.payload ? 0 : -ENOTCONN);
}

void flint_call_pull_to(struct flint_call *call, struct flint_buf *buf, uint32_t offset,
			void (*done)(struct flint_call *call, int err))
{
	struct fcall *c = (void *)call;
	u32 i;

	if (offset > buf->size || call->msg.data_len > buf->size - offset)
		abort();
	call->payload = buf;
	for (i = 0; i < call->msg.data_len; i++)
		buf->data[offset + i] = i < sizeof(c->body) ? c->body[i] : fill;
	c->pulled = done;
	c->task.fn = pulled;
	flint_loop_post(NULL, &c->task);
}

void flint_call_pull(struct flint_call *call, void (*done)(struct flint_call *call, int err))
{
	struct flint_buf *buf = flint_buf_get(pool);
	struct fcall *c = (void *)call;

	if (buf) {
		flint_call_pull_to(call, buf, 0, done);
		return;
	}
	c->pulled = done;
	c->task.fn = pulled;
	flint_loop_post(NULL, &c->task);
}

/* ---- the cluster, which does not answer ----------------------------------- */

int flint_cluster_call(struct flint_cluster *c, u32 node, struct flint_rpc *rpc)
{
	return -ENOTCONN;
}

u64 flint_cluster_epoch(struct flint_cluster *c)
{
	return 1;
}

struct flint_map_ref *flint_cluster_map(struct flint_cluster *c)
{
	return NULL;
}

void flint_map_put(struct flint_map_ref *ref)
{
}

void flint_cluster_reset(struct flint_cluster *c, u32 node, const char *why)
{
}

int flint_cluster_token_revoked(struct flint_cluster *c, const struct flint_token *token)
{
	return 0;
}

bool flint_member_lease_valid(const struct flint_member *m)
{
	return lease_ok;
}

u32 flint_member_lease_ms(const struct flint_member *m)
{
	return 6000;
}

void flint_member_beat(struct flint_member *m)
{
}

bool flint_permit_ok(const uint8_t *key, const struct flint_permit *p, uint64_t now)
{
	return permits_ok;
}

/* ---- the disk -------------------------------------------------------------- */

struct flint_dev *flint_dev_open(const char *path, int flags, u64 size, char *err, size_t errlen)
{
	return &disk->dev;
}

int flint_engine_add(struct flint_engine *eng, struct flint_dev *dev, const struct iovec *mem)
{
	return 0;
}

void flint_engine_remove(struct flint_engine *eng, struct flint_dev *dev, const void *mem)
{
}

void flint_engine_kick(struct flint_engine *eng)
{
}

void chunkd_worker_take(struct chunkd_worker *w, struct chunkd_target *t)
{
}

void chunkd_worker_drop(struct chunkd_worker *w, struct chunkd_target *t)
{
}

static void no_kick(void *arg)
{
}

/* ---- the server ------------------------------------------------------------- */

static void world_new(void)
{
	char *paths[] = { "disk" }, err[1024] = "";
	struct flint_conf_list list = { paths, 1 };
	static struct flint_conf_list dirs;

	disk = td_new(DISK, base, 1);
	d = calloc(1, sizeof(*d));
	d->pool = pool;
	d->small = small;
	d->nr_workers = 1;
	d->workers = &worker;
	d->cluster = (void *)&worker;		/* nobody looks inside */
	d->member = (void *)&worker;
	worker = (struct chunkd_worker){ .d = d, .thread = pthread_self() };
	pthread_mutex_init(&d->free_lock, NULL);
	chunkd_fences_init(&d->fences);
	chunkd_permits_init(&d->permits, NULL);
	if (chunkd_targets_open(d, &list, &dirs, -1, err, sizeof(err)) || chunkd_targets_deal(d)) {
		fprintf(stderr, "%s\n", err);
		abort();
	}
	d->targets[0].st->kick = no_kick;
	d->targets[0].bound = true;
}

static void world_free(void)
{
	struct chunkd_target *t = &d->targets[0];
	char err[256] = "";
	u32 n = 0;

	while (t->heal && !heal_stop(t->heal)) {
		settle();
		if (n++ > 1000)
			abort();
	}
	if (t->st->dev && flint_store_verify(t->st, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		abort();
	}
	nr_timers = 0;
	chunkd_reqs_free(d);
	chunkd_targets_free(d);
	pthread_mutex_destroy(&d->free_lock);
	free(d);
	td_free(disk);
	d = NULL;
}

static void place(u8 how)
{
	struct chunkd_target *t = &d->targets[0];
	struct flint_place p = { .chain = 1, .chain_ver = 1 };

	p.role = how & 1 ? FLINT_CHAIN_SYNCING : FLINT_CHAIN_SERVING;
	if (how & 3) {
		p.pos = 1;
		p.pred = 2;
		p.pred_node = 12;
	}
	if (how & 4 && !(how & 1)) {
		p.succ = 3;
		p.succ_node = 13;
	}
	lease_ok = !(how & 8);
	permits_ok = how & 16;
	t->at = p;
	t->heal->place = (struct heal_place){ .state = how & 1 ? FLINT_TARGET_SYNCING :
							       FLINT_TARGET_SERVING };
	t->st->authority = !p.succ;
	t->st->room_behind = ~0ull;
	atomic_store(&t->off, false);
	atomic_store(&t->place, 1ull << 32 | 1);
}

static const struct {
	u16 op, len;
	u8 chain, target, ino;		/* offsets + 1, 0: none */
} kinds[] = {
	{ FLINT_OP_SYNC, sizeof(struct flint_sync), 1, 9, 0 },
	{ FLINT_OP_CHUNK_GET, sizeof(struct flint_chunk_get), 1, 9, 17 },
	{ FLINT_OP_SCRUB, sizeof(struct flint_scrub), 0, 1, 0 },
	{ FLINT_OP_TARGET_CTL, sizeof(struct flint_target_ctl), 0, 9, 0 },
	{ FLINT_OP_CLONE, sizeof(struct flint_clone), 1, 9, 17 },
	{ FLINT_OP_EXTENTS, sizeof(struct flint_io), 1, 9, 17 },
	{ FLINT_OP_PERMIT, sizeof(struct flint_permit), 0, 0, 9 },
	{ FLINT_OP_READ, sizeof(struct flint_io), 1, 9, 17 },
	{ FLINT_OP_WRITE, sizeof(struct flint_io), 1, 9, 17 },
	{ FLINT_OP_PUNCH, sizeof(struct flint_io), 1, 9, 17 },
	{ FLINT_OP_FORWARD, sizeof(struct flint_forward_clone), 1, 9, 17 },
	{ FLINT_OP_CUT, sizeof(struct flint_cut), 1, 9, 17 },
};

static void put32(u8 *p, u32 v)
{
	memcpy(p, &v, sizeof(v));
}

static void narrow(struct fcall *c, unsigned int kind)
{
	u8 *b = c->body;

	if (kinds[kind].chain) {
		put32(b, 1);
		put32(b + 4, 1);
	}
	if (kinds[kind].target)
		put32(b + kinds[kind].target - 1, 7);
	if (kinds[kind].ino) {
		u8 *p = b + kinds[kind].ino - 1;

		p[0] &= 1;
		p[0]++;
		memset(p + 1, 0, 7);
	}
	if (kinds[kind].op == FLINT_OP_TARGET_CTL)
		put32(b, sizeof(struct flint_target_ctl));
	else if (kinds[kind].ino == 17)
		put32(b + 12, 1);
}

/* One request. Return: bytes that it took. */
static size_t request(const u8 *p, size_t size)
{
	static const u8 roles[] = { FLINT_ROLE_CHUNK, FLINT_ROLE_TOOL, FLINT_ROLE_CLIENT,
				    FLINT_ROLE_MGR };
	struct fcall *c = calloc(1, sizeof(*c));
	unsigned int kind = p[0] % (sizeof(kinds) / sizeof(kinds[0]));
	u32 extra = p[1] & 0x80 ? p[2] & 0x3f : 0, len = kinds[kind].len + extra;
	size_t take = size - 3 < len ? size - 3 : len;

	memcpy(c->body, p + 3, take);
	if (!(p[1] & 0x40))
		narrow(c, kind);
	c->info.role = roles[p[1] & 3];
	c->info.session_epoch = 1;
	c->info.inline_size = FLINT_INLINE_DEFAULT;
	c->info.max_io = p[1] & 4 ? 65536 : FLINT_STORE_MAX_IO;
	c->info.proto = p[1] & 8 ? FLINT_PROTO_RDMA : FLINT_PROTO_TCP;
	if (p[1] & 16) {
		c->token.id = cpu_to_le64(0);
		memcpy(&c->token.fs, c->body + (kinds[kind].ino == 17 ? 12 : 24), sizeof(c->token.fs));
		c->token.path_len = cpu_to_le16(p[1] & 32);
		c->info.token = &c->token;
	}
	fill = p[2];
	c->call.conn = (void *)&c->info;
	c->call.msg.op = kinds[kind].op;
	c->call.msg.trace = 1;
	c->call.msg.seq = p[0] >> 4;
	c->call.msg.body = c->body;
	c->call.msg.body_len = p[2] == 0xff ? (u32)take : len;
	if (kinds[kind].op == FLINT_OP_WRITE || (kinds[kind].op == FLINT_OP_FORWARD && p[2] & 1))
		memcpy(&c->call.msg.data_len, c->body + offsetof(struct flint_io, length), 4);
	else if (!(p[1] & 0x80))
		c->call.msg.data_len = p[2] & 0xc0 ? 0 : p[2] * 8u;
	if (c->call.msg.data_len > c->info.max_io)
		c->call.msg.data_len = c->info.max_io;
	open_calls++;
	chunkd_request(d, &c->call);
	return 3 + take;
}

/* Everything was answered, and gave its buffers back. */
static void end(void)
{
	struct flint_buf *all[POOL];
	unsigned int i;

	for (i = 0; i < 8; i++) {	/* what goes on in the background */
		settle();
		if (!timer_fire())
			break;
	}
	flint_fwd_stop(&d->targets[0]);
	for (i = 0; open_calls; i++) {
		settle();
		if (open_calls && (!timer_fire() || i > 5000)) {
			fprintf(stderr, "%u requests are not answered\n", open_calls);
			abort();
		}
	}
	settle();
	for (i = 0; i < POOL; i++) {
		all[i] = flint_buf_get(pool);
		if (!all[i]) {
			fprintf(stderr, "%u buffers are missing\n", POOL - i);
			abort();
		}
	}
	while (i--)
		flint_buf_put(all[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct flint_store_format f = { .id = 7, .size = DISK };
	unsigned int n = 0;
	char err[256] = "";

	if (!base) {
		flint_log_init("fuzz", FLINT_LOG_ERR - 1);
		pool = flint_pool_new(FLINT_STORE_MAX_IO + FLINT_STORE_SLACK, POOL);
		small = flint_pool_new(64u << 10, 8);
		base = td_new(DISK, NULL, 1);
		if (!pool || !small || flint_store_format(&base->dev, &f, err, sizeof(err)))
			abort();
	}
	if (!size)
		return 0;
	if (!d)
		world_new();
	place(*data++);
	size--;
	while (size > 3 && n++ < CALLS_MAX) {
		size_t used = request(data, size);

		if (data[0] & 8)
			settle();
		data += used;
		size -= used;
	}
	end();
	if (++inputs % PER_STORE && !d->targets[0].gone && !d->targets[0].st->offline)
		return 0;
	world_free();
	return 0;
}
