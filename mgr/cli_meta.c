// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint meta backup, backups, verify, checksum: work that a metadata replica
 * does beside serving, started and watched from here; and what is done while
 * no daemon runs: restore, rescue.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../userd/base/conf.h"
#include "../userd/raft/node.h"
#include "cli_group.h"

#define CLI_PIECE	(128u << 10)
#define CLI_SUM_TRIES	20

/* ---- a job on one replica ----------------------------------------------------- */

/**
 * struct cli_job - a replica and what it was asked
 * @data: of the last answer
 */
struct cli_job {
	struct cli_conn *conn;
	const char *node;
	struct flint_meta_job_rep rep;
	uint8_t *data;
	uint32_t got;
};

static int job_open(struct cli *c, const struct cli_node *n, struct cli_job *j)
{
	memset(j, 0, sizeof(*j));
	j->node = n->name;
	j->data = malloc(CLI_PIECE);
	j->conn = j->data ? cli_conn_open(c, &n->addr) : NULL;
	if (j->conn)
		return 0;
	free(j->data);
	return cli_fail("out of memory");
}

static void job_close(struct cli_job *j)
{
	cli_conn_close(j->conn);
	free(j->data);
}

/* One request. Return: its status, or -errno. */
static int job_ask(struct cli_job *j, uint32_t op, const char *name, uint64_t offset)
{
	struct {
		struct flint_meta_job job;
		char name[FLINT_LABEL_LEN];
	} body = { .job = { .fixed_len = cpu_to_le32(sizeof(body.job)), .op = cpu_to_le32(op),
			    .offset = cpu_to_le64(offset), .max_len = cpu_to_le32(CLI_PIECE),
			    .name_len = cpu_to_le16(strlen(name)) } };
	struct cli_rpc call = {
		.op = FLINT_OP_META_JOB, .body = &body,
		.body_len = sizeof(body.job) + strlen(name), .rep = &j->rep,
		.rep_size = sizeof(j->rep), .rep_min = sizeof(j->rep), .in = j->data,
		.in_len = CLI_PIECE, .timeout_ms = 10000,
	};
	int ret;

	if (strlen(name) >= FLINT_LABEL_LEN)
		return -ENAMETOOLONG;
	memcpy(body.name, name, strlen(name));
	ret = cli_conn_call(j->conn, &call);
	j->got = call.in_got;
	j->rep.name[FLINT_LABEL_LEN - 1] = 0;
	return ret ? ret : (int)call.status;
}

static int job_failed(struct cli_job *j, const char *what, int ret)
{
	if (ret == EBUSY)
		return cli_fail("%s is busy with a backup or a check: try again when that has ended",
				j->node);
	if (ret == FLINT_ST_BAD_REQUEST)
		return cli_fail("%s cannot do this: it has an older version", j->node);
	return cli_fail("%s on %s failed (%s): look at its log", what, j->node,
			strerror(ret < 0 ? -ret : -flint_status_errno(ret)));
}

/* Lines of text that the job left. */
static void job_text(struct cli_job *j, FILE *f)
{
	uint64_t at = 0;

	while (!job_ask(j, FLINT_JOB_FINDINGS, "", at) && j->got) {
		fwrite(j->data, 1, j->got, f);
		at += j->got;
	}
}

/* Start a job and wait for its end, with progress. Return: 0 or 1 after a message. */
static int job_run(struct cli *c, struct cli_job *j, uint32_t op, const char *name, const char *what)
{
	bool tty = isatty(STDERR_FILENO) && !cli_opt(c, CLI_OPT_JSON);
	uint64_t begin = flint_now_ns(), told = begin;
	int ret = job_ask(j, op, name, 0);

	while (!ret && le32_to_cpu(j->rep.state) == FLINT_JOB_RUNNING) {
		uint64_t done = le64_to_cpu(j->rep.done), total = le64_to_cpu(j->rep.total);

		if (flint_now_ns() - begin > 2000000000ull && flint_now_ns() - told > 1000000000ull &&
		    !cli_opt(c, CLI_OPT_JSON)) {
			told = flint_now_ns();
			if (total)
				fprintf(stderr, "%s on %s: %" PRIu64 " %%%c", what, j->node,
					done * 100 / total, tty ? '\r' : '\n');
			else
				fprintf(stderr, "%s on %s ...%c", what, j->node, tty ? '\r' : '\n');
		}
		usleep(50000);
		ret = job_ask(j, FLINT_JOB_STATUS, "", 0);
	}
	if (tty && told != begin)
		fputc('\n', stderr);
	if (ret)
		return job_failed(j, what, ret);
	if (le32_to_cpu(j->rep.state) == FLINT_JOB_FAILED) {
		cli_fail("%s on %s failed:", what, j->node);
		job_text(j, stderr);
		return 1;
	}
	return 0;
}

