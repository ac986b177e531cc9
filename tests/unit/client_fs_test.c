// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client library against one server inside the test that plays manager,
 * metadata server and chunk server, and misbehaves on request: wrong checksums,
 * malformed answers, refusals, lost answers. One file, kept in memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../userd/base/log.h"
#include "../../userd/client/fs.h"
#include "../../userd/client/fs_async.h"
#include "../../userd/client/fs_locks.h"
#include "fake_server.h"
#include "map_sample.h"

#define FILE_MAX	(1u << 20)
#define SHIFT		16
#define CRC_SHIFT	12

/* What the server does wrong; each counts down to 0. */
struct faults {
	int bad_crc;		/* READ: data that does not fit its CRCs */
	int checksum;		/* READ: status CHECKSUM */
	int bad_rep;		/* READ, WRITE: a body that makes no sense */
	int busy;		/* anything with data: RETRY */
	int stale_map;		/* WRITE: STALE_MAP and a new map */
	int stale_epoch;	/* READ, WRITE: STALE_EPOCH, with the epoch raised */
	int drop;		/* WRITE: done, but the connection dies before the answer */
	int stale_extend;	/* EXTEND: STALE_EPOCH, with the epoch raised */
	int no_handle;		/* OPEN: a directory */
	int late;		/* LOCK: answered by late_answer() */
	int late_reclaim;	/* SESSION_RECLAIM: likewise */
	int open_lost;		/* OPEN: done; RETRY stands for the answer that is lost */
	int extend_lost;	/* EXTEND: RETRY; not 0: each time */
	int extend_first;	/* EXTEND: RETRY to one of them, whenever it is repeated */
	int late_append;	/* APPEND: taken by append_answer() */
	int unlink_lost;	/* UNLINK: likewise; not 0: each time */
};

static struct fake {
	struct fake_server f;
	pthread_mutex_t lock;
	struct map_sample map;
	struct faults fault;
	uint8_t data[FILE_MAX];
	uint64_t size, change;
	uint32_t epoch;
	uint64_t last_seq, max_low, extend_seq;
	unsigned int writes, repeated, extends, getattrs, closes, seq_errors;
	struct flint_call *held;
	bool locked;		/* by somebody else; its waits, no leader knows of */

	/* Of sessions with leases: leaderships, the one at which locks were named, how many. */
	uint64_t leader, told;
	unsigned int named, locks, cancels;
	struct flint_lock last;
	uint8_t refuse;		/* SESSION_RECLAIM: each lock */
	struct flint_call *late, *late_reclaim, *late_append;
	uint8_t granting;	/* GETATTR, leases of these kinds */
	uint32_t perm;
	struct flint_open_rep opened;	/* by what was done and not answered */
	bool open_go;
} fake;

static uint8_t key[FLINT_KEY_LEN] = { 7 };
static struct flint_fs *fs;
static struct flint_file *file;

static bool take(int *fault)
{
	return *fault > 0 && (*fault)--;
}

static struct flint_attr attr(void)
{
	struct flint_attr a = {
		.ino = cpu_to_le64(5), .gen = cpu_to_le32(1),
		.mode = cpu_to_le32(0100000 | fake.perm),
		.nlink = cpu_to_le32(1), .size = cpu_to_le64(fake.size),
		.change = cpu_to_le64(++fake.change), .trunc_epoch = cpu_to_le32(fake.epoch),
		.fs = cpu_to_le32(1),
		.layout = { .version = 1, .chunk_shift = SHIFT, .stripe = cpu_to_le16(3),
			    .table = cpu_to_le32(1), .table_ver = cpu_to_le32(2),
			    .seed = cpu_to_le64(3) },
	};

	return a;
}

static void map_answer(struct flint_call *call)
{
	struct flint_map_get get;
	struct flint_map_got got = { .epoch = fake.map.hdr.epoch,
				     .total_len = cpu_to_le32(sizeof(fake.map)) };
	struct flint_buf *buf;

	flint_body_get(&get, sizeof(get), sizeof(get), call->msg.body, call->msg.body_len);
	if (le64_to_cpu(get.have_epoch) >= le64_to_cpu(fake.map.hdr.epoch)) {
		if (fake.held)	/* the client has stopped waiting for that one */
			flint_call_reply(fake.held, FLINT_OK, NULL, 0, NULL, 0, 0);
		fake.held = call;
		return;
	}
	buf = flint_buf_get(fake.f.pool);
	memcpy(buf->data, &fake.map, sizeof(fake.map));
	flint_call_reply(call, FLINT_OK, &got, sizeof(got), buf, 0, sizeof(fake.map));
}

static void map_raise(void)
{
	struct flint_call *call = fake.held;

	fake.map.hdr.epoch = cpu_to_le64(le64_to_cpu(fake.map.hdr.epoch) + 1);
	map_sample_seal(&fake.map);
	fake.held = NULL;
	if (call)
		map_answer(call);
}

