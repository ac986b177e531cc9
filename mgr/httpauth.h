/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Authentication of the manager's HTTP API, shared by server and CLI.
 *
 * A request carries
 *	X-Flint-Auth: v1 TIME NONCE MAC
 * with TIME the sender's clock in milliseconds since 1970, NONCE 32 random
 * hexadecimal digits, and MAC the 64 hexadecimal digits of
 *	HMAC-SHA256(key, "flint1-http\n" METHOD "\n" PATH "\n" TIME "\n" NONCE "\n" BODY)
 * A reply carries
 *	X-Flint-Auth: v1 MAC
 * with MAC that of
 *	HMAC-SHA256(key, "flint1-http-reply\n" STATUS "\n" NONCE "\n" BODY)
 * so that each side knows that the other holds the cluster key.
 */
#ifndef FLINT_MGR_HTTPAUTH_H
#define FLINT_MGR_HTTPAUTH_H

#include "../uapi/flintfs/wire.h"

#define FLINT_HTTP_AUTH_HEADER	"X-Flint-Auth"
#define FLINT_HTTP_NONCE_HEX	32
#define FLINT_HTTP_MAC_HEX	64
#define FLINT_HTTP_WINDOW_MS	60000	/* clocks may differ by this much */
#define FLINT_HTTP_BODY_MAX	(1u << 20)

void flint_http_mac(const u8 key[FLINT_KEY_LEN], const char *method, const char *path,
		    const char *time_ms, const char *nonce, const void *body, size_t body_len,
		    char mac[FLINT_HTTP_MAC_HEX + 1]);
void flint_http_reply_mac(const u8 key[FLINT_KEY_LEN], unsigned int status, const char *nonce,
			  const void *body, size_t body_len, char mac[FLINT_HTTP_MAC_HEX + 1]);

/* The value of the request's header. @nonce is filled with fresh random digits. */
void flint_http_auth_make(const u8 key[FLINT_KEY_LEN], const char *method, const char *path,
			  const void *body, size_t body_len, char *out, size_t outlen,
			  char nonce[FLINT_HTTP_NONCE_HEX + 1]);

#define FLINT_HTTP_NONCES	4096

/* Nonces seen in the window, so that no request is taken twice. */
struct flint_http_replay {
	struct {
		char nonce[FLINT_HTTP_NONCE_HEX];
		u64 time_ms;
	} seen[FLINT_HTTP_NONCES];
	u32 next;
};

enum flint_http_verdict {
	FLINT_HTTP_OK,
	FLINT_HTTP_NO_AUTH,	/* header missing or malformed */
	FLINT_HTTP_BAD_MAC,	/* another key, or changed on the way */
	FLINT_HTTP_BAD_TIME,	/* clocks differ by more than the window */
	FLINT_HTTP_REPLAY,	/* this nonce was here before */
	FLINT_HTTP_BUSY,	/* more requests in the window than can be told apart */
};

enum flint_http_verdict flint_http_auth_check(const u8 key[FLINT_KEY_LEN],
					      struct flint_http_replay *replay, u64 now_ms,
					      const char *header, const char *method,
					      const char *path, const void *body, size_t body_len,
					      char nonce[FLINT_HTTP_NONCE_HEX + 1]);

#endif /* FLINT_MGR_HTTPAUTH_H */
