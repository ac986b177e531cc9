// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands that ask chunk servers directly: scrub, and the comparison of all
 * replicas of a chain.
 *
 * Where a target is comes from the map. A comparison lists the chunks of every
 * replica, range by range of the order that is common to them, by version, tag,
 * size and the hash of the checksums; nothing of the data travels. What does
 * not agree is asked for again before it is reported: in a cluster that is in
 * use a change may be on its way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../uapi/flintfs/chain.h"
#include "../userd/base/addr.h"
#include "cli_chunk.h"

#define PAGE_LEN	(60u << 10)
#define AGAIN_MAX	6
#define AGAIN_US	300000

/* ---- the chunk servers --------------------------------------------------- */

static json_int_t num(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static json_t *find(json_t *list, json_int_t id)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
		if (num(o, "id") == id)
			return o;
	return NULL;
}

int cli_chunk_open(struct cli *c, struct cli_chunk *k)
{
	memset(k, 0, sizeof(*k));
	k->cli = c;
	k->map = cli_api(c, "GET", "/v1/map", NULL);
	return k->map ? 0 : 1;
}

void cli_chunk_close(struct cli_chunk *k)
{
	unsigned int i;

	for (i = 0; i < k->nr; i++)
		cli_conn_close(k->server[i].conn);
	json_decref(k->map);
}

static bool tcp_address(json_t *node, struct sockaddr_storage *addr)
{
	char err[CLI_ERR_LEN];
	json_t *a;
	size_t i;

	json_array_foreach(json_object_get(node, "addresses"), i, a) {
		const char *s = json_string_value(a);

		if (s && !strncmp(s, "tcp ", 4) &&
		    !flint_addr_parse(s + 4, 0, addr, err, sizeof(err)))
			return true;
	}
	return false;
}

/* The connection to a target's server. NULL: there is no way to it. */
static struct cli_conn *server_of(struct cli_chunk *k, uint32_t target)
{
	json_t *t = find(json_object_get(k->map, "targets"), target);
	json_int_t id = t ? num(t, "node") : 0;
	json_t *node = find(json_object_get(k->map, "nodes"), id);
	struct sockaddr_storage addr;
	unsigned int i;

	for (i = 0; i < k->nr; i++)
		if (k->server[i].node == (uint32_t)id)
			return k->server[i].conn;
	if (!node || k->nr == CLI_SERVERS_MAX || !tcp_address(node, &addr))
		return NULL;
	k->server[k->nr].node = (uint32_t)id;
	k->server[k->nr].conn = cli_conn_open(k->cli, &addr);
	return k->server[k->nr++].conn;
}

int cli_chunk_ask(struct cli_chunk *k, uint32_t target, struct cli_rpc *call, char *err,
		  size_t errlen)
{
	struct cli_conn *cn = server_of(k, target);
	int ret = cn ? cli_conn_call(cn, call) : -ENOTCONN;

	if (!ret && call->status)
		ret = -flint_status_errno(call->status);
	if (ret)
		snprintf(err, errlen, "the chunk server of target %u does not answer: %s", target,
			 strerror(-ret));
	return ret;
}

/* ---- scrub --------------------------------------------------------------- */

static const char *const scrub_states[] = { "idle", "running", "stopped", "held" };
static const char *const scrub_results[] = { "open", "repaired", "lost", "gone" };
static const char *const scrub_own[] = { "superblock", "log", "checkpoint" };

static const char *name_of(const char *const *names, uint32_t nr, uint32_t v)
{
	return v < nr ? names[v] : "?";
}

struct scrub_target {
	struct flint_scrub_rep rep;
	struct flint_scrub_found found[64];
	uint32_t nr;
};

static int scrub_ask(struct cli_chunk *k, uint32_t target, uint32_t op, struct scrub_target *s)
{
	struct flint_scrub req = {
		.target = cpu_to_le32(target), .op = cpu_to_le32(op),
		.max_len = cpu_to_le32(sizeof(s->found)),
	};
	struct cli_rpc call = {
		.op = FLINT_OP_SCRUB, .body = &req, .body_len = sizeof(req), .rep = &s->rep,
		.rep_size = sizeof(s->rep), .rep_min = sizeof(s->rep), .in = s->found,
		.in_len = sizeof(s->found),
	};
	char err[CLI_ERR_LEN];

	if (cli_chunk_ask(k, target, &call, err, sizeof(err)))
		return cli_fail("%s", err);
	s->nr = call.in_got / sizeof(s->found[0]);
	return 0;
}

