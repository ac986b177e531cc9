// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cluster key file and UUIDs; see key.h. Key bytes on the stack are wiped
 * before return.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon.h"
#include "key.h"

#define KEY_DIGITS	(2 * FLINT_KEY_LEN)

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void flint_hex_format(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = 0;
}

int flint_hex_parse(const char *s, size_t slen, uint8_t *out, size_t len)
{
	size_t i;

	if (slen != 2 * len)
		return -EINVAL;
	for (i = 0; i < len; i++) {
		int hi = hex_digit(s[2 * i]), lo = hex_digit(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

int flint_secret_open(const char *path, const char *what, const char *remedy, char *err,
		      size_t errlen)
{
	struct stat st;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		snprintf(err, errlen, "cannot read the %s %s: %s%s%s", what, path, strerror(-rc),
			 rc == -ENOENT ? "; " : "", rc == -ENOENT ? remedy : "");
		return rc;
	}
	if (fstat(fd, &st)) {
		rc = -errno;
		snprintf(err, errlen, "cannot examine the %s %s: %s", what, path, strerror(-rc));
	} else if (!S_ISREG(st.st_mode)) {
		rc = -EINVAL;
		snprintf(err, errlen, "the %s %s is not a regular file", what, path);
	} else if (st.st_mode & 077) {
		rc = -EACCES;
		snprintf(err, errlen,
			 "the %s %s can be read by others (mode %04o); run: chmod 600 %s",
			 what, path, st.st_mode & 07777, path);
	} else {
		return fd;
	}
	close(fd);
	return rc;
}

int flint_key_load(const char *path, uint8_t key[FLINT_KEY_LEN], char *err, size_t errlen)
{
	char text[KEY_DIGITS + 2];
	ssize_t n;
	int fd, rc = 0;

	fd = flint_secret_open(path, "cluster key",
			       "make one with \"flint cluster init\" or copy it from another node",
			       err, errlen);
	if (fd < 0)
		return fd;
	n = read(fd, text, sizeof(text));
	if (n == KEY_DIGITS + 1 && text[KEY_DIGITS] == '\n')
		n--;
	if (n < 0) {
		rc = -errno;
		snprintf(err, errlen, "cannot read the cluster key %s: %s", path, strerror(-rc));
	} else if (flint_hex_parse(text, n, key, FLINT_KEY_LEN)) {
		rc = -EINVAL;
		snprintf(err, errlen,
			 "the cluster key %s must hold 64 hexadecimal digits and a newline; copy it again from a manager",
			 path);
	}
	explicit_bzero(text, sizeof(text));
	close(fd);
	return rc;
}

static int key_write(const char *tmp, const char *path, const char *text, size_t len)
{
	int fd, rc = 0;

	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		rc = errno ? -errno : -ENOSPC;
	else if (fsync(fd))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	/* link() rather than rename(): an existing key is never replaced. */
	if (!rc && link(tmp, path))
		rc = -errno;
	unlink(tmp);
	return rc;
}

int flint_key_create(const char *path, uint8_t key[FLINT_KEY_LEN], char *err, size_t errlen)
{
	char text[KEY_DIGITS + 2];
	char *tmp;
	int rc;

	if (asprintf(&tmp, "%s.%d.tmp", path, getpid()) < 0)
		return -ENOMEM;
	flint_random(key, FLINT_KEY_LEN);
	flint_hex_format(key, FLINT_KEY_LEN, text);
	text[KEY_DIGITS] = '\n';
	errno = 0;
	rc = key_write(tmp, path, text, KEY_DIGITS + 1);
	if (rc == -EEXIST)
		snprintf(err, errlen,
			 "the cluster key %s exists already; it is kept, remove it yourself if it is not needed",
			 path);
	else if (rc)
		snprintf(err, errlen, "cannot write the cluster key %s: %s", path, strerror(-rc));
	explicit_bzero(text, sizeof(text));
	free(tmp);
	return rc;
}

void flint_key_metrics_token(const uint8_t key[FLINT_KEY_LEN], char *token)
{
	static const char text[] = "flint1-metrics\n";
	uint8_t mac[FLINT_MAC_LEN];
	unsigned int len = sizeof(mac);

	/* Fails only without memory or without a crypto library: no way to go on. */
	if (!HMAC(EVP_sha256(), key, FLINT_KEY_LEN, (const uint8_t *)text, sizeof(text) - 1, mac,
		  &len))
		abort();
	flint_hex_format(mac, sizeof(mac), token);
}

void flint_uuid_make(uint8_t out[16])
{
	flint_random(out, 16);
	out[6] = (out[6] & 0x0f) | 0x40;
	out[8] = (out[8] & 0x3f) | 0x80;
}

const char *flint_uuid_format(const uint8_t id[16], char out[FLINT_UUID_STR])
{
	char hex[33];

	flint_hex_format(id, 16, hex);
	snprintf(out, FLINT_UUID_STR, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		 hex + 16, hex + 20);
	return out;
}

int flint_uuid_parse(const char *s, uint8_t out[16])
{
	char hex[32];
	int i, n = 0;

	for (i = 0; i < FLINT_UUID_STR - 1; i++) {
		if (!s[i])
			return -EINVAL;
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (s[i] != '-')
				return -EINVAL;
		} else {
			hex[n++] = s[i];
		}
	}
	if (s[i])
		return -EINVAL;
	return flint_hex_parse(hex, sizeof(hex), out, 16);
}
