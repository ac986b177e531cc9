// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes the fuzzers' kept corpora: one well-formed input of each kind, from
 * which mutations start. `make fuzz-seeds` runs it; its output is in the
 * repository, as what protocol version 1.0 looks like on the wire.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "../unit/map_sample.h"
#include "../../uapi/flintfs/chain.h"
#include "../../uapi/flintfs/lease.h"
#include "../../uapi/flintfs/token.h"

static const char *root;

static void put(const char *dir, const char *name, const void *data, size_t len)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, dir);
	if (mkdir(path, 0755) && errno != EEXIST)
		goto fail;
	snprintf(path, sizeof(path), "%s/%s/%s", root, dir, name);
	f = fopen(path, "w");
	if (!f || fwrite(data, 1, len, f) != len || fclose(f))
		goto fail;
	return;
fail:
	perror(path);
	exit(1);
}

struct msg {
	uint8_t limits;
	struct flint_hdr h;
	uint8_t rest[4096];
} __attribute__((packed));

/* A message with @nr_desc descriptors, a body, strings and inline data. */
static void message(const char *name, uint16_t op, bool reply, unsigned int nr_desc,
		    const void *body, uint32_t body_len, const char *strings,
		    const void *data, uint32_t data_len)
{
	uint32_t slen = strings ? strlen(strings) : 0, at = 0, i;
	struct msg m = { .limits = 0 };

	m.h = (struct flint_hdr){
		.magic = cpu_to_le32(FLINT_MAGIC), .version = FLINT_PROTO_MAJOR,
		.flags = (reply ? FLINT_F_REPLY : 0) | (data ? FLINT_F_INLINE : 0),
		.op = cpu_to_le16(op), .tag = cpu_to_le32(0x10001),
		.timeout_ms = cpu_to_le32(reply ? 0 : 10000),
		.credits = cpu_to_le16(reply ? 64 : 0), .nr_desc = nr_desc,
		.body_len = cpu_to_le32(body_len + slen), .data_len = cpu_to_le32(data_len),
		.map_epoch = cpu_to_le64(7),
	};
	for (i = 0; i < nr_desc; i++) {
		struct flint_desc d = { cpu_to_le64(0x10000 * (i + 1)),
					cpu_to_le32(data_len / nr_desc), cpu_to_le32(0x100 + i) };

		memcpy(m.rest + at, &d, sizeof(d));
		at += sizeof(d);
	}
	if (body_len)
		memcpy(m.rest + at, body, body_len);
	at += body_len;
	memcpy(m.rest + at, strings ? strings : "", slen);
	at += slen;
	if (data) {
		memcpy(m.rest + at, data, data_len);
		at += data_len;
	}
	put("msg", name, &m, 1 + sizeof(m.h) + at);
}

#define REQ(name, op, body, strings) \
	message(name, op, false, 0, &(body), sizeof(body), strings, NULL, 0)
#define REP(name, op, body) message(name, op, true, 0, &(body), sizeof(body), NULL, NULL, 0)

static void connection(void)
{
	struct flint_hello hello = { .major = 1, .role = FLINT_ROLE_CLIENT,
		.inline_size = cpu_to_le32(4096), .max_io = cpu_to_le32(FLINT_MAX_IO),
		.credits = cpu_to_le16(64), .features = cpu_to_le64(FLINT_FEATURES),
		.name = "host" };
	struct flint_hello_rep rep = { .major = 1, .role = FLINT_ROLE_META, .auth = 1,
		.inline_size = cpu_to_le32(4096), .max_io = cpu_to_le32(FLINT_MAX_IO),
		.credits = cpu_to_le16(64) };
	struct flint_auth auth = { { 1, 2, 3 } };

	REQ("hello", FLINT_OP_HELLO, hello, NULL);
	REP("hello-rep", FLINT_OP_HELLO, rep);
	REQ("auth", FLINT_OP_AUTH, auth, NULL);
	message("ping", FLINT_OP_PING, false, 0, NULL, 0, NULL, NULL, 0);
	message("ping-rep", FLINT_OP_PING, true, 0, NULL, 0, NULL, NULL, 0);
}