static void read_answer(struct flint_call *call, const struct flint_io *io)
{
	uint64_t at = ((uint64_t)le32_to_cpu(io->index) << SHIFT) + le32_to_cpu(io->offset);
	uint32_t off = le32_to_cpu(io->offset), len = le32_to_cpu(io->length), done = 0;
	struct { struct flint_io_rep r; __le32 crc[64]; } rep = { 0 };
	struct flint_buf *buf = flint_buf_get(fake.f.pool);

	/* What lies behind the end of the data is not sent. */
	if (at >= fake.size)
		len = 0;
	else if (len > fake.size - at)
		len = fake.size - at;
	memcpy(buf->data, fake.data + at, len);
	rep.r.length = cpu_to_le32(len);
	rep.r.crc_shift = CRC_SHIFT;
	while (done < len) {
		uint32_t n = (1u << CRC_SHIFT) - ((off + done) & ((1u << CRC_SHIFT) - 1));

		if (n > len - done)
			n = len - done;
		rep.crc[le16_to_cpu(rep.r.nr_crc)] =
			cpu_to_le32(flint_crc32c(0, buf->data + done, n));
		rep.r.nr_crc = cpu_to_le16(le16_to_cpu(rep.r.nr_crc) + 1);
		done += n;
	}
	if (len && take(&fake.fault.bad_crc))
		buf->data[len / 2] ^= 0x10;
	if (take(&fake.fault.bad_rep))
		rep.r.nr_crc = cpu_to_le16(63);
	flint_call_reply(call, FLINT_OK, &rep,
			 sizeof(rep.r) + 4u * flint_crc_pieces(off, len, CRC_SHIFT), buf, 0, len);
}

/* The payload is here: do it once, whatever happens to the answer. */
static void write_pulled(struct flint_call *call, int err)
{
	struct flint_io_rep rep = { 0 };
	struct flint_io io;
	uint64_t at;

	if (err) {
		flint_call_reply(call, EIO, NULL, 0, NULL, 0, 0);
		return;
	}
	pthread_mutex_lock(&fake.lock);
	flint_body_get(&io, sizeof(io), sizeof(io), call->msg.body, call->msg.body_len);
	at = ((uint64_t)le32_to_cpu(io.index) << SHIFT) + le32_to_cpu(io.offset);
	if (call->msg.flags & FLINT_F_RETRY)
		fake.repeated++;
	fake.writes++;
	memcpy(fake.data + at, call->payload->data, le32_to_cpu(io.length));
	rep.length = io.length;
	if (take(&fake.fault.bad_rep))
		rep.length = 0;
	if (take(&fake.fault.drop))
		flint_conn_kill(call->conn, "the test wants it");
	pthread_mutex_unlock(&fake.lock);
	flint_call_reply(call, FLINT_OK, &rep, sizeof(rep), NULL, 0, 0);
}

static void io_answer(struct flint_call *call)
{
	struct flint_io io;

	flint_body_get(&io, sizeof(io), sizeof(io), call->msg.body, call->msg.body_len);
	if (flint_io_check(&io, FLINT_MAX_IO)) {
		flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
	} else if (take(&fake.fault.busy)) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
	} else if (take(&fake.fault.stale_map)) {
		flint_call_reply(call, FLINT_ST_STALE_MAP, NULL, 0, NULL, 0, 0);
		map_raise();
	} else if (take(&fake.fault.stale_epoch)) {
		fake.epoch++;
		flint_call_reply(call, FLINT_ST_STALE_EPOCH, NULL, 0, NULL, 0, 0);
	} else if (le32_to_cpu(io.trunc_epoch) != fake.epoch) {
		flint_call_reply(call, FLINT_ST_STALE_EPOCH, NULL, 0, NULL, 0, 0);
	} else if (call->msg.op == FLINT_OP_READ && take(&fake.fault.checksum)) {
		flint_call_reply(call, FLINT_ST_CHECKSUM, NULL, 0, NULL, 0, 0);
	} else if (call->msg.op == FLINT_OP_READ) {
		read_answer(call, &io);
	} else {
		flint_call_pull(call, write_pulled);
	}
}

static void extend_answer(struct flint_call *call)
{
	struct flint_extend e;
	struct flint_attr a;

	flint_body_get(&e, sizeof(e), sizeof(e), call->msg.body, call->msg.body_len);
	fake.extends++;
	if (fake.fault.extend_first && !fake.extend_seq)
		fake.extend_seq = call->msg.seq;
	if (fake.fault.extend_lost ||
	    (fake.fault.extend_first && call->msg.seq == fake.extend_seq)) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	if (take(&fake.fault.stale_extend)) {
		fake.epoch++;
		memset(fake.data, 0, sizeof(fake.data));	/* cut off meanwhile */
		fake.size = 0;
	}
	if (le32_to_cpu(e.trunc_epoch) != fake.epoch) {
		flint_call_reply(call, FLINT_ST_STALE_EPOCH, NULL, 0, NULL, 0, 0);
		return;
	}
	if (le64_to_cpu(e.end) > fake.size)
		fake.size = le64_to_cpu(e.end);
	a = attr();
	flint_call_reply(call, FLINT_OK, &a, sizeof(a), NULL, 0, 0);
}

