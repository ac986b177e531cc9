# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel module: build/kmod/flintfs.ko from kmod/, through links so that
# no object lands in the source tree.
#	make module		warnings are errors
#	make module-check	W=1 and sparse (C=1)

KMOD_SRCS := $(wildcard kmod/*.c kmod/*.h kmod/compat/*.h kmod/compat/probe/*.c kmod/Kbuild)
KMOD_HDRS := $(wildcard uapi/flintfs/*.h)
KMOD_LINKS := $(patsubst %,$(B)/%,$(KMOD_SRCS) $(KMOD_HDRS))
KMOD_MAKE = $(MAKE) --no-print-directory -C $(KDIR) M=$(abspath $(B))/kmod

module: $(B)/kmod/flintfs.ko

$(KMOD_LINKS): $(B)/%: %
	@mkdir -p $(@D)
	@ln -sf $(abspath $<) $@

$(B)/kmod/flintfs.ko: $(KMOD_LINKS)
	@test -d $(KDIR) || { echo "no kernel headers in $(KDIR): apt-get install linux-headers-amd64, or set KDIR="; exit 1; }
	@echo "  MODULE  $@"
	+@$(KMOD_MAKE) FLINT_KCFLAGS=-Werror modules
	@touch $@

module-check: $(KMOD_LINKS)
	$(KMOD_MAKE) clean
	$(KMOD_MAKE) W=1 C=1 CF="-D__CHECK_ENDIAN__" FLINT_KCFLAGS=-Werror modules

# Pure code, compiled for the unit tests too.
TEST_SRCS_iosplit := kmod/iosplit.c

.PHONY: module-check
