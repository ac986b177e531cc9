// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint up and flint down: a whole cluster on one machine, for one directory.
 *
 *	DIR/cluster.key		the cluster's key
 *	DIR/flint.conf		[flint]: where the manager is; [flint-up]: how it was made
 *	DIR/mgr, meta, chunkN	state of each daemon; chunkN/target is its target,
 *				target2 and so on are further ones
 *	DIR/mgrN, metaN		of further managers and metadata replicas
 *	DIR/log, run		logs and pid files
 *
 * Every step looks first whether it has been done, so that running it again
 * after any interruption completes it: a target appears under its name only
 * when it is formatted, the configuration is replaced whole, and the manager
 * answers repeated requests.
 */
#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../userd/base/addr.h"
#include "../userd/base/conf.h"
#include "../userd/base/key.h"
#include "../userd/net/net.h"
#include "cli_ground.h"
#include "cli_group.h"
#include "fsname.h"

#define UP_SERVERS_MAX	16
#define UP_REPLICAS_MAX	5
#define UP_TARGETS_MAX	8		/* of a chunk server */
#define UP_PROCS_MAX	(UP_SERVERS_MAX + 2 * UP_REPLICAS_MAX)
#define UP_WAIT_S	90		/* for everything to be healthy, times time_scale */
#define UP_STOP_MS	10000
#define UP_SETTLE_MS	5000		/* for the manager to hear of it, times time_scale */
#define UP_TRIES	4		/* starts after one that ended at once */
#define UP_TRY_MS	3000
#define UP_TRY_PAUSE_US	400000
#define UP_EMULATED_SCALE 3		/* default time scale on emulated machines */
#define UP_MORE_MGRS	200		/* ports of further managers, from the base port */
#define UP_MORE_METAS	300
#define UP_IB		"/sys/class/infiniband"

/* What flint.conf remembers of how the cluster was made. */
struct up_conf {
	char *listen;
	uint64_t base_port, servers, targets, replicas, metas, mgrs, size, time_scale;
	bool rdma;
	char *fs;
};

/**
 * struct up - one run
 * @dir: absolute
 * @procs: managers, metadata servers, then chunk servers
 * @made: this run made @dir
 */
struct up {
	struct cli *cli;
	char dir[PATH_MAX];
	struct up_conf conf;
	struct up_proc procs[UP_PROCS_MAX];
	unsigned int nr_procs;
	bool made;
	int lock;
	uint64_t begin_ns;
	uint64_t told_ns;
};

#define UP_OFF(member)	offsetof(struct up_conf, member)

static const struct flint_conf_opt up_conf_opts[] = {
	{ "listen", 0, FLINT_CONF_STR, UP_OFF(listen), NULL, NULL, NULL, 0, 0, 0 },
	{ "base-port", 0, FLINT_CONF_U64, UP_OFF(base_port), "7440", NULL, NULL, 1, 65000, 0 },
	{ "chunk-servers", 0, FLINT_CONF_U64, UP_OFF(servers), "3", NULL, NULL, 1,
	  UP_SERVERS_MAX, 0 },
	{ "targets", 0, FLINT_CONF_U64, UP_OFF(targets), "1", NULL, NULL, 1, UP_TARGETS_MAX, 0 },
	{ "replicas", 0, FLINT_CONF_U64, UP_OFF(replicas), "1", NULL, NULL, 1,
	  FLINT_CHAIN_MAX, 0 },
	{ "meta", 0, FLINT_CONF_U64, UP_OFF(metas), "1", NULL, NULL, 1, UP_REPLICAS_MAX, 0 },
	{ "mgrs", 0, FLINT_CONF_U64, UP_OFF(mgrs), "1", NULL, NULL, 1, UP_REPLICAS_MAX, 0 },
	{ "size", 0, FLINT_CONF_SIZE, UP_OFF(size), "2G", NULL, NULL, 0, 0, 0 },
	{ "time-scale", 0, FLINT_CONF_U64, UP_OFF(time_scale), "1", NULL, NULL, 1, 100, 0 },
	{ "rdma", 0, FLINT_CONF_BOOL, UP_OFF(rdma), "yes", NULL, NULL, 0, 0, 0 },
	{ "fs", 0, FLINT_CONF_STR, UP_OFF(fs), "default", NULL, NULL, 0, 0, 0 },
	{ 0 },
};

static const struct flint_conf_spec up_conf_spec = {
	.prog = "flint-up",
	.opts = up_conf_opts,
};

static bool up_quiet(const struct up *u)
{
	return cli_opt(u->cli, CLI_OPT_JSON);
}

/* ---- the directory ---------------------------------------------------- */

/* Refuse file systems that cannot hold state (decisions D21). */
static int up_check_fs(const char *dir)
{
	struct statfs sf;
	const char *name = NULL;

	if (statfs(dir, &sf))
		return cli_fail("cannot look at %s (%s)", dir, strerror(errno));
	switch ((unsigned long)sf.f_type) {
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
		name = "a memory file system, without direct I/O and gone after a reboot";
		break;
	case V9FS_MAGIC:
		name = "a 9p share, which cannot hold databases";
		break;
	}
	if (name)
		return cli_fail("%s lies on %s: choose a directory on a disk (ext4 or XFS)", dir,
				name);
	return 0;
}

