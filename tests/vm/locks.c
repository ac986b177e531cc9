// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * File locks through two mounts of one file system: locks DIR-OF-ONE
 * DIR-OF-THE-OTHER [hold SECONDS | alarmed]. With "hold", takes a lock through the
 * first, waits, and tells whether the other still sees it: for restarts in between.
 * With "alarmed", holds it and waits for it through the other until SIGALRM comes.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "lib/check.h"

static char one[4096], other[4096];

static int opened(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644);

	CHECK(fd >= 0);
	return fd;
}

static int range(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &fl);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void flock_excludes(void)
{
	int a = opened(one), b = opened(other);

	CHECK(!flock(a, LOCK_EX));
	FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHECK(!flock(a, LOCK_SH));
	CHECK(!flock(b, LOCK_SH | LOCK_NB));
	FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	close(a);
	CHECK(!flock(b, LOCK_EX | LOCK_NB));
}

static void posix_ranges(void)
{
	int a = opened(one), b = opened(other);
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0 };
	pid_t child;
	int status;

	CHECK(!range(a, F_SETLK, F_WRLCK, 10, 10));
	child = fork();
	CHECK(child >= 0);
	if (!child) {	/* another owner, on another mount */
		FAILS(range(b, F_SETLK, F_RDLCK, 0, 0), EAGAIN);
		CHECK(!range(b, F_SETLK, F_WRLCK, 20, 5));
		CHECK(!fcntl(b, F_GETLK, &fl));
		CHECK(fl.l_type == F_WRLCK && fl.l_start == 10 && fl.l_len == 10);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && !status);
	/* Its lock went with it. */
	CHECK(!range(a, F_SETLK, F_WRLCK, 20, 5));
}

static void ofd_locks(void)
{
	int a = opened(one), b = opened(other);

	CHECK(!range(a, F_OFD_SETLK, F_WRLCK, 0, 100));
	FAILS(range(b, F_OFD_SETLK, F_WRLCK, 50, 1), EAGAIN);
	CHECK(!range(b, F_OFD_SETLK, F_WRLCK, 100, 1));
	close(a);
	CHECK(!range(b, F_OFD_SETLK, F_WRLCK, 50, 1));
}

/* A waiter is woken when the holder lets go, not only when it asks again. */
static void waiting(void)
{
	int a = opened(one), i, status;
	double begin = now();

	for (i = 0; i < 10; i++) {
		pid_t child;

		CHECK(!flock(a, LOCK_EX));
		child = fork();
		CHECK(child >= 0);
		if (!child) {
			int b = opened(other);

			CHECK(!flock(b, LOCK_EX));
			_exit(0);
		}
		usleep(150000);
		CHECK(!flock(a, LOCK_UN));
		CHECK(waitpid(child, &status, 0) == child && !status);
	}
	printf("# 10 locks handed over in %.1f s\n", now() - begin);
}

static void on_alarm(int sig)
{
}

static void interrupted(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	int a = opened(one), b = opened(other);

	CHECK(!flock(a, LOCK_EX));
	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	FAILS(flock(b, LOCK_EX), EINTR);
	CHECK(!flock(a, LOCK_UN));
	/* The wait was given up: it did not become a lock. */
	CHECK(!flock(a, LOCK_EX | LOCK_NB));
}

