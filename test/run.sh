#!/bin/bash
# run.sh [LEG[:NAME,NAME]]...: builds distsync as the tests need it and runs all legs, or the named ones.
#
#   regress    pg_regress on its own temporary instance            sql/ expected/
#   isolation  isolation specs                                     test/isolation/
#   pgtap      pgTAP through pg_prove                              test/pgtap/
#   tap        PostgreSQL::Test::Cluster through prove             test/t/
#   property   Python tests                                        test/property/
#
# Nothing of it touches the system: sources and the PostgreSQL installation are copied into a temporary folder, the
# library is built there with its fail-points (DISTSYNC_TEST=1, never in what "make install" installs) and installed
# into that copy. PostgreSQL refuses to run as root: root hands everything to an unprivileged user.
#
# KEEP=1 keeps the folder. The last line is "N passed, N failed"; the exit status says the same.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
pg_config=${PG_CONFIG:-pg_config}
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
umask 022

die() { echo "test/run.sh: $*" >&2; exit 1; }

# common_ancestor prints the deepest folder above all the arguments.
common_ancestor()
{
	local common=$1 dir
	for dir in "$@"; do
		while [ "$dir" != "$common" ] && [ "${dir#"$common"/}" = "$dir" ]; do common=${common%/*}; done
	done
	echo "$common"
}

# copy_postgres copies what pg_config names into $1. The server finds its files relative to its own program, so the
# copy works wherever it stands as long as the folders keep their places to each other.
copy_postgres()
{
	local to=$1 dir root
	local -a dirs
	mapfile -t dirs < <("$pg_config" --bindir --pkglibdir --sharedir --includedir-server --pkgincludedir | sort -u)
	root=$(common_ancestor "${dirs[@]}")
	for dir in "${dirs[@]}"; do
		[ -d "$dir" ] || continue
		[ ! -d "$to${dir#"$root"}" ] || continue
		mkdir -p "$to$(dirname "${dir#"$root"}")"
		cp -a "$dir" "$to${dir#"$root"}"
	done
	dir=$("$pg_config" --bindir)
	echo "$to${dir#"$root"}"
}

# unprivileged_user prints whom to run as: postgres, or where there is none a system user of our own.
unprivileged_user()
{
	if id postgres >/dev/null 2>&1; then echo postgres; return; fi
	id distsync >/dev/null 2>&1 || useradd --system --no-create-home --shell /bin/sh distsync
	echo distsync
}

"$pg_config" --version >/dev/null || die "no $pg_config: run 'make test', which installs it, or set PG_CONFIG"
work=$(mktemp -d "${TMPDIR:-/tmp}/distsync-test.XXXXXX")

# cleanup stops what a broken leg left running, by the process ids in our own folder, and removes the folder.
cleanup()
{
	local pidfile pid
	while read -r pidfile; do
		pid=$(head -1 "$pidfile" 2>/dev/null || true)
		[ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null || true
	done < <(find "$work" -name postmaster.pid 2>/dev/null)
	if [ "${KEEP:-}" = 1 ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

chmod 755 "$work"
"$here/tools/copy_tree.sh" "$work/src"
bindir=$(copy_postgres "$work/pg")
mkdir -p "$work/out" "$work/tmp"

run_as=()
if [ "$(id -u)" = 0 ]; then
	user=$(unprivileged_user)
	chown -R "$user:" "$work"
	run_as=(setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups)
fi
cd "$work/src"
"${run_as[@]}" env -i PATH="$PATH" LANG=C.UTF-8 HOME="$work" TMPDIR=/tmp DISTSYNC_WORK="$work" DISTSYNC_BINDIR="$bindir" \
	${JOBS:+JOBS="$JOBS"} ${SEED:+SEED="$SEED"} test/legs.sh "$@" </dev/null