static json_t *scrub_json(uint32_t target, const struct scrub_target *s)
{
	const struct flint_scrub_rep *r = &s->rep;
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < s->nr; i++) {
		const struct flint_scrub_found *f = &s->found[i];

		if (!f->ino) {
			json_array_append_new(list, json_pack("{s:I, s:s, s:I, s:I, s:s}",
				"nr", (json_int_t)le64_to_cpu(f->nr), "structure",
				name_of(scrub_own, 3, le32_to_cpu(f->index)),
				"offset", (json_int_t)le32_to_cpu(f->offset) * 4096,
				"found", (json_int_t)le64_to_cpu(f->when_s), "result",
				name_of(scrub_results, 4, le32_to_cpu(f->result))));
			continue;
		}
		json_array_append_new(list, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
			"nr", (json_int_t)le64_to_cpu(f->nr), "fs", (json_int_t)le32_to_cpu(f->fs),
			"inode", (json_int_t)le64_to_cpu(f->ino),
			"chunk", (json_int_t)le32_to_cpu(f->index),
			"offset", (json_int_t)le32_to_cpu(f->offset),
			"length", (json_int_t)le32_to_cpu(f->length),
			"found", (json_int_t)le64_to_cpu(f->when_s), "result",
			name_of(scrub_results, 4, le32_to_cpu(f->result))));
	}
	return json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
		"target", (json_int_t)target,
		"state", name_of(scrub_states, 4, le32_to_cpu(r->state)),
		"done", (json_int_t)le64_to_cpu(r->done), "total", (json_int_t)le64_to_cpu(r->total),
		"chunks", (json_int_t)le64_to_cpu(r->chunks),
		"began", (json_int_t)le64_to_cpu(r->began_s),
		"ended", (json_int_t)le64_to_cpu(r->ended_s),
		"next", (json_int_t)le64_to_cpu(r->next_s),
		"errors", (json_int_t)le64_to_cpu(r->errors),
		"repaired", (json_int_t)le64_to_cpu(r->repaired),
		"lost", (json_int_t)le64_to_cpu(r->lost),
		"period", (json_int_t)le64_to_cpu(r->period_s), "found", list);
}

static void when(const char *what, __le64 stamp)
{
	time_t t = (time_t)le64_to_cpu(stamp);
	char text[32];
	struct tm tm;

	if (t && localtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm))
		printf(", %s %s", what, text);
}

static void scrub_print(uint32_t target, const struct scrub_target *s)
{
	const struct flint_scrub_rep *r = &s->rep;
	uint64_t total = le64_to_cpu(r->total), done = le64_to_cpu(r->done);
	uint32_t i, state = le32_to_cpu(r->state);

	printf("target %u: %s", target, name_of(scrub_states, 4, state));
	if (state == FLINT_SCRUB_RUNNING || state == FLINT_SCRUB_HELD)
		printf(" (%u %%)", total ? (unsigned int)(done < total ? done * 100 / total : 99) : 0);
	if (state != FLINT_SCRUB_RUNNING)
		when("last pass ended", r->ended_s);
	when("next pass", r->next_s);
	printf("; damaged blocks found since the server started: %llu, repaired: %llu, lost: %llu\n",
	       (unsigned long long)le64_to_cpu(r->errors),
	       (unsigned long long)le64_to_cpu(r->repaired),
	       (unsigned long long)le64_to_cpu(r->lost));
	for (i = 0; i < s->nr; i++) {
		const struct flint_scrub_found *f = &s->found[i];

		if (!f->ino) {
			printf("  %s, at %llu of the target: %s\n",
			       name_of(scrub_own, 3, le32_to_cpu(f->index)),
			       (unsigned long long)le32_to_cpu(f->offset) * 4096,
			       name_of(scrub_results, 4, le32_to_cpu(f->result)));
			continue;
		}
		printf("  file system %u inode %llu chunk %u, %u bytes at %u: %s\n",
		       le32_to_cpu(f->fs), (unsigned long long)le64_to_cpu(f->ino),
		       le32_to_cpu(f->index), le32_to_cpu(f->length), le32_to_cpu(f->offset),
		       name_of(scrub_results, 4, le32_to_cpu(f->result)));
	}
}