static void deadlock(void)
{
	int a = opened(one), status;
	pid_t child;

	CHECK(!range(a, F_SETLK, F_WRLCK, 0, 1));
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		int b = opened(other);

		CHECK(!range(b, F_SETLK, F_WRLCK, 1, 1));
		range(b, F_SETLKW, F_WRLCK, 0, 1);	/* until we let go */
		_exit(0);
	}
	sleep(1);
	FAILS(range(a, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	CHECK(!range(a, F_SETLK, F_UNLCK, 0, 0));
	CHECK(waitpid(child, &status, 0) == child && !status);
}

/* In a child, once @go is closed: from a shared lock to an exclusive one. */
static pid_t converts(const char *path, const int go[2])
{
	pid_t child = fork();
	char c;
	int fd;

	CHECK(child >= 0);
	if (child)
		return child;
	close(go[1]);
	fd = opened(path);
	CHECK(!flock(fd, LOCK_SH));
	CHECK(!read(go[0], &c, 1));
	alarm(20);
	CHECK(!flock(fd, LOCK_EX));
	usleep(200000);
	_exit(0);
}

static void conversions(void)
{
	const char *second[] = { other, one };
	int a, b, i, status, go[2];
	pid_t child[2];

	for (i = 0; i < 2; i++) {	/* two machines, one machine */
		CHECK(!pipe(go));
		child[0] = converts(one, go);
		child[1] = converts(second[i], go);
		sleep(1);
		close(go[0]);
		close(go[1]);
		CHECK(waitpid(child[0], &status, 0) == child[0] && !status);
		CHECK(waitpid(child[1], &status, 0) == child[1] && !status);
	}
	/* Who is refused has no lock at all. */
	a = opened(one);
	b = opened(other);
	CHECK(!flock(a, LOCK_SH) && !flock(b, LOCK_SH));
	FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK(!flock(a, LOCK_EX | LOCK_NB));
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHECK(!flock(a, LOCK_SH | LOCK_NB));
	CHECK(!flock(b, LOCK_SH | LOCK_NB));
}

/* Something that the server was not told of yet is always there. */
static pid_t makes_files(void)
{
	pid_t child = fork();
	char name[5000];
	int i;

	CHECK(child >= 0);
	if (child)
		return child;
	snprintf(name, sizeof(name), "%s.made.%d", other, getpid());
	CHECK(!mkdir(name, 0755));
	CHECK(!chdir(name));
	for (i = 0;; i++) {
		snprintf(name, sizeof(name), "%d", i);
		close(opened(name));
		usleep(500);
	}
}

static void waits(int b)
{
	flock(b, LOCK_EX);
}

static void locks_in_turn(int b)
{
	for (;;) {
		flock(b, LOCK_EX);
		range(b, F_SETLK, F_WRLCK, 0, 10);
		flock(b, LOCK_UN);
		range(b, F_SETLK, F_UNLCK, 0, 0);
	}
}

static bool free_soon(int a)
{
	int i;

	for (i = 0; i < 1000; i++, usleep(10000))
		if (!flock(a, LOCK_EX | LOCK_NB) && !range(a, F_SETLK, F_WRLCK, 0, 0))
			return !flock(a, LOCK_UN) && !range(a, F_SETLK, F_UNLCK, 0, 0);
	return false;
}

/* Who is killed, whenever, has no lock a little later, nor ever gets one. */
static void killed_often(void (*fn)(int fd), bool held)
{
	int a = opened(one), i, status;
	pid_t child, maker = makes_files();

	for (i = 0; i < 25; i++) {
		CHECK(!held || !flock(a, LOCK_EX));
		child = fork();
		CHECK(child >= 0);
		if (!child) {
			fn(opened(other));
			_exit(0);
		}
		usleep(i % 3 ? i * 3000 : 300000);
		kill(child, SIGKILL);
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(!flock(a, LOCK_UN));
		CHECK(free_soon(a));
	}
	kill(maker, SIGKILL);
	CHECK(waitpid(maker, &status, 0) == maker && WIFSIGNALED(status));
}

static void killed_waiting(void)
{
	killed_often(waits, true);
}

static void killed_locking(void)
{
	killed_often(locks_in_turn, false);
}

static int hold(int seconds)
{
	int a = opened(one), b = opened(other);

	if (flock(a, LOCK_EX) || range(a, F_OFD_SETLK, F_WRLCK, 5, 5))
		return perror(one), 1;
	printf("holding\n");
	fflush(stdout);
	sleep(seconds);
	errno = 0;
	if (!flock(b, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
		return printf("# the flock is lost (%s)\n", strerror(errno)), 1;
	if (!range(b, F_OFD_SETLK, F_WRLCK, 7, 1))
		return printf("# the range is lost\n"), 1;
	close(a);
	if (flock(b, LOCK_EX | LOCK_NB))
		return printf("# what was closed is still locked\n"), 1;
	return 0;
}

static int alarmed(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	int a = opened(one), b = opened(other);

	CHECK(!flock(a, LOCK_EX));
	sigaction(SIGALRM, &sa, NULL);
	printf("waiting %d\n", getpid());
	fflush(stdout);
	FAILS(flock(b, LOCK_EX), EINTR);
	FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK(!flock(a, LOCK_UN));
	CHECK(!flock(b, LOCK_EX | LOCK_NB));
	return 0;
}

static const struct check checks[] = {
	{ "flock excludes another machine", flock_excludes },
	{ "fcntl locks of ranges", posix_ranges },
	{ "open file description locks", ofd_locks },
	{ "waiting for a lock", waiting },
	{ "a wait that is interrupted", interrupted },
	{ "a circle of waits is EDEADLK", deadlock },
	{ "shared locks become exclusive ones", conversions },
	{ "waiters are killed", killed_waiting },
	{ "lockers are killed", killed_locking },
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	snprintf(one, sizeof(one), "%s/locked", argv[1]);
	snprintf(other, sizeof(other), "%s/locked", argv[2]);
	if (argc > 4 && !strcmp(argv[3], "hold"))
		return hold(atoi(argv[4]));
	if (argc > 3 && !strcmp(argv[3], "alarmed"))
		return alarmed();
	return check_main(argv[1], checks, sizeof(checks) / sizeof(checks[0]), 60);
}
