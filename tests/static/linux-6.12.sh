#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The module builds without a warning for Debian's Linux 6.12 as well.

cd "$(dirname "$0")/../.." || exit 2
if ! why=$(tools/vm/vm path --kernel 6.12 2>&1); then
	echo "1..0 # SKIP no headers of Linux 6.12: $(echo $why | tail -c 200)"
	exit 0
fi
echo "1..1"
if out=$(make --no-print-directory linux-6.12 2>&1) && ! echo "$out" | grep -E '(warning|error):'; then
	echo "ok 1 - module for Linux 6.12"
else
	echo "$out" | grep -E 'warning|error' | head -30 | sed 's/^/# /'
	echo "not ok 1 - module for Linux 6.12"
fi
