# Commands that need a database without connections get it, from any database; workers return when the command fails.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Worker;

my $node = worker_node('main');
$node->start;
my $offset = -s $node->logfile;
with_extension($node, 'books');
workers_run($node, 'books', 'workers run');

# everything below is typed in "postgres", which does not have the extension
my $courier = pid_of($node, 'books', 'courier');
$node->safe_psql('postgres', 'ALTER DATABASE books RENAME TO ledger');
workers_run($node, 'ledger', 'RENAME works at once, workers return under the new name');
isnt(pid_of($node, 'ledger', 'courier'), $courier, 'as new processes');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE ledger');
workers_run($node, 'ledger', 'CREATE DATABASE from a template with workers works, they return');
wait_for_sql($node, 'copy', "SELECT count(*) = 2 FROM distsync_internal.worker_status() WHERE database = 'copy' AND state = 'idle' AND idle_reason LIKE 'copy:%'",
    'the copy has workers that stay silent');

my $directory = $node->basedir . '/space';
mkdir $directory or die "mkdir $directory: $!";
$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '$directory'");
$node->safe_psql('postgres', 'ALTER DATABASE ledger SET TABLESPACE space');
workers_run($node, 'ledger', 'SET TABLESPACE works, workers return');
$node->safe_psql('postgres', 'DROP DATABASE copy');
$node->safe_psql('postgres', 'CREATE DATABASE other TEMPLATE ledger; ');
$node->safe_psql('postgres', 'DROP DATABASE other WITH (FORCE)');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname IN ('copy', 'other')"), '0', 'DROP DATABASE works, with FORCE too');

# a command that fails gives the workers back
my $session = $node->background_psql('ledger', on_error_stop => 1);
my ($rc, $out, $err) = $node->psql('postgres', 'DROP DATABASE ledger');
like($err, qr/is being accessed by other users/, 'DROP DATABASE still fails for a session of somebody else');
like($err, qr/There is 1 other session/, 'and counts that one only');
$session->quit;
workers_run($node, 'ledger', 'workers return after the failure');

# who may not drop may not stop workers either
$courier = pid_of($node, 'ledger', 'courier');
$node->safe_psql('postgres', 'CREATE ROLE passer LOGIN');
($rc, $out, $err) = $node->psql('postgres', 'SET ROLE passer; DROP DATABASE ledger');
like($err, qr/must be owner of database/, 'somebody else may not drop it');
($rc, $out, $err) = $node->psql('postgres', 'BEGIN; DROP DATABASE ledger');
like($err, qr/cannot run inside a transaction block/, 'nor anybody in a transaction block');
is(pid_of($node, 'ledger', 'courier'), $courier, 'and neither stopped the workers');
($rc, $out, $err) = $node->psql('postgres', 'DROP DATABASE nowhere');
like($err, qr/does not exist/, 'an unknown database is the business of the server');

# a worker in the middle of a long statement is interrupted
$node->safe_psql('postgres', 'CREATE DATABASE busy');
with_handlers_in($node, 'busy');
$node->safe_psql('busy', "INSERT INTO distsync_test.knob VALUES ('task', 'sleep 300'); INSERT INTO distsync_test.task DEFAULT VALUES");
wait_for_sql($node, 'postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE datname = 'busy' AND backend_type = 'distsync clerk'", 'the clerk is in a long statement');
$node->safe_psql('postgres', 'DROP DATABASE busy');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = 'busy'"), '0', 'DROP DATABASE does not wait for it');

# many at once
for my $i (1 .. 3) { with_extension($node, "db$i") }
for my $i (1 .. 3) { workers_run($node, "db$i", "workers run in db$i") }
my @sessions = map { $node->background_psql('postgres', on_error_stop => 1) } 1 .. 3;
$sessions[ $_ - 1 ]->query_safe("DROP DATABASE db$_") for 1 .. 3;
$_->quit for @sessions;
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname LIKE 'db_'"), '0', 'several databases go');
is($node->safe_psql('ledger', "SELECT count(*) FROM distsync_internal.worker_status() WHERE database IS NULL AND kind IN ('courier', 'clerk') AND pid IS NOT NULL"), '0',
    'no worker is left without a database');
workers_run($node, 'ledger', 'the last one is untouched');
stopped_cleanly($node, $offset, 'nothing crashed on the way');
$node->stop;

# with_handlers_in is with_handlers for a database that exists.
sub with_handlers_in
{
    my ($server, $db) = @_;
    $server->safe_psql($db, 'CREATE EXTENSION distsync; SELECT distsync.setup()');
    $server->safe_psql($db, slurp_file("$FindBin::RealBin/../worker/handlers.sql"));
}

done_testing();
