#!/bin/bash
# install_deps.sh GROUP...: installs what is missing from the distribution's packages (groups of tools/packages.txt).
#
# Does nothing where all is there, so it needs neither root nor network then. Touches no service and no cluster:
# Debian's server package would create and start a cluster "main", which is turned off for the time of the install.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "install_deps: $*" >&2; }

# installed_version prints the major version of the PostgreSQL in use, nothing where there is none yet.
installed_version()
{
	"${PG_CONFIG:-pg_config}" --version 2>/dev/null | sed -nE 's/^PostgreSQL ([0-9]+).*/\1/p'
}

# wanted prints the packages of the groups for PostgreSQL $1.
wanted()
{
	local version=$1 group
	shift
	for group in "$@"; do
		grep -q "^$group " tools/packages.txt || { say "no group '$group' in tools/packages.txt"; exit 2; }
		awk -v g="$group" '$1 == g { print $2 }' tools/packages.txt
	done | sed "s/@PG@/$version/" | sort -u
}

# missing prints those of the packages that are not installed.
missing()
{
	local p
	for p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
	done
}

# as_root runs a command as root, through sudo where we are not.
as_root()
{
	if [ "$(id -u)" = 0 ]; then "$@"
	elif command -v sudo >/dev/null; then sudo "$@"
	else say "this needs root to install packages: run it as root, or install sudo"; exit 1
	fi
}

[ $# -gt 0 ] || { echo "usage: tools/install_deps.sh build|test|quickstart|lint|matrix ..." >&2; exit 2; }
command -v dpkg-query >/dev/null || { say "this is no Debian: nothing installed, tools/packages.txt says what is needed"; exit 0; }

updated=no
version=$(installed_version || true)
if [ -z "$version" ]; then
	# the distribution's own version; its package lists may not be here yet
	version=$(dpkg-query -W -f '${Depends}' postgresql 2>/dev/null | sed -nE 's/.*postgresql-([0-9]+).*/\1/p' || true)
	if [ -z "$version" ]; then
		as_root apt-get update -qq >&2
		updated=yes
		version=$(apt-cache show postgresql | sed -nE 's/^Depends:.*postgresql-([0-9]+).*/\1/p' | head -1)
	fi
	[ -n "$version" ] || { say "no PostgreSQL among the distribution's packages"; exit 1; }
fi

mapfile -t all < <(wanted "$version" "$@")
mapfile -t todo < <(missing "${all[@]}")
[ ${#todo[@]} -gt 0 ] || exit 0

say "installing ${todo[*]}"
[ $updated = yes ] || as_root apt-get update -qq >&2
no_cluster=/etc/postgresql-common/createcluster.d/distsync-install.conf
cleanup() { as_root rm -f "$no_cluster"; }
trap cleanup EXIT
as_root mkdir -p "${no_cluster%/*}"
echo "create_main_cluster = false" | as_root tee "$no_cluster" >/dev/null
log=$(mktemp)
if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${todo[@]}" >"$log" 2>&1 </dev/null; then
	tail -40 "$log" >&2
	say "the installation failed"
	exit 1
fi
rm -f "$log"
