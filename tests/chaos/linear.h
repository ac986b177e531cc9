/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a recorded history of reads and writes linearizable?
 *
 * The object is a row of cells (the blocks of one chunk). A write gives a range
 * of cells one value that no other write has, a read says which value each cell
 * of its range had, each operation takes effect in all of its cells at one
 * instant between its call and its return. What returned with an unknown
 * outcome (a time-out, a client that was killed) may take effect at any later
 * time or never.
 *
 * The search is that of Wing and Gong with Lowe's memory of states: choose an
 * operation that no other one precedes, apply it, go on, take it back when
 * nothing is left that can follow. Because values are unique it is known which
 * write a cell was read from, and that prunes nearly everything:
 *  - a read that the present state answers is taken at once, and never taken
 *    back for another choice: it changes nothing;
 *  - a write may not overwrite a cell that a read has yet to see;
 *  - a write of unknown outcome that nobody saw never happened.
 * Zeros are the exception: they stand for "never written", "punched" and "cut
 * off" alike. A read of zeros is answered by each of them, and prunes nothing
 * where the history has such operations.
 */
#ifndef FLINT_TEST_LINEAR_H
#define FLINT_TEST_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LIN_NEVER	UINT64_MAX	/* lin_op.ret: the outcome is not known */
#define LIN_TORN	UINT64_MAX	/* a value seen: bytes of more than one write, or of none */
#define LIN_STEPS	4000000ull	/* of a search: some seconds */

enum lin_kind { LIN_READ, LIN_WRITE, LIN_ZERO };

/**
 * struct lin_op - one operation
 * @kind: ZERO: a punch or truncation, its cells read as zeros
 * @inv, @ret: nanoseconds of one clock; of equal times neither was first
 * @first, @count: cells, count at least 1
 * @value: WRITE: unique, neither 0 nor LIN_TORN
 * @seen: READ: @count values, 0 for zeros; allocated, the history frees it
 * @client: for people
 */
struct lin_op {
	enum lin_kind kind;
	uint32_t client;
	uint64_t inv, ret;
	uint32_t first, count;
	uint64_t value;
	uint64_t *seen;
};

struct lin_history {
	uint32_t cells;
	struct lin_op *ops;
	size_t nr, cap;
};

enum lin_verdict {
	LIN_YES,		/* linearizable */
	LIN_NO,
	LIN_UNDECIDED,		/* not within the steps allowed */
};

/**
 * struct lin_result - of lin_check()
 * @why: one sentence
 * @core: for LIN_NO, a history of a few of the operations (possibly of one cell
 *	alone) that no order explains either; none of them can be left out
 * @cell: the (first) cell that @core is about, or -1: all of them
 * @steps: operations tried
 */
struct lin_result {
	enum lin_verdict verdict;
	char why[200];
	struct lin_history core;
	int64_t cell;
	uint64_t steps;
};

/* Append a copy of @op; takes over @op->seen. Return: false without memory. */
bool lin_add(struct lin_history *h, const struct lin_op *op);
void lin_free(struct lin_history *h);

/**
 * lin_check() - search an order, and what is wrong if there is none
 * @h: operations in any order
 * @max_steps: LIN_STEPS
 * @res: result; lin_result_free()
 *
 * Out of memory counts as undecided.
 */
void lin_check(const struct lin_history *h, uint64_t max_steps, struct lin_result *res);
void lin_result_free(struct lin_result *res);

/* Operations in the order of their calls, a line each, times in µs from the first. */
void lin_print(FILE *out, const struct lin_history *h);
/* A value as "client.number"; @buf of 32 bytes. */
const char *lin_value(uint64_t value, char *buf);

#endif /* FLINT_TEST_LINEAR_H */
