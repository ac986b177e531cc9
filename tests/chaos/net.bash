# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by tests of partitions, before chaos.bash: the test runs in a network of its own, and every
# daemon given to apart() behind a cable of its own, which parted_for() pulls. Where a network cannot
# be made (no privilege) the test is skipped.

if [ -z "${CHAOS_NET:-}" ]; then
	unshare -n true 2> /dev/null || { echo "1..0 # SKIP no privilege to make networks"; exit 0; }
	CHAOS_NET=1 exec unshare -n "$0" "$@"
fi
HUB=10.99.0.254
declare -A CABLE
HOLDERS=()

net_up()
{
	ip link set lo up && ip link add hub type bridge && ip addr add $HUB/24 dev hub && ip link set hub up
}
net_down() { { kill -9 "${HOLDERS[@]}"; } 2> /dev/null; }

other_net() { [ "$(readlink /proc/$1/ns/net)" != "$(readlink /proc/self/ns/net)" ]; }

# apart NAME ADDRESS: start a daemon that is stopped behind a cable, from now on, and wait until the
# managers know it there: what `flint status` and `flint chain list` say before that is the past.
apart()
{
	local name=$1 addr=$2 i=${#HOLDERS[@]} holder

	unshare -n sleep infinity &
	holder=$!
	disown
	HOLDERS+=($holder)
	until_ok 5 other_net $holder || return 1
	ip link add cable$i type veth peer name eth0 netns $holder && ip link set cable$i master hub up &&
		nsenter -t $holder -n sh -c "ip link set lo up; ip addr add $addr/24 dev eth0; ip link set eth0 up" ||
		return 1
	CABLE[$name]=cable$i
	sed -i "s/^--listen=$HUB\$/--listen=$addr/; /^--listen\$/{n;s/.*/$addr/}" "$W/cmd.$name"
	sed -i "1i nsenter\n-t\n$holder\n-n\n--" "$W/cmd.$name"
	start "$name"
	until_ok 30 json "any('$addr:' in a for n in d['nodes'] for a in n['addresses'])" node list
}
# parted_for SECONDS DAEMON...: nothing reaches them, nothing leaves them.
parted_for()
{
	local s=$1 v
	shift
	say "cut $* off for $s s"
	for v; do ip link set "${CABLE[$v]}" down; done
	sleep "$s"
	for v; do ip link set "${CABLE[$v]}" up; done
}
deaf()
{
	say "$1 and $2 do not hear each other"
	nsenter -t "$(sed -n 3p "$W/cmd.$1")" -n ip neigh replace "$2" lladdr 02:00:00:00:00:99 dev eth0 nud permanent
}
hears()
{
	say "$1 and $2 hear each other again"
	nsenter -t "$(sed -n 3p "$W/cmd.$1")" -n ip neigh del "$2" dev eth0
}
# deaf_for SECONDS A ADDRESS: A and the daemon at ADDRESS do not hear each other; all others hear both.
deaf_for()
{
	deaf "$2" "$3"
	sleep "$1"
	hears "$2" "$3"
}
