// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The metadata state machine in the simulated world: a Raft core and a metadata
 * store on each machine. Clients make and remove files, one request each at a
 * time, and repeat a request that is not answered, at whoever leads then.
 *
 *   meta_sim [--first SEED] [--runs N] [--dir DIR]
 *
 * Checked besides the world's invariants: after each entry the checksum of all
 * tables is the same on every machine; each repetition of a request gets the
 * first answer; at the end the directory has exactly what the answers say.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../userd/meta/command.h"
#include "world.h"

#define CLIENTS		5
#define U(x)		((unsigned long long)(x))

/* A request, and what it was answered when it was applied first. */
struct request {
	u32 client, len;
	u64 seq;
	bool makes, applied;
	u32 status;
	u64 ino;
	u8 *cmd;
};

/* @busy: number of its request that waits for an answer, 0: none. @last: name made last. */
struct client {
	u64 sid, seq, busy;
	u64 last;
};

struct group {
	char dir[128];
	struct meta_store s[MACHINES];
	bool open[MACHINES];
	struct client c[CLIENTS];
	struct request *req;		/* from 1 */
	u64 nr_req, cap_req;
	u64 *sum, nr_sum, cap_sum;	/* checksum after each entry; 0: not known yet */
	u64 nr_saved, clock, root, entries, first_root_size;
	u64 answers, repeats, compared;
};

/* ---- files ----------------------------------------------------------------- */

static void path_of(const struct group *g, char *out, size_t len, const char *what, u64 nr)
{
	snprintf(out, len, "%s/%s-%llu", g->dir, what, U(nr));
}

static void run(const char *fmt, const char *a, const char *b)
{
	char cmd[1024];

	snprintf(cmd, sizeof(cmd), fmt, a, b);
	if (system(cmd)) {
		fprintf(stderr, "failed: %s\n", cmd);
		exit(2);
	}
}

static void fatal(void *arg, const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(2);
}

