// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A workload that notices every lost or invented metadata change.
 *
 *	meta_churn DIR THREADS SECONDS
 *
 * Each thread owns a directory and knows what must be in it: it creates files,
 * writes and reads them, renames and removes them, makes and removes
 * directories, and remembers each change as soon as its system call returned.
 * No call may fail. At the end the directory must hold exactly what was
 * remembered, with the right contents.
 *
 * SIGTERM ends the changes early and begins the final comparison. SIGUSR1 prints "ops N stall_ms M": calls done and the longest one since the
 * last such line. The last line is a summary; exit status 1 when anything was
 * wrong.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLOTS		200
#define BLOCK		4096

/* A name that may be there. @version: of its contents; 0: no file. */
struct entry {
	unsigned int version;
	bool renamed;		/* lies under its other name */
};

struct worker {
	pthread_t thread;
	int dir;
	unsigned int nr, version;
	unsigned int seed;
	struct entry e[SLOTS];
	bool sub[SLOTS];
};

static atomic_ullong ops, stall_ns, worst_ns;
static atomic_bool stop, wrong;

static unsigned long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void bad(const struct worker *w, const char *what, unsigned int slot)
{
	printf("# thread %u: %s %u: %s\n", w->nr, what, slot, strerror(errno));
	fflush(stdout);
	atomic_store(&wrong, true);
	atomic_store(&stop, true);
}

static void max_of(atomic_ullong *v, unsigned long long ns)
{
	unsigned long long old = atomic_load(v);

	while (ns > old && !atomic_compare_exchange_weak(v, &old, ns))
		;
}

static void done(unsigned long long t0)
{
	unsigned long long ns = now_ns() - t0;

	atomic_fetch_add(&ops, 1);
	max_of(&stall_ns, ns);
	max_of(&worst_ns, ns);
}

static const char *name_of(char *buf, unsigned int slot, bool renamed)
{
	sprintf(buf, "%c%u", renamed ? 'r' : 'f', slot);
	return buf;
}

static void fill(const struct worker *w, unsigned int slot, unsigned int version, char *block)
{
	int i, n = snprintf(block, BLOCK, "thread %u file %u version %u\n", w->nr, slot, version);

	for (i = n; i < BLOCK; i++)
		block[i] = (char)('a' + (i + version) % 26);
}

static void write_file(struct worker *w, unsigned int slot)
{
	struct entry *e = &w->e[slot];
	char name[16], block[BLOCK];
	int fd, flags = O_WRONLY | O_CREAT | O_TRUNC | (e->version ? 0 : O_EXCL);

	fd = openat(w->dir, name_of(name, slot, e->renamed), flags, 0644);
	if (fd < 0)
		return bad(w, "create", slot);
	fill(w, slot, ++w->version, block);
	if (write(fd, block, BLOCK) != BLOCK || fsync(fd) || close(fd))
		return bad(w, "write", slot);
	e->version = w->version;
}

static void read_file(struct worker *w, unsigned int slot)
{
	const struct entry *e = &w->e[slot];
	char name[16], block[BLOCK], want[BLOCK];
	int fd = openat(w->dir, name_of(name, slot, e->renamed), O_RDONLY);

	if (!e->version) {
		if (fd >= 0 || errno != ENOENT)
			bad(w, "a file that was removed is there", slot);
		return;
	}
	fill(w, slot, e->version, want);
	if (fd < 0 || read(fd, block, BLOCK) != BLOCK)
		return bad(w, "read", slot);
	if (memcmp(block, want, BLOCK)) {
		errno = EIO;
		bad(w, "contents", slot);
	}
	close(fd);
}

static void rename_file(struct worker *w, unsigned int slot)
{
	struct entry *e = &w->e[slot];
	char from[16], to[16];

	if (!e->version)
		return;
	if (renameat(w->dir, name_of(from, slot, e->renamed), w->dir,
		     name_of(to, slot, !e->renamed)))
		return bad(w, "rename", slot);
	e->renamed = !e->renamed;
}

static void remove_file(struct worker *w, unsigned int slot)
{
	struct entry *e = &w->e[slot];
	char name[16];

	if (!e->version)
		return;
	if (unlinkat(w->dir, name_of(name, slot, e->renamed), 0))
		return bad(w, "unlink", slot);
	e->version = 0;
	e->renamed = false;
}

static void flip_dir(struct worker *w, unsigned int slot)
{
	char name[16];

	sprintf(name, "d%u", slot);
	if (w->sub[slot] ? unlinkat(w->dir, name, AT_REMOVEDIR) : mkdirat(w->dir, name, 0755))
		return bad(w, w->sub[slot] ? "rmdir" : "mkdir", slot);
	w->sub[slot] = !w->sub[slot];
}

static void *run(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&stop)) {
		unsigned int slot = rand_r(&w->seed) % SLOTS, what = rand_r(&w->seed) % 10;
		unsigned long long t0 = now_ns();

		if (what < 4)
			write_file(w, slot);
		else if (what < 6)
			rename_file(w, slot);
		else if (what < 8)
			read_file(w, slot);
		else if (what < 9)
			remove_file(w, slot);
		else
			flip_dir(w, slot);
		done(t0);
	}
	return NULL;
}

/* Exactly what is remembered, and nothing else. */
static void verify(struct worker *w)
{
	unsigned int i, want = 0, got = 0;
	struct dirent *de;
	DIR *d;

	for (i = 0; i < SLOTS; i++) {
		read_file(w, i);
		want += (w->e[i].version != 0) + w->sub[i];
	}
	d = fdopendir(dup(w->dir));
	rewinddir(d);
	while ((de = readdir(d)))
		got += de->d_name[0] != '.';
	closedir(d);
	if (got != want) {
		printf("# thread %u: %u names, must be %u\n", w->nr, got, want);
		atomic_store(&wrong, true);
	}
}

static void *reporter(void *arg)
{
	const sigset_t *set = arg;
	int sig;

	for (;;) {
		sigwait(set, &sig);
		if (sig == SIGTERM) {
			atomic_store(&stop, true);
			continue;
		}
		printf("ops %llu stall_ms %llu\n", atomic_load(&ops),
		       atomic_exchange(&stall_ns, 0) / 1000000);
		fflush(stdout);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned int i, nr = argc > 3 ? atoi(argv[2]) : 0, seconds = argc > 3 ? atoi(argv[3]) : 0;
	struct worker *w = calloc(nr ? nr : 1, sizeof(*w));
	unsigned long long end;
	char path[4096];
	pthread_t t;
	sigset_t set;

	if (!nr || !w)
		return 2;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_create(&t, NULL, reporter, &set);
	for (i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "%s/w%u", argv[1], i);
		w[i].nr = i;
		w[i].seed = i + 1;
		if (mkdir(path, 0755) || (w[i].dir = open(path, O_RDONLY | O_DIRECTORY)) < 0) {
			perror(path);
			return 1;
		}
	}
	for (i = 0; i < nr; i++)
		pthread_create(&w[i].thread, NULL, run, &w[i]);
	end = now_ns() + seconds * 1000000000ull;
	while (!atomic_load(&stop) && now_ns() < end)
		usleep(100000);
	atomic_store(&stop, true);
	for (i = 0; i < nr; i++)
		pthread_join(w[i].thread, NULL);
	for (i = 0; i < nr; i++)
		verify(&w[i]);
	printf("churn: %llu calls, longest %llu ms, %s\n", atomic_load(&ops),
	       atomic_load(&worst_ns) / 1000000, atomic_load(&wrong) ? "WRONG" : "all right");
	return atomic_load(&wrong);
}