/* Find DIR, make it if @create, lock it. Return: 0 or 1 after a message. */
static int up_dir_open(struct up *u, bool create)
{
	char text[PATH_MAX], *slash, lock[PATH_MAX + 16];
	const char *name = u->cli->words[0];

	snprintf(text, sizeof(text), "%s", name);
	while (strlen(text) > 1 && text[strlen(text) - 1] == '/')
		text[strlen(text) - 1] = 0;
	if (access(text, F_OK)) {
		if (!create)
			return cli_fail("%s does not exist: name the directory given to 'flint up'",
					name);
		slash = strrchr(text, '/');
		if (slash)
			*slash = 0;
		if (up_check_fs(slash ? (*text ? text : "/") : "."))
			return 1;
		if (slash)
			*slash = '/';
		if (mkdir(text, 0700))
			return cli_fail("cannot make %s (%s): choose a directory that you may write",
					text, strerror(errno));
		u->made = true;
	}
	if (!realpath(text, u->dir))
		return cli_fail("cannot find %s (%s)", text, strerror(errno));
	if (strlen(u->dir) > PATH_MAX / 2 || strpbrk(u->dir, "\n;#"))
		return cli_fail("%s is too long or holds ';' or '#': choose a simpler name", u->dir);
	if (create && !u->made && up_check_fs(u->dir))
		return 1;
	snprintf(lock, sizeof(lock), "%s/up.lock", u->dir);
	u->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (u->lock < 0)
		return cli_fail("cannot write in %s (%s): choose a directory that you may write",
				u->dir, strerror(errno));
	if (flock(u->lock, LOCK_EX | LOCK_NB))
		return cli_fail("another 'flint up' or 'flint down' is at work in %s: wait for it",
				u->dir);
	return 0;
}

/* ---- configuration ---------------------------------------------------- */

/* iWARP devices do not name their network device; their GID begins with its MAC address. */
static bool up_rdma_netdev_by_gid(const char *dev, char *out, size_t len)
{
	unsigned int g[3], mac[6];
	char path[512], name[64];
	bool found = false;
	glob_t nets = { 0 };
	size_t i;
	FILE *f;

	snprintf(path, sizeof(path), UP_IB "/%s/ports/1/gids/0", dev);
	f = fopen(path, "re");
	if (!f)
		return false;
	found = fscanf(f, "%4x:%4x:%4x", &g[0], &g[1], &g[2]) == 3;
	fclose(f);
	if (!found || glob("/sys/class/net/*/address", 0, NULL, &nets))
		return false;
	for (found = false, i = 0; i < nets.gl_pathc && !found; i++) {
		f = fopen(nets.gl_pathv[i], "re");
		found = f && fscanf(f, "%2x:%2x:%2x:%2x:%2x:%2x", &mac[0], &mac[1], &mac[2],
				    &mac[3], &mac[4], &mac[5]) == 6 &&
			(mac[0] << 8 | mac[1]) == g[0] && (mac[2] << 8 | mac[3]) == g[1] &&
			(mac[4] << 8 | mac[5]) == g[2] &&
			sscanf(nets.gl_pathv[i], "/sys/class/net/%63[^/]", name) == 1;
		if (f)
			fclose(f);
	}
	globfree(&nets);
	if (found)
		snprintf(out, len, "%s", name);
	return found;
}

/* Name of the network device beneath an RDMA device. Return: found? */
static bool up_rdma_netdev(const char *dev, char *out, size_t len)
{
	static const char * const files[] = { "parent", "ports/1/gid_attrs/ndevs/0" };
	char path[512];
	size_t i;
	FILE *f;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), UP_IB "/%s/%s", dev, files[i]);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(out, len, f) && out[0] != '\n') {
			out[strcspn(out, "\n")] = 0;
			fclose(f);
			return true;
		}
		fclose(f);
	}
	return up_rdma_netdev_by_gid(dev, out, len);
}

/* Address of the first RDMA device that has one. Return: malloced or NULL. */
static char *up_rdma_address(void)
{
	struct sockaddr_storage sa = { 0 };
	char net[64], text[FLINT_ADDR_STR], *found = NULL;
	struct ifaddrs *list = NULL, *i;
	struct dirent *e;
	DIR *d = opendir(UP_IB);

	if (d && getifaddrs(&list))
		list = NULL;
	while (d && !found && (e = readdir(d))) {
		if (e->d_name[0] == '.' || !up_rdma_netdev(e->d_name, net, sizeof(net)))
			continue;
		for (i = list; i && !found; i = i->ifa_next) {
			if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET ||
			    strcmp(i->ifa_name, net))
				continue;
			memcpy(&sa, i->ifa_addr, sizeof(struct sockaddr_in));
			flint_addr_set_port(&sa, 0);
			flint_addr_format(&sa, text, sizeof(text));
			text[strcspn(text, ":")] = 0;
			found = strdup(text);
		}
	}
	if (list)
		freeifaddrs(list);
	if (d)
		closedir(d);
	return found;
}

/*
 * Is this machine emulated, so that everything takes many times longer? QEMU's
 * emulator names itself in the hypervisor leaf of CPUID.
 */
static bool up_emulated(void)
{
#ifdef __x86_64__
	unsigned int eax, sig[3];

	__cpuid(0x40000000, eax, sig[0], sig[1], sig[2]);
	return !memcmp(sig, "TCGTCGTCGTCG", sizeof(sig));
#else
	return false;
#endif
}

/* Replace one string. */
static int up_set(char **dst, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return cli_fail("out of memory");
	free(*dst);
	*dst = copy;
	return 0;
}

/*
 * Fewer replicas than there were: those that are too many must have been taken out, which
 * ends with their state removed. Return: 0 or 1 after a message.
 */
