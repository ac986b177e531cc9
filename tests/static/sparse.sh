#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The module builds without a warning at W=1, and sparse (endianness, contexts)
# finds nothing.

cd "$(dirname "$0")/../.." || exit 2
echo "1..1"
if out=$(make --no-print-directory B=build/sparse module-check 2>&1) &&
	! echo "$out" | grep -E '(warning|error):'; then
	echo "ok 1 - module at W=1 and sparse"
else
	echo "$out" | grep -E 'warning|error' | head -30 | sed 's/^/# /'
	echo "not ok 1 - module at W=1 and sparse"
fi
