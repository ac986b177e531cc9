// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options and source of mount.flintfs.
 *
 * Options are of three kinds: for mount(8) and its friends (ignored here), for
 * the mount (ro, nosuid, ...), and for the file system, which go to the kernel
 * as they are: it knows its options and complains in words.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "../../userd/base/addr.h"
#include "../../userd/base/key.h"
#include "mount.h"

/* Options about the mount. @clear: attributes that it takes away. */
static const struct {
	const char *name;
	unsigned int set, clear;
	unsigned long ms_set, ms_clear;
} mnt_generic[] = {
	{ "ro", MOUNT_ATTR_RDONLY, 0, MS_RDONLY, 0 },
	{ "rw", 0, MOUNT_ATTR_RDONLY, 0, MS_RDONLY },
	{ "nosuid", MOUNT_ATTR_NOSUID, 0, MS_NOSUID, 0 },
	{ "suid", 0, MOUNT_ATTR_NOSUID, 0, MS_NOSUID },
	{ "nodev", MOUNT_ATTR_NODEV, 0, MS_NODEV, 0 },
	{ "dev", 0, MOUNT_ATTR_NODEV, 0, MS_NODEV },
	{ "noexec", MOUNT_ATTR_NOEXEC, 0, MS_NOEXEC, 0 },
	{ "exec", 0, MOUNT_ATTR_NOEXEC, 0, MS_NOEXEC },
	{ "noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, MS_NOATIME,
	  MS_RELATIME | MS_STRICTATIME },
	{ "atime", 0, MOUNT_ATTR__ATIME, 0, MS_NOATIME | MS_STRICTATIME },
	{ "relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME, MS_RELATIME,
	  MS_NOATIME | MS_STRICTATIME },
	{ "strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, MS_STRICTATIME,
	  MS_NOATIME | MS_RELATIME },
	{ "norelatime", 0, 0, 0, MS_RELATIME },
	{ "nostrictatime", 0, MOUNT_ATTR_STRICTATIME, 0, MS_STRICTATIME },
	{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0, MS_NOSYMFOLLOW, 0 },
	{ "symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW, 0, MS_NOSYMFOLLOW },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, 0, MS_NODIRATIME, 0 },
	{ "diratime", 0, MOUNT_ATTR_NODIRATIME, 0, MS_NODIRATIME },
};

/* Options that other programs have dealt with. */
static const char * const mnt_ignored[] = {
	"defaults", "auto", "noauto", "user", "nouser", "users", "nousers", "owner", "noowner",
	"group", "nogroup", "nofail", "_netdev", "async", "loud",
};

static bool mnt_is_ignored(const char *name)
{
	size_t i;

	if (!strncmp(name, "x-", 2) || !strncmp(name, "X-", 2) || !strcmp(name, "comment"))
		return true;
	for (i = 0; i < sizeof(mnt_ignored) / sizeof(mnt_ignored[0]); i++)
		if (!strcmp(name, mnt_ignored[i]))
			return true;
	return false;
}

static bool mnt_take_generic(struct mnt_opts *o, const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(mnt_generic) / sizeof(mnt_generic[0]); i++) {
		if (strcmp(name, mnt_generic[i].name))
			continue;
		o->attr = (o->attr & ~mnt_generic[i].clear) | mnt_generic[i].set;
		o->flags = (o->flags & ~mnt_generic[i].ms_clear) | mnt_generic[i].ms_set;
		o->rdonly = o->attr & MOUNT_ATTR_RDONLY;
		return true;
	}
	return false;
}

static unsigned int mnt_proto(const char *value)
{
	if (!strcmp(value, "rdma"))
		return FLINT_PROTO_RDMA;
	return strcmp(value, "tcp") ? FLINT_PROTO_RDMA | FLINT_PROTO_TCP : FLINT_PROTO_TCP;
}

static int mnt_take_one(struct mnt_opts *o, char *name, char *err, size_t errlen)
{
	char *value = strchr(name, '=');

	if (value)
		*value++ = 0;
	if (!*name || mnt_is_ignored(name))
		return 0;
	if (!value && mnt_take_generic(o, name))
		return 0;
	if (!strcmp(name, "remount")) {
		o->remount = true;
		return 0;
	}
	if (!strcmp(name, "token")) {
		if (!value || !*value) {
			snprintf(err, errlen, "token= needs the path of a file that holds a token");
			return -EINVAL;
		}
		o->tokenfile = value;
		return 0;
	}
	if (!strcmp(name, "secretfile")) {
		if (!value || !*value) {
			snprintf(err, errlen, "secretfile= needs the path of the cluster's key file");
			return -EINVAL;
		}
		o->keyfile = value;
		return 0;
	}
	if (!strcmp(name, "addr") || !strcmp(name, "key") || !strcmp(name, "source")) {
		o->reserved = name;	/* a remount brings them back from the mount table */
		return 0;
	}
	if (!strcmp(name, "proto") && value)
		o->proto = mnt_proto(value);
	if (o->nr_fs == MNT_OPTS_MAX) {
		snprintf(err, errlen, "more than %d options", MNT_OPTS_MAX);
		return -EINVAL;
	}
	o->fs[o->nr_fs].name = name;
	o->fs[o->nr_fs++].value = value;
	return 0;
}

