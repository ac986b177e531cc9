// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint doctor: everything that somebody who is to help would ask for, in one
 * file. Gathered into a directory, each file freed of secrets (redact.h) before
 * it is written, then packed by tar(1).
 *
 *	cluster/	what the managers say: status, map, history, listings
 *	daemons/	of each daemon its metrics and its last log lines
 *	machine/	of this machine: versions, settings, journal or log files,
 *			kernel messages, mounts, the module's state
 *	errors		what could not be had
 *
 * What is missing is noted, and the rest goes on: a cluster that needs a doctor
 * has parts that do not answer.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../userd/base/conf.h"
#include "cli_daemon.h"
#include "redact.h"

#define DOCTOR_TAIL	(1u << 20)	/* of a log file or a command's output */

/**
 * struct doctor - one bundle
 * @dir: temporary directory; @name: the one directory in it, and in the bundle
 * @files, @redacted: how much there is in it
 */
struct doctor {
	struct cli *c;
	char dir[64];
	char name[FLINT_LABEL_LEN + 64];
	FILE *errors;
	unsigned int files, missing, redacted;
};

/* ---- writing ------------------------------------------------------------ */

static void doctor_miss(struct doctor *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void doctor_miss(struct doctor *d, const char *fmt, ...)
{
	char text[CLI_ERR_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->redacted += flint_redact(text, strlen(text));
	fprintf(d->errors, "%s\n", text);
	d->missing++;
}

/* "a/b/c" below the bundle's directory; missing directories are made. */
static FILE *doctor_open(struct doctor *d, const char *path)
{
	char full[1024], *p;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s/%s", d->dir, d->name, path);
	for (p = full + strlen(d->dir) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "we");
	if (!f)
		cli_fail("cannot write %s (%s)", full, strerror(errno));
	return f;
}

/* @text is changed: freed of secrets. */
static void doctor_put(struct doctor *d, const char *path, char *text, size_t len)
{
	FILE *f = doctor_open(d, path);
	bool bad;

	if (!f) {
		d->missing++;
		return;
	}
	d->redacted += flint_redact(text, len);
	bad = fwrite(text, 1, len, f) != len;
	bad |= fclose(f);		/* where a full /tmp shows */
	if (bad)
		doctor_miss(d, "%s is incomplete (%s)", path, strerror(errno));
	d->files++;
}

/* The end of a stream. */
static void doctor_stream(struct doctor *d, const char *path, FILE *from)
{
	size_t have = 0, n;
	char *buf = malloc(2 * DOCTOR_TAIL);

	while (buf && (n = fread(buf + have, 1, 2 * DOCTOR_TAIL - have, from)) > 0) {
		have += n;
		if (have < 2 * DOCTOR_TAIL)
			continue;
		memmove(buf, buf + DOCTOR_TAIL, DOCTOR_TAIL);
		have = DOCTOR_TAIL;
	}
	if (buf && have)
		doctor_put(d, path, buf, have);
	else
		doctor_miss(d, "%s: there is nothing", path);
	free(buf);
}

/* The end of a file; one that is not there is no news. */
static void doctor_file(struct doctor *d, const char *path, const char *file)
{
	FILE *f = fopen(file, "re");

	if (!f && errno != ENOENT)
		doctor_miss(d, "%s: %s", file, strerror(errno));
	if (!f)
		return;
	if (!fseek(f, 0, SEEK_END) && ftell(f) > (long)DOCTOR_TAIL)
		fseek(f, -(long)DOCTOR_TAIL, SEEK_END);
	else
		rewind(f);
	doctor_stream(d, path, f);
	fclose(f);
}

/* What a command prints. @cmd: constant, for the shell. */
static void doctor_command(struct doctor *d, const char *path, const char *cmd)
{
	FILE *f = popen(cmd, "re");

	if (!f) {
		doctor_miss(d, "%s: %s", cmd, strerror(errno));
		return;
	}
	doctor_stream(d, path, f);
	pclose(f);
}

/* Files of a directory whose names end in @end. */
static void doctor_files(struct doctor *d, const char *to, const char *dir, const char *end)
{
	char path[512], file[4096];
	struct dirent *e;
	DIR *dp = opendir(dir);
	size_t n;

	while (dp && (e = readdir(dp))) {
		n = strlen(e->d_name);
		if (e->d_name[0] == '.' || n < strlen(end) ||
		    strcmp(e->d_name + n - strlen(end), end))
			continue;
		snprintf(path, sizeof(path), "%s/%.200s", to, e->d_name);
		snprintf(file, sizeof(file), "%s/%s", dir, e->d_name);
		doctor_file(d, path, file);
	}
	if (dp)
		closedir(dp);
}

/* ---- the cluster -------------------------------------------------------- */

static void doctor_json(struct doctor *d, const char *path, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;

	if (text)
		doctor_put(d, path, text, strlen(text));
	free(text);
}

static void doctor_cluster(struct doctor *d)
{
	static const char * const what[] = {
		"status", "map", "nodes", "targets", "chains", "fs", "meta", "history", "replica",
	};
	char path[64], url[64], err[CLI_ERR_LEN];
	json_t *got;
	size_t i;

	for (i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		snprintf(url, sizeof(url), "/v1/%s", what[i]);
		snprintf(path, sizeof(path), "cluster/%s.json", what[i]);
		got = NULL;
		if (cli_api_call(d->c, "GET", url, NULL, &got, err, sizeof(err)))
			doctor_miss(d, "%s: %s", path, err);
		else
			doctor_json(d, path, got);
		json_decref(got);
	}
}

static void doctor_daemon(struct doctor *d, const struct cli_daemon *node)
{
	static const struct {
		u16 op;
		const char *name;
	} texts[] = { { FLINT_OP_METRICS, "metrics" }, { FLINT_OP_LOG, "log" } };
	char path[128], err[CLI_ERR_LEN], *text;
	size_t i;

	for (i = 0; i < 2; i++) {
		text = cli_daemon_text(d->c, node, texts[i].op, err, sizeof(err));
		if (text) {
			snprintf(path, sizeof(path), "daemons/%s.%s", node->name, texts[i].name);
			doctor_put(d, path, text, strlen(text));
		} else {
			doctor_miss(d, "%s: %s", texts[i].name, err);
			return;		/* it will not answer the next one either */
		}
		free(text);
	}
}

static void doctor_daemons(struct doctor *d)
{
	struct cli_daemon *all;
	unsigned int nr, i;

	if (cli_daemons(d->c, NULL, &all, &nr)) {
		doctor_miss(d, "which daemons there are is not known: none was asked");
		return;
	}
	for (i = 0; i < nr; i++) {
		if (!cli_opt(d->c, CLI_OPT_JSON) && isatty(STDERR_FILENO))
			fprintf(stderr, "\r\033[Kasking %s (%u of %u)", all[i].name, i + 1, nr);
		doctor_daemon(d, &all[i]);
	}
	if (!cli_opt(d->c, CLI_OPT_JSON) && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	free(all);
}

/* ---- this machine ------------------------------------------------------- */

static void doctor_versions(struct doctor *d)
{
	char text[1024], os[256] = "", line[256];
	struct utsname u = { 0 };
	FILE *f = fopen("/etc/os-release", "re");
	json_t *v = cli_version_json();

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "PRETTY_NAME=", 12))
			snprintf(os, sizeof(os), "%s", line + 12);
	if (f)
		fclose(f);
	uname(&u);
	snprintf(text, sizeof(text), "flint %s\nprotocol %s\nmodule %s\nkernel %s %s %s\nsystem %s\n",
		 json_string_value(json_object_get(v, "version")),
		 json_string_value(json_object_get(v, "protocol")),
		 json_string_value(json_object_get(v, "module")), u.release, u.version, u.machine,
		 os);
	json_decref(v);
	doctor_put(d, "machine/versions", text, strlen(text));
}

static void doctor_machine(struct doctor *d)
{
	const char *dir = cli_opt(d->c, CLI_OPT_DIR);
	json_t *mounts = cli_mounts_json();
	char path[4096];

	doctor_versions(d);
	doctor_json(d, "machine/mounts.json", mounts);
	json_decref(mounts);
	doctor_files(d, "machine/settings", "/etc/flintfs", ".conf");
	doctor_file(d, "machine/meminfo", "/proc/meminfo");
	doctor_command(d, "machine/disks", "df -h 2>&1; lsblk 2>&1");
	doctor_command(d, "machine/rdma", "ls -l /sys/class/infiniband 2>&1");
	doctor_command(d, "machine/processes",
		       "ps -eo pid,ppid,stat,etime,time,rss,comm 2>&1 | grep -E 'PID|flint'");
	doctor_command(d, "machine/kernel.log",
		       "dmesg 2>&1 | grep -iE 'flint|rdma|infiniband|I/O error|blocked for|hung|oom|nvme|not permitted' | tail -n 2000; echo");
	if (!access("/run/systemd/system", F_OK))
		doctor_command(d, "machine/journal",
			       "journalctl -n 5000 --no-pager -u 'flint-*' 2>&1");
	if (dir) {
		snprintf(path, sizeof(path), "%s/log", dir);
		doctor_files(d, "machine/log", path, ".log");
		doctor_files(d, "machine/settings", dir, ".conf");
	}
}

/* ---- the bundle --------------------------------------------------------- */

static int doctor_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	remove(path);
	return 0;
}