static void managers(void)
{
	struct flint_map_get get = { cpu_to_le64(6), cpu_to_le32(1000), cpu_to_le32(65536) };
	struct flint_map_got got = { cpu_to_le64(7), cpu_to_le32(sizeof(struct map_sample)), 0 };
	struct { struct flint_heartbeat hb; struct flint_hb_target t; } beat = {
		.hb = { .fixed_len = cpu_to_le32(sizeof(beat.hb)), .role = FLINT_ROLE_CHUNK,
			.nr_targets = cpu_to_le32(1), .name = "c1",
			.tcp_port = cpu_to_le16(7461) },
		.t = { .target_id = cpu_to_le32(10), .local_state = FLINT_LOCAL_UPTODATE,
		       .capacity = cpu_to_le64(1 << 30) } };
	struct flint_heartbeat_rep rep = {
		.epoch = cpu_to_le64(7), .sent_boottime_ns = cpu_to_le64(99),
		.node_id = cpu_to_le32(2), .lease_ms = cpu_to_le32(6000) };
	struct map_sample map;

	map_sample_make(&map);
	REQ("map-get", FLINT_OP_MAP_GET, get, NULL);
	message("map-got", FLINT_OP_MAP_GET, true, 0, &got, sizeof(got), NULL, &map, sizeof(map));
	REQ("heartbeat", FLINT_OP_HEARTBEAT, beat, NULL);
	REP("heartbeat-rep", FLINT_OP_HEARTBEAT, rep);
	put("map", "sample", &map, sizeof(map));
	map.hdr.nr_nodes = map.hdr.nr_targets = map.hdr.nr_chains = 0;
	map.hdr.nr_tables = map.hdr.nr_fs = map.hdr.nr_table_chains = 0;
	map.hdr.total_len = cpu_to_le32(sizeof(map.hdr));
	put("map", "empty", &map, sizeof(map.hdr));
}

static struct flint_attr attr_sample(void)
{
	struct flint_attr a = { .ino = cpu_to_le64(5), .gen = cpu_to_le32(1),
		.mode = cpu_to_le32(0100644), .nlink = cpu_to_le32(1),
		.size = cpu_to_le64(12345), .change = cpu_to_le64(3), .fs = cpu_to_le32(1),
		.layout = { .version = 1, .chunk_shift = 20, .stripe = cpu_to_le16(4),
			    .table = cpu_to_le32(1), .table_ver = cpu_to_le32(2),
			    .seed = cpu_to_le64(77) } };

	return a;
}

