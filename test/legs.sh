#!/bin/bash
# legs.sh [LEG[:NAME,NAME]]...: called by run.sh as the unprivileged user, in the copy of the sources.
#
# Every leg adds what it counted to $passed, $failed and $skipped and shows what is useful of its logs where it failed.
set -uo pipefail
work=$DISTSYNC_WORK bin=$DISTSYNC_BINDIR src=$PWD out=$DISTSYNC_WORK/out
export PATH="$bin:$PATH" PG_CONFIG="$bin/pg_config"
pgxs_test=$(dirname "$("$PG_CONFIG" --pgxs)")/../../src/test
export DISTSYNC_COUNTS="$work/counts"
passed=0 failed=0 skipped=0
all_legs="regress isolation pgtap tap property"
unset names cluster_up

title() { printf '\n== %s\n' "$*"; }

# count adds passed, failed and skipped tests to the sum.
count() { passed=$((passed + $1)); failed=$((failed + $2)); skipped=$((skipped + ${3:-0})); }

# count_file adds what DistSync::Counts wrote; a runner that wrote nothing has failed.
count_file()
{
	local p f s
	if read -r p f s < "$DISTSYNC_COUNTS" 2>/dev/null; then count "$p" "$f" "$s"; else echo "$1: the runner did not finish"; count 0 1; fi
	rm -f "$DISTSYNC_COUNTS"
}

# show_tail prints the end of a log under its name.
show_tail()
{
	[ -s "$2" ] || return 0
	printf -- '---- end of %s\n' "${2#"$work"/}"
	tail -n "$1" "$2"
}

# check_crash counts a server that crashed or failed an assertion during a leg as a failed test.
check_crash()
{
	if grep -HnE 'PANIC: |TRAP: |was terminated by signal' "$1"; then
		echo "the server crashed"
		show_tail 60 "$1"
		count 0 1
	fi
}

# regress_result reads the closing line of pg_regress and pg_isolation_regress, of 15 and of 16 and later.
regress_result()
{
	local log=$1 differences=$2 line
	line=$(grep -E '^(#| )+(All )?[0-9]+ (of [0-9]+ )?tests (passed|failed)' "$log" | tail -1 | tr -d '#')
	case "$line" in
		*All*) count "$(echo "$line" | grep -oE '[0-9]+' | head -1)" 0 ;;
		*of*)
			read -r bad _ total _ <<< "$line"
			count $((total - bad)) "$bad"
			[ ! -f "$differences" ] || head -n 400 "$differences"
			;;
		*) echo "the tests could not be run"; show_tail 40 "$log"; count 0 1 ;;
	esac
}

# make_list prints the words of a list of the Makefile.
make_list() { make -s --no-print-directory "print-$1"; }

# chosen prints the names of a leg: those asked for, else those of the list.
chosen() { if [ -n "${names:-}" ]; then echo "${names//,/ }"; else echo "$*"; fi; }

