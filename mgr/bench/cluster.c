// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Clusters to measure: made and stopped by 'flint up' and 'flint down', as
 * people do, and looked at through the manager's API and /proc.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../userd/base/addr.h"
#include "../../userd/base/daemon.h"
#include "../cli.h"
#include "bench.h"

#define PORTS		100	/* that a cluster may use from its first port on */
#define TARGET_SIZE	(64u << 20)

/* ---- starting --------------------------------------------------------- */

static bool port_free(unsigned int port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ok = !bind(fd, (struct sockaddr *)&sin, sizeof(sin));
	close(fd);
	return ok;
}

/* The first of PORTS free ports below those that the kernel hands out, or 0. */
static unsigned int free_ports(void)
{
	unsigned int tries, base, i;

	for (tries = 0; tries < 50; tries++) {
		base = 10000 + (unsigned int)(flint_random_u64() % 200) * PORTS;
		for (i = 0; i < PORTS && port_free(base + i); i++)
			;
		if (i == PORTS)
			return base;
	}
	return 0;
}

static void take_mgr(struct bench_cluster *c, json_t *node)
{
	const char *text = json_string_value(json_array_get(json_object_get(node, "addresses"), 0));

	if (text && !strncmp(text, "tcp ", 4))
		snprintf(c->mgr, sizeof(c->mgr), "%s", text + 4);
}

/* One daemon of the manager's list. */
static int take_meta(struct bench_cluster *c, json_t *node, char *err, size_t errlen)
{
	const char *name = json_string_value(json_object_get(node, "name"));
	json_t *addrs = json_object_get(node, "addresses"), *a;
	struct up_proc p = { .argc = 0 };
	size_t i;

	snprintf(p.name, sizeof(p.name), "%s", name ? name : "");
	up_proc_look(&p, c->dir);
	json_array_foreach(addrs, i, a) {
		const char *text = json_string_value(a);

		if (!text || strncmp(text, "tcp ", 4) || c->nr_metas == BENCH_METAS_MAX)
			continue;
		if (flint_addr_parse(text + 4, 0, &c->metas[c->nr_metas], err, errlen))
			return -EINVAL;
		snprintf(c->names[c->nr_metas], sizeof(c->names[0]), "%s", p.name);
		c->pids[c->nr_metas++] = p.pid;
		return 0;
	}
	snprintf(err, errlen, "the metadata server '%s' has no TCP address", p.name);
	return -EINVAL;
}

static json_t *ask(const struct bench_cluster *c, const char *path, uint8_t *key, char *err,
		   size_t errlen)
{
	struct cli cli = { .opt = { [CLI_OPT_DIR - CLI_OPT_JSON] = c->dir } };
	json_t *got = NULL;

	if (cli_api_setup(&cli)) {
		snprintf(err, errlen, "%s cannot be used", c->dir);
		return NULL;
	}
	if (key)
		memcpy(key, cli.key, sizeof(c->key));
	if (cli_api_call(&cli, "GET", path, NULL, &got, err, errlen))
		got = NULL;
	cli_api_end(&cli);
	return got;
}

json_t *bench_cluster_ask(const struct bench_cluster *c, const char *path, char *err,
			  size_t errlen)
{
	return ask(c, path, NULL, err, errlen);
}

static void take_chunk(struct bench_cluster *c, json_t *node)
{
	const char *name = json_string_value(json_object_get(node, "name"));
	struct up_proc p = { .argc = 0 };

	snprintf(p.name, sizeof(p.name), "%s", name ? name : "");
	up_proc_look(&p, c->dir);
	if (c->nr_chunks < BENCH_CHUNKS_MAX)
		c->chunk_pids[c->nr_chunks++] = p.pid;
}

static int find_daemons(struct bench_cluster *c, char *err, size_t errlen)
{
	json_t *got = ask(c, "/v1/nodes", c->key, err, errlen), *node;
	size_t i;
	int ret = 0;

	if (!got)
		return -EIO;
	c->nr_metas = 0;
	c->nr_chunks = 0;
	json_array_foreach(json_object_get(got, "nodes"), i, node) {
		const char *role = json_string_value(json_object_get(node, "role"));

		if (!ret && role && !strcmp(role, "meta"))
			ret = take_meta(c, node, err, errlen);
		if (role && !strcmp(role, "mgr"))
			take_mgr(c, node);
		if (role && !strcmp(role, "chunk"))
			take_chunk(c, node);
	}
	json_decref(got);
	if (!ret && !c->nr_metas) {
		snprintf(err, errlen, "the cluster in %s has no metadata server", c->dir);
		ret = -ENOENT;
	}
	return ret;
}

/* What a cluster shall be like. */
struct shape {
	unsigned int metas, servers, copies;
	uint64_t size;
};

