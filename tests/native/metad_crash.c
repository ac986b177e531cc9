// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-metad-crash: kills a metadata server again and again while clients
 * create, rename, link and remove, and checks that it answers as one that
 * never died would.
 *
 * Each client thread has a session and a directory of its own and a model of
 * it in memory. A request that gets no answer is sent again with the same
 * sequence number until it is answered; every answer must be what the model
 * says. So a lost change, a change done twice and a change done half all show.
 * While a server is down its database is opened and verified; at the end
 * every directory is listed and compared with its model. With several replicas
 * the client asks the next one when one does not answer or does not lead.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../userd/base/addr.h"
#include "../../userd/base/conf.h"
#include "../../userd/base/daemon.h"
#include "../../userd/meta/store.h"
#include "crash.h"

#define NAMES		24
#define CALL_MS		500	/* one try */
#define GIVE_UP_MS	60000
#define LEASE_MS	2000

#define OFF(m)	offsetof(struct options, m)

static const struct flint_conf_opt opts[] = {
	{ "metad", 0, FLINT_CONF_STR, OFF(metad), NULL, "PROGRAM", "server to start", 0, 0,
	  FLINT_CONF_CLI | FLINT_CONF_REQUIRED },
	{ "mgrd", 0, FLINT_CONF_STR, OFF(mgrd), NULL, "PROGRAM", "manager to start in the end", 0, 0,
	  FLINT_CONF_CLI | FLINT_CONF_REQUIRED },
	{ "state", 0, FLINT_CONF_STR, OFF(state), NULL, "DIR", "its state", 0, 0,
	  FLINT_CONF_CLI | FLINT_CONF_REQUIRED },
	{ "key", 0, FLINT_CONF_STR, OFF(key), NULL, "FILE", "cluster key", 0, 0,
	  FLINT_CONF_CLI | FLINT_CONF_REQUIRED },
	{ "port", 0, FLINT_CONF_U64, OFF(port), "17999", "N", "its TCP port", 1, 65535,
	  FLINT_CONF_CLI },
	{ "threads", 0, FLINT_CONF_U64, OFF(threads), "6", "N", "clients", 1, 64, FLINT_CONF_CLI },
	{ "replicas", 0, FLINT_CONF_U64, OFF(replicas), "1", "N", "servers, with ports from --port on",
	  1, REPLICAS_MAX, FLINT_CONF_CLI },
	{ "acts", 0, FLINT_CONF_STR, OFF(acts), "k", "LETTERS",
	  "what is done to them: k kill, K kill a minority at once, s freeze, w wipe and replace, t transfer, m remove and add,"
	  " p part from the others (with --relay)",
	  0, 0, FLINT_CONF_CLI },
	{ "relay", 0, FLINT_CONF_STR, OFF(relay), NULL, "PROGRAM",
	  "flint-relay, to stand between the servers", 0, 0, FLINT_CONF_CLI },
	{ "log-keep", 0, FLINT_CONF_STR, OFF(keep), "64M", "BYTES", "of the servers", 0, 0,
	  FLINT_CONF_CLI },
	{ "down-ms", 0, FLINT_CONF_U64, OFF(down_ms), "1", "MS", "longest time that one is down", 1,
	  60000, FLINT_CONF_CLI },
	{ "resume-ms", 0, FLINT_CONF_U64, OFF(resume_ms), "0", "MS",
	  "longest time without any answer that is right, 0: any", 0, 0, FLINT_CONF_CLI },
	{ "time-scale", 0, FLINT_CONF_U64, OFF(scale), "1", "N", "of the servers", 1, 100,
	  FLINT_CONF_CLI },
	{ "rounds", 0, FLINT_CONF_U64, OFF(rounds), "12", "N", "kills", 1, 100000, FLINT_CONF_CLI },
	{ "round-ms", 0, FLINT_CONF_U64, OFF(round_ms), "700", "MS", "longest life", 10, 60000,
	  FLINT_CONF_CLI },
	{ "seed", 0, FLINT_CONF_U64, OFF(seed), "0", "N", "of the random choices, 0: from the clock",
	  0, 0, FLINT_CONF_CLI },
	{ 0 },
};

