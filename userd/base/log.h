/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logging of the daemons and tools: one line per event on standard error.
 *
 * A line reads "HH:MM:SS.mmm name level: text key=value ..."; under systemd
 * (JOURNAL_STREAM is set) it begins with the priority prefix that journald
 * understands ("<4>") instead, and leaves the time to the journal. With
 * --log-format json it is one JSON object with time, program, level, message
 * and the keys. A line is written with one write(2), so lines of several threads
 * never mix. Text from the network is made printable: control characters become
 * '?'. Secrets are never logged.
 *
 * What is logged can be changed at any time, by FLINT_OP_LOG from afar. The last
 * lines are kept in memory, so that they can be read from afar as well.
 */
#ifndef FLINT_BASE_LOG_H
#define FLINT_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of syslog(3). */
enum flint_log_level {
	FLINT_LOG_ERR	= 3,	/* something does not work; says what to do */
	FLINT_LOG_WARN	= 4,	/* works, but someone should look */
	FLINT_LOG_INFO	= 6,	/* start, stop, membership: a few lines a day */
	FLINT_LOG_DEBUG	= 7,
};

/**
 * flint_log_init() - name the process and choose how much is logged
 * @name: of the program, in each line; copied, cut to 31 bytes
 * @level: highest level that is written
 *
 * Without it the name is "flint" and the level FLINT_LOG_INFO. Call before
 * threads are started.
 */
void flint_log_init(const char *name, int level);

/* One JSON object a line instead of text. Call before threads are started. */
void flint_log_json(bool on);

/* From now on; any thread. Return: 0 or -EINVAL. */
int flint_log_set_level(int level);
int flint_log_level(void);
/* The name of a level, "debug". @level: also one in between; the next lower one is meant. */
const char *flint_log_level_name(int level);
/* "error", "warning", "info", "debug" to its number. Return: the level or -EINVAL. */
int flint_log_level_parse(const char *word);

/* Is a line of this level written at all? */
bool flint_log_enabled(int level);

/* Any thread. @fmt has no newline at its end. */
void flint_log(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * struct flint_log_field - what a line says beside its text
 * @text: value, or NULL: @num is
 */
struct flint_log_field {
	const char *key;
	const char *text;
	uint64_t num;
};

/**
 * flint_log_event() - log with an id and fields
 * @trace: the request's (flint_call.msg.trace); 0: none
 * @f, @nr: printed in this order
 *
 * Any thread.
 */
void flint_log_event(int level, uint64_t trace, const struct flint_log_field *f, unsigned int nr,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* A line about one request: found again by its id in the logs of all servers it passed. */
#define flint_log_req(level, trace, ...)						\
	do {									\
		if (flint_log_enabled(level))					\
			flint_log_event(level, trace, NULL, 0, __VA_ARGS__);	\
	} while (0)

/**
 * flint_log_tail() - the last lines of this process
 * @out, @len: whole lines, the newest ones that fit
 *
 * Any thread. Return: bytes.
 */
size_t flint_log_tail(char *out, size_t len);

/* The name given to flint_log_init(). */
const char *flint_log_name(void);

#define flint_err(...)		flint_log(FLINT_LOG_ERR, __VA_ARGS__)
#define flint_warn(...)		flint_log(FLINT_LOG_WARN, __VA_ARGS__)
#define flint_info(...)		flint_log(FLINT_LOG_INFO, __VA_ARGS__)
#define flint_debug(...)							\
	do {									\
		if (flint_log_enabled(FLINT_LOG_DEBUG))				\
			flint_log(FLINT_LOG_DEBUG, __VA_ARGS__);		\
	} while (0)

/* One per call site; zero-initialised. */
struct flint_ratelimit {
	uint64_t window_ns;	/* when the current window began */
	uint32_t nr;		/* events in it */
	uint32_t dropped;	/* events not logged since the last line */
};

/**
 * flint_ratelimit_ok() - may this event be logged?
 * @rl: of the call site
 * @dropped: result: events left out since the last one that was logged
 *
 * Ten events in five seconds pass. Any thread.
 */
bool flint_ratelimit_ok(struct flint_ratelimit *rl, uint32_t *dropped);

#define flint_log_rl(level, fmt, ...)						\
	do {									\
		static struct flint_ratelimit rl_;				\
		uint32_t dropped_;						\
										\
		if (flint_ratelimit_ok(&rl_, &dropped_)) {			\
			if (dropped_)						\
				flint_log(level, fmt " (%u like it left out)",	\
					  ##__VA_ARGS__, dropped_);		\
			else							\
				flint_log(level, fmt, ##__VA_ARGS__);		\
		}								\
	} while (0)

#define flint_err_rl(fmt, ...)	flint_log_rl(FLINT_LOG_ERR, fmt, ##__VA_ARGS__)
#define flint_warn_rl(fmt, ...)	flint_log_rl(FLINT_LOG_WARN, fmt, ##__VA_ARGS__)
#define flint_info_rl(fmt, ...)	flint_log_rl(FLINT_LOG_INFO, fmt, ##__VA_ARGS__)

#endif /* FLINT_BASE_LOG_H */
