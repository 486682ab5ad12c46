#!/bin/bash
# matrix.sh [MAJOR...]: builds and tests distsync on PostgreSQL 15, 17 and 18, or the named ones.
#
# Each is the package of the Debian release that ships it, on a machine of its own below .matrix/, which stays for the
# next time ("make matrix-clean" removes them). T= chooses legs as in make test. Needs root.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
[ "$(id -u)" = 0 ] || { echo "matrix.sh: making a machine needs root" >&2; exit 1; }
"$here/tools/install_deps.sh" matrix || exit 1

# suite_of prints the Debian release that ships PostgreSQL $1.
suite_of()
{
	case "$1" in
		15) echo bookworm ;;
		17) echo trixie ;;
		18) echo forky ;;
		*) echo "matrix.sh: no Debian release is known here for PostgreSQL $1" >&2; return 1 ;;
	esac
}

# on_version makes the machine of a version where it is not there yet, and runs the tests on what is in this checkout.
on_version()
{
	local version=$1 suite machine
	suite=$(suite_of "$version") || return 1
	machine=$here/.matrix/pg$version
	mkdir -p "$here/.matrix"
	"$here/tools/machine.sh" make "$suite" "$machine" gcc make git || return 1
	rm -rf "$machine/root/distsync"
	"$here/tools/copy_tree.sh" "$machine/root/distsync" || return 1
	# shellcheck disable=SC2016
	"$here/tools/machine.sh" run "$machine" bash -c 'cd /root/distsync && make test T="$1"' matrix "${T:-}" </dev/null
}

mkdir -p "$here/.matrix"
summary="" status=0
for version in ${*:-15 17 18}; do
	printf '\n==== PostgreSQL %s\n' "$version"
	if on_version "$version" 2>&1 | tee "$here/.matrix/run.log"; then result=passed; else result=FAILED status=1; fi
	summary+=$(printf 'PostgreSQL %s: %s, %s' "$version" "$result" "$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$here/.matrix/run.log" | tail -1)")$'\n'
done
rm -f "$here/.matrix/run.log"
printf '\n%s' "$summary"
exit $status