static void lock_answer(struct flint_call *call)
{
	struct flint_lock_rep rep = { .state = cpu_to_le32(FLINT_LOCK_DONE) };
	uint32_t status = FLINT_OK;
	struct flint_lock l;

	flint_body_get(&l, sizeof(l), sizeof(l), call->msg.body, call->msg.body_len);
	if (call->msg.op == FLINT_OP_LOCK_CANCEL) {
		fake.cancels++;
	} else {
		fake.locks++;
		fake.last = l;
	}
	if (call->msg.op == FLINT_OP_LOCK && take(&fake.fault.late)) {
		fake.late = call;
		return;
	}
	if (call->msg.op == FLINT_OP_LOCK_CANCEL)
		status = ENOENT;
	else if (le16_to_cpu(l.flags) & FLINT_LOCK_WAIT)
		rep.state = cpu_to_le32(FLINT_LOCK_QUEUED);
	else if (fake.locked)
		status = EAGAIN;
	flint_call_reply(call, status, &rep, status ? 0 : sizeof(rep), NULL, 0, 0);
}

static void renew_answer(struct flint_call *call)
{
	struct flint_session_renewed rep = {
		.epoch = cpu_to_le64(fake.leader), .lease_ms = cpu_to_le32(3000),
		.flags = cpu_to_le32(fake.told == fake.leader ? 0 : FLINT_RENEWED_RECLAIM) };

	flint_call_reply(call, FLINT_OK, &rep, sizeof(rep), NULL, 0, 0);
}

static void reclaim_answer(struct flint_call *call)
{
	struct {
		struct flint_reclaimed r;
		uint8_t rest[FLINT_LEASE_RECS_MAX * sizeof(struct flint_lease_rec)];
	} rep = { 0 };
	struct flint_reclaim r;
	uint32_t leases, locks;

	memcpy(&r, call->msg.body, sizeof(r));
	leases = le32_to_cpu(r.nr_leases) * sizeof(struct flint_lease_rec);
	locks = le32_to_cpu(r.nr_locks);
	fake.named += locks;
	rep.r = (struct flint_reclaimed){ .fixed_len = cpu_to_le32(sizeof(rep.r)),
					  .nr_leases = r.nr_leases, .nr_locks = r.nr_locks };
	memcpy(rep.rest, (const uint8_t *)call->msg.body + sizeof(r), leases);
	memset(rep.rest + leases, fake.refuse, locks);
	if (le32_to_cpu(r.flags) & FLINT_RECLAIM_DONE)
		fake.told = le64_to_cpu(r.epoch);
	flint_call_reply(call, FLINT_OK, &rep, sizeof(rep.r) + leases + locks, NULL, 0, 0);
}

static void getattr_answer(struct flint_call *call)
{
	struct { struct flint_attr a; struct flint_lease_grant g; } rep = {
		.a = attr(), .g = { .ino = cpu_to_le64(5), .seq = cpu_to_le64(1),
				    .kinds = cpu_to_le32(fake.granting) } };

	if (fake.told != fake.leader) {
		flint_call_reply(call, FLINT_ST_RECLAIM, NULL, 0, NULL, 0, 0);
		return;
	}
	fake.getattrs++;
	call->lease = fake.granting != 0;
	flint_call_reply(call, FLINT_OK, &rep, fake.granting ? sizeof(rep) : sizeof(rep.a), NULL, 0,
			 0);
}

/* Done the first time; a repetition has the answer of that. */
static void open_answer(struct flint_call *call, struct flint_open_rep *rep)
{
	if (take(&fake.fault.open_lost))
		fake.opened = *rep;
	if (fake.opened.handle && !fake.open_go) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	if (call->msg.flags & FLINT_F_RETRY)
		rep = &fake.opened;
	flint_call_reply(call, FLINT_OK, rep, sizeof(*rep), NULL, 0, 0);
}

static void setattr_answer(struct flint_call *call)
{
	struct flint_setattr set;
	struct flint_attr a;

	flint_body_get(&set, sizeof(set), sizeof(set), call->msg.body, call->msg.body_len);
	fake.perm = le32_to_cpu(set.mode);
	a = attr();
	flint_call_reply(call, FLINT_OK, &a, sizeof(a), NULL, 0, 0);
}

static void append_answer(struct flint_call *call)
{
	struct flint_append_rep rep = { .offset = cpu_to_le64(fake.size) };
	struct flint_extend e;

	flint_body_get(&e, sizeof(e), sizeof(e), call->msg.body, call->msg.body_len);
	fake.size += le64_to_cpu(e.len);
	rep.attr = attr();
	flint_call_reply(call, FLINT_OK, &rep, sizeof(rep), NULL, 0, 0);
}

