// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The search for an order of a history, see linear.h, and the search for a
 * small part of it that already has none.
 *
 * Calls and returns stand in a list in the order of time. Before the first
 * return in it everything called may come next; an operation that was chosen
 * leaves the list with its call and its return, and comes back when the choice
 * is undone, in the reverse order, so that the links restore themselves.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "linear.h"

#define WRITER_ZERO	UINT32_MAX	/* a cell of zeros, whoever made it so */
#define WRITER_INIT	(UINT32_MAX - 1) /* zeros that were never written (no other zeros here) */
#define MEMO_MIN	1024u

/* The classes in which candidates are tried. */
enum { CLASS_READ, CLASS_WRITE, CLASS_UNKNOWN, CLASSES };

struct memo {
	uint64_t (*slot)[2];
	size_t cap, nr;
};

/**
 * struct search - one run
 * @ops: those that take part
 * @from: of each read, who wrote each cell seen; NULL for writes
 * @need: of each write, how often each cell has yet to be seen; NULL for reads
 * @init_need: the same of the zeros at the beginning
 * @class: of each operation
 * @next, @prev: the list: 2 * i is the call of operation i, 2 * i + 1 its
 *	return, 2 * nr the head
 * @cell: who wrote it last
 * @stack: chosen, in order
 * @saved: cells that the writes on the stack overwrote
 * @must: operations that still have to be chosen
 * @hash: of the set chosen and of the cells
 */
struct search {
	const struct lin_op **ops;
	size_t nr;
	uint32_t cells;
	uint32_t **from, **need, *init_need;
	uint8_t *class;
	uint32_t *next, *prev;
	uint32_t *cell;
	uint32_t *stack;
	size_t depth;
	uint32_t *saved;
	size_t nr_saved;
	size_t must;
	uint64_t hash[2];
	struct memo memo;
};

/* ---- histories ---------------------------------------------------------- */

bool lin_add(struct lin_history *h, const struct lin_op *op)
{
	struct lin_op *ops;

	if (h->nr == h->cap) {
		ops = realloc(h->ops, (h->cap * 2 + 64) * sizeof(*ops));
		if (!ops)
			return false;
		h->ops = ops;
		h->cap = h->cap * 2 + 64;
	}
	h->ops[h->nr++] = *op;
	return true;
}

void lin_free(struct lin_history *h)
{
	size_t i;

	for (i = 0; i < h->nr; i++)
		free(h->ops[i].seen);
	free(h->ops);
	memset(h, 0, sizeof(*h));
}

void lin_result_free(struct lin_result *res)
{
	lin_free(&res->core);
}

/* The part of @op that lies in [first, first + count). False: none, or no memory. */
static bool lin_part(const struct lin_op *op, uint32_t first, uint32_t count, struct lin_op *out)
{
	uint32_t from = op->first > first ? op->first : first;
	uint64_t op_end = (uint64_t)op->first + op->count, end = (uint64_t)first + count;

	if (op_end < end)
		end = op_end;
	if (from >= end)
		return false;
	*out = *op;
	out->first = from - first;
	out->count = end - from;
	if (op->kind != LIN_READ)
		return true;
	out->seen = malloc(out->count * sizeof(*out->seen));
	if (out->seen)
		memcpy(out->seen, op->seen + (from - op->first), out->count * sizeof(*out->seen));
	return out->seen;
}