static int scrub_all(struct cli *c, uint32_t op)
{
	json_t *out = json_array(), *t;
	struct cli_chunk k;
	uint64_t only;
	int ret = 0, asked = 0;
	size_t i;

	if (cli_number(c, CLI_OPT_TARGET, "target", 0, 1, ~0u, &only) || cli_chunk_open(c, &k)) {
		json_decref(out);
		return 1;
	}
	json_array_foreach(json_object_get(k.map, "targets"), i, t) {
		uint32_t id = (uint32_t)num(t, "id");
		struct scrub_target s = { 0 };

		if (only && id != only)
			continue;
		asked++;
		if (scrub_ask(&k, id, op, &s)) {
			ret = 1;
			continue;
		}
		if (cli_opt(c, CLI_OPT_JSON))
			json_array_append_new(out, scrub_json(id, &s));
		else
			scrub_print(id, &s);
		if (op == FLINT_SCRUB_STATUS && le64_to_cpu(s.rep.lost))
			ret = 1;
	}
	if (!asked)
		ret = only ? cli_fail("there is no target %llu", (unsigned long long)only) :
			     cli_fail("there are no targets yet");
	if (cli_opt(c, CLI_OPT_JSON)) {
		json_t *all = json_pack("{s:O}", "targets", out);

		cli_print_json(all);
		json_decref(all);
	}
	json_decref(out);
	cli_chunk_close(&k);
	return ret;
}

int cli_scrub_start(struct cli *c)
{
	return scrub_all(c, FLINT_SCRUB_START);
}

int cli_scrub_status(struct cli *c)
{
	return scrub_all(c, FLINT_SCRUB_STATUS);
}

int cli_scrub_stop(struct cli *c)
{
	return scrub_all(c, FLINT_SCRUB_STOP);
}

/* ---- comparison ---------------------------------------------------------- */

struct replica {
	uint32_t target;
	__le64 sums[FLINT_SYNC_RANGES];
	struct flint_sync_chunk *list;		/* of the present range */
	uint32_t nr, cap;
};

struct compare {
	struct cli_chunk *k;
	struct replica *r;
	uint32_t nr;
	uint64_t chunks, differ;
	json_t *out;
};

static int sync_ask(struct cli_chunk *k, uint32_t target, struct flint_sync *req, void *in,
		    uint32_t in_len, struct flint_sync_rep *rep, uint32_t *got)
{
	struct cli_rpc call = {
		.op = FLINT_OP_SYNC, .body = req, .body_len = sizeof(*req), .rep = rep,
		.rep_size = sizeof(*rep), .rep_min = sizeof(*rep), .in = in, .in_len = in_len,
		.timeout_ms = 10000,
	};
	char err[CLI_ERR_LEN];

	req->target = cpu_to_le32(target);
	req->max_len = cpu_to_le32(in_len);
	if (cli_chunk_ask(k, target, &call, err, sizeof(err)))
		return cli_fail("%s", err);
	*got = call.in_got;
	return 0;
}

static int list_range(struct compare *cmp, struct replica *r, uint32_t range)
{
	struct flint_sync req = {
		.op = cpu_to_le32(FLINT_SYNC_CHUNKS), .range = cpu_to_le32(range),
	};
	struct flint_sync_rep rep;
	uint32_t got, per = PAGE_LEN / sizeof(*r->list);

	r->nr = 0;
	do {
		if (r->cap - r->nr < per) {
			void *p = realloc(r->list, (r->cap + 2 * per) * sizeof(*r->list));

			if (!p)
				return cli_fail("out of memory");
			r->list = p;
			r->cap += 2 * per;
		}
		if (sync_ask(cmp->k, r->target, &req, &r->list[r->nr],
			     per * (uint32_t)sizeof(*r->list), &rep, &got))
			return 1;
		r->nr += got / (uint32_t)sizeof(*r->list);
		req.cursor = rep.cursor;
	} while (rep.cursor);
	return 0;
}

static const struct flint_sync_chunk *listed(const struct replica *r,
					     const struct flint_sync_chunk *c)
{
	uint32_t i;

	for (i = 0; i < r->nr; i++)
		if (r->list[i].ino == c->ino && r->list[i].fs == c->fs &&
		    r->list[i].index == c->index)
			return &r->list[i];
	return NULL;
}

static bool same(const struct flint_chunk_got *a, const struct flint_chunk_got *b)
{
	return a->version == b->version && a->tag == b->tag && a->size == b->size &&
	       a->gen == b->gen && a->crcs == b->crcs;
}

/* What every replica says of one chunk now. Return: 0 equal, 1 not, -1 after a message. */
static int chunk_now(struct compare *cmp, const struct flint_sync_chunk *c,
		     struct flint_chunk_got *got)
{
	char err[CLI_ERR_LEN];
	uint32_t i;
	int ret = 0;

