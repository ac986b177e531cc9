# SPDX-License-Identifier: GPL-2.0-or-later
# The transport's own test module, for tests/vm/hostile_server.sh: built from links in build/xprt_test,
# laid out like the source tree, because it links the transport.s objects by their paths.

XT := $(B)/xprt_test
XT_KO := $(XT)/tests/vm/xprt_test/xprt_test.ko
XT_SRCS := $(wildcard tests/vm/xprt_test/*.c tests/vm/xprt_test/Kbuild uapi/flintfs/*.h) \
	$(addprefix kmod/,request.c request.h show.c latency.c latency.h peer.c auth.c mr.c xprt_rdma.c xprt_rdma.h xprt_tcp.c compat/sock.h compat/unaligned.h xprt.h flint_trace.h)
XT_LINKS := $(addprefix $(XT)/,$(XT_SRCS))

vm-programs: $(XT_KO)

$(XT_LINKS): $(XT)/%: %
	@mkdir -p $(@D)
	@ln -sf $(abspath $<) $@

$(XT_KO): $(XT_LINKS)
	@echo "  MODULE  $@"
	@$(MAKE) --no-print-directory -C $(KDIR) M=$(abspath $(dir $@)) KCFLAGS=-Werror modules
	@touch $@