/* ---- choosing a replica ---------------------------------------------------------- */

static int meta_load(struct cli_group *g, struct cli *c)
{
	char err[CLI_ERR_LEN];

	if (cli_group_load(g, c, &cli_kind_meta, err, sizeof(err)))
		return cli_fail("%s", err);
	return 0;
}

/* The one named by --from; else a follower that is up to date, to spare the leader; else that. */
static struct cli_node *meta_choose(struct cli_group *g, struct cli *c)
{
	const char *from = cli_opt(c, CLI_OPT_FROM);
	struct cli_node *n = from ? cli_group_node(g, from) : NULL, *best = NULL;
	unsigned int i;

	if (from) {
		if (!n || n->err)
			cli_fail("%s %s: 'flint meta status' lists replicas", from,
				 n ? "does not answer" : "is no metadata replica");
		return n && !n->err ? n : NULL;
	}
	for (i = 0; i < g->nr; i++) {
		n = &g->nodes[i];
		if (n->err || !n->stat.group || n->member < 0)
			continue;
		if (!best || (n->stat.role == FLINT_REPLICA_FOLLOWER &&
			      le64_to_cpu(n->stat.applied) + 1000 >= le64_to_cpu(best->stat.applied)))
			best = n;
	}
	if (!best)
		cli_fail("no metadata replica answers: 'flint meta status' tells more");
	return best;
}

/* ---- backup ------------------------------------------------------------------------- */

static int backup_fetch_to(struct cli_job *j, const char *name, uint64_t size, int fd,
			   const char *path)
{
	uint64_t at = 0;
	int ret;

	while (at < size) {
		ret = job_ask(j, FLINT_JOB_READ, name, at);
		if (ret)
			return job_failed(j, "reading the backup", ret);
		if (!j->got)
			return cli_fail("the backup on %s became shorter while it was read", j->node);
		if (write(fd, j->data, j->got) != (ssize_t)j->got)
			return cli_fail("cannot write %s (%s)", path, strerror(errno));
		at += j->got;
	}
	if (fsync(fd))
		return cli_fail("cannot write %s (%s)", path, strerror(errno));
	return 0;
}

/* Copy a backup from the replica's disk to a file here, which appears when it is whole. */
static int backup_fetch(struct cli_job *j, const char *name, uint64_t size, const char *path)
{
	char tmp[4096];
	int fd, ret;

	if (!access(path, F_OK))
		return cli_fail("%s exists already: choose another name", path);
	snprintf(tmp, sizeof(tmp), "%s.part", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return cli_fail("cannot make %s (%s)", tmp, strerror(errno));
	ret = backup_fetch_to(j, name, size, fd, tmp);
	close(fd);
	if (!ret && rename(tmp, path))
		ret = cli_fail("cannot name %s (%s)", path, strerror(errno));
	if (ret)
		unlink(tmp);
	return ret;
}

int cli_meta_backup(struct cli *c)
{
	const char *path = c->nr_words ? c->words[0] : NULL;
	char name[FLINT_LABEL_LEN], size_text[32];
	static struct cli_group g;
	struct cli_node *n;
	struct cli_job j;
	uint64_t size;
	int ret;

	if (path && !access(path, F_OK))
		return cli_fail("%s exists already: choose another name", path);
	n = meta_load(&g, c) ? NULL : meta_choose(&g, c);
	if (!n || job_open(c, n, &j))
		return 1;
	ret = job_run(c, &j, FLINT_JOB_BACKUP, "", "backup");
	if (ret)
		goto out;
	snprintf(name, sizeof(name), "%s", (const char *)j.rep.name);
	size = le64_to_cpu(j.rep.size);
	flint_size_format(size, size_text, sizeof(size_text));
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"node\": \"%s\", \"name\": \"%s\", \"size\": %" PRIu64
		       ", \"index\": %" PRIu64 ", \"checksum\": \"%016" PRIx64 "\"}\n", n->name, name,
		       size, (uint64_t)le64_to_cpu(j.rep.index), (uint64_t)le64_to_cpu(j.rep.checksum));
	else
		printf("backup %s made on %s: %s, all changes up to %" PRIu64 "\n", name, n->name,
		       size_text, (uint64_t)le64_to_cpu(j.rep.index));
	if (path)
		ret = backup_fetch(&j, name, size, path);
	if (path && !ret && !cli_opt(c, CLI_OPT_JSON))
		printf("%s holds it\n", path);
out:
	job_close(&j);
	return ret;
}