# files prints the files of a leg in order: $1 folder, $2 suffix.
files()
{
	local n
	if [ -n "${names:-}" ]; then for n in ${names//,/ }; do echo "$1/${n%"$2"}$2"; done
	else find "$1" -maxdepth 1 -name "*$2" 2>/dev/null | sort
	fi
}

# start_cluster starts the cluster that isolation, pgtap and property share, once.
start_cluster()
{
	[ -z "${cluster_up:-}" ] || return 0
	local data=$out/cluster/data
	mkdir -p "$out/cluster"
	initdb -D "$data" -A trust -E UTF8 --no-locale --no-sync >"$out/cluster/initdb.log" 2>&1 || { show_tail 40 "$out/cluster/initdb.log"; return 1; }
	{
		cat test/regress.conf
		echo "cron.database_name = 'distsync_pgtap'"
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$work/tmp'"
	} >> "$data/postgresql.conf"
	# a clock that a session of a test moves (helpers/clock.c)
	export DISTSYNC_CLOCK=$work/clock.so
	"${CC:-cc}" -O2 -fPIC -shared -I"$("$PG_CONFIG" --includedir-server)" -o "$DISTSYNC_CLOCK" test/helpers/clock.c || return 1
	LD_PRELOAD="${LD_PRELOAD:+$LD_PRELOAD:}$DISTSYNC_CLOCK" pg_ctl -D "$data" -l "$out/cluster/server.log" -w start >/dev/null || { show_tail 40 "$out/cluster/server.log"; return 1; }
	cluster_up=yes
	export PGHOST="$work/tmp" PGUSER PGDATABASE=postgres
	PGUSER=$(id -un)
}

stop_cluster()
{
	[ -n "${cluster_up:-}" ] || return 0
	pg_ctl -D "$out/cluster/data" -m fast -w stop >/dev/null || { echo "the cluster did not stop"; count 0 1; }
	unset cluster_up PGHOST PGUSER PGDATABASE
	check_crash "$out/cluster/server.log"
}

# fresh_database makes a database with distsync set up: $1 name, then more extensions.
fresh_database()
{
	local db=$1 extension
	shift
	start_cluster || return 1
	psql -XqAt -v ON_ERROR_STOP=1 -c "SET client_min_messages = warning" -c "DROP DATABASE IF EXISTS $db WITH (FORCE)" -c "CREATE DATABASE $db TEMPLATE template0" || return 1
	for extension in "$@" distsync; do
		psql -XqAt -v ON_ERROR_STOP=1 -d "$db" -c "SET client_min_messages = warning" -c "CREATE EXTENSION $extension CASCADE" || return 1
	done
	psql -XqAt -v ON_ERROR_STOP=1 -d "$db" -c "SET client_min_messages = warning" -c "SELECT distsync.setup()" >/dev/null
}

leg_regress()
{
	local list
	list=$(chosen "$(make_list REGRESS)")
	[ -n "$list" ] || { echo "none"; return; }
	mkdir -p "$out/regress"
	# shellcheck disable=SC2086
	timeout -k 30 600 "$pgxs_test/regress/pg_regress" --bindir="$bin" --inputdir="$src" --outputdir="$out/regress" \
		--temp-instance="$out/regress/instance" --temp-config="$src/test/regress.conf" --encoding=UTF8 --no-locale \
		--dbname=contrib_regression $list 2>&1 | tee "$out/regress/run.log"
	regress_result "$out/regress/run.log" "$out/regress/regression.diffs"
	[ ! -f "$out/regress/log/postmaster.log" ] || check_crash "$out/regress/log/postmaster.log"
}

leg_isolation()
{
	local list
	list=$(chosen "$(make_list ISOLATION)")
	[ -n "$list" ] || { echo "none"; return; }
	fresh_database distsync_isolation || { count 0 1; return; }
	mkdir -p "$out/isolation"
	# shellcheck disable=SC2086
	timeout -k 30 600 "$pgxs_test/isolation/pg_isolation_regress" --bindir="$bin" --inputdir="$src/test/isolation" \
		--outputdir="$out/isolation" --use-existing --host="$PGHOST" --user="$PGUSER" --dbname=distsync_isolation $list 2>&1 | tee "$out/isolation/run.log"
	regress_result "$out/isolation/run.log" "$out/isolation/regression.diffs"
}

leg_pgtap()
{
	local list
	mapfile -t list < <(files test/pgtap .sql)
	[ ${#list[@]} -gt 0 ] || { echo "none"; return; }
	fresh_database distsync_pgtap pgtap pg_cron || { count 0 1; return; }
	# pgTAP counts in temporary tables and changes nothing that stays: each file opens a transaction and rolls it back
	PERL5LIB=test/perl timeout -k 30 600 pg_prove --norc --nocolor --nocount --failures --comments --formatter DistSync::Counts -d distsync_pgtap "${list[@]}" 2>&1
	count_file pgtap
}

leg_tap()
{
	local list log="$out/tap/run.log" name
	mapfile -t list < <(files test/t .pl)
	[ ${#list[@]} -gt 0 ] || { echo "none"; return; }
	mkdir -p "$out/tap"
	(
		export PERL5LIB="$src/test/perl:$pgxs_test/perl" PG_REGRESS="$pgxs_test/regress/pg_regress" REGRESS_SHLIB=
		export TESTDIR="$out/tap" TESTDATADIR="$out/tap/tmp_check" TESTLOGDIR="$out/tap/tmp_check/log"
		timeout -k 60 "${LIMIT:-2400}" prove --norc --nocolor --nocount --timer --failures --exec "timeout -k 30 ${LIMIT:-900} perl" -j "${JOBS:-2}" --formatter DistSync::Counts "${list[@]}" 2>&1
	) | tee "$log"
	count_file tap
	for name in $(sed -nE 's/^(\S+)\.pl +\(Wstat.*/\1/p' "$log" | sort -u); do
		name=$(basename "$name")
		show_tail 80 "$out/tap/tmp_check/log/regress_log_$name"
		for server in "$out/tap/tmp_check/log/$name"_*.log; do show_tail 60 "$server"; done
	done
}

leg_property()
{
	local list log="$out/property.log" ran bad
	mapfile -t list < <(files test/property .py | grep '/test_')
	[ ${#list[@]} -gt 0 ] || { echo "none"; return; }
	fresh_database distsync_property || { count 0 1; return; }
	(
		# the gate plays the same sequence each time, so that it fails for what has changed; new ones are for soaks
		export PGDATABASE=distsync_property SEED="${SEED:-20261126}"
		cd test/property || exit 1
		mapfile -t list < <(basename -s .py -a "${list[@]}")
		timeout -k 30 "${LIMIT:-1500}" python3 -m unittest -v "${list[@]}" 2>&1
	) | tee "$log"
	ran=$(sed -nE 's/^Ran ([0-9]+) tests?.*/\1/p' "$log" | tail -1)
	bad=$(sed -nE '/^FAILED/ { s/[^0-9]+/ /g; p }' "$log" | tail -1 | awk '{ for (i = 1; i <= NF; i++) n += $i; print n + 0 }')
	if [ -z "$ran" ] || [ "$ran" = 0 ]; then echo "no property test ran"; count 0 1; else count $((ran - ${bad:-0})) "${bad:-0}"; fi
}

# sanitize_servers makes each server of our copy of PostgreSQL load the sanitizers before everything else. asan_start.c says why it needs help.
sanitize_servers()
{
	local first="" library
	gcc -shared -fPIC -o "$work/asan_start.so" test/helpers/asan_start.c || return 1
	for library in libasan.so libubsan.so; do first="$first$(realpath "$(gcc -print-file-name=$library)"):"; done
	mv "$bin/postgres" "$bin/postgres.real"
	cat >"$bin/postgres" <<-END
		#!/bin/bash
		export LD_PRELOAD="$first$work/asan_start.so\${LD_PRELOAD:+:\$LD_PRELOAD}"
		export ASAN_OPTIONS="detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1:log_path=$out/sanitizer"
		export UBSAN_OPTIONS="print_stacktrace=1:log_path=$out/sanitizer"
		exec -a "\$0" "$bin/postgres.real" "\$@"
	END
	chmod 755 "$bin/postgres"
}

# check_sanitizer counts what the sanitizers found as a failed test.
check_sanitizer()
{
	local found
	for found in "$out"/sanitizer.*; do
		[ -f "$found" ] || continue
		show_tail 60 "$found"
		count 0 1
	done
}

# leg_soak runs the property tests one after the other, each with a seed that none had before and TIMES as much as usual, until MINUTES are over. Each round has a database of its own.
leg_soak()
{
	local list name log="$out/soak.log" round=0 seed ends=$((SECONDS + ${MINUTES:-60} * 60)) rc
	mapfile -t list < <(files test/property .py | grep '/test_')
	[ ${#list[@]} -gt 0 ] || { echo "none"; return; }
	while [ "$SECONDS" -lt "$ends" ]; do
		fresh_database distsync_property || { count 0 1; return; }
		for name in $(basename -s .py -a "${list[@]}"); do
			[ "$SECONDS" -lt "$ends" ] || break
			seed=$((${SEED:-$(date +%s)} + round))
			rc=0
			(
				export PGDATABASE=distsync_property SEED=$seed TIMES="${TIMES:-5}"
				cd test/property && exec timeout -k 30 $((ends - SECONDS)) python3 -m unittest -v "$name"
			) >"$log" 2>&1 || rc=$?
			case $rc in
				0) count 1 0; echo "$name SEED=$seed: $(grep -E '^Ran ' "$log")" ;;
				124) echo "$name SEED=$seed: the time was over" ;;
				*) count 0 1; echo "$name SEED=$seed: failed"; show_tail 200 "$log" ;;
			esac
		done
		round=$((round + 1))
	done
}

title "build"
flags=(WERROR=1 DISTSYNC_TEST=1)
[ -z "${SANITIZE:-}" ] || flags=(DISTSYNC_TEST=1 with_llvm=no COPT="-O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize=alignment")
if ! { make -s -j2 "${flags[@]}" all && make -s "${flags[@]}" install && { [ -z "${SANITIZE:-}" ] || sanitize_servers; }; } >"$out/build.log" 2>&1; then
	cat "$out/build.log"
	echo "the build failed"
	printf '\n%d passed, %d failed\n' 0 1
	exit 1
fi
"$PG_CONFIG" --version

for selector in ${*:-$all_legs}; do
	leg=${selector%%:*}
	names=${selector#"$leg"}
	names=${names#:}
	case " $all_legs soak " in *" $leg "*) ;; *) echo "no leg '$leg': one of $all_legs soak"; exit 2 ;; esac
	title "$leg ${names:-}"
	started=$SECONDS
	before=$((passed + failed))
	"leg_$leg"
	[ -z "${names:-}" ] || [ $((passed + failed)) -gt "$before" ] || { echo "nothing ran"; count 0 1; }
	echo "-- $leg: $((SECONDS - started)) s"
done
stop_cluster
check_sanitizer

[ "$skipped" = 0 ] || printf '\n%d skipped\n' "$skipped"
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
