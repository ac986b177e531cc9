// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests of the flint command to the manager: where it is, which key to
 * sign with (httpauth.h), and words for everything that can go wrong.
 *
 * Settings, first found wins: --dir, --mgr and --key; FLINTFS_DIR, FLINTFS_MGR
 * and FLINTFS_KEY; the section [flint] of /etc/flintfs/flint.conf; this machine
 * and /etc/flintfs/cluster.key.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "../userd/base/conf.h"
#include "../userd/base/key.h"
#include "cli.h"
#include "httpauth.h"

#define CLI_CONF_FILE		"/etc/flintfs/flint.conf"
#define CLI_CONNECT_MS		5000L
#define CLI_TOTAL_MS		45000L
#define CLI_PROBE_MS		1500L		/* for one of several managers to show that it lives */
#define CLI_REPLY_MAX		(64u << 20)
#define CLI_HOPS		4		/* from manager to manager */
#define CLI_ELECT_MS		8000		/* how long managers may be without a leader */

struct cli_settings {
	char *mgr;
	char *key;
};

static const struct flint_conf_opt cli_conf_opts[] = {
	{ "mgr", 0, FLINT_CONF_STR, offsetof(struct cli_settings, mgr), NULL, NULL, NULL, 0, 0, 0 },
	{ "key", 0, FLINT_CONF_STR, offsetof(struct cli_settings, key), NULL, NULL, NULL, 0, 0, 0 },
	{ 0 },
};

static const struct flint_conf_spec cli_conf_spec = {
	.prog = "flint",
	.opts = cli_conf_opts,
};

static char *cli_dup(const char *s)
{
	char *d = strdup(s);

	if (!d)
		abort();
	return d;
}

static int cli_settings_read(struct cli_settings *s, const char *path, bool must)
{
	char err[CLI_ERR_LEN] = "";
	int ret = flint_conf_read_file(&cli_conf_spec, path, s, NULL, err, sizeof(err));

	if (ret == -ENOENT && !must)
		return 0;
	if (ret == -ENOENT)
		return cli_fail("%s does not exist: name a directory made by 'flint up'", path);
	if (ret)
		return cli_fail("%s", err[0] ? err : strerror(-ret));
	return 0;
}

/**
 * cli_api_setup() - find manager and key
 *
 * Return: 0, or 1 after a message.
 */
int cli_api_setup(struct cli *c)
{
	const char *dir = cli_opt(c, CLI_OPT_DIR), *mgr = cli_opt(c, CLI_OPT_MGR);
	const char *key = cli_opt(c, CLI_OPT_KEY);
	struct cli_settings s = { 0 };
	char err[CLI_ERR_LEN], path[4096];
	int ret = 1;

	if (!dir && !mgr && !key)
		dir = getenv("FLINTFS_DIR");
	snprintf(path, sizeof(path), "%s/flint.conf", dir ? dir : "");
	if (cli_settings_read(&s, dir ? path : CLI_CONF_FILE, dir != NULL))
		goto out;
	if (!mgr && !dir)
		mgr = getenv("FLINTFS_MGR");
	if (!key && !dir)
		key = getenv("FLINTFS_KEY");
	c->mgr = cli_dup(mgr ? mgr : s.mgr ? s.mgr : "127.0.0.1");
	c->key_file = cli_dup(key ? key : s.key ? s.key : FLINT_KEY_FILE);
	if (flint_key_load(c->key_file, c->key, err, sizeof(err))) {
		cli_fail("%s", err);
		goto out;
	}
	c->have_key = true;
	ret = 0;
out:
	flint_conf_free(&cli_conf_spec, &s);
	return ret;
}

void cli_api_end(struct cli *c)
{
	free(c->mgr);
	free(c->key_file);
	explicit_bzero(c->key, sizeof(c->key));
}

/* ---- one exchange ----------------------------------------------------- */

struct cli_reply {
	char *data;
	size_t len;
	char mac[FLINT_HTTP_MAC_HEX + 1];
	struct timespec since;
	bool told, no_leader;
	char leader[128];		/* where the answer sends us */
	const char *where;
};

static size_t cli_reply_data(char *data, size_t size, size_t nr, void *arg)
{
	struct cli_reply *r = arg;
	size_t len = size * nr;
	char *p;

	if (len > CLI_REPLY_MAX - r->len)
		return 0;
	p = realloc(r->data, r->len + len + 1);
	if (!p)
		return 0;
	memcpy(p + r->len, data, len);
	r->data = p;
	r->len += len;
	p[r->len] = 0;
	return len;
}

