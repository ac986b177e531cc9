// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Raft core in the simulated world: as many runs as asked for, a seed each.
 *
 *   raft_sim [--first SEED] [--runs N] [--seconds S] [--trace]
 *
 * The first violation ends it with status 1; it names the seed and how to see
 * what happened. Status 0: none.
 */
#include <stdlib.h>
#include <time.h>

#include "world.h"

struct options {
	u64 first, runs;
	double seconds;
	bool trace;
};

static int options_parse(struct options *o, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--trace"))
			o->trace = true;
		else if (!strcmp(argv[i], "--first") && i + 1 < argc)
			o->first = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--runs") && i + 1 < argc)
			o->runs = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			o->seconds = atof(argv[++i]);
		else
			return -1;
	}
	return 0;
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void report(const struct world_stats *s, double t)
{
	printf("%llu runs, %llu steps in %.1f s of CPU: %.0f steps/s\n",
	       (unsigned long long)s->runs, (unsigned long long)s->steps, t, s->steps / t);
	printf("%llu messages, %llu committed, %llu elections, %llu reads (%llu by lease), "
	       "%llu truncations\n", (unsigned long long)s->messages, (unsigned long long)s->commits,
	       (unsigned long long)s->elections, (unsigned long long)s->reads,
	       (unsigned long long)s->lease_reads, (unsigned long long)s->truncations);
	printf("%llu crashes, %llu lost disks, %llu snapshots sent, %llu changes of members, "
	       "%llu transfers\n", (unsigned long long)s->crashes, (unsigned long long)s->wipes,
	       (unsigned long long)s->snapshots, (unsigned long long)s->confs,
	       (unsigned long long)s->transfers);
}

int main(int argc, char **argv)
{
	struct options o = { .first = 1, .runs = 100 };
	struct world *w = calloc(1, sizeof(*w));
	double start = cpu_seconds();
	u64 i;

	if (!w || options_parse(&o, argc, argv)) {
		fprintf(stderr, "usage: raft_sim [--first SEED] [--runs N] [--seconds S] [--trace]\n");
		return 2;
	}
	w->trace = o.trace;
	for (i = 0; i < o.runs && !w->failure[0]; i++) {
		world_run(w, o.first + i);
		if (o.seconds && cpu_seconds() - start > o.seconds)
			break;
	}
	report(&w->st, cpu_seconds() - start);
	if (w->failure[0])
		printf("seed %llu: %s\nsee it with: %s --first %llu --runs 1 --trace\n",
		       (unsigned long long)w->seed, w->failure, argv[0], (unsigned long long)w->seed);
	i = !!w->failure[0];
	world_free(w);
	free(w);
	return i;
}
