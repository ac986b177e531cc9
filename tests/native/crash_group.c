// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-metad-crash: the servers. One, or a group of replicas on this machine
 * that are killed, frozen, wiped and replaced while the clients work; at the end
 * all replicas must have applied the same and have the same checksum.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "crash.h"
#include "../../userd/base/addr.h"
#include "../../userd/base/daemon.h"
#include "../../userd/meta/store.h"
#include "../../userd/meta/verify.h"

#define LEASE_MS	"2000"
#define CHANGE_MS	60000
#define MGR_PORT	90		/* the manager's, behind the first server's */
#define MGR_HEARD_S	7		/* servers try to reach one every 5 s at least */

/* ---- processes ------------------------------------------------------------------ */

static void server_run(struct test *t, struct server *s)
{
	char port[16], scale[16], mgr[32], raft[FLINT_ADDR_STR];

	flint_addr_format(&s->raft, raft, sizeof(raft));
	snprintf(port, sizeof(port), "%u", flint_addr_port(&s->addr));
	snprintf(mgr, sizeof(mgr), "127.0.0.1:%u", (unsigned int)t->o.port + MGR_PORT);
	snprintf(scale, sizeof(scale), "%u", (unsigned int)t->o.scale);
	sigprocmask(SIG_SETMASK, &(sigset_t) { 0 }, NULL);
	execl(t->o.metad, t->o.metad, "--state", s->state, "--key", t->o.key, "--mgr", mgr,
	      "--listen", "127.0.0.1", "--tcp-port", port, "--rdma-port", "0", "--lease-ms", LEASE_MS,
	      "--name", s->name, "--time-scale", scale, "--log-keep", t->o.keep, "--raft-address", raft, s->found ? "--found" : NULL, NULL);
	perror(t->o.metad);
	_exit(127);
}

static void server_start(struct test *t, struct server *s)
{
	s->pid = fork();
	if (!s->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);	/* nothing is left when the test is killed */
		server_run(t, s);
	}
}

void crash_mgr_start(struct test *t)
{
	char state[256], port[16];

	snprintf(state, sizeof(state), "%s/mgr", t->o.state);
	snprintf(port, sizeof(port), "%u", (unsigned int)t->o.port + MGR_PORT);
	mkdir(state, 0700);
	t->mgr = fork();
	if (!t->mgr) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigprocmask(SIG_SETMASK, &(sigset_t) { 0 }, NULL);
		execl(t->o.mgrd, t->o.mgrd, "--state", state, "--key", t->o.key, "--listen", "127.0.0.1",
		      "--tcp-port", port, "--rdma-port", "0", "--http-port", "0", NULL);
		perror(t->o.mgrd);
		_exit(127);
	}
	sleep(MGR_HEARD_S);
	t->answered_ns = 0;	/* nobody asked meanwhile */
}

