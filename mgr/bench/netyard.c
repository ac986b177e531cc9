// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Yardsticks of the data path, measured in the same run:
 *  - the network: two processes over one TCP connection, requests of the size
 *    of ours in flight, answers of the size of ours (or the other way round for
 *    writes), and nothing else done with the bytes;
 *  - the disk: fio with direct I/O on a file beside the targets' files.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cli.h"
#include "bench.h"

#define SMALL	160	/* header and body of a READ or of a WRITE's answer */

/* ---- the network -------------------------------------------------------- */

static bool read_all(int fd, uint8_t *buf, size_t len)
{
	ssize_t n;

	for (; len; buf += n, len -= (size_t)n) {
		n = read(fd, buf, len);
		if (n <= 0)
			return false;
	}
	return true;
}

static bool write_all(int fd, const uint8_t *buf, size_t len)
{
	ssize_t n;

	for (; len; buf += n, len -= (size_t)n) {
		n = write(fd, buf, len);
		if (n <= 0)
			return false;
	}
	return true;
}

/* The other side: a request of @in bytes, an answer of @out, until the end. */
static void net_serve(int fd, size_t in, size_t out)
{
	uint8_t *buf = malloc(in > out ? in : out);

	while (buf && read_all(fd, buf, in) && write_all(fd, buf, out))
		;
	_exit(0);
}

/* Two connected sockets of the loopback device. */
static int net_pair(int fd[2])
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(sin);
	int ls = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fd[1] = -1;
	if (ls < 0 || fd[0] < 0 || bind(ls, (struct sockaddr *)&sin, sizeof(sin)) ||
	    listen(ls, 1) || getsockname(ls, (struct sockaddr *)&sin, &len) ||
	    connect(fd[0], (struct sockaddr *)&sin, sizeof(sin)))
		goto out;
	fd[1] = accept4(ls, NULL, NULL, SOCK_CLOEXEC);
out:
	if (ls >= 0)
		close(ls);
	if (fd[1] >= 0)
		return 0;
	if (fd[0] >= 0)
		close(fd[0]);
	return errno ? -errno : -EIO;
}

static bool net_ask(int fd, const struct bench_djob *job, struct bench_result *res)
{
	size_t in = job->write ? SMALL : job->block + SMALL;
	size_t out = job->write ? job->block + SMALL : SMALL;
	uint64_t start = flint_now_ns(), until = start + job->ms * 1000000ull, now = start;
	uint8_t *buf = calloc(1, job->block + SMALL);
	uint64_t *sent = calloc(job->depth, sizeof(*sent));
	unsigned int at = 0, open;
	bool ok = buf && sent;

	for (open = 0; ok && open < job->depth; open++) {
		sent[open] = flint_now_ns();
		ok = write_all(fd, buf, out);
	}
	while (ok && open) {
		ok = read_all(fd, buf, in);
		now = flint_now_ns();
		res->ops++;
		bench_hist_add(&res->lat, now - sent[at]);
		if (now >= until)
			open--;
		else
			ok = ok && write_all(fd, buf, out);
		sent[at] = now;
		at = (at + 1) % job->depth;
	}
	res->seconds = (double)(now - start) / 1e9;
	free(sent);
	free(buf);
	return ok;
}

static double usage_s(const struct rusage *ru)
{
	return (double)(ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) +
	       (double)(ru->ru_utime.tv_usec + ru->ru_stime.tv_usec) / 1e6;
}

int bench_yard_net(const struct bench_djob *job, struct bench_result *res, char *err,
		   size_t errlen)
{
	struct rusage before, after, child = { 0 };
	int fd[2], pid, ret = net_pair(fd);
	bool ok;

	memset(res, 0, sizeof(*res));
	if (ret) {
		snprintf(err, errlen, "TCP on this machine: %s", strerror(-ret));
		return ret;
	}
	pid = fork();
	if (!pid) {
		close(fd[0]);
		net_serve(fd[1], job->write ? job->block + SMALL : SMALL,
			  job->write ? SMALL : job->block + SMALL);
	}
	close(fd[1]);
	getrusage(RUSAGE_SELF, &before);
	ok = pid > 0 && net_ask(fd[0], job, res);
	getrusage(RUSAGE_SELF, &after);
	close(fd[0]);
	if (pid > 0)
		wait4(pid, NULL, 0, &child);
	res->load_cpu_s = usage_s(&after) - usage_s(&before);
	res->server_cpu_s = usage_s(&child);
	if (ok)
		return 0;
	snprintf(err, errlen, "TCP on this machine: %s", strerror(errno));
	return -EIO;
}

/* ---- the disk ----------------------------------------------------------- */

/* fio's own figure. Return: operations a second, or 0. */
static double fio_parse(FILE *f, bool write, struct bench_result *res)
{
	json_t *doc = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL), *job, *part;
	double rate;

	job = json_array_get(json_object_get(doc, "jobs"), 0);
	part = json_object_get(job, write ? "write" : "read");
	rate = json_number_value(json_object_get(part, "iops"));
	res->ops = (uint64_t)json_integer_value(json_object_get(part, "total_ios"));
	res->seconds = rate > 0 ? (double)res->ops / rate : 0;
	json_decref(doc);
	return rate;
}

int bench_yard_disk(const char *dir, const struct bench_djob *job, struct bench_result *res,
		    char *err, size_t errlen)
{
	char cmd[PATH_MAX + 512], *fio = up_find_program("fio");
	FILE *f;

	memset(res, 0, sizeof(*res));
	if (!fio) {
		snprintf(err, errlen, "fio, a yardstick, is not installed: apt-get install fio");
		return -ENOENT;
	}
	if (strchr(dir, '\'')) {
		snprintf(err, errlen, "%s: a quote in the name", dir);
		free(fio);
		return -EINVAL;
	}
	if (job->ms)
		snprintf(cmd, sizeof(cmd),
			 "'%s' --name=yard --filename='%s/yard.dat' --rw=%s%s --bs=%zu --iodepth=%u --ioengine=io_uring --direct=1 --size=%llu --runtime=%ums --time_based --randrepeat=0 --output-format=json --eta=never 2>/dev/null",
			 fio, dir, job->random ? "rand" : "", job->write ? "write" : "read",
			 job->block, job->depth, (unsigned long long)job->size, job->ms);
	else
		snprintf(cmd, sizeof(cmd),
			 "'%s' --name=yard --filename='%s/yard.dat' --rw=write --bs=%zu --iodepth=%u --ioengine=io_uring --direct=1 --size=%llu --end_fsync=1 --output-format=json --eta=never 2>/dev/null",
			 fio, dir, job->block, job->depth, (unsigned long long)job->size);
	free(fio);
	f = popen(cmd, "re");
	if (!f || fio_parse(f, job->write, res) <= 0) {
		if (f)
			pclose(f);
		snprintf(err, errlen, "fio in %s gave no figure", dir);
		return -EIO;
	}
	pclose(f);
	return 0;
}
