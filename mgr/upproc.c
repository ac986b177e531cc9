// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The processes of a single-machine cluster: finding programs, starting
 * daemons in the background, telling whether they live, stopping them.
 *
 * A daemon's pid stands in DIR/run/NAME.pid, written by the daemon's process
 * itself before it becomes the daemon, so that no crash can leave one running
 * unseen. A pid counts only while that process's command line names this
 * cluster's state directory: pids are used again after a reboot.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../userd/net/net.h"
#include "cli.h"

#define UP_POLL_MS	50

char *up_find_program(const char *name)
{
	char self[4096], *path = NULL, *dirs, *dir, *save = NULL;
	const char *env = getenv("PATH");
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = 0;
		*strrchr(self, '/') = 0;
		if (asprintf(&path, "%s/%s", self, name) >= 0 && !access(path, X_OK))
			return path;
		free(path);
	}
	dirs = strdup(env ? env : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin");
	for (dir = dirs ? strtok_r(dirs, ":", &save) : NULL; dir;
	     dir = strtok_r(NULL, ":", &save)) {
		if (asprintf(&path, "%s/%s", dir, name) < 0)
			break;
		if (!access(path, X_OK)) {
			free(dirs);
			return path;
		}
		free(path);
	}
	free(dirs);
	errno = ENOENT;
	return NULL;
}

/* Append one argument. Return: 0 or -errno. */
int up_proc_arg(struct up_proc *p, const char *fmt, ...)
{
	va_list ap;
	int ret;

	if (p->argc + 1 >= (int)(sizeof(p->argv) / sizeof(p->argv[0])))
		return -E2BIG;
	va_start(ap, fmt);
	ret = vasprintf(&p->argv[p->argc], fmt, ap);
	va_end(ap);
	if (ret < 0) {
		p->argv[p->argc] = NULL;
		return -ENOMEM;
	}
	p->argc++;
	return 0;
}

void up_proc_free(struct up_proc *p)
{
	while (p->argc)
		free(p->argv[--p->argc]);
}

/* Does a process's command line hold this argument? */
static bool up_pid_has_arg(int pid, const char *arg)
{
	char path[64], buf[16384];
	ssize_t n, at;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return false;	/* also a zombie's */
	buf[n] = 0;
	for (at = 0; at < n; at += strlen(buf + at) + 1)
		if (!strcmp(buf + at, arg))
			return true;
	return false;
}

void up_proc_look(struct up_proc *p, const char *dir)
{
	char path[4096], state[4096];
	int pid = 0;
	FILE *f;

	p->pid = 0;
	snprintf(path, sizeof(path), "%s/run/%s.pid", dir, p->name);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fscanf(f, "%d", &pid) != 1 || pid <= 1)
		pid = 0;
	fclose(f);
	snprintf(state, sizeof(state), "%s/%s", dir, p->name);
	if (pid && up_pid_has_arg(pid, state))
		p->pid = pid;
}