static const struct flint_conf_spec spec = {
	.prog = "flint-metad-crash",
	.doc = "Kill a metadata server while clients work, and check every answer against a model.",
	.opts = opts,
};

/* What a name stands for. */
struct entry {
	u64 ino;	/* 0: nothing */
	bool dir;
};

struct client {
	struct test *t;
	pthread_t thread;
	struct flint_peer *peer[REPLICAS_MAX];
	u8 id[16];
	unsigned int rng;
	u64 seq;
	u64 dir;
	struct entry e[NAMES];
	u64 ops, retries;
	u64 ghost, ghost_handle;	/* an unlinked file that is still open */
};

static void answered(struct flint_rpc *rpc)
{
	struct call *c = (struct call *)rpc;

	c->rep_len = rpc->rep_len < sizeof(c->rep) ? rpc->rep_len : sizeof(c->rep);
	if (!rpc->err && c->rep_len)
		memcpy(c->rep, rpc->rep_body, c->rep_len);
	sem_post(&c->sem);
}

void crash_ask(struct call *c, struct flint_peer *peer)
{
	sem_init(&c->sem, 0, 0);
	c->rpc.done = answered;
	flint_peer_call(peer, &c->rpc);
	while (sem_wait(&c->sem))
		;
	sem_destroy(&c->sem);
}

/* Somebody was answered: how long was nobody? */
static void note_answer(struct test *t)
{
	u64 now = flint_now_ns(), gap = (now - t->answered_ns) / 1000000;

	if (t->answered_ns && now > t->answered_ns && gap > t->gap_ms)
		t->gap_ms = gap;
	t->answered_ns = now;
}

/* Until it is answered. Return: status. */
static u32 call(struct client *cl, struct call *c, u16 op, const void *body, u32 len, bool mutates,
		void *in, u32 in_len)
{
	u64 start = flint_now_ns(), seq = mutates ? ++cl->seq : 0;
	bool again = false;

	for (;;) {
		unsigned int at = cl->t->at;

		memset(&c->rpc, 0, sizeof(c->rpc));
		c->rpc.op = op;
		c->rpc.body = body;
		c->rpc.body_len = len;
		c->rpc.seq = seq;
		c->rpc.seq_low = seq;
		c->rpc.retry = again;
		c->rpc.timeout_ms = CALL_MS;
		c->rpc.in = in;
		c->rpc.in_len = in_len;
		crash_ask(c, cl->peer[at]);
		if (!c->rpc.err && c->rpc.status != FLINT_ST_SHUTDOWN &&
		    c->rpc.status != FLINT_ST_RETRY && c->rpc.status != FLINT_ST_NOT_LEADER)
			break;
		cl->retries++;
		again = true;
		if (at == cl->t->at)
			cl->t->at = (at + 1) % cl->t->nr;
		if (flint_now_ns() - start > GIVE_UP_MS * 1000000ull) {
			fprintf(stderr, "operation 0x%x: no answer for a minute\n", op);
			cl->t->failed = true;
			return EIO;
		}
		usleep(5000);
	}
	cl->ops++;
	note_answer(cl->t);
	return c->rpc.status;
}

/* ---- one operation ------------------------------------------------------------------ */

static void expect(struct client *cl, const char *what, u32 got, u32 want)
{
	if (got == want || cl->t->failed)
		return;
	fprintf(stderr, "%s: answered %u, the model says %u\n", what, got, want);
	cl->t->failed = true;
}

static u32 name_of(int n, char *name)
{
	return sprintf(name, "name-%d", n);
}

