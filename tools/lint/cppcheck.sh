#!/bin/bash
# cppcheck finds nothing. What it cannot know of the server's headers is left out: they are not searched.
set -uo pipefail
mapfile -t files < <(git -c safe.directory='*' ls-files --cached --others --exclude-standard -- 'src/*.c' | while read -r f; do [ -f "$f" ] && echo "$f"; done)
[ ${#files[@]} -gt 0 ] || exit 0
cppcheck --quiet --error-exitcode=1 --inline-suppr --enable=warning,performance,portability --std=c99 -j 2 \
	--template='{file}:{line}: {message} ({id}), mend it or say beside it why cppcheck is wrong' \
	--suppress=missingInclude --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=preprocessorErrorDirective --suppress=varFuncNullUB \
	-Isrc -DPG_VERSION_NUM=150000 -DPGDLLEXPORT= -D'PG_FUNCTION_ARGS=void *fcinfo' -D'DS_FUNCTION_INFO_V1(x)=extern int x##_dummy' \
	-D'pg_attribute_printf(a,b)=' -D'pg_attribute_noreturn()=' "${files[@]}" 2>&1
