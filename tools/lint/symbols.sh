#!/bin/bash
# The library as it is shipped compiles without a warning, exports only what PostgreSQL (also: the main
# functions of background workers) and SQL call, holds no fail-point, and every function of a room that other files see
# begins with ds_<room>_.
set -uo pipefail
top=$PWD
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
"$top/tools/copy_tree.sh" "$build" || exit 1
cd "$build" || exit 1
if ! make -s -j2 PG_CONFIG="${PG_CONFIG:-pg_config}" WERROR=1 all >build.log 2>&1; then
	grep -E 'warning|error' build.log || cat build.log
	echo "Makefile:1: the library does not build without warnings, mend them"
	exit 1
fi
status=0
while read -r symbol; do
	echo "Makefile:1: distsync.so exports $symbol, make it static or declare it in a header (only DS_FUNCTION_INFO_V1 exports)"
	status=1
done < <(nm -D --defined-only distsync.so | awk '{ print $NF }' |
	grep -vE '^(Pg_magic_func|_PG_init|(pg_finfo_)?ds_sql_[a-z0-9_]+|ds_worker_(launcher|probe|courier|clerk)_main|_init|_fini|_edata|_end|__bss_start)$')
if strings distsync.so | grep -qi failpoint; then
	echo "Makefile:1: distsync.so holds fail-points without DISTSYNC_TEST, put them behind #ifdef DISTSYNC_TEST"
	status=1
fi
for object in $(find src -mindepth 2 -name '*.o'); do
	room=$(echo "$object" | cut -d/ -f2)
	prefix="ds_${room}_"
	[ "$room" != base ] || prefix=ds_
	while read -r symbol; do
		echo "${object%.o}.c:1: $symbol is seen by other files, make it static or call it ${prefix}..."
		status=1
	done < <(nm --defined-only --extern-only "$object" | awk '{ print $NF }' | grep -vE "^(${prefix}[a-z0-9_]+|(pg_finfo_)?ds_sql_[a-z0-9_]+|ds_guc_[a-z0-9_]+)$")
done
exit $status
