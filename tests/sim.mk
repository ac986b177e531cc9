# SPDX-License-Identifier: GPL-2.0-or-later
# The simulated world (tests/sim): programs for tests/native/raft_sim.sh and `make soak`. It is built
# optimised in the ordinary tree, and with sanitizers in the test tree.

SIM_WORLD := tests/sim/world.c tests/sim/world_check.c tests/sim/world_people.c

$(eval $(call program,flint-raft-sim,tests/sim/raft_sim.c $(SIM_WORLD),))

# As long as SOAK says, in seconds; seeds that no earlier soak had.
SOAK ?= 600
soak: $(B)/bin/flint-raft-sim
	@$(B)/bin/flint-raft-sim --first $$(date +%s)000000 --runs 1000000000 --seconds $(SOAK)
.PHONY: soak
