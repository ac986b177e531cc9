#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# uml: too
# proto=auto: verbs while there are verbs, TCP when their device goes, verbs again when it is back,
# all of it under verified load. The device cannot be deleted while the servers have it open, so the
# deletion stands still, with the kernel's users gone already, until the servers are killed.
# proto: own
. "$(dirname "$0")/lib/cluster.sh"

connected() { dmesg | grep -c "flintfs: .*connected over $1"; }

more_than() { [ "$($1 "$3")" -gt "$2" ]; }

load_loop()
{
	local i

	for ((i = 0; ; i++)); do
		[ -e /tmp/stop ] && return 0
		"$B/vm/randio" $MNT/load 60 "$((SEED + i))" > /tmp/load.log 2>&1 || return 1
		echo $i >> /tmp/rounds
	done
}

rounds() { wc -l < /tmp/rounds; }

# Two rounds of load, one of them whole, from now on.
load_goes_on()
{
	wait_for 60 more_than rounds "$(($(rounds) + 1))" || { sed 's/^/# /' /tmp/load.log; return 1; }
}

falls_back()
{
	local tcp

	tcp=$(connected tcp)
	rdma link delete "$LINK" & DELETE=$!
	wait_for 40 more_than connected "$((tcp + 2))" tcp && load_goes_on
}

returns()
{
	local verbs

	cluster_kill
	timeout 60 tail --pid=$DELETE -f /dev/null || return 1
	verbs=$(connected rdma)
	rdma link add "$LINK" type rxe netdev "$NETDEV" || return 1
	cluster_start
	wait_for 60 more_than connected "$((verbs + 2))" rdma && load_goes_on
}

load_is_right()
{
	touch /tmp/stop
	wait $LOAD || { sed 's/^/# /' /tmp/load.log; return 1; }
}

SEED=${SEED:-$RANDOM}
LINK=$(rdma link show | sed -n 's,^link \([^/]*\)/.*,\1,p' | head -1)
NETDEV=$(rdma link show | sed -n 's,.* netdev \([^ ]*\).*,\1,p' | head -1)
: > /tmp/rounds
cluster_start
mount_flint
ok "verbs are taken first" more_than connected 1 rdma
load_loop & LOAD=$!
load_goes_on
ok "the load goes on over TCP when the device is deleted" falls_back
ok "and over verbs when the device is back" returns
ok "all data was right" load_is_right
done_testing
