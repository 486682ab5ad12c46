# What the parsers of the HTTP room must say: Retry-After, header lines, signature headers (test/http/parsers.c speaks TAP).
use strict;
use warnings;
use FindBin;

exec "$FindBin::Bin/../http/run.sh", 'parsers' or die "cannot run test/http/run.sh: $!\n";
