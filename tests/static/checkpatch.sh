#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# checkpatch.pl --strict on kmod/ and uapi/, from the kernel's own source package. Left out, because
# they do not fit: version checks (kmod/compat is there for them); in uapi/, which user space compiles
# too, the kernel's own types and BIT(), and the blank line between a struct and the assertion of its
# size; messages that would have to be broken over lines; tracepoint headers, which the tool misreads.
cd "$(dirname "$0")/../.." || exit 1
source=$(tools/vm/build-kernel source) || exit 1
common=LINUX_VERSION_CODE,FILE_PATH_CHANGES,SPDX_LICENSE_TAG,EMBEDDED_FILENAME,LONG_LINE_STRING

check()
{
	local ignore=$1
	shift
	perl "$source/scripts/checkpatch.pl" --no-tree --strict --terse --max-line-length=100 --quiet \
		--ignore "$ignore" --no-summary -f "$@"
}

status=0
shopt -s extglob nullglob
check $common kmod/!(*trace).[ch] kmod/compat/*.h || status=1
check $common,PREFER_KERNEL_TYPES,BIT_MACRO,LINE_SPACING,CAMELCASE,LONG_LINE_COMMENT uapi/flintfs/*.h ||
	status=1
exit $status
