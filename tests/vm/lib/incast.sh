# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced after cluster.sh by what runs on several nodes at once: node 1 has the servers and mounts nothing, the
# others load them. What is measured lies in /results/NAME.NODE, for all to see.

CLIENTS=$((NODES - 1))
DATA=$MNT/data.$NODE			# each client has a file of its own
FIO="fio --name=deep --filename=$DATA --size=16m --direct=1 --ioengine=libaio"
PATTERN="--verify=crc32c --verify_interval=4k"

# Deep queues, by name, and how long they last.
declare -A WORKS=(
	[read]="--rw=read --bs=1m --iodepth=32 --time_based --runtime=1d"
	[write]="--rw=write --bs=1m --iodepth=32 $PATTERN --do_verify=0 --loops=1000000"
	[small]="--rw=randread --bs=4k --iodepth=64 --time_based --runtime=1d"
)

# on_clients COMMAND...: on each of them, while node 1 waits.
on_clients()
{
	local status=0

	[ $NODE = 1 ] || "$@" || status=1
	together
	return $status
}

run_fio()
{
	$FIO "$@" > /tmp/fio.log 2>&1 && return
	sed 's/^/# /' /tmp/fio.log
	return 1
}

# All of the file is written, or read and found to be what was written.
write_all() { run_fio --rw=write --bs=1m --iodepth=32 $PATTERN --do_verify=0; }
read_all() { run_fio --rw=read --bs=1m --iodepth=32 $PATTERN; }

moved() { echo $(($(counter read_bytes) + $(counter write_bytes))); }
moved_more() { [ "$(moved)" -gt $1 ]; }

# packets PROTO: "sent again", of this node so far. Verbs: every sign of one that was sent twice or missed.
packets()
{
	if [ $1 = tcp ]; then
		awk '$1 == "Tcp:" && $2 ~ /[0-9]/ { print $12, $13 }' /proc/net/snmp
	else
		(cd /sys/class/infiniband/*/ports/1/hw_counters && echo $(cat sent_pkts) \
			$(($(cat duplicate_request) + $(cat rcvd_seq_err) + $(cat completer_retry_err))))
	fi
}

# sample PROTO PID: bytes (of a client that works), nanoseconds, packets, and those again.
sample() { echo $([ -n "$2" ] && moved || echo -) $(date +%s%N) $(packets $1); }

# Differences of two samples.
between() { echo "$@" | awk '{ print $1 == "-" ? "-" : $5 - $1, $6 - $2, $7 - $3, $8 - $4 }'; }

# measure NAME WORK PROTO SECONDS CLIENTS: so many clients do it at once. All nodes count for those seconds, when all
# of these have begun and none has ended.
measure()
{
	local name=$1 proto=$3 last=$(($5 + 1)) status=0 pid= before

	if [ $NODE -gt 1 ] && [ $NODE -le $last ]; then
		before=$(moved)
		$FIO ${WORKS[$2]} > /tmp/fio.log 2>&1 &
		pid=$!
		wait_for 60 moved_more $before || status=1
	fi
	together
	before=$(sample $proto $pid)
	sleep $4
	[ -z "$pid" ] || kill -0 $pid || status=1
	between $before $(sample $proto $pid) > /results/$name.$NODE
	together
	if [ -n "$pid" ]; then
		kill -INT $pid
		wait $pid
		grep -q 'err= 0' /tmp/fio.log || status=1
		[ $status = 0 ] || sed 's/^/# /' /tmp/fio.log
	fi
	together
	return $status
}

# result NAME: MB/s of all, the smallest share of a client by the mean, packets, and how many of a million again.
result()
{
	cat /results/$1.[0-9]* | awk '$1 != "-" { r = $1 * 1e3 / $2; all += r; if (!n++ || r < min) min = r }
		{ sent += $3; again += $4 }
		END { printf "%.2f %.2f %d %d\n", all, all ? min * n / all : 0, sent, sent ? again * 1e6 / sent : 0 }'
}
