# The HTTP driver against a partner that misbehaves, without a server (test/http/driver.c speaks TAP).
use strict;
use warnings;
use FindBin;

exec "$FindBin::Bin/../http/run.sh", 'driver' or die "cannot run test/http/run.sh: $!\n";
