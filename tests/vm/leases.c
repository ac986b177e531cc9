// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two mounts of one file system: whatever one changes, the other sees with its
 * next call, although it had everything in its cache a moment before.
 *
 *	leases DIR-OF-ONE DIR-OF-THE-OTHER SECONDS [SEED]
 *
 * Prints what differs and ends with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAMES	12
#define PAGE	4096

/* What must be there: one small file or directory a name. */
struct want {
	bool exists, dir;
	unsigned int mode;
	off_t size;
	char byte;		/* the whole content */
};

static struct want want[NAMES];
static const char *side[2];
static unsigned long long steps, checks;

static const char *path(int which, int name)
{
	static char buf[4][4096];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(buf[turn], sizeof(buf[turn]), "%s/n%d", side[which], name);
	return buf[turn];
}

static int wrong(int which, int name, const char *what)
{
	printf("# step %llu: %s: %s\n", steps, path(which, name), what);
	return 1;
}

/* Content by read() and by a map that is made anew. */
static int check_content(int which, int name)
{
	const struct want *w = &want[name];
	char buf[PAGE];
	ssize_t n, i;
	char *map;
	int fd = open(path(which, name), O_RDONLY);

	if (fd < 0)
		return wrong(which, name, "cannot be opened");
	n = read(fd, buf, sizeof(buf));
	map = w->size ? mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) : NULL;
	close(fd);
	if (n != w->size || map == MAP_FAILED)
		return wrong(which, name, "has another length when read");
	for (i = 0; i < n; i++)
		if (buf[i] != w->byte || map[i] != w->byte)
			return wrong(which, name, buf[i] != w->byte ? "reads old data" :
				     "its map shows old data");
	if (map)
		munmap(map, PAGE);
	return 0;
}

static int check_one(int which, int name)
{
	const struct want *w = &want[name];
	struct stat st;

	checks++;
	if (lstat(path(which, name), &st))
		return w->exists || errno != ENOENT ? wrong(which, name, strerror(errno)) : 0;
	if (!w->exists)
		return wrong(which, name, "is still there");
	if (S_ISDIR(st.st_mode) != w->dir)
		return wrong(which, name, "has another type");
	if ((st.st_mode & 07777) != w->mode)
		return wrong(which, name, "has an old mode");
	if (w->dir)
		return 0;
	if (st.st_size != w->size)
		return wrong(which, name, "has an old size");
	return check_content(which, name);
}

/* A random change by side @by. Return: 0, or -1 when it failed. */
static int change(int by, int name)
{
	struct want *w = &want[name];
	int other = rand() % NAMES, fd;
	char buf[PAGE];
	off_t size;

	switch (rand() % 6) {
	case 0:
		if (w->exists)
			break;
		fd = open(path(by, name), O_CREAT | O_EXCL | O_WRONLY, 0644);
		if (fd < 0 || close(fd))
			return -1;
		*w = (struct want){ .exists = true, .mode = 0644 };
		return 0;
	case 1:
		if (w->exists)
			break;
		if (mkdir(path(by, name), 0755))
			return -1;
		*w = (struct want){ .exists = true, .dir = true, .mode = 0755 };
		return 0;
	case 2:
		if (!w->exists)
			break;
		if (w->dir ? rmdir(path(by, name)) : unlink(path(by, name)))
			return -1;
		w->exists = false;
		return 0;
	case 3:
		if (!w->exists || other == name ||
		    (want[other].exists && want[other].dir != w->dir))
			break;
		if (rename(path(by, name), path(by, other)))
			return -1;
		want[other] = *w;
		w->exists = false;
		return 0;
	case 4:
		if (!w->exists)
			break;
		w->mode = w->dir ? 0700 + rand() % 64 : 0600 + rand() % 64;
		return chmod(path(by, name), w->mode);
	}
	if (!w->exists || w->dir)
		return 0;
	size = 1 + rand() % PAGE;
	memset(buf, 'a' + rand() % 26, sizeof(buf));
	fd = open(path(by, name), O_WRONLY);
	if (fd < 0 || ftruncate(fd, size) || pwrite(fd, buf, size, 0) != size || close(fd))
		return -1;
	w->size = size;
	w->byte = buf[0];
	return 0;
}

/*
 * A map that stays: what the other side writes shows in it; within a second
 * where the file was open for writing there when the page was mapped.
 */
static int standing_map(void)
{
	char a[4096], b[4096], page[PAGE];
	char *map = NULL;
	int fd, i, wait;

	snprintf(a, sizeof(a), "%s/mapped", side[0]);
	snprintf(b, sizeof(b), "%s/mapped", side[1]);
	for (i = 0; i < 20; i++) {
		memset(page, 'A' + i, sizeof(page));
		fd = open(b, O_CREAT | O_WRONLY, 0644);
		if (fd < 0 || pwrite(fd, page, PAGE, 0) != PAGE || close(fd))
			return perror(b), 1;
		if (!i) {
			fd = open(a, O_RDONLY);
			map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
			if (fd < 0 || map == MAP_FAILED)
				return perror(a), 1;
		}
		for (wait = 0; *(volatile char *)&map[100] != 'A' + i && wait < 30; wait++)
			usleep(100000);
		if (map[100] != 'A' + i) {
			printf("# the map shows %c after %c was written\n", map[100], 'A' + i);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	time_t end;
	int i;

	if (argc < 4)
		return 2;
	side[0] = argv[1];
	side[1] = argv[2];
	srand(argc > 4 ? atoi(argv[4]) : 1);
	for (end = time(NULL) + atoi(argv[3]); time(NULL) < end; steps++) {
		int by = rand() % 2, name = rand() % NAMES;

		if (change(by, name)) {
			printf("# step %llu by %d on n%d: %s\n", steps, by, name, strerror(errno));
			return 1;
		}
		if (check_one(!by, name) || check_one(by, name))
			return 1;
		for (i = 0; i < NAMES; i++)
			if (check_one(i & 1, i))
				return 1;
	}
	printf("# %llu changes, %llu checks\n", steps, checks);
	return standing_map();
}
