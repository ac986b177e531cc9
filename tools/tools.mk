# SPDX-License-Identifier: GPL-2.0-or-later
# `make help`, and the targets that use the virtual machine for something other than tests.

setup:
	@tools/setup.sh

# A sub-make, because what setup installs decides which kernel headers are found.
demo:
	@tools/setup.sh
	@$(MAKE) --no-print-directory all
	@tools/demo/demo $(if $(DEMO_SHELL),--shell) $(if $(PROTO),--proto $(PROTO))

bench:
	@tools/setup.sh
	@$(MAKE) --no-print-directory all bench-programs
	@tools/bench/bench $(BENCH_ARGS)

# Four guests; CLIENTS=2: three.
bench-incast: all
	@tools/bench/incast $(CLIENTS)

# Natively, on the disk that build/ lies on.
bench-meta: user
	@mkdir -p $(B)/bench
	@$(B)/bin/flint bench meta $(B)/bench/meta.d --out $(B)/bench/meta.json $(BENCH_ARGS)

bench-data: user
	@mkdir -p $(B)/bench
	@$(B)/bin/flint bench data $(B)/bench/data.d --out $(B)/bench/data.json $(BENCH_ARGS)

vm-shell:
	@tools/vm/vm shell

help:
	@echo "make              build the daemons, tools and the kernel module into build/"
	@echo "make demo         show a cluster and a mount at work in a virtual machine (SHELL=1: a prompt; PROTO=tcp: over TCP)"
	@echo "make check        run all tests; one rung only: check-static check-unit check-fuzz"
	@echo "                  check-native check-kunit check-guest (PROTO=tcp, siw; tests/run --help)"
	@echo "make check-debug  guest tests on a kernel with KASAN and lockdep; clang-tidy"
	@echo "make bench        compare with NFS over RDMA, raw verbs and FUSE (BENCH_ARGS=--icount)"
	@echo "make bench-meta   measure the metadata service natively (BENCH_ARGS=--quick)"
	@echo "make bench-incast measure 1 to 3 guests at one server: shares, and what is sent again"
	@echo "make bench-data   measure reading, writing and recovery natively (BENCH_ARGS=--quick)"
	@echo "make vm-shell     a prompt in an empty virtual machine"
	@echo "make setup        install the packages that are missing"
	@echo "make install      install into PREFIX (see Documentation/); make uninstall"
	@echo "make clean        remove build/"

.PHONY: setup demo bench bench-incast bench-meta bench-data vm-shell help