static int up_fewer(const struct up *u, const char *one, const char *kind, uint64_t have,
		    uint64_t want)
{
	struct up_proc p = { 0 };
	char path[PATH_MAX + 64];

	for (; have > want; have--) {
		snprintf(p.name, sizeof(p.name), "%s%u", kind, (unsigned int)have);
		snprintf(path, sizeof(path), "%s/%s", u->dir, p.name);
		up_proc_look(&p, u->dir);
		if (p.pid || (rmdir(path) && errno != ENOENT))
			return cli_fail("this cluster has a %s %s: take it out with 'flint %s remove %s', stop it and remove %s first",
					one, p.name, kind, p.name, path);
	}
	return 0;
}

/* Take what the command line says over what was remembered. Return: 0 or 1 after a message. */
static int up_conf_merge(struct up *u, bool fresh)
{
	const struct cli *c = u->cli;
	struct up_conf *k = &u->conf;
	uint64_t servers, targets, metas, mgrs;

	if (fresh && up_emulated())
		k->time_scale = UP_EMULATED_SCALE;
	if (cli_number(c, CLI_OPT_CHUNK_SERVERS, "chunk-servers", k->servers, 1, UP_SERVERS_MAX,
		       &servers) ||
	    cli_number(c, CLI_OPT_TARGETS, "targets", k->targets, 1, UP_TARGETS_MAX, &targets) ||
	    cli_number(c, CLI_OPT_REPLICAS, "replicas", k->replicas, 1, FLINT_CHAIN_MAX,
		       &k->replicas) ||
	    cli_number(c, CLI_OPT_META, "meta", k->metas, 1, UP_REPLICAS_MAX, &metas) ||
	    cli_number(c, CLI_OPT_MGRS, "mgr", k->mgrs, 1, UP_REPLICAS_MAX, &mgrs) ||
	    cli_number(c, CLI_OPT_BASE_PORT, "base-port", k->base_port, 1, 65000,
		       &k->base_port) ||
	    cli_number(c, CLI_OPT_TIME_SCALE, "time-scale", k->time_scale, 1, 100,
		       &k->time_scale) ||
	    cli_size(c, CLI_OPT_SIZE, "size", k->size, &k->size))
		return 1;
	if (!fresh && servers < k->servers)
		return cli_fail("this cluster has %llu chunk servers, whose data would be lost with fewer: give --chunk-servers %llu or more",
				(unsigned long long)k->servers, (unsigned long long)k->servers);
	if (!fresh && targets < k->targets)
		return cli_fail("each chunk server has %llu targets, whose data would be lost with fewer: give --targets %llu or more",
				(unsigned long long)k->targets, (unsigned long long)k->targets);
	if (!fresh && (up_fewer(u, "metadata replica", "meta", k->metas, metas) ||
		       up_fewer(u, "manager", "mgr", k->mgrs, mgrs)))
		return 1;
	k->servers = servers;
	k->targets = targets;
	k->metas = metas;
	k->mgrs = mgrs;
	if (cli_opt(c, CLI_OPT_FS) && up_set(&k->fs, cli_opt(c, CLI_OPT_FS)))
		return 1;
	if (!mgr_fs_name_ok(k->fs))
		return cli_fail("a file system's name is " MGR_FS_NAME_WORDS ", not '%s': give another with --fs",
				k->fs);
	if (cli_opt(c, CLI_OPT_NO_RDMA))
		k->rdma = false;
	if (cli_opt(c, CLI_OPT_LISTEN) && up_set(&k->listen, cli_opt(c, CLI_OPT_LISTEN)))
		return 1;
	if (k->listen && strpbrk(k->listen, "\n;# "))
		return cli_fail("'%s' is no address: give others with --listen, commas between them",
				k->listen);
	if (k->rdma && !k->listen)
		k->listen = up_rdma_address();
	if (k->rdma && !k->listen) {
		if (!up_quiet(u))
			fprintf(stderr, "flint: no RDMA device found, serving TCP only: mounts need one ('rdma link add rxe0 type rxe netdev eth0', then 'flint up --restart')\n");
	}
	if (!k->listen && up_set(&k->listen, "127.0.0.1"))
		return 1;
	return 0;
}

/* RDMA now? Remembered wish, and a device. */
static bool up_use_rdma(const struct up *u)
{
	char *addr;

	if (!u->conf.rdma)
		return false;
	addr = up_rdma_address();
	free(addr);
	return addr != NULL;
}

/* First port of the @i-th manager (0...): its HTTP port; TCP and RDMA follow. */
static unsigned int up_mgr_port(const struct up_conf *k, unsigned int i)
{
	return (unsigned int)k->base_port + (i ? UP_MORE_MGRS + 10 * (i - 1) : 0);
}

/* TCP port of the @i-th metadata server; RDMA follows. */
static unsigned int up_meta_port(const struct up_conf *k, unsigned int i)
{
	return (unsigned int)k->base_port + (i ? UP_MORE_METAS + 10 * (i - 1) : 11);
}

/* "ADDR", the first of several, IPv6 in brackets. */
static void up_host(const struct up_conf *k, char *out, size_t len)
{
	int n = strcspn(k->listen, ",");

	snprintf(out, len, memchr(k->listen, ':', n) ? "[%.*s]" : "%.*s", n, k->listen);
}

