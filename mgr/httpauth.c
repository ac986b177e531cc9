// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making and checking the authentication of httpauth.h. Pure but for the
 * random nonce and the clock of flint_http_auth_make().
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/core_names.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../userd/base/daemon.h"
#include "../userd/base/key.h"
#include "httpauth.h"

/* HMAC-SHA256 of a text and a body, in hexadecimal. */
static void flint_http_hmac(const u8 *key, const char *text, const void *body, size_t body_len,
			    char mac[FLINT_HTTP_MAC_HEX + 1])
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *alg = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = alg ? EVP_MAC_CTX_new(alg) : NULL;
	u8 out[FLINT_MAC_LEN];
	size_t len = 0;

	/* These fail only without memory or without a crypto library: no way to go on. */
	if (!ctx || !EVP_MAC_init(ctx, key, FLINT_KEY_LEN, params) ||
	    !EVP_MAC_update(ctx, (const u8 *)text, strlen(text)) ||
	    (body_len && !EVP_MAC_update(ctx, body, body_len)) ||
	    !EVP_MAC_final(ctx, out, &len, sizeof(out)) || len != sizeof(out))
		abort();
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(alg);
	flint_hex_format(out, sizeof(out), mac);
}

void flint_http_mac(const u8 key[FLINT_KEY_LEN], const char *method, const char *path,
		    const char *time_ms, const char *nonce, const void *body, size_t body_len,
		    char mac[FLINT_HTTP_MAC_HEX + 1])
{
	char *text;

	if (asprintf(&text, "flint1-http\n%s\n%s\n%s\n%s\n", method, path, time_ms, nonce) < 0)
		abort();
	flint_http_hmac(key, text, body, body_len, mac);
	free(text);
}

void flint_http_reply_mac(const u8 key[FLINT_KEY_LEN], unsigned int status, const char *nonce,
			  const void *body, size_t body_len, char mac[FLINT_HTTP_MAC_HEX + 1])
{
	char text[128];

	snprintf(text, sizeof(text), "flint1-http-reply\n%u\n%s\n", status, nonce);
	flint_http_hmac(key, text, body, body_len, mac);
}

void flint_http_auth_make(const u8 key[FLINT_KEY_LEN], const char *method, const char *path,
			  const void *body, size_t body_len, char *out, size_t outlen,
			  char nonce[FLINT_HTTP_NONCE_HEX + 1])
{
	char time_ms[24], mac[FLINT_HTTP_MAC_HEX + 1];
	u8 random[FLINT_HTTP_NONCE_HEX / 2];
	struct timespec ts;

	flint_random(random, sizeof(random));
	flint_hex_format(random, sizeof(random), nonce);
	clock_gettime(CLOCK_REALTIME, &ts);
	snprintf(time_ms, sizeof(time_ms), "%llu",
		 (unsigned long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
	flint_http_mac(key, method, path, time_ms, nonce, body, body_len, mac);
	snprintf(out, outlen, "v1 %s %s %s", time_ms, nonce, mac);
}

/* Split "v1 TIME NONCE MAC". Return: 0 or -EINVAL. */
static int flint_http_auth_split(const char *header, char time_ms[24],
				 char nonce[FLINT_HTTP_NONCE_HEX + 1],
				 char mac[FLINT_HTTP_MAC_HEX + 1])
{
	int end = 0;
	size_t i;

	if (sscanf(header, "v1 %20[0-9] %32[0-9a-f] %64[0-9a-f]%n", time_ms, nonce, mac, &end) != 3 ||
	    header[end] || strlen(nonce) != FLINT_HTTP_NONCE_HEX ||
	    strlen(mac) != FLINT_HTTP_MAC_HEX)
		return -EINVAL;
	for (i = 2; header[i]; i++)
		if (isspace((unsigned char)header[i]) &&
		    (header[i] != ' ' || header[i + 1] == ' '))
			return -EINVAL;
	return 0;
}

/**
 * flint_http_auth_check() - does a request come from someone with the key?
 * @key: cluster key
 * @replay: nonces seen so far; only authentic ones are added, so that a
 *	stranger cannot fill it
 * @now_ms: our clock
 * @header: of X-Flint-Auth, NULL when missing
 * @nonce: result: for the reply's MAC
 *
 * Return: the verdict. Times are compared after the MAC, so that a stranger
 * learns nothing about the clock.
 */
enum flint_http_verdict flint_http_auth_check(const u8 key[FLINT_KEY_LEN],
					      struct flint_http_replay *replay, u64 now_ms,
					      const char *header, const char *method,
					      const char *path, const void *body, size_t body_len,
					      char nonce[FLINT_HTTP_NONCE_HEX + 1])
{
	char time_ms[24], mac[FLINT_HTTP_MAC_HEX + 1], want[FLINT_HTTP_MAC_HEX + 1];
	u64 sent;
	u32 i;

	nonce[0] = 0;
	if (!header || flint_http_auth_split(header, time_ms, nonce, mac))
		return FLINT_HTTP_NO_AUTH;
	flint_http_mac(key, method, path, time_ms, nonce, body, body_len, want);
	if (CRYPTO_memcmp(mac, want, FLINT_HTTP_MAC_HEX))
		return FLINT_HTTP_BAD_MAC;
	sent = strtoull(time_ms, NULL, 10);
	if (sent > now_ms + FLINT_HTTP_WINDOW_MS || sent + FLINT_HTTP_WINDOW_MS < now_ms)
		return FLINT_HTTP_BAD_TIME;
	for (i = 0; i < FLINT_HTTP_NONCES; i++)
		if (!memcmp(replay->seen[i].nonce, nonce, FLINT_HTTP_NONCE_HEX))
			return FLINT_HTTP_REPLAY;
	i = replay->next;
	if (replay->seen[i].time_ms && replay->seen[i].time_ms + FLINT_HTTP_WINDOW_MS >= now_ms)
		return FLINT_HTTP_BUSY;
	memcpy(replay->seen[i].nonce, nonce, FLINT_HTTP_NONCE_HEX);
	replay->seen[i].time_ms = sent;
	replay->next = (i + 1) % FLINT_HTTP_NONCES;
	return FLINT_HTTP_OK;
}
