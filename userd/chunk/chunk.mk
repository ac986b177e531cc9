# SPDX-License-Identifier: GPL-2.0-or-later
# flint-chunkd, the chunk server. The store's files are linked into its tests.

CHUNK_STORE_SRCS := $(addprefix userd/chunk/,alloc.c index.c window.c wal.c apply.c \
	read.c write.c cut.c discard.c store.c ckpt.c list.c merge.c share.c clone.c extents.c check.c)

$(eval $(call program,flint-chunkd,$(CHUNK_STORE_SRCS) userd/chunk/dev_file.c \
	userd/chunk/service.c userd/chunk/chain.c userd/chunk/place.c userd/chunk/forward.c userd/chunk/fence.c \
	userd/chunk/heal.c userd/chunk/ask.c userd/chunk/serve.c userd/chunk/sync.c \
	userd/chunk/compare.c userd/chunk/throttle.c userd/chunk/repair.c userd/chunk/scrub.c \
	userd/chunk/metrics.c userd/chunk/permit.c userd/chunk/targets.c userd/chunk/main.c,-luring -lxxhash -lmicrohttpd))

# The tests' daemons can be told to be wrong on purpose: tests/native/chaos_mutant.sh.
build/test/userd/chunk/read.o: ALL_CFLAGS += -DFLINT_MUTANTS

TEST_SRCS_chunk_compare := userd/chunk/compare.c userd/chunk/throttle.c
TEST_SRCS_chunk_store := $(CHUNK_STORE_SRCS)
TEST_LIBS_chunk_store := -lxxhash
TEST_SRCS_chunk_chain := $(CHUNK_STORE_SRCS) userd/chunk/place.c
TEST_LIBS_chunk_chain := -lxxhash
FUZZ_SRCS_forward := $(CHUNK_STORE_SRCS) userd/chunk/place.c
FUZZ_LIBS_forward := -lxxhash
FUZZ_SRCS_chunk_request := $(CHUNK_STORE_SRCS) $(addprefix userd/chunk/,service.c chain.c place.c \
	forward.c fence.c heal.c ask.c serve.c sync.c compare.c throttle.c repair.c scrub.c permit.c targets.c)
# Its own loop, network and cluster come before the library's.
FUZZ_LIBS_chunk_request := -lxxhash -Wl,-z,muldefs
TEST_SRCS_chunk_alloc := userd/chunk/alloc.c
TEST_SRCS_chunk_check := $(CHUNK_STORE_SRCS)
TEST_LIBS_chunk_check := -lxxhash
TEST_SRCS_chunk_clone := $(CHUNK_STORE_SRCS)
TEST_LIBS_chunk_clone := -lxxhash
TEST_SRCS_chunk_crash := $(CHUNK_STORE_SRCS)
TEST_LIBS_chunk_crash := -lxxhash
TEST_LIBS_chunk_engine := -luring
TEST_SRCS_chunk_list := $(CHUNK_STORE_SRCS)
TEST_LIBS_chunk_list := -lxxhash

$(eval $(call program,flint-chunkbench,$(CHUNK_STORE_SRCS) userd/chunk/dev_file.c \
	tools/bench/chunk_bench.c,-luring -lxxhash))
# RocksDB is only compared with, and only where it is installed.
$(eval $(call program,flint-chunk-index-bench,$(CHUNK_STORE_SRCS) userd/chunk/dev_file.c \
	tools/bench/index_bench.c tools/bench/index_rocks.c,-luring -lxxhash -lm \
	$(if $(wildcard /usr/include/rocksdb/c.h),-lrocksdb)))
$(eval $(call program,flint-chunk-start-bench,$(CHUNK_STORE_SRCS) userd/chunk/dev_file.c \
	tools/bench/start_bench.c,-luring -lxxhash))
$(eval $(call program,flint-chunk-alloc-bench,userd/chunk/alloc.c tools/bench/alloc_bench.c,))
$(eval $(call program,flint-chunkload,tests/native/chunkd_load.c,))
$(eval $(call program,flint-targetctl,tests/native/target_ctl.c,))
$(eval $(call program,flint-chunkclone,tests/native/chunk_clone.c,))
$(eval $(call program,flint-chunkcrowd,tests/native/chunk_crowd.c,))
