// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What every daemon answers to the flint command: its log level, its last log
 * lines, its metrics.
 */
#include <stdlib.h>
#include "../base/conf.h"
#include "../base/log.h"
#include "pool_int.h"
#include "stats.h"

static void refuse(struct flint_call *call, uint32_t status)
{
	flint_call_reply(call, status, NULL, 0, NULL, 0, 0);
}

/* Bytes of payload that the requester can take. */
static uint32_t room_of(const struct flint_call *call, uint32_t asked, uint32_t size)
{
	const struct flint_conn_info *ci = flint_conn_info(call->conn);
	uint32_t room = call->msg.nr_desc ? flint_msg_room(&call->msg) :
			ci->proto == FLINT_PROTO_RDMA ? ci->inline_size : ci->max_io;

	if (room > asked)
		room = asked;
	return room < size ? room : size;
}

static void log_rep(struct flint_log_rep *rep)
{
	*rep = (struct flint_log_rep){ .level = cpu_to_le32((uint32_t)flint_log_level()) };
	snprintf((char *)rep->program, sizeof(rep->program), "%s", flint_log_name());
	snprintf((char *)rep->version, sizeof(rep->version), "%s", FLINT_VERSION);
}

static void tool_log(struct flint_call *call, struct flint_pool *pool)
{
	const struct flint_conn_info *ci = flint_conn_info(call->conn);
	struct flint_buf *buf = NULL;
	struct flint_log_req req;
	struct flint_log_rep rep;
	uint32_t len = 0;
	int level;

	if (flint_body_get(&req, sizeof(req), sizeof(req), call->msg.body, call->msg.body_len)) {
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	switch (le32_to_cpu(req.op)) {
	case FLINT_LOG_GET:
		break;
	case FLINT_LOG_SET:
		level = (int)le32_to_cpu(req.level);
		if (flint_log_set_level(level)) {
			refuse(call, EINVAL);
			return;
		}
		flint_info("log level %s, set by %s from %s", flint_log_level_name(level), ci->name,
			   ci->address);
		break;
	case FLINT_LOG_TAIL:
		buf = pool ? flint_buf_get(pool) : NULL;
		if (!buf) {
			refuse(call, FLINT_ST_RETRY);
			return;
		}
		len = (uint32_t)flint_log_tail((char *)buf->data,
					       room_of(call, le32_to_cpu(req.max_len), buf->size));
		break;
	default:
		refuse(call, FLINT_ST_BAD_REQUEST);
		return;
	}
	log_rep(&rep);
	flint_call_reply(call, FLINT_OK, &rep, sizeof(rep), buf, 0, len);
}

static void tool_metrics(struct flint_call *call, const struct flint_metrics *metrics,
			 struct flint_pool *pool)
{
	struct flint_buf *buf = metrics && pool ? flint_buf_get(pool) : NULL;
	char *text = buf ? flint_metrics_text(metrics, &(size_t){ 0 }) : NULL;
	uint32_t room, len;

	if (!text) {
		if (buf)
			flint_buf_put(buf);
		refuse(call, metrics ? FLINT_ST_RETRY : EOPNOTSUPP);
		return;
	}
	room = room_of(call, UINT32_MAX, buf->size);
	len = (uint32_t)strlen(text);
	if (len > room) {	/* whole lines only */
		for (len = room; len && text[len - 1] != '\n'; len--)
			;
	}
	memcpy(buf->data, text, len);
	free(text);
	flint_call_reply(call, FLINT_OK, NULL, 0, buf, 0, len);
}

void flint_tool_request(struct flint_call *call, const struct flint_metrics *metrics,
			struct flint_pool *pool)
{
	uint8_t role = flint_conn_info(call->conn)->role;

	if (role != FLINT_ROLE_TOOL && role != FLINT_ROLE_MGR)
		refuse(call, FLINT_ST_AUTH);
	else if (call->msg.data_len)
		refuse(call, FLINT_ST_BAD_REQUEST);
	else if (call->msg.op == FLINT_OP_LOG)
		tool_log(call, pool);
	else
		tool_metrics(call, metrics, pool);
}