	for (i = 0; i < cmp->nr; i++) {
		struct flint_chunk_get req = {
			.target = cpu_to_le32(cmp->r[i].target), .fs = c->fs, .ino = c->ino,
			.index = c->index,
		};
		struct cli_rpc call = {
			.op = FLINT_OP_CHUNK_GET, .body = &req, .body_len = sizeof(req),
			.rep = &got[i], .rep_size = sizeof(got[i]), .rep_min = sizeof(got[i]),
		};

		if (cli_chunk_ask(cmp->k, cmp->r[i].target, &call, err, sizeof(err))) {
			cli_fail("%s", err);
			return -1;
		}
		if (!same(&got[i], &got[0]))
			ret = 1;
	}
	return ret;
}

static void report(struct compare *cmp, const struct flint_sync_chunk *c,
		   const struct flint_chunk_got *got)
{
	json_t *list = json_array();
	uint32_t i;

	cmp->differ++;
	for (i = 0; i < cmp->nr; i++) {
		char tag[20], crcs[20];

		snprintf(tag, sizeof(tag), "%016llx", (unsigned long long)le64_to_cpu(got[i].tag));
		snprintf(crcs, sizeof(crcs), "%016llx",
			 (unsigned long long)le64_to_cpu(got[i].crcs));
		json_array_append_new(list, json_pack("{s:I, s:I, s:s, s:I, s:I, s:s}",
			"target", (json_int_t)cmp->r[i].target,
			"version", (json_int_t)le64_to_cpu(got[i].version), "tag", tag,
			"size", (json_int_t)le32_to_cpu(got[i].size),
			"generation", (json_int_t)le32_to_cpu(got[i].gen), "content", crcs));
	}
	json_array_append_new(cmp->out, json_pack("{s:I, s:I, s:I, s:o}",
		"fs", (json_int_t)le32_to_cpu(c->fs), "inode", (json_int_t)le64_to_cpu(c->ino),
		"chunk", (json_int_t)le32_to_cpu(c->index), "replicas", list));
}

/* A chunk that the lists do not agree on. Return: 0, or 1 after a message. */
static int look_again(struct compare *cmp, const struct flint_sync_chunk *c)
{
	struct flint_chunk_got got[FLINT_CHAIN_MAX];
	int i, ret = 1;

	for (i = 0; i < AGAIN_MAX && ret == 1; i++) {
		if (i)
			usleep(AGAIN_US);
		ret = chunk_now(cmp, c, got);
	}
	if (ret == 1)
		report(cmp, c, got);
	return ret < 0;
}

static bool agree(const struct flint_sync_chunk *a, const struct flint_sync_chunk *b)
{
	return a && b && a->version == b->version && a->tag == b->tag && a->gen == b->gen &&
	       a->size == b->size && a->crcs == b->crcs;
}

static int compare_range(struct compare *cmp, uint32_t range)
{
	uint32_t i, j, at;

	for (i = 0; i < cmp->nr; i++)
		if (list_range(cmp, &cmp->r[i], range))
			return 1;
	cmp->chunks += cmp->r[0].nr;
	for (at = 0; at < cmp->r[0].nr; at++) {
		const struct flint_sync_chunk *c = &cmp->r[0].list[at];

		for (i = 1; i < cmp->nr && agree(c, listed(&cmp->r[i], c)); i++)
			;
		if (i < cmp->nr && look_again(cmp, c))
			return 1;
	}
	for (i = 1; i < cmp->nr; i++)	/* what only a later one has */
		for (at = 0; at < cmp->r[i].nr; at++) {
			const struct flint_sync_chunk *c = &cmp->r[i].list[at];

			for (j = 0; j < i && !listed(&cmp->r[j], c); j++)
				;
			if (j == i && look_again(cmp, c))
				return 1;
		}
	return 0;
}

static int compare_ranges(struct compare *cmp)
{
	struct flint_sync req = { .op = cpu_to_le32(FLINT_SYNC_SUMS) };
	struct flint_sync_rep rep;
	uint32_t i, range, got;

	for (i = 0; i < cmp->nr; i++) {
		if (sync_ask(cmp->k, cmp->r[i].target, &req, cmp->r[i].sums,
			     sizeof(cmp->r[i].sums), &rep, &got))
			return 1;
		if (got != sizeof(cmp->r[i].sums))
			return cli_fail("target %u sent no sums", cmp->r[i].target);
	}
	for (range = 0; range < FLINT_SYNC_RANGES; range++) {
		for (i = 0; i < cmp->nr && !cmp->r[i].sums[range]; i++)
			;
		if (i < cmp->nr && compare_range(cmp, range))
			return 1;
	}
	return 0;
}