/* ---- memory of states --------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static void hash_op(struct search *s, uint32_t i)
{
	s->hash[0] ^= mix(i);
	s->hash[1] ^= mix(i ^ 0x5bd1e99500000000ull);
}

static void hash_cell(struct search *s, uint32_t cell, uint32_t writer)
{
	uint64_t v = ((uint64_t)cell << 32 | writer) + 0x100000000ull;

	s->hash[0] ^= mix(v * 0xff51afd7ed558ccdull);
	s->hash[1] ^= mix(v * 0xc4ceb9fe1a85ec53ull);
}

static bool memo_put(uint64_t (*slot)[2], size_t cap, const uint64_t *key)
{
	size_t i = key[0] & (cap - 1);

	for (; slot[i][0] | slot[i][1]; i = (i + 1) & (cap - 1))
		if (slot[i][0] == key[0] && slot[i][1] == key[1])
			return false;
	slot[i][0] = key[0];
	slot[i][1] = key[1];
	return true;
}

/* Return: 1 the state is new, 0 it was seen before, -1 no memory. */
static int memo_new(struct memo *m, const uint64_t *key)
{
	size_t cap = m->cap ? m->cap * 2 : MEMO_MIN, i;
	uint64_t (*slot)[2];

	if (m->nr * 2 >= m->cap) {
		slot = calloc(cap, sizeof(*slot));
		if (!slot)
			return -1;
		for (i = 0; i < m->cap; i++)
			if (m->slot[i][0] | m->slot[i][1])
				memo_put(slot, cap, m->slot[i]);
		free(m->slot);
		m->slot = slot;
		m->cap = cap;
	}
	if (!memo_put(m->slot, m->cap, key))
		return 0;
	m->nr++;
	return 1;
}

/* ---- preparation -------------------------------------------------------- */

struct writer {
	uint64_t value;
	uint32_t op;
};