static void meta_answer(struct flint_call *call)
{
	struct flint_session_rep srep = { .session_epoch = cpu_to_le64(3),
		.lease_ms = cpu_to_le32(3000), .fs = cpu_to_le32(1), .root = attr() };
	struct flint_open_rep orep = { .handle = cpu_to_le64(11), .attr = attr() };
	struct flint_attr a = attr();

	switch (call->msg.op) {
	case FLINT_OP_SESSION_OPEN:
		flint_call_reply(call, FLINT_OK, &srep, sizeof(srep), NULL, 0, 0);
		break;
	case FLINT_OP_OPEN:
		if (take(&fake.fault.no_handle)) {
			orep.handle = 0;
			orep.attr.mode = cpu_to_le32(0040755);
		}
		open_answer(call, &orep);
		break;
	case FLINT_OP_GETATTR:
		getattr_answer(call);
		break;
	case FLINT_OP_SETATTR:
		setattr_answer(call);
		break;
	case FLINT_OP_SESSION_RENEW:
		renew_answer(call);
		break;
	case FLINT_OP_SESSION_RECLAIM:
		if (take(&fake.fault.late_reclaim))
			fake.late_reclaim = call;
		else
			reclaim_answer(call);
		break;
	case FLINT_OP_LOOKUP:	/* an answer that is too short */
		flint_call_reply(call, FLINT_OK, &a, sizeof(a) - 8, NULL, 0, 0);
		break;
	case FLINT_OP_EXTEND:
		extend_answer(call);
		break;
	case FLINT_OP_CLOSE:
		fake.closes++;
		flint_call_reply(call, FLINT_OK, NULL, 0, NULL, 0, 0);
		break;
	case FLINT_OP_APPEND:
		if (take(&fake.fault.late_append))
			fake.late_append = call;
		else
			append_answer(call);
		break;
	case FLINT_OP_UNLINK:
		if (fake.fault.unlink_lost)
			fake.perm = 0600;	/* what it changed */
		flint_call_reply(call, fake.fault.unlink_lost ? FLINT_ST_RETRY : ENOENT, NULL, 0,
				 NULL, 0, 0);
		break;
	case FLINT_OP_LOCK:
	case FLINT_OP_LOCK_CANCEL:
		lock_answer(call);
		break;
	default:
		flint_call_reply(call, FLINT_OK, NULL, 0, NULL, 0, 0);
	}
}

static void on_request(void *arg, struct flint_call *call)
{
	const struct flint_msg *m = &call->msg;

	pthread_mutex_lock(&fake.lock);
	if (m->seq) {
		/* seq_low never falls and never exceeds seq. */
		if (m->seq_low > m->seq || m->seq < fake.max_low)
			fake.seq_errors++;
		if (m->seq_low > fake.max_low)
			fake.max_low = m->seq_low;
	}
	if (m->op == FLINT_OP_MAP_GET)
		map_answer(call);
	else if (m->op >= FLINT_OP_READ)
		io_answer(call);
	else
		meta_answer(call);
	pthread_mutex_unlock(&fake.lock);
}

static void set_faults(struct faults f)
{
	pthread_mutex_lock(&fake.lock);
	fake.fault = f;
	pthread_mutex_unlock(&fake.lock);
}

static int setup_on(struct flint_loop *loop, bool leases, uint32_t timeout_ms)
{
	struct flint_fs_config cfg = { .fs_name = "d", .key = key, .leases = leases,
				       .timeout_ms = timeout_ms, .loop = loop };
	char err[200] = "", addr[FLINT_ADDR_STR];
	unsigned int i;

	memset(&fake, 0, sizeof(fake));
	fake.perm = 0644;
	fake.leader = fake.told = 1;
	pthread_mutex_init(&fake.lock, NULL);
	if (fake_server_start(&fake.f, key, FLINT_ROLE_META, on_request, NULL))
		return -1;
	map_sample_make(&fake.map);
	for (i = 0; i < 2; i++)
		fake.map.nodes[i].addrs[0].port = cpu_to_le16(flint_addr_port(&fake.f.addr));
	map_sample_seal(&fake.map);
	cfg.mgrs = flint_addr_format(&fake.f.addr, addr, sizeof(addr));
	fs = flint_fs_open(&cfg, err, sizeof(err));
	if (!fs) {
		fprintf(stderr, "%s\n", err);
		return -1;
	}
	return flint_fs_open_file(fs, 1, "f", FLINT_OPEN_READ | FLINT_OPEN_WRITE, 0, &file);
}

static int setup_with(bool leases, uint32_t timeout_ms)
{
	return setup_on(NULL, leases, timeout_ms);
}

static int setup(void **state)
{
	return setup_with(false, 3000);
}

static int setup_leases(void **state)
{
	return setup_with(true, 3000);
}

/* Who waits in vain does so for ten seconds. */
static int setup_unheard(void **state)
{
	return setup_with(true, 10000);
}

static int setup_long(void **state)
{
	return setup_with(true, 40000);
}

/* Whatever is answered is answered in time. */
static int setup_patient(void **state)
{
	return setup_with(true, 60000);
}

/* On a loop that is not the session's own. */
static struct test_loop shared;

static int setup_shared(void **state)
{
	test_loop_start(&shared);
	return setup_on(shared.loop, true, 10000);
}

static int teardown(void **state)
{
	if (file)
		flint_file_close(file);
	if (fs)
		flint_fs_close(fs);
	pthread_mutex_lock(&fake.lock);
	if (fake.held)		/* dropped, but it must be answered */
		flint_call_reply(fake.held, FLINT_OK, NULL, 0, NULL, 0, 0);
	pthread_mutex_unlock(&fake.lock);
	fake_server_stop(&fake.f);
	return fake.seq_errors != 0;
}

