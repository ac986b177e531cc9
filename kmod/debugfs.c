// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/flintfs/<fsid>-<n>/: requests in flight and peers, for
 * finding out what a mount waits for. Documentation/ABI/debugfs-flintfs describes
 * each; a line is words in pairs, to which more may be added.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include "flint.h"

static struct dentry *flint_debugfs_root;

static int inflight_show(struct seq_file *m, void *v)
{
	struct flint_fs *fs = m->private;

	flint_net_show_inflight(fs->net, m);
	flint_meta_show_retrying(fs, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(inflight);

static int peers_show(struct seq_file *m, void *v)
{
	struct flint_fs *fs = m->private;

	flint_net_show_peers(fs->net, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(peers);

static int conns_show(struct seq_file *m, void *v)
{
	struct flint_fs *fs = m->private;

	flint_net_show_conns(fs->net, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(conns);

void flint_debugfs_init(void)
{
	flint_debugfs_root = debugfs_create_dir("flintfs", NULL);
}

void flint_debugfs_exit(void)
{
	debugfs_remove(flint_debugfs_root);
}

void flint_debugfs_add(struct flint_fs *fs)
{
	char name[32];

	snprintf(name, sizeof(name), "%u-%u", fs->fsid, fs->instance);
	fs->debugfs = debugfs_create_dir(name, flint_debugfs_root);
	debugfs_create_file("inflight", 0400, fs->debugfs, fs, &inflight_fops);
	debugfs_create_file("peers", 0400, fs->debugfs, fs, &peers_fops);
	debugfs_create_file("conns", 0400, fs->debugfs, fs, &conns_fops);
}

void flint_debugfs_del(struct flint_fs *fs)
{
	debugfs_remove(fs->debugfs);
	fs->debugfs = NULL;
}
