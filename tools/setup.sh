#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# setup.sh [--print] [--cephfs]: installs the Debian packages that building, testing and demonstrating
# FlintFS need. Does nothing, and says nothing, when none is missing. --print lists the packages.
# --cephfs: those of CephFS too, 83 with all that they need, for `make bench BENCH_ARGS=--cephfs`.
set -eu

packages=(
	# build: user space, module
	gcc libc6-dev make pkg-config bc bison flex libelf-dev kmod linux-headers-amd64 pahole
	libibverbs-dev librdmacm-dev libssl-dev libisal-dev libinih-dev libxxhash-dev uthash-dev
	liburing-dev libsqlite3-dev libjansson-dev libmicrohttpd-dev libcurl4-openssl-dev
	libfuse3-dev libnl-3-dev uuid-dev keyutils
	# virtual machine
	qemu-system-x86 busybox-static python3 dpkg-dev iproute2 rdma-core ibverbs-providers
	# tests and checks
	libcmocka-dev sparse gcovr clang clang-tidy libclang-rt-dev perl xz-utils curl jq acl attr procps psmisc
	e2fsprogs xfsprogs strace sqlite3 spin
	# demonstration and benchmark
	fio perftest ibverbs-utils nfs-kernel-server nfs-common iperf3 fuse3 librocksdb-dev
)

[ "${!#}" = --cephfs ] && packages+=(ceph-mon ceph-osd ceph-mds ceph-common)

if [ "${1:-}" = --print ]; then
	printf '%s\n' "${packages[@]}"
	exit 0
fi

missing=()
for p in "${packages[@]}"; do
	case $(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null) in
	ii*|hi*) ;;
	*) missing+=("$p") ;;
	esac
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" != 0 ]; then
	echo "setup.sh: these packages are missing; run as root: apt-get install ${missing[*]}" >&2
	exit 1
fi
echo "setup.sh: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive

# No daemon that an installed package brings may start on this machine.
keep=/usr/sbin/policy-rc.d
if [ ! -e $keep ]; then
	printf '#!/bin/sh\nexit 101\n' > $keep
	chmod +x $keep
	trap 'rm -f $keep' EXIT
fi

log=$(mktemp)
install_them() { apt-get install -y --no-install-recommends "${missing[@]}" > "$log" 2>&1; }

if ! install_them; then
	apt-get update >> "$log" 2>&1 || true
	if ! install_them; then
		tail -n 20 "$log" >&2
		echo "setup.sh: apt-get could not install the packages; the log is $log" >&2
		exit 1
	fi
fi
rm -f "$log"
