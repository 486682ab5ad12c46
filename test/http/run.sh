#!/bin/sh
# run.sh parsers|driver [WRAPPER...]: builds a test of the HTTP room that needs no server, and runs it: the tables of the
# parsers, or the driver against partner.py. WRAPPER is put before it: run.sh driver valgrind -q --leak-check=full
set -e
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
http=$top/src/http
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

which=$1
shift
flags="-std=gnu99 -g -O1 -D_GNU_SOURCE -Wall -Wextra -Wmissing-prototypes -I$top/src"
pure="$http/guard.c $http/url.c $http/header.c"

case "$which" in
	parsers)
		# shellcheck disable=SC2086
		${CC:-cc} $flags -o "$work/parsers" "$here/parsers.c" $pure "$http/signature_header.c" -lcurl
		"$@" "$work/parsers"
		;;
	driver)
		# shellcheck disable=SC2086
		${CC:-cc} $flags -o "$work/driver" "$here/driver.c" $pure "$http/transfer.c" "$http/multi.c" -lcurl -lpthread
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "subjectAltName = DNS:localhost" \
			-keyout "$work/key.pem" -out "$work/ca.pem" 2>/dev/null
		cat "$work/ca.pem" "$work/key.pem" > "$work/partner.pem"
		"$@" "$work/driver" "$here/partner.py" "$work/partner.pem" "$work/ca.pem"
		;;
	*)
		echo "usage: run.sh parsers|driver [WRAPPER...]" >&2
		exit 2
		;;
esac
