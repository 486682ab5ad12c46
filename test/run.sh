#!/bin/bash
# run.sh [LEG[:NAME,NAME]]...: builds distsync as the tests need it and runs all legs, or the named ones.
#
#   regress    pg_regress on its own temporary instance            sql/ expected/
#   isolation  isolation specs                                     test/isolation/
#   pgtap      pgTAP through pg_prove                              test/pgtap/
#   tap        PostgreSQL::Test::Cluster through prove             test/t/
#   property   Python tests                                        test/property/
#   soak       those of property again and again, only when named  test/property/
#
# Nothing of it touches the system: sources and the PostgreSQL installation are copied into a temporary folder, the
# library is built there with its fail-points (DISTSYNC_TEST=1, never in what "make install" installs) and installed
# into that copy. PostgreSQL refuses to run as root: root hands everything to an unprivileged user.
#
# KEEP=1 keeps the folder, SANITIZE=1 builds the library with sanitizers and runs each server so. KILL_CYCLES sets how often the kill loop kills, CASES how many prices are compared, FEEDS how many feeds of stock are told, HISTORIES how many histories of order to cash, PLAYERS in how many processes, FROM which one on (TIMES: how many times as many as usual), SEED with which sequence, WORLD which of its worlds alone, MINUTES how long a soak takes, LIMIT how many seconds a TAP file may take, FIRE_CLIENTS, FIRE_SECONDS and FIRE_REQUESTS how hot the fire of stock is. The last line is "N passed, N failed"; the exit status says the same.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/tools/private_tree.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
umask 022

die() { echo "test/run.sh: $*" >&2; exit 1; }

"$pg_config" --version >/dev/null || die "no $pg_config: run 'make test', which installs it, or set PG_CONFIG"
work=$(mktemp -d "${TMPDIR:-/tmp}/distsync-test.XXXXXX")

# cleanup stops what a broken leg left running, by the process ids in our own folder, and removes the folder.
cleanup()
{
	stop_clusters "$work"
	if [ "${KEEP:-}" = 1 ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

chmod 755 "$work"
"$here/tools/copy_tree.sh" "$work/src"
bindir=$(copy_postgres "$work/pg")
mkdir -p "$work/out" "$work/tmp"

hand_over "$work"
# what a failed test leaves goes with our folder, unless its path is too long for the sockets the tests make below it
temporary=$work/tmp
[ ${#temporary} -le 64 ] || temporary=/tmp
cd "$work/src"
# of the caller's environment only what says how much is played, and which
passed=()
for name in JOBS SANITIZE SEED DAY WORLD WORLDS HISTORY STEPS SHRINK DIFFERENCES CASES FEEDS HISTORIES FROM PLAYERS ACCRUALS CHARGES TIMES MINUTES LIMIT KILL_CYCLES FIRE_CLIENTS FIRE_SECONDS FIRE_REQUESTS; do
	[ -z "${!name:-}" ] || passed+=("$name=${!name}")
done
"${run_as[@]}" env -i PATH="$PATH" LANG=C.UTF-8 HOME="$work" TMPDIR="$temporary" DISTSYNC_WORK="$work" DISTSYNC_BINDIR="$bindir" "${passed[@]}" test/legs.sh "$@" </dev/null
