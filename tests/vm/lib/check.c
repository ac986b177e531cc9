// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See check.h.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

#define EXIT_SKIP 77

void check_skip(const char *why)
{
	printf("# skip: %s\n", why);
	fflush(stdout);
	_exit(EXIT_SKIP);
}

static void run_child(const char *dir, const struct check *c, unsigned int seconds)
{
	char path[512];

	alarm(seconds);
	umask(022);
	snprintf(path, sizeof(path), "%s/%s", dir, c->name);
	CHECK(mkdir(path, 0777) == 0);
	CHECK(chdir(path) == 0);
	c->fn();
	fflush(stdout);
	_exit(0);
}

static bool wanted(const char *name)
{
	const char *list = getenv("CHECKS"), *at = list;
	size_t len = strlen(name);

	for (; at; at = strchr(at, ' ')) {
		at += strspn(at, " \t");
		if (!strncmp(at, name, len) && (!at[len] || at[len] == ' '))
			return true;
	}
	return !list;
}

int check_main(const char *dir, const struct check *checks, size_t nr, unsigned int seconds)
{
	size_t i, n = 0;
	int failed = 0;

	for (i = 0; i < nr; i++)
		n += wanted(checks[i].name);
	printf("1..%zu\n", n);
	for (i = 0, n = 0; i < nr; i++) {
		const struct check *c = &checks[i];
		int status = 0;
		pid_t pid;

		if (!wanted(c->name))
			continue;
		n++;
		fflush(stdout);
		pid = fork();
		if (pid < 0)
			return 1;
		if (!pid)
			run_child(dir, c, seconds);
		waitpid(pid, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP) {
			printf("ok %zu - %s # SKIP see above\n", n, c->name);
			continue;
		}
		if (WIFSIGNALED(status))
			printf("# ended by signal %d%s\n", WTERMSIG(status),
			       WTERMSIG(status) == SIGALRM ? " (took too long)" : "");
		if (status)
			failed = 1;
		printf("%s %zu - %s\n", status ? "not ok" : "ok", n, c->name);
	}
	return failed;
}
