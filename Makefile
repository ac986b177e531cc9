# SPDX-License-Identifier: GPL-2.0-or-later
# FlintFS: `make` builds everything, `make demo` shows it, `make check` tests
# it, `make help` lists the rest. Each folder's *.mk says what it builds.

# `make demo SHELL=1` asks for a prompt; to make itself SHELL means the shell of the recipes.
ifeq ($(SHELL),1)
DEMO_SHELL := 1
override SHELL := /bin/sh
MAKEOVERRIDES := $(filter-out SHELL=%,$(MAKEOVERRIDES))
endif

B := build
KVER ?= $(shell ls /usr/src 2>/dev/null | sed -n 's/^linux-headers-\(.*-amd64\)$$/\1/p' | sort -V | tail -1)
KDIR ?= /lib/modules/$(KVER)/build
CC := gcc
WARN := -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wno-unused-parameter
CFLAGS ?= -O2 -g
SAN ?=
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(CFLAGS) $(WARN) -I. -pthread $(SAN)
LIBS_NET := -libverbs -lrdmacm -lcrypto -lisal

all: user module

user:
module:

# One object per source; header dependencies by -MMD.
$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# $(call program,NAME,SOURCES,LIBRARIES): build/bin/NAME from sources and build/libflint.a
define program
user: $(B)/bin/$(1)
$(B)/bin/$(1): $(patsubst %.c,$(B)/%.o,$(2)) $(B)/libflint.a
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	@$$(CC) $$(ALL_CFLAGS) $$(LDFLAGS) -o $$@ $$^ $(3) $$(LIBS_NET)
OBJS += $(patsubst %.c,$(B)/%.o,$(2))
endef

include $(sort $(wildcard userd/*/*.mk mgr/*.mk tools/*.mk tools/*/*.mk tests/*.mk kmod/*.mk))

$(B)/libflint.a: $(patsubst %.c,$(B)/%.o,$(LIBFLINT_SRCS))
	@mkdir -p $(@D)
	@echo "  AR      $@"
	@rm -f $@ && ar rcs $@ $^
OBJS += $(patsubst %.c,$(B)/%.o,$(LIBFLINT_SRCS))

-include $(OBJS:.o=.d)

clean:
	rm -rf $(B)

.PHONY: all user module clean
.DEFAULT_GOAL := all
