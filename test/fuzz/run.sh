#!/bin/bash
# run.sh [SECONDS [TARGET...]]: fuzzes each target of this folder for so many seconds (default 20), with AddressSanitizer
# and UndefinedBehaviorSanitizer. A target NAME is NAME.c, its seeds the lines of NAME.seeds, the sources it needs stand
# below. A crash leaves its input in the folder "crash" and ends the run with 1. Tokens are read in SQL: test/property/test_tokens.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
clang=${CLANG:-clang-14}
seconds=${1:-20}
shift || true
targets=${*:-http door scan filter page stock}
work=$(mktemp -d)
config=${PG_CONFIG:-pg_config}
# the server's headers, and of its libraries what needs no server; -w: clang stumbles over their format attributes
server="-w -I$("$config" --includedir-server) -I$top/test/fuzz $("$config" --pkglibdir)/libpgcommon.a $("$config" --pkglibdir)/libpgport.a"
trap 'rm -rf "$work"' EXIT

# sources_of prints what is linked to a target.
sources_of()
{
	case "$1" in
		http) echo "$top"/src/http/{guard,url,header,signature_header}.c -lcurl ;;
		door) echo "$here/server.c $top/src/door/value.c $server" ;;
		filter) echo "$here/server.c $top/src/pricing/filter.c $server" ;;
		page) echo "$here/server.c" "$top"/src/pricing/{page_read,pack,store,filter}.c "$server" ;;
		scan) echo "$here/server.c $server" ;;
		stock) echo "$here/server.c $server" ;;
		*) echo "no target '$1'" >&2; exit 2 ;;
	esac
}

for target in $targets; do
	flags="-std=gnu99 -g -O1 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I$top/src"
	# shellcheck disable=SC2046,SC2086
	"$clang" $flags -c -o "$work/$target.o" "$here/$target.c" $(printf '%s\n' $server | grep -v '\.a$')
	# what only reads tables, or types of the server, is not linked: who comes there crashes
	[ "$target" != stock ] || objcopy --weaken "$work/$target.o"
	# shellcheck disable=SC2046,SC2086
	"$clang" $flags -o "$work/$target" "$work/$target.o" $(sources_of "$target")
	mkdir -p "$work/corpus.$target" "$here/crash"
	n=0
	while IFS= read -r line; do
		n=$((n + 1))
		printf '%b' "$line" > "$work/corpus.$target/$n"
	done < "$here/$target.seeds"
	echo "== $target: $n seeds, $seconds s"
	"$work/$target" -max_total_time="$seconds" -max_len=4200 -timeout=5 -rss_limit_mb=512 -print_final_stats=1 \
		-artifact_prefix="$here/crash/$target-" "$work/corpus.$target" >"$work/log" 2>&1 && rc=0 || rc=1
	if [ "$rc" = 0 ]; then grep '^stat::number' "$work/log"; else cat "$work/log"; exit 1; fi
done
rmdir "$here/crash" 2>/dev/null || true
