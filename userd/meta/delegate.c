// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Delegated creates, as far as leases are concerned: who may get a dir-write
 * lease, which batches are taken, and what is leased with their answer.
 *
 * Who holds dir-write on a directory is alone with it: it knows all names, for it
 * made the directory itself, and nobody else sees or changes one before the lease
 * came back. So a create in a batch needs no recall, and its inode, which nobody
 * else can have found, can be leased to its maker without asking anybody.
 *
 * A directory that a batch made is leased dir-write with the answer, while the
 * lease on its parent still hides it: there is no moment in which it is not covered.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "command.h"
#include "grants.h"

#define NO_ROOM	(1ll << 60)	/* no limit has room for so many */

bool metad_may_delegate(struct metad *m, u64 sid, const struct meta_inode *dir)
{
	const struct meta_session *sn = meta_session_by_id(&m->store, sid);
	struct meta_charge c = { .files = NO_ROOM, .bytes = NO_ROOM };

	/* What the server checks or maps for each request is asked for each time. */
	if (!sn || (sn->flags & (FLINT_SESSION_CHECK | FLINT_SESSION_RDONLY | META_SN_TOKEN)))
		return false;
	if (!meta_is_dir(dir) || !dir->nlink ||
	    (dir->flags & (META_INO_TRASH | META_INO_DACL | FLINT_INO_IMMUTABLE | FLINT_INO_APPEND)))
		return false;
	/* So is every inode, and every byte of one, under a limit: EDQUOT is exact. */
	return !meta_tree_room(&m->store, dir->ino, 0, &c) &&
	       !meta_ids_room(&m->store, dir, NO_ROOM, NO_ROOM);
}

static bool made_here(const u64 *made, u32 nr, u64 ino)
{
	u32 lo = 0, hi = nr;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (made[mid] < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < nr && made[lo] == ino;
}

u32 metad_delegate_check(struct metad *m, u64 sid, const u8 *data, u32 len)
{
	u64 *made = malloc(len / sizeof(struct flint_dir_rec) * sizeof(*made) + 1);
	u64 parent, known = 0, last = 0;
	struct flint_dir_rec r;
	u32 pos = 0, nr = 0;
	const u8 *name;
	int rc;

	if (!made)
		return FLINT_ST_RETRY;
	while ((rc = flint_dir_rec_next(data, len, &pos, &r, &name)) > 0) {
		if (le64_to_cpu(r.ino) <= last)
			break;
		last = le64_to_cpu(r.ino);
		parent = le64_to_cpu(r.parent);
		if (parent != known && !made_here(made, nr, parent) &&
		    !(lease_held(metad_lease_table(m), sid, parent) & FLINT_LEASE_DIR_WRITE)) {
			free(made);
			/* An ESTALE would cost all that is promised: not while things are unclear. */
			return lease_in_grace(metad_lease_table(m)) ? FLINT_ST_RETRY : ESTALE;
		}
		if (parent != known)
			lease_used(metad_lease_table(m), sid, parent);
		known = parent;
		made[nr++] = last;
	}
	free(made);
	return rc ? EINVAL : FLINT_OK;
}

/* Files that were open when they were told are open for writing from now on. */
static void count_writers(struct metad *m, u64 sid, const u8 *data, u32 len, u32 nr)
{
	struct flint_dir_rec r;
	const u8 *name;
	u32 pos = 0;
	u64 ino;

	while (nr-- && flint_dir_rec_next(data, len, &pos, &r, &name) > 0) {
		ino = le64_to_cpu(r.ino);
		if (le16_to_cpu(r.flags) & FLINT_OPEN_WRITE)
			metad_writer_opened(m, sid, FLINT_DIR_HANDLE(ino), ino);
	}
}

#define DIR_KINDS	(FLINT_LEASE_READ | FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE)

/* Does each byte of it count for a limit, or may it? Then it is asked for before it is acknowledged. */
static bool limited(struct metad *m, u64 ino)
{
	const struct meta_inode *i;

	return meta_inode_peek(&m->store, ino, &i) || meta_size_limited(&m->store, i);
}

/*
 * Lease of what was made the directories, or the rest, under one number; @write: with files
 * that are open for writing, write, too. Ends at the first that is not leased. Return: how many.
 */
static u32 grant_made(struct metad *m, u64 sid, const u8 *data, u32 len, u32 nr, bool dirs,
		      u32 write, u64 seq)
{
	struct lease_table *t = metad_lease_table(m);
	u32 n, pos = 0, kinds;
	u64 now = flint_now_ns(), ino;
	struct flint_dir_rec r;
	const u8 *name;

	for (n = 0; n < nr && flint_dir_rec_next(data, len, &pos, &r, &name) > 0; n++) {
		ino = le64_to_cpu(r.ino);
		kinds = dirs ? DIR_KINDS : FLINT_LEASE_READ;
		if (!dirs && (le16_to_cpu(r.flags) & FLINT_OPEN_WRITE))
			kinds |= write;
		if ((kinds & FLINT_LEASE_WRITE) && limited(m, ino))
			break;
		if (!S_ISDIR(le32_to_cpu(r.mode)) == !dirs &&
		    (!metad_hint(m, sid, ino) ||
		     lease_grant_made(t, sid, ino, kinds, now, seq) != kinds))
			break;
	}
	return n;
}

u32 metad_delegate_done(struct metad *m, struct flint_call *call, u64 sid, const u8 *data,
			u32 data_len, u8 *body, u32 len)
{
	struct flint_dir_created rep;
	struct metad_grants g = { 0 };
	u64 seq = lease_number(metad_lease_table(m), sid);
	u32 write = call->msg.lease & FLINT_LEASE_WRITE, nr;

	if (len < sizeof(rep))
		return len;
	memcpy(&rep, body, sizeof(rep));
	nr = le32_to_cpu(rep.nr);
	count_writers(m, sid, data, data_len, nr);
	/*
	 * A repeated batch, too: its directories are leased without a break since they
	 * were made, or the batch was not taken. Nor does it matter that trust is not
	 * renewed: what trust ends, ends these.
	 */
	if (!seq || !nr || (call->msg.lease & DIR_KINDS) != DIR_KINDS ||
	    !flint_conn_info(call->conn)->pushes)
		return len;
	if (grant_made(m, sid, data, data_len, nr, true, 0, seq) == nr)
		rep.flags = cpu_to_le32(FLINT_DIR_CREATED_DIRS);
	rep.leased = cpu_to_le32(grant_made(m, sid, data, data_len, nr, false, write, seq));
	memcpy(body, &rep, sizeof(rep));
	g.g[g.nr++] = (struct flint_lease_grant){
		.seq = cpu_to_le64(seq), .kinds = cpu_to_le32(DIR_KINDS | write) };
	return metad_grants_put(call, &g, body, len);
}