static size_t cli_reply_header(char *data, size_t size, size_t nr, void *arg)
{
	static const char name[] = FLINT_HTTP_AUTH_HEADER ": v1 ";
	struct cli_reply *r = arg;
	size_t len = size * nr, at = sizeof(name) - 1;

	if (len >= at + FLINT_HTTP_MAC_HEX && !strncasecmp(data, name, at)) {
		memcpy(r->mac, data + at, FLINT_HTTP_MAC_HEX);
		r->mac[FLINT_HTTP_MAC_HEX] = 0;
	}
	return len;
}

/* Whoever waits longer than two seconds is told for what. */
static int cli_reply_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
	struct cli_reply *r = arg;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!r->told && now.tv_sec - r->since.tv_sec >= 2) {
		r->told = true;
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "waiting for the manager at %s ...\n", r->where);
	}
	return 0;
}

static int cli_curl_words(CURLcode rc, const char *where, char *err, size_t errlen)
{
	switch (rc) {
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(err, errlen, "there is no host '%s': check --mgr", where);
		return -ENOENT;
	case CURLE_URL_MALFORMAT:
		snprintf(err, errlen, "'%s' is no address: --mgr takes HOST:PORT", where);
		return -EINVAL;
	case CURLE_COULDNT_CONNECT:
		snprintf(err, errlen,
			 "no manager answers at %s: start flint-mgrd there, or name another with --mgr HOST:PORT",
			 where);
		return -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		snprintf(err, errlen,
			 "the manager at %s did not answer in time: look at its log, or check the network",
			 where);
		return -ETIMEDOUT;
	default:
		snprintf(err, errlen,
			 "what answers at %s is no FlintFS manager (%s): --mgr takes the port of its HTTP API, usually %d",
			 where, curl_easy_strerror(rc), FLINT_PORT_MGR_HTTP);
		return -EPROTO;
	}
}

/* Check the reply's MAC and make JSON of it. */
static int cli_reply_take(struct cli *c, struct cli_reply *r, long code, const char *nonce,
			  json_t **out, char *err, size_t errlen)
{
	char want[FLINT_HTTP_MAC_HEX + 1];
	const char *text;
	json_t *json = r->data ? json_loadb(r->data, r->len, 0, NULL) : NULL;

	flint_http_reply_mac(c->key, code, nonce, r->data, r->len, want);
	text = json_string_value(json_object_get(json, "error"));
	if (code == 307 && !strcmp(want, r->mac))
		snprintf(r->leader, sizeof(r->leader), "%s",
			 json_string_value(json_object_get(json, "leader")) ? : "");
	r->no_leader = json_is_true(json_object_get(json, "no_leader"));
	if (code != 200) {
		snprintf(err, errlen, "%s", text ? text : "the manager's answer makes no sense");
		json_decref(json);
		return code == 401 ? -EACCES : code == 503 ? -EAGAIN : -EREMOTEIO;
	}
	if (!json || strcmp(want, r->mac)) {
		snprintf(err, errlen,
			 "what answers at %s does not hold this cluster's key: check --mgr and --key",
			 r->where);
		json_decref(json);
		return -EPROTO;
	}
	*out = json;
	return 0;
}

/* Add the default port to "host", "::1" or "[::1]"; leave "host:1" alone. */
static void cli_where(const char *mgr, size_t len, char *out, size_t outlen)
{
	const char *colon = memchr(mgr, ':', len);
	bool two = colon && memchr(colon + 1, ':', len - (colon + 1 - mgr));

	if (mgr[0] == '[')
		snprintf(out, outlen, mgr[len - 1] == ']' ? "%.*s:%d" : "%.*s", (int)len, mgr,
			 FLINT_PORT_MGR_HTTP);
	else if (two)
		snprintf(out, outlen, "[%.*s]:%d", (int)len, mgr, FLINT_PORT_MGR_HTTP);
	else
		snprintf(out, outlen, colon ? "%.*s" : "%.*s:%d", (int)len, mgr,
			 FLINT_PORT_MGR_HTTP);
}

