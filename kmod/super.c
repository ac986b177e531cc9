// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mounting, unmounting, and the module itself.
 *
 * Mount: connect to a manager, fetch the map, find the file system, connect to
 * its metadata server, open a session, take the root. Unmount: close the
 * session (bounded), shut the network down, wait for what is in flight, which
 * the shut-down ends, then let the VFS drop the inodes. `umount -f` and the
 * sysfs file abort shut the network down first, so that nothing can wait.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/backing-dev.h>
#include <linux/compat.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched/task_stack.h>
#include <linux/seq_file.h>
#include <linux/statfs.h>
#include <linux/utsname.h>
#include <asm/syscall.h>
#include <asm/unistd.h>
#include <net/net_namespace.h>
#include "flint.h"
#include "latency.h"

#define FLINT_SYNC_HOLD	(FLINT_HOLD / 2)	/* s_umount, when servers are silent */
#define FLINT_STOP_ALL	(28 * HZ)	/* an unmount's waits for servers, which cannot be killed */
#define FLINT_STOP_TELL	(10 * HZ)	/* of that, for what was made here */
#define FLINT_STOP_CLOSE (5 * HZ)	/* and for CLOSEs */

static atomic_t flint_instances;

/* ---- errors of a mount in words --------------------------------------- */

static int flint_mount_refused(struct fs_context *fc, struct flint_fs *fs,
			       struct flint_peer *peer, const char *who, const void *addr, int err)
{
	const char *why = flint_peer_reason(peer);

	switch (err) {
	case -EACCES:
	case -EPERM:
	case -EKEYREJECTED:
		if (fs->token)
			errorfc(fc, "%s at %pISpc refused our token: %s", who, addr, why);
		else
			errorfc(fc, "%s at %pISpc refused our key: %s; mount with the cluster's key file",
				who, addr, why);
		return -EACCES;
	case -EPROTONOSUPPORT:
		errorfc(fc, "%s at %pISpc speaks another protocol version: %s; install matching versions",
			who, addr, why);
		return err;
	case -ENODEV:
		errorfc(fc, "no RDMA device reaches %s at %pISpc: %s; see `rdma link`",
			who, addr, why);
		return err;
	case -EINTR:
		return err;
	default:
		errorfc(fc, "cannot reach %s at %pISpc: %s; check the address, and that it listens there",
			who, addr, why);
		return err == -ETIMEDOUT ? -EHOSTUNREACH : err;
	}
}

static int flint_mount_wait(struct fs_context *fc, struct flint_fs *fs, struct flint_peer *peer,
			    const char *who, const void *addr)
{
	int err = flint_peer_wait(peer, 2 * msecs_to_jiffies(fs->opts.connect_timeo));

	return err ? flint_mount_refused(fc, fs, peer, who, addr, err) : 0;
}

/* ---- the steps of a mount --------------------------------------------- */

static int flint_mount_net(struct fs_context *fc, struct flint_fs *fs)
{
	struct flint_net_opts o = {
		.net = fs->netns,
		.key = fs->have_key ? fs->key : NULL,
		.token = fs->token,
		.inline_size = fs->opts.inline_size,
		.max_io = fs->opts.max_io,
		.credits = fs->opts.credits,
		.connect_timeo = msecs_to_jiffies(fs->opts.connect_timeo),
		.hb_timeo = msecs_to_jiffies(fs->opts.hb_timeo),
		.nconn = fs->opts.nconn,
		.push = fs->opts.lease ? flint_lease_push : NULL,
		.up = fs->opts.lease ? flint_lease_up : NULL,
		.event = flint_peer_changed,
		.arg = fs,
	};

	get_random_bytes(fs->client_id, sizeof(fs->client_id));
	memcpy(o.client_id, fs->client_id, sizeof(o.client_id));
	strscpy(o.name, utsname()->nodename, sizeof(o.name));
	fs->net = flint_net_create(&o);
	memzero_explicit(fs->key, sizeof(fs->key));
	if (IS_ERR(fs->net)) {
		int err = PTR_ERR(fs->net);

		fs->net = NULL;
		return err;
	}
	return 0;
}

