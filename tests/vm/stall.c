// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stops servers, lets many tasks each do one call, most in one directory, kills some of them, lets
 * the servers go on and looks what came of it: each call has its effect once and no error, and the
 * killed tasks were gone while the servers stood still.
 *
 * usage: stall DIRECTORY SECONDS MANY PID...
 *
 * MANY: tasks besides, half of them with renames to another directory
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define KILLED	4
#define GONE	20	/* seconds within which a killed task is */

static int do_mkdir(const char *a, const char *b) { return mkdir(a, 0755); }
static int do_mknod(const char *a, const char *b) { return mknod(a, S_IFREG | 0644, 0); }
static int do_symlink(const char *a, const char *b) { return symlink("target", a); }
static int do_link(const char *a, const char *b) { return link(a, b); }
static int do_unlink(const char *a, const char *b) { return unlink(a); }
static int do_rmdir(const char *a, const char *b) { return rmdir(a); }
static int do_rename(const char *a, const char *b) { return rename(a, b); }
static int do_chmod(const char *a, const char *b) { return chmod(a, 0600); }
static int do_truncate(const char *a, const char *b) { return truncate(a, 12345); }
static int do_excl(const char *a, const char *b) { return open(a, O_CREAT | O_EXCL | O_RDWR, 0644) < 0; }
static int do_open(const char *a, const char *b) { return open(a, O_CREAT | O_RDWR, 0644) < 0; }
static int do_utimes(const char *a, const char *b) { return utimensat(AT_FDCWD, a, NULL, 0); }

static int do_setxattr(const char *a, const char *b)
{
	return setxattr(a, "user.stall", "value", 5, XATTR_CREATE);
}

/* What is there before (d, f: made), and after ('-': nothing): of both names. */
static const struct call {
	int (*run)(const char *a, const char *b);
	const char *name;
	char before[3], after[3];
} calls[] = {
	{ do_mkdir, "mkdir", "--", "d-" },
	{ do_mkdir, "mkdir2", "--", "d-" },
	{ do_mknod, "mknod", "--", "f-" },
	{ do_symlink, "symlink", "--", "l-" },
	{ do_link, "link", "f-", "ff" },
	{ do_unlink, "unlink", "f-", "--" },
	{ do_unlink, "unlink2", "f-", "--" },
	{ do_rmdir, "rmdir", "d-", "--" },
	{ do_rename, "rename", "f-", "-f" },
	{ do_rename, "replace", "ff", "-f" },
	{ do_rename, "movedir", "d-", "-d" },
	{ do_excl, "excl", "--", "f-" },
	{ do_open, "open", "--", "f-" },
	{ do_chmod, "chmod", "f-", "f-" },
	{ do_truncate, "truncate", "f-", "f-" },
	{ do_setxattr, "setxattr", "f-", "f-" },
	{ do_utimes, "utimes", "f-", "f-" },
};

static const struct call more[2] = {
	{ do_mkdir, "many", "--", "d-" },
	{ do_rename, "away", "f-", "-f" },
};

static const struct call killed = { do_mkdir, "killed", "--", "--" };

#define CALLS	((int)(sizeof(calls) / sizeof(calls[0])))

/* One of the tasks: both names, and what it does with them. */
struct task {
	const struct call *call;
	char a[32], b[32];
	pid_t pid;
};

static int bad;

static void wrong(const char *name, const char *what, int err)
{
	printf("# %s: %s%s%s\n", name, what, err ? ": " : "", err ? strerror(err) : "");
	bad = 1;
}

static void make(const char *name, char kind)
{
	struct stat st;

	if (kind == 'd' && mkdir(name, 0755))
		wrong(name, "mkdir before", errno);
	if (kind == 'f' && mknod(name, S_IFREG | 0644, 0))
		wrong(name, "mknod before", errno);
	stat(name, &st);
}

static void look(const char *name, char kind)
{
	struct stat st;
	char is;

	if (lstat(name, &st))
		is = errno == ENOENT ? '-' : '?';
	else
		is = S_ISDIR(st.st_mode) ? 'd' : S_ISLNK(st.st_mode) ? 'l' : 'f';
	if (is != kind)
		wrong(name, "is not what it should be", 0);
}

/* Each call once among all others, and once where nobody waits for it: the server is asked. */
static const struct call *call_of(int i, int *alone)
{
	*alone = 0;
	if (i < KILLED)
		return &killed;
	i -= KILLED;
	if (i >= 2 * CALLS)
		return &more[i % 2];
	*alone = i >= CALLS;
	return &calls[i % CALLS];
}

static void start(struct task *t, int i, const int *gate)
{
	char dir[16] = "", go;
	int alone;

	t->call = call_of(i, &alone);
	if (alone) {
		sprintf(dir, "alone%d", i);
		make(dir, 'd');
		strcat(dir, "/");
	}
	sprintf(t->a, "%s%s%d.a", dir, t->call->name, i);
	sprintf(t->b, "%s%s%d.b", t->call == &more[1] ? "there/" : dir, t->call->name, i);
	make(t->a, t->call->before[0]);
	make(t->b, t->call->before[1]);
	t->pid = fork();
	if (t->pid)
		return;
	close(gate[1]);
	if (read(gate[0], &go, 1) < 0)
		_exit(255);
	_exit(t->call->run(t->a, t->b) ? errno : 0);
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0 || write(fd, "2", 1) != 1)
		wrong("drop_caches", "failed", errno);
	close(fd);
}

int main(int argc, char **argv)
{
	int seconds, nr, i, gate[2], status;
	struct task *tasks;
	time_t from;

	if (argc < 5 || chdir(argv[1]) || pipe(gate) || mkdir("there", 0755))
		return 2;
	seconds = atoi(argv[2]);
	nr = KILLED + 2 * CALLS + atoi(argv[3]);
	tasks = calloc(nr, sizeof(*tasks));
	if (!tasks)
		return 2;
	for (i = 0; i < nr; i++)
		start(&tasks[i], i, gate);
	for (i = 4; i < argc; i++)
		kill(atoi(argv[i]), SIGSTOP);
	close(gate[0]);
	close(gate[1]);
	sleep(seconds / 2);
	from = time(NULL);
	for (i = 0; i < KILLED; i++)
		kill(tasks[i].pid, SIGKILL);
	for (i = 0; i < KILLED; i++)
		if (waitpid(tasks[i].pid, &status, 0) < 0 || !WIFSIGNALED(status))
			wrong(tasks[i].a, "was not killed", 0);
	if (time(NULL) - from > GONE)
		wrong("killed", "took too long", 0);
	if (waitpid(-1, &status, WNOHANG) > 0)
		wrong("somebody", "did not wait", 0);
	sleep(seconds - seconds / 2);
	for (i = 4; i < argc; i++)
		kill(atoi(argv[i]), SIGCONT);
	from = time(NULL);
	for (i = KILLED; i < nr; i++) {
		waitpid(tasks[i].pid, &status, 0);
		if (status)
			wrong(tasks[i].a, "failed", WIFEXITED(status) ? WEXITSTATUS(status) : 0);
	}
	printf("# all were done %ld s after the servers went on\n", (long)(time(NULL) - from));
	fflush(stdout);
	drop_caches();
	for (i = KILLED; i < nr; i++) {
		look(tasks[i].a, tasks[i].call->after[0]);
		look(tasks[i].b, tasks[i].call->after[1]);
	}
	return bad;
}