/* "ADDR:PORT,..." of all managers, but for the @but-th; @off: from the HTTP port. */
static void up_mgr_list(const struct up_conf *k, unsigned int off, unsigned int but, char *out,
			size_t len)
{
	char host[256];
	size_t n = 0;
	unsigned int i;

	up_host(k, host, sizeof(host));
	for (i = 0; i < k->mgrs && n < len; i++)
		if (i != but)
			n += snprintf(out + n, len - n, "%s%s:%u", n ? "," : "", host,
				      up_mgr_port(k, i) + off);
}

static int up_conf_write(struct up *u)
{
	const struct up_conf *k = &u->conf;
	char path[PATH_MAX + 32], tmp[PATH_MAX + 32], mgrs[512];
	FILE *f;
	int bad;

	snprintf(path, sizeof(path), "%s/flint.conf", u->dir);
	snprintf(tmp, sizeof(tmp), "%s/flint.conf.new", u->dir);
	f = fopen(tmp, "we");
	if (!f)
		return cli_fail("cannot write %s (%s)", tmp, strerror(errno));
	up_mgr_list(k, 0, k->mgrs, mgrs, sizeof(mgrs));
	fprintf(f, "# Written by 'flint up'; 'flint --dir' reads it.\n[flint]\nmgr = %s\nkey = %s/cluster.key\n\n",
		mgrs, u->dir);
	fprintf(f, "[flint-up]\nlisten = %s\nbase-port = %llu\nchunk-servers = %llu\ntargets = %llu\nreplicas = %llu\nmeta = %llu\nmgrs = %llu\nsize = %llu\ntime-scale = %llu\nrdma = %s\nfs = %s\n",
		k->listen, (unsigned long long)k->base_port, (unsigned long long)k->servers,
		(unsigned long long)k->targets, (unsigned long long)k->replicas,
		(unsigned long long)k->metas, (unsigned long long)k->mgrs,
		(unsigned long long)k->size, (unsigned long long)k->time_scale,
		k->rdma ? "yes" : "no", k->fs);
	bad = fflush(f) || fsync(fileno(f));
	bad |= fclose(f);
	if (bad || rename(tmp, path)) {
		unlink(tmp);
		return cli_fail("cannot write %s (%s): free space there", path, strerror(errno));
	}
	return 0;
}

/* Read flint.conf. Return: 0, -ENOENT if there is none, 1 after a message. */
static int up_conf_read(struct up *u)
{
	char path[PATH_MAX + 32], err[CLI_ERR_LEN] = "";
	const struct flint_conf_opt *o;
	int ret;

	for (o = up_conf_opts; o->key; o++)
		if (o->def && flint_conf_set(o, o->def, &u->conf, err, sizeof(err)))
			return cli_fail("%s", err);
	snprintf(path, sizeof(path), "%s/flint.conf", u->dir);
	ret = flint_conf_read_file(&up_conf_spec, path, &u->conf, NULL, err, sizeof(err));
	if (!ret || ret == -ENOENT)
		return ret;
	return cli_fail("%s: mend it, or remove it to have it written anew",
			err[0] ? err : path);
}

/* ---- commands of the daemons ------------------------------------------ */

/* Arguments that all daemons have. */
static int up_args(struct up *u, struct up_proc *p, const char *program, unsigned int port)
{
	const struct up_conf *k = &u->conf;
	char *path = up_find_program(program);
	char mgrs[512];
	int bad;

	if (!path)
		return cli_fail("%s is neither beside this program nor in PATH: build or install it",
				program);
	bad = up_proc_arg(p, "%s", path);
	bad |= up_proc_arg(p, "--state");
	bad |= up_proc_arg(p, "%s/%s", u->dir, p->name);
	bad |= up_proc_arg(p, "--key");
	bad |= up_proc_arg(p, "%s/cluster.key", u->dir);
	bad |= up_proc_arg(p, "--name");
	bad |= up_proc_arg(p, "%s", p->name);
	bad |= up_proc_arg(p, "--listen");
	bad |= up_proc_arg(p, "%s", k->listen);
	bad |= up_proc_arg(p, "--tcp-port");
	bad |= up_proc_arg(p, "%u", port);
	bad |= up_proc_arg(p, "--rdma-port");
	bad |= up_proc_arg(p, "%u", up_use_rdma(u) ? port + 1 : 0);
	if (p >= u->procs + k->mgrs) {
		up_mgr_list(k, 1, k->mgrs, mgrs, sizeof(mgrs));
		bad |= up_proc_arg(p, "--mgr");
		bad |= up_proc_arg(p, "%s", mgrs);
		bad |= up_proc_arg(p, "--metrics");
		bad |= up_proc_arg(p, "%u", port + 2);
	}
	free(path);
	return bad ? cli_fail("out of memory") : 0;
}

/* "mgr", "mgr2", ...; "meta", "meta2", ...; "chunk1", ... in the order of u->procs. */
static void up_procs_name(struct up *u)
{
	const struct up_conf *k = &u->conf;
	struct up_proc *p = u->procs;
	unsigned int i;

	for (i = 1; i <= k->mgrs; i++, p++)
		snprintf(p->name, sizeof(p->name), i > 1 ? "mgr%u" : "mgr", i);
	for (i = 1; i <= k->metas; i++, p++)
		snprintf(p->name, sizeof(p->name), i > 1 ? "meta%u" : "meta", i);
	for (i = 1; i <= k->servers; i++, p++)
		snprintf(p->name, sizeof(p->name), "chunk%u", i);
	u->nr_procs = p - u->procs;
	for (i = 0; i < u->nr_procs; i++)
		u->procs[i].same_session = cli_opt(u->cli, CLI_OPT_SAME_SESSION);
}