static void names(void)
{
	struct flint_session_open so = { cpu_to_le32(sizeof(so)), 0, "demo", cpu_to_le32(4), 0 };
	struct flint_session_rep srep = { cpu_to_le64(1), cpu_to_le32(30000), cpu_to_le32(1),
					  attr_sample() };
	struct flint_name_req nr = { .fixed_len = cpu_to_le32(sizeof(nr)),
		.parent = cpu_to_le64(1), .name_len = cpu_to_le32(4) };
	struct flint_open op = { .fixed_len = cpu_to_le32(sizeof(op)),
		.flags = cpu_to_le32(FLINT_OPEN_CREATE | FLINT_OPEN_WRITE), .ino = cpu_to_le64(1),
		.mode = cpu_to_le32(0644), .name_len = cpu_to_le32(4) };
	struct flint_open_rep orep = { cpu_to_le64(9), cpu_to_le32(1), 0, attr_sample() };
	struct flint_mknod mk = { .fixed_len = cpu_to_le32(sizeof(mk)),
		.mode = cpu_to_le32(0120777), .parent = cpu_to_le64(1),
		.name_len = cpu_to_le32(4), .target_len = cpu_to_le32(6) };
	struct flint_link ln = { .fixed_len = cpu_to_le32(sizeof(ln)),
		.name_len = cpu_to_le32(4), .ino = cpu_to_le64(5), .parent = cpu_to_le64(1) };
	struct flint_rename rn = { .fixed_len = cpu_to_le32(sizeof(rn)),
		.old_parent = cpu_to_le64(1), .new_parent = cpu_to_le64(2),
		.old_len = cpu_to_le32(4), .new_len = cpu_to_le32(6) };
	struct flint_xattr xa = { .fixed_len = cpu_to_le32(sizeof(xa)), .ino = cpu_to_le64(5),
		.name_len = cpu_to_le32(6), .max_len = cpu_to_le32(256) };
	struct flint_attr attr = attr_sample();

	REQ("session-open", FLINT_OP_SESSION_OPEN, so, "/sub");
	REP("session-rep", FLINT_OP_SESSION_OPEN, srep);
	REQ("lookup", FLINT_OP_LOOKUP, nr, "name");
	REP("lookup-rep", FLINT_OP_LOOKUP, attr);
	REQ("unlink", FLINT_OP_UNLINK, nr, "name");
	REQ("open", FLINT_OP_OPEN, op, "name");
	REP("open-rep", FLINT_OP_OPEN, orep);
	REQ("mknod", FLINT_OP_MKNOD, mk, "nametarget");
	REQ("link", FLINT_OP_LINK, ln, "name");
	REQ("rename", FLINT_OP_RENAME, rn, "namenewnam");
	REQ("getxattr", FLINT_OP_GETXATTR, xa, "user.a");
	message("setxattr", FLINT_OP_SETXATTR, false, 0, &xa, sizeof(xa), "user.a", "value", 5);
}

static void attributes(void)
{
	struct flint_ino_req ino = { cpu_to_le64(5), 0, 0 };
	struct flint_setattr set = { .ino = cpu_to_le64(5),
		.valid = cpu_to_le32(FLINT_SET_SIZE), .size = cpu_to_le64(100) };
	struct flint_extend ext = { cpu_to_le64(5), cpu_to_le32(1), 0, cpu_to_le64(4096), 0, 0 };
	struct flint_readdir rd = { cpu_to_le64(1), 0, cpu_to_le32(4096),
				    cpu_to_le32(FLINT_READDIR_PLUS) };
	struct flint_readdir_rep rrep = { cpu_to_le32(2), cpu_to_le32(1), cpu_to_le64(8),
					  cpu_to_le64(19) };
	struct flint_statfs st = { cpu_to_le64(1 << 30), cpu_to_le64(1 << 29), cpu_to_le64(1000),
				   cpu_to_le64(900), cpu_to_le32(4096), cpu_to_le32(255) };
	struct flint_attr attr = attr_sample();
	_Alignas(8) uint8_t page[1024] = { 0 };
	uint32_t at = 0, i;

	for (i = 0; i < 3; i++) {
		static const char *const name[] = { "a", "some file", "directory" };
		bool plus = i < 2;
		struct flint_dirent d = { .cookie = cpu_to_le64(i + 1), .ino = cpu_to_le64(5 + i),
			.rec_len = cpu_to_le16(flint_dirent_len(strlen(name[i]), plus)),
			.name_len = cpu_to_le16(strlen(name[i])), .type = 8, .has_attr = plus };

		memcpy(page + at, &d, sizeof(d));
		if (plus)
			memcpy(page + at + sizeof(d), &attr, sizeof(attr));
		memcpy(page + at + sizeof(d) + (plus ? sizeof(attr) : 0), name[i],
		       strlen(name[i]));
		at += le16_to_cpu(d.rec_len);
	}
	put("dirent", "page", page, at);
	put("dirent", "none", "", 0);
	REQ("getattr", FLINT_OP_GETATTR, ino, NULL);
	REQ("setattr", FLINT_OP_SETATTR, set, NULL);
	REQ("extend", FLINT_OP_EXTEND, ext, NULL);
	REQ("readdir", FLINT_OP_READDIR, rd, NULL);
	message("readdir-rep", FLINT_OP_READDIR, true, 0, &rrep, FLINT_READDIR_REP_MIN, NULL, page,
		at);
	message("readdir-rep-end", FLINT_OP_READDIR, true, 0, &rrep, sizeof(rrep), NULL, page, at);
	REP("statfs-rep", FLINT_OP_STATFS, st);
}

