#!/bin/bash
# copy_tree.sh FOLDER: copies the sources of this checkout, committed or not but nothing that is ignored, into FOLDER.
#
# Tests and lint build there: the checkout stays as it is, and an unprivileged user can read the copy where it could
# not read the checkout.
set -euo pipefail
target=$1
cd "$(dirname "$0")/.."
mkdir -p "$target"
if git -c safe.directory='*' rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
		perl -0ne 'chomp; print "$_\0" if -e || -l' | tar -cf - --null --no-recursion -T - | tar -xf - -C "$target"
else
	tar -cf - --exclude='*.o' --exclude='*.so' --exclude='*.bc' --exclude=./.git --exclude=./.matrix --exclude=./.quickstart . | tar -xf - -C "$target"
fi
