// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See check.h.
 */
#include <signal.h>
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

int check_main(const char *dir, const struct check *checks, size_t nr, unsigned int seconds)
{
	size_t i;
	int failed = 0;

	printf("1..%zu\n", nr);
	for (i = 0; i < nr; i++) {
		const struct check *c = &checks[i];
		int status = 0;
		pid_t pid;

		fflush(stdout);
		pid = fork();
		if (pid < 0)
			return 1;
		if (!pid)
			run_child(dir, c, seconds);
		waitpid(pid, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP) {
			printf("ok %zu - %s # SKIP see above\n", i + 1, c->name);
			continue;
		}
		if (WIFSIGNALED(status))
			printf("# ended by signal %d%s\n", WTERMSIG(status),
			       WTERMSIG(status) == SIGALRM ? " (took too long)" : "");
		if (status)
			failed = 1;
		printf("%s %zu - %s\n", status ? "not ok" : "ok", i + 1, c->name);
	}
	return failed;
}
