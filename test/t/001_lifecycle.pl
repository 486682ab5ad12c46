# Workers come with the extension and go with it; they survive restarts, crashes and each other, and say what they do.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Worker;

my $node = worker_node('main', 'distsync.databases' => '');
$node->start;

# nothing without the extension, once the launcher's probes have looked
wait_for_sql($node, 'postgres', "SELECT string_agg(backend_type, ',' ORDER BY backend_type) = 'distsync launcher' FROM pg_stat_activity WHERE backend_type LIKE 'distsync%'",
    'only the launcher runs while no database has the extension');

# CREATE EXTENSION starts them although the fallback poll is an hour away
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION distsync');
workers_run($node, 'one', 'workers start at CREATE EXTENSION and idle before setup()', 'idle');
is(status_of($node, 'one', 'courier', 'idle_reason'), 'not set up', 'the courier says why it idles');
$node->safe_psql('one', 'SELECT distsync.setup()');
workers_run($node, 'one', 'setup() sets them to work');
# one that has just begun is still at work
wait_for_sql($node, 'one', "SELECT string_agg(backend_type || '/' || application_name || '/' || state, ', ' ORDER BY backend_type) = 'distsync clerk/distsync clerk/idle, distsync courier/distsync courier/idle'
    FROM pg_stat_activity WHERE datname = 'one' AND backend_type LIKE 'distsync%'", 'they are visible in pg_stat_activity, outside transactions');
is(status_of($node, 'one', 'launcher', 'state'), 'active', 'the launcher reports itself');
isnt(status_of($node, 'one', 'clerk', 'last_loop_at'), '', 'a worker has a heartbeat');

# a rolled back CREATE EXTENSION starts nothing, a second database gets its own
$node->safe_psql('postgres', 'CREATE DATABASE two');
$node->safe_psql('two', 'BEGIN; CREATE EXTENSION distsync; ROLLBACK');
with_extension($node, 'three');
workers_run($node, 'three', 'a second database gets workers of its own');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'two' AND backend_type LIKE 'distsync%'"), '0',
    'a rolled back CREATE EXTENSION starts none');

# pause, resume, an instance that is another one
$node->safe_psql('one', "SELECT distsync.pause('stock count'); SELECT distsync_internal.worker_wake('both')");
workers_run($node, 'one', 'pause() makes them idle', 'idle');
is(status_of($node, 'one', 'clerk', 'idle_reason'), 'paused: stock count', 'with the reason of the pause');
$node->safe_psql('one', 'SELECT distsync.resume()');
workers_run($node, 'one', 'resume() wakes them');
$node->append_conf('postgresql.conf', "distsync.instance = 'elsewhere'");
$node->reload;
workers_run($node, 'one', 'a reload reaches them: another instance name stops them', 'idle');
like(status_of($node, 'one', 'courier', 'idle_reason'), qr/elsewhere/, 'they name the instance that the server is now');
$node->append_conf('postgresql.conf', "distsync.instance = 'lab'");
$node->reload;
workers_run($node, 'one', 'and the right name starts them again');

# restart: everything comes back without anybody
$node->restart;
workers_run($node, 'one', 'after a restart workers of the first database are back');
workers_run($node, 'three', 'after a restart workers of the second database are back');

