// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manager's HTTP server (net/httpd.h). A request is collected whole, then
 * authenticated (httpauth.h), and only then looked at. A handler may answer
 * later: the connection is suspended meanwhile.
 *
 * States of a request: collecting -> handled (suspended) -> answered. A
 * request that was aborted while its handler works is freed by the answer.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "../userd/base/addr.h"
#include "../userd/base/key.h"
#include "../userd/net/httpd.h"
#include "httpauth.h"
#include "mgrd.h"

#define MGR_HTTP_CONNS		128

enum mgr_http_state {
	MGR_HTTP_COLLECTING,
	MGR_HTTP_HANDLED,
	MGR_HTTP_ANSWERED,
	MGR_HTTP_ABORTED,
};

struct mgr_http {
	struct mgr *mgr;
	struct flint_httpd httpd;
	struct flint_http_replay replay;
};

/* ---- answering -------------------------------------------------------- */

static void mgr_http_req_free(struct mgr_http_req *r)
{
	if (r->response)
		MHD_destroy_response(r->response);
	free(r->method_copy);
	free(r->path_copy);
	free(r->body);
	free(r);
}

/* Send @text, which becomes the response's, and let the connection go on. */
static void mgr_http_send(struct mgr_http_req *r, unsigned int code, char *text, const char *type)
{
	struct mgr_http *h = r->http;
	char mac[FLINT_HTTP_MAC_HEX + 1], header[FLINT_HTTP_MAC_HEX + 8];

	if (r->state == MGR_HTTP_ABORTED) {
		free(text);
		mgr_http_req_free(r);
		return;
	}
	r->code = code;
	r->response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!r->response) {
		free(text);
	} else {
		MHD_add_response_header(r->response, "Content-Type", type);
		if (r->nonce[0]) {
			flint_http_reply_mac(r->mgr->key, code, r->nonce, text, strlen(text), mac);
			snprintf(header, sizeof(header), "v1 %s", mac);
			MHD_add_response_header(r->response, FLINT_HTTP_AUTH_HEADER, header);
		}
	}
	if (r->state == MGR_HTTP_HANDLED) {
		MHD_resume_connection(r->conn);
		flint_httpd_resumed(&h->httpd);
	}
	r->state = MGR_HTTP_ANSWERED;
}

void mgr_http_reply(struct mgr_http_req *r, unsigned int code, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;

	json_decref(json);
	if (!text) {
		text = strdup("{\"error\": \"the manager is out of memory\"}");
		code = MHD_HTTP_INTERNAL_SERVER_ERROR;
		if (!text)
			abort();
	}
	mgr_http_send(r, code, text, "application/json");
}

void mgr_http_reply_text(struct mgr_http_req *r, unsigned int code, char *text)
{
	if (!text)
		return mgr_http_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR,
				      "the manager is out of memory");
	mgr_http_send(r, code, text, "text/plain; version=0.0.4");
}

void mgr_http_error(struct mgr_http_req *r, unsigned int code, const char *fmt, ...)
{
	char text[MGR_ERR_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	mgr_http_reply(r, code, json_pack("{s:s}", "error", text));
}

/* ---- receiving -------------------------------------------------------- */

static bool mgr_http_metrics_ok(struct mgr_http_req *r)
{
	const char *value = MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, "Authorization");
	char token[FLINT_HTTP_MAC_HEX + 1];
	unsigned char diff = 0;
	size_t i;

	if (strcmp(r->method, "GET") || strcmp(r->path, "/metrics") || !value ||
	    strncasecmp(value, "Bearer ", 7) || strlen(value + 7) != FLINT_HTTP_MAC_HEX)
		return false;
	flint_key_metrics_token(r->mgr->key, token);
	for (i = 0; i < FLINT_HTTP_MAC_HEX; i++)
		diff |= token[i] ^ value[7 + i];
	return !diff;
}

