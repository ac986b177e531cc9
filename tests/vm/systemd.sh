#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A machine that boots with systemd: the installed units start manager, metadata server and chunk
# server as an unprivileged user, an /etc/fstab line with _netdev is mounted at boot over software
# RDMA, and at shutdown the mount goes first, then the daemons, then the network.
#
# First the cluster is made by hand, as "flint-*.service" would run it; then systemd takes over as
# process 1 (guest-init executes /run/next-init). flint-check.service tests the running machine and
# asks for shutdown; flint-report.service stops last of all, reads the journal, and ends the guest.
# vm: --timeout 400
# proto: own
set -u

ADDR=10.77.0.1
MNT=/mnt/flint
INSTALL=/run/flint-test
n=0

ok() # NAME COMMAND...
{
	local name=$1
	shift
	n=$((n + 1))
	if "$@" > $INSTALL/out 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		tail -n 15 $INSTALL/out | sed 's/^/# /'
		failed=1
	fi
}

# ---- before systemd

# In the background $! is the program itself.
as_flintfs() { exec setpriv --reuid flintfs --regid flintfs --clear-groups "$@"; }

make_cluster()
{
	local d pids=()

	mkdata ext4 brd 1024 /data || return 1
	mkdir -p /data/lib /data/srv /var/lib/flintfs /srv/flintfs
	mount --bind /data/lib /var/lib/flintfs && mount --bind /data/srv /srv/flintfs || return 1
	systemd-sysusers flintfs.conf || return 1
	flint cluster init || return 1
	mkdir /var/lib/flintfs/mgr /var/lib/flintfs/meta /var/lib/flintfs/chunk
	flint-chunkd --format /srv/flintfs/disk1 --id 1 --size 384M || return 1
	chown -R flintfs: /var/lib/flintfs /srv/flintfs
	cat > /etc/flintfs/flint-mgrd.conf <<-EOF
		[flint-mgrd]
		listen = $ADDR
	EOF
	cat > /etc/flintfs/flint-metad.conf <<-EOF
		[flint-metad]
		mgr = $ADDR
		listen = $ADDR
	EOF
	cat > /etc/flintfs/flint-chunkd.conf <<-EOF
		[flint-chunkd]
		mgr = $ADDR
		listen = $ADDR
		target = /srv/flintfs/disk1
	EOF
	printf '[flint]\nmgr = %s\n' $ADDR > /etc/flintfs/flint.conf
	install -m 600 -o flintfs /etc/flintfs/cluster.key /run/cluster.key
	for d in mgr meta chunk; do
		ulimit -l unlimited
		as_flintfs "/usr/local/sbin/flint-${d}d" -c "/etc/flintfs/flint-${d}d.conf" \
			--state /var/lib/flintfs/$d --key /run/cluster.key > /run/$d.log 2>&1 &
		pids+=($!)
	done
	for _ in {1..150}; do
		flint chain create > /run/chain.log 2>&1 && break
		sleep 0.2
	done
	for _ in {1..150}; do
		flint fs create default > /run/fs.log 2>&1 && break
		sleep 0.2
	done
	kill "${pids[@]}"
	wait "${pids[@]}"
	rm /run/cluster.key
	grep -q default /run/fs.log || { cat /run/chain.log /run/fs.log /run/*.log; return 1; }
}

# Only what this test is about: nothing of the host's own services.
make_machine()
{
	local u

	rm -rf /etc/systemd/system /etc/systemd/network /run/systemd
	mkdir -p /etc/systemd/system /run/log/journal $MNT
	printf '[Journal]\nStorage=volatile\n' > /etc/systemd/journald.conf
	printf '[Manager]\nDefaultTimeoutStartSec=120s\nShowStatus=no\n' > /etc/systemd/system.conf
	for u in systemd-udevd systemd-udev-trigger systemd-udev-settle systemd-logind systemd-timesyncd \
		systemd-networkd systemd-resolved systemd-binfmt systemd-random-seed systemd-remount-fs \
		systemd-sysctl systemd-modules-load systemd-update-utmp systemd-update-utmp-runlevel \
		systemd-user-sessions systemd-pcrphase systemd-pcrphase-sysinit systemd-boot-system-token \
		systemd-machine-id-commit systemd-firstboot systemd-sysusers systemd-tmpfiles-clean \
		systemd-hwdb-update ldconfig systemd-journal-catalog-update systemd-repart; do
		ln -s /dev/null /etc/systemd/system/$u.service
	done
	for u in systemd-udevd-control.socket systemd-udevd-kernel.socket getty.target timers.target; do
		ln -s /dev/null /etc/systemd/system/$u
	done
	echo "$ADDR:/default $MNT flintfs _netdev,x-systemd.mount-timeout=120s 0 0" > /etc/fstab
	cat > /etc/systemd/system/flint-net.service <<-EOF
		[Unit]
		Description=the network of this test
		DefaultDependencies=no
		After=flint-report.service local-fs.target
		Before=network.target network-online.target shutdown.target
		Conflicts=shutdown.target
		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=/usr/bin/rdma link add rxe0 type rxe netdev d0
		ExecStop=/usr/bin/rdma link delete rxe0
		[Install]
		WantedBy=network-online.target
	EOF
	cat > /etc/systemd/system/flint-report.service <<-EOF
		[Unit]
		Description=the last to stop
		DefaultDependencies=no
		After=local-fs.target systemd-journald.socket
		Conflicts=shutdown.target
		Before=shutdown.target
		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=/bin/true
		ExecStop=$INSTALL/systemd.sh report
		Environment="PATH=$PATH"
		EnvironmentFile=/run/ctl/env
		TimeoutStopSec=120
	EOF
	cat > /etc/systemd/system/flint-check.service <<-EOF
		[Unit]
		Description=the test itself
		After=remote-fs.target flint-mgrd.service flint-metad.service flint-chunkd.service
		Wants=flint-report.service
		[Service]
		Type=exec
		ExecStart=$INSTALL/systemd.sh check
		Environment="PATH=$PATH"
		EnvironmentFile=/run/ctl/env
		[Install]
		WantedBy=multi-user.target
	EOF
	hostname > /etc/hostname
	systemctl enable remote-fs.target flint-mgrd flint-metad flint-chunkd flint-net flint-check || return 1
	rdma link delete rxe0
}

prepare()
{
	mkdir -p $INSTALL
	cp "$0" $INSTALL/systemd.sh
	failed=0
	cd "$FLINT_ROOT" || exit 1
	rm -f /usr/local/sbin/flint* /sbin/mount.flintfs
	ok "make install" make -o user install MODULE=no
	ok "a cluster made by hand" make_cluster
	[ $failed = 0 ] || exit 1
	ok "its machine, for systemd" make_machine
	[ $failed = 0 ] || exit 1
	echo $n > $INSTALL/n
	cat > /run/next-init <<-EOF
		#!/bin/sh
		# As on any machine that systemd set up: the credentials of a unit are a mount of their own.
		mount --make-rshared /
		exec /lib/systemd/systemd --unit=multi-user.target
	EOF
	chmod +x /run/next-init
}

# ---- under systemd

daemons_run()
{
	local d

	for d in mgrd metad chunkd; do
		systemctl is-active "flint-$d" || { systemctl status --no-pager -l "flint-$d"; return 1; }
		[ "$(ps -o user= -p "$(systemctl show -P MainPID "flint-$d")")" = flintfs ] || return 1
	done
}

mounted() { findmnt -n -t flintfs $MNT && systemctl is-active mnt-flint.mount; }

works()
{
	dd if=/dev/urandom of=$MNT/file bs=1M count=8 oflag=direct status=none &&
		sha256sum $MNT/file > $MNT/sum && echo 3 > /proc/sys/vm/drop_caches &&
		sha256sum -c --quiet $MNT/sum && flint status
}

check()
{
	failed=0
	n=$(cat $INSTALL/n)
	ok "systemd runs the three daemons, as flintfs" daemons_run
	ok "the fstab entry is mounted" mounted
	ok "no unit failed" bash -c '! systemctl --failed --no-legend --plain | grep .'
	ok "files can be written and read" works
	echo $n > $INSTALL/n
	echo $failed > $INSTALL/failed
	systemctl --no-block start poweroff.target
}

# The line of the journal that says that a unit ended.
at() { journalctl -q -o cat --no-pager _PID=1 | grep -nE "$1" | tail -n 1 | cut -d: -f1; }

# before WHAT WHEN: both happened, in this order.
before()
{
	local a b

	a=$(at "$1") b=$(at "$2")
	echo "'$1': line $a, '$2': line $b"
	[ -n "$a" ] && [ -n "$b" ] && [ "$a" -lt "$b" ]
}

never_late() { ! dmesg | grep -E 'flintfs: .*(no answer|trying again|nothing heard|closed the connection)'; }
log_clean() { ! dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace|blocked for more|refcount_t'; }

report()
{
	local d

	failed=$(cat $INSTALL/failed 2>/dev/null || echo 1)
	n=$(cat $INSTALL/n)
	for d in mgrd metad chunkd; do
		ok "unmounted before flint-$d stops" before "Unmounted mnt-flint" "Stopped flint-$d"
		ok "flint-$d ends by itself" bash -c "journalctl -q -o cat _PID=1 | grep -q 'flint-$d.service: Deactivated successfully'"
		ok "flint-$d stops before the network" before "Stopped flint-$d" "Stopped flint-net"
	done
	ok "the mount never missed its servers" never_late
	ok "the module unloads" rmmod flintfs
	ok "kernel log is clean" log_clean
	[ "$failed" = 0 ] || journalctl -q -o short-monotonic --no-pager | tail -n 150 | sed 's/^/# /'
	echo "1..$n"
	dmesg > /run/ctl/dmesg
	echo "$failed" > /run/ctl/status
	sync
	echo o > /proc/sysrq-trigger
	sleep 30
}

case ${1:-} in
check) check > /dev/hvc0 2>&1 ;;
report) report > /dev/hvc0 2>&1 ;;
*) prepare ;;
esac
