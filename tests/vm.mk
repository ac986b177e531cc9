# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that guest tests run: every tests/vm/NAME.c becomes build/vm/NAME.
# VM_LIBS_<name> names further libraries.

VM_PROGS := $(patsubst tests/vm/%.c,$(B)/vm/%,$(wildcard tests/vm/*.c))
VM_LIBS_posix_data := -luring

vm-programs: $(VM_PROGS)

$(B)/vm/%: $(B)/tests/vm/%.o $(B)/tests/vm/lib/check.o $(B)/libflint.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(VM_LIBS_$*) $(LIBS_NET)

OBJS += $(patsubst $(B)/vm/%,$(B)/tests/vm/%.o,$(VM_PROGS)) $(B)/tests/vm/lib/check.o
.PHONY: vm-programs
.SECONDARY: $(patsubst $(B)/vm/%,$(B)/tests/vm/%.o,$(VM_PROGS))
