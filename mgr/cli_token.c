// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint token: make tokens (uapi/flintfs/token.h), look at them, list them,
 * take them back.
 *
 * A token is made here, from the cluster key; the managers keep a record of its
 * claims, never its secret. The record comes first, so that no token is about
 * that 'flint token ls' does not know.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../userd/base/daemon.h"
#include "../userd/base/key.h"
#include "../userd/base/token.h"
#include "cli.h"

#define NOBODY	65534u

/* ---- claims from options ---------------------------------------------- */

/* "90s", "30m", "12h", "30d", "never". Return: seconds, 0 for never; UINT64_MAX: no time. */
static uint64_t cli_token_span(const char *s)
{
	static const struct { char unit; uint64_t seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'y', 365 * 86400 },
	};
	unsigned long long n;
	char *end;
	size_t i;

	if (!strcmp(s, "never"))
		return 0;
	errno = 0;
	n = strtoull(s, &end, 10);
	if (errno || *s < '0' || *s > '9' || !n || n > 1000000000 || !*end || end[1])
		return UINT64_MAX;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (*end == units[i].unit)
			return n * units[i].seconds;
	return UINT64_MAX;
}

static int cli_token_squash(struct cli *c, struct flint_token *t)
{
	const char *ids = cli_opt(c, CLI_OPT_SQUASH_TO);
	unsigned int uid = NOBODY, gid = NOBODY;
	uint32_t flags = le32_to_cpu(t->flags);
	char extra;

	if (cli_opt(c, CLI_OPT_ROOT_SQUASH))
		flags |= FLINT_TOKEN_ROOT_SQUASH;
	if (cli_opt(c, CLI_OPT_ALL_SQUASH))
		flags |= FLINT_TOKEN_ALL_SQUASH;
	if (cli_opt(c, CLI_OPT_ADMIN))
		flags |= FLINT_TOKEN_ADMIN;
	if (ids && sscanf(ids, "%u:%u%c", &uid, &gid, &extra) != 2)
		return cli_fail("--squash-to takes UID:GID, not '%s'", ids);
	if (ids && !(flags & (FLINT_TOKEN_ROOT_SQUASH | FLINT_TOKEN_ALL_SQUASH)))
		return cli_fail("--squash-to goes with --root-squash or --all-squash");
	if (flags & (FLINT_TOKEN_ROOT_SQUASH | FLINT_TOKEN_ALL_SQUASH)) {
		t->squash_uid = cpu_to_le32(uid);
		t->squash_gid = cpu_to_le32(gid);
	}
	t->flags = cpu_to_le32(flags);
	return 0;
}

static int cli_token_path(struct cli *c, struct flint_token_full *t)
{
	const char *path = cli_opt(c, CLI_OPT_PATH);
	size_t len;

	if (!path)
		return 0;
	path += strspn(path, "/");
	len = strlen(path);
	while (len && path[len - 1] == '/')
		len--;
	if (len > FLINT_TOKEN_PATH_MAX)
		return cli_fail("--path may have %d bytes", FLINT_TOKEN_PATH_MAX);
	if (!flint_token_path_ok(path, (uint32_t)len))
		return cli_fail("--path must be a path from the file system's root without '.', '..' and '//'");
	memcpy(t->bytes + sizeof(t->claims), path, len);
	t->claims.path_len = cpu_to_le16((uint16_t)len);
	return 0;
}

/* The id of the file system called --fs. Return: 0, or 1 after a message. */
static int cli_token_fs(struct cli *c, uint32_t *id)
{
	const char *name = cli_opt(c, CLI_OPT_FS) ? : "default";
	json_t *all = cli_api(c, "GET", "/v1/fs", NULL), *f;
	size_t i;

	if (!all)
		return 1;
	*id = 0;
	json_array_foreach(json_object_get(all, "file_systems"), i, f)
		if (!strcmp(json_string_value(json_object_get(f, "name")) ? : "", name))
			*id = (uint32_t)json_integer_value(json_object_get(f, "id"));
	json_decref(all);
	return *id ? 0 : cli_fail("there is no file system '%s': 'flint fs list' shows them", name);
}

