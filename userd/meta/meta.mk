# SPDX-License-Identifier: GPL-2.0-or-later
# flint-metad, the metadata server. META_CORE is the state machine, without network and threads.

META_CORE := userd/meta/store.c userd/meta/cache.c userd/meta/db.c userd/meta/flush.c \
	userd/meta/verify.c userd/meta/work.c userd/meta/backup.c userd/meta/inode.c userd/meta/table.c userd/meta/command.c \
	userd/meta/ops_session.c \
	userd/meta/ops_name.c userd/meta/ops_batch.c userd/meta/ops_rename.c userd/meta/ops_attr.c userd/meta/ops_xattr.c \
	userd/meta/access.c userd/meta/acl.c userd/meta/usage.c userd/meta/trash.c userd/meta/admin.c \
	userd/meta/read.c
META_SERVER := $(META_CORE) userd/meta/log_raft.c userd/meta/replica.c userd/meta/sessions.c \
	userd/meta/lease.c userd/meta/grants.c userd/meta/hints.c userd/meta/own.c userd/meta/settle.c userd/meta/fence.c userd/meta/change.c userd/meta/delegate.c userd/meta/lock.c userd/meta/locks.c \
	userd/meta/requests.c userd/meta/jobs.c userd/meta/adminreq.c \
	userd/meta/mutate.c userd/meta/reaper.c userd/meta/metrics.c userd/meta/main.c

$(eval $(call program,flint-metad,$(META_SERVER),-lsqlite3 -lxxhash -lmicrohttpd))
# SIM_WORLD: tests/sim.mk
$(eval $(call program,flint-meta-sim,tests/sim/meta_sim.c $(SIM_WORLD) $(META_CORE),-lsqlite3 -lxxhash))
$(eval $(call program,flint-metad-crash,tests/native/metad_crash.c tests/native/crash_group.c $(META_CORE),-lsqlite3 -lxxhash))
$(eval $(call program,flint-metad-store-bench,tests/native/metad_store_bench.c $(META_CORE),-lsqlite3 -lxxhash))
$(eval $(call program,flint-relay,tests/native/relay.c,))
user: $(B)/bin/flint-faultdisk.so
$(B)/bin/flint-faultdisk.so: tests/native/faultdisk.c
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARN) -shared -fPIC -o $@ $<

$(eval $(call program,flint-metad-cut,tests/native/metad_cut.c,))

TEST_SRCS_meta_ops := $(META_CORE)
TEST_LIBS_meta_ops := -lsqlite3 -lxxhash
TEST_SRCS_meta_admin := $(META_CORE)
TEST_LIBS_meta_admin := -lsqlite3 -lxxhash
TEST_SRCS_meta_model := $(META_CORE)
TEST_LIBS_meta_model := -lsqlite3 -lxxhash
TEST_SRCS_meta_rename := $(META_CORE)
TEST_LIBS_meta_rename := -lsqlite3 -lxxhash
TEST_SRCS_meta_once := $(META_CORE)
TEST_LIBS_meta_once := -lsqlite3 -lxxhash
TEST_SRCS_meta_store := $(META_CORE)
TEST_LIBS_meta_store := -lsqlite3 -lxxhash

FUZZ_SRCS_meta_command := $(META_CORE)
FUZZ_LIBS_meta_command := -lsqlite3 -lxxhash

TEST_SRCS_meta_lease := userd/meta/lease.c
TEST_SRCS_meta_ends := userd/meta/sessions.c userd/meta/fence.c userd/meta/settle.c
TEST_SRCS_meta_backup := $(META_CORE)
TEST_LIBS_meta_backup := -lsqlite3 -lxxhash
TEST_SRCS_meta_lock := userd/meta/lock.c
TEST_SRCS_meta_locks := userd/meta/lock.c userd/meta/locks.c
FUZZ_SRCS_lease := userd/meta/lease.c userd/meta/lock.c