static int flint_mount_map(struct fs_context *fc, struct flint_fs *fs)
{
	int err;

	fs->mgr = flint_peer_get(fs->net, fs->opts.dests, fs->opts.nr_dests, FLINT_ROLE_MGR);
	if (IS_ERR(fs->mgr)) {
		err = PTR_ERR(fs->mgr);
		fs->mgr = NULL;
		return err;
	}
	err = flint_mount_wait(fc, fs, fs->mgr, "the manager", &fs->opts.dests[0].addr);
	if (err)
		return err;
	err = flint_map_fetch(fs, 0, jiffies + FLINT_RPC_TIMEO);
	if (err)
		errorfc(fc, "the manager did not give a usable cluster map (%d): %s", err,
			flint_peer_reason(fs->mgr));
	return err;
}

static const struct flint_map_fs *flint_mount_find(const struct flint_map *map, const char *name)
{
	u32 i;

	for (i = 0; i < map->nr_fs; i++)
		if (!strncmp((const char *)map->fs[i].name, name, FLINT_LABEL_LEN))
			return &map->fs[i];
	return NULL;
}

/* The same from every machine and after every mount: file handles are good for as long. */
static void flint_mount_uuid(struct flint_fs *fs, const struct flint_map *map)
{
	struct super_block *sb = fs->sb;
	__le32 part[4];

	memcpy(part, map->hdr->cluster_id, sizeof(part));
	fs->cluster = le32_to_cpu(part[0]);
	part[3] ^= cpu_to_le32(fs->fsid);
	memcpy(&sb->s_uuid, part, sizeof(part));
}

/* Choose a metadata server that can be reached: the one that the map names first. */
static int flint_mount_meta(struct fs_context *fc, struct flint_fs *fs)
{
	struct flint_mapref *map = flint_map_get(fs);
	const struct flint_map_node *node;
	const struct flint_map_fs *mfs;
	struct flint_leader l;
	u32 first;
	int err = 0;

	if (!map)
		return -EIO;
	mfs = flint_mount_find(&map->map, fs->name);
	if (!mfs) {
		flint_map_put(map);
		errorfc(fc, "no file system named \"%s\" in this cluster; `flint fs list` shows them, `flint fs create` makes one",
			fs->name);
		return -ENOENT;
	}
	fs->fsid = le32_to_cpu(mfs->id);
	flint_mount_uuid(fs, &map->map);
	first = le32_to_cpu(mfs->meta_node);
	fs->meta_node = first;
	do {
		node = flint_map_node(&map->map, fs->meta_node);
		if (flint_leader_get(fs, &l)) {
			err = -EADDRNOTAVAIL;
			errorfc(fc, "the metadata server %.64s of \"%s\" has no address in the map that proto= allows; is it running with --rdma-port, or mount with proto=auto?",
				node ? (const char *)node->name : "?", fs->name);
			continue;	/* chose the next */
		}
		err = flint_peer_wait(l.peer, (l.alone ? 2 : 1) *
				      msecs_to_jiffies(fs->opts.connect_timeo));
		if (err) {
			errorfc(fc, "cannot reach the metadata server %.64s of \"%s\": %s",
				(const char *)node->name, fs->name, flint_peer_reason(l.peer));
			err = err == -ETIMEDOUT ? -EHOSTUNREACH : err;
			flint_leader_failed(fs, &l);
		}
		flint_leader_put(&l);
	} while (err && err != -EINTR && fs->meta_node != first);
	flint_map_put(map);
	return err;
}

