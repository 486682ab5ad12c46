#!/bin/bash
# fresh_machine.sh [COMMAND...]: proves the README on a machine that has nothing but Debian 12, gcc, make and git.
#
# Makes the machine in .matrix/fresh (a new one each time; KEEP=1 keeps it), clones what is committed here into it and
# runs each command in the clone, as root. Without commands: make quickstart, make quickstart again, make test.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
machine=$here/.matrix/fresh
[ $# -gt 0 ] || set -- "make quickstart" "make quickstart" "make test"
[ "$(id -u)" = 0 ] || { echo "fresh_machine.sh: making a machine needs root" >&2; exit 1; }
"$here/tools/install_deps.sh" matrix

"$here/tools/machine.sh" remove "$machine"
mkdir -p "$here/.matrix"
echo "== debootstrap bookworm"
"$here/tools/machine.sh" make bookworm "$machine" gcc make git
[ "${KEEP:-}" = 1 ] || trap '"$here/tools/machine.sh" remove "$machine"' EXIT
git -c safe.directory='*' clone -q --no-hardlinks "$here" "$machine/root/distsync"

for command in "$@"; do
	printf '\n== %s\n' "$command"
	started=$SECONDS
	"$here/tools/machine.sh" run "$machine" bash -c "cd /root/distsync && $command" </dev/null || { echo "-- '$command' failed"; exit 1; }
	echo "-- $command: $((SECONDS - started)) s"
done