/*
 * The first manager founds the cluster; all others join it. When the first has
 * lost its state it must not found a second one.
 */
static bool up_mgr_joins(const struct up *u, unsigned int i)
{
	char path[PATH_MAX + 64];
	unsigned int j;

	if (i)
		return true;
	snprintf(path, sizeof(path), "%s/%s/state.db", u->dir, u->procs[0].name);
	if (!access(path, F_OK))
		return false;
	for (j = 1; j < u->conf.mgrs; j++) {
		snprintf(path, sizeof(path), "%s/%s/raft.db", u->dir, u->procs[j].name);
		if (!access(path, F_OK))
			return true;
	}
	return false;
}

/* Options that only a manager has. Return: not 0: no memory. */
static int up_mgr_args(struct up *u, struct up_proc *p, unsigned int i)
{
	const struct up_conf *k = &u->conf;
	char list[512];
	int bad;

	bad = up_proc_arg(p, "--http-port");
	bad |= up_proc_arg(p, "%u", up_mgr_port(k, i));
	bad |= up_proc_arg(p, "--time-scale");
	bad |= up_proc_arg(p, "%llu", (unsigned long long)k->time_scale);
	if (!up_mgr_joins(u, i))
		return bad;
	up_mgr_list(k, 1, i, list, sizeof(list));
	bad |= up_proc_arg(p, "--join");
	return bad | up_proc_arg(p, "%s", list);
}

/* Fill the table of processes. Return: 0 or 1 after a message. */
static int up_procs_build(struct up *u)
{
	const struct up_conf *k = &u->conf;
	struct up_proc *p = u->procs;
	unsigned int i, j;
	int bad = 0;

	up_procs_name(u);
	for (i = 0; i < k->mgrs; i++, p++) {
		if (up_args(u, p, "flint-mgrd", up_mgr_port(k, i) + 1))
			return 1;
		bad |= up_mgr_args(u, p, i);
	}
	for (i = 0; i < k->metas; i++, p++) {
		if (up_args(u, p, "flint-metad", up_meta_port(k, i)))
			return 1;
		bad |= up_proc_arg(p, "--time-scale");
		bad |= up_proc_arg(p, "%llu", (unsigned long long)k->time_scale);
	}
	for (i = 1; i <= k->servers; i++, p++) {
		if (up_args(u, p, "flint-chunkd", k->base_port + 11 + 10 * i))
			return 1;
		bad |= up_proc_arg(p, "--target-dir");
		bad |= up_proc_arg(p, "%s/%s", u->dir, p->name);
		for (j = 1; j <= k->targets; j++) {
			bad |= up_proc_arg(p, "--target");
			bad |= up_proc_arg(p, "%s/%s/target%.0u", u->dir, p->name, j > 1 ? j : 0);
		}
	}
	return bad ? cli_fail("out of memory") : 0;
}

/* ---- targets ---------------------------------------------------------- */

/* Target @nr, from 1, of chunk server @server, with @suffix. */
static void up_target_path(const struct up *u, unsigned int server, unsigned int nr,
			   const char *suffix, char *path, size_t len)
{
	snprintf(path, len, "%s/chunk%u/target%.0u%s", u->dir, server, nr > 1 ? nr : 0, suffix);
}

/* Is there room for the targets that are still to be made? */
static int up_targets_room(struct up *u)
{
	char need[32], have[32], path[PATH_MAX + 64];
	unsigned int i, j, missing = 0;
	struct statvfs sv;
	uint64_t room;

	for (i = 1; i <= u->conf.servers; i++)
		for (j = 1; j <= u->conf.targets; j++) {
			up_target_path(u, i, j, "", path, sizeof(path));
			missing += access(path, F_OK) != 0;
		}
	if (!missing || statvfs(u->dir, &sv))
		return 0;
	room = (uint64_t)sv.f_bavail * sv.f_frsize;
	if (room / missing >= u->conf.size)
		return 0;
	return cli_fail("%u targets of %s each do not fit into the %s free at %s: give a smaller --size",
			missing, flint_size_format(u->conf.size, need, sizeof(need)),
			flint_size_format(room, have, sizeof(have)), u->dir);
}

/* Ids are given such that further servers and further targets keep theirs apart. */
static int up_target_format(struct up *u, unsigned int server, unsigned int nr)
{
	char path[PATH_MAX + 64], tmp[PATH_MAX + 64], size[32], text[16], err[CLI_ERR_LEN];
	char *prog = u->procs[u->conf.mgrs + u->conf.metas + server - 1].argv[0];
	char *argv[] = { prog, "--format", tmp, "--id", text, "--size", size, NULL };
	unsigned int id = server + (nr - 1) * UP_SERVERS_MAX;

	snprintf(path, sizeof(path), "%s/chunk%u", u->dir, server);
	if (mkdir(path, 0700) && errno != EEXIST)
		return cli_fail("cannot make %s (%s)", path, strerror(errno));
	up_target_path(u, server, nr, "", path, sizeof(path));
	up_target_path(u, server, nr, ".new", tmp, sizeof(tmp));
	if (!access(path, F_OK))
		return 0;
	unlink(tmp);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)u->conf.size);
	snprintf(text, sizeof(text), "%u", id);
	if (up_run(argv, err, sizeof(err))) {
		unlink(tmp);
		return cli_fail("target %u was not made: %s", id, err);
	}
	if (rename(tmp, path))
		return cli_fail("cannot name %s (%s)", path, strerror(errno));
	if (!up_quiet(u))
		printf("target %u formatted\n", id);
	return 0;
}