static void op_create(struct client *cl, int n, bool dir)
{
	struct { struct flint_mknod m; char name[32]; } b = { 0 };
	struct entry *e = &cl->e[n];
	struct flint_attr a;
	struct call c;
	u32 len = name_of(n, b.name), st;

	b.m.fixed_len = cpu_to_le32(sizeof(b.m));
	b.m.mode = cpu_to_le32(dir ? 0040755 : 0100644);
	b.m.parent = cpu_to_le64(cl->dir);
	b.m.name_len = cpu_to_le32(len);
	st = call(cl, &c, FLINT_OP_MKNOD, &b, sizeof(b.m) + len, true, NULL, 0);
	expect(cl, "create", st, e->ino ? EEXIST : 0);
	if (st)
		return;
	memcpy(&a, c.rep, sizeof(a));
	e->ino = le64_to_cpu(a.ino);
	e->dir = dir;
}

static void op_unlink(struct client *cl, int n)
{
	struct { struct flint_name_req r; char name[32]; } b = { 0 };
	struct entry *e = &cl->e[n];
	struct call c;
	u32 len = name_of(n, b.name), st;

	b.r.fixed_len = cpu_to_le32(sizeof(b.r));
	b.r.flags = cpu_to_le32(e->dir ? FLINT_NAME_DIR : 0);
	b.r.parent = cpu_to_le64(cl->dir);
	b.r.name_len = cpu_to_le32(len);
	st = call(cl, &c, FLINT_OP_UNLINK, &b, sizeof(b.r) + len, true, NULL, 0);
	expect(cl, "unlink", st, e->ino ? 0 : ENOENT);
	if (!st)
		memset(e, 0, sizeof(*e));
}

static u32 rename_want(const struct entry *a, const struct entry *b, u32 flags)
{
	if (!a->ino)
		return ENOENT;
	if ((flags & FLINT_RENAME_NOREPLACE) && b->ino)
		return EEXIST;
	if (flags & FLINT_RENAME_EXCHANGE)
		return b->ino ? 0 : ENOENT;
	if (!b->ino || a == b || a->dir == b->dir)
		return 0;
	return a->dir ? ENOTDIR : EISDIR;
}

static void op_rename(struct client *cl, int from, int to, u32 flags)
{
	struct { struct flint_rename r; char names[64]; } b = { 0 };
	struct entry *x = &cl->e[from], *y = &cl->e[to], t;
	u32 n1 = name_of(from, b.names), n2 = name_of(to, b.names + n1), st;
	struct call c;

	b.r.fixed_len = cpu_to_le32(sizeof(b.r));
	b.r.flags = cpu_to_le32(flags);
	b.r.old_parent = b.r.new_parent = cpu_to_le64(cl->dir);
	b.r.old_len = cpu_to_le32(n1);
	b.r.new_len = cpu_to_le32(n2);
	st = call(cl, &c, FLINT_OP_RENAME, &b, sizeof(b.r) + n1 + n2, true, NULL, 0);
	expect(cl, "rename", st, rename_want(x, y, flags));
	if (st || x == y || x->ino == y->ino)
		return;
	t = *y;
	*y = *x;
	if (flags & FLINT_RENAME_EXCHANGE)
		*x = t;
	else
		memset(x, 0, sizeof(*x));
}

static void op_lookup(struct client *cl, int n)
{
	struct { struct flint_name_req r; char name[32]; } b = { 0 };
	struct flint_attr a;
	struct call c;
	u32 len = name_of(n, b.name), st;

	b.r.fixed_len = cpu_to_le32(sizeof(b.r));
	b.r.parent = cpu_to_le64(cl->dir);
	b.r.name_len = cpu_to_le32(len);
	st = call(cl, &c, FLINT_OP_LOOKUP, &b, sizeof(b.r) + len, false, NULL, 0);
	expect(cl, "lookup", st, cl->e[n].ino ? 0 : ENOENT);
	if (st)
		return;
	memcpy(&a, c.rep, sizeof(a));
	expect(cl, "lookup (inode)", le64_to_cpu(a.ino) != cl->e[n].ino, 0);
}

