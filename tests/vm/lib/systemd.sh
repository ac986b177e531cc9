# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by tests of machines that boot with systemd. First the cluster is made by hand, as
# "flint-*.service" would run it; then systemd takes over as process 1 (guest-init executes
# /run/next-init). flint-check.service runs the test with "check" in the running machine, which asks
# for shutdown; flint-report.service, the last to stop, runs it with "report".
ADDR=10.77.0.1
MNT=/mnt/flint
INSTALL=/run/flint-test
OPTIONS=			# of the mount, each behind a comma
SYSTEM_CONF=			# of systemd
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
	printf '[Manager]\nDefaultTimeoutStartSec=120s\nShowStatus=no\n%b' "$SYSTEM_CONF" > /etc/systemd/system.conf
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
	echo "$ADDR:/default $MNT flintfs _netdev,x-systemd.mount-timeout=120s$OPTIONS 0 0" > /etc/fstab
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
		ExecStop=$INSTALL/test report
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
		ExecStart=$INSTALL/test check
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
	mkdir -p $INSTALL/lib
	cp "$0" $INSTALL/test
	cp "${BASH_SOURCE[0]}" $INSTALL/lib
	failed=0
	cd "$FLINT_ROOT" || exit 1
	rm -f /usr/local/sbin/flint* /sbin/mount.flintfs
	ok "make install" make -o user install MODULE=no
	ok "a cluster made by hand" make_cluster
	[ $failed = 0 ] || exit 1
	ok "its machine, for systemd" make_machine
	[ $failed = 0 ] || exit 1
	handed_on
	cat > /run/next-init <<-EOF
		#!/bin/sh
		# As on any machine that systemd set up: the credentials of a unit are a mount of their own.
		mount --make-rshared /
		exec /lib/systemd/systemd --unit=multi-user.target
	EOF
	chmod +x /run/next-init
}

# ---- under systemd

mounted() { findmnt -n -t flintfs $MNT && systemctl is-active mnt-flint.mount; }
log_clean() { ! dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace|blocked for more|refcount_t'; }

# begun: what went on before, in another process.
begun()
{
	failed=$(cat $INSTALL/failed 2>/dev/null || echo 1)
	n=$(cat $INSTALL/n)
}

handed_on()
{
	echo $n > $INSTALL/n
	echo $failed > $INSTALL/failed
}

# Leaves what guest-init would.
end_run()
{
	[ "$failed" = 0 ] || sed 's/^/# /' $INSTALL/journal
	echo "1..$n"
	dmesg > /run/ctl/dmesg
	echo "$failed" > /run/ctl/status
	sync -f /run/ctl/status
}
