// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-chaos-judge: are these histories (cells.h) what one correct file system
 * could have answered?
 *
 *	flint-chaos-judge [--slowest SECONDS] HISTORY...
 *
 * Every chunk of every inode is an object of its own (linear.h): one request
 * reaches one chunk and takes effect at one instant there. An I/O over a chunk
 * border is several. A write that makes a file larger is seen up to the old size
 * first: where files shrink and grow, every block is an object for itself.
 * Around a truncation less is promised: a write at the same time may be begun
 * anew and so be seen, cut off and be there again. Reads that overlap with a
 * truncation, or with a write that does, are left out.
 *
 * Exit status 0: all is well; 1: it is not, an example was printed; 2: usage.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "linear.h"

struct write_op {
	UT_hash_handle hh;
	uint64_t value, ino, inv, ret;
	uint64_t at;			/* LIN_NEVER: an append, nobody knows where */
	uint32_t count;
	char kind;			/* w, a, z */
};

struct seen {
	uint64_t value;
	uint32_t place;
};

struct read_op {
	uint64_t ino, at, inv, ret;
	uint32_t client, count;
	struct seen *seen;
};

struct object {
	UT_hash_handle hh;
	struct {
		uint64_t ino, nr;
	} key;
	struct lin_history h;
};

/* An interval in which nothing is said about reads of an inode. */
struct zone {
	uint64_t ino, from, to;
};

struct judge {
	struct write_op *writes;	/* by value */
	struct read_op *reads;
	size_t nr_reads, cap_reads;
	struct object *objects;
	struct zone *zones;
	size_t nr_zones;
	uint32_t cell, cells;
	uint32_t unit;			/* cells of an object: of a chunk, or 1 */
	uint64_t slowest, failed, left_out;
	int bad, undecided;
};

static void *must(void *p)
{
	if (p)
		return p;
	fprintf(stderr, "flint-chaos-judge: out of memory\n");
	exit(2);
}

static void wrong(struct judge *j, const char *what, uint64_t value, uint64_t ino, uint64_t at)
{
	char v[32];

	printf("inode %" PRIu64 " cell %" PRIu64 ": %s (%s)\n", ino, at, what, lin_value(value, v));
	j->bad++;
}

/* ---- reading ------------------------------------------------------------ */

static uint64_t parse_value(const char *text)
{
	unsigned int a = 0, b = 0;

	return sscanf(text, "%u.%u", &a, &b) == 2 ? (uint64_t)a << 32 | b : 0;
}

static struct write_op *write_find(struct judge *j, uint64_t value)
{
	struct write_op *w;

	HASH_FIND(hh, j->writes, &value, sizeof(value), w);
	return w;
}

static void called(struct judge *j, char kind, const char *line)
{
	struct write_op *w = must(calloc(1, sizeof(*w)));
	char value[32];
	int n = 0;

	w->kind = kind;
	w->ret = LIN_NEVER;
	w->at = LIN_NEVER;
	if (kind == 'w')
		n = sscanf(line, "%31s %" SCNu64 " %" SCNu64 " %u %" SCNu64, value, &w->ino, &w->at,
			   &w->count, &w->inv) == 5;
	else if (kind == 'a')
		n = sscanf(line, "%31s %" SCNu64 " %u %" SCNu64, value, &w->ino, &w->count,
			   &w->inv) == 4;
	else
		n = sscanf(line, "%31s %" SCNu64 " %" SCNu64 " %" SCNu64, value, &w->ino, &w->at,
			   &w->inv) == 4;
	w->value = n ? parse_value(value) : 0;
	if (!w->value) {
		free(w);
		return;			/* the last line of a load that was killed */
	}
	HASH_ADD(hh, j->writes, value, sizeof(w->value), w);
}

