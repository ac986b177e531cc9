// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two mounts of one file system: what one makes in a directory of its own, most
 * of it without a request, the other sees the moment it looks, and both agree on
 * it afterwards, whoever changes it.
 *
 *	delegate DIR-OF-ONE DIR-OF-THE-OTHER ROUNDS [SEED]
 *
 * Prints what differs and ends with status 1.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES	24

enum kind { NONE, FILE_, DIR_, LINK };

/* What must be in the round's directory; a directory has one file "in". */
struct want {
	enum kind kind;
	unsigned int mode;
	off_t size;
};

static struct want want[NAMES];
static const char *side[2];
static int round_nr;

static const char *path(int which, int name, const char *below)
{
	static char buf[4][4096];
	static int turn;

	turn = (turn + 1) % 4;
	if (name < 0)
		snprintf(buf[turn], sizeof(buf[turn]), "%s/d%d", side[which], round_nr);
	else
		snprintf(buf[turn], sizeof(buf[turn]), "%s/d%d/n%d%s", side[which], round_nr, name,
			 below);
	return buf[turn];
}

static int wrong(int which, int name, const char *what)
{
	printf("# round %d: %s: %s\n", round_nr, path(which, name, ""), what);
	return 1;
}

static int failed(int which, int name, const char *what)
{
	printf("# round %d: %s: %s: %s\n", round_nr, path(which, name, ""), what, strerror(errno));
	return 1;
}

static int make_file(const char *p, unsigned int mode, off_t size)
{
	static const char bytes[5000];
	int fd = open(p, O_CREAT | O_EXCL | O_WRONLY, mode), err;

	if (fd < 0)
		return -1;
	err = size && write(fd, bytes, size) != size;
	return close(fd) || err ? -1 : 0;
}

static int make(int by, int name)
{
	struct want *w = &want[name];

	*w = (struct want){ .kind = 1 + rand() % 3, .mode = rand() % 2 ? 0755 : 0700 };
	switch (w->kind) {
	case FILE_:
		w->size = rand() % 4 ? 0 : 1 + rand() % 5000;
		return make_file(path(by, name, ""), w->mode, w->size);
	case DIR_:
		return mkdir(path(by, name, ""), w->mode) ||
		       make_file(path(by, name, "/in"), 0644, 0);
	default:
		w->mode = 0777;
		w->size = 6;
		return symlink("target", path(by, name, ""));
	}
}

static int drop(int by, int name)
{
	enum kind kind = want[name].kind;

	want[name].kind = NONE;
	if (kind != DIR_)
		return unlink(path(by, name, ""));
	return unlink(path(by, name, "/in")) || rmdir(path(by, name, ""));
}

/* A random change by side @by. */
static int change(int by)
{
	int name = rand() % NAMES, other = rand() % NAMES;
	struct want *w = &want[name];

	if (w->kind == NONE)
		return make(by, name) ? failed(by, name, "cannot be made") : 0;
	switch (rand() % 8) {
	case 0:
		return drop(by, name) ? failed(by, name, "cannot be removed") : 0;
	case 1:
		if (want[other].kind != NONE)
			return 0;
		want[other] = *w;
		w->kind = NONE;
		return rename(path(by, name, ""), path(by, other, "")) ?
		       failed(by, name, "cannot be renamed") : 0;
	case 2:
		if (w->kind == LINK)
			return 0;
		w->mode = 0711;
		return chmod(path(by, name, ""), 0711) ? failed(by, name, "chmod") : 0;
	case 3:
		if (mkdir(path(by, name, ""), 0755) != -1 || errno != EEXIST)
			return wrong(by, name, "was made twice");
		return 0;
	}
	return 0;
}

static int check_one(int which, int name)
{
	static const unsigned int types[] = { 0, S_IFREG, S_IFDIR, S_IFLNK };
	const struct want *w = &want[name];
	struct stat st;

	if (lstat(path(which, name, ""), &st))
		return w->kind != NONE || errno != ENOENT ? failed(which, name, "lstat") : 0;
	if (w->kind == NONE)
		return wrong(which, name, "is still there");
	if ((st.st_mode & S_IFMT) != types[w->kind])
		return wrong(which, name, "has another type");
	if ((st.st_mode & 07777) != w->mode)
		return wrong(which, name, "has another mode");
	if (w->kind != DIR_ && st.st_size != w->size)
		return wrong(which, name, "has another size");
	if (w->kind == DIR_ && access(path(which, name, "/in"), F_OK))
		return failed(which, name, "what is in it");
	return 0;
}

static int check(int which)
{
	int n = 0, seen = 0, err = 0, name;
	struct dirent *de;
	DIR *d = opendir(path(which, -1, ""));

	if (!d)
		return failed(which, -1, "opendir");
	while ((de = readdir(d)))
		seen += de->d_name[0] == 'n';
	closedir(d);
	for (name = 0; name < NAMES; name++) {
		n += want[name].kind != NONE;
		err |= check_one(which, name);
	}
	if (n != seen)
		printf("# round %d: %d entries, not %d\n", round_nr, seen, n);
	return err || n != seen;
}

static int do_round(void)
{
	int by = rand() % 2, i, name, fd;

	memset(want, 0, sizeof(want));
	if (mkdir(path(by, -1, ""), 0755))
		return failed(by, -1, "mkdir");
	for (i = 0; i < 40; i++)
		if (change(by))
			return 1;
	if (rand() % 2 && check(by))
		return 1;
	if (rand() % 3 == 0) {
		fd = open(path(by, -1, ""), O_RDONLY | O_DIRECTORY);
		if (fd < 0 || fsync(fd) || close(fd))
			return failed(by, -1, "fsync");
	}
	if (check(!by))
		return 1;
	for (i = 0; i < 10; i++)
		if (change(!by) || (i % 4 == 0 && check(by)) || change(by))
			return 1;
	if (check(by) || check(!by))
		return 1;
	by = rand() % 2;
	for (name = 0; name < NAMES; name++)
		if (want[name].kind != NONE && rand() % 2 && drop(by, name))
			return failed(by, name, "cannot be removed at the end");
	return check(!by) || check(by);
}

int main(int argc, char **argv)
{
	int rounds;

	if (argc < 4) {
		fprintf(stderr, "usage: delegate DIR-OF-ONE DIR-OF-THE-OTHER ROUNDS [SEED]\n");
		return 2;
	}
	umask(0);
	side[0] = argv[1];
	side[1] = argv[2];
	rounds = atoi(argv[3]);
	srand(argc > 4 ? atoi(argv[4]) : 1);
	for (round_nr = 0; round_nr < rounds; round_nr++)
		if (do_round())
			return 1;
	printf("# %d rounds\n", rounds);
	return 0;
}
