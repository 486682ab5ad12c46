#!/bin/bash
# C is laid out as .clang-format says.
set -uo pipefail
mapfile -t files < <(git -c safe.directory='*' ls-files --cached --others --exclude-standard -- 'src/*.c' 'src/*.h' 'test/*.c' 'test/*.h' 'bench/*.c' 'bench/*.h' | while read -r f; do [ -f "$f" ] && echo "$f"; done)
[ ${#files[@]} -gt 0 ] || exit 0
bad=$(clang-format-14 --style=file --dry-run --ferror-limit=1 "${files[@]}" 2>&1 | sed -nE 's/^([^:]+:[0-9]+):[0-9]+: (warning|error):.*/\1/p' | sort -t: -k1,1 -u)
[ -n "$bad" ] || exit 0
echo "$bad" | while IFS=: read -r f l; do echo "$f:$l: layout differs from .clang-format, run clang-format-14 -i $f"; done
exit 1