static void server_kill(struct server *s)
{
	kill(s->pid, SIGKILL);
	kill(s->pid, SIGCONT);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

/* The database of a server that is down. */
static void verify(struct test *t, struct server *s)
{
	struct meta_verdict v;
	char path[512];

	snprintf(path, sizeof(path), "%s/" META_STORE_FILE, s->state);
	if (meta_verify(path, &v, NULL, NULL) || v.problems) {
		fprintf(stderr, "after a kill: %s: %s\n", s->name, v.text);
		t->failed = true;
	}
}

/* ---- questions ------------------------------------------------------------------------ */

static bool status(struct server *s, struct flint_raft_stat *st,
		   struct flint_raft_stat_member m[REPLICAS_MAX + 4])
{
	struct call c = { .rpc = { .op = FLINT_OP_RAFT_STATUS, .timeout_ms = 1000, .in = m,
				   .in_len = (REPLICAS_MAX + 4) * sizeof(*m) } };

	if (s->down || !s->pid)
		return false;
	crash_ask(&c, s->peer);
	if (c.rpc.err || c.rpc.status || c.rep_len < sizeof(*st))
		return false;
	memcpy(st, c.rep, sizeof(*st));
	return true;
}

/* The server that leads and is ready, or -1 after a while. */
static int leader(struct test *t)
{
	struct flint_raft_stat_member m[REPLICAS_MAX + 4];
	u64 start = flint_now_ns();
	struct flint_raft_stat st;
	unsigned int i;

	while (flint_now_ns() - start < 20000000000ull * t->o.scale) {
		for (i = 0; i < t->nr; i++)
			if (status(&t->s[i], &st, m) && (st.flags & FLINT_RAFT_STAT_READY))
				return i;
		usleep(20000);
	}
	fprintf(stderr, "nobody leads\n");
	t->failed = true;
	return -1;
}

/* Ask the leader for a change, again and again, until it is done. */
static bool change(struct test *t, u8 op, const char *name, const struct server *s)
{
	struct flint_raft_stat_member m[REPLICAS_MAX + 4];
	struct flint_raft_change_req b = { .op = op };
	u64 start = flint_now_ns();
	struct flint_raft_stat st = { 0 };
	struct call c;
	int at;

	snprintf((char *)b.name, sizeof(b.name), "%s", name);
	if (s)
		flint_addr_to_wire(&s->raft, FLINT_PROTO_TCP, &b.addr);
	while (!t->failed && flint_now_ns() - start < CHANGE_MS * 1000000ull * t->o.scale) {
		at = leader(t);
		if (at < 0)
			return false;
		c = (struct call){ .rpc = { .op = FLINT_OP_RAFT_CHANGE, .timeout_ms = 2000,
					    .body = &b, .body_len = sizeof(b) } };
		crash_ask(&c, t->s[at].peer);
		if (c.rpc.err || c.rpc.status) {
			usleep(100000);
			continue;
		}
		do {
			usleep(50000);
		} while (status(&t->s[at], &st, m) && st.change_state == FLINT_CHANGE_RUNNING);
		if (st.change_state == FLINT_CHANGE_DONE ||
		    (st.change_state == FLINT_CHANGE_FAILED && le32_to_cpu(st.change_err) == EEXIST))
			return true;
	}
	fprintf(stderr, "a change (%u, %s) did not come to an end: %s\n", op, name, st.change_text);
	t->failed = true;
	return false;
}

/* ---- disturbances ------------------------------------------------------------------------ */

static void wipe(struct test *t, struct server *s)
{
	char cmd[600];

	server_kill(s);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s' && mkdir '%s'", s->state, s->state);
	if (system(cmd))
		t->failed = true;
}

/* It comes back empty, under a new name as far as the group knows, and takes its old place. */
static void replace(struct test *t, struct server *s)
{
	wipe(t, s);
	s->found = false;	/* it must not begin a group of its own */
	server_start(t, s);
	change(t, FLINT_CHANGE_REPLACE, s->name, s);
}

/* Whom the relay keeps apart from everybody; NULL: nobody. */
static void rules(struct test *t, const char *name)
{
	FILE *f = fopen(t->rules, "w");

	if (f && name)
		fprintf(f, "%s *\n", name);
	if (f)
		fclose(f);
}

/* Between the replicas: each is reached through a port of the relay's. */
static void relay_start(struct test *t)
{
	char arg[REPLICAS_MAX][48], *argv[REPLICAS_MAX + 3] = { t->o.relay, t->rules };
	unsigned int i;

	snprintf(t->rules, sizeof(t->rules), "%s/rules", t->o.state);
	for (i = 0; i < t->nr; i++) {
		snprintf(arg[i], sizeof(arg[i]), "%s:%u:%u", t->s[i].name,
			 flint_addr_port(&t->s[i].raft), flint_addr_port(&t->s[i].addr));
		argv[2 + i] = arg[i];
	}
	t->relay = fork();
	if (t->relay)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(t->o.relay, argv);
	perror(t->o.relay);
	_exit(127);
}

static void minority(struct test *t, struct server *s, unsigned int *rng)
{
	unsigned int first = s - t->s, n = (t->nr - 1) / 2, i;

	for (i = 0; i < n; i++) {
		s = &t->s[(first + i) % t->nr];
		s->down = true;
		server_kill(s);
		verify(t, s);
	}
	usleep((rand_r(rng) % t->o.down_ms) * 1000);
	for (i = 0; i < n; i++) {
		s = &t->s[(first + i) % t->nr];
		server_start(t, s);
		s->down = false;
	}
}

static void disturb(struct test *t, struct server *s, char act, unsigned int *rng)
{
	switch (act) {
	case 'k':		/* kill, and start again after a while */
		s->down = true;
		server_kill(s);
		verify(t, s);
		usleep((rand_r(rng) % t->o.down_ms) * 1000);
		server_start(t, s);
		s->down = false;
		break;
	case 'K':		/* as many as the others can do without, @s first, and start them again */
		minority(t, s, rng);
		break;
	case 's':		/* freeze: it wakes up believing what it believed */
		s->down = true;
		kill(s->pid, SIGSTOP);
		usleep((rand_r(rng) % (4 * t->o.down_ms)) * 1000);
		kill(s->pid, SIGCONT);
		s->down = false;
		break;
	case 'p':		/* it hears no other, and no other hears it; clients it hears */
		rules(t, s->name);
		usleep((rand_r(rng) % (4 * t->o.down_ms)) * 1000);
		rules(t, NULL);
		break;
	case 'w':
		replace(t, s);
		break;
	case 't':
		change(t, FLINT_CHANGE_TRANSFER, "", NULL);
		break;
	case 'm':		/* out and in again */
		if (change(t, FLINT_CHANGE_REMOVE, s->name, NULL)) {
			wipe(t, s);
			s->found = false;
			server_start(t, s);
			change(t, FLINT_CHANGE_ADD, s->name, s);
		}
		break;
	}
}

void crash_group_disturb(struct test *t)
{
	unsigned int rng = t->o.seed, n = strlen(t->o.acts);
	struct server *s;
	char act;
	u64 i;
	int at;

	for (i = 0; i < t->o.rounds && !t->failed; i++) {
		usleep((50 + rand_r(&rng) % t->o.round_ms) * 1000);
		act = t->o.acts[rand_r(&rng) % n];
		s = &t->s[rand_r(&rng) % t->nr];
		if (t->nr > 1) {
			at = leader(t);
			if (at < 0)
				return;
			if (rand_r(&rng) % 2)
				s = &t->s[at];
		}
		printf("# round %llu: %c %s\n", (unsigned long long)i, act, s->name);
		fflush(stdout);
		disturb(t, s, act, &rng);
	}
}

/* ---- beginning and end ---------------------------------------------------------------------- */

static void server_init(struct test *t, unsigned int i)
{
	struct server *s = &t->s[i];
	struct flint_peer_config pc = {
		.loop = t->loop, .proto = FLINT_PROTO_TCP, .role = FLINT_ROLE_MGR, .key = t->key,
		.name = "crash", .connect_timeo_ms = 500, .backoff_max_ms = 200,
	};
	char where[32], err[128];

	snprintf(s->name, sizeof(s->name), "m%u", i + 1);
	s->found = !i;
	snprintf(where, sizeof(where), "127.0.0.1:%u", (unsigned int)t->o.port + i);
	flint_addr_parse(where, 0, &s->addr, err, sizeof(err));
	s->raft = s->addr;
	if (t->o.relay)
		flint_addr_set_port(&s->raft, t->o.port + 50 + i);
	snprintf(s->state, sizeof(s->state), t->o.replicas > 1 ? "%s/%s" : "%s", t->o.state, s->name);
	if (t->o.replicas > 1)
		mkdir(s->state, 0700);
	pc.addr = s->addr;
	flint_random(pc.client_id, sizeof(pc.client_id));
	s->peer = flint_peer_new(&pc);
}

void crash_group_start(struct test *t)
{
	unsigned int i;

	t->nr = t->o.replicas;
	for (i = 0; i < t->nr; i++)
		server_init(t, i);
	if (t->o.relay)
		relay_start(t);
	for (i = 0; i < t->nr; i++)
		server_start(t, &t->s[i]);
	for (i = 1; i < t->nr && !t->failed; i++)
		change(t, FLINT_CHANGE_ADD, t->s[i].name, &t->s[i]);
}

/* Everybody has applied what the leader has. */
static void settle(struct test *t)
{
	struct flint_raft_stat_member m[REPLICAS_MAX + 4];
	struct flint_raft_stat st, lead;
	u64 start = flint_now_ns();
	unsigned int i, equal = 0;
	int at = leader(t);

	while (at >= 0 && flint_now_ns() - start < 60000000000ull * t->o.scale) {
		if (!status(&t->s[at], &lead, m)) {
			at = leader(t);
			continue;
		}
		for (i = 0, equal = 0; i < t->nr; i++)
			equal += status(&t->s[i], &st, m) && st.applied == lead.applied;
		if (equal == t->nr)
			return;
		usleep(50000);
	}
	fprintf(stderr, "%u of %u replicas have everything\n", equal, t->nr);
	t->failed = true;
}

static void server_end(struct test *t, struct server *s)
{
	int st = -1;

	kill(s->pid, SIGTERM);
	waitpid(s->pid, &st, 0);
	if (!WIFEXITED(st) || WEXITSTATUS(st)) {
		fprintf(stderr, "%s did not stop cleanly: status 0x%x\n", s->name, st);
		t->failed = true;
	}
	verify(t, s);
}

static void state_read(struct test *t, struct server *s, struct meta_db_state *st)
{
	struct meta_db d;
	char path[512];

	snprintf(path, sizeof(path), "%s/" META_STORE_FILE, s->state);
	if (meta_db_open(&d, path, false) || meta_db_state_get(&d, st))
		t->failed = true;
	meta_db_close(&d);
}

void crash_group_stop(struct test *t)
{
	struct meta_db_state first, other;
	unsigned int i;
	int at;

	if (t->nr > 1)
		settle(t);
	at = t->nr > 1 ? leader(t) : 0;
	/* The leader last: nobody else's reign adds an entry. */
	for (i = 0; i < t->nr; i++)
		if ((int)i != at)
			server_end(t, &t->s[i]);
	if (at >= 0)
		server_end(t, &t->s[at]);
	if (t->relay) {
		kill(t->relay, SIGTERM);
		waitpid(t->relay, NULL, 0);
	}
	if (t->mgr) {
		kill(t->mgr, SIGTERM);
		waitpid(t->mgr, NULL, 0);
	}
	if (t->nr < 2)
		return;
	state_read(t, &t->s[0], &first);
	for (i = 1; i < t->nr; i++) {
		state_read(t, &t->s[i], &other);
		if (first.index == other.index && first.sum == other.sum)
			continue;
		fprintf(stderr, "%s is at %llu with checksum %llx, but %s at %llu with %llx\n",
			t->s[0].name, (unsigned long long)first.index, (unsigned long long)first.sum,
			t->s[i].name, (unsigned long long)other.index, (unsigned long long)other.sum);
		t->failed = true;
	}
}