static u32 getattr(struct client *cl, u64 ino, struct flint_attr *a)
{
	struct flint_ino_req r = { .ino = cpu_to_le64(ino) };
	struct call c;
	u32 st = call(cl, &c, FLINT_OP_GETATTR, &r, sizeof(r), false, NULL, 0);

	if (!st)
		memcpy(a, c.rep, sizeof(*a));
	return st;
}

/* A file that is removed while open stays until it is closed, crashes or not. */
static void op_ghost(struct client *cl)
{
	struct { struct flint_open o; char name[32]; } o = { 0 };
	struct { struct flint_name_req r; char name[32]; } u = { 0 };
	struct flint_close cb = { 0 };
	struct flint_open_rep rep;
	struct flint_attr a = { 0 };
	struct call c;

	if (cl->ghost) {
		expect(cl, "getattr of a removed open file", getattr(cl, cl->ghost, &a), 0);
		expect(cl, "its links", le32_to_cpu(a.nlink), 0);
		cb.handle = cpu_to_le64(cl->ghost_handle);
		cb.ino = cpu_to_le64(cl->ghost);
		expect(cl, "close", call(cl, &c, FLINT_OP_CLOSE, &cb, sizeof(cb), true, NULL, 0), 0);
		expect(cl, "getattr after close", getattr(cl, cl->ghost, &a), ESTALE);
		cl->ghost = 0;
		return;
	}
	strcpy(o.name, "ghost");
	o.o.fixed_len = cpu_to_le32(sizeof(o.o));
	o.o.flags = cpu_to_le32(FLINT_OPEN_CREATE | FLINT_OPEN_EXCL | FLINT_OPEN_READ);
	o.o.ino = cpu_to_le64(cl->dir);
	o.o.mode = cpu_to_le32(0600);
	o.o.name_len = cpu_to_le32(5);
	expect(cl, "open", call(cl, &c, FLINT_OP_OPEN, &o, sizeof(o.o) + 5, true, NULL, 0), 0);
	if (cl->t->failed)
		return;
	memcpy(&rep, c.rep, sizeof(rep));
	cl->ghost = le64_to_cpu(rep.attr.ino);
	cl->ghost_handle = le64_to_cpu(rep.handle);
	strcpy(u.name, "ghost");
	u.r.fixed_len = cpu_to_le32(sizeof(u.r));
	u.r.parent = cpu_to_le64(cl->dir);
	u.r.name_len = cpu_to_le32(5);
	expect(cl, "unlink", call(cl, &c, FLINT_OP_UNLINK, &u, sizeof(u.r) + 5, true, NULL, 0), 0);
}

/* The directory is exactly the model. */
static void op_list(struct client *cl)
{
	struct flint_readdir r = { .ino = cpu_to_le64(cl->dir), .max_len = cpu_to_le32(65536) };
	struct flint_readdir_rep rep;
	const struct flint_attr *attr;
	struct flint_dirent d;
	const u8 *name;
	u8 *buf = malloc(65536);
	u32 pos = 0, seen = 0, want = 0;
	struct call c;
	int n;

	expect(cl, "readdir", call(cl, &c, FLINT_OP_READDIR, &r, sizeof(r), false, buf, 65536), 0);
	memcpy(&rep, c.rep, sizeof(rep));
	while (!cl->t->failed &&
	       flint_dirent_next(buf, c.rpc.rep_data_len, &pos, &d, &attr, &name) == 1) {
		char text[32] = "";

		memcpy(text, name, le16_to_cpu(d.name_len) < 31 ? le16_to_cpu(d.name_len) : 31);
		n = atoi(text + 5);
		expect(cl, "a listed entry (wrong inode)",
		       n < 0 || n >= NAMES || cl->e[n].ino != le64_to_cpu(d.ino), 0);
		seen++;
	}
	for (n = 0; n < NAMES; n++)
		want += cl->e[n].ino != 0;
	expect(cl, "readdir (entries)", seen, want);
	free(buf);
}

