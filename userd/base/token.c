// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tokens as text, in files, and their secrets; see token.h. Secrets on the
 * stack are wiped before return.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon.h"
#include "key.h"
#include "token.h"

#define TOKEN_PREFIX	"flint1-token:"

void flint_token_secret(const uint8_t *key, const struct flint_token *t, uint8_t *secret)
{
	uint8_t text[FLINT_TOKEN_LABEL_LEN + FLINT_TOKEN_MAX];
	unsigned int len = FLINT_KEY_LEN;

	memcpy(text, FLINT_TOKEN_LABEL, FLINT_TOKEN_LABEL_LEN);
	memcpy(text + FLINT_TOKEN_LABEL_LEN, t, flint_token_len(t));
	/* Never fall back to something that a stranger could guess. */
	if (!HMAC(EVP_sha256(), key, FLINT_KEY_LEN, text,
		  FLINT_TOKEN_LABEL_LEN + flint_token_len(t), secret, &len))
		flint_random(secret, FLINT_KEY_LEN);
}

static void permit_mac(const uint8_t *key, const struct flint_permit *p, uint8_t *mac)
{
	uint8_t text[FLINT_PERMIT_LABEL_LEN + offsetof(struct flint_permit, mac)];
	unsigned int len = FLINT_MAC_LEN;

	memcpy(text, FLINT_PERMIT_LABEL, FLINT_PERMIT_LABEL_LEN);
	memcpy(text + FLINT_PERMIT_LABEL_LEN, p, offsetof(struct flint_permit, mac));
	if (!HMAC(EVP_sha256(), key, FLINT_KEY_LEN, text, sizeof(text), mac, &len))
		flint_random(mac, FLINT_MAC_LEN);
}

void flint_permit_seal(const uint8_t *key, struct flint_permit *p)
{
	uint8_t mac[FLINT_MAC_LEN];

	permit_mac(key, p, mac);
	memcpy(p->mac, mac, sizeof(p->mac));
}

bool flint_permit_ok(const uint8_t *key, const struct flint_permit *p, uint64_t now)
{
	uint8_t mac[FLINT_MAC_LEN];

	permit_mac(key, p, mac);
	return !CRYPTO_memcmp(mac, p->mac, sizeof(p->mac)) && !p->reserved &&
	       now < le64_to_cpu(p->expires);
}

void flint_token_format(const struct flint_token_full *t, char *out)
{
	uint32_t len = flint_token_len(&t->claims);
	char *p = out + strlen(TOKEN_PREFIX);

	memcpy(out, TOKEN_PREFIX, strlen(TOKEN_PREFIX));
	flint_hex_format(t->bytes, len, p);
	p += 2 * len;
	*p++ = ':';
	flint_hex_format(t->secret, FLINT_KEY_LEN, p);
}

int flint_token_parse(const char *text, struct flint_token_full *t)
{
	size_t len, n = strlen(TOKEN_PREFIX);
	const char *end;
	int rc;

	memset(t, 0, sizeof(*t));
	text += strspn(text, " \t\r\n");
	if (strncmp(text, TOKEN_PREFIX, n))
		return -EINVAL;
	text += n;
	end = strchr(text, ':');
	if (!end || (end - text) % 2 || (size_t)(end - text) / 2 > FLINT_TOKEN_MAX)
		return -EINVAL;
	len = (size_t)(end - text) / 2;
	n = strcspn(end + 1, " \t\r\n");
	if (end[1 + n + strspn(end + 1 + n, " \t\r\n")] ||
	    flint_hex_parse(text, 2 * len, t->bytes, len) ||
	    flint_hex_parse(end + 1, n, t->secret, FLINT_KEY_LEN))
		return -EINVAL;
	rc = flint_token_check(t->bytes, (uint32_t)len);
	return rc == -EPROTO ? -EINVAL : rc;
}

int flint_token_load(const char *path, struct flint_token_full *t, char *err, size_t errlen)
{
	char text[FLINT_TOKEN_TEXT_MAX + 16];
	ssize_t n;
	int fd, rc;

	fd = flint_secret_open(path, "token", "ask for one that \"flint token create\" made", err,
			       errlen);
	if (fd < 0)
		return fd;
	n = read(fd, text, sizeof(text) - 1);
	rc = n < 0 ? -errno : 0;
	close(fd);
	if (rc) {
		snprintf(err, errlen, "cannot read the token %s: %s", path, strerror(-rc));
		return rc;
	}
	text[n] = 0;
	rc = flint_token_parse(text, t);
	explicit_bzero(text, sizeof(text));
	if (rc == -EPROTONOSUPPORT)
		snprintf(err, errlen, "the token %s is of a newer kind than this program: upgrade it", path);
	else if (rc)
		snprintf(err, errlen, "%s holds no token: it must be the one line that \"flint token create\" printed",
			 path);
	return rc;
}

int flint_token_prefix(const char *text, struct flint_token *t)
{
	char addr[INET6_ADDRSTRLEN], *end;
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long bits, max, i;

	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, len);
	addr[len] = 0;
	memset(t->addr, 0, sizeof(t->addr));
	if (inet_pton(AF_INET, addr, t->addr) == 1)
		t->addr_family = 4;
	else if (inet_pton(AF_INET6, addr, t->addr) == 1)
		t->addr_family = 6;
	else
		return -EINVAL;
	max = t->addr_family == 4 ? 32 : 128;
	bits = max;
	if (slash) {
		if (slash[1] < '0' || slash[1] > '9')
			return -EINVAL;
		bits = strtoul(slash + 1, &end, 10);
		if (*end || bits > max)
			return -EINVAL;
	}
	t->addr_bits = (uint8_t)bits;
	for (i = bits; i < max; i++)
		t->addr[i / 8] &= (uint8_t)~(0x80 >> i % 8);
	return 0;
}

const char *flint_token_prefix_format(const struct flint_token *t,
				      char out[FLINT_TOKEN_PREFIX_STR])
{
	char addr[INET6_ADDRSTRLEN];

	if (!t->addr_family || !inet_ntop(t->addr_family == 4 ? AF_INET : AF_INET6, t->addr, addr,
					  sizeof(addr)))
		snprintf(out, FLINT_TOKEN_PREFIX_STR, "any");
	else
		snprintf(out, FLINT_TOKEN_PREFIX_STR, "%s/%u", addr, t->addr_bits);
	return out;
}
