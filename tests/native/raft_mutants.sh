#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
# Does the simulator find bugs that are planted on purpose? tests/sim/mutants.py has the list.
exec "$FLINT_ROOT/tests/sim/mutants.py"