/* ---- clients ---------------------------------------------------------------------------- */

/* Connections to all servers. */
static bool client_connect(struct client *cl, u8 role)
{
	struct flint_peer_config pc = {
		.loop = cl->t->loop, .proto = FLINT_PROTO_TCP, .role = role, .key = cl->t->key,
		.name = "crash", .connect_timeo_ms = 500, .backoff_max_ms = 200,
	};
	unsigned int i;

	flint_random(cl->id, sizeof(cl->id));
	memcpy(pc.client_id, cl->id, sizeof(cl->id));
	for (i = 0; i < cl->t->nr; i++) {
		pc.addr = cl->t->s[i].addr;
		cl->peer[i] = flint_peer_new(&pc);
		if (!cl->peer[i])
			return false;
	}
	return true;
}

static bool client_start(struct client *cl, int nr)
{
	struct flint_session_open so = { .fixed_len = cpu_to_le32(sizeof(so)), .fs_name = "crash" };
	struct { struct flint_mknod m; char name[32]; } b = { 0 };
	struct flint_session_rep rep;
	struct flint_attr a;
	struct call c;
	u32 len = sprintf(b.name, "client-%d", nr);

	if (!client_connect(cl, FLINT_ROLE_CLIENT))
		return false;
	expect(cl, "session", call(cl, &c, FLINT_OP_SESSION_OPEN, &so, sizeof(so), false, NULL, 0), 0);
	if (cl->t->failed)
		return false;
	memcpy(&rep, c.rep, sizeof(rep));
	b.m.fixed_len = cpu_to_le32(sizeof(b.m));
	b.m.mode = cpu_to_le32(0040755);
	b.m.parent = rep.root.ino;
	b.m.name_len = cpu_to_le32(len);
	expect(cl, "mkdir", call(cl, &c, FLINT_OP_MKNOD, &b, sizeof(b.m) + len, true, NULL, 0), 0);
	memcpy(&a, c.rep, sizeof(a));
	cl->dir = le64_to_cpu(a.ino);
	return !cl->t->failed;
}