static int doctor_begin(struct doctor *d)
{
	char host[FLINT_LABEL_LEN] = "host", when[32], path[256];
	time_t now = time(NULL);
	struct tm tm;

	gethostname(host, sizeof(host) - 1);
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%d-%H%M%S", &tm);
	snprintf(d->name, sizeof(d->name), "flint-doctor-%s-%s", host, when);
	snprintf(d->dir, sizeof(d->dir), "/tmp/flint-doctor.XXXXXX");
	if (!mkdtemp(d->dir)) {
		d->dir[0] = 0;
		return cli_fail("cannot make a directory in /tmp (%s)", strerror(errno));
	}
	snprintf(path, sizeof(path), "%s/%s", d->dir, d->name);
	mkdir(path, 0700);
	d->errors = doctor_open(d, "errors");
	if (!d->errors)
		nftw(d->dir, doctor_remove, 16, FTW_PHYS | FTW_DEPTH);
	return d->errors ? 0 : 1;
}

/* @given: by the user. A name that can be guessed is not taken over from whoever made it. */
static int doctor_pack(struct doctor *d, char *out, bool given)
{
	char err[CLI_ERR_LEN], *tar = up_find_program("tar");
	char *argv[] = { tar, (char *)"-czf", out, (char *)"-C", d->dir, d->name, NULL };
	int fd, ret;

	if (!tar)
		return cli_fail("tar is not installed");
	/* Whatever the umask: the bundle is its owner's until he gives it away. */
	fd = open(out, O_WRONLY | O_CREAT | (given ? O_TRUNC : O_EXCL) | O_CLOEXEC, 0600);
	if (fd < 0 || fchmod(fd, 0600)) {
		ret = cli_fail("cannot write %s (%s): name another file with --out", out,
			       strerror(errno));
		if (fd >= 0)
			close(fd);
		free(tar);
		return ret;
	}
	close(fd);
	ret = up_run(argv, err, sizeof(err));
	free(tar);
	return ret ? cli_fail("%s cannot be packed: %s", out, err) : 0;
}

