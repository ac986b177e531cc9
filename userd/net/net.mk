# SPDX-License-Identifier: GPL-2.0-or-later
LIBFLINT_SRCS += userd/net/loop.c userd/net/pool.c userd/net/xprt.c userd/net/auth.c \
	userd/net/tcp.c userd/net/verbs.c userd/net/verbs_dev.c userd/net/server.c userd/net/stats.c userd/net/names.c userd/net/tool.c userd/net/httpd.c userd/net/scrape.c userd/net/peer.c \
	userd/net/endpoint.c
VM_LIBS_net_verbs_echo := -lcmocka
