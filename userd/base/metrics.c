// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Prometheus text; see metrics.h. What the kernel knows of the process is read
 * from /proc each time somebody asks.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "conf.h"
#include "metrics.h"

void flint_hist_sum(struct flint_hist_sum *sum, const struct flint_hist *h)
{
	unsigned int i;

	sum->sum_ns += flint_counted(&h->sum_ns);
	for (i = 0; i < FLINT_HIST_BUCKETS; i++) {
		uint64_t n = flint_counted(&h->n[i]);

		sum->n[i] += n;
		sum->count += n;
	}
}

/* ---- text --------------------------------------------------------------- */

void flint_metric_head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void flint_metric_u64(FILE *f, const char *name, const char *labels, uint64_t value)
{
	if (labels)
		fprintf(f, "%s{%s} %llu\n", name, labels, (unsigned long long)value);
	else
		fprintf(f, "%s %llu\n", name, (unsigned long long)value);
}

void flint_metric_real(FILE *f, const char *name, const char *labels, double value)
{
	if (labels)
		fprintf(f, "%s{%s} %.9g\n", name, labels, value);
	else
		fprintf(f, "%s %.9g\n", name, value);
}

void flint_metric_one(FILE *f, const char *name, const char *type, const char *help,
		      uint64_t value)
{
	flint_metric_head(f, name, type, help);
	flint_metric_u64(f, name, NULL, value);
}

void flint_metric_hist(FILE *f, const char *name, const char *labels,
		       const struct flint_hist_sum *sum)
{
	const char *comma = labels ? "," : "";
	uint64_t n = 0;
	unsigned int i;

	labels = labels ? labels : "";
	for (i = 0; i < FLINT_HIST_BUCKETS - 1; i++) {
		n += sum->n[i];
		fprintf(f, "%s_bucket{%s%sle=\"%.9g\"} %llu\n", name, labels, comma,
			(double)flint_hist_bound(i) / 1e9, (unsigned long long)n);
	}
	fprintf(f, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
		(unsigned long long)sum->count);
	fprintf(f, *labels ? "%s_sum{%s} %.9g\n" : "%s_sum%s %.9g\n", name, labels,
		(double)sum->sum_ns / 1e9);
	fprintf(f, *labels ? "%s_count{%s} %llu\n" : "%s_count%s %llu\n", name, labels,
		(unsigned long long)sum->count);
}

const char *flint_metric_label(const char *text, char *out, size_t len)
{
	size_t n = 0;

	for (; *text && n + 3 <= len; text++) {
		if (*text == '\\' || *text == '"' || *text == '\n')
			out[n++] = '\\';
		out[n++] = *text == '\n' ? 'n' : *text;
	}
	out[n] = 0;
	return out;
}

/* ---- the process -------------------------------------------------------- */

static unsigned int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n > 3 ? n - 3 : 0;	/* ".", ".." and the directory itself */
}

static uint64_t resident_bytes(void)
{
	unsigned long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Seconds since 1970 at which the process began. */
static double start_time(void)
{
	unsigned long long ticks = 0;
	FILE *f = fopen("/proc/self/stat", "re");
	struct timespec boot, wall;
	char line[1024], *p = NULL;

	if (f) {
		p = fgets(line, sizeof(line), f);
		fclose(f);
	}
	/* The name in parentheses may hold anything. */
	p = p ? strrchr(line, ')') : NULL;
	if (!p || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
			 "%*d %*d %*d %llu", &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &wall);
	return (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9 +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void collect_process(const struct flint_metrics *m, FILE *f)
{
	struct rusage ru;
	char labels[128];

	getrusage(RUSAGE_SELF, &ru);
	flint_metric_head(f, "flint_build_info", "gauge", "Program and version, always 1.");
	snprintf(labels, sizeof(labels), "program=\"%s\",version=\"%s\"",
		 m->program ? m->program : "flint", FLINT_VERSION);
	flint_metric_u64(f, "flint_build_info", labels, 1);
	flint_metric_head(f, "process_cpu_seconds_total", "counter",
			  "User and system CPU time in seconds.");
	flint_metric_real(f, "process_cpu_seconds_total", NULL,
			  (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
			  (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
	flint_metric_one(f, "process_resident_memory_bytes", "gauge", "Resident memory.",
			 resident_bytes());
	flint_metric_one(f, "process_open_fds", "gauge", "Open file descriptors.", open_files());
	flint_metric_head(f, "process_start_time_seconds", "gauge",
			  "When the process began, in seconds since 1970.");
	fprintf(f, "process_start_time_seconds %.2f\n", start_time());
}

void flint_metrics_add(struct flint_metrics *m, struct flint_collector *c)
{
	if (!m->last)
		m->last = &m->first;
	c->next = NULL;
	*m->last = c;
	m->last = &c->next;
}

char *flint_metrics_text(const struct flint_metrics *m, size_t *len)
{
	const struct flint_collector *c;
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (!f)
		return NULL;
	collect_process(m, f);
	for (c = m->first; c; c = c->next)
		c->fn(c->arg, f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
