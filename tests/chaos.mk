# SPDX-License-Identifier: GPL-2.0-or-later
# Proof under faults (Documentation/chaos.rst): the load that records histories, and the program
# that judges them.

TEST_SRCS_linear := tests/chaos/linear.c

$(eval $(call program,flint-chaos-load,tests/chaos/chaos_load.c,))
$(eval $(call program,flint-chaos-judge,tests/chaos/chaos_judge.c tests/chaos/linear.c,))

# Random schedules: SEEDS="1 2 3", or new ones until one fails.
soak-chaos: user
	@SEEDS="$(SEEDS)" tests/chaos/soak.sh
.PHONY: soak-chaos
