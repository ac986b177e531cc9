// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See scrape.h. A request is answered at once: text is made while it waits.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <strings.h>
#include "../base/addr.h"
#include "../base/key.h"
#include "../base/log.h"
#include "httpd.h"
#include "scrape.h"

#define SCRAPE_CONNS	16

struct flint_scrape {
	struct flint_httpd http[FLINT_LISTEN_MAX];
	const struct flint_metrics *metrics;
	char token[FLINT_METRICS_TOKEN + 1];
};

static enum MHD_Result answer(struct MHD_Connection *conn, unsigned int code, char *text,
			      enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), text, mode);
	enum MHD_Result ret;

	if (!r) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, "Content-Type", code == MHD_HTTP_OK ?
				"text/plain; version=0.0.4; charset=utf-8" : "text/plain");
	ret = MHD_queue_response(conn, code, r);
	MHD_destroy_response(r);
	return ret;
}

static bool token_ok(const struct flint_scrape *s, struct MHD_Connection *conn)
{
	const char *value = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Authorization");

	return value && !strncasecmp(value, "Bearer ", 7) &&
	       strlen(value + 7) == FLINT_METRICS_TOKEN &&
	       !CRYPTO_memcmp(value + 7, s->token, FLINT_METRICS_TOKEN);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_len, void **state)
{
	static char wrong[] = "metrics are for those who show the token of 'flint cluster metrics-token'\n";
	static char none[] = "there is only GET /metrics here\n";
	struct flint_scrape *s = arg;
	size_t len;
	char *text;

	/* First for the header alone, then without a body that anybody could want. */
	if (!*state) {
		*state = s;
		return MHD_YES;
	}
	if (*upload_len)
		return MHD_NO;
	if (!token_ok(s, conn))
		return answer(conn, MHD_HTTP_UNAUTHORIZED, wrong, MHD_RESPMEM_PERSISTENT);
	if (strcmp(method, "GET") || strcmp(url, "/metrics"))
		return answer(conn, MHD_HTTP_NOT_FOUND, none, MHD_RESPMEM_PERSISTENT);
	text = flint_metrics_text(s->metrics, &len);
	return text ? answer(conn, MHD_HTTP_OK, text, MHD_RESPMEM_MUST_FREE) : MHD_NO;
}

/* Addresses from the option. Return: how many, or -EINVAL. */
static int addresses(const char *where, const struct flint_endpoint *e,
		     struct sockaddr_storage *addrs, char *err, size_t errlen)
{
	unsigned int i;
	char *end;
	long port;

	port = strtol(where, &end, 10);
	if (*end || end == where) {
		if (flint_addr_parse(where, 0, &addrs[0], err, errlen))
			return -EINVAL;
		if (flint_addr_port(&addrs[0]))
			return 1;
		snprintf(err, errlen, "--metrics %s: a port is missing", where);
		return -EINVAL;
	}
	if (port < 0 || port > 65535) {
		snprintf(err, errlen, "--metrics takes [ADDR:]PORT, not '%s'", where);
		return -EINVAL;
	}
	for (i = 0; i < e->nr && port; i++) {
		addrs[i] = e->addrs[i];
		flint_addr_set_port(&addrs[i], (uint16_t)port);
	}
	return port ? (int)e->nr : 0;
}

int flint_scrape_start(struct flint_scrape **out, struct flint_loop *loop, const char *where,
		       const struct flint_endpoint *e, const uint8_t *key,
		       const struct flint_metrics *metrics, char *err, size_t errlen)
{
	struct sockaddr_storage addrs[FLINT_LISTEN_MAX];
	int nr = addresses(where, e, addrs, err, errlen), i, ret;
	char text[FLINT_ADDR_STR];
	struct flint_scrape *s;

	*out = NULL;
	if (nr <= 0)
		return nr;
	s = calloc(1, sizeof(*s));
	if (!s) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	s->metrics = metrics;
	flint_key_metrics_token(key, s->token);
	for (i = 0; i < nr; i++) {
		ret = flint_httpd_start(&s->http[i], loop, &addrs[i], SCRAPE_CONNS, on_request,
					NULL, s);
		flint_addr_format(&addrs[i], text, sizeof(text));
		if (ret)
			flint_warn("metrics cannot be served on %s (%s): choose another address or port with --metrics",
				   text, strerror(-ret));
	}
	*out = s;
	return 0;
}

void flint_scrape_stop(struct flint_scrape *s)
{
	unsigned int i;

	for (i = 0; s && i < FLINT_LISTEN_MAX; i++)
		flint_httpd_stop(&s->http[i]);
	free(s);
}