static int flint_mount_root(struct fs_context *fc, struct super_block *sb)
{
	struct flint_fs *fs = flint_fs(sb);
	unsigned long sent = jiffies;
	struct flint_attr attr;
	struct inode *root;
	int err;

	err = flint_session_open(fs, &attr);

	if ((err == -ENOENT || err == -ENOTDIR) && fs->subtree[0]) {
		errorfc(fc, "no directory \"/%s\" in \"%s\"", fs->subtree, fs->name);
		return err;
	}
	if (err == -EACCES && fs->token) {
		errorfc(fc, "the token is for file system %u%s%.*s, not for \"%s%s%s\": mount that, or ask for another token",
			le32_to_cpu(fs->token->fs), fs->token->path_len ? ", subtree /" : "",
			le16_to_cpu(fs->token->path_len), flint_token_path(fs->token),
			fs->name, fs->subtree[0] ? "/" : "", fs->subtree);
		return err;
	}
	if (err) {
		errorfc(fc, "metadata server %u refused a session (%d)", fs->meta_node, err);
		return err;
	}
	root = flint_iget(sb, &attr, sent);
	if (IS_ERR(root))
		return PTR_ERR(root);
	fs->root_ino = root->i_ino;
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

/* ---- super operations ------------------------------------------------- */

/**
 * flint_statfs_ask() - how much room is there?
 * @inode: where in the file system: quotas of trees and projects count
 * @st: result
 *
 * Context: process; waits two seconds at most.
 * Return: 0 or an error of flint_meta_call().
 */
int flint_statfs_ask(struct inode *inode, struct flint_statfs *st)
{
	struct flint_ino_req body = { .ino = cpu_to_le64(inode->i_ino) };
	struct flint_mcall c = {
		.op = FLINT_OP_STATFS, .once = true,
		.body = &body, .body_len = sizeof(body),
		.rep = st, .rep_size = sizeof(*st),
		.deadline = jiffies + 2 * HZ,
	};

	return flint_meta_call(flint_fs(inode->i_sb), &c);
}

static int flint_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct flint_fs *fs = flint_fs(dentry->d_sb);
	struct inode *inode = d_inode(dentry);
	struct flint_statfs rep;
	u32 bs;
	int err = 0;

	if (!fs->statfs_ok || fs->statfs_ino != inode->i_ino ||
	    time_after(jiffies, fs->statfs_time + HZ)) {
		err = flint_statfs_ask(inode, &rep);
		if (!err) {
			fs->statfs = rep;
			fs->statfs_time = jiffies;
			fs->statfs_ino = inode->i_ino;
			fs->statfs_ok = true;
		}
	}
	/* df must not hang or fail for a short outage: the last answer will do. */
	if (err && !fs->statfs_ok)
		return err;
	rep = fs->statfs;
	bs = le32_to_cpu(rep.block_size);
	if (!bs || (bs & (bs - 1)))
		bs = PAGE_SIZE;
	buf->f_type = FLINT_SUPER_MAGIC;
	buf->f_bsize = bs;
	buf->f_frsize = bs;
	buf->f_blocks = div_u64(le64_to_cpu(rep.total), bs);
	buf->f_bfree = div_u64(le64_to_cpu(rep.free), bs);
	buf->f_bavail = buf->f_bfree;
	buf->f_files = le64_to_cpu(rep.files);
	buf->f_ffree = le64_to_cpu(rep.files_free);
	buf->f_namelen = FLINT_NAME_MAX;
	buf->f_fsid.val[0] = fs->fsid;
	buf->f_fsid.val[1] = fs->cluster;
	return 0;
}

/**
 * flint_fs_abort() - fail everything in flight and from now on with -EIO
 * @fs: mount
 *
 * For umount -f and the sysfs file abort. Does not wait; does not come back.
 */
void flint_fs_abort(struct flint_fs *fs)
{
	WRITE_ONCE(fs->shutdown, true);
	if (fs->net)
		flint_net_shutdown(fs->net);
	wake_up_all(&fs->delegate.told);
}

/* Is this syncfs()? It can begin again, which sync() cannot. */
static bool flint_in_syncfs(void)
{
	return !(current->flags & PF_KTHREAD) && !in_compat_syscall() &&
	       syscall_get_nr(current, task_pt_regs(current)) == __NR_syncfs;
}

/*
 * The pages are written already, or wait for servers that are silent; what was made here may not be
 * told yet, nor sizes. Under s_umount, which umount waits for and cannot be killed.
 */
static int flint_sync_fs(struct super_block *sb, int wait)
{
	struct flint_fs *fs = flint_fs(sb);
	unsigned long until = jiffies + FLINT_SYNC_HOLD;
	int err;

	if (!wait) {
		if (!READ_ONCE(fs->shutdown))
			mod_delayed_work(fs->wq, &fs->delegate.work, 0);
		return 0;
	}
	err = flint_delegate_flush(fs, FLINT_SYNC_HOLD);
	if (!err)
		err = flint_wb_sync(fs, until);
	if (err == -EIO && !fs->opts.soft && !READ_ONCE(fs->shutdown) && flint_in_syncfs())
		return flint_restart();
	return err;
}

