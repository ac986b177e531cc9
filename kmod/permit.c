// SPDX-License-Identifier: GPL-2.0-only
/*
 * Permits, on mounts with the token of a subtree: a chunk server that does not
 * know yet that an inode is in the subtree says so, is shown the metadata
 * server's word for it, and is asked again (uapi/flintfs/token.h). Nothing of it
 * is kept here: chunk servers remember what they were shown.
 */
#include "flint.h"

/**
 * flint_permit_show() - get a permit for an inode and show it to a chunk server
 * @inode: whose data is wanted
 * @target: that was asked for the data; its server is shown the permit
 * @deadline: jiffies, not 0
 *
 * Context: process context; waits for two requests, killable.
 *
 * Return: 0: ask again. -ESTALE: the inode is not in the subtree (any more).
 * -EACCES: refused. -EAGAIN, -ENOTCONN, -ETIMEDOUT: try again later. Others of
 * flint_meta_call().
 */
int flint_permit_show(struct inode *inode, u32 target, unsigned long deadline)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_ino_req b = {
		.ino = cpu_to_le64(inode->i_ino), .gen = cpu_to_le32(flint_i(inode)->gen),
	};
	struct flint_permit permit;
	struct flint_mcall c = {
		.op = FLINT_OP_PERMIT_GET, .body = &b, .body_len = sizeof(b), .rep = &permit,
		.rep_size = sizeof(permit), .deadline = deadline,
	};
	const struct flint_map_target *t;
	struct flint_mapref *map;
	struct flint_peer *peer;
	struct flint_req *req;
	int err = flint_meta_call(fs, &c);

	if (err)
		return err;
	map = flint_map_get(fs);
	if (!map)
		return -EIO;
	t = flint_map_target(&map->map, target);
	peer = t ? flint_map_peer(map, le32_to_cpu(t->node)) : NULL;
	req = flint_req_alloc(FLINT_OP_PERMIT, sizeof(permit), GFP_NOFS);
	err = !req ? -ENOMEM : IS_ERR_OR_NULL(peer) ? -EAGAIN : 0;
	if (!err) {
		memcpy(req->body, &permit, sizeof(permit));
		req->deadline = deadline;
		err = flint_call(peer, req, NULL, 0, 0);
		if (!err && req->status)
			err = req->status == FLINT_ST_AUTH ? -EACCES : -EAGAIN;
	}
	if (req)
		flint_req_put(req);
	flint_map_put(map);
	return err;
}
