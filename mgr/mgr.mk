# SPDX-License-Identifier: GPL-2.0-or-later
# flint-mgrd, the cluster manager, and flint, the command line.

MGR_STATE := mgr/state.c mgr/command.c mgr/db.c
# Placement: no I/O; the simulator has it, too.
PLACE_SRCS := mgr/place.c mgr/place_cyclic.c mgr/place_mix.c mgr/place_roles.c mgr/place_order.c \
	mgr/place_check.c mgr/place_move.c
TEST_SRCS_mgr_place := $(PLACE_SRCS)

MGRD_SRCS := mgr/mgrd.c $(MGR_STATE) mgr/replica.c mgr/worker.c mgr/members.c mgr/chains.c \
	mgr/chainstate.c mgr/beat.c \
	mgr/group.c mgr/image.c mgr/rpc.c mgr/fsmake.c mgr/http.c mgr/httpauth.c mgr/admin.c \
	mgr/report.c mgr/metrics.c mgr/tokens.c mgr/chainset.c mgr/chainops.c \
	mgr/report_chain.c mgr/jobs.c mgr/jobplan.c mgr/jobapi.c mgr/nodeops.c $(PLACE_SRCS)

$(eval $(call program,flint-mgrd,$(MGRD_SRCS),-lsqlite3 -lmicrohttpd -ljansson -lxxhash))

FLINT_SRCS := mgr/flint.c mgr/cli_api.c mgr/cli_show.c mgr/cli_chain.c mgr/cli_ground.c \
	mgr/cli_make.c mgr/cli_history.c mgr/cli_hold.c mgr/cli_job.c mgr/cli_ops.c mgr/cli_token.c mgr/cli_local.c mgr/cli_client.c mgr/cli_top.c mgr/cli_netlink.c mgr/cli_log.c mgr/cli_doctor.c mgr/redact.c mgr/cli_fs.c mgr/cli_quota.c \
	mgr/cli_trash.c mgr/cli_rpc.c mgr/cli_chunk.c mgr/cli_group.c \
	mgr/cli_replica.c mgr/cli_meta.c mgr/cli_mgrstate.c mgr/up.c mgr/upproc.c mgr/upmember.c mgr/httpauth.c mgr/cli_bench.c $(patsubst %,mgr/bench/%.c,\
	hist load leased cluster yard works report machine dataload netyard simrows data) $(PLACE_SRCS)

$(eval $(call program,flint,$(FLINT_SRCS),-ljansson -lcurl -lsqlite3 -lnl-3))
$(B)/mgr/cli_netlink.o: override CFLAGS += -isystem /usr/include/libnl3

TEST_SRCS_mgr_members := mgr/members.c mgr/chains.c mgr/chainstate.c mgr/image.c mgr/state.c mgr/command.c \
	mgr/metrics.c
TEST_LIBS_mgr_members := -lxxhash -ljansson
TEST_SRCS_mgr_chains := mgr/members.c mgr/chains.c mgr/chainstate.c mgr/state.c mgr/command.c mgr/report_chain.c
TEST_LIBS_mgr_chains := -lxxhash -ljansson
TEST_SRCS_mgr_chainstate := mgr/chainstate.c
TEST_SRCS_mgr_jobs := mgr/jobs.c mgr/jobplan.c mgr/members.c mgr/chains.c mgr/chainstate.c mgr/state.c \
	mgr/command.c $(PLACE_SRCS)
TEST_LIBS_mgr_jobs := -lxxhash
TEST_SRCS_mgr_state := $(MGR_STATE)
TEST_LIBS_mgr_state := -lsqlite3 -lxxhash
TEST_SRCS_mgr_redact := mgr/redact.c
TEST_SRCS_mgr_httpauth := mgr/httpauth.c