static void chunks(void)
{
	struct flint_io io = { .chain = cpu_to_le32(1), .chain_ver = cpu_to_le32(1),
		.target = cpu_to_le32(10), .fs = cpu_to_le32(1), .ino = cpu_to_le64(5),
		.gen = cpu_to_le32(1), .index = cpu_to_le32(3), .length = cpu_to_le32(512),
		.chunk_shift = 20 };
	struct { struct flint_io_rep r; __le32 crc[1]; } rep = {
		.r = { cpu_to_le64(4), cpu_to_le32(512), 12, 0, cpu_to_le16(1) } };
	struct flint_cut cut = { .chain = cpu_to_le32(1), .chain_ver = cpu_to_le32(1),
		.target = cpu_to_le32(10), .fs = cpu_to_le32(1), .ino = cpu_to_le64(5),
		.trunc_epoch = cpu_to_le32(2), .size = cpu_to_le64(100), .chunk_shift = 20 };
	uint8_t data[512];

	memset(data, 'd', sizeof(data));
	REQ("read", FLINT_OP_READ, io, NULL);
	message("read-rep", FLINT_OP_READ, true, 0, &rep, sizeof(rep), NULL, data, sizeof(data));
	message("write-inline", FLINT_OP_WRITE, false, 0, &io, sizeof(io), NULL, data,
		sizeof(data));
	io.length = cpu_to_le32(65536);
	message("write-desc", FLINT_OP_WRITE, false, 4, &io, sizeof(io), NULL, NULL, 65536);
	message("read-desc", FLINT_OP_READ, false, 1, &io, sizeof(io), NULL, NULL, 65536);
	REQ("cut", FLINT_OP_CUT, cut, NULL);
}

static void configuration(void)
{
	static const char text[] = "# comment\n[other]\nx = 1\n\n[p]\nstate = /var/lib/x ; why\n"
				   "port = 7441\nsize = 64K\nquiet = yes\nmgr = a:1, b\nmgr = c\n";
	static const char bad[] = "[p]\nunknown = 1\n";

	put("conf", "all", text, strlen(text));
	put("conf", "unknown", bad, strlen(bad));
}

/* Steps of lease_fuzz.c: grants, a change, a return, a lock, a trailer. */
static void leases(void)
{
	struct {
		uint8_t steps[3 * 3];
		uint8_t list[3];
		struct flint_lease_list l;
		struct flint_lease_rec rec;
		uint8_t lock[3];
		struct flint_lock k;
		uint8_t end[3];
		struct flint_lease_grant g;
	} __attribute__((packed)) b = {
		.steps = { 4, 1, 1, 4, 2, 1, 3, 6, 1 },
		.list = { 0, 1, sizeof(b.l) + sizeof(b.rec) },
		.l = { .fixed_len = cpu_to_le32(sizeof(b.l)), .nr = cpu_to_le32(1),
		       .push = cpu_to_le64(1), .epoch = cpu_to_le64(1) },
		.rec = { .ino = cpu_to_le64(2), .seq = cpu_to_le64(1),
			 .kinds = cpu_to_le32(FLINT_LEASE_READ) },
		.lock = { 1, 1, sizeof(b.k) },
		.k = { .ino = cpu_to_le64(2), .owner = cpu_to_le64(7), .end = cpu_to_le64(9),
		       .kind = FLINT_LOCK_POSIX, .type = FLINT_LOCK_WR },
		.end = { 2, 1, sizeof(b.g) },
		.g = { .ino = cpu_to_le64(2), .seq = cpu_to_le64(2), .kinds = cpu_to_le32(1) },
	};

	put("lease", "steps", &b, sizeof(b));
}

