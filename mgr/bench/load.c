// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The load generator: any number of clients, each a connection and a session
 * of its own, each with a fixed number of requests in flight, all on one loop
 * in the caller's thread. An answer is counted and the slot sends the next
 * request at once.
 *
 * Invariants
 *  - A client's sequence numbers are handed out in order; `low` is the lowest
 *    whose answer is still missing (the ring remembers later ones that came).
 *  - A slot is either idle or owns exactly one request; a job is over when all
 *    its requests are answered, or, after an error, when none is in flight.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "../../userd/base/daemon.h"
#include "bench.h"

#define LEADER_MS	30000	/* for a leader to show itself */
#define OPEN_MS		5000	/* for one server to answer */
#define RING		(2 * FLINT_MAX_CREDITS)
#define PAGE_LEN	32768
#define BODY_LEN	128
#define RETRY_MS	2

struct lclient;

struct lslot {
	struct flint_rpc rpc;
	struct lclient *client;
	struct lslot *next;		/* waits to be sent again */
	uint64_t file;
	uint64_t sent_ns;
	uint8_t body[BODY_LEN];
	uint8_t *page;
};

struct lclient {
	struct bench_load *load;
	struct flint_peer *peer;
	struct lslot *slots;
	struct flint_rpc open;
	uint64_t seq, low;
	bool done[RING];
};

struct bench_load {
	struct flint_loop *loop;
	const struct bench_cluster *cluster;
	struct flint_session_open so;
	struct lclient *clients;
	unsigned int nr, depth;
	unsigned int leader;		/* index of the address that answers */
	uint64_t root;
	unsigned int opening;
	int err;			/* of opening or of the job */
	char why[160];

	const struct bench_job *job;
	struct bench_result *res;
	uint64_t next, total, in_flight;
	uint64_t random;
	struct lslot *again;
	struct flint_timer timer;	/* what waits to be sent again */
	struct flint_timer ticker;
	uint64_t mkdir_ino;
};

static void fail(struct bench_load *l, int err, const char *what, const struct flint_rpc *rpc)
{
	if (l->err)
		return;
	l->err = err;
	snprintf(l->why, sizeof(l->why), "%s: %s %d", what, rpc->err ? "error" : "status",
		 rpc->err ? rpc->err : (int)rpc->status);
}

/* ---- requests --------------------------------------------------------- */

static uint64_t next_random(struct bench_load *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

/* "file-00001234.dat": no printf() in the measured loop. */
static uint32_t put_name(uint8_t *p, uint64_t n)
{
	int i;

	memcpy(p, "file-00000000.dat", 17);
	for (i = 12; n && i >= 5; i--, n /= 10)
		p[i] = (uint8_t)('0' + n % 10);
	return 17;
}

static uint32_t fill_mknod(uint8_t *body, uint64_t dir, uint32_t mode, uint64_t n)
{
	struct flint_mknod b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .mode = cpu_to_le32(mode),
		.parent = cpu_to_le64(dir),
	};
	uint32_t len = put_name(body + sizeof(b), n);

	b.name_len = cpu_to_le32(len);
	memcpy(body, &b, sizeof(b));
	return (uint32_t)sizeof(b) + len;
}

static uint32_t fill_name(uint8_t *body, uint64_t dir, uint64_t n)
{
	struct flint_name_req b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .parent = cpu_to_le64(dir),
	};
	uint32_t len = put_name(body + sizeof(b), n);

	b.name_len = cpu_to_le32(len);
	memcpy(body, &b, sizeof(b));
	return (uint32_t)sizeof(b) + len;
}

static uint32_t fill_getattr(uint8_t *body, uint64_t ino)
{
	struct flint_ino_req b = { .ino = cpu_to_le64(ino) };

	memcpy(body, &b, sizeof(b));
	return sizeof(b);
}

static uint32_t fill_readdir(uint8_t *body, uint64_t dir, uint64_t cookie)
{
	struct flint_readdir b = {
		.ino = cpu_to_le64(dir), .cookie = cpu_to_le64(cookie),
		.max_len = cpu_to_le32(PAGE_LEN),
	};

	memcpy(body, &b, sizeof(b));
	return sizeof(b);
}

