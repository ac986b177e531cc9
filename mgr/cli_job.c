// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Jobs of the managers seen from the command line: beginning one and watching
 * it, and flint job list, show, cancel, wait. A job goes on when the command that
 * began it is interrupted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../userd/base/conf.h"
#include "cli_job.h"

#define JOB_LOOK_US	300000

static json_int_t job_int(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *job_str(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* ---- one job ------------------------------------------------------------ */

/* Ask for a job. Return: a reference to its record, or NULL after a message. */
static json_t *job_get(struct cli *c, json_int_t id)
{
	json_t *all = cli_api(c, "GET", "/v1/jobs", NULL), *j, *found = NULL;
	size_t i;

	if (!all)
		return NULL;
	json_array_foreach(json_object_get(all, "jobs"), i, j)
		if (job_int(j, "id") == id)
			found = json_incref(j);
	json_decref(all);
	if (!found)
		cli_fail("there is no job %" JSON_INTEGER_FORMAT ": 'flint job list' shows them", id);
	return found;
}

static bool job_ended(json_t *j)
{
	return !strcmp(job_str(j, "state"), "done") || !strcmp(job_str(j, "state"), "cancelled");
}

/* How far it is, as one line. */
static void job_line(json_t *j, char *out, size_t len)
{
	json_int_t done = job_int(j, "done"), way = job_int(j, "under_way");
	json_int_t left = job_int(j, "left"), left_s = job_int(j, "left_s");
	char size[32], eta[64] = "";

	if (left_s > 0)
		snprintf(eta, sizeof(eta), ", about %" JSON_INTEGER_FORMAT " s left", left_s);
	snprintf(out, len,
		 "job %" JSON_INTEGER_FORMAT ", %s: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
		 " moves made, %" JSON_INTEGER_FORMAT " under way, %s copied%s%s%s", job_int(j, "id"),
		 job_str(j, "what"), done, done + way + left, way,
		 flint_size_format(job_int(j, "bytes"), size, sizeof(size)), eta,
		 job_str(j, "waits_for")[0] ? "; waits: " : "", job_str(j, "waits_for"));
}

int cli_job_watch(struct cli *c, json_int_t id, json_t **end)
{
	char line[512], last[512] = "";
	bool quiet = cli_opt(c, CLI_OPT_JSON);
	json_t *j;
	int ret;

	for (;;) {
		j = job_get(c, id);
		if (!j)
			return 1;
		job_line(j, line, sizeof(line));
		if (!quiet && strcmp(line, last))
			fprintf(stderr, "%s\n", line);
		snprintf(last, sizeof(last), "%s", line);
		if (job_ended(j))
			break;
		json_decref(j);
		usleep(JOB_LOOK_US);
	}
	ret = strcmp(job_str(j, "state"), "done") != 0;
	if (end)
		*end = j;
	else
		json_decref(j);
	return ret;
}

/* Say what will happen. */
static void job_sentence(json_t *plan, const char *after, char *out, size_t len)
{
	json_int_t moves = job_int(plan, "moves");

	if (!moves)
		snprintf(out, len, "nothing has to be moved");
	else
		snprintf(out, len,
			 "%s: %" JSON_INTEGER_FORMAT " chain%s will change, about %s will be copied; files stay in use all the time%s%s",
			 job_str(plan, "what"), moves, moves == 1 ? "" : "s", job_str(plan, "size"),
			 after ? "; " : "", after ? after : "");
}

/* Ask for a plan. Return: a reference, or NULL after a message. */
static json_t *job_plan(struct cli *c, json_t *body)
{
	json_t *dry = json_copy(body), *plan;

	json_object_set_new(dry, "dry_run", json_true());
	plan = cli_api(c, "POST", "/v1/jobs", dry);
	return plan;
}

int cli_job_run(struct cli *c, json_t *body, const char *after, bool confirm)
{
	bool json = cli_opt(c, CLI_OPT_JSON);
	json_t *plan, *begun = NULL, *end = NULL;
	char say[512];
	uint64_t parallel;
	int ret = 1;

	if (cli_number(c, CLI_OPT_PARALLEL, "parallel", 0, 1, 32, &parallel))
		goto out;
	if (parallel)
		json_object_set_new(body, "parallel", json_integer(parallel));
	plan = job_plan(c, body);
	if (!plan)
		goto out;
	job_sentence(plan, after, say, sizeof(say));
	if (cli_opt(c, CLI_OPT_DRY_RUN) && json)
		cli_print_json(plan);
	json_decref(plan);
	if (cli_opt(c, CLI_OPT_DRY_RUN) || confirm) {
		ret = cli_confirm(c, say);
		if (ret) {
			ret = ret == 2 ? CLI_JOB_DRY : 1;
			goto out;
		}
		ret = 1;
	} else if (!json) {
		fprintf(stderr, "%s\n", say);
	}
	begun = cli_api(c, "POST", "/v1/jobs", json_incref(body));
	if (!begun)
		goto out;
	if (cli_opt(c, CLI_OPT_NO_WAIT)) {
		ret = 0;
		if (json)
			cli_print_json(begun);
		else
			printf("job %" JSON_INTEGER_FORMAT " has begun: 'flint job show %" JSON_INTEGER_FORMAT "' tells how far it is\n",
			       job_int(begun, "job"), job_int(begun, "job"));
		goto out;
	}
	ret = cli_job_watch(c, job_int(begun, "job"), &end);
	if (end && json)
		cli_print_json(end);
	else if (end && ret)
		cli_fail("the job was cancelled");
out:
	json_decref(end);
	json_decref(begun);
	json_decref(body);
	return ret;
}

/* ---- commands ----------------------------------------------------------- */

int cli_job_list(struct cli *c)
{
	json_t *all = cli_api(c, "GET", "/v1/jobs", NULL), *jobs, *j;
	char line[512];
	size_t i;

	if (!all)
		return 1;
	jobs = json_object_get(all, "jobs");
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(all);
	else if (!json_array_size(jobs))
		puts("there are no jobs");
	else
		json_array_foreach(jobs, i, j) {
			job_line(j, line, sizeof(line));
			printf("%-10s %s\n", job_str(j, "state"), line);
		}
	if (json_is_true(json_object_get(all, "frozen")) && !cli_opt(c, CLI_OPT_JSON))
		puts("the cluster is frozen: 'flint cluster thaw' lets jobs go on");
	json_decref(all);
	return 0;
}

/* The id in the first word. Return: 0, or 1 after a message. */
static int job_word(const struct cli *c, json_int_t *id)
{
	char *end;

	*id = strtoll(c->words[0], &end, 10);
	if (*end || *id < 1)
		return cli_fail("'%s' is no job: 'flint job list' shows them", c->words[0]);
	return 0;
}

int cli_job_show(struct cli *c)
{
	json_int_t id;
	json_t *j, *m;
	char line[512];
	size_t i;

	if (job_word(c, &id))
		return 1;
	j = job_get(c, id);
	if (!j)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON)) {
		cli_print_json(j);
	} else {
		job_line(j, line, sizeof(line));
		printf("%s (%s)\n", line, job_str(j, "state"));
		json_array_foreach(json_object_get(j, "moves"), i, m)
			printf("  chain %" JSON_INTEGER_FORMAT ": target %" JSON_INTEGER_FORMAT
			       " joins, target %" JSON_INTEGER_FORMAT " leaves (0: none)\n",
			       job_int(m, "chain"), job_int(m, "to"), job_int(m, "from"));
	}
	json_decref(j);
	return 0;
}

int cli_job_cancel(struct cli *c)
{
	json_int_t id;
	json_t *out;

	if (job_word(c, &id))
		return 1;
	out = cli_api(c, "POST", "/v1/jobs/cancel", json_pack("{s:I}", "id", id));
	if (!out)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(out);
	else
		printf("job %" JSON_INTEGER_FORMAT " is being cancelled: what was moved stays, moves under way are undone\n",
		       id);
	json_decref(out);
	return 0;
}

int cli_job_wait(struct cli *c)
{
	json_t *end = NULL;
	json_int_t id;
	int ret;

	if (job_word(c, &id))
		return 1;
	ret = cli_job_watch(c, id, &end);
	if (end && cli_opt(c, CLI_OPT_JSON))
		cli_print_json(end);
	json_decref(end);
	return ret;
}
