#!/bin/bash
# machine.sh make SUITE FOLDER [PACKAGE...]   makes a minimal Debian machine in FOLDER, with some packages more
# machine.sh run FOLDER COMMAND [ARGUMENT...] runs a command in it, as root, with its own /proc, /dev, /run and processes
# machine.sh remove FOLDER                    removes it
#
# A machine is a debootstrap and a chroot in namespaces of its own: when the command ends, all it started ends and
# nothing stays mounted. Where packages come from, and through which proxy, is this machine's own apt configuration.
set -euo pipefail

die() { echo "machine.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "making a machine needs root"

# mirror prints where this machine takes the packages of its own Debian release from.
mirror()
{
	apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
		awk -v c="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$1 == "Debian" && $2 == c { print $3; exit }'
}

# sources prints the sources.list of a machine: for the release we run the same as here, for another its main archive.
sources()
{
	local suite=$1 from=$2
	if [ "$suite" = "$(. /etc/os-release && echo "$VERSION_CODENAME")" ]; then
		apt-get indextargets --format '$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' | sed -n 's/^Debian //p' | sort -u
	else
		echo "deb $from $suite main"
	fi
}

make_machine()
{
	local suite=$1 folder=$2 from script=/usr/share/debootstrap/scripts extra
	shift 2
	[ ! -f "$folder/etc/machine-made" ] || return 0
	remove_machine "$folder"
	from=$(mirror)
	[ -n "$from" ] || die "apt knows no source for this Debian release: run apt-get update"
	[ -e "$script/$suite" ] && script=$script/$suite || script=$script/sid
	extra=$(IFS=,; echo "$*")
	mkdir -p "$folder"
	debootstrap --variant=minbase --include="ca-certificates${extra:+,$extra}" "$suite" "$folder" "$from" "$script" >"$folder.log" 2>&1 ||
		{ tail -20 "$folder.log" >&2; die "debootstrap of $suite failed"; }
	sources "$suite" "$from" > "$folder/etc/apt/sources.list"
	grep -lE 'Acquire|Proxy' /etc/apt/apt.conf.d/* 2>/dev/null | xargs -r cp -t "$folder/etc/apt/apt.conf.d"
	: > "$folder/etc/machine-made"
}

run_in()
{
	local folder=$1
	shift
	cp -L /etc/resolv.conf /etc/hosts "$folder/etc/" 2>/dev/null || true
	unshare --mount --pid --ipc --uts --fork --kill-child bash -c '
		set -e
		folder=$1
		shift
		mount --make-rprivate /
		mount -t proc proc "$folder/proc"
		mount -t tmpfs -o mode=755 dev "$folder/dev"
		for device in null zero full random urandom tty; do
			: > "$folder/dev/$device"
			mount --bind "/dev/$device" "$folder/dev/$device"
		done
		mkdir -p "$folder/dev/pts" "$folder/dev/shm"
		mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$folder/dev/pts"
		ln -s pts/ptmx "$folder/dev/ptmx"
		ln -s /proc/self/fd "$folder/dev/fd"
		ln -s /proc/self/fd/0 "$folder/dev/stdin"
		ln -s /proc/self/fd/1 "$folder/dev/stdout"
		ln -s /proc/self/fd/2 "$folder/dev/stderr"
		mount -t tmpfs -o mode=1777 shm "$folder/dev/shm"
		mount -t tmpfs -o mode=755 run "$folder/run"
		exec chroot "$folder" "$@"
	' machine "$folder" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} ${CI:+CI="$CI"} "$@"
}

remove_machine()
{
	[ -d "$1" ] || return 0
	case "$1" in /|/bin|/etc|/home|/usr|/var|"") die "not removing '$1'" ;; esac
	if grep -q " $(realpath "$1")/" /proc/mounts; then die "something is mounted below $1"; fi
	rm -rf --one-file-system "$1"
}

verb=${1:-}
[ $# -ge 2 ] || die "make SUITE FOLDER [PACKAGE...] | run FOLDER COMMAND... | remove FOLDER"
shift
case "$verb" in
	make) make_machine "$@" ;;
	run) run_in "$@" ;;
	remove) remove_machine "$@" ;;
	*) die "no verb '$verb'" ;;
esac