/* Build the request number @i of the job. */
static void fill(struct lslot *s, uint64_t i)
{
	struct bench_load *l = s->client->load;
	const struct bench_job *job = l->job;
	struct flint_rpc *rpc = &s->rpc;

	switch (job->op) {
	case BENCH_CREATE:
		s->file = job->first + i;
		rpc->op = FLINT_OP_MKNOD;
		rpc->body_len = fill_mknod(s->body, job->dir, 0100644, s->file);
		break;
	case BENCH_UNLINK:
		s->file = job->first + i;
		rpc->op = FLINT_OP_UNLINK;
		rpc->body_len = fill_name(s->body, job->dir, s->file);
		break;
	case BENCH_LOOKUP:
		s->file = job->first + next_random(l) % job->count;
		rpc->op = FLINT_OP_LOOKUP;
		rpc->body_len = fill_name(s->body, job->dir, s->file);
		break;
	case BENCH_GETATTR:
		s->file = job->first + next_random(l) % job->count;
		rpc->op = FLINT_OP_GETATTR;
		rpc->body_len = fill_getattr(s->body, job->inos[s->file]);
		break;
	case BENCH_READDIR:
		rpc->op = FLINT_OP_READDIR;
		rpc->body_len = fill_readdir(s->body, job->dir, job->cookie);
		rpc->in = s->page;
		rpc->in_len = PAGE_LEN;
		break;
	case BENCH_PING:
		rpc->op = FLINT_OP_PING;
		rpc->body_len = 0;
		break;
	}
	rpc->seq = 0;
	rpc->retry = false;
	if (job->op == BENCH_CREATE || job->op == BENCH_UNLINK)
		rpc->seq = ++s->client->seq;
}

static void send_slot(struct lslot *s)
{
	s->rpc.seq_low = s->rpc.seq ? s->client->low : 0;
	flint_peer_call(s->client->peer, &s->rpc);
}

static void seq_done(struct lclient *c, uint64_t seq)
{
	c->done[seq % RING] = true;
	while (c->done[c->low % RING]) {
		c->done[c->low % RING] = false;
		c->low++;
	}
}

/* The slot's next request; false: there is none. */
static bool issue(struct lslot *s, uint64_t now)
{
	struct bench_load *l = s->client->load;

	if (l->next == l->total || l->err)
		return false;
	fill(s, l->next++);
	l->in_flight++;
	s->sent_ns = now;
	send_slot(s);
	return true;
}

/* ---- answers ---------------------------------------------------------- */

static void again_run(struct flint_timer *t)
{
	struct bench_load *l = t->arg;
	struct lslot *s;

	while ((s = l->again)) {
		l->again = s->next;
		s->rpc.retry = s->rpc.seq != 0;
		send_slot(s);
	}
}

/* The server is busy: the same request again, a little later. */
static void later(struct lslot *s)
{
	struct bench_load *l = s->client->load;

	l->res->retries++;
	s->next = l->again;
	l->again = s;
	if (!l->timer.due_ns)
		flint_timer_set(l->loop, &l->timer, RETRY_MS);
}

static void take_attr(struct lslot *s)
{
	struct bench_load *l = s->client->load;
	struct flint_attr a;

	if (flint_body_get(&a, sizeof(a), offsetof(struct flint_attr, valid_ms), s->rpc.rep_body,
			   s->rpc.rep_len)) {
		fail(l, -EPROTO, "short attributes", &s->rpc);
		return;
	}
	if (l->job->op == BENCH_CREATE && l->job->inos)
		l->job->inos[s->file] = le64_to_cpu(a.ino);
	else if (l->job->op == BENCH_GETATTR && le64_to_cpu(a.ino) != l->job->inos[s->file])
		fail(l, -EIO, "attributes of another inode", &s->rpc);
}

/* Count a page's records and remember where it ended. */
static void take_page(struct lslot *s)
{
	struct bench_load *l = s->client->load;
	struct flint_readdir_rep rep;
	uint32_t at = 0, n = 0;

	if (flint_body_get(&rep, sizeof(rep), sizeof(rep), s->rpc.rep_body, s->rpc.rep_len)) {
		fail(l, -EPROTO, "short directory page", &s->rpc);
		return;
	}
	while (s->rpc.rep_data_len - at >= sizeof(struct flint_dirent)) {
		struct flint_dirent d;

		memcpy(&d, s->page + at, sizeof(d));
		if (le16_to_cpu(d.rec_len) < sizeof(d) ||
		    le16_to_cpu(d.rec_len) > s->rpc.rep_data_len - at)
			break;
		l->res->last_cookie = le64_to_cpu(d.cookie);
		at += le16_to_cpu(d.rec_len);
		n++;
	}
	if (n != le32_to_cpu(rep.nr) || at != s->rpc.rep_data_len)
		fail(l, -EPROTO, "malformed directory page", &s->rpc);
	l->res->entries = n;
	l->res->eof = rep.eof;
}

static void job_check_end(struct bench_load *l)
{
	if (!l->in_flight && (l->next == l->total || l->err))
		flint_loop_stop(l->loop);
}