/* Streams: how they are cut and end, a request that is answered, and one whose payload is pulled. */
static void streams(void)
{
	struct {
		uint8_t how;
		struct flint_hdr small;
		uint8_t body[24], data[40];
		struct flint_hdr large;
		uint8_t payload[9000];
	} __attribute__((packed)) b = {
		.small = { .magic = cpu_to_le32(FLINT_MAGIC), .version = FLINT_PROTO_MAJOR,
			   .flags = FLINT_F_INLINE, .op = cpu_to_le16(FLINT_OP_READ),
			   .timeout_ms = cpu_to_le32(1000), .body_len = cpu_to_le32(24),
			   .data_len = cpu_to_le32(40) },
	};
	static const uint8_t hows[] = { 0x03, 0x07, 0x09, 0xf9, 0x00 };
	char name[16];
	size_t i;

	b.large = b.small;
	b.large.op = cpu_to_le16(FLINT_OP_READ | 1);
	b.large.tag = cpu_to_le32(0x10001);
	b.large.body_len = 0;
	b.large.data_len = cpu_to_le32(sizeof(b.payload));
	for (i = 0; i < sizeof(hows); i++) {
		b.how = hows[i];
		snprintf(name, sizeof(name), "stream-%02x", b.how);
		put("tcp", name, &b, i & 1 ? sizeof(b) - 5000 : sizeof(b));
	}
}

/* A seed of meta_command_fuzz.c: the index of an operation there, a body, what follows it. */
static void command(const char *name, uint8_t op, const void *body, size_t len, const void *more,
		    size_t more_len)
{
	uint8_t b[1024];

	b[0] = op;
	memcpy(b + 1, body, len);
	if (more_len)
		memcpy(b + 1 + len, more, more_len);
	put("meta_command", name, b, 1 + len + more_len);
}

/* A delegated create, number @n of the grant; the name is padded to 8 bytes. */
struct created {
	struct flint_dir_rec r;
	char name[8];
};

static struct created created(uint64_t n, uint64_t parent, uint32_t mode, const char *name,
			      uint16_t target)
{
	struct created c = { .r = {
		.rec_len = cpu_to_le16(sizeof(c)), .name_len = cpu_to_le16(strlen(name) - target),
		.target_len = cpu_to_le16(target), .mode = cpu_to_le32(mode),
		.flags = cpu_to_le16((mode & 0170000) == 0100000 ? FLINT_OPEN_WRITE : 0),
		.ino = cpu_to_le64(n), .parent = cpu_to_le64(parent),
	} };

	memcpy(c.name, name, strlen(name));
	return c;
}

