#!/bin/bash
# The lists of the Makefile are complete: every source is built, every test runs, nothing listed is missing.
set -uo pipefail
status=0
complain() { echo "$1:1: $2"; status=1; }
listed() { make -s --no-print-directory PG_CONFIG="${PG_CONFIG:-pg_config}" "print-$1"; }
sources() { git -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@" 2>/dev/null | while read -r f; do [ -f "$f" ] && echo "$f"; done; }

objects=" $(listed OBJS) "
parts=" $(listed SQL_PARTS) "
for f in $(sources 'src/*.c'); do
	case $f in src/gateway/*) continue ;; esac
	[[ $objects == *" ${f%.c}.o "* ]] || grep -q "DISTSYNC_TEST" "$f" || complain "$f" "not in OBJS of the Makefile, add it to its room's line"
done
for f in $(sources 'src/*.sql'); do
	[[ $parts == *" $f "* ]] || complain "$f" "not in SQL_PARTS of the Makefile, add it to its room's line"
done
for f in $parts; do [ -f "$f" ] || complain Makefile "$f is listed and does not exist"; done

tests=" $(listed REGRESS) "
for f in $(sources 'sql/*.sql'); do
	name=$(basename "$f" .sql)
	[[ $tests == *" $name "* ]] || complain "$f" "not in REGRESS of the Makefile, so it never runs"
done
for name in $tests; do
	for f in "sql/$name.sql" "expected/$name.out"; do [ -f "$f" ] || complain Makefile "REGRESS lists $name, $f does not exist"; done
done
for f in $(sources 'expected/*.out'); do
	grep -q '^CONTEXT:' "$f" && complain "$f" "says CONTEXT, which names functions of other rooms and differs between servers: begin sql/$(basename "$f" .out).sql with \\set SHOW_CONTEXT never"
done
specs=" $(listed ISOLATION) "
for f in $(sources 'test/isolation/specs/*.spec'); do
	name=$(basename "$f" .spec)
	[[ $specs == *" $name "* ]] || complain "$f" "not in ISOLATION of the Makefile, so it never runs"
done
for name in $specs; do
	for f in "test/isolation/specs/$name.spec" "test/isolation/expected/$name.out"; do [ -f "$f" ] || complain Makefile "ISOLATION lists $name, $f does not exist"; done
done
exit $status
