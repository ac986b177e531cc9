// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands that make something: the cluster key, targets, file systems.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../userd/base/key.h"
#include "cli.h"
#include "httpauth.h"

/* ---- cluster ---------------------------------------------------------- */

int cli_cluster_init(struct cli *c)
{
	const char *dir = cli_opt(c, CLI_OPT_STATE), *path = cli_opt(c, CLI_OPT_KEY);
	char def[4096], err[CLI_ERR_LEN];
	uint8_t key[FLINT_KEY_LEN];

	if (dir && path)
		return cli_fail("give --key or --state, not both");
	if (dir)
		snprintf(def, sizeof(def), "%s/cluster.key", dir);
	if (!path)
		path = dir ? def : FLINT_KEY_FILE;
	if (!dir && !cli_opt(c, CLI_OPT_KEY))
		mkdir("/etc/flintfs", 0755);	/* what fails here is told by the next step */
	if (flint_key_create(path, key, err, sizeof(err)))
		return cli_fail("%s", err);
	explicit_bzero(key, sizeof(key));
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"key\": \"%s\"}\n", path);
	else
		printf("%s made: copy it to every machine of the cluster, mode 0600\n", path);
	return 0;
}

int cli_cluster_metrics_token(struct cli *c)
{
	char token[FLINT_HTTP_MAC_HEX + 1];

	flint_key_metrics_token(c->key, token);
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"token\": \"%s\"}\n", token);
	else
		puts(token);
	return 0;
}

/* ---- targets ---------------------------------------------------------- */

/* The smallest id above all that the manager knows. Return: 0 or 1 after a message. */
static int cli_target_next_id(struct cli *c, uint64_t *id)
{
	json_t *all = cli_api(c, "GET", "/v1/targets", NULL), *t;
	size_t i;

	if (!all)
		return 1;
	*id = 1;
	json_array_foreach(json_object_get(all, "targets"), i, t) {
		uint64_t n = json_integer_value(json_object_get(t, "id"));

		if (n >= *id)
			*id = n + 1;
	}
	json_decref(all);
	return 0;
}

int cli_target_add(struct cli *c)
{
	char *prog = NULL, *argv[10], id_text[24], err[CLI_ERR_LEN];
	const char *path = c->words[0], *size = cli_opt(c, CLI_OPT_SIZE);
	const char *crc = cli_opt(c, CLI_OPT_CRC_BLOCK);
	uint64_t id, bytes;
	struct stat st;
	int n = 0;

	if (cli_size(c, CLI_OPT_SIZE, "size", 0, &bytes) ||
	    cli_number(c, CLI_OPT_ID, "id", 0, 1, UINT32_MAX, &id))
		return 1;
	if (!stat(path, &st) && !S_ISBLK(st.st_mode))
		return cli_fail("%s exists already: choose another path, or remove it if its data may go",
				path);
	if (stat(path, &st) && !size)
		return cli_fail("%s is no block device: say how large the file shall be with --size",
				path);
	if (!id && cli_target_next_id(c, &id))
		return 1;
	prog = up_find_program("flint-chunkd");
	if (!prog)
		return cli_fail("flint-chunkd is neither beside this program nor in PATH: install it");
	snprintf(id_text, sizeof(id_text), "%llu", (unsigned long long)id);
	argv[n++] = prog;
	argv[n++] = (char *)"--format";
	argv[n++] = (char *)path;
	argv[n++] = (char *)"--id";
	argv[n++] = id_text;
	if (size) {
		argv[n++] = (char *)"--size";
		argv[n++] = (char *)size;
	}
	if (crc) {
		argv[n++] = (char *)"--crc-block";
		argv[n++] = (char *)crc;
	}
	argv[n] = NULL;
	n = up_run(argv, err, sizeof(err));
	free(prog);
	if (n)
		return cli_fail("%s was not made a target: %s", path, err);
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"path\": \"%s\", \"id\": %s}\n", path, id_text);
	else
		printf("%s is target %s now: add --target %s to its chunk server, restart that, then run 'flint chain create'\n",
		       path, id_text, path);
	return 0;
}

/* ---- file systems ------------------------------------------------------ */

int cli_fs_create(struct cli *c)
{
	const char *mode = cli_opt(c, CLI_OPT_MODE), *name = c->words[0];
	uint64_t chunk, stripe;
	unsigned long bits = 0755;
	json_t *body, *out;
	char *end;

	if (cli_size(c, CLI_OPT_CHUNK_SIZE, "chunk-size", 0, &chunk) ||
	    cli_number(c, CLI_OPT_STRIPE, "stripe", 0, 1, 256, &stripe))
		return 1;
	if (mode) {
		bits = strtoul(mode, &end, 8);
		if (*end || !*mode || bits > 07777)
			return cli_fail("--mode takes an octal number such as 755, not '%s'", mode);
	}
	body = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "name", name, "chunk_size",
			 (json_int_t)chunk, "stripe", (json_int_t)stripe, "mode",
			 (json_int_t)bits, "uid", (json_int_t)getuid(), "gid",
			 (json_int_t)getgid());
	if (!body)
		return cli_fail("'%s' is no text: a file system's name has letters, digits, dots, dashes and underscores",
				name);
	out = cli_api(c, "POST", "/v1/fs", body);
	if (!out)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(out);
	else
		printf("file system %s %s (id %" JSON_INTEGER_FORMAT ")\n", name,
		       json_is_true(json_object_get(out, "existed")) ? "is there already" : "made",
		       json_integer_value(json_object_get(out, "id")));
	json_decref(out);
	return 0;
}
