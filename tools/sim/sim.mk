# SPDX-License-Identifier: GPL-2.0-or-later
# flint-datasim: the data path of large clusters in virtual time.

$(eval $(call program,flint-datasim,$(patsubst %,tools/sim/%.c,main world load rebuild) \
	$(patsubst %,mgr/%.c,place place_cyclic place_mix place_roles place_order place_check place_move),\
	-ljansson))
