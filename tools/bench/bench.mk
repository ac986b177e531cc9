# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that `make bench` runs in its guest; not part of an ordinary build.

BENCH_PROGS := $(B)/bench/fuse-passthrough $(B)/bench/flint-load

bench-programs: $(BENCH_PROGS)
$(B)/bench/flint-load: $(B)/tools/bench/load.o
$(B)/bench/flint-load: BENCH_LIBS := -luring
$(B)/bench/fuse-passthrough: $(B)/tools/bench/fuse_passthrough.o
$(B)/bench/fuse-passthrough: BENCH_LIBS := $(shell pkg-config --libs fuse3 2>/dev/null)
$(B)/tools/bench/fuse_passthrough.o: ALL_CFLAGS += $(shell pkg-config --cflags fuse3 2>/dev/null)
$(BENCH_PROGS):
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(BENCH_LIBS)

.PHONY: bench-programs
