/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flint bench meta and flint bench data: what their files offer each other.
 *
 *	hist.c		latencies and their percentiles
 *	load.c		the load generator: clients, requests in flight, one loop
 *	cluster.c	clusters of real daemons to measure, their CPU and memory
 *	leased.c	calls that need no request
 *	yard.c		yardsticks: fsync, files on the local disk, SQLite
 *	works.c		the works that are measured
 *	report.c	rows, the table, the JSON
 *	dataload.c	load on the data path; netyard.c: what TCP and the disk can do
 *	data.c		the works of the data path; simrows.c: those that are simulated
 *	machine.c	where it was measured
 *
 * Everything is measured from the outside: daemons as 'flint up' starts them,
 * over TCP sockets, with their state on the disk under test.
 */
#ifndef FLINT_BENCH_H
#define FLINT_BENCH_H

#include <jansson.h>
#include <limits.h>

#include "../../userd/net/net.h"

#define BENCH_ERR_LEN	512
#define BENCH_METAS_MAX	5
#define BENCH_CHUNKS_MAX	16

/* ---- hist.c ----------------------------------------------------------- */

#define BENCH_SUB	64	/* steps in each power of two: 1.6 % */
#define BENCH_BUCKETS	(36 * BENCH_SUB)

/* Times in nanoseconds, up to 18 minutes. */
struct bench_hist {
	uint64_t n, sum, max;
	uint32_t bucket[BENCH_BUCKETS];
};

void bench_hist_add(struct bench_hist *h, uint64_t ns);
void bench_hist_merge(struct bench_hist *h, const struct bench_hist *from);
/* The time that @part (0..1) of the samples do not exceed, in microseconds. */
double bench_hist_us(const struct bench_hist *h, double part);

/* ---- cluster.c -------------------------------------------------------- */

/**
 * struct bench_cluster - a running cluster of this machine
 * @dir: its directory, as given to 'flint up'
 * @mgr: TCP address of its manager
 * @metas, @nr_metas: TCP addresses of its metadata servers
 * @names, @pids: their processes
 * @chunk_pids, @nr_chunks: chunk servers
 */
struct bench_cluster {
	char dir[PATH_MAX];
	uint8_t key[FLINT_KEY_LEN];
	char mgr[64];
	struct sockaddr_storage metas[BENCH_METAS_MAX];
	char names[BENCH_METAS_MAX][32];
	int pids[BENCH_METAS_MAX];
	unsigned int nr_metas;
	int chunk_pids[BENCH_CHUNKS_MAX];
	unsigned int nr_chunks;
};

/* Start one with @replicas metadata servers in the new directory @dir. 0 or -errno. */
int bench_cluster_start(struct bench_cluster *c, const char *dir, unsigned int replicas,
			char *err, size_t errlen);
/* The same with @servers chunk servers, one target of @size bytes each, chains of @copies. */
int bench_cluster_start_data(struct bench_cluster *c, const char *dir, unsigned int servers,
			     unsigned int copies, uint64_t size, char *err, size_t errlen);
/* Start again what does not run. 0 or -errno. */
int bench_cluster_again(struct bench_cluster *c, char *err, size_t errlen);
/* CPU time of all chunk servers since they were started, seconds; nanoseconds count. */
double bench_cluster_chunk_cpu(const struct bench_cluster *c);
/* GET @path of the managers' API. Return: what they say, or NULL with a sentence. */
json_t *bench_cluster_ask(const struct bench_cluster *c, const char *path, char *err,
			  size_t errlen);
/* Stop it; @keep: leave its directory. */
void bench_cluster_stop(struct bench_cluster *c, bool keep);
/* CPU time of all metadata servers since they were started, seconds. */
double bench_cluster_cpu(const struct bench_cluster *c);
/* Largest resident set among the metadata servers, bytes: now, and its peak. */
void bench_cluster_memory(const struct bench_cluster *c, uint64_t *now, uint64_t *peak);
/* Bytes that the first metadata server takes on disk: @all, and of it @db, all but its log. */
void bench_cluster_disk(const struct bench_cluster *c, uint64_t *all, uint64_t *db);
/* Remove a directory with all that is in it. */
void bench_remove(const char *dir);