/* Return: may this request be handled? If not, it has been answered. */
static bool mgr_http_authentic(struct mgr_http_req *r)
{
	static const char * const words[] = {
		[FLINT_HTTP_NO_AUTH] = "the request carries no authentication: use the flint command with the cluster key",
		[FLINT_HTTP_BAD_MAC] = "the request was signed with another cluster key: copy the key file of this cluster, or name it with --key",
		[FLINT_HTTP_BAD_TIME] = "the clocks of this machine and of the manager differ by more than a minute: set them (timedatectl set-ntp true)",
		[FLINT_HTTP_REPLAY] = "this request was received before and is not taken twice",
		[FLINT_HTTP_BUSY] = "too many requests within a minute: try again later",
	};
	const char *header = MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND,
							 FLINT_HTTP_AUTH_HEADER);
	enum flint_http_verdict v;
	struct timespec ts;

	if (mgr_http_metrics_ok(r))
		return true;
	clock_gettime(CLOCK_REALTIME, &ts);
	v = flint_http_auth_check(r->mgr->key, &r->http->replay,
				  (u64)ts.tv_sec * 1000 + ts.tv_nsec / 1000000, header, r->method,
				  r->path, r->body, r->body_len, r->nonce);
	if (v == FLINT_HTTP_OK)
		return true;
	if (v == FLINT_HTTP_NO_AUTH || v == FLINT_HTTP_BAD_MAC)
		r->nonce[0] = 0;	/* sign nothing for strangers */
	mgr_http_error(r, v == FLINT_HTTP_BUSY ? MHD_HTTP_TOO_MANY_REQUESTS
					       : MHD_HTTP_UNAUTHORIZED, "%s", words[v]);
	return false;
}

static struct mgr_http_req *mgr_http_req_new(struct mgr_http *h, struct MHD_Connection *conn,
					     const char *path, const char *method)
{
	struct mgr_http_req *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->http = h;
	r->mgr = h->mgr;
	r->conn = conn;
	r->method_copy = strdup(method);
	r->path_copy = strdup(path);
	r->method = r->method_copy;
	r->path = r->path_copy;
	r->body = calloc(1, 1);
	if (!r->method || !r->path || !r->body) {
		mgr_http_req_free(r);
		return NULL;
	}
	return r;
}

/* Keep a piece of the body. Return: false when it grows too long. */
static bool mgr_http_collect(struct mgr_http_req *r, const char *data, size_t len)
{
	char *body;

	if (len > FLINT_HTTP_BODY_MAX - r->body_len)
		return false;
	body = realloc(r->body, r->body_len + len + 1);
	if (!body)
		return false;
	memcpy(body + r->body_len, data, len);
	r->body = body;
	r->body_len += len;
	body[r->body_len] = 0;
	return true;
}

static enum MHD_Result mgr_http_access(void *cls, struct MHD_Connection *conn, const char *url,
				       const char *method, const char *version,
				       const char *upload, size_t *upload_len, void **req)
{
	struct mgr_http_req *r = *req;

	if (!r) {
		*req = mgr_http_req_new(cls, conn, url, method);
		return *req ? MHD_YES : MHD_NO;
	}
	if (*upload_len) {
		if (!mgr_http_collect(r, upload, *upload_len))
			return MHD_NO;
		*upload_len = 0;
		return MHD_YES;
	}
	if (r->state == MGR_HTTP_COLLECTING && mgr_http_authentic(r)) {
		/* Suspended first, so that an answer from within resumes it again. */
		MHD_suspend_connection(conn);
		r->state = MGR_HTTP_HANDLED;
		mgr_admin_request(r->mgr, r);
		return MHD_YES;
	}
	if (r->state != MGR_HTTP_ANSWERED || !r->response)
		return MHD_NO;
	return MHD_queue_response(conn, r->code, r->response);
}

static void mgr_http_completed(void *cls, struct MHD_Connection *conn, void **req,
			       enum MHD_RequestTerminationCode why)
{
	struct mgr_http_req *r = *req;

	*req = NULL;
	if (!r)
		return;
	if (r->state == MGR_HTTP_HANDLED)
		r->state = MGR_HTTP_ABORTED;	/* its handler frees it */
	else
		mgr_http_req_free(r);
}

/* ---- start and stop --------------------------------------------------- */

/**
 * mgr_http_start() - serve the API on one address
 * @addr: with the port, 0 picks one; updated
 * @err: one sentence on failure
 *
 * Return: the server, or NULL.
 */
struct mgr_http *mgr_http_start(struct mgr *m, struct sockaddr_storage *addr, char *err,
				size_t errlen)
{
	struct mgr_http *h = calloc(1, sizeof(*h));
	char text[FLINT_ADDR_STR];
	int ret;

	if (!h) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	h->mgr = m;
	ret = flint_httpd_start(&h->httpd, m->loop, addr, MGR_HTTP_CONNS, mgr_http_access,
				mgr_http_completed, h);
	if (!ret)
		return h;
	snprintf(err, errlen,
		 "cannot serve HTTP on %s (%s): choose a free port with --http-port, or an address of this machine with --listen",
		 flint_addr_format(addr, text, sizeof(text)), strerror(-ret));
	free(h);
	return NULL;
}

/* Requests still with a handler must have been answered before. */
void mgr_http_stop(struct mgr_http *h)
{
	if (!h)
		return;
	flint_httpd_stop(&h->httpd);
	free(h);
}