/* "SIZE TIME_NS INDEX NAME" */
static void backups_print(struct cli *c, const char *node, char *text, json_t *list)
{
	char *line, *save = NULL, name[FLINT_LABEL_LEN], when[32], size_text[32];
	uint64_t size, ns, index;
	time_t t;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct tm tm;

		if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %63s", &size, &ns, &index,
			   name) != 4)
			continue;
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:I, s:I, s:I}", "node", node, "name", name, "size",
				  (json_int_t)size, "time_ns", (json_int_t)ns, "index",
				  (json_int_t)index));
		t = ns / 1000000000;
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", gmtime_r(&t, &tm));
		if (!cli_opt(c, CLI_OPT_JSON))
			printf("%-16s %-20s %10s %12" PRIu64 " %s\n", node, when,
			       flint_size_format(size, size_text, sizeof(size_text)), index, name);
	}
}

int cli_meta_backups(struct cli *c)
{
	static struct cli_group g;
	json_t *list = json_array();
	struct cli_job j;
	unsigned int i;

	if (meta_load(&g, c))
		return 1;
	if (!cli_opt(c, CLI_OPT_JSON))
		printf("%-16s %-20s %10s %12s %s\n", "ON", "MADE (UTC)", "SIZE", "INDEX", "NAME");
	for (i = 0; i < g.nr; i++) {
		if (g.nodes[i].err || job_open(c, &g.nodes[i], &j))
			continue;
		if (!job_ask(&j, FLINT_JOB_LIST, "", 0) && j.got && j.got < CLI_PIECE) {
			j.data[j.got] = 0;
			backups_print(c, g.nodes[i].name, (char *)j.data, list);
		}
		job_close(&j);
	}
	if (cli_opt(c, CLI_OPT_JSON)) {
		list = json_pack("{s:o}", "backups", list);
		cli_print_json(list);
	}
	json_decref(list);
	return 0;
}

/* ---- verify and checksum ---------------------------------------------------------------- */

/* Return: 0 sound, 1 findings or failure. */
static int verify_one(struct cli *c, const struct cli_node *n)
{
	struct cli_job j;
	uint64_t found;
	int ret;

	if (job_open(c, n, &j))
		return 1;
	ret = job_run(c, &j, FLINT_JOB_VERIFY, "", "verify");
	if (!ret) {
		found = le64_to_cpu(j.rep.findings);
		if (cli_opt(c, CLI_OPT_JSON))
			printf("{\"node\": \"%s\", \"index\": %" PRIu64 ", \"findings\": %" PRIu64 "}\n",
			       n->name, (uint64_t)le64_to_cpu(j.rep.index), found);
		else if (!found)
			printf("%s: sound, at change %" PRIu64 "\n", n->name,
			       (uint64_t)le64_to_cpu(j.rep.index));
		else
			printf("%s: %" PRIu64 " findings, at change %" PRIu64 ":\n", n->name, found,
			       (uint64_t)le64_to_cpu(j.rep.index));
		fflush(stdout);
		if (found)
			job_text(&j, cli_opt(c, CLI_OPT_JSON) ? stderr : stdout);
		ret = found != 0;
	}
	job_close(&j);
	return ret;
}

int cli_meta_verify(struct cli *c)
{
	static struct cli_group g;
	struct cli_node *n;
	unsigned int i;
	int ret = 0;

	if (meta_load(&g, c))
		return 1;
	if (cli_opt(c, CLI_OPT_ALL)) {
		for (i = 0; i < g.nr; i++)
			if (g.nodes[i].member >= 0)
				ret |= g.nodes[i].err ? cli_fail("%s does not answer", g.nodes[i].name)
						      : verify_one(c, &g.nodes[i]);
		return ret;
	}
	n = meta_choose(&g, c);
	return n ? verify_one(c, n) : 1;
}

struct sum {
	const char *node;
	uint64_t index, checksum;
};

/* Checksums of all that answer. Return: their number, or -1 after a message. */
static int sums_take(struct cli *c, struct cli_group *g, struct sum *sums)
{
	struct cli_job j;
	unsigned int i;
	int nr = 0;

	for (i = 0; i < g->nr; i++) {
		if (g->nodes[i].err || g->nodes[i].member < 0)
			continue;
		if (job_open(c, &g->nodes[i], &j))
			return -1;
		if (job_run(c, &j, FLINT_JOB_CHECKSUM, "", "checksum")) {
			job_close(&j);
			return -1;
		}
		sums[nr++] = (struct sum){ g->nodes[i].name, le64_to_cpu(j.rep.index),
					   le64_to_cpu(j.rep.checksum) };
		job_close(&j);
	}
	return nr;
}