/* ---- load.c ----------------------------------------------------------- */

enum bench_op {
	BENCH_PING,
	BENCH_CREATE,
	BENCH_LOOKUP,
	BENCH_GETATTR,
	BENCH_READDIR,
	BENCH_UNLINK,
};

/**
 * struct bench_job - requests to send
 * @op: what
 * @dir: directory
 * @first, @count: numbers of the files: CREATE and UNLINK go through them once,
 *	LOOKUP and GETATTR pick any
 * @ops: LOOKUP, GETATTR, PING, READDIR: how many requests
 * @cookie: READDIR: where the page begins
 * @inos: inode numbers by number of the file: CREATE stores, GETATTR asks
 * @tell: called each second with the number of answers, may be NULL
 */
struct bench_job {
	enum bench_op op;
	uint64_t dir;
	uint64_t first, count;
	uint64_t ops;
	uint64_t cookie;
	uint64_t *inos;
	void (*tell)(void *arg, uint64_t done, uint64_t of);
	void *arg;
};

/**
 * struct bench_result - what came of it
 * @entries, @last_cookie: READDIR: of the last page
 * @load_cpu_s: CPU time of the load generator
 */
struct bench_result {
	uint64_t ops, retries;
	double seconds;
	double load_cpu_s, server_cpu_s;
	uint32_t entries;
	bool eof;
	uint64_t last_cookie;
	struct bench_hist lat;
};

struct bench_load;

/* Connect @clients, each with a session and @depth requests in flight. NULL and a sentence. */
struct bench_load *bench_load_open(const struct bench_cluster *c, const char *fs,
				   unsigned int clients, unsigned int depth,
				   char *err, size_t errlen);
void bench_load_close(struct bench_load *l);
/* Make a directory below the root. 0 with *@ino, or -errno and a sentence. */
int bench_load_mkdir(struct bench_load *l, const char *name, uint64_t *ino,
		     char *err, size_t errlen);
/* Return: 0, -EAGAIN when the leader changed meanwhile, or -errno; with a sentence. */
int bench_load_run(struct bench_load *l, const struct bench_job *job, struct bench_result *res,
		   char *err, size_t errlen);

/* ---- dataload.c, netyard.c ---------------------------------------------- */

/**
 * struct bench_djob - requests to send
 * @write, @random: what, where
 * @block: bytes of each; @size: of the file
 * @depth: requests in flight
 * @ms: how long; 0: each block once, in order
 */
struct bench_djob {
	bool write, random;
	size_t block;
	uint64_t size;
	unsigned int depth, ms;
};

struct bench_dload;

/* A session, and a file in the root that is made if need be. NULL and a sentence. */
struct bench_dload *bench_dload_open(const struct bench_cluster *c, const char *name,
				     char *err, size_t errlen);
void bench_dload_close(struct bench_dload *l);
/* Return: 0, or -errno with a sentence. */
int bench_dload_run(struct bench_dload *l, const struct bench_djob *job, struct bench_result *res,
		    char *err, size_t errlen);
/* Two processes and one TCP connection that move as much in as many messages. */
int bench_yard_net(const struct bench_djob *job, struct bench_result *res, char *err,
		   size_t errlen);
/* fio on the file yard.dat in @dir. @job->ms 0: fill it. */
int bench_yard_disk(const char *dir, const struct bench_djob *job, struct bench_result *res,
		    char *err, size_t errlen);

/* ---- leased.c --------------------------------------------------------- */

enum bench_leased_op {
	BENCH_LEASED_STAT,
	BENCH_LEASED_OPEN,		/* and close */
	BENCH_LEASED_CREATE,		/* by delegation; the last ones told, too */
};

