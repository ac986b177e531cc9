#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rules of the tree that a machine can check: licences by SPDX line (LICENSE),
# the two halves of the module apart, files that stay readable.

cd "$(dirname "$0")/../.." || exit 2
n=0

check()
{
	local name=$1 out

	shift
	n=$((n + 1))
	if out=$("$@") && [ -z "$out" ]; then
		echo "ok $n - $name"
	else
		echo "$out" | head -20 | sed 's/^/# /'
		echo "not ok $n - $name"
	fi
}

# spdx LICENCE FILES...: print files whose first lines do not name it.
spdx()
{
	local want=$1 f

	shift
	for f in "$@"; do
		head -3 "$f" | grep -qF "SPDX-License-Identifier: $want" || echo "$f"
	done
	return 0
}

user_sources() { git ls-files 'userd/**/*.[ch]' 'mgr/*.[ch]' 'tools/**/*.[ch]' 'tests/**/*.[ch]' | grep -v ^tests/kunit/ |
	grep -vE 'xprt_test|placement_vectors.h'; }

long_files() { git ls-files '*.c' '*.h' '*.py' '*.sh' | xargs wc -l | awk '$2 != "total" && $1 > 1500'; }

halves_apart()
{
	grep -lE '#include <(rdma|linux/sunrpc)/' kmod/*.[ch] | grep -vE 'kmod/(mr\.c|xprt_rdma\.[ch])'
	grep -lE '#include <linux/(fs|dcache|pagemap|mount|namei)\.h>' \
		kmod/{request,peer,auth,xprt_rdma,mr}.c kmod/{request,xprt,xprt_rdma}.h 2>/dev/null
	return 0
}

check "module is GPL-2.0-only" spdx GPL-2.0-only kmod/*.[ch] tests/kunit/*.c
check "uapi is dual-licensed" spdx "(GPL-2.0-only WITH Linux-syscall-note) OR MIT" uapi/flintfs/*.h
# shellcheck disable=SC2046
check "user space is GPL-2.0-or-later" spdx GPL-2.0-or-later $(user_sources)
check "transport without VFS, file system without verbs" halves_apart
check "no source file over 1,500 lines" long_files
echo "1..$n"