static void returned(struct judge *j, char kind, const char *line)
{
	char value[32];
	uint64_t ret, at = 0;
	struct write_op *w;

	if (sscanf(line, "%31s %" SCNu64 " %" SCNu64, value, &ret, &at) < (kind == 'p' ? 3 : 2))
		return;
	w = write_find(j, parse_value(value));
	if (!w)
		return;
	w->ret = ret;
	if (kind == 'p')
		w->at = at;
	if (ret - w->inv > j->slowest)
		j->slowest = ret - w->inv;
}

static void seen_add(struct read_op *r, uint64_t value, uint32_t place, uint32_t n)
{
	uint32_t i;

	r->seen = must(realloc(r->seen, (r->count + n) * sizeof(*r->seen)));
	for (i = 0; i < n; i++)
		r->seen[r->count++] = (struct seen){ value, value ? place + i : 0 };
}

static void was_read(struct judge *j, char *line)
{
	struct read_op r = { 0 };
	unsigned int a, b, place, n;
	int skip = 0;
	char *word;

	if (sscanf(line, "%u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 "%n", &r.client, &r.ino,
		   &r.at, &r.inv, &r.ret, &skip) != 5)
		return;
	for (word = strtok(line + skip, " \n"); word; word = strtok(NULL, " \n")) {
		if (sscanf(word, "%u.%u+%ux%u", &a, &b, &place, &n) == 4)
			seen_add(&r, (uint64_t)a << 32 | b, place, n);
		else if (sscanf(word, "0x%u", &n) == 1)
			seen_add(&r, 0, 0, n);
		else if (sscanf(word, "Tx%u", &n) == 1)
			seen_add(&r, LIN_TORN, 0, n);
	}
	if (!r.count)
		return;
	if (r.ret - r.inv > j->slowest)
		j->slowest = r.ret - r.inv;
	if (j->nr_reads == j->cap_reads) {
		j->cap_reads = j->cap_reads * 2 + 1024;
		j->reads = must(realloc(j->reads, j->cap_reads * sizeof(*j->reads)));
	}
	j->reads[j->nr_reads++] = r;
}

static bool header(struct judge *j, const char *line)
{
	uint32_t cell, cells, unit;

	if (sscanf(line, "%u %u %u", &cell, &cells, &unit) != 3 || !cells ||
	    (unit != 1 && unit != cells))
		return false;
	if (j->cells && (j->cells != cells || j->cell != cell || j->unit != unit))
		return false;
	j->cell = cell;
	j->cells = cells;
	j->unit = unit;
	return true;
}

static bool load(struct judge *j, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	bool ok = f;

	while (ok && (len = getline(&line, &cap, f)) > 2) {
		if (line[len - 1] != '\n')
			break;		/* half a line: killed there */
		switch (line[0]) {
		case 'h': ok = header(j, line + 2); break;
		case 'w': case 'a': case 'z': called(j, line[0], line + 2); break;
		case 'k': case 'p': returned(j, line[0], line + 2); break;
		case 'r': was_read(j, line + 2); break;
		case 'e': case 'f': j->failed++; break;
		case 'x': printf("client %s", line + 2); j->bad++; break;
		}
	}
	if (!ok)
		fprintf(stderr, "flint-chaos-judge: %s cannot be read, or is of another kind\n", path);
	free(line);
	if (f)
		fclose(f);
	return ok;
}

/* ---- objects ------------------------------------------------------------ */

static struct object *object_of(struct judge *j, uint64_t ino, uint64_t nr)
{
	struct object *o, key = { .key = { ino, nr } };

	HASH_FIND(hh, j->objects, &key.key, sizeof(key.key), o);
	if (!o) {
		o = must(calloc(1, sizeof(*o)));
		o->key.ino = ino;
		o->key.nr = nr;
		o->h.cells = j->unit;
		HASH_ADD(hh, j->objects, key, sizeof(o->key), o);
	}
	return o;
}