/**
 * flint_fs_abort_requests() - end what is in flight now with -EIO
 * @fs: mount
 * @peer: only requests to the server with this address, as "peers" in debugfs
 *	says it; NULL: all
 *
 * Unlike after flint_fs_abort() the mount goes on working.
 *
 * Context: process.
 * Return: 0, or -ENOENT: no such server.
 */
int flint_fs_abort_requests(struct flint_fs *fs, const char *peer)
{
	u32 nr;
	int err;

	if (!peer) {
		WRITE_ONCE(fs->aborts, READ_ONCE(fs->aborts) + 1);
		WRITE_ONCE(fs->abort_until, jiffies + HZ);
	}
	err = flint_net_abort(fs->net, peer, &nr);
	if (err)
		return err;
	pr_warn("%s: %u requests to %s were aborted by hand: they end with an I/O error\n",
		fs->name, nr, peer ? peer : "all servers");
	flint_event(fs, FLINT_EV_ABORTED, &(struct flint_event){ .peer = peer, .value = nr });
	return 0;
}

static void flint_umount_begin(struct super_block *sb)
{
	flint_fs_abort(flint_fs(sb));
}

static int flint_show_options(struct seq_file *m, struct dentry *root)
{
	flint_opts_show(m, &flint_fs(root->d_sb)->opts);
	return 0;
}

const char * const flint_stat_names[FLINT_STAT_NR] = {
	[FLINT_STAT_READ_OPS]		= "read_ops",
	[FLINT_STAT_READ_BYTES]		= "read_bytes",
	[FLINT_STAT_WRITE_OPS]		= "write_ops",
	[FLINT_STAT_WRITE_BYTES]	= "write_bytes",
	[FLINT_STAT_META_OPS]		= "meta_ops",
	[FLINT_STAT_EXTENDS]		= "extends",
	[FLINT_STAT_RETRIES]		= "retries",
	[FLINT_STAT_CRC_ERRORS]		= "crc_errors",
	[FLINT_STAT_TIMEOUTS]		= "timeouts",
	[FLINT_STAT_CACHE_PAGES]	= "cache_pages",
	[FLINT_STAT_MAP_UPDATES]	= "map_updates",
	[FLINT_STAT_META_MOVES]		= "meta_moves",
	[FLINT_STAT_LEASES]		= "leases",
	[FLINT_STAT_RECALLS]		= "recalls",
	[FLINT_STAT_DELEGATED]		= "delegated",
	[FLINT_STAT_WB_WRITES]		= "wb_writes",
	[FLINT_STAT_WB_PAGES]		= "wb_pages",
	[FLINT_STAT_WB_FAULTS]		= "wb_faults",
	[FLINT_STAT_WB_ERRORS]		= "wb_errors",
};

u64 flint_stats_sum(struct flint_fs *fs, enum flint_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(fs->stats, cpu)->v[stat];
	return sum;
}

/* A line for each operation that ended yet. */
static void flint_show_latency(struct seq_file *m, const struct flint_lat *lat)
{
	struct flint_lat_row sum;
	unsigned int row;

	for (row = 0; row < flint_lat_rows(lat); row++)
		if (flint_lat_sum(lat, row, &sum))
			seq_printf(m, "\n\t%s: count=%llu failed=%llu total_us=%llu p50_us=%u p99_us=%u",
				   flint_lat_name(lat, row), sum.count, sum.failed,
				   div_u64(sum.sum_ns, NSEC_PER_USEC),
				   flint_lat_quantile_us(&sum, 500),
				   flint_lat_quantile_us(&sum, 990));
}

static int flint_show_stats(struct seq_file *m, struct dentry *root)
{
	struct flint_fs *fs = flint_fs(root->d_sb);
	int i;

	seq_puts(m, "statvers=2");
	for (i = 0; i < FLINT_STAT_NR; i++)
		seq_printf(m, " %s=%llu", flint_stat_names[i], flint_stats_sum(fs, i));
	flint_show_latency(m, flint_net_lat(fs->net));
	return 0;
}

