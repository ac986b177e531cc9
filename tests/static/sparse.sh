#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sparse on the module, with endianness checks: no warning.
cd "$(dirname "$0")/../.." || exit 1
out=$(make --no-print-directory B=build/sparse module-check 2>&1)
status=$?
if [ $status != 0 ] || grep -qE '(warning|error):' <<< "$out"; then
	grep -E -A3 '(warning|error):' <<< "$out" || tail -n 20 <<< "$out"
	exit 1
fi