/* Add what of an operation on cells [@at, @at + @count) lies in each chunk. */
static void split(struct judge *j, const struct lin_op *op, uint64_t ino, uint64_t at,
		  uint64_t count)
{
	uint64_t done, n, i;

	for (done = 0; done < count; done += n) {
		struct lin_op part = *op;

		part.first = (at + done) % j->unit;
		n = j->unit - part.first < count - done ? j->unit - part.first : count - done;
		part.count = n;
		if (op->seen) {
			part.seen = must(malloc(n * sizeof(*part.seen)));
			for (i = 0; i < n; i++)
				part.seen[i] = op->seen[done + i];
		}
		if (!lin_add(&object_of(j, ino, (at + done) / j->unit)->h, &part))
			must(NULL);
	}
}

/* Cells that stand at the wrong place; where appends of unknown place went. */
static void place_reads(struct judge *j)
{
	size_t i;
	uint32_t c;

	for (i = 0; i < j->nr_reads; i++)
		for (c = 0; c < j->reads[i].count; c++) {
			const struct read_op *r = &j->reads[i];
			const struct seen *s = &r->seen[c];
			struct write_op *w;

			if (!s->value || s->value == LIN_TORN)
				continue;
			w = write_find(j, s->value);
			if (w && w->ino == r->ino && w->at == LIN_NEVER && r->at + c >= s->place)
				w->at = r->at + c - s->place;
			if (!w)
				wrong(j, "nobody wrote this", s->value, r->ino, r->at + c);
			else if (w->ino != r->ino || w->at + s->place != r->at + c)
				wrong(j, "this was written elsewhere", s->value, r->ino, r->at + c);
		}
}

static bool overlap(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return a <= d && c <= b;
}

/* Truncations, and the writes at the same time as one of them. */
static void find_zones(struct judge *j)
{
	struct write_op *w, *t;
	size_t i, nr;

	j->zones = must(malloc((HASH_COUNT(j->writes) + 1) * sizeof(*j->zones)));
	HASH_ITER(hh, j->writes, w, t)
		if (w->kind == 'z')
			j->zones[j->nr_zones++] = (struct zone){ w->ino, w->inv, w->ret };
	nr = j->nr_zones;
	HASH_ITER(hh, j->writes, w, t)
		for (i = 0; w->kind != 'z' && i < nr; i++)
			if (j->zones[i].ino == w->ino &&
			    overlap(j->zones[i].from, j->zones[i].to, w->inv, w->ret)) {
				j->zones[j->nr_zones++] = (struct zone){ w->ino, w->inv, w->ret };
				break;
			}
}

static bool in_zone(const struct judge *j, const struct read_op *r)
{
	size_t i;

	for (i = 0; i < j->nr_zones; i++)
		if (j->zones[i].ino == r->ino &&
		    overlap(j->zones[i].from, j->zones[i].to, r->inv, r->ret))
			return true;
	return false;
}

static void build(struct judge *j)
{
	struct write_op *w, *t;
	struct object *o, *o2;
	size_t i;
	uint32_t c;

	HASH_ITER(hh, j->writes, w, t) {
		struct lin_op op = { .kind = LIN_WRITE, .client = w->value >> 32, .inv = w->inv,
				     .ret = w->ret, .value = w->value };

		if (w->kind != 'z' && w->at != LIN_NEVER)
			split(j, &op, w->ino, w->at, w->count);
	}
	for (i = 0; i < j->nr_reads; i++) {
		struct read_op *r = &j->reads[i];
		struct lin_op op = { .kind = LIN_READ, .client = r->client, .inv = r->inv,
				     .ret = r->ret };

		if (in_zone(j, r)) {
			j->left_out++;
			continue;
		}
		op.seen = must(malloc(r->count * sizeof(*op.seen)));
		for (c = 0; c < r->count; c++)
			op.seen[c] = r->seen[c].value;
		split(j, &op, r->ino, r->at, r->count);
		free(op.seen);
	}
	/* A truncation reaches every chunk that anybody ever touched. */
	HASH_ITER(hh, j->writes, w, t)
		HASH_ITER(hh, j->objects, o, o2) {
			uint64_t first = o->key.nr * j->unit, end = first + j->unit;
			struct lin_op op = { .kind = LIN_ZERO, .client = w->value >> 32,
					     .inv = w->inv, .ret = w->ret };

			if (w->kind != 'z' || w->ino != o->key.ino || w->at >= end)
				continue;
			op.first = w->at > first ? w->at - first : 0;
			op.count = j->unit - op.first;
			if (!lin_add(&o->h, &op))
				must(NULL);
		}
}