static int cluster_start(struct bench_cluster *c, const char *dir, const struct shape *s,
			 char *err, size_t errlen)
{
	char base[16], metas[16], servers[16], copies[16], size[24];
	char *argv[] = { (char *)"/proc/self/exe", (char *)"up", c->dir, (char *)"--no-rdma",
			 (char *)"--listen", (char *)"127.0.0.1", (char *)"--chunk-servers",
			 servers, (char *)"--replicas", copies, (char *)"--size", size,
			 (char *)"--base-port", base, (char *)"--json", (char *)"--meta",
			 metas, (char *)"--same-session", NULL };
	unsigned int port = free_ports();
	char path[PATH_MAX];
	int ret;

	memset(c, 0, sizeof(*c));
	snprintf(c->dir, sizeof(c->dir), "%s", dir);
	snprintf(base, sizeof(base), "%u", port);
	snprintf(metas, sizeof(metas), "%u", s->metas);
	snprintf(servers, sizeof(servers), "%u", s->servers);
	snprintf(copies, sizeof(copies), "%u", s->copies);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)s->size);
	if (!port) {
		snprintf(err, errlen, "no %d free ports in a row", PORTS);
		return -EADDRINUSE;
	}
	bench_remove(dir);
	if (up_run(argv, err, errlen))
		return -EIO;
	/* As the daemons' command lines have it. */
	if (realpath(dir, path))
		snprintf(c->dir, sizeof(c->dir), "%s", path);
	ret = find_daemons(c, err, errlen);
	if (!ret && (c->nr_metas < s->metas || c->nr_chunks < s->servers)) {
		snprintf(err, errlen, "%u metadata and %u chunk servers instead of %u and %u",
			 c->nr_metas, c->nr_chunks, s->metas, s->servers);
		ret = -EIO;
	}
	if (ret)
		bench_cluster_stop(c, true);
	return ret;
}

int bench_cluster_start(struct bench_cluster *c, const char *dir, unsigned int replicas,
			char *err, size_t errlen)
{
	const struct shape s = { .metas = replicas, .servers = 1, .copies = 1, .size = TARGET_SIZE };

	return cluster_start(c, dir, &s, err, errlen);
}

int bench_cluster_start_data(struct bench_cluster *c, const char *dir, unsigned int servers,
			     unsigned int copies, uint64_t size, char *err, size_t errlen)
{
	const struct shape s = { .metas = 1, .servers = servers, .copies = copies, .size = size };

	return cluster_start(c, dir, &s, err, errlen);
}

int bench_cluster_again(struct bench_cluster *c, char *err, size_t errlen)
{
	char *argv[] = { (char *)"/proc/self/exe", (char *)"up", c->dir, NULL };

	/* It complains of targets that are not up to date yet: the caller waits for them. */
	up_run(argv, err, errlen);
	return find_daemons(c, err, errlen);
}

void bench_cluster_stop(struct bench_cluster *c, bool keep)
{
	char *argv[] = { (char *)"/proc/self/exe", (char *)"down", c->dir, NULL };
	char err[BENCH_ERR_LEN];

	if (!c->dir[0])
		return;
	if (up_run(argv, err, sizeof(err)))
		fprintf(stderr, "flint: the cluster in %s was not stopped: %s\n", c->dir, err);
	else if (!keep)
		bench_remove(c->dir);
	c->dir[0] = 0;
}

/* ---- looking ---------------------------------------------------------- */

static double pid_cpu(int pid)
{
	unsigned long user = 0, sys = 0;
	char path[64], line[1024], *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	p = fgets(line, sizeof(line), f);
	fclose(f);
	/* The name in parentheses may hold anything. */
	p = p ? strrchr(line, ')') : NULL;
	if (!p || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			 &user, &sys) != 2)
		return 0;
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

double bench_cluster_cpu(const struct bench_cluster *c)
{
	double s = 0;
	unsigned int i;

	for (i = 0; i < c->nr_metas; i++)
		s += pid_cpu(c->pids[i]);
	return s;
}

/* Nanoseconds that all threads of a process have run. */
static uint64_t pid_run_ns(int pid)
{
	unsigned long long ns, sum = 0;
	struct dirent *e;
	char path[320];
	DIR *d;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%llu", &ns) == 1)
			sum += ns;
		fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}

double bench_cluster_chunk_cpu(const struct bench_cluster *c)
{
	uint64_t ns = 0;
	unsigned int i;

	for (i = 0; i < c->nr_chunks; i++)
		ns += pid_run_ns(c->chunk_pids[i]);
	return (double)ns / 1e9;
}

void bench_cluster_memory(const struct bench_cluster *c, uint64_t *now, uint64_t *peak)
{
	char path[64], line[256];
	unsigned long long kb;
	unsigned int i;
	FILE *f;

	*now = 0;
	*peak = 0;
	for (i = 0; i < c->nr_metas; i++) {
		snprintf(path, sizeof(path), "/proc/%d/status", c->pids[i]);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "VmRSS: %llu", &kb) == 1 && kb << 10 > *now)
				*now = kb << 10;
			if (sscanf(line, "VmHWM: %llu", &kb) == 1 && kb << 10 > *peak)
				*peak = kb << 10;
		}
		if (f)
			fclose(f);
	}
}

/* nftw() has no argument for its user. */
static __thread uint64_t walk_all, walk_db;

static int walk_sum(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const char *name = path + at->base;

	if (type != FTW_F)
		return 0;
	walk_all += (uint64_t)st->st_blocks * 512;
	if (strncmp(name, "raft", 4))
		walk_db += (uint64_t)st->st_blocks * 512;
	return 0;
}

void bench_cluster_disk(const struct bench_cluster *c, uint64_t *all, uint64_t *db)
{
	char path[PATH_MAX + 40];

	walk_all = 0;
	walk_db = 0;
	snprintf(path, sizeof(path), "%s/%s", c->dir, c->names[0]);
	nftw(path, walk_sum, 16, FTW_PHYS);
	*all = walk_all;
	*db = walk_db;
}

static int walk_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	remove(path);
	return 0;
}

void bench_remove(const char *dir)
{
	nftw(dir, walk_remove, 16, FTW_PHYS | FTW_DEPTH);
}
