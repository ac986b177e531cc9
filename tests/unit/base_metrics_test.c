// SPDX-License-Identifier: GPL-2.0-or-later
/* Histograms' buckets, and the text that comes of counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "userd/base/metrics.h"

/* Every time is in the first bucket whose bound it does not exceed. */
static void test_buckets(void **state)
{
	uint64_t ns, x = 88172645463325252ull;
	unsigned int i, b, want;

	for (i = 0; i < FLINT_HIST_BUCKETS - 1; i++) {
		assert_int_equal(flint_hist_bucket(flint_hist_bound(i)), i);
		assert_int_equal(flint_hist_bucket(flint_hist_bound(i) + 1), i + 1);
	}
	assert_int_equal(flint_hist_bucket(0), 0);
	assert_int_equal(flint_hist_bucket(UINT64_MAX), FLINT_HIST_BUCKETS - 1);
	for (i = 0; i < 100000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		ns = x >> x % 64;
		b = flint_hist_bucket(ns);
		for (want = 0; want < FLINT_HIST_BUCKETS - 1 && ns > flint_hist_bound(want); want++)
			;
		assert_int_equal(b, want);
	}
}

static void collect(void *arg, FILE *f)
{
	struct flint_hist *h = arg;
	struct flint_hist_sum sum = { 0 };
	char label[32];

	flint_hist_sum(&sum, &h[0]);
	flint_hist_sum(&sum, &h[1]);
	flint_metric_head(f, "flint_test_seconds", "histogram", "Times.");
	flint_metric_hist(f, "flint_test_seconds", "op=\"read\"", &sum);
	flint_metric_hist(f, "flint_test_seconds", NULL, &sum);
	flint_metric_one(f, "flint_test_total", "counter", "Things.", 7);
	flint_metric_head(f, "flint_test_name", "gauge", "A name.");
	flint_metric_real(f, "flint_test_name", "name=\"x\"", 0.25);
	assert_string_equal(flint_metric_label("a\"b\\c\nd", label, sizeof(label)),
			    "a\\\"b\\\\c\\nd");
	assert_string_equal(flint_metric_label("\"\"\"", label, 5), "\\\"\\\"");
}

static void test_text(void **state)
{
	static struct flint_hist h[2];
	struct flint_collector c = { .fn = collect, .arg = h };
	struct flint_metrics m = { .program = "tester" };
	size_t len;
	char *text;

	flint_hist_add(&h[0], 500);
	flint_hist_add(&h[0], 1400);
	flint_hist_add(&h[1], 90000000000ull);
	flint_metrics_add(&m, &c);
	text = flint_metrics_text(&m, &len);
	assert_non_null(text);
	assert_int_equal(strlen(text), len);
	assert_non_null(strstr(text, "# TYPE flint_test_seconds histogram\n"));
	assert_non_null(strstr(text, "flint_test_seconds_bucket{op=\"read\",le=\"1e-06\"} 1\n"));
	assert_non_null(strstr(text, "flint_test_seconds_bucket{op=\"read\",le=\"1.5e-06\"} 2\n"));
	assert_non_null(strstr(text, "flint_test_seconds_bucket{op=\"read\",le=\"67.108864\"} 2\n"));
	assert_non_null(strstr(text, "flint_test_seconds_bucket{op=\"read\",le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(text, "flint_test_seconds_count{op=\"read\"} 3\n"));
	assert_non_null(strstr(text, "flint_test_seconds_sum 90.0000019\n"));
	assert_non_null(strstr(text, "\nflint_test_total 7\n"));
	assert_non_null(strstr(text, "flint_test_name{name=\"x\"} 0.25\n"));
	assert_non_null(strstr(text, "flint_build_info{program=\"tester\","));
	assert_non_null(strstr(text, "\nprocess_cpu_seconds_total "));
	free(text);
}

/* What counting costs, for the curious: not checked. */
static void test_cost(void **state)
{
	static struct flint_hist h;
	struct timespec a, b;
	unsigned int i;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < 1000000; i++)
		flint_hist_add(&h, i & 0xfffff);
	clock_gettime(CLOCK_MONOTONIC, &b);
	print_message("a histogram's addition: %.1f ns\n",
		      ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e6);
	assert_int_equal(flint_counted(&h.n[0]), 1001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