static const struct super_operations flint_super_ops = {
	.alloc_inode	= flint_inode_alloc,
	.free_inode	= flint_inode_free,
	.evict_inode	= flint_inode_evict,
	.drop_inode	= generic_drop_inode,
	.sync_fs	= flint_sync_fs,
	.statfs		= flint_statfs,
	.umount_begin	= flint_umount_begin,
	.show_options	= flint_show_options,
	.show_stats	= flint_show_stats,
};

/* ---- life of a mount -------------------------------------------------- */

static int flint_fs_init(struct flint_fs *fs, struct fs_context *fc)
{
	INIT_LIST_HEAD(&fs->nl_node);
	fs->instance = atomic_inc_return(&flint_instances);
	fs->netns = get_net(fc->net_ns);
	spin_lock_init(&fs->map_lock);
	spin_lock_init(&fs->seq_lock);
	INIT_LIST_HEAD(&fs->seq_open);
	atomic_set(&fs->inflight, 0);
	init_waitqueue_head(&fs->idle);
	flint_held_init(fs);
	spin_lock_init(&fs->retry_lock);
	INIT_LIST_HEAD(&fs->retrying);
	fs->next_warn = jiffies;
	fs->abort_until = jiffies;
	flint_map_init(fs);
	flint_leader_init(fs);
	flint_lease_init(fs);
	flint_delegate_init(fs);
	flint_wb_init(fs);
	flint_close_start(fs);
	fs->stats = alloc_percpu_gfp(struct flint_stats, GFP_KERNEL | __GFP_NOWARN);
	if (!fs->stats)
		return -ENOMEM;
	fs->wq = alloc_workqueue("flintfs-%u", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, fs->instance);
	fs->wb_wq = alloc_workqueue("flintfs-wb-%u", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, fs->instance);
	fs->io_wq = alloc_workqueue("flintfs-io-%u", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, fs->instance);
	return fs->wq && fs->wb_wq && fs->io_wq ? 0 : -ENOMEM;
}

/* How long one of an unmount's waits may take, so that together they end at @end. */
static unsigned long flint_stop_left(unsigned long end, unsigned long most)
{
	return clamp((long)(end - jiffies), 0L, (long)most);
}

/* Everything in flight ends by itself now; afterwards nothing starts anew. */
static void flint_fs_stop(struct flint_fs *fs, unsigned long end)
{
	if (!fs->wq)
		return;
	if (!READ_ONCE(fs->shutdown) && fs->session_epoch &&
	    !flint_delegate_drain(fs, flint_stop_left(end, FLINT_STOP_TELL)))
		pr_warn("%s: the metadata server does not answer: files made just before the unmount are lost\n",
			fs->name);
	/* Let CLOSEs of an orderly unmount reach the server. */
	if (!READ_ONCE(fs->shutdown) && fs->session_epoch) {
		flint_lock_hurry(fs);
		mod_delayed_work(fs->wq, &fs->close_work, 0);
		wait_event_timeout(fs->idle, !atomic_read(&fs->inflight),
				   flint_stop_left(end, FLINT_STOP_CLOSE));
		flint_session_close(fs);
	}
	flint_fs_abort(fs);
	flint_delegate_stop(fs);
	flint_lock_hurry(fs);
	mod_delayed_work(fs->wq, &fs->close_work, 0);
	while (!wait_event_timeout(fs->idle, !atomic_read(&fs->inflight), 30 * HZ))
		pr_warn("%s: unmount waits for %d requests to end\n", fs->name,
			atomic_read(&fs->inflight));
	synchronize_rcu();	/* flint_fs_end() is through */
}

static void flint_fs_free(struct flint_fs *fs)
{
	if (fs->wq) {
		flint_map_stop(fs);
		flint_leader_stop(fs);
		flint_lease_stop(fs);
		flint_close_stop(fs);
		destroy_workqueue(fs->wq);
	}
	if (fs->wb_wq)
		destroy_workqueue(fs->wb_wq);
	if (fs->io_wq)
		destroy_workqueue(fs->io_wq);
	if (fs->mgr)
		flint_peer_put(fs->mgr);
	if (fs->net)
		flint_net_destroy(fs->net);
	free_percpu(fs->stats);
	if (fs->netns)
		put_net(fs->netns);
	kfree(fs->opts.key_desc);
	kfree(fs->token);
	kfree_sensitive(fs);
}

