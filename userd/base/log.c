// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Log lines on standard error, and the last of them in memory; see log.h. Name
 * and format are set once before threads start; the level may change at any time.
 *
 * A line is put together once, with its time; what goes to standard error and
 * what is kept differ in the prefix only.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "log.h"

#define RL_WINDOW_NS	5000000000ull
#define RL_BURST	10
#define LINE_MAX_LEN	1280
#define PREFIX_LEN	8		/* room for "<7>" before the line */
#define KEPT_BYTES	(256u << 10)

static struct {
	char name[32];
	atomic_int level;
	bool journal, json;
} log_state = { .name = "flint", .level = FLINT_LOG_INFO };

/* The last lines: a ring of bytes. */
static struct {
	pthread_mutex_t lock;
	uint64_t end;			/* bytes ever put in */
	char bytes[KEPT_BYTES];
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

static pthread_mutex_t rl_lock = PTHREAD_MUTEX_INITIALIZER;	/* all struct flint_ratelimit */

void flint_log_init(const char *name, int level)
{
	snprintf(log_state.name, sizeof(log_state.name), "%s", name);
	atomic_store(&log_state.level, level);
	log_state.journal = getenv("JOURNAL_STREAM") != NULL;
}

void flint_log_json(bool on)
{
	log_state.json = on;
}

int flint_log_set_level(int level)
{
	if (level < FLINT_LOG_ERR || level > FLINT_LOG_DEBUG)
		return -EINVAL;
	atomic_store(&log_state.level, level);
	return 0;
}

int flint_log_level(void)
{
	return atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

bool flint_log_enabled(int level)
{
	return level <= flint_log_level();
}

const char *flint_log_name(void)
{
	return log_state.name;
}

/* ---- levels ------------------------------------------------------------- */

static const struct {
	int level;
	const char *name;
} levels[] = {
	{ FLINT_LOG_ERR, "error" }, { FLINT_LOG_WARN, "warning" },
	{ FLINT_LOG_INFO, "info" }, { FLINT_LOG_DEBUG, "debug" },
};

const char *flint_log_level_name(int level)
{
	const char *name = levels[0].name;
	unsigned int i;

	for (i = 0; i < 4; i++)
		if (levels[i].level <= level)
			name = levels[i].name;
	return name;
}

int flint_log_level_parse(const char *word)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		if (!strcmp(levels[i].name, word))
			return levels[i].level;
	return -EINVAL;
}

/* ---- one line ----------------------------------------------------------- */

/**
 * struct line - a line that grows
 * @n: bytes in use; what does not fit before LINE_MAX_LEN is left out
 */
struct line {
	size_t n;
	char text[LINE_MAX_LEN + 4];
};

static void put(struct line *l, const char *s, size_t len)
{
	if (len > LINE_MAX_LEN - l->n)
		len = LINE_MAX_LEN - l->n;
	memcpy(l->text + l->n, s, len);
	l->n += len;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/* Printable: control characters become '?'. */
static void put_clean(struct line *l, const char *s)
{
	for (; *s; s++) {
		char c = (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s;

		put(l, &c, 1);
	}
}

/* Between quotes; in JSON also everything that is not ASCII becomes '?'. */
static void put_quoted(struct line *l, const char *s)
{
	put(l, "\"", 1);
	for (; *s && l->n < LINE_MAX_LEN - 8; s++) {
		char c = (unsigned char)*s < 0x20 || *s == 0x7f ||
			 (log_state.json && (unsigned char)*s > 0x7f) ? '?' : *s;

		if (c == '"' || c == '\\')
			put(l, "\\", 1);
		put(l, &c, 1);
	}
	put(l, "\"", 1);
}

static void put_field(struct line *l, const char *key, const char *text, uint64_t num)
{
	char buf[24];

	/* A key is left out whole, so that the line stays well-formed. */
	if (l->n + strlen(key) + (text ? 2 * strlen(text) : 0) + 32 > LINE_MAX_LEN)
		return;
	put_str(l, log_state.json ? ",\"" : " ");
	put_str(l, key);
	put_str(l, log_state.json ? "\":" : "=");
	if (!text) {
		snprintf(buf, sizeof(buf), "%llu", (unsigned long long)num);
		put_str(l, buf);
	} else if (log_state.json || !*text || strpbrk(text, " \"=\\")) {
		put_quoted(l, text);
	} else {
		put_clean(l, text);
	}
}

static void line_begin(struct line *l, int level)
{
	struct timespec ts;
	char buf[96];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (log_state.json) {
		gmtime_r(&ts.tv_sec, &tm);
		strftime(buf, sizeof(buf), "{\"time\":\"%Y-%m-%dT%H:%M:%S", &tm);
		put_str(l, buf);
		snprintf(buf, sizeof(buf), ".%06ldZ\",\"program\":\"%s\",\"pid\":%d,\"level\":\"%s\",",
			 ts.tv_nsec / 1000, log_state.name, getpid(), flint_log_level_name(level));
	} else {
		localtime_r(&ts.tv_sec, &tm);
		snprintf(buf, sizeof(buf), "%02d:%02d:%02d.%03ld %s %s: ", tm.tm_hour, tm.tm_min,
			 tm.tm_sec, ts.tv_nsec / 1000000, log_state.name,
			 flint_log_level_name(level));
	}
	put_str(l, buf);
}

static void keep(const char *text, size_t len)
{
	size_t at, first;

	pthread_mutex_lock(&kept.lock);
	at = kept.end % KEPT_BYTES;
	first = len < KEPT_BYTES - at ? len : KEPT_BYTES - at;
	memcpy(kept.bytes + at, text, first);
	memcpy(kept.bytes, text + first, len - first);
	kept.end += len;
	pthread_mutex_unlock(&kept.lock);
}

size_t flint_log_tail(char *out, size_t len)
{
	uint64_t from, at;
	size_t n = 0;

	pthread_mutex_lock(&kept.lock);
	from = kept.end > KEPT_BYTES ? kept.end - KEPT_BYTES : 0;
	if (kept.end - from > len)
		from = kept.end - len;
	/* Only whole lines: skip to the first beginning. */
	if (from)
		while (from < kept.end && kept.bytes[(from - 1) % KEPT_BYTES] != '\n')
			from++;
	for (at = from; at < kept.end; at++)
		out[n++] = kept.bytes[at % KEPT_BYTES];
	pthread_mutex_unlock(&kept.lock);
	return n;
}

/* @skip: bytes at the beginning that the journal knows itself. */
static void line_end(struct line *l, int level, size_t skip)
{
	char out[LINE_MAX_LEN + PREFIX_LEN + 4];
	ssize_t done;
	int n = 0;

	if (log_state.json)
		l->text[l->n++] = '}';
	l->text[l->n++] = '\n';
	keep(l->text, l->n);
	if (log_state.journal)
		n = snprintf(out, PREFIX_LEN, "<%d>", level);
	else
		skip = 0;
	memcpy(out + n, l->text + skip, l->n - skip);
	done = write(STDERR_FILENO, out, (size_t)n + l->n - skip);
	(void)done;	/* nowhere to complain */
}

static void vlog(int level, uint64_t trace, const struct flint_log_field *f, unsigned int nr,
		 const char *fmt, va_list ap) __attribute__((format(printf, 5, 0)));

static void vlog(int level, uint64_t trace, const struct flint_log_field *f, unsigned int nr,
		 const char *fmt, va_list ap)
{
	char text[1000], id[20];
	struct line l = { 0 };
	unsigned int i;
	size_t skip;

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		return;
	line_begin(&l, level);
	skip = log_state.json ? 0 : l.n;
	if (log_state.json) {
		put_str(&l, "\"message\":");
		put_quoted(&l, text);
	} else {
		put_clean(&l, text);
	}
	if (trace) {
		snprintf(id, sizeof(id), "%016llx", (unsigned long long)trace);
		put_field(&l, "trace", id, 0);
	}
	for (i = 0; i < nr; i++)
		put_field(&l, f[i].key, f[i].text, f[i].num);
	line_end(&l, level, skip);
}

void flint_log(int level, const char *fmt, ...)
{
	va_list ap;

	if (!flint_log_enabled(level))
		return;
	va_start(ap, fmt);
	vlog(level, 0, NULL, 0, fmt, ap);
	va_end(ap);
}

void flint_log_event(int level, uint64_t trace, const struct flint_log_field *f, unsigned int nr,
		     const char *fmt, ...)
{
	va_list ap;

	if (!flint_log_enabled(level))
		return;
	va_start(ap, fmt);
	vlog(level, trace, f, nr, fmt, ap);
	va_end(ap);
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