static int cli_token_claims(struct cli *c, struct flint_token_full *t)
{
	const char *expires = cli_opt(c, CLI_OPT_EXPIRES), *addr = cli_opt(c, CLI_OPT_ADDRESS);
	uint64_t span = cli_token_span(expires ? expires : "30d"), now = (uint64_t)time(NULL);
	uint32_t fs;

	memset(t, 0, sizeof(*t));
	t->claims.magic = cpu_to_le32(FLINT_TOKEN_MAGIC);
	t->claims.version = FLINT_TOKEN_V1;
	t->claims.fixed_len = cpu_to_le16(sizeof(t->claims));
	if (span == UINT64_MAX)
		return cli_fail("--expires takes a time such as 12h, 30d, 1y or never, not '%s'", expires);
	t->claims.issued = cpu_to_le64(now);
	t->claims.expires = cpu_to_le64(span ? now + span : 0);
	if (addr && flint_token_prefix(addr, &t->claims))
		return cli_fail("--address takes an address or a prefix such as 10.1.0.0/16, not '%s'", addr);
	if (cli_opt(c, CLI_OPT_READ_ONLY))
		t->claims.flags = cpu_to_le32(FLINT_TOKEN_RDONLY);
	if (cli_token_squash(c, &t->claims) || cli_token_path(c, t) || cli_token_fs(c, &fs))
		return 1;
	t->claims.fs = cpu_to_le32(fs);
	/* 53 bits: a number that JSON keeps whole everywhere. */
	do
		t->claims.id = cpu_to_le64(flint_random_u64() >> 11);
	while (!t->claims.id);
	return 0;
}

/* ---- claims in words -------------------------------------------------- */

