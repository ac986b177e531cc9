/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every daemon does around its work: the state directory and its lock,
 * signals, readiness, protection against memory pressure, random bytes.
 */
#ifndef FLINT_BASE_DAEMON_H
#define FLINT_BASE_DAEMON_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include "../net/net.h"

/**
 * flint_state_open() - open the state directory, making it if need be
 * @dir: path; missing parents are not made, the directory itself gets mode 0700
 * @err, @errlen: receives one sentence on failure
 *
 * Checks that files can be made in it, so that a read-only file system is
 * found now and not at the first write.
 *
 * Return: a directory descriptor or -errno.
 */
int flint_state_open(const char *dir, char *err, size_t errlen);

/**
 * flint_state_lock() - be the only daemon on this state
 * @dirfd: from flint_state_open()
 * @dir: its path, for the message
 * @err, @errlen: receives one sentence on failure, with the holder's pid
 *
 * The lock is on the file "lock" (flock) and lasts as long as the descriptor
 * is open; a crash frees it.
 *
 * Return: the descriptor or -errno (-EBUSY: a second daemon).
 */
int flint_state_lock(int dirfd, const char *dir, char *err, size_t errlen);

/**
 * flint_state_warn_fs() - complain about file systems that cannot hold state
 *
 * A 9p or tmpfs state directory works for nothing that must survive; says so
 * in one warning line and goes on.
 */
void flint_state_warn_fs(int dirfd, const char *dir);

/**
 * struct flint_signals - SIGTERM and SIGINT stop a loop, SIGHUP calls back
 */
struct flint_signals {
	struct flint_watch watch;
	struct flint_loop *loop;
	void (*stop)(void *arg);	/* NULL: flint_loop_stop(loop) */
	void (*reload)(void *arg);	/* SIGHUP; NULL: ignored */
	void *arg;
};

/* Block the signals in this thread and its children. Call first in main(). */
void flint_signals_block(void);

/**
 * flint_signals_start() - receive them through the loop
 * @s: stop, reload and arg are the caller's to fill before, the rest is set here
 * @loop: gets the signals
 *
 * SIGPIPE is ignored. Return: 0 or -errno.
 */
int flint_signals_start(struct flint_signals *s, struct flint_loop *loop);
void flint_signals_end(struct flint_signals *s);

/**
 * flint_notify() - tell systemd, if it started us
 * @state: "READY=1", "STOPPING=1", "STATUS=..."
 */
void flint_notify(const char *state);

/**
 * flint_daemon_harden() - survive memory pressure caused by our own clients
 *
 * Marks the process as one that serves I/O (PR_SET_IO_FLUSHER), so that its
 * allocations never wait for write-back that needs it, and locks its memory.
 * Best effort: what the kernel refuses is logged at level debug.
 */
void flint_daemon_harden(void);

/**
 * flint_thread_background() - the calling thread works ahead, nobody waits for it now
 *
 * It gets a nice value of 10: a tenth of a CPU that another thread wants, all of one that nobody wants, so it
 * cannot starve, and a thread that is woken beside it runs at once. Counts among the threads of the same session
 * or control group (sched(7), "The autogroup feature"). Needs no privilege. Best effort: what the kernel refuses is
 * logged at level debug.
 */
void flint_thread_background(void);

/**
 * flint_thread_prompt() - the calling thread shall run soon after it is woken
 *
 * For threads that do little at a time and are waited for: they ask for a short time slice, 1 ms. From
 * Linux 6.12 on the scheduler lets such a thread interrupt one that runs on a longer slice; before, it waits
 * for that one's slice to end (3 to 4 ms). Needs no privilege. Best effort: what the kernel refuses
 * is logged at level debug.
 */
void flint_thread_prompt(void);

/* Random bytes from the kernel; never fails (aborts if the kernel has none). */
void flint_random(void *buf, size_t len);
/* A random number that is not 0. */
uint64_t flint_random_u64(void);

/* This boot's id as 16 bytes. Return: 0 or -errno. */
int flint_boot_id(uint8_t out[16]);

/* Host name cut to FLINT_LABEL_LEN - 1 bytes. */
void flint_host_name(char out[FLINT_LABEL_LEN]);

#endif /* FLINT_BASE_DAEMON_H */