# a worker that is terminated comes back, the others stay
my $courier = pid_of($node, 'one', 'courier');
my $clerk = pid_of($node, 'one', 'clerk');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($courier)");
wait_for_sql($node, 'postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'one' AND backend_type = 'distsync courier' AND pid <> $courier", 'a terminated courier comes back');
is(pid_of($node, 'one', 'clerk'), $clerk, 'the clerk stayed');
workers_run($node, 'one', 'both work');
is(status_of($node, 'one', 'courier', 'restarts'), '1', 'the restart is counted');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($clerk)");
$node->safe_psql('one', "SELECT distsync_internal.worker_wake('both')");
workers_run($node, 'one', 'a cancel request does not end an idle worker');
is(pid_of($node, 'one', 'clerk'), $clerk, 'it is the same process');

# the launcher comes back and finds the workers of the former one
my $launcher = pid_of($node, undef, 'launcher');
$courier = pid_of($node, 'one', 'courier');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
wait_for_sql($node, 'postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'distsync launcher' AND pid <> $launcher", 'a terminated launcher comes back');
wait_for_sql($node, 'one', "SELECT loops > 0 AND state = 'active' FROM distsync_internal.worker_status() WHERE kind = 'launcher'", 'it runs');
is(pid_of($node, 'one', 'courier'), $courier, 'it adopts the courier of the former launcher');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($courier)");
wait_for_sql($node, 'postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'one' AND backend_type = 'distsync courier' AND pid <> $courier", 'and replaces it when it dies');

# kill -9 of a worker is a crash of the server
$courier = pid_of($node, 'one', 'courier');
my $offset = -s $node->logfile;
kill 'KILL', $courier;
$node->poll_query_until('postgres', "SELECT pg_postmaster_start_time() IS NOT NULL AND NOT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $courier)");
workers_run($node, 'one', 'after a crash of a worker the server is back with its workers');
workers_run($node, 'three', 'in every database');
like(substr(slurp_file($node->logfile), $offset), qr/was terminated by signal 9/, 'the server saw the crash');

# allow list
$node->append_conf('postgresql.conf', "distsync.databases = 'three'");
$node->reload;
workers_gone($node, 'one', 'workers leave a database that is not on the list');
workers_run($node, 'three', 'those of a database on the list stay');
my ($rc, $out, $err) = $node->psql('postgres', q{ALTER SYSTEM SET distsync.databases = 'a,,b'});
like($err, qr/invalid value for parameter "distsync\.databases"/, 'a list that cannot be read is refused');
$node->append_conf('postgresql.conf', "distsync.databases = ''");
$node->reload;
workers_run($node, 'one', 'they come back when the list is empty again');

# DROP EXTENSION: workers notice and leave with exit code 0
$offset = -s $node->logfile;
$node->safe_psql('one', 'SELECT distsync.teardown(); DROP EXTENSION distsync');
workers_gone($node, 'one', 'workers leave at DROP EXTENSION');
unlike(substr(slurp_file($node->logfile), $offset), qr/FATAL|exited with exit code/, 'without a complaint in the log');
$node->safe_psql('one', 'CREATE EXTENSION distsync; SELECT distsync.setup()');
workers_run($node, 'one', 'created again, workers are back and the books are still there');

# a rolled back DROP EXTENSION: the worker waits politely and goes on
my $session = $node->background_psql('one', on_error_stop => 1);
$session->query_safe('BEGIN');
$session->query_safe('SELECT distsync.teardown()');
$session->query_safe('DROP EXTENSION distsync');
$node->reload;
wait_for_sql($node, 'postgres', "SELECT bool_and(state = 'idle' AND xact_start IS NULL AND wait_event_type <> 'Lock') FROM pg_stat_activity WHERE datname = 'one' AND backend_type LIKE 'distsync c%'",
    'while DROP EXTENSION is open no worker waits for its lock');
$session->query_safe('ROLLBACK');
$session->quit;
workers_run($node, 'one', 'after the rollback they work');

# a template, a closed database
$offset = -s $node->logfile;
$node->safe_psql('postgres', 'ALTER DATABASE three IS_TEMPLATE true');
workers_gone($node, 'three', 'workers leave a database that becomes a template');
$node->safe_psql('postgres', 'ALTER DATABASE three IS_TEMPLATE false');
wait_for_sql($node, 'postgres', "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = 'three' AND backend_type LIKE 'distsync%'", 'and return when it is none');
$node->safe_psql('postgres', 'ALTER DATABASE three ALLOW_CONNECTIONS false');
workers_gone($node, 'three', 'workers leave a database that is closed');

stopped_cleanly($node, $offset, 'nothing crashed on the way');
$node->stop('fast');
stopped_cleanly($node, $offset, 'fast shutdown with workers is clean');

# no place for workers: one warning with a hint, and a start as soon as somebody leaves
my $full = worker_node('full', max_worker_processes => 5);
$full->start;
with_extension($full, 'one');
workers_run($full, 'one', 'the first database finds places');
with_extension($full, 'two');
wait_for_sql($full, 'two', "SELECT count(*) = 1 FROM distsync_internal.worker_status() WHERE database = 'two' AND pid IS NOT NULL AND state = 'active'", 'the second finds one place, for its courier');
wait_for_log($full, qr/WARNING:  no place is left for the distsync workers of database "two"/, 'a full server is told so');
wait_for_log($full, qr/HINT:  Raise max_worker_processes/, 'with a hint');
$full->safe_psql('two', 'SELECT distsync_internal.worker_announce()') for 1 .. 5;
wait_for_sql($full, 'two', "SELECT state = 'stopped' FROM distsync_internal.worker_status() WHERE database = 'two' AND kind = 'clerk'", 'the clerk waits');
$full->safe_psql('postgres', 'DROP DATABASE one');
workers_run($full, 'two', 'when places are given back the second database has both');
my @warnings = slurp_file($full->logfile) =~ /no place is left/g;
is(scalar @warnings, 1, 'the warning came once');
wait_for_log($full, qr/distsync workers have found places again/, 'and its end is told');
$full->stop;

# not preloaded: everything but the workers
my $plain = worker_node('plain', shared_preload_libraries => '');
$plain->start;
with_extension($plain, 'one');
is($plain->safe_psql('one', "SELECT kind || ': ' || last_error FROM distsync_internal.worker_status()"),
    'launcher: distsync is not in shared_preload_libraries: there are no workers', 'without preloading the status says so');
$plain->safe_psql('one', "SELECT distsync_internal.worker_wake('both'); SELECT distsync_internal.worker_announce()");
is($plain->safe_psql('one', 'SELECT instance FROM distsync_internal.worker_instance_identity()'), 'lab', 'the identity is known there too');
$plain->stop;

# a standby has no workers; promoted, it has, and they wait for people
my $primary = worker_node('primary', init => { allows_streaming => 1 });
$primary->start;
with_extension($primary, 'one');
workers_run($primary, 'one', 'workers run on the primary');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'distsync%'"), '0', 'a standby has no workers and no launcher');
is($standby->safe_psql('one', 'SELECT in_recovery FROM distsync_internal.worker_instance_identity()'), 't', 'it knows that it is one');
$standby->promote;
workers_run($standby, 'one', 'after promotion they start, and idle', 'idle');
like(status_of($standby, 'one', 'courier', 'idle_reason'), qr/^promoted/, 'because a promoted server is not the one that sends');
is($standby->safe_psql('one', 'SELECT timeline FROM distsync_internal.worker_instance_identity()'), '2', 'the timeline has changed');
$standby->safe_psql('one', 'SELECT distsync.resume()');
workers_run($standby, 'one', 'resume() sets them to work');
$standby->stop;
$primary->stop;

done_testing();
