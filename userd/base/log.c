// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Log lines on standard error; see log.h. The state is set once before threads
 * start and only read afterwards.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "log.h"

#define RL_WINDOW_NS	5000000000ull
#define RL_BURST	10

static struct {
	char name[32];
	int level;
	bool journal;
} log_state = { .name = "flint", .level = FLINT_LOG_INFO };

static pthread_mutex_t rl_lock = PTHREAD_MUTEX_INITIALIZER;	/* all struct flint_ratelimit */

void flint_log_init(const char *name, int level)
{
	snprintf(log_state.name, sizeof(log_state.name), "%s", name);
	log_state.level = level;
	log_state.journal = getenv("JOURNAL_STREAM") != NULL;
}

bool flint_log_enabled(int level)
{
	return level <= log_state.level;
}

static const char *level_word(int level)
{
	switch (level) {
	case FLINT_LOG_ERR:
		return "error";
	case FLINT_LOG_WARN:
		return "warning";
	case FLINT_LOG_INFO:
		return "info";
	default:
		return "debug";
	}
}

static int log_prefix(int level, char *line, size_t len)
{
	struct timespec ts;
	struct tm tm;

	if (log_state.journal)
		return snprintf(line, len, "<%d>", level);
	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	return snprintf(line, len, "%02d:%02d:%02d.%03ld %s %s: ", tm.tm_hour, tm.tm_min,
			tm.tm_sec, ts.tv_nsec / 1000000, log_state.name, level_word(level));
}

void flint_log(int level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n, text, i;
	ssize_t done;

	if (!flint_log_enabled(level))
		return;
	n = text = log_prefix(level, line, sizeof(line));
	va_start(ap, fmt);
	i = vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	if (i < 0)
		return;
	n += i;
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	for (i = text; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n';
	done = write(STDERR_FILENO, line, n);
	(void)done;	/* nowhere to complain */
}

bool flint_ratelimit_ok(struct flint_ratelimit *rl, uint32_t *dropped)
{
	struct timespec ts;
	uint64_t now;
	bool ok;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = ts.tv_sec * 1000000000ull + ts.tv_nsec;
	pthread_mutex_lock(&rl_lock);
	if (!rl->window_ns || now - rl->window_ns > RL_WINDOW_NS) {
		rl->window_ns = now;
		rl->nr = 0;
	}
	ok = rl->nr++ < RL_BURST;
	if (ok) {
		*dropped = rl->dropped;
		rl->dropped = 0;
	} else {
		rl->dropped++;
	}
	pthread_mutex_unlock(&rl_lock);
	return ok;
}
