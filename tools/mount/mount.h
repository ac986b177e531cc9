/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside mount.flintfs.
 *
 *	mount.c		the command line, the mount itself, errors in words
 *	options.c	"-o" options and the source, taken apart
 *	prepare.c	RDMA device, module, cluster key
 */
#ifndef FLINT_MOUNT_H
#define FLINT_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "../../uapi/flintfs/map.h"

#define MNT_ERR_LEN	1024
#define MNT_OPTS_MAX	64

/* Exit status as mount(8) knows them. */
#define MNT_EX_USAGE	1
#define MNT_EX_SYSERR	2
#define MNT_EX_FAIL	32

/* An option for the file system itself. @value is NULL for a flag. */
struct mnt_opt {
	char *name;
	char *value;
};

/**
 * struct mnt_opts - options, sorted by who they are for
 * @fs: for the kernel module, in the order given
 * @attr: MOUNT_ATTR_* of the mount
 * @flags: the same as MS_* for mount(2)
 * @keyfile: secretfile=, or the default
 * @tokenfile: token=, used in place of the cluster key, or NULL
 * @proto: proto= as FLINT_PROTO_*, or both; one that is not known is left to the kernel
 * @reserved: an option that only mount.flintfs itself may give, if one was given
 */
struct mnt_opts {
	struct mnt_opt fs[MNT_OPTS_MAX];
	unsigned int nr_fs;
	unsigned int attr;
	unsigned long flags;
	bool rdonly, remount, sloppy;
	const char *keyfile;
	const char *tokenfile;
	unsigned int proto;
	const char *reserved;
	char *text;			/* what the pointers lead into */
};

int mnt_opts_parse(struct mnt_opts *o, const char *text, char *err, size_t errlen);
void mnt_opts_free(struct mnt_opts *o);

/**
 * struct mnt_source - HOST[:PORT][,HOST[:PORT]...]:/FS[/subtree]
 * @addrs: resolved managers, once for each protocol
 * @proto: "rdma" or "tcp"
 */
struct mnt_source {
	struct sockaddr_storage addrs[2 * FLINT_NODE_ADDRS];
	const char *proto[2 * FLINT_NODE_ADDRS];
	unsigned int nr;
};

int mnt_source_check(const char *source, size_t *hosts_len, char *err, size_t errlen);
int mnt_source_resolve(struct mnt_source *s, const char *source, unsigned int proto,
		       char *err, size_t errlen);

char *mnt_source_addr(const struct mnt_source *s, unsigned int i, char *text, size_t size);

int mnt_check_rdma(char *err, size_t errlen);
int mnt_load_module(bool verbose, char *err, size_t errlen);

#define MNT_KEY_NAME_LEN	48

/* Put the key, or the token, where only this process finds it. @name: its description. */
int mnt_key_add(const struct mnt_opts *o, char name[MNT_KEY_NAME_LEN], char *err, size_t errlen);
void mnt_key_remove(void);

#endif /* FLINT_MOUNT_H */
