// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Large clusters, by the simulator (flint-datasim): its rows in our form, held
 * against the ideal: all links of all servers busy all the time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../cli.h"
#include "bench.h"

static double number(json_t *row, const char *key)
{
	return json_number_value(json_object_get(row, key));
}

static void take_row(json_t *rows, json_t *sim)
{
	double rate = number(sim, "bytes_per_s") / 1e6, share = number(sim, "share");
	json_t *row = json_pack("{s:O, s:s, s:f, s:s, s:s, s:f, s:f, s:i, s:f, s:f, s:{s:[f], s:[f]}}",
				"work", json_object_get(sim, "work"), "transport", "simulated",
				"ours", rate, "unit", "MB/s", "yardstick", "ideal", "theirs",
				share > 0 ? rate / share : 0, "ratio", share, "rounds", 1,
				"spread", 0.0, "spread_theirs", 0.0, "raw", "ours", rate,
				"theirs", share > 0 ? rate / share : 0);

	json_object_update_missing(row, sim);
	json_array_append_new(rows, row);
}

int bench_sim_rows(const char *only, json_t *rows, char *err, size_t errlen)
{
	char cmd[PATH_MAX + 128], *path = up_find_program("flint-datasim");
	json_t *doc, *row;
	size_t i, n = 0;
	FILE *f;

	if (!path) {
		snprintf(err, errlen, "flint-datasim is neither beside this program nor in PATH");
		return -ENOENT;
	}
	snprintf(cmd, sizeof(cmd), "'%s' --json%s%s", path, only ? " --only=" : "",
		 only ? only : "");
	free(path);
	f = popen(cmd, "re");
	doc = f ? json_loadf(f, 0, NULL) : NULL;
	if (f)
		pclose(f);
	json_array_foreach(json_object_get(doc, "rows"), i, row) {
		take_row(rows, row);
		n++;
	}
	json_decref(doc);
	if (n)
		return 0;
	snprintf(err, errlen, "flint-datasim gave no rows");
	return -EIO;
}
