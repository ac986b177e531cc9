# SPDX-License-Identifier: GPL-2.0-or-later
# make install / make uninstall: programs, module, units, configuration, manual
# pages, completion. DESTDIR stages into another root; PREFIX is where programs
# go. Configuration that exists is kept, by install and by uninstall.
#
# The module goes through DKMS where that is installed, so that a new kernel
# gets it too, and else into the running kernel's modules. MODULE=no leaves it
# out, for machines that only serve.

PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
CONFDIR ?= /etc
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
# The only place where mount(8) looks for helpers.
MOUNTDIR ?= /sbin
MODULE ?= yes

I := tools/install
FLINT_VERSION = $(shell sed -n 's/.*FLINT_VERSION "\(.*\)"/\1/p' userd/base/conf.h)
FLINT_DAEMONS := flint-mgrd flint-metad flint-chunkd
FLINT_CONFS := $(notdir $(wildcard $(I)/conf/*.conf))
FLINT_MANS := $(notdir $(wildcard Documentation/man/*.[1-9]))
DKMS_SRC = /usr/src/flintfs-$(FLINT_VERSION)
LIVE := $(if $(DESTDIR),,yes)

install: user install-programs install-conf install-man install-units
	@if [ "$(MODULE)" = yes ]; then $(MAKE) --no-print-directory install-module; fi
	@echo "installed. Next: 'flint cluster init', then $(CONFDIR)/flintfs/*.conf, then 'systemctl enable --now' what this machine shall run"

install-programs: user
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(MOUNTDIR) $(DESTDIR)$(COMPLETIONDIR)
	install -m 755 $(FLINT_DAEMONS:%=$(B)/bin/%) $(DESTDIR)$(SBINDIR)
	install -m 755 $(B)/bin/flint $(DESTDIR)$(BINDIR)
	install -m 755 $(B)/bin/mount.flintfs $(DESTDIR)$(MOUNTDIR)
	$(B)/bin/flint completion bash > $(DESTDIR)$(COMPLETIONDIR)/flint

install-conf:
	install -d $(DESTDIR)$(CONFDIR)/flintfs
	@for f in $(FLINT_CONFS); do \
		if [ -e $(DESTDIR)$(CONFDIR)/flintfs/$$f ]; then \
			echo "kept $(DESTDIR)$(CONFDIR)/flintfs/$$f"; \
		else \
			install -m 644 $(I)/conf/$$f $(DESTDIR)$(CONFDIR)/flintfs/$$f; \
		fi; \
	done

install-man:
	@for f in $(FLINT_MANS); do \
		install -D -m 644 Documentation/man/$$f $(DESTDIR)$(MANDIR)/man$${f##*.}/$$f; \
	done

install-units:
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERSDIR)
	@for d in $(FLINT_DAEMONS); do \
		sed 's|@SBINDIR@|$(SBINDIR)|g; s|@CONFDIR@|$(CONFDIR)|g' \
			$(I)/systemd/$$d.service.in > $(DESTDIR)$(UNITDIR)/$$d.service; \
	done
	install -m 644 $(I)/systemd/flintfs.sysusers $(DESTDIR)$(SYSUSERSDIR)/flintfs.conf
	@if [ -n "$(LIVE)" ] && [ -d /run/systemd/system ]; then \
		systemd-sysusers && systemctl daemon-reload; \
	fi

install-module:
	install -d $(DESTDIR)$(DKMS_SRC)/kmod/compat/probe $(DESTDIR)$(DKMS_SRC)/uapi/flintfs
	install -m 644 $(wildcard kmod/*.c kmod/*.h kmod/Kbuild) $(DESTDIR)$(DKMS_SRC)/kmod
	install -m 644 $(wildcard kmod/compat/*.h) $(DESTDIR)$(DKMS_SRC)/kmod/compat
	install -m 644 $(wildcard kmod/compat/probe/*.c) $(DESTDIR)$(DKMS_SRC)/kmod/compat/probe
	install -m 644 $(wildcard uapi/flintfs/*.h) $(DESTDIR)$(DKMS_SRC)/uapi/flintfs
	sed 's/@VERSION@/$(FLINT_VERSION)/' $(I)/dkms.conf.in > $(DESTDIR)$(DKMS_SRC)/dkms.conf
	@if [ -n "$(LIVE)" ] && command -v dkms > /dev/null; then \
		dkms install --force flintfs/$(FLINT_VERSION); \
	else \
		$(MAKE) --no-print-directory module && \
		install -D -m 644 $(B)/kmod/flintfs.ko \
			$(DESTDIR)/lib/modules/$(KVER)/updates/flintfs.ko && \
		if [ -n "$(LIVE)" ]; then depmod $(KVER); fi; \
	fi

uninstall:
	@if [ -n "$(LIVE)" ] && [ -d /run/systemd/system ]; then \
		systemctl disable --now $(FLINT_DAEMONS) 2> /dev/null || :; \
	fi
	rm -f $(FLINT_DAEMONS:%=$(DESTDIR)$(SBINDIR)/%) $(DESTDIR)$(BINDIR)/flint \
		$(DESTDIR)$(MOUNTDIR)/mount.flintfs $(DESTDIR)$(COMPLETIONDIR)/flint \
		$(FLINT_DAEMONS:%=$(DESTDIR)$(UNITDIR)/%.service) \
		$(DESTDIR)$(SYSUSERSDIR)/flintfs.conf
	@for f in $(FLINT_MANS); do rm -f $(DESTDIR)$(MANDIR)/man$${f##*.}/$$f; done
	@if [ -n "$(LIVE)" ] && command -v dkms > /dev/null; then \
		dkms remove flintfs/$(FLINT_VERSION) --all 2> /dev/null || :; \
	fi
	rm -rf $(DESTDIR)$(DKMS_SRC)
	rm -f $(DESTDIR)/lib/modules/$(KVER)/updates/flintfs.ko
	@if [ -n "$(LIVE)" ]; then depmod $(KVER) 2> /dev/null || :; fi
	@if [ -n "$(LIVE)" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	@echo "uninstalled. Kept: $(DESTDIR)$(CONFDIR)/flintfs and $(DESTDIR)/var/lib/flintfs"

.PHONY: install install-programs install-conf install-man install-units install-module uninstall