static void answered(struct flint_rpc *rpc)
{
	struct lslot *s = rpc->priv;
	struct bench_load *l = s->client->load;
	uint64_t now;

	if (!rpc->err && rpc->status == FLINT_ST_RETRY) {
		later(s);
		return;
	}
	now = flint_now_ns();
	if (rpc->seq)
		seq_done(s->client, rpc->seq);
	l->in_flight--;
	if (rpc->err || rpc->status) {
		fail(l, rpc->err == -ENOTCONN || rpc->status == FLINT_ST_NOT_LEADER ||
		     rpc->status == FLINT_ST_SHUTDOWN ? -EAGAIN : -EIO, "a request failed", rpc);
	} else {
		if (l->job->op == BENCH_READDIR)
			take_page(s);
		else if (l->job->op == BENCH_CREATE || l->job->op == BENCH_GETATTR ||
			 l->job->op == BENCH_LOOKUP)
			take_attr(s);
		bench_hist_add(&l->res->lat, now - s->sent_ns);
		l->res->ops++;
	}
	if (!issue(s, now))
		job_check_end(l);
}

static void tick(struct flint_timer *t)
{
	struct bench_load *l = t->arg;

	l->job->tell(l->job->arg, l->res->ops, l->total);
	flint_timer_set(l->loop, &l->ticker, 1000);
}

static double own_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int bench_load_run(struct bench_load *l, const struct bench_job *job, struct bench_result *res,
		   char *err, size_t errlen)
{
	double cpu, server;
	unsigned int i, j;
	uint64_t start;

	memset(res, 0, sizeof(*res));
	l->job = job;
	l->res = res;
	l->next = 0;
	l->in_flight = 0;
	l->err = 0;
	l->total = job->op == BENCH_CREATE || job->op == BENCH_UNLINK ? job->count : job->ops;
	if (job->tell)
		flint_timer_set(l->loop, &l->ticker, 1000);
	cpu = own_cpu();
	server = bench_cluster_cpu(l->cluster);
	start = flint_now_ns();
	for (j = 0; j < l->depth; j++)
		for (i = 0; i < l->nr; i++)
			if (!issue(&l->clients[i].slots[j], start))
				break;
	if (l->in_flight)
		flint_loop_run(l->loop);
	res->seconds = (double)(flint_now_ns() - start) / 1e9;
	res->load_cpu_s = own_cpu() - cpu;
	res->server_cpu_s = bench_cluster_cpu(l->cluster) - server;
	flint_timer_cancel(l->loop, &l->ticker);
	if (l->err)
		snprintf(err, errlen, "%s", l->why);
	return l->err;
}

/* ---- opening ---------------------------------------------------------- */

static void session_opened(struct flint_rpc *rpc)
{
	struct lclient *c = rpc->priv;
	struct bench_load *l = c->load;
	struct flint_session_rep rep;
	bool elsewhere = rpc->err == -ENOTCONN || rpc->err == -ETIMEDOUT ||
			 rpc->status == FLINT_ST_NOT_LEADER || rpc->status == FLINT_ST_RETRY;

	if (rpc->err || rpc->status ||
	    flint_body_get(&rep, sizeof(rep), sizeof(rep), rpc->rep_body, rpc->rep_len))
		fail(l, elsewhere ? -EAGAIN : -EIO, "opening a session", rpc);
	else
		l->root = le64_to_cpu(rep.root.ino);
	if (!--l->opening)
		flint_loop_stop(l->loop);
}

static int client_open(struct bench_load *l, struct lclient *c)
{
	struct flint_peer_config pc = {
		.loop = l->loop, .proto = FLINT_PROTO_TCP, .role = FLINT_ROLE_CLIENT,
		.addr = l->cluster->metas[l->leader], .key = l->cluster->key, .name = "bench",
		.credits = l->depth,
	};

	flint_random(pc.client_id, sizeof(pc.client_id));
	c->peer = flint_peer_new(&pc);
	if (!c->peer)
		return -errno;
	c->seq = 0;
	c->low = 1;
	memset(c->done, 0, sizeof(c->done));
	c->open = (struct flint_rpc){
		.op = FLINT_OP_SESSION_OPEN, .body = &l->so, .body_len = sizeof(l->so),
		.done = session_opened, .priv = c, .timeout_ms = OPEN_MS,
	};
	l->opening++;
	flint_peer_call(c->peer, &c->open);
	return 0;
}

static void clients_close(struct bench_load *l)
{
	unsigned int i;

	for (i = 0; i < l->nr; i++) {
		struct lclient *c = &l->clients[i];

		c->open.done = NULL;
		if (c->peer)
			flint_peer_free(c->peer);
		c->peer = NULL;
	}
}

/* Open @n sessions at the present address. 0, -EAGAIN: not the leader, or -errno. */
static int clients_open(struct bench_load *l, unsigned int from, unsigned int n)
{
	unsigned int i;
	int err;

	l->err = 0;
	l->opening = 0;
	for (i = from; i < from + n; i++) {
		err = client_open(l, &l->clients[i]);
		if (err)
			return err;
	}
	if (n)
		flint_loop_run(l->loop);
	return l->err;
}