static void commands(void)
{
	struct flint_ino_grant grant = { .nr = cpu_to_le32(64) };
	struct flint_dir_create batch = { .nr = cpu_to_le32(3) };
	struct created made[3] = {
		created(0, 16, 0040755, "dir", 0), created(1, 256, 0100644, "file", 0),
		created(2, 256, 0120777, "linkto", 2),
	};
	struct flint_setattr set = { .ino = cpu_to_le64(17), .valid = cpu_to_le32(FLINT_SET_LAYOUT),
				     .like = cpu_to_le64(18) };
	struct flint_setattr many = { .ino = cpu_to_le64(16),
		.valid = cpu_to_le32(FLINT_SET_MODE | FLINT_SET_UID | FLINT_SET_PROJECT | FLINT_SET_FLAGS),
		.mode = cpu_to_le32(02755), .uid = cpu_to_le32(7), .project = cpu_to_le32(3) };
	struct flint_open tmp = { .fixed_len = cpu_to_le32(sizeof(tmp)), .ino = cpu_to_le64(16),
		.flags = cpu_to_le32(FLINT_OPEN_TMPFILE | FLINT_OPEN_CREATE | FLINT_OPEN_WRITE),
		.mode = cpu_to_le32(0600) };
	struct { __le64 ino, size; __le32 epoch, reserved; } settle = { cpu_to_le64(17),
									cpu_to_le64(8192), 0, 0 };
	struct { __le64 sid; __u8 buckets[64]; } hints = { cpu_to_le64(1), { 0xff } };
	struct flint_ino_req permit = { .ino = cpu_to_le64(16) };

	command("setattr-layout", 1, &set, sizeof(set), NULL, 0);
	command("setattr-many", 1, &many, sizeof(many), NULL, 0);
	command("tmpfile", 2, &tmp, sizeof(tmp), NULL, 0);
	command("ino-grant", 22, &grant, sizeof(grant), NULL, 0);
	command("dir-create", 23, &batch, sizeof(batch), made, sizeof(made));
	command("settle", 24, &settle, sizeof(settle), NULL, 0);
	command("hints", 25, &hints, sizeof(hints), NULL, 0);
	command("permit-get", 12, &permit, sizeof(permit), NULL, 0);
	REQ("ino-grant", FLINT_OP_INO_GRANT, grant, NULL);
	message("dir-create", FLINT_OP_DIR_CREATE, false, 0, &batch, sizeof(batch), NULL, made, sizeof(made));
	REQ("permit-get", FLINT_OP_PERMIT_GET, permit, NULL);
	REQ("setattr-layout", FLINT_OP_SETATTR, set, NULL);
}

/* Steps again: a dir-write lease, a look of others at what it hides, the server's own change. */
static void delegations(void)
{
	static const uint8_t steps[] = {
		4, 8 | 3, 1, 4, 9, 1, 3, 1, 1, 3, 19, 1, 5, 8, 2, 6, 1, 0, 7, 0, 0 };

	put("lease", "dir-write", steps, sizeof(steps));
}

/* Requests to one target (chunk_request_fuzz.c): its place, then kind, who and payload before each body. */
struct script {
	uint8_t data[2048];
	size_t len;
};

enum { R_SYNC, R_GET, R_SCRUB, R_CTL, R_CLONE, R_EXTENTS, R_PERMIT, R_READ, R_WRITE, R_PUNCH,
       R_FORWARD, R_CUT, R_NR };
#define R_SERVER	0x80		/* who asks; with a payload of the body's own */
#define R_TOOL		0x81
#define R_CLIENT	0x82
#define R_TOKEN		0x92

static void script_add(struct script *s, unsigned int kind, unsigned int seq, uint8_t who,
		       const void *body, size_t len)
{
	unsigned int first = seq << 4;

	while (first % R_NR != kind)
		first++;
	s->data[s->len++] = (uint8_t)first;
	s->data[s->len++] = who;
	s->data[s->len++] = 0;
	memcpy(s->data + s->len, body, len);
	s->len += len;
}

static void requests_clients(void)
{
	struct flint_io io = { .gen = cpu_to_le32(1), .length = cpu_to_le32(40000), .chunk_shift = 20 };
	struct flint_clone clone = { .dst = { .gen = cpu_to_le32(1), .index = cpu_to_le32(1),
		.chunk_shift = 20 }, .src_ino = cpu_to_le64(1), .src_gen = cpu_to_le32(1) };
	struct flint_chunk_get get = { .length = cpu_to_le32(16384) };
	struct flint_sync sync = { .op = cpu_to_le32(FLINT_SYNC_SUMS), .max_len = cpu_to_le32(65536) };
	struct flint_cut cut = { .gen = cpu_to_le32(1), .trunc_epoch = cpu_to_le32(1),
		.size = cpu_to_le64(5000), .chunk_shift = 20 };
	struct script s = { .len = 1 };

	script_add(&s, R_WRITE, 1, R_CLIENT, &io, sizeof(io));
	script_add(&s, R_READ, 0, R_CLIENT, &io, sizeof(io));
	script_add(&s, R_CLONE, 2, R_CLIENT, &clone, sizeof(clone));
	script_add(&s, R_EXTENTS, 0, R_CLIENT, &io, sizeof(io));
	script_add(&s, R_GET, 0, R_SERVER, &get, sizeof(get));
	script_add(&s, R_SYNC, 0, R_TOOL, &sync, sizeof(sync));
	sync.op = cpu_to_le32(FLINT_SYNC_CHUNKS);
	script_add(&s, R_SYNC, 0, R_TOOL, &sync, sizeof(sync));
	io.length = cpu_to_le32(9000);
	script_add(&s, R_PUNCH, 3, R_CLIENT, &io, sizeof(io));
	script_add(&s, R_CUT, 0, R_TOOL, &cut, sizeof(cut));
	put("chunk_request", "clients", s.data, s.len);
}

