# SPDX-License-Identifier: GPL-2.0-or-later
# How the tests are built, and `make check`. Three trees beside the ordinary one:
#   build/test   gcc with ASan, UBSan and coverage: unit tests, and the daemons for native tests
#   build/fuzz   clang with libFuzzer
#   build/kunit  the module's sources and tests/kunit for User-Mode Linux (tests/kunit/kunit.mk)
# A unit test is tests/unit/NAME_test.c; TEST_SRCS_NAME and TEST_LIBS_NAME name what it needs beside
# libflint.a. A fuzz target is tests/fuzz/NAME_fuzz.c, with FUZZ_SRCS_NAME, FUZZ_LIBS_NAME and seeds
# in tests/fuzz/corpus/NAME/. What runs them, and how they are counted, is in tests/run.

UNIT_NAMES := $(patsubst tests/unit/%_test.c,%,$(wildcard tests/unit/*_test.c))
FUZZ_NAMES := $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
TEST_SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZ_SAN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
TREE_MAKE = $(MAKE) --no-print-directory
include tests/kunit/kunit.mk

# Expanded twice, because a component's TEST_SRCS_ may be set in a file that is included later.
objects = $(1:%.c=$(B)/%.o)
.SECONDEXPANSION:
$(B)/unit/%_test: $(B)/tests/unit/%_test.o $$(call objects,$$(TEST_SRCS_$$*)) \
		$(B)/libflint.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(TEST_LIBS_$*) -lcmocka $(LIBS_NET)

$(B)/fuzzers/%_fuzz: $(B)/tests/fuzz/%_fuzz.o $$(call objects,$$(FUZZ_SRCS_$$*)) \
		$(B)/libflint.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(FUZZ_LIBS_$*) $(LIBS_NET)

OBJS += $(foreach t,$(UNIT_NAMES),$(B)/tests/unit/$(t)_test.o $(call objects,$(TEST_SRCS_$(t)))) \
	$(foreach t,$(FUZZ_NAMES),$(B)/tests/fuzz/$(t)_fuzz.o $(call objects,$(FUZZ_SRCS_$(t))))

unit-programs: $(UNIT_NAMES:%=$(B)/unit/%_test)
fuzz-programs: $(FUZZ_NAMES:%=$(B)/fuzzers/%_fuzz)

test-tree:
	+@$(TREE_MAKE) B=build/test CFLAGS="-O1 -g" SAN="$(TEST_SAN) --coverage" user unit-programs
fuzz-tree:
	+@$(TREE_MAKE) B=build/fuzz CC=clang CFLAGS="-O1 -g -Wno-unused-command-line-argument" \
		SAN="$(FUZZ_SAN)" fuzz-programs
guest-tree: all
	+@$(TREE_MAKE) vm-programs

check:
	@tools/setup.sh
	@tests/run
check-static check-unit check-fuzz check-native check-kunit check-guest check-uml check-tidy:
	@tools/setup.sh
	@tests/run $(if $(PROTO),--proto $(PROTO)) $(@:check-%=%)
fuzz: check-fuzz

# The namespace model tests for millions of operations: on the state alone
# (tests/unit/meta_model_test.c), and on three replicas whose leaders are killed meanwhile.
soak-model: $(B)/unit/meta_model_test user
	OPS=$${OPS:-2500000} SEED=$${SEED:-$$(date +%s)} $(B)/unit/meta_model_test
	OPS=$${OPS:-2500000} SEED=$${SEED:-$$(date +%s)} BIN=$(B)/bin tests/native/meta_model.sh

# Power cuts of the chunk store (tests/unit/chunk_crash_test.c): at every write and flush of many runs.
soak-store: $(B)/unit/chunk_crash_test
	FLINT_CRASH_DENSE=1 FLINT_CRASH_ROUNDS=$${ROUNDS:-20} FLINT_CRASH_SEED=$${SEED:-$$(date +%s)} \
		$(B)/unit/chunk_crash_test

# The module for the debug kernel, and the guest tests on it.
debug-tree:
	@tools/vm/vm fetch --debug-kernel
	+@$(TREE_MAKE) B=build/debug KDIR=$$(tools/vm/vm path --debug-kernel) module \
		$(XT_KO:$(B)/%=build/debug/%)
# The module for another of the distribution's kernels than the one whose headers are installed.
linux-%:
	+@kdir=$$(tools/vm/vm path --kernel $*) && $(TREE_MAKE) B=build/linux-$* KDIR=$$kdir module

check-debug:
	@tools/setup.sh
	@tests/run --debug --limit 10800 tidy guest

.PHONY: check check-static check-unit check-fuzz check-native check-kunit check-guest check-uml check-tidy check-debug fuzz \
	unit-programs fuzz-programs test-tree fuzz-tree guest-tree debug-tree soak-model soak-store
.SECONDARY: $(UNIT_NAMES:%=$(B)/tests/unit/%_test.o) $(FUZZ_NAMES:%=$(B)/tests/fuzz/%_fuzz.o)