static int up_targets(struct up *u)
{
	unsigned int i, j;

	for (i = 1; i <= u->conf.servers; i++)
		for (j = 1; j <= u->conf.targets; j++)
			if (up_target_format(u, i, j))
				return 1;
	return 0;
}

/* ---- waiting for health ----------------------------------------------- */

static uint64_t up_ms_since(uint64_t ns)
{
	return (flint_now_ns() - ns) / 1000000;
}

/* Tell what is being waited for, every two seconds. */
static void up_tell(struct up *u, const char *what)
{
	if (up_ms_since(u->begin_ns) < 2000 || up_ms_since(u->told_ns) < 2000)
		return;
	u->told_ns = flint_now_ns();
	if (!up_quiet(u))
		fprintf(stderr, "waiting for %s ... (%llu s)\n", what,
			(unsigned long long)up_ms_since(u->begin_ns) / 1000);
}

/*
 * Is this daemon in the manager's list, and heard since it was started, or, if
 * it ran before, since we began? It may have been killed a moment ago, and a
 * manager that starts anew takes what was up for up until it knows better.
 */
static bool up_node_ready(const struct up *u, json_t *nodes, const struct up_proc *p)
{
	uint64_t run_ms = up_ms_since(p->started_ns ? p->started_ns : u->begin_ns);
	json_t *n, *heard;
	size_t i;

	json_array_foreach(nodes, i, n) {
		if (strcmp(json_string_value(json_object_get(n, "name")), p->name))
			continue;
		heard = json_object_get(n, "heard_ms_ago");
		return !strcmp(json_string_value(json_object_get(n, "state")), "up") &&
		       json_is_integer(heard) && (uint64_t)json_integer_value(heard) <= run_ms;
	}
	return false;
}

/* All targets reported and alive? */
static bool up_targets_ready(json_t *targets, uint64_t want, unsigned int *unused)
{
	uint64_t alive = 0;
	json_t *t;
	size_t i;

	*unused = 0;
	json_array_foreach(targets, i, t) {
		const char *local = json_string_value(json_object_get(t, "local"));

		alive += strcmp(local, "offline") != 0;
		*unused += !json_integer_value(json_object_get(t, "chain"));
	}
	return alive >= want;
}

/* One look at the cluster. Return: NULL when all is there, else what is missing. */
static const char *up_look(struct up *u, unsigned int *unused, char *text, size_t len)
{
	json_t *map = NULL, *nodes;
	const char *missing = NULL;
	char err[CLI_ERR_LEN];
	unsigned int i;

	if (cli_api_call(u->cli, "GET", "/v1/map", NULL, &map, err, sizeof(err))) {
		snprintf(text, len, "the manager (%s)", err);
		return text;
	}
	nodes = json_object_get(map, "nodes");
	for (i = 0; i < u->nr_procs && !missing; i++)
		if (!up_node_ready(u, nodes, &u->procs[i]))
			missing = u->procs[i].name;
	if (!missing && !up_targets_ready(json_object_get(map, "targets"),
					  u->conf.servers * u->conf.targets, unused))
		missing = "the targets";
	json_decref(map);
	return missing;
}

/*
 * Look after daemons that this run has started. What a killed predecessor held
 * (its target, its port) may be released by the kernel a moment later, so one
 * that ends at once gets a few more chances. Return: 0 or 1 after a message.
 */
static int up_watch(struct up *u)
{
	char err[CLI_ERR_LEN];
	unsigned int i;

	for (i = 0; i < u->nr_procs; i++) {
		struct up_proc *p = &u->procs[i];

		if (!p->started_ns) {
			/* It ran when we looked, but perhaps it was just dying. */
			up_proc_look(p, u->dir);
			if (p->pid)
				continue;
		} else if (!up_proc_ended(p, u->dir, err, sizeof(err))) {
			continue;
		}
		if (p->tries++ == UP_TRIES ||
		    (p->started_ns && up_ms_since(p->started_ns) > UP_TRY_MS))
			return cli_fail("%s", err);
		if (p->started_ns)
			usleep(UP_TRY_PAUSE_US);
		if (up_proc_start(p, u->dir, err, sizeof(err)))
			return cli_fail("%s", err);
	}
	return 0;
}

/* Wait until every daemon has reported. Return: 0 or 1 after a message. */
static int up_wait(struct up *u, unsigned int *unused)
{
	uint64_t limit = UP_WAIT_S * 1000ull * u->conf.time_scale;
	char text[CLI_ERR_LEN + 64];
	const char *missing;

	for (;;) {
		if (up_watch(u))
			return 1;
		missing = up_look(u, unused, text, sizeof(text));
		if (!missing)
			return 0;
		if (up_ms_since(u->begin_ns) > limit)
			return cli_fail("gave up waiting for %s after %llu s: look at the logs in %s/log",
					missing, (unsigned long long)limit / 1000, u->dir);
		up_tell(u, missing);
		usleep(100000);
	}
}

