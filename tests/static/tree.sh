#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rules of the tree that a machine can check: the two halves of the module apart,
# files that stay readable.

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

long_files() { git ls-files '*.c' '*.h' '*.py' '*.sh' | xargs wc -l | awk '$2 != "total" && $1 > 1500'; }

halves_apart()
{
	grep -lE '#include <(rdma|linux/sunrpc)/' kmod/*.[ch] | grep -vE 'kmod/(mr\.c|xprt_rdma\.[ch])'
	grep -lE '#include <linux/(fs|dcache|pagemap|mount|namei)\.h>' \
		kmod/{request,peer,auth,xprt_rdma,mr}.c kmod/{request,xprt,xprt_rdma}.h 2>/dev/null
	return 0
}

check "transport without VFS, file system without verbs" halves_apart
check "no source file over 1,500 lines" long_files
echo "1..$n"