/* ---- verdict ------------------------------------------------------------ */

static void judge_object(struct judge *j, const struct object *o)
{
	struct lin_result res;

	lin_check(&o->h, LIN_STEPS, &res);
	if (res.verdict == LIN_UNDECIDED) {
		j->undecided++;
		printf("inode %" PRIu64 " from byte %" PRIu64 " on, %zu operations: %s\n",
		       o->key.ino, o->key.nr * j->unit * j->cell, o->h.nr, res.why);
	} else if (res.verdict != LIN_YES) {
		j->bad++;
		printf("inode %" PRIu64 " from byte %" PRIu64 " on, %zu operations: %s\n",
		       o->key.ino, o->key.nr * j->unit * j->cell, o->h.nr, res.why);
		if (res.cell >= 0)
			printf("the block is cell %" PRIu64 " of the file, byte %" PRIu64 "\n",
			       o->key.nr * j->unit + (uint64_t)res.cell,
			       (o->key.nr * j->unit + (uint64_t)res.cell) * j->cell);
		lin_print(stdout, &res.core);
	}
	lin_result_free(&res);
}

static void judge_free(struct judge *j)
{
	struct write_op *w, *t;
	struct object *o, *o2;
	size_t i;

	HASH_ITER(hh, j->writes, w, t) {
		HASH_DEL(j->writes, w);
		free(w);
	}
	HASH_ITER(hh, j->objects, o, o2) {
		HASH_DEL(j->objects, o);
		lin_free(&o->h);
		free(o);
	}
	for (i = 0; i < j->nr_reads; i++)
		free(j->reads[i].seen);
	free(j->reads);
	free(j->zones);
}

int main(int argc, char **argv)
{
	struct judge j = { 0 };
	struct object *o, *t;
	double limit = 0;
	int i = 1, bad;

	if (argc > 2 && !strcmp(argv[1], "--slowest")) {
		limit = atof(argv[2]);
		i = 3;
	}
	if (i >= argc) {
		fprintf(stderr, "usage: flint-chaos-judge [--slowest SECONDS] HISTORY...\n");
		return 2;
	}
	for (; i < argc; i++)
		if (!load(&j, argv[i])) {
			judge_free(&j);
			return 2;
		}
	place_reads(&j);
	find_zones(&j);
	if (j.cells)
		build(&j);
	HASH_ITER(hh, j.objects, o, t)
		judge_object(&j, o);
	if (limit && (double)j.slowest / 1e9 > limit) {
		printf("an operation took %.1f s, allowed are %.1f s\n", (double)j.slowest / 1e9,
		       limit);
		j.bad++;
	}
	printf("%u writes, %zu reads (%" PRIu64 " not judged), %" PRIu64 " of unknown outcome, %u %s, the slowest took %.1f s: %s\n",
	       HASH_COUNT(j.writes), j.nr_reads, j.left_out, j.failed, HASH_COUNT(j.objects), j.unit == 1 ? "blocks" : "chunks",
	       (double)j.slowest / 1e9, j.bad ? "NOT LINEARIZABLE" : j.undecided ? "not all decided" : "linearizable");
	bad = j.bad || !j.nr_reads ? 1 : j.undecided ? 3 : 0;
	judge_free(&j);
	return bad;
}