static void store_open(struct meta_store *s, const char *dir)
{
	struct meta_store_config cfg = { .dir = dir, .cache_bytes = 16 << 20, .gen_objects = 100,
					 .gen_ms = 1000000, .fatal = fatal };
	char err[512] = "";

	if (meta_store_open(s, &cfg, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		exit(2);
	}
}

/* A copy of everything that @s holds, as a directory of its own. */
static void store_copy(struct meta_store *s, const char *to)
{
	char sql[256];
	sqlite3 *db;

	if (meta_store_flush(s) || mkdir(to, 0700))
		exit(2);
	snprintf(sql, sizeof(sql), "VACUUM INTO '%s/" META_STORE_FILE "'", to);
	if (sqlite3_open(s->path, &db) || sqlite3_exec(db, sql, NULL, NULL, NULL)) {
		fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
		exit(2);
	}
	sqlite3_close(db);
}

/* ---- the world's questions ---------------------------------------------------- */

static void sim_stop(struct world *w, struct machine *n)
{
	struct group *g = w->arg;
	u32 at = n - w->m;

	if (g->open[at])
		meta_store_close(&g->s[at]);
	g->open[at] = false;
}

static u64 sim_save(struct world *w, struct machine *n)
{
	struct group *g = w->arg;
	char to[256];

	path_of(g, to, sizeof(to), "saved", ++g->nr_saved);
	store_copy(&g->s[n - w->m], to);
	return g->nr_saved;
}

static void sim_load(struct world *w, struct machine *n, u64 ref)
{
	struct group *g = w->arg;
	char from[256], to[256];
	u32 at = n - w->m;

	sim_stop(w, n);
	path_of(g, from, sizeof(from), "saved", ref);
	path_of(g, to, sizeof(to), "machine", at);
	run("rm -rf '%s'", to, "");
	run("cp -r '%s' '%s'", from, to);
	store_open(&g->s[at], to);
	g->open[at] = true;
}

static void sim_finished(struct world *w)
{
	u32 i;

	for (i = 0; i < w->nr_machines; i++)
		sim_stop(w, &w->m[i]);
}

/* ---- requests --------------------------------------------------------------------- */

static void add_request(struct group *g, u32 who, u16 op, const void *body, u32 len)
{
	struct client *c = &g->c[who];
	struct meta_command cmd = { .op = op, .sid = c->sid, .seq = ++c->seq, .seq_low = c->seq,
				    .body = body, .body_len = len };
	struct request *q;

	if (g->nr_req + 2 > g->cap_req) {
		g->cap_req = g->cap_req * 2 + 256;
		g->req = realloc(g->req, g->cap_req * sizeof(*g->req));
	}
	q = &g->req[++g->nr_req];
	*q = (struct request){ .client = who, .seq = c->seq, .makes = op == FLINT_OP_MKNOD };
	q->len = meta_command_size(&cmd);
	q->cmd = malloc(q->len);
	meta_command_encode(&cmd, q->cmd);
	c->busy = g->nr_req;
}

static void new_request(struct group *g, u32 who)
{
	struct client *c = &g->c[who];
	u8 body[256];
	char name[32];
	u32 len;

	if (c->last) {
		struct flint_name_req b = { .fixed_len = cpu_to_le32(sizeof(b)),
					    .parent = cpu_to_le64(g->root) };

		len = snprintf(name, sizeof(name), "c%u-%llu", who, U(c->last));
		b.name_len = cpu_to_le32(len);
		memcpy(body, &b, sizeof(b));
		memcpy(body + sizeof(b), name, len);
		c->last = 0;
		add_request(g, who, FLINT_OP_UNLINK, body, sizeof(b) + len);
	} else {
		struct flint_mknod b = { .fixed_len = cpu_to_le32(sizeof(b)),
					 .mode = cpu_to_le32(S_IFREG | 0644),
					 .parent = cpu_to_le64(g->root) };

		len = snprintf(name, sizeof(name), "c%u-%llu", who, U(c->seq + 1));
		b.name_len = cpu_to_le32(len);
		memcpy(body, &b, sizeof(b));
		memcpy(body + sizeof(b), name, len);
		add_request(g, who, FLINT_OP_MKNOD, body, sizeof(b) + len);
	}
}

static bool sim_submit(struct world *w, struct machine *n, u64 *val)
{
	struct group *g = w->arg;
	u32 who = world_random(w, CLIENTS);
	struct client *c = &g->c[who];

	if (c->busy && !world_chance(w, 300))
		return false;
	if (c->busy)
		g->repeats++;
	else
		new_request(g, who);
	*val = c->busy;
	return true;
}

static void answered(struct group *g, struct client *c, u64 val, const struct request *q)
{
	if (c->busy != val)
		return;
	c->busy = 0;
	g->answers++;
	if (q->makes && !q->status && !(q->seq & 1))
		c->last = q->seq;
}

static void sim_apply(struct world *w, struct machine *n, u64 index, u64 term, u64 val)
{
	struct group *g = w->arg;
	struct meta_store *s = &g->s[n - w->m];
	struct request *q = &g->req[val];
	struct meta_reply rep;
	struct flint_attr a;
	u64 ino = 0, sum;

	if (s->index >= index) {
		world_fail(w, "%llu: its store is at %llu before entry %llu", U(n->id), U(s->index),
			   U(index));
		return;
	}
	meta_command_stamp(q->cmd, 1000000000ull + index);
	if (meta_apply(s, q->cmd, q->len, &rep)) {
		world_fail(w, "apply: %s", s->err);
		return;
	}
	meta_store_applied(s, index, term);
	if (q->makes && !rep.status) {
		memcpy(&a, rep.body, sizeof(a));
		ino = le64_to_cpu(a.ino);
	}
	while (g->nr_sum <= index) {
		if (g->nr_sum == g->cap_sum) {
			g->cap_sum = g->cap_sum * 2 + 1024;
			g->sum = realloc(g->sum, g->cap_sum * sizeof(u64));
		}
		g->sum[g->nr_sum++] = 0;
	}
	sum = meta_store_checksum(s);
	if (g->sum[index] && g->sum[index] != sum)
		world_fail(w, "%llu: checksum after entry %llu is not what it is elsewhere", U(n->id),
			   U(index));
	g->compared += !!g->sum[index];
	g->sum[index] = sum;
	if (!q->applied) {
		q->applied = true;
		q->status = rep.status;
		q->ino = ino;
		if (!rep.status)
			g->entries += q->makes ? 1 : -1;
		else
			world_fail(w, "request %llu of client %u: status %u", U(q->seq), q->client,
				   rep.status);
	} else if (g->c[q->client].seq == q->seq && (q->status != rep.status || q->ino != ino)) {
		world_fail(w, "request %llu of client %u was answered (%u, %llu), now (%u, %llu)",
			   U(q->seq), q->client, q->status, U(q->ino), rep.status, U(ino));
	}
	if (raft_role(n->raft) == RAFT_LEADER && raft_term(n->raft) == term)
		answered(g, &g->c[q->client], val, q);
}

static const struct world_ops ops = {
	.submit = sim_submit,
	.apply = sim_apply,
	.save = sim_save,
	.load = sim_load,
	.stop = sim_stop,
	.finished = sim_finished,
};

/* ---- a run --------------------------------------------------------------------------- */

static void apply_now(struct group *g, struct meta_store *s, struct meta_command *c,
		      struct meta_reply *rep)
{
	u8 buf[4096];

	c->ts = ++g->clock;
	meta_command_encode(c, buf);
	if (meta_apply(s, buf, meta_command_size(c), rep) || rep->status) {
		fprintf(stderr, "cannot begin: status %u\n", rep->status);
		exit(2);
	}
}

/* The state that every machine begins with: a file system and sessions. */
static void make_first(struct group *g)
{
	struct flint_fs_create f = { .fs = cpu_to_le32(1), .mode = cpu_to_le32(0777), .name = "fs",
				     .layout = { .version = FLINT_PLACEMENT_V1, .chunk_shift = 20,
						 .stripe = cpu_to_le16(1), .table = cpu_to_le32(1),
						 .table_ver = cpu_to_le32(1) } };
	struct flint_session_open o = { .fixed_len = cpu_to_le32(sizeof(o)), .fs_name = "fs" };
	struct meta_command c = { .op = FLINT_OP_FS_CREATE, .body = &f, .body_len = sizeof(f) };
	struct flint_session_rep r;
	struct meta_reply rep;
	struct meta_store s;
	char dir[256];
	u32 i;

	path_of(g, dir, sizeof(dir), "first", 0);
	if (mkdir(dir, 0700))
		exit(2);
	store_open(&s, dir);
	apply_now(g, &s, &c, &rep);
	for (i = 0; i < CLIENTS; i++) {
		u8 id[16] = { i + 1 };

		c = (struct meta_command){ .op = FLINT_OP_SESSION_OPEN, .client = id, .body = &o,
					   .body_len = sizeof(o) };
		apply_now(g, &s, &c, &rep);
		memcpy(&r, rep.body, sizeof(r));
		g->c[i].sid = le64_to_cpu(r.session_epoch);
		g->root = le64_to_cpu(r.root.ino);
	}
	meta_store_applied(&s, 0, 0);
	path_of(g, dir, sizeof(dir), "saved", 0);
	store_copy(&s, dir);
	meta_store_close(&s);
}

/* The directory has what the answers say, no more and no less. */
static void check_directory(struct world *w)
{
	struct group *g = w->arg;
	struct meta_inode root;
	struct machine *n;

	for (n = w->m; n < w->m + w->nr_machines; n++) {
		if (!n->up || n->state.index != w->truth.nr)
			continue;
		if (meta_read_inode(&g->s[n - w->m], g->root, &root) || root.size != g->entries)
			world_fail(w, "%llu: the directory has %llu entries, answered were %llu",
				   U(n->id), U(root.size), U(g->entries));
	}
}

static void finish(struct world *w)
{
	if (!w->failure[0])
		check_directory(w);
	sim_finished(w);
}

static void run_seed(struct world *w, struct group *g, const char *dir, u64 seed)
{
	static struct world_ops with_end;
	struct group zero = { .clock = 1000 };
	u64 i, answers = g->answers, repeats = g->repeats, compared = g->compared;

	*g = zero;
	g->answers = answers;
	g->repeats = repeats;
	g->compared = compared;
	snprintf(g->dir, sizeof(g->dir), "%s/flint-meta-sim-%d", dir, getpid());
	run("rm -rf '%s'", g->dir, "");
	if (mkdir(g->dir, 0700))
		exit(2);
	make_first(g);
	with_end = ops;
	with_end.finished = finish;
	w->ops = &with_end;
	w->arg = g;
	world_run(w, seed);
	for (i = 1; i <= g->nr_req; i++)
		free(g->req[i].cmd);
	free(g->req);
	free(g->sum);
	run("rm -rf '%s'", g->dir, "");
}

int main(int argc, char **argv)
{
	const char *dir = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	struct world *w = calloc(1, sizeof(*w));
	struct group *g = calloc(1, sizeof(*g));
	u64 first = 1, runs = 10, i;
	int a;

	for (a = 1; a < argc; a++) {
		if (!strcmp(argv[a], "--trace"))
			w->trace = true;
		else if (!strcmp(argv[a], "--first") && a + 1 < argc)
			first = strtoull(argv[++a], NULL, 0);
		else if (!strcmp(argv[a], "--runs") && a + 1 < argc)
			runs = strtoull(argv[++a], NULL, 0);
		else if (!strcmp(argv[a], "--dir") && a + 1 < argc)
			dir = argv[++a];
		else
			return 2;
	}
	meta_sqlite_init();
	for (i = 0; i < runs && !w->failure[0]; i++)
		run_seed(w, g, dir, first + i);
	printf("%llu runs, %llu steps, %llu requests answered, %llu repeated, %llu checksums compared, "
	       "%llu crashes, %llu snapshots sent\n", U(w->st.runs), U(w->st.steps), U(g->answers),
	       U(g->repeats), U(g->compared), U(w->st.crashes), U(w->st.snapshots));
	if (w->failure[0])
		printf("seed %llu: %s\nsee it with: %s --first %llu --runs 1 --trace\n", U(w->seed),
		       w->failure, argv[0], U(w->seed));
	a = !!w->failure[0];
	world_free(w);
	free(w);
	free(g);
	return a;
}
