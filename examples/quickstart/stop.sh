#!/bin/bash
# stop.sh [quiet]: what "make quickstart-stop" does: ends the programs and the cluster of .quickstart/ by their process ids, removes it.
set -euo pipefail
cd "$(dirname "$0")/../.."
link=.quickstart
[ -e "$link" ] || [ -L "$link" ] || exit 0
folder=$(readlink -f "$link")
# Another user's folder, root's for example, is cleared with root's rights; only those see into its data directory.
[ ! -e "$folder" ] || [ "$(id -u)" = 0 ] || [ -O "$folder" ] || exec sudo "$0" "$@"

# alive tells whether process $1 is one of ours: its command line names the folder or its data directory
alive() { [ -r "/proc/$1/cmdline" ] && tr '\0' ' ' < "/proc/$1/cmdline" | grep -qF -e "$folder" -e "examples/partners"; }

pids=()
[ ! -f "$folder/pids" ] || mapfile -t pids < "$folder/pids"
for pid in "${pids[@]}"; do
	if alive "$pid"; then kill "$pid" 2>/dev/null || true; fi
done
postmaster=$(head -1 "$folder/data/postmaster.pid" 2>/dev/null || true)
if [ -n "$postmaster" ] && alive "$postmaster"; then
	kill -INT "$postmaster"
	for _ in $(seq 100); do alive "$postmaster" || break; sleep 0.1; done
	! alive "$postmaster" || kill -QUIT "$postmaster"
fi
rm -rf "$folder"
rm -rf "$link"
[ "${1:-}" = quiet ] || echo "the quickstart is gone"
