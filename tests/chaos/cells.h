/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What flint-chaos-load writes into files, and how it notes what it did.
 *
 * A file is a row of cells. The bytes of a cell say which write they are of, by
 * its value (client << 32 | number), and which of its cells, so that a read is
 * judged by its bytes alone: even words are the value, odd ones a mixture of
 * value, place in the write and place in the cell.
 *
 * A history is a text file per thread, a line per event, each written before the
 * next step is taken, so that a load that is killed leaves what it had begun.
 * Times are nanoseconds of CLOCK_MONOTONIC, one clock for all on a machine.
 *
 *	h CELL CELLS UNIT		bytes of a cell, cells of a chunk, cells that one
 *					request changes at one instant: 1 or CELLS
 *	w VALUE INO AT COUNT TIME	a write of cells [AT, AT + COUNT) is called
 *	a VALUE INO COUNT TIME		an append
 *	z VALUE INO AT TIME		a truncation: all from AT on become zeros
 *	k VALUE TIME			it is done
 *	p VALUE TIME AT			an append is done, this is where
 *	e VALUE ERRNO			it failed: what came of it is not known
 *	r CLIENT INO AT TIME TIME SEEN...	a read: called, returned, what it saw
 *	f CLIENT INO AT TIME ERRNO	a read failed
 *	x CLIENT TEXT			something is wrong, whatever the rest says
 *
 * VALUE is CLIENT.NUMBER. SEEN is VALUE+PLACExN: N cells of that write, the first
 * of them its PLACE-th; 0xN: zeros; TxN: cells whose bytes do not fit together.
 */
#ifndef FLINT_TEST_CELLS_H
#define FLINT_TEST_CELLS_H

#include <stdint.h>
#include <string.h>

#define CELL_TORN	UINT64_MAX

static inline uint64_t cell_mix(uint64_t value, uint32_t place, uint32_t word)
{
	uint64_t x = value * 0x9e3779b97f4a7c15ull + ((uint64_t)place << 32 | word);

	x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9ull;
	return x ^ (x >> 29);
}

/* Word 1 holds the place in clear, so that the reader knows what to expect. */
static inline uint64_t cell_word(uint64_t value, uint32_t place, uint32_t word)
{
	if (!(word & 1))
		return value;
	return word == 1 ? place | 0xce11ull << 32 : cell_mix(value, place, word);
}

/* @len: of the cell, a multiple of 8, at least 16 */
static inline void cell_make(void *buf, size_t len, uint64_t value, uint32_t place)
{
	uint64_t w;
	uint32_t i;

	for (i = 0; i < len / 8; i++) {
		w = cell_word(value, place, i);
		memcpy((char *)buf + 8 * i, &w, 8);
	}
}

/* Return: the value, 0 for a cell of zeros, or CELL_TORN. */
static inline uint64_t cell_read(const void *buf, size_t len, uint32_t *place)
{
	uint64_t value, w;
	uint32_t i;

	memcpy(&value, buf, 8);
	memcpy(&w, (const char *)buf + 8, 8);
	*place = value ? (uint32_t)w : 0;
	for (i = 0; i < len / 8; i++) {
		memcpy(&w, (const char *)buf + 8 * i, 8);
		if (w != (value ? cell_word(value, *place, i) : 0))
			return CELL_TORN;
	}
	return value;
}

#endif /* FLINT_TEST_CELLS_H */
