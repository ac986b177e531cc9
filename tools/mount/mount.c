// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mount.flintfs: what mount(8) runs for "-t flintfs", also to be run by hand.
 *
 * Everything that can be found out beforehand is checked before anything is
 * changed. The mount goes through fsopen(2), whose context hands back the
 * kernel's reasons in words; mount(2) serves where that is missing. A mount
 * appears complete or not at all.
 */
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../userd/base/addr.h"
#include "../../userd/base/conf.h"
#include "mount.h"

/**
 * struct mnt - one run
 * @ns: file of the mount namespace that @dir is in, NULL: ours
 * @said: the kernel's words were printed already
 */
struct mnt {
	const char *source;
	const char *dir;
	const char *ns;
	struct mnt_opts opts;
	struct mnt_source src;
	char key[MNT_KEY_NAME_LEN];
	bool fake, verbose, said;
};

static void mnt_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void mnt_say(const char *fmt, ...)
{
	va_list ap;

	fputs("mount.flintfs: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void mnt_usage(FILE *f)
{
	fputs("Usage: mount.flintfs MANAGER[:PORT][,MANAGER...]:/FILESYSTEM[/SUBTREE] DIRECTORY [-o OPTIONS]\n"
	      "\n"
	      "Mount a FlintFS file system. Usually run by 'mount -t flintfs'.\n"
	      "\n"
	      "  -o OPTIONS   options, separated by commas:\n"
	      "                 secretfile=FILE   cluster key (default /etc/flintfs/cluster.key)\n"
	      "                 token=FILE        a token instead, made by 'flint token create'\n"
	      "                 ro, nosuid, nodev, noexec, noatime ...   as for every file system\n"
	      "                 hard, soft        wait for servers for ever, or fail\n"
	      "                 io_timeo=20s      end of asynchronous I/O\n"
	      "               mount.flintfs(8) lists all of them\n"
	      "  -f           check everything, mount nothing\n"
	      "  -N FILE      mount in this namespace (/proc/PID/ns/mnt)\n"
	      "  -v           say what is done\n"
	      "  -h, --help   this text\n"
	      "      --version\n"
	      "\n"
	      "FLINTFS_MODULE names the module's file when it is not installed.\n", f);
}

/* ---- errors in words --------------------------------------------------- */

/* Print what the kernel wrote into the context. */
static void mnt_kernel_words(struct mnt *m, int fd)
{
	char buf[1024];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf) - 1)) > 0) {
		char *text = buf;

		buf[n] = 0;
		if (buf[0] && buf[1] == ' ')
			text = buf + 2;
		if (!strncmp(text, "flintfs: ", 9))
			text += 9;
		text[strcspn(text, "\n")] = 0;
		if (buf[0] == 'e' || m->verbose)
			mnt_say("%s%s", text, strncmp(text, "Unknown parameter", 17) ? "" :
				": mount.flintfs(8) lists the options");
		m->said |= buf[0] == 'e';
	}
}

/* A sentence for an errno that came without words. */
static const char *mnt_errno_words(int err)
{
	switch (err) {
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return "the manager did not answer: check the address, and that its port (default 7442 for RDMA, 7441 for TCP) can be reached";
	case ECONNREFUSED:
	case ECONNRESET:
		return "no manager listens at this address: check 'flint status', and for RDMA that flint-mgrd has an --rdma-port";
	case EACCES:
	case EKEYREJECTED:
		return "the cluster refused the key: copy the right key file, or name it with -o secretfile=";
	case EPROTONOSUPPORT:
	case EPROTO:
		return "the cluster speaks another protocol version: install the same FlintFS version on both sides";
	case ENOENT:
		return "the cluster has no such file system or subtree: 'flint fs list' shows them";
	case EBUSY:
		return "the directory is in use: unmount what is there first";
	case ENODEV:
		return "no RDMA device reaches this address: check 'rdma link' and the routes, or mount with -o proto=tcp";
	case EINVAL:
		return "the kernel does not take these options: see mount.flintfs(8), and 'dmesg | tail'";
	case EPERM:
		return "mounting is root's: use sudo";
	default:
		return strerror(err);
	}
}

static int mnt_failed(struct mnt *m, int err)
{
	if (!m->said)
		mnt_say("%s was not mounted: %s", m->source, mnt_errno_words(err));
	return MNT_EX_FAIL;
}

