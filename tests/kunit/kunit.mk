# SPDX-License-Identifier: GPL-2.0-or-later
# The module with tests/kunit/*.c linked into it, for User-Mode Linux: build/kunit/kmod/flintfs.ko.
# A test file ends with kunit_test_suites(&suite); the kernel runs the suites when the module loads.
# uml-tree: the same in build/uml, for the kernel that injects failures.

UML_KERNEL ?= uml
KUNIT_DIR ?= build/kunit
KUNIT_TESTS := $(notdir $(wildcard tests/kunit/*.c))

kunit-tree:
	@tools/vm/build-kernel $(UML_KERNEL)
	@mkdir -p $(KUNIT_DIR)/kmod/compat/probe $(KUNIT_DIR)/uapi/flintfs
	@ln -sf $(CURDIR)/kmod/*.[ch] $(patsubst %,$(CURDIR)/tests/kunit/%,$(KUNIT_TESTS)) \
		$(wildcard $(CURDIR)/tests/kunit/*.h $(CURDIR)/tests/unit/*.h) $(KUNIT_DIR)/kmod/
	@ln -sf $(CURDIR)/kmod/compat/*.h $(KUNIT_DIR)/kmod/compat/
	@ln -sf $(CURDIR)/kmod/compat/probe/*.c $(KUNIT_DIR)/kmod/compat/probe/
	@ln -sf $(CURDIR)/uapi/flintfs/*.h $(KUNIT_DIR)/uapi/flintfs/
	@{ cat kmod/Kbuild; echo "flintfs-y += $(KUNIT_TESTS:.c=.o)"; } > $(KUNIT_DIR)/kmod/Kbuild.new
	@cmp -s $(KUNIT_DIR)/kmod/Kbuild.new $(KUNIT_DIR)/kmod/Kbuild || \
		cp $(KUNIT_DIR)/kmod/Kbuild.new $(KUNIT_DIR)/kmod/Kbuild
	@$(MAKE) --no-print-directory ARCH=um M=$(CURDIR)/$(KUNIT_DIR)/kmod \
		-C $$(tools/vm/build-kernel $(UML_KERNEL) --print | cut -d' ' -f1)/build modules

uml-tree:
	+@$(TREE_MAKE) UML_KERNEL=faults KUNIT_DIR=build/uml kunit-tree
	+@$(TREE_MAKE) ARCH=um B=build/uml KDIR=$$(tools/vm/build-kernel faults --print | cut -d' ' -f1)/build \
		$(XT_KO:$(B)/%=build/uml/%)

.PHONY: kunit-tree uml-tree
