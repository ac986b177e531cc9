#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# No work left behind for later in the code: a mark of unfinished work is a defect.
cd "$(dirname "$0")/../.." || exit 1
! grep -rnwE 'TO''DO|FIX''ME|XX''X' --include='*.[ch]' --include='*.sh' --include='*.mk' --include=Makefile \
	Makefile kmod uapi userd mgr tools tests