/* ---- the mount --------------------------------------------------------- */

static int mnt_set(struct mnt *m, int fd, const char *name, const char *value)
{
	int ret;

	if (m->verbose)
		mnt_say("%s%s%s", name, value ? "=" : "",
			value ? strcmp(name, "key") ? value : "..." : "");
	ret = fsconfig(fd, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, name, value, 0);
	if (ret && errno == EINVAL && m->opts.sloppy)
		return 0;
	return ret ? -errno : 0;
}

/* Everything the file system must know. Return: 0 or -errno. */
static int mnt_set_all(struct mnt *m, int fd)
{
	char addr[FLINT_ADDR_STR + 8];
	unsigned int i;
	int ret;

	ret = mnt_set(m, fd, "source", m->source);
	for (i = 0; i < m->src.nr && !ret; i++)
		ret = mnt_set(m, fd, "addr", mnt_source_addr(&m->src, i, addr, sizeof(addr)));
	if (!ret)
		ret = mnt_set(m, fd, "key", m->key);
	if (!ret && m->opts.rdonly)
		ret = mnt_set(m, fd, "ro", NULL);
	for (i = 0; i < m->opts.nr_fs && !ret; i++) {
		ret = mnt_set(m, fd, m->opts.fs[i].name, m->opts.fs[i].value);
		if (ret) {
			mnt_kernel_words(m, fd);
			if (!m->said)
				mnt_say("option '%s' is not known or its value not right: mount.flintfs(8) lists the options",
					m->opts.fs[i].name);
			m->said = true;
		}
	}
	return ret;
}