static uint8_t buf[FILE_MAX], want[FILE_MAX];

static void fill(size_t len)
{
	uint64_t rng = 5;
	size_t i;

	for (i = 0; i < len; i++)
		want[i] = (uint8_t)flint_splitmix64(&rng);
}

static void test_plain(void **state)
{
	fill(300000);
	assert_int_equal(flint_file_pwrite(file, want, 300000, 1000), 300000);
	assert_int_equal(fake.size, 301000);
	assert_int_equal(fake.extends, 1);
	assert_memory_equal(fake.data + 1000, want, 300000);
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(flint_file_pread(file, buf, sizeof(buf), 1000), 300000);
	assert_memory_equal(buf, want, 300000);
	assert_int_equal(flint_file_pwrite(file, want, 100, 0), 100);
	assert_int_equal(fake.extends, 1);	/* inside the size: nobody needs to know */
	assert_int_equal(flint_file_pread(file, buf, 10, 500000), 0);
	assert_int_equal(flint_file_pread(file, buf, 0, 0), 0);
	assert_int_equal(flint_file_pwrite(file, want, 0, 0), 0);
}

static void test_checksums(void **state)
{
	fill(200000);
	assert_int_equal(flint_file_pwrite(file, want, 200000, 0), 200000);
	/* Once may be the network: it is read again. */
	set_faults((struct faults){ .bad_crc = 1 });
	assert_int_equal(flint_file_pread(file, buf, 200000, 0), 200000);
	assert_memory_equal(buf, want, 200000);
	/* Always: an error, never the data. */
	set_faults((struct faults){ .bad_crc = 1000 });
	assert_int_equal(flint_file_pread(file, buf, 200000, 0), -EIO);
	set_faults((struct faults){ .checksum = 1 });
	assert_int_equal(flint_file_pread(file, buf, 200000, 0), -EIO);
	set_faults((struct faults){ 0 });
	assert_int_equal(flint_file_pread(file, buf, 77777, 4097), 77777);
	assert_memory_equal(buf, want + 4097, 77777);
}

static void test_short_is_zero(void **state)
{
	size_t i;

	fill(1000);
	assert_int_equal(flint_file_pwrite(file, want, 1000, 0), 1000);
	assert_int_equal(flint_file_pwrite(file, "x", 1, 199999), 1);
	pthread_mutex_lock(&fake.lock);
	fake.size = 1000;	/* the chunk server has no more; the client believes in 200000 */
	pthread_mutex_unlock(&fake.lock);
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(flint_file_pread(file, buf, 200000, 0), 200000);
	assert_memory_equal(buf, want, 1000);
	for (i = 1000; i < 200000; i++)
		assert_int_equal(buf[i], 0);
}

static void test_malformed(void **state)
{
	struct flint_attr a;
	struct flint_file *f;

	fill(5000);
	assert_int_equal(flint_file_pwrite(file, want, 5000, 0), 5000);
	set_faults((struct faults){ .bad_rep = 1 });
	assert_int_equal(flint_file_pread(file, buf, 5000, 0), -EPROTO);
	set_faults((struct faults){ .bad_rep = 1 });
	assert_int_equal(flint_file_pwrite(file, want, 5000, 0), -EPROTO);
	assert_int_equal(flint_fs_lookup(fs, 1, "short", &a), -EPROTO);
	set_faults((struct faults){ .no_handle = 1 });
	assert_int_equal(flint_fs_open_file(fs, 1, "d", FLINT_OPEN_READ, 0, &f), -EISDIR);
	assert_int_equal(flint_file_pread(file, buf, 5000, 0), 5000);
}

static void test_refused_and_repeated(void **state)
{
	fill(400000);
	set_faults((struct faults){ .busy = 5, .stale_map = 1 });
	assert_int_equal(flint_file_pwrite(file, want, 400000, 0), 400000);
	assert_true(flint_cluster_epoch(flint_fs_cluster(fs)) >= 8);
	set_faults((struct faults){ .busy = 3 });
	assert_int_equal(flint_file_pread(file, buf, 400000, 0), 400000);
	assert_memory_equal(buf, want, 400000);
	/* Forever busy ends with the call's time. */
	set_faults((struct faults){ .busy = 1000000 });
	assert_int_equal(flint_file_pread(file, buf, 10, 0), -EAGAIN);
}

static void test_lost_answers(void **state)
{
	fill(400000);
	set_faults((struct faults){ .drop = 2 });
	assert_int_equal(flint_file_pwrite(file, want, 400000, 0), 400000);
	assert_true(fake.repeated >= 1);	/* with the flag, and (teardown) rising numbers */
	assert_int_equal(flint_file_pread(file, buf, 400000, 0), 400000);
	assert_memory_equal(buf, want, 400000);
}

