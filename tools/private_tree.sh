# private_tree.sh, to be sourced: a PostgreSQL of one's own without touching the system.
#
# Tests and benchmarks build and install into a copy of the PostgreSQL installation that $PG_CONFIG names.
pg_config=${PG_CONFIG:-pg_config}

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

# leave_root sets run_as to what runs a command as the unprivileged user; to nothing where we are not root.
leave_root()
{
	run_as=()
	[ "$(id -u)" = 0 ] || return 0
	run_user=$(unprivileged_user)
	run_as=(setpriv --reuid="$run_user" --regid="$(id -g "$run_user")" --init-groups)
}

# hand_over gives folder $1 to the unprivileged user, where we are root, and leaves root.
hand_over()
{
	leave_root
	[ ${#run_as[@]} = 0 ] || chown -R "$run_user:" "$1"
}

# stop_clusters stops what still runs of the clusters below $1, by the process ids in their own folders.
stop_clusters()
{
	local pidfile pid
	while read -r pidfile; do
		pid=$(head -1 "$pidfile" 2>/dev/null || true)
		[ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null || true
	done < <(find "$1" -name postmaster.pid 2>/dev/null)
}
