#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The module's transport against a server that breaks the protocol in every
# way we could think of: each request ends in time, no wrong byte is taken for
# data, memory comes back, the module unloads, and the kernel does not complain.
#
# timeout: 1500
# uml: too
#   hostile_server.sh [MODE ...]     default: all
# XT: xprt_test.ko, HS: the hostile_server program.
# proto: own
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
KO=${FLINT_KO:-$ROOT/build/kmod/flintfs.ko}	# beside that one, for the same kernel
XT=${XT:-${KO%/kmod/*}/xprt_test/tests/vm/xprt_test/xprt_test.ko}
HS=${HS:-$ROOT/build/vm/hostile_server}
KEY=$(printf '%064d' 7)
ADDR=${ADDR:-10.77.0.1}
KEYFILE=/tmp/hostile.key
PORT=9900
failed=0 passed=0

echo "$KEY" > $KEYFILE
modprobe -a rdma_cm ib_core 2>/dev/null

# expectation mode [server options]
try()
{
	local expect=$1 mode=$2 key=$KEY pid log

	shift 2
	case " $* " in *" nokey "*) key= ; set -- ;; esac
	PORT=$((PORT + 1))
	log=/tmp/hostile.$PORT
	if [ -n "$key" ] && [ "$mode" != nokey-client ]; then
		"$HS" $TCP -m "$mode" -p $PORT -k $KEYFILE "$@" > $log 2>&1 &
	else
		"$HS" $TCP -m "$mode" -p $PORT "$@" > $log 2>&1 &
	fi
	pid=$!
	for _ in $(seq 100); do
		grep -q listening $log && break
		kill -0 $pid 2>/dev/null || break
		sleep 0.1
	done
	case $mode in kill-server|freeze-server|remove-device) meanwhile $pid & ;; esac
	if insmod "$XT" addr=$ADDR port=$PORT expect=$expect key=$key ${TCP:+tcp=1 deadline_ms=1500} loops=${LOOPS:-0} 2>/tmp/insmod.err &&
	   rmmod xprt_test; then
		echo "ok - $mode${TCP:+ over TCP}: $expect"
		passed=$((passed + 1))
	else
		echo "not ok - $mode${TCP:+ over TCP}: $expect: $(cat /tmp/insmod.err) $(cat $log)"
		dmesg | tail -30
		rmmod xprt_test 2>/dev/null
		failed=$((failed + 1))
	fi
	kill -9 $pid
	wait $pid 2>/dev/null
}

MODES="$*"
want()
{
	[ -z "$MODES" ] || [[ " $MODES " == *" $2 "* ]] || return
	try "$@"
}

want ok good
want ok good nokey
want ok good -c 1
want ok good -c 1000
want shutdown silent
for m in reject reject-version hello-close hello-short hello-version hello-mac hello-noauth \
	hello-inline hello-maxio hello-credits hello-status; do
	want refused $m
done
want refused hello-silent
want refused auth-silent
want refused cm-silent
want fail silent
for m in close short tiny long huge-body magic version flags op tag tag-range generation credits \
	request push data-len data-huge inline-uncalled inline-missing inv-bogus twice \
	close-mid-read close-mid-write write-beyond write-badkey ping-silent; do
	want fail $m
done
want ok no-inv

want idle good
want dead ping-silent
want load good
meanwhile() { sleep 4; kill -9 "$1"; sleep 2; "$HS" -m good -p $PORT -k $KEYFILE & sleep 8; kill -9 $!; }
want load kill-server
meanwhile() { for _ in 1 2; do sleep 3; kill -STOP "$1"; sleep 8; kill -CONT "$1"; done; }
want load freeze-server
meanwhile() { sleep 5; rdma link delete rxe0 & sleep 2; kill -9 "$1"; wait $!; rdma link add rxe0 type rxe netdev d0; }
[ -e /sys/class/infiniband/rxe0 ] && want load remove-device

# What a stream can break besides; and what it breaks in the same way, once.
TCP=-t
want ok good
want ok good nokey
want ok good -c 1
want shutdown deaf
for m in hello-close hello-mac; do
	want refused $m
done
for m in close short huge-body magic tag credits request push data-len data-huge inline-missing twice \
	close-mid-read close-mid-write garbage descriptors reset half-close slow-header slow-data \
	deaf early; do
	want fail $m
done
meanwhile() { sleep 4; kill -9 "$1"; sleep 2; "$HS" -t -m good -p $PORT -k $KEYFILE & sleep 8; kill -9 $!; }
want load kill-server
TCP=

if dmesg | grep -E 'WARNING:|BUG:|Oops|KASAN|general protection|blocked for more than|lockdep'; then
	echo "not ok - the kernel complained"
	failed=$((failed + 1))
fi
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
