#!/bin/bash
# run.sh [GATE]...: runs the gates of this folder, or the named ones, from the top of the checkout.
#
# A gate is one small program: it prints "file:line: what is wrong, how to mend it" for each finding, nothing where
# there is none, and exits with 1 where there is one. Lines that start with "note:" only tell.
set -uo pipefail
cd "$(dirname "$0")/../.."
export PERL5LIB=tools/lint
gates=${*:-$(cd tools/lint && ls *.pl *.sh | grep -v '^run\.sh$')}
passed=0 failed=0
for gate in $gates; do
	file=tools/lint/$gate
	[ -f "$file" ] || file=$(ls tools/lint/"$gate".{pl,sh} 2>/dev/null | head -1)
	[ -n "$file" ] || { echo "no gate '$gate' in tools/lint"; exit 2; }
	case "$file" in *.pl) run=(perl "$file") ;; *) run=(bash "$file") ;; esac
	if "${run[@]}"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "-- gate $(basename "$file") failed"; fi
done
printf 'lint: %d gates, %d failed\n' $((passed + failed)) "$failed"
[ "$failed" = 0 ]