static void requests_recovery(void)
{
	struct flint_sync sync = { .from = cpu_to_le32(2), .max_len = cpu_to_le32(65536) };
	struct flint_forward fwd = {
		.io = { .gen = cpu_to_le32(1), .length = cpu_to_le32(4096), .chunk_shift = 20,
			.flags = cpu_to_le32(FLINT_IO_CRC) },
		.version = cpu_to_le64(1), .tag = cpu_to_le64(3), .from = cpu_to_le32(2),
		.kind = FLINT_FWD_DROP, .flags = FLINT_FWD_SYNC };
	uint8_t op;
	struct script s = { .data = { 1 }, .len = 1 };

	for (op = FLINT_SYNC_BEGIN; op <= FLINT_SYNC_DONE; op++) {
		sync.op = cpu_to_le32(op);
		script_add(&s, R_SYNC, 0, op == FLINT_SYNC_INODES || op == FLINT_SYNC_CLIENTS ?
			   R_SERVER & 3 : R_SERVER, &sync, sizeof(sync));
	}
	fwd.io.length = 0;
	script_add(&s, R_FORWARD, 0, R_SERVER, &fwd, sizeof(fwd));
	put("chunk_request", "recovery", s.data, s.len);
}

static void requests_tools(void)
{
	struct { struct flint_target_ctl c; char path[8]; } ctl = {
		.c = { .max_len = cpu_to_le32(4096) }, .path = "/x" };
	struct flint_scrub scrub = { .max_len = cpu_to_le32(4096) };
	struct flint_permit permit = { .ino = cpu_to_le64(1), .expires = cpu_to_le64(~0ull >> 1) };
	struct flint_io io = { .gen = cpu_to_le32(1), .length = cpu_to_le32(4096), .chunk_shift = 20 };
	struct script s = { .data = { 16 }, .len = 1 };
	uint8_t op;

	for (op = FLINT_SCRUB_STATUS; op <= FLINT_SCRUB_STOP; op++) {
		scrub.op = cpu_to_le32(op);
		script_add(&s, R_SCRUB, 0, R_TOOL, &scrub, sizeof(scrub));
	}
	script_add(&s, R_PERMIT, 0, R_TOKEN, &permit, sizeof(permit));
	script_add(&s, R_READ, 0, R_TOKEN, &io, sizeof(io));
	for (op = FLINT_TCTL_LIST; op <= FLINT_TCTL_FORMAT; op++) {
		ctl.c.op = cpu_to_le32(op == FLINT_TCTL_DETACH ? FLINT_TCTL_FORMAT :
				       op == FLINT_TCTL_FORMAT ? FLINT_TCTL_DETACH : op);
		ctl.c.path_len = cpu_to_le16(op == FLINT_TCTL_LIST ? 0 : 2);
		script_add(&s, R_CTL, 0, R_TOOL, &ctl, sizeof(ctl.c));
	}
	put("chunk_request", "tools", s.data, s.len);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	root = argv[1];
	connection();
	managers();
	names();
	attributes();
	chunks();
	configuration();
	leases();
	streams();
	commands();
	delegations();
	requests_clients();
	requests_recovery();
	requests_tools();
	return 0;
}
