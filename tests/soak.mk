# SPDX-License-Identifier: GPL-2.0-or-later
# kmod/request.c in a program (tests/soak/replies.c): the kernel's headers that it includes are
# links to one small replacement.
#	make soak-replies	REPLIES=10000000 SEED=time

SOAK := $(B)/soak
SOAK_HEADERS := $(addprefix $(SOAK)/,$(addprefix linux/,completion.h kref.h mutex.h slab.h spinlock.h \
	wait.h bvec.h refcount.h workqueue.h bitops.h minmax.h percpu.h tracepoint.h sched/signal.h) \
	asm/unaligned.h trace/define_trace.h)

$(SOAK_HEADERS): tests/soak/kernel.h
	@mkdir -p $(@D)
	@ln -sf $(abspath $<) $@

$(SOAK)/soak-replies: tests/soak/replies.c tests/soak/kernel.h $(SOAK_HEADERS) \
		$(wildcard kmod/request.[ch] kmod/xprt.h kmod/latency.h uapi/flintfs/*.h)
	@echo "  CC      $@"
	@$(CC) -std=gnu11 -D_GNU_SOURCE -D_FLINT_TRACE_H -O1 -g $(filter-out -Wextra,$(WARN)) -Wno-unused \
		$(TEST_SAN) -I$(SOAK) -Itests/soak -o $@ $<

soak-replies: $(SOAK)/soak-replies
	$< $${REPLIES:-10000000} $${SEED:-$$(date +%s)}

.PHONY: soak-replies