static int find_leader(struct bench_load *l)
{
	uint64_t until = flint_now_ns() + LEADER_MS * 1000000ull;
	struct timespec pause = { .tv_nsec = 50000000 };
	int err;

	do {
		err = clients_open(l, 0, 1);
		if (!err)
			return clients_open(l, 1, l->nr - 1);
		flint_peer_free(l->clients[0].peer);
		l->clients[0].peer = NULL;
		l->leader = (l->leader + 1) % l->cluster->nr_metas;
		nanosleep(&pause, NULL);
	} while (err == -EAGAIN && flint_now_ns() < until);
	return err;
}

static int clients_alloc(struct bench_load *l)
{
	unsigned int i, j;

	l->clients = calloc(l->nr, sizeof(*l->clients));
	if (!l->clients)
		return -ENOMEM;
	for (i = 0; i < l->nr; i++) {
		struct lclient *c = &l->clients[i];

		c->load = l;
		c->slots = calloc(l->depth, sizeof(*c->slots));
		if (!c->slots)
			return -ENOMEM;
		for (j = 0; j < l->depth; j++) {
			c->slots[j].client = c;
			c->slots[j].page = malloc(PAGE_LEN);
			if (!c->slots[j].page)
				return -ENOMEM;
			c->slots[j].rpc.done = answered;
			c->slots[j].rpc.priv = &c->slots[j];
			c->slots[j].rpc.body = c->slots[j].body;
			c->slots[j].rpc.timeout_ms = 60000;
		}
	}
	return 0;
}

struct bench_load *bench_load_open(const struct bench_cluster *c, const char *fs,
				   unsigned int clients, unsigned int depth,
				   char *err, size_t errlen)
{
	struct bench_load *l = calloc(1, sizeof(*l));
	int ret;

	if (!l) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	l->cluster = c;
	l->nr = clients;
	l->depth = depth;
	l->random = 88172645463325252ull;
	l->timer.fn = again_run;
	l->timer.arg = l;
	l->ticker.fn = tick;
	l->ticker.arg = l;
	l->so.fixed_len = cpu_to_le32(sizeof(l->so));
	snprintf((char *)l->so.fs_name, sizeof(l->so.fs_name), "%s", fs);
	l->loop = flint_loop_new();
	ret = l->loop ? clients_alloc(l) : -errno;
	if (!ret)
		ret = find_leader(l);
	if (!ret)
		return l;
	snprintf(err, errlen, "no session with the metadata servers (%s)",
		 l->why[0] ? l->why : strerror(-ret));
	bench_load_close(l);
	return NULL;
}

void bench_load_close(struct bench_load *l)
{
	unsigned int i, j;

	if (!l)
		return;
	if (l->clients)
		clients_close(l);
	flint_loop_free(l->loop);
	for (i = 0; l->clients && i < l->nr; i++) {
		for (j = 0; l->clients[i].slots && j < l->depth; j++)
			free(l->clients[i].slots[j].page);
		free(l->clients[i].slots);
	}
	free(l->clients);
	free(l);
}

static void dir_made(struct flint_rpc *rpc)
{
	struct lclient *c = rpc->priv;
	struct flint_attr a;

	seq_done(c, rpc->seq);
	if (rpc->err || rpc->status ||
	    flint_body_get(&a, sizeof(a), offsetof(struct flint_attr, valid_ms), rpc->rep_body,
			   rpc->rep_len))
		fail(c->load, -EIO, "making a directory", rpc);
	else
		c->load->mkdir_ino = le64_to_cpu(a.ino);
	flint_loop_stop(c->load->loop);
}

int bench_load_mkdir(struct bench_load *l, const char *name, uint64_t *ino,
		     char *err, size_t errlen)
{
	struct lclient *c = &l->clients[0];
	uint8_t body[sizeof(struct flint_mknod) + FLINT_NAME_MAX];
	struct flint_mknod b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .mode = cpu_to_le32(0040755),
		.parent = cpu_to_le64(l->root), .name_len = cpu_to_le32((uint32_t)strlen(name)),
	};
	struct flint_rpc rpc = {
		.op = FLINT_OP_MKNOD, .body = body, .body_len = (uint32_t)(sizeof(b) + strlen(name)),
		.done = dir_made, .priv = c, .timeout_ms = LEADER_MS,
	};

	memcpy(body, &b, sizeof(b));
	memcpy(body + sizeof(b), name, strlen(name));
	rpc.seq = ++c->seq;
	rpc.seq_low = c->low;
	l->err = 0;
	flint_peer_call(c->peer, &rpc);
	flint_loop_run(l->loop);
	if (l->err)
		snprintf(err, errlen, "%s", l->why);
	else
		*ino = l->mkdir_ino;
	return l->err;
}
