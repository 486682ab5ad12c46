#!/bin/bash
# run.sh: what "make quickstart" does. Installs what is missing from the distribution's packages, builds and installs distsync, and plays
# a distributor's day on a private cluster in .quickstart/ (day.py). As root or with sudo; PostgreSQL itself never runs as root.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD
export PG_CONFIG=${PG_CONFIG:-pg_config}
. tools/private_tree.sh

step() { printf '\033[1m%s\033[0m\n' "$*"; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

began=$(date +%s)
tools/install_deps.sh build quickstart
examples/quickstart/stop.sh quiet
step "building"
log=$(mktemp)
if ! { make -s -j"$(nproc)" all && as_root make -s install PG_CONFIG="$PG_CONFIG"; } >"$log" 2>&1; then
	tail -30 "$log"
	exit 1
fi
rm -f "$log"

# The folder is in the checkout. Where the unprivileged user cannot reach the checkout, or its path is too long for the name
# of a socket (107 bytes), it stands elsewhere and is linked.
folder=$here/.quickstart
leave_root
if [ ${#folder} -gt 80 ] || ! "${run_as[@]}" test -x "$here"; then
	folder=$(mktemp -d /var/tmp/distsync-quickstart.XXXXXX)
	ln -sfn "$folder" "$here/.quickstart"
fi
mkdir -p "$folder"
cp -r examples "$folder/"
hand_over "$folder"
cd "$folder"
"${run_as[@]}" env -i PATH="$("$PG_CONFIG" --bindir):/usr/bin:/bin" LANG=C.UTF-8 HOME="$folder" BEGAN="$began" \
	TERM="${TERM:-dumb}" /usr/bin/python3 -B examples/quickstart/day.py "$folder"
