// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where something was measured.
 */
#include <stdio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bench.h"

static void cpu_model(char *out, size_t len)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(out, len, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "model name", 10) || !strchr(line, ':'))
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(out, len, "%s", strchr(line, ':') + 2);
		break;
	}
	if (f)
		fclose(f);
}

void bench_machine(json_t *m, const char *dir)
{
	struct utsname u = { 0 };
	struct statfs sf = { 0 };
	char text[128];

	uname(&u);
	cpu_model(text, sizeof(text));
	json_object_set_new(m, "kernel", json_string(u.release));
	json_object_set_new(m, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(m, "cpu", json_string(text));
	statfs(dir, &sf);
	snprintf(text, sizeof(text), "type 0x%lx", (unsigned long)sf.f_type);
	json_object_set_new(m, "disk", json_string(sf.f_type == 0xef53 ? "ext4" :
						   sf.f_type == 0x58465342 ? "xfs" : text));
}