static void test_truncated_meanwhile(void **state)
{
	fill(300000);
	set_faults((struct faults){ .stale_epoch = 2 });
	assert_int_equal(flint_file_pwrite(file, want, 300000, 0), 300000);
	assert_int_equal(flint_file_pread(file, buf, 300000, 0), 300000);
	assert_memory_equal(buf, want, 300000);
	set_faults((struct faults){ .stale_epoch = 1 });
	assert_int_equal(flint_file_pread(file, buf, 300000, 0), 300000);
	/* Cut off between the data and EXTEND: everything is written again. */
	set_faults((struct faults){ .stale_extend = 1 });
	assert_int_equal(flint_file_pwrite(file, want, 300000, 100), 300000);
	assert_int_equal(fake.size, 300100);
	assert_memory_equal(fake.data + 100, want, 300000);
}

static void test_limits(void **state)
{
	/* An index has 32 bits. */
	assert_int_equal(flint_file_pwrite(file, want, 2, ((uint64_t)1 << (32 + SHIFT)) - 1),
			 -EFBIG);
	assert_int_equal(flint_file_pwrite(file, want, 10, UINT64_MAX - 3), -EFBIG);
	assert_int_equal(flint_file_pread(file, buf, 10, UINT64_MAX - 3), -EINVAL);
	assert_int_equal(flint_fs_unlink(fs, 1, "a/b"), -EINVAL);
	assert_int_equal(flint_fs_unlink(fs, 1, ".."), -EINVAL);
}

/* A leader that is new knows of no wait: that does not mean that it was granted. */
static void test_wait_forgotten(void **state)
{
	struct flint_lock l = {
		.ino = cpu_to_le64(5), .owner = cpu_to_le64(1), .end = cpu_to_le64(UINT64_MAX),
		.kind = FLINT_LOCK_FLOCK, .type = FLINT_LOCK_WR,
	};

	fake.locked = true;
	assert_int_equal(flint_fs_lock(fs, &l, 50), -EAGAIN);
	fake.locked = false;
	assert_int_equal(flint_fs_lock(fs, &l, 50), 0);
}

/* ---- locks whose answers are late, and new leaders -------------------------------- */

struct locker {
	struct flint_lock l;
	int rc;
	pthread_t thread;
};

static void *lock_run(void *arg)
{
	struct locker *k = arg;

	k->rc = flint_fs_lock(fs, &k->l, 0);
	return NULL;
}

static struct flint_lock range(uint64_t owner, uint8_t type)
{
	return (struct flint_lock){
		.ino = cpu_to_le64(5), .owner = cpu_to_le64(owner), .end = cpu_to_le64(9),
		.kind = FLINT_LOCK_POSIX, .type = type,
	};
}

static int lock_now(uint64_t owner, uint8_t type)
{
	struct flint_lock l = range(owner, type);

	return flint_fs_lock(fs, &l, 0);
}

static void lock_begin(struct locker *k, uint64_t owner, uint8_t type)
{
	k->l = range(owner, type);
	pthread_create(&k->thread, NULL, lock_run, k);
}

static int lock_end(struct locker *k)
{
	pthread_join(k->thread, NULL);
	return k->rc;
}

/* The next LOCK is executed, and answered by late_answer(). */
static void lock_late(struct locker *k, uint64_t owner, uint8_t type)
{
	set_faults((struct faults){ .late = 1 });
	lock_begin(k, owner, type);
	WAIT_FOR(__atomic_load_n(&fake.late, __ATOMIC_SEQ_CST));
}

static void late_answer(void)
{
	struct flint_lock_rep rep = { .state = cpu_to_le32(FLINT_LOCK_DONE) };
	struct flint_call *call = fake.late;

	fake.late = NULL;
	flint_call_reply(call, FLINT_OK, &rep, sizeof(rep), NULL, 0, 0);
}

/* Another leader. Return: how many locks it was told of. */
static unsigned int next_leader(void)
{
	struct flint_attr a;

	pthread_mutex_lock(&fake.lock);
	fake.leader++;
	fake.named = 0;
	pthread_mutex_unlock(&fake.lock);
	assert_int_equal(flint_fs_getattr(fs, 5, &a), 0);
	return fake.named;
}

/* Executed by one leader, heard of after the next one was told of locks. */
static void test_lock_over_leaders(void **state)
{
	struct locker k;

	assert_int_equal(next_leader(), 0);
	lock_late(&k, 1, FLINT_LOCK_WR);
	assert_int_equal(next_leader(), 0);
	fake.locks = 0;
	late_answer();
	assert_int_equal(lock_end(&k), 0);
	assert_int_equal(fake.locks, 1);	/* asked for again */
	assert_int_equal(next_leader(), 1);

	lock_late(&k, 1, FLINT_LOCK_UN);
	assert_int_equal(next_leader(), 1);
	fake.locks = 0;
	late_answer();
	assert_int_equal(lock_end(&k), 0);
	assert_int_equal(fake.locks, 1);
	assert_int_equal(next_leader(), 0);
}

