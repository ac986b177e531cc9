#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kmod/, uapi/ and tests/kunit/ pass the kernel's checkpatch.pl --strict, one
# TAP line a file. Not asked: what the kernel's own sources cannot obey either
# (event headers; messages longer than a line are not split), conditions on the
# kernel version, which only an out-of-tree module has (kmod/compat), and the
# kernel's own names in uapi/, which user space compiles as well.

cd "$(dirname "$0")/../.." || exit 2
script=$(tools/vm/build-kernel source)/scripts/checkpatch.pl
[ -e "$script" ] || { echo "1..0 # SKIP no checkpatch.pl: the kernel source package is missing"; exit 0; }

# checkpatch.pl leaves a cache where it runs.
top=$PWD
trap 'rm -rf "$away"' EXIT
away=$(mktemp -d)

n=0
for f in kmod/*.[ch] kmod/compat/*.h uapi/flintfs/*.h tests/kunit/*.c; do
	ignore=LONG_LINE_STRING
	case $f in
	*_trace.h) continue ;;
	kmod/compat/*) ignore+=,LINUX_VERSION_CODE,CONSTANT_COMPARISON ;;
	uapi/*) ignore+=,PREFER_KERNEL_TYPES,NEW_TYPEDEFS,BIT_MACRO,CAMELCASE ;;
	esac
	n=$((n + 1))
	if out=$(cd "$away" && perl "$script" --strict --no-tree --terse -q --show-types \
		--ignore "$ignore" -f "$top/$f" 2>&1); then
		echo "ok $n - $f"
	else
		echo "$out" | sed 's/^/# /'
		echo "not ok $n - $f"
	fi
done
echo "1..$n"
