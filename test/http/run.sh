#!/bin/sh
# run.sh [WRAPPER...]: builds the tests of the HTTP room that need no server, and runs them: the parsers, then the driver
# against partner.py. WRAPPER is put before the driver, for example: run.sh valgrind --leak-check=full -q
set -e
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flags="-std=gnu99 -g -O1 -D_GNU_SOURCE -Wall -Wextra -Wmissing-prototypes -I$top/src"
http=$top/src/http
${CC:-cc} $flags -o "$work/parsers" "$here/parsers.c" "$http/guard.c" "$http/url.c" "$http/header.c" \
	"$http/signature_header.c" -lcurl
${CC:-cc} $flags -o "$work/driver" "$here/driver.c" "$http/guard.c" "$http/url.c" "$http/header.c" "$http/transfer.c" \
	"$http/multi.c" -lcurl -lpthread

cat > "$work/openssl.cnf" <<CNF
[req]
distinguished_name = name
[name]
[v3]
subjectAltName = DNS:localhost
basicConstraints = critical, CA:TRUE
CNF
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -config "$work/openssl.cnf" -extensions v3 \
	-keyout "$work/key.pem" -out "$work/ca.pem" 2>/dev/null
cat "$work/ca.pem" "$work/key.pem" > "$work/partner.pem"

echo "# parsers"
"$work/parsers"
echo "# driver"
"$@" "$work/driver" "$here/partner.py" "$work/partner.pem" "$work/ca.pem"