/* A lock is given back that would be the next one to be named. */
static void test_unlock_while_named(void **state)
{
	struct flint_call *call;
	uint64_t i;

	next_leader();
	for (i = 1; i <= 10; i++)
		assert_int_equal(lock_now(i, FLINT_LOCK_RD), 0);
	set_faults((struct faults){ .late_reclaim = 1 });
	fake.named = 0;
	fake.leader++;
	WAIT_FOR(__atomic_load_n(&fake.late_reclaim, __ATOMIC_SEQ_CST));
	set_faults((struct faults){ 0 });
	assert_int_equal(lock_now(3, FLINT_LOCK_UN), 0);
	pthread_mutex_lock(&fake.lock);
	call = fake.late_reclaim;
	reclaim_answer(call);
	pthread_mutex_unlock(&fake.lock);
	WAIT_FOR(__atomic_load_n(&fake.told, __ATOMIC_SEQ_CST) == fake.leader);
	assert_int_equal(fake.named, 9);
}

static uint64_t lost(void)
{
	struct flint_fs_stats st;

	flint_fs_stats(fs, &st);
	return st.lost;
}

static void test_lock_refused(void **state)
{
	next_leader();
	assert_int_equal(lock_now(1, FLINT_LOCK_WR), 0);
	fake.refuse = EAGAIN;
	fake.locked = true;
	assert_int_equal(next_leader(), 1);
	WAIT_FOR(lost() == 1);
	assert_int_equal(next_leader(), 0);
}

/* What became of a lock nobody knows: it is undone, before the owner may have it again. */
static void test_lock_unheard(void **state)
{
	struct locker k;

	next_leader();
	lock_late(&k, 1, FLINT_LOCK_WR);
	assert_int_equal(lock_end(&k), -ETIMEDOUT);
	lock_begin(&k, 1, FLINT_LOCK_RD);
	usleep(200000);
	assert_int_equal(fake.locks, 1);
	late_answer();
	assert_int_equal(lock_end(&k), 0);
	assert_int_equal(fake.locks, 3);	/* UN between them */
	assert_int_equal(fake.last.type, FLINT_LOCK_RD);
	/* What it had before stays. */
	lock_late(&k, 1, FLINT_LOCK_WR);
	assert_int_equal(lock_end(&k), -ETIMEDOUT);
	late_answer();
	WAIT_FOR(__atomic_load_n(&fake.locks, __ATOMIC_SEQ_CST) == 5);
	assert_int_equal(fake.last.type, FLINT_LOCK_RD);
	assert_int_equal(next_leader(), 1);
}

/* ---- answers that are repeated ----------------------------------------------------- */

static void *open_run(void *arg)
{
	struct flint_file *f;

	if (flint_fs_open_file(fs, 5, NULL, FLINT_OPEN_READ | FLINT_OPEN_WRITE, 0, &f))
		return arg;
	flint_file_close(f);
	return NULL;
}

static void test_open_repeated(void **state)
{
	struct flint_setattr set = { .ino = cpu_to_le64(5), .valid = cpu_to_le32(FLINT_SET_MODE),
				     .mode = cpu_to_le32(0600) };
	struct flint_attr a;
	pthread_t thread;
	void *failed;

	next_leader();
	fake.granting = FLINT_LEASE_READ;
	flint_fs_getattr(fs, 5, &a);
	fake.getattrs = 0;
	assert_int_equal(flint_fs_getattr(fs, 5, &a), 0);
	assert_int_equal(fake.getattrs, 0);
	set_faults((struct faults){ .open_lost = 1 });
	pthread_create(&thread, NULL, open_run, &fake);
	WAIT_FOR(__atomic_load_n(&fake.opened.handle, __ATOMIC_SEQ_CST));
	assert_int_equal(flint_fs_setattr(fs, &set, NULL), 0);
	fake.open_go = true;
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(flint_fs_getattr(fs, 5, &a), 0);
	assert_int_equal(le32_to_cpu(a.mode), 0100600);
}

/* What needs trust in the session: not at every moment on a machine that is busy. */
static void until(bool (*fn)(void))
{
	int tries = 2000;

	while (!fn() && --tries)
		usleep(5000);
	assert_int_not_equal(tries, 0);
}

/* Were attributes answered from memory? */
static bool looks_cached(void)
{
	unsigned int before = fake.getattrs;
	struct flint_attr a;

	assert_int_equal(flint_fs_getattr(fs, 5, &a), 0);
	return fake.getattrs == before;
}

/* A name that is not in memory: of what file it was a link nobody can say. */
static void test_unlink_unheard(void **state)
{
	struct flint_attr a;

	next_leader();
	fake.granting = FLINT_LEASE_READ;
	until(looks_cached);
	set_faults((struct faults){ .unlink_lost = 1 });
	assert_int_not_equal(flint_fs_unlink(fs, 1, "g"), 0);
	assert_int_equal(flint_fs_getattr(fs, 5, &a), 0);
	assert_int_equal(le32_to_cpu(a.mode), 0100600);
}

/* ---- sizes ------------------------------------------------------------------------- */

static uint64_t kept(void)
{
	struct flint_fs_stats st;

	flint_fs_stats(fs, &st);
	return st.kept;
}

/* One byte more. Return: was it acknowledged without a request? */
static bool grows_kept(void)
{
	uint64_t before = kept();
	struct flint_attr a;

	flint_file_attr(file, &a);
	assert_int_equal(flint_file_pwrite(file, "k", 1, le64_to_cpu(a.size)), 1);
	return kept() > before;
}