int cli_meta_checksum(struct cli *c)
{
	struct sum sums[CLI_NODES_MAX];
	static struct cli_group g;
	bool equal = false, same = false;
	json_t *list = json_array();
	int nr = 0, i, tries;

	if (meta_load(&g, c))
		return 1;
	/* While changes go on, the replicas are met at different moments: try again. */
	for (tries = 0; tries < CLI_SUM_TRIES && !same; tries++) {
		nr = sums_take(c, &g, sums);
		if (nr < 0)
			return 1;
		for (same = true, equal = true, i = 1; i < nr; i++) {
			same &= sums[i].index == sums[0].index;
			equal &= sums[i].checksum == sums[0].checksum;
		}
		if (!same)
			usleep(100000);
	}
	for (i = 0; i < nr; i++) {
		char text[20];

		snprintf(text, sizeof(text), "%016" PRIx64, sums[i].checksum);
		json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "node", sums[i].node,
						      "index", (json_int_t)sums[i].index,
						      "checksum", text));
		if (!cli_opt(c, CLI_OPT_JSON))
			printf("%-16s change %-12" PRIu64 " %s\n", sums[i].node, sums[i].index, text);
	}
	if (cli_opt(c, CLI_OPT_JSON)) {
		list = json_pack("{s:b, s:b, s:o}", "comparable", same, "equal", same && equal,
				 "replicas", list);
		cli_print_json(list);
	} else if (nr > 1) {
		puts(!same ? "not comparable: changes go on; try again in a quiet moment"
		     : equal ? "all equal" : "THEY DIFFER: run 'flint meta verify --all'");
	}
	json_decref(list);
	return nr && same && equal ? 0 : 1;
}

/* ---- without a daemon ---------------------------------------------------------------------- */

int cli_meta_restore(struct cli *c)
{
	const char *state = cli_opt(c, CLI_OPT_STATE);
	char *prog, err[CLI_ERR_LEN], what[8400];
	char *argv[] = { NULL, (char *)"--restore", c->words[0], (char *)"--state", (char *)state, NULL };
	int ret;

	if (!state)
		state = argv[4] = (char *)"/var/lib/flintfs/meta";
	if (access(c->words[0], R_OK))
		return cli_fail("cannot read %s (%s)", c->words[0], strerror(errno));
	snprintf(what, sizeof(what),
		 "The backup %s becomes the state in %s, of a metadata server that does not run. Every change made after the backup is lost. All other replicas must be stopped and emptied; they are added again afterwards.",
		 c->words[0], state);
	ret = cli_confirm(c, what);
	if (ret)
		return ret == 1;
	prog = up_find_program("flint-metad");
	if (!prog)
		return cli_fail("flint-metad is neither beside this program nor in PATH: install it");
	argv[0] = prog;
	ret = up_run(argv, err, sizeof(err));
	free(prog);
	if (ret)
		return cli_fail("the backup was not restored: %s", err);
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"restored\": true}\n");
	else
		printf("restored: start flint-metad on %s now, then add the others\n", state);
	return 0;
}

int cli_meta_found(struct cli *c)
{
	char what[512];
	json_t *out;
	int ret;

	snprintf(what, sizeof(what),
		 "The metadata server %s becomes the only member of a new group with the state it holds. Replicas of the group known until now count no longer: they must be stopped, emptied and added again.",
		 c->words[0]);
	ret = cli_confirm(c, what);
	if (ret)
		return ret == 1;
	out = cli_api(c, "POST", "/v1/meta", json_pack("{s:s}", "found", c->words[0]));
	if (!out)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(out);
	else
		printf("%s founds a group now\n", c->words[0]);
	json_decref(out);
	return 0;
}

static int rescue(struct cli *c, const struct cli_kind *kind, const char *def)
{
	const char *state = cli_opt(c, CLI_OPT_STATE) ? cli_opt(c, CLI_OPT_STATE) : def;
	char what[8800], err[FLINT_RAFT_ERR_LEN];
	int ret;

	snprintf(what, sizeof(what),
		 "*** LAST RESORT ***\n"
		 "The %s whose state is in %s becomes the ONLY member of its group.\n"
		 "  - Changes that were acknowledged but never reached this copy ARE LOST FOR GOOD.\n"
		 "  - Every other member must be stopped NOW and never started again with its old state:\n"
		 "    two halves that both go on destroy the file systems.\n"
		 "  - Do this only if more than half of the members are lost for good, and on the copy\n"
		 "    that has come furthest ('flint %s status').",
		 kind->one, state, kind->verb);
	ret = cli_confirm(c, what);
	if (ret)
		return ret == 1;
	if (flint_raft_promote_survivor(state, err, sizeof(err)))
		return cli_fail("%s", err);
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"rescued\": true}\n");
	else
		printf("done: start %s with %s now; empty the state directories of all others and add them again with 'flint %s add NAME'\n",
		       kind->unit, state, kind->verb);
	return 0;
}

int cli_meta_rescue(struct cli *c)
{
	return rescue(c, &cli_kind_meta, "/var/lib/flintfs/meta");
}

int cli_mgr_rescue(struct cli *c)
{
	return rescue(c, &cli_kind_mgr, "/var/lib/flintfs/mgr");
}