static int writer_cmp(const void *a, const void *b)
{
	const struct writer *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

struct event {
	uint64_t time;
	uint32_t entry;
};

/* Of equal times calls come first: neither operation was over before the other. */
static int event_cmp(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	if ((x->entry & 1) != (y->entry & 1))
		return (x->entry & 1) ? 1 : -1;
	return x->entry < y->entry ? -1 : 1;
}

static void search_free(struct search *s)
{
	size_t i;

	for (i = 0; i < s->nr; i++) {
		if (s->from)
			free(s->from[i]);
		if (s->need)
			free(s->need[i]);
	}
	free(s->ops);
	free(s->from);
	free(s->need);
	free(s->init_need);
	free(s->class);
	free(s->next);
	free(s->prev);
	free(s->cell);
	free(s->stack);
	free(s->saved);
	free(s->memo.slot);
}

/* Is this value seen by a read of @h? @seen is sorted. */
static bool value_seen(const struct writer *seen, size_t nr, uint64_t value)
{
	struct writer key = { .value = value };

	return bsearch(&key, seen, nr, sizeof(*seen), writer_cmp);
}

/* All values that reads have seen, sorted. NULL without memory. */
static struct writer *seen_values(const struct lin_history *h, size_t *nr)
{
	size_t i, n = 0;
	struct writer *seen;
	uint32_t c;

	for (i = 0; i < h->nr; i++)
		n += h->ops[i].kind == LIN_READ ? h->ops[i].count : 0;
	seen = malloc((n + 1) * sizeof(*seen));
	for (n = 0, i = 0; seen && i < h->nr; i++)
		for (c = 0; h->ops[i].kind == LIN_READ && c < h->ops[i].count; c++)
			seen[n++].value = h->ops[i].seen[c];
	if (seen)
		qsort(seen, n, sizeof(*seen), writer_cmp);
	*nr = n;
	return seen;
}

/* Choose who takes part: no read without an answer, no unknown write that nobody saw. */
static bool search_ops(struct search *s, const struct lin_history *h)
{
	const struct lin_op *op;
	struct writer *seen;
	size_t i, nr = 0;

	s->ops = malloc((h->nr + 1) * sizeof(*s->ops));
	seen = seen_values(h, &nr);
	for (i = 0; s->ops && seen && i < h->nr; i++) {
		op = &h->ops[i];
		if (op->ret == LIN_NEVER &&
		    (op->kind == LIN_READ ||
		     (op->kind == LIN_WRITE && !value_seen(seen, nr, op->value))))
			continue;
		s->ops[s->nr++] = op;
	}
	free(seen);
	return s->ops && seen;
}

static bool search_alloc(struct search *s)
{
	size_t n = s->nr + 1, i, saved = 1;

	s->from = calloc(n, sizeof(*s->from));
	s->need = calloc(n, sizeof(*s->need));
	s->init_need = calloc(s->cells, sizeof(*s->init_need));
	s->class = calloc(n, 1);
	s->next = calloc(2 * n, sizeof(*s->next));
	s->prev = calloc(2 * n, sizeof(*s->prev));
	s->cell = calloc(s->cells, sizeof(*s->cell));
	s->stack = calloc(n, sizeof(*s->stack));
	if (!s->from || !s->need || !s->init_need || !s->class || !s->next || !s->prev ||
	    !s->cell || !s->stack)
		return false;
	for (i = 0; i < s->nr; i++) {
		uint32_t **p = s->ops[i]->kind == LIN_READ ? &s->from[i] : &s->need[i];

		*p = calloc(s->ops[i]->count, sizeof(**p));
		if (!*p)
			return false;
		saved += s->ops[i]->kind == LIN_READ ? 0 : s->ops[i]->count;
	}
	s->saved = malloc(saved * sizeof(*s->saved));
	return s->saved;
}

/* Who wrote what a read saw. Return: NULL, or what is wrong with it. */
static const char *search_from(struct search *s, uint32_t i, const struct writer *writers,
			       size_t nr_writers, bool zeros)
{
	const struct lin_op *op = s->ops[i], *w;
	const struct writer *found;
	struct writer key;
	uint32_t c, cell;

	for (c = 0; c < op->count; c++) {
		cell = op->first + c;
		if (op->seen[c] == LIN_TORN)
			return "a read returned bytes that no single write has written";
		if (!op->seen[c]) {
			s->from[i][c] = zeros ? WRITER_ZERO : WRITER_INIT;
			s->init_need[cell] += !zeros;
			continue;
		}
		key.value = op->seen[c];
		found = bsearch(&key, writers, nr_writers, sizeof(*writers), writer_cmp);
		w = found ? s->ops[found->op] : NULL;
		if (!w || cell < w->first || cell - w->first >= w->count)
			return "a read returned what was never written there";
		s->from[i][c] = found->op;
		s->need[found->op][cell - w->first]++;
	}
	return NULL;
}

/* Link reads with writes. Return: NULL or what is wrong; @oom without memory. */
static const char *search_links(struct search *s, bool *oom)
{
	struct writer *writers = malloc((s->nr + 1) * sizeof(*writers));
	const char *why = NULL;
	size_t i, nr = 0;
	bool zeros = false;

	*oom = !writers;
	for (i = 0; writers && i < s->nr; i++) {
		zeros |= s->ops[i]->kind == LIN_ZERO;
		s->must += s->ops[i]->ret != LIN_NEVER;
		s->class[i] = s->ops[i]->kind == LIN_READ ? CLASS_READ :
			      s->ops[i]->ret == LIN_NEVER ? CLASS_UNKNOWN : CLASS_WRITE;
		if (s->ops[i]->kind == LIN_WRITE)
			writers[nr++] = (struct writer){ s->ops[i]->value, (uint32_t)i };
	}
	if (writers)
		qsort(writers, nr, sizeof(*writers), writer_cmp);
	for (i = 1; i < nr && !why; i++)
		if (writers[i].value == writers[i - 1].value)
			why = "two writes have the same value: the history is no history";
	for (i = 0; writers && i < s->nr && !why; i++)
		if (s->ops[i]->kind == LIN_READ)
			why = search_from(s, i, writers, nr, zeros);
	for (i = 0; i < s->cells; i++)
		s->cell[i] = zeros ? WRITER_ZERO : WRITER_INIT;
	free(writers);
	return why;
}

static bool search_list(struct search *s)
{
	struct event *ev = malloc((2 * s->nr + 1) * sizeof(*ev));
	uint32_t head = 2 * s->nr, at = head;
	size_t i, nr = 0;

	if (!ev)
		return false;
	for (i = 0; i < s->nr; i++) {
		ev[nr++] = (struct event){ s->ops[i]->inv, 2 * i };
		if (s->ops[i]->ret != LIN_NEVER)
			ev[nr++] = (struct event){ s->ops[i]->ret, 2 * i + 1 };
	}
	qsort(ev, nr, sizeof(*ev), event_cmp);
	for (i = 0; i < nr; i++) {
		s->next[at] = ev[i].entry;
		s->prev[ev[i].entry] = at;
		at = ev[i].entry;
	}
	s->next[at] = head;
	s->prev[head] = at;
	free(ev);
	return true;
}

/* ---- search ------------------------------------------------------------- */

static void unlink_entry(struct search *s, uint32_t e)
{
	s->next[s->prev[e]] = s->next[e];
	s->prev[s->next[e]] = s->prev[e];
}

static void relink_entry(struct search *s, uint32_t e)
{
	s->next[s->prev[e]] = e;
	s->prev[s->next[e]] = e;
}

static uint32_t *need_of(struct search *s, uint32_t writer, uint32_t cell)
{
	if (writer == WRITER_ZERO)
		return NULL;
	if (writer == WRITER_INIT)
		return &s->init_need[cell];
	/* Of a punch every cell is a zero, which never needs. */
	return &s->need[writer][cell - s->ops[writer]->first];
}

static bool can_apply(struct search *s, uint32_t i)
{
	const struct lin_op *op = s->ops[i];
	uint32_t c, *need;

	for (c = 0; c < op->count; c++) {
		uint32_t now = s->cell[op->first + c];

		if (op->kind == LIN_READ) {
			if (now != s->from[i][c])
				return false;
			continue;
		}
		need = need_of(s, now, op->first + c);
		if (need && *need)
			return false;
	}
	return true;
}

static void cell_set(struct search *s, uint32_t cell, uint32_t writer)
{
	hash_cell(s, cell, s->cell[cell]);
	s->cell[cell] = writer;
	hash_cell(s, cell, writer);
}

static void reads_done(struct search *s, uint32_t i, int by)
{
	const struct lin_op *op = s->ops[i];
	uint32_t c, *need;

	for (c = 0; c < op->count; c++) {
		need = need_of(s, s->from[i][c], op->first + c);
		if (need)
			*need += (uint32_t)by;
	}
}

static void apply(struct search *s, uint32_t i)
{
	const struct lin_op *op = s->ops[i];
	uint32_t c;

	unlink_entry(s, 2 * i);
	if (op->ret != LIN_NEVER) {
		unlink_entry(s, 2 * i + 1);
		s->must--;
	}
	hash_op(s, i);
	s->stack[s->depth++] = i;
	if (op->kind == LIN_READ) {
		reads_done(s, i, -1);
		return;
	}
	for (c = 0; c < op->count; c++) {
		s->saved[s->nr_saved++] = s->cell[op->first + c];
		cell_set(s, op->first + c, op->kind == LIN_ZERO ? WRITER_ZERO : i);
	}
}

/* Undo the newest choice. Return: it. */
static uint32_t take_back(struct search *s)
{
	uint32_t i = s->stack[--s->depth], c;
	const struct lin_op *op = s->ops[i];

	if (op->kind == LIN_READ)
		reads_done(s, i, 1);
	else
		for (c = op->count; c--; )
			cell_set(s, op->first + c, s->saved[--s->nr_saved]);
	hash_op(s, i);
	if (op->ret != LIN_NEVER) {
		relink_entry(s, 2 * i + 1);
		s->must++;
	}
	relink_entry(s, 2 * i);
	return i;
}

/* The next candidate of class *@class or later, from entry @e on. Head: none. */
static uint32_t candidate(struct search *s, uint32_t e, unsigned int *class)
{
	uint32_t head = 2 * s->nr;

	while (*class < CLASSES) {
		for (; e != head && !(e & 1); e = s->next[e])
			if (s->class[e / 2] == *class && can_apply(s, e / 2))
				return e;
		++*class;
		e = s->next[head];
	}
	return head;
}

static enum lin_verdict search_run(struct search *s, uint64_t max_steps, uint64_t *steps)
{
	uint32_t head = 2 * s->nr, e = s->next[head], i;
	unsigned int class = CLASS_READ;
	int fresh;

	while (s->must) {
		e = candidate(s, e, &class);
		if (e != head) {
			if (++*steps > max_steps)
				return LIN_UNDECIDED;
			apply(s, e / 2);
			fresh = s->class[e / 2] == CLASS_READ ? 1 : memo_new(&s->memo, s->hash);
			if (fresh < 0)
				return LIN_UNDECIDED;
			if (fresh) {
				e = s->next[head];
				class = CLASS_READ;
				continue;
			}
		}
		/* Reads changed nothing: what failed after them fails without them. */
		do {
			if (!s->depth)
				return LIN_NO;
			i = take_back(s);
		} while (s->class[i] == CLASS_READ);
		class = s->class[i];
		e = s->next[2 * i];
	}
	return LIN_YES;
}

/* One run over a history; *why is set when the verdict is LIN_NO. */
static enum lin_verdict run(const struct lin_history *h, uint64_t max_steps, uint64_t *steps,
			    const char **why)
{
	struct search s = { .cells = h->cells };
	enum lin_verdict v = LIN_UNDECIDED;
	bool oom = false;

	*why = NULL;
	if (search_ops(&s, h) && search_alloc(&s)) {
		*why = search_links(&s, &oom);
		if (*why)
			v = LIN_NO;
		else if (!oom && search_list(&s))
			v = search_run(&s, max_steps, steps);
		if (v == LIN_NO && !*why)
			*why = "no order of these operations explains what was read";
	}
	search_free(&s);
	return v;
}

/* ---- a small example ---------------------------------------------------- */

/* The operations of @h that @out marks, in cells [first, first + count). */
static bool project(const struct lin_history *h, const bool *out, uint32_t first, uint32_t count,
		    struct lin_history *to)
{
	struct lin_op op;
	size_t i;

	*to = (struct lin_history){ .cells = count };
	for (i = 0; i < h->nr; i++) {
		if (out && out[i])
			continue;
		if (!lin_part(&h->ops[i], first, count, &op))
			continue;
		if (!lin_add(to, &op))
			return false;
	}
	return true;
}

/* May @r have seen what @w did? */
static bool depends(const struct lin_op *r, const struct lin_op *w)
{
	uint32_t c;

	for (c = 0; c < r->count; c++)
		if (r->seen[c] == (w->kind == LIN_ZERO ? 0 : w->value))
			return true;
	return false;
}

/* Leave out [from, from + n) and the reads that may have seen what is done there. */
static void leave_out(const struct lin_history *h, bool *out, size_t from, size_t n)
{
	size_t i, k;

	for (i = from; i < from + n && i < h->nr; i++)
		out[i] = true;
	for (i = 0; i < h->nr; i++)
		for (k = from; h->ops[i].kind == LIN_READ && k < from + n && k < h->nr; k++)
			if (h->ops[k].kind != LIN_READ)
				out[i] |= depends(&h->ops[i], &h->ops[k]);
}

/* Try to do without some operations of @h. True: @h became smaller. */
static bool shrink_once(struct lin_history *h, size_t from, size_t n)
{
	bool *out = calloc(h->nr + 1, sizeof(*out));
	struct lin_history less = { 0 };
	const char *why;
	uint64_t steps = 0;
	bool smaller = false;

	if (out) {
		leave_out(h, out, from, n);
		smaller = project(h, out, 0, h->cells, &less) &&
			  run(&less, LIN_STEPS / 64, &steps, &why) == LIN_NO;
	}
	free(out);
	if (smaller) {
		lin_free(h);
		*h = less;
	} else {
		lin_free(&less);
	}
	return smaller;
}

static void shrink(struct lin_history *h)
{
	size_t n, at;
	bool any;

	for (n = h->nr / 2; n > 1; n /= 2)
		for (at = 0; at < h->nr; )
			if (!shrink_once(h, at, n))
				at += n;
	do {
		for (any = false, at = 0; at < h->nr; )
			if (shrink_once(h, at, 1))
				any = true;
			else
				at++;
	} while (any);
}

/* A cell that fails alone, or @width of them, make the shortest example. */
static bool core_cell(const struct lin_history *h, uint32_t width, uint64_t max_steps,
		      struct lin_result *res)
{
	struct lin_history one;
	const char *why;
	uint64_t steps;
	uint32_t c;

	for (c = 0; c + width <= h->cells; c++) {
		steps = 0;
		if (project(h, NULL, c, width, &one) &&
		    run(&one, max_steps, &steps, &why) == LIN_NO) {
			res->cell = c;
			res->core = one;
			snprintf(res->why, sizeof(res->why), "%s", why);
			return true;
		}
		lin_free(&one);
	}
	return false;
}

void lin_check(const struct lin_history *h, uint64_t max_steps, struct lin_result *res)
{
	const char *why;

	*res = (struct lin_result){ .cell = -1 };
	res->verdict = run(h, max_steps, &res->steps, &why);
	/* What cannot be decided as a whole may be refuted in a small part. */
	if (res->verdict == LIN_UNDECIDED &&
	    (core_cell(h, 1, max_steps, res) || core_cell(h, 2, max_steps / 64, res)))
		res->verdict = LIN_NO;
	else if (res->verdict == LIN_NO && !core_cell(h, 1, max_steps, res) &&
		 project(h, NULL, 0, h->cells, &res->core))
		snprintf(res->why, sizeof(res->why),
			 "%s, although each block for itself can be explained", why);
	if (res->verdict == LIN_UNDECIDED)
		snprintf(res->why, sizeof(res->why), "not decided after %" PRIu64 " steps",
			 res->steps);
	if (res->verdict == LIN_NO)
		shrink(&res->core);
}

/* ---- for people --------------------------------------------------------- */

const char *lin_value(uint64_t value, char *buf)
{
	if (!value)
		snprintf(buf, 32, "zeros");
	else if (value == LIN_TORN)
		snprintf(buf, 32, "TORN");
	else
		snprintf(buf, 32, "%u.%u", (unsigned int)(value >> 32), (unsigned int)value);
	return buf;
}

static int by_call(const void *a, const void *b)
{
	const struct lin_op *x = *(const struct lin_op * const *)a;
	const struct lin_op *y = *(const struct lin_op * const *)b;

	return x->inv < y->inv ? -1 : x->inv > y->inv;
}

static void print_op(FILE *out, const struct lin_op *op, uint64_t zero)
{
	uint32_t c, n;
	char v[32];

	fprintf(out, "%12.3f", (double)(op->inv - zero) / 1000);
	if (op->ret == LIN_NEVER)
		fprintf(out, " ...      never");
	else
		fprintf(out, " ... %10.3f", (double)(op->ret - zero) / 1000);
	fprintf(out, "  client %-3u cells %u", op->client, op->first);
	if (op->count > 1)
		fprintf(out, "-%u", op->first + op->count - 1);
	if (op->kind != LIN_READ) {
		fprintf(out, " %s\n", op->kind == LIN_ZERO ? "become zeros" : lin_value(op->value, v));
		return;
	}
	fprintf(out, " read");
	for (c = 0; c < op->count; c += n) {
		for (n = 1; c + n < op->count && op->seen[c + n] == op->seen[c]; n++)
			;
		fprintf(out, n > 1 ? " %s x%u" : " %s", lin_value(op->seen[c], v), n);
	}
	fprintf(out, "\n");
}

void lin_print(FILE *out, const struct lin_history *h)
{
	const struct lin_op **ops = malloc((h->nr + 1) * sizeof(*ops));
	size_t i;

	for (i = 0; ops && i < h->nr; i++)
		ops[i] = &h->ops[i];
	if (ops)
		qsort(ops, h->nr, sizeof(*ops), by_call);
	for (i = 0; ops && i < h->nr; i++)
		print_op(out, ops[i], ops[0]->inv);
	free(ops);
}
