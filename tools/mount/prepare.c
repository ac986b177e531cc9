// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What must be there before a mount: an RDMA device, the module, the key.
 */
#include <dirent.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/token.h"
#include "mount.h"

#define MNT_IB		"/sys/class/infiniband"

/**
 * mnt_check_rdma() - is there an RDMA device?
 *
 * Return: 0 or -ENODEV with a sentence.
 */
int mnt_check_rdma(char *err, size_t errlen)
{
	struct dirent *e;
	bool found = false;
	DIR *d = opendir(MNT_IB);

	while (d && (e = readdir(d)))
		found |= e->d_name[0] != '.';
	if (d)
		closedir(d);
	if (found)
		return 0;
	snprintf(err, errlen,
		 "this machine has no RDMA device: load your adapter's driver, or make a software device with 'modprobe rdma_rxe && rdma link add rxe0 type rxe netdev eth0', or mount with -o proto=tcp");
	return -ENODEV;
}

/* Is the file system registered with the kernel? */
static bool mnt_module_there(void)
{
	FILE *f = fopen("/proc/filesystems", "re");
	char line[256];
	bool found = false;

	while (f && fgets(line, sizeof(line), f))
		found |= strstr(line, "\tflintfs\n") != NULL;
	if (f)
		fclose(f);
	return found;
}

/* Run a program, its messages to ours only if @verbose. Return: its exit status. */
static int mnt_run(char *const argv[], bool verbose)
{
	int status, pid = fork();

	if (!pid) {
		if (!verbose && !freopen("/dev/null", "w", stderr))
			_exit(126);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 126;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}

/* Modules that a module file depends on, loaded by modprobe. */
static void mnt_load_depends(const char *ko, bool verbose)
{
	char *argv[32] = { "modprobe", "-a" }, cmd[4200], line[1024] = "", *part, *save = NULL;
	int n = 2;
	FILE *f;

	if (strpbrk(ko, "'\\"))
		return;
	snprintf(cmd, sizeof(cmd), "modinfo -F depends '%s' 2>/dev/null", ko);
	f = popen(cmd, "re");
	if (!f)
		return;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	pclose(f);
	for (part = strtok_r(line, ",\n", &save); part && n < 31;
	     part = strtok_r(NULL, ",\n", &save))
		argv[n++] = part;
	argv[n] = NULL;
	if (n > 2)
		mnt_run(argv, verbose);
}

/**
 * mnt_load_module() - make the kernel know flintfs
 *
 * From the system's modules, or from the file that FLINTFS_MODULE names, for
 * trees that are not installed.
 *
 * Return: 0 or -ENODEV with a sentence.
 */
int mnt_load_module(bool verbose, char *err, size_t errlen)
{
	const char *ko = getenv("FLINTFS_MODULE");
	char *probe[] = { "modprobe", "flintfs", NULL };
	char *insert[] = { "insmod", (char *)ko, NULL };
	int status;

	if (mnt_module_there())
		return 0;
	if (setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1))
		return -ENOMEM;
	if (ko && *ko) {
		mnt_load_depends(ko, verbose);
		status = mnt_run(insert, verbose);
	} else {
		status = mnt_run(probe, verbose);
	}
	if (mnt_module_there())
		return 0;
	if (ko && *ko)
		snprintf(err, errlen,
			 "module %s could not be inserted (insmod ended with status %d): 'dmesg | tail' tells why",
			 ko, status);
	else
		snprintf(err, errlen,
			 "the kernel module flintfs is not installed for this kernel: install it with 'make modules_install' or DKMS, or name its file in FLINTFS_MODULE");
	return -ENODEV;
}

/* The key's 32 bytes, or a token's claims and secret. Return: bytes or -errno. */
static int mnt_secret(const struct mnt_opts *o, uint8_t *out, char *err, size_t errlen)
{
	struct flint_token_full t;
	uint32_t len;
	int ret;

	if (!o->tokenfile) {
		ret = flint_key_load(o->keyfile, out, err, errlen);
		return ret ? ret : FLINT_KEY_LEN;
	}
	ret = flint_token_load(o->tokenfile, &t, err, errlen);
	if (ret)
		return ret;
	len = flint_token_len(&t.claims);
	memcpy(out, t.bytes, len);
	memcpy(out + len, t.secret, FLINT_KEY_LEN);
	explicit_bzero(&t, sizeof(t));
	return (int)(len + FLINT_KEY_LEN);
}

/**
 * mnt_key_add() - hand the cluster key or the token to the kernel
 * @o: which files
 * @name: result: description that names it in key=
 *
 * The process takes a session keyring of its own first, so that the key is out
 * of everyone's reach and vanishes with this process whatever happens. The
 * module copies what it needs during the mount.
 *
 * Return: 0 or -errno with a sentence.
 */
int mnt_key_add(const struct mnt_opts *o, char name[MNT_KEY_NAME_LEN], char *err, size_t errlen)
{
	uint8_t secret[FLINT_TOKEN_MAX + FLINT_KEY_LEN], random[12];
	char hex[2 * sizeof(random) + 1];
	long id;
	int len, ret;

	len = mnt_secret(o, secret, err, errlen);
	if (len < 0)
		return len;
	flint_random(random, sizeof(random));
	flint_hex_format(random, sizeof(random), hex);
	snprintf(name, MNT_KEY_NAME_LEN, "flintfs:%s", hex);
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0) {
		id = -1;
	} else {
		id = syscall(SYS_add_key, "logon", name, secret, (size_t)len,
			     KEY_SPEC_SESSION_KEYRING);
	}
	ret = id < 0 ? -errno : 0;
	explicit_bzero(secret, sizeof(secret));
	if (ret)
		snprintf(err, errlen,
			 "the kernel takes no key (%s): it must be built with CONFIG_KEYS, and /proc/sys/kernel/keys/root_maxkeys leave room",
			 strerror(-ret));
	return ret;
}

void mnt_key_remove(void)
{
	syscall(SYS_keyctl, KEYCTL_CLEAR, KEY_SPEC_SESSION_KEYRING);
}
