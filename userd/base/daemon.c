// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * State directory, lock, signals, readiness, hardening; see daemon.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "daemon.h"
#include "key.h"
#include "log.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER	57
#endif

#define BACKGROUND_NICE	10
#define PROMPT_SLICE_NS	1000000

#define MAGIC_TMPFS	0x01021994
#define MAGIC_V9FS	0x01021997

static const char *open_remedy(int rc)
{
	switch (-rc) {
	case EACCES:
	case EPERM:
		return "; give it to the user that runs the daemon, or choose another with --state";
	case EROFS:
		return "; choose a directory on a writable file system with --state";
	case ENOENT:
		return "; make its parent directory first";
	case ENOTDIR:
		return "; choose a directory with --state";
	case ENOSPC:
		return "; free some space";
	default:
		return "";
	}
}

int flint_state_open(const char *dir, char *err, size_t errlen)
{
	int fd, probe, rc;

	if (mkdir(dir, 0700) && errno != EEXIST && errno != EROFS) {
		rc = -errno;
		snprintf(err, errlen, "cannot make the state directory %s: %s%s", dir,
			 strerror(-rc), open_remedy(rc));
		return rc;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		snprintf(err, errlen, "cannot open the state directory %s: %s%s", dir,
			 strerror(-rc), open_remedy(rc));
		return rc;
	}
	probe = openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (probe < 0) {
		rc = -errno;
		snprintf(err, errlen, "cannot write in the state directory %s: %s%s", dir,
			 strerror(-rc), open_remedy(rc));
		close(fd);
		return rc;
	}
	close(probe);
	return fd;
}

/* Who holds the lock, as the holder wrote it. */
static long lock_holder(int fd)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	return n > 0 ? strtol(text, NULL, 10) : 0;
}

int flint_state_lock(int dirfd, const char *dir, char *err, size_t errlen)
{
	char text[32];
	int fd, rc, n;

	fd = openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = -errno;
		snprintf(err, errlen, "cannot open the lock file %s/lock: %s%s", dir,
			 strerror(-rc), open_remedy(rc));
		return rc;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (rc == -EBUSY)
			snprintf(err, errlen,
				 "the state directory %s is used by another daemon (pid %ld); stop it first or choose another with --state",
				 dir, lock_holder(fd));
		else
			snprintf(err, errlen, "cannot lock %s/lock: %s", dir, strerror(-rc));
		close(fd);
		return rc;
	}
	n = snprintf(text, sizeof(text), "%d\n", getpid());
	if (ftruncate(fd, 0) || pwrite(fd, text, n, 0) != n) {
		rc = errno ? -errno : -ENOSPC;
		snprintf(err, errlen, "cannot write the lock file %s/lock: %s%s", dir,
			 strerror(-rc), open_remedy(rc));
		close(fd);
		return rc;
	}
	return fd;
}

void flint_state_warn_fs(int dirfd, const char *dir)
{
	struct statfs st;

	if (fstatfs(dirfd, &st))
		return;
	if (st.f_type == MAGIC_TMPFS)
		flint_warn("state directory %s is on tmpfs: it does not survive a reboot; use a disk for anything but tests",
			   dir);
	else if (st.f_type == MAGIC_V9FS)
		flint_warn("state directory %s is on 9p, which cannot hold a database safely; use a local disk",
			   dir);
}

/* ---- signals ------------------------------------------------------------ */

static void signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void flint_signals_block(void)
{
	sigset_t set;

	signal_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void on_signal(struct flint_watch *w, uint32_t events)
{
	struct flint_signals *s = w->arg;
	struct signalfd_siginfo si;

	while (read(w->fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP) {
			if (s->reload)
				s->reload(s->arg);
			continue;
		}
		flint_info("%s received, stopping", si.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
		if (s->stop)
			s->stop(s->arg);
		else
			flint_loop_stop(s->loop);
	}
}

int flint_signals_start(struct flint_signals *s, struct flint_loop *loop)
{
	sigset_t set;
	int fd, rc;

	flint_signals_block();
	signal_set(&set);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	s->loop = loop;
	s->watch = (struct flint_watch){ .fd = fd, .fn = on_signal, .arg = s };
	rc = flint_watch_add(loop, &s->watch, EPOLLIN);
	if (rc)
		close(fd);
	return rc;
}

void flint_signals_end(struct flint_signals *s)
{
	flint_watch_del(s->loop, &s->watch);
	close(s->watch.fd);
}

/* ---- systemd ------------------------------------------------------------ */

void flint_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	ssize_t n;
	int fd;

	if (!len || len >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')	/* abstract name */
		sa.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	n = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
		   offsetof(struct sockaddr_un, sun_path) + len);
	if (n < 0)
		flint_debug("cannot notify %s: %s", path, strerror(errno));
	close(fd);
}

/* ---- hardening ---------------------------------------------------------- */

void flint_daemon_harden(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		flint_debug("PR_SET_IO_FLUSHER is not allowed here: %s", strerror(errno));
#ifndef __SANITIZE_ADDRESS__
	/* What is mapped now: code, libraries, arenas. Later mappings lock themselves. */
	if (mlockall(MCL_CURRENT | MCL_ONFAULT))
		flint_debug("memory is not locked: %s", strerror(errno));
#endif
}

/* ---- random, ids -------------------------------------------------------- */

void flint_random(void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			flint_err("the kernel gives no random bytes: %s", strerror(errno));
			abort();
		}
		p += n;
		len -= n;
	}
}

uint64_t flint_random_u64(void)
{
	uint64_t v;

	do {
		flint_random(&v, sizeof(v));
	} while (!v);
	return v;
}

int flint_boot_id(uint8_t out[16])
{
	char text[FLINT_UUID_STR] = "";
	int fd, rc;

	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = read(fd, text, sizeof(text) - 1) < 0 ? -errno : flint_uuid_parse(text, out);
	close(fd);
	return rc;
}

void flint_host_name(char out[FLINT_LABEL_LEN])
{
	memset(out, 0, FLINT_LABEL_LEN);
	if (gethostname(out, FLINT_LABEL_LEN - 1))
		snprintf(out, FLINT_LABEL_LEN, "unknown");
	out[FLINT_LABEL_LEN - 1] = 0;
}

/* struct sched_attr of the kernel's first version; <linux/sched/types.h> and <sched.h> do not agree. */
struct sched_attr_v0 {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

void flint_thread_background(void)
{
	/* On Linux it is the thread's, not the process's. */
	if (setpriority(PRIO_PROCESS, 0, BACKGROUND_NICE))
		flint_debug("this thread keeps its nice value (%s)", strerror(errno));
}

void flint_thread_prompt(void)
{
	struct sched_attr_v0 a;

	/* With what it reads nothing else changes: the policy and the nice value are set, too. */
	if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0))
		return;
	a.runtime = PROMPT_SLICE_NS;
	if (syscall(SYS_sched_setattr, 0, &a, 0))
		flint_debug("this thread keeps the kernel's time slice (%s)", strerror(errno));
}
