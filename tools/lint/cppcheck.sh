#!/bin/bash
# cppcheck finds nothing. The server's headers are not searched: tools/lint/cppcheck.h says what matters of them.
set -uo pipefail
here=$(dirname "$0")
mapfile -t files < <(git -c safe.directory='*' ls-files --cached --others --exclude-standard -- 'src/*.c' | while read -r f; do [ -f "$f" ] && echo "$f"; done)
[ ${#files[@]} -gt 0 ] || exit 0
cppcheck --quiet --error-exitcode=1 --inline-suppr --enable=warning,performance,portability --std=c99 -j 2 \
	--template='{file}:{line}: {message} ({id}), mend it or say beside it why cppcheck is wrong' \
	--suppress=missingInclude --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=preprocessorErrorDirective --suppress=varFuncNullUB --suppress=negativeIndex \
	--include="$here/cppcheck.h" -Isrc "${files[@]}" 2>&1
