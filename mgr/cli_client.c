// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint client: what the mounts of this machine do, wait for and meet with. Statistics and events
 * come from the module's netlink family, requests in flight from debugfs, aborting goes through
 * sysfs, and traces through an instance of tracefs of our own, which ends with us.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "cli_client.h"

#define CLIENT_SYSFS	"/sys/fs/flintfs"
#define CLIENT_DEBUGFS	"/sys/kernel/debug/flintfs"
#define CLIENT_TRACEFS	"/sys/kernel/tracing"

/* ---- which mount ------------------------------------------------------ */

/* Is it the mount with this device number? */
static bool client_has_dev(const char *id, const struct statx *st)
{
	unsigned int major, minor;
	char path[512];
	bool same;
	FILE *f;

	snprintf(path, sizeof(path), CLIENT_SYSFS "/%s/dev", id);
	f = fopen(path, "re");
	if (!f)
		return false;
	same = fscanf(f, "%u:%u", &major, &minor) == 2 && major == st->stx_dev_major &&
	       minor == st->stx_dev_minor;
	fclose(f);
	return same;
}

int cli_client_id(struct cli *c, char *id, size_t len)
{
	const char *word = c->nr_words ? c->words[0] : "";
	struct dirent *d = NULL;
	unsigned int fsid, n;
	struct statx st;
	char rest;
	DIR *dir;

	snprintf(id, len, "%s", word);
	if (!*word || sscanf(word, "%u-%u%c", &fsid, &n, &rest) == 2)
		return 0;
	/* No server is asked: this works on a mount that waits for one. */
	if (statx(AT_FDCWD, word, AT_STATX_DONT_SYNC, 0, &st))
		return cli_fail("%s: %s", word, strerror(errno));
	dir = opendir(CLIENT_SYSFS);
	while (dir && (d = readdir(dir)) && !client_has_dev(d->d_name, &st))
		;
	if (d)
		snprintf(id, len, "%s", d->d_name);
	if (dir)
		closedir(dir);
	return d ? 0 : cli_fail("%s is not on a FlintFS mount", word);
}

uint64_t cli_client_quantile(json_t *buckets, unsigned int permille)
{
	uint64_t all = 0, seen = 0, want;
	size_t i, n = json_array_size(buckets);

	for (i = 0; i < n; i++)
		all += (uint64_t)json_integer_value(json_array_get(buckets, i));
	want = (all * permille + 999) / 1000;
	for (i = 0; i + 1 < n; i++) {
		seen += (uint64_t)json_integer_value(json_array_get(buckets, i));
		if (seen >= want)
			break;
	}
	return all ? (1024ull << i) / 1000 : 0;
}

static const char *client_str(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static long long client_num(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* ---- stat ------------------------------------------------------------- */

static void client_print_operations(json_t *of)
{
	json_t *list = json_object_get(of, "operations"), *o;
	size_t i;

	if (!json_array_size(list))
		return;
	printf("    %-16s %12s %8s %10s %10s %10s\n", "operation", "count", "failed", "mean us",
	       "p50 us <", "p99 us <");
	json_array_foreach(list, i, o)
		printf("    %-16s %12lld %8lld %10lld %10lld %10lld\n", client_str(o, "operation"),
		       client_num(o, "count"), client_num(o, "failed"), client_num(o, "mean_us"),
		       client_num(o, "p50_us"), client_num(o, "p99_us"));
}

static void client_print_mount(json_t *m)
{
	json_t *peers = json_object_get(m, "peers"), *p, *value;
	const char *key;
	size_t i;

	printf("%s %s: %s, metadata server %lld, map %lld, %lld in flight\n", client_str(m, "mount"),
	       client_str(m, "name"), client_str(m, "state"), client_num(m, "meta_node"),
	       client_num(m, "map_epoch"), client_num(m, "inflight"));
	json_object_foreach(json_object_get(m, "counters"), key, value)
		printf("    %-16s %lld\n", key, (long long)json_integer_value(value));
	client_print_operations(m);
	json_array_foreach(peers, i, p) {
		printf("  %s server %s: %s, %lld connections by %s, %lld in flight, %lld us, %s\n",
		       client_str(p, "role"), client_str(p, "address"), client_str(p, "state"),
		       client_num(p, "connections"), client_str(p, "proto"), client_num(p, "inflight"),
		       client_num(p, "rtt_us"), client_str(p, "reason"));
		client_print_operations(p);
	}
}

int cli_client_stat(struct cli *c)
{
	char id[256];
	json_t *mounts, *m;
	size_t i;

	if (cli_client_id(c, id, sizeof(id)))
		return 1;
	mounts = cli_client_gather(id);
	if (!mounts)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON)) {
		cli_print_json(mounts);
	} else {
		if (!json_array_size(mounts))
			puts("no FlintFS file system is mounted");
		json_array_foreach(mounts, i, m)
			client_print_mount(m);
	}
	json_decref(mounts);
	return 0;
}

