#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every source names its licence in its first two lines, and the right one for where it lies:
# kmod/ and tests/kunit GPL-2.0-only, uapi/ also MIT, all else GPL-2.0-or-later.
cd "$(dirname "$0")/../.." || exit 1
status=0

while read -r f; do
	case $f in
	LICENSE*|Documentation/*|*.md|*.conf|*.in|*/corpus/*|.clang-format|.editorconfig|.gitignore|*.patch|*.config) continue ;;
	uapi/*) want='(GPL-2.0-only WITH Linux-syscall-note) OR MIT' ;;
	kmod/*.mk) want='GPL-2.0' ;;
	kmod/*|tests/kunit/*.[ch]) want='GPL-2.0-only' ;;
	tests/unit/*.h) want= ;;	# compiled into the kernel's tests too
	*) want='GPL-2.0-' ;;
	esac
	grep -Iq . "$f" || continue
	line=$(head -n 2 "$f" | grep -o 'SPDX-License-Identifier: .*')
	case $line in
	"SPDX-License-Identifier: $want"*) ;;
	"") echo "$f: no SPDX line"; status=1 ;;
	*) echo "$f: '$line', not $want"; status=1 ;;
	esac
done < <(git ls-files 2>/dev/null || find . -type f -not -path './build/*' -not -path './.git/*' -printf '%P\n')
exit $status
