// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cryptography of HELLO and AUTH: random nonces, HMAC-SHA256 over what
 * flint_auth_msg() lays out, and a comparison whose time says nothing.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/random.h>

#include "xprt.h"

int flint_auth_nonce(uint8_t *nonce)
{
	return getrandom(nonce, FLINT_NONCE_LEN, 0) == FLINT_NONCE_LEN ? 0 : -EIO;
}

void flint_auth_mac(uint8_t *mac, const uint8_t *key, bool server, const uint8_t *client_nonce,
		    const uint8_t *server_nonce, const uint8_t *client_id, uint8_t role)
{
	uint8_t text[FLINT_AUTH_MSG_LEN];
	unsigned int len = FLINT_MAC_LEN;

	flint_auth_msg(text, server, client_nonce, server_nonce, client_id, role);
	if (!HMAC(EVP_sha256(), key, FLINT_KEY_LEN, text, sizeof(text), mac, &len)) {
		/* Never fall back to something that a stranger could guess. */
		if (getrandom(mac, FLINT_MAC_LEN, 0) != FLINT_MAC_LEN)
			abort();
	}
}

bool flint_auth_equal(const uint8_t *a, const uint8_t *b)
{
	return !CRYPTO_memcmp(a, b, FLINT_MAC_LEN);
}