/* ---- events ----------------------------------------------------------- */

struct client_events {
	bool json;
	uint64_t left;		/* UINT64_MAX: without end */
};

static bool client_tell(json_t *e, void *arg)
{
	struct client_events *ev = arg;
	char at[32], *text;
	time_t now = time(NULL);
	json_t *value;
	const char *key;

	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	if (ev->json) {
		json_object_set_new(e, "time", json_string(at));
		text = json_dumps(e, JSON_COMPACT);
		puts(text ? text : "{}");
		free(text);
	} else {
		printf("%s %s %s", at, client_str(e, "mount"), client_str(e, "event"));
		json_object_foreach(e, key, value) {
			if (!strcmp(key, "mount") || !strcmp(key, "name") || !strcmp(key, "event"))
				continue;
			if (json_is_string(value))
				printf(" %s=%s", key, json_string_value(value));
			else
				printf(" %s=%lld", key, (long long)json_integer_value(value));
		}
		putchar('\n');
	}
	fflush(stdout);
	return ev->left == UINT64_MAX || --ev->left;
}

int cli_client_events(struct cli *c)
{
	struct client_events ev = { .json = cli_opt(c, CLI_OPT_JSON) };
	char id[256];

	if (cli_client_id(c, id, sizeof(id)) ||
	    cli_number(c, CLI_OPT_COUNT, "count", UINT64_MAX, 1, UINT64_MAX - 1, &ev.left))
		return 1;
	return cli_client_listen(id, client_tell, &ev);
}

/* ---- inflight --------------------------------------------------------- */

/* "ADDRESS key value key value ...": one line of debugfs. */
static json_t *client_request(const char *mount, char *line)
{
	json_t *o = json_object();
	char *save = NULL, *key, *value, *end;
	long long n;

	json_object_set_new(o, "mount", json_string(mount));
	json_object_set_new(o, "peer", json_string(strtok_r(line, " \n", &save) ? : "?"));
	while ((key = strtok_r(NULL, " \n", &save)) && (value = strtok_r(NULL, " \n", &save))) {
		n = strtoll(value, &end, 10);
		json_object_set_new(o, key, *end || !strcmp(key, "tag") ? json_string(value) :
				    json_integer(n));
	}
	return o;
}

static int client_read_inflight(json_t *list, const char *mount)
{
	char path[512], line[1024];
	FILE *f;

	snprintf(path, sizeof(path), CLIENT_DEBUGFS "/%s/inflight", mount);
	f = fopen(path, "re");
	if (!f)
		return cli_fail("%s: %s%s", path, strerror(errno),
				errno == EACCES ? "; run it as root" :
				errno == ENOENT ? "; is debugfs mounted, and the mount there?" : "");
	while (fgets(line, sizeof(line), f))
		json_array_append_new(list, client_request(mount, line));
	fclose(f);
	return 0;
}

static int client_older(const void *a, const void *b)
{
	long long x = client_num(*(json_t *const *)a, "age_ms");
	long long y = client_num(*(json_t *const *)b, "age_ms");

	return x < y ? 1 : x > y ? -1 : 0;
}

/* The oldest first. */
static json_t *client_sorted(json_t *list)
{
	size_t i, n = json_array_size(list);
	json_t **all = calloc(n + 1, sizeof(*all)), *out = json_array();

	for (i = 0; all && i < n; i++)
		all[i] = json_array_get(list, i);
	if (all)
		qsort(all, n, sizeof(*all), client_older);
	for (i = 0; all && i < n; i++)
		json_array_append(out, all[i]);
	free(all);
	json_decref(list);
	return out;
}

/* Requests of one mount, or of all. NULL after a message. */
static json_t *client_inflight(const char *id)
{
	json_t *list = json_array();
	struct dirent *e;
	int bad = 0;
	DIR *d;

	if (*id) {
		bad = client_read_inflight(list, id);
	} else {
		d = opendir(CLIENT_SYSFS);
		while (d && !bad && (e = readdir(d)))
			if (e->d_name[0] != '.')
				bad = client_read_inflight(list, e->d_name);
		if (d)
			closedir(d);
	}
	if (!bad)
		return client_sorted(list);
	json_decref(list);
	return NULL;
}

int cli_client_inflight(struct cli *c)
{
	char id[256];
	json_t *list, *o;
	size_t i;

	if (cli_client_id(c, id, sizeof(id)))
		return 1;
	list = client_inflight(id);
	if (!list)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON)) {
		cli_print_json(list);
	} else {
		printf("%-8s %-24s %-14s %-9s %9s %9s %8s %9s %7s\n", "mount", "server",
		       "operation", "state", "age ms", "left ms", "attempt", "bytes", "pid");
		json_array_foreach(list, i, o) {
			json_t *left = json_object_get(o, "left_ms");
			char text[32] = "-";

			if (json_is_integer(left))
				snprintf(text, sizeof(text), "%lld", client_num(o, "left_ms"));
			printf("%-8s %-24s %-14s %-9s %9lld %9s %8lld %9lld %7lld\n",
			       client_str(o, "mount"), client_str(o, "peer"), client_str(o, "op"),
			       client_str(o, "state"), client_num(o, "age_ms"), text,
			       client_num(o, "attempts"), client_num(o, "bytes"),
			       client_num(o, "pid"));
		}
	}
	json_decref(list);
	return 0;
}