/* By fsopen(2). Return: 0, -ENOSYS when the kernel lacks it, or -errno. */
static int mnt_by_context(struct mnt *m)
{
	int fd, mfd, ret;

	fd = fsopen("flintfs", FSOPEN_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = mnt_set_all(m, fd);
	if (!ret && fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		ret = -errno;
	if (ret)
		goto words;
	mfd = fsmount(fd, FSMOUNT_CLOEXEC, m->opts.attr);
	if (mfd < 0) {
		ret = -errno;
		goto words;
	}
	if (move_mount(mfd, "", AT_FDCWD, m->dir, MOVE_MOUNT_F_EMPTY_PATH))
		ret = -errno;
	close(mfd);
words:
	mnt_kernel_words(m, fd);
	close(fd);
	return ret;
}

/* Options as the text that mount(2) takes. Return: malloced or NULL. */
static char *mnt_data(struct mnt *m, bool with_secrets)
{
	char *text = NULL, addr[FLINT_ADDR_STR + 8];
	const char *sep = "";
	unsigned int i;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (i = 0; with_secrets && i < m->src.nr; i++, sep = ",")
		fprintf(f, "%saddr=%s", sep, mnt_source_addr(&m->src, i, addr, sizeof(addr)));
	if (with_secrets)
		fprintf(f, "%skey=%s", sep, m->key);
	for (i = 0; i < m->opts.nr_fs; i++) {
		fprintf(f, "%s%s", *sep || with_secrets || i ? "," : "", m->opts.fs[i].name);
		if (m->opts.fs[i].value)
			fprintf(f, "=%s", m->opts.fs[i].value);
	}
	return fclose(f) ? NULL : text;
}

static int mnt_by_mount(struct mnt *m, unsigned long flags, bool with_secrets)
{
	char *data = mnt_data(m, with_secrets);
	int ret;

	if (!data)
		return -ENOMEM;
	ret = mount(m->source, m->dir, "flintfs", m->opts.flags | flags, data) ? -errno : 0;
	free(data);
	return ret;
}

/* ---- the way there ----------------------------------------------------- */

static int mnt_check_dir(struct mnt *m)
{
	struct stat st;

	if (stat(m->dir, &st)) {
		if (errno == ENOENT)
			mnt_say("the directory %s does not exist: make it with 'mkdir -p %s'",
				m->dir, m->dir);
		else
			mnt_say("cannot look at %s (%s)", m->dir, strerror(errno));
		return MNT_EX_FAIL;
	}
	if (!S_ISDIR(st.st_mode)) {
		mnt_say("%s is no directory: mount on a directory", m->dir);
		return MNT_EX_FAIL;
	}
	return 0;
}

/*
 * To the namespace of -N: mount(8) leaves that to its helper. Keys, names and the
 * module were looked for in ours. Return: 0 or an exit status after a message.
 */
static int mnt_arrive(struct mnt *m)
{
	int fd, err;

	if (!m->ns)
		return 0;
	fd = open(m->ns, O_RDONLY | O_CLOEXEC);
	err = fd < 0 || setns(fd, CLONE_NEWNS) ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (!err)
		return mnt_check_dir(m);
	mnt_say("the namespace %s cannot be entered (%s)", m->ns, strerror(err));
	return MNT_EX_FAIL;
}

static int mnt_new(struct mnt *m)
{
	char err[MNT_ERR_LEN] = "out of memory";
	int ret;

	if (mnt_source_resolve(&m->src, m->source, m->opts.proto, err, sizeof(err)) ||
	    (m->opts.proto == FLINT_PROTO_RDMA && mnt_check_rdma(err, sizeof(err))) ||
	    mnt_key_add(&m->opts, m->key, err, sizeof(err)))
		goto fail;
	if (!m->fake && mnt_load_module(m->verbose, err, sizeof(err)))
		goto fail;
	ret = mnt_arrive(m);
	if (ret || m->fake)
		goto out;
	ret = mnt_by_context(m);
	if (ret == -ENOSYS)
		ret = mnt_by_mount(m, 0, true);
	ret = ret ? mnt_failed(m, -ret) : 0;
out:
	mnt_key_remove();
	return ret;
fail:
	mnt_key_remove();
	mnt_say("%s", err);
	return MNT_EX_FAIL;
}

static int mnt_go(struct mnt *m)
{
	char err[MNT_ERR_LEN];
	size_t len;
	int ret;

	if (mnt_source_check(m->source, &len, err, sizeof(err))) {
		mnt_say("%s", err);
		return MNT_EX_USAGE;
	}
	if (m->opts.reserved && !m->opts.remount) {
		mnt_say("option %s= is made by mount.flintfs from the source and the key file: leave it out",
			m->opts.reserved);
		return MNT_EX_USAGE;
	}
	ret = m->ns ? 0 : mnt_check_dir(m);
	if (ret)
		return ret;
	if (geteuid()) {
		mnt_say("mounting is root's: use sudo");
		return MNT_EX_FAIL;
	}
	if (!m->opts.remount)
		return mnt_new(m);
	ret = mnt_arrive(m);
	if (ret || m->fake)
		return ret;
	ret = mnt_by_mount(m, MS_REMOUNT, false);
	return ret ? mnt_failed(m, -ret) : 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct mnt m = { 0 };
	char err[MNT_ERR_LEN];
	int c, ret;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "o:t:N:fnrsvwh", longs, NULL)) != -1) {
		switch (c) {
		case 'o':
			if (mnt_opts_parse(&m.opts, optarg, err, sizeof(err))) {
				mnt_say("%s", err);
				mnt_opts_free(&m.opts);
				return MNT_EX_USAGE;
			}
			break;
		case 'f':
			m.fake = true;
			break;
		case 's':
			m.opts.sloppy = true;
			break;
		case 'v':
			m.verbose = true;
			break;
		case 'r':
			m.opts.rdonly = true;
			m.opts.attr |= MOUNT_ATTR_RDONLY;
			m.opts.flags |= MS_RDONLY;
			break;
		case 'N':
			m.ns = optarg;
			break;
		case 'n': case 'w': case 't':
			break;
		case 'h':
			mnt_usage(stdout);
			return 0;
		case 'V':
			printf("mount.flintfs %s\n", FLINT_VERSION);
			return 0;
		default:
			mnt_say("'%s' is not understood: 'mount.flintfs --help' lists the options",
				argv[optind - 1]);
			return MNT_EX_USAGE;
		}
	}
	if (argc - optind != 2) {
		mnt_say("a source and a directory are needed: 'mount.flintfs --help' tells more");
		return MNT_EX_USAGE;
	}
	m.source = argv[optind];
	m.dir = argv[optind + 1];
	if (!m.opts.keyfile && mnt_opts_parse(&m.opts, "", err, sizeof(err)))
		return MNT_EX_SYSERR;
	ret = mnt_go(&m);
	mnt_opts_free(&m.opts);
	return ret;
}
