// SPDX-License-Identifier: GPL-2.0-only
/*
 * The session: what a mount's locks, leases, open files and sequence numbers hang on.
 *
 * The servers end one whose machine they did not hear for a session lease, because others must go
 * on. When the machine is heard again it is told so, by a metadata server or by a chunk server that
 * refuses what an ended session sends, and opens the next session. The mount goes on with it:
 *  - leases and what was kept under them are forgotten;
 *  - locks are gone. Reads and writes of a file that was locked here fail until whoever held
 *    locks on it has let go of all of them, as somebody else may have had them meanwhile;
 *  - a change whose answer was not heard is not repeated, because the next session knows nothing of
 *    it and would do it twice: it ends with -EIO. All else waits and is sent again;
 *  - files that are open stay open. One that others removed meanwhile is gone;
 *  - what write-back owed is dropped (writeback.c).
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include "flint.h"
#include "flint_trace.h"

/**
 * flint_session_open() - begin a session, or find the one that this mount has
 * @fs: mount
 * @root: result, attributes of the mount's root
 *
 * Context: process.
 * Return: 0, an error of flint_meta_call(), or -EPROTO.
 */
int flint_session_open(struct flint_fs *fs, struct flint_attr *root)
{
	struct flint_session_open body = {
		.fixed_len = cpu_to_le32(sizeof(body)),
		/* Not whether it is read-only: the VFS sees to that, and a remount changes it. */
		.flags = cpu_to_le32(fs->opts.lease ? FLINT_SESSION_LEASES : 0),
		.path_len = cpu_to_le32(strlen(fs->subtree)),
	};
	struct flint_session_rep rep;
	struct flint_mcall c = {
		.op = FLINT_OP_SESSION_OPEN,
		.body = &body, .body_len = sizeof(body),
		.s1 = fs->subtree, .s1_len = strlen(fs->subtree),
		.rep = &rep, .rep_size = sizeof(rep),
		.deadline = jiffies + msecs_to_jiffies(fs->opts.meta_timeo),
	};
	int err;

	memcpy(body.fs_name, fs->name, sizeof(body.fs_name));
	err = flint_meta_call(fs, &c);
	if (err)
		return err;
	if (!rep.session_epoch || !flint_attr_ok(&rep.root) ||
	    !S_ISDIR(le32_to_cpu(rep.root.mode)))
		return -EPROTO;
	fs->lease_ms = le32_to_cpu(rep.lease_ms);
	flint_net_set_epoch(fs->net, le64_to_cpu(rep.session_epoch));
	WRITE_ONCE(fs->session_epoch, le64_to_cpu(rep.session_epoch));
	*root = rep.root;
	return 0;
}

/* Bounded: one attempt of five seconds. */
static void flint_session_end(struct flint_fs *fs)
{
	struct flint_mcall c = {
		.op = FLINT_OP_SESSION_CLOSE,
		.once = true,
		.deadline = jiffies + 5 * HZ,
	};

	flint_meta_call(fs, &c);
}

/**
 * flint_session_close() - the mount ends
 * @fs: mount
 *
 * Only said where there is a connection: the server ends a silent session itself.
 *
 * Context: process; five seconds at most.
 */
void flint_session_close(struct flint_fs *fs)
{
	struct flint_leader l;
	bool ready;

	if (fs->session_epoch && !READ_ONCE(fs->shutdown) && !flint_leader_get(fs, &l)) {
		ready = flint_peer_ready(l.peer);
		flint_leader_put(&l);
		if (ready)
			flint_session_end(fs);
	}
	fs->session_epoch = 0;
}

/**
 * flint_session_lost() - a server said that a session is over
 * @fs: mount
 * @epoch: of that session: the mount may have the next one already
 * @status: in these words
 *
 * Context: any.
 * Return: true if there will be another one, so that trying again makes sense.
 */
bool flint_session_lost(struct flint_fs *fs, u64 epoch, u32 status)
{
	const char *why = status == FLINT_ST_FENCED ? "fenced" : "it does not know the session";

	if (!epoch || epoch != flint_session(fs) || xchg(&fs->session_lost, epoch) == epoch)
		return !READ_ONCE(fs->session_refused);
	flint_wb_lost(fs);
	trace_flint_session_lost(fs->instance, epoch, status);
	flint_event(fs, FLINT_EV_SESSION_LOST, &(struct flint_event){ .reason = why });
	pr_warn("%s: the servers ended this mount's session, as they did not hear this machine: opening another one\n",
		fs->name);
	mod_delayed_work(fs->wq, &fs->keepalive, 0);
	return true;
}

/* Is this what a server says that could be asked? Then it will say so again. */
static bool flint_session_refusal(int err)
{
	return err == -EACCES || err == -EPERM || err == -ENOENT || err == -ENOTDIR ||
	       err == -ENODEV;
}

static int flint_session_again(struct flint_fs *fs)
{
	u64 lost = READ_ONCE(fs->session_lost);
	struct flint_attr root;
	int err = flint_session_open(fs, &root);

	if (err) {
		if (flint_session_refusal(err) && !xchg(&fs->session_refused, true))
			pr_err("%s: the servers refuse another session (%d): unmount\n", fs->name,
			       err);
		return err;
	}
	/*
	 * It is still being ended; or it was fenced, and the server that did so stopped before
	 * the end; or the number was given again after metadata was restored.
	 */
	if (flint_session(fs) == lost) {
		flint_session_end(fs);
		return -EAGAIN;
	}
	WRITE_ONCE(fs->session_refused, false);
	/* Servers learn the session from the greeting. */
	flint_net_reset(fs->net, "another session begins");
	pr_notice("%s: session %llu goes on for session %llu\n", fs->name, flint_session(fs), lost);
	return 0;
}

/**
 * flint_session_next() - go on with another session, if this one is over
 * @fs: mount
 *
 * Context: the keepalive work.
 * Return: 0, or an error: to be done again soon.
 */
int flint_session_next(struct flint_fs *fs)
{
	int err = 0;

	if (!READ_ONCE(fs->leases.lost))
		return 0;
	if (flint_session(fs) == READ_ONCE(fs->session_lost))
		err = flint_session_again(fs);
	if (!err)
		err = flint_lease_forget(fs);
	if (!err)
		flint_open_register_lost(fs);
	return err;
}