/* ---- abort ------------------------------------------------------------ */

/* Write @text to a file. Return: 0 or -errno. */
static int client_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

int cli_client_abort(struct cli *c)
{
	const char *peer = c->nr_words > 1 ? c->words[1] : "all";
	bool json = cli_opt(c, CLI_OPT_JSON);
	char id[256], path[512];
	int err;

	if (cli_client_id(c, id, sizeof(id)))
		return 1;
	if (!*id || !*peer)
		return cli_fail("say which mount and which server: 'flint client stat' lists them");
	snprintf(path, sizeof(path), CLIENT_SYSFS "/%s/abort_requests", id);
	if (access(path, F_OK))
		return cli_fail("there is no mount '%s': 'flint mounts' lists them", id);
	if (!cli_opt(c, CLI_OPT_DRY_RUN)) {
		err = client_write(path, peer);
		if (err == -ENOENT || err == -EINVAL)
			return cli_fail("mount %s has no server '%s': 'flint client stat %s' lists them",
					id, peer, id);
		if (err)
			return cli_fail("%s: %s%s", path, strerror(-err),
					err == -EACCES ? "; run it as root" : "");
	}
	if (json)
		printf("{\"mount\": \"%s\", \"peer\": \"%s\", \"aborted\": %s}\n", id, peer,
		       cli_opt(c, CLI_OPT_DRY_RUN) ? "false" : "true");
	else
		printf("%s of mount %s to %s %s with an I/O error; the mount goes on working\n",
		       cli_opt(c, CLI_OPT_DRY_RUN) ? "Requests" : "All requests", id,
		       strcmp(peer, "all") ? peer : "any server",
		       cli_opt(c, CLI_OPT_DRY_RUN) ? "would end" : "end");
	return 0;
}

/* ---- trace ------------------------------------------------------------ */

static volatile sig_atomic_t client_stop;

static void client_stopped(int sig)
{
	client_stop = 1;
}

/* Whatever ends us, the instance must go: it costs every request something. */
static void client_catch(void)
{
	struct sigaction sa = { .sa_handler = client_stopped }, old;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGPIPE, &sa, NULL);
	if (!sigaction(SIGHUP, NULL, &old) && old.sa_handler != SIG_IGN)	/* nohup */
		sigaction(SIGHUP, &sa, NULL);
}

static int client_trace_on(const char *dir, const char *only)
{
	char path[512], event[64];
	const char *p = only;
	int err;

	if (!*only) {
		snprintf(path, sizeof(path), "%s/events/flintfs/enable", dir);
		return client_write(path, "1");
	}
	while (*p) {
		snprintf(event, sizeof(event), "%.*s", (int)strcspn(p, ","), p);
		snprintf(path, sizeof(path), "%s/events/flintfs/%s%s/enable", dir,
			 strncmp(event, "flint_", 6) ? "flint_" : "", event);
		err = client_write(path, "1");
		if (err)
			return err;
		p += strcspn(p, ",");
		p += *p == ',';
	}
	return 0;
}

static int client_trace_copy(const char *dir, uint64_t left)
{
	char path[512], line[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/trace_pipe", dir);
	f = fopen(path, "re");
	if (!f)
		return cli_fail("%s: %s", path, strerror(errno));
	while (left-- && !client_stop && fgets(line, sizeof(line), f)) {
		fputs(line, stdout);
		fflush(stdout);
	}
	fclose(f);
	return 0;
}

int cli_client_trace(struct cli *c)
{
	const char *only = cli_opt(c, CLI_OPT_ONLY);
	char dir[256];
	uint64_t left;
	int err;

	if (cli_number(c, CLI_OPT_COUNT, "count", UINT64_MAX, 1, UINT64_MAX, &left))
		return 1;
	snprintf(dir, sizeof(dir), CLIENT_TRACEFS "/instances/flint-%d", getpid());
	client_catch();
	if (mkdir(dir, 0700))
		return cli_fail("%s: %s%s", dir, strerror(errno),
				errno == EACCES ? "; run it as root" :
				errno == ENOENT ? "; mount -t tracefs tracefs " CLIENT_TRACEFS : "");
	err = client_trace_on(dir, only ? only : "");
	if (err == -ENOENT)
		err = cli_fail("%s", only ? "there is no such event: " CLIENT_TRACEFS
			       "/events/flintfs has them all" :
			       "the module flintfs is not loaded, or the kernel has no tracing");
	else if (err)
		err = cli_fail("%s: %s", dir, strerror(-err));
	else
		err = client_trace_copy(dir, left);
	rmdir(dir);
	return err;
}