/* Call the API again while it says "not yet". Return: 0 or 1 after a message. */
static int up_api_retry(struct up *u, const char *path, json_t *body, json_t **out)
{
	uint64_t limit = UP_WAIT_S * 1000ull * u->conf.time_scale;
	char err[CLI_ERR_LEN];
	int ret;

	do {
		ret = cli_api_call(u->cli, body ? "POST" : "GET", path, json_incref(body), out,
				   err, sizeof(err));
		if (ret != -EAGAIN)
			break;
		up_tell(u, "the metadata server");
		usleep(200000);
	} while (up_ms_since(u->begin_ns) < limit);
	json_decref(body);
	return ret ? cli_fail("%s", err) : 0;
}

static int up_chains(struct up *u)
{
	struct cli_chains_made made;
	struct cli_ground g;
	int ret;

	if (cli_ground_read(u->cli, &g))
		return 1;
	ret = cli_chains_make(u->cli, &g, NULL, u->conf.replicas, PLACE_AUTO, NULL, &made);
	cli_ground_free(&g);
	return ret;
}

/*
 * Chains and the file system, where they are missing. Where there are several
 * copies, targets that came later are left to people: new chains are made of
 * them ('flint chain create'), or the old ones spread over them ('flint rebalance').
 */
static int up_complete(struct up *u, unsigned int unused)
{
	json_t *out = NULL;

	if (unused && (u->conf.replicas == 1 ||
		       unused == u->conf.servers * u->conf.targets) && up_chains(u))
		return 1;
	if (up_api_retry(u, "/v1/fs",
			 json_pack("{s:s, s:I, s:I}", "name", u->conf.fs, "uid",
				   (json_int_t)getuid(), "gid", (json_int_t)getgid()), &out))
		return 1;
	json_decref(out);
	return 0;
}

/* The status; a moment later if heartbeats have yet to tell the manager of what was just done. */
static int up_status(struct up *u, json_t **status)
{
	uint64_t begin = flint_now_ns();

	for (;;) {
		if (up_api_retry(u, "/v1/status", NULL, status))
			return 1;
		if (json_is_true(json_object_get(*status, "healthy")) ||
		    up_ms_since(begin) > UP_SETTLE_MS * u->conf.time_scale)
			return 0;
		json_decref(*status);
		*status = NULL;
		usleep(200000);
	}
}

static int up_report(struct up *u)
{
	const struct up_conf *k = &u->conf;
	bool rdma = up_use_rdma(u);
	json_t *status = NULL;
	char addr[512];
	int ret;

	if (up_status(u, &status))
		return 1;
	if (k->mgrs == 1 && k->base_port == FLINT_PORT_MGR_HTTP)
		up_host(k, addr, sizeof(addr));
	else
		up_mgr_list(k, 2, k->mgrs, addr, sizeof(addr));
	if (up_quiet(u)) {
		json_object_set_new(status, "dir", json_string(u->dir));
		json_object_set_new(status, "rdma", json_boolean(rdma));
		json_object_set_new(status, "mount_source", json_sprintf("%s:/%s", addr, k->fs));
		cli_print_json(status);
		ret = json_is_true(json_object_get(status, "healthy")) ? 0 : 1;
	} else {
		ret = cli_print_status(status);
		if (rdma)
			printf("mount it:   mount -t flintfs %s:/%s DIRECTORY -o secretfile=%s/cluster.key\n",
			       addr, k->fs, u->dir);
		printf("look at it: flint status --dir %s\nstop it:    flint down %s\n", u->dir,
		       u->dir);
	}
	json_decref(status);
	return ret;
}

/* ---- the two commands ------------------------------------------------- */

/* Stop processes [from, to) together. */
static void up_stop_some(struct up *u, unsigned int from, unsigned int to)
{
	unsigned int i;

	for (i = from; i < to; i++)
		up_proc_term(&u->procs[i]);
	for (i = from; i < to; i++)
		if (up_proc_reap(&u->procs[i], u->dir, UP_STOP_MS) && !up_quiet(u))
			printf("%s did not stop in time and was killed\n", u->procs[i].name);
}

/* Stop clients of state before its keepers: metadata, chunks, managers. */
static void up_stop_all(struct up *u)
{
	unsigned int mgrs = u->conf.mgrs, metas = u->conf.metas;

	up_stop_some(u, mgrs, mgrs + metas);
	up_stop_some(u, mgrs + metas, u->nr_procs);
	up_stop_some(u, 0, mgrs);
}

static int up_make_dirs(struct up *u)
{
	static const char * const names[] = { "log", "run" };
	unsigned int replicas = u->conf.mgrs + u->conf.metas;
	char path[PATH_MAX + 64], err[CLI_ERR_LEN];
	uint8_t key[FLINT_KEY_LEN];
	size_t i;

	for (i = 0; i < 2 + replicas; i++) {
		snprintf(path, sizeof(path), "%s/%s", u->dir,
			 i < 2 ? names[i] : u->procs[i - 2].name);
		if (mkdir(path, 0700) && errno != EEXIST)
			return cli_fail("cannot make %s (%s): choose a directory that you may write",
					path, strerror(errno));
	}
	snprintf(path, sizeof(path), "%s/cluster.key", u->dir);
	if (!access(path, F_OK))
		return 0;
	if (flint_key_create(path, key, err, sizeof(err)))
		return cli_fail("%s", err);
	explicit_bzero(key, sizeof(key));
	return 0;
}

