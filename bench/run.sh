#!/bin/bash
# run.sh [FIGURE]...: builds distsync as it ships, starts a cluster of its own with fsync on, measures, prints one JSON line a figure.
#
# Nothing of it touches the system but huge pages, which root reserves for the cluster and gives back: sources and the PostgreSQL installation
# are copied into a temporary folder. PostgreSQL refuses to run as root: root hands everything to an unprivileged user. KEEP=1 keeps the
# folder; SCALE=full measures on the large data set.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/tools/private_tree.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
umask 022

small_pages=
work=$(mktemp -d "${BENCH_DIR:-/var/tmp}/distsync-bench.XXXXXX")
cleanup()
{
	stop_clusters "$work"
	if [ -n "$small_pages" ]; then echo "$small_pages" >/proc/sys/vm/nr_hugepages || true; fi
	if [ "${KEEP:-}" = 1 ]; then echo "kept: $work" >&2; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# shared_buffers of 4 GB and what is beside them, as a server of that size has them; half of the memory is left to everybody else
wanted=2300
if [ -w /proc/sys/vm/nr_hugepages ] && [ "$(cat /proc/sys/vm/nr_hugepages)" -lt $wanted ] && [ "$(awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo)" -gt $((4 * wanted)) ]; then
	small_pages=$(cat /proc/sys/vm/nr_hugepages)
	echo $wanted >/proc/sys/vm/nr_hugepages || true
fi
echo "huge pages: $(awk '/^HugePages_Free/ {print $2}' /proc/meminfo) free, $wanted are of use" >&2

chmod 755 "$work"
"$here/tools/copy_tree.sh" "$work/src"
bindir=$(copy_postgres "$work/pg")
mkdir -p "$work/run" "$work/out"
hand_over "$work"
cd "$work/src"
"${run_as[@]}" env -i PATH="$bindir:/usr/local/bin:/usr/bin:/bin" LANG=C.UTF-8 HOME="$work" PG_CONFIG="$bindir/pg_config" WORK="$work" SCALE="${SCALE:-quick}" \
	/usr/bin/python3 -B bench/bench.py "$@" </dev/null