/* @count calls by one client under leases; @requests sent for them. */
int bench_leased(const struct bench_cluster *c, enum bench_leased_op op, uint64_t count,
		 struct bench_result *res, uint64_t *requests, char *err, size_t errlen);

/* ---- yard.c ----------------------------------------------------------- */

/* Overwrite 4 KiB and fdatasync(), again and again for @ms. */
int bench_yard_fsync(const char *dir, unsigned int ms, struct bench_hist *lat,
		     char *err, size_t errlen);
/* @threads create files and fsync() each, @count in all. @rate: a second. */
int bench_yard_files(const char *dir, unsigned int threads, uint64_t count, double *rate,
		     char *err, size_t errlen);
/* A table of names and one of inodes, @count files, @batch in each durable transaction. */
int bench_yard_sqlite(const char *dir, unsigned int batch, uint64_t count, double *creates,
		      double *lookups, char *err, size_t errlen);

/* ---- report.c --------------------------------------------------------- */

#define BENCH_ROUNDS_MAX	16

/**
 * struct bench_figure - one thing that was measured, ours or a yardstick
 * @name: "create-r1", "sqlite-durable"
 * @value: by round, a second
 * @unit: NULL: operations
 * @more: further members of its row, may be NULL
 */
struct bench_figure {
	char name[40];
	const char *unit;
	double value[BENCH_ROUNDS_MAX];
	unsigned int nr;
	json_t *more;
	struct bench_figure *next;
};

struct bench_report {
	json_t *machine;
	struct bench_figure *figures, **tail;
};

void bench_report_init(struct bench_report *r);
void bench_report_free(struct bench_report *r);
/* The figure of that name, made when there is none. Never NULL. */
struct bench_figure *bench_figure(struct bench_report *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void bench_figure_add(struct bench_figure *f, double value);
/* Latency, CPU and counts of the last round. */
void bench_figure_more(struct bench_figure *f, const struct bench_result *res);
/* A row that holds @ours against @theirs, if both were measured. */
void bench_report_row(struct bench_report *r, json_t *rows, const char *ours, const char *theirs);
void bench_report_print(json_t *doc);
/* The goals of the project, and how far they are reached. */
void bench_report_goals(json_t *doc);

/* ---- works.c ---------------------------------------------------------- */

/**
 * struct bench_options - what to measure
 * @dir: on the disk under test; made if it is missing
 * @clients, @depth: requests in flight are their product
 * @small, @big: files of the small and of the big directory
 * @rounds: of each work on the small directory
 * @replicas: also measure a cluster with three metadata servers
 * @quiet: no progress
 */
struct bench_options {
	const char *dir;
	unsigned int clients, depth, rounds;
	uint64_t small, big;
	bool r1, r3, grow;
	bool keep, quiet;
};

/* ---- machine.c ---------------------------------------------------------- */

/* Kernel, processors, the file system of @dir. */
void bench_machine(json_t *m, const char *dir);

/* ---- simrows.c ---------------------------------------------------------- */

/* Rows of the simulator, all or that one, added to @rows. 0, or -errno with a sentence. */
int bench_sim_rows(const char *only, json_t *rows, char *err, size_t errlen);

/* ---- data.c ------------------------------------------------------------- */

/**
 * struct bench_data_options - what to measure
 * @dir: on the disk under test; made if it is missing
 * @size: of the files
 * @rounds, @ms: of each work, and how long each takes
 * @only: one work, or NULL
 * @no_sim: without the simulator
 */
struct bench_data_options {
	const char *dir, *only;
	uint64_t size;
	unsigned int rounds, ms;
	bool no_sim, keep, quiet;
};

/* Return: the document for data.json, or NULL after a message. */
json_t *bench_data_run(const struct bench_data_options *o);
/* Return: the document for results.json, or NULL after a message. */
json_t *bench_meta_run(const struct bench_options *o);

#endif /* FLINT_BENCH_H */