/* In the child: background, log, pid file, program. Writes errno to @fd when it cannot. */
static void up_proc_child(struct up_proc *p, const char *log, const char *pidfile, int fd)
{
	int out, null, err;
	sigset_t none;
	FILE *f;

	if (p->same_session)
		setpgid(0, 0);		/* out of the reach of its terminal's signals */
	else
		setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	f = fopen(pidfile, "we");
	if (!f || fprintf(f, "%d\n", getpid()) < 0 || fclose(f))
		goto fail;
	null = open("/dev/null", O_RDONLY);
	out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0640);
	if (null < 0 || out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		goto fail;
	close_range(3, fd - 1, 0);
	close_range(fd + 1, ~0u, 0);
	execv(p->argv[0], p->argv);
fail:
	err = errno;
	if (write(fd, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

/**
 * up_proc_start() - start a daemon in the background
 *
 * Return: 0 as soon as the program runs, or -errno with a sentence in @err.
 */
int up_proc_start(struct up_proc *p, const char *dir, char *err, size_t errlen)
{
	char log[4096], pidfile[4096];
	int fds[2], pid, child_err = 0;

	snprintf(log, sizeof(log), "%s/log/%s.log", dir, p->name);
	snprintf(pidfile, sizeof(pidfile), "%s/run/%s.pid", dir, p->name);
	if (pipe2(fds, O_CLOEXEC)) {
		snprintf(err, errlen, "cannot start %s (%s)", p->name, strerror(errno));
		return -errno;
	}
	pid = fork();
	if (!pid)
		up_proc_child(p, log, pidfile, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		snprintf(err, errlen, "cannot start %s (%s)", p->name, strerror(errno));
		close(fds[0]);
		return -EAGAIN;
	}
	if (read(fds[0], &child_err, sizeof(child_err)) == (ssize_t)sizeof(child_err)) {
		close(fds[0]);
		waitpid(pid, NULL, 0);
		unlink(pidfile);
		snprintf(err, errlen, "cannot start %s with its log in %s (%s)", p->argv[0], log,
			 strerror(child_err));
		return -child_err;
	}
	close(fds[0]);
	p->pid = pid;
	p->started_ns = flint_now_ns();
	return 0;
}

/* Last non-empty line of a file, without a time stamp and name before it. */
static void up_last_line(const char *path, char *out, size_t len)
{
	char buf[4096], *line, *p;
	FILE *f = fopen(path, "re");
	size_t n;

	snprintf(out, len, "%.200s says nothing", path);
	if (!f)
		return;
	if (fseek(f, -(long)(sizeof(buf) - 1), SEEK_END))
		rewind(f);
	n = fread(buf, 1, sizeof(buf) - 1, f);
	fclose(f);
	while (n && buf[n - 1] == '\n')
		n--;
	buf[n] = 0;
	if (!n)
		return;
	line = strrchr(buf, '\n');
	line = line ? line + 1 : buf;
	p = strstr(line, " error: ");
	snprintf(out, len, "%.500s", p ? p + 8 : line);
}

bool up_proc_ended(struct up_proc *p, const char *dir, char *err, size_t errlen)
{
	char log[4096], pidfile[4096], line[CLI_ERR_LEN / 2];
	int status;

	if (!p->started_ns || !p->pid || waitpid(p->pid, &status, WNOHANG) != p->pid)
		return false;
	p->pid = 0;
	snprintf(log, sizeof(log), "%s/log/%s.log", dir, p->name);
	snprintf(pidfile, sizeof(pidfile), "%s/run/%s.pid", dir, p->name);
	unlink(pidfile);
	up_last_line(log, line, sizeof(line));
	if (WIFSIGNALED(status))
		snprintf(err, errlen, "%s was ended by signal %d: look at %s/log/%s.log", p->name,
			 WTERMSIG(status), dir, p->name);
	else
		snprintf(err, errlen, "%s ended: %s", p->name, line);
	return true;
}

void up_proc_term(struct up_proc *p)
{
	if (p->pid)
		kill(p->pid, SIGTERM);
}

static bool up_pid_alive(struct up_proc *p, const char *dir)
{
	char state[4096];

	waitpid(p->pid, NULL, WNOHANG);	/* it may be our own child */
	snprintf(state, sizeof(state), "%s/%s", dir, p->name);
	return up_pid_has_arg(p->pid, state);
}

bool up_proc_reap(struct up_proc *p, const char *dir, unsigned int ms)
{
	char pidfile[4096];
	unsigned int waited;
	bool killed = false;

	if (!p->pid)
		return false;
	for (waited = 0; waited < ms && up_pid_alive(p, dir); waited += UP_POLL_MS)
		usleep(UP_POLL_MS * 1000);
	if (up_pid_alive(p, dir)) {
		killed = true;
		kill(p->pid, SIGKILL);
		for (waited = 0; waited < 5000 && up_pid_alive(p, dir); waited += UP_POLL_MS)
			usleep(UP_POLL_MS * 1000);
	}
	snprintf(pidfile, sizeof(pidfile), "%s/run/%s.pid", dir, p->name);
	unlink(pidfile);
	p->pid = 0;
	return killed;
}

int up_run(char *const argv[], char *err, size_t errlen)
{
	char buf[4096], *line;
	size_t have = 0;
	int fds[2], pid, status = 0;
	ssize_t n;

	snprintf(err, errlen, "cannot run %s (%s)", argv[0], strerror(errno));
	if (pipe2(fds, O_CLOEXEC))
		return 126;
	pid = fork();
	if (!pid) {
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		execv(argv[0], argv);
		_exit(127);
	}
	close(fds[1]);
	/* Keep the end of the output: the reason stands there. */
	while (pid > 0 && (n = read(fds[0], buf + have, sizeof(buf) / 2 - 1)) > 0) {
		have += n;
		if (have > sizeof(buf) / 2) {
			memmove(buf, buf + have - sizeof(buf) / 4, sizeof(buf) / 4);
			have = sizeof(buf) / 4;
		}
	}
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 126;
	while (have && buf[have - 1] == '\n')
		have--;
	buf[have] = 0;
	line = strrchr(buf, '\n');
	line = line ? line + 1 : buf;
	if (strstr(line, " error: "))
		line = strstr(line, " error: ") + 8;
	if (have)
		snprintf(err, errlen, "%s", line);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}

int up_systemctl(const char *verb, const char *unit)
{
	char *argv[] = { (char *)"/usr/bin/systemctl", (char *)verb, (char *)unit, NULL };
	char err[CLI_ERR_LEN];

	if (access(argv[0], X_OK))
		return cli_fail("this machine has no systemd: stop and start %s by hand, one machine after the other",
				unit);
	if (up_run(argv, err, sizeof(err)))
		return cli_fail("systemctl %s %s did not work: %s", verb, unit, err);
	return 0;
}