static const char *cli_token_time(uint64_t t, char out[32])
{
	time_t when = (time_t)t;
	struct tm tm;

	if (!t || !gmtime_r(&when, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M UTC", &tm))
		snprintf(out, 32, "never");
	return out;
}

static json_t *cli_token_json(const struct flint_token *t)
{
	uint32_t flags = le32_to_cpu(t->flags);
	char prefix[FLINT_TOKEN_PREFIX_STR];
	json_t *j;

	j = json_pack("{s:I, s:I, s:s%, s:b, s:b, s:b, s:b, s:I, s:I, s:s}",
		      "id", (json_int_t)le64_to_cpu(t->id), "fs", (json_int_t)le32_to_cpu(t->fs),
		      "path", flint_token_path(t), (size_t)le16_to_cpu(t->path_len),
		      "read_only", !!(flags & FLINT_TOKEN_RDONLY),
		      "root_squash", !!(flags & FLINT_TOKEN_ROOT_SQUASH),
		      "all_squash", !!(flags & FLINT_TOKEN_ALL_SQUASH),
		      "admin", !!(flags & FLINT_TOKEN_ADMIN),
		      "issued", (json_int_t)le64_to_cpu(t->issued),
		      "expires", (json_int_t)le64_to_cpu(t->expires),
		      "address", flint_token_prefix_format(t, prefix));
	if (j && (flags & (FLINT_TOKEN_ROOT_SQUASH | FLINT_TOKEN_ALL_SQUASH)))
		json_object_update_new(j, json_pack("{s:I, s:I}",
				"squash_uid", (json_int_t)le32_to_cpu(t->squash_uid),
				"squash_gid", (json_int_t)le32_to_cpu(t->squash_gid)));
	return j;
}

static void cli_token_words(const struct flint_token *t)
{
	uint32_t flags = le32_to_cpu(t->flags);
	char prefix[FLINT_TOKEN_PREFIX_STR], when[32];

	printf("token        %" PRIu64 "\n", (uint64_t)le64_to_cpu(t->id));
	printf("file system  %u\n", le32_to_cpu(t->fs));
	printf("subtree      /%.*s\n", le16_to_cpu(t->path_len), flint_token_path(t));
	printf("rights       %s%s\n", flags & FLINT_TOKEN_RDONLY ? "read only" : "read and write",
	       flags & FLINT_TOKEN_ADMIN ? ", administration" : "");
	if (flags & (FLINT_TOKEN_ROOT_SQUASH | FLINT_TOKEN_ALL_SQUASH))
		printf("squash       %s act%s as %u:%u\n",
		       flags & FLINT_TOKEN_ALL_SQUASH ? "all users" : "root",
		       flags & FLINT_TOKEN_ALL_SQUASH ? "" : "s", le32_to_cpu(t->squash_uid),
		       le32_to_cpu(t->squash_gid));
	printf("addresses    %s\n", flint_token_prefix_format(t, prefix));
	printf("issued       %s\n", cli_token_time(le64_to_cpu(t->issued), when));
	printf("expires      %s%s\n", cli_token_time(le64_to_cpu(t->expires), when),
	       flint_token_expired(t, (uint64_t)time(NULL)) ? " (it has)" : "");
}

/* ---- create ------------------------------------------------------------ */

/* A new file, mode 0600. Return: descriptor, or -1 after a message. */
static int cli_token_out(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		cli_fail(errno == EEXIST ? "%s exists already: choose another name for the token (%s)" :
			 "cannot write %s: %s", path, strerror(errno));
	return fd;
}

static int cli_token_write(struct cli *c, int fd, const char *path, const char *text)
{
	if (dprintf(fd, "%s\n", text) < 0 || fsync(fd) || close(fd))
		return cli_fail("cannot write %s: %s", path, strerror(errno));
	if (!cli_opt(c, CLI_OPT_JSON))
		printf("%s made: mount with -o token=%s\n", path, path);
	return 0;
}

int cli_token_create(struct cli *c)
{
	const char *note = cli_opt(c, CLI_OPT_NOTE), *path = cli_opt(c, CLI_OPT_OUT);
	char text[FLINT_TOKEN_TEXT_MAX], hex[2 * FLINT_TOKEN_MAX + 1];
	struct flint_token_full t;
	json_t *rep;
	int fd = -1, ret = 1;

	if (cli_token_claims(c, &t))
		return 1;
	if (path) {
		fd = cli_token_out(path);
		if (fd < 0)
			return 1;
	}
	flint_hex_format(t.bytes, flint_token_len(&t.claims), hex);
	rep = cli_api(c, "POST", "/v1/tokens",
		      json_pack("{s:s, s:s}", "claims", hex, "note", note ? note : ""));
	if (!rep)
		goto out;
	json_decref(rep);
	flint_token_secret(c->key, &t.claims, t.secret);
	flint_token_format(&t, text);
	if (cli_opt(c, CLI_OPT_JSON)) {
		rep = cli_token_json(&t.claims);
		if (!path)
			json_object_set_new(rep, "token", json_string(text));
		cli_print_json(rep);
		json_decref(rep);
	} else if (!path) {
		puts(text);
	}
	ret = path ? cli_token_write(c, fd, path, text) : 0;
	fd = -1;
out:
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	explicit_bzero(text, sizeof(text));
	explicit_bzero(&t, sizeof(t));
	return ret;
}

/* ---- show, ls, revoke --------------------------------------------------- */

int cli_token_show(struct cli *c)
{
	struct flint_token_full t;
	char err[CLI_ERR_LEN];
	json_t *j;

	if (flint_token_load(c->words[0], &t, err, sizeof(err)))
		return cli_fail("%s", err);
	explicit_bzero(t.secret, sizeof(t.secret));
	if (cli_opt(c, CLI_OPT_JSON)) {
		j = cli_token_json(&t.claims);
		cli_print_json(j);
		json_decref(j);
	} else {
		cli_token_words(&t.claims);
	}
	return 0;
}

/* A record of the managers: its claims. Return: 0 or -EINVAL. */
static int cli_token_record(json_t *rec, struct flint_token_full *t)
{
	const char *hex = json_string_value(json_object_get(rec, "claims")) ? : "";
	size_t len = strlen(hex);

	memset(t, 0, sizeof(*t));
	if (len % 2 || len / 2 > FLINT_TOKEN_MAX || flint_hex_parse(hex, len, t->bytes, len / 2) ||
	    flint_token_check(t->bytes, (uint32_t)len / 2))
		return -EINVAL;
	return 0;
}

static void cli_token_line(const struct flint_token *t, bool revoked, const char *note)
{
	uint32_t flags = le32_to_cpu(t->flags);
	char prefix[FLINT_TOKEN_PREFIX_STR], when[32];

	printf("%-17" PRIu64 " %-3u %-3s %-8s %-20s %-18s /%.*s%s%s%s\n",
	       (uint64_t)le64_to_cpu(t->id), le32_to_cpu(t->fs),
	       flags & FLINT_TOKEN_RDONLY ? "ro" : "rw",
	       revoked ? "revoked" :
	       flint_token_expired(t, (uint64_t)time(NULL)) ? "expired" : "valid",
	       cli_token_time(le64_to_cpu(t->expires), when),
	       flint_token_prefix_format(t, prefix), le16_to_cpu(t->path_len),
	       flint_token_path(t), *note ? "  (" : "", note, *note ? ")" : "");
}

int cli_token_ls(struct cli *c)
{
	json_t *all = cli_api(c, "GET", "/v1/tokens", NULL), *rec, *list, *out;
	struct flint_token_full t;
	size_t i;

	if (!all)
		return 1;
	list = json_array();
	if (!cli_opt(c, CLI_OPT_JSON))
		printf("%-17s %-3s %-3s %-8s %-20s %-18s %s\n", "TOKEN", "FS", "", "STATE", "EXPIRES",
		       "ADDRESSES", "SUBTREE");
	json_array_foreach(json_object_get(all, "tokens"), i, rec) {
		bool revoked = json_is_true(json_object_get(rec, "revoked"));
		const char *note = json_string_value(json_object_get(rec, "note")) ? : "";

		if (cli_token_record(rec, &t))
			continue;
		if (!cli_opt(c, CLI_OPT_JSON)) {
			cli_token_line(&t.claims, revoked, note);
			continue;
		}
		out = cli_token_json(&t.claims);
		json_object_set_new(out, "revoked", json_boolean(revoked));
		json_object_set_new(out, "note", json_string(note));
		json_array_append_new(list, out);
	}
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(list);
	json_decref(list);
	json_decref(all);
	return 0;
}

int cli_token_revoke(struct cli *c)
{
	bool all = cli_opt(c, CLI_OPT_ALL);
	struct flint_token_full t;
	char err[CLI_ERR_LEN], *end;
	uint64_t id = 0;
	json_t *rep;

	if (all == (c->nr_words == 1))
		return cli_fail("say which token: its number, its file, or --all");
	if (!all) {
		errno = 0;
		id = strtoull(c->words[0], &end, 10);
		if (*end || errno || !id) {
			if (flint_token_load(c->words[0], &t, err, sizeof(err)))
				return cli_fail("%s", err);
			id = le64_to_cpu(t.claims.id);
			explicit_bzero(&t, sizeof(t));
		}
	}
	rep = cli_api(c, "POST", "/v1/tokens/revoke", all ? json_pack("{s:b}", "all", 1) :
		      json_pack("{s:I}", "id", (json_int_t)id));
	if (!rep)
		return 1;
	if (cli_opt(c, CLI_OPT_JSON))
		cli_print_json(rep);
	else if (all)
		puts("all tokens made until now are revoked");
	else
		printf("token %" PRIu64 " is revoked: its clients are refused within seconds\n", id);
	json_decref(rep);
	return 0;
}
