/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logging of the daemons and tools: one line per event on standard error.
 *
 * Under systemd (JOURNAL_STREAM is set) a line begins with the priority prefix
 * that journald understands ("<4>") and leaves the time to the journal. Else
 * it reads "HH:MM:SS.mmm name level: text". A line is written with one write(2),
 * so lines of several threads never mix. Text from the network is made
 * printable: control characters become '?'. Secrets are never logged.
 */
#ifndef FLINT_BASE_LOG_H
#define FLINT_BASE_LOG_H

#include <stdbool.h>
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

/* Is a line of this level written at all? */
bool flint_log_enabled(int level);

/* Any thread. @fmt has no newline at its end. */
void flint_log(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

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
