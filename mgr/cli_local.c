// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands about this machine: mounts, versions, shell completion.
 */
#include <dirent.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../userd/base/conf.h"
#include "cli.h"

#define CLI_SYSFS	"/sys/fs/flintfs"
#define CLI_MODULE	"/sys/module/flintfs/version"

/* First line of a small file. Return: was there one? */
static bool cli_read_line(const char *path, char *out, size_t len)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return false;
	ok = fgets(out, len, f);
	fclose(f);
	if (ok)
		out[strcspn(out, "\n")] = 0;
	return ok;
}

/* ---- mounts ----------------------------------------------------------- */

/* Values of one directory of sysfs, sub-directories as objects. */
static json_t *cli_sysfs_dir(const char *path, int depth)
{
	json_t *o = json_object();
	char sub[4096], line[1024];
	struct dirent *e;
	struct stat st;
	DIR *d;

	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (lstat(sub, &st))
			continue;
		if (S_ISDIR(st.st_mode) && depth)
			json_object_set_new(o, e->d_name, cli_sysfs_dir(sub, depth - 1));
		else if (S_ISREG(st.st_mode) && (st.st_mode & 0444) &&
			 cli_read_line(sub, line, sizeof(line)))
			json_object_set_new(o, e->d_name, json_string(line));
	}
	if (d)
		closedir(d);
	return o;
}

/* FlintFS entries of this process's mount table. */
static json_t *cli_mount_table(void)
{
	json_t *list = json_array();
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (f && (m = getmntent(f)))
		if (!strcmp(m->mnt_type, "flintfs"))
			json_array_append_new(list,
				json_pack("{s:s, s:s, s:s}", "source", m->mnt_fsname, "directory",
					  m->mnt_dir, "options", m->mnt_opts));
	if (f)
		endmntent(f);
	return list;
}

json_t *cli_mounts_json(void)
{
	return json_pack("{s:o, s:o}", "mounts", cli_mount_table(), "instances",
			 cli_sysfs_dir(CLI_SYSFS, 3));
}

int cli_mounts(struct cli *c)
{
	json_t *all = cli_mounts_json(), *mounts = json_object_get(all, "mounts");
	json_t *sysfs = json_object_get(all, "instances"), *m, *value, *dir;
	const char *name, *key;
	size_t i;

	if (cli_opt(c, CLI_OPT_JSON)) {
		cli_print_json(all);
		json_decref(all);
		return 0;
	}
	if (!json_array_size(mounts) && !json_object_size(sysfs))
		puts(access("/sys/module/flintfs", F_OK) ?
		     "no FlintFS file system is mounted, and the module is not loaded" :
		     "no FlintFS file system is mounted");
	json_array_foreach(mounts, i, m)
		printf("%s on %s (%s)\n", json_string_value(json_object_get(m, "source")),
		       json_string_value(json_object_get(m, "directory")),
		       json_string_value(json_object_get(m, "options")));
	json_object_foreach(sysfs, name, dir) {
		printf("%s:\n", name);
		if (json_is_object(dir))
			json_object_foreach(dir, key, value)
				if (json_is_string(value))
					printf("  %-20s %s\n", key, json_string_value(value));
	}
	json_decref(all);
	return 0;
}

/* ---- version ---------------------------------------------------------- */

json_t *cli_version_json(void)
{
	bool loaded = !access("/sys/module/flintfs", F_OK);
	char module[128] = "unknown", proto[16];

	if (!cli_read_line(CLI_MODULE, module, sizeof(module)) && !loaded)
		snprintf(module, sizeof(module), "not loaded");
	snprintf(proto, sizeof(proto), "%d.%d", FLINT_PROTO_MAJOR, FLINT_PROTO_MINOR);
	return json_pack("{s:s, s:s, s:s}", "version", FLINT_VERSION, "protocol", proto,
			 "module", module);
}

int cli_version(struct cli *c)
{
	json_t *v = cli_version_json();

	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(v);
	else
		printf("flint %s, protocol %s, kernel module %s\n",
		       json_string_value(json_object_get(v, "version")),
		       json_string_value(json_object_get(v, "protocol")),
		       json_string_value(json_object_get(v, "module")));
	json_decref(v);
	return 0;
}

/* ---- completion ------------------------------------------------------- */

/* Two lines of a case statement: options of a command, and its word in its group. */
static void cli_completion_options(const char *group, const char *name, const char *options)
{
	if (group)
		printf("\t\"%s %s\") words=\"%s\" ;;\n", group, name, options);
	else
		printf("\t\"%s \"*) words=\"%s\" ;;\n", name, options);
}

static void cli_completion_verbs(const char *group, const char *name, const char *options)
{
	if (group)
		printf("\t%s) verbs=\"$verbs %s\" ;;&\n", group, name);
}

static void cli_completion_first(const char *group, const char *name, const char *options)
{
	printf("%s ", group ? group : name);
}

int cli_completion(struct cli *c)
{
	if (strcmp(c->words[0], "bash"))
		return cli_fail("there is completion for bash only, not for '%s'", c->words[0]);
	puts("# bash completion of flint, printed by 'flint completion bash'\n"
	     "_flint()\n{\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
	     "\tcase $prev in\n"
	     "\t--key|--dir|--state) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	     "\tesac");
	printf("\tif ((COMP_CWORD == 1)); then\n\t\twords=\"--help ");
	cli_print_commands(cli_completion_first);
	puts("\"\n\telse\n\tlocal verbs=\n\tcase ${COMP_WORDS[1]} in");
	cli_print_commands(cli_completion_verbs);
	puts("\tesac\n\tcase \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in");
	cli_print_commands(cli_completion_options);
	puts("\t*) words=\"--help\" ;;\n\tesac\n"
	     "\t[[ -n $verbs && $COMP_CWORD == 2 ]] && words=\"--help $verbs\"\n\tfi\n"
	     "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	     "\t[[ $cur != -* && -z $words ]] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
	     "}\ncomplete -o default -F _flint flint");
	return 0;
}