/* The serving targets of a chain; the others are named. */
static void replicas(struct compare *cmp, json_t *chain, json_t *left_out)
{
	json_t *t;
	size_t i;

	cmp->nr = 0;
	json_array_foreach(json_object_get(chain, "targets"), i, t) {
		const char *state = json_string_value(json_object_get(t, "state"));

		if (state && !strcmp(state, "serving") && cmp->nr < FLINT_CHAIN_MAX)
			cmp->r[cmp->nr++].target = (uint32_t)num(t, "id");
		else
			json_array_append(left_out, t);
	}
}

static void compare_print(json_t *res)
{
	json_t *d, *r;
	size_t i, j;

	printf("chain %lld: %lld chunks on %zu replicas, %lld differ\n",
	       (long long)num(res, "id"), (long long)num(res, "chunks"),
	       json_array_size(json_object_get(res, "compared")), (long long)num(res, "differ"));
	json_array_foreach(json_object_get(res, "not_compared"), i, r)
		printf("  target %lld is %s: not compared\n", (long long)num(r, "id"),
		       json_string_value(json_object_get(r, "state")));
	json_array_foreach(json_object_get(res, "differences"), i, d) {
		printf("  file system %lld inode %lld chunk %lld:\n", (long long)num(d, "fs"),
		       (long long)num(d, "inode"), (long long)num(d, "chunk"));
		json_array_foreach(json_object_get(d, "replicas"), j, r)
			printf("    target %lld: version %lld tag %s, %lld bytes, content %s\n",
			       (long long)num(r, "target"), (long long)num(r, "version"),
			       json_string_value(json_object_get(r, "tag")),
			       (long long)num(r, "size"),
			       json_string_value(json_object_get(r, "content")));
	}
}

/* One chain. Return: its result, or NULL after a message. */
static json_t *compare_chain(struct cli_chunk *k, json_t *chain)
{
	struct replica *r = calloc(FLINT_CHAIN_MAX, sizeof(*r));
	struct compare cmp = { .k = k, .r = r, .out = json_array() };
	json_t *left_out = json_array(), *ids = json_array(), *res = NULL;
	uint32_t i;

	if (!r) {
		cli_fail("out of memory");
		goto out;
	}
	replicas(&cmp, chain, left_out);
	for (i = 0; i < cmp.nr; i++)
		json_array_append_new(ids, json_integer(r[i].target));
	if (!cmp.nr || !compare_ranges(&cmp))
		res = json_pack("{s:I, s:I, s:O, s:O, s:I, s:I, s:O}", "id", num(chain, "id"),
				"version", num(chain, "version"), "compared", ids,
				"not_compared", left_out, "chunks", (json_int_t)cmp.chunks,
				"differ", (json_int_t)cmp.differ, "differences", cmp.out);
	for (i = 0; i < FLINT_CHAIN_MAX; i++)
		free(r[i].list);
out:
	free(r);
	json_decref(left_out);
	json_decref(ids);
	json_decref(cmp.out);
	return res;
}

int cli_chain_compare(struct cli *c)
{
	json_int_t only = c->nr_words ? strtoll(c->words[0], NULL, 10) : 0, differ = 0;
	json_t *all = json_array(), *chain, *res;
	struct cli_chunk k;
	int ret = 0, seen = 0;
	size_t i;

	if (c->nr_words && only <= 0) {
		json_decref(all);
		return cli_fail("'%s' is not a chain's number", c->words[0]);
	}
	if (cli_chunk_open(c, &k)) {
		json_decref(all);
		return 1;
	}
	json_array_foreach(json_object_get(k.map, "chains"), i, chain) {
		if (only && num(chain, "id") != only)
			continue;
		seen++;
		res = compare_chain(&k, chain);
		if (!res) {
			ret = 1;
			break;
		}
		differ += num(res, "differ");
		if (!cli_opt(c, CLI_OPT_JSON))
			compare_print(res);
		json_array_append_new(all, res);
	}
	if (only && !seen)
		ret = cli_fail("there is no chain %lld", (long long)only);
	if (cli_opt(c, CLI_OPT_JSON) && !ret) {
		json_t *out = json_pack("{s:O, s:b}", "chains", all, "equal", !differ);

		cli_print_json(out);
		json_decref(out);
	} else if (differ) {
		cli_fail("replicas differ: if the cluster is in use, stop its clients and compare again");
	}
	json_decref(all);
	cli_chunk_close(&k);
	return ret || differ;
}