static void doctor_tell(const struct doctor *d, const char *out)
{
	if (cli_opt(d->c, CLI_OPT_JSON)) {
		json_t *o = json_pack("{s:s, s:i, s:i, s:i}", "file", out, "files", d->files,
				      "missing", d->missing, "redacted", d->redacted);

		cli_print_json(o);
		json_decref(o);
		return;
	}
	printf("%s: %u files", out, d->files);
	if (d->missing)
		printf(", %u things could not be had (file 'errors' in it)", d->missing);
	printf("; keys, tokens and passwords were taken out (%u places)\n", d->redacted);
}

int cli_doctor(struct cli *c)
{
	const char *given = cli_opt(c, CLI_OPT_OUT);
	struct doctor d = { .c = c };
	char out[4096];
	int ret;

	if (doctor_begin(&d))
		return 1;
	snprintf(out, sizeof(out), "%s", given ? given : d.name);
	if (!given)
		snprintf(out + strlen(out), sizeof(out) - strlen(out), ".tar.gz");
	if (cli_api_setup(c)) {
		doctor_miss(&d, "the managers were not asked: their address or the key is missing");
	} else {
		doctor_cluster(&d);
		doctor_daemons(&d);
	}
	doctor_machine(&d);
	if (fclose(d.errors))
		cli_fail("the list of what is missing is incomplete (%s): free space in /tmp",
			 strerror(errno));
	ret = doctor_pack(&d, out, given);
	nftw(d.dir, doctor_remove, 16, FTW_PHYS | FTW_DEPTH);
	if (!ret)
		doctor_tell(&d, out);
	return ret;
}