static int flint_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct flint_fs *fs = flint_fs(sb);
	int err;

	fs->sb = sb;
	sb->s_magic = FLINT_SUPER_MAGIC;
	sb->s_op = &flint_super_ops;
	sb->s_d_op = &flint_dentry_ops;
	sb->s_xattr = flint_xattr_handlers;
	sb->s_export_op = &flint_export_ops;
	if (IS_ENABLED(CONFIG_FS_POSIX_ACL))
		sb->s_flags |= SB_POSIXACL;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_time_gran = 1;
	err = flint_fs_init(fs, fc);
	if (!err)
		err = super_setup_bdi(sb);
	if (err)
		return err;
	sb->s_bdi->ra_pages = FLINT_RA_BYTES / PAGE_SIZE;
	sb->s_bdi->io_pages = FLINT_MAX_IO / PAGE_SIZE;
	/* The servers may run on this machine, in memory that waits for us to be cleaned. */
	sb->s_bdi->capabilities |= BDI_CAP_STRICTLIMIT;
	bdi_set_max_ratio(sb->s_bdi, FLINT_DIRTY_RATIO);

	err = flint_mount_net(fc, fs);
	if (!err)
		err = flint_mount_map(fc, fs);
	if (!err)
		err = flint_mount_meta(fc, fs);
	if (!err)
		err = flint_mount_root(fc, sb);
	if (!err)
		err = flint_sysfs_add(fs);
	if (err)
		return err;
	flint_debugfs_add(fs);
	flint_nl_add(fs);
	flint_map_start(fs);
	flint_leader_start(fs);
	return 0;
}

int flint_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, flint_fill_super);
}

static void flint_kill_sb(struct super_block *sb)
{
	struct flint_fs *fs = flint_fs(sb);
	unsigned long end = jiffies + FLINT_STOP_ALL;

	flint_nl_del(fs);
	flint_debugfs_del(fs);
	flint_sysfs_del(fs);
	flint_held_stop(fs);
	if (sb->s_root)
		flint_wb_drain(fs);	/* who has dirty pages owes */
	flint_fs_stop(fs, end);
	kill_anon_super(sb);
	flint_fs_free(fs);
}

struct file_system_type flint_fs_type = {
	.owner			= THIS_MODULE,
	.name			= FLINT_FS_TYPE,
	.init_fs_context	= flint_init_fs_context,
	.parameters		= flint_fs_parameters,
	.kill_sb		= flint_kill_sb,
};
MODULE_ALIAS_FS("flintfs");

/* ---- the module ------------------------------------------------------- */

static int __init flint_init(void)
{
	int err = flint_inode_cache_init();

	if (err)
		return err;
	err = flint_dio_init();
	if (err)
		goto inodes;
	err = flint_transport_init();
	if (err)
		goto dio;
	err = flint_sysfs_init();
	if (err)
		goto transport;
	flint_debugfs_init();
	err = flint_nl_init();
	if (err)
		goto sysfs;
	err = register_filesystem(&flint_fs_type);
	if (err)
		goto netlink;
	return 0;
netlink:
	flint_nl_exit();
sysfs:
	flint_debugfs_exit();
	flint_sysfs_exit();
transport:
	flint_transport_exit();
dio:
	flint_dio_exit();
inodes:
	flint_inode_cache_exit();
	return err;
}

static void __exit flint_exit(void)
{
	unregister_filesystem(&flint_fs_type);
	flint_nl_exit();
	flint_debugfs_exit();
	flint_sysfs_exit();
	flint_transport_exit();
	flint_dio_exit();
	flint_inode_cache_exit();
}

module_init(flint_init);
module_exit(flint_exit);

MODULE_DESCRIPTION("FlintFS client");
MODULE_AUTHOR("The FlintFS authors");
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: crc32c");