static void *client_main(void *arg)
{
	struct client *cl = arg;

	while (!cl->t->stop && !cl->t->failed) {
		int n = rand_r(&cl->rng) % NAMES, k = rand_r(&cl->rng) % NAMES;

		switch (rand_r(&cl->rng) % 10) {
		case 0 ... 2:
			op_create(cl, n, k % 4 == 0);
			break;
		case 3 ... 4:
			op_unlink(cl, n);
			break;
		case 5 ... 7:
			op_rename(cl, n, k, rand_r(&cl->rng) % 3);
			break;
		case 8:
			op_lookup(cl, n);
			break;
		case 9:
			op_ghost(cl);
		}
	}
	return NULL;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* The manager's part: make the file system. */
static void fs_make(struct test *t)
{
	struct flint_fs_create b = {
		.fs = cpu_to_le32(1), .mode = cpu_to_le32(0755), .name = "crash",
		.layout = { .version = FLINT_PLACEMENT_V1, .chunk_shift = 20,
			    .stripe = cpu_to_le16(1), .table = cpu_to_le32(1),
			    .table_ver = cpu_to_le32(1) },
	};
	struct client cl = { .t = t };
	struct call c;

	client_connect(&cl, FLINT_ROLE_MGR);
	expect(&cl, "fs create", call(&cl, &c, FLINT_OP_FS_CREATE, &b, sizeof(b), true, NULL, 0), 0);
}

struct farewell {
	struct flint_task task;
	struct client *cl;
	sem_t sem;
};

static void say_nothing(struct flint_task *task)
{
	struct farewell *f = (struct farewell *)task;

	unsigned int i;

	for (i = 0; i < f->cl->t->nr; i++)
		flint_peer_free(f->cl->peer[i]);
	sem_post(&f->sem);
}

/*
 * A client that vanishes loses its open files after the lease, not before; one
 * that is there and asks for nothing loses nothing.
 */
static void lease_check(struct test *t)
{
	struct client gone = { .t = t }, idle = { .t = t }, watch = { .t = t };
	struct farewell f = { .task.fn = say_nothing };
	u64 start, lasted;
	struct flint_attr a;

	if (!client_start(&gone, 1001) || !client_start(&idle, 1002) || !client_start(&watch, 1003))
		return;
	op_ghost(&gone);
	op_ghost(&idle);
	f.cl = &gone;
	sem_init(&f.sem, 0, 0);
	flint_loop_post(t->loop, &f.task);
	while (sem_wait(&f.sem))
		;
	start = flint_now_ns();
	while (!t->failed && !getattr(&watch, gone.ghost, &a) &&
	       flint_now_ns() - start < 5 * LEASE_MS * 1000000ull)
		usleep(50000);
	lasted = (flint_now_ns() - start) / 1000000;
	expect(&watch, "the open file of a client that vanished", getattr(&watch, gone.ghost, &a),
	       ESTALE);
	expect(&watch, "it went before the lease was over", lasted < LEASE_MS * 9 / 10, 0);
	op_ghost(&idle);	/* closes, which needs the session and the handle */
}

static void *loop_main(void *arg)
{
	flint_loop_run(arg);
	return NULL;
}

static int run(struct test *t)
{
	struct client *cl = calloc(t->o.threads, sizeof(*cl));
	u64 i, ops = 0, retries = 0;

	crash_group_start(t);
	if (!t->failed)
		fs_make(t);
	for (i = 0; i < t->o.threads && !t->failed; i++) {
		cl[i].t = t;
		cl[i].rng = t->o.seed + i;
		if (client_start(&cl[i], i))
			pthread_create(&cl[i].thread, NULL, client_main, &cl[i]);
	}
	if (!t->failed)
		crash_group_disturb(t);
	t->stop = true;
	for (i = 0; i < t->o.threads; i++) {
		if (!cl[i].thread)
			continue;
		pthread_join(cl[i].thread, NULL);
		if (!t->failed)
			op_list(&cl[i]);
		ops += cl[i].ops;
		retries += cl[i].retries;
	}
	if (!t->failed) {
		crash_mgr_start(t);
		lease_check(t);
	}
	crash_group_stop(t);
	printf("longest time without an answer: %llu ms\n", (unsigned long long)t->gap_ms);
	if (t->o.resume_ms && t->gap_ms > t->o.resume_ms) {
		fprintf(stderr, "nothing was answered for %llu ms\n", (unsigned long long)t->gap_ms);
		t->failed = true;
	}
	printf("%llu rounds, %llu operations answered, %llu sent again: %s\n",
	       (unsigned long long)t->o.rounds, (unsigned long long)ops,
	       (unsigned long long)retries, t->failed ? "FAILED" : "ok");
	free(cl);
	return t->failed;
}

int main(int argc, char **argv)
{
	static struct test t;
	pthread_t thread;
	char err[256];
	int ret;

	flint_conf_parse_or_exit(&spec, argc, argv, &t.o, NULL);
	if (flint_key_load(t.o.key, t.key, err, sizeof(err))) {
		fprintf(stderr, "flint-metad-crash: %s\n", err);
		return 2;
	}
	if (!t.o.seed)
		t.o.seed = flint_now_ns() & 0xffffff;
	printf("seed %llu\n", (unsigned long long)t.o.seed);
	meta_sqlite_init();
	t.loop = flint_loop_new();
	pthread_create(&thread, NULL, loop_main, t.loop);
	ret = run(&t);
	fflush(stdout);
	/* Peers and loop end with the process. */
	_exit(ret);
}