static int cli_api_ask(struct cli *c, struct cli_reply *rep, long limit_ms, const char *method,
		       const char *path, const char *body, json_t **out, char *err, size_t errlen)
{
	const char *where = rep->where;
	char auth[256], header[320], url[512], nonce[FLINT_HTTP_NONCE_HEX + 1];
	struct curl_slist *headers = NULL;
	CURL *curl = curl_easy_init();
	long code = 0;
	CURLcode rc;
	int ret;

	if (!curl) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	clock_gettime(CLOCK_MONOTONIC, &rep->since);
	snprintf(url, sizeof(url), "http://%s%s", where, path);
	flint_http_auth_make(c->key, method, path, body, strlen(body), auth, sizeof(auth), nonce);
	snprintf(header, sizeof(header), FLINT_HTTP_AUTH_HEADER ": %s", auth);
	headers = curl_slist_append(headers, header);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
			 limit_ms < CLI_CONNECT_MS ? limit_ms : CLI_CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, limit_ms);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, cli_reply_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, rep);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, cli_reply_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, rep);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, cli_reply_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, rep);
	if (!strcmp(method, "POST")) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	rc = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	if (rc)
		ret = cli_curl_words(rc, where, err, errlen);
	else
		ret = cli_reply_take(c, rep, code, nonce, out, err, errlen);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	free(rep->data);
	return ret;
}

/*
 * One exchange. With several managers to choose from one that is frozen must
 * not hold us up: what every manager answers at once is asked first.
 */
static int cli_api_one(struct cli *c, struct cli_reply *rep, const char *method, const char *path,
		       const char *body, json_t **out, char *err, size_t errlen)
{
	struct cli_reply probe = { .where = rep->where };
	json_t *alive = NULL;
	int ret = 0;

	if (strchr(c->mgr, ','))
		ret = cli_api_ask(c, &probe, CLI_PROBE_MS, "GET", "/v1/replica", "", &alive, err,
				  errlen);
	json_decref(alive);
	return ret ? ret : cli_api_ask(c, rep, CLI_TOTAL_MS, method, path, body, out, err, errlen);
}

/*
 * Ask one manager, and the one it sends us to. *@silent: it did not answer, or
 * there is no leader: the next in the list may do better.
 */
static int cli_api_follow(struct cli *c, const char *where, const char *method, const char *path,
			  const char *body, json_t **out, bool *silent, char *err, size_t errlen)
{
	char at[300];
	int hops, ret = -ELOOP;

	snprintf(at, sizeof(at), "%s", where);
	for (hops = 0; hops < CLI_HOPS; hops++) {
		struct cli_reply r = { .where = at };

		ret = cli_api_one(c, &r, method, path, body, out, err, errlen);
		*silent = ret == -ECONNREFUSED || ret == -ETIMEDOUT || r.no_leader ||
			  (ret && r.leader[0]);
		if (hops && (ret == -ECONNREFUSED || ret == -ETIMEDOUT))
			ret = -EAGAIN;	/* the leader that is meant is gone: there will be another */
		if (!ret || !r.leader[0])
			break;
		snprintf(at, sizeof(at), "%s", r.leader);
	}
	return ret;
}

int cli_api_call(struct cli *c, const char *method, const char *path, json_t *body, json_t **out,
		 char *err, size_t errlen)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : cli_dup("");
	bool silent = false, several = strchr(c->mgr, ',');
	char no_leader[CLI_ERR_LEN] = "";	/* says more than that the others are silent */
	struct timespec since, now;
	const char *p = c->mgr;
	char where[300];
	int ret = -EINVAL;

	json_decref(body);
	*out = NULL;
	snprintf(err, errlen, "no manager is named: use --mgr HOST:PORT");
	if (!text)
		return -ENOMEM;
	clock_gettime(CLOCK_MONOTONIC, &since);
	while (*p) {
		size_t len = strcspn(p, ",");

		if (len) {
			cli_where(p, len, where, sizeof(where));
			ret = cli_api_follow(c, where, method, path, text, out, &silent, err,
					     errlen);
			/* Only silence leads to the next one: an answer is an answer. */
			if (!silent)
				break;
			if (ret == -EAGAIN)
				snprintf(no_leader, sizeof(no_leader), "%s", err);
		}
		p += len + (p[len] == ',');
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (!*p && no_leader[0] && several &&
		    (now.tv_sec - since.tv_sec) * 1000 < CLI_ELECT_MS) {
			usleep(300000);		/* they may be electing one */
			p = c->mgr;
		}
	}
	free(text);
	if (ret && silent && no_leader[0]) {
		snprintf(err, errlen, "%s", no_leader);
		ret = -EAGAIN;
	}
	return ret;
}

json_t *cli_api(struct cli *c, const char *method, const char *path, json_t *body)
{
	char err[CLI_ERR_LEN];
	json_t *out;

	if (cli_api_call(c, method, path, body, &out, err, sizeof(err))) {
		cli_fail("%s", err);
		return NULL;
	}
	return out;
}
