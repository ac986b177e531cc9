# SPDX-License-Identifier: GPL-2.0-or-later
# flint-mgrd, the cluster manager, and flint, the command line.

MGRD_SRCS := mgr/mgrd.c mgr/state.c mgr/members.c mgr/image.c mgr/rpc.c mgr/fsmake.c \
	mgr/http.c mgr/httpauth.c mgr/admin.c mgr/report.c

$(eval $(call program,flint-mgrd,$(MGRD_SRCS),-lsqlite3 -lmicrohttpd -ljansson -linih))