static int up_start_all(struct up *u)
{
	struct rlimit lock;
	char err[CLI_ERR_LEN];
	unsigned int i;

	/* Daemons lock their buffers in memory. */
	if (!getrlimit(RLIMIT_MEMLOCK, &lock)) {
		lock.rlim_cur = lock.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &lock);
	}
	for (i = 0; i < u->nr_procs; i++) {
		if (u->procs[i].pid)
			continue;
		if (up_proc_start(&u->procs[i], u->dir, err, sizeof(err)))
			return cli_fail("%s", err);
		if (!up_quiet(u))
			printf("%s started (pid %d)\n", u->procs[i].name, u->procs[i].pid);
	}
	fflush(stdout);
	return 0;
}

/* Options that running daemons would not notice. Return: 0 or 1 after a message. */
static int up_check_running(struct up *u, const struct up_conf *old)
{
	unsigned int i, running = 0;

	for (i = 0; i < u->nr_procs; i++)
		running += u->procs[i].pid != 0;
	if (!running || !old->listen)
		return 0;
	if (!strcmp(old->listen, u->conf.listen) && old->base_port == u->conf.base_port &&
	    old->rdma == u->conf.rdma && old->time_scale == u->conf.time_scale)
		return 0;
	return cli_fail("the cluster runs with another address, port or transport: add --restart to change them");
}

static void up_end(struct up *u, struct up_conf *old, bool failed)
{
	char lock[PATH_MAX + 16];
	unsigned int i;

	/* A directory that nothing came of goes again; rmdir() spares all others. */
	if (failed && u->made && !u->procs[0].started_ns) {
		snprintf(lock, sizeof(lock), "%s/up.lock", u->dir);
		unlink(lock);
		rmdir(u->dir);
	}
	for (i = 0; i < sizeof(u->procs) / sizeof(u->procs[0]); i++)
		up_proc_free(&u->procs[i]);
	flint_conf_free(&up_conf_spec, &u->conf);
	if (old)
		flint_conf_free(&up_conf_spec, old);
	if (u->lock > 0)
		close(u->lock);
}

/* Everything after the directory is ours. */
static int up_go(struct up *u, struct up_conf *old)
{
	const struct up_conf *k = &u->conf;
	char dir_conf[PATH_MAX];
	unsigned int i, unused = 0;
	bool fresh;
	int ret;

	ret = up_conf_read(u);
	if (ret == 1)
		return 1;
	fresh = ret == -ENOENT;
	*old = u->conf;
	old->listen = u->conf.listen ? strdup(u->conf.listen) : NULL;
	old->fs = NULL;
	if (up_conf_merge(u, fresh) || up_procs_build(u))
		return 1;
	for (i = 0; i < u->nr_procs; i++)
		up_proc_look(&u->procs[i], u->dir);
	if (up_targets_room(u))		/* before anything is stopped */
		return 1;
	if (cli_opt(u->cli, CLI_OPT_RESTART))
		up_stop_all(u);
	else if (up_check_running(u, old))
		return 1;
	if (up_make_dirs(u) || up_targets(u) || up_conf_write(u))
		return 1;
	snprintf(dir_conf, sizeof(dir_conf), "%s", u->dir);
	u->cli->opt[CLI_OPT_DIR - CLI_OPT_JSON] = dir_conf;
	if (cli_api_setup(u->cli) || up_start_all(u) || up_wait(u, &unused) ||
	    up_members(u->cli, &cli_kind_mgr, k->mgrs) ||
	    up_members(u->cli, &cli_kind_meta, k->metas) || up_complete(u, unused))
		return 1;
	return up_report(u);
}

int cli_up(struct cli *c)
{
	struct up_conf old = { 0 };
	struct up u = { .cli = c, .begin_ns = flint_now_ns() };
	int ret;

	ret = up_dir_open(&u, true) || up_go(&u, &old);
	up_end(&u, &old, ret);
	return ret;
}

int up_restart(struct cli *c, const char *name)
{
	struct cli whom = { .words = { (char *)cli_opt(c, CLI_OPT_DIR) }, .nr_words = 1 };
	struct up u = { .cli = &whom };
	char err[CLI_ERR_LEN];
	unsigned int i;
	int ret = 1;

	if (up_dir_open(&u, false) || up_conf_read(&u) || up_procs_build(&u))
		goto out;
	for (i = 0; i < u.nr_procs; i++) {
		struct up_proc *p = &u.procs[i];

		if (strcmp(p->name, name))
			continue;
		up_proc_look(p, u.dir);
		up_proc_term(p);
		up_proc_reap(p, u.dir, UP_STOP_MS);
		ret = up_proc_start(p, u.dir, err, sizeof(err)) ? cli_fail("%s", err) : 0;
		goto out;
	}
	cli_fail("the cluster in %s has no daemon called %s", u.dir, name);
out:
	up_end(&u, NULL, false);
	return ret;
}

int cli_down(struct cli *c)
{
	struct up u = { .cli = c };
	unsigned int i, running = 0;
	int ret = 1;

	if (up_dir_open(&u, false))
		goto out;
	ret = up_conf_read(&u);
	if (ret) {
		if (ret == -ENOENT)
			cli_fail("%s holds no cluster: name the directory given to 'flint up'",
				 u.dir);
		ret = 1;
		goto out;
	}
	up_procs_name(&u);
	for (i = 0; i < u.nr_procs; i++) {
		up_proc_look(&u.procs[i], u.dir);
		running += u.procs[i].pid != 0;
	}
	up_stop_all(&u);
	if (cli_opt(c, CLI_OPT_JSON))
		printf("{\"stopped\": %u}\n", running);
	else if (running)
		printf("%u daemons stopped\n", running);
	else
		printf("nothing was running\n");
	ret = 0;
out:
	up_end(&u, NULL, false);
	return ret;
}
