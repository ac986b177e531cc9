# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by guest tests: a cluster in this guest, a mount, TAP output, and
# what every test must leave behind. Functions end the test on failure.
#
#   . "$(dirname "$0")/lib/cluster.sh"
#   plan 3
#   cluster_start
#   mount_flint
#   ok "what was checked" command args...
#   done_testing

B=$FLINT_ROOT/build
STATE=/data/cluster
MNT=/mnt/flint
ADDR=${ADDR:-10.77.0.1}
KEY=$STATE/cluster.key
tap_n=0 tap_failed=0 step=0

plan() { echo "1..$1"; }

# ok NAME COMMAND...: one TAP line from the command's status.
ok()
{
	local name=$1
	shift
	tap_n=$((tap_n + 1))
	if "$@"; then
		echo "ok $tap_n - $name"
	else
		echo "not ok $tap_n - $name"
		tap_failed=1
	fi
}

skip()
{
	tap_n=$((tap_n + 1))
	echo "ok $tap_n - $1 # SKIP $2"
}

bail()
{
	echo "Bail out! $*"
	tail -n 20 $STATE/*.log 2>/dev/null | sed 's/^/# /'
	exit 1
}

# cluster_start [flint up options]: state on ext4 over a RAM disk.
cluster_start()
{
	mountpoint -q /data || mkdata ext4 brd "${DATA_MIB:-2048}" /data || bail "no /data"
	"$B/bin/flint" up $STATE --listen "$ADDR" --size "${TARGET_SIZE:-512M}" "$@" > /tmp/up.log 2>&1 ||
		{ sed 's/^/# /' /tmp/up.log; bail "flint up failed"; }
}

# cluster_heals [SECONDS]: what was killed is started again, and all targets catch up with what they missed.
cluster_heals()
{
	local end=$((SECONDS + ${1:-240}))

	until "$B/bin/flint" up $STATE > /tmp/up.log 2>&1; do	# says 1 as long as something is behind
		[ $SECONDS -lt $end ] || { sed 's/^/# /' /tmp/up.log; return 1; }
		sleep 1
	done
}

cluster_stop() { "$B/bin/flint" down $STATE > /tmp/down.log 2>&1; }

# counter NAME [DIRECTORY]: a mount's, by its name in mountstats.
counter()
{
	awk -v dir="${2:-$MNT}" -v name="$1" '$1 == "device" { found = $5 == dir }
		found { for (i = 1; i <= NF; i++) if (split($i, p, "=") == 2 && p[1] == name) print p[2] }' \
		/proc/self/mountstats | head -1
}

# The number of the metadata server that a mount takes for the leader, and a node's name by its number.
leader() { cat /sys/fs/flintfs/*/meta_node | head -1; }
name_of() { "$B/bin/flint" node list --dir $STATE --json | jq -r ".nodes[] | select(.id == $1) | .name"; }

# kill -9 every daemon of the cluster at once.
cluster_kill() { pkill -9 -x 'flint-mgrd|flint-metad|flint-chunkd'; sleep 0.2; }

# What is mounted; an IPv6 address stands in brackets.
source_of_mount() { case $ADDR in *:*) echo "[$ADDR]:/default" ;; *) echo "$ADDR:/default" ;; esac; }

# mount_flint [mount options] [directory]; $MOUNT_OPTS go to every mount of a test.
mount_flint()
{
	local dir=${2:-$MNT}

	mkdir -p "$dir"
	mount -t flintfs -o "secretfile=$KEY${MOUNT_OPTS:+,$MOUNT_OPTS}${1:+,$1}" "$(source_of_mount)" \
		"$dir" || bail "mount failed"
}

# The kernel closes the files of a process that died with io_uring requests a little later than it.
umount_flint()
{
	local i

	for i in 1 2 3 4 5; do
		umount "${1:-$MNT}" 2> /tmp/umount.log && return
		grep -q 'target is busy' /tmp/umount.log || break
		sleep 1
	done
	cat /tmp/umount.log
	bail "umount failed"
}

# wait_for SECONDS COMMAND...
wait_for()
{
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

# All nodes get here, with all that they did before; the slowest one within the time a busy machine needs.
together()
{
	local n

	step=$((step + 1))
	touch /results/step.$step.$NODE
	for ((n = 1; n <= NODES; n++)); do
		wait_for ${TOGETHER:-300} [ -e /results/step.$step.$n ] || bail "node $n did not come to step $step"
	done
}

# cluster_on_node1 [flint up options]: the cluster is there, the other nodes have its key.
cluster_on_node1()
{
	if [ $NODE = 1 ]; then
		cluster_start "$@"
		cp $KEY /results/cluster.key
		together
	else
		together
		KEY=/tmp/cluster.key
		install -m 600 /results/cluster.key $KEY
	fi
}

# The kernel's log since boot has nothing that frightens an operator.
dmesg_clean()
{
	! dmesg | grep -E 'WARNING:|BUG:|Oops|possible circular|blocked for more than|refcount_t|Call Trace' |
		sed 's/^/# /' | grep .
}

module_unloads()
{
	grep -q '^flintfs ' /proc/modules || return 0
	rmmod flintfs
}

done_testing()
{
	mountpoint -q $MNT && umount_flint
	cluster_stop
	ok "module unloads" module_unloads
	ok "kernel log is clean" dmesg_clean
	exit $tap_failed
}
