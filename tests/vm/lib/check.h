/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of checks that prints TAP. Each check runs in an empty directory of
 * its own, as a child process, so that a crash or a stuck call fails that
 * check alone. Used by the programs of tests/vm; also runs on any local file
 * system, which is how the checks themselves are checked.
 */
#ifndef FLINT_TEST_CHECK_H
#define FLINT_TEST_CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
	const char *name;
	void (*fn)(void);
};

#define CHECK(cond)                                                              \
	do {                                                                     \
		if (!(cond)) {                                                   \
			printf("# %s:%d: %s (errno %d: %s)\n", __FILE__,         \
			       __LINE__, #cond, errno, strerror(errno));         \
			fflush(stdout);                                          \
			_exit(1);                                                \
		}                                                                \
	} while (0)

/* The call must fail with this errno. */
#define FAILS(call, want)                                                        \
	do {                                                                     \
		errno = 0;                                                       \
		if ((long)(call) >= 0 || errno != (want)) {                      \
			printf("# %s:%d: %s: errno %d (%s), wanted %s\n",        \
			       __FILE__, __LINE__, #call, errno,                 \
			       strerror(errno), #want);                          \
			fflush(stdout);                                          \
			_exit(1);                                                \
		}                                                                \
	} while (0)

/* Leave the check as skipped, with a reason. */
void check_skip(const char *why) __attribute__((noreturn));

/**
 * check_main() - run a table in a directory
 * @dir: existing directory; each check gets <dir>/<name>
 * @checks, @nr: the table
 * @seconds: liveness bound of one check
 *
 * With CHECKS in the environment only those that it names, by their names with blanks between.
 *
 * Return: 0 when nothing failed, else 1: the exit status of the program.
 */
int check_main(const char *dir, const struct check *checks, size_t nr, unsigned int seconds);

#endif /* FLINT_TEST_CHECK_H */