/**
 * mnt_opts_parse() - take "a,b=c" apart
 * @o: zeroed; may be called again for another "-o"
 * @text: options
 *
 * Return: 0 or -errno with a sentence in @err.
 */
int mnt_opts_parse(struct mnt_opts *o, const char *text, char *err, size_t errlen)
{
	char *all, *part, *save = NULL;
	int ret;

	if (!o->keyfile) {
		o->keyfile = FLINT_KEY_FILE;
		o->proto = FLINT_PROTO_RDMA | FLINT_PROTO_TCP;
	}
	if (o->text) {
		snprintf(err, errlen, "give all options in one -o, separated by commas");
		return -EINVAL;
	}
	all = strdup(text);
	if (!all) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	o->text = all;
	for (part = strtok_r(all, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		ret = mnt_take_one(o, part, err, errlen);
		if (ret)
			return ret;
	}
	return 0;
}

void mnt_opts_free(struct mnt_opts *o)
{
	free(o->text);
	o->text = NULL;
}

/**
 * mnt_source_check() - is this a source at all?
 * @hosts_len: result: bytes of the list of managers
 *
 * Return: 0 or -EINVAL with a sentence.
 */
int mnt_source_check(const char *source, size_t *hosts_len, char *err, size_t errlen)
{
	const char *p = strstr(source, ":/");
	size_t name;

	if (!p || p == source) {
		snprintf(err, errlen,
			 "'%s' is no source: write MANAGER[:PORT][,MANAGER...]:/FILESYSTEM[/SUBTREE], such as mgr1:/default",
			 source);
		return -EINVAL;
	}
	*hosts_len = p - source;
	name = strcspn(p + 2, "/");
	if (!name || name >= FLINT_LABEL_LEN) {
		snprintf(err, errlen,
			 "'%s' names no file system: it follows ':/' and has 1 to %d characters",
			 source, FLINT_LABEL_LEN - 1);
		return -EINVAL;
	}
	return 0;
}

/* Append one manager's address for each protocol. Return: 0 or -errno with a sentence. */
static int mnt_source_add(struct mnt_source *s, const char *host, unsigned int proto, char *err,
			  size_t errlen)
{
	static const struct {
		const char *name;
		unsigned int proto;
		uint16_t port;
	} all[] = {
		{ "rdma", FLINT_PROTO_RDMA, FLINT_PORT_MGR_RDMA },
		{ "tcp", FLINT_PROTO_TCP, FLINT_PORT_MGR_TCP },
	};
	size_t i;
	int ret;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!(proto & all[i].proto))
			continue;
		ret = flint_addr_parse(host, all[i].port, &s->addrs[s->nr], err, errlen);
		if (ret)
			return ret;
		s->proto[s->nr++] = all[i].name;
	}
	return 0;
}

/**
 * mnt_source_addr() - an address as the kernel takes it
 * @i: below s->nr
 * @size: FLINT_ADDR_STR + 8 or more
 *
 * Return: @text, such as "tcp:10.0.0.1:7441".
 */
char *mnt_source_addr(const struct mnt_source *s, unsigned int i, char *text, size_t size)
{
	char addr[FLINT_ADDR_STR];

	snprintf(text, size, "%s:%s", s->proto[i],
		 flint_addr_format(&s->addrs[i], addr, sizeof(addr)));
	return text;
}

/**
 * mnt_source_resolve() - addresses of the managers
 * @proto: FLINT_PROTO_*; a port in @source is meant for each
 *
 * One that cannot be resolved is left out while another can.
 *
 * Return: 0 or -errno with a sentence.
 */
int mnt_source_resolve(struct mnt_source *s, const char *source, unsigned int proto,
		       char *err, size_t errlen)
{
	char *hosts, *part, *save = NULL;
	size_t len;
	int ret;

	ret = mnt_source_check(source, &len, err, errlen);
	if (ret)
		return ret;
	hosts = strndup(source, len);
	if (!hosts) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	s->nr = 0;
	for (part = strtok_r(hosts, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		if (s->nr + 2 > 2 * FLINT_NODE_ADDRS)
			break;
		ret = mnt_source_add(s, part, proto, err, errlen);
	}
	free(hosts);
	if (!s->nr && !ret) {
		snprintf(err, errlen, "'%s' names no manager before ':/'", source);
		ret = -EINVAL;
	}
	return s->nr ? 0 : ret;
}