static void *append_run(void *arg)
{
	uint64_t *off = arg;

	return flint_file_append(file, "appended", 8, off) == 8 ? NULL : arg;
}

/* Another thread writes beyond the end after an append has told where that is. */
static void test_append_beside(void **state)
{
	struct flint_call *call;
	struct flint_attr a;
	pthread_t thread;
	uint64_t off = 0;
	void *failed;

	next_leader();
	fake.granting = FLINT_LEASE_READ | FLINT_LEASE_WRITE;
	assert_int_equal(flint_fs_getattr(fs, 5, &a), 0);
	until(grows_kept);
	assert_int_equal(flint_file_sync(file), 0);
	set_faults((struct faults){ .late_append = 1 });
	pthread_create(&thread, NULL, append_run, &off);
	WAIT_FOR(__atomic_load_n(&fake.late_append, __ATOMIC_SEQ_CST));
	flint_file_attr(file, &a);
	assert_int_equal(flint_file_pwrite(file, "acknowledged", 12, le64_to_cpu(a.size)), 12);
	pthread_mutex_lock(&fake.lock);
	call = fake.late_append;
	append_answer(call);
	pthread_mutex_unlock(&fake.lock);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(flint_file_pread(file, buf, 20, off - 12), 20);
	assert_memory_equal(buf, "acknowledgedappended", 20);
	until(grows_kept);	/* and later sizes are kept again */
}

/* The same, and the server will not be told. */
static bool grows_untold(void)
{
	uint64_t before = kept();
	struct flint_attr a;

	set_faults((struct faults){ .extend_lost = 1 });
	flint_file_attr(file, &a);
	flint_file_pwrite(file, "k", 1, le64_to_cpu(a.size));
	if (kept() == before)
		set_faults((struct faults){ 0 });
	return kept() > before;
}

/* Who begins to wait while an EXTEND is about to fail has all the time of a call. */
static void test_sync_later(void **state)
{
	struct flint_attr a;

	next_leader();
	fake.granting = FLINT_LEASE_READ | FLINT_LEASE_WRITE;
	assert_int_equal(flint_fs_getattr(fs, 5, &a), 0);
	until(grows_untold);
	set_faults((struct faults){ .extend_first = 1 });
	WAIT_FOR(__atomic_load_n(&fake.extend_seq, __ATOMIC_SEQ_CST));
	sleep(20);
	assert_int_equal(flint_file_sync(file), 0);
}

/* The file is closed while the server does not know its size. */
static void close_in_vain(void)
{
	struct flint_attr a;

	next_leader();
	fake.granting = FLINT_LEASE_READ | FLINT_LEASE_WRITE;
	assert_int_equal(flint_fs_getattr(fs, 5, &a), 0);
	until(grows_untold);
	assert_true(flint_file_close(file) < 0);
	file = NULL;
	assert_int_equal(fake.closes, 0);
}

/* The server hears of a CLOSE that came too early for it. */
static void test_close_later(void **state)
{
	uint64_t size = fake.size;

	close_in_vain();
	set_faults((struct faults){ 0 });
	WAIT_FOR(__atomic_load_n(&fake.closes, __ATOMIC_SEQ_CST));
	assert_true(fake.size > size);
}

/* Makes each turn of the loop last. */
static struct slow {
	struct flint_task task;
	int turns;
	bool over;
} slow;

static void slow_run(struct flint_task *t)
{
	usleep(100000);
	if (slow.turns--)
		flint_loop_post(shared.loop, t);
	else
		__atomic_store_n(&slow.over, true, __ATOMIC_SEQ_CST);
}

/* The session ends before that, on a loop that goes on. */
static void test_close_never(void **state)
{
	close_in_vain();
	usleep(100000);		/* the library waits for it now */
	slow = (struct slow){ .task = { .fn = slow_run }, .turns = 20 };
	flint_loop_post(shared.loop, &slow.task);
	flint_fs_close(fs);
	fs = NULL;
	WAIT_FOR(__atomic_load_n(&slow.over, __ATOMIC_SEQ_CST));
	test_loop_stop(&shared);
	flint_loop_free(shared.loop);
	assert_int_equal(fake.closes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checksums, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_is_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_and_repeated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wait_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_over_leaders, setup_leases, teardown),
		cmocka_unit_test_setup_teardown(test_unlock_while_named, setup_leases, teardown),
		cmocka_unit_test_setup_teardown(test_lock_refused, setup_leases, teardown),
		cmocka_unit_test_setup_teardown(test_lock_unheard, setup_leases, teardown),
		cmocka_unit_test_setup_teardown(test_open_repeated, setup_leases, teardown),
		cmocka_unit_test_setup_teardown(test_unlink_unheard, setup_unheard, teardown),
		cmocka_unit_test_setup_teardown(test_append_beside, setup_patient, teardown),
		cmocka_unit_test_setup_teardown(test_sync_later, setup_long, teardown),
		cmocka_unit_test_setup_teardown(test_close_later, setup_unheard, teardown),
		cmocka_unit_test_setup_teardown(test_close_never, setup_shared, teardown),
	};

	flint_log_init("test", FLINT_LOG_ERR - 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
