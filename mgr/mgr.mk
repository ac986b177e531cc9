# SPDX-License-Identifier: GPL-2.0-or-later
# flint-mgrd, the cluster manager, and flint, the command line.

MGRD_SRCS := mgr/mgrd.c mgr/state.c mgr/members.c mgr/image.c mgr/rpc.c mgr/fsmake.c \
	mgr/http.c mgr/httpauth.c mgr/admin.c mgr/report.c

$(eval $(call program,flint-mgrd,$(MGRD_SRCS),-lsqlite3 -lmicrohttpd -ljansson))

FLINT_SRCS := mgr/flint.c mgr/cli_api.c mgr/cli_show.c mgr/cli_make.c mgr/cli_token.c \
	mgr/cli_local.c mgr/cli_fs.c mgr/cli_quota.c mgr/cli_trash.c mgr/up.c mgr/upproc.c mgr/httpauth.c mgr/cli_bench.c $(patsubst %,mgr/bench/%.c,\
	hist load cluster yard works report)

$(eval $(call program,flint,$(FLINT_SRCS),-ljansson -lcurl -lsqlite3))

TEST_SRCS_mgr_members := mgr/members.c mgr/image.c mgr/state.c
TEST_LIBS_mgr_members := -lsqlite3
TEST_SRCS_mgr_state := mgr/state.c
TEST_LIBS_mgr_state := -lsqlite3
TEST_SRCS_mgr_httpauth := mgr/httpauth.c
